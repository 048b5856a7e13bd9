"""The engine's decision about one account: which events come next, given the state they would be applied to.

Pure, one step at a time: ``decide`` returns the events of the next step, the caller applies them and asks again, until there
are none. So each price is computed from the state that the close will meet, and the same function replays and runs live.

The waterfall, for an account whose equity is below its maintenance margin:
1. While it has equity, its largest position is closed on the market, as far as the book reaches, at mark less slippage but
   never beyond its bankruptcy price. So a market close cannot make a deficit.
2. When equity is below 0, the insurance fund pays the deficit, or all it has. ``InsuranceDraw.deficit`` is what is uncovered
   just before the draw; a draw after it states the rest. An account that the fund brought to 0 goes to the backstop at mark.
3. When the fund is empty, the largest position is closed by ADL under the policy in force. What no candidate can take, the
   backstop takes over at the same price. After the last position, what rounding to the price grid left goes to ``ROUNDING``.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from events.errors import MisuseError
from events.model import (
    ROUNDING,
    AdlClose,
    AdlRound,
    AnyEvent,
    InsuranceDraw,
    Liquidation,
    Method,
    PoolBalance,
    PriceRule,
    Reason,
    Taker,
    Transfer,
)
from events.units import PPM
from replay.core import margin
from replay.core.plan import PlannedClose, close_price, plan, triggered
from replay.core.policy import ClosePrice, Policy, parse_policy, policy_for
from replay.core.state import State

__all__ = ["Bid", "Moment", "Venue", "decide"]

_PRICE_RULES = {
    ClosePrice.BANKRUPTCY: PriceRule.BANKRUPTCY,
    ClosePrice.MARK: PriceRule.MARK,
    ClosePrice.PREVIOUS_MARK: PriceRule.PREVIOUS_MARK,
    ClosePrice.STATED: PriceRule.UNKNOWN,
}


class Venue(Struct, frozen=True, gc=False):
    """The venue's own accounts, and how far from mark a liquidation trades on the market."""

    fund: int
    backstop: int
    slippage_ppm: int


class Moment(Struct, frozen=True, gc=False):
    """The header of the next events, and the next free trade id."""

    at_ns: int
    source: int
    row: int
    trade: int


class Bid(Struct, frozen=True, gc=False):
    """What the book of a market takes from liquidations now: up to ``size`` contracts, of either side, by ``account``."""

    account: int
    size: int


def decide(state: State, account: int, venue: Venue, moment: Moment, book: Mapping[int, Bid]) -> tuple[AnyEvent, ...]:
    """Return the events of the next step of the waterfall for ``account``, none where nothing is to be done now.

    ``book`` says by market what liquidations can be closed against; a market that is not in it takes none. Each trade takes
    the next trade id from ``moment.trade`` on. Raises ``MisuseError`` where the account's equity or requirement is not on
    record, or no policy is in force for the market when it is needed.
    """
    equity, maintenance = margin.equity(state, account), margin.maintenance(state, account)
    if equity is None or maintenance is None:
        raise MisuseError(
            f"nothing can be decided about account {account}: its cash, a position, a mark or margin tiers are not on record."
        )
    if equity >= maintenance:
        return ()
    holdings = _holdings(state, account)
    if equity > 0:
        return _close_on_market(state, account, holdings, venue, moment, book)
    if equity == 0:
        return tuple(
            _liquidation(state, account, venue.backstop, market, size, state.marks[market], Method.BACKSTOP, moment, number)
            for number, (market, size) in enumerate(holdings)
        )
    balance = state.cash[venue.fund]
    if balance > 0:
        cash = min(balance, -equity)
        at = (moment.at_ns, moment.source, moment.row)
        return (InsuranceDraw(*at, venue.fund, account, cash, deficit=-equity, market=None, round=None, reference=None),)
    if not holdings:
        return ()
    return _deleverage(state, account, holdings, venue, moment)


def _holdings(state: State, account: int) -> list[tuple[int, int]]:
    """Return the account's open positions as (market, signed size), largest notional first, ties by market."""
    ordered = []
    for market, positions in enumerate(state.positions):
        position = positions.get(account)
        if position is not None and position.size:
            worth = abs(margin.market_value(state.markets[market], position.size, state.marks[market]))
            ordered.append((-worth, market, position.size))
    return [(market, size) for _, market, size in sorted(ordered)]


def _sides(account: int, other: int, size: int) -> tuple[int, int]:
    """Return (buyer, seller) of a close of ``account``'s signed ``size`` against ``other``."""
    return (other, account) if size > 0 else (account, other)


