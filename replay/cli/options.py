"""Options that several verbs share, and how a point of the record is named."""

from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from events.errors import MisuseError, NumberError
from events.times import parse_utc
from ledger.store import Ledger

__all__ = ["DEFAULT_LEDGER", "AsJson", "LedgerPath", "seq_of"]

DEFAULT_LEDGER = Path("ledger.adl")

LedgerPath: TypeAlias = Annotated[Path, Parameter(name=["--ledger", "-l"], help="The ledger file.")]
AsJson: TypeAlias = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document; its keys are stable.")]


def seq_of(ledger: Ledger, point: str | None, *, default: int) -> int:
    """Return the sequence number that ``point`` names: a number, or a UTC time.

    A time means the last event before the first one that is later than it. Raises ``MisuseError`` for anything else, and for
    a number outside the ledger.
    """
    if point is None:
        return default
    if point.isascii() and point.isdigit():
        seq = int(point)
        if seq > ledger.head:
            raise MisuseError(f"there is no seq {seq}.", cure=f"The ledger ends at seq {ledger.head}.")
        return seq
    try:
        return ledger.seq_at(parse_utc(point))
    except NumberError as error:
        raise MisuseError(
            f"{point!r} is neither a sequence number nor a UTC time.",
            cure="Write a number, or a time like 2025-10-10T21:16:04.831Z.",
        ) from error
