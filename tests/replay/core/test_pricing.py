from collections.abc import Callable, Iterable
from fractions import Fraction
from math import ceil
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.model import (
    AccountOpened,
    AdlRound,
    AnyEvent,
    Basis,
    Contract,
    MarginTier,
    MarketListed,
    MarketStatus,
    Opening,
    OpenPosition,
    PriceRule,
    PriceTick,
)
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.policy import Policy, Ratio, Target
from replay.core.pricing import close_price, target_cash, target_gaps, target_size
from replay.core.spelling import parse_texts
from replay.core.state import State
from replay.presets import preset

Stage = Callable[..., list[AnyEvent]]

QUEUE = preset("queue").texts
LOSER = 6
LOT = 10_000  # money units of one lot at one price step


def policy_of(**changes: str) -> Policy:
    return parse_texts(QUEUE._replace(**changes))


RULE = policy_of()
PAID = {"fill": "queue(paid), cap gain", "price": "none", "rounding": "money unit, remainder largest", "target": "deficit"}


def fold(events: Iterable[AnyEvent]) -> State:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    return state


def a_round(size: int | None = None, **changes: Any) -> AdlRound:
    opened = AdlRound(0, 0, 0, 0, LOSER, 0, size, None, PriceRule.BANKRUPTCY, None, None, None, 0, (), None, None, None, None)
    return msgspec.structs.replace(opened, **changes)


def venue(stage: Stage, size: int, cash: int = 0, *, mark: int = 900) -> State:
    """Account 6 holds ``size`` at 1,000, and account 7 the other side."""
    return fold(stage([(cash, {0: (size, 1_000)}), (10**9, {0: (-size, 1_000)})], [mark]))


def price(state: State, **changes: str) -> int | None:
    return close_price(state, a_round(), policy_of(**changes)).price


# ---- The price


@given(st.integers(-300, 300).filter(bool), st.integers(0, 10**10), st.integers(1, 2_000))
def test_at_the_bankruptcy_price_the_loser_ends_at_zero_but_for_the_grid(stage: Stage, size: int, cash: int, mark: int) -> None:
    state = venue(stage, size, cash, mark=mark)

    def left(direction: str) -> int:
        at = price(state, rounding=f"lot, price {direction}, remainder largest")
        assert at is not None
        return state.cash[LOSER] + size * at * LOT

    step = abs(size) * LOT
    assert 0 <= left("for the loser") < step
    assert -step < left("for the winner") <= 0
    assert abs(left("nearest")) * 2 <= step
    assert left("down") == left("for the winner" if size > 0 else "for the loser")
    assert left("up") == left("for the loser" if size > 0 else "for the winner")


def test_a_price_by_another_rule(stage: Stage) -> None:
    state = venue(stage, 10)
    assert price(state, price="mark") == 900
    assert close_price(state, a_round(price=888), policy_of(price="stated")) == (888, ())
    assert close_price(state, a_round(), policy_of(price="stated")) == (None, ("price of the round",))
    assert close_price(state, a_round(), policy_of(price="previous-mark")).missing == ("previous mark price",)
    assert close_price(state, a_round(), policy_of(price="oracle")).missing == ("oracle price",)
    evolve(state, PriceTick(0, 0, 0, 0, 890, None), state.seq + 1)
    evolve(state, PriceTick(0, 0, 0, 0, None, 895), state.seq + 1)  # which states no mark
    assert (price(state, price="previous-mark"), price(state, price="oracle")) == (900, 895)


def test_where_only_money_moves_there_is_no_price_and_none_is_missing(stage: Stage) -> None:
    assert close_price(venue(stage, 10), a_round(), policy_of(**PAID)) == (None, ())


@pytest.mark.parametrize(("size", "cash", "capped"), [(10, 0, 1_000), (10, 3_000 * LOT, 900), (-10, 0, 900), (-10, 10**9, 900)])
def test_a_capped_price_is_never_worse_for_the_loser_than_its_bankruptcy(
    stage: Stage, size: int, cash: int, capped: int
) -> None:
    # At mark 900 a long from 1,000 without money is bankrupt at 1,000; a short has won.
    assert price(venue(stage, size, cash), price="mark, capped at bankruptcy") == capped


