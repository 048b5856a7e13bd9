"""What the tests of the engine share: fold events to a state, and ask the engine until it has nothing more to do."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import pytest

from events.codec import check, encode
from events.model import AdlClose, AnyEvent, Liquidation, Method
from replay.core.engine import Bid, Look, Moment, Rules, decide
from replay.core.evolve import evolve
from replay.core.state import State

Fold: TypeAlias = Callable[[Iterable[AnyEvent]], State]
Settle: TypeAlias = Callable[..., list[AnyEvent]]

STEPS_MAX = 500


@pytest.fixture(scope="session")
def fold() -> Fold:
    """Return a function that gives the state after events from a ledger's first on."""

    def folded(events: Iterable[AnyEvent]) -> State:
        state = State()
        for seq, event in enumerate(events, 1):
            evolve(state, event, seq)
        return state

    return folded


@pytest.fixture(scope="session")
def settle() -> Settle:
    """Return a function that carries out what the engine decides about an account at one moment, and gives the events.

    What must hold after each event whatever the policy is asserted on the way: it has one encoding, it applies, and sizes and
    cash add up to zero. ``before`` is called with each event and the state that it meets.
    """

    def settled(
        state: State,
        account: int,
        rules: Rules,
        book: Mapping[int, Bid] | None = None,
        *,
        at_ns: int = 5,
        before: Callable[[State, AnyEvent], None] = lambda _state, _event: None,
    ) -> list[AnyEvent]:
        bids, trade = dict(book or {}), 1_000
        done: list[AnyEvent] = []
        for _ in range(STEPS_MAX):
            decision = decide(state, Look(account, bids), rules, Moment(at_ns, 0, 0, trade))
            assert decision.refusal is None
            if not decision.events:
                return done
            for event in decision.events:
                assert check(encode(event)) == event
                before(state, event)
                evolve(state, event, state.seq + 1)
                assert sum(state.cash) == 0
                assert all(sum(position.size for position in held.values()) == 0 for held in state.positions)
                if isinstance(event, AdlClose | Liquidation):
                    assert event.trade == trade
                    trade += 1
                if isinstance(event, Liquidation) and event.method is Method.MARKET:
                    bid = bids[event.market]
                    bids[event.market] = Bid(bid.account, bid.size - event.size)
            done += decision.events
        raise AssertionError(f"no end after {STEPS_MAX} steps")

    return settled
