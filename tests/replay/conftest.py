"""A small venue whose books are complete, made from events: what the tests of plan, engine and audit stand on."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count

import pytest

from events.model import (
    EXTERNAL,
    AccountOpened,
    AnyEvent,
    Basis,
    Contract,
    Fill,
    MarginMode,
    MarginTier,
    MarketListed,
    MarketStatus,
    PriceTick,
    Reason,
    Role,
    Taker,
    Transfer,
)
from replay.core.engine import Look, Moment, Rules, decide
from replay.core.evolve import evolve
from replay.core.spelling import Texts, adopt
from replay.core.state import State
from replay.presets import preset as shipped_preset
from replay.testing.streams import beginning

TIERS = (MarginTier(0, 10**11, 5 * 10**10),)

QUEUE = shipped_preset("queue").texts

# Cash of one trader, and by market its signed size and entry price.
Trader = tuple[int, Mapping[int, tuple[int, int]]]


def fill(market: int, buyer: int, seller: int, price: int, size: int, trade: int) -> Fill:
    unsaid = (None, None, None, None, None, None)
    return Fill(0, 0, 0, market, buyer, seller, price, size, 0, 0, trade, Taker.BUYER, *unsaid)


@pytest.fixture(scope="session")
def stage() -> Callable[..., list[AnyEvent]]:
    """Return a function that gives the events of a venue: account 4 the fund, 5 the house that took the other sides, from 6
    the traders. Prices have 2 decimals, sizes 2, money 8: one lot at one price step is 10,000 money units.
    """

    def make(traders: Sequence[Trader], marks: Sequence[int], *, fund: int = 0, preset: Texts = QUEUE) -> list[AnyEvent]:
        events = beginning()
        trades = count(1)
        for market in range(len(marks)):
            grid = (Contract.LINEAR, 2, 2, 1, 0, 1, 1)
            limits = (TIERS, None, MarketStatus.TRADING)
            events.append(MarketListed(0, 0, 0, market, f"M{market}", *grid, Basis.AVERAGE, False, *limits))
        events.append(adopt(preset, policy=0, at_ns=0, source=0, row=0))
        events.append(AccountOpened(0, 0, 0, 4, "fund", 4, Role.FUND, MarginMode.CROSS, True, None))
        events.append(AccountOpened(0, 0, 0, 5, "house", 5, Role.LIQUIDATOR, MarginMode.CROSS, True, None))
        if fund:
            events.append(Transfer(0, 0, 0, EXTERNAL, 4, fund, Reason.TOP_UP, None))
        for account, (cash, held) in enumerate(traders, 6):
            events.append(AccountOpened(0, 0, 0, account, f"t{account}", account, Role.USER, MarginMode.CROSS, True, None))
            if cash:
                events.append(Transfer(0, 0, 0, EXTERNAL, account, cash, Reason.DEPOSIT, None))
            for market, (size, entry) in held.items():
                buyer, seller = (account, 5) if size > 0 else (5, account)
                if size:
                    events.append(fill(market, buyer, seller, entry, abs(size), next(trades)))
        events += [PriceTick(0, 0, 0, market, mark, None) for market, mark in enumerate(marks)]
        return events

    return make


@pytest.fixture(scope="session")
def settle() -> Callable[[Sequence[AnyEvent], int], list[AnyEvent]]:
    """Return a function that adds to the events of a stage what the engine decides about an account, until nothing is left."""

    def make(events: Sequence[AnyEvent], account: int) -> list[AnyEvent]:
        state, recorded = State(), list(events)
        for seq, event in enumerate(events, 1):
            evolve(state, event, seq)
        while True:
            decision = decide(state, Look(account), Rules(vault=5), Moment(7, 0, 0, 100 + len(recorded)))
            if not decision.events:
                return recorded
            for event in decision.events:
                evolve(state, event, state.seq + 1)
                recorded.append(event)

    return make
