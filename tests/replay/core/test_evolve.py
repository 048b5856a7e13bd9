"""The reducer: its laws over whole records, a second bookkeeping to compare with, and every rule it refuses by."""

from collections import defaultdict
from copy import deepcopy
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.errors import ReducerError
from events.model import (
    EXTERNAL,
    FEES,
    ROUNDING,
    SEMANTICS,
    UNOBSERVED,
    AccountOpened,
    AdlCandidates,
    AdlClose,
    AdlRound,
    AnyEvent,
    Basis,
    Candidate,
    Completeness,
    Contract,
    Corrected,
    Fill,
    Funding,
    InsuranceDraw,
    Liquidation,
    MarginMode,
    MarginTier,
    MarketListed,
    MarketStatus,
    Method,
    Opening,
    OpenPosition,
    Payment,
    PolicyAdopted,
    PoolBalance,
    PriceRule,
    PriceTick,
    Quarantined,
    Reason,
    Role,
    Settlement,
    SourceClosed,
    SourceOpened,
    StateCommitted,
    Taker,
    Transfer,
)
from replay.core.evolve import evolve
from replay.core.refusals import RULES
from replay.core.state import ENTRY_UNKNOWN, PROFIT_UNKNOWN, SIZE_UNKNOWN, Position, State
from replay.testing.strategies import any_event
from replay.testing.streams import beginning, records

FUND, ALICE, BOB, LATE = 4, 5, 6, 7  # LATE existed before the record
BTC, INV = 0, 1
ROOT = b"\0" * 32
UNSAID = (None, None, None, None, None, None)


def account(number: int, role: Role = Role.USER, *, new: bool = True, name: str = "") -> AccountOpened:
    return AccountOpened(0, 0, 0, number, name or f"a{number}", number, role, MarginMode.CROSS, new, None)


def listing(number: int = BTC, contract: Contract = Contract.LINEAR) -> MarketListed:
    tiers = (MarginTier(0, 10**11, 5 * 10**10),)
    grid = (contract, 2, 3, 1, 0, 1, 1)
    return MarketListed(0, 0, 0, number, f"M{number}", *grid, Basis.AVERAGE, False, tiers, None, MarketStatus.TRADING)


def fill(buyer: int = ALICE, seller: int = BOB, price: int = 100, size: int = 10, market: int = BTC) -> Fill:
    return Fill(0, 0, 0, market, buyer, seller, price, size, 3, -1, 7, Taker.BUYER, *UNSAID)


def liquidation(account: int = ALICE, price: int = 100, market: int = BTC) -> Liquidation:
    trade = (0, 0, 0, market, BOB, ALICE, price, 10, 0, 0, "t", Taker.UNKNOWN, *UNSAID)
    return Liquidation(*trade, account, Method.MARKET, None, None, None)


def settlement(price: int = 100) -> Settlement:
    return Settlement(0, 0, 0, BTC, ALICE, BOB, price, 10, 0, 0, None, Taker.UNKNOWN, *UNSAID)


def adl_round(number: int = 0, loser: int = ALICE, market: int = BTC, size: int | None = -5) -> AdlRound:
    unsaid = (None, None, None, None)
    return AdlRound(0, 0, 0, number, loser, market, size, None, PriceRule.MARK, None, None, None, None, (), *unsaid)


def adl_close(number: int = 0, buyer: int = ALICE, seller: int = BOB, winner: int = BOB, market: int = BTC) -> AdlClose:
    trade = (0, 0, 0, market, buyer, seller, 100, 5, 0, 0, None, Taker.UNKNOWN, *UNSAID)
    return AdlClose(*trade, number, winner, None, None, None)


def candidates(*accounts: int, part: int = 1, parts: int = 1, number: int = 0) -> AdlCandidates:
    return AdlCandidates(0, 0, 0, number, part, parts, tuple(Candidate(each, None, None, None, None) for each in accounts))


def policy(number: int = 0) -> PolicyAdopted:
    return PolicyAdopted(0, 0, 0, number, "p", None, "", "", "", "", "", "", "", "", "", None, "")


def source(number: int = 1, completeness: Completeness = Completeness.UNKNOWN) -> SourceOpened:
    return SourceOpened(0, number, 0, "f", ROOT, ROOT, 1, "test", 1, 1, None, "", completeness)


