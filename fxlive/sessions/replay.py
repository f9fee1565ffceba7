"""Replay: a session that plays a capture."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from fxlive.core.arguments import micros_of, span_s, speed_of, whole
from fxlive.core.background import call, wait_awake
from fxlive.errors import WaitTimeout
from fxlive.feeds.replay import ReplayFeed
from fxlive.sessions.capture import Capture
from fxlive.sessions.display import session_text
from fxlive.sessions.reading.capture_source import to_timestamp
from fxlive.sessions.running import opened_pipeline
from fxlive.sessions.session import Session

if TYPE_CHECKING:
    from fxlive.widgets.slider import TimeSlider
    from fxlive.widgets.status import Controls


def replay(
    path: str | os.PathLike[str] | Capture,
    speed: float | None = 1.0,
    paused: bool = False,
    window: str | pd.Timedelta | None = None,
    max_rows: int = 1_000_000,
    *,
    name: str = "replay",
) -> Replay:
    """Play a capture through the whole pipeline of a live session.

    Frames, callbacks and charts receive the messages in their order of arrival, at speed 1 with the original spacing.
    Latency is the recorded one; staleness follows the replay's clock.

    Parameters
    ----------
    path
        A capture or a folder of captures, which are played one after the other, as for `open_capture`; or a `Capture`.
    speed
        A multiple of the original speed; None for as fast as possible.
    paused
        Whether to wait for `resume` before the first message.
    window, max_rows
        The bounds of the windows, as for `connect`.
    name
        The name of the session. An open session of the same name is closed.

    Returns
    -------
    Replay
        A session; it becomes the current one.

    Raises
    ------
    NotACapture, NewerCapture
        If there is no capture that can be played.
    CaptureError
        If a `Capture` is limited by ``at(time)``: replay the whole capture and call `seek`.

    Examples
    --------
    >>> import tempfile
    >>> import fxlive
    >>> recording = fxlive.Session.offline().record(tempfile.mkdtemp())
    >>> recording.stop().rows
    0
    >>> with replay(recording.path, speed=None) as session:
    ...     session.wait_until_end().frame("trades").empty
    True
    """
    return Replay(path, speed, paused, window, max_rows, name=name).open()


class Replay(Session):
    """A session that plays a capture; `replay` opens it and documents the parameters."""

    def __init__(
        self,
        path: str | os.PathLike[str] | Capture,
        speed: float | None = 1.0,
        paused: bool = False,
        window: str | pd.Timedelta | None = None,
        max_rows: int = 1_000_000,
        *,
        name: str = "replay",
    ) -> None:
        from fxlive.capture.reading.files import Files
        from fxlive.capture.reading.folder import find_captures
        from fxlive.capture.reading.playback import Playback

        folders = path._captures.reopened_folders() if isinstance(path, Capture) else find_captures(Files(path))
        self._feed = ReplayFeed(
            Playback(folders),
            folders[-1].name,
            speed=speed_of(speed),
            paused=paused,
            max_rows=whole("max_rows", max_rows, 1),
        )
        super().__init__(feed=self._feed, clock=self._feed.now_us, window=window, max_rows=max_rows, name=name)
        for manifest in (folder.manifest for folder in folders):
            if manifest is not None:
                self._pipeline.store.expect(manifest.symbols, manifest.drift)

    @property
    def start(self) -> pd.Timestamp:
        """When the first message that is played was received."""
        return to_timestamp(self._feed.playback.start_us)

    @property
    def end(self) -> pd.Timestamp:
        """When the last message that is played was received."""
        return to_timestamp(self._feed.playback.end_us)

    @property
    def time(self) -> pd.Timestamp:
        """The current time in the replay; assigning calls `seek`."""
        return to_timestamp(self._feed.now_us())

    @time.setter
    def time(self, time: Any) -> None:
        self.seek(time)

    @property
    def speed(self) -> float | None:
        """The multiple of the original speed, None for as fast as possible; it can be changed at any time."""
        return self._feed.speed

    @speed.setter
    def speed(self, speed: float | None) -> None:
        call(self._feed.set_speed(speed_of(speed)))

    @property
    def paused(self) -> bool:
        """Whether the replay is paused; assigning calls `pause` or `resume`."""
        return self._feed.paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        call(self._feed.set_paused(bool(paused)))

    @property
    def ended(self) -> bool:
        """Whether everything has been played; `seek` goes back."""
        return self._feed.ended

    def pause(self) -> None:
        """Pause: frames and clock stay as they are."""
        self.paused = True

    def resume(self) -> None:
        """Continue after `pause`."""
        self.paused = False

    def seek(self, time: Any) -> None:
        """Go to another time, forward or back; return when the frames are as they were then.

        Charts and other widgets are rebuilt. Callbacks and streams do not receive the messages in between. The replay
        continues from there unless it is paused. If another seek replaces this one, it returns early.

        Parameters
        ----------
        time
            A time of receipt; without a zone it is UTC. A time before the start means the start.
        """
        call(self._feed.seek(micros_of(time)))

    def wait_until_end(self, timeout: str | float | pd.Timedelta = 300.0) -> Replay:
        """Block until everything has been played, and return the session.

        Raises
        ------
        WaitTimeout
            If `timeout` (seconds, or a time span such as ``"5min"``) passes first.
        UnknownOption
            If `timeout` is not a time span.
        """
        timeout_s = span_s("timeout", timeout)
        try:
            call(wait_awake(self._feed.wait_until_ended(), timeout_s))
        except TimeoutError:
            raise WaitTimeout(f"The replay did not end within {timeout_s:g} s; its time is {self.time}.") from None
        return self

    def time_slider(self, *, name: str | None = None) -> TimeSlider:
        """Return a live slider over the recording, which works while a cell runs.

        It shows the current time between the recording's start and end, with the gaps drawn. Drag it or use the arrow
        keys to seek; it also plays, pauses and sets the speed.

        Parameters
        ----------
        name
            The name of the widget; one of the same name is replaced. Default: ``"time"``.

        Returns
        -------
        TimeSlider
            The widget.

        Examples
        --------
        >>> import tempfile
        >>> import fxlive
        >>> recording = fxlive.Session.offline().record(tempfile.mkdtemp())
        >>> recording.stop().rows
        0
        >>> with replay(recording.path) as session:
        ...     session.time_slider().name
        'replay: time'
        """
        from fxlive.widgets.slider import time_slider

        return time_slider(opened_pipeline(self), self._feed, self.name, name=name)

    def _controls(self) -> Controls:
        return replace(super()._controls(), pause=self.pause, resume=self.resume, paused=lambda: self.paused)

    def __repr__(self) -> str:
        if self._pipeline.never_opened:
            return super().__repr__()
        pace = self._feed.halt or ("as fast as possible" if self.speed is None else f"speed {self.speed:g}")
        return session_text(self.name, f"{self.url} ({pace}), at {self.time:%Y-%m-%d %H:%M:%S}", self.health())
