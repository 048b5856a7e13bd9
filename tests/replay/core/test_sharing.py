from collections.abc import Callable, Iterable

import pytest

from events.model import AnyEvent, Basis, Contract, MarketListed, MarketStatus
from replay.core.candidates import Candidates, gather
from replay.core.evolve import evolve
from replay.core.policy import Atom, Policy, Scope, Side
from replay.core.sharing import shared, weights
from replay.core.spelling import parse_texts
from replay.core.state import State
from replay.presets import preset

Stage = Callable[..., list[AnyEvent]]

QUEUE = preset("queue").texts
UNIT = 10**8
LOT = 10_000  # money units of one lot at one price step
PLAIN = {"key": "equity <= 0 alike, account asc"}
EXCLUDED = {"key": "equity <= 0 excluded, account asc"}


def policy_of(**changes: str) -> Policy:
    return parse_texts(QUEUE._replace(**changes))


def paid(fill: str, **changes: str) -> Policy:
    money = {"price": "none", "rounding": "money unit, remainder largest", "target": "deficit"}
    return policy_of(**{"fill": fill, **money, **changes})


def fold(events: Iterable[AnyEvent]) -> State:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    return state


def shorts(events: Iterable[AnyEvent]) -> Candidates:
    return gather(fold(events), 0, -1, Scope(Side.OPPOSITE)).ascending()


def share(policy: Policy, candidates: Candidates, amount: int, caps: list[int] | None = None) -> list[int]:
    lots = candidates.column(Atom.SIZE)
    return shared(policy, candidates, lots, lots if caps is None else caps, amount, UNIT)


def columns(**atoms: list[int]) -> Callable[[Atom], list[int]]:
    found = {Atom[name.upper()]: values for name, values in atoms.items()}
    return lambda atom: found.get(atom, [1] * len(next(iter(found.values()))))


def test_weights_without_a_quotient_are_exact() -> None:
    by = policy_of(fill="level(closed/(gain * size))", **PLAIN)
    assert weights(by, columns(gain=[3, 0, 10**40], size=[2, 5, 7]), UNIT) == [6, 0, 7 * 10**40]


def test_weights_with_a_quotient_are_cut_alike() -> None:
    by = policy_of(fill="level(closed/(size * notional/equity))", key=EXCLUDED["key"])
    found = weights(by, columns(size=[1, 1, 2], notional=[1, 2, 1], equity=[3, 6, 3]), UNIT)
    assert found == [2**64 // 3, 2**64 // 3, 2 * 2**64 // 3]


@pytest.mark.parametrize(
    ("insolvent", "wanted"),
    [("scores 0", [0, 10, 2 * UNIT]), ("at least 1", [UNIT, UNIT, 2 * UNIT]), ("excluded", [0, 10, 2 * UNIT])],
)
def test_equity_not_above_0_weighs_what_the_key_says(insolvent: str, wanted: list[int]) -> None:
    text = f"equity {insolvent}" if insolvent.startswith("at") else f"equity <= 0 {insolvent}"
    by = policy_of(fill="level(closed/equity)", key=f"{text}, account asc")
    assert weights(by, columns(equity=[-5, 10, 2 * UNIT]), UNIT) == wanted


def test_contracts_in_proportion(stage: Stage) -> None:
    found = shorts(stage([(10**9, {0: (-size, 1_000)}) for size in (10, 20, 30)], [900]))
    by_size = policy_of(fill="level(closed/size)", **PLAIN)
    assert share(by_size, found, 7) == [1, 2, 4]  # 1 1/6, 2 1/3 and 3 1/2: the largest remainder takes the last lot
    first = policy_of(fill="level(closed/size)", rounding="lot, price for the loser, remainder first", **PLAIN)
    assert share(first, found, 7) == [2, 2, 3]
    assert share(by_size, found, 100) == [10, 20, 30]


def test_what_a_cap_cuts_off_is_shared_again_or_not(stage: Stage) -> None:
    found = shorts(stage([(10**9, {0: (-10, entry)}) for entry in (1_000, 1_700)], [900]))
    assert share(policy_of(fill="level(closed/gain)", **PLAIN), found, 18) == [8, 10]  # by 1 to 8, up to 10
    assert share(policy_of(fill="level(closed/gain), once", **PLAIN), found, 18) == [2, 10]


def test_leverage_is_drained_to_one_level(stage: Stage) -> None:
    # Each holds 10 lots worth 900 steps: equity of 900 and 4,500 steps make leverage 10 and 2.
    found = shorts(stage([(900 * LOT, {0: (-10, 900)}), (4_500 * LOT, {0: (-10, 900)})], [900]))
    by_leverage = policy_of(fill="level(exposure/equity)", **EXCLUDED)
    assert share(by_leverage, found, 8) == [8, 0]  # both at leverage 2
    assert share(by_leverage, found, 14) == [9, 5]
    assert share(policy_of(fill="least maximum(closed/equity)", **EXCLUDED), found, 6) == [1, 5]


def test_without_equity_a_candidate_gives_all_it_can_before_any_level(stage: Stage) -> None:
    found = shorts(stage([(900 * LOT, {0: (-10, 900)}), (0, {0: (-10, 900)}), (0, {0: (-4, 800)})], [900]))
    assert found.column(Atom.EQUITY) == [900 * LOT, 0, -400 * LOT]
    for fill in ("level(exposure/equity)", "least maximum(closed/equity)"):
        by = policy_of(fill=fill, **EXCLUDED)
        assert share(by, found, 12) == [0, 10, 2]
        assert share(by, found, 20) == [6, 10, 4]
        least = policy_of(fill=fill, key="equity at least 1, account asc")
        assert sum(share(least, found, 20)) == 20


@pytest.mark.parametrize(("contract", "multiplier", "decimals"), [(Contract.INVERSE, 10**6, 0), (Contract.QUANTO, 7, 6)])
def test_leverage_is_drained_in_whole_lots_of_any_contract(
    stage: Stage, contract: Contract, multiplier: int, decimals: int
) -> None:
    events = stage([(10**9, {0: (-10, 1_000)}), (10**9, {0: (-30, 1_000)})], [1_000])
    at = next(number for number, event in enumerate(events) if isinstance(event, MarketListed))
    grid = (contract, 2, 2, multiplier, decimals, 1, 1)
    events[at] = MarketListed(0, 0, 0, 0, "M0", *grid, Basis.AVERAGE, False, (), None, MarketStatus.TRADING)
    assert share(policy_of(fill="level(exposure/equity)", **EXCLUDED), shorts(events), 24) == [2, 22]  # 8 left of each


def test_an_index_is_paid_per_contract_and_rounded_up(stage: Stage) -> None:
    found = shorts(stage([(10**9, {0: (-size, 1_000)}) for size in (1, 2, 4)], [900]))
    index = paid("index(size)", layers="book, fund, index", **PLAIN)
    assert share(index, found, 7 * 10) == [10, 20, 40]
    assert share(index, found, 10) == [2, 3, 6]
    assert share(index, found.pick([]), 10) == []


def test_money_is_paid_up_to_a_cap(stage: Stage) -> None:
    found = shorts(stage([(10**9, {0: (-10, entry)}) for entry in (1_000, 1_100, 1_200)], [900]))
    by_gain = paid("level(paid/gain), cap gain", **PLAIN)
    assert share(by_gain, found, 7, caps=[1, 2, 3]) == [1, 2, 3]
    assert share(by_gain, found, 60, caps=[100, 100, 15]) == [15, 30, 15]
