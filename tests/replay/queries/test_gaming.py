from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.model import AdlRound, AnyEvent
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.state import State
from replay.presets import preset
from replay.queries.gaming import split


@given(cash=st.integers(1, 10**12), size=st.integers(-999, 999).filter(bool), entry=st.integers(1, 2_000))
def test_halves_are_the_whole_and_the_state_stays_as_it_is(
    stage: Callable[..., list[AnyEvent]], cash: int, size: int, entry: int
) -> None:
    state = State()
    for event in stage([(cash, {0: (size, entry), 1: (-3, 1_000)}), (10**12, {0: (-size, entry)})], [1_000, 1_000]):
        evolve(state, event, state.seq + 1)
    before = [(p.size, p.cost) for p in state.holdings[6].values()], state.cash[6], margin.equity(state, 6)
    opened = AdlRound(0, 0, 0, 0, 7, 0, None, None, 0, None, None, None, None, (), None, None, None, None)  # type: ignore[arg-type]
    halves = split(state, 6, opened)
    twin = len(state.accounts)
    assert ([(p.size, p.cost) for p in state.holdings[6].values()], state.cash[6], margin.equity(state, 6)) == before
    assert halves.cash[6] + halves.cash[twin] == cash + state.cash[6] - cash
    for market, position in state.holdings[6].items():
        kept, moved = halves.positions[market][6], halves.positions[market][twin]
        assert (kept.size + moved.size, kept.cost + moved.cost) == (position.size, position.cost)
        assert abs(kept.size) - abs(moved.size) in {0, 1}
        assert halves.holdings[twin][market] is moved
    assert len(halves.accounts) == len(halves.cash) == len(halves.cash_known) == len(halves.role_since) == twin + 1


WINNERS = [(5 * 10**8, {0: (-600, 1_000)}), (10**10, {0: (400, 900)}), (2 * 10**10, {0: (400, 800)})]


@pytest.mark.parametrize(
    ("name", "unit", "gained"), [("queue", "contracts", "0"), ("pro-rata", "money", "0"), ("mirror-descent", "money", "1")]
)
def test_splitting_beats_a_rule_that_takes_more_than_in_proportion(
    tale: Callable[..., Any], query: Callable[..., Any], name: str, unit: str, gained: str
) -> None:
    told = tale(WINNERS, [1_200], preset=preset(name).texts)
    told.round(6, 0, -600 if unit == "contracts" else None)
    found = query("Q25", told.events)
    assert (found.values["tests"], found.values["gained"], found.values["lost"]) == ("1", gained, "0")
    (row,) = found.rows("rounds")
    assert row["unit"] == unit
    assert (row["gain"] == "0") is (row["whole"] == row["halves"]) is (gained == "0")


def test_the_account_asked_about_is_the_one_that_is_split(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale(WINNERS, [1_000])
    told.round(6, 0, -600)
    told.close(6, 7, 0, 1_000, 400)
    (row,) = query("Q25", told.events, account="t8").rows("rounds")
    assert row["account"] == "t8"
    assert query("Q25", told.events, account="fund").values["tests"] == "0"


def test_a_list_of_candidates_takes_the_twin_in(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale(WINNERS, [1_000])
    told.round(6, 0, -400)
    told.candidates(8)
    told.close(6, 8, 0, 1_000, 400)
    (row,) = query("Q25", told.events).rows("rounds")
    assert (row["account"], row["whole"], row["halves"]) == ("t8", "4", "4")


def test_without_a_plan_it_is_undecidable(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale(WINNERS, [1_000])
    del told.events[-1]
    told.round(6, 0, -600)
    told.close(6, 7, 0, 1_000, 200)
    found = query("Q25", told.events)
    assert found.values["gained"] is None
    assert "mark price" in found.figures["gained"].missing
