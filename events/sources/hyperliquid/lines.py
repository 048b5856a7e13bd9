"""Lines to items: where a line stands in time, without decoding all of it, and which lines belong together.

A feed is read from its beginning even when an import goes on in its middle: finding out where a line stands is cheap beside
decompressing it, and so an item never depends on where reading began.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias, TypeVar

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

# What is looked at behind a line to tell whether its time or the next one's is out of order.
_FOLLOWING = 2

_HEAD_BYTES = 400
_BLOCK = re.compile(rb'"block_time"\s*:\s*"([^"]{1,40})"\s*,\s*"block_number"\s*:\s*([0-9]{1,18})[,}\s]')

_block: "msgspec.json.Decoder[Block[msgspec.Raw]]" = msgspec.json.Decoder(Block[msgspec.Raw])


class Rank:
    """What comes first among items of one time."""

    META = 0
    CONTEXTS = 1
    MISC = 2
    FILLS = 3
    POSITIONS = 4  # before the cash: where cash is known, a position not stated is flat
    ACCOUNTS = 5


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


_Entry = TypeVar("_Entry")


def _with_following(entries: Iterable[_Entry]) -> Iterator[tuple[_Entry, list[_Entry]]]:
    """Yield each entry with the two after it, or as many as there are."""
    window: deque[_Entry] = deque()
    for entry in entries:
        window.append(entry)
        if len(window) > _FOLLOWING:
            first = window.popleft()
            yield first, list(window)
    while window:
        first = window.popleft()
        yield first, list(window)


def _falls(one: _Stamp, other: _Stamp) -> bool:
    return one.number < other.number or one.at_ns < other.at_ns


def _ahead(stamp: _Stamp, following: Iterable[_Stamp | None], high: _Stamp | None) -> bool:
    """Tell whether a stamp is itself the wrong one, where what follows falls back: only it stands out between the others.

    Were it believed, everything after it would be late.
    """
    known = [each for each in following if each is not None]
    if not known or not _falls(known[0], stamp) or (high is not None and _falls(known[0], high)):
        return False
    return all(_falls(each, stamp) for each in known)


def block_items(lines: Iterable[tuple[int, bytes]], after_row: int, rank: int) -> Iterator[Item]:
    """Yield one item per block. Late is a block whose number or time is not after all before it, or ahead of the next two."""
    high: _Stamp | None = None
    entries = ((row, line, _block_stamp(line)) for row, line in lines if line.strip())
    for (row, line, stamp), following in _with_following(entries):
        late = stamp is not None and high is not None and (stamp.number <= high.number or stamp.at_ns <= high.at_ns)
        ahead = stamp is not None and not late and _ahead(stamp, (each for _, _, each in following), high)
        if stamp is not None and not (late or ahead):
            high = stamp
        if row > after_row:
            key = (high.at_ns if high else INT64_MIN, rank)
            yield Item(key, row, stamp.at_ns if stamp and not ahead else 0, ((row, line),), late or ahead)


class _Run(NamedTuple):
    """Lines with one time, None where none of them states one. ``split``: it goes on with the time of the run before it."""

    lines: list[tuple[int, bytes]]
    at_ns: int | None
    split: bool

    @property
    def stamp(self) -> _Stamp | None:
        """Return the time as a stamp."""
        return None if self.at_ns is None else _Stamp(self.at_ns, self.at_ns)


_Joined: TypeAlias = Callable[[bytes, bytes], bool]


def _runs(lines: Iterable[tuple[int, bytes]], stamp: Callable[[bytes], int | None], joined: _Joined) -> Iterator[_Run]:
    run: list[tuple[int, bytes]] = []
    run_at: int | None = None
    split = False
    for row, line in lines:
        if not line.strip():
            continue
        at_ns = stamp(line)
        if run:
            same = at_ns is None or at_ns == run_at
            room = len(run) < GROUP_LINES_MAX or (len(run) == GROUP_LINES_MAX and joined(run[-1][1], line))
            if same and room:
                run.append((row, line))
                continue
            yield _Run(run, run_at, split)
            split = same
        run, run_at = [(row, line)], (run_at if split and at_ns is None else at_ns)
    if run:
        yield _Run(run, run_at, split)


def grouped_items(
    lines: Iterable[tuple[int, bytes]],
    after_row: int,
    rank: int,
    stamp: Callable[[bytes], int | None],
    *,
    again: bool,
    joined: _Joined = lambda _before, _line: False,
) -> Iterator[Item]:
    """Yield one item per run of lines with one time. A line whose time cannot be read goes with the run it stands in.

    Late is a run before the latest time so far and, unless ``again``, also one at it; or one ahead of the next two. A run is
    split at ``GROUP_LINES_MAX``, but not between two lines that are ``joined``.
    """
    high: int | None = None
    resumed = False  # after a run that is ahead, which may stand in the midst of others of one time
    for run, following in _with_following(_runs(lines, stamp, joined)):
        at_ns, late, ahead = run.at_ns, False, False
        if run.stamp is not None:
            late = high is not None and (run.stamp.at_ns < high or (at_ns == high and not (again or run.split or resumed)))
            held = None if high is None else _Stamp(high, high)
            ahead = not late and _ahead(run.stamp, (each.stamp for each in following), held)
            high = high if late or ahead else at_ns
            resumed = ahead
        row = run.lines[-1][0]
        if row > after_row:
            key = (INT64_MIN if high is None else high, rank)
            yield Item(key, row, 0 if ahead else at_ns or 0, tuple(run.lines), late or ahead)
