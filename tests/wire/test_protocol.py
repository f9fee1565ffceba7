"""Decoding of frames into batches, rejections, and the encoding of requests."""

from __future__ import annotations

import gc
import json
import random
import weakref
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fxlive.wire.batch import Batch, Rows
from fxlive.wire.lenient import MAX_DEPTH
from fxlive.wire.messages import Connection, Error, Subscription, Undocumented, Unsubscription
from fxlive.wire.protocol import decode, subscribe, unsubscribe
from tests.samples import (
    ALERT,
    CONNECTION,
    CONTROL,
    DATA,
    POSITION,
    QUOTE,
    SUBSCRIPTION,
    SYSTEM,
    T0,
    TRADE,
    UNSUBSCRIPTION,
    message,
    stamp,
    wire,
)
from tests.wire.decoding import AT, accepted, rejected, unreadable, with_literal

ALL = [wire(m) for m in (*DATA.values(), *CONTROL.values())]
NEWS = {"type": "news", "channel": "news", "data": {"headline": "CPI", "impact": 3}, "timestamp": T0, "id": "n1"}


def comparable(rows: Rows) -> list[tuple[Any, ...]]:
    """Return rows as tuples that compare equal, also if they contain NaN."""
    lists = {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in rows.values.items()}
    return [
        (
            rows.channel.name,
            int(rows.timestamp[i]),
            int(rows.received_at[i]),
            int(rows.arrival[i]),
            repr({n: v[i] for n, v in lists.items()}),
            repr(rows.extras.get(i)),
        )
        for i in range(len(rows))
    ]


def all_rows(batch: Batch) -> list[tuple[Any, ...]]:
    return sorted((row for rows in batch.rows.values() for row in comparable(rows)), key=lambda row: row[3])


def message_count(batch: Batch) -> int:
    count = sum(map(len, batch.rows.values())) + len(batch.control) + len(batch.rejected) + batch.heartbeats
    assert batch.count == count
    return count


# Control messages.


def test_control_messages_are_decoded_by_their_type() -> None:
    batch = decode([wire(CONNECTION), wire(SUBSCRIPTION), wire(UNSUBSCRIPTION), b'{"type": "error"}'], AT)

    assert [type(m) for m in batch.control] == [Connection, Subscription, Unsubscription, Error]
    assert not batch.rows
    assert not batch.rejected


def test_an_error_message_keeps_its_text_in_any_of_its_fields() -> None:
    fields = {"error": "Invalid channel", "message": "no", "channel": "foo", "code": 42, "status": "error", "id": 7}
    (error,) = decode([wire({"type": "error", "timestamp": T0, "detail": {"a": [1]}, **fields})], AT).control

    assert {name: getattr(error, name) for name in fields} == fields


@pytest.mark.parametrize("kind", CONTROL)
def test_a_control_message_may_have_any_value_in_any_field(kind: str) -> None:
    for odd in (None, 5, "text", [], {}, [{"name": 3}], True):
        odd_message = dict.fromkeys(CONTROL[kind], odd) | {"type": kind}

        assert len(decode([wire(odd_message)], AT).control) == 1


# Types, channels and fields.


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "truncated"),
        (b"   ", "truncated"),
        (b"hello", "malformed"),
        (b"{", "truncated"),
        (b"[]", "not a JSON object"),
        (b"5", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"{}", "type is missing"),
        (b'{"type": 5}', "type is missing or not text"),
        (b'{"type": null, "channel": "trades"}', "type is missing or not text"),
        (wire(QUOTE)[:-1], "truncated"),
        (wire(QUOTE).decode().encode("utf-16"), "malformed"),
        (wire(QUOTE).replace(b"EURUSD", b"EUR\xffUSD"), "utf-8"),
        (b"\xff\xfe\x00", "malformed"),
    ],
)
def test_an_invalid_frame_is_rejected_with_its_text_and_the_reason(raw: bytes, reason: str) -> None:
    assert reason.lower() in rejected(raw).lower()


@pytest.mark.parametrize("name", ["channel", "timestamp", "data"])
@pytest.mark.parametrize("sample", [QUOTE, NEWS])
def test_a_message_without_a_field_of_the_envelope_is_rejected(sample: dict[str, Any], name: str) -> None:
    assert name in rejected({k: v for k, v in sample.items() if k != name})


@pytest.mark.parametrize("channel", DATA)
def test_a_documented_type_on_another_channel_is_rejected(channel: str) -> None:
    for other in {*DATA, "news"} - {channel}:
        assert other in rejected(message(DATA[channel], {"channel": other}))


