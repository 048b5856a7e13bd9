"""dYdX v4's matches: laws of the fillable price, the fund and the trigger."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from replay.conform.dydx_v4_accounts import Market, Subaccount
from replay.conform.dydx_v4_matches import fillable_price, fund_delta, fund_delta_is_valid

ppm = st.integers(1, 10**6)


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**6), ppm)
def test_the_fillable_price_lies_between_the_oracle_and_the_whole_spread(usdc: int, spread: int, adjustment: int) -> None:
    markets = {"X": Market(1, Fraction(1_000), 200_000, 500_000)}
    account = Subaccount("a", usdc, {"X": -7})
    price = fillable_price(account, markets, "X", adjustment, spread)
    assert 1_000 <= price <= 1_000 + Fraction(100 * spread, 10**6)


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9), ppm, st.integers(0, 10**9))
def test_the_fund_gains_at_most_the_fee_and_bears_all_that_is_missing(
    fill: int, at_bankruptcy: int, fee: int, fund: int
) -> None:
    delta = fund_delta(fill, at_bankruptcy, fee)
    assert delta <= max(abs(fill) * fee // 10**6, 0)
    assert delta == fill - at_bankruptcy or delta < fill - at_bankruptcy
    assert fill >= at_bankruptcy or delta == fill - at_bankruptcy
    assert fund_delta_is_valid(fund, delta) is (delta >= 0 or fund + delta >= 0)
