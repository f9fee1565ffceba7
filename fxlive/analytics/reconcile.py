"""The platform's figures beside ours."""

from __future__ import annotations

from datetime import UTC as ZONE
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from fxlive.analytics.conversion import QuoteBook, newest_positions, sides
from fxlive.analytics.inputs import check_columns, floats, moments_us, texts, times_us
from fxlive.analytics.performance import performance
from fxlive.analytics.profit.events import check_trades
from fxlive.core.arguments import utc
from fxlive.core.dtypes import STR
from fxlive.core.instruments import Instruments

METRICS = ("total_trades", "win_rate", "net_profit", "current_drawdown")
_PERIODS = {"DAY": "day", "WEEK": "week", "MONTH": "month"}
_PERFORMANCE = "PERFORMANCE_UPDATE"
_CENT = 0.01
_HALF_A_TENTH = 0.05 + 1e-9  # the platform rounds its win rate to tenths of a percent
_RATE_SHARE = 1e-3


def reconcile(
    analytics: pd.DataFrame,
    trades: pd.DataFrame,
    positions: pd.DataFrame,
    quotes: pd.DataFrame,
    *,
    known_since: Any = None,
    instruments: Instruments | None = None,
) -> pd.DataFrame:
    """Return the platform's figures beside ours: its performance metrics, and each open position's profit.

    Ours are those of `performance` over the trades of the platform's period (UTC day, ISO week, month) up to its row,
    which begins at nothing. A position's profit is worked out anew: s * (current price - open price) * lots * contract
    size, at what the quote currency was worth then.

    Parameters
    ----------
    analytics
        Rows of analytics, or their `latest`: of each period the newest counts that has one of the metrics, of type
        ``PERFORMANCE_UPDATE`` where there is one.
    trades
        Rows of trades, from before the periods' beginning on.
    positions
        Rows of positions, or their `latest`.
    quotes
        Rows of market-data, or their `latest`.
    known_since
        Since when all trades are known. Where that is later than a period's beginning, `note` says so.
    instruments
        Default: the market's conventions, and an account in USD.

    Returns
    -------
    DataFrame
        Indexed by `metric` (such as ``"DAY win_rate"``, ``"position 123456 profit"``): `theirs`, `ours`, `difference`
        (ours - theirs), all float64; `within` (boolean, missing where one of the two is): whether that is no more than
        `tolerance` (0 for counts, 0.05 for a percentage, which they round, half a cent for money; a cent for a
        position's profit, and 0.1 % of it where other quotes must convert it); `note`.

    Raises
    ------
    InvalidFrame, UnknownColumn
        For frames that cannot be counted.

    Examples
    --------
    >>> when = pd.to_datetime(["2024-01-01T00:00Z"])
    >>> positions = pd.DataFrame(
    ...     {"ticket": 123456, "symbol": "EURUSD", "type": "BUY", "volume": 0.1, "open_price": 1.085,
    ...      "current_price": 1.086, "profit": 10.0}, index=when
    ... )
    >>> import fxlive
    >>> none = fxlive.Session.offline()
    >>> told = reconcile(none["analytics"], none["trades"], positions, none["market-data"])
    >>> told.loc["position 123456 profit", ["theirs", "ours"]].astype(float).tolist()
    [10.0, 10.0]
    """
    rows = [*_metrics(analytics, trades, known_since), *_profits(positions, QuoteBook(quotes, instruments))]
    columns = ("metric", "theirs", "ours", "tolerance", "note")
    frame = pd.DataFrame(rows, columns=columns).astype(
        {"metric": STR, "theirs": "float64", "ours": "float64", "tolerance": "float64", "note": STR}
    )
    difference = (frame["ours"] - frame["theirs"]).round(9)
    within = (difference.abs() <= frame["tolerance"]).astype("boolean").mask(difference.isna())
    frame = frame.assign(difference=difference, within=within)
    return frame.set_index("metric")[["theirs", "ours", "difference", "tolerance", "within", "note"]]


def _metrics(analytics: pd.DataFrame, trades: pd.DataFrame, known_since: Any) -> list[tuple[Any, ...]]:
    if "timestamp" in getattr(analytics, "columns", ()):
        analytics = analytics.reset_index().set_index("timestamp")
    check_columns(analytics, "analytics", "period", *(f"metrics_{name}" for name in METRICS))
    moments_us(analytics.index, "analytics")
    check_trades(trades, None)
    times_us(trades, "trades")
    reports = analytics.dropna(subset=[f"metrics_{name}" for name in METRICS], how="all").sort_index(kind="stable")
    if "type" in reports.columns:  # of each period the performance updates come last, by time
        reports = reports.iloc[np.argsort((reports["type"].astype(STR) == _PERFORMANCE).to_numpy(bool), kind="stable")]
    newest = reports.drop_duplicates("period", keep="last").sort_index(kind="stable")
    rows = []
    for period, (at, said) in zip(texts(newest, "period"), newest.iterrows(), strict=True):
        start = period_start(str(period), at)  # type: ignore[arg-type]
        if start is None:
            continue
        told = performance(trades[(trades.index >= start) & (trades.index <= at)])
        late = known_since is not None and utc(known_since) > start
        note = f"trades are known since {utc(known_since):%Y-%m-%d %H:%M:%S} only" if late else ""
        for name in METRICS:
            ours: Any = told[name]
            if name == "win_rate" and told["total_trades"] == 0:
                ours = 0.0  # what the platform says of no trades
            tolerance = {"total_trades": 0.0, "win_rate": _HALF_A_TENTH}.get(name, _CENT / 2)
            rows.append((f"{period} {name}", said[f"metrics_{name}"], float(ours), tolerance, note))
    return rows


def period_start(period: str, at: pd.Timestamp) -> pd.Timestamp | None:
    """Return when the platform's period began that holds a moment: UTC day, ISO week or month; None of any other.

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


def _profits(positions: pd.DataFrame, book: QuoteBook) -> list[tuple[Any, ...]]:
    held = newest_positions(positions, "symbol", "type", "volume", "open_price", "current_price", "profit")
    if not len(held):
        return []
    account = book.instruments.account_currency
    moments = moments_us(pd.DatetimeIndex(held["timestamp"]), "positions")
    opened, price, volume = (floats(held, c) for c in ("open_price", "current_price", "volume"))
    moved = sides(held, "type") * (price - opened) * volume
    rows = []
    for place, (ticket, symbol) in enumerate(zip(held.index, texts(held, "symbol"), strict=True)):
        pair = None if symbol is None else book.instrument(symbol)
        theirs = float(held["profit"].iloc[place])
        ours, tolerance, note = np.nan, _CENT, ""
        if pair is None:
            note = f"{symbol} is no pair of currencies: name it in instruments"
        elif pair.quote == account:
            ours = moved[place] * pair.contract_size
        elif pair.base == account:  # its own price says what the quote currency is worth
            ours = moved[place] * pair.contract_size / price[place]
        else:
            rate = book.rates(pair.quote, moments[place : place + 1])[0]
            ours = moved[place] * pair.contract_size * rate
            tolerance += _RATE_SHARE * abs(theirs)
            note = f"no quotes lead from {pair.quote} to {account}" if np.isnan(rate) else ""
        rows.append((f"position {ticket} profit", theirs, round(float(ours), 2), tolerance, note))
    return rows
