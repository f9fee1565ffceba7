from __future__ import annotations

import math
from collections import defaultdict
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxlive.analytics.pnl import pnl
from fxlive.analytics.profit import ledger, stream
from fxlive.analytics.profit.stream import PnlPoints, PnlStream
from fxlive.errors import InvalidFrame, UnknownColumn, UnknownOption
from tests.analytics.frames import T0, S, positions, trades

COLUMNS = ["unrealized", "realized", "commission", "swap", "total", "peak", "drawdown"]
BYS: list[Any] = [None, "symbol", "strategy_id", "connection_id"]

seconds = st.integers(0, 8)
cents = st.integers(-5000, 5000).map(lambda n: n / 100)
wild_positions = st.lists(
    st.tuples(
        seconds, st.integers(1, 3), st.sampled_from(["EURUSD", "USDJPY"]), st.sampled_from([0, 0.1, 0.2, 0.3]), cents
    ),
    max_size=25,
)
wild_trades = st.lists(
    st.tuples(
        seconds,
        st.fixed_dictionaries(
            {
                "execution_id": st.integers(1, 6).map(lambda n: f"exec_{n}"),
                "ticket": st.sampled_from([1, 2, 3, None]),
                "symbol": st.sampled_from(["EURUSD", "USDJPY"]),
                "volume": st.sampled_from([0.1, 0.2]),
                "profit": cents,
                "commission": st.sampled_from([0, 0.5]),
                "swap": st.sampled_from([0, -0.04]),
                "status": st.sampled_from(["FILLED", "CLOSED"]),
                "strategy_id": st.sampled_from(["s1", "s2", None]),
            }
        ),
    ),
    max_size=15,
)


def brute_force(rows: list[Any], reports: list[Any], by: str | None) -> dict[Any, dict[int, list[float]]]:
    """Compute the series as the docstring defines it, each point from all rows up to its time."""
    series: dict[Any, dict[int, list[float]]] = defaultdict(dict)
    for now in sorted({r[0] for r in rows} | {t for t, _ in reports}):
        trades_now = [t for t in sorted(reports, key=lambda t: t[0]) if t[0] <= now]  # a stable sort
        labels: dict[Any, Any] = {}
        last, first, groups = {}, {}, {}
        for at, trade in trades_now:
            label = {None: "", "symbol": trade["symbol"]}.get(by, trade.get(by or ""))
            if by not in (None, "symbol") and label is not None and trade["ticket"] is not None:
                labels[trade["ticket"]] = label
            execution = trade["execution_id"]
            first.setdefault(execution, at)
            last[execution] = trade
            groups[execution] = label if label is not None else labels.get(trade["ticket"], "unknown")
        totals: dict[Any, list[float]] = defaultdict(lambda: [0.0] * 4)
        for execution, trade in last.items():
            amounts = totals[groups[execution]]
            amounts[1] += trade["profit"] - trade["commission"] + trade["swap"]
            amounts[2] += trade["commission"]
            amounts[3] += trade["swap"]
        newest: dict[int, Any] = {}
        for row in sorted(rows, key=lambda r: r[0]):
            if row[0] <= now:
                newest[row[1]] = row
        for ticket, (at, _, symbol, volume, unrealized) in newest.items():
            closed = sum(
                t["volume"]
                for e, t in last.items()
                if t["ticket"] == ticket and t["status"] == "CLOSED" and first[e] > at
            )
            left = max(0.0, volume - closed) / volume if volume else 0.0
            group = {None: "", "symbol": symbol}.get(by, labels.get(ticket, "unknown"))
            totals[group][0] += unrealized * (0.0 if left < 1e-6 else left)
        for group in {*series, *totals}:
            series[group][T0 + now * S] = totals[group]
    return series


def charted(updates: list[dict[Any, PnlPoints]]) -> dict[Any, list[tuple[Any, ...]]]:
    """Return the points that a chart has after these updates."""
    series: dict[Any, list[tuple[Any, ...]]] = defaultdict(list)
    for update in updates:
        for group, points in update.items():
            new = list(zip(*(column.tolist() for column in points[1:]), strict=True))
            assert all(point[0] >= points.since for point in new)
            series[group] = [p for p in series[group] if p[0] < points.since] + new
    return {group: points for group, points in series.items() if points}


