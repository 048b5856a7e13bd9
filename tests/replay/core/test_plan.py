from collections.abc import Callable, Iterable
from copy import deepcopy
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.model import (
    FEES,
    UNOBSERVED,
    AccountOpened,
    AdlCandidates,
    AdlRound,
    AnyEvent,
    Candidate,
    Completeness,
    Opening,
    OpenPosition,
    PriceRule,
    PriceTick,
    Role,
    SourceOpened,
)
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.plan import (
    MISSING_INPUTS,
    Plan,
    Score,
    close_price,
    fund_equity,
    order_keys,
    plan,
    rank,
    score,
    trigger_gaps,
    triggered,
)
from replay.core.policy import PROFIT_TIMES_LEVERAGE, Policy, adopt, parse_policy
from replay.core.state import State

Stage = Callable[..., list[AnyEvent]]

LOSER = 6
LOT = 10_000  # money units of one lot at one price step


def policy_of(**changes: str) -> Policy:
    return parse_policy(adopt(PROFIT_TIMES_LEVERAGE._replace(**changes), policy=0, at_ns=0, source=0, row=0))


FIRST = "profit/entry-notional * notional/equity desc, equity <= 0 first, account asc"
RULE = policy_of()
AT_MARK = policy_of(price="mark")


def fold(events: Iterable[AnyEvent]) -> State:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    return state


def a_round(size: int | None, **changes: Any) -> AdlRound:
    opened = AdlRound(0, 0, 0, 0, LOSER, 0, size, None, PriceRule.BANKRUPTCY, None, None, None, 0, (), None, None, None, None)
    return msgspec.structs.replace(opened, **changes)


@st.composite
def venues(draw: st.DrawFn) -> tuple[list[Any], int]:
    """Traders with a position in market 0, the first of them to lose, and a mark."""
    sizes = st.integers(-300, 300).filter(bool)
    cash = st.one_of(st.just(0), st.integers(1, 10**10))
    traders = draw(st.lists(st.tuples(cash, sizes, st.integers(1, 2_000)), min_size=2, max_size=12))
    return [(money, {0: (size, entry)}) for money, size, entry in traders], draw(st.integers(1, 2_000))


def the_plan(state: State, policy: Policy = RULE) -> Plan:
    return plan(state, a_round(state.positions[0][LOSER].size), policy)


@given(venues(), st.randoms(use_true_random=False))
def test_the_order_of_storage_does_not_reach_the_plan(stage: Stage, venue: Any, random: Any) -> None:
    state = fold(stage(venue[0], [venue[1]]))
    before = the_plan(state)
    held = list(state.positions[0].items())
    random.shuffle(held)
    state.positions[0] = dict(held)
    assert the_plan(state) == before


@given(venues(), st.integers(1, 500))
def test_closes_sum_to_what_is_needed_or_available(stage: Stage, venue: Any, need: int) -> None:
    state = fold(stage(venue[0], [venue[1]]))
    loser = state.positions[0][LOSER].size
    against = {a: p.size for a, p in state.positions[0].items() if a > LOSER and p.size * loser < 0}
    made = plan(state, a_round(need if loser > 0 else -need), RULE)
    assert made.missing == ()
    assert sum(close.size for close in made.closes) == min(need, sum(map(abs, against.values())))
    assert made.remaining == need - sum(close.size for close in made.closes)
    assert len({close.winner for close in made.closes}) == len(made.closes)
    assert all(0 < close.size <= abs(against[close.winner]) for close in made.closes)
    assert all(close.size == abs(against[close.winner]) for close in made.closes[:-1])
    assert len({close.price for close in made.closes}) <= 1
    assert [close.rank for close in made.closes] == list(range(1, len(made.closes) + 1))


@given(venues(), st.integers(2, 1_000))
def test_scaling_money_and_sizes_scales_the_closes_alone(stage: Stage, venue: Any, factor: int) -> None:
    traders, mark = venue
    scaled = [(cash * factor, {0: (size * factor, entry)}) for cash, held in traders for size, entry in [held[0]]]
    one, many = the_plan(fold(stage(traders, [mark]))), the_plan(fold(stage(scaled, [mark])))
    assert [(c.winner, c.size * factor, c.price, c.score) for c in one.closes] == [
        (c.winner, c.size, c.price, c.score) for c in many.closes
    ]


