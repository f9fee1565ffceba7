"""The simulator's books and ours, over a simulated week and over the real day of ticks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from fxlive.analytics.execution import execution, order_life
from fxlive.analytics.exposure import exposure
from fxlive.analytics.performance import performance
from fxlive.analytics.pnl import pnl
from fxlive.analytics.profit.ledger import PnlStream
from fxlive.analytics.reconcile import reconcile
from tests.analytics.played import Played, day, week

START_CENTS = 10_000_000
PLAYED = pytest.mark.parametrize("play", [week, day], ids=["week", "day"])


@PLAYED
def test_profit_and_loss_is_the_accounts_to_the_cent_at_every_report(play: Callable[[], Played]) -> None:
    played = play()
    stream, done = PnlStream(), {"positions": 0, "trades": 0}
    at_reports = []
    for books in played.books:
        new = [played.frame(channel).iloc[done[channel] : books.rows[channel]] for channel in ("positions", "trades")]
        done = books.rows
        points = stream.update(*new).get(None)
        if points is not None:
            at_reports.append(points)
        if at_reports:
            assert round(at_reports[-1].total[-1] * 100) == books.equity - START_CENTS
            assert round(at_reports[-1].realized[-1] * 100) == books.balance - START_CENTS
    whole = pnl(played.frame("positions"), played.frame("trades"))
    held = {t: v for points in at_reports for t, v in zip(points.times.tolist(), points.total.tolist(), strict=True)}
    upto = whole[whole.index.asi8 <= max(held)]
    assert [held[t] for t in upto.index.asi8.tolist()] == upto["total"].tolist()
    assert len(played.books) > 25
    assert stream.late == 0


def test_who_comes_late_sees_what_the_account_makes_from_then_on() -> None:
    played = week()
    joined = len(played.books) // 2
    rows = {channel: played.books[joined].rows[channel] for channel in ("positions", "trades")}
    before = played.frame("positions").iloc[: rows["positions"]]
    newest = before.drop_duplicates("ticket", keep="last").query("volume > 0")  # what a new subscriber is told
    assert len(newest) > 1
    newest = newest.assign(received_at=before["received_at"].iloc[-1])
    told = pd.concat([newest, played.frame("positions").iloc[rows["positions"] :]])
    late = pnl(told, played.frame("trades").iloc[rows["trades"] - 60 :])
    whole = pnl(played.frame("positions"), played.frame("trades"))["total"]
    since = whole[whole.index >= late.index[0]]
    gained = since - since.iloc[0]
    assert late.index[0] == newest.index.max()
    assert (late["total"] - late["total"].iloc[0]).round(6).tolist() == gained.round(6).tolist()
    assert late["drawdown"].round(6).tolist() == (gained.cummax() - gained).round(6).tolist()
    books = [b.equity / 100 for b in played.books[joined:]]
    assert round(late["total"].iloc[-1] - late["total"].iloc[0], 2) == round(books[-1] - books[0], 2)


@PLAYED
def test_the_platforms_metrics_are_ours_at_every_report(play: Callable[[], Played]) -> None:
    played = play()
    analytics, trades, positions = (played.frame(c) for c in ("analytics", "trades", "positions"))
    times = analytics.index.unique()
    checked = 0
    for at in times[:: max(1, len(times) // 12)]:
        told = reconcile(
            analytics[analytics.index <= at], trades, positions[positions.index <= at], played.quotes, known_since=None
        )
        assert told["within"].fillna(False).all(), told[~told["within"].fillna(False)].to_string()
        checked += len(told)
    assert checked > 150


@PLAYED
def test_groups_sum_to_the_whole_and_strategies_are_known(play: Callable[[], Played]) -> None:
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
    told = performance(frames[1])
    assert told["net_profit"] == round(whole["realized"].iloc[-1], 6)
    by_strategy = performance(frames[1], "strategy_id")
    assert by_strategy["total_trades"].sum() == told["total_trades"] > 50  # type: ignore[index]


@PLAYED
def test_fills_and_orders_are_what_the_account_did(play: Callable[[], Played]) -> None:
    played = play()
    trades, orders = played.frame("trades"), played.frame("orders")
    told = execution(trades, orders, played.quotes)
    assert len(told) == len(trades)
    # Market orders pay the side they take and up to four points; what a limit or a stop fills at, the market was at.
    market = told[told["order_type"].isin(["BUY", "SELL"])]
    assert len(market) > 50
    assert set(market["slippage_pips"].round(6)) <= {0.0, 0.1, 0.2, 0.4}
    assert (market["slippage_pips"] > 0).any()
    assert (market["price"] == market["order_price"]).sum() == (market["slippage_pips"].round(6) == 0).sum()
    limits = told[told["order_type"].isin(["BUY_LIMIT", "SELL_LIMIT"])]
    assert len(limits) > 5
    assert (limits["price"] == limits["order_price"]).all()
    assert (limits["slippage_pips"].round(6) >= 0).all()  # the market may have gone through its price, which it keeps
    lives = order_life(orders, played.quotes)
    resting = lives[lives["order_type"].isin(["BUY_LIMIT", "SELL_LIMIT"])]
    assert (resting["distance_pips"] > 0.7).mean() > 0.95
    filled = resting[resting["status"] == "FILLED"]
    assert (filled["filled_share"] == 1).all()
    assert (filled["time_to_fill_s"] >= 0).all()
    assert resting.loc[resting["status"] == "CANCELLED", "ended"].all()


@PLAYED
def test_exposure_is_worth_the_unrealized_profit(play: Callable[[], Played]) -> None:
    played = play()
    positions = played.frame("positions")
    reports = played.frame("analytics").index.unique()  # at which every position has been said
    for at in reports[:: max(1, len(reports) // 8)]:
        open_then = positions[positions.index <= at]
        told = exposure(open_then, played.quotes[played.quotes.index <= at])
        assert told.missing == ()
        # The account counts at bids and asks, exposure at mid prices: they differ by half a spread.
        half_spreads = told.by_symbol["gross"].sum() * 2e-4
        assert abs(told.by_currency["net_value"].sum() - told.totals["unrealized"]) <= half_spreads + 0.01
        if told.totals["margin"]:
            assert np.isclose(told.totals["gross"], 100 * told.totals["margin"], rtol=0.05)  # a leverage of 100
