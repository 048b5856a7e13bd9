"""From files to feeds: what kind of Hyperliquid file each is, told by its content."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from events.errors import BadInputError, MisuseError
from events.model import Completeness
from events.sources.book import Book
from events.sources.feed import Item, LedgerHead, Sink
from events.sources.hyperliquid.contexts import columns, context_rows, price_ticks
from events.sources.hyperliquid.fills import block_fills, block_rows, line_fills, line_rows
from events.sources.hyperliquid.lines import NS_PER_MS, Rank
from events.sources.hyperliquid.markets import is_meta, market_listings, meta_rows
from events.sources.hyperliquid.misc import misc_events, misc_rows
from events.sources.hyperliquid.numbers import MONEY_DECIMALS
from events.sources.hyperliquid.snapshots import account_openings, position_openings, snapshot_rows, snapshot_stamp
from events.sources.reading import Fingerprint, read_head, read_lines

__all__ = ["HEAD", "KINDS", "Kind", "SourceFeed", "open_feeds", "recognise"]

HEAD = LedgerHead("hyperliquid", "USDC", MONEY_DECIMALS)

_NS_PER_MINUTE = 60_000 * NS_PER_MS
_BLOCK_CLOCK = "block_time: the block's consensus time, UTC"

_SNAPSHOT_CLOCK = "file name: the time of the snapshot's block, UTC"


class Kind(NamedTuple):
    """What is known of a kind of file. ``stream`` is what it tells: two kinds of one stream would tell it twice."""

    stream: str
    granularity_ns: int | None
    clock: str
    completeness: Completeness


# Blocks that hold nothing: which of the two block files it is, nobody can tell, and nothing depends on it.
_EMPTY = "blocks_without_events"

KINDS: dict[str, Kind] = {
    "node_fills_by_block": Kind("fills", 1, _BLOCK_CLOCK, Completeness.COMPLETE),
    "node_fills": Kind("fills", NS_PER_MS, "time: the block's consensus time, UTC, cut to 1 ms", Completeness.COMPLETE),
    "misc_events_by_block": Kind("misc", 1, _BLOCK_CLOCK, Completeness.COMPLETE),
    "asset_ctxs": Kind("contexts", _NS_PER_MINUTE, "time: the minute the archive sampled, UTC", Completeness.SAMPLED),
    "account_value_snapshot": Kind("account-values", NS_PER_MS, _SNAPSHOT_CLOCK, Completeness.UNKNOWN),
    "perp_positions_by_market": Kind("positions", NS_PER_MS, _SNAPSHOT_CLOCK, Completeness.UNKNOWN),
    "meta": Kind("meta", None, "states no time", Completeness.UNKNOWN),
    # Of fills or of misc events, which cannot be told and does not matter.
    _EMPTY: Kind("blocks", 1, _BLOCK_CLOCK, Completeness.UNKNOWN),
}

# Lines looked at before a file is given up, unless they are blocks: a first event may come late.
_PROBE_LINES = 100_000

_LINE_FILL = re.compile(rb'\s*\[\s*"0x[0-9a-fA-F]{40}"\s*,\s*\{')
_BLOCK_LINE = re.compile(rb'\s*\{.*?"block_number"\s*:', re.DOTALL)
_BLOCK_EVENTS = re.compile(rb'"events"\s*:\s*\[\s*([\[{])')
_ACCOUNTS = re.compile(rb'\s*\[?\s*\{[^{}]*"account_value"\s*:')
_POSITIONS = re.compile(rb'\s*\[?\s*\{[^{}]*"(?:market_name|positions)"\s*:')


@dataclass(slots=True)
class SourceFeed:
    """One opened file of one stream."""

    file: Fingerprint
    stream: str
    head: LedgerHead
    granularity_ns: int | None
    clock: str
    completeness: Completeness
    read: Callable[[int], Iterator[Item]]
    apply: Callable[[Item, int, Book, Sink], None]

    def items(self, after_row: int) -> Iterator[Item]:
        """Yield the items after a row. See ``Feed``."""
        return self.read(after_row)

    def translate(self, item: Item, source: int, book: Book, sink: Sink) -> None:
        """Emit an item's events. See ``Feed``."""
        self.apply(item, source, book, sink)


