"""Callbacks and streams: who is told, what happens to the slow and the faulty, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
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
from tests.handmade import clean_slate, quote, wait_until  # noqa: F401


class Brought:
    """An offline session, and a feed that brings it quotes."""

    def __init__(self) -> None:
        self.session = fxlive.Session.offline()
        self.feed: MemoryFeed = self.session._pipeline.feed  # type: ignore[assignment]
        self.session.open()
        self.count = 0

    def bring(self, count: int, symbol: str = "EURUSD") -> None:
        frames = [quote(self.count + n, symbol).encode() for n in range(count)]
        self.count += count

        async def put() -> None:
            self.feed.put(*frames)

        call(put())


@pytest.fixture
def brought() -> Iterator[Brought]:
    brought = Brought()
    yield brought
    brought.session.close()


def bids(messages: list[Any]) -> list[float]:
    return [message.data.bid for message in messages]


# Callbacks


def test_a_callback_gets_every_new_message_in_order_on_a_thread_of_its_own(brought: Brought) -> None:
    told: list[Any] = []
    threads = set()

    def callback(message: Any) -> None:
        threads.add(threading.current_thread().name)
        told.append(message)

    brought.bring(3)
    handle = brought.session.on("market-data", callback)
    brought.bring(500)
    brought.bring(500)
    wait_until(lambda: len(told) >= 1000)

    assert bids(told) == [float(n) for n in range(3, 1003)]
    assert threads == {"fxlive on market-data: callback"}
    assert (handle.calls, handle.errors, handle.dropped) == (1000, 0, 0)
    assert repr(handle) == "<callback on market-data: active, 1000 calls, 0 errors, 0 dropped>"


def test_a_callback_hears_of_its_own_channel_alone_and_of_no_duplicate(brought: Brought) -> None:
    told: list[Any] = []
    brought.session.on("trades", told.append)
    brought.session.on("market_data", told.append)
    brought.bring(2)
    brought.count = 0  # the same two again
    brought.bring(3)
    wait_until(lambda: len(told) >= 3)

    assert bids(told) == [0.0, 1.0, 2.0]
    assert brought.session.health().duplicates == 2


def test_a_decorated_function_stays_a_function_and_can_be_cancelled(brought: Brought) -> None:
    told = []

    @brought.session.on("market-data")
    def double(message: Any) -> float:
        told.append(message)
        return 2 * message.data.bid

    brought.bring(1)
    wait_until(lambda: told)
    assert double(told[0]) == 0.0
    double.cancel()
    brought.bring(5)
    wait_until(lambda: not double._thread.is_alive())
    assert len(told) == 2  # once by the session, once by us
    assert "cancelled" in repr(double)


def test_an_async_callback_is_awaited_before_the_next_message(brought: Brought) -> None:
    told: list[str] = []

    async def callback(message: Any) -> None:
        told.append(f"begin {message.data.bid}")
        await asyncio.sleep(0.001)
        told.append(f"end {message.data.bid}")

    brought.session.on("market-data", callback)
    brought.bring(3)
    wait_until(lambda: len(told) == 6)
    assert told == [f"{what} {n}.0" for n in range(3) for what in ("begin", "end")]


def test_a_callback_that_raises_is_counted_logged_and_goes_on(
    brought: Brought, caplog: pytest.LogCaptureFixture
) -> None:
    told, errors = [], []

    def callback(message: Any) -> None:
        told.append(message)
        if message.data.bid % 2:
            raise LookupError("odd")

    def on_error(error: Exception) -> None:
        errors.append(error)
        raise ValueError("and so does on_error")

    handle = brought.session.on("market-data", callback, on_error=on_error)
    with caplog.at_level(logging.ERROR, "fxlive"):
        brought.bring(10)
        wait_until(lambda: handle.errors == 5 and len(told) == 10 and len(errors) == 5)
        wait_until(lambda: "the on_error of a callback on market-data raised" in caplog.text)
    assert [str(e) for e in errors] == ["odd"] * 5
    assert "a callback on market-data raised" in caplog.text
    assert brought.session.health().callback_errors == 5
    for shown in (repr(handle), repr(brought.session), brought.session._repr_html_()):
        assert "5 errors, the last LookupError: odd" in shown


def test_what_a_callback_raised_keeps_nothing_of_it_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("fxlive"), "disabled", True)  # pytest keeps what is logged
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


def test_a_session_tells_the_last_error_of_all_callbacks_and_forgets_none(brought: Brought) -> None:
    def first(message: Any) -> None:
        raise LookupError(f"no. {message.data.bid:.0f}")

    def second(message: Any) -> None:
        raise KeyError("of the second")

    one = brought.session.on("market-data", first)
    other = brought.session.on("market-data", second)
    brought.bring(1)
    wait_until(lambda: (one.errors, other.errors) == (1, 1))
    other.cancel()
    brought.bring(1)
    wait_until(lambda: one.errors == 2)
    assert brought.session.health().callback_error == "3 errors, the last LookupError: no. 1"
    brought.session.close()
    assert brought.session.health().callback_errors == 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_exception_without_words_ends_no_callback(brought: Brought) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            return None  # type: ignore[return-value]

    told = []

    def callback(message: Any) -> None:
        told.append(message)
        raise Mute

    handle = brought.session.on("market-data", callback)
    brought.bring(3)
    wait_until(lambda: handle.errors == 3)
    assert (len(told), handle.error) == (3, "Mute")


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_callback_that_wants_to_end_its_thread_is_counted_logged_and_goes_on(
    kind: str, error: type[BaseException], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[Any] = []
    errors: list[BaseException] = []

    def plain(message: Any) -> None:
        told.append(message)
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
    assert handle._thread.is_alive()
    assert (told, handle.errors, [type(e) for e in errors]) == ([0, 1, 2], 3, [error] * 3)
    wait_until(lambda: len(caplog.messages) == 6)
    assert caplog.messages[::2] == ["a callback on trades raised"] * 3
    handle.cancel()
    wait_until(lambda: not handle._thread.is_alive())
    assert capsys.readouterr().err == ""


def test_a_slow_callback_loses_its_oldest_which_are_counted_and_never_slows_the_feed(brought: Brought) -> None:
    let_go = threading.Event()
    told: list[Any] = []

    def callback(message: Any) -> None:
        told.append(message)
        let_go.wait(10)

    handle = brought.session.on("market-data", callback)
    brought.bring(1)
    wait_until(lambda: told)
    began = time.monotonic()
    for _ in range(3):
        brought.bring(5_000)
    took = time.monotonic() - began
    assert len(brought.session["market-data"]) == 15_001
    assert handle.dropped == 15_000 - MAILBOX_SIZE
    assert brought.session.health().dropped == handle.dropped
    assert took < 5
    let_go.set()
    wait_until(lambda: handle.calls == 1 + MAILBOX_SIZE)
    assert bids(told)[1:] == [float(n) for n in range(5_001, 15_001)]


def test_a_cancelled_callback_is_told_nothing_more_not_even_what_waited(brought: Brought) -> None:
    let_go, told = threading.Event(), []

    def callback(message: Any) -> None:
        told.append(message)
        let_go.wait(10)

    handle = brought.session.on("market-data", callback)
    brought.bring(100)
    wait_until(lambda: told)
    handle.cancel()
    let_go.set()
    wait_until(lambda: not handle._thread.is_alive())
    brought.bring(20_000)

    assert len(told) == 1
    assert handle.dropped == 0


def test_a_callback_may_cancel_itself_close_the_session_and_read_frames(brought: Brought) -> None:
    seen = []

    @brought.session.on("market-data")
    def once(message: Any) -> None:
        seen.append(len(brought.session.frame("market-data")))
        once.cancel()
        brought.session.close()

    brought.bring(5)
    wait_until(lambda: brought.session.state == "closed")
    assert seen == [5]


def test_the_thread_of_a_callback_ends_with_the_session(brought: Brought) -> None:
    told = []
    handle = brought.session.on("market-data", told.append)
    brought.bring(50)
    brought.session.close()
    wait_until(lambda: not handle._thread.is_alive())

    assert len(told) == 50  # what had come is told


def test_a_wrong_channel_is_told_at_once(brought: Brought) -> None:
    for listen in (lambda: brought.session.on("trade", print), lambda: brought.session.stream("trade")):
        with pytest.raises(fxlive.InvalidChannel, match=r"Did you mean trades\?"):
            listen()


def test_who_cannot_be_called_is_refused_at_once(brought: Brought) -> None:
    with pytest.raises(fxlive.UnknownOption, match="callback must be a function of one message, got 'x'"):
        brought.session.on("trades", "x")  # type: ignore[call-overload]
    with pytest.raises(fxlive.UnknownOption, match=r"on_error must be a function of one exception, got 'x'"):
        brought.session.on("trades", on_error="x")  # type: ignore[call-overload]


def test_nothing_can_be_listened_to_on_a_closed_session(brought: Brought) -> None:
    brought.session.close()
    with pytest.raises(fxlive.SessionClosed):
        brought.session.on("trades", print)

    async def stream() -> None:
        with pytest.raises(fxlive.SessionClosed):
            brought.session.stream("trades")

    asyncio.run(stream())


# Streams


def test_a_stream_gives_every_message_from_its_making_on(brought: Brought) -> None:
    async def read() -> list[Any]:
        stream = brought.session.stream("market-data")
        await asyncio.to_thread(brought.bring, 3)
        await asyncio.to_thread(brought.bring, 3)
        messages = []
        async for message in stream:
            messages.append(message)
            if len(messages) == 6:
                break
        return messages

    brought.bring(4)
    assert bids(asyncio.run(read())) == [4.0, 5.0, 6.0, 7.0, 8.0, 9.0]


def test_a_stream_ends_when_the_session_is_closed_after_what_had_come(brought: Brought) -> None:
    async def read() -> list[Any]:
        stream = brought.session.stream("market-data")
        await asyncio.to_thread(brought.bring, 3)
        await brought.session.close_async()
        return [message async for message in stream]

    assert len(asyncio.run(read())) == 3


def test_a_stream_that_waits_raises_when_the_session_fails(brought: Brought) -> None:
    failure = fxlive.ReconnectsExhausted("five reconnects failed")
    told: list[Any] = []
    brought.session.on("market-data", told.append)

    async def read() -> None:
        stream = brought.session.stream("market-data")
        background_loop().call_soon_threadsafe(brought.session._pipeline.failed, failure)
        async with asyncio.timeout(5):
            async for _ in stream:
                pass

    with pytest.raises(fxlive.ReconnectsExhausted) as raised:
        asyncio.run(read())
    assert raised.value is failure
    brought.session.reconnect()  # and callbacks are told again
    brought.bring(1)
    wait_until(lambda: told)


def test_a_slow_stream_loses_its_oldest_which_are_counted(brought: Brought) -> None:
    async def read() -> tuple[float, int]:
        stream = brought.session.stream("market-data")
        await asyncio.to_thread(brought.bring, MAILBOX_SIZE + 7)
        return (await anext(stream)).data.bid, stream.dropped

    assert asyncio.run(read()) == (7.0, 7)


def test_a_forgotten_or_closed_stream_keeps_nothing(brought: Brought) -> None:
    async def read() -> Mailbox:
        async for _ in brought.session.stream("market-data"):
            break
        stream = brought.session.stream("market-data")
        await stream.aclose()
        return stream.mailbox

    begun = threading.Thread(target=lambda: (time.sleep(0.2), brought.bring(1)))
    begun.start()
    closed = asyncio.run(read())
    begun.join()
    gc.collect()
    brought.bring(1000)  # into a loop that has closed: the feed does not mind
    assert closed.take() is None
    brought.session.on("trades", print)
    assert len(brought.session._pipeline._mailboxes) == 1


def test_a_reader_whose_loop_has_closed_does_not_break_the_feed(brought: Brought) -> None:
    streams: list[Stream] = []

    async def begin() -> None:
        streams.append(brought.session.stream("market-data"))

    asyncio.run(begin())
    brought.bring(3)
    assert len(brought.session["market-data"]) == 3
    assert brought.session.rejected().empty


def test_a_blocked_reader_has_one_wake_up_waiting_and_is_woken_again_after_it() -> None:
    async def read() -> tuple[int, list[Any]]:
        loop: Any = asyncio.get_running_loop()
        stream = Stream("trades")
        before = len(loop._ready)
        for number in range(1_000):  # the loop is blocked meanwhile
            stream.mailbox.put([number])  # type: ignore[list-item]
        waiting = len(loop._ready) - before
        first = [await anext(stream) for _ in range(1_000)]
        later = asyncio.create_task(anext(stream))  # type: ignore[arg-type]
        for _ in range(3):
            await asyncio.sleep(0)
        await asyncio.to_thread(stream.mailbox.put, ["later"])  # type: ignore[list-item]
        async with asyncio.timeout(5):
            return waiting, [*first, await later]

    assert asyncio.run(read()) == (1, [*range(1_000), "later"])


def test_a_stream_outside_async_code_says_what_to_do(brought: Brought) -> None:
    with pytest.raises(RuntimeError, match=r"async for .* in session\.stream\(\.\.\.\).*session\.on\(\.\.\.\)"):
        brought.session.stream("market-data")


def test_a_mailbox_counts_what_it_drops() -> None:
    woken: list[int] = []
    mailbox = Mailbox("trades", lambda: woken.append(1), size=3)
    mailbox.put(["a", "b"])  # type: ignore[list-item]
    mailbox.put(["c", "d", "e", "f", "g"])  # type: ignore[list-item]

    assert mailbox.dropped == 4
    assert [mailbox.take() for _ in range(4)] == ["e", "f", "g", None]
    assert len(woken) == 2


def test_listeners_on_a_real_connection_hear_what_the_frames_show(fx_simulator: SimulatorFactory) -> None:
    simulator = fx_simulator(speed=None, quotes=5_000, wait_for_subscriber=True, account=False)
    told: list[Any] = []

    async def main() -> list[Any]:
        async with fxlive.Session(simulator.url, simulator.token(), channels=["system"]) as session:
            session.on("market-data", told.append)
            stream = session.stream("market-data")
            await session.subscribe_async("market-data")
            read = [await anext(stream) for _ in range(5_000)]
            wait_until(lambda: len(told) == 5_000)
            assert bids(read) == bids(told) == session["market-data"]["bid"].tolist()
            return read

    assert len(asyncio.run(main())) == 5_000


def test_a_handle_is_callable_whatever_it_holds() -> None:
    class Callback:
        def __call__(self, message: Any) -> str:
            return f"told {message}"

    handle = Handle("trades", Callback(), None)
    assert handle("x") == "told x"
    handle.cancel()
    wait_until(lambda: not handle._thread.is_alive())
