"""The machine: what each event does to a state. No other code changes a State.

Theory of operation.
1. One event, one step: ``evolve(state, event, seq)`` with seq one after the state's own. The handlers stand in one table.
2. A handler checks everything first and changes the state after, so an event that is refused has changed nothing. An event
   that cannot be applied is a ``ReducerError`` that names the seq and the rule; it is never guessed at.
3. What types and ranges can say is the codec's business and is not asked again. What only the state can say is asked here:
   ids exist and are dense, sides differ, listings stay comparable (``refusals``, ``listing``).
4. Facts are applied as recorded. A close that flips, a round that takes too much, a claim that does not fit: these are
   findings about the record (``invariants``), not errors. Claims (``*_claim``) move nothing.
5. Every handler moves contracts and cash between accounts, and only moves them. So in each market the sizes, and over all
   accounts the cash, sum to zero after every event.
6. The first trade of an account whose cash is not known starts from a position that is not known either, unless an Opening
   stated one or the trade itself claims that it starts from flat: that moves nothing, and is all there is to know. Where cash
   is known, a position never stated is flat, for a trade and for an Opening.
"""

from collections.abc import Callable, Iterable
from typing import Any

from events.errors import NumberError, ReducerError
from events.model import (
    FEES,
    FIRST_FREE_ACCOUNT,
    UNOBSERVED,
    AccountOpened,
    AdlCandidates,
    AdlClose,
    AdlRound,
    AnyEvent,
    Completeness,
    Corrected,
    Event,
    Fill,
    Funding,
    InsuranceDraw,
    LedgerOpened,
    Liquidation,
    MarketListed,
    Method,
    Opening,
    OpenPosition,
    PolicyAdopted,
    PriceTick,
    Quarantined,
    Role,
    Settlement,
    SourceClosed,
    SourceOpened,
    StateCommitted,
    Transfer,
)
from events.units import notional
from replay.core import margin
from replay.core.basis import opening_cost, restate, shift, trade
from replay.core.listing import check_tiers, market_of, relisted
from replay.core.refusals import (
    BEGINNING,
    check_account,
    check_account_opened,
    check_adl_round,
    check_beginning,
    check_market,
    check_payer,
    check_round,
    check_semantics,
    check_side,
)
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, FundLevel, Market, Position, Round, State

__all__ = ["evolve", "evolve_all"]

# Looked up once: a member of an enum is slow to reach in Python 3.11.
_COMPLETE = Completeness.COMPLETE
_FUND = Role.FUND
_MARKET = Method.MARKET


def evolve(state: State, event: AnyEvent, seq: int) -> None:
    """Apply ``event``, stored at ``seq``, to ``state``.

    Raises ``ReducerError`` and leaves the state as it was when the event cannot be applied to it.
    """
    if seq != state.seq + 1:
        raise ReducerError(f"the state ends at seq {state.seq}, so the next event is not this one.", rule="sequence", seq=seq)
    if seq <= BEGINNING:
        check_beginning(event, seq)
    if event.source not in state.open_sources and type(event) is not SourceOpened:
        raise ReducerError(f"source {event.source} is not open.", rule="source", seq=seq)
    _HANDLERS[type(event)](state, event, seq)
    state.seq = seq


def evolve_all(state: State, events: Iterable[AnyEvent]) -> None:
    """Apply the events that follow the state's own: ``evolve`` of many, without its checks for each where they cannot fail.

    Raises ``ReducerError`` as ``evolve`` does; the state is then as it was before the event that cannot be applied.
    """
    handlers, seq, sources = _HANDLERS, state.seq, state.open_sources
    try:
        for event in events:
            if seq < BEGINNING or event.source not in sources:
                state.seq = seq
                evolve(state, event, seq + 1)
            else:
                handlers[type(event)](state, event, seq + 1)
            seq += 1
    finally:
        state.seq = seq


# ---- Who and what there is


def _ledger_opened(state: State, event: LedgerOpened, seq: int) -> None:
    if state.opened is not None:
        raise ReducerError("the ledger is open already.", rule="beginning", seq=seq)
    check_semantics(event.semantics, seq)
    state.opened = event


