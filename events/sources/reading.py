"""Reading source files: plain, ``.gz``, ``.lz4`` or ``.zst``, streamed, and fingerprinted.

The kind of compression is told by the first bytes, never by the name. Memory stays bounded by ``LINE_BYTES_MAX`` and by the
window of the compressor, whatever the file holds. A file that ends inside a compressed frame is an error, not an end.

A file may change between the pass that fingerprints it and a later one. So a reader that is given the fingerprint gets the
content that was fingerprinted or an error: no byte is given out before the block that it stands in was compared.
"""

import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from events.errors import BadInputError, DiskError, MisuseError

__all__ = ["LINE_BYTES_MAX", "Fingerprint", "fingerprint", "read_chunks", "read_head", "read_lines"]

# One hour's funding of a whole venue is one line of tens of megabytes. A line takes some times its length of memory.
LINE_BYTES_MAX = 64 * 1024 * 1024

# Content is given out and compared in blocks of this size.
_BLOCK_BYTES = 1024 * 1024

_NAME_CHARS_MAX = 256
_HEAD_BYTES = 64 * 1024
_LZ4 = b"\x04\x22\x4d\x18"
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BOM = b"\xef\xbb\xbf"

# Bytes given to a decompressor at once, so that what comes out stays below 32 MiB even when a file was made to burst.
_GZIP_STEP = 16 * 1024
_LZ4_STEP = 64 * 1024
_ZSTD_STEP = 1024
_ZSTD_WINDOW_MAX = 128 * 1024 * 1024


class Fingerprint(NamedTuple):
    """What identifies a source file. ``sha256`` is of the file as given, ``content_sha256`` of its decompressed bytes.

    ``lines`` counts what ``read_lines`` yields. ``marks`` holds the SHA-256 of the content up to the end of each block.
    """

    name: str
    path: Path
    sha256: bytes
    content_sha256: bytes
    content_bytes: int
    lines: int
    marks: tuple[bytes, ...]


class _Decompressor(Protocol):
    """What the three libraries share. ``unused_data`` is what follows the end of the frame."""

    def decompress(self, data: bytes, /) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...


class _Coding(NamedTuple):
    make: Callable[[], _Decompressor]
    error: type[Exception]
    step: int
    padded: bool


def _needs(library: str, path: Path, error: ImportError) -> MisuseError:
    wrong = MisuseError(
        f"this file is compressed and the package {library} is not installed.",
        cure="Install it with: pip install adl-ledger[archives]",
        file=str(path),
    )
    wrong.__cause__ = error
    return wrong


def _lz4(path: Path) -> _Coding:
    try:
        import lz4.frame  # noqa: PLC0415 - an optional package, needed only for such a file
    except ImportError as error:
        raise _needs("lz4", path, error) from error
    make = cast("Callable[[], _Decompressor]", lz4.frame.LZ4FrameDecompressor)
    return _Coding(make, RuntimeError, _LZ4_STEP, padded=False)


def _zstd(path: Path) -> _Coding:
    try:
        import zstandard  # noqa: PLC0415 - an optional package, needed only for such a file
    except ImportError as error:
        raise _needs("zstandard", path, error) from error
    machine = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_MAX)
    return _Coding(lambda: cast("_Decompressor", machine.decompressobj()), zstandard.ZstdError, _ZSTD_STEP, padded=False)


def _gzip() -> _Coding:
    return _Coding(lambda: zlib.decompressobj(wbits=31), zlib.error, _GZIP_STEP, padded=True)


def _coding(head: bytes, path: Path) -> _Coding | None:
    if head.startswith(_LZ4):
        return _lz4(path)
    if head.startswith(_ZSTD):
        return _zstd(path)
    return _gzip() if head.startswith(_GZIP) else None


def _raw_chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(_HEAD_BYTES):
                yield chunk
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise MisuseError(f"this file cannot be opened: {error.strerror}.", file=str(path)) from error
    except OSError as error:
        raise DiskError(f"this file cannot be read: {error.strerror}.", file=str(path)) from error


def _decompressed(chunks: Iterator[bytes], coding: _Coding, path: Path) -> Iterator[bytes]:
    """Yield the content of one or more frames that follow each other."""
    machine: _Decompressor | None = None
    try:
        for chunk in chunks:
            for start in range(0, len(chunk), coding.step):
                data = chunk[start : start + coding.step]
                while data:
                    if machine is None:
                        # gzip files may be padded with zeros between and after their members.
                        data = data.lstrip(b"\0") if coding.padded else data
                        if not data:
                            break
                        machine = coding.make()
                    out = machine.decompress(data)
                    data = (machine.unused_data or b"") if machine.eof else b""
                    machine = None if machine.eof else machine
                    if out:
                        yield out
    except coding.error as error:
        raise BadInputError(
            f"this file is not what its first bytes say: {error}.", cure="Fetch it again.", file=str(path)
        ) from error
    if machine is not None:
        raise BadInputError("this compressed file ends too early.", cure="Fetch it again.", file=str(path))


