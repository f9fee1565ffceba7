"""The time slider of a replay: where it is in the recording, and going elsewhere."""

from __future__ import annotations

from typing import Any

from fxlive.core.background import call
from fxlive.feeds.replay import ReplayFeed
from fxlive.pipeline.pipeline import Pipeline
from fxlive.widgets.base import LiveWidget
from fxlive.widgets.charts.layers import Fares

SPEEDS = (0.5, 1.0, 2.0, 5.0, 10.0, 60.0, None)
"""Those that are offered; None is as fast as it goes."""

MAX_GAPS = 500
"""Of a recording: the longest are drawn."""
_WORDS_CHARS = 200  # of why there is a gap


class TimeSlider(LiveWidget):
    """A slider over a recording: its time, play and pause, and the speed.

    Parameters
    ----------
    pipeline
        What the recording is played into.
    feed
        What plays it.
    **options
        As for `LiveWidget`.
    """

    pausable = False

    def __init__(self, pipeline: Pipeline, feed: ReplayFeed, **options: Any) -> None:
        self._pipeline = pipeline
        self._feed = feed
        self._fares = Fares(pipeline)
        self._said: dict[str, Any] = {}
        super().__init__("slider", **options)

    # On the background thread.

    def window(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return the recording's ends and gaps, and what was said last."""
        if not self._said:
            self.changes()
        playback = self._feed.playback
        content = {
            "start": playback.start_us / 1000.0,
            "end": playback.end_us / 1000.0,
            "gaps": self._gaps(),
            "speeds": SPEEDS,
            "s": self._said,
            "badge": self._badge(),
        }
        return content, []

    def changes(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return what has another value than before: while it plays, the time."""
        state, error = self._pipeline.state, self._pipeline.error
        fresh = {
            "time": self._feed.now_us() / 1000.0,
            "speed": self._feed.speed,
            "halt": self._feed.halt,
            "seeks": self._feed.seeks,
            "over": state in ("closed", "failed"),
            "error": None if error is None else str(error),
            "badge": self._badge(),
        }
        news = {name: value for name, value in fresh.items() if name not in self._said or self._said[name] != value}
        self._said = fresh
        badge = {"badge": news.pop("badge")} if "badge" in news else {}
        return ({"s": news} if news else {}) | badge, []

    def _badge(self) -> dict[str, Any]:
        badge = vars(self._fares.badge())
        return {**badge, "text": "playing"} if badge["state"] == "live" else badge

    def _gaps(self) -> list[list[Any]]:
        """Return the times in which messages are missing: start, end, and why."""
        playback = self._feed.playback
        gaps = [
            (gap.start, playback.end_us if gap.end is None else gap.end, gap.reason)
            for gap in (*playback.disconnections, *playback.losses)
        ]
        longest = sorted(gaps, key=lambda gap: gap[0] - gap[1])[:MAX_GAPS]
        return [[start / 1000.0, end / 1000.0, why[:_WORDS_CHARS]] for start, end, why in sorted(longest)]

    # On a thread of its own.

    def act(self, action: str, request: dict[str, Any]) -> None:
        """Seek, play, pause, or go on at another speed."""
        feed = self._feed
        match action:
            case "seek":
                call(feed.seek(round(float(request["time"]) * 1000)))
            case "play":
                call(feed.set_paused(False))
                if feed.ended:
                    call(feed.seek(feed.playback.start_us))
            case "pause":
                call(feed.set_paused(True))
            case "speed":
                speed = request["speed"]
                if speed not in SPEEDS:
                    raise ValueError(f"speed cannot be {speed!r}")
                call(feed.set_speed(speed))
            case _:
                super().act(action, request)


def time_slider(
    pipeline: Pipeline, feed: ReplayFeed, session: str, *, name: str | None = None, **options: Any
) -> TimeSlider:
    """Return the time slider of a replay; what its method of this name does."""
    return TimeSlider(pipeline, feed, name=f"{session}: {name or 'time'}", **options)
