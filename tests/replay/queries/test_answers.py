from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from replay.core.state import State
from replay.queries.answers import CLAIM, RECORD, Ground, Sheet, answer_view, partly, ratio_text
from replay.queries.scope import Scope, Span

NUMBERS = st.integers(-(10**20), 10**20)


@given(NUMBERS, NUMBERS.filter(bool), st.integers(1, 9))
def test_a_ratio_is_rounded_once_half_to_even_and_keeps_its_decimals(top: int, bottom: int, decimals: int) -> None:
    text = ratio_text(top, bottom, decimals)
    assert len(text.partition(".")[2]) == decimals
    assert Fraction(text) == Fraction(round(Fraction(top, bottom) * 10**decimals), 10**decimals)


@given(st.integers(0, 9), st.integers(0, 9))
def test_what_is_left_out_is_named_and_nothing_else_is(decided: int, more: int) -> None:
    on = partly(RECORD, None, decided, decided + more, ("b", "a", "b"))
    assert on.left_out == more
    assert on.missing == (("a", "b") if more else ())
    assert on.blind is (more > 0 and decided == 0)


def test_a_sheet_says_where_its_figures_are_from() -> None:
    sheet = Sheet("Q00", State(), Scope(3, 9))
    sheet.count("all", "whole window", 7, "things", Ground(RECORD))
    sheet.count("some", "a part of it", 7, "things", Ground(CLAIM, Span(4, 5)))
    sheet.count("none", "nothing decided", 7, "things", Ground(RECORD, Span(), ("x",), 2, blind=True))
    sheet.ratio("by", "divided by nothing", 1, 0, Ground(RECORD))
    sheet.bps("bps", "a third", 1, 3, Ground(RECORD))
    sheet.table("rows", "Rows", ("a", "b"), [(1, None)], Ground(CLAIM, Span(4, 4)), drop=("b",))
    sheet.table("empty", "No rows", ("a",), [], Ground(CLAIM))
    sheet.note("A note.")
    view = answer_view(sheet.answer("adl verb"))
    assert [(f["id"], f["value"], f["first_seq"], f["last_seq"], f["basis"]) for f in view["figures"]] == [
        ("Q00.all", "7", 3, 9, "record"),
        ("Q00.some", "7", 4, 5, "claim"),
        ("Q00.none", None, 3, 9, "record"),
        ("Q00.by", None, 3, 9, "record"),
        ("Q00.bps", "3333.33", 3, 9, "record"),
    ]
    assert [figure["missing"] for figure in view["figures"]] == [[], [], ["x"], ["amount to divide by"], []]
    assert view["tables"] == [
        {"id": "Q00.rows", "title": "Rows", "basis": "claim", "first_seq": 4, "last_seq": 4, "rows": [{"a": 1, "b": None}]}
    ]
    assert (view["notes"], view["command"], view["undecidable"]) == (["A note."], "adl verb", False)


def test_an_answer_without_any_value_is_undecidable() -> None:
    answer = Sheet("Q00", State(), Scope(1, 5)).lacks("x", "what", "y", "z")
    view = answer_view(answer)
    assert view["undecidable"]
    assert view["figures"][0]["missing"] == ["y", "z"]
