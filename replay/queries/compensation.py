"""Q24: the compensation that follows from a reference price.

For each forced close: what the closed position would have brought more at the reference price, and nothing where it would have
brought less. The reference is the price given or, without one, the mark in force before the close: for an ADL close that before
its round. Fees are no part of it.
"""

from collections import Counter

from events.errors import MisuseError, NumberError
from events.model import AdlClose, AdlRound, AnyEvent, Liquidation
from events.units import parse_units
from replay.core.missing import MISSING_MARK
from replay.core.state import State
from replay.queries.answers import RECORD, Answer, Sheet, partly
from replay.queries.scope import Scope, Span
from replay.queries.walk import LACKS_CLOSES, LACKS_LIQUIDATIONS, Fold, closed_side, gain
from replay.views import cash_text

__all__ = ["Compensation"]


class _List:
    """Who would get how much, for one kind of forced close. ``net`` counts also what was better than the reference."""

    def __init__(self) -> None:
        self.span = Span()
        self.by_account: Counter[int] = Counter()
        self.closes: Counter[int] = Counter()
        self.net = 0
        self.left_out = 0


class Compensation(Fold):
    """What winners of ADL and liquidated accounts would get at the reference price, each as a list of its own."""

    def __init__(self, scope: Scope) -> None:
        if scope.price is not None and scope.market is None:
            raise MisuseError("a reference price is that of one market.", cure="Name it with --market.")
        self._scope = scope
        self._marks: dict[int, int] = {}  # by round, the mark in force just before it
        self._adl, self._liquidations = _List(), _List()

    def before(self, state: State, event: AnyEvent, seq: int) -> None:
        """Take in a round's mark, or compare a forced close with its reference."""
        if type(event) is AdlRound:
            self._marks[event.round] = state.marks[event.market]
        elif type(event) is AdlClose and self._scope.covers(seq, event.market, event.winner):
            mark = self._marks[event.round]
            self._add(state, self._adl, event, seq, account=event.winner, side=closed_side(event), mark=mark)
        elif type(event) is Liquidation and self._scope.covers(seq, event.market, event.account):
            side, mark = 1 if event.account == event.seller else -1, state.marks[event.market]
            self._add(state, self._liquidations, event, seq, account=event.account, side=side, mark=mark)

    def _add(
        self, state: State, into: _List, event: AdlClose | Liquidation, seq: int, *, account: int, side: int, mark: int
    ) -> None:
        into.span.add(seq)
        reference = self._reference(state, event.market) if self._scope.price else mark
        if not reference:
            into.left_out += 1
            return
        lost = -gain(state, event.market, side, event.size, event.price, reference)
        into.net += lost
        into.closes[account] += 1
        into.by_account[account] += max(lost, 0)

    def _reference(self, state: State, market: int) -> int:
        cure = "Give a decimal price on the market's grid."
        try:
            price = parse_units(self._scope.price or "", state.markets[market].listed.price_decimals)
        except NumberError as error:
            raise MisuseError(f"--price: {error.message}", cure=cure) from error
        if price <= 0:
            raise MisuseError(f"--price: {self._scope.price} is not above 0.", cure=cure)
        return price

    def answer(self, state: State) -> Answer:
        """Return the lists and their totals."""
        sheet = Sheet("Q24", state, self._scope)
        kinds = (
            ("adl", "ADL closes", LACKS_CLOSES, "mark before the round", self._adl),
            ("liquidation", "liquidations", LACKS_LIQUIDATIONS, "mark before the close", self._liquidations),
        )
        for name, what, lacks, reference, found in kinds:
            if not found.span.first:
                sheet.lacks(f"{name}.total", f"compensation of {what}", lacks)
                continue
            said = f"at {self._scope.price}" if self._scope.price else f"at the {reference}"
            on = partly(RECORD, found.span, found.closes.total(), found.closes.total() + found.left_out, (MISSING_MARK,))
            paid = sorted(
                ((cash, account) for account, cash in found.by_account.items() if cash), key=lambda pair: (-pair[0], pair[1])
            )
            sheet.cash(f"{name}.total", f"compensation of {what} {said}", found.by_account.total(), on)
            sheet.cash(f"{name}.net", "the same less what others got more than the reference", found.net, on)
            sheet.count(f"{name}.accounts", "accounts that would be paid", len(paid), "accounts", on)
            rows = [(state.accounts[account].name, found.closes[account], cash_text(state, cash)) for cash, account in paid]
            columns, title = ("account", "closes", "compensation"), f"Compensation of {what} by account"
            sheet.table(f"{name}.accounts", title, columns, rows, on)
        return sheet.answer()
