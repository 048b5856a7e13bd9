from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from events.model import (
    SEMANTICS,
    AccountOpened,
    AdlCandidates,
    AdlClose,
    AdlRound,
    AnyEvent,
    Candidate,
    Completeness,
    Fill,
    LedgerOpened,
    MarginMode,
    MarketListed,
    Opening,
    OpenPosition,
    PolicyAdopted,
    PriceRule,
    Reason,
    Role,
    SourceOpened,
    Transfer,
)
from ledger.importing import import_files
from ledger.store import create, open_ledger
from replay.audit import RoundVerdict, audit, audit_events
from replay.audit.comparing import Difference
from replay.audit.facts import Facts
from replay.core.spelling import Texts
from replay.ordering.agreement import OrderFit
from replay.ordering.kendall import TauRange
from replay.presets import preset
from replay.scenarios import load, play
from replay.testing.scenarios import scaled

Stage = Callable[..., list[AnyEvent]]
Settle = Callable[[Iterable[AnyEvent], int], list[AnyEvent]]

QUEUE = preset("queue").texts

LOT = 10_000
LOSER = 6
SMALL = scaled(load("crash"), fund=15_000)


# Any event that is none of a round's own.
OVER = Transfer(0, 0, 0, 0, 4, 1, Reason.TOP_UP, None)


def judge(events: Iterable[AnyEvent]) -> list[RoundVerdict]:
    return audit_events(enumerate(events, 1))


@pytest.fixture
def round_of_three(recorded: Callable[[Texts], list[AnyEvent]]) -> list[AnyEvent]:
    """Under the queue the winners are 8, 7 and 9, in this order."""
    return recorded(QUEUE)


def altered(events: list[AnyEvent], close: int, **changes: Any) -> list[AnyEvent]:
    places = [place for place, event in enumerate(events) if isinstance(event, AdlClose)]
    place = places[close - 1]
    return [*events[:place], replace(events[place], **changes), *events[place + 1 :]]


def seq_of(events: list[AnyEvent], close: int) -> int:
    return [seq for seq, event in enumerate(events, 1) if isinstance(event, AdlClose)][close - 1]


# ---- A record that follows its policy, and one altered in one place


def test_a_faithful_round_is_reproduced(round_of_three: list[AnyEvent]) -> None:
    (verdict,) = judge(round_of_three)
    assert verdict == RoundVerdict(
        round=0,
        seq=seq_of(round_of_three, 1) - 1,
        last_seq=seq_of(round_of_three, 3),
        at_ns=7,
        market=0,
        loser=LOSER,
        policy=0,
        verdict="reproduced",
        difference=None,
        missing=(),
        loser_size=10,
        loser_equity=-1_000 * LOT,
        fund=0,
        expected_price=1_000,
        facts=Facts(3, (7, 8, 9), 2, 1, 0, 0, 0, True, 1, 10, 10 * 1_000 * LOT),
        fit=None,
        bounds=None,
    )


def test_a_swapped_winner_is_named(round_of_three: list[AnyEvent]) -> None:
    events = altered(round_of_three, 2, winner=10, buyer=10)
    (verdict,) = judge(events)
    assert verdict.difference == Difference("winner", "account", seq_of(events, 2), 2, expected=7, recorded=10)
    assert (verdict.verdict, verdict.missing) == ("winner", ())


def test_a_changed_size_is_named(round_of_three: list[AnyEvent]) -> None:
    events = altered(round_of_three, 1, size=2)
    (verdict,) = judge(events)
    assert verdict.difference == Difference("size", "size", seq_of(events, 1), 1, expected=3, recorded=2)
    assert verdict.facts.all_but_last_full is False


def test_a_changed_price_is_named(round_of_three: list[AnyEvent]) -> None:
    events = altered(round_of_three, 3, price=999)
    (verdict,) = judge(events)
    assert verdict.difference == Difference("price", "price", seq_of(events, 3), 3, expected=1_000, recorded=999)
    assert verdict.facts.prices == 2


