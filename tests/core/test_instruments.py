from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from fxlive.core.instruments import Instrument, Instruments, normalize_symbol, with_known_symbols


@pytest.mark.parametrize("symbol", ["EURUSD", "EUR/USD", "eurusd", "EUR_USD", "EUR-USD", "EURUSD.m", "EURUSD.ecn"])
def test_a_pair_is_known_however_it_is_written(symbol: str) -> None:
    pair = Instruments()[symbol]

    assert (pair.base, pair.quote, pair.symbol) == ("EUR", "USD", symbol)


@pytest.mark.parametrize(
    ("symbol", "pip", "point"),
    [("EURUSD", 0.0001, 0.00001), ("USDJPY", 0.01, 0.001), ("EURJPY", 0.01, 0.001), ("JPYUSD", 0.0001, 0.00001)],
)
def test_a_pip_is_a_ten_thousandth_or_for_the_yen_a_hundredth_and_a_point_a_tenth_of_it(
    symbol: str, pip: float, point: float
) -> None:
    assert Instruments()[symbol].pip == pip
    assert Instruments()[symbol].point == pytest.approx(point)


@pytest.mark.parametrize(
    ("asked", "seen", "meant"),
    [
        ("eur/usd", ["EURUSD.m"], "EURUSD.m"),
        ("EURUSD.M", ["EURUSD.m"], "EURUSD.m"),
        ("EURUSD.ecn", ["EURUSD.m"], "EURUSD.ecn"),
        ("us500", ["US500.cash"], "US500.cash"),
        ("US500.fut", ["US500.cash"], "US500.fut"),
    ],
)
def test_another_suffix_is_another_instrument(asked: str, seen: list[str], meant: str) -> None:
    assert normalize_symbol(asked, seen) == meant


@pytest.mark.parametrize("several", [list, set, pd.Index, pd.Series, np.array, pd.Categorical, dict.fromkeys])
def test_several_symbols_are_spelled_in_whatever_they_come(several: Any) -> None:
    asked = several(["eur/usd", "USDJPY"])
    told = with_known_symbols({"symbol": asked.keys() if isinstance(asked, dict) else asked}, ["EURUSD", "USDJPY"])
    assert sorted(told["symbol"]) == ["EURUSD", "USDJPY"]


def test_a_standard_lot_is_100_000() -> None:
    assert Instruments()["EURUSD"].contract_size == 100_000


def test_an_exception_comes_before_the_conventions() -> None:
    gold = Instrument("XAUUSD", "XAU", "USD", pip=0.1, contract_size=100)
    index = Instrument("US30", "US30", "USD", pip=1.0, contract_size=1)
    book = Instruments({"XAUUSD": gold, "US30": index}, account_currency="EUR")

    assert book["XAUUSD"] is gold
    assert book["US30"] is index
    assert book["EURUSD"].pip == 0.0001
    assert book.account_currency == "EUR"
    assert Instruments().account_currency == "USD"


def test_exceptions_given_are_not_shared() -> None:
    given: dict[str, Instrument] = {}
    book = Instruments(given)
    given["US30"] = Instrument("US30", "US30", "USD", pip=1.0)

    with pytest.raises(KeyError):
        book["US30"]


@pytest.mark.parametrize("symbol", ["", "EUR", "US30", "EURUSDX", "123456", ".EURUSD", "XAUUSD", "BTCUSD", "NATGAS"])
def test_what_is_no_pair_says_what_to_do(symbol: str) -> None:
    with pytest.raises(KeyError, match="Instruments\\(exceptions="):
        Instruments()[symbol]