def closed(number: int = 1) -> SourceClosed:
    return SourceClosed(0, number, 0, 0, 0, ())


def draw(cash: int, account: int = BOB, fund: int = FUND) -> InsuranceDraw:
    return InsuranceDraw(0, 0, 0, fund, account, cash, None, None, None, None)


def opening(account: int = LATE, cash: int | None = None, *positions: OpenPosition) -> Opening:
    return Opening(0, 0, 0, account, cash, positions)


def start() -> list[AnyEvent]:
    users = [account(FUND, Role.FUND), account(ALICE), account(BOB), account(LATE, new=False)]
    return [*beginning(), *users, listing(), listing(INV, Contract.INVERSE)]


def after(*events: AnyEvent) -> State:
    state = State()
    for seq, event in enumerate([*start(), *events], 1):
        evolve(state, event, seq)
    return state


def held(state: State, account: int, market: int = BTC) -> Position:
    return state.positions[market][account]


# ---- Laws over whole records


@given(records())
def test_money_and_contracts_sum_to_zero_after_every_event(events: list[AnyEvent]) -> None:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
        assert state.seq == seq
        assert sum(state.cash) == 0
        assert all(sum(position.size for position in book.values()) == 0 for book in state.positions)


@given(records())
def test_a_second_bookkeeping_agrees(events: list[AnyEvent]) -> None:
    """Sum every account's money and contracts from the events, in exact fractions of the currency, with no reducer."""
    cash: dict[int, int] = defaultdict(int)
    sizes: dict[tuple[int, int], int] = defaultdict(int)
    listings: dict[int, MarketListed] = {}
    for event in events:
        if isinstance(event, MarketListed):
            listings[event.market] = event
        for number, amount in cash_legs(event, listings, cash):
            cash[number] += amount
        for key, size in size_legs(event, sizes):
            sizes[key] += size
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    assert state.cash == [cash[number] for number in range(len(state.accounts))]
    found = {(market, number): p.size for market, book in enumerate(state.positions) for number, p in book.items() if p.size}
    assert found == {key: size for key, size in sizes.items() if size}


def cash_legs(event: AnyEvent, listings: dict[int, MarketListed], cash: dict[int, int]) -> list[tuple[int, int]]:
    match event:
        case Fill() | Liquidation() | AdlClose() | Settlement():
            cost = worth(listings[event.market], event.size, event.price)
            fees = (event.buyer_fee, event.seller_fee)
            return [(event.buyer, -cost - fees[0]), (event.seller, cost - fees[1]), (FEES, sum(fees))]
        case Transfer():
            return [(event.payer, -event.cash), (event.payee, event.cash)]
        case InsuranceDraw():
            return [(event.fund, -event.cash), (event.account, event.cash)]
        case Funding():
            return [leg for p in event.payments for leg in ((p.account, p.cash), (event.against, -p.cash))]
        case Opening(cash=int(level)):
            return [(event.account, level - cash[event.account]), (UNOBSERVED, cash[event.account] - level)]
        case _:
            return []


def size_legs(event: AnyEvent, sizes: dict[tuple[int, int], int]) -> list[tuple[tuple[int, int], int]]:
    match event:
        case Fill() | Liquidation() | AdlClose() | Settlement():
            return [((event.market, event.buyer), event.size), ((event.market, event.seller), -event.size)]
        case Opening():
            unseen = [(p.market, p.size - sizes[p.market, event.account]) for p in event.positions if p.size is not None]
            return [leg for m, size in unseen for leg in (((m, event.account), size), ((m, UNOBSERVED), -size))]
        case _:
            return []


def worth(listed: MarketListed, size: int, price: int) -> int:
    quantity = Fraction(size * listed.multiplier, 10 ** (listed.size_decimals + listed.multiplier_decimals))
    at = Fraction(price, 10**listed.price_decimals)
    value = -quantity / at if listed.contract is Contract.INVERSE else quantity * at
    return round(value * 10**8)  # of a Fraction: exact, halves to even


