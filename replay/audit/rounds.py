"""What is on record of each ADL round: its opening event, its closes or charges, and when it is over. One pass over a log.

A round is its AdlRound, the AdlCandidates that follow it, and every AdlClose that names it. Where a rule moves only money, the
round's charges are transfers of a socialised loss to its loser whose reference is ``round N``. A round is over when an event
follows that is none of these.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from events.model import AdlCandidates, AdlClose, AdlRound, AnyEvent, Reason, Transfer
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, State

__all__ = [
    "Began",
    "Charge",
    "Close",
    "Met",
    "RoundRecord",
    "add_part",
    "charge_reference",
    "charged_round",
    "merged",
    "read_rounds",
]

_SOCIALISED = Reason.SOCIALISED_LOSS
_REFERENCE = "round "
_DIGITS_MAX = 18  # more than any id has


class Close(Struct):
    """A recorded close with the winner's position just before it: ``before`` and ``cost`` are None where not known.

    ``notional`` is what was closed, at the close's own price, in money units.
    """

    seq: int
    event: AdlClose
    before: int | None
    cost: int | None
    notional: int


class Charge(Struct):
    """A recorded payment of a round that moves only money: ``cash`` from ``payer`` to the loser."""

    seq: int
    payer: int
    cash: int


class RoundRecord(Struct):
    """A round as recorded. ``over`` says whether another event has followed the round's own."""

    seq: int
    event: AdlRound
    closes: list[Close] = []
    charges: list[Charge] = []
    over: bool = False

    @property
    def last_seq(self) -> int:
        """The seq of the round's last close or charge, of the round itself where it has none."""
        parts = self.closes or self.charges
        return parts[-1].seq if parts else self.seq


Began: TypeAlias = Callable[[State, RoundRecord], None]
"""Called once for each round, with the state just before its first close or charge. Nothing of the round has moved anything."""

Met: TypeAlias = Callable[[State, RoundRecord, AdlClose], None]
"""Called with the state just before each close."""


def charge_reference(round: int) -> str:  # noqa: A002  the field's own word
    """Return the reference of the transfers that are the charges of a round."""
    return f"{_REFERENCE}{round}"


def read_rounds(
    events: Iterable[tuple[int, AnyEvent]], state: State, began: Began, met: Met | None = None
) -> list[RoundRecord]:
    """Replay ``events``, a log from seq 1 on, into ``state``, which is empty, and return its rounds in their order.

    Raises ``ReducerError`` for an event that cannot be applied.
    """
    rounds: list[RoundRecord] = []
    waiting = False  # for the candidates of the last round
    for seq, event in events:
        if rounds and not rounds[-1].over:
            listed = isinstance(event, AdlCandidates) and event.round == rounds[-1].event.round
            if waiting and not listed:
                began(state, rounds[-1])
                waiting = False
            rounds[-1].over = not listed and not _is_part(event, rounds[-1].event)
        if isinstance(event, AdlClose):
            if met is not None and event.round < len(rounds):
                met(state, rounds[event.round], event)
            before, cost = _position(state, event)
            evolve(state, event, seq)
            worth = margin.market_value(state.markets[event.market], event.size, event.price)
            rounds[event.round].closes.append(Close(seq, event, before, cost, abs(worth)))
            continue
        evolve(state, event, seq)
        if isinstance(event, AdlRound):
            rounds.append(RoundRecord(seq, event))
            waiting = True
        elif isinstance(event, Transfer) and (number := charged_round(event)) is not None and number < len(rounds):
            add_part(rounds[number], event, seq)
    if waiting:
        began(state, rounds[-1])
    return rounds


def _is_part(event: AnyEvent, opened: AdlRound) -> bool:
    """Return whether an event is one of the round's closes or charges."""
    if isinstance(event, AdlClose):
        return event.round == opened.round
    return isinstance(event, Transfer) and charged_round(event) == opened.round and event.payee == opened.loser


def charged_round(event: Transfer) -> int | None:
    """Return the round that a payment names as a charge of it, None where it names none."""
    text = (event.reference or "").removeprefix(_REFERENCE)
    named = event.reason is _SOCIALISED and text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
    return int(text) if named and event.reference == charge_reference(int(text)) else None


def add_part(record: RoundRecord, event: AnyEvent, seq: int) -> None:
    """Add an event to the record of a round if it is one of its closes or charges, without the position before it."""
    if not _is_part(event, record.event):
        return
    if isinstance(event, AdlClose):
        record.closes.append(Close(seq, event, None, None, 0))
    elif isinstance(event, Transfer):
        record.charges.append(Charge(seq, event.payer, event.cash))


def _position(state: State, event: AdlClose) -> tuple[int | None, int | None]:
    """Return the size and cost of the winner's position, each None where the record does not show it."""
    # An event that names no market or account on record is refused by ``evolve``, right after.
    held = state.positions[event.market].get(event.winner) if event.market < len(state.positions) else None
    if held is None:
        known = event.winner < len(state.cash_known) and state.cash_known[event.winner]
        return (0, 0) if known else (None, None)
    if held.unknown & SIZE_UNKNOWN:
        return None, None
    return held.size, None if held.unknown & ENTRY_UNKNOWN else held.cost


def merged(recorded: list[Close]) -> list[Close]:
    """Return the closes with those in a row of one winner at one price as one, which stands at the seq of the first.

    A venue may fill one close in several trades.
    """
    whole: list[Close] = []
    for close in recorded:
        first = whole[-1] if whole else None
        if first and (first.event.winner, first.event.price) == (close.event.winner, close.event.price):
            event = replace(first.event, size=first.event.size + close.event.size)
            whole[-1] = replace(first, event=event, notional=first.notional + close.notional)
        else:
            whole.append(close)
    return whole
