"""Mango v4 on vectors of our own, computed by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from replay.conform import Result, Status

Json = dict[str, Any]
Run = Callable[[str, str, Json, Json], Result]


def mango(token: str, other: str, quote: str, **changes: str) -> Json:
    params = {"settle_asset_weight": "0.5", "settle_liab_weight": "2", "insurance_fund": "0", "settle_limit": "0"}
    params |= {"max_liab_transfer": "100", "open_interest": "1", "base_liquidation_fee": "0"}
    return {
        "accounts": [{"id": "a", "settle_token": token, "other_token": other}],
        "positions": [{"account": "a", "base": "0", "quote": quote}],
        "prices": {"settle_token": "1", "insurance_token": "4"},
        "params": {**params, **changes},
    }


@pytest.mark.parametrize(
    ("given", "expect"),
    [
        # Health is zero at a token balance of 6 (0.5 * 6 = 3): of 10 at most 4 can be settled, and all of -3 is.
        (mango("10", "-3", "-3", settle_limit="9"), ("7", "0", "3", "-3", "0", "0")),
        # 10 - 20 = -10 has to rise to 6: settle 4, then 16 are short; the fund's 2 at 4 buy 8, and 8 are socialised.
        (mango("10", "-3", "-20", settle_limit="9", insurance_fund="2"), ("6", "0", "4", "-12", "2", "8")),
        # The same with a liquidator who takes 5 in all: the fund pays for 1 and is not exhausted, so nothing is socialised.
        (mango("10", "-3", "-20", settle_limit="9", insurance_fund="2", max_liab_transfer="5"),
         ("6", "-15", "4", "-5", "0.25", "0")),
        # Other health of 6 carries a balance of -3 (weight 2).
        (mango("0", "6", "-5"), ("0", "-3", "0", "0", "0", "2")),
        # Healthy with all of it: nothing to resolve.
        (mango("20", "-3", "-5"), ("20", "-5", "0", "0", "0", "0")),
    ],
    ids=["settled", "all three", "limited", "liability weight", "healthy"],
)  # fmt: skip
def test_mango_settles_buys_and_socialises(check: Run, given: Json, expect: tuple[str, ...]) -> None:
    keys = (
        "a_settle_token",
        "a_perp_quote",
        "liquidator_settle_token",
        "liquidator_perp_quote",
        "insurance_paid",
        "socialised_loss",
    )
    check("Mango v4", "bankruptcy_waterfall", given, dict(zip(keys, expect, strict=True)))


def test_mango_with_a_base_position_is_another_rule(run: Run) -> None:
    given = mango("1", "1", "-1")
    given["positions"][0]["base"] = "1"
    assert run("Mango v4", "bankruptcy_waterfall", given, {"insurance_paid": "0"}).status is Status.NOT_APPLICABLE
