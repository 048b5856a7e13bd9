import math
from contextlib import suppress

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from events.codec import check, decode, encode, wide_bytes
from events.errors import EventDecodeError, EventEncodeError
from events.model import (
    CANDIDATES_MAX,
    EVENT_BYTES_MAX,
    EVENTS,
    PAYMENTS_MAX,
    RAW_BYTES_MAX,
    AdlCandidates,
    AnyEvent,
    Candidate,
    Event,
    Fill,
    Funding,
    Opening,
    OpenPosition,
    Payment,
    PolicyAdopted,
    PriceTick,
    Quarantined,
    Reason,
    SourceClosed,
    Taker,
    Tally,
    Transfer,
)
from events.units import INT64_MAX, INT64_MIN
from replay.testing.strategies import WIDE_MAX, WIDE_MIN, any_event, event_of

TICK = PriceTick(7, 0, 0, 1, 2, 3)


def spell(*fields: object) -> bytes:
    return msgspec.msgpack.encode(fields)


@pytest.mark.parametrize("kind", EVENTS.values(), ids=lambda kind: kind.__name__)
def test_every_type_reads_back_as_it_was_made(kind: type[Event]) -> None:
    @given(event_of(kind))
    def reads_back(event: Event) -> None:
        raw = encode(event)
        assert decode(raw) == event
        assert check(raw) == event
        assert type(decode(raw)) is kind

    reads_back()


@given(any_event(), any_event())
def test_two_events_have_the_same_bytes_only_when_they_are_equal(one: AnyEvent, other: AnyEvent) -> None:
    assert (encode(one) == encode(other)) is (one == other)


@given(any_event(), st.data())
def test_changed_bytes_are_an_event_in_canonical_form_or_refused(event: AnyEvent, data: st.DataObject) -> None:
    raw = bytearray(encode(event))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    refused_or_canonical(bytes(raw))


@given(any_event(), st.data())
def test_cut_or_joined_bytes_are_refused(event: AnyEvent, data: st.DataObject) -> None:
    raw = encode(event)
    for wrong in (raw[: data.draw(st.integers(0, len(raw) - 1))], raw + data.draw(st.binary(min_size=1, max_size=9))):
        with pytest.raises(EventDecodeError):
            check(wrong)


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xc1")
def test_any_bytes_are_an_event_in_canonical_form_or_refused(raw: bytes) -> None:
    refused_or_canonical(raw)


@given(
    st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(), st.lists)
)
def test_any_msgpack_is_an_event_in_canonical_form_or_refused(value: object) -> None:
    refused_or_canonical(msgspec.msgpack.encode(value))


def refused_or_canonical(raw: bytes) -> None:
    try:
        event = check(raw)
    except EventDecodeError:
        pass
    else:
        assert encode(event) == raw
    # The trusting reader may accept another spelling, but it raises nothing else either.
    with suppress(EventDecodeError):
        decode(raw)


