"""The laws: what holds after every event, as plain functions over what one event changed.

Two tiers. ``books``: the reducer's own promises; a finding here is a bug or a damaged ledger. ``record``: what a sound record
of a venue keeps; a finding here is a fact about the record, for its reader to explain. Ids are those of the project's
catalogue of ADL invariants. Laws that depend on a venue's policy are not here, nor is the reconciliation of ``rank_claim``,
as a rank is a policy's: the audit knows the policy.

A law looks at one event and yields how it is broken: what, what was to be expected, what was found. What is not known never
breaks a law. So that silence can be told from ignorance, a law counts in ``Step.evaluations`` how often it had what it takes.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

from msgspec import Struct

from events.model import (
    FEES,
    AdlClose,
    AdlRound,
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
from events.units import format_units
from replay.core.margin import bankruptcy_price, market_value
from replay.core.missing import loser_size
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, Market, Position, State

__all__ = ["LAWS", "Broken", "Law", "Step", "Unit", "flat_cost"]

_Trade: TypeAlias = Fill | Liquidation | AdlClose | Settlement
_TRADES: tuple[type[Event], ...] = (Fill, Liquidation, AdlClose, Settlement)
_FORCED: tuple[type[Event], ...] = (Liquidation, AdlClose)

# A rate of one is 10**12 parts per trillion.
_PPT_DECIMALS = 12

# A price of five significant digits is at least 10**4 of its steps.
_STEP_DIGITS = 4


class Step(Struct):
    """What an event named, as it was before it, and the state, as it is now.

    ``equity`` and ``requirement`` are of a liquidated account, before the event, where they are claimed and known.
    ``latest_ns[source]`` is the latest time stated so far, ``marked_ns[market]`` that of the last tick with a mark,
    ``first_price[round]`` the price of the first close. ``evaluations`` is for the law at work to count up.
    """

    state: State
    cash_before: dict[int, int] = {}
    known_before: dict[int, bool] = {}
    before: dict[tuple[int, int], Position] = {}
    equity: int | None = None
    requirement: int | None = None
    roots: tuple[bytes, bytes] | None = None
    latest_ns: dict[int, int] = {}
    marked_ns: dict[int, int] = {}
    first_price: dict[int, int] = {}
    evaluations: int = 0

    def now(self, market: int, account: int) -> Position:
        """Return a position as it is now; one that was never touched is flat."""
        return self.state.positions[market].get(account) or Position()


# What ``expected`` and ``found`` of a broken law count: units of the ledger's money, of the market's size or price grid,
# things, nanoseconds since 1970, or nothing where they are text.
Unit: TypeAlias = Literal["cash", "size", "price", "count", "time", "text"]


class Broken(NamedTuple):
    """How a law is broken. ``what`` names the thing in words without ids, then what ``expected`` is, then what ``found`` is.

    ``expected`` is what the law or the books give, ``found`` what the event or the record says; for a law of the books it is
    what the books hold. Both are integers in ``unit``, or short text. ``account`` and ``market`` are the ids of whose it is and
    where, None where it is nobody's or of no one market.
    """

    what: str
    expected: int | str
    found: int | str
    account: int | None
    market: int | None
    unit: Unit


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
    if step.cash_before:
        step.evaluations += 1
        change = sum(step.state.cash[account] - cash for account, cash in step.cash_before.items())
        if change:
            yield Broken(
                "sum of cash over all accounts: its change by the law, and on the books", 0, change, None, None, "cash"
            )


def _size_conserved(step: Step, _event: AnyEvent) -> Iterator[Broken]:
    changes: dict[int, int] = {}
    for (market, account), position in step.before.items():
        changes[market] = changes.get(market, 0) + step.now(market, account).size - position.size
    step.evaluations += len(changes)
    for market, change in sorted(changes.items()):
        if change:
            what = "sum of sizes over all accounts: its change by the law, and on the books"
            yield Broken(what, 0, change, None, market, "size")


def _fees_booked(step: Step, event: _Trade) -> Iterator[Broken]:
    step.evaluations += 1
    charged, booked = event.buyer_fee + event.seller_fee, step.state.cash[FEES] - step.cash_before[FEES]
    if charged != booked:
        yield Broken("fees: as charged by the trade, and as booked", charged, booked, FEES, event.market, "cash")


def _flat_costs_nothing(step: Step, _event: AnyEvent) -> Iterator[Broken]:
    step.evaluations += len(step.before)
    for market, account in step.before:
        if broken := flat_cost(step.now(market, account), account, market):
            yield broken


def flat_cost(position: Position, account: int, market: int) -> Broken | None:
    """Return how a position that is known to be flat still costs something, or None."""
    flat = position.size == 0 and not position.unknown & SIZE_UNKNOWN
    if flat and (position.cost or position.unknown & ENTRY_UNKNOWN):
        return Broken("cost of a flat position: by the law, and on the books", 0, position.cost, account, market, "cash")
    return None


def _commitment(step: Step, event: StateCommitted) -> Iterator[Broken]:
    if step.roots is not None:
        step.evaluations += 1
        committed = (event.money_root, event.basis_root)
        for name, expected, found in zip(("money", "basis"), step.roots, committed, strict=True):
            if expected != found:
                what = f"{name} root: of the books, and as committed"
                yield Broken(what, expected.hex(), found.hex(), None, None, "text")


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
        step.evaluations += size is not None
        if size is not None and size * after < 0:
            what = "position after a forced close: flat at the furthest, and on the books"
            yield Broken(what, 0, after, account, event.market, "size")


def _no_over_close(step: Step, event: Liquidation | AdlClose) -> Iterator[Broken]:
    for account in _forced(event):
        size = _known_size(step, account, event.market)
        step.evaluations += size is not None
        closable = None if size is None else max(-size if account == event.buyer else size, 0)
        if closable is not None and event.size > closable:
            what = "size of a forced close: at most what the books hold to close, and as recorded"
            yield Broken(what, closable, event.size, account, event.market, "size")


def _round_side_and_size(step: Step, event: AdlRound) -> Iterator[Broken]:
    held = loser_size(step.state, event)
    if event.size is not None and held is not None:
        step.evaluations += 1
        if event.size * held < 0 or abs(event.size) > abs(held):
            what = "size that the round is to close: at most the position on the books, and as stated"
            yield Broken(what, held, event.size, event.loser, event.market, "size")


def _opposite_sides(step: Step, event: AdlClose) -> Iterator[Broken]:
    loser = event.seller if event.winner == event.buyer else event.buyer
    won, lost = _known_size(step, event.winner, event.market), _known_size(step, loser, event.market)
    if lost is None:
        lost = step.state.rounds[event.round].event.size
    if won is not None and lost is not None:
        step.evaluations += 1
        if lost == 0:
            what = "position of the loser of an ADL close: by the law, and on the books"
            yield Broken(what, "not flat", lost, loser, event.market, "size")
        elif won * lost >= 0:
            what = "position of the winner of an ADL close: opposite to the loser's, and on the books"
            yield Broken(what, "long" if lost < 0 else "short", won, event.winner, event.market, "size")


def _open_interest_kept(step: Step, event: AdlClose) -> Iterator[Broken]:
    sides = (event.buyer, event.seller)
    sizes = [_known_size(step, account, event.market) for account in sides]
    if None not in sizes:
        step.evaluations += 1
        before = sum(size for size in sizes if size is not None and size > 0)
        after = sum(max(step.now(event.market, account).size, 0) for account in sides)
        if after > before:
            what = "open interest of the two sides of an ADL close: at most that before it, and after it"
            yield Broken(what, before, after, None, event.market, "size")


def _one_price(step: Step, event: AdlClose) -> Iterator[Broken]:
    step.evaluations += 1
    stated = step.state.rounds[event.round].event.price
    expected = step.first_price.setdefault(event.round, event.price) if stated is None else stated
    if event.price != expected:
        what = "close price: of the round, and of this close"
        yield Broken(what, expected, event.price, event.winner, event.market, "price")


def _within_need(step: Step, event: AdlClose) -> Iterator[Broken]:
    opened = step.state.rounds[event.round]
    if opened.event.size is not None:
        step.evaluations += 1
        need = abs(opened.event.size)
        # Broken once, by the close that goes past the need, and not again by each one after it.
        if opened.closed > need >= opened.closed - event.size:
            what = "size closed in the round so far: at most what the round is to close, and as recorded"
            yield Broken(what, need, opened.closed, opened.event.loser, event.market, "size")


def _within_deficit(step: Step, event: InsuranceDraw) -> Iterator[Broken]:
    if event.deficit is not None:
        step.evaluations += 1
        if event.cash > event.deficit:
            what = "draw from the insurance fund: at most the deficit, and as paid"
            yield Broken(what, event.deficit, event.cash, event.account, event.market, "cash")


# ---- record: claims and continuity


def _apart(step: Step, known: int | None, claim: int | None, slack: int) -> tuple[int, int] | None:
    """Return what is on the books and the claim, where both are there and further apart than ``slack``."""
    if claim is None or known is None:
        return None
    step.evaluations += 1
    return (known, claim) if abs(claim - known) > slack else None


def _start_position(step: Step, event: _Trade) -> Iterator[Broken]:
    if event.buyer == event.seller:
        return  # each side of a self-trade starts from where the other ends, and none says which was first
    claims = ((event.buyer, event.buyer_start_claim), (event.seller, event.seller_start_claim))
    for account, start in claims:
        if apart := _apart(step, _known_size(step, account, event.market), start, 0):
            what = "position before the trade: on the books, and as claimed"
            yield Broken(what, *apart, account, event.market, "size")


def _continuity(step: Step, event: Opening) -> Iterator[Broken]:
    account = event.account
    known = step.cash_before[account] if step.known_before[account] else None
    if apart := _apart(step, known, event.cash, 0):
        yield Broken("cash: on the books, and as stated again", *apart, account, None, "cash")
    for stated in event.positions:
        if apart := _apart(step, _known_size(step, account, stated.market), stated.size, 0):
            yield Broken("position: on the books, and as stated again", *apart, account, stated.market, "size")


def _closed_profit(step: Step, event: _Trade) -> Iterator[Broken]:
    market = step.state.markets[event.market]
    if event.buyer == event.seller or market.listed.contract is Contract.INVERSE:
        return
    for account, claim in ((event.buyer, event.buyer_profit_claim), (event.seller, event.seller_profit_claim)):
        before, after = step.before[event.market, account], step.now(event.market, account)
        if claim is None or before.unknown & (SIZE_UNKNOWN | ENTRY_UNKNOWN):
            continue
        step.evaluations += 1
        closed = min(abs(before.size), event.size) if (before.size < 0) is (account == event.buyer) else 0
        profit = after.realised - before.realised
        if abs(claim - profit) > _entry_slack(market, before, closed) + _micro(step.state):
            what = "realised profit, give or take a price step: by the books, and as claimed"
            yield Broken(what, profit, claim, account, event.market, "cash")


def _entry_slack(market: Market, before: Position, closed: int) -> int:
    """Return what one step of the price grid makes of ``closed`` units: the venue's entry is rounded to that grid.

    The true step of a grid that is assumed may be coarser. It is taken for a ten-thousandth of the entry, as a price of five
    significant digits has no coarser one. Source: Hyperliquid's page on tick and lot size: prices have up to five significant
    digits. Where its limit on decimals leaves a low price fewer, that is the step of the assumed grid, if sizes are whole.
    """
    slack = abs(market_value(market, closed, 1))
    if market.listed.grid_assumed and closed:
        slack = max(slack, abs(before.cost) * closed // (abs(before.size) * 10**_STEP_DIGITS))
    return slack


def _micro(state: State) -> int:
    """Return 10**-6 of the currency, the finest amount that venues print."""
    return 10 ** (state.opened.money_decimals - 6) if state.opened else 0


def _round_claims(step: Step, event: AdlRound) -> Iterator[Broken]:
    state, market = step.state, event.market
    mark = state.marks[market] or None
    # Between two ticks a mark moves. So the last one can be held against a claim only where it is of the same time.
    same_time = step.marked_ns.get(market) == event.at_ns
    if apart := _apart(step, mark if same_time else None, event.mark, 0):
        yield Broken("mark price: of the tick at that time, and as claimed", *apart, event.loser, market, "price")
    if event.mark is None or event.mark == mark:
        price = bankruptcy_price(state, event.loser, market)
        if apart := _apart(step, price, event.bankruptcy, 0):
            yield Broken("bankruptcy price: by the books, and as claimed", *apart, event.loser, market, "price")
    for pool in event.pools:
        if apart := _apart(step, _balance(state, pool.account), pool.cash, _micro(state)):
            yield Broken("balance of a pool: on the books, and as claimed", *apart, pool.account, market, "cash")


def _balance(state: State, account: int) -> int | None:
    """Return the cash of an account where that is all it has, so that a balance can mean nothing else; else None."""
    held = state.holdings[account].values()
    if not state.cash_known[account] or any(position.size or position.unknown & SIZE_UNKNOWN for position in held):
        return None
    return state.cash[account]


def _liquidation_claims(step: Step, event: Liquidation) -> Iterator[Broken]:
    slack = _micro(step.state)
    whose = (event.account, event.market)
    if apart := _apart(step, step.equity, event.equity_claim, slack):
        yield Broken("equity before the liquidation: by the books, and as claimed", *apart, *whose, "cash")
    if apart := _apart(step, step.requirement, event.requirement_claim, slack):
        yield Broken("maintenance requirement before the liquidation: by the books, and as claimed", *apart, *whose, "cash")


def _rows_accounted(step: Step, event: SourceClosed) -> Iterator[Broken]:
    step.evaluations += 1
    aside = ("set_aside.", "quarantined.", "duplicate.")
    accounted = event.rows_used + sum(tally.count for tally in event.tallies if tally.name.startswith(aside))
    if accounted != event.rows_in:
        yield Broken("rows of the source: as read, and as accounted for", event.rows_in, accounted, None, None, "count")


def _time_order(step: Step, event: AnyEvent) -> Iterator[Broken]:
    if event.at_ns and event.source:
        step.evaluations += 1
        latest = step.latest_ns.get(event.source, event.at_ns)
        step.latest_ns[event.source] = max(latest, event.at_ns)
        if event.at_ns < latest:
            what = "time within the source: at least that of an earlier event, and of this one"
            yield Broken(what, latest, event.at_ns, None, None, "time")


def _margin_rates(step: Step, event: MarketListed) -> Iterator[Broken]:
    step.evaluations += len(event.tiers)
    for number, tier in enumerate(event.tiers, 1):
        if not tier.initial_ppt > tier.maintenance_ppt > 0:
            initial, maintenance = (format_units(ppt, _PPT_DECIMALS) for ppt in (tier.initial_ppt, tier.maintenance_ppt))
            what = f"margin rates of tier {number}: by the law, and as listed"
            found = f"initial {initial}, maintenance {maintenance}"
            yield Broken(what, "initial > maintenance > 0", found, None, event.market, "text")


def _checked_in_full(_step: Step, _event: AnyEvent) -> Iterator[Broken]:
    """Yield nothing: this law is only taken over everything."""
    yield from ()


LAWS = (
    Law("cash-conserved", "A1", "books", "Cash over all accounts sums to zero after every event.", _cash_conserved),
    Law("size-conserved", "A2", "books", "Sizes over all accounts sum to zero in every market.", _size_conserved),
    Law(
        "open-interest",
        "B2",
        "books",
        "Open interest counted from longs and shorts is the same. Taken over everything, every 65,536 events and at the end.",
        _checked_in_full,
    ),
    Law(
        "third-parties",
        "B3",
        "books",
        "Events change only the accounts they name. Taken over everything, every 65,536 events and at the end, so a change is "
        "found there and not at the event that made it, and not where changes cancel out in sums weighted by account.",
        _checked_in_full,
    ),
    Law("fees-booked", "A7", "books", "The fee account receives the fees charged.", _fees_booked, _TRADES),
    Law("flat-costs-nothing", "B11", "books", "A flat position has cost 0.", _flat_costs_nothing),
    Law("commitment", "F1", "books", "A committed root is that of the replayed state.", _commitment, (StateCommitted,)),
    Law("no-flip", "B5", "record", "A forced close never turns a position round.", _no_flip, _FORCED),
    Law("no-over-close", "B6", "record", "A forced close closes no more than there is.", _no_over_close, _FORCED),
    Law(
        "round-side-and-size",
        "D3",
        "record",
        "A round closes the side that the loser holds, and no more of it than there is.",
        _round_side_and_size,
        (AdlRound,),
    ),
    Law("opposite-sides", "D1", "record", "An ADL winner holds the opposite side of the loser.", _opposite_sides, (AdlClose,)),
    Law("open-interest-kept", "B4", "record", "ADL never raises open interest.", _open_interest_kept, (AdlClose,)),
    Law("one-price", "E6", "record", "All closes of a round have one price.", _one_price, (AdlClose,)),
    Law("within-need", "D2", "record", "A round closes no more than it needs.", _within_need, (AdlClose,)),
    Law("within-deficit", "C7", "record", "The fund pays no more than the deficit.", _within_deficit, (InsuranceDraw,)),
    Law("start-position", "B7", "record", "A claimed start position is the position on the books.", _start_position, _TRADES),
    Law("continuity", "H6", "record", "A level stated again is the level on the books.", _continuity, (Opening,)),
    Law(
        "closed-profit",
        "H4",
        "record",
        "A claimed profit is right within one step of the price grid, or within a ten-thousandth of the entry if that is more "
        "and the grid is assumed.",
        _closed_profit,
        _TRADES,
    ),
    Law(
        "round-claims",
        "E3",
        "record",
        "What a round claims is on record: pools' cash, the mark of a tick of its time, the bankruptcy price.",
        _round_claims,
        (AdlRound,),
    ),
    Law(
        "liquidation-claims",
        "C1",
        "record",
        "Equity and requirement that a liquidation claims are those before it, at the mark it states.",
        _liquidation_claims,
        (Liquidation,),
    ),
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
