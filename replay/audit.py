"""The audit: every ADL round of a ledger against the policy in force, close by close.

One pass. At each AdlRound the plan is made from the state just before it; its closes are compared as they come. A round is
``reproduced``, or parts from the plan at a first difference, or is ``undecidable`` because the record lacks inputs, which are
named. Beside the verdict stand facts that hold whatever the policy was.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator

from msgspec import Struct

from events.errors import BadInputError
from events.model import AdlClose, AdlRound, AnyEvent
from events.units import div_half_even
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
    order_keys,
    plan,
    score,
    trigger_gaps,
    triggered,
)
from replay.core.policy import PROFIT_TIMES_LEVERAGE, Policy, adopt, parse_policy
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, State
from replay.fold import Progress

__all__ = ["Difference", "Facts", "Fit", "RoundVerdict", "audit", "audit_events"]

PPM = 1_000_000
PROGRESS_EVERY = 8_192


class Difference(Struct, frozen=True):
    """The first place where the record parts from the plan.

    ``field`` says what differs, and what ``expected`` and ``recorded`` hold: ``winner`` and ``order`` account ids, ``size``
    size units (signed when it is the round's own), ``price`` price units; ``trigger`` nothing, as what it looked at stands
    in the verdict. ``close`` counts the round's closes from 1, None when the round itself differs. ``seq`` is the event that
    differs; for a close that is missing, the last event of the round. None stands where one side has nothing.
    """

    field: str
    seq: int
    close: int | None
    expected: int | None
    recorded: int | None


class Facts(Struct, frozen=True):
    """What a round's closes did, whatever the policy. A position is the winner's just before the close.

    ``full`` + ``partial`` + ``over_closes`` + ``unknown`` = ``closes``; ``over_closes`` took more than the position or the
    wrong side of it, ``flips`` are those of them that turned it round. ``all_but_last_full`` is None where an unknown
    position leaves it open. ``winners`` are accounts, each once, sorted. ``size`` is in size units, ``notional`` in money
    units at the close prices.
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


class Fit(Struct, frozen=True):
    """How well ``rule`` explains the recorded order, from claims. It is a description and never a match.

    Scores take the winner's claimed equity, its entry on record, and the close price as mark. Over all pairs of the
    ``scored`` closes: ``concordant`` (the earlier has the higher score), ``discordant``, ``tied``; Kendall's tau (a) is their
    difference over all pairs. ``first_inversion`` is the seq of the first close with a higher score than the one before it.
    """

    rule: str
    scored: int
    left_out: int
    concordant: int
    discordant: int
    tied: int
    tau_ppm: int | None
    adjacent: int
    adjacent_in_order: int
    first_inversion: int | None


class RoundVerdict(Struct, frozen=True):
    """What the audit says of one round. Ids are the ledger's; amounts are in the units of ``events.model``.

    ``verdict`` is ``reproduced``, ``undecidable``, or the ``field`` of ``difference``. ``missing`` names the inputs that the
    record lacks, and is empty unless undecidable. ``policy`` is None where none is on record. ``loser_size`` (signed),
    ``loser_equity`` and ``fund`` are as just before the round, None where not known. ``expected_price`` is by the policy.
    ``fit`` is there for an undecidable round with closes.
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


class _Close(Struct):
    """A recorded close with the winner's position just before it: ``before`` and ``cost`` are None where not known."""

    seq: int
    event: AdlClose
    before: int | None
    cost: int | None
    notional: int


class _Pending(Struct):
    """A round under audit: what was decided at its opening, and its closes so far."""

    seq: int
    event: AdlRound
    policy: int | None
    closes_planned: tuple[PlannedClose, ...]
    missing: tuple[str, ...]
    holds: bool | None
    loser_size: int | None
    loser_equity: int | None
    fund: int | None
    price: int | None
    closes: list[_Close] = []


def audit(ledger: Ledger, progress: Progress | None = None) -> list[RoundVerdict]:
    """Return a verdict for every ADL round of a ledger, in the order of the rounds.

    ``progress`` is called now and then with the seq reached and the last one. Raises ``ReducerError`` for an event that cannot
    be applied, and ``DamagedError`` for a store that cannot be read.
    """
    head = ledger.head

    def watched() -> Iterator[tuple[int, AnyEvent]]:
        for seq, event in ledger.events(1, head):
            yield seq, event
            if progress is not None and (seq % PROGRESS_EVERY == 0 or seq == head):
                progress(seq, head)

    return audit_events(watched())


def audit_events(events: Iterable[tuple[int, AnyEvent]]) -> list[RoundVerdict]:
    """Return a verdict for every ADL round among ``events``, which are a log from seq 1 on."""
    state = State()
    rounds: list[_Pending] = []
    for seq, event in events:
        if type(event) is AdlClose:
            before, cost = _position(state, event)
            evolve(state, event, seq)
            worth = margin.market_value(state.markets[event.market], event.size, event.price)
            rounds[event.round].closes.append(_Close(seq, event, before, cost, abs(worth)))
        else:
            evolve(state, event, seq)
            if type(event) is AdlRound:
                # Opening a round moves nothing, so this is still the state just before it.
                rounds.append(_begin(state, event, seq))
    return [_conclude(state, pending) for pending in rounds]


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
    number = event.policy if event.policy is not None else len(state.policies) - 1
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
        policy=number if number >= 0 else None,
        closes_planned=decided.closes,
        missing=(*unread, *(name for name in in_order(missing) if not (unread and name == MISSING_POLICY))),
        holds=holds,
        loser_size=held,
        loser_equity=margin.equity(state, event.loser),
        fund=fund_equity(state),
        price=close_price(state, event, policy).price if policy else None,
    )


