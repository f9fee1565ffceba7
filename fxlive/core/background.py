"""The one background thread, with the asyncio loop on which every session of the process runs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

# What is logged on a background thread is for those who ask: without a handler Python would print it, into some cell.
logging.getLogger("fxlive").addHandler(logging.NullHandler())

THREAD_NAME = "fxlive"
INTERRUPTIBLE_S = 0.25
"""How long a wait of the user's may last at a stretch: a signal that another thread hears, or this one just before the
wait begins, wakes nobody, and is seen between two."""

_STEP_S = 0.25

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def background_loop() -> asyncio.AbstractEventLoop:
    """Return the loop of the background thread, starting both on the first call (and anew in a forked process)."""
    global _loop
    with _lock:
        if _loop is None:
            loop = asyncio.new_event_loop()
            ready = threading.Event()

            def serve() -> None:
                asyncio.set_event_loop(loop)
                loop.call_soon(ready.set)
                loop.run_forever()

            threading.Thread(target=serve, name=THREAD_NAME, daemon=True).start()
            ready.wait()
            _loop = loop
        return _loop


def _forget_loop() -> None:
    """A forked child has neither the thread nor the right to the loop's sockets."""
    global _loop, _lock
    _loop, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_loop)


def submit(coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Start a coroutine on the background loop, from any thread."""
    return asyncio.run_coroutine_threadsafe(coroutine, background_loop())


def call(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and wait for its result; an interrupt cancels it.

    Raises
    ------
    RuntimeError
        When called on the background thread itself, which would wait for itself for ever.
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
        # not by the future: an interrupt may strike when the work has begun and submit has not returned
        background_loop().call_soon_threadsafe(abandon)
        raise


async def bridge(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and await its result on the caller's loop."""
    return await asyncio.wrap_future(submit(coroutine))


def run(awaitable: Awaitable[T]) -> T:
    """Block until an awaitable of your own is done, also in a notebook, where a loop already runs.

    Parameters
    ----------
    awaitable
        A coroutine, task or future.

    Returns
    -------
    Its result; what it raises is raised here.

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


async def in_thread(function: Callable[[], T]) -> T:
    """Run a function that may block on a thread of its own, which does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)

    def work() -> None:
        try:
            result = function()
        except BaseException as error:
            outcome: tuple[T | None, BaseException | None] = (None, error)
        else:
            outcome = (result, None)
        with suppress(RuntimeError):  # the loop may have gone meanwhile
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=work, name=f"{THREAD_NAME} token", daemon=True).start()
    return await future


async def wait_awake(awaitable: Awaitable[T], timeout_s: float, clock: Callable[[], float] = time.monotonic) -> T:
    """Await something for so many seconds in which this loop could run.

    A cell that holds the interpreter's lock stops the loop's thread, and what arrived meanwhile has not been read yet
    when a plain timeout strikes. Here such a pause counts for at most a quarter of a second.

    Raises
    ------
    TimeoutError
        When the time is over; the awaitable is cancelled.
    """
    task = asyncio.ensure_future(awaitable)
    awake = 0.0
    try:
        while True:
            before = clock()
            done, _ = await asyncio.wait({task}, timeout=min(_STEP_S, timeout_s - awake))
            if done:
                return task.result()
            awake += min(clock() - before, _STEP_S)
            if awake >= timeout_s:
                raise TimeoutError(f"nothing came within {timeout_s:g} s")
    finally:
        if not task.done():
            task.cancel()
