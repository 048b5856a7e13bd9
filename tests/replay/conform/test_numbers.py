"""Exact numbers of vectors, and the core's rules without a grid."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.units import Contract
from replay.conform.numbers import exact, exact_close_price, exact_greedy, printed_decimals, spelled

fractions = st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=1_000)
above_zero = st.fractions(min_value=Fraction(1, 1_000), max_value=10**6, max_denominator=1_000)


@given(fractions)
def test_a_number_is_spelled_and_read_back(number: Fraction) -> None:
    assert exact(spelled(number)) == number


@pytest.mark.parametrize(
    ("text", "number", "decimals"),
    [("-12.50", Fraction(-25, 2), 2), ("7", Fraction(7), 0), ("45/11", Fraction(45, 11), None), ("2/1", Fraction(2), None)],
)
def test_texts_of_numbers(text: str, number: Fraction, decimals: int | None) -> None:
    assert (exact(text), printed_decimals(text)) == (number, decimals)


@pytest.mark.parametrize("text", ["", "1e5", "1/0", "1/-2", ".5", "5.", "1,000", " 1", "٣", "nan", "1" * 65, "0x1"])
def test_texts_that_are_no_plain_number(text: str) -> None:
    assert exact(text) is None


@given(fractions.filter(bool), fractions)
def test_a_close_price_without_a_grid_is_exact(size: Fraction, cash: Fraction) -> None:
    assert exact_close_price(Contract.LINEAR, size, cash) == cash / size
    inverse = -size / cash if cash else Fraction(0)
    assert exact_close_price(Contract.INVERSE, size, cash) == (inverse if inverse > 0 else None)


@given(st.lists(above_zero, min_size=1, max_size=5), st.fractions(0, 1, max_denominator=1_000))
def test_sharing_without_a_grid_is_exact(caps: list[Fraction], part: Fraction) -> None:
    amount = sum(caps) * part
    left, taken = amount, []
    for cap in caps:
        taken.append(min(cap, left))
        left -= taken[-1]
    assert exact_greedy(caps, amount) == taken