def _policy(state: State, number: int) -> tuple[Policy | None, tuple[str, ...]]:
    """Return the policy of that number, and what is missing to read it. A rule we cannot read is no reason to stop."""
    if number < 0:
        return None, ()
    try:
        return parse_policy(state.policies[number]), ()
    except BadInputError as error:
        return None, (f"policy: {error.message}",)


# ---- The verdict


def _conclude(state: State, pending: _Pending) -> RoundVerdict:
    event, closes = pending.event, pending.closes
    difference = _difference(pending)
    missing = () if difference else pending.missing
    undecidable = difference is None and (bool(missing) or pending.holds is None)
    verdict = "undecidable" if undecidable else "reproduced"
    return RoundVerdict(
        round=event.round,
        seq=pending.seq,
        last_seq=closes[-1].seq if closes else pending.seq,
        at_ns=event.at_ns,
        market=event.market,
        loser=event.loser,
        policy=pending.policy,
        verdict=difference.field if difference is not None else verdict,
        difference=difference,
        missing=missing,
        loser_size=pending.loser_size,
        loser_equity=pending.loser_equity,
        fund=pending.fund,
        expected_price=pending.price,
        facts=_facts(closes),
        fit=_fit(state, closes) if undecidable and closes else None,
    )


def _difference(pending: _Pending) -> Difference | None:
    """Return the first difference: of the round itself, then of its closes in their order."""
    event = pending.event
    if pending.holds is False:
        return Difference("trigger", pending.seq, None, None, None)
    if event.size is not None and pending.loser_size is not None and event.size != pending.loser_size:
        return Difference("size", pending.seq, None, pending.loser_size, event.size)
    if pending.missing or pending.holds is None:
        return None
    if event.price is not None and event.price != pending.price:
        return Difference("price", pending.seq, None, pending.price, event.price)
    return _first_difference(pending.closes_planned, pending.closes, pending.seq)


