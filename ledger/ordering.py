"""Events have one order: whether a file may still enter a ledger, and which of several new files comes first.

A ledger grows only at its end. So a new file is measured before anything is written, and refused when it begins before the
latest time that the ledger holds, or when it does not begin after what is held of its own stream.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from events.errors import BadInputError, MisuseError
from events.sources.feed import Feed
from events.times import format_utc
from events.units import INT64_MIN

__all__ = ["Held", "Span", "Spans", "check_order", "granularity_ns_of", "in_order", "measure"]


class Span(NamedTuple):
    """The times by which the first and the last item of a file are ordered, of those that state one."""

    first_ns: int
    last_ns: int


def measure(feed: Feed) -> Span | None:
    """Return the span of a file, None when none of its items states a time."""
    first = next((item.key[0] for item in feed.items(0) if item.at_ns), None)
    if first is None:
        return None
    # The last line nearly always holds the last item; where it holds none, all are read.
    for after in (max(feed.file.lines - 1, 0), 0):
        if last := deque(feed.items(after), maxlen=1):
            return Span(first, last[0].key[0])
    raise BadInputError("this file changed while it was read.", file=feed.file.name)


# By content. Measured once and only for new files, as a file is read for it.
Spans: TypeAlias = dict[bytes, Span | None]


class Held(NamedTuple):
    """How far the ledger holds a stream: the time of its last item, the granularity of that clock, and the file."""

    last_ns: int
    granularity_ns: int
    name: str


def granularity_ns_of(feed: Feed) -> int:
    """Return the step of a feed's clock, one nanosecond where it states none."""
    return feed.granularity_ns or 1


_ORDER_CURE = "Import the files of one period together, without overlaps, into a new ledger if need be."


def check_order(feeds: Sequence[Feed], spans: Spans, held: Mapping[str, Held], latest_ns: int) -> None:
    """Refuse a file that does not begin after what is held of its stream, also by another new file, or before ``latest_ns``.

    Within one stream two times are one when the coarser of the two clocks cannot tell them apart. Against the rest of the
    ledger a tie is no fault.
    """
    held = dict(held)
    for feed in feeds:
        span = spans[feed.file.content_sha256]
        if span is None:
            continue
        before, own_ns = held.get(feed.stream), granularity_ns_of(feed)
        grain_ns = max(own_ns, before.granularity_ns if before else 1)
        begins = f"this file begins at {format_utc(span.first_ns)}, but"
        if before is not None and span.first_ns // grain_ns <= before.last_ns // grain_ns:
            raise MisuseError(
                f"{begins} {before.name} of the same stream, {feed.stream}, reaches to {format_utc(before.last_ns)}, "
                "and events have one order.",
                cure=_ORDER_CURE,
                file=feed.file.name,
            )
        if span.first_ns < latest_ns:
            raise MisuseError(
                f"{begins} the ledger reaches to {format_utc(latest_ns)}, and events have one order.",
                cure=_ORDER_CURE,
                file=feed.file.name,
            )
        held[feed.stream] = Held(span.last_ns, own_ns, feed.file.name)


def in_order(feeds: Iterable[Feed], spans: Spans) -> list[Feed]:
    """Measure new files, and return them in the order in which they are opened, whatever order they are given in."""
    feeds = list(feeds)
    for feed in feeds:
        if feed.file.content_sha256 not in spans:
            spans[feed.file.content_sha256] = measure(feed)

    def rank(feed: Feed) -> tuple[int, str, bytes]:
        span = spans[feed.file.content_sha256]
        return span.first_ns if span else INT64_MIN, feed.stream, feed.file.content_sha256

    return sorted(feeds, key=rank)
