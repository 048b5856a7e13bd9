"""A policy's level fills, carried out on candidates: what each gives of an amount."""

from collections.abc import Sequence

from events.model import Contract
from replay.core.candidates import Candidates
from replay.core.levels import drain, greedy, index_rate, indexed, least_maximum, pro_rata
from replay.core.policy import Atom, FillKind, Insolvent, Policy, Remainder
from replay.core.scoring import Columns, terms

__all__ = ["INDEX_SCALE", "WEIGHT_BITS", "shared", "weights"]

WEIGHT_BITS = 64
"""A weight that is a quotient is cut at so many binary places, as shares need whole weights."""

INDEX_SCALE = 10**9
"""The rate of an index is a whole number of these parts of a money unit per lot, as Drift v2 keeps its funding index."""


def shared(
    policy: Policy, candidates: Candidates, lots: Sequence[int], caps: Sequence[int], amount: int, unit: int
) -> list[int]:
    """Return what each candidate gives of ``amount`` by a level fill: lots of contracts, or money where the fill is paid.

    Candidates stand by ascending account, so that remainders go by id. ``lots`` is what each holds that counts, ``caps`` what
    it can give at most. ``unit`` is one unit of the currency in money units. An equity not above 0 counts by the policy's key:
    it is no candidate, counts as one unit, or has the weight 0. Where it does not say so and leverage or the close over equity
    is made level, those give first, by id, all they can: their leverage is beyond any level. An index is rounded up for each,
    so it raises a little more than the amount.
    """
    fill = policy.fill
    match fill.kind:
        case FillKind.SHARE:
            first = policy.rounding.remainder is Remainder.FIRST
            return pro_rata(weights(policy, candidates.column, unit), caps, amount, once=fill.once, first=first)
        case FillKind.INDEX:
            if not sum(lots):
                return [0] * len(lots)
            paid = indexed(lots, index_rate(amount, sum(lots), INDEX_SCALE), INDEX_SCALE)
            return [min(cash, cap) for cash, cap in zip(paid, caps, strict=True)] if fill.cap is not None else paid
        case _:
            return _over_equity(policy, candidates, caps, amount, unit)


def _over_equity(policy: Policy, candidates: Candidates, caps: Sequence[int], amount: int, unit: int) -> list[int]:
    equities = candidates.column(Atom.EQUITY)
    if policy.key.insolvent is Insolvent.AT_LEAST_ONE:
        equities = [max(equity, unit) for equity in equities]
    given = greedy([0 if equity > 0 else cap for equity, cap in zip(equities, caps, strict=True)], amount)
    rest = amount - sum(given)
    sound = [place for place, equity in enumerate(equities) if equity > 0]
    worth, limits = [equities[place] for place in sound], [caps[place] for place in sound]
    if policy.fill.kind is FillKind.LEAST_MAXIMUM:
        pieces = least_maximum(worth, limits, rest)
    else:
        exposures = candidates.column(Atom.EXPOSURE)
        piece = (1, 1) if policy.fill.cash else _lot_at_mark(candidates)
        pieces = drain([exposures[place] for place in sound], worth, limits, piece, rest)
    for place, one in zip(sound, pieces, strict=True):
        given[place] = one
    return given


def _lot_at_mark(candidates: Candidates) -> tuple[int, int]:
    """Return the notional of one lot at mark in money units, as a fraction."""
    market, mark = candidates.state.markets[candidates.market], candidates.state.marks[candidates.market]
    if market.listed.contract is Contract.INVERSE:
        return market.numerator, mark * market.denominator
    return mark * market.numerator, market.denominator


def weights(policy: Policy, columns: Columns, unit: int) -> list[int]:
    """Return the product of the fill's measures for every candidate as a whole number; a measure below 0 counts as 0.

    Where no measure has a bottom it is exact. Else it is cut at ``WEIGHT_BITS`` binary places, the same for all candidates.
    """
    count = len(columns(Atom.SIZE))
    tops, bottoms = [1] * count, [1] * count
    least = unit if policy.key.insolvent is Insolvent.AT_LEAST_ONE else None
    for measure in policy.fill.weight:
        found = terms(measure, columns, unit, least_equity=least)
        tops = [top * max(more, 0) for top, more in zip(tops, found.numerators, strict=True)]
        bottoms = [bottom * more for bottom, more in zip(bottoms, found.denominators, strict=True)]
    if policy.key.insolvent is Insolvent.ZERO:
        tops = [top if equity > 0 else 0 for top, equity in zip(tops, columns(Atom.EQUITY), strict=True)]
    if max(bottoms, default=1) == 1:
        return tops
    return [(top << WEIGHT_BITS) // bottom for top, bottom in zip(tops, bottoms, strict=True)]
