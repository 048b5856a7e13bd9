from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from events.model import (
    AccountOpened,
    AdlCandidates,
    AdlRound,
    AnyEvent,
    Candidate,
    Opening,
    OpenPosition,
    PriceRule,
    PriceTick,
    Reason,
    Role,
    Transfer,
)
from replay.core.evolve import evolve
from replay.core.missing import MISSING_INPUTS
from replay.core.plan import Plan, PlannedCharge, PlannedClose, plan
from replay.core.policy import Policy, Ratio, Target
from replay.core.pricing import close_price
from replay.core.ranking import rank
from replay.core.spelling import parse_texts
from replay.core.state import State
from replay.presets import preset

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
SCORE = "profit/entry-notional * notional/equity desc, 0 as gain"

RULE = policy_of()
AT_MARK = policy_of(price="mark")
BY_SIZE = policy_of(fill="level(closed/size)", key=PLAIN, price="mark")
DRAINING = policy_of(fill="level(exposure/equity)", key="equity <= 0 excluded, account asc", price="mark")
LEAST = policy_of(fill="least maximum(closed/equity)", key="equity at least 1, account asc", price="mark")
QUEUE_PAID = paid("queue(paid), cap gain", key=f"{SCORE}, equity <= 0 last, account asc")
SHARE_PAID = paid("level(paid/gain), cap gain")
ALL_PAY = paid("level(paid/gain), cap gain", scope="accounts")


def fold(events: Iterable[AnyEvent]) -> State:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    return state


def a_round(size: int | None = None, **changes: Any) -> AdlRound:
    opened = AdlRound(0, 0, 0, 0, LOSER, 0, size, None, PriceRule.BANKRUPTCY, None, None, None, 0, (), None, None, None, None)
    return msgspec.structs.replace(opened, **changes)


def the_plan(state: State, policy: Policy = RULE, **changes: Any) -> Plan:
    return plan(state, a_round(**changes), policy)


# ---- By hand


def test_a_queue_with_part_of_the_last(stage: Stage) -> None:
    trader = (10**9, {0: (-10, 1_000)})
    made = the_plan(fold(stage([(0, {0: (25, 1_000)}), trader, trader, trader], [900])))
    score = Ratio(9, 1010)
    assert made == Plan(
        (
            PlannedClose(7, 10, 1_000, 1, score),
            PlannedClose(8, 10, 1_000, 2, score),
            PlannedClose(9, 5, 1_000, 3, score),
        ),
        (),
        (),
        0,
        0,
    )


def test_the_money_that_is_paid(stage: Stage) -> None:
    traders = [(0, {0: (30, 1_000)}), (10**9, {0: (-10, 1_000)}), (10**9, {0: (-10, 950)})]
    state = fold(stage(traders, [900]))  # a deficit of 3,000 steps, and gains of 1,000 and 500
    charges = (PlannedCharge(7, 1_000 * LOT, 1), PlannedCharge(8, 500 * LOT, 2))
    assert the_plan(state, QUEUE_PAID) == Plan((), charges, (), 0, 1_500 * LOT)
    asked = (PlannedCharge(7, 100 * LOT, 1), PlannedCharge(8, 50 * LOT, 2))
    assert the_plan(state, SHARE_PAID, need_cash=150 * LOT) == Plan((), asked, (), 0, 0)


def test_a_loser_without_a_position_has_no_other_side_but_there_are_accounts(stage: Stage) -> None:
    state = fold(stage([(5, {0: (-3, 100)}), (10**9, {0: (-10, 1_000)}), (0, {})], [900]))
    evolve(state, Transfer(0, 0, 0, 8, 4, 700, Reason.FEE, None), state.seq + 1)
    assert the_plan(state, SHARE_PAID, loser=8) == Plan((), (), (), 0, 700)
    assert the_plan(state, ALL_PAY, loser=8) == Plan((), (PlannedCharge(7, 700, 1),), (), 0, 0)


def test_whom_a_close_would_harm_is_skipped(stage: Stage) -> None:
    # The loser is bankrupt at 1,000; 7 sells at 900 what it bought for 1,100 and would end worse, 8 has money enough.
    traders = [(0, {0: (10, 1_000)}), (0, {0: (-5, 940)}), (10**9, {0: (-5, 940)}), (10**9, {0: (-5, 940)})]
    state = fold(stage(traders, [900]))
    assert [close.winner for close in the_plan(state).closes] == [7, 8]
    for fill, key in (("queue", QUEUE.key), ("level(closed/size)", PLAIN)):
        rule = policy_of(scope="opposite, overlapping", fill=fill, key=key)
        made = the_plan(state, rule)
        assert [close.winner for close in made.closes] == [8, 9]
        assert made.closes[0].rank == (2 if fill == "queue" else 1)
    # At mark it would lose nothing.
    at_mark = policy_of(scope="opposite, overlapping", price="mark")
    assert [close.winner for close in the_plan(state, at_mark).closes] == [7, 8]


