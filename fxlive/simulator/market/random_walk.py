"""The simulated market: correlated currencies; the prices of pairs are their ratios, so crosses have no arbitrage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fxlive.simulator.market.pairs import digits, is_pair, pip
from fxlive.simulator.market.quotes import DAY_MS, Quote

DEFAULT_SYMBOLS = ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "NZDUSD", "USDCAD", "USDCHF", "EURJPY", "EURGBP")

# Dollars for one unit of each supported currency, and its annual volatility.
_VALUES = {
    "USD": (1.0, 0.0), "EUR": (1.085, 0.075), "JPY": (1 / 148.5, 0.095), "GBP": (1.265, 0.085), "AUD": (0.655, 0.10),
    "NZD": (0.605, 0.105), "CAD": (1 / 1.352, 0.07), "CHF": (1 / 0.882, 0.08), "SEK": (1 / 10.4, 0.11),
    "NOK": (1 / 10.6, 0.12), "DKK": (1 / 6.87, 0.075), "PLN": (1 / 4.0, 0.12), "CZK": (1 / 23.3, 0.11),
    "HUF": (1 / 358.0, 0.13), "TRY": (1 / 30.2, 0.20), "ZAR": (1 / 18.8, 0.16), "MXN": (1 / 17.1, 0.13),
    "CNH": (1 / 7.19, 0.05), "SGD": (1 / 1.34, 0.05), "HKD": (1 / 7.82, 0.01), "THB": (1 / 35.5, 0.08),
    "ILS": (1 / 3.7, 0.10), "INR": (1 / 83.1, 0.05),
}  # fmt: skip
_SPREAD_PIPS = {"EURUSD": 0.3, "USDJPY": 0.4, "GBPUSD": 0.6, "AUDUSD": 0.5, "USDCAD": 0.7, "USDCHF": 0.7, "EURGBP": 0.6}
_YEAR_MS = 252 * DAY_MS
_STEP_MS = 25
_BLOCK_STEPS = 2048
# Relative activity of each UTC hour: Asia, London from 7, New York from 12, quiet hours after 20.
_ACTIVITY = np.array(
    [.5, .55, .5, .45, .45, .5, .7, 1.1, 1.3, 1.2, 1.1, 1.0, 1.3, 1.7, 1.8, 1.6, 1.2, .9, .7, .6, .45, .3, .3, .4]
)  # fmt: skip


class SimulatedMarket:
    """An endless stream of quotes of correlated pairs, the same for the same seed.

    Each currency's dollar value is a random walk with two factors: one that all share (the dollar's own moves) and one
    of its own. Volatility clusters, rises at random (news) and follows the hours of the trading day. A pair's price is
    the ratio of its two currencies. It is quoted at random moments, with a wider spread when volatility is high.

    Parameters
    ----------
    seed : the same seed gives the same quotes.
    symbols : pairs such as EURUSD (default: seven majors and two crosses).
    start_ms : market time of the start, milliseconds since 1970.
    phase_ms : time of day of the start for the hourly activity, milliseconds (default: that of `start_ms`).
    quotes_per_s : quotes per market second in an average hour, all symbols together (default: 4 per symbol).

    Raises
    ------
    ValueError
        If a symbol is not a pair of supported currencies.
    """

    def __init__(
        self,
        seed: int,
        symbols: Sequence[str] | None = None,
        *,
        start_ms: int,
        phase_ms: int | None = None,
        quotes_per_s: float | None = None,
    ) -> None:
        self.symbols = tuple(dict.fromkeys(symbols or DEFAULT_SYMBOLS))
        unknown = [s for s in self.symbols if not is_pair(s) or s[:3] not in _VALUES or s[3:] not in _VALUES]
        if unknown:
            raise ValueError(
                f"Cannot simulate {', '.join(unknown)}. Use pairs such as EURUSD, of {', '.join(sorted(_VALUES))}."
            )
        self._start_ms = start_ms
        self._phase_ms = start_ms if phase_ms is None else phase_ms
        self._rng = np.random.default_rng(seed)
        # At most one quote per symbol and step.
        quotes_per_step = (4.0 if quotes_per_s is None else quotes_per_s / len(self.symbols)) * _STEP_MS / 1000
        self._chance = min(quotes_per_step, 0.9)

    def __iter__(self) -> Iterator[list[Quote]]:
        """Yield quotes in blocks of about a market minute, in time order."""
        rng = self._rng
        currencies = sorted({c for s in self.symbols for c in (s[:3], s[3:])})
        column = {c: k for k, c in enumerate(currencies)}
        values = np.log([_VALUES[c][0] for c in currencies])
        sigma = np.array([_VALUES[c][1] for c in currencies]) * np.sqrt(_STEP_MS / _YEAR_MS)
        base = np.array([column[s[:3]] for s in self.symbols])
        quote = np.array([column[s[3:]] for s in self.symbols])
        decimals = np.array([digits(s) for s in self.symbols])
        pips = np.array([pip(s) for s in self.symbols])
        usual_spread = np.array([_SPREAD_PIPS.get(s, 1.0) for s in self.symbols])
        names = np.array(self.symbols, dtype=object)
        heat = 0.0
        offset_ms = 0
        first = True
        while True:
            hour = ((self._phase_ms + offset_ms) % DAY_MS) / 3_600_000
            activity = float(np.interp(hour, np.arange(25), np.append(_ACTIVITY, _ACTIVITY[0])))
            heat = 0.97 * heat + 0.12 * rng.standard_normal()
            volatility = np.exp(heat) * np.sqrt(activity)
            if rng.random() < 0.01:
                volatility *= 3.0  # news
            common = rng.standard_normal((_BLOCK_STEPS, 1))
            own = rng.standard_normal((_BLOCK_STEPS, len(currencies)))
            moves = (0.6 * common + 0.8 * own) * (sigma * volatility)
            path = values + np.cumsum(moves, axis=0)
            values = path[-1]
            quoted = rng.random((_BLOCK_STEPS, len(self.symbols))) < min(self._chance * activity, 1.0)
            if first:
                quoted[0] = True  # every symbol has a price from the start
                first = False
            step, pair = np.nonzero(quoted)
            mid = np.exp(path[step, base[pair]] - path[step, quote[pair]])
            spread_pips = usual_spread[pair] * (1 + 0.4 * rng.exponential(size=len(pair))) * max(1.0, volatility)
            half_spread = spread_pips * pips[pair] / 2
            bid = _round(mid - half_spread, decimals[pair])
            ask = _round(mid + half_spread, decimals[pair])
            jitter = rng.integers(0, _STEP_MS, size=len(pair))
            times = self._start_ms + offset_ms + step * _STEP_MS + jitter
            order = np.argsort(times, kind="stable")
            yield list(
                zip(times[order].tolist(), names[pair[order]].tolist(), bid[order].tolist(), ask[order].tolist(),
                    strict=True)
            )  # fmt: skip
            offset_ms += _BLOCK_STEPS * _STEP_MS


def _round(prices: np.ndarray, decimals: np.ndarray) -> np.ndarray:
    """Round each price to its pair's decimals, so that its repr shows no more digits than these."""
    scale = np.power(10.0, decimals)
    rounded: np.ndarray = np.rint(prices * scale) / scale
    return rounded
