from __future__ import annotations

import json
import math
import random
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxlive.core.timestamps import NAT
from fxlive.wire.batch import Batch, Rows
from fxlive.wire.messages import Connection, Error, Subscription, Undocumented, Unsubscription
from fxlive.wire.protocol import MAX_DEPTH, decode, subscribe, unsubscribe
from tests.samples import (
    ALERT,
    ANALYTICS,
    CONNECTION,
    CONTROL,
    DATA,
    POSITION,
    QUOTE,
    SUBSCRIPTION,
    SYSTEM,
    T0,
    T0_US,
    TRADE,
    UNSUBSCRIPTION,
    message,
    stamp,
    wire,
)

AT = T0_US + 5_000
ALL = [wire(m) for m in (*DATA.values(), *CONTROL.values())]
NEWS = {"type": "news", "channel": "news", "data": {"headline": "CPI", "impact": 3}, "timestamp": T0, "id": "n1"}


def taken(sample: Any, **how: Any) -> Rows:
    """The one row that a message makes."""
    batch = decode([sample if isinstance(sample, bytes) else wire(sample)], AT, **how)
    assert [r.reason for r in batch.rejected] == []
    (rows,) = batch.rows.values()
    assert len(rows) == 1
    return rows


def value(sample: Any, column: str) -> Any:
    return taken(sample).values[column][0]


def refused(sample: Any) -> str:
    """The reason why a message is rejected."""
    raw = sample if isinstance(sample, bytes) else wire(sample)
    batch = decode([raw], AT)
    assert not batch.rows
    assert not batch.control
    (rejection,) = batch.rejected
    assert rejection.received_at == AT
    assert rejection.raw == raw.decode("utf-8", "replace")[:65_536]
    assert 0 < len(rejection.reason) <= 500
    return rejection.reason


def with_literal(sample: dict[str, Any], name: str, literal: str) -> bytes:
    """A sample with a piece of JSON for a value that json.dumps would not write."""
    return wire(message(sample, **{name: "@here@"})).replace(b'"@here@"', literal.encode())


def described(rows: Rows) -> list[tuple[Any, ...]]:
    """Rows in a form that compares, NaN included."""
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
    return sorted((row for rows in batch.rows.values() for row in described(rows)), key=lambda row: row[3])


def counted(batch: Batch) -> int:
    return sum(map(len, batch.rows.values())) + len(batch.control) + len(batch.rejected)


# Messages about the connection.


def test_the_platforms_own_messages_are_told_apart() -> None:
    batch = decode([wire(CONNECTION), wire(SUBSCRIPTION), wire(UNSUBSCRIPTION), b'{"type": "error"}'], AT)

    assert [type(m) for m in batch.control] == [Connection, Subscription, Unsubscription, Error]
    assert not batch.rows
    assert not batch.rejected


def test_an_error_keeps_what_it_says_in_whatever_field_it_says_it() -> None:
    said = {"error": "Invalid channel", "message": "no", "channel": "foo", "code": 42, "status": "error", "id": 7}
    (error,) = decode([wire({"type": "error", "timestamp": T0, "detail": {"a": [1]}, **said})], AT).control

    assert {name: getattr(error, name) for name in said} == said


@pytest.mark.parametrize("kind", CONTROL)
def test_a_control_message_is_taken_with_any_value_in_any_field(kind: str) -> None:
    for odd in (None, 5, "text", [], {}, [{"name": 3}], True):
        odd_message = dict.fromkeys(CONTROL[kind], odd) | {"type": kind}

        assert len(decode([wire(odd_message)], AT).control) == 1


# Values as they may come.


@pytest.mark.parametrize("sent", ["1.0850", "1085e-3", 1.085])
def test_a_number_may_come_as_text(sent: Any) -> None:
    assert value(message(QUOTE, bid=sent), "bid") == 1.085


@pytest.mark.parametrize("sent", [123456, "123456", 123456.0])
def test_a_ticket_may_come_as_text_or_with_a_point(sent: Any) -> None:
    assert value(message(POSITION, ticket=sent), "ticket") == 123456
    assert value(message(TRADE, ticket=sent), "ticket") == 123456


