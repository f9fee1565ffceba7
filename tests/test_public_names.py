"""The public names: signatures, docstrings, completion, and the types that a type checker sees."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jedi
import pytest

import fxlive
from fxlive import errors
from fxlive.analytics.exposure import Exposure
from fxlive.capture.writing.recorder import Recorder
from fxlive.capture.writing.status import RecordingStatus
from fxlive.entrypoints import module
from fxlive.pipeline.alerts import Watch
from fxlive.pipeline.callbacks import Handle
from fxlive.pipeline.streams import Stream

ROOT = Path(__file__).parents[1]

# The names of DESIGN.md that are methods of a session, and so also functions of the module.
METHODS = (
    "frame latest snapshot gaps rejected health on stream wait_for record export subscribe unsubscribe reconnect "
    "price_chart pnl_chart chart metrics_chart status_bar grid alerts_feed dashboard "
    "bars pnl explain performance execution order_life exposure reconcile latency correlation spread_profile sql "
    "report when"
).split()
FUNCTIONS = "connect connect_async close demo current sessions use run read_export open_capture replay".split()
# Classes of which methods return instances.
RETURNED = (Handle, Stream, Recorder, RecordingStatus, Watch, Exposure)


@pytest.fixture
def two() -> Iterator[tuple[fxlive.Session, fxlive.Session]]:
    """Two sessions; the second is the current one."""
    first, second = fxlive.Session.offline("first"), fxlive.Session.offline("second")
    fxlive.use(first)
    fxlive.use(second)
    yield first, second
    for session in (first, second):
        session.close()


def public_names() -> list[str]:
    return [name for name in fxlive.__all__ if not name.startswith("_")]


def is_error(name: str) -> bool:
    value = getattr(fxlive, name)
    return isinstance(value, type) and issubclass(value, Exception)


def test_all_public_names_are_listed_once_in_order_with_the_exceptions_last() -> None:
    errors_of_all = [name for name in fxlive.__all__ if is_error(name)]
    others = [name for name in fxlive.__all__ if not is_error(name)]
    assert fxlive.__all__ == [*sorted(others), *sorted(errors_of_all)]
    assert len(set(fxlive.__all__)) == len(fxlive.__all__)
    defined = {
        name
        for name, value in vars(fxlive).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert set(fxlive.__all__) == {*defined, "Recorder", "__version__"}


def test_dir_shows_public_names_only() -> None:
    assert fxlive.__dir__() == fxlive.__all__
    assert sorted(fxlive.__all__) == dir(fxlive)


def test_completion_in_a_notebook_shows_public_names_only() -> None:
    completions = jedi.Interpreter("fxlive.", [{"fxlive": fxlive}]).complete()
    assert {completion.name for completion in completions} == set(fxlive.__all__)


def test_completion_without_running_the_code_shows_every_public_name_and_the_packages() -> None:
    completions = {completion.name for completion in jedi.Script("import fxlive\nfxlive.").complete()}
    assert set(fxlive.__all__) <= completions
    others = {name for name in completions - set(fxlive.__all__) if not name.startswith("_")}
    packages = {path.parent.name for path in Path(fxlive.__file__).parent.glob("*/__init__.py")}
    assert others <= {*packages, "errors"}  # jedi lists subpackages whatever a package says


@pytest.mark.parametrize("kind", ["Session", "Replay", "Capture"])
def test_completion_shows_the_methods_of_what_a_user_holds(kind: str) -> None:
    held = getattr(fxlive, kind)
    completions = {c.name for c in jedi.Script(f"import fxlive\nx: fxlive.{kind}\nx.").complete()}
    methods = {name for name in dir(held) if not name.startswith("_")}
    assert methods <= completions


def test_public_objects_report_the_module_fxlive() -> None:
    objects = {name: getattr(fxlive, name) for name in public_names()}
    assert {name: value.__module__ for name, value in objects.items() if value.__module__ != "fxlive"} == {}
    assert repr(fxlive.Session) == "<class 'fxlive.Session'>"


def test_a_type_checker_sees_every_public_name(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    program = "import fxlive\n" + "".join(f"reveal_type(fxlive.{name})\n" for name in fxlive.__all__)
    status, output = checked(tmp_path, program)
    revealed = [line for line in output.splitlines() if "Revealed type" in line]
    assert (status, len(revealed)) == (0, len(fxlive.__all__)), output
    assert [line for line in revealed if 'is "Any"' in line] == []


def test_every_name_of_the_design_exists() -> None:
    assert {*METHODS, *FUNCTIONS, "Session", "FxliveError"} <= set(fxlive.__all__)
    more = "subscriptions state error channels url when_closed open close offline".split()
    assert [name for name in (*METHODS, *more) if not hasattr(fxlive.Session, name)] == []
    awaited = "open close subscribe unsubscribe wait_for".split()
    assert all(inspect.iscoroutinefunction(getattr(fxlive.Session, f"{name}_async")) for name in awaited)
    for protocol in ("__enter__", "__exit__", "__aenter__", "__aexit__", "__getitem__", "_ipython_key_completions_"):
        assert hasattr(fxlive.Session, protocol)


def test_connect_has_the_parameters_and_defaults_of_the_design() -> None:
    defaults = {n: p.default for n, p in inspect.signature(fxlive.Session).parameters.items()}
    expected = {
        "url": None, "token": None, "channels": None, "window": None, "max_rows": 1_000_000, "record": None,
        "name": "default", "timeout": 10.0,
    }  # fmt: skip
    assert dict(list(defaults.items())[: len(expected)]) == expected
    for opener in (fxlive.connect, fxlive.connect_async):
        parameters = inspect.signature(opener).parameters
        internal = {"feed", "clock", "world"}
        assert [*parameters] == [name for name in inspect.signature(fxlive.Session).parameters if name not in internal]
        assert inspect.signature(opener).return_annotation == "Session"
        tooltip = inspect.getdoc(opener) or ""
        assert [name for name in parameters if f"\n{name}\n    " not in tooltip] == []


def test_every_error_is_public_and_is_an_fxlive_error() -> None:
    tree = {n for n, e in vars(errors).items() if isinstance(e, type) and issubclass(e, Exception)}
    assert tree <= set(fxlive.__all__)
    assert all(issubclass(getattr(fxlive, name), fxlive.FxliveError) for name in tree)
    assert all(name in (errors.__doc__ or "") for name in tree)  # the docstring shows the whole tree


def documented() -> Iterator[tuple[str, Any]]:
    for name in public_names():
        yield name, getattr(fxlive, name)
    for owner in (*(getattr(fxlive, name) for name in public_names()), *RETURNED):
        if not isinstance(owner, type):
            continue
        yield owner.__name__, owner
        for name, member in inspect.getmembers(owner):
            ours = getattr(inspect.unwrap(getattr(member, "fget", member) or member), "__module__", None)
            called = inspect.isfunction(member) or inspect.ismethod(member) or isinstance(member, property)
            if not name.startswith("_") and called and str(ours).startswith("fxlive"):
                yield f"{owner.__name__}.{name}", member


@pytest.mark.parametrize(("name", "value"), [pytest.param(n, v, id=n) for n, v in dict(documented()).items()])
def test_every_public_docstring_starts_with_a_sentence(name: str, value: Any) -> None:
    text = inspect.getdoc(value) or ""
    first = text.partition("\n\n")[0]
    assert first.endswith("."), f"{name}: {first!r}"
    assert not first.startswith(f"{name}("), "the generated signature of a dataclass is not a docstring"


# Methods whose ** parameter stands for columns or fields of the platform.
FILTERS = {"frame": "where", "latest": "where", "grid": "where"}
FILTERS |= {"subscribe": "filters", "subscribe_async": "filters"}


def test_every_option_is_in_the_signature_by_its_name() -> None:
    hidden = {
        (name.rpartition(".")[2], parameter.name)
        for name, value in documented()
        if callable(value) and not isinstance(value, type)
        for parameter in inspect.signature(value).parameters.values()
        if parameter.kind is inspect.Parameter.VAR_KEYWORD
    }
    assert hidden == set(FILTERS.items())
    for name in "bars execution order_life exposure reconcile correlation spread_profile".split():
        method = getattr(fxlive.Session, name)
        tooltip = inspect.getdoc(method) or ""
        assert [n for n in list(inspect.signature(method).parameters)[1:] if f"\n{n}\n    " not in tooltip] == []


def test_every_function_of_the_module_is_the_method_of_that_name() -> None:
    functions = {n for n, f in vars(module).items() if hasattr(f, "__wrapped__")}
    assert functions == set(METHODS)
    for name in METHODS:
        function, method = getattr(fxlive, name), getattr(fxlive.Session, name)
        own = list(inspect.signature(function).parameters.values())
        assert own == list(inspect.signature(method).parameters.values())[1:], name
        assert inspect.signature(function).return_annotation == inspect.signature(method).return_annotation
        assert (function.__name__, function.__doc__) == (name, method.__doc__)


@pytest.mark.parametrize("name", METHODS)
def test_without_a_session_every_function_explains_how_to_open_one(name: str) -> None:
    assert fxlive.sessions() == []
    with pytest.raises(fxlive.NoSession, match=r"fxlive.connect\(url, token\)"):
        getattr(fxlive, name)("trades")


def _close_and_stream(session: fxlive.Session) -> list[Any]:
    async def read() -> list[Any]:
        stream = fxlive.stream("trades")
        await session.close_async()
        return [message async for message in stream]

    return asyncio.run(read())


@pytest.mark.parametrize(
    "read",
    [
        lambda: fxlive.frame("trades"),
        lambda: fxlive.latest("positions"),
        lambda: fxlive.snapshot()["system"],
        lambda: fxlive.wait_for("orders", rows=0),
    ],
    ids=["frame", "latest", "snapshot", "wait_for"],
)
def test_functions_that_read_use_the_current_session(
    two: tuple[fxlive.Session, fxlive.Session], read: Callable[[], Any]
) -> None:
    assert read().attrs["session"] == "second"
    fxlive.use(two[0])
    assert read().attrs["session"] == "first"


def test_functions_that_act_use_the_current_session_only(
    two: tuple[fxlive.Session, fxlive.Session], tmp_path: Path
) -> None:
    first, second = two
    assert fxlive.current() is second
    assert fxlive.sessions() == [first, second]

    fxlive.subscribe("trades", "orders", symbol="EURUSD")
    fxlive.unsubscribe("orders")
    assert (first.subscriptions, second.subscriptions) == ({}, {"trades": {"symbol": "EURUSD"}})
    assert fxlive.record(tmp_path) is second.recording
    assert first.recording is None
    assert set(fxlive.export(tmp_path / "export")) == set(second.channels)
    assert fxlive.gaps().equals(second.gaps())
    assert fxlive.rejected().equals(second.rejected())
    assert fxlive.health().channels["subscribed"].sum() == 1

    @fxlive.on("trades")
    def returned(trade: Any) -> Any:
        return trade

    assert returned(1) == 1
    assert fxlive.on("trades", print).channel == "trades"
    assert _close_and_stream(second) == []
    assert "cancelled" in repr(returned)  # it belonged to the second session, which is closed

    assert fxlive.current() is first
    fxlive.close()
    assert first.state == "closed"
    assert fxlive.sessions() == []


def test_close_takes_a_session_or_a_name_and_does_nothing_without_an_open_session(
    two: tuple[fxlive.Session, fxlive.Session],
) -> None:
    first, second = two
    fxlive.close(first)
    assert (first.state, fxlive.sessions()) == ("closed", [second])
    with pytest.raises(fxlive.NoSession, match="No session named 'third' is open"):
        fxlive.close("third")
    named = fxlive.Session.offline("named").open()
    fxlive.use(second)
    fxlive.close("named")
    assert (named.state, fxlive.sessions()) == ("closed", [second])
    for _ in range(2):  # like a cell that runs twice
        fxlive.close()
        fxlive.close(second)
    assert fxlive.sessions() == []


def test_use_rejects_captures_and_none(tmp_path: Path) -> None:
    with fxlive.Session.offline().record(tmp_path) as recording:
        pass
    for wrong in (fxlive.open_capture(recording.path), None):
        expected = r"Expected a session .*, got .*capture\.frame\(\.\.\.\).*fxlive\.replay\(capture\)"
        with pytest.raises(fxlive.NoSession, match=expected):
            fxlive.use(wrong)  # type: ignore[arg-type]
    assert fxlive.sessions() == []


SAMPLE = """
import pandas as pd
import polars

