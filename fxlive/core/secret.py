"""Secrets: values that are never shown, such as tokens and the passwords of proxies."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

_SECRET_POSITIONS = 2
_SECRET_NAMES = ("url", "token", "proxy")
"""The arguments of a session that may hold a secret: `url` and `token` come first, and may be swapped."""


class Secret:
    """A value that is shown as ``***``.

    Debuggers and some traceback formats show the values of local variables and attributes. A secret is held in this
    object and revealed only where it is needed, in an expression that is stored nowhere.

    >>> token = Secret("abc")
    >>> token, f"{token}", token.reveal(), Secret(token) == token
    (***, '***', 'abc', True)
    """

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value: Any = value.reveal() if isinstance(value, Secret) else value

    def reveal(self) -> Any:
        """Return the value."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and bool(self._value == other._value)

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret cannot be pickled or copied. Pass it to the other process in its environment.")


def secret_of_environment(name: str) -> Secret | None:
    """Return the value of an environment variable; None if it is not set or empty.

    >>> secret_of_environment("FXLIVE_NO_SUCH_VARIABLE") is None
    True
    """
    return Secret(os.environ[name]) if os.environ.get(name) else None


def with_secrets(args: Sequence[Any], options: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments for a session, with those that may hold a secret as `Secret`.

    >>> with_secrets(["wss://host/api/ws", "abc"], {"name": "desk", "proxy": "http://me:pw@host"})
    ((***, ***), {'name': 'desk', 'proxy': ***})
    """
    sealed = tuple(_sealed(value) if at < _SECRET_POSITIONS else value for at, value in enumerate(args))
    return sealed, {name: _sealed(value) if name in _SECRET_NAMES else value for name, value in options.items()}


def _sealed(value: object) -> object:
    return value if value is None or isinstance(value, bool) else Secret(value)
