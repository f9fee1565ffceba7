"""Seen: which messages have come before, by their ids."""

from __future__ import annotations

from collections import deque

REMEMBERED_IDS = 100_000
_NO_ID = frozenset((None, ""))


class Seen:
    """The ids among the last 100,000 of a channel; an empty one is none.

    >>> seen = Seen()
    >>> seen.duplicates(["a", "b", "a", None]), seen.duplicates(["b"])
    ([2], [0])
    """

    def __init__(self, size: int = REMEMBERED_IDS) -> None:
        self._size = size
        self._ids: set[str] = set()
        self._order: deque[str] = deque()

    def duplicates(self, ids: list[str | None]) -> list[int]:
        """Return the places of the ids that were seen before, and remember the others."""
        fresh = set(ids)
        if len(fresh) == len(ids) <= self._size and fresh.isdisjoint(self._ids) and fresh.isdisjoint(_NO_ID):
            self._order.extend(ids)  # type: ignore[arg-type]
            self._ids |= fresh  # type: ignore[arg-type]
            self._forget()
            return []
        found = []
        for place, name in enumerate(ids):
            if not name:
                continue
            if name in self._ids:
                found.append(place)
            else:
                self._ids.add(name)
                self._order.append(name)
                self._forget()
        return found

    def __contains__(self, name: str | None) -> bool:
        return name in self._ids

    def _forget(self) -> None:
        excess = len(self._order) - self._size
        if excess > 0:
            self._ids.difference_update([self._order.popleft() for _ in range(excess)])
