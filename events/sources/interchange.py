"""Our own interchange format: one JSON object per line, a pure translation of events and back.

A line says what its event says, with names for the ids of accounts and markets, decimal text for amounts on their grids,
lower-case words for enums, hex for bytes and ISO 8601 for times. Ids of accounts and markets are not written: they are
dense in the order of first appearance, so a reader finds them again.

``write_line`` has one spelling: keys in the order of the fields, no spaces, UTF-8, no escapes beyond those JSON needs.
``read_line`` also takes another spelling of the same meaning (spaces, order of keys, trailing zeros), and refuses what is
ambiguous: an unknown, missing or double key, a number with a point or an exponent, a number for an amount.

The unit of each whole number is looked up by its field's name in ``UNITS``; everything else follows from the field's type.
So a new event made of known quantities needs no code here.
"""

import json
import re
from collections.abc import Iterable
from enum import Enum, IntEnum
from typing import Any, NamedTuple, NoReturn, cast

import msgspec
from msgspec import inspect

from events.codec import WIDE_BYTES_MAX, encode
from events.errors import BadInputError, InternalError
from events.model import EVENTS, AccountOpened, AdlCandidates, AnyEvent, Event, MarketListed
from events.sources.book import Book
from events.times import format_utc, parse_utc
from events.units import INT64_MAX, INT64_MIN, format_units, parse_units

__all__ = ["FORMAT", "FORMAT_VERSION", "UNITS", "Unit", "fields_of", "read_line", "write_line"]

FORMAT = "events"
FORMAT_VERSION = 1

DECIMALS_MAX = 18
_WIDE_LIMIT = 1 << 8 * WIDE_BYTES_MAX - 1


class Unit(Enum):
    """What a whole number counts, and so how it is written."""

    MONEY = "money"  # decimal text on the ledger's money grid
    PRICE = "price"  # decimal text on the market's price grid
    SIZE = "size"  # decimal text on the market's size grid
    OWN = "own"  # decimal text on the grid in the field <name>_decimals beside it
    COUNT = "count"  # a JSON integer
    TIME = "time"  # ISO 8601, UTC, nine digits of fraction
    ACCOUNT = "account"  # the account's name
    MARKET = "market"  # the market's symbol
    VENUE = "venue"  # the venue's own id as it is, a JSON integer or text


def _units(unit: Unit, names: str) -> dict[str, Unit]:
    return dict.fromkeys(names.split(), unit)


UNITS: dict[str, Unit] = {
    **_units(Unit.MONEY, "cash buyer_fee seller_fee buyer_profit_claim seller_profit_claim need_cash"),
    **_units(Unit.MONEY, "winner_equity_claim equity_claim requirement_claim deficit floor_cash"),
    **_units(Unit.PRICE, "price mark oracle bankruptcy price_tick entry_claim"),
    **_units(Unit.SIZE, "size buyer_start_claim seller_start_claim size_claim position_limit size_lot"),
    **_units(Unit.OWN, "entry multiplier"),
    **_units(Unit.COUNT, "money_decimals price_decimals size_decimals entry_decimals multiplier_decimals"),
    **_units(Unit.COUNT, "source row round policy semantics content_bytes format_version granularity_ns divergence_ns count"),
    **_units(Unit.COUNT, "rows_in rows_used initial_ppt maintenance_ppt rate_ppt as_of cause effects"),
    **_units(Unit.COUNT, "rank_claim part parts corrects upto"),
    **_units(Unit.TIME, "at_ns"),
    **_units(Unit.ACCOUNT, "account owner buyer seller payer payee fund against loser winner"),
    **_units(Unit.MARKET, "market markets"),
    **_units(Unit.VENUE, "trade buyer_order seller_order"),
}

_GRIDDED = (Unit.MONEY, Unit.PRICE, Unit.SIZE, Unit.OWN)

# The id that an event gives to a name. It is not written, as it follows from the order of the names.
_GIVES_ID: dict[type[msgspec.Struct], tuple[str, str]] = {
    AccountOpened: ("account", "name"),
    MarketListed: ("market", "symbol"),
}

_EVENT_TYPES = {event.__name__: event for event in EVENTS.values()}
_HEX = re.compile(r"(?:[0-9a-f]{2})*", re.ASCII)


_PLAIN: dict[type[inspect.Type], type] = {inspect.StrType: str, inspect.BoolType: bool, inspect.BytesType: bytes}


class Spelling(NamedTuple):
    """How one field is written. One of ``unit``, ``words``, ``part`` or ``plain`` is set; ``many`` means a list of it.

    A whole number lies from ``low`` to ``high``, and is ``gridded`` when it is written as decimal text. A text in its place
    has up to ``chars``.
    """

    name: str
    key: str
    optional: bool
    many: bool
    unit: Unit | None = None
    words: type[IntEnum] | None = None
    part: type[msgspec.Struct] | None = None
    plain: type | None = None  # str, bool or bytes
    gridded: bool = False
    low: int = INT64_MIN
    high: int = INT64_MAX
    chars: int = 0


