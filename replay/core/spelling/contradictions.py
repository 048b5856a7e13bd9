"""What does not go together in a policy. Each of its parameters may be well spelled and the whole still mean nothing."""

from collections.abc import Iterator

from replay.core.policy import (
    Atom,
    Base,
    FillKind,
    Insolvent,
    LayerKind,
    Measure,
    Order,
    Policy,
    Remainder,
    Side,
)
from replay.core.spelling.measures import ATOMS
from replay.core.spelling.ranking import INSOLVENT

__all__ = ["OF_ACCOUNTS", "contradictions"]

_LEVELS = (FillKind.SHARE, FillKind.DRAIN, FillKind.LEAST_MAXIMUM, FillKind.INDEX)
OF_ACCOUNTS = (
    Atom.ONE,
    Atom.NOTIONAL,
    Atom.PROFIT,
    Atom.GAIN,
    Atom.EQUITY,
    Atom.BALANCE,
    Atom.MAINTENANCE,
    Atom.EXPOSURE,
)
"""What an account has as a whole. The rest belongs to one position."""

_OVER_EQUITY = (FillKind.DRAIN, FillKind.LEAST_MAXIMUM)
_ENDS = (Insolvent.FIRST, Insolvent.LAST)
_NEVER_LAST = (LayerKind.BOOK, LayerKind.FUND, LayerKind.ASSIGNMENT)
_ONLY_LAST = (LayerKind.WITHDRAWALS, LayerKind.DEBT)


