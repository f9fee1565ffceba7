"""The platform's figures compared with those computed from its messages."""

from __future__ import annotations

from datetime import UTC as ZONE
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from fxlive.analytics.conversion import QuoteLookup, newest_positions, side_signs
from fxlive.analytics.inputs import check_columns, floats, index_us, texts, times_us
from fxlive.analytics.performance import performance
from fxlive.analytics.profit.events import check_trades
from fxlive.core.arguments import utc
from fxlive.core.dtypes import STR
from fxlive.core.instruments import Instruments
from fxlive.tables.open_rows.unconfirmed import (
    Unconfirmed,
    are_unconfirmed,
    check_unconfirmed,
    reason,
    with_reason,
)

METRICS = ("total_trades", "win_rate", "net_profit", "current_drawdown")
_PERIODS = {"DAY": "day", "WEEK": "week", "MONTH": "month"}
_PERFORMANCE = "PERFORMANCE_UPDATE"
_CENT = 0.01
_WIN_RATE_TOLERANCE = 0.05 + 1e-9  # the platform rounds its win rate to tenths of a percent
_RATE_TOLERANCE = 1e-3


def reconcile(
    analytics: pd.DataFrame,
    trades: pd.DataFrame,
    positions: pd.DataFrame,
    quotes: pd.DataFrame,
    *,
    known_since: Any = None,
    instruments: Instruments | None = None,
    unconfirmed: Unconfirmed = "include",
) -> pd.DataFrame:
    """Return the platform's performance metrics and position profits next to those computed from its messages.

    The metrics are those of `performance` over the trades of the platform's period (UTC day, ISO week, month) up to the
    time of its report, starting from 0. The profit of a position is s * (current price - open price) * lots * contract
    size, where s is 1 for a buy and -1 for a sell, converted at the quote currency's rate at the time of the row.

    Parameters
    ----------
    analytics
        Rows of analytics, indexed by timestamps with a time zone, or their `latest`: `period`, the four columns
        `metrics_total_trades`, `metrics_win_rate`, `metrics_net_profit`, `metrics_current_drawdown`, and optionally
        `type`. Of each period the newest row with a metric counts, of type ``PERFORMANCE_UPDATE`` if there is one.
    trades
        Rows of trades, as in `performance`, from before the start of the periods on.
    positions
        Rows of positions, indexed likewise, or their `latest`: `ticket`, `symbol`, `type`, `volume` (lots),
        `open_price`, `current_price`, `profit`.
    quotes
        Rows of market-data of any symbols, indexed likewise, or their `latest`: `symbol`, `bid`, `ask`.
    known_since
        The time since which all trades are known; without a time zone it is UTC. If it is later than the start of a
        period, `note` states it.
    instruments
        Contract sizes and the account's currency. Default: the market's conventions, and USD.
    unconfirmed
        Whether to compare positions that no message has confirmed since the last gap, if `positions` has the column
        `confirmed` of `latest`. ``"include"``: their `note` and ``attrs["reasons"]`` say so. ``"exclude"``: they are
        left out.

    Returns
    -------
    DataFrame
        A row for each metric of each period and for each open position, indexed by `metric` (such as
        ``"DAY win_rate"``, ``"position 123456 profit"``):

        - `theirs`, `ours`, `difference` (ours - theirs): float64, in the account's currency, percent or counts.
        - `tolerance` (float64): 0 for counts, 0.05 for a percentage, because the platform rounds it, half a cent for
          money; for the profit of a position a cent, plus 0.1 % of it if other pairs are needed to convert it.
        - `within` (boolean): whether the difference is at most the tolerance; missing if a figure is missing.
        - `note` (str): what limits the comparison; empty if nothing does.

    Raises
    ------
    InvalidFrame
        If an index does not consist of timestamps with a time zone, a ticket or execution id is missing, or a column
        has values of the wrong kind.
    UnknownColumn
        If a column is missing.

    Examples
    --------
    >>> when = pd.to_datetime(["2024-01-01T00:00Z"])
    >>> positions = pd.DataFrame(
    ...     {"ticket": 123456, "symbol": "EURUSD", "type": "BUY", "volume": 0.1, "open_price": 1.085,
    ...      "current_price": 1.086, "profit": 10.0}, index=when
    ... )
    >>> import fxlive
    >>> empty = fxlive.Session.offline()
    >>> compared = reconcile(empty["analytics"], empty["trades"], positions, empty["market-data"])
    >>> compared.loc["position 123456 profit", ["theirs", "ours"]].astype(float).tolist()
    [10.0, 10.0]
    """
    check_unconfirmed(unconfirmed)
    newest = newest_positions(positions, "symbol", "type", "volume", "open_price", "current_price", "profit")
    text = reason(newest, unconfirmed)
    if unconfirmed == "exclude":
        newest = newest[~are_unconfirmed(newest)]
    rows = [*_metrics(analytics, trades, known_since), *_profits(newest, QuoteLookup(quotes, instruments))]
    columns = ("metric", "theirs", "ours", "tolerance", "note")
    frame = pd.DataFrame(rows, columns=columns).astype(
        {"metric": STR, "theirs": "float64", "ours": "float64", "tolerance": "float64", "note": STR}
    )
    difference = (frame["ours"] - frame["theirs"]).round(9)
    within = (difference.abs() <= frame["tolerance"]).astype("boolean").mask(difference.isna())
    frame = frame.assign(difference=difference, within=within)
    frame = frame.set_index("metric")[["theirs", "ours", "difference", "tolerance", "within", "note"]]
    return with_reason(frame, text, [f"position {ticket} profit" for ticket in newest.index[are_unconfirmed(newest)]])


