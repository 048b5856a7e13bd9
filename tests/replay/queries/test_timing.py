from collections.abc import Callable
from typing import Any

from events.model import AdlRound, AnyEvent, InsuranceDraw

SECOND = 10**9


def test_each_step_is_timed_from_the_event_that_broke_the_account(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(5 * 10**8, {0: (-500, 1_000)}), (10**12, {0: (800, 900)})], [1_000], fund=10**8)
    told.at_ns = 100 * SECOND
    broke = told.tick(0, 1_060)
    told.at_ns += SECOND
    told.liquidate(6, 5, 0, 1_060, -100)
    told.at_ns += SECOND
    told.tick(0, 1_300)
    told.add(InsuranceDraw(told.at_ns, 0, 0, 4, 6, 10**8, None, None, None, None))
    told.at_ns += SECOND
    told.round(6, 0, -400)
    told.close(6, 7, 0, 1_100, 100)
    told.at_ns += 5
    told.close(6, 7, 0, 1_100, 300)
    found = query("Q22", told.events)
    (row,) = found.rows("rounds")
    assert row["broke_seq"] == broke
    assert [row[f"{step}_ns"] for step in ("liquidation", "draw", "round", "first_close", "last_close")] == [
        SECOND, 2 * SECOND, 3 * SECOND, 3 * SECOND, 3 * SECOND + 5,
    ]  # fmt: skip
    assert (found.values["round.median"], found.values["close.most"], found.values["inside.least"]) == (
        str(3 * SECOND), str(3 * SECOND + 5), "5",
    )  # fmt: skip


def test_a_recovery_starts_the_clock_again(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(5 * 10**8, {0: (-500, 1_000)}), (10**12, {0: (800, 900)})], [1_000])
    for at, mark in ((1, 1_200), (2, 1_000), (7, 1_200)):
        told.at_ns = at * SECOND
        told.tick(0, mark)
    told.at_ns = 9 * SECOND
    told.round(6, 0, -500)
    told.close(6, 7, 0, 1_100, 500)
    assert query("Q22", told.events).values["round.least"] == str(2 * SECOND)


def test_a_loser_that_was_sound_did_not_break(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(5 * 10**8, {0: (-500, 1_000)}), (10**12, {0: (800, 900)})], [1_000])
    told.round(6, 0, -500)
    told.close(6, 7, 0, 1_000, 500)
    found = query("Q22", told.events)
    assert (found.values["round.least"], found.values["inside.least"]) == (None, "0")
    assert found.figures["round.least"].missing == ("event that broke the account",)
    assert "liquidation.least" not in found.values


def test_a_step_without_a_time_is_not_zero(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(5 * 10**8, {0: (-500, 1_000)}), (10**12, {0: (800, 900)})], [1_200])
    told.at_ns = 0
    told.round(6, 0, -500)
    told.close(6, 7, 0, 1_100, 500)
    figure = query("Q22", told.events).figures["inside.least"]
    assert (figure.value, figure.missing) == (None, ("time of the event",))


def test_rounds_of_the_incident_follow_a_break(evening: list[AnyEvent], query: Callable[..., Any]) -> None:
    found = query("Q22", evening)
    rows = found.rows("rounds")
    assert len(rows) == sum(isinstance(event, AdlRound) for event in evening) == int(found.values["rounds"])
    for row in rows:
        assert row["broke_seq"] < row["seq"]
        assert 0 <= row["round_ns"] <= row["first_close_ns"] <= row["last_close_ns"]
        assert row["round_ns"] == evening[row["seq"] - 1].at_ns - evening[row["broke_seq"] - 1].at_ns
    account = query("Q22", evening, account=next(iter({r["loser"] for r in rows})))
    assert account.values == {"rounds": None}
