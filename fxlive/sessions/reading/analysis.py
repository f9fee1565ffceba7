"""Analysis: the numbers behind the charts, as methods that live, replayed and opened sessions share.

Each takes the frames of one moment and hands them to the pure function of its name in `fxlive.analytics`, which tells
definitions, units and signs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fxlive.analytics.execution import HORIZONS
from fxlive.analytics.exposure import MARGIN_CALL_PCT, SHOCKS_PCT
from fxlive.core.arguments import path_of, utc
from fxlive.core.dtypes import STR
from fxlive.errors import UnknownOption
from fxlive.sessions.reading.market_analysis import MarketAnalysis

if TYPE_CHECKING:
    from fxlive.analytics.exposure import Exposure
    from fxlive.analytics.profit.events import By
    from fxlive.core.instruments import Instruments


class Analysis(MarketAnalysis, ABC):
    """The methods that analyse what can be read."""

    name: str

    @abstractmethod
    def snapshot(self) -> dict[str, pd.DataFrame]:
        """Return the frames of all channels at one moment."""

    @abstractmethod
    def gaps(self) -> pd.DataFrame:
        """Return the times in which messages may have been lost."""

    @abstractmethod
    def rejected(self) -> pd.DataFrame:
        """Return the messages that could not be taken."""

    def pnl(self, by: By | None = None) -> pd.DataFrame:
        """Return profit and loss over time, in the account's currency.

        Parameters
        ----------
        by
            None for the whole, or ``"symbol"``, ``"strategy_id"``, ``"connection_id"``: a series for each.

        Returns
        -------
        DataFrame
            Indexed by `timestamp`, or by the group and `timestamp`: `unrealized`, `realized` (net of costs),
            `commission`, `swap`, `total`, `peak`, `drawdown`, from where the open positions are known; what was
            realized before is in the first point. ``attrs["known_since"]`` is when the first of the rows came: what was
            realized before is in only as far as the platform told it then. Where trades have left the window, it is
            when the first that is still in it came.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().pnl().columns.tolist()
        ['unrealized', 'realized', 'commission', 'swap', 'total', 'peak', 'drawdown']
        """
        from fxlive.analytics.pnl import pnl

        self._check_asked_for("positions", "trades")
        frames = self._account()
        told = pnl(frames["all positions"], frames["trades"], by)
        told.attrs["known_since"] = self._known_since(frames)
        return told

    def explain(self, start: Any = None, end: Any = None) -> pd.Series[float]:
        """Return where the change of profit and loss between two times comes from.

        Parameters
        ----------
        start, end
            Without a zone they are UTC. Default: all that is known.

        Returns
        -------
        Series
            `price`, `new_trades`, `costs` and `remainder`, which add up to `change`; in the account's currency.

        Raises
        ------
        UnknownOption
            Where `start` or `end` is no time, or `start` is later than `end` or than the last row of any channel: of
            that time nothing is known.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().explain()["change"]
        np.float64(0.0)
        """
        from fxlive.analytics.explain import explain

        self._check_asked_for("positions", "trades")
        frames = self._account()
        told = explain(frames["all positions"], frames["trades"], start, end)
        last = max((frame.index.max() for frame in frames.values() if len(frame)), default=None)
        if start is not None and last is not None and utc(start) > last:  # five zeros would say that nothing changed
            raise UnknownOption("start", start, (f"a time up to the last row, {last}",))
        return told

    def performance(
        self,
        by: By | None = None,
        *,
        capital: float | None = None,
        freq: str | pd.Timedelta = "1h",
        periods_per_year: float | None = None,
    ) -> pd.Series[Any] | pd.DataFrame:
        """Return how trading did: the platform's figures of its closed trades, and more; with a capital, risk too.

        Parameters
        ----------
        by
            None for the whole, or ``"symbol"``, ``"strategy_id"``, ``"connection_id"``: a row for each.
        capital
            What the account held where profit and loss was 0: without it there are no returns. Not with `by`.
        freq
            The length of the periods whose returns count.
        periods_per_year
            Default: what `freq` makes of 260 trading days of 24 hours. It is among the figures.

        Returns
        -------
        Series or DataFrame
            By metric, as `fxlive.analytics.performance.performance` and `fxlive.analytics.risk.risk` name them (those
            of risk begin with ``equity_`` where both have one). ``attrs["samples"]`` has the size of each sample,
            ``attrs["reasons"]`` why a figure is missing.

        Raises
        ------
        UnknownOption
            Where an option cannot have that value; `freq` is judged without a capital, too.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().performance()["total_trades"]
        0
        """
        from fxlive.analytics.performance import performance
        from fxlive.analytics.risk import period_returns, risk
        from fxlive.analytics.risk import periods_per_year as derived

        periods_of_a_year = derived(freq)  # which judges freq, also where no return is asked for
        self._check_asked_for("trades")
        told = performance(self.frame("trades"), by)
        if capital is None:
            return told
        if by is not None:
            raise UnknownOption("capital", capital, ("None, with by: a group has no capital of its own",))
        returns = period_returns(self.pnl()["total"], capital, freq)
        risks = risk(returns, periods_of_a_year if periods_per_year is None else periods_per_year)
        names = {name: f"equity_{name}" for name in risks.index if name in told.index}
        both = pd.concat([told, risks.rename(names)])
        for key in ("samples", "reasons"):
            both.attrs[key] = {**told.attrs[key], **{names.get(n, n): v for n, v in risks.attrs[key].items()}}
        return both

    def execution(
        self,
        *,
        horizons: Sequence[str] = HORIZONS,
        realised_after: str = "30s",
        max_quote_age: str = "60s",
        instruments: Instruments | None = None,
    ) -> pd.DataFrame:
        """Return each fill beside the market: slippage, spreads paid, and what the market did after it.

        Parameters
        ----------
        horizons
            Times after the fill to mark it out at: a column for each.
        realised_after
            The time after the fill of the mid price behind the realised spread.
        max_quote_age
            How old a quote may be that counts, at a fill and at each mark; with an older one a figure is NaN.
        instruments
            Pips, contract sizes and the account's currency; default: the market's conventions, and USD.

        Returns
        -------
        DataFrame
            A row for each execution, by the time at which it was executed; slippage in pips and money (positive: a
            cost), effective and realised spread, markouts (positive: the market moved our way).

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().execution().empty
        True
        """
        from fxlive.analytics.execution import execution

        self._check_asked_for("trades", "market-data")
        frames = self.snapshot()
        return execution(
            frames["trades"],
            frames["orders"],
            frames["market-data"],
            horizons=horizons,
            realised_after=realised_after,
            max_quote_age=max_quote_age,
            instruments=instruments,
        )

    def order_life(self, *, instruments: Instruments | None = None) -> pd.DataFrame:
        """Return what became of each order: time to fill, filled share, and how far it stood from the market.

        Parameters
        ----------
        instruments
            Say what a pip is; default: the market's conventions.

        Returns
        -------
        DataFrame
            Indexed by `order_id`, as of `fxlive.analytics.execution.order_life`.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().order_life().index.name
        'order_id'
        """
        from fxlive.analytics.execution import order_life

        self._check_asked_for("orders", "market-data")
        frames = self.snapshot()
        return order_life(frames["orders"], frames["market-data"], instruments=instruments)

    def exposure(
        self,
        *,
        equity: float | None = None,
        shocks_pct: Sequence[float] = SHOCKS_PCT,
        margin_call_pct: float = MARGIN_CALL_PCT,
        instruments: Instruments | None = None,
    ) -> Exposure:
        """Return what the open positions amount to, by symbol and by currency, and what moves of the market would do.

        Parameters
        ----------
        equity
            Of the account, in its currency. Default: what the newest position's `margin_level` says.
        shocks_pct
            The moves of a currency to work out, in percent, above -100.
        margin_call_pct
            The margin level, in percent, at which the platform calls.
        instruments
            Pips, contract sizes and the account's currency; default: the market's conventions, and USD.

        Returns
        -------
        Exposure
            With the frames `by_symbol`, `by_currency` and `shocks`, and `totals`.

        Examples
        --------
        >>> import fxlive
        >>> float(fxlive.Session.offline().exposure().totals["gross"])
        0.0
        """
        from fxlive.analytics.exposure import exposure

        self._check_asked_for("positions", "market-data")
        return exposure(
            self.latest("positions"),
            self.latest("market-data"),
            equity=equity,
            shocks_pct=shocks_pct,
            margin_call_pct=margin_call_pct,
            instruments=instruments,
        )

    def reconcile(self, *, instruments: Instruments | None = None) -> pd.DataFrame:
        """Return the platform's figures beside ours: its performance metrics, and each open position's profit.

        Parameters
        ----------
        instruments
            Pips, contract sizes and the account's currency; default: the market's conventions, and USD.

        Returns
        -------
        DataFrame
            Indexed by `metric`: `theirs`, `ours`, `difference`, `tolerance`, `within`, `note`.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().reconcile().empty
        True
        """
        from fxlive.analytics.reconcile import reconcile

        frames, open_positions = self.snapshot(), self.latest("positions")
        return reconcile(
            frames["analytics"],
            frames["trades"],
            open_positions,
            frames["market-data"],
            known_since=self._known_since(frames),
            instruments=instruments,
        )

    def sql(self, query: str) -> pd.DataFrame:
        """Return the result of a SQL query over the frames of one moment, as DuckDB understands it.

        Parameters
        ----------
        query
            Each channel is a table, ``market_data`` that of ``market-data``, with the columns of the frame, `timestamp`
            too: such as ``"select symbol, avg(ask - bid) from market_data group by symbol"``. ``gaps`` and ``rejected``
            are what the methods of that name give, as of a capture.

        Raises
        ------
        CaptureError
            Where DuckDB is not installed.
        UnknownOption
            Where there is no query in the text. What DuckDB does not understand is an error of its own, with a note of
            the tables.

        Examples
        --------
        >>> import fxlive
        >>> fxlive.Session.offline().sql("select count(*) as quotes from market_data")["quotes"].tolist()
        [0]
        """
        from fxlive.capture.exporting.sql import query as run
        from fxlive.capture.exporting.sql import view_name
        from fxlive.capture.reading.files import Files

        frames = {view_name(channel): frame for channel, frame in self.snapshot().items()}
        frames |= {"gaps": self.gaps().set_index("start"), "rejected": self.rejected()}
        asked = {name: _table(frame) for name, frame in frames.items() if name.lower() in str(query).lower()}
        return run(query, {}, asked, Files("."), frames)

    def report(
        self,
        path: str | Path,
        *,
        capital: float | None = None,
        freq: str | pd.Timedelta = "1h",
        instruments: Instruments | None = None,
    ) -> Path:
        """Write one HTML page of all this, figures included (5 MB); it needs no network and no other file.

        Parameters
        ----------
        path
            Where to, such as ``"report.html"``; what is there is replaced.
        capital, freq
            As in `performance`; without capital the page has no returns.
        instruments
            Pips, contract sizes and the account's currency; default: the market's conventions, and USD.

        Returns
        -------
        Path
            The page.

        Raises
        ------
        CaptureError
            Where it cannot be written.
        UnknownOption
            Where the file's name says that it is something else than HTML.

        Examples
        --------
        >>> import fxlive, tempfile
        >>> fxlive.Session.offline().report(f"{tempfile.mkdtemp()}/report.html").name
        'report.html'
        """
        from fxlive.figures.report import write_report

        return write_report(
            self, path_of(path, "a file such as report.html"), capital=capital, freq=freq, instruments=instruments
        )

    def _check_asked_for(self, *channels: str) -> None:
        """Raise SubscriptionError where nothing of a channel can have come: what is counted of it would be 0."""

    def _rolled(self, channel: str) -> bool:
        """Return whether rows of a channel have left its window."""
        return False

    def _known_since(self, frames: dict[str, pd.DataFrame]) -> str | None:
        """Return since when all executions are known, as ISO 8601."""
        from fxlive.analytics.pnl import known_since

        if self._rolled("trades") and len(frames["trades"]):
            return known_since(frames["trades"])
        return known_since(frames["positions"], frames["trades"])

    def _account(self) -> dict[str, pd.DataFrame]:
        """Return the frames of one moment, and all positions: open ones whose last row has left the window, too."""
        latest, frames = self.latest("positions"), self.snapshot()
        window = frames["positions"]
        older = latest[~latest.index.isin(window["ticket"])]
        frames["all positions"] = window
        if len(older):
            rows = older.reset_index().set_index("timestamp")[window.columns.intersection(["ticket", *older.columns])]
            # As if told with the window's first row: only there are all open positions known.
            told_at = window["received_at"].iloc[0] if len(window) else rows["received_at"].max()
            frames["all positions"] = pd.concat([rows.assign(received_at=told_at), window])
        return frames


def _table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame in dtypes that DuckDB reads as one means them: codes sort as texts, tuples are its lists."""
    plain: dict[str, Any] = {}
    for column, dtype in frame.dtypes.items():
        if isinstance(dtype, pd.CategoricalDtype):
            plain[str(column)] = frame[column].astype(STR)
        elif str(dtype) == "object":
            plain[str(column)] = frame[column].map(list, na_action="ignore")
    return frame.assign(**plain).reset_index()
