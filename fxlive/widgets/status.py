"""The status bar: how a session fares, and buttons for what is done with it."""

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
from fxlive.pipeline.health import latency_ms
from fxlive.pipeline.pipeline import Pipeline
from fxlive.widgets.base import LiveWidget
from fxlive.widgets.charts.layers import Badge

EVERY_S = 1.0
"""How often the counters are read; what the user does, and the state, show at once."""

RECONNECT_TIMEOUT_S = 10.0
_WORDS_CHARS = 300  # of what a platform says of itself
_BADGES: dict[str, Literal["live", "disconnected", "closed", "failed"]] = {
    "connected": "live",
    "connecting": "disconnected",
    "reconnecting": "disconnected",
    "closed": "closed",
    "failed": "failed",
}


@dataclass(frozen=True)
class Controls:
    """What the buttons do; each may take its time, and raises where it cannot.

    A replay has `pause`, `resume` and `paused` of its own; where there are none, what is paused is the drawing.
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
        The running session.
    controls
        What the buttons do.
    **options
        As for `LiveWidget`.
    """

    pausable = False
    _pausing = False

    def __init__(self, pipeline: Pipeline, controls: Controls, **options: Any) -> None:
        self._pipeline = pipeline
        self._controls = controls
        self._said: dict[str, Any] = {}
        self._work: dict[str, list[Any]] = {}  # by action: the number of the word, how it stands, and the word
        self._words = 0
        self._due = -math.inf
        self._drift: tuple[int, str] = (0, "")
        super().__init__("status", **options)

    # On the background thread.

    def window(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return everything that was said last, so that what is new from here on is the same for all views."""
        if not self._said:
            self.changes()
        return {"s": self._said, "badge": self._badge(), "host": host_of(self._pipeline.feed.url)}, []

    def changes(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return what has another value than before: the counters once a second, the rest at once."""
        now = self._clock()
        fresh = self._at_once()
        if now < self._due and all(self._said.get(name) == value for name, value in fresh.items()):
            return {}, []
        if now >= self._due or fresh["state"] != self._said.get("state"):
            self._due = now + EVERY_S
            fresh |= self._counters()
        news = {name: value for name, value in fresh.items() if name not in self._said or self._said[name] != value}
        self._said = {**self._said, **news}
        content: dict[str, Any] = {"s": news} if news else {}
        if "state" in news or "halt" in news:
            content["badge"] = self._badge()
        return content, []

    def close(self) -> None:
        """Take the bar out of the page, for good; the drawing that it has paused goes on."""
        if self._pausing:
            self.refresher.pause(False)
        super().close()

    def _badge(self) -> dict[str, Any]:
        state, halt = self._pipeline.state, self._pipeline.feed.halt
        if halt is not None and state not in ("closed", "failed"):
            return vars(Badge(halt)) | {"text": halt}
        return vars(Badge(_BADGES[state])) | {"text": state}

    def _at_once(self) -> dict[str, Any]:
        error = self._pipeline.error
        return {
            "state": self._pipeline.state,
            "error": None if error is None else str(error),
            "halt": self._pipeline.feed.halt,
            "paused": self._paused(),
            "replay": self._controls.pause is not None,
            "work": self._work,
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
            "messages": sum(counted.messages for _, counted in counters),
            "rate_per_s": round(sum(counted.rate(now) for _, counted in counters), 1),
            "p50_ms": None if math.isnan(p50) else round(p50, 1),
            "p99_ms": None if math.isnan(p99) else round(p99, 1),
            "connected_s": None if connected_s is None else int(connected_s),
            "gaps": len(store.gaps),
            "gap": self._last_gap(now),
            "rejected": store.rejections,
            "duplicates": sum(counted.duplicates for _, counted in counters),
            "dropped": pipeline.dropped,
            "callback_errors": pipeline.callback_errors.count,
            "stale": [name for name, _ in counters if pipeline.stale(name)],
            **self._new_columns(),
            "recording": self._recording(),
        }

    def _last_gap(self, now: int) -> dict[str, Any] | None:
        gaps = self._pipeline.store.gaps
        if not gaps:
            return None
        gap = gaps[-1]
        return {
            "start": gap.start / 1000.0,
            "lasts": gap.end is None,
            "s": round(((now if gap.end is None else gap.end) - gap.start) / 1e6, 1 if gap.end is not None else None),
            "why": gap.reason[:_WORDS_CHARS],
        }

    def _new_columns(self) -> dict[str, Any]:
        """Return how many columns the reference does not name, and which."""
        drifted = [(name, table.drift) for name, table in self._pipeline.store.tables.items() if table.drift]
        count = sum(len(columns) for _, columns in drifted)
        if count != self._drift[0]:
            text = "\n".join(f"{name}: {', '.join(columns)}" for name, columns in drifted)
            self._drift = (count, text[:_WORDS_CHARS])
        return dict(zip(("drift", "drift_names"), self._drift, strict=True))

    def _recording(self) -> dict[str, Any] | None:
        recording = self._controls.recording()
        status = None if recording is None else recording.status
        if status is None or (status.state == "stopped" and not status.dropped):
            return None
        return {
            "state": status.state,
            "rows": status.rows,
            "bytes": status.bytes,
            "rows_per_s": round(status.rows_per_s),
            "free_mb": None if status.disk_free_bytes is None else status.disk_free_bytes // 10**6,
            "waiting": status.waiting if status.state == "stalled" else 0,
            "dropped": status.dropped,
            "error": None if status.error is None else status.error[:_WORDS_CHARS],
            "path": near(status.path),
        }

    # On a thread of its own.

    def act(self, action: str, request: dict[str, Any]) -> None:
        """Do what a button says; what comes of it is shown in the bar."""
        if action not in _DOES:
            raise ValueError(f"there is nothing called {action!r} to do")
        progress, work, failure = _DOES[action]
        if self._work.get(action, [0, ""])[1] == "busy":  # pressed in two views
            return
        self._note(action, "busy", progress)
        try:
            self._note(action, "done", work(self, request))
        except Exception as error:
            self._note(action, "failed", f"{failure}: {error or type(error).__name__}")

    def _note(self, action: str, how: str, text: str) -> None:
        def note() -> None:
            self._words += 1
            self._work = {**self._work, action: [self._words, how, text]}

        self.refresher.soon(note)

    def _pause(self, request: dict[str, Any]) -> str:
        if self._controls.pause is not None:
            self._controls.pause()
            return "the replay is paused"
        self.refresher.pause()
        self._pausing = True
        return "charts are paused, data keeps coming"

    def _resume(self, request: dict[str, Any]) -> str:
        if self._controls.resume is not None:
            self._controls.resume()
            return "the replay goes on"
        self.refresher.pause(False)
        self._pausing = False
        return "charts go on"

    def _record(self, request: dict[str, Any]) -> str:
        return f"recording to {near(self._controls.record(_folder(request, 'captures')).path)}"

    def _stop(self, request: dict[str, Any]) -> str:
        recording = self._controls.recording()
        if recording is None:
            return "nothing was being recorded"
        return recorded(recording.stop())

    def _export(self, request: dict[str, Any]) -> str:
        folder = _folder(request, "exports")
        files = self._controls.export(folder)
        return f"exported {len(files)} file{'' if len(files) == 1 else 's'} to {near(Path(folder))}"

    def _reconnect(self, request: dict[str, Any]) -> str:
        pipeline = self._pipeline
        before, anew = pipeline.reconnects, pipeline.state == "failed"
        self._controls.reconnect()
        pipeline.wait_until(
            lambda: pipeline.state == "connected" and (anew or pipeline.reconnects > before),
            RECONNECT_TIMEOUT_S,
            "the connection",
        )
        return "connected again"

    def _close(self, request: dict[str, Any]) -> str:
        self._controls.close()
        return "closed; what has come stays readable"


_DOES: dict[str, tuple[str, Callable[[StatusBar, dict[str, Any]], str], str]] = {
    "pause": ("pausing", StatusBar._pause, "could not pause"),
    "resume": ("resuming", StatusBar._resume, "could not resume"),
    "record": ("starting to record", StatusBar._record, "could not record"),
    "stop": ("finishing the recording", StatusBar._stop, "could not stop the recording"),
    "export": ("exporting", StatusBar._export, "could not export"),
    "reconnect": ("reconnecting", StatusBar._reconnect, "could not reconnect"),
    "close": ("closing", StatusBar._close, "could not close"),
}
"""By action: what to say meanwhile, what does it, and how to say that it did not work."""


def _folder(request: dict[str, Any], default: str) -> str:
    return os.path.expanduser(str(request.get("folder") or "").strip() or default)


def recorded(status: RecordingStatus) -> str:
    """Return in words how a recording has ended."""
    text = f"recorded {status.rows:,} rows to {near(status.path)}"
    if status.dropped:
        text += f"; {status.dropped:,} rows were lost"
    return text if status.error is None else f"{text} ({status.error})"


def near(path: Path) -> str:
    """Return a path as short as it can be said here: from the working directory where it lies in there.

    >>> near(Path.cwd() / "captures" / "today") == str(Path("captures", "today"))
    True
    """
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def host_of(url: str) -> str:
    """Return what of a URL may be shown: its host and port, never who logs in, nor a query.

    >>> host_of("wss://me:secret@fx.example:8443/api/ws?token=x"), host_of("memory:")
    ('fx.example:8443', 'memory:')
    """
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or url.partition("?")[0].partition("#")[0]


def status_bar(
    pipeline: Pipeline, session: str, controls: Controls, *, name: str | None = None, **options: Any
) -> StatusBar:
    """Return the status bar of a session; what the session's method of this name does."""
    return StatusBar(pipeline, controls, name=f"{session}: {name or 'status'}", **options)
