"""Paradex vectors: no ADL but a charge on withdrawals, and partial liquidation by one share of all positions.

Source: github:tradeparadex/paradex-docs@9b82a75a, fern/pages/risk-system/{socialized-losses,liquidations}.mdx; adl-rules.md
section 10.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from events.errors import MisuseError
from events.model import Reason, Role, Transfer
from replay.conform.answers import ById, Chosen, Printed, Solved
from replay.conform.given import Given, InapplicableError, unique_ids
from replay.conform.stage import Held, Listed, Party, Stage
from replay.core.engine import Moment, Rules, Withdrawal, decide
from replay.presets import preset

__all__ = ["SOLVERS", "exchange_bankruptcy", "haircut_factor", "share_table"]

FUND, LEAVING, OWING, MARKET = "insurance", "who leaves", "who owes", "market"
THROUGH = "preset paradex: engine"
BY_FORMULA = "the page's formula divides by total balance + shortfall; its example divides by the balance alone"
BY_EXAMPLE = "the page's example divides by the total balance alone; its formula adds the shortfall to it"
STEP_LEAST = Fraction(1, 1000)
FEE = "the page's text sets the fee to one share of the margin and its table uses another; the table's is taken"


def exchange_bankruptcy(values: Mapping[str, Fraction], fund: Fraction) -> tuple[Fraction, Fraction]:
    """Return what accounts are below zero in all, and how much of it the fund does not cover."""
    amount = sum((max(Fraction(0), -value) for value in values.values()), Fraction(0))
    return amount, max(Fraction(0), amount - fund)


def haircut_factor(shortfall: Fraction, balance: Fraction) -> Fraction:
    """Return the share of a withdrawal that goes to the fund: ``shortfall / (balance + shortfall)``."""
    return shortfall / (balance + shortfall)


def share_table(
    value: Fraction, required: Fraction, fee: Fraction, step: Fraction, target: Fraction
) -> tuple[list[tuple[Fraction, Fraction, Fraction, Fraction]], Fraction]:
    """Return rows of (share, penalty, account value, margin ratio), and the least share that meets ``target``.

    All positions are closed by one share, a multiple of ``step``; the whole where no smaller one does.
    """
    rows, chosen = [], Fraction(1)
    for number in range(1, -(-1 // step)):
        share = number * step
        penalty = fee * required * share
        left = value - penalty
        if left <= 0:
            raise InapplicableError("the penalty takes the whole account")
        ratio = required * (1 - share) / left
        rows.append((share, penalty, left, ratio))
        if ratio < target:
            chosen = min(chosen, share)
    return rows, chosen


def withdrawal_haircut(given: Given) -> Solved:
    """Answer a withdrawal's split, the fund after a takeover, or the factor: by the engine's gate, under the preset."""
    params = given.sub("params")
    if "withdraw" in params:
        return _split(params.number("withdraw"), params.number("factor"))
    if "insurance_usdc_after_takeover" in params:
        return _after_takeover(given)
    return _factor(given)


def _withdrawn(stage: Stage, name: str, amount: Fraction) -> tuple[Fraction, Fraction]:
    """Return what the engine pays out of a withdrawal, and what it keeps for the fund."""
    try:
        decision = decide(stage.state, Withdrawal(stage.account(name), stage.units(amount)), Rules(0), Moment(0, 0, 0, 0))
    except MisuseError as error:
        raise InapplicableError(f"the engine cannot decide: {error.message}") from error
    if decision.refusal is not None:
        raise InapplicableError(f"the engine refuses the withdrawal: {decision.refusal}")
    moved = {Reason.WITHDRAWAL: 0, Reason.SOCIALISED_LOSS: 0}
    for event in decision.events:
        if not isinstance(event, Transfer) or event.reason not in moved:
            raise InapplicableError("the engine does something else than to pay out and keep")
        moved[event.reason] += event.cash
    return stage.money(moved[Reason.WITHDRAWAL]), stage.money(moved[Reason.SOCIALISED_LOSS])


def _split(amount: Fraction, factor: Fraction) -> Solved:
    """Split a withdrawal by a factor that is given: one account has all the money, another owes that share of it."""
    if amount <= 0 or not 0 <= factor <= 1:
        raise InapplicableError("nothing is withdrawn, or the factor is no share")
    # The factor is what is owed over balances and that together, and a debt is a balance below zero.
    parties = {FUND: Party(Fraction(0), role=Role.FUND), LEAVING: Party(amount), OWING: Party(-amount * factor)}
    paid, kept = _withdrawn(Stage({MARKET: Listed(Fraction(1))}, parties, [preset("paradex").texts]), LEAVING, amount)
    return Solved({"to_insurance": kept, "to_user": paid}, THROUGH)


def _after_takeover(given: Given) -> Solved:
    params, position = given.sub("params"), given.row("positions")
    position.choice("account", FUND)
    held, mark = Held(position.number("size"), position.number("entry")), given.sub("prices").number("mark")
    cash = params.number("insurance_usdc_after_takeover") - held.size * (held.entry or 0)
    parties = {FUND: Party(cash, {MARKET: held}, Role.FUND), LEAVING: Party(Fraction(1))}
    stage = Stage({MARKET: Listed(mark)}, parties, [preset("paradex").texts])
    value = stage.equity(FUND)
    if value < 0:
        raise InapplicableError("the fund is below zero, and the balances that the factor divides by are not in given")
    return Solved({"insurance_value": value, "factor": _withdrawn(stage, LEAVING, Fraction(1))[1]}, THROUGH)


def _factor(given: Given) -> Solved:
    prices, rows = given.sub("prices"), given.rows("accounts")
    mark, usdc = prices.number("mark"), prices.number("usdc")
    names = unique_ids(rows)
    cash = {name: row.number("usdc") for name, row in zip(names, rows, strict=True)}
    held: dict[str, Held] = {}
    for row in given.rows("positions"):
        name = row.choice("account", *names)
        if name in held or usdc <= 0:
            raise InapplicableError("an account has two positions, or USDC is worth nothing")
        held[name] = Held(row.number("size"), row.number("entry") / usdc)
    parties = {
        name: Party(
            balance - (held[name].size * (held[name].entry or 0) if name in held else 0),
            {MARKET: held[name]} if name in held else {},
            Role.FUND if name == FUND else Role.USER,
        )
        for name, balance in cash.items()
    }
    stage = Stage({MARKET: Listed(mark / usdc)}, parties, [preset("paradex").texts])
    values = {name: stage.equity(name) for name in names if name != FUND}
    amount, shortfall = exchange_bankruptcy(values, cash.get(FUND, Fraction(0)))
    total = sum(cash.values(), Fraction(0))
    return Solved(
        {
            **{f"{name}_upnl": usdc * (stage.equity(name) - cash[name]) for name in names},
            **{f"{name}_value": value for name, value in values.items()},
            "bankruptcy_amount": amount,
            "exchange_bankruptcy": shortfall,
            "factor_by_formula": Chosen(_engine_factor(stage, names, haircut_factor(shortfall, total)), BY_FORMULA),
            "factor_stated": Chosen(shortfall / total, BY_EXAMPLE),
        },
        THROUGH,
    )


def _engine_factor(stage: Stage, names: Sequence[str], formula: Fraction) -> Fraction:
    """Return the share that the engine keeps of a withdrawal of one unit: ``formula`` where it is that, rounded up."""
    for name in names:
        try:
            kept = _withdrawn(stage, name, Fraction(1))[1]
        except InapplicableError:
            continue  # who has no free unit cannot show it
        return formula if stage.units(kept) == -(-formula * stage.units(Fraction(1)) // 1) else kept
    raise InapplicableError("no account has one unit free, so no withdrawal shows the factor")


def liquidation_size(given: Given) -> Solved:
    """Answer the table of shares, the share that is chosen, and what is left."""
    account, params, prices = given.row("accounts"), given.sub("params"), given.sub("prices")
    cash, rate = account.number("usdc"), params.number("maintenance")
    profit, required, sizes = Fraction(0), Fraction(0), {}
    for row in given.rows("positions"):
        row.choice("account", account.text("id"))
        market, size = row.text("market"), row.number("size")
        profit += size * (prices.number(market) - row.number("entry"))
        required += rate * abs(size) * prices.number(market)
        sizes[market] = size
    params.leave("fee_stated")
    fee, step = params.number("fee_used_in_table"), params.number("share_step")
    if not STEP_LEAST <= step <= 1 or len(sizes) < len(given.rows("positions")):
        raise InapplicableError("the step of shares is not between 0.001 and 1, or a market has two positions")
    rows, chosen = share_table(cash + profit, required, fee, step, params.number("target_margin_ratio"))
    table = [
        {"share": 100 * share, "penalty": penalty, "account_value": value, "margin_ratio_pct": Printed(100 * ratio)}
        for share, penalty, value, ratio in rows
    ]
    return Solved(
        {
            "account_value": cash + profit,
            "maintenance": required,
            "table": Chosen(table, FEE),
            "chosen_share": 100 * chosen,
            "collateral_after": Chosen(cash + profit * chosen - fee * required * chosen, FEE),
            "positions_after": ById({market: size * (1 - chosen) for market, size in sizes.items()}),
        }
    )


SOLVERS = {"liquidation_size": liquidation_size, "withdrawal_haircut": withdrawal_haircut}