def _source_opened(state: State, event: SourceOpened, seq: int) -> None:
    if event.source != state.sources + 1:
        raise ReducerError(f"source {event.source} is not the next, {state.sources + 1}.", rule="source", seq=seq)
    state.sources += 1
    state.completeness.append(event.completeness)
    state.open_sources.add(event.source)


def _source_closed(state: State, event: SourceClosed, seq: int) -> None:
    if event.source == 0:
        raise ReducerError("only a source file can be closed.", rule="source", seq=seq)
    state.open_sources.remove(event.source)


def _account_opened(state: State, event: AccountOpened, seq: int) -> None:
    check_account_opened(state, event, seq)
    account = event.account
    if account == len(state.accounts):
        state.accounts.append(event)
        state.role_since.append(seq)
        state.cash.append(0)
        state.cash_known.append(event.new)
        state.holdings.append({})
        became = True
    else:
        became = event.role != state.accounts[account].role
        state.accounts[account] = event
        if became:
            state.role_since[account] = seq
    if became and event.role is _FUND:
        state.fund_levels.setdefault(account, [])
        _note_level(state, account, event, seq)


def _market_listed(state: State, event: MarketListed, seq: int) -> None:
    market, known = event.market, len(state.markets)
    if market > known:
        raise ReducerError(f"market {market} skips an id; {known} is next.", rule="market", seq=seq)
    check_tiers(event, seq)
    if market == known:
        state.markets.append(market_of(event, state.opened.money_decimals if state.opened else 0, seq))
        state.marks.append(0)
        state.previous_marks.append(0)
        state.oracles.append(0)
        state.partial.append(False)
        state.positions.append({})
        return
    state.markets[market] = relisted(state.markets[market], event, seq)


def _policy_adopted(state: State, event: PolicyAdopted, seq: int) -> None:
    if event.policy != len(state.policies):
        raise ReducerError(f"policy {event.policy} is not the next, {len(state.policies)}.", rule="policy", seq=seq)
    for market in event.markets or ():
        check_market(state, market, seq)
    state.policies.append(event)


# ---- Levels, transfers and prices


def _opening(state: State, event: Opening, seq: int) -> None:
    account = event.account
    check_account(state, account, seq)
    markets = [stated.market for stated in event.positions]
    if account < FIRST_FREE_ACCOUNT or len(set(markets)) != len(markets):
        raise ReducerError("a reserved account has no opening, and a market is stated once.", rule="opening", seq=seq)
    costs = [_stated_cost(state, stated, seq) for stated in event.positions]
    for stated, cost in zip(event.positions, costs, strict=True):
        book = state.positions[stated.market]
        position = book.get(account)
        if position is None:
            position = _hold(state, account, stated.market, _unseen(state, account))
            state.partial[stated.market] |= state.completeness[event.source] is not _COMPLETE
        unseen = 0 if stated.size is None else stated.size - position.size
        restate(position, stated.size, cost)
        if unseen:
            other = book.get(UNOBSERVED)
            if other is None:
                other = _hold(state, UNOBSERVED, stated.market, Position())
            shift(other, -unseen)
    if event.cash is not None:
        state.cash[UNOBSERVED] -= event.cash - state.cash[account]
        state.cash[account] = event.cash
        state.cash_known[account] = True
        _note_level(state, account, event, seq)


def _hold(state: State, account: int, market: int, position: Position) -> Position:
    """Put a position that is not there yet on the books, in both indexes, and return it."""
    state.positions[market][account] = state.holdings[account][market] = position
    return position


def _unseen(state: State, account: int) -> Position:
    """Return what is known of a position before its first sight (rule 6)."""
    return Position() if state.cash_known[account] else Position(unknown=SIZE_UNKNOWN | ENTRY_UNKNOWN)


def _stated_cost(state: State, stated: OpenPosition, seq: int) -> int | None:
    check_market(state, stated.market, seq)
    if not stated.size or stated.entry is None:
        return None
    try:
        return opening_cost(state.markets[stated.market], stated.size, stated.entry, stated.entry_decimals)
    except NumberError as error:
        raise ReducerError(error.message, rule="price", seq=seq) from error


def _move(state: State, payer: int, payee: int, cash: int, event: Transfer | InsuranceDraw, seq: int) -> None:
    check_account(state, payer, seq)
    check_account(state, payee, seq)
    if payer == payee:
        raise ReducerError(f"account {payer} cannot pay itself.", rule="parties", seq=seq)
    if cash <= 0:
        raise ReducerError(f"{cash} is no amount to move; the other party pays.", rule="amount", seq=seq)
    state.cash[payer] -= cash
    state.cash[payee] += cash
    _note_level(state, payer, event, seq)
    _note_level(state, payee, event, seq)


