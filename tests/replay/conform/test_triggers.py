"""A preset's trigger with the numbers of a vector: the vector's limits, the preset's conditions."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.conform.given import InapplicableError
from replay.conform.triggers import any_clause, bounded, conditions_of_fund
from replay.core.policy import Quantity
from replay.core.spelling import parse_texts
from replay.presets import preset, presets


def test_only_bounds_that_are_named_and_not_zero_change() -> None:
    texts = bounded("bybit", {Quantity.DRAWDOWN: Fraction(1, 5), Quantity.FUND: Fraction(7)})
    assert texts.trigger == "fund > 7 and drawdown(8h) >= 20% or fund <= 0 until drawdown(8h) < 25% and fund > 0"
    assert texts._replace(trigger="") == preset("bybit").texts._replace(trigger="")
    assert bounded("gmx-v2", {Quantity.POOL_FACTOR: Fraction(1, 10)}).trigger == "pnl/pool > 10% until pnl/pool <= 77%"


def test_without_bounds_a_preset_stays_as_it_is() -> None:
    for name, one in presets().items():
        assert bounded(name, {}) == one.texts
        assert parse_texts(bounded(name, {})) == one.policy


shares = st.integers(0, 1_000).map(lambda part: Fraction(part, 1_000))


@given(st.integers(-10, 10), st.integers(1, 10**6), shares, shares)
def test_a_fund_is_low_or_has_fallen(balance: int, peak: int, left: Fraction, limit: Fraction) -> None:
    texts = bounded("okx", {Quantity.DRAWDOWN: limit or Fraction(1)})
    conditions = conditions_of_fund(texts, Fraction(balance), Fraction(peak), peak * left)
    assert any_clause(conditions) is (balance <= 0 or 1 - left >= (limit or 1))


def test_a_fund_cannot_have_risen_from_its_highest_level() -> None:
    with pytest.raises(InapplicableError, match="has not fallen"):
        conditions_of_fund(preset("okx").texts, Fraction(1), Fraction(1), Fraction(2))
