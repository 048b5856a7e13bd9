"""Binance, BitMEX, CoinCatch and KuCoin on vectors of our own, computed by hand."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.conform import Result, Status
from replay.conform.queues import holders, mark_for
from replay.conform.stage import Listed, Stage
from replay.core.ranking import rank
from replay.presets import preset

Json = dict[str, Any]
Run = Callable[[str, str, Json, Json], Result]


@pytest.mark.parametrize(
    ("wallet", "profit", "expect"),
    [
        ("2", "5", ("2.5", "0.25")),
        ("0.5", "5", ("5", "0.5")),
        ("9", "-5", ("0", "0")),
        ("3", "1", ("0.33", "0.033")),
        ("-5", "5", ("5", "0")),
    ],
)
def test_binance_before_september_2025(check: Run, wallet: str, profit: str, expect: tuple[str, str]) -> None:
    given_ = {
        "accounts": [{"id": "a", "wallet_balance": wallet, "unrealised": profit}],
        "params": {"margin_ratio": "0.1", "formula": "max(0,UP)/max(1,WB) * MM/(WB+UP)"},
    }
    check("binance", "rank", given_, {"pnl_percent": expect[0], "leverage_pnl": expect[1]})


def test_another_formula_of_binance_is_another_rule(run: Run) -> None:
    given_ = {
        "accounts": [{"id": "a", "wallet_balance": "1", "unrealised": "1"}],
        "params": {"margin_ratio": "1", "formula": "U/E"},
    }
    assert "'U/E'" in run("binance", "rank", given_, {"pnl_percent": "1"}).reason


def queue(*rows: tuple[str, str, str], **params: str) -> Json:
    return {
        "accounts": [{"id": name, "score": score} for name, score, _ in rows],
        "positions": [{"account": name, "size": size} for name, _, size in rows],
        "prices": {"bankruptcy": "70"} if params else {},
        "params": params,
    }


ROWS = (("a", "-1", "10"), ("b", "3", "15"), ("c", "2.5", "50"), ("d", "9", "25"))


def test_bitmex_lights(check: Run) -> None:
    # 25, 40, 90 and 100 of 100 contracts.
    expect = {"order": ["d", "b", "c", "a"], "percentile_shown": {"d": "40", "b": "40", "c": "100", "a": "100"}}
    check("bitmex", "rank", queue(*ROWS), expect)


def test_bitmex_closes_from_the_head(check: Run) -> None:
    fills = [{"account": "d", "size": "25", "price": "70"}, {"account": "b", "size": "5", "price": "70"}]
    given_ = queue(*ROWS, liquidated_short="30", allocation="greedy by score")
    check("bitmex", "allocation", given_, {"fills": fills, "left": {"b": "10"}})


def test_equal_scores_have_no_order(run: Run) -> None:
    given_ = queue(("a", "1", "1"), ("b", "1", "1"))
    assert run("bitmex", "rank", given_, {"order": ["a", "b"]}).status is Status.NOT_APPLICABLE


scores = st.fractions(-9, 9, max_denominator=4)


@given(st.lists(st.tuples(scores, st.integers(-100, 100).filter(bool).map(Fraction)), min_size=1, max_size=6))
def test_accounts_are_made_that_the_common_key_gives_these_scores(rows: list[tuple[Fraction, Fraction]]) -> None:
    scored = {str(number): row for number, row in enumerate(rows)}
    mark = mark_for(scored)
    stage = Stage({"market": Listed(mark)}, holders(scored, mark), [preset("bitmex").texts])
    for side in (1, -1):
        for one in rank(stage.state, 0, side, stage.policy()).ranked:
            score, size = rows[int(stage.name(one.account))]
            assert one.score is not None
            assert (Fraction(*one.score), one.size * side > 0, one.lots) == (score, True, stage.lots("market", abs(size)))


def test_coincatch_closes_by_rank_on_the_other_side(check: Run) -> None:
    loser = {"account": "l", "side": "short", "size": "10", "entry": "9", "liquidation_price": "11", "bankruptcy_price": "12"}
    held = [("x", "long", "4", "2"), ("y", "short", "9", "1"), ("z", "long", "5", "1"), ("q", "long", "5", "3")]
    given_ = {
        "positions": [loser, *({"account": a, "side": s, "size": n, "rank": r} for a, s, n, r in held)],
        "prices": {"mark": "13"},
        "params": {"allocation": "greedy by rank", "close_price": "bankruptcy price of the liquidated order"},
    }
    fills = [{"account": account, "size": size, "price": "12"} for account, size in (("z", "5"), ("x", "4"), ("q", "1"))]
    check("coincatch", "allocation", given_, {"fills": fills, "left": {"q": "4"}})


@pytest.mark.parametrize(
    ("side", "contract", "mark", "percent"),
    [
        ("long", "linear", "55", "37.5"), ("short", "linear", "55", "-37.5"),
        ("long", "inverse", "50", "20"), ("short", "inverse", "60", "-33.33"),
    ],
)  # fmt: skip
def test_kucoin_return(check: Run, side: str, contract: str, mark: str, percent: str) -> None:
    position = {"account": "a", "side": side, "size": "3", "multiplier": "0.1", "entry": "40"}
    given_ = {"positions": [position], "prices": {"mark": mark}, "params": {"contract": contract}}
    check("kucoin", "rank", given_, {"position_return_pct": percent})
