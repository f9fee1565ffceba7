"""Read access to a folder, local or in an object storage that fsspec supports (`s3://...`, `gs://...`)."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from errno import EFBIG, EINVAL
from typing import Any, TypeVar

from pyarrow import fs

from fxlive.core.arguments import path_of
from fxlive.errors import CaptureError, UnknownOption

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """A file or folder: its path in the file system, whether it is a folder, its size in bytes, whether it is regular.

    Pipes, devices and sockets are not `regular`: opening one can wait forever.
    """

    path: str
    folder: bool
    size_bytes: int
    regular: bool

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
        entries = [
            Entry(info.path, info.type == fs.FileType.Directory, info.size or 0, info.type == fs.FileType.File)
            for info in infos
        ]
        return sorted(entries, key=lambda entry: entry.path)

    def is_folder(self, path: str) -> bool:
        """Whether a path is an existing folder."""
        return bool(self.filesystem.get_file_info(path).type == fs.FileType.Directory)

    def is_link(self, path: str) -> bool:
        """Whether a path is a symbolic link, which may lead out of the root folder."""
        return self.local and os.path.islink(path)

    def check_regular(self, path: str) -> None:
        """Raise OSError if a path is a local link, pipe, device, socket or folder. Opening one could wait forever.

        Raises
        ------
        FileNotFoundError
            If the file does not exist.
        """
        if self.local and not stat.S_ISREG(os.lstat(path).st_mode):
            raise OSError(EINVAL, "it is not a regular file")

    def read(self, path: str, max_bytes: int | None = None) -> bytes:
        """Return the content of a file.

        Raises
        ------
        FileNotFoundError
            If the file does not exist.
        OSError
            If it cannot be read, is not a regular file, or has more than `max_bytes`.
        """
        self.check_regular(path)

        def read() -> bytes:
            with self.filesystem.open_input_stream(path) as stream:
                content = bytes(stream.read() if max_bytes is None else stream.read(max_bytes + 1))
            if max_bytes is not None and len(content) > max_bytes:
                raise OSError(EFBIG, f"it has more than {max_bytes / 1e6:,.0f} MB")
            return content

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