def _metrics(analytics: pd.DataFrame, trades: pd.DataFrame, known_since: Any) -> list[tuple[Any, ...]]:
    """Return a row for each metric of each period."""
    if "timestamp" in getattr(analytics, "columns", ()):
        analytics = analytics.reset_index().set_index("timestamp")
    check_columns(analytics, "analytics", "period", *(f"metrics_{name}" for name in METRICS))
    index_us(analytics.index, "analytics")
    check_trades(trades, None)
    times_us(trades, "trades")
    reports = analytics.dropna(subset=[f"metrics_{name}" for name in METRICS], how="all").sort_index(kind="stable")
    if "type" in reports.columns:  # performance updates sort last, so that they win
        reports = reports.iloc[np.argsort((reports["type"].astype(STR) == _PERFORMANCE).to_numpy(bool), kind="stable")]
    newest = reports.drop_duplicates("period", keep="last").sort_index(kind="stable")
    rows = []
    for period, (at, report) in zip(texts(newest, "period"), newest.iterrows(), strict=True):
        start = period_start(str(period), at)  # type: ignore[arg-type]
        if start is None:
            continue
        figures = performance(trades[(trades.index >= start) & (trades.index <= at)])
        incomplete = known_since is not None and utc(known_since) > start
        note = f"trades are known only since {utc(known_since):%Y-%m-%d %H:%M:%S}" if incomplete else ""
        for name in METRICS:
            ours: Any = figures[name]
            if name == "win_rate" and figures["total_trades"] == 0:
                ours = 0.0  # the platform reports 0 if there are no trades
            tolerance = {"total_trades": 0.0, "win_rate": _WIN_RATE_TOLERANCE}.get(name, _CENT / 2)
            rows.append((f"{period} {name}", report[f"metrics_{name}"], float(ours), tolerance, note))
    return rows


def period_start(period: str, at: pd.Timestamp) -> pd.Timestamp | None:
    """Return the start of the platform's period that contains `at`: UTC day, ISO week or month; None for any other.

    >>> str(period_start("WEEK", pd.Timestamp("2024-01-04T12:00Z")))
    '2024-01-01 00:00:00+00:00'
    """
    day = datetime.fromtimestamp(at.timestamp(), ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    match _PERIODS.get(period.upper()):
        case "day":
            return pd.Timestamp(day)
        case "week":
            return pd.Timestamp(day - timedelta(days=day.weekday()))
        case "month":
            return pd.Timestamp(day.replace(day=1))
    return None


def _profits(newest: pd.DataFrame, lookup: QuoteLookup) -> list[tuple[Any, ...]]:
    """Return a row for the profit of each open position."""
    if not len(newest):
        return []
    account = lookup.instruments.account_currency
    times = index_us(pd.DatetimeIndex(newest["timestamp"]), "positions")
    open_price, price, volume = (floats(newest, c) for c in ("open_price", "current_price", "volume"))
    gain = side_signs(newest, "type") * (price - open_price) * np.abs(volume)
    rows, doubtful = [], are_unconfirmed(newest)
    for row, (ticket, symbol) in enumerate(zip(newest.index, texts(newest, "symbol"), strict=True)):
        pair = None if symbol is None else lookup.instrument(symbol)
        theirs = float(newest["profit"].iloc[row])
        ours, tolerance, note = np.nan, _CENT, ""
        if pair is None:
            note = f"{symbol} is not a currency pair: describe it in instruments"
        elif pair.quote == account:
            ours = gain[row] * pair.contract_size
        elif pair.base == account:  # the position's own price is the rate
            ours = gain[row] * pair.contract_size / price[row]
        else:
            rate = lookup.rates(pair.quote, times[row : row + 1])[0]
            ours = gain[row] * pair.contract_size * rate
            tolerance += _RATE_TOLERANCE * abs(theirs)
            note = f"no quotes convert {pair.quote} into {account}" if np.isnan(rate) else ""
        if doubtful[row]:
            note = "; ".join(filter(None, [note, "not confirmed since the last gap"]))
        rows.append((f"position {ticket} profit", theirs, round(float(ours), 2), tolerance, note))
    return rows
