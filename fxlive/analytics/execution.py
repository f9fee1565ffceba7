"""Execution quality: each fill beside the market at that moment and after it, and the lives of orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from fxlive.analytics.conversion import QuoteBook, seconds, sides
from fxlive.analytics.grid import DAY_US
from fxlive.analytics.inputs import Floats, Micros, check_columns, floats, times_us
from fxlive.core.arguments import as_list
from fxlive.core.dtypes import STR, UTC
from fxlive.core.instruments import Instruments
from fxlive.core.timestamps import NAT
from fxlive.errors import InvalidFrame, UnknownOption
from fxlive.wire.channels import FINAL_ORDER_STATUSES

HORIZONS = ("1s", "5s", "30s", "5min")
_FILLS = ("execution_id", "ticket", "symbol", "action", "volume", "open_price", "status", "executed_at", "strategy_id",
          "connection_id")  # fmt: skip
_ORDERS = ("order_id", "ticket", "symbol", "order_type", "volume", "price", "status", "filled_at", "fill_price",
           "filled_volume", "strategy_id")  # fmt: skip
_NEAR_US = 1_000_000


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
    """Return each fill beside the market: slippage, spreads paid, and what the market did after it.

    The market at a fill is the last quote of its symbol at or before it, that of a mark the last at or before its
    moment: where that quote is older than `max_quote_age`, or the quotes do not go that far, the figure is NaN, never
    made from the last price that happens to be known. s is 1 for a fill that buys and -1 for
    one that sells; a pip is the instrument's.

    Parameters
    ----------
    trades
        Rows of trades; of each execution the last word counts.
    orders
        Rows of orders, or None. A fill belongs to the order of its ticket and side that was last said to be filled: at
        its very time, or at its price within a second before it.
    quotes
        Rows of market-data.
    horizons
        Times after the fill to mark it out at.
    realised_after
        The time after the fill of the mid price behind `realised_spread_pips`.
    max_quote_age
        How old a quote may be that counts, at a fill and at each mark: in a gap of the quotes nobody knows the market.
    instruments
        Pips, contract sizes and the account's currency; default: the market's conventions, and USD.

    Returns
    -------
    DataFrame
        Indexed by `timestamp`, when it was executed (`executed_at`, else the envelope's), sorted by it, a row for each
        execution: `execution_id`, `ticket`, `symbol`, `action`, `volume` (lots), `price`, `status`, `strategy_id`,
        `connection_id`, `order_id`, `order_type`, `order_price`, and as float64:

        - `bid`, `ask`, `mid`, `quote_age_s`: the quote, and how old it was (also of one too old to count);
          `spread_pips`: (ask - bid) / pip;
        - `slippage_pips`: s * (price - the side it takes: ask for a buy, bid for a sell) / pip; positive is a cost;
        - `slippage`: the same as money in the account's currency;
        - `effective_spread_pips`: 2 * s * (price - mid) / pip (SEC Rule 605), positive is a cost;
        - `realised_spread_pips`: 2 * s * (price - mid after `realised_after`) / pip (Huang & Stoll 1996): what of it
          the other side kept;
        - `markout_1s_pips` and so on: s * (mid after that time - price) / pip; positive: the market moved our way.

    Raises
    ------
    InvalidFrame, UnknownColumn, UnknownOption
        For frames that cannot be counted, or horizons that are no times.

    Examples
    --------
    >>> when = pd.to_datetime(["2024-01-01T00:00Z"])
    >>> quotes = pd.DataFrame({"symbol": "EURUSD", "bid": [1.0850], "ask": [1.0851]}, index=when)
    >>> trades = pd.DataFrame(
    ...     {"execution_id": "e1", "ticket": 7, "symbol": "EURUSD", "action": "BUY", "volume": 0.1,
    ...      "open_price": 1.08512, "status": "FILLED", "executed_at": when, "strategy_id": "s1",
    ...      "connection_id": "c1"}, index=when
    ... )
    >>> told = execution(trades, None, quotes)
    >>> told[["slippage_pips", "slippage", "effective_spread_pips"]].round(2).iloc[0].tolist()
    [0.2, 0.2, 1.4]
    """
    check_columns(trades, "trades", *_FILLS)
    horizons = as_list("horizons", horizons, 'times such as ("1s", "30s")')
    spans = {horizon: _span_us(horizon) for horizon in horizons}
    spans[realised_after] = _span_us(realised_after, "realised_after")
    oldest = _span_us(max_quote_age, "max_quote_age")
    book = QuoteBook(quotes, instruments)
    said = trades.assign(said_at=times_us(trades, "trades"))
    last = said.sort_values("said_at", kind="stable").drop_duplicates("execution_id", keep="last")
    executed = _moments(last["executed_at"])
    last = last.assign(at=np.where(executed == NAT, last["said_at"], executed)).sort_values("at", kind="stable")
    at, side = last["at"].to_numpy(np.int64), sides(last, "action")
    price, volume = floats(last, "open_price"), floats(last, "volume")

    after = {name: np.full(len(last), np.nan) for name in spans}
    bid, ask, rate = (np.full(len(last), np.nan) for _ in range(3))
    pip, lot = (np.full(len(last), np.nan) for _ in range(2))
    quoted = np.zeros(len(last), np.int64)
    for symbol, places in _places(last["symbol"]).items():
        pair, moments = book.instrument(symbol), at[places]
        bid[places], ask[places], quoted[places] = _fresh(book, symbol, moments, oldest)
        for name, span in spans.items():
            then_bid, then_ask, _ = _fresh(book, symbol, moments + span, oldest)
            after[name][places] = np.where(moments + span <= book.until(symbol), (then_bid + then_ask) / 2, np.nan)
        if pair is not None:
            pip[places], lot[places] = pair.pip, pair.contract_size
            rate[places] = book.rates(pair.quote, moments)
    mid = (bid + ask) / 2
    slipped = side * (price - np.where(side > 0, ask, bid))
    figures = {
        "bid": bid,
        "ask": ask,
        "mid": mid,
        "quote_age_s": np.where(quoted == 0, np.nan, seconds(at - quoted)),
        "spread_pips": (ask - bid) / pip,
        "slippage_pips": slipped / pip,
        "slippage": slipped * volume * lot * rate,
        "effective_spread_pips": 2 * side * (price - mid) / pip,
        "realised_spread_pips": 2 * side * (price - after[realised_after]) / pip,
        **{f"markout_{name}_pips": side * (after[name] - price) / pip for name in horizons},
    }
    told = last[[c for c in _FILLS if c != "executed_at"]].rename(columns={"open_price": "price"})
    order = _orders_of(last, at, side, orders)
    index = pd.DatetimeIndex(pd.array(at, dtype=UTC), name="timestamp")
    frame = pd.concat([told.reset_index(drop=True), order, pd.DataFrame(figures)], axis=1)
    return frame.set_index(index)


def order_life(orders: pd.DataFrame, quotes: pd.DataFrame, *, instruments: Instruments | None = None) -> pd.DataFrame:
    """Return what became of each order: how long it took to fill, how much of it was, how far it stood from the market.

    Parameters
    ----------
    orders
        Rows of orders, in the order of arrival.
    quotes
        Rows of market-data.
    instruments
        What a pip is; default: the market's conventions.

    Returns
    -------
    DataFrame
        Indexed by `order_id`, in the order in which they were first heard of:

        - `ticket`, `symbol`, `order_type`, `strategy_id`, `price`, `volume`: as last said; `status` too;
        - `placed_at`: when it was first heard of; `filled_at`: its last fill, NaT without; `ended`: whether it works no
          more;
        - `time_to_fill_s`: from the one to the other (an order that is heard of when it is filled has 0);
        - `filled_share`: filled volume / volume;
        - `distance_pips`: how far the market had to come to its price when it was placed: ask - price for a buying
          limit, price - bid for a selling one, price - ask and bid - price for stops; NaN for any other order.
          Negative: the market was through it.

    Raises
    ------
    InvalidFrame, UnknownColumn
        For frames that cannot be counted.

    Examples
    --------
    >>> when = pd.to_datetime(["2024-01-01T00:00:00Z", "2024-01-01T00:00:05Z"])
    >>> quotes = pd.DataFrame({"symbol": "EURUSD", "bid": [1.0850], "ask": [1.0851]}, index=when[:1])
    >>> orders = pd.DataFrame(
    ...     {"order_id": "o1", "ticket": pd.array([None, 7], "Int64"), "symbol": "EURUSD", "order_type": "BUY_LIMIT",
    ...      "volume": 0.1, "price": 1.0848, "status": ["PENDING", "FILLED"], "filled_at": [pd.NaT, when[1]],
    ...      "fill_price": [None, 1.0848], "filled_volume": [0.0, 0.1], "strategy_id": "s1"}, index=when
    ... )
    >>> order_life(orders, quotes)[["time_to_fill_s", "filled_share", "distance_pips"]].round(2).iloc[0].tolist()
    [5.0, 1.0, 3.0]
    """
    check_columns(orders, "orders", *_ORDERS)
    book = QuoteBook(quotes, instruments)
    said = orders.assign(said_at=times_us(orders, "orders")).sort_values("said_at", kind="stable")
    first, last = said.drop_duplicates("order_id"), said.drop_duplicates("order_id", keep="last")
    last = last.set_index("order_id").loc[first["order_id"]]
    placed, filled = first["said_at"].to_numpy(np.int64), _moments(last["filled_at"])
    kind = last["order_type"].astype(STR).fillna("")
    side, price = sides(last, "order_type"), floats(last, "price")
    bid, ask, pip = (np.full(len(last), np.nan) for _ in range(3))
    for symbol, places in _places(last["symbol"]).items():
        pair = book.instrument(symbol)
        bid[places], ask[places], _ = book.at(symbol, placed[places])
        pip[places] = np.nan if pair is None else pair.pip
    away = np.where(side > 0, ask - price, price - bid)
    limit, stop = kind.str.endswith("_LIMIT").to_numpy(bool), kind.str.endswith("_STOP").to_numpy(bool)
    distance = np.where(limit, away, np.where(stop, -away, np.nan)) / pip
    volume, done = floats(last, "volume"), floats(last, "filled_volume")
    frame = last[["ticket", "symbol", "order_type", "strategy_id", "price", "volume", "status"]].copy()
    frame["placed_at"] = pd.array(placed, dtype=UTC)
    frame["filled_at"] = pd.array(filled, dtype=UTC)
    frame["ended"] = last["status"].astype(STR).str.upper().isin(FINAL_ORDER_STATUSES).to_numpy(bool)
    frame["time_to_fill_s"] = np.where(filled == NAT, np.nan, seconds(np.where(filled == NAT, placed, filled) - placed))
    frame["filled_share"] = np.divide(done, volume, out=np.full(len(volume), np.nan), where=volume > 0)
    frame["distance_pips"] = distance
    return frame


def _orders_of(fills: pd.DataFrame, at: Micros, side: Floats, orders: pd.DataFrame | None) -> pd.DataFrame:
    """Return `order_id`, `order_type` and `order_price` of each fill."""
    if orders is not None:
        check_columns(orders, "orders", *_ORDERS)
        times_us(orders, "orders")
        orders = orders[orders["fill_price"].notna() & orders["ticket"].notna()]
    if orders is None or not len(orders) or not len(fills):
        nothing = {"order_id": pd.array([None] * len(fills), STR), "order_type": pd.array([None] * len(fills), STR)}
        return pd.DataFrame({**nothing, "order_price": np.full(len(fills), np.nan)})
    filled, said = _moments(orders["filled_at"]), times_us(orders, "orders")
    theirs = pd.DataFrame(
        {
            "at": np.where(filled == NAT, said, filled),
            "ticket": orders["ticket"].to_numpy(np.int64),
            "side": sides(orders, "order_type"),
            "order_id": orders["order_id"].astype(STR).to_numpy(),
            "order_type": orders["order_type"].astype(STR).to_numpy(),
            "order_price": floats(orders, "price"),
            "filled_at": np.where(filled == NAT, said, filled),
            "fill_price": floats(orders, "fill_price"),
        }
    ).dropna(subset="side")
    ours = pd.DataFrame({"at": at, "ticket": fills["ticket"].to_numpy(np.int64, na_value=-1), "side": side})
    ours = ours.assign(row=np.arange(len(ours))).fillna({"side": 0.0})
    joined = pd.merge_asof(
        ours, theirs.sort_values("at", kind="stable"), on="at", by=["ticket", "side"], tolerance=_NEAR_US
    )
    joined = joined.sort_values("row").reset_index(drop=True)
    told = joined[["order_id", "order_type", "order_price"]]
    own = (joined["filled_at"] == joined["at"]) | (joined["fill_price"] == floats(fills, "open_price"))
    told = told.where(own)  # a stop that fills on the heels of an order is not of that order
    return told.astype({"order_id": STR, "order_type": STR})


def _fresh(book: QuoteBook, symbol: str, times: Micros, oldest_us: int) -> tuple[Floats, Floats, Micros]:
    """Return bid, ask and time of the quote at each time as `QuoteBook.at`, without the prices of one too old."""
    bid, ask, quoted = book.at(symbol, times)
    stale = times - quoted > oldest_us
    return np.where(stale, np.nan, bid), np.where(stale, np.nan, ask), quoted


def _places(symbols: pd.Series[str]) -> Mapping[str, npt.NDArray[np.intp]]:
    """Return the rows of each symbol."""
    codes, names = pd.factorize(symbols)
    return {str(name): np.flatnonzero(codes == code) for code, name in enumerate(names)}


def _moments(times: pd.Series[pd.Timestamp]) -> Micros:
    """Return a column of times as microseconds since 1970 UTC, NAT where one is missing."""
    try:
        moments = pd.DatetimeIndex(pd.to_datetime(times, utc=True, format="ISO8601")).as_unit("us")
    except (ValueError, TypeError) as error:
        raise InvalidFrame(f"column {times.name!r}", f"must hold times: {error}") from error
    micros: Micros = moments.asi8
    return micros


def _span_us(horizon: str, option: str = "horizon") -> int:
    try:
        span = int(pd.Timedelta(horizon) / pd.Timedelta("1us"))
    except (ValueError, TypeError):
        span = 0
    if not 0 < span <= 30 * DAY_US:
        raise UnknownOption(option, horizon, ('a time such as "30s"',))
    return span
