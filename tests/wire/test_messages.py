"""The message structs, compared with the samples of the reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fxlive.wire.messages import CONTROL_MESSAGES, DATA_MESSAGES, camel
from tests.samples import CONTROL, DATA, wire

TYPED = {str(m.__struct_config__.tag): m for m in (*DATA_MESSAGES, *CONTROL_MESSAGES)}


def fields_on_the_wire(struct: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    fields = set()
    for field in msgspec.structs.fields(struct):
        inner = [t for t in (field.type, *getattr(field.type, "__args__", ())) if hasattr(t, "__struct_fields__")]
        fields |= fields_on_the_wire(inner[0], (*path, field.encode_name)) if inner else {(*path, field.encode_name)}
    return fields


def leaves(value: dict[str, Any], path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    paths = set()
    for name, inner in value.items():
        paths |= leaves(inner, (*path, name)) if isinstance(inner, dict) else {(*path, name)}
    return paths


@pytest.mark.parametrize("channel", DATA)
def test_a_message_has_exactly_the_fields_of_the_reference(channel: str) -> None:
    sample = DATA[channel]

    assert fields_on_the_wire(TYPED[sample["type"]]) == leaves(sample) - {("type",)}


@pytest.mark.parametrize("channel", DATA)
def test_a_sample_is_unchanged_by_decoding_and_encoding(channel: str) -> None:
    sample = DATA[channel]
    typed = msgspec.json.decode(wire(sample), type=TYPED[sample["type"]])

    assert json.loads(msgspec.json.encode(typed)) == sample


@pytest.mark.parametrize("kind", CONTROL)
def test_a_control_message_keeps_every_field_of_the_reference(kind: str) -> None:
    typed = msgspec.json.decode(wire(CONTROL[kind]), type=TYPED[kind])
    fields = {name: value for name, value in json.loads(msgspec.json.encode(typed)).items() if value is not None}

    assert fields == CONTROL[kind]


@pytest.mark.parametrize("channel", DATA)
def test_a_decoded_message_is_immutable(channel: str) -> None:
    typed = msgspec.json.decode(wire(DATA[channel]), type=TYPED[DATA[channel]["type"]])

    with pytest.raises(AttributeError):
        typed.id = "another"
    with pytest.raises(AttributeError):
        setattr(typed.data, typed.data.__struct_fields__[0], "another")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("symbol", "symbol"), ("open_price", "openPrice"), ("unrealized_pnl", "unrealizedPnL"), ("pnl_day", "pnlDay")],
)
def test_field_names_are_camel_case_on_the_wire(name: str, expected: str) -> None:
    assert camel(name) == expected


def test_the_samples_are_those_of_the_reference() -> None:
    document = Path(__file__).parents[3] / "shared" / "reference" / "websocket-api.md"
    if not document.is_file():
        pytest.skip("the reference is not beside this checkout")
    blocks = [part.split("```")[0] for part in document.read_text().split("```json\n")[1:]]
    samples = [json.loads(block) for block in blocks if "//" not in block]

    assert sorted(map(wire, samples)) == sorted(map(wire, (*DATA.values(), *CONTROL.values())))
