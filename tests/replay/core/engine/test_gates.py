from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.model import (
    EXTERNAL,
    ROUNDING,
    AccountOpened,
    Fill,
    MarketListed,
    MarketStatus,
    PriceTick,
    Reason,
    Role,
    Taker,
    Transfer,
)
from replay.core import margin
from replay.core.engine import Decision, Look, Moment, Order, Rules, Withdrawal, decide
from replay.core.evolve import evolve
from replay.core.spelling import adopt
from replay.core.state import State
from replay.presets import preset, presets

FUND, HOUSE, USER, OTHER = 4, 5, 6, 7
LOT = 10_000  # money units of one lot at one price step
RULES = Rules(HOUSE)
MOMENT = Moment(5, 0, 0, 1_000)
MARGIN = 100 * LOT  # initial margin of one lot at 1,000

Venue = Callable[..., State]


def ask(state: State, asked: Order | Withdrawal) -> Decision:
    """Return the decision, after applying it."""
    before = state.seq
    decision = decide(state, asked, RULES, MOMENT)
    assert (decision.refusal is None) is bool(decision.events)
    for event in decision.events:
        evolve(state, event, state.seq + 1)
    assert sum(state.cash) == 0
    assert state.seq == before + len(decision.events)
    return decision


@pytest.fixture
def venue(stage: Any, fold: Any) -> Venue:
    """Two traders without positions, or with what is given, at a mark of 1,000."""

    def make(cash: int = 10 * MARGIN, held: int = 0, listing: dict[str, Any] | None = None, **changes: Any) -> State:
        events = stage([(cash, {0: (held, 1_000)}), (10**9, {})], [1_000], **changes)
        listed = next(event for event in events if isinstance(event, MarketListed))
        state: State = fold([*events, replace(listed, **(listing or {}))])
        return state

    return make


# ---- Orders


def test_an_order_that_is_allowed_is_a_fill(venue: Venue) -> None:
    state = venue()
    (event,) = ask(state, Order(0, USER, OTHER, 1_000, 10, 3, -1, Taker.SELLER)).events[:1] or (None,)
    assert event is None  # the fee takes the account below its initial margin
    (event,) = ask(state, Order(0, USER, OTHER, 1_000, 9, 3, -1, Taker.SELLER)).events
    assert isinstance(event, Fill)
    assert (event.market, event.buyer, event.seller, event.price, event.size) == (0, USER, OTHER, 1_000, 9)
    assert (event.buyer_fee, event.seller_fee, event.taker) == (3, -1, Taker.SELLER)
    assert (event.at_ns, event.source, event.row, event.trade) == (5, 0, 0, 1_000)


def test_new_risk_needs_its_initial_margin(venue: Venue) -> None:
    state = venue()
    refused = ask(state, Order(0, USER, OTHER, 1_000, 11))
    assert refused.refusal == (
        f"account {USER} would have an equity of {10 * MARGIN}, below the initial margin of {11 * MARGIN}"
    )
    assert ask(state, Order(0, USER, OTHER, 1_000, 10)).refusal is None
    # A price beyond mark costs at once: eight lots bought at 1,010 lose 80 steps, more than two lots of margin would need.
    assert ask(venue(8 * MARGIN + 79 * LOT), Order(0, USER, OTHER, 1_010, 8)).refusal is not None
    assert ask(venue(8 * MARGIN + 80 * LOT), Order(0, USER, OTHER, 1_010, 8)).refusal is None


def test_the_seller_is_looked_at_too(venue: Venue) -> None:
    refusal = ask(venue(0), Order(0, OTHER, USER, 1_000, 1)).refusal or ""
    assert refusal.startswith(f"account {USER} would have an equity of 0")


def test_bringing_risk_down_needs_no_margin(venue: Venue) -> None:
    for held, buyer, seller in ((10, OTHER, USER), (-10, USER, OTHER)):
        state = venue(MARGIN, held)
        assert ask(state, Order(0, buyer, seller, 1_000, 10)).refusal is None
        assert state.positions[0][USER].size == 0
        # Beyond flat it is new risk.
        assert ask(venue(MARGIN, held), Order(0, buyer, seller, 1_000, 12)).refusal is not None
        assert ask(venue(MARGIN, held), Order(0, buyer, seller, 1_000, 11)).refusal is None


