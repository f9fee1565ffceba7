from __future__ import annotations

import contextlib
import gc
import json
import math
import random
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxlive.core.arguments import utc
from fxlive.errors import UnknownColumn, UnknownOption
from fxlive.tables.latest import MAX_DEPARTED, MAX_ENDED
from fxlive.tables.selection import select
from fxlive.tables.table import RollingTable
from fxlive.tables.vocabulary import Vocabulary
from fxlive.wire.batch import Rows
from fxlive.wire.channels import CHANNELS, ID, MAX_COLUMNS, Channel, snake
from fxlive.wire.protocol import decode
from tests.handmade import lines_run
from tests.samples import ALERT, ANALYTICS, COLUMNS, ORDER, POSITION, QUOTE, SYSTEM, T0_US, TRADE, message, stamp, wire

NAT = np.iinfo(np.int64).min


def rows_of(*messages: dict[str, Any], at: int = T0_US) -> Rows:
    batch = decode([wire(m) for m in messages], at)
    assert [r.reason for r in batch.rejected] == []
    (rows,) = batch.rows.values()
    return rows


def table_of(*messages: dict[str, Any], **bounds: Any) -> RollingTable:
    table = RollingTable(CHANNELS[messages[0]["channel"]], **bounds)
    table.append(rows_of(*messages))
    return table


def quote(number: int, symbol: str = "EURUSD", /, **data: Any) -> dict[str, Any]:
    """The quote with a number, which is its bid, its id and (in milliseconds) its time."""
    return message(QUOTE, {"timestamp": stamp(number * 1_000), "id": f"m{number}"}, symbol=symbol, bid=number, **data)


def quotes(start: int, stop: int, **data: Any) -> Rows:
    return rows_of(*(quote(number, **data) for number in range(start, stop)))


def numbers(frame: pd.DataFrame) -> list[int]:
    return [int(bid) for bid in frame["bid"]]


# The rolling table against a plain model of it: a list of dicts.


class Model:
    """What a RollingTable promises, in the plainest way: every row is a dict, every frame is made anew."""

    def __init__(self, channel: Channel, symbols: list[str], max_rows: int, window_us: int | None) -> None:
        self.channel, self.symbols, self.max_rows, self.window_us = channel, symbols, max_rows, window_us
        self.kinds = {"timestamp": "datetime64[us, UTC]", **COLUMNS[channel.name]}
        self.codes = {n: symbols if n == "symbol" else [] for n, kind in self.kinds.items() if kind == "category"}
        self.rows: list[dict[str, Any]] = []
        self.first = 0
        self.latest: dict[Any, int] = {}
        self.ended_at: dict[Any, int] = {}
        self.newest = -(2**63)

    def append(self, new: list[dict[str, Any]]) -> None:
        for row in new:
            self._fit(row)
            self._note(row)
            self.rows.append(row)
        self.first = max(self.first, len(self.rows) - self.max_rows)
        if self.window_us is not None:
            self.newest = max([self.newest, *(row["timestamp"] for row in new)])
            while self.first < len(self.rows) and self.rows[self.first]["timestamp"] < self.newest - self.window_us:
                self.first += 1
        for key, at in list(self.latest.items()):
            if at < self.first and not self._lives_on(at):
                del self.latest[key]
                if self.channel.name == "orders":
                    self.ended_at[key] = self.rows[at]["timestamp"]

    def _fit(self, row: dict[str, Any]) -> None:
        extra = {}
        for name, value in row.pop("+").items():
            if value is None:
                continue
            kind = {bool: "boolean", int: "float64", float: "float64", str: "str"}.get(type(value))
            if type(value) is int and abs(value) > 2**53:
                kind = None
            if kind is not None and name not in self.kinds and len(self.kinds) < MAX_COLUMNS:
                self.kinds[name] = kind
            if kind is not None and self.kinds.get(name) == kind:
                row[name] = value
            else:
                extra[name] = value
        if extra:
            self.kinds.setdefault("extra", "str")
            row["extra"] = json.dumps(extra, separators=(",", ":"), ensure_ascii=False)
        for name, categories in self.codes.items():
            if row.get(name) is not None and row[name] not in categories:
                categories.append(row[name])

    def _note(self, row: dict[str, Any]) -> None:
        key = None if self.channel.single else tuple(row[name] for name in self.channel.key)
        known = self.rows[self.latest[key]]["timestamp"] if key in self.latest else self.ended_at.get(key)
        if known is not None and row["timestamp"] < known:
            return
        self.latest[key] = len(self.rows)
        if self.channel.name == "positions" and row.get("volume") == 0:
            del self.latest[key]
            self.ended_at[key] = row["timestamp"]

    def _lives_on(self, at: int) -> bool:
        row = self.rows[at]
        return self.channel.name == "positions" or (
            self.channel.name == "orders"
            and row.get("status") not in ("FILLED", "CANCELLED", "CANCELED", "REJECTED", "EXPIRED")
        )

    def frame(self, rows: list[dict[str, Any]] | None = None) -> pd.DataFrame:
        rows = self.rows[self.first :] if rows is None else rows
        columns: dict[str, Any] = {}
        for name, kind in self.kinds.items():
            found = [row.get(name) for row in rows]
            if kind.startswith("datetime"):
                micros = np.array([NAT if value is None else value for value in found], "datetime64[us]")
                columns[name] = pd.DatetimeIndex(micros, tz="UTC").array
            elif kind == "category":
                columns[name] = pd.Categorical(found, categories=pd.Index(self.codes[name], dtype="str"))
            elif kind == "object":
                columns[name] = pd.Series(found, dtype=object).array
            else:
                columns[name] = pd.array(found, dtype=kind)
        return pd.DataFrame(columns).set_index("timestamp")

    def newest_rows(self) -> pd.DataFrame:
        key = list(self.channel.key)
        frame = self.frame([self.rows[at] for at in self.latest.values()]).reset_index()
        by = frame[key].astype({n: "str" for n in key if n in self.codes}).sort_values(key).index
        return frame.loc[by].set_index(key)


def equal(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected, check_freq=False)
    for name in expected.columns:
        assert repr(found[name].dtype) == repr(expected[name].dtype), name


TEXTS = ["", "a", "Grüße", "日本円 🙂", "null", "x" * 300, "\x00", '"']
EXTRAS: list[Any] = [
    None,
    None,
    1,
    2.5,
    -3,
    True,
    False,
    "text",
    "",
    "é",
    2**53,
    2**53 + 1,
    -(2**60),
    10**30,
    [],
    [1, "a"],
    {},
]
SAMPLES = {m["channel"]: m for m in (ALERT, TRADE, POSITION, ORDER, ANALYTICS, SYSTEM, QUOTE)}


class Source:
    """Random messages, each with the dict that the model takes for it."""

    def __init__(self, seed: int, *, drift: bool, jitter_us: int) -> None:
        self.pick, self.drift, self.jitter_us, self.clock = random.Random(seed), drift, jitter_us, 0

    def message(self, channel: str, missing: float) -> tuple[dict[str, Any], dict[str, Any]]:
        pick = self.pick
        self.clock += pick.choice([0, 1_000, 1_000, 50_000])
        micros = max(0, self.clock - pick.randrange(self.jitter_us + 1))
        sent = {**SAMPLES[channel], "timestamp": stamp(micros), "data": {}}
        row: dict[str, Any] = {"timestamp": T0_US + micros, "received_at": T0_US, "+": {}}
        required = {"symbol", *CHANNELS[channel].key}
        sent["id"] = row["id"] = None if pick.random() < missing else pick.choice(TEXTS)
        for name, value in SAMPLES[channel]["data"].items():
            if isinstance(value, dict):
                inner = {
                    k: self.value(k, v, f"{name}_{snake(k)}") for k, v in value.items() if pick.random() >= missing
                }
                sent["data"][name] = inner
                row.update({f"{name}_{snake(k)}": v for k, v in inner.items()})
                continue
            column = "data_timestamp" if name == "timestamp" else snake(name)
            if column not in required and pick.random() < missing:
                if pick.random() < 0.5:
                    sent["data"][name] = None
                continue
            sent["data"][name] = found = self.value(name, value, COLUMNS[channel][column])
            if isinstance(found, list):
                found = tuple(found)
            elif COLUMNS[channel][column].startswith("datetime"):
                sent["data"][name], found = stamp(found), T0_US + found
            row[column] = found
        if self.drift and pick.random() < 0.3:
            for name in pick.sample(["a", "b", "c", "d", "e"], pick.randint(1, 3)):
                sent["data"][name] = row["+"][name] = pick.choice(EXTRAS)
        return sent, row

    def value(self, name: str, sample: Any, kind: str) -> Any:
        pick = self.pick
        if kind.startswith("datetime"):
            return pick.randrange(10**9)
        if isinstance(sample, list):
            return pick.choices(["ACKNOWLEDGE", "", "é"], k=pick.randint(0, 3))
        if name == "ticket":
            return pick.choice([1, 2, 3, 2**53 + 1, 2**63 - 1])
        if isinstance(sample, int | float):
            return pick.choice([0.0, 0.0, 0.1, 1e-300, -5.5, 1e12])
        if name == "status":
            return pick.choice(["FILLED", "CANCELLED", "NEW", "PARTIAL", "HEALTHY"])
        if kind == "str" and not name.endswith("Id"):
            return pick.choice(TEXTS)
        few = 6 if pick.random() < 0.95 else 200
        return f"{name[:2]}{pick.randrange(few)}"


