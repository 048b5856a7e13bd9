"""The checker: replays under the laws of ``replay.core.laws`` and says which event breaks which.

Theory of operation. ``Checker.before`` notes the accounts and positions that an event names, ``after`` compares them: their
changes must sum to zero, so a law over all accounts costs only what was touched. Two sums per market and for cash are carried
along, one of the amounts and one weighted by account, and every ``FULL_EVERY`` events and at the end they are taken again
over everything: an account changed by an event that does not name it shows there.

What is noted of a position follows rule 6 of ``evolve``: where cash is known, and where a trade claims to start from flat, a
position that was never seen is flat. Only a level that is stated for the first time is not held against that.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from events.errors import MisuseError
from events.model import (
    FEES,
    UNOBSERVED,
    AdlClose,
    AnyEvent,
    Fill,
    Funding,
    InsuranceDraw,
    Liquidation,
    Opening,
    PriceTick,
    Settlement,
    StateCommitted,
    Transfer,
)
from replay.core import margin, root
from replay.core.laws import LAWS, Broken, Law, Step, Unit, flat_cost
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, Position, State

__all__ = ["FULL_EVERY", "LAWS", "Checker", "Finding", "Law"]

# Events between two sums over everything.
FULL_EVERY = 65_536

# The laws that are checked there.
_IN_FULL = ("cash-conserved", "size-conserved", "open-interest", "third-parties", "flat-costs-nothing")


class Finding(Struct, frozen=True):
    """One broken law: its name and id, the event's seq, and how it is broken, as ``laws.Broken`` says it."""

    law: str
    id: str
    seq: int
    what: str
    expected: int | str
    found: int | str
    account: int | None
    market: int | None
    unit: Unit


class _Sums(NamedTuple):
    """Sums over all accounts: of the amounts, and of the amounts times the account. First cash, then each market."""

    plain: list[int]
    weighted: list[int]


def _sums(state: State) -> _Sums:
    books = [dict(enumerate(state.cash))]
    books += [{account: position.size for account, position in book.items()} for book in state.positions]
    plain = [sum(book.values()) for book in books]
    return _Sums(plain, [sum(account * amount for account, amount in book.items()) for book in books])


def _broken_in_full(state: State, carried: _Sums) -> Iterator[tuple[str, Broken]]:
    """Yield the name of each law that the whole state breaks, and how."""
    found = _sums(state)
    total = "sum of {} over all accounts: by the law, and on the books"
    weighted = "sum of {} weighted by account: carried along the events, and on the books"
    if found.plain[0]:
        yield "cash-conserved", Broken(total.format("cash"), 0, found.plain[0], None, None, "cash")
    if found.weighted[0] != carried.weighted[0]:
        what = weighted.format("cash")
        yield "third-parties", Broken(what, carried.weighted[0], found.weighted[0], None, None, "count")
    for market, book in enumerate(state.positions):
        was, plain, now = carried.weighted[1 + market], found.plain[1 + market], found.weighted[1 + market]
        if plain:
            yield "size-conserved", Broken(total.format("sizes"), 0, plain, None, market, "size")
        if now != was:
            yield "third-parties", Broken(weighted.format("sizes"), was, now, None, market, "count")
        longs = sum(position.size for position in book.values() if position.size > 0)
        shorts = -sum(position.size for position in book.values() if position.size < 0)
        if longs != shorts:
            what = "open interest: counted from longs, and from shorts"
            yield "open-interest", Broken(what, longs, shorts, None, market, "size")
        for account in sorted(book):
            if broken := flat_cost(book[account], account, market):
                yield "flat-costs-nothing", broken


