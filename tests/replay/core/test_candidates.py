from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.model import (
    FEES,
    UNOBSERVED,
    AccountOpened,
    AnyEvent,
    Basis,
    Completeness,
    Contract,
    MarketListed,
    MarketStatus,
    Opening,
    OpenPosition,
    PriceTick,
    Role,
    SourceOpened,
)
from replay.core import margin
from replay.core.candidates import Candidates, by_profit, gather, solvent, unhedged
from replay.core.evolve import evolve
from replay.core.policy import Atom, ProfitFilter, Scope, Side
from replay.core.state import State

Stage = Callable[..., list[AnyEvent]]

LOSER = 6
LOT = 10_000  # money units of one lot at one price step
OPPOSITE = Scope(Side.OPPOSITE)
SHORT = (10**9, {0: (-10, 1_200)})


def fold(events: Iterable[AnyEvent]) -> State:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    return state


def change(state: State, event: AnyEvent) -> None:
    evolve(state, event, state.seq + 1)


def shorts(state: State, **more: Any) -> Candidates:
    return gather(state, 0, -1, OPPOSITE, without=LOSER, **more)


def who(candidates: Candidates) -> list[int]:
    return sorted(candidates.accounts)


def test_who_is_a_candidate_is_what_the_venue_states_and_else_the_users(stage: Stage) -> None:
    state = fold(stage([(0, {0: (60, 1_000)}), SHORT, SHORT, SHORT], [900]))
    for role in (Role.USER, Role.VAULT, Role.FUND, Role.LIQUIDATOR):
        for exempt, wanted in ((True, [7, 9]), (False, [7, 8, 9]), (None, [7, 8, 9] if role is Role.USER else [7, 9])):
            change(state, msgspec.structs.replace(state.accounts[8], role=role, adl_exempt=exempt, new=False))
            assert who(shorts(state)) == wanted


@pytest.mark.parametrize("others", [0, 20])
def test_many_accounts_that_hold_nothing_change_nothing(stage: Stage, others: int) -> None:
    state = fold(stage([(0, {0: (60, 1_000)}), SHORT, SHORT, *[(5, {})] * others], [900]))
    change(state, msgspec.structs.replace(state.accounts[8], role=Role.VAULT, new=False))
    assert who(shorts(state)) == [7]


def test_where_the_venue_lists_whom_it_ranked_these_are_the_candidates(stage: Stage) -> None:
    state = fold(stage([(0, {0: (50, 1_000)}), SHORT, SHORT, SHORT, (0, {0: (5, 1_000)})], [900]))
    change(state, msgspec.structs.replace(state.accounts[9], role=Role.VAULT, adl_exempt=True, new=False))
    change(state, Opening(0, 0, 0, 8, None, (OpenPosition(0, None, None, 0),)))
    listed = shorts(state, among=[9, LOSER, FEES, 10, UNOBSERVED, 7])
    assert (who(listed), listed.unseen) == ([7, 9], [])  # only those on it have to be known
    assert shorts(state, among=[8]).unseen == shorts(state).unseen == ["candidate list: record incomplete"]


def test_the_sides_of_a_market_and_whole_accounts(stage: Stage) -> None:
    state = fold(stage([(0, {0: (50, 1_000)}), SHORT, (7, {0: (5, 1_000)}), (7, {1: (3, 100)}), (0, {})], [900, 100]))

    def found(side: Side, sign: int) -> list[int]:
        return who(gather(state, 0, sign, Scope(side), without=LOSER))

    assert (found(Side.OPPOSITE, -1), found(Side.OPPOSITE, 1)) == ([7], [8])
    assert found(Side.BOTH, -1) == found(Side.BOTH, 1) == [7, 8]
    assert found(Side.ACCOUNTS, -1) == [7, 8, 9, 10]


def test_the_limits_of_a_scope(stage: Stage) -> None:
    # At 900, account 7 has a profit, 8 none, 9 a loss and no equity.
    traders = [(0, {0: (30, 1_000)}), (5, {0: (-10, 901)}), (5, {0: (-10, 900)}), (5, {0: (-10, 899)})]
    found = shorts(fold(stage(traders, [900])))
    assert [who(by_profit(found, one)) for one in ProfitFilter] == [[7, 8, 9], [7, 8], [7]]
    assert who(solvent(found)) == [7, 8]


