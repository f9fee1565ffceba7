"""Detection of messages that were received before: the same id with the same content."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fxlive.wire.batch import Rows
from fxlive.wire.content import Hashes, content_hashes, hashes_of

REMEMBERED = 100_000
"""How many messages of a channel are remembered, at least."""

Mask = npt.NDArray[np.bool_]

_FEW = 24  # up to so many messages, a loop is faster than numpy


class RecentMessages:
    """Remembers a channel's last 100,000 messages that have an id, or some more: at most 32 bytes each of the 100,000.

    A message is a duplicate if both its id and its content are those of a remembered message, or of one before it in
    the same batch. The content is the decoded columns: white space, the order of the fields and how a number or a time
    is written make no difference. An id with other content is re-used.

    Two 64-bit hashes stand for a message: that of its id, and that of its content, the id included. They are keyed with
    a secret of the process (see `PYTHONHASHSEED`). Two messages with one id and different content are confused with a
    probability of 2**-64. The probability that a new message is dropped by mistake is below 8e-15, even if all
    remembered messages have its id.

    Parameters
    ----------
    size
        How many messages to remember at least.

    Examples
    --------
    >>> from fxlive.wire.protocol import decode
    >>> quote = b'{"type":"market_data","channel":"market-data","data":{"symbol":"EURUSD","bid":1.1},"id":"a",'
    >>> quote += b'"timestamp":"2024-01-01T00:00:00Z"}'
    >>> rows = decode([quote, quote, quote.replace(b"1.1", b"1.2")], 0).rows["market-data"]
    >>> RecentMessages().find(rows)
    ([1], 1)
    """

    def __init__(self, size: int = REMEMBERED) -> None:
        self._filter = HashFilter(size)
        self._ids = RecentHashes(size)
        self._contents = RecentHashes(size)

    def find(self, rows: Rows) -> tuple[list[int], int]:
        """Return the indices of the duplicates, and the number of re-used ids. Remember the other messages."""
        ids = rows.values["id"]
        names = hashes_of(ids)
        contents = content_hashes(rows, names)
        if "" in ids or None in ids:
            with_id = [row for row, name in enumerate(ids) if name]
            duplicates, reused = self._find(names[with_id], contents[with_id])
            return [with_id[i] for i in duplicates], reused
        return self._find(names, contents)

    def _find(self, names: Hashes, contents: Hashes) -> tuple[list[int], int]:
        suspects = self._filter.suspects(names)
        if len(suspects):
            suspects = suspects[self._ids.contain(names[suspects])]
        if not len(suspects) and not _has_repeats(names):  # the usual case
            self._remember(names, contents)
            return [], 0
        known = set(suspects.tolist())
        received = set(suspects[self._contents.contain(contents[suspects])].tolist())
        duplicates: list[int] = []
        fresh: list[int] = []
        reused = 0
        new_names, new_contents = set[int](), set[int]()
        for row, (name, content) in enumerate(zip(names.tolist(), contents.tolist(), strict=True)):
            if row in received or (name in new_names and content in new_contents):
                duplicates.append(row)
            else:
                reused += row in known or name in new_names
                fresh.append(row)
                new_names.add(name)
                new_contents.add(content)
        self._remember(names[fresh], contents[fresh])
        return duplicates, reused

    def _remember(self, names: Hashes, contents: Hashes) -> None:
        self._ids.add(names)
        self._contents.add(contents)
        if not self._filter.add(names):
            self._filter.rebuild(self._ids.arrays)


def _has_repeats(hashes: Hashes) -> bool:
    if len(hashes) <= _FEW:
        return len(set(hashes.tolist())) < len(hashes)
    in_order = np.sort(hashes)
    return bool((in_order[1:] == in_order[:-1]).any())


class RecentHashes:
    """A set of the last hashes that were added: at least `size`, and up to 32,768 more.

    The newest arrays of hashes are kept as they come. From time to time they become a sorted array, a *run*. Runs of
    similar length are merged, and the oldest run is dropped if the others have enough hashes.

    Parameters
    ----------
    size
        How many hashes to remember at least.

    Examples
    --------
    >>> recent = RecentHashes(100)
    >>> recent.add(np.array([1, 2]))
    >>> recent.contain(np.array([2, 3]))
    array([ True, False])
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._newest: list[Hashes] = []
        self._in_newest = 0
        self._runs: list[Hashes] = []  # from the oldest to the newest
        self._in_runs = 0

    @property
    def arrays(self) -> list[Hashes]:
        """The remembered hashes, in several arrays."""
        return [*self._runs, *self._newest]

    def add(self, hashes: Hashes) -> None:
        """Add hashes."""
        self._newest.append(hashes)
        self._in_newest += len(hashes)
        if self._in_newest >= _MAX_NEWEST or len(self._newest) >= _MAX_ARRAYS:
            self._sort()

    def contain(self, hashes: Hashes) -> Mask:
        """Return for each hash whether it is remembered."""
        self._sort()
        found = np.zeros(len(hashes), np.bool_)
        for run in self._runs:
            found |= run.take(run.searchsorted(hashes), mode="clip") == hashes
        return found

    def _sort(self) -> None:
        """Make a run of the newest hashes."""
        if not self._in_newest:
            return
        run, runs = np.sort(np.concatenate(self._newest)), self._runs
        self._newest, self._in_newest = [], 0
        self._in_runs += len(run)
        while runs and len(runs[-1]) < 2 * len(run) and len(runs[-1]) + len(run) <= _MAX_RUN:
            run = np.sort(np.concatenate([runs.pop(), run]), kind="stable")  # which merges what is sorted
        runs.append(run)
        while self._in_runs - len(runs[0]) >= self._size:
            self._in_runs -= len(runs.pop(0))


