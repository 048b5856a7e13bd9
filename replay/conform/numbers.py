"""Exact numbers of vectors: text to fractions and back, and the core's integer rules at a grid so fine that nothing rounds."""

import re
from collections.abc import Sequence
from fractions import Fraction
from math import lcm

from events.units import Contract
from replay.core.bankruptcy import close_price
from replay.core.levels import greedy

__all__ = ["exact", "exact_close_price", "exact_greedy", "printed_decimals", "spelled"]

_NUMBER = re.compile(r"-?[0-9]{1,64}(?:\.([0-9]{1,64}))?(?:/[0-9]{1,64})?", re.ASCII)


def exact(text: str) -> Fraction | None:
    """Return the number in ``text`` (``-12.5``, ``45/11``), None when it is not a plain one."""
    if _NUMBER.fullmatch(text) is None:
        return None
    top, _, bottom = text.partition("/")
    below = int(bottom or 1)
    return Fraction(top) / below if below else None


def printed_decimals(text: str) -> int | None:
    """Return how many decimals ``text`` prints; None where it states a fraction or no number, which nobody rounds."""
    match = _NUMBER.fullmatch(text)
    return None if match is None or "/" in text else len(match[1] or "")


def spelled(number: Fraction | int) -> str:
    """Return a number as its shortest exact text: decimal where it ends, else a fraction."""
    value = Fraction(number)
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    decimals = max(twos, fives)
    whole, part = divmod(abs(value.numerator) * 10**decimals // value.denominator, 10**decimals)
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}.{part:0{decimals}d}" if decimals else f"{sign}{whole}"


def _whole(values: Sequence[Fraction]) -> tuple[list[int], int]:
    """Return the values as integers of one grid, and how many of its steps make one."""
    steps = lcm(*(value.denominator for value in values))
    return [int(value * steps) for value in values], steps


def exact_close_price(contract: Contract, size: Fraction, cash: Fraction) -> Fraction | None:
    """Return the price at which closing the signed ``size`` brings in ``cash``, by the core's rule and unrounded.

    None where an inverse contract has no such price. ``size`` is not 0.
    """
    (lots, money), _ = _whole([size, cash])
    grid = abs(money) if contract is Contract.INVERSE else abs(lots)
    scale = (grid, 1) if contract is Contract.INVERSE else (1, grid)
    price = close_price(contract, lots, (money, 1), scale)
    return None if price is None else Fraction(price, grid)


def exact_greedy(caps: Sequence[Fraction], amount: Fraction) -> list[Fraction]:
    """Return the core's ``greedy`` on exact numbers."""
    (total, *whole), steps = _whole([amount, *caps])
    return [Fraction(share, steps) for share in greedy(whole, total)]