def _note_level(state: State, account: int, event: Event, seq: int) -> None:
    """Note what a fund has after ``event``, where the account is one and its balance is known."""
    if state.accounts[account].role is not _FUND:
        return
    cash, levels = margin.balance(state, account), state.fund_levels[account]
    if cash is not None:
        levels.append(FundLevel(seq, max(event.at_ns, levels[-1].at_ns) if levels else event.at_ns, cash))


def _transfer(state: State, event: Transfer, seq: int) -> None:
    _move(state, event.payer, event.payee, event.cash, event, seq)


def _insurance_draw(state: State, event: InsuranceDraw, seq: int) -> None:
    check_payer(state, event.fund, seq)
    if event.market is not None:
        check_market(state, event.market, seq)
    if event.round is not None:
        check_round(state, event.round, seq)
    _move(state, event.fund, event.account, event.cash, event, seq)


def _funding(state: State, event: Funding, seq: int) -> None:
    check_market(state, event.market, seq)
    check_account(state, event.against, seq)
    for payment in event.payments:
        check_account(state, payment.account, seq)
    cash, total = state.cash, 0
    funds = [(fund, cash[fund]) for fund in state.fund_levels]
    for payment in event.payments:
        cash[payment.account] += payment.cash
        total += payment.cash
    cash[event.against] -= total
    for fund, before in funds:
        if cash[fund] != before:
            _note_level(state, fund, event, seq)


def _price_tick(state: State, event: PriceTick, seq: int) -> None:
    market = event.market
    if market >= len(state.marks):
        raise ReducerError(f"market {market} is not listed.", rule="market", seq=seq)
    mark, oracle = event.mark, event.oracle
    if mark is not None:
        state.previous_marks[market] = state.marks[market]
        state.marks[market] = mark
    elif oracle is None:
        raise ReducerError("a tick without mark and oracle says nothing.", rule="price", seq=seq)
    if oracle is not None:
        state.oracles[market] = oracle


# ---- Trades: contracts one way, money the other


def _trade(state: State, event: Fill | Liquidation | AdlClose | Settlement, seq: int) -> None:
    """Check and book one trade. Whatever else there is to check comes before: here the changes begin.

    This is where a replay spends its time, so it is flat on purpose: the common case of a basis, a known position that
    grows, is booked here and everything else in ``basis.trade``.
    """
    buyer, seller, size = event.buyer, event.seller, event.size
    cash = state.cash
    try:
        market, book = state.markets[event.market], state.positions[event.market]
        buyer_cash, seller_cash = cash[buyer], cash[seller]
    except IndexError:
        check_market(state, event.market, seq)
        check_account(state, max(buyer, seller), seq)
        raise
    cost = size * event.price * market.numerator if market.linear else _rounded_cost(market, size, event.price, seq)
    buyer_fee, seller_fee = event.buyer_fee, event.seller_fee
    if buyer == seller:
        check_side(buyer, seq)
        cash[buyer] -= buyer_fee + seller_fee
        cash[FEES] += buyer_fee + seller_fee
        return
    bought, sold = book.get(buyer), book.get(seller)
    if bought is None or sold is None:
        bought, sold = _first_seen(state, event, seq)
    cash[buyer] = buyer_cash - cost - buyer_fee
    cash[seller] = seller_cash + cost - seller_fee
    if buyer_fee or seller_fee:
        cash[FEES] += buyer_fee + seller_fee
    held = bought.size
    if held >= 0 and not bought.unknown:
        bought.size = held + size
        bought.cost += cost
    else:
        trade(bought, size, cost, event.price, market)
    held = sold.size
    if held <= 0 and not sold.unknown:
        sold.size = held - size
        sold.cost -= cost
    else:
        trade(sold, -size, -cost, event.price, market)


