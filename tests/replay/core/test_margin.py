"""What a state is worth: against exact fractions, the law of the bankruptcy price, and dYdX's own test cases."""

import json
from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.model import (
    EXTERNAL,
    UNOBSERVED,
    AccountOpened,
    AnyEvent,
    Basis,
    Contract,
    Fill,
    MarginMode,
    MarginTier,
    MarketListed,
    MarketStatus,
    Opening,
    OpenPosition,
    PriceTick,
    Role,
    Taker,
)
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.state import SIZE_UNKNOWN, State
from replay.testing.streams import beginning, records

LOSER, OTHER = 4, 5
FLAT_RATE = (MarginTier(0, 2 * 10**11, 10**11),)
THIRD = 10**12 // 3  # a rate that no ppm can state
TIERS = (MarginTier(0, 10**11, 5 * 10**10), MarginTier(10**9, 2 * 10**11, 10**11), MarginTier(5 * 10**9, 2 * THIRD, THIRD))


def build(
    money_decimals: int, cash: int | None, markets: list[MarketListed], held: list[tuple[int, int]], *more: AnyEvent
) -> State:
    """Return a state where ``held`` gives (size, mark) by market for LOSER, with ``cash``; a mark of 0 is none."""
    accounts = [AccountOpened(0, 0, 0, a, f"a{a}", a, Role.USER, MarginMode.CROSS, False, None) for a in (LOSER, OTHER)]
    ticks = [PriceTick(0, 0, 0, market, mark, None) for market, (_, mark) in enumerate(held) if mark]
    stated = tuple(OpenPosition(market, size, None, 0) for market, (size, _) in enumerate(held) if size)
    opening = Opening(0, 0, 0, LOSER, cash, stated)
    state = State()
    for seq, event in enumerate([*beginning(money_decimals), *accounts, *markets, *ticks, opening, *more], 1):
        evolve(state, event, seq)
    return state


def listed(
    number: int = 0,
    contract: Contract = Contract.LINEAR,
    decimals: tuple[int, int] = (2, 3),
    tiers: tuple[MarginTier, ...] = FLAT_RATE,
) -> MarketListed:
    price, size = decimals
    return MarketListed(
        0, 0, 0, number, f"M{number}", contract, price, size, 1, 0, 1, 1,
        Basis.AVERAGE, False, tiers, None, MarketStatus.TRADING,
    )  # fmt: skip


def linear(cash: int | None, *held: tuple[int, int], tiers: tuple[MarginTier, ...] = FLAT_RATE) -> State:
    return build(8, cash, [listed(number, tiers=tiers) for number in range(len(held))], list(held))


def trade(state: State, market: int, size: int, price: int) -> None:
    """Close or open ``size`` of LOSER's position at a price that need not be positive."""
    buyer, seller = (LOSER, OTHER) if size > 0 else (OTHER, LOSER)
    unsaid = (None, None, None, None, None, None)
    fill = Fill(0, 0, 0, market, buyer, seller, price, abs(size), 0, 0, None, Taker.UNKNOWN, *unsaid)
    evolve(state, fill, state.seq + 1)


sizes = st.integers(-(10**6), 10**6).filter(bool)
marks = st.integers(1, 10**6)


# ---- Equity


@given(st.integers(-(10**18), 10**18), st.lists(st.tuples(sizes, marks), max_size=3))
def test_equity_is_cash_and_the_value_of_positions(cash: int, held: list[tuple[int, int]]) -> None:
    value = sum(Fraction(size, 10**3) * Fraction(mark, 10**2) for size, mark in held)
    assert margin.equity(linear(cash, *held), LOSER) == cash + value * 10**8


@pytest.mark.parametrize(
    ("state", "known"),
    [
        (linear(None, (5, 100)), False),
        (linear(10, (5, 0)), False),
        (linear(10, (0, 0)), True),
        (linear(10), True),
        (build(8, 10, [listed()], [(0, 100)], Opening(0, 0, 0, LOSER, None, (OpenPosition(0, None, None, 0),))), False),
    ],
    ids=["cash", "mark", "flat needs no mark", "no markets", "size"],
)
def test_equity_is_undecidable_where_an_input_is_missing(state: State, known: bool) -> None:
    assert (margin.equity(state, LOSER) is not None) is known


