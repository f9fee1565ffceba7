"""Shrinking: the shortest list of actions with which a seed still fails."""

from __future__ import annotations

from collections.abc import Callable


def shrunk(actions: frozenset[int], fails: Callable[[frozenset[int]], bool]) -> frozenset[int]:
    """Return a part of the actions with which it still fails, and without any of which it does not.

    Parameters
    ----------
    actions
        Actions with which it fails.
    fails
        Returns whether it fails with these actions.

    Examples
    --------
    >>> sorted(shrunk(frozenset(range(100)), lambda actions: {3, 50} <= actions))
    [3, 50]
    """
    size = max(1, len(actions) // 2)
    while True:
        ordered = sorted(actions)
        for start in range(0, len(ordered), size):
            fewer = actions - frozenset(ordered[start : start + size])
            if fewer != actions and fails(fewer):
                actions = fewer
        if size == 1 and len(actions) == len(ordered):
            return actions
        size = max(1, size // 2)
