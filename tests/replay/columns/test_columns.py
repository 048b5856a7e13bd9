from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.model import (
    AccountOpened,
    AdlCandidates,
    AdlRound,
    AnyEvent,
    Candidate,
    Contract,
    MarginTier,
    MarketListed,
    Opening,
    OpenPosition,
    PriceRule,
    PriceTick,
    Reason,
    Transfer,
)
from replay import columns as made
from replay.columns import Columns, plan_fast
from replay.columns.bounded import UnfitError
from replay.core.candidates import gather
from replay.core.evolve import evolve
from replay.core.plan import Plan, plan
from replay.core.policy import Policy, Scope, Side
from replay.core.scoring import key_atoms, scores
from replay.core.spelling import parse_texts
from replay.core.state import State
from replay.presets import preset, presets
from replay.testing.policies import policies
from replay.testing.streams import records

Stage = Callable[..., list[AnyEvent]]

QUEUE = preset("queue").texts
LOSER = 6
UNIT = 10**8
OPPOSITE = Scope(Side.OPPOSITE)
SCORE = "profit/entry-notional * notional/equity desc, 0 as gain"
TIERS = (MarginTier(0, 10**11, 5 * 10**10), MarginTier(5_000_000, 3 * 10**11, 125 * 10**9))


def policy_of(**changes: str) -> Policy:
    return parse_texts(QUEUE._replace(**{"price": "mark", **changes}))


# Each of them can be planned with columns.
FIT = [
    policy_of(price="bankruptcy"),
    policy_of(key=f"{SCORE}, equity <= 0 first, balance asc, account desc"),
    policy_of(key=f"{SCORE}, equity <= 0 last, account asc", scope="opposite, profit >= 0"),
    policy_of(key=f"{SCORE}, equity <= 0 excluded, account asc"),
    policy_of(key=f"{SCORE}, equity at least 1, account asc", scope="opposite, profit > 0"),
    policy_of(key="gain/max(balance, 1) * maintenance/equity desc, 0 as loss, equity <= 0 scores 0, account asc"),
    policy_of(key="exposure/equity desc, equity <= 0 excluded, profit desc, account desc"),
    policy_of(key="sold/bought over 0.9 * notional/equity desc, 0 as gain, equity <= 0 last, account asc"),
    policy_of(key="profit/initial * entry-notional/position-maintenance desc, 0 as gain, equity <= 0 alike, account asc"),
    policy_of(key="profit/size * profit desc, 0 as gain, equity <= 0 alike, exposure asc, account asc"),
    policy_of(target="whole position, each at most 30%", scope="opposite, own accounts first"),
]
# None of these can.
UNFIT = [
    policy_of(key="equity <= 0 alike, account asc"),
    policy_of(key="list order, equity <= 0 alike, account asc"),
    policy_of(scope="opposite, unhedged"),
    policy_of(scope="opposite, overlapping"),
    policy_of(fill="level(closed/size)", key="equity <= 0 alike, account asc"),
]


def fold(events: Iterable[AnyEvent]) -> State:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    return state


def a_round(size: int | None = None, **changes: Any) -> AdlRound:
    opened = AdlRound(0, 0, 0, 0, LOSER, 0, size, None, PriceRule.BANKRUPTCY, None, None, None, 0, (), None, None, None, None)
    return msgspec.structs.replace(opened, **changes)


def listed_as(events: Iterable[AnyEvent], **changes: Any) -> list[AnyEvent]:
    return [msgspec.structs.replace(event, **changes) if isinstance(event, MarketListed) else event for event in events]


def with_columns_alone(state: State, opened: AdlRound, policy: Policy) -> Plan:
    """The plan, or an error where it would be left to the core."""
    return made._planned(Columns.of(state, opened.market), state, opened, policy)


def is_left_to_the_core(columns: Columns, state: State, opened: AdlRound, policy: Policy) -> bool:
    try:
        made._planned(columns, state, opened, policy)
    except UnfitError:
        return True
    return False


