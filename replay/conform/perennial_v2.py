"""Perennial v2 vectors: no ADL and no fund, a shortfall stays as debt.

Source: github:equilibria-xyz/perennial-v2@99780561; adl-rules.md section 16.
"""

from fractions import Fraction

from replay.conform.answers import Open, Solved
from replay.conform.given import Given, InapplicableError, unique_ids
from replay.core.policy import LayerKind
from replay.presets import preset

__all__ = ["SOLVERS", "maker_profit"]

NO_PRICES = "given names moves of the price but no price, nor the payoff that turns them into money"


def maker_profit(size: Fraction, maker_size: Fraction, taker_net: Fraction, move: Fraction) -> Fraction:
    """Return what a move of the price makes a maker: its share of the takers' net position, the other way round."""
    return -taker_net * size / maker_size * move


def bankruptcy_waterfall(given: Given) -> Solved:
    """Answer a maker's collateral after a move, or that a shortfall stays as debt that anybody may repay."""
    params = given.sub("params")
    return _debt(given) if "price_moves" in params else _components(given)


def _debt(given: Given) -> Solved:
    params = given.sub("params")
    params.texts("price_moves")
    params.choice("adl", "none")
    params.choice("insurance", "none")
    for row in (*given.rows("accounts"), *given.rows("positions")):
        row.leave("id", "collateral", "account", "side", "size")
    collateral, policy = Open(NO_PRICES), preset("perennial-v2").policy
    return Solved(
        {
            "maker_collateral": collateral,
            "maker_collateral_quantums": collateral,
            "stays_as_debt": not policy.trigger.start and policy.layers[-1].kind is LayerKind.DEBT,
            "repayable_by_anyone": True,
        },
        "preset perennial-v2: trigger, layers; venue function",
    )


def _components(given: Given) -> Solved:
    account, params, prices = given.row("accounts"), given.sub("params"), given.sub("prices")
    name = unique_ids([account])[0]
    maker, others = Fraction(0), Fraction(0)
    for row in given.rows("positions"):
        side, size = row.choice("side", "maker", "long", "short"), row.number("size")
        if (row.text("account") == name) is not (side == "maker"):
            raise InapplicableError("the rule is for one maker, whose account is given, against takers")
        if side == "maker":
            maker += size
        else:
            others += size if side == "long" else -size
    if maker <= 0 or abs(others) > maker:
        raise InapplicableError("the maker's liquidity does not cover the takers")
    pnl = maker_profit(maker, maker, others, prices.number("to") - prices.number("from"))
    fees = params.number("settlement_fee") + params.number("liquidation_fee")
    return Solved({"pnl": pnl, "collateral_before_funding_and_interest": account.number("collateral") + pnl - fees})


SOLVERS = {"bankruptcy_waterfall": bankruptcy_waterfall}
