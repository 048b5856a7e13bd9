from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.model import (
    UNOBSERVED,
    AccountOpened,
    AdlRound,
    Basis,
    Completeness,
    Contract,
    Event,
    Fill,
    LedgerOpened,
    MarginMode,
    MarketListed,
    MarketStatus,
    Opening,
    OpenPosition,
    PolicyAdopted,
    PriceRule,
    Reason,
    Role,
    Settlement,
    SourceClosed,
    SourceOpened,
    Taker,
    Transfer,
)
from events.sources.book import TRADES_WINDOW_NS, Book
from events.units import INT64_MIN


def account(number: int, name: str) -> AccountOpened:
    return AccountOpened(0, 1, 1, number, name, number, Role.USER, MarginMode.UNKNOWN, new=False, adl_exempt=None)


def listing(number: int, symbol: str) -> MarketListed:
    grid = (Contract.LINEAR, 2, 4, 1, 0, 1, 1)
    return MarketListed(0, 1, 1, number, symbol, *grid, Basis.AVERAGE, True, (), None, MarketStatus.UNKNOWN)


def fill(at_ns: int, buyer: int, seller: int, size: int, trade: int | str | None, source: int = 1) -> Fill:
    unsaid = (None, None, None, None, None, None)
    return Fill(at_ns, source, 1, 0, buyer, seller, 5, size, 0, 0, trade, Taker.BUYER, *unsaid)


def opening(number: int, size: int | None) -> Opening:
    return Opening(0, 1, 1, number, None, (OpenPosition(0, size, None, 0),))


def booked(*events: Event) -> Book:
    book = Book()
    for event in events:
        book.observe(event)
    return book


def test_ids_are_dense_and_found_by_name() -> None:
    book = booked(account(0, "external"), account(1, "b"), listing(0, "BTC"))
    assert (book.next_account, book.next_market, book.next_round, book.next_policy, book.next_source) == (2, 1, 0, 0, 1)
    assert (book.account("b"), book.account("c"), book.account_name(1)) == (1, None, "b")
    assert (book.market("BTC"), book.market("ETH"), book.listed(0).symbol) == (0, None, "BTC")


def test_a_role_or_listing_stated_again_replaces_the_one_before() -> None:
    again = AccountOpened(1, 1, 2, 0, "a", 0, Role.VAULT, MarginMode.CROSS, new=False, adl_exempt=None)
    relisted = replace(listing(0, "BTC"), row=2, position_limit=9)
    book = booked(account(0, "a"), listing(0, "BTC"), again, relisted)
    assert (book.next_account, book.account("a"), book.next_market) == (1, 0, 1)
    assert book.listed(0) is relisted


def test_a_size_is_unknown_until_seen_and_follows_trades() -> None:
    book = Book()
    assert book.size(4, 0) is None
    for event in (opening(4, -7), fill(1, 4, 5, 10, 1)):
        book.observe(event)
    assert (book.size(4, 0), book.size(5, 0), book.size(4, 1)) == (3, -10, None)
    book.observe(opening(4, None))
    assert book.size(4, 0) is None


def test_the_rest_of_the_venue_has_no_size() -> None:
    book = booked(Settlement(1, 1, 1, 0, UNOBSERVED, 5, 5, 3, 0, 0, None, Taker.UNKNOWN, None, None, None, None, None, None))
    assert (book.size(UNOBSERVED, 0), book.size(5, 0)) == (None, -3)


def test_the_trades_of_the_latest_time_are_remembered() -> None:
    at, window = 5 * TRADES_WINDOW_NS, TRADES_WINDOW_NS
    book = booked(fill(at, 4, 5, 1, 11), fill(at, 4, 5, 1, 12), fill(at - 1, 4, 5, 1, 13))
    assert (book.trades_at_ns, book.trades_source, book.trades) == (at, 1, {11, 12})
    book.observe(fill(at + window, 4, 5, 1, 14, source=2))
    assert (book.trades_at_ns, book.trades_source, book.trades) == (at + window, 2, {14})
    for trade in ("a", None, "b"):
        book.observe(fill(at + window, 4, 5, 1, trade, source=3))
    assert (book.trades_at_ns, book.trades_source, book.trades) == (at + window, 3, {14, "a", "b"})


def test_trade_ids_are_remembered_for_their_millisecond() -> None:
    book = booked(fill(10**6 + 9, 4, 5, 1, 11), fill(10**6 + 20, 4, 5, 1, 12, source=2), fill(10**6, 4, 5, 1, 13, source=3))
    assert (book.trades_at_ns, book.trades_source, book.trades) == (10**6 + 20, 2, {11, 12, 13})


def test_trades_before_1970_are_remembered() -> None:
    assert booked(fill(-(10**9), 4, 5, 1, 11)).trades == {11}


def test_the_latest_time_is_of_any_event_that_states_one() -> None:
    book = booked(account(0, "a"))
    assert book.latest_ns == INT64_MIN
    for at_ns, latest in ((-7, -7), (-9, -7), (0, -7), (3, 3), (2, 3)):
        book.observe(Transfer(at_ns, 1, 1, 0, 4, 9, Reason.DEPOSIT, None))
        assert book.latest_ns == latest


def test_residuals_do_not_stand_for_cash_of_a_source() -> None:
    book = booked(Transfer(5, 1, 1, 0, 4, 9, Reason.RESIDUAL, None))
    assert (book.cash_at_ns, book.cash_source) == (INT64_MIN, 0)
    book.observe(Transfer(5, 2, 1, 0, 4, 9, Reason.DEPOSIT, None))
    assert (book.cash_at_ns, book.cash_source) == (5, 2)


def test_sources_policies_and_rounds_are_counted() -> None:
    opened = LedgerOpened(0, 0, 0, "v", "USD", 6, 1)
    policy = PolicyAdopted(0, 0, 0, 0, "p", None, "", "", "", "", "", "", "", "", "", None, "")
    unsaid = (None, None, None, None)
    adl_round = AdlRound(0, 1, 1, 0, 4, 7, None, None, PriceRule.UNKNOWN, None, None, None, None, (), *unsaid)
    book = booked(
        opened,
        SourceOpened(0, 1, 0, "f", b"a" * 32, b"b" * 32, 9, "x", 1, None, None, "", Completeness.UNKNOWN),
        policy,
        adl_round,
        SourceClosed(0, 1, 0, 0, 0, ()),
    )
    assert book.opened is opened
    assert (book.sources, book.closed) == ({b"b" * 32: 1}, {1})
    assert (book.next_source, book.next_policy, book.next_round) == (2, 1, 1)
    assert book.round_market(0) == 7


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(4, 6), st.integers(1, 9), st.booleans()), max_size=30))
def test_the_same_events_make_the_same_book(steps: list[tuple[int, int, int, bool]]) -> None:
    events = [opening(who, size) if stated else fill(at, who, who + 1, size, at * size) for at, who, size, stated in steps]
    half = len(events) // 2
    halted = booked(*events[:half])
    assert halted == booked(*events[:half])
    for event in events[half:]:
        halted.observe(event)
    assert halted == booked(*events)
    sizes = {who: halted.size(who, 0) or 0 for who in range(4, 8)}
    if not any(stated for *_, stated in steps):
        assert sum(sizes.values()) == 0
