from collections.abc import Callable
from typing import Any

import pytest

from events.errors import MisuseError


@pytest.fixture
def told(tale: Callable[..., Any]) -> Any:
    told = tale([(10**12, {0: (-900, 1_000)}), (10**12, {0: (400, 900)}), (10**12, {0: (500, 900)})], [1_000])
    told.liquidate(6, 5, 0, 1_030, -100)
    told.round(6, 0, -800)
    told.tick(0, 1_100)
    told.close(6, 7, 0, 980, 300)
    told.close(6, 8, 0, 1_005, 500)
    return told


def test_the_mark_before_the_round_is_the_reference(told: Any, query: Callable[..., Any]) -> None:
    found = query("Q24", told.events)
    # 3 contracts sold 0.20 too low; 5 sold 0.05 better than the mark get nothing.
    assert found.values == {
        "adl.total": "0.6", "adl.net": "0.35", "adl.accounts": "1",
        "liquidation.total": "0.3", "liquidation.net": "0.3", "liquidation.accounts": "1",
    }  # fmt: skip
    assert found.rows("adl.accounts") == [{"account": "t7", "closes": 1, "compensation": "0.6"}]
    assert found.rows("liquidation.accounts") == [{"account": "t6", "closes": 1, "compensation": "0.3"}]


def test_a_price_given_is_the_reference_of_its_market(told: Any, query: Callable[..., Any]) -> None:
    values = query("Q24", told.events, market="M0", price="10.10").values
    assert (values["adl.total"], values["adl.accounts"]) == ("1.15", "2")
    # A short bought back above 10.10 paid 0.20 too much.
    assert values["liquidation.total"] == "0.2"
    assert query("Q24", told.events, market="M0", price="10.10", account="t8").values["adl.total"] == "0.25"


@pytest.mark.parametrize("price", ["10.001", "ten", "1e3"])
def test_a_price_off_the_grid_is_misuse(told: Any, query: Callable[..., Any], price: str) -> None:
    with pytest.raises(MisuseError, match="--price"):
        query("Q24", told.events, market="M0", price=price)


def test_without_a_mark_there_is_no_reference(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (-900, 1_000)}), (10**12, {0: (400, 900)})], [1_000])
    del told.events[-1]
    told.round(6, 0, -900)
    told.close(6, 7, 0, 980, 300)
    figure = query("Q24", told.events).figures["adl.total"]
    assert (figure.value, figure.missing) == (None, ("mark price",))
