"""Execution quality: each fill compared with the market at and after it, and the life of each order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.analytics.conversion import QuoteLookup, side_signs, to_seconds
from fxlive.analytics.inputs import Floats, Micros, check_columns, floats, received_us, texts, times_us
from fxlive.analytics.time_grid import DAY_US
from fxlive.core.arguments import as_list
from fxlive.core.dtypes import STR, UTC
from fxlive.core.instruments import Instruments
from fxlive.core.timestamps import NAT
from fxlive.errors import InvalidFrame, UnknownOption
from fxlive.wire.statuses import is_ended_order

HORIZONS = ("1s", "5s", "30s", "5min")
_FILLS = ("execution_id", "ticket", "symbol", "action", "volume", "open_price", "status", "executed_at", "strategy_id",
          "connection_id")  # fmt: skip
_ORDERS = ("order_id", "ticket", "symbol", "order_type", "volume", "price", "status", "filled_at", "fill_price",
           "filled_volume", "strategy_id")  # fmt: skip
_MATCH_US = 1_000_000


def execution(
    trades: pd.DataFrame,
    orders: pd.DataFrame | None,
    quotes: pd.DataFrame,
    *,
    horizons: Sequence[str] = HORIZONS,
    realised_after: str = "30s",
    max_quote_age: str = "60s",
    instruments: Instruments | None = None,
) -> pd.DataFrame:
    """Return each fill compared with the market: slippage, effective and realized spread, and markouts.

    The market at a fill is the symbol's last quote before it. A quote with the timestamp of the fill counts only if it
    was received before the fill (`received_at` of both): else it may show what the fill did to the market. The market
    at a time after the fill is the last quote at or before that time. If that quote is older than `max_quote_age`, or
    the quotes end before that time, the figure is NaN. Below, s is 1 for a buy and -1 for a sell, and a pip is the
    instrument's.

    Parameters
    ----------
    trades
        Rows of trades, indexed by timestamps with a time zone: `execution_id`, `ticket`, `symbol`, `action`
        (``"BUY"`` or ``"SELL"``), `volume` (lots), `open_price`, `status`, `executed_at`, `strategy_id`,
        `connection_id`. Of an execution that is reported several times, the last report counts.
    orders
        Rows of orders, or None, indexed likewise: `order_id`, `ticket`, `symbol`, `order_type` (such as
        ``"BUY_LIMIT"``), `volume`, `price`, `status`, `filled_at`, `fill_price`, `filled_volume`, `strategy_id`. A fill
        belongs to the last order of its ticket and side that was filled at the same time, or up to 1 s before at the
        same price.
    quotes
        Rows of market-data of any symbols, indexed likewise: `symbol`, `bid`, `ask`.
    horizons
        The times after a fill at which to compute markouts, each at most 30 days.
    realised_after
        The time after a fill of the mid price used for `realised_spread_pips`.
    max_quote_age
        The greatest age of a quote that is used.
    instruments
        Pips, contract sizes and the account's currency. Default: the market's conventions, and USD.

    Returns
    -------
    DataFrame
        A row for each execution, sorted by its index `timestamp` (``datetime64[us, UTC]``), which is `executed_at`, or
        the message timestamp if that is missing. The columns `execution_id`, `ticket`, `symbol`, `action`, `volume`
        (lots), `price`, `status`, `strategy_id`, `connection_id`, `order_id`, `order_type`, `order_price`, and as
        float64:

        - `bid`, `ask`, `mid`: the quote at the fill. `quote_age_s`: its age, also if it is too old to be used.
          `spread_pips`: (ask - bid) / pip.
        - `slippage_pips`: s * (price - ask for a buy, bid for a sell) / pip; positive is a cost.
        - `slippage`: the same as money in the account's currency.
        - `effective_spread_pips`: 2 * s * (price - mid) / pip (SEC Rule 605); positive is a cost.
        - `realised_spread_pips`: 2 * s * (price - mid after `realised_after`) / pip (Huang & Stoll 1996): the part of
          the effective spread that the counterparty kept.
        - `markout_1s_pips` and so on, by horizon: s * (mid after that time - price) / pip; positive if the market moved
          in favour of the fill.

    Raises
    ------
    InvalidFrame
        If an index does not consist of timestamps with a time zone, or a column has values of the wrong kind.
    UnknownColumn
        If a column is missing.
    UnknownOption
        If a horizon, `realised_after` or `max_quote_age` is not a duration of at most 30 days.

    Examples
    --------
    >>> when = pd.to_datetime(["2024-01-01T00:00Z"])
    >>> quoted = when - pd.Timedelta("1s")
    >>> quotes = pd.DataFrame({"symbol": "EURUSD", "bid": [1.0850], "ask": [1.0851]}, index=quoted)
    >>> trades = pd.DataFrame(
    ...     {"execution_id": "e1", "ticket": 7, "symbol": "EURUSD", "action": "BUY", "volume": 0.1,
    ...      "open_price": 1.08512, "status": "FILLED", "executed_at": when, "strategy_id": "s1",
    ...      "connection_id": "c1"}, index=when
    ... )
    >>> fills = execution(trades, None, quotes)
    >>> fills[["slippage_pips", "slippage", "effective_spread_pips"]].round(2).iloc[0].tolist()
    [0.2, 0.2, 1.4]
    """
    check_columns(trades, "trades", *_FILLS)
    horizons = as_list("horizons", horizons, 'times such as ("1s", "30s")')
    spans = {horizon: _span_us("horizon", horizon) for horizon in horizons}
    spans[realised_after] = _span_us("realised_after", realised_after)
    max_age_us = _span_us("max_quote_age", max_quote_age)
    lookup = QuoteLookup(quotes, instruments)
    reports = trades.assign(
        reported_at=times_us(trades, "trades"), first_received=_first_receipts(trades, "execution_id")
    )
    last = reports.sort_values("reported_at", kind="stable").drop_duplicates("execution_id", keep="last")
    executed = _column_us(last["executed_at"])
    last = last.assign(at=np.where(executed == NAT, last["reported_at"], executed)).sort_values("at", kind="stable")
    at, side = last["at"].to_numpy(np.int64), side_signs(last, "action")
    price, volume = floats(last, "open_price"), np.abs(floats(last, "volume"))
    received = last["first_received"].to_numpy(np.int64)

    mid_after = {name: np.full(len(last), np.nan) for name in spans}
    bid, ask, rate = (np.full(len(last), np.nan) for _ in range(3))
    pip, contract_size = (np.full(len(last), np.nan) for _ in range(2))
    quoted = np.zeros(len(last), np.int64)
    for symbol, rows in _rows_by_symbol(last["symbol"]).items():
        pair, times = lookup.instrument(symbol), at[rows]
        bid[rows], ask[rows], quoted[rows] = _quote_at(lookup, symbol, times, max_age_us, received=received[rows])
        for name, span in spans.items():
            bid_after, ask_after, _ = _quote_at(lookup, symbol, times + span, max_age_us)
            covered = times + span <= lookup.last_time(symbol)
            mid_after[name][rows] = np.where(covered, (bid_after + ask_after) / 2, np.nan)
        if pair is not None:
            pip[rows], contract_size[rows] = pair.pip, pair.contract_size
            rate[rows] = lookup.rates(pair.quote, times, received=received[rows])
    mid = (bid + ask) / 2
    slippage = side * (price - np.where(side > 0, ask, bid))
    figures = {
        "bid": bid,
        "ask": ask,
        "mid": mid,
        "quote_age_s": np.where(quoted == 0, np.nan, to_seconds(at - quoted)),
        "spread_pips": (ask - bid) / pip,
        "slippage_pips": slippage / pip,
        "slippage": slippage * volume * contract_size * rate,
        "effective_spread_pips": 2 * side * (price - mid) / pip,
        "realised_spread_pips": 2 * side * (price - mid_after[realised_after]) / pip,
        **{f"markout_{name}_pips": side * (mid_after[name] - price) / pip for name in horizons},
    }
    fills = last[[c for c in _FILLS if c != "executed_at"]].rename(columns={"open_price": "price"})
    index = pd.DatetimeIndex(pd.array(at, dtype=UTC), name="timestamp")
    columns = [fills.reset_index(drop=True), _orders_of(last, at, side, orders), pd.DataFrame(figures)]
    return pd.concat(columns, axis=1).set_index(index)


def order_life(orders: pd.DataFrame, quotes: pd.DataFrame, *, instruments: Instruments | None = None) -> pd.DataFrame:
    """Return the life of each order: time to fill, filled share, and distance from the market when it was placed.

    Parameters
    ----------
    orders
        Rows of orders in the order of arrival, indexed by timestamps with a time zone: `order_id`, `ticket`, `symbol`,
        `order_type`, `volume` (lots), `price`, `status`, `filled_at`, `fill_price`, `filled_volume` (lots),
        `strategy_id`.
    quotes
        Rows of market-data of any symbols, indexed likewise: `symbol`, `bid`, `ask`.
    instruments
        Pip sizes. Default: the market's conventions.

    Returns
    -------
    DataFrame
        A row for each order, indexed by `order_id`, in the order of their first reports:

        - `ticket`, `symbol`, `order_type`, `strategy_id`, `price`, `volume`, `status`: as last reported.
        - `placed_at`: the timestamp of its first report. `filled_at`: its last fill, NaT if there is none. Both
          ``datetime64[us, UTC]``. `ended` (bool): whether its status is final.
        - `time_to_fill_s` (float64): filled_at - placed_at; 0 for an order whose first report is its fill.
        - `filled_share` (float64): filled volume / volume.
        - `distance_pips` (float64): how far the market was from the order's price by the last quote before it was
          placed: ask - price for a buy limit, price - bid for a sell limit, price - ask for a buy stop, bid - price for
          a sell stop, NaN for other orders. Negative: the market had passed the price.

    Raises
    ------
    InvalidFrame
        If an index does not consist of timestamps with a time zone, or a column has values of the wrong kind.
    UnknownColumn
        If a column is missing.

    Examples
    --------
    >>> when = pd.to_datetime(["2024-01-01T00:00:00Z", "2024-01-01T00:00:05Z"])
    >>> quoted = when[:1] - pd.Timedelta("1s")
    >>> quotes = pd.DataFrame({"symbol": "EURUSD", "bid": [1.0850], "ask": [1.0851]}, index=quoted)
    >>> orders = pd.DataFrame(
    ...     {"order_id": "o1", "ticket": pd.array([None, 7], "Int64"), "symbol": "EURUSD", "order_type": "BUY_LIMIT",
    ...      "volume": 0.1, "price": 1.0848, "status": ["PENDING", "FILLED"], "filled_at": [pd.NaT, when[1]],
    ...      "fill_price": [None, 1.0848], "filled_volume": [0.0, 0.1], "strategy_id": "s1"}, index=when
    ... )
    >>> order_life(orders, quotes)[["time_to_fill_s", "filled_share", "distance_pips"]].round(2).iloc[0].tolist()
    [5.0, 1.0, 3.0]
    """
    check_columns(orders, "orders", *_ORDERS)
    lookup = QuoteLookup(quotes, instruments)
    reports = orders.assign(
        reported_at=times_us(orders, "orders"), first_received=_first_receipts(orders, "order_id")
    ).sort_values("reported_at", kind="stable")
    first, last = reports.drop_duplicates("order_id"), reports.drop_duplicates("order_id", keep="last")
    last = last.set_index("order_id").loc[first["order_id"]]
    placed, filled = first["reported_at"].to_numpy(np.int64), _column_us(last["filled_at"])
    received = first["first_received"].to_numpy(np.int64)
    order_type = last["order_type"].astype(STR).fillna("")
    side, price = side_signs(last, "order_type"), floats(last, "price")
    bid, ask, pip = (np.full(len(last), np.nan) for _ in range(3))
    for symbol, rows in _rows_by_symbol(last["symbol"]).items():
        pair = lookup.instrument(symbol)
        bid[rows], ask[rows], _ = lookup.at(symbol, placed[rows], received=received[rows])
        pip[rows] = np.nan if pair is None else pair.pip
    distance = np.where(side > 0, ask - price, price - bid)
    is_limit, is_stop = (order_type.str.endswith(kind).to_numpy(bool) for kind in ("_LIMIT", "_STOP"))
    volume, filled_volume = (np.abs(floats(last, name)) for name in ("volume", "filled_volume"))
    frame = last[["ticket", "symbol", "order_type", "strategy_id", "price", "volume", "status"]].copy()
    frame["placed_at"] = pd.array(placed, dtype=UTC)
    frame["filled_at"] = pd.array(filled, dtype=UTC)
    frame["ended"] = np.array([is_ended_order(status) for status in texts(last, "status")], bool)
    took = to_seconds(np.where(filled == NAT, placed, filled) - placed)
    frame["time_to_fill_s"] = np.where(filled == NAT, np.nan, took)
    frame["filled_share"] = np.divide(filled_volume, volume, out=np.full(len(volume), np.nan), where=volume > 0)
    frame["distance_pips"] = np.where(is_limit, distance, np.where(is_stop, -distance, np.nan)) / pip
    return frame


def _orders_of(fills: pd.DataFrame, at: Micros, side: Floats, orders: pd.DataFrame | None) -> pd.DataFrame:
    """Return `order_id`, `order_type` and `order_price` of each fill; missing if its order is unknown."""
    if orders is not None:
        check_columns(orders, "orders", *_ORDERS)
        times_us(orders, "orders")
        orders = orders[orders["fill_price"].notna() & orders["ticket"].notna()]
    if orders is None or not len(orders) or not len(fills):
        missing = {"order_id": pd.array([None] * len(fills), STR), "order_type": pd.array([None] * len(fills), STR)}
        return pd.DataFrame({**missing, "order_price": np.full(len(fills), np.nan)})
    filled, reported = _column_us(orders["filled_at"]), times_us(orders, "orders")
    filled_orders = pd.DataFrame(
        {
            "at": np.where(filled == NAT, reported, filled),
            "ticket": orders["ticket"].to_numpy(np.int64),
            "side": side_signs(orders, "order_type"),
            "order_id": orders["order_id"].astype(STR).to_numpy(),
            "order_type": orders["order_type"].astype(STR).to_numpy(),
            "order_price": floats(orders, "price"),
            "filled_at": np.where(filled == NAT, reported, filled),
            "fill_price": floats(orders, "fill_price"),
        }
    ).dropna(subset="side")
    executions = pd.DataFrame({"at": at, "ticket": fills["ticket"].to_numpy(np.int64, na_value=-1), "side": side})
    executions = executions.assign(row=np.arange(len(executions))).fillna({"side": 0.0})
    joined = pd.merge_asof(
        executions,
        filled_orders.sort_values("at", kind="stable"),
        on="at",
        by=["ticket", "side"],
        tolerance=_MATCH_US,
    )
    joined = joined.sort_values("row").reset_index(drop=True)
    # A stop that fills shortly after an order, at another price, does not belong to it.
    matches = (joined["filled_at"] == joined["at"]) | (joined["fill_price"] == floats(fills, "open_price"))
    columns = joined[["order_id", "order_type", "order_price"]].where(matches)
    return columns.astype({"order_id": STR, "order_type": STR})


def _quote_at(
    lookup: QuoteLookup, symbol: str, times: Micros, max_age_us: int, *, received: Micros | None = None
) -> tuple[Floats, Floats, Micros]:
    """Return bid, ask and timestamp of the quote at each time; the prices are NaN if the quote is too old."""
    bid, ask, quoted = lookup.at(symbol, times, received=received)
    stale = times - quoted > max_age_us
    return np.where(stale, np.nan, bid), np.where(stale, np.nan, ask), quoted


def _first_receipts(reports: pd.DataFrame, key: str) -> Micros:
    """Return, for each row, when its key was received first, in microseconds."""
    receipts = pd.DataFrame({"key": reports[key].array, "received": received_us(reports)})
    first: Micros = receipts.groupby("key", dropna=False, observed=True)["received"].transform("min").to_numpy(np.int64)
    return first


def _rows_by_symbol(symbols: pd.Series[str]) -> Mapping[str, npt.NDArray[np.intp]]:
    """Return the row numbers of each symbol."""
    codes, names = pd.factorize(symbols)
    return {str(name): np.flatnonzero(codes == code) for code, name in enumerate(names)}


def _column_us(times: pd.Series[pd.Timestamp]) -> Micros:
    """Return a column of timestamps as microseconds since 1970 UTC, NAT for missing values."""
    try:
        index = pd.DatetimeIndex(pd.to_datetime(times, utc=True, format="ISO8601")).as_unit("us")
    except (ValueError, TypeError) as error:
        raise InvalidFrame(f"column {times.name!r}", f"must contain timestamps: {error}") from error
    micros: Micros = index.asi8
    return micros


def _span_us(option: str, value: str) -> int:
    """Return a duration in microseconds; raises UnknownOption if it is not above 0 and at most 30 days."""
    try:
        span = int(pd.Timedelta(value) / pd.Timedelta("1us"))
    except (ValueError, TypeError):
        span = 0
    if not 0 < span <= 30 * DAY_US:
        raise UnknownOption(option, value, ('a duration of at most 30 days, such as "30s"',))
    return span
