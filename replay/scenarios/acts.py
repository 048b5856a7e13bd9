"""The actions of a scenario's TOML: what happens to the venue at a time of its own."""

from collections.abc import Sequence
from enum import StrEnum

from replay.scenarios.script import Action, Spike, TopUp, Whale, Withdrawals
from replay.scenarios.tables import Table

__all__ = ["read_actions"]


class _Do(StrEnum):
    TOP_UP = "top-up"
    WITHDRAWALS = "withdrawals"
    WHALE = "whale"
    SPIKE = "spike"


class _Side(StrEnum):
    LONG = "long"
    SHORT = "short"


def read_actions(
    tables: Sequence[Table], symbols: Sequence[str], funds: Sequence[str], money_decimals: int, seconds: int
) -> tuple[Action, ...]:
    """Return the actions, sorted by time. ``seconds`` is how long the scenario lasts. Raises ``BadInputError``."""
    actions = []
    for table in tables:
        actions.append(_action(table, symbols, funds, money_decimals, seconds))
        table.done()
    return tuple(sorted(actions, key=lambda action: action.at_s))


def _action(table: Table, symbols: Sequence[str], funds: Sequence[str], money_decimals: int, seconds: int) -> Action:
    do = table.word("do", _Do)
    at_s = table.integer("at", 0, seconds - 1)
    match do:
        case _Do.TOP_UP:
            return TopUp(at_s, _place(table, "fund", funds), table.amount("cash", money_decimals))
        case _Do.WITHDRAWALS:
            return Withdrawals(
                at_s,
                table.integer("seconds", 1, seconds),
                table.share("users", 0, 100),
                table.share("share", 0, 100, "100%"),
            )
        case _Do.WHALE:
            return Whale(
                at_s,
                table.text("name"),
                _place(table, "market", symbols),
                table.word("side", _Side) is _Side.LONG,
                table.amount("notional", money_decimals),
                table.amount("margin", money_decimals),
            )
        case _Do.SPIKE:
            return Spike(
                at_s,
                table.integer("seconds", 1, seconds),
                _place(table, "market", symbols),
                table.share("change", -99, 100_000),
                table.share("band", 0, 100) if table.has("band") else None,
            )


def _place(table: Table, key: str, names: Sequence[str]) -> int:
    name = table.text(key)
    if name not in names:
        table.refuse(key, f"holds {name!r}", f"Known: {', '.join(names) or 'none'}.")
    return names.index(name)
