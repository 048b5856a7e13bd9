"""Drift v2 vectors: a bankrupt account's loss through fund, fee pool and the funding index.

Source: github:drift-labs/protocol-v2@0ae3e3b1d (Apache-2.0), programs/drift/src/math/liquidation.rs and
controller/liquidation.rs; adl-rules.md section 8. Quote is in 1e-6, base and funding rate in 1e-9.

On the small ledger a lot is a base quantum and the money unit a quote quantum, so the index is the contract's own.
"""

from collections.abc import Mapping
from fractions import Fraction

from events.errors import MisuseError
from events.model import InsuranceDraw, Role
from replay.conform.answers import Answer, Solved
from replay.conform.given import Given, InapplicableError
from replay.conform.stage import Held, Listed, Party, Stage
from replay.core.engine import Look, Moment, Rules, decide
from replay.core.levels import index_rate
from replay.core.sharing import INDEX_SCALE
from replay.presets import preset

__all__ = ["SOLVERS", "funding_delta"]

QUOTE = 10**6
BASE = 10**9
RATE = 10**9
# A funding rate has three decimals more than quote per base.
RATE_PER_QUOTE = 10**3
NOBODY: Answer = {"error": "cannot resolve: total base amount is zero"}
MARKET, LOSER, FUND, POOL, VAULT = "market", "the bankrupt", "the insurance fund", "the fee pool", "the venue"
REST = {"long": "other longs", "short": "other shorts"}
# Fund, fee pool and index, and the sale of nothing at the end.
STEPS_MOST = 8


def funding_delta(loss: int, base: int) -> int:
    """Return by how much the funding index moves, in 1e-9: both sides pay per base unit, rounded up (the core's rule)."""
    return index_rate(loss, base, INDEX_SCALE) * RATE_PER_QUOTE


def _stage(parties: Mapping[str, Party]) -> Stage:
    # The mark is not given, and no equity depends on it: the bankrupt account has no base, and the rule asks for no other's.
    return Stage({MARKET: Listed(Fraction(1))}, parties, [preset("drift-v2").texts], money_decimals=6)


def socialise_rate(given: Given) -> Solved:
    """Answer the move of the funding index for a loss, and what it collects."""
    params = given.sub("params")
    loss = abs(params.units("loss", "loss_quantums", QUOTE))
    held = {}
    for row in given.rows("positions"):
        held[row.text("account")] = row.units("size", "base_quantums", BASE)
    if len(held) < len(given.rows("positions")):
        raise InapplicableError("an account has two positions")
    for side, key in (("long", "base_long"), ("short", "base_short")):
        if key in params:
            held[REST[side]] = params.units(key, f"{key}_quantums", BASE)
    parties = {name: Party(Fraction(0), {MARKET: Held(Fraction(size))}) for name, size in held.items()}
    if LOSER in parties:
        raise InapplicableError(f"an account is called {LOSER!r}")
    stage = _stage({**parties, LOSER: Party(Fraction(-loss, QUOTE))})
    opened = stage.draft(LOSER, MARKET)
    stage.begin(opened)
    made = stage.plan(opened, stage.policy())
    if loss and not made.charges:
        return Solved(NOBODY, "preset drift-v2: plan")
    collected = int(stage.money(sum(charge.cash for charge in made.charges)) * QUOTE)
    return Solved(
        {
            "cumulative_funding_rate_delta": funding_delta(loss, sum(map(abs, held.values()))),
            "collected_quote_quantums": collected,
            "over_collected_quote_quantums": collected - loss,
        },
        "preset drift-v2: plan; core: index rate",
    )