@pytest.mark.parametrize("ticket", [2**53 + 1, 2**63 - 1, -(2**63), 0])
@pytest.mark.parametrize("form", [int, str])
def test_a_ticket_of_64_bits_is_exact(ticket: int, form: type) -> None:
    assert value(message(POSITION, ticket=form(ticket)), "ticket") == ticket
    assert value(message(TRADE, ticket=form(ticket)), "ticket") == ticket


@pytest.mark.parametrize("ticket", [2**63, -(2**63) - 1, 2**64, 10**30, 1.5, True, "x", "", [1], {"n": 1}])
def test_what_is_no_ticket_of_64_bits_is_rejected(ticket: Any) -> None:
    assert "ticket" in refused(message(POSITION, ticket=ticket))
    assert "ticket" in refused(message(TRADE, ticket=ticket))


@pytest.mark.parametrize("sent", [True, False, "", "many", "1,5", "1_0", "0x10", [], [1], {"value": 1}])
def test_what_is_no_number_is_rejected(sent: Any) -> None:
    assert "bid" in refused(message(QUOTE, bid=sent))
    assert "winRate" in refused(message(ANALYTICS, metrics={"winRate": sent}))


@pytest.mark.parametrize("sent", [5, 1.5, True, [], ["EURUSD"], {"code": "EURUSD"}])
def test_what_is_no_text_is_rejected(sent: Any) -> None:
    assert "symbol" in refused(message(QUOTE, symbol=sent))
    assert "title" in refused(message(ALERT, title=sent))


@pytest.mark.parametrize("sent", ["ACKNOWLEDGE", {"a": 1}, [1], [None], [["a"]], 5])
def test_what_is_no_list_of_texts_is_rejected(sent: Any) -> None:
    assert "actions" in refused(message(ALERT, actions=sent))


@pytest.mark.parametrize("sent", ["HEALTHY", [], 5, True])
def test_what_is_no_object_is_rejected(sent: Any) -> None:
    assert "components" in refused(message(SYSTEM, components=sent))
    assert "data" in refused(message(QUOTE, {"data": sent}))


def test_an_integer_in_a_float_field_is_a_float_however_large() -> None:
    assert value(message(QUOTE, bid=2**53 + 1), "bid") == float(2**53 + 1)
    assert value(message(QUOTE, bid=10**30), "bid") == 1e30


def test_null_in_an_optional_field_is_missing() -> None:
    assert math.isnan(value(message(QUOTE, bid=None), "bid"))
    assert value(message(TRADE, ticket=None), "ticket") is None
    assert value(message(ALERT, title=None), "title") is None
    assert value(message(TRADE, executedAt=None), "executed_at") == NAT
    assert value(message(ALERT, entity=None), "entity_id") is None
    assert value(message(ALERT, actions=None), "actions") is None


def test_empty_text_and_an_empty_list_are_not_missing() -> None:
    assert value(message(ALERT, title=""), "title") == ""
    assert value(message(ALERT, actions=[]), "actions") == ()


@pytest.mark.parametrize(
    "text", ["Grüße", "日本円", "🙂", "a\x00b", "\x00", "\u2028", '"\\/', "\x7f", "null", "None", "nan"]
)
def test_any_text_arrives_as_it_was_sent(text: str) -> None:
    for raw in (wire(message(ALERT, title=text, severity=text)), json.dumps(message(ALERT, title=text)).encode()):
        assert value(raw, "title") == text


@pytest.mark.parametrize("number", [0, 7, 2**53 + 1, -1])
def test_a_number_as_id_is_taken_as_its_text(number: int) -> None:
    assert value(message(QUOTE, {"id": number}), "id") == str(number)


@pytest.mark.parametrize("sent", [True, [], ["a"], {"a": 1}])
def test_another_kind_of_id_is_rejected(sent: Any) -> None:
    assert "id" in refused(message(QUOTE, {"id": sent}))


@pytest.mark.parametrize("name", ["timestamp", "executedAt"])
@pytest.mark.parametrize("sent", [1704067200, 1704067200.5, True, [], {}, "yesterday", "2023-02-29T00:00:00.000Z", ""])
def test_what_is_no_time_is_rejected(name: str, sent: Any) -> None:
    changed = message(TRADE, {name: sent}) if name == "timestamp" else message(TRADE, **{name: sent})

    assert ("timestamp" if name == "timestamp" else "xecuted") in refused(changed)


