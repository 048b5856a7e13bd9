"""Comparing an answer with what a source expects."""

from fractions import Fraction
from typing import Any

import pytest

from replay.conform.answers import Answer, ById, Chosen, Comparison, Near, OneOf, Open, Printed, Tied, compare


def made(answer: object, expected: object) -> Comparison:
    return compare({"x": answer}, {"x": expected}, {})


def agrees(answer: object, expected: object) -> bool:
    result = made(answer, expected)
    return result.compared == ["x"] and not (result.differences or result.uncovered or result.open)


@pytest.mark.parametrize(
    ("answer", "expected", "same"),
    [
        (Fraction(1, 2), "0.5", True),
        (Fraction(1, 2), "0.50", True),
        (Fraction(1, 3), "1/3", True),
        (Fraction(1, 3), "0.3333", False),
        (7, 7, True),
        (7, "7", True),
        (1, True, False),
        (True, 1, False),
        (True, True, True),
        (True, "true", False),
        ("T1", "T1", True),
        ("T1", "T2", False),
        (7, None, False),
        (7, [7], False),
        ([1, 2], ["1", "2"], True),
        ([1, 2], ["1"], False),
        ([], [], True),
        ([1], "1", False),
        ({"a": 1, "b": 2}, {"a": "1"}, True),
        (ById({"a": 1, "b": 2}), {"a": "1"}, False),
        (ById({"a": 1}), {"a": "1"}, True),
        ({"a": 1}, "1", False),
        (Fraction(1336, 10**6), "~0.00134", True),
        (Fraction(1336, 10**6), "~0.00125", False),
    ],
)
def test_exact_values(answer: Any, expected: Any, same: bool) -> None:
    assert agrees(answer, expected) is same


@pytest.mark.parametrize(("expected", "same"), [("9.09", True), ("9.1", True), ("9", True), ("9.08", False), ("9.0910", False)])
def test_a_printed_number_is_compared_at_the_precision_that_is_printed(expected: str, same: bool) -> None:
    answer = Printed(Fraction(100, 11))
    assert agrees(answer, expected) is same
    assert [expected in text for text in made(answer, expected).precision] == ([True] if same else [])


def test_an_exact_match_of_a_printed_number_needs_no_remark() -> None:
    assert made(Printed(Fraction(10)), "10").precision == []
    assert not agrees(Printed(Fraction(1, 3)), "33/100")


def test_near_is_within_its_tolerance() -> None:
    answer = Near(Fraction(2465, 10_000), Fraction(1, 400))
    assert [agrees(answer, text) for text in ("0.246", "0.249", "0.2491", "x")] == [True, True, False, False]


def test_a_chosen_reading_is_told() -> None:
    result = made(Chosen(Printed(Fraction(7_407)), "rounded down"), "7407")
    assert (result.readings, result.differences) == (["x: rounded down"], [])
    assert not agrees(Chosen(7_407, "rounded down"), "7408")


def test_one_of_several_rules_must_explain_all() -> None:
    answer = OneOf({"g = 1": [1, 2], "g = 2": [2, 1]}, "given does not say g")
    assert agrees(answer, ["2", "1"])
    assert made(answer, ["2", "1"]).readings == ["x: given does not say g; g = 2 explains the source's numbers"]
    assert not agrees(answer, ["1", "1"])
    assert "g = 1" in made(answer, ["1", "1"]).differences[0].computed


def test_an_order_with_ties_never_passes() -> None:
    answer = Tied([[2], [0, 1]], "the hash is not given")
    for expected in ([2, 0, 1], [2, 1, 0]):
        result = made(answer, expected)
        assert (result.differences, result.compared) == ([], [])
        assert "the hash is not given" in next(iter(result.open))
    for wrong in ([0, 1, 2], [2, 0], [2, 0, 1, 3], [2, 0, 0], "2", None):
        assert made(answer, wrong).differences


def test_what_is_open_is_told_once_for_all_its_keys() -> None:
    result = compare({"a": Open("no price"), "b": Open("no price"), "c": 1}, {"a": "1", "b": "2", "c": "1"}, {})
    assert (result.open, result.compared) == ({"no price": ["a", "b"]}, ["c"])


@pytest.mark.parametrize(
    ("answer", "expect", "keys"),
    [
        ({"error": "no"}, {"error": "no"}, []),
        ({"error": "no"}, {"error": "other"}, ["error"]),
        ({"error": "no"}, {"x": "1"}, ["error"]),
        ({"x": 1}, {"error": "no"}, ["error"]),
    ],
)
def test_a_refusal_is_an_answer(answer: Answer, expect: dict[str, object], keys: list[str]) -> None:
    assert [part.key for part in compare(answer, expect, {}).differences] == keys


def test_a_key_that_no_answer_covers_is_named_at_any_depth() -> None:
    result = compare({"x": {"a": 1}}, {"x": {"a": "1", "b": "2"}, "y": "1", "z": "1"}, {"z": "prose"})
    assert result.uncovered == ["x.b", "y"]


def test_an_object_without_fields_agrees_with_nothing() -> None:
    result = compare({"x": [{"a": 1}, {"a": 2}], "y": {}}, {"x": [{"a": "1"}, {}], "y": {}}, {})
    assert (result.uncovered, result.differences) == (["x[1]"], [])


def test_both_values_are_told() -> None:
    (part,) = made([{"a": Fraction(1, 2)}], [{"a": "0.6"}]).differences
    assert (part.key, part.expected, part.computed) == ("x[0].a", "0.6", "0.5")
