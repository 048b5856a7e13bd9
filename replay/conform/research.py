"""Vectors of the research: arXiv 2512.01112v3 and 2602.15182, github:pluriholonomic/autodeleveraging-analysis@aae0be8.

adl-rules.md section 18. Amounts are in the papers' units.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

from events.units import Contract
from replay.conform.answers import BY_VENUE_FUNCTION, ById, Near, OneOf, Printed, Solved
from replay.conform.given import Given, InapplicableError, unique_ids
from replay.conform.numbers import exact_close_price, exact_greedy
from replay.conform.stage import Held, Listed, Party, Stage
from replay.core.policy import Atom
from replay.core.scoring import atoms_of
from replay.core.sharing import weights
from replay.presets import preset

__all__ = ["SOLVERS", "liquidation_price", "markouts", "risk_aware_shares"]

PRO_RATA = "pro-rata to positive PnL"
WEIGHT = "equity * leverage * g(leverage)"
G_OPEN = "given does not say which g(leverage) weighs the accounts"
# The paper computes shares from more digits than it prints of equity and leverage.
SHARE_TOLERANCE = Fraction(1, 400)
# Leverage is printed with three decimals.
LEVERAGE_TOLERANCE = Fraction(1, 2_000)
# The linear and the CVaR risk model of main_examples.tex; its power model is no preset.
RISK_AWARE = ("rap", "rap-over")
MONEY_DECIMALS = 6
MARKET, LOSER = "market", "who lost"


def risk_aware_shares(name: str, equities: Sequence[Fraction], notionals: Sequence[Fraction]) -> list[Fraction]:
    """Return each account's share by the weight of a preset's fill, from equity and notional; equity is above 0."""
    policy, steps = preset(name).policy, lcm(*(value.denominator for value in (*equities, *notionals)))
    columns = {
        Atom.EQUITY: [int(value * steps) for value in equities],
        Atom.EXPOSURE: [int(value * steps) for value in notionals],
        Atom.SIZE: [1] * len(equities),
        Atom.ONE: [1] * len(equities),
    }
    if not columns.keys() >= {atom for measure in policy.fill.weight for atom in atoms_of(measure)}:
        raise InapplicableError("the preset's weight looks at figures that are not in given")
    parts = weights(policy, columns.__getitem__, steps)
    return [Fraction(part, sum(parts)) for part in parts]


def allocation(given: Given) -> Solved:
    """Answer what a queue or pro-rata seizes of profits, or the shares of risk-aware pro-rata."""
    params = given.sub("params")
    if "weight" not in params:
        return _seizure(given)
    params.choice("weight", WEIGHT)
    equities, notionals = [], []
    for row in given.rows("accounts"):
        row.leave("id")
        equities.append(row.number("equity"))
        notionals.append(row.number("notional"))
        if equities[-1] <= 0 or abs(row.number("leverage") - notionals[-1] / equities[-1]) > LEVERAGE_TOLERANCE:
            raise InapplicableError("an equity is not above zero, or a leverage is not notional over equity")
    by_preset = {
        name: [Near(share, SHARE_TOLERANCE) for share in risk_aware_shares(name, equities, notionals)] for name in RISK_AWARE
    }
    return Solved({"shares": OneOf(by_preset, G_OPEN)}, f"preset {' or '.join(RISK_AWARE)}: weight")


def _seizure(given: Given) -> Solved:
    """Answer a budget of theta * deficit raised from profits: cash is protected, so a cap is the positive PnL."""
    params, rows = given.sub("params"), given.rows("accounts")
    names = unique_ids(rows)
    equity = [row.number("equity") for row in rows]
    for row in rows:
        row.leave("cash")
    profits = [row.number("pnl") for row in rows]
    caps = [max(profit, Fraction(0)) for profit in profits]
    budget, deficit = params.number("budget"), params.number("deficit")
    if deficit != sum(max(-value, Fraction(0)) for value in equity) or budget != params.number("theta") * deficit:
        raise InapplicableError("the deficit is not that of the accounts, or the budget not theta times the deficit")
    if not 0 <= budget <= sum(caps):
        raise InapplicableError("the budget is more than all profits")
    if params.choice("allocation", "greedy", PRO_RATA) == PRO_RATA:
        seized, through = _pro_rata(profits, budget), "preset pro-rata: plan"
        haircut: object = budget / sum(caps)
    else:
        order = params.texts("queue_order")
        if sorted(order) != sorted(name for name, cap in zip(names, caps, strict=True) if cap):
            raise InapplicableError("the queue does not name the accounts with profit, each once")
        shares = dict(zip(order, exact_greedy([caps[names.index(name)] for name in order], budget), strict=True))
        seized, through = [shares.get(name, Fraction(0)) for name in names], "core: greedy"
        haircut = [share / cap if cap else Fraction(0) for share, cap in zip(seized, caps, strict=True)]
    after = [value - share for value, share in zip(equity, seized, strict=True)]
    return Solved({"seized": seized, "haircut_fraction": haircut, "equity_after": after}, through)


def _pro_rata(profits: Sequence[Fraction], budget: Fraction) -> list[Fraction]:
    """Return what the preset's plan charges accounts with these profits, as it would without a grid.

    A money unit is so small a part of the papers' unit that every share of the budget by profit is whole.
    """
    steps = lcm(budget.denominator, *(profit.denominator for profit in profits))
    fine = steps * (int(sum(max(profit, Fraction(0)) for profit in profits) * steps) or 1)
    unit = Fraction(1, 10**MONEY_DECIMALS)
    held = [int(profit * fine) for profit in profits]
    # A long bought at one money unit and worth two, or a short sold at one: a contract wins or loses one money unit.
    parties = {str(number): Party(-size * unit, {MARKET: Held(Fraction(size), unit)}) for number, size in enumerate(held)}
    parties[LOSER] = Party(-budget * fine * unit)
    stage = Stage({MARKET: Listed(2 * unit)}, parties, [preset("pro-rata").texts], money_decimals=MONEY_DECIMALS)
    opened = stage.draft(LOSER, MARKET)
    stage.begin(opened)
    seized = [Fraction(0)] * len(profits)
    for charge in stage.plan(opened, stage.policy()).charges:
        seized[int(stage.name(charge.payer))] = Fraction(charge.cash, fine)
    return seized


def liquidation_price(bankruptcy: Fraction, size: Fraction, rate: Fraction) -> Fraction:
    """Return the price at which equity is ``rate`` of the notional: beyond the bankruptcy price by that part of itself."""
    return bankruptcy / (1 - rate) if size > 0 else bankruptcy / (1 + rate)


def bankruptcy_price(given: Given) -> Solved:
    """Answer the bankruptcy price of each account, not below zero, and with a maintenance rate the liquidation price."""
    params, rows = given.sub("params"), given.rows("accounts")
    cash = {name: row.number("cash") for name, row in zip(unique_ids(rows), rows, strict=True)}
    given.sub("prices").leave("mark")  # neither price depends on it
    prices: dict[str, Fraction] = {}
    sizes: dict[str, Fraction] = {}
    for row in given.rows("positions"):
        name, size, entry = row.choice("account", *cash), row.number("size"), row.number("entry")
        if size == 0 or name in prices:
            raise InapplicableError(f"{name} has no position or two")
        prices[name], sizes[name] = max(_bankruptcy_price(size, entry, cash[name]), Fraction(0)), size
    through = "core: bankruptcy price"
    if "maintenance" not in params:
        return Solved({"bankruptcy_price": ById(prices)}, through)
    rate = params.number("maintenance")
    liquidation = {name: Printed(liquidation_price(price, sizes[name], rate)) for name, price in prices.items()}
    answer = {"bankruptcy_price": ById(prices), "liquidation_price": ById(liquidation)}
    return Solved(answer, f"{through}; {BY_VENUE_FUNCTION}")


def _bankruptcy_price(size: Fraction, entry: Fraction, money: Fraction) -> Fraction:
    """Return the ledger's bankruptcy price of a position; in a currency that is so small a part that all amounts end."""
    cash = money - size * entry
    exact = exact_close_price(Contract.LINEAR, size, -cash)
    if exact is None:
        raise InapplicableError("there is no bankruptcy price")
    scale = lcm(entry.denominator, cash.denominator)
    party = Party(cash * scale, {MARKET: Held(size)})
    stage = Stage({MARKET: Listed(entry * scale)}, {LOSER: party}, [], losers=[LOSER])
    return stage.bankruptcy_price(LOSER, MARKET, exact * scale) / scale


def markouts(quantity: Fraction, execution: Fraction, mark: Fraction, later: Fraction) -> tuple[Fraction, Fraction]:
    """Return the immediate and the opportunity markout of a signed quantity (docs/FAQs.md)."""
    return quantity * (mark - execution), quantity * (later - mark)


def metric(given: Given) -> Solved:
    """Answer markouts, or the bad debt of a slice closed beyond the bankruptcy price."""
    params, prices = given.sub("params"), given.sub("prices")
    if "signed_quantity" in params:
        keys = ("signed_quantity", "execution", "mark_at_execution", "mark_later")
        immediate, opportunity = markouts(*(params.number(key) for key in keys))
        return Solved({"immediate": immediate, "opportunity": opportunity, "total": immediate + opportunity})
    if "waves" in params:
        raise InapplicableError("what each wave needed and used is in a file of the source, and not in given")
    gap = prices.number("bankruptcy") - prices.number("execution")
    return Solved({"bad_debt": Printed(max(params.number("size") * gap, Fraction(0)))})


SOLVERS = {"allocation": allocation, "bankruptcy_price": bankruptcy_price, "metric": metric}
