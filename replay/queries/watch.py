"""When an account's room runs out: which accounts to look at again after an event, without looking at all of them.

Room is what must not fall below zero, such as equity, or equity less requirement. At each look the room is shared out over the
account's positions; a position whose mark has moved against it by no more than its share buys cannot have used it up. So an
account needs no look until one of its marks passes such a threshold, or an event names it. The bound is exact for linear
contracts; holders of others are looked at with every tick, and so are accounts that have no room.
"""

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from typing import TypeAlias

from events.model import (
    FIRST_FREE_ACCOUNT,
    AdlClose,
    AnyEvent,
    Fill,
    Funding,
    InsuranceDraw,
    Liquidation,
    MarketListed,
    Opening,
    PriceTick,
    Settlement,
    Transfer,
)
from events.units import PPT
from replay.core import margin
from replay.core.state import State

__all__ = ["Watch", "room_of_equity", "room_of_margin"]

Room: TypeAlias = Callable[[State, int], int | None]

# A heap is rid of its dead entries when it has grown to twice what it was after the last time, and some.
_HEAP_MIN = 4_096


def room_of_equity(state: State, account: int) -> int | None:
    """Return an account's equity."""
    return margin.equity(state, account)


def room_of_margin(state: State, account: int) -> int | None:
    """Return by how much an account's equity exceeds its maintenance margin."""
    worth, need = margin.equity(state, account), margin.maintenance(state, account)
    return None if worth is None or need is None else worth - need


class _Side:
    """The thresholds of one side of one market, those reached first on top."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._heap: list[tuple[int, int, int]] = []
        self._limit = _HEAP_MIN

    def push(self, threshold: int, account: int, version: int, versions: dict[int, int]) -> None:
        """Have an account looked at when the mark reaches ``threshold`` from the good side."""
        heappush(self._heap, (-self._sign * threshold, account, version))
        if len(self._heap) > self._limit:
            self._heap = [entry for entry in self._heap if versions[entry[1]] == entry[2]]
            heapify(self._heap)
            self._limit = 2 * len(self._heap) + _HEAP_MIN

    def reached(self, mark: int) -> Iterator[tuple[int, int]]:
        """Take out and yield the accounts, with their versions, whose threshold ``mark`` has reached."""
        while self._heap and self._heap[0][0] <= -self._sign * mark:
            _, account, version = heappop(self._heap)
            yield account, version


class Watch:
    """The accounts of a log from its first event on, without the reserved ones."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._versions: dict[int, int] = {}
        self._below: dict[int, None] = {}
        self._sides: list[tuple[_Side, _Side]] = []  # by market: longs, shorts
        self._slopes_ppt: list[int] = []  # by market: room lost per money lost, at most

    def after(self, state: State, event: AnyEvent) -> list[tuple[int, int | None]]:
        """Return the accounts that had to be looked at after ``event``, with their room: all that may have changed its sign."""
        if type(event) is MarketListed:
            self._list(event)
        return [(account, self._look(state, account)) for account in self._due(state, event)]

    def _list(self, event: MarketListed) -> None:
        # A short's requirement grows as the mark moves against it.
        slope_ppt = PPT + max((tier.maintenance_ppt for tier in event.tiers), default=0)
        if event.market == len(self._sides):
            self._sides.append((_Side(1), _Side(-1)))
            self._slopes_ppt.append(slope_ppt)
        self._slopes_ppt[event.market] = slope_ppt

    def _due(self, state: State, event: AnyEvent) -> list[int]:
        accounts: list[int] = []
        match event:
            case PriceTick(mark=int(mark)):
                accounts = self._due_at(state, event.market, mark)
            case Fill() | Liquidation() | AdlClose() | Settlement():
                accounts = [event.buyer, event.seller]
            case Transfer():
                accounts = [event.payer, event.payee]
            case InsuranceDraw():
                accounts = [event.fund, event.account]
            case Funding():
                accounts = [event.against, *(payment.account for payment in event.payments)]
            case Opening():
                accounts = [event.account]
            case MarketListed():
                accounts = list(state.positions[event.market])
            case _:
                pass
        return [account for account in dict.fromkeys(accounts) if account >= FIRST_FREE_ACCOUNT]

    def _due_at(self, state: State, market: int, mark: int) -> list[int]:
        book = state.positions[market]
        if not state.markets[market].linear or not state.previous_marks[market]:
            return list(book)
        due = [account for account in self._below if account in book]
        for side in self._sides[market]:
            due += [account for account, version in side.reached(mark) if self._versions[account] == version]
        return due

    def _look(self, state: State, account: int) -> int | None:
        version = self._versions[account] = self._versions.get(account, 0) + 1
        room = self._room(state, account)
        if room is None or room >= 0:
            self._below.pop(account, None)
        else:
            self._below[account] = None
        if room is not None and room >= 0:
            self._schedule(state, account, room, version)
        return room

    def _schedule(self, state: State, account: int, room: int, version: int) -> None:
        open_positions = [(m, position.size) for m, position in state.holdings[account].items() if position.size]
        if not open_positions:
            return
        # A requirement is rounded up once per position, so that much of the room is not to be counted on.
        share = max(room - len(open_positions), 0) // len(open_positions)
        for market, size in open_positions:
            listed, mark = state.markets[market], state.marks[market]
            if not listed.linear:
                continue
            distance = share * PPT // (abs(size) * listed.numerator * self._slopes_ppt[market]) + 1
            side, threshold = (0, mark - distance) if size > 0 else (1, mark + distance)
            self._sides[market][side].push(threshold, account, version, self._versions)
