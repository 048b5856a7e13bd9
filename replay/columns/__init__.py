"""Planning with columns: the plan of a round over many candidates, found with numpy and decided by the core.

Needs numpy, the extra ``fast``. The result is that of ``replay.core.plan.plan``, always; only the time differs.

Columns hold what does not depend on prices as int64, so that a round at new prices costs a few passes over them. What is worth
how much is then exact: every column carries a bound, and what could leave int64 goes back to the core. Scores as float64 are
used for one thing alone, to leave out candidates that the queue cannot reach. Who is left is ranked by the core's exact keys
and filled by the core's queue.

The error bound. A score in float64 is made of at most four conversions, two quotients and a product or quotient of these, each
right to a relative 2**-53, and integers within int64 neither overflow nor underflow them: so it is right to a relative 2**-50,
and its sign and zero are exact. Whoever's float is below T - 2**-48 |T| therefore has a lower exact score than all whose float
is at least T; where those together can give what is needed, the queue ends before it reaches anybody else, so leaving these out
changes nothing, not even a rank.
"""

from collections.abc import Callable
from math import gcd
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from events.model import AdlCandidates, AdlRound, AnyEvent, Contract, PolicyAdopted, PriceTick, Quarantined, StateCommitted
from events.units import PPT
from replay.columns.bounded import Int64s, Ints, Places, UnfitError, ints, within
from replay.core.candidates import Candidates, gather
from replay.core.plan import Plan, plan, queue_closes
from replay.core.policy import Atom, FillKind, Insolvent, Key, Measure, Order, Policy, ProfitFilter, Scope, Side
from replay.core.pricing import close_price, target_size
from replay.core.ranking import Field, currency_unit, listed_for
from replay.core.scoring import key_atoms
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, Market, State

__all__ = ["Columns", "plan_fast"]

_Floats: TypeAlias = NDArray[np.float64]
_Flags: TypeAlias = NDArray[np.bool_]

# Four times the error of a score, which leaves room for the rounding of the bound itself. See above.
_SLACK = 2.0**-48

# How many candidates are measured at a time: what is made of them on the way stays in the processor's cache.
_BLOCK = 2**15

# The bound of whom to look at first is sought in one of so many scores, with so many more than the average size asks for; how
# much that grows where it is too few.
_SAMPLE_STEP, _AT_LEAST, _GROWTH = 16, 4, 4

_OPPOSITE = Scope(Side.OPPOSITE)

# What moves no contracts, no money and no account.
_UNMOVED = (AdlCandidates, AdlRound, PolicyAdopted, PriceTick, Quarantined, StateCommitted)


class _Elsewhere(NamedTuple):
    """What candidates hold in another market: whose places, ascending, and their signed sizes."""

    market: int
    places: Places
    sizes: Ints


class _Holders(NamedTuple):
    """The holders of one side of a market, with all that does not depend on prices."""

    accounts: Int64s
    owners: Int64s
    sizes: Ints
    lots: Ints
    costs: Ints
    cash: Ints
    balances: Ints
    elsewhere: tuple[_Elsewhere, ...]

    def block(self, begin: int) -> "_Holders":
        """Return ``_BLOCK`` of them, from a place on."""
        elsewhere = []
        for market, places, sizes in self.elsewhere:
            first, last = np.searchsorted(places, (begin, begin + _BLOCK)).tolist()
            if first < last:
                rows = slice(first, last)
                elsewhere.append(_Elsewhere(market, places[rows] - begin, sizes.at(rows)))
        return self._at(slice(begin, begin + _BLOCK), elsewhere)

    def pick(self, rows: Places) -> "_Holders":
        """Return those at ascending places, with all markets: one that lacks a mark or tiers leaves everybody undecided."""
        elsewhere = []
        for market, places, sizes in self.elsewhere:
            found = np.minimum(np.searchsorted(places, rows), len(places) - 1)
            there = np.flatnonzero(places[found] == rows)
            elsewhere.append(_Elsewhere(market, there, sizes.at(found[there])))
        return self._at(rows, elsewhere)

    def _at(self, rows: slice | Places, elsewhere: list[_Elsewhere]) -> "_Holders":
        sizes, lots, costs, cash, balances = (column.at(rows) for column in self[2:7])
        return _Holders(self.accounts[rows], self.owners[rows], sizes, lots, costs, cash, balances, tuple(elsewhere))


