"""The values that a field of a message may have, and their form in a row."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from fxlive.core.timestamps import NAT
from tests.samples import ALERT, ANALYTICS, ORDER, POSITION, QUOTE, SYSTEM, T0_US, TRADE, message, stamp, wire
from tests.wire.decoding import accepted, rejected, unreadable, with_literal


def value(sample: Any, column: str) -> Any:
    return accepted(sample).values[column][0]


@pytest.mark.parametrize("sent", ["1.0850", "1085e-3", 1.085])
def test_a_number_may_be_sent_as_text(sent: Any) -> None:
    assert value(message(QUOTE, bid=sent), "bid") == 1.085


@pytest.mark.parametrize("sent", [123456, "123456", 123456.0])
def test_a_ticket_may_be_sent_as_text_or_as_a_float(sent: Any) -> None:
    assert value(message(POSITION, ticket=sent), "ticket") == 123456
    assert value(message(TRADE, ticket=sent), "ticket") == 123456


@pytest.mark.parametrize("ticket", [2**53 + 1, 2**63 - 1, -(2**63), 0])
@pytest.mark.parametrize("form", [int, str])
def test_a_ticket_of_64_bits_is_exact(ticket: int, form: type) -> None:
    assert value(message(POSITION, ticket=form(ticket)), "ticket") == ticket
    assert value(message(TRADE, ticket=form(ticket)), "ticket") == ticket


@pytest.mark.parametrize("ticket", [2**63, -(2**63) - 1, 2**64, 10**30, 1.5, True, "x", "", [1], {"n": 1}])
def test_a_ticket_that_is_not_a_64_bit_integer_rejects_a_position_and_is_missing_in_a_trade(ticket: Any) -> None:
    assert "ticket" in rejected(message(POSITION, ticket=ticket))
    assert value(message(TRADE, ticket=ticket), "ticket") is None
    assert unreadable(message(TRADE, ticket=ticket)) == {"ticket": ticket}


REQUIRED_TEXTS = [
    (TRADE, "executionId", "execution_id"),
    (ORDER, "orderId", "order_id"),
    (ALERT, "alertId", "alert_id"),
    (QUOTE, "symbol", "symbol"),
    (ANALYTICS, "type", "type"),
    (ANALYTICS, "period", "period"),
    (SYSTEM, "status", "status"),
]
OPTIONAL_TEXTS = [
    (TRADE, "status", "status"),
    (ORDER, "strategyId", "strategy_id"),
    (ALERT, "title", "title"),
    (SYSTEM, "message", "message"),
]
SENT_FOR_TEXT = [
    (123, "123"),
    (0, "0"),
    (-1, "-1"),
    (10**30, "1" + "0" * 30),
    (1.5, "1.5"),
    (True, "true"),
    (False, "false"),
]


@pytest.mark.parametrize(("sample", "field", "column"), REQUIRED_TEXTS + OPTIONAL_TEXTS)
def test_a_number_or_flag_in_a_field_of_text_is_text(sample: Any, field: str, column: str) -> None:
    for sent, text in SENT_FOR_TEXT:
        rows = accepted(message(sample, foo=1, **{field: sent}))
        assert (rows.values[column], rows.extras) == ([text], {0: {"foo": 1}})
    assert accepted(with_literal(message(sample, **{field: 123}), "foo", "NaN")).values[column] == ["123"]


@pytest.mark.parametrize("sent", [None, [123], {"id": 123}])
@pytest.mark.parametrize(("sample", "field", "column"), REQUIRED_TEXTS)
def test_a_required_text_that_is_neither_text_nor_a_number_rejects_its_message(
    sample: Any, field: str, column: str, sent: Any
) -> None:
    assert field in rejected(message(sample, **{field: sent}))


def test_a_number_in_a_text_of_a_nested_object_is_text() -> None:
    assert value(message(ALERT, entity={"type": 1, "id": 42}), "entity_id") == "42"
    assert value(message(SYSTEM, components={"redis": True}), "components_redis") == "true"


UNREADABLE_NUMBERS = [
    True,
    False,
    "",
    "-",
    "many",
    "1,5",
    "1_0",
    "0x10",
    "0.09%",
    "NaN",
    "Infinity",
    "-inf",
    "1e999",
    [],
    [1],
    {"value": 1},
]


@pytest.mark.parametrize("sent", UNREADABLE_NUMBERS)
def test_an_unreadable_number_is_missing_and_its_text_goes_to_extra(sent: Any) -> None:
    rows = accepted(message(QUOTE, bid=sent, stopLoss=1))

    assert math.isnan(rows.values["bid"][0])
    assert rows.values["ask"][0] == QUOTE["data"]["ask"]
    assert rows.extras == {0: {"bid": sent, "stop_loss": 1}}
    assert unreadable(message(ANALYTICS, metrics={"winRate": sent})) == {"metrics_win_rate": sent}


def test_a_number_may_be_sent_as_text_with_blanks_around_it() -> None:
    assert value(message(QUOTE, bid=" 1.085 "), "bid") == 1.085
    assert value(message(TRADE, action=" BUY "), "action") == " BUY "


@pytest.mark.parametrize("sent", [[], ["EURUSD"], {"code": "EURUSD"}])
def test_a_symbol_that_is_not_text_rejects_the_message_but_another_text_only_becomes_missing(sent: Any) -> None:
    assert "symbol" in rejected(message(QUOTE, symbol=sent))
    assert value(message(ALERT, title=sent), "title") is None
    assert unreadable(message(ALERT, title=sent)) == {"title": sent}


@pytest.mark.parametrize("sent", ["ACKNOWLEDGE", {"a": 1}, [1], [None], [["a"]], 5])
def test_an_invalid_list_of_texts_is_missing(sent: Any) -> None:
    assert value(message(ALERT, actions=sent), "actions") is None
    assert unreadable(message(ALERT, actions=sent)) == {"actions": sent}


@pytest.mark.parametrize("sent", ["HEALTHY", [], 5, True])
def test_an_invalid_object_is_missing_unless_it_is_data_itself(sent: Any) -> None:
    assert value(message(SYSTEM, components=sent), "components_redis") is None
    assert unreadable(message(SYSTEM, components=sent)) == {"components": sent}
    assert "data" in rejected(message(QUOTE, {"data": sent}))


def test_several_unreadable_fields_leave_the_others_and_the_undocumented_ones() -> None:
    sent = message(TRADE, {"id": [1]}, stopLoss="-", volume={}, executedAt="soon", swap="1.5", mood="calm", profit=None)
    rows = accepted(sent)

    assert rows.extras == {0: {"mood": "calm", "id": [1], "stop_loss": "-", "volume": {}, "executed_at": "soon"}}
    assert rows.values["swap"][0] == 1.5
    assert rows.values["id"] == [None]
    assert rows.values["executed_at"][0] == NAT


@pytest.mark.parametrize("literal", ["9" * 5_000, "-" + "9" * 5_000, "1e400", "-1e999", "NaN", "Infinity", "-Infinity"])
def test_a_number_out_of_range_or_not_finite_is_missing_and_its_text_goes_to_extra(literal: str) -> None:
    rows = accepted(with_literal(QUOTE, "bid", literal))

    assert math.isnan(rows.values["bid"][0])
    assert rows.extras == {0: {"bid": literal}}
    assert accepted(with_literal(QUOTE, "foo", literal)).extras == {0: {"foo": {"unreadable": literal}}}


def test_an_integer_of_any_size_in_a_float_field_is_a_float() -> None:
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
def test_any_text_is_decoded_unchanged(text: str) -> None:
    for raw in (wire(message(ALERT, title=text, severity=text)), json.dumps(message(ALERT, title=text)).encode()):
        assert value(raw, "title") == text


@pytest.mark.parametrize("number", [0, 7, 2**53 + 1, -1])
def test_a_numeric_id_is_stored_as_text(number: int) -> None:
    assert value(message(QUOTE, {"id": number}), "id") == str(number)


@pytest.mark.parametrize("sent", [True, [], ["a"], {"a": 1}])
def test_an_id_that_is_neither_text_nor_a_number_is_missing(sent: Any) -> None:
    assert value(message(QUOTE, {"id": sent}), "id") is None
    assert unreadable(message(QUOTE, {"id": sent})) == {"id": sent}


@pytest.mark.parametrize("sent", [1704067200, 1704067200.5, True, [], {}, "yesterday", "2023-02-29T00:00:00.000Z", ""])
def test_an_invalid_time_rejects_the_message_as_timestamp_and_is_missing_elsewhere(sent: Any) -> None:
    assert "timestamp" in rejected(message(TRADE, {"timestamp": sent}))
    assert value(message(TRADE, executedAt=sent), "executed_at") == NAT
    assert unreadable(message(TRADE, executedAt=sent)) == {"executed_at": sent}


def test_the_timestamp_in_data_is_a_column_besides_the_envelopes() -> None:
    rows = accepted(message(QUOTE, {"timestamp": stamp(2_000)}, timestamp=stamp(1_000)))

    assert (rows.timestamp[0], rows.values["data_timestamp"][0]) == (T0_US + 2_000, T0_US + 1_000)


@pytest.mark.parametrize("literal", ["nan", "01", "+1", ".5", "1.", "0x1F"])
def test_a_number_that_is_not_valid_json_is_rejected(literal: str) -> None:
    rejected(with_literal(QUOTE, "bid", literal))


@pytest.mark.parametrize("literal", [r'"\ud800"', r'"\udc00\ud800"', r'"\ud800x"'])
def test_a_text_that_utf_8_cannot_encode_is_missing_and_goes_to_extra_in_escaped_form(literal: str) -> None:
    assert value(with_literal(ALERT, "title", literal), "title") is None
    assert unreadable(with_literal(ALERT, "title", literal)) == {"title": literal.strip('"')}


def test_bytes_that_are_not_utf_8_cost_only_their_field() -> None:
    raw = wire(message(ALERT, title="ab")).replace(b'"ab"', b'"a\xffb"')

    assert unreadable(raw) == {"title": r"a\udcffb"}


def test_a_text_may_contain_a_line_break_that_is_not_escaped() -> None:
    assert value(with_literal(ALERT, "title", '"a\nb"'), "title") == "a\nb"


@pytest.mark.parametrize("literal", [r'"\u12"', r'"\x"'])
def test_a_text_that_is_not_valid_json_is_rejected(literal: str) -> None:
    rejected(with_literal(ALERT, "title", literal))