steps = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.one_of(st.integers(1, 12), st.integers(1, 12), st.integers(1, 400)),
        st.sampled_from([0, 0, 0.3]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(
    steps=steps,
    seed=st.integers(0, 2**32),
    pair=st.sampled_from(
        [("alerts", "trades"), ("positions", "trades"), ("orders", "market-data"), ("analytics", "system")]
    ),
    max_rows=st.sampled_from([1, 7, 100, 300, 1_000_000]),
    window_us=st.sampled_from([None, None, 0, 100_000, 3_000_000]),
    jitter_us=st.sampled_from([0, 200_000]),
    drift=st.booleans(),
)
def test_a_rolling_table_is_what_a_list_of_dicts_would_be(
    steps: list[tuple[int, int, float]],
    seed: int,
    pair: tuple[str, str],
    max_rows: int,
    window_us: int | None,
    jitter_us: int,
    drift: bool,
) -> None:
    symbols, names = Vocabulary(), []
    tables = [RollingTable(CHANNELS[c], max_rows=max_rows, window_us=window_us, symbols=symbols) for c in pair]
    models = [Model(CHANNELS[c], names, max_rows, window_us) for c in pair]
    source = Source(seed, drift=drift, jitter_us=jitter_us)
    held = []
    for which, size, missing in steps:
        made = [source.message(pair[which], missing) for _ in range(size)]
        tables[which].append(rows_of(*(sent for sent, _ in made)))
        models[which].append([row for _, row in made])
        for table, model in zip(tables, models, strict=True):
            frame = table.frame()
            equal(frame, model.frame())
            held.append((frame, frame.copy(), table.frame(table.stop - 3), table.frame(table.stop - 3).copy()))
            assert (len(table), table.columns) == (len(frame), list(frame.columns))
            equal(table.latest(), model.newest_rows())
    for frame, copied, tail, tail_copied in held:
        equal(frame, copied)
        equal(tail, tail_copied)


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 2_000), min_size=2, max_size=6), max_rows=st.sampled_from([1, 500, 1_500, 2_600]))
def test_large_batches_roll_through_as_small_ones_do(sizes: list[int], max_rows: int) -> None:
    table = RollingTable(CHANNELS["market-data"], max_rows=max_rows)
    stop, held = 0, []
    for size in sizes:
        table.append(quotes(stop, stop + size))
        stop += size
        frame = table.frame()
        held.append((frame, stop))
        assert numbers(frame) == list(range(max(0, stop - max_rows), stop))
        assert list(frame["id"]) == [f"m{number}" for number in numbers(frame)]
    for frame, then in held:
        assert numbers(frame) == list(range(max(0, then - max_rows), then))
        assert list(frame["id"]) == [f"m{number}" for number in numbers(frame)]


def test_every_column_of_a_large_window_rolls_on_in_step_with_the_others() -> None:
    table, cycle = RollingTable(CHANNELS["alerts"], max_rows=3_000), alerts(0, 1_000)
    for start in range(0, 9_000, 25):
        table.append(cycle.take(range(start % 1_000, start % 1_000 + 25)))
        if start % 75 == 0:
            continue  # frames are not always asked for in between
        frame = table.frame()
        frame = frame.iloc[-30:] if start % 1_000 else frame
        wanted = [place % 1_000 for place in range(start + 25 - len(frame), start + 25)]

        assert len(table) == min(start + 25, 3_000)
        assert (frame.index.asi8 - T0_US).tolist() == [i * 1_000 for i in wanted]
        assert frame["alert_id"].tolist() == [f"a{i}" for i in wanted]
        assert frame["title"].fillna("-").tolist() == ["-" if i % 7 == 3 else f"t{i}" for i in wanted]
        assert frame["severity"].tolist() == [f"S{i % 5}" for i in wanted]
        assert frame["threshold"].fillna(-1).tolist() == [-1 if i % 5 == 4 else i for i in wanted]
        assert frame["flag"].tolist() == [i % 2 == 0 for i in wanted]
        assert frame["score"].tolist() == [i / 2 for i in wanted]
        assert frame["actions"].tolist() == [(f"x{i}",) for i in wanted]


def test_a_row_at_a_time_gives_what_one_batch_gives() -> None:
    rows = quotes(0, 700)
    one = RollingTable(CHANNELS["market-data"], max_rows=300)
    many = RollingTable(CHANNELS["market-data"], max_rows=300)
    one.append(rows)
    for place in range(700):
        many.append(rows.take([place]))

    equal(many.frame(), one.frame())
    equal(many.latest(), one.latest())


# The window.


def test_a_window_drops_the_rows_before_the_first_that_is_young_enough() -> None:
    table = RollingTable(CHANNELS["market-data"], window_us=10_000)
    table.append(rows_of(quote(100), quote(50), quote(99), quote(104), quote(60)))

    assert numbers(table.frame()) == [100, 50, 99, 104, 60]  # an old row behind a young one stays
    table.append(rows_of(quote(105)))
    assert numbers(table.frame()) == [100, 50, 99, 104, 60, 105]
    table.append(rows_of(quote(111)))
    assert numbers(table.frame()) == [104, 60, 105, 111]


def test_a_row_that_comes_late_does_not_turn_the_window_back() -> None:
    table = RollingTable(CHANNELS["market-data"], window_us=10_000)
    table.append(rows_of(quote(100)))
    table.append(rows_of(quote(10)))
    table.append(rows_of(quote(200)))
    table.append(rows_of(quote(20)))

    assert numbers(table.frame()) == [200, 20]


def test_a_row_exactly_as_old_as_the_window_is_kept() -> None:
    table = RollingTable(CHANNELS["market-data"], window_us=10_000)
    table.append(rows_of(quote(0), quote(1), quote(11)))

    assert numbers(table.frame()) == [1, 11]


def test_what_is_new_since_a_row_is_the_rows_from_there_on() -> None:
    table = RollingTable(CHANNELS["market-data"], max_rows=10)
    table.append(quotes(0, 4))
    before = table.stop
    table.append(quotes(4, 9))

    assert numbers(table.frame(before)) == [4, 5, 6, 7, 8]
    assert numbers(table.frame(table.stop)) == []
    assert numbers(table.frame(table.stop + 5)) == []
    table.append(quotes(9, 30))
    assert numbers(table.frame(before)) == list(range(20, 30))  # what has left meanwhile is gone


# Categories.


def test_the_values_of_some_columns_are_those_of_the_frame_and_cannot_be_written() -> None:
    table = RollingTable(CHANNELS["market-data"], max_rows=10)
    for start in range(0, 40, 4):
        table.append(quotes(start, start + 4))
        stop, [stamps, symbols, bid] = table.values(None, "timestamp", "symbol", "bid")
        frame = table.frame()
        assert stop == table.stop
        assert stamps.tolist() == frame.index.asi8.tolist()  # type: ignore[attr-defined]
        assert bid.tolist() == frame["bid"].tolist()
        assert (symbols == table.code("symbol", "EURUSD")).all()
    assert table.values(38, "bid")[1][0].tolist() == frame["bid"].tolist()[-2:]
    assert table.values(0, "bid")[1][0].tolist() == bid.tolist()  # rows that have left are passed over
    assert table.values(99, "bid")[1][0].tolist() == []
    assert table.code("symbol", "USDJPY") is None
    with pytest.raises(ValueError, match="read-only"):
        bid[0] = 0.0


