"""Bybit on vectors of our own, computed by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from replay.conform import Result

Json = dict[str, Any]
Run = Callable[[str, str, Json, Json], Result]


def bybit(balance: str, symbol: str, **changes: str) -> Json:
    params = {
        "pool_8h_max_balance": "1000",
        "symbol_8h_max_pnl": "100",
        "trigger_threshold": "1",
        "insurance_pnl_ratio": "-0.3",
    }
    return {"params": {**params, "balance": balance, "symbol_pnl": symbol, "stop_ratio": "-0.25", **changes}}


@pytest.mark.parametrize(
    ("given", "expect"),
    [
        (bybit("800", "-240"), ("-0.34", True, False, True, "40")),
        (bybit("800", "-199"), ("-0.299", False, False, False, "0")),
        (bybit("1", "-240"), ("-0.34", False, False, False, "40")),
        (bybit("0", "0"), ("-0.1", False, True, True, "0")),
    ],
)
def test_bybit_triggers(check: Run, given: Json, expect: tuple[Any, ...]) -> None:
    keys = ("pnl_ratio", "condition_1_true", "condition_2_true", "triggered", "adl_covers")
    restated = {"held_at_ratio": "-0.3", "stops_when": "prose"}
    result = check("Bybit", "trigger", given, {**dict(zip(keys, expect, strict=True)), **restated})
    assert result.not_compared.keys() == {"stops_when"}


def test_bybit_at_its_threshold_triggers_as_the_example_does(check: Run) -> None:
    result = check("bybit", "trigger", bybit("800", "-200"), {"pnl_ratio": "-0.3", "triggered": True, "adl_covers": "0"})
    assert "the preset has the example" in " ".join(result.readings)


def test_bybit_with_less_given(check: Run) -> None:
    check("bybit", "trigger", {"params": {"balance": "-1", "pool_8h_max_balance": "9"}}, {"triggered": True})
    params = {
        "balance": "9",
        "insurance_pnl_ratio": "-0.3",
        "pnl_ratio": "-0.4",
        "trigger_threshold": "8",
        "stop_ratio": "-0.25",
    }
    check("bybit", "trigger", {"params": params}, {"condition_1_true": True, "condition_2_true": False})


@pytest.mark.parametrize(("side", "price"), [("long", "93"), ("short", "107")])
def test_bybit_bankruptcy_price(check: Run, side: str, price: str) -> None:
    position = {"account": "a", "side": side, "size": "10", "entry": "100", "position_margin": "50"}
    given = {"accounts": [{"id": "a", "wallet_balance": "20"}], "positions": [position]}
    check("bybit", "bankruptcy_price", given, {"bankruptcy_price": price})
