"""The simulated event loop and the guard against the real world."""

from __future__ import annotations

import asyncio
import datetime
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.simulation.guard import guard
from tests.simulation.loop import Hang, RealWorld, SimulatedLoop, simulate

ROOT = Path(__file__).parents[2]
DIGEST_OF_RACES_12 = "c533d65623efec5209116f80a1acc3c5"


async def races(loop: SimulatedLoop) -> None:
    """Note the order of tasks that sleep, wait, run on threads and are cancelled at the same moments."""

    async def worker(name: int) -> None:
        for step in range(4):
            await asyncio.sleep(0.25)
            loop.trace(f"{name} {step}")
            await asyncio.to_thread(loop.trace, f"{name} {step} thread")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.create_future(), 1.0)
        try:
            await asyncio.sleep(100)
        finally:
            loop.trace(f"{name} cancelled")

    tasks = {asyncio.create_task(worker(name)) for name in range(8)}
    await asyncio.wait(tasks, timeout=10.0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def digest_of_races(seed: int) -> str:
    loop = SimulatedLoop(seed)
    simulate(races(loop), loop)
    return loop.digest()


def test_a_sleep_of_a_day_takes_no_time() -> None:
    loop = SimulatedLoop(1)
    simulate(asyncio.sleep(86_400.0), loop)
    assert loop.time() == 86_400.0
    assert loop.callbacks < 20


def test_the_rest_of_a_wait_is_never_lost_in_rounding() -> None:
    loop = SimulatedLoop(1)

    async def main() -> None:
        await asyncio.sleep(1_000.0)
        waited = 0.0
        while waited < 1e-15:  # in real time, every wait takes some
            before = loop.time()
            await asyncio.sleep(1e-15 - waited)
            waited += loop.time() - before

    simulate(main(), loop)


def test_events_are_in_the_order_of_their_times() -> None:
    loop = SimulatedLoop(1)
    times = [random.Random(3).uniform(0, 100) for _ in range(200)]
    ran: list[float] = []

    async def main() -> None:
        for at in times:
            loop.call_at(at, lambda: ran.append(loop.time()))
        await asyncio.sleep(101)

    simulate(main(), loop)
    assert ran == sorted(times)


def test_timers_due_at_the_same_moment_run_in_an_order_by_the_seed() -> None:
    def order(seed: int) -> list[int]:
        loop, ran = SimulatedLoop(seed), list[int]()

        async def main() -> None:
            for number in range(5):
                loop.call_at(1.0, ran.append, number)
            await asyncio.sleep(2.0)

        simulate(main(), loop)
        return ran

    assert order(3) == order(3)
    assert len({tuple(order(seed)) for seed in range(100)}) > 50


def test_call_soon_keeps_its_order_and_a_cancelled_timer_never_runs() -> None:
    loop = SimulatedLoop(1)
    ran: list[int] = []

    async def main() -> None:
        for number in range(50):
            loop.call_soon(ran.append, number)
        loop.call_later(1.0, ran.append, -1).cancel()
        await asyncio.sleep(2.0)

    simulate(main(), loop)
    assert ran == list(range(50))


def test_one_seed_gives_one_order_and_other_seeds_other_orders() -> None:
    assert digest_of_races(1) == digest_of_races(1)
    assert len({digest_of_races(seed) for seed in range(10)}) == 10


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_the_order_is_the_same_in_every_process_and_on_every_python(hash_seed: str) -> None:
    script = "from tests.simulation.test_loop import digest_of_races; print(digest_of_races(12))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    output = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == digest_of_races(12) == DIGEST_OF_RACES_12


def test_functions_for_threads_run_in_the_loop_without_being_in_it() -> None:
    loop = SimulatedLoop(1)

    def work(fail: bool) -> tuple[int, bool]:
        if fail:
            raise ValueError("failed")
        return threading.get_ident(), asyncio._get_running_loop() is None

    async def main() -> None:
        assert await asyncio.to_thread(work, False) == (threading.get_ident(), True)
        with pytest.raises(ValueError, match="failed"):
            await asyncio.to_thread(work, True)
        assert asyncio.get_running_loop() is loop

    simulate(main(), loop)
    assert 0 < loop.time() < 1


def test_call_soon_threadsafe_from_another_thread_is_an_error() -> None:
    loop = SimulatedLoop(1)
    errors: list[Exception] = []

    def call() -> None:
        try:
            loop.call_soon_threadsafe(print)
        except RealWorld as error:
            errors.append(error)

    thread = threading.Thread(target=call, name="stranger")
    thread.start()
    thread.join()
    loop.close()
    assert "stranger" in str(errors[0])


async def wait_for_ever(loop: SimulatedLoop) -> None:
    loop.trace("the last event")
    await loop.create_future()


async def tick(loop: SimulatedLoop) -> None:
    while True:
        loop.trace("the last event")
        await asyncio.sleep(1.0)


async def spin(loop: SimulatedLoop) -> None:
    while True:
        loop.trace("the last event")
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("main", "reason"),
    [
        (wait_for_ever, "nothing is ready and there is no timer"),
        (tick, "virtual time passed 60 s"),
        (spin, "more than 1,000 callbacks at one moment"),
    ],
)
def test_a_hang_is_reported_with_the_last_events_and_the_pending_tasks(
    main: Callable[[SimulatedLoop], Coroutine[Any, Any, None]], reason: str
) -> None:
    loop = SimulatedLoop(5, max_s=60.0, max_callbacks=1_000)
    with pytest.raises(Hang, match=reason) as caught:
        simulate(main(loop), loop)
    assert "with seed 5" in str(caught.value)
    assert "the last event" in str(caught.value)
    assert "test_loop.py" in str(caught.value)
    assert loop.is_closed()