@given(records(), st.data())
def test_a_refused_event_changes_nothing(events: list[AnyEvent], data: st.DataObject) -> None:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    wrong = data.draw(any_event())
    if data.draw(st.booleans()):
        # The ids of strangers' events are wild; bring some home, so that later checks are reached too.
        near = {"source": 0} | {
            name: data.draw(st.integers(0, 9))
            for name in ("account", "owner", "market", "buyer", "seller", "winner", "loser", "round", "policy", "payer", "fund")
            if hasattr(wrong, name)
        }
        wrong = replace(wrong, **near)
    before = deepcopy(state)
    refused = refusal(state, wrong, len(events) + 1)
    if refused is None:
        assert state.seq == len(events) + 1
    else:
        assert refused.rule in RULES
        assert refused.seq == len(events) + 1
        assert state == before


def refusal(state: State, event: AnyEvent, seq: int) -> ReducerError | None:
    try:
        evolve(state, event, seq)
    except ReducerError as error:
        return error
    return None


@given(records())
def test_unknowns_hang_together(events: list[AnyEvent]) -> None:
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    for book in state.positions:
        for position in book.values():
            if position.unknown & SIZE_UNKNOWN:
                assert position.unknown & ENTRY_UNKNOWN
            elif position.size == 0:
                assert not position.unknown & ENTRY_UNKNOWN
            if position.size == 0 or position.unknown & ENTRY_UNKNOWN:
                assert position.cost == 0


@given(st.permutations([fill(ALICE, BOB, 100, 5), fill(FUND, 8, 7, 3, INV), Transfer(0, 0, 0, 9, 10, 5, Reason.OTHER, None)]))
def test_events_of_strangers_commute(events: list[AnyEvent]) -> None:
    more = [account(number) for number in (8, 9, 10)]
    assert after(*more, *events) == after(
        *more, fill(ALICE, BOB, 100, 5), fill(FUND, 8, 7, 3, INV), Transfer(0, 0, 0, 9, 10, 5, Reason.OTHER, None)
    )


# ---- What each event does


def test_a_fill_moves_contracts_one_way_and_money_the_other() -> None:
    state = after(fill())
    # 0.010 contracts at 1.00 are 0.01, that is 1,000,000 of 10**-8; the seller has a rebate.
    assert (state.cash[ALICE], state.cash[BOB], state.cash[FEES]) == (-1_000_003, 1_000_001, 2)
    assert held(state, ALICE) == Position(10, 1_000_000)
    assert held(state, BOB) == Position(-10, -1_000_000)


def test_a_self_trade_moves_nothing_but_fees() -> None:
    state = after(fill(ALICE, ALICE))
    assert (state.cash[ALICE], state.cash[FEES]) == (-2, 2)
    assert state.positions[BTC] == {}


def test_an_inverse_fill_rounds_once_for_both_sides() -> None:
    state = after(fill(market=INV, price=300, size=1_000))
    assert (state.cash[ALICE], state.cash[BOB]) == (33_333_333 - 3, -33_333_333 + 1)


def test_a_take_over_below_zero_pays_the_buyer() -> None:
    state = after(liquidation(price=-100))
    assert (state.cash[BOB], state.cash[ALICE]) == (1_000_000, -1_000_000)


def test_a_settlement_is_a_trade_to_the_books() -> None:
    state = after(fill(), settlement(0), replace(settlement(0), buyer=BOB, seller=ALICE, buyer_fee=4))
    assert (held(state, ALICE).size, state.cash[FEES]) == (10, 6)


def test_a_close_counts_for_its_round() -> None:
    state = after(fill(BOB, ALICE), adl_round(), adl_close())
    assert (state.rounds[0].closed, state.rounds[0].closes, state.rounds[0].seq) == (5, 1, len(start()) + 2)
    assert (held(state, ALICE).size, held(state, BOB).size) == (-5, 5)


def test_a_close_that_flips_is_booked_as_recorded() -> None:
    state = after(fill(BOB, ALICE, size=2), adl_round(), adl_close())
    assert (held(state, ALICE).size, held(state, BOB).size) == (3, -3)


def test_transfers_draws_and_funding_move_cash() -> None:
    state = after(
        Transfer(0, 0, 0, 0, ALICE, 10**20, Reason.DEPOSIT, "x"),
        InsuranceDraw(0, 0, 0, FUND, BOB, 7, 9, BTC, None, "x"),
        Funding(0, 0, 0, BTC, None, UNOBSERVED, (Payment(ALICE, -5, 3), Payment(BOB, 4, None), Payment(ALICE, -1, None))),
    )
    assert [state.cash[number] for number in (0, UNOBSERVED, FUND, ALICE, BOB)] == [-(10**20), 2, -7, 10**20 - 6, 11]


