from collections.abc import Callable
from typing import Any

from events.model import EXTERNAL, AccountOpened, MarginMode, Reason, Role


def test_a_closed_leg_leaves_the_other_naked(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (-500, 1_000)}), (10**12, {0: (400, 900), 1: (-300, 1_000)})], [1_000, 1_000])
    told.round(6, 0, -500)
    told.close(6, 7, 0, 1_000, 50)
    told.close(6, 7, 0, 1_000, 250)
    told.close(6, 7, 0, 1_000, 100)
    liquidated = told.liquidate(7, 5, 1, 1_000, -300)
    found = query("Q04", told.events)
    # Net 10 of gross 70 before; closing a little brings the net down, closing more leaves the short alone.
    assert found.values == {"closes": "3", "hedged": "3", "orphaned": "2", "orphaned.owners": "1", "liquidated": "2"}
    first, second = found.rows("legs")
    assert (first["net_before"], first["net_after"], first["gross_before"], first["gross_after"]) == ("5", "-20", "65", "40")
    assert (second["net_after"], second["liquidated_seq"]) == ("-30", liquidated)
    assert len(query("Q04", told.events, account="t7").rows("legs")) == 3


def test_the_accounts_of_an_owner_are_one_book(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (-500, 1_000)}), (10**12, {0: (400, 900)})], [1_000])
    told.add(AccountOpened(0, 0, 0, 8, "t7:isolated", 7, Role.USER, MarginMode.ISOLATED, True, None))
    told.pay(EXTERNAL, 8, 10**10, Reason.DEPOSIT)
    told.fill(0, 6, 8, 1_000, 300)
    told.round(6, 0, -200)
    told.close(6, 7, 0, 1_000, 200)
    found = query("Q04", told.events)
    (row,) = query("Q04", told.events, account="t7").rows("legs")
    assert (row["owner"], row["net_before"], row["net_after"], row["gross_before"]) == ("t7", "10", "-10", "70")
    # As far from flat as before, the other way round: not larger.
    assert (found.values["hedged"], found.values["orphaned"]) == ("1", "0")


def test_a_book_of_unknown_positions_has_no_exposure(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (-500, 1_000)})], [1_000])
    told.add(AccountOpened(0, 0, 0, 7, "t7", 7, Role.USER, MarginMode.CROSS, False, None))
    told.round(6, 0, -500)
    told.close(6, 7, 0, 1_000, 100)
    found = query("Q04", told.events)
    assert set(found.values.values()) == {None}
    assert found.figures["orphaned"].missing == ("cash of account",)
