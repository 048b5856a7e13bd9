"""The demo incident: a made-up venue, a made-up evening, the same bytes on every machine.

About 200,000 events. An hour of ordinary trading; then prices fall by about a third within minutes, liquidations outrun the
book, the insurance fund is drawn to zero, and positions are closed by ADL, round after round; then the fund is topped up,
prices recover and the evening is calm again. Nothing of it is a record of any real venue or day.

Every forced close is what ``replay.core.engine`` decided from the state that the events before it add up to.
"""

from collections.abc import Iterator
from enum import IntEnum
from hashlib import sha256
from itertools import pairwise

import msgspec
from msgspec import Struct

from events.beginning import beginning
from events.model import (
    EXTERNAL,
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
    MarginTier,
    MarketListed,
    MarketStatus,
    Method,
    Payment,
    Reason,
    Role,
    SourceClosed,
    SourceOpened,
)
from events.times import NS_PER_SECOND
from events.units import PPM, PPT
from replay.core import margin
from replay.core.engine import Bid, Moment, Venue, decide
from replay.core.policy import PROFIT_TIMES_LEVERAGE, adopt
from replay.simulation import SOURCE, Asset, World

__all__ = ["INCIDENT", "INCIDENT_SEED", "Scenario", "incident"]

INCIDENT_SEED = 20_300_101
START_NS = 1_893_528_000 * NS_PER_SECOND  # 2030-01-01T20:00:00Z

MONEY_DECIMALS = 8
DOLLAR = 10**MONEY_DECIMALS

FUND, BACKSTOP, FIRST_MAKER = 4, 5, 6
MAKERS = 6
BACKSTOP_CASH = 40_000_000 * DOLLAR
MAKER_CASH = 60_000_000 * DOLLAR

FUNDING_RATE_PPT = 125_000_000  # 0.0125% per hour
SLIPPAGE_PPM = 4_000

LONG_PERCENT = 56
ISOLATED_PERCENT = 66  # of the owners, so that two accounts in five are isolated

MINUTE = 60
GAP_SECONDS = 8  # in the crash the average moves in gaps: there is nobody to trade with in between
CALM_NOISE_PPM, CRASH_NOISE_PPM = 300, 1_200
CALM_DEPTH = 10  # how much deeper the books are than in the crash


class Scenario(Struct, frozen=True):
    """The sizes of an incident. ``*_cash`` is in whole dollars; ``depth_cash`` is what each book takes per second."""

    seed: int = INCIDENT_SEED
    users: int = 2_000
    calm_seconds: int = 3_600
    crash_seconds: int = 720
    recovery_seconds: int = 2_880
    step_seconds: int = 5
    calm_trades: int = 220
    crash_trades: int = 40
    recovery_trades: int = 90
    fund_cash: int = 1_000_000
    depth_cash: int = 3_000


INCIDENT = Scenario()

_ASSETS = (
    Asset("BTC", 1, 5, 1_240_000, 720_000, 40_000, 20_000),
    Asset("ETH", 2, 4, 452_000, 900_000, 40_000, 20_000),
    Asset("SOL", 3, 2, 231_000, 1_000_000, 50_000, 25_000),
    Asset("XRP", 4, 0, 29_500, 1_000_000, 50_000, 25_000),
    Asset("DOGE", 5, 0, 25_800, 1_150_000, 50_000, 25_000),
    Asset("AVAX", 3, 2, 29_400, 1_200_000, 50_000, 25_000),
    Asset("LINK", 3, 1, 22_700, 1_050_000, 50_000, 25_000),
    Asset("SUI", 4, 1, 35_200, 1_300_000, 50_000, 25_000),
)
# Above this notional both rates double.
_LARGE_CASH = 5_000_000 * DOLLAR
_INITIAL_MAX_PPM, _MAINTENANCE_MAX_PPM = 100_000, 50_000

# How far the average market has fallen, by the share of the crash that has passed: two legs, the second the deeper.
_FALL_PPM = (
    (0, 0),
    (200_000, 30_000),
    (320_000, 70_000),
    (390_000, 160_000),
    (470_000, 175_000),
    (520_000, 155_000),
    (580_000, 310_000),
    (610_000, 345_000),
    (700_000, 310_000),
    (850_000, 285_000),
    (1_000_000, 270_000),
)
_RECOVERED_PPM = 190_000


class _Mood(IntEnum):
    """What traders do in a phase of the evening."""

    CALM = 1
    PANIC = 2
    WARY = 3


class _Slot(Struct):
    """One account's interest in one market: the signed size it wants to hold."""

    account: int
    market: int
    target: int


