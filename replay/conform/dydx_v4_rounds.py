"""dYdX v4: the presets' triggers and plans on a small ledger made of subaccounts, in the chain's quantums.

On that ledger a lot is a base quantum and the currency a quote quantum. Its values and margins are exact, where the chain cuts
values to whole quantums and rounds margins up to them; a quote amount is rounded for the liquidated account, as the chain's is.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from msgspec import Struct
from msgspec.structs import replace

from events.model import AdlRound, MarketStatus, Reason, Transfer
from events.units import PPM
from replay.conform.dydx_v4_accounts import (
    Market,
    Subaccount,
    bankruptcy_quote,
    maintenance,
    net_collateral,
    oracle_quote,
)
from replay.conform.given import InapplicableError
from replay.conform.stage import Held, Listed, Party, Stage
from replay.core import margin
from replay.core.bankruptcy import Direction
from replay.core.policy import Base, Policy
from replay.presets import preset

__all__ = ["BANKRUPTCY", "SETTLEMENT", "Amount", "Close", "Walk", "bankruptcy_amount", "match", "triggers", "walk"]

Accounts = Mapping[str, Subaccount]
Markets = Mapping[str, Market]

BANKRUPTCY, SETTLEMENT = "dydx-v4", "dydx-v4-settlement"
CUT = (
    "the chain cuts values to whole quantums, and rounds margins up to them, before it divides; the ledger's are exact, and "
    "its price gives {0}"
)


class Amount(Struct, frozen=True):
    """A quote amount as a change of the liquidated account's USDC. ``reading``: why it is not the one of the ledger's price."""

    quote: int
    reading: str = ""


class Close(Struct, frozen=True):
    """One deleveraging match. ``delta`` is the change of the liquidated account's size."""

    offsetting: str
    delta: int
    amount: Amount


class Walk(Struct, frozen=True):
    """All accounts after a round, its matches, and what is left of the change of size."""

    accounts: Accounts
    closes: Sequence[Close]
    left: int


def _stage(accounts: Accounts, markets: Markets, names: Sequence[str], loser: str, *, final: bool) -> Stage:
    listed = {
        name: Listed(
            market.price,
            initial=Fraction(market.initial_ppm, PPM),
            maintenance=Fraction(market.initial_ppm * market.maintenance_ppm, PPM**2),
            status=MarketStatus.SETTLEMENT if final else MarketStatus.TRADING,
        )
        for name, market in markets.items()
    }
    parties = {
        name: Party(Fraction(account.usdc), {perpetual: Held(Fraction(base)) for perpetual, base in account.sizes.items()})
        for name, account in accounts.items()
    }
    return Stage(listed, parties, [preset(name).texts for name in names], losers=[loser])


def triggers(account: Subaccount, markets: Markets, *, final_settlement: bool) -> tuple[bool, bool]:
    """Return whether to deleverage at the bankruptcy price, and whether at the oracle price, by the presets' triggers."""
    if not markets:
        raise InapplicableError("given has no market")
    stage = _stage({account.name: account}, markets, [BANKRUPTCY, SETTLEMENT], account.name, final=final_settlement)
    draft = stage.draft(account.name, next(iter(markets)))
    return stage.holds(draft, stage.policy(0)), stage.holds(draft, stage.policy(1))


def bankruptcy_amount(account: Subaccount, markets: Markets, perpetual: str, delta: int) -> Amount:
    """Return what a reducing change brings in at the ledger's bankruptcy price."""
    stage = _stage({account.name: account}, markets, [BANKRUPTCY], account.name, final=False)
    rounding = stage.rounding()
    price = margin.bankruptcy_price(stage.state, stage.account(account.name), stage.market(perpetual), rounding)
    if price is None:
        raise InapplicableError("the maintenance margin of the account is zero, so its bankruptcy price is not defined")
    cash = -delta * stage.price(perpetual, price)
    return _amount(account, markets, perpetual, delta, stage.whole(perpetual, -delta, cash, rounding), stage.policy())


