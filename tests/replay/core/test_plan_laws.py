"""The laws that a plan keeps under every fill, key and price."""

from collections.abc import Callable, Iterable
from copy import deepcopy
from fractions import Fraction
from typing import Any

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from events.model import (
    AdlCandidates,
    AdlClose,
    AdlRound,
    AnyEvent,
    Candidate,
    PriceRule,
    Reason,
    Taker,
    Transfer,
)
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.missing import MISSING_INPUTS
from replay.core.plan import Plan, plan
from replay.core.policy import FillKind, Policy
from replay.core.ranking import rank
from replay.core.spelling import parse_texts
from replay.core.state import State
from replay.presets import preset, presets
from replay.testing.policies import policies

Stage = Callable[..., list[AnyEvent]]

QUEUE = preset("queue").texts
LOSER = 6
LOT = 10_000  # money units of one lot at one price step


def policy_of(**changes: str) -> Policy:
    return parse_texts(QUEUE._replace(**changes))


def paid(fill: str, **changes: str) -> Policy:
    money = {"price": "none", "rounding": "money unit, remainder largest", "target": "deficit", "key": PLAIN}
    return policy_of(**{"fill": fill, **money, **changes})


PLAIN = "equity <= 0 alike, account asc"
EXCLUDED = "equity <= 0 excluded, account asc"
SCORE = "profit/entry-notional * notional/equity desc, 0 as gain"

RULE = policy_of()
AT_MARK = policy_of(price="mark")
ON_NOTIONAL = policy_of(key=QUEUE.key.replace("profit/entry-notional", "profit/notional"))
QUEUES = [
    RULE,
    policy_of(key=f"{SCORE}, equity <= 0 first, balance asc, account desc", price="mark"),
    policy_of(key=f"{SCORE}, equity at least 1, account asc", scope="opposite, profit > 0", price="mark"),
    policy_of(key="gain/max(balance, 1) * maintenance/equity desc, 0 as loss, equity <= 0 scores 0, account asc"),
    policy_of(key="exposure/equity desc, equity <= 0 excluded, profit desc, account desc", price="mark, capped at bankruptcy"),
    policy_of(key=PLAIN, price="bankruptcy, mark beyond 5%, 0.1% to the winner", scope="opposite, unhedged"),
    policy_of(target="whole position, each at most 30%", scope="opposite, own accounts first"),
]
BY_SIZE = policy_of(fill="level(closed/size)", key=PLAIN, price="mark")
LEVELS = [
    BY_SIZE,
    policy_of(fill="level(closed/gain)", key=PLAIN),
    policy_of(fill="level(closed/(equity * exposure/equity))", key=EXCLUDED, price="mark"),
    policy_of(fill="level(closed/size)", key=PLAIN, rounding="lot, price for the loser, remainder first"),
    policy_of(fill="level(exposure/equity)", key=EXCLUDED),
    policy_of(fill="least maximum(closed/equity)", key="equity at least 1, account asc", price="mark"),
]
ONCE = policy_of(fill="level(closed/gain), once", key=PLAIN, price="mark")
PAID = [
    paid("queue(paid), cap gain", key=f"{SCORE}, equity <= 0 last, account asc"),
    paid("level(paid/gain), cap gain"),
    paid("level(paid/equity), cap equity", key=EXCLUDED, scope="both sides"),
    paid("level(paid/gain), cap gain", scope="accounts"),
]
CLOSING = st.sampled_from([*QUEUES, *LEVELS, ONCE])
CHARGING = st.sampled_from(PAID)


def fold(events: Iterable[AnyEvent]) -> State:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    return state


def a_round(size: int | None = None, **changes: Any) -> AdlRound:
    opened = AdlRound(0, 0, 0, 0, LOSER, 0, size, None, PriceRule.BANKRUPTCY, None, None, None, 0, (), None, None, None, None)
    return msgspec.structs.replace(opened, **changes)


