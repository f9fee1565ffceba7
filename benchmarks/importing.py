"""The time that `import fxlive` takes in addition to `import pandas`."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

from benchmarks.report import Figure

RUNS = 9


def measure() -> list[Figure]:
    """Return seconds: the median of runs in fresh processes, in turn."""
    times: dict[str, list[float]] = {"pandas": [], "fxlive": []}
    for _ in range(RUNS):
        for module, seconds in times.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
            seconds.append(time.perf_counter() - start)
    additional = median(f - p for f, p in zip(times["fxlive"], times["pandas"], strict=True))
    return [
        Figure("import pandas", median(times["pandas"]), "s"),
        Figure("import fxlive, beyond import pandas", additional, "s", "<= 0.15"),
    ]


if __name__ == "__main__":
    for figure in measure():
        print(figure)
