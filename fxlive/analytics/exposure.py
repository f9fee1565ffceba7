"""Exposure: what the open positions amount to, by symbol and by currency, and what moves of the market would do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from fxlive.analytics.conversion import QuoteBook, newest_positions, sides
from fxlive.analytics.inputs import Floats, floats, texts
from fxlive.core.arguments import as_list, number
from fxlive.core.dtypes import STR
from fxlive.core.instruments import Instrument, Instruments

SHOCKS_PCT = (-5.0, -2.0, -1.0, 1.0, 2.0, 5.0)
MARGIN_CALL_PCT = 100.0
_MOVES = "moves above -100, in percent, such as (-2, 2)"


@dataclass(frozen=True)
class Exposure:
    """What the open positions amount to; money in the account's currency.

    Parameters
    ----------
    by_symbol
        Indexed by `symbol`, all float64: `net_lots` (bought less sold), `gross_lots`, `net` and `gross` (the same as
        money, by the base currency's worth), `unrealized` and `margin`.
    by_currency
        Indexed by `currency`: `net` and `gross` in units of that currency, `rate` (what one is worth), `net_value`,
        `gross_value`, and `up_1pct`: what a rise of that currency by 1 % against all others brings, as in `shocks`: of
        the account's own, what it costs that all others are worth 1 / 1.01 of what they were.
    shocks
        Indexed by `shock_pct`, a column for each currency: what unrealized profit changes by when that currency moves
        so many percent.
    totals
        `unrealized` and `margin` of all positions (`margin` is NaN where one does not say its own); `gross` (sum of the
        symbols'; NaN while a symbol is `missing`, because it would be too small); `equity`; `leverage` (gross /
        equity); `margin_level` (equity in percent of margin); `to_margin_call` (how much equity may still be lost until
        the level is at `margin_call_pct`), and that in percent of `gross`.
    missing
        Symbols without a way to the account's currency, that are no pairs, or whose position lacks side, volume or
        opening price: they are in no row of `by_symbol`, `by_currency` and `shocks`.
    """

    by_symbol: pd.DataFrame
    by_currency: pd.DataFrame
    shocks: pd.DataFrame
    totals: pd.Series[float]
    missing: tuple[str, ...]

    def __repr__(self) -> str:
        parts = [f"<Exposure: {_headline(self)}>"]
        for title, table in _tables(self):
            shown = table.to_string(**_shown(table), line_width=120, index=title != "totals")
            parts += ["", f"{title}:", *(line.rstrip() for line in shown.splitlines())]
        return "\n".join(parts)

    def _repr_html_(self) -> str:
        parts = [f"<div><b>Exposure</b> {escape(_headline(self))}</div>"]
        for title, table in _tables(self):
            shown = table.to_html(
                **_shown(table), border=0, index=title != "totals"
            )  # which escapes names from the wire
            parts.append(f"<div>{title}</div>{shown}")
        return "".join(parts)


def exposure(
    positions: pd.DataFrame,
    quotes: pd.DataFrame,
    *,
    equity: float | None = None,
    shocks_pct: Sequence[float] = SHOCKS_PCT,
    margin_call_pct: float = MARGIN_CALL_PCT,
    instruments: Instruments | None = None,
) -> Exposure:
    """Return what the open positions amount to, by symbol and by currency.

    A position is two legs: one lot of EURUSD bought at 1.08 is 100,000 EUR held and 108,000 USD owed. The second leg is
    at the opening price, which is what is owed; so the legs of all positions, at today's rates, add up to the
    unrealized profit, and a currency's net is exactly what its moves are felt on. Rates are mid prices of the newest
    quotes, by the fewest pairs that lead to the account's currency. A symbol without a quote is taken at the newest
    `current_price` of its positions, which is half a spread away from the mid.

    Parameters
    ----------
    positions
        Rows of positions, or their `latest`; the newest row of each ticket counts, those with volume 0 are closed.
        `current_price` may be among the columns.
    quotes
        Rows of market-data, or their `latest`.
    equity
        Of the account. Default: what the newest position's `margin_level` says: that percent of all margin.
    shocks_pct
        The moves to work out, above -100.
    margin_call_pct
        The margin level at which the platform calls.
    instruments
        Pips, contract sizes and the account's currency; default: the market's conventions, and USD.

    Returns
    -------
    Exposure
        `by_symbol`, `by_currency`, `shocks`, `totals`, `missing`.

    Raises
    ------
    InvalidFrame, UnknownColumn, UnknownOption
        For frames that cannot be counted; for options that are none, such as a move by which a currency would be worth
        nothing.

    Examples
    --------
    >>> now = pd.to_datetime(["2024-01-01T00:00Z"])
    >>> positions = pd.DataFrame(
    ...     {"ticket": 1, "symbol": "EURUSD", "type": "BUY", "volume": 0.1, "open_price": 1.085, "unrealized_pnl": 10.0,
    ...      "profit": 10.0, "margin": 100.0, "margin_level": 10050.0}, index=now
    ... )
    >>> quotes = pd.DataFrame({"symbol": ["EURUSD"], "bid": 1.0860, "ask": 1.0860}, index=now)
    >>> told = exposure(positions, quotes)
    >>> told.by_currency["net"].round(2).to_dict(), float(told.totals["equity"])
    ({'EUR': 10000.0, 'USD': -10850.0}, 10050.0)
    """
    columns = ("symbol", "type", "volume", "open_price", "profit", "unrealized_pnl", "margin", "margin_level")
    held = newest_positions(positions, *columns)
    shocks_pct = as_list("shocks_pct", shocks_pct, _MOVES)
    for pct in shocks_pct:
        number("shocks_pct", pct, _MOVES, above=-100)
    if equity is not None:
        number("equity", equity, "an amount in the account's currency", above=-math.inf)
    number("margin_call_pct", margin_call_pct, "a number of percent, such as 100", above=-math.inf)
    book = QuoteBook(quotes, instruments, held)
    legs, missing = _legs(held, book)
    by_currency = _by_currency(legs, book)
    by_symbol = _by_symbol(held, legs)
    rates = by_currency["rate"]
    shocks = pd.DataFrame(
        {
            c: [_shocked(legs, rates, c, pct, book.instruments.account_currency) for pct in shocks_pct]
            for c in rates.index
        },
        index=pd.Index(shocks_pct, dtype="float64", name="shock_pct"),
        dtype="float64",
    )
    gross = math.nan if missing else float(by_symbol["gross"].sum())
    return Exposure(by_symbol, by_currency, shocks, _totals(held, gross, equity, margin_call_pct), tuple(missing))


def _headline(told: Exposure) -> str:
    open_in = f"{len(told.by_symbol)} symbols" if len(told.by_symbol) != 1 else "1 symbol"
    missing = f"; not counted, see `missing`: {', '.join(told.missing)}" if told.missing else ""
    return f"{open_in}, money in the account's currency{missing}"


def _tables(told: Exposure) -> list[tuple[str, pd.DataFrame]]:
    """Return what there is to show, each with its title."""
    totals = told.totals.to_frame().T
    tables = {"totals": totals, "by_symbol": told.by_symbol, "by_currency": told.by_currency, "shocks": told.shocks}
    return [(title, table) for title, table in tables.items() if not table.empty]


def _shown(table: pd.DataFrame) -> dict[str, Any]:
    """Return how pandas is to show a table: short, rates to six digits, what nobody knows as a dash."""
    rates = {"rate": "{:,.6g}".format} if "rate" in table.columns else None
    return {"max_rows": 20, "na_rep": "-", "float_format": "{:,.2f}".format, "formatters": rates}


@dataclass(frozen=True)
class _Leg:
    """A position's two legs: `units` of the base held (negative: sold), at `price` owed in the quote currency."""

    pair: Instrument
    lots: float
    units: float
    price: float
    base_rate: float


def _legs(held: pd.DataFrame, book: QuoteBook) -> tuple[list[_Leg | None], list[str]]:
    signed = sides(held, "type") * floats(held, "volume")
    legs: list[_Leg | None] = []
    missing: dict[str, None] = {}
    for symbol, lots, price in zip(texts(held, "symbol"), signed.tolist(), floats(held, "open_price"), strict=True):
        pair = None if symbol is None else book.instrument(symbol)
        rates = (math.nan,) * 2 if pair is None else (book.rate(pair.base), book.rate(pair.quote))
        if pair is None or not all(map(math.isfinite, (*rates, lots, price))):
            missing[str(symbol)] = None
            legs.append(None)
        else:
            legs.append(_Leg(pair, lots, lots * pair.contract_size, float(price), rates[0]))
    return legs, sorted(missing)


def _by_currency(legs: list[_Leg | None], book: QuoteBook) -> pd.DataFrame:
    net: dict[str, float] = {}
    gross: dict[str, float] = {}
    for leg in legs:
        if leg is not None:
            for currency, amount in ((leg.pair.base, leg.units), (leg.pair.quote, -leg.units * leg.price)):
                net[currency] = net.get(currency, 0.0) + amount
                gross[currency] = gross.get(currency, 0.0) + abs(amount)
    currencies = sorted(net)
    rate = np.array([book.rate(c) for c in currencies], np.float64)
    frame = pd.DataFrame(
        {"net": [net[c] for c in currencies], "gross": [gross[c] for c in currencies], "rate": rate},
        index=pd.Index(currencies, dtype=STR, name="currency"),
        dtype="float64",
    )
    frame["net_value"] = frame["net"] * frame["rate"]
    frame["gross_value"] = frame["gross"] * frame["rate"]
    others = frame["net_value"].drop(book.instruments.account_currency, errors="ignore").sum()
    own = frame.index == book.instruments.account_currency
    frame["up_1pct"] = np.where(own, others * (1 / 1.01 - 1), frame["net_value"] / 100)
    return frame


def _by_symbol(held: pd.DataFrame, legs: list[_Leg | None]) -> pd.DataFrame:
    known = [leg is not None for leg in legs]
    there = [leg for leg in legs if leg is not None]
    lots = np.array([leg.lots for leg in there], np.float64)
    worth = np.array([leg.units * leg.base_rate for leg in there], np.float64)
    rows = pd.DataFrame(
        {
            "net_lots": lots,
            "gross_lots": np.abs(lots),
            "net": worth,
            "gross": np.abs(worth),
            "unrealized": _unrealized(held)[known],
            "margin": np.nan_to_num(floats(held, "margin")[known]),
        }
    )
    return rows.groupby(pd.Index([leg.pair.symbol for leg in there], dtype=STR, name="symbol")).sum()


def _unrealized(held: pd.DataFrame) -> Floats:
    said = floats(held, "unrealized_pnl")
    return np.nan_to_num(np.where(np.isnan(said), floats(held, "profit"), said))


def _shocked(legs: list[_Leg | None], rates: pd.Series[float], currency: str, pct: float, own: str) -> float:
    """Return the change of profit when a currency moves; when the account's own does, all others move against it."""
    factor = {c: 1 / (1 + pct / 100) if currency == own and c != own else 1.0 for c in rates.index}
    if currency != own:
        factor[currency] = 1 + pct / 100
    change = 0.0
    for leg in legs:
        if leg is not None:
            base, quote = leg.pair.base, leg.pair.quote
            change += leg.units * rates[base] * (factor[base] - 1) - leg.units * leg.price * rates[quote] * (
                factor[quote] - 1
            )
    return change


def _totals(held: pd.DataFrame, gross: float, equity: float | None, margin_call_pct: float) -> pd.Series[float]:
    margin = float(floats(held, "margin").sum())
    if equity is None:
        equity = _said_equity(held, margin)
    left = equity - margin * margin_call_pct / 100
    totals: dict[str, Any] = {
        "unrealized": float(_unrealized(held).sum()),
        "gross": gross,
        "margin": margin,
        "equity": equity,
        "leverage": gross / equity if equity > 0 else math.nan,
        "margin_level": 100 * equity / margin if margin else math.nan,
        "to_margin_call": left if margin else math.nan,
        "to_margin_call_pct": 100 * left / gross if gross and margin else math.nan,
    }
    return pd.Series(totals, dtype="float64")


def _said_equity(held: pd.DataFrame, margin: float) -> float:
    """Return the equity behind the newest margin level that has been said; NaN where none has."""
    said = held[held["margin_level"].notna()]
    if not len(said):
        return math.nan
    newest = said["timestamp"].to_numpy().argmax() if "timestamp" in said else -1
    return float(said["margin_level"].iloc[newest]) * margin / 100
