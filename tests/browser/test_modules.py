"""ES modules that need no JupyterLab: columns of points, and local times of a zone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from playwright.sync_api import BrowserContext

from fxlive.figures.downsampling import downsample

STATIC = Path(__file__).parents[2] / "fxlive" / "widgets" / "static"
Run = Callable[[str, str, Any], Any]


@pytest.fixture(scope="module")
def run(browser: BrowserContext) -> Iterator[Run]:
    """Return a function that evaluates a JavaScript expression of `module`, an ES module of static/, and `given`."""
    page = browser.new_page()

    def call(module: str, expression: str, given: Any) -> Any:
        source = (STATIC / f"{module}.js").read_text(encoding="utf-8")
        return page.evaluate(
            """async ([source, expression, given]) => {
                const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
                const module = await import(url);
                return new Function('module', 'given', `return (${expression})`)(module, given);
            }""",
            [source, expression, given],
        )

    yield call
    page.close()


COLUMNS = "new module.Columns(given.columns.map(column => Float64Array.from(column, v => v ?? NaN)))"
AS_LISTS = ".all.map(column => [...column].map(v => Number.isNaN(v) ? null : v))"


def columns(run: Run, expression: str, *lists: list[float | None], **given: Any) -> Any:
    code = f"(() => {{ const columns = {COLUMNS}; return ({expression}){AS_LISTS}; }})()"
    return run("columns", code, {"columns": lists, **given})


def other(values: str) -> str:
    return f"new module.Columns({values}.map(column => Float64Array.from(column)))"


def test_late_points_are_sorted_in(run: Run) -> None:
    more = {"more": [[2, 5], [20, 50]]}
    assert columns(run, f"columns.followedBy({other('given.more')})", [1, 3], [10, 30], **more) == [
        [1, 2, 3, 5],
        [10, 20, 30, 50],
    ]


def test_points_of_the_same_time_keep_their_order(run: Run) -> None:
    more = {"more": [[3, 3], [31, 32]]}
    assert columns(run, f"columns.followedBy({other('given.more')})", [1, 3], [10, 30], **more)[1] == [10, 30, 31, 32]


def test_detail_replaces_the_points_between_two_times(run: Run) -> None:
    more = {"more": [[2, 2.5, 3], [20, 25, 30]]}
    kept = columns(run, f"columns.between(2, 4, {other('given.more')})", [1, 2, 3, 4, 5], [1, 2, 3, 4, 5], **more)
    assert kept == [[1, 2, 2.5, 3, 4, 5], [1, 20, 25, 30, 4, 5]]


def test_thinning_keeps_extremes_holes_and_the_visible_range(run: Run) -> None:
    rng = np.random.default_rng(7)
    x = np.cumsum(rng.random(2_000)).tolist()
    y: list[float | None] = [float(v) for v in np.cumsum(rng.standard_normal(2_000))]
    y[700:720] = [None] * 20
    visible = [400.0, 450.0]
    kept_x, kept_y = columns(run, "columns.thinned(25, given.visible)", x, y, visible=visible)
    assert len(kept_x) < 500
    assert [v for v in kept_x if visible[0] <= v <= visible[1]] == [v for v in x if visible[0] <= v <= visible[1]]
    assert kept_x[-1] == x[-1]
    assert None in kept_y
    for bucket in range(int(x[-1] // 25)):
        before = [v for at, v in zip(x, y, strict=True) if at // 25 == bucket and v is not None]
        after = [v for at, v in zip(kept_x, kept_y, strict=True) if at // 25 == bucket and v is not None]
        assert (min(after), max(after)) == (min(before), max(before))
    again = columns(run, "columns.thinned(25, given.visible)", kept_x, kept_y, visible=visible)
    assert again == [kept_x, kept_y]  # thinned points do not change when they are thinned again
    assert len(downsample(np.array(x), (np.array(y, float),), 25.0)) < 500  # the same in the kernel


@pytest.mark.parametrize("zone", ["UTC", "Europe/London", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
def test_local_times_equal_those_of_zoneinfo_also_around_a_clock_change(run: Run, zone: str) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    moments = [start + timedelta(hours=7 * n, minutes=13, milliseconds=7) for n in range(1_250)]
    for change in (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)):
        moments += [change + timedelta(seconds=s) for s in (-1, -0.001, 0, 0.001, 1)]
    given = {"zone": zone, "times": [moment.timestamp() * 1e3 for moment in moments]}
    walls = run("zones", "given.times.map(ms => module.Zone.named(given.zone).wall(ms))", given)
    info = ZoneInfo(zone)
    expected = [moment.astimezone(info).replace(tzinfo=UTC).timestamp() * 1e3 for moment in moments]
    assert np.allclose(walls, expected, atol=0.01, rtol=0)
    back = run("zones", "given.walls.map(ms => module.Zone.named(given.zone).utc(ms))", {"zone": zone, "walls": walls})
    hour = 3_600_000  # at the end of summer time one hour of local time occurs twice
    assert all(abs(b - t) < 0.01 or abs(abs(b - t) - hour) < hour for b, t in zip(back, given["times"], strict=True))
