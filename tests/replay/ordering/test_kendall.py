"""Pairs in order: counted as one by one, and bounded as by trying every key that is not known."""

from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.ordering.kendall import Pairs, TauRange, count_pairs, tau_range


def surplus(keys: list[int]) -> int:
    return sum((a > b) - (a < b) for a, b in combinations(keys, 2))


@given(st.lists(st.tuples(st.integers(-1, 1), st.integers(-9, 9)), max_size=60))
def test_pairs_are_counted_as_one_by_one(keys: list[tuple[int, int]]) -> None:
    pairs = list(combinations(keys, 2))
    one_by_one = Pairs(sum(a > b for a, b in pairs), sum(a < b for a, b in pairs), sum(a == b for a, b in pairs))
    assert count_pairs(keys) == one_by_one
    assert one_by_one.total == len(pairs)


@pytest.mark.parametrize(
    ("keys", "tau"),
    [
        ([], None),
        ([1], None),
        ([3, 2, 1], 1_000_000),
        ([2, 3, 1], 333_333),
        ([1, 2, 3], -1_000_000),
        ([3, 3, 1, 2], 500_000),
    ],
)
def test_tau_of_an_order(keys: list[int], tau: int | None) -> None:
    assert count_pairs(keys).tau_ppm == tau


@given(st.lists(st.none() | st.integers(0, 2), max_size=6).filter(lambda keys: keys.count(None) <= 3))
@settings(deadline=None)
def test_bounds_of_tau_are_reached_and_never_passed(keys: list[int | None]) -> None:
    # Up to three unknown keys may have to share a gap in order, so there is room for three between known keys.
    wide = [None if key is None else 4 * key for key in keys]
    unknown = [place for place, key in enumerate(keys) if key is None]
    seen = set()
    for tried in product(range(-3, 12), repeat=len(unknown)):
        whole = [0 if key is None else key for key in wide]
        for place, key in zip(unknown, tried, strict=True):
            whole[place] = key
        seen.add(surplus(whole))
    assert tau_range(wide) == TauRange(min(seen), max(seen), len(keys) * (len(keys) - 1) // 2)


@given(st.lists(st.integers(-9, 9), max_size=40))
def test_with_all_keys_known_the_bounds_are_tau(keys: list[int]) -> None:
    bounds = tau_range(keys)
    assert bounds.low == bounds.high == surplus(keys)
    assert bounds.low_ppm == bounds.high_ppm == count_pairs(keys).tau_ppm


def test_an_unknown_key_cannot_undo_pairs_that_stand_against_the_order() -> None:
    """One unknown place behind 1, 2, 3: the three known pairs are against the order, and its own can be for or against it."""
    bounds = tau_range([1, 2, 3, None])
    assert (bounds.low, bounds.high, bounds.pairs) == (-6, 0, 6)
    assert (bounds.low_ppm, bounds.high_ppm) == (-1_000_000, 0)
    assert tau_range([]) == TauRange(0, 0, 0)
    assert tau_range([None, None]) == TauRange(-1, 1, 1)
    assert tau_range([None]).high_ppm is None
