from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from events.errors import BadInputError, MisuseError, ReducerError
from events.model import (
    AdlClose,
    AnyEvent,
    Corrected,
    InsuranceDraw,
    LedgerOpened,
    Liquidation,
    MarketListed,
    Method,
    PolicyAdopted,
    SourceClosed,
    SourceOpened,
    Transfer,
)
from replay.audit import audit_events
from replay.core.evolve import evolve
from replay.core.invariants import LAWS, Checker
from replay.core.root import state_root
from replay.core.state import State
from replay.deficits import register
from replay.presets import preset
from replay.scenarios import load, play, shipped
from replay.testing.streams import records
from replay.whatif.change import UNCHANGED, Change, PriceSource
from replay.whatif.closed_loop import FORMAT, ClosedLoop
from replay.whatif.forced import dealt_with, key_of
from replay.whatif.survey import Survey, survey

Log = list[tuple[int, AnyEvent]]

CHANGES = {
    "no change": UNCHANGED,
    "no ADL": Change(no_adl=True),
    "no fund": Change(fund_cash=0, fund="0"),
    "large fund": Change(fund_cash=10**16, fund="100000000"),
    "at mark": Change(price=PriceSource.MARK),
    "previous mark": Change(price=PriceSource.PREVIOUS_MARK),
    "bybit": Change(policy=preset("bybit").texts),
    "dydx-v4": Change(policy=preset("dydx-v4").texts),
    "drift-v2": Change(policy=preset("drift-v2").texts),
    "leverage-draining, no fund": Change(policy=preset("leverage-draining").texts, fund_cash=0, fund="0"),
}


def run(log: Log, change: Change, since: int | None = None) -> tuple[Log, ClosedLoop, Survey]:
    known = survey(log, since)
    loop = ClosedLoop(log, known, change, "origin")
    return list(enumerate(loop.events(), 1)), loop, known


def replayed(log: Log) -> State:
    state = State()
    for seq, event in log:
        evolve(state, event, seq)
    return state


def comparable(event: AnyEvent) -> AnyEvent:
    """Return an event without its source and row and, if the engine decides such, its trade id: these are of one run."""
    event = replace(event, source=0, row=0)
    return replace(event, trade=None) if isinstance(event, AdlClose | Liquidation) else event


def without_label(log: Log) -> list[AnyEvent]:
    mine = {event.source for _, event in log if isinstance(event, SourceOpened) and event.format == FORMAT}
    return [
        comparable(event)
        for _, event in log
        if not isinstance(event, LedgerOpened) and not (event.source in mine and isinstance(event, SourceOpened | SourceClosed))
    ]


@pytest.fixture(scope="module", params=["demo", *(name for name in shipped() if name != "crash")])
def record(request: pytest.FixtureRequest, evening: Log) -> Log:
    return evening if request.param == "demo" else list(enumerate(play(load(request.param)), 1))


def test_unchanged_it_is_the_record_after_the_label(record: Log) -> None:
    out, loop, known = run(record, UNCHANGED)
    assert without_label(out) == without_label(record)
    assert loop.tallies.removed == loop.tallies.decided
    assert loop.tallies.decided_keys == known.forced
    assert loop.tallies.parted == 0
    before, after = replayed(record), replayed(out)
    assert before.cash == after.cash
    assert before.positions == after.positions
    assert state_root(before) != state_root(after)


@pytest.mark.parametrize("name", CHANGES)
def test_every_what_if_is_sound_and_follows_its_own_policy(evening: Log, name: str) -> None:
    out, loop, _ = run(evening, CHANGES[name])
    state = State()
    checker = Checker(state)
    found = []
    for seq, event in out:
        checker.before(event)
        evolve(state, event, seq)
        found += checker.after(event, seq)
    assert [*found, *checker.finish()] == []
    assert {verdict.verdict for verdict in audit_events(out)} <= {"reproduced"}
    assert state_root(state) != state_root(replayed(evening))
    assert (loop.tallies.parted == 0) is (name == "no change")


def test_what_comes_from_outside_stays_as_it_was(evening: Log) -> None:
    out, loop, known = run(evening, CHANGES["no fund"])
    assert not loop.tallies.dropped
    kinds = ("Fill", "PriceTick", "Funding", "AccountOpened", "MarketListed")

    def outside(log: Log) -> Counter[str]:
        return Counter(type(event).__name__ for _, event in log if type(event).__name__ in kinds)

    assert outside(out) == outside(evening)
    assert [comparable(event) for seq, event in out if 1 < seq < known.since] == [
        comparable(event) for seq, event in evening if 1 < seq < known.since
    ]


def test_label_and_source_say_what_it_is(evening: Log) -> None:
    out, _, known = run(evening, CHANGES["no ADL"])
    opened = out[0][1]
    assert isinstance(opened, LedgerOpened)
    assert opened.venue == "what-if of simulation: no ADL"
    source = out[known.since - 1][1]
    assert isinstance(source, SourceOpened)
    assert (source.name, source.format) == ("what-if of simulation: no ADL", FORMAT)
    forced = [event for _, event in out[known.since :] if isinstance(event, InsuranceDraw)]
    assert {event.source for event in forced} == {source.source}


