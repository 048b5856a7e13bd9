"""Writing a ledger in the interchange format, and making a ledger from it again: the same events, byte for byte."""

from typing import BinaryIO

from events.sources.book import Book
from events.sources.interchange import write_line
from ledger.store import Ledger, Progress

__all__ = ["export_events"]

PROGRESS_EVERY = 1_024


def export_events(ledger: Ledger, out: BinaryIO, *, last: int | None = None, progress: Progress | None = None) -> int:
    """Write the events up to seq ``last`` (by default all) to ``out``, one line each, and return how many.

    The lines always begin at seq 1, as names are introduced by the events before. Nothing is held in memory but names.
    ``progress`` is called now and then with the events written and the last seq.
    Raises ``DamagedError`` when the log cannot be read, and ``BadInputError`` at an event that has no line form.
    """
    book, count = Book(), 0
    end = ledger.head if last is None else last
    for seq, event in ledger.events(1, end):
        out.write(write_line(seq, event, book))
        book.observe(event)
        count += 1
        if progress is not None and count % PROGRESS_EVERY == 0:
            progress(count, end)
    return count
