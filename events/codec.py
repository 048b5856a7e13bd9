"""Canonical bytes: the only spelling of an event.

``encode`` gives the bytes that are stored and hashed; ``decode`` accepts exactly those and nothing else:
``encode(decode(b)) == b`` for every ``b`` that ``check`` accepts, and ``decode(encode(e)) == e`` for every event that
``encode`` accepts. ``decode`` alone trusts the spelling, for bytes that were checked when they were stored.

Traps this module exists for (msgspec 0.22): constructors do not validate; decoding accepts over-long integers and missing
trailing fields; the errors of hostile input are of five unrelated types.
"""

import re
from collections.abc import Callable, Sequence
from operator import is_not
from typing import Any, TypeVar

import msgspec
from msgspec import inspect, msgpack

from events.errors import EventDecodeError, EventEncodeError
from events.model import EVENT_BYTES_MAX, EVENTS, AnyEvent, Event
from events.units import INT64_MAX, INT64_MIN

__all__ = ["check", "decode", "decode_all", "encode", "wide_bytes"]

# What hostile bytes can raise.
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError, ValueError)

_AnyEvent = TypeVar("_AnyEvent", bound=Event)

WIDE_BYTES_MAX = 16
# How msgpack marks bytes as long as a wide amount. What looks like it may be part of a number; then nothing is converted.
# Searching for a pattern takes half the time of asking for one byte with `in`.
_may_be_wide = re.compile(rb"\xc4[\x09-\x10]").search

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
    return wide_bytes(value) if type(value) is int and not INT64_MIN <= value <= INT64_MAX else value


def _from_wire(value: Any) -> Any:
    return int.from_bytes(value, "big", signed=True) if type(value) is bytes else value


def _convert(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """Apply ``leaf`` inside tuples and parts; what does not change is returned as the same object, which is much faster."""
    if type(value) is tuple:
        parts = [_convert(part, leaf) for part in value]
        return tuple(parts) if any(map(is_not, parts, value)) else value
    if isinstance(value, msgspec.Struct):
        return _replace(value, value.__struct_fields__, leaf)
    return leaf(value)


def _replace(value: Any, names: tuple[str, ...], leaf: Callable[[Any], Any]) -> Any:
    changes = {name: new for name in names if (new := _convert(old := getattr(value, name), leaf)) is not old}
    return msgspec.structs.replace(value, **changes) if changes else value


def _replace_wide(event: _AnyEvent, leaf: Callable[[Any], Any]) -> _AnyEvent:
    replaced: _AnyEvent = _replace(event, _WIDE.get(type(event), ()), leaf)
    return replaced


def encode(event: Event) -> bytes:
    """Return the canonical bytes of ``event``.

    Raises ``EventEncodeError`` when a field has a wrong type or is out of range, or the event is over 65,535 bytes.
    """
    try:
        try:
            raw = _encoder.encode(event)
            again: Event = _decoder.decode(raw)
        except (msgspec.MsgspecError, OverflowError):
            # Only an amount outside int64 may bring us here and succeed; anything else fails again.
            raw = _encoder.encode(_replace_wide(event, _to_wire))
            again = _decoder.decode(raw)
        if _may_be_wide(raw):
            again = _replace_wide(again, _from_wire)
    except (msgspec.MsgspecError, OverflowError, TypeError, ValueError, RecursionError) as error:
        raise EventEncodeError(f"{type(event).__name__} cannot be stored: {error}.") from error
    # The decoder is strict about types, so equal values have one spelling; a list for a tuple, or wire bytes for an amount,
    # would come back as something else.
    if again != event:
        raise EventEncodeError(f"{type(event).__name__} does not read back as it was made.")
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
        if _may_be_wide(raw):
            event = _replace_wide(event, _from_wire)
    except _UNREADABLE as error:
        raise EventDecodeError(f"these bytes are not an event: {error}.", seq=seq) from error
    return event


def decode_all(raws: Sequence[bytes], first: int) -> list[AnyEvent]:
    """Return the events in ``raws``, the records from seq ``first`` on: ``decode`` of many, without a call for each.

    Raises ``EventDecodeError`` as ``decode`` does, naming the seq.
    """
    try:
        events = [_decoder.decode(raw) for raw in raws]
    except _UNREADABLE:
        return [decode(raw, seq) for seq, raw in enumerate(raws, first)]
    for index, raw in enumerate(raws):
        if _may_be_wide(raw):
            events[index] = decode(raw, first + index)
    return events


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
