"""Code of the documentation in a process of its own that need not import fxlive again.

The processes are forks of a server that has imported fxlive and the libraries of its charts, and has done nothing else.
"""

from __future__ import annotations

import ast
import asyncio
import atexit
import inspect
import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from traitlets.config import Config

import fxlive
from fxlive.entrypoints.cli import main

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.docs.forked", "fxlive.widgets.charts.prices"])


def run(function: Callable[..., Any], *arguments: Any, folder: Path, environment: dict[str, str]) -> None:
    """Run a function of a module in a new process with its own folder and environment; it must end without an error."""
    output = folder / "output of the process"
    process = FORKS.Process(target=_run, args=(function, arguments, folder, environment, output))
    process.start()
    process.join(240)
    if process.is_alive():
        process.kill()
        process.join()
    assert process.exitcode == 0, output.read_text()[-6000:]


def _run(
    function: Callable[..., Any], arguments: tuple[Any, ...], folder: Path, environment: dict[str, str], output: Path
) -> None:
    with output.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    warnings.resetwarnings()  # warnings are errors, except deprecations in the code of other libraries
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", DeprecationWarning)
    try:
        function(*arguments)
    finally:
        atexit._run_exitfuncs()  # a fork skips them


def page(script: Path, token: str) -> None:
    """Run a script that has the page's name and line numbers, for readable tracebacks, in a session."""
    session = fxlive.connect()
    session.wait_for("trades", timeout=120)
    names = {"__name__": "page", "fxlive": fxlive, "session": session, "token": token, "c": Config()}
    code = compile(script.read_text(encoding="utf-8"), str(script), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)
    if inspect.iscoroutine(result):
        asyncio.run(result)


def command(*arguments: str) -> None:
    """Run the `fxlive` command."""
    sys.exit(main(list(arguments)))
