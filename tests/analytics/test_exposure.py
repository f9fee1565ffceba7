from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxlive.analytics.conversion import QuoteBook
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


def held(*rows: tuple[int, str, str, float, float], **columns: Any) -> pd.DataFrame:
    """Positions from (ticket, symbol, BUY or SELL, lots, open price), worth what PRICES say."""
    frame = pd.DataFrame(rows, columns=["ticket", "symbol", "type", "volume", "open_price"])
    profit = [worth(symbol, side, lots, price) for _, symbol, side, lots, price in rows]
    frame["profit"] = frame["unrealized_pnl"] = np.array(profit, np.float64)
    frame["margin"], frame["margin_level"] = 100.0, 5000.0
    return frame.set_index(index([T0] * len(rows))).assign(**columns)


def usd(currency: str, prices: dict[str, float]) -> float:
    return {"USD": 1.0, "EUR": prices["EURUSD"], "GBP": prices["GBPUSD"], "JPY": 1 / prices["USDJPY"]}[currency]


def worth(symbol: str, side: str, lots: float, opened: float, prices: dict[str, float] = PRICES) -> float:
    price = usd(symbol[:3], prices) / usd(symbol[3:], prices)
    return (1 if side == "BUY" else -1) * (price - opened) * lots * 100_000 * usd(symbol[3:], prices)


def test_a_position_is_two_legs_that_add_up_to_its_profit() -> None:
    told = exposure(held((1, "EURUSD", "BUY", 0.1, 1.0850)), quotes())
    assert told.by_currency["net"].to_dict() == {"EUR": 10_000.0, "USD": -10_850.0}
    assert told.by_currency["net_value"].sum() == pytest.approx(10.0)
    assert told.by_symbol.loc["EURUSD", ["net_lots", "gross_lots"]].tolist() == [0.1, 0.1]
    assert told.by_symbol.loc["EURUSD", "net"] == pytest.approx(10_860.0)
    assert told.by_currency.loc["EUR", "up_1pct"] == pytest.approx(108.6)
    assert told.by_currency.loc["USD", "up_1pct"] == pytest.approx(-10_860 * (1 - 1 / 1.01))


def test_yen_and_crosses_are_worth_dollars_through_the_pairs_that_lead_there() -> None:
    told = exposure(held((1, "USDJPY", "SELL", 1.0, 151.0), (2, "EURJPY", "BUY", 1.0, 160.0)), quotes())
    assert told.by_currency["net"].to_dict() == {
        "EUR": 100_000.0,
        "JPY": 15_100_000.0 - 16_000_000.0,
        "USD": -100_000.0,
    }
    assert told.by_currency.loc["JPY", "rate"] == 1 / 150
    assert told.by_currency["gross"].to_dict() == {"EUR": 100_000.0, "JPY": 31_100_000.0, "USD": 100_000.0}
    assert told.by_symbol.loc["EURJPY", "gross"] == pytest.approx(108_600.0)
    assert told.by_currency["net_value"].sum() == pytest.approx(told.totals["unrealized"], abs=1e-6)


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
def test_shocks_are_what_the_profit_changes_by_when_it_is_worked_out_anew(rows: list[Any]) -> None:
    rows = [(n, symbol, side, lots, round(PRICES[symbol] * off, 5)) for n, (symbol, side, lots, off) in enumerate(rows)]
    prices = {**PRICES, "EURJPY": PRICES["EURUSD"] * PRICES["USDJPY"]}
    told = exposure(held(*rows), quotes(prices))
    assert told.by_currency["net_value"].sum() == pytest.approx(told.totals["unrealized"], abs=1e-6)
    assert told.by_symbol["gross"].sum() == pytest.approx(told.totals["gross"])
    for currency in told.shocks.columns:
        for pct, change in told.shocks[currency].items():
            f = 1 + pct / 100
            moved = dict(prices)
            for pair in moved:
                moved[pair] *= (f if pair[:3] == currency else 1) / (f if pair[3:] == currency else 1)
            anew = sum(worth(s, side, lots, p, moved) - worth(s, side, lots, p, prices) for _, s, side, lots, p in rows)
            assert change == pytest.approx(anew, abs=1e-6), (currency, pct)
        assert told.shocks.loc[1.0, currency] == pytest.approx(told.by_currency.loc[currency, "up_1pct"], abs=1e-6)


