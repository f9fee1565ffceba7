"""Alerts of the user: a condition that must hold for some time, and a callback that is called then."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_scalar

from fxlive.core.arguments import span_s
from fxlive.core.shown_text import counted
from fxlive.core.world import WORLD, Steps, World
from fxlive.errors import UnknownOption
from fxlive.pipeline.callbacks import ErrorCounter, UserFunction

log = logging.getLogger("fxlive")

T = TypeVar("T")


def holds(value: Any) -> bool:
    """Return whether the result of a condition means that the condition holds.

    A Series, array or index of booleans, and a frame of boolean columns only, are masks: they hold if any value is
    True. Any other frame, Series, index or array holds if it has rows. A number holds if it is neither 0 nor missing.

    Raises
    ------
    UnknownOption
        If the result is None, text or a mapping. Most likely a ``return`` or a comparison was forgotten.

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
        raise UnknownOption("the result of a condition", value, ("a frame", "a Series", "a number", "a bool"))
    if is_scalar(value) and pd.isna(value):
        return False
    return bool(value)


class HoldTimer:
    """Fires once per period in which a condition holds, as soon as it has held for `hold_s` seconds.

    If time goes backwards, as in a replay after a seek, the timer is reset.

    Parameters
    ----------
    hold_s
        How long the condition must hold, in seconds; with 0 the timer fires at once.

    Examples
    --------
    >>> timer = HoldTimer(10)
    >>> [timer.fires(at, True) for at in (0, 5, 10, 15)]
    [False, False, True, False]
    """

    def __init__(self, hold_s: float) -> None:
        self.hold_s = hold_s
        self.reset()

    def reset(self) -> None:
        """Start again, as if the condition had not held so far."""
        self._since: float | None = None
        self._newest_s = -math.inf
        self._fired = False

    def fires(self, at_s: float, true: bool) -> bool:
        """Return whether to call the callback now, given the time and whether the condition holds."""
        if not true or at_s < self._newest_s:
            self.reset()
        self._newest_s = at_s
        if not true:
            return False
        if self._since is None:
            self._since = at_s
        if self._fired or at_s - self._since < self.hold_s:
            return False
        self._fired = True
        return True


def firings(
    condition: Callable[[T], Any], moments: Iterable[tuple[pd.Timestamp, T]], hold: str | float | pd.Timedelta = 0
) -> Iterator[tuple[pd.Timestamp, Any]]:
    """Yield each time at which `Session.when` would have called its callback, and the condition's result.

    Parameters
    ----------
    condition
        As for `Session.when`.
    moments
        Pairs of a time and an object to pass to the condition, such as
        ``((t, capture.at(t)) for t in pd.date_range(..., freq="1s"))``.
    hold
        As for `Session.when`.

    Examples
    --------
    >>> import pandas as pd
    >>> moments = zip(pd.date_range("2024-01-01", periods=4, freq="s", tz="UTC"), [1, 7, 8, 9])
    >>> [(at.second, value) for at, value in firings(lambda n: n > 5, moments, hold="1s")]
    [(2, True)]
    """
    timer = HoldTimer(span_s("hold", hold))
    for at, readings in moments:
        value = condition(readings)
        if timer.fires(at.timestamp(), holds(value)):
            yield at, value


class Watch(UserFunction):
    """A condition that is checked several times a second on a thread of its own; `cancel()` ends it.

    `calls` counts the calls of the callback. `errors` counts the exceptions that the condition or the callback raised;
    the first of each type is logged. `error` is the text of the last one.

    Parameters
    ----------
    condition
        Takes no argument. Its result is evaluated by `holds` and passed to `callback`.
    callback
        Takes the condition's result.
    hold_s, every_s
        How long the condition must hold, and the time between two checks, in seconds.
    clock
        Returns the time in microseconds, for durations. The clock of a replay follows the replay's speed and pauses.
    ended
        Returns True once the watch has nothing left to check.
    paused
        Returns True while there is nothing to check. Afterwards the condition must hold for `hold_s` again.
    errors
        Counts the exceptions.
    world
        Has the thread.
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
        world: World = WORLD,
    ) -> None:
        super().__init__(errors)
        self._condition = condition
        self._callback = callback
        self._timer = HoldTimer(hold_s)
        self._every_s = every_s
        self._clock = clock
        self._is_over = ended
        self._paused = paused
        self._logged_types: set[str] = set()
        self._has_ended = False
        name = getattr(callback, "__name__", type(callback).__name__)
        self._worker = world.worker(f"fxlive when: {name}")
        self._worker.start(self._work())

    def __repr__(self) -> str:
        state = "cancelled" if self.ended else "active"
        return f"<when: {state}, {counted(self.calls, 'call')}, {self._errors}>"

    @property
    def ended(self) -> bool:
        """Whether it checks its condition no longer."""
        return self._has_ended

    def cancel(self) -> None:
        """Stop checking the condition."""
        self._has_ended = True
        self._worker.wake()

    def _work(self) -> Steps:
        while not self.ended and not self._is_over():
            if self._paused():
                self._timer.reset()
            else:
                self._check()
            yield self._every_s
        self._has_ended = True

    def _check(self) -> None:
        try:
            value = self._condition()
            true = holds(value)
        except Exception as error:  # an error of the user's code must not end the watch
            self._timer.reset()  # it is unknown whether the condition held
            self._note_error(error)
            return
        if self._timer.fires(self._clock() / 1e6, true) and not self.ended:
            self.calls += 1
            try:
                self._callback(value)
            except Exception as error:
                self._note_error(error)

    def _note_error(self, error: Exception) -> None:
        self._errors.note(error)
        if type(error).__name__ not in self._logged_types:
            self._logged_types.add(type(error).__name__)
            log.error(
                "the condition or the callback of an alert raised; more errors of this type are only counted",
                exc_info=error,
            )
