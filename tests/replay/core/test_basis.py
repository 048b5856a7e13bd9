"""The basis against its laws, against a slow second implementation on fractions, and against a venue's own numbers."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import NumberError
from events.model import Basis, Contract, MarketListed, MarketStatus
from events.units import notional, parse_units, quantise
from replay.core.basis import average_entry, opening_cost, restate, shift, trade, truncated_entry
from replay.core.listing import market_of
from replay.core.state import ENTRY_UNKNOWN, PROFIT_UNKNOWN, SIZE_UNKNOWN, Market, Position

Trade = tuple[int, int]  # signed quantity, price

MONEY_DECIMALS = 6


def market(
    contract: Contract = Contract.LINEAR,
    basis: Basis = Basis.AVERAGE,
    multiplier: int = 1,
    decimals: tuple[int, int, int] = (2, 3, 0),
) -> Market:
    price, size, mult = decimals
    listed = MarketListed(
        0, 0, 0, 0, "M", contract, price, size, multiplier, mult, 1, 1, basis, False, (), None, MarketStatus.TRADING
    )
    return market_of(listed, MONEY_DECIMALS)


LINEAR = market(multiplier=3)
TRUNCATED = market(basis=Basis.AVERAGE_TRUNCATED)
QUANTO = market(Contract.QUANTO, multiplier=7, decimals=(2, 0, 8))
INVERSE = market(Contract.INVERSE, multiplier=100, decimals=(1, 0, 0))
AVERAGES = st.sampled_from((LINEAR, QUANTO, INVERSE))

trades = st.lists(st.tuples(st.integers(-40, 40).filter(bool), st.integers(1, 10**6)), max_size=20)


def cost_of(market: Market, quantity: int, price: int) -> int:
    return notional(market.listed.contract, quantity, price, market.numerator, market.denominator)


def run(market: Market, done: list[Trade], position: Position | None = None) -> Position:
    position = position or Position()
    for quantity, price in done:
        trade(position, quantity, cost_of(market, quantity, price), price, market)
    return position


def slow(market: Market, done: list[Trade]) -> tuple[int, int, int]:
    """Book the same trades unit by unit of thought: side and amounts apart, exact fractions, one close and one open at most."""
    long, held, cost, realised = True, 0, Fraction(0), Fraction(0)
    for quantity, price in done:
        whole = Fraction(cost_of(market, quantity, price))
        left = abs(quantity)
        if held and long is not (quantity > 0):
            closed = min(left, held)
            part = whole if closed == left else Fraction(cost_of(market, closed if quantity > 0 else -closed, price))
            released = Fraction(int(cost * closed / held))
            if market.listed.basis is Basis.AVERAGE:
                realised -= part + released
            else:
                entry = int(cost / ((held if long else -held) * Fraction(market.numerator, market.denominator)))
                realised += (closed if long else -closed) * (price - entry) * market.numerator
            held, cost, whole, left = held - closed, cost - released, whole - part, left - closed
        if left:
            long, held, cost = quantity > 0, held + left, cost + whole
    return (held if long else -held), int(cost), int(realised)


@given(st.sampled_from((LINEAR, QUANTO, INVERSE, TRUNCATED)), trades)
def test_a_slow_second_implementation_agrees(market: Market, done: list[Trade]) -> None:
    position = run(market, done)
    assert (position.size, position.cost, position.realised) == slow(market, done)
    assert position.unknown == 0


@given(AVERAGES, trades)
def test_realised_less_cost_is_the_sum_of_cash_flows(market: Market, done: list[Trade]) -> None:
    position = run(market, done)
    assert position.realised - position.cost == -sum(cost_of(market, quantity, price) for quantity, price in done)


@given(AVERAGES, trades, st.integers(1, 10**6))
def test_a_trade_at_mark_changes_no_profit(market: Market, done: list[Trade], mark: int) -> None:
    def profit(position: Position) -> int:
        return position.realised + cost_of(market, position.size, mark) - position.cost

    position = run(market, done)
    before = profit(position)
    for quantity in (5, -7):
        run(market, [(quantity, mark)], position)
    # Exact where costs are; else each of the four values at mark is rounded by at most half a unit.
    assert abs(profit(position) - before) <= (0 if market is LINEAR else 2)


@given(st.sampled_from((LINEAR, QUANTO, INVERSE, TRUNCATED)), trades, st.integers(1, 10**6))
def test_a_flat_position_has_cost_zero(market: Market, done: list[Trade], price: int) -> None:
    position = run(market, done)
    if position.size:
        run(market, [(-position.size, price)], position)
    assert (position.size, position.cost) == (0, 0)


@given(AVERAGES, trades)
def test_long_and_short_are_mirror_images(market: Market, done: list[Trade]) -> None:
    position, mirror = run(market, done), run(market, [(-quantity, price) for quantity, price in done])
    assert (mirror.size, mirror.cost, mirror.realised) == (-position.size, -position.cost, -position.realised)


@given(st.sampled_from((LINEAR, TRUNCATED)), trades, st.integers(1, 50), st.integers(1, 10**6))
def test_a_flip_is_a_close_and_an_opening(market: Market, done: list[Trade], rest: int, price: int) -> None:
    position = run(market, done)
    size = position.size
    further = -rest if size > 0 else rest
    flipped = run(market, [*done, (further - size, price)])
    in_two = run(market, [*done, *([(-size, price)] if size else []), (further, price)])
    assert flipped == in_two


@given(st.sampled_from((QUANTO, INVERSE)), trades, st.integers(1, 50), st.integers(1, 10**6))
def test_a_flip_with_rounded_costs_is_so_within_one_unit(market: Market, done: list[Trade], rest: int, price: int) -> None:
    position = run(market, done)
    size = position.size
    further = -rest if size > 0 else rest
    flipped = run(market, [*done, (further - size, price)])
    in_two = run(market, [*done, *([(-size, price)] if size else []), (further, price)])
    assert (flipped.size, flipped.realised) == (in_two.size, in_two.realised)
    assert abs(flipped.cost - in_two.cost) <= 1


@given(trades)
def test_truncation_costs_less_than_one_price_step_of_what_was_closed(done: list[Trade]) -> None:
    exact, cut = run(market(), done), run(TRUNCATED, done)
    assert (exact.size, exact.cost) == (cut.size, cut.cost)
    size = closed = closes = 0
    for quantity, _ in done:
        if size * quantity < 0:
            closed += min(abs(size), abs(quantity))
            closes += 1
        size += quantity
    assert abs(exact.realised - cut.realised) <= closed * TRUNCATED.numerator + closes


def test_a_worked_example() -> None:
    # 2.000 at 100.00 and 1.000 at 100.01: 1.000 sold at 110.00 releases a third.
    bought = [(2_000, 10_000), (1_000, 10_001)]
    exact, cut = run(market(), [*bought, (-1_000, 11_000)]), run(TRUNCATED, [*bought, (-1_000, 11_000)])
    assert (exact.size, exact.cost, exact.realised) == (2_000, 200_006_667, 9_996_667)
    assert (cut.size, cut.cost, cut.realised) == (2_000, 200_006_667, 10_000_000)


@pytest.mark.parametrize("price", [0, -5])
def test_a_purchase_at_or_below_zero_has_an_entry_there(price: int) -> None:
    position = run(LINEAR, [(10, price), (-4, 2)])
    assert position.realised == 4 * (2 - price) * LINEAR.numerator
    assert truncated_entry(LINEAR, position) == price


def test_profit_from_an_unknown_entry_is_unknown() -> None:
    position = Position(size=10, unknown=ENTRY_UNKNOWN)
    run(LINEAR, [(5, 100)], position)
    assert (position.size, position.cost, position.realised, position.unknown) == (15, 0, 0, ENTRY_UNKNOWN)
    run(LINEAR, [(-5, 100)], position)
    assert (position.size, position.cost, position.realised, position.unknown) == (10, 0, 0, ENTRY_UNKNOWN | PROFIT_UNKNOWN)


def test_flat_makes_an_unknown_entry_known_again() -> None:
    position = run(LINEAR, [(-10, 100)], Position(size=10, unknown=ENTRY_UNKNOWN))
    assert position == Position(unknown=PROFIT_UNKNOWN)
    assert run(LINEAR, [(4, 100)], position).cost == cost_of(LINEAR, 4, 100)


def test_a_flip_makes_an_unknown_entry_known_again() -> None:
    position = run(LINEAR, [(-14, 100)], Position(size=10, unknown=ENTRY_UNKNOWN))
    assert position == Position(size=-4, cost=cost_of(LINEAR, -4, 100), unknown=PROFIT_UNKNOWN)


@given(trades.filter(bool))
def test_a_position_of_unknown_size_never_becomes_known_by_trades(done: list[Trade]) -> None:
    position = run(LINEAR, done, Position(unknown=SIZE_UNKNOWN | ENTRY_UNKNOWN))
    assert position == Position(
        size=sum(quantity for quantity, _ in done), unknown=SIZE_UNKNOWN | ENTRY_UNKNOWN | PROFIT_UNKNOWN
    )


FRESH = SIZE_UNKNOWN | ENTRY_UNKNOWN


@pytest.mark.parametrize(
    ("before", "size", "cost", "after"),
    [
        (Position(unknown=FRESH), 5, 50, Position(5, 50)),
        (Position(unknown=FRESH), 5, None, Position(5, 0, 0, ENTRY_UNKNOWN)),
        (Position(unknown=FRESH), 0, None, Position()),
        (Position(unknown=FRESH), None, None, Position(unknown=FRESH)),
        (Position(3, 30, 7), None, None, Position(3, 0, 7, FRESH | PROFIT_UNKNOWN)),
        (Position(3, 30, 7), 3, None, Position(3, 30, 7)),
        (Position(3, 0, 7, ENTRY_UNKNOWN), 3, None, Position(3, 0, 7, ENTRY_UNKNOWN)),
        (Position(3, 0, 7, ENTRY_UNKNOWN), 3, 30, Position(3, 30, 7)),
        (Position(0, 0, 7), 0, None, Position(0, 0, 7)),
        (Position(0, 0, 7), 5, None, Position(5, 0, 7, ENTRY_UNKNOWN | PROFIT_UNKNOWN)),
        (Position(3, 30, 7), 3, 31, Position(3, 31, 7)),
        (Position(3, 30, 7), 4, 40, Position(4, 40, 7, PROFIT_UNKNOWN)),
        (Position(3, 30, 7), 0, None, Position(0, 0, 7, PROFIT_UNKNOWN)),
        (Position(3, 0, 7, FRESH | PROFIT_UNKNOWN), 4, 40, Position(4, 40, 7, PROFIT_UNKNOWN)),
    ],
)
def test_levels_are_set_to(before: Position, size: int | None, cost: int | None, after: Position) -> None:
    restate(before, size, cost)
    assert before == after


def test_profit_stays_unknown_across_a_gap() -> None:
    position = Position(3, 30, 7)
    restate(position, None, None)
    restate(position, 3, 30)
    assert position == Position(3, 30, 7, PROFIT_UNKNOWN)


def test_a_holding_moved_without_a_price_has_no_entry() -> None:
    position = Position()
    shift(position, 5)
    assert position == Position(5, unknown=ENTRY_UNKNOWN | PROFIT_UNKNOWN)
    shift(position, -5)
    assert position == Position(unknown=PROFIT_UNKNOWN)


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**9), st.integers(0, 9))
def test_a_stated_entry_costs_what_it_says(size: int, entry: int, decimals: int) -> None:
    exact = Fraction(size) * entry * LINEAR.numerator * 10**2 / 10**decimals
    assert abs(opening_cost(LINEAR, size, entry, decimals) - exact) <= Fraction(1, 2)


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6))
def test_a_stated_entry_on_the_price_grid_costs_what_a_trade_does(size: int, entry: int) -> None:
    for kind in (LINEAR, QUANTO, INVERSE):
        assert opening_cost(kind, size, entry, kind.listed.price_decimals) == cost_of(kind, size, entry)


def test_a_finer_entry_of_an_inverse_contract() -> None:
    # 1,000 contracts of 100 at 50000.25, in 10**-6 of the base currency.
    assert opening_cost(INVERSE, 1_000, 5_000_025, 2) == -1_999_990


def test_an_inverse_contract_has_no_entry_at_zero() -> None:
    with pytest.raises(NumberError, match="not positive"):
        opening_cost(INVERSE, 1, 0, 0)


@given(AVERAGES, st.integers(-(10**6), 10**6).filter(bool), st.integers(10, 10**5))
def test_the_entry_of_one_trade_is_its_price(market: Market, quantity: int, price: int) -> None:
    position = run(market, [(quantity, price)])
    entry = average_entry(market, position)
    if market is LINEAR:
        assert entry == (price, 1)
    elif position.cost and entry:
        # Half a unit of rounding in the cost, as a part of it.
        assert abs(Fraction(*entry) / price - 1) <= Fraction(1, abs(position.cost))


@pytest.mark.parametrize("position", [Position(), Position(5, unknown=ENTRY_UNKNOWN), Position(5, unknown=FRESH)])
def test_no_entry_where_none_is_known(position: Position) -> None:
    assert average_entry(LINEAR, position) is None
    assert truncated_entry(LINEAR, position) is None


def test_a_contract_that_cost_nothing_has_no_entry() -> None:
    assert average_entry(INVERSE, Position(size=1, cost=0)) is None


def test_hyperliquid_closed_pnl_is_rederived(shared_data: Callable[[str], Path]) -> None:
    """Every close of a position seen from flat on: 78 of 79 are exact, as the venue cuts a binary float in the other one."""
    frame = pytest.importorskip("lz4.frame")
    path = shared_data("hyperliquid/node_fills_by_block_20251027_17.lz4")
    with frame.open(path) as lines:
        fills = [(user, fill) for line in lines for user, fill in json.loads(line)["events"]]
    perps = [(user, fill) for user, fill in fills if not fill["coin"].startswith("@") and "/" not in fill["coin"]]
    decimals: dict[str, int] = {}
    for _, fill in perps:
        decimals[fill["coin"]] = max(decimals.get(fill["coin"], 0), len(fill["sz"].partition(".")[2].rstrip("0")))
    positions: dict[tuple[str, str], Position] = {}
    off: list[tuple[str, int]] = []
    closes = 0
    for user, fill in perps:
        size_decimals = decimals[fill["coin"]]
        kind = market(basis=Basis.AVERAGE_TRUNCATED, decimals=(6 - size_decimals, size_decimals, 0))
        opening = Fraction(fill["startPosition"]) * (1 if fill["side"] == "B" else -1) >= 0
        if Fraction(fill["startPosition"]) == 0:
            positions[user, fill["coin"]] = Position()
        position = positions.get((user, fill["coin"]))
        if position is None:
            continue
        quantity = parse_units(fill["sz"], size_decimals) * (1 if fill["side"] == "B" else -1)
        before = position.realised
        run(kind, [(quantity, parse_units(fill["px"], 6 - size_decimals))], position)
        closes += not opening
        difference = position.realised - before - quantise(fill["closedPnl"], 6).value
        if difference:
            off.append((fill["coin"], difference))
    assert closes == 79
    assert off == [("ZEC", 83)]
