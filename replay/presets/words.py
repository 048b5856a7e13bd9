"""A policy in plain sentences, made from its values: what a trader wants to know of a rule, parameter by parameter."""

from collections.abc import Iterator

from replay.core.policy import (
    Atom,
    Base,
    Clauses,
    Condition,
    Direction,
    Fill,
    FillKind,
    Insolvent,
    Key,
    Layer,
    LayerKind,
    Measure,
    Order,
    Policy,
    Price,
    ProfitFilter,
    Quantity,
    Ratio,
    Relation,
    Remainder,
    Rounding,
    Scope,
    Side,
    Target,
    Trigger,
)
from replay.core.spelling import spell_ratio
from replay.core.spelling.reading import spell_window
from replay.presets.values import Lights, LightsBy, Preset

__all__ = ["WORDS", "explain", "explain_lights"]

_QUANTITIES = {
    Quantity.EQUITY: "the loser's equity is {relation} {bound}",
    Quantity.FUND: "the fund is {relation} {bound}",
    Quantity.DRAWDOWN: "the fund's fall from its highest level of the last {window} is {relation} {bound} of that level",
    Quantity.LEFTOVER: "what is left of the loser's position is {relation} {bound}",
    Quantity.POOL_FACTOR: "the net profit of the winners' side is {relation} {bound} of the vault without it",
    Quantity.SETTLEMENT: "the market is being settled",
}
_RELATIONS = {
    Relation.BELOW: "below",
    Relation.AT_MOST: "at most",
    Relation.ABOVE: "above",
    Relation.AT_LEAST: "at least",
}
_SIDES = {
    Side.OPPOSITE: "Candidates are the holders of the other side of the market",
    Side.BOTH: "Candidates are the holders of both sides of the market",
    Side.ACCOUNTS: "Candidates are all accounts",
}
_PROFITS = {
    ProfitFilter.ANY: "whatever their profit",
    ProfitFilter.NOT_NEGATIVE: "if they are not at a loss",
    ProfitFilter.POSITIVE: "if they have a profit",
}
_ATOMS = {
    Atom.ONE: "1",
    Atom.SIZE: "size",
    Atom.NOTIONAL: "notional",
    Atom.ENTRY_NOTIONAL: "entry notional",
    Atom.PROFIT: "profit",
    Atom.GAIN: "gain",
    Atom.POSITION_MAINTENANCE: "the position's maintenance margin",
    Atom.INITIAL: "the position's initial margin",
    Atom.SOLD: "selling value",
    Atom.BOUGHT: "buying value",
    Atom.EQUITY: "equity",
    Atom.BALANCE: "wallet balance",
    Atom.MAINTENANCE: "maintenance margin",
    Atom.EXPOSURE: "total notional",
}
_ORDERS = {
    Order.SCORE: "Candidates stand by ",
    Order.LIST: "Candidates stand in the order of the list that the round records.",
    Order.ROTATION: "Candidates stand in the list that the round records, from the place that its seed gives and round again.",
}
_INSOLVENT = {
    Insolvent.ALIKE: "Candidates without equity stand like all others.",
    Insolvent.FIRST: "Candidates without equity stand before all others.",
    Insolvent.LAST: "Candidates without equity stand after all others.",
    Insolvent.EXCLUDED: "Candidates without equity are left out.",
    Insolvent.ZERO: "Candidates without equity score 0.",
    Insolvent.AT_LEAST_ONE: "Equity counts as at least 1 unit of currency.",
}
_INSOLVENT_SHARE = {
    Insolvent.ALIKE: "Candidates without equity bear their part like all others.",
    Insolvent.FIRST: "Candidates without equity are closed first, all they hold.",
    Insolvent.ZERO: "Candidates without equity have no weight.",
}
_CLOSED = {
    FillKind.QUEUE: "Each in turn is closed as far as its position reaches, until the target is met.",
    FillKind.SHARE: "All are closed at once, in proportion to {weight}.",
    FillKind.DRAIN: "The most levered are closed, down to one leverage for all who are closed.",
    FillKind.LEAST_MAXIMUM: "Whole lots are closed so that the largest close over equity is as small as it can be.",
    FillKind.INDEX: "Every contract pays the same, rounded up; no contract moves.",
}
_PAID = {
    FillKind.QUEUE: "Each in turn pays up to {cap}, until the target is met; no contract moves.",
    FillKind.SHARE: "All pay at once, in proportion to {weight}, each at most {cap}; no contract moves.",
}
_BASES = {
    Base.BANKRUPTCY: "Every close is at the loser's bankruptcy price.",
    Base.MARK: "Every close is at the mark price.",
    Base.PREVIOUS_MARK: "Every close is at the mark price before the present one.",
    Base.ORACLE: "Every close is at the oracle price.",
    Base.STATED: "Every close is at the price that the round states.",
    Base.NONE: "There is no price, as only money moves.",
}
_LAYERS = {
    LayerKind.BOOK: "the order book",
    LayerKind.VAULT: "the vault",
    LayerKind.FUND: "the fund",
    LayerKind.ADL: "ADL",
    LayerKind.INDEX: "all open contracts through an index",
    LayerKind.ASSIGNMENT: "volunteers who take the position over",
    LayerKind.WITHDRAWALS: "whoever withdraws",
    LayerKind.DEBT: "nobody: the loser's account stays below 0",
}
_DIRECTIONS = {
    Direction.LOSER: "A price between two ticks falls in the loser's favour: its sale up, its purchase down.",
    Direction.WINNER: "A price between two ticks falls in the winner's favour: the loser's sale down, its purchase up.",
    Direction.DOWN: "A price between two ticks falls to the lower one.",
    Direction.UP: "A price between two ticks falls to the higher one.",
    Direction.NEAREST: "A price between two ticks falls to the nearest one.",
}
_REMAINDERS = {
    Remainder.LARGEST: "What a division leaves goes to the largest remainders, among equals to the lowest account numbers.",
    Remainder.FIRST: "What a division leaves goes to the lowest account numbers.",
}
_LIGHTS = {
    LightsBy.NONE: "No lights of the venue are known.",
    LightsBy.CONTRACTS: "The venue shows {count} lights, each an equal part of the contracts in the order of closing.",
    LightsBy.ACCOUNTS: "The venue shows {count} lights, each an equal part of the accounts in the order of closing.",
}

