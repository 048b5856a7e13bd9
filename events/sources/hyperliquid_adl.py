"""Hyperliquid's ADL closes as published one per row, with the winner's state just before each.

The file is a public reconstruction of the venue's record (HyperReplay ``adl_detailed_analysis_REALTIME.csv``). Its closes
(``time``, ``coin``, ``adl_price``, ``adl_size``, ``user``, ``liquidated_user``, ``closed_pnl``) are the venue's fills. Its
account values were computed by third parties from the state at the end of their window, by double arithmetic: claims.

What a row becomes. The winner's position just before (``position_size``, ``entry_price``) is an Opening at first sight, or
again where the ledger has another; the close is an AdlClose against ``liquidated_user``, whose own position the file does
not hold, so its Opening says unknown. ``winner_equity_claim`` is ``total_equity``: the account's value with unrealised
profit, which is what a rule by equity would use; ``account_value_realtime`` is that without it. The price rule is the
previous mark, as the venue's page on auto-deleveraging says. The other columns follow from these and are not kept.

Rounds. Rows that follow each other with the same ``time``, ``coin`` and ``liquidated_user`` are one round, and are read as
one item, so a round is stored whole.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct

from events.errors import BadInputError, NumberError
from events.model import AdlClose, Completeness, MarketListed, Opening, OpenPosition, Taker
from events.sources.book import Book
from events.sources.feed import Feed, Item, LedgerHead, Sink
from events.sources.hyperliquid.desk import CONTINUITY_BROKEN, CONTINUITY_CHECKED, Desk, Refused
from events.sources.hyperliquid.feeds import HEAD, KINDS
from events.sources.hyperliquid.numbers import MONEY_DECIMALS, Noise, entry_price, in_range, money, price, size, start_position
from events.sources.hyperliquid.shapes import Address, Coin
from events.sources.reading import Fingerprint, read_head, read_lines
from events.units import INT64_MAX, div_half_even, quantise

__all__ = ["FORMAT", "FORMAT_VERSION", "open_feeds"]

FORMAT = "hyperliquid-adl"
FORMAT_VERSION = 1

GRANULARITY_NS = 1_000_000
CLOCK = "Block time of the venue, cut to milliseconds. Account values are third-party reconstructions."

# Rows of one round are held in memory together. The largest known round has some hundreds.
ROUND_ROWS_MAX = 100_000

_USDC_DECIMALS = 6
_EXACT_DECIMALS = 64

# adl_notional is a product of two doubles, each off by up to 2**-53 of itself; this leaves room for the product's own.
_NOISE_BITS = 47


class Row(Struct, frozen=True, gc=False):
    """One row, as text. The columns of the file, in its usual order; any order is read."""

    user: Address
    coin: Coin
    time: Annotated[str, Meta(pattern=r"^[0-9]{1,16}\Z")]
    adl_price: str
    adl_size: str
    adl_notional: str
    closed_pnl: str
    position_size: str
    entry_price: str
    account_value_realtime: str
    total_unrealized_pnl: str
    total_equity: str
    is_negative_equity: str
    leverage_realtime: str
    position_unrealized_pnl: str
    pnl_percent: str
    liquidated_user: Address

    @property
    def at_ns(self) -> int:
        """Return the time of the close."""
        at_ns: int = int(self.time) * GRANULARITY_NS
        return at_ns

    @property
    def round(self) -> tuple[str, str, str]:
        """Return what the rows of one round share."""
        return self.time, self.coin, self.liquidated_user


def _parse(line: bytes, columns: Sequence[str]) -> Row:
    try:
        cells = next(csv.reader([line.decode().removesuffix("\r")], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused("bad-csv", str(error)) from error
    if len(cells) != len(columns):
        raise Refused("shape", f"{len(cells)} cells where the header has {len(columns)}")
    try:
        row = msgspec.convert(dict(zip(columns, cells, strict=True)), Row)
    except msgspec.ValidationError as error:
        raise Refused("shape", str(error)) from error
    if row.at_ns > INT64_MAX:
        raise Refused("shape", f"the time {row.time} is out of range")
    if row.user.lower() == row.liquidated_user.lower():
        raise Refused("one-party", "the winner is the liquidated user")
    return row


class _Close(NamedTuple):
    """The numbers of one row, on the ledger's grids."""

    row: Row
    price: int
    size: int
    start: int
    entry: OpenPosition
    profit: int
    equity: int
    noise: list[Noise]


def _numbers(row: Row, listed: MarketListed) -> _Close:
    noise: list[Noise] = []
    try:
        close = _Close(
            row,
            price(row.adl_price, listed.price_decimals, noise),
            size(row.adl_size, listed.size_decimals, noise),
            start_position(row.position_size, listed.size_decimals, noise),
            OpenPosition(listed.market, 0, *entry_price(row.entry_price)),
            money(row.closed_pnl, noise, "residual.closed_pnl"),
            _equity(row.total_equity, noise),
            noise,
        )
        claimed = quantise(row.adl_notional, _EXACT_DECIMALS).value
    except NumberError as error:
        raise Refused("number", error.message) from error
    exact = close.price * close.size * 10 ** (_EXACT_DECIMALS - listed.price_decimals - listed.size_decimals)
    if abs(claimed - exact) << _NOISE_BITS > exact:
        raise Refused("notional", f"adl_notional {row.adl_notional} is not {row.adl_price} * {row.adl_size}")
    if not close.start:
        raise Refused("no-position", "the winner has no position, so the side of the close is not known")
    return close


