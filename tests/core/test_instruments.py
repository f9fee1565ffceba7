"""Currency pairs and other instruments, and the spelling of symbols."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from fxlive.core.instruments import Instrument, Instruments, normalize_symbol, with_known_symbols


@pytest.mark.parametrize("symbol", ["EURUSD", "EUR/USD", "eurusd", "EUR_USD", "EUR-USD", "EURUSD.m", "EURUSD.ecn"])
def test_a_pair_is_recognised_in_any_spelling(symbol: str) -> None:
    pair = Instruments()[symbol]

    assert (pair.base, pair.quote, pair.symbol) == ("EUR", "USD", symbol)


@pytest.mark.parametrize(
    ("symbol", "pip", "point"),
    [("EURUSD", 0.0001, 0.00001), ("USDJPY", 0.01, 0.001), ("EURJPY", 0.01, 0.001), ("JPYUSD", 0.0001, 0.00001)],
)
def test_a_pip_is_0_0001_or_0_01_if_the_quote_is_jpy_and_a_point_a_tenth_of_it(
    symbol: str, pip: float, point: float
) -> None:
    assert Instruments()[symbol].pip == pip
    assert Instruments()[symbol].point == pytest.approx(point)


@pytest.mark.parametrize(
    ("symbol", "seen", "expected"),
    [
        ("eur/usd", ["EURUSD.m"], "EURUSD.m"),
        ("EURUSD.M", ["EURUSD.m"], "EURUSD.m"),
        ("EURUSD.ecn", ["EURUSD.m"], "EURUSD.ecn"),
        ("us500", ["US500.cash"], "US500.cash"),
        ("US500.fut", ["US500.cash"], "US500.fut"),
    ],
)
def test_a_symbol_matches_any_suffix_only_without_one_of_its_own(symbol: str, seen: list[str], expected: str) -> None:
    assert normalize_symbol(symbol, seen) == expected


@pytest.mark.parametrize("collection", [list, set, pd.Index, pd.Series, np.array, pd.Categorical, dict.fromkeys])
def test_symbols_are_normalized_in_any_kind_of_collection(collection: Any) -> None:
    symbols = collection(["eur/usd", "USDJPY"])
    symbols = symbols.keys() if isinstance(symbols, dict) else symbols
    where = with_known_symbols({"symbol": symbols}, ["EURUSD", "USDJPY"])
    assert sorted(where["symbol"]) == ["EURUSD", "USDJPY"]


def test_a_standard_lot_is_100_000() -> None:
    assert Instruments()["EURUSD"].contract_size == 100_000


def test_an_exception_takes_precedence_over_the_conventions() -> None:
    gold = Instrument("XAUUSD", "XAU", "USD", pip=0.1, contract_size=100)
    index = Instrument("US30", "US30", "USD", pip=1.0, contract_size=1)
    instruments = Instruments({"XAUUSD": gold, "US30": index}, account_currency="EUR")

    assert instruments["XAUUSD"] is gold
    assert instruments["US30"] is index
    assert instruments["EURUSD"].pip == 0.0001
    assert instruments.account_currency == "EUR"
    assert Instruments().account_currency == "USD"


def test_later_changes_to_the_dict_of_exceptions_have_no_effect() -> None:
    exceptions: dict[str, Instrument] = {}
    instruments = Instruments(exceptions)
    exceptions["US30"] = Instrument("US30", "US30", "USD", pip=1.0)

    with pytest.raises(KeyError):
        instruments["US30"]


@pytest.mark.parametrize("symbol", ["", "EUR", "US30", "EURUSDX", "123456", ".EURUSD", "XAUUSD", "BTCUSD", "NATGAS"])
def test_the_error_for_any_other_symbol_says_how_to_define_it(symbol: str) -> None:
    with pytest.raises(KeyError, match="Instruments\\(exceptions="):
        Instruments()[symbol]
