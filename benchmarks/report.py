"""Results of the benchmarks: figures, some with a target, and comparisons of several libraries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

OURS = "fxlive"


@dataclass(frozen=True)
class Figure:
    """One measured figure. A target such as "<= 2.5" is compared with the value."""

    name: str
    value: float
    unit: str
    target: str | None = None

    @property
    def verdict(self) -> str:
        """Return whether the target is met, or an empty text without a target."""
        if self.target is None:
            return ""
        operator, bound = self.target.split()
        met = self.value <= float(bound) if operator == "<=" else self.value >= float(bound)
        return "met" if met else "MISSED"

    def __str__(self) -> str:
        return f"{self.name:<66} {self.value:>14,.3f} {self.unit:<12} {self.target or '':<10} {self.verdict}"


@dataclass(frozen=True)
class Comparison:
    """One discipline with the values that each library reached in each turn.

    Attributes
    ----------
    better
        Whether more or less is better.
    runs
        The values of each library, including fxlive. Values of the same turn have the same index.
    excluded
        Libraries that do not take part, with the reason. Libraries with the same reason share a key.
    """

    name: str
    unit: str
    better: Literal["more", "less"]
    runs: Mapping[str, Sequence[float]]
    excluded: Mapping[str, str] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return library, median, spread and verdict, the best first and excluded libraries last."""
        ranked = sorted(self.runs, key=lambda name: median(self.runs[name]), reverse=self.better == "more")
        rows = [
            (name, short(median(self.runs[name])), _spread(self.runs[name]), self._verdict(name, ranked))
            for name in ranked
        ]
        return [*rows, *((name, "–", "", reason) for name, reason in self.excluded.items())]

    def _verdict(self, name: str, ranked: list[str]) -> str:
        if name == OURS:
            rank = ranked.index(OURS) + 1
            tied = [other for other in ranked if median(self.runs[other]) == median(self.runs[OURS])]
            return f"number {rank} of {len(ranked)}" if rank > 1 else "best" if len(tied) == 1 else "tied for best"
        theirs, ours = self.runs[name], self.runs[OURS]
        if not all([*theirs, *ours]):
            return ""
        ratios = [b / a if self.better == "less" else a / b for a, b in zip(ours, theirs, strict=True)]
        inverse = [1 / ratio for ratio in ratios]
        if min(ratios) > 1:
            return f"fxlive {_times(ratios)}"
        if min(inverse) > 1:
            return f"**{name} wins**: {_times(inverse)}"
        return "equal" if set(ratios) == {1} else f"no difference beyond the spread ({_spread(ratios)})"

    def __str__(self) -> str:
        lines = [f"{self.name}, {self.unit} ({self.better} is better)"]
        lines += [f"  {name:<32} {value:>12} {spread:>26}  {verdict}" for name, value, spread, verdict in self.rows()]
        return "\n".join(lines)


def short(value: float) -> str:
    """Return a number with three significant digits, or as a whole number from 100 on."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _spread(values: Sequence[float]) -> str:
    return f"{short(min(values))}..{short(max(values))}"


def _times(ratios: Sequence[float]) -> str:
    return f"{short(median(ratios))}x better ({_spread(ratios)})"
