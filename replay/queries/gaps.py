"""Q19: what was lost or unprocessed, as far as the record itself says.

The log has no gap in seq, or it is damaged and says so. What can be missing was never in it: rows of a source that is not
complete or was not read to its end, rows in quarantine, and times in which a source is silent.
"""

from msgspec import Struct

from events.model import FIRST_FREE_ACCOUNT, AnyEvent, Completeness, Quarantined, SourceClosed, SourceOpened
from replay.core.state import State
from replay.queries.answers import RECORD, Answer, Cell, Ground, Sheet
from replay.queries.scope import Scope, Span
from replay.queries.walk import Fold

__all__ = ["Gaps"]


class _Source(Struct):
    """One source and its times. ``silent_ns`` is the longest step forward of its clock, over the seqs ``silent``."""

    opened: SourceOpened
    seq: int
    closed: SourceClosed | None = None
    latest_ns: int = 0
    silent_ns: int = 0
    latest_seq: int = 0
    silent: Span | None = None
    back: int = 0
    untimed: int = 0


class _Reason(Struct):
    """Quarantined inputs of one reason."""

    span: Span
    count: int = 0


class Gaps(Fold):
    """Sources, their clocks, and what is in quarantine."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._sources: dict[int, _Source] = {}
        self._reasons: dict[str, _Reason] = {}

    def after(self, _state: State, event: AnyEvent, seq: int) -> None:
        """Follow the clock of the event's source, and count what is quarantined."""
        if type(event) is SourceOpened:
            self._sources[event.source] = _Source(event, seq)
            return
        source = self._sources.get(event.source)
        if not self._scope.covers(seq):
            if source is not None:
                source.latest_ns, source.latest_seq = max(source.latest_ns, event.at_ns), seq
            return
        if type(event) is Quarantined and event.part == 1:
            reason = self._reasons.setdefault(event.reason, _Reason(Span()))
            reason.span.add(seq)
            reason.count += 1
        if source is None:
            return
        if type(event) is SourceClosed:
            source.closed = event
        elif not event.at_ns:
            source.untimed += 1
        elif event.at_ns < source.latest_ns:
            source.back += 1
        else:
            if source.latest_ns and event.at_ns - source.latest_ns > source.silent_ns:
                source.silent_ns = event.at_ns - source.latest_ns
                source.silent = Span(max(source.latest_seq, self._scope.first), seq)
            source.latest_ns, source.latest_seq = event.at_ns, seq

    def answer(self, state: State) -> Answer:
        """Return what is not complete, not finished, not accepted, and silent."""
        sheet = Sheet("Q19", state, self._scope)
        if not self._sources:
            return sheet.lacks("sources", "sources of the record", "sources")
        sources, on = list(self._sources.values()), Ground(RECORD)
        partial = sum(1 for source in sources if source.opened.completeness is not Completeness.COMPLETE)
        unfinished = sum(1 for source in sources if source.closed is None)
        sheet.count("seq", "seqs missing between the first and the last", 0, "seqs", on)
        sheet.count("sources", "sources opened", len(sources), "sources", on)
        sheet.count("sources.partial", "of them not stated as complete", partial, "sources", on)
        sheet.count("sources.open", "of them not read to the end", unfinished, "sources", on)
        quarantined = sum(reason.count for reason in self._reasons.values())
        sheet.count("quarantined", "inputs in quarantine", quarantined, "inputs", on)
        back = sum(source.back for source in sources)
        sheet.count("back", "events whose time is before an earlier one of their source", back, "events", on)
        longest = max(sources, key=lambda source: source.silent_ns)
        if longest.silent_ns:
            at = Ground(RECORD, longest.silent)
            sheet.count("silent", "longest time without an event of a source", longest.silent_ns, "ns", at)
        sheet.count("markets.partial", "markets that may have holders not on record", sum(state.partial), "markets", on)
        unknown = state.cash_known[FIRST_FREE_ACCOUNT:].count(False)
        sheet.count("accounts.partial", "accounts whose cash is not known", unknown, "accounts", on)
        self._tables(sheet)
        return sheet.answer()

    def _tables(self, sheet: Sheet) -> None:
        rows: list[tuple[Cell, ...]] = []
        tallies: list[tuple[Cell, ...]] = []
        for number, source in self._sources.items():
            closed, opened = source.closed, source.opened
            rows.append(
                (
                    number,
                    opened.name,
                    opened.completeness.name.lower(),
                    None if closed is None else closed.rows_in,
                    None if closed is None else closed.rows_used,
                    "no" if closed is None else "yes",
                    source.back,
                    source.silent_ns,
                    None if source.silent is None else source.silent.last,
                    opened.granularity_ns,
                )
            )
            if closed is not None:
                tallies += [(number, tally.name, tally.count) for tally in closed.tallies]
        columns = (
            "source",
            "name",
            "stated",
            "rows_in",
            "rows_used",
            "finished",
            "back",
            "silent_ns",
            "silent_seq",
            "granularity_ns",
        )
        drop = ("granularity_ns", "silent_seq", "back", "rows_used")
        sheet.table("sources", "Sources and their clocks", columns, rows, Ground(RECORD), drop=drop)
        title = "What became of the rows of each source"
        sheet.table("tallies", title, ("source", "tally", "count"), tallies, Ground(RECORD))
        reasons = [(name, reason.count, reason.span.first, reason.span.last) for name, reason in sorted(self._reasons.items())]
        kinds = ("reason", "inputs", "seq", "last_seq")
        sheet.table("quarantined", "Inputs in quarantine by reason", kinds, reasons, Ground(RECORD))
