"""State roots: against a second implementation written from the docstring alone, and on other interpreters."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.codec import encode
from events.model import (
    AccountOpened,
    AdlCandidates,
    AdlClose,
    AdlRound,
    AnyEvent,
    Basis,
    Candidate,
    Completeness,
    Contract,
    Fill,
    MarginMode,
    MarginTier,
    MarketListed,
    MarketStatus,
    Opening,
    OpenPosition,
    PolicyAdopted,
    PoolBalance,
    PriceRule,
    PriceTick,
    Quarantined,
    Reason,
    Role,
    SourceOpened,
    Taker,
    Transfer,
)
from replay.core.evolve import evolve
from replay.core.root import basis_root, money_root, state_root
from replay.core.state import PROFIT_UNKNOWN, SIZE_UNKNOWN, Position, State
from replay.testing.streams import beginning, records

ROOT = Path(__file__).parents[3]


def record() -> list[AnyEvent]:
    """Return a small record with every kind of thing that a root covers."""
    users = [
        AccountOpened(1, 0, 0, a, f"a{a}", a, Role.USER, MarginMode.ISOLATED, a != 6, {4: False, 6: True}.get(a))
        for a in (4, 5, 6)
    ]
    tiers = (MarginTier(0, 10**12 // 3, 10**11), MarginTier(10**20, 5 * 10**11, 2 * 10**11))
    limits = (Basis.AVERAGE_TRUNCATED, True, tiers, 10**9, MarketStatus.CLOSE_ONLY)
    listed = MarketListed(1, 0, 0, 0, "BTC", Contract.LINEAR, 2, 3, 1, 0, 5, 10, *limits)
    pools = (PoolBalance(4, -(10**24)),)
    unsaid = (None, None, None, None, None, None)
    ranked = (Candidate(4, 19, 10**20, None, "0.7"), Candidate(6, None, None, 10_000, None))
    return [
        *beginning(), *users, listed,
        PolicyAdopted(1, 0, 0, 0, "p", (0,), "equity<0", "", "", "", "", "", "", "", "rule", b"\1" * 32, "staff"),
        Transfer(2, 0, 0, 0, 4, 10**24, Reason.DEPOSIT, None),
        Opening(2, 0, 0, 6, None, (OpenPosition(0, None, None, 0),)),
        PriceTick(3, 0, 0, 0, 10_001, 10_002),
        PriceTick(3, 0, 0, 0, 10_004, None),
        Fill(4, 0, 0, 0, 4, 5, 10_000, 30, 7, -2, 1, Taker.BUYER, *unsaid),
        Fill(5, 0, 0, 0, 5, 4, 10_003, 11, 7, -2, "0x2", Taker.BUYER, *unsaid),
        AdlRound(6, 0, 0, 0, 5, 0, -9, 10_005, PriceRule.MARK, 10_005, None, None, 0, pools, -(10**20), 9, 8, b"seed"),
        AdlCandidates(6, 0, 0, 0, 1, 2, ranked),
        AdlClose(6, 0, 0, 0, 5, 4, 10_005, 9, 0, 0, 3, Taker.UNKNOWN, *unsaid, 0, 4, None, None, None),
    ]  # fmt: skip


def after(events: Sequence[AnyEvent]) -> State:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    return state


# ---- A second implementation: msgpack by hand, from the specification's text


def pack(value: Any) -> bytes:
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return pack_integer(int(value))
    if isinstance(value, str):
        raw = value.encode()
        return length(len(raw), (0xA0, 32), 0xD9, 0xDA) + raw
    if isinstance(value, bytes):
        return length(len(value), (0, 0), 0xC4, 0xC5) + value
    parts = [getattr(value, name) for name in value.__struct_fields__] if hasattr(value, "__struct_fields__") else list(value)
    return length(len(parts), (0x90, 16), None, 0xDC) + b"".join(pack(part) for part in parts)


def pack_integer(value: int) -> bytes:
    if not -(2**63) <= value < 2**63:
        size = next(n for n in range(9, 99) if -(2 ** (8 * n - 1)) <= value < 2 ** (8 * n - 1))
        return pack(value.to_bytes(size, "big", signed=True))
    if 0 <= value < 128:
        return bytes([value])
    if -32 <= value < 0:
        return bytes([256 + value])
    for mark, size in ((0, 1), (1, 2), (2, 4), (3, 8)):
        if value >= 0 and value < 2 ** (8 * size):
            return bytes([0xCC + mark]) + value.to_bytes(size, "big")
        if value < 0 and -value <= 2 ** (8 * size - 1):
            return bytes([0xD0 + mark]) + value.to_bytes(size, "big", signed=True)
    raise AssertionError


def length(count: int, fixed: tuple[int, int], one: int | None, two: int) -> bytes:
    if count < fixed[1]:
        return bytes([fixed[0] + count])
    if one is not None and count < 256:
        return bytes([one, count])
    return bytes([two]) + count.to_bytes(2, "big")


def facts(event: Any) -> list[Any]:
    left_out = {"at_ns", "source", "row"} | ({"as_of", "cause"} if isinstance(event, AdlRound) else set())
    return [getattr(event, name) for name in event.__struct_fields__ if name not in left_out]


def sections(*lists: list[list[Any]]) -> bytes:
    return b"".join(pack(len(rows)) + b"".join(pack(row) for row in rows) for rows in lists)


def by_the_book(state: State) -> tuple[bytes, bytes, bytes]:
    accounts = zip(state.accounts, state.cash, state.cash_known, strict=True)
    prices = zip(state.marks, state.previous_marks, state.oracles, state.partial, strict=True)
    held = [(m, a, p) for m, book in enumerate(state.positions) for a, p in sorted(book.items())]
    money = sections(
        [facts(state.opened)] if state.opened else [],
        [[one.owner, one.role, one.margin, one.adl_exempt, cash, known] for one, cash, known in accounts],
        [[*facts(market.listed), *last] for market, last in zip(state.markets, prices, strict=True)],
        [[m, a, p.size, bool(p.unknown & 1)] for m, a, p in held if p.size or p.unknown & 1 or not state.cash_known[a]],
        [facts(policy) for policy in state.policies],
        [[*facts(one.event), one.closed, one.closes, one.candidates, one.part, one.parts] for one in state.rounds],
    )
    basis = sections([[m, a, p.cost, p.realised, p.unknown] for m, a, p in held if p.cost or p.realised or p.unknown])
    one = sha256(b"adl-ledger/money-root/v1\n" + money).digest()
    two = sha256(b"adl-ledger/basis-root/v1\n" + basis).digest()
    return one, two, sha256(b"adl-ledger/state-root/v1\n" + one + two).digest()


@given(records())
def test_a_second_implementation_agrees(events: list[AnyEvent]) -> None:
    state = after(events)
    assert (money_root(state), basis_root(state), state_root(state)) == by_the_book(state)


@pytest.mark.parametrize("cash", [2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64 - 1, 2**71, -(2**100)])
def test_amounts_on_both_sides_of_64_bits(cash: int) -> None:
    state = after(beginning())
    state.cash[0] = cash
    assert money_root(state) == by_the_book(state)[0]


def test_the_empty_state_has_roots() -> None:
    assert (money_root(State()), basis_root(State()), state_root(State())) == by_the_book(State())


# ---- Golden: these never change under semantics 1


def test_golden_roots() -> None:
    assert state_root(after(beginning())).hex() == "1adefac7a0a3b9ea9bbcec0aba0a1a548af828ea4b3114837b87e671868ba488"
    assert money_root(after(record())).hex() == "b13795beea568e89fe0097e75a6762e5032cca7441539d2bd822fdbfd5c51251"
    assert basis_root(after(record())).hex() == "ffedf467618aa5f83d39a58da49e50aade62cbf757280e7fd5a523947404c5d9"


# ---- What moves a root and what does not


def test_the_same_facts_give_the_same_roots_however_the_files_were_cut() -> None:
    digest = b"\0" * 32
    source = SourceOpened(5, 1, 0, "f", digest, digest, 1, "test", 1, 1, None, "", Completeness.COMPLETE)
    other = [*beginning(), source, *(replace(event, at_ns=7, source=1, row=9) for event in record()[5:])]
    other = [replace(event, as_of=10, cause=9) if isinstance(event, AdlRound) else event for event in other]
    other.append(Quarantined(0, 1, 0, "r", "", 1, 1, b""))
    assert state_root(after(other)) == state_root(after(record()))


def test_names_are_not_in_the_roots() -> None:
    events = record()
    nameless = [replace(e, name=f"withheld{e.account}") if isinstance(e, AccountOpened) else e for e in events]
    assert state_root(after(nameless)) == state_root(after(events))


@given(records(), st.data())
def test_states_with_equal_roots_have_equal_futures(events: list[AnyEvent], data: st.DataObject) -> None:
    """What has no row in either root can be left out of a state, and makes no difference to any event after it."""
    now = data.draw(st.integers(0, len(events)))
    state = after(events[:now])
    bare = deepcopy(state)
    for book in bare.positions:
        for account in [a for a, p in book.items() if p == Position() and state.cash_known[a]]:
            del book[account]
    for seq, event in enumerate(events[now:], now + 1):
        assert state_root(bare) == state_root(state)
        for one in (state, bare):
            evolve(one, event, seq)
    assert state_root(bare) == state_root(state)


def test_a_position_stated_to_be_flat_is_not_one_that_was_never_stated() -> None:
    start = [*record()[:9], AccountOpened(1, 0, 0, 7, "a7", 7, Role.USER, MarginMode.CROSS, False, None)]
    one, two = after(start), after([*start, Opening(2, 0, 0, 7, None, (OpenPosition(0, 0, None, 0),))])
    two.partial[0] = one.partial[0]
    assert money_root(one) != money_root(two)


def test_a_position_object_that_says_nothing_is_not_in_the_roots() -> None:
    state = after(record())
    before = state_root(state)
    state.positions[0][0] = Position()
    assert state_root(state) == before


def change_cash(state: State) -> None:
    state.cash[5] += 1


def change_known(state: State) -> None:
    state.cash_known[5] = not state.cash_known[5]


def change_mark(state: State) -> None:
    state.marks[0] += 1


def change_oracle(state: State) -> None:
    state.oracles[0] += 1


def change_previous_mark(state: State) -> None:
    state.previous_marks[0] += 1


def change_partial(state: State) -> None:
    state.partial[0] = not state.partial[0]


def change_exemption(state: State) -> None:
    state.accounts[5] = replace(state.accounts[5], adl_exempt=True)


def change_candidates(state: State) -> None:
    state.rounds[0].candidates.reverse()


def change_parts(state: State) -> None:
    state.rounds[0].part += 1


def change_size(state: State) -> None:
    state.positions[0][5] = Position(size=12_345)


def change_unknown_size(state: State) -> None:
    state.positions[0][5] = Position(unknown=SIZE_UNKNOWN)


def change_listing(state: State) -> None:
    market = state.markets[0]
    state.markets[0] = replace(market, listed=replace(market.listed, position_limit=77))


def change_role(state: State) -> None:
    state.accounts[5] = replace(state.accounts[5], owner=0)


def change_policy(state: State) -> None:
    state.policies.pop()


def change_round(state: State) -> None:
    state.rounds[0].closed += 1


@pytest.mark.parametrize(
    "change",
    [
        change_cash,
        change_known,
        change_mark,
        change_oracle,
        change_previous_mark,
        change_partial,
        change_exemption,
        change_candidates,
        change_parts,
        change_size,
        change_unknown_size,
        change_listing,
        change_role,
        change_policy,
        change_round,
    ],
)
def test_every_fact_of_money_moves_the_money_root(change: Callable[[State], None]) -> None:
    state = after(record())
    changed = deepcopy(state)
    change(changed)
    assert money_root(changed) != money_root(state)
    assert state_root(changed) != state_root(state)


@pytest.mark.parametrize("change", [Position(cost=1), Position(realised=1), Position(unknown=PROFIT_UNKNOWN)])
def test_the_basis_moves_only_the_basis_root(change: Position) -> None:
    state = after(beginning())
    state.positions.append({})
    changed = deepcopy(state)
    changed.positions[0][3] = change
    assert (money_root(changed), basis_root(changed) == basis_root(state)) == (money_root(state), False)


@given(st.permutations(range(7)))
def test_the_order_in_which_positions_were_made_does_not_matter(order: list[int]) -> None:
    roots = set()
    for accounts in (order, range(7)):
        state = after(record()[:9])
        state.positions[0] = {account: Position(account + 1, account, -account) for account in accounts}
        roots.add(state_root(state))
    assert len(roots) == 1


SCRIPT = """
import sys
from events.codec import decode
from replay.core.evolve import evolve
from replay.core.root import state_root
from replay.core.state import State
state = State()
for seq, line in enumerate(sys.stdin, 1):
    evolve(state, decode(bytes.fromhex(line)), seq)
print(state_root(state).hex())
"""


@pytest.mark.parametrize(("options", "seed"), [((), "0"), ((), "1"), (("-O",), "2"), (("-OO", "-X", "utf8=0"), "4294967295")])
def test_the_root_is_the_same_in_every_process(options: tuple[str, ...], seed: str) -> None:
    environment = {
        "PYTHONHASHSEED": seed,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TZ": "Asia/Kathmandu",
        "LC_ALL": "C",
    }
    command = [sys.executable, *options, "-c", SCRIPT]
    lines = "\n".join(encode(event).hex() for event in record())
    done = subprocess.run(command, input=lines, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == state_root(after(record())).hex()
