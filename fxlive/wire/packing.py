"""Texts and codes of a batch as a few numbers and bytes: made once, for the window and for the recorder alike.

What waits for the disk is then no Python object for each value, which would cost memory, and the feed the time to let
go of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class PackedTexts:
    r"""Texts one behind the other: their bytes in UTF-8, the size of each, and which are there (None: all).

    >>> packed = PackedTexts.of(["a", None, "é"])
    >>> packed.data, packed.sizes.tolist(), packed[2], packed[1:][0]
    (b'a\xc3\xa9', [1, 0, 2], 'é', None)
    """

    __slots__ = ("data", "sizes", "valid")

    def __init__(self, data: bytes, sizes: npt.NDArray[np.int64], valid: npt.NDArray[np.bool_] | None) -> None:
        self.data = data
        self.sizes = sizes
        self.valid = valid

    @classmethod
    def of(cls, values: Sequence[str | None]) -> PackedTexts:
        """Pack texts.

        Raises
        ------
        UnicodeEncodeError
            For half a surrogate pair, which no file can hold.
        """
        missing = None in values
        texts: Sequence[str] = [value or "" for value in values] if missing else values  # type: ignore[assignment]
        together = "".join(texts)
        data = together.encode()
        lengths = map(len, texts) if len(data) == len(together) else (len(text.encode()) for text in texts)
        sizes = np.fromiter(lengths, np.int64, len(texts))
        valid = np.array([value is not None for value in values], np.bool_) if missing else None
        return cls(data, sizes, valid)

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def nbytes(self) -> int:
        """How much memory it takes."""
        return len(self.data) + self.sizes.nbytes + (0 if self.valid is None else self.valid.nbytes)

    def __getitem__(self, place: int | slice) -> Any:
        ends = np.cumsum(self.sizes)
        if isinstance(place, slice):
            start, stop, _ = place.indices(len(self))
            begin = int(ends[start] - self.sizes[start]) if start < stop else 0
            end = int(ends[stop - 1]) if start < stop else 0
            valid = None if self.valid is None else self.valid[start:stop]
            return PackedTexts(self.data[begin:end], self.sizes[start:stop], valid)
        if self.valid is not None and not self.valid[place]:
            return None
        return self.data[int(ends[place] - self.sizes[place]) : int(ends[place])].decode()


class PackedCodes:
    """Values as numbers into a list of names, which only grows; -1 where missing.

    >>> packed = PackedCodes(np.array([1, -1], np.int32), ["a", "b"])
    >>> packed[0], packed[1:][0]
    ('b', None)
    """

    __slots__ = ("codes", "names")

    def __init__(self, codes: npt.NDArray[np.int32], names: list[str]) -> None:
        self.codes = codes
        self.names = names

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def nbytes(self) -> int:
        """How much memory it takes, besides the names, which others hold too."""
        return self.codes.nbytes

    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return PackedCodes(self.codes[place], self.names)
        code = int(self.codes[place])
        return None if code < 0 else self.names[code]
