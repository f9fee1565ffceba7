"""fxlive beside its peers, each in the disciplines that it is for and in the way that its own documentation recommends.

`python -m benchmarks peers` measures all of it in one run. `tables.py` is about rows: from the wire to a frame;
`charts.py` is the same live chart in each library that has one, and `pages.py` looks at it in JupyterLab.
"""

from __future__ import annotations

from benchmarks.peers import pages, tables
from benchmarks.report import Comparison


def measure() -> list[Comparison]:
    """Return a comparison for each discipline."""
    return [*tables.measure(), *pages.measure()]
