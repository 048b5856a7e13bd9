"""Who is a candidate of an ADL round, and what is measured of each.

Where the record holds the venue's own list of the round (AdlCandidates), the candidates are these accounts and no others. Else
every account that the venue states as not exempt, whatever its role, and where it states nothing every user account; but then
the record must show who holds the market: it does not where ``State.partial`` says so, nor where such an account has a
position of unknown size or, with its cash unknown, none on record at all. That the sizes on record sum to zero proves nothing.
Never the loser, never a reserved account. In a scope of accounts all of them count, whatever they hold.

Measures are columns: one list per atom, by candidate, computed when it is first asked for. With 200,000 candidates that is
several times faster than an object for each. What the record does not tell stands as 0 in a column and is named in ``gaps``:
whoever uses a column asks for its gaps before it decides anything.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import repeat
from operator import add, attrgetter, mul, sub
from typing import NamedTuple, cast

from events.model import FIRST_FREE_ACCOUNT, Contract, Role
from replay.core import margin
from replay.core.missing import (
    MISSING_CANDIDATES,
    MISSING_ENTRY,
    MISSING_MARK,
    account_gaps,
    equity_gaps,
    margin_gaps,
)
from replay.core.policy import Atom, ProfitFilter, Scope, Side
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, Position, State

__all__ = ["Candidates", "by_profit", "gather", "solvent", "unhedged"]

# Looked up once: a member of an enum is slow to reach in Python 3.11.
_USER = Role.USER

# The atoms that are sums over an account wherever they are asked for.
_OF_ACCOUNT = {
    Atom.BALANCE: margin.balance,
    Atom.MAINTENANCE: margin.maintenance,
    Atom.EXPOSURE: margin.exposure,
}
# Where the candidates are whole accounts these are sums too. The others are of a position alone.
_SUMS = {
    **_OF_ACCOUNT,
    Atom.EQUITY: margin.equity,
    Atom.PROFIT: margin.profit,
    Atom.NOTIONAL: margin.exposure,
}
_REQUIREMENTS = (Atom.MAINTENANCE, Atom.POSITION_MAINTENANCE, Atom.INITIAL)

_FLAT = Position()
_UNKNOWN = attrgetter("unknown")


class _Held(NamedTuple):
    """The positions of candidates in the round's market: signed sizes, costs, and the places whose cost is not known."""

    sizes: list[int]
    costs: list[int]
    unknown: frozenset[int]


