"""What a verifier reads, in a process of its own: ``python -m ledger.examine PATH DESCRIPTOR``.

LMDB answers some damage by killing the process (SIGBUS, SIGABRT), so nothing here is called by ``ledger.verify`` directly.
What is found goes to stdout, one JSON ``Line`` at a time, at once, so that it outlives a crash. DESCRIPTOR is a file of 16
bytes that the parent shares: how many records were found good, and how many there are, each 8 bytes big-endian.
"""

import mmap
import resource
import struct
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, TypeAlias

import lmdb
import lmdb.verify
import msgspec

from events.codec import check
from events.errors import AdlError, DamagedError, EventDecodeError, MisuseError
from events.model import AnyEvent, LedgerOpened, SourceOpened
from events.units import INT64_MIN
from ledger.layout import (
    CLOCK_STEP,
    HEAD_KEY,
    SEQ_BYTES,
    TABLES,
    Tables,
    Txn,
    cursor_name,
    pack_at,
    pack_seq,
    unpack_at,
    unpack_seq,
)
from ledger.lmdbfile import open_unlocked, translated
from ledger.manifest import HEADER_KEY, RUN_PREFIX, Manifest, read_header, read_manifest

__all__ = ["COUNTS", "Finding", "Line", "Totals", "main"]

# The parent and this process share the counts in this form.
COUNTS = struct.Struct(">QQ")

# A file that is damaged everywhere is described by its first findings.
_FINDINGS_MAX = 1000

_Report: TypeAlias = Callable[[int | None, str], None]


class Finding(NamedTuple):
    """One thing that is wrong, at ``seq`` or, when that is None, with the file as a whole."""

    seq: int | None
    what: str


class Totals(msgspec.Struct, frozen=True):
    """What was read: how many records, the first and last seq (0 for none), and the digest of the log in hex."""

    events: int
    first_seq: int
    last_seq: int
    log_digest: str


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message to the parent. ``refusal`` means that the file is no ledger of ours, so there is nothing to verify."""

    finding: Finding | None = None
    refusal: str | None = None
    manifest: Manifest | None = None
    totals: Totals | None = None


def main() -> None:
    """Examine the file named on the command line and write the findings to stdout."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is an answer here, not something to be debugged
    path, descriptor = Path(sys.argv[1]), int(sys.argv[2])
    with mmap.mmap(descriptor, COUNTS.size) as counts:
        _examine(path, counts)


def _send(line: Line) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


def _examine(path: Path, counts: mmap.mmap) -> None:
    sent = 0

    def report(seq: int | None, what: str) -> None:
        nonlocal sent
        sent += 1
        if sent <= _FINDINGS_MAX:
            _send(Line(finding=Finding(seq, what)))

    _audit_structure(path, report)
    sound = not sent
    try:
        with translated(path), ExitStack() as held:
            _examine_tables(open_unlocked(path, held), path, counts, report)
    except MisuseError as error:
        if sound:
            _send(Line(refusal=error.message))
        else:
            report(None, error.message)
    except AdlError as error:
        report(error.seq, error.message)
    if sent > _FINDINGS_MAX:
        _send(Line(finding=Finding(None, f"{sent - _FINDINGS_MAX:,} further findings are not listed.")))


def _examine_tables(env: lmdb.Environment, path: Path, counts: mmap.mmap, report: _Report) -> None:
    try:
        tables = Tables(*[env.open_db(name, create=False) for name in TABLES])
    except lmdb.NotFoundError:
        raise MisuseError("this is an LMDB file, but not a ledger.") from None
    with env.begin() as txn:
        with suppress(DamagedError):  # it comes again, with the rest of the manifest
            read_header(txn.get(HEADER_KEY, db=tables.meta), str(path))
        _Log(txn, tables, counts, report).examine()
        _examine_cursors(txn, tables, report)
        _examine_names(txn, tables, report)
        with txn.cursor(tables.meta) as cursor:
            manifest = read_manifest(cursor, str(path))
        for number, run in enumerate(manifest.runs, 1):
            if run.run != number:
                report(None, f"the manifest has run {run.run} in the place of run {number}.")
        _send(Line(manifest=manifest))


def _audit_structure(path: Path, report: _Report) -> None:
    """Walk the pages without LMDB, which trusts them."""
    try:
        for what in lmdb.verify.verify(str(path)):  # type: ignore[no-untyped-call]  # lmdb types only its engine
            report(None, f"page structure: {what}")
    except Exception as error:  # noqa: BLE001  (whatever a walk over hostile bytes trips over is damage)
        report(None, f"page structure: {type(error).__name__}: {error}")


def _examine_cursors(txn: Txn, tables: Tables, report: _Report) -> None:
    with txn.cursor(tables.cursors) as cursor:
        for key, _ in cursor:
            try:
                cursor_name(key)
            except DamagedError as error:
                report(None, error.message)