@given(venues(), st.sampled_from([RULE, policy_of(key=FIRST), policy_of(key=FIRST.replace("entry-", ""))]))
def test_the_queue_stands_as_exact_fractions_say(stage: Stage, venue: Any, policy: Policy) -> None:
    state = fold(stage(venue[0], [venue[1]]))
    side = -1 if state.positions[0][LOSER].size > 0 else 1
    ranking = rank(state, 0, side, policy, without=LOSER)

    def place(account: int) -> tuple[int, Fraction, int]:
        size, cost = state.positions[0][account].size, state.positions[0][account].cost
        value, equity = size * venue[1] * LOT, margin.equity(state, account) or 0
        if equity <= 0:
            return (-1 if policy.insolvent.name == "FIRST" else 1), Fraction(0), account
        gain = Fraction(value - cost, abs(cost) if policy.return_on.name == "ENTRY_NOTIONAL" else abs(value))
        leverage = Fraction(abs(value), equity)
        return 0, -(gain * leverage if gain >= 0 else gain / leverage), account

    accounts = [a for a in range(LOSER + 1, len(state.accounts)) if state.positions[0][a].size * side > 0]
    assert [one.account for one in ranking.ranked] == sorted(accounts, key=place)
    for one in ranking.ranked:
        assert (one.score is None) == (one.equity <= 0)
        if one.score is not None:
            assert Fraction(*one.score) == -place(one.account)[1]


@given(st.lists(st.tuples(st.integers(-(10**30), 10**30), st.integers(1, 10**30)), min_size=2, max_size=20))
def test_order_keys_order_as_fractions_do(pairs: list[tuple[int, int]]) -> None:
    fractions = [Fraction(*pair) for pair in pairs]
    keys = order_keys([Score(one.numerator, one.denominator) for one in fractions], RULE)
    for one, key in zip(fractions, keys, strict=True):
        assert [other < one for other in fractions] == [other < key for other in keys]


def test_neighbouring_fractions_of_large_terms_are_told_apart() -> None:
    big = 2**200
    keys = order_keys([Score(big, big + 1), Score(big - 1, big), Score(big - 1, big)], RULE)
    assert keys[0] > keys[1] == keys[2]


def test_a_tie_goes_to_the_lower_account(stage: Stage) -> None:
    trader = (10**9, {0: (-10, 1_000)})
    state = fold(stage([(0, {0: (25, 1_000)}), trader, trader, trader], [900]))
    assert [(close.winner, close.size) for close in the_plan(state).closes] == [(7, 10), (8, 10), (9, 5)]


def test_candidates_without_equity_stand_where_the_key_says(stage: Stage) -> None:
    # Account 7 is insolvent, 8 loses but is solvent, 9 gains.
    traders = [(0, {0: (30, 1_000)}), (0, {0: (-10, 800)}), (10**9, {0: (-10, 800)}), (10**9, {0: (-10, 1_200)})]
    state = fold(stage(traders, [900]))
    assert [close.winner for close in the_plan(state).closes] == [9, 8, 7]
    assert [close.winner for close in the_plan(state, policy_of(key=FIRST)).closes] == [7, 9, 8]


@given(st.integers(1, 10**18), st.integers(1, 10**18), st.integers(1, 10**18))
def test_without_profit_both_branches_give_zero(entry_notional: int, notional: int, equity: int) -> None:
    assert score(RULE, 0, entry_notional, notional, equity) == Score(0, 1)
    smallest = score(RULE, 1, entry_notional, notional, equity)
    largest_loss = score(RULE, -1, entry_notional, notional, equity)
    assert smallest is not None
    assert largest_loss is not None
    assert smallest.numerator > 0 > largest_loss.numerator


