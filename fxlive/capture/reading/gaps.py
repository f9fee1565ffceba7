"""The times in which something of a capture may be missing: noted by the session and its recorder, or found in the
files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from fxlive.capture.format import manifest
from fxlive.capture.format.layout import GAPS, REJECTED, channel_folder
from fxlive.capture.format.notes import Gap
from fxlive.capture.reading.folder import Folder
from fxlive.capture.reading.rows import Recorded, part_files_of
from fxlive.core.arguments import micros_of


def gaps_of(folders: Sequence[Folder], until_us: int | None = None) -> list[Gap]:
    """Return the gaps of captures by their beginnings, as they were known at a moment."""
    found = sorted([*noted(folders), *_holes(folders), *_between(folders)], key=lambda gap: gap.start)
    if until_us is None:
        return found
    begun = [gap for gap in found if gap.start <= until_us]
    return [gap if gap.end is None or gap.end <= until_us else replace(gap, end=None) for gap in begun]


def noted(folders: Sequence[Folder]) -> list[Gap]:
    """Return the gaps that were recorded: of one that was written again when it ended, the row with the end counts.

    In those without `lost_rows` the session was away; the others are what the recorder dropped.
    """
    found: dict[tuple[int, str], Gap] = {}
    for folder in folders:
        found |= _noted(folder)
    return list(found.values())


def _noted(folder: Folder) -> dict[tuple[int, str], Gap]:
    """Return the gaps of one capture; those whose rows are lost are the manifest's."""
    rows = Recorded(GAPS, [folder]).table()
    found: dict[tuple[int, str], Gap] = {}
    stamps = rows.column("timestamp").to_numpy().astype(np.int64).tolist()
    columns = (rows.column(name).to_pylist() for name in ("end", "reason", "channels", "lost_rows"))
    for start, end, reason, channels, lost_rows in zip(stamps, *columns, strict=True):
        ends = None if end is None else micros_of(end)
        if ends is not None or (start, reason) not in found:  # it may end just when a recording is told that it lasts
            found[start, reason] = Gap(start, ends, reason, tuple(channels), lost_rows)
    lost = 0
    for entry in [] if folder.manifest is None else folder.manifest.gaps:
        ends = None if entry.end is None else manifest.micros(entry.end)
        gap = Gap(manifest.micros(entry.start), ends, entry.reason, entry.channels, entry.lost_rows)
        known = found.get((gap.start, gap.reason))
        if known is None or (known.end is None and ends is not None):
            found[gap.start, gap.reason] = gap
            lost += 1
    if lost:
        folder.tell(f"{folder.path}/{channel_folder(GAPS)}", f"lacks {lost:,} gaps: they are the manifest's.")
    return found


def _holes(folders: Sequence[Folder]) -> list[Gap]:
    """Return where parts are gone, damaged or foreign."""
    found = []
    for folder in folders:
        for channel in folder.channels():
            part_files_of(folder, channel)  # whatever a recorder does meanwhile
            found += folder.holes(channel)
    return found


def _between(folders: Sequence[Folder]) -> list[Gap]:
    """Return the times between captures that are read as one."""
    found = []
    for former, following in pairwise(folders):
        spans = [p.span("received_at")[1] for channel in former.channels() for p in part_files_of(former, channel)]
        end = former.manifest.end if former.manifest is not None else None
        ended = manifest.micros(end) if end is not None else max(spans, default=former.start_us)
        if ended < following.start_us:
            channels = tuple(channel.name for channel in former.channels() if channel not in (GAPS, REJECTED))
            found.append(Gap(ended, following.start_us, "not recorded: between two recordings", channels))
    return found
