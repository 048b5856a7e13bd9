from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.codec import check, encode
from events.errors import MisuseError
from events.model import (
    ROUNDING,
    AdlClose,
    AdlRound,
    AnyEvent,
    InsuranceDraw,
    Liquidation,
    Method,
    PolicyAdopted,
    PriceRule,
    Reason,
    Taker,
    Transfer,
)
from replay.core import margin
from replay.core.engine import Bid, Moment, Venue, decide
from replay.core.evolve import evolve
from replay.core.policy import PROFIT_TIMES_LEVERAGE
from replay.core.state import State

Stage = Callable[..., list[AnyEvent]]

FUND, HOUSE, LOSER = 4, 5, 6
LOT = 10_000  # money units of one lot at one price step
VENUE = Venue(FUND, HOUSE, 4_000)
MOMENT = Moment(5, 0, 0, 1_000)
EQUITY_OF_LOSS = 10 * 100 * LOT  # what ten lots lose from 1,000 to 900


def fold(events: Iterable[AnyEvent]) -> State:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    return state


def conserved(state: State) -> bool:
    return sum(state.cash) == 0 and all(sum(p.size for p in book.values()) == 0 for book in state.positions)


def settle(state: State, account: int, book: dict[int, Bid]) -> list[AnyEvent]:
    """Carry out the waterfall, checking what must hold after each event."""
    done: list[AnyEvent] = []
    while events := decide(state, account, VENUE, MOMENT, book):
        for event in events:
            if isinstance(event, AdlRound):
                assert state.cash[FUND] <= 0
            evolve(state, event, state.seq + 1)
            assert conserved(state)
            assert state.cash[FUND] >= 0
            assert check(encode(event)) == event
            if isinstance(event, Liquidation) and event.method is Method.MARKET:
                bid = book[event.market]
                book[event.market] = Bid(bid.account, bid.size - event.size)
        done += events
    return done


def kinds(events: Iterable[AnyEvent]) -> list[type]:
    return [type(event) for event in events]


@st.composite
def one_market(draw: st.DrawFn) -> tuple[list[Any], list[int], int]:
    """Traders with a position in market 0, the first of them insolvent, its mark, and a fund."""
    size = draw(st.integers(-300, 300).filter(bool))
    entry, mark = draw(st.integers(2, 2_000)), draw(st.integers(2, 2_000))
    loss = max(-(mark - entry) * size * LOT, 0)
    others = st.tuples(st.integers(0, 10**10), st.integers(-300, 300), st.integers(1, 2_000))
    traders = [(draw(st.integers(0, max(loss - 1, 0))), size, entry), *draw(st.lists(others, max_size=10))]
    return [(cash, {0: (s, e)}) for cash, s, e in traders], [mark], draw(st.one_of(st.just(0), st.integers(1, 10**8)))


@given(one_market())
def test_a_bankrupt_account_ends_flat_at_exactly_zero(stage: Stage, venue: Any) -> None:
    traders, marks, fund = venue
    state = fold(stage(traders, marks, fund=fund))
    equity = margin.equity(state, LOSER)
    if equity is None or equity >= 0:
        return
    paid = min(fund, -equity)
    events = settle(state, LOSER, {})
    assert state.cash[LOSER] == 0
    assert state.positions[0][LOSER].size == 0
    draws = [event for event in events if isinstance(event, InsuranceDraw)]
    assert [(event.cash, event.deficit) for event in draws] == ([(paid, -equity)] if fund else [])
    assert state.cash[FUND] == fund - paid
    assert (AdlRound in kinds(events)) == (paid < -equity)
    # What rounding the price left is less than one price step on the whole position.
    assert 0 <= state.cash[ROUNDING] < abs(traders[0][1][0][0]) * LOT


@given(one_market(), st.integers(0, 400))
def test_a_market_close_never_makes_a_deficit(stage: Stage, venue: Any, depth: int) -> None:
    traders, marks, _ = venue
    traders[0] = (abs(traders[0][0]) + 10**7, traders[0][1])
    state = fold(stage([*traders, (10**12, {})], marks, fund=1))
    equity = margin.equity(state, LOSER)
    assert equity is not None
    if equity <= 0:
        return
    events = settle(state, LOSER, {0: Bid(len(state.accounts) - 1, depth)})
    assert {event.method for event in events if isinstance(event, Liquidation)} <= {Method.MARKET, Method.BACKSTOP}
    assert {*kinds(events)} <= {Liquidation}
    after = margin.equity(state, LOSER)
    assert after is not None
    assert after >= 0


