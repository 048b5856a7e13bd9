"""Ethereal, Kraken and OKX on vectors of our own, computed by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from replay.conform import Result, Status

Json = dict[str, Any]
Run = Callable[[str, str, Json, Json], Result]
RANK = ["effective leverage desc", "unrealised pnl desc", "account balance asc", "account number desc"]


def ethereal(equity: str, mark: str, fund: str = "0") -> Json:
    return {
        "accounts": [{"id": "Z", "equity": equity}],
        "positions": [{"account": "Z", "side": "short", "size": "2", "entry": "10"}],
        "prices": {"X": mark},
        "params": {"insurance_equity": fund, "rank": RANK, "close_price": "oracle mark capped at bankruptcy price"},
    }


def test_ethereal_moves_the_shortfall(check: Run, run: Run) -> None:
    result = check("ethereal", "adl_match", ethereal("-3", "13"), {"pnl_transferred": "3", "Z_closed": True})
    assert "shortfall" in result.readings[0]
    for given in (ethereal("1", "13"), ethereal("-3", "13", "1"), ethereal("-7", "13")):
        assert run("ethereal", "adl_match", given, {"Z_closed": True}).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("side", "margin", "expect"),
    [
        # Worth 1 BTC at 500. Long: 1.25 in all, zero at 400. Rate 10%: 1.1 * 500 / 1.25.
        ("long", "0.25", ("400", "440", "400", "0")),
        # Short: owes 0.8 BTC net, zero at 625. Rate 10%: 0.9 * 500 / 0.8.
        ("short", "0.2", ("625", "562.5", "625", "0")),
    ],
)
def test_kraken_inverse_prices(check: Run, side: str, margin: str, expect: tuple[str, str, str, str]) -> None:
    position = {"account": "a", "side": side, "size": "500", "entry": "500", "contract": "inverse BTC-USD"}
    given = {
        "accounts": [{"id": "a", "margin_btc": margin}], "positions": [position],
        "params": {"initial_margin_btc": "0.2", "maintenance_margin_btc": "0.1"},
    }  # fmt: skip
    bankruptcy, liquidation, limit, left = expect
    numbers = {"bankruptcy_price": bankruptcy, "liquidation_price": liquidation, "ioc_limit_price": limit}
    check(
        "kraken",
        "bankruptcy_price",
        given,
        {**numbers, f"equity_at_{limit}_exact_btc": left, "position_value_at_entry_btc": "1"},
    )


def test_kraken_assigns_what_the_book_left(check: Run, run: Run) -> None:
    given = {"positions": [{"account": "a", "side": "short", "size": "10"}], "params": {"filled_on_book": "4"}}
    check("kraken", "allocation", given, {"assigned": "6"})
    given["params"] = {"filled_on_book": "11"}
    assert run("kraken", "allocation", given, {"assigned": "-1"}).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("now", "average", "threshold", "triggered"),
    [("50001", "100000", "50000", False), ("49999", "100000", "50000", True), ("699999", "1000000", "700000", True)],
)
def test_okx_deducts_the_larger_of_two(check: Run, now: str, average: str, threshold: str, triggered: bool) -> None:
    rule = "8h average minus 30% or 50K, whichever is higher (as paraphrased)"
    given = {"params": {"reserve_now": now, "reserve_8h_average": average, "rule": rule}}
    result = check("okx", "trigger", given, {"threshold_stated": threshold, "triggered": triggered})
    assert "larger deduction" in result.readings[0]