def recognise(path: Path) -> str:
    """Return the kind of a file, a key of ``KINDS``.

    Raises ``BadInputError`` for a file of none of them, and ``MisuseError`` for a snapshot whose name does not say its time;
    also the errors of ``events.sources.reading``.
    """
    head = read_head(path)
    for kind, pattern in (("account_value_snapshot", _ACCOUNTS), ("perp_positions_by_market", _POSITIONS)):
        if pattern.match(head):
            if snapshot_stamp(path.name) is None:
                raise MisuseError(
                    "this is a clearing-house snapshot, and its name does not say its block and time.",
                    cure=f"Name it {kind}_<block>_<epoch milliseconds>.json, as it was published.",
                    file=str(path),
                )
            return kind
    if is_meta(head):
        return "meta"
    if columns(head.split(b"\n", 1)[0]) is not None:
        return "asset_ctxs"
    by_lines = _by_lines(path)
    if by_lines is None:
        raise BadInputError(
            "this is no Hyperliquid file of a known kind.",
            cure=f"Known are: {', '.join(kind for kind in KINDS if kind != _EMPTY)}.",
            file=str(path),
        )
    return by_lines


def _by_lines(path: Path) -> str | None:
    blocks = False
    for row, line in read_lines(path):
        if row > _PROBE_LINES and not blocks:
            break
        if _LINE_FILL.match(line):
            return "node_fills"
        if _BLOCK_LINE.match(line[:4096]):
            blocks = True
            first = _BLOCK_EVENTS.search(line[:4096])
            if first is not None:
                return "node_fills_by_block" if first[1] == b"[" else "misc_events_by_block"
    return _EMPTY if blocks else None


def open_feeds(files: Iterable[Fingerprint]) -> list[SourceFeed]:
    """Open Hyperliquid files of any kinds, together, in the order given. Raises the errors of ``recognise``."""
    kinds = [(file, recognise(file.path)) for file in files]
    positioned = {snapshot_stamp(file.path.name) for file, kind in kinds if kind == "perp_positions_by_market"}
    return [_open(file, kind, snapshot_stamp(file.path.name) in positioned) for file, kind in kinds]


def _open(file: Fingerprint, kind: str, with_positions: bool) -> SourceFeed:
    path = file.path
    read: Callable[[int], Iterator[Item]]
    apply: Callable[[Item, int, Book, Sink], None]
    match kind:
        case "node_fills_by_block" | "blocks_without_events":
            read, apply = partial(block_rows, file), block_fills
        case "node_fills":
            read, apply = partial(line_rows, file), line_fills
        case "misc_events_by_block":
            read, apply = partial(misc_rows, file), misc_events
        case "meta":
            read, apply = partial(meta_rows, file), market_listings
        case "asset_ctxs":
            where = columns(read_head(path).split(b"\n", 1)[0])
            if where is None:
                raise BadInputError("this file changed while it was read.", file=str(path))
            read, apply = partial(context_rows, file, where), partial(price_ticks, where)
        case _:
            stamp = snapshot_stamp(path.name)
            if stamp is None:
                raise BadInputError("this file changed while it was read.", file=str(path))
            accounts = kind == "account_value_snapshot"
            read = partial(snapshot_rows, file, stamp, Rank.ACCOUNTS if accounts else Rank.POSITIONS)
            apply = partial(account_openings, with_positions) if accounts else position_openings
    stream, granularity_ns, clock, completeness = KINDS[kind]
    return SourceFeed(file, stream, HEAD, granularity_ns, clock, completeness, read, apply)
