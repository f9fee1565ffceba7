"""How the benchmarks report: figures with a bar, where an issue set one, and comparisons of several libraries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

OURS = "fxlive"


@dataclass(frozen=True)
class Figure:
    """One measured figure; `bar` such as "<= 2.5" is compared with the value."""

    name: str
    value: float
    unit: str
    bar: str | None = None

    @property
    def verdict(self) -> str:
        """Return whether the bar was cleared; empty where there is none."""
        if self.bar is None:
            return ""
        sense, bound = self.bar.split()
        cleared = self.value <= float(bound) if sense == "<=" else self.value >= float(bound)
        return "cleared" if cleared else "MISSED"

    def __str__(self) -> str:
        return f"{self.name:<66} {self.value:>14,.3f} {self.unit:<12} {self.bar or '':<10} {self.verdict}"


@dataclass(frozen=True)
class Comparison:
    """One discipline: what each library measured in each turn.

    Attributes
    ----------
    better
        Whether more is better, or less.
    runs
        The values of each library, fxlive among them; those of one turn stand at the same place.
    without
        Those that have no part in it, with the reason; several in one key where it is the same.
    """

    name: str
    unit: str
    better: Literal["more", "less"]
    runs: Mapping[str, Sequence[float]]
    without: Mapping[str, str] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return library, median, spread and verdict, the best first; at the end who has no part."""
        ranked = sorted(self.runs, key=lambda name: median(self.runs[name]), reverse=self.better == "more")
        rows = [
            (name, short(median(self.runs[name])), _spread(self.runs[name]), self._verdict(name, ranked))
            for name in ranked
        ]
        return [*rows, *((name, "–", "", reason) for name, reason in self.without.items())]

    def _verdict(self, name: str, ranked: list[str]) -> str:
        if name == OURS:
            place = ranked.index(OURS)
            tied = [other for other in ranked if median(self.runs[other]) == median(self.runs[OURS])]
            return f"number {place + 1} of {len(ranked)}" if place else "best" if len(tied) == 1 else "with the best"
        theirs, ours = self.runs[name], self.runs[OURS]
        if not all([*theirs, *ours]):
            return ""
        ratios = [b / a if self.better == "less" else a / b for a, b in zip(ours, theirs, strict=True)]
        inverse = [1 / ratio for ratio in ratios]
        if min(ratios) > 1:
            return f"fxlive {_times(ratios)}"
        if min(inverse) > 1:
            return f"**{name} wins**: {_times(inverse)}"
        return "the same" if set(ratios) == {1} else f"no difference beyond the spread ({_spread(ratios)})"

    def __str__(self) -> str:
        lines = [f"{self.name}, {self.unit} ({self.better} is better)"]
        lines += [f"  {name:<32} {value:>12} {spread:>26}  {verdict}" for name, value, spread, verdict in self.rows()]
        return "\n".join(lines)


def short(value: float) -> str:
    """Return a number with the digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _spread(values: Sequence[float]) -> str:
    return f"{short(min(values))}..{short(max(values))}"


def _times(ratios: Sequence[float]) -> str:
    return f"{short(median(ratios))}x better ({_spread(ratios)})"
