"""One table of a scenario's TOML, read key by key: exact numbers, no floats, and no key that is not asked for.

Every error is a ``BadInputError`` that names the file and the key. Amounts and shares are whole numbers or decimal text:
``1000000``, ``"0.05"``, ``"4%"``.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, NoReturn, TypeVar

from events.errors import BadInputError, NumberError
from events.units import parse_units

__all__ = ["FloatText", "Table"]

_Word = TypeVar("_Word", bound=Enum)

_PAIR = 2
_PERCENT_DECIMALS = 2  # a percent is two decimals of a share


class FloatText(str):
    """How a number with a point or an exponent was written in the TOML."""

    __slots__ = ()


class Table:
    """A table by the name ``where``, which is empty for the file itself. ``done`` refuses the keys that nobody asked for."""

    def __init__(self, values: Mapping[str, Any], where: str, file: str) -> None:
        self._values = values
        self._where = where
        self._file = file
        self._asked: dict[str, None] = {}

    def refuse(self, key: str, why: str, cure: str) -> NoReturn:
        """Raise that a key is wrong: ``why`` goes on from its name."""
        name = f"{self._where}.{key}" if self._where else key
        raise BadInputError(f"the key {name} {why}.", cure=cure, file=self._file) from None

    def has(self, key: str) -> bool:
        """Return whether a key is there."""
        return key in self._values

    def holds_table(self, key: str) -> bool:
        """Return whether a key holds a table."""
        return isinstance(self._values.get(key), dict)

    def _take(self, key: str, default: Any) -> Any:
        self._asked[key] = None
        value = self._values.get(key, default)
        if value is None:
            self.refuse(key, "is missing", "docs/scenarios.md says what every key means.")
        if isinstance(value, FloatText):
            self.refuse(key, f"holds the float {value}", f'Write exact numbers as whole ones or as text: "{value}".')
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text that is not empty."""
        value = self._take(key, default)
        if type(value) is not str or (not value and value != default):
            self.refuse(key, "is no text, or an empty one", 'Write it in double quotes, as in "...".')
        return value

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """Return a whole number from ``low`` to ``high``."""
        value = self._take(key, default)
        if type(value) is not int or not low <= value <= high:
            self.refuse(key, f"is no whole number from {low:,} to {high:,}", "Write it without quotes.")
        return value

    def pair(self, key: str, low: int, high: int, default: tuple[int, int] | None = None) -> tuple[int, int]:
        """Return two whole numbers from ``low`` to ``high``, the first not above the second."""
        value = self._take(key, default)
        whole = isinstance(value, Sequence) and all(type(number) is int and low <= number <= high for number in value)
        if not whole or len(value) != _PAIR or value[0] > value[1]:
            self.refuse(key, f"is no pair of whole numbers from {low:,} to {high:,}", "Write it as [1, 8].")
        return value[0], value[1]

    def word(self, key: str, words: type[_Word], default: str | None = None) -> _Word:
        """Return one of the values of an enumeration of texts."""
        value = self._take(key, default)
        found = next((word for word in words if word.value == value), None)
        if found is None:
            self.refuse(key, f"holds {value!r}", f"Known: {', '.join(str(word.value) for word in words)}.")
        return found

    def amount(self, key: str, decimals: int, default: int | None = None, *, zero: bool = False) -> int:
        """Return an exact amount as a count of 10**-decimals, above 0 or, with ``zero``, at least 0."""
        value = self._take(key, default)
        try:
            units = parse_units(str(value), decimals) if type(value) in {int, str} else -1
        except NumberError as error:
            self.refuse(key, f"is no amount: {error.message.rstrip('.')}", f"The grid here is of {decimals} decimals.")
        if units < 0 or (units == 0 and not zero) or units >= 2**62:
            bounds = "at least 0" if zero else "above 0"
            self.refuse(key, f"holds {value!r}, which is no amount {bounds}", 'Write 1000000 or "0.05".')
        return units

    def share(self, key: str, low: int, high: int, default: str | None = None, *, decimals: int = 6) -> int:
        """Return a share written in percent as a count of 10**-decimals, from ``low`` to ``high`` percent."""
        return self.share_of(self._take(key, default), key, low, high, decimals=decimals)

    def share_of(self, value: object, key: str, low: int, high: int, *, decimals: int = 6) -> int:
        """Return a share that stands somewhere in the value of a key, as ``share`` does."""
        cure = f'Write a percentage from {low} to {high:,} as text, as in "4%" or "-0.05%".'
        if not isinstance(value, str) or not value.endswith("%"):
            self.refuse(key, f"holds {value!r}, which is no percentage", cure)
        try:
            units = parse_units(value[:-1].removeprefix("+"), decimals - _PERCENT_DECIMALS)
        except NumberError as error:
            self.refuse(key, f"is no percentage: {error.message.rstrip('.')}", cure)
        percent: int = 10 ** (decimals - _PERCENT_DECIMALS)
        if not low * percent <= units <= high * percent:
            self.refuse(key, f"holds {value!r}, which is out of range", cure)
        return units

    def table(self, key: str, *, needed: bool = True) -> "Table":
        """Return the table under a key, an empty one where it may be left out."""
        value = self._take(key, None if needed else {})
        if not isinstance(value, dict):
            self.refuse(key, "is no table", f"Write its keys under [{key}].")
        return Table(value, f"{self._where}.{key}" if self._where else key, self._file)

    def tables(self, key: str, least: int, most: int) -> list["Table"]:
        """Return the tables of a list of ``least`` to ``most``, named by their numbers from 1 on."""
        value = self._take(key, [] if least == 0 else None)
        if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
            self.refuse(key, "is no list of tables", f"Write each of them under [[{key}]].")
        if not least <= len(value) <= most:
            self.refuse(key, f"has {len(value)} entries", f"There are from {least} to {most} of them.")
        return [
            Table(part, f"{self._where}.{key}[{number}]" if self._where else f"{key}[{number}]", self._file)
            for number, part in enumerate(value, 1)
        ]

    def pairs(self, key: str) -> list[tuple[Any, Any]]:
        """Return a list of pairs as it is."""
        value = self._take(key, None)
        if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == _PAIR for pair in value) or not value:
            self.refuse(key, "is no list of points", 'Write it as [[0, "0%"], [60, "-5%"]].')
        return [(first, second) for first, second in value]

    def names(self) -> list[str]:
        """Return the keys of a table whose keys are names."""
        return list(self._values)

    def done(self) -> None:
        """Refuse the keys that nobody asked for."""
        for key in self._values:
            if key not in self._asked:
                self.refuse(key, "is not known", f"Known here: {', '.join(sorted(self._asked))}.")
