"""The price of a round's closes and how much is to be closed or paid: the price, target and rounding of a policy."""

from typing import NamedTuple

from events.model import AdlRound, Contract
from replay.core import margin
from replay.core.bankruptcy import Direction, divide
from replay.core.missing import (
    MISSING_BANKRUPTCY,
    MISSING_LOSER,
    MISSING_MARK,
    MISSING_NEED,
    MISSING_ORACLE,
    MISSING_PREVIOUS_MARK,
    MISSING_STATED_PRICE,
    equity_gaps,
    in_order,
    loser_size,
    margin_gaps,
)
from replay.core.policy import Base, Policy, Ratio
from replay.core.state import Market, State

__all__ = ["Quote", "close_price", "share_of", "target_cash", "target_gaps", "target_size"]


class Quote(NamedTuple):
    """The price of a round, or the inputs that are missing to say it. Neither where only money moves."""

    price: int | None
    missing: tuple[str, ...]


def share_of(amount: int, share: Ratio | None) -> int:
    """Return that share of an amount, rounded down; all of it where there is no share."""
    return amount if share is None else amount * share.numerator // share.denominator


# ---- The price


def close_price(state: State, round: AdlRound, policy: Policy) -> Quote:  # noqa: A002  the field's own word
    """Return the price of the round's closes by the policy's rule, from ``state`` as it was just before the round.

    First the reference; then, where the policy says so, the bankruptcy price if that is better for the loser, mark if the
    price is too far from it, and the winner's share off, rounded as the policy rounds prices.
    """
    rule = policy.price
    if rule.base is Base.NONE:
        return Quote(None, ())
    base = _base(state, round, policy)
    capped = _bankruptcy_price(state, round, policy) if rule.capped else base
    mark = state.marks[round.market]
    missing = [*base.missing, *capped.missing, *([MISSING_MARK] if rule.band and not mark else [])]
    if base.price is None or capped.price is None or missing:
        return Quote(None, in_order(missing))
    price = base.price
    long = _is_long(state, round)
    if long is None and (rule.capped or rule.to_winner):
        return Quote(None, (MISSING_LOSER,))
    if rule.capped:
        price = max(price, capped.price) if long else min(price, capped.price)
    if rule.band is not None and abs(price - mark) * rule.band.denominator > rule.band.numerator * mark:
        price = mark
    if rule.to_winner is not None:
        share, whole = rule.to_winner
        off = abs(price) * share * (-1 if long else 1)
        price = divide(price * whole + off, whole, policy.rounding.price or Direction.LOSER, gain=1 if long else -1)
    return Quote(price, ())


def _base(state: State, opened: AdlRound, policy: Policy) -> Quote:
    match policy.price.base:
        case Base.BANKRUPTCY:
            return _bankruptcy_price(state, opened, policy)
        case Base.MARK:
            return _known(state.marks[opened.market], MISSING_MARK)
        case Base.PREVIOUS_MARK:
            return _known(state.previous_marks[opened.market], MISSING_PREVIOUS_MARK)
        case Base.ORACLE:
            return _known(state.oracles[opened.market], MISSING_ORACLE)
        case _:
            return Quote(opened.price, () if opened.price is not None else (MISSING_STATED_PRICE,))


def _known(price: int, name: str) -> Quote:
    return Quote(price, ()) if price else Quote(None, (name,))


def _bankruptcy_price(state: State, opened: AdlRound, policy: Policy) -> Quote:
    if not loser_size(state, opened):
        return Quote(None, (MISSING_LOSER,))
    price = margin.bankruptcy_price(state, opened.loser, opened.market, policy.rounding.price or Direction.LOSER)
    if price is not None:
        return Quote(price, ())
    gaps = equity_gaps(state, opened.loser)
    # The last position has all of the margin, so no tiers are needed for it.
    if not gaps and sum(1 for position in state.holdings[opened.loser].values() if position.size) > 1:
        gaps = margin_gaps(state, opened.loser)
    return Quote(None, tuple(gaps) or (MISSING_BANKRUPTCY,))


def _is_long(state: State, opened: AdlRound) -> bool | None:
    """Return whether the loser is long, None where it is flat or not known."""
    size = loser_size(state, opened) or opened.size
    return size > 0 if size else None


# ---- How much


def target_size(state: State, round: AdlRound, policy: Policy) -> int | None:  # noqa: A002  as above
    """Return how much of the loser's position the policy itself would have closed, signed; None where it cannot be told.

    The whole position; or as many lots as improve the loser, against mark, by at least that share of its deficit, and all of
    them where the price is not better for it than mark. At most the policy's share of the position, and then at least one lot.
    Where the target is the venue's own choice it is what the round states.
    """
    if policy.target.stated:
        return round.size
    held = loser_size(state, round)
    if not held:
        return held
    lots: int | None = abs(held)
    if policy.target.deficit is not None:
        lots = _lots_for_deficit(state, round, policy, policy.target.deficit, abs(held))
    if lots is None:
        return None
    if policy.target.round is not None:
        lots = min(lots, max(share_of(abs(held), policy.target.round), 1))
    return lots if held > 0 else -lots


def _lots_for_deficit(state: State, opened: AdlRound, policy: Policy, share: Ratio, held: int) -> int | None:
    equity, mark = margin.equity(state, opened.loser), state.marks[opened.market]
    price = close_price(state, opened, policy).price
    if equity is None or not mark or price is None:
        return None
    deficit = max(-equity, 0)
    if deficit == 0:
        return 0
    better, per = _better_per_lot(state.markets[opened.market], price, mark)
    if not _is_long(state, opened):
        better = -better
    if better <= 0:
        return held
    return min(held, -(-deficit * share.numerator * per // (share.denominator * better)))


def _better_per_lot(market: Market, price: int, mark: int) -> tuple[int, int]:
    """Return by how much a lot sold at ``price`` brings in more than at ``mark``, in money units, exact: (top, bottom)."""
    if market.listed.contract is Contract.INVERSE:
        return (price - mark) * market.numerator, price * mark * market.denominator
    return (price - mark) * market.numerator, market.denominator


def target_cash(state: State, round: AdlRound, policy: Policy) -> int | None:  # noqa: A002  as above
    """Return how much money the round is to raise: what it states, else the policy's share of the loser's deficit, rounded up.

    None where the loser's equity is not known, or the round does not state what the policy leaves to it.
    """
    if round.need_cash is not None or policy.target.stated:
        return round.need_cash
    equity = margin.equity(state, round.loser)
    if equity is None:
        return None
    share = policy.target.deficit or Ratio(1, 1)
    return -(min(equity, 0) * share.numerator // share.denominator)


def target_gaps(state: State, round: AdlRound, policy: Policy) -> list[str]:  # noqa: A002  as above
    """Name why ``target_size`` or ``target_cash``, by the policy's fill, cannot be told; nothing where it can."""
    if policy.fill.cash:
        if target_cash(state, round, policy) is not None:
            return []
        return [MISSING_NEED] if policy.target.stated else equity_gaps(state, round.loser)
    if target_size(state, round, policy) is not None:
        return []
    if policy.target.stated:
        return [MISSING_NEED]
    if loser_size(state, round) is None:
        return [MISSING_LOSER]
    return [*equity_gaps(state, round.loser), *close_price(state, round, policy).missing]
