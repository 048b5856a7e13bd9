from collections.abc import Callable
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from events.model import AdlClose, AnyEvent
from replay.queries.inequality import lorenz

AMOUNTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=40).filter(any)


@given(AMOUNTS)
def test_lorenz_points_are_those_of_the_smallest(amounts: list[int]) -> None:
    points = lorenz(amounts)
    assert points[-1] == (len(amounts), sum(amounts))
    for tenth, (count, part) in enumerate(points, 1):
        assert 0 <= count - Fraction(len(amounts) * tenth, 10) < 1
        # No other choice of so many is smaller, and no point is above the diagonal.
        assert part == sum(sorted(amounts)[:count])
        assert part * len(amounts) <= sum(amounts) * count


def test_shares_of_an_incident(evening: list[AnyEvent], query: Callable[..., Any]) -> None:
    found = query("Q13", evening)
    assert found.values["accounts"] == str(len({e.winner for e in evening if isinstance(e, AdlClose)}))
    assert int(found.values["owners"]) <= int(found.values["accounts"])
    for table in ("lorenz.accounts", "lorenz.owners"):
        assert found.rows(table)[-1]["notional"] == found.values["notional"]
    largest = found.rows("largest")
    assert largest[0]["share"] == found.values["accounts.top1"]
    assert sum(row["closes"] for row in largest) <= sum(isinstance(e, AdlClose) for e in evening)


def test_shares_by_hand(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (-900, 1_000)}), (10**12, {0: (400, 1_000)}), (10**12, {0: (500, 1_000)})], [1_000])
    told.round(6, 0, -900)
    told.close(6, 7, 0, 1_000, 100)
    told.close(6, 8, 0, 1_000, 300)
    values = query("Q13", told.events).values
    assert values == {
        "notional": "40", "accounts": "2", "accounts.top1": "0.7500", "accounts.gini": "0.2500",
        "owners": "2", "owners.top1": "0.7500", "owners.gini": "0.2500",
    }  # fmt: skip
