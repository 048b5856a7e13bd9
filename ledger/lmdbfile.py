"""One LMDB file, opened safely: its engine, its flags, its locks, and LMDB's errors in our words.

Facts this module exists for (py-lmdb 3.0): a truncated file kills the process by SIGBUS; the wheel carries two engines that
cannot read each other's files, and an environment variable picks the default; ``create=False`` creates a single-file
environment all the same; a full disk, a failed fsync and a closed handle may all be the one class ``lmdb.Error``.

Locks. LMDB's own lock file orders readers and writers within LMDB. Ours is a ``flock`` on the data file: exclusive for a
writer, shared for a reader that cannot use LMDB's lock file. Nothing here ever opens LMDB's lock file, as closing any
descriptor of it would drop LMDB's locks.
"""

import errno
import fcntl
import os
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import lmdb

from events.errors import AdlError, DamagedError, DiskError, InternalError, MisuseError

__all__ = [
    "ENGINE",
    "ENGINE_VERSION",
    "check_file",
    "hold",
    "open_environment",
    "open_unlocked",
    "translate",
    "translate_os",
    "translated",
]

ENGINE = "lmdb"
ENGINE_VERSION = "0.9"

# The file format of engine 0.9. Given at every open, as LMDB_DEFAULT_LIB_VERSION would change it silently.
_LIB_VERSION = 0

# Address space, not disk. Never grown: growing under open readers is where LMDB has been fragile.
_MAP_BYTES = 1 << 40

# Room for tables that later versions add.
_TABLES_MAX = 16

_MAGIC = 0xBEEFC0DE
_DATA_VERSION = 1

# The start of a meta page of engine 0.9 on a 64-bit machine: magic, data version, page size, last page, transaction.
_META = struct.Struct("=16xII16xI92xQQ")
_MAGIC_AT = 16
_MAGIC_AT_NEWER = 24  # where engine 1.0 has it
_PAGE_SIZES = (4096, 8192, 16384, 32768)

_BUSY_FOR_WRITER = "this ledger has a writer already, or is being verified or read without LMDB's lock file."
_BUSY_FOR_READER = "this ledger is being written, and can only be read beside its writer through LMDB's lock file."


def check_file(path: Path) -> None:
    """Refuse what must not be given to LMDB.

    Raises ``MisuseError`` when ``path`` is no LMDB file of our engine, and ``DamagedError`` when it is one that is shorter
    than its own last page or has a broken meta page: touching a page that is not there kills the process.
    """
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            what = "a directory" if stat.S_ISDIR(kind) else "not a regular file"
            raise MisuseError(f"this is {what}, not a ledger.", file=str(path), cure="A ledger is one file.")
        with path.open("rb") as file:
            _check_pages(path, file.fileno())
    except FileNotFoundError:
        raise MisuseError("there is no such file.", file=str(path), cure="Check the path, or import into a new one.") from None
    except OSError as error:
        raise translate_os(error, path) from error


def _check_pages(path: Path, fd: int) -> None:
    head = os.pread(fd, _META.size, 0)
    if not _has_magic(head, _MAGIC_AT):
        if _has_magic(head, _MAGIC_AT_NEWER):
            raise MisuseError(f"this is a file of a newer LMDB engine than {ENGINE_VERSION}.", file=str(path))
        if any(_has_magic(os.pread(fd, _META.size, size), _MAGIC_AT) for size in _PAGE_SIZES):
            raise DamagedError("the first page is damaged.", file=str(path), cure="Restore the file from a copy.")
        raise MisuseError("this is not a ledger.", file=str(path), cure="Name a file that `adl import` or `adl demo` made.")
    pages = []
    page_bytes = _META.unpack(head)[2] if len(head) == _META.size else 0
    for at in (0, page_bytes):
        raw = os.pread(fd, _META.size, at)
        if len(raw) < _META.size:
            raise DamagedError("the file is truncated inside its first pages.", file=str(path), cure="Restore it from a copy.")
        magic, version, size, last_page, transaction = _META.unpack(raw)
        if (magic, version) != (_MAGIC, _DATA_VERSION) or size != page_bytes or size not in _PAGE_SIZES:
            raise DamagedError("a meta page is damaged.", file=str(path), cure="Restore the file from a copy.")
        pages.append((transaction, last_page))
    # The size is read after the meta pages: a writer extends the file before it names the new pages.
    have, need = os.fstat(fd).st_size, (max(pages)[1] + 1) * page_bytes
    if have < need:
        raise DamagedError(
            f"the file is truncated: it has {have:,} bytes and its own index needs {need:,}.",
            file=str(path),
            cure="Restore it from a copy.",
        )


def _has_magic(raw: bytes, at: int) -> bool:
    return int.from_bytes(raw[at : at + 4], sys.byteorder) == _MAGIC


@contextmanager
def hold(path: Path, *, exclusive: bool) -> Iterator[None]:
    """Hold the lock on the data file, or raise ``MisuseError`` at once when it cannot be had.

    ``exclusive`` is for the one writer; shared keeps writers out while a file is read without LMDB's lock file.
    """
    owner = os.getpid()
    try:
        file = path.open("rb")
    except OSError as error:
        raise translate_os(error, path) from error
    with file:
        try:
            fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            busy = _BUSY_FOR_WRITER if exclusive else _BUSY_FOR_READER
            raise MisuseError(busy, file=str(path), cure="Wait until that ends, or read a copy.") from None
        except OSError as error:
            raise translate_os(error, path) from error
        try:
            yield
        finally:
            # Said aloud, because a forked child may still share this descriptor; but never said by such a child.
            if os.getpid() == owner:
                fcntl.flock(file, fcntl.LOCK_UN)


