"""Currency pairs: their base and quote currency, pip, point and contract size; and the spelling of symbols.

A pip is 0.0001 of the quote currency (0.01 if that is JPY), a point a tenth of a pip, and a standard lot 100,000 units
of the base currency. These conventions hold only for pairs of currencies: a lot of XAUUSD is not 100,000 ounces. For
other instruments, and for a platform with other conventions, pass exceptions to `Instruments`.
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
"""The ISO 4217 currencies that are means of payment, and CNH, the offshore yuan; without metals and funds."""


@dataclass(frozen=True)
class Instrument:
    """A currency pair: `base` is bought or sold, at a price in `quote`.

    `pip` is in units of the quote currency, `contract_size` is the size of one lot in units of the base currency.
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
    """The instruments of a platform: market conventions for currency pairs, and exceptions.

    Parameters
    ----------
    exceptions
        Instruments by symbol that are not currency pairs or do not follow the conventions.
    account_currency
        The currency in which the platform reports money.

    Raises
    ------
    UnknownOption
        If `exceptions` is not a dict of `Instrument` by symbol, or `account_currency` is not text.

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
        """Return the instrument of a symbol: an exception, or a currency pair such as EURUSD, EUR/USD or EURUSD.m.

        Raises
        ------
        KeyError
            If the symbol is neither. The pip and the contract size of other instruments are unknown.
        """
        if symbol in self._exceptions:
            return self._exceptions[symbol]
        if not is_pair(symbol):
            raise KeyError(
                f"{symbol!r} is not a currency pair. Define it with "
                f"Instruments(exceptions={{{symbol!r}: Instrument({symbol!r}, base, quote, pip, contract_size)}})"
            )
        letters = _letters(symbol)
        base, quote = letters[:3], letters[3:]
        return Instrument(symbol, base, quote, PIP_JPY if quote == "JPY" else PIP)


def known_symbol(symbol: str, seen: list[str]) -> str:
    """Return a symbol in the platform's spelling: one that has been seen, or six letters, which may still be quoted.

    Raises
    ------
    UnknownSymbol
        If `symbol` is neither. The message lists the symbols seen.

    Examples
    --------
    >>> known_symbol("eur/usd", ["EURUSD"]), known_symbol("GBPUSD", ["EURUSD"])
    ('EURUSD', 'GBPUSD')
    """
    normalized = normalize_symbol(symbol, seen)
    if normalized not in seen and not _six_letters(normalized):
        raise UnknownSymbol(symbol, seen)
    return normalized


def normalize_symbol(symbol: str, seen: list[str]) -> str:
    """Return a symbol in the platform's spelling, case and separators ignored.

    A symbol that has been seen is returned as seen, an unseen pair as its six letters, any other symbol unchanged. A
    symbol without a suffix matches one with any suffix. Different suffixes are different instruments.

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
    matches = [other for other in seen if _letters(other) == letters and suffix in ("", _suffix(other))]
    if matches:
        return matches[0]
    return letters if _six_letters(symbol) and "." not in symbol else symbol


def with_known_symbols(where: Mapping[str, Any], seen: list[str]) -> dict[str, Any]:
    """Return filter values by column, the values of `symbol` replaced as `known_symbol` does.

    Examples
    --------
    >>> with_known_symbols({"symbol": ["eur/usd", "USDJPY"]}, ["EURUSD"])
    {'symbol': ['EURUSD', 'USDJPY']}
    """
    return _with_symbols(where, seen, known_symbol)


def with_normalized_symbols(where: Mapping[str, Any], seen: list[str]) -> dict[str, Any]:
    """Return filter values by column, the values of `symbol` replaced as `normalize_symbol` does.

    Unlike `with_known_symbols` it never raises: the platform may have symbols that have not been seen.

    Examples
    --------
    >>> with_normalized_symbols({"symbol": "eur/usd", "strategy_id": "s1"}, [])
    {'symbol': 'EURUSD', 'strategy_id': 's1'}
    """
    return _with_symbols(where, seen, normalize_symbol)


def _with_symbols(
    where: Mapping[str, Any], seen: list[str], normalize: Callable[[str, list[str]], str]
) -> dict[str, Any]:
    requested: Any = where.get("symbol")
    if isinstance(requested, str):
        return {**where, "symbol": normalize(requested, seen)}
    if is_collection(requested):
        return {**where, "symbol": [normalize(s, seen) if isinstance(s, str) else s for s in requested]}
    return dict(where)


def _six_letters(symbol: str) -> bool:
    letters = _letters(symbol)
    return len(letters) == 6 and letters.isalpha()


def _letters(symbol: str) -> str:
    return "".join(c for c in str(symbol).split(".")[0] if c.isalnum()).upper()


def _suffix(symbol: str) -> str:
    return str(symbol).partition(".")[2].lower()


def is_pair(symbol: str) -> bool:
    """Return whether a symbol is a pair of currencies, in any spelling.

    >>> is_pair("eur/usd"), is_pair("XAUUSD"), is_pair("US500")
    (True, False, False)
    """
    letters = _letters(symbol)
    return len(letters) == 6 and {letters[:3], letters[3:]} <= CURRENCIES
