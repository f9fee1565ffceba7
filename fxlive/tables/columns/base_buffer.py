"""The base class of column buffers: append-only memory for the rows of a rolling window.

Rows are numbered in order of arrival. A buffer holds the rows of one column from row `base` on, in contiguous memory.
When it is full, the rows that are still in the window are copied to new memory; the old memory is freed when no frame
refers to it any more. Only memory behind the rows of all frames is written, so frames never change.

New memory comes from `np.zeros`, which takes up no physical memory until it is written. The buffer of a window that
still grows doubles. The buffer of a window that rolls gets 25 % slack and, depending on the column (`stagger`), a
little more. A full window then takes at most 1.4 times its size, and its columns are not all reallocated at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

MIN_CAPACITY = 256
"""The capacity of a new buffer, and the least slack, in rows."""


class Buffer(ABC):
    """The rows of one column from `base` up to `stop`. `generation` changes with every reallocation."""

    def __init__(self, first: int, stagger: float) -> None:
        self.base = self.stop = first
        self.generation = 0
        self._first_at_reallocation = first
        self._next_size_check = first + MIN_CAPACITY
        self._stagger = stagger

    @property
    @abstractmethod
    def capacity(self) -> int:
        """The number of rows that fit into the buffer."""

    def pack(self, values: Any) -> Any:
        """Return the values of a batch in the form that `append` stores fastest, and that may be kept and shared."""
        return values

    @abstractmethod
    def append(self, values: Any, first: int) -> None:
        """Append rows. Rows before number `first` have been evicted, and are dropped when the buffer is reallocated."""

    @abstractmethod
    def view(self, start: int, stop: int) -> Any:
        """Return rows as a pandas array over the buffer, without a copy; `stop` may lie beyond the last row written."""

    @abstractmethod
    def raw(self, row: int) -> Any:
        """Return one value in a form that `append` accepts."""

    @abstractmethod
    def append_missing(self, count: int, first: int) -> None:
        """Append rows without a value, without a Python object for each; `first` as in `append`."""

    @abstractmethod
    def copy_from(self, source: Any, rows: npt.NDArray[np.int64]) -> None:
        """Append rows of another buffer of the same class, given their numbers there."""

    def text_bytes(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the size of each row's text; 0 for other values, whose size is bounded."""
        return np.zeros(len(rows), np.int64)

    @abstractmethod
    def empty_like(self) -> Buffer:
        """Return an empty buffer of the same dtype."""

    def update_dtype(self) -> None:  # noqa: B027 - most dtypes never change
        """Convert the buffer to the dtype that a view must have now."""

    @property
    def overflowed(self) -> bool:
        """Whether the buffer cannot hold new values, so that its column must continue as text."""
        return False

    def _next_capacity(self, first: int, count: int) -> int:
        """Return the capacity after a reallocation that keeps the rows from `first` on, before `count` more rows."""
        kept = self.stop - first
        growing = first == self._first_at_reallocation
        self._first_at_reallocation = first
        self._next_size_check = first + self._slack(kept)
        return kept + count + (max(MIN_CAPACITY, kept) if growing else self._slack(kept))

    def _slack(self, rows: int) -> int:
        """Return the number of free rows for the buffer of a rolling window that holds `rows` rows."""
        return max(MIN_CAPACITY, int(rows * 0.25 * (1 + self._stagger)))

    def _is_oversized(self, first: int) -> bool:
        """Return whether the evicted rows before `first` take more than the slack of a new buffer.

        That is so if the window has stopped growing or has shrunk since the last reallocation. Called only if `first`
        is greater than `_next_size_check`.
        """
        self._next_size_check = self.base + self._slack(self.stop - first)
        return first > self._next_size_check
