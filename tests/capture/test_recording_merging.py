"""Merging leaves few and small parts, with exactly the rows that arrived."""

from __future__ import annotations

import errno
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxlive.capture.format import layout
from fxlive.capture.format.disk import Disk
from fxlive.capture.format.layout import MAX_PARTS, Part, current_parts, next_merge
from fxlive.capture.writing.recorder import Recorder
from fxlive.simulator.market.quotes import QuoteBook
from fxlive.wire.protocol import decode
from tests.capture.recordings import DAY_US, MAY_8, alert, message, numbers, quote, quotes, read, wait_until

TICKS = Path(__file__).parents[3] / "shared" / "data" / "ticks" / "fxcm-2014-05-08.csv.gz"


def merged_fully(sizes: list[int], *, closed_at_the_end: bool = True) -> tuple[list[int], int]:
    """Apply the merge policy to parts of these sizes, one by one; return the final sizes and the rows rewritten."""
    parts: list[tuple[int, int, int]] = []
    rewritten = row = 0

    def merge_all(closed: bool) -> None:
        nonlocal rewritten
        while True:
            which = next_merge([p[0] for p in parts], [p[1] for p in parts], [p[2] for p in parts], closed=closed)
            if which is None:
                return
            merged = parts[which]
            assert all(a[1] == b[0] for a, b in pairwise(merged))
            rewritten += merged[-1][1] - merged[0][0]
            parts[which] = [(merged[0][0], merged[-1][1], 1 + max(p[2] for p in merged))]

    for size in sizes:
        parts.append((row, row + size, 0))
        row += size
        merge_all(False)
    if closed_at_the_end:
        merge_all(True)
    return [stop - start for start, stop, _ in parts], rewritten


def test_an_hour_of_recording_is_a_few_files_and_rewrites_each_row_a_few_times() -> None:
    sizes, rewritten = merged_fully([100] * 7200, closed_at_the_end=False)

    assert sum(sizes) == 720_000
    assert len(sizes) < 20
    assert rewritten < 5 * 720_000


@given(st.lists(st.integers(1, 5_000_000), min_size=1, max_size=100))
def test_a_complete_date_has_at_most_eight_parts(sizes: list[int]) -> None:
    remaining, _ = merged_fully(sizes)

    assert sum(remaining) == sum(sizes)
    assert len(remaining) <= MAX_PARTS


def test_parts_with_rows_of_another_date_between_them_are_not_merged() -> None:
    assert next_merge([0, 20], [10, 30], [0, 0], closed=True) is None


def test_a_part_contained_in_a_larger_one_does_not_count() -> None:
    spans = [(0, 10), (0, 40), (10, 20), (30, 40), (40, 50), (40, 50)]
    parts = [Part(Path(f"{number}"), "channel=x", "2014-05-08", *span) for number, span in enumerate(spans)]

    assert [(part.start, part.stop) for part in current_parts(parts)] == [(0, 40), (40, 50)]


def test_merged_parts_have_every_row_once_in_order_with_one_schema(tmp_path: Path) -> None:
    with Recorder(tmp_path, name="default", url="memory:", flush_s=0.02) as recorder:
        for start in range(0, 1000, 10):
            frames = [quote(n, mood="new") if n > 600 else quote(n) for n in range(start, start + 8)]
            frames += [alert(start + 8), message("x", "other", {"n": start}, start + 9)]
            recorder.put(decode(frames, MAY_8 + start, start))
            wait_until(lambda: not recorder.status.waiting)
        wait_until(lambda: len(layout.parts(recorder.path, "market-data")) < 30)
        schemas = {pq.read_schema(part.file).to_string() for part in layout.parts(recorder.path, "market-data")}
        assert len(schemas) == 1

    market = read(recorder.path, "market-data")
    assert numbers(recorder.path, "market-data") == [n for n in range(1000) if n % 10 < 8]
    assert market["received_at"].is_monotonic_increasing
    assert market["arrival"].tolist() == [n for n in range(1000) if n % 10 < 8]
    assert market["extra"].notna().sum() == sum(1 for n in range(601, 1000) if n % 10 < 8)
    assert numbers(recorder.path, "other") == list(range(9, 1000, 10))
    assert [list(v) for v in read(recorder.path, "alerts")["actions"][:2]] == [["close", "näher"], []]
    files = list(recorder.path.rglob("*.parquet"))
    assert len(files) == len(layout.parts(recorder.path)) == 3


