"""The order of closes beside a rule's scores: pairs, inversions, ties, and what cannot be scored."""

import pytest

from replay.core.policy import Atom
from replay.ordering.agreement import OrderFit, fit_order
from replay.ordering.kendall import TauRange
from replay.ordering.measuring import Measured
from replay.presets import preset

QUEUE = preset("queue").policy
UNIT = 10**8
NAME = "profit x leverage"


def short(account: int, entry: int, equity: int | None, *, claims: bool = False) -> Measured:
    """A short of 4 lots from ``entry`` with mark at 1,000. With equity above 0, its score rises with its entry."""
    atoms = {
        Atom.PROFIT: 4 * (entry - 1_000),
        Atom.ENTRY_NOTIONAL: 4 * entry,
        Atom.NOTIONAL: 4_000,
        Atom.EQUITY: equity,
    }
    return Measured(account, atoms, claims)


HIGH, MIDDLE, LOW = short(11, 1_300, 10**8), short(12, 1_200, 10**8), short(13, 1_100, 10**8)


@pytest.mark.parametrize(
    ("closes", "expected"),
    [
        ([], OrderFit(NAME, 0, 0, 0, 0, 0, 0, None, 0, 0, None, TauRange(0, 0, 0))),
        ([HIGH], OrderFit(NAME, 1, 0, 0, 0, 0, 0, None, 0, 0, None, TauRange(0, 0, 0))),
        ([HIGH, MIDDLE, LOW], OrderFit(NAME, 3, 0, 0, 3, 0, 0, 1_000_000, 2, 2, None, TauRange(3, 3, 3))),
        ([MIDDLE, HIGH, LOW], OrderFit(NAME, 3, 0, 0, 2, 1, 0, 333_333, 2, 1, 101, TauRange(1, 1, 3))),
        ([LOW, MIDDLE, HIGH], OrderFit(NAME, 3, 0, 0, 0, 3, 0, -1_000_000, 2, 0, 101, TauRange(-3, -3, 3))),
        ([HIGH, HIGH, LOW], OrderFit(NAME, 3, 0, 0, 2, 0, 1, 666_667, 2, 2, None, TauRange(2, 2, 3))),
        # A loss is scored below a gain, and the higher the leverage, the higher a gain.
        ([HIGH, short(14, 900, 10**8)], OrderFit(NAME, 2, 0, 0, 1, 0, 0, 1_000_000, 1, 1, None, TauRange(1, 1, 1))),
        ([short(14, 1_300, 10**7), HIGH], OrderFit(NAME, 2, 0, 0, 1, 0, 0, 1_000_000, 1, 1, None, TauRange(1, 1, 1))),
        # Without equity there is no leverage, so these stand on one step, the lowest.
        (
            [short(14, 1_300, 0), short(15, 900, -5), LOW],
            OrderFit(NAME, 3, 0, 0, 0, 2, 1, -666_667, 2, 1, 102, TauRange(-2, -2, 3)),
        ),
        # Who cannot be scored is left out, and the bounds say what it could still change.
        (
            [LOW, short(14, 1_300, None), HIGH],
            OrderFit(NAME, 2, 1, 0, 0, 1, 0, -1_000_000, 1, 0, 102, TauRange(-3, -1, 3)),
        ),
        (
            [short(14, 1_300, 10**8, claims=True), LOW],
            OrderFit(NAME, 2, 0, 1, 1, 0, 0, 1_000_000, 1, 1, None, TauRange(1, 1, 1)),
        ),
    ],
)
def test_the_fit_counts_pairs_in_order(closes: list[Measured], expected: OrderFit) -> None:
    assert fit_order(QUEUE, range(100, 100 + len(closes)), closes, UNIT) == expected


def test_own_accounts_come_first_and_a_list_goes_by_its_places() -> None:
    own = Measured(14, LOW.atoms, own=True)
    assert fit_order(QUEUE, [1, 2], [own, HIGH], UNIT).concordant == 1
    listed = preset("dydx-v4").policy
    places = [Measured(account, {}, listed=place) for account, place in ((7, 0), (8, 2), (9, 1), (10, None))]
    found = fit_order(listed, [1, 2, 3, 4], places, UNIT)
    assert (found.scored, found.left_out, found.concordant, found.discordant, found.first_inversion) == (3, 1, 2, 1, 3)


def test_further_measures_part_equal_scores() -> None:
    tied = preset("ethereal").policy
    assert tied.key.ties
    atoms = dict.fromkeys(Atom, 1)
    rows = [Measured(7, {**atoms, Atom.BALANCE: 1}), Measured(8, {**atoms, Atom.BALANCE: 2})]
    found = fit_order(tied, [1, 2], rows, UNIT)
    assert found.tied == 0
