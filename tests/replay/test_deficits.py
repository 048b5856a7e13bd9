"""The deficit register: its identity over whole records, a second telling to compare with, and each layer by itself."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.errors import ReducerError
from events.model import (
    EXTERNAL,
    FEES,
    FIRST_FREE_ACCOUNT,
    AccountOpened,
    AdlClose,
    AdlRound,
    AnyEvent,
    Fill,
    Funding,
    InsuranceDraw,
    Liquidation,
    MarginMode,
    MarketListed,
    Method,
    Opening,
    OpenPosition,
    Payment,
    PriceRule,
    PriceTick,
    Reason,
    Role,
    Taker,
    Transfer,
)
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.state import State
from replay.deficits import Episode, Layer, Register, register
from replay.scenarios import load, play
from replay.testing.scenarios import scaled
from replay.testing.streams import records

FUND, HOUSE, ALICE, BOB = 4, 5, 6, 7
HEAD = (0, 0, 0)
UNSAID = (None, None, None, None, None, None)
# One lot at one price step.
STEP = 10_000

Stage = Callable[..., list[AnyEvent]]


def of(events: Sequence[AnyEvent]) -> Register:
    return register(enumerate(events, 1))


def draw(cash: int, account: int = ALICE, fund: int = FUND) -> InsuranceDraw:
    return InsuranceDraw(*HEAD, fund, account, cash, None, None, None, None)


def pay(payer: int, payee: int, cash: int, reason: Reason) -> Transfer:
    return Transfer(*HEAD, payer, payee, cash, reason, None)


def tick(mark: int, market: int = 0) -> PriceTick:
    return PriceTick(*HEAD, market, mark, None)


def liquidation(price: int, size: int, method: Method, account: int = ALICE, other: int = HOUSE) -> Liquidation:
    trade = (*HEAD, 0, other, account, price, size, 0, 0, None, Taker.UNKNOWN, *UNSAID)
    return Liquidation(*trade, account, method, None, None, None)


def round_of(number: int, loser: int = ALICE, market: int = 0) -> AdlRound:
    unsaid = (None, None, None, None)
    return AdlRound(*HEAD, number, loser, market, None, None, PriceRule.MARK, None, None, None, None, (), *unsaid)


def close(number: int, price: int, size: int, loser: int = ALICE, winner: int = BOB, market: int = 0) -> AdlClose:
    trade = (*HEAD, market, winner, loser, price, size, 0, 0, None, Taker.UNKNOWN, *UNSAID)
    return AdlClose(*trade, number, winner, None, None, None)


def covered(episode: Episode) -> dict[str, int]:
    return {layer.value: cash for layer, cash in episode.covered.items() if cash}


# ---- The identity, and a second telling


def assert_it_adds_up(found: Register) -> None:
    for each in found.episodes:
        assert each.opened_cash + each.moved_cash == sum(each.covered.values()) + each.left_cash
        assert each.opened_cash > 0
        assert min(each.left_cash, each.over_cash) == 0 <= max(each.left_cash, each.over_cash)
        assert each.first_seq <= each.last_seq
    for whole, users in ((found.users, True), (found.venue, False)):
        parts = [each for each in found.episodes if (each.role is Role.USER) is users]
        assert whole.deficit_cash == whole.opened_cash + whole.moved_cash == sum(whole.covered.values()) + whole.left_cash
        assert (whole.episodes, whole.accounts) == (len(parts), len({each.account for each in parts}))
        assert whole.over_cash == sum(each.over_cash for each in parts)
        assert whole.opened_cash == sum(each.opened_cash for each in parts)


# (account, first seq, opened, by layer and None for moved, left, over, known)
Told = tuple[int, int, int, dict[Layer | None, int], int, int, bool]


def told(events: Sequence[AnyEvent]) -> list[Told]:
    """Tell every account's episodes from its equity after every event, computed for all accounts each time."""
    state = State()
    before: list[int | None] = []
    roles: list[Role] = []
    done: list[Told] = []
    running: dict[int, Told] = {}
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
        now = [margin.equity(state, account) for account in range(len(state.accounts))]
        for account in range(FIRST_FREE_ACCOUNT, len(before)):
            worth, worth_before = now[account], before[account]
            layer, begins = who(event, account, roles)
            if account not in running and begins and worth_before is not None and min(worth_before, worth or 0) < 0:
                opened = -worth_before if worth_before < 0 else -(worth or 0)
                running[account] = (account, seq, opened, {}, opened, 0, True)
            if account in running:
                _, first, opened, parts, left, over, known = running[account]
                if worth is None:
                    running[account] = (account, first, opened, parts, left, over, False)
                    continue
                layer = layer if known else None
                change = left - max(-worth, 0)
                if change:
                    parts[layer] = parts.get(layer, 0) + change
                over = worth if layer and worth > 0 else 0
                running[account] = (account, first, opened, parts, left - change, over, True)
                if worth >= 0:
                    done.append(running.pop(account))
        before, roles = now, [account.role for account in state.accounts]
    return sorted([*done, *running.values()], key=lambda each: (each[1], each[0]))


