"""The categories of a categorical column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fxlive.core.dtypes import STR
from fxlive.tables.columns.text_buffer import TextBuffer

MAX_CATEGORIES = 50_000
MAX_CATEGORY_BYTES = 16 * 2**20


class Vocabulary:
    """The distinct values of a categorical column, numbered in order of arrival. The number is the code.

    At most 50,000 values, and 16 MB of text. If there are more, it is `full`: nothing is added any more, and its
    columns continue as text.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.bytes = 0
        self.full = False
        self._codes: dict[str | None, int] = {None: -1}
        self._texts = TextBuffer()  # the names that `dtype` has: it costs only the new ones
        self._dtype = pd.CategoricalDtype(pd.Index([], dtype=STR))

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, values: Sequence[str | None]) -> list[int]:
        """Return the code of each value, -1 if missing; new values get new codes, or -1 if the vocabulary is full."""
        codes = self._codes
        try:
            return [codes[value] for value in values]
        except KeyError:
            for value in values:
                if value is not None and value not in codes and not self.full:
                    self._add(value)
            return [codes.get(value, -1) for value in values]

    def _add(self, value: str) -> None:
        size = len(value.encode("utf-8", "surrogatepass"))
        if len(self.names) >= MAX_CATEGORIES or self.bytes + size > MAX_CATEGORY_BYTES:
            self.full = True
            return
        self._codes[value] = len(self.names)
        self.names.append(value)
        self.bytes += size

    def texts(self, codes: Any) -> list[str | None]:
        """Return the values of codes, None for -1."""
        names = self.names
        return [None if code < 0 else names[code] for code in codes.tolist()]

    def code(self, value: str) -> int | None:
        """Return the code of a value; None if it has not been seen."""
        return self._codes.get(value)

    @property
    def dtype(self) -> pd.CategoricalDtype:
        """The pandas dtype with the values seen so far."""
        if len(self._dtype.categories) != len(self.names):
            count = len(self.names)  # another thread may be adding to them
            self._texts.append(self.names[self._texts.stop : count], 0)
            self._dtype = pd.CategoricalDtype(pd.Index(self._texts.view(0, count), copy=False))
        return self._dtype

    @property
    def code_dtype(self) -> np.dtype[Any]:
        """The integer dtype that pandas uses for the codes of that many categories."""
        return np.dtype(np.int8 if len(self) < 127 else np.int16 if len(self) < 32_767 else np.int32)
