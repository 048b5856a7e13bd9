"""What a query answers: figures, each with its definition, and tables. The same objects make the page and the JSON.

A figure says what it is (definition id), in which unit, from which events it was computed, and on which ground:

- ``record``: read off or summed from recorded facts alone; marks and balances in force count as recorded.
- ``claim``: what the venue states of itself and what moves no money.
- ``reconstruction``: it needs something that no event states: equity, requirement, entry, a policy's plan.

What the record does not decide has no value and names what is missing. A sum over many that leaves some out says how many.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from msgspec import Struct

from events.units import div_half_even, format_units
from replay.core.state import State
from replay.queries.scope import Scope, Span
from replay.views import cash_text

__all__ = [
    "CLAIM",
    "RECONSTRUCTION",
    "RECORD",
    "Answer",
    "Cell",
    "Figure",
    "Ground",
    "Sheet",
    "Table",
    "answer_view",
    "partly",
    "ratio_text",
]

RECORD = "record"
CLAIM = "claim"
RECONSTRUCTION = "reconstruction"

Cell: TypeAlias = str | int | None

BPS = 10_000
BPS_DECIMALS = 2
RATIO_DECIMALS = 4


class Figure(Struct, frozen=True):
    """One number. ``value`` is decimal text, rounded once at most; None where undecidable, and then ``missing`` says why.

    ``left_out`` counts what the value does not cover because of what is missing.
    """

    id: str
    label: str
    value: str | None
    unit: str
    basis: str
    first_seq: int
    last_seq: int
    missing: tuple[str, ...] = ()
    left_out: int = 0


class Table(Struct, frozen=True):
    """Rows of cells: decimal text, counts and seqs as integers, None for what is not known. Columns are JSON keys.

    ``drop`` names the columns that give way first on a narrow screen.
    """

    id: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    basis: str
    first_seq: int
    last_seq: int
    drop: tuple[str, ...] = ()


class Answer(Struct, frozen=True):
    """The answer to one question. ``command`` is what to run where another verb says more."""

    figures: tuple[Figure, ...]
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    command: str | None = None


class Ground(NamedTuple):
    """On what a figure stands: its basis and its span, by default the whole window, and what it does not cover and why.

    ``blind`` says that nothing of it is decidable.
    """

    basis: str
    span: Span | None = None
    missing: tuple[str, ...] = ()
    left_out: int = 0
    blind: bool = False


def partly(basis: str, span: Span | None, decided: int, of: int, missing: Iterable[str]) -> Ground:
    """Return the ground of a figure that covers ``decided`` of ``of`` things, the others because of what is ``missing``."""
    left_out = of - decided
    return Ground(basis, span, tuple(sorted(set(missing))) if left_out else (), left_out, left_out > 0 and decided == 0)


class Sheet:
    """An answer in the making. Names of figures and tables are what follows the id of the query, ``Q07.``."""

    def __init__(self, query: str, state: State, scope: Scope) -> None:
        self._query = query
        self._state = state
        self._scope = scope
        self._figures: list[Figure] = []
        self._tables: list[Table] = []
        self._notes: list[str] = []

    def _figure(self, name: str, label: str, value: str | None, unit: str, on: Ground) -> None:
        first, last = self._range(on.span)
        told = None if on.blind else value
        lacks = (on.basis, first, last, on.missing, on.left_out)
        self._figures.append(Figure(f"{self._query}.{name}", label, told, unit, *lacks))

    def count(self, name: str, label: str, value: int, unit: str, on: Ground) -> None:
        """Add a number of things, or of nanoseconds."""
        self._figure(name, label, str(value), unit, on)

    def cash(self, name: str, label: str, value: int, on: Ground) -> None:
        """Add an amount of money."""
        currency = self._state.opened.currency if self._state.opened else ""
        self._figure(name, label, cash_text(self._state, value), currency, on)

    def bps(self, name: str, label: str, top: int, bottom: int, on: Ground) -> None:
        """Add ``top / bottom`` in basis points; undecidable where ``bottom`` is 0."""
        self._fraction(name, label, (top * BPS, bottom, BPS_DECIMALS), "bps", on)

    def ratio(self, name: str, label: str, top: int, bottom: int, on: Ground) -> None:
        """Add ``top / bottom`` as a fraction of one; undecidable where ``bottom`` is 0."""
        self._fraction(name, label, (top, bottom, RATIO_DECIMALS), "ratio", on)

    def _fraction(self, name: str, label: str, parts: tuple[int, int, int], unit: str, on: Ground) -> None:
        top, bottom, decimals = parts
        if bottom:
            self._figure(name, label, ratio_text(top, bottom, decimals), unit, on)
        else:
            self._figure(name, label, None, unit, on._replace(missing=on.missing or ("amount to divide by",)))

    def lacks(self, name: str, label: str, *missing: str) -> Answer:
        """Add a figure that cannot be told at all, and return the answer that ends with it."""
        self._figure(name, label, None, "", Ground(RECORD, None, missing))
        return self.answer()

    def table(
        self,
        name: str,
        title: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[Cell]],
        on: Ground,
        *,
        drop: Sequence[str] = (),
    ) -> None:
        """Add a table, unless it has no rows."""
        first, last = self._range(on.span)
        cells = tuple(tuple(row) for row in rows)
        if cells:
            self._tables.append(
                Table(f"{self._query}.{name}", title, tuple(columns), cells, on.basis, first, last, tuple(drop))
            )

    def note(self, text: str) -> None:
        """Add a sentence that the reader must know."""
        self._notes.append(text)

    def answer(self, command: str | None = None) -> Answer:
        """Return the whole."""
        return Answer(tuple(self._figures), tuple(self._tables), tuple(self._notes), command)

    def _range(self, span: Span | None) -> tuple[int, int]:
        return (span.first, span.last) if span is not None and span.first else (self._scope.first, self._scope.last)


def ratio_text(top: int, bottom: int, decimals: int = RATIO_DECIMALS) -> str:
    """Return ``top / bottom`` as decimal text, rounded once, half to even, with all its decimals."""
    text = format_units(div_half_even(top * 10**decimals, bottom), decimals)
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction:0<{decimals}}"


def answer_view(answer: Answer) -> dict[str, Any]:
    """Return an answer as JSON says it: figures as they are, the rows of a table by the names of its columns."""
    return {
        "undecidable": all(figure.value is None for figure in answer.figures),
        "command": answer.command,
        "figures": [
            {
                "id": figure.id,
                "label": figure.label,
                "value": figure.value,
                "unit": figure.unit,
                "basis": figure.basis,
                "first_seq": figure.first_seq,
                "last_seq": figure.last_seq,
                "missing": list(figure.missing),
                "left_out": figure.left_out,
            }
            for figure in answer.figures
        ],
        "tables": [
            {
                "id": table.id,
                "title": table.title,
                "basis": table.basis,
                "first_seq": table.first_seq,
                "last_seq": table.last_seq,
                "rows": [dict(zip(table.columns, row, strict=True)) for row in table.rows],
            }
            for table in answer.tables
        ],
        "notes": list(answer.notes),
    }
