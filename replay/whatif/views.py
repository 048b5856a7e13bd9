"""What-ifs as plain dicts of decimal text: what ``--json`` prints and the tables are made from."""

from collections.abc import Mapping
from typing import Any

from replay import views
from replay.core.state import State
from replay.core.triggers import INFINITE
from replay.deficits import Register, Totals
from replay.queries.answers import ratio_text
from replay.whatif.metrics import METRICS, Metric, Value, less
from replay.whatif.open_loop import Column, OpenLoop
from replay.whatif.scene import Figures

__all__ = ["RATIO_DECIMALS", "UNBOUNDED", "column_view", "definitions_view", "register_view", "rounds_view", "value_text"]

RATIO_DECIMALS = 6
UNBOUNDED = "unbounded"


def value_text(state: State, metric: Metric, value: Value, decimals: int = RATIO_DECIMALS) -> str | None:
    """Return a value as decimal text, a ratio rounded once; None where it is undecidable."""
    if value.amount is None:
        return None
    if value.amount == INFINITE:
        return UNBOUNDED
    if metric.unit == "cash":
        return views.cash_text(state, value.amount.numerator)
    if metric.unit == "ratio":
        return ratio_text(*value.amount, decimals)
    return str(value.amount.numerator)


def definitions_view(currency: str) -> list[dict[str, str]]:
    """Return every metric with its unit and its definition."""
    units = {"cash": currency}
    return [{"id": one.id, "unit": units.get(one.unit, one.unit), "definition": one.text} for one in METRICS]


def column_view(state: State, column: Column, record: Column | None) -> dict[str, Any]:
    """Return a column with its metrics, and how each differs from the record where one is given."""
    return {"name": column.name, "metrics": {one.id: _value_view(state, one, column, record) for one in METRICS}}


def _value_view(state: State, metric: Metric, column: Column, record: Column | None) -> dict[str, Any]:
    value = column.metrics[metric.id]
    view: dict[str, Any] = {"value": value_text(state, metric, value)}
    if metric.unit == "ratio":
        exact = value.amount is not None and value.amount != INFINITE
        view["exact"] = "/".join(map(str, value.amount)) if exact and value.amount else None
    view["missing"] = list(value.missing)
    if record is not None:
        view["difference"] = value_text(state, metric, less(value, record.metrics[metric.id]))
    return view


def rounds_view(loop: OpenLoop) -> list[dict[str, Any]]:
    """Return every round with what each column makes of it."""
    state = loop.state
    return [
        {
            "round": record.event.round,
            "seq": record.seq,
            "market": state.markets[record.event.market].listed.symbol,
            "loser": state.accounts[record.event.loser].name,
            "columns": {column.name: _figures_view(state, column.rounds[place]) for column in loop.columns},
        }
        for place, record in enumerate(loop.rounds)
    ]


def _figures_view(state: State, one: Figures) -> dict[str, Any]:
    return {
        "need": views.cash_text(state, one.need.amount),
        "value_taken": views.cash_text(state, one.used.amount),
        "notional": views.cash_text(state, one.notional.amount),
        "lots": views.size_text(state, one.market, one.lots.amount),
        "accounts": None if one.untold else len(one.hit),
        "missing": list(dict.fromkeys((*one.need.missing, *one.used.missing))),
    }


def register_view(state: State, register: Register) -> Mapping[str, Any]:
    """Return the sums of a deficit register: of users, and of the venue's own accounts."""
    return {"users": _totals_view(state, register.users), "venue": _totals_view(state, register.venue)}


def _totals_view(state: State, totals: Totals) -> dict[str, Any]:
    return {
        "episodes": totals.episodes,
        "deficit": views.cash_text(state, totals.deficit_cash),
        "covered": {str(layer): views.cash_text(state, cash) for layer, cash in totals.covered.items()},
        "left": views.cash_text(state, totals.left_cash),
    }
