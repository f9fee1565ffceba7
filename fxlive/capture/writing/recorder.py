"""The recorder: writes everything that arrives to a capture, on its own thread.

The feed puts rows into a queue and never waits for the disk. Twice per flush interval the recorder's thread writes the
rows that have arrived, as one part per channel. Between these flushes it merges parts, a row group at a time, for a
small share of the time. So rows older than the flush interval are on disk, and survive a crash of the process.

If the disk fails, rows wait in the queue. Rows that exceed the queue's bounds are dropped and counted. Once writing
works again, the dropped rows are recorded as a gap.
"""

from __future__ import annotations

import atexit
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from fxlive.capture.format import manifest, notes
from fxlive.capture.format.chunk import Chunk, to_chunk
from fxlive.capture.format.disk import Disk
from fxlive.capture.format.layout import GAPS, OWN_CHANNELS, REJECTED, capture_name
from fxlive.capture.format.manifest import ChannelEntry, Manifest, to_iso
from fxlive.capture.writing.channel_writer import ChannelWriter
from fxlive.capture.writing.merging import Merger, merging_share
from fxlive.capture.writing.queue import WriteQueue
from fxlive.capture.writing.status import RecordingState, RecordingStatus, RowRate, error_text
from fxlive.core.arguments import path_of
from fxlive.core.concealment import without_secrets
from fxlive.core.shown_text import shortened
from fxlive.core.world import WORLD, Steps, World
from fxlive.errors import CaptureError
from fxlive.tables.gaps import MAX_REASON_CHARS
from fxlive.tables.store import MAX_UNDOCUMENTED_CHANNELS, Store
from fxlive.wire.batch import Batch, Rejection
from fxlive.wire.channels import CHANNELS, Channel
from fxlive.wire.messages import Connection

log = logging.getLogger("fxlive")

MAX_QUEUED_ROWS = 1_000_000
MAX_QUEUED_BYTES = 256 * 2**20
MANIFEST_EVERY_S = 5.0
MANIFEST_BYTES_PER_S = 64 * 1024
CHECK_PARTS_EVERY_S = 5.0
SILENT_DISK_S = 5.0
_GAP_RESERVE = 1_000  # rows and kilobytes by which gaps may exceed the bounds of the queue


def retry_after_s(failures: int) -> float:
    """Return the wait in seconds after a number of consecutive failures.

    >>> [retry_after_s(n) for n in (1, 2, 3, 4, 5, 6)]
    [0.25, 0.5, 1.0, 2.0, 4.0, 5.0]
    """
    return float(min(0.25 * 2 ** (min(failures, 10) - 1), 5.0))


