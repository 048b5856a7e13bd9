"""Paradex on vectors of our own, computed by hand."""

from collections.abc import Callable
from typing import Any

from replay.conform import Result, Status

Json = dict[str, Any]
Run = Callable[[str, str, Json, Json], Result]


def test_paradex_spreads_a_shortfall_over_withdrawals(check: Run) -> None:
    given = {
        "accounts": [{"id": "insurance", "usdc": "10"}, {"id": "a", "usdc": "30"}, {"id": "b", "usdc": "40"}],
        "positions": [{"account": "a", "size": "10", "entry": "8"}, {"account": "b", "size": "-10", "entry": "8"}],
        "prices": {"mark": "3", "usdc": "1"},
        "params": {},
    }
    expect = {
        "a_upnl": "-50", "a_value": "-20", "b_value": "90", "bankruptcy_amount": "20", "exchange_bankruptcy": "10",
        "factor_by_formula": "1/9", "factor_stated": "0.125",
    }  # fmt: skip
    assert len(check("Paradex", "withdrawal_haircut", given, expect).readings) == 2


def test_paradex_splits_a_withdrawal_and_recovers(check: Run, run: Run) -> None:
    given = {"params": {"withdraw": "80", "factor": "0.1"}}
    check("Paradex", "withdrawal_haircut", given, {"to_insurance": "8", "to_user": "72"})
    taken = {
        "positions": [{"account": "insurance", "size": "-2", "entry": "10"}], "prices": {"mark": "14"},
        "params": {"insurance_usdc_after_takeover": "9"},
    }  # fmt: skip
    check("Paradex", "withdrawal_haircut", taken, {"insurance_value": "1", "factor": "0"})
    taken["prices"] = {"mark": "15"}
    assert run("Paradex", "withdrawal_haircut", taken, {"factor": "0"}).status is Status.NOT_APPLICABLE


def test_paradex_closes_the_least_share_of_all_positions(check: Run) -> None:
    # Value 100 - 20 = 80, margin 0.5 * 160 = 80. Fee a quarter: at 25%, 5 of 80, ratio 60/75 = 80%.
    given = {
        "accounts": [{"id": "a", "usdc": "100"}],
        "positions": [{"account": "a", "market": "X", "size": "2", "entry": "90"}],
        "prices": {"X": "80"},
        "params": {
            "maintenance": "0.5", "target_margin_ratio": "0.7", "share_step": "0.25",
            "fee_stated": "0.7", "fee_used_in_table": "0.25",
        },
    }  # fmt: skip
    rows = [("25", "5", "75", "80"), ("50", "10", "70", "57.1"), ("75", "15", "65", "30.8")]
    keys = ("share", "penalty", "account_value", "margin_ratio_pct")
    expect = {
        "account_value": "80", "maintenance": "80", "table": [dict(zip(keys, row, strict=True)) for row in rows],
        "chosen_share": "50", "collateral_after": "80", "positions_after": {"X": "1"},
    }  # fmt: skip
    result = check("Paradex", "liquidation_size", given, expect)
    assert len(result.precision) == 2
