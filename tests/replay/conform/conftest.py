"""Own vectors, checked both ways: the right expectation passes, and each of its values made wrong fails."""

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from replay.conform import Result, Status, conform

Json = dict[str, Any]
Spoil = Callable[[Json], Iterator[tuple[str, Json]]]
Run = Callable[[str, str, Json, Json], Result]


def _wrong(value: Any) -> Any:
    """Return a value of the same type that differs by more than any rounding."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            about, text = ("~", value[1:]) if value.startswith("~") else ("", value)
            try:
                number = Fraction(text) + 1
            except ValueError:
                return f"{value}?"
            return f"{about}{number.numerator}/{number.denominator}"
        case list():
            return value[:-1] or ["1"]
        case _:
            return {**value, "nobody": "1"}


def _spoiled(value: Any) -> Iterator[Any]:
    """Give a value with one thing in it made wrong, for each thing in it. Of rows it is the fields, not their names."""
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from ([*value[:index], bad, *value[index + 1 :]] for bad in _spoiled(inner))
        yield _wrong(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from ({**value, key: bad} for bad in _spoiled(inner))
    else:
        yield _wrong(value)


@pytest.fixture(scope="session")
def spoil() -> Spoil:
    """Return a function that gives, for each value in ``expect``, its key and an ``expect`` with that value made wrong."""

    def give(expect: Json) -> Iterator[tuple[str, Json]]:
        for key, value in expect.items():
            yield from ((key, {**deepcopy(expect), key: bad}) for bad in _spoiled(value))

    return give


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs one vector of a venue and kind from a file."""

    def ran(venue: str, kind: str, given: Json, expect: Json) -> Result:
        vector = {"name": "own/one", "kind": kind, "given": given, "expect": expect}
        (tmp_path / "own.json").write_text(json.dumps({"venue": venue, "vectors": [vector]}), encoding="utf-8")
        (result,) = conform(tmp_path)
        return result

    return ran


@pytest.fixture
def check(run: Run, spoil: Spoil) -> Run:
    """Return a function that asserts that a vector passes as expected, and fails with both values as soon as one is wrong."""

    def checked(venue: str, kind: str, given: Json, expect: Json) -> Result:
        result = run(venue, kind, given, expect)
        assert (result.status, result.differences, result.reason) == (Status.PASS, (), "")
        assert sorted((*result.compared, *result.not_compared)) == sorted(expect)
        for key, wrong in spoil(expect):
            if key in result.compared:
                failed = run(venue, kind, given, wrong)
                assert failed.status is Status.FAIL, (key, wrong)
                assert all(part.key.startswith((key, "error")) for part in failed.differences)
                assert all(part.expected != part.computed for part in failed.differences)
        return result

    return checked
