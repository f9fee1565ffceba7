"""Recorder: writes everything that arrives to a capture, on its own thread, and survives what it runs in and on.

The feed only puts rows into a queue. Twice in each flush interval the thread writes what has come as one part for each
channel; in between it merges parts, a row group at a time and for a small share of the time. What is older than the
flush interval is therefore on disk, whatever becomes of the process. Where the disk fails, rows wait, up to the bounds
of the queue; the rest is dropped, counted, and a row in `_gaps` once writing goes on.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from fxlive.capture.format import manifest, notes
from fxlive.capture.format.chunk import Chunk, chunk
from fxlive.capture.format.disk import Disk
from fxlive.capture.format.layout import GAPS, REJECTED, capture_name
from fxlive.capture.format.manifest import ChannelEntry, Manifest, moment, without_secrets
from fxlive.capture.writing.channel_writer import ChannelWriter
from fxlive.capture.writing.merging import Merger, merging_share
from fxlive.capture.writing.queue import Inbox
from fxlive.capture.writing.status import RecordingState, RecordingStatus, error_text
from fxlive.core.arguments import path_of
from fxlive.core.clock import now_us
from fxlive.errors import CaptureError
from fxlive.tables.store import MAX_UNDOCUMENTED_CHANNELS, Store
from fxlive.wire.batch import Batch, Rejection
from fxlive.wire.channels import CHANNELS, Channel
from fxlive.wire.messages import Connection

log = logging.getLogger("fxlive")

MAX_QUEUED_ROWS = 1_000_000
MAX_QUEUED_BYTES = 256 * 2**20
MANIFEST_EVERY_S = 5.0
SILENT_DISK_S = 5.0
_RATE_S = 10.0
_RESERVE = 1_000  # rows and kilobytes of the queue that only gaps may use


def retry_after_s(failures: int) -> float:
    """Return how long to wait after so many failed tries in a row.

    >>> [retry_after_s(n) for n in (1, 2, 3, 4, 5, 6)]
    [0.25, 0.5, 1.0, 2.0, 4.0, 5.0]
    """
    return float(min(0.25 * 2 ** (min(failures, 10) - 1), 5.0))


class Recorder:
    """A recording that runs until it is stopped.

    Parameters
    ----------
    folder
        The parent: the recording makes a folder of its own in it, named by its start and the session.
    name
        The session's name.
    url
        Where the messages come from; user, query and fragment are left out.
    store
        What the batches go into: the manifest tells of its symbols and undocumented columns, for equal frames.
    flush_s
        What is older than so many seconds is on disk.
    max_queued_rows, max_queued_bytes
        How much may wait for the disk; the bytes are an estimate.
    clock
        Gives the time in microseconds since 1970 UTC.
    disk
        Makes the files of a capture, given its folder.

    Raises
    ------
    CaptureError
        Where the folder cannot be made or written to.
    UnknownOption
        Where it is no path.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from fxlive.wire.protocol import decode
    >>> with TemporaryDirectory() as folder:
    ...     with Recorder(folder, name="default", url="memory:") as recorder:
    ...         recorder.put(decode([b"what?"], 0))
    ...     recorder.status.rows
    1
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        name: str,
        url: str,
        store: Store | None = None,
        flush_s: float = 1.0,
        max_queued_rows: int = MAX_QUEUED_ROWS,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
        clock: Callable[[], int] = now_us,
        disk: Callable[[Path], Disk] = Disk,
    ) -> None:
        start = clock()
        self.path = _make_folder(path_of(folder, "a folder"), capture_name(start, name))
        self._clock = clock
        self._disk = disk(self.path)
        self._tick_s = flush_s / 2  # the other half is for the writing itself
        self._manifest = Manifest(session=notes.clean(name), url=without_secrets(url), start=moment(start))
        try:
            manifest.write(self._manifest, self._disk)
        except OSError as error:
            reason = error_text(error)
            raise CaptureError(f"{self.path} cannot be written to: {reason}. Choose another folder.") from error
        self._manifest_due = 0.0
        self._store = store
        self._gaps = notes.GapBook()
        self._writers: dict[Channel | str, ChannelWriter] = {}
        self._wake = threading.Event()
        self._merger = Merger(self.path, self._writers.values, self._wake.is_set)
        self._inbox = Inbox(max_queued_rows, max_queued_bytes, on_many=self._wake.set)
        self._control: deque[Any] = deque(maxlen=100)
        self._progress: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._state: RecordingState = "recording"
        self._error: str | None = None
        self._failures = 0
        self._rows = self._bytes = 0
        self._free_bytes = self._disk.free_bytes()
        self._busy_since: float | None = None
        self._stop_at: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"fxlive-recorder-{name}", daemon=True)
        self._thread.start()
        atexit.register(self.stop, 5.0)  # a notebook's kernel ends without a word

    # In: called from the feed's loop, and never waiting for anything.

    def put(self, batch: Batch) -> None:
        """Record the rows and rejections of a batch whose duplicates have been dropped."""
        if self._stop_at is not None:
            return
        try:
            for rows in batch.rows.values():
                if len(rows):
                    self._inbox.put(chunk(rows))
            if batch.rejected:
                self._inbox.put(notes.rejected_rows(batch.rejected))
            if batch.control:
                self._control.extend(message for message in batch.control if isinstance(message, Connection))
        except Exception:  # a fault of ours must not reach the feed
            log.exception("a batch could not be recorded")
            self._inbox.dropped += sum(map(len, batch.rows.values()))

    def gap(self, start_us: int, end_us: int | None, reason: str, channels: Iterable[str]) -> None:
        """Record a time in which messages may have been lost.

        A gap without an end is recorded again when it ends, with the same start and reason.
        """
        if self._stop_at is None:
            gap = notes.Gap(start_us, end_us, reason, tuple(channels))
            self._inbox.put(notes.gap_rows(gap, self._clock()), reserve=_RESERVE)

    # What a user sees.

    def __repr__(self) -> str:
        return f"<fxlive recording: {self.status}>"

    @property
    def status(self) -> RecordingStatus:
        """How the recording fares now; never waits for the disk."""
        state, error, busy_since = self._state, self._error, self._busy_since or self._merger.busy_since
        if state == "recording" and busy_since is not None and time.monotonic() - busy_since > SILENT_DISK_S:
            state, error = "stalled", f"the disk has not answered for {time.monotonic() - busy_since:.0f} s"
        return RecordingStatus(
            path=self.path,
            state=state,
            rows=self._rows,
            bytes=self._bytes,
            rows_per_s=0.0 if state == "stopped" else self._rows_per_s(),
            waiting=self._inbox.waiting_rows,
            dropped=self._inbox.dropped,
            disk_free_bytes=self._free_bytes,
            error=error,
        )

    def _rows_per_s(self) -> float:
        since, before = self._progress[0]
        return (self._rows - before) / max(time.monotonic() - since, 1e-3)

    def stop(self, timeout: float = 30.0) -> RecordingStatus:
        """Write what is there, merge it, finish the manifest, and return how it ended; may be called twice.

        Where the disk fails until the time (seconds) is over, what could not be written is dropped and counted.
        """
        if self._stop_at is None:
            self._stop_at = time.monotonic() + timeout
            self._wake.set()
        self._thread.join(timeout + 1.0)
        atexit.unregister(self.stop)
        return self.status

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # The recorder's thread.

    def _run(self) -> None:
        while self._stop_at is None:
            began = time.monotonic()
            flushed = self._flush()
            wait_s = self._tick_s if flushed else retry_after_s(self._failures)
            if flushed:
                rows_per_s = self._rows_per_s()
                self._merger.run(self._tick_s * merging_share(rows_per_s), rows_per_s)
            while self._stop_at is None and self._wake.wait(max(0.0, began + wait_s - time.monotonic())):
                self._wake.clear()
                self._take()
        self._finish(self._stop_at)

    def _take(self) -> None:
        """Make ready what has come, so that its Python objects are gone soon; the next flush writes it."""
        try:
            self._sort(self._inbox.take())
        except Exception as error:
            log.exception("the recorder failed")
            self._stalled(error)

    def _finish(self, deadline: float) -> None:
        while not self._flush() or self._inbox.waiting_rows:  # a flush may put a gap into the queue
            left = deadline - time.monotonic()
            if left <= 0:
                break
            if self._failures:
                time.sleep(min(retry_after_s(self._failures), left))
        if not self._failures:
            self._merger.finish(deadline - time.monotonic())
        lost = self._inbox.waiting_rows
        self._inbox.dropped += lost
        self._manifest.end = moment(self._clock())
        if not self._flush(closing=True) and lost:
            self._error = f"{self._error}; the last {lost} rows were lost"
        self._state = "stopped"

    def _flush(self, *, closing: bool = False) -> bool:
        """Write what has come; return whether all of it is on disk."""
        self._busy_since = time.monotonic()
        try:
            self._sort(self._inbox.take())
            for writer in list(self._writers.values()):
                for rows, size in writer.write():
                    self._inbox.written(rows, size)
                    self._rows += rows
            self._write_hole()
            self._write_manifest(urgent=closing)
        except Exception as error:
            if not isinstance(error, OSError):
                log.exception("the recorder failed")
            self._stalled(error)
            return False
        finally:
            self._busy_since = None
            self._note_progress()
        if self._failures:
            log.warning("recording to %s goes on", self.path)
        self._failures, self._state, self._error = 0, "recording", None
        return True

    def _stalled(self, error: Exception) -> None:
        if not self._failures:
            log.error("recording to %s stalled: %s", self.path, error_text(error))
        self._failures += 1
        self._state, self._error = "stalled", error_text(error)

    def _sort(self, chunks: Sequence[Chunk]) -> None:
        """Hand rows to the writers of their channels."""
        of_channel: dict[Channel | str, list[Chunk]] = {}
        for rows in chunks:
            if rows.channel is GAPS:
                self._gaps.note(rows)
                self._manifest_due = 0.0
            of_channel.setdefault(_key(rows.channel), []).append(rows)
        misfits: list[Rejection] = []
        for key, some in of_channel.items():
            writer = self._writer(key, some[0].channel)
            size = sum(rows.size_bytes for rows in some)
            if writer is not None:
                before = writer.waiting_bytes
                found = writer.add(some)
                size -= writer.waiting_bytes - before
            else:
                found = [misfit for rows in some for misfit in notes.refused(rows, _TOO_MANY)]
            self._inbox.written(len(found), size)
            misfits += found
        if misfits:
            self._inbox.put(notes.rejected_rows(misfits))
            self._sort(self._inbox.take())

    def _writer(self, key: Channel | str, channel: Channel) -> ChannelWriter | None:
        writer = self._writers.get(key)
        if writer is None:
            undocumented = sum(isinstance(known, str) for known in self._writers)
            if isinstance(key, str) and undocumented >= MAX_UNDOCUMENTED_CHANNELS:
                return None
            writer = self._writers[key] = ChannelWriter(channel, self._disk)
            self._manifest_due = 0.0
        return writer

    def _write_hole(self) -> None:
        hole = self._inbox.take_hole()
        if hole is not None:
            gap = notes.gap_of(hole, self._error)
            log.warning("%s rows were %s", gap.lost_rows, gap.reason)
            self._inbox.put(notes.gap_rows(gap, self._clock()), reserve=_RESERVE)

    def _write_manifest(self, *, urgent: bool) -> None:
        about = self._manifest
        if self._store is not None:
            symbols, drift = map(notes.clean, self._store.symbols), self._store.drift()
            known, about.symbols, about.drift = (about.symbols, about.drift), list(symbols), drift
            urgent = urgent or known != (about.symbols, about.drift)  # no frame can be made like ours without them
        if not urgent and time.monotonic() < self._manifest_due:
            return
        while self._control:
            message = self._control.popleft()
            about.session_id = _id(message.session_id) or about.session_id
            about.user_id = _id(message.user_id) or about.user_id
        about.channels = {
            writer.channel.name: ChannelEntry(
                writer.folder, writer.rows, moment(writer.first_received_at or 0), moment(writer.last_received_at or 0)
            )
            for writer in self._writers.values()
            if writer.rows and writer.channel not in _OWN
        }
        rejected = self._writers.get(REJECTED)
        about.rejected = 0 if rejected is None else rejected.rows
        about.dropped = self._inbox.dropped
        about.gaps = self._gaps.entries()
        manifest.write(about, self._disk)
        self._manifest_due = time.monotonic() + MANIFEST_EVERY_S

    def _note_progress(self) -> None:
        now = time.monotonic()
        self._bytes = sum(writer.size_bytes for writer in self._writers.values())
        self._free_bytes = self._disk.free_bytes()
        self._progress.append((now, self._rows))
        while len(self._progress) > 2 and self._progress[0][0] < now - _RATE_S:
            self._progress.popleft()


_OWN = (GAPS, REJECTED)
_TOO_MANY = f"more than {MAX_UNDOCUMENTED_CHANNELS} channels that the reference does not name"


def _key(channel: Channel) -> Channel | str:
    """Return what a channel's writer goes by: each batch has a new object for one that the reference does not name."""
    return channel if channel in _OWN or CHANNELS.get(channel.name) is channel else channel.name


def _make_folder(parent: Path, name: str) -> Path:
    """Make a folder that was not there."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, 10_000):
            path = parent / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir()
                return path.absolute()
            except FileExistsError:
                continue
    except OSError as error:
        raise CaptureError(f"{parent} cannot hold a recording: {error_text(error)}. Choose another folder.") from error
    raise CaptureError(f"{parent} holds 10,000 recordings named {name}. Choose another folder.")


def _id(value: Any) -> str | None:
    return str(value)[:200] if isinstance(value, str | int) and not isinstance(value, bool) else None
