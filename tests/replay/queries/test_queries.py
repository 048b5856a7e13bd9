"""What holds of every query: its definitions, its ranges, and that it answers about any record there can be."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings

from events.errors import MisuseError, ReducerError
from events.model import AdlClose, AnyEvent, Fill, Taker
from replay.queries import QUERIES, ask, named
from replay.queries.answers import CLAIM, RECONSTRUCTION, RECORD, Answer
from replay.queries.scope import Scope
from replay.testing.streams import beginning, records

IDS = [f"Q{number:02}" for number in range(1, 26)]


def ask_all(events: Sequence[AnyEvent], first: int = 1) -> list[Answer]:
    return ask(lambda: enumerate(events, 1), QUERIES, Scope(first, len(events)))


def check(answers: Sequence[Answer], first: int, last: int) -> None:
    for one, answer in zip(QUERIES, answers, strict=True):
        assert answer.figures
        names = [*(figure.id for figure in answer.figures), *(table.id for table in answer.tables)]
        assert all(name.startswith(f"{one.id}.") for name in names)
        for figure in answer.figures:
            assert first <= figure.first_seq <= figure.last_seq <= last
            assert figure.basis in {RECORD, CLAIM, RECONSTRUCTION}
            # What has no value says why, and what leaves something out says that.
            assert figure.value is not None or figure.missing
            assert bool(figure.missing) or not figure.left_out
        assert len({figure.id for figure in answer.figures}) == len(answer.figures)
        for table in answer.tables:
            assert first <= table.first_seq <= table.last_seq <= last
            assert all(len(row) == len(table.columns) for row in table.rows)
            assert set(table.drop) <= set(table.columns)


def test_there_are_the_25_questions_in_their_order() -> None:
    assert [one.id for one in QUERIES] == IDS
    assert len({one.question for one in QUERIES}) == len({one.fold for one in QUERIES}) == 25


@pytest.mark.parametrize("name", ["Q07", "q07", "q7", "7", "07"])
def test_a_query_is_named_in_short(name: str) -> None:
    assert named(name).id == "Q07"


@pytest.mark.parametrize("name", ["Q00", "Q26", "", "Q", "7a", "QQ07", "adl"])
def test_there_is_no_other_query(name: str) -> None:
    with pytest.raises(MisuseError, match="no query"):
        named(name)


def test_every_figure_of_an_incident_says_what_it_stands_on(evening: list[AnyEvent]) -> None:
    answers = ask_all(evening)
    check(answers, 1, len(evening))
    decided = {one.id for one, answer in zip(QUERIES, answers, strict=True) if answer.figures[0].value is not None}
    assert decided == set(IDS)


def test_a_pass_for_all_gives_what_each_gives_alone(evening: list[AnyEvent]) -> None:
    alone = [ask(lambda: enumerate(evening, 1), [one], Scope(1, len(evening)))[0] for one in QUERIES]
    assert ask_all(evening) == alone


def test_an_empty_ledger_decides_nothing_about_closes() -> None:
    events = beginning()
    answers = ask_all(events)
    check(answers, 1, len(events))
    told = {one.id for one, answer in zip(QUERIES, answers, strict=True) if answer.figures[0].value is not None}
    # That the fee account made nothing and that no deficit was seen is known of a record that is complete so far.
    assert told == {"Q08", "Q09", "Q21"}


@settings(max_examples=60)
@given(records())
def test_any_record_is_answered(events: list[Any]) -> None:
    check(ask_all(events), 1, len(events))


@settings(max_examples=25)
@given(records())
def test_any_window_is_answered(events: list[Any]) -> None:
    first = len(events) // 2 + 1
    check(ask_all(events, first), first, len(events))


def test_an_event_that_cannot_be_applied_is_an_error_of_the_record() -> None:
    unsaid = (None, None, None, None, None, None)
    close = AdlClose(0, 0, 0, 7, 8, 9, 1, 1, 0, 0, None, Taker.UNKNOWN, *unsaid, 3, 8, None, None, None)
    fill = Fill(0, 0, 0, 7, 8, 9, 1, 1, 0, 0, None, Taker.UNKNOWN, *unsaid)
    for event in (close, fill):
        with pytest.raises(ReducerError):
            ask_all([*beginning(), event])


@pytest.mark.parametrize(
    ("options", "said"),
    [({"account": "nobody"}, "no account 'nobody'"), ({"market": "X"}, "no market 'X'"), ({"price": "1"}, "one market")],
)
def test_what_cannot_be_asked_is_misuse(
    evening: list[AnyEvent], query: Callable[..., Any], options: dict[str, str], said: str
) -> None:
    with pytest.raises(MisuseError, match=said):
        query("Q24", evening, **options)