_MAX_NEWEST = 4_096
_MAX_ARRAYS = 64
_MAX_RUN = 32_768


class HashFilter:
    """Finds most hashes that have not been added: a Bloom filter in which one 64-bit word has all bits of a hash.

    Some bits of a hash choose the word, others one of 4,096 patterns of at most four bits, which are set in the word.
    Hashes are never removed: when there are too many, the filter is built again from those that are still needed.

    Parameters
    ----------
    size
        How many hashes are needed at most. About one in 200 others is a suspect.

    Examples
    --------
    >>> recent = HashFilter(100)
    >>> recent.add(np.array([1, 2]))
    True
    >>> recent.suspects(np.array([2, 3]))
    array([0])
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._count = 0
        self._words = np.zeros(_START_WORDS, np.int64)

    def suspects(self, hashes: Hashes) -> npt.NDArray[np.intp]:
        """Return the indices of the hashes that may have been added, in order."""
        if len(hashes) <= _FEW:
            return np.array([i for i, value in enumerate(hashes.tolist()) if self._is_suspect(value)], np.intp)
        patterns = _PATTERNS[hashes >> _SHIFT & (len(_PATTERNS) - 1)]
        return np.flatnonzero(self._words[hashes & (len(self._words) - 1)] & patterns == patterns)

    def _is_suspect(self, value: int) -> bool:
        pattern = _ONE_BY_ONE[value >> _SHIFT & (len(_PATTERNS) - 1)]
        return bool(self._words.data[value & (len(self._words) - 1)] & pattern == pattern)

    def add(self, hashes: Hashes) -> bool:
        """Add hashes; return whether the filter is still good, or must be built again."""
        self._count += len(hashes)
        if len(hashes) <= _FEW:
            words, mask = self._words.data, len(self._words) - 1  # its items are read faster than those of an array
            for value in hashes.tolist():
                words[value & mask] |= _ONE_BY_ONE[value >> _SHIFT & (len(_PATTERNS) - 1)]
            return self._is_good()
        at, patterns = hashes & (len(self._words) - 1), _PATTERNS[hashes >> _SHIFT & (len(_PATTERNS) - 1)]
        while len(at):  # of several hashes with the same word, each pass adds at least one
            self._words[at] |= patterns
            lacking = np.flatnonzero(self._words[at] & patterns != patterns)
            at, patterns = at[lacking], patterns[lacking]
        return self._is_good()

    def _is_good(self) -> bool:
        return self._count <= len(self._words) * _HASHES_PER_WORD

    def rebuild(self, arrays: Sequence[Hashes]) -> None:
        """Build the filter from the hashes that are still needed."""
        needed = sum(map(len, arrays))
        count = len(self._words)
        while count * _HASHES_PER_WORD < min(2 * needed, 2 * self._size):
            count *= 2
        self._words, self._count = np.zeros(count, np.int64), 0
        for hashes in arrays:
            self.add(hashes)


_START_WORDS = 1_024
_HASHES_PER_WORD = 4
_PATTERNS = np.bitwise_or.reduce(np.int64(1) << np.random.default_rng(0).integers(0, 64, (4_096, 4)), axis=1)
_ONE_BY_ONE: list[int] = _PATTERNS.tolist()
_SHIFT = 40
