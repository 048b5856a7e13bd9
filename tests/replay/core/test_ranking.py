from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from events.model import AccountOpened, AdlCandidates, AdlRound, AnyEvent, Candidate, Opening, OpenPosition, PriceRule
from replay.core.evolve import evolve
from replay.core.policy import Policy, Ratio
from replay.core.ranking import Ranked, field_of, listed_for, rank
from replay.core.spelling import parse_texts
from replay.core.state import State
from replay.presets import preset

Stage = Callable[..., list[AnyEvent]]

QUEUE = preset("queue").texts
LOSER = 6
LOT = 10_000  # money units of one lot at one price step


def policy_of(**changes: str) -> Policy:
    return parse_texts(QUEUE._replace(**changes))


RULE = policy_of()
LIST = policy_of(key="list order, equity <= 0 alike, account asc")
ROTATED = policy_of(key="rotated list, equity <= 0 alike, account asc")


def fold(events: Iterable[AnyEvent]) -> State:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    return state


def a_round(**changes: Any) -> AdlRound:
    opened = AdlRound(0, 0, 0, 0, LOSER, 0, None, None, PriceRule.BANKRUPTCY, None, None, None, 0, (), None, None, None, None)
    return msgspec.structs.replace(opened, **changes)


def accounts(state: State, policy: Policy, **more: Any) -> list[int]:
    return [one.account for one in rank(state, 0, -1, policy, **{"without": LOSER, **more}).ranked]


def test_a_place_is_explained_by_its_measures(stage: Stage) -> None:
    state = fold(stage([(0, {0: (50, 1_000)}), (10**9, {0: (-10, 1_000)}), (0, {0: (-20, 800)})], [900]))
    key = QUEUE.key.replace("account asc", "balance asc, size desc, account asc")
    assert rank(state, 0, -1, policy_of(key=key), without=LOSER) == (
        (
            Ranked(
                rank=1,
                account=7,
                size=-10,
                lots=10,
                profit=1_000 * LOT,
                entry_notional=10_000 * LOT,
                notional=9_000 * LOT,
                equity=10**9 + 1_000 * LOT,
                returns=Ratio(1, 10),
                leverage=Ratio(9, 101),
                score=Ratio(9, 1010),
                ties=(Ratio(10**9, 1), Ratio(10, 1)),
            ),
            Ranked(
                rank=2,
                account=8,
                size=-20,
                lots=20,
                profit=-2_000 * LOT,
                entry_notional=16_000 * LOT,
                notional=18_000 * LOT,
                equity=-2_000 * LOT,
                returns=Ratio(-1, 8),
                leverage=None,
                score=None,
                ties=(Ratio(0, 1), Ratio(20, 1)),
            ),
        ),
        (),
    )


def test_a_tie_goes_to_the_lower_account_or_the_newest(stage: Stage) -> None:
    trader = (10**9, {0: (-10, 1_000)})
    state = fold(stage([(0, {0: (25, 1_000)}), trader, trader, trader], [900]))
    assert accounts(state, RULE) == [7, 8, 9]
    assert accounts(state, policy_of(key=QUEUE.key.replace("account asc", "account desc"))) == [9, 8, 7]


def test_candidates_without_equity_stand_where_the_key_says(stage: Stage) -> None:
    # Account 7 is insolvent, 8 loses but is solvent, 9 gains.
    traders = [(0, {0: (30, 1_000)}), (0, {0: (-10, 800)}), (10**9, {0: (-10, 800)}), (10**9, {0: (-10, 1_200)})]
    state = fold(stage(traders, [900]))
    assert accounts(state, RULE) == [9, 8, 7]
    for where, order in (
        ("equity <= 0 first", [7, 9, 8]),
        ("equity <= 0 excluded", [9, 8]),
        ("equity <= 0 scores 0", [9, 7, 8]),
        ("equity at least 1", [9, 7, 8]),  # so levered a loss is the smallest
    ):
        assert accounts(state, policy_of(key=QUEUE.key.replace("equity <= 0 last", where))) == order


def test_the_limits_of_the_scope(stage: Stage) -> None:
    traders = [(0, {0: (30, 1_000)}), (5, {0: (-10, 899)}), (5, {0: (-10, 900)}), (5, {0: (-10, 950)})]
    events = [
        msgspec.structs.replace(event, owner=LOSER) if isinstance(event, AccountOpened) and event.account == 8 else event
        for event in stage(traders, [900])
    ]
    state = fold(events)
    assert accounts(state, RULE) == [9, 8, 7]
    assert accounts(state, policy_of(scope="opposite, own accounts first")) == [8, 9, 7]
    assert accounts(state, policy_of(scope="opposite, own accounts first"), without=None) == [9, 8, 7]
    assert accounts(state, policy_of(scope="opposite, profit >= 0")) == [9, 8]
    assert accounts(state, policy_of(scope="opposite, profit > 0")) == [9]


def test_how_much_of_each_can_be_closed(stage: Stage) -> None:
    traders = [(10**9, {0: (30, 1_000)}), (10**9, {0: (-15, 950)}), (10**9, {0: (9, 900)}), (10**9, {0: (-3, 900)})]
    events = [
        msgspec.structs.replace(event, owner=7) if isinstance(event, AccountOpened) and event.account == 8 else event
        for event in stage(traders, [900])
    ]
    state = fold(events)

    def lots(**changes: str) -> list[tuple[int, int]]:
        return [(one.account, one.lots) for one in rank(state, 0, -1, policy_of(**changes), without=LOSER).ranked]

    assert lots() == [(7, 15), (9, 3)]
    assert lots(scope="opposite, unhedged") == [(7, 6), (9, 3)]
    assert lots(target="whole position, each at most 25%") == [(7, 3), (9, 0)]
    assert lots(scope="opposite, unhedged", target="whole position, each at most 50%") == [(7, 6), (9, 1)]