@st.composite
def venues(draw: st.DrawFn, *, marks: int = 2_000) -> tuple[list[Any], int]:
    """Traders with a position in market 0, the first of them to lose, and a mark."""
    sizes = st.integers(-300, 300).filter(bool)
    cash = st.one_of(st.just(0), st.integers(1, 10**10))
    traders = draw(st.lists(st.tuples(cash, sizes, st.integers(1, marks)), min_size=2, max_size=12))
    return [(money, {0: (size, entry)}) for money, size, entry in traders], draw(st.integers(1, marks))


def the_plan(state: State, policy: Policy = RULE, **changes: Any) -> Plan:
    return plan(state, a_round(**changes), policy)


# ---- The laws


@given(venues(), st.sampled_from([*QUEUES, *LEVELS, ONCE, *PAID]), st.randoms(use_true_random=False))
def test_the_order_of_storage_does_not_reach_the_plan(stage: Stage, venue: Any, policy: Policy, random: Any) -> None:
    state = fold(stage(venue[0], [venue[1]]))
    before = the_plan(state, policy)
    held = list(state.positions[0].items())
    random.shuffle(held)
    state.positions[0] = dict(held)
    assert the_plan(state, policy) == before


@given(venues(), CLOSING, st.integers(1, 500))
def test_closes_sum_to_what_is_needed_or_available(stage: Stage, venue: Any, policy: Policy, need: int) -> None:
    state = fold(stage(venue[0], [venue[1]]))
    loser = state.positions[0][LOSER].size
    side = -1 if loser > 0 else 1
    lots = {one.account: one.lots for one in rank(state, 0, side, policy, without=LOSER).ranked}
    made = the_plan(state, policy, size=need if loser > 0 else -need)
    assert (made.missing, made.charges) == ((), ())
    total = sum(close.size for close in made.closes)
    assert made.remaining == need - total
    assert made.uncovered == 0
    if policy is not ONCE and policy.fill.weight != LEVELS[1].fill.weight:
        assert total == min(need, sum(lots.values()))
    assert len({close.winner for close in made.closes}) == len(made.closes)
    assert all(0 < close.size <= lots[close.winner] for close in made.closes)
    assert len({close.price for close in made.closes}) <= 1


@given(venues(), st.sampled_from(QUEUES), st.integers(1, 500))
def test_a_queue_takes_each_entirely_before_the_next(stage: Stage, venue: Any, policy: Policy, need: int) -> None:
    state = fold(stage(venue[0], [venue[1]]))
    loser = state.positions[0][LOSER].size
    queue = [one for one in rank(state, 0, -1 if loser > 0 else 1, policy, without=LOSER).ranked if one.lots]
    made = the_plan(state, policy, size=need if loser > 0 else -need)
    taken = queue[: len(made.closes)]
    assert [(one.account, one.rank, one.score) for one in taken] == [(one.winner, one.rank, one.score) for one in made.closes]
    assert [one.lots for one in taken[:-1]] == [close.size for close in made.closes[:-1]]


@given(venues(), CLOSING)
def test_no_close_turns_a_position_round_or_touches_anybody_else(stage: Stage, venue: Any, policy: Policy) -> None:
    state = fold(stage(venue[0], [venue[1]]))
    made = the_plan(state, policy)
    before = deepcopy(state)
    loser = state.positions[0][LOSER].size
    evolve(state, a_round(loser), state.seq + 1)
    for close in made.closes:
        buyer, seller = (close.winner, LOSER) if loser > 0 else (LOSER, close.winner)
        trade = (close.price, close.size, 0, 0, None, Taker.UNKNOWN, None, None, None, None, None, None)
        evolve(state, AdlClose(0, 0, 0, 0, buyer, seller, *trade, 0, close.winner, None, None, None), state.seq + 1)
    winners = {close.winner for close in made.closes}
    assert LOSER not in winners
    for account, position in before.positions[0].items():
        after = state.positions[0][account].size
        if account in winners or account == LOSER:
            assert position.size * after >= 0
            assert abs(after) < abs(position.size) or account == LOSER
        else:
            assert (after, state.cash[account]) == (position.size, before.cash[account])
    assert abs(state.positions[0][LOSER].size) == made.remaining