def contradictions(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield what does not go together, as the parameter that is best changed and the reason."""
    yield from _cash(policy)
    yield from _scope(policy)
    yield from _fill(policy)
    yield from _order(policy)
    yield from _insolvent(policy)
    yield from _price(policy)
    yield from _layers(policy)


def _cash(policy: Policy) -> Iterator[tuple[str, str]]:
    cash, target = policy.fill.cash, policy.target
    if cash is not (policy.price.base is Base.NONE):
        yield "price", "contracts need a price, and a fill that only moves money has none"
    if cash is not (policy.rounding.price is None):
        yield "rounding", "contracts round to lots, and a fill that only moves money to its unit"
    if cash and target.deficit is None and not target.stated:
        yield "target", "money is paid up to a deficit, not up to a position"
    if target.deficit is not None and policy.price.base is Base.MARK and not policy.price.capped:
        yield "target", "a close at mark brings in nothing of a deficit"
    if cash and (target.each or target.round):
        yield "target", "a limit is a share of a position, and this fill only moves money"
    if target.stated and target.round:
        yield "target", "what the round states is the whole of it, so it has no limit"


def _scope(policy: Policy) -> Iterator[tuple[str, str]]:
    scope, cash = policy.scope, policy.fill.cash
    if not cash and scope.side is not Side.OPPOSITE:
        yield "scope", "contracts can only be closed against the opposite side"
    if cash and scope.overlapping:
        yield "scope", "overlapping is about the price of a close"
    if cash and scope.unhedged:
        yield "scope", "unhedged is about contracts, and this fill only moves money"
    if scope.own_first and policy.fill.kind is not FillKind.QUEUE:
        yield "scope", "own accounts come first in a queue only"
    if scope.side is Side.ACCOUNTS:
        used = [atom for measure in _measures(policy) for atom in (measure.top, measure.bottom)]
        for atom in [*used, *([policy.fill.cap] if policy.fill.cap else [])]:
            if atom not in OF_ACCOUNTS:
                yield "scope", f"{ATOMS[atom]} belongs to a position, and the scope is whole accounts"
        if policy.fill.kind is FillKind.INDEX:
            yield "scope", "an index is paid per contract, and the scope is whole accounts"


def _fill(policy: Policy) -> Iterator[tuple[str, str]]:
    fill = policy.fill
    if fill.cap is not None and (not fill.cash or fill.cap in {Atom.ONE, Atom.SIZE, Atom.PROFIT}):
        yield (
            "fill",
            "a cap is an amount of money, as in 'cap gain', and contracts are capped by the position",
        )
    if fill.cash and fill.cap is None and fill.kind is not FillKind.INDEX:
        yield "fill", "it does not say up to what each pays, as in 'cap gain'"
    if any(measure.top is Atom.PROFIT for measure in fill.weight):
        yield "fill", "a loss is no weight; write gain"
    for measure in _measures(policy):
        if measure.bottom is Atom.PROFIT or (measure.bottom is Atom.BALANCE and not measure.floored):
            where = "fill" if measure in fill.weight else "key"
            yield where, f"{ATOMS[measure.bottom]} can be below 0 and divides; write gain, or max(balance, 1)"
    if fill.once and policy.rounding.remainder is Remainder.FIRST:
        yield "rounding", "what is shared once goes by the largest remainder"
    if policy.rounding.remainder is Remainder.FIRST and fill.kind is not FillKind.SHARE:
        yield "rounding", "only a share in proportion to a weight has a remainder that goes to the first"


def _order(policy: Policy) -> Iterator[tuple[str, str]]:
    key, level = policy.key, policy.fill.kind in _LEVELS
    if key.order is not Order.SCORE:
        if policy.fill.kind is not FillKind.QUEUE:
            yield "key", "a list is closed in its order, by a queue"
        if key.ties or key.newest_first:
            yield "key", "a list has no ties"
    elif level and (key.returns or key.ties or key.newest_first):
        yield "key", "all share at once, so there is no score and the remainder goes by account asc"


def _insolvent(policy: Policy) -> Iterator[tuple[str, str]]:
    key, fill = policy.key, policy.fill
    needs = fill.kind in _OVER_EQUITY or any(map(_needs_equity, _measures(policy)))
    needs = needs or any(measure.top is Atom.EQUITY for measure in fill.weight)
    if key.insolvent is Insolvent.ALIKE:
        if needs:
            choices = ", ".join(text for value, text in INSOLVENT.items() if value is not Insolvent.ALIKE)
            yield "key", f"equity divides or weighs, so it must say where candidates without equity stand: {choices}"
    elif key.insolvent is Insolvent.AT_LEAST_ONE and not needs:
        yield "key", "nothing is divided by equity, so it need not be at least 1"
    elif key.insolvent is Insolvent.ZERO and key.returns is None and fill.kind is not FillKind.SHARE:
        yield "key", "there is no score that could be 0"
    elif (key.insolvent is Insolvent.FIRST and fill.kind in _OVER_EQUITY) or key.insolvent not in _ENDS:
        # Their leverage is beyond any, so they can give before a level over equity is sought.
        return
    elif key.order is not Order.SCORE or fill.kind in _LEVELS:
        yield "key", "there is no order by score in which they could be first or last"


def _price(policy: Policy) -> Iterator[tuple[str, str]]:
    price = policy.price
    if price.base in {Base.NONE, Base.STATED} and (price.capped or price.band or price.to_winner):
        yield "price", "a price that is stated or that there is not cannot be changed"
    if price.capped and price.base is Base.BANKRUPTCY:
        yield "price", "the bankruptcy price is its own cap"
    if price.band and price.base is Base.MARK and not price.capped:
        yield "price", "mark is never away from mark"


def _layers(policy: Policy) -> Iterator[tuple[str, str]]:
    kinds = [layer.kind for layer in policy.layers]
    accounts = [layer.account for layer in policy.layers if layer.kind is LayerKind.FUND]
    acts = LayerKind.ADL in kinds or LayerKind.INDEX in kinds
    if None in accounts and len(accounts) > 1:
        yield "layers", "fund without a number is all funds, so none can be named beside it"
    if kinds[-1] in _NEVER_LAST:
        yield "layers", "the last layer must take whatever is left: adl, index, vault, withdrawals or debt"
    if any(kind in _ONLY_LAST for kind in kinds[:-1]):
        yield "layers", "debt and withdrawals take whatever is left, so nothing comes after them"
    if policy.trigger.start and not acts:
        yield "trigger", "a policy without an adl or index layer has the trigger 'never'"
    if acts and not policy.trigger.start:
        yield "layers", "a policy with the trigger 'never' has no adl or index layer"
    if acts and (LayerKind.ADL in kinds) is (policy.fill.kind is FillKind.INDEX):
        yield "layers", "an index fill is carried out in the index layer, and every other fill in the adl layer"


def _measures(policy: Policy) -> list[Measure]:
    """Return every measure of key and fill."""
    key = policy.key
    scores = [measure for measure in (key.returns, key.leverage) if measure is not None]
    return [*scores, *(tie.measure for tie in key.ties), *policy.fill.weight]


def _needs_equity(measure: Measure) -> bool:
    return measure.bottom is Atom.EQUITY and not measure.floored
