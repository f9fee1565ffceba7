"""How far the timestamps of a channel have come, whatever single messages say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxlive.core.progress import LONG_AGO, Progress

SECOND, MINUTE, HOUR, DAY, YEAR = (n * 1_000_000 for n in (1, 60, 3_600, 86_400, 31_536_000))
T0 = 1_704_067_200_000_000


def follow(*timestamps: int, pace: float = 1.0, size: int | None = None) -> Progress:
    """Follow timestamps (after T0), received as time runs, or all at once with pace 0."""
    return followed([(at, round(max(at, 0) / pace) if pace else 0) for at in timestamps], size)


def followed(messages: list[tuple[int, int]], size: int | None = None) -> Progress:
    progress = Progress()
    size = size or len(messages) or 1
    for start in range(0, len(messages), size):
        stamps, receipts = np.array(messages[start : start + size], np.int64).T + T0
        progress.add(stamps, receipts)
    return progress


def seconds(start: int, stop: int) -> list[int]:
    return [n * SECOND for n in range(start, stop)]


def test_without_messages_there_is_no_end() -> None:
    progress = Progress()
    progress.add(np.empty(0, np.int64), np.empty(0, np.int64))
    assert (progress.end, progress.settled, progress.outliers) == (LONG_AGO, LONG_AGO, 0)


@pytest.mark.parametrize("ahead", [2 * MINUTE, HOUR, DAY, YEAR, 7_000 * YEAR])
@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_one_message_ahead_is_not_followed(ahead: int, size: int) -> None:
    messages = [(at, at) for at in seconds(0, 60)]
    messages += [(60 * SECOND + ahead, 60 * SECOND), *((at, at) for at in seconds(61, 600))]
    progress = followed(messages, size)
    assert (progress.end, progress.outliers) == (T0 + 599 * SECOND, 1)
    assert followed(messages[:61], size).end == T0 + 59 * SECOND


@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_a_wrong_message_at_the_start_is_corrected_by_those_after_it(before: int) -> None:
    stamps = [*seconds(0, before), YEAR, *seconds(before, before + 3)]
    progress = follow(*stamps, pace=0, size=1)
    assert (progress.end, progress.outliers) == (T0 + (before + 2) * SECOND, 1)


def test_many_wrong_messages_that_never_agree_are_not_followed() -> None:
    stamps = [at + (n * DAY if n % 3 == 2 else 0) for n, at in enumerate(seconds(0, 600))]
    progress = followed([(at, r) for at, r in zip(stamps, seconds(0, 600), strict=True)])
    assert (progress.end, progress.outliers) == (T0 + 598 * SECOND, 199 + (600 % 3 == 0))


def test_wrong_messages_that_confirm_each_other_are_outliers_once_more_contradict_them() -> None:
    receipts = seconds(0, 600)
    stamps = [at + (YEAR if 100 <= n < 105 else 0) for n, at in enumerate(receipts)]
    progress = followed(list(zip(stamps, receipts, strict=True)), 1)
    assert (progress.end, progress.outliers) == (T0 + 599 * SECOND, 5)


@pytest.mark.parametrize("jump", [2 * MINUTE, 5 * HOUR, 48 * HOUR, YEAR])
def test_a_market_that_goes_on_at_another_time_is_followed_after_a_few_messages(jump: int) -> None:
    progress = followed([(at, at) for at in seconds(0, 100)])
    for n, expected in enumerate((99, 99, 102)):
        at = (100 + n) * SECOND
        progress.add(np.array([T0 + at + jump]), np.array([T0 + at]))
        assert progress.end == T0 + expected * SECOND + (jump if n == 2 else 0)
    assert progress.outliers == 0


def test_a_message_after_a_silence_of_two_days_is_followed_at_once() -> None:
    progress = follow(*seconds(0, 100), 2 * DAY)
    assert (progress.end, progress.outliers) == (T0 + 2 * DAY, 0)


@pytest.mark.parametrize("pace", [1.0, 60.0, 300.0, 3_600.0])
@pytest.mark.parametrize("together", [1, 2, 5])
def test_a_simulated_market_at_any_speed_is_followed_at_once(pace: float, together: int) -> None:
    for step in (SECOND // 10, SECOND, 20 * SECOND):
        progress = Progress()
        for n in range(200):
            stamps = np.full(together, T0 - 10 * YEAR + int(n * step * pace))
            progress.add(stamps, np.full(together, T0 + n * step))
            assert progress.end == stamps[-1], (step, n)
        assert progress.outliers == 0


def test_late_messages_change_nothing() -> None:
    stamps = [at - (HOUR if n % 2 else 0) for n, at in enumerate(seconds(0, 600))]
    progress = followed(list(zip(stamps, seconds(0, 600), strict=True)))
    assert (progress.end, progress.outliers) == (T0 + 598 * SECOND, 0)
    progress = followed([*((at, at) for at in seconds(0, 600)), *((at, 600 * SECOND) for at in seconds(0, 500))])
    assert (progress.end, progress.outliers) == (T0 + 599 * SECOND, 0)


def test_an_outlier_after_a_silence_is_taken_back_by_the_next_message() -> None:
    messages = [(at, at) for at in seconds(0, 100)]
    messages += [(DAY + 5 * HOUR, DAY), (DAY, DAY + SECOND)]
    progress = followed(messages, 1)
    assert progress.settled <= T0 + DAY
    progress.add(*(np.array([T0 + DAY + n * SECOND for n in range(2, 6)]),) * 2)
    assert (progress.end, progress.outliers) == (T0 + DAY + 5 * SECOND, 1)


Offsets = st.sampled_from([0, 0, 0, 0, 0, SECOND, -SECOND, 30 * SECOND, HOUR, -HOUR, DAY, YEAR])


@given(st.lists(st.tuples(Offsets, st.integers(0, 90 * SECOND)), max_size=60), st.integers(1, 60))
def test_the_size_of_the_batches_makes_no_difference(steps: list[tuple[int, int]], size: int) -> None:
    messages, at = [], 0
    for offset, step in steps:
        at += step
        messages.append((at + offset, at))
    whole, parts = followed(messages), followed(messages, size)
    assert (whole.end, whole.settled, whole.outliers) == (parts.end, parts.settled, parts.outliers)


SPARSE = [(n * 2 * MINUTE, n * 2 * MINUTE) for n in range(500)]  # no message is near another
FAST = [(n * 300 * SECOND, n * SECOND) for n in range(600)]


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize(
    ("messages", "outliers"),
    [
        (SPARSE, 0),
        ([*SPARSE[:60], (YEAR, 120 * MINUTE), *SPARSE[61:]], 1),
        ([*SPARSE[:60], *[(YEAR, 120 * MINUTE)] * 3, *SPARSE[61:]], 3),
        ([(YEAR, 0), *SPARSE[1:]], 1),
        ([*[(0, 0)] * 5, *FAST[1:]], 0),  # a burst, then 300 times as fast as time
        ([*[(0, 0)] * 3, *[(n * 2 * MINUTE, n * 2 * SECOND) for n in range(1, 600)]], 0),
    ],
)
def test_channels_whose_messages_are_minutes_apart_are_followed_and_corrected(
    messages: list[tuple[int, int]], outliers: int, size: int
) -> None:
    progress = followed(messages, size)
    assert progress.end == T0 + messages[-1][0]
    assert progress.outliers == outliers


def test_a_burst_of_late_messages_does_not_move_a_sparse_channel_back() -> None:
    assert followed([*SPARSE, *[(10 * SECOND, SPARSE[-1][1])] * 20]).end == T0 + SPARSE[-1][0]


def outlying(messages: list[tuple[int, int]], size: int = 0) -> list[bool]:
    """Return which messages are outliers, as a reader decides that follows them in batches of some size."""
    size = size or len(messages) or 1
    progress, stamps = Progress(), np.array([at for at, _ in messages], np.int64) + T0
    contradicted = np.zeros(len(messages), bool)
    for start in range(0, len(messages), size):
        part = messages[start : start + size]
        progress.add(*(np.array(part, np.int64).T + T0))
        contradicted[progress.contradicted] = True
        for count, end in progress.corrections:
            contradicted[:count] |= stamps[:count] > end
        progress.contradicted.clear()
        progress.corrections.clear()
    contradicted[progress.pending] = True
    return contradicted.tolist()


@given(st.lists(st.tuples(Offsets, st.integers(0, 90 * SECOND)), max_size=60), st.integers(1, 60))
def test_every_outlier_is_pending_or_contradicted_whatever_the_size_of_the_batches(
    steps: list[tuple[int, int]], size: int
) -> None:
    messages, at = [], 0
    for offset, step in steps:
        at += step
        messages.append((at + offset, at))
    progress, stamps = followed(messages), np.array([at for at, _ in messages], np.int64) + T0
    found = progress.are_outliers(stamps)
    assert found.tolist() == outlying(messages) == outlying(messages, size)
    assert found[stamps > progress.end].all()
    assert not found.all() or not messages
    assert (stamps[~found] <= progress.end).all()


@pytest.mark.parametrize("ahead", [2 * MINUTE, 10 * MINUTE, HOUR])
@pytest.mark.parametrize("size", [1, 7, 5_000])
def test_a_wrong_first_message_stays_an_outlier_when_time_reaches_it(ahead: int, size: int) -> None:
    messages = [(ahead, 0), *((at, at) for at in seconds(1, 4_000))]
    assert outlying(messages, size) == [True] + [False] * 3_999


def test_messages_of_a_wrong_jump_stay_outliers_when_time_reaches_them() -> None:
    messages = [(at + (HOUR if 100 <= n < 105 else 0), at) for n, at in enumerate(seconds(0, 4_000))]
    assert np.flatnonzero(outlying(messages)).tolist() == [100, 101, 102, 103, 104]


@pytest.mark.parametrize("apart_s", [90, 600, 7_200])
def test_old_rows_of_a_snapshot_are_no_outliers(apart_s: int) -> None:
    """After a connect the platform sends rows of hours, the oldest first, in one read; ordinary ones follow."""
    steps = np.random.default_rng(7).exponential(apart_s * 1e6, 200).astype(np.int64)
    old = np.cumsum(steps)
    new = old[-1] + np.arange(1, 20) * 1_000_000
    stamps = np.concatenate([old, new])
    progress = Progress()
    progress.add(stamps, np.concatenate([np.full(200, old[-1]), new]))
    assert progress.end == stamps[-1]
    assert not progress.are_outliers(stamps).any()