def test_an_undocumented_type_on_a_documented_channel_is_a_row_with_the_type_as_a_column() -> None:
    rows = accepted(message(TRADE, {"type": "trade_update"}))

    assert rows.channel.name == "trades"
    assert rows.values["execution_id"] == ["exec_123"]
    assert rows.extras == {0: {"type": "trade_update"}}
    assert accepted(message(POSITION, {"type": "position_update"})).extras == {0: {"type_": "position_update"}}


def test_an_undocumented_type_on_a_documented_channel_still_needs_the_channels_key() -> None:
    assert "executionId" in rejected({**TRADE, "type": "trade_update", "data": {}})


@pytest.mark.parametrize("data", [{"headline": "CPI", "impact": 3}, {}, [], [1], "text", 5, True, None])
def test_an_undocumented_channel_is_accepted_with_any_data(data: Any) -> None:
    rows = accepted({**NEWS, "data": data})
    (sent,) = rows.messages

    assert isinstance(sent, Undocumented)
    assert (sent.type, sent.channel, sent.data, sent.id) == ("news", "news", data, "n1")
    assert rows.extras[0] == {"type": "news", **(data if isinstance(data, dict) else {"data": data})}


def test_undocumented_fields_at_every_level_become_columns_and_leave_the_other_columns_unchanged() -> None:
    plain = accepted(ALERT)
    sent = message(
        ALERT,
        {"serverTime": 1, "trace": {"spanId": "s"}},
        riskScore=0.5,
        entity={**ALERT["data"]["entity"], "isVip": True},
    )
    rows = accepted(sent)

    assert rows.extras == {0: {"server_time": 1, "trace_span_id": "s", "risk_score": 0.5, "entity_is_vip": True}}
    assert repr(rows.values) == repr(plain.values)


def test_an_undocumented_field_with_the_name_of_a_column_gets_a_trailing_underscore() -> None:
    sent = message(
        QUOTE,
        {"bid": 9, "received_at": "x", "extra": 1},
        openPrice=1,
        open_price=2,
        id="inner",
        dataTimestamp="d",
        receivedAt=3,
    )

    assert accepted(sent).extras == {
        0: {
            "bid_": 9,
            "received_at_": "x",
            "extra_": 1,
            "open_price": 1,
            "open_price_": 2,
            "id_": "inner",
            "data_timestamp_": "d",
            "received_at__": 3,
        }
    }


def test_a_flattened_name_that_occurs_twice_gets_a_trailing_underscore() -> None:
    sent = message(SYSTEM, componentsRedis="a", components={"redis": "b", "Redis": "c"}, x={"y": 1}, x_y=2, xY=3)

    assert accepted(sent).values["components_redis"] == ["b"]
    assert accepted(sent).extras == {
        0: {"components_redis_": "c", "components_redis__": "a", "x_y": 1, "x_y_": 2, "x_y__": 3}
    }


def test_fields_of_an_undocumented_channel_may_have_any_name() -> None:
    rows = accepted({**NEWS, "data": {"id": 1, "timestamp": "t", "extra": 2, "": 3, "a": {"": {}}}})

    assert rows.extras[0] == {"type": "news", "id_": 1, "data_timestamp": "t", "extra_": 2, "": 3, "a_": {}}


def nested(opening: str, depth: int) -> str:
    return opening * depth + "1" + {"[": "]", '{"a":': "}"}[opening] * depth


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("depth", [2 * MAX_DEPTH + 2, 500])
def test_a_value_nested_deeper_than_64_levels_is_kept_as_text(opening: str, depth: int) -> None:
    deep = nested(opening, depth)
    (kept,) = accepted(with_literal(QUOTE, "foo", deep)).extras[0].values()

    assert isinstance(kept, str)
    assert kept in deep
    assert unreadable(with_literal(QUOTE, "bid", deep)) == {"bid": deep}


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_a_message_nested_deeper_than_the_decoder_can_read_is_rejected(opening: str) -> None:
    for sample, name in ((QUOTE, "foo"), (NEWS, "foo"), (QUOTE, "bid")):
        rejected(with_literal(sample, name, nested(opening, 100_000)))


def test_a_message_nested_up_to_the_limit_is_accepted() -> None:
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH

    assert json.dumps(accepted(with_literal(QUOTE, "foo", deep)).extras[0]["foo"]) == deep