def _spelling(owner: str, name: str, kind: inspect.Type) -> Spelling:
    optional = many = wide = False
    chars = 0
    if isinstance(kind, inspect.UnionType):
        parts = [part for part in kind.types if not isinstance(part, inspect.NoneType)]
        optional, kind = len(parts) < len(kind.types), parts[0]
        for other in parts[1:]:
            # A wide amount is int or bytes on the wire, and always an int here. A venue's id is an int or text.
            wide = wide or isinstance(other, inspect.BytesType)
            chars = (other.max_length or 0) if isinstance(other, inspect.StrType) else chars
    if isinstance(kind, inspect.VarTupleType):
        many, kind = True, kind.item_type
    field = Spelling(name, "at" if name == "at_ns" else name, optional, many, chars=chars)
    match kind:
        case inspect.IntType() if name in UNITS:
            field = field._replace(unit=UNITS[name], gridded=UNITS[name] in _GRIDDED)
            if wide:
                return field._replace(low=-_WIDE_LIMIT, high=_WIDE_LIMIT - 1)
            return field._replace(
                low=field.low if kind.ge is None else kind.ge, high=field.high if kind.le is None else kind.le
            )
        case inspect.EnumType():
            return field._replace(words=cast("type[IntEnum]", kind.cls))
        case inspect.StructType():
            return field._replace(part=kind.cls)
        case inspect.StrType() | inspect.BoolType() | inspect.BytesType():
            return field._replace(plain=_PLAIN[type(kind)])
        case _:
            raise InternalError(f"the interchange format has no unit for {owner}.{name}.", cure="Add it to UNITS.")


def fields_of(kind: type[msgspec.Struct]) -> tuple[Spelling, ...]:
    """Return how each field of an event type, or of a part of one, is written. ``InternalError`` names one without a unit."""
    fields = msgspec.structs.fields(kind)
    return tuple(_spelling(kind.__name__, field.name, inspect.type_info(field.type)) for field in fields)


class _Shape(NamedTuple):
    """The fields of one type as written, and the field that holds its id, which is not, with the one that gives the name."""

    fields: tuple[Spelling, ...]
    keys: frozenset[str]
    number: str
    named: str


def _shapes(kinds: Iterable[type[msgspec.Struct]]) -> dict[type[msgspec.Struct], _Shape]:
    table: dict[type[msgspec.Struct], _Shape] = {}
    for kind in kinds:
        number, named = _GIVES_ID.get(kind, ("", ""))
        fields = tuple(field for field in fields_of(kind) if field.name != number)
        table[kind] = _Shape(fields, frozenset(field.key for field in fields), number, named)
        table |= _shapes(field.part for field in fields if field.part)
    return table


_SHAPES = _shapes(EVENTS.values())


class _Grids(NamedTuple):
    """Decimals in force at one place of a line; None where none are known."""

    money: int | None
    price: int | None = None
    size: int | None = None

    def of(self, field: Spelling, beside: Any) -> int:
        """Return the decimals of a field with a grid. ``beside`` looks up the field next to it."""
        if field.unit is Unit.OWN:
            own: int = beside(f"{field.name}_decimals")
            return own
        decimals = self.money if field.unit is Unit.MONEY else self.price if field.unit is Unit.PRICE else self.size
        if decimals is None:
            raise BadInputError(f"field {field.key!r} has no grid: its ledger or its market is not known here.")
        return decimals


def _market_grids(grids: _Grids, listed: MarketListed) -> _Grids:
    return grids._replace(price=listed.price_decimals, size=listed.size_decimals)


def _ledger_grids(book: Book) -> _Grids:
    return _Grids(book.opened.money_decimals if book.opened else None)


# Writing


def _write_whole(field: Spelling, value: int, book: Book) -> Any:
    match field.unit:
        case Unit.TIME:
            return format_utc(value)
        case Unit.ACCOUNT:
            return book.account_name(value)
        case Unit.MARKET:
            return book.listed(value).symbol
        case _:
            return value


def _write_value(field: Spelling, value: Any, grids: _Grids, book: Book, whole: msgspec.Struct) -> Any:
    if field.gridded:
        return format_units(value, grids.of(field, lambda name: getattr(whole, name)))
    if field.unit:
        return _write_whole(field, value, book)
    if field.words:
        return field.words(value).name.lower()
    if field.part:
        return _write_struct(value, grids, book)
    return value.hex() if field.plain is bytes else value


