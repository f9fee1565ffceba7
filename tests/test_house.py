"""The house: which room may import which, and which library is used where. docs/architecture.md tells why.

To add a room, give it a floor in FLOORS; to add a library, name its rooms in LIBRARIES. A room is a module of the
package (`table`), a package in it (`widgets`, with all its modules), or one module of such a package where the rule is
that narrow (`feeds/live`).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fxlive"

# A room imports from lower floors only; from the same floor, from itself alone.
FLOORS: dict[str, float] = {
    "_version": 0,
    "errors": 0,
    "messages": 0,
    "timestamps": 0,
    "packed": 0,  # what a table makes of texts and codes, for the recorder too
    "channels": 1,
    "columns": 1,
    "instruments": 1,
    "options": 0.5,  # what a user may give for one, wherever it is taken
    "loop": 1,
    "batch": 1.5,  # what protocol makes and the table takes
    "drift": 1.5,  # a rule that tables and the reader of captures share
    "protocol": 2,
    "selection": 1.5,  # pure functions of frames
    "newest": 1.8,
    "table": 2,
    "analytics": 2,
    "store": 3,
    "figures": 3,
    "reporting": 3.5,  # of still figures: it draws nothing live
    "capture": 4,
    "market": 4.1,  # those of them that ask quotes and the feed
    "analysis": 4.2,  # methods that readings have beside those that read
    "readings": 4.5,  # they export, and a capture's own room needs none of them
    "feeds": 5,
    "listeners": 5,
    "watching": 5.5,  # it counts as callbacks do
    "seen": 5,
    "pipeline": 6,
    "health": 6.5,
    "widgets": 7,
    "display": 7,
    "pictures": 7.5,
    "stills": 7.5,  # the same of what was recorded
    "telling": 7.5,
    "subscribing": 7.5,
    "recorded": 5,  # the methods that read, of a capture
    "session": 8,
    "opened": 8,  # a capture: session's neighbour
    "replaying": 8.1,
    "opening": 8.2,
    "demo": 8.5,
    "face": 8.5,
    "magics": 8.6,  # of IPython: what they do is done by the face, and by who opens sessions
    "commands": 8.8,
    "cli": 9,
    "__init__": 10,  # the public face: names from every room
    "__main__": 10,
}

# A house of its own: it imports nothing of the rooms above, and only these know that it is there.
SIMULATOR = "simulator"
KNOW_THE_SIMULATOR = {"demo", "cli", "__init__"}

EVERYWHERE: frozenset[str] = frozenset({"*"})
LIBRARIES: dict[str, frozenset[str]] = {
    "msgspec": EVERYWHERE,
    "numpy": EVERYWHERE,
    "pandas": EVERYWHERE,
    "websockets": frozenset({"feeds/live", "feeds/connection", "feeds/refusals", SIMULATOR}),
    "pytest": frozenset({SIMULATOR}),  # the plugin with its fixture
    "jwt": frozenset({"feeds/auth", SIMULATOR}),
    "pyarrow": frozenset({"table", "columns", "capture"}),
    "fsspec": frozenset({"capture"}),  # a capture on object storage
    "duckdb": frozenset({"readings", "capture"}),
    "dask": frozenset({"readings", "capture"}),
    "distributed": frozenset({"readings", "capture"}),
    "polars": frozenset({"readings", "capture"}),
    "plotly": frozenset({"figures", "widgets"}),
    "anywidget": frozenset({"widgets", "session"}),
    "comm": frozenset({"widgets", "session"}),
    "ipywidgets": frozenset({"widgets", "session"}),
    "IPython": frozenset({"widgets", "session", "magics"}),
    "traitlets": frozenset({"widgets", "session"}),
    "nest_asyncio": frozenset({"loop"}),
    "nest_asyncio2": frozenset({"loop"}),
    # From the standard library, because a thread is a design decision. The table's is a lock; the simulator's server
    # runs in a thread of its own in a test.
    "threading": frozenset(
        {"loop", "demo", "listeners", "watching", "pipeline", "capture", "table", "store", SIMULATOR}
    ),
}
# Optional, or slow to import: inside functions only, so that `import fxlive` needs none of them.
LAZY = {"fsspec", "duckdb", "dask", "distributed", "polars"}


@dataclass(frozen=True)
class Import:
    """`from target import name` or `import target`; `lazy` inside a function or under TYPE_CHECKING."""

    line: int
    target: str
    name: str | None
    lazy: bool


def imports_in(source: str, package: str) -> Iterator[Import]:
    """Every import, at whatever depth; `package` is what the dots of a relative one stand on."""

    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            match child:
                case ast.Import(names=names):
                    yield from (Import(child.lineno, alias.name, None, lazy) for alias in names)
                case ast.ImportFrom(module=module, names=names, level=level):
                    parts = package.split(".")[: -(level - 1) or None] if level else []
                    target = ".".join([*parts, *filter(None, [module])])
                    yield from (Import(child.lineno, target, alias.name, lazy) for alias in names)
                case ast.Call(
                    func=ast.Name("import_module" | "__import__") | ast.Attribute(attr="import_module"),
                    args=[ast.Constant(value=str(target)), *_],
                ):
                    yield Import(child.lineno, target, None, lazy)
                case ast.If(test=ast.Name("TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                    for statement in child.body:
                        yield from walk(ast.Module([statement], []), True)
                    for statement in child.orelse:
                        yield from walk(ast.Module([statement], []), lazy)
                    continue
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, lazy or inside)

    return walk(ast.parse(source), False)


def room_of(path: str) -> str:
    """The room of a file by its path in the package: "feeds/live.py" is in feeds."""
    return path.removesuffix(".py").split("/")[0]


def is_module(dotted: str) -> bool:
    path = PACKAGE.parent / dotted.replace(".", "/")
    return path.with_suffix(".py").is_file() or path.is_dir()


@cache
def borrowed_names(dotted: str) -> frozenset[str]:
    """The names that a module only has because it imported them from elsewhere in fxlive."""
    path = PACKAGE.parent / dotted.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "fxlive")
        for alias in node.names
        if not is_module(f"{node.module}.{alias.name}")
    )


def violations(path: str, source: str) -> list[str]:
    """What a file of the package does against the rules, each as `file:line: rule`.

    Parameters
    ----------
    path
        The file's path in the package, with slashes: "feeds/live.py".
    source
        Its text.
    """
    room = room_of(path)
    package = ".".join(["fxlive", *path.split("/")[:-1]])
    found = []
    if room != SIMULATOR and room not in FLOORS:
        found.append(f"fxlive/{path}:1: the room {room!r} has no floor: give it one in FLOORS")
    for item in imports_in(source, package):
        rule = against_the_house(room, item) if item.target.split(".")[0] == "fxlive" else misplaced(path, item)
        if rule:
            found.append(f"fxlive/{path}:{item.line}: {rule}")
    return list(dict.fromkeys(found))  # `from x import a, b` breaks a rule once


def against_the_house(room: str, item: Import) -> str | None:
    target = item.target
    if (target == "fxlive" and item.name in FLOORS) or is_module(f"{target}.{item.name}"):
        target = f"{target}.{item.name}"  # `from fxlive import store` names a module
    elif target != "fxlive" and room != "__init__" and item.name in borrowed_names(target):
        return f"{item.name} is not defined in {target}, only imported there: name the module that defines it"
    if target == "fxlive":
        return "imports the package fxlive itself: name the module that defines the thing"
    other = target.split(".")[1]
    if other == room:
        return None
    if room == SIMULATOR:
        return f"the simulator imports nothing of the rest of fxlive, but this is {target}"
    if other == SIMULATOR:
        if room in KNOW_THE_SIMULATOR:
            return None
        return f"{room} imports the simulator: only {', '.join(sorted(KNOW_THE_SIMULATOR))} may"
    if other not in FLOORS:
        return f"the room {other!r} has no floor: give it one in FLOORS"
    if room in FLOORS and FLOORS[other] >= FLOORS[room]:
        return (
            f"{room} (floor {FLOORS[room]:g}) imports {target} (floor {FLOORS[other]:g}): "
            "a room imports only from lower floors"
        )
    return None


def misplaced(path: str, item: Import) -> str | None:
    library = item.target.split(".")[0]
    if library not in LIBRARIES:
        if library in sys.stdlib_module_names:
            return None
        return f"imports {library}, of which no rule says where it may be used: name its rooms in LIBRARIES"
    rooms = LIBRARIES[library]
    if rooms is not EVERYWHERE and room_of(path) not in rooms and path.removesuffix(".py") not in rooms:
        return f"imports {library}: only {', '.join(sorted(rooms))} may"
    if library in LAZY and not item.lazy:
        return f"imports {library} at the top: only inside functions, it is optional"
    return None


FILES = sorted(file.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES)
def test_every_import_follows_the_rules(path: str) -> None:
    broken = violations(path, (PACKAGE / path).read_text(encoding="utf-8"))

    assert not broken, "\n".join(["", *broken])


@pytest.mark.parametrize(
    ("path", "source", "rule"),
    [
        ("table.py", "from fxlive.session import Session", "table (floor 2) imports fxlive.session (floor 8)"),
        ("table.py", "def f():\n    from fxlive.store import Store", ":2: table (floor 2) imports fxlive.store"),
        ("table.py", "if TYPE_CHECKING:\n    from fxlive.store import Store", ":2: table (floor 2) imports"),
        ("table.py", "class A:\n    def f(self): import fxlive.store", ":2: table (floor 2) imports fxlive.store"),
        ("table.py", "from .store import Store", "table (floor 2) imports fxlive.store"),
        ("table.py", "from . import store", "table (floor 2) imports"),
        ("table.py", "import importlib\nimportlib.import_module('fxlive.store')", ":2: table (floor 2) imports"),
        ("table.py", "from fxlive.protocol import decode", "a room imports only from lower floors"),
        ("table.py", "import fxlive", "imports the package fxlive itself"),
        ("table.py", "from fxlive import Session", "imports the package fxlive itself"),
        ("table.py", "from fxlive.simulator import server", "table imports the simulator"),
        ("table.py", "from fxlive.nowhere import Thing", "'nowhere' has no floor"),
        ("newroom.py", "", "'newroom' has no floor"),
        ("feeds/live.py", "from ..pipeline import Pipeline", "feeds (floor 5) imports fxlive.pipeline"),
        ("simulator/server.py", "from fxlive.messages import Quote", "the simulator imports nothing"),
        ("simulator/server.py", "from ..errors import FxliveError", "the simulator imports nothing"),
        (
            "feeds/replay.py",
            "import websockets",
            "imports websockets: only feeds/connection, feeds/live, feeds/refusals, simulator may",
        ),
        ("feeds/live.py", "import jwt", "imports jwt: only feeds/auth, simulator may"),
        ("store.py", "import pyarrow.parquet", "imports pyarrow: only"),
        ("readings.py", "import polars", "imports polars at the top"),
        ("session.py", "def f():\n    import duckdb", "imports duckdb: only capture, readings may"),
        ("store.py", "from plotly import graph_objects", "imports plotly: only"),
        ("pipeline.py", "import ipywidgets", "imports ipywidgets: only"),
        ("protocol.py", "from threading import Lock", "imports threading: only"),
        ("session.py", "import nest_asyncio", "imports nest_asyncio: only loop may"),
        ("store.py", "import requests", "imports requests, of which no rule says"),
    ],
)
def test_what_is_against_the_rules_is_found(path: str, source: str, rule: str) -> None:
    [found] = violations(path, source)

    assert rule in found
    assert found.startswith(f"fxlive/{path}:")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("demo.py", "from fxlive.session import connect\nfrom fxlive.simulator.process import start"),
        ("session.py", "from fxlive import store"),
        ("feeds/live.py", "import websockets\nfrom .backoff import wait_s\nfrom fxlive.feeds.auth import Token"),
        ("readings.py", "def f():\n    import polars\nif TYPE_CHECKING:\n    import duckdb"),
        (
            "capture/reader.py",
            "import pyarrow.dataset\nimport threading\nimport json\nfrom ..errors import CaptureError",
        ),
        ("simulator/server.py", "import jwt, websockets\nfrom . import market\nfrom .account import Account"),
        ("loop.py", "def run():\n    import nest_asyncio\n    import threading"),
        ("__init__.py", "from fxlive.errors import FxliveError\nfrom fxlive.session import Session"),
        ("table.py", "'''import fxlive'''\n# import fxlive"),
    ],
)
def test_what_follows_the_rules_passes(path: str, source: str) -> None:
    assert violations(path, source) == []


def test_a_name_is_taken_from_the_module_that_defines_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "fxlive"
    package.joinpath("feeds").mkdir(parents=True)
    package.joinpath("feeds/__init__.py").write_text(
        "from fxlive.feeds.live import LiveFeed\nfrom fxlive.feeds import live\n"
    )
    package.joinpath("feeds/live.py").write_text("from fxlive.errors import FxliveError\nclass LiveFeed: ...\n")
    package.joinpath("errors.py").write_text("class FxliveError(Exception): ...\n")
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", package)
    borrowed_names.cache_clear()

    assert violations("pipeline.py", "from fxlive.feeds.live import LiveFeed\nfrom fxlive.feeds import live") == []
    for borrowed in ("from fxlive.feeds import LiveFeed", "from fxlive.feeds.live import FxliveError"):
        [found] = violations("pipeline.py", borrowed)
        assert "name the module that defines it" in found
    borrowed_names.cache_clear()
