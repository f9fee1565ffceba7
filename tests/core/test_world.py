"""Workers: a wake-up is never lost, waits end, and errors end only the worker."""

from __future__ import annotations

import threading
import time

import pytest

from fxlive.core.world import WORLD, Steps

PATIENCE_S = 60.0


def test_a_worker_waits_until_it_is_woken() -> None:
    worker, woken = WORLD.worker("test"), []

    def steps() -> Steps:
        woken.append((yield None))

    worker.start(steps())
    assert worker.is_alive()
    assert not woken
    worker.wake()
    worker.join(PATIENCE_S)
    assert woken == [True]
    assert not worker.is_alive()


def test_a_wait_that_ends_by_itself_is_no_wake_up() -> None:
    worker, woken = WORLD.worker("test"), []

    def steps() -> Steps:
        woken.append((yield 0.0))

    worker.start(steps())
    worker.join(PATIENCE_S)
    assert woken == [False]


def test_a_wake_up_during_a_step_or_before_the_start_ends_the_next_wait() -> None:
    worker, woken = WORLD.worker("test"), []

    def steps() -> Steps:
        woken.append((yield None))
        worker.wake()
        assert worker.is_woken()
        woken.append((yield None))
        assert not worker.is_woken()

    worker.wake()
    worker.start(steps())
    worker.join(PATIENCE_S)
    assert woken == [True, True]


def test_each_step_runs_on_the_worker_s_own_thread() -> None:
    worker, names = WORLD.worker("of the test"), []

    def steps() -> Steps:
        names.append(threading.current_thread().name)
        yield 0.0
        names.append(threading.current_thread().name)

    worker.start(steps())
    worker.join(PATIENCE_S)
    assert names == ["of the test", "of the test"]


def test_joining_a_worker_that_has_not_started_returns_at_once() -> None:
    worker = WORLD.worker("test")
    worker.join(PATIENCE_S)
    assert not worker.is_alive()


def test_the_clock_for_durations_runs_on_when_the_wall_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    before, real = WORLD.monotonic_us(), time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 3_600 * 10**9)
    assert abs(WORLD.now_us() - time.time_ns() // 1000) < 10**9
    assert WORLD.monotonic_us() >= before
    assert 0.0 <= WORLD.random() < 1.0
