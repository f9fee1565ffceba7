"""Run many seeds of the simulation: python -m tests.simulation 1000 --first 0

Prints each seed that fails, with the shortest list of actions that still fails as a test, and exits with 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.run import Run
from tests.simulation.shrinking import shrunk

ACTIONS = 30


def main() -> int:
    """Run the seeds and return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="?", default=1_000)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    began, failed = time.monotonic(), 0
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for done, (seed, report) in enumerate(pool.map(failure, seeds, chunksize=10), 1):
            if report is not None:
                failed += 1
                print(f"seed {seed} failed\n{report}", flush=True)
            if done % 1_000 == 0:
                print(f"{done:,} seeds in {time.monotonic() - began:,.0f} s, {failed} failed", flush=True)
    print(f"{len(seeds):,} seeds in {time.monotonic() - began:,.0f} s, {failed} failed")
    return 1 if failed else 0


def failure(seed: int) -> tuple[int, str | None]:
    """Run a seed; return it with the report of its failure, None if it passed."""
    place = _place_of_failure(seed, None)
    if place is None:
        return seed, None
    only = shrunk(frozenset(range(ACTIONS)), lambda actions: _place_of_failure(seed, actions) == place)
    run = Run(seed, ACTIONS, only)
    try:
        run.run()
        error = "(not repeated)"
    except Exception:
        error = traceback.format_exc()
    return seed, f"{error}\nActions: {run.done}\nRun({seed}, {ACTIONS}, frozenset({sorted(only)})).run()"


def _place_of_failure(seed: int, only: frozenset[int] | None) -> tuple[str, str, int | None] | None:
    """Return the type of the error of a run, and the file and line that raised it; None if the run passes."""
    try:
        Run(seed, ACTIONS, only).run()
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return type(error).__name__, frame.filename, frame.lineno
    return None


if __name__ == "__main__":
    sys.exit(main())
