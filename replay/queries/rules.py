"""What the queries ask of a policy: whether its trigger holds, and what it would close. Nothing else here knows of policies."""

from typing import NamedTuple

from events.errors import BadInputError
from events.model import AdlRound, PriceRule
from events.units import div_half_even, format_units
from replay.core.missing import MISSING_POLICY
from replay.core.plan import Plan, plan
from replay.core.policy import Policy, Ratio, Relation, policy_for
from replay.core.spelling import parse_policy
from replay.core.state import State
from replay.core.triggers import evaluated, fund_pools, trigger_gaps, triggered

__all__ = ["Predicate", "conditions", "draft", "fund_cash", "planned", "predicate"]


def fund_cash(state: State) -> int | None:
    """Return the cash of all fund accounts together, None where there is none or one's cash is not known."""
    funds = fund_pools(state)
    return sum(state.cash[fund] for fund in funds) if funds and all(state.cash_known[fund] for fund in funds) else None


def _in_force(state: State, market: int) -> Policy | None:
    """Return the policy in force for a market, None where there is none on record or it cannot be read."""
    number = policy_for(state, market)
    try:
        return None if number is None else parse_policy(state.policies[number])
    except BadInputError:
        return None


def draft(state: State, account: int, market: int, at_ns: int) -> AdlRound:
    """Return a round that has not begun, against ``account``'s position in ``market``."""
    return AdlRound(
        at_ns,
        0,
        0,
        round=len(state.rounds),
        loser=account,
        market=market,
        size=None,
        price=None,
        price_rule=PriceRule.UNKNOWN,
        mark=None,
        oracle=None,
        bankruptcy=None,
        policy=None,
        pools=(),
        need_cash=None,
        as_of=None,
        cause=None,
        seed=None,
    )


_RELATIONS = {Relation.BELOW: "<", Relation.AT_MOST: "<=", Relation.ABOVE: ">", Relation.AT_LEAST: ">="}
_DECIMALS = 8


class Predicate(NamedTuple):
    """The trigger of the policy in force as its text, None where there is none; whether it holds, and why that is not known."""

    text: str | None
    holds: bool | None
    missing: tuple[str, ...]


def predicate(state: State, round: AdlRound) -> Predicate:  # noqa: A002  the field's own word
    """Evaluate the trigger for a round, or a draft of one, from ``state`` as it was just before."""
    number, policy = policy_for(state, round.market), _in_force(state, round.market)
    if number is None:
        return Predicate(None, None, (MISSING_POLICY,))
    text = state.policies[number].trigger
    if policy is None:
        return Predicate(text, None, ("policy that can be read",))
    holds = triggered(state, round, policy)
    return Predicate(text, holds, tuple(trigger_gaps(state, round, policy)) if holds is None else ())


def conditions(state: State, round: AdlRound) -> list[tuple[str, str | None, str, str, bool | None]]:  # noqa: A002  as above
    """Return each condition of the trigger: what it looks at, its value, relation, bound, and whether it holds."""
    policy = _in_force(state, round.market)
    return [
        (
            one.condition.quantity.name.lower(),
            None if one.left is None else _number(one.left),
            _RELATIONS[one.condition.relation],
            _number(one.condition.bound),
            one.holds,
        )
        for one in ([] if policy is None else evaluated(state, round, policy))
        if not one.stop
    ]


def _number(ratio: Ratio) -> str:
    """Return an exact number as it is where it has so few decimals, else rounded once."""
    if ratio.denominator == 0:
        return "unbounded"
    return format_units(div_half_even(ratio.numerator * 10**_DECIMALS, ratio.denominator), _DECIMALS)


def planned(state: State, round: AdlRound) -> Plan:  # noqa: A002  the field's own word
    """Return the plan of a round under the policy in force. Where none can be made, it names what is missing."""
    return plan(state, round, _in_force(state, round.market))
