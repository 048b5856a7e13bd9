from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.errors import DamagedError, MisuseError, ReducerError
from events.model import AccountOpened, AnyEvent, Corrected, InsuranceDraw, LedgerOpened, MarginMode, Role
from ledger.store import Ledger, create, open_ledger
from replay import fold
from replay.core.evolve import evolve
from replay.core.root import state_root
from replay.core.state import State
from replay.fold import check, guard, replay, watched
from replay.testing.streams import beginning, records


@contextmanager
def stored(events: list[AnyEvent]) -> Iterator[Ledger]:
    """Keep a record in a ledger of its own."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.adl"
        opened = events[0]
        assert isinstance(opened, LedgerOpened)
        create(path, opened)
        with open_ledger(path, write=True) as ledger:
            ledger.append(events[ledger.head :], expected_head=ledger.head)
            yield ledger


def fund_record(*more: AnyEvent) -> list[AnyEvent]:
    roles = ((4, Role.FUND), (5, Role.USER))
    return [*beginning(), *(AccountOpened(0, 0, 0, a, f"a{a}", a, r, MarginMode.CROSS, True, None) for a, r in roles), *more]


@settings(max_examples=20, deadline=None)
@given(records(), st.data())
def test_a_replay_in_two_halves_is_the_replay(events: list[AnyEvent], data: st.DataObject) -> None:
    with stored(events) as ledger:
        whole, middle = State(), data.draw(st.integers(0, len(events)))
        for seq, event in ledger.events():
            evolve(whole, event, seq)
        half = replay(ledger, middle)
        assert half.seq == middle
        assert replay(ledger, state=half) == whole == replay(ledger)
        assert state_root(half) == state_root(whole)


def test_a_point_that_is_not_there_is_misuse() -> None:
    with stored(fund_record()) as ledger:
        with pytest.raises(MisuseError):
            replay(ledger, 8)
        with pytest.raises(MisuseError, match="is past"):
            replay(ledger, 3, state=replay(ledger, 5))
        with pytest.raises(MisuseError):
            list(check(ledger, last=8))


def test_an_event_that_cannot_be_applied_names_its_seq() -> None:
    with stored(fund_record(Corrected(0, 0, 0, 9, "why", "by", 0))) as ledger:
        with pytest.raises(DamagedError, match="cannot follow those before it") as refused:
            replay(ledger)
        assert (refused.value.seq, refused.value.file) == (8, str(ledger.path))
        assert isinstance(refused.value.__cause__, ReducerError)
        assert replay(ledger, 7).seq == 7
        with pytest.raises(DamagedError):
            list(check(ledger))


def test_the_guard_refuses_what_cannot_follow() -> None:
    ask = guard()
    events = fund_record(Corrected(0, 0, 0, 9, "why", "by", 0))
    for seq, event in enumerate(events[:-1], 1):
        ask(event, seq)
    with pytest.raises(ReducerError):
        ask(events[-1], len(events))


def test_findings_come_in_order_and_only_for_the_names_given() -> None:
    over = [InsuranceDraw(0, 0, 0, 4, 5, 5, deficit, None, None, None) for deficit in (5, 4, 3)]
    with stored(fund_record(*over)) as ledger:
        assert [(finding.law, finding.seq) for finding in check(ledger)] == [("within-deficit", 9), ("within-deficit", 10)]
        assert [finding.seq for finding in check(ledger, last=9)] == [9]
        assert list(check(ledger, ["cash-conserved"])) == []
        with pytest.raises(MisuseError, match="gravity"):
            list(check(ledger, ["gravity"]))


def test_a_check_leaves_the_state_that_it_replayed() -> None:
    with stored(fund_record(InsuranceDraw(0, 0, 0, 4, 5, 5, 4, None, None, None))) as ledger:
        for last in (7, None):
            state = State()
            assert len(list(check(ledger, last=last, state=state))) == (last is None)
            assert state == replay(ledger, last)


def test_the_evaluations_of_the_laws_are_filled_in() -> None:
    with stored(fund_record(InsuranceDraw(0, 0, 0, 4, 5, 5, 5, None, None, None))) as ledger:
        counts: Counter[str] = Counter()
        assert list(check(ledger, ["within-deficit", "no-flip"], evaluations=counts)) == []
        assert counts == {"within-deficit": 1, "no-flip": 0}
        assert list(counts) == ["no-flip", "within-deficit"]


def test_progress_ends_at_the_end() -> None:
    with stored(fund_record()) as ledger:
        calls: list[tuple[int, int]] = []
        replay(ledger, progress=lambda done, total: calls.append((done, total)))
        list(check(ledger, progress=lambda done, total: calls.append((done, total))))
        assert list(watched(ledger, lambda done, total: calls.append((done, total)), 3, 6)) == list(ledger.events(3, 6))
        assert calls == [(7, 7), (7, 7), (6, 6)]


def test_progress_is_told_at_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "PROGRESS_EVERY", 2)
    with stored(fund_record()) as ledger:
        calls: list[int] = []
        list(watched(ledger, lambda done, _total: calls.append(done)))
        assert calls == [2, 4, 6, 7]
