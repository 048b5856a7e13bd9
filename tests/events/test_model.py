import ast
import inspect as source
from collections.abc import Iterator
from enum import IntEnum
from types import UnionType
from typing import get_args

import msgspec
import pytest
from msgspec import inspect

from events import model
from events.model import (
    EVENTS,
    FIRST_FREE_ACCOUNT,
    RESERVED_ACCOUNTS,
    AdlClose,
    AnyEvent,
    Event,
    Fill,
    Liquidation,
    PriceTick,
    Role,
    Settlement,
)

TYPES = list(EVENTS.values())
ALLOWED = (
    inspect.IntType,
    inspect.BoolType,
    inspect.StrType,
    inspect.BytesType,
    inspect.NoneType,
    inspect.EnumType,
)


def name(kind: type) -> str:
    return kind.__name__


def values(kind: inspect.Type) -> Iterator[inspect.Type]:
    """Yield the plain types inside a type."""
    match kind:
        case inspect.StructType():
            for field in kind.fields:
                yield from values(field.type)
        case inspect.UnionType():
            for part in kind.types:
                yield from values(part)
        case inspect.VarTupleType():
            yield from values(kind.item_type)
        case _:
            yield kind


def test_tags_are_the_keys_of_the_table_without_a_gap() -> None:
    assert list(EVENTS) == [kind.__struct_config__.tag for kind in TYPES] == list(range(1, len(TYPES) + 1))


def test_the_table_and_the_union_hold_every_event_of_the_file() -> None:
    defined = {kind for kind in vars(model).values() if isinstance(kind, type) and issubclass(kind, Event)} - {Event}
    assert isinstance(AnyEvent, UnionType)
    assert set(get_args(AnyEvent)) == set(TYPES) == defined


@pytest.mark.parametrize("kind", TYPES, ids=name)
def test_an_event_is_a_frozen_array_with_the_common_header(kind: type[Event]) -> None:
    config = kind.__struct_config__
    assert config.frozen
    assert config.array_like
    assert config.forbid_unknown_fields
    assert kind.__struct_fields__[:3] == ("at_ns", "source", "row")


@pytest.mark.parametrize("kind", TYPES, ids=name)
def test_no_field_has_a_default_so_none_is_ever_left_out(kind: type[Event]) -> None:
    assert all(field.required for field in msgspec.structs.fields(kind))


@pytest.mark.parametrize("kind", TYPES, ids=name)
def test_fields_hold_exact_and_bounded_values_only(kind: type[Event]) -> None:
    for value in values(inspect.type_info(kind)):
        assert isinstance(value, ALLOWED)
        match value:
            case inspect.IntType():
                assert value.ge is not None
                assert value.le is not None
            case inspect.StrType() | inspect.BytesType():
                assert value.max_length is not None


@pytest.mark.parametrize("kind", TYPES, ids=name)
def test_every_event_says_what_it_is(kind: type[Event]) -> None:
    assert kind.__doc__
    assert not kind.__doc__.startswith(f"{kind.__name__}(")


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        PriceTick(0, 0, 0, 0, 1, None).mark = 2  # type: ignore[misc]


def test_reserved_accounts_are_the_first_ids_and_have_each_a_role() -> None:
    assert [account for account, _, _ in RESERVED_ACCOUNTS] == list(range(FIRST_FREE_ACCOUNT))
    assert [role for _, _, role in RESERVED_ACCOUNTS] == [Role.EXTERNAL, Role.UNOBSERVED, Role.FEES, Role.ROUNDING]
    assert len({text for _, text, _ in RESERVED_ACCOUNTS}) == len(RESERVED_ACCOUNTS)


@pytest.mark.parametrize("kind", [Liquidation, AdlClose, Settlement], ids=name)
def test_every_trade_begins_with_the_fields_of_a_fill(kind: type[Event]) -> None:
    assert kind.__struct_fields__[: len(Fill.__struct_fields__)] == Fill.__struct_fields__


def test_numbers_of_enumerations_are_unique() -> None:
    kinds = [kind for kind in vars(model).values() if isinstance(kind, type) and issubclass(kind, IntEnum)]
    assert kinds
    for kind in kinds:
        assert len(kind.__members__) == len({member.value for member in kind})


def test_the_public_names_are_those_that_are_defined() -> None:
    defined: set[str] = set()
    for node in ast.parse(source.getsource(model)).body:
        match node:
            case ast.ClassDef():
                defined.add(node.name)
            case ast.Assign(targets=[ast.Name(id=constant)]) if constant.isupper():
                defined.add(constant)
    assert set(model.__all__) >= defined - {"Part"}
