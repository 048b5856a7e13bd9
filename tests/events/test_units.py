from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from events.errors import NumberError
from events.units import Contract, div_half_even, format_units, notional, parse_units, quantise

INTEGERS = st.integers(-(2**130), 2**130)
DECIMALS = st.integers(0, 18)
POSITIVE = st.integers(1, 2**64)


@given(INTEGERS, DECIMALS)
def test_what_is_formatted_parses_to_itself(value: int, decimals: int) -> None:
    text = format_units(value, decimals)
    assert parse_units(text, decimals) == value
    assert Fraction(text) == Fraction(value, 10**decimals)


@given(INTEGERS, DECIMALS)
def test_formatted_text_is_the_shortest(value: int, decimals: int) -> None:
    text = format_units(value, decimals)
    assert text != "-0"
    assert "." not in text or text[-1] not in ".0"


@given(INTEGERS, DECIMALS, st.integers(0, 5))
def test_a_finer_grid_multiplies(value: int, decimals: int, finer: int) -> None:
    assert parse_units(format_units(value, decimals), decimals + finer) == value * 10**finer


@pytest.mark.parametrize(
    ("text", "decimals", "value"),
    [
        ("0", 0, 0),
        ("-0", 2, 0),
        ("-0.00", 2, 0),
        ("007", 0, 7),
        ("1.50", 1, 15),
        ("1.000", 0, 1),
        ("-12.34", 4, -123400),
    ],
)
def test_plain_numbers(text: str, decimals: int, value: int) -> None:
    assert parse_units(text, decimals) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-",
        ".",
        "1.",
        ".5",
        "+1",
        "1e3",
        "1_000",
        "1,000",
        " 1",
        "1\n",
        "--1",
        "nan",
        "inf",
        "0x10",
        "\u0661",
        "1.2.3",
        "9" * 65,
    ],
)
def test_what_is_no_plain_number_is_refused(text: str) -> None:
    with pytest.raises(NumberError):
        parse_units(text, 18)


def test_more_decimals_than_the_grid_are_refused() -> None:
    with pytest.raises(NumberError, match="more than 2 decimals"):
        parse_units("1.234", 2)


@given(st.text(max_size=70), DECIMALS)
def test_any_text_is_a_number_or_refused(text: str, decimals: int) -> None:
    for function in (parse_units, quantise):
        with suppress(NumberError):
            function(text, decimals)


@given(INTEGERS, st.integers(0, 25), DECIMALS)
def test_quantising_loses_nothing_and_takes_the_nearest(value: int, have: int, decimals: int) -> None:
    text = format_units(value, have)
    assume(len(text) <= 64)
    exact = Fraction(text)
    grid = Fraction(1, 10**decimals)
    try:
        found = quantise(text, decimals)
    except NumberError:
        # Only a number that lies off the grid by more than the noise of a double is refused.
        nearest = round(exact / grid) * grid
        assert abs(exact - nearest) > abs(exact) / 2**48
        return
    assert found.value * grid + Fraction(found.residual, 10**found.residual_decimals) == exact
    assert found.value == round(exact / grid)
    assert abs(exact - found.value * grid) <= abs(exact) / 2**48


@given(st.integers(-(10**15), 10**15), st.integers(0, 8))
def test_a_printed_double_goes_back_to_its_grid(value: int, decimals: int) -> None:
    assert quantise(repr(value / 10**decimals), decimals).value == value


@given(st.integers(-(10**14), 10**14), st.integers(-(10**14), 10**14))
def test_the_noise_of_one_addition_of_doubles_is_cut_off(one: int, other: int) -> None:
    # A sum that nearly cancels has no more correct digits than its terms: that is not noise, and not this law.
    assume(abs(one + other) * 4 >= max(abs(one), abs(other)))
    assert quantise(repr(one / 100 + other / 100), 2).value == one + other


@pytest.mark.parametrize(
    ("text", "decimals", "expected"),
    [
        ("3197880.8999999999", 1, (31978809, -1, 10)),
        ("1e-05", 5, (1, 0, 5)),
        ("1.5E+3", 0, (1500, 0, 0)),
        ("0.0", 3, (0, 0, 3)),
        ("-0.30000000000000004", 1, (-3, -4, 17)),
    ],
)
def test_quantised_numbers(text: str, decimals: int, expected: tuple[int, int, int]) -> None:
    assert quantise(text, decimals) == expected


@pytest.mark.parametrize("text", ["0.15", "1e-9", "100.04", "0.00000001", "1e100", "1e", "e5"])
def test_what_lies_off_the_grid_is_refused(text: str) -> None:
    with pytest.raises(NumberError):
        quantise(text, 1)


@given(INTEGERS, INTEGERS.filter(bool))
def test_halves_go_to_the_even_neighbour(numerator: int, denominator: int) -> None:
    assert div_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(INTEGERS, INTEGERS.filter(bool))
def test_rounding_is_odd(numerator: int, denominator: int) -> None:
    assert div_half_even(-numerator, denominator) == -div_half_even(numerator, denominator)
    assert div_half_even(numerator, -denominator) == div_half_even(-numerator, denominator)


@given(INTEGERS, st.integers(1, 2**40))
def test_an_exact_half_is_rounded_to_even(whole: int, denominator: int) -> None:
    assert div_half_even((2 * whole + 1) * denominator, 2 * denominator) % 2 == 0


@given(st.sampled_from(Contract), INTEGERS, POSITIVE, POSITIVE, POSITIVE)
def test_both_sides_of_a_trade_book_the_same_number(
    kind: Contract, size: int, price: int, numerator: int, denominator: int
) -> None:
    denominator = 1 if kind is Contract.LINEAR else denominator
    assert notional(kind, -size, price, numerator, denominator) == -notional(kind, size, price, numerator, denominator)


@given(st.integers(-(2**64), 2**64), INTEGERS, INTEGERS, POSITIVE)
def test_a_linear_contract_is_exact_and_adds_up(price: int, one: int, other: int, numerator: int) -> None:
    def worth(size: int) -> int:
        return notional(Contract.LINEAR, size, price, numerator, 1)

    assert worth(one) == one * price * numerator
    assert worth(one) + worth(other) == worth(one + other)


@given(INTEGERS, st.integers(-(2**64), 2**64), POSITIVE, POSITIVE)
def test_a_quanto_contract_is_rounded_once(size: int, price: int, numerator: int, denominator: int) -> None:
    exact = Fraction(size * price * numerator, denominator)
    assert notional(Contract.QUANTO, size, price, numerator, denominator) == round(exact)


@given(INTEGERS, POSITIVE, POSITIVE, POSITIVE)
def test_an_inverse_contract_is_rounded_once(size: int, price: int, numerator: int, denominator: int) -> None:
    exact = -Fraction(size * numerator, price * denominator)
    assert notional(Contract.INVERSE, size, price, numerator, denominator) == round(exact)


@given(st.integers(1, 2**64), POSITIVE, POSITIVE)
def test_a_long_inverse_contract_gains_as_the_price_rises(size: int, price: int, numerator: int) -> None:
    low, high = (notional(Contract.INVERSE, size, at, numerator, 1) for at in (price, price * 2))
    assert low <= high <= 0


@pytest.mark.parametrize("price", [0, -1])
def test_an_inverse_contract_has_no_value_without_a_price(price: int) -> None:
    with pytest.raises(NumberError):
        notional(Contract.INVERSE, 1, price, 1, 1)
