"""Exact numbers: decimal text to integers and back, grids, and what a contract is worth.

Every quantity is an integer count of its unit: money in 10**-money_decimals of the ledger's currency, a price in
10**-price_decimals, a size in 10**-size_decimals. Nothing here rounds without saying so in its name or docstring.
"""

import re
from enum import IntEnum
from typing import NamedTuple

from events.errors import NumberError

__all__ = [
    "INT64_MAX",
    "INT64_MIN",
    "PPM",
    "PPT",
    "Contract",
    "Quantised",
    "div_half_even",
    "format_units",
    "notional",
    "parse_units",
    "quantise",
    "scale",
]

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1

# What a rate of one is in parts per million (``*_ppm``) and per trillion (``*_ppt``).
PPM = 10**6
PPT = 10**12

# Longest text a source may use for one number; a limit so that hostile input cannot make huge integers.
NUMBER_CHARS_MAX = 64

_PLAIN = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?", re.ASCII)
_SCIENTIFIC = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,2}))?", re.ASCII)

# A double holds 53 bits; venues that add doubles drift by a few units in the last place.
_NOISE_BITS = 48


class Contract(IntEnum):
    """How a contract's value follows its price.

    ``LINEAR``: size * multiplier * price, exact by the rule on decimals.
    ``INVERSE``: -size * multiplier / price, in the base currency (a long gains as the price rises).
    ``QUANTO``: size * multiplier * price with a multiplier finer than the money unit.
    Inverse and quanto values are rounded once, half to even, to the money unit.
    """

    LINEAR = 1
    INVERSE = 2
    QUANTO = 3


class Quantised(NamedTuple):
    """A number put on its grid. ``value`` counts grid units; ``residual`` is what was cut off, in 10**-residual_decimals."""

    value: int
    residual: int
    residual_decimals: int


def _digits(text: str, pattern: re.Pattern[str]) -> tuple[int, int]:
    """Return ``(digits, decimals)`` with value = digits * 10**-decimals. decimals may be negative."""
    match = pattern.fullmatch(text) if len(text) <= NUMBER_CHARS_MAX else None
    if match is None:
        raise NumberError(f"{text[:NUMBER_CHARS_MAX]!r} is not a plain decimal number.")
    sign, whole, fraction, *exponent = match.groups()
    fraction = (fraction or "").rstrip("0")
    value = int(whole + fraction)
    decimals = len(fraction) - (int(exponent[0]) if exponent and exponent[0] else 0)
    return (-value if sign else value), decimals


def parse_units(text: str, decimals: int) -> int:
    """Return the number in ``text`` as a count of 10**-decimals.

    Accepts ``-?digits[.digits]``; trailing zeros are allowed, an exponent is not. Raises ``NumberError`` when the text is
    not such a number or has more decimals than the grid.
    """
    value, have = _digits(text, _PLAIN)
    if have > decimals:
        raise NumberError(f"{text!r} has more than {decimals} decimals.")
    scale: int = 10 ** (decimals - have)
    return value * scale


def format_units(value: int, decimals: int) -> str:
    """Return ``value`` * 10**-decimals as its shortest decimal text: no exponent, no trailing zeros, no ``-0``."""
    if decimals == 0:
        return str(value)
    whole, fraction = divmod(abs(value), 10**decimals)
    tail = f"{fraction:0{decimals}d}".rstrip("0")
    text = f"{whole}.{tail}" if tail else str(whole)
    return f"-{text}" if value < 0 else text


def quantise(text: str, decimals: int) -> Quantised:
    """Put a venue's number on the grid of 10**-decimals, cutting off the noise of binary floats.

    A venue that computes with doubles prints ``3197880.8999999999`` for 3197880.9. The nearest grid value is taken (half
    to even) when the distance is within 2**-48 of the number itself; the distance is returned, to be booked. Scientific
    notation is accepted, as doubles are printed that way. Raises ``NumberError`` when the text is no number or lies off
    the grid by more than noise.
    """
    value, have = _digits(text, _SCIENTIFIC)
    if have <= decimals:
        return Quantised(value * 10 ** (decimals - have), 0, decimals)
    unit = 10 ** (have - decimals)
    grid = div_half_even(value, unit)
    residual = value - grid * unit
    if abs(residual) << _NOISE_BITS > abs(value):
        raise NumberError(f"{text!r} is off the grid of {decimals} decimals by more than the noise of a double.")
    return Quantised(grid, residual, have)


def div_half_even(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded to the nearest integer, halves to even. The denominator is not zero."""
    if denominator < 0:
        numerator, denominator = -numerator, -denominator
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient & 1):
        quotient += 1
    return quotient


def scale(
    contract: Contract, price_decimals: int, size_decimals: int, multiplier: int, multiplier_decimals: int, money_decimals: int
) -> tuple[int, int]:
    """Return ``(numerator, denominator)`` from price unit * size unit to the money unit, multiplier included.

    For an inverse contract it is from size unit / price unit. One of the two is a power of ten, so a linear market has
    denominator 1 exactly when all its decimals together are no more than those of the money.
    """
    if contract is Contract.INVERSE:
        price_decimals = -price_decimals
    finer = money_decimals - price_decimals - size_decimals - multiplier_decimals
    return multiplier * 10 ** max(finer, 0), 10 ** max(-finer, 0)


def notional(contract: Contract, size: int, price: int, numerator: int, denominator: int) -> int:
    """Return what ``size`` contracts are worth at ``price``, in money units, with the sign of a cash cost.

    ``numerator / denominator`` is the market's scale from (price unit * size unit) to the money unit, multiplier
    included; for an inverse contract from (size unit / price unit). Linear markets have denominator 1, so the result is
    exact. The other kinds are rounded once, half to even, which is odd-symmetric: both sides of a trade book the same
    number. Raises ``NumberError`` for an inverse contract at a price that is not positive.
    """
    if contract is Contract.LINEAR:
        return size * price * numerator
    if contract is Contract.QUANTO:
        return div_half_even(size * price * numerator, denominator)
    if price <= 0:
        raise NumberError("an inverse contract has no value at a price that is not positive.")
    return -div_half_even(size * numerator, price * denominator)
