"""Exposure of the open positions by symbol and by currency, and the effect of market moves on their profit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from fxlive.analytics.conversion import QuoteLookup, newest_positions, side_signs
from fxlive.analytics.inputs import Floats, check_columns, floats, texts, times_us
from fxlive.core.arguments import as_list, number
from fxlive.core.dtypes import STR
from fxlive.core.instruments import Instrument, Instruments
from fxlive.core.shown_text import printable_lines
from fxlive.tables.open_rows.partly_closed import PARTLY_CLOSED, open_shares
from fxlive.tables.open_rows.unconfirmed import Unconfirmed, are_unconfirmed, check_unconfirmed, reason

SHOCKS_PCT = (-5.0, -2.0, -1.0, 1.0, 2.0, 5.0)
MARGIN_CALL_PCT = 100.0
_MOVES = "moves above -100, in percent, such as (-2, 2)"


@dataclass(frozen=True)
class Exposure:
    """The exposure of the open positions, as `exposure` returns it. Money is in the account's currency.

    Displays itself as small tables, in text and in HTML.

    Parameters
    ----------
    by_symbol
        DataFrame (float64) indexed by `symbol`: `net_lots` (bought minus sold), `gross_lots`, `net` and `gross` (the
        same as money, by the value of the base currency), `unrealized`, `margin`.
    by_currency
        DataFrame (float64) indexed by `currency`: `net` and `gross` in units of that currency, `rate` (the value of one
        unit), `net_value`, `gross_value`, and `up_1pct`: the change of profit when that currency rises by 1 % against
        all others, as in `shocks`. For the account's currency it is the loss from all others falling to 1 / 1.01 of
        their value.
    shocks
        DataFrame (float64) indexed by `shock_pct`, with a column for each currency: the change of unrealized profit
        when that currency moves by so many percent against all others.
    totals
        Series (float64): `unrealized` and `margin` of all positions; `gross` (sum over symbols; NaN if a symbol is
        `missing`, because the sum would be too small); `equity`; `leverage` (gross / equity); `margin_level` (equity in
        percent of margin); `to_margin_call` (the loss of equity at which the margin level is the margin call level) and
        `to_margin_call_pct` (the same in percent of `gross`). `margin` and what follows from it are NaN if the margin
        of a position is missing.
    missing
        Symbols that are in no row of `by_symbol`, `by_currency` and `shocks`: they cannot be converted into the
        account's currency, are not known instruments, or have a position without side, volume or opening price.
    reasons
        What limits a figure of `totals`, in words, such as positions that no message has confirmed since the last gap.

    Examples
    --------
    Gold is not a currency pair, so its exposure is unknown without an entry in `instruments`.

    >>> now = pd.to_datetime(["2024-01-01T00:00Z"])
    >>> positions = pd.DataFrame(
    ...     {"ticket": 1, "symbol": "XAUUSD", "type": "BUY", "volume": 0.1, "open_price": 2000.0, "profit": 50.0,
    ...      "unrealized_pnl": 50.0, "margin": 200.0, "margin_level": 5000.0}, index=now
    ... )
    >>> quotes = pd.DataFrame({"symbol": ["XAUUSD"], "bid": 2005.0, "ask": 2005.0}, index=now)
    >>> result = exposure(positions, quotes)
    >>> result.missing, result.totals[["unrealized", "equity", "gross"]].to_list()
    (('XAUUSD',), [50.0, 10000.0, nan])
    """

    by_symbol: pd.DataFrame
    by_currency: pd.DataFrame
    shocks: pd.DataFrame
    totals: pd.Series[float]
    missing: tuple[str, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def partly_closed(self) -> dict[int, float]:
        """The lots that count of each partly closed position, by ticket. Its newest row has a larger volume."""
        return dict(self.totals.attrs.get(PARTLY_CLOSED, {}))

    def __repr__(self) -> str:
        parts = [f"<Exposure: {_headline(self)}>"]
        for title, table in _tables(self):
            text = table.to_string(**_format(table), line_width=120, index=title != "totals")
            parts += ["", f"{title}:", *(line.rstrip() for line in text.split("\n"))]
        return printable_lines("\n".join(parts))

    def _repr_html_(self) -> str:
        parts = [f"<div><b>Exposure</b> {escape(_headline(self))}</div>"]
        for title, table in _tables(self):
            html = table.to_html(**_format(table), border=0, index=title != "totals")  # escapes symbols from the wire
            parts.append(f"<div>{title}</div>{html}")
        return "".join(parts)


def exposure(
    positions: pd.DataFrame,
    quotes: pd.DataFrame,
    *,
    equity: float | None = None,
    shocks_pct: Sequence[float] = SHOCKS_PCT,
    margin_call_pct: float = MARGIN_CALL_PCT,
    instruments: Instruments | None = None,
    unconfirmed: Unconfirmed = "include",
    trades: pd.DataFrame | None = None,
) -> Exposure:
    """Return the exposure of the open positions by symbol and by currency, and what market moves would change.

    A position has two legs: one lot of EURUSD bought at 1.08 is 100,000 EUR held and 108,000 USD owed. The second leg
    is valued at the opening price, which is the amount owed. So the legs of all positions, at current rates, add up to
    the unrealized profit, and a move of a currency acts on exactly its net amount.

    Rates are mid prices of the newest quotes, through the fewest pairs that lead to the account's currency. A symbol
    without a quote is valued at the newest `current_price` of its positions, which is half a spread away from the mid.

    Parameters
    ----------
    positions
        Rows of positions, indexed by timestamps with a time zone, or their `latest`: `ticket`, `symbol`, `type`
        (``"BUY"`` or ``"SELL"``), `volume` (lots; its sign is ignored), `open_price`, `profit`, `unrealized_pnl`,
        `margin` (money), `margin_level` (percent), and optionally `current_price`. The newest row of each ticket
        counts; a position with volume 0 is closed.
    quotes
        Rows of market-data of any symbols, indexed likewise, or their `latest`: `symbol`, `bid`, `ask`.
    equity
        The account's equity, in its currency. Default: derived from the newest `margin_level` of a position, as that
        percentage of the sum of all margins; NaN if there is none.
    shocks_pct
        The moves of `shocks`, in percent, each above -100.
    margin_call_pct
        The margin level, in percent, at which the platform issues a margin call.
    instruments
        Pips, contract sizes and the account's currency. Default: the market's conventions, and USD.
    unconfirmed
        Whether positions count that no message has confirmed since the last gap, if `positions` has the column
        `confirmed` of `latest`. ``"include"``: they may still be open, so their risk counts, and `reasons` names them.
        ``"exclude"``: they are left out, and named, too.
    trades
        Rows of trades, indexed likewise: `execution_id`, `ticket`, `volume`, `status`, and optionally `action`. Of a
        position that trades later than its newest row have closed in part, the rest counts: its volume, unrealized
        profit and margin are reduced by the closed share, as in `pnl`. `partly_closed` and the display name it.

    Returns
    -------
    Exposure
        The tables `by_symbol`, `by_currency`, `shocks`, the Series `totals`, and the tuple `missing`.

    Raises
    ------
    InvalidFrame
        If an index does not consist of timestamps with a time zone, a ticket is missing, or a column has values of the
        wrong kind.
    UnknownColumn
        If a column is missing.
    UnknownOption
        If an option is not a number, or a move is not above -100 %.

    Examples
    --------
    >>> now = pd.to_datetime(["2024-01-01T00:00Z"])
    >>> positions = pd.DataFrame(
    ...     {"ticket": 1, "symbol": "EURUSD", "type": "BUY", "volume": 0.1, "open_price": 1.085, "unrealized_pnl": 10.0,
    ...      "profit": 10.0, "margin": 100.0, "margin_level": 10050.0}, index=now
    ... )
    >>> quotes = pd.DataFrame({"symbol": ["EURUSD"], "bid": 1.0860, "ask": 1.0860}, index=now)
    >>> result = exposure(positions, quotes)
    >>> result.by_currency["net"].round(2).to_dict(), float(result.totals["equity"])
    ({'EUR': 10000.0, 'USD': -10850.0}, 10050.0)
    """
    columns = ("symbol", "type", "volume", "open_price", "profit", "unrealized_pnl", "margin", "margin_level")
    newest = newest_positions(positions, *columns)
    shocks_pct = as_list("shocks_pct", shocks_pct, _MOVES)
    for pct in shocks_pct:
        number("shocks_pct", pct, _MOVES, above=-100)
    if equity is not None:
        number("equity", equity, "an amount in the account's currency", above=-math.inf)
    check_unconfirmed(unconfirmed)
    text = reason(newest, unconfirmed)
    if unconfirmed == "exclude":
        newest = newest[~are_unconfirmed(newest)]
    number("margin_call_pct", margin_call_pct, "a number of percent, such as 100", above=-math.inf)
    if trades is not None:
        check_columns(trades, "trades", "execution_id", "ticket", "volume", "status")
        times_us(trades, "trades")
        trades = None if trades.empty or newest.empty else trades
    if trades is not None:
        check_columns(newest, "positions", "timestamp")
    equity = _reported_equity(newest, trades) if equity is None else equity
    newest, partly_closed = _remaining(newest, trades)
    lookup = QuoteLookup(quotes, instruments, newest)
    legs, missing = _legs(newest, lookup)
    by_currency = _by_currency(legs, lookup)
    by_symbol = _by_symbol(newest, legs)
    rates = by_currency["rate"]
    shocks = pd.DataFrame(
        {
            c: [_shock(legs, rates, c, pct, lookup.instruments.account_currency) for pct in shocks_pct]
            for c in rates.index
        },
        index=pd.Index(shocks_pct, dtype="float64", name="shock_pct"),
        dtype="float64",
    )
    gross = math.nan if missing else float(by_symbol["gross"].sum())
    totals = _totals(newest, gross, equity, margin_call_pct)
    for result in (by_symbol, by_currency, shocks, totals) if partly_closed else ():
        result.attrs[PARTLY_CLOSED] = partly_closed
    if text is not None:
        for table in (by_symbol, by_currency, shocks):
            table.attrs["reasons"] = dict.fromkeys(table.columns, text)
        totals.attrs["reasons"] = dict.fromkeys(totals.index, text)
    return Exposure(by_symbol, by_currency, shocks, totals, tuple(missing), totals.attrs.get("reasons", {}))


def _headline(exposure: Exposure) -> str:
    count = len(exposure.by_symbol)
    missing = f"; not counted, see `missing`: {', '.join(exposure.missing)}" if exposure.missing else ""
    reasons = "".join(f"; {text}" for text in dict.fromkeys(exposure.reasons.values()))
    tickets = len(exposure.partly_closed)
    rest = f"; of {tickets} partly closed position{'' if tickets == 1 else 's'} the rest counts" if tickets else ""
    return f"{count} symbol{'' if count == 1 else 's'}, money in the account's currency{missing}{rest}{reasons}"


def _tables(exposure: Exposure) -> list[tuple[str, pd.DataFrame]]:
    """Return the tables that are not empty, each with its title."""
    tables = {
        "totals": exposure.totals.to_frame().T,
        "by_symbol": exposure.by_symbol,
        "by_currency": exposure.by_currency,
        "shocks": exposure.shocks,
    }
    return [(title, table) for title, table in tables.items() if not table.empty]


def _format(table: pd.DataFrame) -> dict[str, Any]:
    """Return pandas' display options for a table: at most 20 rows, rates with six digits, missing values as a dash."""
    rates = {"rate": "{:,.6g}".format} if "rate" in table.columns else None
    return {"max_rows": 20, "na_rep": "-", "float_format": "{:,.2f}".format, "formatters": rates}


