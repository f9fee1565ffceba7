"""The pandas dtypes of times and texts in all frames."""

from __future__ import annotations

import numpy as np
import pandas as pd

UTC = pd.DatetimeTZDtype("us", "UTC")
"""The dtype of all times: microseconds, UTC."""

STR = pd.StringDtype(na_value=np.nan)
"""The dtype of text that is not categorical; missing values are NaN."""
