"""The log on disk: one LMDB file, one record per event, one writer. No other module opens a write transaction.

Rules. A batch is one transaction: its events, cursors, clock index, head and run record are stored together or not at all,
and are durable when ``append`` returns. Events are never changed or removed. LMDB reports some failures only by return
value, so every one is checked. No transaction is held while the caller works: a reader that waits would keep every page
that the writer frees, and the file would grow without end.
"""

import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from itertools import islice, takewhile
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import lmdb
import msgspec

from events.beginning import beginning
from events.codec import decode_all
from events.errors import AdlError, DamagedError, DiskError, EventDecodeError, MisuseError, SequenceError
from events.model import SEMANTICS, AnyEvent, Event, LedgerOpened
from events.units import INT64_MIN
from ledger.layout import (
    CLOCK_STEP,
    HEAD_KEY,
    NO_CURSORS,
    TABLES,
    Batch,
    Tables,
    Txn,
    cursor_key,
    cursor_name,
    must,
    pack_seq,
    put_batch,
    put_run,
    unpack_at,
    unpack_seq,
)
from ledger.lmdbfile import check_file, hold, open_environment, translate, translate_os, translated
from ledger.manifest import HEADER_KEY, Header, Manifest, Run, new_run, read_header, read_manifest

__all__ = ["BATCH_EVENTS", "Ledger", "Progress", "create", "log_digest", "open_ledger"]

# What long work calls with what is done and the whole.
Progress: TypeAlias = Callable[[int, int], None]

# Events per transaction of a writer that has many: enough to make a durable commit cheap, few enough to lose little work.
BATCH_EVENTS = 1_000

# What linking fails with where a file system has no hard links: the folder was writable just before.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}

# Records read in one transaction. A reader sees the same log in any block size, as records never change.
_BLOCK = 256


def create(path: Path, opened: LedgerOpened, *, clock: Callable[[], int] = time.time_ns) -> None:
    """Make a new ledger at ``path`` with ``opened`` at seq 1 and the reserved accounts at seq 2 to 5.

    The file appears whole or not at all: it is built beside its place and linked into it; a crash may leave a folder
    ``.adl-create-*`` there, which is of no use. ``clock`` gives UTC nanoseconds for the manifest. Raises ``MisuseError`` when
    something is at ``path`` already, it cannot be written or its file system has no hard links, or when ``opened`` has
    semantics that are not this program's; ``DiskError`` when the disk fails.
    """
    if os.path.lexists(path):
        raise MisuseError("something is at this path already.", file=str(path), cure="Choose another path for a new ledger.")
    _check_semantics(opened.semantics, path)
    batch = Batch.of(beginning(opened))
    try:
        with tempfile.TemporaryDirectory(prefix=".adl-create-", dir=path.parent) as room:
            made = Path(room) / "ledger"
            _build(made, batch, clock())
            _link(made, path)
        _sync_directory(path.parent)
    except FileExistsError:
        raise MisuseError("something came to this path meanwhile.", file=str(path), cure="Choose another path.") from None
    except OSError as error:
        raise translate_os(error, path) from error
    except AdlError as error:
        # It names the place of building, which is gone by now.
        error.file = str(path)
        raise


def _build(path: Path, batch: Batch, now_ns: int) -> None:
    head = len(batch.records)
    run = msgspec.structs.replace(new_run(1, 1, now_ns), last_seq=head, status="ended")
    with translated(path), ExitStack() as held:
        env = open_environment(path, write=True, held=held, create=True)
        with env.begin(write=True) as txn:
            tables = Tables(*[env.open_db(name, txn=txn) for name in TABLES])
            must(txn.put(HEADER_KEY, msgspec.json.encode(Header()), db=tables.meta, overwrite=False))
            put_batch(txn, tables, 0, batch, INT64_MIN, run)