@pytest.mark.parametrize(
    ("wrong", "raw"),
    [
        ("an over-long integer", b"\x97\x09\xcc\x07" + encode(TICK)[3:]),
        ("an over-long array", b"\xdc\x00\x07" + encode(TICK)[1:]),
        ("a missing trailing field", spell(9, 7, 0, 0, 1, 2)),
        ("a missing field of many", spell(4, 7, 0, 0, 4, "a", 4, 0, 1, True)),
        ("an extra field", spell(9, 7, 0, 0, 1, 2, 3, 4)),
        ("trailing bytes", encode(TICK) + b"\x00"),
        ("two events", encode(TICK) * 2),
        ("an unknown tag", spell(21, 7, 0, 0, 1, 2, 3)),
        ("the tag 0", spell(0, 7, 0, 0)),
        ("a tag below zero", spell(-1, 7, 0, 0)),
        ("a tag as text", spell("PriceTick", 7, 0, 0, 1, 2, 3)),
        ("no tag", spell()),
        ("a map", msgspec.msgpack.encode({"type": 9})),
        ("a price of zero", spell(9, 7, 0, 0, 1, 0, None)),
        ("a price below zero", spell(9, 7, 0, 0, 1, -2, None)),
        ("an id of 33 bits", spell(9, 7, 0, 0, 2**32, 2, None)),
        ("a time of 64 unsigned bits", spell(9, 2**63, 0, 0, 1, 2, None)),
        ("a row below zero", spell(9, 7, 0, -1, 1, 2, None)),
        ("a float for an integer", spell(9, 7.0, 0, 0, 1, 2, None)),
        ("a boolean for an integer", spell(9, True, 0, 0, 1, 2, None)),
        ("text for an integer", spell(9, "7", 0, 0, 1, 2, None)),
        ("an integer for a boolean", spell(4, 7, 0, 0, 4, "a", 4, 0, 1, 1, None)),
        ("an unknown role", spell(4, 7, 0, 0, 4, "a", 4, 99, 1, True, None)),
        ("an empty name", spell(4, 7, 0, 0, 4, "", 4, 0, 1, True, None)),
        ("bytes for a name", spell(4, 7, 0, 0, 4, b"a", 4, 0, 1, True, None)),
        ("bad UTF-8", encode(Transfer(7, 0, 0, 4, 5, 6, Reason.FEE, "ab")).replace(b"\xa2ab", b"\xa2\xff\xfe")),
        ("half a surrogate pair", encode(Transfer(7, 0, 0, 4, 5, 6, Reason.FEE, "abc")).replace(b"abc", b"\xed\xa0\x80")),
        ("a hash of 31 bytes", spell(19, 7, 0, 0, 9, bytes(31), bytes(32), 1)),
        ("nesting without end", b"\x91" * 60_000),
        ("nesting inside a field", b"\x97\x09\x07\x00\x00" + b"\x91" * 60_000),
        ("a length that is not there", b"\xdd\xff\xff\xff\xff"),
        ("a text length that is not there", b"\x98\x08\x07\x00\x00\x04\x05\x06\xdb\xff\xff\xff\xff"),
        ("an extension type", msgspec.msgpack.encode(msgspec.msgpack.Ext(9, b"x"))),
        ("a wide amount that is not wide", spell(8, 7, 0, 0, 4, 5, (5).to_bytes(9, "big"), 6, None)),
        ("a wide amount with a spare byte", spell(8, 7, 0, 0, 4, 5, (2**64).to_bytes(10, "big"), 6, None)),
        ("a wide amount of 17 bytes", spell(8, 7, 0, 0, 4, 5, (2**128).to_bytes(17, "big"), 6, None)),
        ("a wide amount of 8 bytes", spell(8, 7, 0, 0, 4, 5, (5).to_bytes(8, "big"), 6, None)),
        ("a wide amount as an unsigned integer", spell(8, 7, 0, 0, 4, 5, 2**63, 6, None)),
        (
            "a wide amount with a long length",
            b"\x98\x08\x07\x00\x00\x04\x05\xc5\x00\x09" + (2**64).to_bytes(9, "big") + b"\x06\xc0",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_the_one_spelling_is_refused(wrong: str, raw: bytes) -> None:
    with pytest.raises(EventDecodeError) as caught:
        check(raw, seq=12)
    assert caught.value.seq == 12, wrong


def test_bytes_over_the_limit_are_refused_unread() -> None:
    with pytest.raises(EventDecodeError, match="65,536 bytes is over the limit"):
        check(bytes(EVENT_BYTES_MAX + 1))


def test_an_event_over_the_limit_is_refused_and_one_at_the_limit_is_not() -> None:
    tallies = [Tally(f"{number:0255}", 1) for number in range(252)]

    def closed(last_name: int) -> SourceClosed:
        return SourceClosed(0, 1, 0, 0, 0, (*tallies, Tally("x" * last_name, 1)))

    room = EVENT_BYTES_MAX - len(encode(closed(100)))
    assert len(encode(closed(100 + room))) == EVENT_BYTES_MAX
    with pytest.raises(EventEncodeError, match=r"65,536 bytes.*Split it"):
        encode(closed(101 + room))


def test_what_a_type_allows_at_most_fits_into_an_event() -> None:
    payments = tuple(Payment(2**32 - 1, WIDE_MIN, INT64_MIN) for _ in range(PAYMENTS_MAX))
    assert len(encode(Funding(INT64_MIN, 2**32 - 1, INT64_MAX, 2**32 - 1, INT64_MIN, 2**32 - 1, payments))) <= EVENT_BYTES_MAX
    candidate = Candidate(2**32 - 1, INT64_MIN, WIDE_MIN, INT64_MIN, "-" + "9" * 20)
    candidates = (candidate,) * CANDIDATES_MAX
    ranked = AdlCandidates(INT64_MIN, 2**32 - 1, INT64_MAX, 2**32 - 1, INT64_MAX, INT64_MAX, candidates)
    assert len(encode(ranked)) <= EVENT_BYTES_MAX
    raw, text, name = b"\xff" * RAW_BYTES_MAX, "\U0010ffff" * 4096, "\U0010ffff" * 256
    assert len(encode(Quarantined(INT64_MIN, 2**32 - 1, INT64_MAX, name, text, INT64_MAX, INT64_MAX, raw))) <= EVENT_BYTES_MAX


def policy(text: str) -> PolicyAdopted:
    return PolicyAdopted(0, 0, 0, 0, "p", None, text, "", "", "", "", "", "", "", "", None, "")


def fill(trade: int | str | None) -> Fill:
    return Fill(0, 0, 0, 0, 4, 5, 1, 1, 0, 0, trade, Taker.UNKNOWN, None, None, None, None, None, None)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(PriceTick(0, 0, 0, 1, 0, None), id="below its range"),
        pytest.param(PriceTick(2**63, 0, 0, 1, 1, None), id="a time over 64 bits"),
        pytest.param(PriceTick(2**200, 0, 0, 1, 1, None), id="a time of 200 bits"),
        pytest.param(PriceTick(0, 2**32, 0, 1, 1, None), id="an id over its range"),
        pytest.param(PriceTick(True, 0, 0, 1, 1, None), id="a boolean for an integer"),
        pytest.param(PriceTick(1.0, 0, 0, 1, 1, None), id="a float for an integer"),  # type: ignore[arg-type]
        pytest.param(PriceTick(math.nan, 0, 0, 1, 1, None), id="no number"),  # type: ignore[arg-type]
        pytest.param(PriceTick("1", 0, 0, 1, 1, None), id="text for an integer"),  # type: ignore[arg-type]
        pytest.param(PriceTick(object(), 0, 0, 1, 1, None), id="no value at all"),  # type: ignore[arg-type]
        pytest.param(Transfer(0, 0, 0, 4, 5, 6, 99, None), id="an unknown reason"),  # type: ignore[arg-type]
        pytest.param(Transfer(0, 0, 0, 4, 5, 6, Reason.FEE, ""), id="an empty name"),
        pytest.param(Transfer(0, 0, 0, 4, 5, 6, Reason.FEE, "\ud800"), id="text that is not Unicode"),
        pytest.param(Transfer(0, 0, 0, 4, 5, WIDE_MAX + 1, Reason.FEE, None), id="over what a wide amount holds"),
        pytest.param(Transfer(0, 0, 0, 4, 5, WIDE_MIN - 1, Reason.FEE, None), id="under what a wide amount holds"),
        pytest.param(Transfer(0, 0, 0, 4, 5, wide_bytes(2**64), Reason.FEE, None), id="wire bytes for an amount"),  # type: ignore[arg-type]
        pytest.param(Opening(0, 0, 0, 4, 5, []), id="a list for a tuple"),  # type: ignore[arg-type]
        pytest.param(Opening(0, 0, 0, 4, 5, ((1, 2, 3, 4),)), id="a tuple for a position"),  # type: ignore[arg-type]
        pytest.param(Opening(0, 0, 0, 4, 5, (OpenPosition(0, 2**64, 3, 4),)), id="a size over 64 bits"),
        pytest.param(Funding(0, 0, 0, 0, 0, 1, (Payment(4, 5, None),) * (PAYMENTS_MAX + 1)), id="too many payments"),
        pytest.param(policy("x" * 4097), id="text over its length"),
        pytest.param(fill("t" * 65), id="a trade id over its length"),
        pytest.param(fill(""), id="an empty trade id"),
        pytest.param(fill(-1), id="a trade id below zero"),
        pytest.param(fill(True), id="a boolean for a trade id"),
        pytest.param(TICK.oracle, id="no event"),
        pytest.param(None, id="nothing"),
    ],
)
def test_what_cannot_be_read_back_is_not_stored(event: Event) -> None:
    with pytest.raises(EventEncodeError):
        encode(event)


@pytest.mark.parametrize("trade", [None, 0, INT64_MAX, "0", "t-1", "\U0010ffff" * 64, "\xc4\x09"])
def test_a_venue_s_id_is_kept_as_it_is(trade: int | str | None) -> None:
    again = check(encode(fill(trade)))
    assert isinstance(again, Fill)
    assert (again.trade, type(again.trade)) == (trade, type(trade))


def test_plain_numbers_stand_for_the_members_of_an_enumeration() -> None:
    plain = Fill(0, 0, 0, 0, 4, 5, 1, 1, 0, 0, 0, 2, None, None, None, None, None, None)  # type: ignore[arg-type]
    assert decode(encode(plain)) == plain
    assert encode(plain) == encode(msgspec.structs.replace(plain, taker=Taker.SELLER))


@given(st.integers(WIDE_MIN, WIDE_MAX))
@example(INT64_MIN)
@example(INT64_MAX)
@example(INT64_MIN - 1)
@example(INT64_MAX + 1)
@example(2**64)
@example(2**71 - 1)
@example(2**71)
@example(-(2**71))
@example(-(2**71) - 1)
@example(WIDE_MIN)
@example(WIDE_MAX)
def test_a_wide_amount_has_one_spelling(amount: int) -> None:
    event = Transfer(0, 0, 0, 4, 5, amount, Reason.OTHER, None)
    raw = encode(event)
    assert check(raw).cash == amount  # type: ignore[union-attr]
    assert (wide_bytes(amount) in raw) is not (INT64_MIN <= amount <= INT64_MAX)


@given(st.integers(-(2**200), 2**200))
def test_wide_bytes_are_the_shortest_of_at_least_nine(amount: int) -> None:
    raw = wide_bytes(amount)
    assert int.from_bytes(raw, "big", signed=True) == amount
    assert len(raw) == 9 or int.from_bytes(raw[1:], "big", signed=True) != amount
