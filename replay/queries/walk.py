"""The walk: one pass over the log with as many queries as were asked, and what several of them need of a state.

A query is a fold. It sees every event twice, just before and just after it is applied, whatever window was asked for, as
what holds in the window follows from what came before. It reports only what the scope covers. What it remembers grows with
accounts, rounds and forced closes, never with trades.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from events.model import AccountOpened, AdlClose, AnyEvent, Fill, Liquidation, MarketListed, Settlement
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.missing import MISSING_CASH, MISSING_MARK, MISSING_TIERS
from replay.core.state import SIZE_UNKNOWN, State
from replay.queries.answers import Answer
from replay.queries.scope import Scope

__all__ = [
    "LACKS_CLOSES",
    "LACKS_LIQUIDATIONS",
    "LACKS_POSITION",
    "LACKS_ROUNDS",
    "LACKS_TIME",
    "Fold",
    "Trade",
    "closed_side",
    "gain",
    "held",
    "margin_gaps",
    "notional",
    "walk",
]

Trade: TypeAlias = Fill | Liquidation | AdlClose | Settlement

# What a record can lack for an answer, as it is said.
LACKS_CLOSES = "ADL closes"
LACKS_ROUNDS = "ADL rounds"
LACKS_LIQUIDATIONS = "liquidations"
LACKS_POSITION = "position of account"
LACKS_TIME = "time of the event"


class Fold(ABC):
    """A query in the making. ``before`` and ``after`` see the state without and with the event."""

    def before(self, state: State, event: AnyEvent, seq: int, /) -> None:  # noqa: B027  most queries need one of the two
        """Look at the state that the event meets."""

    def after(self, state: State, event: AnyEvent, seq: int, /) -> None:  # noqa: B027  the same
        """Look at the state that the event leaves."""

    @abstractmethod
    def answer(self, state: State, /) -> Answer:
        """Return the answer. ``state`` is the last one."""


def walk(events: Iterable[tuple[int, AnyEvent]], folds: Sequence[Fold], scope: Scope) -> State:
    """Replay ``events``, a log from seq 1 on, past all ``folds`` and return the last state.

    Raises ``ReducerError`` for an event that cannot be applied, and ``MisuseError`` for an unknown account or market.
    """
    state = State()
    for seq, event in events:
        if type(event) is AccountOpened or type(event) is MarketListed:
            scope.observe(event)
        try:
            for fold in folds:
                fold.before(state, event, seq)
        except LookupError:
            evolve(state, event, seq)  # says what is wrong where the event names what is not on record
            raise
        evolve(state, event, seq)
        for fold in folds:
            fold.after(state, event, seq)
    scope.check()
    return state


def held(state: State, account: int, market: int) -> int | None:
    """Return an account's signed position, None where the record does not show it."""
    position = state.positions[market].get(account)
    if position is None:
        return 0 if state.cash_known[account] else None
    return None if position.unknown & SIZE_UNKNOWN else position.size


def notional(state: State, event: Trade) -> int:
    """Return what a trade is worth at its own price, in money units, never below zero."""
    return abs(margin.market_value(state.markets[event.market], event.size, event.price))


def closed_side(event: AdlClose) -> int:
    """Return the side of the winner's position that a close reduces: 1 for a long, -1 for a short."""
    return 1 if event.winner == event.seller else -1


def gain(state: State, market: int, side: int, size: int, price: int, reference: int) -> int:
    """Return how much better than at ``reference`` a position of ``side`` was closed at ``price``, in money units."""
    listed = state.markets[market]
    return side * (margin.market_value(listed, size, price) - margin.market_value(listed, size, reference))


def margin_gaps(state: State, account: int, *, tiers: bool = False) -> tuple[str, ...]:
    """Name why an account's equity, or with ``tiers`` its requirement, is not decidable; nothing where it is."""
    if not state.cash_known[account]:
        return (MISSING_CASH,)
    if margin.equity(state, account) is None:
        unknown = any(position.unknown & SIZE_UNKNOWN for position in state.holdings[account].values())
        return (LACKS_POSITION,) if unknown else (MISSING_MARK,)
    return (MISSING_TIERS,) if tiers and margin.maintenance(state, account) is None else ()
