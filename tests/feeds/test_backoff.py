"""When to try again: the waits and the count of failures, as pure functions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fxlive.feeds.backoff import STABLE_AFTER_S, Attempts, wait_s

RANDOM = st.floats(0, 1, exclude_max=True)


@given(st.integers(0, 1_000), RANDOM)
def test_the_wait_doubles_from_1_to_16_seconds_give_or_take_a_fifth(attempt: int, random: float) -> None:
    middle = 2.0 ** min(attempt, 4)

    assert 0.8 * middle <= wait_s(attempt, lambda: random) <= 1.2 * middle


@given(st.integers(0, 10), RANDOM, st.floats(0, 1e6))
def test_the_wait_is_never_shorter_than_the_server_asked_for(attempt: int, random: float, asked: float) -> None:
    wait = wait_s(attempt, lambda: random, asked)

    assert wait >= asked
    assert wait == max(asked, wait_s(attempt, lambda: random))


@given(st.integers(1, 20))
def test_the_failure_that_reaches_the_limit_is_final_and_none_before_it(limit: int) -> None:
    attempts = Attempts(limit)

    assert [attempts.failed() for _ in range(limit)] == [False] * (limit - 1) + [True]


def test_without_a_limit_no_failure_is_final() -> None:
    attempts = Attempts(None)

    assert not any(attempts.failed() for _ in range(1_000))
    assert attempts.failures == 1_000


@given(st.lists(st.one_of(st.just("failed"), st.floats(0, 3 * STABLE_AFTER_S)), max_size=50))
def test_failures_are_counted_since_the_last_connection_and_waits_since_the_last_stable_one(events: list) -> None:
    attempts = Attempts(5)
    failures = step = 0
    for event in events:
        assert attempts.next_wait_s(lambda: 0.5) == wait_s(step, lambda: 0.5)
        step += 1
        if event == "failed":
            failures += 1
            assert attempts.failed() is (failures >= 5)
        else:  # a connection that lasted so many seconds
            attempts.ended(event)
            failures, step = 0, 0 if event >= STABLE_AFTER_S else step
    assert (attempts.failures, attempts.step) == (failures, step)
