"""Percolator vectors: pro-rata to unwarmed profit, and the O(1) waterfall of aggregates.

Sources: github:HaidarIDK/PERColator@10aae1b (allocation), github:aeyakovenko/percolator@d594e6a,
crates/model_safety/src/crisis/haircut.rs (waterfall), both Apache-2.0; adl-rules.md section 15.
"""

from collections.abc import Sequence
from fractions import Fraction

from msgspec import Struct

from replay.conform.answers import Solved
from replay.conform.given import Given, InapplicableError, unique_ids
from replay.conform.stage import Held, Listed, Party, Stage
from replay.core.policy import LayerKind
from replay.presets import preset

__all__ = ["SOLVERS", "Crisis", "Shared", "resolve", "share_loss"]

ALLOCATION = "pro-rata to unwarmed profit, floor, then +1 by largest remainder, ties to the lower index"
ORDER = "unvested profit, then insurance, then equity scale"
Q64 = 2**64
# The source counts whole units, and shares are whole: a unit is a money unit.
MONEY_DECIMALS = 6
UNIT = Fraction(1, 10**MONEY_DECIMALS)
MARKET, LOSER = "market", "who lost"


class Shared(Struct, frozen=True):
    """How a loss was shared. ``reduce_only`` says that the venue stops taking new risk."""

    haircuts: list[int]
    insurance: int
    uncovered: int
    reduce_only: bool


def share_loss(unwarmed: Sequence[int], loss: int, insurance: int, floor: int) -> Shared:
    """Share a loss by the layers of the preset: its plan's charges to profits, the fund above its floor, a debt.

    Profit that has not warmed up is unrealised profit of a position. The floor is the venue's, which the preset leaves out; so
    is reduce-only, to which it goes once the fund stands at its floor after paying, or a loss is uncovered.
    """
    # Each contract was bought at one unit and is worth two.
    parties = {
        str(number): Party(-amount * UNIT, {MARKET: Held(Fraction(amount), UNIT)}) for number, amount in enumerate(unwarmed)
    }
    parties[LOSER] = Party(-loss * UNIT)
    stage = Stage({MARKET: Listed(2 * UNIT)}, parties, [preset("percolator").texts], money_decimals=MONEY_DECIMALS)
    haircuts, rest, paid = [0] * len(unwarmed), loss, 0
    for layer in stage.policy().layers:
        if layer.kind is LayerKind.ADL:
            opened = stage.draft(LOSER, MARKET, need=rest * UNIT)
            stage.begin(opened)
            for charge in stage.plan(opened, stage.policy()).charges:
                haircuts[int(stage.name(charge.payer))] = charge.cash
            rest -= sum(haircuts)
        elif layer.kind is LayerKind.FUND:
            paid = min(rest, max(insurance - floor, 0))
            rest -= paid
    return Shared(haircuts, insurance - paid, rest, rest > 0 or (paid > 0 and insurance - paid <= floor))


class Crisis(Struct, frozen=True):
    """What the waterfall did. ``haircut_q64`` is the share of equity taken, in 2**-64."""

    burned: int
    drawn: int
    haircut_q64: int
    principal: int
    realised: int
    warming: int
    insurance: int
    deficit: int


def resolve(principal: int, realised: int, warming: int, insurance: int, collateral: int) -> Crisis:
    """Resolve a deficit by unvested profit, then the fund, then one scale on all equity.

    The deficit is claims less collateral and fund, taken anew after each step. A drawn fund leaves the assets and is not
    booked as collateral, so a draw does not lower the deficit; the source counts so, and equity pays for it again.
    """

    def deficit() -> int:
        return max(principal + realised + warming - collateral - insurance, 0)

    burned = min(deficit(), warming)
    warming -= burned
    drawn = min(deficit(), insurance)
    insurance -= drawn
    haircut, equity = 0, principal + realised
    if deficit() and equity:
        haircut = min(deficit() * Q64 // equity, Q64)
        principal, realised = principal * (Q64 - haircut) // Q64, realised * (Q64 - haircut) // Q64
    return Crisis(burned, drawn, haircut, principal, realised, warming, insurance, deficit())


def allocation(given: Given) -> Solved:
    """Answer the haircuts of a loss, the fund and what is left uncovered."""
    params, rows = given.sub("params"), given.rows("accounts")
    unique_ids(rows)
    for row in rows:
        row.leave("warmed_pnl")  # warmed profit is not touched
    params.choice("allocation", ALLOCATION)
    amounts = [params.whole(key) for key in ("loss", "insurance", "insurance_floor")]
    unwarmed = [row.whole("unwarmed_positive_pnl") for row in rows]
    if min([*amounts, *unwarmed]) < 0:
        raise InapplicableError("an amount is below zero")
    shared = share_loss(unwarmed, *amounts)
    return Solved(
        {
            "haircuts": shared.haircuts,
            "insurance_after": shared.insurance,
            "uncovered": shared.uncovered,
            "reduce_only_mode": shared.reduce_only,
        },
        "preset percolator: layers, plan",
    )


def bankruptcy_waterfall(given: Given) -> Solved:
    """Answer what each layer paid and what is left of it."""
    params = given.sub("params")
    params.choice("order", ORDER)
    amounts = [params.whole(key) for key in ("principal", "realised", "warming", "insurance", "collateral")]
    if min(amounts) < 0:
        raise InapplicableError("an amount is below zero")
    crisis = resolve(*amounts)
    return Solved(
        {
            "burned_warming": crisis.burned,
            "insurance_draw": crisis.drawn,
            "equity_haircut_q64": crisis.haircut_q64,
            "principal_after": crisis.principal,
            "realised_after": crisis.realised,
            "warming_after": crisis.warming,
            "insurance_after": crisis.insurance,
            "deficit_after": crisis.deficit,
        }
    )


SOLVERS = {"allocation": allocation, "bankruptcy_waterfall": bankruptcy_waterfall}