# ---- What is measured


def test_every_atom_by_hand(stage: Stage) -> None:
    state = fold(stage([(10**9, {0: (-10, 1_000), 1: (7, 100)}), (5, {0: (3, 800)})], [900, 90]))
    short, long = (gather(state, 0, side, OPPOSITE) for side in (-1, 1))
    equity = 10**9 + 10 * 100 * LOT - 7 * 10 * LOT
    assert {atom: short.column(atom) for atom in Atom} == {
        Atom.ONE: [1],
        Atom.SIZE: [10],
        Atom.NOTIONAL: [9_000 * LOT],
        Atom.ENTRY_NOTIONAL: [10_000 * LOT],
        Atom.PROFIT: [1_000 * LOT],
        Atom.GAIN: [1_000 * LOT],
        Atom.POSITION_MAINTENANCE: [450 * LOT],
        Atom.INITIAL: [900 * LOT],
        Atom.SOLD: [10_000 * LOT],
        Atom.BOUGHT: [9_000 * LOT],
        Atom.EQUITY: [equity],
        Atom.BALANCE: [10**9],
        Atom.MAINTENANCE: [450 * LOT + 7 * 90 * LOT // 20],
        Atom.EXPOSURE: [9_000 * LOT + 630 * LOT],
    }
    assert (long.column(Atom.SOLD), long.column(Atom.BOUGHT)) == ([2_700 * LOT], [2_400 * LOT])
    assert short.gaps(list(Atom)) == []


def test_the_atoms_of_whole_accounts_are_sums(stage: Stage) -> None:
    state = fold(stage([(10**9, {0: (-10, 1_000), 1: (7, 100)})], [900, 90]))
    found = gather(state, 0, 1, Scope(Side.ACCOUNTS))
    assert found.column(Atom.PROFIT) == found.column(Atom.GAIN) == [(1_000 - 70) * LOT]
    assert found.column(Atom.NOTIONAL) == found.column(Atom.EXPOSURE) == [9_630 * LOT]
    assert (found.figure(Atom.EQUITY, 0), found.figure(Atom.SIZE, 0)) == (10**9 + 930 * LOT, 10)
    assert found.figure(Atom.SOLD, 0) is None  # which is of a position


@pytest.mark.parametrize(("size", "sold_first"), [(10, True), (-10, False)])
def test_an_inverse_long_is_sold_at_entry_and_bought_at_mark(stage: Stage, size: int, sold_first: bool) -> None:
    # In its own currency a long of an inverse contract gains as the money it is worth falls.
    events = stage([(10**9, {0: (size, 1_000)})], [1_250])
    at = next(number for number, event in enumerate(events) if isinstance(event, MarketListed))
    grid = (Contract.INVERSE, 2, 2, 1, 0, 1, 1)
    events[at] = MarketListed(0, 0, 0, 0, "M0", *grid, Basis.AVERAGE, False, (), None, MarketStatus.TRADING)
    found = gather(fold(events), 0, 1 if size > 0 else -1, OPPOSITE)
    entry, mark = found.column(Atom.ENTRY_NOTIONAL)[0], found.column(Atom.NOTIONAL)[0]
    assert entry * 1_000 == mark * 1_250
    assert (found.column(Atom.SOLD)[0], found.column(Atom.BOUGHT)[0]) == ((entry, mark) if sold_first else (mark, entry))
    assert (found.column(Atom.PROFIT)[0] > 0) is sold_first
    assert found.gaps([Atom.INITIAL]) == ["margin tiers"]


def test_picking_keeps_what_was_measured(stage: Stage) -> None:
    state = fold(stage([(0, {0: (60, 1_000)}), SHORT, (3, {0: (-20, 1_100)}), SHORT], [900]))
    found = shorts(state)
    before = {atom: found.column(atom) for atom in (Atom.EQUITY, Atom.PROFIT)}
    chosen = found.pick([2, 0])
    assert chosen.accounts == [found.accounts[2], found.accounts[0]]
    assert chosen.sizes == [found.sizes[2], found.sizes[0]]
    assert all(chosen.column(atom) == [column[2], column[0]] for atom, column in before.items())
    assert who(found.ascending()) == found.ascending().accounts


# ---- Hedges


def owned(stage: Stage, holdings: dict[int, int], owners: dict[int, int]) -> State:
    """A venue in which account ``LOSER`` + n holds ``holdings``, some of them under the owner of another."""
    events = stage([(10**9, {0: (size, 1_000)}) for size in holdings.values()], [900])
    return fold(
        msgspec.structs.replace(event, owner=owners.get(event.account, event.owner))
        if isinstance(event, AccountOpened)
        else event
        for event in events
    )


def test_what_an_owner_holds_beyond_its_hedge_goes_to_its_accounts_by_id(stage: Stage) -> None:
    state = owned(stage, {6: 50, 7: -10, 8: -10, 9: 12, 10: -5}, {8: 7, 9: 7})
    found = shorts(state)
    assert dict(zip(found.accounts, unhedged(found, LOSER), strict=True)) == {7: 8, 8: 0, 10: 5}


def test_what_is_to_be_closed_hedges_nothing(stage: Stage) -> None:
    state = owned(stage, {6: 50, 7: -10}, {7: 6})
    found = shorts(state)
    assert (unhedged(found, LOSER), unhedged(found, None)) == ([10], [0])


def test_a_hedge_that_may_not_be_on_record_is_named(stage: Stage) -> None:
    state = owned(stage, {6: 50, 7: -10, 8: 5}, {8: 7})
    change(state, msgspec.structs.replace(state.accounts[8], role=Role.VAULT, new=False))  # no candidate, but a hedge
    found = shorts(state)
    assert (unhedged(found, LOSER), found.unseen) == ([5], [])
    change(state, Opening(0, 0, 0, 8, None, (OpenPosition(0, None, None, 0),)))
    found = shorts(state)
    unhedged(found, LOSER)
    assert found.unseen == ["candidate list: record incomplete"]


@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(0, 3)), min_size=1, max_size=10))
def test_of_each_owner_as_much_can_be_closed_as_it_holds_net(stage: Stage, held: list[tuple[int, int]]) -> None:
    owners = {6 + number: 6 + owner for number, (_, owner) in enumerate(held) if owner <= number}
    state = owned(stage, {6 + number: size for number, (size, _) in enumerate(held)}, owners)
    found = gather(state, 0, -1, OPPOSITE)
    lots = unhedged(found, None)
    assert all(0 <= lot <= -size for lot, size in zip(lots, found.sizes, strict=True))
    for owner in {state.accounts[account].owner for account in found.accounts}:
        net = sum(size for number, (size, _) in enumerate(held) if state.accounts[6 + number].owner == owner)
        mine = [lot for lot, account in zip(lots, found.accounts, strict=True) if state.accounts[account].owner == owner]
        assert sum(mine) == max(-net, 0)