@given(records(max_events=40))
def test_an_account_is_worth_what_all_markets_say_of_it(events: list[AnyEvent]) -> None:
    """The sums over an account's own positions against the same over every market, the unknown included."""
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    for account in range(len(state.accounts)):
        values = [value_of(state, account, market) for market in range(len(state.markets))]
        cash = state.cash[account] if state.cash_known[account] and account not in {EXTERNAL, UNOBSERVED} else None
        profits = [margin.unrealised(state, account, market) for market in range(len(state.markets))]
        worth = margin.equity(state, account)
        assert worth == total([cash, *values])
        assert margin.exposure(state, account) == total([None if value is None else abs(value) for value in values])
        gained, wallet = margin.profit(state, account), margin.balance(state, account)
        assert gained == total(profits)
        if worth is not None and gained is not None:
            assert wallet == worth - gained
        for asked in (margin.maintenance, margin.initial):
            required = asked(state, account)
            assert (required is None) >= (None in values)
            assert required is None or 0 <= required <= (margin.exposure(state, account) or 0) + len(values)


def value_of(state: State, account: int, market: int) -> int | None:
    """Return what a position is worth at mark: told of the market's book alone."""
    if account in {EXTERNAL, UNOBSERVED}:
        return None
    position = state.positions[market].get(account)
    if position is None:
        return 0 if state.cash_known[account] else None
    if position.unknown & SIZE_UNKNOWN or (position.size and not state.marks[market]):
        return None
    return margin.market_value(state.markets[market], position.size, state.marks[market]) if position.size else 0


