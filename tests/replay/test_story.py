"""The story of a record: what it counts, and how it is cut into steps of time."""

from collections.abc import Callable
from pathlib import Path

import pytest

from events.model import (
    EXTERNAL,
    AccountOpened,
    AdlClose,
    AdlRound,
    AnyEvent,
    Basis,
    Contract,
    Event,
    InsuranceDraw,
    LedgerOpened,
    Liquidation,
    MarginMode,
    MarketListed,
    MarketStatus,
    Method,
    PriceTick,
    Reason,
    Role,
    Taker,
    Transfer,
)
from ledger.store import Ledger, create, open_ledger
from replay.core.margin import market_value
from replay.fold import replay
from replay.scenarios import load, play
from replay.story import STEP_SECONDS, STEPS_WANTED, Story, tell
from replay.testing.scenarios import scaled
from replay.testing.streams import beginning

SMALL = scaled(load("crash"), fund=15_000)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("story") / "small.adl"
    events = list(play(SMALL))
    assert isinstance(events[0], LedgerOpened)
    create(path, events[0])
    with open_ledger(path, write=True) as ledger:
        ledger.append(events[ledger.head :], expected_head=ledger.head)
    return path


def amounts(ledger: Ledger, kind: type[Event], amount: Callable[..., int]) -> list[int]:
    return [amount(event) for _, event in ledger.events() if type(event) is kind]


def test_totals_are_those_of_the_log(recorded: Path) -> None:
    with open_ledger(recorded) as ledger:
        story, state = tell(ledger), replay(ledger)

        def worth(event: Liquidation | AdlClose) -> int:
            return abs(market_value(state.markets[event.market], event.size, event.price))

        liquidated = amounts(ledger, Liquidation, worth)
        closed = amounts(ledger, AdlClose, worth)
        drawn = amounts(ledger, InsuranceDraw, lambda event: event.cash)
        rounds = amounts(ledger, AdlRound, lambda _: 1)
    assert rounds, "the small incident must come to ADL"
    assert (story.liquidations, story.liquidated_cash) == (len(liquidated), sum(liquidated))
    assert (story.closes, story.closed_cash) == (len(closed), sum(closed))
    assert (story.rounds, story.drawn_cash) == (len(rounds), sum(drawn))
    assert sum(winner.closed_cash for winner in story.winners) == story.closed_cash
    assert [w.closed_cash for w in story.winners] == sorted((w.closed_cash for w in story.winners), reverse=True)


def test_the_steps_hold_everything_once(recorded: Path) -> None:
    with open_ledger(recorded) as ledger:
        story = tell(ledger)
    assert story.step_ns // 10**9 in STEP_SECONDS
    assert len(story.steps) <= STEPS_WANTED + 7
    assert sum(step.liquidations for step in story.steps) == story.liquidations
    assert sum(step.closed_cash for step in story.steps) == story.closed_cash
    assert sum(step.drawn_cash for step in story.steps) == story.drawn_cash
    assert [step.at_ns for step in story.steps] == sorted(step.at_ns for step in story.steps)
    assert story.steps[0].liquidations == story.steps[0].closes == 0


def test_the_last_step_is_the_end_of_the_record(recorded: Path) -> None:
    with open_ledger(recorded) as ledger:
        story, state = tell(ledger), replay(ledger)
    funds = [account.account for account in state.accounts if account.role == Role.FUND]
    assert story.fund_last == story.steps[-1].fund_cash == sum(state.cash[fund] for fund in funds)
    assert story.steps[-1].mark == state.marks[0]
    assert story.fund_low == min(step.fund_cash for step in story.steps if step.fund_cash is not None) == 0


def test_a_record_without_an_incident_has_a_story_without_steps(tmp_path: Path) -> None:
    create(tmp_path / "l.adl", LedgerOpened(0, 0, 0, "venue", "USD", 8, 1))
    with open_ledger(tmp_path / "l.adl") as ledger:
        story = tell(ledger)
    assert (story.steps, story.winners, story.fund_low, story.reference) == ([], [], None, None)


