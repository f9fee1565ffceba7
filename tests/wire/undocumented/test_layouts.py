"""Learned layouts give the same batches as decoding message by message, whatever fields a stream has."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fxlive.tables.table import RollingTable
from fxlive.wire import protocol, slow_path
from fxlive.wire.batch import Batch
from fxlive.wire.channels import CHANNELS
from fxlive.wire.content import content_hashes, hashes_of
from fxlive.wire.protocol import decode
from fxlive.wire.undocumented import layouts
from fxlive.wire.undocumented.layouts import FIRST_INTERVAL, SAMPLES, Layouts
from tests.samples import ALERT, POSITION, QUOTE, T0_US, message, stamp, wire

LEARNED_AFTER = FIRST_INTERVAL * SAMPLES

NAMES = [
    *("foo", "Foo", "openPrice", "open_price", "bid_", "extra", "id", "received_at", "data", "timestamp_", "", "a b"),
    *("x" * 300, 'a"b', "a\\b", "é", "confirmed", "entity", "Bid", "meta_a", "type"),
]
VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1.5,
        2**53,
        2**53 + 1,
        -(2**64),
        10**30,
        1e300,
        -0.0,
        "",
        "text",
        "1.5",
        "true",
        "null",
    ),
    *([], [1, None], {}, {"a": 1}, {"A": None, "a": {"b": 2}}, {"a": [1]}),
]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Layouts:
    """Return layouts that have learned nothing, which `decode` uses."""
    return use(Layouts(), monkeypatch)


def use(learned: Layouts, monkeypatch: pytest.MonkeyPatch) -> Layouts:
    for module in (protocol, slow_path, layouts):
        monkeypatch.setattr(module, "LAYOUTS", learned)
    return learned


class NeverLearned(Layouts):
    """Layouts that learn nothing: every message with undocumented fields takes the slow path."""

    def note(self, *arguments: Any) -> None:
        pass


def reads(frames: list[bytes], size: int = 40) -> Iterator[Batch]:
    for start in range(0, len(frames), size):
        yield decode(frames[start : start + size], T0_US, start)


def learn(*fields: dict[str, Any]) -> None:
    """Receive quotes with these fields, in turn, until their layout is learned."""
    for _ in reads([wire(message(QUOTE, **fields[i % len(fields)])) for i in range(2 * LEARNED_AFTER)]):
        pass


def one(**fields: Any) -> Any:
    (rows,) = decode([wire(message(QUOTE, **fields))], T0_US).rows.values()
    return rows


def stream(pick: random.Random) -> list[bytes]:
    """Return messages of a channel with undocumented fields that come again and again, and some exceptions."""
    sample = pick.choice([QUOTE, QUOTE, POSITION, ALERT])
    names = pick.sample(NAMES, pick.randrange(1, 9))
    usual = {name: pick.choice(VALUES[:-6]) if pick.random() < 0.9 else pick.choice(VALUES) for name in names}
    where = {name: pick.choice(["data", "data", "data", "envelope"]) for name in names}
    presence = pick.choice([1.0, 1.0, 0.9, 0.5])
    ordered = pick.random() < 0.7
    exceptions = pick.choice([0.0, 0.01, 0.1])
    frames = []
    for number in range(320):
        sent = json.loads(json.dumps({**sample, "timestamp": stamp(number), "id": f"m{number}"}))
        chosen = [name for name in names if pick.random() < presence]
        if not ordered:
            pick.shuffle(chosen)
        for name in chosen:
            value = usual[name]
            if type(value) is float or (type(value) is int and pick.random() < 0.8):
                value = round(pick.uniform(-10, 10), pick.randrange(4))
            elif type(value) is str:
                value = pick.choice(["a", "b", value])
            if pick.random() < exceptions:
                value = pick.choice(VALUES)
            target = sent if where[name] == "envelope" else sent["data"]
            if name not in ("id", "timestamp", "data", "type", "entity") or target is not sent:
                target[name] = value
        if pick.random() < exceptions:
            sent["data"][pick.choice(list(sent["data"]))] = pick.choice(VALUES)
        text = json.dumps(sent, ensure_ascii=pick.random() < 0.5)
        if pick.random() < exceptions and text.endswith("}}"):
            text = text[:-2] + ',"foo":1,"foo":"again"}}'
        frames.append(text.encode())
    return frames


def contents(frames: list[bytes]) -> tuple[list[Any], list[Any], list[pd.DataFrame], int]:
    """Return rows and rejections, content hashes, frames, and the number of blocks of a learned layout."""
    batches, hashes, tables, blocks = [], [], {}, 0
    for batch in reads(frames):
        found: list[Any] = [(r.reason, r.raw) for r in batch.rejected]
        for name, rows in batch.rows.items():
            values = {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in rows.values.items()}
            texts = [repr((type(m), m)) for m in rows.messages]
            found.append((name, texts, repr(values), rows.arrival.tolist(), repr(sorted_fields(rows.extras))))
            hashes += content_hashes(rows, hashes_of(rows.values["id"])).tolist()
            taken = rows.take(list(range(len(rows)))[::-2])
            found.append(repr(sorted_fields(taken.extras)))
            tables.setdefault(name, RollingTable(CHANNELS[name])).append(rows)
            blocks += rows.extras.block is not None
        batches.append(found)
    return batches, hashes, [tables[name].frame() for name in sorted(tables)], blocks


def sorted_fields(extras: Any) -> list[Any]:
    return [(row, sorted(fields.items(), key=lambda item: item[0])) for row, fields in sorted(extras.items())]


def without_extra(frame: pd.DataFrame) -> list[Any]:
    """Set the column `extra` of a frame to missing, and return its parsed values: the order in an object may differ."""
    if "extra" not in frame:
        return []
    texts = frame["extra"].tolist()
    frame["extra"] = pd.array([None] * len(frame), frame["extra"].dtype)
    return [None if pd.isna(text) else json.loads(text) for text in texts]


def test_a_learned_layout_gives_the_same_batches_as_the_slow_path(monkeypatch: pytest.MonkeyPatch) -> None:
    learned = 0
    for seed in range(30):
        frames = stream(random.Random(seed))
        use(NeverLearned(), monkeypatch)
        slow = contents(frames)
        use(Layouts(), monkeypatch)
        fast = contents(frames)
        for read, (expected, actual) in enumerate(zip(slow[0], fast[0], strict=True)):
            assert actual == expected, f"seed {seed}, read {read}"
        assert fast[1] == slow[1], f"seed {seed}: hashes"
        for actual_frame, expected_frame in zip(fast[2], slow[2], strict=True):
            actual_extra, expected_extra = map(without_extra, (actual_frame, expected_frame))
            assert actual_extra == expected_extra, f"seed {seed}: extra"
            pd.testing.assert_frame_equal(actual_frame, expected_frame)
        assert slow[3] == 0
        learned += fast[3] > 0

    assert learned > 10
