"""One Parquet file of a capture: its footer, and the check that it holds what its name says."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from fxlive.capture.format.layout import Part
from fxlive.capture.format.schema import CODES, FORMAT_VERSION, schema
from fxlive.errors import NewerCapture
from fxlive.wire.channels import Channel
from fxlive.wire.messages import Kind
from fxlive.wire.undocumented.columns import EXTRA

FORMAT = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
)
CAPTURE = "capture"
"""The field that fragments have besides their columns: the name of the capture's folder, for filters over several."""

_REQUIRED = ("timestamp", "received_at", "arrival")
FIRST_US, LAST_US = (
    int(np.datetime64(time, "us").astype(np.int64)) for time in ("0001-01-01", "9999-12-31T23:59:59.999999")
)
_MAX_ROWS = 2**26  # a recorder writes at most 2**22
_MAX_GROUP_BYTES = 2**30  # uncompressed; a recorder writes about 2**26


class PartFile:
    """A part that can be read.

    Attributes
    ----------
    part
        The part's channel, date and row numbers.
    fragment
        The file as an Arrow dataset fragment.
    size_bytes
        The size of the file.
    """

    def __init__(self, part: Part, fragment: Any, size_bytes: int) -> None:
        self.part = part
        self.fragment = fragment
        self.size_bytes = size_bytes
        self._metadata = fragment.metadata  # a reference of our own: Arrow's statistics do not outlive it
        self._spans: dict[str, tuple[int, int]] = {}

    @property
    def groups(self) -> int:
        """The number of row groups."""
        return int(self._metadata.num_row_groups)

    def rows_of(self, group: int) -> int:
        """Return the number of rows of a row group."""
        return int(self._metadata.row_group(group).num_rows)

    def runs_of_groups(self, max_rows: int) -> list[list[int]]:
        """Return the numbers of the row groups, in runs of at most about `max_rows` rows."""
        runs: list[list[int]] = [[]]
        rows = 0
        for group in range(self.groups):
            if rows and rows + self.rows_of(group) > max_rows:
                runs.append([])
                rows = 0
            runs[-1].append(group)
            rows += self.rows_of(group)
        return runs

    def span(self, column: str) -> tuple[int, int]:
        """Return the smallest and the largest value (microseconds) of a time column without missing values."""
        if column not in self._spans:
            self._spans[column] = self._span(column)
        return self._spans[column]

    def _span(self, column: str) -> tuple[int, int]:
        bounds = []
        for group in range(self.groups):
            statistics = self._metadata.row_group(group).column(self._index_of(column)).statistics
            if statistics is None or not statistics.has_min_max or not self._metadata.row_group(group).num_rows:
                values = self.fragment.to_table(columns=[column]).column(column).cast(pa.int64())
                return int(pc.min(values).as_py()), int(pc.max(values).as_py())
            bounds += [statistics.min_raw, statistics.max_raw]
        return min(bounds), max(bounds)

    def invalid_times(self) -> str | None:
        """Return what is wrong with the times of the rows; None if all are within the years 1 to 9999."""
        for column in ("timestamp", "received_at"):
            try:
                first, last = self.span(column)
            except TypeError:  # all are missing
                return f"has rows without {column}"
            if first < FIRST_US or last > LAST_US:
                return f"has a {column} outside the years 1 to 9999"
        return None

    def missing_values(self, channel: Channel) -> str | None:
        """Return which time, arrival number or integer key is missing in some row; None if each row has them all.

        Readers rely on them.
        """
        expected = schema(channel).names
        keys = [column.name for column in channel.columns if column.kind is Kind.KEY_INTEGER]
        for name in (*[name for name in _REQUIRED if name in expected], *keys):
            if self._index_of(name) < 0:
                return f"has no column {name}"
            columns = [self._metadata.row_group(group).column(self._index_of(name)) for group in range(self.groups)]
            known = all(c.statistics is not None and c.statistics.has_null_count for c in columns)
            if any(c.statistics.null_count for c in columns) if known else self._has_nulls(name):
                return f"has rows without {name}"
        return None

    def _has_nulls(self, column: str) -> bool:
        return bool(self.fragment.to_table(columns=[column]).column(column).null_count)

    def _index_of(self, column: str) -> int:
        """Return the column's index in the file, -1 if it is missing. Each field has one leaf column, lists too."""
        return int(self.fragment.physical_schema.get_field_index(column))

    @cached_property
    def has_extra(self) -> bool:
        """Whether any row has undocumented fields."""
        index = self._index_of(EXTRA)
        if index < 0:
            return False
        for group in range(self.groups):
            statistics = self._metadata.row_group(group).column(index).statistics
            if statistics is None or not statistics.has_null_count or statistics.num_values:
                return True
        return False


def mismatch(fragment: Any, part: Part, channel: Channel) -> str | None:
    """Return how a file differs from the part that its name says; None if it does not.

    A file may lack a column that a later version of fxlive added, but not the times and the arrival number of its rows.

    Raises
    ------
    NewerCapture
        If a newer version of fxlive wrote the file.
    """
    actual, expected = fragment.physical_schema, schema(channel)
    metadata = actual.metadata or {}
    version = metadata.get(b"fxlive.format", b"")
    if version.isdigit() and int(version) > FORMAT_VERSION:
        raise NewerCapture(part.file.as_posix(), int(version), FORMAT_VERSION)
    if metadata.get(b"fxlive.channel") != expected.metadata[b"fxlive.channel"]:
        return "is not a part of this channel"
    footer = fragment.metadata
    if footer.num_rows != len(part):
        return f"holds {footer.num_rows:,} rows instead of {len(part):,}"
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    if footer.num_rows > _MAX_ROWS or any(group.total_byte_size > _MAX_GROUP_BYTES for group in groups):
        return "would take more memory than any part that fxlive writes"
    if sum(group.num_rows for group in groups) != len(part) or any(group.num_rows < 0 for group in groups):
        return "has row groups that do not add up to its rows"
    for field in expected:
        index = actual.get_field_index(field.name)
        if index < 0 and field.name in _REQUIRED:
            return f"has no column {field.name}"
        if index >= 0 and not _same_type(actual.field(index).type, field.type):
            return f"has a column {field.name} of {actual.field(index).type}, not {field.type}"
    return None


def _same_type(actual: Any, expected: Any) -> bool:
    return bool(actual == expected or (expected == CODES and actual == pa.string()))
