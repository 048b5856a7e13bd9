"""The story of a record: what it counts, and how it is cut into steps of time."""

from collections.abc import Callable
from pathlib import Path

import pytest

from events.model import AdlClose, AdlRound, Event, InsuranceDraw, LedgerOpened, Liquidation, Role
from ledger.store import Ledger, create, open_ledger
from replay.core.margin import market_value
from replay.fold import replay
from replay.incident import Scenario, incident
from replay.story import STEP_SECONDS, STEPS_WANTED, tell

SMALL = Scenario(users=120, calm_seconds=300, crash_seconds=240, recovery_seconds=300, fund_cash=20_000, depth_cash=400)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("story") / "small.adl"
    events = list(incident(SMALL))
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
