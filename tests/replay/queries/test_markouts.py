from collections.abc import Callable
from typing import Any

import pytest

from events.model import AdlClose, AnyEvent, PriceTick
from events.units import format_units, parse_units
from replay.queries.markouts import HORIZONS_NS

NAMES = ("0s", "0.5s", "1s", "2s", "5s", "60s")


def mark_after(events: list[AnyEvent], index: int, horizon_ns: int) -> int | None:
    """Return the mark in force at the close's time plus the horizon, found by going through all events."""
    close = events[index]
    assert isinstance(close, AdlClose)
    latest = max(event.at_ns for event in events[: index + 1])
    mark = next(e.mark for e in reversed(events[:index]) if isinstance(e, PriceTick) and e.market == close.market and e.mark)
    for event in events[index + 1 :]:
        latest = max(latest, event.at_ns)
        if latest > close.at_ns + horizon_ns:
            return mark
        if isinstance(event, PriceTick) and event.market == close.market and event.mark:
            mark = event.mark
    return mark if latest >= close.at_ns + horizon_ns else None


@pytest.mark.parametrize("cut", [0, 1_500])
def test_marks_are_those_in_force_after_the_horizon(evening: list[AnyEvent], query: Callable[..., Any], cut: int) -> None:
    last_close = max(seq for seq, event in enumerate(evening, 1) if isinstance(event, AdlClose))
    events = evening[: last_close + cut] if cut else evening
    found = query("Q12", events)
    closes = [index for index, event in enumerate(events) if isinstance(event, AdlClose)]
    for number, (name, horizon_ns) in enumerate(zip(NAMES, HORIZONS_NS, strict=True)):
        marks = [mark_after(events, index, horizon_ns) if number else 0 for index in closes]
        figure = found.figures[f"tot.{name}"]
        assert figure.left_out == marks.count(None)
        assert bool(figure.missing) is (None in marks)


def test_costs_add_up_and_are_those_of_the_marks(evening: list[AnyEvent], query: Callable[..., Any]) -> None:
    found = query("Q12", evening)
    parts = {name: parse_units(value, 8) for name, value in found.values.items()}
    for name in NAMES:
        assert parts[f"imm.{name}"] + parts[f"opp.{name}"] == parts[f"tot.{name}"]
    assert parts["opp.0s"] == 0
    rows = found.rows("closes")
    for name in NAMES[1:]:
        assert sum(parse_units(row[f"c_tot_{name}"], 8) for row in rows) == parts[f"tot.{name}"]
    for row in rows[:40]:
        close = evening[row["seq"] - 1]
        assert isinstance(close, AdlClose)
        listed = next(e for e in evening if getattr(e, "symbol", None) == row["market"])
        scale = 10 ** (8 - listed.price_decimals - listed.size_decimals)  # type: ignore[union-attr]
        held = close.size if close.winner == close.seller else -close.size
        for name, horizon_ns in zip(NAMES[1:], HORIZONS_NS[1:], strict=True):
            mark = mark_after(evening, row["seq"] - 1, horizon_ns)
            assert mark is not None
            assert row[f"c_tot_{name}"] == format_units(held * (mark - close.price) * scale, 8)


def test_a_long_that_is_sold_below_a_rising_mark_is_hurt(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (-500, 1_000)}), (10**12, {0: (500, 900)})], [1_000])
    told.at_ns = 10**18
    told.round(6, 0, -500)
    told.close(6, 7, 0, 990, 500)
    told.at_ns += HORIZONS_NS[2]
    told.tick(0, 1_050)
    told.at_ns += 1
    told.tick(0, 2_000)
    values = query("Q12", told.events).values
    # 5 contracts: 0.10 below the mark of 10.00, which is 10.50 a second later.
    assert (values["imm.0s"], values["tot.0.5s"], values["opp.1s"], values["tot.1s"]) == ("0.5", "0.5", "2.5", "3")
    assert values["tot.2s"] is None


def test_a_close_without_a_time_has_no_later_mark(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (-500, 1_000)}), (10**12, {0: (500, 900)})], [1_000])
    told.at_ns = 0
    told.round(6, 0, -500)
    told.close(6, 7, 0, 990, 500)
    found = query("Q12", told.events)
    assert found.values["imm.0s"] == "0.5"
    assert (found.values["tot.60s"], found.figures["tot.60s"].missing) == (None, ("time of the event",))
