"""Mutated messages through decoding, store and recorder, compared with an independent model.

`run` is deterministic: a failure names the seed and the batch. `make soak` runs a million messages, the tests a tenth.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fxlive
from fxlive.capture.writing.recorder import Recorder
from fxlive.core.timestamps import NAT
from fxlive.feeds.memory import MemoryFeed
from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.store import Store
from fxlive.wire.batch import Batch
from fxlive.wire.channels import snake
from fxlive.wire.protocol import decode
from tests.samples import CONTROL, DATA, T0_US, stamp
from tests.wire.fuzz_model import Content, content_of

FRAMES_PER_BATCH = 400
BATCHES_PER_READ = 20

LITERALS = ["NaN", "Infinity", "-Infinity", "1e400", "-1e999", "9" * 400, "9" * 5_000, "1E5", "-0", "1.0", r'"\ud800"']
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 1.5, -2.25e-7, 123456.0, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**30, 1e308),
    *("", "-", "0.09%", "NaN", "1,5", "1.5", " 1.5 ", "-3", "1e3", "null ", "12a", "EURUSD", "x" * 300, "é🙂", "\0"),
    *("2024-01-01T00:00:00Z", "2024-02-31T00:00:00.000Z", "2024-01-01T01:00:00+01:00", "2024-01-01", "soon"),
    *([], [1], ["a", "b"], [[]], {}, {"a": 1}, {"b": {"c": [None]}}, "ping", "market_data", "trades"),
]
MESSAGES, ANSWERS = ([json.dumps(message) for message in kind.values()] for kind in (DATA, CONTROL))
NAMES = [
    "foo",
    "openPrice",
    "bid",
    "BID",
    "id",
    "timestamp",
    "extra",
    "received_at",
    "x" * 300,
    "",
    "a b",
    "data",
    "type",
]


class Mutator:
    """Frames of mutated messages; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.pick = random.Random(seed)
        self.made = 0

    def frame(self) -> bytes:
        """Return a frame of one or several messages, mutated or not."""
        pick = self.pick
        if pick.random() < 0.9:
            return self.text().encode("utf-8", "surrogatepass")
        texts = [self.text() for _ in range(pick.randrange(2, 6))]
        form = pick.randrange(4)
        joined = "[" + ",".join(texts) + "]" if form == 0 else "\n".join(texts) if form < 3 else " ".join(texts)
        return (pick.choice(["", "\ufeff", " \n"]) + joined + pick.choice(["", "\0", "\n", "\r\n\0"])).encode(
            "utf-8", "surrogatepass"
        )

    def torn(self) -> tuple[bytes, list[str]]:
        """Return a frame of lines of which one has damaged bytes, and the ids of the messages in the others."""
        intact = [self.message() for _ in range(self.pick.randrange(1, 4))]
        lines = [json.dumps(message).encode() for message in intact]
        damaged = self.damaged(json.dumps(self.message()).encode()).replace(b"\n", b"").replace(b"\r", b"")
        lines.insert(self.pick.randrange(len(lines) + 1), damaged)
        return b"\n".join(lines), [message["id"] for message in intact]

    def damaged(self, raw: bytes) -> bytes:
        """Return bytes of which some are changed, removed, inserted or repeated."""
        pick, changed = self.pick, bytearray(raw)
        for _ in range(pick.randrange(1, 4)):
            start = pick.randrange(len(changed) + 1)
            stop = min(len(changed), start + pick.randrange(6))
            changed[start:stop] = pick.choice(
                [pick.randbytes(pick.randrange(4)), bytes(changed[start:stop]) * 2, b'"', b"{", b"}", b"[", b",", b"\\"]
            )
        return bytes(changed[: pick.randrange(len(changed) + 1)] if pick.random() < 0.1 else changed)

    def text(self) -> str:
        """Return one message as JSON, mutated in most cases."""
        pick, roll = self.pick, self.pick.random()
        if roll < 0.02:
            return pick.choice(["ping", '{"type":"ping"}', '"pong"', '{"type": "Heartbeat", "timestamp": 1}', "PONG"])
        if roll < 0.05:
            return json.dumps(self.changed(json.loads(pick.choice(ANSWERS))))
        if roll < 0.06:
            return json.dumps(pick.choice(VALUES))
        message = self.message()
        for _ in range(pick.choice([0, 0, 1, 1, 1, 2, 3])):
            message = self.changed(message)
        text = json.dumps(message, ensure_ascii=pick.random() < 0.5)
        return text.replace('"@@"', pick.choice(LITERALS))

    def message(self) -> dict[str, Any]:
        """Return a message with an id of its own."""
        self.made += 1
        message = json.loads(self.pick.choice(MESSAGES))
        return {**message, "timestamp": stamp(self.made * 1_000), "id": f"m{self.made}"}

    def changed(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return a message with one change of a value or of the structure."""
        pick = self.pick
        where: Any = message
        if isinstance(message.get("data"), dict) and pick.random() < 0.8:
            where = message["data"]
            inner = [value for value in where.values() if isinstance(value, dict)]
            where = pick.choice(inner) if inner and pick.random() < 0.3 else where
        names = list(where)
        name = pick.choice(names) if names else "foo"
        match pick.randrange(10):
            case 0:
                where.pop(name, None)
            case 1 | 2 | 3:
                where[name] = _copied(pick.choice(VALUES))
            case 4:
                where[name] = "@@"
            case 5:
                where[name] = pick.choice([[where.get(name)], {"value": where.get(name)}, str(where.get(name))])
            case 6 | 7:
                where[pick.choice(NAMES)] = _copied(pick.choice(VALUES))
            case 8:
                other = pick.choice(list(DATA.values()))
                message[pick.choice(["type", "channel"])] = pick.choice(
                    [other["type"], other["channel"], "news", "NEWS"]
                )
            case _:
                items = list(where.items())
                pick.shuffle(items)
                where.clear()
                where.update(items)
        return message


def _copied(value: Any) -> Any:
    return json.loads(json.dumps(value)) if isinstance(value, dict | list) else value


def run(count: int, seed: int, folder: Path, report: Callable[[int], None] = lambda messages: None) -> Counter[str]:
    """Send at least `count` messages and check every batch; return what they were.

    Raises
    ------
    AssertionError
        If a batch is not as the model expects. The message names the seed and the batch.
    """
    mutator, store, totals = Mutator(seed), Store(max_rows=5_000), Counter[str]()
    pipeline = Pipeline(MemoryFeed(), store)
    with Recorder(folder, name="fuzz", url="memory:", store=store) as recorder:
        pipeline.recording = recorder
        number = 0
        while totals["messages"] < count:
            try:
                _check_batch(mutator, pipeline, totals)
                if number % BATCHES_PER_READ == 0:
                    for table in store.tables.values():
                        table.frame().tail(3).to_dict("records")
                        table.latest()
                    store.rejected_frame()
            except Exception as error:
                raise AssertionError(f"seed {seed}, batch {number}: {error or type(error).__name__}") from error
            number += 1
            report(totals["messages"])
    _check_capture(recorder.path, store)
    return totals


def _check_batch(mutator: Mutator, pipeline: Pipeline, totals: Counter[str]) -> None:
    known, unknown, intact = [], [], []
    expected = []
    for _ in range(FRAMES_PER_BATCH):
        roll = mutator.pick.random()
        if roll < 0.05:
            frame, ids = mutator.torn()
            unknown.append(frame)
            intact += ids
            continue
        frame = mutator.frame()
        if roll < 0.15:
            frame = mutator.damaged(frame)
        content = content_of(frame)
        if content is None:
            unknown.append(frame)
        else:
            known.append(frame)
            expected.append(content)
    batch = decode(known, T0_US, totals["messages"])
    _compare(batch, expected)
    _deliver(pipeline, batch, totals)
    batch = decode(unknown, T0_US, totals["messages"])
    found = {name for rows in batch.rows.values() for name in rows.values["id"]}
    assert found.issuperset(intact), f"lost beside a damaged line: {set(intact) - found}"
    _deliver(pipeline, batch, totals)


def _deliver(pipeline: Pipeline, batch: Batch, totals: Counter[str]) -> None:
    totals["messages"] += batch.count
    totals["control"] += len(batch.control)
    pipeline.deliver(batch)
    store = pipeline.store
    counters = tuple(store.counters.values())
    totals["rows"] = sum(counted.messages for counted in counters)
    totals["duplicates"] = sum(counted.duplicates for counted in counters)
    totals["rejected"], totals["heartbeats"] = store.rejections, store.heartbeats
    accounted = sum(totals[name] for name in ("rows", "duplicates", "rejected", "heartbeats", "control"))
    assert accounted == totals["messages"], f"{totals['messages']} messages, but accounted for {dict(totals)}"
    internal = [rejection.reason for rejection in batch.rejected if "internal error" in rejection.reason]
    assert not internal, internal[0]


def _compare(batch: Batch, expected: list[Content]) -> None:
    """Check that a batch has the rows and the counts that the model expects."""
    assert len(batch.rejected) == sum(content.rejected for content in expected), "rejections differ"
    assert batch.heartbeats == sum(content.heartbeats for content in expected), "heartbeats differ"
    assert len(batch.control) == sum(content.control for content in expected), "control messages differ"
    by_channel: dict[str, list[dict[str, Any]]] = {}
    for content in expected:
        for name, values in content.rows:
            by_channel.setdefault(name, []).append(values)
    assert set(by_channel) == set(batch.rows), f"channels differ: {set(by_channel) ^ set(batch.rows)}"
    for name, rows in by_channel.items():
        actual = batch.rows[name]
        assert len(actual) == len(rows), f"{name}: {len(actual)} rows instead of {len(rows)}"
        for field in rows[0]:
            got = actual.timestamp if field == "@timestamp" else actual.values[_column(field)]
            for row, (value, values) in enumerate(zip(_plain(got), rows, strict=True)):
                wanted = values[field]
                same = value == wanted or (wanted is None and value == NAT)
                assert same, f"{name}.{field} of row {row} is {value!r} instead of {wanted!r}"


def _column(field: str) -> str:
    """Return the column of a field of the model."""
    if field in ("@id", "timestamp"):
        return {"@id": "id", "timestamp": "data_timestamp"}[field]
    return "_".join(map(snake, field.split(".")))


def _plain(values: Any) -> list[Any]:
    """Return values with None instead of NaN."""
    values = values.tolist() if isinstance(values, np.ndarray) else values
    return [None if isinstance(value, float) and math.isnan(value) else value for value in values]


def _check_capture(path: Path, store: Store) -> None:
    capture = fxlive.open_capture(path)
    for name, counted in store.counters.items():
        if counted.messages:
            rows = len(capture.frame(name))
            assert rows == counted.messages, f"{name}: {rows} rows in the capture instead of {counted.messages}"
    assert len(capture.rejected()) == store.rejections, "rejections differ in the capture"