class Candidates:
    """Candidates in no particular order, with what is measured of each.

    ``sizes`` are signed positions in the round's market, 0 for an account that has none; ``costs`` are theirs, and mean nothing
    where the entry is not known. ``whole`` says that the candidates are accounts, not positions. ``unseen`` names what the
    record lacks to say who they are.
    """

    __slots__ = (
        "_columns",
        "_gaps",
        "_held",
        "_unknown",
        "_worth",
        "accounts",
        "costs",
        "market",
        "sizes",
        "state",
        "unseen",
        "whole",
    )

    def __init__(
        self, state: State, market: int, accounts: list[int], unseen: list[str], *, whole: bool, held: _Held | None = None
    ) -> None:
        self.state = state
        self.market = market
        self.accounts = accounts
        self.whole = whole
        self.unseen = unseen
        self._held = _look_up(state, market, accounts) if held is None else held
        self.sizes = self._held.sizes
        self.costs = self._held.costs
        self._worth: list[int] | None = None
        self._columns: dict[Atom, list[int]] = {}
        self._gaps: dict[Atom, list[str]] = {}
        self._unknown: dict[Atom, frozenset[int]] = {}

    @classmethod
    def measured(
        cls, state: State, market: int, accounts: list[int], held: tuple[list[int], list[int]], known: Mapping[Atom, list[int]]
    ) -> "Candidates":
        """Return holders of whom all is known, measured elsewhere. ``held`` are their signed sizes and their costs."""
        made = cls(state, market, accounts, [], whole=False, held=_Held(*held, frozenset()))
        for atom, column in known.items():
            made._columns[atom], made._gaps[atom], made._unknown[atom] = column, [], frozenset()
        return made

    def __len__(self) -> int:
        return len(self.accounts)

    def pick(self, places: Sequence[int]) -> "Candidates":
        """Return the candidates at ``places``, in that order, with what was measured. Gaps stay those of all."""
        sizes, costs, unknown = self._held
        held = _Held([sizes[place] for place in places], [costs[place] for place in places], _moved(unknown, places))
        accounts = [self.accounts[place] for place in places]
        chosen = Candidates(self.state, self.market, accounts, self.unseen, whole=self.whole, held=held)
        chosen._gaps = dict(self._gaps)
        for atom, column in self._columns.items():
            chosen._columns[atom] = [column[place] for place in places]
            chosen._unknown[atom] = _moved(self._unknown[atom], places)
        return chosen

    def ascending(self) -> "Candidates":
        """Return the candidates by ascending account."""
        return self.pick(sorted(range(len(self)), key=self.accounts.__getitem__))

    def column(self, atom: Atom) -> list[int]:
        """Return an atom of every candidate, 0 where it is not known. Not to be changed."""
        if atom not in self._columns:
            self._gaps[atom] = []
            self._unknown[atom] = frozenset()
            self._columns[atom] = self._made(atom)
        return self._columns[atom]

    def gaps(self, atoms: Collection[Atom]) -> list[str]:
        """Name what the record lacks to tell these atoms of every candidate."""
        names = []
        for atom in atoms:
            self.column(atom)
            names += self._gaps[atom]
        return names

    def figure(self, atom: Atom, place: int) -> int | None:
        """Return an atom of one candidate, None where it is not known."""
        value = self.column(atom)[place]
        return None if place in self._unknown[atom] else value

    def _made(self, atom: Atom) -> list[int]:
        if atom is Atom.ONE:
            return [1] * len(self)
        if atom is Atom.SIZE:
            return list(map(abs, self.sizes))
        if atom is Atom.GAIN:
            profits = self.column(Atom.PROFIT)
            self._gaps[atom], self._unknown[atom] = self._gaps[Atom.PROFIT], self._unknown[Atom.PROFIT]
            return [max(profit, 0) for profit in profits]
        of_account = _SUMS.get(atom) if self.whole else _OF_ACCOUNT.get(atom)
        if of_account is not None:
            return self._asked(atom, [of_account(self.state, account) for account in self.accounts])
        return self._asked(atom, [None] * len(self)) if self.whole else self._of_positions(atom)

    def _asked(self, atom: Atom, values: list[int | None]) -> list[int]:
        """Keep a column of which some may be unknown, and name why."""
        if None not in values:
            return cast("list[int]", values)
        unknown = [place for place, value in enumerate(values) if value is None]
        self._unknown[atom] = frozenset(unknown)
        for place in unknown:
            self._gaps[atom] += self._why(atom, self.accounts[place])
        return [value or 0 for value in values]

    def _why(self, atom: Atom, account: int) -> list[str]:
        if atom is Atom.EQUITY:
            return equity_gaps(self.state, account)
        if atom in _REQUIREMENTS:
            return margin_gaps(self.state, account)
        return account_gaps(self.state, account)

    def _of_positions(self, atom: Atom) -> list[int]:
        _, costs, unknown = self._held
        if atom is Atom.ENTRY_NOTIONAL:
            self._mark_entries(atom, unknown)
            return list(map(abs, costs))
        values = self._values(atom)
        if atom is Atom.EQUITY:
            return self._equities(values)
        if atom is Atom.NOTIONAL:
            return list(map(abs, values))
        if atom in _REQUIREMENTS:
            return self._requirements(atom, values)
        self._mark_entries(atom, unknown)
        if atom is Atom.PROFIT:
            return list(map(sub, values, costs))
        return [_traded(atom, value, cost) for value, cost in zip(values, costs, strict=True)]

    def _values(self, atom: Atom) -> list[int]:
        """Return the signed value of every position at mark; without a mark none is known."""
        mark = self.state.marks[self.market]
        if not mark:
            self._gaps[atom].append(MISSING_MARK)
            self._unknown[atom] = frozenset(range(len(self)))
            return [0] * len(self)
        if self._worth is None:
            listed = self.state.markets[self.market]
            if listed.listed.contract is Contract.LINEAR:
                price = mark * listed.numerator
                self._worth = list(map(mul, self.sizes, repeat(price)))
            else:
                self._worth = [margin.market_value(listed, size, mark) for size in self.sizes]
        return self._worth

    def _mark_entries(self, atom: Atom, unknown: frozenset[int]) -> None:
        if unknown:
            self._gaps[atom].append(MISSING_ENTRY)
            self._unknown[atom] |= unknown

    def _requirements(self, atom: Atom, values: list[int]) -> list[int]:
        listed, first = self.state.markets[self.market], atom is Atom.INITIAL
        return self._asked(atom, [margin.required(listed, abs(value), first=first) for value in values])

    def _equities(self, values: list[int]) -> list[int]:
        state = self.state
        if not state.marks[self.market] or not all(state.cash_known):
            self._unknown[Atom.EQUITY], self._gaps[Atom.EQUITY] = frozenset(), []
            return self._asked(Atom.EQUITY, [margin.equity(state, account) for account in self.accounts])
        # Most accounts hold this market alone, and for them there is nothing to look up again.
        equities: list[int | None] = list(map(add, map(state.cash.__getitem__, self.accounts), values))
        markets = list(map(len, state.holdings))
        if max(markets, default=0) > 1:
            for place, account in enumerate(self.accounts):
                if markets[account] > 1:
                    equities[place] = margin.equity(state, account)
        return self._asked(Atom.EQUITY, equities)


