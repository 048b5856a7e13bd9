from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import MisuseError
from events.model import AccountOpened, AnyEvent, Fill, MarginMode, PolicyAdopted, PriceTick, Role, Taker
from events.units import PPM
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.spelling import adopt
from replay.core.state import State
from replay.presets import preset
from replay.stress.jumps import Closed, begins_round, jump, run, venue

Stage = Callable[..., list[AnyEvent]]
Trade = tuple[int, int, int, int, int]

FUND, HOUSE, FIRST = 4, 5, 6
LOT = 10_000  # money units of one lot at one price step
PERCENT = PPM // 100
QUEUE = preset("queue").texts
PRESETS = (
    "queue",
    "hyperliquid",
    "dydx-v4",
    "bybit",
    "vmgh",
    "tear-up",
    "metaflux",
    "drift-v2",
    "paradex",
    "leverage-draining",
)


def fold(events: Iterable[AnyEvent]) -> State:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    return state


def fill(market: int, buyer: int, seller: int, price: int, size: int) -> Fill:
    return Fill(0, 0, 0, market, buyer, seller, price, size, 0, 0, None, Taker.UNKNOWN, *(None,) * 6)


def a_venue(stage: Stage, cash: Sequence[int], trades: Iterable[Trade], *, fund: int = 0, name: str = "queue") -> State:
    """Return a venue of two markets at 1,000 whose traders, from account 6 on, trade with each other."""
    events = stage([(one, {}) for one in cash], [1_000, 1_000], fund=fund, preset=preset(name).texts)
    return fold([*events, *(fill(*trade) for trade in trades)])


def conserved(state: State) -> bool:
    return sum(state.cash) == 0 and all(sum(one.size for one in book.values()) == 0 for book in state.positions)


# ---- By hand: 6 is long 10 at 1,000 with a margin of a tenth, 7 is short with plenty


def long_and_short(stage: Stage, fund: int = 0, name: str = "queue") -> State:
    return a_venue(stage, [1_000 * LOT, 10_000 * LOT], [(0, 6, 7, 1_000, 10)], fund=fund, name=name)


