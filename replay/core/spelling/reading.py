"""Small tools to take a policy's text apart, and the exact numbers that stand in it. What is not known raises ``Unknown``."""

from collections.abc import Mapping
from math import gcd
from typing import TypeVar

from events.times import NS_PER_SECOND
from replay.core.policy import Ratio

__all__ = [
    "NUMBER_MAX",
    "Unknown",
    "between",
    "done",
    "find",
    "is_number",
    "parts_of",
    "read_ratio",
    "read_share",
    "read_window",
    "spell_ratio",
    "spell_window",
    "take",
]

_Value = TypeVar("_Value")

NUMBER_MAX = 10**30
"""Numerators, denominators and windows of a policy are below this, so that hostile text makes no huge integers."""

# A percentage of such a number has two digits more; the rest is room for the decimals.
_DIGITS_MAX = 48
_DECIMALS_MAX = 15
_UNITS_NS = {"d": 86_400 * NS_PER_SECOND, "h": 3_600 * NS_PER_SECOND, "m": 60 * NS_PER_SECOND, "s": NS_PER_SECOND, "ns": 1}


class Unknown(Exception):  # noqa: N818  it never leaves this package
    """A text that is not known, and what would be."""

    def __init__(self, what: str, known: str = "") -> None:
        super().__init__(what)
        self.what, self.known = what, known


def find(names: Mapping[_Value, str], text: str) -> _Value:
    """Return the value that is spelled ``text``."""
    for value, name in names.items():
        if name == text:
            return value
    raise Unknown(f"{text!r} is not known", ", ".join(names.values()))


def parts_of(text: str) -> list[str]:
    """Split at each comma and space that stands outside of parentheses."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0 and text[index + 1 : index + 2] == " ":
            parts.append(text[start:index])
            start = index + 2
    return [*parts, text[start:]]


def take(parts: list[str], text: str) -> bool:
    """Take the next part if it is ``text``."""
    if parts and parts[0] == text:
        del parts[0]
        return True
    return False


def between(parts: list[str], head: str, tail: str) -> str | None:
    """Take the next part if it stands between ``head`` and ``tail``; return what is between."""
    if parts and parts[0].startswith(head) and parts[0].endswith(tail) and len(parts[0]) > len(head) + len(tail):
        return parts.pop(0)[len(head) :][: -len(tail) or None]
    return None


def done(parts: list[str], known: str) -> None:
    """Refuse a part that is left."""
    if parts:
        raise Unknown(f"{parts[0]!r} is not known here", known)


def is_number(text: str) -> bool:
    """Return whether ``text`` is a whole number of a sane length."""
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX


def spell_ratio(value: Ratio, *, percent: bool = False) -> str:
    """Return an exact number as decimal text, as a percentage, or as a quotient where its decimals do not end soon."""
    top, bottom = value.numerator * (100 if percent else 1), value.denominator
    common = gcd(top, bottom)
    top, bottom = top // common, bottom // common
    digits = next((digits for digits in range(_DECIMALS_MAX + 1) if 10**digits % bottom == 0), None)
    if digits is None:
        return f"{value.numerator}/{value.denominator}"
    text = f"{abs(top) * 10**digits // bottom:0{digits + 1}}"
    text = f"{text[:-digits]}.{text[-digits:]}" if digits else text
    return f"{'-' if top < 0 else ''}{text}{'%' if percent else ''}"


def read_ratio(text: str) -> Ratio:
    """Return the number that ``text`` spells, in lowest terms."""
    body, scale = (text[:-1], 100) if text.endswith("%") else (text, 1)
    sign, digits = (-1, body[1:]) if body.startswith("-") else (1, body)
    top, slash, bottom = digits.partition("/")
    whole, dot, fraction = top.partition(".")
    parts = [whole, *([fraction] if dot else []), *([bottom] if slash else [])]
    if not all(map(is_number, parts)):
        raise Unknown(f"{text!r} is no number", "a number such as 0, 10000.5, 30% or 1/3")
    numerator = sign * int(whole + fraction)
    denominator = 10 ** len(fraction) * scale * (int(bottom) if slash else 1)
    if denominator == 0:
        raise Unknown(f"{text!r} divides by zero")
    common = gcd(numerator, denominator)
    value = Ratio(numerator // common, denominator // common)
    if max(abs(value.numerator), value.denominator) >= NUMBER_MAX:
        raise Unknown(f"{text!r} is too long a number", "numbers below 10**30")
    return value


def read_share(text: str) -> Ratio:
    """Return a number above 0 and at most 1."""
    value = read_ratio(text)
    if not 0 < value.numerator <= value.denominator:
        raise Unknown(f"{text!r} is no share", "more than 0 and at most 1")
    return value


def spell_window(window_ns: int) -> str:
    """Return a span of time in the largest unit that divides it."""
    unit = next(unit for unit, unit_ns in _UNITS_NS.items() if window_ns % unit_ns == 0)
    return f"{window_ns // _UNITS_NS[unit]}{unit}"


def read_window(text: str) -> int:
    """Return a span of time in nanoseconds."""
    number = text.rstrip("dhmns")
    unit = text[len(number) :]
    if unit not in _UNITS_NS or not is_number(number) or not 0 < int(number) * _UNITS_NS[unit] < NUMBER_MAX:
        raise Unknown(f"{text!r} is no window", "a whole number of d, h, m, s or ns")
    return int(number) * _UNITS_NS[unit]
