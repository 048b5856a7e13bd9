import json
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from math import ceil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.errors import MisuseError
from events.model import AccountOpened, AdlRound, AnyEvent, PriceRule
from replay.core.evolve import evolve
from replay.core.plan import plan
from replay.core.policy import Base, Direction, FillKind, Order, Policy, Price, Ratio, Rounding, Target
from replay.core.spelling import adopt, parse_texts
from replay.core.state import State
from replay.lights import Part, lights, open_interest, parts, rule_for
from replay.presets import NO_LIGHTS, Lights, LightsBy, preset, presets

Stage = Callable[..., list[AnyEvent]]

FIRST = 6
LOSER = 6
LOT = 10_000  # money units of one lot at one price step
QUEUE = preset("queue")
BY_CONTRACTS = preset("bitmex").lights
BY_ACCOUNTS = preset("binance-2025").lights

# Policies whose order follows from the state alone, and whose closes from the order.
QUEUES = {
    name: one.policy
    for name, one in presets().items()
    if one.policy.fill.kind is FillKind.QUEUE
    and one.policy.key.order is Order.SCORE
    and not (one.policy.fill.cash or one.policy.scope.own_first or one.policy.scope.overlapping)
}
LEVELS = {name: one.policy for name, one in presets().items() if one.policy.fill.kind is not FillKind.QUEUE}


def fold(events: Iterable[AnyEvent]) -> State:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    return state


