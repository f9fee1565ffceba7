"""Completion of channels, symbols and columns, and errors of the magics. (tests/kernel runs them in a kernel.)"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest

import fxlive
from fxlive.entrypoints.magics import completions, session_magic, sql_magic
from tests.capture.sessions import path_of
from tests.handmade import clean_slate  # noqa: F401


@pytest.fixture
def session() -> fxlive.Session:
    session = fxlive.Session.offline()
    session._pipeline.store.expect(["USDJPY", "EURUSD", "EURGBP"], {})
    return session


@pytest.mark.parametrize(
    ("before", "written", "found"),
    [
        ('session.frame("', "", ["trades", "positions", "orders", "market-data", "alerts", "analytics", "system"]),
        ("session.latest('pos", "pos", ["positions"]),
        ('session.frame(channel="mar', "mar", ["market-data"]),
        ('session.subscribe("trades", "or', "or", ["orders"]),
        ('fxlive.connect(url, token, channels=["trades", "or', "or", ["orders"]),
        ('fxlive.on("al', "al", ["alerts"]),
        ('frame("al', "al", ["alerts"]),  # from fxlive import frame
        ('session.price_chart("eur', "eur", ["EURGBP", "EURUSD"]),
        ('chart = session.price_chart(\n    "USD', "USD", ["USDJPY"]),
        ('session.frame("trades", symbol="USD', "USD", ["USDJPY"]),
        ('session.frame("trades", symbol=["EURUSD", "USD', "USD", ["USDJPY"]),
        ('session.frame("trades", prof', "prof", ["profit="]),
        ('session.frame("trades", last=5, stra', "stra", ["strategy_id="]),
        ('session.chart("positions", "unr', "unr", ["unrealized_pnl"]),
        ('session.chart("positions", ["profit", "unr', "unr", ["unrealized_pnl"]),
        ('session.chart("positions", ["profit", "margin"], "sym', "sym", ["symbol"]),
        ('session.chart("positions", y=["profit"], by="sym', "sym", ["symbol"]),
        ('session.grid("orders", columns=["symbol", "sta', "sta", ["status"]),
        ('session.frame("trades", last=5)["comm', "comm", ["commission"]),
        ('fxlive.latest("trades")[["profit", "comm', "comm", ["commission"]),
    ],
)
def test_channels_symbols_and_columns_are_completed_as_arguments(
    session: fxlive.Session, before: str, written: str, found: list[str]
) -> None:
    assert completions(before, {"session": session, "fxlive": fxlive, "frame": fxlive.frame}) == (written, found)


@pytest.mark.parametrize(
    "before",
    [
        "",
        "sess",
        'print("tr',
        'other.frame("tr',
        'number.frame("tr',
        'frame("tr',  # a function of another library
        'session.bars("EURUSD", "1',
        'session.chart("quotes", "pro',
        'session.frame("trades").plot(y="pro',
        'session.sql("select tr',
        "session.frame(",
        'session.frame("trades", ("tr',
    ],
)
def test_nothing_is_completed_in_other_code(session: fxlive.Session, before: str) -> None:
    names = {"session": session, "number": 42, "frame": types.SimpleNamespace()}

    assert completions(before, names)[1] == []


def test_module_functions_complete_for_the_current_session_and_otherwise_only_channels(session: fxlive.Session) -> None:
    assert completions('fxlive.price_chart("', {"fxlive": fxlive}) == ("", [])
    assert completions('fxlive.frame("mar', {"fxlive": fxlive}) == ("mar", ["market-data"])
    fxlive.use(session)
    assert completions('fxlive.price_chart("USD', {"fxlive": fxlive}) == ("USD", ["USDJPY"])
    session.close()


def test_symbols_are_completed_for_a_capture(fx_simulator: Any, tmp_path: Path) -> None:
    with fxlive.connect(fx_simulator.url, fx_simulator.token(), record=tmp_path) as live:
        live.wait_for("market-data", rows=20, timeout=60)
    capture = fxlive.open_capture(path_of(live))

    assert capture.symbols == live.symbols
    assert completions('capture.bars("EURU', {"capture": capture}) == ("EURU", ["EURUSD"])
    for manifest in Path(capture.path).glob("*.json"):  # as if the manifest were lost
        manifest.unlink()
    with pytest.warns(fxlive.IncompleteCapture):
        assert fxlive.open_capture(path_of(live)).symbols == live.symbols


def test_an_error_of_a_magic_says_what_to_write_instead() -> None:
    error = pytest.importorskip("IPython.core.error").UsageError
    for ask in (lambda: session_magic(""), lambda: sql_magic({}, "select 1")):
        with pytest.raises(error, match=r"No session is open\. Call fxlive\.connect"):
            ask()
    with pytest.raises(error, match=r"%fxlive demo takes no options\. Write fxlive\.demo\(speed=20, seed=3\)\."):
        session_magic("demo speed=20 seed=3")


def test_the_close_magic_without_an_open_session_does_nothing(session: fxlive.Session) -> None:
    fxlive.use(session)
    assert session_magic("close") is session
    assert session.state == "closed"
    assert session_magic("close") is None
