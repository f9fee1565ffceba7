"""IPython extension: ``%load_ext fxlive`` adds ``%fxlive``, ``%fxsql``, ``%%fxsql``, and completion of arguments.

Completion covers channels, symbols and columns in calls of a session, a capture or the module
(``fxlive.price_chart("EUR``), columns as keywords (``session.frame("trades", sy``), and columns of a frame
(``session.frame("trades")["pro``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pandas as pd

from fxlive.entrypoints import module
from fxlive.entrypoints.demo import demo
from fxlive.errors import FxliveError, NoSession, UnknownOption
from fxlive.sessions.opening import close, connect, current, sessions
from fxlive.sessions.reading.readable import Readable
from fxlive.sessions.session import Session

_COMMANDS = ("demo", "connect", "close")


def load_ipython_extension(shell: Any) -> None:
    """Add ``%fxlive``, ``%fxsql``, ``%%fxsql`` and completion to IPython; ``%load_ext fxlive`` calls it.

    Parameters
    ----------
    shell
        The IPython shell.
    """
    from IPython.core.completer import SimpleCompletion, context_matcher  # fxlive works without IPython

    def fxsql(line: str, cell: str | None = None) -> pd.DataFrame:
        return sql_magic(shell.user_ns, line, cell)

    @context_matcher(identifier="fxlive")  # type: ignore[untyped-decorator]
    def matcher(context: Any) -> dict[str, Any]:
        before = "\n".join([*context.full_text.split("\n")[: context.cursor_line], context.text_until_cursor])
        written, names = completions(before, shell.user_ns)
        matches = [SimpleCompletion(name, type="fxlive") for name in names]
        return {"completions": matches, "matched_fragment": written, "suppress": bool(matches), "ordered": True}

    fxsql.__doc__ = sql_magic.__doc__
    shell.register_magic_function(session_magic, "line", "fxlive")
    shell.register_magic_function(fxsql, "line_cell", "fxsql")
    others = [m for m in shell.Completer.custom_matchers if getattr(m, "matcher_identifier", "") != "fxlive"]
    shell.Completer.custom_matchers = [*others, matcher]  # replaces the matcher of an earlier %load_ext


def session_magic(line: str) -> Session | None:
    """Show the current session, open one, or close it.

    - ``%fxlive``: show the state of the current session
    - ``%fxlive demo``: open a session on the built-in simulated platform
    - ``%fxlive connect``: open a session on the platform of FXLIVE_URL, with the token of FXLIVE_TOKEN
    - ``%fxlive close``: close the current session, if there is one
    """
    from IPython.core.error import UsageError  # shown in one line, without a traceback

    command, *options = line.replace(",", " ").split() or [""]
    if command and command not in _COMMANDS:
        raise UnknownOption("%fxlive", command, _COMMANDS)
    if options:
        raise UsageError(f"%fxlive {command} takes no options. Write fxlive.{command}({', '.join(options)}).")
    if command in ("demo", "connect"):
        return demo() if command == "demo" else connect()
    if command == "close":
        closed = sessions()[-1:]
        close()
        return closed[0] if closed else None
    return _current()


def _current() -> Session:
    """Return the current session. If there is none, print one line of help instead of a traceback."""
    from IPython.core.error import UsageError

    try:
        return current()
    except NoSession as error:
        raise UsageError(str(error)) from None


def sql_magic(variables: dict[str, Any], line: str, cell: str | None = None) -> pd.DataFrame:
    """Run a SQL query on the current session; each channel is a table, ``market_data`` is ``market-data``.

    ``frame = %fxsql select * from trades``, or a cell with ``%%fxsql`` in its first line and the query below it;
    ``%%fxsql spreads`` also assigns the result to the variable ``spreads``.
    """
    from IPython.core.error import UsageError  # shown in one line, without a traceback

    query, name = (line, "") if cell is None else (cell, line.strip())
    if name and not name.isidentifier():
        raise UsageError(
            f"%%fxsql takes a variable name for the result, or nothing, got {name!r}. "
            "The query starts in the next line."
        )
    if not query.strip():
        raise UsageError("%fxsql needs a query, such as: %fxsql select symbol, bid, ask from market_data")
    result = _current().sql(query)
    if name:
        variables[name] = result
    return result


# Completion. It parses the text before the cursor and executes none of it.

_CHANNEL_METHODS = frozenset(
    "frame latest chart grid on stream wait_for wait_for_async latency dataset polars dask".split()
)
_CHANNELS_METHODS = frozenset("subscribe subscribe_async unsubscribe unsubscribe_async".split())
_SYMBOL_METHODS = frozenset("price_chart bars dashboard".split())
_FILTER_METHODS = frozenset("frame latest grid".split())

_CALL = re.compile(r"(?:(\w+)\s*\.\s*)?\b(\w+)\(([^()]*)$")  # the innermost open call: owner, method, arguments
_ITEM = re.compile(r"(?:(\w+)\s*\.\s*)?\b(frame|latest)\(\s*[\"']([\w-]+)[\"'][^()]*\)\[(?:\[[^\]]*)?[\"'](\w*)$")
_TEXT = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'")
_OPEN_TEXT = re.compile(r"[\"']([^\"']*)$")
_OPEN_NAME = re.compile(r",\s*(\w*)$")
_OPTION = re.compile(r"(\w+)\s*=[\s\[]*(?:_\s*,\s*)*$")  # _ stands for a complete string
_LIST = re.compile(r"\[[^\]]*\]?")


def completions(before: str, variables: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the unfinished word at the end of a text, and its possible completions; none if it is not a call of ours.

    Parameters
    ----------
    before
        The code up to the cursor.
    variables
        The variables of the notebook, by name.

    Examples
    --------
    >>> completions('session.on("tr', {"session": Session.offline()})
    ('tr', ['trades'])
    """
    written, known = "", []
    try:
        if item := _ITEM.search(before):
            owner, method, channel, written = item.groups()
            known = _columns(_reader(owner, method, variables), channel)
        elif call := _CALL.search(before):
            owner, method, arguments = call.groups()
            written, known = _argument(_reader(owner, method, variables), method, arguments)
    except FxliveError:  # an unknown channel
        pass
    return written, [name for name in known if name.lower().startswith(written.lower())]


