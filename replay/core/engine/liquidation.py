"""Forced closes while an account still has equity: the book in steps, and the take-over by the vault.

A close on the book is never beyond the bankruptcy price, so it cannot make a deficit.
"""

from collections.abc import Iterable, Sequence

from events.model import (
    ROUNDING,
    AdlClose,
    AnyEvent,
    Liquidation,
    MarketStatus,
    Method,
    Reason,
    Taker,
    Transfer,
)
from events.units import PPM
from replay.core import margin
from replay.core.engine.inputs import Look, Moment, Rules
from replay.core.state import State

__all__ = ["Holding", "at_mark", "holdings", "liquidate", "liquidation", "market_of_debt", "residual", "sides"]

# Where the book is open to liquidations.
_OPEN = (MarketStatus.UNKNOWN, MarketStatus.TRADING, MarketStatus.CLOSE_ONLY)

Holding = tuple[int, int]
"""An open position as (market, signed size)."""


def holdings(state: State, account: int) -> list[Holding]:
    """Return the account's open positions, largest notional first, ties by market. Its equity is known."""
    ordered = []
    for market, position in state.holdings[account].items():
        if position.size:
            worth = abs(margin.market_value(state.markets[market], position.size, state.marks[market]))
            ordered.append((-worth, market, position.size))
    return [(market, size) for _, market, size in sorted(ordered)]


def market_of_debt(state: State, account: int) -> int | None:
    """Return the market whose policy bears the debt of an account without positions: where it has lost most, ties by market.

    The first where it never traded; None where no market is listed.
    """
    traded = [(position.realised, market) for market, position in state.holdings[account].items()]
    return min(traded)[1] if traded else (0 if state.markets else None)


def sides(account: int, other: int, size: int) -> tuple[int, int]:
    """Return (buyer, seller) of a close of ``account``'s signed ``size`` against ``other``."""
    return (other, account) if size > 0 else (account, other)


def liquidate(state: State, look: Look, held: Sequence[Holding], rules: Rules, moment: Moment) -> tuple[AnyEvent, ...]:
    """Return the next step for an account with equity, at or above 0, that is below its maintenance margin."""
    equity, maintenance = margin.equity(state, look.account), margin.maintenance(state, look.account)
    if look.account != rules.vault and equity is not None and maintenance is not None:
        if equity == 0:
            return at_mark(state, look.account, held, rules, moment)
        if equity * PPM < maintenance * rules.takeover_ppm:
            return _take_over(state, look.account, held, rules, moment)
    return _on_book(state, look, held, rules, moment)


def at_mark(state: State, account: int, held: Sequence[Holding], rules: Rules, moment: Moment) -> tuple[AnyEvent, ...]:
    """Return the closes of all positions at mark against the vault, which neither gains nor loses by them."""
    return tuple(
        liquidation(state, account, rules.vault, holding, state.marks[holding[0]], Method.BACKSTOP, moment, number)
        for number, holding in enumerate(held)
    )


def _take_over(state: State, account: int, held: Sequence[Holding], rules: Rules, moment: Moment) -> tuple[AnyEvent, ...]:
    """Return the closes of all positions at their bankruptcy prices against the vault, who gets the equity with them.

    One step for all: each of the prices leaves equity / maintenance margin as it was, so they hold together. Where a position
    has no bankruptcy price it is closed at mark, and the account keeps its equity.
    """
    prices = [margin.bankruptcy_price(state, account, market) for market, _ in held]
    closes = [
        liquidation(
            state,
            account,
            rules.vault,
            holding,
            state.marks[holding[0]] if price is None else price,
            Method.BACKSTOP,
            moment,
            n,
        )
        for n, (holding, price) in enumerate(zip(held, prices, strict=True))
    ]
    return (*closes, *(() if None in prices else residual(state, account, closes, moment)))


