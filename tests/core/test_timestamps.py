"""Parsing of ISO 8601 times, one by one and in batches."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fxlive.core.timestamps import NAT, parse_time, parse_times
from tests.samples import T0, T0_US

FIRST, LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)  # also with an offset
MANY = 30  # more than a small batch, which is parsed one by one
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
quick = settings(max_examples=150, deadline=None)

offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(
    FIRST.replace(tzinfo=None), LAST.replace(tzinfo=None), timezones=st.one_of(st.just(UTC), offsets, st.none())
)


def micros(time: datetime) -> int:
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - EPOCH
    return since // timedelta(microseconds=1)


def zulu(decimals: int) -> Callable[[datetime], str]:
    return lambda time: f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond:06}".zfill(26)[: 20 + decimals] + "Z"


def one_by_one(texts: list[str | None]) -> tuple[list[int], list[int]]:
    values, invalid = [], []
    for index, text in enumerate(texts):
        parsed, invalid_alone = parse_times([text])
        values.append(int(parsed[0]))
        invalid += [index] * len(invalid_alone)
    return values, invalid


@quick
@given(times, st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]), st.sampled_from("T t"))
def test_a_time_is_parsed_as_by_the_standard_library(time: datetime, precision: str, separator: str) -> None:
    text = time.isoformat(separator, precision)

    assert parse_time(text) == micros(datetime.fromisoformat(text))


@quick
@given(st.lists(st.datetimes(), min_size=1, max_size=MANY), st.integers(3, 6))
def test_a_batch_in_the_platforms_own_format_is_parsed_exactly(times: list[datetime], decimals: int) -> None:
    texts = [zulu(decimals)(time) for time in times]
    parsed, invalid = parse_times(texts)

    assert parsed.tolist() == [micros(datetime.fromisoformat(text)) for text in texts]
    assert invalid == []


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+05:00",
        "0001-01-01T00:00:00.000+00:01",
        "9999-12-31T23:59:59-00:01",
        "9999-12-31T12:00:00.000-23:59",
        "0000-01-01T00:00:00.000Z",
        "10000-01-01T00:00:00.000Z",
    ],
)
def test_a_time_outside_the_years_1_to_9999_in_utc_is_invalid(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)
    for count in (1, MANY):
        parsed, invalid = parse_times([T0] * count + [text])
        assert (invalid, parsed.tolist()) == ([count], [T0_US] * count + [NAT])


@pytest.mark.parametrize("text", ["0001-01-01T05:00:00+05:00", "9999-12-31T18:59:59.999999-05:00"])
def test_the_first_and_the_last_moment_of_those_years_are_valid(text: str) -> None:
    assert parse_time(text) == micros(datetime.fromisoformat(text))


usual = st.datetimes().map(lambda time: zulu(3)(time.replace(year=2024)))
damaged = st.tuples(usual, st.integers(0, 23), st.sampled_from("0123456789-:.TZz +\n\x00é\u0665\ud800")).map(
    lambda t: t[0][: t[1]] + t[2] + t[0][t[1] + 1 :]
)
strange = st.one_of(usual, damaged, times.map(datetime.isoformat), st.text(max_size=30), st.none())


@settings(max_examples=300, deadline=None)
@given(st.lists(strange, min_size=MANY // 3, max_size=MANY))
@example([T0 + "2", T0[1:], *[T0] * MANY])
@example([T0[:-1] + "+", *[T0] * MANY])
def test_a_batch_is_parsed_like_its_texts_one_by_one(texts: list[str | None]) -> None:
    parsed, invalid = parse_times(texts)

    assert (parsed.tolist(), invalid) == one_by_one(texts)


@settings(max_examples=300, deadline=None)
@given(st.lists(damaged, min_size=1, max_size=1), st.integers(0, MANY))
def test_a_damaged_time_does_not_affect_its_neighbours(odd: list[str], index: int) -> None:
    texts = [T0] * MANY
    parsed, invalid = parse_times([*texts[:index], *odd, *texts[index:]])

    assert parsed.tolist()[:index] == [T0_US] * index
    assert parsed.tolist()[index + 1 :] == [T0_US] * (MANY - index)
    assert invalid in ([], [index])


def test_a_digit_too_many_does_not_complete_the_next_time() -> None:
    texts = [*[T0] * MANY, T0 + "2", T0[1:]]  # together as long as two valid times

    assert parse_times(texts)[1] == [MANY, MANY + 1]


@pytest.mark.parametrize("repeat", [1, MANY])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-01T00:00:00.000Z", T0_US),
        ("2024-01-01T00:00:00Z", T0_US),
        ("2024-01-01T00:00:00z", T0_US),
        ("2024-01-01t00:00:00.000z", T0_US),
        ("2024-01-01T00:00:00", T0_US),
        ("2024-01-01 00:00:00", T0_US),
        ("2024-01-01T01:30:00+01:30", T0_US),
        ("2024-01-01T01:30:00+0130", T0_US),
        ("2023-12-31T16:00:00.000-08:00", T0_US),
        ("2024-01-01T00:00:00.1Z", T0_US + 100_000),
        ("2024-01-01T00:00:00.12Z", T0_US + 120_000),
        ("2024-01-01T00:00:00.123Z", T0_US + 123_000),
        ("2024-01-01T00:00:00.1234Z", T0_US + 123_400),
        ("2024-01-01T00:00:00.12345Z", T0_US + 123_450),
        ("2024-01-01T00:00:00.123456Z", T0_US + 123_456),
        ("2024-01-01T00:00:00.1234567Z", T0_US + 123_456),
        ("2024-01-01T00:00:00.123456789Z", T0_US + 123_456),
        ("2024-02-29T00:00:00.000Z", T0_US + 59 * 86_400_000_000),
        ("1970-01-01T00:00:00.000Z", 0),
        ("1969-12-31T23:59:59.999Z", -1_000),
        ("0001-01-01T00:00:00.000Z", -62_135_596_800_000_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999_000),
    ],
)
def test_every_plausible_format_is_parsed(text: str, expected: int, repeat: int) -> None:
    parsed, invalid = parse_times([text] * repeat)

    assert (parsed.tolist(), invalid) == ([expected] * repeat, [])


@pytest.mark.parametrize("repeat", [1, MANY])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "null",
        "1704067200",
        "1704067200000",
        "2023-02-29T00:00:00.000Z",
        "2024-02-30T00:00:00.000Z",
        "2024-13-01T00:00:00.000Z",
        "2024-00-01T00:00:00.000Z",
        "2024-01-00T00:00:00.000Z",
        "0000-01-01T00:00:00.000Z",
        "2024-01-01T25:00:00.000Z",
        "2024-01-01T00:60:00.000Z",
        "2024-01-01T00:00:60.000Z",
        "2024-01-01T00:00:00.000ZZ",
        "2024-01-01T00:00:00.000+25:00",
        "2024/01/01T00:00:00.000Z",
        "２０２４-01-01T00:00:00.000Z",
        "2024-01-01T00:00:00.\x0000Z",
        "2024-01-01T00:00:00.000\n",
        "\ud800",
    ],
)
def test_an_invalid_time_is_reported_and_missing(text: str, repeat: int) -> None:
    parsed, invalid = parse_times([text] * repeat)

    assert (parsed.tolist(), invalid) == ([NAT] * repeat, list(range(repeat)))


def test_a_missing_time_is_missing_and_not_invalid() -> None:
    parsed, invalid = parse_times([None, T0, None] * MANY)

    assert (parsed.tolist(), invalid) == ([NAT, T0_US, NAT] * MANY, [])


def test_an_empty_batch_gives_an_empty_array() -> None:
    parsed, invalid = parse_times([])

    assert (parsed.tolist(), parsed.dtype.name, invalid) == ([], "int64", [])


def test_a_batch_over_many_days_is_parsed_exactly() -> None:
    texts = [f"{year}-{month:02}-28T12:00:00.000Z" for year in range(1900, 2100, 7) for month in range(1, 13)]
    parsed, invalid = parse_times(texts)

    assert invalid == []
    assert parsed.tolist() == [micros(datetime.fromisoformat(text)) for text in texts]