@st.composite
def venues(draw: st.DrawFn) -> tuple[list[Any], list[int]]:
    """Traders of two markets, often alike, the first of them to lose in market 0, and the marks."""
    sizes = st.one_of(st.sampled_from([-10, 10]), st.integers(-300, 300).filter(bool))
    cash = st.one_of(st.just(0), st.sampled_from([10**9]), st.integers(1, 10**10))
    entries = st.one_of(st.sampled_from([900, 1_000]), st.integers(1, 2_000))
    none: dict[int, tuple[int, int]] = {}
    elsewhere = st.one_of(st.just(none), st.builds(lambda size, entry: {1: (size, entry)}, sizes, entries))
    drawn = [draw(sizes), *draw(st.lists(sizes, max_size=12))]
    traders = [(draw(cash), {0: (size, draw(entries)), **draw(elsewhere)}) for size in drawn]
    first = traders[0][1][0][0]
    traders.append((10**9, {0: (-10 if first > 0 else 10, draw(entries))}))  # somebody is on the other side
    return traders, [draw(st.integers(1, 2_000)), draw(st.integers(1, 2_000))]


@given(venues(), st.sampled_from(FIT), st.none() | st.integers(1, 900))
def test_columns_plan_what_the_core_plans(stage: Stage, venue: Any, policy: Policy, need: int | None) -> None:
    state = fold(stage(*venue))
    loser = state.positions[0][LOSER].size
    opened = a_round(need if need is None or loser > 0 else -need)
    expected = plan(state, opened, policy)
    assert plan_fast(Columns.of(state, 0), state, opened, policy) == expected
    if not expected.missing:  # a bankruptcy price can be on no grid
        assert with_columns_alone(state, opened, policy) == expected


@given(venues(), st.integers(-900, 900).filter(bool))
def test_own_accounts_come_first_and_the_loser_never(stage: Stage, venue: Any, size: int) -> None:
    # Every third trader is of one owner; and what is to be closed can be what the loser does not hold.
    state = fold(
        msgspec.structs.replace(event, owner=6 + event.account % 3)
        if isinstance(event, AccountOpened) and event.account >= LOSER
        else event
        for event in stage(*venue)
    )
    columns = Columns.of(state, 0)
    for policy in (FIT[10], FIT[1]):
        assert plan_fast(columns, state, a_round(size), policy) == plan(state, a_round(size), policy)


@given(
    venues(),
    st.sampled_from(FIT),
    st.integers(1, 900),
    st.sampled_from([(Contract.INVERSE, 0), (Contract.QUANTO, 9), (Contract.LINEAR, 0)]),
)
def test_for_every_contract_and_through_tiers(
    stage: Stage, venue: Any, policy: Policy, need: int, contract: tuple[Contract, int]
) -> None:
    kind, decimals = contract
    state = fold(listed_as(stage(*venue), contract=kind, multiplier_decimals=decimals, tiers=TIERS))
    opened = a_round(need if state.positions[0][LOSER].size > 0 else -need)
    expected = plan(state, opened, policy)
    assert plan_fast(Columns.of(state, 0), state, opened, policy) == expected
    if not expected.missing:
        assert with_columns_alone(state, opened, policy) == expected


@st.composite
def near_ties(draw: st.DrawFn) -> tuple[list[Any], list[int]]:
    """Amounts at the ends of int64 and around: scores that are equal, or differ by less than a float64 can tell."""
    size = 3 * 10**7
    few = st.integers(-3, 3)
    cash = st.one_of(
        st.builds(lambda off: 2 * 10**18 + off, few),
        st.sampled_from([0, 1, 2**53, 2**53 + 1, 10**12]),
        st.sampled_from([2**63 - 1, 2**63, 2**70]) if draw(st.booleans()) else st.just(2**53),
    )
    entry = draw(st.sampled_from([10**6, 10**7]))
    traders = [(draw(cash), {0: (-size + draw(few), entry + draw(few))}) for _ in range(draw(st.integers(1, 12)))]
    return [(0, {0: (size, entry)}), *traders], [entry + draw(st.integers(-9, 9))]


@given(near_ties(), st.sampled_from(FIT), st.integers(1, 4 * 10**8))
def test_what_a_float_cannot_tell_is_ordered_exactly(stage: Stage, venue: Any, policy: Policy, need: int) -> None:
    state = fold(stage(*venue))
    opened = a_round(need)
    assert plan_fast(Columns.of(state, 0), state, opened, policy) == plan(state, opened, policy)


