"""The rate limit of connections and requests."""

from __future__ import annotations

from fxlive.simulator.serving.limits import Window


def test_a_window_allows_its_limit_of_events_and_returns_the_seconds_to_wait() -> None:
    window = Window(2, 10.0)

    assert [window.wait(now) for now in (0.0, 4.0, 5.0, 9.0, 10.0, 11.0)] == [0, 0, 5, 1, 0, 3]
    assert [Window(None, 1.0).wait(0.0) for _ in range(1000)] == [0] * 1000
