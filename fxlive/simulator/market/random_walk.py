"""The simulated market: correlated currencies, from which every pair follows, so that crosses hold no arbitrage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fxlive.simulator.market.pairs import digits, is_pair, pip
from fxlive.simulator.market.quotes import DAY_MS, Quote

DEFAULT_SYMBOLS = ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "NZDUSD", "USDCAD", "USDCHF", "EURJPY", "EURGBP")

# Dollars for one unit, and volatility a year, of the currencies that a user is likely to name.
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
# How busy each UTC hour is: Asia, London from 7, New York from 12, the quiet hours after 20.
_ACTIVITY = np.array(
    [.5, .55, .5, .45, .45, .5, .7, 1.1, 1.3, 1.2, 1.1, 1.0, 1.3, 1.7, 1.8, 1.6, 1.2, .9, .7, .6, .45, .3, .3, .4]
)  # fmt: skip


class SimulatedMarket:
    """An endless stream of quotes of correlated pairs, the same for the same seed.

    Each currency's dollar value is a random walk: a factor that all share (the dollar's own moves) and one of its own,
    with clustering volatility, rare jumps, and hours that are busier than others. A pair's price is the ratio of its
    two currencies; its dealer moves the quote only now and then, and widens the spread in wild minutes.

    Parameters
    ----------
    seed : same seed, same quotes.
    symbols : pairs such as EURUSD (default: seven majors and two crosses).
    start_ms : market time of the start, milliseconds since 1970.
    phase_ms : time of day whose busyness the start has, milliseconds (default: that of `start_ms`).
    quotes_per_s : quotes a market second of an average hour, all symbols together (default: 4 a symbol).
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
                f"cannot simulate {', '.join(unknown)}: pairs of {' '.join(sorted(_VALUES))} only, such as EURUSD"
            )
        self._start_ms = start_ms
        self._phase_ms = start_ms if phase_ms is None else phase_ms
        self._rng = np.random.default_rng(seed)
        # Above one quote a step the steps would have to be shorter than the clock of the wire.
        each = (4.0 if quotes_per_s is None else quotes_per_s / len(self.symbols)) * _STEP_MS / 1000
        self._chance = min(each, 0.9)

    def __iter__(self) -> Iterator[list[Quote]]:
        """Quotes in blocks of about a market minute, in time order."""
        rng = self._rng
        currencies = sorted({c for s in self.symbols for c in (s[:3], s[3:])})
        column = {c: k for k, c in enumerate(currencies)}
        values = np.log([_VALUES[c][0] for c in currencies])
        sigma = np.array([_VALUES[c][1] for c in currencies]) * np.sqrt(_STEP_MS / _YEAR_MS)
        base = np.array([column[s[:3]] for s in self.symbols])
        quote = np.array([column[s[3:]] for s in self.symbols])
        places = np.array([digits(s) for s in self.symbols])
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
                quoted[0] = True  # every symbol has a price at once
                first = False
            step, which = np.nonzero(quoted)
            mid = np.exp(path[step, base[which]] - path[step, quote[which]])
            wide = usual_spread[which] * (1 + 0.4 * rng.exponential(size=len(which))) * max(1.0, volatility)
            half = wide * pips[which] / 2
            bid = _rounded(mid - half, places[which])
            ask = _rounded(mid + half, places[which])
            jitter = rng.integers(0, _STEP_MS, size=len(which))
            times = self._start_ms + offset_ms + step * _STEP_MS + jitter
            order = np.argsort(times, kind="stable")
            yield list(
                zip(times[order].tolist(), names[which[order]].tolist(), bid[order].tolist(), ask[order].tolist(),
                    strict=True)
            )  # fmt: skip
            offset_ms += _BLOCK_STEPS * _STEP_MS


def _rounded(prices: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Prices rounded to each pair's digits, such that repr shows no more than these."""
    scale = np.power(10.0, places)
    rounded: np.ndarray = np.rint(prices * scale) / scale
    return rounded
