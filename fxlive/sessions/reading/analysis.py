"""Analysis of the account: P&L, performance, execution, exposure. Each function becomes a method of `Readable`.

They take frames of one moment from the source and call the pure function of the same name in `fxlive.analytics`, which
documents definitions, units and signs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import pandas as pd

from fxlive.analytics.execution import HORIZONS
from fxlive.analytics.exposure import MARGIN_CALL_PCT, SHOCKS_PCT
from fxlive.core.arguments import utc
from fxlive.errors import UnknownOption
from fxlive.sessions.reading.source import Reader, Source
from fxlive.tables.open_rows.unconfirmed import Unconfirmed, are_unconfirmed, check_unconfirmed, reason, with_reason

if TYPE_CHECKING:
    from fxlive.analytics.exposure import Exposure
    from fxlive.analytics.profit.events import By
    from fxlive.core.instruments import Instruments


def pnl(self: Reader, by: By | None = None, *, unconfirmed: Unconfirmed = "include") -> pd.DataFrame:
    """Return profit and loss over time, in the account currency.

    Parameters
    ----------
    by
        None for the whole account, or ``"symbol"``, ``"strategy_id"`` or ``"connection_id"`` for a series per group.
    unconfirmed
        Whether open positions count that no message has confirmed since the last gap. ``"include"``: with their last
        known value. ``"exclude"``: as 0 from their last message on. ``attrs["reasons"]`` names them either way.

    Returns
    -------
    DataFrame
        Indexed by `timestamp`, or by the group and `timestamp`. Columns (float64): `unrealized`, `realized` (net of
        commission and swap), `commission`, `swap`, `total`, `peak`, `drawdown`. The first point is the first time at
        which the open positions are known; it includes the P&L realized before as far as the platform reported it.
        ``attrs["known_since"]`` is the receipt of the first row (ISO 8601); if trades have left the window, of the
        first trade that is still in it.

    Raises
    ------
    SubscriptionError
        If positions or trades are not subscribed and have no rows.
    UnknownOption
        If an option has another value.

    Examples
    --------
    >>> import fxlive
    >>> fxlive.Session.offline().pnl().columns.tolist()
    ['unrealized', 'realized', 'commission', 'swap', 'total', 'peak', 'drawdown']
    """
    from fxlive.analytics.pnl import pnl

    self._source.check_subscribed("positions", "trades")
    frames, text = _account_frames(self._source, unconfirmed)
    series = pnl(frames["all positions"], frames["trades"], by)
    series.attrs["known_since"] = _known_since(self._source, frames)
    return with_reason(series, text, ("unrealized", "total", "peak", "drawdown"))


def explain(
    self: Reader, start: Any = None, end: Any = None, *, unconfirmed: Unconfirmed = "include"
) -> pd.Series[float]:
    """Return what caused the change of P&L between two times.

    Parameters
    ----------
    start, end
        Times; without a zone they are UTC. Default: the first and the last that are known.
    unconfirmed
        Whether open positions count that no message has confirmed since the last gap. ``"include"``: with their last
        known value. ``"exclude"``: as 0 from their last message on. ``attrs["reasons"]`` names them either way.

    Returns
    -------
    Series
        `price`, `new_trades`, `costs` and `remainder`, which add up to `change`; in the account currency.

    Raises
    ------
    UnknownOption
        If `start` or `end` is not a time, or if `start` is later than `end` or than the last row of all channels.
    SubscriptionError
        If positions or trades are not subscribed and have no rows.

    Examples
    --------
    >>> import fxlive
    >>> fxlive.Session.offline().explain()["change"]
    np.float64(0.0)
    """
    from fxlive.analytics.explain import explain

    self._source.check_subscribed("positions", "trades")
    frames, text = _account_frames(self._source, unconfirmed)
    causes = explain(frames["all positions"], frames["trades"], start, end)
    last = max((frame.index.max() for frame in frames.values() if len(frame)), default=None)
    if start is not None and last is not None and utc(start) > last:  # five zeros would mean that nothing changed
        raise UnknownOption("start", start, (f"a time up to the last row, {last}",))
    return with_reason(causes, text, ("price", "new_trades", "change"))


@overload
def performance(
    self: Reader,
    by: None = None,
    *,
    capital: float | None = None,
    freq: str | pd.Timedelta = "1h",
    periods_per_year: float | None = None,
) -> pd.Series[Any]: ...


@overload
def performance(
    self: Reader,
    by: By,
    *,
    capital: float | None = None,
    freq: str | pd.Timedelta = "1h",
    periods_per_year: float | None = None,
) -> pd.DataFrame: ...


def performance(
    self: Reader,
    by: By | None = None,
    *,
    capital: float | None = None,
    freq: str | pd.Timedelta = "1h",
    periods_per_year: float | None = None,
) -> pd.Series[Any] | pd.DataFrame:
    """Return the performance metrics of the closed trades; with `capital`, also risk metrics of the returns.

    Parameters
    ----------
    by
        None for the whole account, or ``"symbol"``, ``"strategy_id"`` or ``"connection_id"`` for a row per group.
    capital
        The equity of the account when P&L was 0, in the account currency; needed for returns. Not with `by`.
    freq
        The length of a return period, at most a day.
    periods_per_year
        For annualisation. Default: derived from `freq`, for 260 trading days of 24 hours; it is one of the metrics.

    Returns
    -------
    Series or DataFrame
        By metric, named as in `fxlive.analytics.performance.performance` and `fxlive.analytics.risk.risk` (risk
        metrics begin with ``equity_`` where both have a metric of that name). ``attrs["samples"]`` holds the sample
        size of each metric, ``attrs["reasons"]`` why a metric is missing.

    Raises
    ------
    UnknownOption
        If the value of an option is not valid; `freq` is checked also without `capital`.
    SubscriptionError
        If trades are not subscribed and have no rows.

    Examples
    --------
    >>> import fxlive
    >>> fxlive.Session.offline().performance()["total_trades"]
    0
    """
    from fxlive.analytics.performance import performance
    from fxlive.analytics.risk import period_returns, risk
    from fxlive.analytics.risk import periods_per_year as derived_from

    derived_periods = derived_from(freq)  # also checks freq
    self._source.check_subscribed("trades")
    trades = self._source.rows("trades")
    metrics = performance(trades, by, positions=_positions_of_unknown_side(self._source, trades))
    if capital is None:
        return metrics
    if by is not None:
        raise UnknownOption("capital", capital, ("None with by, because a group has no capital of its own",))
    series = pnl(self)
    returns = period_returns(series["total"], capital, freq)
    risk_metrics = risk(returns, derived_periods if periods_per_year is None else periods_per_year)
    renamed = {name: f"equity_{name}" for name in risk_metrics.index if name in metrics.index}
    combined = pd.concat([metrics, risk_metrics.rename(renamed)])
    for key in ("samples", "reasons"):
        of_risk = {renamed.get(name, name): value for name, value in risk_metrics.attrs[key].items()}
        combined.attrs[key] = {**metrics.attrs[key], **of_risk}
    text = series.attrs.get("reasons", {}).get("total")
    unexplained = [name for name in combined.index[len(metrics) :] if name not in combined.attrs["reasons"]]
    return with_reason(combined, text, unexplained)


def execution(
    self: Reader,
    *,
    horizons: Sequence[str] = HORIZONS,
    realised_after: str = "30s",
    max_quote_age: str = "60s",
    instruments: Instruments | None = None,
) -> pd.DataFrame:
    """Return each fill compared with the market: slippage, spreads paid, and markouts.

    Parameters
    ----------
    horizons
        Times after the fill for the markouts; one column each.
    realised_after
        The time after the fill at which the mid price for the realised spread is taken.
    max_quote_age
        The maximum age of a quote, at the fill and at each markout; with an older one the figure is NaN.
    instruments
        Pips, contract sizes and account currency. Default: the market's conventions, and USD.

    Returns
    -------
    DataFrame
        A row per execution, indexed by its time of execution: slippage in pips and money (positive is a cost),
        effective and realised spread in pips, markouts in pips (positive if the market moved in our favour).

    Raises
    ------
    SubscriptionError
        If trades or market-data are not subscribed and have no rows.

    Examples
    --------
    >>> import fxlive
    >>> fxlive.Session.offline().execution().empty
    True
    """
    from fxlive.analytics.execution import execution

    self._source.check_subscribed("trades", "market-data")
    frames = self._source.snapshot()
    return execution(
        frames["trades"],
        frames["orders"],
        frames["market-data"],
        horizons=horizons,
        realised_after=realised_after,
        max_quote_age=max_quote_age,
        instruments=instruments,
    )


def order_life(self: Reader, *, instruments: Instruments | None = None) -> pd.DataFrame:
    """Return the life of each order: time to fill, filled share, and its distance from the market.

    Parameters
    ----------
    instruments
        Pips by symbol. Default: the market's conventions.

    Returns
    -------
    DataFrame
        Indexed by `order_id`; columns as of `fxlive.analytics.execution.order_life`.

    Raises
    ------
    SubscriptionError
        If orders or market-data are not subscribed and have no rows.

    Examples
    --------
    >>> import fxlive
    >>> fxlive.Session.offline().order_life().index.name
    'order_id'
    """
    from fxlive.analytics.execution import order_life

    self._source.check_subscribed("orders", "market-data")
    frames = self._source.snapshot()
    return order_life(frames["orders"], frames["market-data"], instruments=instruments)


def exposure(
    self: Reader,
    *,
    equity: float | None = None,
    shocks_pct: Sequence[float] = SHOCKS_PCT,
    margin_call_pct: float = MARGIN_CALL_PCT,
    instruments: Instruments | None = None,
    unconfirmed: Unconfirmed = "include",
) -> Exposure:
    """Return the exposure of the open positions by symbol and by currency, and the effect of market moves on equity.

    Parameters
    ----------
    equity
        Of the account, in its currency. Default: computed from the newest position's `margin_level`.
    shocks_pct
        The moves of a currency to compute, in percent, above -100.
    margin_call_pct
        The margin level at which the platform makes a margin call, in percent.
    instruments
        Pips, contract sizes and account currency. Default: the market's conventions, and USD.
    unconfirmed
        Whether positions count that no message has confirmed since the last gap: ``"include"`` or ``"exclude"``. The
        result names them either way.

    Returns
    -------
    Exposure
        With the frames `by_symbol`, `by_currency` and `shocks`, and the Series `totals`.

    Raises
    ------
    SubscriptionError
        If positions or market-data are not subscribed and have no rows.

    Examples
    --------
    >>> import fxlive
    >>> float(fxlive.Session.offline().exposure().totals["gross"])
    0.0
    """
    from fxlive.analytics.exposure import exposure

    self._source.check_subscribed("positions", "market-data")
    positions = _open_positions(self._source)
    return exposure(
        positions,
        self._source.latest("market-data"),
        equity=equity,
        shocks_pct=shocks_pct,
        margin_call_pct=margin_call_pct,
        instruments=instruments,
        unconfirmed=unconfirmed,
        trades=self._source.rows("trades", where={"ticket": positions.index.tolist()}) if len(positions) else None,
    )


def reconcile(
    self: Reader, *, instruments: Instruments | None = None, unconfirmed: Unconfirmed = "include"
) -> pd.DataFrame:
    """Compare the platform's figures with ours: its performance metrics, and the profit of each open position.

    Parameters
    ----------
    instruments
        Pips, contract sizes and account currency. Default: the market's conventions, and USD.
    unconfirmed
        Whether to compare positions that no message has confirmed since the last gap: ``"include"``, with a note, or
        ``"exclude"``.

    Returns
    -------
    DataFrame
        Indexed by `metric`: `theirs`, `ours`, `difference`, `tolerance`, `within` (bool), `note`.

    Examples
    --------
    >>> import fxlive
    >>> fxlive.Session.offline().reconcile().empty
    True
    """
    from fxlive.analytics.reconcile import reconcile

    frames, open_positions = self._source.snapshot(), _open_positions(self._source)
    return reconcile(
        frames["analytics"],
        frames["trades"],
        open_positions,
        frames["market-data"],
        known_since=_known_since(self._source, frames),
        instruments=instruments,
        unconfirmed=unconfirmed,
    )


def _open_positions(source: Source) -> pd.DataFrame:
    """Return `latest` of positions, with the last gap in its `attrs`."""
    latest = source.latest("positions")
    latest.attrs = dict(source.attrs("positions", latest))
    return latest


def _account_frames(source: Source, unconfirmed: Unconfirmed) -> tuple[dict[str, pd.DataFrame], str | None]:
    """Return the frames of one moment, and which open positions are unconfirmed, in words; None if all are confirmed.

    ``"all positions"`` includes open positions whose row has left the window. Unconfirmed positions that are excluded
    end there with a row of volume 0.
    """
    check_unconfirmed(unconfirmed)
    latest, frames = _open_positions(source), source.snapshot()
    window = frames["positions"]
    rows = latest.reset_index().set_index("timestamp")[list(window.columns)]
    parts = [window]
    older = ~rows["ticket"].isin(window["ticket"]).to_numpy(bool)
    if older.any():
        # Dated to the window's first receipt: from then on all open positions are known.
        received_at = window["received_at"].iloc[0] if len(window) else rows["received_at"].max()
        parts.insert(0, rows[older].assign(received_at=received_at))
    excluded = are_unconfirmed(latest)
    if unconfirmed == "exclude" and excluded.any():
        parts.append(rows[excluded].assign(volume=0.0, profit=0.0, unrealized_pnl=0.0))
    frames["all positions"] = pd.concat(parts) if len(parts) > 1 else window
    return frames, reason(latest, unconfirmed)


def _positions_of_unknown_side(source: Source, trades: pd.DataFrame) -> pd.DataFrame | None:
    """Return rows of the positions whose side is not that of their first trade.

    A trade in the direction of the first one has a profit if the first closes a position opened before, or if the
    position has changed its side since.
    """
    trades = trades[trades["ticket"].notna()]
    sides = trades["action"].astype(object)
    first = sides.groupby(trades["ticket"].to_numpy()).transform("first")
    may_close = (trades["profit"].fillna(0.0) != 0.0).to_numpy() & (sides == first).to_numpy()
    tickets = trades.loc[may_close, "ticket"].unique().tolist()
    return source.rows("positions", where={"ticket": tickets}) if tickets else None


def _known_since(source: Source, frames: dict[str, pd.DataFrame]) -> str | None:
    """Return the time since which all executions are known, as ISO 8601; None if there are none."""
    from fxlive.analytics.pnl import known_since

    if source.has_evicted("trades") and len(frames["trades"]):
        return known_since(frames["trades"])
    return known_since(frames["positions"], frames["trades"])