# ---- Times that are not there, go back, or are far apart

SECOND = 10**9
DAY = 86_400 * SECOND
NOON = 1_760_000_000 * SECOND


def liquidation(at_ns: int) -> Liquidation:
    unsaid = (None, None, None, None, None, None)
    trade = (0, 5, 6, 100, 1, 0, 0, None, Taker.UNKNOWN, *unsaid)
    return Liquidation(at_ns, 0, 0, *trade, 6, Method.MARKET, None, None, None)


def role(account: int, of: Role, *, new: bool = False) -> AccountOpened:
    return AccountOpened(0, 0, 0, account, f"a{account}", account, of, MarginMode.CROSS, new, None)


def pay(payer: int, payee: int, cash: int) -> Transfer:
    return Transfer(0, 0, 0, payer, payee, cash, Reason.OTHER, None)


@pytest.fixture
def told(tmp_path: Path) -> Callable[..., Story]:
    def tell_of(*events: AnyEvent) -> Story:
        limits = (Basis.AVERAGE, False, (), None, MarketStatus.TRADING)
        listed = MarketListed(0, 0, 0, 0, "M", Contract.LINEAR, 2, 2, 1, 0, 1, 1, *limits)
        users = [role(account, Role.USER, new=True) for account in (4, 5, 6)]
        record: list[AnyEvent] = [*beginning(), listed, *users, *events]
        assert isinstance(record[0], LedgerOpened)
        create(tmp_path / "l.adl", record[0])
        with open_ledger(tmp_path / "l.adl", write=True) as ledger:
            ledger.append(record[ledger.head :], expected_head=ledger.head)
            return tell(ledger)

    return tell_of


@pytest.mark.parametrize(
    ("times", "step_ns"),
    [
        ((0, NOON), SECOND),
        ((NOON, 0, NOON + 1), SECOND),
        ((NOON, NOON - DAY, NOON + 40 * SECOND), 5 * SECOND),
        ((-NOON, NOON), SECOND),
        ((NOON, NOON + 16 * DAY), DAY),
        ((NOON, NOON + 16 * DAY + 1), 2 * DAY),
        ((1, NOON), 1_274 * DAY),
        ((1, 2**63 - 1), 6_672 * DAY),
    ],
)
def test_whatever_the_times_there_are_few_steps_and_all_is_in_them(
    told: Callable[..., Story], times: tuple[int, ...], step_ns: int
) -> None:
    story = told(*map(liquidation, times))
    assert story.step_ns == step_ns
    assert len(story.steps) <= STEPS_WANTED + 7
    assert sum(step.liquidations for step in story.steps) == story.liquidations == len(times)


def test_facts_keep_the_order_of_the_log(told: Callable[..., Story]) -> None:
    marks = [PriceTick(at, 0, 0, 0, mark, None) for at, mark in ((NOON, 100), (NOON - 5 * SECOND, 90), (0, 80))]
    story = told(liquidation(NOON), *marks, PriceTick(NOON, 0, 0, 0, None, 70))
    assert story.steps[-1].mark == 80


def test_without_times_there_are_totals_and_no_steps(told: Callable[..., Story]) -> None:
    story = told(liquidation(0), liquidation(0))
    assert (story.steps, story.liquidations, story.liquidated_cash) == ([], 2, 2 * 100 * 10_000)


def test_a_fund_is_who_has_that_role_at_the_time(told: Callable[..., Story]) -> None:
    story = told(
        pay(EXTERNAL, 4, 300),
        role(4, Role.FUND),
        pay(EXTERNAL, 4, 200),
        pay(4, 6, 450),
        role(4, Role.USER),
        pay(EXTERNAL, 4, 7),
        role(6, Role.FUND),
        liquidation(NOON),
    )
    assert (story.fund_first, story.fund_low, story.fund_last) == (300, 0, 450)