@pytest.mark.parametrize(
    ("cash", "banded"), [(0, 900), (540 * LOT, 900), (550 * LOT, 945), (10_000 * LOT, 900), (560 * LOT, 944)]
)
def test_a_price_beyond_the_band_is_mark(stage: Stage, cash: int, banded: int) -> None:
    # 5% of 900 is 45, so 945 is just not beyond it: a long of 10 lots with 550 steps is bankrupt there.
    assert price(venue(stage, 10, cash), price="bankruptcy, mark beyond 5%") == banded


@pytest.mark.parametrize(
    ("size", "direction", "wanted"),
    [
        (10, "for the loser", 900),
        (10, "for the winner", 899),
        (10, "nearest", 899),
        (10, "up", 900),
        (-10, "for the loser", 900),
        (-10, "for the winner", 901),
        (-10, "nearest", 901),
        (-10, "down", 900),
    ],
)
def test_the_winner_is_given_a_share_of_the_price(stage: Stage, size: int, direction: str, wanted: int) -> None:
    # 0.1% of 900 is 0.9: 899.1 for who buys from a long, 900.9 for who sells to a short.
    rounding = f"lot, price {direction}, remainder largest"
    assert price(venue(stage, size), price="mark, 0.1% to the winner", rounding=rounding) == wanted


def test_what_a_price_lacks_is_named(stage: Stage) -> None:
    no_mark = fold(stage([(0, {0: (10, 1_000)})], [900])[:-1])
    assert close_price(no_mark, a_round(), RULE).missing == ("mark price",)
    assert close_price(no_mark, a_round(), policy_of(price="oracle, mark beyond 5%")).missing == ("mark price", "oracle price")
    flat = fold(stage([(5, {})], [900]))
    assert close_price(flat, a_round(), RULE).missing == ("loser's position",)
    assert close_price(flat, a_round(), policy_of(price="mark, 1% to the winner")).missing == ("loser's position",)
    assert close_price(flat, a_round(5), policy_of(price="mark, 1% to the winner")).price == 891
    assert close_price(flat, a_round(), policy_of(price="mark")).price == 900
    two = stage([(0, {0: (10, 1_000), 1: (2, 100)})], [900, 90])
    bare = [msgspec.structs.replace(event, tiers=()) if isinstance(event, MarketListed) else event for event in two]
    assert close_price(fold(bare), a_round(), RULE).missing == ("margin tiers",)


def test_a_bankruptcy_price_that_there_is_not_is_no_gap_in_the_tiers(stage: Stage) -> None:
    two = stage([(0, {0: (10, 1_000), 1: (2, 100)})], [900, 90])
    none = (MarginTier(0, 10**11, 0),)
    state = fold([msgspec.structs.replace(event, tiers=none) if isinstance(event, MarketListed) else event for event in two])
    assert close_price(state, a_round(), RULE).missing == ("bankruptcy price: there is none",)


# ---- How much


def test_without_another_rule_the_whole_position_is_the_target(stage: Stage) -> None:
    assert target_size(venue(stage, 10), a_round(), RULE) == 10
    assert target_size(venue(stage, -10), a_round(4), RULE) == -10  # whatever the round states
    assert target_size(fold(stage([(5, {})], [900])), a_round(), RULE) == 0


@pytest.mark.parametrize(("held", "share", "wanted"), [(10, "25%", 2), (-10, "25%", -2), (3, "10%", 1), (10, "100%", 10)])
def test_a_round_closes_at_most_its_share_and_at_least_a_lot(stage: Stage, held: int, share: str, wanted: int) -> None:
    assert target_size(venue(stage, held), a_round(), policy_of(target=f"whole position, round at most {share}")) == wanted


def test_a_stated_target_is_whatever_the_round_states(stage: Stage) -> None:
    state, stated = venue(stage, 10), policy_of(target="stated")
    assert target_size(state, a_round(3), stated) == 3
    assert (target_size(state, a_round(), stated), target_gaps(state, a_round(), stated)) == (None, ["need of the round"])
    paid = policy_of(**{**PAID, "target": "stated"})
    assert target_cash(state, a_round(need_cash=5), paid) == 5
    assert (target_cash(state, a_round(), paid), target_gaps(state, a_round(), paid)) == (None, ["need of the round"])