def test_prices_stay_until_the_next_tick() -> None:
    first, second, oracle = (PriceTick(0, 0, 0, BTC, *prices) for prices in ((100, 99), (101, None), (None, 98)))
    assert [(s.previous_marks[BTC], s.marks[BTC], s.oracles[BTC]) for s in (after(), after(first), after(first, second))] == [
        (0, 0, 0),
        (0, 100, 99),
        (100, 101, 99),
    ]
    state = after(first, second, oracle)
    assert (state.previous_marks, state.marks, state.oracles) == ([100, 0], [101, 0], [98, 0])


def test_candidates_are_kept_in_the_order_of_their_parts() -> None:
    state = after(adl_round(), candidates(BOB, LATE, parts=2), adl_round(1))
    assert (state.rounds[0].candidates, state.rounds[0].part, state.rounds[0].parts) == ([BOB, LATE], 1, 2)
    state = after(adl_round(), candidates(BOB, LATE, parts=2), adl_round(1), candidates(FUND, part=2, parts=2))
    assert (state.rounds[0].candidates, state.rounds[0].part) == ([BOB, LATE, FUND], 2)
    assert (state.rounds[1].candidates, state.rounds[1].parts) == ([], 0)


def test_a_listing_changes_from_there_on() -> None:
    changes = {"tiers": (), "grid_assumed": True, "position_limit": 5, "price_tick": 5, "size_lot": 7}
    state = after(replace(listing(), **changes, status=MarketStatus.CLOSE_ONLY))
    listed = state.markets[BTC].listed
    assert {name: getattr(listed, name) for name in changes} == changes
    assert listed.status is MarketStatus.CLOSE_ONLY
    assert state.markets[BTC].numerator == 1_000


def test_a_role_holds_from_its_event() -> None:
    again = replace(account(BOB, new=False), margin=MarginMode.ISOLATED, adl_exempt=True)
    state = after(account(ALICE, Role.VAULT, new=False), again)
    assert [account.role for account in state.accounts[ALICE : BOB + 1]] == [Role.VAULT, Role.USER]
    assert state.role_since[ALICE : BOB + 1] == [len(start()) + 1, BOB + 2]
    assert (state.accounts[BOB].margin, state.accounts[BOB].adl_exempt) == (MarginMode.ISOLATED, True)


def test_inputs_are_quarantined_once_whatever_their_parts() -> None:
    parts = [Quarantined(0, 0, 0, "r", "", part, 3, b"") for part in (1, 2, 3)]
    assert after(*parts, Quarantined(0, 0, 0, "r", "", 1, 1, b"")).quarantined == 2


def test_what_is_said_about_the_record_changes_nothing() -> None:
    events = (
        source(),
        closed(),
        Corrected(0, 0, 0, 1, "w", "b", 0),
        StateCommitted(0, 0, 0, len(start()) + 3, ROOT, ROOT, SEMANTICS),
        policy(),
    )
    state, bare = after(*events), after()
    assert (state.sources, state.open_sources, len(state.policies)) == (1, {0}, 1)
    assert state.completeness == [Completeness.COMPLETE, Completeness.UNKNOWN]
    state.seq, state.sources, state.policies = bare.seq, 0, []
    state.completeness = bare.completeness
    assert state == bare


# ---- Openings and what is not known


def test_an_opening_sets_levels_against_unobserved() -> None:
    state = after(opening(LATE, 500, OpenPosition(BTC, 10, 12_345, 3)))
    assert (state.cash[LATE], state.cash[UNOBSERVED], state.cash_known[LATE]) == (500, -500, True)
    assert held(state, LATE) == Position(10, 12_345_000)
    assert held(state, UNOBSERVED) == Position(-10, 0, 0, ENTRY_UNKNOWN | PROFIT_UNKNOWN)


def test_an_opening_keeps_what_it_does_not_know_unknown() -> None:
    state = after(opening(LATE, None, OpenPosition(BTC, -10, None, 0), OpenPosition(INV, None, None, 0)))
    assert not state.cash_known[LATE]
    assert held(state, LATE) == Position(-10, 0, 0, ENTRY_UNKNOWN)
    assert held(state, LATE, INV) == Position(unknown=SIZE_UNKNOWN | ENTRY_UNKNOWN)
    assert UNOBSERVED not in state.positions[INV]


