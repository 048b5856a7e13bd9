from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.errors import MisuseError
from events.model import (
    EXTERNAL,
    ROUNDING,
    AccountOpened,
    AdlClose,
    AdlRound,
    AnyEvent,
    Fill,
    InsuranceDraw,
    Liquidation,
    MarginMode,
    MarketListed,
    MarketStatus,
    Method,
    PolicyAdopted,
    PriceRule,
    PriceTick,
    Reason,
    Role,
    Taker,
    Transfer,
)
from replay.core import margin
from replay.core.engine import Bid, Look, Moment, Rules, decide
from replay.core.evolve import evolve
from replay.core.spelling import Texts
from replay.core.state import State
from replay.presets import preset

FUND, HOUSE, LOSER = 4, 5, 6
LOT = 10_000  # money units of one lot at one price step
RULES = Rules(HOUSE, 4_000)
MOMENT = Moment(5, 0, 0, 1_000)
LOSS = 10 * 100 * LOT  # what ten lots lose from 1,000 to 900
HOUR = 3_600 * 10**9
QUEUE = preset("queue").texts._replace(layers="book, fund, adl, vault")

Make = Callable[..., State]


def kinds(events: Iterable[AnyEvent]) -> list[type]:
    return [type(event) for event in events]


@pytest.fixture
def bankrupt(stage: Any, fold: Any) -> Make:
    """A long of ten lots at 1,000, marked at 900; two shorts of six and twenty lots."""

    def make(cash: int = 0, fund: int = 0, preset: Texts = QUEUE) -> State:
        traders = [(cash, {0: (10, 1_000)}), (10**8, {0: (-6, 1_200)}), (10**9, {0: (-20, 1_100)})]
        state: State = fold(stage(traders, [900], fund=fund, preset=preset))
        return state

    return make


@st.composite
def one_market(draw: st.DrawFn) -> tuple[list[Any], list[int], int]:
    """Traders with a position in market 0, the first of them insolvent, its mark, and a fund."""
    size = draw(st.integers(-300, 300).filter(bool))
    entry, mark = draw(st.integers(2, 2_000)), draw(st.integers(2, 2_000))
    loss = max(-(mark - entry) * size * LOT, 0)
    others = st.tuples(st.integers(0, 10**10), st.integers(-300, 300), st.integers(1, 2_000))
    traders = [(draw(st.integers(0, max(loss - 1, 0))), size, entry), *draw(st.lists(others, max_size=10))]
    return [(cash, {0: (s, e)}) for cash, s, e in traders], [mark], draw(st.one_of(st.just(0), st.integers(1, 10**8)))


@given(made=one_market())
def test_a_bankrupt_account_ends_flat_at_exactly_zero(stage: Any, fold: Any, settle: Any, made: Any) -> None:
    traders, marks, fund = made
    state = fold(stage(traders, marks, fund=fund, preset=QUEUE))
    equity = margin.equity(state, LOSER)
    if equity is None or equity >= 0:
        return
    paid = min(fund, -equity)
    events = settle(state, LOSER, RULES)
    assert state.cash[LOSER] == 0
    assert state.positions[0][LOSER].size == 0
    draws = [event for event in events if isinstance(event, InsuranceDraw)]
    assert [(event.cash, event.deficit) for event in draws] == ([(paid, -equity)] if fund else [])
    assert state.cash[FUND] == fund - paid
    # What rounding the prices left is less than one price step on the whole position.
    assert 0 <= state.cash[ROUNDING] < abs(traders[0][1][0][0]) * LOT


# ---- The fund


def test_the_fund_pays_first_and_the_vault_takes_what_it_covered(bankrupt: Make, settle: Any) -> None:
    state = bankrupt(fund=LOSS + 5)
    draw, taken = settle(state, LOSER, RULES)
    assert isinstance(draw, InsuranceDraw)
    assert isinstance(taken, Liquidation)
    assert (draw.cash, draw.deficit) == (LOSS, LOSS)
    assert (draw.market, draw.round, draw.reference) == (None, None, None)
    assert (taken.method, taken.buyer, taken.price, taken.size) == (Method.BACKSTOP, HOUSE, 900, 10)
    assert (state.cash[FUND], state.cash[LOSER]) == (5, 0)


