"""How an amount is shared among the candidates of a round: the fill of a policy as plain arithmetic on integers.

Pure. Sequences are by candidate, in ascending order of unique id, so every tie goes to the lower index and the result does not
depend on how accounts are stored. Amounts and caps count one smallest piece: a lot of contracts, or a unit of money. Unless
said otherwise a result ``x`` has one entry per candidate, ``0 <= x[i] <= caps[i]``, and sums to the amount or, where the caps
do not reach it, to the sum of the caps. A cap, weight or amount below 0 and an equity or unit below 1 are a NumberError.

The level rules are one idea (adl-rules.md sections 18 and 21, ``level(f)``). A common level t rises, and candidate i gives

    x_i(t) = clamp((slope_i * t - start_i) / unit, 0, cap_i)

until the amount is met. The level is an exact fraction, found on the one straight segment between two kinks that holds it.
Then each share is rounded down and what is left goes out piece by piece. A real share below its cap rounds up to at most the
cap, as the cap is a whole number, and more shares have a remainder than there are pieces left: so +1 never exceeds a cap.
"""

import heapq
from collections.abc import Sequence

from events.errors import NumberError

__all__ = ["drain", "greedy", "index_rate", "indexed", "least_maximum", "pro_rata", "rotate"]


def greedy(caps: Sequence[int], amount: int) -> list[int]:
    """Return what each gives when they are taken in the order given, each by the least of its cap and what is left."""
    _refuse_below(0, "a cap", caps)
    _refuse_below(0, "an amount to share", [amount])
    shares = [0] * len(caps)
    for index, cap in enumerate(caps):
        if amount == 0:
            break
        shares[index] = min(cap, amount)
        amount -= shares[index]
    return shares


def pro_rata(weights: Sequence[int], caps: Sequence[int], amount: int, *, once: bool = False, first: bool = False) -> list[int]:
    """Return shares in proportion to ``weights``, rounded down, then +1 to the largest remainders.

    Who would give more than its cap gives its cap, and the rest is shared again among the others until nobody exceeds it.
    With ``once`` (contract pro-rata, arXiv 2602.15182) what caps cut off is not shared again, so the sum may fall short.
    A weight of 0 gives nothing; where all who are left have weight 0 the rest stays open.
    With ``first`` what rounding left goes, +1 each, to the first in order who have a weight and are below their cap instead
    (MetaFlux, adl-rules.md section 14); with ``once`` too, to the first who have a weight.

    Rounding by largest remainder is not monotone: one lot more to share can lower somebody's share, by one lot at most.
    """
    _refuse_below(0, "a weight", weights)
    _refuse_below(0, "a cap", caps)
    _refuse_below(0, "an amount to share", [amount])
    if once:
        total = sum(weights)
        if total == 0:
            return [0] * len(caps)
        parts = [divmod(amount * weight, total) for weight in weights]
        shares = _first_ones(parts, weights, amount) if first else _largest_remainder(parts, amount)
        return [min(share, cap) for share, cap in zip(shares, caps, strict=True)]
    # A candidate without weight is as good as one with a cap of 0, for which any slope above 0 will do.
    open_caps = [cap if weight else 0 for cap, weight in zip(caps, weights, strict=True)]
    slopes = [weight or 1 for weight in weights]
    parts = _parts([0] * len(caps), slopes, open_caps, 1, amount)
    if first:
        return _first_ones(parts, [cap - share for cap, (share, _) in zip(open_caps, parts, strict=True)], amount)
    return _largest_remainder(parts, amount)


def drain(
    exposures: Sequence[int], equities: Sequence[int], caps: Sequence[int], unit: tuple[int, int], amount: int
) -> list[int]:
    """Return the lots that drain leverage: from the highest exposure / equity down to one common level.

    Campbell, Hey, Moallemi, Nutz, arXiv 2603.15963, for one market: the allocation with the least largest leverage. Exposures
    and equities are in money units, equities above 0. ``unit`` is the money of one lot as a fraction (numerator, denominator).

        x_i(level) = clamp((exposure_i - level * equity_i) / unit, 0, cap_i)

    The level may fall below zero where a cap is worth more than its exposure; it is the caps that keep a close from a flip.
    Shares are rounded down, then +1 to the largest remainders of the real x_i: each that is neither untouched nor at its cap
    ends less than one lot from the level.
    """
    _refuse_below(1, "an equity", equities)
    _refuse_below(0, "a cap", caps)
    _refuse_below(1, "a unit", unit)
    _refuse_below(0, "an amount to share", [amount])
    money, per = unit
    starts = [-per * exposure for exposure in exposures]
    return _largest_remainder(_parts(starts, equities, caps, money, amount), amount)