def test_without_adl_the_deficit_stays_in_the_register(evening: Log) -> None:
    out, loop, _ = run(evening, CHANGES["no ADL"])
    assert not loop.tallies.decided["AdlRound"]
    users = register(out).users
    debts = replayed(out)
    owed = sum(-cash for account, cash in enumerate(debts.cash) if account > 5 and cash < 0 and not _holds(debts, account))
    assert users.left_cash == owed > 0


def _holds(state: State, account: int) -> bool:
    return any(position.size for position in state.holdings[account].values())


def test_a_fund_that_is_large_enough_needs_no_adl(evening: Log) -> None:
    out, loop, _ = run(evening, CHANGES["large fund"])
    assert not loop.tallies.decided["AdlRound"]
    assert register(out).users.left_cash == 0
    top_up = next(event for _, event in out if isinstance(event, Transfer) and event.reference == "what-if")
    assert replayed(out[: [event for _, event in out].index(top_up) + 1]).cash[4] == 10**16


def test_a_liquidation_on_the_book_is_clipped_to_what_is_left(evening: Log) -> None:
    clipped = dropped = 0
    for change in CHANGES.values():
        out, loop, _ = run(evening, change)
        clipped, dropped = clipped + loop.tallies.clipped, dropped + loop.tallies.dropped
        state = State()
        for seq, event in out:
            if isinstance(event, Liquidation) and event.method is Method.MARKET:
                held = state.positions[event.market][event.account].size
                assert 0 < event.size <= (held if event.account == event.seller else -held)
            evolve(state, event, seq)
    assert clipped + dropped > 0


def test_from_a_later_point_everything_before_stays(evening: Log) -> None:
    middle = [seq for seq, event in evening if isinstance(event, AdlClose)][50]
    out, _, known = run(evening, CHANGES["no ADL"], middle)
    assert known.since == middle
    assert out[1 : middle - 1] == evening[1 : middle - 1]
    assert not any(isinstance(event, AdlClose) for _, event in out[middle:])


def test_a_policy_adopted_later_is_changed_or_gives_way(evening: Log) -> None:
    first = survey(evening, None).since
    later = [event for _, event in evening]
    adopted = next(event for event in later if isinstance(event, PolicyAdopted))
    at = len(later) - 100
    later.insert(at, replace(adopted, policy=1, at_ns=later[at].at_ns))
    log: Log = list(enumerate(later, 1))
    out, _, _ = run(log, CHANGES["at mark"])
    assert [e.price for _, e in out if isinstance(e, PolicyAdopted)] == ["bankruptcy", "mark", "mark"]
    out, _, _ = run(log, CHANGES["bybit"])
    assert [e.name for _, e in out[first:] if isinstance(e, PolicyAdopted)] == [preset("bybit").name]


def test_a_correction_after_the_change_is_refused(evening: Log) -> None:
    log: Log = [*evening[:-1], (len(evening), Corrected(0, 0, 0, 7, "a slip", "us", 0))]
    with pytest.raises(MisuseError, match="correction"):
        run(log, CHANGES["no ADL"])


def test_a_record_that_forces_nothing_has_no_closed_loop(evening: Log) -> None:
    with pytest.raises(MisuseError, match="nothing was forced"):
        survey(evening[:1_000], None)


def test_what_the_engine_lacks_is_named_with_its_seq(evening: Log) -> None:
    log: Log = [(seq, replace(event, tiers=()) if isinstance(event, MarketListed) else event) for seq, event in evening]
    with pytest.raises(MisuseError, match=r"at seq \d+ of the record the engine cannot go on"):
        run(log, UNCHANGED)


def test_a_record_of_another_venue_is_measured(evening: Log) -> None:
    place, close = next((i, e) for i, (_, e) in enumerate(evening) if isinstance(e, AdlClose) and e.size > 1)
    log = [*evening[:place], (place + 1, replace(close, size=close.size - 1)), *evening[place + 1 :]]
    _, loop, known = run(log, UNCHANGED)
    same = (loop.tallies.decided_keys & known.forced).total()
    assert 0 < same < known.forced.total()
    assert loop.tallies.parted > 0


def test_only_what_the_venue_decides_is_forced(evening: Log) -> None:
    state, forced = State(), Counter[str]()
    for seq, event in evening:
        if dealt_with(state, event) is not None:
            forced[type(event).__name__] += 1
            assert key_of(event) is not None
            assert not isinstance(event, Liquidation) or event.method in (Method.BACKSTOP, Method.TAKEOVER)
        evolve(state, event, seq)
    assert forced.keys() == {"AdlClose", "AdlRound", "InsuranceDraw", "Liquidation", "Transfer"}


@settings(max_examples=60)
@given(records(), st.sampled_from(sorted(CHANGES)))
def test_any_record_is_carried_on_soundly_or_refused(events: list[AnyEvent], name: str) -> None:
    log: Log = list(enumerate(events, 1))
    try:
        out, loop, known = run(log, CHANGES[name])
    except (MisuseError, BadInputError) as error:
        # A policy on record may not be readable; but nothing that the loop makes may be refused by the reducer.
        if isinstance(error, ReducerError):
            raise
        return
    state = State()
    checker = Checker(state)
    books = {law.name for law in LAWS if law.tier == "books"}
    for seq, event in out:
        checker.before(event)
        evolve(state, event, seq)
        assert not [finding for finding in checker.after(event, seq) if finding.law in books]
    assert not [finding for finding in checker.finish() if finding.law in books]
    assert loop.tallies.removed.total() == known.forced.total()
