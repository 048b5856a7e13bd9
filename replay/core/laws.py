"""The laws: what holds after every event, as plain functions over what one event changed.

Two tiers. ``books``: the reducer's own promises; a finding here is a bug or a damaged ledger. ``record``: what a sound record
of a venue keeps; a finding here is a fact about the record, for its reader to explain. Ids are those of the project's
catalogue of ADL invariants. Laws that depend on a venue's policy are not here: the audit knows the policy.

A law looks at one event and yields how it is broken: what, what was to be expected, what is there. What is not known never
breaks a law.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from msgspec import Struct

from events.model import (
    FEES,
    AdlClose,
    AnyEvent,
    Contract,
    Event,
    Fill,
    InsuranceDraw,
    Liquidation,
    MarketListed,
    Opening,
    Settlement,
    SourceClosed,
    StateCommitted,
)
from replay.core.margin import market_value
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, Position, State

__all__ = ["LAWS", "Broken", "Law", "Step", "flat_cost"]

_Trade: TypeAlias = Fill | Liquidation | AdlClose | Settlement
_TRADES: tuple[type[Event], ...] = (Fill, Liquidation, AdlClose, Settlement)
_FORCED: tuple[type[Event], ...] = (Liquidation, AdlClose)


class Step(Struct):
    """What an event named, as it was before it, and the state, as it is now. ``first_price[round]`` is of its first close."""

    state: State
    cash_before: dict[int, int]
    known_before: dict[int, bool]
    before: dict[tuple[int, int], Position]
    latest_ns: dict[int, int]
    first_price: dict[int, int]
    roots: tuple[bytes, bytes] | None

    def now(self, market: int, account: int) -> Position:
        """Return a position as it is now; one that was never touched is flat."""
        return self.state.positions[market].get(account) or Position()


Broken: TypeAlias = tuple[str, object, object]  # what, expected, found


class Law(Struct, frozen=True):
    """A law, the function that yields how a step breaks it, and the events it looks at; none means every event."""

    name: str
    id: str
    tier: str
    text: str
    check: Callable[[Step, Any], Iterator[Broken]]
    events: tuple[type[Event], ...] = ()


# ---- books


def _cash_conserved(step: Step, _event: AnyEvent) -> Iterator[Broken]:
    change = sum(step.state.cash[account] - cash for account, cash in step.cash_before.items())
    if change:
        yield "change of the sum of cash over all accounts", 0, change


def _size_conserved(step: Step, _event: AnyEvent) -> Iterator[Broken]:
    changes: dict[int, int] = {}
    for (market, account), position in step.before.items():
        changes[market] = changes.get(market, 0) + step.now(market, account).size - position.size
    for market, change in sorted(changes.items()):
        if change:
            yield f"change of the sum of sizes in market {market}", 0, change


def _fees_booked(step: Step, event: Fill | Liquidation | AdlClose) -> Iterator[Broken]:
    if FEES not in (event.buyer, event.seller):
        charged, booked = event.buyer_fee + event.seller_fee, step.state.cash[FEES] - step.cash_before[FEES]
        if charged != booked:
            yield "cash of the fee account", charged, booked


def _flat_costs_nothing(step: Step, _event: AnyEvent) -> Iterator[Broken]:
    for market, account in step.before:
        if broken := flat_cost(step.now(market, account), account, market):
            yield broken


def flat_cost(position: Position, account: int, market: int) -> Broken | None:
    """Return how a position that is known to be flat still costs something, or None."""
    flat = position.size == 0 and not position.unknown & SIZE_UNKNOWN
    if flat and (position.cost or position.unknown & ENTRY_UNKNOWN):
        return f"cost of the flat position of account {account} in market {market}", 0, position.cost
    return None


def _commitment(step: Step, event: StateCommitted) -> Iterator[Broken]:
    if step.roots is not None:
        for what, stated, found in zip(("money", "basis"), (event.money_root, event.basis_root), step.roots, strict=True):
            if stated != found:
                yield f"{what} root after {event.upto} events", stated.hex(), found.hex()


# ---- record: forced closes


def _forced(event: AnyEvent) -> tuple[int, ...]:
    """Name the accounts that an event closes against their will."""
    if isinstance(event, AdlClose):
        return (event.buyer, event.seller)
    return (event.account,) if isinstance(event, Liquidation) and event.buyer != event.seller else ()


def _known_size(step: Step, account: int, market: int) -> int | None:
    position = step.before[market, account]
    return None if position.unknown & SIZE_UNKNOWN else position.size


def _no_flip(step: Step, event: Liquidation | AdlClose) -> Iterator[Broken]:
    for account in _forced(event):
        size, after = _known_size(step, account, event.market), step.now(event.market, account).size
        if size is not None and size * after < 0:
            yield f"position of account {account} after a forced close of {size}", "the same side, or none", after


def _no_over_close(step: Step, event: Liquidation | AdlClose) -> Iterator[Broken]:
    for account in _forced(event):
        size = _known_size(step, account, event.market)
        closable = None if size is None else max(-size if account == event.buyer else size, 0)
        if closable is not None and event.size > closable:
            yield f"size closed of account {account}", f"at most {closable}", event.size


def _opposite_sides(step: Step, event: AdlClose) -> Iterator[Broken]:
    loser = event.seller if event.winner == event.buyer else event.buyer
    won, lost = _known_size(step, event.winner, event.market), _known_size(step, loser, event.market)
    if lost is None:
        lost = step.state.rounds[event.round].event.size
    if won is not None and lost is not None and won * lost >= 0:
        yield f"position of winner {event.winner} against the loser's {lost}", "the opposite side", won


def _open_interest_kept(step: Step, event: AdlClose) -> Iterator[Broken]:
    sides = (event.buyer, event.seller)
    sizes = [_known_size(step, account, event.market) for account in sides]
    if None not in sizes:
        before = sum(size for size in sizes if size is not None and size > 0)
        after = sum(max(step.now(event.market, account).size, 0) for account in sides)
        if after > before:
            yield "open interest of the two sides of a close", f"at most {before}", after


def _one_price(step: Step, event: AdlClose) -> Iterator[Broken]:
    stated = step.state.rounds[event.round].event.price
    expected = step.first_price.setdefault(event.round, event.price) if stated is None else stated
    if event.price != expected:
        yield f"close price in round {event.round}", expected, event.price


def _within_need(step: Step, event: AdlClose) -> Iterator[Broken]:
    opened = step.state.rounds[event.round]
    need = None if opened.event.size is None else abs(opened.event.size)
    if need is not None and opened.closed > need >= opened.closed - event.size:
        yield f"size closed in round {event.round}", f"at most {need}", opened.closed


def _within_deficit(_step: Step, event: InsuranceDraw) -> Iterator[Broken]:
    if event.cash > event.deficit:
        yield f"draw from account {event.fund}", f"at most the deficit {event.deficit}", event.cash


# ---- record: claims and continuity


def _claims(event: _Trade) -> Iterator[tuple[int, int | None, int | None]]:
    """Yield ``(account, start position, profit)`` as claimed for each side."""
    if isinstance(event, AdlClose):
        yield event.winner, event.winner_start_claim, event.winner_profit_claim
    else:
        yield event.buyer, event.buyer_start_claim, event.buyer_profit_claim
        yield event.seller, event.seller_start_claim, event.seller_profit_claim


def _start_position(step: Step, event: _Trade) -> Iterator[Broken]:
    for account, start, _ in _claims(event):
        size = _known_size(step, account, event.market)
        if start is not None and size is not None and start != size:
            yield f"start position of account {account} in market {event.market}", size, start


def _continuity(step: Step, event: Opening) -> Iterator[Broken]:
    account = event.account
    if event.cash is not None and step.known_before[account] and event.cash != step.cash_before[account]:
        yield f"cash of account {account}, on the books already", step.cash_before[account], event.cash
    for stated in event.positions:
        before = step.before[stated.market, account]
        if stated.size is not None and not before.unknown & SIZE_UNKNOWN and stated.size != before.size:
            yield f"position of account {account} in market {stated.market}, on the books already", before.size, stated.size


def _closed_profit(step: Step, event: _Trade) -> Iterator[Broken]:
    if event.buyer == event.seller:
        return
    market = step.state.markets[event.market]
    if market.listed.contract is Contract.INVERSE or market.listed.grid_assumed:
        return
    for account, _, claim in _claims(event):
        before, after = step.before[event.market, account], step.now(event.market, account)
        closed = min(abs(before.size), event.size) if (before.size < 0) is (account == event.buyer) else 0
        if claim is None or before.unknown & (SIZE_UNKNOWN | ENTRY_UNKNOWN):
            continue
        profit = after.realised - before.realised
        slack = abs(market_value(market, closed, 1)) + _micro(step.state)
        if abs(claim - profit) > slack:
            yield f"realised profit of account {account} in market {event.market}", f"{profit}, give or take {slack}", claim


def _micro(state: State) -> int:
    """Return 10**-6 of the currency, the finest amount that venues print."""
    return 10 ** (state.opened.money_decimals - 6) if state.opened else 0


def _rows_accounted(_step: Step, event: SourceClosed) -> Iterator[Broken]:
    aside = ("set_aside.", "quarantined.", "duplicate.")
    accounted = event.rows_used + sum(tally.count for tally in event.tallies if tally.name.startswith(aside))
    if accounted != event.rows_in:
        yield f"rows of source {event.source}", event.rows_in, accounted


def _time_order(step: Step, event: AnyEvent) -> Iterator[Broken]:
    if event.at_ns:
        latest = step.latest_ns.get(event.source, event.at_ns)
        step.latest_ns[event.source] = max(latest, event.at_ns)
        if event.source and event.at_ns < latest:
            yield f"time of an event of source {event.source}", f"at least {latest}", event.at_ns


def _margin_rates(_step: Step, event: MarketListed) -> Iterator[Broken]:
    for tier in event.tiers:
        if not tier.initial_ppm > tier.maintenance_ppm > 0:
            rates = f"{tier.initial_ppm} and {tier.maintenance_ppm} ppm"
            yield f"margin rates of market {event.market} from {tier.floor_cash}", "initial > maintenance > 0", rates


def _checked_in_full(_step: Step, _event: AnyEvent) -> Iterator[Broken]:
    """Yield nothing: this law is only taken over everything."""
    yield from ()


LAWS = (
    Law("cash-conserved", "A1", "books", "Cash over all accounts sums to zero after every event.", _cash_conserved),
    Law("size-conserved", "A2", "books", "Sizes over all accounts sum to zero in every market.", _size_conserved),
    Law("open-interest", "B2", "books", "Open interest counted from longs and from shorts is the same.", _checked_in_full),
    Law("third-parties", "B3", "books", "An event changes only the accounts it names.", _checked_in_full),
    Law(
        "fees-booked", "A7", "books", "The fee account receives the fees charged.", _fees_booked, (Fill, Liquidation, AdlClose)
    ),
    Law("flat-costs-nothing", "B11", "books", "A flat position has cost 0.", _flat_costs_nothing),
    Law("commitment", "F1", "books", "A committed root is that of the replayed state.", _commitment, (StateCommitted,)),
    Law("no-flip", "B5", "record", "A forced close never turns a position round.", _no_flip, _FORCED),
    Law("no-over-close", "B6", "record", "A forced close closes no more than there is.", _no_over_close, _FORCED),
    Law("opposite-sides", "D1", "record", "An ADL winner holds the opposite side of the loser.", _opposite_sides, (AdlClose,)),
    Law("open-interest-kept", "B4", "record", "ADL never raises open interest.", _open_interest_kept, (AdlClose,)),
    Law("one-price", "E6", "record", "All closes of a round have one price.", _one_price, (AdlClose,)),
    Law("within-need", "D2", "record", "A round closes no more than it needs.", _within_need, (AdlClose,)),
    Law("within-deficit", "C7", "record", "The fund pays no more than the deficit.", _within_deficit, (InsuranceDraw,)),
    Law("start-position", "B7", "record", "A claimed start position is the position on the books.", _start_position, _TRADES),
    Law("continuity", "H6", "record", "A level stated again is the level on the books.", _continuity, (Opening,)),
    Law("closed-profit", "H4", "record", "A claimed profit is right within one price step.", _closed_profit, _TRADES),
    Law(
        "rows-accounted",
        "H3",
        "record",
        "Rows read are used, set aside, quarantined or duplicate.",
        _rows_accounted,
        (SourceClosed,),
    ),
    Law("time-order", "F3", "record", "Time does not go back within a source.", _time_order),
    Law(
        "margin-rates",
        "C3",
        "record",
        "Initial margin is above maintenance margin, that above 0.",
        _margin_rates,
        (MarketListed,),
    ),
)
