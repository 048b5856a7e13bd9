"""What views say of what is known, and that they say nothing of what is not."""

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from events.model import (
    AccountOpened,
    AnyEvent,
    Basis,
    Completeness,
    Contract,
    Fill,
    MarginMode,
    MarketListed,
    MarketStatus,
    Opening,
    OpenPosition,
    PriceTick,
    Role,
    SourceOpened,
    Taker,
)
from replay import views
from replay.core.evolve import evolve
from replay.core.invariants import Finding
from replay.core.spelling import adopt
from replay.core.state import State
from replay.presets import preset
from replay.testing.streams import beginning

QUEUE = preset("queue").texts


def account(number: int, *, new: bool = True) -> AccountOpened:
    return AccountOpened(0, 0, 0, number, f"a{number}", number, Role.USER, MarginMode.CROSS, new, None)


def fill(buyer: int, seller: int, size: int) -> Fill:
    unsaid = (None, None, None, None, None, None)
    return Fill(0, 0, 0, 0, buyer, seller, 100, size, 0, 0, None, Taker.UNKNOWN, *unsaid)


def opening(number: int, cash: int | None, size: int | None) -> Opening:
    return Opening(0, 0, 0, number, cash, (OpenPosition(0, size, None, 0),))


def state_of(events: Iterable[AnyEvent]) -> State:
    limits = (Basis.AVERAGE, False, (), None, MarketStatus.TRADING)
    listed = MarketListed(0, 0, 0, 0, "M", Contract.LINEAR, 2, 2, 1, 0, 1, 1, *limits)
    state = State()
    for event in [*beginning(), listed, *events]:
        evolve(state, event, state.seq + 1)
    return state


SOURCE = SourceOpened(0, 1, 0, "f", b"\0" * 32, b"\0" * 32, 1, "test", 1, None, None, "", Completeness.UNKNOWN)


@pytest.mark.parametrize(
    ("events", "open_interest", "at_least"),
    [
        ([], "0", "0"),
        ([account(4), account(5), fill(4, 5, 300)], "3", "3"),
        # An account may hold the market, and nobody says how much.
        ([account(4), account(5), fill(4, 5, 300), account(6, new=False)], None, "3"),
        ([account(4), account(5), fill(4, 5, 300), account(6, new=False), opening(6, None, 0)], "3", "3"),
        ([account(4), account(5, new=False), fill(4, 5, 300)], None, "3"),
        ([account(4, new=False), account(5, new=False), fill(4, 5, 300)], None, "0"),
        # What is left over is the net of many.
        ([account(4, new=False), opening(4, 0, -300)], None, "3"),
        ([account(4), SOURCE, account(5), fill(4, 5, 300)], "3", "3"),
    ],
)
def test_open_interest_is_said_where_it_is_decidable(events: list[AnyEvent], open_interest: str | None, at_least: str) -> None:
    view = views.market_view(state_of(events), 0)
    assert (view["open_interest"], view["open_interest_at_least"]) == (open_interest, at_least)


def test_open_interest_of_a_source_that_may_lack_rows_is_a_bound() -> None:
    view = views.market_view(state_of([account(4), SOURCE, account(5), replace(fill(4, 5, 300), source=1)]), 0)
    assert (view["open_interest"], view["open_interest_at_least"]) == (None, "3")


def test_what_is_not_known_of_an_account_is_none() -> None:
    state = state_of([account(4, new=False), opening(4, None, None), PriceTick(0, 0, 0, 0, 100, None)])
    view = views.account_view(state, 4)
    assert (view["cash"], view["equity"], view["maintenance_margin"]) == (None, None, None)
    (position,) = view["positions"]
    assert (position["size"], position["entry"], position["unrealised"]) == (None, None, None)


def test_a_market_names_the_policy_in_force() -> None:
    assert views.market_view(state_of([]), 0)["policy"] is None
    state = state_of([adopt(QUEUE, policy=0, at_ns=0, source=0, row=0, markets=(0,))])
    assert views.market_view(state, 0)["policy"] == "profit x leverage"


def test_a_state_names_a_policy_only_where_one_is_in_force_for_all_markets() -> None:
    policy = QUEUE
    everywhere = adopt(policy, policy=0, at_ns=0, source=0, row=0)
    second = replace(state_of([]).markets[0].listed, market=1, symbol="N")
    here = adopt(policy._replace(name="other"), policy=1, at_ns=0, source=0, row=0, markets=(1,))
    records: list[list[AnyEvent]] = [[], [everywhere], [second, everywhere, here]]
    names = [views.state_view(state_of(events))["policy"] for events in records]
    assert names == [None, "profit x leverage", None]


@pytest.mark.parametrize(
    ("finding", "account_name", "market", "expected", "found"),
    [
        (Finding("l", "A1", 7, "w", 0, -5 * 10**7, None, None, "cash"), None, None, "0", "-0.5"),
        (Finding("l", "A1", 7, "w", 150, -1, 4, 0, "size"), "a4", "M", "1.5", "-0.01"),
        (Finding("l", "A1", 7, "w", 100, 5, 4, 1, "price"), "a4", "N", "0.1", "0.005"),
        (Finding("l", "A1", 7, "w", 10, 9, None, None, "count"), None, None, "10", "9"),
        (Finding("l", "A1", 7, "w", 9, 10, None, 0, "count"), None, "M", "9", "10"),
        (
            Finding("l", "A1", 7, "w", 1, 10**9, None, None, "time"),
            *(None, None, "1970-01-01T00:00:00.000000001Z", "1970-01-01T00:00:01.000000000Z"),
        ),
        (Finding("l", "A1", 7, "w", "short", 0, 2, 0, "size"), "fees", "M", "short", "0"),
        (Finding("l", "A1", 7, "w", "ab", "cd", None, None, "text"), None, None, "ab", "cd"),
    ],
)
def test_a_finding_has_names_for_ids_and_amounts_by_unit(
    finding: Finding, account_name: str | None, market: str | None, expected: str, found: str
) -> None:
    second = replace(state_of([]).markets[0].listed, market=1, symbol="N", price_decimals=3)
    view = views.finding_view(state_of([second, account(4)]), finding)
    subject = {"account": account_name, "market": market, "expected": expected, "found": found}
    assert view == {"law": "l", "id": "A1", "seq": 7, "what": "w", **subject}
