"""What the venue admits: new risk by initial margin and position limit, withdrawals by free equity and open deficits.

Less risk is admitted below the initial margin too, but only where equity / maintenance margin does not fall by it (dYdX v4), or
where there is no equity, where it does not fall.

A refusal is one sentence with the numbers that decided it, in money units or contracts as the ledger counts them. What the
record cannot tell is no ground for a refusal: it is a ``MisuseError``.

Withdrawals while a deficit is open: money that leaves now would be missing to whoever bears it. So none leaves while a user's
equity is below zero, as on dYdX v4. A debt that stays by the last layer of the policy that bore it is not open. Where the
policy's last layer is ``withdrawals``, those who leave bear what the fund cannot (Paradex, adl-rules.md section 10): with the
deficits of all users less the equity of the fund, and the wallet balances of all accounts,

    factor = uncovered / (balances + uncovered)

of each withdrawal goes to the fund, rounded up.
"""

from collections.abc import Mapping

from events.errors import MisuseError
from events.model import EXTERNAL, FIRST_FREE_ACCOUNT, AnyEvent, Fill, MarketStatus, Reason, Role, Transfer
from replay.core import margin
from replay.core.bankruptcy import valid_update
from replay.core.engine.inputs import Decision, Moment, Order, Withdrawal
from replay.core.engine.liquidation import market_of_debt
from replay.core.engine.rounds import policy_in_force
from replay.core.policy import LayerKind, Policy, policy_for
from replay.core.state import Market, State
from replay.core.triggers import fund_equity, fund_pools

__all__ = ["admit", "pay_out"]

_OPEN = (MarketStatus.UNKNOWN, MarketStatus.TRADING)


# ---- Orders


def admit(state: State, order: Order, moment: Moment) -> Decision:
    """Return the fill of an order, or why it is refused."""
    if not 0 <= order.market < len(state.markets):
        raise MisuseError(f"market {order.market} is not listed.")
    for account in (order.buyer, order.seller):
        if not 0 <= account < len(state.accounts):
            raise MisuseError(f"account {account} is not open.")
    refusal = _refusal(state, order)
    return Decision((), refusal) if refusal else Decision((_fill(order, moment),))


def _refusal(state: State, order: Order) -> str | None:
    reserved = [account for account in (order.buyer, order.seller) if account < FIRST_FREE_ACCOUNT]
    if reserved:
        return f"account {reserved[0]} is reserved and does not trade"
    if order.buyer == order.seller:
        return f"account {order.buyer} cannot trade with itself"
    if order.price <= 0 or order.size <= 0:
        return f"a price of {order.price} and a size of {order.size} must be above 0"
    listed = state.markets[order.market].listed
    if listed.status not in (*_OPEN, MarketStatus.CLOSE_ONLY):
        return f"{listed.symbol} is {listed.status.name.lower()}, so nothing is traded there"
    sides = ((order.buyer, order.size, order.buyer_fee), (order.seller, -order.size, order.seller_fee))
    return next((why for side in sides if (why := _side_refusal(state, order, *side))), None)


def _side_refusal(state: State, order: Order, account: int, change: int, fee: int) -> str | None:
    """Return why one side of an order cannot be: it adds risk that is not allowed, or makes a deficit."""
    market = state.markets[order.market]
    position = state.positions[order.market].get(account)
    before = position.size if position is not None else 0
    after = before + change
    mark = state.marks[order.market]
    equity, initial = margin.equity(state, account), margin.initial(state, account)
    if equity is None or initial is None or not mark:
        raise _undecidable(account)
    now = margin.market_value(market, before, mark)
    then = margin.market_value(market, after, mark)
    left = equity + then - now - margin.market_value(market, change, order.price) - fee
    frees, needs = margin.required(market, abs(now), first=True), margin.required(market, abs(then), first=True)
    if frees is None or needs is None:
        raise _undecidable(account)
    needed = initial - frees + needs
    if before * after >= 0 and abs(after) <= abs(before):
        return None if left >= needed else _unsafe(state, account, market, equity, left, (now, then))
    symbol = market.listed.symbol
    if market.listed.status not in _OPEN:
        return f"{symbol} is close only, and account {account} would hold {after} after {before}"
    limit = market.listed.position_limit
    if limit is not None and abs(after) > limit:
        return f"account {account} would hold {after} in {symbol}, beyond the position limit of {limit}"
    if left < needed:
        return f"account {account} would have an equity of {left}, below the initial margin of {needed}"
    return None


def _unsafe(state: State, account: int, market: Market, equity: int, left: int, worth: tuple[int, int]) -> str | None:
    """Return why less risk is refused where it leaves ``left`` below the initial margin: at its price it is no less risk.

    ``worth`` is the position's value before and after. A price far from mark would take out money that a withdrawal cannot, and
    leave the rest of the positions without margin.
    """
    if left < min(equity, 0):
        return f"account {account} would be left with an equity of {left}"
    maintenance = margin.maintenance(state, account)
    frees, needs = (margin.required(market, abs(value), first=False) for value in worth)
    if maintenance is None or frees is None or needs is None:
        raise _undecidable(account)
    after = maintenance - frees + needs
    if equity >= 0 and not valid_update(equity, maintenance, left, after):
        return (
            f"account {account} would be left with an equity of {left} for a maintenance margin of {after}, less safe than now"
        )
    return None