def test_a_message_of_20_mb_is_accepted_and_an_invalid_one_rejected_with_its_first_65_536_characters() -> None:
    text = "é" * 10_000_000
    rows = accepted(message(ALERT, title=text))
    (rejection,) = decode([wire(message(ALERT, title=text, alertId=[]))], AT).rejected

    assert rows.values["title"] == [text]
    assert len(rejection.raw) == 65_536
    assert rejection.raw.startswith('{"type": "alert"')


def test_the_reason_of_a_rejection_stays_short() -> None:
    long_text = "x" * 1_000_000
    for sent in (
        message(QUOTE, {"timestamp": long_text}),
        message(QUOTE, {"channel": long_text}),
        {**NEWS, "type": long_text, "channel": "trades"},
    ):
        (rejection,) = decode([wire(sent)], AT).rejected

        assert 0 < len(rejection.reason) <= 500


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_frame_may_be_any_kind_of_bytes(kind: Any) -> None:
    batch = decode([kind(raw) for raw in (*ALL, b"what?", wire(message(QUOTE, foo=1)))], AT)

    assert len(batch.rows) == 7
    assert len(batch.control) == 3
    assert [r.raw for r in batch.rejected] == ["what?"]
    assert batch.rows["market-data"].extras == {1: {"foo": 1}}


def test_a_rejection_does_not_keep_its_message_alive_until_the_garbage_is_collected() -> None:
    class Watched(bytearray):
        pass

    gc.collect()
    gc.disable()
    try:
        for raw in (b"what?" * 1_000, wire(message(QUOTE, symbol=[5])), b'[{"type": "x"}, {}]'):
            frame = Watched(raw)
            alive = weakref.ref(frame)
            decode([frame], AT)
            del frame
            assert alive() is None
    finally:
        gc.enable()


def test_no_frames_give_an_empty_batch() -> None:
    batch = decode([], AT)

    assert (batch.received_at, message_count(batch)) == (AT, 0)


# Batches.


def test_rows_keep_the_order_of_arrival_and_are_numbered_across_channels() -> None:
    frames = [
        wire(message(QUOTE, {"timestamp": stamp(3_000)}, bid=1)),
        wire(TRADE),
        b"broken",
        wire(message(QUOTE, {"timestamp": stamp(1_000)}, bid=2)),
        wire(CONNECTION),
        wire(message(QUOTE, {"timestamp": "never"}, bid=3)),
        wire(message(QUOTE, {"timestamp": stamp(2_000)}, bid=4, foo=5)),
    ]
    batch = decode(frames, AT, arrival=100)
    quotes = batch.rows["market-data"]

    assert quotes.values["bid"].tolist() == [1, 2, 4]
    assert quotes.arrival.tolist() == [100, 103, 106]
    assert quotes.received_at.tolist() == [AT] * 3
    assert quotes.extras == {2: {"foo": 5}}
    assert [m.data.bid for m in quotes.messages] == [1, 2, 4]
    assert batch.rows["trades"].arrival.tolist() == [101]
    assert sorted(r.raw for r in batch.rejected) == sorted([frames[2].decode(), frames[5].decode()])


def test_an_invalid_time_rejects_only_its_own_message_of_a_large_batch() -> None:
    frames = [wire(message(QUOTE, {"timestamp": stamp(i)}, bid=i)) for i in range(500)]
    frames[250] = wire(message(QUOTE, {"timestamp": "2024-02-31T00:00:00.000000Z"}))
    batch = decode(frames, AT)

    assert batch.rows["market-data"].values["bid"].tolist() == [i for i in range(500) if i != 250]
    assert [r.raw for r in batch.rejected] == [frames[250].decode()]
    assert [r.reason[:10] for r in batch.rejected] == ["timestamp:"]


texts = st.text(max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
paths = [
    (c, p)
    for c, m in DATA.items()
    for p in [("",), *((n,) for n in (*m, "foo")), *(("data", n) for n in (*m["data"], "bar"))]
]


@st.composite
def odd_messages(draw: st.DrawFn) -> bytes:
    """Generate samples with some fields replaced, removed or added, at any level."""
    changed: Any = None
    for channel, path in draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3)):
        changed = changed or json.loads(wire(DATA[channel]))
        parent = changed
        for name in path[:-1]:
            parent = parent.get(name) if isinstance(parent, dict) else None
        if not isinstance(parent, dict):
            continue
        if path == ("",):
            parent[draw(texts)] = draw(values)
        elif draw(st.integers(0, 3)) == 0:
            parent.pop(path[-1], None)
        else:
            parent[path[-1]] = draw(values)
    return json.dumps(changed, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


@st.composite
def cut_messages(draw: st.DrawFn) -> bytes:
    """Generate samples with some bytes removed, repeated or replaced."""
    raw = bytearray(draw(st.sampled_from(ALL)))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(raw)))
        stop = min(len(raw), start + draw(st.integers(0, 6)))
        raw[start:stop] = draw(st.one_of(st.binary(max_size=4), st.just(bytes(raw[start:stop]) * 2)))
    return bytes(raw)


