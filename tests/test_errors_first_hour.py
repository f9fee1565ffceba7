"""Each row of docs/errors-first-hour.md: the call in the first column raises the message in the second."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trustme

import fxlive
from fxlive.simulator.thread import SimulatorThread
from tests.handmade import clean_slate, grant_everything, platform, wait_until  # noqa: F401

PAGE = (Path(__file__).parents[1] / "docs" / "errors-first-hour.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([^`]+)`(.*) \| `([^`]+)` \|$", re.MULTILINE)


def rows(heading: str) -> list[Any]:
    """Return call, remark and message of each row of a section's table."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("| `")]
    parameters = [pytest.param(*match.groups(), id=match[1]) for match in ROW.finditer(section)]
    assert len(parameters) == len(table) > 0
    return parameters


def check(call: str, remark: str, expected: str, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluate a call and compare the text of its exception, or of its result, with the expected message."""
    url = names.get("url", "")
    without = re.search(r" without (\w+)", remark)
    if without:
        for name in [without[1].lower(), f"{without[1].lower()}.dataframe", f"{without[1].lower()}.core"]:
            monkeypatch.setitem(sys.modules, name, None)
    try:
        message = str(eval(call, {"fxlive": fxlive, **names}))
    except Exception as error:
        message = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
    message = " ".join(message.replace(url.partition("://")[2].partition("/")[0] or "-", "your-platform").split())
    assert re.fullmatch(re.escape(expected).replace(r"\.\.\.", ".*"), message), message


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread(symbols=["EURUSD", "USDJPY"], speed=20.0, connections_per_minute=None) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def tls_url() -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with platform(grant_everything, ssl=context) as url:
        yield url


@pytest.mark.parametrize(("call", "remark", "expected"), rows("Connecting"))
def test_an_error_of_connecting_has_the_documented_message(
    call: str, remark: str, expected: str, simulator: SimulatorThread, tls_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"url": simulator.url, "tls_url": tls_url}
    names |= {"token": simulator.token(), "expired": simulator.token(expires_in_s=-60.0)}
    check(call, remark, expected, names, monkeypatch)


@pytest.mark.filterwarnings("ignore:coroutine 'connect_async' was never awaited")
@pytest.mark.parametrize(("call", "remark", "expected"), rows("Reading data"))
def test_an_error_of_reading_data_has_the_documented_message(
    call: str,
    remark: str,
    expected: str,
    simulator: SimulatorThread,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, token = simulator.url, simulator.token()
    channels: dict[str, Any] = {"market-data": {}, "positions": {}, "trades": {}, "alerts": {"severity": "NEVER_SENT"}}
    with fxlive.connect(url, token, channels=channels, record=tmp_path) as session:
        wait_until(lambda: len(session.symbols) == 2, "a quote of each")
        assert session.recording is not None
        names: dict[str, Any] = {"session": session, "capture": fxlive.open_capture(session.recording.path)}
        with closing(fxlive.connect_async(url, token)) as awaitable:
            check(call, remark, expected, names | {"url": url, "awaitable": awaitable}, monkeypatch)


@pytest.mark.parametrize(("call", "remark", "expected"), rows("After the end"))
def test_an_error_after_the_end_has_the_documented_message(
    call: str, remark: str, expected: str, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = fxlive.connect(simulator.url, simulator.token())
    session.close()
    assert len(session.frame("trades")) >= 0
    check(call, remark, expected, {"session": session}, monkeypatch)


def test_a_terminal_shows_the_documented_text_of_a_widget(tmp_path: Path) -> None:
    code = "import fxlive; fxlive.Session.offline('default').price_chart('EURUSD')"
    command = [sys.executable, "-m", "IPython", "--no-banner", "--no-confirm-exit", "--colors=NoColor", "-c", code]
    environment = {**os.environ, "IPYTHONDIR": str(tmp_path)}
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
    documented = PAGE.partition("\n```text\n")[2].partition("\n```\n")[0].splitlines()

    assert process.stderr == ""
    assert [line.removeprefix("Out[0]: ") for line in process.stdout.splitlines() if line] == documented