def listed(frame: pd.DataFrame, by: str | None) -> dict[Any, list[tuple[Any, ...]]]:
    """Return the rows of each group of a frame."""
    groups = {None: frame} if by is None else {g: frame.loc[g] for g in frame.index.unique(0)}
    return {
        g: list(zip(f.index.asi8.tolist(), *(f[c].tolist() for c in COLUMNS), strict=True))
        for g, f in groups.items()
        if len(f)
    }


@given(rows=wild_positions, reports=wild_trades, by=st.sampled_from(BYS))
@settings(max_examples=60, deadline=None)
def test_every_point_equals_a_computation_from_all_rows_up_to_its_time(
    rows: list[Any], reports: list[Any], by: Any
) -> None:
    result = listed(pnl(positions(rows), trades(reports), by), by)
    expected = brute_force(rows, [(t, {"connection_id": "c1", **trade}) for t, trade in reports], by)
    start = T0 + rows[0][0] * S if rows else 0  # where the open positions are known
    expected = {group: {t: v for t, v in points.items() if t >= start} for group, points in expected.items()}
    assert set(expected) <= {g or "" for g in result}
    for group, points in result.items():
        amounts_at = expected.get(group or "", {})
        assert points[0][0] >= start
        peak = points[0][5] if points[0][0] == start else 0.0
        # A group without expected amounts was reported and corrected at the same timestamp.
        for time, unrealized, realized, commission, swap, total, top, drawdown in points:
            np.testing.assert_allclose(
                (unrealized, realized, commission, swap), amounts_at.get(time, [0.0] * 4), atol=2e-5
            )
            assert total == pytest.approx(unrealized + realized, abs=1e-9)
            peak = max(peak, total)
            assert top == peak
            assert drawdown == pytest.approx(peak - total, abs=1e-9)
            assert drawdown >= 0
        # Between its points a group does not change.
        after = {t: next(p[1:5] for p in reversed(points) if p[0] <= t) for t in amounts_at}
        for time, amounts in after.items():
            np.testing.assert_allclose(amounts, amounts_at[time], atol=2e-5)


@given(rows=wild_positions, reports=wild_trades, by=st.sampled_from(BYS), once=st.booleans(),
       cuts=st.lists(st.tuples(st.integers(0, 25), st.integers(0, 15)), max_size=5))  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_a_stream_gives_the_same_points_bit_for_bit_however_the_rows_are_divided(
    rows: list[Any], reports: list[Any], by: Any, once: bool, cuts: list[tuple[int, int]]
) -> None:
    if once:  # every execution is reported once: `pnl` is computed by columns, not by the ledger
        reports = [(at, {**trade, "execution_id": f"exec_{n}"}) for n, (at, trade) in enumerate(reports)]
    frames = positions(rows), trades(reports)
    by_update, updates, done = PnlStream(by), [], (0, 0)
    for cut in [*cuts, (25, 15)]:
        upto = tuple(max(d, min(c, len(f))) for d, c, f in zip(done, cut, frames, strict=True))
        updates.append(by_update.update(*(f.iloc[d:u] for d, u, f in zip(done, upto, frames, strict=True))))
        done = upto
        assert charted(updates) == listed(pnl(frames[0].iloc[: done[0]], frames[1].iloc[: done[1]], by), by)
    assert by_update.late == 0


@given(rows=wild_positions, reports=wild_trades, by=st.sampled_from(BYS), more=st.integers(0, 12))
@settings(deadline=None)
def test_a_stream_that_begins_with_many_rows_continues_as_one_that_was_updated_row_by_row(
    rows: list[Any], reports: list[Any], by: Any, more: int
) -> None:
    reports = [(at, {**trade, "execution_id": f"exec_{n}"}) for n, (at, trade) in enumerate(reports)]
    cut = 8 - more % 8
    continued = PnlStream(by)
    early = [r for r in rows if r[0] <= cut], [t for t in reports if t[0] <= cut]
    late = [r for r in rows if r[0] > cut], [t for t in reports if t[0] > cut]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stream, "MAX_EVENTS_KEPT", more)
        first = continued.begin(positions(early[0]), trades(early[1]))
    later = continued.update(positions(late[0]), trades(late[1]))
    assert charted([first, later]) == listed(pnl(positions(early[0] + late[0]), trades(early[1] + late[1]), by), by)


