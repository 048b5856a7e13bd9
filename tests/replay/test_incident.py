from collections import Counter
from itertools import pairwise

import pytest
from msgspec.structs import replace

from events.codec import check, encode
from events.model import (
    EXTERNAL,
    RESERVED_ACCOUNTS,
    AccountOpened,
    AdlClose,
    AdlRound,
    AnyEvent,
    InsuranceDraw,
    LedgerOpened,
    Liquidation,
    MarginMode,
    MarketListed,
    Method,
    Reason,
    Role,
    SourceClosed,
    SourceOpened,
    Transfer,
)
from replay.audit import audit_events
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.invariants import Checker
from replay.core.state import State
from replay.incident import INCIDENT, Scenario, incident

SMALL = Scenario(
    users=120,
    calm_seconds=300,
    crash_seconds=120,
    recovery_seconds=120,
    calm_trades=30,
    crash_trades=2,
    recovery_trades=10,
    fund_cash=20_000,
    depth_cash=500,
)
FUND = 4


@pytest.fixture(scope="module")
def events() -> list[AnyEvent]:
    return list(incident(SMALL))


@pytest.fixture(scope="module")
def whole() -> list[AnyEvent]:
    return list(incident())


def test_the_same_scenario_gives_the_same_bytes(events: list[AnyEvent]) -> None:
    assert [encode(event) for event in incident(SMALL)] == [encode(event) for event in events]


def test_another_seed_gives_another_incident(events: list[AnyEvent]) -> None:
    other = list(incident(replace(SMALL, seed=SMALL.seed + 1)))
    assert [type(event) for event in other] != [type(event) for event in events]


def test_every_event_is_canonical(events: list[AnyEvent]) -> None:
    assert all(check(encode(event)) == event for event in events)


def test_a_ledger_and_its_one_source_are_opened_first(events: list[AnyEvent]) -> None:
    opened, *reserved, source = events[:6]
    assert isinstance(opened, LedgerOpened)
    assert (opened.venue, opened.currency, opened.money_decimals) == ("demo", "USD", 8)
    assert [(e.account, e.name, e.role) for e in reserved if isinstance(e, AccountOpened)] == list(RESERVED_ACCOUNTS)
    assert isinstance(source, SourceOpened)
    assert (source.source, source.name, source.format) == (1, "simulation", "demo")
    assert {event.source for event in events[5:]} == {1}
    closed = events[-1]
    assert isinstance(closed, SourceClosed)
    assert closed.rows_in == closed.rows_used == max(event.row for event in events)


def test_time_never_goes_back(events: list[AnyEvent]) -> None:
    assert all(before.at_ns <= after.at_ns for before, after in pairwise(events))


def test_no_law_is_broken(events: list[AnyEvent]) -> None:
    state = State()
    checker = Checker(state)
    findings = []
    for seq, event in enumerate(events, 1):
        checker.before(event)
        evolve(state, event, seq)
        findings += checker.after(event, seq)
    assert findings + list(checker.finish()) == []


def test_forced_closes_follow_the_waterfall(events: list[AnyEvent]) -> None:
    state, losers = State(), set()
    for seq, event in enumerate(events, 1):
        if isinstance(event, Liquidation):
            equity, requirement = margin.equity(state, event.account), margin.maintenance(state, event.account)
            assert equity is not None
            assert requirement is not None
            if event.method is not Method.TAKEOVER:  # which ends a round, at its price
                assert 0 <= equity < requirement
        elif isinstance(event, InsuranceDraw):
            equity = margin.equity(state, event.account)
            assert event.deficit == -(equity or 0) > 0
        elif isinstance(event, AdlRound):
            assert state.cash[FUND] == 0
            assert (margin.equity(state, event.loser) or 0) < 0
            losers.add(event.loser)
        evolve(state, event, seq)
        assert len(state.cash) <= FUND or state.cash[FUND] >= 0
    assert losers


def test_every_round_is_reproduced_under_the_recorded_policy(events: list[AnyEvent]) -> None:
    verdicts = audit_events(enumerate(events, 1))
    assert {verdict.verdict for verdict in verdicts} == {"reproduced"}
    assert len(verdicts) == sum(isinstance(event, AdlRound) for event in events)


def test_the_whole_incident_has_the_promised_size_and_shape(whole: list[AnyEvent]) -> None:
    kinds = Counter(type(event) for event in whole)
    assert 190_000 <= len(whole) <= 210_000
    assert kinds[MarketListed] == 8
    users = [event for event in whole if isinstance(event, AccountOpened) and event.name.startswith("trader-")]
    assert len(users) == INCIDENT.users == 2_000
    isolated = [event for event in users if event.margin is MarginMode.ISOLATED]
    assert len(isolated) > 500
    assert all(event.owner < event.account and event.role is Role.USER for event in isolated)
    assert kinds[AdlRound] >= 40


def test_the_whole_incident_tells_the_promised_story(whole: list[AnyEvent]) -> None:
    verdicts = audit_events(enumerate(whole, 1))
    assert {verdict.verdict for verdict in verdicts} == {"reproduced"}
    assert sum(verdict.facts.partial for verdict in verdicts) >= 40
    assert sum(len(verdict.facts.winners) > 1 for verdict in verdicts) >= 40
    assert {verdict.fund for verdict in verdicts} == {0}
    assert sum(event.cash for event in whole if isinstance(event, InsuranceDraw)) == INCIDENT.fund_cash * 10**8
    top_ups = [seq for seq, e in enumerate(whole) if isinstance(e, Transfer) and e.reason is Reason.TOP_UP]
    assert len(top_ups) == 2
    last_close = max(seq for seq, event in enumerate(whole) if isinstance(event, AdlClose))
    assert top_ups[1] > last_close
    assert {event.payer for event in whole if isinstance(event, Transfer) and event.reason is Reason.TOP_UP} == {EXTERNAL}


def test_the_whole_incident_leaves_nobody_in_debt(whole: list[AnyEvent]) -> None:
    state = State()
    for seq, event in enumerate(whole, 1):
        evolve(state, event, seq)
    equities = [margin.equity(state, account) for account in range(FUND, len(state.accounts))]
    assert all(equity is not None and equity >= 0 for equity in equities)
