"""What a state is worth at its mark prices: equity and its parts, margin requirements, and the bankruptcy price.

Everything is derived; nothing here changes a state. None means undecidable: an input is not on record. It is never read as
zero, and no sum leaves it out. Where an account's cash is known, its positions are those on record and it has no others; where
it is not, a position that was never stated is not known. ``external`` and ``unobserved`` stand for many who are not on record,
so nothing is decidable of them.

Maintenance and initial margin are marginal, as income tax is: each tier's rate is charged on the part of a position's
notional inside that tier. The sum is rounded up once per position.

Bankruptcy price, one invariant for all venues: closing the position at it leaves equity / maintenance margin as it was; when
it is the account's last position, the close ends at equity 0. With equity E, the account's maintenance margin M, the
position's m and its value V at mark, the close must bring in ``V - E * m / M``. Source: dYdX v4
``GetBankruptcyPriceInQuoteQuantums`` and docs.dydx.xyz; StarkEx, Lighter ("zero price") and Extended state the same in other
words. For an isolated linear position it is the textbook entry less margin per contract.
"""

from events.model import EXTERNAL, UNOBSERVED
from events.units import PPT, notional
from replay.core.bankruptcy import Direction, close_price, margin_share
from replay.core.basis import truncated_entry
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, Market, Position, State

__all__ = [
    "balance",
    "bankruptcy_price",
    "entry_price",
    "equity",
    "exposure",
    "initial",
    "maintenance",
    "market_value",
    "position_margin",
    "profit",
    "required",
    "unrealised",
]

# The accounts that are nobody's.
_MANY = (EXTERNAL, UNOBSERVED)


def market_value(market: Market, size: int, price: int) -> int:
    """Return what a signed ``size`` is worth at ``price``, in money units.

    Raises ``NumberError`` for an inverse contract at a price that is not positive.
    """
    return notional(market.listed.contract, size, price, market.numerator, market.denominator)


def _worth(state: State, market: int, position: Position) -> int | None:
    """Return the value of a position at mark: 0 when flat, None when its size or the mark is not known."""
    if position.unknown & SIZE_UNKNOWN:
        return None
    if position.size == 0:
        return 0
    mark, listed = state.marks[market], state.markets[market]
    if not mark:
        return None
    # Said once more for the most common contract: sums over many accounts spend their time here.
    return position.size * mark * listed.numerator if listed.linear else market_value(listed, position.size, mark)


def _value(state: State, account: int, market: int) -> int | None:
    """Return the value of an account's position at mark as ``_worth`` does, 0 where it is known to have none.

    Not for the accounts that are nobody's.
    """
    position = state.positions[market].get(account)
    if position is None:
        return 0 if state.cash_known[account] else None
    return _worth(state, market, position)


def _held(state: State, account: int) -> dict[int, Position] | None:
    """Return an account's positions by market, None where it may have others than those on record."""
    held = state.holdings[account]
    if account in _MANY or (not state.cash_known[account] and len(held) < len(state.markets)):
        return None
    return held


def equity(state: State, account: int) -> int | None:
    """Return cash plus the value of all positions at mark, or None when any of them is not known."""
    if not state.cash_known[account] or account in _MANY:
        return None
    total = state.cash[account]
    for market, position in state.holdings[account].items():
        value = _worth(state, market, position)
        if value is None:
            return None
        total += value
    return total


def balance(state: State, account: int) -> int | None:
    """Return the wallet balance: equity less the unrealised profit of all positions, which is cash plus what they cost.

    Marks are no part of it. None when the cash, a size or an entry is not known.
    """
    if not state.cash_known[account] or account in _MANY:
        return None
    total = state.cash[account]
    for position in state.holdings[account].values():
        if position.unknown & (SIZE_UNKNOWN | ENTRY_UNKNOWN):
            return None
        total += position.cost
    return total


def exposure(state: State, account: int) -> int | None:
    """Return the gross notional: the sum of the absolute values of all positions at mark, or None as ``equity`` does.

    Unlike equity it needs no cash: it is known where every market's position is.
    """
    held = _held(state, account)
    if held is None:
        return None
    total = 0
    for market, position in held.items():
        value = _worth(state, market, position)
        if value is None:
            return None
        total += abs(value)
    return total


