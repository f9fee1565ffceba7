"""The time slider of a replay: shows its time within the recording, and seeks."""

from __future__ import annotations

from typing import Any

from fxlive.core.background import call
from fxlive.errors import UnknownOption
from fxlive.feeds.replay import ReplayFeed
from fxlive.pipeline.pipeline import Pipeline
from fxlive.widgets.base import LiveWidget
from fxlive.widgets.charts.layers import DataStatus

SPEEDS = (0.5, 1.0, 2.0, 5.0, 10.0, 60.0, None)
"""The speeds in the menu; None is as fast as possible."""

MAX_GAPS = 500
"""Gaps that are drawn: the longest ones of the recording."""
_MAX_REASON_CHARS = 200


class TimeSlider(LiveWidget):
    """A slider over a recording, with play, pause and speed.

    Parameters
    ----------
    pipeline
        Receives the replayed messages.
    feed
        Replays the recording.
    **options
        As for `LiveWidget`.
    """

    pausable = False

    def __init__(self, pipeline: Pipeline, feed: ReplayFeed, **options: Any) -> None:
        self._pipeline = pipeline
        self._feed = feed
        self._status = DataStatus(pipeline)
        self._sent: dict[str, Any] = {}
        super().__init__("slider", **options)

    # On the background thread.

    def snapshot(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return start, end and gaps of the recording, and the values sent last."""
        if not self._sent:
            self.changes()
        playback = self._feed.playback
        content = {
            "start": playback.start_us / 1000.0,
            "end": playback.end_us / 1000.0,
            "gaps": self._gaps(),
            "speeds": SPEEDS,
            "s": self._sent,
            "badge": self._badge(),
        }
        return content, []

    def changes(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return the values that differ from those sent last. While the replay plays, the time does."""
        state, error = self._pipeline.state, self._pipeline.error
        values = {
            "time": self._feed.now_us() / 1000.0,
            "speed": self._feed.speed,
            "halt": self._feed.halt,
            "seeks": self._feed.seeks,
            "over": state in ("closed", "failed"),
            "error": None if error is None else str(error),
            "badge": self._badge(),
        }
        changed = {name: value for name, value in values.items() if name not in self._sent or self._sent[name] != value}
        self._sent = values
        badge = {"badge": changed.pop("badge")} if "badge" in changed else {}
        return ({"s": changed} if changed else {}) | badge, []

    def _badge(self) -> dict[str, Any]:
        badge = vars(self._status.badge())
        return {**badge, "text": "playing"} if badge["state"] == "live" else badge

    def _gaps(self) -> list[list[Any]]:
        """Return the times in which messages are missing, each as [start, end, reason]; times in milliseconds."""
        playback = self._feed.playback
        gaps = [
            (gap.start, playback.end_us if gap.end is None else gap.end, gap.reason)
            for gap in (*playback.disconnections, *playback.losses)
        ]
        longest = sorted(gaps, key=lambda gap: gap[0] - gap[1])[:MAX_GAPS]
        return [[start / 1000.0, end / 1000.0, reason[:_MAX_REASON_CHARS]] for start, end, reason in sorted(longest)]

    # On a worker thread.

    def act(self, action: str, request: dict[str, Any]) -> None:
        """Seek, play, pause, or set the speed."""
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
                    raise UnknownOption("speed", speed, [str(known) for known in SPEEDS])
                call(feed.set_speed(speed))
            case _:
                super().act(action, request)


def time_slider(
    pipeline: Pipeline, feed: ReplayFeed, session: str, *, name: str | None = None, **options: Any
) -> TimeSlider:
    """Return the time slider of a replay. Implements `Replay.time_slider`."""
    return TimeSlider(pipeline, feed, session=session, name=name or "time", **options)