def _first_seen(state: State, event: Fill | Liquidation | AdlClose | Settlement, seq: int) -> tuple[Position, Position]:
    """Return the positions of buyer and seller before a trade that is the first of one of them in its market (rule 6).

    Nobody who cannot trade ever has a position, so that is checked here and not for every trade.
    """
    book = state.positions[event.market]
    sides = ((event.buyer, event.buyer_start_claim), (event.seller, event.seller_start_claim))
    for account, _ in sides:
        check_side(account, seq)
    for account, claim in sides:
        if account not in book:
            _hold(state, account, event.market, Position() if claim == 0 else _unseen(state, account))
            if not state.cash_known[account] or state.completeness[event.source] is not _COMPLETE:
                state.partial[event.market] = True
    return book[event.buyer], book[event.seller]


def _rounded_cost(market: Market, size: int, price: int, seq: int) -> int:
    try:
        return notional(market.listed.contract, size, price, market.numerator, market.denominator)
    except NumberError as error:
        raise ReducerError(error.message, rule="price", seq=seq) from error


def _liquidation(state: State, event: Liquidation, seq: int) -> None:
    if event.account not in (event.buyer, event.seller):
        raise ReducerError(f"account {event.account} is no side of its liquidation.", rule="parties", seq=seq)
    _trade(state, event, seq)
    if event.method is _MARKET:
        state.liquidated[event.account, event.market] = event.at_ns


def _adl_round(state: State, event: AdlRound, seq: int) -> None:
    check_adl_round(state, event, seq)
    state.rounds.append(Round(event, seq))


def _adl_candidates(state: State, event: AdlCandidates, seq: int) -> None:
    check_round(state, event.round, seq)
    opened = state.rounds[event.round]
    if event.part != opened.part + 1 or event.part > event.parts or event.parts != (opened.parts or event.parts):
        raise ReducerError(f"part {event.part} of {event.parts} does not follow.", rule="round", seq=seq)
    accounts = [candidate.account for candidate in event.candidates]
    for account in accounts:
        check_account(state, account, seq)
    if len({*opened.candidates, *accounts}) != len(opened.candidates) + len(accounts):
        raise ReducerError("a candidate is listed once.", rule="round", seq=seq)
    opened.candidates += accounts
    opened.part, opened.parts = event.part, event.parts


def _adl_close(state: State, event: AdlClose, seq: int) -> None:
    check_round(state, event.round, seq)
    opened = state.rounds[event.round]
    loser = event.seller if event.winner == event.buyer else event.buyer
    if event.winner not in (event.buyer, event.seller) or event.buyer == event.seller:
        raise ReducerError("a close has a winner on one side and the loser on the other.", rule="parties", seq=seq)
    if event.market != opened.event.market or loser != opened.event.loser:
        raise ReducerError(f"this is no close of round {event.round}'s loser in its market.", rule="round", seq=seq)
    _trade(state, event, seq)
    opened.closed += event.size
    opened.closes += 1


# ---- What is said about the record


def _quarantined(state: State, event: Quarantined, seq: int) -> None:
    if event.part > event.parts:
        raise ReducerError(f"part {event.part} of {event.parts} cannot be.", rule="reference", seq=seq)
    if event.part == 1:
        state.quarantined += 1


def _corrected(_state: State, event: Corrected, seq: int) -> None:
    if event.corrects >= seq:
        raise ReducerError(f"seq {event.corrects} is not before its correction.", rule="reference", seq=seq)


def _state_committed(_state: State, event: StateCommitted, seq: int) -> None:
    check_semantics(event.semantics, seq)
    if event.upto != seq - 1:
        raise ReducerError(
            f"a commitment is to the state right before it, not after {event.upto} events.", rule="reference", seq=seq
        )


_HANDLERS: dict[type, Callable[[State, Any, int], None]] = {
    LedgerOpened: _ledger_opened,
    SourceOpened: _source_opened,
    SourceClosed: _source_closed,
    AccountOpened: _account_opened,
    MarketListed: _market_listed,
    PolicyAdopted: _policy_adopted,
    Opening: _opening,
    Transfer: _transfer,
    PriceTick: _price_tick,
    Fill: _trade,
    Funding: _funding,
    Liquidation: _liquidation,
    InsuranceDraw: _insurance_draw,
    AdlRound: _adl_round,
    AdlClose: _adl_close,
    Settlement: _trade,
    Quarantined: _quarantined,
    Corrected: _corrected,
    StateCommitted: _state_committed,
    AdlCandidates: _adl_candidates,
}
