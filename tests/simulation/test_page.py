"""Views that come and go, a page that sleeps, lost messages: a calm view shows the rows of the table."""

from __future__ import annotations

import random
from typing import Any

import pytest

from fxlive.widgets.refresher import Refresher
from fxlive.widgets.tables.grid import Grid, grid
from tests.samples import POSITION, QUOTE, message
from tests.simulation.page import PULSE_S, Page, View
from tests.widgets.conftest import page as recorded_page  # noqa: F401
from tests.widgets.kernel_side import ManualRefresher, Platform

STEPS = 120
SYMBOLS = ["EURUSD", "USDJPY", "GBPUSD", "AUDUSD"]


class Desk:
    """Two grids over a platform, and a page that shows them, all driven by a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(f"page {seed}")
        self.platform = Platform(max_rows=self.rng.choice((5, 1_000)))
        self.page = Page(self.rng)
        self.now = 0.0
        self.refresher: Refresher = ManualRefresher(self.page.post, clock=lambda: self.now)
        self.grids: dict[str, Grid] = {
            channel: grid(
                self.platform.pipeline,
                "test",
                channel,
                refresher=self.refresher,
                clock=lambda: self.now,
                silence_s=lambda heard_at, now: now - heard_at,
                max_rows=self.rng.choice((3, 5_000)),
            )
            for channel in ("market-data", "positions")
        }
        self.number = 0

    def step(self) -> None:
        """Do one thing, let time pass, and let some messages arrive."""
        rng, views = self.rng, self.page.views
        match rng.randrange(14):
            case 0 | 1:
                View(self.page, rng.choice(list(self.grids.values())), f"view {self.number}")
            case 2 if views:
                rng.choice(views).end()
            case 3 | 4 if views:
                rng.choice(views).show(rng.random() < 0.5)
            case 5:
                self.page.asleep = not self.page.asleep
            case 6:
                self.refresher.paused = not self.refresher.paused
            case 7:
                self.wait(rng.choice((1.0, 12.0, 40.0)))
            case 8:
                self.platform.run_on_loop(lambda: self.platform.pipeline.lost(self.platform.now_us(), "cut"))
                self.platform.run_on_loop(lambda: self.platform.pipeline.connected(self.platform.now_us()))
            case 9 if rng.random() < 0.2:
                self.platform.run_on_loop(lambda: self.platform.pipeline.rewound(self.platform.now_us()))
            case _:
                self.put()
        if rng.random() < 0.7:
            self.refresher.tick()
        self.page.step()

    def put(self) -> None:
        """Bring some quotes and positions; some close a position, and a few have a field that was never seen."""
        rng = self.rng
        for _ in range(rng.randrange(1, 12)):
            self.number += 1
            self.platform.now += 0.25
            stamp = {
                "id": f"m{self.number}",
                "timestamp": f"2023-11-14T22:{13 + self.number // 60 % 40}:{self.number % 60:02}Z",
            }
            new = {f"new{rng.randrange(3)}": rng.random()} if rng.random() < 0.02 else {}
            if rng.random() < 0.5:
                self.platform.put(message(QUOTE, stamp, symbol=rng.choice(SYMBOLS), bid=rng.random(), **new))
            else:
                volume = rng.choice((0, 0.1, 0.2, 0.3))
                self.platform.put(message(POSITION, stamp, ticket=rng.randrange(30), volume=volume, **new))

    def wait(self, seconds: float) -> None:
        """Let time pass; the page sends its pulses."""
        for _ in range(int(seconds / PULSE_S) + 1):
            self.now += seconds / (int(seconds / PULSE_S) + 1)
            self.page.pulse()
            self.page.step()
            self.refresher.tick()

    def calm_down(self) -> None:
        """Let every message arrive, and show every view. No row changes now, so a lost last tick must be noticed."""
        self.page.lossy = self.page.asleep = self.refresher.paused = False
        for view in list(self.page.views):
            view.show(True)
        for _ in range(30):
            self.page.pulse()
            self.page.step(all_of_them=True)
            self.refresher.tick()
            self.now += 1.0

    def check(self) -> int:
        """Check that every view shows the rows of the table; return the number of views."""
        for view in self.page.views:
            widget: Any = view.widget
            table = widget._table
            latest = table.latest()
            kept = latest.sort_values("timestamp", kind="stable") if widget._rows.max_rows < len(latest) else latest
            name = table.channel.key[0]
            shown = {row[name]: row for row in view.rows.values()}
            assert view.failure is None
            assert len(shown) == len(view.rows) == min(len(kept), widget._rows.max_rows)
            assert shown.keys() <= set(latest.index)
            if len(shown) == len(latest):
                column = "bid" if name == "symbol" else "volume"
                assert {key: row[column] for key, row in shown.items()} == latest[column].to_dict()
                for added in [column for column in latest.columns if column.startswith("new")]:
                    expected = latest[added].astype(object).where(latest[added].notna(), None).to_dict()
                    assert {key: row[added] for key, row in shown.items()} == expected
        return len(self.page.views)


@pytest.mark.usefixtures("recorded_page")
@pytest.mark.parametrize("first", range(0, 40, 10))
def test_a_calm_view_shows_the_rows_of_the_table(first: int) -> None:
    views = 0
    for seed in range(first, first + 10):
        desk = Desk(seed)
        try:
            for _ in range(STEPS):
                desk.step()
            desk.calm_down()
            views += desk.check()
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
        finally:
            desk.platform.close()
    assert views > 20
