"""How a trigger is written: conditions, clauses and the stop."""

from replay.core.policy import Clauses, Condition, Quantity, Ratio, Relation, Trigger
from replay.core.spelling.reading import Unknown, find, read_ratio, read_window, spell_ratio, spell_window

__all__ = ["QUANTITIES", "RELATIONS", "read_trigger", "spell_trigger"]

QUANTITIES = {
    Quantity.EQUITY: "equity",
    Quantity.FUND: "fund",
    Quantity.DRAWDOWN: "drawdown",
    Quantity.LEFTOVER: "leftover",
    Quantity.POOL_FACTOR: "pnl/pool",
    Quantity.SETTLEMENT: "settlement",
}
RELATIONS = {Relation.BELOW: "<", Relation.AT_MOST: "<=", Relation.ABOVE: ">", Relation.AT_LEAST: ">="}
_NEVER = "never"
_SETTLEMENT = Condition(Quantity.SETTLEMENT, Relation.AT_LEAST, Ratio(1, 1))


def spell_trigger(trigger: Trigger) -> str:
    """Return a trigger as text."""
    text = _spell_clauses(trigger.start) if trigger.start else _NEVER
    return f"{text} until {_spell_clauses(trigger.stop)}" if trigger.stop else text


def _spell_clauses(clauses: Clauses) -> str:
    return " or ".join(" and ".join(map(_spell_condition, clause)) for clause in clauses)


def _spell_condition(condition: Condition) -> str:
    name = QUANTITIES[condition.quantity]
    if condition.quantity is Quantity.SETTLEMENT:
        return name
    if condition.quantity is Quantity.DRAWDOWN:
        name = f"{name}({spell_window(condition.window_ns)})"
    percent = condition.quantity in {Quantity.DRAWDOWN, Quantity.POOL_FACTOR}
    return f"{name} {RELATIONS[condition.relation]} {spell_ratio(condition.bound, percent=percent)}"


def read_trigger(text: str) -> Trigger:
    """Return the trigger that ``text`` spells."""
    start, until, stop = text.partition(" until ")
    if start == _NEVER and not until:
        return Trigger(())
    return Trigger(_clauses(start), _clauses(stop) if until else ())


def _clauses(text: str) -> Clauses:
    clauses = tuple(tuple(_condition(one) for one in clause.split(" and ")) for clause in text.split(" or "))
    if any(len(set(clause)) != len(clause) for clause in clauses):
        raise Unknown("it states a condition twice")
    if len(set(clauses)) != len(clauses):
        raise Unknown("it states a clause twice")
    return clauses


def _condition(text: str) -> Condition:
    if text == QUANTITIES[Quantity.SETTLEMENT]:
        return _SETTLEMENT
    words = text.split(" ")
    if len(words) != len(("quantity", "relation", "bound")):
        raise Unknown(f"{text!r} is no condition", "conditions such as 'equity < 0', 'drawdown(8h) > 30%', 'settlement'")
    name, window, _ = words[0].partition("(")
    quantity = find(QUANTITIES, name)
    has_window = quantity is Quantity.DRAWDOWN
    if has_window is not bool(window) or (window and not words[0].endswith(")")):
        raise Unknown(f"{words[0]!r} is not known", "a window as in drawdown(8h), for drawdown alone")
    if quantity is Quantity.SETTLEMENT:
        raise Unknown(f"{text!r} holds settlement against a number", "settlement alone")
    window_ns = read_window(words[0][len(name) + 1 : -1]) if has_window else 0
    return Condition(quantity, find(RELATIONS, words[1]), read_ratio(words[2]), window_ns)