def test_the_time_within_data_is_read_apart_from_the_envelopes() -> None:
    rows = taken(message(QUOTE, {"timestamp": stamp(2_000)}, timestamp=stamp(1_000)))

    assert (rows.timestamp[0], rows.values["data_timestamp"][0]) == (T0_US + 2_000, T0_US + 1_000)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "nan", "1e400", "01", "+1", ".5", "1.", "0x1F"])
def test_a_number_that_json_does_not_know_is_rejected(literal: str) -> None:
    refused(with_literal(QUOTE, "bid", literal))


@pytest.mark.parametrize("text", ["Infinity", "-inf", "1e999"])
def test_a_number_without_end_is_rejected_also_as_a_text(text: str) -> None:
    assert "bid" in refused(message(QUOTE, bid=text))


@pytest.mark.parametrize("literal", [r'"\ud800"', r'"\udc00\ud800"', r'"\ud800x"', r'"\u12"', '"a\nb"', r'"\x"'])
def test_a_text_that_json_does_not_know_is_rejected(literal: str) -> None:
    refused(with_literal(ALERT, "title", literal))


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
        (wire(QUOTE) + b"}", "malformed"),
        (wire(QUOTE) + wire(QUOTE), "malformed"),
        (wire(QUOTE)[:-1], "truncated"),
        (b"\xef\xbb\xbf" + wire(QUOTE), "malformed"),
        (wire(QUOTE).decode().encode("utf-16"), "malformed"),
        (wire(QUOTE).replace(b"EURUSD", b"EUR\xffUSD"), "utf-8"),
        (b"\xff\xfe\x00", "malformed"),
    ],
)
def test_what_is_no_message_is_rejected_with_its_text_and_the_reason(raw: bytes, reason: str) -> None:
    assert reason.lower() in refused(raw).lower()


@pytest.mark.parametrize("name", ["channel", "timestamp", "data"])
@pytest.mark.parametrize("sample", [QUOTE, NEWS])
def test_an_envelope_that_lacks_a_field_is_rejected(sample: dict[str, Any], name: str) -> None:
    assert name in refused({k: v for k, v in sample.items() if k != name})


@pytest.mark.parametrize("channel", DATA)
def test_a_type_on_the_channel_of_another_is_rejected(channel: str) -> None:
    for other in {*DATA, "news"} - {channel}:
        assert other in refused(message(DATA[channel], {"channel": other}))


def test_an_unknown_type_on_a_known_channel_is_a_row_that_says_its_type() -> None:
    rows = taken(message(TRADE, {"type": "trade_update"}))

    assert rows.channel.name == "trades"
    assert rows.values["execution_id"] == ["exec_123"]
    assert rows.extras == {0: {"type": "trade_update"}}
    assert taken(message(POSITION, {"type": "position_update"})).extras == {0: {"type_": "position_update"}}


def test_an_unknown_type_on_a_known_channel_still_needs_the_channels_key() -> None:
    assert "executionId" in refused({**TRADE, "type": "heartbeat", "data": {}})


@pytest.mark.parametrize("data", [{"headline": "CPI", "impact": 3}, {}, [], [1], "text", 5, True, None])
def test_an_unknown_channel_is_taken_as_it_comes(data: Any) -> None:
    rows = taken({**NEWS, "data": data})
    (sent,) = rows.messages

    assert isinstance(sent, Undocumented)
    assert (sent.type, sent.channel, sent.data, sent.id) == ("news", "news", data, "n1")
    assert rows.extras[0] == {"type": "news", **(data if isinstance(data, dict) else {"data": data})}


def test_unknown_fields_at_every_level_become_columns_and_the_rest_of_the_row_is_untouched() -> None:
    plain = taken(ALERT)
    sent = message(
        ALERT,
        {"serverTime": 1, "trace": {"spanId": "s"}},
        riskScore=0.5,
        entity={**ALERT["data"]["entity"], "isVip": True},
    )
    rows = taken(sent)

    assert rows.extras == {0: {"server_time": 1, "trace_span_id": "s", "risk_score": 0.5, "entity_is_vip": True}}
    assert repr(rows.values) == repr(plain.values)


