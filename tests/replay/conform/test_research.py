"""The research's examples on vectors of our own, computed by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from replay.conform import Result, Status

Json = dict[str, Any]
Run = Callable[[str, str, Json, Json], Result]
VENUE = "Research papers"


def seizure(**params: Any) -> Json:
    rows = [("1", "6", "2", "4"), ("2", "3", "1", "2"), ("3", "-4", "0", "-4")]
    return {
        "accounts": [{"id": name, "equity": equity, "cash": cash, "pnl": pnl} for name, equity, cash, pnl in rows],
        "params": {"theta": "0.75", "deficit": "4", "budget": "3", **params},
    }


def test_a_queue_seizes_profits_in_its_order(check: Run) -> None:
    expect = {"seized": ["1", "2", "0"], "haircut_fraction": ["0.25", "1", "0"], "equity_after": ["5", "1", "-4"]}
    check(VENUE, "allocation", seizure(allocation="greedy", queue_order=["2", "1"]), expect)


def test_pro_rata_seizes_one_share_of_all_profits(check: Run) -> None:
    expect = {"seized": ["2", "1", "0"], "haircut_fraction": "0.5", "equity_after": ["4", "2", "-4"]}
    check(VENUE, "allocation", seizure(allocation="pro-rata to positive PnL"), expect)


@pytest.mark.parametrize("wrong", [{"budget": "2"}, {"deficit": "5", "budget": "3.75"}, {"theta": "9", "budget": "36"}])
def test_numbers_that_do_not_belong_together_are_not_answered(run: Run, wrong: Json) -> None:
    given = seizure(allocation="pro-rata to positive PnL", **wrong)
    assert run(VENUE, "allocation", given, {"haircut_fraction": "0.5"}).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("shares", "model"),
    [
        (["0.2", "0.8"], "rap explains"),
        (["0.047", "0.953"], "rap-over explains"),
    ],
)
def test_shares_of_risk_aware_pro_rata(check: Run, shares: list[str], model: str) -> None:
    rows = [("4", "1", "4"), ("4", "2", "8")]
    given = {
        "accounts": [{"id": str(n), "equity": e, "leverage": lev, "notional": v} for n, (e, lev, v) in enumerate(rows)],
        "params": {"weight": "equity * leverage * g(leverage)"},
    }
    # CVaR: 4 * 0.1 against 8 * 1.1, or 0.4 / 9.2 = 0.0435.
    shares = ["0.0435", "0.9565"] if model.startswith("rap-over") else shares
    result = check(VENUE, "allocation", given, {"shares": shares})
    assert model in result.readings[0]


def test_bankruptcy_and_liquidation_prices(check: Run) -> None:
    given = {
        "accounts": [{"id": "l", "cash": "20"}, {"id": "s", "cash": "10"}, {"id": "rich", "cash": "1000"}],
        "positions": [
            {"account": "l", "size": "4", "entry": "50"}, {"account": "s", "size": "-5", "entry": "50"},
            {"account": "rich", "size": "1", "entry": "50"},
        ],
        "prices": {"mark": "51"},
        "params": {"maintenance": "0.25"},
    }  # fmt: skip
    bankruptcy = {"l": "45", "s": "52", "rich": "0"}
    check(
        VENUE,
        "bankruptcy_price",
        given,
        {"bankruptcy_price": bankruptcy, "liquidation_price": {"l": "60", "s": "41.6", "rich": "0"}},
    )
    given["params"] = {}
    check(VENUE, "bankruptcy_price", given, {"bankruptcy_price": bankruptcy})


def test_metrics(check: Run, run: Run) -> None:
    params = {"signed_quantity": "-3", "execution": "10", "mark_at_execution": "9", "mark_later": "7"}
    check(VENUE, "metric", {"params": params}, {"immediate": "3", "opportunity": "6", "total": "9"})
    prices = {"execution": "8", "bankruptcy": "8.5"}
    check(VENUE, "metric", {"prices": prices, "params": {"size": "3"}}, {"bad_debt": "1.5"})
    assert run(VENUE, "metric", {"params": {"waves": "1"}}, {"net_overshoot": "1"}).status is Status.NOT_APPLICABLE
