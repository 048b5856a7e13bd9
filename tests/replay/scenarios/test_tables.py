from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import BadInputError
from events.units import format_units
from replay.scenarios.tables import FloatText, Table


def table(**values: Any) -> Table:
    return Table(values, "markets[2]", "own.toml")


@given(st.integers(1, 2**61), st.integers(0, 12))
def test_an_amount_is_read_as_it_is_written(units: int, decimals: int) -> None:
    assert table(cash=format_units(units, decimals)).amount("cash", decimals) == units


@given(st.integers(-(10**8), 10**8), st.sampled_from([6, 12]))
def test_a_share_is_read_as_it_is_written(units: int, decimals: int) -> None:
    """Whatever its sign, and with a plus in front where it is not below 0."""
    text = format_units(units, decimals - 2) + "%"
    for written in {text, text if units < 0 else f"+{text}"}:
        assert table(beta=written).share("beta", -10_000, 10_000, decimals=decimals) == units


READERS: tuple[Callable[[Table], object], ...] = (
    lambda one: one.amount("key", 8),
    lambda one: one.share("key", -100, 100),
    lambda one: one.integer("key", 0, 100),
    lambda one: one.pair("key", 0, 100),
)


@given(st.floats(), st.sampled_from(READERS))
def test_a_float_is_never_read(number: float, read: Callable[[Table], object]) -> None:
    for value in (number, FloatText(number)):
        with pytest.raises(BadInputError, match=r"own.toml: the key markets\[2\].key "):
            read(table(key=value))


def test_every_key_that_nobody_asked_for_is_refused() -> None:
    one = table(symbol="A", weight=3)
    assert one.text("symbol") == "A"
    with pytest.raises(BadInputError, match=r"the key markets\[2\].weight is not known. Known here: symbol"):
        one.done()
    assert one.integer("weight", 1, 3) == 3
    one.done()


def test_tables_below_are_named_by_their_place() -> None:
    (one,) = table(tiers=[{"above": -1}]).tables("tiers", 1, 3)
    with pytest.raises(BadInputError, match=r"the key markets\[2\].tiers\[1\].above holds -1"):
        one.amount("above", 8)
    with pytest.raises(BadInputError, match="has 4 entries"):
        table(tiers=[{}] * 4).tables("tiers", 1, 3)