@given(venues(), st.sampled_from([*QUEUES[:-1], *LEVELS]), st.integers(2, 1_000))
def test_scaling_money_and_sizes_scales_the_closes(stage: Stage, venue: Any, policy: Policy, factor: int) -> None:
    """Scores and prices stay. A level rounds to lots, so it scales but for less than a lot of the smaller venue.

    Left out are shares of a position, which are rounded to lots, and money bounds in units of currency (``at least 1``,
    ``max(balance, 1)``), which are not scaled with the rest; so is what is bankrupt at another step of the price grid.
    """
    assume("max" not in str(policy.key) and policy.key.insolvent.name != "AT_LEAST_ONE")
    assume(policy is not QUEUES[3])
    traders, mark = venue
    scaled = [(cash * factor, {0: (size * factor, entry)}) for cash, held in traders for size, entry in [held[0]]]
    one, many = the_plan(fold(stage(traders, [mark])), policy), the_plan(fold(stage(scaled, [mark])), policy)
    if policy.fill.kind is FillKind.QUEUE:
        assert [(c.winner, c.size * factor, c.price, c.score) for c in one.closes] == [
            (c.winner, c.size, c.price, c.score) for c in many.closes
        ]
        return
    small, large = ({close.winner: close.size for close in made.closes} for made in (one, many))
    assert {c.price for c in one.closes} == {c.price for c in many.closes}
    assert all(abs(small.get(a, 0) * factor - large.get(a, 0)) < 2 * factor for a in [*small, *large])


@given(venues(marks=400), st.sampled_from([AT_MARK, BY_SIZE, QUEUES[2], LEVELS[5]]))
def test_long_and_short_are_treated_alike(stage: Stage, venue: Any, policy: Policy) -> None:
    """Each side turned round and every entry reflected at mark: the same profits, so the same closes.

    It is a law of rules that look at sizes, mark, profit and equity. A return on the notional at entry is not the same number
    after the reflection, so there the return is on the notional at mark.
    """
    if policy.key.returns is not None:
        policy = msgspec.structs.replace(policy, key=ON_NOTIONAL.key)
    traders, mark = venue
    mirrored = [(cash, {0: (-size, 2 * mark - entry)}) for cash, held in traders for size, entry in [held[0]]]
    assume(all(entry > 0 for _, held in mirrored for _, entry in [held[0]]))
    one, other = the_plan(fold(stage(traders, [mark])), policy), the_plan(fold(stage(mirrored, [mark])), policy)
    assert one == other


@given(venues(), st.sampled_from([AT_MARK, QUEUES[1], LEVELS[5]]), st.integers(1, 200), st.integers(1, 200))
def test_one_round_takes_what_two_take(stage: Stage, venue: Any, policy: Policy, first: int, second: int) -> None:
    """A queue claims it where the first round leaves its order as it is, so here it is the first that stays in the queue's
    order: planned from the same state, the closes of the smaller round are a beginning of those of the larger. The least
    maximum gives lot by lot, and more to share lowers nobody. Shares claim it up to a lot each, as rounding by the largest
    remainder is not monotone; draining too.
    """
    state = fold(stage(venue[0], [venue[1]]))
    sign = 1 if state.positions[0][LOSER].size > 0 else -1
    part, whole = (the_plan(state, policy, size=sign * size) for size in (first, first + second))
    if policy.fill.kind is FillKind.QUEUE:
        assert part.closes[:-1] == whole.closes[: len(part.closes)][:-1]
        assert [close.winner for close in part.closes] == [close.winner for close in whole.closes][: len(part.closes)]
    given_then = {close.winner: close.size for close in whole.closes}
    assert all(close.size <= given_then[close.winner] for close in part.closes)