def test_bringing_risk_down_may_not_make_a_deficit(venue: Venue) -> None:
    assert ask(venue(MARGIN, 10), Order(0, OTHER, USER, 989, 10)).refusal == (
        f"account {USER} would be left with an equity of {-10 * LOT}"
    )
    assert ask(venue(MARGIN, 10), Order(0, OTHER, USER, 990, 10)).refusal is None


def test_bringing_risk_down_far_from_mark_takes_no_margin_from_the_rest(stage: Any, fold: Any) -> None:
    # 9 are free above the initial margin of 101; a lot bought back far above mark would hand 109 to the seller.
    state = fold(stage([(110 * MARGIN, {0: (-1, 1_000), 1: (100, 1_000)}), (10**12, {})], [1_000, 1_000]))
    assert ask(deepcopy(state), Withdrawal(USER, 10 * MARGIN)).refusal is not None
    assert ask(state, Order(0, USER, OTHER, 1_000 + 109 * 100, 1)).refusal == (
        f"account {USER} would be left with an equity of {MARGIN} for a maintenance margin of {50 * MARGIN}, less safe than now"
    )
    assert ask(state, Order(0, USER, OTHER, 1_000 + 10 * 100, 1)).refusal is None  # what is free may be given away


@given(
    cash=st.integers(0, 10**8),
    held=st.tuples(st.integers(-40, 40).filter(bool), st.integers(-40, 40)),
    price=st.integers(1, 500),
    size=st.integers(1, 40),
)
def test_who_brings_risk_down_is_no_less_safe_or_has_its_initial_margin(
    stage: Any, fold: Any, cash: int, held: tuple[int, int], price: int, size: int
) -> None:
    state = fold(stage([(cash, {market: (lots, 250) for market, lots in enumerate(held)}), (10**12, {})], [250, 250]))
    size = min(size, abs(held[0]))
    was, needed = margin.equity(state, USER) or 0, margin.maintenance(state, USER) or 0
    buyer, seller = (USER, OTHER) if held[0] < 0 else (OTHER, USER)
    if ask(state, Order(0, buyer, seller, price, size)).refusal is not None:
        return
    equity, maintenance, initial = (one(state, USER) or 0 for one in (margin.equity, margin.maintenance, margin.initial))
    assert equity >= initial or equity * needed >= was * maintenance


def test_the_position_limit_holds_for_new_risk_alone(venue: Venue) -> None:
    limited = {"position_limit": 5}
    assert ask(venue(listing=limited), Order(0, USER, OTHER, 1_000, 5)).refusal is None
    assert ask(venue(listing=limited), Order(0, USER, OTHER, 1_000, 6)).refusal == (
        f"account {USER} would hold 6 in M0, beyond the position limit of 5"
    )
    assert ask(venue(held=9, listing=limited), Order(0, OTHER, USER, 1_000, 2)).refusal is None


@pytest.mark.parametrize("status", MarketStatus)
def test_a_markets_status_says_what_can_be_traded(venue: Venue, status: MarketStatus) -> None:
    listing = {"status": status}
    opens = ask(venue(listing=listing), Order(0, USER, OTHER, 1_000, 1)).refusal
    assert (opens is None) is (status in {MarketStatus.UNKNOWN, MarketStatus.TRADING})
    state = venue(held=2, listing=listing)
    closes = ask(state, Order(0, HOUSE, USER, 1_000, 1)).refusal
    assert (closes is None) is (status in {MarketStatus.UNKNOWN, MarketStatus.TRADING, MarketStatus.CLOSE_ONLY})


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (Order(0, ROUNDING, USER, 1_000, 1), "account 3 is reserved and does not trade"),
        (Order(0, USER, EXTERNAL, 1_000, 1), "account 0 is reserved and does not trade"),
        (Order(0, USER, USER, 1_000, 1), "account 6 cannot trade with itself"),
        (Order(0, USER, OTHER, 0, 1), "a price of 0 and a size of 1 must be above 0"),
        (Order(0, USER, OTHER, 1, 0), "a price of 1 and a size of 0 must be above 0"),
    ],
)
def test_an_order_that_cannot_be_is_refused(venue: Venue, order: Order, why: str) -> None:
    assert ask(venue(), order).refusal == why


