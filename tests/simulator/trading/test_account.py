"""The account: scripted trades whose figures can be checked by hand."""

from __future__ import annotations

import pytest

from fxlive.simulator.trading.account import Account

START_MS = 1_704_182_400_000  # Tuesday 2024-01-02 08:00 UTC


def account_with(**quotes: tuple[float, float]) -> Account:
    account = Account(balance=10_000)
    for symbol, (bid, ask) in quotes.items():
        account.quote(START_MS, symbol, bid, ask)
    account._slip = lambda symbol, price, side: price  # type: ignore[method-assign]
    return account


def test_a_trade_has_the_figures_of_the_references_sample() -> None:
    account = account_with(EURUSD=(1.08499, 1.085))

    position = account.market("EURUSD", 1, 10, 50, 50, "strategy_123", "conn_456")
    updates, _ = account.take_updates()

    assert position is not None
    trade = next(update.data for update in updates if update.channel == "trades")
    assert (trade["volume"], trade["openPrice"], trade["stopLoss"], trade["takeProfit"]) == (0.1, 1.085, 1.08, 1.09)
    assert (trade["profit"], trade["commission"], trade["swap"]) == (0, 0.5, 0)
    account.quote(START_MS + 3_600_000, "EURUSD", 1.086, 1.08601)
    (mark,) = account.marks()
    assert (mark.data["profit"], mark.data["unrealizedPnL"], mark.data["duration"]) == (10.0, 10.0, 3600)
    assert mark.data["margin"] == 108.5
    assert mark.data["marginLevel"] == round((10_000 - 0.5 + 10) / 108.5 * 100, 2)


def test_the_profit_of_a_usdjpy_position_is_converted_at_its_own_price() -> None:
    account = account_with(USDJPY=(150.0, 150.01))
    account.market("USDJPY", -1, 100, 50, 500, "s", "c")  # one lot sold at 150.00
    account.quote(START_MS + 1000, "USDJPY", 149.49, 149.5)

    (mark,) = [update for update in account.marks() if update.channel == "positions"]

    # 0.50 yen on 100,000 dollars is 50,000 yen; at 149.50, 334.448 dollars.
    assert mark.data["profit"] == 334.45


def test_the_profit_of_a_cross_is_converted_at_the_bid_of_its_quote_currency() -> None:
    account = account_with(EURUSD=(1.08, 1.0801), USDJPY=(150.0, 150.01), EURJPY=(162.0, 162.02))
    account.market("EURJPY", 1, 50, 50, 50, "s", "c")  # half a lot bought at 162.02
    account.quote(START_MS + 1000, "EURJPY", 162.32, 162.34)

    (mark,) = account.marks()

    # 0.30 yen on 50,000 euros is 15,000 yen; at 150.00, 100 dollars.
    assert mark.data["profit"] == 100.0
    assert mark.data["margin"] == 540.0  # 50,000 euros at 1.08, divided by a leverage of 100


def test_a_partial_close_leaves_the_rest_open_and_a_full_close_leaves_nothing() -> None:
    account = account_with(EURUSD=(1.085, 1.0851))
    position = account.market("EURUSD", 1, 25, 50, 50, "s", "c")
    assert position is not None
    account.take_updates()

    account.close(position, 12)
    updates, _ = account.take_updates()
    assert [update.channel for update in updates] == ["orders", "trades", "positions"]
    order, trade, rest = (update.data for update in updates)
    assert (order["orderType"], order["status"], order["filledVolume"]) == ("SELL", "FILLED", 0.12)
    assert (trade["action"], trade["status"], trade["volume"]) == ("SELL", "CLOSED", 0.12)
    assert trade["ticket"] == order["ticket"] == rest["ticket"] == position.ticket
    assert rest["volume"] == 0.13

    account.close(position)
    updates, _ = account.take_updates()
    last = updates[-1]
    assert (last.data["volume"], last.data["profit"], last.data["marginLevel"], last.ended) == (0, 0, None, True)
    assert account.positions == {}


@pytest.mark.parametrize(
    ("side", "quote"),
    [(1, (1.0800, 1.0801)), (1, (1.0901, 1.0902)), (-1, (1.0900, 1.0901)), (-1, (1.0799, 1.0800))],
    ids=["buy-stop", "buy-target", "sell-stop", "sell-target"],
)
def test_stop_loss_and_take_profit_close_at_the_quote_that_crosses_them(side: int, quote: tuple[float, float]) -> None:
    account = account_with(EURUSD=(1.085, 1.0851))
    account.market("EURUSD", side, 10, 50, 50, "s", "c")
    account.take_updates()

    account.quote(START_MS + 1, "EURUSD", 1.0851, 1.0852)
    assert account.positions
    account.quote(START_MS + 2, "EURUSD", *quote)

    updates, _ = account.take_updates()
    assert [update.channel for update in updates] == ["trades", "positions"]
    assert updates[0].data["openPrice"] == (quote[0] if side > 0 else quote[1])
    assert account.positions == {}


def test_a_large_limit_order_fills_in_two_parts_at_its_price() -> None:
    account = account_with(EURUSD=(1.085, 1.0851))
    order = account.limit("EURUSD", 1, 41, 1.084, 12, 5, "s", "c")
    account.take_updates()

    account.quote(START_MS + 1, "EURUSD", 1.0838, 1.0839)
    first, _ = account.take_updates()
    account.quote(START_MS + 2, "EURUSD", 1.0837, 1.0838)
    second, _ = account.take_updates()

    assert [update.data.get("status") for update in first] == ["PARTIALLY_FILLED", "FILLED", None]
    assert (first[0].data["filledVolume"], first[0].data["remainingVolume"]) == (0.2, 0.21)
    assert (second[0].data["status"], second[0].data["filledVolume"]) == ("FILLED", 0.41)
    assert {update.data["ticket"] for update in first + second} == {order.position.ticket if order.position else None}
    assert second[-1].data["volume"] == 0.41
    assert {update.data["openPrice"] for update in first + second if update.channel != "orders"} == {1.084}


def test_an_order_without_margin_is_rejected() -> None:
    account = account_with(EURUSD=(1.085, 1.0851))

    assert account.market("EURUSD", 1, 100_000, 50, 50, "s", "c") is None

    updates, executions = account.take_updates()
    assert [update.data["status"] for update in updates] == ["REJECTED"]
    assert executions == []


def test_the_swap_of_each_night_is_charged_when_the_position_closes() -> None:
    account = account_with(EURUSD=(1.085, 1.0851))
    position = account.market("EURUSD", 1, 40, 500, 500, "s", "c")
    assert position is not None
    account.roll()
    for day in (1, 2):
        account.quote(START_MS + day * 86_400_000, "EURUSD", 1.085, 1.0851)
        account.roll()
    account.close(position, 10)

    updates, _ = account.take_updates()

    swap = [update.data["swap"] for update in updates if update.channel == "trades"]
    assert swap == [0.0, -0.9]  # two nights of 4.5 cents for each of ten hundredths
