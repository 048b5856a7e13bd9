"""Making a ledger from its export again: the same events at the same seqs, so the same log, byte for byte.

The rule is the prefix: what the ledger holds already must be the beginning of the file, and the rest of the file is
appended. So it does not matter where an earlier import of the file stopped. The file is read twice: once to find what is
wrong with it, and only when nothing is, to store it. A ledger cannot take an event back.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TypeAlias

from events.beginning import BEGINNING_EVENTS, beginning
from events.codec import encode
from events.errors import BadInputError, MisuseError, ReducerError
from events.model import RESERVED_ACCOUNTS, AnyEvent, LedgerOpened
from events.sources.interchange import FORMAT, read_line
from events.sources.reading import Fingerprint, fingerprint, read_lines
from ledger.store import BATCH_EVENTS, Ledger, Progress, create, log_digest, open_ledger
from ledger.totals import ImportReport, SourceReport, Totals

__all__ = ["Guard", "restore"]

# Called with an event and its seq, before it is stored.
Guard: TypeAlias = Callable[[AnyEvent, int], None]


def restore(path: Path, files: Sequence[Path], progress: Progress | None = None, guard: Guard | None = None) -> ImportReport:
    """Import the one export in ``files`` into the ledger at ``path``, making it when it is not there.

    ``guard`` is called with every event and its seq, and raises ``ReducerError`` for one that cannot be applied. Raises
    ``MisuseError`` when the ledger differs from the file at a seq that both have, or the file is not one;
    ``BadInputError`` naming the row that is wrong. Then nothing was written.
    """
    if len(files) != 1:
        raise MisuseError("an export is one file, and a ledger is made from one export.", cure="Name one file.")
    file = fingerprint(files[0])
    if progress is not None:
        progress(0, file.lines)
    opened = _check(file, guard)
    totals = Totals()
    if not os.path.lexists(path):
        create(path, opened)
    with open_ledger(path, write=True) as ledger:
        before = ledger.head
        _append(ledger, _read(file, totals), file, progress)
        for _, event in ledger.events(file.lines + 1):
            totals.observe(event)
        source = SourceReport(0, file.name, file.content_sha256.hex(), ledger.head > before, file.lines, file.lines, {})
        return totals.report(
            kind=FORMAT,
            new_events=ledger.head - before,
            head=ledger.head,
            digest=log_digest(ledger),
            sources=(source,),
            duplicates=(),
        )


def _read(file: Fingerprint, totals: Totals) -> Iterator[AnyEvent]:
    for row, line in read_lines(file):
        seq, event = read_line(line, totals.book, file=file.name, row=row)
        if seq != row:
            raise BadInputError(f"seq {seq} stands where seq {row} belongs.", file=file.name, row=row)
        if row > 1 and isinstance(event, LedgerOpened):
            raise BadInputError("a ledger is opened once, by its first event.", file=file.name, row=row)
        totals.observe(event)
        yield event


def _check(file: Fingerprint, guard: Guard | None) -> LedgerOpened:
    """Read the whole file for what is wrong with it, and return its first event."""
    events = _read(file, Totals())
    first = list(islice(events, BEGINNING_EVENTS))
    opened = _check_beginning(first, file)
    for seq, event in enumerate(chain(first, events), 1):
        try:
            if guard is not None:
                guard(event, seq)
        except ReducerError as error:
            raise BadInputError(
                f"this event cannot follow those before it: {error.message}",
                cure="Mend the file and import it again; nothing was stored.",
                file=file.name,
                row=seq,
            ) from error
    return opened


def _check_beginning(events: Sequence[AnyEvent], file: Fingerprint) -> LedgerOpened:
    """Return the first event, once the first five are those that every ledger begins with."""
    if not events or not isinstance(opened := events[0], LedgerOpened):
        raise BadInputError("an export begins with LedgerOpened.", file=file.name, row=1)
    for row, ((_, name, _), wanted) in enumerate(zip(RESERVED_ACCOUNTS, beginning(opened)[1:], strict=True), 2):
        if len(events) < row or events[row - 1] != wanted:
            raise BadInputError(f"the reserved account {name!r} must be opened here.", file=file.name, row=row)
    return opened


def _append(ledger: Ledger, events: Iterable[AnyEvent], file: Fingerprint, progress: Progress | None) -> None:
    """Compare what the ledger has with ``events``, and store the rest of them."""
    before = head = ledger.head
    stored, pending = ledger.scan(1, before), list[AnyEvent]()
    for seq, event in enumerate(events, 1):
        if seq <= before:
            if next(stored)[1] != encode(event):
                raise MisuseError(
                    f"the file and this ledger differ from seq {seq} on.",
                    cure="Import the file into a new ledger, and compare the two.",
                    file=file.name,
                    row=seq,
                )
            continue
        pending.append(event)
        if len(pending) == BATCH_EVENTS:
            head = _commit(ledger, pending, head, file, progress)
    _commit(ledger, pending, head, file, progress)


def _commit(ledger: Ledger, pending: list[AnyEvent], head: int, file: Fingerprint, progress: Progress | None) -> int:
    head = ledger.append(pending, expected_head=head)
    pending.clear()
    if progress is not None:
        progress(min(head, file.lines), file.lines)
    return head