_SIZES = st.integers(-40, 40)


@given(
    traders=st.lists(st.tuples(st.integers(0, 10**9), _SIZES, st.integers(1, 500)), min_size=2, max_size=2),
    mark=st.integers(1, 500),
    price=st.integers(1, 500),
    size=st.integers(1, 60),
    fee=st.integers(-100, 100),
)
def test_who_adds_risk_ends_with_its_initial_margin_and_a_refusal_leaves_nothing(
    stage: Any, fold: Any, traders: list[Any], mark: int, price: int, size: int, fee: int
) -> None:
    state = fold(stage([(cash, {0: (held, entry)}) for cash, held, entry in traders], [mark]))
    sizes = [held for _, held, _ in traders]
    before = [margin.equity(state, account) or 0 for account in (USER, OTHER)]
    decision = ask(state, Order(0, USER, OTHER, price, size, fee, -fee))
    if decision.refusal is not None:
        return
    for account, held, change, was in zip((USER, OTHER), sizes, (size, -size), before, strict=True):
        equity, initial = margin.equity(state, account), margin.initial(state, account)
        assert equity is not None
        assert initial is not None
        if held * change >= 0 or abs(change) > abs(held):
            assert equity >= initial
        else:
            assert equity >= min(was, 0)


# ---- Withdrawals


def test_what_is_free_can_be_withdrawn(venue: Venue) -> None:
    state = venue(10 * MARGIN, held=4)
    assert ask(state, Withdrawal(USER, 6 * MARGIN + 1)).refusal == (
        f"account {USER} has {6 * MARGIN} free above its initial margin of {4 * MARGIN}, not {6 * MARGIN + 1}"
    )
    (event,) = ask(state, Withdrawal(USER, 6 * MARGIN)).events
    assert event == Transfer(5, 0, 0, USER, EXTERNAL, 6 * MARGIN, Reason.WITHDRAWAL, None)


def test_a_profit_is_not_free_before_it_is_realised(stage: Any, fold: Any) -> None:
    state = fold(stage([(10 * MARGIN, {0: (4, 500)})], [1_000]))
    assert ask(state, Withdrawal(USER, 6 * MARGIN + 1)).refusal is not None
    assert ask(state, Withdrawal(USER, 6 * MARGIN)).refusal is None


@pytest.mark.parametrize("asked", [Withdrawal(ROUNDING, 1), Withdrawal(USER, 0), Withdrawal(USER, -5)])
def test_a_withdrawal_that_cannot_be_is_refused(venue: Venue, asked: Withdrawal) -> None:
    assert ask(venue(), asked).refusal is not None


def indebted(stage: Any, fold: Any, name: str, *, debt: int, fund: int = 0, positions: bool = False) -> State:
    """Return a venue whose first user owes ``debt``; the second has 1,000 and asks."""
    held = {0: (1, 1_000)} if positions else {}
    events = stage([(1_000, held), (1_000, {})], [1_000], fund=fund, preset=preset(name).texts)
    return fold([*events, Transfer(0, 0, 0, USER, HOUSE, 1_000 + debt, Reason.OTHER, None)])  # type: ignore[no-any-return]


def test_nobody_withdraws_while_a_deficit_is_open(stage: Any, fold: Any) -> None:
    state = indebted(stage, fold, "queue", debt=30, positions=True)
    assert (
        ask(state, Withdrawal(OTHER, 1)).refusal == f"account {USER} has a deficit of 30; until it is covered nobody withdraws"
    )
    evolve(state, Transfer(0, 0, 0, HOUSE, USER, 30, Reason.COMPENSATION, None), state.seq + 1)
    assert ask(state, Withdrawal(OTHER, 1)).refusal is None


def test_a_debt_that_stays_by_the_policy_holds_nobody_back(stage: Any, fold: Any) -> None:
    assert ask(indebted(stage, fold, "perennial-v2", debt=30, positions=True), Withdrawal(OTHER, 1)).refusal is not None
    assert ask(indebted(stage, fold, "perennial-v2", debt=30), Withdrawal(OTHER, 1)).refusal is None
    assert ask(indebted(stage, fold, "queue", debt=30), Withdrawal(OTHER, 1)).refusal is not None