def _first_difference(planned: tuple[PlannedClose, ...], recorded: list[_Close], seq: int) -> Difference | None:
    for number in range(max(len(planned), len(recorded))):
        expected = planned[number] if number < len(planned) else None
        seen = recorded[number] if number < len(recorded) else None
        if seen is None or expected is None:
            where = seen.seq if seen else recorded[-1].seq if recorded else seq
            lacking = None if expected is None else expected.winner
            return Difference("winner", where, number + 1, lacking, None if seen is None else seen.event.winner)
        actual = seen.event
        if actual.winner != expected.winner:
            # Two right winners in the wrong places are an order; anybody else is another winner.
            swapped = any(close.winner == actual.winner for close in planned) and any(
                close.event.winner == expected.winner for close in recorded
            )
            field = "order" if swapped else "winner"
            return Difference(field, seen.seq, number + 1, expected.winner, actual.winner)
        if actual.size != expected.size:
            return Difference("size", seen.seq, number + 1, expected.size, actual.size)
        if actual.price != expected.price:
            return Difference("price", seen.seq, number + 1, expected.price, actual.price)
    return None


# ---- Facts that need no policy


def _facts(closes: list[_Close]) -> Facts:
    kinds = [_kind(close) for close in closes]
    but_last = kinds[:-1]
    undecided = "unknown" in but_last and all(kind in {"full", "unknown"} for kind in but_last)
    return Facts(
        closes=len(closes),
        winners=tuple(sorted({close.event.winner for close in closes})),
        full=kinds.count("full"),
        partial=kinds.count("partial"),
        over_closes=kinds.count("over"),
        flips=sum(_flips(close) for close in closes),
        unknown=kinds.count("unknown"),
        all_but_last_full=None if undecided else all(kind == "full" for kind in but_last),
        prices=len({close.event.price for close in closes}),
        size=sum(close.event.size for close in closes),
        notional=sum(close.notional for close in closes),
    )


def _reducible(close: _Close) -> int:
    """Return how much of the winner's position the close could take on its side, below zero on the wrong side."""
    before = close.before or 0
    return -before if close.event.winner == close.event.buyer else before


def _kind(close: _Close) -> str:
    if close.before is None:
        return "unknown"
    reducible = _reducible(close)
    if close.event.size == reducible:
        return "full"
    return "partial" if close.event.size < reducible else "over"


def _flips(close: _Close) -> bool:
    return close.before is not None and 0 < _reducible(close) < close.event.size


# ---- How well a known rule explains an order that cannot be decided


def _fit(state: State, closes: list[_Close]) -> Fit:
    policy = parse_policy(adopt(PROFIT_TIMES_LEVERAGE, policy=0, at_ns=0, source=0, row=0))
    seqs, scores = [], []
    for close in closes:
        event = close.event
        if not close.before or close.cost is None or event.winner_equity_claim is None:
            continue
        value = margin.market_value(state.markets[event.market], close.before, event.price)
        seqs.append(close.seq)
        scores.append(score(policy, value - close.cost, abs(close.cost), abs(value), event.winner_equity_claim))
    keys = order_keys(scores, policy)
    concordant = discordant = tied = 0
    earlier: list[tuple[int, int]] = []
    for key in keys:
        below, up_to = bisect_left(earlier, key), bisect_right(earlier, key)
        concordant += len(earlier) - up_to
        tied += up_to - below
        discordant += below
        insort(earlier, key)
    pairs = concordant + discordant + tied
    inversions = [seq for seq, before, key in zip(seqs[1:], keys, keys[1:], strict=False) if key > before]
    return Fit(
        rule=PROFIT_TIMES_LEVERAGE.name,
        scored=len(keys),
        left_out=len(closes) - len(keys),
        concordant=concordant,
        discordant=discordant,
        tied=tied,
        tau_ppm=div_half_even((concordant - discordant) * PPM, pairs) if pairs else None,
        adjacent=max(len(keys) - 1, 0),
        adjacent_in_order=max(len(keys) - 1, 0) - len(inversions),
        first_inversion=inversions[0] if inversions else None,
    )
