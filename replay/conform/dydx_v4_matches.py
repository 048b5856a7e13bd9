"""dYdX v4: liquidation orders on the book and what they pay the fund, which no preset covers.

Source: github:dydxprotocol/v4-chain@84d4664ba, protocol/x/clob/keeper/{deleveraging,liquidations}.go and
protocol/x/clob/e2e/liquidation_deleveraging_test.go; adl-rules.md section 2.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from msgspec import Struct

from events.units import PPM
from replay.conform.dydx_v4_accounts import (
    Market,
    Subaccount,
    bankruptcy_quote,
    maintenance,
    net_collateral,
    net_notional,
    permitted,
)

__all__ = ["Order", "fillable_price", "fund_delta", "fund_delta_is_valid", "liquidate"]

Accounts = Mapping[str, Subaccount]
Markets = Mapping[str, Market]


class Order(Struct, frozen=True):
    """A resting order. ``price`` is in quote quantums per base quantum."""

    account: str
    buys: bool
    base: int
    price: Fraction


def fillable_price(account: Subaccount, markets: Markets, perpetual: str, adjustment_ppm: int, spread_ppm: int) -> Fraction:
    """Return the worst price of a liquidation order, in quote quantums per base quantum.

    ``(PNNV - ABR * SMMR * PMMR) / PS`` with ``ABR = clamp(BA * (1 - TNC / TMMR), 0, 1)``. Maintenance margin is not 0.
    """
    size = account.sizes[perpetual]
    own = maintenance(Subaccount(account.name, 0, {perpetual: size}), markets)
    rating = Fraction(adjustment_ppm, PPM) * (1 - Fraction(net_collateral(account, markets), maintenance(account, markets)))
    spread = max(Fraction(0), min(Fraction(1), rating)) * Fraction(spread_ppm, PPM) * own
    return (net_notional(markets[perpetual], size) - spread) / size


def fund_delta(fill_quote: int, bankruptcy: int, max_fee_ppm: int) -> int:
    """Return what a liquidation fill pays into the fund, below zero what the fund pays.

    Both quotes are changes of the liquidated account. What is above the bankruptcy price is a fee up to a share of the fill.
    """
    above = fill_quote - bankruptcy
    return above if above <= 0 else min(above, abs(fill_quote) * max_fee_ppm // PPM)


def fund_delta_is_valid(balance: int, delta: int) -> bool:
    """Return whether the fund can bear a fill; a fill that it cannot bear is refused, and deleveraging follows."""
    return delta >= 0 or balance + delta >= 0


def _match_book(
    accounts: Accounts, markets: Markets, perpetual: str, liquidated: str, book: Sequence[Order], limit: Fraction,
    fund: int, max_fee_ppm: int,
) -> tuple[Accounts, int, int]:  # fmt: skip
    """Fill a liquidation order against the book, best price first, and return the accounts, the fund and what is left."""
    left = -accounts[liquidated].sizes[perpetual]
    side = 1 if left > 0 else -1
    crossing = [
        order
        for order in book
        if order.account != liquidated and order.buys is (side < 0) and (order.price - limit) * side <= 0
    ]
    for order in sorted(crossing, key=lambda order: order.price * side):
        part = min(abs(left), order.base) * side
        quote = -int(part * order.price)
        loser, maker = accounts[liquidated], accounts[order.account]
        if part == 0:
            break
        delta = fund_delta(quote, bankruptcy_quote(loser, markets, perpetual, part), max_fee_ppm)
        if not fund_delta_is_valid(fund, delta):
            break
        made = maker.after(perpetual, -part, -quote)
        if not permitted(maker, made, markets):
            continue
        accounts = {**accounts, liquidated: loser.after(perpetual, part, quote - delta), order.account: made}
        fund, left = fund + delta, left - part
    return accounts, fund, left


def liquidate(
    accounts: Accounts, markets: Markets, perpetual: str, liquidated: str, book: Sequence[Order], *,
    fund: int, max_fee_ppm: int, adjustment_ppm: int, spread_ppm: int,
) -> tuple[Accounts, int, int]:  # fmt: skip
    """Return the accounts and the fund after a liquidation order, and what is left of it: all for a sound account."""
    loser = accounts[liquidated]
    if net_collateral(loser, markets) >= maintenance(loser, markets):
        return accounts, fund, -loser.sizes[perpetual]
    limit = fillable_price(loser, markets, perpetual, adjustment_ppm, spread_ppm)
    return _match_book(accounts, markets, perpetual, liquidated, book, limit, fund, max_fee_ppm)
