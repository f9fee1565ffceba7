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
from fxlive.pipeline.alerts import Hold, Watch, firings, holds
from tests.handmade import quote, wait_until


@given(truths=st.lists(st.booleans()), hold=st.integers(0, 4))
@settings(deadline=None)
def test_a_condition_is_told_once_when_it_has_held_so_long_and_again_after_a_pause(
    truths: list[bool], hold: int
) -> None:
    rule, told = Hold(hold), []
    for at, true in enumerate(truths):
        if rule.fires(at, true):
            told.append(at)
    runs = [at for at, true in enumerate(truths) if true and (at == 0 or not truths[at - 1])]
    assert told == [
        start + hold for start in runs if all(truths[start : start + hold + 1]) and start + hold < len(truths)
    ]


def test_it_begins_anew_where_time_goes_backwards() -> None:
    rule = Hold(10)
    assert [rule.fires(at, True) for at in (3600, 10, 15, 20, 21)] == [False, False, False, True, False]
    assert [rule.fires(at, True) for at in (12, 22)] == [False, True]  # it has been told, but not on this way


@pytest.mark.parametrize(
    ("value", "yes"),
    [(True, True), (0, False), (0.5, True), (float("nan"), False), (pd.NA, False),
     (pd.NaT, False), (np.float32("nan"), False), (np.float64(2), True),
     (pd.DataFrame({"a": []}), False), (pd.DataFrame({"a": [0]}), True), (pd.Series([0.0]), True),
     (np.array([]), False), (np.array([0.0, 0.0]), True), (np.array(0), False)],
)  # fmt: skip
def test_frames_and_numbers_say_yes_in_their_own_way(value: Any, yes: bool) -> None:
    assert holds(value) is yes


@pytest.mark.parametrize("value", [None, "connected", b"", {"profit": -5}], ids=repr)
def test_what_says_neither_yes_nor_no_is_a_mistake_that_says_what_a_condition_returns(value: Any) -> None:
    with pytest.raises(
        fxlive.UnknownOption, match=r"what a condition returns must be a frame, a Series, a number or a bool, got"
    ):
        holds(value)
    with fxlive.Session.offline("forgetful") as session:
        watch = session.when(lambda s: value, every=0.01)(print)
        wait_until(lambda: watch.errors > 1, "errors")
        assert "the last UnknownOption: what a condition returns must be" in repr(watch)


@pytest.mark.parametrize("kind", [pd.Series, np.array, pd.Index, lambda m: pd.DataFrame({"a": m, "b": False}),
                                  lambda m: pd.Series([*m, None], dtype="boolean")])  # fmt: skip
def test_a_mask_says_yes_where_one_is_true(kind: Any) -> None:
    assert holds(kind([False, True]))
    assert not holds(kind([False, False]))


def put(session: fxlive.Session, *frames: str) -> None:
    async def deliver() -> None:
        session._pipeline.feed.put(*(frame.encode() for frame in frames))  # type: ignore[attr-defined]

    call(deliver())


def test_a_session_tells_when_a_condition_holds_and_again_only_after_it_has_ceased() -> None:
    with fxlive.Session.offline("watched") as session:
        told: list[pd.DataFrame] = []
        high = session.when(lambda s: s.latest("market-data").query("bid > 10"), every=0.01)
        watch = high(told.append)
        put(session, quote(5))
        looked = threading.Event()
        session.when(lambda s: looked.set(), every=0.01)(print)
        assert looked.wait(15)
        assert told == []
        put(session, quote(11))
        wait_until(lambda: len(told) == 1, "the first call")
        assert told[0]["bid"].tolist() == [11.0]
        put(session, quote(4), quote(12))  # in one moment: nobody has seen it low
        put(session, quote(3))
        wait_until(lambda: not watch._rule._told, "the low")
        put(session, quote(13))
        wait_until(lambda: len(told) == 2, "the second call")
        watch.cancel()
        assert "cancelled, 2 calls, 0 errors" in repr(watch)


def test_it_ends_with_the_session_and_what_raises_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    with fxlive.Session.offline("raising") as session:

        @session.when(lambda s: 1 / 0, every=0.01)
        def told(value: object) -> None: ...

        wait_until(lambda: told.errors > 2, "errors")
        for shown in (repr(told), repr(session)):
            assert "errors, the last ZeroDivisionError: division by zero" in shown
        assert session.health().callback_errors > 2
    wait_until(lambda: not told._thread.is_alive(), "the end of the watch")
    assert [record.message for record in caplog.records if "condition" in record.message] == [
        "a condition or its callback raised; more of this kind are only counted"
    ]
    with pytest.raises(fxlive.SessionClosed):
        session.when(lambda s: True)
    open_session = fxlive.Session.offline()
    for option in ({"hold": "soon"}, {"hold": -1}, {"every": "never"}, {"every": 0}, {"every": "0s"}):
        with pytest.raises(fxlive.UnknownOption):
            open_session.when(lambda s: True, **option)


def test_a_condition_that_raises_has_not_held() -> None:
    clock_s, moods, told, looks = 0, ["holds", "raises"], [], []

    def condition() -> bool:
        looks.append(clock_s)
        if moods[0] == "raises":
            raise RuntimeError("no idea")
        return True

    watch = Watch(
        condition,
        told.append,
        hold_s=10,
        every_s=0.001,
        clock=lambda: clock_s * 1_000_000,
        ended=lambda: False,
        paused=lambda: False,
    )
    wait_until(lambda: len(looks) > 1, "a look at 0 s")
    moods.reverse()
    wait_until(lambda: watch.errors > 1, "an error")
    clock_s = 30
    moods.reverse()
    wait_until(lambda: looks.count(30) > 2, "looks at 30 s")
    assert told == []
    clock_s = 40
    wait_until(lambda: told == [True], "the call")
    watch.cancel()


def test_it_waits_while_a_session_has_failed_and_goes_on_after_a_reconnect() -> None:
    with fxlive.Session.offline("failing") as session:
        looks: list[str] = []
        told: list[int] = []

        def high(watched: fxlive.Session) -> int:
            looks.append(watched.state)
            return len(watched.latest("market-data").query("bid > 10"))

        watch = session.when(high, every=0.01)(told.append)
        put(session, quote(11))
        wait_until(lambda: told == [1], "the first call")
        background_loop().call_soon_threadsafe(session._pipeline.failed, fxlive.ReconnectsExhausted("five failed"))
        wait_until(lambda: session.state == "failed" and not watch._rule._told, "a hold that begins anew")
        assert watch._thread.is_alive()
        session.reconnect()
        wait_until(lambda: told == [1, 1], "the call after the reconnect")
    wait_until(lambda: not watch._thread.is_alive(), "the end of the watch")


def test_on_a_recording_it_is_the_same_rule() -> None:
    def bids(upto: int) -> pd.DataFrame:
        return pd.DataFrame({"bid": range(upto)})

    times = pd.date_range("2024-01-01", periods=8, freq="5s", tz="UTC")
    told = list(firings(lambda frame: frame.query("bid > 2"), ((t, bids(n)) for n, t in enumerate(times)), "10s"))
    assert [(at.second, value["bid"].tolist()) for at, value in told] == [(30, [3, 4, 5])]
