"""Bybit vectors: the drawdown trigger, and the bankruptcy price of a cross position.

Sources: github:bybit-exchange/docs@072c197d0, docs/v5/market/adl-alert.mdx; wuyelx.com/6291.html (third-party copy);
adl-rules.md section 5.
"""

from collections.abc import Sequence
from fractions import Fraction

from events.units import Contract
from replay.conform.answers import Chosen, Solved
from replay.conform.given import Given, InapplicableError, signed_size
from replay.conform.numbers import exact_close_price
from replay.conform.stage import Held, Listed, Party, Stage, fraction
from replay.conform.triggers import any_clause, bounded, conditions_of_fund
from replay.core.policy import Quantity
from replay.core.triggers import Evaluated

__all__ = ["SOLVERS"]

AT_EQUALITY = "the page's rule says below the threshold and its example triggers at it; the preset has the example"
THROUGH = "preset bybit: trigger"


def trigger(given: Given) -> Solved:
    """Answer whether ADL starts, by which condition, and how much it covers."""
    params = given.sub("params")
    balance = params.number("balance")
    if "insurance_pnl_ratio" not in params:
        params.leave("pool_8h_max_balance")  # of condition 1
        conditions = conditions_of_fund(bounded("bybit", {}), balance, Fraction(1), Fraction(1))
        empty = any_clause(_clauses(conditions, drawdown=False))
        return Solved({"condition_2_true": empty, "triggered": empty}, THROUGH)
    limit, threshold = params.number("insurance_pnl_ratio"), params.number("trigger_threshold")
    params.leave("stop_ratio")  # of the end, not of the beginning
    peak, level = _fall(params)
    bounds = {Quantity.DRAWDOWN: -limit, Quantity.FUND: threshold}
    conditions = conditions_of_fund(bounded("bybit", bounds), balance, peak, level)
    falls = [one.left for one in conditions if one.condition.quantity is Quantity.DRAWDOWN]
    if len(falls) != 1 or falls[0] is None:
        raise InapplicableError("the preset does not look at one fall of the fund")
    ratio = -fraction(falls[0])
    first, second = (any_clause(_clauses(conditions, drawdown=drawdown)) for drawdown in (True, False))
    triggered: object = any_clause(conditions)
    return Solved(
        {
            "pnl_ratio": ratio,
            "condition_1_true": first,
            "condition_2_true": second,
            "triggered": Chosen(triggered, AT_EQUALITY) if first and ratio == limit else triggered,
            "held_at_ratio": limit,
            **({"adl_covers": max(Fraction(0), (limit - ratio) * peak)} if "pool_8h_max_balance" in params else {}),
        },
        THROUGH,
    )


def _clauses(conditions: Sequence[Evaluated], *, drawdown: bool) -> list[Evaluated]:
    """Return the clauses that look at a drawdown, which is the page's condition 1, or the others."""
    looking = {one.clause for one in conditions if one.condition.quantity is Quantity.DRAWDOWN}
    return [one for one in conditions if (one.clause in looking) is drawdown]


def _fall(params: Given) -> tuple[Fraction, Fraction]:
    """Return the pool's highest level, and that less the fall of the symbol's profit; of 1 where only a ratio is given."""
    if "pnl_ratio" in params:
        return Fraction(1), 1 + params.number("pnl_ratio")
    peak = params.number("pool_8h_max_balance")
    if peak <= 0:
        raise InapplicableError("the pool was never above zero, so there is no ratio")
    return peak, peak + params.number("symbol_pnl") - params.number("symbol_8h_max_pnl")


def bankruptcy_price(given: Given) -> Solved:
    """Answer the price at which position margin and wallet balance are lost."""
    account, position = given.row("accounts"), given.row("positions")
    name = position.choice("account", account.text("id"))
    size, entry = signed_size(position), position.number("entry")
    if size == 0:
        raise InapplicableError("there is no position")
    cash = position.number("position_margin") + account.number("wallet_balance") - size * entry
    exact = exact_close_price(Contract.LINEAR, size, -cash)
    if exact is None:
        raise InapplicableError("there is no bankruptcy price")
    # Any mark gives the same price, as equity moves with it.
    stage = Stage({"": Listed(entry)}, {name: Party(cash, {"": Held(size)})}, [], losers=[name])
    return Solved({"bankruptcy_price": stage.bankruptcy_price(name, "", exact)}, "core: bankruptcy price")


SOLVERS = {"bankruptcy_price": bankruptcy_price, "trigger": trigger}