def _amount(account: Subaccount, markets: Markets, perpetual: str, delta: int, by_plan: int, rule: Policy) -> Amount:
    """Return the amount by the plan's price; where the chain's own roundings account for its difference, the chain's.

    Two values are cut, and as many margins rounded up twice as the account has positions, each by less than a quantum. The last
    rounding is the preset's.
    """
    slack = Fraction(4)
    if rule.price.base is Base.ORACLE:
        by_chain = oracle_quote(account, markets, perpetual, delta)
    else:
        by_chain = bankruptcy_quote(account, markets, perpetual, delta, rule.rounding.price or Direction.LOSER)
        number = len(account.sizes)
        slack += number + abs(net_collateral(account, markets)) * Fraction(2 * number + 4, maintenance(account, markets))
    if by_chain == by_plan or abs(by_chain - by_plan) > slack:
        return Amount(by_plan)
    return Amount(by_chain, CUT.format(by_plan))


def walk(
    accounts: Accounts, markets: Markets, perpetual: str, liquidated: str, delta: int, candidates: Sequence[str], name: str
) -> Walk:
    """Begin a round with that list of candidates under a preset, plan it and apply its closes.

    ``delta`` is the change of the liquidated account's size. What rounding to quantums leaves is booked between the two.
    """
    stage, opened = _begun(accounts, markets, perpetual, liquidated, delta, candidates, name)
    sign, closes, left = (1 if delta > 0 else -1), [], delta
    for close in stage.plan(opened, stage.policy()).closes:
        change, winner = sign * close.size, stage.name(close.winner)
        cash = stage.close(opened, close)
        whole = stage.whole(perpetual, -change, cash, stage.rounding())
        amount = _amount(accounts[liquidated], markets, perpetual, change, whole, stage.policy())
        rest = amount.quote - cash
        if rest:
            payer, payee = (winner, liquidated) if rest > 0 else (liquidated, winner)
            stage.apply(
                Transfer(0, 0, 0, stage.account(payer), stage.account(payee), stage.units(abs(rest)), Reason.RESIDUAL, None)
            )
        accounts = {**accounts, **{who: _read(stage, accounts[who], perpetual) for who in (liquidated, winner)}}
        closes.append(Close(winner, change, amount))
        left -= change
    return Walk(accounts, closes, left)


def _begun(
    accounts: Accounts, markets: Markets, perpetual: str, liquidated: str, delta: int, candidates: Sequence[str], name: str
) -> tuple[Stage, AdlRound]:
    stage = _stage(accounts, markets, [name], liquidated, final=name == SETTLEMENT)
    opened = stage.draft(liquidated, perpetual, size=Fraction(-delta))
    stage.begin(opened, candidates)
    return stage, opened


def _read(stage: Stage, before: Subaccount, perpetual: str) -> Subaccount:
    size, usdc = int(stage.held(before.name, perpetual)), stage.cash(before.name)
    sizes = {name: held for name, held in before.sizes.items() if name != perpetual}
    return Subaccount(before.name, int(usdc), {**sizes, perpetual: size} if size else sizes)


def match(
    accounts: Accounts, markets: Markets, perpetual: str, liquidated: str, offsetting: str, delta: int, name: str
) -> Walk | str:
    """Return one match of exactly that change of size, or why the chain refuses it: ``size_delta`` or ``update_rejected``.

    The change reduces the liquidated account's position, and the preset must close it against the other. Who could give it but
    for the limit on candidates whose prices do not overlap is rejected by that limit. An account whose equity is below 0 is no
    case of the settlement preset, by its trigger; the chain rejects its update then, as it would leave it less safe.
    """
    stage, opened = _begun(accounts, markets, perpetual, liquidated, delta, [offsetting], name)
    policy = stage.policy()
    anybody = replace(policy, scope=replace(policy.scope, overlapping=False))
    if stage.plan(opened, anybody).remaining:
        return "size_delta"
    if name == SETTLEMENT and not stage.holds(opened, policy):
        return "update_rejected"
    done = walk(accounts, markets, perpetual, liquidated, delta, [offsetting], name)
    return "update_rejected" if done.left else done