def test_leverage_lifts_a_gain_and_lowers_a_loss() -> None:
    assert score(RULE, 50, 100, 200, 20) == Score(5, 1)
    assert score(RULE, -50, 100, 200, 20) == Score(-1, 20)
    assert score(policy_of(key=FIRST.replace("entry-", "")), 50, 100, 200, 20) == Score(5, 2)


def test_a_position_that_cost_nothing_has_a_score() -> None:
    assert score(RULE, 5, 0, 5, 10) == Score(5, 2)
    assert score(RULE, -5, 5, 0, 10) == Score(-10, 1)


def test_who_is_a_candidate_is_what_the_venue_states_and_else_the_users(stage: Stage) -> None:
    trader = (10**9, {0: (-10, 1_200)})
    state = fold(stage([(0, {0: (60, 1_000)}), trader, trader, trader], [900]))

    def winners(role: Role, exempt: bool | None) -> list[int]:
        opened = msgspec.structs.replace(state.accounts[8], role=role, adl_exempt=exempt, new=False)
        evolve(state, opened, state.seq + 1)
        return [close.winner for close in the_plan(state).closes]

    for role in (Role.USER, Role.VAULT, Role.FUND, Role.LIQUIDATOR):
        assert winners(role, exempt=True) == [7, 9]
        assert winners(role, exempt=False) == [7, 8, 9]
        assert winners(role, exempt=None) == ([7, 8, 9] if role is Role.USER else [7, 9])


def candidates(part: int, parts: int, *accounts: int) -> AdlCandidates:
    return AdlCandidates(0, 0, 0, 0, part, parts, tuple(Candidate(account, None, None, None, None) for account in accounts))


def test_where_the_venue_lists_whom_it_ranked_these_are_the_candidates(stage: Stage) -> None:
    trader = (10**9, {0: (-10, 1_200)})
    # Account 10 holds the loser's side.
    state = fold([*stage([(0, {0: (50, 1_000)}), trader, trader, trader, (0, {0: (5, 1_000)})], [900]), a_round(50)])
    evolve(state, candidates(1, 2, 9, LOSER, FEES), state.seq + 1)
    assert the_plan(state).missing == ("candidate list: record incomplete",)  # there is a list, and this is half of it
    evolve(state, candidates(2, 2, 10, UNOBSERVED, 7), state.seq + 1)
    made = the_plan(state)
    assert ([close.winner for close in made.closes], made.remaining) == ([7, 9], 30)
    # The list outdoes roles, and only those on it have to be known.
    evolve(state, msgspec.structs.replace(state.accounts[9], role=Role.VAULT, adl_exempt=True, new=False), state.seq + 1)
    evolve(state, Opening(0, 0, 0, 8, None, (OpenPosition(0, None, None, 0),)), state.seq + 1)
    assert the_plan(state) == made
    evolve(state, Opening(0, 0, 0, 7, None, (OpenPosition(0, None, None, 0),)), state.seq + 1)
    assert the_plan(state).missing == ("candidate list: record incomplete", "entry price")


def test_the_venues_own_accounts_are_no_candidates(stage: Stage) -> None:
    state = fold(stage([(0, {0: (30, 1_000)}), (10**9, {0: (-10, 1_200)})], [900]))
    assert state.positions[0][5].size == -20
    made = the_plan(state)
    assert ([close.winner for close in made.closes], made.remaining) == ([7], 20)
    opened = msgspec.structs.replace(state.accounts[7], role=Role.VAULT, new=False)
    evolve(state, opened, state.seq + 1)
    assert the_plan(state).remaining == 30


@given(venues())
def test_at_the_bankruptcy_price_the_loser_ends_at_zero_but_for_the_grid(stage: Stage, venue: Any) -> None:
    state = fold(stage(venue[0], [venue[1]]))
    size = state.positions[0][LOSER].size
    price = close_price(state, a_round(size), RULE).price
    assert price is not None
    assert 0 <= state.cash[LOSER] + size * price * LOT < abs(size) * LOT


