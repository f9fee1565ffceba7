"""Deliberate faults, each put into a copy of the package to see whether the simulation finds it.

python -m tests.simulation.mutations --seeds 1000 prints how many seeds each fault needs, and exits with 1 if one is not
found.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutation:
    """A fault: in a file of the package a text is replaced by another."""

    name: str
    file: str
    text: str
    fault: str


MUTATIONS = [
    Mutation(
        "equal ids are duplicates, whatever the content",
        "pipeline/duplicates.py",
        "set(suspects[self._contents.contain(contents[suspects])].tolist())",
        "set(suspects.tolist())",
    ),
    Mutation("duplicates are rows", "pipeline/pipeline.py", "duplicates = set(found)", "duplicates = set[int]()"),
    Mutation(
        "the newest timestamp wins, however far ahead",
        "tables/latest.py",
        "trusted = np.flatnonzero(~outlier)",
        "trusted = np.arange(len(outlier))",
    ),
    Mutation(
        "a late row replaces a newer one",
        "tables/latest.py",
        "if self._stamp(row) >= former_at:",
        "if True:",
    ),
    Mutation(
        "a gap is not closed",
        "pipeline/pipeline.py",
        "if self.open_gap_us is not None and self._lost_at is not None:",
        "if False:",
    ),
    Mutation(
        "a lost connection is no gap",
        "pipeline/pipeline.py",
        "        self.store.open_gap(at, reason, channels)\n        if self.recording is not None:\n"
        "            self.recording.gap(at, None, reason, channels)\n",
        "",
    ),
    Mutation(
        "a gap begins when the loss is noticed",
        "feeds/live.py",
        "self._sink.lost(connection.last_received_at, self._abort_reason",
        "self._sink.lost(self._world.now_us(), self._abort_reason",
    ),
    Mutation(
        "the length of a gap is that of the wall clock",
        "pipeline/pipeline.py",
        "self._close_gap(self._duration_clock(at))",
        "self._close_gap(self._lost_at + at - self.store.gaps[-1].start if self._lost_at else 0)",
    ),
    Mutation(
        "a token is replaced without asking whether the old connection was alive",
        "feeds/live.py",
        "if ended_before or not connection.complete:",
        "if False:",
    ),
    Mutation(
        "the old connection ends before the new one is subscribed",
        "feeds/live.py",
        "            replacement = await self._connect(newer)\n",
        "            await connection.close()\n            replacement = await self._connect(newer)\n",
    ),
    Mutation(
        "the replaced connection is left open",
        "feeds/live.py",
        "        connection.ping(LAST_PING)\n        await connection.close()\n",
        "        connection.ping(LAST_PING)\n        await asyncio.sleep(1.0)\n",
    ),
    Mutation(
        "a failed reconnect that brought rows begins no gap",
        "feeds/live.py",
        "if connection.has_rows and self._connection is None and asyncio.current_task() is self._task:",
        "if False:",
    ),
    Mutation(
        "the limit of connections counts from before the token function",
        "feeds/pacing.py",
        "        if noted in self._times:\n",
        "        if False:\n",
    ),
    Mutation(
        "a trade confirms its position",
        "tables/store.py",
        "            tickets.update(row[0] for row in zip(*columns, strict=True) if closings.add(*row))\n",
        "            tickets.update(row[0] for row in zip(*columns, strict=True) if closings.add(*row))\n"
        '            table.confirm(values["ticket"], int(trades.received_at[-1]))\n',
    ),
    Mutation(
        "a silent connection is never given up",
        "feeds/live.py",
        "elif connection.silent_ticks >= DEAD_AFTER_TICKS:",
        "elif False:",
    ),
    Mutation(
        "a reconnect forgets a channel",
        "feeds/live.py",
        'await self._request(connection, "subscribe", self._filters)',
        'await self._request(connection, "subscribe", dict(list(self._filters.items())[:3]))',
    ),
    Mutation(
        "the limit of connections a minute is ignored",
        "feeds/live.py",
        "            while wait > 0:\n",
        "            while False:\n",
    ),
    Mutation(
        "the second refused token is final, however long after the first",
        "feeds/live.py",
        "if not self._token.renewable or (renewed and not was_valid):",
        "if not self._token.renewable or renewed:",
    ),
    Mutation(
        "positions stay confirmed after a gap",
        "tables/store.py",
        "                table.begin_gap(until_us)\n",
        "                pass\n",
    ),
    Mutation(
        "readers share the memory of the tables",
        "tables/columns/copy_on_write.py",
        "            getattr(frame.iloc[:, i], _REFERENCES).add_index_reference(_OWNER)\n",
        "            pass\n",
    ),
    Mutation(
        "a callback gets one message of each batch",
        "pipeline/callbacks.py",
        "while (message := self.mailbox.take()) is not None:",
        "if (message := self.mailbox.take()) is not None:",
    ),
    Mutation(
        "a new recording begins after the former has ended",
        "sessions/session.py",
        "self._pipeline.record_into(self.recording)  # before the former ends",
        "self._pipeline.loop.call_later(0.5, self._pipeline.record_into, self.recording)  #",
    ),
    Mutation(
        "dropped rows are in no gap of the capture",
        "capture/writing/recorder.py",
        "        if dropped is not None:\n",
        "        if False:\n",
    ),
    Mutation(
        "rows that could not be written are forgotten",
        "capture/writing/channel_writer.py",
        "                self._disk.remove(file)  # the error may have come after the rename",
        "                self._encoded.popleft()  #",
    ),
    Mutation(
        "a part whose write failed at the end stays",
        "capture/writing/channel_writer.py",
        "                self._disk.remove(file)  # the error may have come after the rename",
        "                #",
    ),
    Mutation(
        "merged parts are deleted before the result is complete",
        "capture/writing/channel_writer.py",
        "                if size is not None:\n",
        "                for written in sources:\n                    self._disk.remove(written.part.file)\n"
        "                if size is not None:\n",
    ),
    Mutation(
        "the recording does not know the gap in which it began",
        "pipeline/pipeline.py",
        "            recording.gap(gap.start, None, gap.reason, gap.channels)\n",
        "            pass\n",
    ),
    Mutation(
        "the token is logged",
        "feeds/live.py",
        "            newer = await self._get_token()\n",
        '            newer = await self._get_token()\n            log.info("%s", newer.reveal())\n',
    ),
]


def found_by(mutation: Mutation, seeds: int) -> tuple[int | None, str]:
    """Return the number of seeds until the fault is found (None: not found), and the error."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("fxlive", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        file = copy / "fxlive" / mutation.file
        text = file.read_text()
        if text.count(mutation.text) != 1:
            raise ValueError(f"{mutation.file} has the text of {mutation.name!r} {text.count(mutation.text)} times")
        file.write_text(text.replace(mutation.text, mutation.fault))
        code = f"from tests.simulation.mutations import first_failure; first_failure({seeds})"
        environment = {**os.environ, "PYTHONPATH": folder}
        run = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    if run.returncode not in (0, 1):
        raise RuntimeError(run.stderr)
    number, _, error = run.stdout.partition("\n")
    return (int(number) if run.returncode else None), error.strip()


def first_failure(seeds: int) -> None:
    """Run seeds until one fails; print how many were run and the error, and exit with 1."""
    from tests.simulation.run import Run

    for seed in range(seeds):
        try:
            Run(seed).run()
        except Exception as error:
            print(f"{seed + 1}\n{type(error).__name__}: {str(error)[:200]}")
            sys.exit(1)


def main() -> int:
    """Run all mutations, or those whose names contain a text; return 1 if one is not found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    mutations = [mutation for mutation in MUTATIONS if arguments.only in mutation.name]
    missed = 0
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        results = pool.map(partial(found_by, seeds=arguments.seeds), mutations)
        for mutation, (count, error) in zip(mutations, results, strict=True):
            missed += count is None
            print(f"{mutation.name} | {'not found' if count is None else count} | {error}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
