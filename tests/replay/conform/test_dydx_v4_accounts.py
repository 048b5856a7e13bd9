"""dYdX v4's subaccounts: laws of the margin and of the bankruptcy price in the chain's own integers."""

from fractions import Fraction
from math import floor

from hypothesis import assume, given
from hypothesis import strategies as st

from replay.conform.dydx_v4_accounts import (
    Market,
    Subaccount,
    bankruptcy_quote,
    initial,
    maintenance,
    net_collateral,
    net_notional,
    permitted,
    reduces,
)

prices = st.fractions(Fraction(1, 100), 1_000, max_denominator=100)
ppm = st.integers(1, 10**6)


@given(prices, ppm, ppm, st.integers(-(10**9), 10**9).filter(bool), st.integers(-(10**12), 10**12), st.data())
def test_a_close_at_the_bankruptcy_price_is_permitted_and_keeps_the_ratio(
    price: Fraction, first: int, fraction: int, size: int, usdc: int, data: st.DataObject
) -> None:
    markets = {"X": Market(100, price, first, fraction)}
    account = Subaccount("a", usdc, {"X": size})
    delta = -data.draw(st.integers(1, abs(size))) * (1 if size > 0 else -1)
    required = maintenance(account, markets)
    assume(required)
    assert reduces(account, "X", delta)
    assert required <= initial(account, markets)
    quote = bankruptcy_quote(account, markets, "X", delta)
    after = account.after("X", delta, quote)
    assert permitted(account, after, markets)
    kept = Fraction(net_collateral(account, markets) * maintenance(after, markets), required)
    assert 0 <= net_collateral(after, markets) - kept < 1


@given(prices, st.integers(-(10**9), 10**9))
def test_notional_is_cut_toward_zero(price: Fraction, size: int) -> None:
    exact = size * price
    assert net_notional(Market(1, price, 1, 1), size) == (floor(exact) if exact > 0 else -floor(-exact))