@given(rows=wild_positions, reports=wild_trades, by=st.sampled_from(BYS[1:]))
@settings(max_examples=40, deadline=None)
def test_groups_add_up_to_the_whole_at_every_time_to_the_last_bit(rows: list[Any], reports: list[Any], by: Any) -> None:
    whole = pnl(positions(rows), trades(reports))
    groups = pnl(positions(rows), trades(reports), by)
    for column in COLUMNS[:5]:
        parts = groups[column].unstack(0).reindex(whole.index).ffill().fillna(0)
        millionths = (parts * 1_000_000).round().astype("int64").sum(axis=1)
        assert millionths.tolist() == (whole[column] * 1_000_000).round().astype("int64").tolist()


def test_the_references_sample_position_gains_ten_dollars_less_its_commission() -> None:
    frame = pnl(positions([(0, 123456, "EURUSD", 0.1, 10.0)]), trades([(0, {"ticket": 123456, "commission": 0.5})]))
    assert frame[COLUMNS].to_numpy().tolist() == [[10.0, -0.5, 0.5, 0.0, 9.5, 9.5, 0.0]]


def test_the_life_of_a_position_from_its_opening_to_its_close() -> None:
    rows = [
        (0, 1, "EURUSD", 0.2, 0.0),
        (1, 1, "EURUSD", 0.2, 20.0),
        (2, 1, "EURUSD", 0.1, 10.0),
        (4, 1, "EURUSD", 0, 0),
    ]
    reports = [
        (0, {"execution_id": "e1", "commission": 1.0}),
        (2, {"execution_id": "e2", "volume": 0.1, "profit": 10.0, "commission": 0.5, "status": "CLOSED"}),
        (4, {"execution_id": "e3", "volume": 0.1, "profit": 4.0, "commission": 0.5, "swap": -0.3, "status": "CLOSED"}),
    ]
    frame = pnl(positions(rows), trades(reports))
    assert frame["unrealized"].tolist() == [0.0, 20.0, 10.0, 0.0]
    assert frame["realized"].tolist() == [-1.0, -1.0, 8.5, 11.7]
    assert frame["total"].tolist() == [-1.0, 19.0, 18.5, 11.7]
    assert frame["peak"].tolist() == [-1.0, 19.0, 19.0, 19.0]
    assert frame["drawdown"].tolist() == [0.0, 0.0, 0.5, 7.3]
    assert frame["commission"].tolist()[-1] == 2.0
    assert frame["swap"].tolist()[-1] == -0.3


def test_a_partial_close_is_not_counted_twice_before_the_next_row_of_the_position() -> None:
    rows = [(0, 1, "EURUSD", 0.3, 30.0), (9, 1, "EURUSD", 0.2, 19.0)]
    close = {"execution_id": "e2", "volume": 0.1, "profit": 10.0, "status": "CLOSED"}
    frame = pnl(positions(rows), trades([(3, close)]))
    assert frame["unrealized"].tolist() == [30.0, 20.0, 19.0]
    assert frame["total"].tolist() == [30.0, 30.0, 29.0]


def test_a_position_is_closed_when_closing_trades_cover_its_volume() -> None:
    closes = [
        (n, {"execution_id": f"e{n}", "volume": v, "profit": 1.0, "status": "CLOSED"}) for n, v in ((1, 0.1), (2, 0.2))
    ]
    assert pnl(positions([(0, 1, "EURUSD", 0.3, 30.0)]), trades(closes))["unrealized"].tolist() == [30.0, 20.0, 0.0]
    # The row includes a trade of the same timestamp already.
    rows = positions([(0, 2, "EURUSD", 0.1, 0.0), (2, 1, "EURUSD", 0.3, 30.0)])
    assert pnl(rows, trades(closes))["unrealized"].tolist() == [0.0, 0.0, 30.0]


def test_an_execution_reported_several_times_counts_once_with_its_last_report() -> None:
    reports = [
        (0, {"profit": 5.0, "status": "CLOSED"}),
        (1, {"profit": 5.0, "status": "CLOSED"}),
        (2, {"profit": 4.0, "commission": 1.0}),
    ]
    frame = pnl(positions([]), trades(reports))
    assert frame["realized"].tolist() == [5.0, 5.0, 3.0]
    assert frame["commission"].tolist() == [0.0, 0.0, 1.0]


