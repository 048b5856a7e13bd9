"""A scenario played: its events in order, the same on every machine."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec import Struct

from events.model import EXTERNAL, FIRST_FREE_ACCOUNT, AnyEvent, MarginMode, Reason, Role, SourceClosed
from events.units import PPM
from replay.scenarios.script import ALL_MARKETS, Phase, Scenario, Spike, TopUp, Whale, Withdrawals
from replay.scenarios.traders import flee, open_users, trade, visit
from replay.scenarios.venue import found, look, pay_funding
from replay.scenarios.world import SOURCE, Outcome, World

__all__ = ["play"]

_MINUTE = 60
_WHALE_TRADES = 20


class _Wave(Struct):
    """A wave of withdrawals that has begun: who still waits, and how many come each second, as a fraction."""

    action: Withdrawals
    waiting: deque[int]
    users: int


class _Doings(Struct):
    """The actions of a scenario as they stand: those to come, and those that last."""

    to_come: deque[TopUp | Withdrawals | Whale | Spike]
    spikes: dict[int, Spike] = {}
    waves: list[_Wave] = []


def play(scenario: Scenario, outcome: Outcome | None = None) -> Iterator[AnyEvent]:
    """Yield the events of a scenario, from LedgerOpened and the reserved accounts on; ``outcome`` is filled on the way.

    Raises ``MisuseError`` where the policy asks for what a simulated record does not have: it is named.
    """
    world = World(scenario, Outcome() if outcome is None else outcome)
    yield from found(world)
    yield from open_users(world)
    doings, second = _Doings(deque(scenario.actions)), 0
    for phase in scenario.phases:
        yield from _phase(world, phase, doings, second)
        second += phase.seconds
    # Nothing that the last trades did is left undone.
    yield from look(world, scenario.phases[-1])
    yield world.emit(SourceClosed(world.at_ns, SOURCE, 0, world.row, world.row, ()))


def _phase(world: World, phase: Phase, doings: _Doings, begins_s: int) -> Iterator[AnyEvent]:
    paths, began = _paths(world, phase), list(world.prices)
    every = world.scenario.venue.funding_seconds
    for second in range(0, phase.seconds, phase.step_seconds):
        step = min(phase.step_seconds, phase.seconds - second)
        now = begins_s + second
        yield from _act(world, doings, now)
        world.levels_ppm = [_level(points, second - second % phase.gap_seconds) for points in paths]
        yield from world.tick(phase.noise_ppm, doings.spikes)
        for wave in doings.waves:
            yield from _flee(world, wave, now, step)
        if second % phase.look_seconds < step:
            yield from look(world, phase)
        if second % _MINUTE < step:
            yield from visit(world, phase.visitors)
            yield from _sell_off(world, phase.vault_sells_ppm)
        yield from trade(world, phase, step, began)
        if every and (now + step) // every > now // every:
            yield from pay_funding(world)


def _paths(world: World, phase: Phase) -> Sequence[Sequence[tuple[int, int]]]:
    """Return the path of each market in a phase: its own, else that of all by its beta, else it stays where it is."""
    given, paths = dict(phase.paths), []
    for number, market in enumerate(world.scenario.markets):
        points = list(given.get(market.symbol, ()))
        if not points:
            points = [(second, level * market.beta_ppm // PPM) for second, level in given.get(ALL_MARKETS, ())]
        if not points or points[0][0] > 0:
            points.insert(0, (0, world.levels_ppm[number]))
        paths.append(points)
    return paths


def _level(points: Sequence[tuple[int, int]], second: int) -> int:
    """Return the level of a path at a second: straight between two points, and as it was after the last."""
    for (begin, before), (end, after) in pairwise(points):
        if second <= end:
            return before + (after - before) * (second - begin) // (end - begin)
    return points[-1][1]


def _act(world: World, doings: _Doings, now: int) -> Iterator[AnyEvent]:
    """Do what is to be done by now, and end what is over."""
    doings.spikes = {market: spike for market, spike in doings.spikes.items() if now < spike.at_s + spike.seconds}
    doings.waves = [wave for wave in doings.waves if now < wave.action.at_s + wave.action.seconds]
    while doings.to_come and doings.to_come[0].at_s <= now:
        match doings.to_come.popleft():
            case TopUp() as top_up:
                yield from world.pay(EXTERNAL, FIRST_FREE_ACCOUNT + top_up.fund, top_up.cash, Reason.TOP_UP)
            case Withdrawals() as action:
                doings.waves.append(_wave(world, action))
            case Whale() as whale:
                yield from _whale(world, whale)
            case Spike() as spike:
                doings.spikes[spike.market] = spike


def _wave(world: World, action: Withdrawals) -> _Wave:
    last = world.first_user + world.scenario.users.count
    waiting = deque(account for account in range(world.first_user, last) if world.dice.below(PPM) < action.users_ppm)
    return _Wave(action, waiting, len(waiting))


def _flee(world: World, wave: _Wave, now: int, step: int) -> Iterator[AnyEvent]:
    """Let those come whose turn it is in this step; whoever is refused waits behind all others."""
    action, passed = wave.action, now - wave.action.at_s
    come = wave.users * min(passed + step, action.seconds) // action.seconds - wave.users * passed // action.seconds
    for _ in range(min(come, len(wave.waiting))):
        account, refused = wave.waiting.popleft(), world.outcome.withdrawals_refused
        yield from flee(world, account, action.share_ppm)
        if world.outcome.withdrawals_refused > refused:
            wave.waiting.append(account)


def _whale(world: World, whale: Whale) -> Iterator[AnyEvent]:
    """Let an account open one position, a part at a time."""
    account = len(world.state.accounts)
    yield world.open_account(whale.name, Role.USER, MarginMode.CROSS)
    yield from world.pay(EXTERNAL, account, whale.margin_cash, Reason.DEPOSIT)
    lots = world.lots(whale.market, whale.notional_cash)
    for number in range(_WHALE_TRADES):
        part = lots * (number + 1) // _WHALE_TRADES - lots * number // _WHALE_TRADES
        if part:
            yield from world.order(whale.market, account, world.maker(whale.market), part if whale.long else -part)


def _sell_off(world: World, share_ppm: int) -> Iterator[AnyEvent]:
    """Let the vault trade away so much of each position that it took over."""
    for market in range(len(world.prices) if share_ppm else 0):
        held = world.size(world.vault, market)
        if held:
            lots = -(-abs(held) * share_ppm // PPM)
            yield from world.order(market, world.vault, world.maker(market), -lots if held > 0 else lots)
