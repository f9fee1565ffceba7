"""Alerts of one's own: a condition on frames or numbers, which must hold for a while, and who is told then."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import pandas as pd

from fxlive.errors import UnknownOption

log = logging.getLogger("fxlive")

T = TypeVar("T")


def span_s(name: str, time: str | float | pd.Timedelta) -> float:
    """Return a time as seconds: a number of them (as text too), or a text such as "10s".

    Raises
    ------
    UnknownOption
        Where it is no time, or a negative one.

    >>> span_s("hold", "1min"), span_s("hold", 2), span_s("timeout", "10")
    (60.0, 2.0, 10.0)
    """
    number = isinstance(time, int | float) or str(time).strip().replace(".", "", 1).isdecimal()
    try:
        seconds = float(str(time)) if number else pd.Timedelta(time).total_seconds()
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise UnknownOption(name, time, ('a time such as "10s", or a number of seconds',))
    return seconds


def holds(value: Any) -> bool:
    """Return whether what a condition returned says yes: a frame with rows, a number that is not 0 or NaN, or True.

    >>> holds(pd.DataFrame({"ticket": [7]})), holds(float("nan")), holds(True)
    (True, False, True)
    """
    if value is None or value is pd.NA:
        return False
    if isinstance(value, pd.DataFrame | pd.Series | pd.Index):
        return len(value) > 0
    if isinstance(value, float) and math.isnan(value):
        return False
    return bool(value)


class Hold:
    """Says yes once when a condition has held for so long, and again only after it has ceased to.

    Parameters
    ----------
    hold_s
        How long, in seconds; 0: at once.

    Examples
    --------
    >>> rule = Hold(10)
    >>> [rule.fires(at, True) for at in (0, 5, 10, 15)]
    [False, False, True, False]
    """

    def __init__(self, hold_s: float) -> None:
        self.hold_s = hold_s
        self._since: float | None = None
        self._told = False

    def fires(self, at_s: float, true: bool) -> bool:
        """Return whether it is time to tell, given whether the condition holds at a moment."""
        if not true:
            self._since, self._told = None, False
            return False
        if self._since is None:
            self._since = at_s
        if self._told or at_s - self._since < self.hold_s:
            return False
        self._told = True
        return True


def firings(
    condition: Callable[[T], Any], moments: Iterable[tuple[pd.Timestamp, T]], hold: str | float | pd.Timedelta = 0
) -> Iterator[tuple[pd.Timestamp, Any]]:
    """Give each moment at which an alert would have been told, and what its condition returned then.

    Parameters
    ----------
    condition
        As of `Session.when`.
    moments
        Times and what could be read then, such as ``((t, capture.at(t)) for t in pd.date_range(..., freq="1s"))``.
    hold
        As of `Session.when`.

    Examples
    --------
    >>> moments = zip(pd.date_range("2024-01-01", periods=4, freq="s", tz="UTC"), [1, 7, 8, 9])
    >>> [(at.second, value) for at, value in firings(lambda n: n > 5, moments, hold="1s")]
    [(2, True)]
    """
    rule = Hold(span_s("hold", hold))
    for at, readings in moments:
        value = condition(readings)
        if rule.fires(at.timestamp(), holds(value)):
            yield at, value


class Watch:
    """A condition that is looked at a few times a second; `cancel()` ends it.

    `calls` and `errors` say how it fares: `errors` counts what the condition or the callback raised, which is logged
    once for each kind.

    Parameters
    ----------
    condition
        Takes no argument; what it returns is judged by `holds`, and given to `callback`.
    callback
        Takes what the condition returned.
    hold_s, every_s
        How long it must hold, and how often it is looked at, in seconds.
    clock
        Gives the time in microseconds; that of a replay runs as its market does.
    ended
        Says whether there is nothing to look at any more.
    """

    def __init__(
        self,
        condition: Callable[[], Any],
        callback: Callable[[Any], Any],
        *,
        hold_s: float,
        every_s: float,
        clock: Callable[[], int],
        ended: Callable[[], bool],
    ) -> None:
        self.calls = 0
        self.errors = 0
        self._condition = condition
        self._callback = callback
        self._rule = Hold(hold_s)
        self._every_s = every_s
        self._clock = clock
        self._ended = ended
        self._kinds: set[str] = set()
        self._cancelled = threading.Event()
        name = getattr(callback, "__name__", type(callback).__name__)
        self._thread = threading.Thread(target=self._work, name=f"fxlive when: {name}", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        state = "cancelled" if self._cancelled.is_set() else "active"
        return f"<when: {state}, {self.calls} calls, {self.errors} errors>"

    def cancel(self) -> None:
        """Look no more."""
        self._cancelled.set()

    def _work(self) -> None:
        while not self._cancelled.is_set() and not self._ended():
            self._look()
            self._cancelled.wait(self._every_s)
        self._cancelled.set()

    def _look(self) -> None:
        try:
            value = self._condition()
            if self._rule.fires(self._clock() / 1e6, holds(value)) and not self._cancelled.is_set():
                self.calls += 1
                self._callback(value)
        except Exception as error:  # the user's own: it must not end the watch
            self.errors += 1
            if type(error).__name__ not in self._kinds:
                self._kinds.add(type(error).__name__)
                log.exception("a condition or its callback raised; more of this kind are only counted")