def test_the_distance_to_a_margin_call_follows_from_equity_and_margin() -> None:
    told = exposure(held((1, "EURUSD", "BUY", 0.1, 1.0850)), quotes()).totals
    assert told["equity"] == 5000.0  # 5000 % of 100
    assert told["margin_level"] == 5000.0
    assert told["to_margin_call"] == 4900.0
    assert told["to_margin_call_pct"] == pytest.approx(100 * 4900 / 10_860)
    assert told["leverage"] == pytest.approx(10_860 / 5000)
    stricter = exposure(held((1, "EURUSD", "BUY", 0.1, 1.0850)), quotes(), equity=1000, margin_call_pct=150).totals
    assert stricter["to_margin_call"] == 850.0


def test_only_the_newest_row_of_an_open_position_counts() -> None:
    rows = held((1, "EURUSD", "BUY", 0.1, 1.0850), (1, "EURUSD", "BUY", 0.3, 1.0850), (2, "GBPUSD", "BUY", 0.1, 1.2))
    rows.index = index([T0 + S, T0, T0])
    ended = held((2, "GBPUSD", "BUY", 0.0, 1.2)).set_index(index([T0 + 2 * S]))
    told = exposure(pd.concat([rows, ended]), quotes())
    assert told.by_symbol["net_lots"].to_dict() == {"EURUSD": 0.1}
    latest = rows.iloc[:1].reset_index().set_index("ticket")
    assert exposure(latest, quotes().reset_index().set_index("symbol")).by_symbol["net_lots"].to_dict() == {
        "EURUSD": 0.1
    }


def test_what_cannot_be_converted_is_named_and_in_no_sum() -> None:
    rows = held((1, "EURUSD", "BUY", 0.1, 1.0850), (2, "EURUSD", "BUY", 0.1, 1.0850), (3, "EURUSD", "BUY", 1.0, 1.1))
    rows["symbol"] = ["EURUSD", "EURSEK", "XAUUSD"]
    told = exposure(rows, quotes({**PRICES, "XAUUSD": 2000.0}))
    assert told.missing == ("EURSEK", "XAUUSD")  # a lot of gold is no 100,000 ounces
    assert told.by_symbol.index.tolist() == ["EURUSD"]
    too_small = ["gross", "leverage", "to_margin_call_pct"]
    assert told.totals[too_small].isna().all()
    assert told.totals["unrealized"] == pytest.approx(rows["unrealized_pnl"].sum())
    assert told.totals["to_margin_call"] == 15_000 - 300  # of equity and margin alone


def test_a_symbol_without_a_quote_is_taken_at_its_positions_own_price() -> None:
    rows = held((1, "EURUSD", "BUY", 0.1, 1.0850), (2, "USDJPY", "SELL", 0.2, 151.0), (3, "EURJPY", "BUY", 0.1, 160.0))
    rows["current_price"] = [1.3, 150.0, 162.9]
    told = exposure(rows, quotes({"EURUSD": 1.0860}))
    assert told.missing == ()
    pd.testing.assert_frame_equal(told.by_currency, exposure(rows, quotes()).by_currency)
    assert told.totals["gross"] == pytest.approx(10_860 + 20_000 + 10_860)
    older = rows.iloc[[1]].assign(ticket=4, current_price=90.0).set_index(index([T0 - S]))
    without = exposure(pd.concat([rows, older]), quotes({}))
    assert without.by_currency.loc[["EUR", "JPY"], "rate"].tolist() == [1.3, 1 / 150]


def test_a_position_that_does_not_say_its_margin_makes_no_distance_to_a_call() -> None:
    rows = held((1, "EURUSD", "BUY", 0.1, 1.0850), (2, "EURUSD", "BUY", 0.1, 1.0850), margin=[100.0, math.nan])
    told = exposure(rows, quotes()).totals
    assert told[["margin", "equity", "margin_level", "to_margin_call"]].isna().all()


def test_what_is_no_pair_counts_as_one_has_said_it_is() -> None:
    gold = Instruments({"XAUUSD": Instrument("XAUUSD", "XAU", "USD", pip=0.1, contract_size=100)})
    rows = held((1, "EURUSD", "BUY", 1.0, 1999.0)).assign(symbol="XAUUSD")
    told = exposure(rows, quotes({"XAUUSD": 2000.0}), instruments=gold)
    assert told.missing == ()
    assert told.totals["gross"] == 200_000.0
    assert told.by_currency["net"].to_dict() == {"USD": -199_900.0, "XAU": 100.0}


