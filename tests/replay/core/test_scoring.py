from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.model import AnyEvent
from replay.core.candidates import Candidates, gather
from replay.core.evolve import evolve
from replay.core.policy import Atom, Insolvent, Key, Measure, Order, Ratio, Scope, Side, Tie
from replay.core.scoring import in_key_order, key_atoms, order_keys, reduced, scores, terms
from replay.core.state import State

Stage = Callable[..., list[AnyEvent]]

UNIT = 10**8
LOT = 10_000  # money units of one lot at one price step

RETURN = Measure(Atom.PROFIT, Atom.ENTRY_NOTIONAL)
LEVERAGE = Measure(Atom.NOTIONAL, Atom.EQUITY)
QUEUE = Key(Order.SCORE, RETURN, LEVERAGE, insolvent=Insolvent.LAST)

MEASURES = [
    RETURN,
    LEVERAGE,
    Measure(Atom.PROFIT, Atom.NOTIONAL),
    Measure(Atom.PROFIT),
    Measure(Atom.GAIN, Atom.BALANCE, floored=True),
    Measure(Atom.MAINTENANCE, Atom.EQUITY),
    Measure(Atom.POSITION_MAINTENANCE, Atom.EQUITY, floored=True),
    Measure(Atom.SOLD, Atom.BOUGHT, over=Ratio(9, 10)),
    Measure(Atom.PROFIT, Atom.INITIAL),
    Measure(Atom.EXPOSURE, Atom.EQUITY),
    Measure(Atom.SIZE),
    Measure(Atom.BALANCE),
    Measure(Atom.PROFIT, Atom.BALANCE),
]


@st.composite
def venues(draw: st.DrawFn) -> tuple[list[Any], int]:
    """Traders with a position in market 0, often alike, and a mark."""
    sizes = st.one_of(st.sampled_from([-10, 10]), st.integers(-300, 300).filter(bool))
    cash = st.one_of(st.just(0), st.sampled_from([10**9]), st.integers(1, 10**10))
    entries = st.one_of(st.sampled_from([900, 1_000]), st.integers(1, 2_000))
    traders = draw(st.lists(st.tuples(cash, sizes, entries), min_size=1, max_size=12))
    return [(money, {0: (size, entry)}) for money, size, entry in traders], draw(st.integers(1, 2_000))


@st.composite
def keys(draw: st.DrawFn) -> Key:
    returns = draw(st.none() | st.sampled_from(MEASURES))
    leverage = None if returns is None else draw(st.none() | st.sampled_from(MEASURES))
    ties = draw(st.lists(st.builds(Tie, st.sampled_from(MEASURES), st.booleans()), max_size=2))
    insolvent = draw(st.sampled_from(Insolvent))
    return Key(Order.SCORE, returns, leverage, draw(st.booleans()), insolvent, tuple(ties), draw(st.booleans()))


def fold(events: Iterable[AnyEvent]) -> State:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    return state


def everybody(state: State) -> Candidates:
    return gather(state, 0, 0, Scope(Side.BOTH))


