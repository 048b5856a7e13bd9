"""How scope and key are written: who the candidates are and in which order they stand."""

from replay.core.policy import Insolvent, Key, Measure, Order, ProfitFilter, Scope, Side, Tie
from replay.core.spelling.measures import read_measure, spell_measure
from replay.core.spelling.reading import Unknown, done, find, parts_of, take

__all__ = ["INSOLVENT", "read_key", "read_scope", "spell_key", "spell_scope"]

_SIDES = {Side.OPPOSITE: "opposite", Side.BOTH: "both sides", Side.ACCOUNTS: "accounts"}
_PROFITS = {ProfitFilter.NOT_NEGATIVE: "profit >= 0", ProfitFilter.POSITIVE: "profit > 0"}
_OWN, _UNHEDGED, _OVERLAPPING = "own accounts first", "unhedged", "overlapping"

INSOLVENT = {
    Insolvent.ALIKE: "equity <= 0 alike",
    Insolvent.FIRST: "equity <= 0 first",
    Insolvent.LAST: "equity <= 0 last",
    Insolvent.EXCLUDED: "equity <= 0 excluded",
    Insolvent.ZERO: "equity <= 0 scores 0",
    Insolvent.AT_LEAST_ONE: "equity at least 1",
}
_ORDERS = {Order.LIST: "list order", Order.ROTATION: "rotated list"}
_ZERO_IS = {True: "0 as gain", False: "0 as loss"}
_LAST = {False: "account asc", True: "account desc"}
_DIRECTIONS = {True: " desc", False: " asc"}


def spell_scope(scope: Scope) -> str:
    """Return a scope as text."""
    flags = ((scope.own_first, _OWN), (scope.unhedged, _UNHEDGED), (scope.overlapping, _OVERLAPPING))
    profit = [_PROFITS[scope.profit]] if scope.profit in _PROFITS else []
    return ", ".join([_SIDES[scope.side], *profit, *(text for holds, text in flags if holds)])


def read_scope(text: str) -> Scope:
    """Return the scope that ``text`` spells."""
    side, *parts = parts_of(text)
    profit = next((value for value, spelled in _PROFITS.items() if take(parts, spelled)), ProfitFilter.ANY)
    flags = [take(parts, flag) for flag in (_OWN, _UNHEDGED, _OVERLAPPING)]
    done(parts, ", ".join([*_PROFITS.values(), _OWN, _UNHEDGED, _OVERLAPPING]))
    return Scope(find(_SIDES, side), profit, *flags)


def spell_key(key: Key) -> str:
    """Return a key as text."""
    parts = [_ORDERS[key.order]] if key.order in _ORDERS else []
    if key.returns is not None:
        product = f" * {spell_measure(key.leverage)}" if key.leverage else ""
        parts.append(f"{spell_measure(key.returns)}{product} desc")
        parts += [_ZERO_IS[key.zero_is_gain]] if key.leverage else []
    parts.append(INSOLVENT[key.insolvent])
    parts += [f"{spell_measure(tie.measure)}{_DIRECTIONS[tie.descending]}" for tie in key.ties]
    return ", ".join([*parts, _LAST[key.newest_first]])


def read_key(text: str) -> Key:
    """Return the key that ``text`` spells."""
    parts = parts_of(text)
    if parts[-1] not in _LAST.values():
        raise Unknown("it does not end in a unique id", ", ".join(_LAST.values()))
    newest_first = parts.pop() == _LAST[True]
    order = next((value for value, spelled in _ORDERS.items() if take(parts, spelled)), Order.SCORE)
    returns: Measure | None = None
    leverage: Measure | None = None
    zero_is_gain = True
    if order is Order.SCORE and parts and parts[0] not in INSOLVENT.values():
        returns, leverage = _score(parts.pop(0))
        zero_is_gain = find(_ZERO_IS, parts.pop(0) if parts else "") if leverage else True
    insolvent = find(INSOLVENT, parts.pop(0) if parts else "")
    return Key(order, returns, leverage, zero_is_gain, insolvent, tuple(map(_tie, parts)), newest_first)


def _score(text: str) -> tuple[Measure, Measure | None]:
    if not text.endswith(_DIRECTIONS[True]):
        raise Unknown(f"the score {text!r} does not say that the highest stands first", "a score ends in ' desc'")
    first, times, second = text[: -len(_DIRECTIONS[True])].partition(" * ")
    return read_measure(first), read_measure(second) if times else None


def _tie(text: str) -> Tie:
    for descending, suffix in _DIRECTIONS.items():
        if text.endswith(suffix):
            return Tie(read_measure(text[: -len(suffix)]), descending)
    raise Unknown(f"{text!r} does not say asc or desc", "a measure and asc or desc, as in 'profit desc'")