def _chunks(path: Path, raw: Iterator[bytes]) -> Iterator[bytes]:
    first = next(raw, b"")

    def all_raw() -> Iterator[bytes]:
        yield first
        yield from raw

    coding = _coding(first, path)
    return all_raw() if coding is None else _decompressed(all_raw(), coding, path)


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in blocks, of which the last may be shorter."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        whole = len(held) - len(held) % _BLOCK_BYTES
        for start in range(0, whole, _BLOCK_BYTES):
            yield bytes(held[start : start + _BLOCK_BYTES])
        del held[:whole]
    if held:
        yield bytes(held)


def _changed(file: Fingerprint) -> BadInputError:
    return BadInputError(
        "this file changed while it was read.",
        cure="Give the file back as it was, and import it again: it goes on where it stopped.",
        file=str(file.path),
    )


def _first_of(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk[:size]
        size -= len(chunk)
        if size <= 0:
            return


def _compared(file: Fingerprint) -> Iterator[bytes]:
    """Yield the content that was fingerprinted. What was added to the file since is left."""
    content = hashlib.sha256()
    blocks = _blocks(_first_of(_chunks(file.path, _raw_chunks(file.path)), file.content_bytes))
    for mark in file.marks:
        try:
            block = next(blocks, b"")
        except BadInputError as error:
            # It was whole when it was fingerprinted.
            raise _changed(file) from error
        content.update(block)
        if content.digest() != mark:
            raise _changed(file)
        yield block


def read_chunks(file: Path | Fingerprint) -> Iterator[bytes]:
    """Yield the decompressed bytes of a file in pieces of no fixed length, without a byte order mark at the start.

    Raises ``BadInputError`` when the file is truncated or broken or is not as its fingerprint says, ``MisuseError`` when it
    cannot be opened or needs a package that is not installed, ``DiskError`` when the machine cannot read it.
    """
    blocks = _compared(file) if isinstance(file, Fingerprint) else _blocks(_chunks(file, _raw_chunks(file)))
    yield next(blocks, b"").removeprefix(_BOM)
    yield from blocks


def read_head(path: Path, size: int = _HEAD_BYTES) -> bytes:
    """Return up to ``size`` decompressed bytes from the start of a file. Errors are those of ``read_chunks``."""
    head = b""
    for chunk in read_chunks(path):
        head += chunk
        if len(head) >= size:
            break
    return head[:size]


def read_lines(file: Path | Fingerprint, after: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield ``(row, line)`` for the lines after row ``after``; rows count from 1, lines come without their line feed.

    A last line without a line feed counts. Errors are those of ``read_chunks``, and ``BadInputError`` for a line of more
    than ``LINE_BYTES_MAX`` bytes.
    """
    row, held, held_bytes = 0, list[bytes](), 0
    for chunk in read_chunks(file):
        first, *rest = chunk.split(b"\n")
        held.append(first)
        held_bytes += len(first)
        for piece in rest:
            row += 1
            if row > after:
                yield row, b"".join(held)
            held, held_bytes = [piece], len(piece)
        if held_bytes > LINE_BYTES_MAX:
            path = file.path if isinstance(file, Fingerprint) else file
            raise BadInputError(f"this line is over {LINE_BYTES_MAX:,} bytes.", file=str(path), row=row + 1)
    if held_bytes and row + 1 > after:
        yield row + 1, b"".join(held)


def fingerprint(path: Path) -> Fingerprint:
    """Read a whole file once and return what identifies it. Errors are those of ``read_chunks``."""
    whole, content = hashlib.sha256(), hashlib.sha256()
    content_bytes, lines, last, marks = 0, 0, b"\n", list[bytes]()

    def hashed() -> Iterator[bytes]:
        for chunk in _raw_chunks(path):
            whole.update(chunk)
            yield chunk

    for block in _blocks(_chunks(path, hashed())):
        content.update(block)
        marks.append(content.digest())
        content_bytes += len(block)
        text = block.removeprefix(_BOM) if len(marks) == 1 else block
        lines += text.count(b"\n")
        last = text[-1:] or last
    lines += last != b"\n"
    name = os.fsencode(path.name).decode("utf-8", "replace")[:_NAME_CHARS_MAX]
    return Fingerprint(name, path, whole.digest(), content.digest(), content_bytes, lines, tuple(marks))