OF_METHOD = dict(zip(Method, (Layer.OTHER, Layer.BOOK, Layer.VAULT, Layer.VAULT), strict=True))
OF_REASON = {
    Reason.SOCIALISED_LOSS: (Layer.INDEX, True),
    Reason.RESIDUAL: (Layer.ROUNDING, True),
    Reason.TOP_UP: (Layer.OTHER, True),
    Reason.COMPENSATION: (Layer.OTHER, True),
}


def who(event: AnyEvent, account: int, roles: list[Role]) -> tuple[Layer | None, bool]:
    """Return the layer that an event is to an account, and whether it can begin an episode."""
    match event:
        case InsuranceDraw() if event.account == account:
            return (Layer.FUND if roles[event.fund] is Role.FUND else Layer.VAULT), True
        case AdlClose() if account in {event.buyer, event.seller} and account != event.winner:
            return Layer.ADL, True
        case Liquidation() if event.account == account:
            return OF_METHOD[event.method], True
        case Transfer() if event.payee == account:
            return OF_REASON.get(event.reason, (Layer.OTHER, False))
        case _:
            return None, False


def as_told(each: Episode) -> Told:
    parts: dict[Layer | None, int] = {layer: cash for layer, cash in each.covered.items() if cash}
    if each.moved_cash:
        parts[None] = -each.moved_cash
    return each.account, each.first_seq, each.opened_cash, parts, each.left_cash, each.over_cash, each.known


def assert_told(events: Sequence[AnyEvent]) -> None:
    found = of(events)
    assert_it_adds_up(found)
    second = [(a, f, o, {k: v for k, v in parts.items() if v}, *rest) for a, f, o, parts, *rest in told(events)]
    assert [as_told(each) for each in found.episodes] == second


@given(records(max_events=60))
def test_the_register_adds_up_and_a_second_telling_agrees(events: list[AnyEvent]) -> None:
    assert_told(events)