def test_a_debt_is_judged_by_the_policy_of_its_own_market(stage: Any, fold: Any) -> None:
    # Debts stay in market 1 alone.
    events = stage([(1_000, {0: (1, 1_000)}), (1_000, {})], [1_000, 1_000], preset=preset("queue").texts)
    stays = adopt(preset("perennial-v2").texts, policy=1, at_ns=0, source=0, row=0)
    state = fold([*events, replace(stays, markets=(1,)), Transfer(0, 0, 0, USER, HOUSE, 1_030, Reason.OTHER, None)])
    ask(state, Order(0, HOUSE, USER, 1_000, 1))
    assert margin.equity(state, USER) == -30
    assert ask(state, Withdrawal(OTHER, 1)).refusal is not None
    evolve(state, replace(stays, policy=2, markets=(0,)), state.seq + 1)
    assert ask(state, Withdrawal(OTHER, 1)).refusal is None


def test_those_who_leave_bear_what_the_fund_cannot(stage: Any, fold: Any) -> None:
    # Paradex's example: fund 1,000 and three users of 1,000; Alice, long 50 at 100, is at -2,000 with the mark at 40.
    traders = [(1_000 * LOT, {0: (50, 100)}), (1_000 * LOT, {0: (-50, 100)}), (1_000 * LOT, {})]
    state = fold(stage(traders, [40], fund=1_000 * LOT, preset=preset("paradex").texts))
    bob = 7
    assert margin.equity(state, USER) == -2_000 * LOT
    leaver = 8
    paid, kept = ask(state, Withdrawal(leaver, 500 * LOT)).events
    # 1,000 of 4,000 + 1,000: a fifth, by the formula; the page's own 25% contradicts it.
    assert paid == Transfer(5, 0, 0, leaver, EXTERNAL, 400 * LOT, Reason.WITHDRAWAL, None)
    assert kept == Transfer(5, 0, 0, leaver, FUND, 100 * LOT, Reason.SOCIALISED_LOSS, None)
    assert state.cash[FUND] == 1_100 * LOT
    # When the price has come back nothing is kept.
    evolve(state, PriceTick(0, 0, 0, 0, 100, None), state.seq + 1)
    (whole,) = ask(state, Withdrawal(leaver, 500 * LOT)).events
    assert isinstance(whole, Transfer)
    assert (whole.payee, whole.cash) == (EXTERNAL, 500 * LOT)
    assert (margin.equity(state, bob) or 0) > 0


def test_without_a_fund_nothing_can_be_kept_of_a_withdrawal(stage: Any, fold: Any) -> None:
    state = indebted(stage, fold, "paradex", debt=30)
    fund = next(opened for opened in state.accounts if opened.role is Role.FUND)
    assert isinstance(fund, AccountOpened)
    evolve(state, replace(fund, role=Role.VAULT, new=False), state.seq + 1)
    assert ask(state, Withdrawal(OTHER, 1)).refusal == "deficits of 30 are not covered, and there is no fund to pay into"


@given(
    traders=st.lists(st.tuples(st.integers(0, 10**9), _SIZES, st.integers(1, 500)), min_size=2, max_size=5),
    mark=st.integers(1, 500),
    fund=st.integers(0, 10**9),
    cash=st.integers(1, 10**9),
    name=st.sampled_from(sorted(presets())),
)
def test_a_withdrawal_leaves_its_initial_margin_and_is_paid_in_full(
    stage: Any, fold: Any, traders: list[Any], mark: int, fund: int, cash: int, name: str
) -> None:
    made = [(money, {0: (held, entry)}) for money, held, entry in traders]
    state = fold(stage(made, [mark], fund=fund, preset=preset(name).texts))
    before, equity = state.cash[USER], margin.equity(state, USER)
    decision = ask(state, Withdrawal(USER, cash))
    if decision.refusal is not None:
        return
    after, initial = margin.equity(state, USER), margin.initial(state, USER)
    assert equity is not None
    assert after is not None
    assert initial is not None
    assert after >= initial
    assert (before - state.cash[USER], equity - after) == (cash, cash)
    assert decide(state, Look(USER), RULES, MOMENT).events == ()