class Columns:
    """The candidates of one market's rounds as columns, as they were after ``seq`` events."""

    __slots__ = ("_holders", "market", "seq")

    def __init__(self, market: int, seq: int, holders: dict[int, _Holders]) -> None:
        self.market = market
        self.seq = seq
        self._holders = holders

    @classmethod
    def of(cls, state: State, market: int) -> "Columns":
        """Return the columns of a market. A side that does not fit them, or of which not all is known, is left to the core."""
        holders = {}
        for side in (1, -1):
            try:
                holders[side] = _holders(state, market, side)
            except UnfitError:
                continue
        return cls(market, state.seq, holders)

    def follow(self, event: AnyEvent, seq: int) -> None:
        """Take note of the next event. After one that moves contracts, money or accounts the columns hold no longer."""
        if seq == self.seq + 1 and isinstance(event, _UNMOVED):
            self.seq = seq

    def side(self, state: State, side: int) -> "_Holders":
        """Return the holders of a side (1 long, -1 short). Raises ``UnfitError`` where they cannot be used for ``state``."""
        if state.seq != self.seq or side not in self._holders:
            raise UnfitError
        return self._holders[side]


def _holders(state: State, market: int, side: int) -> _Holders:
    found = gather(state, market, side, _OPPOSITE)
    if found.unseen or found.gaps((Atom.ENTRY_NOTIONAL,)) or not found.accounts or not all(state.cash_known):
        raise UnfitError
    balances = [state.cash[account] + cost for account, cost in zip(found.accounts, found.costs, strict=True)]
    elsewhere: dict[int, tuple[list[int], list[int]]] = {}
    for place, account in enumerate(found.accounts):
        held = state.holdings[account]
        for other, position in held.items() if len(held) > 1 else ():
            if position.unknown & (SIZE_UNKNOWN | ENTRY_UNKNOWN):
                raise UnfitError
            if other != market and position.size:
                balances[place] += position.cost
                places, sizes = elsewhere.setdefault(other, ([], []))
                places.append(place)
                sizes.append(position.size)
    return _Holders(
        np.array(found.accounts, dtype=np.int64),
        np.array([state.accounts[account].owner for account in found.accounts], dtype=np.int64),
        ints(found.sizes),
        ints(found.sizes).size(),
        ints(found.costs),
        ints([state.cash[account] for account in found.accounts]),
        ints(balances),
        tuple(_Elsewhere(other, np.array(places, dtype=np.intp), ints(sizes)) for other, (places, sizes) in elsewhere.items()),
    )


# ---- Measures at the marks of a state


