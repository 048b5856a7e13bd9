"""What the closes of an ADL round did, whatever the policy was: facts that need none."""

from msgspec import Struct

from replay.audit.rounds import Close, RoundRecord

__all__ = ["Facts", "facts_of"]


class Facts(Struct, frozen=True):
    """What a round's closes did, whatever the policy. A position is the winner's just before the close.

    ``full`` + ``partial`` + ``over_closes`` + ``unknown`` = ``closes``; ``over_closes`` took more than the position or the
    wrong side of it, ``flips`` are those of them that turned it round. ``all_but_last_full`` takes closes in a row of one
    winner at one price as one, and is None where an unknown position leaves it open. ``winners`` are accounts, each once,
    sorted. ``size`` is in size units, ``notional`` in money units at the close prices. ``charges`` are the payments of a round
    that moves only money, and ``charged`` is what they moved, in money units.
    """

    closes: int
    winners: tuple[int, ...]
    full: int
    partial: int
    over_closes: int
    flips: int
    unknown: int
    all_but_last_full: bool | None
    prices: int
    size: int
    notional: int
    charges: int = 0
    charged: int = 0


def facts_of(record: RoundRecord, merged: list[Close]) -> Facts:
    """Return the facts of a round; ``merged`` are its closes with those of one winner in a row as one."""
    recorded = record.closes
    kinds = [_kind(close) for close in recorded]
    but_last = [_kind(close) for close in merged[:-1]]
    undecided = "unknown" in but_last and all(kind in {"full", "unknown"} for kind in but_last)
    return Facts(
        closes=len(recorded),
        winners=tuple(sorted({close.event.winner for close in recorded})),
        full=kinds.count("full"),
        partial=kinds.count("partial"),
        over_closes=kinds.count("over"),
        flips=sum(_flips(close) for close in recorded),
        unknown=kinds.count("unknown"),
        all_but_last_full=None if undecided else all(kind == "full" for kind in but_last),
        prices=len({close.event.price for close in recorded}),
        size=sum(close.event.size for close in recorded),
        notional=sum(close.notional for close in recorded),
        charges=len(record.charges),
        charged=sum(charge.cash for charge in record.charges),
    )


def _reducible(close: Close) -> int:
    """Return how much of the winner's position the close could take on its side, below zero on the wrong side."""
    before = close.before or 0
    return -before if close.event.winner == close.event.buyer else before


def _kind(close: Close) -> str:
    if close.before is None:
        return "unknown"
    reducible = _reducible(close)
    if close.event.size == reducible:
        return "full"
    return "partial" if close.event.size < reducible else "over"


def _flips(close: Close) -> bool:
    return close.before is not None and 0 < _reducible(close) < close.event.size