def test_what_the_policy_does_not_look_at_is_not_missing(stage: Stage) -> None:
    state = fold(stage([(0, {0: (30, 1_000)}), (10**9, {0: (-10, 1_200)})], [900]))
    by_size = policy_of(key="size desc, equity <= 0 alike, account asc")
    evolve(state, Opening(0, 0, 0, 7, None, (OpenPosition(0, -5, None, 0),)), state.seq + 1)
    assert rank(state, 0, -1, RULE, without=LOSER) == ((), ("entry price",))
    [only] = rank(state, 0, -1, by_size, without=LOSER).ranked
    assert (only.size, only.profit, only.notional, only.score) == (-5, None, 4_500 * LOT, Ratio(5, 1))
    weighted = policy_of(fill="level(closed/gain)", key="equity <= 0 alike, account asc")
    assert rank(state, 0, -1, weighted, without=LOSER).missing == ("entry price",)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"scope": "opposite, profit > 0"}, ("entry price",)),
        ({"key": "equity <= 0 excluded, account asc"}, ("cash of account",)),
        ({"scope": "opposite, overlapping"}, ("cash of account",)),
        ({"fill": "level(exposure/equity)", "key": "equity <= 0 excluded, account asc"}, ("cash of account",)),
        ({}, ()),
    ],
)
def test_each_parameter_names_what_it_looks_at(stage: Stage, changes: dict[str, str], missing: tuple[str, ...]) -> None:
    state = fold(stage([(0, {0: (30, 1_000)})], [900]))
    new = AccountOpened(0, 0, 0, 7, "new", 7, state.accounts[6].role, state.accounts[6].margin, False, None)
    for event in (new, Opening(0, 0, 0, 7, None, (OpenPosition(0, -5, None, 0),))):
        evolve(state, event, state.seq + 1)
    plain = {"key": "size desc, equity <= 0 alike, account asc"}
    assert rank(state, 0, -1, policy_of(**{**plain, **changes}), without=LOSER, among=[7]).missing == missing


# ---- Lists


def with_list(stage: Stage, *parts: list[int], **changes: Any) -> tuple[State, AdlRound]:
    trader = (10**9, {0: (-10, 1_200)})
    opened = a_round(**changes)
    state = fold([*stage([(0, {0: (50, 1_000)}), trader, trader, trader, trader], [900]), opened])
    for number, part in enumerate(parts, 1):
        listed = tuple(Candidate(account, None, None, None, None) for account in part)
        evolve(state, AdlCandidates(0, 0, 0, 0, number, max(len(parts), 2), listed), state.seq + 1)
    return state, opened


def test_a_list_stands_in_its_order(stage: Stage) -> None:
    state, opened = with_list(stage, [9, LOSER, 10], [7])
    listed, missing = listed_for(state, opened, LIST)
    assert (listed, missing) == ([9, LOSER, 10, 7], [])
    assert accounts(state, LIST, among=listed) == [9, 10, 7]
    assert accounts(state, RULE, among=listed) == [7, 9, 10]


def test_a_list_of_which_parts_are_lacking_is_missing(stage: Stage) -> None:
    state, opened = with_list(stage, [9, LOSER, 10])
    assert listed_for(state, opened, LIST)[1] == ["candidate list: record incomplete"]
    assert listed_for(state, a_round(round=1), LIST) == (None, [])
    assert rank(state, 0, -1, LIST, without=LOSER) == ((), ("candidate list: record incomplete",))


@pytest.mark.parametrize(
    ("seed", "order"), [(b"\0", [9, 10, 7]), (b"\2", [10, 7, 9]), (b"\1\0\1", [10, 7, 9]), (b"\7", [7, 9, 10])]
)
def test_a_rotated_list_begins_at_the_seed(stage: Stage, seed: bytes, order: list[int]) -> None:
    # Of four in the list, the one that is no candidate takes a turn too: 0x010001 is 1 modulo 4.
    state, opened = with_list(stage, [9, LOSER, 10], [7], seed=seed)
    listed, missing = listed_for(state, opened, ROTATED)
    assert missing == []
    assert accounts(state, ROTATED, among=listed) == order


def test_without_its_seed_a_rotated_list_has_no_beginning(stage: Stage) -> None:
    state, opened = with_list(stage, [9], [7])
    assert listed_for(state, opened, ROTATED)[1] == ["seed of the round"]


def test_for_a_level_the_candidates_stand_by_account(stage: Stage) -> None:
    state = fold(stage([(0, {0: (50, 1_000)}), *[(10**9, {0: (-10, 1_200)})] * 4], [900]))
    book = state.positions[0]
    state.positions[0] = {account: book[account] for account in (9, 6, 10, 7, 5, 8)}
    level = policy_of(fill="level(closed/size)", key="equity <= 0 alike, account asc")
    assert field_of(state, 0, -1, level, LOSER, None).candidates.accounts == [7, 8, 9, 10]
    assert accounts(state, level) == [7, 8, 9, 10]
