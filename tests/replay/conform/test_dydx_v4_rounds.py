"""dYdX v4's rounds by the presets: laws of the amounts against the chain's own integers, and that the preset decides."""

from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from replay.conform.dydx_v4_accounts import Market, Subaccount, bankruptcy_quote, maintenance, net_collateral
from replay.conform.dydx_v4_rounds import BANKRUPTCY, SETTLEMENT, Walk, bankruptcy_amount, match, triggers, walk

prices = st.integers(1, 10**9).map(lambda price: Fraction(price, 1_000))
rates = st.integers(10_000, 10**6)
amounts = st.integers(-(10**11), 10**11)
sizes = st.integers(-(10**8), 10**8).filter(bool)


@given(prices, prices, rates, rates, sizes, st.integers(-(10**8), 10**8), amounts, st.data())
def test_the_chain_rounds_as_it_does_by_no_more_than_its_roundings(
    price: Fraction, other: Fraction, first: int, kept: int, size: int, second: int, usdc: int, data: st.DataObject
) -> None:
    markets = {"X": Market(100, price, first, kept), "Y": Market(100, other, first, kept)}
    account = Subaccount("a", usdc, {"X": size, **({"Y": second} if second else {})})
    assume(maintenance(account, markets) > 10)
    delta = -data.draw(st.integers(1, abs(size))) * (1 if size > 0 else -1)
    amount = bankruptcy_amount(account, markets, "X", delta)
    assert amount.quote == bankruptcy_quote(account, markets, "X", delta)


@given(amounts, sizes, st.booleans())
def test_at_most_one_price_triggers(usdc: int, size: int, final: bool) -> None:
    markets = {"X": Market(100, Fraction(500), 200_000, 500_000)}
    account = Subaccount("a", usdc, {"X": size})
    negative = net_collateral(account, markets) < 0
    assert triggers(account, markets, final_settlement=final) == (negative, final and not negative)


MARKETS = {"X": Market(100, Fraction(1_000), 200_000, 500_000)}
LOSER = Subaccount("l", -9_000, {"X": 10})


@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(-9, 9)), max_size=5), st.integers(1, 10))
def test_a_walk_keeps_money_and_contracts_and_leaves_nobody_less_safe(rows: list[tuple[int, int]], closed: int) -> None:
    others = {str(n): Subaccount(str(n), usdc, {"X": size} if size else {}) for n, (usdc, size) in enumerate(rows)}
    accounts = {"l": LOSER, **others}
    done = walk(accounts, MARKETS, "X", "l", -closed, list(others), BANKRUPTCY)
    assert sum(one.usdc for one in done.accounts.values()) == sum(one.usdc for one in accounts.values())
    before, after = (sum(one.sizes.get("X", 0) for one in some.values()) for some in (accounts, done.accounts))
    assert before == after
    assert -closed - sum(close.delta for close in done.closes) == done.left
    for close in done.closes:
        old, new = accounts[close.offsetting], done.accounts[close.offsetting]
        assert 0 <= -new.sizes.get("X", 0) < -old.sizes["X"]
    assert {name for name in accounts if accounts[name] != done.accounts[name]} <= {"l", *(c.offsetting for c in done.closes)}


def test_the_preset_decides_the_price_and_who_is_refused() -> None:
    accounts = {"l": LOSER, "w": Subaccount("w", 20_000, {"X": -10})}
    quotes = {}
    for name in (BANKRUPTCY, SETTLEMENT):
        done = match(accounts, MARKETS, "X", "l", "w", -5, name)
        assert isinstance(done, Walk)
        quotes[name] = [close.amount.quote for close in done.closes]
    assert quotes == {BANKRUPTCY: [4_500], SETTLEMENT: [5_000]}
    poor = {"l": Subaccount("l", -10_001, {"X": 10}), "w": Subaccount("w", 20_000, {"X": -10})}
    assert match(poor, MARKETS, "X", "l", "w", -5, SETTLEMENT) == "update_rejected"
    assert match({**accounts, "w": Subaccount("w", 9_000, {"X": -10})}, MARKETS, "X", "l", "w", -5, SETTLEMENT) == (
        "update_rejected"
    )
    assert match({**accounts, "w": Subaccount("w", 20_000, {"X": -4})}, MARKETS, "X", "l", "w", -5, BANKRUPTCY) == "size_delta"
