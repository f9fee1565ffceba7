"""A disk that fills, fails in a write, and loses unsynced files when the power fails, as a seed decides."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from errno import EIO, ENOSPC
from pathlib import Path

from fxlive.capture.format.disk import Disk
from fxlive.capture.format.layout import UNFINISHED

_REMOVED = "removed"
_TORN_SHARE = 0.5


class SimulatedDisk(Disk):
    """The files of one capture, on a disk that a run makes fail.

    Parameters
    ----------
    capture
        The capture's folder.
    outside
        A folder for the copies of removed files and for the states after power failures.
    rng
        Decides when a power failure happens and which renames and deletions it loses.
    """

    def __init__(self, capture: Path, outside: Path, rng: random.Random) -> None:
        super().__init__(capture)
        self.full = False
        """Whether no file can be written."""
        self.torn = 0
        """How many of the next files end in an error: some are written in part, some have their names already."""
        self.after_failures: list[tuple[Path, dict[str, int]]] = []
        """For each power failure, a folder with the files that are left, and the number of rows on disk by channel."""
        self.rows: Callable[[], dict[str, int]] = dict
        """Returns the number of rows of each channel that the recorder has written."""
        self._outside = outside
        self._rng = rng
        self._fails_in: int | None = None
        # Files whose names changed since their folder was synced, with copies of the files that had the names before.
        self._renamed: list[tuple[Path, Path | None]] = []
        self._removed: list[tuple[Path, Path]] = []
        self._copies = 0
        (outside / _REMOVED).mkdir(parents=True, exist_ok=True)

    def fail_soon(self) -> None:
        """Let the power fail at one of the next operations. The run goes on; `after_failures` has the files."""
        self._fails_in = self._rng.randrange(12)

    def unfinished(self) -> Path:
        """Return a path for a new file, unless the disk is full."""
        self._operation()
        if self.full:
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        return super().unfinished()

    def finish(self, unfinished: Path, file: Path) -> int:
        """Complete a file, or fail with a part of it."""
        self._operation()
        if self.full:
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        torn, self.torn = self.torn > 0, max(0, self.torn - 1)
        if torn and self._rng.random() < 0.5:
            os.truncate(unfinished, int(unfinished.stat().st_size * _TORN_SHARE))
            raise OSError(EIO, os.strerror(EIO))
        self._renamed.append((file, self._copy_of(file)))
        size = super().finish(unfinished, file)
        self._operation()
        if torn:
            raise OSError(EIO, "the names could not be synced")
        return size

    def remove(self, file: Path) -> bool:
        """Delete a file, which reappears if the power fails before its folder is synced."""
        self._operation()
        if file.parent.name != UNFINISHED and file.exists():
            self._removed.append((file, self._copy_of(file)))  # type: ignore[arg-type]
        return super().remove(file)

    def _copy_of(self, file: Path) -> Path | None:
        if not file.exists():
            return None
        self._copies += 1
        copy = self._outside / _REMOVED / str(self._copies)
        os.link(file, copy)
        return copy

    def sync_folder(self, folder: Path) -> None:  # type: ignore[override]
        """Sync the names in a folder: from now on they survive a power failure."""
        self._operation()
        self._renamed = [names for names in self._renamed if names[0].parent != folder]
        self._removed = [names for names in self._removed if names[0].parent != folder]

    def _operation(self) -> None:
        if self._fails_in is None:
            return
        if self._fails_in:
            self._fails_in -= 1
            return
        self._fails_in = None
        self._save()

    def _save(self) -> None:
        """Save the files that would be left if the power failed now."""
        state = self._outside / f"failure {len(self.after_failures)}"
        shutil.copytree(self.capture, state / self.capture.name)
        there = state / self.capture.name
        for file, copy in [*self._renamed, *self._removed]:
            if self._rng.random() < 0.5:
                lost = there / file.relative_to(self.capture)
                lost.unlink(missing_ok=True)
                if copy is not None:
                    shutil.copy(copy, lost)
        for torn in (there / UNFINISHED).glob("*"):
            os.truncate(torn, int(torn.stat().st_size * _TORN_SHARE))
        self.after_failures.append((there, self.rows()))
