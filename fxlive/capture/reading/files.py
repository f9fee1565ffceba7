"""Read access to a folder, local or in an object storage that fsspec supports (`s3://...`, `gs://...`)."""

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
    """A file or folder: its path in the file system, whether it is a folder, and its size in bytes."""

    path: str
    folder: bool
    size_bytes: int

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]


class Files:
    """The files below a root folder.

    Parameters
    ----------
    path
        A local path, or a URL such as ``s3://bucket/captures`` that fsspec has a file system for.

    Attributes
    ----------
    local
        Whether the folder is on this machine.
    shown
        The path as it was given.
    root
        The path of the folder in `filesystem`.
    filesystem
        The file system of pyarrow.

    Raises
    ------
    CaptureError
        If fsspec, or a library that it needs for such a URL, is not installed.
    UnknownOption
        If `path` is not a path.

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
            absolute = path_of(text).absolute()
            self.root = (absolute.resolve() if absolute.name == ".." else absolute).as_posix()  # it names exports
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
        """Return the content of a folder, sorted by path, with `deep` also of its subfolders; empty if missing."""
        selector = fs.FileSelector(folder, recursive=deep, allow_not_found=True)
        infos = _with_one_retry(lambda: self.filesystem.get_file_info(selector))
        entries = [Entry(info.path, info.type == fs.FileType.Directory, info.size or 0) for info in infos]
        return sorted(entries, key=lambda entry: entry.path)

    def is_folder(self, path: str) -> bool:
        """Whether a path is an existing folder."""
        return bool(self.filesystem.get_file_info(path).type == fs.FileType.Directory)

    def is_link(self, path: str) -> bool:
        """Whether a path is a symbolic link, which may lead out of the root folder."""
        return self.local and os.path.islink(path)

    def read(self, path: str) -> bytes:
        """Return the content of a file.

        Raises
        ------
        FileNotFoundError
            If the file does not exist.
        """

        def read() -> bytes:
            with self.filesystem.open_input_stream(path) as stream:
                return bytes(stream.read())

        return _with_one_retry(read)

    def storage(self) -> Any:
        """Return the fsspec file system, for libraries that need one; None for a local folder."""
        return None if self.local else self.filesystem.handler.fs


def _with_one_retry(read: Callable[[], T]) -> T:
    """Call `read`, and once more if it fails, because a network may have been unavailable for a moment."""
    try:
        return read()
    except FileNotFoundError:
        raise
    except OSError:
        return read()
