"""The background loop: calls from any thread, interrupts, `run`, and timeouts that hold while the loop cannot run."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import time
from typing import Any

import pytest

from fxlive.core import background
from fxlive.core.background import THREAD_NAME, background_loop, bridge, call, run, submit, wait_awake
from tests.handmade import wait_until


async def thread_name() -> str:
    return threading.current_thread().name


async def fail() -> None:
    raise LookupError("expected")


def test_all_coroutines_run_on_one_daemon_thread() -> None:
    assert call(thread_name()) == THREAD_NAME
    [thread] = [t for t in threading.enumerate() if t.name == THREAD_NAME]
    assert thread.daemon
    assert asyncio.run(bridge(thread_name())) == THREAD_NAME
    assert background_loop() is background_loop()


def test_an_exception_of_a_coroutine_is_raised_in_the_caller() -> None:
    with pytest.raises(LookupError, match="expected"):
        call(fail())
    with pytest.raises(LookupError, match="expected"):
        asyncio.run(bridge(fail()))


def test_a_blocking_call_on_the_background_thread_fails_instead_of_waiting_for_itself() -> None:
    async def block() -> None:
        call(thread_name())

    with pytest.raises(RuntimeError, match="cannot be called on fxlive's own thread; use its async form"):
        call(block())


class Endless:
    """A coroutine that runs until it is cancelled, and records its start and its cancellation."""

    def __init__(self) -> None:
        self.started = self.cancelled = False

    async def run(self) -> None:
        self.started = True
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled = True
            raise


@pytest.mark.parametrize("moment", ["before submit returns", "while it waits"])
def test_an_interrupt_cancels_the_coroutine_at_any_moment(monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    endless = Endless()

    def interrupted_submit(coroutine: Any) -> Any:
        submit(coroutine)
        raise KeyboardInterrupt

    def interrupted_wait(*_: Any) -> Any:
        wait_until(lambda: endless.started)
        raise KeyboardInterrupt

    if moment == "while it waits":
        monkeypatch.setattr(concurrent.futures, "wait", interrupted_wait)
    else:
        monkeypatch.setattr(background, "submit", interrupted_submit)
    with pytest.raises(KeyboardInterrupt):
        call(endless.run())
    monkeypatch.undo()
    call(asyncio.sleep(0))
    wait_until(lambda: endless.cancelled or not endless.started)


def test_cancelling_an_await_cancels_the_coroutine_on_the_background_loop() -> None:
    endless = Endless()

    async def main() -> None:
        task = asyncio.ensure_future(bridge(endless.run()))
        await asyncio.to_thread(wait_until, lambda: endless.started)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(main())
    wait_until(lambda: endless.cancelled)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 warns if threads run
def test_a_forked_process_gets_a_loop_of_its_own() -> None:
    call(thread_name())
    child = os.fork()
    if child == 0:
        os._exit(0 if call(thread_name()) == THREAD_NAME else 1)
    deadline = time.monotonic() + 60
    while (status := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    if status == (0, 0):
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert status == (child, 0)


def test_run_returns_the_result_of_a_coroutine_if_no_loop_is_running() -> None:
    assert run(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(LookupError):
        run(fail())


class Clock:
    """A clock for `wait_awake` that jumps ahead at each reading, as if the loop had been stopped."""

    def __init__(self, jump_s: float) -> None:
        self.now = 0.0
        self.jump_s = jump_s

    def __call__(self) -> float:
        self.now += self.jump_s
        return self.now


def test_time_in_which_the_loop_was_stopped_hardly_counts_towards_a_timeout() -> None:
    async def main() -> str:
        return await wait_awake(asyncio.sleep(0.3, "came"), 1.0, Clock(60.0))

    assert asyncio.run(main()) == "came"


def test_an_awaitable_that_times_out_is_cancelled() -> None:
    endless = Endless()

    async def main() -> None:
        with pytest.raises(TimeoutError, match=r"timed out after 0\.1 s"):
            await wait_awake(endless.run(), 0.1)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert endless.cancelled


def test_an_exception_of_an_awaitable_with_a_timeout_is_raised() -> None:
    async def main() -> None:
        with pytest.raises(LookupError):
            await wait_awake(fail(), 1.0)

    asyncio.run(main())