def test_a_level_stated_again_is_set_to() -> None:
    state = after(opening(LATE, 500, OpenPosition(BTC, 10, 100, 2)), opening(LATE, 400, OpenPosition(BTC, 4, 100, 2)))
    assert (state.cash[LATE], state.cash[UNOBSERVED]) == (400, -400)
    assert held(state, LATE) == Position(4, 400_000, 0, PROFIT_UNKNOWN)
    assert held(state, UNOBSERVED).size == -4


def test_the_first_trade_of_an_unobserved_account_starts_from_an_unknown_position() -> None:
    state = after(fill(LATE, BOB))
    assert held(state, LATE) == Position(10, 0, 0, SIZE_UNKNOWN | ENTRY_UNKNOWN | PROFIT_UNKNOWN)
    assert held(state, BOB).unknown == 0


def test_where_cash_is_known_a_position_never_stated_is_flat() -> None:
    assert held(after(opening(LATE, 0), fill(LATE, BOB)), LATE) == Position(10, 1_000_000)


def test_a_trade_that_claims_to_start_from_flat_starts_from_flat() -> None:
    first = replace(fill(LATE, BOB), buyer_start_claim=0)
    short = replace(adl_close(buyer=ALICE, seller=LATE, winner=LATE), seller_start_claim=0)
    assert held(after(first), LATE) == Position(10, 1_000_000)
    assert held(after(adl_round(), short), LATE) == Position(-5, -500_000)


def test_an_opening_of_an_account_whose_cash_is_known_starts_from_flat() -> None:
    state = after(opening(ALICE, None, OpenPosition(BTC, 10, 100, 2), OpenPosition(INV, None, None, 0)))
    # Ten contracts that no trade on record bought: some of their profit may be missing too.
    assert held(state, ALICE) == Position(10, 1_000_000, 0, PROFIT_UNKNOWN)
    assert held(state, ALICE, INV).unknown & SIZE_UNKNOWN


@pytest.mark.parametrize(
    ("events", "partial"),
    [
        ((fill(),), False),
        ((source(1, Completeness.COMPLETE), replace(fill(), source=1)), False),
        ((source(1, Completeness.SAMPLED), replace(fill(), source=1)), True),
        ((source(), replace(fill(), source=1)), True),
        ((fill(), source(), replace(fill(), source=1)), False),
        ((fill(LATE, BOB),), True),
        ((replace(fill(LATE, BOB), buyer_start_claim=0),), True),
        ((opening(LATE, None, OpenPosition(BTC, 10, 100, 2)), fill(LATE, BOB)), False),
        ((opening(LATE, 0), fill(LATE, BOB)), False),
        ((source(), replace(opening(LATE, None, OpenPosition(BTC, 10, 100, 2)), source=1)), True),
    ],
)
def test_a_market_is_partial_once_it_may_have_holders_that_are_not_on_record(events: list[AnyEvent], partial: bool) -> None:
    assert after(*events).partial == [partial, False]


def test_a_late_opening_makes_a_traded_position_known() -> None:
    state = after(fill(LATE, BOB), opening(LATE, 0, OpenPosition(BTC, 25, 100, 2)))
    assert held(state, LATE) == Position(25, 2_500_000, 0, PROFIT_UNKNOWN)
    assert held(state, UNOBSERVED).size == -15


# ---- Every rule


