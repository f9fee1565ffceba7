"""What one needs to know of a currency pair: its two currencies, its pip, its point and the size of a lot.

A pip is 0.0001 of the quote currency (0.01 where that is the yen), a point a tenth of a pip, a standard lot 100,000 of
the base currency. Where a platform differs, `Instruments` takes the exceptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fxlive.errors import UnknownSymbol

STANDARD_LOT = 100_000.0
PIP = 0.0001
PIP_JPY = 0.01


@dataclass(frozen=True)
class Instrument:
    """A currency pair: `base` is bought or sold, `quote` is what it is priced in.

    `pip` is in units of the quote currency, `contract_size` in units of the base currency for one lot.
    """

    symbol: str
    base: str
    quote: str
    pip: float
    contract_size: float = STANDARD_LOT

    @property
    def point(self) -> float:
        """A tenth of a pip: the unit of the platform's `spread`."""
        return self.pip / 10


class Instruments:
    """The instruments of a platform: the market's conventions, with exceptions.

    Parameters
    ----------
    exceptions
        Instruments that do not follow the conventions, by symbol.
    account_currency
        The currency in which the platform reports money.

    Examples
    --------
    >>> book = Instruments()
    >>> book["USDJPY"].pip, book["EURUSD"].quote
    (0.01, 'USD')
    """

    def __init__(self, exceptions: Mapping[str, Instrument] | None = None, account_currency: str = "USD") -> None:
        self._exceptions = dict(exceptions or {})
        self.account_currency = account_currency

    def __getitem__(self, symbol: str) -> Instrument:
        """Return the instrument of a symbol such as EURUSD, EUR/USD or EURUSD.m (six letters, however written)."""
        if symbol in self._exceptions:
            return self._exceptions[symbol]
        letters = "".join(c for c in symbol.split(".")[0] if c.isalpha()).upper()
        if len(letters) != 6:
            raise KeyError(f"{symbol!r} is not a currency pair; name it in Instruments(exceptions={{...}})")
        base, quote = letters[:3], letters[3:]
        return Instrument(symbol, base, quote, PIP_JPY if quote == "JPY" else PIP)


def known_symbol(symbol: str, seen: list[str]) -> str:
    """Return the symbol that is meant: one that has been seen, however written, or any pair that may still tick.

    Raises
    ------
    UnknownSymbol
        Where it is neither; lists those that have been seen.

    Examples
    --------
    >>> known_symbol("eur/usd", ["EURUSD"]), known_symbol("GBPUSD", ["EURUSD"])
    ('EURUSD', 'GBPUSD')
    """
    if symbol in seen:
        return symbol
    letters = _letters(symbol)
    alike = [other for other in seen if _letters(other) == letters]
    if alike:
        return alike[0]
    if not is_pair(symbol):
        raise UnknownSymbol(symbol, seen)
    return letters if "." not in symbol else symbol


def with_known_symbols(where: Mapping[str, Any], seen: list[str]) -> dict[str, Any]:
    """Return values by column in which those of `symbol` are known ones, each as `known_symbol` has it.

    Examples
    --------
    >>> with_known_symbols({"symbol": ["eur/usd", "USDJPY"]}, ["EURUSD"])
    {'symbol': ['EURUSD', 'USDJPY']}
    """
    asked = where.get("symbol")
    if isinstance(asked, str):
        return {**where, "symbol": known_symbol(asked, seen)}
    if isinstance(asked, list | tuple | set | frozenset):
        return {**where, "symbol": [known_symbol(s, seen) if isinstance(s, str) else s for s in asked]}
    return dict(where)


def _letters(symbol: str) -> str:
    return "".join(c for c in str(symbol).split(".")[0] if c.isalnum()).upper()


def is_pair(symbol: str) -> bool:
    """Return whether a symbol is six letters, however written."""
    letters = _letters(symbol)
    return len(letters) == 6 and letters.isalpha()