def test_a_name_that_is_taken_gets_a_trailing_underscore() -> None:
    sent = message(
        QUOTE,
        {"bid": 9, "received_at": "x", "extra": 1},
        openPrice=1,
        open_price=2,
        id="inner",
        dataTimestamp="d",
        receivedAt=3,
    )

    assert taken(sent).extras == {
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


def test_a_name_that_flattening_makes_twice_gets_a_trailing_underscore() -> None:
    sent = message(SYSTEM, componentsRedis="a", components={"redis": "b", "Redis": "c"}, x={"y": 1}, x_y=2, xY=3)

    assert taken(sent).values["components_redis"] == ["b"]
    assert taken(sent).extras == {
        0: {"components_redis_": "c", "components_redis__": "a", "x_y": 1, "x_y_": 2, "x_y__": 3}
    }


def test_unknown_fields_on_an_unknown_channel_may_have_any_name() -> None:
    rows = taken({**NEWS, "data": {"id": 1, "timestamp": "t", "extra": 2, "": 3, "a": {"": {}}}})

    assert rows.extras[0] == {"type": "news", "id_": 1, "data_timestamp": "t", "extra_": 2, "": 3, "a_": {}}


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 2, 500, 900, 1_000, 100_000])
def test_what_is_nested_too_deep_is_rejected(opening: str, depth: int) -> None:
    closing = {"[": "]", '{"a":': "}"}[opening]
    deep = opening * depth + "1" + closing * depth

    refused(with_literal(QUOTE, "foo", deep))
    refused(with_literal(NEWS, "foo", deep))
    refused(with_literal(QUOTE, "bid", deep))


def test_what_is_nested_less_deep_is_taken() -> None:
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH

    assert json.dumps(taken(with_literal(QUOTE, "foo", deep)).extras[0]["foo"]) == deep


def test_a_message_of_20_mb_is_taken_and_a_broken_one_rejected_with_the_first_64_kb() -> None:
    text = "é" * 10_000_000
    rows = taken(message(ALERT, title=text))
    (rejection,) = decode([wire(message(ALERT, title=text, threshold=[]))], AT).rejected

    assert rows.values["title"] == [text]
    assert len(rejection.raw) == 65_536
    assert rejection.raw.startswith('{"type": "alert"')


