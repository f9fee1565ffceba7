"""Detection of messages that were received before, by their ids."""

from __future__ import annotations

from collections import deque

REMEMBERED_IDS = 100_000
_NO_ID = frozenset((None, ""))


class RecentIds:
    """Remembers the last 100,000 message ids of a channel. Missing and empty ids are ignored.

    >>> recent_ids = RecentIds()
    >>> recent_ids.duplicates(["a", "b", "a", None]), recent_ids.duplicates(["b"])
    ([2], [0])
    """

    def __init__(self, size: int = REMEMBERED_IDS) -> None:
        self._size = size
        self._ids: set[str] = set()
        self._order: deque[str] = deque()

    def duplicates(self, ids: list[str | None]) -> list[int]:
        """Return the positions of the ids that are remembered already, and remember the others."""
        fresh = set(ids)
        if len(fresh) == len(ids) <= self._size and fresh.isdisjoint(self._ids) and fresh.isdisjoint(_NO_ID):
            self._order.extend(ids)  # type: ignore[arg-type]
            self._ids |= fresh  # type: ignore[arg-type]
            self._forget()
            return []
        positions = []
        for position, name in enumerate(ids):
            if not name:
                continue
            if name in self._ids:
                positions.append(position)
            else:
                self._ids.add(name)
                self._order.append(name)
                self._forget()
        return positions

    def _forget(self) -> None:
        excess = len(self._order) - self._size
        if excess > 0:
            self._ids.difference_update([self._order.popleft() for _ in range(excess)])
