"""Vocabulary: the categories of a categorical column, numbered in the order of their arrival."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fxlive.core.dtypes import STR


class Vocabulary:
    """The distinct values of a categorical column, numbered in the order in which they came."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._codes: dict[str | None, int] = {None: -1}
        self._dtype = pd.CategoricalDtype(pd.Index([], dtype=STR))

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, values: Sequence[str | None]) -> list[int]:
        """Return the code of each value, -1 where missing, giving new codes to new values."""
        codes = self._codes
        try:
            return [codes[value] for value in values]
        except KeyError:
            for value in values:
                if value not in codes:
                    codes[value] = len(self.names)
                    self.names.append(value)  # type: ignore[arg-type]
            return [codes[value] for value in values]

    def code(self, value: str) -> int | None:
        """Return the code of a value; None where it has not come yet."""
        return self._codes.get(value)

    @property
    def dtype(self) -> pd.CategoricalDtype:
        """The pandas dtype with the values so far."""
        if len(self._dtype.categories) != len(self.names):
            self._dtype = pd.CategoricalDtype(pd.Index(self.names, dtype=STR))
        return self._dtype

    @property
    def code_dtype(self) -> np.dtype[Any]:
        """The integer dtype that pandas gives the codes of so many categories."""
        return pd.Categorical.from_codes(np.empty(0, np.int8), dtype=self.dtype).codes.dtype
