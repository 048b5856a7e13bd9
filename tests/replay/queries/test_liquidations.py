from collections.abc import Callable
from typing import Any

from events.model import UNOBSERVED, AnyEvent, Completeness, Method, SourceOpened
from events.units import parse_units
from replay.core.evolve import evolve
from replay.core.state import State


def source(number: int, completeness: Completeness) -> SourceOpened:
    return SourceOpened(0, number, 0, f"file-{number}", b"\0" * 32, b"\0" * 32, 1, "test", 1, 1, None, "", completeness)


def test_open_interest_changes_by_what_was_traded(evening: list[AnyEvent], query: Callable[..., Any]) -> None:
    state = State()
    for event in evening:
        evolve(state, event, state.seq + 1)
    found = query("Q18", evening)
    assert found.values["whole"] == "8"
    for row in found.rows("markets"):
        market = next(m for m in state.markets if m.listed.symbol == row["market"]).listed
        longs = sum(max(p.size, 0) for a, p in state.positions[market.market].items() if a != UNOBSERVED)
        parts = [parse_units(row[name], market.size_decimals) for name in ("oi_liquidations", "oi_adl", "oi_fills")]
        assert parse_units(row["oi_change"], market.size_decimals) == longs == sum(parts)


def test_bounds_of_what_was_liquidated(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (500, 1_000)}), (10**12, {0: (-400, 1_000)}), (10**12, {})], [1_000])
    first = told.liquidate(6, 8, 0, 900, 100)
    told.fill(0, 7, 6, 1_000, 300)
    told.fill(0, 8, 5, 1_000, 100)
    last = told.seq
    found = query("Q18", told.events, first=first, last=last)
    # One contract liquidated at 9.00; then both sides close three at 10.00, which might have been one, too.
    assert (found.values["lower"], found.values["upper"]) == ("9", "39")
    (row,) = found.rows("markets")
    assert (row["liquidated"], row["upper_bound"]) == ("1", "4")
    assert (row["oi_liquidations"], row["oi_fills"], row["oi_change"]) == ("0", "-2", "-2")


def test_a_record_that_may_lack_rows_shows_no_zero(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (500, 1_000), 1: (-500, 1_000)}), (10**12, {0: (-400, 1_000), 1: (500, 1_000)})], [1_000, 1_000])
    told.add(source(1, Completeness.UNKNOWN))
    told.liquidate(6, 5, 0, 900, 100)
    for market in (0, 1):
        told.round(5, market)
        told.close(5, 6, market, 900, 100 if market == 0 else -100)
    one, other = query("Q18", told.events).rows("markets")
    assert (one["liquidated"], one["upper_bound"]) == ("1", None)
    assert (other["liquidated"], other["upper_bound"]) == (None, None)
    assert [row["liquidated"] for row in query("Q16", told.events).rows("markets")] == ["9", None]


def test_who_is_liquidated_only_because_of_the_mark(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    # 10 contracts long from 10.00 with 6.00: below 5% of the notional from about 9.89 down.
    told = tale([(6 * 10**8, {0: (1_000, 1_000)}), (6 * 10**8, {0: (1_000, 1_000)}), (10**12, {})], [1_000])
    told.tick(0, 980, 1_000)
    first = told.liquidate(6, 5, 0, 980, 400)
    told.liquidate(6, 5, 0, 980, 600)
    told.tick(0, 970, 970)
    told.liquidate(7, 5, 0, 970, 500)
    told.liquidate(7, 5, 0, 970, 500, Method.TAKEOVER)
    found = query("Q20", told.events)
    assert found.values == {
        "decisions": "2", "healthy": "0", "only": "1", "only.accounts": "1", "only.notional": "98",
    }  # fmt: skip
    assert found.rows("runs") == [
        {
            "seq": first, "account": "t6", "market": "M0", "equity": "4", "requirement": "4.9",
            "oracle_equity": "6", "oracle_requirement": "5",
        }
    ]  # fmt: skip


def test_without_an_oracle_the_mark_is_not_blamed(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(6 * 10**8, {0: (1_000, 1_000)})], [980])
    told.liquidate(6, 5, 0, 980, 400)
    found = query("Q20", told.events)
    assert (found.values["decisions"], found.values["only"]) == ("1", None)
    assert found.figures["only"].missing == ("oracle price",)


def test_a_healthy_account_that_is_liquidated_is_counted(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(6 * 10**8, {0: (1_000, 1_000)})], [1_000])
    told.tick(0, 1_000, 1_000)
    told.liquidate(6, 5, 0, 980, 400)
    values = query("Q20", told.events).values
    assert (values["healthy"], values["only"]) == ("1", "0")
