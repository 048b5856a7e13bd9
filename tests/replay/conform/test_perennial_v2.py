"""Perennial v2 on vectors of our own, computed by hand."""

from collections.abc import Callable
from typing import Any

from replay.conform import Result, Status

Json = dict[str, Any]
Run = Callable[[str, str, Json, Json], Result]


def test_perennial_makers_take_the_other_side(check: Run, run: Run) -> None:
    given = {
        "accounts": [{"id": "m", "collateral": "20"}],
        "positions": [
            {"account": "m", "side": "maker", "size": "4"}, {"account": "s", "side": "short", "size": "3"},
            {"account": "l", "side": "long", "size": "1"},
        ],
        "prices": {"from": "50", "to": "40"},
        "params": {"settlement_fee": "1", "liquidation_fee": "2"},
    }  # fmt: skip
    check("Perennial v2", "bankruptcy_waterfall", given, {"pnl": "-20", "collateral_before_funding_and_interest": "-3"})
    given["positions"][1]["size"] = "6"  # type: ignore[index]  # a list of JSON
    assert run("Perennial v2", "bankruptcy_waterfall", given, {"pnl": "0"}).status is Status.NOT_APPLICABLE
