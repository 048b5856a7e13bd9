"""What an undecidable round still decides: bounds that hold whatever the record lacks.

- Need: what was closed was needed, or the venue closed too much; so the need is at least that.
- Price: the lowest and the highest price of the closes, beside the mark where one is on record.
- Order: with the scores that are known, Kendall's tau of the closes under the policy in force lies between two numbers
  (``replay.ordering.kendall`` says why they are exact). No claim is used.
- Cash: where only an account's cash is missing and the score falls with equity, the equity that puts its recorded place right
  against all closes of known score: not above any before it, not below any behind it. At equal scores the policy goes on by
  other measures and by account, so the ends are within. Equity is a whole number of money units above 0.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from replay.audit.rounds import Close, RoundRecord
from replay.core.policy import Atom, FillKind, Insolvent, Key, Measure, Order, Policy, Ratio
from replay.core.scoring import scores, terms
from replay.ordering.agreement import fit_order
from replay.ordering.kendall import TauRange
from replay.ordering.measuring import Measured, columns_of

__all__ = ["Bounds", "EquityRange", "bounds_of"]


class EquityRange(Struct, frozen=True):
    """The equity of ``account``, in money units, with which its close at ``seq`` stands where the rule would have it.

    None stands for no bound on that side. Where ``at_least`` is above ``at_most`` no equity does.
    """

    account: int
    seq: int
    at_least: int | None
    at_most: int | None


class Bounds(Struct, frozen=True):
    """What a round decides although it is undecidable as a whole. See the module's text.

    ``need_at_least`` is in size units or, for a round that moves only money, in money units. ``rule`` names the policy that
    ``tau`` is about, both None where none is in force or it has no order; ``scored`` of the closes have a known score under it.
    """

    need_at_least: int
    price_low: int | None
    price_high: int | None
    mark: int | None
    rule: str | None
    scored: int
    left_out: int
    tau: TauRange | None
    equity: tuple[EquityRange, ...]


def bounds_of(
    record: RoundRecord,
    closes: Sequence[Close],
    mark: int | None,
    policy: Policy | None,
    measured: Sequence[Measured],
    unit: int,
) -> Bounds:
    """Return the bounds of a round. ``unit`` is one unit of the currency in money units.

    ``closes`` are its own, those of one account in a row as one, and ``measured`` what is known of each of them just before it.
    """
    prices = [close.event.price for close in closes]
    seqs = [close.seq for close in closes]
    queue = policy is not None and policy.fill.kind is FillKind.QUEUE  # a level has no order
    order = fit_order(policy, seqs, measured, unit) if policy is not None and queue and closes else None
    return Bounds(
        need_at_least=sum(close.event.size for close in closes) + sum(charge.cash for charge in record.charges),
        price_low=min(prices, default=None),
        price_high=max(prices, default=None),
        mark=mark,
        rule=order.rule if order else None,
        scored=order.scored if order else 0,
        left_out=order.left_out if order else 0,
        tau=order.bounds if order else None,
        equity=tuple(_equity_ranges(policy.key, seqs, measured, unit)) if order and policy is not None else (),
    )


def _equity_ranges(key: Key, seqs: Sequence[int], measured: Sequence[Measured], unit: int) -> list[EquityRange]:
    """Return the range of each account of which the key lacks nothing but the equity, in the order of the closes."""
    if not _falls_with_equity(key) or any(one.own for one in measured):
        return []
    known = [place for place, one in enumerate(measured) if one.known]
    scored = dict(zip(known, scores(key, columns_of([measured[place] for place in known]), unit), strict=True))
    before = _running(scored, range(len(measured)), lowest=True)
    behind = _running(scored, range(len(measured) - 1, -1, -1), lowest=False)
    ranges = []
    for place, one in enumerate(measured):
        if [atom for atom, value in one.atoms.items() if value is None] == [Atom.EQUITY]:
            top, bottom = _at_equity_one(key, one, unit)
            ranges.append(EquityRange(one.account, seqs[place], *_range(top, bottom, before[place], behind[place])))
    return ranges


def _falls_with_equity(key: Key) -> bool:
    """Return whether the score is ``r * N / E`` for a gain and ``r / (N / E)`` for a loss, with no other equity in it."""
    if (
        key.order is not Order.SCORE
        or key.returns is None
        or key.leverage is None
        or key.leverage.floored
        or key.leverage.over != Ratio(0, 1)
    ):
        return False
    others = (key.returns.top, key.returns.bottom, key.leverage.top)
    once = key.leverage.bottom is Atom.EQUITY and Atom.EQUITY not in others
    return once and key.insolvent is not Insolvent.AT_LEAST_ONE


def _at_equity_one(key: Key, one: Measured, unit: int) -> tuple[int, int]:
    """Return the score at an equity of one money unit, as a fraction that is not in lowest terms.

    For a gain the score is this over the equity, for a loss this times the equity.
    """
    column = columns_of([replace(one, atoms={**one.atoms, Atom.EQUITY: 1})])
    returns, leverage = key.returns or Measure(Atom.ONE), key.leverage or Measure(Atom.ONE)
    (top,), (bottom,) = terms(returns, column, unit)
    (times,), (per,) = terms(leverage, column, unit)
    times = times or 1
    return (top * times, bottom * per) if top > 0 else (top * per, bottom * times)


def _running(scored: dict[int, Ratio | None], places: Sequence[int], *, lowest: bool) -> dict[int, Ratio | None]:
    """Return for each place the lowest (or highest) known score among those that come earlier in ``places``."""
    best: Ratio | None = None
    found = {}
    for place in places:
        found[place] = best
        score = scored.get(place)
        if score is not None and (best is None or _below(score, best) is lowest):
            best = score
    return found


def _below(one: Ratio, other: Ratio) -> bool:
    return one.numerator * other.denominator < other.numerator * one.denominator


def _range(top: int, bottom: int, high: Ratio | None, low: Ratio | None) -> tuple[int | None, int | None]:
    """Return the least and the largest equity for which the score is at most ``high`` and at least ``low``.

    The score is ``top / (bottom * equity)`` for a gain and ``top * equity / bottom`` for a loss, so either falls as equity
    rises and stays on its side of 0.
    """
    if _out_of_reach(top, high, low):
        return _NO_EQUITY
    if top > 0:
        least = None if high is None else -(-top * high.denominator // (bottom * high.numerator))
        most = None if low is None or low.numerator <= 0 else top * low.denominator // (bottom * low.numerator)
        return least, most
    if top == 0:
        return None, None
    least = None if high is None or high.numerator >= 0 else -(high.numerator * bottom // (-top * high.denominator))
    most = None if low is None else (-low.numerator * bottom) // (-top * low.denominator)
    return least, most


def _out_of_reach(top: int, high: Ratio | None, low: Ratio | None) -> bool:
    """Return whether no score of the sign of ``top`` is between the two."""
    too_high = high is not None and (high.numerator < 0 or (high.numerator == 0 and top > 0)) and top >= 0
    too_low = low is not None and (low.numerator > 0 or (low.numerator == 0 and top < 0)) and top <= 0
    return too_high or too_low


_NO_EQUITY = (1, 0)
