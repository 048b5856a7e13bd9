"""Scenarios in a small form, for tests that want a whole evening in a second."""

from collections.abc import Sequence

from msgspec.structs import replace

from replay.scenarios import Scenario
from replay.scenarios.script import Action, Phase, TopUp, Whale, Withdrawals

__all__ = ["scaled"]


def scaled(scenario: Scenario, *, users: int = 60, orders: int = 700, faster: int = 10, fund: int | None = None) -> Scenario:
    """Return a scenario with so many traders, who come about ``orders`` times in all, in time that passes ``faster``.

    Whatever stands against the traders' money shrinks with them: funds, vault, depth of the books, whales and top-ups. A step
    is as long as before, so prices move by more in each. ``fund`` is what every fund has instead, in whole units of money.
    """

    def money(cash: int) -> int:
        return cash * users // scenario.users.count

    come = sum(phase.trades * (phase.seconds // phase.step_seconds) for phase in scenario.phases)
    given = None if fund is None else fund * 10**scenario.money_decimals
    phases, begins = [], [0]
    for phase in scenario.phases:
        steps = max(phase.seconds // phase.step_seconds // faster, 1)
        trades = phase.trades * orders * faster // max(come, 1)
        phases.append(_shorter(phase, steps * phase.step_seconds, trades))
        begins.append(begins[-1] + phases[-1].seconds)
    return replace(
        scenario,
        users=replace(scenario.users, count=users),
        vault=replace(scenario.vault, cash=money(scenario.vault.cash)),
        funds=tuple(replace(each, cash=money(each.cash) if given is None else given) for each in scenario.funds),
        markets=tuple(replace(market, depth_cash=money(market.depth_cash)) for market in scenario.markets),
        phases=tuple(phases),
        actions=tuple(_smaller(action, scenario.phases, begins, users, scenario.users.count) for action in scenario.actions),
    )


def _shorter(phase: Phase, seconds: int, trades: int) -> Phase:
    """Return a phase of so many seconds, with its paths and its gaps as much shorter."""

    def at(second: int) -> int:
        return second * seconds // phase.seconds

    # Of two points that fall on one second the later stands.
    paths = tuple((name, tuple({at(second): level for second, level in points}.items())) for name, points in phase.paths)
    return replace(phase, seconds=seconds, trades=trades, gap_seconds=max(at(phase.gap_seconds), 1), paths=paths)


def _smaller(action: Action, phases: Sequence[Phase], begins: Sequence[int], users: int, of: int) -> Action:
    """Return an action at the same point of the evening. ``begins`` are where the shorter phases begin and the last ends."""

    def at(second: int) -> int:
        before = 0
        for number, phase in enumerate(phases):
            if second < before + phase.seconds:
                return begins[number] + (second - before) * (begins[number + 1] - begins[number]) // phase.seconds
            before += phase.seconds
        return begins[-1]

    at_s = at(action.at_s)
    match action:
        case TopUp():
            return replace(action, at_s=at_s, cash=max(action.cash * users // of, 1))
        case Whale():
            notional, margin = action.notional_cash * users // of, action.margin_cash * users // of
            return replace(action, at_s=at_s, notional_cash=max(notional, 1), margin_cash=max(margin, 1))
        case Withdrawals():
            return replace(action, at_s=at_s, seconds=max(at(action.at_s + action.seconds) - at_s, 1))
        case _:
            step = phases[0].step_seconds
            return replace(action, at_s=at_s, seconds=max(at(action.at_s + action.seconds) - at_s, 2 * step))