def _look_up(state: State, market: int, accounts: list[int]) -> _Held:
    book = state.positions[market]
    positions = [book.get(account, _FLAT) for account in accounts]
    unknown = frozenset(place for place, position in enumerate(positions) if position.unknown & ENTRY_UNKNOWN)
    return _Held([position.size for position in positions], [position.cost for position in positions], unknown)


def _moved(places: frozenset[int], to: Sequence[int]) -> frozenset[int]:
    """Return where the places in a set now are, given which place stands where."""
    return frozenset(new for new, place in enumerate(to) if place in places) if places else places


def _traded(atom: Atom, value: int, cost: int) -> int:
    """Return what a position was sold or bought for.

    By the sign of the money, as that holds for every contract: who paid at entry is paid at mark.
    """
    bought = cost > 0 or (cost == 0 and value > 0)
    return abs(value if bought is (atom is Atom.SOLD) else cost)


# ---- Who they are


def gather(
    state: State, market: int, side: int, scope: Scope, *, without: int | None = None, among: Collection[int] | None = None
) -> Candidates:
    """Return the candidates that hold ``side`` of ``market`` (1 long, -1 short) or, by the scope, both sides or are accounts.

    ``without`` is the loser; ``among`` is the list of a venue that says whom it ranked. The scope's other limits are not
    applied: see ``by_profit`` and ``unhedged``.
    """
    if scope.side is Side.ACCOUNTS:
        everybody = range(FIRST_FREE_ACCOUNT, len(state.accounts))
        found = [account for account in everybody if account != without and _eligible(state, account, among)]
        return Candidates(state, market, found, _account_gaps(state, among), whole=True)
    unseen = _market_gaps(state, market, without, among)
    found, held = _holders(state, market, 0 if scope.side is Side.BOTH else side, without, among)
    return Candidates(state, market, found, unseen, whole=False, held=held)


def _holders(
    state: State, market: int, side: int, without: int | None, among: Collection[int] | None
) -> tuple[list[int], _Held]:
    """Return who can be a candidate and holds ``side`` of the market, or any where it is 0, with what each holds."""
    book = state.positions[market]
    if among is not None:
        listed = frozenset(among)
        book = {account: position for account, position in book.items() if account in listed}
    barred = {*range(FIRST_FREE_ACCOUNT), *([] if without is None else [without]), *_barred(state, book, among)}
    found: list[int] = []
    sizes: list[int] = []
    costs: list[int] = []
    unknown: list[int] = []
    # One pass that looks at each position once: with many holders the memory they lie in is what takes time.
    for account, position in book.items():
        size = position.size
        if (size * side > 0 if side else size) and account not in barred:
            if position.unknown & ENTRY_UNKNOWN:
                unknown.append(len(found))
            found.append(account)
            sizes.append(size)
            costs.append(position.cost)
    return found, _Held(sizes, costs, frozenset(unknown))


