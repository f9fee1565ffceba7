"""Callbacks and streams: their messages, slow and faulty ones, and how they end."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import fxlive
from fxlive.core.background import background_loop, call
from fxlive.feeds.memory import MemoryFeed
from fxlive.pipeline.callbacks import Handle
from fxlive.pipeline.mailbox import MAILBOX_SIZE, Mailbox
from fxlive.pipeline.streams import Stream
from fxlive.simulator.fixture import SimulatorFactory
from tests.handmade import PATIENCE_S, clean_slate, quote, wait_until  # noqa: F401


class OfflineSession:
    """A session on a memory feed, and a method that sends it quotes."""

    def __init__(self) -> None:
        self.session = fxlive.Session.offline()
        self.feed: MemoryFeed = self.session._pipeline.feed  # type: ignore[assignment]
        self.session.open()
        self.count = 0

    def send(self, count: int, symbol: str = "EURUSD") -> None:
        frames = [quote(self.count + n, symbol).encode() for n in range(count)]
        self.count += count

        async def put() -> None:
            self.feed.put(*frames)

        call(put())


@pytest.fixture
def offline() -> Iterator[OfflineSession]:
    offline = OfflineSession()
    yield offline
    offline.session.close()


def bids(messages: list[Any]) -> list[float]:
    return [message.data.bid for message in messages]


# Callbacks


def test_a_callback_gets_every_new_message_in_order_on_its_own_thread(offline: OfflineSession) -> None:
    received: list[Any] = []
    threads = set()

    def callback(message: Any) -> None:
        threads.add(threading.current_thread().name)
        received.append(message)

    offline.send(3)
    handle = offline.session.on("market-data", callback)
    offline.send(500)
    offline.send(500)
    wait_until(lambda: len(received) >= 1000)

    assert bids(received) == [float(n) for n in range(3, 1003)]
    assert threads == {"fxlive on market-data: callback"}
    assert (handle.calls, handle.errors, handle.dropped) == (1000, 0, 0)
    assert repr(handle) == "<callback on market-data: active, 1,000 calls, 0 errors, 0 dropped>"


def test_a_callback_gets_messages_of_its_channel_only_and_no_duplicates(offline: OfflineSession) -> None:
    received: list[Any] = []
    offline.session.on("trades", received.append)
    offline.session.on("market_data", received.append)
    offline.send(2)
    offline.count = 0  # the first two are sent again
    offline.send(3)
    wait_until(lambda: len(received) >= 3)

    assert bids(received) == [0.0, 1.0, 2.0]
    assert offline.session.health().duplicates == 2


def test_a_decorated_function_stays_a_function_and_can_be_cancelled(offline: OfflineSession) -> None:
    received = []

    @offline.session.on("market-data")
    def double(message: Any) -> float:
        received.append(message)
        return 2 * message.data.bid

    offline.send(1)
    wait_until(lambda: received)
    assert double(received[0]) == 0.0
    double.cancel()
    offline.send(5)
    wait_until(lambda: not double._worker.is_alive())
    assert len(received) == 2  # one call by the session, one by this test
    assert "cancelled" in repr(double)


def test_an_async_callback_is_awaited_before_the_next_message(offline: OfflineSession) -> None:
    steps: list[str] = []

    async def callback(message: Any) -> None:
        steps.append(f"begin {message.data.bid}")
        await asyncio.sleep(0.001)
        steps.append(f"end {message.data.bid}")

    offline.session.on("market-data", callback)
    offline.send(3)
    wait_until(lambda: len(steps) == 6)
    assert steps == [f"{step} {n}.0" for n in range(3) for step in ("begin", "end")]


def test_exceptions_of_a_callback_are_counted_and_logged_and_it_goes_on(
    offline: OfflineSession, caplog: pytest.LogCaptureFixture
) -> None:
    received, errors = [], []

    def callback(message: Any) -> None:
        received.append(message)
        if message.data.bid % 2:
            raise LookupError("odd")

    def on_error(error: Exception) -> None:
        errors.append(error)
        raise ValueError("from on_error")

    handle = offline.session.on("market-data", callback, on_error=on_error)
    with caplog.at_level(logging.ERROR, "fxlive"):
        offline.send(10)
        wait_until(lambda: handle.errors == 5 and len(received) == 10 and len(errors) == 5)
        wait_until(lambda: "the on_error of a callback on market-data raised" in caplog.text)
    assert [str(e) for e in errors] == ["odd"] * 5
    assert "a callback on market-data raised" in caplog.text
    assert offline.session.health().callback_errors == 5
    for text in (repr(handle), repr(offline.session), offline.session._repr_html_()):
        assert "5 errors, the last LookupError: odd" in text


def test_an_exception_of_a_callback_keeps_no_local_variables_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("fxlive"), "disabled", True)  # pytest keeps logged exceptions
    frames = []

    class Frame:
        pass

    def callback(message: Any) -> None:
        frame = Frame()
        frames.append(weakref.ref(frame))
        raise LookupError("not here")

    handle = Handle("trades", callback, None)
    handle.mailbox.put([1])  # type: ignore[list-item]
    wait_until(lambda: handle.errors == 1 and frames[0]() is None)
    assert handle.error == "LookupError: not here"
    handle.cancel()


def test_health_counts_the_errors_of_all_callbacks_including_cancelled_ones(offline: OfflineSession) -> None:
    def first(message: Any) -> None:
        raise LookupError(f"no. {message.data.bid:.0f}")

    def second(message: Any) -> None:
        raise KeyError("of the second")

    one = offline.session.on("market-data", first)
    other = offline.session.on("market-data", second)
    offline.send(1)
    wait_until(lambda: (one.errors, other.errors) == (1, 1))
    other.cancel()
    offline.send(1)
    wait_until(lambda: one.errors == 2)
    assert offline.session.health().callback_error == "3 errors, the last LookupError: no. 1"
    offline.session.close()
    assert offline.session.health().callback_errors == 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_callback_survives_an_exception_whose_str_raises(offline: OfflineSession) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            return None  # type: ignore[return-value]

    received = []

    def callback(message: Any) -> None:
        received.append(message)
        raise Mute

    handle = offline.session.on("market-data", callback)
    offline.send(3)
    wait_until(lambda: handle.errors == 3)
    assert (len(received), handle.error) == (3, "Mute")


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_callback_that_raises_to_end_its_thread_is_counted_and_logged_and_goes_on(
    kind: str, error: type[BaseException], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    received: list[Any] = []
    errors: list[BaseException] = []

    def plain(message: Any) -> None:
        received.append(message)
        raise error

    async def awaited(message: Any) -> None:
        await asyncio.sleep(0)
        plain(message)

    def on_error(raised: BaseException) -> None:
        errors.append(raised)
        raise error

    handle = Handle("trades", plain if kind == "plain" else awaited, on_error)
    with caplog.at_level(logging.ERROR, "fxlive"):
        for number in range(3):
            handle.mailbox.put([number])  # type: ignore[list-item]
            wait_until(lambda number=number: len(errors) > number)  # type: ignore[misc]
    assert handle._worker.is_alive()
    assert (received, handle.errors, [type(e) for e in errors]) == ([0, 1, 2], 3, [error] * 3)
    wait_until(lambda: len(caplog.messages) == 6)
    assert caplog.messages[::2] == ["a callback on trades raised"] * 3
    handle.cancel()
    wait_until(lambda: not handle._worker.is_alive())
    assert capsys.readouterr().err == ""


def test_a_slow_callback_loses_its_oldest_messages_and_does_not_block_the_feed(offline: OfflineSession) -> None:
    release = threading.Event()
    received: list[Any] = []

    def callback(message: Any) -> None:
        received.append(message)
        release.wait(PATIENCE_S)

    handle = offline.session.on("market-data", callback)
    offline.send(1)
    wait_until(lambda: received)
    for _ in range(3):
        offline.send(5_000)
    assert len(offline.session["market-data"]) == 15_001
    assert handle.calls == 1  # it is still in its first call
    assert handle.dropped == 15_000 - MAILBOX_SIZE
    assert offline.session.health().dropped == handle.dropped
    release.set()
    wait_until(lambda: handle.calls == 1 + MAILBOX_SIZE)
    assert bids(received)[1:] == [float(n) for n in range(5_001, 15_001)]


def test_a_cancelled_callback_is_not_called_for_waiting_or_later_messages(offline: OfflineSession) -> None:
    release, received = threading.Event(), []

    def callback(message: Any) -> None:
        received.append(message)
        release.wait(PATIENCE_S)

    handle = offline.session.on("market-data", callback)
    offline.send(100)
    wait_until(lambda: received)
    handle.cancel()
    release.set()
    wait_until(lambda: not handle._worker.is_alive())
    offline.send(20_000)

    assert len(received) == 1
    assert handle.dropped == 0


def test_a_callback_may_cancel_itself_close_the_session_and_read_frames(offline: OfflineSession) -> None:
    lengths = []

    @offline.session.on("market-data")
    def once(message: Any) -> None:
        lengths.append(len(offline.session.frame("market-data")))
        once.cancel()
        offline.session.close()

    offline.send(5)
    wait_until(lambda: offline.session.state == "closed")
    assert lengths == [5]


def test_the_thread_of_a_callback_ends_with_the_session(offline: OfflineSession) -> None:
    received = []
    handle = offline.session.on("market-data", received.append)
    offline.send(50)
    offline.session.close()
    wait_until(lambda: not handle._worker.is_alive())

    assert len(received) == 50  # messages received before the close are delivered


def test_an_unknown_channel_raises_at_once(offline: OfflineSession) -> None:
    for listen in (lambda: offline.session.on("trade", print), lambda: offline.session.stream("trade")):
        with pytest.raises(fxlive.InvalidChannel, match=r"Did you mean trades\?"):
            listen()


def test_a_callback_that_is_not_callable_is_refused_at_once(offline: OfflineSession) -> None:
    with pytest.raises(fxlive.UnknownOption, match="callback must be a function of one message, got 'x'"):
        offline.session.on("trades", "x")  # type: ignore[call-overload]
    with pytest.raises(fxlive.UnknownOption, match=r"on_error must be a function of one exception, got 'x'"):
        offline.session.on("trades", on_error="x")  # type: ignore[call-overload]


def test_on_and_stream_raise_on_a_closed_session(offline: OfflineSession) -> None:
    offline.session.close()
    with pytest.raises(fxlive.SessionClosed):
        offline.session.on("trades", print)

    async def stream() -> None:
        with pytest.raises(fxlive.SessionClosed):
            offline.session.stream("trades")

    asyncio.run(stream())


# Streams


def test_a_stream_yields_every_message_after_its_creation(offline: OfflineSession) -> None:
    async def read() -> list[Any]:
        stream = offline.session.stream("market-data")
        await asyncio.to_thread(offline.send, 3)
        await asyncio.to_thread(offline.send, 3)
        messages = []
        async for message in stream:
            messages.append(message)
            if len(messages) == 6:
                break
        return messages

    offline.send(4)
    assert bids(asyncio.run(read())) == [4.0, 5.0, 6.0, 7.0, 8.0, 9.0]


def test_a_stream_yields_waiting_messages_before_it_ends_with_the_session(offline: OfflineSession) -> None:
    async def read() -> list[Any]:
        stream = offline.session.stream("market-data")
        await asyncio.to_thread(offline.send, 3)
        await offline.session.close_async()
        return [message async for message in stream]

    assert len(asyncio.run(read())) == 3


def test_a_waiting_stream_raises_when_the_session_fails_and_callbacks_survive(offline: OfflineSession) -> None:
    failure = fxlive.ReconnectsExhausted("five reconnects failed")
    received: list[Any] = []
    offline.session.on("market-data", received.append)

    async def read() -> None:
        stream = offline.session.stream("market-data")
        background_loop().call_soon_threadsafe(offline.session._pipeline.failed, failure)
        async with asyncio.timeout(PATIENCE_S):
            async for _ in stream:
                pass

    with pytest.raises(fxlive.ReconnectsExhausted) as raised:
        asyncio.run(read())
    assert raised.value is failure
    offline.session.reconnect()  # the callback is called again
    offline.send(1)
    wait_until(lambda: received)


def test_a_slow_stream_loses_its_oldest_messages_and_counts_them(offline: OfflineSession) -> None:
    async def read() -> tuple[float, int]:
        stream = offline.session.stream("market-data")
        await asyncio.to_thread(offline.send, MAILBOX_SIZE + 7)
        return (await anext(stream)).data.bid, stream.dropped

    assert asyncio.run(read()) == (7.0, 7)


def test_an_abandoned_or_closed_stream_is_freed(offline: OfflineSession) -> None:
    async def read() -> Mailbox:
        abandoned = offline.session.stream("market-data")
        await asyncio.to_thread(offline.send, 1)
        async for _ in abandoned:
            break
        closed = offline.session.stream("market-data")
        await closed.aclose()
        return closed.mailbox

    closed = asyncio.run(read())
    gc.collect()
    offline.send(1000)  # the loop of both streams is closed
    assert closed.take() is None
    offline.session.on("trades", print)
    assert len(offline.session._pipeline._mailboxes) == 1


def test_a_reader_whose_loop_has_closed_does_not_break_the_feed(offline: OfflineSession) -> None:
    streams: list[Stream] = []

    async def begin() -> None:
        streams.append(offline.session.stream("market-data"))

    asyncio.run(begin())
    offline.send(3)
    assert len(offline.session["market-data"]) == 3
    assert offline.session.rejected().empty


def test_a_blocked_loop_gets_one_wake_up_for_many_messages_and_another_one_later() -> None:
    async def read() -> tuple[int, list[Any]]:
        loop: Any = asyncio.get_running_loop()
        stream = Stream("trades")
        before = len(loop._ready)
        for number in range(1_000):  # the loop cannot run meanwhile
            stream.mailbox.put([number])  # type: ignore[list-item]
        waiting = len(loop._ready) - before
        first = [await anext(stream) for _ in range(1_000)]
        later = asyncio.create_task(anext(stream))  # type: ignore[arg-type]
        for _ in range(3):
            await asyncio.sleep(0)
        await asyncio.to_thread(stream.mailbox.put, ["later"])  # type: ignore[list-item]
        async with asyncio.timeout(PATIENCE_S):
            return waiting, [*first, await later]

    assert asyncio.run(read()) == (1, [*range(1_000), "later"])


def test_the_error_of_a_stream_outside_async_code_names_the_alternative(offline: OfflineSession) -> None:
    with pytest.raises(RuntimeError, match=r"async for .* in session\.stream\(\.\.\.\).*session\.on\(\.\.\.\)"):
        offline.session.stream("market-data")


def test_a_full_mailbox_drops_and_counts_its_oldest_messages() -> None:
    woken: list[int] = []
    mailbox = Mailbox("trades", lambda: woken.append(1), size=3)
    mailbox.put(["a", "b"])  # type: ignore[list-item]
    mailbox.put(["c", "d", "e", "f", "g"])  # type: ignore[list-item]

    assert mailbox.dropped == 4
    assert [mailbox.take() for _ in range(4)] == ["e", "f", "g", None]
    assert len(woken) == 2


def test_callbacks_and_streams_get_the_rows_of_the_frame(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=None, quotes=5_000, wait_for_subscriber=True, account=False)
    received: list[Any] = []

    async def main() -> list[Any]:
        async with fxlive.Session(simulator.url, simulator.token(), channels=["system"]) as session:
            session.on("market-data", received.append)
            stream = session.stream("market-data")
            await session.subscribe_async("market-data")
            streamed = [await anext(stream) for _ in range(5_000)]
            wait_until(lambda: len(received) == 5_000)
            assert bids(streamed) == bids(received) == session["market-data"]["bid"].tolist()
            return streamed

    assert len(asyncio.run(main())) == 5_000


def test_a_handle_can_be_called_like_its_callback() -> None:
    class Callback:
        def __call__(self, message: Any) -> str:
            return f"got {message}"

    handle = Handle("trades", Callback(), None)
    assert handle("x") == "got x"
    handle.cancel()
    wait_until(lambda: not handle._worker.is_alive())
