"""Replay: a capture that is played again, as a session like any other."""

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
    """Play a capture again, through everything that a live session goes through.

    Frames, callbacks and charts see the messages in the order in which they arrived, and at speed 1 with the spacing
    that they had. Latency is the recorded one; what is stale is so by the replay's clock.

    Parameters
    ----------
    path
        A capture, or a folder of captures, which are played one after the other; as `open_capture` takes it. What that
        gave is taken too.
    speed
        How many times as fast as it was; None: as fast as it goes.
    paused
        Whether it waits for `resume` before it begins.
    window, max_rows
        What the frames keep, as for `connect`.
    name
        What to call it. An open session of the same name is closed.

    Returns
    -------
    Replay
        A session, which becomes the current one.

    Raises
    ------
    NotACapture, NewerCapture
        Where there is none that can be played.
    CaptureError
        Of a capture at a moment: play the whole, and `seek`.

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
    """A session that plays a capture; `replay` opens it, and says what its parameters are."""

    _feed: ReplayFeed

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
        from fxlive.capture.reading.folder import find
        from fxlive.capture.reading.tape import Tape

        folders = path._folders_anew() if isinstance(path, Capture) else find(Files(path))
        self._feed = ReplayFeed(
            Tape(folders),
            folders[-1].name,
            speed=speed_of(speed),
            paused=paused,
            max_rows=whole("max_rows", max_rows, 1),
        )
        self._begin(self._feed, name, window, max_rows, clock=self._feed.now_us)
        for about in (folder.manifest for folder in folders):
            if about is not None:
                self._pipeline.store.expect(about.symbols, about.drift)

    @property
    def start(self) -> pd.Timestamp:
        """When the first message was received that is played."""
        return _stamp(self._feed.tape.start_us)

    @property
    def end(self) -> pd.Timestamp:
        """When the last message was received that is played."""
        return _stamp(self._feed.tape.end_us)

    @property
    def time(self) -> pd.Timestamp:
        """The moment that it is in the replay; setting it is `seek`."""
        return _stamp(self._feed.now_us())

    @time.setter
    def time(self, moment: Any) -> None:
        self.seek(moment)

    @property
    def speed(self) -> float | None:
        """How many times as fast as it was it goes on; None: as fast as it can. It can be set at any time."""
        return self._feed.speed

    @speed.setter
    def speed(self, speed: float | None) -> None:
        call(self._feed.set_speed(speed_of(speed)))

    @property
    def paused(self) -> bool:
        """Whether it stands still; setting it is `pause` or `resume`."""
        return self._feed.paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        call(self._feed.set_paused(bool(paused)))

    @property
    def ended(self) -> bool:
        """Whether everything has been played; `seek` goes back."""
        return self._feed.ended

    def pause(self) -> None:
        """Stand still: the frames and the clock stay as they are."""
        self.paused = True

    def resume(self) -> None:
        """Go on after `pause`."""
        self.paused = False

    def seek(self, time: Any) -> None:
        """Go to another moment, forward or back; returns when the frames are what they were then.

        Charts and the other widgets begin again. Callbacks and streams are not told of what lies between. The replay
        goes on from there, unless it is paused. It returns early where another seek takes the place of this one.

        Parameters
        ----------
        time
            The moment, by when messages were received; without a zone it is UTC. One before the start is the start.
        """
        call(self._feed.seek(micros_of(time)))

    def wait_until_end(self, timeout: str | float | pd.Timedelta = 300.0) -> Replay:
        """Block until everything has been played, and return the session.

        Raises
        ------
        WaitTimeout
            When `timeout` (seconds, or a time such as ``"5min"``) is over.
        UnknownOption
            Where `timeout` is no time.
        """
        timeout_s = span_s("timeout", timeout)
        try:
            call(wait_awake(self._feed.wait_until_ended(), timeout_s))
        except TimeoutError:
            raise WaitTimeout(f"The replay did not end within {timeout_s:g} s: it is {self.time}.") from None
        return self

    def time_slider(self, *, name: str | None = None) -> TimeSlider:
        """Return a live slider over the recording, which also works while a cell runs.

        It shows the moment that it is in the replay, between the recording's two ends, with the times drawn in which
        messages are missing. Drag it, or use the arrow keys, to seek; it also plays, pauses and sets the speed.

        Parameters
        ----------
        name
            What to call it: a widget of the same name takes the place of the former. Default: ``"time"``.

        Returns
        -------
        TimeSlider
            To be shown.

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

        return time_slider(self._opened(), self._feed, self.name, name=name)

    def _controls(self) -> Controls:
        controls = super()._controls()
        return replace(controls, pause=self.pause, resume=self.resume, paused=lambda: self.paused)

    def __repr__(self) -> str:
        if self._pipeline.never_opened:
            return super().__repr__()
        pace = self._feed.halt or ("as fast as it goes" if self.speed is None else f"speed {self.speed:g}")
        return session_text(self.name, f"{self.url} ({pace}), it is {self.time:%Y-%m-%d %H:%M:%S}", self.health())


def _stamp(micros: int) -> pd.Timestamp:
    return pd.Timestamp(micros, unit="us", tz="UTC")