def test_nothing_happens_where_nobody_is_at_risk(stage: Stage) -> None:
    state = long_and_short(stage, fund=5 * LOT)
    for move in (0, -4 * PERCENT, 4 * PERCENT):
        found, after = run(jump(venue(state), move))
        assert (found.liquidated, found.bankrupt, found.deficit, found.drawn, found.rounds, found.hit) == (0,) * 6
        assert (found.closed, found.debt, found.fund_left, found.vault_loss) == ((), 0, 5 * LOT, 0)
        assert after.positions == state.positions
        assert after.marks == [1_000 + 10 * move // PERCENT] * 2


def test_an_account_that_is_not_bankrupt_costs_nobody_anything(stage: Stage) -> None:
    found, _ = run(jump(venue(long_and_short(stage)), -7 * PERCENT))
    assert (found.liquidated, found.bankrupt, found.deficit, found.rounds) == (1, 0, 0, 0)


def test_the_fund_pays_and_then_adl_closes(stage: Stage) -> None:
    # At 850 the long is 500 steps short of money.
    found, after = run(jump(venue(long_and_short(stage, fund=700 * LOT)), -15 * PERCENT))
    assert (found.liquidated, found.bankrupt, found.deficit, found.draws) == (1, 1, 500 * LOT, {FUND: 500 * LOT})
    assert (found.rounds, found.closed, found.hit, found.debt, found.fund_left) == (0, (), 0, 0, 200 * LOT)
    found, after = run(jump(venue(long_and_short(stage, fund=200 * LOT)), -15 * PERCENT))
    assert (found.drawn, found.fund_left, found.rounds, found.hit, found.debt) == (200 * LOT, 0, 1, 1, 0)
    assert found.closed == (Closed(0, 10, 10 * 850 * LOT),)
    assert (found.closed_notional, found.interest) == (8_500 * LOT, 8_500 * LOT)
    assert after.cash[7] == (10_000 + 1_200) * LOT  # the winner gives up the 300 that the fund could not pay
    assert conserved(after)


def test_one_market_jumps_alone_and_the_oracle_goes_along(stage: Stage) -> None:
    state = long_and_short(stage)
    evolve(state, PriceTick(0, 0, 0, 0, None, 990), state.seq + 1)
    assert jump(venue(state), -15 * PERCENT, [1]).risky == ()
    jumped = jump(venue(state), -15 * PERCENT, [0])
    assert (jumped.state.marks, jumped.state.oracles, jumped.state.previous_marks) == ([850, 1_000], [842, 0], [1_000, 0])
    assert (jumped.risky, jumped.deficit) == ((6,), 500 * LOT)


def test_a_price_is_never_lost(stage: Stage) -> None:
    assert jump(venue(long_and_short(stage)), 1 - PPM).state.marks == [1, 1]
    for move in (-PPM, 100 * PPM + 1):
        with pytest.raises(MisuseError, match="out of range"):
            jump(venue(long_and_short(stage)), move)


def test_a_fund_that_is_set_has_always_had_that_balance(stage: Stage) -> None:
    # Bybit's fund, down by 80% of itself, would have ADL begin at once if setting it counted as a loss.
    state = long_and_short(stage, fund=10**9 * LOT, name="bybit")
    found, _ = run(jump(venue(state, fund_cash=2 * 10**8 * LOT), -15 * PERCENT))
    assert (found.rounds, found.drawn, found.fund_left) == (0, 500 * LOT, 2 * 10**8 * LOT - 500 * LOT)
    jumped = jump(venue(state), -15 * PERCENT)
    assert not begins_round(jumped, {FUND: 2 * 10**8 * LOT})
    assert begins_round(jumped, {FUND: 0})


def test_a_fund_that_holds_contracts_has_its_balance_before_the_jump(stage: Stage) -> None:
    state = a_venue(stage, [1_000 * LOT, 10_000 * LOT], [(0, 6, 7, 1_000, 10), (1, 4, 7, 1_000, 1)])
    jumped = jump(venue(state), -15 * PERCENT)
    _, after = run(jumped, {FUND: 700 * LOT})
    assert margin.equity(after, FUND) == (700 - 150 - 500) * LOT
    assert not begins_round(jumped, {FUND: 650 * LOT})
    assert begins_round(jumped, {FUND: 650 * LOT - 1})


def test_another_policy_is_in_force_for_all_markets(stage: Stage) -> None:
    state = long_and_short(stage, fund=700 * LOT)
    found, after = run(jump(venue(state, preset("dydx-v1").texts), -15 * PERCENT))
    assert (found.drawn, found.rounds, found.fund_left) == (0, 1, 700 * LOT)
    assert [one.name for one in after.policies] == [QUEUE.name, "dydx-v1"]
    assert len(state.policies) == 1


def test_money_that_is_charged(stage: Stage) -> None:
    found, after = run(jump(venue(long_and_short(stage, name="vmgh")), -15 * PERCENT))
    assert (found.rounds, found.closed, found.charged, found.hit) == (1, (), 500 * LOT, 1)
    assert after.cash[7] == (10_000 + 10_000 - 500) * LOT


def test_a_vault_that_goes_bankrupt_counts(stage: Stage) -> None:
    state = a_venue(stage, [10_000 * LOT, 10_000 * LOT], [(0, HOUSE, 7, 1_000, 10)])
    found, _ = run(jump(venue(state), -15 * PERCENT))
    assert (found.bankrupt, found.deficit, found.rounds, found.vault_loss) == (1, 1_500 * LOT, 1, -1_500 * LOT)


def test_what_the_record_lacks_is_assumed_and_said(stage: Stage) -> None:
    events = stage([(1_000 * LOT, {}), (10_000 * LOT, {})], [1_000])
    users = [
        msgspec.structs.replace(one, role=Role.USER) if isinstance(one, AccountOpened) and one.account in {4, 5} else one
        for one in events
    ]
    state = fold([*users, fill(0, 6, 7, 1_000, 10)])
    begun = venue(state, fund_cash=600 * LOT)
    assert [line.split(";")[0] for line in begun.assumed] == [
        "The record has no insurance fund",
        "The record has no liquidator or vault",
    ]
    found, after = run(jump(begun, -15 * PERCENT))
    assert (found.rounds, found.drawn, found.fund_left, found.undecided) == (0, 500 * LOT, 100 * LOT, 0)
    assert [one.role for one in after.accounts[8:]] == [Role.FUND, Role.LIQUIDATOR]


def test_accounts_that_the_record_does_not_tell_are_left_out(stage: Stage) -> None:
    events = stage([(1_000 * LOT, {}), (10_000 * LOT, {})], [1_000])
    unknown = AccountOpened(0, 0, 0, 8, "unknown", 8, Role.USER, MarginMode.CROSS, False, None)
    state = fold([*events, unknown, fill(0, 6, 7, 1_000, 10), fill(0, 8, 7, 1_000, 10)])
    found, _ = run(jump(venue(state), -15 * PERCENT))
    # Of account 8 nothing can be told; whom a round for account 6 would close cannot, either.
    assert (found.bankrupt, found.deficit, found.undecided) == (1, 500 * LOT, 2)
    assert "candidate list" in found.missing[0]


def test_several_named_funds_have_no_one_balance(stage: Stage) -> None:
    state = long_and_short(stage)
    named = QUEUE._replace(name="two funds", layers="book, fund 4, fund 5, adl")
    evolve(state, adopt(named, policy=1, at_ns=0, source=0, row=0), state.seq + 1)
    with pytest.raises(MisuseError, match="several funds"):
        venue(state, fund_cash=1)
    evolve(state, adopt(named._replace(layers="book, fund 4, adl"), policy=2, at_ns=0, source=0, row=0), state.seq + 1)
    assert venue(state, fund_cash=1).funds == (FUND,)


def test_without_a_policy_there_is_nothing_to_stress(stage: Stage) -> None:
    events = [one for one in stage([(10_000 * LOT, {0: (1, 1_000)})], [1_000]) if not isinstance(one, PolicyAdopted)]
    with pytest.raises(MisuseError, match="no ADL policy is in force for M0"):
        venue(fold(events))
    assert venue(fold(events), QUEUE).policies[0].name == QUEUE.name


# ---- Laws

CASH = st.lists(st.integers(0, 2_000).map(lambda cash: cash * LOT), min_size=3, max_size=6)


@st.composite
def venues(draw: st.DrawFn) -> tuple[list[int], list[Trade]]:
    """Draw what traders have, and trades between them near mark: some sound, some bankrupt at the first move."""
    cash = draw(CASH)
    accounts = st.integers(FIRST, FIRST + len(cash) - 1)
    pairs = st.tuples(accounts, accounts).filter(lambda pair: pair[0] != pair[1])
    terms = st.tuples(st.integers(0, 1), pairs, st.integers(950, 1_050), st.integers(1, 20))
    drawn = draw(st.lists(terms, min_size=1, max_size=8))
    return cash, [(market, *pair, price, size) for market, pair, price, size in drawn]


MOVES = st.integers(-50, 50).map(lambda percent: percent * PERCENT)


@given(drawn=venues(), move=MOVES, fund=st.integers(0, 3_000), name=st.sampled_from(PRESETS))
def test_money_and_contracts_are_conserved_and_the_state_is_untouched(
    stage: Stage, drawn: tuple[list[int], list[Trade]], move: int, fund: int, name: str
) -> None:
    state = a_venue(stage, *drawn, fund=fund * LOT, name=name)
    before = deepcopy(state)
    jumped = jump(venue(state), move)
    right_after = deepcopy(jumped.state)
    found, after = run(jumped)
    assert conserved(after)
    assert (state, jumped.state) == (before, right_after)
    assert found.fund_left == fund * LOT - found.drawn
    assert found.bankrupt <= found.liquidated
    assert all(after.holdings[one][market] is book[one] for market, book in enumerate(after.positions) for one in book)


@given(drawn=venues(), move=MOVES, funds=st.tuples(st.integers(0, 3_000), st.integers(0, 3_000)))
def test_a_larger_fund_never_brings_more_adl(
    stage: Stage, drawn: tuple[list[int], list[Trade]], move: int, funds: tuple[int, int]
) -> None:
    jumped = jump(venue(a_venue(stage, *drawn)), move)
    small, large = (run(jumped, {FUND: fund * LOT})[0] for fund in sorted(funds))
    assert large.closed_notional <= small.closed_notional
    assert begins_round(jumped, {FUND: min(funds) * LOT}) is (small.rounds > 0)


@given(drawn=venues(), move=MOVES, data=st.data())
def test_storage_order_changes_nothing(
    stage: Stage, drawn: tuple[list[int], list[Trade]], move: int, data: st.DataObject
) -> None:
    state = a_venue(stage, *drawn, fund=500 * LOT)
    shuffled = deepcopy(state)
    shuffled.positions = [dict(data.draw(st.permutations(list(book.items())))) for book in shuffled.positions]
    shuffled.holdings = [
        {market: shuffled.positions[market][account] for market in data.draw(st.permutations(list(held)))}
        for account, held in enumerate(shuffled.holdings)
    ]
    assert run(jump(venue(shuffled), move))[0] == run(jump(venue(state), move))[0]
