"""The background loop: calls from any thread, interrupts, `run`, and timers that a busy interpreter does not cheat."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import time
from typing import Any

import pytest

from fxlive.core import background as loop_module
from fxlive.core.background import THREAD_NAME, background_loop, bridge, call, run, submit, wait_awake
from tests.handmade import wait_until


async def where() -> str:
    return threading.current_thread().name


async def fail() -> None:
    raise LookupError("as told")


def test_everything_runs_on_one_daemon_thread() -> None:
    assert call(where()) == THREAD_NAME
    [thread] = [t for t in threading.enumerate() if t.name == THREAD_NAME]
    assert thread.daemon
    assert asyncio.run(bridge(where())) == THREAD_NAME
    assert background_loop() is background_loop()


def test_what_a_coroutine_raises_is_raised_to_the_caller() -> None:
    with pytest.raises(LookupError, match="as told"):
        call(fail())
    with pytest.raises(LookupError, match="as told"):
        asyncio.run(bridge(fail()))


def test_a_blocking_call_on_the_background_thread_fails_instead_of_waiting_for_itself() -> None:
    async def blocks() -> None:
        call(where())

    with pytest.raises(RuntimeError, match="cannot be called on fxlive's own thread; use its async form"):
        call(blocks())


class Interrupted:
    """A coroutine that notes whether it was begun and whether it was cancelled."""

    def __init__(self) -> None:
        self.begun = self.cancelled = False

    async def work(self) -> None:
        self.begun = True
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled = True
            raise


@pytest.mark.parametrize("struck", ["before submit returns", "while it waits"])
def test_an_interrupt_cancels_what_was_begun_whenever_it_strikes(monkeypatch: pytest.MonkeyPatch, struck: str) -> None:
    begun = Interrupted()

    def interrupted_submit(coroutine: Any) -> Any:
        submit(coroutine)
        raise KeyboardInterrupt

    def interrupted_wait(*_: Any) -> Any:
        wait_until(lambda: begun.begun)
        raise KeyboardInterrupt

    if struck == "while it waits":
        monkeypatch.setattr(concurrent.futures, "wait", interrupted_wait)
    else:
        monkeypatch.setattr(loop_module, "submit", interrupted_submit)
    with pytest.raises(KeyboardInterrupt):
        call(begun.work())
    monkeypatch.undo()
    call(asyncio.sleep(0))
    wait_until(lambda: begun.cancelled or not begun.begun)


def test_cancelling_an_await_cancels_the_work_on_the_background_loop() -> None:
    begun = Interrupted()

    async def main() -> None:
        task = asyncio.ensure_future(bridge(begun.work()))
        await asyncio.to_thread(wait_until, lambda: begun.begun)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(main())
    wait_until(lambda: begun.cancelled)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 warns where there are threads
def test_a_forked_process_gets_a_loop_of_its_own() -> None:
    call(where())
    child = os.fork()
    if child == 0:
        os._exit(0 if call(where()) == THREAD_NAME else 1)
    ends = time.monotonic() + 10
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < ends:
        time.sleep(0.01)
    if done == (0, 0):
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert done == (child, 0)


def test_run_gives_the_result_of_a_coroutine_where_no_loop_runs() -> None:
    assert run(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(LookupError):
        run(fail())


class Clock:
    """A clock for `wait_awake` that jumps ahead whenever it is asked, as for a loop that could not run."""

    def __init__(self, jump_s: float) -> None:
        self.now = 0.0
        self.jump_s = jump_s

    def __call__(self) -> float:
        self.now += self.jump_s
        return self.now


def test_a_loop_that_could_not_run_for_a_minute_has_not_waited_for_a_minute() -> None:
    async def main() -> str:
        return await wait_awake(asyncio.sleep(0.3, "came"), 1.0, Clock(60.0))

    assert asyncio.run(main()) == "came"


def test_what_does_not_come_in_time_is_cancelled() -> None:
    begun = Interrupted()

    async def main() -> None:
        with pytest.raises(TimeoutError, match=r"nothing came within 0\.1 s"):
            await wait_awake(begun.work(), 0.1)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert begun.cancelled


def test_an_error_that_comes_in_time_is_raised() -> None:
    async def main() -> None:
        with pytest.raises(LookupError):
            await wait_awake(fail(), 1.0)

    asyncio.run(main())
