from collections.abc import Callable

import msgspec
import pytest

from events.model import AccountOpened, AdlRound, AnyEvent, MarketListed, Opening, OpenPosition, PriceRule, Role
from replay.core.evolve import evolve
from replay.core.missing import MISSING_INPUTS, account_gaps, equity_gaps, in_order, loser_size, margin_gaps
from replay.core.state import State

Stage = Callable[..., list[AnyEvent]]


def with_trader(events: list[AnyEvent], *openings: Opening) -> State:
    """A venue with one more account, 7, that existed before the record."""
    state = State()
    new = AccountOpened(
        0, 0, 0, 7, "new", 7, Role.USER, next(e for e in events if isinstance(e, AccountOpened)).margin, False, None
    )
    for seq, event in enumerate([*events, new, *openings], 1):
        evolve(state, event, seq)
    return state


def test_names_come_once_and_in_one_order() -> None:
    assert len(set(MISSING_INPUTS)) == len(MISSING_INPUTS)
    assert in_order([*reversed(MISSING_INPUTS), *MISSING_INPUTS]) == MISSING_INPUTS
    assert in_order([]) == ()


@pytest.mark.parametrize(
    ("cash", "size", "entry", "equity", "sums", "margins"),
    [
        (None, 5, 100, ["cash of account"], ["cash of account"], []),
        (9, 5, 100, [], ["mark price"], []),
        (9, 5, None, [], ["entry price"], []),
        (9, None, None, [_ := "candidate list: record incomplete"], [_, "entry price"], [_]),
    ],
)
def test_why_an_account_is_not_decidable(
    stage: Stage,
    cash: int | None,
    size: int | None,
    entry: int | None,
    equity: list[str],
    sums: list[str],
    margins: list[str],
) -> None:
    state = with_trader(stage([(5, {0: (3, 100)})], [90]), Opening(0, 0, 0, 7, cash, (OpenPosition(0, size, entry, 2),)))
    assert equity_gaps(state, 7) == equity
    assert account_gaps(state, 7) == sums
    assert margin_gaps(state, 7) == margins


def test_a_margin_without_a_mark_or_tiers(stage: Stage) -> None:
    events = stage([(5, {0: (3, 100)})], [90])
    assert margin_gaps(with_trader(events), 6) == []
    assert margin_gaps(with_trader(events[:-1]), 6) == equity_gaps(with_trader(events[:-1]), 6) == ["mark price"]
    bare = [msgspec.structs.replace(event, tiers=()) if isinstance(event, MarketListed) else event for event in events]
    assert (margin_gaps(with_trader(bare), 6), equity_gaps(with_trader(bare), 6)) == (["margin tiers"], [])


def test_the_losers_position_may_not_be_on_record(stage: Stage) -> None:
    state = with_trader(
        stage(
            [
                (5, {0: (-3, 100)}),
            ],
            [90],
        )
    )

    def size(loser: int) -> int | None:
        none = (None, None, PriceRule.UNKNOWN, None, None, None, None, (), None, None, None, None)
        return loser_size(state, AdlRound(0, 0, 0, 0, loser, 0, *none))

    assert (size(6), size(4), size(7)) == (-3, 0, None)
