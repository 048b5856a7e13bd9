from collections.abc import Callable
from typing import Any

import pytest

from events.model import Method


@pytest.fixture
def told(tale: Callable[..., Any]) -> Any:
    """Return a record in which the house, flat in M1, takes over longs of t6 and t7 there."""
    return tale([(10**12, {1: (300, 1_000)}), (10**12, {1: (200, 1_000)}), (10**12, {1: (-500, 1_000)})], [1_000, 1_000])


def test_the_traders_behind_a_position_that_was_taken_over(told: Any, query: Callable[..., Any]) -> None:
    first = told.liquidate(6, 5, 1, 900, 300, Method.BACKSTOP)
    second = told.liquidate(7, 5, 1, 900, 200, Method.TAKEOVER)
    opened = told.round(5, 1, 500)
    close = told.close(5, 8, 1, 900, -500)
    found = query("Q10", told.events)
    assert found.values == {"rounds": "1", "own": "0", "stated": "0", "taken": "1", "traders": "2"}
    rows = found.rows("chains")
    assert [(r["close_seq"], r["round_seq"], r["loser"], r["cause_seq"], r["trader"], r["size"]) for r in rows] == [
        (close, opened, "house", first, "t6", "3"), (close, opened, "house", second, "t7", "2"),
    ]  # fmt: skip
    assert query("Q10", told.events, account="t8").rows("chains") == rows
    assert query("Q10", told.events, account="t6").values == {"rounds": None}


def test_a_position_sold_since_has_nobody_behind_it(told: Any, query: Callable[..., Any]) -> None:
    told.liquidate(6, 5, 1, 900, 300, Method.BACKSTOP)
    told.fill(1, 8, 5, 900, 300)
    second = told.liquidate(7, 5, 1, 900, 200, Method.BACKSTOP)
    told.round(5, 1, 200)
    told.close(5, 8, 1, 900, -200)
    (row,) = query("Q10", told.events).rows("chains")
    assert (row["cause_seq"], row["trader"]) == (second, "t7")


def test_a_stated_cause_comes_first_and_is_followed_through_rounds(told: Any, query: Callable[..., Any]) -> None:
    first = told.liquidate(6, 5, 1, 900, 300, Method.BACKSTOP)
    told.liquidate(7, 5, 1, 900, 200, Method.BACKSTOP)
    one = told.round(5, 1, 300, cause=first)
    told.close(5, 8, 1, 900, -300)
    told.round(5, 1, 200, cause=one)
    told.close(5, 8, 1, 900, -200)
    found = query("Q10", told.events)
    assert (found.values["stated"], found.values["traders"]) == ("2", "1")
    assert [(row["link"], row["trader"]) for row in found.rows("chains")] == [("stated", "t6"), ("stated", "t6")]


def test_a_trader_is_behind_its_own_position(told: Any, query: Callable[..., Any]) -> None:
    opened = told.round(6, 1, 300)
    told.close(6, 8, 1, 900, -300)
    (row,) = query("Q10", told.events).rows("chains")
    assert (row["link"], row["cause_seq"], row["trader"], row["size"]) == ("own position", opened, "t6", "3")


def test_a_house_that_took_nothing_over_is_undecidable(told: Any, query: Callable[..., Any]) -> None:
    told.round(5, 1, -500)
    told.close(5, 6, 1, 900, 100)
    found = query("Q10", told.events)
    assert (found.values["taken"], found.values["own"]) == (None, "0")
    assert found.figures["taken"].missing == ("liquidations that the loser took over",)
    assert found.rows("chains")[0]["trader"] is None