WORDS = (
    _QUANTITIES,
    _RELATIONS,
    _SIDES,
    _PROFITS,
    _ATOMS,
    _ORDERS,
    _INSOLVENT,
    _CLOSED,
    _BASES,
    _LAYERS,
    _DIRECTIONS,
    _REMAINDERS,
    _LIGHTS,
)
"""The words of every enumeration of a policy, so that a test can hold them against its members."""

_SHARED = (FillKind.SHARE, FillKind.DRAIN)
# What can be below 0 whatever becomes of candidates without equity.
_SIGNED = (Atom.PROFIT, Atom.BALANCE)


def explain(policy: Policy | Preset) -> list[str]:
    """Return what a policy does, as sentences in the order of its parameters."""
    if isinstance(policy, Preset):
        return explain(policy.policy)
    return list(_sentences(policy))


def _sentences(policy: Policy) -> Iterator[str]:
    yield from _trigger(policy.trigger)
    if not policy.trigger.start:
        # No round closes or charges anybody, so the rest says how nothing is done.
        yield from _layers(policy.layers)
        return
    yield from _scope(policy.scope)
    yield from _key(policy.key, policy.fill)
    yield from _fill(policy.fill)
    yield from _price(policy.price)
    yield from _target(policy.target, policy.fill)
    yield from _layers(policy.layers)
    yield from _rounding(policy.rounding, policy.fill)


def _trigger(trigger: Trigger) -> Iterator[str]:
    yield f"ADL starts when {_clauses(trigger.start)}." if trigger.start else "ADL never starts."
    if trigger.stop:
        yield f"It then goes on until {_clauses(trigger.stop)}."


def _clauses(clauses: Clauses) -> str:
    return ", or when ".join(" and ".join(map(_condition, clause)) for clause in clauses)


def _condition(condition: Condition) -> str:
    percent = condition.quantity in {Quantity.DRAWDOWN, Quantity.POOL_FACTOR}
    return _QUANTITIES[condition.quantity].format(
        relation=_RELATIONS[condition.relation],
        bound=spell_ratio(condition.bound, percent=percent),
        window=spell_window(condition.window_ns or 1),
    )


def _scope(scope: Scope) -> Iterator[str]:
    yield f"{_SIDES[scope.side]}, {_PROFITS[scope.profit]}."
    if scope.own_first:
        yield "Accounts of the loser's owner come before all others."
    if scope.unhedged:
        yield "Only what an owner holds beyond the other side in its own other accounts counts."
    if scope.overlapping:
        yield "Whom a close at this price would leave short of initial margin and less safe than before is left out."