def test_an_account_in_another_currency_counts_in_it() -> None:
    told = exposure(held((1, "EURUSD", "BUY", 0.1, 1.0850)), quotes(), instruments=Instruments(account_currency="EUR"))
    assert told.by_currency.loc["USD", "rate"] == 1 / 1.0860
    assert told.by_currency.loc["EUR", "up_1pct"] == pytest.approx(told.shocks.loc[1.0, "EUR"])


def test_of_no_positions_there_is_nothing_but_all_columns() -> None:
    for empty in (held(), held((1, "EURUSD", "BUY", 0.1, 1.0850)).iloc[:0]):
        told = exposure(empty, quotes({}))
        assert told.by_symbol.columns.tolist() == ["net_lots", "gross_lots", "net", "gross", "unrealized", "margin"]
        assert told.by_currency.columns.tolist() == ["net", "gross", "rate", "net_value", "gross_value", "up_1pct"]
        assert {str(d) for d in (*told.by_symbol.dtypes, *told.by_currency.dtypes)} == {"float64"}
        assert (told.totals["gross"], told.totals["margin"]) == (0.0, 0.0)
        assert math.isnan(told.totals["equity"])
        assert told.shocks.shape == (6, 0)


def test_what_is_wrong_is_said() -> None:
    rows = held((1, "EURUSD", "BUY", 0.1, 1.0850))
    with pytest.raises(UnknownColumn, match="Unknown column 'margin' of positions"):
        exposure(rows.drop(columns="margin"), quotes())
    with pytest.raises(UnknownColumn, match="Unknown column 'bid' of quotes"):
        exposure(rows, quotes().drop(columns="bid"))
    with pytest.raises(InvalidFrame, match="without a zone"):
        exposure(rows.tz_localize(None), quotes())


def test_a_quote_is_the_last_at_or_before_a_moment_whatever_the_order_of_the_rows() -> None:
    frame = pd.DataFrame(
        {
            "symbol": ["EURUSD", "USDJPY", "EURUSD", "EURUSD", None],
            "bid": [3.0, 150.0, 1.0, 2.0, 9.0],
            "ask": [3.0, 150.0, 1.0, 2.0, 9.0],
        },
        index=index([T0 + 2 * S, T0, T0, T0, T0]),
    )
    book = QuoteBook(frame)
    bid, ask, at = book.at("EURUSD", np.array([T0 - 1, T0, T0 + S, T0 + 2 * S]))
    assert bid[1:].tolist() == ask[1:].tolist() == [2.0, 2.0, 3.0]
    assert math.isnan(bid[0])
    assert at.tolist() == [0, T0, T0, T0 + 2 * S]
    assert book.rates("JPY", np.array([T0 - 1, T0])).tolist()[1] == 1 / 150
    assert math.isnan(book.rate("SEK"))
    assert book.path("EUR") == (("EURUSD", True),)


def test_it_shows_itself_as_small_tables_and_says_what_is_not_counted() -> None:
    odd = "<b>X</b>"  # names come from the wire
    book = Instruments({odd: Instrument(odd, "<i>", "USD", pip=0.1, contract_size=10.0)})
    rows = held((1, "EURUSD", "BUY", 12.0, 1.0850), (2, "USDJPY", "SELL", 0.1, 151.0))
    more = pd.DataFrame(
        {"ticket": [3, 4], "symbol": [odd, "<u>"], "type": "BUY", "volume": 1.0, "open_price": 2.0}, index=rows.index
    )
    told = exposure(pd.concat([rows, more]), quotes({**PRICES, odd: 2.0}), instruments=book)
    text, page = repr(told), told._repr_html_()
    assert text.splitlines()[0] == (
        "<Exposure: 3 symbols, money in the account's currency; not counted, see `missing`: <u>>"
    )
    for shown in (text, page):
        assert [title for title in ("totals", "by_symbol", "by_currency", "shocks") if title not in shown] == []
        assert "1,303,200.00" in shown  # 12 lots of EURUSD
        assert "0.00666667" in shown  # what a yen is worth
    assert page.count("<table") == 4
    assert "&lt;b&gt;X" in page
    assert "&lt;u&gt;" in page
    assert [raw for raw in ("<b>X", "<i>", "<u>") if raw in page] == []
    assert max(map(len, text.splitlines())) <= 120
    nothing = exposure(held(), quotes())
    assert repr(nothing).startswith("<Exposure: 0 symbols")
    assert nothing._repr_html_().count("<table") == 1
