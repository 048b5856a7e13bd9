"""Q25: whether splitting an account would have gamed the rule.

A metamorphic test. Just before each round a winner is split in two accounts, each with half of its cash and of every position,
and the plan of the policy in force is made again. The gain is what it takes less of the two than of the one: contracts, or
money where the rule moves only that. A Sybil-proof rule gives 0, but for rounding to a lot. Without a plan it is undecidable.
"""

from collections import Counter
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from events.model import AdlCandidates, AdlRound, AnyEvent
from events.units import PPT
from replay.core.plan import Plan
from replay.core.state import Position, Round, State
from replay.queries.answers import RECONSTRUCTION, Answer, Cell, Ground, Sheet, partly, ratio_text
from replay.queries.rules import planned
from replay.queries.scope import Scope, Span
from replay.queries.walk import LACKS_ROUNDS, Fold
from replay.views import cash_text, size_text

__all__ = ["Gaming", "split"]

_Item = TypeVar("_Item")


class _Test(Struct, frozen=True):
    """One round with one winner split: what the plan takes of it whole and in halves, contracts or, with ``paid``, money."""

    seq: int
    event: AdlRound
    account: int
    whole: int
    halves: int
    paid: bool


def split(state: State, account: int, round: AdlRound) -> State:  # noqa: A002  the field's own word
    """Return a copy of ``state`` in which ``account`` holds one half and a new account, the last, the other.

    An odd unit stays with the account. Where the venue lists the round's candidates, the new one stands right behind it. Parts
    that do not differ are shared, so neither state may be changed after.
    """
    twin = len(state.accounts)
    opened = replace(state.accounts[account], account=twin, name=f"{state.accounts[account].name}/2")
    kept, moved = {}, {}
    for market, position in state.holdings[account].items():
        size, cost = _half(position.size), _half(position.cost)
        moved[market] = replace(position, size=size, cost=cost)
        kept[market] = replace(position, size=position.size - size, cost=position.cost - cost)
    cash = _half(state.cash[account])
    return replace(
        state,
        accounts=[*state.accounts, opened],
        role_since=[*state.role_since, state.role_since[account]],
        cash=[*_put(state.cash, account, state.cash[account] - cash), cash],
        cash_known=[*state.cash_known, state.cash_known[account]],
        positions=[_book(book, account, twin, kept.get(m), moved.get(m)) for m, book in enumerate(state.positions)],
        holdings=[*_put(state.holdings, account, kept), moved],
        rounds=_listed(state, account, twin, round.round),
    )


def _half(number: int) -> int:
    """Return half of a number, cut toward zero."""
    return number // 2 if number >= 0 else -(-number // 2)


def _put(items: list[_Item], index: int, item: _Item) -> list[_Item]:
    return [*items[:index], item, *items[index + 1 :]]


def _book(
    book: dict[int, Position], account: int, twin: int, kept: Position | None, moved: Position | None
) -> dict[int, Position]:
    return book if kept is None or moved is None else {**book, account: kept, twin: moved}


def _listed(state: State, account: int, twin: int, number: int) -> list[Round]:
    rounds = list(state.rounds)
    if number < len(rounds) and account in rounds[number].candidates:
        place = rounds[number].candidates.index(account) + 1
        ranked = rounds[number].candidates
        rounds[number] = replace(rounds[number], candidates=[*ranked[:place], twin, *ranked[place:]])
    return rounds


def _burdens(found: Plan) -> Counter[int]:
    """Return what a plan takes of each account: contracts, or money where it moves only that."""
    burdens: Counter[int] = Counter()
    for close in found.closes:
        burdens[close.winner] += close.size
    for charge in found.charges:
        burdens[charge.payer] += charge.cash
    return burdens


class Gaming(Fold):
    """Each round planned twice, with a winner whole and split: the account asked about, or the one closed most."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._pending: tuple[AdlRound, int] | None = None
        self._rounds = self._undecided = self._untouched = 0
        self._missing: set[str] = set()
        self._tests: list[_Test] = []

    def before(self, state: State, event: AnyEvent, seq: int) -> None:
        """Test a round when all of its candidates are on record, that is at the first event that is none."""
        if self._pending is not None and not (type(event) is AdlCandidates and event.round == self._pending[0].round):
            self._test(state, *self._pending)
            self._pending = None
        if type(event) is AdlRound and self._scope.covers(seq, event.market):
            self._pending = event, seq

    def _test(self, state: State, event: AdlRound, seq: int) -> None:
        self._rounds += 1
        self._span.add(seq)
        first = planned(state, event)
        if first.missing:
            self._undecided += 1
            self._missing.update(first.missing)
            return
        sizes = _burdens(first)
        account = self._scope.account_id if self._scope.account else max(sizes, key=lambda a: (sizes[a], -a), default=None)
        if account is None or account not in sizes:
            self._untouched += 1
            return
        second = planned(split(state, account, event), event)
        burdens = _burdens(second)
        halves = burdens[account] + burdens[len(state.accounts)]
        self._tests.append(_Test(seq, event, account, sizes[account], halves, bool(first.charges)))

    def answer(self, state: State) -> Answer:
        """Return the gains by splitting, in contracts and as a share of the burden."""
        if self._pending is not None:
            self._test(state, *self._pending)
            self._pending = None
        sheet = Sheet("Q25", state, self._scope)
        if not self._rounds:
            return sheet.lacks("gain", "contracts saved by splitting an account", LACKS_ROUNDS)
        tests = self._tests
        on = partly(RECONSTRUCTION, self._span, self._rounds - self._undecided, self._rounds, self._missing)
        sheet.count("tests", "rounds planned again with a winner split in two", len(tests), "rounds", on)
        gained = sum(1 for test in tests if test.halves < test.whole)
        lost = sum(1 for test in tests if test.halves > test.whole)
        sheet.count("gained", "of them, it takes less of the two than of the one", gained, "rounds", on)
        sheet.count("lost", "of them, it takes more of the two than of the one", lost, "rounds", on)
        best = max(tests, key=lambda test: (test.whole - test.halves) * PPT // test.whole, default=None)
        if best is not None:
            label, at = "largest gain, as a share of what it takes of the one", Ground(RECONSTRUCTION, Span(best.seq, best.seq))
            sheet.ratio("gain.most", label, best.whole - best.halves, best.whole, at)
        rows: list[tuple[Cell, ...]] = [
            (
                test.event.round,
                test.seq,
                state.accounts[test.account].name,
                state.markets[test.event.market].listed.symbol,
                "money" if test.paid else "contracts",
                *(self._text(state, test, amount) for amount in (test.whole, test.halves, test.whole - test.halves)),
                ratio_text(test.whole - test.halves, test.whole),
            )
            for test in tests
        ]
        columns = ("round", "seq", "account", "market", "unit", "whole", "halves", "gain", "share")
        title = "What the plan takes of one winner, whole and split in two"
        sheet.table("rounds", title, columns, rows, on, drop=("gain", "unit", "seq"))
        sheet.note("A gain above zero: splitting the account would have saved so much in that round, all else the same.")
        return sheet.answer()

    @staticmethod
    def _text(state: State, test: _Test, amount: int) -> str | None:
        return cash_text(state, amount) if test.paid else size_text(state, test.event.market, amount)
