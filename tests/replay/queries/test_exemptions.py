from collections.abc import Callable
from typing import Any

from events.model import AccountOpened, MarginMode, Role

TRADERS = [(10**12, {0: (-900, 1_000)}), (10**12, {0: (400, 900)}), (10**12, {0: (300, 900)}), (10**12, {0: (200, 900)})]


def test_a_holder_that_is_not_listed_was_left_out(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale(TRADERS, [1_000])
    opened = told.round(6, 0, -500)
    told.candidates(8, 7)
    told.close(6, 8, 0, 1_000, 300)
    told.close(6, 7, 0, 1_000, 200)
    found = query("Q17", told.events)
    assert (found.values["listed"], found.values["left_out"], found.values["venue"]) == ("1", "1", "0")
    (row,) = found.rows("holders")
    assert (row["account"], row["role"], row["rounds"], row["left_out"], row["seq"]) == ("t9", "user", 1, 1, opened)
    assert found.values["exempt"] is None
    assert query("Q17", told.events, account="t7").rows("holders") == []


def test_without_a_list_nobody_is_left_out_or_not(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale(TRADERS, [1_000])
    told.fill(0, 5, 6, 1_000, 100)
    told.round(6, 0, -500)
    told.close(6, 7, 0, 1_000, 300)
    found = query("Q17", told.events)
    assert (found.values["left_out"], found.figures["left_out"].missing) == (None, ("list of candidates of the venue",))


def test_stated_exemptions_and_the_venues_own_are_shown(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (900, 1_000)}), (10**12, {0: (-400, 1_100)})], [1_000])
    told.add(AccountOpened(0, 0, 0, 7, "t7", 7, Role.USER, MarginMode.CROSS, False, True))
    told.round(6, 0, 500)
    told.close(6, 7, 0, 1_000, -300)
    found = query("Q17", told.events)
    assert (found.values["exempt"], found.values["exempt.closed"], found.values["venue"]) == ("1", "1", "1")
    assert [(row["account"], row["role"], row["stated"], row["left_out"]) for row in found.rows("holders")] == [
        ("house", "liquidator", None, None), ("t7", "user", "exempt", None),
    ]  # fmt: skip


def test_a_round_that_nothing_follows_is_looked_at_too(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale(TRADERS, [1_000])
    told.round(6, 0)
    told.candidates(7, 8, 9)
    found = query("Q17", told.events)
    assert (found.values["rounds"], found.values["left_out"]) == ("1", "0")
