"""Run the benchmarks, each in its own process, and print the results. `--write FILE` writes them to a document.

    python -m benchmarks                          all of them
    python -m benchmarks ingest socket_rate       only these
    python -m benchmarks --write docs/benchmarks.md
    python -m benchmarks peers --write docs/benchmarks.md

The document has two tables, each between two markers: figures with their targets, and the comparison with the peers. A
table is replaced only if something in it was measured.
"""

from __future__ import annotations

import argparse
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.data import quotes_source
from benchmarks.isolate import measure_module, run_in_process
from benchmarks.report import Comparison, Figure, short

ALL = (
    "ingest",
    "socket_rate",
    "frames",
    "memory",
    "importing",
    "attacks",
    "day",
    "captures",
    "charts",
    "analytics",
    "peers",
)
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
    """Measure, print the results and, with --write, write them to a document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", default=ALL, help=f"benchmarks to run, of {', '.join(ALL)} (default: all)")
    parser.add_argument("--write", type=Path, help="document with the markers of the tables")
    arguments = parser.parse_args()
    results: list[Figure | Comparison] = []
    for name in arguments.names:
        for result in run_in_process(measure_module, name):
            print(result, flush=True)
            results.append(result)
    if arguments.write:
        write(arguments.write, results)


def write(document: Path, results: list[Figure | Comparison]) -> None:
    """Replace those tables of a document for which there are results."""
    figures = [result for result in results if isinstance(result, Figure)]
    comparisons = [result for result in results if isinstance(result, Comparison)]
    if figures:
        rows = [f"| {f.name} | {short(f.value)} | {f.unit} | {f.target or ''} | {f.verdict} |" for f in figures]
        header = "| figure | measured | unit | target | |"
        _replace_table(document, "benchmarks", header, "| --- | ---: | --- | --- | --- |", *rows)
    if comparisons:
        rows = [row for comparison in comparisons for row in _table_rows(comparison)]
        _replace_table(document, "peers", "| | median | least..most | |", "| --- | ---: | ---: | --- |", *rows)


def _table_rows(comparison: Comparison) -> list[str]:
    unit = f"{comparison.unit}, {comparison.better} is better"
    return [f"| **{comparison.name}** | | | *{unit}* |", *(f"| {' | '.join(row)} |" for row in comparison.rows())]


def _replace_table(document: Path, section: str, *table: str) -> None:
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    before, rest = document.read_text().split(begin)
    after = rest.split(end)[1]
    document.write_text(before + "\n".join([begin, "", _environment(), "", *table, "", end]) + after)


def _environment() -> str:
    """Return the date, the machine, the source of the quotes and the versions of the libraries."""
    versions = []
    for library in LIBRARIES:
        try:
            versions.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            continue
    day = datetime.now(UTC).date().isoformat()
    return (
        f"{day}, one run on {os.cpu_count()} cores ({platform.system()}, Python {platform.python_version()}), with "
        f"{quotes_source()}; {', '.join(versions)}."
    )


if __name__ == "__main__":
    main()
