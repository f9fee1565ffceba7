"""What a user may give for an option: wherever it is taken, the same is right, and the same is refused in words."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fxlive.core.arguments import number, path_of, rows_or_duration, span_s, speed_of, time_of, utc, whole
from fxlive.errors import UnknownOption

NO_NUMBERS = [True, np.True_, "2", None, math.nan, math.inf, -(10**400), 0, -1.5, 1j, pd.NA, pd.NaT, [2]]


@pytest.mark.parametrize("value", [2, 2.0, np.int64(2), np.float32(2)])
def test_a_number_is_a_number_of_python_or_of_numpy(value: Any) -> None:
    assert number("pips", value, "a number above 0") == 2.0
    assert whole("ticks", value, 1) == 2
    assert speed_of(value) == 2.0
    assert type(speed_of(value)) is float
    assert rows_or_duration(value) == 2


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_a_number_is_no_truth_value_no_text_finite_and_above_its_bound(value: Any) -> None:
    with pytest.raises(UnknownOption, match="pips"):
        number("pips", value, "a number above 0")
    with pytest.raises(UnknownOption, match="a whole number of at least 1 or None"):
        whole("limit", value, 1, "None")
    assert number("equity", -3, above=-math.inf) == -3


def test_a_number_beyond_all_floats_is_none() -> None:
    with pytest.raises(UnknownOption, match="pips"):
        number("pips", 10**400, "a number above 0")


@pytest.mark.parametrize("value", [1.5, "x", math.inf, math.nan])
def test_a_whole_number_is_whole(value: Any) -> None:
    with pytest.raises(UnknownOption, match="a whole number"):
        whole("seed", value)
    assert (whole("seed", -7), whole("max_rows", 1e6, 1)) == (-7, 1_000_000)


@pytest.mark.parametrize("value", [60, 60.0, "60", np.int64(60), True, None, "soon", "0s", "-1min", pd.NaT, [1], {}])
def test_a_length_of_time_says_its_unit_and_is_longer_than_nothing(value: Any) -> None:
    with pytest.raises(UnknownOption, match="window"):
        time_of("window", value)


def test_a_length_of_time_is_text_or_of_pandas_numpy_or_python() -> None:
    minute = pd.Timedelta("1min")
    spellings: list[Any] = ["1min", "60s", minute, minute.to_pytimedelta(), np.timedelta64(60, "s")]
    assert {time_of("window", value) for value in spellings} == {minute}
    assert {rows_or_duration(value) for value in spellings} == {minute}
    assert {span_s("hold", value) for value in [*spellings, 60, 60.0, "60"]} == {60.0}


@pytest.mark.parametrize("value", [-1, "-1s", "soon", math.nan, True, None, pd.NaT])
def test_a_time_in_seconds_is_not_negative(value: Any) -> None:
    with pytest.raises(UnknownOption, match=r"timeout must be .* number of seconds, not negative"):
        span_s("timeout", value)


@pytest.mark.parametrize("value", [0, "0s", 0.0, "0", -1])
def test_a_time_in_seconds_may_have_to_be_longer_than_nothing(value: Any) -> None:
    with pytest.raises(UnknownOption, match="longer than nothing"):
        span_s("every", value, zero=False)


@pytest.mark.parametrize("text", ["11/12/2026", "26/11/2026", " 1.2.2026 12:00", "26-11-2026", "11/12", "24-01-31"])
def test_a_date_of_which_the_month_would_be_guessed_is_no_moment(text: str) -> None:
    with pytest.raises(UnknownOption, match=r"since must be .*2024-01-31 12:00"):
        utc(text, "since")


@pytest.mark.parametrize(
    "text", ["2024-01-31", "2024/01/31", "20240131", "31 Jan 2024", "31-Jan-2024", "2024-01-31 00Z"]
)
def test_a_date_that_says_what_is_what_is_one(text: str) -> None:
    assert utc(text) == pd.Timestamp("2024-01-31", tz="UTC")
    assert utc("now").tzinfo is not None


@pytest.mark.parametrize(
    "moment", ["Jan 5", "12h30", "24-01-31", "today", "11/12/2026", "1.2.2024", "5 May", "yesterday"]
)
def test_a_moment_says_its_year_and_what_is_the_month(moment: str) -> None:
    with pytest.raises(UnknownOption, match="a time with its date"):
        utc(moment)


def test_now_is_the_present_whatever_zone_the_machine_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert abs(utc("now") - pd.Timestamp.now("UTC")) < pd.Timedelta("1min")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_path_of_a_home_that_there_is_not_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path_of("~/captures") == tmp_path / "captures"
    assert path_of("~nobody-of-that-name/captures") == Path("~nobody-of-that-name/captures")
    with pytest.raises(UnknownOption, match=r"path must be .* got 5"):
        path_of(5, "a folder")