def test_a_changed_order_is_named(round_of_three: list[AnyEvent]) -> None:
    *rest, first, second, third = round_of_three
    events = [*rest, second, first, third]
    (verdict,) = judge(events)
    assert verdict.difference == Difference("order", "account", seq_of(events, 1), 1, expected=8, recorded=7)


def test_a_close_left_out_is_named(round_of_three: list[AnyEvent]) -> None:
    (verdict,) = judge([*round_of_three[:-1], OVER])
    assert verdict.difference == Difference("winner", "account", len(round_of_three) - 1, 3, expected=9, recorded=None)
    (verdict,) = judge([*round_of_three[:-3], OVER])
    assert verdict.difference == Difference("winner", "account", verdict.seq, 1, expected=8, recorded=None)


def test_a_round_that_the_log_ends_in_is_open(round_of_three: list[AnyEvent]) -> None:
    for left_out in (1, 2, 3):
        (verdict,) = judge(round_of_three[:-left_out])
        assert (verdict.verdict, verdict.difference, verdict.missing) == ("open", None, ())
    (verdict,) = judge(altered(round_of_three, 2, size=3)[:-1])  # a part of the close that is next
    assert verdict.verdict == "open"
    assert verdict.facts.all_but_last_full is True
    # What is on record already is compared.
    assert judge(altered(round_of_three, 2, size=5)[:-1])[0].verdict == "size"
    assert judge(altered(round_of_three, 1, size=2)[:-1])[0].verdict == "size"
    assert judge(altered(round_of_three, 2, price=999)[:-1])[0].verdict == "price"
    assert judge(altered(altered(round_of_three, 2, size=3), 2, price=999)[:-1])[0].verdict == "price"
    assert judge(altered(round_of_three, 2, winner=10, buyer=10)[:-1])[0].verdict == "winner"
    (verdict,) = judge([*altered(round_of_three, 2, size=3)[:-1], OVER])
    assert verdict.difference == Difference("size", "size", seq_of(round_of_three, 2), 2, expected=4, recorded=3)


def test_a_close_in_several_trades_is_one_close(round_of_three: list[AnyEvent]) -> None:
    *rest, first, second, third = round_of_three
    parts = [replace(second, size=size) for size in (1, 2, 1)]
    (verdict,) = judge([*rest, first, *parts, third])
    assert (verdict.verdict, verdict.facts.closes, verdict.facts.all_but_last_full) == ("reproduced", 5, True)
    assert (verdict.facts.full, verdict.facts.partial) == (2, 3)
    (verdict,) = judge([*rest, first, *parts[:2], third])
    assert verdict.difference == Difference("size", "size", seq_of(round_of_three, 2), 2, expected=4, recorded=3)
    # At another price it is another close.
    (verdict,) = judge([*rest, first, parts[0], replace(parts[1], price=999), parts[2], third])
    assert verdict.difference == Difference("size", "size", seq_of(round_of_three, 2), 2, expected=4, recorded=1)
    (verdict,) = judge(without_policy([*rest, first, *parts, third]))
    assert verdict.fit == OrderFit("profit x leverage", 3, 0, 0, 3, 0, 0, 1_000_000, 2, 2, None, TauRange(3, 3, 3))


def test_a_close_too_many_is_named(round_of_three: list[AnyEvent]) -> None:
    extra = replace(round_of_three[-1], winner=10, buyer=10, size=1)
    (verdict,) = judge([*round_of_three, extra])
    assert verdict.difference == Difference("winner", "account", len(round_of_three) + 1, 4, expected=None, recorded=10)


def test_a_round_without_its_trigger_is_named(round_of_three: list[AnyEvent]) -> None:
    place = next(place for place, event in enumerate(round_of_three) if isinstance(event, AdlRound))
    (verdict,) = judge([*round_of_three[:place], OVER, *round_of_three[place:]])
    assert verdict.difference == Difference("trigger", "", verdict.seq, None, None, None)
    assert (verdict.fund, verdict.loser_equity) == (1, -1_000 * LOT)


