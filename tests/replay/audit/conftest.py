"""One recorded round, for the tests of the audit and of what it compares."""

from collections.abc import Callable, Iterable

import pytest

from events.model import AdlClose, AnyEvent, Reason, Transfer
from replay.core.spelling import Texts

Stage = Callable[..., list[AnyEvent]]
Settle = Callable[[Iterable[AnyEvent], int], list[AnyEvent]]

LOSER = 6


def is_charge(event: AnyEvent) -> bool:
    return isinstance(event, Transfer) and event.reason is Reason.SOCIALISED_LOSS


# A long of ten lots is closed against shorts of four, three, eight and eight lots.
TRADERS = [
    (0, {0: (10, 1_000)}),
    (10**8, {0: (-4, 1_150)}),
    (10**8, {0: (-3, 1_300)}),
    (10**9, {0: (-8, 1_100)}),
    (10**9, {0: (-8, 1_000)}),
]


@pytest.fixture
def recorded(stage: Stage, settle: Settle) -> Callable[[Texts], list[AnyEvent]]:
    """Return a function that records the round of ``TRADERS`` under a policy: up to its last close or charge, as what follows
    would no longer fit once one is altered.
    """

    def make(texts: Texts) -> list[AnyEvent]:
        events = settle(stage(TRADERS, [900], preset=texts), LOSER)
        last = max(place for place, event in enumerate(events) if isinstance(event, AdlClose) or is_charge(event))
        return events[: last + 1]

    return make
