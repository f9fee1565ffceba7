"""Magics: ``%load_ext fxlive`` gives IPython ``%fxlive``, ``%fxsql`` and ``%%fxsql``, and completion in texts.

What is completed: channels, symbols and columns, where a session, a capture or the module takes one, as in
``fxlive.price_chart("EUR``; columns by which a frame can be asked, as in ``session.frame("trades", sy``; and those of a
frame, as in ``session.frame("trades")["pro``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pandas as pd

from fxlive.entrypoints import module as face
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
        IPython's.
    """
    from IPython.core.completer import SimpleCompletion, context_matcher  # fxlive itself needs no IPython

    def fxsql(line: str, cell: str | None = None) -> pd.DataFrame:
        return sql_magic(shell.user_ns, line, cell)

    @context_matcher(identifier="fxlive")  # type: ignore[untyped-decorator]
    def matcher(context: Any) -> dict[str, Any]:
        before = "\n".join([*context.full_text.split("\n")[: context.cursor_line], context.text_until_cursor])
        written, names = completions(before, shell.user_ns)
        found = [SimpleCompletion(name, type="fxlive") for name in names]
        return {"completions": found, "matched_fragment": written, "suppress": bool(found), "ordered": True}

    fxsql.__doc__ = sql_magic.__doc__
    shell.register_magic_function(session_magic, "line", "fxlive")
    shell.register_magic_function(fxsql, "line_cell", "fxsql")
    others = [m for m in shell.Completer.custom_matchers if getattr(m, "matcher_identifier", "") != "fxlive"]
    shell.Completer.custom_matchers = [*others, matcher]  # loaded again it is there once


def session_magic(line: str) -> Session | None:
    """Show the current session, open one, or close it.

    - ``%fxlive``: how the current session fares
    - ``%fxlive demo``: a session on the built-in simulated platform
    - ``%fxlive connect``: a session on the platform of FXLIVE_URL, with the token of FXLIVE_TOKEN
    - ``%fxlive close``: the current session is closed, where there is one
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
    """Return the current session; where there is none, what to do is told in one line, without a traceback."""
    from IPython.core.error import UsageError

    try:
        return current()
    except NoSession as error:
        raise UsageError(str(error)) from None


def sql_magic(variables: dict[str, Any], line: str, cell: str | None = None) -> pd.DataFrame:
    """Ask the current session in SQL; each channel is a table, ``market_data`` that of ``market-data``.

    ``frame = %fxsql select * from trades``, or a cell whose first line is ``%%fxsql`` and whose others are the query;
    with ``%%fxsql spreads`` the frame that it finds is also a variable of that name.
    """
    from IPython.core.error import UsageError  # shown in one line, without a traceback

    query, name = (line, "") if cell is None else (cell, line.strip())
    if name and not name.isidentifier():
        raise UsageError(
            f"%%fxsql takes a name for what it finds, or nothing, not {name!r}: the query begins in the next line."
        )
    if not query.strip():
        raise UsageError("%fxsql needs a query, such as: %fxsql select symbol, bid, ask from market_data")
    found = _current().sql(query)
    if name:
        variables[name] = found
    return found


# Completion. It goes by what is written before the cursor, and runs nothing of it.

_OF_CHANNEL = frozenset("frame latest chart grid on stream wait_for wait_for_async latency dataset polars dask".split())
_OF_CHANNELS = frozenset("subscribe subscribe_async unsubscribe unsubscribe_async".split())
_OF_SYMBOL = frozenset("price_chart bars dashboard".split())
_ASKED_BY_COLUMN = frozenset("frame latest grid".split())

_CALL = re.compile(r"(?:(\w+)\s*\.\s*)?\b(\w+)\(([^()]*)$")  # the innermost that is open: owner, method, arguments
_ITEM = re.compile(r"(?:(\w+)\s*\.\s*)?\b(frame|latest)\(\s*[\"']([\w-]+)[\"'][^()]*\)\[(?:\[[^\]]*)?[\"'](\w*)$")
_TEXT = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'")
_OPEN_TEXT = re.compile(r"[\"']([^\"']*)$")
_OPEN_NAME = re.compile(r",\s*(\w*)$")
_OPTION = re.compile(r"(\w+)\s*=[\s\[]*(?:_\s*,\s*)*$")  # where _ is a text that was written to its end
_LIST = re.compile(r"\[[^\]]*\]?")


def completions(before: str, variables: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return what is being written at the end of a text, and what it may become; nothing where that is not ours.

    Parameters
    ----------
    before
        The code up to the cursor.
    variables
        The notebook's.

    Examples
    --------
    >>> completions('session.on("tr', {"session": Session.offline()})
    ('tr', ['trades'])
    """
    written, known = "", []
    try:
        if item := _ITEM.search(before):
            owner, method, channel, written = item.groups()
            known = _columns(_readings(owner, method, variables), channel)
        elif call := _CALL.search(before):
            owner, method, arguments = call.groups()
            written, known = _argument(_readings(owner, method, variables), method, arguments)
    except FxliveError:  # of a channel that there is not
        pass
    return written, [name for name in known if name.lower().startswith(written.lower())]


def _readings(owner: str | None, method: str, variables: Mapping[str, Any]) -> Readable | None:
    """Return of what a method is: a session, a capture, the current session; None where it is nothing of ours."""
    value = variables.get(owner or method)
    if isinstance(value, Readable):
        return value
    of_the_module = isinstance(value, ModuleType) and value.__name__ == "fxlive"
    if of_the_module or (owner is None and value is not None and value is getattr(face, method, None)):
        return current() if sessions() else Session.offline()  # which has all channels, and no symbols
    return None


def _argument(readings: Readable | None, method: str, arguments: str) -> tuple[str, list[str]]:
    """Return what is being written at the end of a call's arguments, and what can stand there."""
    if readings is None:
        return "", []
    finished = [double or single for double, single in _TEXT.findall(arguments)]
    rest = _TEXT.sub("_", arguments)
    text = _OPEN_TEXT.search(rest)
    if text is None:
        name = _OPEN_NAME.search(rest)
        asked = name is not None and method in _ASKED_BY_COLUMN and finished
        return (name[1], [f"{column}=" for column in _columns(readings, finished[0])]) if name and asked else ("", [])
    before = rest[: text.start()]
    option = _OPTION.search(before)
    return text[1], _values(readings, method, option[1] if option else _LIST.sub("", before).count(","), finished)


def _values(readings: Readable, method: str, option: str | int, finished: list[str]) -> list[str]:
    """Return what an option can be, or the argument at a place."""
    of_channels = method in _OF_CHANNELS and isinstance(option, int)
    if of_channels or option in ("channel", "channels") or (method in _OF_CHANNEL and option == 0):
        return readings.channels
    if option == "symbol" or (method in _OF_SYMBOL and option == 0):
        return readings.symbols
    of_columns = {"chart": ("y", "by", 1, 2), "grid": ("columns", "sort")}.get(method, ())
    return _columns(readings, finished[0]) if finished and option in of_columns else []


def _columns(readings: Readable | None, channel: str) -> list[str]:
    if readings is None:
        return []
    return [str(name) for name in readings.frame(channel, last=0).columns]
