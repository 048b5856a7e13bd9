"""Engine-made records, small enough to be carried on often."""

import pytest

from events.model import AnyEvent
from replay.scenarios import load, play
from replay.testing.scenarios import scaled

SMALL = scaled(load("crash"), users=120, orders=1_400, fund=20_000)


@pytest.fixture(scope="session")
def evening() -> list[tuple[int, AnyEvent]]:
    """Return a small crash with its seqs."""
    return list(enumerate(play(SMALL), 1))
