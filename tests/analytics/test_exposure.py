from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxlive.analytics.conversion import QuoteLookup
from fxlive.analytics.exposure import exposure
from fxlive.core.instruments import Instrument, Instruments
from fxlive.errors import InvalidFrame, UnknownColumn
from tests.analytics.frames import T0, S, index

PRICES = {"EURUSD": 1.0860, "USDJPY": 150.0, "GBPUSD": 1.25, "EURJPY": 162.9}


def quotes(prices: dict[str, float] = PRICES, spread: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "symbol": pd.Categorical(list(prices)),
            "bid": [p - spread / 2 for p in prices.values()],
            "ask": [p + spread / 2 for p in prices.values()],
        },
        index=index([T0] * len(prices)),
    )


def open_positions(*rows: tuple[int, str, str, float, float], **columns: Any) -> pd.DataFrame:
    """Return positions from (ticket, symbol, BUY or SELL, lots, open price), valued at PRICES."""
    frame = pd.DataFrame(rows, columns=["ticket", "symbol", "type", "volume", "open_price"])
    profit = [value(symbol, side, lots, price) for _, symbol, side, lots, price in rows]
    frame["profit"] = frame["unrealized_pnl"] = np.array(profit, np.float64)
    frame["margin"], frame["margin_level"] = 100.0, 5000.0
    return frame.set_index(index([T0] * len(rows))).assign(**columns)


def usd(currency: str, prices: dict[str, float]) -> float:
    return {"USD": 1.0, "EUR": prices["EURUSD"], "GBP": prices["GBPUSD"], "JPY": 1 / prices["USDJPY"]}[currency]


def value(symbol: str, side: str, lots: float, opened: float, prices: dict[str, float] = PRICES) -> float:
    price = usd(symbol[:3], prices) / usd(symbol[3:], prices)
    return (1 if side == "BUY" else -1) * (price - opened) * lots * 100_000 * usd(symbol[3:], prices)


def test_the_two_legs_of_a_position_add_up_to_its_profit() -> None:
    result = exposure(open_positions((1, "EURUSD", "BUY", 0.1, 1.0850)), quotes())
    assert result.by_currency["net"].to_dict() == {"EUR": 10_000.0, "USD": -10_850.0}
    assert result.by_currency["net_value"].sum() == pytest.approx(10.0)
    assert result.by_symbol.loc["EURUSD", ["net_lots", "gross_lots"]].tolist() == [0.1, 0.1]
    assert result.by_symbol.loc["EURUSD", "net"] == pytest.approx(10_860.0)
    assert result.by_currency.loc["EUR", "up_1pct"] == pytest.approx(108.6)
    assert result.by_currency.loc["USD", "up_1pct"] == pytest.approx(-10_860 * (1 - 1 / 1.01))


def test_yen_pairs_and_crosses_are_converted_through_other_pairs() -> None:
    result = exposure(open_positions((1, "USDJPY", "SELL", 1.0, 151.0), (2, "EURJPY", "BUY", 1.0, 160.0)), quotes())
    assert result.by_currency["net"].to_dict() == {
        "EUR": 100_000.0,
        "JPY": 15_100_000.0 - 16_000_000.0,
        "USD": -100_000.0,
    }
    assert result.by_currency.loc["JPY", "rate"] == 1 / 150
    assert result.by_currency["gross"].to_dict() == {"EUR": 100_000.0, "JPY": 31_100_000.0, "USD": 100_000.0}
    assert result.by_symbol.loc["EURJPY", "gross"] == pytest.approx(108_600.0)
    assert result.by_currency["net_value"].sum() == pytest.approx(result.totals["unrealized"], abs=1e-6)


positions_of = st.lists(
    st.tuples(
        st.sampled_from(list(PRICES)),
        st.sampled_from(["BUY", "SELL"]),
        st.integers(1, 50).map(lambda n: n / 100),
        st.integers(-300, 300).map(lambda n: 1 + n / 1e4),
    ),
    min_size=1,
    max_size=8,
)


@given(rows=positions_of)
@settings(max_examples=40, deadline=None)
def test_shocks_equal_the_change_of_the_profit_computed_at_the_moved_prices(rows: list[Any]) -> None:
    rows = [(n, symbol, side, lots, round(PRICES[symbol] * off, 5)) for n, (symbol, side, lots, off) in enumerate(rows)]
    prices = {**PRICES, "EURJPY": PRICES["EURUSD"] * PRICES["USDJPY"]}
    result = exposure(open_positions(*rows), quotes(prices))
    assert result.by_currency["net_value"].sum() == pytest.approx(result.totals["unrealized"], abs=1e-6)
    assert result.by_symbol["gross"].sum() == pytest.approx(result.totals["gross"])
    for currency in result.shocks.columns:
        for pct, change in result.shocks[currency].items():
            f = 1 + pct / 100
            moved = dict(prices)
            for pair in moved:
                moved[pair] *= (f if pair[:3] == currency else 1) / (f if pair[3:] == currency else 1)
            expected = sum(
                value(s, side, lots, p, moved) - value(s, side, lots, p, prices) for _, s, side, lots, p in rows
            )
            assert change == pytest.approx(expected, abs=1e-6), (currency, pct)
        assert result.shocks.loc[1.0, currency] == pytest.approx(result.by_currency.loc[currency, "up_1pct"], abs=1e-6)


