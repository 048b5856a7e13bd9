"""The audit: every ADL round of a ledger against the policy in force, close by close.

One pass. After each AdlRound and the candidates that follow it, a plan is made from the state as it is, and the closes are
compared with it. A round is ``reproduced``, or parts from the plan at a first difference, or is ``undecidable`` because the
record lacks inputs, which are named. A round is over when an event follows that is not its own. A log that ends before leaves
it ``open`` where what is on record is the beginning of the plan: what is lacking may still come. Beside the verdict stand
facts that hold whatever the policy was.

What is compared. The round: it names the policy in force for its market, its trigger holds, its size is of the side that the
loser holds and no larger, and under a policy that can be read, whose target is the whole position, no smaller; its price is the
policy's. The closes: winner, size and price in their order, where closes of one winner at one price in a row count as one, as
a venue may fill one close in several trades.
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from events.errors import BadInputError
from events.model import AdlCandidates, AdlClose, AdlRound, AnyEvent
from ledger.store import Ledger
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.plan import (
    MISSING_LOSER,
    MISSING_POLICY,
    PlannedClose,
    close_price,
    fund_equity,
    in_order,
    loser_size,
    plan,
    trigger_gaps,
    triggered,
)
from replay.core.policy import Policy, parse_policy, policy_for
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, State
from replay.fit import Close, Fit, fit
from replay.fold import Progress, stored, watched

__all__ = ["Difference", "Facts", "Fit", "RoundVerdict", "audit", "audit_events"]


class Difference(Struct, frozen=True):
    """The first place where the record parts from the plan.

    ``field`` says what differs, and what ``expected`` and ``recorded`` hold: ``policy`` policy ids, ``winner`` and ``order``
    account ids, ``size`` size units (signed when it is the round's own), ``price`` price units; ``trigger`` nothing, as what it
    looked at stands in the verdict. ``close`` counts the round's closes from 1, those in a row of one winner at one price as
    one; None when the round itself differs. ``seq`` is the event that differs, of several closes that count as one the first;
    for a close that is missing, the last event of the round. None stands where one side has nothing.
    """

    field: str
    seq: int
    close: int | None
    expected: int | None
    recorded: int | None


class Facts(Struct, frozen=True):
    """What a round's closes did, whatever the policy. A position is the winner's just before the close.

    ``full`` + ``partial`` + ``over_closes`` + ``unknown`` = ``closes``; ``over_closes`` took more than the position or the
    wrong side of it, ``flips`` are those of them that turned it round. ``all_but_last_full`` takes closes in a row of one
    winner at one price as one, and is None where an unknown position leaves it open. ``winners`` are accounts, each once,
    sorted. ``size`` is in size units, ``notional`` in money units at the close prices.
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


class RoundVerdict(Struct, frozen=True):
    """What the audit says of one round. Ids are the ledger's; amounts are in the units of ``events.model``.

    ``verdict`` is ``reproduced``, ``open``, ``undecidable``, or the ``field`` of ``difference``. ``missing`` names the inputs
    that the record lacks, and is empty unless undecidable. ``policy`` is the one in force for the market, None where there is
    none. ``loser_size`` (signed), ``loser_equity`` and ``fund`` are as just before the round, None where not known.
    ``expected_price`` is by the policy. ``fit`` is there for an undecidable round with closes.
    """

    round: int
    seq: int
    last_seq: int
    at_ns: int
    market: int
    loser: int
    policy: int | None
    verdict: str
    difference: Difference | None
    missing: tuple[str, ...]
    loser_size: int | None
    loser_equity: int | None
    fund: int | None
    expected_price: int | None
    facts: Facts
    fit: Fit | None


class _Pending(Struct):
    """A round under audit: what was decided just before its closes, and its closes so far.

    ``readable`` says whether there is a policy that can be read, ``over`` whether another event has followed the round's own.
    """

    seq: int
    event: AdlRound
    policy: int | None
    readable: bool
    closes_planned: tuple[PlannedClose, ...]
    missing: tuple[str, ...]
    holds: bool | None
    loser_size: int | None
    loser_equity: int | None
    fund: int | None
    price: int | None
    closes: list[Close] = []
    over: bool = False


def audit(ledger: Ledger, progress: Progress | None = None) -> list[RoundVerdict]:
    """Return a verdict for every ADL round of a ledger, in the order of the rounds.

    ``progress`` is called now and then with the seq reached and the last one. Raises ``ReducerError`` for an event that cannot
    be applied, and ``DamagedError`` for a store that cannot be read.
    """
    with stored(ledger):
        return audit_events(watched(ledger, progress))


def audit_events(events: Iterable[tuple[int, AnyEvent]]) -> list[RoundVerdict]:
    """Return a verdict for every ADL round among ``events``, which are a log from seq 1 on."""
    state = State()
    rounds: list[_Pending] = []
    opened: tuple[AdlRound, int] | None = None  # a round of which only candidates are on record
    for seq, event in events:
        if opened is not None and not _continues(event, opened[0], AdlCandidates):
            rounds.append(_begin(state, *opened))
            opened = None
        if rounds and not rounds[-1].over:
            rounds[-1].over = not _continues(event, rounds[-1].event, (AdlCandidates, AdlClose))
        if type(event) is AdlClose:
            before, cost = _position(state, event)
            evolve(state, event, seq)
            worth = margin.market_value(state.markets[event.market], event.size, event.price)
            rounds[event.round].closes.append(Close(seq, event, before, cost, abs(worth)))
        else:
            evolve(state, event, seq)
            if type(event) is AdlRound:
                opened = event, seq
    if opened is not None:
        rounds.append(_begin(state, *opened))
    return [_conclude(state, pending) for pending in rounds]


def _continues(event: AnyEvent, opened: AdlRound, kinds: type | tuple[type, ...]) -> bool:
    """Return whether an event is one of ``kinds`` and belongs to the round."""
    return isinstance(event, kinds) and getattr(event, "round", None) == opened.round


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


def _begin(state: State, event: AdlRound, seq: int) -> _Pending:
    """Decide what the round should be. Neither it nor its candidates moved anything: the state is still that before it."""
    number = policy_for(state, event.market)
    policy, unread = _policy(state, number)
    decided = plan(state, event, policy)
    holds = triggered(state, event.loser, policy) if policy else None
    held = loser_size(state, event)
    missing = [*decided.missing, *([MISSING_LOSER] if held is None else [])]
    if policy is not None and holds is None:
        missing += trigger_gaps(state, event.loser, policy)
    return _Pending(
        seq=seq,
        event=event,
        policy=number,
        readable=policy is not None,
        closes_planned=decided.closes,
        missing=(*unread, *(name for name in in_order(missing) if not (unread and name == MISSING_POLICY))),
        holds=holds,
        loser_size=held,
        loser_equity=margin.equity(state, event.loser),
        fund=fund_equity(state),
        price=close_price(state, event, policy).price if policy else None,
    )


def _policy(state: State, number: int | None) -> tuple[Policy | None, tuple[str, ...]]:
    """Return the policy of that number, and what is missing to read it. A rule we cannot read is no reason to stop."""
    if number is None:
        return None, ()
    try:
        return parse_policy(state.policies[number]), ()
    except BadInputError as error:
        return None, (f"policy: {error.message}",)


# ---- The verdict


def _conclude(state: State, pending: _Pending) -> RoundVerdict:
    event, recorded = pending.event, pending.closes
    closes = _merged(recorded)
    difference = _difference(pending, closes)
    missing = () if difference else pending.missing
    undecidable = difference is None and (bool(missing) or pending.holds is None)
    return RoundVerdict(
        round=event.round,
        seq=pending.seq,
        last_seq=recorded[-1].seq if recorded else pending.seq,
        at_ns=event.at_ns,
        market=event.market,
        loser=event.loser,
        policy=pending.policy,
        verdict=difference.field if difference else "undecidable" if undecidable else _kept(pending),
        difference=difference,
        missing=missing,
        loser_size=pending.loser_size,
        loser_equity=pending.loser_equity,
        fund=pending.fund,
        expected_price=pending.price,
        facts=_facts(recorded, closes),
        fit=fit(state, closes) if undecidable and closes else None,
    )


def _kept(pending: _Pending) -> str:
    """Return the verdict of a round that does not part from its plan."""
    planned = sum(close.size for close in pending.closes_planned)
    lacking = planned - sum(close.event.size for close in pending.closes)
    return "open" if lacking and not pending.over else "reproduced"


def _merged(recorded: list[Close]) -> list[Close]:
    """Return the closes with those in a row of one winner at one price as one, which stands at the seq of the first."""
    merged: list[Close] = []
    for close in recorded:
        first = merged[-1] if merged else None
        if first and (first.event.winner, first.event.price) == (close.event.winner, close.event.price):
            event = replace(first.event, size=first.event.size + close.event.size)
            merged[-1] = replace(first, event=event, notional=first.notional + close.notional)
        else:
            merged.append(close)
    return merged


def _difference(pending: _Pending, closes: list[Close]) -> Difference | None:
    """Return the first difference: of the round itself, then of its closes in their order."""
    event, held = pending.event, pending.loser_size
    if event.policy is not None and event.policy != pending.policy:
        return Difference("policy", pending.seq, None, pending.policy, event.policy)
    if pending.holds is False:
        return Difference("trigger", pending.seq, None, None, None)
    if event.size is not None and held is not None:
        beyond = event.size * held < 0 or abs(event.size) > abs(held)
        # That less than the whole position is too little, only a policy can say.
        if beyond or (pending.readable and event.size != held):
            return Difference("size", pending.seq, None, held, event.size)
    if pending.missing or pending.holds is None:
        return None
    if event.price is not None and event.price != pending.price:
        return Difference("price", pending.seq, None, pending.price, event.price)
    return _first_difference(pending, closes)


def _first_difference(pending: _Pending, closes: list[Close]) -> Difference | None:
    planned = pending.closes_planned
    for number in range(max(len(planned), len(closes))):
        expected = planned[number] if number < len(planned) else None
        seen = closes[number] if number < len(closes) else None
        if seen is None or expected is None:
            if seen is None and not pending.over:
                return None
            where = seen.seq if seen else pending.closes[-1].seq if closes else pending.seq
            lacking = None if expected is None else expected.winner
            return Difference("winner", where, number + 1, lacking, None if seen is None else seen.event.winner)
        actual = seen.event
        if actual.winner != expected.winner:
            # Two right winners in the wrong places are an order; anybody else is another winner.
            swapped = any(close.winner == actual.winner for close in planned) and any(
                close.event.winner == expected.winner for close in closes
            )
            field = "order" if swapped else "winner"
            return Difference(field, seen.seq, number + 1, expected.winner, actual.winner)
        unfinished = not pending.over and seen is closes[-1] and actual.size < expected.size
        if actual.size != expected.size and not unfinished:
            return Difference("size", seen.seq, number + 1, expected.size, actual.size)
        if actual.price != expected.price:
            return Difference("price", seen.seq, number + 1, expected.price, actual.price)
    return None


# ---- Facts that need no policy


def _facts(recorded: list[Close], merged: list[Close]) -> Facts:
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
