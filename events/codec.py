"""Canonical bytes: the only spelling of an event.

``encode`` gives the bytes that are stored and hashed; ``decode`` accepts exactly those and nothing else:
``encode(decode(b)) == b`` for every ``b`` that ``check`` accepts, and ``decode(encode(e)) == e`` for every event that
``encode`` accepts. ``decode`` alone trusts the spelling, for bytes that were checked when they were stored.

Traps this module exists for (msgspec 0.22): constructors do not validate; decoding accepts over-long integers and missing
trailing fields; the errors of hostile input are of five unrelated types.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import inspect, msgpack

from events.errors import EventDecodeError, EventEncodeError
from events.model import EVENT_BYTES_MAX, EVENTS, AnyEvent, Event
from events.units import INT64_MAX, INT64_MIN

__all__ = ["check", "decode", "encode", "wide_bytes"]

_AnyEvent = TypeVar("_AnyEvent", bound=Event)

WIDE_BYTES_MAX = 16
_BIN8 = b"\xc4"  # how msgpack marks short bytes; an event without it has no wide amount

_encoder = msgpack.Encoder()
_decoder: msgpack.Decoder[AnyEvent] = msgpack.Decoder(AnyEvent)


def wide_bytes(value: int) -> bytes:
    """Return ``value`` as its shortest big-endian two's complement bytes, at least 9: the wire form of a wide amount."""
    length = ((value + (value < 0)).bit_length() + 8) // 8
    return value.to_bytes(max(length, 9), "big", signed=True)


def _holds_wide(kind: inspect.Type) -> bool:
    match kind:
        case inspect.BytesType():
            return kind.max_length == WIDE_BYTES_MAX
        case inspect.UnionType():
            return any(_holds_wide(part) for part in kind.types)
        case inspect.VarTupleType():
            return _holds_wide(kind.item_type)
        case inspect.StructType():
            return any(_holds_wide(field.type) for field in kind.fields)
        case _:
            return False


def _wide_fields(event: type[Event]) -> tuple[str, ...]:
    """Name the fields of an event type that are wide amounts, or hold values that have some."""
    return tuple(field.name for field in msgspec.structs.fields(event) if _holds_wide(inspect.type_info(field.type)))


_WIDE = {event: names for event in EVENTS.values() if (names := _wide_fields(event))}


def _to_wire(value: Any) -> Any:
    if type(value) is int:
        return value if INT64_MIN <= value <= INT64_MAX else wide_bytes(value)
    if type(value) is tuple:
        return tuple(_to_wire(part) for part in value)
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.replace(value, **{f: _to_wire(getattr(value, f)) for f in value.__struct_fields__})
    return value


def _from_wire(value: Any) -> Any:
    if type(value) is bytes:
        return int.from_bytes(value, "big", signed=True)
    if type(value) is tuple:
        return tuple(_from_wire(part) for part in value)
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.replace(value, **{f: _from_wire(getattr(value, f)) for f in value.__struct_fields__})
    return value


def _replace_wide(event: _AnyEvent, convert: Callable[[Any], Any]) -> _AnyEvent:
    changes = {name: convert(getattr(event, name)) for name in _WIDE.get(type(event), ())}
    return msgspec.structs.replace(event, **changes) if changes else event


def _proved(event: Event) -> bytes:
    """Encode, and prove that decoding accepts the bytes and that they are their own canonical spelling."""
    raw = _encoder.encode(event)
    again: Event = _decoder.decode(raw)
    if _BIN8 in raw:
        again = _replace_wide(_replace_wide(again, _from_wire), _to_wire)
    if _encoder.encode(again) != raw:
        raise EventEncodeError(f"{type(event).__name__} does not read back as it was made.")
    return raw


def encode(event: Event) -> bytes:
    """Return the canonical bytes of ``event``.

    Raises ``EventEncodeError`` when a field has a wrong type or is out of range, or the event is over 65,535 bytes.
    """
    try:
        try:
            raw = _proved(event)
        except (msgspec.MsgspecError, OverflowError):
            # Only an amount outside int64 may bring us here and succeed; anything else fails again.
            raw = _proved(_replace_wide(event, _to_wire))
    except (msgspec.MsgspecError, OverflowError, TypeError, ValueError, RecursionError) as error:
        raise EventEncodeError(f"{type(event).__name__} cannot be stored: {error}.") from error
    if len(raw) > EVENT_BYTES_MAX:
        raise EventEncodeError(
            f"{type(event).__name__} takes {len(raw):,} bytes, the limit is {EVENT_BYTES_MAX:,}.",
            cure="Split it into several events.",
        )
    return raw


def decode(raw: bytes, seq: int | None = None) -> AnyEvent:
    """Return the event in ``raw``. ``seq`` is only for the error's text.

    Raises ``EventDecodeError`` when the bytes are no event: unknown tag, wrong shape or range, trailing bytes, bad UTF-8.
    """
    try:
        event = _decoder.decode(raw)
        if _BIN8 in raw:
            event = _replace_wide(event, _from_wire)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError, ValueError) as error:
        raise EventDecodeError(f"these bytes are not an event: {error}.", seq=seq) from error
    return event


def check(raw: bytes, seq: int | None = None) -> AnyEvent:
    """Return the event in ``raw`` after proving that ``raw`` is its one canonical spelling.

    Raises ``EventDecodeError`` as ``decode`` does, and when the bytes are over 65,535 or spelled in another way.
    """
    if len(raw) > EVENT_BYTES_MAX:
        raise EventDecodeError(f"an event of {len(raw):,} bytes is over the limit of {EVENT_BYTES_MAX:,}.", seq=seq)
    event = decode(raw, seq)
    try:
        again = encode(event)
    except EventEncodeError as error:
        raise EventDecodeError(f"these bytes are not a storable event: {error}", seq=seq) from error
    if again != raw:
        raise EventDecodeError("these bytes are not the canonical spelling of their event.", seq=seq)
    return event