class Oracle:
    """What a key says of an account, worked out again with fractions from the venue's own numbers."""

    def __init__(self, key: Key, trader: Any, mark: int) -> None:
        self.key = key
        self.cash, held = trader
        self.size, self.entry = held[0]
        self.mark = mark

    def atom(self, atom: Atom) -> int:
        value, cost = self.size * self.mark * LOT, self.size * self.entry * LOT
        maintenance, initial = (-(-abs(value) * percent // 100) for percent in (5, 10))
        sold, bought = (value, cost) if self.size > 0 else (-cost, -value)
        atoms: dict[Atom, int] = {
            Atom.ONE: 1,
            Atom.SIZE: abs(self.size),
            Atom.NOTIONAL: abs(value),
            Atom.ENTRY_NOTIONAL: abs(cost),
            Atom.PROFIT: value - cost,
            Atom.GAIN: max(value - cost, 0),
            Atom.POSITION_MAINTENANCE: maintenance,
            Atom.INITIAL: initial,
            Atom.SOLD: sold,
            Atom.BOUGHT: bought,
            Atom.EQUITY: self.cash + value - cost,
            Atom.BALANCE: self.cash,
            Atom.MAINTENANCE: maintenance,
            Atom.EXPOSURE: abs(value),
        }
        return atoms[atom]

    def measure(self, measure: Measure, *, of_score: bool) -> Fraction:
        values = []
        for atom in (measure.top, measure.bottom):
            value = self.atom(atom)
            if of_score and atom is Atom.EQUITY and self.key.insolvent is Insolvent.AT_LEAST_ONE:
                value = max(value, UNIT)
            values.append(value)
        top, bottom = values
        ratio = Fraction(top, max(bottom, UNIT) if measure.floored else bottom or 1)
        over = Fraction(*measure.over)
        return max(ratio - over, Fraction(0)) if over else ratio

    def score(self) -> Fraction:
        assert self.key.returns is not None
        if self.key.insolvent is Insolvent.ZERO and self.atom(Atom.EQUITY) <= 0:
            return Fraction(0)
        gain = self.measure(self.key.returns, of_score=True)
        if self.key.leverage is None:
            return gain
        leverage = self.measure(self.key.leverage, of_score=True)
        if gain > 0:
            return gain * leverage
        if leverage == 0:  # no top: one money unit
            bottom = self.key.leverage.bottom
            floor = UNIT if self.key.leverage.floored else 1
            per = abs(self.atom(bottom)) or 1
            if bottom is Atom.EQUITY and self.key.insolvent is Insolvent.AT_LEAST_ONE:
                per = max(self.atom(bottom), UNIT)
            if self.key.leverage.floored:
                per = max(self.atom(bottom), floor)
            return gain * per * self.key.leverage.over.denominator
        return gain / leverage

    def place(self, account: int) -> tuple[Any, ...]:
        poor = self.atom(Atom.EQUITY) <= 0
        first = {Insolvent.FIRST: -1, Insolvent.LAST: 1}.get(self.key.insolvent, 0) if poor else 0
        score = Fraction(0) if self.key.returns is None or first else -self.score()
        values = [(self.measure(tie.measure, of_score=False), tie.descending) for tie in self.key.ties]
        ties = [-value if descending else value for value, descending in values]
        return first, score, *ties, -account if self.key.newest_first else account


@given(venues(), keys(), st.booleans())
def test_the_order_is_that_of_exact_fractions(stage: Stage, venue: Any, key: Key, whole: bool) -> None:
    traders, mark = venue
    candidates = everybody(fold(stage(traders, [mark])))
    order = [candidates.accounts[place] for place in in_key_order(candidates, key, UNIT, whole=whole)]
    oracles = {account: Oracle(key, trader, mark) for account, trader in enumerate(traders, 6)}
    assert order == sorted(oracles, key=lambda account: oracles[account].place(account))


@given(venues(), keys())
def test_scores_are_exact_and_in_lowest_terms(stage: Stage, venue: Any, key: Key) -> None:
    traders, mark = venue
    candidates = everybody(fold(stage(traders, [mark])))
    for account, score in zip(candidates.accounts, scores(key, candidates.column, UNIT), strict=True):
        oracle = Oracle(key, traders[account - 6], mark)
        apart = key.insolvent in {Insolvent.FIRST, Insolvent.LAST} and oracle.atom(Atom.EQUITY) <= 0
        if key.returns is None or apart:
            assert score is None
        else:
            exact = oracle.score()
            assert score == (exact.numerator, exact.denominator)


@given(venues(), keys(), st.frozensets(st.integers(6, 12)))
def test_own_accounts_come_first_and_keep_their_order(stage: Stage, venue: Any, key: Key, own: frozenset[int]) -> None:
    candidates = everybody(fold(stage(venue[0], [venue[1]])))
    order = [candidates.accounts[place] for place in in_key_order(candidates, key, UNIT)]
    with_own = [candidates.accounts[place] for place in in_key_order(candidates, key, UNIT, own=own)]
    assert with_own == [one for one in order if one in own] + [one for one in order if one not in own]


def many(stage: Stage, count: int) -> Candidates:
    """Many traders with few different scores, some without equity."""
    traders = [((3 * number % 11) * 10**8, {0: (10 if number % 3 else -10, 900 + number % 7)}) for number in range(count)]
    return everybody(fold(stage(traders, [903])))


@pytest.mark.parametrize(
    "key", [QUEUE, Key(Order.SCORE, RETURN, LEVERAGE, ties=(Tie(Measure(Atom.BALANCE), descending=False),))]
)
def test_a_queue_taken_piece_by_piece_is_the_queue_sorted_at_once(stage: Stage, key: Key) -> None:
    candidates = many(stage, 5_000)  # more than are sorted at once
    assert list(in_key_order(candidates, key, UNIT)) == list(in_key_order(candidates, key, UNIT, whole=True))


@given(st.lists(st.tuples(st.integers(-(10**30), 10**30), st.integers(1, 10**30)), min_size=2, max_size=20))
def test_order_keys_order_as_fractions_do(pairs: list[tuple[int, int]]) -> None:
    fractions = [Fraction(*pair) for pair in pairs]
    found = order_keys([Ratio(one.numerator, one.denominator) for one in fractions], Insolvent.LAST)
    for one, key in zip(fractions, found, strict=True):
        assert [other < one for other in fractions] == [other < key for other in found]


def test_neighbouring_fractions_of_large_terms_are_told_apart() -> None:
    big = 2**200
    found = order_keys([Ratio(big, big + 1), Ratio(big - 1, big), Ratio(big - 1, big)], Insolvent.LAST)
    assert found[0] > found[1] == found[2]


def test_without_a_score_a_candidate_is_first_or_last() -> None:
    scored = [None, Ratio(10**9, 1), Ratio(-(10**9), 1)]
    assert sorted(range(3), key=order_keys(scored, Insolvent.FIRST).__getitem__) == [2, 1, 0]
    assert sorted(range(3), key=order_keys(scored, Insolvent.LAST).__getitem__) == [0, 2, 1]


# ---- By hand


def columns(**atoms: list[int]) -> Callable[[Atom], list[int]]:
    found = {Atom[name.upper()]: values for name, values in atoms.items()}
    return lambda atom: found.get(atom, [1] * len(next(iter(found.values()))))


@given(st.integers(1, 10**18), st.integers(1, 10**18), st.integers(1, 10**18))
def test_without_profit_both_branches_give_zero(entry_notional: int, notional: int, equity: int) -> None:
    found = columns(profit=[-1, 0, 1], entry_notional=[entry_notional] * 3, notional=[notional] * 3, equity=[equity] * 3)
    loss, none, gain = scores(QUEUE, found, UNIT)
    assert none == (0, 1)
    assert loss is not None
    assert gain is not None
    assert loss.numerator < 0 < gain.numerator


def test_leverage_lifts_a_gain_and_lowers_a_loss() -> None:
    found = columns(profit=[50, -50], entry_notional=[100, 100], notional=[200, 200], equity=[20, 20])
    assert scores(QUEUE, found, UNIT) == [(5, 1), (-1, 20)]
    on_notional = Key(Order.SCORE, Measure(Atom.PROFIT, Atom.NOTIONAL), LEVERAGE, insolvent=Insolvent.LAST)
    assert scores(on_notional, found, UNIT) == [(5, 2), (-1, 40)]


def test_a_bottom_of_0_counts_as_one_money_unit() -> None:
    found = columns(profit=[5, -5], entry_notional=[0, 5], notional=[5, 0], equity=[10, 10])
    assert scores(QUEUE, found, UNIT) == [(5, 2), (-10, 1)]


def test_what_becomes_of_candidates_without_equity() -> None:
    found = columns(profit=[50, 50], entry_notional=[100, 100], notional=[200, 200], equity=[-20, 10**7])

    def scored(insolvent: Insolvent) -> list[Ratio | None]:
        return scores(Key(Order.SCORE, RETURN, LEVERAGE, insolvent=insolvent), found, UNIT)

    solvent = Ratio(1, 10**5)
    assert scored(Insolvent.FIRST) == scored(Insolvent.LAST) == [None, solvent]
    assert scored(Insolvent.ZERO) == [(0, 1), solvent]
    assert scored(Insolvent.AT_LEAST_ONE) == [(1, 10**6), (1, 10**6)]  # one unit of currency, for whoever has less
    assert scored(Insolvent.ALIKE) == [(-5, 1), solvent]


def test_a_measure_by_hand() -> None:
    found = columns(gain=[7, 7, 7], balance=[-3, 0, 2 * UNIT], sold=[10, 30, 20], bought=[20, 20, 20])
    assert terms(Measure(Atom.GAIN, Atom.BALANCE), found, UNIT) == ([-7, 7, 7], [3, 1, 2 * UNIT])
    assert terms(Measure(Atom.GAIN, Atom.BALANCE, floored=True), found, UNIT) == ([7, 7, 7], [UNIT, UNIT, 2 * UNIT])
    over = terms(Measure(Atom.SOLD, Atom.BOUGHT, over=Ratio(9, 10)), found, UNIT)
    assert [reduced(*pair) for pair in zip(*over, strict=True)] == [(0, 1), (3, 5), (1, 10)]


def test_a_key_looks_at_its_atoms_and_at_equity_where_that_decides() -> None:
    assert key_atoms(QUEUE) == [Atom.PROFIT, Atom.ENTRY_NOTIONAL, Atom.NOTIONAL, Atom.EQUITY, Atom.EQUITY]
    assert key_atoms(Key(Order.SCORE)) == []
    assert key_atoms(Key(Order.LIST)) == []
    assert key_atoms(Key(Order.LIST, insolvent=Insolvent.EXCLUDED)) == [Atom.EQUITY]
    tie = Tie(Measure(Atom.BALANCE), descending=False)
    assert key_atoms(Key(Order.SCORE, ties=(tie,))) == [Atom.BALANCE, Atom.ONE]
