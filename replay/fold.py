"""The fold: a ledger's events, in order, through the reducer."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from events.errors import BadInputError, DamagedError, MisuseError
from events.model import AnyEvent
from ledger.store import Ledger
from replay.core.evolve import evolve, evolve_all
from replay.core.invariants import Checker, Finding
from replay.core.state import State

__all__ = ["Progress", "check", "guard", "replay", "stored", "watched"]

# Called now and then with the seq reached and the last one.
Progress: TypeAlias = Callable[[int, int], None]

PROGRESS_EVERY = 8_192


def watched(
    ledger: Ledger, progress: Progress | None, first: int = 1, last: int | None = None
) -> Iterator[tuple[int, AnyEvent]]:
    """Yield the events of a ledger with their seqs, telling ``progress`` how far the reader has come, and when it ends."""
    end = ledger.head if last is None else last
    for seq, event in ledger.events(first, end):
        yield seq, event
        if progress is not None and (seq % PROGRESS_EVERY == 0 or seq == end):
            progress(seq, end)


@contextmanager
def stored(ledger: Ledger) -> Iterator[None]:
    """Call by its name what cannot be applied although it is stored: what was recorded could be, so the file has changed."""
    try:
        yield
    except BadInputError as error:
        raise DamagedError(
            f"this stored event cannot follow those before it: {error.message}",
            cure="Compare the log digest that `adl verify` prints with one kept elsewhere, and restore the file from a copy.",
            seq=error.seq,
            file=str(ledger.path),
        ) from error


def guard() -> Callable[[AnyEvent, int], None]:
    """Return a function that applies each event of a new record to a state of its own, and raises ``ReducerError``.

    It is what ``ledger.importing`` asks before it stores an event, so that no ledger holds what cannot be replayed.
    """
    state = State()
    return lambda event, seq: evolve(state, event, seq)


def replay(ledger: Ledger, last: int | None = None, *, state: State | None = None, progress: Progress | None = None) -> State:
    """Return the state after the event at ``last``, by default the head. A ``state`` given is carried on from where it is.

    Raises ``DamagedError`` at a gap, bytes that are no event, or an event that cannot be applied, and ``MisuseError`` for a
    ``last`` past the head or before the state.
    """
    state = State() if state is None else state
    end = ledger.head if last is None else last
    if end < state.seq:
        raise MisuseError(f"the state given is past seq {end}.", seq=state.seq, cure="Begin with an earlier state.")
    told = state.seq
    for _, events in ledger.event_blocks(state.seq + 1, end):
        with stored(ledger):
            evolve_all(state, events)
        if progress is not None and (state.seq - told >= PROGRESS_EVERY or state.seq == end):
            told = state.seq
            progress(told, end)
    return state


def check(
    ledger: Ledger,
    names: Sequence[str] = (),
    last: int | None = None,
    *,
    state: State | None = None,
    progress: Progress | None = None,
    evaluations: Counter[str] | None = None,
) -> Iterator[Finding]:
    """Replay with the laws of ``names``, by default all, checked after every event; yield what breaks them, in order.

    ``state``, if given, is an empty one, and holds what was replayed. ``evaluations``, if given, is filled when the last
    finding is out: how often each of the laws was evaluated, 0 for a law that the record gave no occasion to. Raises as
    ``replay`` does, and ``MisuseError`` for a name that no law has.
    """
    state = State() if state is None else state
    checker = Checker(state, names)
    for seq, event in watched(ledger, progress, 1, last):
        checker.before(event)
        with stored(ledger):
            evolve(state, event, seq)
        yield from checker.after(event, seq)
    yield from checker.finish()
    if evaluations is not None:
        evaluations.update(checker.evaluations)
