"""Importing: source files become events of a ledger, each row once, whatever happens on the way.

Rules.
1. Every file is read to its end and fingerprinted before anything is written, so a truncated file leaves no trace.
2. A file is known by the SHA-256 of its content. One that was imported is skipped, compressed anew or renamed.
3. The order of the files on the command line means nothing: items of all files are merged by their keys.
4. Events and cursors are stored in one transaction, and all memory is a fold over the log. So an import that was stopped
   anywhere and run again with the same files makes the same log, byte for byte, as one that was not stopped.
5. Events have one order, the order of their times, and it cannot be changed. So a ledger grows only at its end: a new file
   that states times is refused before anything is written when it begins before the latest time in the ledger, or when it
   does not begin after the end of what is held of its own stream, told by the coarser of the two clocks. Files of one period
   are imported together.
6. What is imported is what was fingerprinted. A file that changes meanwhile stops the import; what was stored is of the file
   as it was, and with that file the import goes on.
"""

import heapq
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from events.codec import encode
from events.errors import BadInputError, EventEncodeError, InternalError, MisuseError
from events.model import SEMANTICS, Event, LedgerOpened, SourceClosed, SourceOpened, Tally
from events.sources import hyperliquid, hyperliquid_adl, interchange
from events.sources.feed import DUPLICATE, QUARANTINED, ROWS_IN, ROWS_USED, SET_ASIDE, Feed, Item, LedgerHead
from events.sources.reading import Fingerprint, fingerprint
from events.units import INT64_MIN
from ledger.ordering import Held, Span, Spans, check_order, granularity_ns_of, in_order
from ledger.restoring import Guard, restore
from ledger.store import BATCH_EVENTS, Ledger, Progress, create, log_digest, open_ledger
from ledger.totals import ImportReport, SourceReport, Totals

__all__ = ["FORMATS", "import_files"]


class _Adapter(Protocol):
    """What a source module offers."""

    FORMAT: str
    FORMAT_VERSION: int

    def open_feeds(self, files: Sequence[Fingerprint], /) -> Sequence[Feed]: ...


_ADAPTERS: dict[str, _Adapter] = {adapter.FORMAT: adapter for adapter in (hyperliquid, hyperliquid_adl)}

# What ``import_files`` reads.
FORMATS = (*_ADAPTERS, interchange.FORMAT)


def import_files(
    path: Path, kind: str, files: Sequence[Path], progress: Progress | None = None, guard: Guard | None = None
) -> ImportReport:
    """Import ``files`` of format ``kind`` into the ledger at ``path``, making it when it is not there.

    ``guard`` (``replay.fold.guard``) is asked about every event of an ``events`` file, which may be written by anybody; what
    the venue adapters make can be applied by their own rules.

    ``progress`` is called with the rows read so far and the rows in all files: first once all files are fingerprinted, then
    after each commit; what it raises stops the import between two commits.

    Raises ``MisuseError`` when the ledger is of another venue, currency or money grid, when an earlier import was not
    finished and these are other files or it was begun by another version of the adapter, and when a file begins before the
    end of what the ledger holds; ``BadInputError`` when a file is truncated or not of its format. In all these cases nothing
    was written. Also ``BadInputError`` when a file changes while it is read, or a row gives an event that cannot be stored:
    then the whole batches before that stay stored, and importing the same files again goes on after them. For an ``events``
    file see ``restore``.
    """
    if not files:
        raise MisuseError("there is nothing to import.", cure="Name one or more files.")
    if kind == interchange.FORMAT:
        return restore(path, files, progress, guard)
    if kind not in _ADAPTERS:
        raise MisuseError(f"the format {kind!r} is not known.", cure=f"Known formats are {', '.join(FORMATS)}.")
    prints, duplicates = _distinct([fingerprint(file) for file in files])
    feeds = _ADAPTERS[kind].open_feeds(prints)
    head = _common_head(feeds)
    if progress is not None:
        progress(0, sum(file.lines for file in prints))
    spans: Spans = {}
    if not os.path.lexists(path):
        check_order(in_order(feeds, spans), spans, {}, INT64_MIN)
        create(path, LedgerOpened(0, 0, 0, head.venue, head.currency, head.money_decimals, SEMANTICS))
    with open_ledger(path, write=True) as ledger:
        run = _Run(ledger, _ADAPTERS[kind], feeds, spans, progress)
        run.check(head)
        run.go()
        return run.report(duplicates)