@given(st.one_of(venues(), near_ties()), st.sampled_from(FIT))
def test_a_float_score_is_within_the_stated_error(stage: Stage, venue: Any, policy: Policy) -> None:
    state = fold(stage(*venue))
    side = -1 if state.positions[0][LOSER].size > 0 else 1
    columns = Columns.of(state, 0)
    if side not in columns._holders:
        return  # beyond int64
    found = gather(state, 0, side, OPPOSITE)
    assert found.gaps(key_atoms(policy.key)) == []
    try:
        measures = made._Measures(state, 0, columns.side(state, side))
        floats = made._scores(measures, a_round(), msgspec.structs.replace(policy, scope=OPPOSITE))
    except UnfitError:
        return  # beyond int64 at these marks
    for atom in key_atoms(policy.key):
        assert measures.column(atom).values.tolist() == found.column(atom)
    for exact, rough in zip(scores(policy.key, found.column, UNIT), floats.tolist(), strict=True):
        if exact is None:
            assert abs(rough) == float("inf")
        else:
            score = Fraction(*exact)
            assert abs(Fraction(rough) - score) <= abs(score) / 2**50


@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 40), st.booleans()), min_size=1, max_size=400),
    st.integers(1, 3_000),
)
def test_who_is_left_stands_before_the_rest_and_is_enough(rows: list[tuple[int, int, bool]], need: int) -> None:
    # Whoever stands first has least, so that the first guess is too few.
    values = np.array([value * 2.0**-52 + 1 for value, _, _ in rows])
    lots = np.array([lot * (10 - value) for value, lot, _ in rows])
    kept = np.array([one for _, _, one in rows])
    marked = made._leading(values, lots, kept, need)
    assert not (marked & ~kept).any()
    left, out = values[marked], values[kept & ~marked]
    assert not (len(left) and len(out)) or left.min() > out.max()
    assert lots[marked].sum() >= min(need, lots[kept].sum())


def test_the_first_guess_grows_until_it_is_enough() -> None:
    values = np.arange(10_000.0)
    lots = np.where(values >= 1_000, 1, 10**6)
    marked = made._leading(values, lots, np.ones(10_000, dtype=bool), 9_000 + 5 * 10**6)
    assert np.flatnonzero(marked).tolist() == list(range(995, 10_000))


@given(records(), policies())
def test_any_record_and_any_policy(events: list[AnyEvent], policy: Policy) -> None:
    state = fold(events)
    sides = [Columns.of(state, market) for market in range(len(state.markets))]
    for begun in state.rounds:
        for size in (begun.event.size, 5, -5):
            opened = msgspec.structs.replace(begun.event, size=size)
            assert plan_fast(sides[opened.market], state, opened, policy) == plan(state, opened, policy)


@given(venues())
def test_every_preset(stage: Stage, venue: Any) -> None:
    state = fold(stage(*venue))
    columns = Columns.of(state, 0)
    for shipped in presets().values():
        assert plan_fast(columns, state, a_round(), shipped.policy) == plan(state, a_round(), shipped.policy)
    assert plan_fast(columns, state, a_round(), None) == plan(state, a_round(), None)


VENUE = [(0, {0: (60, 1_000)}), *[(10**9 + place, {0: (-10, 1_200 - place)}) for place in range(9)]]


@pytest.mark.parametrize("policy", UNFIT)
def test_what_columns_cannot_do_is_left_to_the_core(stage: Stage, policy: Policy) -> None:
    state = fold(stage(VENUE, [900]))
    columns = Columns.of(state, 0)
    assert is_left_to_the_core(columns, state, a_round(), policy)
    assert plan_fast(columns, state, a_round(), policy) == plan(state, a_round(), policy)


@pytest.mark.parametrize("policy", [FIT[0], FIT[1]])
@pytest.mark.parametrize(
    "position",
    [
        OpenPosition(0, None, None, 0),
        OpenPosition(0, -11, None, 0),
        OpenPosition(1, None, None, 0),
        OpenPosition(1, -10, None, 0),
    ],
)
def test_what_is_not_known_is_left_to_the_core(stage: Stage, policy: Policy, position: OpenPosition) -> None:
    state = fold([*stage(VENUE, [900, 900]), Opening(0, 0, 0, 8, 10**9, (position,))])
    columns = Columns.of(state, 0)
    assert is_left_to_the_core(columns, state, a_round(), policy)
    assert plan_fast(columns, state, a_round(), policy) == plan(state, a_round(), policy)