def test_a_closing_trade_reported_several_times_closes_its_volume_once() -> None:
    close = {"execution_id": "c1", "volume": 0.1, "status": "CLOSED"}
    row = positions([(0, 1, "EURUSD", 0.4, 40.0)])
    assert pnl(row, trades([(1, close), (2, close)]))["unrealized"].tolist() == [40.0, 30.0, 30.0]
    assert pnl(row, trades([(1, close), (2, {**close, "volume": 0.3})]))["unrealized"].tolist() == [40.0, 30.0, 10.0]
    assert pnl(row, trades([(1, close), (2, {**close, "status": "FILLED"})]))["unrealized"].tolist() == [40, 30, 40]
    # The row includes a trade that was first reported at the same timestamp, however often it is reported.
    assert pnl(row, trades([(0, close), (2, {**close, "volume": 0.3})]))["unrealized"].tolist() == [40.0, 40.0]


def test_a_position_belongs_to_unknown_until_a_trade_of_its_ticket_names_a_strategy() -> None:
    rows = [(0, 1, "EURUSD", 0.1, 3.0), (0, 2, "EURUSD", 0.1, 2.0), (2, 1, "EURUSD", 0.1, 4.0)]
    frame = pnl(positions(rows), trades([(1, {"strategy_id": "s1"})]), "strategy_id")["unrealized"]
    assert frame.loc["unknown"].tolist() == [5.0, 2.0]
    assert frame.loc["s1"].tolist() == [3.0, 4.0]


def test_a_missing_amount_of_a_position_keeps_its_former_value() -> None:
    frame = positions([(0, 1, "EURUSD", 0.2, 20.0), (1, 1, "EURUSD", 0.2, 7.0), (2, 1, "EURUSD", 0.2, 5.0)])
    frame.iloc[1, frame.columns.get_indexer(["unrealized_pnl", "profit"])] = math.nan
    frame.iloc[2, frame.columns.get_indexer(["unrealized_pnl", "volume"])] = math.nan
    close = {"volume": 0.1, "status": "CLOSED"}
    assert pnl(frame, trades([(3, close)]))["unrealized"].tolist() == [20.0, 20.0, 5.0, 2.5]


def test_an_event_older_than_all_revisable_points_counts_from_the_oldest_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger, "MAX_STEPS", 3)
    revised = PnlStream()
    updates = [revised.update(positions([(n, 1, "EURUSD", 0.1, float(n))])) for n in range(10)]
    updates.append(revised.update(None, trades([(2, {"profit": 100.0})])))
    assert revised.late == 1
    assert [point[5] for point in charted(updates)[None]] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 107.0, 108.0, 109.0]


def test_an_update_returns_only_the_points_of_the_new_rows() -> None:
    by_symbol = PnlStream("symbol")
    for n in range(100):
        by_symbol.update(positions([(n, 1, "EURUSD", 0.1, float(n)), (n, 2, "USDJPY", 0.1, 1.0)]))
    update = by_symbol.update(positions([(100, 1, "EURUSD", 0.1, 7.0)]))
    assert list(update) == ["EURUSD"]
    assert update["EURUSD"].times.tolist() == [T0 + 100 * S] == [update["EURUSD"].since]
    assert by_symbol.update(positions([]), trades([])) == {}


@pytest.mark.parametrize("by", BYS)
def test_without_rows_the_series_is_empty_with_all_columns(by: Any) -> None:
    frame = pnl(positions([]), trades([]), by)
    assert frame.empty
    assert frame.columns.tolist() == COLUMNS
    assert set(frame.dtypes.astype(str)) == {"float64"}
    assert frame.index.names == (["timestamp"] if by is None else [by, "timestamp"])
    assert str(frame.index.get_level_values("timestamp").dtype) == "datetime64[us, UTC]"
    assert frame.attrs == {"known_since": None}
    full = pnl(positions([(0, 1, "EURUSD", 0.1, 1.0)]), trades([]), by)
    assert full.index.names == frame.index.names
    assert full.index.dtypes.equals(frame.index.dtypes) if by else full.index.dtype == frame.index.dtype


