"""Tests of the documentation: code blocks run, links are valid, every channel, error and notebook is covered.

The Python blocks of a page run as the cells of a notebook that has just connected to a simulated platform, in a folder
with a capture of it. Shell lines run one by one. URLs and services that a test cannot reach are replaced.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from importlib.metadata import metadata
from pathlib import Path
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt

import fxlive
from fxlive import analytics, errors
from fxlive.simulator.fixture import SimulatorFactory
from fxlive.wire import protocol
from fxlive.wire.channels import CHANNELS
from tests.docs import forked
from tests.docs.forked import run
from tests.samples import DATA

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.parent.name not in ("notebooks", "_build"))
READ_ON_GITHUB = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *PAGES]

REPLACEMENTS = {
    'Client("tcp://scheduler:8786")': "Client(processes=False, dashboard_address=':0')",
    "s3://bucket/captures": "captures/2014-05-08T123000Z-default",  # a finished recording
    'getpass("Token: ")': "token",
    "ExecStart=/opt/fxlive/bin/": "",
    "/var/lib/fxlive/captures": "captures",
}
PLATFORM = "wss://your-platform/api/ws"


class Block(NamedTuple):
    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page; the language of an indented block is empty."""
    tokens = MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))
    return [
        Block(token.info.split()[0] if token.info else "", token.content, (token.map or [0])[0] + 1)
        for token in tokens
        if token.type in ("fence", "code_block")
    ]


def pages_with(language: str) -> list[Path]:
    return [page for page in [ROOT / "README.md", *PAGES] if any(block.language == language for block in blocks(page))]


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a capture of a simulated platform, under the name that the pages use."""
    folder = tmp_path_factory.mktemp("docs") / "captures"
    factory = SimulatorFactory()
    simulator = factory(speed=100)
    with fxlive.Session(simulator.url, simulator.token(), record=folder, name="docs") as session:
        session.wait_for("trades", rows=5, timeout=120)
    factory.close()
    [capture] = folder.iterdir()
    capture.rename(folder / "2014-05-08T123000Z-default")
    return folder


@pytest.fixture
def environment(fx_simulator: SimulatorFactory, recorded: Path, tmp_path: Path) -> dict[str, str]:
    """The environment variables for a page's code; `tmp_path` gets a copy of the capture."""
    simulator = fx_simulator(speed=20)
    shutil.copytree(recorded, tmp_path / "captures")
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "FXLIVE_URL": simulator.url,
        "FXLIVE_TOKEN": simulator.token(),
    }


def with_replacements(text: str, environment: dict[str, str]) -> str:
    for original, replacement in {PLATFORM: environment["FXLIVE_URL"], **REPLACEMENTS}.items():
        text = text.replace(original, replacement)
    return text


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", pages_with("python"), ids=page_name)
def test_the_python_blocks_of_a_page_run(page: Path, environment: dict[str, str], tmp_path: Path) -> None:
    lines = [""] * len(page.read_text(encoding="utf-8").splitlines())
    for block in blocks(page):
        if block.language == "python":
            code = block.text.splitlines()
            lines[block.line : block.line + len(code)] = code
    script = tmp_path / page.name
    script.write_text(with_replacements("\n".join(lines), environment), encoding="utf-8")

    run(forked.page, script, environment["FXLIVE_TOKEN"], folder=tmp_path, environment=environment)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", pages_with("shell"), ids=page_name)
