from collections.abc import Callable
from typing import Any

from events.model import AnyEvent, Reason


def test_a_fair_round_is_over_by_nothing(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    # Short 5 from 10.00 with 5.00: at a mark of 12.00 the deficit is 5.00, and 11.00 is its bankruptcy price.
    told = tale([(5 * 10**8, {0: (-500, 1_000)}), (10**12, {0: (800, 900)})], [1_200])
    told.round(6, 0, -500, need_cash=5 * 10**8)
    told.close(6, 7, 0, 1_100, 500)
    values = query("Q07", told.events).values
    assert values["need.deficit"] == "5"
    for name in ("position", "stated", "deficit", "need_cash"):
        assert [values[f"overshoot.{name}.{part}"] for part in ("net", "gross", "tracking")] == ["0", "0", "0"]
    # The winner realised 2.00 for each of 5 contracts.
    assert values["overshoot.profit.net"] == "5"


def test_each_definition_has_its_own_excess(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(5 * 10**8, {0: (-500, 1_000)}), (10**12, {0: (800, 900)})], [1_200])
    told.round(6, 0, -400, need_cash=10**9)
    told.close(6, 7, 0, 1_050, 600)
    found = query("Q07", told.events)
    # One contract beyond the position and two beyond the round, at 10.50; 9.00 given up for 5.00; 1.00 less than the target.
    assert {name: found.values[f"overshoot.{name}.net"] for name in ("position", "stated", "deficit", "need_cash")} == {
        "position": "10.5", "stated": "21", "deficit": "4", "need_cash": "-1",
    }  # fmt: skip
    assert found.values["overshoot.need_cash.gross"] == "0"
    assert found.values["overshoot.need_cash.tracking"] == "1"
    assert found.rows("rounds")[0]["over_position"] == "10.5"


def test_a_deficit_that_lasts_over_rounds_counts_once(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(5 * 10**8, {0: (-500, 1_000)}), (10**12, {0: (800, 900)})], [1_200])
    told.round(6, 0, -200)
    told.close(6, 7, 0, 1_100, 200)
    told.round(6, 0, -300)
    told.close(6, 7, 0, 1_100, 300)
    found = query("Q07", told.events)
    assert (found.values["need.deficit"], found.values["overshoot.deficit.gross"]) == ("5", "0")
    (row,) = found.rows("episodes")
    assert (row["rounds"], row["deficit"], row["given_up"]) == (2, "5", "5")


def test_over_in_one_and_under_in_another_do_not_cancel_in_gross(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(5 * 10**8, {0: (-500, 1_000)}), (5 * 10**8, {0: (-500, 1_000)}), (10**12, {0: (1_000, 900)})], [1_200])
    told.round(6, 0, -500)
    told.close(6, 8, 0, 1_000, 500)
    told.round(7, 0, -500)
    told.close(7, 8, 0, 1_150, 500)
    values = query("Q07", told.events).values
    assert [values[f"overshoot.deficit.{part}"] for part in ("net", "gross", "tracking")] == ["2.5", "5", "7.5"]


def test_what_others_pay_as_a_socialised_loss_is_given_up(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(5 * 10**8, {0: (-500, 1_000)}), (10**12, {0: (800, 900)})], [1_200])
    told.round(6, 0, -500)
    told.pay(7, 6, 5 * 10**8, Reason.SOCIALISED_LOSS)
    values = query("Q07", told.events).values
    assert (values["need.deficit"], values["overshoot.deficit.net"]) == ("5", "0")
    assert values["overshoot.position.net"] == "-60"


def test_what_was_needed_is_what_the_register_says_adl_bore(evening: list[AnyEvent], query: Callable[..., Any]) -> None:
    overshoot, deficit = query("Q07", evening), query("Q08", evening)
    assert overshoot.values["need.deficit"] == deficit.values["users.covered.adl"]
    assert overshoot.values["overshoot.position.tracking"] == "0"
    assert deficit.values["users.deficit"] == deficit.values["episodes.deficit"]
    assert deficit.values["users.left"] == "0"


def test_what_is_not_known_is_not_over(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(5 * 10**8, {0: (-500, 1_000)}), (10**12, {0: (800, 900)})], [1_200])
    told.round(6, 0)
    told.close(6, 7, 0, 1_100, 500)
    found = query("Q07", told.events)
    assert found.figures["overshoot.stated.net"].missing == ("size stated by the venue",)
    assert found.figures["overshoot.need_cash.net"].missing == ("target in money stated by the venue",)