def test_the_distance_to_a_margin_call_follows_from_equity_and_margin() -> None:
    result = exposure(open_positions((1, "EURUSD", "BUY", 0.1, 1.0850)), quotes()).totals
    assert result["equity"] == 5000.0  # 5000 % of 100
    assert result["margin_level"] == 5000.0
    assert result["to_margin_call"] == 4900.0
    assert result["to_margin_call_pct"] == pytest.approx(100 * 4900 / 10_860)
    assert result["leverage"] == pytest.approx(10_860 / 5000)
    stricter = exposure(
        open_positions((1, "EURUSD", "BUY", 0.1, 1.0850)), quotes(), equity=1000, margin_call_pct=150
    ).totals
    assert stricter["to_margin_call"] == 850.0


def test_only_the_newest_row_of_an_open_position_counts() -> None:
    rows = open_positions(
        (1, "EURUSD", "BUY", 0.1, 1.0850), (1, "EURUSD", "BUY", 0.3, 1.0850), (2, "GBPUSD", "BUY", 0.1, 1.2)
    )
    rows.index = index([T0 + S, T0, T0])
    ended = open_positions((2, "GBPUSD", "BUY", 0.0, 1.2)).set_index(index([T0 + 2 * S]))
    result = exposure(pd.concat([rows, ended]), quotes())
    assert result.by_symbol["net_lots"].to_dict() == {"EURUSD": 0.1}
    latest = rows.iloc[:1].reset_index().set_index("ticket")
    assert exposure(latest, quotes().reset_index().set_index("symbol")).by_symbol["net_lots"].to_dict() == {
        "EURUSD": 0.1
    }


def test_symbols_that_cannot_be_converted_are_listed_and_not_counted() -> None:
    rows = open_positions(
        (1, "EURUSD", "BUY", 0.1, 1.0850), (2, "EURUSD", "BUY", 0.1, 1.0850), (3, "EURUSD", "BUY", 1.0, 1.1)
    )
    rows["symbol"] = ["EURUSD", "EURSEK", "XAUUSD"]
    result = exposure(rows, quotes({**PRICES, "XAUUSD": 2000.0}))
    assert result.missing == ("EURSEK", "XAUUSD")  # the size of a lot of gold is unknown
    assert result.by_symbol.index.tolist() == ["EURUSD"]
    incomplete = ["gross", "leverage", "to_margin_call_pct"]
    assert result.totals[incomplete].isna().all()
    assert result.totals["unrealized"] == pytest.approx(rows["unrealized_pnl"].sum())
    assert result.totals["to_margin_call"] == 15_000 - 300  # follows from equity and margin alone


def test_a_symbol_without_a_quote_is_valued_at_the_current_price_of_its_positions() -> None:
    rows = open_positions(
        (1, "EURUSD", "BUY", 0.1, 1.0850), (2, "USDJPY", "SELL", 0.2, 151.0), (3, "EURJPY", "BUY", 0.1, 160.0)
    )
    rows["current_price"] = [1.3, 150.0, 162.9]
    result = exposure(rows, quotes({"EURUSD": 1.0860}))
    assert result.missing == ()
    pd.testing.assert_frame_equal(result.by_currency, exposure(rows, quotes()).by_currency)
    assert result.totals["gross"] == pytest.approx(10_860 + 20_000 + 10_860)
    older = rows.iloc[[1]].assign(ticket=4, current_price=90.0).set_index(index([T0 - S]))
    without = exposure(pd.concat([rows, older]), quotes({}))
    assert without.by_currency.loc[["EUR", "JPY"], "rate"].tolist() == [1.3, 1 / 150]


def test_without_the_margin_of_every_position_the_distance_to_a_margin_call_is_nan() -> None:
    rows = open_positions(
        (1, "EURUSD", "BUY", 0.1, 1.0850), (2, "EURUSD", "BUY", 0.1, 1.0850), margin=[100.0, math.nan]
    )
    result = exposure(rows, quotes()).totals
    assert result[["margin", "equity", "margin_level", "to_margin_call"]].isna().all()


def test_a_symbol_that_is_not_a_pair_counts_as_its_instrument_describes_it() -> None:
    gold = Instruments({"XAUUSD": Instrument("XAUUSD", "XAU", "USD", pip=0.1, contract_size=100)})
    rows = open_positions((1, "EURUSD", "BUY", 1.0, 1999.0)).assign(symbol="XAUUSD")
    result = exposure(rows, quotes({"XAUUSD": 2000.0}), instruments=gold)
    assert result.missing == ()
    assert result.totals["gross"] == 200_000.0
    assert result.by_currency["net"].to_dict() == {"USD": -199_900.0, "XAU": 100.0}


