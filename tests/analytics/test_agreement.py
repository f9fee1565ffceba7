"""The analyses agree with the simulator's account, over a simulated week and over the recorded day of ticks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from fxlive.analytics.execution import execution, order_life
from fxlive.analytics.exposure import exposure
from fxlive.analytics.performance import performance
from fxlive.analytics.pnl import pnl
from fxlive.analytics.profit.stream import PnlStream
from fxlive.analytics.reconcile import reconcile
from tests.analytics.played import Played, day, week

START_CENTS = 10_000_000
pytestmark = pytest.mark.timeout(600)  # the first test of each takes 15 s of processor time
PLAYED = pytest.mark.parametrize("play", [week, day], ids=["week", "day"])


@PLAYED
def test_pnl_equals_the_accounts_to_the_cent_at_every_report(play: Callable[[], Played]) -> None:
    played = play()
    stream, done = PnlStream(), {"positions": 0, "trades": 0}
    at_reports = []
    for account in played.states:
        new = [played.frame(c).iloc[done[c] : account.rows[c]] for c in ("positions", "trades")]
        done = account.rows
        points = stream.update(*new).get(None)
        if points is not None:
            at_reports.append(points)
        if at_reports:
            assert round(at_reports[-1].total[-1] * 100) == account.equity - START_CENTS
            assert round(at_reports[-1].realized[-1] * 100) == account.balance - START_CENTS
    whole = pnl(played.frame("positions"), played.frame("trades"))
    streamed = {
        t: v for points in at_reports for t, v in zip(points.times.tolist(), points.total.tolist(), strict=True)
    }
    upto = whole[whole.index.asi8 <= max(streamed)]
    assert [streamed[t] for t in upto.index.asi8.tolist()] == upto["total"].tolist()
    assert len(played.states) > 25
    assert stream.late == 0


def test_a_session_that_connects_later_sees_the_accounts_pnl_from_then_on() -> None:
    played = week()
    connected = len(played.states) // 2
    rows = {channel: played.states[connected].rows[channel] for channel in ("positions", "trades")}
    before = played.frame("positions").iloc[: rows["positions"]]
    newest = before.drop_duplicates("ticket", keep="last").query("volume > 0")  # reported to a new subscriber
    assert len(newest) > 1
    newest = newest.assign(received_at=before["received_at"].iloc[-1])
    positions = pd.concat([newest, played.frame("positions").iloc[rows["positions"] :]])
    late = pnl(positions, played.frame("trades").iloc[rows["trades"] - 60 :])
    whole = pnl(played.frame("positions"), played.frame("trades"))["total"]
    since = whole[whole.index >= late.index[0]]
    gained = since - since.iloc[0]
    assert late.index[0] == newest.index.max()
    assert (late["total"] - late["total"].iloc[0]).round(6).tolist() == gained.round(6).tolist()
    assert late["drawdown"].round(6).tolist() == (gained.cummax() - gained).round(6).tolist()
    equity = [state.equity / 100 for state in played.states[connected:]]
    assert round(late["total"].iloc[-1] - late["total"].iloc[0], 2) == round(equity[-1] - equity[0], 2)


@PLAYED
def test_the_platforms_metrics_agree_with_ours_at_every_report(play: Callable[[], Played]) -> None:
    played = play()
    analytics, trades, positions = (played.frame(c) for c in ("analytics", "trades", "positions"))
    times = analytics.index.unique()
    checked = 0
    for at in times[:: max(1, len(times) // 12)]:
        compared = reconcile(
            analytics[analytics.index <= at], trades, positions[positions.index <= at], played.quotes, known_since=None
        )
        within = compared["within"].fillna(False)
        assert within.all(), compared[~within].to_string()
        checked += len(compared)
    assert checked > 150


@PLAYED
def test_groups_add_up_to_the_whole_and_every_strategy_is_known(play: Callable[[], Played]) -> None:
    played = play()
    frames = played.frame("positions"), played.frame("trades")
    whole = pnl(*frames)
    for by in ("symbol", "strategy_id", "connection_id"):
        groups = pnl(*frames, by)  # type: ignore[arg-type]
        for column in ("unrealized", "realized", "commission", "swap", "total"):
            last = groups.groupby(level=0)[column].last().sum()
            assert round(last, 6) == round(whole[column].iloc[-1], 6)
        for name, points in PnlStream(by).update(*frames).items():  # type: ignore[arg-type]
            pd.testing.assert_frame_equal(points.frame(), groups.loc[name], check_exact=True)
        names = set(groups.index.get_level_values(0))
        if by == "strategy_id":
            assert names == {"strategy_scalper", "strategy_trend", "strategy_reversion"}
    total = performance(frames[1])
    assert total["net_profit"] == round(whole["realized"].iloc[-1], 6)
    by_strategy = performance(frames[1], "strategy_id")
    assert by_strategy["total_trades"].sum() == total["total_trades"] > 50  # type: ignore[index]


@PLAYED
def test_fills_and_orders_agree_with_the_account(play: Callable[[], Played]) -> None:
    played = play()
    trades, orders = played.frame("trades"), played.frame("orders")
    fills = execution(trades, orders, played.quotes)
    assert len(fills) == len(trades)
    # A market order pays bid or ask and up to four points of slippage.
    market = fills[fills["order_type"].isin(["BUY", "SELL"])]
    assert len(market) > 50
    assert set(market["slippage_pips"].round(6)) <= {0.0, 0.1, 0.2, 0.4}
    assert (market["slippage_pips"] > 0).any()
    assert (market["price"] == market["order_price"]).sum() == (market["slippage_pips"].round(6) == 0).sum()
    limits = fills[fills["order_type"].isin(["BUY_LIMIT", "SELL_LIMIT"])]
    assert len(limits) > 5
    assert (limits["price"] == limits["order_price"]).all()
    assert (limits["slippage_pips"].round(6) >= 0).all()  # the market may have passed the limit
    lives = order_life(orders, played.quotes)
    resting = lives[lives["order_type"].isin(["BUY_LIMIT", "SELL_LIMIT"])]
    assert (resting["distance_pips"] > 0.7).mean() > 0.95
    filled = resting[resting["status"] == "FILLED"]
    assert (filled["filled_share"] == 1).all()
    assert (filled["time_to_fill_s"] >= 0).all()
    assert resting.loc[resting["status"] == "CANCELLED", "ended"].all()


@PLAYED
def test_the_value_of_all_legs_equals_the_unrealized_profit(play: Callable[[], Played]) -> None:
    played = play()
    positions = played.frame("positions")
    reports = played.frame("analytics").index.unique()  # at which every position is reported
    for at in reports[:: max(1, len(reports) // 8)]:
        open_then = positions[positions.index <= at]
        result = exposure(open_then, played.quotes[played.quotes.index <= at])
        assert result.missing == ()
        # The account values positions at bid or ask, exposure at mid prices: they differ by half a spread.
        half_spreads = result.by_symbol["gross"].sum() * 2e-4
        assert abs(result.by_currency["net_value"].sum() - result.totals["unrealized"]) <= half_spreads + 0.01
        if result.totals["margin"]:
            assert np.isclose(result.totals["gross"], 100 * result.totals["margin"], rtol=0.05)  # a leverage of 100