class Recorder:
    """A recording that runs until it is stopped.

    Parameters
    ----------
    folder
        The parent folder. The recording creates its own folder in it, named after its start and the session.
    name
        The name of the session.
    url
        The address of the platform. User, query and fragment are not recorded.
    store
        The store that receives the same batches. Its symbols and undocumented columns are saved in the manifest, so
        that frames of the capture equal those of the session.
    flush_s
        Rows older than this number of seconds are on disk.
    max_queued_rows, max_queued_bytes
        How many rows may wait for the disk; the bytes are an estimate of their memory.
    clock
        Returns the time in microseconds since 1970 UTC; by default that of `world`.
    disk
        Creates the object that writes the files of a capture folder.
    world
        The clocks, and the thread.

    Raises
    ------
    CaptureError
        If the folder cannot be created or written to.
    UnknownOption
        If `folder` is not a path.

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
        clock: Callable[[], int] | None = None,
        disk: Callable[[Path], Disk] = Disk,
        world: World = WORLD,
    ) -> None:
        self._world, self._clock = world, clock or world.now_us
        start = self._clock()
        self.path = _make_folder(path_of(folder, "a folder"), capture_name(start, name))
        self._disk = disk(self.path)
        self._flush_every_s = flush_s / 2  # the other half is for the writing itself
        self._manifest = Manifest(session=notes.clean(name), url=without_secrets(url), start=to_iso(start))
        try:
            manifest.write(self._manifest, self._disk)
        except OSError as error:
            reason = error_text(error)
            raise CaptureError(f"{self.path} cannot be written to: {reason}. Choose another folder.") from error
        self._manifest_due = self._manifest_allowed = 0.0
        self._in_manifest: tuple[int, dict[str, dict[str, str]]] = (0, {})
        self._store = store
        self._gaps = notes.GapLog()
        self._writers: dict[Channel | str, ChannelWriter] = {}
        self._worker = world.worker(f"fxlive-recorder-{name}")
        self._merger = Merger(self.path, self._writers.values, self._worker.is_woken, world)
        self.queue = WriteQueue(max_queued_rows, max_queued_bytes, on_backlog=self._worker.wake)
        self._control: deque[Any] = deque(maxlen=100)
        self._rate = RowRate(world)
        self._state: RecordingState = "recording"
        self._error: str | None = None
        self._failures = 0
        self._rows = self._bytes = self._vanished = 0
        self._vanished_files: str | None = None
        self._parts_checked_at = 0.0
        self._free_bytes = self._disk.free_bytes()
        self._busy_since: float | None = None
        self._stop_at: float | None = None
        self._worker.start(self._run())
        atexit.register(self.stop, 5.0)  # a notebook kernel may exit without closing the session

    # Called from the feed's loop: these methods never wait.

    def put(self, batch: Batch) -> None:
        """Record the rows and rejections of a batch that has been deduplicated."""
        if self._stop_at is not None:
            return
        try:
            for rows in batch.rows.values():
                if len(rows):
                    self.queue.put(to_chunk(rows))
            if batch.rejected:
                self.queue.put(notes.rejected_rows(batch.rejected))
            for name, keys in batch.confirmed.items():
                self.queue.put(notes.confirmed_rows(name, keys, batch.received_at))
            if batch.control:
                self._control.extend(message for message in batch.control if isinstance(message, Connection))
        except Exception:  # a bug here must not stop the feed
            log.exception("a batch could not be recorded")
            self.queue.dropped += sum(map(len, batch.rows.values()))

    def gap(self, start_us: int, end_us: int | None, reason: str, channels: Iterable[str]) -> None:
        """Record a time in which messages may have been lost.

        Parameters
        ----------
        start_us, end_us
            Microseconds since 1970 UTC. `end_us` is None while the gap lasts; record the gap again when it ends, with
            the same start and reason.
        reason
            The reason, for people. After 1,000 characters it is cut.
        channels
            The names of the channels.
        """
        if self._stop_at is None:
            gap = notes.Gap(start_us, end_us, shortened(reason, MAX_REASON_CHARS), tuple(channels))
            self.queue.put(notes.gap_rows(gap, self._clock()), reserve=_GAP_RESERVE)

    # Called by users.

    def __repr__(self) -> str:
        return f"<fxlive recording: {self.status}>"

    @property
    def status(self) -> RecordingStatus:
        """The current state and counters. Never waits for the disk."""
        state, error, busy_since = self._state, self._error, self._busy_since or self._merger.busy_since
        if state == "recording" and busy_since is not None and self._world.monotonic_s() - busy_since > SILENT_DISK_S:
            state, error = "stalled", f"the disk has not answered for {self._world.monotonic_s() - busy_since:.0f} s"
        return RecordingStatus(
            path=self.path,
            state=state,
            rows=self._rows - self._vanished,
            bytes=self._bytes,
            rows_per_s=0.0 if state == "stopped" else self._rate.per_s(self._rows),
            waiting=self.queue.waiting_rows,
            dropped=self.queue.dropped,
            disk_free_bytes=self._free_bytes,
            error=error or self._vanished_files,
            vanished=self._vanished,
        )

    def stop(self, timeout: float = 30.0) -> RecordingStatus:
        """Write the rows that still wait, merge the parts, complete the manifest, and return the final status.

        Calling it again has no effect and returns the same status.

        Parameters
        ----------
        timeout
            The limit in seconds. If the disk fails until then, the rows that could not be written are dropped and
            counted.
        """
        if self._stop_at is None:
            self._stop_at = self._world.monotonic_s() + timeout
            self._worker.wake()
        self._worker.join(timeout + 1.0)
        atexit.unregister(self.stop)
        return self.status

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # The recorder's thread.

    def _run(self) -> Steps:
        while self._stop_at is None:
            began = self._world.monotonic_s()
            flushed = self._flush()
            wait_s = self._flush_every_s if flushed else retry_after_s(self._failures)
            if flushed:
                rows_per_s = self._rate.per_s(self._rows)
                self._merger.run(self._flush_every_s * merging_share(rows_per_s), rows_per_s)
            while self._stop_at is None and (yield max(0.0, began + wait_s - self._world.monotonic_s())):
                self._take()
        yield from self._finish(self._stop_at)

    def _take(self) -> None:
        """Encode the rows that have arrived, which frees their Python objects; the next flush writes them."""
        try:
            self._encode(self.queue.take())
        except Exception as error:
            log.exception("the recorder failed")
            self._note_failure(error)

    def _finish(self, deadline: float) -> Steps:
        while not self._flush() or self.queue.waiting_rows:  # a flush may add a gap to the queue
            remaining_s = deadline - self._world.monotonic_s()
            if remaining_s <= 0:
                break
            if self._failures:
                yield min(retry_after_s(self._failures), remaining_s)
        if not self._failures:
            self._merger.finish(deadline - self._world.monotonic_s())
        lost = self.queue.waiting_rows
        self.queue.dropped += lost
        self._manifest.end = to_iso(self._clock())
        if not self._flush(closing=True) and lost:
            self._error = f"{self._error}; the last {lost} rows were lost"
        self._state = "stopped"

    def _flush(self, *, closing: bool = False) -> bool:
        """Write all rows that have arrived, and the manifest if it is due; return whether that succeeded."""
        self._busy_since = self._world.monotonic_s()
        try:
            self._encode(self.queue.take())
            for writer in list(self._writers.values()):
                for rows, size in writer.write():
                    self.queue.release(rows, size)
                    self._rows += rows
            self._record_dropped_rows()
            self._find_vanished(urgent=closing)
            self._write_manifest(urgent=closing)
        except Exception as error:
            if not isinstance(error, OSError):
                log.exception("the recorder failed")
            self._note_failure(error)
            return False
        finally:
            self._busy_since = None
            self._note_progress()
        if self._failures:
            log.warning("recording to %s continues", self.path)
        self._failures, self._state, self._error = 0, "recording", None
        return True

    def _note_failure(self, error: Exception) -> None:
        if not self._failures:
            log.error("recording to %s stalled: %s", self.path, error_text(error))
        self._failures += 1
        self._state, self._error = "stalled", error_text(error)

    def _encode(self, chunks: Sequence[Chunk]) -> None:
        """Pass rows to the writers of their channels; record those that cannot be encoded as rejections."""
        by_channel: dict[Channel | str, list[Chunk]] = {}
        for rows in chunks:
            if rows.channel is GAPS:
                self._gaps.add(rows)
                self._manifest_due = 0.0
            by_channel.setdefault(_writer_key(rows.channel), []).append(rows)
        rejections: list[Rejection] = []
        for key, channel_chunks in by_channel.items():
            writer = self._writer(key, channel_chunks[0].channel)
            size = sum(rows.size_bytes for rows in channel_chunks)
            if writer is not None:
                before = writer.waiting_bytes
                rejected = writer.add(channel_chunks)
                size -= writer.waiting_bytes - before
            else:
                rejected = [r for rows in channel_chunks for r in notes.as_rejections(rows, _TOO_MANY_CHANNELS)]
            self.queue.release(len(rejected), size)
            rejections += rejected
        if rejections:
            self.queue.put(notes.rejected_rows(rejections))
            self._encode(self.queue.take())

    def _writer(self, key: Channel | str, channel: Channel) -> ChannelWriter | None:
        writer = self._writers.get(key)
        if writer is None:
            undocumented = sum(isinstance(other, str) for other in self._writers)
            if isinstance(key, str) and undocumented >= MAX_UNDOCUMENTED_CHANNELS:
                return None
            writer = self._writers[key] = ChannelWriter(channel, self._disk)
            self._manifest_due = 0.0
        return writer

    def _record_dropped_rows(self) -> None:
        dropped = self.queue.take_dropped()
        if dropped is not None:
            gap = notes.gap_of_dropped_rows(dropped, self._error)
            log.warning("%s rows were %s", gap.lost_rows, gap.reason)
            self.queue.put(notes.gap_rows(gap, self._clock()), reserve=_GAP_RESERVE)

    def _find_vanished(self, *, urgent: bool) -> None:
        """Report the parts that another process has deleted or changed. Readers report their rows as missing."""
        if not urgent and self._world.monotonic_s() < self._parts_checked_at + CHECK_PARTS_EVERY_S:
            return
        found = [part for writer in list(self._writers.values()) for part in writer.vanished()]
        rows, before = sum(map(len, found)), self._vanished
        files = None
        if found:
            more = f" and {len(found) - 1:,} more" if len(found) > 1 else ""
            files = f"{found[0].file.relative_to(self.path)}{more} deleted or changed by another process"
        self._vanished, self._vanished_files = rows, files
        if rows > before:
            log.error("%d rows of %s have vanished: %s", rows, self.path, self._vanished_files)
        self._parts_checked_at = self._world.monotonic_s()

    def _write_manifest(self, *, urgent: bool) -> None:
        """Write the manifest if it is due, or at once if it lacks symbols or columns, on which frames depend.

        A large manifest is written less often: what it lacks after a crash can be read from the rows.
        """
        content, now = self._manifest, self._world.monotonic_s()
        if self._store is not None and not urgent and now >= self._manifest_allowed:
            known = len(self._store.symbols), self._store.drift()
            if known != self._in_manifest:
                self._manifest_due = 0.0
        if not urgent and now < max(self._manifest_due, self._manifest_allowed):
            return
        if self._store is not None:
            symbols, drift = self._store.symbols, self._store.drift()
            self._in_manifest = len(symbols), drift
            content.symbols, content.drift = list(map(notes.clean, symbols)), drift
        while self._control:
            message = self._control.popleft()
            content.session_id = _id(message.session_id) or content.session_id
            content.user_id = _id(message.user_id) or content.user_id
        content.channels = {
            writer.channel.name: ChannelEntry(
                writer.folder, writer.rows, to_iso(writer.first_received_at or 0), to_iso(writer.last_received_at or 0)
            )
            for writer in self._writers.values()
            if writer.rows and writer.channel not in OWN_CHANNELS
        }
        rejected = self._writers.get(REJECTED)
        content.rejected = 0 if rejected is None else rejected.rows
        content.dropped = self.queue.dropped
        content.gaps = self._gaps.entries()
        size = manifest.write(content, self._disk)
        self._manifest_due = now + MANIFEST_EVERY_S
        self._manifest_allowed = now + size / MANIFEST_BYTES_PER_S

    def _note_progress(self) -> None:
        self._bytes = sum(writer.size_bytes for writer in self._writers.values())
        self._free_bytes = self._disk.free_bytes()
        self._rate.add(self._rows)


_TOO_MANY_CHANNELS = f"more than {MAX_UNDOCUMENTED_CHANNELS} undocumented channels"


def _writer_key(channel: Channel) -> Channel | str:
    """Return the key of a channel's writer: the name of an undocumented one, whose Channel differs in each batch."""
    return channel if channel in OWN_CHANNELS or CHANNELS.get(channel.name) is channel else channel.name


def _make_folder(parent: Path, name: str) -> Path:
    """Create a new folder; if there is one of that name, add a number."""
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
    raise CaptureError(f"{parent} already holds 10,000 recordings named {name}. Choose another folder.")


def _id(value: Any) -> str | None:
    return str(value)[:200] if isinstance(value, str | int) and not isinstance(value, bool) else None