def _distinct(files: Iterable[Fingerprint]) -> tuple[list[Fingerprint], list[str]]:
    """Return the files without those whose content was given before, and the names of those."""
    kept: dict[bytes, Fingerprint] = {}
    files = sorted(files, key=lambda file: (file.content_sha256, file.name, file.sha256))
    duplicates = [file.name for file in files if kept.setdefault(file.content_sha256, file) is not file]
    return list(kept.values()), duplicates


def _common_head(feeds: Sequence[Feed]) -> LedgerHead:
    for feed in feeds[1:]:
        if feed.head != feeds[0].head:
            raise MisuseError(
                f"{feeds[0].file.name} and {feed.file.name} are of different venues or currencies.",
                cure="Import each into a ledger of its own.",
            )
    return feeds[0].head


class _Source(msgspec.Struct):
    """A file that is being read: its source id, 0 until its first item opens it, its last row translated, its tallies."""

    feed: Feed
    source: int = 0
    row: int = 0
    tallies: dict[str, int] = {}


def _source_cursor(content_sha256: bytes) -> str:
    return f"source/{content_sha256.hex()}"


_STREAM = "stream/"  # before the name of a stream, the name of its cursor


class _Step(NamedTuple):
    """An item on its way through the merge, or None for the end of a file that holds none.

    ``place`` is that of its file among all that are read, which settles ties; ``last`` says that no item follows.
    """

    key: tuple[int, int]
    place: int
    item: Item | None
    last: bool


def _steps(place: int, source: _Source, span: Span | None) -> Iterator[_Step]:
    # What a file holds before its first time belongs to that time; else it would open before the files that it follows.
    first_ns = span.first_ns if span else INT64_MIN

    def step(item: Item, *, last: bool) -> _Step:
        return _Step((max(item.key[0], first_ns), item.key[1]), place, item, last)

    before: Item | None = None
    for item in source.feed.items(source.row):
        if before is not None:
            yield step(before, last=False)
        before = item
    yield step(before, last=True) if before is not None else _Step((0, 0), place, None, last=True)


class _Pending:
    """What is translated and not yet stored. It is the sink that feeds write to."""

    def __init__(self, totals: Totals) -> None:
        self.events: list[Event] = []
        self.sources: dict[int, _Source] = {}
        self.held: dict[str, Held] = {}
        self.tallies: dict[str, int] = {}
        self._totals = totals

    def emit(self, event: Event) -> None:
        """Add an event; the book sees it at once."""
        self.events.append(event)
        self._totals.observe(event)

    def count(self, name: str, by: int = 1) -> None:
        """Add to a tally of the source being translated."""
        self.tallies[name] = self.tallies.get(name, 0) + by

    def cursors(self) -> dict[str, bytes]:
        """Return where reading goes on after these events: the cursors of their sources and streams."""
        encode = msgspec.msgpack.encode
        sources = {_source_cursor(s.feed.file.content_sha256): encode((s.row, s.tallies)) for s in self.sources.values()}
        return sources | {_STREAM + stream: encode(held) for stream, held in self.held.items()}

    def clear(self) -> None:
        """Forget what is stored now."""
        self.events.clear()
        self.sources.clear()
        self.held.clear()