def _key(key: Key, fill: Fill) -> Iterator[str]:
    if key.returns is not None:
        times = f" times {_measure(key.leverage)}" if key.leverage else ""
        has_losses = key.leverage is not None and _has_losses(key.returns, key.insolvent)
        loss = "; a loss is divided by the leverage instead" if has_losses else ""
        yield f"{_ORDERS[key.order]}{_measure(key.returns)}{times}, highest first{loss}."
        if has_losses:
            yield f"A return of 0 counts as a {'gain' if key.zero_is_gain else 'loss'}."
    elif key.order is not Order.SCORE:
        yield _ORDERS[key.order]
    elif fill.kind is not FillKind.QUEUE and key.insolvent is not Insolvent.FIRST:
        yield "No candidate stands before another."
    yield (
        _INSOLVENT[key.insolvent]
        if fill.kind is FillKind.QUEUE
        else _INSOLVENT_SHARE.get(key.insolvent, _INSOLVENT[key.insolvent])
    )
    if key.order is Order.SCORE and fill.kind is FillKind.QUEUE:
        ties = [f"{'higher' if tie.descending else 'lower'} {_measure(tie.measure)}" for tie in key.ties]
        by = ", then ".join([*ties, f"{'higher' if key.newest_first else 'lower'} account number"])
        yield f"Equal ones go by {by}." if key.returns else f"{_ORDERS[key.order]}{by}."


def _has_losses(returns: Measure, insolvent: Insolvent) -> bool:
    """Return whether a return can be below 0: one of which only an excess counts never is."""
    signed = returns.top in _SIGNED or (returns.top is Atom.EQUITY and insolvent is Insolvent.ALIKE)
    return signed and not returns.over.numerator


def _measure(measure: Measure) -> str:
    text = _ATOMS[measure.top]
    if measure.bottom is not Atom.ONE:
        text += f" over {_ATOMS[measure.bottom]}" + (" (at least 1)" if measure.floored else "")
    return f"the part of {text} above {spell_ratio(measure.over)}" if measure.over != Ratio(0, 1) else text


def _fill(fill: Fill) -> Iterator[str]:
    words = _PAID if fill.cash and fill.kind in _PAID else _CLOSED
    cap = _ATOMS[fill.cap] if fill.cap else ""
    cap = cap if cap.startswith("the ") else f"its {cap}"
    yield words[fill.kind].format(weight=" times ".join(map(_measure, fill.weight)), cap=cap)
    if fill.once:
        yield "What somebody cannot bear of its part is not shared again."


def _price(price: Price) -> Iterator[str]:
    yield _BASES[price.base]
    if price.capped:
        yield "Where the bankruptcy price is better for the loser, that is used instead."
    if price.band:
        yield f"Where this is more than {_percent(price.band)} away from the mark price, mark is used."
    if price.to_winner:
        yield f"It is moved by {_percent(price.to_winner)} in the winner's favour."


def _target(target: Target, fill: Fill) -> Iterator[str]:
    if target.stated:
        yield "How much is taken is the venue's own choice, as the round states it."
    elif target.deficit is None:
        yield "The loser's whole remaining position is to be closed."
    else:
        share = "The loser's whole" if target.deficit == Ratio(1, 1) else f"{_percent(target.deficit)} of the loser's"
        if fill.cash:
            yield f"{share} deficit is to be paid."
        else:
            yield f"{share} deficit is to be covered: contracts are closed until the loser gains that much against mark."
            yield "Where the price is no better for the loser than mark, its whole position is to be closed."
    if target.each:
        yield f"Nobody gives more than {_percent(target.each)} of a position."
    if target.round:
        yield f"A round closes at most {_percent(target.round)} of the loser's position."


def _layers(layers: tuple[Layer, ...]) -> Iterator[str]:
    names = [_LAYERS[kind] if account is None else f"fund account {account}" for kind, account in layers]
    yield f"A loss is borne by {', then '.join(names)}."
    if layers[-1].kind is LayerKind.WITHDRAWALS:
        yield "Of each withdrawal the fund keeps the share of uncovered deficits in the sum of them and all wallet balances."


def _rounding(rounding: Rounding, fill: Fill) -> Iterator[str]:
    yield "Amounts are whole money units." if rounding.price is None else _DIRECTIONS[rounding.price]
    if fill.kind in _SHARED:
        yield _REMAINDERS[rounding.remainder]


def _percent(share: Ratio) -> str:
    return spell_ratio(share, percent=True)


def explain_lights(lights: Lights) -> str:
    """Return what a venue's lights show, in a sentence or two."""
    text = _LIGHTS[lights.by].format(count=lights.count)
    if lights.by is LightsBy.NONE:
        return text
    first = lights.high if lights.highest_next else lights.low
    return f"{text} They are numbered {lights.low} to {lights.high}, and {first} is closed first."
