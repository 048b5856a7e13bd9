"""Percolator on vectors of our own."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.conform import Result, Status
from replay.conform.percolator import ALLOCATION, ORDER, Q64, resolve, share_loss

Json = dict[str, Any]
Run = Callable[[str, str, Json, Json], Result]
amounts = st.integers(0, 10**12)


def loss(unwarmed: list[int], amount: int, insurance: int, floor: int) -> Json:
    return {
        "accounts": [{"id": str(number), "unwarmed_positive_pnl": str(value)} for number, value in enumerate(unwarmed)],
        "params": {"loss": str(amount), "insurance": str(insurance), "insurance_floor": str(floor), "allocation": ALLOCATION},
    }


@pytest.mark.parametrize(
    ("given_", "expect"),
    [
        # 10 * 5/12 = 4.17, 10 * 4/12 = 3.33, 10 * 3/12 = 2.5: the half has the largest remainder.
        (loss([5, 4, 3], 10, 0, 0), {"haircuts": ["4", "3", "3"], "uncovered": "0", "reduce_only_mode": False}),
        (loss([5], 10, 9, 2), {"haircuts": ["5"], "insurance_after": "4", "uncovered": "0", "reduce_only_mode": False}),
        (loss([5], 12, 9, 2), {"haircuts": ["5"], "insurance_after": "2", "uncovered": "0", "reduce_only_mode": True}),
        (loss([5], 10, 1, 2), {"haircuts": ["5"], "insurance_after": "1", "uncovered": "5", "reduce_only_mode": True}),
    ],
)
def test_a_loss_is_shared(check: Run, given_: Json, expect: Json) -> None:
    check("Percolator", "allocation", given_, expect)


def aggregate(*amounts: int) -> Json:
    keys = ("principal", "realised", "warming", "insurance", "collateral")
    return {"params": {**{key: str(value) for key, value in zip(keys, amounts, strict=True)}, "order": ORDER}}


def test_the_waterfall(check: Run) -> None:
    # Claims 1600 against 900 + 100: 100 of warming, then the fund, and 600 of the 1500 are missing as a draw is not collateral.
    expect = {
        "burned_warming": "100", "insurance_draw": "100", "equity_haircut_q64": str(2 * Q64 // 5), "principal_after": "600",
        "realised_after": "300", "warming_after": "0", "insurance_after": "0", "deficit_after": "0",
    }  # fmt: skip
    check("Percolator", "bankruptcy_waterfall", aggregate(1_000, 500, 100, 100, 900), expect)


def test_a_drawn_fund_is_paid_for_again_by_all_equity(check: Run) -> None:
    # The source's own case: 1000 owed, 200 warming, 500 in the fund, no collateral. Everything goes, although 500 were there.
    expect = {"burned_warming": "200", "insurance_draw": "500", "equity_haircut_q64": str(Q64), "principal_after": "0"}
    check("Percolator", "bankruptcy_waterfall", aggregate(1_000, 0, 200, 500, 0), expect)


def test_amounts_below_zero_are_not_taken(run: Run) -> None:
    assert run("Percolator", "allocation", loss([-1], 1, 0, 0), {"uncovered": "0"}).status is Status.NOT_APPLICABLE
    assert run("Percolator", "bankruptcy_waterfall", aggregate(-1, 0, 0, 0, 0), {"deficit_after": "0"}).reason


@given(st.lists(amounts, max_size=6), amounts, amounts, amounts)
def test_a_loss_is_covered_once(unwarmed: list[int], amount: int, insurance: int, floor: int) -> None:
    shared = share_loss(unwarmed, amount, insurance, floor)
    assert sum(shared.haircuts) + insurance - shared.insurance + shared.uncovered == amount
    assert all(0 <= haircut <= cap for haircut, cap in zip(shared.haircuts, unwarmed, strict=True))
    assert shared.insurance >= min(insurance, floor)
    assert shared.uncovered == 0 or sum(shared.haircuts) == sum(unwarmed)


@given(amounts, amounts, amounts, amounts, amounts)
def test_the_waterfall_keeps_its_order(principal: int, realised: int, warming: int, insurance: int, collateral: int) -> None:
    crisis = resolve(principal, realised, warming, insurance, collateral)
    assert crisis.drawn == 0 or crisis.warming == 0
    assert crisis.haircut_q64 == 0 or crisis.drawn == min(insurance, max(principal + realised - collateral - insurance, 0))
    assert 0 <= crisis.haircut_q64 <= Q64
    assert (crisis.burned + crisis.warming, crisis.drawn + crisis.insurance) == (warming, insurance)
    assert crisis.principal <= principal
    # The haircut is cut to 2**-64, so at most one unit can be missing.
    assert crisis.deficit <= 1
