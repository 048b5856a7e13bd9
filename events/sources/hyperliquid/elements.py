"""The elements of one big JSON array of objects, or of a file with one JSON object per line, without loading the file."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from events.errors import BadInputError
from events.sources.reading import LINE_BYTES_MAX, Fingerprint, read_chunks, read_lines

__all__ = ["Splitter", "read_elements"]

# A string, with its closing quote or up to the end of what is there, or a bracket.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:(")|\\?\Z)|[\[\]{}]', re.DOTALL)
_SPACE = b" \t\r\n"
_STRING_BYTES_MAX = 1024 * 1024
_OPENING = b"[{"


class Splitter:
    """Finds top-level objects in bytes that come in pieces."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held = bytearray()
        self.done = 0  # bytes of ``held`` that were looked at
        self.start = 0  # where the current element begins
        self.gap = 0  # where the last element ended
        self.depth = 0
        self.count = 0

    def fail(self, what: str) -> BadInputError:
        """Return the error for a file that is not such an array."""
        return BadInputError(f"this is not one array of objects: {what}.", file=str(self.path), row=self.count + 1)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take in a piece and yield the elements that it completes."""
        self.held += chunk
        found: list[bytes] = []
        for token in _TOKEN.finditer(self.held, self.done):
            first = self.held[token.start()]
            if first == b'"'[0]:
                if token[1] is None:
                    # The string goes on in the next piece.
                    self.done = token.start()
                    break
            elif first in _OPENING:
                self._open(first, token.start())
            else:
                self._close(first, token.end(), found)
            self.done = token.end()
        else:
            self.done = len(self.held)
        if len(self.held) - self.done > _STRING_BYTES_MAX:
            raise self.fail("a string does not end")
        keep = self.start if self.depth > 1 else min(self.gap, self.done)
        if len(self.held) - keep > LINE_BYTES_MAX:
            raise self.fail(f"an element is over {LINE_BYTES_MAX:,} bytes")
        del self.held[:keep]
        self.done -= keep
        self.start -= keep
        self.gap -= keep
        yield from found

    def _open(self, bracket: int, at: int) -> None:
        if self.depth == 0:
            if self.count or self.held[:at].strip(_SPACE) or bracket != b"["[0]:
                raise self.fail("it does not begin with a bracket")
            self.gap = at + 1
        elif self.depth == 1:
            between = bytes(self.held[self.gap : at]).strip(_SPACE)
            if bracket != b"{"[0] or between != (b"," if self.count else b""):
                raise self.fail("between two elements stands something else than a comma")
            self.start = at
        self.depth += 1

    def _close(self, bracket: int, end: int, found: list[bytes]) -> None:
        self.depth -= 1
        if self.depth < 0:
            raise self.fail("a bracket is closed that was not opened")
        if self.depth == 1:
            self.count += 1
            self.gap = end
            found.append(bytes(self.held[self.start : end]))
        elif self.depth == 0:
            if bracket != b"]"[0] or bytes(self.held[self.gap : end - 1]).strip(_SPACE):
                raise self.fail("before its end stands something else than an object")
            self.gap = end

    def end(self) -> None:
        """Check that the array is complete."""
        if self.depth:
            raise self.fail("it ends too early")
        if bytes(self.held[self.gap :]).strip(_SPACE):
            raise self.fail("something follows its end")


def read_elements(file: Path | Fingerprint, after: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield ``(row, element)`` for the elements after ``after``; rows count elements, from 1.

    Raises ``BadInputError`` when the file is neither one array of objects nor objects on lines of their own, or ends early.
    """
    chunks = read_chunks(file)
    head = b""
    for chunk in chunks:
        head += chunk
        if head.strip(_SPACE):
            break
    if not head.lstrip(_SPACE).startswith(b"["):
        for row, (_, line) in enumerate(((n, line) for n, line in read_lines(file) if line.strip()), 1):
            if row > after:
                yield row, line
        return
    splitter, row = Splitter(file.path if isinstance(file, Fingerprint) else file), 0
    for chunk in chain((head,), chunks):
        for element in splitter.feed(chunk):
            row += 1
            if row > after:
                yield row, element
    splitter.end()