def open_environment(path: Path, *, write: bool, held: ExitStack, create: bool = False) -> lmdb.Environment:
    """Open ``path`` and let ``held`` own it, with every default of LMDB that makes a commit durable.

    The caller has checked the file, unless it is to be created. A reader that may not write LMDB's lock file (read-only
    media, no permission in the directory) reads without it, under a shared lock on the data file: a writer is refused
    meanwhile, and the reader is refused while there is one. That is safe on one machine; over a network file system LMDB
    is not safe at all.
    """
    _check_build(path)
    with translated(path):
        try:
            return held.enter_context(_open(path, write=write, create=create, lock=True))
        except lmdb.Error as error:
            if write or not _is_forbidden(error):
                raise
        held.enter_context(hold(path, exclusive=False))
        return open_unlocked(path, held)


def open_unlocked(path: Path, held: ExitStack) -> lmdb.Environment:
    """Open ``path`` for reading without locks and without looking at it first. The caller keeps writers out."""
    return held.enter_context(_open(path, write=False, create=False, lock=False))


def _open(path: Path, *, write: bool, create: bool, lock: bool) -> lmdb.Environment:
    return lmdb.open(
        str(path),
        subdir=False,
        readonly=not write,
        create=create,
        lock=lock,
        map_size=_MAP_BYTES,
        max_dbs=_TABLES_MAX,
        mode=0o644,
        lib_version=_LIB_VERSION,
    )


def _check_build(path: Path) -> None:
    """Refuse an LMDB without py-lmdb's hardening patches: a tampered file could take over the process."""
    if not lmdb.version(subpatch=True)[3]:
        raise MisuseError(
            "this installation of lmdb lacks the patches against damaged files.",
            file=str(path),
            cure="Install the lmdb wheel, not a build against the system's library.",
        )


def _is_forbidden(error: lmdb.Error) -> bool:
    return any(os.strerror(code) in str(error) for code in (errno.EACCES, errno.EPERM, errno.EROFS))


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise any error of LMDB inside the block as one of ours."""
    try:
        yield
    except lmdb.Error as error:
        raise translate(error, path) from error


_REOPEN = "Mend the disk, then open the ledger again and read its head before writing."

# By class, the most telling first; what LMDB leaves generic is told by its text.
_BY_CLASS: tuple[tuple[type[lmdb.Error] | tuple[type[lmdb.Error], ...], type[AdlError], str, str], ...] = (
    (lmdb.MapFullError, DiskError, "the ledger has grown to the most that it can hold.", "Continue in a new ledger."),
    (lmdb.DiskError, DiskError, "the disk is full.", "Free some space, then open the ledger again."),
    (lmdb.PanicError, DiskError, "an earlier write failed.", _REOPEN),
    (lmdb.ReadonlyError, MisuseError, "the ledger is open for reading only.", "Open it with write=True."),
    (lmdb.ReadersFullError, MisuseError, "too many readers have this ledger open.", "Close some of them."),
    (lmdb.MemoryError, DiskError, "the machine gave too little address space.", "Raise its limit of virtual memory."),
    (
        (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.IncompatibleError),
        DamagedError,
        "a page of the file is damaged.",
        "Verify the ledger to see where, and restore it from a copy.",
    ),
    (lmdb.NotFoundError, DamagedError, "a table of the ledger is missing.", "Restore the file from a copy."),
)
_BY_TEXT: tuple[tuple[str, type[AdlError], str, str], ...] = (
    (
        "already open in this process",
        MisuseError,
        "this program has already opened the ledger.",
        "Use one handle, or close it first.",
    ),
    ("closed/deleted/dropped", MisuseError, "the ledger is closed.", "Open it again."),
    (os.strerror(errno.EIO), DiskError, "the disk refused to read or write, or is full.", _REOPEN),
    (os.strerror(errno.EFBIG), DiskError, "the file may not grow any further.", _REOPEN),
    (os.strerror(errno.EDQUOT), DiskError, "the disk quota is used up.", _REOPEN),
    (os.strerror(errno.EACCES), MisuseError, "permission to open this file was denied.", "Check its owner and mode."),
    (os.strerror(errno.EROFS), MisuseError, "the file system is read-only.", "Open the ledger for reading, or copy it."),
)


def translate(error: lmdb.Error, path: Path) -> AdlError:
    """Return our error for one of LMDB's."""
    for kind, ours, message, cure in _BY_CLASS:
        if isinstance(error, kind):
            return ours(message, file=str(path), cure=cure)
    for text, ours, message, cure in _BY_TEXT:
        if text in str(error):
            return ours(message, file=str(path), cure=cure)
    return InternalError(f"LMDB failed in a way that was not foreseen: {error}.", file=str(path))


def translate_os(error: OSError, path: Path) -> AdlError:
    """Return our error for one of the operating system's: the disk's fault, or the caller's choice of path."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}:
        return DiskError(f"{error.strerror}.", file=str(path), cure="Free some space or mend the disk.")
    return MisuseError(f"{error.strerror}.", file=str(path), cure="Check the path and its permissions.")
