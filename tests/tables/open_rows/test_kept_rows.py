"""Open positions and working orders that have left the window: their values, their bound, and what they cost."""

from __future__ import annotations

import random
from typing import Any

import pytest

from fxlive.tables.columns import vocabulary
from fxlive.tables.open_rows import kept_rows
from fxlive.tables.open_rows.open_frame import open_frame
from fxlive.tables.table import RollingTable
from fxlive.wire.channels import CHANNELS
from tests.samples import ORDER, message, stamp
from tests.tables.rows import rows_of


def orders(*numbers: int, status: str = "PENDING", at: int = 0, **data: Any) -> Any:
    return rows_of(
        *(
            message(ORDER, {"timestamp": stamp(at + n), "id": f"m{at + n}"}, orderId=f"o{n:06}", status=status, **data)
            for n in numbers
        )
    )


def test_the_oldest_rows_beyond_the_cap_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_rows, "MAX_KEPT_ROWS", 50)
    table = RollingTable(CHANNELS["orders"], max_rows=10)
    cursor = table.moves(None, 1_000).cursor
    for start in range(0, 200, 20):
        table.append(orders(*range(start, start + 20)))
    assert table.latest().index.tolist() == [f"o{n:06}" for n in range(140, 200)]
    assert table.kept[:2] == (50, 140)
    assert set(table.moves(cursor, 1_000).gone) <= {f"o{n:06}" for n in range(140)}
    assert table.newest("o000000") is None


def test_the_oldest_rows_beyond_the_bytes_of_their_texts_are_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept_rows, "MAX_KEPT_BYTES", 1_000_000)
    table = RollingTable(CHANNELS["orders"], max_rows=10)
    cursor = table.moves(None, 1_000).cursor
    for number in range(60):
        table.append(orders(number, note="x" * 90_000))
    kept = table._latest.kept
    assert table.latest().index.tolist() == [f"o{n:06}" for n in range(39, 60)]
    assert table.kept[:2] == (11, 39)
    assert 11 * 90_000 < table.kept[2] <= 1_000_000
    assert set(table.moves(cursor, 1_000).gone) <= {f"o{n:06}" for n in range(39)}
    table.append(orders(*range(100, 140), note="y" * 90_000))  # 30 of them leave the window at once
    assert table.latest().index.tolist() == [f"o{n:06}" for n in range(119, 140)]
    assert table.latest()["note"].str[0].tolist() == ["y"] * 21
    table.append(orders(*range(200, 600)))
    table.append(orders(*range(100, 140), status="FILLED", at=1_000))
    table.append(orders(*range(600, 620), at=2_000))
    assert len(kept) == 410
    assert kept.bytes == sum(int(c.text_bytes(kept.rows()[0]).sum()) for c in kept._buffers.values())
    assert kept._buffer_bytes <= 1.25 * kept.bytes + kept_rows._MIN_SPARE_BYTES
    table.clear()
    assert table.kept[2] == 0


def test_open_rows_stay_when_their_column_gets_too_many_categories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "MAX_CATEGORIES", 20)
    table = RollingTable(CHANNELS["orders"], max_rows=5)
    for number in range(60):
        table.append(orders(number, strategyId=f"s{number}"))
    assert table.latest()["strategy_id"].tolist() == [f"s{number}" for number in range(60)]
    assert table.newest_of(["o000003", "o000059"], "strategy_id")["strategy_id"] == ["s3", "s59"]


def test_rows_of_ended_keys_take_no_memory_for_long() -> None:
    table = RollingTable(CHANNELS["orders"], max_rows=10)
    table.append(orders(999_999))  # the oldest stays for ever
    for round_ in range(1, 60):
        table.append(orders(*range(500), at=round_ * 10_000))
        table.append(orders(*range(500), at=round_ * 10_000 + 5_000, status="FILLED"))
    table.append(orders(*range(1_000, 1_010), at=10_000_000))
    kept = table._latest.kept
    assert len(kept) == 1
    assert kept._rows <= 1.25 * len(kept) + 1_024 + 500
    assert "o999999" in table.latest().index


def test_latest_is_computed_once_for_each_change(monkeypatch: pytest.MonkeyPatch) -> None:
    table = RollingTable(CHANNELS["orders"], max_rows=10)
    table.append(orders(*range(100)))
    frames = 0

    def count(*args: Any, **options: Any) -> Any:
        nonlocal frames
        frames += 1
        return open_frame(*args, **options)

    monkeypatch.setattr("fxlive.tables.table.open_frame", count)
    first = table.latest()
    first.loc["o000000", "volume"] = -1.0
    first["volume"].array[1] = -1.0
    for _ in range(5):
        assert (table.latest()["volume"] == 0.1).all()
    assert frames == 1
    for change in (
        lambda: table.append(orders(200)),
        lambda: table.begin_gap(),
        lambda: table.confirm(["o000000"], 1),
        lambda: table.remove_from_latest("o000001"),
    ):
        change()
        frames = 0
        table.latest()
        assert frames == 1


@pytest.mark.parametrize("seed", range(5))
def test_latest_equals_the_newest_rows_in_any_order_of_events(seed: int) -> None:
    pick, table, expected = random.Random(seed), RollingTable(CHANNELS["orders"], max_rows=20), {}
    confirmed: set[str] = set()
    for step in range(300):
        number = pick.randrange(150)
        status = pick.choice(["PENDING", "PENDING", "WORKING", "DONE"])
        extra = {"venue": f"v{step}"} if step > 100 and pick.random() < 0.3 else {}
        table.append(orders(number, status=status, at=step * 1_000, price=float(step), **extra))
        expected[f"o{number:06}"] = (float(step), status, extra.get("venue"))
        confirmed.add(f"o{number:06}")
        if pick.random() < 0.05:
            table.begin_gap()
            confirmed = {key for key, (_, status, _) in expected.items() if status == "DONE"}
        if pick.random() < 0.1:
            key = f"o{pick.randrange(150):06}"
            table.confirm([key], 1)
            confirmed.add(key)
    latest = table.latest()
    window = table.frame()
    keys = {key for key, (_, status, _) in expected.items() if status != "DONE"} | set(window["order_id"])
    assert latest.index.tolist() == sorted(keys)
    assert latest["price"].tolist() == [expected[key][0] for key in latest.index]
    assert latest["status"].tolist() == [expected[key][1] for key in latest.index]
    assert latest["venue"].astype(object).where(latest["venue"].notna(), None).tolist() == [
        expected[key][2] for key in latest.index
    ]
    assert latest.index[latest["confirmed"]].tolist() == sorted(keys & confirmed)
    assert table.are_confirmed(list(latest.index)) == latest["confirmed"].tolist()
    assert table.unconfirmed_count() == int((~latest["confirmed"]).sum())
    assert table.newest_of(list(latest.index), "price")["price"] == latest["price"].tolist()