@pytest.mark.parametrize("distinct", [126, 127, 128, 129, 255, 256, 257])
def test_a_category_beyond_the_127th_leaves_the_earlier_ones_as_they_are(distinct: int) -> None:
    names = [f"S{i:03}" for i in range(distinct)]
    table = RollingTable(CHANNELS["market-data"])
    held = []
    for start in range(0, distinct, 50):
        table.append(rows_of(*(quote(i, names[i]) for i in range(start, min(start + 50, distinct)))))
        held.append(table.frame())

    for frame in held:
        assert list(frame["symbol"]) == names[: len(frame)]
        assert list(frame["symbol"].cat.categories) == names[: len(frame)]
    for start in range(0, distinct, 50):  # what is known already
        table.append(rows_of(*(quote(i, names[i]) for i in range(start, min(start + 50, distinct)))))
        assert list(table.frame()["symbol"])[distinct:] == names[: start + 50]
    assert list(table.latest().index) == sorted(names)


def test_two_tables_share_a_vocabulary_that_outgrows_every_width_of_codes() -> None:
    symbols = Vocabulary()
    fast = RollingTable(CHANNELS["market-data"], symbols=symbols)
    slow = RollingTable(CHANNELS["trades"], symbols=symbols)
    slow.append(rows_of(message(TRADE, symbol="EURUSD"), message(TRADE, symbol="USDJPY")))
    narrow = slow.frame()
    wanted, width = ["EURUSD", "USDJPY"], []
    for stop in (100, 200, 40_000):
        known = len(symbols)
        rows = rows_of(quote(0))
        rows = rows.take([0] * (stop - known))
        rows.values["symbol"] = [f"S{i}" for i in range(known, stop)]
        fast.append(rows)
        assert list(slow.frame()["symbol"]) == wanted
        slow.append(rows_of(message(TRADE, symbol=f"S{stop - 1}")))
        wanted.append(f"S{stop - 1}")
        assert list(slow.frame()["symbol"]) == wanted
        assert slow.frame()["symbol"].dtype == fast.frame()["symbol"].dtype
        width.append(str(slow.frame()["symbol"].cat.codes.dtype))

    assert width == ["int8", "int16", "int32"]
    assert list(narrow["symbol"]) == ["EURUSD", "USDJPY"]
    assert list(narrow["symbol"].cat.categories) == ["EURUSD", "USDJPY"]
    assert list(fast.frame()["symbol"]) == [f"S{i}" for i in range(2, 40_000)]


# Undocumented fields.


def drifted(*values: Any, **bounds: Any) -> pd.DataFrame:
    """The frame after a row without the field, then one for each of its values."""
    table = table_of(quote(0), **bounds)
    for number, value in enumerate(values, 1):
        table.append(rows_of(quote(number, foo=value)))
    return table.frame()


@pytest.mark.parametrize(
    ("first", "fits", "dtype"),
    [(1, 2.5, "float64"), (0.5, 2**53, "float64"), (True, False, "boolean"), ("a", "", "str")],
)
def test_an_undocumented_column_has_the_dtype_of_its_first_value(first: Any, fits: Any, dtype: str) -> None:
    frame = drifted(None, first, None, fits)

    assert str(frame["foo"].dtype) == dtype
    assert frame["foo"].isna().tolist() == [True, True, False, True, False]
    assert frame["foo"].dropna().tolist() == [first, fits]
    assert list(frame.columns)[-1] == "foo"
    assert "extra" not in frame


@pytest.mark.parametrize(
    ("first", "misfit"),
    [
        (1, "a"),
        (1, True),
        (1, [1]),
        (1, {}),
        (1, 2**53 + 1),
        (1, -(2**53) - 1),
        (True, 1),
        (True, "true"),
        ("a", 1),
        ("a", False),
    ],
)
def test_a_value_that_does_not_fit_its_column_goes_to_extra(first: Any, misfit: Any) -> None:
    frame = drifted(first, misfit, first)

    assert frame["foo"].dropna().tolist() == [first, first]
    assert frame["extra"].isna().tolist() == [True, True, False, True]
    assert json.loads(frame["extra"].iloc[2]) == {"foo": misfit}


@pytest.mark.parametrize("value", [2**53 + 1, 10**30, [], [1, [2]], {}, [{"a": None}]])
def test_a_value_that_makes_no_column_goes_to_extra(value: Any) -> None:
    frame = drifted(value)

    assert "foo" not in frame
    assert json.loads(frame["extra"].iloc[1]) == {"foo": value}


def test_a_null_makes_no_column() -> None:
    assert list(drifted(None, None).columns) == list(COLUMNS["market-data"])


def test_no_more_than_256_columns_are_made_and_the_rest_is_in_extra() -> None:
    table = table_of(quote(0))
    sent = {f"f{i}": i for i in range(300)}
    table.append(rows_of(quote(1, **sent)))
    table.append(rows_of(quote(2, **sent)))
    frame = table.frame()
    made = [name for name in frame.columns if name in sent]

    assert MAX_COLUMNS - 1 <= len(frame.columns) <= MAX_COLUMNS
    for row in (1, 2):
        rest = json.loads(frame["extra"].iloc[row])
        assert {**{name: int(frame[name].iloc[row]) for name in made}, **rest} == sent
    assert frame["extra"].isna().iloc[0]


def test_a_new_column_does_not_change_the_frames_before_it() -> None:
    table = table_of(quote(0), quote(1))
    before = table.frame()
    table.append(rows_of(quote(2, foo="x", bar=1)))

    assert list(before.columns) == list(COLUMNS["market-data"])
    assert list(table.frame().columns) == [*COLUMNS["market-data"], "foo", "bar"]
    assert table.drift == {"foo": "str", "bar": "float64"}


