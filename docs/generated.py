"""Sphinx extension that generates parts of the documentation: columns, errors, functions, command help, notebooks.

Each directive inserts Markdown. The build fails if information is missing, for example the unit of a numeric column.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import fxlive
from fxlive import errors
from fxlive.entrypoints import cli, module
from fxlive.wire.channels import CHANNELS, Channel, Column
from fxlive.wire.messages import Kind, camel

DOCS = Path(__file__).parent
ROOT = DOCS.parent
RUN_NOTEBOOKS = ROOT / "build" / "notebooks"
"""The folder in which the tests save the executed notebooks with their outputs."""

MONEY = "account currency"
PRICE = "quote currency for one of the base"
UNITS = {
    "volume": "lots (100,000 of the base)",
    "market-data volume": "as defined by the platform",
    "filled_volume": "lots",
    "remaining_volume": "lots",
    **dict.fromkeys(("open_price", "current_price", "stop_loss", "take_profit", "price", "fill_price"), PRICE),
    **dict.fromkeys(("bid", "ask", "last", "change", "day_high", "day_low", "open", "close"), PRICE),
    **dict.fromkeys(("profit", "commission", "swap", "unrealized_pnl", "margin"), MONEY),
    "margin_level": "percent",
    "duration": "s",
    "spread": "points (a tenth of a pip)",
    "change_percent": "percent",
    "threshold": "depends on the alert",
    "current": "depends on the alert",
    "metrics_total_trades": "closing executions",
    "metrics_win_rate": "percent, 0 to 100",
    "metrics_net_profit": MONEY,
    "metrics_current_drawdown": f"{MONEY}, positive",
}


def columns(channel_name: str) -> str:
    """Return the table of a channel's columns, with the dtypes of a real frame."""
    channel = CHANNELS[channel_name]
    frame = fxlive.Session.offline().frame(channel_name)
    rows = [("`timestamp` of the envelope", "`timestamp` (index)", str(frame.index.dtype), "UTC")]
    rows.append(("time of receipt", "`received_at`", str(frame["received_at"].dtype), "UTC"))
    for column in channel.columns:
        field = f"`{'.'.join(map(camel, column.path))}`" if column.path else "`id` of the envelope"
        needed = ", required" if column.required else ""
        rows.append((field + needed, f"`{column.name}`", str(frame[column.name].dtype), _unit(channel, column)))
    key = ", ".join(f"`{name}`" for name in channel.key)
    intro = f"Messages of type `{channel.type}`; the key is {key}{', one row in total' if channel.single else ''}."
    return f"{intro}\n\n{_table(('field', 'column', 'dtype', 'unit'), rows)}"


def _unit(channel: Channel, column: Column) -> str:
    if column.kind is Kind.TIME:
        return "UTC"
    if column.kind is not Kind.NUMBER:
        return ""
    return UNITS.get(f"{channel.name} {column.name}") or UNITS[column.name]


def error_tree(_: str) -> str:
    """Return the exceptions as a nested list; each entry has its summary and a link to the advice."""

    def branch(error: type, depth: int) -> list[str]:
        summary = (error.__doc__ or "").strip().splitlines()[0]
        lines = [f"{'  ' * depth}- [`{error.__name__}`](#{error.__name__.lower()}): {summary}"]
        for child in error.__subclasses__():
            if vars(errors).get(child.__name__) is child and child.__base__ is error:
                lines += branch(child, depth + 1)
        return lines

    return "\n".join(branch(errors.FxliveError, 0))


def functions(_: str) -> str:
    """Return links to the functions of the module that act on the current session."""
    names = [name for name in fxlive.__all__ if hasattr(getattr(module, name, None), "__wrapped__")]
    return ", ".join(f"{{py:meth}}`{name} <fxlive.Session.{name}>`" for name in names) + "."


def help_of(command: str) -> str:
    """Return the output of `fxlive COMMAND --help`."""
    parser: Any = cli._parser()
    for name in shlex.split(command):
        parser = next(a for a in parser._subparsers._group_actions).choices[name]
    return f"```text\n{parser.format_help().strip()}\n```"


DIRECTIVES = {f.__name__.replace("_", "-"): f for f in (columns, error_tree, functions, help_of)}


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _directive(function: Any) -> type[SphinxDirective]:
    class Generated(SphinxDirective):
        optional_arguments = 1
        final_argument_whitespace = True

        def run(self) -> list[nodes.Node]:
            text = function(self.arguments[0] if self.arguments else "")
            return self.parse_text_to_nodes(text)

    return Generated


# The notebooks, as the tests have executed them, or without outputs if they have not.


def copy_notebooks(app: Sphinx) -> None:
    """Copy the notebooks to docs/notebooks, without the outputs that need a kernel."""
    folder = DOCS / "notebooks"
    folder.mkdir(exist_ok=True)
    sources = {path.name: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    for removed in set(folder.glob("*.ipynb")) - {folder / name for name in sources}:
        removed.unlink()
    for name, source in sources.items():
        notebook = json.loads(source.read_text(encoding="utf-8"))
        if (RUN_NOTEBOOKS / name).exists():
            executed = json.loads((RUN_NOTEBOOKS / name).read_text(encoding="utf-8"))
            if _sources(executed) == _sources(notebook):
                notebook = executed
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = "".join(cell["source"]).replace("](../docs/", "](../")
            if cell["cell_type"] == "code":
                cell["outputs"] = [static for output in cell["outputs"] if (static := _static(output)) is not None]
        text = json.dumps(notebook)
        target = folder / name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")


def _sources(notebook: dict[str, Any]) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"]]


def _static(output: dict[str, Any]) -> dict[str, Any] | None:
    """Return the part of an output that Sphinx can show: pictures instead of plotly figures and live widgets."""
    data = output.get("data", {})
    data.pop("application/vnd.plotly.v1+json", None)  # the same output has a PNG
    return None if "application/vnd.jupyter.widget-view+json" in data else output  # the next output is its picture


# Links out of docs/ work on GitHub; in the built pages they lead to the corresponding pages.

OUTSIDE = re.compile(r"\]\((?:\.\./)*(?:(notebooks/[\w-]+\.ipynb)|(README|CHANGELOG|CONTRIBUTING)\.md)")
PAGES = {"README": "index", "CHANGELOG": "changelog", "CONTRIBUTING": "contributing"}


def rewrite_links(app: Sphinx, *args: Any) -> None:
    """Rewrite such links of a page, or of a file that a page includes, before Sphinx parses it."""
    text = args[-1]
    text[0] = OUTSIDE.sub(lambda m: f"](/{m[1] or PAGES[m[2]] + '.md'}", text[0])


def unlink(app: Sphinx, doctree: nodes.document) -> None:
    """Link only names with a dot: `open` may be the price of a bar as well as a method."""
    for reference in list(doctree.findall(pending_xref)):
        in_text = isinstance(reference[0], nodes.literal)  # not in a signature
        if in_text and reference["reftype"] == "obj" and "." not in reference["reftarget"]:
            reference.replace_self(reference.children)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives and event handlers with Sphinx."""
    for name, function in DIRECTIVES.items():
        app.add_directive(name, _directive(function))
    app.connect("builder-inited", copy_notebooks)
    app.connect("source-read", rewrite_links)
    app.connect("include-read", rewrite_links)
    app.connect("doctree-read", unlink)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