def bankruptcy_waterfall(given: Given) -> Solved:
    """Answer the quote of every account and the indexes after the fund, the fee pool and the funding index have paid.

    The engine goes through the layers of the preset; what the insurance fund is said to have paid is all that it has.
    """
    params, rows = given.sub("params"), given.rows("accounts")
    bankrupt = given.row("accounts").text("id")
    held = {row.text("account"): row for row in given.rows("positions")}
    if bankrupt not in held or len(held) < len(given.rows("positions")):
        raise InapplicableError("the bankrupt account has no position, or an account has two")
    quotes = {name: row.number("quote") for name, row in held.items()}
    sizes = {name: row.number("size") for name, row in held.items()}
    if rows[0].number("quote") != quotes[bankrupt] or sizes[bankrupt] != 0 or quotes[bankrupt] >= 0:
        raise InapplicableError("a bankrupt account has no base and one negative quote")
    loss = -quotes[bankrupt]
    paid, pool = params.number_or("insurance_paid", 0), params.number_or("fee_pool", 0)
    if not 0 <= paid <= loss or pool < 0:
        raise InapplicableError("the fund paid more than the loss, or an amount is below zero")
    if any((amount * QUOTE).denominator != 1 for amount in (loss, paid, pool)):
        raise InapplicableError("an amount is not a whole number of quote quantums")
    parties = {name: Party(quotes[name], {MARKET: Held(size * BASE)} if size else {}) for name, size in sizes.items()}
    base = _open_interest(params, sizes)
    parties |= {name: Party(Fraction(0), {MARKET: Held(Fraction(rest))}) for name, rest in _others(base, sizes).items() if rest}
    parties |= {
        FUND: Party(paid, role=Role.FUND),
        POOL: Party(pool, role=Role.FUND),
        VAULT: Party(Fraction(0), role=Role.LIQUIDATOR),
    }
    stage = _stage(parties)
    drawn = _resolved(stage, bankrupt)
    social = loss - drawn
    if stage.equity(bankrupt) < 0:
        return Solved(NOBODY, "preset drift-v2: engine")
    delta = Fraction(funding_delta(int(social * QUOTE), sum(base.values())), RATE) if social else Fraction(0)
    return Solved(
        {
            **{f"{name}_quote": stage.cash(name) for name in sizes},
            "cumulative_funding_long": params.number("cumulative_funding_long") + delta,
            "cumulative_funding_short": params.number("cumulative_funding_short") - delta,
            "market_social_loss": social,
            "market_social_loss_quantums": social * QUOTE,
            "user_total_social_loss": loss,
            "fee_pool_after": stage.cash(POOL),
        },
        "preset drift-v2: engine; core: index rate",
    )


def _open_interest(params: Given, sizes: Mapping[str, Fraction]) -> dict[str, int]:
    """Return the base quantums of each side. Shorts are counted below zero by the source; without a sign they are as many."""
    base = {side: abs(params.units(f"open_interest_{side}", f"open_interest_{side}_quantums", BASE)) for side in REST}
    if {*REST.values(), FUND, POOL, VAULT} & set(sizes):
        raise InapplicableError("an account is called as one that stands for others")
    return base


def _others(base: Mapping[str, int], sizes: Mapping[str, Fraction]) -> dict[str, int]:
    """Return the signed base quantums of those who are not in ``given``, by the name that stands for them."""
    others = {}
    for side, sign in (("long", 1), ("short", -1)):
        listed = sum((abs(size) for size in sizes.values() if size * sign > 0), Fraction(0)) * BASE
        rest = base[side] - listed
        if rest < 0 or rest.denominator != 1:
            raise InapplicableError("the positions are more than the open interest")
        others[REST[side]] = sign * int(rest)
    return others


def _resolved(stage: Stage, bankrupt: str) -> Fraction:
    """Let the engine relieve an account until nothing is left to do, and return what the funds have paid."""
    drawn = 0
    rules = Rules(stage.account(VAULT))
    for _ in range(STEPS_MOST):
        try:
            events = decide(stage.state, Look(stage.account(bankrupt)), rules, Moment(0, 0, 0, 0)).events
        except MisuseError as error:
            raise InapplicableError(f"the engine cannot decide: {error.message}") from error
        if not events:
            return stage.money(drawn)
        stage.apply(*events)
        drawn += sum(event.cash for event in events if isinstance(event, InsuranceDraw))
    raise InapplicableError("the engine does not come to an end")


SOLVERS = {"bankruptcy_waterfall": bankruptcy_waterfall, "socialise_rate": socialise_rate}
