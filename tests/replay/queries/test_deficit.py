from collections.abc import Callable
from typing import Any

from events.model import AccountOpened, MarginMode, Role


def test_a_deficit_is_counted_once_and_by_who_bore_it(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(5 * 10**8, {0: (-500, 1_000)}), (10**12, {0: (800, 900)})], [1_200])
    told.round(6, 0, -200)
    first = told.close(6, 7, 0, 1_100, 200)
    told.round(6, 0, -300)
    last = told.close(6, 7, 0, 1_100, 300)
    found = query("Q08", told.events)
    assert (found.values["users.deficit"], found.values["users.covered.adl"], found.values["users.left"]) == ("5", "5", "0")
    (row,) = found.rows("episodes")
    assert row == {
        "seq": first, "last_seq": last, "account": "t6", "role": "user", "deficit": "5", "adl": "5", "left": "0",
    }  # fmt: skip


def test_episodes_of_a_window_and_an_account(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(5 * 10**8, {0: (-500, 1_000)}), (10**12, {0: (800, 900)})], [1_200])
    told.round(6, 0, -500)
    close = told.close(6, 7, 0, 1_100, 500)
    assert query("Q08", told.events, account="t6").values == {"episodes.deficit": "5"}
    assert query("Q08", told.events, account="t7").values == {"episodes.deficit": "0"}
    assert query("Q08", told.events, first=close).values == {"episodes.deficit": "5"}
    told.tick(0, 1_200)
    assert query("Q08", told.events, first=close + 1).values == {"episodes.deficit": "0"}


def test_without_the_cash_of_those_closed_there_is_no_register(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (800, 900)})], [1_200])
    told.add(AccountOpened(0, 0, 0, 7, "t7", 7, Role.USER, MarginMode.CROSS, False, None))
    told.round(7, 0)
    told.close(7, 6, 0, 1_100, 500)
    found = query("Q08", told.events)
    assert found.values == {"users.deficit": None}
    assert found.figures["users.deficit"].missing == ("cash of account",)
