"""The platform's rate limits, as bookkeeping of moments."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fxlive.feeds.limits import CONNECTIONS_PER_MINUTE, MAX_SUBSCRIPTIONS, MESSAGES_PER_SECOND, Window, connections_to


@given(st.integers(1, 12), st.floats(0.5, 100), st.lists(st.floats(0, 200), max_size=60))
def test_whoever_waits_as_told_never_exceeds_the_limit_and_never_waits_for_nothing(
    limit: int, period_s: float, pauses: list[float]
) -> None:
    window, now, moments = Window(limit, period_s), 0.0, []
    for pause in pauses:
        now += pause
        wait = window.wait_s(now)
        assert 0 <= wait <= period_s
        if wait > 0:  # and it is due exactly when the oldest of the last so many is a period ago
            assert abs(moments[-limit] + period_s - (now + wait)) < 1e-6
        now += wait
        window.note(now)
        moments.append(now)
    for first, later in zip(moments, moments[limit:], strict=False):
        assert later - first >= period_s - 1e-6
    assert all(a <= b for a, b in pairwise(moments))


def test_the_limits_are_those_of_the_reference() -> None:
    assert (CONNECTIONS_PER_MINUTE, MAX_SUBSCRIPTIONS, MESSAGES_PER_SECOND) == (10, 50, 100)


def test_connections_are_counted_for_each_url_of_the_process() -> None:
    here, there = "ws://127.0.0.1:1/of-this-test", "ws://127.0.0.1:2/of-this-test"

    assert connections_to(here) is connections_to(here)
    assert connections_to(here) is not connections_to(there)
