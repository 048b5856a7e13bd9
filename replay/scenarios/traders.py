"""The people of a scenario: who comes with which wish, how they trade, and how they leave."""

from collections.abc import Iterator, Sequence

from events.model import EXTERNAL, AnyEvent, MarginMode, Reason, Role
from events.times import NS_PER_SECOND
from events.units import PPM
from replay.core import margin
from replay.scenarios.script import Mood, Phase
from replay.scenarios.world import Slot, World

__all__ = ["flee", "open_users", "trade", "visit"]

_VISITOR_DOLLARS = (50, 5_000)
_ISOLATED_DIVISOR = 4  # of an owner's wealth

# How many in a hundred act in a panic, of those against whom prices have moved and of the others.
_PANIC_PERCENT, _PROFIT_PERCENT = 30, 8


def open_users(world: World) -> Iterator[AnyEvent]:
    """Open the traders: each owner a cross account, and many beside it an isolated position, an account of its own."""
    dice, users, opened, number = world.dice, world.scenario.users, 0, 0
    choice = [place for place, market in enumerate(world.scenario.markets) for _ in range(market.weight)]
    while opened < users.count:
        number += 1
        owner, name = len(world.state.accounts), f"trader-{number:04}"
        yield world.open_account(name, Role.USER, MarginMode.CROSS)
        long = dice.below(PPM) < users.long_ppm
        wealth = dice.between(*users.wealth_cash) << dice.below(users.doublings[long] + 1)
        yield from world.pay(EXTERNAL, owner, wealth, Reason.DEPOSIT)
        opened += 1
        markets = dice.between(1, users.markets_max)
        for _ in range(markets):
            _want(world, owner, _pick(world, choice), wealth * dice.between(*users.leverage) // markets, long=long)
        if dice.below(PPM) < users.isolated_ppm and opened < users.count:
            isolated, market = len(world.state.accounts), _pick(world, choice)
            symbol, cash = world.scenario.markets[market].symbol, wealth // _ISOLATED_DIVISOR
            yield world.open_account(f"{name}:{symbol}", Role.USER, MarginMode.ISOLATED, owner)
            yield from world.pay(owner, isolated, cash, Reason.MARGIN)
            _want(world, isolated, market, cash * dice.between(*users.isolated_leverage), long=long)
            opened += 1


def _pick(world: World, choice: Sequence[int]) -> int:
    return choice[world.dice.below(len(choice))]


def _want(world: World, account: int, market: int, cash: int, *, long: bool) -> None:
    lots = world.lots(market, cash)
    if lots:
        slot = Slot(account, market, lots if long else -lots)
        world.slots.append(slot)
        world.slots_of[market].append(slot)


def trade(world: World, phase: Phase, seconds: int, began: Sequence[int]) -> Iterator[AnyEvent]:
    """Trade for so long: traders move towards what they want, with each other where they differ, else with a maker.

    ``began`` are the prices at the beginning of the phase.
    """
    begun, dice, trades = world.at_ns, world.dice, phase.trades if world.slots else 0
    for number in range(trades):
        world.at_ns = begun + number * seconds * NS_PER_SECOND // trades
        slot = world.slots[dice.below(len(world.slots))]
        size = _wish(world, slot, phase.mood, began)
        if size == 0:
            continue
        others = world.slots_of[slot.market]
        other = others[dice.below(len(others))]
        theirs = _wish(world, other, phase.mood, began)
        if theirs * size < 0 and other.account != slot.account:
            lots = min(abs(size), abs(theirs))
            yield from world.order(slot.market, slot.account, other.account, lots if size > 0 else -lots)
        else:
            yield from world.order(slot.market, slot.account, world.maker(slot.market), size)
    world.at_ns = begun + seconds * NS_PER_SECOND


def _wish(world: World, slot: Slot, mood: Mood, began: Sequence[int]) -> int:
    """Return the signed size that a trader would trade now, 0 for none."""
    held, roll = world.size(slot.account, slot.market), world.dice.below(100)
    if mood is Mood.PANIC:
        losing = held * (world.prices[slot.market] - began[slot.market]) < 0
        return -held * roll // 200 if roll < (_PANIC_PERCENT if losing else _PROFIT_PERCENT) else 0
    gap = slot.target - held
    if abs(gap) * 5 > abs(slot.target) and gap * slot.target > 0:
        size = gap * (20 + roll // 2) // 100
    else:
        size = held * (roll // 8) // 100 if roll & 1 else -held * (roll // 8) // 100
    if mood is Mood.WARY and not _has_room(world, slot, size):
        # Whoever came out of the crash with little room brings the risk down.
        return -held * (40 + roll // 2) // 100
    return size


def _has_room(world: World, slot: Slot, size: int) -> bool:
    """Return whether the trader would still hold three times its initial margin after adding ``size``."""
    state = world.state
    equity, initial = margin.equity(state, slot.account), margin.initial(state, slot.account)
    added = abs(size) * state.marks[slot.market] * state.markets[slot.market].numerator * world.initial_max_ppm // PPM
    return equity is not None and initial is not None and equity > 3 * (initial + added)


def visit(world: World, visitors: int) -> Iterator[AnyEvent]:
    """Let some deposit, and as many of those without positions leave."""
    dice, last = world.dice, len(world.state.accounts) - 1
    for _ in range(visitors):
        cash = dice.between(*_VISITOR_DOLLARS) * 10**world.scenario.money_decimals
        yield from world.pay(EXTERNAL, dice.between(world.first_maker, last), cash, Reason.DEPOSIT)
        leaver = dice.between(world.first_user, last)
        cash = world.state.cash[leaver]
        if cash > 0 and not any(position.size for position in world.state.holdings[leaver].values()):
            yield from world.withdraw(leaver, cash)
            _give_up(world, leaver)


def flee(world: World, account: int, share_ppm: int) -> Iterator[AnyEvent]:
    """Let an account close its positions and ask for so much of what is then free."""
    _give_up(world, account)
    for market, position in list(world.state.holdings[account].items()):
        if position.size:
            yield from world.order(market, account, world.maker(market), -position.size)
    state = world.state
    equity, balance, initial = margin.equity(state, account), margin.balance(state, account), margin.initial(state, account)
    free = 0 if equity is None or balance is None or initial is None else min(equity, balance) - initial
    if free * share_ppm >= PPM:
        yield from world.withdraw(account, free * share_ppm // PPM)


def _give_up(world: World, account: int) -> None:
    for slot in world.slots:
        if slot.account == account:
            slot.target = 0
