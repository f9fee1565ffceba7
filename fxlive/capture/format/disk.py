"""Files that are there as a whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from fxlive.capture.format.layout import UNFINISHED


class Disk:
    """The files of one capture; a test can put a disk that fails in its place.

    Parameters
    ----------
    capture
        The capture's folder. It is made by the recorder, and never again: where it has gone, so has what it lay on, and
        a new one would be on another disk.
    """

    def __init__(self, capture: Path) -> None:
        self.capture = capture

    def publish(self, file: Path, write: Callable[[Path], None]) -> int:
        """Have a file written elsewhere, bring it to the disk, and give it its name; return its size in bytes."""
        unfinished = self.unfinished()
        try:
            write(unfinished)
            return self.finish(unfinished, file)
        except BaseException:
            self.remove(unfinished)
            raise

    def unfinished(self) -> Path:
        """Return a new name for a file that is being written: no tool takes it for a part, whatever becomes of it."""
        folder = self.capture / UNFINISHED
        folder.mkdir(exist_ok=True)
        return folder / f"{uuid4().hex}.tmp"

    def finish(self, unfinished: Path, file: Path) -> int:
        """Give a written file its name, when all of it is on the disk; return its size in bytes."""
        size = _sync(unfinished).st_size
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

    def remove(self, file: Path) -> bool:
        """Remove a file, and return whether it is gone."""
        try:
            file.unlink(missing_ok=True)
        except OSError:
            return False
        return True

    def free_bytes(self) -> int | None:
        """Return the room that is left; None where nobody knows."""
        try:
            return shutil.disk_usage(self.capture).free
        except OSError:
            return None

    @staticmethod
    def sync_folder(folder: Path) -> None:
        """Bring the names in a folder to the disk, where the system knows how."""
        if os.name == "posix":
            _sync(folder)


def _sync(path: Path) -> os.stat_result:
    writable = os.O_RDWR if path.is_file() else os.O_RDONLY  # Windows syncs only what it may write
    descriptor = os.open(path, writable)
    try:
        os.fsync(descriptor)
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)
