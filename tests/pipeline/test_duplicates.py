"""Duplicates: the same id with the same content. Re-used ids are rows."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxlive.pipeline import duplicates
from fxlive.pipeline.duplicates import REMEMBERED, HashFilter, RecentHashes, RecentMessages
from fxlive.wire.batch import Rows
from fxlive.wire.protocol import decode
from tests.samples import ALERT, DATA, POSITION, QUOTE, T0_US, TRADE, message, stamp, wire


def rows(*messages: bytes | dict[str, Any]) -> Rows:
    (decoded,) = decode([m if isinstance(m, bytes) else wire(m) for m in messages], T0_US).rows.values()
    return decoded


def quote(name: Any, bid: float = 1.0, timestamp: str = stamp(0), **data: Any) -> dict[str, Any]:
    return message(QUOTE, {"id": name, "timestamp": timestamp}, bid=bid, **data)


def quotes(start: int, stop: int, bid: float = 1.0) -> Rows:
    return rows(*(quote(f"msg_{number}", bid) for number in range(start, stop)))


# What is a duplicate


def test_ids_that_a_platform_counts_from_the_start_again_are_rows_and_are_counted() -> None:
    recent = RecentMessages()
    assert recent.find(quotes(1, 1001)) == ([], 0)
    assert recent.find(quotes(1, 1001, bid=2.0)) == ([], 1000)
    assert recent.find(quotes(1, 1001, bid=2.0)) == (list(range(1000)), 0)
    assert recent.find(quotes(1, 1001)) == (list(range(1000)), 0)  # the older ones are still known


def test_two_trades_with_one_id_are_two_rows_and_the_same_trade_again_is_none() -> None:
    loss = message(TRADE, {"id": "e"}, profit=-500.0)
    gain = message(TRADE, {"id": "e"}, profit=20.0)
    recent = RecentMessages()
    assert recent.find(rows(loss, gain, loss)) == ([2], 1)
    assert recent.find(rows(gain, loss)) == ([0, 1], 0)


@pytest.mark.parametrize("channel", DATA)
def test_every_field_of_a_message_is_part_of_its_content(channel: str) -> None:
    sample = DATA[channel]
    recent = RecentMessages()
    recent.find(rows(sample))
    paths = [(*p, n) for p, d in _objects(sample["data"], ()) for n, v in d.items() if not isinstance(v, dict)]
    assert paths
    for count, path in enumerate(paths, 1):
        changed = json.loads(wire(sample))
        fields = changed["data"]
        for name in path[:-1]:
            fields = fields[name]
        fields[path[-1]] = _other(fields[path[-1]])
        assert recent.find(rows(changed)) == ([], 1), path
        assert recent.find(rows(changed, sample)) == ([0, 1], 0), (count, path)
    later = message(sample, {"timestamp": stamp(1)})
    assert recent.find(rows(later)) == ([], 1)


def _objects(fields: dict[str, Any], path: tuple[str, ...]) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    nested = [o for n, v in fields.items() if isinstance(v, dict) for o in _objects(v, (*path, n))]
    return [(path, fields), *nested]


def _other(value: Any) -> Any:
    if isinstance(value, str):
        return stamp(7) if value.endswith("Z") else value + "x"
    return [*value, "x"] if isinstance(value, list) else value + 1


@pytest.mark.parametrize("numbers", [(-1, -2), (0, 2**61 - 1)])
def test_numbers_that_python_hashes_alike_are_different_content(numbers: tuple[int, int]) -> None:
    for field in ("profit", "ticket", "undocumented"):
        messages = [message(TRADE, {"id": "e"}, **{field: number}) for number in numbers]
        assert RecentMessages().find(rows(*messages)) == ([], 1), field


@pytest.mark.parametrize("count", [1, 400])
def test_an_empty_text_is_other_content_than_a_missing_one(count: int) -> None:
    """Also after the decoder has learned the field."""
    for number in range(count):
        decode([wire(quote(f"s{number}", mood="calm", other=number))], T0_US)
    assert RecentMessages().find(rows(quote("m", mood=""), quote("m"), quote("m", mood=""))) == ([2], 1)
    assert RecentMessages().find(rows(quote("m", mood=None), quote("m", mood=""))) == ([], 1)


def test_white_space_order_and_spelling_make_no_difference() -> None:
    first = message(QUOTE, {"id": "m", "timestamp": "2024-01-01T00:00:00.000Z"}, bid=1.10, change=0, x=1, y={"a": 1})
    again = json.dumps(
        {
            "id": "m",
            "data": {**dict(reversed(first["data"].items())), "bid": "BID", "change": "ZERO", "x": 1.0},
            "timestamp": "2024-01-01T01:00:00+01:00",
            "channel": "market-data",
            "type": "market_data",
        },
        indent=2,
    )
    again = again.replace('"BID"', "110e-2").replace('"ZERO"', "-0.0")
    assert RecentMessages().find(rows(first, again.encode())) == ([1], 0)
    many = [first, *(quote(f"o{i}") for i in range(20)), again.encode()]
    assert RecentMessages().find(rows(*many)) == ([21], 0)


def test_messages_without_id_are_never_duplicates() -> None:
    recent = RecentMessages()
    for count in (2, 20):
        nameless = [quote(None) if i % 2 else quote("") for i in range(count)]
        assert recent.find(rows(*nameless, quote(f"m{count}"), *nameless, quote(f"m{count}"))) == ([2 * count + 1], 0)


# How many are remembered, and what they cost

Letters = st.lists(st.lists(st.tuples(st.sampled_from(["", *"abcdefgh"]), st.integers(0, 2)), max_size=40), max_size=20)


@given(Letters)
def test_each_message_again_is_a_duplicate(batches: list[list[tuple[str, int]]]) -> None:
    recent, known = RecentMessages(1_000), []  # type: ignore[var-annotated]
    for batch in filter(None, batches):
        expected, reused = [], 0
        for position, (name, bid) in enumerate(batch):
            if name and (name, bid) in known:
                expected.append(position)
            elif name:
                reused += name in [n for n, _ in known]
                known.append((name, bid))
        assert recent.find(rows(*(quote(name, bid) for name, bid in batch))) == (expected, reused)


Runs = st.lists(st.lists(st.integers(0, 400), max_size=60), max_size=80)


@given(Runs, st.integers(1, 200))
def test_the_last_hashes_are_remembered_and_older_ones_forgotten(batches: list[list[int]], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"_MAX_RUN": 64, "_MAX_NEWEST": 16, "_MAX_ARRAYS": 4}.items():
            patch.setattr(duplicates, name, value)
        recent, added = RecentHashes(size), []  # type: ignore[var-annotated]
        for batch in batches:
            recent.add(np.array(batch, np.int64))
            added += batch
            found = recent.contain(np.arange(401))
            must, may = set(added[-size:]), set(added[-size - 64 - 60 :])
            assert must <= set(np.flatnonzero(found).tolist()) <= may


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=60), max_size=20), st.integers(1, 100))
def test_the_filter_finds_every_hash_that_was_added(batches: list[list[int]], size: int) -> None:
    hash_filter, kept = HashFilter(size), []  # type: ignore[var-annotated]
    for batch in batches:
        hashes = np.array(batch, np.int64)
        kept = [*kept, hashes][-3:]
        if not hash_filter.add(hashes):
            hash_filter.rebuild(kept)
        for hashes in kept:
            assert hash_filter.suspects(hashes).tolist() == list(range(len(hashes)))


def test_few_messages_without_a_twin_are_suspects() -> None:
    hash_filter, hashes = HashFilter(REMEMBERED), np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 1_000_000)
    window: list[Any] = []
    suspects = 0
    for start in range(0, len(hashes), 500):
        batch = hashes[start : start + 500]
        suspects += len(hash_filter.suspects(batch))
        window = [*window, batch][-REMEMBERED // 500 :]
        if not hash_filter.add(batch):
            hash_filter.rebuild(window)
    assert suspects < 0.02 * len(hashes)


def test_the_last_100_000_messages_are_remembered_also_where_ids_come_again() -> None:
    recent = RecentMessages()
    batches = [rows(*(quote(f"m{n % 7_000}", n) for n in range(s, s + 5_000))) for s in range(0, 160_000, 5_000)]
    for batch in batches:
        recent.find(batch)
    for batch in batches[-20:]:
        assert recent.find(batch) == (list(range(5_000)), 0)
    assert recent.find(batches[0]) == ([], 5_000)


def test_messages_that_come_one_by_one_are_remembered() -> None:
    recent = RecentMessages()
    for number in range(1_000):
        assert recent.find(quotes(number, number + 1)) == ([], 0)
    for start in range(0, 1_000, 100):
        assert recent.find(quotes(start, start + 100)) == (list(range(100)), 0)
        assert recent.find(quotes(start, start + 1)) == ([0], 0)


@pytest.mark.parametrize("count", [5_000, 60_000, REMEMBERED, 110_000])
def test_a_message_costs_at_most_32_bytes_whatever_its_id(count: int) -> None:
    batches = [rows(*(quote(f"{n}{'x' * 200}") for n in range(s, s + 5_000))) for s in range(0, 10_000, 5_000)]
    recent = RecentMessages()
    tracemalloc.start()
    try:
        before = tracemalloc.take_snapshot()
        for start in range(0, count, 5_000):
            batch = batches[start % 10_000 // 5_000]
            batch.timestamp[:] = start  # other content
            batch.values["id"][:] = [f"{start} {n}" for n in range(5_000)]
            recent.find(batch)
            batch.values["id"][:] = [None] * 5_000
        grown = sum(s.size_diff for s in tracemalloc.take_snapshot().compare_to(before, "filename"))
    finally:
        tracemalloc.stop()
    assert grown <= 32 * min(count, REMEMBERED)


def test_alerts_with_lists_and_nested_objects_are_compared() -> None:
    alert = message(ALERT, {"id": "a"})
    other = message(ALERT, {"id": "a"}, entity={**alert["data"]["entity"], "id": "other"})
    assert RecentMessages().find(rows(alert, alert, other)) == ([1], 1)
    assert RecentMessages().find(rows(message(POSITION), message(POSITION, margin=1))) == ([], 1)


def test_texts_that_are_no_unicode_are_compared() -> None:
    broken = wire(message(TRADE, {"id": "t"}, other="SURROGATE")).replace(b"SURROGATE", b"\\ud800")
    messages = [m for m in (broken, broken) if not decode([m], T0_US).rejected]
    assert not messages or RecentMessages().find(rows(*messages)) == ([1], 0)
