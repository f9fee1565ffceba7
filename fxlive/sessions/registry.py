"""Registry: the open sessions of this process."""

from __future__ import annotations

import atexit
import os
import threading
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from fxlive.errors import NoSession, SessionClosed


class Registered(Protocol):
    """What a registry needs of a session."""

    @property
    def name(self) -> str:
        """The name of the session."""

    @property
    def state(self) -> str:
        """``"closed"`` once it cannot be used any more."""

    def close(self) -> None:
        """Close the session."""

    def _before_fork(self) -> None:
        """Acquire every lock that the child must not inherit in a locked state."""

    def _after_fork(self, *, in_child: bool) -> None:
        """Release those locks; in the child, give up the connection, which belongs to the parent."""


S = TypeVar("S", bound=Registered)


class Registry(Generic[S]):
    """The open sessions of this process; the current one is the last.

    A registry closes its sessions when the process ends. When the process forks, it holds the sessions' locks, because
    a child inherits locks as they are but none of the threads that would release them. The child's registry is empty.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._opened: dict[str, S] = {}  # by name
        self._order: list[S] = []  # the current one last; also sessions without a connection, after `use`
        self._held: list[S] = []  # from the start of a fork to its end
        atexit.register(self.close_all)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before_fork,
                after_in_parent=self._after_fork,
                after_in_child=lambda: self._after_fork(in_child=True),
            )

    def all(self) -> list[S]:
        """Return the open sessions, the current one last."""
        with self._lock:
            return list(self._order)

    def current(self) -> S:
        """Return the current session: the one opened last, or chosen with `use`.

        Raises
        ------
        NoSession
            If no session is open.
        """
        with self._lock:
            if self._order:
                return self._order[-1]
        raise NoSession("No session is open. Call fxlive.connect(url, token), or fxlive.demo() to try.")

    def named(self, name: str) -> S | None:
        """Return the open session of a name; None if there is none."""
        with self._lock:
            return self._opened.get(name)

    def resolve(self, session: Any, kind: type[S]) -> S:
        """Return a session that was passed itself or by its name.

        Raises
        ------
        NoSession
            If no session of that name is open, or if `session` is of another type.
        """
        if isinstance(session, kind):
            return session
        with self._lock:
            names = ", ".join(self._opened) or "none"
        if isinstance(session, str):
            named = self.named(session)
            if named is None:
                raise NoSession(f"No session named {session!r} is open. Open sessions: {names}.")
            return named
        raise NoSession(
            f"Expected a session or the name of an open session, got {type(session).__name__}. Open sessions: {names}. "
            "A capture has the same methods, as in capture.frame(...); fxlive.replay(capture) plays it as a session."
        )

    def add(self, session: S) -> S | None:
        """Make a session the current one; return the session of the same name that it replaced, which is still open."""
        with self._lock:
            former = self._opened.get(session.name)
            self._opened[session.name] = session
            self._order = [other for other in self._order if other is not former and other is not session]
            self._order.append(session)
            return None if former is session else former

    def use(self, session: S) -> None:
        """Make a session the current one.

        Raises
        ------
        SessionClosed
            If it is closed.
        """
        if session.state == "closed":
            raise SessionClosed(f"The session {session.name!r} is closed. Open a new one with fxlive.connect(...).")
        with self._lock:
            self._order = [other for other in self._order if other is not session] + [session]

    def remove(self, session: S) -> None:
        """Remove a session; does nothing if it is not registered."""
        with self._lock:
            self._order = [other for other in self._order if other is not session]
            if self._opened.get(session.name) is session:
                del self._opened[session.name]

    def close_all(self) -> None:
        """Close every session; errors are ignored, because the process is about to end."""
        for session in self.all():
            with suppress(Exception):
                session.close()

    def _before_fork(self) -> None:
        self._lock.acquire()
        self._held = list(self._order)
        for session in self._held:
            session._before_fork()

    def _after_fork(self, *, in_child: bool = False) -> None:
        for session in self._held:
            session._after_fork(in_child=in_child)
        self._held = []
        if in_child:
            self._order = []
            self._opened = {}
        self._lock.release()