import fxlive
from fxlive import analytics
from fxlive.wire.messages import Message

session = fxlive.connect("wss://host/api/ws", "token", channels=["trades", "market-data"], window="15min")
quotes: pd.DataFrame = fxlive.frame("market-data", last="5min", symbol=["EURUSD", "USDJPY"])
spread: pd.Series = quotes["ask"] - quotes["bid"]
newest: pd.DataFrame = session.latest("positions")
patient = fxlive.connect(timeout="1min", stale_after={"trades": "5min", "orders": 60}, reconnect_attempts=None)
minute: pd.DataFrame = patient.frame("trades", last=pd.Timedelta("1min"))
awaited: pd.DataFrame = fxlive.wait_for("trades", timeout=pd.Timedelta("10s"))
everything: dict[str, pd.DataFrame] = fxlive.snapshot()


@fxlive.on("trades")
def print_trade(trade: Message) -> None:
    print(trade.data, trade.timestamp)


@session.on("orders", on_error=print)
async def print_order(order: Message) -> None:
    print(order.id)


print_trade.cancel()
quiet: int = session.on("alerts", print).dropped


async def watch(count: int) -> int:
    async with fxlive.Session("wss://host/api/ws", lambda: "a new token", name="mine") as mine:
        await mine.subscribe_async("system")
        async for message in mine.stream("system"):
            count -= 1
            print(message.timestamp)
            if not count:
                break
    return count