def test_several_pools_pay_in_their_order(bankrupt: Make, settle: Any) -> None:
    for layers, order in (("book, fund, adl", [(FUND, LOSS // 4), (9, LOSS // 2)]), ("book, fund 9, adl", [(9, LOSS // 2)])):
        policy = QUEUE._replace(layers=layers, trigger="equity < 0")
        state = bankrupt(fund=LOSS // 4, preset=policy)
        second = AccountOpened(0, 0, 0, 9, "second", 9, Role.FUND, MarginMode.CROSS, True, None)
        for event in (second, Transfer(0, 0, 0, EXTERNAL, 9, LOSS // 2, Reason.TOP_UP, None)):
            evolve(state, event, state.seq + 1)
        draws = [event for event in settle(state, LOSER, RULES) if isinstance(event, InsuranceDraw)]
        assert [(event.fund, event.cash) for event in draws] == order


def test_a_layer_that_names_no_fund_is_misuse(bankrupt: Make) -> None:
    for layers, what in (("book, fund 99, adl", "not on record"), ("book, fund 8, adl", "no fund, vault or liquidator")):
        state = bankrupt(preset=QUEUE._replace(layers=layers, trigger="equity < 0"))
        with pytest.raises(MisuseError, match=what):
            decide(state, Look(LOSER), RULES, MOMENT)


def test_a_fund_that_nobody_opened_is_not_on_record(bankrupt: Make) -> None:
    policy = QUEUE._replace(layers="fund 99, adl", trigger="fund <= 0 or drawdown(8h) >= 30%")
    with pytest.raises(MisuseError, match="missing fund balance"):
        decide(bankrupt(preset=policy), Look(LOSER), RULES, MOMENT)
    state = bankrupt(fund=LOSS // 4, preset=QUEUE._replace(layers=f"fund {FUND}, fund 99, adl", trigger="equity < 0"))
    (draw,) = decide(state, Look(LOSER), RULES, MOMENT).events
    assert isinstance(draw, InsuranceDraw)
    assert (draw.fund, draw.cash) == (FUND, LOSS // 4)
    evolve(state, draw, state.seq + 1)
    with pytest.raises(MisuseError, match="fund 99 cannot pay"):
        decide(state, Look(LOSER), RULES, MOMENT)


def test_a_debt_without_positions_is_paid_or_stays(stage: Any, fold: Any, settle: Any) -> None:
    for fund, layers, left in (
        (0, "book, fund, adl", -30),
        (20, "book, fund, adl", -10),
        (50, "book, fund, adl", 0),
        (20, "book, fund, adl, vault", 0),
        (20, "book, vault, fund, adl", 0),
        (20, "book, vault, fund, adl, debt", -10),
    ):
        events = stage([(10, {}), (10, {})], [900], fund=fund, preset=QUEUE._replace(layers=layers))
        rich = Transfer(0, 0, 0, EXTERNAL, HOUSE, 10**6, Reason.DEPOSIT, None)
        state = fold([*events, rich, Transfer(0, 0, 0, LOSER, 7, 40, Reason.OTHER, None)])
        settle(state, LOSER, RULES)
        assert state.cash[LOSER] == left
        assert decide(state, Look(LOSER), RULES, MOMENT).events == ()


# ---- ADL


def test_what_the_fund_cannot_pay_is_deleveraged(bankrupt: Make, settle: Any) -> None:
    state = bankrupt(fund=LOSS // 3)
    draw, opened, first, second, residue = settle(state, LOSER, RULES)
    assert isinstance(draw, InsuranceDraw)
    assert (draw.cash, draw.deficit) == (LOSS // 3, LOSS)
    assert isinstance(opened, AdlRound)
    # Two thirds of a loss of 100 a lot remain: the long must sell at 966.67, up to 967.
    assert (opened.loser, opened.size, opened.price, opened.bankruptcy) == (LOSER, 10, 967, 967)
    assert (opened.price_rule, opened.mark, opened.policy) == (PriceRule.BANKRUPTCY, 900, 0)
    assert [(pool.account, pool.cash) for pool in opened.pools] == [(FUND, 0)]
    assert isinstance(first, AdlClose)
    assert isinstance(second, AdlClose)
    assert [(e.winner, e.buyer, e.seller, e.size, e.price) for e in (first, second)] == [
        (7, 7, LOSER, 6, 967),
        (8, 8, LOSER, 4, 967),
    ]
    assert [(e.rank_claim, e.trade, e.mark) for e in (first, second)] == [(1, 1_000, 900), (2, 1_001, 900)]
    # Each side as it stands just before its close.
    assert [(e.buyer_start_claim, e.seller_start_claim) for e in (first, second)] == [(-6, 10), (-20, 4)]
    assert isinstance(residue, Transfer)
    assert (residue.payer, residue.payee, residue.reason) == (LOSER, ROUNDING, Reason.RESIDUAL)
    assert 0 < residue.cash < 10 * LOT


def test_a_short_is_the_mirror_image(stage: Any, fold: Any, settle: Any) -> None:
    traders = [(0, {0: (-10, 900)}), (10**8, {0: (6, 700)}), (10**9, {0: (20, 800)})]
    opened, first, second = settle(fold(stage(traders, [1_000])), LOSER, RULES)
    assert isinstance(opened, AdlRound)
    assert (opened.size, opened.price) == (-10, 900)
    assert [(e.winner, e.buyer, e.seller, e.size) for e in (first, second)] == [(7, LOSER, 7, 6), (8, LOSER, 8, 4)]


def test_the_largest_position_goes_first(stage: Any, fold: Any, settle: Any) -> None:
    traders = [(0, {0: (10, 1_000), 1: (10, 3_000)}), (10**12, {0: (-10, 1_000), 1: (-10, 3_000)})]
    events = settle(fold(stage(traders, [900, 2_000])), LOSER, RULES)
    assert [event.market for event in events if isinstance(event, AdlRound)] == [1, 0]


def test_each_market_has_its_own_policy(stage: Any, fold: Any, settle: Any) -> None:
    traders = [(0, {0: (10, 1_000), 1: (10, 3_000)}), (10**12, {0: (-10, 1_000), 1: (-10, 3_000)})]
    events = stage(traders, [900, 2_000], preset=QUEUE)
    adopted = next(event for event in events if isinstance(event, PolicyAdopted))
    only = replace(adopted, policy=1, markets=(1,), trigger="never", layers="book, debt")
    closed = settle(fold([*events, only]), LOSER, RULES)
    # The largest position's policy has no ADL, so the account stays in debt; the other's policy is not asked.
    assert kinds(closed) == [Liquidation, Liquidation]
    only = replace(only, markets=(0,))
    closed = settle(fold([*events, only]), LOSER, RULES)
    assert [event.market for event in closed if isinstance(event, AdlRound)] == [1]


def test_no_round_is_opened_against_the_policys_trigger(bankrupt: Make, settle: Any) -> None:
    policy = QUEUE._replace(trigger="fund <= 0", layers="book, adl")
    assert AdlRound in kinds(settle(bankrupt(preset=policy), LOSER, RULES))
    assert kinds(settle(bankrupt(fund=1, preset=policy), LOSER, RULES)) == [Liquidation]


def test_by_a_mark_price_policy_the_deficit_stays_or_is_the_next_layers(bankrupt: Make, settle: Any) -> None:
    state = bankrupt(preset=QUEUE._replace(price="mark", layers="book, fund, adl"))
    events = settle(state, LOSER, RULES)
    assert {event.price for event in events if isinstance(event, AdlClose)} == {900}
    assert (kinds(events), state.cash[LOSER]) == ([AdlRound, AdlClose, AdlClose], -LOSS)
    # MetaFlux: ADL before the fund.
    state = bankrupt(fund=LOSS, preset=QUEUE._replace(price="mark", layers="book, adl, fund, debt", trigger="equity < 0"))
    assert kinds(settle(state, LOSER, RULES)) == [AdlRound, AdlClose, AdlClose, InsuranceDraw]
    assert state.cash[LOSER] == 0


def test_a_policys_limits_hold_at_one_moment(bankrupt: Make, settle: Any) -> None:
    policy = QUEUE._replace(target="whole position, each at most 50%", trigger="equity < 0", layers="book, adl, vault")
    state = bankrupt(preset=policy)
    closes = [event for event in settle(state, LOSER, RULES) if isinstance(event, AdlClose)]
    assert [(event.winner, event.size) for event in closes] == [(7, 3), (8, 7)]
    policy = policy._replace(target="whole position, each at most 20%")
    closes = settle(bankrupt(preset=policy), LOSER, RULES)
    assert [type(event) for event in closes] == [AdlRound, AdlClose, AdlClose, Liquidation]
    assert [event.size for event in closes if isinstance(event, AdlClose | Liquidation)] == [1, 4, 5]


def test_what_cannot_be_decided_is_misuse(stage: Any, fold: Any) -> None:
    events = stage([(0, {0: (10, 1_000)})], [900])
    for_none = [replace(event, markets=()) if isinstance(event, PolicyAdopted) else event for event in events]
    with pytest.raises(MisuseError, match="no ADL policy is in force for M0"):
        decide(fold(for_none), Look(LOSER), RULES, MOMENT)
    unknown_price = stage(
        [(0, {0: (10, 1_000)}), (10**9, {0: (-10, 1_000)})], [900], preset=QUEUE._replace(price="previous-mark")
    )
    with pytest.raises(MisuseError, match="missing previous mark price"):
        decide(fold(unknown_price), Look(LOSER), RULES, MOMENT)
    no_fund = [event for event in events if not (isinstance(event, AccountOpened) and event.account == FUND)]
    moved = [
        replace(event, role=Role.VAULT) if isinstance(event, AccountOpened) and event.account == FUND else event
        for event in events
    ]
    assert len(no_fund) < len(events)
    with pytest.raises(MisuseError, match="missing fund balance"):
        decide(fold(moved), Look(LOSER), RULES, MOMENT)


# ---- The vault


def test_the_vault_takes_over_what_no_candidate_can(stage: Any, fold: Any, settle: Any) -> None:
    state = fold(stage([(0, {0: (10, 1_000)}), (10**8, {0: (-6, 1_200)})], [900], preset=QUEUE))
    opened, close, rest = settle(state, LOSER, RULES)
    assert isinstance(opened, AdlRound)
    assert isinstance(close, AdlClose)
    assert isinstance(rest, Liquidation)
    assert (rest.method, rest.buyer, rest.size, rest.price) == (Method.TAKEOVER, HOUSE, 4, 1_000)
    assert state.cash[LOSER] == 0


def test_without_a_vault_among_the_layers_the_rest_is_debt(stage: Any, fold: Any, settle: Any) -> None:
    policy = QUEUE._replace(layers="book, fund, adl")
    state = fold(stage([(0, {0: (10, 1_000)}), (10**8, {0: (-6, 1_200)})], [900], preset=policy))
    before = margin.equity(state, HOUSE)
    *_, rest = settle(state, LOSER, RULES)
    assert isinstance(rest, Liquidation)
    assert (rest.method, rest.size, rest.price) == (Method.BACKSTOP, 4, 900)
    assert (margin.equity(state, LOSER), margin.equity(state, HOUSE)) == (-4 * 100 * LOT, before)


def test_the_vault_before_adl_bears_what_adl_leaves(bankrupt: Make, settle: Any) -> None:
    policy = QUEUE._replace(layers="book, vault, adl", trigger="equity < 0")
    assert kinds(settle(bankrupt(preset=policy), LOSER, RULES)) == [AdlRound, AdlClose, AdlClose]
    policy = policy._replace(layers="book, vault, debt", trigger="never")
    (taken,) = settle(bankrupt(preset=policy), LOSER, RULES)
    assert isinstance(taken, Liquidation)
    assert (taken.method, taken.price) == (Method.TAKEOVER, 1_000)


def test_the_vault_itself_is_deleveraged_but_takes_nothing_over(bankrupt: Make, settle: Any) -> None:
    state = bankrupt(preset=QUEUE._replace(layers="book, fund, vault, adl"))
    evolve(state, replace(state.accounts[LOSER], role=Role.VAULT, new=False), state.seq + 1)
    assert kinds(settle(state, LOSER, Rules(LOSER))) == [AdlRound, AdlClose, AdlClose]
    state = bankrupt(preset=QUEUE._replace(trigger="never", layers="book, vault"))
    evolve(state, replace(state.accounts[LOSER], role=Role.VAULT, new=False), state.seq + 1)
    assert settle(state, LOSER, Rules(LOSER)) == []


# ---- Only money


INDEX = Texts(
    "index", "equity < 0 and fund <= 0", "both sides", "equity <= 0 alike, account asc", "index(size)", "none", "deficit",
    "book, fund, index", "money unit, remainder largest",
)  # fmt: skip


def test_an_index_is_paid_by_both_sides_and_the_account_goes_to_the_vault_at_mark(bankrupt: Make, settle: Any) -> None:
    state = bankrupt(fund=LOSS // 2, preset=INDEX)
    draw, opened, *paid, taken = settle(state, LOSER, RULES)
    assert isinstance(draw, InsuranceDraw)
    assert isinstance(opened, AdlRound)
    assert (opened.size, opened.price, opened.need_cash) == (None, None, LOSS // 2)
    transfers = [event for event in paid if isinstance(event, Transfer)]
    assert [(t.payer, t.payee, t.reason, t.reference) for t in transfers if t.reason is Reason.SOCIALISED_LOSS] == [
        (7, LOSER, Reason.SOCIALISED_LOSS, "round 0"),
        (8, LOSER, Reason.SOCIALISED_LOSS, "round 0"),
    ]
    over = [(t.payer, t.payee) for t in transfers if t.reason is Reason.RESIDUAL]
    assert over in ([], [(LOSER, ROUNDING)])
    assert isinstance(taken, Liquidation)
    assert (taken.method, taken.price) == (Method.BACKSTOP, 900)
    assert state.cash[LOSER] == 0


# ---- Drawdown


def test_a_fund_is_spared_by_the_drawdown_of_its_policy(stage: Any, fold: Any, settle: Any) -> None:
    # Bybit's example: a loss of 350 on a pool of 1,000; ADL covers only the 50 beyond 30%.
    policy = QUEUE._replace(trigger="drawdown(8h) >= 30% or fund <= 0 until drawdown(8h) < 25% and fund > 0")
    pool = 1_000 * LOT
    traders = [(0, {0: (10, 1_000)}), (10**9, {0: (-40, 1_100)}), (0, {0: (10, 1_000)})]
    state = fold(stage(traders, [965], fund=pool, preset=policy))
    draw, opened, close, *_ = settle(state, LOSER, RULES, at_ns=HOUR)
    assert isinstance(draw, InsuranceDraw)
    assert (draw.cash, draw.deficit) == (300 * LOT, 350 * LOT)
    assert isinstance(opened, AdlRound)
    assert (opened.price, opened.pools[0].cash) == (970, 700 * LOT)
    assert isinstance(close, AdlClose)
    # While it is on, the next account is deleveraged at once, for all of its deficit.
    opened, close, *_ = settle(state, 8, RULES, at_ns=2 * HOUR)
    assert isinstance(opened, AdlRound)
    assert (opened.loser, opened.price) == (8, 1_000)
    assert state.cash[FUND] == 700 * LOT


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_drawdowns_the_one_that_begins_first_spares_the_fund(
    stage: Any, fold: Any, settle: Any, order: tuple[int, int]
) -> None:
    starts = ["drawdown(8h) >= 30%", "drawdown(1h) >= 10%"]
    policy = QUEUE._replace(trigger=" or ".join(starts[place] for place in order))
    traders = [(0, {0: (10, 1_000)}), (10**9, {0: (-40, 1_100)})]
    state = fold(stage(traders, [965], fund=1_000 * LOT, preset=policy))
    draw, opened, *_ = settle(state, LOSER, RULES, at_ns=HOUR)
    assert isinstance(draw, InsuranceDraw)
    assert (draw.cash, type(opened)) == (100 * LOT, AdlRound)


def test_a_fund_that_took_a_position_over_is_spared_as_before(stage: Any, fold: Any, settle: Any) -> None:
    policy = QUEUE._replace(trigger="drawdown(8h) >= 30%")
    traders = [(0, {0: (10, 1_000)}), (10**9, {0: (-40, 1_100)}), (10**9, {0: (20, 965)})]
    state = fold(stage(traders, [965], fund=1_000 * LOT, preset=policy))
    evolve(state, Fill(1, 0, 0, 0, FUND, 8, 965, 20, 0, 0, 99, Taker.SELLER, *[None] * 6), state.seq + 1)
    draw, *_ = settle(state, LOSER, RULES, at_ns=HOUR)
    assert isinstance(draw, InsuranceDraw)
    assert (draw.cash, draw.deficit) == (300 * LOT, 350 * LOT)


def test_where_adl_cannot_act_the_fund_is_not_spared(stage: Any, fold: Any, settle: Any) -> None:
    policy = QUEUE._replace(trigger="drawdown(8h) > 30%")
    state = fold(stage([(0, {0: (10, 1_000)})], [965], fund=1_000 * LOT, preset=policy))
    events = settle(state, LOSER, RULES, at_ns=HOUR)
    draws = [event.cash for event in events if isinstance(event, InsuranceDraw)]
    assert draws == [300 * LOT + 1, 50 * LOT - 1]
    assert AdlRound not in kinds(events)


# ---- Sound accounts


def test_in_a_settlement_sound_accounts_are_closed_too(stage: Any, fold: Any, settle: Any) -> None:
    policy = QUEUE._replace(trigger="equity < 0 or settlement", price="oracle")
    events = stage([(10**9, {0: (10, 1_000)}), (10**9, {0: (-6, 1_000)})], [900], preset=policy)
    listed = next(event for event in events if isinstance(event, MarketListed))
    state = fold([*events, PriceTick(0, 0, 0, 0, None, 901)])
    assert settle(state, LOSER, RULES) == []
    evolve(state, replace(listed, status=MarketStatus.SETTLEMENT), state.seq + 1)
    opened, close = settle(state, LOSER, RULES)
    assert isinstance(opened, AdlRound)
    assert isinstance(close, AdlClose)
    assert (close.winner, close.size, close.price) == (7, 6, 901)


def test_a_settlement_never_takes_what_a_sound_account_owns(stage: Any, fold: Any, settle: Any) -> None:
    policy = QUEUE._replace(trigger="equity < 0 or settlement")
    events = stage([(10**9, {0: (10, 1_000)}), (10**9, {0: (-6, 1_000)})], [900], preset=policy)
    listed = next(event for event in events if isinstance(event, MarketListed))
    state = fold([*events, replace(listed, status=MarketStatus.SETTLEMENT)])
    assert settle(state, LOSER, RULES) == []


def test_the_vault_is_relieved_where_the_winners_profit_is_too_large_for_it(stage: Any, fold: Any, settle: Any) -> None:
    policy = QUEUE._replace(trigger="pnl/pool > 85%", price="mark", layers="book, adl")
    profit = 10 * 500 * LOT
    for balance, rounds in ((-(-profit * 100 // 85), 0), (profit * 100 // 86, 1)):
        traders = [(profit, {0: (10, 500)}), (balance, {0: (-10, 500)})]
        state = fold(stage(traders, [1_000], preset=policy))
        evolve(state, replace(state.accounts[7], role=Role.VAULT, new=False), state.seq + 1)
        events = settle(state, 7, Rules(7))
        assert kinds(events).count(AdlRound) == rounds
        assert [event.winner for event in events if isinstance(event, AdlClose)] == [LOSER] * rounds


def test_the_vault_is_relieved_no_further_than_to_where_the_trigger_stops(stage: Any, fold: Any, settle: Any) -> None:
    gmx = preset("gmx-v2").texts
    profits = [(20, 400), (30, 600)]  # lots and entries: 12,000 steps of profit each at 1,000
    traders = [(10**9, {0: held}) for held in profits]
    vault, pool = 8, 28_000 * LOT
    state = fold(stage([*traders, (pool, {0: (-50, 520)})], [1_000], preset=gmx))
    for event in (
        replace(state.accounts[vault], role=Role.VAULT, new=False),
        PriceTick(0, 0, 0, 0, None, 1_000),
        PriceTick(0, 0, 0, 0, 1_000, None),
    ):
        evolve(state, event, state.seq + 1)
    assert margin.balance(state, vault) == pool
    opened, listed, close = settle(state, vault, Rules(vault))
    assert isinstance(opened, AdlRound)
    # 24,000 of 28,000 is above 85%. What is paid out leaves both, so (24,000 - x) / (28,000 - x) is 77% where x is 10,609
    # of the first's 12,000: 17.7 of its 20 lots, and so 18.
    assert (opened.loser, opened.size, close.winner, close.size) == (vault, -18, LOSER, 18)
    assert [candidate.account for candidate in listed.candidates] == [LOSER, 7]


def test_a_trader_of_a_pool_that_is_insolvent_is_borne_by_the_vault(stage: Any, fold: Any, settle: Any) -> None:
    state = fold(stage([(0, {0: (10, 1_000)}), (10**9, {0: (-10, 1_000)})], [900], preset=preset("gmx-v2").texts))
    (taken,) = settle(state, LOSER, RULES)
    assert isinstance(taken, Liquidation)
    assert (taken.method, taken.price) == (Method.TAKEOVER, 1_000)


def test_a_vault_before_adl_takes_what_it_has_the_means_for_where_adl_is_for_the_leftover(
    stage: Any, fold: Any, settle: Any
) -> None:
    lighter = preset("lighter").texts
    made = stage([(0, {0: (10, 1_000)}), (10**9, {0: (-10, 1_000)})], [900], preset=lighter)
    house = fold(made)
    # The house is short what the traders are long, and has won what they lost: none, as they hold both sides.
    needed = LOSS + 10 * 900 * LOT // 10 - (margin.equity(house, HOUSE) or 0)
    for cash, expected in ((needed, [Liquidation]), (needed - 1, [AdlRound, AdlClose])):
        state = fold([*made, Transfer(0, 0, 0, EXTERNAL, HOUSE, cash, Reason.DEPOSIT, None)])
        assert kinds(settle(state, LOSER, RULES)) == expected


def test_a_book_that_is_given_does_not_matter_below_zero(bankrupt: Make) -> None:
    (first, *_) = decide(bankrupt(), Look(LOSER, {0: Bid(8, 100)}), RULES, MOMENT).events
    assert isinstance(first, AdlRound)
