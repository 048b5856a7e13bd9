"""Columns of integers that cannot overflow: int64 in numpy, each with a bound that every operation carries on.

numpy wraps without a word. Here a result that could leave int64 is refused before it is made. Needs numpy, the extra ``fast``.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from events.units import INT64_MAX

__all__ = ["Int64s", "Ints", "Places", "UnfitError", "ints", "within"]

Int64s: TypeAlias = NDArray[np.int64]
Places: TypeAlias = NDArray[np.intp]


class UnfitError(Exception):
    """Something that columns cannot hold; integers without limit can."""


class Ints(NamedTuple):
    """Integers of which none is further from 0 than ``bound``, which is within int64."""

    values: Int64s
    bound: int

    def plus(self, other: "Ints") -> "Ints":
        """Return the sums."""
        bound = within(self.bound + other.bound)
        return Ints(self.values + other.values, bound)

    def minus(self, other: "Ints") -> "Ints":
        """Return the differences."""
        bound = within(self.bound + other.bound)
        return Ints(self.values - other.values, bound)

    def times(self, factor: int) -> "Ints":
        """Return the products with one number."""
        bound = within(self.bound * within(abs(factor)))
        return Ints(self.values * factor, bound)

    def at(self, rows: "slice | Places") -> "Ints":
        """Return those in some rows."""
        return Ints(self.values[rows], self.bound)

    def size(self) -> "Ints":
        """Return the absolute values."""
        return Ints(np.abs(self.values), self.bound)

    def at_least(self, least: int) -> "Ints":
        """Return ``least`` wherever a value is below it."""
        bound = max(self.bound, within(abs(least)))
        return Ints(np.maximum(self.values, least), bound)

    def divided_half_even(self, by: int) -> "Ints":
        """Return the quotients rounded to the nearest integer, halves to even. ``by`` is above 0."""
        within(2 * by)
        quotients, rests = np.divmod(self.values, by)
        twice = 2 * rests
        up = (twice > by) | ((twice == by) & (quotients & 1 == 1))
        return Ints(quotients + up, self.bound)


def within(bound: int) -> int:
    """Return a bound that is not below 0. Raises ``UnfitError`` where it is beyond int64."""
    if bound > INT64_MAX:
        raise UnfitError
    return bound


def ints(values: Sequence[int]) -> Ints:
    """Return integers as a column. Raises ``UnfitError`` where one does not fit."""
    bound = within(max(max(values, default=0), -min(values, default=0)))
    return Ints(np.array(values, dtype=np.int64), bound)
