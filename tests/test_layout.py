"""The layout of the package: which package may import which, and where each third-party library is used.

docs/architecture.md describes the packages. To add a package, add its name to ORDER; to use a library in a new place,
name the place in LIBRARIES.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import fxlive

PACKAGE = Path(__file__).parents[1] / "fxlive"

ORDER = [
    "core",
    "wire",
    "tables",
    "analytics",
    "figures",
    "capture",
    "feeds",
    "pipeline",
    "widgets",
    "sessions",
    "entrypoints",
]
"""A package imports only from itself and from the packages before it."""

SHARED = {"_version", "errors"}
"""Modules that every package but the simulator may import."""

TOP = {"__init__", "__main__", "_version", "errors"}
"""The only modules directly in fxlive/."""

SIMULATOR = "simulator"
"""Imports nothing of the rest of fxlive; only entrypoints import it."""

EVERYWHERE = frozenset({"*"})

LIBRARIES: dict[str, frozenset[str]] = {
    "msgspec": frozenset({"wire", "tables", "capture", "feeds"}),
    "numpy": EVERYWHERE,
    "pandas": EVERYWHERE,
    "websockets": frozenset({"feeds", "simulator"}),
    "pytest": frozenset({"simulator/fixture"}),
    "jwt": frozenset({"feeds/auth", "simulator/serving"}),
    "pyarrow": frozenset({"tables/columns/text_buffer", "tables/columns/copy_on_write", "capture", "sessions/capture"}),
    "fsspec": frozenset({"capture/reading/files"}),
    "duckdb": frozenset({"capture/exporting/sql"}),
    "dask": frozenset({"capture/exporting/dask_frames", "sessions/capture"}),
    "python_socks": frozenset({"feeds/network/socks"}),
    "polars": frozenset({"capture/exporting/polars_frames", "sessions/capture"}),
    "plotly": frozenset({"figures", "widgets/charts"}),
    "anywidget": frozenset({"widgets/base"}),
    "ipywidgets": frozenset({"widgets"}),
    "traitlets": frozenset({"widgets"}),
    "IPython": frozenset({"widgets", "entrypoints/magics"}),
    "nest_asyncio": frozenset({"core/background"}),
    "nest_asyncio2": frozenset({"core/background"}),
    # Modules of the standard library that a simulation replaces (see core/world), and what else needs them.
    "threading": frozenset(
        {
            "core/world",
            "core/background",  # the real loop's thread
            "tables/table",  # a lock
            "tables/store",  # a lock
            "capture/reading/folder",
            "capture/writing/queue",  # a lock
            "pipeline",  # locks, and waiting in the user's thread
            "sessions/registry",
            "entrypoints/demo",
            "simulator",
        }
    ),
    "time": frozenset({"core/world", "widgets/base", "widgets/refresher", "entrypoints", "simulator"}),
    "random": frozenset({"core/world", "simulator"}),
    "secrets": frozenset({"wire/content"}),  # the key of hashes, which no result depends on
    "uuid": frozenset({"capture/format/disk", "capture/exporting/sql", "simulator"}),  # names of temporary files
    "socket": frozenset({"feeds/network"}),  # connected by the event loop
}
"""Where each library may be imported: packages, subpackages or modules, as paths without `.py`."""

OPTIONAL = {"fsspec", "duckdb", "dask", "polars", "python_socks"}
"""Libraries that fxlive works without: imported inside functions only."""

COMPUTED = {"analytics/__init__": set[str](), "simulator/__init__": set[str]()}
"""Modules that call `import_module` with a computed name, and the third-party libraries that they import so."""

MAX_LINES = 450
MAX_FILES = 12


IMPORT_FUNCTIONS = {"import_module", "__import__", "resolve_name"}
"""Functions that import a module by its name; they may not be imported under another name."""


@dataclass(frozen=True)
class Import:
    """One import: `from target import name`, or `import target` where `name` is None.

    `deferred` is True inside a function and under TYPE_CHECKING. `target` is None where `import_module` is called with
    a computed name.
    """

    line: int
    target: str | None
    name: str | None = None
    deferred: bool = False


def imports_in(source: str, package: str) -> Iterator[Import]:
    """Yield every import in a module's source, at any depth; `package` is the base of relative imports."""

    def visit(node: ast.AST, deferred: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            match child:
                case ast.Import(names=names):
                    yield from (Import(child.lineno, alias.name, None, deferred) for alias in names)
                case ast.ImportFrom(module=module, names=names, level=level):
                    parts = package.split(".")[: -(level - 1) or None] if level else []
                    target = ".".join([*parts, *filter(None, [module])])
                    yield from (Import(child.lineno, target, alias.name, deferred) for alias in names)
                case ast.Call(func=ast.Name(name) | ast.Attribute(attr=name)) if name in IMPORT_FUNCTIONS:
                    match child.args:
                        case [ast.Constant(value=str(target)), *_]:
                            yield Import(child.lineno, target, None, deferred)
                        case _:
                            yield Import(child.lineno, None, None, deferred)
                case ast.If(test=ast.Name("TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                    for statement in child.body:
                        yield from visit(ast.Module([statement], []), True)
                    for statement in child.orelse:
                        yield from visit(ast.Module([statement], []), deferred)
                    continue
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from visit(child, deferred or function)

    return visit(ast.parse(source), False)


def file_of(module: str) -> Path | None:
    """Return the file of a module of fxlive by its dotted name; None if there is none."""
    path = PACKAGE.parent / module.replace(".", "/")
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    return path.with_suffix(".py") if path.with_suffix(".py").is_file() else None


def imported_module(item: Import) -> str:
    """Return the module of fxlive that an import needs: `from fxlive.tables import store` needs the store."""
    submodule = f"{item.target}.{item.name}"
    return submodule if item.name is not None and file_of(submodule) else str(item.target)


@cache
def imported_names(module: str) -> frozenset[str]:
    """Return the names that a module of fxlive has only because it imports them from another module of fxlive."""
    file = file_of(module)
    if file is None:
        return frozenset()
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    return frozenset(
        str(item.name)
        for item in imports_in(file.read_text(encoding="utf-8"), package)
        if item.name and str(item.target).split(".")[0] == "fxlive" and not file_of(f"{item.target}.{item.name}")
    )


def violations(path: str, source: str) -> list[str]:
    """Return what a file does against the rules, each as `file:line: rule`; `path` is relative to fxlive/."""
    package = ".".join(["fxlive", *path.split("/")[:-1]])
    found = [f"fxlive/{path}:{line}: imports {name} under another name" for line, name in renamed_functions(source)]
    for item in imports_in(source, package):
        if item.target is None:
            rule = computed_import(path)
        elif item.target.split(".")[0] == "fxlive":
            rule = internal_import(path, item)
        else:
            rule = library_import(path, item)
        if rule:
            found.append(f"fxlive/{path}:{item.line}: {rule}")
    return list(dict.fromkeys(found))


def renamed_functions(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of import functions that get another name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name in IMPORT_FUNCTIONS and alias.asname not in (None, alias.name):
                    yield node.lineno, alias.name


def computed_import(path: str) -> str | None:
    return None if path.removesuffix(".py") in COMPUTED else "imports a module by a computed name: add it to COMPUTED"


def internal_import(path: str, item: Import) -> str | None:
    module = imported_module(item)
    own = path.removesuffix(".py").split("/")[0]
    if module == "fxlive":
        return "imports the package fxlive itself: import from the module that defines the name"
    other = module.split(".")[1]
    if SIMULATOR in (own, other) and own != other:
        if own == SIMULATOR:
            return f"the simulator imports nothing of the rest of fxlive, but imports {module}"
        return None if own == "entrypoints" else f"{own} imports the simulator: only entrypoints may"
    if own not in TOP and own != other and other not in SHARED:
        if other not in ORDER or own not in ORDER:
            return f"{other if other not in ORDER else own} is not in ORDER"
        if ORDER.index(other) >= ORDER.index(own):
            return f"{own} imports {module}, but {other} comes after {own} in ORDER"
    public = path.removesuffix(".py") in ("__init__", "analytics/__init__")  # these only export names of other modules
    if module == item.target and item.name in imported_names(module) and not public:
        return f"{item.name} is not defined in {module}: import it from the module that defines it"
    return None


def library_import(path: str, item: Import) -> str | None:
    library = str(item.target).split(".")[0]
    if library not in LIBRARIES:
        if library in sys.stdlib_module_names:
            return None
        return f"imports {library}, which is not in LIBRARIES"
    places = LIBRARIES[library]
    if places is not EVERYWHERE and not any(within(path, place) for place in places):
        return f"imports {library}: only {', '.join(sorted(places))} may"
    if library in OPTIONAL and not item.deferred:
        return f"imports {library} at the top: it is optional, so import it inside functions"
    return None


def within(path: str, place: str) -> bool:
    module = path.removesuffix(".py")
    return module == place or module.startswith(f"{place}/")


FILES = sorted(file.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES)
def test_every_import_follows_the_rules(path: str) -> None:
    found = violations(path, (PACKAGE / path).read_text(encoding="utf-8"))

    assert not found, "\n".join(["", *found])


def parsed(path: str) -> ast.Module:
    return ast.parse((PACKAGE / path).read_text(encoding="utf-8"))


def imports_between_files() -> dict[str, set[str]]:
    """Return which modules of fxlive each module imports when it is loaded."""
    edges: dict[str, set[str]] = {}
    for path in FILES:
        module = "fxlive." + path.removesuffix(".py").replace("/", ".")
        package = module.rpartition(".")[0]
        module = package if module.endswith(".__init__") else module
        edges[module] = {
            imported_module(item)
            for item in imports_in((PACKAGE / path).read_text(encoding="utf-8"), package)
            if str(item.target).split(".")[0] == "fxlive"
        } - {module}
    return edges


def cycles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return each import cycle as the list of its modules."""
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> None:
        if module in trail:
            found.append(trail[trail.index(module) :])
        elif module not in done:
            for other in sorted(edges.get(module, ())):
                visit(other, [*trail, module])
            done.add(module)

    for module in sorted(edges):
        visit(module, [])
    return found


def test_no_files_import_each_other_in_a_cycle() -> None:
    found = cycles(imports_between_files())

    assert not found, "\n".join(" -> ".join([*cycle, cycle[0]]) for cycle in found)


def test_a_cycle_is_found() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_every_permission_is_used() -> None:
    used: set[tuple[str, str]] = set()
    for path in FILES:
        module = path.removesuffix(".py")
        package = ".".join(["fxlive", *path.split("/")[:-1]])
        libraries = {
            str(item.target).split(".")[0] for item in imports_in((PACKAGE / path).read_text(encoding="utf-8"), package)
        } | COMPUTED.get(module, set())
        used |= {
            (library, place)
            for library in libraries & LIBRARIES.keys()
            for place in LIBRARIES[library]
            if place == "*" or within(path, place)
        }
    granted = {(library, place) for library, places in LIBRARIES.items() for place in places}

    assert granted - used == set()
    computed = {
        path.removesuffix(".py")
        for path in FILES
        for item in imports_in((PACKAGE / path).read_text(encoding="utf-8"), "fxlive")
        if item.target is None
    }
    assert set(COMPUTED) == computed
    assert {library for library, _ in used} >= OPTIONAL


NOW = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "Timestamp.now", "Timestamp.utcnow"}

READS_THE_TIME = {"figures/report.py", "sessions/still_charts.py", "sessions/reading/readable.py"}
"""Results that say when they were made, and the zone of this machine."""


@pytest.mark.parametrize("path", FILES)
def test_the_present_comes_from_the_world(path: str) -> None:
    calls = [node.func for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
    found = {".".join(ast.unparse(call).split(".")[-2:]) for call in calls if isinstance(call, ast.Attribute)} & NOW
    assert not found or path in READS_THE_TIME or path.startswith(f"{SIMULATOR}/"), found


def test_only_four_modules_lie_directly_in_the_package() -> None:
    assert {path.removesuffix(".py") for path in FILES if "/" not in path} == TOP


def test_the_packages_are_those_of_the_order() -> None:
    packages = {path.split("/")[0] for path in FILES if "/" in path}

    assert packages == {*ORDER, SIMULATOR}


def test_no_package_is_crowded_and_no_file_is_long() -> None:
    for folder in sorted({(PACKAGE / path).parent for path in FILES}):
        modules = [file for file in folder.glob("*.py") if file.name != "__init__.py"]
        assert len(modules) <= MAX_FILES, f"{folder}: {len(modules)} modules"
    for path in FILES:
        lines = len((PACKAGE / path).read_text(encoding="utf-8").splitlines())
        assert lines <= MAX_LINES, f"{path}: {lines} lines"


@pytest.mark.parametrize("kind", [fxlive.Session, fxlive.Replay, fxlive.Capture])
def test_the_classes_that_users_hold_have_few_base_classes(kind: type) -> None:
    assert len(kind.__mro__) <= 5, kind.__mro__


@pytest.mark.parametrize(
    ("path", "source", "rule"),
    [
        ("tables/table.py", "from fxlive.sessions.session import Session", "tables imports fxlive.sessions.session"),
        ("tables/table.py", "def f():\n    from fxlive.feeds.live import LiveFeed", ":2: tables imports fxlive.feeds"),
        ("tables/table.py", "if TYPE_CHECKING:\n    from fxlive.feeds.live import LiveFeed", ":2: tables imports"),
        ("tables/table.py", "class A:\n    def f(self): import fxlive.feeds.live", ":2: tables imports"),
        ("tables/table.py", "from ..feeds.live import LiveFeed", "tables imports fxlive.feeds.live"),
        ("tables/table.py", "from ..feeds import live", "tables imports fxlive.feeds.live"),
        ("tables/table.py", "import importlib\nimportlib.import_module('fxlive.feeds.live')", ":2: tables imports"),
        ("tables/table.py", "import importlib\nimportlib.import_module(name)", ":2: imports a module by a computed"),
        ("tables/table.py", "import builtins\nbuiltins.__import__(name)", ":2: imports a module by a computed"),
        ("tables/table.py", "import pkgutil\npkgutil.resolve_name(name)", ":2: imports a module by a computed"),
        ("tables/table.py", "from importlib import import_module as load", ":1: imports import_module under another"),
        ("wire/protocol.py", "from fxlive.tables.store import Store", "tables comes after wire in ORDER"),
        ("tables/table.py", "import fxlive", "imports the package fxlive itself"),
        ("tables/table.py", "from fxlive import Session", "imports the package fxlive itself"),
        ("tables/table.py", "from fxlive.simulator import server", "tables imports the simulator"),
        ("__init__.py", "from fxlive.simulator import server", "__init__ imports the simulator"),
        ("tables/table.py", "from fxlive.nowhere import Thing", "nowhere is not in ORDER"),
        ("helpers/new.py", "from fxlive.core.dtypes import UTC", "helpers is not in ORDER"),
        ("simulator/wire.py", "from fxlive.wire.messages import Quote", "the simulator imports nothing"),
        ("simulator/wire.py", "from ..errors import FxliveError", "the simulator imports nothing"),
        ("sessions/session.py", "from fxlive.feeds.live import SubscriptionError", "is not defined in fxlive.feeds"),
        ("pipeline/health.py", "import websockets", "imports websockets: only feeds, simulator may"),
        ("feeds/live.py", "import jwt", "imports jwt: only feeds/auth, simulator/serving may"),
        ("tables/store.py", "import pyarrow.parquet", "imports pyarrow: only"),
        ("capture/exporting/polars_frames.py", "import polars", "imports polars at the top"),
        ("sessions/session.py", "def f():\n    import duckdb", "imports duckdb: only capture/exporting/sql may"),
        ("tables/store.py", "from plotly import graph_objects", "imports plotly: only"),
        ("pipeline/pipeline.py", "import ipywidgets", "imports ipywidgets: only"),
        ("wire/protocol.py", "from threading import Lock", "imports threading: only"),
        ("sessions/session.py", "import nest_asyncio", "imports nest_asyncio: only core/background may"),
        ("tables/store.py", "import requests", "imports requests, which is not in LIBRARIES"),
    ],
)
def test_an_import_against_the_rules_is_found(path: str, source: str, rule: str) -> None:
    [found] = violations(path, source)

    assert rule in found
    assert found.startswith(f"fxlive/{path}:")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("entrypoints/demo.py", "from fxlive.sessions.session import Session\nfrom fxlive.simulator import thread"),
        ("feeds/live.py", "import websockets\nfrom .pacing import DEFAULT_ATTEMPTS\nfrom fxlive.feeds import auth"),
        ("capture/exporting/sql.py", "def f():\n    import duckdb\nif TYPE_CHECKING:\n    import duckdb"),
        ("capture/writing/queue.py", "import pyarrow.dataset\nimport threading\nfrom ...errors import CaptureError"),
        ("simulator/serving/tokens.py", "import jwt, websockets\nfrom ..market import pairs"),
        ("core/background.py", "def run():\n    import nest_asyncio\n    import threading"),
        ("__init__.py", "from fxlive.errors import FxliveError\nfrom fxlive.sessions.session import Session"),
        ("tables/table.py", "'''import fxlive'''\n# import fxlive"),
    ],
)
def test_an_import_that_follows_the_rules_passes(path: str, source: str) -> None:
    assert violations(path, source) == []


def test_the_architecture_page_names_every_module() -> None:
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    listing = page.partition("```text\n")[2].partition("```")[0]
    without_remarks = re.sub(r"\([^()]*\)", "", listing)
    modules = {Path(path).stem for path in FILES if "/" in path} - {"__init__", "__main__"}

    assert {name for name in modules if not re.search(rf"\b{name}\b", without_remarks)} == set()
