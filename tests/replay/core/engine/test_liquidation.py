from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from events.model import (
    ROUNDING,
    AnyEvent,
    Liquidation,
    MarketListed,
    MarketStatus,
    Method,
    PolicyAdopted,
    Reason,
    Taker,
    Transfer,
)
from replay.core import margin
from replay.core.engine import Bid, Look, Moment, Rules, decide
from replay.core.evolve import evolve
from replay.core.state import State

FUND, HOUSE, LOSER = 4, 5, 6
LOT = 10_000  # money units of one lot at one price step
RULES = Rules(HOUSE, 4_000)
MOMENT = Moment(5, 0, 0, 1_000)
LOSS = 10 * 100 * LOT  # what ten lots lose from 1,000 to 900
SECOND = 10**9
HYPERLIQUID = Rules(HOUSE, 0, 200_000, 100 * 1_000 * LOT, 30 * SECOND, 666_667)

Make = Callable[..., State]


def look(state: State, book: dict[int, Bid] | None = None, rules: Rules = RULES, at_ns: int = 5) -> tuple[AnyEvent, ...]:
    return decide(state, Look(LOSER, book or {}), rules, Moment(at_ns, 0, 0, 1_000)).events


@pytest.fixture
def long(stage: Any, fold: Any) -> Make:
    """A long of ten lots at 1,000, marked at 900; two shorts of six and twenty lots."""

    def make(cash: int, **changes: Any) -> State:
        traders = [(cash, {0: (10, 1_000)}), (10**8, {0: (-6, 1_200)}), (10**9, {0: (-20, 1_100)})]
        state: State = fold(stage(traders, [900], **changes))
        return state

    return make


def test_a_healthy_account_is_left_alone(long: Make) -> None:
    assert look(long(10**9), {0: Bid(8, 100)}) == ()


def test_maintenance_itself_is_enough(long: Make) -> None:
    requirement = 900 * 10 * LOT // 20
    assert look(long(LOSS + requirement), {0: Bid(8, 100)}) == ()
    assert look(long(LOSS + requirement - 1), {0: Bid(8, 100)}) != ()


def test_no_policy_is_needed_while_there_is_equity(stage: Any, fold: Any) -> None:
    events = stage([(LOSS + LOT, {0: (10, 1_000)}), (10**9, {})], [900])
    state = fold([event for event in events if not isinstance(event, PolicyAdopted)])
    assert len(look(state, {0: Bid(7, 1)})) == 1


def test_below_maintenance_the_market_closes_it_at_mark_less_slippage(long: Make) -> None:
    (event,) = look(long(LOSS + 400 * LOT), {0: Bid(8, 7)})
    assert isinstance(event, Liquidation)
    assert (event.account, event.method, event.taker) == (LOSER, Method.MARKET, Taker.SELLER)
    assert (event.buyer, event.seller, event.size, event.price) == (8, LOSER, 7, 897)
    assert (event.mark, event.equity_claim, event.requirement_claim) == (900, 400 * LOT, 450 * LOT)
    assert (event.at_ns, event.trade) == (MOMENT.at_ns, MOMENT.trade)


def test_the_market_price_stops_at_the_bankruptcy_price(long: Make) -> None:
    (event,) = look(long(LOSS + 10 * LOT), {0: Bid(8, 100)})
    assert isinstance(event, Liquidation)
    assert event.price == 899


@pytest.mark.parametrize("book", [{}, {0: Bid(8, 0)}, {0: Bid(LOSER, 5)}])
def test_without_a_bid_nothing_is_done_while_there_is_equity(long: Make, book: dict[int, Bid]) -> None:
    assert look(long(LOSS + LOT), book) == ()


@pytest.mark.parametrize("status", [MarketStatus.HALTED, MarketStatus.SETTLEMENT, MarketStatus.DELISTED])
def test_a_market_that_is_not_open_takes_nothing(stage: Any, fold: Any, status: MarketStatus) -> None:
    events = stage([(LOSS + LOT, {0: (10, 1_000)}), (10**9, {})], [900])
    listed = next(event for event in events if isinstance(event, MarketListed))
    state = fold([*events, replace(listed, status=status)])
    assert look(state, {0: Bid(7, 100)}) == ()


def test_a_short_is_bought_back_at_mark_and_slippage(stage: Any, fold: Any) -> None:
    state = fold(stage([(LOSS + 400 * LOT, {0: (-10, 900)}), (10**9, {})], [1_000]))
    (event,) = look(state, {0: Bid(7, 4)})
    assert isinstance(event, Liquidation)
    assert (event.buyer, event.seller, event.size, event.price, event.taker) == (LOSER, 7, 4, 1_004, Taker.BUYER)


