"""The nouns, and what the reducer derives beside the books: against the same facts told naively."""

import pickle
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.model import (
    EXTERNAL,
    AccountOpened,
    AnyEvent,
    Basis,
    Contract,
    Fill,
    Funding,
    InsuranceDraw,
    Liquidation,
    MarginMode,
    MarketListed,
    MarketStatus,
    Method,
    Opening,
    OpenPosition,
    Payment,
    Reason,
    Role,
    Taker,
    Transfer,
)
from replay.core.evolve import evolve
from replay.core.root import state_root
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, FundLevel, Market, Position, Round, State
from replay.testing.streams import beginning, records

FUND, ALICE, BOB = 4, 5, 6
UNSAID = (None, None, None, None, None, None)


def opened(account: int, role: Role, *, new: bool = True) -> AccountOpened:
    return AccountOpened(0, 0, 0, account, f"a{account}", account, role, MarginMode.CROSS, new, None)


def after(*events: AnyEvent) -> State:
    """Return the state after a beginning, a market, a fund, two users, and ``events``, each at its own seq in nanoseconds."""
    grid = (Contract.LINEAR, 2, 3, 1, 0, 1, 1, Basis.AVERAGE, False, (), None, MarketStatus.TRADING)
    users = [opened(FUND, Role.FUND), opened(ALICE, Role.USER), opened(BOB, Role.USER)]
    state = State()
    for seq, event in enumerate([*beginning(), MarketListed(0, 0, 0, 0, "M", *grid), *users, *events], 1):
        evolve(state, event, seq)
    return state


def transfer(payer: int, payee: int, cash: int, at_ns: int = 0) -> Transfer:
    return Transfer(at_ns, 0, 0, payer, payee, cash, Reason.OTHER, None)


def liquidation(method: Method, at_ns: int, account: int = ALICE) -> Liquidation:
    trade = (at_ns, 0, 0, 0, BOB, ALICE, 100, 1, 0, 0, None, Taker.UNKNOWN, *UNSAID)
    return Liquidation(*trade, account, method, None, None, None)


def test_two_states_share_nothing() -> None:
    one, two = State(), State()
    one.cash.append(1)
    one.positions.append({0: Position(size=1)})
    one.holdings.append({0: Position(size=1)})
    one.fund_levels[4] = [FundLevel(1, 2, 3)]
    one.liquidated[4, 0] = 1
    assert (two.cash, two.positions, two.seq) == ([], [], 0)
    assert (two.holdings, two.fund_levels, two.liquidated) == ([], {}, {})


def test_many_small_objects_stay_out_of_the_garbage_collector() -> None:
    # A replay makes millions of positions; the collector would walk them all.
    assert [kind.__struct_config__.gc for kind in (Position, Market, Round)] == [False, False, False]


# ---- Positions by account


def assert_holdings_are_the_positions(state: State) -> None:
    assert len(state.holdings) == len(state.accounts)
    by_market = {(market, account): p for market, book in enumerate(state.positions) for account, p in book.items()}
    by_account = {(market, account): p for account, held in enumerate(state.holdings) for market, p in held.items()}
    assert by_market.keys() == by_account.keys()
    assert all(by_account[key] is position for key, position in by_market.items())


@given(records())
def test_holdings_are_the_same_positions_by_account(events: list[AnyEvent]) -> None:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
        assert_holdings_are_the_positions(state)


@given(records(), st.integers(0, 40))
def test_a_copy_of_a_state_still_holds_each_position_once(events: list[AnyEvent], cut: int) -> None:
    state = State()
    for seq, event in enumerate(events[:cut], 1):
        evolve(state, event, seq)
    for copied in (deepcopy(state), pickle.loads(pickle.dumps(state))):  # noqa: S301  # bytes of our own
        assert_holdings_are_the_positions(copied)
        for seq, event in enumerate(events[cut:], len(events[:cut]) + 1):
            evolve(copied, event, seq)
        assert_holdings_are_the_positions(copied)


# ---- Fund levels


def told(events: list[AnyEvent]) -> dict[int, list[FundLevel]]:
    """Tell the levels of every fund from the states before and after each event, without the reducer's own notes."""
    levels: dict[int, list[FundLevel]] = {}
    state = State()
    for seq, event in enumerate(events, 1):
        before = list(zip(state.cash, (account.role for account in state.accounts), strict=True))
        evolve(state, event, seq)
        for number, account in enumerate(state.accounts):
            cash, role = before[number] if number < len(before) else (None, None)
            if account.role is not Role.FUND:
                continue
            levels.setdefault(number, [])
            paid = isinstance(event, Transfer | InsuranceDraw | Funding) and state.cash[number] != cash
            stated = isinstance(event, Opening) and event.account == number and event.cash is not None
            held = state.holdings[number].values()
            known = state.cash_known[number] and not any(one.unknown & (SIZE_UNKNOWN | ENTRY_UNKNOWN) for one in held)
            if (paid or stated or role is not Role.FUND) and known:
                latest = max([event.at_ns, *(level.at_ns for level in levels[number])])
                levels[number].append(FundLevel(seq, latest, state.cash[number] + sum(one.cost for one in held)))
    return levels


