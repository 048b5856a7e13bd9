"""GMX v2 vectors: profit against the pool. Source: github:gmx-io/gmx-synthetics@a5c0c883; adl-rules.md section 9.

The pool is a vault that holds its money and no position: the contract counts the pool without the traders' profit.
"""

from fractions import Fraction

from events.model import Role
from replay.conform.answers import Answer, Solved
from replay.conform.given import Given, InapplicableError
from replay.conform.stage import Held, Listed, Party, Stage, fraction
from replay.conform.triggers import bounded
from replay.core import margin
from replay.core.policy import Quantity, Ratio
from replay.presets import preset

__all__ = ["SOLVERS"]

# Order types as the venue numbers them.
ADL_ORDER = "1 (Adl)"
MARKET, TRADER, POOL = "market", "trader", "pool"
THROUGH = "preset gmx-v2: trigger"


def _position(given: Given) -> tuple[Held, Fraction]:
    """Return the one position and its price; its tokens are its USD size at entry where not given."""
    position = given.row("positions")
    usd, entry = position.number("size_usd"), position.number("entry")
    position.leave("account")
    if "size_tokens" not in position:
        tokens = usd / entry
    elif (tokens := position.number("size_tokens")) * entry != usd:
        raise InapplicableError("the size in USD is not that of the tokens at entry")
    price = given.sub("prices").number(position.text("market"))
    long = position.choice("side", "long", "short") == "long"
    return Held(tokens if long else -tokens, entry), price


def _pool(given: Given) -> Fraction:
    params, prices = given.sub("params"), given.sub("prices")
    if "pool_usd" not in params:
        return params.number("pool_long_tokens") * prices.number("WNT")
    params.leave("pool_long_tokens")  # part of the pool's worth
    prices.leave("WNT")
    return params.number("pool_usd")


def _evaluated(given: Given, *, pool: Fraction, most: Fraction | None) -> tuple[Fraction, Fraction, bool]:
    """Return the trader's profit, its share of the pool, and whether the preset's trigger holds with that limit.

    Without a limit it is the preset's own.
    """
    held, price = _position(given)
    if pool <= 0 or not held.size:
        raise InapplicableError("the pool is empty, so there is no factor, or there is no position")
    parties = {TRADER: Party(Fraction(0), {MARKET: held}), POOL: Party(pool, role=Role.VAULT)}
    texts = preset("gmx-v2").texts if most is None else bounded("gmx-v2", {Quantity.POOL_FACTOR: most})
    stage = Stage({MARKET: Listed(price)}, parties, [texts])
    pnl = stage.money(margin.unrealised(stage.state, stage.account(TRADER), stage.market(MARKET)))
    draft, policy = stage.draft(POOL, MARKET, size=-held.size), stage.policy()
    factors = [one.left for one in stage.conditions(draft, policy) if one.condition.quantity is Quantity.POOL_FACTOR]
    if len(factors) != 1 or not isinstance(factors[0], Ratio):
        raise InapplicableError("the preset does not look at one factor of the pool")
    # The preset counts what winners have won; the contract's number is below zero where the side has lost.
    factor = fraction(factors[0]) if pnl > 0 else pnl / pool
    return pnl, factor, stage.holds(draft, policy)


def trigger(given: Given) -> Solved:
    """Answer the profit, its share of the pool, and whether ADL is enabled."""
    params = given.sub("params")
    pnl, factor, enabled = _evaluated(given, pool=_pool(given), most=params.number("max_pnl_factor_for_adl"))
    params.leave("min_pnl_factor_after_adl")  # a limit on the close, not on the trigger
    given.row("positions").leave("collateral")
    answer: dict[str, object] = {"pnl_usd": pnl, "pnl_to_pool_factor": factor, "adl_enabled": enabled}
    if "close_size_usd" in params and enabled:
        params.leave("close_size_usd")
        answer["secondary_order_type"] = ADL_ORDER
    return Solved(answer, THROUGH)


def adl_match(given: Given) -> Solved:
    """Answer whether an ADL order is refused because ADL is not enabled. Without profit no pool or limit matters."""
    params = given.sub("params")
    params.leave("close_size_usd")
    if "max_pnl_factor_for_adl" in params:
        _, _, enabled = _evaluated(given, pool=_pool(given), most=params.number("max_pnl_factor_for_adl"))
    else:
        pnl, _, enabled = _evaluated(given, pool=Fraction(1), most=None)
        if pnl > 0:
            raise InapplicableError("given has no pool and no limit for the profit")
    if enabled:
        raise InapplicableError("ADL is enabled, and fees and price impact of the order are not in given")
    given.sub("prices").leave("WNT")
    answer: Answer = {"error": "AdlNotEnabled"}
    return Solved(answer, THROUGH)


SOLVERS = {"adl_match": adl_match, "trigger": trigger}