def test_a_price_by_another_rule(stage: Stage) -> None:
    state = fold(stage([(0, {0: (10, 1_000)}), (10**9, {0: (-10, 1_000)})], [900]))
    assert plan(state, a_round(10), AT_MARK).closes[0].price == 900
    assert plan(state, a_round(10, price=888), policy_of(price="stated")).closes[0].price == 888
    assert plan(state, a_round(10), policy_of(price="stated")).missing == ("price of the round",)
    before = policy_of(price="previous-mark")
    assert plan(state, a_round(10), before).missing == ("previous mark price",)
    evolve(state, PriceTick(0, 0, 0, 0, 890, None), state.seq + 1)
    evolve(state, PriceTick(0, 0, 0, 0, None, 895), state.seq + 1)  # which states no mark
    assert plan(state, a_round(10), before).closes[0].price == 900


def test_without_a_stated_size_the_whole_position_is_the_target(stage: Stage) -> None:
    state = fold(stage([(0, {0: (10, 1_000)}), (10**9, {0: (-30, 1_000)})], [900]))
    assert plan(state, a_round(None), RULE) == plan(state, a_round(10), RULE)
    assert plan(state, a_round(4), RULE).closes[0].size == 4


@pytest.mark.parametrize(
    ("cash", "fund", "trigger", "holds"),
    [
        (0, 0, "equity < 0 and fund <= 0", True),
        (0, 1, "equity < 0 and fund <= 0", False),
        (0, 1, "equity < 0", True),
        (10 * 100 * LOT, 0, "equity < 0 and fund <= 0", False),  # equity is exactly 0
        (10 * 100 * LOT, 0, "fund <= 0", True),
    ],
)
def test_the_trigger_is_read_with_its_exact_inequalities(stage: Stage, cash: int, fund: int, trigger: str, holds: bool) -> None:
    state = fold(stage([(cash, {0: (10, 1_000)})], [900], fund=fund))
    assert triggered(state, LOSER, policy_of(trigger=trigger)) is holds


def test_a_fund_that_is_not_on_record_is_not_an_empty_one(stage: Stage) -> None:
    state = fold(stage([(0, {0: (10, 1_000)})], [900]))
    other = msgspec.structs.replace(state.accounts[4], role=Role.VAULT, new=False)
    evolve(state, other, state.seq + 1)
    assert fund_equity(state) is None
    assert triggered(state, LOSER, RULE) is None
    assert trigger_gaps(state, LOSER, RULE) == ["fund balance"]
    assert triggered(state, LOSER, policy_of(trigger="equity < 0")) is True
    assert triggered(state, 5, RULE) is False  # as this one is not bankrupt


# ---- What is missing is named


@pytest.fixture
def complete(stage: Stage) -> list[AnyEvent]:
    return stage([(0, {0: (10, 1_000)}), (10**9, {0: (-30, 1_000)})], [900])


def missing_of(events: list[AnyEvent], opened: AdlRound | None = None, policy: Policy | None = RULE) -> tuple[str, ...]:
    made = plan(fold(events), opened or a_round(None), policy)
    assert made.closes == ()
    return made.missing


def with_unknown_trader(events: list[AnyEvent], *positions: OpenPosition, cash: int | None = None) -> list[AnyEvent]:
    account = len([event for event in events if isinstance(event, AccountOpened)])
    trader = AccountOpened(0, 0, 0, account, "new", account, Role.USER, fold(events).accounts[6].margin, False, None)
    other = msgspec.structs.replace(trader, account=account + 1, name="other", owner=account + 1)
    mirrored = tuple(msgspec.structs.replace(p, size=None if p.size is None else -p.size) for p in positions)
    return [*events, trader, other, Opening(0, 0, 0, account, cash, positions), Opening(0, 0, 0, account + 1, 1, mirrored)]


def test_no_policy(complete: list[AnyEvent]) -> None:
    assert missing_of(complete, policy=None) == ("policy",)


def test_no_mark(complete: list[AnyEvent]) -> None:
    assert missing_of(complete[:-1]) == ("mark price",)


