"""The plan of an ADL round: who is closed or charged, in which order, by how much and at what price, under a policy.

Pure. One function serves the audit, the engine and whatever else asks what a rule would have done. ``candidates`` says who can
bear a part and what is measured of each, ``scoring`` and ``ranking`` in which order they stand, ``pricing`` at which price and
how much in all, ``sharing`` and ``levels`` how an amount is shared, ``triggers`` whether there is a round at all.

An input that the record does not hold is named, never assumed. With any input missing there is no plan. What a policy does not
look at is not missing.

Contracts and money. A plan either closes contracts against the loser's position or, where the policy's fill is paid, charges
accounts, whose money goes to the loser. A queue is planned in its order. The level fills have no order: what they give stands
by ascending account, and a rank there only counts.
"""

from collections.abc import Iterator

from msgspec import Struct

from events.model import AdlRound
from replay.core import margin
from replay.core.bankruptcy import valid_update
from replay.core.candidates import Candidates, gather
from replay.core.levels import greedy
from replay.core.missing import MISSING_LOSER, MISSING_POLICY, equity_gaps, in_order, loser_size
from replay.core.policy import Atom, FillKind, Policy, Ratio, Scope, Side
from replay.core.pricing import close_price, target_cash, target_gaps, target_size
from replay.core.ranking import Field, currency_unit, field_of, listed_for, places_in_order
from replay.core.scoring import scores
from replay.core.sharing import shared
from replay.core.state import State

__all__ = ["Plan", "PlannedCharge", "PlannedClose", "plan", "queue_closes"]


class PlannedClose(Struct, frozen=True, gc=False):
    """One close of a plan: ``size`` contracts of ``winner`` at ``price``."""

    winner: int
    size: int
    price: int
    rank: int
    score: Ratio | None


class PlannedCharge(Struct, frozen=True, gc=False):
    """One payment of a plan: ``cash`` of ``payer`` goes to the loser."""

    payer: int
    cash: int
    rank: int


class Plan(Struct, frozen=True, gc=False):
    """What a round does in order, and the inputs that are missing to say it: with any, it does nothing.

    ``remaining`` are the lots that no candidate could take, ``uncovered`` the money that none could pay.
    """

    closes: tuple[PlannedClose, ...]
    charges: tuple[PlannedCharge, ...]
    missing: tuple[str, ...]
    remaining: int
    uncovered: int


# Whose inputs are named where no policy says whose count.
_ANYBODY = Scope(Side.OPPOSITE)


def plan(state: State, round: AdlRound, policy: Policy | None) -> Plan:  # noqa: A002  the field's own word
    """Return the plan of ``round`` under ``policy``, from ``state`` as it was just before the round.

    What is to be closed or paid is what the round states or, where it states none, the policy's own target. A missing input
    gives no closes; it is named in ``missing``, in the order of ``MISSING_INPUTS``.
    """
    if policy is None:
        size = round.size if round.size is not None else loser_size(state, round)
        return Plan((), (), _gaps_without_policy(state, round, size), abs(size or 0), 0)
    return _charging(state, round, policy) if policy.fill.cash else _closing(state, round, policy)


# ---- Contracts


def _closing(state: State, opened: AdlRound, policy: Policy) -> Plan:
    size = opened.size if opened.size is not None else target_size(state, opened, policy)
    if size is None:
        sides = [-1 if held > 0 else 1] if (held := loser_size(state, opened)) else [1, -1]
        missing = [*target_gaps(state, opened, policy), *close_price(state, opened, policy).missing]
        for side in sides:
            missing += _round_field(state, opened, policy, side).missing
        return Plan((), (), in_order([*missing, *equity_gaps(state, opened.loser)]), 0, 0)
    if size == 0:
        return Plan((), (), (), 0, 0)
    field = _round_field(state, opened, policy, -1 if size > 0 else 1)
    quote = close_price(state, opened, policy)
    names = in_order([*field.missing, *quote.missing])
    if names or quote.price is None:
        return Plan((), (), names, abs(size), 0)
    if policy.fill.kind is FillKind.QUEUE:
        closes = queue_closes(state, opened, policy, field, abs(size), quote.price)
    else:
        closes = _level(policy, field, abs(size), quote.price, currency_unit(state))
    return Plan(closes, (), (), abs(size) - sum(close.size for close in closes), 0)


def queue_closes(
    state: State,
    round: AdlRound,  # noqa: A002  as above
    policy: Policy,
    field: Field,
    need: int,
    price: int,
) -> tuple[PlannedClose, ...]:
    """Close ``need`` contracts against the candidates in their order, each by min(what remains, what it can give).

    ``field`` are all candidates of the round, or those of them who stand before all others and can give ``need``.
    """
    taken: list[tuple[int, int, int]] = []
    for number, place in enumerate(_queue_of(state, round, policy, field.candidates), 1):
        size = min(need, field.lots[place])
        if size and not (policy.scope.overlapping and _harms(field.candidates, place, size, price)):
            taken.append((number, place, size))
            need -= size
        if need == 0:
            break
    chosen = field.candidates.pick([place for _, place, _ in taken])
    scored = scores(policy.key, chosen.column, currency_unit(state))
    return tuple(
        PlannedClose(account, size, price, number, score)
        for (number, _, size), account, score in zip(taken, chosen.accounts, scored, strict=True)
    )


