"""Currency pairs: their currencies, digits, points and pips, and the conversion of amounts to dollars."""

from __future__ import annotations

ACCOUNT_CURRENCY = "USD"
LOT_UNITS = 100_000

CURRENCIES = frozenset(
    {"USD", "EUR", "JPY", "GBP", "AUD", "NZD", "CAD", "CHF", "CNH", "CNY", "CZK", "DKK", "HKD", "HUF", "ILS", "KRW",
     "MXN", "NOK", "PLN", "RON", "RUB", "SEK", "SGD", "THB", "TRY", "ZAR", "INR", "BRL"}
)  # fmt: skip


def is_pair(symbol: str) -> bool:
    """Return whether the symbol consists of two different known currencies, such as EURUSD."""
    return len(symbol) == 6 and symbol[:3] in CURRENCIES and symbol[3:] in CURRENCIES and symbol[:3] != symbol[3:]


def digits(symbol: str) -> int:
    """Return the decimals of the symbol's prices: 3 if quoted in yen, else 5."""
    return 3 if symbol.endswith("JPY") else 5


def point(symbol: str) -> float:
    """Return the smallest step of the symbol's prices, a tenth of a pip."""
    return 0.001 if symbol.endswith("JPY") else 0.00001


def pip(symbol: str) -> float:
    """Return the symbol's pip: 0.01 if quoted in yen, else 0.0001."""
    return 0.01 if symbol.endswith("JPY") else 0.0001


class Rates:
    """The last bid and ask of every symbol, and conversions to dollars at the bids."""

    def __init__(self) -> None:
        self.quotes: dict[str, tuple[float, float]] = {}
        self._paths: dict[str, tuple[tuple[str, bool], ...] | None] = {}

    def update(self, symbol: str, bid: float, ask: float) -> None:
        """Store the newest quote of a symbol."""
        if symbol not in self.quotes:
            self._paths.clear()
        self.quotes[symbol] = (bid, ask)

    def to_usd(self, currency: str, own: str = "", own_price: float = 0.0) -> float | None:
        """Return the dollars for one unit of the currency, or None if no chain of quoted pairs leads to the dollar.

        The shortest chain of pairs is used. Each pair is converted at its bid (the wire's `last`), except a position's
        own pair, `own`: it is converted at the position's price, `own_price`. So the profit of a USDJPY position can
        be checked from its own message alone.
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
        """Search breadth first, over the pairs in alphabetical order: the order of arrival must not choose the path."""
        pairs = sorted(symbol for symbol in self.quotes if is_pair(symbol))
        reached: dict[str, tuple[tuple[str, bool], ...]] = {currency: ()}
        frontier = [currency]
        while frontier and ACCOUNT_CURRENCY not in reached:
            next_frontier = []
            for current in frontier:
                for symbol in pairs:
                    base, quote = symbol[:3], symbol[3:]
                    neighbour = quote if base == current else base if quote == current else None
                    if neighbour is not None and neighbour not in reached:
                        reached[neighbour] = (*reached[current], (symbol, base == current))
                        next_frontier.append(neighbour)
            frontier = next_frontier
        return reached.get(ACCOUNT_CURRENCY)


def cents(units: float, usd_rate: float) -> int:
    """Convert an amount of a currency to whole US cents, rounding half to even."""
    # Differences of prices have binary rounding errors (1e-17). Round these away first, so that exact cents stay exact.
    return round(round(units, 8) * usd_rate * 100)
