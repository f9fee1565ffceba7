"""The refresher: who is drawn, how often, and never more than the page can take."""

from __future__ import annotations

import asyncio
from typing import Any

from fxlive.widgets.refresher import Refresher


class Widget:
    """Sends one message at each refresh while it has something to say."""

    def __init__(self, busy: bool = True) -> None:
        self.visible = True
        self.busy = busy
        self.asked = 0

    def refresh(self) -> int:
        self.asked += 1
        return int(self.busy)


def refresher_of(*widgets: Widget, **options: Any) -> Refresher:
    refresher = Refresher(**options)
    refresher._turn.extend(widgets)
    return refresher


def test_few_widgets_are_drawn_at_every_tick() -> None:
    widgets = [Widget() for _ in range(4)]
    refresher = refresher_of(*widgets)
    assert [refresher.tick() for _ in range(10)] == [4] * 10


def test_many_widgets_take_turns_within_fifty_messages_a_second() -> None:
    widgets = [Widget() for _ in range(40)]
    refresher = refresher_of(*widgets)
    ticks = [refresher.tick() for _ in range(100)]
    assert all(sum(ticks[at : at + 10]) <= 50 for at in range(91))
    assert sum(ticks) >= 480
    asked = [widget.asked for widget in widgets]
    assert max(asked) - min(asked) <= 1


def test_a_quiet_time_does_not_allow_a_burst_after_it() -> None:
    widgets = [Widget(busy=False) for _ in range(40)]
    refresher = refresher_of(*widgets)
    for _ in range(100):
        refresher.tick()
    for widget in widgets:
        widget.busy = True
    assert refresher.tick() <= 5


def test_a_widget_that_nobody_sees_is_not_asked_any_more() -> None:
    seen, hidden = Widget(), Widget()
    hidden.visible = False
    refresher = refresher_of(seen, hidden)
    for _ in range(3):
        refresher.tick()
    assert (seen.asked, hidden.asked) == (3, 0)


def test_a_widget_that_fails_does_not_stop_the_others() -> None:
    class Broken(Widget):
        def refresh(self) -> int:
            raise RuntimeError("no")

    well = Widget()
    refresher = refresher_of(Broken(), well)
    for _ in range(3):
        refresher.tick()
    assert well.asked == 3


def test_it_runs_while_somebody_looks_and_ends_when_nobody_does() -> None:
    async def asked(widget: Widget, times: int) -> None:
        while widget.asked < times:  # noqa: ASYNC110 - a widget has no event to wait for
            await asyncio.sleep(0)

    async def look() -> tuple[int, bool]:
        refresher = Refresher(rate_hz=1000.0, loop=asyncio.get_running_loop)
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
        return widget.asked - before, bool(refresher._turn)

    assert asyncio.run(look()) == (1, False)