def test_known_since_is_when_the_first_row_was_received() -> None:
    rows, reports = positions([(5, 1, "EURUSD", 0.1, 1.0)]), trades([(0, {})])
    assert pnl(rows, reports).attrs["known_since"] == "2024-01-01T00:00:00+00:00"
    for frame in (rows, reports):  # both were received on connection, at the same time
        frame["received_at"] = pd.Timestamp("2024-01-01T00:00:07Z")
    assert pnl(rows, reports).attrs["known_since"] == "2024-01-01T00:00:07+00:00"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p, t: pnl(p, t, "strategy"), UnknownOption, "Did you mean strategy_id"),
        (lambda p, t: pnl(p.drop(columns="ticket"), t), UnknownColumn, "Unknown column 'ticket' of positions"),
        (lambda p, t: pnl(p, t.drop(columns="swap")), UnknownColumn, "Unknown column 'swap' of trades"),
        (lambda p, t: pnl(p.tz_localize(None), t), InvalidFrame, "positions has timestamps without a time zone"),
        (lambda p, t: pnl(p, t.tz_localize(None)), InvalidFrame, "trades has timestamps without a time zone"),
        (lambda p, t: pnl(p, t.assign(profit=1e30)), InvalidFrame, "trades has the amount 1e.30 in profit"),
        (lambda p, t: pnl(p, t.assign(execution_id=None)), InvalidFrame, "without execution_id"),
        (lambda p, t: pnl(p.assign(ticket=pd.NA), t), InvalidFrame, "without ticket"),
        (lambda p, t: pnl(p, None), InvalidFrame, "trades must be a pandas DataFrame, got NoneType"),
    ],
)
def test_an_invalid_frame_raises_an_error_that_names_the_defect(
    call: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(positions([(0, 1, "EURUSD", 0.1, 1.0)]), trades([(0, {})]))


def test_invalid_rows_leave_a_stream_unchanged() -> None:
    unchanged = PnlStream()
    unchanged.update(positions([(0, 1, "EURUSD", 0.1, 1.0)]))
    with pytest.raises(InvalidFrame):
        unchanged.update(positions([(1, 1, "EURUSD", 0.1, 2.0)]), trades([(1, {"profit": 1e30})]))
    assert unchanged.update(positions([(2, 1, "EURUSD", 0.1, 3.0)]))[None].total.tolist() == [3.0]


def test_the_timestamps_of_a_group_ascend() -> None:
    frame = pnl(
        positions([(0, 1, "EURUSD", 0.1, 0.0), (3, 1, "EURUSD", 0.1, 1.0), (1, 1, "EURUSD", 0.1, 2.0),
                   (3, 1, "EURUSD", 0.1, 5.0)]), trades([])
    )  # fmt: skip
    assert all(a < b for a, b in pairwise(frame.index))
    assert frame["unrealized"].tolist() == [0.0, 2.0, 5.0]


def test_after_connecting_late_the_series_starts_where_all_open_positions_are_known() -> None:
    earlier = [
        (n, {"execution_id": f"e{n}", "ticket": 50 + n, "profit": 100.0, "commission": 1.0, "status": "CLOSED"})
        for n in range(4)
    ]
    later = [(9, {"execution_id": "e9", "ticket": 1, "volume": 0.1, "profit": -4900.0, "status": "CLOSED"})]
    rows = [(2, 1, "EURUSD", 0.1, -5000.0), (5, 2, "EURUSD", 0.1, -10.0), (8, 1, "EURUSD", 0.1, -4950.0)]
    frame = positions(rows).assign(received_at=pd.to_datetime(["2024-01-01T00:00:06Z"] * 2 + ["2024-01-01T00:00:08Z"]))
    result = pnl(frame, trades([*earlier, *later]))
    assert result.index.asi8.tolist() == [T0 + s * S for s in (5, 8, 9)]
    assert result["realized"].tolist() == [396.0, 396.0, -4504.0]
    assert result["total"].tolist() == [-4614.0, -4564.0, -4514.0]
    assert result["drawdown"].tolist() == [0.0, 0.0, 0.0]
    # A stream removes the points of the earlier trades when the positions arrive.
    by_update = PnlStream()
    updates = [by_update.update(None, trades(earlier))]
    updates += [by_update.update(frame.iloc[n : n + 1]) for n in range(3)]
    updates.append(by_update.update(None, trades(later)))
    assert charted(updates) == listed(result, None)
