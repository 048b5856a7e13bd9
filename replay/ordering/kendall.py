"""Kendall's tau between a recorded order and scores: how many pairs stand as their scores do, and within which bounds.

All over pairs of places (i, j) with i before j. A pair is concordant where i has the higher key, discordant where the lower,
and tied where both are the same. Tau (a) is concordant less discordant over all pairs (Kendall, "A new measure of rank
correlation", Biometrika 30, 1938).

Where some keys are not known, tau lies in an interval, whatever they are. The bounds are exact, not only safe: both are reached
by some keys. Let gain(p, v) be the pairs of place p with all known places, concordant less discordant, if its key were v.
Between known keys v has room, and at a known key the gain is the mean of those on both sides; so the best v stands between two.
Going from p to a later place turns known places between them from later into earlier ones, and each of them changes the gain by
2 for every v below its key and by -2 for every v above: the best v never rises with p. So each unknown place can have its own
best v, and all of them stand in descending order: the pairs of two unknown places are concordant too, and nothing is lost. For
the lower bound the same holds with all signs changed.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from events.units import PPM, div_half_even

__all__ = ["Key", "Pairs", "TauRange", "count_pairs", "tau_range"]

Key: TypeAlias = Any
"""What an order is made by: integers or tuples of them, all of one kind, the highest first."""


class Pairs(Struct, frozen=True):
    """The pairs of an order. Without any pair there is no tau."""

    concordant: int
    discordant: int
    tied: int

    @property
    def total(self) -> int:
        """How many pairs there are."""
        return self.concordant + self.discordant + self.tied

    @property
    def tau_ppm(self) -> int | None:
        """Tau (a) in parts per million, rounded half to even."""
        return _ppm(self.concordant - self.discordant, self.total)


class TauRange(Struct, frozen=True):
    """Between what tau lies: concordant less discordant of all ``pairs``, at least ``low`` and at most ``high``."""

    low: int
    high: int
    pairs: int

    @property
    def low_ppm(self) -> int | None:
        """The lower bound of tau in parts per million, rounded half to even."""
        return _ppm(self.low, self.pairs)

    @property
    def high_ppm(self) -> int | None:
        """The upper bound of tau in parts per million, rounded half to even."""
        return _ppm(self.high, self.pairs)


def _ppm(surplus: int, pairs: int) -> int | None:
    return div_half_even(surplus * PPM, pairs) if pairs else None


def count_pairs(keys: Sequence[Key]) -> Pairs:
    """Return the pairs of ``keys`` in their order, in O(n log n).

    Keys seen are counted by rank in a Fenwick tree: the entry at i counts the ranks from i less its lowest set bit up to i.
    """
    ordered = sorted(keys)
    counts = [0] * (len(keys) + 1)
    seen: Counter[Key] = Counter()
    lower_first = same = 0
    for key in keys:
        rank = bisect_left(ordered, key)  # so many keys are lower
        place = rank
        while place:
            lower_first += counts[place]
            place &= place - 1
        same += seen[key]
        seen[key] += 1
        place = rank + 1
        while place < len(counts):
            counts[place] += 1
            place += place & -place
    return Pairs(len(keys) * (len(keys) - 1) // 2 - lower_first - same, lower_first, same)


def tau_range(keys: Sequence[Key | None]) -> TauRange:
    """Return the exact bounds of tau over all keys that the places with None may have, in O(n log n).

    From gap to gap between known keys, upwards, the gain changes by 2 for each later place of the key in between and by -2 for
    each earlier one. So its extremes are those of prefix sums, kept in a tree of (sum, lowest prefix, highest prefix).
    """
    known = [key for key in keys if key is not None]
    pairs = count_pairs(known)
    ordered = sorted(set(known))
    steps = Counter(known)
    tree = _Prefixes([2 * steps[key] for key in ordered])
    low = high = pairs.concordant - pairs.discordant
    earlier = unknown = 0
    for key in keys:
        if key is None:
            lowest_gap = earlier - (len(known) - earlier)  # below all known keys: earlier places win, later ones lose
            low += lowest_gap + tree.low - unknown
            high += lowest_gap + tree.high + unknown
            unknown += 1
        else:
            earlier += 1
            tree.add(bisect_left(ordered, key), -4)
    return TauRange(low, high, len(keys) * (len(keys) - 1) // 2)


class _Prefixes:
    """The lowest and highest prefix sum of a list of integers, the empty prefix included, under changes of single entries."""

    def __init__(self, values: Sequence[int]) -> None:
        self._leaves = 1 << max(len(values) - 1, 0).bit_length()
        self._sums = [0] * (2 * self._leaves)
        self._lows = [0] * (2 * self._leaves)
        self._highs = [0] * (2 * self._leaves)
        for index, value in enumerate(values):
            self._set(self._leaves + index, value)
        for node in range(self._leaves - 1, 0, -1):
            self._join(node)

    @property
    def low(self) -> int:
        """The lowest prefix sum."""
        return self._lows[1]

    @property
    def high(self) -> int:
        """The highest prefix sum."""
        return self._highs[1]

    def add(self, index: int, change: int) -> None:
        """Change one entry."""
        node = self._leaves + index
        self._set(node, self._sums[node] + change)
        node >>= 1
        while node:
            self._join(node)
            node >>= 1

    def _set(self, node: int, value: int) -> None:
        self._sums[node], self._lows[node], self._highs[node] = value, min(value, 0), max(value, 0)

    def _join(self, node: int) -> None:
        left, right = 2 * node, 2 * node + 1
        self._sums[node] = self._sums[left] + self._sums[right]
        self._lows[node] = min(self._lows[left], self._sums[left] + self._lows[right])
        self._highs[node] = max(self._highs[left], self._sums[left] + self._highs[right])
