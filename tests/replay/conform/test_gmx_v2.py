"""GMX v2 on vectors of our own, computed by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from replay.conform import Result, Status

Json = dict[str, Any]
Run = Callable[[str, str, Json, Json], Result]


def gmx(price: str, side: str = "long", **params: str) -> Json:
    return {
        "positions": [{"account": "u", "market": "X", "side": side, "size_usd": "1000", "size_tokens": "100", "entry": "10"}],
        "prices": {"X": price, "WNT": "5"},
        "params": {"pool_long_tokens": "400", "max_pnl_factor_for_adl": "0.1", **params},
    }


@pytest.mark.parametrize(
    ("given", "pnl", "factor", "enabled"),
    [
        (gmx("12"), "200", "0.1", False),  # strictly above
        (gmx("12.01"), "201", "0.1005", True),
        (gmx("12", pool_usd="1000"), "200", "0.2", True),
        (gmx("7", "short"), "300", "0.15", True),
        (gmx("7"), "-300", "-0.15", False),
    ],
)
def test_gmx_compares_profit_with_the_pool(check: Run, given: Json, pnl: str, factor: str, enabled: bool) -> None:
    check("GMX v2", "trigger", given, {"pnl_usd": pnl, "pnl_to_pool_factor": factor, "adl_enabled": enabled})


def test_gmx_names_the_order_type_of_an_adl(check: Run, run: Run) -> None:
    expect = {"adl_enabled": True, "secondary_order_type": "1 (Adl)"}
    check("GMX v2", "trigger", gmx("15", close_size_usd="10"), expect)
    assert run("GMX v2", "trigger", gmx("10", close_size_usd="10"), expect).status is not Status.PASS


def test_gmx_refuses_an_adl_that_is_not_enabled(check: Run, run: Run) -> None:
    check("GMX v2", "adl_match", gmx("12", close_size_usd="10"), {"error": "AdlNotEnabled"})
    assert (
        run("GMX v2", "adl_match", gmx("15", close_size_usd="10"), {"error": "AdlNotEnabled"}).status is Status.NOT_APPLICABLE
    )
