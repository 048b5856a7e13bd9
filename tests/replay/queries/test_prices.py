from collections.abc import Callable
from typing import Any


def test_signs_are_the_winners(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (-500, 1_000)}), (10**12, {0: (500, 900)})], [1_000])
    told.tick(0, 1_100, 1_050)
    told.round(6, 0, -500, mark=1_090, bankruptcy=1_000)
    told.close(6, 7, 0, 1_045, 500)
    found = query("Q05", told.events)
    # A long is sold at 10.45: below the mark of 11.00, above the one of 10.00 before it.
    assert {name: value for name, value in found.values.items() if "rebuilt" not in name} == {
        "mark.bps": "-500.00", "mark.cash": "-2.75",
        "stated_mark.bps": "-412.84", "stated_mark.cash": "-2.25",
        "previous_mark.bps": "450.00", "previous_mark.cash": "2.25",
        "oracle.bps": "-47.62", "oracle.cash": "-0.25",
        "bankruptcy.bps": "450.00", "bankruptcy.cash": "2.25",
    }  # fmt: skip
    (row,) = found.rows("closes")
    assert (row["side"], row["price"], row["mark_bps"], row["oracle_bps"]) == ("long", "10.45", "-500.00", "-47.62")


def test_a_short_is_bought_back_the_cheaper_the_better(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (500, 1_000)}), (10**12, {0: (-500, 1_100)})], [1_000])
    told.round(6, 0, 500)
    told.close(6, 7, 0, 990, -500)
    values = query("Q05", told.events).values
    assert (values["mark.bps"], values["mark.cash"]) == ("100.00", "0.5")
    assert values["oracle.bps"] is None


def test_the_rebuilt_bankruptcy_price_is_that_before_the_round(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    # 5 contracts short from 10.00 with 5.00 of its own: bankrupt at 11.00.
    told = tale([(5 * 10**8, {0: (-500, 1_000)}), (10**12, {0: (300, 900)}), (10**12, {0: (300, 900)})], [1_200])
    told.round(6, 0, -500)
    told.close(6, 7, 0, 1_100, 300)
    told.close(6, 8, 0, 1_100, 200)
    found = query("Q05", told.events)
    assert found.values["rebuilt_bankruptcy.bps"] == "0.00"
    assert [row["rebuilt_bankruptcy_bps"] for row in found.rows("closes")] == ["0.00", "0.00"]
    assert found.figures["bankruptcy.bps"].missing == ("bankruptcy price stated by the venue",)


def test_closes_without_a_reference_are_left_out_and_counted(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (-500, 1_000)}), (10**12, {0: (500, 900)})], [1_000])
    told.round(6, 0, -500)
    told.close(6, 7, 0, 990, 100)
    told.tick(0, None, 1_000)
    told.close(6, 7, 0, 990, 100)
    figure = query("Q05", told.events).figures["oracle.bps"]
    assert (figure.value, figure.left_out, figure.missing) == ("-100.00", 1, ("oracle price",))