def test_a_reason_stays_short_whatever_was_sent() -> None:
    endless = "x" * 1_000_000
    for sent in (
        message(QUOTE, {"timestamp": endless}),
        message(QUOTE, {"channel": endless}),
        {**NEWS, "type": endless, "channel": "trades"},
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


def test_no_frames_make_an_empty_batch() -> None:
    batch = decode([], AT)

    assert (batch.received_at, counted(batch)) == (AT, 0)


# Batches.


def test_rows_keep_the_order_of_arrival_and_are_numbered_through_all_channels() -> None:
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


def test_a_wrong_time_takes_only_its_own_message_out_of_a_large_batch() -> None:
    frames = [wire(message(QUOTE, {"timestamp": stamp(i)}, bid=i)) for i in range(500)]
    frames[250] = wire(message(QUOTE, {"timestamp": "2024-02-31T00:00:00.000000Z"}))
    frames[300] = wire(message(QUOTE, timestamp="2024-02-31T00:00:00.000Z"))
    batch = decode(frames, AT)

    assert batch.rows["market-data"].values["bid"].tolist() == [i for i in range(500) if i not in (250, 300)]
    assert [r.raw for r in batch.rejected] == [frames[250].decode(), frames[300].decode()]
    assert [r.reason[:10] for r in batch.rejected] == ["timestamp:", "timestamp:"]


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
    """A sample with some of its fields replaced, removed or added to, at any level."""
    changed: Any = None
    for channel, path in draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3)):
        changed = changed or json.loads(wire(DATA[channel]))
        place = changed
        for name in path[:-1]:
            place = place.get(name) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            continue
        if path == ("",):
            place[draw(texts)] = draw(values)
        elif draw(st.integers(0, 3)) == 0:
            place.pop(path[-1], None)
        else:
            place[path[-1]] = draw(values)
    return json.dumps(changed, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


@st.composite
def cut_messages(draw: st.DrawFn) -> bytes:
    """A sample with some bytes removed, repeated or replaced."""
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
def test_every_frame_is_accounted_for_once_and_good_messages_never_suffer_from_bad_ones(
    frames: list[bytes | None],
) -> None:
    good = {
        p: wire(message(QUOTE, {"timestamp": stamp(p), "id": f"good-{p}"}, bid=p, ask=p / 7))
        for p, f in enumerate(frames)
        if f is None
    }
    sent = [good.get(place, frame) for place, frame in enumerate(frames)]
    batch = decode(sent, AT, arrival=7)  # type: ignore[arg-type]

    assert counted(batch) == len(sent)
    arrived = [row[3] - 7 for row in all_rows(batch)]
    assert len(arrived) == len(set(arrived))
    rejected = Counter(r.raw for r in batch.rejected)
    left = Counter(f.decode("utf-8", "replace") for p, f in enumerate(sent) if p not in arrived)  # type: ignore[union-attr]
    assert rejected <= left
    alone = all_rows(decode(list(good.values()), AT))
    kept = [row for row in all_rows(batch) if row[3] - 7 in good and "good-" in row[4]]
    assert [row[:3] + row[4:] for row in kept] == [row[:3] + row[4:] for row in alone]
    assert [row[3] - 7 for row in kept] == list(good)


@settings(max_examples=200, deadline=None)
@given(st.lists(anything, max_size=25))
def test_a_batch_gives_the_rows_that_its_frames_give_one_by_one(frames: list[bytes]) -> None:
    together = decode(frames, AT, arrival=3)
    alone = [decode([frame], AT, arrival=3 + place) for place, frame in enumerate(frames)]

    assert all_rows(together) == [row for batch in alone for row in all_rows(batch)]
    assert list(map(repr, together.control)) == [repr(m) for batch in alone for m in batch.control]
    key = lambda r: (r.reason, r.raw)  # noqa: E731
    assert sorted(together.rejected, key=key) == sorted((r for b in alone for r in b.rejected), key=key)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_make_decode_raise(raw: bytes) -> None:
    assert counted(decode([raw, wire(QUOTE), raw], AT)) == 3


def test_large_batches_of_mixed_channels_are_decoded_as_small_ones() -> None:
    pick = random.Random(3)
    frames = [
        wire({**pick.choice(list(DATA.values())), "id": f"m{i}", "timestamp": stamp(i * 1_000)}) for i in range(2_000)
    ]
    large = all_rows(decode(frames, AT))
    small = [row for i in range(0, 2_000, 7) for row in all_rows(decode(frames[i : i + 7], AT, arrival=i))]

    assert large == small
    assert len(large) == 2_000


def test_picking_rows_keeps_each_with_its_own_fields() -> None:
    rows = decode([wire(message(QUOTE, bid=i, **({"foo": i} if i % 3 == 0 else {}))) for i in range(20)], AT).rows[
        "market-data"
    ]
    some = rows.take([18, 1, 3])

    assert described(some) == [described(rows)[i] for i in (18, 1, 3)]
    assert some.extras == {0: {"foo": 18}, 2: {"foo": 3}}
    assert len(rows.take([])) == 0


# Requests.


def test_a_subscription_is_asked_for_in_the_form_of_the_reference() -> None:
    asked = subscribe({"trades": {"symbol": "EURUSD", "strategy_id": "strategy_123"}, "positions": None})

    assert json.loads(asked) == {
        "type": "subscribe",
        "channels": [
            {"name": "trades", "filters": {"symbol": "EURUSD", "strategyId": "strategy_123"}},
            {"name": "positions", "filters": {}},
        ],
    }


def test_unsubscribing_is_asked_for_in_the_form_of_the_reference() -> None:
    assert json.loads(unsubscribe(["trades", "orders"])) == {"type": "unsubscribe", "channels": ["trades", "orders"]}