def _on_book(state: State, look: Look, held: Sequence[Holding], rules: Rules, moment: Moment) -> tuple[AnyEvent, ...]:
    account = look.account
    for market, size in held:
        bid = look.book.get(market)
        limit = margin.bankruptcy_price(state, account, market)
        if bid is None or bid.account == account or limit is None or state.markets[market].listed.status not in _OPEN:
            continue
        closed = min(bid.size, _sent(state, account, (market, size), held, rules, moment))
        if closed <= 0:
            continue
        mark = state.marks[market]
        slip = mark * rules.slippage_ppm // PPM
        price = max(mark - slip, limit) if size > 0 else min(mark + slip, limit)
        part = (market, closed if size > 0 else -closed)
        return (liquidation(state, account, bid.account, part, price, Method.MARKET, moment, 0),)
    return ()


def _sent(state: State, account: int, holding: Holding, held: Sequence[Holding], rules: Rules, moment: Moment) -> int:
    """Return how many contracts of a position may go to the book now; see ``Rules``."""
    market, size = holding
    whole = abs(size)
    worth = abs(margin.market_value(state.markets[market], size, state.marks[market]))
    if rules.partial_share_ppm == PPM or worth <= rules.partial_above_cash:
        return whole
    last = state.liquidated.get((account, market))
    if last is not None and last >= moment.at_ns:
        return 0
    others = [state.liquidated.get((account, other)) for other, _ in held]
    if any(before is not None and 0 < moment.at_ns - before < rules.cooldown_ns for before in others):
        return whole
    return -(-whole * rules.partial_share_ppm // PPM)


def liquidation(
    state: State, account: int, other: int, holding: Holding, price: int, method: Method, moment: Moment, number: int
) -> Liquidation:
    """Return a liquidation of that signed size, trade ``number`` of its step.

    The account's equity and requirement are stated with the first trade only, as the state shows it just before that.
    """
    market, size = holding
    buyer, seller = sides(account, other, size)
    return Liquidation(
        moment.at_ns,
        moment.source,
        moment.row,
        market=market,
        buyer=buyer,
        seller=seller,
        price=price,
        size=abs(size),
        buyer_fee=0,
        seller_fee=0,
        trade=moment.trade + number,
        taker=Taker.SELLER if size > 0 else Taker.BUYER,
        buyer_order=None,
        seller_order=None,
        buyer_start_claim=None,
        seller_start_claim=None,
        buyer_profit_claim=None,
        seller_profit_claim=None,
        account=account,
        method=method,
        mark=state.marks[market],
        equity_claim=margin.equity(state, account) if number == 0 else None,
        requirement_claim=margin.maintenance(state, account) if number == 0 else None,
    )


def residual(state: State, account: int, closes: Iterable[AdlClose | Liquidation], moment: Moment) -> list[AnyEvent]:
    """Return the transfer of what rounding to the price grid left of an account's equity after ``closes``, if anything.

    The closes are at bankruptcy prices. What is more than their rounding explains is no residual, and stays; so does what an
    account is still short of while it holds positions.
    """
    cash, slack = state.cash[account], 0
    sizes = {market: position.size for market, position in state.holdings[account].items()}
    for close in closes:
        market, sells = state.markets[close.market], close.seller == account
        value = margin.market_value(market, close.size, close.price)
        cash += value if sells else -value
        sizes[close.market] -= close.size if sells else -close.size
        slack += abs(margin.market_value(market, close.size, close.price + 1) - value) + 1
    open_sizes = [(market, size) for market, size in sizes.items() if size]
    left = cash + sum(margin.market_value(state.markets[market], size, state.marks[market]) for market, size in open_sizes)
    if left == 0 or abs(left) > slack or (left < 0 and open_sizes):
        return []
    payer, payee = (account, ROUNDING) if left > 0 else (ROUNDING, account)
    return [Transfer(moment.at_ns, moment.source, moment.row, payer, payee, abs(left), Reason.RESIDUAL, None)]