@dataclass(frozen=True)
class _Legs:
    """The two legs of a position: `units` of the base (negative: sold), at `price` in the quote currency."""

    pair: Instrument
    lots: float
    units: float
    price: float
    base_rate: float


def _legs(positions: pd.DataFrame, lookup: QuoteLookup) -> tuple[list[_Legs | None], list[str]]:
    """Return the legs of each position, None if they cannot be valued, and the symbols of those, sorted."""
    signed = side_signs(positions, "type") * np.abs(floats(positions, "volume"))
    legs: list[_Legs | None] = []
    missing: set[str] = set()
    prices = floats(positions, "open_price")
    for symbol, lots, price in zip(texts(positions, "symbol"), signed.tolist(), prices, strict=True):
        pair = None if symbol is None else lookup.instrument(symbol)
        rates = (math.nan,) * 2 if pair is None else (lookup.rate(pair.base), lookup.rate(pair.quote))
        if pair is None or not all(map(math.isfinite, (*rates, lots, price))):
            missing.add(str(symbol))
            legs.append(None)
        else:
            legs.append(_Legs(pair, lots, lots * pair.contract_size, float(price), rates[0]))
    return legs, sorted(missing)


def _by_currency(legs: list[_Legs | None], lookup: QuoteLookup) -> pd.DataFrame:
    net: dict[str, float] = {}
    gross: dict[str, float] = {}
    for leg in legs:
        if leg is not None:
            for currency, amount in ((leg.pair.base, leg.units), (leg.pair.quote, -leg.units * leg.price)):
                net[currency] = net.get(currency, 0.0) + amount
                gross[currency] = gross.get(currency, 0.0) + abs(amount)
    currencies = sorted(net)
    rate = np.array([lookup.rate(c) for c in currencies], np.float64)
    frame = pd.DataFrame(
        {"net": [net[c] for c in currencies], "gross": [gross[c] for c in currencies], "rate": rate},
        index=pd.Index(currencies, dtype=STR, name="currency"),
        dtype="float64",
    )
    frame["net_value"] = frame["net"] * frame["rate"]
    frame["gross_value"] = frame["gross"] * frame["rate"]
    account_currency = lookup.instruments.account_currency
    others = frame["net_value"].drop(account_currency, errors="ignore").sum()
    frame["up_1pct"] = np.where(frame.index == account_currency, others * (1 / 1.01 - 1), frame["net_value"] / 100)
    return frame


