from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from events.errors import MisuseError
from events.model import AnyEvent, Fill, Taker
from events.units import PPM
from replay.core.evolve import evolve
from replay.core.spelling import adopt
from replay.core.state import State
from replay.presets import preset
from replay.stress import smallest_fund, stress
from replay.stress.jumps import begins_round, jump, run, venue

Stage = Callable[..., list[AnyEvent]]
Trade = tuple[int, int, int, int, int]

FUND, HOUSE, FIRST = 4, 5, 6
LOT = 10_000  # money units of one lot at one price step
PERCENT = PPM // 100
QUEUE = preset("queue").texts


def a_venue(stage: Stage, cash: Sequence[int], trades: Iterable[Trade], *, fund: int = 0, name: str = "queue") -> State:
    """Return a venue of two markets at 1,000 whose traders, from account 6 on, trade with each other."""
    events = stage([(one, {}) for one in cash], [1_000, 1_000], fund=fund, preset=preset(name).texts)
    for market, buyer, seller, price, size in trades:
        events.append(Fill(0, 0, 0, market, buyer, seller, price, size, 0, 0, None, Taker.UNKNOWN, *(None,) * 6))
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    return state


def long_and_short(stage: Stage, fund: int = 0, name: str = "queue") -> State:
    """Return a venue where 6 is long 10 at 1,000 with a margin of a tenth, and 7 is short with plenty."""
    return a_venue(stage, [1_000 * LOT, 10_000 * LOT], [(0, 6, 7, 1_000, 10)], fund=fund, name=name)


def test_a_grid(stage: Stage) -> None:
    state = long_and_short(stage, fund=600 * LOT)
    before = deepcopy(state)
    told: list[tuple[int, int]] = []
    moves = [-20 * PERCENT, -15 * PERCENT, -10 * PERCENT, 0, 50 * PERCENT]
    found = stress(state, moves, progress=lambda done, total: told.append((done, total)))
    assert state == before
    assert told == [(done, 5) for done in range(1, 6)]
    assert (found.fund, found.assumed) == (600 * LOT, ())
    assert [point.move_ppm for point in found.points] == moves
    assert [point.smallest_fund for point in found.points] == [1_000 * LOT, 500 * LOT, 0, 0, 0]
    assert [point.outcome.rounds for point in found.points] == [1, 0, 0, 0, 0]
    for point in found.points:
        assert point.outcome == run(jump(venue(state), point.move_ppm))[0]


def test_the_fund_policy_and_markets_asked_for(stage: Stage) -> None:
    state = long_and_short(stage, fund=600 * LOT)
    move = [-15 * PERCENT]
    (point,) = stress(state, move, fund_cash=100 * LOT).points
    assert (point.outcome.drawn, point.outcome.rounds, point.smallest_fund) == (100 * LOT, 1, 500 * LOT)
    assert stress(state, move, fund_cash=100 * LOT).fund == 100 * LOT
    (point,) = stress(state, move, policy=preset("dydx-v1").texts).points
    assert (point.outcome.rounds, point.smallest_fund) == (1, None)
    (point,) = stress(state, move, markets=[1]).points
    assert (point.outcome.bankrupt, point.smallest_fund) == (0, 0)
    with pytest.raises(MisuseError, match="out of range"):
        stress(state, [-PPM])


@pytest.mark.parametrize(
    ("name", "smallest"),
    [
        ("queue", 500 * LOT),
        ("vmgh", 500 * LOT),
        ("hyperliquid", None),  # ADL does not wait for a fund
        ("metaflux", None),  # ADL comes before the fund
        ("perennial-v2", 0),  # there is no ADL
        ("bitget-peak", 16_666_664),  # 500 is 30% of 1,666.67; the payment that makes the fall 30% may be the last one
    ],
)
def test_the_smallest_fund_is_the_policys(stage: Stage, name: str, smallest: int | None) -> None:
    assert smallest_fund(jump(venue(long_and_short(stage, name=name)), -15 * PERCENT)) == smallest