left: int = fxlive.run(watch(3))
health: fxlive.Health = fxlive.health()
late: bool = health.latency_p99_ms > 50 and health.state == "connected"
with session.record("captures") as recording:
    rows: int = recording.status.rows
chart = fxlive.price_chart("EURUSD", "candles", freq="5s", tz="Europe/London")
chart.figure.update_layout(title=chart.name)
parts: list[str] = list(session.dashboard("EURUSD").parts)
bars: pd.DataFrame = fxlive.bars("EURUSD", "5s", "bid", fill=True)
change: float = fxlive.explain()["change"]
metrics: pd.Series = session.performance()
by_symbol: pd.DataFrame = session.performance("symbol", freq="1D")
by_strategy: pd.DataFrame = fxlive.performance("strategy_id")
shocks: pd.DataFrame = session.exposure().shocks


@session.when(lambda s: s.latest("positions").query("profit < -100"), hold="10s")
def losing(positions: pd.DataFrame) -> None:
    print(positions)


fired: int = losing.calls
capture: fxlive.Capture = fxlive.open_capture("captures")
lazy: polars.LazyFrame = capture.polars("trades").head(3)
partitions: int = capture.dask("trades").npartitions
fxlive_bars: pd.DataFrame = analytics.bars(capture.frame("market-data", symbol="EURUSD"), "1min")
size: int = capture.export("out", ["trades"], format="csv")["trades"].stat().st_size
fxlive.replay("captures", speed=None).seek(capture.start)
try:
    fxlive.subscribe("trades", strategy_id="s1")
except fxlive.RateLimitError as error:
    wait: float | None = error.retry_after_s
session.close()
"""

WRONG = """
import fxlive

session = fxlive.connect(42)
fxlive.frame()
fxlive.latest("positions", 3)
handle = fxlive.on("trades", "not a function")
fxlive.price_chart("EURUSD", "candle")
fxlive.pnl(by="strategy")
fxlive.connect_async("wss://host/api/ws", "token").frame("trades")
session.stat
"""


def checked(folder: Path, program: str) -> tuple[int, str]:
    (folder / "program.py").write_text(program)
    # A separate cache, because the options differ from the project's.
    cache = ROOT / ".mypy_cache" / "public-face"
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(cache), "program.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_a_strict_type_checker_accepts_a_users_program_and_finds_its_mistakes(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    assert checked(tmp_path, SAMPLE) == (0, "")
    status, complaints = checked(tmp_path, WRONG)
    lines = WRONG.splitlines()
    wrong = [number for number, line in enumerate(lines, 1) if line and "import" not in line]
    assert status == 1
    assert sorted({int(line.split(":")[1]) for line in complaints.splitlines() if ": error:" in line}) == wrong
