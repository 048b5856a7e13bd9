"""What a ledger says of itself: its format, its engine, and every run that wrote to it.

All of it stands in the table ``meta`` as JSON, so that any LMDB tool can show it. It is about the file, never part of the
log: two ledgers with the same events and different manifests replay to the same state.
"""

import platform
from collections.abc import Iterable
from importlib import metadata
from typing import Any, Literal, TypeAlias, TypeVar

import lmdb
import msgspec

from events.errors import DamagedError, MisuseError
from events.model import SEMANTICS
from ledger.lmdbfile import ENGINE, ENGINE_VERSION

__all__ = [
    "FORMAT",
    "HEADER_KEY",
    "RUN_PREFIX",
    "Header",
    "Manifest",
    "Run",
    "Status",
    "new_run",
    "read_header",
    "read_manifest",
    "run_key",
]

# The layout of the file. A newer one is refused, never guessed at.
FORMAT = 1

HEADER_KEY = b"ledger"
RUN_PREFIX = b"run/"

Status: TypeAlias = Literal["open", "ended", "recovered"]


class Header(msgspec.Struct, frozen=True):
    """The format of the file, the storage engine, and the semantics version of its events."""

    format_version: int = FORMAT
    engine: str = ENGINE
    engine_version: str = ENGINE_VERSION
    semantics: int = SEMANTICS


class Run(msgspec.Struct, frozen=True):
    """One writer, from its first append to its end. Runs are numbered from 1; the first is the making of the file.

    ``status`` is ``open`` while the run lasts or after it was killed, ``ended`` after an orderly close, ``recovered`` once
    a later run found it unended; ``last_seq`` is None while it is open. ``software``, ``python`` and ``lmdb`` are versions;
    ``semantics`` is the reducer's. ``started_at_ns`` is the writer's own clock, UTC.
    """

    run: int
    first_seq: int
    last_seq: int | None
    status: Status
    software: str
    semantics: int
    python: str
    lmdb: str
    started_at_ns: int


class Manifest(msgspec.Struct, frozen=True):
    """The whole of what a ledger says of itself. ``runs`` are in order."""

    format_version: int
    engine: str
    engine_version: str
    semantics: int
    runs: tuple[Run, ...]


class _Format(msgspec.Struct, frozen=True):
    """The one field of the header that every format keeps."""

    format_version: int


_Part = TypeVar("_Part")


def _read(raw: bytes, kind: type[_Part], file: str) -> _Part:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DamagedError(f"the manifest cannot be read: {error}.", file=file, cure="Restore the file from a copy.") from error


def read_header(raw: bytes | None, file: str) -> Header:
    """Return the header in ``raw``, the value at ``HEADER_KEY``. ``file`` is for the text of errors.

    Raises ``MisuseError`` when it is absent or of a newer format than ours, ``DamagedError`` when it cannot be read.
    """
    if raw is None:
        raise MisuseError(
            "this is an LMDB file, but not a ledger.", file=file, cure="Name a file that `adl import` or `adl demo` made."
        )
    found = _read(raw, _Format, file).format_version
    if found > FORMAT:
        raise MisuseError(
            f"this ledger has format {found}, and this program knows formats up to {FORMAT}.",
            file=file,
            cure="Update adl-ledger.",
        )
    header = _read(raw, Header, file)
    if header.format_version != FORMAT or (header.engine, header.engine_version) != (ENGINE, ENGINE_VERSION):
        raise DamagedError("the header names a format that never was.", file=file, cure="Restore the file from a copy.")
    return header


def run_key(run: int) -> bytes:
    """Return the key of a run's record, which sorts as its number does."""
    return RUN_PREFIX + b"%08d" % run


def read_manifest(items: Iterable[tuple[bytes, bytes]], file: str) -> Manifest:
    """Return the manifest in ``items``, the table ``meta`` in the order of its keys. Raises as ``read_header`` does."""
    meta = dict(items)
    header = read_header(meta.get(HEADER_KEY), file)
    runs = tuple(_read(raw, Run, file) for key, raw in meta.items() if key.startswith(RUN_PREFIX))
    return Manifest(**msgspec.structs.asdict(header), runs=runs)


def new_run(run: int, first_seq: int, started_at_ns: int) -> Run:
    """Return the record of a run that begins now, by this program on this machine."""
    versions: dict[str, Any] = {
        "software": _software(),
        "semantics": SEMANTICS,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "lmdb": f"{lmdb.__version__} (engine {'.'.join(map(str, lmdb.version()))})",
    }
    return Run(run=run, first_seq=first_seq, last_seq=None, status="open", started_at_ns=started_at_ns, **versions)


def _software() -> str:
    try:
        return metadata.version("adl-ledger")
    except metadata.PackageNotFoundError:
        # Run from a checkout that is not installed: no number would be true.
        return "unknown"
