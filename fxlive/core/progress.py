"""How far the timestamps of a channel have come: the newest one that the messages around it support.

The timestamps of a platform are evidence, not proof. One message with a timestamp far ahead must not become the newest
row, move a window or end a chart. `Progress` follows the timestamps in the order of arrival and decides which to trust.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Micros = npt.NDArray[np.int64]

NEAR_US = 60_000_000
"""Timestamps at most this far apart support each other."""

CONFIRMATIONS = 3
"""So many messages in a row confirm a jump of a channel that had at least as many before."""

LONG_AGO = int(np.iinfo(np.int64).min)
"""The end of a channel without messages."""

_PACE_S = 5  # the pace of the timestamps is measured over at least so many seconds
_BLOCK, _FEW = 16_384, 128


@dataclass
class _Track:
    """Messages whose timestamps follow each other.

    `support` of them are near its end, and `length` have led to it, also over longer steps.
    """

    end: int
    support: int
    received_at: int  # the last receipt
    length: int = 0


class Progress:
    """Follows the timestamps of one channel, in the order of arrival.

    `end` is the newest trusted timestamp. Rows with a later one are outliers. The rules, in which near means within a
    minute:

    - A timestamp near `end` is trusted.
    - One further ahead is an outlier until messages in a row go on from there: as many as the channel had before, at
      most three. A jump is followed at once if it is as long as the time since the last message, or if such a market
      makes it: one that runs faster than time, as its former timestamps or its last jump have shown.
    - Timestamps further back are late rows. But if the messages that led to `end` are few, and more in a row than
      these, and at least three, contradict them, `end` goes back: so a wrong first message is corrected.
    - An outlier that was contradicted stays one, also when `end` reaches its timestamp.

    Times are in microseconds since 1970 UTC.

    Examples
    --------
    >>> progress = Progress()
    >>> minute = 60_000_000
    >>> progress.add(np.array([0, 1, 2, 600 * minute, 3, 4]), np.arange(6))
    >>> progress.end, progress.outliers
    (4, 1)
    """

    def __init__(self) -> None:
        self.count = 0
        """How many messages there were."""
        self.pending: list[int] = []
        """The numbers of the outliers that the next messages may confirm, counted from 0: those of a rival ahead."""
        self.contradicted: list[int] = []
        """The numbers of the outliers that others have contradicted. Readers may clear the list."""
        self.corrections: list[tuple[int, int]] = []
        """Each time that `end` went back: the number of the next message, and the new end.

        The former messages that are later than that end are outliers. Readers may clear the list.
        """
        self._track: _Track | None = None
        self._rival: _Track | None = None  # messages in a row that are far from the track
        self._outliers = 0
        self._pace = 1.0  # how much faster than time the timestamps run
        self._pace_from = (0, 0)  # the timestamp and the receipt from which the pace is measured
        self._last_step = 0  # the last step that was not near, until the messages after it have shown another pace
        self._carried = False  # whether the rival has messages of former calls of `add`
        self.revisions = 0
        """How often messages of former calls of `add` became outliers, or outliers became trusted."""

    @property
    def end(self) -> int:
        """The newest trusted timestamp; `LONG_AGO` without messages."""
        return LONG_AGO if self._track is None else self._track.end

    @property
    def settled(self) -> int:
        """The end, or that before the last jump, until a second message has confirmed the jump."""
        if self._track is None or self._rival is None:
            return self.end
        return min(self._track.end, self._rival.end)

    @property
    def outliers(self) -> int:
        """How many messages were, or are, ahead of the end."""
        return self._outliers + len(self.pending)

    def are_outliers(self, timestamps: Micros, first: int = 0) -> npt.NDArray[np.bool_]:
        """Return which messages are outliers, given the timestamps of all messages from number `first` on."""
        limits: Micros | int = self.end
        if self.corrections:  # the least end among those that came after each message
            limits = np.full(len(timestamps), self.end)
            for count, end in self.corrections:
                if count > first:
                    limits[count - first - 1] = min(limits[count - first - 1], end)
            limits = np.minimum.accumulate(limits[::-1])[::-1]
        outlier: npt.NDArray[np.bool_] = timestamps > limits
        if self.contradicted:
            outlier[[number - first for number in self.contradicted if number >= first]] = True
        return outlier

    def add(self, timestamps: Micros, received_at: Micros) -> None:
        """Follow messages, given their timestamps and receipts in the order of arrival."""
        count = len(timestamps)
        if not count:
            return
        self._carried = bool(self.pending)
        index = 0
        if self._track is None:
            self._begin(int(timestamps[0]), int(received_at[0]))
            self.count = index = 1
        while index < count:
            if self._rival is None:
                index += self._follow(timestamps[index : index + _BLOCK], received_at[index : index + _BLOCK])
            if index >= count or (self._is_near(int(timestamps[index])) and self._rival is None):
                continue
            some = slice(index, index + _FEW)  # where one is far from the others, more may be
            for at, received in zip(timestamps[some].tolist(), received_at[some].tolist(), strict=True):
                self._add_one(at, received)
                self.count += 1
            index += _FEW

    def _begin(self, at: int, received_at: int) -> None:
        self._track = _Track(at, 1, received_at, 1)
        self._pace, self._pace_from = 1.0, (at, received_at)

    def _is_near(self, at: int) -> bool:
        return self._track is not None and abs(at - self._track.end) <= NEAR_US

    def _follow(self, timestamps: Micros, received_at: Micros) -> int:
        """Take the timestamps before the first that is not near the end; return their number."""
        track = self._track
        assert track is not None
        count = len(timestamps)
        if not count:
            return 0
        highest = int(timestamps.max())
        if highest > track.end + NEAR_US or int(timestamps.min()) < max(highest, track.end) - NEAR_US:
            ends = np.maximum.accumulate(np.concatenate([[track.end], timestamps]))
            far = np.abs(timestamps - ends[:-1]) > NEAR_US
            if far.any():
                count = int(far.argmax())
                if not count:
                    return 0
            highest = int(ends[count])
        self._extend(highest, count, int(received_at[count - 1]))
        self.count += count
        return count

    def _extend(self, at: int, count: int, received_at: int) -> None:
        track = self._track
        assert track is not None
        track.end = max(track.end, at)
        track.support += count
        track.length += count
        track.received_at = received_at
        self._measure_pace()

    def _measure_pace(self) -> None:
        assert self._track is not None
        elapsed = self._track.received_at - self._pace_from[1]
        if elapsed >= _PACE_S * 1_000_000:
            self._pace = max(1.0, (self._track.end - self._pace_from[0]) / elapsed)
        if not 0 <= elapsed < _PACE_S * 1_000_000:
            self._pace_from = (self._track.end, self._track.received_at)

    def _add_one(self, at: int, received_at: int) -> None:
        track, rival = self._track, self._rival
        assert track is not None
        if self._is_near(at):
            self._drop_rival()
            self._extend(at, 1, received_at)
            return
        if rival is None or not self._follows(rival, at, received_at):
            if rival is None or not track.end < rival.end <= at:  # a message further ahead does not contradict it
                self._drop_rival()
            rival = self._rival = _Track(at, 0, received_at)
        rival.end, rival.received_at = max(rival.end, at), received_at
        rival.support += 1
        rival.length += 1
        if rival.end > track.end:
            self.pending.append(self.count)
        if rival.end < track.end:
            # A single message that a silence made plausible is contradicted by the first one near the track before it.
            against = track.support if rival.length > rival.support else track.length
            if rival.support >= max(CONFIRMATIONS, against + 1):
                self._outliers += track.support
                self.corrections.append((self.count + 1, rival.end))
                self._track, self._rival = rival, None
                self._pace, self._pace_from, self._last_step = 1.0, (rival.end, received_at), 0
                self.revisions += 1
            return
        elapsed = max(0, received_at - track.received_at)
        step = at - track.end
        expected = step <= NEAR_US + 2 * self._pace * elapsed
        expected = expected or (step <= 2 * self._last_step and track.support <= CONFIRMATIONS)
        before = self.count + 1 - rival.support
        if expected or rival.support >= min(CONFIRMATIONS, before):
            self.revisions += self._carried
            self.pending.clear()
            self._track, self._last_step = rival, step
            rival.length += track.length if expected else 0
            # A single message may still be wrong: the messages before it are remembered until another supports it.
            track.support = min(track.support, CONFIRMATIONS - 1)
            self._rival = track if rival.support == 1 else None
            self._measure_pace()

    def _follows(self, rival: _Track, at: int, received_at: int) -> bool:
        """Return whether a timestamp can come after the rival's: near it, or as far as time or the market has run."""
        assert self._track is not None
        step, ahead = at - rival.end, rival.end - self._track.end
        if ahead > 0 and at > self._track.end:  # a market may run faster than time: then its steps are alike
            return -NEAR_US <= step <= max(NEAR_US, 2 * ahead)
        return -NEAR_US <= step <= NEAR_US + 2 * self._pace * max(0, received_at - rival.received_at)

    def _drop_rival(self) -> None:
        self._outliers += len(self.pending)
        self.contradicted += self.pending
        self.pending.clear()
        self._rival, self._carried = None, False
