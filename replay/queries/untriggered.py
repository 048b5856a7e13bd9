"""Q21: why ADL was not triggered.

Every stretch in which an account has equity below zero, with no ADL round against it. At each look at it, the trigger of the
policy in force for its largest position is evaluated: where it never held, the rule did not ask for ADL; where it held, ADL was
due by it.
"""

from msgspec import Struct

from events.model import AdlClose, AdlRound, AnyEvent, InsuranceDraw, Liquidation, PriceTick
from replay.core import margin
from replay.core.missing import MISSING_CASH
from replay.core.state import State
from replay.core.triggers import fund_equity
from replay.queries.answers import RECONSTRUCTION, Answer, Cell, Sheet, partly
from replay.queries.rules import Predicate, draft, predicate
from replay.queries.scope import Scope, Span
from replay.queries.walk import Fold
from replay.queries.watch import Watch, room_of_equity
from replay.views import cash_text

__all__ = ["Untriggered"]

_ENDED_BY = {PriceTick: "mark", InsuranceDraw: "insurance draw", AdlClose: "ADL close", Liquidation: "liquidation"}
_SAYS = {True: "held", False: "never held", None: None}


class _Stretch(Struct):
    """One account below zero. ``held`` is whether the trigger held at any look, None where no look could tell."""

    account: int
    first_seq: int
    fund: int | None
    trigger: str | None
    last_seq: int = 0
    worst: int = 0
    held: bool | None = None
    rounds: int = 0
    ended: str | None = None


class Untriggered(Fold):
    """Accounts below zero, whether a round came, and whether the trigger held."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._watch = Watch(room_of_equity)
        self._running: dict[int, _Stretch] = {}
        self._gaps: set[str] = set()
        self._stretches: list[_Stretch] = []

    def after(self, state: State, event: AnyEvent, seq: int) -> None:
        """Look at the accounts whose equity may have passed zero."""
        if type(event) is AdlRound and event.loser in self._running:
            self._running[event.loser].rounds += 1
        for account, worth in self._watch.after(state, event):
            one = self._running.get(account)
            if worth is None or worth >= 0:
                if one is not None:
                    one.ended = _ENDED_BY.get(type(event), type(event).__name__.lower())
                    one.last_seq = seq
                    del self._running[account]
            else:
                self._below(state, account, worth, seq, event.at_ns)

    def _below(self, state: State, account: int, worth: int, seq: int, at_ns: int) -> None:
        market = _largest(state, account)
        nothing = Predicate(None, None, ("open position",))
        found = nothing if market is None else predicate(state, draft(state, account, market, at_ns))
        one = self._running.get(account)
        if one is None:
            one = self._running[account] = _Stretch(account, seq, fund_equity(state), found.text)
            if self._scope.covers(seq, None, account):
                self._span.add(seq)
                self._stretches.append(one)
        one.last_seq, one.worst = seq, min(one.worst, worth)
        if found.holds is not None:
            one.held = bool(one.held) or found.holds
        self._gaps.update(found.missing)

    def answer(self, state: State) -> Answer:
        """Return the stretches without a round, and what the trigger said."""
        sheet = Sheet("Q21", state, self._scope)
        unknown = state.cash_known.count(False)
        if unknown and not self._stretches:
            return sheet.lacks("stretches", "accounts with equity below zero", MISSING_CASH)
        for one in self._stretches:
            self._span.last = max(self._span.last, one.last_seq)
        spared = [one for one in self._stretches if not one.rounds]
        on = partly(RECONSTRUCTION, self._span, len(state.accounts) - unknown, len(state.accounts), (MISSING_CASH,))
        closed = len(self._stretches) - len(spared)
        sheet.count("stretches", "times an account's equity was below zero", len(self._stretches), "stretches", on)
        sheet.count("rounds", "of them, an ADL round closed against it", closed, "stretches", on)
        sheet.count("spared", "of them, no ADL round did", len(spared), "stretches", on)
        told = [one.held for one in spared if one.held is not None]
        rule = partly(RECONSTRUCTION, self._span, len(told), len(spared), self._gaps)
        sheet.count("never", "of these, the trigger never held", told.count(False), "stretches", rule)
        sheet.count("due", "of these, the trigger held at some point", told.count(True), "stretches", rule)
        rows: list[tuple[Cell, ...]] = [
            (
                one.first_seq,
                one.last_seq,
                state.accounts[one.account].name,
                cash_text(state, one.worst),
                cash_text(state, one.fund),
                _SAYS[one.held],
                one.ended,
            )
            for one in spared
        ]
        columns = ("seq", "last_seq", "account", "worst_equity", "fund_equity", "trigger", "ended_by")
        title = "Below zero, and no ADL round"
        sheet.table("spared", title, columns, rows, on, drop=("last_seq", "fund_equity"))
        for text in sorted({one.trigger for one in spared if one.trigger is not None}):
            sheet.note(f"Trigger of the policy in force: {text}.")
        sheet.note("Equity is at the mark prices in force.")
        return sheet.answer()


def _largest(state: State, account: int) -> int | None:
    """Return the market of an account's largest position at mark, the first of equals; None where it holds none."""
    sizes = [
        (-abs(margin.market_value(state.markets[market], position.size, state.marks[market])), market)
        for market, position in state.holdings[account].items()
        if position.size and state.marks[market]
    ]
    return min(sizes)[1] if sizes else None