def test_many_callbacks_at_different_moments_are_no_hang() -> None:
    loop = SimulatedLoop(1, max_callbacks=50)

    async def main() -> None:
        for _ in range(500):
            await asyncio.sleep(0.001)

    simulate(main(), loop)
    assert loop.callbacks > 500


def test_errors_that_nobody_handles_are_kept() -> None:
    loop = SimulatedLoop(1)

    async def main() -> None:
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(1.0)

    simulate(main(), loop)
    assert len(loop.errors) == 1
    assert "ZeroDivisionError" in loop.errors[0]


def test_the_network_cannot_be_used_before_there_is_a_simulated_one() -> None:
    loop = SimulatedLoop(1)
    with pytest.raises(RealWorld, match="getaddrinfo"):
        simulate(loop.getaddrinfo("localhost", 80), loop)


# The guard


@contextmanager
def module_of_fxlive(source: str) -> Iterator[ModuleType]:
    """Yield a module that counts as one of fxlive."""
    module = ModuleType("fxlive.invented")
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, "/somewhere/fxlive/invented.py", "exec"), vars(module))
        yield module
    finally:
        del sys.modules[module.__name__]


@pytest.mark.parametrize(
    ("imports", "call"),
    [
        ("import time", "time.time()"),
        ("import time", "time.monotonic_ns()"),
        ("import time", "time.sleep(0)"),
        ("from time import monotonic", "monotonic()"),
        ("import random", "random.random()"),
        ("import random", "random.shuffle([1])"),
        ("import os", "os.urandom(1)"),
        ("import uuid", "uuid.uuid4()"),
        ("import secrets", "secrets.randbits(8)"),
        ("from datetime import datetime, UTC", "datetime.now(UTC)"),
        ("from datetime import datetime", "datetime.utcnow()"),
        ("import threading", "threading.Thread(target=print).start()"),
        ("import threading", "threading.Event().wait(0)"),
        ("import socket", "socket.socket.connect(None, ('127.0.0.1', 9))"),
        ("import socket", "socket.socket.recv(None, 1)"),
    ],
)
def test_the_guard_names_the_caller(imports: str, call: str) -> None:
    with (
        module_of_fxlive(f"{imports}\n\ndef use():\n    return {call}\n") as module,
        guard(),
        pytest.raises(RealWorld, match=r"fxlive\.invented, .*fxlive/invented\.py:4, in use"),
    ):
        module.use()


def test_the_guard_reaches_default_arguments_of_fxlive() -> None:
    source = "import time\n\ndef use(a=time.time, *, b=time.monotonic):\n    return a and a(), b()\n"
    with module_of_fxlive(source) as module:
        with guard():
            with pytest.raises(RealWorld, match=r"time\.time called"):
                module.use()
            with pytest.raises(RealWorld, match=r"time\.monotonic called"):
                module.use(None)
        assert module.use.__defaults__ == (time.time,)
        assert module.use.__kwdefaults__ == {"b": time.monotonic}


def test_the_guard_lets_libraries_and_calls_on_the_list_pass() -> None:
    with module_of_fxlive("import time\n\ndef use():\n    return time.time()\n") as module:
        with guard({("fxlive.invented", "time.time"): "the test says so"}):
            assert module.use() > 0
        with guard():
            assert time.time() > 0  # the guard checks only modules of fxlive
            assert 0 <= random.random() < 1
        assert module.use() > 0


def test_the_guard_leaves_datetime_usable_and_restores_all() -> None:
    source = (
        "from datetime import datetime, UTC\n\ndef use(value):\n"
        "    return isinstance(value, datetime), datetime(2026, 1, 2, tzinfo=UTC), datetime.fromtimestamp(0, UTC)\n"
    )
    before = time.time, random.random, threading.Thread.start
    moment = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    with module_of_fxlive(source) as module:
        with guard():
            is_datetime, created, converted = module.use(moment)
        assert is_datetime
        assert created == moment
        assert type(created) is type(converted) is datetime.datetime
        assert module.datetime is datetime.datetime
    assert (time.time, random.random, threading.Thread.start) == before
    assert "connect" not in vars(socket.socket)


def test_a_seeded_generator_is_no_real_world() -> None:
    source = "import random\n\ndef use():\n    return random.Random(1).random()\n"
    with module_of_fxlive(source) as module, guard():
        assert module.use() == random.Random(1).random()
