"""The explanation: its numbers are the plan's, and its reasons are the key's."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from events.errors import MisuseError
from events.model import (
    AccountOpened,
    AdlCandidates,
    AdlClose,
    AdlRound,
    AnyEvent,
    Fill,
    MarginMode,
    Opening,
    PolicyAdopted,
    PriceTick,
    Role,
    Transfer,
)
from replay.audit import audit_events
from replay.core.levels import pro_rata
from replay.core.plan import plan
from replay.core.ranking import rank
from replay.core.spelling import PARAMETERS
from replay.explain import Explanation, explain
from replay.explain.situation import round_of, situation
from replay.explain.views import explanation_view
from replay.fit import fit_events
from replay.presets import preset, presets
from replay.scenarios import load, play
from replay.testing.scenarios import scaled
from replay.testing.streams import records

Stage = Callable[..., list[AnyEvent]]
Settle = Callable[..., list[AnyEvent]]

LOSER, LOT = 6, 10_000
POLICIES = {name: one.policy for name, one in presets().items()}
TRADERS = [
    (0, {0: (10, 1_000)}),
    (10**8, {0: (-4, 1_150)}),
    (10**8, {0: (-3, 1_300)}),
    (10**9, {0: (-8, 1_100)}),
    (10**9, {0: (-8, 1_000)}),
]
SMALL = scaled(load("crash"), fund=15_000)


@pytest.fixture
def recorded(stage: Stage, settle: Settle) -> Callable[[str], list[AnyEvent]]:
    return lambda name: settle(stage(TRADERS, [900], preset=preset(name).texts), LOSER)


def explained(events: Sequence[AnyEvent], account: str | None = None, above: str | None = None, number: int = 0) -> Explanation:
    return explain(situation(enumerate(events, 1), number, account, above), POLICIES)


def test_the_numbers_are_those_of_the_plan() -> None:
    """For every account of a round of an incident: place, terms and what each preset takes."""
    events = list(play(SMALL))
    found = situation(enumerate(events, 1), 2)
    state, event = found.state, found.record.event
    assert event.size is not None
    ranked = rank(state, event.market, -1 if event.size > 0 else 1, POLICIES["queue"], without=event.loser).ranked
    planned = {close.winner: close.size for close in plan(state, event, POLICIES["queue"]).closes}
    assert len(planned) > 1
    for row in ranked[:6]:
        name = state.accounts[row.account].name
        told = explained(events, name, number=2)
        assert told.standing is not None
        assert told.standing.row == row
        assert told.standing.planned == told.standing.taken == planned.get(row.account, 0)
        assert told.verdict == "reproduced"
        assert row.score is not None
        assert row.returns is not None
        assert row.leverage is not None
        assert Fraction(*row.score) == Fraction(*row.returns) * Fraction(*row.leverage)
        for one in told.alternatives:
            made = plan(state, event, POLICIES[one.preset])
            assert one.missing == made.missing
            assert one.size == sum(close.size for close in made.closes if close.winner == row.account)
            assert one.cash == sum(charge.cash for charge in made.charges if charge.payer == row.account)


def test_the_neighbours_are_those_of_the_queue(recorded: Callable[[str], list[AnyEvent]]) -> None:
    events = recorded("queue")
    labels = {one.row.account: one.label for one in explained(events, "t7").neighbours}
    assert labels == {8: "above", 7: "you", 9: "below, last taken", 10: "first spared"}
    labels = {one.row.account: one.label for one in explained(events, "t8").neighbours}
    assert labels == {8: "you", 7: "below", 9: "last taken", 10: "first spared"}
    assert [one.row.account for one in explained(events).neighbours] == [8, 9, 10]


def test_who_was_spared_and_who_lost_are_told_so(recorded: Callable[[str], list[AnyEvent]]) -> None:
    spared = explained(recorded("queue"), "t10").standing
    assert spared is not None
    assert (spared.taken, spared.planned, spared.seqs) == (0, 0, ())
    assert spared.row is not None
    assert spared.row.rank == 4
    loser = explained(recorded("queue"), "t6").standing
    assert loser is not None
    assert (loser.is_loser, loser.row, loser.equity, loser.size) == (True, None, -1_000 * LOT, 10)
    fund = explained(recorded("queue"), "fund").standing
    assert fund is not None
    assert (fund.row, fund.taken) == (None, 0)


def test_two_accounts_differ_first_in_one_measure(recorded: Callable[[str], list[AnyEvent]]) -> None:
    compared = explained(recorded("queue"), "t7", "t8").comparison
    assert compared is not None
    (step,) = compared.steps
    assert (step.measure, step.ahead, compared.other_taken) == ("score", -1, 3)
    compared = explained(recorded("queue"), "t8", "t7").comparison
    assert compared is not None
    assert compared.steps[-1].ahead == 1
    compared = explained(recorded("dydx-v4"), "t8", "t7").comparison
    assert compared is not None
    assert [(step.measure, step.one, step.other, step.ahead) for step in compared.steps] == [
        ("place in the list", (2, 1), (1, 1), -1)
    ]
    compared = explained(recorded("queue"), "t8", "t6").comparison
    assert compared is not None
    assert (compared.steps, compared.other_row) == ((), None)


def test_equal_scores_are_parted_by_the_account(stage: Stage, settle: Settle) -> None:
    alike = [TRADERS[0], *[(10**8, {0: (-4, 1_150)})] * 3]
    compared = explained(settle(stage(alike, [900]), LOSER), "t8", "t7").comparison
    assert compared is not None
    assert [(step.measure, step.ahead) for step in compared.steps] == [("score", 0), ("account id", -1)]


def test_the_trigger_and_the_price_are_told_with_their_numbers(recorded: Callable[[str], list[AnyEvent]]) -> None:
    told = explained(recorded("queue"), "t8")
    assert [(one.holds, one.left) for one in told.trigger] == [(True, (-1, 10)), (True, (0, 1))]
    prices = told.prices
    assert (prices.planned, prices.low, prices.high, prices.mark, prices.bankruptcy) == (1_000, 1_000, 1_000, 900, 1_000)
    assert (prices.oracle, prices.previous_mark) == (None, None)
    assert (told.amount_taken, told.accounts_taken, told.loser_equity, told.fund) == (10, 3, -1_000 * LOT, 0)


@pytest.mark.parametrize("name", ["pro-rata", "tear-up", "contract-pro-rata", "vmgh", "metaflux", "capped-pro-rata"])
def test_a_share_is_weight_over_weights_and_its_rounding(recorded: Callable[[str], list[AnyEvent]], name: str) -> None:
    shares = []
    for account in ("t7", "t8", "t9", "t10"):
        standing = explained(recorded(name), account).standing
        assert standing is not None
        share = standing.share
        assert share is not None
        assert share.given == standing.planned == standing.taken <= share.cap
        shares.append(share)
    caps, given = [share.cap for share in shares], [share.given for share in shares]
    parts = [share.weight or 0 for share in shares]
    once = POLICIES[name].fill.once
    first = POLICIES[name].rounding.remainder.name == "FIRST"
    assert pro_rata(parts, caps, shares[0].amount, once=once, first=first) == given
    for share in shares:
        if share.real is not None:
            whole = share.real.numerator // share.real.denominator
            one_more = share.remainder_place is not None and share.pieces is not None and share.remainder_place <= share.pieces
            assert share.given == min(whole + one_more, share.cap)


def test_a_level_of_leverage_is_told_before_and_after(recorded: Callable[[str], list[AnyEvent]]) -> None:
    standing = explained(recorded("leverage-draining"), "t7").standing
    assert standing is not None
    share = standing.share
    assert share is not None
    assert share.before == (Fraction(4 * 900, 11_000).as_integer_ratio())
    assert share.after == (Fraction((4 - share.given) * 900, 11_000).as_integer_ratio())
    standing = explained(recorded("drift-v2"), "t7").standing
    assert standing is not None
    assert standing.share is not None
    assert (standing.share.weight, standing.share.weights) == (4, 23)


def test_a_place_in_a_rotated_list_counts_from_the_seed(recorded: Callable[[str], list[AnyEvent]]) -> None:
    events = recorded("dydx-v4")
    place = next(place for place, event in enumerate(events) if isinstance(event, AdlRound))
    turned = [*events[:place], replace(events[place], seed=b"\x02"), *events[place + 1 :]]
    for account, at in (("t9", 1), ("t10", 2), ("t7", 3), ("t8", 4)):
        standing = explained(turned, account).standing
        assert standing is not None
        assert standing.listed is not None
        assert (standing.listed.place, standing.listed.length) == (at, 4)
        assert standing.listed.as_recorded == int(account[1:]) - 6
    standing = explained([*events[:place], replace(events[place], seed=None), *events[place + 1 :]], "t9").standing
    assert standing is not None
    assert (standing.listed, standing.row, standing.planned) == (None, None, None)


def test_of_who_holds_nothing_there_nothing_is_called_unknown(recorded: Callable[[str], list[AnyEvent]]) -> None:
    events = recorded("queue")
    place = next(number for number, event in enumerate(events) if isinstance(event, AdlRound))
    idle = AccountOpened(0, 0, 0, 11, "idle", 11, Role.USER, MarginMode.CROSS, new=True, adl_exempt=None)
    told = explained([*events[:place], idle, *events[place:]], "idle")
    assert told.standing is not None
    assert (told.standing.size, told.standing.equity, told.standing.row, told.standing.known) == (0, 0, None, None)


def test_what_is_missing_is_named_and_what_is_known_is_told(recorded: Callable[[str], list[AnyEvent]]) -> None:
    events = recorded("queue")
    opened = next(event for event in events if isinstance(event, AccountOpened) and event.account == 8)
    place = events.index(opened)
    silent = [event for event in events if not (isinstance(event, Transfer) and event.payee == 8)]
    silent[place] = replace(opened, new=False)
    silent.insert(place + 1, Opening(0, 0, 0, 8, None, ()))
    told = explained(silent, "t8")
    assert told.verdict == "undecidable"
    assert "cash of account" in told.decision.missing
    standing = told.standing
    assert standing is not None
    assert (standing.row, standing.planned, standing.taken, standing.equity) == (None, None, 3, None)
    assert (standing.equity_claim, standing.rank_claim, standing.size_claim) == (10**8 + 3 * 400 * LOT, 1, -3)
    bare = [replace(e, policy=None) if isinstance(e, AdlRound) else e for e in events if not isinstance(e, PolicyAdopted)]
    told = explained(bare, "t8")
    assert (told.decision.rule, told.trigger, told.neighbours) == (None, (), ())
    with pytest.raises(MisuseError, match="cannot be compared"):
        explained(bare, "t8", "t7")


def test_a_record_that_differs_is_told_so(recorded: Callable[[str], list[AnyEvent]]) -> None:
    events = recorded("queue")
    places = [place for place, event in enumerate(events) if isinstance(event, AdlClose)]
    events[places[0]] = replace(events[places[0]], size=2)
    told = explained(events, "t8")
    assert (told.verdict, told.standing and told.standing.taken, told.standing and told.standing.planned) == ("size", 2, 3)


# ---- The situation


def test_the_seqs_are_those_of_the_last_events_that_say_it(recorded: Callable[[str], list[AnyEvent]]) -> None:
    events = recorded("queue")
    found = situation(enumerate(events, 1), 0, "t8")

    def last(kind: type[AnyEvent], *accounts: int) -> int:
        said = [
            seq
            for seq, event in enumerate(events[: found.record.seq], 1)
            if type(event) is kind
            and (not accounts or {getattr(event, "buyer", None), getattr(event, "seller", None)} & {*accounts})
        ]
        return said[-1]

    assert found.origins.policy == last(PolicyAdopted)
    assert found.origins.mark == last(PriceTick)
    assert found.origins.oracle is None
    assert found.origins.position == found.origins.cash == last(Fill, 8)
    assert found.origins.loser_position == last(Fill, LOSER)
    assert found.state.seq == found.record.seq
    assert [close.event.winner for close in found.record.closes] == [8, 7, 9]
    assert all(one.seq < other.seq for one, other in pairwise(found.record.closes))


def test_events_know_their_round(recorded: Callable[[str], list[AnyEvent]]) -> None:
    events = recorded("dydx-v4")
    kinds = (AdlRound, AdlCandidates, AdlClose)
    assert [round_of(event) for event in events] == [0 if isinstance(event, kinds) else None for event in events]
    charged = recorded("vmgh")
    assert sum(round_of(event) == 0 for event in charged) == 1 + sum(
        isinstance(event, Transfer) and event.reference == "round 0" for event in charged
    )


def test_a_round_or_an_account_that_is_not_there_is_misuse(recorded: Callable[[str], list[AnyEvent]], stage: Stage) -> None:
    with pytest.raises(MisuseError, match="no ADL round 7"):
        explained(recorded("queue"), number=7)
    with pytest.raises(MisuseError, match="no ADL round 0"):
        explained(stage(TRADERS, [1_000]))
    with pytest.raises(MisuseError, match="no account 'nobody'"):
        explained(recorded("queue"), "nobody")


def test_an_account_that_comes_to_light_after_the_round_has_claims_alone(recorded: Callable[[str], list[AnyEvent]]) -> None:
    events = recorded("queue")
    place = next(place for place, event in enumerate(events) if isinstance(event, AdlClose))
    close = events[place]
    assert isinstance(close, AdlClose)
    opened = next(event for event in events if isinstance(event, AccountOpened) and event.account == 8)
    late = replace(opened, account=11, owner=11, name="late", new=False)
    changed = [*events[:place], late, replace(close, winner=11, buyer=11), *events[place + 1 :]]
    told = explained(changed, "late")
    assert told.later == {11: "late"}
    assert told.standing is not None
    assert (told.standing.taken, told.standing.size, told.standing.equity, told.standing.known) == (3, None, None, None)


@given(records(), st.sampled_from(sorted(POLICIES)))
@settings(max_examples=60)
def test_any_record_is_judged_fitted_and_explained(events: list[AnyEvent], name: str) -> None:
    """Whatever is on record, there is a verdict with its reasons, and nothing known is contradicted by what is told."""
    texts = preset(name).texts
    parameters = {parameter: getattr(texts, parameter) for parameter in PARAMETERS}
    said = [replace(event, **parameters) if isinstance(event, PolicyAdopted) else event for event in events]
    verdicts = audit_events(enumerate(said, 1))
    state, fits = fit_events(enumerate(said, 1), {name: POLICIES[name]})
    assert fits[0].rounds == len(verdicts) == len(state.rounds)
    for verdict in verdicts:
        assert (verdict.bounds is not None) is (verdict.verdict == "undecidable") is bool(verdict.missing)
        account = state.accounts[verdict.facts.winners[0] if verdict.facts.winners else 4].name
        found = situation(enumerate(said, 1), verdict.round, account)
        told = explain(found, POLICIES)
        assert (told.verdict, told.difference) == (verdict.verdict, verdict.difference)
        assert explanation_view(found.state, told)["account"]["account"] == account