def test_a_new_column_in_the_middle_of_a_rolling_window_starts_where_it_came() -> None:
    table = RollingTable(CHANNELS["market-data"], max_rows=400)
    for start in range(0, 2_000, 100):
        table.append(quotes(start, start + 100, **({"foo": start} if start >= 1_500 else {})))
    frame = table.frame()

    assert numbers(frame) == list(range(1_600, 2_000))
    assert frame["foo"].tolist() == [number // 100 * 100 for number in range(1_600, 2_000)]


def test_a_new_column_of_a_million_rows_is_no_work_for_each_of_them() -> None:
    worked = []
    for count in (100, 1_000_000):
        table = RollingTable(CHANNELS["market-data"])
        some = quotes(0, 10).take([0] * (count // 20))
        for _ in range(20):
            table.append(some)
        table.append(quotes(1, 2))
        late = quotes(2, 3, number=1.5, flag=True, text="x")
        worked.append(lines_run(table.append, late))
        frame = table.frame()
        assert frame[["number", "flag", "text"]].notna().sum().tolist() == [1, 1, 1]
        assert frame[["number", "flag", "text"]].iloc[-1].tolist() == [1.5, True, "x"]

    assert worked[0] > 100  # they were counted
    assert worked[1] < worked[0] + 100


def test_a_channel_that_the_reference_does_not_name_has_columns_by_what_comes() -> None:
    table = RollingTable(Channel("news", columns=(ID,)))
    news = {"type": "news", "channel": "news", "timestamp": stamp(0), "id": "n1"}
    table.append(rows_of({**news, "data": {"headline": "CPI", "impact": 3}}, {**news, "data": [1], "id": None}))
    frame = table.frame()

    assert [str(d) for d in frame.dtypes] == ["datetime64[us, UTC]", "str", "str", "str", "float64", "str"]
    assert list(frame.columns) == ["received_at", "id", "type", "headline", "impact", "extra"]
    assert frame["headline"].iloc[0] == "CPI"
    assert json.loads(frame["extra"].iloc[1]) == {"data": [1]}


# Missing and odd texts.


def test_missing_texts_stay_missing_wherever_they_fall() -> None:
    pick = random.Random(5)
    table, wanted = RollingTable(CHANNELS["alerts"], max_rows=600), []
    held = []
    for size in [1, 3, 7, 8, 9, 100, 1, 1, 300, 64, 5, 500, 8, 8, 8, 400]:
        texts = [pick.choice([None, "", "a", "Grüße", "日本"]) if len(wanted) > 40 else "t" for _ in range(size)]
        table.append(rows_of(*(message(ALERT, title=text) for text in texts)))
        wanted = [*wanted, *texts][-600:]
        held.append((table.frame(), list(wanted)))
    for frame, then in held:
        assert [None if pd.isna(text) else text for text in frame["title"]] == then
        assert frame["title"].isna().sum() == then.count(None)


@pytest.mark.parametrize("missing", [1, 2, 8, 255, 256, 257, 300, 512, 600])
@pytest.mark.parametrize("step", [1, 64])
def test_a_text_is_seen_also_after_nothing_but_missing_ones(missing: int, step: int) -> None:
    table = RollingTable(CHANNELS["alerts"], max_rows=400)
    without, given = rows_of(message(ALERT, title=None)), rows_of(message(ALERT, title="x"))
    wanted: list[bool] = []
    for rows, count in ((without, missing), (given, 600), (without, 1), (given, 600)):
        for start in range(0, count, step):
            some = min(step, count - start)
            table.append(rows.take([0] * some))
            wanted = [*wanted, *[rows is without] * some][-400:]

            assert table.frame()["title"].isna().tolist() == wanted
            assert table.frame()["title"].array.__arrow_array__().null_count == wanted.count(True)
    assert table.latest()["title"].tolist() == ["x"]


def test_a_window_without_missing_texts_is_read_right_after_one_with() -> None:
    table = RollingTable(CHANNELS["alerts"], max_rows=50)
    table.append(rows_of(*(message(ALERT, title=None) for _ in range(50))))
    for start in range(0, 2_000, 50):
        table.append(rows_of(*(message(ALERT, title=f"t{start + i}") for i in range(50))))

        assert list(table.frame()["title"]) == [f"t{start + i}" for i in range(50)]


def test_lists_are_tuples_and_an_empty_one_is_not_missing() -> None:
    table = table_of(message(ALERT, actions=["A", "B"]), message(ALERT, actions=[]), message(ALERT, actions=None))

    assert table.frame()["actions"].tolist() == [("A", "B"), (), None]


def test_one_huge_text_costs_little_more_than_itself() -> None:
    table = table_of(message(ALERT, title="x" * 5_000_000))
    table.append(rows_of(message(ALERT, title="y")))

    assert table.frame()["title"].str.len().tolist() == [5_000_000, 1]
    assert sum(sum(sizes) for sizes in buffers(table).values()) < 4 * 5_000_000


# Latest.


def test_latest_is_sorted_by_the_key_and_not_by_the_order_of_arrival() -> None:
    symbols = table_of(quote(1, "USDJPY"), quote(2, "AUDUSD"), quote(3, "EURUSD"), quote(4, "USDJPY")).latest()
    tickets = table_of(*(message(POSITION, ticket=t) for t in (30, 4, 200))).latest()
    metrics = table_of(*(message(ANALYTICS, type=t, period=p) for t, p in ("BD", "AW", "AD", "BA", "AD"))).latest()

    assert (list(symbols.index), numbers(symbols)) == (["AUDUSD", "EURUSD", "USDJPY"], [2, 3, 4])
    assert list(tickets.index) == [4, 30, 200]
    assert list(metrics.index) == [("A", "D"), ("A", "W"), ("B", "A"), ("B", "D")]


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        ([(5, "NEW"), (9, "FILLED"), (3, "PENDING")], "FILLED"),
        ([(9, "FILLED"), (9, "PENDING")], "PENDING"),  # equally old: the later arrival
        ([(9, "PENDING"), (5, "NEW"), (9, "FILLED"), (8, "NEW")], "FILLED"),
        ([(9, "FILLED"), (3, "PENDING"), (10, "NEW")], "NEW"),
    ],
)
def test_latest_is_the_youngest_row_also_when_an_older_one_comes_late(
    sent: list[tuple[int, str]], wanted: str, together: bool
) -> None:
    table = RollingTable(CHANNELS["orders"])
    rows = rows_of(*(message(ORDER, {"timestamp": stamp(at)}, status=status) for at, status in sent))
    for part in [range(len(sent))] if together else [[place] for place in range(len(sent))]:
        table.append(rows.take(part))

    assert table.latest()["status"].tolist() == [wanted]


def test_a_late_row_does_not_replace_one_that_has_outlived_the_window() -> None:
    table = RollingTable(CHANNELS["orders"], max_rows=2)
    table.append(rows_of(message(ORDER, {"timestamp": stamp(5)}, orderId="a", status="WORKING")))
    table.append(rows_of(*(message(ORDER, {"timestamp": stamp(6)}, orderId="x") for _ in range(5))))
    table.append(rows_of(message(ORDER, {"timestamp": stamp(4)}, orderId="a", status="PENDING")))
    assert table.latest()["status"]["a"] == "WORKING"
    table.append(rows_of(message(ORDER, {"timestamp": stamp(5)}, orderId="a", status="FILLED")))
    assert table.latest()["status"]["a"] == "FILLED"


def test_an_order_that_has_ended_and_left_the_window_is_not_working_again_by_a_late_row() -> None:
    table = RollingTable(CHANNELS["orders"], max_rows=2)
    table.append(rows_of(message(ORDER, {"timestamp": stamp(5)}, orderId="a", status="FILLED")))
    table.append(rows_of(*(message(ORDER, {"timestamp": stamp(6)}, orderId="x") for _ in range(5))))
    table.append(rows_of(message(ORDER, {"timestamp": stamp(4)}, orderId="a", status="PENDING")))

    assert list(table.latest().index) == ["x"]


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
@pytest.mark.parametrize(
    ("sent", "left"),
    [
        ([(1, 1.0), (5, 0), (4, 0.5)], []),
        ([(5, 0), (4, 0.5)], []),
        ([(5, 0), (5, 0.5)], [0.5]),
        ([(5, 0), (4, 0.5), (6, 0.2)], [0.2]),
        ([(5, 0.5), (4, 0)], [0.5]),
    ],
)
def test_a_late_row_does_not_bring_back_a_position_that_has_left(
    sent: list[tuple[int, float]], left: list[float], together: bool
) -> None:
    table = RollingTable(CHANNELS["positions"])
    rows = rows_of(*(message(POSITION, {"timestamp": stamp(at)}, volume=volume) for at, volume in sent))
    for part in [range(len(sent))] if together else [[place] for place in range(len(sent))]:
        table.append(rows.take(part))

    assert table.latest()["volume"].tolist() == left


def test_what_is_remembered_of_ended_keys_is_bounded() -> None:
    table = RollingTable(CHANNELS["positions"])
    ends = rows_of(message(POSITION, volume=0)).take([0] * (MAX_ENDED + 5))
    ends.values["ticket"] = np.arange(MAX_ENDED + 5)
    table.append(ends)

    assert len(table._latest._ended_at) == MAX_ENDED


def test_system_has_one_latest_row_whatever_its_status() -> None:
    latest = table_of(SYSTEM, message(SYSTEM, status="DOWN")).latest()

    assert list(latest.index) == ["DOWN"]
    assert latest.index.name == "status"


def test_analytics_is_indexed_by_type_and_period() -> None:
    latest = table_of(ANALYTICS).latest()

    assert isinstance(latest.index, pd.MultiIndex)
    assert latest.index.names == ["type", "period"]
    assert latest.loc[("PERFORMANCE_UPDATE", "DAY"), "metrics_win_rate"] == 66.7


@pytest.mark.parametrize("channel", COLUMNS)
def test_an_empty_latest_has_the_columns_and_dtypes_of_a_full_one(channel: str) -> None:
    empty = RollingTable(CHANNELS[channel]).latest()
    full = table_of(SAMPLES[channel]).latest()

    assert len(empty) == 0
    assert empty.index.names == full.index.names == list(CHANNELS[channel].key)
    assert list(empty.columns) == list(full.columns)
    assert [str(d) for d in empty.dtypes] == [str(d) for d in full.dtypes]


def test_a_key_leaves_latest_with_its_row_also_when_another_came_twice_in_one_batch() -> None:
    table = RollingTable(CHANNELS["market-data"], max_rows=2)
    table.append(rows_of(quote(0, "A"), quote(1, "B"), quote(2, "A"), quote(3, "A")))

    assert list(table.latest().index) == ["A"]
    for number in range(4, 2_000):
        table.append(rows_of(quote(number, "A")))
    assert (list(table.latest().index), numbers(table.latest())) == (["A"], [1_999])


def test_an_open_position_outlives_the_window_until_it_ends() -> None:
    table = RollingTable(CHANNELS["positions"], max_rows=3)
    table.append(rows_of(message(POSITION, ticket=1, currentPrice=1.5), message(POSITION, ticket=2)))
    for _ in range(1_000):
        table.append(rows_of(message(POSITION, ticket=2, volume=0.2)))

    assert len(table.frame()) == 3
    latest = table.latest()
    assert list(latest.index) == [1, 2]
    assert latest["current_price"].tolist() == [1.5, 1.086]
    assert [str(d) for d in latest.dtypes] == [str(d) for d in table_of(POSITION).latest().dtypes]
    assert table.newest(1)["current_price"] == 1.5
    table.append(rows_of(message(POSITION, ticket=1, volume=0)))
    assert list(table.latest().index) == [2]
    assert table.newest(1) is None


def test_a_position_that_comes_again_after_its_end_is_open_again() -> None:
    table = table_of(
        message(POSITION, ticket=1), message(POSITION, ticket=1, volume=0), message(POSITION, ticket=1, volume=2)
    )

    assert table.latest()["volume"].tolist() == [2.0]


def test_a_working_order_outlives_the_window_and_one_that_has_ended_does_not() -> None:
    table = RollingTable(CHANNELS["orders"], max_rows=3)
    table.append(
        rows_of(*(message(ORDER, orderId=f"{status}", status=status) for status in ("FILLED", "WORKING", "CANCELLED")))
    )
    assert list(table.latest().index) == ["CANCELLED", "FILLED", "WORKING"]
    for _ in range(500):
        table.append(rows_of(message(ORDER, orderId="x")))

    assert list(table.latest().index) == ["WORKING", "x"]


@pytest.mark.parametrize(
    ("status", "lives_on"), [("filled", False), ("Cancelled", False), ("REJECTED", False), ("new", True), (None, True)]
)
def test_the_state_of_an_order_may_be_written_in_any_case(status: str | None, lives_on: bool) -> None:
    table = RollingTable(CHANNELS["orders"], max_rows=2)
    table.append(rows_of(message(ORDER, orderId="a", status=status, remainingVolume=0)))
    table.append(rows_of(*(message(ORDER, orderId="x") for _ in range(5))))

    assert ("a" in table.latest().index) is lives_on


def test_what_outlives_the_window_has_a_place_in_columns_that_came_later() -> None:
    table = RollingTable(CHANNELS["positions"], max_rows=2)
    table.append(rows_of(message(POSITION, ticket=1, foo="early")))
    table.append(rows_of(*(message(POSITION, ticket=2, late=True, more=1, text="x") for _ in range(5))))
    latest = table.latest()

    assert latest["foo"].fillna("-").tolist() == ["early", "-"]
    assert latest["late"].fillna(False).tolist() == [False, True]
    assert latest[["more", "text"]].isna().any(axis=1).tolist() == [True, False]


# Who follows what moves in `latest`.


class Follower:
    """Knows `latest` by its moves alone."""

    def __init__(self, most: int = 1_000_000) -> None:
        self.most, self.mark, self.known = most, None, {}

    def look(self, table: RollingTable) -> None:
        moves = table.moves(self.mark, self.most)
        self.mark = moves.cursor
        if moves.whole:
            self.known = {}
        for key in moves.gone:
            self.known.pop(key, None)
        for key in moves.changed:
            self.known.pop(key, None)
            self.known[key] = table.newest(key)


def index_of(table: RollingTable, key: Any) -> Any:
    return key if not table.channel.single else table.newest(key, "status")["status"]


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from([1, 2, 5, 60, 400]), st.sampled_from([0, 0.3]), st.booleans(), st.booleans()),
        min_size=1,
        max_size=15,
    ),
    seed=st.integers(0, 2**32),
    channel=st.sampled_from(["positions", "orders", "trades", "analytics", "system"]),
    max_rows=st.sampled_from([1, 7, 100, 1_000_000]),
    window_us=st.sampled_from([None, 100_000]),
    jitter_us=st.sampled_from([0, 200_000]),
)
def test_who_follows_what_moves_knows_latest_without_reading_it_anew(
    steps: list[tuple[int, float, bool, bool]],
    seed: int,
    channel: str,
    max_rows: int,
    window_us: int | None,
    jitter_us: int,
) -> None:
    table = RollingTable(CHANNELS[channel], max_rows=max_rows, window_us=window_us)
    source, follower = Source(seed, drift=True, jitter_us=jitter_us), Follower()
    for size, missing, forgets, looks in steps:
        made = [source.message(channel, missing) for _ in range(size)]
        table.append(rows_of(*(sent for sent, _ in made)))
        if forgets and not table.channel.single:
            key = tuple(made[0][1][name] for name in table.channel.key)
            table.forget(key if len(key) > 1 else key[0])
        if looks:
            follower.look(table)
            latest = table.latest()
            stamps = dict(zip(latest.index.tolist(), latest["timestamp"].array.asi8.tolist(), strict=True))
            assert {index_of(table, key): row["timestamp"] for key, row in follower.known.items()} == stamps
            for key, row in follower.known.items():
                now = table.newest(key, *row)
                assert now is not None
                assert repr(row) == repr({name: now.get(name) for name in row})  # a NaN does not equal itself
            together = table.newest_of(list(follower.known), *table.columns)
            apart = [table.newest(key) or {} for key in follower.known]
            assert repr(together) == repr({name: [row.get(name) for row in apart] for name in table.columns})


