"""The one-invariant bankruptcy price, on amounts alone: what a close must bring in, and the price that brings it.

The invariant (dYdX v4 ``GetBankruptcyPriceInQuoteQuantums`` and docs.dydx.xyz; dYdX v1 ``P1Deleveraging``, StarkEx, Lighter's
"zero price" and Extended state it in other words): a close leaves equity / maintenance margin as it was, and the close of the
last position ends at equity 0. So a close takes with it the share of the equity that it takes of the maintenance margin:

    cash = value - equity * share        value and equity at mark, cash as the account receives it

Pure integers, no State. Amounts are in money units; ``value`` is signed as a position's value is, so the purchase that closes
a short has a negative value and brings in a negative cash. Whoever loses by a fraction of a unit is told by a ``Direction``.
"""

from enum import IntEnum

from events.units import Contract, div_half_even

__all__ = ["Direction", "close_cash", "close_price", "divide", "margin_share", "valid_update"]


class Direction(IntEnum):
    """Which way an amount or a price falls on its grid.

    ``LOSER``: for the account that is closed: its cash up; its sale up, its purchase down. ``WINNER``: for the other side.
    """

    LOSER = 1
    WINNER = 2
    DOWN = 3
    UP = 4
    NEAREST = 5


def divide(numerator: int, denominator: int, direction: Direction, *, gain: int = 1) -> int:
    """Return numerator / denominator as a whole number; ``NEAREST`` takes halves to even.

    ``gain`` is above zero where the loser gains by a larger result, below zero where by a smaller one. The denominator is not
    zero.
    """
    if direction is Direction.NEAREST:
        return div_half_even(numerator, denominator)
    up = (
        direction is Direction.UP or (direction is Direction.LOSER and gain > 0) or (direction is Direction.WINNER and gain < 0)
    )
    return -(-numerator // denominator) if up else numerator // denominator


def margin_share(released: int, maintenance: int, *, last: bool) -> tuple[int, int] | None:
    """Return the share of the equity that a close takes with it, as (numerator, denominator).

    ``released`` is by how much the close lowers the account's ``maintenance``; both are not negative. ``last`` says that no
    position is left afterwards: then it takes all. None where positions share a requirement of zero.
    """
    if last:
        return 1, 1
    return (released, maintenance) if maintenance else None


def close_cash(value: int, equity: int, share: tuple[int, int], direction: Direction = Direction.LOSER) -> int:
    """Return the cash that a close must bring in, in money units: ``value - equity * share``.

    ``value`` is what is closed, at mark: the position's value before the close less its value after it. dYdX v4 writes
    ``-DNNV - floor(TNC * |DMMR| / TMMR)``, with the floor toward minus infinity, which is ``Direction.LOSER``. With one
    position it is the same as dYdX v1's ``|margin| * amount / position``, rounded up if the loser is long and down if short
    (P1Deleveraging.sol): the value drops out.
    """
    part, whole = share
    return divide(value * whole - equity * part, whole, direction)


def close_price(
    contract: Contract,
    size: int,
    cash: tuple[int, int],
    scale: tuple[int, int],
    direction: Direction = Direction.LOSER,
) -> int | None:
    """Return the price on the grid at which closing ``size`` brings in ``cash``, or None where there is none.

    ``size`` is the signed part of the position that is closed, not 0. ``cash`` is a fraction of money units with a
    denominator above zero: rounding it before the price would round twice. ``scale`` is the market's, as in
    ``events.units.notional``. A linear price can be zero or negative; an inverse contract has none that is not positive.
    For an inverse contract too a sale is worth more at a higher price.
    """
    needed, whole = cash
    numerator, denominator = scale
    top, bottom = needed * denominator, size * numerator * whole
    if contract is Contract.INVERSE:
        top, bottom = -size * numerator * whole, needed * denominator
        if top * bottom <= 0:
            return None
    price = divide(top, bottom, direction, gain=size)
    return None if contract is Contract.INVERSE and price <= 0 else price


def valid_update(old_equity: int, old_maintenance: int, new_equity: int, new_maintenance: int) -> bool:
    """Return whether an account below its initial margin may change so (dYdX v4, adl-rules.md section 2).

    The maintenance margin must not rise. Where there is none before and after, equity must rise; where there is none only
    afterwards, it must not end below zero. Otherwise equity / maintenance margin must not fall.
    """
    if new_maintenance > old_maintenance:
        return False
    if new_maintenance == 0:
        return new_equity >= 0 if old_maintenance else new_equity > old_equity
    return new_equity * old_maintenance >= old_equity * new_maintenance