HEAD = (0, 0, 0)
INVALID: list[tuple[str, list[AnyEvent]]] = [
    ("beginning", [beginning()[0]]),
    ("semantics", [StateCommitted(*HEAD, len(start()), ROOT, ROOT, SEMANTICS + 1)]),
    ("source", [replace(fill(), source=1)]),
    ("source", [source(2)]),
    ("source", [closed(0)]),
    ("source", [closed(1)]),
    ("source", [source(), closed(), closed()]),
    ("source", [source(), closed(), replace(fill(), source=1)]),
    ("source", [source(), closed(), source(1)]),
    ("account", [account(9)]),
    ("account", [replace(account(8), owner=9)]),
    ("account", [replace(account(ALICE, new=False), owner=8)]),
    ("account", [replace(account(ALICE, new=False), owner=BOB)]),
    ("account", [account(ALICE, new=False, name="other")]),
    ("account", [account(ALICE)]),
    ("role", [account(FEES, Role.USER, new=False, name="fees")]),
    ("role", [account(8, Role.UNOBSERVED)]),
    ("role", [account(8, Role.EXTERNAL)]),
    ("role", [draw(1, fund=ALICE)]),
    ("market", [listing(3)]),
    ("market", [PriceTick(*HEAD, 2, 1, None)]),
    ("market", [fill(market=2)]),
    ("market", [adl_round(market=2)]),
    ("market", [replace(draw(1), market=2)]),
    ("market", [replace(policy(), markets=(BTC, 2))]),
    ("market", [Funding(*HEAD, 2, None, FEES, ())]),
    ("market", [opening(LATE, None, OpenPosition(2, 1, 1, 0))]),
    ("listing", [replace(listing(), symbol="other")]),
    ("listing", [replace(listing(), contract=Contract.QUANTO)]),
    ("listing", [replace(listing(), price_decimals=1)]),
    ("listing", [replace(listing(), size_decimals=1)]),
    ("listing", [replace(listing(), multiplier=2)]),
    ("listing", [replace(listing(), multiplier_decimals=1)]),
    ("listing", [replace(listing(), basis=Basis.AVERAGE_TRUNCATED)]),
    ("listing", [replace(listing(2), multiplier_decimals=4)]),
    ("listing", [replace(listing(2), tiers=(MarginTier(1, 2, 1),))]),
    ("listing", [replace(listing(2), tiers=(MarginTier(0, 2, 1), MarginTier(0, 2, 1)))]),
    ("listing", [replace(listing(2), tiers=(MarginTier(0, 1, 2),))]),
    ("listing", [replace(listing(2, Contract.QUANTO), basis=Basis.AVERAGE_TRUNCATED)]),
    ("listing", [replace(listing(INV, Contract.INVERSE), basis=Basis.AVERAGE_TRUNCATED)]),
    ("policy", [policy(1)]),
    ("policy", [replace(adl_round(), policy=0)]),
    ("account", [fill(ALICE, 8)]),
    ("account", [fill(8, ALICE)]),
    ("account", [Transfer(*HEAD, 8, ALICE, 1, Reason.OTHER, None)]),
    ("account", [Transfer(*HEAD, ALICE, 8, 1, Reason.OTHER, None)]),
    ("account", [draw(1, fund=8)]),
    ("account", [Funding(*HEAD, BTC, None, 8, ())]),
    ("account", [Funding(*HEAD, BTC, None, FEES, (Payment(ALICE, 1, None), Payment(8, 1, None)))]),
    ("account", [opening(8, 1)]),
    ("account", [adl_round(loser=8)]),
    ("account", [replace(adl_round(), pools=(PoolBalance(8, 1),))]),
    ("account", [adl_round(), candidates(ALICE, 8)]),
    ("parties", [Transfer(*HEAD, ALICE, ALICE, 1, Reason.OTHER, None)]),
    ("parties", [draw(1, FUND)]),
    ("parties", [liquidation(FUND)]),
    ("parties", [fill(EXTERNAL)]),
    ("parties", [fill(seller=ROUNDING)]),
    ("parties", [fill(FEES, FEES)]),
    ("parties", [fill(UNOBSERVED), fill(ROUNDING)]),
    ("parties", [fill(), fill(ALICE, FEES)]),
    ("parties", [replace(settlement(), buyer=EXTERNAL)]),
    ("parties", [adl_round(loser=UNOBSERVED)]),
    ("parties", [adl_round(), adl_close(buyer=ALICE, seller=FEES, winner=FEES)]),
    ("parties", [adl_round(), adl_close(winner=FUND)]),
    ("parties", [adl_round(), adl_close(buyer=ALICE, seller=ALICE, winner=ALICE)]),
    ("amount", [Transfer(*HEAD, ALICE, BOB, 0, Reason.OTHER, None)]),
    ("amount", [Transfer(*HEAD, ALICE, BOB, -1, Reason.OTHER, None)]),
    ("amount", [draw(0)]),
    ("amount", [adl_round(size=0)]),
    ("round", [adl_round(1)]),
    ("round", [adl_close()]),
    ("round", [adl_round(), adl_close(winner=ALICE)]),
    ("round", [adl_round(), adl_close(market=INV)]),
    ("round", [replace(draw(1), round=0)]),
    ("round", [candidates(BOB)]),
    ("round", [adl_round(), candidates(BOB, part=2, parts=2)]),
    ("round", [adl_round(), candidates(BOB, part=2, parts=1)]),
    ("round", [adl_round(), candidates(BOB), candidates(ALICE)]),
    ("round", [adl_round(), candidates(BOB), candidates(ALICE, part=2)]),
    ("round", [adl_round(), candidates(BOB, parts=2), candidates(ALICE, part=2, parts=3)]),
    ("round", [adl_round(), candidates(BOB, BOB)]),
    ("round", [adl_round(), candidates(BOB, parts=2), candidates(BOB, part=2, parts=2)]),
    ("opening", [opening(UNOBSERVED, 1)]),
    ("opening", [opening(EXTERNAL, 1)]),
    ("opening", [opening(ROUNDING)]),
    ("opening", [opening(LATE, 1, OpenPosition(BTC, 1, 1, 0), OpenPosition(BTC, 2, 1, 0))]),
    ("price", [liquidation(price=0, market=INV)]),
    ("price", [opening(LATE, 1, OpenPosition(BTC, 1, 1, 0), OpenPosition(INV, 1, 0, 0))]),
    ("reference", [Quarantined(*HEAD, "r", "", 2, 1, b"")]),
    ("price", [PriceTick(*HEAD, BTC, None, None)]),
    ("reference", [Corrected(*HEAD, len(start()) + 1, "w", "b", 0)]),
    ("reference", [replace(adl_round(), as_of=len(start()) + 1)]),
    ("reference", [replace(adl_round(), cause=len(start()) + 1)]),
    ("reference", [StateCommitted(*HEAD, len(start()) - 1, ROOT, ROOT, SEMANTICS)]),
    ("reference", [StateCommitted(*HEAD, len(start()) + 1, ROOT, ROOT, SEMANTICS)]),
]


