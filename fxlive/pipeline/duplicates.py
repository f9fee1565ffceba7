"""Detection of messages that were received before: the same id with the same content."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fxlive.wire.batch import Rows
from fxlive.wire.content import Hashes, content_hashes, hashes_of

REMEMBERED = 100_000
"""How many messages of a channel are remembered."""

Positions = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

_FEW = 24  # up to so many messages, a loop is faster than numpy


class RecentMessages:
    """Remembers a channel's last 100,000 messages that have an id: two 64-bit hashes each, at most 32 bytes in all.

    A message is a duplicate if both its id and its content are those of a remembered message, or of one before it in
    the same batch. The content is the decoded columns: white space, the order of the fields and the spelling of numbers
    and times make no difference. An id with other content is re-used.

    The hashes are keyed with a secret of the process (see `PYTHONHASHSEED`). Two messages with one id and different
    content are confused with a probability of 2**-64, two messages with different ids with 2**-128. The probability
    that a new message is dropped by mistake is below 6e-15, even if the 100,000 before it have its id.

    Parameters
    ----------
    size
        How many messages to remember.

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
        self._size = size
        self._index = _Index(2 * size)  # of each message the hash of its id, then the hash of its content

    def find(self, rows: Rows) -> tuple[list[int], int]:
        """Return the indices of the duplicates, and the number of re-used ids. Remember the other messages."""
        ids = rows.values["id"]
        hashes = np.empty((len(ids), 2), np.int64)
        hashes[:, 0] = hashes_of(ids)
        hashes[:, 1] = content_hashes(rows, hashes[:, 0])
        if "" in ids or None in ids:
            with_id = [row for row, name in enumerate(ids) if name]
            duplicates, reused = self._find(hashes[with_id])
            return [with_id[i] for i in duplicates], reused
        return self._find(hashes)

    def _find(self, hashes: Hashes) -> tuple[list[int], int]:
        if len(hashes) <= _FEW:
            return self._find_few(hashes)
        duplicates: list[int] = []
        reused = 0
        for start in range(0, len(hashes), self._size):
            found, reused_ids = self._find_many(hashes[start : start + self._size])
            duplicates += (found + start).tolist()
            reused += reused_ids
        return duplicates, reused

    def _find_few(self, hashes: Hashes) -> tuple[list[int], int]:
        index, duplicates, reused = self._index, [], 0
        index.reserve(2 * len(hashes))
        for row, (name, content) in enumerate(hashes.tolist()):
            known = index.find_one(name)
            if known >= 0:
                at = index.find_one(content)
                if at >= 0 and index.key_at(at - 1) == name:
                    duplicates.append(row)
                    continue
                reused += 1
            index.add_one(name, known)
            index.add_one(content, _NONE)
        return duplicates, reused

    def _find_many(self, hashes: Hashes) -> tuple[npt.NDArray[np.intp], int]:
        index, names = self._index, hashes[:, 0]
        index.reserve(2 * len(hashes))
        known = index.find(names)
        in_order = np.sort(names)
        repeats = bool((in_order[1:] == in_order[:-1]).any())
        if not repeats and known.max() < 0:  # the usual case
            index.add_new(hashes.ravel())
            return np.empty(0, np.intp), 0
        reused, duplicate = known >= 0, np.zeros(len(hashes), np.bool_)
        if reused.any():
            rows = np.flatnonzero(reused)
            at = index.find(hashes[rows, 1])
            duplicate[rows] = (at >= 0) & (index.key_at(at - 1) == names[rows])
        if repeats:
            reused |= _repeated(names)
            duplicate |= _repeated(hashes[:, 1])
        fresh = ~duplicate
        replaced = np.full((len(hashes), 2), _NONE, np.int32)
        replaced[:, 0] = known
        indexed = np.ones((len(hashes), 2), np.bool_)
        if repeats:  # of equal ids only the last is found later
            indexed[fresh, 0] = ~_repeated(names[fresh][::-1])[::-1]
        index.add(hashes[fresh].ravel(), replaced[fresh].ravel(), indexed[fresh].ravel())
        return np.flatnonzero(duplicate), int((reused & fresh).sum())


def _repeated(hashes: Hashes) -> Mask:
    """Return which hashes have occurred before in the same array."""
    repeated = np.ones(len(hashes), np.bool_)
    repeated[np.unique(hashes, return_index=True)[1]] = False
    return repeated


_START_CAPACITY = 4096
_GROWTH = 16  # the memory grows by one part in so many
_BUCKETS_PER_KEY = 0.66
_NONE, _UNLINKED = -1, -2
_MAX_STOP = 2**31 - 1