def test_the_shell_lines_of_a_page_run(page: Path, environment: dict[str, str], tmp_path: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    texts = [block.text for block in blocks(page) if block.language == "shell"]
    texts += [line for b in blocks(page) if b.language == "ini" for line in re.findall("^ExecStart=.*", b.text, re.M)]
    for line in with_replacements("\n".join(texts), environment).splitlines():
        match shlex.split(line, comments=True):
            case ["make", target, *_]:
                assert target in targets, line
            case ["pip", "install", *names]:
                for extra in re.findall(r"(?:fxlive|\.)\[([\w,]+)\]", " ".join(names)):
                    assert set(extra.split(",")) <= set(metadata("fxlive").get_all("Provides-Extra")), line
            case ["export", setting]:
                assert setting.startswith(("FXLIVE_URL=", "FXLIVE_TOKEN=")), line
            case ["fxlive", "watch" | "record" as command, *options]:  # these do not end by themselves
                run(forked.command, command, *options, "--for", "1s", folder=tmp_path, environment=environment)
            case ["fxlive", *arguments]:
                run(forked.command, *arguments, folder=tmp_path, environment=environment)
            case [] | ["jupyter" | "read", *_]:
                pass  # commands of other programs
            case _:
                pytest.fail(f"add a case that tests this line: {line}")


@pytest.mark.parametrize("page", pages_with("json"), ids=page_name)
def test_json_blocks_are_messages_that_fxlive_reads_or_sends(page: Path) -> None:
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


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_code_block_has_a_known_language(page: Path) -> None:
    languages = {block.language for block in blocks(page) if not block.language.startswith("{")}

    assert languages <= {"python", "shell", "json", "text", "ini"}


@pytest.mark.parametrize("page", READ_ON_GITHUB, ids=page_name)
def test_every_link_leads_to_an_existing_file_and_heading(page: Path) -> None:
    tokens = [child for t in MarkdownIt().parse(page.read_text(encoding="utf-8")) for child in t.children or []]
    targets = [str(t.attrs.get("href") or t.attrs.get("src")) for t in tokens if t.type in ("link_open", "image")]
    for target in targets:
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub and MyST create for a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_channel_has_a_table_of_columns_and_every_error_has_advice() -> None:
    frames = (DOCS / "frames.md").read_text(encoding="utf-8")
    advice = anchors(DOCS / "errors.md")
    exceptions = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.FxliveError)]

    assert re.findall(r"^```\{columns\} (\S+)$", frames, re.M) == list(CHANNELS)
    assert {error.__name__.lower() for error in exceptions} <= advice


def test_the_reference_documents_every_public_function_and_method() -> None:
    reference = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    documented = set(re.findall(r"^ *\.\. auto(?:class|function|method|property):: ([\w.]+)", reference, re.M))
    classes = (fxlive.Session, fxlive.Replay, fxlive.Capture)
    members = {f"{c.__name__}.{name}" for c in classes for name in vars(c) if not name.startswith("_")}
    exceptions = {name for name in fxlive.__all__ if name in vars(errors)}  # docs/errors.md describes them
    functions = set(fxlive.__all__) - exceptions - {"__version__", "load_ipython_extension"}

    assert members - documented == {"Session.when_closed"}
    assert {name for name in functions if not {name, f"Session.{name}"} & documented} == set()
    assert set(analytics.__all__) - documented == set()


def test_the_gallery_describes_every_notebook() -> None:
    row = re.compile(r"^\| \[[\w -]+\]\(\.\./notebooks/([\w-]+)\.ipynb\) \| \w", re.M)
    described = row.findall((DOCS / "gallery.md").read_text(encoding="utf-8"))

    assert sorted(described) == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


def test_the_wire_page_shows_the_documented_message_of_every_channel() -> None:
    messages = [json.loads(b.text) for b in blocks(DOCS / "wire.md") if b.language == "json"]

    assert [m for m in messages if m["type"] in {str(c.type) for c in CHANNELS.values()}] == list(DATA.values())


def test_the_readme_has_at_most_700_words() -> None:
    words = (ROOT / "README.md").read_text(encoding="utf-8").split()

    assert len(words) <= 700


def test_the_glossary_is_in_alphabetical_order() -> None:
    terms = re.findall(r"^\| ([^|]+?) \| [^|]+ \| \[", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.M)

    assert len(terms) > 40
    assert terms == sorted(terms)