@given(records(max_events=40), st.data())
def test_fund_levels_are_what_the_events_made_them(events: list[AnyEvent], data: st.DataObject) -> None:
    # Accounts become funds and cease to be, at any time.
    accounts = [event for event in events if isinstance(event, AccountOpened) and event.account >= FUND]
    for _ in range(data.draw(st.integers(0, 3))):
        account = data.draw(st.sampled_from([event.account for event in accounts]))
        place = data.draw(st.integers(max(n for n, event in enumerate(events) if event in accounts) + 1, len(events)))
        events.insert(place, opened(account, data.draw(st.sampled_from((Role.FUND, Role.VAULT))), new=False))
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    assert state.fund_levels == told(events)


def test_a_fund_level_follows_every_payment_and_no_trade() -> None:
    fill = Fill(9, 0, 0, 0, FUND, BOB, 100, 1, 7, 0, None, Taker.BUYER, *UNSAID)
    state = after(
        transfer(EXTERNAL, FUND, 50, 1),
        InsuranceDraw(2, 0, 0, FUND, BOB, 20, None, None, None, None),
        fill,
        transfer(ALICE, BOB, 5, 4),
        Funding(5, 0, 0, 0, None, FUND, (Payment(BOB, 3, None), Payment(ALICE, -4, None), Payment(FUND, 10, None))),
        Funding(6, 0, 0, 0, None, FUND, (Payment(BOB, 3, None), Payment(ALICE, -3, None))),
    )
    cost = state.positions[0][FUND].cost
    assert state.fund_levels == {
        FUND: [FundLevel(7, 0, 0), FundLevel(10, 1, 50), FundLevel(11, 2, 30), FundLevel(14, 5, 30 - 7 + 1)]
    }
    assert state.cash[FUND] == 30 - 7 + 1 - cost  # what it paid for the contract is no loss


def test_the_time_of_a_fund_level_does_not_go_back() -> None:
    state = after(transfer(EXTERNAL, FUND, 50, 9), transfer(EXTERNAL, FUND, 50, 3))
    assert state.fund_levels[FUND] == [FundLevel(7, 0, 0), FundLevel(10, 9, 50), FundLevel(11, 9, 100)]


def test_a_fund_whose_entry_is_not_known_has_no_level() -> None:
    unknown = Opening(3, 0, 0, FUND, 80, (OpenPosition(0, 5, None, 0),))
    assert after(unknown, transfer(EXTERNAL, FUND, 50, 9)).fund_levels[FUND] == [FundLevel(7, 0, 0)]


def test_the_levels_of_a_fund_begin_with_its_role_and_with_its_cash() -> None:
    late = opened(7, Role.FUND, new=False)
    state = after(transfer(EXTERNAL, ALICE, 50), opened(ALICE, Role.FUND, new=False), late, transfer(BOB, 7, 5))
    assert (state.fund_levels[ALICE], state.fund_levels[7]) == ([FundLevel(11, 0, 50)], [])
    state = after(late, transfer(BOB, 7, 5), Opening(3, 0, 0, 7, 80, ()), Opening(4, 0, 0, 7, None, ()))
    assert state.fund_levels[7] == [FundLevel(12, 3, 80)]


def test_an_account_that_is_a_fund_no_more_has_no_new_levels() -> None:
    ceased = (opened(FUND, Role.VAULT, new=False), transfer(EXTERNAL, FUND, 50))
    funding = Funding(0, 0, 0, 0, None, FUND, (Payment(BOB, 3, None),))
    assert after(*ceased, funding).fund_levels == {FUND: [FundLevel(7, 0, 0)]}
    again = after(*ceased, opened(FUND, Role.FUND, new=False), opened(FUND, Role.FUND, new=False))
    assert again.fund_levels == {FUND: [FundLevel(7, 0, 0), FundLevel(12, 0, 50)]}


# ---- Last forced closes


def test_the_last_forced_close_on_the_market_is_kept_by_account_and_market() -> None:
    assert after().liquidated == {}
    first, second = liquidation(Method.MARKET, 5), liquidation(Method.MARKET, 8)
    assert after(first, second).liquidated == {(ALICE, 0): 8}
    assert after(first, liquidation(Method.MARKET, 9, BOB)).liquidated == {(ALICE, 0): 5, (BOB, 0): 9}


@pytest.mark.parametrize("method", [method for method in Method if method is not Method.MARKET])
def test_other_methods_are_no_forced_close_on_the_market(method: Method) -> None:
    assert after(liquidation(Method.MARKET, 5), liquidation(method, 9)).liquidated == {(ALICE, 0): 5}


@given(records())
def test_what_is_derived_is_in_no_root(events: list[AnyEvent]) -> None:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    root = state_root(state)
    state.holdings, state.fund_levels, state.liquidated = [], {}, {}
    assert state_root(state) == root
