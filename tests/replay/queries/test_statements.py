from collections.abc import Callable
from itertools import groupby
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.model import EXTERNAL, AccountOpened, AnyEvent, MarginMode, Method, Reason, Role
from events.units import parse_units
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.state import State
from replay.queries.statements import PARTS
from replay.testing.streams import records

DAY_NS = 86_400 * 10**9


def role(account: int, kind: Role, *, new: bool = False) -> AnyEvent:
    return AccountOpened(0, 0, 0, account, f"t{account}", account, kind, MarginMode.CROSS, new, None)


def cash(text: str | None) -> int:
    assert text is not None
    return parse_units(text, 8)


def equity_after(events: list[AnyEvent], seq: int, account: str) -> int | None:
    state = State()
    for event in events[:seq]:
        evolve(state, event, state.seq + 1)
    found = next((a.account for a in state.accounts if a.name == account), None)
    return 0 if found is None else margin.equity(state, found)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_parts_sum_to_the_equity_change_of_any_window(
    evening: list[AnyEvent], query: Callable[..., Any], data: st.DataObject
) -> None:
    first = data.draw(st.integers(1, len(evening)))
    last = data.draw(st.integers(first, len(evening)))
    found = query("Q09", evening, first=first, last=last)
    if "parts" not in found.tables:
        assert last < 5
        return
    assert found.values["unexplained"] == "0"
    total = 0
    for account, rows in groupby(found.rows("parts"), key=lambda row: row["account"]):
        change, *parts = list(rows)
        before, after = equity_after(evening, first - 1, account), equity_after(evening, last, account)
        assert before is not None
        assert after is not None
        assert cash(change["cash"]) == after - before == sum(cash(row["cash"]) for row in parts)
        assert [row["part"] for row in parts] == [part for part in PARTS if part in {row["part"] for row in parts}]
        total += after - before
    assert cash(found.values["change"]) == total


@settings(max_examples=60)
@given(records())
def test_parts_sum_to_the_equity_change_in_any_record(query: Callable[..., Any], events: list[Any]) -> None:
    values = query("Q09", events).values
    assert values["unexplained"] in {"0", None}


def test_a_trade_better_than_mark_is_a_part_and_its_mark_another(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {}), (10**12, {})], [1_000])
    first = told.fill(0, 5, 6, 990, 100, fees=(7, 9))
    told.tick(0, 1_020)
    told.liquidate(6, 7, 0, 1_000, -50)
    last = told.liquidate(7, 5, 0, 1_010, 50, Method.BACKSTOP)
    told.pay(EXTERNAL, 5, 1, Reason.DEPOSIT)
    rows = query("Q09", told.events, first=first, last=last, account="house").rows("parts")
    # Bought 1 at 9.90 with the mark at 10.00, which rose to 10.20; bought half at 10.10 then.
    assert {row["part"]: row["cash"] for row in rows} == {
        "equity change": "0.34999993", "fees": "-0.00000007", "fills": "0.1", "liquidations": "0.05", "marks": "0.2",
    }  # fmt: skip
    rows = query("Q09", told.events, first=first, last=last, account="fees").rows("parts")
    assert [row["cash"] for row in rows] == ["0.00000016", "0.00000016"]


def test_an_account_is_followed_while_it_has_the_role(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {})], [1_000])
    told.pay(EXTERNAL, 6, 5, Reason.DEPOSIT)
    told.add(role(6, Role.VAULT))
    told.pay(EXTERNAL, 6, 70, Reason.DEPOSIT)
    told.add(role(6, Role.USER))
    told.pay(EXTERNAL, 6, 900, Reason.DEPOSIT)
    rows = query("Q09", told.events, account="t6").rows("parts")
    assert [(row["part"], row["cash"]) for row in rows] == [("equity change", "0.0000007"), ("transfers", "0.0000007")]


def test_daily_totals_are_what_the_books_hold_at_the_end(evening: list[AnyEvent], query: Callable[..., Any]) -> None:
    found = query("Q23", evening)
    state = State()
    for event in evening:
        evolve(state, event, state.seq + 1)
    rows = found.rows("days")
    assert {row["day"] for row in rows} == {"2030-01-01"}
    realised = {a.name: sum(p.realised for p in state.holdings[a.account].values()) for a in state.accounts[4:]}
    assert {row["account"]: cash(row["realised"]) for row in rows if row["account"] in realised} == {
        name: amount for name, amount in realised.items() if name in {row["account"] for row in rows}
    }
    # What is paid is received: fees by the fee account, funding by the account it is paid against.
    assert (found.values["fees"], found.values["funding"]) == ("0", "0")
    outside = -state.cash[EXTERNAL]
    assert cash(found.values["transfers"]) == outside


def test_days_are_utc_and_an_event_without_a_time_has_none(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {}), (10**12, {})], [1_000])
    for at_ns in (0, DAY_NS - 1, DAY_NS, 3 * DAY_NS // 2):
        told.at_ns = at_ns
        told.pay(6, 7, 10**8)
    rows = query("Q23", told.events, account="t6").rows("days")
    assert [(row["day"], row["transfers"]) for row in rows if row["day"] != "1970-01-01"] == [
        (None, "9999"), ("1970-01-02", "-2"),
    ]  # fmt: skip
    assert [row["transfers"] for row in rows if row["day"] == "1970-01-01"] == ["-1"]


def test_a_profit_from_an_unknown_entry_is_not_zero(query: Callable[..., Any], tale: Callable[..., Any]) -> None:
    told = tale([(10**12, {})], [1_000])
    number = 7
    told.add(role(number, Role.USER, new=False))
    told.fill(0, number, 6, 1_000, 100)
    found = query("Q23", told.events, account="t7")
    assert found.values["realised"] is None
    assert found.figures["realised"].missing == ("entry price",)
    assert found.rows("days")[0]["realised"] is None
