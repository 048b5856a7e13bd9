"""dYdX v4: what a subaccount is worth and must hold, in the chain's own integers, and the quote amount of a close.

Source: github:dydxprotocol/v4-chain@84d4664ba, protocol/x/clob/keeper/{deleveraging,liquidations}.go; adl-rules.md section 2.
USDC is in quote quantums of 1e-6, a size in base quantums of its market.
"""

from collections.abc import Mapping
from fractions import Fraction

from msgspec import Struct

from events.units import PPM
from replay.conform.given import Given, InapplicableError, unique_ids
from replay.core.bankruptcy import Direction, close_cash, margin_share, valid_update

__all__ = [
    "QUOTE_PER_USDC",
    "Market",
    "Subaccount",
    "bankruptcy_quote",
    "initial",
    "maintenance",
    "net_collateral",
    "net_notional",
    "oracle_quote",
    "permitted",
    "read_accounts",
    "read_markets",
    "reduces",
]

QUOTE_PER_USDC = 10**6
# Far beyond any price; a limit so that a hostile file cannot make huge integers.
EXPONENT_MOST = 64


class Market(Struct, frozen=True):
    """A perpetual. ``price`` is quote quantums per base quantum; ``per_unit`` is base quantums per unit."""

    per_unit: int
    price: Fraction
    initial_ppm: int
    maintenance_ppm: int


class Subaccount(Struct, frozen=True):
    """A subaccount: USDC in quote quantums, signed sizes in base quantums by perpetual, none of them 0."""

    name: str
    usdc: int
    sizes: Mapping[str, int]

    def after(self, perpetual: str, delta: int, quote: int) -> "Subaccount":
        """Return the subaccount with a size and its USDC changed."""
        size = self.sizes.get(perpetual, 0) + delta
        sizes = {name: held for name, held in self.sizes.items() if name != perpetual}
        return Subaccount(self.name, self.usdc + quote, {**sizes, perpetual: size} if size else sizes)


def net_notional(market: Market, base: int) -> int:
    """Return the value of a signed size at the oracle price, cut toward zero."""
    return int(base * market.price)


def _requirement(market: Market, base: int) -> tuple[int, int]:
    first = -(-abs(net_notional(market, base)) * market.initial_ppm // PPM)
    return first, -(-first * market.maintenance_ppm // PPM)


def initial(account: Subaccount, markets: Mapping[str, Market]) -> int:
    """Return the initial margin requirement: each position's share of its notional, rounded up."""
    return sum(_requirement(markets[name], base)[0] for name, base in account.sizes.items())


def maintenance(account: Subaccount, markets: Mapping[str, Market]) -> int:
    """Return the maintenance margin requirement: a fraction of the initial one, rounded up once more."""
    return sum(_requirement(markets[name], base)[1] for name, base in account.sizes.items())


def net_collateral(account: Subaccount, markets: Mapping[str, Market]) -> int:
    """Return the total net collateral (TNC): USDC and the value of all positions."""
    return account.usdc + sum(net_notional(markets[name], base) for name, base in account.sizes.items())


def reduces(account: Subaccount, perpetual: str, delta: int) -> bool:
    """Return whether a change of size makes a position smaller without turning it over."""
    size = account.sizes.get(perpetual, 0)
    return size * delta < 0 and abs(delta) <= abs(size)


def bankruptcy_quote(
    account: Subaccount,
    markets: Mapping[str, Market],
    perpetual: str,
    delta: int,
    direction: Direction = Direction.LOSER,
) -> int:
    """Return the quote quantums that a reducing change brings in at the bankruptcy price, by the core's invariant.

    The chain rounds for the loser, ``direction``, which is ``LOSER`` or ``WINNER``.
    """
    market, size = markets[perpetual], account.sizes[perpetual]
    value = net_notional(market, size) - net_notional(market, size + delta)
    released = _requirement(market, size)[1] - _requirement(market, size + delta)[1]
    share = margin_share(released, maintenance(account, markets), last=False)
    if share is None:
        raise InapplicableError("the maintenance margin of the account is zero, so its bankruptcy price is not defined")
    return close_cash(value, net_collateral(account, markets), share, direction)


def oracle_quote(account: Subaccount, markets: Mapping[str, Market], perpetual: str, delta: int) -> int:
    """Return the quote quantums that a change of size brings in at the oracle price."""
    market, size = markets[perpetual], account.sizes[perpetual]
    return net_notional(market, size) - net_notional(market, size + delta)


def permitted(old: Subaccount, new: Subaccount, markets: Mapping[str, Market]) -> bool:
    """Return whether the chain accepts an update: enough initial margin afterwards, or a valid one below it."""
    equity = net_collateral(new, markets)
    if equity >= initial(new, markets):
        return True
    before, required = net_collateral(old, markets), maintenance(old, markets)
    return valid_update(before, required, equity, maintenance(new, markets))


def _oracle(price: Given) -> Fraction:
    """Return USDC per unit. Given as an integer with an exponent, as text, or both."""
    if "price_int" not in price:
        return price.number("oracle")
    exponent = price.whole("exponent")
    if abs(exponent) > EXPONENT_MOST:
        raise InapplicableError(f"an oracle price has an exponent of {exponent}")
    exact = price.whole("price_int") * Fraction(10) ** exponent
    if "oracle" in price and price.number("oracle") != exact:
        raise InapplicableError("an oracle price and its integer are not the same number")
    return exact


def read_markets(given: Given) -> dict[str, Market]:
    """Return the perpetuals of a vector by name."""
    prices, rows = given.sub("prices"), given.sub("params").sub("markets")
    markets = {}
    for name in rows.keys():  # noqa: SIM118  not a mapping
        row = rows.sub(name)
        per_unit = row.whole("base_quantums_per_unit")
        markets[name] = Market(
            per_unit,
            _oracle(prices.sub(name)) * QUOTE_PER_USDC / per_unit,
            row.whole("initial_margin_ppm"),
            row.whole("maintenance_fraction_ppm"),
        )
    return markets


def read_accounts(given: Given, markets: Mapping[str, Market]) -> dict[str, Subaccount]:
    """Return the subaccounts of a vector by id, in the order given."""
    rows = given.rows("accounts")
    names = unique_ids(rows)
    sizes: dict[str, dict[str, int]] = {name: {} for name in names}
    for position in given.rows("positions"):
        account, perpetual = position.choice("account", *names), position.choice("perp", *markets)
        if perpetual in sizes[account]:
            raise InapplicableError(f"two positions of {account} in {perpetual}")
        size = position.units("size", "base_quantums", markets[perpetual].per_unit)
        sizes[account].update({perpetual: size} if size else {})
    money = [row.units("usdc", "usdc_quantums", QUOTE_PER_USDC) for row in rows]
    return {name: Subaccount(name, usdc, sizes[name]) for name, usdc in zip(names, money, strict=True)}
