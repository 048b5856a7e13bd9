"""The demo as a whole: its size, its shape and its story."""

from collections import Counter

import pytest

from events.model import (
    EXTERNAL,
    FIRST_FREE_ACCOUNT,
    AccountOpened,
    AdlClose,
    AdlRound,
    AnyEvent,
    InsuranceDraw,
    MarginMode,
    MarketListed,
    Reason,
    Role,
    Transfer,
)
from replay.audit import audit_events
from replay.deficits import Layer, register
from replay.scenarios import load, play

CRASH = load("crash")


@pytest.fixture(scope="module")
def whole() -> list[AnyEvent]:
    return list(play(CRASH))


def test_it_has_the_promised_size_and_shape(whole: list[AnyEvent]) -> None:
    kinds = Counter(type(event) for event in whole)
    assert 190_000 <= len(whole) <= 210_000
    assert kinds[MarketListed] == 8
    assert sum(isinstance(event, AccountOpened) and event.account >= FIRST_FREE_ACCOUNT for event in whole) == 2_008
    users = [event for event in whole if isinstance(event, AccountOpened) and event.name.startswith("trader-")]
    assert len(users) == CRASH.users.count == 2_000
    isolated = [event for event in users if event.margin is MarginMode.ISOLATED]
    assert len(isolated) > 500
    assert all(event.owner < event.account and event.role is Role.USER for event in isolated)
    assert 150 <= kinds[AdlRound] <= 300


def test_it_tells_the_promised_story(whole: list[AnyEvent]) -> None:
    verdicts = audit_events(enumerate(whole, 1))
    assert {verdict.verdict for verdict in verdicts} == {"reproduced"}
    assert sum(verdict.facts.partial for verdict in verdicts) >= 40
    assert sum(len(verdict.facts.winners) > 1 for verdict in verdicts) >= 40
    assert {verdict.fund for verdict in verdicts} == {0}
    assert sum(event.cash for event in whole if isinstance(event, InsuranceDraw)) == CRASH.funds[0].cash
    top_ups = [seq for seq, e in enumerate(whole) if isinstance(e, Transfer) and e.reason is Reason.TOP_UP]
    assert len(top_ups) == 2
    last_close = max(seq for seq, event in enumerate(whole) if isinstance(event, AdlClose))
    assert top_ups[1] > last_close
    assert {event.payer for event in whole if isinstance(event, Transfer) and event.reason is Reason.TOP_UP} == {EXTERNAL}


def test_it_leaves_nobody_in_debt(whole: list[AnyEvent]) -> None:
    found = register(enumerate(whole, 1))
    assert found.closed
    assert (found.undecided, found.venue.episodes) == ((), 0)
    assert found.users.covered[Layer.FUND] == CRASH.funds[0].cash
    assert found.users.covered[Layer.ADL] > 0
