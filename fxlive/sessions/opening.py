"""Opening sessions, and choosing the current one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from fxlive.core.secret import with_secrets
from fxlive.sessions.session import Session, registry

P = ParamSpec("P")
R = TypeVar("R")

_INTERNAL_PARAMETERS = ("feed", "clock", "world")


def _with_parameters_of(session: Callable[P, Session]) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """Give a function the parameters of Session, also in its docstring, for tooltips."""

    def apply(function: Callable[..., R]) -> Callable[P, R]:
        signature = inspect.signature(session)
        public = [p for p in signature.parameters.values() if p.name not in _INTERNAL_PARAMETERS]
        returns = inspect.signature(function).return_annotation
        signature = signature.replace(parameters=public, return_annotation=returns)
        function.__signature__ = signature  # type: ignore[attr-defined]
        documented = (inspect.getdoc(session) or "").partition("Parameters\n----------\n")[2]
        documented = documented.partition(f"\n{_INTERNAL_PARAMETERS[0]}\n")[0]
        function.__doc__ = (inspect.getdoc(function) or "").replace("(those of Session)", documented)
        return function

    return apply


@_with_parameters_of(Session)
def connect(*args: Any, **options: Any) -> Session:
    """Connect to the platform; return once connected and subscribed.

    An open session of the same name is closed once the new one is connected, so a cell can be run twice. If connecting
    fails, it stays open.

    Parameters
    ----------
    (those of Session)

    Returns
    -------
    Session
        It becomes the current session, on which ``fxlive.frame(...)`` and the other functions act.

    Raises
    ------
    ConnectionFailed
        If the platform cannot be reached or refuses the connection.
    SubscriptionError
        If it refuses a channel.
    CaptureError
        If the folder given as `record` cannot be written to.
    UnknownOption
        If the value of an option is not valid.
    """
    args, options = with_secrets(args, options)  # a traceback may show local variables
    return Session(*args, **options).open()


@_with_parameters_of(Session)
async def connect_async(*args: Any, **options: Any) -> Session:
    """Connect to the platform; the awaitable form of `connect`.

    Parameters
    ----------
    (those of Session)
    """
    args, options = with_secrets(args, options)
    return await Session(*args, **options).open_async()


def sessions() -> list[Session]:
    """Return the open sessions, the current one last."""
    return registry.all()


def current() -> Session:
    """Return the current session: the one opened last, or chosen with `use`.

    Raises
    ------
    NoSession
        If no session is open.
    """
    return registry.current()


def use(session: Session | str) -> Session:
    """Make a session current; it may be given by its name.

    Raises
    ------
    NoSession
        If no session of that name is open, or if `session` is something else, such as a capture.
    SessionClosed
        If it is closed.
    """
    chosen = registry.resolve(session, Session)
    registry.use(chosen)
    return chosen


def close(session: Session | str | None = None) -> None:
    """Close a session; received data stays readable. Does nothing if no session is open.

    Parameters
    ----------
    session
        A session, or the name of an open one. Default: the current session.

    Raises
    ------
    NoSession
        If no session of that name is open, or if `session` is something else.

    Examples
    --------
    >>> import fxlive
    >>> session = fxlive.use(fxlive.Session.offline())
    >>> fxlive.close()
    >>> session.state, fxlive.close()
    ('closed', None)
    """
    if session is not None:
        registry.resolve(session, Session).close()
    elif registry.all():
        registry.current().close()
