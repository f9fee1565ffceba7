"""Long runs: ten million messages with flat memory, a million mutated messages, a hundred kills of a recording, an hour
of random faults of the platform, and a thousand faults of the network, the process and the clock.

    python -m benchmarks.soak                                            all, as `make soak` does
    python -m benchmarks.soak --messages 2000000 --mutations 20000 --kills 5 --minutes 3 --chaos 30
    python -m benchmarks.soak --only chaos --scale 1                     one run, as long as on a bad day

Prints every failed check and exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.isolate import run_in_process
from benchmarks.soak.chaos import chaos
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
    parser.add_argument("--chaos", type=int, default=1_000, help="faults; 0 skips this run (default %(default)s)")
    parser.add_argument(
        "--scale", type=float, default=0.05, help="of the chaos: 1 stops a process for 60 s (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=7, help="seed of all runs (default %(default)s)")
    parser.add_argument(
        "--only", choices=("messages", "mutations", "kills", "minutes", "chaos"), help="do only this run"
    )
    arguments = parser.parse_args()
    failures: list[str] = []
    runs: dict[str, tuple[Callable[..., Outcome], tuple[Any, ...]]] = {
        "messages": (many_messages, (arguments.messages,)),
        "mutations": (mutated_messages, (arguments.mutations, arguments.seed)),
        "kills": (kills, (arguments.kills, arguments.seed)),
        "minutes": (random_faults, (arguments.minutes, arguments.seed)),
        "chaos": (chaos, (arguments.chaos, arguments.scale, arguments.seed)),
    }
    for name, (run, options) in runs.items():
        if not getattr(arguments, name) or arguments.only not in (None, name):
            continue
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
