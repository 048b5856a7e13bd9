"""A recorded round beside what a policy makes of it: the first place where they part.

What is compared. The round: it names the policy in force for its market, its trigger holds, its size is of the side that the
loser holds, no larger than its position and as the policy's target says; its price is the policy's. Then its closes or, where
only money moves, its charges: account, amount and price. Closes of one account at one price in a row count as one, as a venue
may fill one close in several trades.

A queue and a list have an order, and closes are compared place by place. A level has none: each gives its share of one common
level, whoever is booked first. So under a level the closes of an account at one price count as one wherever they stand, and a
record in any order is the plan if it has the same accounts with the same amounts.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from events.errors import BadInputError
from events.model import AdlRound
from replay.audit.rounds import RoundRecord
from replay.core.missing import MISSING_LOSER, MISSING_POLICY, in_order, loser_size
from replay.core.plan import Plan, plan
from replay.core.policy import FillKind, Policy
from replay.core.pricing import close_price, target_cash, target_gaps, target_size
from replay.core.spelling import parse_policy
from replay.core.state import State
from replay.core.triggers import trigger_gaps, triggered

__all__ = ["Decision", "Difference", "decide", "first_difference", "lacking", "matched", "read_policy", "recorded_parts"]


class Difference(Struct, frozen=True):
    """The first place where the record parts from the plan.

    ``field`` says what differs: ``policy``, ``trigger``, ``winner``, ``order``, ``size`` or ``price``; ``unit`` what
    ``expected`` and ``recorded`` hold: ``policy`` ids, ``account`` ids, ``size`` units (signed when it is the round's own),
    ``cash`` or ``price`` units; empty for a trigger, as what it looked at stands in the verdict. ``close`` counts the round's
    closes or charges from 1, those that count as one as one; None when the round itself differs. ``seq`` is the event that
    differs, of several that count as one the first; for one that is missing, the last event of the round. None stands where
    one side has nothing.
    """

    field: str
    unit: str
    seq: int
    close: int | None
    expected: int | None
    recorded: int | None


class Decision(Struct, frozen=True):
    """What a policy makes of a round, from the state just before it.

    ``policy`` is the id of the policy in force, ``rule`` that policy where it can be read. ``target`` is how much the policy
    itself would have closed (signed) or, where only money moves, raised; None where it leaves that to the venue or it is not
    known. ``price`` is the policy's. ``missing`` names what the record lacks for the plan or the trigger.
    """

    policy: int | None
    rule: Policy | None
    plan: Plan
    missing: tuple[str, ...]
    holds: bool | None
    target: int | None
    price: int | None
    loser_size: int | None


def read_policy(state: State, number: int) -> tuple[Policy | None, tuple[str, ...]]:
    """Return the policy of that id, and what is missing to read it. A rule we cannot read is no reason to stop."""
    try:
        return parse_policy(state.policies[number]), ()
    except BadInputError as error:
        return None, (f"policy: {error.message}",)


def decide(state: State, event: AdlRound, number: int | None, rule: Policy | None, unread: tuple[str, ...] = ()) -> Decision:
    """Return what ``rule``, the policy of that id, makes of a round, from ``state`` as it was just before it.

    ``unread`` names what keeps the policy from being read.
    """
    planned = plan(state, event, rule)
    held = loser_size(state, event)
    missing = [*planned.missing, *([MISSING_LOSER] if held is None else [])]
    holds = target = price = None
    if rule is not None:
        holds = triggered(state, event, rule)
        missing += trigger_gaps(state, event, rule) if holds is None else []
        price = close_price(state, event, rule).price
        if not rule.target.stated:
            unstated = replace(event, need_cash=None)  # what a round states is not the policy's own target
            target = (target_cash if rule.fill.cash else target_size)(state, unstated, rule)
            missing += target_gaps(state, unstated, rule)
    names = in_order(missing)
    if unread:
        names = (*unread, *(name for name in names if name != MISSING_POLICY))
    return Decision(number, rule, planned, names, holds, target, price, held)


class _Part(NamedTuple):
    """A close or a charge, planned (``seq`` 0) or recorded. ``price`` is None for a charge."""

    seq: int
    account: int
    amount: int
    price: int | None


def first_difference(record: RoundRecord, decision: Decision) -> Difference | None:
    """Return the first difference: of the round itself, then of its closes or charges."""
    event = record.event
    if event.policy is not None and event.policy != decision.policy:
        return Difference("policy", "policy", record.seq, None, decision.policy, event.policy)
    if decision.holds is False:
        return Difference("trigger", "", record.seq, None, None, None)
    amount = _amount_difference(record, decision)
    if amount is not None or decision.rule is None or decision.missing or decision.holds is None:
        return amount
    if event.price is not None and decision.price is not None and event.price != decision.price:
        return Difference("price", "price", record.seq, None, decision.price, event.price)
    unit = "cash" if decision.rule.fill.cash else "size"
    compare = _compare_queue if decision.rule.fill.kind is FillKind.QUEUE else _compare_level
    return compare(record, _seen(record, decision), _planned(decision.plan), unit)


def _amount_difference(record: RoundRecord, decision: Decision) -> Difference | None:
    """Return a size of the round that is on the wrong side, too large, or not what the policy's target says."""
    event, held = record.event, decision.loser_size
    if event.size is not None and held is not None and (event.size * held < 0 or abs(event.size) > abs(held)):
        return Difference("size", "size", record.seq, None, held, event.size)
    if decision.target is None or decision.rule is None:
        return None
    stated, unit = (event.need_cash, "cash") if decision.rule.fill.cash else (event.size, "size")
    if stated is None or stated == decision.target:
        return None
    return Difference("size", unit, record.seq, None, decision.target, stated)


def lacking(record: RoundRecord, decision: Decision) -> bool:
    """Return whether some of the plan is not on record."""
    return sum(part.amount for part in _planned(decision.plan)) > sum(part.amount for part in _recorded(record))


def recorded_parts(record: RoundRecord, decision: Decision) -> int:
    """Return how many closes or charges are on record, those that count as one under the policy as one."""
    return len(_seen(record, decision))


def matched(record: RoundRecord, decision: Decision) -> int:
    """Return how many of them are at their place of the plan, with its account and amount."""
    if decision.rule is None or decision.missing:
        return 0
    planned, seen = _planned(decision.plan), _seen(record, decision)
    if decision.rule.fill.kind is not FillKind.QUEUE:
        wanted = {part.account: part for part in planned}
        planned = [wanted.get(part.account, part._replace(amount=0)) for part in seen]
    pairs = zip(planned, seen, strict=False)
    return sum((one.account, one.amount) == (other.account, other.amount) for one, other in pairs)


def _seen(record: RoundRecord, decision: Decision) -> list[_Part]:
    queue = decision.rule is None or decision.rule.fill.kind is FillKind.QUEUE
    return _in_a_row(_recorded(record)) if queue else _by_account(_recorded(record))


def _planned(made: Plan) -> list[_Part]:
    closes = [_Part(0, close.winner, close.size, close.price) for close in made.closes]
    return [*closes, *(_Part(0, charge.payer, charge.cash, None) for charge in made.charges)]


def _recorded(record: RoundRecord) -> list[_Part]:
    closes = [_Part(close.seq, close.event.winner, close.event.size, close.event.price) for close in record.closes]
    return [*closes, *(_Part(charge.seq, charge.payer, charge.cash, None) for charge in record.charges)]


def _compare_queue(record: RoundRecord, parts: Sequence[_Part], planned: Sequence[_Part], unit: str) -> Difference | None:
    """Return the first difference, place by place."""
    for number in range(max(len(planned), len(parts))):
        expected = planned[number] if number < len(planned) else None
        seen = parts[number] if number < len(parts) else None
        if seen is None or expected is None:
            if seen is None and not record.over:
                return None
            where = record.last_seq if seen is None else seen.seq
            return Difference("winner", "account", where, number + 1, expected and expected.account, seen and seen.account)
        if seen.account != expected.account:
            # Two right accounts in the wrong places are an order; anybody else is another winner.
            swapped = any(part.account == seen.account for part in planned) and any(
                part.account == expected.account for part in parts
            )
            field = "order" if swapped else "winner"
            return Difference(field, "account", seen.seq, number + 1, expected.account, seen.account)
        unfinished = not record.over and seen is parts[-1]
        difference = _of_one(expected, seen, number + 1, unit, unfinished=unfinished)
        if difference is not None:
            return difference
    return None


def _compare_level(record: RoundRecord, parts: Sequence[_Part], planned: Sequence[_Part], unit: str) -> Difference | None:
    """Return the first recorded part that the plan does not have, then the first account that the record lacks."""
    wanted = {part.account: part for part in planned}
    seen_accounts = {part.account for part in parts}
    lacks = [part for part in planned if part.account not in seen_accounts]
    for number, seen in enumerate(parts, 1):
        expected = wanted.pop(seen.account, None)
        if expected is None:
            instead = lacks[0].account if lacks else None
            return Difference("winner", "account", seen.seq, number, instead, seen.account)
        unfinished = not record.over and seen is parts[-1]
        difference = _of_one(expected, seen, number, unit, unfinished=unfinished)
        if difference is not None:
            return difference
    if lacks and record.over:
        return Difference("winner", "account", record.last_seq, len(parts) + 1, lacks[0].account, None)
    return None


def _of_one(expected: _Part, seen: _Part, number: int, unit: str, *, unfinished: bool) -> Difference | None:
    """Return the difference of two parts of one account; of an unfinished one more may still come."""
    if seen.amount != expected.amount and not (unfinished and seen.amount < expected.amount):
        return Difference("size", unit, seen.seq, number, expected.amount, seen.amount)
    if seen.price != expected.price:
        return Difference("price", "price", seen.seq, number, expected.price, seen.price)
    return None


def _in_a_row(parts: Iterable[_Part]) -> list[_Part]:
    whole: list[_Part] = []
    for part in parts:
        if whole and (whole[-1].account, whole[-1].price) == (part.account, part.price):
            whole[-1] = whole[-1]._replace(amount=whole[-1].amount + part.amount)
        else:
            whole.append(part)
    return whole


def _by_account(parts: Iterable[_Part]) -> list[_Part]:
    whole: dict[tuple[int, int | None], _Part] = {}
    for part in parts:
        first = whole.get((part.account, part.price))
        whole[part.account, part.price] = part if first is None else first._replace(amount=first.amount + part.amount)
    return list(whole.values())
