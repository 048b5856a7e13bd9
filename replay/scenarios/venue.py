"""How a venue begins, and what it does by itself: it pays funding, and its liquidator looks at whoever may be at risk."""

from collections.abc import Iterator
from hashlib import sha256

from events.beginning import beginning
from events.model import (
    EXTERNAL,
    FIRST_FREE_ACCOUNT,
    PAYMENTS_MAX,
    ROUNDING,
    SEMANTICS,
    AdlClose,
    AnyEvent,
    Basis,
    Completeness,
    Contract,
    Funding,
    LedgerOpened,
    Liquidation,
    MarginMode,
    MarketListed,
    MarketStatus,
    Method,
    Payment,
    Reason,
    Role,
    SourceOpened,
)
from events.units import PPT
from replay.core import margin
from replay.core.engine import Bid, Look, decide
from replay.core.spelling import adopt
from replay.scenarios.script import Market, Phase
from replay.scenarios.world import SOURCE, World

__all__ = ["FORMAT", "found", "look", "pay_funding"]

FORMAT = "scenario"
_FORMAT_VERSION = 1
_VENUE = "simulation"
_DEBTOR_PPM = 5_000


def found(world: World) -> Iterator[AnyEvent]:
    """Found the venue: its ledger, source, markets, policy, funds, vault and makers."""
    scenario, now = world.scenario, world.at_ns
    for event in beginning(LedgerOpened(now, 0, 0, _VENUE, scenario.currency, scenario.money_decimals, SEMANTICS)):
        yield world.emit(event)
    yield world.emit(_source(world))
    world.row = 1
    for number, market in enumerate(scenario.markets):
        yield world.emit(_listing(market, number, now))
    yield world.emit(adopt(scenario.policy, policy=0, at_ns=now, source=SOURCE, row=1))
    for number, fund in enumerate(scenario.funds, FIRST_FREE_ACCOUNT):
        yield world.open_account(fund.name, Role.FUND, MarginMode.CROSS)
        yield from world.pay(EXTERNAL, number, fund.cash, Reason.TOP_UP)
    yield world.open_account(scenario.vault.name, scenario.vault.role, MarginMode.CROSS)
    yield from world.pay(EXTERNAL, world.vault, scenario.vault.cash, Reason.DEPOSIT)
    for number in range(scenario.makers.count):
        yield world.open_account(f"maker-{number + 1}", Role.USER, MarginMode.CROSS)
        yield from world.pay(EXTERNAL, world.first_maker + number, scenario.makers.cash, Reason.DEPOSIT)
    yield from world.tick(0, {})


def _source(world: World) -> SourceOpened:
    """Return the source: the scenario's own file, as everything follows from that."""
    content = world.scenario.content
    digest = sha256(content).digest()
    return SourceOpened(
        world.at_ns,
        SOURCE,
        0,
        name=world.scenario.source,
        sha256=digest,
        content_sha256=digest,
        content_bytes=len(content),
        format=FORMAT,
        format_version=_FORMAT_VERSION,
        granularity_ns=1,
        divergence_ns=0,
        clock="Simulated time: each event is stamped with the moment at which the simulation makes it.",
        completeness=Completeness.COMPLETE,
    )


def _listing(market: Market, number: int, at_ns: int) -> MarketListed:
    return MarketListed(
        at_ns,
        SOURCE,
        1,
        market=number,
        symbol=market.symbol,
        contract=Contract.LINEAR,
        price_decimals=market.price_decimals,
        size_decimals=market.size_decimals,
        multiplier=1,
        multiplier_decimals=0,
        price_tick=1,
        size_lot=1,
        basis=Basis.AVERAGE,
        grid_assumed=False,
        tiers=market.tiers,
        position_limit=market.position_limit,
        status=MarketStatus.TRADING,
    )


def look(world: World, phase: Phase) -> Iterator[AnyEvent]:
    """Look at the accounts that may be at risk, and carry out what the engine decides until nothing is left to do."""
    state, watch, seconds = world.state, world.watch, phase.depth * phase.look_seconds
    book = {
        number: Bid(world.maker(number), world.lots(number, seconds * market.depth_cash))
        for number, market in enumerate(world.scenario.markets)
    }
    # The vault every time, as a policy may close against it while it is sound.
    watch.touch(world.vault)
    off = state.marks != world.prices
    waiting: list[int] = []
    while (account := watch.pop()) is not None:
        if account < world.vault:
            continue
        safe = watch.safe_ppm(account, world.maintenance_max_ppm)
        if safe == 0 or account == world.vault:
            if off:
                _note_if_sound(world, account)
            yield from _settle(world, account, book)
            safe = watch.safe_ppm(account, world.maintenance_max_ppm)
        if safe == 0:
            waiting.append(account)
        elif safe is not None:
            watch.schedule(account, safe)
    for account in waiting:
        # Who only owes money is looked at again when prices have moved, as only others' money can help.
        owes = not any(position.size for position in state.holdings[account].values())
        watch.schedule(account, _DEBTOR_PPM if owes else 0)


def _settle(world: World, account: int, book: dict[int, Bid]) -> Iterator[AnyEvent]:
    """Carry out the waterfall for one account as far as it goes now."""
    while events := decide(world.state, Look(account, book), world.rules, world.moment()).events:
        for event in events:
            yield world.emit(event)
            if isinstance(event, AdlClose | Liquidation):
                world.trade += 1
                other = event.buyer if event.seller == account else event.seller
                world.watch.touch(other)
                if isinstance(event, Liquidation) and event.method is Method.MARKET:
                    book[event.market] = Bid(other, book[event.market].size - event.size)


def _note_if_sound(world: World, account: int) -> None:
    """Note an account that is below its maintenance margin at mark, and above it at the prices at which people trade."""
    state = world.state
    equity, maintenance = margin.equity(state, account), margin.maintenance(state, account)
    if equity is None or maintenance is None or equity >= maintenance or account in world.outcome.only_by_mark:
        return
    worth, needed = state.cash[account], 0
    for number, position in state.holdings[account].items():
        market = state.markets[number]
        value = margin.market_value(market, position.size, world.prices[number])
        worth += value
        needed += margin.required(market, abs(value), first=False) or 0
    if worth >= needed:
        world.outcome.only_by_mark.append(account)


def pay_funding(world: World) -> Iterator[AnyEvent]:
    """Pay funding once: longs to shorts where the rate is above 0. What rounding leaves comes from the rounding account."""
    state, rate_ppt = world.state, world.scenario.venue.funding_rate_ppt
    for market, book in enumerate(state.positions):
        unit = state.marks[market] * state.markets[market].numerator * rate_ppt
        payments = [
            Payment(account, -(position.size * unit // PPT), position.size)
            for account, position in sorted(book.items())
            if position.size
        ]
        for begin in range(0, len(payments), PAYMENTS_MAX):
            part = tuple(payments[begin : begin + PAYMENTS_MAX])
            yield world.emit(Funding(world.at_ns, SOURCE, world.row, market, rate_ppt, ROUNDING, part))
            for payment in part:
                world.watch.touch(payment.account)