def by_deficit(top: int, bottom: int) -> Policy:
    """Contracts closed for a share of the deficit, at the price that the round states."""
    return msgspec.structs.replace(policy_of(price="stated"), target=Target(Ratio(top, bottom)))


@given(
    st.integers(-300, 300).filter(bool),
    st.integers(0, 10**9),
    st.integers(1, 2_000),
    st.integers(1, 2_000),
    st.tuples(st.integers(1, 10), st.integers(1, 10)).filter(lambda pair: pair[0] < pair[1]),
)
def test_a_target_by_deficit_closes_the_fewest_lots_that_are_enough(
    stage: Stage, size: int, cash: int, mark: int, at: int, share: tuple[int, int]
) -> None:
    state = venue(stage, size, cash, mark=mark)
    equity = margin.equity(state, LOSER)
    assert equity is not None
    lots = target_size(state, a_round(price=at), by_deficit(*share))
    assert lots is not None
    assert lots * size >= 0
    wanted = Fraction(*share) * max(-equity, 0)
    better = (at - mark) * LOT * (1 if size > 0 else -1)
    if better <= 0 and wanted:
        assert lots == size
    else:
        assert abs(lots) == abs(size) or abs(lots) * better >= wanted
        assert lots == 0 or (abs(lots) - 1) * better < wanted


@pytest.mark.parametrize("contract", [Contract.QUANTO, Contract.INVERSE])
def test_a_lot_of_another_contract_is_worth_what_it_is(stage: Stage, contract: Contract) -> None:
    events = stage([(0, {0: (-10, 1_000)}), (10**9, {0: (10, 1_000)})], [1_500])
    at = next(number for number, event in enumerate(events) if isinstance(event, MarketListed))
    multiplier, decimals = (7, 6) if contract is Contract.QUANTO else (1, 0)
    grid = (contract, 2, 2, multiplier, decimals, 1, 1)
    events[at] = MarketListed(0, 0, 0, 0, "M0", *grid, Basis.AVERAGE, False, (), None, MarketStatus.TRADING)
    state = fold(events)
    equity, scale = margin.equity(state, LOSER), state.markets[0]
    assert equity is not None
    assert equity < 0
    lot = Fraction(scale.numerator, scale.denominator)
    # A short that buys back at 900 and not at 1,500 keeps so much of each lot.
    better = lot * (1_500 - 900) if contract is Contract.QUANTO else lot * (Fraction(1, 900) - Fraction(1, 1_500))
    lots = target_size(state, a_round(price=900), by_deficit(1, 2))
    assert lots == -ceil(Fraction(-equity, 2) / better)
    assert -10 < lots < 0


def test_money_is_raised_up_to_the_deficit(stage: Stage) -> None:
    state = venue(stage, 10)
    assert target_cash(state, a_round(), policy_of(**PAID)) == 1_000 * LOT
    assert target_cash(state, a_round(), policy_of(**{**PAID, "target": "deficit * 1/3"})) == 1_000 * LOT // 3 + 1
    assert target_cash(state, a_round(need_cash=7), policy_of(**PAID)) == 7
    assert target_cash(venue(stage, 10, 10**9), a_round(), policy_of(**PAID)) == 0


def test_what_a_target_lacks_is_named(stage: Stage) -> None:
    state = venue(stage, 10)
    new = AccountOpened(0, 0, 0, 8, "new", 8, state.accounts[6].role, state.accounts[6].margin, False, None)
    evolve(state, new, state.seq + 1)
    unseen = a_round(loser=8)
    assert (target_size(state, unseen, RULE), target_gaps(state, unseen, RULE)) == (None, ["loser's position"])
    assert target_gaps(state, unseen, policy_of(**PAID)) == ["cash of account"]
    evolve(state, Opening(0, 0, 0, 8, None, (OpenPosition(0, 5, None, 0),)), state.seq + 1)
    assert target_gaps(state, unseen, RULE) == []
    assert target_gaps(state, unseen, by_deficit(1, 2)) == ["cash of account", "price of the round"]
    assert target_gaps(state, a_round(price=950), by_deficit(1, 2)) == []
