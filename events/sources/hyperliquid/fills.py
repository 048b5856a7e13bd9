"""Fills: ``node_fills_by_block`` (one block per line) and the older ``node_fills`` (one ``[user, fill]`` per line).

A whole line is decoded at once by its shape. Only when that fails its rows are decoded one by one, so that a bad row costs
its own trade and nothing else. The time of an event is the block's, to the nanosecond; in the older form there is no block,
and the lines of one millisecond stand for it.
"""

import re
from collections.abc import Iterator

import msgspec
from msgspec import Raw

from events.errors import NumberError
from events.sources.book import TRADES_WINDOW_NS, Book
from events.sources.feed import Item, Sink
from events.sources.hyperliquid.desk import Desk, refusal
from events.sources.hyperliquid.lines import NS_PER_MS, Rank, block_items, decode_block, event_time, grouped_items
from events.sources.hyperliquid.shapes import UNREADABLE, Address, Block, FillRow, Peek
from events.sources.hyperliquid.trades import Fault, book_trades
from events.sources.reading import Fingerprint, read_lines
from events.units import INT64_MAX

__all__ = ["block_fills", "block_rows", "line_fills", "line_rows"]

_Row = tuple[Address, FillRow]

_block: "msgspec.json.Decoder[Block[_Row]]" = msgspec.json.Decoder(Block[_Row])
_row: "msgspec.json.Decoder[_Row]" = msgspec.json.Decoder(_Row)
_peek: "msgspec.json.Decoder[tuple[str, Peek]]" = msgspec.json.Decoder(tuple[str, Peek])

_TIME = re.compile(rb'"time"\s*:\s*([0-9]{1,15})[,}\s]')
_TRADE = re.compile(rb'"tid"\s*:\s*([0-9]+)')


def block_rows(file: Fingerprint, after_row: int) -> Iterator[Item]:
    """Yield the blocks of a ``node_fills_by_block`` file."""
    return block_items(read_lines(file), after_row, Rank.FILLS)


def _line_stamp(line: bytes) -> int | None:
    found = _TIME.search(line)
    at_ns = int(found[1]) * NS_PER_MS if found else None
    return None if at_ns is not None and at_ns > INT64_MAX else at_ns


def _same_trade(before: bytes, line: bytes) -> bool:
    one, other = _TRADE.search(before), _TRADE.search(line)
    return one is not None and other is not None and one[1] == other[1]


def line_rows(file: Fingerprint, after_row: int) -> Iterator[Item]:
    """Yield the fills of a ``node_fills`` file, those of one millisecond together."""
    return grouped_items(read_lines(file), after_row, Rank.FILLS, _line_stamp, again=False, joined=_same_trade)


def _decoded(raw: bytes | Raw) -> _Row | Fault:
    try:
        return _row.decode(raw)
    except UNREADABLE as error:
        reason, detail = refusal(error)
    try:
        return Fault(reason, detail, _peek.decode(raw)[1].tid)
    except UNREADABLE:
        return Fault(reason, detail, None)


def _timed(row: _Row | Fault, at_ns: int) -> _Row | Fault:
    """Return a row of a single line, or a fault where it does not state the time it was grouped by."""
    if isinstance(row, Fault) or row[1].time * NS_PER_MS == at_ns:
        return row
    return Fault("time", f"the time {row[1].time} is not that of the lines around it.", row[1].tid)


def _overlaps(desk: Desk) -> bool:
    """Tell whether another source told trades of a later time: then what this item says was told, or comes too late.

    Within the window of trade ids the times of two sources are not compared, as their clocks may be cut differently.
    """
    later = desk.at_ns // TRADES_WINDOW_NS < desk.book.trades_at_ns // TRADES_WINDOW_NS
    return later and desk.book.trades_source != desk.source


def block_fills(item: Item, source: int, book: Book, sink: Sink) -> None:
    """Emit the trades of one block.

    They are booked at the block's time. A row whose own ``time`` is not that, cut to 1 ms, is counted as ``time.differs``.
    """
    row, line = item.lines[0]
    desk = Desk(source, book, sink, item.at_ns, row)
    rows: list[_Row | Fault]
    try:
        block = _block.decode(line)
        rows, block_time = list(block.events), block.block_time
    except UNREADABLE:
        try:
            loose = decode_block(line)
        except UNREADABLE as error:
            desk.quarantine(*refusal(error), line)
            return
        rows, block_time = [_decoded(raw) for raw in loose.events], loose.block_time
    try:
        event_time(block_time)
    except NumberError as error:
        desk.quarantine("time", error.message, line, max(1, len(rows)))
        return
    if item.late or (rows and _overlaps(desk)):
        reason = "out-of-order" if item.late else "overlap"
        desk.quarantine(reason, "this block does not come after those on record.", line, max(1, len(rows)))
        return
    differs = sum(1 for each in rows if not isinstance(each, Fault) and each[1].time != item.at_ns // NS_PER_MS)
    if differs:
        sink.count("time.differs", differs)
    kept: list[Raw] = []

    def raw(index: int) -> bytes:
        if not kept:
            kept.extend(decode_block(line).events)
        return bytes(kept[index])

    book_trades(desk, rows, raw, lambda _: row)


def line_fills(item: Item, source: int, book: Book, sink: Sink) -> None:
    """Emit the trades of one millisecond of single lines."""
    desk = Desk(source, book, sink, item.at_ns, item.row)
    if item.late or _overlaps(desk):
        reason = "out-of-order" if item.late else "overlap"
        for row, line in item.lines:
            desk.row = row
            desk.quarantine(reason, "this fill does not come after those on record.", line)
        return
    rows = [_timed(_decoded(line), item.at_ns) for _, line in item.lines]
    book_trades(desk, rows, lambda index: item.lines[index][1], lambda index: item.lines[index][0])
