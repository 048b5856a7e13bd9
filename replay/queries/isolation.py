"""Q16: whether ADL was isolated per market, or one market's deficit could close positions in another.

A round closes in its own market whatever made the loser's deficit. So two things are told apart: whether the loser held that
market at all, and whether its position there was at a loss, or at no loss so that the deficit came from elsewhere.
"""

from collections import Counter

from events.model import AdlClose, AdlRound, AnyEvent, Completeness, Liquidation
from replay.core import margin
from replay.core.missing import MISSING_ENTRY, MISSING_MARK
from replay.core.state import State
from replay.queries.answers import RECONSTRUCTION, RECORD, Answer, Ground, Sheet, partly, ratio_text
from replay.queries.scope import Scope, Span
from replay.queries.walk import LACKS_LIQUIDATIONS, LACKS_POSITION, LACKS_ROUNDS, Fold, held, notional
from replay.views import cash_text

__all__ = ["Isolation"]


class Isolation(Fold):
    """What each round's loser held, and forced closes by market."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span, self._rounds_span = Span(), Span()
        self._rounds = self._unknown = self._foreign = self._others = self._not_all = 0
        self._elsewhere = self._undecided = 0
        self._liquidated: Counter[int] = Counter()
        self._closed: Counter[int] = Counter()

    def before(self, state: State, event: AnyEvent, seq: int) -> None:
        """Look at what a round's loser holds."""
        if type(event) is not AdlRound or not self._scope.covers(seq, event.market, event.loser):
            return
        self._rounds_span.add(seq)
        self._rounds += 1
        sizes = [held(state, event.loser, market) for market in range(len(state.markets))]
        own, others = sizes[event.market], [size for market, size in enumerate(sizes) if market != event.market]
        self._unknown += own is None
        self._foreign += own == 0
        self._others += any(others)
        self._not_all += not any(others) and not (state.cash_known[event.loser] and None not in others)
        profit = margin.unrealised(state, event.loser, event.market) if own else None
        self._undecided += profit is None
        self._elsewhere += profit is not None and profit >= 0

    def after(self, state: State, event: AnyEvent, seq: int) -> None:
        """Add up forced closes by market."""
        if isinstance(event, Liquidation | AdlClose) and self._scope.covers(seq, event.market):
            self._span.add(seq)
            (self._liquidated if isinstance(event, Liquidation) else self._closed)[event.market] += notional(state, event)

    def answer(self, state: State) -> Answer:
        """Return the rounds by what their loser held, and ADL set against liquidations by market."""
        sheet = Sheet("Q16", state, self._scope)
        if not self._rounds:
            return sheet.lacks("rounds", "markets of rounds and of their losers", LACKS_ROUNDS)
        rounds, span = self._rounds, self._rounds_span
        sheet.count("rounds", "ADL rounds", rounds, "rounds", Ground(RECORD, span))
        on = partly(RECORD, span, rounds - self._unknown, rounds, (LACKS_POSITION,))
        sheet.count("foreign", "rounds in a market that the loser did not hold", self._foreign, "rounds", on)
        on = partly(RECORD, span, rounds - self._not_all, rounds, (LACKS_POSITION,))
        sheet.count("others", "rounds whose loser held other markets, too", self._others, "rounds", on)
        gaps = {MISSING_ENTRY, MISSING_MARK, *((LACKS_POSITION,) if self._unknown else ())}
        on = partly(RECONSTRUCTION, span, rounds - self._undecided, rounds, gaps)
        sheet.count("elsewhere", "rounds whose loser was at no loss in that market", self._elsewhere, "rounds", on)
        liquidated, closed = self._liquidated.total(), self._closed.total()
        on = Ground(RECORD, self._span, () if liquidated else (LACKS_LIQUIDATIONS,))
        sheet.ratio("ratio", "ADL notional by liquidated notional, all markets", closed, liquidated, on)
        # A record that may lack rows does not say that there was no liquidation.
        complete = all(source is Completeness.COMPLETE for source in state.completeness)
        rows = [
            (
                market.listed.symbol,
                cash_text(state, self._liquidated[number]) if complete or self._liquidated[number] else None,
                cash_text(state, self._closed[number]),
                ratio_text(self._closed[number], self._liquidated[number]) if self._liquidated[number] else None,
            )
            for number, market in enumerate(state.markets)
            if self._liquidated[number] or self._closed[number]
        ]
        columns = ("market", "liquidated", "adl", "ratio")
        sheet.table("markets", "Notional by market, at trade prices", columns, rows, Ground(RECORD, self._span))
        return sheet.answer()
