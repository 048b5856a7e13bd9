from collections.abc import Callable
from typing import Any

from events.model import AccountOpened, MarginMode, Opening, OpenPosition, Role


def test_losing_positions_are_found_from_the_basis_and_from_claims(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (-900, 1_000)}), (10**12, {0: (400, 900)}), (10**12, {0: (500, 1_200)})], [1_000])
    told.round(6, 0, -900)
    told.close(6, 7, 0, 1_000, 200, profit=-5)
    told.close(6, 7, 0, 1_000, 200, profit=5)
    told.close(6, 8, 0, 1_000, 500)
    found = query("Q14", told.events)
    assert found.values == {
        "closes": "3", "losing": "1", "losing.share": "0.3333", "losing.cash": "-10", "claimed": "1", "apart": "1",
    }  # fmt: skip
    assert found.figures["claimed"].left_out == 1
    assert [(r["account"], r["profit"], r["claimed_profit"]) for r in found.rows("closes")] == [
        ("t7", "2", "-0.00000005"), ("t8", "-10", None),
    ]  # fmt: skip


def test_a_position_closed_in_several_trades_of_a_round_is_one(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (-900, 1_000)}), (10**12, {0: (400, 900)}), (10**12, {0: (500, 1_200)})], [1_000])
    told.round(6, 0, -600)
    told.close(6, 7, 0, 1_000, 100)
    told.close(6, 8, 0, 1_000, 200)
    told.close(6, 7, 0, 1_000, 300)
    told.round(6, 0, -300)
    told.close(6, 8, 0, 1_000, 310)
    found = query("Q15", told.events)
    assert {name: found.values[name] for name in ("positions", "full", "partial", "beyond", "partial.share")} == {
        "positions": "3", "full": "1", "partial": "1", "beyond": "1", "partial.share": "0.3333",
    }  # fmt: skip
    assert [(r["account"], r["held"], r["closed"], r["fraction"]) for r in found.rows("positions")] == [
        ("t8", "5", "2", "0.4000"), ("t8", "3", "3.1", "1.0333"),
    ]  # fmt: skip
    assert {row["closed"]: row["positions"] for row in found.rows("fractions")} == {
        "below 25%": 0, "25% to 50%": 1, "50% to 75%": 0, "75% to 100%": 0, "in full": 1, "beyond": 1,
    }  # fmt: skip
    assert len(query("Q15", told.events, account="t7").rows("positions")) == 1


def test_a_close_of_the_wrong_side_is_beyond(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (-900, 1_000)}), (10**12, {0: (-400, 900)})], [1_000])
    told.round(6, 0, -900)
    told.close(6, 7, 0, 1_000, 100)
    found = query("Q15", told.events)
    assert found.values["beyond"] == "1"
    assert found.rows("positions")[0]["fraction"] is None


def test_an_unknown_position_is_neither_part_nor_full(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (-900, 1_000)})], [1_000])
    told.add(AccountOpened(0, 0, 0, 7, "t7", 7, Role.USER, MarginMode.CROSS, False, None))
    told.round(6, 0, -900)
    told.close(6, 7, 0, 1_000, 100)
    parts, losing = query("Q15", told.events), query("Q14", told.events)
    assert (parts.values["full"], parts.values["partial"]) == (None, None)
    assert parts.figures["full"].missing == ("position of account",)
    assert (losing.values["losing"], losing.figures["losing"].missing) == (None, ("entry price",))


def test_an_entry_stated_by_an_opening_is_one(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (-900, 1_000)})], [1_000])
    told.add(AccountOpened(0, 0, 0, 7, "t7", 7, Role.USER, MarginMode.CROSS, False, None))
    told.round(6, 0, -900)
    told.add(Opening(0, 0, 0, 7, None, (OpenPosition(0, 100, 1_100, 2),)))
    told.close(6, 7, 0, 1_000, 100)
    assert query("Q14", told.events).values["losing.cash"] == "-1"
    assert query("Q15", told.events).values["full"] == "1"
