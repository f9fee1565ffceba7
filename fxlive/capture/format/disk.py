"""Atomic writing of files: a file appears under its name when it is complete and synced to the disk."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from errno import ELOOP
from hashlib import blake2b
from pathlib import Path
from uuid import uuid4

from fxlive.capture.format.layout import UNFINISHED

_END_BYTES = 64 * 1024


class Disk:
    """The files of one capture. Tests replace it with a disk that fails.

    Parameters
    ----------
    capture
        The capture's folder. It must exist and is never created here: if it has vanished, its file system was
        unmounted, and a new folder would be on another disk.
    """

    def __init__(self, capture: Path) -> None:
        self.capture = capture

    def publish(self, file: Path, write: Callable[[Path], None]) -> int:
        """Have `write` create a file at a temporary path, sync it, and rename it to `file`; return its size in bytes.

        Raises
        ------
        OSError
            If the file cannot be written. The temporary file is deleted.
        """
        unfinished = self.unfinished()
        try:
            write(unfinished)
            return self.finish(unfinished, file)
        except BaseException:
            self.remove(unfinished)
            raise

    def unfinished(self) -> Path:
        """Return a new path for a file that is being written. No tool mistakes it for a part of the capture."""
        folder = self.capture / UNFINISHED
        self._refuse_links(folder)
        folder.mkdir(exist_ok=True)
        return folder / f"{uuid4().hex}.tmp"

    def finish(self, unfinished: Path, file: Path) -> int:
        """Sync a complete file to the disk and rename it to `file`; return its size in bytes."""
        size = _sync(unfinished).st_size
        self._refuse_links(unfinished.parent)
        self._refuse_links(file.parent)
        self._make_folder(file.parent)
        unfinished.replace(file)
        self.sync_folder(file.parent)
        return size

    def _make_folder(self, folder: Path) -> None:
        if folder == self.capture or folder.is_dir():
            return
        self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        self.sync_folder(folder.parent)

    def _refuse_links(self, folder: Path) -> None:
        """Raise OSError if a folder of the capture, or one above it in the capture, was replaced by a link."""
        while True:
            if folder.is_symlink():
                raise OSError(ELOOP, f"{folder} is a link, which may lead out of the capture; remove it")
            if folder == self.capture or folder == folder.parent:
                return
            folder = folder.parent

    def stamp(self, file: Path) -> tuple[int, int] | None:
        """Return size and time of change (nanoseconds) of a regular file; None if it does not exist.

        A file that another process has deleted, cut or replaced has another stamp than before. So has a file whose
        time alone was set, as backups do: compare its `end`.
        """
        try:
            self._refuse_links(file.parent)
            found = os.lstat(file)
        except OSError:
            return None
        return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None

    def end(self, file: Path) -> bytes | None:
        """Return a digest of the last 64 KiB of a regular file, which has a part's footer; None if it is unreadable."""
        try:
            with file.open("rb") as content:
                content.seek(max(0, os.fstat(content.fileno()).st_size - _END_BYTES))
                return blake2b(content.read(_END_BYTES), digest_size=16).digest()
        except OSError:
            return None

    def remove(self, file: Path) -> bool:
        """Delete a file of the capture; return whether it is gone."""
        try:
            self._refuse_links(file.parent)
            file.unlink(missing_ok=True)
        except OSError:
            return False
        return True

    def free_bytes(self) -> int | None:
        """Return the free space in bytes; None if it cannot be determined."""
        try:
            return shutil.disk_usage(self.capture).free
        except OSError:
            return None

    @staticmethod
    def sync_folder(folder: Path) -> None:
        """Sync the names in a folder to the disk, on systems that support it."""
        if os.name == "posix":
            _sync(folder)


def _sync(path: Path) -> os.stat_result:
    writable = os.O_RDWR if path.is_file() else os.O_RDONLY  # Windows syncs only files that are open for writing
    descriptor = os.open(path, writable)
    try:
        os.fsync(descriptor)
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)
