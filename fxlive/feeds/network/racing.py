"""Happy eyeballs (RFC 8305): of several addresses of a name, the first that answers is used.

asyncio has this, too (`happy_eyeballs_delay`), but if it is cancelled just after an address has answered, the socket
stays open until the garbage collector finds it.
"""

from __future__ import annotations

import asyncio
import socket
from itertools import chain, zip_longest
from typing import Any

NEXT_ADDRESS_AFTER_S = 0.25
"""How long an address may take before the next one is tried beside it. A family that is routed nowhere costs this
time, not the whole timeout."""

_AddressInfo = tuple[Any, Any, int, str, Any]


async def raced_socket(host: str, port: int) -> socket.socket:
    """Return a socket connected to the address of a name that answers first.

    Raises
    ------
    OSError
        If the name cannot be resolved, or none of its addresses answers.
    """
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    waiting = _alternating(infos)
    attempts: list[asyncio.Task[socket.socket]] = []
    winner: asyncio.Task[socket.socket] | None = None
    try:
        while winner is None:
            running = {attempt for attempt in attempts if not attempt.done()}
            if waiting:
                attempts.append(asyncio.create_task(_connected(waiting.pop(0))))
                running.add(attempts[-1])
            elif not running:
                return attempts[-1].result()  # raises: all have failed
            await asyncio.wait(
                running,
                timeout=NEXT_ADDRESS_AFTER_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            winner = next((attempt for attempt in attempts if attempt.done() and attempt.exception() is None), None)
        return winner.result()
    finally:
        for attempt in attempts:
            if attempt is not winner:
                attempt.cancel()
                attempt.add_done_callback(_close_socket)


def _close_socket(attempt: asyncio.Task[socket.socket]) -> None:
    """Close the socket of an attempt that was not needed, or came too late because the connection was cancelled."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


def _alternating(infos: list[_AddressInfo]) -> list[_AddressInfo]:
    """Return addresses with the families in turn, that of the first one first."""
    first = [info for info in infos if info[0] == infos[0][0]]
    others = [info for info in infos if info[0] != infos[0][0]]
    return [info for info in chain.from_iterable(zip_longest(first, others)) if info is not None]


async def _connected(info: _AddressInfo) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
