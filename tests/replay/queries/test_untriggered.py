from collections.abc import Callable
from typing import Any

from events.model import AdlRound, AnyEvent, InsuranceDraw, PolicyAdopted
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.state import State

TRADERS = [(5 * 10**8, {0: (-500, 1_000)}), (10**12, {0: (800, 900)})]


def test_a_fund_with_money_is_why_no_round_came(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale(TRADERS, [1_000], fund=9 * 10**8)
    first = told.tick(0, 1_200)
    told.tick(0, 1_220)
    last = told.add(InsuranceDraw(0, 0, 0, 4, 6, 6 * 10**8, None, None, None, None))
    found = query("Q21", told.events, account="t6")
    assert found.values == {"stretches": "1", "rounds": "0", "spared": "1", "never": "1", "due": "0"}
    (row,) = found.rows("spared")
    assert row == {
        "seq": first, "last_seq": last, "account": "t6", "worst_equity": "-6", "fund_equity": "9", "trigger": "never held",
        "ended_by": "insurance draw",
    }  # fmt: skip


def test_a_trigger_that_held_without_a_round_is_named(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale(TRADERS, [1_000])
    told.tick(0, 1_200)
    told.tick(0, 1_000)
    told.tick(0, 1_150)
    found = query("Q21", told.events, account="t6")
    assert (found.values["stretches"], found.values["due"]) == ("2", "2")
    assert [(row["trigger"], row["ended_by"]) for row in found.rows("spared")] == [("held", "mark"), ("held", None)]


def test_without_a_policy_there_is_no_trigger(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale(TRADERS, [1_200])
    told.events = [event for event in told.events if not isinstance(event, PolicyAdopted)]
    found = query("Q21", told.events, account="t6")
    assert (found.values["spared"], found.values["due"]) == ("1", None)
    assert found.figures["due"].missing == ("policy",)


def test_every_stretch_of_the_incident_is_seen(evening: list[AnyEvent], query: Callable[..., Any]) -> None:
    state, below, stretches, closed = State(), set(), 0, set()
    for seq, event in enumerate(evening, 1):
        evolve(state, event, seq)
        if isinstance(event, AdlRound) and event.loser in below:
            closed.add((event.loser, stretches))
        for account in range(4, len(state.accounts)):
            worth = margin.equity(state, account)
            if worth is not None and worth < 0 and account not in below:
                below.add(account)
                stretches += 1
            elif worth is not None and worth >= 0:
                below.discard(account)
    found = query("Q21", evening)
    assert found.values["stretches"] == str(stretches)
    assert int(found.values["rounds"]) == len({loser for loser, _ in closed})
    assert found.values["due"] == "0"