def longs_by_score(stage: Stage, sizes: Sequence[int], by_score: Sequence[int]) -> State:
    """Return a state whose longs of those sizes have profits of a tenth and leverages that stand as the scores."""
    traders = [
        (size * LOT * 1_100 // score - size * LOT * 100, {0: (size, 1_000)})
        for size, score in zip(sizes, by_score, strict=True)
    ]
    return fold(stage(traders, [1_100]))


def test_the_six_percentiles_of_bitmex(stage: Stage, shared_data: Callable[[str], Path]) -> None:
    known = json.loads(shared_data("vectors/bitmex.json").read_text(encoding="utf-8"))
    vector = next(one for one in known["vectors"] if one["name"] == "bitmex/queue_six_longs")
    by_score = {one["id"]: int(one["score"]) for one in vector["given"]["accounts"]}
    sizes = {one["account"]: int(one["size"]) for one in vector["given"]["positions"]}
    state = longs_by_score(stage, [sizes[name] for name in by_score], list(by_score.values()))
    queue = lights(state, 0, 1, preset("bitmex").policy, BY_CONTRACTS)
    names = {FIRST + number: name for number, name in enumerate(by_score)}
    assert [names[place.ranked.account] for place in queue.places] == vector["expect"]["order"]
    shown = {names[place.ranked.account]: place.percentile for place in queue.places}
    assert shown == {name: Ratio(int(percent), 1) for name, percent in vector["expect"]["percentile_shown"].items()}


def test_lights_by_cumulative_contracts_and_by_account_rank(stage: Stage) -> None:
    # Sizes 10, 10, 20, 30, 20, 10 with scores 3, 6, 1, 4, 5, 2: the page of BitMEX (adl-rules.md section 3).
    state = longs_by_score(stage, [10, 10, 20, 30, 20, 10], [3, 6, 1, 4, 5, 2])
    policy = QUEUE.policy
    contracts = lights(state, 0, 1, policy, BY_CONTRACTS).places
    assert [place.ahead for place in contracts] == [0, 10, 30, 60, 70, 80]
    assert [place.percentile for place in contracts] == [Ratio(percent, 1) for percent in (20, 40, 60, 80, 80, 100)]
    assert [place.light for place in contracts] == [5, 4, 3, 2, 2, 1]
    accounts = lights(state, 0, 1, policy, BY_ACCOUNTS).places
    assert [place.percentile for place in accounts] == [Ratio(percent, 1) for percent in (20, 40, 60, 80, 100, 100)]
    assert [place.light for place in accounts] == [4, 3, 2, 1, 0, 0]
    lowest_next = lights(state, 0, 1, policy, Lights(LightsBy.ACCOUNTS, 3, 1, highest_next=False)).places
    assert [place.light for place in lowest_next] == [1, 1, 2, 2, 3, 3]
    assert lowest_next[0].percentile == Ratio(100, 3)
    exact = lights(state, 0, 1, policy).places
    assert [(place.percentile, place.light) for place in exact] == [
        (Ratio(percent, 1), None) for percent in (10, 30, 60, 70, 80, 100)
    ]


def test_who_cannot_be_closed_has_no_place(stage: Stage) -> None:
    # The other account of the owner holds the other side, so the long is a hedge and closes nothing.
    events = stage([(10**9, {0: (10, 1_000)}), (10**9, {0: (-10, 1_000)}), (10**8, {0: (5, 1_000)})], [1_100])
    owned = [replace(one, owner=6) if isinstance(one, AccountOpened) and one.account == 7 else one for one in events]
    policy = parse_texts(QUEUE.texts._replace(scope="opposite, unhedged"))
    first, second = lights(fold(owned), 0, 1, policy, BY_ACCOUNTS).places
    assert (first.ranked.account, first.percentile, first.light) == (8, Ratio(100, 1), 0)
    assert (second.ranked.account, second.reach, second.share, second.percentile, second.light) == (6, 0, None, None, None)


def test_where_money_is_paid_the_queue_is_of_money(stage: Stage) -> None:
    texts = QUEUE.texts._replace(
        fill="queue(paid), cap gain", price="none", rounding="money unit, remainder largest", target="deficit"
    )
    state = fold(stage([(10**9, {0: (10, 1_000)}), (10**9, {0: (30, 1_000)}), (10**9, {0: (5, 1_200)})], [1_100]))
    queue = lights(state, 0, 1, parse_texts(texts))
    assert [(place.ranked.account, place.reach, place.share) for place in queue.places] == [
        (7, 3_000 * LOT, Ratio(3, 4)),
        (6, 1_000 * LOT, Ratio(1, 1)),
        (8, 0, None),
    ]
    assert queue.reach == 4_000 * LOT


def test_what_is_missing_is_named(stage: Stage) -> None:
    state = fold(stage([(10**9, {0: (10, 1_000)})], [0]))
    queue = lights(state, 0, 1, QUEUE.policy)
    assert (queue.places, queue.missing) == ((), ("mark price",))
    assert "candidate list: record incomplete" in lights(state, 0, 1, preset("dydx-v4").policy).missing
    assert parts(state, 0, 1, preset("tear-up").policy).missing == ()
    assert parts(state, 0, 1, preset("pro-rata").policy).missing == ("mark price",)
    assert parts(state, 0, 1, preset("mango-v4").policy).missing == ("mark price",)


def test_a_queue_has_lights_and_a_level_has_parts(stage: Stage) -> None:
    state = fold(stage([(10**9, {0: (10, 1_000)})], [1_000]))
    with pytest.raises(MisuseError, match="no queue"):
        lights(state, 0, 1, preset("tear-up").policy)
    with pytest.raises(MisuseError, match="a queue"):
        parts(state, 0, 1, QUEUE.policy)


def test_parts_of_a_level(stage: Stage) -> None:
    traders = [(10**9, {0: (100, 1_000)}), (10**9, {0: (300, 1_000)}), (10**9, {0: (-50, 1_000)})]
    state = fold(stage(traders, [1_100]))
    assert open_interest(state, 0) == 400
    closed = parts(state, 0, 1, preset("tear-up").policy)
    assert closed.amount == 4
    assert closed.parts == (Part(7, 300, Ratio(3, 4), 3), Part(6, 100, Ratio(1, 4), 1))
    paid = parts(state, 0, 1, preset("vmgh").policy, Ratio(1, 10))
    assert paid.amount == 40 * 1_100 * LOT
    assert sum(part.given for part in paid.parts) == 40_000 * LOT  # all the gains of 10,000 and 30,000 steps
    assert parts(state, 0, 1, preset("leverage-draining").policy).parts[0].share is None


def test_the_lights_of_a_ledger_are_those_of_the_preset_with_its_texts(stage: Stage) -> None:
    state = fold(stage([], [1_000], preset=preset("bitmex").texts))
    rule = rule_for(state, 0)
    assert (rule.name, rule.preset, rule.lights) == ("bitmex", "bitmex", BY_CONTRACTS)
    evolve(state, adopt(preset("bitmex").texts._replace(price="mark"), policy=1, at_ns=0, source=0, row=0), state.seq + 1)
    assert (rule_for(state, 0).preset, rule_for(state, 0).lights) == (None, NO_LIGHTS)
    unreadable = preset("bitmex").texts._replace(name="house", key="as the venue likes")
    evolve(state, adopt(unreadable, policy=2, at_ns=0, source=0, row=0), state.seq + 1)
    assert (rule_for(state, 0).name, rule_for(state, 0).policy) == ("house", None)
    assert "key" in rule_for(state, 0).missing[0]
    other = rule_for(state, 0, preset("binance-2025"))
    assert (other.policy, other.lights) == (preset("binance-2025").policy, BY_ACCOUNTS)


@pytest.mark.parametrize("name", ["queue", "coincatch", "drift-v2", "mango-v4"])
def test_of_two_presets_with_one_rule_the_name_decides(stage: Stage, name: str) -> None:
    assert rule_for(fold(stage([], [1_000], preset=preset(name).texts)), 0).preset == name


def test_without_a_policy_it_is_missing() -> None:
    assert rule_for(State(), 0).missing == ("policy",)


# ---- Laws

TRADERS = st.lists(st.tuples(st.integers(0, 10**9), st.integers(-40, 40), st.integers(800, 1_200)), min_size=2, max_size=9).map(
    lambda drawn: [(cash, {0: (size, entry)}) for cash, size, entry in drawn]
)


@given(traders=TRADERS, name=st.sampled_from(sorted(QUEUES)), count=st.integers(1, 7), by=st.sampled_from(LightsBy))
def test_lights_fall_along_the_queue_and_reach_its_end(
    stage: Stage, traders: Sequence[tuple[int, dict[int, tuple[int, int]]]], name: str, count: int, by: LightsBy
) -> None:
    state = fold(stage(traders, [1_000]))
    shown = NO_LIGHTS if by is LightsBy.NONE else Lights(by, count, 1)
    queue = lights(state, 0, 1, QUEUES[name], shown)
    closable = [place for place in queue.places if place.reach]
    assert [place.ahead + place.reach for place in closable][-1:] == [queue.reach][: len(closable)]
    percents = [Fraction(*place.percentile) for place in closable if place.percentile]
    shares = [Fraction(*place.share) for place in closable if place.share]
    assert len(percents) == len(shares) == len(closable)
    assert percents == sorted(percents)
    assert shares == sorted(set(shares))
    assert percents[-1:] == [100][: len(closable)]
    for percent, share in zip(percents, shares, strict=True):
        assert percent == (100 * share if by is LightsBy.NONE else Fraction(100, count) * ceil(share * count))
    shining = [place.light for place in closable if place.light is not None]
    assert len(shining) == (0 if by is LightsBy.NONE else len(closable))
    assert shining == sorted(shining, reverse=True)
    assert all(1 <= light <= count for light in shining)


@given(traders=TRADERS, name=st.sampled_from(sorted(QUEUES)), size=st.integers(1, 120))
def test_a_round_takes_exactly_those_with_less_ahead_of_them(
    stage: Stage, traders: Sequence[tuple[int, dict[int, tuple[int, int]]]], name: str, size: int
) -> None:
    loser = (10**7, {0: (-200, 1_000)})
    state = fold(stage([loser, *traders], [1_000]))
    policy = at_a_stated_price(QUEUES[name])
    closes = plan(state, a_round(-size), policy).closes
    queue = lights(state, 0, 1, policy)
    expected = [
        (place.ranked.account, min(place.reach, size - place.ahead), place.ranked.rank)
        for place in queue.places
        if place.reach and place.ahead < size
    ]
    assert [(close.winner, close.size, close.rank) for close in closes] == expected


def at_a_stated_price(policy: Policy) -> Policy:
    return replace(policy, price=Price(Base.STATED), target=Target(stated=True), rounding=Rounding(Direction.LOSER))


def a_round(size: int) -> AdlRound:
    return AdlRound(0, 0, 0, 0, LOSER, 0, size, 1_000, PriceRule.UNKNOWN, None, None, None, 0, (), None, None, None, None)


@given(traders=TRADERS, data=st.data())
def test_storage_order_changes_nothing(
    stage: Stage, traders: Sequence[tuple[int, dict[int, tuple[int, int]]]], data: st.DataObject
) -> None:
    state = fold(stage(traders, [1_000]))
    shuffled = msgspec.structs.replace(
        state, positions=[dict(data.draw(st.permutations(list(book.items())))) for book in state.positions]
    )
    for policy in QUEUES.values():
        assert lights(shuffled, 0, 1, policy, BY_CONTRACTS) == lights(state, 0, 1, policy, BY_CONTRACTS)
    for policy in LEVELS.values():
        assert parts(shuffled, 0, -1, policy) == parts(state, 0, -1, policy)


@given(traders=TRADERS, name=st.sampled_from(sorted(LEVELS)), percent=st.integers(0, 100))
def test_parts_never_go_beyond_the_amount_but_for_an_index(
    stage: Stage, traders: Sequence[tuple[int, dict[int, tuple[int, int]]]], name: str, percent: int
) -> None:
    state = fold(stage(traders, [1_000]))
    found = parts(state, 0, -1, LEVELS[name], Ratio(percent, 100))
    over = len(found.parts) if LEVELS[name].fill.kind is FillKind.INDEX else 0
    assert sum(part.given for part in found.parts) <= found.amount + over
    assert all(part.given >= 0 for part in found.parts)
    shares = [Fraction(*part.share) for part in found.parts if part.share is not None]
    assert sum(shares) == (1 if shares else 0)
