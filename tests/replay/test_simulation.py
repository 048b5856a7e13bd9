from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.model import AnyEvent, Completeness, PriceTick, Reason, SourceOpened, Transfer
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.state import State
from replay.simulation import Asset, Dice, Watch, World

Stage = Callable[..., list[AnyEvent]]

ASSETS = (Asset("M0", 2, 2, 100_000, 1_000_000, 100_000, 50_000), Asset("M1", 2, 2, 5_000, 2_000_000, 100_000, 50_000))


def test_the_dice_are_splitmix64() -> None:
    # The published first numbers from this seed.
    dice = Dice(1_234_567)
    assert [dice.draw() for _ in range(5)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@given(st.integers(), st.integers(1, 2**40))
def test_dice_stay_within_their_limit(seed: int, limit: int) -> None:
    dice = Dice(seed)
    assert all(0 <= dice.below(limit) < limit for _ in range(20))
    assert all(-3 <= dice.between(-3, limit) <= limit for _ in range(20))


def test_dice_reach_both_ends() -> None:
    dice = Dice(1)
    assert {dice.between(2, 5) for _ in range(200)} == {2, 3, 4, 5}


def test_a_fall_moves_each_market_by_its_own_share_and_the_mark_leads(stage: Stage) -> None:
    world = World(1, ASSETS, 0)
    for event in stage([], [100_000, 5_000]):
        world.emit(event)
    world.emit(SourceOpened(0, 1, 0, "f", bytes(32), bytes(32), 0, "test", 1, None, None, "", Completeness.COMPLETE))
    ticks = [event for event in world.tick(300_000, 0) if isinstance(event, PriceTick)]
    assert [tick.oracle for tick in ticks] == [70_000, 2_000]
    assert all(tick.oracle and tick.mark and 0 < tick.mark < tick.oracle for tick in ticks)
    assert [tick.mark for tick in ticks] == world.state.marks
    # The second market moved by more than three fifths, and that is how far prices have travelled.
    assert 600_000 < world.watch.travelled_ppm < 620_000


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


@given(st.integers(-50, 50).filter(bool), st.integers(0, 10**11), st.lists(st.integers(-40_000, 40_000), max_size=30))
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


@pytest.mark.parametrize(("cash", "safe"), [(10, None), (0, None), (-10, 0)])
def test_a_flat_account_is_safe_unless_it_owes(stage: Stage, cash: int, safe: int | None) -> None:
    state = State()
    events = stage([(20, {}), (0, {})], [100])
    for seq, event in enumerate([*events, Transfer(0, 0, 0, 6, 7, 20 - cash, Reason.OTHER, None)], 1):
        evolve(state, event, seq)
    assert Watch(state).safe_ppm(6, 50_000) == safe
