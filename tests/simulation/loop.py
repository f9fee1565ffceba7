"""An asyncio event loop with virtual time: one seed gives one order of events.

Time starts at 0 and jumps to the next timer when nothing is ready. Nothing waits, and nothing runs on another thread.
"""

from __future__ import annotations

import asyncio
import heapq
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from hashlib import blake2b
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, NoReturn, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

LAST_EVENTS = 40
"""The events and pending tasks that the message of a Hang lists, each."""
RESOLUTION_S = 1e-6
"""The shortest time until a timer."""
_CLEAN_UP_S = 3_600.0
_MAX_THREAD_DELAY_S = 0.01
_NETWORK = ("getaddrinfo", "getnameinfo", "sock_connect", "create_connection", "create_server")


class Hang(Exception):
    """The simulation does not end. The message has the reason, the last events and the pending tasks."""


class RealWorld(Exception):
    """Simulated code has reached for a real clock, thread, socket or source of randomness."""


class SimulatedTask(asyncio.Task[Any]):
    """A task with a hash that does not depend on its address, so that sets of tasks have one order."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class SimulatedFuture(asyncio.Future[Any]):
    """A future with a hash that does not depend on its address."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop whose time is virtual.

    Parameters
    ----------
    seed
        Determines the order of timers that are due at the same moment, and every `stream`.
    max_s
        The virtual time, in seconds, at which the simulation counts as hanging.
    max_callbacks
        The most callbacks at one moment of virtual time.
    """

    def __init__(self, seed: int, *, max_s: float = 30 * 86_400.0, max_callbacks: int = 100_000) -> None:
        super().__init__()
        self.set_debug(False)  # PYTHONASYNCIODEBUG would add callbacks
        self.seed = seed
        self.callbacks = 0
        """Callbacks run so far."""
        self.errors: list[str] = []
        """Errors that no code has handled: asyncio reports them to the loop's exception handler."""
        self._now = 0.0
        self._max_s, self._max_callbacks = max_s, max_callbacks
        self._callbacks_now = 0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_numbers, self._task_numbers, self._future_numbers = count(1), count(1), count(1)
        self._thread = threading.get_ident()
        self._hash = blake2b(digest_size=16)
        self._last: deque[str] = deque(maxlen=LAST_EVENTS)
        self._streams: dict[str, Random] = {}
        self._ready: deque[asyncio.Handle]  # BaseEventLoop.call_soon() appends to it
        self._stopping: bool
        self.set_task_factory(_numbered_task)  # type: ignore[arg-type]  # the names of its arguments
        for name in _NETWORK:
            setattr(self, name, _no_network(name))

    # Events and randomness

    def trace(self, text: str) -> None:
        """Note an event at the current virtual time."""
        line = f"{self._now:.9f} {text}"
        self._hash.update(f"{line}\n".encode())
        self._last.append(line)

    def digest(self) -> str:
        """Return a hash of all events noted so far, with their times."""
        return self._hash.hexdigest()

    def last_events(self) -> list[str]:
        """Return the last events, the latest one last."""
        return list(self._last)

    def stream(self, name: str) -> Random:
        """Return the random numbers of this name. Other names and their use do not change them."""
        if name not in self._streams:
            self._streams[name] = Random(f"{self.seed} {name}")
        return self._streams[name]

    def pending(self) -> list[str]:
        """Return where each task that is not done is suspended, the oldest task first."""
        tasks = [task for task in asyncio.all_tasks(self) if not task.done()]
        return [_position(task) for task in sorted(tasks, key=hash)]

    def advance(self, seconds: float) -> None:
        """Let time pass while a callback runs, as if it held the interpreter for so long."""
        self._now += seconds

    # asyncio's interface

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def create_future(self) -> asyncio.Future[Any]:
        future = SimulatedFuture(loop=self)
        future.number = next(self._future_numbers)
        return future

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self._check_open()
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._timer_numbers), timer))
        return timer

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        if delay > 0.0:  # or the time would never reach a moment that is closer than a float can tell
            delay = max(delay, RESOLUTION_S)
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        if threading.get_ident() != self._thread:
            raise RealWorld(f"call_soon_threadsafe from thread {threading.current_thread().name!r}")
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run a function inside the loop after a delay by the seed."""
        self._check_open()
        future: asyncio.Future[T] = self.create_future()
        self.call_later(self.stream("threads").uniform(0.0, _MAX_THREAD_DELAY_S), self._execute, future, func, args)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")
        super().call_exception_handler(context)

    def close(self) -> None:
        super().close()
        self._timers.clear()

    # The machinery

    def _check_open(self) -> None:
        if self.is_closed():
            raise RuntimeError("Event loop is closed")

    def _execute(self, future: asyncio.Future[T], func: Callable[..., T], args: tuple[Any, ...]) -> None:
        if future.cancelled():
            return  # a thread would run it, unless it had not begun: the delay stands for the wait of a free thread
        asyncio._set_running_loop(None)  # on a thread, too, there is none
        try:
            result = func(*args)
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            asyncio._set_running_loop(self)

    def _run_once(self) -> None:
        """Move due timers to the ready callbacks and run these; not those that they add."""
        if not self._ready and not self._stopping:
            self._advance()
        self._take_due()
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle.cancelled():
                self.callbacks += 1
                self._callbacks_now += 1
                handle._run()
        if self._callbacks_now > self._max_callbacks:
            self._hang(f"more than {self._max_callbacks:,} callbacks at one moment")

    def _advance(self) -> None:
        """Set the time to that of the next timer."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        if not self._timers:
            self._hang("nothing is ready and there is no timer")
        when = self._timers[0][0]
        if when > self._max_s:
            self._hang(f"virtual time passed {self._max_s:,.0f} s")
        if when > self._now:
            self._now = when
            self._callbacks_now = 0

    def _take_due(self) -> None:
        while self._timers and self._timers[0][0] <= self._now:
            when = self._timers[0][0]
            due = []
            while self._timers and self._timers[0][0] == when:
                timer = heapq.heappop(self._timers)[2]
                if not timer.cancelled():
                    due.append(timer)
            if len(due) > 1:  # asyncio promises no order
                Random(f"{self.seed} {when!r}").shuffle(due)
            self._ready.extend(due)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Do nothing: _advance() and _take_due() drop cancelled timers."""

    def _process_events(self, event_list: list[Any]) -> None:
        """Do nothing: there is no selector."""

    def _hang(self, reason: str) -> NoReturn:
        self._max_s, self._callbacks_now = self._now + _CLEAN_UP_S, 0  # so that tasks can be cancelled
        lines = [f"{reason}, at {self._now:.6f} s with seed {self.seed}. Last events:", *self._last, "Pending tasks:"]
        raise Hang("\n  ".join([*lines, *self.pending()[:LAST_EVENTS]]))


def simulate(main: Coroutine[Any, Any, T], loop: SimulatedLoop) -> T:
    """Run a coroutine to its end, cancel the tasks that are left, and close the loop."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main)


def _numbered_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> SimulatedTask:
    assert isinstance(loop, SimulatedLoop)
    task = SimulatedTask.__new__(SimulatedTask)
    task.number = next(loop._task_numbers)  # before __init__, which adds the task to a set
    task.__init__(coroutine, loop=loop, **options)  # type: ignore[misc]
    return task


def _no_network(name: str) -> Callable[..., Any]:
    async def refuse(*args: Any, **options: Any) -> NoReturn:
        raise RealWorld(f"loop.{name} without a simulated network: create Network(loop) first")

    return refuse


def _position(task: asyncio.Task[Any]) -> str:
    places = [(Path(frame.f_code.co_filename).name, frame.f_lineno, frame.f_code.co_name) for frame in task.get_stack()]
    return " > ".join(f"{file}:{line} {function}" for file, line, function in places) or task.get_name()
