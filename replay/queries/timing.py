"""Q22: how fast each step was, and whether anybody could have reacted.

For each round, from the event that took the loser's equity below its maintenance margin: to its first liquidation, its first
insurance draw, the round, and the round's first and last close. Times are those that the events state; their order is that of
seq, and a source that stamps a whole block alike shows 0.
"""

from collections.abc import Sequence

from msgspec import Struct

from events.model import AdlClose, AdlRound, AnyEvent, InsuranceDraw, Liquidation
from replay.core.state import State
from replay.queries.answers import RECONSTRUCTION, RECORD, Answer, Cell, Ground, Sheet, partly
from replay.queries.scope import Scope, Span
from replay.queries.walk import LACKS_ROUNDS, LACKS_TIME, Fold, margin_gaps
from replay.queries.watch import Watch, room_of_margin

__all__ = ["Timing"]


class _Point(Struct, frozen=True):
    """An event: its seq and the time that it states, 0 for none."""

    seq: int
    at_ns: int


class _Trouble(Struct):
    """An account below its requirement: since when, and what was done so far."""

    broke: _Point
    liquidated: _Point | None = None
    drawn: _Point | None = None


class _Round(Struct):
    """A round with what came before it, and its first and last close."""

    event: AdlRound
    begun: _Point
    broke: _Point | None
    liquidated: _Point | None
    drawn: _Point | None
    first: _Point | None = None
    last: _Point | None = None


def _between(begin: _Point | None, end: _Point | None) -> int | None:
    return None if begin is None or end is None or not begin.at_ns or not end.at_ns else end.at_ns - begin.at_ns


class Timing(Fold):
    """The steps before and in each round."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._watch = Watch(room_of_margin)
        self._troubled: dict[int, _Trouble] = {}
        self._rounds: dict[int, _Round] = {}
        self._asked: dict[int, None] = {}  # rounds that the scope covers
        self._gaps: set[str] = set()

    def after(self, state: State, event: AnyEvent, seq: int) -> None:
        """Note the steps, and who fell below or came back above its requirement."""
        point = _Point(seq, event.at_ns)
        match event:
            case Liquidation(account=account) if account in self._troubled:
                self._troubled[account].liquidated = self._troubled[account].liquidated or point
            case InsuranceDraw(account=account) if account in self._troubled:
                self._troubled[account].drawn = self._troubled[account].drawn or point
            case AdlRound():
                self._begin(state, event, point)
            case AdlClose():
                found = self._rounds[event.round]
                found.first, found.last = found.first or point, point
                if self._scope.covers(seq, event.market, event.winner):
                    self._asked[event.round] = None
                    self._span.add(max(found.begun.seq, self._scope.first))
                    self._span.add(seq)
            case _:
                pass
        for account, room in self._watch.after(state, event):
            if room is None or room >= 0:
                self._troubled.pop(account, None)
            elif account not in self._troubled:
                self._troubled[account] = _Trouble(point)

    def _begin(self, state: State, event: AdlRound, point: _Point) -> None:
        trouble = self._troubled.get(event.loser)
        if trouble is None:
            self._gaps.update(margin_gaps(state, event.loser, tiers=True) or ("event that broke the account",))
            self._rounds[event.round] = _Round(event, point, None, None, None)
        else:
            self._rounds[event.round] = _Round(event, point, trouble.broke, trouble.liquidated, trouble.drawn)

    def answer(self, state: State) -> Answer:
        """Return the durations of the rounds that closed the account asked about, or of all."""
        sheet = Sheet("Q22", state, self._scope)
        rounds = [self._rounds[number] for number in self._asked]
        if not rounds:
            return sheet.lacks("rounds", "times of the steps of ADL rounds", LACKS_ROUNDS)
        sheet.count("rounds", "rounds with closes", len(rounds), "rounds", Ground(RECORD, self._span))
        broke = self._gaps or {LACKS_TIME}
        for name, label, steps in (
            (
                "liquidation",
                "from the break to the first liquidation",
                [(r.broke, r.liquidated) for r in rounds if r.liquidated],
            ),
            ("draw", "from the break to the first insurance draw", [(r.broke, r.drawn) for r in rounds if r.drawn]),
            ("round", "from the break to the round", [(r.broke, r.begun) for r in rounds]),
            ("close", "from the break to the last close", [(r.broke, r.last) for r in rounds]),
        ):
            self._durations(sheet, name, label, steps, RECONSTRUCTION, broke)
        inside = [(found.begun, found.last) for found in rounds]
        self._durations(sheet, "inside", "from the round to its last close", inside, RECORD, {LACKS_TIME})
        rows = [self._row(state, found) for found in rounds if found.broke]
        columns = (
            "round",
            "seq",
            "loser",
            "broke_seq",
            "liquidation_ns",
            "draw_ns",
            "round_ns",
            "first_close_ns",
            "last_close_ns",
        )
        title = "Nanoseconds from the event that broke the loser"
        drop = ("first_close_ns", "broke_seq", "draw_ns", "liquidation_ns")
        sheet.table("rounds", title, columns, rows, Ground(RECONSTRUCTION, self._span), drop=drop)
        sheet.note("The break: the event after which the loser's equity was below its maintenance margin, and stayed so.")
        return sheet.answer()

    def _durations(
        self,
        sheet: Sheet,
        name: str,
        label: str,
        steps: Sequence[tuple[_Point | None, _Point | None]],
        basis: str,
        lacks: set[str],
    ) -> None:
        """Add least, median and most of the rounds that have such a step, none where no round has it."""
        times = [_between(begin, end) for begin, end in steps]
        known = sorted(time for time in times if time is not None)
        on = partly(basis, self._span, len(known), len(times), lacks)
        if not times:
            return
        many = f"of {len(times):,} rounds"
        sheet.count(f"{name}.least", f"{label}, least {many}", known[0] if known else 0, "ns", on)
        sheet.count(f"{name}.median", f"{label}, median {many}", known[(len(known) - 1) // 2] if known else 0, "ns", on)
        sheet.count(f"{name}.most", f"{label}, most {many}", known[-1] if known else 0, "ns", on)

    @staticmethod
    def _row(state: State, found: _Round) -> tuple[Cell, ...]:
        broke = found.broke
        return (
            found.event.round,
            found.begun.seq,
            state.accounts[found.event.loser].name,
            None if broke is None else broke.seq,
            *(_between(broke, end) for end in (found.liquidated, found.drawn, found.begun, found.first, found.last)),
        )