# ---- What the record does not show


def with_unknown_trader(events: list[AnyEvent], *positions: OpenPosition, cash: int | None = None) -> list[AnyEvent]:
    account = len([event for event in events if isinstance(event, AccountOpened)])
    trader = AccountOpened(0, 0, 0, account, "new", account, Role.USER, fold(events).accounts[6].margin, False, None)
    other = msgspec.structs.replace(trader, account=account + 1, name="other", owner=account + 1)
    mirrored = tuple(msgspec.structs.replace(p, size=None if p.size is None else -p.size) for p in positions)
    return [*events, trader, other, Opening(0, 0, 0, account, cash, positions), Opening(0, 0, 0, account + 1, 1, mirrored)]


@pytest.fixture
def complete(stage: Stage) -> list[AnyEvent]:
    return stage([(0, {0: (10, 1_000)}), (10**9, {0: (-30, 1_000)})], [900])


def gaps(events: list[AnyEvent], *atoms: Atom) -> list[str]:
    found = shorts(fold(events))
    return [*found.unseen, *found.gaps(atoms)]


def test_only_what_is_asked_for_can_be_missing(complete: list[AnyEvent]) -> None:
    events = with_unknown_trader(complete[:-1], OpenPosition(0, -5, None, 0))
    assert gaps(events) == gaps(events, Atom.SIZE, Atom.ONE) == []
    assert gaps(events, Atom.ENTRY_NOTIONAL) == ["entry price"]
    assert gaps(events, Atom.NOTIONAL) == ["mark price"]
    assert gaps(events, Atom.PROFIT) == ["mark price", "entry price"]
    assert "cash of account" in gaps(events, Atom.EQUITY)
    assert gaps([*events, PriceTick(0, 0, 0, 0, 900, None)], Atom.EQUITY) == ["cash of account"]
    assert gaps([*events, PriceTick(0, 0, 0, 0, 900, None)], Atom.GAIN) == ["entry price"]


