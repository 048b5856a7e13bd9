"""The fit: the true rule explains a record best, and an order is told from claims where the record has no more."""

from collections.abc import Callable, Iterable

import pytest
from msgspec.structs import replace

from events.model import AdlClose, AdlRound, AnyEvent, Opening, OpenPosition, PolicyAdopted, Transfer
from replay.core.policy import Policy
from replay.fit import PresetFit, fit_events
from replay.presets import preset, presets
from replay.scenarios import load, play
from replay.testing.scenarios import scaled

Stage = Callable[..., list[AnyEvent]]
Settle = Callable[..., list[AnyEvent]]

LOSER = 6
POLICIES = {name: one.policy for name, one in presets().items()}
SMALL = scaled(load("crash"), fund=15_000)
# Equities, entries and sizes so unlike each other that rules disagree.
TRADERS = [
    (0, {0: (10, 1_000)}),
    (10**8, {0: (-4, 1_150)}),
    (4 * 10**8, {0: (-3, 1_300)}),
    (10**9, {0: (-8, 1_100)}),
    (5 * 10**7, {0: (-2, 1_010)}),
]


def fits_of(events: Iterable[AnyEvent], policies: dict[str, Policy] | None = None) -> dict[str, PresetFit]:
    return {one.preset: one for one in fit_events(enumerate(events, 1), policies or POLICIES)[1]}


@pytest.fixture
def recorded(stage: Stage, settle: Settle) -> Callable[[str], list[AnyEvent]]:
    return lambda name: settle(stage(TRADERS, [900], preset=preset(name).texts), LOSER)


@pytest.mark.parametrize(
    "name", ["queue", "bitget", "dydx-v4", "leverage-draining", "min-max", "pro-rata", "rap", "drift-v2", "tear-up", "vmgh"]
)
def test_the_true_rule_comes_first_and_explains_everything(recorded: Callable[[str], list[AnyEvent]], name: str) -> None:
    fits = fits_of(recorded(name))
    true = fits[name]
    assert (true.place, true.exact_ppm, true.reproduced, true.decidable, true.rounds) == (1, 1_000_000, 1, 1, 1)
    if true.scored > 1:
        assert true.tau_ppm == 1_000_000 or name == "dydx-v4"
    worst = max(fits.values(), key=lambda one: one.place)
    assert worst.place > 1
    assert (worst.exact_ppm or 0) < 1_000_000


def test_the_true_rule_of_an_incident_comes_first() -> None:
    fits = fits_of(play(SMALL))
    true = fits["queue"]
    assert (true.place, true.exact_ppm, true.tau_ppm, true.first_inversion) == (1, 1_000_000, 1_000_000, None)
    assert true.reproduced == true.rounds > 10
    for other in ("bitget", "kucoin", "leverage-draining", "pro-rata"):
        assert fits[other].place > 1
        assert (fits[other].exact_ppm or 0) < 1_000_000
    alike = [one for one in fits.values() if one.place == 1]
    assert all((one.exact_ppm, one.reproduced, one.tau_ppm) == (1_000_000, true.rounds, 1_000_000) for one in alike)


def test_one_round_can_be_asked_for() -> None:
    events = list(play(SMALL))
    _, (one,) = fit_events(enumerate(events, 1), {"queue": POLICIES["queue"]}, only=3)
    assert [found.round for found in one.round_list] == [3]
    assert (one.rounds, one.reproduced) == (1, 1)


def test_exact_shares_count_closes_at_their_place(recorded: Callable[[str], list[AnyEvent]]) -> None:
    events = recorded("queue")
    places = [place for place, event in enumerate(events) if isinstance(event, AdlClose)]
    first, second = places[:2]
    events[first], events[second] = events[second], events[first]
    fits = fits_of(events)
    found = fits["queue"]
    assert (found.parts, found.matched, found.reproduced) == (len(places), len(places) - 2, 0)
    assert found.round_list[0].verdict == "order"
    assert found.first_inversion == second + 1
    pairs = len(places) * (len(places) - 1) // 2
    assert (found.concordant, found.discordant, found.tied) == (pairs - 1, 1, 0)


def without_cash(events: list[AnyEvent]) -> list[AnyEvent]:
    """Return the record as a venue may publish it: no cash but what it claims, no policy, and positions as first seen."""
    kept = []
    for event in events:
        if isinstance(event, PolicyAdopted | Transfer):
            continue
        if type(event).__name__ == "AccountOpened" and getattr(event, "account", 0) > 5:
            event = replace(event, new=False)  # noqa: PLW2901
        kept.append(replace(event, policy=None) if isinstance(event, AdlRound) else event)
    openings = [
        Opening(0, 0, 0, account, None, tuple(OpenPosition(market, 0, None, 0) for market in held))
        for account, (_, held) in enumerate(TRADERS, LOSER)
    ]
    at = max(place for place, event in enumerate(kept) if type(event).__name__ == "AccountOpened") + 1
    fills = [event for event in kept[:at] if type(event).__name__ == "Fill"]
    heads = [event for event in kept[:at] if type(event).__name__ != "Fill"]
    return [*heads, *openings, *fills, *kept[at:]]


def test_an_order_is_found_from_claims(recorded: Callable[[str], list[AnyEvent]]) -> None:
    events = without_cash(recorded("queue"))
    fits = fits_of(events)
    found = fits["queue"]
    assert (found.place, found.exact_ppm, found.decidable, found.reproduced) == (1, None, 0, 0)
    assert found.scored == found.from_claims == found.parts
    assert (found.tau_ppm, found.left_out) == (1_000_000, 0)
    assert "cash of account" in found.missing


def test_without_claims_the_order_is_only_bounded(recorded: Callable[[str], list[AnyEvent]]) -> None:
    events = without_cash(recorded("queue"))
    closes = [place for place, event in enumerate(events) if isinstance(event, AdlClose)]
    silent = [replace(event, winner_equity_claim=None) if place in closes[1:2] else event for place, event in enumerate(events)]
    found = fits_of(silent)["queue"]
    assert (len(closes), found.scored, found.left_out, found.tau_ppm) == (4, 3, 1, 1_000_000)
    # At worst the silent one has the lowest score: it then stands right behind the first and wrong before the last two.
    assert (found.tau_low_ppm, found.tau_high_ppm) == (333_333, 1_000_000)


def test_ties_are_no_evidence(stage: Stage, settle: Settle) -> None:
    alike = [TRADERS[0], *[(10**8, {0: (-4, 1_150)})] * 3]
    found = fits_of(settle(stage(alike, [900]), LOSER))["queue"]
    assert (found.exact_ppm, found.concordant, found.discordant, found.tied, found.tau_ppm) == (1_000_000, 0, 0, 3, 0)


def test_a_record_without_rounds_fits_nothing(stage: Stage) -> None:
    found = fits_of(stage(TRADERS, [1_000]))["queue"]
    assert (found.rounds, found.parts, found.exact_ppm, found.tau_ppm) == (0, 0, None, None)
