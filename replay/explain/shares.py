"""One account's share of a level, spelled out: its weight of all weights, its cap, and what rounding did.

The plan itself comes from ``replay.core.levels``. Here the same share is written as a fraction, so that a person can check it.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from events.model import AdlRound
from replay.audit.comparing import Decision
from replay.core import margin
from replay.core.candidates import Candidates
from replay.core.missing import loser_size
from replay.core.plan import Plan
from replay.core.policy import Atom, FillKind, Policy, Ratio, Remainder
from replay.core.pricing import target_cash, target_size
from replay.core.ranking import currency_unit, field_of, listed_for
from replay.core.scoring import reduced
from replay.core.sharing import weights
from replay.core.state import State

__all__ = ["Share", "share_of_account"]


class Share(Struct, frozen=True):
    """What an account gives of ``amount``, in lots or in money, at most ``cap``. ``candidates`` share it.

    In proportion: its ``weight`` of ``weights`` in all, among those who do not reach their cap; ``real`` is its exact share
    before rounding. ``remainder_place`` is its place, from 1, among those whose share has a remainder, of whom the first
    ``pieces`` get one more; None where it has none. Of an index the weights are contracts, of the least largest close over
    equity they are equities. Of a level of leverage ``before`` and ``after`` are the account's own.
    """

    kind: FillKind
    amount: int
    cap: int
    given: int
    candidates: int
    weight: int | None = None
    weights: int | None = None
    real: Ratio | None = None
    remainder_place: int | None = None
    pieces: int | None = None
    before: Ratio | None = None
    after: Ratio | None = None


def share_of_account(state: State, event: AdlRound, decision: Decision, account: int) -> Share | None:
    """Return the share of an account that is a candidate; None where there is no plan or it is none."""
    rule = decision.rule
    if rule is None or decision.missing:
        return None
    size = event.size or loser_size(state, event) or 0
    listed, _ = listed_for(state, event, rule)
    field = field_of(state, event.market, -1 if size > 0 else 1, rule, event.loser, listed)
    if account not in field.candidates.accounts or field.missing:
        return None
    place = field.candidates.accounts.index(account)
    amount = _amount(state, event, rule)
    caps = field.lots
    if rule.fill.cash:
        cap = rule.fill.cap
        caps = [amount] * len(caps) if cap is None else [max(value, 0) for value in field.candidates.column(cap)]
    share = Share(rule.fill.kind, amount, caps[place], _given(decision.plan, account), len(caps))
    match rule.fill.kind:
        case FillKind.SHARE:
            parts = weights(rule, field.candidates.column, currency_unit(state))
            return _in_proportion(share, parts, caps, place, rule)
        case FillKind.INDEX:
            total = sum(field.lots)
            real = reduced(amount * field.lots[place], total) if total else None
            return replace(share, weight=field.lots[place], weights=total, real=real)
        case _:
            return _to_a_level(share, field.candidates, place, rule)


def _amount(state: State, event: AdlRound, rule: Policy) -> int:
    if rule.fill.cash:
        return target_cash(state, event, rule) or 0
    size = event.size if event.size is not None else target_size(state, event, rule)
    return abs(size or 0)


def _given(planned: Plan, account: int) -> int:
    closes = (close.size for close in planned.closes if close.winner == account)
    return sum(closes) + sum(charge.cash for charge in planned.charges if charge.payer == account)


def _in_proportion(share: Share, parts: Sequence[int], caps: Sequence[int], place: int, rule: Policy) -> Share:
    """Return the share with its fraction: who would exceed a cap gives it, and the rest is shared among the others."""
    sharing = [number for number, part in enumerate(parts) if part]
    left, total = share.amount, sum(parts)
    while not rule.fill.once and (full := {one for one in sharing if left * parts[one] > caps[one] * total}):
        left -= sum(caps[one] for one in sharing if one in full)
        sharing = [one for one in sharing if one not in full]
        total = sum(parts[one] for one in sharing)
    if place not in sharing:
        return replace(share, weight=parts[place], weights=sum(parts))
    floors = {one: divmod(left * parts[one], total) for one in sharing}
    if rule.rounding.remainder is Remainder.FIRST:
        waiting = [one for one in sharing if rule.fill.once or floors[one][0] < caps[one]]
    else:
        waiting = sorted((one for one in sharing if floors[one][1]), key=lambda one: (-floors[one][1], one))
    return replace(
        share,
        weight=parts[place],
        weights=total,
        real=reduced(left * parts[place], total),
        remainder_place=waiting.index(place) + 1 if place in waiting else None,
        pieces=left - sum(whole for whole, _ in floors.values()),
    )


def _to_a_level(share: Share, candidates: Candidates, place: int, rule: Policy) -> Share:
    """Return the share with what it goes by: its equity, or its leverage before and after; nothing without equity."""
    equities = candidates.column(Atom.EQUITY)
    equity = equities[place]
    if equity <= 0:
        return share
    if rule.fill.kind is FillKind.LEAST_MAXIMUM or rule.fill.cash:
        return replace(share, weight=equity, weights=sum(max(one, 0) for one in equities))
    market, mark = candidates.state.markets[candidates.market], candidates.state.marks[candidates.market]
    exposure, size = candidates.column(Atom.EXPOSURE)[place], abs(candidates.sizes[place])
    closed = abs(margin.market_value(market, size, mark)) - abs(margin.market_value(market, size - share.given, mark))
    return replace(share, before=reduced(exposure, equity), after=reduced(exposure - closed, equity))