class _Index:
    """The newest keys of an endless sequence, found by their value.

    The keys of a bucket form a chain, from the newest to the oldest. A chain ends where its next key is too old: keys
    are forgotten without being removed, as in the window of zlib's deflate.

    Parameters
    ----------
    size
        How many keys are remembered.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.stop = 0
        """The position of the next key. The first has position 0."""
        self._keys = np.empty(0, np.int64)
        self._previous = np.empty(0, np.int32)  # the position of the next older key in the same bucket
        self._newest = np.empty(0, np.int32)  # the position of each bucket's newest key
        self._views = self._new_views()
        self.reserve(min(size, _START_CAPACITY))

    def find_one(self, key: int) -> int:
        """Return the position of the newest equal key; -1 if the key is unknown."""
        keys, previous, newest = self._views
        oldest = max(self.stop - self._size, 0)
        at: int = newest[key & (len(newest) - 1)]
        while at >= oldest:
            slot = at % len(keys)
            if keys[slot] == key:
                return at
            at = previous[slot]
        return _NONE

    def find(self, keys: Hashes) -> Positions:
        """Return the position of the newest equal key of each key; -1 for an unknown key."""
        found = np.full(len(keys), _NONE, np.int32)
        oldest = max(self.stop - self._size, 0)
        at = self._newest[keys & (len(self._newest) - 1)]
        sought = np.flatnonzero(at >= oldest)
        at = at[sought]
        while len(sought):
            slots = at % len(self._keys)
            equal = self._keys[slots] == keys[sought]
            found[sought[equal]] = at[equal]
            following = self._previous[slots]
            going_on = np.flatnonzero(~equal & (following >= oldest))
            sought, at = sought[going_on], following[going_on]
        return found

    def key_at(self, position: Any) -> Any:
        """Return the key at a position, or the keys at positions."""
        return self._keys[position % len(self._keys)]

    def add_one(self, key: int, replaced: int) -> None:
        """Add a key, for which there is room. See `add`."""
        keys, previous, newest = self._views
        capacity, bucket = len(keys), key & (len(newest) - 1)
        slot, following = self.stop % capacity, newest[bucket]
        keys[slot] = key
        previous[slot] = previous[replaced % capacity] if replaced == following >= 0 else following
        newest[bucket] = self.stop
        self.stop += 1

    def add_new(self, keys: Hashes) -> None:
        """Add keys, for which there is room, and of which none can be found."""
        positions = np.arange(self.stop, self.stop + len(keys), dtype=np.int32)
        self._keys[positions % len(self._keys)] = keys
        self.stop += len(keys)
        self._link(positions, keys & (len(self._newest) - 1))

    def add(self, keys: Hashes, replaced: Positions, indexed: Mask) -> None:
        """Add keys, at most `size`, for which there is room.

        Parameters
        ----------
        keys
            The keys, in the order of their positions.
        replaced
            The position of the newest equal key of each, as `find` returns it. If it is the first of its chain, it
            leaves the chain: a key that comes again and again does not make the chain longer.
        indexed
            Which keys can be found. The others only have a position.
        """
        capacity = len(self._keys)
        positions = np.arange(self.stop, self.stop + len(keys), dtype=np.int32)
        slots = positions % capacity
        buckets = keys & (len(self._newest) - 1)
        again = np.flatnonzero((replaced >= 0) & (replaced == self._newest[buckets]))
        self._newest[buckets[again]] = self._previous[replaced[again] % capacity]
        self._keys[slots] = keys
        self._previous[slots] = _UNLINKED
        self.stop += len(keys)
        self._link(positions, buckets) if indexed.all() else self._link(positions[indexed], buckets[indexed])

    def _link(self, positions: Positions, buckets: Hashes) -> None:
        """Put the keys at ascending positions at the head of the chains of their buckets."""
        capacity = len(self._keys)
        self._previous[positions % capacity] = self._newest[buckets]
        self._newest[buckets] = positions  # of several keys in one bucket, the last
        behind = np.flatnonzero(self._newest[buckets] != positions)
        if len(behind):  # they come after it in the chain, and the first of them before the rest of the chain
            behind = behind[np.argsort(buckets[behind], kind="stable")]
            bucket, position = buckets[behind], positions[behind]
            is_last = np.append(bucket[1:] != bucket[:-1], True)
            older, newer = position[:-1][~is_last[:-1]], position[1:][~is_last[:-1]]
            self._previous[newer % capacity] = older
            self._previous[self._newest[bucket[is_last]] % capacity] = position[is_last]

    def reserve(self, count: int) -> None:
        """Make room for keys. Before positions exceed 31 bits, they begin at 0 again: former ones change."""
        capacity, stop = len(self._keys), self.stop + count
        if stop > capacity < self._size:
            added = min(self._size, max(stop, capacity + capacity // _GROWTH)) - capacity
            self._keys = np.concatenate([self._keys, np.zeros(added, np.int64)])
            self._previous = np.concatenate([self._previous, np.full(added, _UNLINKED, np.int32)])
            if len(self._newest) != _buckets_for(len(self._keys)):
                self._rebuild()
            self._views = self._new_views()
        elif stop >= _MAX_STOP:
            slots = np.arange(self.stop - self._size, self.stop) % capacity
            self._keys, self._previous = self._keys[slots], self._previous[slots]
            self.stop = self._size
            self._rebuild()
            self._views = self._new_views()

    def _new_views(self) -> tuple[memoryview, memoryview, memoryview]:
        """Return the arrays as memory views, in which reading and writing one item is several times as fast."""
        return self._keys.data, self._previous.data, self._newest.data

    def _rebuild(self) -> None:
        self._newest = np.full(_buckets_for(len(self._keys)), _NONE, np.int32)
        linked = np.flatnonzero(self._previous[: self.stop] != _UNLINKED).astype(np.int32)
        self._link(linked, self._keys[linked] & (len(self._newest) - 1))


def _buckets_for(capacity: int) -> int:
    """Return the number of buckets, a power of two."""
    return 1 << max(int(capacity * _BUCKETS_PER_KEY), 1).bit_length() - 1
