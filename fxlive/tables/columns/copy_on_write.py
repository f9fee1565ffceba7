"""Protect the buffers behind a DataFrame: read-only memory, and pandas' copy-on-write.

The arrays of a frame lie over memory whose owner is read-only, so numpy refuses to make them writable. pandas copies a
column before a write if another live object refers to the same values. An object that lives for ever is registered with
each column, so every write goes to a copy. This needs `Series._references`, a private part of pandas; it is used
nowhere else. Without it, callers copy instead, and the user is warned once.
"""

from __future__ import annotations

import warnings
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa


class _Owner:
    """A dummy owner of every column; its only use is to be referred to."""


_OWNER = _Owner()
_REFERENCES = "_references"
_warned = False


class _ObjectMemory:
    """The owner of an array of objects, as numpy sees it. It has no reference to the writable array."""

    __slots__ = ("__array_interface__", "__weakref__")
    __array_interface__: dict[str, Any]


def read_only_buffer(array: npt.NDArray[Any]) -> Any:
    """Return the memory of an array as an Arrow buffer that cannot be written."""
    return pa.py_buffer(memoryview(array).toreadonly())  # type: ignore[arg-type]


def read_only_array(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array over the memory of a contiguous array. Its owner is read-only, so it cannot be made writable.

    >>> values = np.zeros(2)
    >>> protected = read_only_array(values)
    >>> values[0] = 1.5
    >>> float(protected[0]), protected.flags.writeable
    (1.5, False)
    >>> protected.flags.writeable = True
    Traceback (most recent call last):
        ...
    ValueError: cannot set WRITEABLE flag to True of this array
    """
    if not array.dtype.hasobject:
        return np.frombuffer(read_only_buffer(array), array.dtype)
    memory = _ObjectMemory()  # numpy has no buffer of objects
    memory.__array_interface__ = {
        "shape": array.shape,
        "typestr": "|O",
        "data": (array.__array_interface__["data"][0], True),
        "version": 3,
    }
    weakref.finalize(memory, lambda _: None, array).atexit = False  # keeps the array alive as long as `memory`
    return np.asarray(memory)


def share_columns(frame: pd.DataFrame) -> bool:
    """Mark every column of a frame as shared, so that later writes into slices of the frame go to a copy.

    Returns
    -------
    bool
        False if this version of pandas offers no way to do it; then slices must be copied.

    Warns
    -----
    RuntimeWarning
        Once per process, if pandas offers no way to do it.
    """
    global _warned
    try:
        for i in range(frame.shape[1]):
            getattr(frame.iloc[:, i], _REFERENCES).add_index_reference(_OWNER)
    except AttributeError:
        if not _warned:
            _warned = True
            warnings.warn(
                f"pandas {pd.__version__} has no Series.{_REFERENCES}: each frame() is a copy, which is slower. "
                "Update fxlive, or use an earlier pandas.",
                RuntimeWarning,
                stacklevel=2,
            )
        return False
    return True
