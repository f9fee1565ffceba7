"""The refresher: who is asked, how often, and never more than the page can take."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fxlive.widgets.page import Part
from fxlive.widgets.refresher import Refresher


class Widget:
    """Has something to say each time it is asked, while it is busy, and as many answers as a test wants."""

    def __init__(self, busy: bool = True) -> None:
        self.visible = True
        self.busy = busy
        self.asked = 0
        self.answers: list[Part] = []

    def news(self) -> Part | None:
        self.asked += 1
        return Part(1, {"news": self.asked}) if self.busy else None

    def answer(self) -> Part | None:
        return self.answers.pop(0) if self.answers else None

    def failed(self, error: Exception) -> Part:
        return Part(1, {"failed": str(error)})


def refresher_of(*widgets: Widget, **options: Any) -> tuple[Refresher, list[Sequence[Part]]]:
    ticks: list[Sequence[Part]] = []
    refresher = Refresher(lambda parts, paused: ticks.append(parts), **options)
    refresher._watched.extend(widgets)
    return refresher, ticks


def test_however_many_widgets_there_are_a_tick_is_one_message() -> None:
    refresher, ticks = refresher_of(*[Widget() for _ in range(40)])
    assert [refresher.tick() for _ in range(10)] == [40] * 10
    assert len(ticks) == 10


def test_a_tick_without_news_sends_nothing() -> None:
    refresher, ticks = refresher_of(Widget(busy=False))
    assert refresher.tick() == 0
    assert ticks == []


def test_windows_of_many_views_wait_for_one_another_so_that_the_server_drops_none() -> None:
    widgets = [Widget(busy=False) for _ in range(60)]
    for widget in widgets:
        widget.answers = [Part(1, {}, [bytes(100_000)])]
    refresher, ticks = refresher_of(*widgets)
    sizes = []
    for _ in range(150):
        ticks.clear()
        refresher.tick()
        sizes.append(sum(part.size_bytes for tick in ticks for part in tick))
    assert sum(sizes) == 6_000_000
    assert all(sum(sizes[at : at + 30]) < 3_000_000 for at in range(len(sizes)))  # a megabyte a second, over three


def test_the_news_of_a_widget_come_before_its_answers() -> None:
    widget = Widget()
    widget.answers = [Part(1, {"answer": 1})]
    refresher, ticks = refresher_of(widget)
    refresher.tick()
    assert [list(part.content) for part in ticks[0]] == [["news"], ["answer"]]


def test_a_widget_that_nobody_sees_is_not_asked_any_more() -> None:
    seen, hidden = Widget(), Widget()
    hidden.visible = False
    refresher, _ = refresher_of(seen, hidden)
    for _ in range(3):
        refresher.tick()
    assert (seen.asked, hidden.asked) == (3, 0)


def test_a_widget_that_fails_says_so_once_and_does_not_stop_the_others() -> None:
    class Broken(Widget):
        def news(self) -> Part | None:
            raise RuntimeError("no")

    well = Widget()
    refresher, ticks = refresher_of(Broken(), well)
    for _ in range(3):
        refresher.tick()
    assert well.asked == 3
    assert [part.content for tick in ticks for part in tick if "failed" in part.content] == [{"failed": "no"}]


def test_it_runs_while_somebody_looks_and_ends_when_nobody_does() -> None:
    async def asked(widget: Widget, times: int) -> None:
        while widget.asked < times:  # noqa: ASYNC110 - a widget has no event to wait for
            await asyncio.sleep(0)

    async def look() -> tuple[int, bool]:
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
        refresher.forget(widget)
        await refresher._task
        return widget.asked - before, bool(refresher._watched)

    assert asyncio.run(look()) == (1, False)


def test_a_page_that_cannot_be_reached_does_not_end_it() -> None:
    async def look() -> int:
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

    assert asyncio.run(look()) == 3
