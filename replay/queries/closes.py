"""Q14 and Q15: whether losing positions were deleveraged, and whether positions were closed in part or in full.

A winner's profit is counted at the close from its entry on record, gross of fees, and set beside the profit that the venue
claims. A position is what the winner held just before the first close of the round against it.
"""

from msgspec import Struct

from events.model import AdlClose, AnyEvent
from replay.core.missing import MISSING_ENTRY
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, State
from replay.queries.answers import CLAIM, RECONSTRUCTION, RECORD, Answer, Cell, Ground, Sheet, partly, ratio_text
from replay.queries.scope import Scope, Span
from replay.queries.walk import LACKS_CLOSES, LACKS_POSITION, Fold, closed_side, held
from replay.views import cash_text, size_text

__all__ = ["Losing", "Parts"]

LACKS_PROFIT_CLAIM = "profit claimed by the venue"


def _claims(event: AdlClose) -> tuple[int | None, int | None]:
    """Return the winner's position before the close and its profit, as claimed."""
    if event.winner == event.buyer:
        return event.buyer_start_claim, event.buyer_profit_claim
    return event.seller_start_claim, event.seller_profit_claim


class Losing(Fold):
    """Q14: closes at a loss of the winner."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._before: int | None = None
        self._closes = self._known = self._claimed = self._both = 0
        self._losing = self._claimed_losing = self._apart = 0
        self._lost = 0
        self._rows: list[tuple[Cell, ...]] = []

    def before(self, state: State, event: AnyEvent, seq: int) -> None:
        """Note what the winner has realised before a close, None where its entry is not known."""
        if type(event) is AdlClose and self._scope.covers(seq, event.market, event.winner):
            position = state.positions[event.market].get(event.winner)
            known = position is not None and not position.unknown & (SIZE_UNKNOWN | ENTRY_UNKNOWN)
            self._before = position.realised if position is not None and known else None

    def after(self, state: State, event: AnyEvent, seq: int) -> None:
        """Take in a close."""
        if type(event) is not AdlClose or not self._scope.covers(seq, event.market, event.winner):
            return
        self._span.add(seq)
        profit = None if self._before is None else state.positions[event.market][event.winner].realised - self._before
        claim = _claims(event)[1]
        self._closes += 1
        self._known += profit is not None
        self._claimed += claim is not None
        self._both += profit is not None and claim is not None
        self._losing += profit is not None and profit < 0
        self._claimed_losing += claim is not None and claim < 0
        self._apart += profit is not None and claim is not None and (profit < 0) is not (claim < 0)
        if (profit is not None and profit < 0) or (claim is not None and claim < 0):
            self._lost += min(profit or 0, 0)
            names = (state.accounts[event.winner].name, state.markets[event.market].listed.symbol)
            self._rows.append((seq, event.round, *names, cash_text(state, profit), cash_text(state, claim)))

    def answer(self, state: State) -> Answer:
        """Return how many closes were at a loss, from the basis and from claims."""
        sheet = Sheet("Q14", state, self._scope)
        if not self._closes:
            return sheet.lacks("closes", "ADL closes at a loss of the winner", LACKS_CLOSES)
        on = partly(RECONSTRUCTION, self._span, self._known, self._closes, (MISSING_ENTRY,))
        sheet.count("closes", "ADL closes", self._closes, "closes", Ground(RECORD, self._span))
        sheet.count("losing", "closes whose realised profit is below zero", self._losing, "closes", on)
        sheet.ratio("losing.share", "the same by all that are decidable", self._losing, self._known, on)
        sheet.cash("losing.cash", "what these closes realised", self._lost, on)
        said = partly(CLAIM, self._span, self._claimed, self._closes, (LACKS_PROFIT_CLAIM,))
        sheet.count("claimed", "closes whose claimed profit is below zero", self._claimed_losing, "closes", said)
        both = partly(CLAIM, self._span, self._both, self._closes, {*on.missing, *said.missing})
        sheet.count("apart", "closes where claim and basis differ in that", self._apart, "closes", both)
        columns = ("seq", "round", "account", "market", "profit", "claimed_profit")
        sheet.table("closes", "Closes at a loss", columns, self._rows, on)
        return sheet.answer()


class _Part(Struct):
    """What a round closed of one winner. ``held`` is the position before, on its side above zero."""

    first_seq: int
    last_seq: int
    market: int
    held: int | None
    claimed: int | None
    closed: int = 0


_BUCKETS = ("below 25%", "25% to 50%", "50% to 75%", "75% to 100%", "in full", "beyond")


def _bucket(part: _Part) -> int:
    held_size = part.held or 0
    if part.closed >= held_size:
        return 4 + (part.closed > held_size)
    return 4 * part.closed // held_size


class Parts(Fold):
    """Q15: what share of each winner's position each round closed."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._parts: dict[tuple[int, int], _Part] = {}  # by round and winner

    def before(self, state: State, event: AnyEvent, seq: int) -> None:
        """Take in a close and, at the first of its round and winner, the position that it meets."""
        if type(event) is not AdlClose or not self._scope.covers(seq, event.market, event.winner):
            return
        self._span.add(seq)
        key = event.round, event.winner
        if key not in self._parts:
            side, size, claim = closed_side(event), held(state, event.winner, event.market), _claims(event)[0]
            sizes = (None if size is None else size * side, None if claim is None else claim * side)
            self._parts[key] = _Part(seq, seq, event.market, *sizes)
        self._parts[key].closed += event.size
        self._parts[key].last_seq = seq

    def answer(self, state: State) -> Answer:
        """Return how many were closed in full, in part, beyond their position, and how far."""
        sheet = Sheet("Q15", state, self._scope)
        if not self._parts:
            return sheet.lacks("positions", "positions closed in part or in full", LACKS_CLOSES)
        parts = list(self._parts.values())
        known = [part for part in parts if part.held is not None]
        on = partly(RECORD, self._span, len(known), len(parts), (LACKS_POSITION,))
        counts = [0] * len(_BUCKETS)
        for part in known:
            counts[_bucket(part)] += 1
        *below, full, beyond = counts
        sheet.count(
            "positions", "positions closed, each round and winner once", len(parts), "positions", Ground(RECORD, self._span)
        )
        sheet.count("full", "closed in full", full, "positions", on)
        sheet.count("partial", "closed in part", sum(below), "positions", on)
        sheet.count("beyond", "closed beyond what the winner held on that side", beyond, "positions", on)
        sheet.ratio("partial.share", "closed in part, of all decidable", sum(below), len(known), on)
        claimed = [part for part in known if part.claimed is not None]
        apart = sum(1 for part in claimed if part.claimed != part.held)
        said = partly(CLAIM, self._span, len(claimed), len(parts), ("start position claimed by the venue",))
        sheet.count("claim.apart", "positions that differ from the claimed start position", apart, "positions", said)
        if known:
            fractions = [(name, n, ratio_text(n, len(known))) for name, n in zip(_BUCKETS, counts, strict=True)]
            title, columns = "Share of the position that was closed", ("closed", "positions", "share")
            sheet.table("fractions", title, columns, fractions, on)
        rows = [
            (part.first_seq, number, state.accounts[winner].name, *_texts(state, part))
            for (number, winner), part in self._parts.items()
            if self._scope.account or part.held is None or part.closed != part.held
        ]
        title = "Positions of the account" if self._scope.account else "Positions not closed in full"
        listed = ("seq", "round", "account", "market", "held", "closed", "fraction")
        sheet.table("positions", title, listed, rows, Ground(RECORD, self._span))
        return sheet.answer()


def _texts(state: State, part: _Part) -> tuple[str, str | None, str | None, str | None]:
    symbol = state.markets[part.market].listed.symbol
    fraction = ratio_text(part.closed, part.held) if part.held is not None and part.held > 0 else None
    return symbol, size_text(state, part.market, part.held), size_text(state, part.market, part.closed), fraction
