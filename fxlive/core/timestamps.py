"""Parse ISO 8601 times, a batch at a time, into microseconds since 1970 UTC.

A platform writes all times in one format, so a batch is parsed as one matrix of digits: 0.1 microseconds a time instead
of 0.3 and more one by one. If one time of a batch has another format (an offset, no fraction, an invalid date), the
whole batch is parsed one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import numpy as np
import numpy.typing as npt

Micros = npt.NDArray[np.int64]

NAT = np.iinfo(np.int64).min
"""The value of a missing time, as in numpy."""

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SMALL_BATCH = 8  # up to this size, one by one is faster

# The positions of the digits and of the separators in 2024-01-01T00:00:00.000Z.
_DIGITS_AT = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18]
_SEPARATORS_AT = [4, 7, 10, 13, 16, 19]
_SEPARATORS = np.frombuffer(b"--T::.", np.uint8)
_END = np.frombuffer(b"Z\n", np.uint8)
# The weight of each digit in the date as yyyymmdd, the hour, the minute and the second.
_WEIGHTS = np.array(
    [
        [10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 10, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 1],
    ],
    dtype=np.float64,
).T


def parse_time(text: str) -> int:
    """Return an ISO 8601 time as microseconds since 1970 UTC; a time without an offset is taken as UTC.

    Raises
    ------
    ValueError
        If `text` is not an ISO 8601 date and time, or is outside the years 1 to 9999 in UTC.

    >>> parse_time("1970-01-01T00:00:01.500Z"), parse_time("1970-01-01T01:00:00+01:00")
    (1500000, 0)
    """
    time = datetime.fromisoformat(text[:-1] + "Z" if text.endswith("z") else text)
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    try:
        since = time.astimezone(UTC) - _EPOCH
    except OverflowError:
        raise ValueError(f"outside the years 1 to 9999 in UTC: {text!r}") from None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def parse_times(texts: Sequence[str | None]) -> tuple[Micros, list[int]]:
    """Return each time as microseconds since 1970 UTC, and the indices of the invalid ones.

    A missing (None) or invalid time gives NAT.

    >>> parse_times(["1970-01-01T00:00:00.001Z", None, "soon"])[1]
    [2]
    """
    if len(texts) > _SMALL_BATCH:
        micros = _parse_uniform(texts)
        if micros is not None:
            return micros, []
    return _parse_one_by_one(texts)


def _parse_one_by_one(texts: Sequence[str | None]) -> tuple[Micros, list[int]]:
    micros = np.full(len(texts), NAT, np.int64)
    invalid = []
    for index, text in enumerate(texts):
        if text is not None:
            try:
                micros[index] = parse_time(text)
            except (ValueError, OverflowError):
                invalid.append(index)
    return micros, invalid


def _parse_uniform(texts: Sequence[str | None]) -> Micros | None:
    """Parse times written like 2024-01-01T00:00:00.000Z with 3 to 6 decimals, all alike; None if one differs."""
    if None in texts:
        return None
    count, width = len(texts), len(texts[0] or "")
    # The line ends keep a text that is too short from borrowing a digit of its neighbour.
    raw = "\n".join((*texts, "")).encode("utf-8", "surrogatepass")  # type: ignore[arg-type]
    if not 24 <= width <= 27 or len(raw) != count * (width + 1):
        return None
    lines = np.frombuffer(raw, np.uint8).reshape(count, width + 1)
    chars = lines[:, :-1]
    decimals = list(range(20, width - 1))
    digits = chars[:, _DIGITS_AT + decimals] - 48
    if (digits > 9).any() or (chars[:, _SEPARATORS_AT] != _SEPARATORS).any() or (lines[:, -2:] != _END).any():
        return None
    fields = digits[:, :14].astype(np.float64) @ _WEIGHTS
    fraction = digits[:, 14:].astype(np.float64) @ np.array([10.0 ** (5 - i) for i in range(len(decimals))])
    dates, hours, minutes, seconds = fields.T
    if (hours > 23).any() or (minutes > 59).any() or (seconds > 59).any():
        return None
    days = _days(dates)
    if days is None:
        return None
    time_of_day = (hours * 3600 + minutes * 60 + seconds) * 1e6 + fraction
    micros: Micros = days * 86_400_000_000 + time_of_day.astype(np.int64)
    return micros


def _days(dates: npt.NDArray[np.float64]) -> Micros | None:
    """Return dates given as numbers yyyymmdd as days since 1970; None if one is not in the calendar."""
    if (dates == dates[0]).all():
        distinct, indices = dates[:1], np.zeros(len(dates), np.intp)
    else:
        distinct, indices = np.unique(dates, return_inverse=True)
    try:
        ordinals = [date(int(d) // 10_000, int(d) // 100 % 100, int(d) % 100).toordinal() for d in distinct]
    except ValueError:
        return None
    return (np.array(ordinals, np.int64) - _EPOCH_ORDINAL)[indices]
