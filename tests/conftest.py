"""What every test may use: the real inputs beside the checkout, where they are present, and a ledger in memory."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from events.beginning import beginning
from events.codec import decode, encode
from events.model import (
    SEMANTICS,
    Completeness,
    Event,
    LedgerOpened,
    SourceOpened,
)
from events.sources.book import Book
from events.sources.feed import Feed, Item, LedgerHead
from replay.core.evolve import evolve
from replay.core.invariants import LAWS, Checker, Finding
from replay.core.state import State

# No timed assertions: how fast an example runs says something about the machine, not about the law.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

BOOKS = {law.name for law in LAWS if law.tier == "books"}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "breaks(law, ...): the laws of a sound record that the test's ledgers break")


SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Return a function from a name below shared/data to its path; it skips the test where the file is absent."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"real input {name} is not present beside the checkout")
        return path

    return find


class Tape:
    """A ledger in memory that source adapters write to. Every event is encoded, applied to ``state`` and seen by ``book``.

    ``findings`` are what the laws say of the events. None may be of the books' own laws; the others are facts about the
    record, and a test that means to record such a thing is marked ``breaks`` with the names of the laws.
    """

    def __init__(self, head: LedgerHead) -> None:
        self.events: list[Event] = []
        self.tallies: Counter[str] = Counter()
        self.book = Book()
        self.state = State()
        self.checker = Checker(self.state)
        self.findings: list[Finding] = []
        self.sources = 0
        for event in beginning(LedgerOpened(0, 0, 0, head.venue, head.currency, head.money_decimals, SEMANTICS)):
            self.emit(event)

    def emit(self, event: Event) -> None:
        self.events.append(event)
        stored = decode(encode(event))
        self.checker.before(stored)
        evolve(self.state, stored, len(self.events))
        self.findings += self.checker.after(stored, len(self.events))
        self.book.observe(event)

    def count(self, name: str, by: int = 1) -> None:
        self.tallies[name] += by

    def of(self, kind: type[Event]) -> list[Any]:
        """Return the events of one type, without the reserved accounts."""
        return [event for event in self.events if type(event) is kind and event.source]

    def read(self, feeds: Sequence[Feed]) -> None:
        """Import files together, as ``ledger.importing`` does, and check the laws of every import."""
        first = self.sources + 1
        for feed in feeds:
            self.sources += 1
            file, source = feed.file, self.sources
            sums = (file.sha256, file.content_sha256, file.content_bytes)
            self.emit(SourceOpened(0, source, 0, file.name, *sums, "test", 1, None, None, "", Completeness.UNKNOWN))
        for _, source, item, feed in heapq.merge(*(_items(feed, first + n) for n, feed in enumerate(feeds))):
            feed.translate(item, source, self.book, self)
        again = Book()
        for event in self.events:
            again.observe(event)
        assert again == self.book
        rows = sum(n for name, n in self.tallies.items() if name.startswith(("set_aside.", "quarantined.", "duplicate.")))
        assert self.tallies["rows_in"] == self.tallies["rows_used"] + rows
        self.findings += self.checker.finish()
        assert [finding for finding in self.findings if finding.law in BOOKS] == []


def _items(feed: Feed, source: int) -> Iterator[tuple[tuple[int, int], int, Item, Feed]]:
    for item in feed.items(0):
        yield (item.key, source, item, feed)


@pytest.fixture
def tape(request: pytest.FixtureRequest) -> Iterator[Callable[[LedgerHead], Tape]]:
    """Return a maker of empty ledgers in memory. Laws are broken in them at the end just as the test's mark says."""
    made: list[Tape] = []

    def make(head: LedgerHead) -> Tape:
        made.append(Tape(head))
        return made[-1]

    yield make
    said = {law for mark in request.node.iter_markers("breaks") for law in mark.args}
    assert {finding.law for each in made for finding in each.findings} == said