class _Run:
    """One import into an open ledger."""

    def __init__(
        self, ledger: Ledger, adapter: _Adapter, feeds: Sequence[Feed], spans: Spans, progress: Progress | None
    ) -> None:
        self._ledger = ledger
        self._adapter = adapter
        self._feeds = {feed.file.content_sha256: feed for feed in feeds}
        self._spans = spans
        self._progress = progress
        self._totals = Totals()
        for _, event in ledger.events():
            self._totals.observe(event)
        self._before = self._head = ledger.head
        self._pending = _Pending(self._totals)
        self._sources: list[_Source] = []
        self._rows = 0

    def check(self, head: LedgerHead) -> None:
        """Refuse what cannot be imported into this ledger. Nothing was written yet."""
        opened = self._totals.ledger
        have = LedgerHead(opened.venue, opened.currency, opened.money_decimals)
        if have != head:
            raise MisuseError(
                f"this ledger is of {have.venue} in {have.currency} with {have.money_decimals} decimals, "
                f"the files are of {head.venue} in {head.currency} with {head.money_decimals}.",
                cure="Import them into a ledger of their own.",
                file=str(self._ledger.path),
            )
        self._check_unfinished()
        new, held = in_order(self._new(), self._spans), self._held()
        for feed in in_order(self._begun(), self._spans):
            if span := self._spans[feed.file.content_sha256]:
                held[feed.stream] = Held(span.last_ns, granularity_ns_of(feed), feed.file.name)
        check_order(new, self._spans, held, self._totals.book.latest_ns)

    def _new(self) -> list[Feed]:
        return [feed for sha, feed in self._feeds.items() if sha not in self._totals.book.sources]

    def _unfinished(self) -> list[SourceOpened]:
        return [event for source, event in self._totals.opened.items() if source not in self._totals.closed]

    def _begun(self) -> list[Feed]:
        return [self._feeds[event.content_sha256] for event in self._unfinished()]

    def _check_unfinished(self) -> None:
        unfinished = self._unfinished()
        if any(event.content_sha256 not in self._feeds for event in unfinished):
            raise MisuseError(
                f"an import of {', '.join(event.name for event in unfinished)} was not finished.",
                cure="Give these files again, and all others that were imported with them.",
                file=str(self._ledger.path),
            )
        for event in unfinished:
            begun = f"{event.format} version {event.format_version}"
            ours = f"{self._adapter.FORMAT} version {self._adapter.FORMAT_VERSION}"
            if begun != ours:
                raise MisuseError(
                    f"the import of {event.name} was begun as {begun}, and this is {ours}.",
                    cure="Finish it with the version of this program that began it, or start a new ledger.",
                    file=str(self._ledger.path),
                )
            if self._ledger.cursor(_source_cursor(event.content_sha256)) is None:
                raise MisuseError(
                    f"this ledger was made from an export of a ledger whose import of {event.name} was not finished.",
                    cure="Finish the import there, and export again.",
                    file=str(self._ledger.path),
                )

    def _held(self) -> dict[str, Held]:
        found = self._ledger.cursors(_STREAM)
        return {name.removeprefix(_STREAM): msgspec.msgpack.decode(raw, type=Held) for name, raw in found.items()}

    def go(self) -> None:
        """Read what is left of the files, translate it and store it."""
        begun = {event.content_sha256: event.source for event in self._unfinished()}
        for feed in in_order([*self._begun(), *self._new()], self._spans):
            sha = feed.file.content_sha256
            source = _Source(feed)
            if sha in begun:
                raw = self._ledger.cursor(_source_cursor(sha)) or b""
                source.source = begun[sha]
                source.row, source.tallies = msgspec.msgpack.decode(raw, type=tuple[int, dict[str, int]])
            self._sources.append(source)
        self._rows = sum(source.row for source in self._sources)
        steps = [
            _steps(place, source, self._spans[source.feed.file.content_sha256]) for place, source in enumerate(self._sources)
        ]
        for step in heapq.merge(*steps, key=lambda step: (step.key, step.place)):
            self._take(step)
            if len(self._pending.events) >= BATCH_EVENTS:
                self._commit()
        self._commit()

    def _open(self, source: _Source) -> None:
        """Open a source right before its first item, so that files that follow each other may come in one import or in two."""
        feed, file = source.feed, source.feed.file
        source.source = self._totals.book.next_source
        self._pending.emit(
            SourceOpened(
                at_ns=0,
                source=source.source,
                row=0,
                name=file.name,
                sha256=file.sha256,
                content_sha256=file.content_sha256,
                content_bytes=file.content_bytes,
                format=self._adapter.FORMAT,
                format_version=self._adapter.FORMAT_VERSION,
                granularity_ns=feed.granularity_ns,
                divergence_ns=None,  # no venue that is read here states it
                clock=feed.clock,
                completeness=feed.completeness,
            )
        )

    def _take(self, step: _Step) -> None:
        source, item = self._sources[step.place], step.item
        if not source.source:
            self._open(source)
        self._pending.sources[source.source] = source
        if item is not None:
            self._pending.tallies = source.tallies
            source.feed.translate(item, source.source, self._totals.book, self._pending)
            self._rows += item.row - source.row
            source.row = item.row
            if item.key[0] > INT64_MIN:
                held = Held(item.key[0], granularity_ns_of(source.feed), source.feed.file.name)
                self._pending.held[source.feed.stream] = held
        if step.last:
            self._pending.emit(_closed(source))

    def _commit(self) -> None:
        cursors = self._pending.cursors()
        try:
            self._head = self._ledger.append(self._pending.events, expected_head=self._head, cursors=cursors)
        except EventEncodeError as error:
            raise self._unstorable(error) from error
        self._pending.clear()
        if self._progress is not None:
            total = sum(source.feed.file.lines for source in self._sources)
            self._progress(min(self._rows, total), total)

    def _unstorable(self, error: EventEncodeError) -> BadInputError:
        """Return the error that names the row of the event that could not be encoded."""
        for event in self._pending.events:
            try:
                encode(event)
            except EventEncodeError as found:
                opened = self._totals.opened[event.source]
                cure = "Take that row out, and import the file into a new ledger; and please report it."
                return BadInputError(found.message, cure=cure, file=opened.name, row=event.row)
        return error

    def report(self, duplicates: Sequence[str]) -> ImportReport:
        """Return the report, once all files are closed."""
        ids = self._totals.book.sources
        sources = tuple(self._source_report(ids[sha]) for sha in sorted(self._feeds, key=lambda sha: ids[sha]))
        return self._totals.report(
            kind=self._adapter.FORMAT,
            new_events=self._head - self._before,
            head=self._head,
            digest=log_digest(self._ledger),
            sources=sources,
            duplicates=duplicates,
        )

    def _source_report(self, source: int) -> SourceReport:
        opened, closed = self._totals.opened[source], self._totals.closed[source]
        return SourceReport(
            source=source,
            name=opened.name,
            content_sha256=opened.content_sha256.hex(),
            new=any(read.source == source for read in self._sources),
            rows_in=closed.rows_in,
            rows_used=closed.rows_used,
            tallies={tally.name: tally.count for tally in closed.tallies},
        )


def _closed(source: _Source) -> SourceClosed:
    tallies = dict(source.tallies)
    rows_in, rows_used = tallies.pop(ROWS_IN, 0), tallies.pop(ROWS_USED, 0)
    accounted = rows_used + sum(n for name, n in tallies.items() if name.startswith((SET_ASIDE, QUARANTINED, DUPLICATE)))
    if rows_in != accounted:
        raise InternalError(f"of {rows_in} rows, {accounted} are accounted for.", file=source.feed.file.name)
    counted = tuple(Tally(name, count) for name, count in sorted(tallies.items()))
    return SourceClosed(0, source.source, source.row, rows_in, rows_used, counted)
