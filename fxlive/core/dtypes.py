"""The pandas dtypes that every frame of fxlive uses."""

from __future__ import annotations

import numpy as np
import pandas as pd

UTC = pd.DatetimeTZDtype("us", "UTC")
"""The dtype of every time: UTC, with microseconds."""

STR = pd.StringDtype(na_value=np.nan)
"""The dtype of texts that are not categorical; missing is NaN."""
