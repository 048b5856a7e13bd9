from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.model import AnyEvent, Reason, Transfer
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.state import State
from replay.scenarios.watch import Watch

Stage = Callable[..., list[AnyEvent]]


def test_an_account_comes_up_again_when_prices_have_travelled_far_enough() -> None:
    watch = Watch(State())
    watch.schedule(7, 100)
    watch.touch(5)
    assert (watch.pop(), watch.pop()) == (5, None)
    watch.travelled_ppm = 99
    assert watch.pop() is None
    watch.travelled_ppm = 100
    assert (watch.pop(), watch.pop()) == (7, None)


def test_only_the_latest_date_counts() -> None:
    watch = Watch(State())
    watch.schedule(7, 100)
    watch.schedule(7, 200)
    watch.travelled_ppm = 150
    assert watch.pop() is None
    watch.touch(7)
    assert (watch.pop(), watch.pop()) == (7, None)


@given(
    st.integers(-50, 50).filter(bool),
    st.integers(0, 10**11),
    st.lists(st.integers(-400_000, 400_000), max_size=30),
)
def test_whoever_is_called_safe_stays_above_the_requirement(stage: Stage, size: int, cash: int, moves: list[int]) -> None:
    state = State()
    for seq, event in enumerate(stage([(cash, {0: (size, 100_000)})], [100_000]), 1):
        evolve(state, event, seq)
    safe, travelled = Watch(state).safe_ppm(6, 50_000), 0
    assert safe is not None
    for move in moves:
        before = state.marks[0]
        after = before + before * move // 1_000_000
        travelled += abs(after - before) * 1_000_000 // before + 1
        if travelled >= safe:
            break
        state.marks[0] = after
        equity, requirement = margin.equity(state, 6), margin.maintenance(state, 6)
        assert equity is not None
        assert requirement is not None
        assert equity >= requirement


@pytest.mark.parametrize("size", [-10, 10])
def test_steady_small_moves_against_a_position_are_noticed_in_time(stage: Stage, size: int) -> None:
    """Moves that compound: the worst case of the distance that is called safe."""
    state = State()
    # A position of 1,000.00 per contract with an equity as large as its notional.
    for seq, event in enumerate(stage([(10 * 10**9, {0: (size, 100_000)})], [100_000]), 1):
        evolve(state, event, seq)
    safe, travelled = Watch(state).safe_ppm(6, 50_000), 0
    assert safe is not None
    assert safe > 400_000
    step = 1_000 if size < 0 else -1_000
    while True:
        travelled += 1_001
        if travelled >= safe:
            break
        state.marks[0] += state.marks[0] * step // 1_000_000
    equity, requirement = margin.equity(state, 6), margin.maintenance(state, 6)
    assert equity is not None
    assert requirement is not None
    assert equity >= requirement


@pytest.mark.parametrize(("cash", "safe"), [(10, None), (0, None), (-10, 0)])
def test_a_flat_account_is_safe_unless_it_owes(stage: Stage, cash: int, safe: int | None) -> None:
    state = State()
    events = stage([(20, {}), (0, {})], [100])
    for seq, event in enumerate([*events, Transfer(0, 0, 0, 6, 7, 20 - cash, Reason.OTHER, None)], 1):
        evolve(state, event, seq)
    assert Watch(state).safe_ppm(6, 50_000) == safe
