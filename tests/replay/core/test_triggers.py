from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.model import (
    EXTERNAL,
    AccountOpened,
    AdlRound,
    AnyEvent,
    Fill,
    InsuranceDraw,
    MarketListed,
    MarketStatus,
    Opening,
    OpenPosition,
    PriceRule,
    PriceTick,
    Reason,
    Role,
    Taker,
    Transfer,
)
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.policy import Layer, LayerKind, Policy, Ratio
from replay.core.spelling import parse_texts
from replay.core.state import State
from replay.core.triggers import INFINITE, evaluated, fund_drawdown, fund_equity, fund_pools, trigger_gaps, triggered
from replay.presets import preset

Stage = Callable[..., list[AnyEvent]]

QUEUE = preset("queue").texts
FUND = 4
LOSER = 6
LOT = 10_000  # money units of one lot at one price step
UNIT = 10**8  # money units of one unit of currency
HOUR_NS = 3_600 * 10**9


def policy_of(trigger: str, **changes: str) -> Policy:
    return parse_texts(QUEUE._replace(trigger=trigger, **changes))


RULE = policy_of(QUEUE.trigger)


def fold(events: Iterable[AnyEvent]) -> State:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    return state


def change(state: State, *events: AnyEvent) -> None:
    for event in events:
        evolve(state, event, state.seq + 1)


def a_round(**changes: Any) -> AdlRound:
    opened = AdlRound(0, 0, 0, 0, LOSER, 0, None, None, PriceRule.BANKRUPTCY, None, None, None, 0, (), None, None, None, None)
    return msgspec.structs.replace(opened, **changes)


def holds(state: State, trigger: str, **changes: Any) -> bool | None:
    return triggered(state, a_round(**changes), policy_of(trigger))


