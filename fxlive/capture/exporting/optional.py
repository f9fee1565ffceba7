"""Imports of optional libraries, with an error that gives the install command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from shlex import quote

from fxlive.errors import CaptureError


@contextmanager
def optional_library(name: str, requirement: str) -> Iterator[None]:
    """Turn an ImportError of the block into a CaptureError that says how to install the library.

    Parameters
    ----------
    name
        The name of the module that the block imports.
    requirement
        The argument of ``pip install``. Its name is also the name of an extra of fxlive.

    Raises
    ------
    CaptureError
        If the import fails.

    Examples
    --------
    >>> with optional_library("nosuchlibrary", "nosuchlibrary"):
    ...     import nosuchlibrary
    Traceback (most recent call last):
    fxlive.CaptureError: nosuchlibrary is not installed (No module named 'nosuchlibrary'). ...
    """
    try:
        yield
    except ImportError as error:
        raise CaptureError(
            f"{name} is not installed ({error}). Install it with pip install {quote(requirement)}, "
            f"or fxlive with its extra [{requirement.partition('[')[0]}]."
        ) from error
