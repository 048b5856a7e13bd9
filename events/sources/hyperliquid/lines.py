"""Lines to items: where a line stands in time, without decoding all of it, and which lines belong together.

A feed is read from its beginning even when an import goes on in its middle: finding out where a line stands is cheap beside
decompressing it, and so an item never depends on where reading began.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from events.errors import NumberError
from events.sources.feed import Item
from events.sources.hyperliquid.shapes import UNREADABLE, Block
from events.times import parse_utc
from events.units import INT64_MAX, INT64_MIN

__all__ = ["GROUP_LINES_MAX", "NS_PER_MS", "Rank", "block_items", "decode_block", "event_time", "grouped_items"]

NS_PER_MS = 1_000_000

# Lines of one time that make one item. A limit, so that memory is bounded; no real millisecond comes near.
GROUP_LINES_MAX = 100_000

_HEAD_BYTES = 400
_BLOCK = re.compile(rb'"block_time"\s*:\s*"([^"]{1,40})"\s*,\s*"block_number"\s*:\s*([0-9]{1,18})[,}\s]')

_block: "msgspec.json.Decoder[Block[msgspec.Raw]]" = msgspec.json.Decoder(Block[msgspec.Raw])


class Rank:
    """What comes first among items of one time."""

    META = 0
    SNAPSHOT = 1
    CONTEXTS = 2
    MISC = 3
    FILLS = 4


class _Stamp(NamedTuple):
    number: int
    at_ns: int


def decode_block(line: bytes) -> Block[msgspec.Raw]:
    """Decode a line of a by-block file, its events left as they are. Raises one of ``UNREADABLE``."""
    return _block.decode(line)


def event_time(text: str) -> int:
    """Return the nanoseconds of an ISO 8601 time, as far as an event can hold them. Raises ``NumberError``."""
    at_ns = parse_utc(text)
    if not INT64_MIN <= at_ns <= INT64_MAX:
        raise NumberError(f"the time {text} is out of range.")
    return at_ns


def _block_stamp(line: bytes) -> _Stamp | None:
    found = _BLOCK.search(line, 0, _HEAD_BYTES)
    try:
        if found is not None:
            return _Stamp(int(found[2]), event_time(found[1].decode("ascii")))
        block = decode_block(line)
        return _Stamp(block.block_number, event_time(block.block_time))
    except (*UNREADABLE, NumberError):
        return None


def block_items(lines: Iterable[tuple[int, bytes]], after_row: int, rank: int) -> Iterator[Item]:
    """Yield one item per block. Late is a block whose number or time is not after all blocks before it."""
    high: _Stamp | None = None
    for row, line in lines:
        if not line.strip():
            continue
        stamp = _block_stamp(line)
        late = stamp is not None and high is not None and (stamp.number <= high.number or stamp.at_ns <= high.at_ns)
        if stamp is not None and not late:
            high = stamp
        if row > after_row:
            key = (high.at_ns if high else 0, rank)
            yield Item(key, row, stamp.at_ns if stamp else 0, ((row, line),), late)


def grouped_items(
    lines: Iterable[tuple[int, bytes]], after_row: int, rank: int, stamp: Callable[[bytes], int | None], *, again: bool
) -> Iterator[Item]:
    """Yield one item per run of lines with one time. A line whose time cannot be read goes with the run it stands in.

    Late is a run before the latest time so far and, unless ``again``, also one at it.
    """
    high: int | None = None
    run: list[tuple[int, bytes]] = []
    run_at: int | None = None
    split = False

    def flush() -> Iterator[Item]:
        nonlocal high
        late = run_at is not None and high is not None and (run_at < high or (run_at == high and not (again or split)))
        if run_at is not None and not late:
            high = run_at
        if run[-1][0] > after_row:
            yield Item((high or 0, rank), run[-1][0], run_at or 0, tuple(run), late)

    for row, line in lines:
        if not line.strip():
            continue
        at_ns = stamp(line)
        if run:
            same = at_ns is None or at_ns == run_at
            if same and len(run) < GROUP_LINES_MAX:
                run.append((row, line))
                continue
            yield from flush()
            split = same
        run, run_at = [(row, line)], (run_at if split and at_ns is None else at_ns)
    if run:
        yield from flush()