def _fill(order: Order, moment: Moment) -> Fill:
    return Fill(
        moment.at_ns,
        moment.source,
        moment.row,
        market=order.market,
        buyer=order.buyer,
        seller=order.seller,
        price=order.price,
        size=order.size,
        buyer_fee=order.buyer_fee,
        seller_fee=order.seller_fee,
        trade=moment.trade,
        taker=order.taker,
        buyer_order=None,
        seller_order=None,
        buyer_start_claim=None,
        seller_start_claim=None,
        buyer_profit_claim=None,
        seller_profit_claim=None,
    )


def _undecidable(account: int) -> MisuseError:
    return MisuseError(
        f"nothing can be decided about account {account}: its cash, a position, a mark or margin tiers are not on record."
    )


# ---- Withdrawals


def pay_out(state: State, withdrawal: Withdrawal, moment: Moment) -> Decision:
    """Return the transfers of a withdrawal, or why it is refused."""
    account, cash = withdrawal.account, withdrawal.cash
    if not 0 <= account < len(state.accounts):
        raise MisuseError(f"account {account} is not open.")
    if account < FIRST_FREE_ACCOUNT:
        return Decision((), f"account {account} is reserved and holds nobody's money")
    if cash <= 0:
        return Decision((), f"{cash} is no amount to withdraw")
    equity, balance, initial = margin.equity(state, account), margin.balance(state, account), margin.initial(state, account)
    if equity is None or balance is None or initial is None:
        raise _undecidable(account)
    # Profit that is not realised is no money yet, and a loss that is not realised is gone already.
    free = min(equity, balance) - initial
    if cash > free:
        return Decision((), f"account {account} has {max(free, 0)} free above its initial margin of {initial}, not {cash}")
    policies = _policies(state)
    haircut = next((policy for policy in policies.values() if policy.layers[-1].kind is LayerKind.WITHDRAWALS), None)
    if haircut is not None:
        return _cut(state, withdrawal, haircut, moment)
    owing = _owing(state, policies)
    if owing is not None:
        return Decision((), f"account {owing[0]} has a deficit of {owing[1]}; until it is covered nobody withdraws")
    return Decision((_transfer(moment, account, EXTERNAL, cash, Reason.WITHDRAWAL),))


def _policies(state: State) -> dict[int, Policy]:
    """Return the policies in force by their number."""
    markets = {policy_for(state, market): market for market in range(len(state.markets))}
    return {number: policy_in_force(state, market) for number, market in markets.items() if number is not None}


def _owing(state: State, policies: Mapping[int, Policy]) -> tuple[int, int] | None:
    """Return the first user with an open deficit, and the deficit."""
    return next(((account, deficit) for account, deficit in _deficits(state) if not _stays(state, account, policies)), None)


def _stays(state: State, account: int, policies: Mapping[int, Policy]) -> bool:
    """Return whether a debt is one that stays: all is closed, and the last layer of the policy that bore it is debt."""
    market = market_of_debt(state, account)
    policy = None if market is None else policy_for(state, market)
    closed = not any(position.size for position in state.holdings[account].values())
    return closed and policy is not None and policies[policy].layers[-1].kind is LayerKind.DEBT


def _deficits(state: State) -> list[tuple[int, int]]:
    """Return the users whose equity is below zero, by id, and by how much."""
    found = []
    for opened in state.accounts:
        if opened.role is Role.USER:
            equity = margin.equity(state, opened.account)
            if equity is None:
                raise _undecidable(opened.account)
            if equity < 0:
                found.append((opened.account, -equity))
    return found


def _cut(state: State, withdrawal: Withdrawal, policy: Policy, moment: Moment) -> Decision:
    """Return a withdrawal of which those who leave bear their part of what the fund cannot."""
    account, cash = withdrawal.account, withdrawal.cash
    funds = fund_pools(state, policy)
    uncovered = sum(deficit for _, deficit in _deficits(state)) - (fund_equity(state, policy) or 0)
    kept = 0
    if uncovered > 0:
        balances = 0
        for number in range(FIRST_FREE_ACCOUNT, len(state.accounts)):
            balance = margin.balance(state, number)
            if balance is None:
                raise _undecidable(number)
            balances += balance
        if not funds:
            return Decision((), f"deficits of {uncovered} are not covered, and there is no fund to pay into")
        kept = -(-cash * uncovered // (balances + uncovered)) if balances > 0 else cash
    events: list[AnyEvent] = []
    if cash > kept:
        events.append(_transfer(moment, account, EXTERNAL, cash - kept, Reason.WITHDRAWAL))
    if kept:
        events.append(_transfer(moment, account, funds[0], kept, Reason.SOCIALISED_LOSS))
    return Decision(tuple(events))


def _transfer(moment: Moment, payer: int, payee: int, cash: int, reason: Reason) -> Transfer:
    return Transfer(moment.at_ns, moment.source, moment.row, payer, payee, cash, reason, None)
