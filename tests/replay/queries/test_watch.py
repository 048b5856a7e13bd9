"""The watch against going through all accounts after every event."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings

from events.model import FIRST_FREE_ACCOUNT, AnyEvent
from replay.core.evolve import evolve
from replay.core.state import State
from replay.queries.watch import Room, Watch, room_of_equity, room_of_margin
from replay.testing.streams import records


def follow(events: Sequence[AnyEvent], room: Room) -> int:
    """Return how many looks the watch took, having checked after every event that it knows all that are below."""
    state, watch, looks = State(), Watch(room), 0
    below: set[int] = set()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
        for account, worth in watch.after(state, event):
            assert worth == room(state, account)
            looks += 1
            (below.add if worth is not None and worth < 0 else below.discard)(account)
        told = {account: room(state, account) for account in range(FIRST_FREE_ACCOUNT, len(state.accounts))}
        assert below == {account for account, worth in told.items() if worth is not None and worth < 0}
    return looks


@pytest.mark.parametrize("room", [room_of_equity, room_of_margin])
def test_no_account_of_an_incident_is_missed(evening: list[AnyEvent], room: Room) -> None:
    looks = follow(evening, room)
    # Two looks for a trade, and few more: far from one for each account and event.
    assert looks < 4 * len(evening)


@settings(max_examples=60)
@given(records())
def test_no_account_of_any_record_is_missed(events: list[Any]) -> None:
    for room in (room_of_equity, room_of_margin):
        follow(events, room)


def test_forgotten_thresholds_do_not_pile_up(evening: list[AnyEvent]) -> None:
    state, watch = State(), Watch(room_of_equity)
    for _ in range(3):
        for event in evening:
            if state.seq < len(evening):
                evolve(state, event, state.seq + 1)
            watch.after(state, event)
    sizes = [len(side._heap) for sides in watch._sides for side in sides]
    assert max(sizes) < 3 * 4_096