def test_a_round_of_another_size_or_price_is_named(round_of_three: list[AnyEvent]) -> None:
    place = next(place for place, event in enumerate(round_of_three) if isinstance(event, AdlRound))
    for field, value, expected in (("size", 9, 10), ("price", 990, 1_000)):
        opened = replace(round_of_three[place], **{field: value})
        (verdict,) = judge([*round_of_three[:place], opened, *round_of_three[place + 1 :]])
        assert verdict.difference == Difference(field, field, verdict.seq, None, expected, value)


@pytest.mark.parametrize(("size", "differs"), [(9, False), (10, False), (11, True), (-9, True), (-11, True)])
def test_without_a_policy_only_an_impossible_size_is_a_difference(
    round_of_three: list[AnyEvent], size: int, differs: bool
) -> None:
    events = without_policy(round_of_three)
    place = next(place for place, event in enumerate(events) if isinstance(event, AdlRound))
    (verdict,) = judge([*events[:place], replace(events[place], size=size)])
    assert verdict.difference == (Difference("size", "size", verdict.seq, None, 10, size) if differs else None)
    assert verdict.verdict == ("size" if differs else "undecidable")


def test_a_round_is_judged_under_the_policy_in_force_for_its_market(round_of_three: list[AnyEvent]) -> None:
    place = next(place for place, event in enumerate(round_of_three) if isinstance(event, AdlRound))
    adopted = next(event for event in round_of_three if isinstance(event, PolicyAdopted))
    elsewhere = replace(round_of_three[5], market=1, symbol="M1")
    assert isinstance(elsewhere, MarketListed)
    other: list[AnyEvent] = [elsewhere, replace(adopted, policy=1, price="mark", markets=(1,))]
    assert judge([*round_of_three[:place], *other, *round_of_three[place:]])[0].verdict == "reproduced"
    later = replace(adopted, policy=1, price="mark")
    events = [*round_of_three[:place], later, *round_of_three[place:]]
    (verdict,) = judge(events)
    assert (verdict.policy, verdict.expected_price) == (1, 900)
    assert verdict.difference == Difference("policy", "policy", verdict.seq, None, expected=1, recorded=0)
    events[place + 1] = replace(events[place + 1], policy=None)
    (verdict,) = judge(events)
    assert verdict.policy == 1
    assert verdict.difference == Difference("price", "price", verdict.seq, None, 900, 1_000)


def test_a_round_under_a_policy_for_another_market_is_named(round_of_three: list[AnyEvent]) -> None:
    elsewhere = replace(round_of_three[5], market=1, symbol="M1")
    place = next(place for place, event in enumerate(round_of_three) if isinstance(event, PolicyAdopted))
    adopted: AnyEvent = replace(round_of_three[place], markets=(1,))
    (verdict,) = judge([*round_of_three[:place], elsewhere, adopted, *round_of_three[place + 1 :]])
    assert verdict.policy is None
    assert verdict.difference == Difference("policy", "policy", verdict.seq, None, expected=None, recorded=0)


def test_candidates_are_heard_before_the_plan_is_made(round_of_three: list[AnyEvent]) -> None:
    place = next(place for place, event in enumerate(round_of_three) if isinstance(event, AdlRound)) + 1

    def listed(*accounts: int, part: int = 1, parts: int = 1) -> AdlCandidates:
        return AdlCandidates(0, 0, 0, 0, part, parts, tuple(Candidate(a, None, None, None, None) for a in accounts))

    whole = [*round_of_three[:place], listed(8, part=1, parts=2), listed(7, 9, part=2, parts=2), *round_of_three[place:]]
    assert judge(whole)[0].verdict == "reproduced"
    (verdict,) = judge([*round_of_three[:place], listed(7, 9, 10), *round_of_three[place:]])
    assert verdict.difference == Difference("winner", "account", place + 2, 1, expected=7, recorded=8)
    (verdict,) = judge([*round_of_three[:place], listed(8, part=1, parts=2), *round_of_three[place:]])
    assert verdict.missing == ("candidate list: record incomplete",)
    (verdict,) = judge([*round_of_three[:place], listed(7, 8, 9)])
    assert verdict.verdict == "open"
    # Those of another round end this one.
    second = replace(round_of_three[place - 1], round=1)
    verdicts = judge([*round_of_three[:place], second, replace(listed(7), round=0)])
    assert [verdict.verdict for verdict in verdicts] == ["winner", "winner"]


