"""What a solver answers, and how an answer is compared with what a source expects.

An answer is a mapping from the keys that ``expect`` may have to values: exact numbers (``int``, ``Fraction``), texts, truth
values, lists and mappings of them, or one of the types below that say more of a value. Numbers are compared exactly unless
the solver says that its source rounds. ``expect`` only chooses which keys are compared.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from replay.conform.numbers import exact, printed_decimals, spelled

__all__ = [
    "BY_VENUE_FUNCTION",
    "Answer",
    "ById",
    "Chosen",
    "Comparison",
    "Difference",
    "Near",
    "OneOf",
    "Open",
    "Printed",
    "Solved",
    "Tied",
    "compare",
]

Answer: TypeAlias = Mapping[str, object]

BY_VENUE_FUNCTION = "venue function"
"""What ran where no preset covers a mechanic: a function of the venue's own terms, in the module of the venue."""


class Solved(NamedTuple):
    """An answer, and what ran for it: parts of the core and of presets, as ``preset bitmex: plan``, or a venue function."""

    answer: Answer
    through: str = BY_VENUE_FUNCTION


# Of a number whose decimals do not end, in a remark.
READABLE_DECIMALS = 8


class ById(dict[str, object]):
    """Values by account or market: what is not named in ``expect`` must not be in the answer either."""


class Printed(Struct, frozen=True):
    """A number that the source prints rounded: compared at the precision that it prints."""

    value: Fraction


class Near(Struct, frozen=True):
    """A number compared within ``tolerance``, as the source's own inputs are rounded."""

    value: Fraction
    tolerance: Fraction


class Chosen(Struct, frozen=True):
    """A value by one of several readings of a source that contradicts itself; ``reading`` says which and why."""

    value: object
    reading: str


class OneOf(Struct, frozen=True):
    """A value by each of several rules, by their names, where ``given`` does not say which: one must explain the source."""

    values: Mapping[str, object]
    why: str


class Tied(Struct, frozen=True):
    """An order known up to ties: ids in groups. ``why`` says what would break the ties."""

    groups: Sequence[Sequence[object]]
    why: str


class Open(Struct, frozen=True):
    """A key that cannot be computed from ``given``, and why."""

    why: str


class Difference(Struct, frozen=True):
    """Where an answer and the source part: ``key`` with its path, and both values as text."""

    key: str
    expected: str
    computed: str


class Comparison(Struct):
    """What came of it. ``open`` and ``uncovered`` keep a vector from passing; ``precision`` and ``readings`` explain a pass."""

    compared: list[str] = []
    differences: list[Difference] = []
    readings: list[str] = []
    precision: list[str] = []
    open: dict[str, list[str]] = {}
    uncovered: list[str] = []

    def leave_open(self, key: str, why: str) -> None:
        """Note a key that cannot be decided."""
        self.open.setdefault(why, []).append(key)

    def differ(self, key: str, expected: object, computed: object) -> None:
        """Note a difference."""
        self.differences.append(Difference(key, shown(expected), shown(computed)))


def compare(answer: Answer, expect: Mapping[str, object], ignored: Mapping[str, str]) -> Comparison:
    """Compare every key of ``expect`` but those that are ``ignored``.

    A refusal is an answer: where one side has ``error`` and the other has not, they differ.
    """
    result = Comparison()
    if expect and ("error" in answer) != ("error" in expect):
        result.compared.append("error")
        result.differ("error", expect.get("error", "no error"), answer.get("error", "no error"))
        return result
    for key, expected in expect.items():
        if key in answer:
            _compare(key, answer[key], expected, result)
            if not isinstance(answer[key], Open | Tied):
                result.compared.append(key)
        elif key not in ignored:
            result.uncovered.append(key)
    return result


def _compare(key: str, answer: object, expected: object, out: Comparison) -> None:
    match answer:
        case Open():
            out.leave_open(key, answer.why)
        case Chosen():
            out.readings.append(f"{key}: {answer.reading}")
            _compare(key, answer.value, expected, out)
        case OneOf():
            _compare_one_of(key, answer, expected, out)
        case Tied():
            _compare_tied(key, answer, expected, out)
        case Printed() | Near():
            _compare_rounded(key, answer, expected, out)
        case bool() | str():
            if type(expected) is not type(answer) or expected != answer:
                out.differ(key, expected, answer)
        case int() | Fraction():
            _compare_number(key, Fraction(answer), expected, out)
        case Mapping():
            _compare_mapping(key, answer, expected, out)
        case Sequence():
            _compare_list(key, answer, expected, out)
        case _:
            raise TypeError(f"{key}: a solver answered {answer!r}")


