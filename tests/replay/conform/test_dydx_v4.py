"""dYdX v4 on vectors of our own, computed by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from replay.conform import Result, Status

Json = dict[str, Any]
Run = Callable[[str, str, Json, Json], Result]
VENUE = "dYdX v4 (chain)"
BTC = {"base_quantums_per_unit": "100", "initial_margin_ppm": "200000", "maintenance_fraction_ppm": "500000"}


def world(accounts: dict[str, tuple[str, str]], oracle: str = "1000", **params: Any) -> Json:
    """Return a ``given`` of accounts (USDC, BTC) in one market with 1/100 BTC base quantums and 10% maintenance margin."""
    return {
        "accounts": [{"id": name, "usdc": usdc} for name, (usdc, _) in accounts.items()],
        "positions": [{"account": name, "perp": "BTC", "size": size} for name, (_, size) in accounts.items() if size != "0"],
        "prices": {"BTC": {"oracle": oracle}},
        "params": {"markets": {"BTC": BTC}, **params},
    }


def view(name: str, usdc: str, size: str = "0") -> Json:
    return {"id": name, "usdc": usdc, "positions": [] if size == "0" else [{"perp": "BTC", "size": size}]}


def test_the_bankruptcy_price_of_a_partial_close(check: Run) -> None:
    # Long 2 at 1000, USDC -1990: equity 10, maintenance 200. A quarter brings in 500 - 10 / 4.
    given = world({"a": ("-1990", "2")}, perp="BTC", delta="-0.5")
    expect = {"quote_delta": "497.5", "quote_delta_quantums": "497500000", "net_collateral": "10", "maintenance": "200"}
    check(VENUE, "bankruptcy_price", given, expect)


@pytest.mark.parametrize("delta", ["0", "0.5", "-2.01"])
@pytest.mark.parametrize("kind", ["bankruptcy_price", "liquidation_price"])
def test_a_change_that_does_not_reduce_is_refused(check: Run, kind: str, delta: str) -> None:
    settings = {"bankruptcy_adjustment_ppm": "1000000", "spread_to_mm_ppm": "100000"} if kind == "liquidation_price" else {}
    given = world({"a": ("-1990", "2")}, perp="BTC", delta=delta, **settings)
    check(VENUE, kind, given, {"error": "invalid position size delta"})


def test_the_fillable_price(check: Run) -> None:
    # Rating 1 - 50/200 = 3/4, spread a tenth of the margin: 15 over 2 contracts.
    given = world({"a": ("-1950", "2")}, perp="BTC", delta="-2", bankruptcy_adjustment_ppm="1000000", spread_to_mm_ppm="100000")
    check(
        VENUE, "liquidation_price", given, {"price": "992.5", "price_rational": "1985/2", "quote_per_base_quantum": "9925000"}
    )


@pytest.mark.parametrize(
    ("price", "fund_pays_in"),
    [("995", "0"), ("990", "-10"), ("996", "2"), ("1100", "22")],
    ids=["at the bankruptcy price", "below", "above", "fee capped at 1%"],
)
def test_what_a_liquidation_fill_pays_the_fund(check: Run, price: str, fund_pays_in: str) -> None:
    given = world(
        {"a": ("-1990", "2")}, side="sell", fill_base_quantums="200", fill_price=price, max_liquidation_fee_ppm="10000"
    )
    expect = {
        "bankruptcy_quote_quantums": "1990000000",
        "fill_quote_quantums": str(int(price) * 2_000_000),
        "fund_delta": fund_pays_in,
        "fund_delta_quantums": str(int(fund_pays_in) * 10**6),
    }
    if fund_pays_in == "0":
        given["params"]["fill_price"], expect["fill_quote_quantums"] = "995", "1990000000"
    check(VENUE, "insurance_fund", given, expect)


def test_a_fill_on_the_wrong_side_is_refused(check: Run, run: Run) -> None:
    given = world({"a": ("-1990", "2")}, side="buy", fill_base_quantums="1", fill_price="1", max_liquidation_fee_ppm="0")
    check(VENUE, "insurance_fund", given, {"error": "invalid position size delta"})
    given["params"]["fill_base_quantums"] = "0"
    assert run(VENUE, "insurance_fund", given, {"error": "x"}).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(("balance", "delta", "valid"), [("5", "-5", True), ("5", "-5.000001", False), ("-1", "0", True)])
def test_what_the_fund_can_bear(check: Run, balance: str, delta: str, valid: bool) -> None:
    given = {"params": {"fund_balance": balance, "delta": delta}}
    check(VENUE, "insurance_fund", given, {"valid": valid})


def test_the_example_of_a_fund_that_pays(check: Run) -> None:
    given = {
        "accounts": [{"id": "A", "deposit": "10"}],
        "positions": [{"account": "A", "perp": "X", "size": "-20", "entry": "1"}],
        "prices": {"X": {"oracle": "1.49"}},
        "params": {"maintenance_margin_fraction": "0.03", "liquidation_fill_price": "1.6"},
    }
    check(VENUE, "insurance_fund", given, {"equity_before": "0.2", "pnl_at_fill": "-12", "fund_pays": "2"})
    given["prices"] = {"X": {"oracle": "1"}}
    check(VENUE, "insurance_fund", given, {"equity_before": "10", "fund_pays": "0"})


@pytest.mark.parametrize(
    ("usdc", "status", "at_bankruptcy", "at_oracle"),
    [
        ("-2001", "ACTIVE", True, False),
        ("-2000", "ACTIVE", False, False),
        ("-2000", "FINAL_SETTLEMENT", False, True),
        ("-2001", "FINAL_SETTLEMENT", True, False),
    ],
)
def test_triggers(check: Run, usdc: str, status: str, at_bankruptcy: bool, at_oracle: bool) -> None:
    given = world({"a": (usdc, "2")}, market_status=status, account="a")
    expect = {
        "net_collateral": str(int(usdc) + 2_000),
        "deleverage_at_bankruptcy_price": at_bankruptcy,
        "deleverage_at_oracle_price": at_oracle,
    }
    check(VENUE, "trigger", given, expect)


@pytest.mark.parametrize(("new", "valid"), [(("2", "1"), True), (("1", "1"), False), (("9", "3"), False), (("0", "0"), True)])
def test_validity(check: Run, new: tuple[str, str], valid: bool) -> None:
    params = {"old_net_collateral": "4", "old_maintenance": "2", "new_net_collateral": new[0], "new_maintenance": new[1]}
    check(VENUE, "validity", {"params": params}, {"valid": valid})


def orders(*rows: tuple[str, str]) -> Json:
    keys = ["abs(price-oracle)/oracle desc", "quote size desc", "order hash asc"]
    listed = [{"index": n, "side": "buy", "price": price, "size": size} for n, (price, size) in enumerate(rows)]
    return {"prices": {"X": {"oracle": "100"}}, "params": {"orders": listed, "keys": keys}}


def test_liquidation_orders_go_by_distance_and_then_by_quote_size(check: Run, run: Run) -> None:
    check(VENUE, "rank", orders(("101", "9"), ("97", "1"), ("103", "1"), ("100", "2")), {"order": [2, 1, 0, 3]})
    tied = run(VENUE, "rank", orders(("101", "9"), ("101", "9"), ("90", "1")), {"order": [2, 0, 1]})
    assert tied.status is Status.NOT_APPLICABLE
    assert "hash" in tied.reason
    assert run(VENUE, "rank", orders(("101", "9"), ("101", "9"), ("90", "1")), {"order": [0, 1, 2]}).status is Status.FAIL
    assert run(VENUE, "rank", {**orders(("1", "1")), "prices": {}}, {"order": [0]}).status is Status.NOT_APPLICABLE


def test_a_walk_along_candidates_skips_who_cannot_match(check: Run) -> None:
    # Loser long 2, equity -10, closes at 1005. Same side, none, bankrupt at 1005 (a short with equity -5), then 1.5 and 1.
    accounts = {
        "l": ("-2010", "2"), "same": ("0", "1"), "none": ("5", "0"), "broke": ("995", "-1"), "one": ("3000", "-1.5"),
        "two": ("9", "0"), "three": ("3000", "-1"),
    }  # fmt: skip
    order = ["same", "none", "broke", "one", "two", "three"]
    given = world(accounts, perp="BTC", liquidated="l", delta="-2", candidate_order=order)
    after = [
        view("l", "0"), view("same", "0", "1"), view("none", "5"), view("broke", "995", "-1"), view("one", "1492.5"),
        view("two", "9"), view("three", "2497.5", "-0.5"),
    ]  # fmt: skip
    fills = [
        {"offsetting": "one", "size": "1.5", "base_quantums": "150", "quote_delta_liquidated": "1507.5"},
        {"offsetting": "three", "size": "0.5", "quote_delta_liquidated": "502.5"},
    ]
    check(VENUE, "adl_match", given, {"fills": fills, "remaining_base_quantums": "0", "after": after})


@pytest.mark.parametrize(
    ("winner", "delta", "price", "expect"),
    [
        (("3000", "-2"), "-1", "bankruptcy_of_liquidated", ("1005", ("-1005", "1"), ("1995", "-1"))),
        (("1000", "-1"), "-1", "bankruptcy_of_liquidated", "update_rejected"),
        (("3000", "-2"), "-1", "oracle", "update_rejected"),
        (("3000", "-2"), "1", "bankruptcy_of_liquidated", "size_delta"),
        (("3000", "-2"), "-3", "bankruptcy_of_liquidated", "size_delta"),
        (("3000", "2"), "-1", "bankruptcy_of_liquidated", "size_delta"),
    ],
)
def test_one_match(check: Run, winner: tuple[str, str], delta: str, price: str, expect: Any) -> None:
    given = world(
        {"l": ("-2010", "2"), "w": winner}, perp="BTC", liquidated="l", offsetting="w", delta=delta, close_price=price
    )
    if isinstance(expect, str):
        check(VENUE, "adl_match", given, {"result": expect})
        return
    quote, loser, other = expect
    after = [view("l", *loser), view("w", *other)]
    check(VENUE, "adl_match", given, {"result": "ok", "quote_delta_liquidated": quote, "after": after})


def test_the_example_of_two_accounts(check: Run) -> None:
    given = {
        "accounts": [{"id": "L", "deposit": "30"}, {"id": "W", "deposit": "50"}],
        "positions": [
            {"account": "L", "perp": "X", "size": "10", "entry": "20"},
            {"account": "W", "perp": "X", "size": "-10", "entry": "21"},
        ],
        "prices": {"X": {"oracle": "15"}},
        "params": {"liquidated": "L"},
    }  # fmt: skip
    expect = {
        "equity_L_before": "-20",
        "unrealised_W_before": "60",
        "close_price": "17",
        "realised_W": "40",
        "equity_L_after": "0",
    }
    check(VENUE, "adl_match", given, expect)


BLOCK = {"market_status": "ACTIVE", "insurance_fund": "0", "max_liquidation_fee_ppm": "10000", "spread_to_mm_ppm": "1000000"}
BIDS = {"account": "w", "side": "buy", "size": "0.5"}
FLAT, SHORT = ("2000", "0"), ("2100", "-2")


@pytest.mark.parametrize(
    ("usdc", "other", "book", "changes", "loser_after", "other_after", "fund"),
    [
        # Equity 20 of 200 needed: 0.5 at 995, which is 5 by contract above the bankruptcy price; the rest has no buyer.
        ("-1980", FLAT, [{**BIDS, "price": "995"}], {}, ("-1485", "1.5"), ("1502.5", "0.5"), "2.5"),
        # Equity -10: a fill at 1000 would cost the empty fund 2.5. None is made, and all is deleveraged at 1005.
        ("-2010", SHORT, [{**BIDS, "price": "1000"}], {}, ("0", "0"), ("90", "0"), "0"),
        # With 2.5 in the fund it is made, and any fill cancels deleveraging in this block.
        ("-2010", SHORT, [{**BIDS, "price": "1000"}], {"insurance_fund": "2.5"}, ("-1507.5", "1.5"), ("1600", "-1.5"), "-2.5"),
        # Not below its maintenance margin: nothing happens. In final settlement it is closed at the oracle price.
        ("-1000", SHORT, [{**BIDS, "price": "1000"}], {}, ("-1000", "2"), ("2100", "-2"), "0"),
        ("-1000", SHORT, [], {"market_status": "FINAL_SETTLEMENT"}, ("1000", "0"), ("100", "0"), "0"),
        # Below the worst price, on the same side, or its own: not matched. Its equity is positive, so nothing follows.
        ("-1980", SHORT,
         [{**BIDS, "price": "1"}, {**BIDS, "side": "sell", "price": "1"}, {**BIDS, "account": "l", "price": "999"}], {},
         ("-1980", "2"), ("2100", "-2"), "0"),
        # The best price comes first, and a maker whose update is refused is passed over.
        ("-1980", ("-2", "0"), [{**BIDS, "price": "995"}], {}, ("-1980", "2"), ("-2", "0"), "0"),
        ("-1980", FLAT, [{**BIDS, "price": "990"}, {**BIDS, "price": "1000", "size": "2"}], {}, ("0", "0"), ("0", "2"), "20"),
    ],
    ids=["fill", "adl", "fund pays", "healthy", "final", "no match", "maker refused", "best first"],
)  # fmt: skip
def test_one_block(
    check: Run, usdc: str, other: tuple[str, str], book: list[Json], changes: Json,
    loser_after: tuple[str, str], other_after: tuple[str, str], fund: str,
) -> None:  # fmt: skip
    given = world({"l": (usdc, "2"), "w": other}, liquidated="l", book=book, **{**BLOCK, **changes})
    expect = {"after": [view("l", *loser_after), view("w", *other_after)], "fund_gain": fund}
    check(VENUE, "scenario", given, expect)