def total(parts: list[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


@given(st.integers(-(10**12), 10**12), st.lists(st.tuples(sizes, marks, marks), min_size=1, max_size=3))
def test_the_wallet_balance_is_what_was_there_before_the_trades(cash: int, held: list[tuple[int, int, int]]) -> None:
    flat = Opening(0, 0, 0, LOSER, cash, ())
    state = build(8, cash, [listed(number) for number in range(len(held))], [(0, mark) for _, _, mark in held], flat)
    for market, (size, entry, _) in enumerate(held):
        trade(state, market, size, entry)
    gained = sum(Fraction(size, 10**3) * Fraction(mark - entry, 10**2) for size, entry, mark in held)
    assert margin.balance(state, LOSER) == cash
    assert margin.profit(state, LOSER) == gained * 10**8
    assert margin.equity(state, LOSER) == cash + gained * 10**8


@given(st.lists(st.tuples(sizes, marks), max_size=3))
def test_exposure_is_gross(held: list[tuple[int, int]]) -> None:
    gross = sum(abs(Fraction(size, 10**3)) * Fraction(mark, 10**2) for size, mark in held)
    assert margin.exposure(linear(0, *held), LOSER) == gross * 10**8


def test_the_parts_of_equity_are_undecidable_where_an_input_is_missing() -> None:
    asked = (margin.balance, margin.profit, margin.exposure)
    stated = linear(10, (5, 100))  # a size and no entry
    assert [of(stated, LOSER) for of in asked] == [None, None, 500_000]
    assert [of(linear(10), LOSER) for of in asked] == [10, 0, 0]
    assert [of(linear(None, (0, 100)), LOSER) for of in asked] == [None, None, None]
    assert [of(linear(None, (5, 100)), LOSER) for of in asked] == [None, None, 500_000]
    unmarked = linear(10, (0, 0))
    trade(unmarked, 0, 5, 100)
    # Marks are no part of a wallet balance.
    assert [of(unmarked, LOSER) for of in asked] == [10, None, None]
    assert [of(linear(10, (5, 100)), UNOBSERVED) for of in asked] == [None, None, None]


def test_of_the_accounts_that_stand_for_many_nothing_is_decidable() -> None:
    state = linear(10, (5, 100))
    assert state.positions[0][UNOBSERVED].size == -5
    for account in (EXTERNAL, UNOBSERVED):
        assert state.cash_known[account]
        assert margin.equity(state, account) is None
        assert margin.maintenance(state, account) is margin.initial(state, account) is None
        assert margin.unrealised(state, account, 0) is margin.bankruptcy_price(state, account, 0) is None


def test_where_cash_is_not_known_a_position_never_stated_is_not_known() -> None:
    never = Opening(0, 0, 0, OTHER, None, ())
    first = Opening(0, 0, 0, OTHER, None, (OpenPosition(0, 5, 90, 2),))
    flat = Opening(0, 0, 0, OTHER, None, (OpenPosition(1, 0, None, 0),))
    asked = (margin.maintenance, margin.initial)

    def state_of(*more: AnyEvent) -> State:
        return build(8, 0, [listed(0), listed(1)], [(0, 100), (0, 100)], *more)

    assert [ask(state_of(never), OTHER) for ask in asked] == [None, None]
    assert margin.unrealised(state_of(never), OTHER, 0) is None
    # The margin of one position is no margin of the account while the other market is open.
    state = state_of(first)
    assert [ask(state, OTHER) for ask in asked] == [None, None]
    assert (margin.unrealised(state, OTHER, 0), margin.unrealised(state, OTHER, 1)) == (5 * 10 * 1_000, None)
    state = state_of(first, flat)
    assert [ask(state, OTHER) for ask in asked] == [5 * 100 * 1_000 // 10, 5 * 100 * 1_000 // 5]
    # With cash, what was never stated is flat.
    state = state_of(first, Opening(0, 0, 0, OTHER, 0, ()))
    assert margin.maintenance(state, OTHER) == 5 * 100 * 1_000 // 10
    assert margin.unrealised(state, OTHER, 1) == 0


def test_unrealised_profit_needs_an_entry() -> None:
    state = linear(0, (5, 100), (0, 100))
    assert (margin.unrealised(state, LOSER, 0), margin.entry_price(state, LOSER, 0)) == (None, None)
    assert (margin.unrealised(state, LOSER, 1), margin.entry_price(state, LOSER, 1)) == (0, None)
    trade(state, 1, -4, 130)
    assert (margin.unrealised(state, LOSER, 1), margin.entry_price(state, LOSER, 1)) == (4 * 30 * 1_000, 130)


# ---- Requirements


@given(sizes, marks)
def test_margin_is_marginal_and_rounded_up_once(size: int, mark: int) -> None:
    notional = abs(size) * mark * 1_000
    bounds = [tier.floor_cash for tier in TIERS[1:]] + [10**30]
    inside = [max(min(notional, bound) - tier.floor_cash, 0) for tier, bound in zip(TIERS, bounds, strict=True)]
    state = linear(None, (size, mark), tiers=TIERS)
    for asked, rates in (
        (margin.maintenance, [tier.maintenance_ppt for tier in TIERS]),
        (margin.initial, [tier.initial_ppt for tier in TIERS]),
    ):
        assert asked(state, LOSER) == ceil(sum(Fraction(part * rate, 10**12) for part, rate in zip(inside, rates, strict=True)))


@given(st.lists(st.tuples(sizes, marks), min_size=1, max_size=3))
def test_margin_of_an_account_is_the_sum_over_its_positions(held: list[tuple[int, int]]) -> None:
    state, alone = linear(0, *held), [linear(0, one) for one in held]
    for asked in (margin.maintenance, margin.initial):
        parts = [asked(one, LOSER) for one in alone]
        assert asked(state, LOSER) == sum(part for part in parts if part is not None)


def test_margin_is_undecidable_without_tiers_or_mark() -> None:
    assert margin.maintenance(linear(0, (5, 100), tiers=()), LOSER) is None
    assert margin.maintenance(linear(0, (5, 0)), LOSER) is None
    assert margin.maintenance(linear(0, (0, 0), tiers=()), LOSER) == 0


# ---- Bankruptcy price


@given(st.integers(-(10**12), 10**12), sizes, marks)
def test_the_last_position_closed_at_it_ends_at_equity_zero(cash: int, size: int, mark: int) -> None:
    state = linear(cash, (size, mark))
    price = margin.bankruptcy_price(state, LOSER, 0)
    assert price is not None
    trade(state, 0, -size, price)
    left = margin.equity(state, LOSER)
    # Rounded for the loser: never below zero, and less than one price step above.
    assert left is not None
    assert 0 <= left < abs(size) * 1_000


@given(st.integers(-(10**12), 10**12), st.lists(st.tuples(sizes, marks), min_size=2, max_size=3))
def test_closing_at_it_leaves_equity_over_maintenance_as_it_was(cash: int, held: list[tuple[int, int]]) -> None:
    state = linear(cash, *held)
    worth, required, price = (
        margin.equity(state, LOSER),
        margin.maintenance(state, LOSER),
        margin.bankruptcy_price(state, LOSER, 0),
    )
    assert worth is not None
    assert required
    assert price is not None
    trade(state, 0, -held[0][0], price)
    worth_after, required_after = margin.equity(state, LOSER), margin.maintenance(state, LOSER)
    assert worth_after is not None
    assert required_after is not None
    kept = Fraction(worth * required_after, required)
    assert 0 <= worth_after - kept < abs(held[0][0]) * 1_000


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**9), st.booleans())
def test_an_isolated_position_has_the_textbook_price(size: int, entry: int, per_contract: int, long: bool) -> None:
    signed = size if long else -size
    posted = size * per_contract
    state = linear(posted - signed * entry * 1_000, (signed, entry))
    exact = entry - Fraction(signed * posted, size * size * 1_000)
    price = margin.bankruptcy_price(state, LOSER, 0)
    assert price == (ceil(exact) if long else floor(exact))


@given(st.integers(-(10**12), 10**12), sizes, marks)
def test_it_mirrors(cash: int, size: int, mark: int) -> None:
    # The mirror of a position at equity E: the other sign, and cash so that the equity is the same.
    state = linear(cash, (size, mark))
    mirror = linear(cash + 2 * size * mark * 1_000, (-size, mark))
    one, two = margin.bankruptcy_price(state, LOSER, 0), margin.bankruptcy_price(mirror, LOSER, 0)
    assert one is not None
    assert two is not None
    assert one - mark == mark - two


def test_it_is_undecidable_where_an_input_is_missing() -> None:
    assert margin.bankruptcy_price(linear(None, (5, 100)), LOSER, 0) is None
    assert margin.bankruptcy_price(linear(0, (5, 0)), LOSER, 0) is None
    assert margin.bankruptcy_price(linear(0, (0, 100)), LOSER, 0) is None
    assert margin.bankruptcy_price(linear(0, (0, 100), (5, 100)), LOSER, 0) is None
    assert margin.bankruptcy_price(linear(0, (5, 100), (5, 100), tiers=()), LOSER, 0) is None
    assert margin.bankruptcy_price(linear(0, (5, 100), (5, 100), tiers=(MarginTier(0, 1, 0),)), LOSER, 0) is None


def test_the_only_position_needs_no_tiers() -> None:
    assert margin.bankruptcy_price(linear(-500_000, (5, 120), tiers=()), LOSER, 0) == 100
    flat = Opening(0, 0, 0, LOSER, None, (OpenPosition(1, 0, None, 0),))
    markets = [listed(number, tiers=()) for number in (0, 1)]
    assert margin.bankruptcy_price(build(8, -500_000, markets, [(5, 120), (0, 0)], flat), LOSER, 0) == 100


@given(st.integers(-(10**12), 10**12), sizes, marks)
def test_an_inverse_position_is_worth_its_cash_there(cash: int, size: int, mark: int) -> None:
    state = build(8, cash, [listed(contract=Contract.INVERSE, decimals=(2, 0))], [(size, mark)])
    price = margin.bankruptcy_price(state, LOSER, 0)
    # A long in an inverse contract is worth nothing at best, so money of its own has to be there; a short the other way round.
    exact = Fraction(size * 10**10, cash) if cash else Fraction(0)
    rounded = ceil(exact) if size > 0 else floor(exact)
    assert price == (rounded if exact > 0 and rounded > 0 else None)


@given(records())
def test_nothing_raises_whatever_the_record(events: list[AnyEvent]) -> None:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    for account in range(len(state.accounts)):
        known = margin.equity(state, account) is not None
        assert known <= state.cash_known[account]
        for market in range(len(state.markets)):
            assert margin.bankruptcy_price(state, account, market) is None or known


def test_dydx_v4_bankruptcy_prices(shared_data: Callable[[str], Path]) -> None:
    """Every test case of dYdX's that closes a whole position."""
    vectors = json.loads(shared_data("vectors/dydx_v4.json").read_text(encoding="utf-8"))["vectors"]
    checked = 0
    for vector in vectors:
        given_, params = vector["given"], vector["given"]["params"]
        whole = any(
            position["perp"] == params.get("perp") and int(position["base_quantums"]) == -int(params["delta_base_quantums"])
            for position in given_["positions"]
        )
        if vector["kind"] != "bankruptcy_price" or "error" in vector["expect"] or not whole:
            continue
        state, size = dydx_state(given_, params)
        price = margin.bankruptcy_price(state, LOSER, 0)
        assert price is not None, vector["name"]
        assert size * price == int(vector["expect"]["quote_delta_quantums"]) * 10**12, vector["name"]
        checked += 1
    assert checked == 6


def dydx_state(given_: dict[str, list[dict[str, str]]], params: dict[str, dict[str, dict[str, str]]]) -> tuple[State, int]:
    """Put a case into a state of 18 money decimals, where base quantums of 10**-9 leave 9 to the price."""
    perps = sorted((position["perp"] for position in given_["positions"]), key=lambda perp: perp != str(params["perp"]))
    markets, held = [], []
    for number, perp in enumerate(perps):
        rules = params["markets"][perp]
        initial = int(rules["initial_margin_ppm"])
        tier = MarginTier(0, initial * 10**6, initial * int(rules["maintenance_fraction_ppm"]))
        markets.append(replace(listed(number, decimals=(9, 9)), tiers=(tier,)))
        size = next(position["base_quantums"] for position in given_["positions"] if position["perp"] == perp)
        oracle = Fraction(given_["prices"][perp]["oracle"])  # type: ignore[call-overload]
        held.append((int(size) * 10**9 // int(rules["base_quantums_per_unit"]), int(oracle * 10**9)))
    cash = int(given_["accounts"][0]["usdc_quantums"]) * 10**12
    return build(18, cash, markets, held), held[0][0]
