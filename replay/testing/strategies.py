"""Hypothesis strategies for every event type, made from the types themselves: a new event type has one at once.

They cover what the codec accepts: every range to its ends, None wherever it may stand, wide amounts on both sides of 64
bits. Lengths of text and tuples stay small. The events of one draw have nothing to do with each other, so a log of them is
well-formed for the store and makes no sense to the reducer.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from hypothesis import strategies as st
from msgspec import inspect

from events.model import EVENTS, AnyEvent, Event, LedgerOpened

__all__ = ["WIDE_MAX", "WIDE_MIN", "any_event", "event_of", "log_events"]

_AnyEvent = TypeVar("_AnyEvent", bound=Event)

# What a wide amount can be: 16 bytes of two's complement.
WIDE_MIN = -(2**127)
WIDE_MAX = 2**127 - 1

_TEXT_MAX = 40
_ITEMS_MAX = 4
_CHARACTERS = st.characters(exclude_categories=["Cs"])  # a lone surrogate has no UTF-8


def _limit(stated: int | None, ours: int) -> int:
    return ours if stated is None else min(stated, ours)


def _union(kind: inspect.UnionType) -> st.SearchStrategy[Any]:
    kinds = {type(part) for part in kind.types}
    if {inspect.IntType, inspect.BytesType} <= kinds:
        # A wide amount: on the wire one of two types, in Python always an int.
        wide = st.integers(WIDE_MIN, WIDE_MAX)
        return st.none() | wide if inspect.NoneType in kinds else wide
    return st.one_of([_values(part) for part in kind.types])


def _struct(kind: inspect.StructType) -> st.SearchStrategy[Any]:
    return st.builds(kind.cls, *[_values(field.type) for field in kind.fields])


_MAKERS: dict[type[inspect.Type], Callable[[Any], st.SearchStrategy[Any]]] = {
    inspect.NoneType: lambda _: st.none(),
    inspect.BoolType: lambda _: st.booleans(),
    inspect.IntType: lambda kind: st.integers(kind.ge, kind.le),
    inspect.EnumType: lambda kind: st.sampled_from(kind.cls),
    inspect.StrType: lambda kind: st.text(
        _CHARACTERS, min_size=kind.min_length or 0, max_size=_limit(kind.max_length, _TEXT_MAX)
    ),
    inspect.BytesType: lambda kind: st.binary(min_size=kind.min_length or 0, max_size=_limit(kind.max_length, _TEXT_MAX)),
    inspect.VarTupleType: lambda kind: st.lists(_values(kind.item_type), max_size=_limit(kind.max_length, _ITEMS_MAX)).map(
        tuple
    ),
    inspect.UnionType: _union,
    inspect.StructType: _struct,
}


def _values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    return _MAKERS[type(kind)](kind)


def event_of(kind: type[_AnyEvent]) -> st.SearchStrategy[_AnyEvent]:
    """Events of one type, for example ``event_of(Fill)``."""
    made: st.SearchStrategy[_AnyEvent] = _values(inspect.type_info(kind))
    return made


def any_event(kinds: Iterable[type[Event]] = tuple(EVENTS.values())) -> st.SearchStrategy[AnyEvent]:
    """Events of any of ``kinds``, by default of every type."""
    made: st.SearchStrategy[AnyEvent] = st.one_of([_values(inspect.type_info(kind)) for kind in kinds])
    return made


def log_events() -> st.SearchStrategy[AnyEvent]:
    """Events that may be appended to a ledger: of every type but LedgerOpened, which stands at seq 1 alone."""
    return any_event([kind for kind in EVENTS.values() if kind is not LedgerOpened])