def test_unknown_cash_is_left_to_the_core(stage: Stage) -> None:
    stated = Opening(0, 0, 0, 7, None, (OpenPosition(0, -10, 1_200, 2),))
    account = [event for event in stage([(0, {}), (0, {})], [900]) if isinstance(event, AccountOpened)][-1]
    late = msgspec.structs.replace(account, account=6 + len(VENUE), name="late", new=False)
    state = fold([*stage(VENUE, [900]), late, msgspec.structs.replace(stated, account=late.account)])
    columns = Columns.of(state, 0)
    assert is_left_to_the_core(columns, state, a_round(), FIT[0])
    assert plan_fast(columns, state, a_round(), FIT[0]) == plan(state, a_round(), FIT[0])


def test_a_market_without_mark_or_tiers_is_left_to_the_core(stage: Stage) -> None:
    traders = [*VENUE, (10**9, {0: (-5, 1_100), 1: (5, 900)})]
    events = stage(traders, [900, 900])
    for rule, some in (
        (FIT[0], events[:-1]),
        (FIT[0], [*events[:-2], events[-1]]),
        (FIT[5], listed_as(events, tiers=())),
    ):
        state = fold(some)
        columns = Columns.of(state, 0)
        assert is_left_to_the_core(columns, state, a_round(), rule)
        made_by_core = plan(state, a_round(), rule)
        assert made_by_core.missing
        assert plan_fast(columns, state, a_round(), rule) == made_by_core


def test_what_a_further_measure_lacks_of_anybody_is_missing(stage: Stage) -> None:
    """Also of those whom the queue does not reach."""
    traders = [*VENUE, (10**9, {0: (-5, 100), 1: (5, 900)})]
    state = fold(stage(traders, [900, 900])[:-1])
    columns = Columns.of(state, 0)
    expected = plan(state, a_round(1), FIT[9])
    assert expected.missing
    assert plan_fast(columns, state, a_round(1), FIT[9]) == expected


def test_columns_hold_until_contracts_money_or_accounts_move(stage: Stage) -> None:
    state = fold(stage(VENUE, [900]))
    columns = Columns.of(state, 0)

    def hold_after(event: AnyEvent) -> bool:
        evolve(state, event, state.seq + 1)
        columns.follow(event, state.seq)
        assert plan_fast(columns, state, a_round(), FIT[0]) == plan(state, a_round(), FIT[0])
        return not is_left_to_the_core(columns, state, a_round(), FIT[0])

    before = plan(state, a_round(), FIT[0])
    assert hold_after(PriceTick(0, 0, 0, 0, 700, None))
    assert plan(state, a_round(), FIT[0]) != before
    assert not hold_after(Transfer(0, 0, 0, 0, 9, 10**9, Reason.DEPOSIT, None))
    assert not hold_after(PriceTick(0, 0, 0, 0, 800, None))  # what was missed stays missed


def test_columns_are_of_one_market_and_of_accounts_that_the_venue_did_not_list(stage: Stage) -> None:
    state = fold([*stage(VENUE, [900, 900]), a_round()])
    assert is_left_to_the_core(Columns.of(state, 1), state, a_round(), FIT[0])
    assert not is_left_to_the_core(Columns.of(state, 0), state, a_round(), FIT[0])
    listed = AdlCandidates(0, 0, 0, 0, 1, 1, (Candidate(9, None, None, None, None),))
    evolve(state, listed, state.seq + 1)
    columns = Columns.of(state, 0)
    assert is_left_to_the_core(columns, state, a_round(), FIT[0])
    assert [close.winner for close in plan_fast(columns, state, a_round(), FIT[0]).closes] == [9]


@pytest.mark.parametrize("need", [1, 990, 100_000, 333_333, 10**9])
def test_twenty_thousand_candidates_of_whom_many_tie(stage: Stage, need: int) -> None:
    numbers = [7_919 * place % 20_011 for place in range(20_000)]
    traders = [(10**9 + number % 7 * 10**8, {0: (-10, 1_000 + number % 50)}) for number in numbers]
    state = fold(stage([(0, {0: (200_000, 1_000)}), *traders], [1_020]))
    opened = a_round(need)
    for policy in (FIT[0], FIT[1], FIT[10]):
        expected = plan(state, opened, policy)
        assert with_columns_alone(state, opened, policy) == expected
        ties = [one.score == other.score for one, other in pairwise(expected.closes)]
        assert need < 990 or any(ties)


def test_a_side_without_holders_are_left_to_the_core(stage: Stage) -> None:
    state = fold(stage([(0, {0: (60, 1_000)})], [900]))
    assert is_left_to_the_core(Columns.of(state, 0), state, a_round(), FIT[0])