def test_only_what_has_moved_is_told_and_in_the_order_of_the_rows() -> None:
    table = RollingTable(CHANNELS["market-data"])
    assert table.moves(None, 10).changed == []
    table.append(rows_of(*(quote(number, f"S{number}") for number in range(1_000))))
    moves = table.moves(None, 10_000)
    assert (len(moves.changed), moves.whole) == (1_000, True)
    assert table.moves(moves.cursor, 10_000).changed == []

    table.append(rows_of(quote(1_000, "S7"), quote(1_001, "S3"), quote(1_002, "S7")))
    moves = table.moves(moves.cursor, 10_000)
    assert (moves.changed, moves.gone, moves.whole) == (["S3", "S7"], [], False)
    assert table.moves(None, 3).changed == ["S999", "S3", "S7"]


def test_what_has_left_latest_is_told_once_and_not_where_it_is_back() -> None:
    table = table_of(message(POSITION, ticket=1), message(POSITION, ticket=2), message(POSITION, ticket=3))
    mark = table.moves(None, 10).cursor
    table.append(rows_of(message(POSITION, ticket=1, volume=0), message(POSITION, ticket=2, volume=0)))
    table.append(rows_of(message(POSITION, ticket=2, volume=0.3)))
    moves = table.moves(mark, 10)
    assert (moves.changed, moves.gone) == ([2], [1])
    table.forget(3)
    moves = table.moves(moves.cursor, 10)
    assert (moves.changed, moves.gone) == ([], [3])
    assert table.moves(moves.cursor, 10).gone == []


@pytest.mark.parametrize("behind", ["rows", "departures"])
def test_who_has_fallen_too_far_behind_is_told_everything(behind: str) -> None:
    table = RollingTable(CHANNELS["positions"], max_rows=2 if behind == "rows" else 1_000_000)
    table.append(rows_of(message(POSITION, ticket=1)))
    mark = table.moves(None, 10).cursor
    if behind == "rows":  # the second value of the first ticket has outlived the window
        table.append(rows_of(*(message(POSITION, ticket=ticket, profit=7) for ticket in (1, 2, 3))))
    else:
        for _ in range(MAX_DEPARTED + 1):
            table.forget(9)
    moves = table.moves(mark, 10)
    assert moves.whole
    assert moves.changed == ([1, 2, 3] if behind == "rows" else [1])
    assert table.moves(mark, 2).changed == ([2, 3] if behind == "rows" else [1])


def test_of_a_channel_without_a_key_every_row_is_a_key_until_it_leaves_the_window() -> None:
    table = RollingTable(Channel("news", columns=(ID,)), max_rows=3)
    news = {"type": "news", "channel": "news", "timestamp": stamp(0), "data": {"text": "x"}}
    table.append(rows_of(*[news] * 2))
    moves = table.moves(None, 10)
    assert list(moves.changed) == [0, 1]
    table.append(rows_of(*[news] * 2))
    moves = table.moves(moves.cursor, 10)
    assert (list(moves.changed), list(moves.gone), moves.whole) == ([2, 3], [0], False)
    assert (table.newest(0), table.newest(3, "text")) == (None, {"text": "x"})
    table.append(rows_of(*[news] * 9))
    moves = table.moves(moves.cursor, 2)
    assert (list(moves.changed), moves.whole) == ([11, 12], True)