@pytest.mark.parametrize(("rule", "events"), INVALID, ids=lambda value: value if isinstance(value, str) else "")
def test_the_last_event_is_refused_by_its_rule_and_changes_nothing(rule: str, events: list[AnyEvent]) -> None:
    state = after(*events[:-1])
    before = deepcopy(state)
    with pytest.raises(ReducerError) as refused:
        evolve(state, events[-1], state.seq + 1)
    assert (refused.value.rule, refused.value.seq) == (rule, state.seq + 1)
    assert state == before


@pytest.mark.parametrize("step", [0, 2])
def test_events_are_applied_in_sequence(step: int) -> None:
    state = after()
    with pytest.raises(ReducerError) as refused:
        evolve(state, fill(), state.seq + step)
    assert refused.value.rule == "sequence"


@pytest.mark.parametrize("seq", [1, 2, 3, 5])
@pytest.mark.parametrize("wrong", [fill(), account(5), beginning()[0]])
def test_a_ledger_begins_in_one_way(seq: int, wrong: AnyEvent) -> None:
    state = State()
    for number, event in enumerate(beginning()[: seq - 1], 1):
        evolve(state, event, number)
    if seq == 1 and wrong == beginning()[0]:
        wrong = beginning()[1]
    with pytest.raises(ReducerError) as refused:
        evolve(state, wrong, seq)
    assert refused.value.rule == "beginning"


def test_a_reserved_account_comes_into_being_with_the_ledger() -> None:
    state = State()
    evolve(state, beginning()[0], 1)
    wrong = beginning()[1]
    assert isinstance(wrong, AccountOpened)
    with pytest.raises(ReducerError, match="comes into being"):
        evolve(state, replace(wrong, new=False), 2)


def test_another_semantics_version_is_refused() -> None:
    opened = beginning()[0]
    with pytest.raises(ReducerError) as refused:
        evolve(State(), replace(opened, semantics=SEMANTICS + 1), 1)
    assert refused.value.rule == "semantics"


def test_every_rule_is_tested() -> None:
    assert {rule for rule, _ in INVALID} | {"sequence"} == set(RULES)