def _by_symbol(positions: pd.DataFrame, legs: list[_Legs | None]) -> pd.DataFrame:
    is_valued = [leg is not None for leg in legs]
    valued = [leg for leg in legs if leg is not None]
    lots = np.array([leg.lots for leg in valued], np.float64)
    value = np.array([leg.units * leg.base_rate for leg in valued], np.float64)
    rows = pd.DataFrame(
        {
            "net_lots": lots,
            "gross_lots": np.abs(lots),
            "net": value,
            "gross": np.abs(value),
            "unrealized": _unrealized(positions)[is_valued],
            "margin": np.nan_to_num(floats(positions, "margin")[is_valued]),
        }
    )
    return rows.groupby(pd.Index([leg.pair.symbol for leg in valued], dtype=STR, name="symbol")).sum()


def _unrealized(positions: pd.DataFrame) -> Floats:
    unrealized = floats(positions, "unrealized_pnl")
    return np.nan_to_num(np.where(np.isnan(unrealized), floats(positions, "profit"), unrealized))


def _shock(legs: list[_Legs | None], rates: pd.Series[float], currency: str, pct: float, account: str) -> float:
    """Return the change of profit when a currency moves. If it is the account's, all others move against it."""
    factor = {c: 1 / (1 + pct / 100) if currency == account and c != account else 1.0 for c in rates.index}
    if currency != account:
        factor[currency] = 1 + pct / 100
    change = 0.0
    for leg in legs:
        if leg is not None:
            base, quote = leg.pair.base, leg.pair.quote
            change += leg.units * rates[base] * (factor[base] - 1) - leg.units * leg.price * rates[quote] * (
                factor[quote] - 1
            )
    return change