# Nothing that a user does reaches the store.

SAFE = {
    "iloc": lambda f: f.iloc.__setitem__((0, 1), f.iloc[1, 1]),
    "iloc row": lambda f: f.iloc.__setitem__(0, f.iloc[1]),
    "iloc column": lambda f: f.iloc.__setitem__((slice(None), f.columns.get_loc("threshold")), 0.0),
    "loc": lambda f: f.loc.__setitem__((f.index[0], "threshold"), -1.0),
    "loc mask": lambda f: f.loc.__setitem__((f["current"] > 0, "current"), -1.0),
    "loc text": lambda f: f.loc.__setitem__((f.index[0], "title"), "changed"),
    "loc time": lambda f: f.loc.__setitem__((f.index[0], "created_at"), pd.Timestamp(0, tz="UTC")),
    "loc code": lambda f: f.loc.__setitem__((f.index[0], "severity"), f["severity"].iloc[1]),
    "loc new row": lambda f: f.loc.__setitem__(pd.Timestamp(0, tz="UTC"), f.iloc[0]),
    "at": lambda f: f.at.__setitem__((f.index[0], "threshold"), -1.0),
    "iat": lambda f: f.iat.__setitem__((0, f.columns.get_loc("threshold")), -1.0),
    "iat list": lambda f: f.iat.__setitem__((0, f.columns.get_loc("actions")), ("changed",)),
    "column": lambda f: f.__setitem__("threshold", -1.0),
    "slice": lambda f: f.__setitem__(slice(0, 1), f.iloc[1:2].to_numpy()),
    "mask": lambda f: f.__setitem__(f.isna(), None),
    "in place arithmetic": lambda f: f["threshold"].__iadd__(1.0),
    "frame in place arithmetic": lambda f: f.__setitem__(
        ["threshold", "current"], f[["threshold", "current"]].__imul__(2)
    ),
    "fillna": lambda f: f.fillna({"threshold": 0.0, "title": ""}, inplace=True),
    "column fillna": lambda f: f["threshold"].fillna(0.0, inplace=True),
    "replace": lambda f: f.replace({"threshold": {80.0: 0.0}}, inplace=True),
    "clip": lambda f: f["current"].clip(0, 1, inplace=True),
    "where": lambda f: f["current"].where(f["current"] < 0, 0.0, inplace=True),
    "mask in place": lambda f: f["title"].mask(f["title"].notna(), "x", inplace=True),
    "update": lambda f: f.update(pd.DataFrame({"threshold": -1.0}, index=f.index[:1])) if f.index.is_unique else None,
    "drop": lambda f: f.drop(columns=["title"], inplace=True),
    "pop": lambda f: f.pop("title"),
    "insert": lambda f: f.insert(0, "new", 1),
    "del": lambda f: f.__delitem__("title"),
    "sort": lambda f: f.sort_values("alert_id", ascending=False, inplace=True),
    "sort index": lambda f: f.sort_index(ascending=False, inplace=True),
    "reset index": lambda f: f.reset_index(inplace=True),
    "set index": lambda f: f.set_index("alert_id", inplace=True),
    "rename": lambda f: f.rename(columns={"title": "headline"}, inplace=True),
    "columns": lambda f: setattr(f, "columns", range(f.shape[1])),
    "columns name": lambda f: setattr(f.columns, "name", "changed"),
    "index name": lambda f: setattr(f.index, "name", "changed"),
    "index": lambda f: setattr(f, "index", range(len(f))),
    "attrs": lambda f: f.attrs.update(changed=True),
    "flags": lambda f: setattr(f.flags, "allows_duplicate_labels", True),
    "series iloc": lambda f: f["threshold"].iloc.__setitem__(0, -1.0),
    "series text": lambda f: f["title"].iloc.__setitem__(0, "changed"),
    "series list": lambda f: f["actions"].iloc.__setitem__(0, ("changed",)),
    "series code": lambda f: f["severity"].iloc.__setitem__(0, f["severity"].iloc[1]),
    "series name": lambda f: setattr(f["title"], "name", "changed"),
    "rename categories": lambda f: f["severity"].cat.rename_categories(str.lower),
    "add categories": lambda f: f.__setitem__("severity", f["severity"].cat.add_categories(["changed"])),
    "set categories": lambda f: f["severity"].cat.set_categories(["changed"]),
    "reorder categories": lambda f: f["severity"].cat.as_ordered(),
    "subset": lambda f: f[["threshold", "current"]].iloc.__setitem__((0, 0), -1.0),
    "shallow copy": lambda f: f.copy(deep=False).iloc.__setitem__((0, f.columns.get_loc("threshold")), -1.0),
    "transpose": lambda f: f[["threshold", "current"]].T.iloc.__setitem__((0, 0), -1.0),
    "eval": lambda f: f.eval("threshold = threshold * 2", inplace=True),
    "query": lambda f: f.query("threshold > 0", inplace=True),
    "to_numpy of all": lambda f: f.to_numpy().__setitem__((0, 1), "changed"),
    "to_numpy of two": lambda f: f[["threshold", "current"]].to_numpy(copy=True).__setitem__((0, 0), -1.0),
    "to_records": lambda f: f.to_records().__setitem__(0, f.to_records()[1]),
}

# Writes into the arrays themselves may be refused.
RAW = {
    "values": lambda f, c: f[c].values.__setitem__(0, f[c].values[1]),
    "array": lambda f, c: f[c].array.__setitem__(0, f[c].array[1]),
    "to_numpy": lambda f, c: f[c].to_numpy().__setitem__(0, f[c].to_numpy()[1]),
    "asarray": lambda f, c: np.asarray(f[c]).__setitem__(0, np.asarray(f[c])[1]),
    "frame values": lambda f, c: f[[c]].values.__setitem__((0, 0), f[[c]].values[1, 0]),
    "frame to_numpy": lambda f, c: f[[c]].to_numpy().__setitem__((0, 0), f[[c]].to_numpy()[1, 0]),
    "ufunc out": lambda f, c: np.add(f[c], 1, out=np.asarray(f[c])),
    "sort of array": lambda f, c: np.asarray(f[c])[::-1].sort(),
    "ndarray": lambda f, c: f[c].array._ndarray.__setitem__(0, f[c].array._ndarray[1]),
    "data": lambda f, c: f[c].array._data.__setitem__(0, f[c].array._data[1]),
    "mask": lambda f, c: f[c].array._mask.__setitem__(0, True),
    "codes": lambda f, c: f[c].cat.codes.to_numpy().__setitem__(0, f[c].cat.codes.iloc[1]),
    "codes series": lambda f, c: f[c].cat.codes.iloc.__setitem__(0, f[c].cat.codes.iloc[1]),
    "codes array": lambda f, c: f[c].array.codes.__setitem__(0, 1),
    "private codes": lambda f, c: f[c].array._codes.__setitem__(0, 1),
    "category values": lambda f, c: f[c].cat.categories.values.__setitem__(0, "changed"),
    "category array": lambda f, c: f[c].cat.categories.array.__setitem__(0, "changed"),
    "put": lambda f, c: np.put(f[c].to_numpy(), [0], f[c].to_numpy()[1]),
    "memoryview": lambda f, c: memoryview(np.asarray(f[c])).__setitem__(0, 1),
    "int view": lambda f, c: np.asarray(f[c].array.view("i8")).__setitem__(0, 1),
    "asi8": lambda f, c: f[c].array.asi8.__setitem__(0, 1),
    "index values": lambda f, c: f.index.values.__setitem__(0, f.index.values[1]),
    "index asi8": lambda f, c: f.index.asi8.__setitem__(0, 1),
    "index array": lambda f, c: f.index.array.__setitem__(0, f.index.array[1]),
    "index data": lambda f, c: f.index._data._ndarray.__setitem__(0, f.index._data._ndarray[1]),
    "column names": lambda f, c: f.columns.array.__setitem__(0, "changed"),
    "column name values": lambda f, c: f.columns.values.__setitem__(0, "changed"),
}
REFUSALS = (ValueError, TypeError, AttributeError, NotImplementedError, KeyError)

# pandas warns of some of these ways; that they are unwise is why they are here.
EVERY_WAY = pytest.mark.filterwarnings("ignore")
USED = ["alert_id", "severity", "title", "threshold", "created_at", "actions", "flag", "score", "note"]


