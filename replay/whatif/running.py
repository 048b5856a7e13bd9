"""Running a closed loop on a ledger file: the other ledger, written whole or not at all, and what the two have to say."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from events.errors import InternalError, MisuseError
from events.model import AnyEvent, LedgerOpened
from ledger.store import BATCH_EVENTS, Ledger, create, log_digest, open_ledger
from replay.core.policy import Ratio
from replay.deficits import Register, register
from replay.fold import Progress, stored, watched
from replay.whatif.change import UNCHANGED, Change
from replay.whatif.closed_loop import ClosedLoop, Tallies
from replay.whatif.forced import Key
from replay.whatif.metrics import RESIDUAL, Value
from replay.whatif.open_loop import OpenLoop, recorded
from replay.whatif.survey import Survey, survey

__all__ = ["Calibration", "ClosedRun", "closed_run"]


class Calibration(Struct, frozen=True):
    """How much of what the record forced the engine decides alike when nothing is changed, by type: recorded and reproduced.

    Where not all of it is, the engine is not the venue, and what a change does is what it does to the engine's run.
    """

    recorded: Counter[str]
    reproduced: Counter[str]
    parted: int

    @property
    def whole(self) -> bool:
        """Whether the unchanged run ends as the record does, with every forced event reproduced."""
        return self.recorded == self.reproduced and not self.parted


class ClosedRun(Struct, frozen=True):
    """A closed loop that was run. ``before`` and ``after`` are the records of the two ledgers, each a loop of one column.

    In these what is left of deficits is what the register of the ledger says of its users.
    ``reproduced`` counts the recorded forced events that are in the other ledger too, by type.
    """

    known: Survey
    tallies: Tallies
    reproduced: Counter[str]
    calibration: Calibration
    before: OpenLoop
    after: OpenLoop
    deficits_before: Register
    deficits_after: Register
    log_digest: bytes


def closed_run(
    ledger: Ledger, target: Path, change: Change, *, since: int | None = None, progress: Progress | None = None
) -> ClosedRun:
    """Carry the record on under ``change`` from seq ``since``, by default its first forced event, into a new ledger.

    Raises ``MisuseError`` when something is at ``target`` already, when nothing was forced from there on, or when the record
    lacks what the engine needs; then no file was made.
    """
    if target.resolve() == ledger.path.resolve():
        raise MisuseError("a what-if is never written over its record.", file=str(target), cure="Give --output another name.")
    if os.path.lexists(target):
        raise MisuseError("something is at this path already.", file=str(target), cure="Choose another path for the what-if.")
    if not target.resolve().parent.is_dir():
        raise MisuseError("the folder of this path is not there.", file=str(target), cure="Make it, or choose another path.")

    def log() -> Iterator[tuple[int, AnyEvent]]:
        return watched(ledger, progress)

    with stored(ledger):
        known = survey(log(), since)
    origin = log_digest(ledger).hex()
    unchanged = ClosedLoop(log(), known, UNCHANGED, origin)
    for _ in unchanged.events():
        pass
    loop = ClosedLoop(log(), known, change, origin)
    _write(target, loop.events())
    with open_ledger(target) as other:
        registers = register(log()), register(other.events())
        return ClosedRun(
            known=known,
            tallies=loop.tallies,
            reproduced=_by_type(loop.tallies.decided_keys & known.forced),
            calibration=_calibration(known, unchanged.tallies),
            before=_with_left(recorded(log), registers[0]),
            after=_with_left(recorded(other.events), registers[1]),
            deficits_before=registers[0],
            deficits_after=registers[1],
            log_digest=log_digest(other),
        )


def _with_left(loop: OpenLoop, found: Register) -> OpenLoop:
    """Return the record's column with what is left at the end of the log, as there need be no round that shows it."""
    cash = found.users.left_cash + found.venue.left_cash
    left = Value(None, ("equity of an account",)) if found.undecided else Value(Ratio(cash, 1))
    column = loop.columns[0]
    return replace(loop, columns=(replace(column, metrics=column.metrics | {RESIDUAL: left}),))


def _calibration(known: Survey, tallies: Tallies) -> Calibration:
    return Calibration(_by_type(known.forced), _by_type(tallies.decided_keys & known.forced), tallies.parted)


def _by_type(keys: Counter[Key]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for key, count in keys.items():
        counts[str(key[0])] += count
    return counts


def _write(target: Path, events: Iterable[AnyEvent]) -> None:
    """Write a ledger beside its place and link it into that when it is whole."""
    todo = iter(events)
    opened = next(todo)
    if not isinstance(opened, LedgerOpened):
        raise InternalError("a what-if does not begin with LedgerOpened.")
    with tempfile.TemporaryDirectory(prefix=".adl-whatif-", dir=target.parent) as room:
        made = Path(room) / "ledger"
        create(made, opened)
        with open_ledger(made, write=True) as ledger:
            for _ in islice(todo, ledger.head - 1):
                pass  # the reserved accounts, which are there already
            while batch := list(islice(todo, BATCH_EVENTS)):
                ledger.append(batch, expected_head=ledger.head)
        try:
            os.link(made, target)
        except FileExistsError:
            raise MisuseError("something came to this path meanwhile.", file=str(target), cure="Choose another path.") from None
