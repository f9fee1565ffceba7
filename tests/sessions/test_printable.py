"""Texts of the platform with control characters: what people see of them obeys no terminal and no direction mark."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

import fxlive
from fxlive.core.shown_text import printable
from fxlive.entrypoints.cli import main
from tests.capture.sessions import bring, lose, path_of, recorded
from tests.handmade import TOKEN, acknowledged, clean_slate, platform, refused, wait_until  # noqa: F401

HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x9b2J\r\n\t\0\x7f\u202egnp\u2066\u2028\ud800"
VISIBLE = HOSTILE.replace("\ud800", "")  # JSON of the platform cannot contain half a surrogate pair
CONTROL = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def check(text: str) -> str:
    found = CONTROL.search(text)
    assert found is None, f"{found!r} in {text!r}"
    return text


def message(channel: str, **data: Any) -> bytes:
    return json.dumps({"type": "x", "channel": channel, "data": data, "timestamp": "2014-05-08T12:30:00Z"}).encode()


def test_control_characters_become_escape_sequences_and_other_text_stays() -> None:
    shown = check(printable(HOSTILE))
    assert "\n" not in shown
    assert shown.startswith(r"\x1b]0;owned\x07\x1b[31mred\x9b2J\r\n\t\x00\x7f\u202egnp\u2066\u2028\ud800")
    assert printable("Größe ≥ 5 💶 עברית 👩\u200d💻") == "Größe ≥ 5 💶 עברית 👩\u200d💻"


def test_nothing_that_a_session_or_capture_shows_has_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "fxlive")

    def fail(received: Any) -> None:
        raise ValueError(f"{received.data}{VISIBLE}")

    with recorded(tmp_path, name=f"desk{VISIBLE}") as session:
        handle = session.on(VISIBLE, fail) if VISIBLE in session.channels else None
        bring(session, message(VISIBLE, **{VISIBLE: VISIBLE}), message("plain", note=1))
        handle = handle or session.on(VISIBLE, fail)
        bring(session, message(VISIBLE, **{VISIBLE: VISIBLE, "n": 2}), b"no json " + VISIBLE.encode())
        wait_until(lambda: handle.errors)
        lose(session, 1_399_552_200_000_000, None, f"closed: {VISIBLE}")
        health = session.health()
        for text in (repr(session), session._repr_html_(), repr(health), health._repr_html_(), repr(handle)):
            check(text)
        assert "owned" in repr(session)
        check(health.callback_error or "missing")
        check(repr(session.recording))
        check(repr(session.subscriptions))
        for wrong in (lambda: session.frame(f"{VISIBLE}x"), lambda: session.frame("plain", symbol_=1)):
            with pytest.raises(fxlive.FxliveError) as failed:
                wrong()
            check(str(failed.value))
    capture = fxlive.open_capture(path_of(session))
    check(repr(capture))
    check(capture._repr_html_())
    capsys.readouterr()
    assert main(["info", str(path_of(session))]) == 0
    assert main(["export", str(path_of(session)), "--to", str(tmp_path / "out"), "--format", "csv"]) == 0
    output = capsys.readouterr()
    check(output.out + output.err)
    assert "owned" in output.out
    assert any("raised" in record.getMessage() for record in caplog.records)
    for record in caplog.records:
        check(logging.Formatter().format(record))


def test_no_error_of_a_connection_has_control_characters(caplog: pytest.LogCaptureFixture) -> None:
    reason = "\x1b[31m\x07\u202e"

    def close(socket: Any) -> None:
        socket.close(4401, reason)

    def refuse(socket: Any) -> None:
        for _ in socket:
            socket.send(json.dumps({"type": "error", "error": "Invalid channel", "message": reason}))

    for handler in (close, refuse):
        with platform(handler) as url:
            error = refused(url, timeout=5)
            check(str(error))
            assert "\\x1b[31m" in str(error)
    for record in caplog.records:
        check(logging.Formatter().format(record))


def test_an_error_prints_without_control_characters_whatever_it_quotes() -> None:
    errors: list[Exception] = [
        fxlive.UnknownColumn(HOSTILE, HOSTILE, [HOSTILE]),
        fxlive.UnknownSymbol(HOSTILE, [HOSTILE]),
        fxlive.UnknownOption("option", HOSTILE, [HOSTILE, "b"]),
        fxlive.InvalidFrame(HOSTILE, HOSTILE),
        fxlive.ConnectionDenied(HOSTILE),
        fxlive.RateLimitError(HOSTILE, url=HOSTILE),
        fxlive.InvalidChannel(HOSTILE, channel=HOSTILE),
        fxlive.WaitTimeout(HOSTILE),
        fxlive.NotACapture(HOSTILE, HOSTILE),
        fxlive.IncompleteCapture(HOSTILE, HOSTILE),
    ]
    for error in errors:
        assert "owned" in check(str(error))
        check(repr(error))