def test_what_is_not_known_of_one_is_known_of_another(complete: list[AnyEvent]) -> None:
    found = shorts(fold(with_unknown_trader(complete, OpenPosition(0, -5, None, 0)))).ascending()
    assert [found.figure(Atom.PROFIT, place) for place in range(2)] == [3_000 * LOT, None]
    assert [found.figure(Atom.EQUITY, place) for place in range(2)] == [10**9 + 3_000 * LOT, None]
    assert [found.pick([1, 0]).figure(Atom.PROFIT, place) for place in range(2)] == [None, 3_000 * LOT]


def test_a_mark_in_another_market_that_equity_needs(stage: Stage) -> None:
    events = stage([(0, {0: (10, 1_000)}), (10**9, {0: (-30, 1_000), 1: (3, 50)})], [900, 90])
    assert gaps(events, Atom.EQUITY) == []
    assert gaps(events[:-1], Atom.EQUITY, Atom.EXPOSURE, Atom.MAINTENANCE) == ["mark price"] * 3
    assert gaps(events[:-1], Atom.NOTIONAL, Atom.BALANCE) == []


def test_an_account_that_may_hold_the_market(complete: list[AnyEvent]) -> None:
    events = with_unknown_trader(complete)[:-2]
    assert gaps(events) == ["candidate list: record incomplete"]
    venue = [msgspec.structs.replace(event, role=Role.VAULT) for event in events[-2:]]  # no candidates, whatever they hold
    assert gaps([*events[:-2], *venue]) == []
    stated = [Opening(0, 0, 0, account, None, (OpenPosition(0, 0, None, 0),)) for account in (8, 9)]
    assert gaps([*events, *stated]) == []


def test_a_position_of_unknown_size(complete: list[AnyEvent]) -> None:
    assert gaps(with_unknown_trader(complete, OpenPosition(0, None, None, 0), cash=10)) == ["candidate list: record incomplete"]


def test_what_unobserved_holds_proves_nothing(complete: list[AnyEvent]) -> None:
    """A record that is called complete is so whatever is left over, and another is not where nothing is."""
    digest = b"\0" * 32
    source = SourceOpened(0, 1, 0, "f", digest, digest, 1, "test", 1, None, None, "", Completeness.SAMPLED)
    events = with_unknown_trader(complete, OpenPosition(0, -5, 100, 2), cash=10)
    *rest, first, second = events
    assert gaps([*rest, msgspec.structs.replace(second, cash=2), first]) == []
    sampled = [source, *(msgspec.structs.replace(event, source=1) for event in (first, second))]
    state = fold([*rest, *sampled])
    assert state.positions[0][UNOBSERVED].size == 0
    assert shorts(state).unseen == ["candidate list: record incomplete"]
    assert shorts(state, among=[7]).unseen == []  # a list of the venue's own needs no complete record
    assert gather(state, 0, 1, Scope(Side.ACCOUNTS)).unseen == ["candidate list: record incomplete"]


@given(st.lists(st.tuples(st.integers(0, 10**10), st.integers(-300, 300), st.integers(-300, 300)), min_size=1, max_size=8))
def test_equity_is_margins_own(stage: Stage, traders: list[tuple[int, int, int]]) -> None:
    state = fold(stage([(cash, {0: (one, 1_000), 1: (two, 50)}) for cash, one, two in traders], [900, 60]))
    found = gather(state, 0, 0, Scope(Side.BOTH))
    assert found.column(Atom.EQUITY) == [margin.equity(state, account) for account in found.accounts]
