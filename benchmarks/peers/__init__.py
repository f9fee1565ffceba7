"""Comparison of fxlive with its peers: each library in the disciplines it is made for, used as its documentation says.

`python -m benchmarks peers` measures all disciplines in one run. `tables.py` compares rows, from the wire to a frame.
`charts.py` defines the same live chart for each library that has one, and `pages.py` measures it in JupyterLab.
"""

from __future__ import annotations

from benchmarks.peers import pages, tables
from benchmarks.report import Comparison


def measure() -> list[Comparison]:
    """Return a comparison for each discipline."""
    return [*tables.measure(), *pages.measure()]
