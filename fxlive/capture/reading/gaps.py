"""The gaps of captures: those recorded by the session and its recorder, and those found in the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa

from fxlive.capture.format import manifest
from fxlive.capture.format.layout import GAPS, OWN_CHANNELS, channel_folder
from fxlive.capture.format.notes import Gap
from fxlive.capture.reading.folder import Folder
from fxlive.capture.reading.part_file import FIRST_US, LAST_US
from fxlive.capture.reading.rows import ChannelReader, part_files_of
from fxlive.core.shown_text import counted


def gaps_of(folders: Sequence[Folder], until_us: int | None = None) -> list[Gap]:
    """Return all gaps of captures, sorted by start.

    Parameters
    ----------
    folders
        The captures, sorted by start.
    until_us
        Return the gaps as they were known at this time (microseconds): later ones are left out, and one that had not
        ended has no end. None: as they are known now.
    """
    gaps = [*recorded_gaps(folders), *_missing_rows(folders), *_between(folders)]
    gaps.sort(key=lambda gap: gap.start)
    if until_us is None:
        return gaps
    begun = [gap for gap in gaps if gap.start <= until_us]
    return [gap if gap.end is None or gap.end <= until_us else replace(gap, end=None) for gap in begun]


def recorded_gaps(folders: Sequence[Folder]) -> list[Gap]:
    """Return the gaps that were recorded. If a gap was recorded again when it ended, the row with the end counts.

    In gaps without `lost_rows` the session was disconnected; the others are rows that the recorder dropped.
    """
    gaps: dict[tuple[int, str], Gap] = {}
    for folder in folders:
        gaps |= _recorded_gaps(folder)
    return list(gaps.values())


def _recorded_gaps(folder: Folder) -> dict[tuple[int, str], Gap]:
    """Return the gaps of one capture by start and reason. Gaps whose rows are lost are taken from the manifest."""
    rows = ChannelReader(GAPS, [folder]).table()
    gaps: dict[tuple[int, str], Gap] = {}
    starts = rows.column("timestamp").to_numpy().astype(np.int64).tolist()
    ends = rows.column("end").cast(pa.int64()).to_pylist()
    columns = (rows.column(name).to_pylist() for name in ("reason", "channels", "lost_rows"))
    file, damaged = f"{folder.path}/{channel_folder(GAPS)}", 0
    for start, end, reason, channels, lost_rows in zip(starts, ends, *columns, strict=True):
        valid_end = end is None or FIRST_US <= end <= LAST_US
        if reason is None or channels is None or None in channels or not valid_end:
            damaged += 1
        elif end is not None or (start, reason) not in gaps:  # the row with the end may come before the one without
            gaps[start, reason] = Gap(start, end, reason, tuple(channels), lost_rows)
    missing = 0
    for entry in [] if folder.manifest is None else folder.manifest.gaps:
        end = None if entry.end is None else manifest.to_micros(entry.end)
        gap = Gap(manifest.to_micros(entry.start), end, entry.reason, entry.channels, entry.lost_rows)
        recorded = gaps.get((gap.start, gap.reason))
        if recorded is None or (recorded.end is None and end is not None):
            gaps[gap.start, gap.reason] = gap
            missing += 1
    if damaged:
        folder.warn(file, f"has {counted(damaged, 'row')} without valid end, reason and channels, which were left out.")
    if missing:
        folder.warn(file, f"lacks {counted(missing, 'gap')}, which were taken from the manifest.")
    return gaps


def _missing_rows(folders: Sequence[Folder]) -> list[Gap]:
    """Return gaps for rows that no readable part has."""
    gaps = []
    for folder in folders:
        for channel in folder.channels():
            part_files_of(folder, channel)  # retries while a recorder merges parts
            gaps += folder.missing_rows(channel)
    return gaps


def _between(folders: Sequence[Folder]) -> list[Gap]:
    """Return the times between captures that are read as one."""
    gaps = []
    for former, following in pairwise(folders):
        received = [p.span("received_at")[1] for channel in former.channels() for p in part_files_of(former, channel)]
        end = former.manifest.end if former.manifest is not None else None
        end_us = manifest.to_micros(end) if end is not None else max(received, default=former.start_us)
        if end_us < following.start_us:
            channels = tuple(channel.name for channel in former.channels() if channel not in OWN_CHANNELS)
            gaps.append(Gap(end_us, following.start_us, "not recorded: between two recordings", channels))
    return gaps