@st.composite
def two_markets(draw: st.DrawFn) -> tuple[list[Any], list[int], int]:
    held = st.tuples(st.integers(-100, 100), st.integers(1, 500))
    both = st.fixed_dictionaries({0: held, 1: held})
    traders = draw(st.lists(st.tuples(st.integers(0, 10**9), both), min_size=1, max_size=8))
    return traders, draw(st.lists(st.integers(1, 500), min_size=2, max_size=2)), draw(st.integers(0, 10**8))


@given(two_markets())
def test_the_waterfall_ends_for_any_cross_account(stage: Stage, venue: Any) -> None:
    traders, marks, fund = venue
    state = fold(stage(traders, marks, fund=fund))
    bankrupt = (margin.equity(state, LOSER) or 0) < 0
    settle(state, LOSER, {})
    equity = margin.equity(state, LOSER)
    assert equity is not None
    sizes = [book[LOSER].size for book in state.positions if LOSER in book]
    if bankrupt:
        # Rounding the first prices in its favour can leave a little, and then it is no longer bankrupt.
        assert 0 <= equity <= 200 * LOT
        assert equity > 0 or not any(sizes)


# ---- One step at a time


@pytest.fixture
def bankrupt(stage: Stage) -> Callable[..., State]:
    """A long of ten lots at 1,000, marked at 900; two shorts of six and twenty lots."""

    def make(cash: int, fund: int = 0, **changes: Any) -> State:
        traders = [(cash, {0: (10, 1_000)}), (10**8, {0: (-6, 1_200)}), (10**9, {0: (-20, 1_100)})]
        return fold(stage(traders, [900], fund=fund, **changes))

    return make


def test_a_healthy_account_is_left_alone(bankrupt: Callable[..., State]) -> None:
    state = bankrupt(10**9)
    assert decide(state, LOSER, VENUE, MOMENT, {0: Bid(8, 100)}) == ()


def test_maintenance_itself_is_enough(bankrupt: Callable[..., State]) -> None:
    requirement = 900 * 10 * LOT // 20
    assert decide(bankrupt(EQUITY_OF_LOSS + requirement), LOSER, VENUE, MOMENT, {0: Bid(8, 100)}) == ()
    assert decide(bankrupt(EQUITY_OF_LOSS + requirement - 1), LOSER, VENUE, MOMENT, {0: Bid(8, 100)}) != ()


def test_below_maintenance_the_market_closes_it_at_mark_less_slippage(bankrupt: Callable[..., State]) -> None:
    state = bankrupt(EQUITY_OF_LOSS + 400 * LOT)
    (event,) = decide(state, LOSER, VENUE, MOMENT, {0: Bid(8, 7)})
    assert isinstance(event, Liquidation)
    assert (event.account, event.method, event.taker) == (LOSER, Method.MARKET, Taker.SELLER)
    assert (event.buyer, event.seller, event.size, event.price) == (8, LOSER, 7, 897)
    assert (event.mark, event.equity_claim, event.requirement_claim) == (900, 400 * LOT, 450 * LOT)
    assert (event.at_ns, event.trade) == (MOMENT.at_ns, MOMENT.trade)


def test_the_market_price_stops_at_the_bankruptcy_price(bankrupt: Callable[..., State]) -> None:
    (event,) = decide(bankrupt(EQUITY_OF_LOSS + 10 * LOT), LOSER, VENUE, MOMENT, {0: Bid(8, 100)})
    assert isinstance(event, Liquidation)
    assert event.price == 899


@pytest.mark.parametrize("book", [{}, {0: Bid(8, 0)}, {0: Bid(LOSER, 5)}])
def test_without_a_bid_nothing_is_done_while_there_is_equity(bankrupt: Callable[..., State], book: dict[int, Bid]) -> None:
    assert decide(bankrupt(EQUITY_OF_LOSS + LOT), LOSER, VENUE, MOMENT, book) == ()


def test_the_fund_pays_first_and_the_backstop_takes_what_it_covered(bankrupt: Callable[..., State]) -> None:
    state = bankrupt(0, fund=EQUITY_OF_LOSS + 5)
    draw, taken = settle(state, LOSER, {})
    assert isinstance(draw, InsuranceDraw)
    assert isinstance(taken, Liquidation)
    assert (draw.cash, draw.deficit) == (EQUITY_OF_LOSS, EQUITY_OF_LOSS)
    assert (draw.market, draw.round, draw.reference) == (None, None, None)
    assert (taken.method, taken.buyer, taken.price, taken.size) == (Method.BACKSTOP, HOUSE, 900, 10)
    assert (state.cash[FUND], state.cash[LOSER]) == (5, 0)