class _Measures:
    """The atoms of a side's holders at the marks of a state, each made when it is first asked for."""

    def __init__(self, state: State, market: int, holders: _Holders) -> None:
        self.state = state
        self.market = market
        self.holders = holders
        self._columns: dict[Atom, Ints] = {}
        self._values = self._worth(market, holders.sizes)

    def column(self, atom: Atom) -> Ints:
        """Return an atom of every holder."""
        if atom not in self._columns:
            self._columns[atom] = self._made(atom)
        return self._columns[atom]

    def _made(self, atom: Atom) -> Ints:  # noqa: PLR0911  one for each atom
        values, costs = self._values, self.holders.costs
        match atom:
            case Atom.ONE:
                return Ints(np.ones(len(values.values), dtype=np.int64), 1)
            case Atom.SIZE:
                return self.holders.lots
            case Atom.NOTIONAL:
                return values.size()
            case Atom.ENTRY_NOTIONAL:
                return costs.size()
            case Atom.PROFIT:
                return values.minus(costs)
            case Atom.GAIN:
                return self.column(Atom.PROFIT).at_least(0)
            case Atom.SOLD | Atom.BOUGHT:
                bought = (costs.values > 0) | ((costs.values == 0) & (values.values > 0))
                at_mark = bought if atom is Atom.SOLD else ~bought
                traded = np.where(at_mark, values.values, costs.values)
                return Ints(traded, max(values.bound, costs.bound)).size()
            case Atom.BALANCE:
                return self.holders.balances
            case Atom.EQUITY:
                return self._summed(self.holders.cash.plus(values), lambda _, worth: worth)
            case Atom.EXPOSURE:
                return self._summed(values.size(), lambda _, worth: worth.size())
            case Atom.POSITION_MAINTENANCE | Atom.INITIAL:
                return self._required(self.market, values, first=atom is Atom.INITIAL)
            case _:
                own = self.column(Atom.POSITION_MAINTENANCE)
                return self._summed(own, lambda market, worth: self._required(market, worth, first=False))

    def _worth(self, market: int, sizes: Ints) -> Ints:
        """Return what signed sizes are worth at mark, as ``margin.market_value``."""
        mark, listed = self.state.marks[market], self.state.markets[market]
        if not mark:
            raise UnfitError
        if listed.listed.contract is Contract.INVERSE:
            return sizes.times(-listed.numerator).divided_half_even(mark * listed.denominator)
        values = sizes.times(mark * listed.numerator)
        return values if listed.denominator == 1 else values.divided_half_even(listed.denominator)

    def _summed(self, total: Ints, of: Callable[[int, Ints], Ints]) -> Ints:
        """Return a sum over accounts: what they have here, and ``of`` what they hold in each other market."""
        if not self.holders.elsewhere:
            return total
        values, bound = total.values.copy(), total.bound
        for market, places, sizes in self.holders.elsewhere:
            more = of(market, self._worth(market, sizes))
            bound = within(bound + more.bound)
            values[places] += more.values
        return Ints(values, bound)

    def _required(self, market: int, worth: Ints, *, first: bool) -> Ints:
        """Return margin requirements as ``margin.required``, with rates in lowest terms so that the products stay small."""
        listed: Market = self.state.markets[market]
        tiers = listed.listed.tiers
        if not tiers:
            raise UnfitError
        rates = [tier.initial_ppt if first else tier.maintenance_ppt for tier in tiers]
        common = gcd(PPT, *rates)
        left = worth.size()
        charged = Ints(np.zeros(len(left.values), dtype=np.int64), 0)
        for tier, rate in zip(reversed(tiers), reversed(rates), strict=True):
            floor = min(tier.floor_cash, left.bound)
            part = Ints(np.maximum(left.values - floor, 0), left.bound - floor)
            charged = charged.plus(part.times(rate // common))
            left = Ints(np.minimum(left.values, floor), floor)
        return Ints(-(-charged.values // (PPT // common)), charged.bound)


# ---- Scores as floats


class _Quotient(NamedTuple):
    """A measure as ``scoring.terms`` has it: integers, every bottom above 0."""

    tops: Int64s
    bottoms: Int64s

    def floats(self) -> _Floats:
        quotients: _Floats = self.tops.astype(np.float64)
        quotients /= self.bottoms
        return quotients


def _quotient(measure: Measure, key: Key, measures: _Measures, unit: int) -> _Quotient:
    def column(atom: Atom) -> Ints:
        found = measures.column(atom)
        return found.at_least(unit) if atom is Atom.EQUITY and key.insolvent is Insolvent.AT_LEAST_ONE else found

    tops, bottoms = column(measure.top), column(measure.bottom)
    if measure.floored:
        bottoms = bottoms.at_least(unit)
    elif (bottoms.values <= 0).any():
        tops = tops._replace(values=np.where(bottoms.values < 0, -tops.values, tops.values))
        bottoms = bottoms.size().at_least(1)
    over, per = measure.over
    if over:
        tops = tops.times(per).minus(bottoms.times(over)).at_least(0)
        bottoms = bottoms.times(per)
    return _Quotient(tops.values, bottoms.values)


def _scores(measures: _Measures, opened: AdlRound, policy: Policy) -> _Floats:
    """Return every holder's score, infinite for those who stand before or after all others whatever they score."""
    key, state, unit = policy.key, measures.state, currency_unit(measures.state)
    if key.order is not Order.SCORE or key.returns is None:
        raise UnfitError
    tops, bottoms = _quotient(key.returns, key, measures, unit)
    if key.insolvent is Insolvent.ZERO:
        tops = np.where(measures.column(Atom.EQUITY).values > 0, tops, 0)
    scores = _Quotient(tops, bottoms).floats()
    if key.leverage is not None:
        leverage = _quotient(key.leverage, key, measures, unit)
        times = divisors = leverage.floats()
        if not leverage.tops.all():
            divisors = _Quotient(np.where(leverage.tops == 0, 1, leverage.tops), leverage.bottoms).floats()
        scores = np.where(tops > 0, scores * times, scores / divisors)
    if key.insolvent in {Insolvent.FIRST, Insolvent.LAST}:
        first = key.insolvent is Insolvent.FIRST
        scores[measures.column(Atom.EQUITY).values <= 0] = np.inf if first else -np.inf
    if policy.scope.own_first:
        scores[measures.holders.owners == state.accounts[opened.loser].owner] = np.inf
    return scores


# ---- The plan


def plan_fast(columns: Columns, state: State, round: AdlRound, policy: Policy | None) -> Plan:  # noqa: A002  the field's own word
    """Return ``plan(state, round, policy)``, sooner where ``columns`` are those of the round's market in ``state``.

    That is for a queue that closes contracts of the other side by score, with all inputs on record and within int64. Everything
    else is left to the core, also a state with events that the columns did not follow.
    """
    try:
        return _planned(columns, state, round, policy)
    except UnfitError:
        return plan(state, round, policy)


def _planned(columns: Columns, state: State, opened: AdlRound, policy: Policy | None) -> Plan:
    if policy is None or not _is_plain_queue(policy) or columns.market != opened.market:
        raise UnfitError
    if listed_for(state, opened, policy) != (None, []):
        raise UnfitError
    size = opened.size if opened.size is not None else target_size(state, opened, policy)
    price = close_price(state, opened, policy).price
    if not size or price is None:
        raise UnfitError
    field = _leading_field(state, columns.side(state, -1 if size > 0 else 1), opened, policy, abs(size))
    closes = queue_closes(state, opened, policy, field, abs(size), price)
    return Plan(closes, (), (), abs(size) - sum(close.size for close in closes), 0)


def _is_plain_queue(policy: Policy) -> bool:
    """Return whether a policy closes whole candidates of the other side in their order."""
    scope, fill = policy.scope, policy.fill
    return (fill.kind, fill.cash, scope.side) == (FillKind.QUEUE, False, Side.OPPOSITE) and not (
        scope.unhedged or scope.overlapping
    )


def _leading_field(state: State, holders: _Holders, opened: AdlRound, policy: Policy, need: int) -> Field:
    """Return those who stand before all others of the round and can give ``need`` together, or all of them."""
    number = len(holders.accounts)
    scores, kept = np.empty(number, dtype=np.float64), np.empty(number, dtype=np.bool_)
    for begin in range(0, number, _BLOCK):
        measures = _Measures(state, opened.market, holders.block(begin))
        scores[begin : begin + _BLOCK] = _scores(measures, opened, policy)
        kept[begin : begin + _BLOCK] = _kept(measures, opened, policy)
    lots = _lots(holders.lots, policy)
    places = np.flatnonzero(_leading(scores, lots, kept, need))
    chosen = _Measures(state, opened.market, holders.pick(places))
    known = {atom: chosen.column(atom).values.tolist() for atom in key_atoms(policy.key)}
    held = chosen.holders.sizes.values.tolist(), chosen.holders.costs.values.tolist()
    accounts = chosen.holders.accounts.tolist()
    return Field(Candidates.measured(state, opened.market, accounts, held, known), lots[places].tolist(), [])


def _kept(measures: _Measures, opened: AdlRound, policy: Policy) -> _Flags:
    """Mark those who are candidates within the scope's limits."""
    kept: _Flags = measures.holders.accounts != opened.loser
    if policy.scope.profit is not ProfitFilter.ANY:
        kept &= measures.column(Atom.PROFIT).values >= (0 if policy.scope.profit is ProfitFilter.NOT_NEGATIVE else 1)
    if policy.key.insolvent is Insolvent.EXCLUDED:
        kept &= measures.column(Atom.EQUITY).values > 0
    return kept


def _lots(lots: Ints, policy: Policy) -> Int64s:
    """Return how many lots each can give, of which the sum is within int64."""
    within(lots.bound * len(lots.values))
    each = policy.target.each
    if each is None:
        return lots.values
    return np.minimum(lots.values, lots.times(each.numerator).values // within(each.denominator))


def _leading(scores: _Floats, lots: Int64s, kept: _Flags, need: int) -> _Flags:
    """Mark those whose score can be among the highest that together give ``need`` lots; all where they do not."""
    if not kept.all():
        scores, lots = np.where(kept, scores, -np.inf), np.where(kept, lots, 0)
    total, sample = int(lots.sum()), scores[::_SAMPLE_STEP]
    if total <= need:
        return kept
    count = need * len(sample) // total + _AT_LEAST
    while True:
        bound = np.partition(sample, -count)[-count] if count <= len(sample) else -np.inf
        highest = np.flatnonzero(scores >= bound)
        if lots[highest].sum() >= need:
            break
        count *= _GROWTH
    falling = highest[np.argsort(-scores[highest])]
    last = scores[falling[np.searchsorted(np.cumsum(lots[falling]), need)]]
    least = float(last - abs(last) * _SLACK if np.isfinite(last) else last)
    return kept & (scores >= least)
