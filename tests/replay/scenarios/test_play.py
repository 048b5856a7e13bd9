from collections.abc import Iterable
from itertools import pairwise

import pytest
from msgspec.structs import replace

from events.model import (
    EXTERNAL,
    FIRST_FREE_ACCOUNT,
    RESERVED_ACCOUNTS,
    AccountOpened,
    AnyEvent,
    Fill,
    Funding,
    LedgerOpened,
    MarginMode,
    MarketListed,
    PriceTick,
    Reason,
    Role,
    SourceClosed,
    SourceOpened,
    Transfer,
)
from replay.core.evolve import evolve
from replay.core.state import State
from replay.scenarios import Outcome, Scenario, load, play
from replay.scenarios.script import Mood, Phase, Spike, TopUp, Whale, Withdrawals
from replay.testing.scenarios import scaled

MINUTE = Phase("one", 60, 5, 1, 5, 0, Mood.CALM, 20, 1, 0, 0, ())
FUND, VAULT, FIRST_MAKER = 4, 5, 6


def evening(*phases: Phase, actions: Iterable[TopUp | Withdrawals | Whale | Spike] = ()) -> Scenario:
    """Return the small run on the fund with other phases and actions: three markets, four makers, 60 users."""
    return replace(scaled(load("fund-run")), phases=phases, actions=tuple(actions))


def ticks(events: Iterable[AnyEvent], market: int) -> list[PriceTick]:
    return [event for event in events if isinstance(event, PriceTick) and event.market == market]


def transfers(events: Iterable[AnyEvent], reason: Reason) -> list[Transfer]:
    return [event for event in events if isinstance(event, Transfer) and event.reason is reason]


def test_a_ledger_begins_with_its_source_the_venue_and_its_accounts() -> None:
    scenario = evening(MINUTE)
    opened, *rest = play(scenario)
    assert isinstance(opened, LedgerOpened)
    assert (opened.venue, opened.currency, opened.money_decimals) == ("simulation", "USD", 8)
    reserved, source, closed = rest[: len(RESERVED_ACCOUNTS)], rest[len(RESERVED_ACCOUNTS)], rest[-1]
    assert [event.account for event in reserved if isinstance(event, AccountOpened)] == [0, 1, 2, 3]
    assert isinstance(source, SourceOpened)
    assert (source.name, source.format, source.content_bytes) == ("fund-run.toml", "scenario", len(scenario.content))
    assert isinstance(closed, SourceClosed)
    assert closed.rows_in == closed.rows_used == max(event.row for event in rest)
    accounts = [event for event in rest if isinstance(event, AccountOpened) and event.account >= FIRST_FREE_ACCOUNT]
    assert [(each.name, each.role) for each in accounts[:3]] == [
        ("insurance fund", Role.FUND), ("vault", Role.VAULT), ("maker-1", Role.USER),
    ]  # fmt: skip
    traders = [each for each in accounts if each.name.startswith("trader-")]
    assert len(traders) == scenario.users.count
    assert all(each.owner < each.account for each in traders if each.margin is MarginMode.ISOLATED)
    assert [event.tiers for event in rest if isinstance(event, MarketListed)] == [market.tiers for market in scenario.markets]
    assert all(before.at_ns <= after.at_ns for before, after in pairwise([opened, *rest]))


