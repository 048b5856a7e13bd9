"""The audit: every ADL round of a ledger against the policy in force, close by close.

One pass. After each AdlRound and the candidates that follow it, a plan is made from the state as it is, and the closes or
charges are compared with it (``replay.audit.comparing``). A round is ``reproduced``, or parts from the plan at a first
difference, or is ``undecidable`` because the record lacks inputs, which are named, and then its bounds are told
(``replay.audit.bounds``). A log that ends before a round is over leaves it ``open`` where what is on record is the beginning
of the plan: what is lacking may still come. Beside the verdict stand facts that hold whatever the policy was.
"""

from collections.abc import Iterable

from msgspec import Struct

from events.model import AdlClose, AnyEvent
from ledger.store import Ledger
from replay.audit.bounds import Bounds, bounds_of
from replay.audit.comparing import Decision, Difference, decide, first_difference, lacking, read_policy
from replay.audit.facts import Facts, facts_of
from replay.audit.rounds import Close, RoundRecord, merged, read_rounds
from replay.core import margin
from replay.core.policy import Policy, policy_for
from replay.core.ranking import currency_unit, listed_for
from replay.core.state import State
from replay.core.triggers import fund_equity
from replay.fold import Progress, stored, watched
from replay.ordering.agreement import OrderFit, fit_order
from replay.ordering.measuring import Measured, claimed, measure
from replay.presets import preset

__all__ = ["RoundVerdict", "audit", "audit_events"]

FITTED = "queue"
"""The preset whose order is compared with the recorded one where that cannot be decided."""


class RoundVerdict(Struct, frozen=True):
    """What the audit says of one round. Ids are the ledger's; amounts are in the units of ``events.model``.

    ``verdict`` is ``reproduced``, ``open``, ``undecidable``, or the ``field`` of ``difference``. ``missing`` names the inputs
    that the record lacks, and is empty unless undecidable. ``policy`` is the one in force for the market, None where there is
    none. ``loser_size`` (signed), ``loser_equity`` and ``fund`` (of that policy, where it can be read) are as just before the
    round, None where not known. ``expected_price`` is by the policy. An undecidable round has ``bounds`` and, where it has
    closes, a ``fit``.
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
    fit: OrderFit | None
    bounds: Bounds | None


class _Before(Struct):
    """What the audit keeps of the state just before a round. ``known`` and ``claims`` are by close, of an undecidable round."""

    decision: Decision
    loser_equity: int | None
    fund: int | None
    mark: int | None
    known: dict[int, Measured] = {}
    claims: dict[int, Measured] = {}


def audit(ledger: Ledger, progress: Progress | None = None) -> list[RoundVerdict]:
    """Return a verdict for every ADL round of a ledger, in the order of the rounds.

    ``progress`` is called now and then with the seq reached and the last one. Raises ``ReducerError`` for an event that cannot
    be applied, and ``DamagedError`` for a store that cannot be read.
    """
    with stored(ledger):
        return audit_events(watched(ledger, progress))


def audit_events(events: Iterable[tuple[int, AnyEvent]]) -> list[RoundVerdict]:
    """Return a verdict for every ADL round among ``events``, which are a log from seq 1 on."""
    fitted, state = preset(FITTED).policy, State()
    befores: dict[int, _Before] = {}
    policies: dict[int, tuple[Policy | None, tuple[str, ...]]] = {}

    def began(state: State, record: RoundRecord) -> None:
        number = policy_for(state, record.event.market)
        if number is not None and number not in policies:
            policies[number] = read_policy(state, number)
        rule, unread = (None, ()) if number is None else policies[number]
        befores[record.event.round] = _Before(
            decide(state, record.event, number, rule, unread),
            margin.equity(state, record.event.loser),
            fund_equity(state, rule),
            state.marks[record.event.market] or None,
        )

    def met(state: State, record: RoundRecord, event: AdlClose) -> None:
        before = befores[record.event.round]
        if not before.decision.missing or event.market >= len(state.markets) or event.winner >= len(state.accounts):
            return
        place = len(record.closes)
        loser, rule = record.event.loser, before.decision.rule
        if rule is not None:
            listed = listed_for(state, record.event, rule)[0] or []
            before.known[place] = measure(state, event, rule, loser, listed)
        before.claims[place] = claimed(state, event, measure(state, event, fitted, loser, []))

    records = read_rounds(events, state, began, met)
    unit = currency_unit(state)
    return [_conclude(record, befores[record.event.round], fitted, unit) for record in records]


def _conclude(record: RoundRecord, before: _Before, fitted: Policy, unit: int) -> RoundVerdict:
    event, decision, closes = record.event, before.decision, merged(record.closes)
    difference = first_difference(record, decision)
    undecidable = difference is None and bool(decision.missing)
    kept = "open" if not record.over and lacking(record, decision) else "reproduced"
    places = _places(record.closes, closes)
    return RoundVerdict(
        round=event.round,
        seq=record.seq,
        last_seq=record.last_seq,
        at_ns=event.at_ns,
        market=event.market,
        loser=event.loser,
        policy=decision.policy,
        verdict=difference.field if difference else "undecidable" if undecidable else kept,
        difference=difference,
        missing=decision.missing if undecidable else (),
        loser_size=decision.loser_size,
        loser_equity=before.loser_equity,
        fund=before.fund,
        expected_price=decision.price,
        facts=facts_of(record, closes),
        fit=_fit(fitted, closes, [before.claims[place] for place in places], unit) if undecidable and closes else None,
        bounds=_bounds(record, closes, before, places, unit) if undecidable else None,
    )


def _places(recorded: list[Close], closes: list[Close]) -> list[int]:
    """Return where the first of each merged close stands in the record."""
    at = {close.seq: place for place, close in enumerate(recorded)}
    return [at[close.seq] for close in closes]


def _fit(fitted: Policy, closes: list[Close], measured: list[Measured], unit: int) -> OrderFit:
    return fit_order(fitted, [close.seq for close in closes], measured, unit)


def _bounds(record: RoundRecord, closes: list[Close], before: _Before, places: list[int], unit: int) -> Bounds:
    rule = before.decision.rule
    measured = [before.known[place] for place in places] if rule is not None else []
    return bounds_of(record, closes, before.mark, rule, measured, unit)