def _write_struct(value: msgspec.Struct, grids: _Grids, book: Book) -> dict[str, Any]:
    if isinstance(value, MarketListed):
        grids = _market_grids(grids, value)
    elif isinstance(value, AdlCandidates):
        grids = _market_grids(grids, book.listed(book.round_market(value.round)))
    elif (market := getattr(value, "market", None)) is not None:
        grids = _market_grids(grids, book.listed(market))
    out: dict[str, Any] = {}
    for field in _SHAPES[type(value)].fields:
        item = getattr(value, field.name)
        if item is None:
            out[field.key] = None
        elif field.key == "owner" and isinstance(value, AccountOpened) and item == value.account:
            out[field.key] = value.name
        elif field.many:
            out[field.key] = [_write_value(field, part, grids, book, value) for part in item]
        else:
            out[field.key] = _write_value(field, item, grids, book, value)
    return out


def _given_id(kind: type[msgspec.Struct], name: str, book: Book) -> int:
    """Return the id that the first or a later mention of ``name`` stands for."""
    if kind is AccountOpened:
        known, free = book.account(name), book.next_account
    else:
        known, free = book.market(name), book.next_market
    return free if known is None else known


def write_line(seq: int, event: Event, book: Book) -> bytes:
    """Return the one line of ``event``, with its line feed. ``book`` has observed every event before it.

    Raises ``BadInputError`` when the event names an account, market or round not opened before it, or gives an id that
    the order of names does not give: such a ledger has no line form.
    """
    kind = type(event)
    shape = _SHAPES[kind]
    if shape.number:
        number, name = getattr(event, shape.number), getattr(event, shape.named)
        if number != _given_id(kind, name, book):
            raise BadInputError(f"{kind.__name__} gives {name!r} the id {number}, which its order does not.", seq=seq)
    try:
        fields = _write_struct(event, _ledger_grids(book), book)
    except (KeyError, IndexError) as error:
        raise BadInputError(f"{kind.__name__} names an account, market or round not opened before it.", seq=seq) from error
    line = {"seq": seq, "event": kind.__name__, **fields}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


# Reading


def _refuse(field: Spelling, wanted: str, value: Any) -> NoReturn:
    shown = repr(value)
    raise BadInputError(f"field {field.key!r} must be {wanted}, not {shown if len(shown) <= 80 else shown[:77] + '...'}.")  # noqa: PLR2004 -- one screen line


def _read_time(field: Spelling, value: Any) -> int:
    if type(value) is not str or not value.endswith("Z"):
        _refuse(field, "a UTC time such as 2025-10-10T21:16:04.831000000Z", value)
    try:
        return parse_utc(value)
    except BadInputError as error:
        raise BadInputError(f"field {field.key!r}: {error.message}") from error


def _read_known(field: Spelling, value: Any, number: int | None, what: str) -> int:
    if number is None:
        raise BadInputError(f"field {field.key!r} names the {what} {value!r}, which no earlier line opens.")
    return number


def _read_whole(field: Spelling, value: Any, book: Book) -> int:
    if field.unit is Unit.TIME:
        return _read_time(field, value)
    if field.unit is Unit.ACCOUNT or field.unit is Unit.MARKET:
        if type(value) is not str:
            _refuse(field, "a name", value)
        if field.unit is Unit.ACCOUNT:
            return _read_known(field, value, book.account(value), "account")
        return _read_known(field, value, book.market(value), "market")
    if type(value) is not int:
        _refuse(field, "a whole JSON number", value)
    return value


def _is_text_id(field: Spelling, value: Any) -> bool:
    return field.unit is Unit.VENUE and type(value) is str and 0 < len(value) <= field.chars


def _read_plain(field: Spelling, value: Any) -> Any:
    if field.plain is bytes:
        if type(value) is not str or not _HEX.fullmatch(value):
            _refuse(field, "lower-case hexadecimal bytes", value)
        return bytes.fromhex(value)
    if type(value) is not field.plain:
        _refuse(field, "true or false" if field.plain is bool else "text", value)
    return value


def _read_word(field: Spelling, value: Any, words: type[IntEnum]) -> IntEnum:
    known = words.__members__
    if type(value) is not str or not (value.isascii() and value.islower()) or value.upper() not in known:
        _refuse(field, f"one of {', '.join(known).lower()}", value)
    return known[value.upper()]


def _read_value(field: Spelling, value: Any, grids: _Grids, book: Book, whole: dict[str, Any]) -> Any:
    if _is_text_id(field, value):
        return value
    if field.unit:
        number = _read_amount(field, value, grids, whole) if field.gridded else _read_whole(field, value, book)
        if not field.low <= number <= field.high:
            _refuse(field, "in the range of its field", value)
        return number
    if field.words:
        return _read_word(field, value, field.words)
    if field.part:
        if type(value) is not dict:
            _refuse(field, "an object", value)
        return _read_struct(field.part, value, grids, book)
    return _read_plain(field, value)


