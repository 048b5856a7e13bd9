"""The basis: entry prices and realised profit, the convention a venue keeps beside the money.

Rules.
1. A trade of signed ``quantity`` has a ``cost`` in cash: above zero when paid, the same number that moved the money.
2. Opening adds the cost. Closing ``x`` of ``s`` releases ``cost * x / s`` cut toward zero, so long and short are mirror
   images; what the cut leaves stays with the position, and the last close releases everything. A flat position has cost 0.
3. ``AVERAGE``: realised profit is what the close brought in less what it released. So for every position whose entry was
   always known, realised - cost is the sum of its cash flows, exactly, whatever the order of its trades.
4. ``AVERAGE_TRUNCATED``: realised profit is counted from the average entry cut toward zero to the price grid, as
   Hyperliquid's ``closedPnl`` is (98 of 99 closes of a public sample, re-derived from flat). Cost moves as in rule 2, so
   the law of rule 3 holds only within one step of the price grid on what was closed.
5. A flip is a close and then an opening of the rest at the same price. The close costs what its size is worth, the opening
   the rest of the trade's cost; so a flip equals the two trades, exactly for linear contracts, and within the one rounding
   of the cost for the other kinds.
6. From an unknown entry no profit can be counted: realised profit stays as it is and is marked ``PROFIT_UNKNOWN``. When
   such a position is known to be flat, its entry is known again: there is none.
7. A stated level (``restate``) replaces what was on the books. Where it differs from a known size, or takes a known size
   away, trades were not seen and so was their profit: it is marked ``PROFIT_UNKNOWN``, for good. Where it confirms the size
   and states no entry, the entry on the books stands.
"""

from math import gcd

from events.errors import NumberError
from events.model import Basis, Contract
from events.units import div_half_even, notional
from replay.core.state import ENTRY_UNKNOWN, PROFIT_UNKNOWN, SIZE_UNKNOWN, Market, Position

__all__ = ["average_entry", "opening_cost", "restate", "shift", "trade", "truncated_entry"]

# Looked up once: a member of an enum is slow to reach in Python 3.11.
_AVERAGE = Basis.AVERAGE


def trade(position: Position, quantity: int, cost: int, price: int, market: Market) -> None:
    """Book a trade of signed ``quantity``, not zero, at ``price`` with its signed ``cost`` into ``position``."""
    if position.unknown & ENTRY_UNKNOWN:
        _trade_unknown(position, quantity, cost, price, market)
        return
    size = position.size
    after = size + quantity
    if size == 0 or (size > 0) is (quantity > 0):
        position.size = after
        position.cost += cost
        return
    held = position.cost
    closing, closing_cost, released = quantity, cost, held
    if after == 0:
        kept = 0
    elif (after > 0) is (size > 0):
        released = _cut(held * -quantity, size)
        kept = held - released
    else:
        closing, closing_cost = -size, _worth(market, -size, price)
        kept = cost - closing_cost
    if market.listed.basis is _AVERAGE:
        position.realised -= closing_cost + released
    else:
        entry = _cut(held * market.denominator, size * market.numerator)
        position.realised += closing * (entry - price) * market.numerator
    position.size = after
    position.cost = kept


def _trade_unknown(position: Position, quantity: int, cost: int, price: int, market: Market) -> None:
    size = position.size
    after = position.size = size + quantity
    if position.unknown & SIZE_UNKNOWN:
        position.unknown |= PROFIT_UNKNOWN
    elif (size > 0) is not (quantity > 0):
        position.unknown |= PROFIT_UNKNOWN
        if after == 0:
            position.unknown &= ~ENTRY_UNKNOWN
        elif (after > 0) is not (size > 0):
            position.unknown &= ~ENTRY_UNKNOWN
            position.cost = cost - _worth(market, -size, price)


def _worth(market: Market, size: int, price: int) -> int:
    return notional(market.listed.contract, size, price, market.numerator, market.denominator)


def _cut(numerator: int, denominator: int) -> int:
    """Return numerator / denominator cut toward zero."""
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator < 0) is (denominator < 0) else -quotient


def restate(position: Position, size: int | None, cost: int | None) -> None:
    """Set a position to a stated level (rule 7). ``size`` None: not known; ``cost`` None: the entry is not stated."""
    if size == position.size and cost is None and not position.unknown & SIZE_UNKNOWN:
        return
    if size != position.size and not position.unknown & SIZE_UNKNOWN:
        position.unknown |= PROFIT_UNKNOWN
    if size is None:
        position.cost = 0
        position.unknown |= SIZE_UNKNOWN | ENTRY_UNKNOWN
        return
    position.size = size
    position.unknown &= PROFIT_UNKNOWN
    position.cost = 0
    if size and cost is None:
        position.unknown |= ENTRY_UNKNOWN
    elif size and cost is not None:
        position.cost = cost


def shift(position: Position, quantity: int) -> None:
    """Move contracts without a price: the other side of an Opening. Entry and profit of such a holding mean nothing."""
    position.size += quantity
    position.cost = 0
    position.unknown |= ENTRY_UNKNOWN | PROFIT_UNKNOWN
    if position.size == 0 and not position.unknown & SIZE_UNKNOWN:
        position.unknown &= ~ENTRY_UNKNOWN


def opening_cost(market: Market, size: int, entry: int, entry_decimals: int) -> int:
    """Return what ``size`` cost at an average ``entry`` of 10**-entry_decimals.

    Exact where it divides; else rounded once to the money unit, half to even. Raises ``NumberError`` for an inverse contract
    at an entry that is not positive.
    """
    finer = 10 ** max(entry_decimals - market.listed.price_decimals, 0)
    coarser = 10 ** max(market.listed.price_decimals - entry_decimals, 0)
    if market.listed.contract is not Contract.INVERSE:
        return div_half_even(size * entry * coarser * market.numerator, finer * market.denominator)
    if entry <= 0:
        raise NumberError("an inverse contract has no value at an entry price that is not positive.")
    return -div_half_even(size * finer * market.numerator, entry * coarser * market.denominator)


def average_entry(market: Market, position: Position) -> tuple[int, int] | None:
    """Return the average entry price as an exact fraction of price units in lowest terms, its denominator above zero.

    None when the position is flat, or its size or entry is unknown, or an inverse contract was so small that it cost nothing.
    """
    if position.size == 0 or position.unknown & (SIZE_UNKNOWN | ENTRY_UNKNOWN):
        return None
    if market.listed.contract is Contract.INVERSE:
        top, bottom = -position.size * market.numerator, position.cost * market.denominator
    else:
        top, bottom = position.cost * market.denominator, position.size * market.numerator
    if bottom == 0:
        return None
    common = gcd(top, bottom) if bottom > 0 else -gcd(top, bottom)
    return top // common, bottom // common


def truncated_entry(market: Market, position: Position) -> int | None:
    """Return the average entry price cut toward zero to the price grid, or None as ``average_entry`` does."""
    average = average_entry(market, position)
    return None if average is None else _cut(*average)
