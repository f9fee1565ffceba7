"""Trades and positions with a timestamp far ahead: the figures of a session, its capture and its replay agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fxlive
from fxlive.widgets.charts.pnl import PnlSeries
from tests.capture.recordings import MAY_8
from tests.capture.sessions import SECOND, bring, equal, path_of, recorded
from tests.samples import ANALYTICS, ORDER, POSITION, QUOTE, TRADE, message, wire

HOUR_S, YEAR_S = 3_600, 366 * 86_400
T0 = pd.Timestamp("2024-01-01T00:00Z")
ids = iter(range(10**9))


def row(sample: dict[str, Any], at_s: float, **data: Any) -> bytes:
    return wire(
        message(sample, {"id": f"a{next(ids)}", "timestamp": (T0 + pd.Timedelta(seconds=at_s)).isoformat()}, **data)
    )


def position(at_s: float, volume: float = 0.1, money: float = 10.0, ticket: int = 1) -> bytes:
    return row(POSITION, at_s, ticket=ticket, volume=volume, profit=money, unrealizedPnL=money, type="BUY")


def trade(at_s: float, volume: float = 0.05, profit: float = 50.0, ticket: int = 1, **data: Any) -> bytes:
    fields = {"status": "CLOSED", "action": "SELL", "commission": 0.0, "swap": 0.0, "executionId": f"x{next(ids)}"}
    return row(TRADE, at_s, **{**fields, "volume": volume, "profit": profit, "ticket": ticket, **data})


def rejected(at_s: float) -> bytes:
    return trade(at_s, 0.01, 0.0, 99, status="REJECTED")


def bring_at(session: fxlive.Session, at_s: float, *frames: bytes) -> None:
    bring(session, *frames, at=MAY_8 + int(at_s * SECOND))


@contextmanager
def sources_of(folder: Path, fill: Callable[[fxlive.Session], None]) -> Iterator[list[Any]]:
    """A session with messages, its capture and its replay."""
    with recorded(folder) as session:
        fill(session)
    with fxlive.replay(path_of(session), speed=None, name="again") as replay:
        replay.wait_until_end(timeout=60)
        yield [session, fxlive.open_capture(path_of(session)), replay]


def charted(session: fxlive.Session) -> Any:
    series = PnlSeries(session._pipeline.store, None, session._pipeline.now_us, 1e12)
    series.wait()
    series.catch_up()
    return series.groups[None].read(None).columns


def with_far_position(far_s: float | None) -> Callable[[fxlive.Session], None]:
    def fill(session: fxlive.Session) -> None:
        bring_at(session, 0, row(QUOTE, 0), rejected(0))
        for n in range(60):
            far = [position(far_s, money=-999.0)] if n == 30 and far_s is not None else []
            bring_at(session, n, position(n), *far)

    return fill


@pytest.mark.parametrize("far_s", [HOUR_S, YEAR_S])
def test_a_position_row_far_ahead_is_not_the_current_profit(tmp_path: Path, far_s: int) -> None:
    with sources_of(tmp_path, with_far_position(far_s)) as sources:
        for source in sources:
            for by in (None, "symbol", "strategy_id", "connection_id"):
                pnl = source.pnl(by)
                assert pnl["total"].iloc[-1] == 10.0
                assert pnl.index.get_level_values("timestamp").max() == T0 + pd.Timedelta("59s")
                assert pnl["drawdown"].max() == 0.0
                assert pnl.attrs["reasons"]["total"] == "1 position row with a timestamp far ahead left out"
            assert source.explain()["change"] == 10.0
            assert "far ahead" in source.explain().attrs["reasons"]["change"]
            figures = source.performance(capital=1000.0, freq="1s")
            assert figures.attrs["samples"]["total_return"] == 59
            assert source.exposure().totals["unrealized"] == 10.0
            with pytest.raises(fxlive.UnknownOption, match="a time up to the last row"):
                source.explain(start=T0 + pd.Timedelta("2min"))
        assert charted(sources[0])[1][-1] == 10.0


def test_figures_without_outliers_have_no_reason(tmp_path: Path) -> None:
    with sources_of(tmp_path, with_far_position(None)) as sources:
        for source in sources:
            assert "reasons" not in source.pnl().attrs
            assert source.exposure().reasons == {}


@pytest.mark.parametrize("ahead_s", [0, HOUR_S, YEAR_S])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_trade_far_ahead_closes_what_it_would_close_with_a_right_timestamp(
    tmp_path: Path, ahead_s: int, sparse: bool
) -> None:
    def fill(session: fxlive.Session) -> None:
        bring_at(session, 0, row(QUOTE, 0), *(position(n * 0.1) for n in range(8)))
        bring_at(session, 0, *(rejected(n * 0.01) for n in range(8)))
        bring_at(session, 2, trade(2 + ahead_s))
        for n in range(3, 9):
            bring_at(session, n, position(n, 0.05, 5.0), *([] if sparse else [rejected(n)]))

    with sources_of(tmp_path, fill) as sources:
        for source in sources:
            assert source.latest("positions")["volume"].to_dict() == {1: 0.05}
            assert source.exposure().by_symbol["net_lots"].to_dict() == {"EURUSD": 0.05}
            pnl = source.pnl()
            assert pnl[["unrealized", "realized"]].iloc[-1].tolist() == [5.0, 50.0]
            assert pnl.index[-1] == T0 + pd.Timedelta("8s")
            assert source.performance()["max_drawdown_trough"] is pd.NaT
            assert ("reasons" in pnl.attrs) == bool(ahead_s)
        columns = charted(sources[0])
        assert (columns[1][-1], columns[0][-1]) == (55.0, T0.timestamp() * 1000 + 8_000)


@pytest.mark.parametrize("volume", [0.04, 0.1])
def test_a_trade_far_ahead_closes_its_share_before_the_next_row(tmp_path: Path, volume: float) -> None:
    def fill(session: fxlive.Session) -> None:
        bring_at(session, 0, row(QUOTE, 0), *(rejected(n * 0.01) for n in range(8)))
        bring_at(session, 5, *(position(n) for n in range(6)), position(5, ticket=2))
        bring_at(session, 6, trade(HOUR_S, volume))

    with sources_of(tmp_path, fill) as sources:
        for source in sources:
            left = 0.1 - volume
            assert source.latest("positions").index.tolist() == ([1, 2] if left else [2])
            exposure = source.exposure()
            assert exposure.by_symbol.loc["EURUSD", "net_lots"] == pytest.approx(0.1 + left)
            assert exposure.totals["unrealized"] == pytest.approx(source.pnl()["unrealized"].iloc[-1])
            assert source.pnl()["realized"].iloc[-1] == 50.0
            assert exposure.reasons.get("unrealized") == (
                "1 trade with a timestamp far ahead counted at its arrival" if left else None
            )


def test_a_right_trade_closes_a_position_whose_only_row_is_far_ahead(tmp_path: Path) -> None:
    def fill(session: fxlive.Session) -> None:
        bring_at(session, 0, row(QUOTE, 0), *(position(n * 0.1, ticket=2) for n in range(8)))
        bring_at(session, 1, position(HOUR_S, ticket=1), position(HOUR_S, 0.2, ticket=3))
        for n in range(2, 5):
            bring_at(session, n, position(n, ticket=2), trade(n, 0.1, ticket=1 if n == 2 else 98))

    with sources_of(tmp_path, fill) as sources:
        for source in sources:
            assert source.latest("positions").index.tolist() == [2, 3]
            assert source.pnl()["unrealized"].iloc[-1] == 20.0
            assert source.pnl().index[-1] == T0 + pd.Timedelta("4s")
            assert source.exposure().reasons["unrealized"].endswith("far ahead counted at its arrival")


def test_a_confirmed_jump_of_trades_closes_what_they_say(tmp_path: Path) -> None:
    """Until the third trade confirms the jump, the trades count at their arrival; then at their own times."""

    def fill(session: fxlive.Session) -> None:
        bring_at(session, 0, *(rejected(n) for n in range(8)))
        bring_at(session, 1, *(position(HOUR_S + n, ticket=ticket) for n in range(3) for ticket in (1, 2)))
        bring_at(session, 2, trade(HOUR_S + 5, 0.1))
        bring_at(session, 3, rejected(HOUR_S + 6))
        bring_at(session, 4, rejected(HOUR_S + 7))

    with sources_of(tmp_path, fill) as sources:
        for source in sources:
            assert source.latest("positions").index.tolist() == [2]
            assert source.pnl()["unrealized"].iloc[-1] == 10.0
            assert "reasons" not in source.pnl().attrs


@pytest.mark.parametrize("sample", ["order", "analytics", "quote"])
def test_other_analyses_ignore_a_row_far_ahead(tmp_path: Path, sample: str) -> None:
    def fill(far: bool) -> Callable[[fxlive.Session], None]:
        def bring_all(session: fxlive.Session) -> None:
            metrics = {"totalTrades": 0, "winRate": 0.0, "netProfit": 0.0, "currentDrawdown": 0.0}
            wrong = {
                "order": row(ORDER, YEAR_S, orderId="o1", status="FILLED", price=9.0),
                "analytics": row(ANALYTICS, YEAR_S, metrics={**metrics, "totalTrades": 99}),
                "quote": row(QUOTE, YEAR_S, bid=9.0, ask=9.5),
            }
            for n in range(40):
                frames = [row(QUOTE, n, bid=1.0 + n % 5 / 100, ask=1.01 + n % 5 / 100)]
                frames += [row(ORDER, n, orderId="o1", status="FILLED"), row(ANALYTICS, n, metrics=metrics)]
                bring_at(session, n, *frames, *([wrong[sample]] if far and n == 20 else []))

        return bring_all

    def results(source: Any) -> dict[str, Any]:
        return {
            "order_life": source.order_life(),
            "reconcile": source.reconcile(),
            "latency": source.latency("market-data"),
            "spread_profile": source.spread_profile(),
            "correlation": source.correlation("1s"),
        }

    with sources_of(tmp_path / "right", fill(False)) as sources:
        expected = results(sources[0])
    with sources_of(tmp_path / "far", fill(True)) as sources:
        for source in sources:
            for name, frame in results(source).items():
                equal(frame, expected[name])


@pytest.mark.parametrize("seed", range(6))
def test_random_outliers_give_the_same_account_live_captured_and_replayed(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)

    def fill(session: fxlive.Session) -> None:
        series = PnlSeries(session._pipeline.store, None, session._pipeline.now_us, 1e12)
        bring_at(
            session, 0, row(QUOTE, 0), *(position(0, 1.0, ticket=n) for n in range(4)), *(rejected(0) for _ in range(4))
        )
        for n in range(1, 150):
            ahead = [rng.choice([HOUR_S, YEAR_S]) if rng.random() < 0.1 else 0 for _ in range(2)]
            ticket, volume = rng.randrange(4), rng.choice([1.0, 1.0, 0.9])
            frames = [position(n + ahead[0], volume, float(n), ticket)]
            if rng.random() < 0.4:
                frames.append(trade(n + ahead[1], rng.choice([0.005, 0.01]), 1.0, rng.randrange(4)))
            if rng.random() < 0.3:
                frames.append(rejected(n - rng.choice([0, 1, 200])))
            bring_at(session, n, *frames)
            series.catch_up()
        bring_at(session, 150, *(position(150) for _ in range(3)), *(rejected(150) for _ in range(3)))
        series.catch_up()
        points, pnl = series.groups[None].read(None).columns, session.pnl()
        np.testing.assert_array_equal(points[0], pnl.index.asi8 / 1000)
        np.testing.assert_array_equal(points[1], pnl["total"])

    with sources_of(tmp_path, fill) as sources:
        session = sources[0]
        assert session.health().time_outliers > 5
        for source in sources[1:]:
            equal(source.latest("positions"), session.latest("positions"))
            for by in (None, "strategy_id"):
                equal(source.pnl(by), session.pnl(by))
                assert source.pnl(by).attrs["reasons"] == session.pnl(by).attrs["reasons"]
            assert source.explain().tolist() == session.explain().tolist()
            equal(source.exposure().by_symbol, session.exposure().by_symbol)
            assert source.exposure().reasons == session.exposure().reasons
            assert source.performance().astype(str).tolist() == session.performance().astype(str).tolist()
