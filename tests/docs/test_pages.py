"""The documentation: every code block runs, every link leads somewhere, and what the code has is all there.

A page's Python runs as the cells of a notebook that has just connected to a simulated platform, with a capture of it at
hand; its shell lines run one by one. What is out of a test's reach has a stand-in that does the same.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt

import fxlive
from fxlive import errors
from fxlive.simulator.fixture import SimulatorFactory
from fxlive.wire import protocol
from fxlive.wire.channels import CHANNELS
from tests.samples import DATA

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.parent.name not in ("notebooks", "_build"))
READ_ON_GITHUB = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *PAGES]

STAND_INS = {
    'Client("tcp://scheduler:8786")': "Client(processes=False, dashboard_address=':0')",
    "s3://bucket/captures": "captures",
    'getpass("Token: ")': "token",
    "ExecStart=/opt/fxlive/bin/": "",
    "/var/lib/fxlive/captures": "captures",
}
PLATFORM = "wss://your-platform/api/ws"

# A warning is an error, but for what one library deprecates and another still calls.
STRICT = ["-W", "error", "-W", "ignore::DeprecationWarning"]

# In a file of its own at the page's path, so that a traceback has the page's name and line.
RUN = """
import ast, asyncio, inspect, pathlib, sys
import fxlive
from traitlets.config import Config
session = fxlive.connect()
session.wait_for("trades", timeout=30)
names = {"__name__": "page", "fxlive": fxlive, "session": session, "token": sys.argv[2], "c": Config()}
code = compile(pathlib.Path(sys.argv[1]).read_text(), sys.argv[1], "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
awaited = eval(code, names)
if inspect.iscoroutine(awaited):
    asyncio.run(awaited)
"""


class Block(NamedTuple):
    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The code of a page; a block without a fence has no language."""
    tokens = MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))
    return [
        Block(token.info.split()[0] if token.info else "", token.content, (token.map or [0])[0] + 1)
        for token in tokens
        if token.type in ("fence", "code_block")
    ]


def with_code(language: str) -> list[Path]:
    return [page for page in [ROOT / "README.md", *PAGES] if any(block.language == language for block in blocks(page))]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a capture of a simulated platform, of the name that the pages use."""
    folder = tmp_path_factory.mktemp("docs") / "captures"
    factory = SimulatorFactory()
    simulator = factory(speed=100)
    with fxlive.Session(simulator.url, simulator.token(), record=folder, name="docs") as session:
        session.wait_for("trades", rows=5, timeout=60)
    factory.close()
    [made] = folder.iterdir()
    made.rename(folder / "2014-05-08T123000Z-default")
    return folder


@pytest.fixture
def at_hand(fx_simulator: SimulatorFactory, recorded: Path, tmp_path: Path) -> dict[str, str]:
    """The environment in which a page's code runs, in a folder of its own."""
    simulator = fx_simulator(speed=20)
    shutil.copytree(recorded, tmp_path / "captures")
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "FXLIVE_URL": simulator.url,
        "FXLIVE_TOKEN": simulator.token(),
    }


def run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    ran = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90
    )
    assert ran.returncode == 0, f"{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}"


def stood_in(text: str, environment: dict[str, str]) -> str:
    for there, here in {PLATFORM: environment["FXLIVE_URL"], **STAND_INS}.items():
        text = text.replace(there, here)
    return text


@pytest.mark.parametrize("page", with_code("python"), ids=name_of)
def test_the_python_of_a_page_runs(page: Path, at_hand: dict[str, str], tmp_path: Path) -> None:
    lines = [""] * len(page.read_text(encoding="utf-8").splitlines())
    for block in blocks(page):
        if block.language == "python":
            code = block.text.splitlines()
            lines[block.line : block.line + len(code)] = code
    script = tmp_path / page.name
    script.write_text(stood_in("\n".join(lines), at_hand), encoding="utf-8")

    run([sys.executable, *STRICT, "-c", RUN, str(script), at_hand["FXLIVE_TOKEN"]], tmp_path, at_hand)


