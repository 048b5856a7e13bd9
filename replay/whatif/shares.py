"""How a burden is spread: the Gini coefficient and the largest share of anybody's own capacity. Exact."""

from collections.abc import Iterable, Sequence

from replay.core.policy import Ratio
from replay.core.scoring import reduced
from replay.core.triggers import INFINITE

__all__ = ["gini", "largest_share"]


def gini(burdens: Sequence[int]) -> Ratio | None:
    """Return the Gini coefficient of burdens that are not below 0: 0 where all are equal, (n - 1)/n where one bears it all.

    It is the mean absolute difference over twice the mean, ``sum of |a - b| over all pairs / (2 n sum)``, computed from sorted
    burdens as ``sum of (2 i - n - 1) * x_i / (n * sum)``. None where nobody bears anything.
    """
    count, total = len(burdens), sum(burdens)
    if total == 0:
        return None
    return reduced(sum((2 * place - count - 1) * one for place, one in enumerate(sorted(burdens), 1)), count * total)


def largest_share(parts: Iterable[tuple[int, int]]) -> Ratio | None:
    """Return the largest of taken / capacity; ``INFINITE`` where something is taken from no capacity, None without parts.

    What is not above 0 of either counts as 0, and nothing taken is a share of 0 whatever the capacity.
    """
    largest: Ratio | None = None
    for taken, capacity in parts:
        one = Ratio(0, 1) if taken <= 0 else reduced(taken, capacity) if capacity > 0 else INFINITE
        if largest is None or one.numerator * largest.denominator > largest.numerator * one.denominator:
            largest = one
    return largest
