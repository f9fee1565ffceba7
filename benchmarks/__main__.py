"""Runs every benchmark, each in a process of its own, and prints one table; `--write FILE` puts it into a document.

    python -m benchmarks                          all of them
    python -m benchmarks ingest socket_rate       only these
    python -m benchmarks --write docs/benchmarks.md
    python -m benchmarks peers --write docs/benchmarks.md

The document has two tables, figures with their bars and the comparison with the peers, each between marks, which are
kept. A table of which nothing was measured stays as it is.
"""

from __future__ import annotations

import argparse
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.data import source
from benchmarks.isolate import in_a_process, measured_by
from benchmarks.report import Comparison, Figure, short

ALL = ("ingest", "socket_rate", "frames", "memory", "importing", "day", "captures", "charts", "analytics", "peers")
LIBRARIES = (
    "pandas",
    "numpy",
    "pyarrow",
    "msgspec",
    "websockets",
    "polars",
    "duckdb",
    "bokeh",
    "jupyter_bokeh",
    "perspective-python",
    "streamz",
    "ib_async",
    "plotly",
    "jupyterlab",
    "ipykernel",
)


def main() -> None:
    """Measure, print and, where asked, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", default=ALL, help=f"of {', '.join(ALL)}")
    parser.add_argument("--write", type=Path, help="a document with the two marks of a table")
    arguments = parser.parse_args()
    measured: list[Figure | Comparison] = []
    for name in arguments.names:
        for result in in_a_process(measured_by, name):
            print(result, flush=True)
            measured.append(result)
    if arguments.write:
        write(arguments.write, measured)


def write(document: Path, measured: list[Figure | Comparison]) -> None:
    """Replace the tables of a document of which something was measured."""
    figures = [result for result in measured if isinstance(result, Figure)]
    comparisons = [result for result in measured if isinstance(result, Comparison)]
    if figures:
        rows = [f"| {f.name} | {short(f.value)} | {f.unit} | {f.bar or ''} | {f.verdict} |" for f in figures]
        _put(document, "benchmarks", "| what | measured | unit | bar | |", "| --- | ---: | --- | --- | --- |", *rows)
    if comparisons:
        rows = [row for comparison in comparisons for row in _table_rows(comparison)]
        _put(document, "peers", "| | median | least..most | |", "| --- | ---: | ---: | --- |", *rows)


def _table_rows(comparison: Comparison) -> list[str]:
    unit = f"{comparison.unit}, {comparison.better} is better"
    return [f"| **{comparison.name}** | | | *{unit}* |", *(f"| {' | '.join(row)} |" for row in comparison.rows())]


def _put(document: Path, section: str, *table: str) -> None:
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    before, rest = document.read_text().split(begin)
    after = rest.split(end)[1]
    document.write_text(before + "\n".join([begin, "", _circumstances(), "", *table, "", end]) + after)


def _circumstances() -> str:
    versions = []
    for library in LIBRARIES:
        try:
            versions.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            continue
    day = datetime.now(UTC).date().isoformat()
    return (
        f"{day}, one run on {os.cpu_count()} cores ({platform.system()}, Python {platform.python_version()}), with "
        f"{source()}; {', '.join(versions)}."
    )


if __name__ == "__main__":
    main()