@pytest.mark.parametrize("page", with_code("shell"), ids=name_of)
def test_the_shell_lines_of_a_page_run(page: Path, at_hand: dict[str, str], tmp_path: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    texts = [block.text for block in blocks(page) if block.language == "shell"]
    texts += [line for b in blocks(page) if b.language == "ini" for line in re.findall("^ExecStart=.*", b.text, re.M)]
    for line in stood_in("\n".join(texts), at_hand).splitlines():
        match shlex.split(line, comments=True):
            case ["make", target, *_]:
                assert target in targets, line
            case ["pip", "install", *names]:
                for extra in re.findall(r"(?:fxlive|\.)\[([\w,]+)\]", " ".join(names)):
                    assert set(extra.split(",")) <= set(metadata("fxlive").get_all("Provides-Extra")), line
            case ["export", setting]:
                assert setting.startswith(("FXLIVE_URL=", "FXLIVE_TOKEN=")), line
            case ["fxlive", "watch" | "record" as command, *options]:  # which go on until they are told to end
                run([sys.executable, "-m", "fxlive", command, *options, "--for", "1s"], tmp_path, at_hand)
            case ["fxlive", *arguments]:
                run([sys.executable, "-m", "fxlive", *arguments], tmp_path, at_hand)
            case [] | ["jupyter" | "read", *_]:
                pass  # another program's affair
            case _:
                pytest.fail(f"nobody has said how to try: {line}")


@pytest.mark.parametrize("page", with_code("json"), ids=name_of)
def test_the_messages_of_a_page_are_understood_or_are_what_is_sent(page: Path) -> None:
    for block in blocks(page):
        if block.language == "json":
            message = json.loads(block.text)
            if message["type"] in ("subscribe", "unsubscribe"):
                channels = message["channels"]
                subscribed = {c["name"]: c["filters"] for c in channels} if message["type"] == "subscribe" else {}
                sent = protocol.subscribe(subscribed) if subscribed else protocol.unsubscribe(channels)
                assert json.loads(sent) == message
            else:
                batch = protocol.decode([block.text.encode()], 0)
                assert not batch.rejected, batch.rejected[0].reason


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_code_block_says_its_language(page: Path) -> None:
    languages = {block.language for block in blocks(page) if not block.language.startswith("{")}

    assert languages <= {"python", "shell", "json", "text", "ini"}


@pytest.mark.parametrize("page", READ_ON_GITHUB, ids=name_of)
def test_the_links_of_a_page_lead_to_a_file_and_a_heading(page: Path) -> None:
    tokens = [child for t in MarkdownIt().parse(page.read_text(encoding="utf-8")) for child in t.children or []]
    targets = [str(t.attrs.get("href") or t.attrs.get("src")) for t in tokens if t.type in ("link_open", "image")]
    for target in targets:
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


def anchors(page: Path) -> set[str]:
    """What GitHub and MyST make of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_channel_has_its_table_and_every_error_its_advice() -> None:
    frames = (DOCS / "frames.md").read_text(encoding="utf-8")
    advice = anchors(DOCS / "errors.md")
    raised = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.FxliveError)]

    assert re.findall(r"^```\{columns\} (\S+)$", frames, re.M) == list(CHANNELS)
    assert {error.__name__.lower() for error in raised} <= advice


def test_the_gallery_has_a_word_on_every_notebook() -> None:
    row = re.compile(r"^\| \[[\w -]+\]\(\.\./notebooks/([\w-]+)\.ipynb\) \| \w", re.M)
    told = row.findall((DOCS / "gallery.md").read_text(encoding="utf-8"))

    assert sorted(told) == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


def test_the_wire_page_shows_a_message_of_every_channel_as_the_platform_documents_it() -> None:
    shown = [json.loads(b.text) for b in blocks(DOCS / "wire.md") if b.language == "json"]

    assert [m for m in shown if m["type"] in {str(c.type) for c in CHANNELS.values()}] == list(DATA.values())