def _level(policy: Policy, field: Field, need: int, price: int, unit: int) -> tuple[PlannedClose, ...]:
    """Close ``need`` contracts by one common level."""
    candidates, caps = field.candidates, field.lots
    if policy.scope.overlapping:
        caps = [0 if _harms(candidates, place, min(need, cap), price) else cap for place, cap in enumerate(caps)]
    sizes = shared(policy, candidates, caps, caps, need, unit)
    given = [(account, size) for account, size in zip(candidates.accounts, sizes, strict=True) if size]
    return tuple(PlannedClose(account, size, price, number, None) for number, (account, size) in enumerate(given, 1))


def _harms(candidates: Candidates, place: int, size: int, price: int) -> bool:
    """Return whether closing ``size`` at ``price`` leaves a candidate below its initial margin, and less safe than before.

    dYdX v4 skips such a candidate: the bankruptcy prices of the two do not overlap.
    """
    state, market, account = candidates.state, candidates.market, candidates.accounts[place]
    listed = state.markets[market]
    held = candidates.sizes[place]
    closed = size if held > 0 else -size

    def worth(lots: int, at: int) -> int:
        return margin.market_value(listed, lots, at)

    mark = state.marks[market]
    equity, maintenance = candidates.column(Atom.EQUITY)[place], candidates.column(Atom.MAINTENANCE)[place]
    after = equity + worth(closed, price) + worth(held - closed, mark) - worth(held, mark)
    change = [_change(candidates, held, closed, first=first) for first in (True, False)]
    initial = (margin.initial(state, account) or 0) + change[0]
    return after < initial and not valid_update(equity, maintenance, after, maintenance + change[1])


def _change(candidates: Candidates, held: int, closed: int, *, first: bool) -> int:
    """Return by how much a close changes a margin requirement. The market has tiers, or it would be missing."""
    market, mark = candidates.state.markets[candidates.market], candidates.state.marks[candidates.market]
    before, after = (abs(margin.market_value(market, size, mark)) for size in (held, held - closed))
    return (margin.required(market, after, first=first) or 0) - (margin.required(market, before, first=first) or 0)


# ---- Money


def _charging(state: State, opened: AdlRound, policy: Policy) -> Plan:
    stated = target_cash(state, opened, policy)
    need = None if stated is None else max(stated, 0)  # a record can state anything, but nobody is paid by a round
    held = loser_size(state, opened)
    size = held or opened.size
    one_sided = policy.scope.side is Side.OPPOSITE
    missing = target_gaps(state, opened, policy)
    if one_sided and held is None and size is None:
        missing.append(MISSING_LOSER)
    if one_sided and not size and not missing:
        return Plan((), (), (), 0, need or 0)
    field = _round_field(state, opened, policy, -1 if (size or 0) > 0 else 1)
    missing += field.missing
    if missing or need is None:
        return Plan((), (), in_order(missing), 0, need or 0)
    caps = _cash_caps(policy, field.candidates, need)
    if policy.fill.kind is FillKind.QUEUE:
        places = list(_queue_of(state, opened, policy, field.candidates))
        paid = list(zip(places, greedy([caps[place] for place in places], need), strict=True))
    else:
        paid = list(enumerate(shared(policy, field.candidates, field.lots, caps, need, currency_unit(state))))
    given = [(field.candidates.accounts[place], cash) for place, cash in paid if cash]
    charges = tuple(PlannedCharge(account, cash, number) for number, (account, cash) in enumerate(given, 1))
    return Plan((), charges, (), 0, max(need - sum(charge.cash for charge in charges), 0))


def _cash_caps(policy: Policy, candidates: Candidates, need: int) -> list[int]:
    """Return how much each candidate can pay: the cap of the fill, nothing below 0; all of it where there is no cap."""
    if policy.fill.cap is None:
        return [need] * len(candidates)
    return [max(cap, 0) for cap in candidates.column(policy.fill.cap)]


# ---- The candidates


def _round_field(state: State, opened: AdlRound, policy: Policy, side: int) -> Field:
    listed, missing = listed_for(state, opened, policy)
    field = field_of(state, opened.market, side, policy, opened.loser, listed)
    return field._replace(missing=[*missing, *field.missing])


def _queue_of(state: State, opened: AdlRound, policy: Policy, candidates: Candidates) -> Iterator[int]:
    return places_in_order(state, candidates, policy, opened.loser, listed_for(state, opened, policy)[0])


def _gaps_without_policy(state: State, opened: AdlRound, size: int | None) -> tuple[str, ...]:
    """Name what a plan lacks beside its policy, as if that looked at everything; without a size, on either side."""
    listed, missing = listed_for(state, opened, None)
    missing += [MISSING_POLICY, *([MISSING_LOSER] if size is None else [])]
    for side in (1, -1):
        if not size or size * side < 0:
            candidates = gather(state, opened.market, side, _ANYBODY, without=opened.loser, among=listed)
            missing += candidates.unseen + candidates.gaps((Atom.PROFIT, Atom.EQUITY))
    return in_order([*missing, *equity_gaps(state, opened.loser)])