@given(venues(), st.integers(1, 200), st.integers(1, 200))
def test_two_rounds_of_shares_are_one_but_for_a_lot_each(stage: Stage, venue: Any, first: int, second: int) -> None:
    state = fold(stage(venue[0], [venue[1]]))
    sign = 1 if state.positions[0][LOSER].size > 0 else -1
    held = {a: abs(p.size) for a, p in state.positions[0].items()}
    whole = {c.winner: c.size for c in the_plan(state, BY_SIZE, size=sign * (first + second)).closes}
    one = {c.winner: c.size for c in the_plan(state, BY_SIZE, size=sign * first).closes}
    for account, size in one.items():
        state.positions[0][account].size += sign * size
    two = {c.winner: c.size for c in the_plan(state, BY_SIZE, size=sign * second).closes}
    assert all(abs(whole.get(a, 0) - one.get(a, 0) - two.get(a, 0)) <= 2 for a in held)


@given(venues(), st.integers(1, 300), st.integers(1, 298), st.sampled_from([BY_SIZE, LEVELS[1]]))
def test_who_splits_an_account_in_two_gains_less_than_two_lots(
    stage: Stage, venue: Any, need: int, part: int, policy: Policy
) -> None:
    policy = msgspec.structs.replace(policy, price=AT_MARK.price)
    (loser, (cash, held), *others), mark = venue
    entry, loses = held[0][1], loser[1][0][0]
    size = -299 if loses > 0 else 299
    traders = [loser, (cash, {0: (size, entry)}), *others]
    cut = part if size > 0 else -part
    split = [traders[0], (cash, {0: (cut, entry)}), *traders[2:], (0, {0: (size - cut, entry)})]
    sign = -1 if size > 0 else 1
    one, two = (the_plan(fold(stage(who, [mark])), policy, size=sign * need) for who in (traders, split))
    alone = sum(c.size for c in one.closes if c.winner == 7)
    both = sum(c.size for c in two.closes if c.winner in {7, 6 + len(traders)})
    assert abs(alone - both) < 2


@given(venues())
def test_draining_leaves_no_leverage_above_anothers_that_was_reduced(stage: Stage, venue: Any) -> None:
    policy = LEVELS[4]
    state = fold(stage(venue[0], [venue[1]]))
    side = -1 if state.positions[0][LOSER].size > 0 else 1
    ranked = rank(state, 0, side, policy, without=LOSER).ranked
    closed = {close.winner: close.size for close in the_plan(state, policy).closes}
    lot = venue[1] * LOT
    after = {}
    for one in ranked:
        assert one.notional is not None
        assert one.equity is not None
        after[one.account] = Fraction(one.notional - closed.get(one.account, 0) * lot, one.equity)
    for one in ranked:
        if closed.get(one.account, 0) < one.lots:
            # What could still give is not above, by more than a lot each, any that gave.
            for other in ranked:
                if closed.get(other.account, 0):
                    slack = Fraction(lot, one.equity or 1) + Fraction(lot, other.equity or 1)
                    assert after[one.account] - after[other.account] <= slack