def _remaining(positions: pd.DataFrame, trades: pd.DataFrame | None) -> tuple[pd.DataFrame, dict[int, float]]:
    """Return the positions without what trades have closed, and the lots left of partly closed ones, by ticket."""
    if trades is None:
        return positions, {}
    shares = open_shares(positions, trades)
    reduced = {name: floats(positions, name) * shares for name in ("volume", "profit", "unrealized_pnl", "margin")}
    remaining = positions.assign(**reduced)[shares > 0]
    left = np.abs(floats(remaining, "volume"))[shares[shares > 0] < 1]
    tickets = positions.index[(shares > 0) & (shares < 1)]
    return remaining, dict(zip(tickets.tolist(), left.tolist(), strict=True))


def _totals(positions: pd.DataFrame, gross: float, equity: float, margin_call_pct: float) -> pd.Series[float]:
    margin = float(floats(positions, "margin").sum())
    to_margin_call = equity - margin * margin_call_pct / 100
    totals: dict[str, Any] = {
        "unrealized": float(_unrealized(positions).sum()),
        "gross": gross,
        "margin": margin,
        "equity": equity,
        "leverage": gross / equity if equity > 0 else math.nan,
        "margin_level": 100 * equity / margin if margin else math.nan,
        "to_margin_call": to_margin_call if margin else math.nan,
        "to_margin_call_pct": 100 * to_margin_call / gross if gross and margin else math.nan,
    }
    return pd.Series(totals, dtype="float64")


def _reported_equity(positions: pd.DataFrame, trades: pd.DataFrame | None) -> float:
    """Return the equity that follows from the newest reported margin level; NaN if no level was reported.

    The level is one of the margins at its time: those of positions that were partly closed later are taken in full.
    """
    reported = positions[positions["margin_level"].notna()]
    if not len(reported):
        return math.nan
    newest = reported["timestamp"].to_numpy().argmax() if "timestamp" in reported else -1
    margins = floats(positions, "margin")
    if trades is not None:
        margins = margins * open_shares(positions, trades, reported["timestamp"].iloc[newest])
    return float(reported["margin_level"].iloc[newest]) * float(margins.sum()) / 100