def _touched(event: AnyEvent) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Return the accounts whose cash an event may change, and the ``(market, account)`` whose position it may."""
    match event:
        case Fill() | Liquidation() | AdlClose() | Settlement():
            return (event.buyer, event.seller, FEES), ((event.market, event.buyer), (event.market, event.seller))
        case Opening():
            stated = tuple((p.market, account) for p in event.positions for account in (event.account, UNOBSERVED))
            return (event.account, UNOBSERVED), stated
        case Transfer():
            return (event.payer, event.payee), ()
        case InsuranceDraw():
            return (event.fund, event.account), ()
        case Funding():
            return (event.against, *(payment.account for payment in event.payments)), ()
        case _:
            return (), ()


class Checker:
    """Checks the laws of ``names``, all if empty, on a state while it is changed by ``evolve``.

    Call ``before`` and ``after`` around each event, and ``finish`` at the end. Raises ``MisuseError`` for an unknown name.
    """

    def __init__(self, state: State, names: Sequence[str] = ()) -> None:
        known = {law.name: law for law in LAWS}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise MisuseError(f"no invariant is called {unknown[0]!r}.", cure=f"There are: {', '.join(known)}.")
        self._laws = {name: law for name, law in known.items() if not names or name in names}
        self._by_type: dict[type, list[Law]] = {}
        self._state = state
        self._carried = _sums(state)
        self._step = Step(state)
        self._evaluations: Counter[str] = Counter(dict.fromkeys(self._laws, 0))

    @property
    def evaluations(self) -> Counter[str]:
        """How often each law was evaluated so far; 0 where nothing was known that it could be held against."""
        return self._evaluations.copy()

    def before(self, event: AnyEvent) -> None:
        """Note what ``event`` is about to change."""
        state, step = self._state, self._step
        accounts, positions = _touched(event)
        known = len(state.accounts)
        step.cash_before = {account: state.cash[account] for account in accounts if account < known}
        step.known_before = {account: state.cash_known[account] for account in step.cash_before}
        step.before = {key: self._noted(*key, event) for key in positions if key[0] < len(state.markets)}
        committed = isinstance(event, StateCommitted) and "commitment" in self._laws
        if type(event) is Liquidation:
            self._note_liquidated(event)
        elif type(event) is PriceTick and event.mark is not None:
            step.marked_ns[event.market] = event.at_ns
        step.roots = (root.money_root(state), root.basis_root(state)) if committed else None

    def _noted(self, market: int, account: int, event: AnyEvent) -> Position:
        position = self._state.positions[market].get(account)
        if position is not None:
            return replace(position)
        if isinstance(event, Fill | Liquidation | AdlClose | Settlement):
            claim = event.buyer_start_claim if account == event.buyer else event.seller_start_claim
            known = claim == 0 or self._step.known_before.get(account, False)
        else:
            known = account == UNOBSERVED
        return Position() if known else Position(unknown=SIZE_UNKNOWN | ENTRY_UNKNOWN)

    def _note_liquidated(self, event: Liquidation) -> None:
        """Note what the account had, where it is claimed and can be told at the mark that the venue states."""
        state, step = self._state, self._step
        step.equity = step.requirement = None
        known = event.account < len(state.accounts) and event.market < len(state.markets)
        if known and event.mark in {None, state.marks[event.market]}:
            step.equity = None if event.equity_claim is None else margin.equity(state, event.account)
            step.requirement = None if event.requirement_claim is None else margin.maintenance(state, event.account)

    def after(self, event: AnyEvent, seq: int) -> list[Finding]:
        """Return what ``event``, applied at ``seq`` since ``before``, breaks."""
        self._carry()
        laws = self._by_type.get(type(event))
        if laws is None:
            laws = [law for law in self._laws.values() if not law.events or type(event) in law.events]
            self._by_type[type(event)] = laws
        findings, step, evaluations = [], self._step, self._evaluations
        for law in laws:
            step.evaluations = 0
            findings += [_finding(law, seq, broken) for broken in law.check(step, event)]
            if step.evaluations:
                evaluations[law.name] += step.evaluations
        return findings + self._full(seq) if seq % FULL_EVERY == 0 else findings

    def finish(self) -> list[Finding]:
        """Return what the state as a whole breaks."""
        return self._full(self._state.seq)

    def _carry(self) -> None:
        state, step = self._state, self._step
        plain, weighted = self._carried
        missing = 1 + len(state.markets) - len(plain)
        plain.extend([0] * missing)
        weighted.extend([0] * missing)
        for account, cash in step.cash_before.items():
            change = state.cash[account] - cash
            plain[0] += change
            weighted[0] += account * change
        for (market, account), position in step.before.items():
            change = step.now(market, account).size - position.size
            plain[1 + market] += change
            weighted[1 + market] += account * change

    def _full(self, seq: int) -> list[Finding]:
        self._evaluations.update(name for name in _IN_FULL if name in self._laws)
        broken = _broken_in_full(self._state, self._carried)
        return [_finding(self._laws[name], seq, how) for name, how in broken if name in self._laws]


def _finding(law: Law, seq: int, broken: Broken) -> Finding:
    return Finding(law.name, law.id, seq, *broken)
