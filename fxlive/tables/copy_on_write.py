"""Protect the buffers behind a DataFrame with pandas' copy-on-write.

pandas copies a column before a write if another live object refers to the same values. An object that lives for ever is
registered with each column, so every write goes to a copy. This needs `Series._references`, a private part of
pandas; it is used nowhere else. Without it, callers copy instead, and the user is warned once.
"""

from __future__ import annotations

import warnings

import pandas as pd


class _Owner:
    """A dummy owner of every column; its only use is to be referred to."""


_OWNER = _Owner()
_REFERENCES = "_references"
_warned = False


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
