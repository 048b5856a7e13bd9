"""How a log lies in the tables of an LMDB file, and how a batch is put there. The caller brings the transaction.

``events``: seq as 8 bytes big-endian, gap-free from 1, to canonical bytes. ``cursors``: text to bytes, the callers' own.
``clock``: at every seq divisible by 1,024, the latest ``at_ns`` up to there as 8 bytes. ``meta``: the head and the manifest.

LMDB reports some failures only by return value, so every one is checked.
"""

import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Self, TypeAlias

import lmdb
import msgspec

from events.codec import encode
from events.errors import DamagedError, MisuseError
from events.model import Event
from ledger.manifest import Run, run_key

__all__ = [
    "CLOCK_STEP",
    "HEAD_KEY",
    "NO_CURSORS",
    "SEQ_BYTES",
    "TABLES",
    "Batch",
    "Tables",
    "Txn",
    "cursor_key",
    "cursor_name",
    "must",
    "pack_at",
    "pack_seq",
    "put_batch",
    "put_run",
    "unpack_at",
    "unpack_seq",
]

# The clock index has an entry at every multiple of this. Part of the format.
CLOCK_STEP = 1024

TABLES = (b"events", b"meta", b"cursors", b"clock")
HEAD_KEY = b"head"

NO_CURSORS: Mapping[str, bytes] = MappingProxyType({})

_CURSOR_NAME_BYTES_MAX = 511  # LMDB's limit for keys

Txn: TypeAlias = "lmdb.Transaction[bytes]"

SEQ_BYTES = 8
pack_seq = struct.Struct(">Q").pack
pack_at = struct.Struct(">q").pack


def unpack_seq(raw: bytes) -> int:
    """Return the seq that ``pack_seq`` packed."""
    return int.from_bytes(raw, "big")


def unpack_at(raw: bytes) -> int:
    """Return the ``at_ns`` that ``pack_at`` packed."""
    return int.from_bytes(raw, "big", signed=True)


class Tables(NamedTuple):
    """LMDB's handles of the four tables; the library does not name their type."""

    events: Any
    meta: Any
    cursors: Any
    clock: Any


class Batch(NamedTuple):
    """What one transaction stores: the bytes and the times of its events, and the cursors."""

    records: list[bytes]
    times_ns: list[int]
    cursors: list[tuple[bytes, bytes]]

    @classmethod
    def of(cls, events: Sequence[Event], cursors: Mapping[str, bytes] = NO_CURSORS) -> Self:
        """Encode a batch. Raises ``EventEncodeError`` and ``MisuseError`` before anything is written."""
        return cls(
            [encode(event) for event in events],
            [event.at_ns for event in events],
            [(cursor_key(name), value) for name, value in sorted(cursors.items())],
        )


def cursor_key(name: str) -> bytes:
    """Return the key of a cursor. Any text will do, also a file name that is not Unicode. Raises ``MisuseError``."""
    key = name.encode("utf-8", "surrogatepass")
    if not 0 < len(key) <= _CURSOR_NAME_BYTES_MAX:
        raise MisuseError(f"a cursor's name takes 1 to {_CURSOR_NAME_BYTES_MAX} bytes, this one {len(key)}.")
    return key


def cursor_name(key: bytes) -> str:
    """Return the name whose key this is. Raises ``DamagedError`` when it is no text."""
    try:
        return key.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise DamagedError(f"the cursor {key!r} has a name that is not text.", cure="Verify the ledger.") from None


def put_batch(txn: Txn, tables: Tables, head: int, batch: Batch, latest_ns: int, run: Run | None) -> int:
    """Put a batch after ``head`` and return the latest time of the log with it. ``latest_ns`` is that before it."""
    with txn.cursor(tables.events) as cursor:
        items = [(pack_seq(seq), raw) for seq, raw in enumerate(batch.records, head + 1)]
        must(cursor.putmulti(items, append=True, overwrite=False) == (len(items), len(items)))
    for seq, at_ns in enumerate(batch.times_ns, head + 1):
        latest_ns = max(latest_ns, at_ns)
        if not seq % CLOCK_STEP:
            must(txn.put(pack_seq(seq), pack_at(latest_ns), db=tables.clock, append=True, overwrite=False))
    for name, value in batch.cursors:
        must(txn.put(name, value, db=tables.cursors))
    if run is not None:
        put_run(txn, tables, run)
    must(txn.put(HEAD_KEY, pack_seq(head + len(batch.records)), db=tables.meta))
    return latest_ns


def put_run(txn: Txn, tables: Tables, run: Run) -> None:
    """Put the record of a run in place of what it was."""
    must(txn.put(run_key(run.run), msgspec.json.encode(run), db=tables.meta))


def must(done: bool) -> None:
    """Raise ``DamagedError`` when LMDB did not put what it was given: another record is in its place."""
    if not done:
        raise DamagedError("a record stands where the next one belongs.", cure="Verify the ledger, and restore it from a copy.")
