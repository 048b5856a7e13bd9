"""What every source adapter gives to the importer: files, their rows in order, and what a row means.

An adapter is a module with ``FORMAT``, ``FORMAT_VERSION`` and ``open_feeds``. The importer (``ledger.importing``) opens the
feeds, merges their items by ``Item.key``, turns each into events with ``Feed.translate`` and commits events and cursor
together. A feed is read from any row on, so an import can stop anywhere and go on later; all memory of what came before is
the ``Book``, which is rebuilt from the events themselves.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from events.model import Completeness, Event
from events.sources.book import Book
from events.sources.reading import Fingerprint

__all__ = ["DUPLICATE", "QUARANTINED", "ROWS_IN", "ROWS_USED", "SET_ASIDE", "Feed", "Item", "LedgerHead", "Sink"]

# Names of tallies. The first two become SourceClosed.rows_in and rows_used; the prefixes are followed by a reason, and
# rows_in = rows_used + every tally with one of the prefixes. All other tallies count something else than rows.
ROWS_IN = "rows_in"
ROWS_USED = "rows_used"
SET_ASIDE = "set_aside."
QUARANTINED = "quarantined."
DUPLICATE = "duplicate."


class Item(NamedTuple):
    """One unit of reading: what one source line holds, or a group of lines that belong together.

    ``key`` orders items over all feeds of an import: ``(time, rank)``; feeds of one format agree on what rank means. Keys
    never fall within a feed, and items of one feed keep its order. ``row`` is the last 1-based line that the item covers
    (or element, where a file is one JSON array), so that reading goes on at ``row + 1``. ``at_ns`` is the time the item
    states, 0 where it states none that can be believed. ``late`` is true when the item is out of the order of its feed, as
    its time or block is not after the one before it, or lies ahead of what follows: it takes the key of the one before it.
    """

    key: tuple[int, int]
    row: int
    at_ns: int
    lines: tuple[tuple[int, bytes], ...]
    late: bool = False


class LedgerHead(NamedTuple):
    """What a new ledger says of itself, as its first source knows it."""

    venue: str
    currency: str
    money_decimals: int


class Sink(Protocol):
    """Where a feed puts what it finds. ``emit`` also lets the book observe the event, so later rows see it."""

    def emit(self, event: Event) -> None:
        """Add an event to the ledger."""

    def count(self, name: str, by: int = 1) -> None:
        """Add to a tally of this source."""


class Feed(Protocol):
    """One opened source file. ``stream`` names what it holds, as the adapter calls it; two files may have the same."""

    file: Fingerprint
    stream: str
    head: LedgerHead
    granularity_ns: int | None
    clock: str
    completeness: Completeness

    def items(self, after_row: int) -> Iterator[Item]:
        """Yield the items whose rows come after ``after_row``, in file order.

        What is yielded, ``late`` included, does not depend on where reading begins.
        """

    def translate(self, item: Item, source: int, book: Book, sink: Sink) -> None:
        """Emit the events of one item and count its rows, by ``rows_in``, ``rows_used`` and the tallies of SourceClosed.

        Bad input becomes ``Quarantined`` events, never an error: whoever calls this need not undo anything.
        """
