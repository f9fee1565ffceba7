"""Rate limits, and the waits and the count of failures of reconnecting, as pure functions."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fxlive.feeds.pacing import (
    CONNECTIONS_PER_MINUTE,
    MAX_SUBSCRIPTIONS,
    MESSAGES_PER_SECOND,
    STABLE_AFTER_S,
    RateLimit,
    ReconnectAttempts,
    backoff_s,
    connection_limit,
)

RANDOM = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 12), st.floats(0.5, 100), st.lists(st.floats(0, 200), max_size=60))
def test_events_after_the_returned_waits_stay_within_the_limit_and_no_wait_is_longer_than_needed(
    limit: int, period_s: float, pauses: list[float]
) -> None:
    rate_limit, now, times = RateLimit(limit, period_s), 0.0, []
    for pause in pauses:
        now += pause
        wait = rate_limit.wait_s(now)
        assert 0 <= wait <= period_s
        if wait > 0:  # it ends exactly one period after the oldest of the last `limit` events
            assert abs(times[-limit] + period_s - (now + wait)) < 1e-6
        now += wait
        rate_limit.note(now)
        times.append(now)
    for first, later in zip(times, times[limit:], strict=False):
        assert later - first >= period_s - 1e-6
    assert all(a <= b for a, b in pairwise(times))


def test_the_limits_are_those_of_the_reference() -> None:
    assert (CONNECTIONS_PER_MINUTE, MAX_SUBSCRIPTIONS, MESSAGES_PER_SECOND) == (10, 50, 100)


def test_all_connections_of_the_process_to_one_url_share_a_limit() -> None:
    url, other_url = "ws://127.0.0.1:1/of-this-test", "ws://127.0.0.1:2/of-this-test"

    assert connection_limit(url) is connection_limit(url)
    assert connection_limit(url) is not connection_limit(other_url)


@given(st.integers(0, 1_000), RANDOM)
def test_the_wait_doubles_from_1_to_16_seconds_within_20_percent(attempt: int, random: float) -> None:
    middle = 2.0 ** min(attempt, 4)

    assert 0.8 * middle <= backoff_s(attempt, lambda: random) <= 1.2 * middle


@given(st.integers(0, 10), RANDOM, st.floats(0, 1e6))
def test_the_wait_is_never_shorter_than_the_server_asked_for(attempt: int, random: float, asked: float) -> None:
    wait = backoff_s(attempt, lambda: random, asked)

    assert wait >= asked
    assert wait == max(asked, backoff_s(attempt, lambda: random))


@given(st.integers(1, 20))
def test_only_the_failure_that_reaches_the_limit_is_final(limit: int) -> None:
    attempts = ReconnectAttempts(limit)

    assert [attempts.note_failure() for _ in range(limit)] == [False] * (limit - 1) + [True]


def test_without_a_limit_no_failure_is_final() -> None:
    attempts = ReconnectAttempts(None)

    assert not any(attempts.note_failure() for _ in range(1_000))
    assert attempts.failures == 1_000


@given(st.lists(st.one_of(st.just("failed"), st.floats(0, 3 * STABLE_AFTER_S)), max_size=50))
def test_failures_are_counted_since_the_last_connection_and_waits_since_the_last_stable_one(events: list) -> None:
    attempts = ReconnectAttempts(5)
    failures = step = 0
    for event in events:
        assert attempts.next_wait_s(lambda: 0.5) == backoff_s(step, lambda: 0.5)
        step += 1
        if event == "failed":
            failures += 1
            assert attempts.note_failure() is (failures >= 5)
        else:  # a connection that lasted so many seconds
            attempts.note_end(event)
            failures, step = 0, 0 if event >= STABLE_AFTER_S else step
    assert (attempts.failures, attempts.step) == (failures, step)


def test_a_postponed_event_counts_from_its_later_time() -> None:
    limit = RateLimit(2, 60.0)
    limit.note(0.0)
    limit.note(1.0)
    limit.postpone(0.0, 9.0)  # its token took nine seconds
    assert limit.wait_s(10.0) == 51.0  # until a minute after the second
    limit.note(61.0)
    assert limit.wait_s(62.0) == 7.0
    limit.postpone(0.0, 62.0)  # no longer known
    assert limit.wait_s(62.0) == 7.0
