"""Compact forms of a batch's texts and codes, made once and shared by the table and the recorder.

Rows that wait to be written to disk then hold no Python object per value. Such objects would cost memory, and the feed
would lose time freeing them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class PackedTexts:
    r"""Texts in one buffer: `data` in UTF-8, the `sizes` in bytes, and `valid`, a mask of texts that are not missing.

    `valid` is None if no text is missing.

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
        """Pack texts; None is a missing one.

        Raises
        ------
        UnicodeEncodeError
            If a text contains a lone surrogate, which UTF-8 cannot encode.
        """
        missing = None in values
        texts: Sequence[str] = [value or "" for value in values] if missing else values  # type: ignore[assignment]
        joined = "".join(texts)
        data = joined.encode()
        lengths = map(len, texts) if len(data) == len(joined) else (len(text.encode()) for text in texts)
        sizes = np.fromiter(lengths, np.int64, len(texts))
        valid = np.array([value is not None for value in values], np.bool_) if missing else None
        return cls(data, sizes, valid)

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def nbytes(self) -> int:
        """The memory of the texts, in bytes."""
        return len(self.data) + self.sizes.nbytes + (0 if self.valid is None else self.valid.nbytes)

    def __getitem__(self, index: int | slice) -> Any:
        ends = np.cumsum(self.sizes)
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            begin = int(ends[start] - self.sizes[start]) if start < stop else 0
            end = int(ends[stop - 1]) if start < stop else 0
            valid = None if self.valid is None else self.valid[start:stop]
            return PackedTexts(self.data[begin:end], self.sizes[start:stop], valid)
        if self.valid is not None and not self.valid[index]:
            return None
        return self.data[int(ends[index] - self.sizes[index]) : int(ends[index])].decode()


class PackedCodes:
    """Categorical values: `codes` are indices into `names`, which only grows; -1 is missing.

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
        """The memory of the codes, in bytes. The names are shared and not counted."""
        return self.codes.nbytes

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return PackedCodes(self.codes[index], self.names)
        code = int(self.codes[index])
        return None if code < 0 else self.names[code]
