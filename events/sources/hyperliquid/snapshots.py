"""Clearing-house snapshots: ``account_value_snapshot_<block>_<ms>.json`` and ``perp_positions_by_market_<block>_<ms>.json``.

Each is one JSON array. Its block and time stand in the file's name and nowhere else. A row is an account, or a position.

The files are read one after the other, positions first, and never joined. That is enough, because an account's record
carries the notionals of its longs and shorts: by the clearing house's own identity (account value = cash + signed notional,
at one set of marks) its cash is ``account_value - total_long_notional + total_short_notional``, and no position need be
looked up. So

- a position becomes an Opening of that position alone, with its entry price and no cash;
- an account becomes an Opening of its cash alone;
- when the positions of the same block are not imported with it, only accounts without positions are opened: cash without
  positions would look like an account that is flat. The others are counted as ``set_aside.no-positions``.

Positions with margin of their own are counted (``positions.isolated``) and put into their address's one account, as the
fills do not tell them apart. The numbers are JSON floats: they are read as text, and put on the grid.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec import Raw

from events.errors import NumberError
from events.model import Opening, OpenPosition
from events.sources.book import Book
from events.sources.feed import Item, Sink
from events.sources.hyperliquid import numbers
from events.sources.hyperliquid.desk import Desk, is_spot, refusal
from events.sources.hyperliquid.elements import read_elements
from events.sources.hyperliquid.lines import NS_PER_MS
from events.sources.hyperliquid.numbers import Noise
from events.sources.hyperliquid.shapes import UNREADABLE, AccountValue, MarketPositions, SnapshotPosition
from events.sources.reading import Fingerprint
from events.units import INT64_MAX

__all__ = ["Stamp", "account_openings", "position_openings", "snapshot_rows", "snapshot_stamp"]

_NAME = re.compile(
    r"(account_value_snapshot|perp_positions_by_market)_([0-9]{1,15})_([0-9]{1,15})\.json(?:\.(?:gz|lz4|zst))?", re.ASCII
)
_MAIN_DEX = "hyperliquid:"

_account: "msgspec.json.Decoder[AccountValue]" = msgspec.json.Decoder(AccountValue)
_market: "msgspec.json.Decoder[MarketPositions]" = msgspec.json.Decoder(MarketPositions)
_position: "msgspec.json.Decoder[SnapshotPosition]" = msgspec.json.Decoder(SnapshotPosition)


class Stamp(NamedTuple):
    """What a snapshot's file name says."""

    block: int
    at_ns: int


def snapshot_stamp(name: str) -> Stamp | None:
    """Return the block and time in a snapshot's file name, None where it has none."""
    found = _NAME.fullmatch(name)
    if found is None or int(found[3]) * NS_PER_MS > INT64_MAX:
        return None
    return Stamp(int(found[2]), int(found[3]) * NS_PER_MS)


def snapshot_rows(file: Fingerprint, stamp: Stamp, rank: int, after_row: int) -> Iterator[Item]:
    """Yield the elements of a snapshot, after whatever happened in its millisecond: it is of the end of its block."""
    key = (stamp.at_ns + NS_PER_MS - 1, rank)
    for row, element in read_elements(file, after_row):
        yield Item(key, row, stamp.at_ns, ((row, element),))


def _text(raw: Raw) -> str | None:
    """Return a JSON number, or a number in a JSON string, as its text; None for null and for what is not there."""
    text = bytes(raw).decode("ascii", "replace").strip()
    return None if text in ("", "null") else text.removeprefix('"').removesuffix('"')


def _amount(raw: Raw, noise: list[Noise]) -> int:
    text = _text(raw)
    if text is None:
        raise NumberError("an amount is missing.")
    return numbers.money(text, noise, "residual.snapshot")


def account_openings(with_positions: bool, item: Item, source: int, book: Book, sink: Sink) -> None:
    """Emit the opening cash of one account."""
    row, element = item.lines[0]
    desk = Desk(source, book, sink, item.at_ns, row)
    noise: list[Noise] = []
    try:
        record = _account.decode(element)
        value = _amount(record.account_value, noise)
        long, short = (abs(_amount(raw, noise)) for raw in (record.total_long_notional, record.total_short_notional))
    except UNREADABLE as error:
        desk.quarantine(*refusal(error), element)
        return
    except NumberError as error:
        desk.quarantine("number", error.message, element)
        return
    if (long or short) and not with_positions:
        desk.set_aside("no-positions")
        return
    account = desk.account(record.user)
    desk.sink.emit(Opening(desk.at_ns, desk.source, desk.row, account, value - long + short, ()))
    desk.settle(noise)
    desk.used()


def position_openings(item: Item, source: int, book: Book, sink: Sink) -> None:
    """Emit the opening positions of one market."""
    row, element = item.lines[0]
    desk = Desk(source, book, sink, item.at_ns, row)
    try:
        market = _market.decode(element)
    except UNREADABLE as error:
        desk.quarantine(*refusal(error), element)
        return
    if market.position_count != len(market.positions):
        sink.count("position_count.differs")
    coin = market.market_name.removeprefix(_MAIN_DEX)
    if is_spot(coin) or not coin:
        desk.quarantine("shape", "this market is no perp.", element, max(1, len(market.positions)))
        return
    for raw in market.positions:
        _open_position(desk, coin, raw)


def _open_position(desk: Desk, coin: str, raw: Raw) -> None:
    listed = desk.listing(coin)
    noise: list[Noise] = []
    try:
        position = _position.decode(raw)
        size, entry = _text(position.size), _text(position.entry_price)
        held = None if size is None else numbers.start_position(size, listed.size_decimals, noise, "residual.snapshot")
        value, decimals = (None, 0) if entry is None else numbers.entry_price(entry)
    except UNREADABLE as error:
        desk.quarantine(*refusal(error), bytes(raw))
        return
    except NumberError as error:
        desk.quarantine("number", error.message, bytes(raw))
        return
    if position.is_cross is False:
        desk.sink.count("positions.isolated")
    account = desk.account(position.user)
    stated = (OpenPosition(desk.market(listed), held, value, decimals),)
    desk.sink.emit(Opening(desk.at_ns, desk.source, desk.row, account, None, stated))
    desk.settle(noise)
    desk.used()
