"""Ten million messages with flat memory, a million mutated messages, a hundred kills of a recording, an hour of faults.

    python -m benchmarks.soak                                                    all, as `make soak` does
    python -m benchmarks.soak --messages 2000000 --mutations 20000 --kills 5 --minutes 3    a short version
    python -m benchmarks.soak --messages 0 --mutations 0 --kills 0 --seed 5      only the faults, with another seed

Prints every failed check and exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.isolate import run_in_process
from benchmarks.soak.faults import random_faults
from benchmarks.soak.flood import many_messages
from benchmarks.soak.kills import kills
from benchmarks.soak.mutations import mutated_messages
from benchmarks.soak.outcome import Outcome


def main() -> int:
    """Run all and return 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--messages", type=int, default=10_000_000, help="0 skips this run (default %(default)s)")
    parser.add_argument("--mutations", type=int, default=1_000_000, help="0 skips this run (default %(default)s)")
    parser.add_argument("--minutes", type=float, default=60.0, help="of random faults; 0 skips this run (default 60)")
    parser.add_argument("--kills", type=int, default=100, help="of a recording; 0 skips this run (default %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="seed of mutations, faults and kills (default %(default)s)")
    arguments = parser.parse_args()
    failures: list[str] = []
    runs: list[tuple[Callable[..., Outcome], tuple[Any, ...]]] = []
    runs += [(many_messages, (arguments.messages,))] if arguments.messages else []
    runs += [(mutated_messages, (arguments.mutations, arguments.seed))] if arguments.mutations else []
    runs += [(kills, (arguments.kills, arguments.seed))] if arguments.kills else []
    runs += [(random_faults, (arguments.minutes, arguments.seed))] if arguments.minutes else []
    for run, options in runs:
        outcome = run_in_process(run, *options)
        for figure in outcome.figures:
            print(figure, flush=True)
        failures += outcome.failures
    for failure in failures:
        print(f"FAILED  {failure}", flush=True)
    print("all checks passed" if not failures else f"{len(failures)} checks failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
