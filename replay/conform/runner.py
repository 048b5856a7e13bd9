"""Running vectors: the solver of a venue and kind answers from ``given`` alone, then the answer is compared with ``expect``.

Where a preset decides what a vector states, a solver carries the preset out: by ``plan`` on a small ledger made of ``given``,
by its trigger, key, lights or fill, or by the engine. ``Result.through`` says what ran.

A solver is a function from ``Given`` to an answer. It is chosen by the file's venue and the vector's kind, and is handed
nothing but ``given``: no name, source or note, and never ``expect``.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from events.errors import NumberError
from replay.conform import (
    bybit,
    drift_v2,
    dydx_v1,
    dydx_v4,
    gmx_v2,
    mango_v4,
    metaflux,
    paradex,
    percolator,
    perennial_v2,
    queues,
    research,
    unwinds,
)
from replay.conform.answers import Comparison, Difference, Solved, compare
from replay.conform.given import Given, InapplicableError
from replay.conform.notes import NOT_COMPARED, READINGS
from replay.conform.vectors import Vector, read_folder

__all__ = ["KINDS", "VENUES", "Result", "Status", "conform", "judge"]

Solver = Callable[[Given], Solved]

# By the words that a file's venue begins with, in lower case.
VENUES: Mapping[str, Mapping[str, Solver]] = {
    "binance": queues.BINANCE,
    "bitmex": queues.BITMEX,
    "bybit": bybit.SOLVERS,
    "coincatch": queues.COINCATCH,
    "drift v2": drift_v2.SOLVERS,
    "dydx v1": dydx_v1.SOLVERS,
    "dydx v4": dydx_v4.SOLVERS,
    "ethereal": unwinds.ETHEREAL,
    "gmx v2": gmx_v2.SOLVERS,
    "kraken": unwinds.KRAKEN,
    "kucoin": queues.KUCOIN,
    "mango v4": mango_v4.SOLVERS,
    "metaflux": metaflux.SOLVERS,
    "okx": unwinds.OKX,
    "paradex": paradex.SOLVERS,
    "percolator": percolator.SOLVERS,
    "perennial v2": perennial_v2.SOLVERS,
    "research": research.SOLVERS,
}
KINDS = frozenset(kind for solvers in VENUES.values() for kind in solvers)


class Status(StrEnum):
    """What came of a vector."""

    PASS = "pass"  # noqa: S105  not a secret
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"


class Result(Struct, frozen=True):
    """What came of one vector.

    ``through`` says what ran for the answer, empty where nothing answered. ``reason`` says why it is not applicable.
    ``compared`` are the keys of ``expect`` whose value was computed; ``not_compared`` are the others and why. ``readings`` say
    which of a source's two numbers was taken; ``precision`` where a number was compared at less than full precision.
    """

    file: str
    name: str
    kind: str
    status: Status
    reason: str = ""
    compared: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    readings: tuple[str, ...] = ()
    precision: tuple[str, ...] = ()
    not_compared: Mapping[str, str] = {}
    through: str = ""


def conform(folder: Path) -> list[Result]:
    """Run every vector of a folder. Errors are those of ``vectors.read_folder``."""
    return [judge(vector) for vector in read_folder(folder)]


def _venue(name: str) -> str:
    """Return the key of ``VENUES`` that a venue's name begins with, or its own words where none does."""
    words = "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()
    return next((venue for venue in VENUES if words[: len(venue.split())] == venue.split()), " ".join(words))


def judge(vector: Vector) -> Result:
    """Run one vector. A solver that cannot answer makes it not applicable, and so does a field that no solver asked for."""
    try:
        solved = _solve(vector.venue, vector.kind, vector.given)
    except InapplicableError as error:
        return Result(vector.file, vector.name, vector.kind, Status.NOT_APPLICABLE, str(error))
    ignored = NOT_COMPARED.get(_venue(vector.venue), {})
    return _result(vector, solved.through, compare(solved.answer, vector.expect, ignored), ignored)


def _solve(venue: str, kind: str, fields: Mapping[str, object]) -> Solved:
    if kind not in KINDS:
        raise InapplicableError(f"unknown kind {kind!r}")
    rules = VENUES.get(_venue(venue))
    if rules is None:
        raise InapplicableError(f"no rules of a venue {venue!r}")
    if kind not in rules:
        raise InapplicableError(f"no rule of {_venue(venue)} for kind {kind!r}")
    given = Given(fields)
    try:
        solved = rules[kind](given)
    except (ArithmeticError, NumberError) as error:
        raise InapplicableError(f"the rule has no answer on these numbers: {error}") from error
    unread = given.unread()
    if unread:
        raise InapplicableError(f"fields that the rule does not know: {', '.join(unread)}")
    return solved


def _result(vector: Vector, through: str, made: Comparison, ignored: Mapping[str, str]) -> Result:
    reasons = [f"no rule computes {', '.join(made.uncovered)} from given"] if made.uncovered else []
    reasons += [f"{', '.join(keys)}: {why}" for why, keys in made.open.items()]
    if not made.compared and not reasons:
        reasons.append("expect has nothing that is compared")
    status = Status.FAIL if made.differences else Status.NOT_APPLICABLE if reasons else Status.PASS
    if status is Status.NOT_APPLICABLE and made.compared:
        reasons.append(f"what could be compared agrees: {', '.join(made.compared)}")
    slips = [READINGS[vector.name]] if vector.name in READINGS else []
    return Result(
        vector.file,
        vector.name,
        vector.kind,
        status,
        "; ".join(reasons) if status is Status.NOT_APPLICABLE else "",
        tuple(made.compared),
        tuple(made.differences),
        tuple(made.readings + slips),
        tuple(made.precision),
        {key: why for key, why in ignored.items() if key in vector.expect and key not in made.compared},
        through,
    )
