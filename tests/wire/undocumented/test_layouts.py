"""Learned layouts give the same batches as decoding message by message, whatever fields a stream has."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fxlive
from fxlive.capture.writing.recorder import Recorder
from fxlive.feeds.memory import MemoryFeed
from fxlive.pipeline.duplicates import RecentMessages
from fxlive.pipeline.pipeline import Pipeline
from fxlive.tables.store import Store
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


@pytest.mark.parametrize(
    "fields",
    [
        {f"field{number}": number / 7 for number in range(250)},
        {"sequence": 1},
        {"venue": "LMAX", "firm": True, "depth": 3, "note": None, "meta": {"desk": "a", "limits": {"size": 1.5}}},
    ],
)
def test_every_message_takes_the_fast_path_once_its_fields_are_learned(fields: dict[str, Any]) -> None:
    expected = one(**fields)
    learn(fields)
    batch = decode([wire(message(QUOTE, **fields)) for _ in range(50)], T0_US)
    rows = batch.rows["market-data"]

    assert rows.extras.block is not None
    assert rows.extras.block.rows.tolist() == list(range(50))
    assert rows.messages == [expected.messages[0]] * 50
    assert type(rows.messages[0]) is type(expected.messages[0])
    assert rows.extras[49] == expected.extras[0]


def test_fields_that_come_in_changing_order_and_not_always_are_learned() -> None:
    pick = random.Random(3)
    pool = {f"field{number}": number for number in range(40)}
    learn(*[{name: pool[name] for name in pick.sample(list(pool), 20)} for _ in range(50)])
    sent = {name: pool[name] for name in pick.sample(list(pool), 20)}
    rows = one(**sent)

    assert rows.extras.block is not None
    assert rows.extras == {0: sent}


def test_a_message_with_other_fields_is_complete_beside_learned_ones() -> None:
    learn({"foo": 1})
    sent: list[dict[str, Any]] = [{"foo": 2}, {"bar": [1]}, {}, {"foo": "text"}, {"foo": True}, {"foo": 3, "bar": 4}]
    (rows,) = decode([wire(message(QUOTE, **fields)) for fields in sent], T0_US).rows.values()

    assert rows.extras == {row: fields for row, fields in enumerate(sent) if fields}
    assert rows.take([5, 0, 3]).extras == {0: sent[5], 1: sent[0], 2: sent[3]}


def test_an_unreadable_time_is_kept_beside_learned_fields() -> None:
    learn({"foo": 1})
    rows = one(foo=2, timestamp="soon")

    assert rows.extras == {0: {"foo": 2, "data_timestamp": "soon"}}


def test_names_that_change_with_every_message_are_not_learned(fresh: Layouts) -> None:
    decoder = fresh.decode
    for number, _ in enumerate(
        reads([wire(message(QUOTE, **{f"x{n}_{i}": i for i in range(9)})) for n in range(2_000)])
    ):
        assert fresh.decode is decoder, number


def test_a_stream_that_changes_its_fields_again_and_again_has_few_layouts_learned(fresh: Layouts) -> None:
    decoders = set()
    for number in range(40):
        learn({f"x{number}": 1, f"y{number}": 2})
        decoders.add(fresh.decode)

    assert 2 <= len(decoders) <= 6


def test_a_layout_has_at_most_512_fields() -> None:
    learn({f"field{number}": 1 for number in range(513)})
    rows = one(**{f"field{number}": 1 for number in range(513)})

    assert rows.extras.block is None
    assert len(rows.extras[0]) == 513


def test_a_layout_that_is_not_used_any_more_is_forgotten(fresh: Layouts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "MAX_MISSES", 50)
    before = fresh.decode
    learn({"foo": 1})
    assert fresh.decode is not before
    one()
    assert fresh.decode is not before
    decode([wire(QUOTE)] * 250, T0_US)

    assert fresh.decode is before


def test_a_message_sent_again_is_a_duplicate_although_its_fields_were_learned_meanwhile() -> None:
    sent = message(QUOTE, {"id": "m1", "sequence": 1}, foo=-1.5, mood="calm")
    recent = RecentMessages()
    (rows,) = decode([wire(sent)], T0_US).rows.values()
    recent.find(rows)
    for _ in reads([wire({**sent, "id": f"other{n}"}) for n in range(2 * LEARNED_AFTER)]):
        pass
    again, other = (wire(message(sent, foo=foo)) for foo in (-1.5, -2.5))
    (rows,) = decode([again, other], T0_US).rows.values()

    assert rows.extras.block is not None
    assert recent.find(rows) == ([0], 1)


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 0.0}, {"a": -0.0}, True),
        ({"a": 1, "b": "x"}, {"b": "x", "a": 1}, True),
        ({"a": None}, {}, True),
        ({"a": 0}, {}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": True}, {"a": "true"}, False),
        ({"a": 1}, {"b": 1}, False),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}, False),
        ({"a": -1}, {"a": -2}, False),
        ({"a": 2**53}, {"a": 2**53 + 1}, False),
        ({"a": [1]}, {"a": "[1]"}, False),
        ({"a": 1, "b": "x"}, {"a": "x", "b": 1}, False),
    ],
)
def test_the_content_of_a_message_includes_its_undocumented_fields(
    first: dict[str, Any], second: dict[str, Any], equal: bool
) -> None:
    sent = [wire(message(QUOTE, **fields)) for fields in (first, second)]
    (together,) = decode(sent, T0_US).rows.values()
    alone = [decode([frame], T0_US).rows["market-data"] for frame in sent]
    hashes = content_hashes(together, hashes_of(["m", "m"])).tolist()

    assert hashes == [content_hashes(rows, hashes_of(["m"]))[0] for rows in alone]
    assert (hashes[0] == hashes[1]) is equal


def test_a_capture_has_the_learned_fields_of_the_live_frame(tmp_path: Path) -> None:
    frames = [
        wire(message(QUOTE, {"id": f"m{n}", "timestamp": stamp(n)}, foo=n, bar=n / 3, mood=f"x{n % 3}", **missing(n)))
        for n in range(3 * LEARNED_AFTER)
    ]
    store = Store()
    pipeline = Pipeline(MemoryFeed(), store)
    with Recorder(tmp_path, name="fields", url="memory:", store=store) as recorder:
        pipeline.recording = recorder
        for batch in reads(frames):
            pipeline.deliver(batch)
    capture = fxlive.open_capture(recorder.path)

    assert batch.rows["market-data"].extras.block is not None
    pd.testing.assert_frame_equal(capture.frame("market-data"), store.tables["market-data"].frame())


def missing(number: int) -> dict[str, Any]:
    return {} if number % 7 == 0 else {"late": number, "large": 2**53 + number if number % 5 == 0 else 1}
