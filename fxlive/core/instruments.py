"""What one needs to know of a currency pair: its two currencies, its pip, its point and the size of a lot.

A pip is 0.0001 of the quote currency (0.01 where that is the yen), a point a tenth of a pip, a standard lot 100,000 of
the base currency. That holds for pairs of currencies alone: a lot of XAUUSD is no 100,000 ounces. Where a platform
differs, and for everything that is no such pair, `Instruments` takes the exceptions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fxlive.core.arguments import is_collection
from fxlive.errors import UnknownOption, UnknownSymbol

STANDARD_LOT = 100_000.0
PIP = 0.0001
PIP_JPY = 0.01
CURRENCIES = frozenset(
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNH
    CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR
    ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT
    MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD
    SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND
    VUV WST XAF XCD XOF XPF YER ZAR ZMW
    """.split()
)
"""ISO 4217's currencies that one pays with, and CNH, as the yuan is traded outside China; no metals, no funds."""


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
        Instruments that do not follow the conventions, or are no pairs of currencies, by symbol.
    account_currency
        The currency in which the platform reports money.

    Raises
    ------
    UnknownOption
        Where the exceptions are no instruments by symbol, or the currency is no text.

    Examples
    --------
    >>> book = Instruments()
    >>> book["USDJPY"].pip, book["EURUSD"].quote
    (0.01, 'USD')
    >>> gold = Instrument("XAUUSD", "XAU", "USD", pip=0.1, contract_size=100)
    >>> Instruments({"XAUUSD": gold})["XAUUSD"].contract_size
    100
    """

    def __init__(self, exceptions: Mapping[str, Instrument] | None = None, account_currency: str = "USD") -> None:
        known = "a dict such as {'XAUUSD': Instrument('XAUUSD', 'XAU', 'USD', pip=0.1, contract_size=100)}"
        if exceptions is not None and not isinstance(exceptions, Mapping):
            raise UnknownOption("exceptions", exceptions, ("None", known))
        self._exceptions = dict(exceptions or {})
        if not all(isinstance(instrument, Instrument) for instrument in self._exceptions.values()):
            raise UnknownOption("exceptions", self._exceptions, ("None", known))
        if not isinstance(account_currency, str):
            raise UnknownOption("account_currency", account_currency, ("a currency such as 'USD'",))
        self.account_currency = account_currency

    def __getitem__(self, symbol: str) -> Instrument:
        """Return the instrument of a symbol: an exception, or a pair such as EURUSD, EUR/USD or EURUSD.m.

        Raises
        ------
        KeyError
            Of anything but two currencies: nobody knows its pip, nor how much a lot of it is.
        """
        if symbol in self._exceptions:
            return self._exceptions[symbol]
        if not is_pair(symbol):
            raise KeyError(
                f"{symbol!r} is not a pair of currencies: say what it is with "
                f"Instruments(exceptions={{{symbol!r}: Instrument({symbol!r}, base, quote, pip, contract_size)}})"
            )
        letters = _letters(symbol)
        base, quote = letters[:3], letters[3:]
        return Instrument(symbol, base, quote, PIP_JPY if quote == "JPY" else PIP)


def known_symbol(symbol: str, seen: list[str]) -> str:
    """Return the symbol that is meant: one that has been seen, however written, or six letters that may still tick.

    Raises
    ------
    UnknownSymbol
        Where it is neither; lists those that have been seen.

    Examples
    --------
    >>> known_symbol("eur/usd", ["EURUSD"]), known_symbol("GBPUSD", ["EURUSD"])
    ('EURUSD', 'GBPUSD')
    """
    written = normalize_symbol(symbol, seen)
    if written not in seen and not _six_letters(written):
        raise UnknownSymbol(symbol, seen)
    return written


def normalize_symbol(symbol: str, seen: list[str]) -> str:
    """Return a symbol as the platform writes it: as it has been seen, or its six letters; any other as it is.

    One without a suffix is that of any; with another suffix it is another instrument.

    Examples
    --------
    >>> normalize_symbol("eur/usd", ["EURUSD.m"]), normalize_symbol("eur/usd", []), normalize_symbol("US500.cash", [])
    ('EURUSD.m', 'EURUSD', 'US500.cash')
    >>> normalize_symbol("us500.CASH", ["US500.cash"]), normalize_symbol("US500.fut", ["US500.cash"])
    ('US500.cash', 'US500.fut')
    """
    if symbol in seen:
        return symbol
    letters, suffix = _letters(symbol), _suffix(symbol)
    alike = [other for other in seen if _letters(other) == letters and suffix in ("", _suffix(other))]
    if alike:
        return alike[0]
    return letters if _six_letters(symbol) and "." not in symbol else symbol


def with_known_symbols(where: Mapping[str, Any], seen: list[str]) -> dict[str, Any]:
    """Return values by column in which those of `symbol` are known ones, each as `known_symbol` has it.

    Examples
    --------
    >>> with_known_symbols({"symbol": ["eur/usd", "USDJPY"]}, ["EURUSD"])
    {'symbol': ['EURUSD', 'USDJPY']}
    """
    return _with_symbols(where, seen, known_symbol)


def with_normalized_symbols(where: Mapping[str, Any], seen: list[str]) -> dict[str, Any]:
    """Return values by column, those of `symbol` normalized; a symbol that has not been seen is kept.

    Examples
    --------
    >>> with_normalized_symbols({"symbol": "eur/usd", "strategy_id": "s1"}, [])
    {'symbol': 'EURUSD', 'strategy_id': 's1'}
    """
    return _with_symbols(where, seen, normalize_symbol)


def _with_symbols(where: Mapping[str, Any], seen: list[str], spell: Callable[[str, list[str]], str]) -> dict[str, Any]:
    asked: Any = where.get("symbol")
    if isinstance(asked, str):
        return {**where, "symbol": spell(asked, seen)}
    if is_collection(asked):
        return {**where, "symbol": [spell(s, seen) if isinstance(s, str) else s for s in asked]}
    return dict(where)


def _six_letters(symbol: str) -> bool:
    letters = _letters(symbol)
    return len(letters) == 6 and letters.isalpha()


def _letters(symbol: str) -> str:
    return "".join(c for c in str(symbol).split(".")[0] if c.isalnum()).upper()


def _suffix(symbol: str) -> str:
    return str(symbol).partition(".")[2].lower()


def is_pair(symbol: str) -> bool:
    """Return whether a symbol is two currencies, however written.

    >>> is_pair("eur/usd"), is_pair("XAUUSD"), is_pair("US500")
    (True, False, False)
    """
    letters = _letters(symbol)
    return len(letters) == 6 and {letters[:3], letters[3:]} <= CURRENCIES
