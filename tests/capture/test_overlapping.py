"""Two captures that overlap, because one session replaced another, are read as one."""

from __future__ import annotations

from pathlib import Path

import pytest

import fxlive
from fxlive.errors import IncompleteCapture
from tests.capture.recordings import MAY_8
from tests.capture.sessions import SECOND, bring, equal, recorded
from tests.samples import ALERT, QUOTE, TRADE, message, wire


def quote(number: int, bid: float | None = None) -> bytes:
    return wire(message(QUOTE, {"id": f"m{number}"}, bid=float(number) if bid is None else bid))


def overlapping(folder: Path) -> None:
    """Record two sessions that both receive the quotes 4 to 6, the second one three milliseconds later."""
    with recorded(folder, "first") as first, recorded(folder, "second") as second:
        for number in range(7):
            bring(first, quote(number), at=MAY_8 + number * SECOND)
        bring(first, wire(message(ALERT)), at=MAY_8 + 6 * SECOND)
        bring(first, wire(message(TRADE, {"id": None})), at=MAY_8 + 6 * SECOND)
        for number in range(4, 10):
            bring(second, quote(number), at=MAY_8 + number * SECOND + 3_000)
        bring(second, quote(5, 99.0), at=MAY_8 + 5 * SECOND)  # a re-used id
        bring(second, wire(message(ALERT)), at=MAY_8 + 6 * SECOND - 1_000)
        bring(second, wire(message(TRADE, {"id": None})), at=MAY_8 + 6 * SECOND)


@pytest.mark.filterwarnings("ignore::fxlive.errors.IncompleteCapture")
def test_a_message_in_both_captures_is_one_row_and_a_re_used_id_is_another(tmp_path: Path) -> None:
    overlapping(tmp_path)
    capture = fxlive.open_capture(tmp_path)
    frame = capture.frame("market-data")
    assert sorted(frame["bid"]) == [*map(float, range(10)), 99.0]
    equal(capture.frame("market-data", last=3), frame.iloc[-3:])
    assert len(capture.frame("market-data", bid=5)) == 1
    assert len(capture.snapshot()["market-data"]) == 11
    assert len(capture.frame("alerts")) == 1
    assert len(capture.frame("trades")) == 2  # without an id, nothing says that they are the same
    with fxlive.replay(tmp_path, speed=None) as replay:
        replay.wait_until_end(timeout=60)
        assert sorted(replay.frame("market-data")["bid"]) == sorted(frame["bid"])


def test_the_warning_names_both_captures(tmp_path: Path) -> None:
    overlapping(tmp_path)
    with pytest.warns(IncompleteCapture, match="A message that is in both is one row"):
        fxlive.open_capture(tmp_path).frame("market-data")
