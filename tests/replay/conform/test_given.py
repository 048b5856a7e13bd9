"""Reading what a vector gives, field by field."""

from fractions import Fraction
from typing import Any

import pytest

from replay.conform.given import Given, InapplicableError, signed_size, unique_ids


def test_every_kind_of_field_is_read_and_noted() -> None:
    given = Given({"a": {"n": "1.5", "w": 3, "t": "x", "f": True, "l": ["p", "q"]}, "r": [{"id": "1"}, {"id": "2"}]})
    inner = given.sub("a")
    assert given.unread() == ["given.a.n", "given.a.w", "given.a.t", "given.a.f", "given.a.l[0]", "given.a.l[1]", "given.r[0].id", "given.r[1].id"]  # fmt: skip  # noqa: E501
    assert (inner.number("n"), inner.whole("w"), inner.text("t"), inner.flag("f")) == (Fraction(3, 2), 3, "x", True)
    assert inner.texts("l") == ["p", "q"]
    assert unique_ids(given.rows("r")) == ["1", "2"]
    assert given.unread() == []


def test_what_is_absent() -> None:
    given = Given({})
    assert (len(given.sub("x").keys()), len(given.rows("x"))) == (0, 0)
    assert given.number_or("x", 7) == 7
    for read in (given.text, given.number, given.whole, given.flag, given.texts, given.row):
        with pytest.raises(InapplicableError, match="given"):
            read("x")


def refusal(given: Given, name: str) -> str | None:
    try:
        getattr(given, name)("x")
    except InapplicableError as error:
        return str(error)
    return None


@pytest.mark.parametrize("value", [None, True, 7, "x", "1.5", [], ["x"], {}, {"x": 1}, [[]]])
def test_another_type_than_expected_is_named(value: Any) -> None:
    given = Given({"x": value})
    refusals = [refusal(given, name) for name in ("text", "number", "whole", "flag", "texts", "sub", "rows", "row")]
    said = [text for text in refusals if text is not None]
    assert len(said) >= 5
    assert all("given.x" in text for text in said)


def test_a_rule_of_another_name_is_not_this_rule() -> None:
    with pytest.raises(InapplicableError, match="'other'"):
        Given({"rule": "other"}).choice("rule", "one", "two")


def test_two_forms_of_an_amount_must_agree() -> None:
    assert Given({"usdc": "1.5"}).units("usdc", "quantums", 10**6) == 1_500_000
    assert Given({"quantums": "7"}).units("usdc", "quantums", 10**6) == 7
    assert Given({"usdc": "1.5", "quantums": "1500000"}).units("usdc", "quantums", 10**6) == 1_500_000
    for fields in ({"usdc": "1.5", "quantums": "1"}, {"usdc": "0.0000001"}):
        with pytest.raises(InapplicableError, match="usdc"):
            Given(fields).units("usdc", "quantums", 10**6)


def test_a_passed_over_object_is_dealt_with_whole() -> None:
    given = Given({"a": {"b": {"c": "1"}}, "ab": "2"})
    given.leave("a")
    assert given.unread() == ["given.ab"]


def test_sizes_have_a_sign_or_a_side() -> None:
    sizes = [{"size": "-2"}, {"size": "2", "side": "short"}, {"size": "2", "side": "long"}]
    assert [signed_size(Given(row)) for row in sizes] == [-2, -2, 2]
    with pytest.raises(InapplicableError):
        signed_size(Given({"size": "-2", "side": "short"}))


def test_ids_must_differ() -> None:
    with pytest.raises(InapplicableError):
        unique_ids(Given({"r": [{"id": "1"}, {"id": "1"}]}).rows("r"))
