"""Every buffer that the platform can fill is bounded in bytes, and health() shows what it holds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fxlive.pipeline import mailbox
from fxlive.pipeline.bounds import near_limits
from fxlive.pipeline.streams import Stream
from fxlive.tables import store
from fxlive.wire.undocumented.columns import MAX_NAME_CHARS
from tests.capture.sessions import bring, recorded, started
from tests.samples import ALERT, QUOTE, message, wire


def news(number: int, channel: str = "news", **data: object) -> bytes:
    return wire({**message(QUOTE, {"id": f"n{number}", "type": "news", "channel": channel}), "data": data})


def test_health_shows_bytes_and_limits_of_every_buffer(tmp_path: Path) -> None:
    with recorded(tmp_path) as session:
        handle = session.on("market-data", print)
        bring(session, wire(QUOTE), b"what?")
        bounds = session.health().bounds
        handle.cancel()

    assert {"rejected messages", "large messages", "symbols", "categories", "callback queue", "recorder queue"} <= {
        *bounds.index
    }
    assert bounds.loc["open rows", ["bytes", "limit_bytes", "limit_items"]].tolist() == [0, 64 * 2**20, 100_000]
    assert bounds.loc["rejected messages", "bytes"] > 0
    assert bounds.loc["rejected messages", "limit_bytes"] == 64 * 2**20
    assert bounds.loc["symbols", "bytes"] == 6
    assert "limit_bytes" in repr(session.health())


def test_a_buffer_near_its_limit_is_named() -> None:
    session = started("near")
    assert near_limits(session._pipeline) == []
    bring(session, *[b"no %d" % number for number in range(9_000)])

    assert near_limits(session._pipeline) == ["Rejected messages: 90% of the limit."]
    session.close()


def test_large_messages_shorten_the_window_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_LARGE_BYTES", 1_000_000)
    session = started("large")
    for number in range(300):
        bring(session, wire(message(ALERT, {"id": f"a{number}"}, alertId=f"a{number}", title="x" * 20_000)))
    bring(session, *[wire(message(QUOTE, {"id": f"q{number}"})) for number in range(500)])
    frame, bounds = session.frame("alerts"), session.health().bounds

    assert 20 <= len(frame) <= 60
    assert frame["alert_id"].iloc[-1] == "a299"
    assert bounds.loc["large messages", "bytes"] <= 1_000_000
    assert bounds.loc["large messages", "dropped"] == 300 - len(frame)
    assert len(session.frame("market-data")) == 500
    session.close()


def test_a_slow_callback_holds_a_bounded_number_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "MAILBOX_BYTES", 1_000_000)

    async def read() -> tuple[int, int, int]:
        stream = Stream("alerts")
        session = started("slow")
        session._pipeline._add_mailbox(stream.mailbox)
        for number in range(200):
            bring(session, wire(message(ALERT, {"id": f"a{number}"}, title="x" * 20_000)))
        held = stream.mailbox.bytes
        first = await anext(stream)
        session.close()
        return held, stream.dropped, int(first.id[1:])  # type: ignore[index]

    held, dropped, first = asyncio.run(read())
    assert 900_000 < held <= 1_000_000
    assert dropped == first == 200 - held // (held // (200 - dropped))


def test_a_hundred_thousand_field_names_add_a_bounded_number_of_columns() -> None:
    session = started("fields")
    for start in range(0, 100_000, 1_000):
        bring(session, news(start, **{f"field{number}": number for number in range(start, start + 1_000)}))
    bring(session, news(1, **{"x" * (MAX_NAME_CHARS + 1): 1}))
    frame = session.frame("news")

    assert frame.shape[1] <= 256
    assert frame["extra"].str.len().sum() > 1_000_000
    session.close()


def test_ten_thousand_channel_names_add_a_bounded_number_of_tables() -> None:
    session = started("channels")
    bring(session, *[news(number, f"news{number}", a=number) for number in range(10_000)])
    health = session.health()

    assert len(health.channels) == 7 + 256
    assert health.rejected == 10_000 - 256
    session.close()


def test_a_callback_gets_the_newest_messages_of_a_batch_that_is_larger_than_its_queue() -> None:
    box = mailbox.Mailbox("trades", lambda: None, size=3)
    box.put(["a", "b", "c", "d", "e"], 50)  # type: ignore[list-item]

    assert [box.take() for _ in range(4)] == ["c", "d", "e", None]
    assert (box.dropped, box.bytes) == (2, 0)
