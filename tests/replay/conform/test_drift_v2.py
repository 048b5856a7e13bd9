"""Drift v2 on vectors of our own, computed by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from replay.conform import Result, Status

Json = dict[str, Any]
Run = Callable[[str, str, Json, Json], Result]


@pytest.mark.parametrize(
    ("sizes", "loss", "expect"),
    [
        # ceil(1e6 * 1e9 / 3e9) = 333334 a base unit of 1e-6, times 1000; three base pay 1.000002.
        (["2", "-1"], "1", ("333334000", "1000002", "2")),
        (["2", "-2"], "-8", ("2000000000", "8000000", "0")),
    ],
)
def test_drift_spreads_a_loss_over_both_sides(check: Run, sizes: list[str], loss: str, expect: tuple[str, str, str]) -> None:
    given = {"positions": [{"account": str(n), "size": size} for n, size in enumerate(sizes)], "params": {"loss": loss}}
    keys = ("cumulative_funding_rate_delta", "collected_quote_quantums", "over_collected_quote_quantums")
    check("Drift v2", "socialise_rate", given, dict(zip(keys, expect, strict=True)))


@pytest.mark.parametrize("given", [{"params": {"loss": "1", "base_long": "0", "base_short": "0"}}, {"params": {"loss": "1"}}])
def test_drift_without_open_interest(check: Run, given: Json) -> None:
    check("Drift v2", "socialise_rate", given, {"error": "cannot resolve: total base amount is zero"})


def drift(paid: str, pool: str) -> Json:
    return {
        "accounts": [{"id": "x", "quote": "-70"}],
        "positions": [
            {"account": "x", "size": "0", "quote": "-70"},
            {"account": "up", "size": "3", "quote": "-30"},
            {"account": "down", "size": "-3", "quote": "30"},
        ],
        "params": {
            "open_interest_long": "3", "open_interest_short": "-3", "insurance_paid": paid, "fee_pool": pool,
            "cumulative_funding_long": "10", "cumulative_funding_short": "-10",
        },
    }  # fmt: skip


def test_drift_pays_by_fund_then_pool_then_index(check: Run) -> None:
    # 70 - 20 - 5 = 45 over 6 base: 7.5 each.
    expect = {
        "x_quote": "0", "up_quote": "-52.5", "down_quote": "7.5",
        "cumulative_funding_long": "17.5", "cumulative_funding_short": "-17.5",
        "market_social_loss": "45", "market_social_loss_quantums": "45000000",
        "user_total_social_loss": "70", "fee_pool_after": "0",
    }  # fmt: skip
    check("Drift v2", "bankruptcy_waterfall", drift("20", "5"), expect)
    covered = {"up_quote": "-30", "cumulative_funding_long": "10", "market_social_loss": "0", "fee_pool_after": "30"}
    check("Drift v2", "bankruptcy_waterfall", drift("20", "80"), covered)


def test_drift_counts_shorts_with_or_without_their_sign(check: Run) -> None:
    given = drift("20", "5")
    given["params"]["open_interest_short"] = "3"
    check("Drift v2", "bankruptcy_waterfall", given, {"up_quote": "-52.5", "cumulative_funding_short": "-17.5"})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"insurance_paid": "71"}, "more than the loss"),
        ({"insurance_paid": "-1"}, "more than the loss"),
        ({"fee_pool": "-1"}, "below zero"),
        ({"fee_pool": "0.0000001"}, "quote quantums"),
        ({"open_interest_long": "0.0000000001"}, "open_interest_long is not a whole number"),
    ],
)
def test_drift_does_not_cut_amounts_off(run: Run, changes: Json, reason: str) -> None:
    given = drift("20", "5")
    given["params"] |= changes
    result = run("Drift v2", "bankruptcy_waterfall", given, {"market_social_loss": "45"})
    assert (result.status, reason in result.reason) == (Status.NOT_APPLICABLE, True), result.reason


def test_drift_does_not_cut_open_interest_off(run: Run) -> None:
    given = {"params": {"loss": "1", "base_long": "0.0000000001", "base_short": "-1"}}
    result = run("Drift v2", "socialise_rate", given, {"cumulative_funding_rate_delta": "1000000000"})
    assert "base_long is not a whole number" in result.reason