def _link(made: Path, path: Path) -> None:
    try:
        os.link(made, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        raise MisuseError(
            "this file system has no hard links, without which a ledger cannot appear whole or not at all.",
            file=str(path),
            cure="Make the ledger on a file system of this machine's own, and copy it when it is finished.",
        ) from error


def _sync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_semantics(semantics: int, path: Path) -> None:
    if semantics != SEMANTICS:
        raise MisuseError(
            f"this ledger has semantics version {semantics}, and this program writes version {SEMANTICS}.", file=str(path)
        )


def open_ledger(path: Path, *, write: bool = False, clock: Callable[[], int] = time.time_ns) -> "Ledger":
    """Open the ledger at ``path``, for reading unless ``write``. Use it as a context manager, or close it.

    There is one writer at a time and any number of readers, each of which may be another process. A reader that may not
    write LMDB's lock file, on read-only media or without permission in the directory, reads without it; a writer is kept
    out meanwhile. ``clock`` gives UTC nanoseconds for the manifest.

    Raises ``MisuseError`` when ``path`` is no ledger, is of a newer format, has a writer already, is already open in this
    process under any name, or may not be opened; ``DamagedError`` when the file is truncated or its parts disagree. That
    is no proof of health: verify a file that somebody else made (``ledger.verify``) before opening it.
    """
    check_file(path)
    with ExitStack() as held:
        if write:
            held.enter_context(hold(path, exclusive=True))
        env = open_environment(path, write=write, held=held)
        ledger = Ledger(path, env, writable=write, clock=clock)
        ledger._held = held.pop_all()  # noqa: SLF001  (made here and nowhere else)
    return ledger


class Ledger:
    """An open ledger. Made by ``open_ledger``. Append from one thread; read from any.

    Every method raises ``MisuseError`` after ``close`` and in a forked child: LMDB must not cross a fork.
    """

    _held: ExitStack

    def __init__(self, path: Path, env: lmdb.Environment, *, writable: bool, clock: Callable[[], int]) -> None:
        self.path = path
        self.writable = writable
        self._env = env
        self._clock = clock
        self._owner = os.getpid()
        self._closed = False
        self._failed = False
        self._run: Run | None = None
        self._latest_ns: int | None = None  # None: to be read again before the next append
        with translated(path):
            try:
                self._tables = Tables(*[env.open_db(name, create=False) for name in TABLES])
            except lmdb.NotFoundError:
                raise MisuseError(
                    "this is an LMDB file, but not a ledger.",
                    file=str(path),
                    cure="Name a file that `adl import` or `adl demo` made.",
                ) from None
        with self._reading() as txn:
            header = read_header(txn.get(HEADER_KEY, db=self._tables.meta), str(path))
            head = self._head(txn)
            with txn.cursor(self._tables.events) as cursor:
                last = unpack_seq(cursor.key()) if cursor.last() else 0
        if last != head:
            raise DamagedError(f"the log ends at {last}, its head says {head}.", file=str(path), cure="Restore it from a copy.")
        if writable:
            _check_semantics(header.semantics, path)
            with translated(path):
                # A reader that was killed would keep old pages from being used again.
                env.reader_check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the ledger; a writer's run is marked as ended. Closing twice does nothing."""
        if self._closed:
            return
        try:
            if self._run is not None and not self._failed and os.getpid() == self._owner:
                with self._writing() as txn:
                    run = msgspec.structs.replace(self._run, last_seq=self._head(txn), status="ended")
                    put_run(txn, self._tables, run)
        finally:
            self._closed = True
            self._held.close()

    @property
    def head(self) -> int:
        """The last seq of the log, 5 or more."""
        with self._reading() as txn:
            return self._head(txn)

    def append(self, events: Sequence[Event], *, expected_head: int, cursors: Mapping[str, bytes] = NO_CURSORS) -> int:
        """Store ``events`` after ``expected_head`` in one durable transaction with ``cursors``, and return the new head.

        All of it is stored or nothing. Cursors may be set without events; with neither, nothing is written. Raises
        ``SequenceError`` when the head is not ``expected_head``, ``EventEncodeError`` when an event cannot be stored,
        ``MisuseError`` for a second LedgerOpened or a ledger open for reading. After a ``DiskError`` nobody can say what
        the operating system still holds, so this handle refuses every further append: open the ledger again, and read its
        head first.
        """
        self._check_usable()
        if not self.writable:
            raise MisuseError("the ledger is open for reading only.", file=str(self.path), cure="Open it with write=True.")
        if self._failed:
            raise DiskError("an earlier write failed.", file=str(self.path), cure="Open the ledger again and read its head.")
        if any(type(event) is LedgerOpened for event in events):
            raise MisuseError("a ledger is opened once, by its first event.", file=str(self.path))
        if not (events or cursors):
            return self._expect(self.head, expected_head)
        batch = Batch.of(events, cursors)
        # Taken away until the commit is known to have worked: an interrupt may fall anywhere.
        latest_ns, self._latest_ns = self._latest_ns, None
        if latest_ns is None:
            latest_ns = self._find_latest_ns()
        run = self._run
        with self._writing() as txn:
            head = self._expect(self._head(txn), expected_head)
            if run is None and events:
                run = self._begin_run(txn, head)
            latest_ns = put_batch(txn, self._tables, head, batch, latest_ns, run if self._run is None else None)
        self._run, self._latest_ns = run, latest_ns
        return head + len(events)

    def scan(self, first: int = 1, last: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield ``(seq, canonical bytes)`` from ``first`` to ``last``, by default the head at the first step.

        Raises ``MisuseError`` when ``first`` is below 1 or ``last`` past the head, ``DamagedError`` at the first seq that
        is not there. An unfinished scan holds nothing open.
        """
        for begin, raws in self.blocks(first, last):
            yield from enumerate(raws, begin)

    def blocks(self, first: int = 1, last: int | None = None) -> Iterator[tuple[int, list[bytes]]]:
        """Yield what ``scan`` does by the hundreds, as ``(seq of the first, canonical bytes)``: the fast way to read a log."""
        first, last = self._bounds(first, last)
        while first <= last:
            end = min(last, first + _BLOCK - 1)
            raws, reached = self._block(first, end)
            if reached == pack_seq(end):
                yield first, raws
            else:
                sound = self._up_to_gap(first, end)
                if sound:
                    yield first, sound
                raise self._missing(first + len(sound))
            first = end + 1

    def events(self, first: int = 1, last: int | None = None) -> Iterator[tuple[int, AnyEvent]]:
        """Yield ``(seq, event)`` as ``scan`` does. Raises ``DamagedError`` also for bytes that are no event."""
        for begin, events in self.event_blocks(first, last):
            yield from enumerate(events, begin)

    def event_blocks(self, first: int = 1, last: int | None = None) -> Iterator[tuple[int, list[AnyEvent]]]:
        """Yield what ``events`` does by the hundreds, as ``blocks`` does. An event that is damaged ends the block before it."""
        for begin, raws in self.blocks(first, last):
            try:
                events = decode_all(raws, begin)
            except EventDecodeError as error:
                seq = error.seq or begin
                if seq > begin:
                    yield begin, decode_all(raws[: seq - begin], begin)
                raise self._unreadable(seq, error) from error
            yield begin, events

    def read(self, seq: int) -> bytes:
        """Return the canonical bytes at ``seq``. Raises ``MisuseError`` when the log has no such seq."""
        with self._reading() as txn:
            head = self._head(txn)
            if not 1 <= seq <= head:
                raise MisuseError(f"there is no seq {seq}: the log has 1 to {head}.", file=str(self.path))
            raw = txn.get(pack_seq(seq), db=self._tables.events)
        if raw is None:
            raise self._missing(seq)
        return raw

    def cursor(self, name: str) -> bytes | None:
        """Return the value last stored for the cursor ``name``, or None."""
        key = cursor_key(name)
        with self._reading() as txn:
            return txn.get(key, db=self._tables.cursors)

    def cursors(self, prefix: str) -> dict[str, bytes]:
        """Return the cursors whose names begin with ``prefix``, sorted by name."""
        start = prefix.encode("utf-8", "surrogatepass")
        found = {}
        with self._reading() as txn, txn.cursor(self._tables.cursors) as cursor:
            if cursor.set_range(start):
                for key, value in cursor:
                    if not key.startswith(start):
                        break
                    found[cursor_name(key)] = value
        return found

    def seq_at(self, at_ns: int) -> int:
        """Return the last seq such that no event up to it has a time later than ``at_ns``; 0 if even the first has.

        Times are evidence and may go back; so this asks for the running maximum, which does not.
        """
        with self._reading() as txn:
            low, high = 0, self._head(txn) // CLOCK_STEP
            while low < high:
                middle = (low + high + 1) // 2
                if self._clock_entry(txn, middle * CLOCK_STEP) <= at_ns:
                    low = middle
                else:
                    high = middle - 1
        found = low * CLOCK_STEP
        for seq, event in self.events(found + 1):
            if event.at_ns > at_ns:
                break
            found = seq
        return found

    def manifest(self) -> Manifest:
        """Return the format, the engine and the runs of the ledger."""
        with self._reading() as txn, txn.cursor(self._tables.meta) as cursor:
            return read_manifest(cursor, str(self.path))

    def _check_usable(self) -> None:
        if os.getpid() != self._owner:
            raise MisuseError("this ledger was opened before a fork.", file=str(self.path), cure="Open it in the child itself.")
        if self._closed:
            raise MisuseError("the ledger is closed.", file=str(self.path), cure="Open it again.")

    @contextmanager
    def _reading(self) -> Iterator[Txn]:
        self._check_usable()
        with translated(self.path), self._env.begin() as txn:
            yield txn

    @contextmanager
    def _writing(self) -> Iterator[Txn]:
        self._check_usable()
        try:
            with self._env.begin(write=True) as txn:
                yield txn
        except lmdb.Error as error:
            self._failed = True
            raise translate(error, self.path) from error

    def _head(self, txn: Txn) -> int:
        raw = txn.get(HEAD_KEY, db=self._tables.meta)
        if raw is None:
            raise DamagedError("the head is missing.", file=str(self.path), cure="Restore the file from a copy.")
        return unpack_seq(raw)

    def _expect(self, head: int, expected: int) -> int:
        if head != expected:
            cure = "Read from there and decide again."
            raise SequenceError(f"the head is {head}, not {expected}.", file=str(self.path), cure=cure)
        return head

    def _bounds(self, first: int, last: int | None) -> tuple[int, int]:
        head = self.head
        if first < 1 or (last is not None and last > head):
            raise MisuseError(f"there is no seq {last if first >= 1 else first}: the log has 1 to {head}.", file=str(self.path))
        return first, head if last is None else last

    def _block(self, first: int, last: int) -> tuple[list[bytes], bytes]:
        """Return the records from ``first`` on, as many as there should be to ``last``, and the key of the last of them.

        Keys are sorted and unique, so the right number of them with the right one at the end leaves no gap. Reading no other
        key spares a tuple for each record, and the collector's walks over them: a tenth of the time of a replay.
        """
        count = last - first + 1
        with self._reading() as txn, txn.cursor(self._tables.events) as cursor:
            if not cursor.set_key(pack_seq(first)):
                return [], b""
            raws = list(islice(cursor.iternext(keys=False), count))
            return raws, cursor.key() if len(raws) == count else b""

    def _up_to_gap(self, first: int, last: int) -> list[bytes]:
        """Return the records from ``first`` on up to the first that is not where it belongs."""
        with self._reading() as txn, txn.cursor(self._tables.events) as cursor:
            found = list(islice(cursor, last - first + 1)) if cursor.set_key(pack_seq(first)) else []
        whole = takewhile(lambda item: item[1][0] == pack_seq(item[0]), enumerate(found, first))
        return [raw for _, (_, raw) in whole]

    def _clock_entry(self, txn: Txn, seq: int) -> int:
        raw = txn.get(pack_seq(seq), db=self._tables.clock)
        if raw is None:
            raise DamagedError("the clock index has a gap.", seq=seq, file=str(self.path), cure="Verify the ledger.")
        return unpack_at(raw)

    def _find_latest_ns(self) -> int:
        """Return the latest time of the whole log, from the clock index and the events after its last entry."""
        with self._reading() as txn:
            head = self._head(txn)
            indexed = head - head % CLOCK_STEP
            latest_ns = self._clock_entry(txn, indexed) if indexed else INT64_MIN
        for _, event in self.events(indexed + 1, head):
            latest_ns = max(latest_ns, event.at_ns)
        return latest_ns

    def _begin_run(self, txn: Txn, head: int) -> Run:
        """Return the record of this handle's run, after closing the record of one that was killed."""
        with txn.cursor(self._tables.meta) as cursor:
            runs = read_manifest(cursor, str(self.path)).runs
        for run in runs:
            if run.status == "open":
                ended = msgspec.structs.replace(run, last_seq=head, status="recovered")
                put_run(txn, self._tables, ended)
        return new_run(max((run.run for run in runs), default=0) + 1, head + 1, self._clock())

    def _missing(self, seq: int) -> DamagedError:
        return DamagedError("the record is missing.", seq=seq, file=str(self.path), cure="Verify the ledger.")

    def _unreadable(self, seq: int, error: EventDecodeError) -> DamagedError:
        return DamagedError(error.message, seq=seq, file=str(self.path), cure="Verify the ledger.")


def log_digest(ledger: Ledger, last: int | None = None) -> bytes:
    """Return the SHA-256 over the log up to ``last``: of each record its length as 4 bytes big-endian, then its bytes."""
    digest = sha256()
    for _, raw in ledger.scan(1, last):
        digest.update(len(raw).to_bytes(4, "big"))
        digest.update(raw)
    return digest.digest()