def _reader(owner: str | None, method: str, variables: Mapping[str, Any]) -> Readable | None:
    """Return the session or capture that a method belongs to, the current session for the module; None otherwise."""
    value = variables.get(owner or method)
    if isinstance(value, Readable):
        return value
    is_module = isinstance(value, ModuleType) and value.__name__ == "fxlive"
    if is_module or (owner is None and value is not None and value is getattr(module, method, None)):
        return current() if sessions() else Session.offline()  # it has all channels, and no symbols
    return None


def _argument(reader: Readable | None, method: str, arguments: str) -> tuple[str, list[str]]:
    """Return the unfinished word at the end of a call's arguments, and the possible values there."""
    if reader is None:
        return "", []
    finished = [double or single for double, single in _TEXT.findall(arguments)]
    rest = _TEXT.sub("_", arguments)
    text = _OPEN_TEXT.search(rest)
    if text is None:
        name = _OPEN_NAME.search(rest)
        is_filter = name is not None and method in _FILTER_METHODS and finished
        return (name[1], [f"{column}=" for column in _columns(reader, finished[0])]) if name and is_filter else ("", [])
    before = rest[: text.start()]
    option = _OPTION.search(before)
    return text[1], _values(reader, method, option[1] if option else _LIST.sub("", before).count(","), finished)


def _values(reader: Readable, method: str, option: str | int, finished: list[str]) -> list[str]:
    """Return the possible values of a keyword argument, or of the argument at a position."""
    takes_channels = method in _CHANNELS_METHODS and isinstance(option, int)
    if takes_channels or option in ("channel", "channels") or (method in _CHANNEL_METHODS and option == 0):
        return reader.channels
    if option == "symbol" or (method in _SYMBOL_METHODS and option == 0):
        return reader.symbols
    takes_columns = {"chart": ("y", "by", 1, 2), "grid": ("columns", "sort")}.get(method, ())
    return _columns(reader, finished[0]) if finished and option in takes_columns else []


def _columns(reader: Readable | None, channel: str) -> list[str]:
    if reader is None:
        return []
    return [str(name) for name in reader.frame(channel, last=0).columns]