def test_a_complete_date_is_merged_while_the_next_is_recorded(tmp_path: Path) -> None:
    with Recorder(tmp_path, name="default", url="memory:", flush_s=0.02) as recorder:
        for start in range(0, 50, 10):
            recorder.put(quotes(start, start + 10))
            wait_until(lambda: not recorder.status.waiting)
        recorder.put(quotes(50, 60, MAY_8 + DAY_US))
        wait_until(lambda: len(layout.parts(recorder.path)) == 2)

    assert [(part.date, len(part)) for part in layout.parts(recorder.path)] == [("2014-05-08", 50), ("2014-05-09", 10)]


def test_a_clock_set_back_over_midnight_loses_no_row(tmp_path: Path) -> None:
    with Recorder(tmp_path, name="default", url="memory:", flush_s=0.02) as recorder:
        for start in range(0, 200, 10):
            recorder.put(quotes(start, start + 10, MAY_8 + (start // 30 % 2) * DAY_US))
            wait_until(lambda: not recorder.status.waiting)

    assert numbers(recorder.path, "market-data") == list(range(200))


def test_a_failed_merge_leaves_all_parts_readable(tmp_path: Path) -> None:
    class NoMerges(Disk):
        def finish(self, unfinished: Path, file: Path) -> int:
            name = file.stem.split("-")
            if file.suffix == ".parquet" and int(name[1]) - int(name[0]) >= 20:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().finish(unfinished, file)

    with Recorder(tmp_path, name="default", url="memory:", flush_s=0.02, disk=NoMerges) as recorder:
        for start in range(0, 200, 10):
            recorder.put(quotes(start, start + 10))
            wait_until(lambda: not recorder.status.waiting)
        assert recorder.status.state == "recording"

    assert numbers(recorder.path, "market-data") == list(range(200))
    assert not list(recorder.path.rglob("*.tmp"))


@pytest.mark.skipif(not TICKS.exists(), reason="the file of real ticks is missing")
def test_a_day_of_real_quotes_takes_at_most_twelve_bytes_per_quote(tmp_path: Path) -> None:
    ticks = pd.read_csv(TICKS)
    stamps_ms = pd.DatetimeIndex(pd.to_datetime(ticks["timestamp"])).as_unit("ms").asi8.tolist()
    book = QuoteBook()
    day = zip(stamps_ms, ticks["symbol"], ticks["bid"], ticks["ask"], strict=True)
    frames = [book.message(*tick, number) for number, tick in enumerate(day)]

    with Recorder(tmp_path, name="default", url="memory:") as recorder:
        for start in range(0, len(frames), 500):
            recorder.put(decode(frames[start : start + 500], MAY_8 + start, start))

    bytes_per_quote = recorder.status.bytes / len(frames)
    print(f"{bytes_per_quote:.2f} bytes per quote in {len(layout.parts(recorder.path))} files")
    assert bytes_per_quote <= 12
    assert len(layout.parts(recorder.path)) <= MAX_PARTS
    recorded = read(recorder.path, "market-data")
    for name in ("symbol", "bid", "ask"):
        assert recorded[name].tolist() == ticks[name].tolist(), name
    assert np.array_equal(recorded["timestamp"].astype("int64"), np.array(stamps_ms) * 1000)
    assert numbers(recorder.path, "market-data") == list(range(len(frames)))
