"""The one-invariant bankruptcy price against exact fractions and its laws."""

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.units import Contract
from replay.core.bankruptcy import Direction, close_cash, close_price, divide, margin_share, valid_update

amounts = st.integers(-(10**15), 10**15)
positive = st.integers(1, 10**9)
directions = st.sampled_from(Direction)
LINEAR, INVERSE = Contract.LINEAR, Contract.INVERSE


def nearest(exact: Fraction) -> int:
    return round(exact)  # Python rounds halves of a Fraction to even


# ---- Directions


@given(amounts, positive, directions, st.sampled_from([1, -1]))
def test_every_direction_is_the_nearest_whole_number_on_its_side(
    top: int, bottom: int, direction: Direction, gain: int
) -> None:
    exact = Fraction(top, bottom)
    up = {Direction.UP: True, Direction.DOWN: False, Direction.LOSER: gain > 0, Direction.WINNER: gain < 0}
    expected = nearest(exact) if direction is Direction.NEAREST else (ceil(exact) if up[direction] else floor(exact))
    assert divide(top, bottom, direction, gain=gain) == expected
    assert divide(-top, -bottom, direction, gain=gain) == expected


def test_halves_go_to_even() -> None:
    assert [divide(top, 2, Direction.NEAREST) for top in (-5, -3, -1, 1, 3, 5)] == [-2, -2, 0, 0, 2, 2]


# ---- The cash of a close


@given(amounts, amounts, positive, positive, directions)
def test_the_cash_is_value_less_its_share_of_equity(
    value: int, equity: int, part: int, more: int, direction: Direction
) -> None:
    share = part, part + more
    exact = value - Fraction(equity * part, part + more)
    cash = close_cash(value, equity, share, direction)
    assert abs(cash - exact) < 1
    assert cash >= exact or direction not in {Direction.LOSER, Direction.UP}
    assert cash <= exact or direction not in {Direction.WINNER, Direction.DOWN}


@given(amounts, amounts, directions)
def test_the_last_position_takes_all(value: int, equity: int, direction: Direction) -> None:
    share = margin_share(7, 100, last=True)
    assert share is not None
    # What is left has no value, so equity afterwards is the cash before the close and what the close brought in.
    assert equity - value + close_cash(value, equity, share, direction) == 0


@given(amounts, amounts, st.lists(positive, min_size=3, max_size=3))
def test_a_close_keeps_equity_over_maintenance_and_never_costs_the_loser(value: int, equity: int, parts: list[int]) -> None:
    released, maintenance = parts[0], sum(parts)
    share = margin_share(released, maintenance, last=False)
    assert share is not None
    after = equity - value + close_cash(value, equity, share)
    kept = Fraction(equity * (maintenance - released), maintenance)
    assert 0 <= after - kept < 1


@given(amounts, amounts, positive, positive, positive)
def test_two_partial_closes_are_one_within_a_unit(unit_value: int, equity: int, first: int, second: int, rest: int) -> None:
    # Value and margin in proportion to contracts, as in one tier.
    whole = first + second + rest
    one = close_cash(unit_value * first, equity, (first, whole))
    equity_between = equity - unit_value * first + one
    two = close_cash(unit_value * second, equity_between, (second, second + rest))
    together = close_cash(unit_value * (first + second), equity, (first + second, whole))
    # The first close's rounding, which the loser got, lowers what the second has to bring in, by less than itself.
    assert 0 <= one + two - together <= 1


def test_dydx_v4_floors_toward_minus_infinity() -> None:
    # adl-rules.md section 2: -DNNV - floor(TNC * |DMMR| / TMMR).
    assert close_cash(-12_500_000_000, -1_000_000, (3, 7)) == -12_500_000_000 - -428_572
    assert close_cash(0, 10, (1, 3)) == -3


def test_positions_that_share_a_requirement_of_zero_have_no_share() -> None:
    assert margin_share(0, 0, last=False) is None
    assert margin_share(0, 0, last=True) == (1, 1)
    assert margin_share(2, 5, last=False) == (2, 5)


# ---- The same from the money alone


@given(st.integers(0, 10**12), positive, st.data(), amounts)
def test_with_one_position_it_is_the_margin_split_of_dydx_v1(margin: int, size: int, data: st.DataObject, price: int) -> None:
    closed = data.draw(st.integers(0, size))
    exact = Fraction(margin * closed, size)
    owed = close_cash(closed * price, size * price - margin, (closed, size))  # an underwater long owes money
    owned = close_cash(-closed * price, margin - size * price, (closed, size))
    assert (owed, owned) == (ceil(exact), -floor(exact))


# ---- The price

sizes = st.integers(-(10**9), 10**9).filter(bool)
scales = st.tuples(st.sampled_from([1, 10, 10**6]), st.just(1)) | st.tuples(st.just(1), st.sampled_from([1, 10, 10**6]))


@given(sizes, amounts, positive, scales, directions)
def test_a_linear_price_is_the_cash_per_contract_on_the_grid(
    size: int, needed: int, whole: int, scale: tuple[int, int], direction: Direction
) -> None:
    exact = Fraction(needed, whole) / size * scale[1] / scale[0]
    up = {Direction.UP: True, Direction.DOWN: False, Direction.LOSER: size > 0, Direction.WINNER: size < 0}
    expected = nearest(exact) if direction is Direction.NEAREST else (ceil(exact) if up[direction] else floor(exact))
    assert close_price(LINEAR, size, (needed, whole), scale, direction) == expected


