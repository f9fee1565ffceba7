"""Where captures lie: a folder of this machine, or of an object storage that fsspec knows (`s3://...`, `gs://...`)."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pyarrow import fs

from fxlive.core.arguments import path_of
from fxlive.errors import CaptureError, UnknownOption

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """What lies in a folder: its path in the file system, whether it is a folder, and its size in bytes."""

    path: str
    folder: bool
    size_bytes: int

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rsplit("/", 1)[-1]


class Files:
    """A folder and what lies in it, to be read.

    Parameters
    ----------
    path
        A path, or a URL such as ``s3://bucket/captures`` for which fsspec has a file system.

    Raises
    ------
    CaptureError
        Where fsspec, or what it needs for such a URL, is not installed.
    UnknownOption
        Where it is neither.

    Examples
    --------
    >>> Files("captures").local
    True
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            text = os.fspath(path)
        except TypeError as error:
            raise UnknownOption("path", path, ("a folder", "a URL such as s3://bucket/captures")) from error
        self.local = "://" not in text
        self.shown = text
        if self.local:
            self.filesystem = fs.LocalFileSystem()
            self.root = path_of(text).absolute().as_posix()
            return
        try:
            from fsspec.core import url_to_fs

            remote, self.root = url_to_fs(text)
        except (ImportError, ValueError) as error:
            raise CaptureError(
                f"{text} cannot be opened: {error}. Install what it needs, such as pip install fsspec s3fs."
            ) from error
        self.filesystem = fs.PyFileSystem(fs.FSSpecHandler(remote))

    def entries(self, folder: str, *, deep: bool = False) -> list[Entry]:
        """Return what lies in a folder, by name; nothing where there is none. `deep`: in the folders below it too."""
        selector = fs.FileSelector(folder, recursive=deep, allow_not_found=True)
        found = _tried_twice(lambda: self.filesystem.get_file_info(selector))
        entries = [Entry(info.path, info.type == fs.FileType.Directory, info.size or 0) for info in found]
        return sorted(entries, key=lambda entry: entry.path)

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder of that path."""
        return bool(self.filesystem.get_file_info(path).type == fs.FileType.Directory)

    def leads_out(self, path: str) -> bool:
        """Whether a path is a link, which may lead anywhere."""
        return self.local and os.path.islink(path)

    def read(self, path: str) -> bytes:
        """Return what a file holds.

        Raises
        ------
        FileNotFoundError
            Where there is none.
        """

        def read() -> bytes:
            with self.filesystem.open_input_stream(path) as stream:
                return bytes(stream.read())

        return _tried_twice(read)

    def storage(self) -> Any:
        """Return the file system for a library that asks for fsspec's; None for this machine's."""
        return None if self.local else self.filesystem.handler.fs


def _tried_twice(read: Callable[[], T]) -> T:
    """Return what is read, at the second try where the first one failed: a network may have been away for a moment."""
    try:
        return read()
    except FileNotFoundError:
        raise
    except OSError:
        return read()
