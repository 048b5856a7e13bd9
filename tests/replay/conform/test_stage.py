"""The small ledger: what a vector gives stands on it exactly, or the vector is not applicable; rounding to whole units."""

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.model import Role
from events.units import Contract
from replay.conform.given import InapplicableError
from replay.conform.stage import Held, Listed, Party, Stage
from replay.core import margin
from replay.core.bankruptcy import Direction
from replay.presets import preset

QUEUE = preset("queue").texts
cents = st.integers(-(10**8), 10**8).map(lambda cash: Fraction(cash, 100))
sizes = st.integers(-(10**6), 10**6).filter(bool).map(lambda lots: Fraction(lots, 1_000))
prices = st.integers(1, 10**6).map(lambda price: Fraction(price, 100))


def one_account(cash: Fraction, size: Fraction, mark: Fraction) -> Stage:
    return Stage({"m": Listed(mark)}, {"a": Party(cash, {"m": Held(size, mark)})}, [QUEUE], losers=["a"])


@given(cents, sizes, prices)
def test_amounts_stand_as_they_are_given(cash: Fraction, size: Fraction, mark: Fraction) -> None:
    stage = one_account(cash, size, mark)
    assert (stage.cash("a"), stage.held("a", "m"), stage.equity("a")) == (cash, size, cash + size * mark)
    assert margin.unrealised(stage.state, stage.account("a"), stage.market("m")) == 0
    assert stage.name(stage.account("a")) == "a"


@given(cents, sizes, prices)
def test_a_bankruptcy_price_is_exact_but_for_its_rounding_for_the_loser(cash: Fraction, size: Fraction, mark: Fraction) -> None:
    stage = one_account(cash, size, mark)
    assert stage.bankruptcy_price("a", "m", -cash / size) == -cash / size
    # Anything else than the ledger's own price is not confirmed.
    assert stage.bankruptcy_price("a", "m", -cash / size + 1) != -cash / size + 1


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**9), st.booleans(), st.data())
def test_a_close_brings_in_whole_units_rounded_for_the_loser(cash: int, held: int, long: bool, data: st.DataObject) -> None:
    size, closed = (held if long else -held), data.draw(st.integers(1, held))
    parties = {"l": Party(Fraction(cash), {"m": Held(Fraction(size))}), "w": Party(Fraction(0), {"m": Held(Fraction(-size))})}
    stage = Stage({"m": Listed(Fraction(500))}, parties, [QUEUE._replace(key="equity <= 0 alike, account asc")], losers=["l"])
    opened = stage.draft("l", "m", size=Fraction(closed if long else -closed))
    stage.begin(opened)
    (close,) = stage.plan(opened, stage.policy()).closes
    brought = stage.close(opened, close)
    assert close.size == closed
    assert stage.held("l", "m") == size - (closed if long else -closed)
    exact, lots = Fraction(-cash * closed, held), close.size if long else -close.size
    assert stage.whole("m", lots, brought, stage.rounding()) == ceil(exact)


directions = st.sampled_from([Direction.LOSER, Direction.WINNER, Direction.DOWN, Direction.UP])


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6), st.booleans(), directions)
def test_whole_units_are_rounded_as_the_policy_rounds_its_price(cash: int, lots: int, long: bool, direction: Direction) -> None:
    size = lots if long else -lots
    stage = Stage({"m": Listed(Fraction(500))}, {"l": Party(Fraction(cash), {"m": Held(Fraction(size))})}, [], losers=["l"])
    price = margin.bankruptcy_price(stage.state, stage.account("l"), 0, direction)
    assert price is not None
    # For a long the price rises with what it brings in, for a short it falls.
    third = size // 3 or size
    exact = Fraction(-cash * third, size)
    up = direction is Direction.LOSER or direction is (Direction.UP if long else Direction.DOWN)
    assert stage.whole("m", third, third * stage.price("m", price), direction) == (ceil(exact) if up else floor(exact))
    assert abs(stage.whole("m", third, third * stage.price("m", price), Direction.NEAREST) - exact) < 1