class _Evening(World):
    """The world with its scenario and its traders. ``slots_of`` is by market."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario.seed, _ASSETS, START_NS)
        self.scenario = scenario
        self.slots: list[_Slot] = []
        self.slots_of: list[list[_Slot]] = [[] for _ in _ASSETS]


def incident(scenario: Scenario = INCIDENT) -> Iterator[AnyEvent]:
    """Yield the events of the incident in order, from LedgerOpened and the reserved accounts on."""
    world = _Evening(scenario)
    yield from _found(world)
    yield from _open_users(world)
    yield from _calm(world)
    yield from _crash(world)
    yield from _recover(world)
    yield world.emit(SourceClosed(world.at_ns, SOURCE, 0, world.row, world.row, ()))


# ---- The evening


def _found(world: _Evening) -> Iterator[AnyEvent]:
    """Found the venue: its ledger, source, markets, policy, fund, backstop and makers."""
    now = world.at_ns
    for event in beginning(LedgerOpened(now, 0, 0, "demo", "USD", MONEY_DECIMALS, SEMANTICS)):
        yield world.emit(event)
    yield world.emit(_source(world))
    world.row = 1
    for market, asset in enumerate(_ASSETS):
        yield world.emit(_listing(asset, market, now))
    yield world.emit(adopt(PROFIT_TIMES_LEVERAGE, policy=0, at_ns=now, source=SOURCE, row=1))
    yield world.open_account("insurance fund", Role.FUND, MarginMode.CROSS)
    yield world.open_account("backstop", Role.LIQUIDATOR, MarginMode.CROSS)
    yield world.pay(EXTERNAL, FUND, world.scenario.fund_cash * DOLLAR, Reason.TOP_UP)
    yield world.pay(EXTERNAL, BACKSTOP, BACKSTOP_CASH, Reason.DEPOSIT)
    for number in range(MAKERS):
        yield world.open_account(f"maker-{number + 1}", Role.USER, MarginMode.CROSS)
        yield world.pay(EXTERNAL, FIRST_MAKER + number, MAKER_CASH, Reason.DEPOSIT)
    yield from world.tick(0, 0)


def _source(world: _Evening) -> SourceOpened:
    """Return the source: its content is the scenario, as everything follows from that."""
    content = msgspec.json.encode(world.scenario, order="deterministic")
    digest = sha256(content).digest()
    return SourceOpened(
        world.at_ns,
        SOURCE,
        0,
        name="simulation",
        sha256=digest,
        content_sha256=digest,
        content_bytes=len(content),
        format="demo",
        format_version=1,
        granularity_ns=1,
        divergence_ns=0,
        clock="Simulated time: each event is stamped with the moment at which the simulation makes it.",
        completeness=Completeness.COMPLETE,
    )


def _listing(asset: Asset, market: int, at_ns: int) -> MarketListed:
    tiers = (
        MarginTier(0, asset.initial_ppm * PPM, asset.maintenance_ppm * PPM),
        MarginTier(_LARGE_CASH, 2 * asset.initial_ppm * PPM, 2 * asset.maintenance_ppm * PPM),
    )
    return MarketListed(
        at_ns,
        SOURCE,
        1,
        market=market,
        symbol=asset.symbol,
        contract=Contract.LINEAR,
        price_decimals=asset.price_decimals,
        size_decimals=asset.size_decimals,
        multiplier=1,
        multiplier_decimals=0,
        price_tick=1,
        size_lot=1,
        basis=Basis.AVERAGE,
        grid_assumed=False,
        tiers=tiers,
        position_limit=None,
        status=MarketStatus.TRADING,
    )


def _open_users(world: _Evening) -> Iterator[AnyEvent]:
    """Open the traders: each owner a cross account, and many beside it an isolated position, an account of its own."""
    dice, opened, number = world.dice, 0, 0
    while opened < world.scenario.users:
        number += 1
        owner, name = len(world.state.accounts), f"trader-{number:04}"
        yield world.open_account(name, Role.USER, MarginMode.CROSS)
        long = dice.below(100) < LONG_PERCENT
        dollars = dice.between(150, 900) << dice.below(10 if long else 8)
        yield world.pay(EXTERNAL, owner, dollars * DOLLAR, Reason.DEPOSIT)
        opened += 1
        markets = dice.between(1, 3)
        for _ in range(markets):
            _want(world, owner, dice.below(len(_ASSETS)), dollars * dice.between(1, 8) // markets, long=long)
        if dice.below(100) < ISOLATED_PERCENT and opened < world.scenario.users:
            isolated, market = len(world.state.accounts), dice.below(len(_ASSETS))
            yield world.open_account(f"{name}:{_ASSETS[market].symbol}", Role.USER, MarginMode.ISOLATED, owner)
            yield world.pay(owner, isolated, dollars // 4 * DOLLAR, Reason.MARGIN)
            _want(world, isolated, market, dollars // 4 * dice.between(4, 14), long=long)
            opened += 1


def _want(world: _Evening, account: int, market: int, dollars: int, *, long: bool) -> None:
    lots = dollars * DOLLAR // (world.state.marks[market] * world.state.markets[market].numerator)
    if lots:
        slot = _Slot(account, market, lots if long else -lots)
        world.slots.append(slot)
        world.slots_of[market].append(slot)


def _calm(world: _Evening) -> Iterator[AnyEvent]:
    scenario = world.scenario
    for second in range(0, scenario.calm_seconds, scenario.step_seconds):
        yield from world.tick(0, CALM_NOISE_PPM)
        if second % MINUTE == 0:
            yield from _sweep(world, CALM_DEPTH)
            yield from _visitor(world)
        yield from _trade(world, scenario.calm_trades, scenario.step_seconds, _Mood.CALM)
    yield from _fund_positions(world)


def _crash(world: _Evening) -> Iterator[AnyEvent]:
    seconds = world.scenario.crash_seconds
    for second in range(seconds):
        yield from world.tick(_fall_ppm((second - second % GAP_SECONDS) * PPM // seconds), CRASH_NOISE_PPM)
        yield from _sweep(world, 1)
        yield from _trade(world, world.scenario.crash_trades, 1, _Mood.PANIC)


def _recover(world: _Evening) -> Iterator[AnyEvent]:
    scenario, bottom = world.scenario, _FALL_PPM[-1][1]
    yield world.pay(EXTERNAL, FUND, scenario.fund_cash * DOLLAR, Reason.TOP_UP)
    for second in range(0, scenario.recovery_seconds, scenario.step_seconds):
        # Half of the time climbs, half is calm.
        climbed = min(2 * second * PPM // scenario.recovery_seconds, PPM)
        yield from world.tick(bottom - (bottom - _RECOVERED_PPM) * climbed // PPM, CALM_NOISE_PPM)
        if second % MINUTE == 0:
            yield from _sweep(world, CALM_DEPTH)
            yield from _visitor(world)
            yield from _unwind(world)
        yield from _trade(world, scenario.recovery_trades, scenario.step_seconds, _Mood.WARY)
    yield from _fund_positions(world)


def _fall_ppm(passed_ppm: int) -> int:
    """Return how far the average market has fallen when that share of the crash has passed."""
    for (begin, high), (end, low) in pairwise(_FALL_PPM):
        if passed_ppm <= end:
            return high + (low - high) * (passed_ppm - begin) // (end - begin)
    return _FALL_PPM[-1][1]


# ---- What happens in a step


def _trade(world: _Evening, trades: int, seconds: int, mood: _Mood) -> Iterator[AnyEvent]:
    """Trade for so long: traders move towards what they want, with each other where they differ, else with a maker."""
    begun, dice = world.at_ns, world.dice
    for number in range(trades):
        world.at_ns = begun + number * seconds * NS_PER_SECOND // trades
        slot = world.slots[dice.below(len(world.slots))]
        size = _wish(world, slot, mood)
        if size == 0:
            continue
        others = world.slots_of[slot.market]
        other = others[dice.below(len(others))]
        theirs = _wish(world, other, mood)
        if theirs * size < 0 and other.account != slot.account:
            lots = min(abs(size), abs(theirs))
            yield world.fill(slot.market, slot.account, other.account, lots if size > 0 else -lots)
        else:
            yield world.fill(slot.market, slot.account, _maker(world, slot.market), size)
    world.at_ns = begun + seconds * NS_PER_SECOND


def _wish(world: _Evening, slot: _Slot, mood: _Mood) -> int:
    """Return the signed size that a trader would trade now, 0 for none."""
    held, roll = world.size(slot.account, slot.market), world.dice.below(100)
    if mood is _Mood.PANIC:
        # Longs panic, shorts take some profit, most wait.
        return -held * roll // 200 if roll < (30 if held > 0 else 8) else 0
    gap = slot.target - held
    if abs(gap) * 5 > abs(slot.target) and gap * slot.target > 0:
        size = gap * (20 + roll // 2) // 100
    else:
        size = held * (roll // 8) // 100 if roll & 1 else -held * (roll // 8) // 100
    if mood is _Mood.WARY and not _has_room(world, slot, size):
        # Whoever came out of the crash with little room brings the risk down.
        return -held * (40 + roll // 2) // 100
    return size


def _has_room(world: _Evening, slot: _Slot, size: int) -> bool:
    """Return whether the trader would still hold three times its initial margin after adding ``size``."""
    state = world.state
    equity, initial = margin.equity(state, slot.account), margin.initial(state, slot.account)
    added = abs(size) * state.marks[slot.market] * state.markets[slot.market].numerator * _INITIAL_MAX_PPM // PPM
    return equity is not None and initial is not None and equity > 3 * (initial + added)


def _maker(world: _Evening, market: int) -> int:
    """Return one of the two makers of a market."""
    return FIRST_MAKER + (market + world.dice.below(2)) % MAKERS


def _sweep(world: _Evening, depth: int) -> Iterator[AnyEvent]:
    """Look at the accounts that may be at risk, and carry out what the engine decides until nothing is left to do."""
    state, watch = world.state, world.watch
    book = {
        market: Bid(_maker(world, market), depth * world.scenario.depth_cash * DOLLAR // (mark * listed.numerator))
        for market, (mark, listed) in enumerate(zip(state.marks, state.markets, strict=True))
    }
    waiting: list[int] = []
    while (account := watch.pop()) is not None:
        if account < FIRST_MAKER:
            continue
        safe = watch.safe_ppm(account, _MAINTENANCE_MAX_PPM)
        if safe == 0:
            yield from _settle(world, account, book)
            safe = watch.safe_ppm(account, _MAINTENANCE_MAX_PPM)
        if safe == 0:
            waiting.append(account)
        elif safe is not None:
            watch.schedule(account, safe)
    for account in waiting:
        watch.touch(account)


def _settle(world: _Evening, account: int, book: dict[int, Bid]) -> Iterator[AnyEvent]:
    """Carry out the waterfall for one account as far as it goes now."""
    venue = Venue(FUND, BACKSTOP, SLIPPAGE_PPM)
    while events := decide(world.state, account, venue, Moment(world.at_ns, SOURCE, world.row, world.trade), book):
        for event in events:
            yield world.emit(event)
            if isinstance(event, AdlClose | Liquidation):
                world.trade += 1
                other = event.buyer if event.seller == account else event.seller
                world.watch.touch(other)
                if isinstance(event, Liquidation) and event.method is Method.MARKET:
                    book[event.market] = Bid(other, book[event.market].size - event.size)


def _visitor(world: _Evening) -> Iterator[AnyEvent]:
    """Let somebody deposit, and somebody without positions leave."""
    dice, accounts = world.dice, len(world.state.accounts)
    yield world.pay(EXTERNAL, dice.between(FIRST_MAKER, accounts - 1), dice.between(50, 5_000) * DOLLAR, Reason.DEPOSIT)
    leaver = dice.between(FIRST_MAKER + MAKERS, accounts - 1)
    cash = world.state.cash[leaver]
    if cash > 0 and not any(world.size(leaver, market) for market in range(len(_ASSETS))):
        yield world.pay(leaver, EXTERNAL, cash, Reason.WITHDRAWAL)
        for slot in world.slots:
            if slot.account == leaver:
                slot.target = 0


def _unwind(world: _Evening) -> Iterator[AnyEvent]:
    """Let the backstop sell off, a tenth at a time, what it took over."""
    for market in range(len(_ASSETS)):
        held = world.size(BACKSTOP, market)
        if held:
            lots = -(-abs(held) // 10)
            yield world.fill(market, BACKSTOP, _maker(world, market), -lots if held > 0 else lots)


def _fund_positions(world: _Evening) -> Iterator[AnyEvent]:
    """Pay funding for an hour: longs to shorts. What rounding leaves comes from the rounding account."""
    state = world.state
    for market, book in enumerate(state.positions):
        unit = state.marks[market] * state.markets[market].numerator * FUNDING_RATE_PPT
        payments = [
            Payment(account, -(position.size * unit // PPT), position.size)
            for account, position in sorted(book.items())
            if position.size
        ]
        for begin in range(0, len(payments), PAYMENTS_MAX):
            part = tuple(payments[begin : begin + PAYMENTS_MAX])
            yield world.emit(Funding(world.at_ns, SOURCE, world.row, market, FUNDING_RATE_PPT, ROUNDING, part))
            for payment in part:
                world.watch.touch(payment.account)
