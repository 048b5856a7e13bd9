"""What a vector gives, read field by field, with a note of what was read.

A solver sees nothing of a vector but this. What it never asks for is named afterwards by ``unread``: a field that the solver
does not know might change the answer, so such a vector is not applicable to it.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from replay.conform.numbers import exact

__all__ = ["Given", "InapplicableError", "signed_size", "unique_ids"]


class InapplicableError(Exception):
    """The solver cannot answer from what is given. The message is the reason, for people."""


class Given:
    """One object of a vector's ``given``. Every read that finds something else than it needs is an InapplicableError."""

    def __init__(self, fields: Mapping[str, object], path: str = "given", read: set[str] | None = None) -> None:
        self._fields = fields
        self._path = path
        self._read: set[str] = set() if read is None else read

    def __contains__(self, key: str) -> bool:
        return key in self._fields

    def keys(self) -> list[str]:
        """Return the names of the fields, in the order given."""
        return list(self._fields)

    def _take(self, key: str) -> object:
        if key not in self._fields:
            raise InapplicableError(f"{self._path} has no {key}")
        self._read.add(f"{self._path}.{key}")
        return self._fields[key]

    def _wrong(self, key: str, what: str) -> InapplicableError:
        return InapplicableError(f"{self._path}.{key} is not {what}")

    def sub(self, key: str) -> "Given":
        """Return an object; one that is absent is empty."""
        value = self._fields.get(key, {})
        if not isinstance(value, Mapping):
            raise self._wrong(key, "an object")
        return Given(value, f"{self._path}.{key}", self._read)

    def rows(self, key: str) -> list["Given"]:
        """Return a list of objects; one that is absent is empty."""
        value = self._fields.get(key, [])
        if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(row, Mapping) for row in value):
            raise self._wrong(key, "a list of objects")
        return [Given(row, f"{self._path}.{key}[{index}]", self._read) for index, row in enumerate(value)]

    def row(self, key: str) -> "Given":
        """Return the only object of a list."""
        rows = self.rows(key)
        if len(rows) != 1:
            raise InapplicableError(f"{self._path}.{key} has {len(rows)} entries where the rule is for one")
        return rows[0]

    def texts(self, key: str) -> list[str]:
        """Return a list of texts."""
        value = self._take(key)
        if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, "a list of texts")
        return [str(item) for item in value]

    def text(self, key: str) -> str:
        """Return a text."""
        value = self._take(key)
        if not isinstance(value, str):
            raise self._wrong(key, "a text")
        return value

    def choice(self, key: str, *known: str) -> str:
        """Return a text that is one of ``known``: what names a rule is not prose, and another name is another rule."""
        value = self.text(key)
        if value not in known:
            raise InapplicableError(
                f"{self._path}.{key} is {value!r}, and the rule known here is {' or '.join(map(repr, known))}"
            )
        return value

    def number(self, key: str) -> Fraction:
        """Return an exact number."""
        value = self._take(key)
        number = exact(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
        if number is None:
            raise self._wrong(key, "a plain number")
        return number

    def number_or(self, key: str, default: int) -> Fraction:
        """Return an exact number, ``default`` where it is absent."""
        return self.number(key) if key in self else Fraction(default)

    def whole(self, key: str) -> int:
        """Return a whole number."""
        value = self.number(key)
        if value.denominator != 1:
            raise self._wrong(key, "a whole number")
        return value.numerator

    def flag(self, key: str) -> bool:
        """Return a truth value."""
        value = self._take(key)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def units(self, key: str, unit_key: str, scale: int) -> int:
        """Return an amount in whole units, from ``unit_key`` or ``key`` * ``scale``. Where both are given they must agree."""
        if unit_key not in self:
            amount = self.number(key) * scale
            if amount.denominator != 1:
                raise self._wrong(key, f"a whole number of 1/{scale}")
            return amount.numerator
        value = self.whole(unit_key)
        if key in self and self.number(key) * scale != value:
            raise InapplicableError(f"{self._path}: {key} and {unit_key} are not the same amount")
        return value

    def leave(self, *keys: str) -> None:
        """Pass over fields that do not bear on the answer: restated, or about a later step."""
        self._read.update(f"{self._path}.{key}" for key in keys)

    def unread(self) -> list[str]:
        """Return the paths of the fields below this object that nobody has asked for, in order."""
        return [path for path in _leaves(self._fields, self._path) if not self._was_read(path)]

    def _was_read(self, path: str) -> bool:
        # Who has read or passed over a list or an object has dealt with all in it.
        ends = [index for index, letter in enumerate(path) if letter in ".["]
        return any(path[:end] in self._read for end in [*ends, len(path)])


def _leaves(value: object, path: str) -> list[str]:
    if isinstance(value, Mapping):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, f"{path}.{key}")]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [leaf for index, inner in enumerate(value) for leaf in _leaves(inner, f"{path}[{index}]")]
    return [path]


def signed_size(row: Given) -> Fraction:
    """Return a position's size with its sign, from a signed ``size`` or from ``side`` (long, short) and ``size``."""
    size = row.number("size")
    if "side" not in row:
        return size
    side = row.choice("side", "long", "short")
    if size < 0:
        raise InapplicableError("a position has both a side and a negative size")
    return size if side == "long" else -size


def unique_ids(rows: Sequence[Given]) -> list[str]:
    """Return the ids of accounts, which must differ."""
    ids = [row.text("id") for row in rows]
    if len(set(ids)) < len(ids):
        raise InapplicableError("two accounts have the same id")
    return ids
