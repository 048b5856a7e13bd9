"""Records in files, as the verbs find them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from events.model import AnyEvent, LedgerOpened
from ledger.store import create, open_ledger


@pytest.fixture(scope="session")
def record() -> Callable[[Path, Sequence[AnyEvent]], str]:
    """Return a function that stores events, from LedgerOpened on, in a new ledger and returns its path as text."""

    def make(path: Path, events: Sequence[AnyEvent]) -> str:
        assert isinstance(events[0], LedgerOpened)
        create(path, events[0])
        with open_ledger(path, write=True) as opened:
            opened.append(events[opened.head :], expected_head=opened.head)
        return str(path)

    return make
