"""The background thread and its asyncio loop, which all sessions of the process share."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from fxlive.core.world import WORLD, Steps, World

T = TypeVar("T")

# Without a handler Python would print records from the background thread into whichever cell is running.
logging.getLogger("fxlive").addHandler(logging.NullHandler())

THREAD_NAME = "fxlive"
INTERRUPTIBLE_S = 0.25
"""The longest uninterrupted wait of a blocking call, in seconds. A signal that another thread handles, or that arrives
just before the wait begins, does not end the wait; Python runs its handler between two waits."""

_MAX_STEP_S = 0.25  # the most that one pause of the loop counts towards a timeout

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def background_loop() -> asyncio.AbstractEventLoop:
    """Return the loop of the background thread. The first call in a process, forked ones included, starts both."""
    global _loop
    with _lock:
        if _loop is None:
            loop = _plain_loop()
            ready = threading.Event()

            def serve() -> None:
                asyncio.set_event_loop(loop)
                loop.call_soon(ready.set)
                loop.run_forever()

            threading.Thread(target=serve, name=THREAD_NAME, daemon=True).start()
            ready.wait()
            _loop = loop
        return _loop


def _plain_loop() -> asyncio.AbstractEventLoop:
    """Return one of asyncio's own loops, whatever policy the process has set (`uvloop.install()`)."""
    if sys.platform == "win32":
        return asyncio.ProactorEventLoop()
    return asyncio.SelectorEventLoop()


def _forget_loop() -> None:
    """Make a forked child start its own thread and loop: it inherits no thread, and must not use the loop's sockets."""
    global _loop, _lock
    _loop, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_loop)


def submit(coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Start a coroutine on the background loop, from any thread."""
    return asyncio.run_coroutine_threadsafe(coroutine, background_loop())


def call(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and wait for its result; an interrupt cancels the coroutine.

    Raises
    ------
    RuntimeError
        If called on the background thread itself, which would wait for itself for ever.
    """
    if threading.current_thread().name == THREAD_NAME:
        coroutine.close()
        raise RuntimeError("This blocks, so it cannot be called on fxlive's own thread; use its async form there.")
    task: asyncio.Task[Any] | None = None
    abandoned = False

    async def work() -> T:
        nonlocal task
        task = asyncio.current_task()
        if abandoned:
            coroutine.close()
            raise asyncio.CancelledError
        return await coroutine

    def abandon() -> None:
        nonlocal abandoned
        abandoned = True
        if task is not None:
            task.cancel()

    try:
        future = submit(work())
        while not concurrent.futures.wait({future}, INTERRUPTIBLE_S).done:
            pass
        return future.result()
    except BaseException:
        # Cancelling the future is not enough: an interrupt may come after the work began and before submit() returned.
        background_loop().call_soon_threadsafe(abandon)
        raise


async def bridge(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and await its result on the caller's loop."""
    return await asyncio.wrap_future(submit(coroutine))


def run(awaitable: Awaitable[T]) -> T:
    """Block until an awaitable is done. Works in a notebook too, where a loop is already running.

    Parameters
    ----------
    awaitable
        A coroutine, task or future.

    Returns
    -------
    The result of the awaitable. An exception of the awaitable is raised.

    Examples
    --------
    >>> async def answer():
    ...     return 42
    >>> run(answer())
    42
    """

    async def wait() -> T:
        return await awaitable

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    try:
        import nest_asyncio
    except ImportError:
        import nest_asyncio2 as nest_asyncio
    nest_asyncio.apply(loop)
    return loop.run_until_complete(wait())


async def in_thread(function: Callable[[], T], world: World = WORLD) -> T:
    """Run a function that may block on a daemon thread, and return its result."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)

    def work() -> Steps:
        try:
            result = function()
        except BaseException as error:
            outcome: tuple[T | None, BaseException | None] = (None, error)
        else:
            outcome = (result, None)
        with suppress(RuntimeError):  # the loop may have been closed meanwhile
            loop.call_soon_threadsafe(settle, *outcome)
        yield from ()

    world.worker(f"{THREAD_NAME} token").start(work())
    return await future


async def wait_awake(awaitable: Awaitable[T], timeout_s: float, clock: Callable[[], float] | None = None) -> T:
    """Await with a timeout that counts only the time in which the loop could run.

    A cell that holds the interpreter lock stops the loop's thread. A plain timeout could then expire before an answer
    is read that has already arrived. Here such a pause counts as at most 0.25 s.

    Raises
    ------
    TimeoutError
        If `awaitable` is not done after `timeout_s` seconds; it is cancelled.
    """
    task = asyncio.ensure_future(awaitable)
    clock = clock or asyncio.get_running_loop().time
    awake = 0.0
    try:
        while True:
            before = clock()
            done, _ = await asyncio.wait({task}, timeout=min(_MAX_STEP_S, timeout_s - awake))
            if done:
                return task.result()
            awake += min(clock() - before, _MAX_STEP_S)
            if awake >= timeout_s:
                raise TimeoutError(f"timed out after {timeout_s:g} s")
    finally:
        if not task.done():
            task.cancel()