def _barred(state: State, book: Mapping[int, Position], among: Collection[int] | None) -> list[int]:
    """Return the accounts that are no candidates whatever they hold, at least those of them that hold the market."""
    if among is not None:
        return []
    if len(book) < len(state.accounts) // 2:
        return [account for account in book if not _eligible(state, account, None)]
    # The exceptions are few, and memory is faster read in its order.
    return [
        account
        for account, opened in enumerate(state.accounts)
        if (opened.role is not _USER if opened.adl_exempt is None else opened.adl_exempt)
    ]


def solvent(candidates: Candidates) -> Candidates:
    """Return the candidates whose equity is above 0."""
    equities = candidates.column(Atom.EQUITY)
    return candidates.pick([place for place, equity in enumerate(equities) if equity > 0])


def by_profit(candidates: Candidates, profit: ProfitFilter) -> Candidates:
    """Return the candidates that the filter lets through."""
    if profit is ProfitFilter.ANY:
        return candidates
    least = 0 if profit is ProfitFilter.NOT_NEGATIVE else 1
    return candidates.pick([place for place, value in enumerate(candidates.column(Atom.PROFIT)) if value >= least])


def unhedged(candidates: Candidates, without: int | None) -> list[int]:
    """Return how many lots of each candidate its owner holds beyond the other side in its other accounts of this market.

    What an owner holds on the candidates' side beyond what it holds on the other is given to its candidates by ascending id.
    All its accounts count, whatever their role, but for the loser: what is to be closed hedges nothing. Where one of them may
    hold more than is on record, that is named in ``candidates.unseen``.
    """
    state, held = candidates.state, candidates.state.positions[candidates.market]
    owners = [state.accounts[account].owner for account in candidates.accounts]
    excess = dict.fromkeys(owners, 0)
    for account, opened in enumerate(state.accounts):
        if opened.owner not in excess or account == without:
            continue
        position = held.get(account)
        if position is not None:
            excess[opened.owner] += position.size
        if position.unknown & SIZE_UNKNOWN if position is not None else not state.cash_known[account]:
            candidates.unseen.append(MISSING_CANDIDATES)
    lots = [0] * len(candidates)
    for place in sorted(range(len(candidates)), key=candidates.accounts.__getitem__):
        size, owner = candidates.sizes[place], owners[place]
        sign = 1 if size > 0 else -1
        lots[place] = min(abs(size), max(excess[owner] * sign, 0))
        excess[owner] -= lots[place] * sign
    return lots


def _eligible(state: State, account: int, among: Collection[int] | None) -> bool:
    """Return whether an account can be a candidate, whatever it holds."""
    if account < FIRST_FREE_ACCOUNT:
        return False
    if among is not None:
        return account in among
    opened = state.accounts[account]
    return opened.role is _USER if opened.adl_exempt is None else not opened.adl_exempt


def _market_gaps(state: State, market: int, without: int | None, among: Collection[int] | None) -> list[str]:
    """Name holders of a market that the record does not show."""
    unseen = (among is None and state.partial[market]) or _has_unknown_holders(state, market, without, among)
    return [MISSING_CANDIDATES] if unseen else []


def _has_unknown_holders(state: State, market: int, without: int | None, among: Collection[int] | None) -> bool:
    """Return whether an account that can be a candidate may hold ``market`` with a size that is not on record."""
    held = state.positions[market]
    unknown: list[int] = []
    if any(map(_UNKNOWN, held.values())):
        unknown = [account for account, position in held.items() if position.unknown & SIZE_UNKNOWN]
    if not all(state.cash_known):  # the common case is a record that knows all cash, and many accounts
        unknown += [account for account, known in enumerate(state.cash_known) if not known and account not in held]
    return any(account != without and _eligible(state, account, among) for account in unknown)


def _account_gaps(state: State, among: Collection[int] | None) -> list[str]:
    """Name accounts that the record does not show: those of a venue whose record is not whole."""
    return [MISSING_CANDIDATES] if among is None and any(state.partial) else []
