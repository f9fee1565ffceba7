"""Decode single messages, and check that they are accepted or rejected."""

from __future__ import annotations

from typing import Any

from fxlive.wire.batch import Rows
from fxlive.wire.protocol import decode
from tests.samples import T0_US, message, wire

AT = T0_US + 5_000
"""The time of receipt."""


def accepted(sample: Any) -> Rows:
    """Decode one message and return its row."""
    batch = decode([sample if isinstance(sample, bytes) else wire(sample)], AT)
    assert [r.reason for r in batch.rejected] == []
    (rows,) = batch.rows.values()
    assert len(rows) == 1
    return rows


def unreadable(sample: Any) -> dict[str, Any]:
    """Decode one message and return its fields that go to the column `extra`: the row stays."""
    rows = accepted(sample)
    extras: dict[str, Any] = rows.extras.get(0, {})
    return extras


def rejected(sample: Any) -> str:
    """Decode one message and return the reason why it is rejected."""
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
    """Return a sample with a piece of JSON, which json.dumps might not write, as the value of a field."""
    return wire(message(sample, **{name: "@here@"})).replace(b'"@here@"', literal.encode())
