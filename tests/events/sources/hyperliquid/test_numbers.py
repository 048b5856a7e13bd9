import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import NumberError
from events.model import EXTERNAL
from events.sources.hyperliquid import numbers
from events.sources.hyperliquid.numbers import Noise
from events.units import format_units


@given(st.integers(-(10**14), 10**14))
def test_a_double_near_the_grid_is_put_on_it(units: int) -> None:
    noise: list[Noise] = []
    assert numbers.start_position(repr(units / 10**6), 6, noise) == units
    assert noise == []
    drifted = repr(units / 10**6 + units / 10**6 * 2**-51)
    assert numbers.start_position(drifted, 6, noise) == units
    assert numbers.money(format_units(units, 6), noise, "m") == units * 10**6


@given(st.integers(-(10**12), 10**12), st.integers(1, 9))
def test_drift_is_cut_off_up_to_a_billionth(units: int, tenths: int) -> None:
    noise: list[Noise] = []
    text = format_units(units * 10**4 + tenths, 10)
    assert numbers.start_position(text, 6, noise) == units
    assert noise == [Noise("residual.start_position")]
    with pytest.raises(NumberError, match="off the grid"):
        numbers.start_position(format_units((units % 10**6) * 10**4 + 100 + tenths, 10), 6, [])


@pytest.mark.parametrize(
    ("text", "value", "decimals"),
    [
        ("0.4716", 4716, 4),
        ("28.885000000000002", 28_885_000_000_000_002, 15),
        ("110000.0", 110_000, 0),
        ("1.1e-7", 11, 8),
        ("-0.000000000000000000001", 0, 18),
        ("12345678901.123456789", 1_234_567_890_112_345_679, 8),
    ],
)
def test_an_entry_price_keeps_the_digits_that_fit(text: str, value: int, decimals: int) -> None:
    assert numbers.entry_price(text) == (value, decimals)


def test_an_entry_price_has_a_limit() -> None:
    with pytest.raises(NumberError, match="out of range"):
        numbers.entry_price("9" * 20)


def test_money_is_on_the_grid_of_usdc() -> None:
    noise: list[Noise] = []
    assert numbers.money("1.5", noise, "m") == 1_500_000_000_000
    assert numbers.money("-0.00000001", noise, "m") == -10_000
    assert noise == []
    assert numbers.money("2703997.4500000002", noise, "m", EXTERNAL, -1) == 2_703_997_450_000_000_000
    assert numbers.money("2703997.4500000002", noise, "m") == 2_703_997_450_000_000_000
    assert noise == [Noise("m", EXTERNAL, -200), Noise("m")]


@pytest.mark.parametrize("text", ["", "1e400", "1_000", "٣", "nan", "0.000000001", "9" * 40])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(NumberError):
        numbers.money(text, [], "m")


@pytest.mark.parametrize("text", ["0", "-1", "9223372036854.775808"])
def test_prices_and_sizes_are_above_zero_and_in_range(text: str) -> None:
    with pytest.raises(NumberError, match="out of range"):
        numbers.price(text, 6, [])
    with pytest.raises(NumberError, match="out of range"):
        numbers.size(text, 6, [])