def waterfall(draw_: Callable[[st.SearchStrategy[Any]], Any], start: list[AnyEvent]) -> list[AnyEvent]:
    """Give a venue on the brink, and then any order of prices, relief, forced closes and payments."""
    users, events, rounds = st.integers(FUND, FUND + 4), list(start), 0
    late = AccountOpened(*HEAD, 9, "late", 9, Role.USER, MarginMode.CROSS, False, None)
    events += [late, AccountOpened(*HEAD, 10, "vault", 10, Role.VAULT, MarginMode.CROSS, True, None)]
    price, size, cash = st.integers(1, 300), st.integers(1, 12), st.integers(1, 1_500).map(lambda steps: steps * STEP // 3)
    for _ in range(draw_(st.integers(1, 25))):
        one, other = draw_(st.lists(users, min_size=2, max_size=2, unique=True))
        kind = draw_(st.integers(0, 9))
        if kind <= 1:
            events.append(tick(draw_(price), draw_(st.integers(0, 1))))
        elif kind == 2:
            events.append(draw(draw_(cash), one, 10 if draw_(st.booleans()) or one == FUND else FUND))
        elif kind <= 4:
            at = draw_(st.integers(0, 1))
            loser = max(one, ALICE)
            winner = other if other != loser else HOUSE
            events += [round_of(rounds, loser, at), close(rounds, draw_(price), draw_(size), loser, winner, at)]
            rounds += 1
        elif kind <= 6:
            events.append(liquidation(draw_(price), draw_(size), draw_(st.sampled_from(Method)), one, other))
        elif kind == 7:
            events.append(pay(one, draw_(st.sampled_from((other, EXTERNAL))), draw_(cash), draw_(st.sampled_from(Reason))))
        elif kind == 8:
            events.append(Funding(*HEAD, 0, None, other, (Payment(one, draw_(cash), None), Payment(9, -1, None))))
        else:
            stated = draw_(st.none() | st.integers(-10, 10))
            events.append(Opening(*HEAD, max(one, ALICE), draw_(st.none() | cash), (OpenPosition(0, stated, None, 0),)))
    return events


@given(st.data())
def test_the_register_of_any_waterfall_adds_up(stage: Stage, data: st.DataObject) -> None:
    held = [(500 * STEP, {0: (10, 100)}), (500 * STEP, {0: (-10, 100), 1: (5, 100)}), (0, {1: (-5, 100)})]
    assert_told(waterfall(data.draw, stage(held, [100, 100], fund=400 * STEP)))


# ---- The demo incident


@pytest.fixture(scope="module")
def evening() -> list[AnyEvent]:
    return list(play(scaled(load("crash"), fund=15_000)))


def test_the_demo_closes_to_zero_with_the_fund_before_adl(evening: list[AnyEvent]) -> None:
    found = of(evening)
    assert_it_adds_up(found)
    assert found.closed
    assert (found.undecided, found.venue.episodes) == ((), 0)
    draws = [event for event in evening if isinstance(event, InsuranceDraw)]
    assert found.users.covered[Layer.FUND] == sum(event.cash for event in draws) == 15_000 * 10**8
    assert found.users.covered[Layer.ADL] > 0
    assert {layer for layer, cash in found.users.covered.items() if cash} <= {Layer.FUND, Layer.ADL, Layer.VAULT}
    # The first draw of each account states the whole of its deficit, and the register opens with it.
    first = {event.account: event.deficit for event in reversed(draws)}
    assert {each.account: each.opened_cash for each in found.episodes if each.account in first} == first


def test_the_demo_is_told_again(evening: list[AnyEvent]) -> None:
    assert_told(evening[: len(evening) // 2])


# ---- Each layer, by itself


@pytest.fixture
def crashed(stage: Stage) -> list[AnyEvent]:
    """ALICE is long 10 at 100 with 500 of money, BOB short as much; at a mark of 30 her equity is -200 steps."""
    return [*stage([(500 * STEP, {0: (10, 100)}), (500 * STEP, {0: (-10, 100)})], [100], fund=10_000 * STEP), tick(30)]


def test_a_deficit_that_nothing_forced_is_in_no_register(crashed: list[AnyEvent]) -> None:
    found = of([*crashed, pay(EXTERNAL, ALICE, 5, Reason.DEPOSIT), tick(20)])
    assert (found.episodes, found.users.deficit_cash, found.undecided, found.closed) == ((), 0, (), True)


@pytest.mark.parametrize(
    ("event", "layer", "steps"),
    [
        (draw(150 * STEP), "fund", 150),
        (draw(150 * STEP, fund=HOUSE), "vault", 150),
        (liquidation(45, 10, Method.TAKEOVER), "vault", 150),
        (liquidation(45, 10, Method.BACKSTOP), "vault", 150),
        (liquidation(45, 10, Method.MARKET), "book", 150),
        (liquidation(20, 5, Method.MARKET), "book", -50),
        (liquidation(45, 10, Method.UNKNOWN), "other", 150),
        (pay(BOB, ALICE, 150 * STEP, Reason.SOCIALISED_LOSS), "index", 150),
        (pay(HOUSE, ALICE, 150 * STEP, Reason.RESIDUAL), "rounding", 150),
        (pay(HOUSE, ALICE, 150 * STEP, Reason.TOP_UP), "other", 150),
        (pay(HOUSE, ALICE, 150 * STEP, Reason.COMPENSATION), "other", 150),
    ],
)
def test_relief_is_booked_to_its_layer(crashed: list[AnyEvent], event: AnyEvent, layer: str, steps: int) -> None:
    found = of([*crashed, event])
    (each,) = found.episodes
    assert (each.account, each.first_seq, each.last_seq) == (ALICE, len(crashed) + 1, len(crashed) + 1)
    assert (each.opened_cash, each.moved_cash, covered(each)) == (200 * STEP, 0, {layer: steps * STEP})
    assert (each.left_cash, each.known, found.closed) == ((200 - steps) * STEP, True, False)


def test_adl_covers_what_winners_gave_up_against_mark(crashed: list[AnyEvent]) -> None:
    found = of([*crashed, round_of(0), close(0, 50, 4), close(0, 51, 6)])
    (each,) = found.episodes
    # The price was rounded for the loser: what it brought beyond equity 0 covers nothing.
    assert (covered(each), each.left_cash, each.over_cash) == ({"adl": 200 * STEP}, 0, 6 * STEP)
    assert found.closed


def test_fund_first_then_adl_and_prices_in_between(crashed: list[AnyEvent]) -> None:
    steps: list[AnyEvent] = [draw(80 * STEP), tick(25), round_of(0), close(0, 42, 10), draw(1 * STEP)]
    found = of([*crashed, *steps])
    (each,) = found.episodes
    assert (each.opened_cash, each.moved_cash) == (200 * STEP, 50 * STEP)
    assert (covered(each), each.left_cash) == ({"fund": 80 * STEP, "adl": 170 * STEP}, 0)
    assert (each.first_seq, each.last_seq) == (len(crashed) + 1, len(crashed) + 4)
    assert found.users.deficit_cash == 250 * STEP


def test_what_is_no_relief_is_moved(crashed: list[AnyEvent]) -> None:
    more = Fill(*HEAD, 0, ALICE, BOB, 31, 2, 7, 0, None, Taker.BUYER, *UNSAID)
    funding = Funding(*HEAD, 0, None, FEES, (Payment(ALICE, -11, None),))
    found = of([*crashed, draw(STEP), more, funding, pay(ALICE, EXTERNAL, 13, Reason.WITHDRAWAL)])
    assert found.episodes[0].moved_cash == 2 * STEP + 7 + 11 + 13
    assert covered(of([*crashed, draw(STEP), pay(EXTERNAL, ALICE, 13, Reason.DEPOSIT)]).episodes[0]) == {
        "fund": STEP,
        "other": 13,
    }


def test_a_recovery_ends_an_episode_and_another_crash_is_another(crashed: list[AnyEvent]) -> None:
    found = of([*crashed, draw(50 * STEP), tick(60), tick(30), draw(STEP)])
    first, second = found.episodes
    assert (first.opened_cash, first.moved_cash, first.left_cash, first.over_cash) == (200 * STEP, -150 * STEP, 0, 0)
    assert (second.opened_cash, second.left_cash) == (150 * STEP, 149 * STEP)
    assert (found.users.episodes, found.users.accounts, found.users.deficit_cash) == (2, 1, 200 * STEP)


def test_a_forced_close_that_makes_the_deficit_opens_with_it(stage: Stage) -> None:
    events = stage([(500 * STEP, {0: (10, 100)})], [60])
    assert of([*events, liquidation(51, 10, Method.MARKET)]).episodes == ()
    (each,) = of([*events, liquidation(45, 10, Method.MARKET)]).episodes
    assert (each.opened_cash, covered(each), each.left_cash) == (50 * STEP, {}, 50 * STEP)


def test_what_the_venue_took_over_is_summed_apart(crashed: list[AnyEvent]) -> None:
    role = AccountOpened(*HEAD, 8, "vault", 8, Role.VAULT, MarginMode.CROSS, True, None)
    taken = liquidation(50, 10, Method.TAKEOVER, other=8)
    found = of([*crashed, role, taken, draw(200 * STEP, 8)])
    assert [each.role for each in found.episodes] == [Role.USER, Role.VAULT]
    assert (found.users.deficit_cash, found.venue.deficit_cash) == (200 * STEP, 200 * STEP)
    assert found.closed


def test_an_account_whose_equity_is_not_known_is_named(crashed: list[AnyEvent]) -> None:
    late = AccountOpened(*HEAD, 8, "late", 8, Role.USER, MarginMode.CROSS, False, None)
    found = of([*crashed, late, draw(5, 8), draw(5, 8)])
    assert (found.episodes, found.undecided) == ((), (8,))


def test_an_equity_that_ceases_to_be_known_leaves_what_was_known_last(crashed: list[AnyEvent]) -> None:
    lost = Opening(*HEAD, ALICE, None, (OpenPosition(0, None, None, 0),))
    events = [*crashed, draw(50 * STEP), lost, draw(30 * STEP)]
    found = of(events)
    assert (found.episodes[0].left_cash, found.episodes[0].known, found.closed) == (150 * STEP, False, False)
    # Known again: what happened in between cannot be told apart, and the deficit is still one.
    again = Opening(*HEAD, ALICE, None, (OpenPosition(0, 10, None, 0),))
    (each,) = of([*events, again, draw(120 * STEP)]).episodes
    assert (each.opened_cash, each.moved_cash, each.known) == (200 * STEP, -30 * STEP, True)
    assert (covered(each), each.left_cash) == ({"fund": 170 * STEP}, 0)


def test_a_forced_close_that_makes_equity_known_again_is_moved(crashed: list[AnyEvent]) -> None:
    listing = next(event for event in crashed if isinstance(event, MarketListed))
    unmarked = replace(listing, market=1, symbol="M1")
    bought = Fill(*HEAD, 1, ALICE, HOUSE, 10, 2, 0, 0, None, Taker.BUYER, *UNSAID)
    sold = replace(liquidation(15, 2, Method.TAKEOVER), market=1)
    (each,) = of([*crashed, unmarked, draw(STEP), bought, sold]).episodes
    # The profit of 10 steps came while the market had no mark: no layer can be told.
    assert (each.moved_cash, covered(each), each.left_cash) == (-10 * STEP, {"fund": STEP}, 189 * STEP)
    assert each.known


def test_reserved_accounts_have_no_deficit(crashed: list[AnyEvent]) -> None:
    found = of([*crashed, pay(FEES, ALICE, STEP, Reason.OTHER), pay(FUND, FEES, 1, Reason.TOP_UP), draw(1, EXTERNAL)])
    assert (found.episodes, found.undecided) == ((), ())


@pytest.mark.parametrize("wrong", [draw(1, 99), draw(1, fund=99), liquidation(1, 1, Method.MARKET, 99), close(0, 1, 1)])
def test_an_event_that_cannot_be_applied_is_refused(crashed: list[AnyEvent], wrong: AnyEvent) -> None:
    with pytest.raises(ReducerError):
        of([*crashed, wrong])