def _close_on_market(
    state: State,
    account: int,
    holdings: Sequence[tuple[int, int]],
    venue: Venue,
    moment: Moment,
    book: Mapping[int, Bid],
) -> tuple[AnyEvent, ...]:
    for market, size in holdings:
        bid = book.get(market)
        limit = margin.bankruptcy_price(state, account, market)
        if bid is None or bid.size == 0 or bid.account == account or limit is None:
            continue
        mark = state.marks[market]
        slip = mark * venue.slippage_ppm // PPM
        price = max(mark - slip, limit) if size > 0 else min(mark + slip, limit)
        closed = min(bid.size, abs(size))
        signed = closed if size > 0 else -closed
        return (_liquidation(state, account, bid.account, market, signed, price, Method.MARKET, moment, 0),)
    return ()


def _liquidation(
    state: State,
    account: int,
    other: int,
    market: int,
    size: int,
    price: int,
    method: Method,
    moment: Moment,
    number: int,
) -> Liquidation:
    """Return a liquidation, trade ``number`` of its step. The state shows the account just before the first of them only."""
    buyer, seller = _sides(account, other, size)
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


def _deleverage(
    state: State, account: int, holdings: Sequence[tuple[int, int]], venue: Venue, moment: Moment
) -> tuple[AnyEvent, ...]:
    """Return one ADL round of the largest position, its closes, and what follows when it was the last position."""
    market, size = holdings[0]
    number = policy_for(state, market)
    if number is None:
        symbol = state.markets[market].listed.symbol
        raise MisuseError(f"no ADL policy is in force for {symbol}.", cure="Adopt one first.")
    policy = parse_policy(state.policies[number])
    if not triggered(state, account, policy):
        return ()
    opened = _round(state, account, market, size, policy, venue, moment)
    decided = plan(state, opened, policy)
    if decided.missing or opened.price is None:
        raise MisuseError(f"no ADL plan can be made for account {account}: missing {', '.join(decided.missing)}.")
    events: list[AnyEvent] = [opened, *_closes(state, opened, size, decided.closes, moment)]
    if decided.remaining:
        rest = decided.remaining if size > 0 else -decided.remaining
        number = len(decided.closes)
        events.append(_liquidation(state, account, venue.backstop, market, rest, opened.price, Method.TAKEOVER, moment, number))
    if len(holdings) == 1 and policy.price is ClosePrice.BANKRUPTCY:
        events += _residue(state, account, events[1:], moment)
    return tuple(events)


def _closes(state: State, opened: AdlRound, size: int, planned: Sequence[PlannedClose], moment: Moment) -> Iterator[AdlClose]:
    """Yield the planned closes of the round's loser, who holds ``size``, with what each side holds just before."""
    held = size
    for number, close in enumerate(planned):
        buyer, seller = _sides(opened.loser, close.winner, size)
        start = {opened.loser: held, close.winner: state.positions[opened.market][close.winner].size}
        yield AdlClose(
            moment.at_ns,
            moment.source,
            moment.row,
            market=opened.market,
            buyer=buyer,
            seller=seller,
            price=close.price,
            size=close.size,
            buyer_fee=0,
            seller_fee=0,
            trade=moment.trade + number,
            taker=Taker.UNKNOWN,
            buyer_order=None,
            seller_order=None,
            buyer_start_claim=start[buyer],
            seller_start_claim=start[seller],
            buyer_profit_claim=None,
            seller_profit_claim=None,
            round=opened.round,
            winner=close.winner,
            mark=opened.mark,
            winner_equity_claim=margin.equity(state, close.winner),
            rank_claim=close.rank,
        )
        held += close.size if size < 0 else -close.size


def _round(state: State, account: int, market: int, size: int, policy: Policy, venue: Venue, moment: Moment) -> AdlRound:
    bankruptcy = margin.bankruptcy_price(state, account, market)
    draft = AdlRound(
        moment.at_ns,
        moment.source,
        moment.row,
        round=len(state.rounds),
        loser=account,
        market=market,
        size=size,
        price=None,
        price_rule=_PRICE_RULES[policy.price],
        mark=state.marks[market],
        oracle=state.oracles[market] or None,
        bankruptcy=bankruptcy,
        policy=policy.policy,
        pools=(PoolBalance(venue.fund, state.cash[venue.fund]),),
        need_cash=None,
        as_of=None,
        cause=None,
        seed=None,
    )
    return replace(draft, price=close_price(state, draft, policy).price)


def _residue(state: State, account: int, closes: Sequence[AnyEvent], moment: Moment) -> list[AnyEvent]:
    """Return the transfer of what is left of a flat account's money after its closes, if anything is."""
    cash = state.cash[account]
    for close in closes:
        if isinstance(close, AdlClose | Liquidation):
            value = margin.market_value(state.markets[close.market], close.size, close.price)
            cash += value if close.seller == account else -value
    if cash == 0:
        return []
    payer, payee = (account, ROUNDING) if cash > 0 else (ROUNDING, account)
    return [Transfer(moment.at_ns, moment.source, moment.row, payer, payee, abs(cash), Reason.RESIDUAL, None)]
