"""Makes simulated code that reaches for a real clock, thread, socket or source of randomness raise at once."""

from __future__ import annotations

import concurrent.futures
import datetime
import os
import random
import secrets
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from tests.simulation.loop import RealWorld

PACKAGE = "fxlive"

ALLOWED: dict[tuple[str, str], str] = {
    ("fxlive.simulator.serving.tokens", "uuid.uuid4"): "makes tokens differ; only their length matters",
    ("fxlive.capture.format.disk", "uuid.uuid4"): "names files for as long as they are written",
    ("fxlive.sessions.reading.readable", "datetime.now"): "attrs say when a frame was made; no value depends on it",
}
"""(module, call) that may use the real world, with the reason: {("fxlive.core.names", "time.time"): "..."}."""

_CALLS: dict[Any, str] = {
    time: "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time thread_time sleep",
    os: "urandom",
    secrets: "token_bytes token_hex token_urlsafe randbits randbelow choice",
    uuid: "uuid1 uuid4",
    threading.Thread: "start join",
    threading.Event: "wait",
    threading.Condition: "wait wait_for",
    concurrent.futures: "wait",
    concurrent.futures.ThreadPoolExecutor: "submit",
    socket: "getaddrinfo create_connection socketpair",
    socket.socket: "connect connect_ex bind listen accept send sendall sendto recv recv_into recvfrom",
}
_RANDOM = [name for name, value in vars(random).items() if getattr(value, "__self__", None) is random._inst]


@contextmanager
def guard(allowed: Mapping[tuple[str, str], str] = ALLOWED) -> Iterator[None]:
    """Raise RealWorld, with file and line, when a module of fxlive makes a call of the real world.

    Libraries may make them. Modules of fxlive that are imported later are covered for calls through their module
    (`time.time()`), but not for names that they import from it, nor for default arguments.
    """
    replaced: dict[int, Any] = {}  # by the id of the original
    with ExitStack() as undo:
        for owner, names in [*_CALLS.items(), (random, " ".join(_RANDOM))]:
            for name in names.split():
                original = getattr(owner, name)
                label = f"{getattr(owner, '__qualname__', owner.__name__)}.{name}"
                checked = _checked(original, label, allowed)
                replaced[id(original)] = checked
                _replace(undo, owner, name, checked)
        replaced[id(datetime.datetime)] = _checked_datetime(allowed)
        for module in _modules():
            _replace_in(undo, module, replaced)
        yield


def _checked(original: Callable[..., Any], label: str, allowed: Mapping[tuple[str, str], str]) -> Callable[..., Any]:
    def checked(*args: Any, **options: Any) -> Any:
        _check(label, allowed)
        return original(*args, **options)

    return checked


def _check(label: str, allowed: Mapping[tuple[str, str], str]) -> None:
    """Raise if the caller of the function that calls this one belongs to fxlive."""
    frame = sys._getframe(2)
    module = frame.f_globals.get("__name__", "")
    if (module == PACKAGE or module.startswith(f"{PACKAGE}.")) and (module, label) not in allowed:
        file = "/".join(Path(frame.f_code.co_filename).parts[-3:])
        raise RealWorld(f"{label} called by {module}, {file}:{frame.f_lineno}, in {frame.f_code.co_name}")


def _checked_datetime(allowed: Mapping[tuple[str, str], str]) -> type:
    """Return a stand-in for datetime. What it creates, and what isinstance() accepts, are real ones."""
    real = datetime.datetime

    class Meta(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, real)

        def __subclasscheck__(cls, other: type) -> bool:
            return issubclass(other, real)

        def __getattr__(cls, name: str) -> Any:
            return getattr(real, name)

        def __call__(cls, *args: Any, **options: Any) -> Any:
            return real(*args, **options)

    class CheckedDatetime(metaclass=Meta):
        @staticmethod
        def now(tz: datetime.tzinfo | None = None) -> datetime.datetime:
            _check("datetime.now", allowed)
            return real.now(tz)

        @staticmethod
        def utcnow() -> datetime.datetime:
            _check("datetime.utcnow", allowed)
            return real.now(datetime.UTC).replace(tzinfo=None)

        @staticmethod
        def today() -> datetime.datetime:
            _check("datetime.today", allowed)
            return real.now()

    return CheckedDatetime


def _modules() -> list[ModuleType]:
    return [module for name, module in sys.modules.items() if name == PACKAGE or name.startswith(f"{PACKAGE}.")]


def _replace_in(undo: ExitStack, module: ModuleType, replaced: Mapping[int, Any]) -> None:
    """Replace names imported from other modules, and default arguments."""
    for name, value in list(vars(module).items()):
        if id(value) in replaced:
            _replace(undo, module, name, replaced[id(value)])
        elif getattr(value, "__module__", None) == module.__name__:
            for function in [value, *vars(value).values()] if isinstance(value, type) else [value]:
                if isinstance(function, FunctionType):
                    _replace_defaults(undo, function, replaced)


def _replace_defaults(undo: ExitStack, function: FunctionType, replaced: Mapping[int, Any]) -> None:
    if any(id(value) in replaced for value in function.__defaults__ or ()):
        defaults = tuple(replaced.get(id(value), value) for value in function.__defaults__ or ())
        _replace(undo, function, "__defaults__", defaults)
    keywords = function.__kwdefaults__ or {}
    if any(id(value) in replaced for value in keywords.values()):
        _replace(
            undo, function, "__kwdefaults__", {name: replaced.get(id(value), value) for name, value in keywords.items()}
        )


def _replace(undo: ExitStack, owner: Any, name: str, value: Any) -> None:
    if isinstance(owner, type) and name not in vars(owner):  # inherited, as the methods of socket.socket
        undo.callback(delattr, owner, name)
    else:
        undo.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)
