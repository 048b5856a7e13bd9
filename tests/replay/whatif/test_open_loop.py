from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from events.errors import MisuseError
from events.model import (
    EXTERNAL,
    AccountOpened,
    AdlClose,
    AdlRound,
    AnyEvent,
    Fill,
    MarginMode,
    PolicyAdopted,
    PriceRule,
    Reason,
    Role,
    Taker,
    Transfer,
)
from replay.core.evolve import evolve
from replay.core.policy import Ratio
from replay.core.root import state_root
from replay.core.state import State
from replay.deficits import Layer, register
from replay.presets import preset, presets
from replay.testing.streams import records
from replay.whatif.change import Change, PriceSource
from replay.whatif.metrics import METRICS, UNDEFINED, less
from replay.whatif.open_loop import IN_FORCE, RECORD, OpenLoop, open_loop

Log = list[tuple[int, AnyEvent]]
Stage = Callable[..., list[AnyEvent]]
UNIT = 10**4  # one lot at one price step, of the stage


def amount(loop: OpenLoop, column: int, metric: str) -> Ratio | None:
    return loop.columns[column].metrics[metric].amount


def log_of(events: list[AnyEvent]) -> Callable[[], Iterator[tuple[int, AnyEvent]]]:
    return lambda: iter(list(enumerate(events, 1)))


def adl(loser: int, size: int, closes: list[tuple[int, int, int]], *, number: int = 0) -> list[AnyEvent]:
    """Return a round of a long loser in market 0 with closes of (winner, price, size)."""
    unsaid: dict[str, Any] = dict.fromkeys(
        ("mark", "oracle", "bankruptcy", "policy", "need_cash", "as_of", "cause", "seed", "price")
    )
    fields = {
        **unsaid,
        "round": number,
        "loser": loser,
        "market": 0,
        "size": size,
        "price_rule": PriceRule.UNKNOWN,
        "pools": (),
    }
    names = ("trade", "buyer_order", "seller_order", "buyer_start_claim", "seller_start_claim", "buyer_profit_claim")
    rest = ("seller_profit_claim", "mark", "winner_equity_claim", "rank_claim")
    claims: dict[str, Any] = dict.fromkeys((*names, *rest))
    events: list[AnyEvent] = [AdlRound(0, 0, 0, **fields)]
    for winner, price, lots in closes:
        sides: dict[str, Any] = {"buyer": winner, "seller": loser, "buyer_fee": 0, "seller_fee": 0, "taker": Taker.UNKNOWN}
        events.append(AdlClose(0, 0, 0, market=0, price=price, size=lots, round=number, winner=winner, **sides, **claims))
    return events


def trade_of(stage: Stage) -> list[AnyEvent]:
    """Return a venue where 6 is long 10 from 100 with cash of 50 lot steps, 7 and 8 are short from 100, and mark is 90.

    The equity of 6 is 50 - 100 = -50 lot steps, so its bankruptcy price is 95.
    """
    return stage([(50 * UNIT, {0: (10, 100)}), (10**8, {0: (-6, 100)}), (10**8, {0: (-4, 100)})], [90])


# ---- One round, by hand


def test_the_figures_of_one_round_by_hand(stage: Stage) -> None:
    loop = open_loop(log_of(trade_of(stage) + adl(6, 10, [(7, 95, 6), (8, 95, 4)])))
    expected = {
        "M01.need.deficit": Ratio(50 * UNIT, 1),
        "M01.need.lots": Ratio(900 * UNIT, 1),
        "M02.rounds": Ratio(1, 1),
        "M02.closed.notional": Ratio(900 * UNIT, 1),
        "M02.closed.value": Ratio(50 * UNIT, 1),
        "M03.overshoot.net": Ratio(0, 1),
        "M03.overshoot.gross": Ratio(0, 1),
        "M03.lots.net": Ratio(0, 1),
        "M03.lots.gross": Ratio(0, 1),
        "M04.tracking": Ratio(0, 1),
        "M04.tracking.lots": Ratio(0, 1),
        "M05.ptsr": Ratio(30, 50),  # 7 has won 60 and gives 30
        "M06.pmr": Ratio(30, 50),
        "M07.share.profit": Ratio(1, 2),
        "M07.share.equity": Ratio(30 * UNIT, 10**8 + 60 * UNIT),
        "M08.gini.value.hit": Ratio(1, 10),  # of 30 and 20
        "M08.gini.value.candidates": Ratio(1, 10),
        "M08.gini.lots.hit": Ratio(1, 10),
        "M08.gini.lots.candidates": Ratio(1, 10),
        "M09.hit.accounts": Ratio(2, 1),
        "M10.hedges.orphaned": Ratio(0, 1),
        "M11.residual": Ratio(0, 1),
    }
    assert loop.columns[0].metrics.keys() == expected.keys() == {metric.id for metric in METRICS}
    found = {name: value.amount for name, value in loop.columns[0].metrics.items()}
    assert {name: value and value[0] * expected[name][1] == value[1] * expected[name][0] for name, value in found.items()} == (
        dict.fromkeys(expected, True)
    )


