"""The venue's own listing of its markets: the API's answer to ``meta``, kept in a file.

It gives what fills do not: each market's size decimals, and so its price decimals, 6 less those (the venue's page on tick
and lot size); and its margin. Maintenance margin is half of the initial margin at maximum leverage, by tier, where a tier's
rate holds for the part of the notional above its bound (the venue's page on margin tiers). Rates are rounded to parts per
trillion, half to even. A market that it calls delisted, or not, is so; of others the status is not known.

It states no time, so its listings come before everything else. A market that is listed already keeps its decimals, as its
numbers could not be read otherwise; that is counted as ``grid.kept``.
"""

import re
from collections.abc import Iterator

import msgspec

from events.errors import BadInputError, NumberError
from events.model import Basis, Contract, MarginTier, MarketListed, MarketStatus
from events.sources.book import Book
from events.sources.feed import Item, Sink
from events.sources.hyperliquid import numbers
from events.sources.hyperliquid.desk import Desk, refusal
from events.sources.hyperliquid.lines import Rank
from events.sources.hyperliquid.numbers import PERP_DECIMALS
from events.sources.hyperliquid.shapes import UNREADABLE, Asset, Meta_, Tier
from events.sources.reading import Fingerprint, read_chunks
from events.units import INT64_MIN, PPT, div_half_even

__all__ = ["is_meta", "market_listings", "meta_rows"]

_BYTES_MAX = 64 * 1024 * 1024
_STATUS = {None: MarketStatus.UNKNOWN, False: MarketStatus.TRADING, True: MarketStatus.DELISTED}
_HEAD = re.compile(rb'\s*\{.{0,65536}?"universe"\s*:\s*\[', re.DOTALL)

_meta: "msgspec.json.Decoder[Meta_]" = msgspec.json.Decoder(Meta_)
_asset: "msgspec.json.Decoder[Asset]" = msgspec.json.Decoder(Asset)


def is_meta(head: bytes) -> bool:
    """Tell from the first bytes whether a file holds an answer to ``meta``."""
    return _HEAD.match(head) is not None and b'"szDecimals"' in head


def meta_rows(file: Fingerprint, after_row: int) -> Iterator[Item]:
    """Yield the whole answer as one item. Raises ``BadInputError`` when it is over 64 MiB."""
    if after_row:
        return
    content = bytearray()
    for chunk in read_chunks(file):
        content += chunk
        if len(content) > _BYTES_MAX:
            raise BadInputError(f"an answer to meta is not over {_BYTES_MAX:,} bytes.", file=str(file.path))
    yield Item((INT64_MIN, Rank.META), 1, 0, ((1, bytes(content)),))


def market_listings(item: Item, source: int, book: Book, sink: Sink) -> None:
    """Emit the listings of an answer to ``meta``."""
    row, content = item.lines[0]
    desk = Desk(source, book, sink, item.at_ns, row)
    try:
        meta = _meta.decode(content)
        tables = {number: _table(table.margin_tiers) for number, table in meta.margin_tables}
    except UNREADABLE as error:
        desk.quarantine(*refusal(error), content)
        return
    except NumberError as error:
        desk.quarantine("number", error.message, content)
        return
    for raw in meta.universe:
        if meta.collateral_token:
            desk.set_aside("collateral")
            continue
        try:
            asset = _asset.decode(raw)
        except UNREADABLE as error:
            desk.quarantine(*refusal(error), bytes(raw))
            continue
        tiers = tables.get(asset.margin_table_id) if asset.margin_table_id is not None else None
        _list(desk, asset, tiers or (_tier(0, asset.max_leverage),))


def _tier(floor_cash: int, max_leverage: int) -> MarginTier:
    return MarginTier(floor_cash, div_half_even(PPT, max_leverage), div_half_even(PPT, 2 * max_leverage))


def _table(tiers: list[Tier]) -> tuple[MarginTier, ...]:
    table = tuple(_tier(numbers.bound(tier.lower_bound), tier.max_leverage) for tier in tiers)
    floors = [tier.floor_cash for tier in table]
    if floors != sorted(set(floors)) or floors[:1] != [0]:
        raise NumberError("the bounds of a margin table begin at 0 and rise.")
    return table


def _list(desk: Desk, asset: Asset, tiers: tuple[MarginTier, ...]) -> None:
    known, status = desk.book.market(asset.name), _STATUS[asset.is_delisted]
    if known is None:
        price_decimals = PERP_DECIMALS - asset.sz_decimals
        desk.sink.emit(
            MarketListed(
                desk.at_ns,
                desk.source,
                desk.row,
                desk.book.next_market,
                asset.name,
                Contract.LINEAR,
                price_decimals,
                asset.sz_decimals,
                1,
                0,
                price_tick=1,
                size_lot=1,
                basis=Basis.AVERAGE_TRUNCATED,
                grid_assumed=False,
                tiers=tiers,
                position_limit=None,
                status=status,
            )
        )
        desk.used()
        return
    listed = desk.book.listed(known)
    if listed.size_decimals != asset.sz_decimals:
        desk.sink.count("grid.kept")
    if (listed.tiers, listed.status) == (tiers, status):
        desk.duplicate("market")
        return
    at = {"at_ns": desk.at_ns, "source": desk.source, "row": desk.row}
    desk.sink.emit(msgspec.structs.replace(listed, **at, tiers=tiers, status=status))
    desk.used()
