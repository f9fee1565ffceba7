"""The values that a field of a message may have, and their form in a row."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from fxlive.core.timestamps import NAT
from tests.samples import ALERT, ANALYTICS, POSITION, QUOTE, SYSTEM, T0_US, TRADE, message, stamp, wire
from tests.wire.decoding import accepted, rejected, with_literal


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
def test_a_ticket_that_is_not_a_64_bit_integer_is_rejected(ticket: Any) -> None:
    assert "ticket" in rejected(message(POSITION, ticket=ticket))
    assert "ticket" in rejected(message(TRADE, ticket=ticket))


@pytest.mark.parametrize("sent", [True, False, "", "many", "1,5", "1_0", "0x10", [], [1], {"value": 1}])
def test_an_invalid_number_is_rejected(sent: Any) -> None:
    assert "bid" in rejected(message(QUOTE, bid=sent))
    assert "winRate" in rejected(message(ANALYTICS, metrics={"winRate": sent}))


@pytest.mark.parametrize("sent", [5, 1.5, True, [], ["EURUSD"], {"code": "EURUSD"}])
def test_an_invalid_text_is_rejected(sent: Any) -> None:
    assert "symbol" in rejected(message(QUOTE, symbol=sent))
    assert "title" in rejected(message(ALERT, title=sent))


@pytest.mark.parametrize("sent", ["ACKNOWLEDGE", {"a": 1}, [1], [None], [["a"]], 5])
def test_an_invalid_list_of_texts_is_rejected(sent: Any) -> None:
    assert "actions" in rejected(message(ALERT, actions=sent))


@pytest.mark.parametrize("sent", ["HEALTHY", [], 5, True])
def test_an_invalid_object_is_rejected(sent: Any) -> None:
    assert "components" in rejected(message(SYSTEM, components=sent))
    assert "data" in rejected(message(QUOTE, {"data": sent}))


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
def test_an_id_that_is_neither_text_nor_a_number_is_rejected(sent: Any) -> None:
    assert "id" in rejected(message(QUOTE, {"id": sent}))


@pytest.mark.parametrize("name", ["timestamp", "executedAt"])
@pytest.mark.parametrize("sent", [1704067200, 1704067200.5, True, [], {}, "yesterday", "2023-02-29T00:00:00.000Z", ""])
def test_an_invalid_time_is_rejected(name: str, sent: Any) -> None:
    changed = message(TRADE, {name: sent}) if name == "timestamp" else message(TRADE, **{name: sent})

    assert ("timestamp" if name == "timestamp" else "xecuted") in rejected(changed)


def test_the_timestamp_in_data_is_a_column_besides_the_envelopes() -> None:
    rows = accepted(message(QUOTE, {"timestamp": stamp(2_000)}, timestamp=stamp(1_000)))

    assert (rows.timestamp[0], rows.values["data_timestamp"][0]) == (T0_US + 2_000, T0_US + 1_000)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "nan", "1e400", "01", "+1", ".5", "1.", "0x1F"])
def test_a_number_that_is_not_valid_json_is_rejected(literal: str) -> None:
    rejected(with_literal(QUOTE, "bid", literal))


@pytest.mark.parametrize("text", ["Infinity", "-inf", "1e999"])
def test_an_infinite_number_sent_as_text_is_rejected(text: str) -> None:
    assert "bid" in rejected(message(QUOTE, bid=text))


@pytest.mark.parametrize("literal", [r'"\ud800"', r'"\udc00\ud800"', r'"\ud800x"', r'"\u12"', '"a\nb"', r'"\x"'])
def test_a_text_that_is_not_valid_json_is_rejected(literal: str) -> None:
    rejected(with_literal(ALERT, "title", literal))
