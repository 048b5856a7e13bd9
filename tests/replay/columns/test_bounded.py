from collections.abc import Callable
from operator import add, mul, sub

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.units import INT64_MAX, INT64_MIN, div_half_even
from replay.columns.bounded import Ints, UnfitError, ints, within

WIDE = st.one_of(st.integers(-9, 9), st.integers(INT64_MIN - 9, INT64_MAX + 9), st.integers(-(2**32), 2**32))


def made(work: Callable[[], Ints]) -> list[int] | None:
    """The values, None where they are refused."""
    try:
        found = work()
    except UnfitError:
        return None
    values: list[int] = found.values.tolist()
    assert all(abs(value) <= found.bound <= INT64_MAX for value in values)
    return values


@given(st.lists(st.tuples(WIDE, WIDE)), WIDE)
def test_what_is_not_refused_is_exact(pairs: list[tuple[int, int]], number: int) -> None:
    left, right = [one for one, _ in pairs], [other for _, other in pairs]
    expected: dict[str, tuple[Callable[[], Ints], list[int]]] = {
        "plus": (lambda: ints(left).plus(ints(right)), list(map(add, left, right))),
        "minus": (lambda: ints(left).minus(ints(right)), list(map(sub, left, right))),
        "times": (lambda: ints(left).times(number), [mul(one, number) for one in left]),
        "size": (lambda: ints(left).size(), list(map(abs, left))),
        "at_least": (lambda: ints(left).at_least(number), [max(one, number) for one in left]),
    }
    for work, values in expected.values():
        assert made(work) in (None, values)


@given(st.lists(WIDE), st.integers(1, 9) | st.integers(1, 2**70))
def test_quotients_are_rounded_as_everywhere(values: list[int], by: int) -> None:
    assert made(lambda: ints(values).divided_half_even(by)) in (None, [div_half_even(value, by) for value in values])


def test_what_fits_is_not_refused() -> None:
    most = ints([INT64_MAX, -INT64_MAX, 0])
    assert most.bound == INT64_MAX
    assert made(lambda: most.minus(ints([0, 0, 0]))) == [INT64_MAX, -INT64_MAX, 0]
    assert made(lambda: ints([3, -5]).times(INT64_MAX // 5)) == [INT64_MAX // 5 * 3, -(INT64_MAX // 5) * 5]
    assert made(lambda: ints([5, 15, -5, 24]).divided_half_even(10)) == [0, 2, 0, 2]
    assert made(lambda: ints([]).plus(ints([]))) == []
    assert most.at(np.array([2, 0])).values.tolist() == [0, INT64_MAX]


@pytest.mark.parametrize(
    "work",
    [
        lambda: ints([INT64_MIN]),
        lambda: ints([INT64_MAX]).plus(ints([1])),
        lambda: ints([-INT64_MAX]).minus(ints([1])),
        lambda: ints([2**32]).times(2**31),
        lambda: ints([1]).at_least(2**63),
        lambda: ints([1]).divided_half_even(2**62),
        lambda: within(2**63),
    ],
)
def test_what_could_overflow_is_refused(work: Callable[[], object]) -> None:
    with pytest.raises(UnfitError):
        work()
