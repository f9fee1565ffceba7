"""Runs every benchmark, each in a process of its own, and prints one table; `--write FILE` puts it into a document.

    python -m benchmarks                          all of them
    python -m benchmarks ingest socket_rate       only these
    python -m benchmarks --write docs/benchmarks.md

The table in the document stands between two marks, which are kept.
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
from benchmarks.report import Figure

ALL = ("ingest", "socket_rate", "frames", "memory", "importing", "day", "captures", "charts", "analytics")
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
LIBRARIES = (
    "pandas",
    "numpy",
    "pyarrow",
    "msgspec",
    "websockets",
    "polars",
    "duckdb",
    "bokeh",
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
    figures: list[Figure] = []
    for name in arguments.names:
        for figure in in_a_process(measured_by, name):
            print(figure, flush=True)
            figures.append(figure)
    if arguments.write:
        write(arguments.write, figures)


def write(document: Path, figures: list[Figure]) -> None:
    """Replace the table of a document."""
    text = document.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    rows = [f"| {f.name} | {_short(f.value)} | {f.unit} | {f.bar or ''} | {f.verdict} |" for f in figures]
    table = ["| what | measured | unit | bar | |", "| --- | ---: | --- | --- | --- |", *rows]
    document.write_text(before + "\n".join([BEGIN, "", _circumstances(), "", *table, "", END]) + after)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == 0 else f"{value:.3g}"


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
