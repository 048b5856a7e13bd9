"""dYdX v1 on vectors of our own: the split of the margin, its rounding, and the refusals in the contract's order."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.conform import Result, Status
from replay.conform.dydx_v1 import Balance, deleverage

Json = dict[str, Any]
Run = Callable[[str, str, Json, Json], Result]
VENUE = "dYdX v1 (P1Deleveraging)"


def world(maker: tuple[int, int], taker: tuple[int, int], price: str, amount: int, **changes: Any) -> Json:
    params = {"liquidated": "m", "offsetting": "t", "amount": str(amount), "all_or_nothing": False, "is_buy": maker[1] > 0}
    return {
        "accounts": [{"id": "m", "margin": str(maker[0])}, {"id": "t", "margin": str(taker[0])}],
        "positions": [{"account": "m", "size": str(maker[1])}, {"account": "t", "size": str(taker[1])}],
        "prices": {"index": {"oracle": price}},
        "params": {**params, **changes},
    }


@pytest.mark.parametrize(
    ("maker", "taker", "amount", "moved", "margin", "after"),
    [
        ((-100, 3), (500, -5), 1, "1", "34", (("-66", "2"), ("466", "-4"))),  # up for a long
        ((100, -3), (500, 5), 1, "1", "33", (("67", "-2"), ("533", "4"))),  # down for a short
        ((-100, 3), (500, -2), 9, "2", "67", (("-33", "1"), ("433", "0"))),  # as much as both have
    ],
)
def test_the_margin_is_split_and_rounded_for_the_loser(
    check: Run, maker: tuple[int, int], taker: tuple[int, int], amount: int, moved: str, margin: str, after: Any
) -> None:
    price = "33.3" if maker[1] > 0 else "33.4"
    rows = [{"id": name, "margin": row[0], "position": row[1]} for name, row in zip("mt", after, strict=True)]
    expect = {"result": "ok", "base_executed": moved, "margin_moved": margin, "after": rows}
    check(VENUE, "adl_match", world(maker, taker, price, amount), expect)


@pytest.mark.parametrize(
    ("given_", "result"),
    [
        (world((-90, 3), (500, -5), "30", 1), "maker_not_underwater"),
        (world((-100, 3), (500, -5), "30", 4, all_or_nothing=True), "all_or_nothing_maker"),
        (world((-100, 3), (500, -2), "30", 3, all_or_nothing=True), "all_or_nothing_taker"),
        (world((-100, 3), (500, 5), "30", 1), "taker_wrong_sign"),
        (world((-100, 3), (500, -5), "30", 1, is_buy=False), "would_increase_maker"),
    ],
)
def test_refusals(check: Run, given_: Json, result: str) -> None:
    check(VENUE, "adl_match", given_, {"result": result})


def test_a_short_that_also_owes_money_is_refused_by_a_word_unknown_here(run: Run) -> None:
    result = run(VENUE, "adl_match", world((-1, -3), (500, 5), "30", 1), {"result": "ok"})
    assert result.status is Status.NOT_APPLICABLE
    assert "both negative" in result.reason


@pytest.mark.parametrize(
    ("sender", "past", "allowed"), [("anyone", "0", True), ("anyone", "-1", False), ("operator", "-1", True)]
)
def test_who_may_call(check: Run, sender: str, past: str, allowed: bool) -> None:
    params = {"sender": sender, "seconds_after_mark_minus_timelock": past, "timelock_s": "1800"}
    check(VENUE, "permission", {"params": params}, {"allowed": allowed})


@given(st.integers(1, 10**9), st.integers(1, 10**5), st.integers(1, 10**5), st.integers(0, 10**5), st.booleans())
def test_money_and_contracts_balance_and_the_maker_does_not_fall(
    margin: int, size: int, other: int, amount: int, long: bool
) -> None:
    sign = 1 if long else -1
    # The next price of six decimals at which the maker has less than nothing.
    price = Fraction((margin * 10**6 - 1) // size if long else margin * 10**6 // size + 1, 10**6)
    maker, taker = Balance(-sign * margin, sign * size), Balance(10**9, -sign * other)
    done = deleverage(maker, taker, price, amount, buys=long, all_or_nothing=False)
    assert not isinstance(done, str)
    left, right = done.maker, done.taker
    assert done.moved == min(size, other, amount)
    assert (left.margin + right.margin, left.position + right.position) == (
        maker.margin + taker.margin, maker.position + taker.position,
    )  # fmt: skip
    # What is left of the maker is no worse by contract than it was.
    assert left.margin * size >= maker.margin * abs(left.position)