def test_amounts_are_in_the_accounts_currency() -> None:
    result = exposure(
        open_positions((1, "EURUSD", "BUY", 0.1, 1.0850)), quotes(), instruments=Instruments(account_currency="EUR")
    )
    assert result.by_currency.loc["USD", "rate"] == 1 / 1.0860
    assert result.by_currency.loc["EUR", "up_1pct"] == pytest.approx(result.shocks.loc[1.0, "EUR"])


def test_without_positions_the_tables_are_empty_with_all_columns() -> None:
    for empty in (open_positions(), open_positions((1, "EURUSD", "BUY", 0.1, 1.0850)).iloc[:0]):
        result = exposure(empty, quotes({}))
        assert result.by_symbol.columns.tolist() == ["net_lots", "gross_lots", "net", "gross", "unrealized", "margin"]
        assert result.by_currency.columns.tolist() == ["net", "gross", "rate", "net_value", "gross_value", "up_1pct"]
        assert {str(d) for d in (*result.by_symbol.dtypes, *result.by_currency.dtypes)} == {"float64"}
        assert (result.totals["gross"], result.totals["margin"]) == (0.0, 0.0)
        assert math.isnan(result.totals["equity"])
        assert result.shocks.shape == (6, 0)


def test_invalid_frames_raise_typed_errors() -> None:
    rows = open_positions((1, "EURUSD", "BUY", 0.1, 1.0850))
    with pytest.raises(UnknownColumn, match="Unknown column 'margin' of positions"):
        exposure(rows.drop(columns="margin"), quotes())
    with pytest.raises(UnknownColumn, match="Unknown column 'bid' of quotes"):
        exposure(rows, quotes().drop(columns="bid"))
    with pytest.raises(InvalidFrame, match="without a time zone"):
        exposure(rows.tz_localize(None), quotes())


def test_the_quote_at_a_time_is_the_last_at_or_before_it_whatever_the_order_of_the_rows() -> None:
    frame = pd.DataFrame(
        {
            "symbol": ["EURUSD", "USDJPY", "EURUSD", "EURUSD", None],
            "bid": [3.0, 150.0, 1.0, 2.0, 9.0],
            "ask": [3.0, 150.0, 1.0, 2.0, 9.0],
        },
        index=index([T0 + 2 * S, T0, T0, T0, T0]),
    )
    lookup = QuoteLookup(frame)
    bid, ask, at = lookup.at("EURUSD", np.array([T0 - 1, T0, T0 + S, T0 + 2 * S]))
    assert bid[1:].tolist() == ask[1:].tolist() == [2.0, 2.0, 3.0]
    assert math.isnan(bid[0])
    assert at.tolist() == [0, T0, T0, T0 + 2 * S]
    assert lookup.rates("JPY", np.array([T0 - 1, T0])).tolist()[1] == 1 / 150
    assert math.isnan(lookup.rate("SEK"))
    assert lookup.path("EUR") == (("EURUSD", True),)


def test_exposure_displays_itself_as_small_tables_and_lists_symbols_that_are_not_counted() -> None:
    odd = "<b>X</b>"  # symbols come from the wire
    instruments = Instruments({odd: Instrument(odd, "<i>", "USD", pip=0.1, contract_size=10.0)})
    rows = open_positions((1, "EURUSD", "BUY", 12.0, 1.0850), (2, "USDJPY", "SELL", 0.1, 151.0))
    more = pd.DataFrame(
        {"ticket": [3, 4], "symbol": [odd, "<u>"], "type": "BUY", "volume": 1.0, "open_price": 2.0}, index=rows.index
    )
    result = exposure(pd.concat([rows, more]), quotes({**PRICES, odd: 2.0}), instruments=instruments)
    text, page = repr(result), result._repr_html_()
    assert text.splitlines()[0] == (
        "<Exposure: 3 symbols, money in the account's currency; not counted, see `missing`: <u>>"
    )
    for shown in (text, page):
        assert [title for title in ("totals", "by_symbol", "by_currency", "shocks") if title not in shown] == []
        assert "1,303,200.00" in shown  # 12 lots of EURUSD
        assert "0.00666667" in shown  # the value of a yen
    assert page.count("<table") == 4
    assert "&lt;b&gt;X" in page
    assert "&lt;u&gt;" in page
    assert [raw for raw in ("<b>X", "<i>", "<u>") if raw in page] == []
    assert max(map(len, text.splitlines())) <= 120
    empty = exposure(open_positions(), quotes())
    assert repr(empty).startswith("<Exposure: 0 symbols")
    assert empty._repr_html_().count("<table") == 1
