"""The interchange format: every event has one line, every line of the same meaning reads as the same event."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from events.codec import encode
from events.errors import BadInputError, InternalError
from events.model import (
    EVENTS,
    FIRST_FREE_ACCOUNT,
    RESERVED_ACCOUNTS,
    SEMANTICS,
    AccountOpened,
    AdlCandidates,
    AdlRound,
    Basis,
    Contract,
    Event,
    Fill,
    LedgerOpened,
    MarginMode,
    MarginTier,
    MarketListed,
    MarketStatus,
    Part,
    Reason,
    Role,
    Taker,
    Transfer,
)
from events.sources.book import Book
from events.sources.interchange import UNITS, Unit, fields_of, read_line, write_line

GOLDEN = Path(__file__).parents[2] / "golden" / "interchange.jsonl"

OPENED = LedgerOpened(0, 0, 0, "venue", "USD", 8, SEMANTICS)
MARKET = MarketListed(
    0, 0, 0, 0, "BTC", Contract.LINEAR, 1, 5, 1, 0, 1, 1, Basis.AVERAGE, False, (), None, MarketStatus.TRADING
)
FILL = Fill(
    1_760_130_964_831_000_000, 1, 7, 0, 4, 5, 1_000_005, 250_000, 45_000_000, -1, 9, Taker.BUYER, 3, "o-4", None, -250_000,
    10**20, None,
)  # fmt: skip


def account(number: int, name: str) -> AccountOpened:
    return AccountOpened(0, 0, 0, number, name, number, Role.USER, MarginMode.CROSS, True, None)


def reserved() -> list[Event]:
    return [AccountOpened(0, 0, 0, n, name, n, role, MarginMode.UNKNOWN, True, None) for n, name, role in RESERVED_ACCOUNTS]


def book_of(*events: Event) -> Book:
    book = Book()
    for event in events:
        book.observe(event)
    return book


def small_book() -> Book:
    return book_of(OPENED, *reserved(), account(4, "alice"), account(5, "bob"), MARKET)


# Streams in which every event may follow, made from the types alone, so that a new event type is tested without new code.


def whole(kind: inspect.IntType) -> st.SearchStrategy[int]:
    return st.integers(-(2**63) if kind.ge is None else kind.ge, 2**63 - 1 if kind.le is None else kind.le)


def values(name: str, kind: inspect.Type, book: Book) -> st.SearchStrategy[Any]:  # noqa: PLR0911  # one case per type
    match kind:
        case inspect.UnionType():
            parts = [part for part in kind.types if not isinstance(part, inspect.NoneType)]
            some: st.SearchStrategy[Any] = st.one_of([values(name, part, book) for part in parts])
            if {inspect.IntType, inspect.BytesType} <= {type(part) for part in parts}:  # a wide amount
                some = st.integers(-(2**127), 2**127 - 1)
            return st.none() | some if len(parts) < len(kind.types) else some
        case inspect.IntType() if UNITS[name] is Unit.ACCOUNT:
            return st.integers(0, book.next_account - 1)
        case inspect.IntType() if UNITS[name] is Unit.MARKET:
            return st.integers(0, book.next_market - 1)
        case inspect.IntType():
            return whole(kind)
        case inspect.EnumType():
            return st.sampled_from(list(kind.cls))
        case inspect.StrType():
            return st.text(min_size=kind.min_length or 0, max_size=12)
        case inspect.BytesType():
            return st.binary(min_size=kind.min_length or 0, max_size=32)
        case inspect.BoolType():
            return st.booleans()
        case inspect.VarTupleType():
            return st.lists(values(name, kind.item_type, book), max_size=2).map(tuple)
        case inspect.StructType():
            return structs(kind.cls, book)
        case _:
            raise AssertionError(kind)


def structs(kind: type[msgspec.Struct], book: Book) -> st.SearchStrategy[Any]:
    fields = msgspec.structs.fields(kind)
    return st.builds(kind, **{field.name: values(field.name, inspect.type_info(field.type), book) for field in fields})


def next_event(kind: type[Event], book: Book) -> st.SearchStrategy[Event]:
    if kind is AccountOpened:
        names = dict(enumerate([*book.names, f"new account {book.next_account}"]))
        owners = st.integers(0, book.next_account)
        return st.sampled_from(sorted(names)).flatmap(
            lambda n: st.builds(
                lambda event, owner: msgspec.structs.replace(
                    event, account=n, name=names[n], owner=min(owner, max(n, book.next_account - 1))
                ),
                structs(AccountOpened, book),
                owners,
            )
        )
    if kind is MarketListed:
        symbols = dict(enumerate([*[m.symbol for m in book.listings], f"new market {book.next_market}"]))
        return st.sampled_from(sorted(symbols)).flatmap(
            lambda n: structs(MarketListed, book).map(lambda event: msgspec.structs.replace(event, market=n, symbol=symbols[n]))
        )
    if kind is AdlCandidates:
        if not book.next_round:
            return structs(AdlRound, book)
        rounds = st.integers(0, book.next_round - 1)
        return st.builds(lambda event, number: msgspec.structs.replace(event, round=number), structs(kind, book), rounds)
    return structs(kind, book)


@st.composite
def streams(draw: Callable[[st.SearchStrategy[Any]], Any]) -> list[Event]:
    events: list[Event] = [OPENED, *reserved(), MARKET]
    book = book_of(*events)
    for kind in draw(st.lists(st.sampled_from([k for k in EVENTS.values() if k is not LedgerOpened]), max_size=12)):
        events.append(draw(next_event(kind, book)))
        book.observe(events[-1])
    return events


def written(events: list[Event]) -> list[bytes]:
    book, lines = Book(), []
    for seq, event in enumerate(events, 1):
        lines.append(write_line(seq, event, book))
        book.observe(event)
    return lines


def read(lines: list[bytes]) -> list[Event]:
    book, events = Book(), list[Event]()
    for row, line in enumerate(lines, 1):
        seq, event = read_line(line, book, file="f", row=row)
        assert seq == row
        events.append(event)
        book.observe(event)
    return events


@given(streams())
@settings(max_examples=200, deadline=None)
def test_events_read_back_as_they_were_written(events: list[Event]) -> None:
    lines = written(events)
    again = read(lines)
    assert [encode(event) for event in again] == [encode(event) for event in events]
    assert written(again) == lines


@given(streams(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_another_spelling_of_the_same_meaning_reads_as_the_same_event(events: list[Event], random: Any) -> None:
    def other(value: Any) -> Any:
        if isinstance(value, dict):
            items = [(key, other(part)) for key, part in value.items()]
            random.shuffle(items)
            return dict(items)
        return [other(part) for part in value] if isinstance(value, list) else value

    lines = written(events)
    respelled = [json.dumps(other(json.loads(line)), indent=1).replace("\n", " ").encode() for line in lines]
    assert read(respelled) == events


@pytest.mark.parametrize("kind", [*EVENTS.values(), *Part.__subclasses__()])
def test_every_field_has_a_unit_or_a_plain_type(kind: type[msgspec.Struct]) -> None:
    for field in fields_of(kind):
        assert [field.unit, field.words, field.part, field.plain].count(None) == 3


def test_a_field_without_a_unit_is_named() -> None:
    class Strange(Event, frozen=True, tag=99):
        parsecs: int

    with pytest.raises(InternalError, match=r"Strange\.parsecs"):
        fields_of(Strange)


def test_no_unit_is_stale() -> None:
    kinds = [*EVENTS.values(), *Part.__subclasses__()]
    assert set(UNITS) <= {field.name for kind in kinds for field in msgspec.structs.fields(kind)}


def test_the_golden_file_reads_and_is_written_again() -> None:
    golden = GOLDEN.read_bytes().splitlines(keepends=True)
    events = read(golden)
    assert {type(event) for event in events} == set(EVENTS.values())
    assert written(events) == golden


def test_a_line_as_it_looks() -> None:
    assert json.loads(write_line(8, FILL, small_book())) == {
        "seq": 8, "event": "Fill", "at": "2025-10-10T21:16:04.831000000Z", "source": 1, "row": 7, "market": "BTC",
        "buyer": "alice", "seller": "bob", "price": "100000.5", "size": "2.5", "buyer_fee": "0.45", "seller_fee": "-0.00000001",
        "trade": 9, "taker": "buyer", "buyer_order": 3, "seller_order": "o-4", "buyer_start_claim": None,
        "seller_start_claim": "-2.5", "buyer_profit_claim": "1000000000000", "seller_profit_claim": None,
    }  # fmt: skip


def test_text_is_utf8_without_needless_escapes() -> None:
    line = write_line(8, account(6, 'Zoë\u2028"\\\n\x7f'), small_book())
    assert 'Zoë\u2028\\"\\\\\\n\x7f'.encode() in line
    assert line.count(b"\n") == 1


def changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(write_line(8, FILL, small_book())) | changes).encode()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"price": "1.00"}, None),
        ({"price": "100000.50"}, None),
        ({"size": "2.500000000"}, None),
        ({"at": "2025-10-10T21:16:04.831Z"}, None),
        ({"price": 100000}, "price"),
        ({"price": 1.5}, "1.5"),
        ({"price": "1e5"}, "price"),
        ({"price": "1.05"}, "price"),
        ({"price": None}, "price"),
        ({"price": "0"}, "price"),
        ({"size": "-1"}, "size"),
        ({"size": "99999999999999999999"}, "size"),
        ({"trade": "9"}, None),
        ({"trade": None}, None),
        ({"trade": ""}, "trade"),
        ({"trade": "9" * 65}, "trade"),
        ({"trade": [9]}, "trade"),
        ({"trade": True}, "trade"),
        ({"trade": -1}, "trade"),
        ({"taker": "Buyer"}, "taker"),
        ({"taker": "\u017feller"}, "taker"),
        ({"taker": 1}, "taker"),
        ({"buyer": "carol"}, "buyer"),
        ({"buyer": 4}, "buyer"),
        ({"market": "ETH"}, "market"),
        ({"market": ["BTC"]}, "market"),
        ({"at": "2025-10-10T21:16:04.831"}, "at"),
        ({"at": "2025-02-30T00:00:00Z"}, "at"),
        ({"at": 0}, "at"),
        ({"at": "9999-01-01T00:00:00Z"}, "at"),
        ({"seq": "8"}, "seq"),
        ({"seq": 0}, "seq"),
        ({"event": "Fil"}, "event"),
        ({"event": ["Fill"]}, "event"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_a_line_may_say(changes: dict[str, Any], field: str | None) -> None:
    if field is None:
        seq, event = read_line(changed(**changes), small_book(), file="f", row=8)
        assert (seq, type(event)) == (8, Fill)
        return
    with pytest.raises(BadInputError, match=field) as caught:
        read_line(changed(**changes), small_book(), file="some.jsonl", row=8)
    assert (caught.value.file, caught.value.row) == ("some.jsonl", 8)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"{}", "seq"),
        (b'{"seq":8,"seq":8}', "twice"),
        (b'{"seq":NaN}', "NaN"),
        (b'{"seq":1.0}', "1.0"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"seq":' + b"9" * 5_000 + b"}", "not JSON"),
        (b'{"seq":8,"event":"Transfer","at":"2025-10-10T00:00:00Z","source":0,"row":0,"payer":"alice"}', "lacks cash, payee"),
    ],
)
def test_what_is_no_line(line: bytes, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        read_line(line, small_book(), file="f", row=8)


def test_a_hostile_grid_makes_no_huge_number() -> None:
    line = write_line(8, msgspec.structs.replace(MARKET, market=1, symbol="ETH", position_limit=5), small_book())
    with pytest.raises(BadInputError, match="size_decimals"):
        read_line(line.replace(b'"size_decimals":5', b'"size_decimals":999999999'), small_book(), file="f", row=8)


def test_an_amount_needs_a_ledger() -> None:
    tier = msgspec.structs.replace(MARKET, tiers=(MarginTier(1, 2, 3),))
    with pytest.raises(BadInputError, match="grid"):
        write_line(1, tier, Book())


@pytest.mark.parametrize(
    "event", [account(7, "carol"), account(4, "carol"), account(5, "alice"), msgspec.structs.replace(MARKET, market=1)]
)
def test_ids_that_the_order_of_names_does_not_give_have_no_line(event: Event) -> None:
    with pytest.raises(BadInputError, match="its order does not"):
        write_line(8, event, small_book())


def test_an_account_that_was_not_opened_has_no_line() -> None:
    transfer = Transfer(0, 0, 0, FIRST_FREE_ACCOUNT + 9, 4, 1, Reason.DEPOSIT, None)
    with pytest.raises(BadInputError, match="not opened"):
        write_line(8, transfer, small_book())


def test_candidates_of_a_round_that_has_not_begun_have_no_line() -> None:
    listed = AdlCandidates(0, 0, 0, 0, 1, 1, ())
    with pytest.raises(BadInputError, match="not opened"):
        write_line(8, listed, small_book())
    head = b'{"seq":8,"event":"AdlCandidates","at":"2025-10-10T00:00:00Z","source":0,"row":0,'
    line = head + b'"round":%s,"part":1,"parts":1,"candidates":[]}'
    for wrong in (b"0", b"-1", b'"0"', b"null", b"true"):
        with pytest.raises(BadInputError, match="round"):
            read_line(line % wrong, small_book(), file="f", row=8)


def test_an_account_may_be_its_own_owner_or_another_s() -> None:
    own = json.loads(write_line(8, account(6, "carol"), small_book()))
    other = json.loads(write_line(8, msgspec.structs.replace(account(6, "carol"), owner=4), small_book()))
    assert (own["owner"], other["owner"]) == ("carol", "alice")
    assert "account" not in own
