"""Opening sessions, and which of the open ones is the current one."""

from __future__ import annotations

import atexit
import inspect
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from fxlive.errors import NoSession, SessionClosed
from fxlive.sessions.session import Session, open_sessions, session_order

P = ParamSpec("P")
R = TypeVar("R")


def _opens(session: Callable[P, Session]) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """Give a function the parameters of Session, in its docstring too: that is what a tooltip shows."""

    def sign(function: Callable[..., R]) -> Callable[P, R]:
        returns = inspect.signature(function).return_annotation
        signature = inspect.signature(session).replace(return_annotation=returns)
        function.__signature__ = signature  # type: ignore[attr-defined]
        told = inspect.getdoc(session) or ""
        parameters = told.partition("Parameters\n----------\n")[2].partition("\n\nExamples\n")[0]
        function.__doc__ = (inspect.getdoc(function) or "").replace("(those of Session)", parameters)
        return function

    return sign


@_opens(Session)
def connect(*args: Any, **options: Any) -> Session:
    """Connect to the platform; returns when connected and subscribed, or raises.

    A session of the same name that is open is closed first, so that a cell can be run twice.

    Parameters
    ----------
    (those of Session)

    Returns
    -------
    Session
        It becomes the current one, on which ``fxlive.frame(...)`` and the like act.

    Raises
    ------
    ConnectionFailed
        Where the platform cannot be reached or refuses.
    SubscriptionError
        Where it refuses a channel.
    """
    return Session(*args, **options).open()


@_opens(Session)
async def connect_async(*args: Any, **options: Any) -> Session:
    """Connect to the platform, as `connect`, for ``await``.

    Parameters
    ----------
    (those of Session)
    """
    return await Session(*args, **options).open_async()


def sessions() -> list[Session]:
    """Return the open sessions, the current one last."""
    return list(session_order)


def current() -> Session:
    """Return the current session: the one opened last, or chosen with `use`.

    Raises
    ------
    NoSession
        Where none is open.
    """
    if not session_order:
        raise NoSession("No session is open. Call fxlive.connect(url, token), or fxlive.demo() to try.")
    return session_order[-1]


def use(session: Session | str) -> Session:
    """Make a session, or the open one of that name, the current one.

    Raises
    ------
    NoSession
        Where none of that name is open, or what is passed is no session, such as a capture.
    SessionClosed
        Where it is closed.
    """
    session = _meant(session)
    if session.state == "closed":
        raise SessionClosed(f"The session {session.name!r} is closed. Open a new one with fxlive.connect(...).")
    if session in session_order:
        session_order.remove(session)
    session_order.append(session)
    return session


def close(session: Session | str | None = None) -> None:
    """Close the current session, or that one; what has come stays readable. Where none is open, nothing is to be done.

    Parameters
    ----------
    session
        A session, or the name of an open one. Default: the current one.

    Raises
    ------
    NoSession
        Where none of that name is open, or what is passed is no session.

    Examples
    --------
    >>> import fxlive
    >>> session = fxlive.use(fxlive.Session.offline())
    >>> fxlive.close()
    >>> session.state, fxlive.close()
    ('closed', None)
    """
    if session is not None:
        _meant(session).close()
    elif session_order:
        current().close()


def _meant(session: Any) -> Session:
    """Return a session, or the open one of that name."""
    if isinstance(session, Session):
        return session
    names = ", ".join(open_sessions) or "none"
    if isinstance(session, str):
        if session not in open_sessions:
            raise NoSession(f"No session called {session!r} is open. Open: {names}.")
        return open_sessions[session]
    raise NoSession(
        f"What was passed is no session, but of type {type(session).__name__}. Pass a session, or the name of an open "
        f"one (open: {names}). Ask a capture itself, as in capture.frame(...), or play it with fxlive.replay(capture)."
    )


# At the end of the process, and when it is copied.


@atexit.register
def _close_all() -> None:
    for session in list(open_sessions.values()):
        with suppress(Exception):  # the interpreter is going down; there is nobody to tell
            session.close()


# A fork copies locks as they are, held or not, but none of the threads that would let them go: so they are held by who
# forks. A forked child has its parent's connections, and must not close them.

_forking: list[Session] = []


def _before_fork() -> None:
    _forking[:] = open_sessions.values()
    for session in _forking:
        session._pipeline.store.lock.acquire()


def _after_fork() -> None:
    for session in _forking:
        session._pipeline.store.lock.release()
    _forking.clear()


def _after_fork_in_child() -> None:
    for session in _forking:
        session._pipeline.abandon()
        session.recording = None
    _after_fork()
    open_sessions.clear()
    session_order.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
