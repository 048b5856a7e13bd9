"""What counts as the same: levels in any order, charges, stated targets and lists."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from msgspec.structs import replace

from events.model import AdlClose, AdlRound, AnyEvent, PolicyAdopted, Reason, Transfer
from replay.audit import RoundVerdict, audit_events
from replay.audit.comparing import Difference
from replay.core.spelling import PARAMETERS, Texts
from replay.presets import preset

QUEUE = preset("queue").texts

# Any event that is none of a round's own.
OVER = Transfer(0, 0, 0, 0, 4, 1, Reason.TOP_UP, None)


def judge(events: Iterable[AnyEvent]) -> list[RoundVerdict]:
    return audit_events(enumerate(events, 1))


def is_charge(event: AnyEvent) -> bool:
    return isinstance(event, Transfer) and event.reason is Reason.SOCIALISED_LOSS


def altered(events: list[AnyEvent], close: int, **changes: Any) -> list[AnyEvent]:
    places = [place for place, event in enumerate(events) if isinstance(event, AdlClose)]
    place = places[close - 1]
    return [*events[:place], replace(events[place], **changes), *events[place + 1 :]]


LEVEL = preset("tear-up").texts
CHARGED = preset("vmgh").texts


def parts_of(events: list[AnyEvent]) -> list[int]:
    return [place for place, event in enumerate(events) if isinstance(event, AdlClose) or is_charge(event)]


@pytest.mark.parametrize("texts", [LEVEL, CHARGED], ids=["closes", "charges"])
def test_a_level_may_be_booked_in_any_order(recorded: Callable[[Texts], list[AnyEvent]], texts: Texts) -> None:
    events = recorded(texts)
    first, *_, last = parts_of(events)
    events[first], events[last] = events[last], events[first]
    (verdict,) = judge(events)
    assert (verdict.verdict, verdict.difference) == ("reproduced", None)


def test_a_level_booked_in_several_trades_is_the_same(recorded: Callable[[Texts], list[AnyEvent]]) -> None:
    events = recorded(LEVEL)
    place = next(place for place in parts_of(events) if getattr(events[place], "size", 0) > 1)
    close = events[place]
    assert isinstance(close, AdlClose)
    whole = [*events[:place], replace(close, size=1), *events[place + 1 :], replace(close, size=close.size - 1)]
    assert judge(whole)[0].verdict == "reproduced"
    (verdict,) = judge([*whole[:-1], OVER])
    assert verdict.difference == Difference("size", "size", place + 1, 1, close.size, 1)


def test_what_differs_in_a_level_is_named(recorded: Callable[[Texts], list[AnyEvent]]) -> None:
    events = recorded(LEVEL)
    places = parts_of(events)
    assert len(places) > 1
    close = events[places[-1]]
    assert isinstance(close, AdlClose)
    stranger = replace(close, buyer=4, winner=4)
    (verdict,) = judge([*events[: places[-1]], stranger])
    assert verdict.difference == Difference("winner", "account", places[-1] + 1, len(places), close.winner, 4)
    (verdict,) = judge([*events[: places[-1]], replace(close, price=close.price + 1)])
    assert verdict.difference == Difference("price", "price", places[-1] + 1, len(places), close.price, close.price + 1)
    (verdict,) = judge([*events[: places[-1]], OVER])
    assert verdict.difference == Difference("winner", "account", places[-2] + 1, len(places), close.winner, None)
    assert judge(events[: places[-1]])[0].verdict == "open"
    (verdict,) = judge([*events, replace(close, buyer=4, winner=4, size=1)])
    assert verdict.difference == Difference("winner", "account", len(events) + 1, len(places) + 1, None, 4)


def test_what_differs_in_a_charge_is_named(recorded: Callable[[Texts], list[AnyEvent]]) -> None:
    events = recorded(CHARGED)
    place = parts_of(events)[0]
    charge = events[place]
    assert isinstance(charge, Transfer)
    (verdict,) = judge([*events[:place], replace(charge, cash=charge.cash - 1), *events[place + 1 :], OVER])
    assert verdict.difference == Difference("size", "cash", place + 1, 1, charge.cash, charge.cash - 1)
    assert verdict.facts.charges == len(parts_of(events))
    # A payment that names no round, or another loser's, is none of its charges.
    for change in ({"reference": None}, {"reference": "round 00"}, {"payee": 5}):
        (verdict,) = judge([*events[:place], replace(charge, **change), *events[place + 1 :]])
        assert verdict.difference is not None
        assert (verdict.difference.field, verdict.facts.charges) == ("winner", len(parts_of(events)) - 1)


def test_a_round_that_needs_another_sum_is_named(recorded: Callable[[Texts], list[AnyEvent]]) -> None:
    events = recorded(CHARGED)
    place = next(place for place, event in enumerate(events) if isinstance(event, AdlRound))
    opened = events[place]
    assert isinstance(opened, AdlRound)
    assert opened.need_cash is not None
    (verdict,) = judge([*events[:place], replace(opened, need_cash=opened.need_cash + 1), *events[place + 1 :]])
    assert verdict.difference == Difference("size", "cash", place + 1, None, opened.need_cash, opened.need_cash + 1)


def test_a_stated_target_is_the_venues_own(recorded: Callable[[Texts], list[AnyEvent]]) -> None:
    events = recorded(QUEUE._replace(target="stated"))
    place = next(place for place, event in enumerate(events) if isinstance(event, AdlRound))
    assert judge(events)[0].verdict == "reproduced"
    halved = [*events[:place], replace(events[place], size=5), *altered(events, 2, size=2)[place + 1 : -1]]
    assert judge([*halved, OVER])[0].verdict == "reproduced"
    (verdict,) = judge([*events[:place], replace(events[place], size=11)])
    assert verdict.difference == Difference("size", "size", place + 1, None, 10, 11)


def test_a_rotated_list_is_followed_from_the_seed(recorded: Callable[[Texts], list[AnyEvent]]) -> None:
    events = recorded(preset("dydx-v4").texts)
    assert judge(events)[0].verdict == "reproduced"
    place = next(place for place, event in enumerate(events) if isinstance(event, AdlRound))
    (verdict,) = judge([*events[:place], replace(events[place], seed=b"\x01"), *events[place + 1 :]])
    assert verdict.difference == Difference("winner", "account", place + 3, 1, 8, 7)
    (verdict,) = judge([*events[:place], replace(events[place], seed=None), *events[place + 1 :]])
    assert verdict.missing == ("seed of the round",)


@pytest.mark.parametrize(
    "one", ["queue", "bitget", "dydx-v4", "leverage-draining", "min-max", "pro-rata", "drift-v2", "tear-up"]
)
def test_a_ledger_is_reproduced_under_its_policy_and_no_other(recorded: Callable[[Texts], list[AnyEvent]], one: str) -> None:
    own, other = preset(one).texts, preset("tear-up" if one in {"queue", "bitget"} else "queue").texts
    events = recorded(own)
    assert [verdict.verdict for verdict in judge(events)] == ["reproduced"]
    parameters = {name: getattr(other, name) for name in PARAMETERS}
    swapped = [replace(event, **parameters) if isinstance(event, PolicyAdopted) else event for event in events]
    (verdict,) = judge(swapped)
    assert verdict.difference is not None