@pytest.mark.parametrize(
    ("cash", "fund", "trigger", "wanted"),
    [
        (0, 0, "equity < 0 and fund <= 0", True),
        (0, 1, "equity < 0 and fund <= 0", False),
        (0, 1, "equity < 0", True),
        (0, 1, "equity < 0 or fund <= 0", True),
        (10 * 100 * LOT, 0, "equity < 0 and fund <= 0", False),  # equity is exactly 0
        (10 * 100 * LOT, 0, "equity <= 0", True),
        (10 * 100 * LOT, 0, "fund <= 0", True),
        (10 * 100 * LOT, 1, "equity < 0 or fund <= 0", False),
        (10 * 100 * LOT, UNIT, "fund <= 1", True),
        (10 * 100 * LOT, UNIT + 1, "fund <= 1", False),
        (10 * 100 * LOT, UNIT // 2, "fund >= 0.5", True),
        (10 * 100 * LOT, UNIT // 2, "fund > 0.5", False),
        (0, 0, "leftover > 9", True),
        (0, 0, "leftover > 10", False),
    ],
)
def test_the_trigger_is_read_with_its_exact_inequalities(
    stage: Stage, cash: int, fund: int, trigger: str, wanted: bool
) -> None:
    state = fold(stage([(cash, {0: (-10, 800)}), (10**9, {0: (10, 800)})], [900], fund=fund))
    assert holds(state, trigger) is wanted


def test_each_condition_is_shown_with_what_it_looked_at(stage: Stage) -> None:
    state = fold(stage([(0, {0: (10, 1_000)})], [900], fund=3 * UNIT))
    rule = policy_of("equity < 0 and fund <= 0.5 or leftover > 20 until fund > 2")
    shown = [
        (one.stop, one.clause, one.condition.quantity.name, one.left, one.holds) for one in evaluated(state, a_round(), rule)
    ]
    assert shown == [
        (False, 0, "EQUITY", Ratio(-1, 10), True),
        (False, 0, "FUND", Ratio(3, 1), False),
        (False, 1, "LEFTOVER", Ratio(10, 1), False),
        (True, 0, "FUND", Ratio(3, 1), True),
    ]


def test_a_fund_that_is_not_on_record_is_not_an_empty_one(stage: Stage) -> None:
    state = fold(stage([(0, {0: (10, 1_000)})], [900]))
    change(state, msgspec.structs.replace(state.accounts[FUND], role=Role.VAULT, new=False))
    assert fund_equity(state) is None
    assert fund_drawdown(state, RULE, 0, HOUR_NS) is None
    assert triggered(state, a_round(), RULE) is None
    assert trigger_gaps(state, a_round(), RULE) == ["fund balance"]
    assert holds(state, "equity < 0") is True
    assert holds(state, "equity < 0 or fund <= 0") is True
    assert triggered(state, a_round(loser=5), RULE) is False  # as this one is not bankrupt


def test_what_a_trigger_lacks_is_named(stage: Stage) -> None:
    events = stage([(0, {0: (10, 1_000)})], [900])
    new = AccountOpened(0, 0, 0, 7, "new", 7, Role.USER, fold(events).accounts[6].margin, False, None)
    bare = [
        msgspec.structs.replace(one, status=MarketStatus.UNKNOWN) if isinstance(one, MarketListed) else one for one in events
    ]
    state = fold([*bare, new])
    unseen = a_round(loser=7)
    for trigger, names in (
        ("equity < 0", ["cash of account"]),
        ("leftover > 0", ["loser's position"]),
        ("settlement", ["market status"]),
        ("pnl/pool > 85%", ["loser's position", "fund balance"]),
    ):
        assert trigger_gaps(state, unseen, policy_of(trigger)) == names
        assert holds(state, trigger, loser=7) is None
    assert trigger_gaps(state, a_round(), RULE) == []


def test_a_market_being_settled(stage: Stage) -> None:
    events = stage([(10**9, {0: (10, 1_000)})], [900])
    listed = next(event for event in events if isinstance(event, MarketListed))
    state = fold(events)
    assert (holds(state, "settlement"), holds(state, "equity < 0 or settlement")) == (False, False)
    change(state, msgspec.structs.replace(listed, status=MarketStatus.SETTLEMENT))
    assert (holds(state, "settlement"), holds(state, "equity < 0 or settlement")) == (True, True)


# ---- Profit over the pool


def pool(stage: Stage, cash: int) -> State:
    """The vault is short against traders of whom one has won 2,000 steps, one has lost 1,000; another is short too."""
    traders = [(cash, {0: (-30, 1_000)}), (10**9, {0: (20, 1_000)}), (10**9, {0: (10, 1_200)}), (10**9, {0: (-5, 1_200)})]
    state = fold(stage(traders, [1_100]))
    change(state, msgspec.structs.replace(state.accounts[LOSER], role=Role.VAULT, new=False))
    return state


def test_the_profit_of_the_winners_side_over_the_pool(stage: Stage) -> None:
    # 20 lots have won 100 steps each, 15 have lost as much (10 of a trader, 5 of the house); what the vault has not paid out
    # yet is still in the pool.
    state = pool(stage, 5_000 * LOT)
    [one] = evaluated(state, a_round(), policy_of("pnl/pool > 10%"))
    assert (one.left, one.holds) == (Ratio(1, 10), False)  # strictly above
    assert holds(state, "pnl/pool >= 10%") is True


def test_an_empty_pool_is_below_every_profit(stage: Stage) -> None:
    state = pool(stage, 0)
    [one] = evaluated(state, a_round(), policy_of("pnl/pool > 85%"))
    assert (one.left, one.holds) == (INFINITE, True)


def test_where_nobody_has_won_an_empty_pool_is_no_trigger(stage: Stage) -> None:
    state = pool(stage, 0)
    change(state, PriceTick(0, 0, 0, 0, 900, None))
    assert margin.equity(state, LOSER) == 3_000 * LOT
    assert evaluated(state, a_round(size=-30), policy_of("pnl/pool > 85%"))[0].left == (0, 1)
    change(state, PriceTick(0, 0, 0, 0, 1_086, None))
    assert evaluated(state, a_round(), policy_of("pnl/pool > 85%"))[0].left == INFINITE


def test_a_winner_whose_entry_is_not_known(stage: Stage) -> None:
    state = pool(stage, 23_000 * LOT)
    change(state, Opening(0, 0, 0, 9, None, (OpenPosition(0, -6, None, 0),)))  # not of the winners' side
    assert holds(state, "pnl/pool > 10%") is False
    change(state, Opening(0, 0, 0, 7, None, (OpenPosition(0, 21, None, 0),)))
    assert trigger_gaps(state, a_round(), policy_of("pnl/pool > 10%")) == ["entry price"]
    change(state, Opening(0, 0, 0, 7, None, (OpenPosition(0, None, None, 0),)))
    assert trigger_gaps(state, a_round(), policy_of("pnl/pool > 10%")) == ["candidate list: record incomplete"]


# ---- The fund's pools and their drawdown


def transfer(cash: int, at_ns: int, fund: int = FUND) -> Transfer:
    payer, payee = (EXTERNAL, fund) if cash > 0 else (fund, EXTERNAL)
    return Transfer(at_ns, 0, 0, payer, payee, abs(cash), Reason.TOP_UP if cash > 0 else Reason.OTHER, None)


def two_funds(stage: Stage) -> State:
    state = fold(stage([(0, {0: (10, 1_000)})], [900], fund=5 * UNIT))
    change(
        state, AccountOpened(0, 0, 0, 7, "f", 7, Role.FUND, state.accounts[FUND].margin, True, None), transfer(3 * UNIT, 0, 7)
    )
    return state


def test_the_pools_are_those_that_the_layers_name(stage: Stage) -> None:
    state = two_funds(stage)
    named = msgspec.structs.replace(RULE, layers=(Layer(LayerKind.FUND, 7), Layer(LayerKind.ADL)))
    unknown = msgspec.structs.replace(RULE, layers=(Layer(LayerKind.FUND, 99), Layer(LayerKind.ADL)))
    assert (fund_pools(state, RULE), fund_equity(state, RULE), fund_equity(state)) == ([FUND, 7], 8 * UNIT, 8 * UNIT)
    assert (fund_pools(state, named), fund_equity(state, named)) == ([7], 3 * UNIT)
    assert (fund_equity(state, unknown), fund_drawdown(state, unknown, 0, HOUR_NS)) == (None, None)
    change(state, transfer(-2 * UNIT, HOUR_NS, 7))
    assert fund_drawdown(state, RULE, HOUR_NS, 2 * HOUR_NS) == (1, 4)
    assert fund_drawdown(state, named, HOUR_NS, 2 * HOUR_NS) == (2, 3)


@pytest.mark.parametrize(
    ("hours", "window", "wanted"),
    [
        (8, 8, (1, 2)),  # the level of 10 was in force until the first hour
        (9, 8, (3, 8)),  # and no longer just when the window begins there
        (10, 8, (3, 8)),
        (11, 8, (0, 1)),
        (100, 1, (0, 1)),
        (100, 100, (1, 2)),
    ],
)
def test_a_drawdown_looks_back_as_far_as_its_window(stage: Stage, hours: int, window: int, wanted: tuple[int, int]) -> None:
    state = fold(stage([(0, {0: (10, 1_000)})], [900], fund=10 * UNIT))
    change(state, transfer(-2 * UNIT, 1 * HOUR_NS), transfer(-3 * UNIT, 3 * HOUR_NS))
    assert fund_drawdown(state, RULE, hours * HOUR_NS, window * HOUR_NS) == wanted
    assert holds(state, f"drawdown({window}h) >= 50%", at_ns=hours * HOUR_NS) is (wanted == (1, 2))


def test_a_fund_that_never_had_money_has_lost_all(stage: Stage) -> None:
    state = fold(stage([(0, {0: (10, 1_000)})], [900]))
    assert fund_drawdown(state, RULE, 0, HOUR_NS) == (1, 1)
    change(state, transfer(-UNIT, 1))
    assert fund_drawdown(state, RULE, 1, HOUR_NS) == (1, 1)


@given(
    st.lists(st.tuples(st.integers(-5, 5).filter(bool), st.integers(-3, 10), st.sampled_from([FUND, 7])), max_size=12),
    st.integers(1, 12),
    st.integers(0, 40),
)
def test_a_drawdown_is_what_a_walk_through_time_finds(stage: Stage, moves: list[Any], window: int, after: int) -> None:
    state = two_funds(stage)
    now, total = 0, 8
    levels = [(0, 8)]  # what the pools held from when on
    for cash, step, fund in moves:
        now += step
        total += cash
        change(state, transfer(cash * UNIT, now, fund))
        levels.append((max(now, levels[-1][0]), total))  # a clock that goes back stands still
    end = max(now, levels[-1][0]) + after
    until = [at for at, _ in levels[1:]] + [end + 1]
    peak = max(total, *(level for (_, level), ends in zip(levels, until, strict=True) if ends > end - window))
    wanted = Fraction(peak - total, peak) if peak > 0 else Fraction(1)
    assert fund_drawdown(state, RULE, end, window) == (wanted.numerator, wanted.denominator)


def test_a_fund_that_takes_a_position_over_has_not_fallen(stage: Stage) -> None:
    state = fold(stage([(10 * 1_000 * LOT, {0: (10, 1_000)}), (0, {0: (-10, 1_000)})], [1_000], fund=UNIT))
    taken = Fill(0, 0, 0, 0, FUND, LOSER, 1_000, 10, 0, 0, 9, Taker.SELLER, *[None] * 6)
    change(state, taken, transfer(1, 2))
    assert state.cash[FUND] == UNIT + 1 - 10 * 1_000 * LOT
    assert fund_drawdown(state, RULE, 2, HOUR_NS) == (0, 1)
    # What it loses by selling lower is a fall, at once.
    change(state, Fill(3, 0, 0, 0, 7, FUND, 500, 10, 0, 0, 10, Taker.SELLER, *[None] * 6))
    assert fund_drawdown(state, RULE, 3, HOUR_NS) == Ratio(5_000 * LOT, UNIT + 1)


def test_a_fund_whose_entry_is_not_known_has_no_drawdown(stage: Stage) -> None:
    state = fold(stage([(0, {0: (10, 1_000)})], [900], fund=UNIT))
    change(state, Opening(0, 0, 0, FUND, None, (OpenPosition(0, 6, None, 0),)))
    assert fund_drawdown(state, RULE, 0, HOUR_NS) is None


# ---- Hysteresis

OUTLASTS = policy_of("drawdown(8h) > 30% until drawdown(8h) < 10%")


def after_a_round(stage: Stage, *, policy: int | None = 0) -> State:
    """The fund lost 40 of 100, which began a round at hour 1."""
    state = fold(stage([(0, {0: (10, 1_000)})], [900], fund=100 * UNIT))
    change(state, transfer(-40 * UNIT, HOUR_NS), a_round(at_ns=HOUR_NS, policy=policy))
    return state


def next_round(state: State, rule: Policy, hours: int) -> bool | None:
    return triggered(state, a_round(round=len(state.rounds), at_ns=hours * HOUR_NS), rule)


def test_adl_goes_on_until_the_stop_holds(stage: Stage) -> None:
    state = after_a_round(stage)
    assert next_round(state, OUTLASTS, 1) is True
    change(state, transfer(20 * UNIT, 2 * HOUR_NS))  # 20% below: no start, and no stop
    assert next_round(state, OUTLASTS, 2) is True
    assert next_round(state, policy_of("drawdown(8h) > 30%"), 2) is False
    change(state, transfer(12 * UNIT, 3 * HOUR_NS))  # 8% below: stopped
    assert next_round(state, OUTLASTS, 3) is False
    change(state, transfer(-12 * UNIT, 4 * HOUR_NS))  # and 20% again is no new start
    assert next_round(state, OUTLASTS, 4) is False
    change(state, transfer(-20 * UNIT, 5 * HOUR_NS))
    assert next_round(state, OUTLASTS, 5) is True


def test_a_stop_that_holds_now_is_a_stop(stage: Stage) -> None:
    state = after_a_round(stage)
    assert next_round(state, OUTLASTS, 10) is False  # the window has moved on: no drawdown any more
    until_solvent = policy_of("drawdown(8h) > 90% until equity >= 0")
    assert next_round(state, until_solvent, 1) is True
    change(state, PriceTick(0, 0, 0, 0, 1_000, None))
    assert next_round(state, until_solvent, 1) is False
    # Between two levels of the fund nobody knows what the loser's equity was.
    change(state, PriceTick(0, 0, 0, 0, 900, None), transfer(UNIT, HOUR_NS))
    assert next_round(state, until_solvent, 1) is None


def test_a_stop_that_held_when_the_peak_left_the_window_is_a_stop(stage: Stage) -> None:
    state = after_a_round(stage)
    change(state, transfer(-12 * UNIT, 11 * HOUR_NS))  # 20% below the level of 60, that alone was in the window since hour 9
    assert next_round(state, OUTLASTS, 11) is False
    state = after_a_round(stage)
    change(state, transfer(8 * UNIT, 9 * HOUR_NS), transfer(-14 * UNIT, 11 * HOUR_NS))
    assert next_round(state, OUTLASTS, 11) is False
    state = after_a_round(stage)
    change(state, transfer(20 * UNIT, 9 * HOUR_NS - 1), transfer(-16 * UNIT, 9 * HOUR_NS - 1))
    assert next_round(state, OUTLASTS, 8) is True  # the level of 100 was in the window all the time


@given(
    st.lists(st.tuples(st.integers(-40, 40).filter(bool), st.integers(-2, 6)), max_size=8),
    st.integers(0, 8),
    st.integers(1, 8),
    st.integers(0, 12),
)
def test_adl_goes_on_as_a_walk_through_all_of_the_time_finds(
    stage: Stage, moves: list[Any], began: int, window: int, after: int
) -> None:
    rule = policy_of(f"equity < -1000000 until drawdown({window}h) < 25%")
    state = fold(stage([(0, {0: (10, 1_000)})], [900], fund=100 * UNIT))
    levels = [(0, 100)]  # half hours, and what the fund had from then on
    began = min(began, len(moves))
    for number, (cash, step) in enumerate([*moves, (0, 0)]):
        if number == began:
            change(state, a_round(at_ns=levels[-1][0] * HOUR_NS // 2))
        if cash:
            clock = levels[-1][0] + 2 * step
            change(state, transfer(cash * UNIT, clock * HOUR_NS // 2))
            levels.append((max(clock, levels[-1][0]), levels[-1][1] + cash))

    def stops(at: int, number: int) -> bool:
        """Whether the stop held at a half hour while the level was that of ``number``."""
        until = [begins for begins, _ in levels[1 : number + 1]] + [at + 1]
        inside = [cash for (_, cash), ends in zip(levels, until, strict=False) if ends > at - 2 * window]
        peak = max(inside)
        return peak > 0 and Fraction(peak - levels[number][1], peak) < Fraction(1, 4)

    end = levels[-1][0] + after
    until = [begins for begins, _ in levels[1:]] + [end + 1]
    held = False
    for number in range(began, len(levels)):
        first, last = levels[number][0], until[number]
        held |= any(stops(at, number) for at in range(first, max(last, first + 1)))
    assert next_round(state, rule, 0) is not None
    assert triggered(state, a_round(round=1, at_ns=end * HOUR_NS // 2), rule) is not held


def test_without_a_round_before_there_is_nothing_to_go_on(stage: Stage) -> None:
    state = after_a_round(stage)
    change(state, transfer(20 * UNIT, 2 * HOUR_NS))
    assert triggered(state, a_round(at_ns=2 * HOUR_NS), OUTLASTS) is False  # this is the first round itself
    other = msgspec.structs.replace(OUTLASTS, policy=1)
    assert next_round(state, other, 2) is False
    change(
        state,
        msgspec.structs.replace(next(one for one in stage([], [1]) if isinstance(one, MarketListed)), market=1, symbol="B"),
    )
    assert triggered(state, a_round(round=1, market=1, at_ns=2 * HOUR_NS), OUTLASTS) is False


def test_a_round_before_of_no_policy_leaves_it_open(stage: Stage) -> None:
    state = after_a_round(stage, policy=None)
    change(state, transfer(20 * UNIT, 2 * HOUR_NS))
    again = a_round(round=1, at_ns=2 * HOUR_NS)
    assert triggered(state, again, OUTLASTS) is None
    assert trigger_gaps(state, again, OUTLASTS) == ["policy of the round before"]
    change(state, transfer(20 * UNIT, 3 * HOUR_NS))
    assert next_round(state, OUTLASTS, 3) is False


def test_a_stop_by_what_the_fund_holds(stage: Stage) -> None:
    state = after_a_round(stage)
    rule = policy_of("fund <= 0 until fund > 70")
    assert next_round(state, rule, 1) is True
    change(state, transfer(11 * UNIT, 2 * HOUR_NS), InsuranceDraw(0, 0, 0, FUND, LOSER, 5 * UNIT, None, None, None, None))
    assert next_round(state, rule, 2) is False  # it had more than 70 for a moment