# ---- Partial liquidation


def rich(stage: Any, fold: Any, size: int) -> State:
    """A long of ``size`` lots at 1,000, marked at 1,000, just below its maintenance margin; and a maker."""
    return fold(stage([(size * 1_000 * LOT // 20 - 1, {0: (size, 1_000)}), (10**12, {})], [1_000]))  # type: ignore[no-any-return]


def sizes(state: State, at_ns: int) -> list[int]:
    """Carry out what is sent to a deep book at one moment; return the sizes."""
    sent = []
    while events := look(state, {0: Bid(7, 10**6)}, HYPERLIQUID, at_ns):
        for event in events:
            assert isinstance(event, Liquidation)
            assert event.method is Method.MARKET
            sent.append(event.size)
            evolve(state, event, state.seq + 1)
    return sent


def again_at_risk(state: State) -> None:
    """Take out what the account has above its maintenance margin, and one unit more."""
    spare = (margin.equity(state, LOSER) or 0) - (margin.maintenance(state, LOSER) or 0)
    evolve(state, Transfer(0, 0, 0, LOSER, 7, spare + 1, Reason.OTHER, None), state.seq + 1)


def test_a_large_position_goes_to_the_book_in_parts(stage: Any, fold: Any) -> None:
    state = rich(stage, fold, 1_001)
    assert sizes(state, 0) == [201]  # a fifth, rounded up, and nothing more at the same moment
    again_at_risk(state)
    assert sizes(state, 0) == []
    assert sizes(state, 30 * SECOND - 1) == [800]


def test_after_the_cooldown_it_begins_with_a_part_again(stage: Any, fold: Any) -> None:
    state = rich(stage, fold, 1_001)
    assert sizes(state, 0) == [201]
    again_at_risk(state)
    assert sizes(state, 30 * SECOND) == [160]


def test_a_small_position_goes_to_the_book_whole(stage: Any, fold: Any) -> None:
    assert sizes(rich(stage, fold, 100), 0) == [100]


# ---- Take-over


def test_the_vault_takes_position_and_margin_below_its_share_of_maintenance(stage: Any, fold: Any) -> None:
    maintenance = 2 * 10 * 1_000 * LOT // 20
    held = {0: (10, 1_000), 1: (-10, 1_000)}
    equity = maintenance * 666_667 // 1_000_000 - 1
    above = fold(stage([(equity + 1, held), (10**12, {})], [1_000, 1_000]))
    assert look(above, rules=HYPERLIQUID) == ()
    state = fold(stage([(equity, held), (10**12, {})], [1_000, 1_000]))
    before = margin.equity(state, HOUSE) or 0
    first, second, residue = look(state, {0: Bid(7, 10**6)}, HYPERLIQUID)
    assert isinstance(first, Liquidation)
    assert isinstance(second, Liquidation)
    # Two thirds of a maintenance of a twentieth are a thirtieth of 1,000: 966.67 and 1,033.33, rounded for the account.
    assert [(e.method, e.buyer, e.seller, e.size, e.price) for e in (first, second)] == [
        (Method.BACKSTOP, HOUSE, LOSER, 10, 967),
        (Method.BACKSTOP, LOSER, HOUSE, 10, 1_033),
    ]
    assert isinstance(residue, Transfer)
    assert (residue.payer, residue.payee, residue.reason) == (LOSER, ROUNDING, Reason.RESIDUAL)
    for event in (first, second, residue):
        evolve(state, event, state.seq + 1)
    assert state.cash[LOSER] == 0
    assert (margin.equity(state, HOUSE) or 0) - before == equity - residue.cash


def test_without_equity_the_vault_takes_all_at_mark(long: Make) -> None:
    (event,) = look(long(LOSS), {0: Bid(8, 100)})
    assert isinstance(event, Liquidation)
    assert (event.method, event.buyer, event.price, event.size) == (Method.BACKSTOP, HOUSE, 900, 10)


def test_the_vault_does_not_take_over_itself(long: Make) -> None:
    state = long(LOSS + 10 * LOT)
    role = replace(state.accounts[LOSER], role=state.accounts[HOUSE].role, new=False)
    evolve(state, role, state.seq + 1)
    own = Rules(LOSER, takeover_ppm=1_000_000)
    assert look(state, rules=own) == ()
    (event,) = look(state, {0: Bid(8, 1)}, own)
    assert isinstance(event, Liquidation)
    assert event.method is Method.MARKET