@cache
def alerts(start: int, stop: int) -> Rows:
    return rows_of(
        *(
            message(
                ALERT,
                {"timestamp": stamp(i * 1_000), "id": f"m{i}"},
                alertId=f"a{i}",
                severity=f"S{i % 5}",
                title=None if i % 7 == 3 else f"t{i}",
                threshold=None if i % 5 == 4 else i,
                actions=[f"x{i}"],
                createdAt=stamp(i),
                flag=i % 2 == 0,
                score=i / 2,
                note=f"n{i}",
            )
            for i in range(start, stop)
        )
    )


def assaulted(attack: Any, *, moved: bool) -> None:
    """Take frames, write into one (at once, or after the buffers were left behind), and look at all others."""
    table = RollingTable(CHANNELS["alerts"], max_rows=500)
    table.append(alerts(0, 300))
    victim, witness, wanted = table.frame(), table.frame(), table.frame().copy()
    tail = table.frame(290)
    if moved:
        table.append(alerts(300, 1_400))
        gc.collect()
    later, later_wanted = table.frame(), table.frame().copy()
    latest = table.latest().copy()
    attack(victim)
    equal(witness, wanted)
    equal(tail, wanted.iloc[290:])
    equal(later, later_wanted)
    equal(table.frame(), later_wanted)
    equal(table.latest(), latest)
    assert table.frame().columns.name is None
    assert table.frame().attrs == {}
    stop = table.stop
    table.append(alerts(stop, stop + 10))
    equal(table.frame().iloc[-10:], pd.concat([table.frame(stop)]))
    assert list(table.frame(stop)["alert_id"]) == [f"a{i}" for i in range(stop, stop + 10)]


@EVERY_WAY
@pytest.mark.parametrize("moved", [False, True], ids=["at once", "held"])
@pytest.mark.parametrize("way", SAFE)
def test_a_write_into_a_frame_works_and_stays_in_it(way: str, moved: bool) -> None:
    assaulted(SAFE[way], moved=moved)


@EVERY_WAY
@pytest.mark.parametrize("moved", [False, True], ids=["at once", "held"])
@pytest.mark.parametrize("way", RAW)
def test_a_write_into_the_arrays_of_a_frame_reaches_no_other(way: str, moved: bool) -> None:
    def attack(frame: pd.DataFrame) -> None:
        for column in USED:
            with contextlib.suppress(*REFUSALS):
                RAW[way](frame, column)

    assaulted(attack, moved=moved)


@pytest.mark.parametrize("kind", ["float64", "Int64", "int64", "boolean", "str", "category", "object", "datetime"])
def test_a_written_value_is_there_and_is_written_again_without_harm(kind: str) -> None:
    sample, name, new = {
        "float64": (ALERT, "threshold", -1.0),
        "Int64": (TRADE, "ticket", 7),
        "int64": (POSITION, "ticket", 7),
        "boolean": (message(ALERT, flag=True), "flag", False),
        "str": (ALERT, "title", "changed"),
        "category": (ALERT, "severity", None),
        "object": (ALERT, "actions", ("changed",)),
        "datetime": (ALERT, "created_at", pd.Timestamp(0, tz="UTC")),
    }[kind]
    table = table_of(sample, sample, sample)
    frame, other = table.frame(), table.frame()
    del table
    gc.collect()
    before = other[name].tolist()
    place = frame.columns.get_loc(name)
    for row in (0, 2):
        frame.iat[row, place] = new
        written = frame[name].iloc[row]
        assert pd.isna(written) if new is None else written == new
    assert frame[name].iloc[1] == before[1]
    assert other[name].tolist() == before


def test_a_frame_lives_on_without_its_table() -> None:
    table = RollingTable(CHANNELS["alerts"], max_rows=100)
    table.append(alerts(0, 100))
    frame, wanted = table.frame(), table.frame().copy()
    del table
    gc.collect()
    junk = [np.full(100_000, 7, np.int64) for _ in range(20)]

    equal(frame, wanted)
    frame.iat[0, frame.columns.get_loc("threshold")] = -1.0
    assert frame.iloc[1:].equals(wanted.iloc[1:])
    del junk


def test_a_batch_that_fails_half_way_leaves_the_table_as_it_was() -> None:
    table = table_of(*(message(ALERT, title=f"t{i}", alertId=f"a{i}") for i in range(5)))
    before = table.frame().copy()
    rows = rows_of(message(ALERT, title="late", alertId="z"), message(ALERT, title=None, alertId="y"))
    broken = rows_of(*(message(ALERT, title=None, alertId=f"b{i}", foo=i) for i in range(400)))
    broken.values["actions"] = None  # stands for any failure in the middle, such as no memory
    with pytest.raises(TypeError):
        table.append(broken)

    equal(table.frame().drop(columns="foo"), before)
    assert table.frame()["foo"].isna().all()
    table.append(rows)
    assert list(table.frame()["alert_id"]) == [*(f"a{i}" for i in range(5)), "z", "y"]
    assert table.frame()["title"].fillna("-").tolist() == [*(f"t{i}" for i in range(5)), "late", "-"]
    assert list(table.latest().index) == sorted(["a0", "a1", "a2", "a3", "a4", "z", "y"])


# Memory.


def buffers(table: RollingTable) -> dict[str, list[int]]:
    """The bytes of each numpy array behind each column."""
    found = {}
    for name, column in table._columns.items():
        arrays = [v for v in vars(column).values() if isinstance(v, np.ndarray)]
        found[name] = [a.nbytes for a in (*arrays, *getattr(column, "_parts", ()))]
    return found


@pytest.mark.parametrize("max_rows", [5_000, 6_300, 9_000])
def test_the_buffers_of_a_window_that_has_rolled_cost_less_than_one_and_a_half_of_it(max_rows: int) -> None:
    table = RollingTable(CHANNELS["alerts"], max_rows=max_rows)
    some = alerts(0, 100)
    most = 0.0
    for start in range(0, 4 * max_rows, 100):
        table.append(some)
        if start >= max_rows * 3 // 2:
            frame = table.frame()
            window = frame.copy().memory_usage(deep=False, index=True).drop(["title", "alert_id", "id", "note"]).sum()
            texts = sum(8 * len(frame) + frame[n].str.len().sum() for n in ("title", "alert_id", "id", "note"))
            most = max(most, sum(map(sum, buffers(table).values())) / (window + texts))

    assert 1 < most < 1.5


def test_a_time_window_that_shrinks_gives_its_memory_back() -> None:
    table = RollingTable(CHANNELS["market-data"], window_us=1_000_000)
    burst = quotes(0, 1).take([0] * 20_000)
    table.append(burst)
    held = sum(map(sum, buffers(table).values()))
    table.append(quotes(2_000, 2_001))
    table.append(quotes(2_001, 2_002))

    assert len(table) == 2
    assert sum(map(sum, buffers(table).values())) < held / 10


# Selecting.


@pytest.fixture
def frame() -> pd.DataFrame:
    table = table_of(
        *(
            quote(60_000 * i, "EURUSD" if i % 2 else "USDJPY", ask=None if i == 3 else i, flag=i % 3 == 0, note=f"n{i}")
            for i in range(10)
        )
    )
    return table.frame()


