"""Mark and oracle prices by the minute: ``asset_ctxs`` CSV files.

Columns are found by their names in the first line. Two spellings of the time are in use; a column that is empty or ``null``
is not known. The venue gives no guarantee that the files are complete, so they are a sample.
"""

import csv
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from events.errors import NumberError
from events.model import PriceTick
from events.sources.book import Book
from events.sources.feed import Item, Sink
from events.sources.hyperliquid import numbers
from events.sources.hyperliquid.desk import Desk, is_spot
from events.sources.hyperliquid.lines import Rank, event_time, grouped_items
from events.sources.hyperliquid.numbers import Noise
from events.sources.reading import Fingerprint, read_lines

__all__ = ["Columns", "columns", "context_rows", "price_ticks"]

_UNKNOWN = ("", "null")
_SYMBOL_CHARS_MAX = 256


class Columns(NamedTuple):
    """Where the columns stand that mean something to a ledger."""

    time: int
    coin: int
    oracle: int
    mark: int
    width: int


def columns(header: bytes) -> Columns | None:
    """Return the columns of a header line, None where it is not one of an ``asset_ctxs`` file."""
    try:
        names = [name.strip() for name in header.decode("utf-8-sig").split(",")]
        time, coin, oracle, mark = (names.index(name) for name in ("time", "coin", "oracle_px", "mark_px"))
    except ValueError:  # a name is not there, or the bytes are not text
        return None
    return Columns(time, coin, oracle, mark, len(names))


def _cells(line: bytes) -> list[str] | None:
    try:
        text = line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError:
        return None
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], strict=True), None)
    except csv.Error:
        return None


@lru_cache(maxsize=64)
def _at_ns(text: str) -> int | None:
    try:
        return event_time(text)
    except NumberError:
        return None


def _time(line: bytes, where: Columns) -> int | None:
    """Return the time of a line, without reading the rest of it where no cell is quoted."""
    if b'"' in line:
        cells = _cells(line)
        return None if cells is None or len(cells) != where.width else _at_ns(cells[where.time])
    if line.count(b",") + 1 != where.width:
        return None
    return _at_ns(line.split(b",", where.time + 1)[where.time].decode(errors="replace").rstrip("\r"))


def context_rows(file: Fingerprint, where: Columns, after_row: int) -> Iterator[Item]:
    """Yield the rows of an ``asset_ctxs`` file, those of one time together."""
    lines = read_lines(file, after=1)
    return grouped_items(lines, after_row, Rank.CONTEXTS, lambda line: _time(line, where), again=True)


def price_ticks(where: Columns, item: Item, source: int, book: Book, sink: Sink) -> None:
    """Emit the price ticks of one time."""
    desk = Desk(source, book, sink, item.at_ns, item.row)
    for row, line in item.lines:
        desk.row = row
        cells = _cells(line)
        if cells is None or len(cells) != where.width or _at_ns(cells[where.time]) is None:
            desk.quarantine("shape", f"this row has not {where.width} columns with a time.", line)
        elif item.late:
            desk.quarantine("out-of-order", "this row does not come after those before it.", line)
        else:
            _tick(desk, cells, where, line)


def _tick(desk: Desk, cells: list[str], where: Columns, line: bytes) -> None:
    coin, mark, oracle = cells[where.coin], cells[where.mark], cells[where.oracle]
    if is_spot(coin):
        desk.set_aside("spot")
        return
    if mark in _UNKNOWN:
        desk.set_aside("no-mark")
        return
    if not 0 < len(coin) <= _SYMBOL_CHARS_MAX:
        desk.quarantine("shape", "this row names no coin.", line)
        return
    listed = desk.listing(coin)
    noise: list[Noise] = []
    try:
        price = numbers.price(mark, listed.price_decimals, noise, "residual.mark")
        known = oracle not in _UNKNOWN
        index = numbers.price(oracle, listed.price_decimals, noise, "residual.oracle") if known else None
    except NumberError as error:
        desk.quarantine("number", error.message, line)
        return
    desk.sink.emit(PriceTick(desk.at_ns, desk.source, desk.row, desk.market(listed), price, index))
    desk.settle(noise)
    desk.used()
