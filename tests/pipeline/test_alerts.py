from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fxlive
from fxlive.core.background import background_loop, call
from fxlive.pipeline.alerts import HoldTimer, Watch, firings, holds
from tests.handmade import PATIENCE_S, quote, wait_until


@given(truths=st.lists(st.booleans()), hold=st.integers(0, 4))
@settings(deadline=None)
def test_a_timer_fires_once_per_period_in_which_the_condition_holds(truths: list[bool], hold: int) -> None:
    timer, fired = HoldTimer(hold), []
    for at, true in enumerate(truths):
        if timer.fires(at, true):
            fired.append(at)
    runs = [at for at, true in enumerate(truths) if true and (at == 0 or not truths[at - 1])]
    assert fired == [
        start + hold for start in runs if all(truths[start : start + hold + 1]) and start + hold < len(truths)
    ]


def test_a_timer_is_reset_when_time_goes_backwards() -> None:
    timer = HoldTimer(10)
    assert [timer.fires(at, True) for at in (3600, 10, 15, 20, 21)] == [False, False, False, True, False]
    assert [timer.fires(at, True) for at in (12, 22)] == [False, True]  # it fired before, but not since the step back


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, True), (0, False), (0.5, True), (float("nan"), False), (pd.NA, False),
     (pd.NaT, False), (np.float32("nan"), False), (np.float64(2), True),
     (pd.DataFrame({"a": []}), False), (pd.DataFrame({"a": [0]}), True), (pd.Series([0.0]), True),
     (np.array([]), False), (np.array([0.0, 0.0]), True), (np.array(0), False)],
)  # fmt: skip
def test_a_condition_holds_for_frames_with_rows_and_for_numbers_other_than_zero(value: Any, expected: bool) -> None:
    assert holds(value) is expected


@pytest.mark.parametrize("value", [None, "connected", b"", {"profit": -5}], ids=repr)
def test_a_condition_that_returns_none_text_or_a_dict_is_an_error(value: Any) -> None:
    with pytest.raises(
        fxlive.UnknownOption, match=r"the result of a condition must be a frame, a Series, a number or a bool, got"
    ):
        holds(value)
    with fxlive.Session.offline("forgetful") as session:
        watch = session.when(lambda s: value, every=0.01)(print)
        wait_until(lambda: watch.errors > 1, "errors")
        assert "the last UnknownOption: the result of a condition must be" in repr(watch)


@pytest.mark.parametrize("kind", [pd.Series, np.array, pd.Index, lambda m: pd.DataFrame({"a": m, "b": False}),
                                  lambda m: pd.Series([*m, None], dtype="boolean")])  # fmt: skip
def test_a_mask_holds_if_any_value_is_true(kind: Any) -> None:
    assert holds(kind([False, True]))
    assert not holds(kind([False, False]))


def put(session: fxlive.Session, *frames: str) -> None:
    async def deliver() -> None:
        session._pipeline.feed.put(*(frame.encode() for frame in frames))  # type: ignore[attr-defined]

    call(deliver())


def test_when_calls_back_once_per_period_in_which_the_condition_holds() -> None:
    with fxlive.Session.offline("watched") as session:
        results: list[pd.DataFrame] = []
        high = session.when(lambda s: s.latest("market-data").query("bid > 10"), every=0.01)
        watch = high(results.append)
        put(session, quote(5))
        checked = threading.Event()
        session.when(lambda s: checked.set(), every=0.01)(print)
        assert checked.wait(PATIENCE_S)
        assert results == []
        put(session, quote(11))
        wait_until(lambda: len(results) == 1, "the first call")
        assert results[0]["bid"].tolist() == [11.0]
        put(session, quote(4), quote(12))  # in one batch: no check sees the low bid
        put(session, quote(3))
        wait_until(lambda: not watch._timer._fired, "a check of the low bid")
        put(session, quote(13))
        wait_until(lambda: len(results) == 2, "the second call")
        watch.cancel()
        assert "cancelled, 2 calls, 0 errors" in repr(watch)


def test_a_watch_ends_with_the_session_and_counts_exceptions(caplog: pytest.LogCaptureFixture) -> None:
    with fxlive.Session.offline("raising") as session:

        @session.when(lambda s: 1 / 0, every=0.01)
        def watch(value: object) -> None: ...

        wait_until(lambda: watch.errors > 2, "errors")
        for text in (repr(watch), repr(session)):
            assert "errors, the last ZeroDivisionError: division by zero" in text
        assert session.health().callback_errors > 2
    wait_until(lambda: not watch._worker.is_alive(), "the end of the watch")
    assert [record.message for record in caplog.records if "condition" in record.message] == [
        "the condition or the callback of an alert raised; more errors of this type are only counted"
    ]
    with pytest.raises(fxlive.SessionClosed):
        session.when(lambda s: True)
    open_session = fxlive.Session.offline()
    for option in ({"hold": "soon"}, {"hold": -1}, {"every": "never"}, {"every": 0}, {"every": "0s"}):
        with pytest.raises(fxlive.UnknownOption):
            open_session.when(lambda s: True, **option)


def test_the_hold_starts_again_after_a_condition_raised() -> None:
    clock_s, raises = 0, False
    checks: list[int] = []
    results: list[bool] = []

    def condition() -> bool:
        checks.append(clock_s)
        if raises:
            raise RuntimeError("unknown")
        return True

    watch = Watch(
        condition,
        results.append,
        hold_s=10,
        every_s=0.001,
        clock=lambda: clock_s * 1_000_000,
        ended=lambda: False,
        paused=lambda: False,
    )
    wait_until(lambda: len(checks) > 1, "a check at 0 s")
    raises = True
    wait_until(lambda: watch.errors > 1, "an error")
    clock_s, raises, before = 30, False, len(checks)
    wait_until(lambda: len(checks) > before + 2, "checks at 30 s")
    assert results == []
    clock_s = 40
    wait_until(lambda: results == [True], "the call")
    watch.cancel()


def test_a_watch_pauses_while_the_session_has_failed_and_goes_on_after_a_reconnect() -> None:
    with fxlive.Session.offline("failing") as session:
        results: list[int] = []

        def high(watched: fxlive.Session) -> int:
            return len(watched.latest("market-data").query("bid > 10"))

        watch = session.when(high, every=0.01)(results.append)
        put(session, quote(11))
        wait_until(lambda: results == [1], "the first call")
        background_loop().call_soon_threadsafe(session._pipeline.failed, fxlive.ReconnectsExhausted("five failed"))
        wait_until(lambda: session.state == "failed" and not watch._timer._fired, "the reset")
        assert watch._worker.is_alive()
        session.reconnect()
        wait_until(lambda: results == [1, 1], "the call after the reconnect")
    wait_until(lambda: not watch._worker.is_alive(), "the end of the watch")


def test_firings_applies_the_same_rule_to_a_recording() -> None:
    def bids(upto: int) -> pd.DataFrame:
        return pd.DataFrame({"bid": range(upto)})

    times = pd.date_range("2024-01-01", periods=8, freq="5s", tz="UTC")
    fired = list(firings(lambda frame: frame.query("bid > 2"), ((t, bids(n)) for n, t in enumerate(times)), "10s"))
    assert [(at.second, value["bid"].tolist()) for at, value in fired] == [(30, [3, 4, 5])]
