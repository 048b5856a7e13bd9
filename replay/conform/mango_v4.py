"""Mango v4 vectors: settle, let the fund buy the loss, spread the rest over open interest.

Source: github:blockworks-foundation/mango-v4@1303a4a,
programs/mango-v4/src/instructions/perp_liq_negative_pnl_or_bankruptcy.rs; adl-rules.md section 16.
"""

from fractions import Fraction

from msgspec import Struct

from replay.conform.answers import Solved
from replay.conform.given import Given, InapplicableError

__all__ = ["SOLVERS", "Loss", "Resolved", "resolve"]


class Loss(Struct, frozen=True):
    """A bankrupt account: money in the settle token, the health of all else, a negative quote position, and the limits.

    Amounts are in settle tokens, ``fund`` in insurance tokens. Weights turn a balance of the settle token into health.
    """

    token: Fraction
    other_health: Fraction
    quote: Fraction
    token_price: Fraction
    insurance_price: Fraction
    asset_weight: Fraction
    liability_weight: Fraction
    settle_limit: Fraction
    transfer_limit: Fraction
    fund: Fraction


class Resolved(Struct, frozen=True):
    """What was settled, bought by the fund (in settle tokens and in insurance tokens) and socialised."""

    settled: Fraction
    bought: Fraction
    insurance: Fraction
    socialised: Fraction


def _zero_health_balance(loss: Loss) -> Fraction:
    """Return the balance of the settle token at which weighted balance and other health are zero together."""
    weight = loss.liability_weight if loss.other_health > 0 else loss.asset_weight
    return -loss.other_health / (weight * loss.token_price)


def resolve(loss: Loss) -> Resolved:
    """Resolve a negative quote position of an account without base position.

    1. Settle against the liquidator, as far as the account's spot health allows and not beyond the settle limit.
    2. The liquidator takes the loss over and the fund pays for it, until the account's health is zero.
    3. Only an exhausted fund leads to socialisation: a limit of the liquidator never does.

    Token and quote are one currency, so the health that counts is that of their sum.
    """
    floor = _zero_health_balance(loss)
    owed = max(-loss.quote, Fraction(0))
    settled = min(owed, loss.settle_limit, loss.transfer_limit, max(loss.token - floor, Fraction(0)))
    token, owed = loss.token - settled, owed - settled
    short = min(owed, max(floor - (token - owed), Fraction(0)))
    payable = loss.fund * loss.insurance_price / loss.token_price
    bought = min(short, payable, loss.transfer_limit - settled)
    exhausted = bought == payable
    insurance = bought * loss.token_price / loss.insurance_price
    return Resolved(settled, bought, insurance, short - bought if exhausted else Fraction(0))


def bankruptcy_waterfall(given: Given) -> Solved:
    """Answer the balances of account and liquidator (who starts at zero), what the fund paid and what was socialised."""
    account, position = given.row("accounts"), given.row("positions")
    params, prices = given.sub("params"), given.sub("prices")
    position.choice("account", account.text("id"))
    if position.number("base") != 0 or params.number_or("base_liquidation_fee", 0) != 0:
        raise InapplicableError("the rule is for an account without base position, and without a fee on one")
    loss = Loss(
        token=account.number("settle_token"),
        other_health=account.number("other_token"),
        quote=position.number("quote"),
        token_price=prices.number("settle_token"),
        insurance_price=prices.number("insurance_token"),
        asset_weight=params.number("settle_asset_weight"),
        liability_weight=params.number("settle_liab_weight"),
        settle_limit=params.number("settle_limit"),
        transfer_limit=params.number("max_liab_transfer"),
        fund=params.number("insurance_fund"),
    )
    done = resolve(loss)
    if params.number("open_interest") <= 0 and done.socialised:
        raise InapplicableError("a loss is socialised and there is no open interest to bear it")
    taken = done.settled + done.bought
    return Solved(
        {
            f"{account.text('id')}_settle_token": loss.token - done.settled,
            f"{account.text('id')}_perp_quote": loss.quote + taken + done.socialised,
            "liquidator_settle_token": done.settled,
            "liquidator_perp_quote": -taken,
            "insurance_paid": done.insurance,
            "socialised_loss": done.socialised,
        }
    )


SOLVERS = {"bankruptcy_waterfall": bankruptcy_waterfall}