@given(sizes, amounts, positive, scales, directions)
def test_an_inverse_price_divides_the_contracts_by_the_cash(
    size: int, needed: int, whole: int, scale: tuple[int, int], direction: Direction
) -> None:
    price = close_price(INVERSE, size, (needed, whole), scale, direction)
    exact = Fraction(-size * scale[0], scale[1]) / Fraction(needed, whole) if needed else Fraction(0)
    up = {Direction.UP: True, Direction.DOWN: False, Direction.LOSER: size > 0, Direction.WINNER: size < 0}
    rounded = nearest(exact) if direction is Direction.NEAREST else (ceil(exact) if up[direction] else floor(exact))
    assert price == (rounded if exact > 0 and rounded > 0 else None)


@given(st.sampled_from([LINEAR, INVERSE]), sizes, amounts, positive, scales)
def test_rounded_for_the_loser_the_close_brings_in_at_least_the_cash(
    contract: Contract, size: int, needed: int, whole: int, scale: tuple[int, int]
) -> None:
    def brings_in(price: int) -> Fraction:
        return (
            Fraction(size * price * scale[0], scale[1]) if contract is LINEAR else Fraction(-size * scale[0], price * scale[1])
        )

    loser, winner = (close_price(contract, size, (needed, whole), scale, d) for d in (Direction.LOSER, Direction.WINNER))
    for price, sign in ((loser, 1), (winner, -1)):
        assert price is None or sign * (brings_in(price) - Fraction(needed, whole)) >= 0
    if loser is not None and winner is not None:
        assert abs(loser - winner) <= 1


@given(sizes, amounts, positive, scales, st.integers(1, 10**9))
def test_the_mirror_of_a_position_has_the_mirrored_price(
    size: int, equity: int, whole: int, scale: tuple[int, int], mark: int
) -> None:
    # Size and value with the other sign, the same equity: as far from the mark, on the other side.
    value = size * mark * scale[0] // scale[1] * whole
    one = close_price(LINEAR, size, (value - equity, whole), scale)
    two = close_price(LINEAR, -size, (-value - equity, whole), scale)
    assert one is not None
    assert two is not None
    at = Fraction(value, whole) / size * scale[1] / scale[0]
    exact = [Fraction(sign * value - equity, whole) / (sign * size) * scale[1] / scale[0] for sign in (1, -1)]
    assert exact[0] - at == at - exact[1]
    assert (one, two) == ((ceil(exact[0]), floor(exact[1])) if size > 0 else (floor(exact[0]), ceil(exact[1])))


def test_the_textbook_and_the_negative_price() -> None:
    # Long 5 entered at 100 with 50 of margin: 90. A long with money of its own: below zero (dYdX v4 tests -1 USDC).
    assert close_price(LINEAR, 5, (5 * 100 - 50, 1), (1, 1)) == 90
    assert close_price(LINEAR, 1, (-1, 1), (1, 1)) == -1
    # Kraken's example: 1000 USD of an inverse contract, 0.135 BTC needed: 7407.4, which for a sale is 7408.
    assert close_price(INVERSE, 1_000, (-135, 1_000), (1, 1)) == 7_408
    assert close_price(INVERSE, 1_000, (-135, 1_000), (1, 1), Direction.DOWN) == 7_407
    assert close_price(INVERSE, 1_000, (135, 1_000), (1, 1)) is None


# ---- Validity of an update


@pytest.mark.parametrize(
    ("old", "new", "valid"),
    [
        ((-1, 0), (-2, 1), False),  # the margin rises
        ((-1, 0), (100, 1), False),
        ((-1, 0), (-1, 0), False),  # no positions, and nothing gained
        ((-2, 0), (-1, 0), True),
        ((9, 0), (8, 0), False),  # a margin of nothing is no leave to lose
        ((-2, 1), (-1, 0), False),  # closed, and still below zero
        ((-2, 1), (0, 0), True),
        ((4, 10), (2, 5), True),  # the ratio stays
        ((4, 10), (1, 5), False),
        ((-4, 10), (-2, 5), True),
        ((-4, 10), (-3, 5), False),
        ((-4, 10), (-4, 10), True),
    ],
)
def test_valid_updates(old: tuple[int, int], new: tuple[int, int], valid: bool) -> None:
    assert valid_update(*old, *new) is valid


@given(amounts, positive, st.data(), amounts)
def test_a_close_at_the_bankruptcy_price_is_a_valid_update(
    equity: int, maintenance: int, data: st.DataObject, value: int
) -> None:
    released = data.draw(st.integers(0, maintenance))
    after = equity - value + close_cash(value, equity, (released, maintenance))
    assert valid_update(equity, maintenance, after, maintenance - released)


@given(amounts, positive, positive, amounts)
def test_validity_is_the_order_of_ratios(old: int, old_margin: int, lower: int, new: int) -> None:
    new_margin = min(lower, old_margin)
    assert valid_update(old, old_margin, new, new_margin) is (Fraction(new, new_margin) >= Fraction(old, old_margin))
