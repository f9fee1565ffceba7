"""Option values: every option accepts the same forms, and an invalid value is an error that lists them."""

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

INVALID_NUMBERS = [True, np.True_, "2", None, math.nan, math.inf, -(10**400), 0, -1.5, 1j, pd.NA, pd.NaT, [2]]


@pytest.mark.parametrize("value", [2, 2.0, np.int64(2), np.float32(2)])
def test_python_and_numpy_numbers_are_accepted(value: Any) -> None:
    assert number("pips", value, "a number above 0") == 2.0
    assert whole("ticks", value, 1) == 2
    assert speed_of(value) == 2.0
    assert type(speed_of(value)) is float
    assert rows_or_duration(value) == 2


@pytest.mark.parametrize("value", INVALID_NUMBERS, ids=repr)
def test_a_number_that_is_a_bool_or_text_or_not_finite_or_out_of_bounds_is_refused(value: Any) -> None:
    with pytest.raises(UnknownOption, match="pips"):
        number("pips", value, "a number above 0")
    with pytest.raises(UnknownOption, match="a whole number of at least 1 or None"):
        whole("limit", value, 1, "None")
    assert number("equity", -3, above=-math.inf) == -3


def test_an_integer_too_large_for_a_float_is_refused() -> None:
    with pytest.raises(UnknownOption, match="pips"):
        number("pips", 10**400, "a number above 0")


@pytest.mark.parametrize("value", [1.5, "x", math.inf, math.nan])
def test_a_number_with_a_fraction_is_refused_as_a_whole_number(value: Any) -> None:
    with pytest.raises(UnknownOption, match="a whole number"):
        whole("seed", value)
    assert (whole("seed", -7), whole("max_rows", 1e6, 1)) == (-7, 1_000_000)


@pytest.mark.parametrize("value", [60, 60.0, "60", np.int64(60), True, None, "soon", "0s", "-1min", pd.NaT, [1], {}])
def test_a_duration_without_a_unit_or_not_above_0_is_refused(value: Any) -> None:
    with pytest.raises(UnknownOption, match="window"):
        time_of("window", value)


def test_a_duration_may_be_text_or_a_pandas_numpy_or_python_object() -> None:
    minute = pd.Timedelta("1min")
    spellings: list[Any] = ["1min", "60s", minute, minute.to_pytimedelta(), np.timedelta64(60, "s")]
    assert {time_of("window", value) for value in spellings} == {minute}
    assert {rows_or_duration(value) for value in spellings} == {minute}
    assert {span_s("hold", value) for value in [*spellings, 60, 60.0, "60"]} == {60.0}


@pytest.mark.parametrize("value", [-1, "-1s", "soon", math.nan, True, None, pd.NaT])
def test_a_duration_in_seconds_that_is_negative_or_invalid_is_refused(value: Any) -> None:
    with pytest.raises(UnknownOption, match=r"timeout must be .* number of seconds, at least 0"):
        span_s("timeout", value)


@pytest.mark.parametrize("value", [0, "0s", 0.0, "0", -1])
def test_a_duration_of_0_seconds_can_be_disallowed(value: Any) -> None:
    with pytest.raises(UnknownOption, match="a number of seconds, above 0"):
        span_s("every", value, zero=False)


@pytest.mark.parametrize("text", ["11/12/2026", "26/11/2026", " 1.2.2026 12:00", "26-11-2026", "11/12", "24-01-31"])
def test_a_date_with_an_ambiguous_month_is_refused(text: str) -> None:
    with pytest.raises(UnknownOption, match=r"since must be .*2024-01-31 12:00"):
        utc(text, "since")


@pytest.mark.parametrize(
    "text", ["2024-01-31", "2024/01/31", "20240131", "31 Jan 2024", "31-Jan-2024", "2024-01-31 00Z"]
)
def test_an_unambiguous_date_is_accepted(text: str) -> None:
    assert utc(text) == pd.Timestamp("2024-01-31", tz="UTC")
    assert utc("now").tzinfo is not None


@pytest.mark.parametrize(
    "moment", ["Jan 5", "12h30", "24-01-31", "today", "11/12/2026", "1.2.2024", "5 May", "yesterday"]
)
def test_a_timestamp_without_a_year_or_with_an_ambiguous_month_is_refused(moment: str) -> None:
    with pytest.raises(UnknownOption, match="a timestamp with a date"):
        utc(moment)


def test_now_is_the_present_whatever_the_local_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        before = pd.Timestamp.now("UTC")
        now = utc("now")
        after = pd.Timestamp.now("UTC")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert before <= now <= after


def test_a_path_in_an_unknown_users_home_is_kept_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path_of("~/captures") == tmp_path / "captures"
    assert path_of("~nobody-of-that-name/captures") == Path("~nobody-of-that-name/captures")
    with pytest.raises(UnknownOption, match=r"path must be .* got 5"):
        path_of(5, "a folder")
