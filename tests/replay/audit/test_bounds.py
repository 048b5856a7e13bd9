"""What an undecidable round still decides: exact in both directions."""

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.model import AccountOpened, AdlClose, AdlRound, AnyEvent, MarginMode, Opening, OpenPosition, Role
from replay.audit import RoundVerdict, audit_events
from replay.audit.bounds import _range
from replay.core.policy import Ratio
from replay.ordering.kendall import TauRange

Stage = Callable[..., list[AnyEvent]]
Settle = Callable[..., list[AnyEvent]]

LOSER, UNKNOWN = 6, 10
# A long of ten lots against shorts of four and eight; a fourth short of three comes with cash that may not be known.
TRADERS = [(0, {0: (10, 1_000)}), (10**8, {0: (-4, 1_150)}), (10**9, {0: (-8, 1_100)}), (10**9, {0: (-8, 1_000)})]


def with_a_fourth(events: list[AnyEvent], cash: int | None, entry: int = 1_300) -> list[AnyEvent]:
    opened = AccountOpened(0, 0, 0, UNKNOWN, "t10", UNKNOWN, Role.USER, MarginMode.CROSS, False, None)
    return [*events, opened, Opening(0, 0, 0, UNKNOWN, cash, (OpenPosition(0, -3, entry, 2),))]


@pytest.fixture
def undecidable(stage: Stage, settle: Settle) -> Callable[[int], RoundVerdict]:
    """Return a function that gives the verdict of a round whose fourth short had this cash, with that cash struck out."""

    def make(cash: int) -> RoundVerdict:
        known = settle(with_a_fourth(stage(TRADERS, [900]), cash), LOSER)
        assert [verdict.verdict for verdict in audit_events(enumerate(known, 1))] == ["reproduced"]
        last = max(place for place, event in enumerate(known) if isinstance(event, AdlClose))
        struck = [replace(event, cash=None) if isinstance(event, Opening) else event for event in known[: last + 1]]
        (verdict,) = audit_events(enumerate(struck, 1))
        assert (verdict.verdict, verdict.missing) == ("undecidable", ("cash of account",))
        return verdict

    return make


def test_need_price_and_order_are_bounded(undecidable: Callable[[int], RoundVerdict]) -> None:
    verdict = undecidable(4 * 10**7)
    bounds = verdict.bounds
    assert bounds is not None
    assert (bounds.need_at_least, bounds.price_low, bounds.price_high, bounds.mark) == (10, 1_000, 1_000, 900)
    assert (bounds.rule, bounds.scored, bounds.left_out) == ("profit x leverage", 2, 1)
    # The two known shorts stand in order; the third, which is first, can be above or below both.
    assert bounds.tau == TauRange(-1, 3, 3)
    # The claims of the venue tell the rest, and are none of the bounds.
    assert verdict.fit is not None
    assert (verdict.fit.scored, verdict.fit.from_claims, verdict.fit.tau_ppm) == (3, 1, 1_000_000)


@pytest.mark.parametrize("cash", [4 * 10**7, 2 * 10**8])
def test_the_missing_equity_is_bounded_on_the_sides_that_matter(undecidable: Callable[[int], RoundVerdict], cash: int) -> None:
    verdict = undecidable(cash)
    bounds = verdict.bounds
    assert bounds is not None
    lot = 10_000
    # Scores as exact fractions, written out once more: r * N / E.
    known = [
        Fraction(4 * 250, 4 * 1_150) * Fraction(4 * 900 * lot, 10**8 + 4 * 250 * lot),
        Fraction(8 * 200, 8 * 1_100) * Fraction(8 * 900 * lot, 10**9 + 8 * 200 * lot),
    ]

    def score(equity: int) -> Fraction:
        return Fraction(3 * 400, 3 * 1_300) * Fraction(3 * 900 * lot, equity)

    (found,) = bounds.equity
    assert found.account == UNKNOWN
    true = cash - 3 * 900 * lot
    above = [one for one in known if one > score(true)]
    below = [one for one in known if one < score(true)]
    assert (found.at_least is None) is not bool(above)
    assert (found.at_most is None) is not bool(below)
    if found.at_least is not None:
        assert score(found.at_least) <= min(above) < score(found.at_least - 1)
    if found.at_most is not None:
        assert score(found.at_most) >= max(below) > score(found.at_most + 1)


def test_an_account_that_was_not_closed_is_not_bounded(undecidable: Callable[[int], RoundVerdict]) -> None:
    bounds = undecidable(10**9).bounds
    assert bounds is not None
    assert (bounds.equity, bounds.left_out, bounds.tau) == ((), 0, TauRange(1, 1, 1))


def test_without_a_policy_there_is_no_order_to_bound(stage: Stage, settle: Settle) -> None:
    events = settle(stage(TRADERS, [900]), LOSER)
    kept = [event for event in events if type(event).__name__ != "PolicyAdopted"]
    bare = [replace(event, policy=None) if isinstance(event, AdlRound) else event for event in kept]
    last = max(place for place, event in enumerate(bare) if isinstance(event, AdlClose))
    (verdict,) = audit_events(enumerate(bare[: last + 1], 1))
    assert verdict.bounds is not None
    assert (verdict.bounds.rule, verdict.bounds.tau, verdict.bounds.equity) == (None, None, ())
    assert verdict.bounds.need_at_least == 10


ratios = st.tuples(st.integers(-50, 50), st.integers(1, 50))


@given(st.integers(-40, 40), st.integers(1, 40), st.none() | ratios, st.none() | ratios)
def test_the_range_holds_just_those_equities_whose_score_is_between(
    top: int, bottom: int, high: tuple[int, int] | None, low: tuple[int, int] | None
) -> None:
    least, most = _range(top, bottom, high and Ratio(*high), low and Ratio(*low))
    for equity in (1, 2, 3, 5, 10, 50, 100, 1_000, 10**6):
        score = Fraction(top, bottom * equity) if top > 0 else Fraction(top * equity, bottom)
        fits = (high is None or score <= Fraction(*high)) and (low is None or score >= Fraction(*low))
        assert fits is ((least is None or equity >= least) and (most is None or equity <= most))
