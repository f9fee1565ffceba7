"""Concealing a secret in texts of others that are shown or stored, such as error messages of a server.

Only texts are concealed, never bytes that are still to be decoded: no secret changes data.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from functools import lru_cache
from html.entities import html5
from urllib.parse import urlsplit, urlunsplit

from fxlive.core.secret import Secret

MIN_CHARS = 8
"""Secrets of this length are concealed anywhere, and so are their beginnings. Shorter ones could be ordinary words."""

CONCEALED = "***"

_ESCAPE = re.compile(r"[\\%&]")  # without one, searching for the text itself is enough, and much faster

_AS_TOKEN = r"((?:bearer|basic)(?:\s|%20|\+)+|(?:[?&;]|%3F|%26|&amp;)[\w.-]+(?:=|%3D))"
"""A short secret is concealed only after one of these: an authorization scheme, or the name of a URL parameter."""


class Concealment:
    r"""Replaces a secret in texts, as it is, escaped (JSON, URL, HTML), in base64 or hex, whole or cut short.

    Parameters
    ----------
    secret
        A text. If it has fewer than 8 characters, it is replaced only after ``Bearer`` and in the query of a URL.

    Examples
    --------
    >>> concealment = Concealment(Secret("abc+def/ghi"))
    >>> concealment.conceal(r"bad token abc\u002Bdef\/ghi"), concealment.conceal("Bearer abc%2bdef%2Fg...")
    ('bad token ***', 'Bearer ***...')
    >>> Concealment(Secret("demo")).conceal("demo: no token ?token=demo")
    'demo: no token ?token=***'
    """

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self._short: Secret | None = None
        if len(secret.reveal()) < MIN_CHARS:
            pattern = _AS_TOKEN + _units(secret.reveal()) + r"(?![\w.~+/-])"
            self._short = Secret(re.compile(pattern, re.IGNORECASE))
            del pattern
        else:
            self._forms = Secret([(form[:MIN_CHARS], _units(form[:MIN_CHARS]), form) for form in _forms(secret)])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Concealment) and self._secret == other._secret

    def __hash__(self) -> int:
        return hash(self._secret)

    def conceal(self, text: str) -> str:
        """Return the text with ``***`` for the secret and for its beginnings of at least 8 characters."""
        if self._short is not None:
            return str(self._short.reveal().sub(rf"\1{CONCEALED}", text))
        escaped = _ESCAPE.search(text)
        for beginning, pattern, form in self._forms.reveal():
            if escaped or beginning in text:
                text = _replace(text, re.compile(pattern), form)
        return text


def _replace(text: str, beginning: re.Pattern[str], form: str) -> str:
    """Replace each match of the beginning, with as much of the rest of the form as follows it."""
    parts: list[str] = []
    at = 0
    while match := beginning.search(text, at):
        stop, ends = match.end(), {match.start()}
        for char in form:  # each character may be written in several ways that fit: follow all of them
            found = (way.match(text, end) for end in ends for way in _ways(char))
            ends = {following.end() for following in found if following is not None}
            if not ends:
                break
            stop = max(stop, *ends)
        parts += [text[at : match.start()], CONCEALED]
        at = stop
    return "".join([*parts, text[at:]])


def _forms(secret: Secret) -> Iterator[str]:
    """Yield a text, its bytes as hexadecimal digits, and in base64 at each of the three positions in other bytes."""
    text = secret.reveal()
    yield text
    yield text.encode().hex()
    yield text.encode().hex().upper()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + text.encode())
        whole = encoded[(0, 2, 3)[before] : 4 * ((before + len(text.encode())) // 3)].decode()
        yield whole
        if "+" in whole or "/" in whole:
            yield whole.replace("+", "-").replace("/", "_")


def _units(text: str) -> str:
    return "".join(f"(?:{'|'.join(way.pattern for way in _ways(char))})" for char in text)


@lru_cache(512)
def _ways(char: str) -> tuple[re.Pattern[str], ...]:
    """Return the patterns of a character: as it is, or escaped for JSON, a URL or HTML, once or several times."""
    code = ord(char)
    digits = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{code:02x}")
    names = "".join(f"|{re.escape(name)}" for name in sorted(_html_names().get(char, ())))
    ways = [re.escape(char)]
    # Every repetition is bounded, so that the time is proportional to the length of the text.
    for again in _repetitions(char, 0, 4):
        ways += [f"%(?:25){again}{digits}", f"&(?:amp;){again}(?:#0{{0,4}}{code}|#[xX]0{{0,4}}{digits}{names});?"]
    for again in _repetitions(char, 1, 8):
        ways += [rf"\\{again}{re.escape(char)}", rf"\\{again}(?:u00|x){digits}"]
    return tuple(map(re.compile, ways))


def _repetitions(char: str, least: int, most: int) -> list[str]:
    """Return how often an escape may be escaped itself; one by one for a character that escapes consist of."""
    return [f"{{{n}}}" for n in range(least, most + 1)] if char in r"\%&" else [f"{{{least},{most}}}"]


@lru_cache(1)
def _html_names() -> dict[str, set[str]]:
    """Return the names of each ASCII character's HTML entities, without ``;``."""
    names: dict[str, set[str]] = {}
    for name, char in html5.items():
        if len(char) == 1 and char.isascii():
            names.setdefault(char, set()).add(name.rstrip(";"))
    return names


def without_secrets(url: str) -> str:
    """Return a URL without user, password, query and fragment, to be shown or stored; empty if it is not a URL.

    >>> without_secrets("wss://me:pw@host:8765/api/ws?token=abc")
    'wss://host:8765/api/ws'
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # such as half an IPv6 address
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
