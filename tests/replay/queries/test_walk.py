from collections.abc import Callable

import pytest

from events.errors import MisuseError
from events.model import AnyEvent
from replay.core.evolve import evolve
from replay.core.state import State
from replay.queries.answers import Answer
from replay.queries.scope import Scope, Span
from replay.queries.walk import Fold, gain, held, margin_gaps, walk
from replay.testing.streams import beginning


class Seen(Fold):
    def __init__(self) -> None:
        self.seqs: list[tuple[int, int, int]] = []

    def before(self, state: State, _event: AnyEvent, seq: int) -> None:
        self.seqs.append((seq, state.seq, 0))

    def after(self, state: State, _event: AnyEvent, seq: int) -> None:
        self.seqs.append((seq, state.seq, 1))

    def answer(self, _state: State) -> Answer:
        raise NotImplementedError


def test_a_fold_sees_each_event_just_before_and_just_after_it_is_applied() -> None:
    folds = [Seen(), Seen()]
    state = walk(enumerate(beginning(), 1), folds, Scope(1, 5))
    assert state.seq == 5
    assert folds[0].seqs == folds[1].seqs == [(seq, seq - 1 + side, side) for seq in range(1, 6) for side in (0, 1)]


class Broken(Seen):
    def before(self, _state: State, _event: AnyEvent, _seq: int) -> None:
        raise KeyError("ours")


def test_a_bug_of_ours_stays_one() -> None:
    with pytest.raises(KeyError, match="ours"):
        walk(enumerate(beginning(), 1), [Broken()], Scope(1, 5))


def test_a_scope_covers_seqs_a_market_and_accounts() -> None:
    everything, part = Scope(2, 4), Scope(2, 4, account="external", market="M")
    assert [everything.covers(seq, 7, 8) for seq in (1, 2, 4, 5)] == [False, True, True, False]
    part.observe(beginning()[1])
    assert part.account_id == 0
    assert part.covers(3, None, 9, 0)
    assert part.covers(3)
    assert not part.covers(3, None, 9)
    assert not part.covers(3, 0, 0)
    with pytest.raises(MisuseError, match="no market 'M'"):
        part.check()


def test_a_span_holds_the_first_and_the_last_seq() -> None:
    span = Span()
    for seq in (5, 5, 9, 7):
        span.add(seq)
    assert (span.first, span.last) == (5, 9)


def test_what_a_state_tells_of_an_account(stage: Callable[..., list[AnyEvent]]) -> None:
    state = State()
    for event in stage([(10**10, {0: (300, 1_000)}), (0, {})], [1_100, 900]):
        evolve(state, event, state.seq + 1)
    assert (held(state, 6, 0), held(state, 6, 1), held(state, 5, 0)) == (300, 0, -300)
    assert gain(state, 0, 1, 300, 1_100, 1_000) == 100 * 300 * 10**4 == -gain(state, 0, -1, 300, 1_100, 1_000)
    assert (margin_gaps(state, 6), margin_gaps(state, 6, tiers=True)) == ((), ())
    state.marks[0] = 0
    assert margin_gaps(state, 6) == ("mark price",)
    state.cash_known[6] = False
    assert margin_gaps(state, 6) == ("cash of account",)
