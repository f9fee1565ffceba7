"""Merging of a recording's small parts into larger ones, in short steps between two flushes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

from fxlive.capture.writing.channel_writer import ChannelWriter
from fxlive.capture.writing.status import error_text
from fxlive.core.world import World

log = logging.getLogger("fxlive")

BUSY_ROWS_PER_S = 50_000
RETRY_AFTER_S = 10.0


def merging_share(rows_per_s: float) -> float:
    """Return the share of the recorder's time that may be spent on merging.

    It is small while many rows arrive, because merging takes time from the feed.

    >>> merging_share(1_000), merging_share(300_000)
    (0.25, 0.05)
    """
    return 0.25 if rows_per_s < BUSY_ROWS_PER_S else 0.05


class Merger:
    """Merges the parts of all channels, one row group per step.

    An error never affects the rows: the parts stay as they are, and merging is tried again after ten seconds.

    Parameters
    ----------
    path
        The capture's folder, for the log.
    writers
        Returns the writers of the channels.
    interrupted
        Returns whether the recorder has something else to do; checked before each step.
    world
        The clock.
    """

    def __init__(
        self,
        path: Path,
        writers: Callable[[], Iterable[ChannelWriter]],
        interrupted: Callable[[], bool],
        world: World,
    ) -> None:
        self.busy_since: float | None = None
        """The start of the running step on the monotonic clock; None between steps."""
        self._path = path
        self._writers = writers
        self._interrupted = interrupted
        self._world = world
        self._steps: Generator[None, None, None] | None = None  # the merge that has begun
        self._not_before = 0.0

    def run(self, budget_s: float, rows_per_s: float) -> None:
        """Merge parts for up to `budget_s` seconds; a merge that is not complete by then continues at the next call.

        Parameters
        ----------
        budget_s
            The time limit.
        rows_per_s
            The rate at which rows arrive. If it is high, merges are done quickly rather than thoroughly.
        """
        if self._world.monotonic_s() >= self._not_before:
            self._merge(budget_s, thorough=rows_per_s < BUSY_ROWS_PER_S, closed=False)

    def finish(self, budget_s: float) -> None:
        """Merge the parts of a recording that has ended, for up to `budget_s` seconds."""
        self._abandon()
        self._merge(budget_s, thorough=False, closed=True)
        self._abandon()

    def _merge(self, budget_s: float, *, thorough: bool, closed: bool) -> None:
        ends = self._world.monotonic_s() + budget_s
        try:
            while self._world.monotonic_s() < ends and (closed or not self._interrupted()):
                self._steps = self._steps or self._next_merge(thorough=thorough, closed=closed)
                if self._steps is None:
                    break
                self.busy_since = self._world.monotonic_s()
                try:
                    next(self._steps)
                except StopIteration:
                    self._steps = None
            for writer in self._writers():
                writer.remove_replaced()
        except Exception as error:  # if the disk is full, writing the rows will report it
            log.warning("parts of %s could not be merged: %s", self._path, error_text(error))
            self._steps = None
            self._not_before = self._world.monotonic_s() + RETRY_AFTER_S
        finally:
            self.busy_since = None

    def _next_merge(self, *, thorough: bool, closed: bool) -> Generator[None, None, None] | None:
        merges = (writer.merge(closed=closed, thorough=thorough) for writer in self._writers())
        return next((merge for merge in merges if merge is not None), None)

    def _abandon(self) -> None:
        if self._steps is not None:
            self._steps.close()
            self._steps = None
