"""A preset's trigger on the numbers of a vector: Bybit's and OKX's drawdown of a fund.

A vector states the limits of its own market or example. They take the place of the preset's bounds, and the conditions, their
relations and how they are joined stay the preset's.
"""

from collections.abc import Mapping
from fractions import Fraction

from msgspec.structs import replace

from events.model import Reason, Role, Transfer
from replay.conform.given import InapplicableError
from replay.conform.stage import Listed, Party, Stage
from replay.core.policy import Clauses, Policy, Quantity, Ratio
from replay.core.spelling import PARAMETERS, Texts, spell
from replay.core.triggers import Evaluated
from replay.presets import preset

__all__ = ["any_clause", "bounded", "conditions_of_fund"]

FUND, LOSER, MARKET, PAYEE = "fund", "loser", "market", "who is paid"


def bounded(name: str, bounds: Mapping[Quantity, Fraction]) -> Texts:
    """Return the texts of a preset with other bounds of its start, where a condition there has a bound that is not 0."""
    policy, texts = preset(name).policy, preset(name).texts
    start: Clauses = tuple(
        tuple(
            replace(one, bound=Ratio(*bounds[one.quantity].as_integer_ratio()))
            if one.bound.numerator and one.quantity in bounds
            else one
            for one in clause
        )
        for clause in policy.trigger.start
    )
    changed: Policy = replace(policy, trigger=replace(policy.trigger, start=start))
    return texts._replace(**dict(zip(PARAMETERS, spell(changed), strict=True)))


def conditions_of_fund(texts: Texts, balance: Fraction, peak: Fraction, level: Fraction) -> list[Evaluated]:
    """Return the conditions of a trigger's start for a fund with that balance now, which fell from ``peak`` to ``level``.

    A fund has one balance, and a vector may state a balance that the fall has not reached yet. So two ledgers are made: in one
    the fund has the balance, in the other it had the peak and paid down to the level. Drawdowns are looked at in the second.
    """
    if level > peak:
        raise InapplicableError("the fund has not fallen from its highest level")
    found = []
    for first, rest in ((balance, balance), (peak, level)):
        parties = {FUND: Party(first, role=Role.FUND), LOSER: Party(Fraction(0)), PAYEE: Party(Fraction(0))}
        stage = Stage({MARKET: Listed(Fraction(1))}, parties, [texts])
        if first > rest:
            payer, payee = stage.account(FUND), stage.account(PAYEE)
            stage.apply(Transfer(1, 0, 0, payer, payee, stage.units(first - rest), Reason.OTHER, None))
        found.append(stage.conditions(replace(stage.draft(LOSER, MARKET), at_ns=1), stage.policy()))
    return [fallen if now.condition.quantity is Quantity.DRAWDOWN else now for now, fallen in zip(*found, strict=True)]


def any_clause(conditions: list[Evaluated]) -> bool:
    """Return whether all conditions of any one clause hold. Which are looked at must be known."""
    if any(one.holds is None for one in conditions):
        raise InapplicableError("the small ledger does not decide the trigger")
    clauses = {one.clause for one in conditions}
    return any(all(one.holds for one in conditions if one.clause == clause) for clause in clauses)