def minutes(frame: pd.DataFrame) -> list[int]:
    return [bid // 60_000 for bid in numbers(frame)]


@pytest.mark.parametrize(
    ("last", "wanted"),
    [
        (3, [7, 8, 9]),
        (0, []),
        (10, range(10)),
        (99, range(10)),
        (np.int64(2), [8, 9]),
        (2.0, [8, 9]),
        (np.float64(2), [8, 9]),
        (np.float32(1), [9]),
        (1e300, range(10)),
    ],
)
def test_the_last_rows_are_counted_from_the_end(frame: pd.DataFrame, last: Any, wanted: Any) -> None:
    assert minutes(select(frame, "market-data", last=last)) == list(wanted)


@pytest.mark.parametrize(
    "last", ["2min", "120s", "00:02:00", pd.Timedelta("2min"), timedelta(minutes=2), np.timedelta64(2, "m")]
)
def test_the_last_minutes_are_counted_from_the_newest_row(frame: pd.DataFrame, last: Any) -> None:
    assert minutes(select(frame, "market-data", last=last)) == [7, 8, 9]


@pytest.mark.parametrize(
    "last",
    [
        *(-1, -5.0, 2.5, math.nan, math.inf, True, False, np.True_, [5], {}),
        *("5", " 5 ", "5.0", "-3", "1e3", "", "abc", "5 rows", "-5min", "nat", pd.NaT, pd.Timedelta("-1min")),
    ],
    ids=repr,
)
@pytest.mark.parametrize("empty", [False, True])
def test_what_is_neither_rows_nor_a_time_is_refused(frame: pd.DataFrame, last: Any, empty: bool) -> None:
    with pytest.raises(
        UnknownOption, match='last must be a number of rows or a duration such as "5min", got'
    ) as caught:
        select(frame.iloc[:0] if empty else frame, "market-data", last=last)

    assert str(caught.value).endswith(f"got {last!r}.")


def test_what_pandas_gives_as_the_unique_values_of_a_column_can_be_asked_for() -> None:
    frame = table_of(quote(0), quote(1, "USDJPY"), quote(2)).frame()
    for column in ("symbol", "id", "bid"):
        for asked in (frame[column].unique(), frame[column].array, frame[column].drop_duplicates()):
            assert len(select(frame, "market-data", where={column: asked})) == 3


def test_the_last_minutes_are_found_also_out_of_order() -> None:
    frame = table_of(quote(0), quote(600_000), quote(1_000), quote(599_000)).frame()

    assert numbers(select(frame, "market-data", last="1min")) == [600_000, 599_000]


@pytest.mark.parametrize(
    "since", ["2024-01-01 00:07", "2024-01-01T00:07Z", "2024-01-01T02:07+02:00", pd.Timestamp("2024-01-01 00:07")]
)
def test_a_time_without_a_zone_is_utc_and_both_ends_are_included(frame: pd.DataFrame, since: Any) -> None:
    assert minutes(select(frame, "market-data", since=since)) == [7, 8, 9]
    assert minutes(select(frame, "market-data", until=since)) == list(range(8))
    assert minutes(select(frame, "market-data", since=since, until=since)) == [7]


@pytest.mark.parametrize(
    "moment",
    [
        *(1.7e9, 0, True, np.int64(5), np.float64(1.7e9), Decimal(5)),
        *("5", "1712011200", "23:00", "T23:00:30.5Z", "9 pm"),
        pd.NaT,
    ],
    ids=repr,
)
@pytest.mark.parametrize("empty", [False, True])
def test_a_number_and_a_time_of_day_are_no_moment(frame: pd.DataFrame, moment: Any, empty: bool) -> None:
    for end in ("since", "until"):
        with pytest.raises(UnknownOption, match=r"time must be a timestamp with a date, such as"):
            select(frame.iloc[:0] if empty else frame, "market-data", **{end: moment})


@pytest.mark.parametrize("moment", ["2024-01-01", "20240101", "2024", "Jan 1 2024", "2024-01", date(2024, 1, 1)])
def test_a_moment_may_be_a_day_however_it_is_written(moment: Any) -> None:
    assert utc(moment) == pd.Timestamp("2024-01-01", tz="UTC")


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ({"symbol": "EURUSD"}, [1, 3, 5, 7, 9]),
        ({"symbol": ["EURUSD", "GBPUSD"]}, [1, 3, 5, 7, 9]),
        ({"symbol": "GBPUSD"}, []),
        ({"symbol": []}, []),
        ({"ask": None}, [3]),
        ({"ask": 4}, [4]),
        ({"ask": [4, 5.0]}, [4, 5]),
        ({"flag": True}, [0, 3, 6, 9]),
        ({"note": "n2"}, [2]),
        ({"note": {"n2", "n4"}}, [2, 4]),
        ({"note": pd.Series(["n2"])}, [2]),
        ({"symbol": "EURUSD", "flag": True}, [3, 9]),
        ({"timestamp": pd.Timestamp("2024-01-01T00:02Z")}, [2]),
        ({"timestamp": ["2024-01-01 00:02", "2024-01-01T02:03+02:00", None]}, [2, 3]),
        ({"ask": "4"}, [4]),
        ({"ask": [Decimal(4), math.nan]}, [3, 4]),
        ({"note": "N2"}, []),
        ({"flag": np.False_}, [1, 2, 4, 5, 7, 8]),
        ({}, range(10)),
        (None, range(10)),
    ],
)
def test_rows_are_chosen_by_the_values_of_columns(frame: pd.DataFrame, where: Any, wanted: Any) -> None:
    found = select(frame, "market-data", where=where)

    assert minutes(found) == list(wanted)
    assert [str(d) for d in found.dtypes] == [str(d) for d in frame.dtypes]


@pytest.mark.parametrize(
    "where",
    [
        *({"ask": value} for value in ("high", ">5", "", "inf", True, pd.Timestamp(0), [4, "x"], 10**400)),
        *({"received_at": value} for value in ("2024-01-01", "2024", date(2024, 1, 1), 1.7e9, "12:00", "soon")),
        *({"symbol": 42}, {"note": 2}, {"note": ["n2", 2]}, {"flag": "True"}, {"flag": 1}),
    ],
    ids=str,
)
@pytest.mark.parametrize("empty", [False, True])
def test_a_value_that_a_column_cannot_have_is_refused(frame: pd.DataFrame, where: dict[str, Any], empty: bool) -> None:
    [name] = where
    with pytest.raises(UnknownOption, match=f"{name} must be "):
        select(frame.iloc[:0] if empty else frame, "market-data", where=where)


def test_codes_are_compared_without_case_and_whole_numbers_exactly() -> None:
    frame = table_of(
        *(message(POSITION, ticket=2**62 + n, type=t) for n, t in enumerate(["BUY", "Buy", "SELL", None]))
    ).frame()

    for kinds in ("buy", "BUY", ["bUy", "?"]):
        assert (select(frame, "positions", where={"type": kinds})["ticket"] - 2**62).tolist() == [0, 1]
    assert (select(frame, "positions", where={"type": ["sell", None]})["ticket"] - 2**62).tolist() == [2, 3]
    assert select(frame, "positions", where={"ticket": str(2**62 + 1)})["ticket"].tolist() == [2**62 + 1]
    assert select(frame, "positions", where={"ticket": [10**30, 1.5]}).empty


def test_all_that_is_asked_for_holds_together_and_last_comes_last(frame: pd.DataFrame) -> None:
    found = select(
        frame, "market-data", last=2, since="2024-01-01 00:02", until="2024-01-01 00:08", where={"symbol": "EURUSD"}
    )

    assert minutes(found) == [5, 7]


def test_the_latest_rows_are_chosen_by_their_key_too() -> None:
    latest = table_of(quote(0, "EURUSD"), quote(60_000, "USDJPY")).latest()
    metrics = table_of(*(message(ANALYTICS, period=p) for p in ("DAY", "WEEK"))).latest()

    assert numbers(select(latest, "market-data", where={"symbol": "USDJPY"})) == [60_000]
    assert numbers(select(latest, "market-data", where={"symbol": ["USDJPY", "X"]})) == [60_000]
    assert numbers(select(latest, "market-data", since="2024-01-01 00:00:30")) == [60_000]
    assert len(select(metrics, "analytics", where={"period": "WEEK"})) == 1


@pytest.mark.parametrize("last", [None, 5, "5min"])
def test_an_empty_frame_can_be_selected_from(last: Any) -> None:
    empty = RollingTable(CHANNELS["market-data"]).frame()

    assert (
        len(select(empty, "market-data", last=last, since="2024-01-01", where={"symbol": "EURUSD", "bid": None})) == 0
    )


@pytest.mark.parametrize("empty", [False, True])
def test_a_wrong_column_gets_an_error_that_lists_the_right_ones(frame: pd.DataFrame, empty: bool) -> None:
    with pytest.raises(UnknownColumn) as caught:
        select(frame.iloc[:0] if empty else frame, "market-data", where={"symbl": "EURUSD"})

    assert caught.value.known == ("timestamp", *frame.columns)
    assert "Did you mean symbol?" in str(caught.value)
    assert "market-data" in str(caught.value)


def test_what_was_selected_can_be_written_to_without_harm(frame: pd.DataFrame) -> None:
    before = frame.copy()
    for asked in ({"last": 3}, {"last": "9min"}, {"since": "2024-01-01"}, {"where": {"symbol": ["EURUSD", "USDJPY"]}}):
        chosen = select(frame, "market-data", **asked)
        chosen.iat[-1, chosen.columns.get_loc("bid")] = -1.0
    equal(frame, before)