def test_a_market_follows_its_own_path_and_others_the_path_of_all_by_beta() -> None:
    fall = replace(MINUTE, trades=0, paths=(("all", ((0, 0), (50, -200_000))), ("SOL", ((25, 500_000),))))
    events = list(play(evening(fall, replace(MINUTE, trades=0))))
    first = [market.mark for market in evening(fall).markets]
    # One tick before the first phase; then one each five seconds.
    btc, eth, sol = ([tick.oracle for tick in ticks(events, market)] for market in range(3))
    assert eth[1:4] == [first[1], first[1] * 98 // 100, first[1] * 96 // 100]
    assert eth[11:] == [first[1] * 80 // 100] * 14
    assert btc[11] == first[0] * 84 // 100
    assert [sol[1], sol[6], sol[-1]] == [first[2], first[2] * 150 // 100, first[2] * 150 // 100]


def test_prices_move_in_gaps() -> None:
    fall = replace(MINUTE, step_seconds=1, look_seconds=1, gap_seconds=20, trades=0, paths=(("all", ((0, 0), (60, -300_000))),))
    oracles = [tick.oracle for tick in ticks(play(evening(fall)), 1)][1:]
    assert [len(set(oracles[begin : begin + 20])) for begin in (0, 20, 40)] == [1, 1, 1]
    assert len(set(oracles)) == 3


@pytest.mark.parametrize(("band", "mark_falls"), [(None, True), (20_000, False)])
def test_a_spike_moves_the_oracle_and_a_band_holds_the_mark(band: int | None, *, mark_falls: bool) -> None:
    actions = [Spike(20, 10, 1, -400_000, band)]
    outcome = Outcome()
    many = replace(MINUTE, trades=200)
    found = ticks(play(evening(many, many, actions=[replace(actions[0], at_s=80)]), outcome), 1)
    off = [tick for tick in found if tick.oracle and tick.oracle < found[0].oracle * 7 // 10]  # type: ignore[operator]
    assert len(off) == 2
    low = [tick.mark for tick in off if tick.mark and found[0].mark and tick.mark < found[0].mark * 9 // 10]
    assert len(low) == (2 if mark_falls else 0)
    assert all(tick.mark and tick.oracle and tick.mark >= tick.oracle * 99 // 100 for tick in found)
    assert bool(outcome.only_by_mark) is mark_falls


def test_a_whale_opens_against_the_makers_what_its_margin_admits() -> None:
    whale = Whale(30, "whale", 2, False, 100_000 * 10**8, 10_000 * 10**8)
    events = list(play(evening(MINUTE, actions=[whale])))
    (account,) = [event.account for event in events if isinstance(event, AccountOpened) and event.name == "whale"]
    fills = [event for event in events if isinstance(event, Fill) and event.seller == account]
    assert len(fills) == 20
    assert all(FIRST_MAKER <= event.buyer < FIRST_MAKER + 4 for event in fills)
    assert 99_000 * 10**8 < sum(event.size * event.price * 10**3 for event in fills) < 101_000 * 10**8
    outcome = Outcome()
    poor = list(play(evening(MINUTE, actions=[replace(whale, margin_cash=10**8)]), outcome))
    assert not [event for event in poor if isinstance(event, Fill) and event.seller == account]
    assert outcome.orders_refused >= 20


def test_a_top_up_is_paid_before_the_step_it_falls_in() -> None:
    events = list(play(evening(MINUTE, actions=[TopUp(30, 0, 5)])))
    place = next(place for place, event in enumerate(events) if isinstance(event, Transfer) and event.cash == 5)
    paid, after = events[place], events[place + 1]
    assert isinstance(paid, Transfer)
    assert (paid.payer, paid.payee, paid.reason) == (EXTERNAL, FUND, Reason.TOP_UP)
    assert isinstance(after, PriceTick)
    assert after.at_ns == paid.at_ns == evening(MINUTE).begins_ns + 30 * 10**9


def test_a_wave_of_withdrawals_closes_positions_and_takes_the_money_out() -> None:
    busy = replace(MINUTE, trades=40)
    leave = Withdrawals(30, 30, 1_000_000, 1_000_000)
    scenario, outcome = replace(evening(busy, busy, actions=[leave]), policy=load("crash").policy), Outcome()
    events = list(play(scenario, outcome))
    gone = transfers(events, Reason.WITHDRAWAL)
    assert outcome.withdrawals == scenario.users.count
    assert len(gone) == outcome.withdrawals - outcome.withdrawals_refused > 0
    assert {event.payee for event in gone} == {EXTERNAL}
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    holding = {account for held in state.positions for account, position in held.items() if position.size}
    # They are done, and nobody of them trades any more.
    assert not holding & {event.payer for event in gone}


def test_funding_is_paid_on_the_clock() -> None:
    venue = replace(evening().venue, funding_rate_ppt=100_000_000, funding_seconds=40)
    scenario = replace(evening(MINUTE, MINUTE), venue=venue)
    times = sorted({event.at_ns - scenario.begins_ns for event in play(scenario) if isinstance(event, Funding)})
    assert times == [40 * 10**9, 80 * 10**9, 120 * 10**9]


def test_the_vault_sells_off_what_it_took_over() -> None:
    crash = replace(MINUTE, trades=100)
    fall = replace(MINUTE, trades=0, paths=(("all", ((0, 0), (20, -350_000))),))
    calm = replace(MINUTE, trades=0, seconds=180, vault_sells_ppm=500_000)
    events = list(play(evening(crash, fall, calm)))
    sold = [event for event in events if isinstance(event, Fill) and VAULT in {event.buyer, event.seller}]
    assert sold
    assert all(event.at_ns >= evening().begins_ns + 120 * 10**9 for event in sold)


def test_refused_orders_are_counted_and_leave_no_event() -> None:
    outcome = Outcome()
    tight = replace(evening(replace(MINUTE, trades=100)), markets=tuple(
        replace(market, position_limit=1) for market in evening().markets
    ))  # fmt: skip
    fills = [event for event in play(tight, outcome) if isinstance(event, Fill)]
    assert outcome.orders - outcome.orders_refused == len(fills)
    assert outcome.orders_refused > len(fills)
