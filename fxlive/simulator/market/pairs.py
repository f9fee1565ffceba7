"""What a currency pair is: its currencies, pip, lot, and the way from its quote currency to dollars."""

from __future__ import annotations

ACCOUNT_CURRENCY = "USD"
LOT_UNITS = 100_000

CURRENCIES = frozenset(
    {"USD", "EUR", "JPY", "GBP", "AUD", "NZD", "CAD", "CHF", "CNH", "CNY", "CZK", "DKK", "HKD", "HUF", "ILS", "KRW",
     "MXN", "NOK", "PLN", "RON", "RUB", "SEK", "SGD", "THB", "TRY", "ZAR", "INR", "BRL"}
)  # fmt: skip


def is_pair(symbol: str) -> bool:
    """Whether the symbol is two known currencies, such as EURUSD."""
    return len(symbol) == 6 and symbol[:3] in CURRENCIES and symbol[3:] in CURRENCIES and symbol[:3] != symbol[3:]


def digits(symbol: str) -> int:
    """Decimals of the symbol's prices: 3 for yen quotes, else 5."""
    return 3 if symbol.endswith("JPY") else 5


def point(symbol: str) -> float:
    """The smallest step of the symbol's prices, a tenth of a pip."""
    return 0.001 if symbol.endswith("JPY") else 0.00001


def pip(symbol: str) -> float:
    """0.0001, or 0.01 for yen quotes."""
    return 0.01 if symbol.endswith("JPY") else 0.0001


class Rates:
    """The last bid and ask of every symbol, and conversions to dollars through the bids."""

    def __init__(self) -> None:
        self.quotes: dict[str, tuple[float, float]] = {}
        self._paths: dict[str, tuple[tuple[str, bool], ...] | None] = {}

    def update(self, symbol: str, bid: float, ask: float) -> None:
        """Take a new quote."""
        if symbol not in self.quotes:
            self._paths.clear()
        self.quotes[symbol] = (bid, ask)

    def to_usd(self, currency: str, own: str = "", own_price: float = 0.0) -> float | None:
        """Dollars for one unit of the currency, or None without quotes that lead there.

        The shortest chain of pairs is taken, each at its bid (the wire's `last`); a position's own pair, `own`, is
        taken at the position's price, so that the profit of USDJPY follows from its own message alone.
        """
        path = self._path(currency)
        if path is None:
            return None
        rate = 1.0
        for symbol, forward in path:
            price = own_price if symbol == own else self.quotes[symbol][0]
            rate = rate * price if forward else rate / price
        return rate

    def _path(self, currency: str) -> tuple[tuple[str, bool], ...] | None:
        if currency not in self._paths:
            self._paths[currency] = self._search(currency)
        return self._paths[currency]

    def _search(self, currency: str) -> tuple[tuple[str, bool], ...] | None:
        """Breadth first over the pairs in alphabetic order, so that the order of arrival does not choose the path."""
        steps = sorted(symbol for symbol in self.quotes if is_pair(symbol))
        reached: dict[str, tuple[tuple[str, bool], ...]] = {currency: ()}
        frontier = [currency]
        while frontier and ACCOUNT_CURRENCY not in reached:
            following = []
            for here in frontier:
                for symbol in steps:
                    base, quote = symbol[:3], symbol[3:]
                    there = quote if base == here else base if quote == here else None
                    if there is not None and there not in reached:
                        reached[there] = (*reached[here], (symbol, base == here))
                        following.append(there)
            frontier = following
        return reached.get(ACCOUNT_CURRENCY)


def cents(units: float, usd_rate: float) -> int:
    """An amount of some currency in whole US cents, half to even."""
    # Differences of prices carry binary dust (1e-17); rounded away first, so that exact cents stay exact.
    return round(round(units, 8) * usd_rate * 100)
