"""Q12: whether ADL helped or hurt afterwards.

With Q the position closed (above zero for a long), P its price, M0 the mark in force at the close and Mh the mark in force
after the horizon h: C_imm = Q(M0 - P), C_opp = Q(Mh - M0), C_tot = Q(Mh - P) = C_imm + C_opp. Costs: above zero the close hurt
the winner, below zero it helped. Source: the markout questions in pluriholonomic/autodeleveraging-analysis, FAQ.

The mark after h is the last one on record before the first event that states a time later than the close's time plus h, in the
order of the record. The clock is the latest time stated so far. Where the record ends before, there is none.
"""

from collections.abc import Iterator
from heapq import heappop, heappush

from msgspec import Struct

from events.model import AdlClose, AnyEvent
from events.times import NS_PER_SECOND
from replay.core.missing import MISSING_MARK
from replay.core.state import State
from replay.queries.answers import RECORD, Answer, Cell, Ground, Sheet, partly
from replay.queries.scope import Scope, Span
from replay.queries.walk import LACKS_CLOSES, LACKS_TIME, Fold, closed_side, gain
from replay.views import cash_text

__all__ = ["HORIZONS_NS", "Markouts"]

HALF_SECOND_NS = NS_PER_SECOND // 2
HORIZONS_NS = (0, HALF_SECOND_NS, NS_PER_SECOND, 2 * NS_PER_SECOND, 5 * NS_PER_SECOND, 60 * NS_PER_SECOND)
_NAMES = ("0s", "0.5s", "1s", "2s", "5s", "60s")


class _Close(Struct):
    """A close with M0, and by horizon the mark after it. 0 stands where there is none."""

    seq: int
    event: AdlClose
    mark: int
    later: list[int]


class Markouts(Fold):
    """The closes, and who waits for a mark until when."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._closes: list[_Close] = []
        self._due: list[tuple[int, int, int]] = []  # (time, index of close, index of horizon)
        self._clock_ns = 0
        self._lacks: set[str] = set()

    def before(self, state: State, event: AnyEvent, seq: int) -> None:
        """Take the marks that are due before this event's time, then the close, if it is one."""
        clock_ns = max(self._clock_ns, event.at_ns)
        self._collect(state, clock_ns)
        self._clock_ns = clock_ns
        if type(event) is AdlClose and self._scope.covers(seq, event.market, event.winner):
            self._span.add(seq)
            mark = state.marks[event.market]
            self._closes.append(_Close(seq, event, mark, [mark, *[0] * (len(HORIZONS_NS) - 1)]))
            if not mark:
                self._lacks.add(MISSING_MARK)
            elif not event.at_ns:
                self._lacks.add(LACKS_TIME)
            else:
                for index, horizon_ns in enumerate(HORIZONS_NS[1:], 1):
                    heappush(self._due, (event.at_ns + horizon_ns, len(self._closes) - 1, index))

    def _collect(self, state: State, clock_ns: int) -> None:
        while self._due and self._due[0][0] < clock_ns:
            _, close, horizon = heappop(self._due)
            found = self._closes[close]
            found.later[horizon] = state.marks[found.event.market]

    def answer(self, state: State) -> Answer:
        """Return the costs by horizon, and of each close."""
        sheet = Sheet("Q12", state, self._scope)
        if not self._closes:
            return sheet.lacks("closes", "ADL closes with marks after them", LACKS_CLOSES)
        self._collect(state, self._clock_ns + 1)
        if self._due:
            self._lacks.add("marks after the close: the record ends before")
        for index, name in enumerate(_NAMES):
            costs = list(self._costs(state, index))
            on = partly(RECORD, self._span, len(costs), len(self._closes), self._lacks)
            for part, label in enumerate(("C_imm = Q(M0 - P)", "C_opp = Q(Mh - M0)", "C_tot = Q(Mh - P)")):
                total = sum(cost[part] for cost in costs)
                sheet.cash(f"{('imm', 'opp', 'tot')[part]}.{name}", f"{label}, h = {name}", total, on)
        columns = ("seq", "account", "market", "c_imm", *(f"c_tot_{name}" for name in _NAMES[1:]))
        rows = [self._row(state, close) for close in self._closes if close.mark]
        title = "Cost of each close to the winner: above zero it hurt, below zero it helped"
        drop = ("c_tot_2s", "c_tot_0.5s", "c_tot_5s", "market")
        sheet.table("closes", title, columns, rows, Ground(RECORD, self._span), drop=drop)
        sheet.note("Q: position closed, above zero for a long. Costs: above zero the close hurt the winner, below it helped.")
        return sheet.answer()

    def _costs(self, state: State, horizon: int) -> Iterator[tuple[int, int, int]]:
        """Yield (C_imm, C_opp, C_tot) of the closes that have a mark after the horizon."""
        for close in self._closes:
            later = close.later[horizon]
            if later:
                immediate, total = _cost(state, close, close.mark), _cost(state, close, later)
                yield immediate, total - immediate, total

    @staticmethod
    def _row(state: State, close: _Close) -> tuple[Cell, ...]:
        event = close.event
        costs = [cash_text(state, _cost(state, close, mark)) if mark else None for mark in close.later]
        return close.seq, state.accounts[event.winner].name, state.markets[event.market].listed.symbol, *costs


def _cost(state: State, close: _Close, reference: int) -> int:
    """Return how much worse than at ``reference`` the close was for the winner, in money units."""
    event = close.event
    return -gain(state, event.market, closed_side(event), event.size, event.price, reference)
