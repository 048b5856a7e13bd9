from hypothesis import given
from hypothesis import strategies as st

from replay.scenarios.dice import Dice


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
