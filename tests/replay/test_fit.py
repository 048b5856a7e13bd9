"""The fit: pairs of closes in the order of their scores or not, taken from claims."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.model import AdlClose, AnyEvent, Taker
from replay.core.evolve import evolve
from replay.core.state import State
from replay.fit import Close, Fit, _pairs, fit

LOT = 10_000
LOSER = 6


@pytest.fixture(scope="module")
def state(stage: Callable[..., list[AnyEvent]]) -> State:
    state = State()
    for seq, event in enumerate(stage([], [900]), 1):
        evolve(state, event, seq)
    return state


def short(seq: int, entry: int, equity: int | None) -> Close:
    """A short of 4 lots from ``entry`` is closed at 1,000. With equity above 0, its score rises with its entry."""
    trade = (0, 0, 0, 0, seq, LOSER, 1_000, 4, 0, 0, None, Taker.UNKNOWN, None, None, None, None, None, None)
    event = AdlClose(*trade, round=0, winner=seq, mark=None, winner_equity_claim=equity, rank_claim=None)
    return Close(seq, event, -4, -4 * entry * LOT, 4 * 1_000 * LOT)


def changed(close: Close, **changes: Any) -> Close:
    return replace(close, event=replace(close.event, **changes))


HIGH, MIDDLE, LOW = short(11, 1_300, 10**8), short(12, 1_200, 10**8), short(13, 1_100, 10**8)


@pytest.mark.parametrize(
    ("closes", "expected"),
    [
        ([], Fit("profit x leverage", 0, 0, 0, 0, 0, None, 0, 0, None)),
        ([HIGH], Fit("profit x leverage", 1, 0, 0, 0, 0, None, 0, 0, None)),
        ([HIGH, MIDDLE, LOW], Fit("profit x leverage", 3, 0, 3, 0, 0, 1_000_000, 2, 2, None)),
        ([MIDDLE, HIGH, LOW], Fit("profit x leverage", 3, 0, 2, 1, 0, 333_333, 2, 1, 11)),
        ([LOW, MIDDLE, HIGH], Fit("profit x leverage", 3, 0, 0, 3, 0, -1_000_000, 2, 0, 12)),
        ([HIGH, HIGH, LOW], Fit("profit x leverage", 3, 0, 2, 0, 1, 666_667, 2, 2, None)),
        # A loss is scored below a gain, and the higher the leverage, the higher either.
        ([HIGH, short(14, 900, 10**8)], Fit("profit x leverage", 2, 0, 1, 0, 0, 1_000_000, 1, 1, None)),
        ([short(14, 1_300, 10**7), HIGH], Fit("profit x leverage", 2, 0, 1, 0, 0, 1_000_000, 1, 1, None)),
        # Without equity there is no leverage, so these stand on one step, the lowest.
        ([short(14, 1_300, 0), short(15, 900, -5), LOW], Fit("profit x leverage", 3, 0, 0, 2, 1, -666_667, 2, 1, 13)),
    ],
)
def test_the_fit_counts_pairs_in_order(state: State, closes: list[Close], expected: Fit) -> None:
    assert fit(state, closes) == expected


@pytest.mark.parametrize(
    "unscored",
    [
        changed(MIDDLE, winner_equity_claim=None),
        replace(MIDDLE, cost=None),
        replace(MIDDLE, before=None),
        replace(MIDDLE, before=0),
    ],
)
def test_the_fit_leaves_out_what_cannot_be_scored(state: State, unscored: Close) -> None:
    assert fit(state, [LOW, unscored, HIGH]) == Fit("profit x leverage", 2, 1, 0, 1, 0, -1_000_000, 1, 0, 11)


@given(st.lists(st.tuples(st.integers(-1, 1), st.integers(-9, 9)), max_size=60))
def test_pairs_are_counted_as_one_by_one(keys: list[tuple[int, int]]) -> None:
    pairs = list(combinations(keys, 2))
    one_by_one = (sum(a > b for a, b in pairs), sum(a < b for a, b in pairs), sum(a == b for a, b in pairs))
    assert _pairs(keys) == one_by_one
