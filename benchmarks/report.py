"""How the benchmarks report: a figure has a name, a value, a unit and, where an issue set one, a bar."""

from __future__ import annotations

from dataclasses import dataclass


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
