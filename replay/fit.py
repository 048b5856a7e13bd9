"""The fit: how well each known rule explains a record, round by round and in all.

For a venue that does not publish its inputs, or whose rule is not known. Every preset makes its plan of every round, as if it
had been in force, and two things are compared with the record. Exactly: which closes (or charges) stand at their place of the
plan with its account and amount, and which rounds the audit would call reproduced. And by order alone, which needs no complete
record: Kendall's tau of the closed accounts in the order of the preset's scores, from claims where the record lacks an equity.

A fit never proves a rule; ``NOT_PROVEN`` says why, and stands beside every answer.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from events.model import AdlClose, AnyEvent
from events.units import PPM, div_half_even
from replay.audit.comparing import Decision, decide, first_difference, lacking, matched, recorded_parts
from replay.audit.rounds import Close, RoundRecord, merged, read_rounds
from replay.core.missing import in_order
from replay.core.policy import FillKind, Order, Policy, policy_for
from replay.core.ranking import currency_unit, listed_for
from replay.core.state import State
from replay.ordering.agreement import OrderFit, fit_order
from replay.ordering.measuring import Measured, claimed, measure

__all__ = ["NOT_PROVEN", "PresetFit", "RoundFit", "fit_events"]

NOT_PROVEN = (
    "The order among those closed says nothing of those who were spared: a rule that takes others can have the same order.",
    "Rules that agree in what was needed here cannot be told apart by this record; they share a place.",
    "Equal scores stand for nothing: that the venue broke a tie as the rule would is no evidence.",
    "Scores from claims are as good as the claims; a rule is found in them, never confirmed by them.",
    "A rule that is not in the list is not judged.",
)


class RoundFit(Struct, frozen=True):
    """One preset beside one round.

    ``verdict`` is the audit's, as if the preset had been in force; ``missing`` is what it lacks to be decided. ``matched`` of
    the ``parts`` on record (closes or charges, those that count as one as one) are at their place of the plan. ``order`` is
    None where the preset's fill has no order or nothing was closed.
    """

    round: int
    seq: int
    verdict: str
    missing: tuple[str, ...]
    parts: int
    matched: int
    order: OrderFit | None


class PresetFit(Struct, frozen=True):
    """One preset beside all rounds.

    ``place`` counts from 1; presets that explain the record equally well share one. ``decidable`` of the ``rounds`` have what
    its plan needs, ``reproduced`` are as it has them. ``exact_ppm`` is ``matched`` of all ``parts``, None where no round is
    decidable. ``concordant``, ``discordant`` and ``tied`` pairs are summed over rounds, ``tau_ppm`` is theirs, between
    ``tau_low_ppm`` and ``tau_high_ppm`` whatever scores are not known. ``from_claims`` of the ``scored`` closes have their
    score from a claim. ``first_inversion`` is a seq.
    """

    place: int
    preset: str
    policy: str
    rounds: int
    decidable: int
    reproduced: int
    parts: int
    matched: int
    exact_ppm: int | None
    scored: int
    left_out: int
    from_claims: int
    concordant: int
    discordant: int
    tied: int
    tau_ppm: int | None
    tau_low_ppm: int | None
    tau_high_ppm: int | None
    first_inversion: int | None
    missing: tuple[str, ...]
    round_list: tuple[RoundFit, ...]


class _Tried(Struct):
    """A preset at one round: what it decides, and what places each of the round's closes in its order."""

    decision: Decision
    listed: Sequence[int]
    measured: dict[int, Measured] = {}


def fit_events(
    events: Iterable[tuple[int, AnyEvent]], policies: Mapping[str, Policy], *, only: int | None = None
) -> tuple[State, list[PresetFit]]:
    """Return the last state, and the fit of every policy to the rounds among ``events``, a log from seq 1 on, the best first.

    ``only`` is one round to look at. Ranked by exact share, reproduced rounds and tau, and at last by name.
    """
    state = State()
    tried: dict[int, dict[str, _Tried]] = {}

    def began(state: State, record: RoundRecord) -> None:
        event = record.event
        if only is None or event.round == only:
            number = policy_for(state, event.market)
            tried[event.round] = {name: _try(state, record, policy, number) for name, policy in policies.items()}

    def met(state: State, record: RoundRecord, event: AdlClose) -> None:
        # An event that names no market or account on record is refused right after.
        if event.market < len(state.markets) and event.winner < len(state.accounts):
            for one in tried.get(record.event.round, {}).values():
                if _has_order(one.decision.rule):
                    _measure(state, record, event, one)

    records = [record for record in read_rounds(events, state, began, met) if record.event.round in tried]
    unit = currency_unit(state)
    fits = [
        _total(name, policy, [_round_fit(record, tried[record.event.round][name], unit) for record in records])
        for name, policy in policies.items()
    ]
    return state, _placed(fits)