anything = st.one_of(
    st.sampled_from(ALL),
    odd_messages(),
    cut_messages(),
    st.binary(max_size=60),
    values.map(lambda v: msgspec.json.encode(str(v))),
)
numbered = st.lists(st.one_of(anything, st.none()), max_size=25)


@settings(max_examples=400, deadline=None)
@given(numbered)
def test_every_frame_is_accounted_for_once_and_valid_messages_are_unaffected_by_invalid_ones(
    frames: list[bytes | None],
) -> None:
    valid = {
        p: wire(message(QUOTE, {"timestamp": stamp(p), "id": f"valid-{p}"}, bid=p, ask=p / 7))
        for p, f in enumerate(frames)
        if f is None
    }
    sent = [valid.get(index, frame) for index, frame in enumerate(frames)]
    batch = decode(sent, AT, arrival=7)  # type: ignore[arg-type]

    assert message_count(batch) >= len(sent)
    arrived = [row[3] - 7 for row in all_rows(batch)]
    assert len(arrived) == len(set(arrived))
    assert all(number < batch.count for number in arrived)
    alone = all_rows(decode(list(valid.values()), AT))
    together = [row for row in all_rows(batch) if "valid-" in row[4]]
    assert [row[:3] + row[4:] for row in together] == [row[:3] + row[4:] for row in alone]


@settings(max_examples=200, deadline=None)
@given(st.lists(anything, max_size=25))
def test_a_batch_is_decoded_like_its_frames_one_by_one(frames: list[bytes]) -> None:
    together = decode(frames, AT, arrival=3)
    alone: list[Batch] = []
    for frame in frames:
        alone.append(decode([frame], AT, arrival=3 + sum(batch.count for batch in alone)))

    assert all_rows(together) == [row for batch in alone for row in all_rows(batch)]
    assert list(map(repr, together.control)) == [repr(m) for batch in alone for m in batch.control]
    key = lambda r: (r.reason, r.raw)  # noqa: E731
    assert sorted(together.rejected, key=key) == sorted((r for b in alone for r in b.rejected), key=key)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
@example(b"[0\x01")  # a frame of two messages, both malformed
def test_decode_never_raises(raw: bytes) -> None:
    batch = decode([raw, wire(QUOTE), raw], AT)
    assert message_count(batch) == batch.count >= 3
    assert "msg_792" in batch.rows["market-data"].values["id"]


def test_large_batches_of_mixed_channels_are_decoded_like_small_ones() -> None:
    pick = random.Random(3)
    frames = [
        wire({**pick.choice(list(DATA.values())), "id": f"m{i}", "timestamp": stamp(i * 1_000)}) for i in range(2_000)
    ]
    large = all_rows(decode(frames, AT))
    small = [row for i in range(0, 2_000, 7) for row in all_rows(decode(frames[i : i + 7], AT, arrival=i))]

    assert large == small
    assert len(large) == 2_000


def test_taking_rows_keeps_each_with_its_own_fields() -> None:
    rows = decode([wire(message(QUOTE, bid=i, **({"foo": i} if i % 3 == 0 else {}))) for i in range(20)], AT).rows[
        "market-data"
    ]
    subset = rows.take([18, 1, 3])

    assert comparable(subset) == [comparable(rows)[i] for i in (18, 1, 3)]
    assert subset.extras == {0: {"foo": 18}, 2: {"foo": 3}}
    assert len(rows.take([])) == 0


# Requests.


def test_a_request_to_subscribe_has_the_form_of_the_reference() -> None:
    request = subscribe({"trades": {"symbol": "EURUSD", "strategy_id": "strategy_123"}, "positions": None})

    assert json.loads(request) == {
        "type": "subscribe",
        "channels": [
            {"name": "trades", "filters": {"symbol": "EURUSD", "strategyId": "strategy_123"}},
            {"name": "positions", "filters": {}},
        ],
    }


def test_a_request_to_unsubscribe_has_the_form_of_the_reference() -> None:
    assert json.loads(unsubscribe(["trades", "orders"])) == {"type": "unsubscribe", "channels": ["trades", "orders"]}
