from collections.abc import Callable
from typing import Any

from events.model import AccountOpened, MarginMode, Role


def test_a_deficit_of_another_market_is_told_apart(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(5 * 10**8, {0: (-500, 1_000), 1: (200, 900)}), (10**12, {0: (800, 900), 1: (-300, 1_100)})], [1_200, 1_000])
    told.liquidate(6, 5, 0, 1_000, -100)
    told.round(6, 0, -400)
    told.close(6, 7, 0, 1_100, 400)
    told.round(6, 1, 200)
    told.close(6, 7, 1, 1_000, -200)
    told.round(6, 1, 100)
    found = query("Q16", told.events)
    # The second round closes a winning position; the third one of a market that the loser does not hold any more.
    assert found.values == {"rounds": "3", "foreign": "1", "others": "1", "elsewhere": "1", "ratio": "6.4000"}
    assert found.figures["elsewhere"].left_out == 1
    assert found.rows("markets") == [
        {"market": "M0", "liquidated": "10", "adl": "44", "ratio": "4.4000"},
        {"market": "M1", "liquidated": "0", "adl": "20", "ratio": None},
    ]


def test_a_loser_of_unknown_positions_leaves_it_open(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (800, 900)})], [1_200])
    told.add(AccountOpened(0, 0, 0, 7, "t7", 7, Role.LIQUIDATOR, MarginMode.CROSS, False, None))
    told.round(7, 0)
    told.close(7, 6, 0, 1_100, 500)
    found = query("Q16", told.events)
    assert [found.values[name] for name in ("foreign", "others", "elsewhere", "ratio")] == [None] * 4
    assert found.figures["foreign"].missing == found.figures["others"].missing == ("position of account",)
    assert found.figures["ratio"].missing == ("liquidations",)
