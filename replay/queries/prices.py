"""Q05: prices of closes against mark, previous mark, oracle and bankruptcy price.

Signs are the winner's: above zero the close was better for the winner than the reference, which is a higher price for the long
that is sold and a lower one for the short that is bought back. Marks and oracle are those in force just before the close.
"""

from msgspec import Struct

from events.model import AdlClose, AdlRound, AnyEvent
from replay.core import margin
from replay.core.missing import MISSING_MARK, MISSING_ORACLE
from replay.core.state import State
from replay.queries.answers import CLAIM, RECONSTRUCTION, RECORD, Answer, Cell, Ground, Sheet, partly, ratio_text
from replay.queries.scope import Scope, Span
from replay.queries.walk import LACKS_CLOSES, Fold, closed_side, gain, margin_gaps
from replay.views import price_text

__all__ = ["Prices"]

PER_BPS = 10_000

# Columns that stand in the table whatever the record has.
FIXED = 5


class _Reference(Struct):
    """A kind of reference price and what the closes add up to against it, in money units."""

    name: str
    label: str
    basis: str
    lacks: str
    closes: int = 0
    gained: int = 0
    worth: int = 0


class Prices(Fold):
    """Each close's price against each reference that the record has for it."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._rows: list[tuple[Cell, ...]] = []
        self._bankruptcy: dict[int, int | None] = {}  # by round, as rebuilt just before it
        self._gaps: set[str] = set()
        self._references = (
            _Reference("mark", "mark in force", RECORD, MISSING_MARK),
            _Reference("stated_mark", "mark stated with the close or its round", CLAIM, "mark stated by the venue"),
            _Reference("previous_mark", "mark before the one in force", RECORD, "previous mark price"),
            _Reference("oracle", "oracle price in force", RECORD, MISSING_ORACLE),
            _Reference("bankruptcy", "bankruptcy price of the loser, stated", CLAIM, "bankruptcy price stated by the venue"),
            _Reference("rebuilt_bankruptcy", "bankruptcy price of the loser, rebuilt", RECONSTRUCTION, "bankruptcy price"),
        )

    def before(self, state: State, event: AnyEvent, seq: int) -> None:
        """Take in a round, or a close at the prices that it meets."""
        if type(event) is AdlRound:
            self._bankruptcy[event.round] = margin.bankruptcy_price(state, event.loser, event.market)
            if self._bankruptcy[event.round] is None:
                self._gaps.update(margin_gaps(state, event.loser, tiers=True))
        elif type(event) is AdlClose and self._scope.covers(seq, event.market, event.winner):
            self._span.add(seq)
            self._rows.append(self._row(state, event, seq))

    def _row(self, state: State, event: AdlClose, seq: int) -> tuple[Cell, ...]:
        market, side, opened = event.market, closed_side(event), state.rounds[event.round].event
        prices = (
            state.marks[market],
            event.mark or opened.mark,
            state.previous_marks[market],
            state.oracles[market],
            opened.bankruptcy,
            self._bankruptcy[event.round],
        )
        cells: list[Cell] = []
        for reference, price in zip(self._references, prices, strict=True):
            if not price or price < 0:
                cells.append(None)
                continue
            reference.closes += 1
            reference.gained += gain(state, market, side, event.size, event.price, price)
            reference.worth += abs(margin.market_value(state.markets[market], event.size, price))
            cells.append(ratio_text(side * (event.price - price) * PER_BPS, price, 2))
        name, symbol = state.accounts[event.winner].name, state.markets[market].listed.symbol
        return seq, name, symbol, "long" if side > 0 else "short", price_text(state, market, event.price), *cells

    def answer(self, state: State) -> Answer:
        """Return the closes in basis points, and what they add up to, weighted by what they are worth at the reference."""
        sheet = Sheet("Q05", state, self._scope)
        if not self._rows:
            return sheet.lacks("closes", "ADL closes against reference prices", LACKS_CLOSES)
        for reference in self._references:
            gaps = {reference.lacks, *(self._gaps if reference.basis is RECONSTRUCTION else ())}
            on = partly(reference.basis, self._span, reference.closes, len(self._rows), gaps)
            sheet.bps(
                f"{reference.name}.bps", f"all closes against the {reference.label}", reference.gained, reference.worth, on
            )
            sheet.cash(f"{reference.name}.cash", "the same in money, to the winners", reference.gained, on)
        columns = ("seq", "account", "market", "side", "price", *(f"{reference.name}_bps" for reference in self._references))
        kept = [i for i, _ in enumerate(columns) if i < FIXED or any(row[i] is not None for row in self._rows)]
        names = [columns[i] for i in kept]
        basis = RECONSTRUCTION if "rebuilt_bankruptcy_bps" in names else CLAIM if "bankruptcy_bps" in names else RECORD
        sheet.table(
            "closes",
            "Closes against the references that the record has, in bps, above zero better for the winner",
            names,
            [tuple(row[i] for i in kept) for row in self._rows],
            Ground(basis, self._span),
            drop=[name for name in ("rebuilt_bankruptcy_bps", "stated_mark_bps", "side", "price") if name in names],
        )
        sheet.note("Signs are the winner's: above zero, the close was better for the winner than the reference.")
        return sheet.answer()