def least_maximum(equities: Sequence[int], caps: Sequence[int], amount: int) -> list[int]:
    """Return whole lots k_i with the least possible largest k_i / equity_i: the replayable min-max. Equities are above 0.

    Each lot in turn goes where (k_i + 1) / equity_i is smallest. The lots up to the real level are given at once, as they are
    the first in that order. More to share lowers nobody.
    """
    _refuse_below(1, "an equity", equities)
    _refuse_below(0, "a cap", caps)
    _refuse_below(0, "an amount to share", [amount])
    shares = [share for share, _ in _parts([0] * len(caps), equities, caps, 1, amount)]
    shift = 2 * max(equities, default=1).bit_length()
    # An index after the key, so that a tie goes to the lower one.
    queue = [
        (((share + 1) << shift) // equity, index)
        for index, (share, equity, cap) in enumerate(zip(shares, equities, caps, strict=True))
        if share < cap
    ]
    heapq.heapify(queue)
    for _ in range(min(amount, sum(caps)) - sum(shares)):
        index = queue[0][1]
        shares[index] += 1
        if shares[index] < caps[index]:
            heapq.heapreplace(queue, (((shares[index] + 1) << shift) // equities[index], index))
        else:
            heapq.heappop(queue)
    return shares


def index_rate(loss: int, base: int, scale: int) -> int:
    """Return the social index of a loss: what one unit of base pays, times ``scale``, rounded up so that the loss is covered.

    ``ceil(|loss| * scale / base)``, ``base`` being all contracts of both sides without sign (Drift v2, protocol-v2@0ae3e3b1d,
    math/liquidation.rs). NumberError where ``base`` is not above 0: there is nobody to share the loss with.
    """
    _refuse_below(1, "a scale", [scale])
    if base <= 0:
        raise NumberError(
            f"a loss of {abs(loss)} cannot be spread over a base of {base}: nobody is left to pay.",
            cure="Leave the loss to another layer of the policy, or keep it as an open deficit.",
        )
    return -(-abs(loss) * scale // base)


def indexed(sizes: Sequence[int], rate: int, scale: int) -> list[int]:
    """Return what each signed size pays at a rate of ``index_rate``, rounded up per account; together never below the loss."""
    _refuse_below(1, "a scale", [scale])
    return [-(-abs(size) * rate // scale) for size in sizes]


def rotate(start: int, count: int) -> list[int]:
    """Return the indices ``start``, ``start + 1``, ... modulo ``count``, each once: dYdX v4's walk over a recorded list."""
    _refuse_below(0, "a length", [count])
    first = start % count if count else 0
    return [*range(first, count), *range(first)]


def _parts(starts: Sequence[int], slopes: Sequence[int], caps: Sequence[int], unit: int, amount: int) -> list[tuple[int, int]]:
    """Return each real share at the level that meets ``amount``, as its whole pieces and the remainder of one denominator."""
    if amount == 0:
        return [(0, 0)] * len(caps)
    if amount >= sum(caps):
        return [(cap, 0) for cap in caps]
    above, below = _level(starts, slopes, caps, unit, amount)
    piece = unit * below
    parts = []
    for start, slope, cap in zip(starts, slopes, caps, strict=True):
        whole, remainder = divmod(slope * above - start * below, piece)
        if whole < 0:
            parts.append((0, 0))
        elif whole >= cap:
            parts.append((cap, 0))
        else:
            parts.append((whole, remainder))
    return parts


def _level(starts: Sequence[int], slopes: Sequence[int], caps: Sequence[int], unit: int, amount: int) -> tuple[int, int]:
    """Return the level (numerator, denominator) at which the shares sum to ``amount``, which is above 0 and below all caps.

    Candidate i begins to give at ``start_i / slope_i`` and reaches its cap at ``(start_i + unit * cap_i) / slope_i``. Between
    two such kinks the sum is linear: with the slopes and starts of those who give, ``sum(slope) * t = wanted`` where
    ``wanted = sum(start) + unit * (amount - caps reached)``. The first kink at which the sum is not below the amount ends the
    segment that holds the level. The kinks are ordered by integer keys, exact as in ``plan.order_keys``.
    """
    count = len(slopes)
    shift = 2 * max(slopes).bit_length()
    kinks = [*starts, *(start + unit * cap for start, cap in zip(starts, caps, strict=True))]
    keys = [(kink << shift) // slope for kink, slope in zip(kinks, [*slopes, *slopes], strict=True)]
    wanted = unit * amount
    giving = 0
    # The sort is stable and beginnings stand before ends, so nobody ends before it begins.
    for place in sorted(range(2 * count), key=keys.__getitem__):
        kink = kinks[place]
        slope = slopes[place % count]
        if giving * kink >= wanted * slope:
            break
        if place < count:
            giving += slope
            wanted += kink
        else:
            giving -= slope
            wanted -= kink
    return wanted, giving


def _largest_remainder(parts: Sequence[tuple[int, int]], amount: int) -> list[int]:
    """Return the whole pieces with +1 for the largest remainders, as far as a remainder is left; ties to the lower index."""
    shares = [share for share, _ in parts]
    remainders = [remainder for _, remainder in parts]
    left = amount - sum(shares)
    # A reversed sort keeps equal remainders in the order of their index.
    for index in sorted(range(len(parts)), key=remainders.__getitem__, reverse=True)[:left]:
        if remainders[index]:
            shares[index] += 1
    return shares


def _first_ones(parts: Sequence[tuple[int, int]], room: Sequence[int], amount: int) -> list[int]:
    """Return the whole pieces with +1 for the first that have room, as far as pieces are left.

    Those with a remainder all have room and are more than the pieces left, so +1 each is enough.
    """
    shares = [share for share, _ in parts]
    left = amount - sum(shares)
    for index in [index for index, free in enumerate(room) if free > 0][:left]:
        shares[index] += 1
    return shares


def _refuse_below(least: int, what: str, values: Sequence[int]) -> None:
    """Raise NumberError for the first value below ``least``."""
    if min(values, default=least) < least:
        index, value = next((index, value) for index, value in enumerate(values) if value < least)
        raise NumberError(
            f"{what} of {value} (index {index}) is below {least}.",
            cure="Amounts, caps and weights have no sign, and who has no equity is placed by the policy, not by a level.",
        )