@given(venues(), st.integers(1, 400))
def test_no_other_whole_lots_have_a_smaller_largest_close_over_equity(stage: Stage, venue: Any, need: int) -> None:
    policy = policy_of(fill="least maximum(closed/equity)", key=EXCLUDED, price="mark")
    state = fold(stage(venue[0], [venue[1]]))
    sign = 1 if state.positions[0][LOSER].size > 0 else -1
    ranked = rank(state, 0, -sign, policy, without=LOSER).ranked
    made = the_plan(state, policy, size=sign * need)
    equities = {one.account: one.equity or 0 for one in ranked}
    worst = max((Fraction(close.size, equities[close.winner]) for close in made.closes), default=Fraction(0))
    # Below it not even the same number of lots fits.
    fits = sum(min(one.lots, -(-worst.numerator * equities[one.account] // worst.denominator) - 1) for one in ranked)
    assert not made.closes or fits < sum(close.size for close in made.closes)


@given(venues(), CHARGING)
def test_charges_sum_to_the_deficit_or_the_caps(stage: Stage, venue: Any, policy: Policy) -> None:
    state = fold(stage(venue[0], [venue[1]]))
    made = the_plan(state, policy)
    assert (made.closes, made.missing, made.remaining) == ((), (), 0)
    deficit = max(-(margin.equity(state, LOSER) or 0), 0)
    side = -1 if state.positions[0][LOSER].size > 0 else 1
    ranked = rank(state, 0, side, policy, without=LOSER).ranked
    by_equity = policy is PAID[2]
    caps = {one.account: max((one.equity if by_equity else one.profit) or 0, 0) for one in ranked}
    assert sum(charge.cash for charge in made.charges) == min(deficit, sum(caps.values()))
    assert made.uncovered == deficit - sum(charge.cash for charge in made.charges)
    assert all(0 < charge.cash <= caps[charge.payer] for charge in made.charges)
    assert [charge.rank for charge in made.charges] == list(range(1, len(made.charges) + 1))
    for charge in made.charges:
        paid_in = Transfer(0, 0, 0, charge.payer, LOSER, charge.cash, Reason.SOCIALISED_LOSS, None)
        evolve(state, paid_in, state.seq + 1)
    assert max(-(margin.equity(state, LOSER) or 0), 0) == made.uncovered


@given(venues())
def test_an_index_raises_the_deficit_and_less_than_a_lot_each_more(stage: Stage, venue: Any) -> None:
    policy = paid("index(size)", scope="both sides", layers="book, fund, index")
    state = fold(stage(venue[0], [venue[1]]))
    made = the_plan(state, policy)
    deficit = max(-(margin.equity(state, LOSER) or 0), 0)
    raised = sum(charge.cash for charge in made.charges)
    sizes = {a: abs(p.size) for a, p in state.positions[0].items() if a > LOSER}
    assert made.uncovered == 0
    assert deficit <= raised <= deficit + len(sizes) + sum(sizes.values()) // 10**9 + 1
    assert {charge.payer for charge in made.charges} == (set(sizes) if deficit else set())


@given(venues(), policies(), st.integers(-50, 50))
def test_whatever_can_be_spelled_can_be_carried_out(stage: Stage, venue: Any, policy: Policy, stated: int) -> None:
    opened = a_round(stated or None, price=500, need_cash=stated * LOT if stated > 0 else None, seed=b"\5")
    state = fold([*stage(venue[0], [venue[1]]), opened])
    listed = tuple(Candidate(account, None, None, None, None) for account in range(6 + len(venue[0]) - 1, 5, -1))
    evolve(state, AdlCandidates(0, 0, 0, 0, 1, 1, listed), state.seq + 1)
    made = plan(state, opened, policy)
    assert made == plan(state, opened, policy)
    if made.missing:
        assert (made.closes, made.charges) == ((), ())
    assert not (made.closes and made.charges)
    if not policy.fill.cash and not made.missing and stated:
        assert sum(close.size for close in made.closes) + made.remaining == abs(stated)


@given(venues())
def test_every_preset_gives_a_plan_or_says_why_not(stage: Stage, venue: Any) -> None:
    state = fold(stage(venue[0], [venue[1]]))
    for shipped in presets().values():
        made = the_plan(state, shipped.policy)
        assert set(made.missing) <= set(MISSING_INPUTS)


@given(venues(), st.sampled_from([*QUEUES, *LEVELS, ONCE, *PAID]))
def test_a_plan_changes_nothing(stage: Stage, venue: Any, policy: Policy) -> None:
    state = fold(stage(venue[0], [venue[1]]))
    before = deepcopy(state)
    the_plan(state, policy)
    assert state == before