def test_what_is_taken_beyond_the_need_and_short_of_it(stage: Stage) -> None:
    over = open_loop(log_of(trade_of(stage) + adl(6, 10, [(7, 97, 6), (8, 97, 4)])))
    assert amount(over, 0, "M03.overshoot.net") == amount(over, 0, "M03.overshoot.gross") == Ratio(20 * UNIT, 1)
    assert amount(over, 0, "M11.residual") == Ratio(0, 1)
    short = open_loop(log_of(trade_of(stage) + adl(6, 10, [(7, 95, 6)])))
    assert amount(short, 0, "M03.overshoot.net") == Ratio(-20 * UNIT, 1)
    assert amount(short, 0, "M03.lots.net") == Ratio(-360 * UNIT, 1)
    assert amount(short, 0, "M11.residual") == amount(short, 0, "M04.tracking") == Ratio(20 * UNIT, 1)


def test_a_deficit_in_two_rounds_counts_once(stage: Stage) -> None:
    first = adl(6, 10, [(7, 95, 6)])
    loop = open_loop(log_of(trade_of(stage) + first + adl(6, 4, [(8, 95, 4)], number=1)))
    assert amount(loop, 0, "M01.need.deficit") == Ratio(50 * UNIT, 1)
    assert [one.need.amount for one in loop.columns[0].rounds] == [50 * UNIT, 0]
    assert amount(loop, 0, "M04.tracking") == Ratio(0, 1)


def test_a_hedge_is_orphaned_when_the_other_leg_stays(stage: Stage) -> None:
    traders = [(50 * UNIT, {0: (10, 100)}), (10**8, {0: (-6, 100), 1: (3, 50)}), (10**8, {0: (-4, 100), 1: (-3, 50)})]
    loop = open_loop(log_of(stage(traders, [90, 50]) + adl(6, 10, [(7, 95, 6), (8, 95, 4)])))
    assert loop.columns[0].rounds[0].orphaned == (7,)
    assert amount(loop, 0, "M10.hedges.orphaned") == Ratio(1, 1)


def test_a_hedge_over_two_accounts_of_one_owner(stage: Stage) -> None:
    events = trade_of(stage)
    # Account 9 is of the owner of 7, and long in the same market.
    at = next(i for i, event in enumerate(events) if isinstance(event, AccountOpened) and event.account == 8) + 1
    twin = AccountOpened(0, 0, 0, 9, "t7:long", 7, Role.USER, MarginMode.ISOLATED, True, None)
    events[at:at] = [twin, Transfer(0, 0, 0, EXTERNAL, 9, 10**8, Reason.DEPOSIT, None)]
    from_house = stage([(0, {}), (0, {}), (0, {}), (0, {0: (2, 100)})], [90])
    events.append(next(event for event in from_house if isinstance(event, Fill) and event.buyer == 9))
    loop = open_loop(log_of(events + adl(6, 10, [(7, 95, 6), (8, 95, 4)])))
    assert loop.columns[0].rounds[0].orphaned == (7,)


def test_a_gap_of_the_record_is_named_and_never_zero(stage: Stage) -> None:
    events = [
        replace(event, new=False) if isinstance(event, AccountOpened) and event.account == 6 else event
        for event in trade_of(stage)
    ]
    loop = open_loop(log_of(events + adl(6, 10, [(7, 95, 6), (8, 95, 4)])), [Change(policy=preset("bybit").texts)])
    record = loop.columns[0].metrics
    assert record["M01.need.deficit"].amount is None
    assert record["M01.need.deficit"].missing == ("cash of account",)
    assert record["M03.overshoot.net"].amount is None
    assert record["M02.closed.value"].amount == Ratio(50 * UNIT, 1)
    assert all(
        value.amount is None for value in (loop.columns[2].metrics[name] for name in ("M02.closed.value", "M09.hit.accounts"))
    )


def test_without_a_mark_what_was_taken_is_not_known_but_who_was_hit(stage: Stage) -> None:
    events = [event for event in trade_of(stage) if type(event).__name__ != "PriceTick"]
    loop = open_loop(log_of(events + adl(6, 10, [(7, 95, 6), (8, 95, 4)])))
    assert loop.columns[0].metrics["M02.closed.value"].missing == ("mark price",)
    assert amount(loop, 0, "M09.hit.accounts") == Ratio(2, 1)


def test_an_account_that_opens_with_its_close_is_hit_and_no_more_is_known_of_it(stage: Stage) -> None:
    opened, close = adl(6, 10, [(9, 95, 6)])
    late = AccountOpened(0, 0, 0, 9, "t9", 9, Role.USER, MarginMode.UNKNOWN, False, None)
    metrics = open_loop(log_of([*trade_of(stage), opened, late, close])).columns[0].metrics
    assert metrics["M09.hit.accounts"].amount == Ratio(1, 1)
    assert metrics["M02.closed.value"].amount == Ratio(30 * UNIT, 1)
    assert [metrics[name].amount for name in ("M07.share.profit", "M07.share.equity", "M10.hedges.orphaned")] == [None] * 3