def test_a_plan_follows_the_policy_that_it_is_given() -> None:
    parties = {
        "fund": Party(Fraction(0), role=Role.FUND),
        "loser": Party(Fraction(-900), {"m": Held(Fraction(10))}),
        "large": Party(Fraction(2_000), {"m": Held(Fraction(-10), Fraction(100))}),
        "early": Party(Fraction(3_000), {"m": Held(Fraction(-10), Fraction(200))}),
    }
    taken = {}
    for name in ("queue", "tear-up"):
        stage = Stage({"m": Listed(Fraction(80))}, parties, [preset(name).texts], losers=["loser"])
        opened = stage.draft("loser", "m")
        assert stage.holds(opened, stage.policy())
        stage.begin(opened)
        closes = stage.plan(opened, stage.policy()).closes
        taken[name] = {stage.name(close.winner): (close.size, stage.price("m", close.price)) for close in closes}
    # The return of 3/5 comes before that of 1/5; a tear-up takes the same of both, at mark.
    at = {price: Fraction(price) for price in (80, 90)}
    assert taken == {"queue": {"early": (10, at[90])}, "tear-up": {"large": (5, at[80]), "early": (5, at[80])}}


@pytest.mark.parametrize(
    ("mark", "party", "reason"),
    [
        (Fraction(1, 3), Party(Fraction(0)), "grid"),
        (Fraction(0), Party(Fraction(0)), "not above zero"),
        (Fraction(10**17), Party(Fraction(0)), "grid"),
        (Fraction(1), Party(Fraction(1, 3)), "grid"),
        (Fraction(1), Party(Fraction(10**40)), "grid"),
        (Fraction(1), Party(Fraction(0), {"m": Held(Fraction(1, 7))}), "grid"),
        (Fraction(1), Party(Fraction(0), {"m": Held(Fraction(10**19))}), "grid"),
        (Fraction(1), Party(Fraction(0), {"m": Held(Fraction(1), Fraction(1, 3))}), "grid"),
    ],
)
def test_what_no_ledger_can_hold_is_not_applicable(mark: Fraction, party: Party, reason: str) -> None:
    with pytest.raises(InapplicableError, match=reason):
        Stage({"m": Listed(mark)}, {"a": party}, [])


def test_a_coarse_grid_does_not_pretend_to_whole_units() -> None:
    stage = Stage({"m": Listed(Fraction(10**15))}, {"a": Party(Fraction(0))}, [])
    with pytest.raises(InapplicableError, match="grid"):
        stage.whole("m", 10**9, Fraction(1), Direction.LOSER)


def test_what_a_plan_or_a_trigger_misses_is_not_applicable() -> None:
    parties = {"l": Party(Fraction(-9), {"m": Held(Fraction(1))}), "w": Party(Fraction(9), {"m": Held(Fraction(-1))})}
    stage = Stage({"m": Listed(Fraction(5))}, parties, [QUEUE], losers=["l"])
    opened = stage.draft("l", "m")
    with pytest.raises(InapplicableError, match="trigger"):
        stage.holds(opened, stage.policy())  # no fund is on record
    stage.begin(opened)
    with pytest.raises(InapplicableError, match="the plan misses"):
        stage.plan(opened, stage.policy())  # nor is the winner's entry
    with pytest.raises(InapplicableError, match="grid"):
        stage.begin(opened)  # the next round has another number


def test_roles_and_inverse_contracts() -> None:
    parties = {"f": Party(Fraction(7), role=Role.FUND), "a": Party(Fraction(1, 8), {"m": Held(Fraction(1_000))})}
    stage = Stage({"m": Listed(Fraction(10_000), Contract.INVERSE)}, parties, [], losers=["a"])
    assert stage.state.accounts[stage.account("f")].role is Role.FUND
    assert stage.equity("a") == Fraction(1, 8) - Fraction(1, 10)
    assert stage.bankruptcy_price("a", "m", Fraction(8_000)) == 8_000
