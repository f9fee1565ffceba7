"""The status bar: state and counters of a session, and buttons that record, export, pause, reconnect and close."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from fxlive.capture.writing.recorder import Recorder
from fxlive.capture.writing.status import RecordingStatus
from fxlive.core.shown_text import counted
from fxlive.pipeline.bounds import near_limits
from fxlive.pipeline.health import latency_ms
from fxlive.pipeline.pipeline import Pipeline
from fxlive.widgets.base import LiveWidget
from fxlive.widgets.charts.layers import Badge

EVERY_S = 1.0
"""Interval at which the counters are read. Changes of state and outcomes of buttons show at once."""

RECONNECT_TIMEOUT_S = 10.0
_MAX_TEXT_CHARS = 300  # of texts that come from the platform or name its columns
_BADGES: dict[str, Literal["live", "disconnected", "closed", "failed"]] = {
    "connected": "live",
    "connecting": "disconnected",
    "reconnecting": "disconnected",
    "closed": "closed",
    "failed": "failed",
}


@dataclass(frozen=True)
class Controls:
    """The functions behind the buttons. Each may block, and raises if it fails.

    `pause`, `resume` and `paused` are those of a replay. Without them, Pause pauses the updates of all widgets.
    """

    record: Callable[[str], Recorder]
    recording: Callable[[], Recorder | None]
    export: Callable[[str], Mapping[str, Path]]
    reconnect: Callable[[], None]
    close: Callable[[], None]
    pause: Callable[[], object] | None = None
    resume: Callable[[], object] | None = None
    paused: Callable[[], bool] | None = None


class StatusBar(LiveWidget):
    """One bar with the state of a session, its counters and its buttons.

    Parameters
    ----------
    pipeline
        Pipeline of the session.
    controls
        The functions behind the buttons.
    **options
        As for `LiveWidget`.
    """

    pausable = False
    _paused_drawing = False  # by this bar's button

    def __init__(self, pipeline: Pipeline, controls: Controls, **options: Any) -> None:
        self._pipeline = pipeline
        self._controls = controls
        self._sent: dict[str, Any] = {}
        self._outcomes: dict[str, list[Any]] = {}  # by action: sequence number, "busy", "done" or "failed", and text
        self._outcome_number = 0
        self._due = -math.inf
        self._drift: tuple[int, str] = (0, "")
        super().__init__("status", **options)

    # On the background thread.

    def snapshot(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return the values sent last, so that later changes are the same for all views."""
        if not self._sent:
            self.changes()
        return {"s": self._sent, "badge": self._badge(), "host": host_of(self._pipeline.feed.url)}, []

    def changes(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return the values that differ from those sent last: the counters once a second, the others at once."""
        now = self._clock()
        values = self._state_values()
        if now < self._due and all(self._sent.get(name) == value for name, value in values.items()):
            return {}, []
        if now >= self._due or values["state"] != self._sent.get("state"):
            self._due = now + EVERY_S
            values |= self._counters()
        changed = {name: value for name, value in values.items() if name not in self._sent or self._sent[name] != value}
        self._sent = {**self._sent, **changed}
        content: dict[str, Any] = {"s": changed} if changed else {}
        if "state" in changed or "halt" in changed:
            content["badge"] = self._badge()
        return content, []

    def close(self) -> None:
        """Remove the bar from the page, for good. If it has paused the widgets, they resume."""
        if self._paused_drawing:
            self.refresher.pause(False)
        super().close()

    def _badge(self) -> dict[str, Any]:
        state, halt = self._pipeline.state, self._pipeline.feed.halt
        if halt is not None and state not in ("closed", "failed"):
            return vars(Badge(halt)) | {"text": halt}
        return vars(Badge(_BADGES[state])) | {"text": state}

    def _state_values(self) -> dict[str, Any]:
        error = self._pipeline.error
        return {
            "state": self._pipeline.state,
            "error": None if error is None else str(error),
            "halt": self._pipeline.feed.halt,
            "paused": self._paused(),
            "replay": self._controls.pause is not None,
            "outcomes": self._outcomes,
        }

    def _paused(self) -> bool:
        return self.refresher.paused if self._controls.paused is None else self._controls.paused()

    def _counters(self) -> dict[str, Any]:
        pipeline = self._pipeline
        store, now = pipeline.store, pipeline.now_us()
        counters = tuple(store.counters.items())
        p50, p99 = latency_ms(pipeline)
        connected_s = pipeline.connected_s
        return {
            "messages": sum(counts.messages for _, counts in counters),
            "rate_per_s": round(sum(counts.rate(now) for _, counts in counters), 1),
            "p50_ms": None if math.isnan(p50) else round(p50, 1),
            "p99_ms": None if math.isnan(p99) else round(p99, 1),
            "connected_s": None if connected_s is None else int(connected_s),
            "gaps": len(store.gaps),
            "gap": self._last_gap(),
            "rejected": store.rejections,
            "duplicates": sum(counts.duplicates for _, counts in counters),
            "reused_ids": sum(counts.reused_ids for _, counts in counters),
            "dropped": pipeline.dropped,
            "callback_errors": pipeline.callback_errors.count,
            "near": near_limits(pipeline),
            "stale": [name for name, _ in counters if pipeline.stale(name)],
            **self._new_columns(),
            "recording": self._recording(),
        }

    def _last_gap(self) -> dict[str, Any] | None:
        gaps = self._pipeline.store.gaps
        if not gaps:
            return None
        gap, lasts_us = gaps[-1], self._pipeline.open_gap_us
        if gap.end is not None or lasts_us is None:
            lasts_us = (gap.start if gap.end is None else gap.end) - gap.start
        return {
            "start": gap.start / 1000.0,
            "lasts": gap.end is None,
            "s": round(lasts_us / 1e6, 1 if gap.end is not None else None),
            "why": gap.reason[:_MAX_TEXT_CHARS],
        }

    def _new_columns(self) -> dict[str, Any]:
        """Return the number and the names of the columns that the platform's document does not name."""
        drifted = [(name, table.drift) for name, table in self._pipeline.store.tables.items() if table.drift]
        count = sum(len(columns) for _, columns in drifted)
        if count != self._drift[0]:
            text = "\n".join(f"{name}: {', '.join(columns)}" for name, columns in drifted)
            self._drift = (count, text[:_MAX_TEXT_CHARS])
        return dict(zip(("drift", "drift_names"), self._drift, strict=True))

    def _recording(self) -> dict[str, Any] | None:
        recording = self._controls.recording()
        status = None if recording is None else recording.status
        if status is None or (status.state == "stopped" and not (status.dropped or status.vanished)):
            return None
        return {
            "state": status.state,
            "rows": status.rows,
            "bytes": status.bytes,
            "rows_per_s": round(status.rows_per_s),
            "free_mb": None if status.disk_free_bytes is None else status.disk_free_bytes // 10**6,
            "waiting": status.waiting if status.state == "stalled" else 0,
            "dropped": status.dropped,
            "vanished": status.vanished,
            "error": None if status.error is None else status.error[:_MAX_TEXT_CHARS],
            "path": short_path(status.path),
        }

    # On a worker thread.

    def act(self, action: str, request: dict[str, Any]) -> None:
        """Run the function behind a button and show the outcome in the bar."""
        if action not in _ACTIONS:
            return super().act(action, request)
        progress, function, failure = _ACTIONS[action]
        if self._outcomes.get(action, [0, ""])[1] == "busy":  # pressed in two views
            return
        self._report(action, "busy", progress)
        try:
            self._report(action, "done", function(self, request))
        except Exception as error:
            self._report(action, "failed", f"{failure}: {error or type(error).__name__}")

    def _report(self, action: str, state: str, text: str) -> None:
        def report() -> None:
            self._outcome_number += 1
            self._outcomes = {**self._outcomes, action: [self._outcome_number, state, text]}

        self.refresher.call_soon(report)

    def _pause(self, request: dict[str, Any]) -> str:
        if self._controls.pause is not None:
            self._controls.pause()
            return "the replay is paused"
        self.refresher.pause()
        self._paused_drawing = True
        return "charts are paused, data keeps coming"

    def _resume(self, request: dict[str, Any]) -> str:
        if self._controls.resume is not None:
            self._controls.resume()
            return "the replay is resumed"
        self.refresher.pause(False)
        self._paused_drawing = False
        return "charts are resumed"

    def _record(self, request: dict[str, Any]) -> str:
        return f"recording to {short_path(self._controls.record(_folder(request, 'captures')).path)}"

    def _stop(self, request: dict[str, Any]) -> str:
        recording = self._controls.recording()
        if recording is None:
            return "nothing was being recorded"
        return recording_outcome(recording.stop())

    def _export(self, request: dict[str, Any]) -> str:
        folder = _folder(request, "exports")
        files = self._controls.export(folder)
        return f"exported {len(files)} file{'' if len(files) == 1 else 's'} to {short_path(Path(folder))}"

    def _reconnect(self, request: dict[str, Any]) -> str:
        pipeline = self._pipeline
        before, had_failed = pipeline.reconnects, pipeline.state == "failed"
        self._controls.reconnect()
        pipeline.wait_until(
            lambda: pipeline.state == "connected" and (had_failed or pipeline.reconnects > before),
            RECONNECT_TIMEOUT_S,
            "the connection",
        )
        return "connected again"

    def _close(self, request: dict[str, Any]) -> str:
        self._controls.close()
        return "closed; data received so far stays readable"


_ACTIONS: dict[str, tuple[str, Callable[[StatusBar, dict[str, Any]], str], str]] = {
    "pause": ("pausing", StatusBar._pause, "could not pause"),
    "resume": ("resuming", StatusBar._resume, "could not resume"),
    "record": ("starting to record", StatusBar._record, "could not record"),
    "stop": ("finishing the recording", StatusBar._stop, "could not stop the recording"),
    "export": ("exporting", StatusBar._export, "could not export"),
    "reconnect": ("reconnecting", StatusBar._reconnect, "could not reconnect"),
    "close": ("closing", StatusBar._close, "could not close"),
}
"""By action: the text while it runs, the function, and the beginning of the text if it fails."""


def _folder(request: dict[str, Any], default: str) -> str:
    return os.path.expanduser(str(request.get("folder") or "").strip() or default)


def recording_outcome(status: RecordingStatus) -> str:
    """Return a sentence about a recording that has ended."""
    text = f"recorded {counted(status.rows, 'row')} to {short_path(status.path)}"
    if status.dropped:
        text += f"; {counted(status.dropped, 'row')} lost"
    if status.vanished:
        text += f"; {counted(status.vanished, 'row')} vanished"
    return text if status.error is None else f"{text} ({status.error})"


def short_path(path: Path) -> str:
    """Return a path as text, relative to the working directory if it lies inside.

    >>> short_path(Path.cwd() / "captures" / "today") == str(Path("captures", "today"))
    True
    """
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def host_of(url: str) -> str:
    """Return host and port of a URL, which may be shown; user name, password and query may not.

    >>> host_of("wss://me:secret@fx.example:8443/api/ws?token=x"), host_of("memory:")
    ('fx.example:8443', 'memory:')
    """
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or url.partition("?")[0].partition("#")[0]


def status_bar(
    pipeline: Pipeline, session: str, controls: Controls, *, name: str | None = None, **options: Any
) -> StatusBar:
    """Return the status bar of a session. Implements `Session.status_bar`."""
    return StatusBar(pipeline, controls, session=session, name=name or "status", **options)