def test_a_record_that_does_not_call_itself_complete_has_no_plan(round_of_three: list[AnyEvent]) -> None:
    """Even where the sizes on record sum to zero: another holder may come to light."""
    digest = b"\0" * 32
    source = SourceOpened(0, 1, 0, "f", digest, digest, 1, "test", 1, None, None, "", Completeness.UNKNOWN)
    fills = [replace(event, source=1) if isinstance(event, Fill) else event for event in round_of_three]
    (verdict,) = judge([*fills[:5], source, *fills[5:]])
    assert (verdict.verdict, verdict.missing) == ("undecidable", ("candidate list: record incomplete",))


def test_altering_any_close_of_an_incident_is_found_at_that_close() -> None:
    events = list(play(SMALL))
    closes = [place for place, event in enumerate(events) if isinstance(event, AdlClose)]
    for place in closes[:: len(closes) // 12]:
        event = events[place]
        assert isinstance(event, AdlClose)
        changed = [*events[:place], replace(event, price=event.price + 1)]
        verdicts = judge(changed)
        assert [verdict.verdict for verdict in verdicts[:-1]] == ["reproduced"] * (len(verdicts) - 1)
        difference = verdicts[-1].difference
        assert difference is not None
        assert (difference.field, difference.seq) == ("price", place + 1)
        assert (difference.expected, difference.recorded) == (event.price, event.price + 1)


# ---- What is missing makes a round undecidable


def without_policy(events: Iterable[AnyEvent]) -> list[AnyEvent]:
    kept = [event for event in events if not isinstance(event, PolicyAdopted)]
    return [replace(event, policy=None) if isinstance(event, AdlRound) else event for event in kept]


def test_without_a_policy_a_round_is_undecidable(round_of_three: list[AnyEvent]) -> None:
    (verdict,) = judge(without_policy(round_of_three))
    assert (verdict.verdict, verdict.missing, verdict.policy, verdict.difference) == ("undecidable", ("policy",), None, None)


def test_an_undecidable_round_has_a_fit(round_of_three: list[AnyEvent]) -> None:
    events = without_policy(round_of_three)
    *rest, first, second, third = events
    (verdict,) = judge([*rest, second, first, third])
    assert verdict.fit == OrderFit("profit x leverage", 3, 0, 0, 2, 1, 0, 333_333, 2, 1, len(events) - 1, TauRange(1, 1, 3))
    assert verdict.verdict == "undecidable"


def test_a_policy_that_is_not_understood_is_no_reason_to_stop(round_of_three: list[AnyEvent]) -> None:
    events = [replace(e, fill="level(contracts)") if isinstance(e, PolicyAdopted) else e for e in round_of_three]
    (verdict,) = judge(events)
    assert verdict.verdict == "undecidable"
    assert verdict.missing == ("policy: policy 0 (profit x leverage), parameter fill: 'level(contracts)' is not known.",)


def test_without_the_losers_cash_the_trigger_is_undecidable(stage: Stage) -> None:
    events = stage([(10**9, {0: (-30, 1_000)})], [900], preset=QUEUE._replace(price="mark"))
    trader = AccountOpened(0, 0, 0, 7, "new", 7, Role.USER, MarginMode.CROSS, False, None)
    opened = AdlRound(0, 0, 0, 0, 7, 0, 20, 900, PriceRule.MARK, None, None, None, 0, (), None, None, None, None)
    stated = Opening(0, 0, 0, 7, None, (OpenPosition(0, 20, 1_000, 2),))
    (verdict,) = judge([*events, trader, stated, opened])
    assert (verdict.verdict, verdict.loser_size, verdict.loser_equity) == ("undecidable", 20, None)
    assert verdict.missing == ("cash of account",)
    assert verdict.fit is None


# ---- Facts that hold whatever the policy


@pytest.mark.parametrize(("size", "full", "partial", "over", "flips"), [(2, 0, 1, 0, 0), (3, 1, 0, 0, 0), (4, 0, 0, 1, 1)])
def test_a_close_is_full_partial_or_too_large(
    round_of_three: list[AnyEvent], size: int, full: int, partial: int, over: int, flips: int
) -> None:
    facts = judge(altered(round_of_three, 1, size=size)[:-2])[0].facts
    assert (facts.closes, facts.full, facts.partial, facts.over_closes, facts.flips) == (1, full, partial, over, flips)


def test_a_close_on_the_wrong_side_is_an_over_close_and_no_flip(round_of_three: list[AnyEvent]) -> None:
    events = altered(round_of_three, 1, buyer=LOSER, seller=8)[:-2]
    facts = judge(events)[0].facts
    assert (facts.over_closes, facts.flips, facts.full, facts.partial) == (1, 0, 0, 0)


def test_a_winner_never_seen_is_unknown_and_leaves_the_rest_open(round_of_three: list[AnyEvent]) -> None:
    opened = next(event for event in round_of_three if isinstance(event, AccountOpened) and event.account == 8)
    stranger = replace(opened, account=11, owner=11, name="stranger", new=False)
    place = next(place for place, event in enumerate(round_of_three) if isinstance(event, AdlRound))
    events = [*round_of_three[:place], stranger, *altered(round_of_three, 1, winner=11, buyer=11)[place:]]
    facts = judge(events)[0].facts
    assert (facts.unknown, facts.full, facts.partial, facts.all_but_last_full) == (1, 1, 1, None)


# ---- A ledger, and the real record


def test_a_ledger_is_audited_with_progress(tmp_path: Path) -> None:
    events = list(play(SMALL))
    path = tmp_path / "demo.adl"
    opened = events[0]
    assert isinstance(opened, LedgerOpened)
    assert opened.semantics == SEMANTICS
    create(path, opened)
    seen: list[tuple[int, int]] = []
    with open_ledger(path, write=True) as ledger:
        ledger.append(events[5:], expected_head=5)
        verdicts = audit(ledger, lambda done, total: seen.append((done, total)))
    assert verdicts == judge(events)
    assert seen[-1] == (len(events), len(events))
    again = msgspec.json.decode(msgspec.json.encode(verdicts), type=list[RoundVerdict])
    assert again == verdicts


def test_the_first_wave_of_2025_10_10_is_undecidable_but_tells_facts(
    shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    path = tmp_path / "wave.adl"
    import_files(path, "hyperliquid-adl", [shared_data("hyperliquid/adl_2025-10-10_first_wave.csv")])
    with open_ledger(path) as ledger:
        verdicts = audit(ledger)
    facts = [verdict.facts for verdict in verdicts]
    assert len(verdicts) == 14
    assert sum(fact.full for fact in facts) == 387
    assert [fact.partial for fact in facts] == [1] * 14
    assert all(fact.all_but_last_full for fact in facts)
    assert {fact.prices for fact in facts} == {1}
    assert {(fact.flips, fact.over_closes, fact.unknown) for fact in facts} == {(0, 0, 0)}
    assert {verdict.verdict for verdict in verdicts} == {"undecidable"}
    assert {verdict.missing for verdict in verdicts} == {
        ("policy", "loser's position", "candidate list: record incomplete", "cash of account", "mark price")
    }
    fits = [verdict.fit for verdict in verdicts if verdict.fit is not None]
    assert [fit.scored for fit in fits] == [fact.closes for fact in facts]
    assert all(fit.concordant + fit.discordant + fit.tied == fit.scored * (fit.scored - 1) // 2 for fit in fits)
    # The published rank does not explain the order: many pairs stand against it.
    assert sum(fit.discordant for fit in fits) > 2_000