def _examine_names(txn: Txn, tables: Tables, report: _Report) -> None:
    """Report tables and keys of the manifest that no version of this program makes."""
    with txn.cursor() as cursor:
        names = [key for key, _ in cursor]
    with txn.cursor(tables.meta) as cursor:
        keys = [key for key, _ in cursor]
    for name in names:
        if name not in TABLES:
            report(None, f"the file has a table that is not known: {name!r}.")
    for key in keys:
        if key not in {HEADER_KEY, HEAD_KEY} and not key.startswith(RUN_PREFIX):
            report(None, f"the manifest has a key that is not known: {key!r}.")


class _Log:
    """A walk over the log: its records in order, its clock index, its head."""

    def __init__(self, txn: Txn, tables: Tables, counts: mmap.mmap, report: _Report) -> None:
        self._txn = txn
        self._tables = tables
        self._counts = counts
        self._report_to = report
        self._faultless = True
        self._digest = sha256()
        self._records = 0
        self._first = 0
        self._last = 0
        self._sources = 0
        self._latest_ns = INT64_MIN
        self._indexed: list[int] = []  # the seqs read that the index has an entry for
        self._clock: dict[int, bytes] = {}  # what the index should say
        self._times_known = True  # false once an event could not be read: nothing can be said of the index after it

    def examine(self) -> None:
        total = self._txn.stat(self._tables.events)["entries"]
        try:
            with self._txn.cursor(self._tables.events) as cursor:
                for key, raw in cursor:
                    self._record(key, raw)
                    if self._faultless:
                        self._counts[:] = COUNTS.pack(self._last, total)
        except lmdb.Error as error:
            self._report(self._last + 1, f"LMDB cannot read on: {error}.")
            return
        if self._records != total:
            self._report(None, f"the log has {self._records} records, its index says {total}.")
        head = self._txn.get(HEAD_KEY, db=self._tables.meta)
        if head != pack_seq(self._last):
            said = "is missing" if head is None else f"says {unpack_seq(head)}"
            self._report(self._last, f"the log ends here, its head {said}.")
        self._examine_clock()
        _send(Line(totals=Totals(self._records, self._first, self._last, self._digest.hexdigest())))

    def _report(self, seq: int | None, what: str) -> None:
        self._faultless = False
        self._report_to(seq, what)

    def _record(self, key: bytes, raw: bytes) -> None:
        expected = self._last + 1
        if len(key) != SEQ_BYTES or (seq := unpack_seq(key)) < expected:
            self._report(expected, f"a record stands here under the key {key.hex()}.")
            return
        if seq > expected:
            self._report(
                expected, f"seq {expected} to {seq - 1} are missing." if seq - 1 > expected else "the record is missing."
            )
            self._times_known = False
        self._records += 1
        self._first = self._first or seq
        self._last = seq
        self._digest.update(len(raw).to_bytes(4, "big"))
        self._digest.update(raw)
        try:
            self._event(seq, check(raw, seq))
        except EventDecodeError as error:
            self._times_known = False
            self._report(seq, error.message)
        if not seq % CLOCK_STEP:
            self._indexed.append(seq)
            if self._times_known:
                self._clock[seq] = pack_at(self._latest_ns)

    def _event(self, seq: int, event: AnyEvent) -> None:
        self._latest_ns = max(self._latest_ns, event.at_ns)
        if isinstance(event, LedgerOpened) != (seq == 1):
            self._report(seq, "the ledger is opened a second time." if seq > 1 else "the first event does not open the ledger.")
        if isinstance(event, SourceOpened):
            self._sources += 1
        # After an unreadable event the number of sources is not known either.
        if event.source > self._sources and self._times_known:
            self._report(seq, f"the event names source {event.source}, and {self._sources} were opened before it.")

    def _examine_clock(self) -> None:
        with self._txn.cursor(self._tables.clock) as cursor:
            found = dict(cursor)
        # Only what was read: a damaged key may stand anywhere, and be far away.
        for seq in self._indexed:
            entry = found.pop(pack_seq(seq), None)
            if entry is None:
                self._report(seq, "the clock index has no entry for this seq.")
            elif entry != self._clock.get(seq, entry):
                said, true = unpack_at(entry), unpack_at(self._clock[seq])
                self._report(seq, f"the latest time up to here is {true}, and the clock index says {said}.")
        for key in found:
            if len(key) == SEQ_BYTES and 0 < (seq := unpack_seq(key)) <= self._last and not seq % CLOCK_STEP:
                continue  # of a record that is missing, which is said already
            self._report(None, f"the clock index has an entry that belongs to no seq: {key.hex()}.")


if __name__ == "__main__":
    main()