def test_a_loser_that_is_not_on_record(complete: list[AnyEvent]) -> None:
    trader = AccountOpened(0, 0, 0, 8, "new", 8, Role.USER, fold(complete).accounts[6].margin, False, None)
    assert missing_of([*complete, trader], a_round(None, loser=8)) == ("loser's position", "cash of account")


def test_against_a_flat_loser_there_is_nothing_to_close(complete: list[AnyEvent]) -> None:
    assert plan(fold(complete), a_round(None, loser=4), RULE) == Plan((), (), 0)


def test_cash_of_a_candidate(complete: list[AnyEvent]) -> None:
    assert missing_of(with_unknown_trader(complete, OpenPosition(0, -5, 100, 2))) == ("cash of account",)


def test_entry_of_a_candidate(complete: list[AnyEvent]) -> None:
    assert missing_of(with_unknown_trader(complete, OpenPosition(0, -5, None, 0), cash=10)) == ("entry price",)


def test_what_unobserved_holds_proves_nothing(complete: list[AnyEvent]) -> None:
    """A record that is called complete is so whatever is left over, and another is not where nothing is."""
    digest = b"\0" * 32
    source = SourceOpened(0, 1, 0, "f", digest, digest, 1, "test", 1, None, None, "", Completeness.SAMPLED)
    events = with_unknown_trader(complete, OpenPosition(0, -5, 100, 2), cash=10)
    *rest, first, second = events
    state = fold([*rest, msgspec.structs.replace(second, cash=2), first])
    assert state.positions[0][UNOBSERVED].size == 0
    assert plan(state, a_round(None), RULE).missing == ()
    sampled = [source, *(msgspec.structs.replace(event, source=1) for event in (first, second))]
    state = fold([*rest, *sampled])
    assert state.positions[0][UNOBSERVED].size == 0
    assert plan(state, a_round(None), RULE).missing == ("candidate list: record incomplete",)
    # A list of the venue's own needs no complete record.
    for event in (a_round(None), candidates(1, 1, 7)):
        evolve(state, event, state.seq + 1)
    assert [close.winner for close in plan(state, a_round(None), RULE).closes] == [7]


def test_an_account_that_may_hold_the_market(complete: list[AnyEvent]) -> None:
    events = with_unknown_trader(complete)[:-2]
    assert missing_of(events) == ("candidate list: record incomplete",)
    venue = [msgspec.structs.replace(event, role=Role.VAULT) for event in events[-2:]]  # no candidates, whatever they hold
    assert plan(fold([*events[:-2], *venue]), a_round(None), RULE).missing == ()
    stated = [Opening(0, 0, 0, account, None, (OpenPosition(0, 0, None, 0),)) for account in (8, 9)]
    assert plan(fold([*events, *stated]), a_round(None), RULE).missing == ()


def test_in_a_market_that_nobody_holds_there_is_nobody_to_close(stage: Stage) -> None:
    state = fold(stage([(10**9, {})], [900]))
    assert rank(state, 0, -1, RULE) == ((), ())
    assert plan(state, a_round(5), AT_MARK) == Plan((), (), 5)


def test_a_position_of_unknown_size(complete: list[AnyEvent]) -> None:
    events = with_unknown_trader(complete, OpenPosition(0, None, None, 0), cash=10)
    assert missing_of(events) == ("candidate list: record incomplete",)


def test_missing_inputs_come_in_one_order_and_once(complete: list[AnyEvent]) -> None:
    events = with_unknown_trader(complete[:-1], OpenPosition(0, 5, None, 0))
    trader = AccountOpened(0, 0, 0, 10, "newer", 10, Role.USER, fold(complete).accounts[6].margin, False, None)
    names = missing_of([*events, trader], a_round(None, loser=10), None)
    assert names == tuple(name for name in MISSING_INPUTS if name in names)
    assert names == ("policy", "loser's position", "cash of account", "entry price", "mark price")


def test_a_plan_changes_nothing(complete: list[AnyEvent]) -> None:
    state = fold(complete)
    before = deepcopy(state)
    the_plan(state)
    assert state == before
