"""The simulator on its own thread, for code without an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from fxlive.simulator.serving.faults import Faults
from fxlive.simulator.serving.server import Simulator


class SimulatorThread:
    """A Simulator on its own thread.

    It takes the options of Simulator and runs from its construction until close() or the end of its with statement.
    Errors of the options are raised by the constructor.
    """

    def __init__(self, **options: Any) -> None:
        self._ready = threading.Event()
        self._finished = threading.Event()
        self._failure: BaseException | None = None
        self._simulator: Simulator | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, args=(options,), name="fxlive-simulator", daemon=True)
        self._thread.start()
        self._ready.wait()
        self._check()

    @property
    def simulator(self) -> Simulator:
        """The Simulator itself. Of its methods, call only `token()` and those of `faults` from other threads."""
        assert self._simulator is not None
        return self._simulator

    @property
    def url(self) -> str:
        """The URL for clients."""
        return self.simulator.url

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return self.simulator.port

    @property
    def faults(self) -> Faults:
        """Faults on demand."""
        return self.simulator.faults

    @property
    def sent(self) -> dict[str, int]:
        """Messages sent to all clients together, by channel."""
        return dict(self.simulator.sent)

    @property
    def published(self) -> dict[str, int]:
        """Messages that the platform has created, by channel."""
        return self.simulator.published

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return self.simulator.connections

    @property
    def accepted(self) -> int:
        """Connections accepted so far."""
        return self.simulator.accepted

    @property
    def progress(self) -> tuple[int, int | None, int]:
        """Quotes sent, quotes in total (None: no end), and market time in milliseconds since 1970."""
        return self.simulator.progress

    def token(self, expires_in_s: float = 3600.0, **claims: Any) -> str:
        """Return a token that this simulator accepts (claims: `user_id`, `channels`)."""
        return self.simulator.token(expires_in_s, **claims)

    def run(self, coroutine: Coroutine[Any, Any, Any], timeout: float | None = 30.0) -> Any:
        """Run a coroutine on the simulator's event loop and return its result."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    def wait_finished(self, timeout: float | None = None) -> bool:
        """Wait until the last quote has been sent. Return False if that takes longer than `timeout` seconds.

        If the market has stopped because of an error, raise that error.
        """
        finished = self._finished.wait(timeout)
        if finished and self.simulator.failure is not None:
            raise self.simulator.failure
        return finished

    def close(self) -> None:
        """Close the simulator and end its thread. A second call does nothing."""
        if self._thread.is_alive() and self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self) -> None:
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def _run(self, options: dict[str, Any]) -> None:
        try:
            asyncio.run(self._main(options))
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _main(self, options: dict[str, Any]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with Simulator(**options) as simulator:
            self._simulator = simulator
            self._ready.set()
            watch = asyncio.create_task(self._watch(simulator))
            await self._stop.wait()
            watch.cancel()

    async def _watch(self, simulator: Simulator) -> None:
        await simulator.finished.wait()
        self._finished.set()