def test_where_nobody_can_be_closed_there_is_no_round_and_a_debt_stays(stage: Stage) -> None:
    # The house is no candidate, so there is no round however little the fund has.
    state = a_venue(stage, [1_000 * LOT], [(0, 6, HOUSE, 1_000, 10)])
    jumped = jump(venue(state), -15 * PERCENT)
    assert (run(jumped)[0].debt, smallest_fund(jumped)) == (500 * LOT, 0)
    assert run(jumped)[0].vault_loss == 0  # it closes what nobody takes, at mark


def test_a_fund_that_holds_contracts_must_bear_their_loss_too(stage: Stage) -> None:
    state = a_venue(stage, [1_000 * LOT, 10_000 * LOT], [(0, 6, 7, 1_000, 10), (1, FUND, 7, 1_000, 1)])
    assert smallest_fund(jump(venue(state), -15 * PERCENT)) == 650 * LOT


def test_of_several_funds_each_needs_what_it_pays(stage: Stage) -> None:
    # Each market's policy names its own fund; both are needed.
    trades = [(0, 6, 8, 1_000, 10), (1, 7, 8, 1_000, 10)]
    state = a_venue(stage, [1_000 * LOT, 900 * LOT, 10_000 * LOT], trades)
    for market, fund in enumerate((FUND, HOUSE)):
        texts = QUEUE._replace(name=f"fund {fund}", layers=f"book, fund {fund}, adl")
        evolve(state, adopt(texts, policy=market + 1, at_ns=0, source=0, row=0, markets=(market,)), state.seq + 1)
    jumped = jump(venue(state), -15 * PERCENT)
    assert jumped.venue.funds == (FUND, HOUSE)
    assert smallest_fund(jumped) == 1_100 * LOT
    assert not begins_round(jumped, {FUND: 500 * LOT, HOUSE: 600 * LOT})


# ---- Laws


@st.composite
def venues(draw: st.DrawFn) -> tuple[list[int], list[Trade]]:
    """Draw what traders have, and trades between them near mark: some sound, some bankrupt at the first move."""
    cash = draw(st.lists(st.integers(0, 2_000 * LOT), min_size=3, max_size=6))
    accounts = st.integers(FIRST, FIRST + len(cash) - 1)
    pairs = st.tuples(accounts, accounts).filter(lambda pair: pair[0] != pair[1])
    terms = st.tuples(st.integers(0, 1), pairs, st.integers(950, 1_050), st.integers(1, 20))
    drawn = draw(st.lists(terms, min_size=1, max_size=8))
    return cash, [(market, *pair, price, size) for market, pair, price, size in drawn]


@given(
    drawn=venues(),
    percent=st.integers(-50, 50),
    name=st.sampled_from(
        ["queue", "binance-2025", "bitmex", "tear-up", "vmgh", "drift-v2", "okx", "bitget-peak", "hyperliquid"]
    ),
)
@example(drawn=([0, 0, 0], [(0, 6, 7, 1_000, 1)]), percent=0, name="queue")
def test_the_smallest_fund_is_exact(stage: Stage, drawn: tuple[list[int], list[Trade]], percent: int, name: str) -> None:
    jumped = jump(venue(a_venue(stage, *drawn, name=name)), percent * PERCENT)
    smallest = smallest_fund(jumped)
    if smallest is None:
        assert begins_round(jumped, {FUND: 10**40})
        return
    assert not begins_round(jumped, {FUND: smallest})
    assert smallest == 0 or begins_round(jumped, {FUND: smallest - 1})


@given(drawn=venues(), percent=st.integers(-50, 50))
def test_a_fund_as_large_as_the_deficits_spares_everybody(
    stage: Stage, drawn: tuple[list[int], list[Trade]], percent: int
) -> None:
    jumped = jump(venue(a_venue(stage, *drawn)), percent * PERCENT)
    found, _ = run(jumped, {FUND: jumped.deficit})
    assert (found.rounds, found.drawn, found.debt) == (0, jumped.deficit, 0)
