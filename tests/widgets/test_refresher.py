"""The refresher: which widgets it asks, how often, and limits on what it sends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fxlive.widgets.page import Part
from fxlive.widgets.refresher import Refresher


class Widget:
    """A widget that has an update each time while it is `busy`, and the replies that a test sets."""

    def __init__(self, busy: bool = True) -> None:
        self.visible = True
        self.busy = busy
        self.asked = 0
        self.replies: list[Part] = []

    def next_update(self) -> Part | None:
        self.asked += 1
        return Part(1, {"update": self.asked}) if self.busy else None

    def next_reply(self) -> Part | None:
        return self.replies.pop(0) if self.replies else None

    def failure(self, error: Exception) -> Part:
        return Part(1, {"failed": str(error)})


def refresher_of(*widgets: Widget, **options: Any) -> tuple[Refresher, list[Sequence[Part]]]:
    ticks: list[Sequence[Part]] = []
    refresher = Refresher(lambda parts, paused: ticks.append(parts), **options)
    refresher._watched.extend(widgets)
    return refresher, ticks


def test_a_tick_is_one_message_for_any_number_of_widgets() -> None:
    refresher, ticks = refresher_of(*[Widget() for _ in range(40)])
    assert [refresher.tick() for _ in range(10)] == [40] * 10
    assert len(ticks) == 10


def test_a_tick_without_updates_sends_nothing() -> None:
    refresher, ticks = refresher_of(Widget(busy=False))
    assert refresher.tick() == 0
    assert ticks == []


def test_large_replies_are_spread_over_ticks_so_that_the_server_drops_none() -> None:
    widgets = [Widget(busy=False) for _ in range(60)]
    for widget in widgets:
        widget.replies = [Part(1, {}, [bytes(100_000)])]
    refresher, ticks = refresher_of(*widgets)
    sizes = []
    for _ in range(150):
        ticks.clear()
        refresher.tick()
        sizes.append(sum(part.size_bytes for tick in ticks for part in tick))
    assert sum(sizes) == 6_000_000
    assert all(sum(sizes[at : at + 30]) < 3_000_000 for at in range(len(sizes)))  # a megabyte a second, over three


def test_the_update_of_a_widget_comes_before_its_replies() -> None:
    widget = Widget()
    widget.replies = [Part(1, {"reply": 1})]
    refresher, ticks = refresher_of(widget)
    refresher.tick()
    assert [list(part.content) for part in ticks[0]] == [["update"], ["reply"]]


def test_a_hidden_widget_is_not_refreshed() -> None:
    shown, hidden = Widget(), Widget()
    hidden.visible = False
    refresher, _ = refresher_of(shown, hidden)
    for _ in range(3):
        refresher.tick()
    assert (shown.asked, hidden.asked) == (3, 0)


def test_a_widget_that_fails_reports_it_once_and_does_not_stop_the_others() -> None:
    class Broken(Widget):
        def next_update(self) -> Part | None:
            raise RuntimeError("no")

    working = Widget()
    refresher, ticks = refresher_of(Broken(), working)
    for _ in range(3):
        refresher.tick()
    assert working.asked == 3
    assert [part.content for tick in ticks for part in tick if "failed" in part.content] == [{"failed": "no"}]


def test_the_refresher_runs_while_a_widget_is_visible_and_ends_when_none_is() -> None:
    async def asked(widget: Widget, times: int) -> None:
        while widget.asked < times:  # noqa: ASYNC110 - a widget has no event to wait for
            await asyncio.sleep(0)

    async def run() -> tuple[int, bool]:
        refresher = Refresher(lambda parts, paused: None, rate_hz=1000.0, loop=asyncio.get_running_loop)
        widget = Widget()
        refresher.watch(widget)
        await asked(widget, 3)
        widget.visible = False
        assert refresher._task is not None
        await refresher._task
        before = widget.asked
        widget.visible = True
        refresher.watch(widget)
        await asked(widget, before + 1)
        refresher.unwatch(widget)
        await refresher._task
        return widget.asked - before, bool(refresher._watched)

    assert asyncio.run(run()) == (1, False)


def test_an_error_of_sending_does_not_stop_the_refresher() -> None:
    async def run() -> int:
        calls = 0

        def post(parts: Sequence[Part], paused: bool) -> None:
            nonlocal calls
            calls += 1
            if calls < 3:
                raise RuntimeError("the page is gone")
            widget.visible = False

        refresher, widget = Refresher(post, rate_hz=1000.0, loop=asyncio.get_running_loop), Widget()
        refresher.watch(widget)
        assert refresher._task is not None
        await refresher._task
        return calls

    assert asyncio.run(run()) == 3
