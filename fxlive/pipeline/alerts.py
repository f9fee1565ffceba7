"""Alerts of one's own: a condition on frames or numbers, which must hold for a while, and who is told then."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_scalar

from fxlive.core.arguments import span_s
from fxlive.errors import UnknownOption
from fxlive.pipeline.callbacks import ErrorCounter, UserFunction

log = logging.getLogger("fxlive")

T = TypeVar("T")


def holds(value: Any) -> bool:
    """Return whether what a condition returned says yes.

    A column or a frame of nothing but truth values is a mask, and says yes where one of them is True; any other says
    yes where it has rows. A number says yes where it is not 0 or missing.

    Raises
    ------
    UnknownOption
        Where it is None, text or a dict, which says nothing: a ``return`` was forgotten, or a comparison.

    >>> holds(pd.DataFrame({"ticket": [7]})), holds(float("nan")), holds(pd.Series([5.0, 7.0]) < -100)
    (True, False, False)
    """
    if isinstance(value, pd.DataFrame):
        columns = [column for _, column in value.items()]
        if columns and all(is_bool_dtype(column.dtype) for column in columns):
            return any(map(holds, columns))
        return len(value) > 0
    if isinstance(value, np.ndarray):
        return bool(value.any()) if value.dtype == bool or value.ndim == 0 else value.size > 0
    if isinstance(value, pd.Series | pd.Index):
        return bool(pd.Series(value).any()) if is_bool_dtype(value.dtype) else len(value) > 0
    if value is None or isinstance(value, str | bytes | Mapping):
        raise UnknownOption("what a condition returns", value, ("a frame", "a Series", "a number", "a bool"))
    if is_scalar(value) and pd.isna(value):
        return False
    return bool(value)


class Hold:
    """Says yes once when a condition has held for so long, and again only after it has ceased to.

    Where time goes backwards, as in a replay that is sought back, it begins anew.

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
        self.reset()

    def reset(self) -> None:
        """Begin anew, as if the condition had not held up to now."""
        self._since: float | None = None
        self._newest_s = -math.inf
        self._told = False

    def fires(self, at_s: float, true: bool) -> bool:
        """Return whether it is time to tell, given whether the condition holds at a moment."""
        if not true or at_s < self._newest_s:
            self.reset()
        self._newest_s = at_s
        if not true:
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


class Watch(UserFunction):
    """A condition that is looked at a few times a second; `cancel()` ends it.

    `calls`, `errors` and `error` say how it fares: `errors` counts what the condition or the callback raised, which is
    logged once for each kind, and `error` is the last of it, in words.

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
    paused
        Says whether there is nothing to look at for now: how long the condition has held counts anew after that.
    errors
        Counts what is raised.
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
        paused: Callable[[], bool],
        errors: ErrorCounter | None = None,
    ) -> None:
        super().__init__(errors)
        self._condition = condition
        self._callback = callback
        self._rule = Hold(hold_s)
        self._every_s = every_s
        self._clock = clock
        self._ended = ended
        self._paused = paused
        self._kinds: set[str] = set()
        self._cancelled = threading.Event()
        name = getattr(callback, "__name__", type(callback).__name__)
        self._thread = threading.Thread(target=self._work, name=f"fxlive when: {name}", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        state = "cancelled" if self._cancelled.is_set() else "active"
        return f"<when: {state}, {self.calls} calls, {self._errors}>"

    @property
    def ended(self) -> bool:
        """Whether it looks no more."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Look no more."""
        self._cancelled.set()

    def _work(self) -> None:
        while not self._cancelled.is_set() and not self._ended():
            if self._paused():
                self._rule.reset()
            else:
                self._look()
            self._cancelled.wait(self._every_s)
        self._cancelled.set()

    def _look(self) -> None:
        try:
            value = self._condition()
            true = holds(value)
        except Exception as error:  # the user's own: it must not end the watch
            self._rule.reset()  # nobody knows whether it held
            self._count(error)
            return
        if self._rule.fires(self._clock() / 1e6, true) and not self._cancelled.is_set():
            self.calls += 1
            try:
                self._callback(value)
            except Exception as error:
                self._count(error)

    def _count(self, error: Exception) -> None:
        self._errors.note(error)
        if type(error).__name__ not in self._kinds:
            self._kinds.add(type(error).__name__)
            log.error("a condition or its callback raised; more of this kind are only counted", exc_info=error)
