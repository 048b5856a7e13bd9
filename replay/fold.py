"""The fold: a ledger's events, in order, through the reducer."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from events.errors import MisuseError
from ledger.store import Ledger
from replay.core.evolve import evolve
from replay.core.invariants import Checker, Finding
from replay.core.state import State

__all__ = ["Progress", "check", "replay"]

# Called now and then with the seq reached and the last one.
Progress: TypeAlias = Callable[[int, int], None]

PROGRESS_EVERY = 8_192


def replay(ledger: Ledger, last: int | None = None, *, state: State | None = None, progress: Progress | None = None) -> State:
    """Return the state after the event at ``last``, by default the head. A ``state`` given is carried on from where it is.

    Raises ``ReducerError`` at an event that cannot be applied, ``DamagedError`` at a gap or bytes that are no event, and
    ``MisuseError`` for a ``last`` past the head or before the state.
    """
    state = State() if state is None else state
    end = ledger.head if last is None else last
    if end < state.seq:
        raise MisuseError(f"the state given is past seq {end}.", seq=state.seq, cure="Begin with an earlier state.")
    for seq, event in ledger.events(state.seq + 1, end):
        evolve(state, event, seq)
        if progress is not None and (seq % PROGRESS_EVERY == 0 or seq == end):
            progress(seq, end)
    return state


def check(
    ledger: Ledger, names: Sequence[str] = (), last: int | None = None, *, progress: Progress | None = None
) -> Iterator[Finding]:
    """Replay with the laws of ``names``, by default all, checked after every event; yield what breaks them, in order.

    Raises as ``replay`` does, and ``MisuseError`` for a name that no law has.
    """
    state = State()
    checker = Checker(state, names)
    end = ledger.head if last is None else last
    for seq, event in ledger.events(1, end):
        checker.before(event)
        evolve(state, event, seq)
        yield from checker.after(event, seq)
        if progress is not None and (seq % PROGRESS_EVERY == 0 or seq == end):
            progress(seq, end)
    yield from checker.finish()
