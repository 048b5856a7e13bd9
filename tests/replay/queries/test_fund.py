from collections.abc import Callable
from typing import Any

from events.model import AnyEvent, PolicyAdopted, PoolBalance
from replay.presets import preset

TRADERS = [(5 * 10**8, {0: (-500, 1_000)}), (10**12, {0: (800, 900)})]


def test_a_round_with_money_in_the_fund_breaks_a_rule_that_wants_it_empty(
    tale: Callable[..., Any], query: Callable[..., Any]
) -> None:
    told = tale(TRADERS, [1_200], fund=3 * 10**8)
    told.round(6, 0, -500, pools=(PoolBalance(4, 0),))
    told.close(6, 7, 0, 1_100, 100)
    told.pay(4, 6, 3 * 10**8)
    told.round(6, 0, -400, pools=(PoolBalance(4, 0),))
    found = query("Q06", told.events)
    assert found.values == {
        "rounds": "2", "empty": "1", "fund.most": "3", "fund.least": "0", "trigger.held": "1", "trigger.not_held": "1",
        "pools.apart": "1",
    }  # fmt: skip
    first, second = found.rows("rounds")
    assert (first["fund_cash"], first["fund_equity"], first["loser_equity"], first["trigger"]) == (
        "3", "3", "-5", "does not hold",
    )  # fmt: skip
    assert second["trigger"] == "holds"
    conditions = [(r["quantity"], r["value"], r["relation"], r["bound"], r["condition"]) for r in found.rows("conditions")]
    assert conditions[:2] == [("equity", "-5", "<", "0", "holds"), ("fund", "3", "<=", "0", "does not hold")]
    assert [(row["pool"], row["stated"], row["rebuilt"]) for row in found.rows("pools")] == [
        ("fund", "0", "3"), ("fund", "0", "0"),
    ]  # fmt: skip


def test_without_a_policy_the_predicate_is_not_known(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale(TRADERS, [1_200])
    told.events = [event for event in told.events if not isinstance(event, PolicyAdopted)]
    told.round(6, 0, -500)
    told.close(6, 7, 0, 1_100, 100)
    found = query("Q06", told.events)
    assert (found.values["empty"], found.values["trigger.held"]) == ("1", None)
    assert found.figures["trigger.held"].missing == ("policy",)
    assert found.figures["pools.apart"].missing == ("pool balances stated with the round",)


def test_a_fund_that_may_be_drawn_on_can_still_hold_money(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale(TRADERS, [1_200], fund=3 * 10**8, preset=preset("bybit").texts)
    told.round(6, 0, -500)
    told.close(6, 7, 0, 1_100, 100)
    found = query("Q06", told.events)
    assert found.values["empty"] == "0"
    assert found.rows("conditions")[0]["quantity"] in {"drawdown", "equity", "fund", "leftover"}


def test_every_round_of_the_incident_found_the_fund_empty(evening: list[AnyEvent], query: Callable[..., Any]) -> None:
    values = query("Q06", evening).values
    assert values["rounds"] == values["empty"] == values["trigger.held"]
    assert (values["drawn"], values["pools.apart"]) == ("20000", "0")