def test_a_list_is_closed_in_its_order_from_the_seed_on(stage: Stage) -> None:
    trader = (10**9, {0: (-10, 1_200)})
    opened = a_round(15, seed=b"\4")
    state = fold([*stage([(0, {0: (50, 1_000)}), trader, trader, trader], [900]), opened])
    rules = [policy_of(key=f"{order}, equity <= 0 alike, account asc") for order in ("list order", "rotated list")]
    assert [plan(state, opened, rule).missing for rule in rules] == [("candidate list: record incomplete",)] * 2
    listed = tuple(Candidate(account, None, None, None, None) for account in (9, 7, 8))
    evolve(state, AdlCandidates(0, 0, 0, 0, 1, 1, listed), state.seq + 1)
    closed = [[(close.winner, close.size, close.score) for close in plan(state, opened, rule).closes] for rule in rules]
    assert closed == [[(9, 10, None), (7, 5, None)], [(7, 10, None), (8, 5, None)]]
    assert plan(state, msgspec.structs.replace(opened, seed=None), rules[1]).missing == ("seed of the round",)


def test_the_venues_own_accounts_are_no_candidates(stage: Stage) -> None:
    state = fold(stage([(0, {0: (30, 1_000)}), (10**9, {0: (-10, 1_200)})], [900]))
    assert state.positions[0][5].size == -20
    made = the_plan(state)
    assert ([close.winner for close in made.closes], made.remaining) == ([7], 20)
    evolve(state, msgspec.structs.replace(state.accounts[7], role=Role.VAULT, new=False), state.seq + 1)
    assert the_plan(state).remaining == 30


def test_what_is_closed_is_what_the_round_states_or_else_the_target(stage: Stage) -> None:
    state = fold(stage([(0, {0: (10, 1_000)}), (10**9, {0: (-30, 1_000)})], [900]))
    assert the_plan(state) == the_plan(state, size=10)
    assert the_plan(state, size=4).closes[0].size == 4
    assert the_plan(state, policy_of(target="whole position, round at most 20%")).closes[0].size == 2
    deficit = msgspec.structs.replace(RULE, target=Target(Ratio(1, 2)))
    assert the_plan(state, deficit).closes[0].size == 5


# ---- What is missing is named


@pytest.fixture
def complete(stage: Stage) -> list[AnyEvent]:
    return stage([(0, {0: (10, 1_000)}), (10**9, {0: (-30, 1_000)})], [900])


def missing_of(events: list[AnyEvent], opened: AdlRound | None = None, policy: Policy | None = RULE) -> tuple[str, ...]:
    made = plan(fold(events), opened or a_round(), policy)
    assert (made.closes, made.charges) == ((), ())
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
    assert missing_of([*complete, trader], a_round(loser=8)) == ("loser's position", "cash of account")
    assert missing_of([*complete, trader], a_round(loser=8), SHARE_PAID) == ("loser's position", "cash of account")
    assert missing_of([*complete, trader], a_round(loser=8), ALL_PAY) == ("cash of account",)


def test_a_need_that_only_the_round_can_state(complete: list[AnyEvent]) -> None:
    assert missing_of(complete, policy=policy_of(target="stated")) == ("need of the round",)
    assert missing_of(complete, policy=paid("level(paid/gain), cap gain", target="stated")) == ("need of the round",)


def test_against_a_flat_loser_there_is_nothing_to_close(complete: list[AnyEvent]) -> None:
    assert plan(fold(complete), a_round(loser=4), RULE) == Plan((), (), (), 0, 0)


def test_cash_and_entry_of_a_candidate(complete: list[AnyEvent]) -> None:
    assert missing_of(with_unknown_trader(complete, OpenPosition(0, -5, 100, 2))) == ("cash of account",)
    assert missing_of(with_unknown_trader(complete, OpenPosition(0, -5, None, 0), cash=10)) == ("entry price",)


def test_a_policy_that_looks_at_neither_needs_neither(complete: list[AnyEvent]) -> None:
    state = fold(with_unknown_trader(complete, OpenPosition(0, -5, None, 0), cash=10))
    made = plan(state, a_round(7), BY_SIZE)
    assert [(close.winner, close.size) for close in made.closes] == [(7, 6), (8, 1)]


def test_in_a_market_that_nobody_holds_there_is_nobody_to_close(stage: Stage) -> None:
    state = fold(stage([(10**9, {})], [900]))
    for policy in (AT_MARK, BY_SIZE, DRAINING, LEAST):
        assert rank(state, 0, -1, policy) == ((), ())
        assert plan(state, a_round(5), policy) == Plan((), (), (), 5, 0)


def test_missing_inputs_come_in_one_order_and_once(complete: list[AnyEvent]) -> None:
    events = with_unknown_trader(complete[:-1], OpenPosition(0, 5, None, 0))
    trader = AccountOpened(0, 0, 0, 10, "newer", 10, Role.USER, fold(complete).accounts[6].margin, False, None)
    names = missing_of([*events, trader], a_round(loser=10), None)
    assert names == tuple(name for name in MISSING_INPUTS if name in names)
    assert names == ("policy", "loser's position", "cash of account", "entry price", "mark price")


def test_a_mark_that_moves_after_the_round_is_another_plan(complete: list[AnyEvent]) -> None:
    state = fold(complete)
    before = close_price(state, a_round(), AT_MARK)
    evolve(state, PriceTick(0, 0, 0, 0, 901, None), state.seq + 1)
    assert (before.price, close_price(state, a_round(), AT_MARK).price) == (900, 901)
