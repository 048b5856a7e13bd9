from fractions import Fraction
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from replay.core.policy import Ratio
from replay.core.triggers import INFINITE
from replay.whatif.shares import gini, largest_share

burdens = st.lists(st.integers(0, 10**12), max_size=12)


@given(burdens)
def test_gini_is_half_the_relative_mean_difference(parts: list[int]) -> None:
    found, total = gini(parts), sum(parts)
    if not total:
        assert found is None
        return
    apart = sum(abs(one - other) for one, other in product(parts, parts))
    assert found is not None
    assert Fraction(*found) == Fraction(apart, 2 * len(parts) * total)


@given(burdens.filter(any).flatmap(lambda parts: st.tuples(st.just(parts), st.permutations(parts))), st.integers(1, 1_000))
def test_gini_ignores_order_and_scale_and_copies(orders: tuple[list[int], list[int]], times: int) -> None:
    parts, shuffled = orders
    assert gini(shuffled) == gini(parts) == gini([times * part for part in parts]) == gini(parts * 3)


@given(st.integers(1, 50), st.integers(1, 10**9))
def test_gini_ends(count: int, part: int) -> None:
    assert gini([part] * count) == Ratio(0, 1)
    alone = gini([0] * (count - 1) + [part])
    assert alone is not None
    assert Fraction(*alone) == Fraction(count - 1, count)


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), max_size=8))
def test_largest_share_by_brute_force(parts: list[tuple[int, int]]) -> None:
    found = largest_share(parts)
    if not parts:
        assert found is None
    elif any(taken > 0 >= capacity for taken, capacity in parts):
        assert found == INFINITE
    else:
        assert found is not None
        assert Fraction(*found) == max(Fraction(taken, capacity) if taken > 0 else Fraction(0) for taken, capacity in parts)