def profit(state: State, account: int) -> int | None:
    """Return the unrealised profit of all positions at mark, or None where ``unrealised`` is None for one of them."""
    held = _held(state, account)
    if held is None:
        return None
    total = 0
    for market, position in held.items():
        value = _worth(state, market, position)
        if value is None or position.unknown & ENTRY_UNKNOWN:
            return None
        total += value - position.cost
    return total


def unrealised(state: State, account: int, market: int) -> int | None:
    """Return the profit of a position at mark against its entry, or None when size, entry or mark is not known."""
    value = None if account in _MANY else _value(state, account, market)
    position = state.positions[market].get(account)
    if value is None or position is None:
        return value
    return None if position.unknown & ENTRY_UNKNOWN else value - position.cost


def entry_price(state: State, account: int, market: int) -> int | None:
    """Return a position's average entry cut toward zero to the price grid, or None when it is flat or not known."""
    position = state.positions[market].get(account)
    return None if position is None else truncated_entry(state.markets[market], position)


def required(market: Market, worth: int, *, first: bool) -> int | None:
    """Return the margin that a position of that notional needs, in money units: initial if ``first``, else maintenance.

    None where the market has no tiers.
    """
    if worth == 0:
        return 0
    tiers = market.listed.tiers
    if not tiers:
        return None
    left, charged = worth, 0
    for tier in reversed(tiers):
        if left > tier.floor_cash:
            charged += (left - tier.floor_cash) * (tier.initial_ppt if first else tier.maintenance_ppt)
            left = tier.floor_cash
    return -(-charged // PPT)


def position_margin(state: State, market: int, position: Position, *, first: bool) -> int | None:
    """Return the margin that one position needs, as ``required``; None where its value or the market's tiers are not known."""
    value = _worth(state, market, position)
    return None if value is None else required(state.markets[market], abs(value), first=first)


def _margin(state: State, account: int, *, first: bool) -> int | None:
    held = _held(state, account)
    if held is None:
        return None
    total = 0
    for market, position in held.items():
        required = position_margin(state, market, position, first=first)
        if required is None:
            return None
        total += required
    return total


def maintenance(state: State, account: int) -> int | None:
    """Return the maintenance margin of an account's positions, or None when one of them cannot be told."""
    return _margin(state, account, first=False)


def initial(state: State, account: int) -> int | None:
    """Return the initial margin of an account's positions, or None when one of them cannot be told."""
    return _margin(state, account, first=True)


def _share(state: State, account: int, market: int) -> tuple[int, int] | None:
    """Return the position's share in the account's maintenance margin as a fraction. The last position has all of it.

    The account's equity is known, so its sizes are.
    """
    held = state.holdings[account]
    if not any(position.size for number, position in held.items() if number != market):
        return 1, 1
    own, whole = position_margin(state, market, held[market], first=False), maintenance(state, account)
    return None if own is None or whole is None else margin_share(own, whole, last=False)


def bankruptcy_price(state: State, account: int, market: int, direction: Direction = Direction.LOSER) -> int | None:
    """Return the price at which closing the whole position leaves equity / maintenance margin as it was.

    On the price grid; unless told otherwise rounded for the account that is closed: its sale up, its purchase down. It can be
    zero or negative: an account with money of its own loses nothing to others even when its long position is worth nothing
    (dYdX v4 tests -1 USDC). None when the account is flat there, when an input is not known, when several positions share a
    margin requirement of zero, or when no positive price of an inverse contract does it.
    """
    position = state.positions[market].get(account)
    worth, value = equity(state, account), _value(state, account, market)
    if position is None or position.size == 0 or worth is None or value is None:
        return None
    share = _share(state, account, market)
    if share is None:
        return None
    part, whole = share
    listed = state.markets[market]
    needed = value * whole - worth * part, whole
    return close_price(listed.listed.contract, position.size, needed, (listed.numerator, listed.denominator), direction)