def _try(state: State, record: RoundRecord, policy: Policy, number: int | None) -> _Tried:
    # With the id of the policy in force, as a trigger that goes on asks which policy the round before was of.
    adopted = replace(policy, policy=policy.policy if number is None else number)
    decision = decide(state, record.event, record.event.policy, adopted)
    return _Tried(decision, listed_for(state, record.event, adopted)[0] or [] if policy.key.order is not Order.SCORE else [])


def _has_order(rule: Policy | None) -> bool:
    return rule is not None and rule.fill.kind is FillKind.QUEUE


def _measure(state: State, record: RoundRecord, event: AdlClose, one: _Tried) -> None:
    if one.decision.rule is not None:
        found = measure(state, event, one.decision.rule, record.event.loser, one.listed)
        one.measured[len(record.closes)] = claimed(state, event, found)


def _round_fit(record: RoundRecord, one: _Tried, unit: int) -> RoundFit:
    decision = one.decision
    difference = first_difference(record, decision)
    verdict = difference.field if difference else "undecidable" if decision.missing else "reproduced"
    if verdict == "reproduced" and not record.over and lacking(record, decision):
        verdict = "open"
    return RoundFit(
        round=record.event.round,
        seq=record.seq,
        verdict=verdict,
        missing=decision.missing,
        parts=recorded_parts(record, decision),
        matched=matched(record, decision),
        order=_order(record, one, unit),
    )


def _order(record: RoundRecord, one: _Tried, unit: int) -> OrderFit | None:
    closes: list[Close] = merged(record.closes)
    if one.decision.rule is None or not one.measured or not closes:
        return None
    at = {close.seq: place for place, close in enumerate(record.closes)}
    seqs = [close.seq for close in closes]
    return fit_order(one.decision.rule, seqs, [one.measured[at[seq]] for seq in seqs], unit)


def _total(name: str, policy: Policy, rounds: list[RoundFit]) -> PresetFit:
    orders = [one.order for one in rounds if one.order is not None]
    parts, hits = sum(one.parts for one in rounds), sum(one.matched for one in rounds)
    concordant, discordant = sum(one.concordant for one in orders), sum(one.discordant for one in orders)
    pairs = concordant + discordant + sum(one.tied for one in orders)
    possible = sum(one.bounds.pairs for one in orders)
    inversions = [one.first_inversion for one in orders if one.first_inversion is not None]
    decidable = sum(not one.missing for one in rounds)
    return PresetFit(
        place=0,
        preset=name,
        policy=policy.name,
        rounds=len(rounds),
        decidable=decidable,
        reproduced=sum(one.verdict == "reproduced" for one in rounds),
        parts=parts,
        matched=hits,
        exact_ppm=_share(hits, parts) if decidable else None,
        scored=sum(one.scored for one in orders),
        left_out=sum(one.left_out for one in orders),
        from_claims=sum(one.from_claims for one in orders),
        concordant=concordant,
        discordant=discordant,
        tied=pairs - concordant - discordant,
        tau_ppm=_share(concordant - discordant, pairs),
        tau_low_ppm=_share(sum(one.bounds.low for one in orders), possible),
        tau_high_ppm=_share(sum(one.bounds.high for one in orders), possible),
        first_inversion=min(inversions, default=None),
        missing=in_order(name for one in rounds for name in one.missing),
        round_list=tuple(rounds),
    )


def _share(part: int, whole: int) -> int | None:
    return div_half_even(part * PPM, whole) if whole else None


def _placed(fits: list[PresetFit]) -> list[PresetFit]:
    """Return the fits with their places, the best first."""
    ordered = sorted(fits, key=lambda fit: (tuple(-number for number in _merit(fit)), fit.preset))
    placed: list[PresetFit] = []
    for number, fit in enumerate(ordered, 1):
        alike = placed and _merit(placed[-1]) == _merit(fit)
        placed.append(replace(fit, place=placed[-1].place if alike else number))
    return placed


def _merit(fit: PresetFit) -> tuple[int, int, int]:
    """Return what fits are ranked by, the most first; what cannot be told is worse than the worst."""
    unknown = -PPM - 1
    exact, tau = (unknown if value is None else value for value in (fit.exact_ppm, fit.tau_ppm))
    return exact, fit.reproduced, tau