def _equity(text: str, noise: list[Noise]) -> int:
    """Return a claimed account value to the nearest 10**-6.

    It is a sum of many doubles, so its noise may be any share of it; a claim is rounded, and counted where that is more
    than the noise of its own last digit.
    """
    try:
        return money(text, noise, "residual.total_equity")
    except NumberError:
        exact = quantise(text, _EXACT_DECIMALS).value
        noise.append(Noise("rounded.total_equity"))
        coarse: int = 10 ** (_EXACT_DECIMALS - _USDC_DECIMALS)
        fine: int = 10 ** (MONEY_DECIMALS - _USDC_DECIMALS)
        return in_range(div_half_even(exact, coarse) * fine, text)


@dataclass
class _AdlFeed:
    """One file. ``columns`` is its header."""

    file: Fingerprint
    columns: tuple[str, ...]
    stream: str = KINDS["node_fills"].stream  # these closes are among those fills, and must not be told twice
    head: LedgerHead = HEAD
    granularity_ns: int | None = GRANULARITY_NS
    clock: str = CLOCK
    completeness: Completeness = Completeness.UNKNOWN

    def items(self, after_row: int) -> Iterator[Item]:
        """Yield one item per round. Rows that cannot be read stay with the rows before them."""
        for item in self._rounds():
            if item.row > after_row:
                yield item

    def _rounds(self) -> Iterator[Item]:
        lines: list[tuple[int, bytes]] = []
        current: tuple[str, str, str] | None = None
        key, at_ns, late = (0, 0), 0, False
        for row, line in read_lines(self.file, 1):
            if not line.strip():
                continue
            try:
                found = _parse(line, self.columns)
            except Refused:
                found = None
            if found is not None and found.round != current:
                if lines:
                    yield Item(key, row - 1, at_ns, tuple(lines), late)
                lines, current, at_ns, late = [], found.round, found.at_ns, found.at_ns < key[0]
                key = key if late else (at_ns, row)
            if len(lines) == ROUND_ROWS_MAX:
                raise BadInputError(f"a round has more than {ROUND_ROWS_MAX:,} rows.", file=self.file.name, row=row)
            lines.append((row, line))
        if lines:
            yield Item(key, lines[-1][0], at_ns, tuple(lines), late)

    def translate(self, item: Item, source: int, book: Book, sink: Sink) -> None:
        """Emit the round and its closes; a row that cannot be accepted goes into quarantine."""
        desk = Desk(source, book, sink, item.at_ns, item.row)
        number: int | None = None
        for desk.row, line in item.lines:
            try:
                row = _parse(line, self.columns)
                _check_order(item, desk)
                listed = desk.listing(row.coin)
                close = _numbers(row, listed)
            except Refused as refused:
                desk.quarantine(refused.reason, refused.detail, line)
                continue
            market = desk.market(listed)
            loser = desk.account(row.liquidated_user)
            if number is None:
                number = _begin(desk, loser, market, close.price)
            _book(desk, close, loser, market, number)
            desk.used()
            desk.settle(close.noise)


def _check_order(item: Item, desk: Desk) -> None:
    if item.late:
        raise Refused("out-of-order", "the time of this row is before that of an earlier one")
    if desk.at_ns < desk.book.trades_at_ns and desk.book.trades_source != desk.source:
        raise Refused("overlap", "this close does not come after the trades on record")


def _begin(desk: Desk, loser: int, market: int, at_price: int) -> int:
    """Emit the round, and before it that the loser's position is not known, where nothing was said of it yet."""
    if desk.book.size(loser, market) is None:
        unknown = (OpenPosition(market, None, None, 0),)
        desk.sink.emit(Opening(desk.at_ns, desk.source, desk.row, loser, None, unknown))
    return desk.begin_round(loser, market, at_price, None)


def _book(desk: Desk, close: _Close, loser: int, market: int, number: int) -> None:
    winner = desk.account(close.row.user)
    known = desk.book.size(winner, market)
    if known == close.start:
        desk.sink.count(CONTINUITY_CHECKED)
    else:
        if known is not None:
            desk.sink.count(CONTINUITY_BROKEN)
        stated = (msgspec.structs.replace(close.entry, market=market, size=close.start),)
        desk.sink.emit(Opening(desk.at_ns, desk.source, desk.row, winner, None, stated))
    buys = close.start < 0
    buyer, seller = (winner, loser) if buys else (loser, winner)
    desk.sink.emit(
        AdlClose(
            desk.at_ns,
            desk.source,
            desk.row,
            market=market,
            buyer=buyer,
            seller=seller,
            price=close.price,
            size=close.size,
            buyer_fee=0,
            seller_fee=0,
            trade=None,
            taker=Taker.UNKNOWN,
            buyer_order=None,
            seller_order=None,
            buyer_start_claim=close.start if buys else None,
            seller_start_claim=None if buys else close.start,
            buyer_profit_claim=close.profit if buys else None,
            seller_profit_claim=None if buys else close.profit,
            round=number,
            winner=winner,
            mark=None,
            winner_equity_claim=close.equity,
            rank_claim=None,
        )
    )


def open_feeds(files: Sequence[Fingerprint]) -> list[Feed]:
    """Return a feed for each file. Raises ``BadInputError`` when a header has unknown columns or lacks some."""
    return [_AdlFeed(file, _columns(file)) for file in files]


def _columns(file: Fingerprint) -> tuple[str, ...]:
    first = read_head(file.path).split(b"\n", 1)[0].decode(errors="replace").removesuffix("\r")
    columns = tuple(first.split(","))
    wanted = Row.__struct_fields__
    unknown = [name for name in columns if name not in wanted]
    missing = [name for name in wanted if name not in columns]
    doubled = sorted({name for name in columns if columns.count(name) > 1})
    said = [
        f"{what} {', '.join(names)}"
        for what, names in (("unknown", unknown), ("missing", missing), ("double", doubled))
        if names
    ]
    if said:
        raise BadInputError(f"the header has columns that are {' and '.join(said)}.", file=file.name, row=1)
    return columns
