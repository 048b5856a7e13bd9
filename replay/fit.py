"""How well a known rule explains the order of an ADL round's closes, where a record lacks what a policy would need.

The scores are taken from claims, so a fit is a description of the record and never a match.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from events.model import AdlClose
from events.units import PPM, div_half_even
from replay.core import margin
from replay.core.plan import order_keys, score
from replay.core.policy import PROFIT_TIMES_LEVERAGE, adopt, parse_policy
from replay.core.state import State

__all__ = ["Close", "Fit", "fit"]

# The rule whose order is compared with the recorded one where that cannot be decided.
_FITTED = parse_policy(adopt(PROFIT_TIMES_LEVERAGE, policy=0, at_ns=0, source=0, row=0))


class Close(Struct):
    """A recorded close with the winner's position just before it: ``before`` and ``cost`` are None where not known."""

    seq: int
    event: AdlClose
    before: int | None
    cost: int | None
    notional: int


class Fit(Struct, frozen=True):
    """How well ``rule`` explains the recorded order, from claims. It is a description and never a match.

    Scores take the winner's claimed equity, its entry on record, and the close price as mark. Closes in a row of one winner at
    one price are one. Over all pairs of the ``scored`` closes: ``concordant`` (the earlier has the higher score),
    ``discordant``, ``tied``; Kendall's tau (a) is their difference over all pairs. ``first_inversion`` is the seq of the first
    close with a higher score than the one before it.
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


def fit(state: State, closes: Sequence[Close]) -> Fit:
    """Return the fit of a round's closes in their order, those in a row of one winner at one price merged already.

    ``state`` is any that knows their market.
    """
    seqs, scores = [], []
    for close in closes:
        event = close.event
        if not close.before or close.cost is None or event.winner_equity_claim is None:
            continue
        value = margin.market_value(state.markets[event.market], close.before, event.price)
        seqs.append(close.seq)
        scores.append(score(_FITTED, value - close.cost, abs(close.cost), abs(value), event.winner_equity_claim))
    keys = order_keys(scores, _FITTED)
    concordant, discordant, tied = _pairs(keys)
    pairs, adjacent = concordant + discordant + tied, max(len(keys) - 1, 0)
    inversions = [seq for seq, (before, key) in zip(seqs[1:], pairwise(keys), strict=True) if key > before]
    return Fit(
        rule=PROFIT_TIMES_LEVERAGE.name,
        scored=len(keys),
        left_out=len(closes) - len(keys),
        concordant=concordant,
        discordant=discordant,
        tied=tied,
        tau_ppm=div_half_even((concordant - discordant) * PPM, pairs) if pairs else None,
        adjacent=adjacent,
        adjacent_in_order=adjacent - len(inversions),
        first_inversion=inversions[0] if inversions else None,
    )


def _pairs(keys: list[tuple[int, int]]) -> tuple[int, int, int]:
    """Return how many pairs have the higher key first, how many the lower, and how many the same, in O(n log n).

    Keys seen are counted by rank in a Fenwick tree: the entry at i counts the ranks from i less its lowest set bit up to i.
    """
    ordered = sorted(keys)
    counts = [0] * (len(keys) + 1)
    seen: Counter[tuple[int, int]] = Counter()
    lower_first = same = 0
    for key in keys:
        rank = bisect_left(ordered, key)  # so many keys are lower
        place = rank
        while place:
            lower_first += counts[place]
            place &= place - 1
        same += seen[key]
        seen[key] += 1
        place = rank + 1
        while place < len(counts):
            counts[place] += 1
            place += place & -place
    return len(keys) * (len(keys) - 1) // 2 - lower_first - same, lower_first, same