def _number(value: object) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return exact(str(value).removeprefix("~"))


def _compare_number(key: str, answer: Fraction, expected: object, out: Comparison) -> None:
    if isinstance(expected, str) and expected.startswith("~"):
        _compare_rounded(key, Printed(answer), expected, out)
    elif answer != _number(expected):
        out.differ(key, expected, answer)


def _compare_rounded(key: str, answer: Printed | Near, expected: object, out: Comparison) -> None:
    stated = _number(expected)
    decimals = printed_decimals(str(expected).removeprefix("~"))
    if isinstance(answer, Near):
        tolerance = answer.tolerance
    else:
        tolerance = Fraction(1, 2 * 10**decimals) if decimals is not None else Fraction(0)
    if stated is None or abs(answer.value - stated) > tolerance:
        out.differ(key, expected, answer.value)
    elif answer.value != stated:
        what = f"within {spelled(tolerance)}" if isinstance(answer, Near) else f"at the {decimals} decimals printed"
        out.precision.append(f"{key}: {expected} {what}; exactly {_readable(answer.value)}")


def _readable(number: Fraction) -> str:
    text = spelled(number)
    if "/" not in text:
        return text
    cut = spelled(Fraction(int(number * 10**READABLE_DECIMALS), 10**READABLE_DECIMALS))
    return f"{cut}..."


def _compare_mapping(key: str, answer: Mapping[str, object], expected: object, out: Comparison) -> None:
    if not isinstance(expected, Mapping) or (isinstance(answer, ById) and set(answer) != set(expected)):
        out.differ(key, expected, answer)
        return
    if answer and not expected:
        out.uncovered.append(key)  # an object without fields would agree with any
    for name, value in expected.items():
        if name in answer:
            _compare(f"{key}.{name}", answer[name], value, out)
        else:
            out.uncovered.append(f"{key}.{name}")


def _compare_list(key: str, answer: Sequence[object], expected: object, out: Comparison) -> None:
    if not isinstance(expected, Sequence) or isinstance(expected, str) or len(expected) != len(answer):
        out.differ(key, expected, answer)
        return
    for index, (computed, value) in enumerate(zip(answer, expected, strict=True)):
        _compare(f"{key}[{index}]", computed, value, out)


def _compare_one_of(key: str, answer: OneOf, expected: object, out: Comparison) -> None:
    for name, value in answer.values.items():
        trial = Comparison()
        _compare(key, value, expected, trial)
        if not (trial.differences or trial.uncovered or trial.open):
            out.readings.append(f"{key}: {answer.why}; {name} explains the source's numbers")
            out.precision.extend(trial.precision)
            return
    out.differ(key, expected, dict(answer.values))


def _compare_tied(key: str, answer: Tied, expected: object, out: Comparison) -> None:
    left = list(expected) if isinstance(expected, Sequence) and not isinstance(expected, str) else []
    for group in answer.groups:
        head, left = left[: len(group)], left[len(group) :]
        if sorted(map(shown, head)) != sorted(map(shown, group)):
            out.differ(key, expected, [list(group) for group in answer.groups])
            return
    if left:
        out.differ(key, expected, [list(group) for group in answer.groups])
    else:
        out.leave_open(key, f"agrees as far as given tells, up to the ties in {shown(answer.groups)}; {answer.why}")


def shown(value: object) -> str:
    """Return a value as text for people, numbers exact."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | Fraction():
            return spelled(value)
        case Printed() | Near() | Chosen():
            return shown(value.value)
        case Mapping():
            return "{" + ", ".join(f"{key}: {shown(inner)}" for key, inner in value.items()) + "}"
        case Sequence() if not isinstance(value, str):
            return "[" + ", ".join(map(shown, value)) + "]"
        case _:
            return str(value)