def _read_amount(field: Spelling, value: Any, grids: _Grids, whole: dict[str, Any]) -> int:
    if type(value) is not str:
        _refuse(field, "decimal text", value)
    decimals = grids.of(field, lambda name: _read_decimals(whole, name))
    try:
        return parse_units(value, decimals)
    except BadInputError as error:
        raise BadInputError(f"field {field.key!r}: {error.message}") from error


def _read_decimals(obj: dict[str, Any], name: str) -> int:
    """Return a grid that other fields of ``obj`` stand on, which may come after them in the line.

    Its range is checked here, as a huge one would make a huge number of the text beside it.
    """
    value = obj[name]
    if type(value) is not int or not 0 <= value <= DECIMALS_MAX:
        raise BadInputError(f"field {name!r} must be a whole number from 0 to {DECIMALS_MAX}.")
    return value


_MARKET = Spelling("market", "market", optional=False, many=False, unit=Unit.MARKET)


def _read_grids(kind: type[msgspec.Struct], obj: dict[str, Any], grids: _Grids, book: Book) -> _Grids:
    if kind is MarketListed:
        return grids._replace(price=_read_decimals(obj, "price_decimals"), size=_read_decimals(obj, "size_decimals"))
    if kind is AdlCandidates:
        return _market_grids(grids, book.listed(_round_market(obj["round"], book)))
    if obj.get("market") is None:
        return grids
    return _market_grids(grids, book.listed(_read_whole(_MARKET, obj["market"], book)))


def _round_market(value: Any, book: Book) -> int:
    if type(value) is not int or not 0 <= value < book.next_round:
        raise BadInputError("field 'round' must be the number of a round that an earlier line opens.")
    return book.round_market(value)


def _check_keys(obj: dict[str, Any], keys: frozenset[str]) -> None:
    if obj.keys() != keys:
        missing, unknown = sorted(keys - obj.keys()), sorted(obj.keys() - keys)
        said = [f"{what} {', '.join(names)}" for what, names in (("lacks", missing), ("has the unknown", unknown)) if names]
        raise BadInputError(f"the object {' and '.join(said)}.")


def _read_struct(kind: type[msgspec.Struct], obj: dict[str, Any], grids: _Grids, book: Book) -> msgspec.Struct:
    fields, keys, number, named = _SHAPES[kind]
    _check_keys(obj, keys)
    grids = _read_grids(kind, obj, grids, book)
    out: dict[str, Any] = {}
    if number:
        if type(obj[named]) is not str:
            raise BadInputError(f"field {named!r} must be a name.")
        out[number] = _given_id(kind, obj[named], book)
    for field in fields:
        value = obj[field.key]
        if value is None and field.optional:
            out[field.name] = None
        elif field.key == "owner" and kind is AccountOpened and value == obj[named]:
            out[field.name] = out[number]
        elif field.many:
            if type(value) is not list:
                _refuse(field, "a list", value)
            out[field.name] = tuple(_read_value(field, part, grids, book, obj) for part in value)
        else:
            out[field.name] = _read_value(field, value, grids, book, obj)
    return kind(**out)


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        keys = [key for key, _ in pairs]
        raise BadInputError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice.")
    return out


def _no_floats(text: str) -> NoReturn:
    raise BadInputError(f"the number {text} is no whole number.", cure="Write amounts as decimal text, in quotes.")


_decoder = json.JSONDecoder(object_pairs_hook=_no_doubles, parse_float=_no_floats, parse_constant=_no_floats)


def _read(line: bytes, book: Book) -> tuple[int, AnyEvent]:
    obj = _decoder.decode(line.decode())
    if type(obj) is not dict:
        raise BadInputError("the line is not a JSON object.")
    seq, name = obj.pop("seq", None), obj.pop("event", None)
    if type(seq) is not int or seq < 1:
        raise BadInputError("field 'seq' must be a whole number from 1.")
    kind = _EVENT_TYPES.get(name) if type(name) is str else None
    if kind is None:
        raise BadInputError(f"field 'event' must be one of {', '.join(_EVENT_TYPES)}.")
    event = cast("AnyEvent", _read_struct(kind, obj, _ledger_grids(book), book))
    encode(event)
    return seq, event


def read_line(line: bytes, book: Book, *, file: str, row: int) -> tuple[int, AnyEvent]:
    """Return ``(seq, event)`` of one line. ``book`` has observed every event before it.

    The event is one that can be stored. Raises ``BadInputError`` naming ``file``, ``row`` and the field that is wrong.
    """
    try:
        return _read(line, book)
    except BadInputError as error:
        raise BadInputError(error.message, cure=error.cure, file=file, row=row) from error
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"the line is not JSON: {error}.", file=file, row=row) from error