# ---- Changes


def test_another_policy_needs_none_on_record(stage: Stage) -> None:
    events: list[AnyEvent] = [event for event in trade_of(stage) if not isinstance(event, PolicyAdopted)]
    changes = [Change(policy=preset("queue").texts), Change(no_adl=True), Change(price=PriceSource.MARK)]
    loop = open_loop(log_of(events + adl(6, 10, [(7, 95, 6), (8, 95, 4)])), changes)
    assert loop.columns[1].metrics["M09.hit.accounts"].missing == ("policy",)
    assert loop.columns[2].metrics == loop.columns[0].metrics
    assert amount(loop, 3, "M11.residual") == Ratio(50 * UNIT, 1)
    assert loop.columns[4].metrics["M09.hit.accounts"].missing == ("policy",)


def test_a_fund_that_pays_all_leaves_no_round_and_one_that_pays_some_less_need(stage: Stage) -> None:
    events = trade_of(stage) + adl(6, 10, [(7, 95, 6), (8, 95, 4)])
    funds = [Change(fund_cash=cash, fund=str(cash)) for cash in (0, 20 * UNIT, 50 * UNIT, 10**9)]
    loop = open_loop(log_of(events), funds)
    assert [amount(loop, column, "M01.need.deficit") for column in (2, 3, 4, 5)] == [
        Ratio(50 * UNIT, 1), Ratio(30 * UNIT, 1), Ratio(0, 1), Ratio(0, 1),
    ]  # fmt: skip
    assert [amount(loop, column, "M02.rounds") for column in (2, 3, 4, 5)] == [Ratio(n, 1) for n in (1, 1, 0, 0)]
    assert amount(loop, 3, "M02.closed.value") == Ratio(30 * UNIT, 1)


def test_a_fund_whose_size_is_changed_must_be_there(stage: Stage) -> None:
    events = [replace(e, role=Role.USER) if isinstance(e, AccountOpened) and e.account == 4 else e for e in trade_of(stage)]
    with pytest.raises(MisuseError, match="no fund on record"):
        open_loop(log_of(events + adl(6, 10, [(7, 95, 6)])), [Change(fund_cash=1, fund="1")])


def test_at_mark_nobody_gives_anything_and_the_deficit_stays(stage: Stage) -> None:
    loop = open_loop(log_of(trade_of(stage) + adl(6, 10, [(7, 95, 6), (8, 95, 4)])), [Change(price=PriceSource.MARK)])
    assert amount(loop, 2, "M02.closed.value") == Ratio(0, 1)
    assert amount(loop, 2, "M02.closed.notional") == Ratio(900 * UNIT, 1)
    assert amount(loop, 2, "M11.residual") == Ratio(50 * UNIT, 1)


# ---- Whole records


def test_in_force_is_the_record_on_a_record_of_the_engine(evening: Log) -> None:
    loop = open_loop(lambda: evening)
    record, in_force = loop.columns
    assert (record.name, in_force.name) == (RECORD, IN_FORCE)
    assert len(record.rounds) > 40
    assert record.rounds == in_force.rounds
    assert record.metrics == in_force.metrics
    assert all(less(in_force.metrics[metric.id], record.metrics[metric.id]).amount == Ratio(0, 1) for metric in METRICS)


def test_without_adl_what_adl_bore_is_left(evening: Log) -> None:
    loop = open_loop(lambda: evening, [Change(no_adl=True)])
    borne = register(evening).users.covered[Layer.ADL]
    assert borne > 0
    assert amount(loop, 2, "M11.residual") == amount(loop, 2, "M01.need.deficit") == Ratio(borne, 1)
    assert amount(loop, 2, "M09.hit.accounts") == Ratio(0, 1)


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_has_a_figure_or_a_reason(evening: Log, name: str) -> None:
    column = open_loop(lambda: evening, [Change(policy=preset(name).texts)]).columns[2]
    assert all((value.amount is None) is bool(value.missing) for value in column.metrics.values())
    assert not column.rounds[0].untold or set(column.rounds[0].untold) - set(UNDEFINED)
    for one in column.rounds:
        assert set(one.hit) == set(one.burdens)
        if one.notional.amount and one.need_notional.amount is not None:
            assert one.notional.amount <= one.need_notional.amount


@settings(max_examples=60)
@given(records(), st.sampled_from(sorted(presets())), st.sampled_from([None, 0, 10**6]))
def test_any_record_gets_figures_or_reasons_and_is_left_as_it_was(events: list[AnyEvent], name: str, fund: int | None) -> None:
    changes = [Change(policy=preset(name).texts, fund_cash=fund, fund=str(fund)), Change(no_adl=True)]
    try:
        loop = open_loop(log_of(events), changes)
    except MisuseError:
        if fund is None:
            raise
        return
    for column in loop.columns:
        assert all((value.amount is None) is bool(value.missing) for value in column.metrics.values())
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    assert state_root(state) == state_root(loop.state)