def test_what_the_fund_cannot_pay_is_deleveraged(bankrupt: Callable[..., State]) -> None:
    state = bankrupt(0, fund=EQUITY_OF_LOSS // 3)
    draw, opened, first, second, residue = settle(state, LOSER, {})
    assert isinstance(draw, InsuranceDraw)
    assert (draw.cash, draw.deficit) == (EQUITY_OF_LOSS // 3, EQUITY_OF_LOSS)
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


def test_the_backstop_takes_over_what_no_candidate_can(stage: Stage) -> None:
    state = fold(stage([(0, {0: (10, 1_000)}), (10**8, {0: (-6, 1_200)})], [900]))
    opened, close, rest = settle(state, LOSER, {})
    assert isinstance(opened, AdlRound)
    assert isinstance(close, AdlClose)
    assert isinstance(rest, Liquidation)
    assert (rest.method, rest.buyer, rest.size, rest.price) == (Method.TAKEOVER, HOUSE, 4, 1_000)
    # The closes before it changed the account; what it was before them is not claimed of it.
    assert (rest.equity_claim, rest.requirement_claim) == (None, None)
    assert state.cash[LOSER] == 0


def test_a_short_is_the_mirror_image(stage: Stage) -> None:
    state = fold(stage([(0, {0: (-10, 900)}), (10**8, {0: (6, 700)}), (10**9, {0: (20, 800)})], [1_000]))
    opened, first, second = settle(state, LOSER, {})
    assert isinstance(opened, AdlRound)
    assert (opened.size, opened.price) == (-10, 900)
    assert isinstance(first, AdlClose)
    assert isinstance(second, AdlClose)
    assert [(e.winner, e.buyer, e.seller, e.size) for e in (first, second)] == [(7, LOSER, 7, 6), (8, LOSER, 8, 4)]


def test_the_largest_position_goes_first(stage: Stage) -> None:
    traders = [(0, {0: (10, 1_000), 1: (10, 3_000)}), (10**12, {0: (-10, 1_000), 1: (-10, 3_000)})]
    events = settle(fold(stage(traders, [900, 2_000])), LOSER, {})
    assert [event.market for event in events if isinstance(event, AdlRound)] == [1, 0]


def test_a_debt_without_positions_is_paid_by_the_fund_or_stays(stage: Stage) -> None:
    for fund, left in ((0, -30), (20, -10), (50, 0)):
        events = stage([(10, {}), (10, {})], [900], fund=fund)
        state = fold([*events, Transfer(0, 0, 0, LOSER, 7, 40, Reason.OTHER, None)])
        settle(state, LOSER, {})
        assert state.cash[LOSER] == left


def test_no_round_is_opened_against_the_policys_trigger(bankrupt: Callable[..., State]) -> None:
    preset = PROFIT_TIMES_LEVERAGE._replace(trigger="fund <= 0")
    assert AdlRound in kinds(settle(bankrupt(0, preset=preset), LOSER, {}))
    # A second fund that still has money keeps the trigger from holding.
    state = bankrupt(0)
    role = msgspec.structs.replace(state.accounts[HOUSE], role=state.accounts[FUND].role, new=False)
    evolve(state, role, state.seq + 1)
    evolve(state, Transfer(0, 0, 0, 0, HOUSE, 10**12, Reason.TOP_UP, None), state.seq + 1)
    assert decide(state, LOSER, VENUE, MOMENT, {}) == ()


def test_by_a_mark_price_policy_the_deficit_stays_with_the_loser(bankrupt: Callable[..., State]) -> None:
    state = bankrupt(0, preset=PROFIT_TIMES_LEVERAGE._replace(price="mark"))
    events = settle(state, LOSER, {})
    assert Transfer not in kinds(events)
    assert {event.price for event in events if isinstance(event, AdlClose)} == {900}
    assert state.cash[LOSER] == -EQUITY_OF_LOSS


def test_what_cannot_be_decided_is_refused(stage: Stage) -> None:
    events = stage([(0, {0: (10, 1_000)})], [900])
    without_policy = [event for event in events if not isinstance(event, PolicyAdopted)]
    with pytest.raises(MisuseError, match="no ADL policy is in force"):
        decide(fold(without_policy), LOSER, VENUE, MOMENT, {})
    for_none = [msgspec.structs.replace(event, markets=()) if isinstance(event, PolicyAdopted) else event for event in events]
    with pytest.raises(MisuseError, match="no ADL policy is in force for M0"):
        decide(fold(for_none), LOSER, VENUE, MOMENT, {})
    with pytest.raises(MisuseError, match="nothing can be decided about account 6"):
        decide(fold(events[:-1]), LOSER, VENUE, MOMENT, {})
    unknown_price = stage([(0, {0: (10, 1_000)})], [900], preset=PROFIT_TIMES_LEVERAGE._replace(price="previous-mark"))
    with pytest.raises(MisuseError, match="missing previous mark price"):
        decide(fold(unknown_price), LOSER, VENUE, MOMENT, {})
