"""Records that queries are asked about, and how they are asked."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from events.model import (
    AdlCandidates,
    AdlClose,
    AdlRound,
    AnyEvent,
    Candidate,
    Fill,
    Liquidation,
    Method,
    PriceRule,
    PriceTick,
    Reason,
    Taker,
    Transfer,
)
from replay.queries import ask, named
from replay.queries.answers import Answer, Figure, Table
from replay.queries.scope import Scope
from replay.scenarios import load, play
from replay.testing.scenarios import scaled

SMALL = scaled(load("crash"), users=120, orders=1_400, fund=20_000)


class Asked:
    """An answer, by the names of its figures and tables without the id of the query."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.figures: dict[str, Figure] = {figure.id[4:]: figure for figure in answer.figures}
        self.values = {name: figure.value for name, figure in self.figures.items()}
        self.tables: dict[str, Table] = {table.id[4:]: table for table in answer.tables}

    def rows(self, table: str) -> list[dict[str, str | int | None]]:
        found = self.tables.get(table)
        return [] if found is None else [dict(zip(found.columns, row, strict=True)) for row in found.rows]


@pytest.fixture(scope="session")
def query() -> Callable[..., Asked]:
    """Return a function that asks one query about a list of events: ``query("Q05", events, first=1, account="a")``."""

    def one(name: str, events: Sequence[AnyEvent], *, first: int = 1, last: int | None = None, **options: str) -> Asked:
        end = len(events) if last is None else last
        scope = Scope(first, end, **options)
        (answer,) = ask(lambda: enumerate(events[:end], 1), [named(name)], scope)
        return Asked(answer)

    return one


@pytest.fixture(scope="session")
def evening() -> list[AnyEvent]:
    """Return a small demo incident."""
    return list(play(SMALL))


class Tale:
    """A record in the making, from a stage on: prices and sizes have 2 decimals, money 8. Markets are M0, M1; account 4 is the
    fund, 5 the house (a liquidator), from 6 the traders t6, t7 ... Each event is stamped ``at_ns``.
    """

    def __init__(self, events: list[AnyEvent]) -> None:
        self.events = events
        self.at_ns = 1
        self.rounds = 0

    @property
    def seq(self) -> int:
        return len(self.events)

    def add(self, event: AnyEvent) -> int:
        self.events.append(event)
        return self.seq

    def tick(self, market: int, mark: int | None, oracle: int | None = None) -> int:
        return self.add(PriceTick(self.at_ns, 0, 0, market, mark, oracle))

    def pay(self, payer: int, payee: int, cash: int, reason: Reason = Reason.OTHER) -> int:
        return self.add(Transfer(self.at_ns, 0, 0, payer, payee, cash, reason, None))

    def fill(self, market: int, buyer: int, seller: int, price: int, size: int, fees: tuple[int, int] = (0, 0)) -> int:
        head = (self.at_ns, 0, 0, market, buyer, seller, price, size, *fees, None, Taker.UNKNOWN)
        return self.add(Fill(*head, None, None, None, None, None, None))

    def liquidate(self, account: int, other: int, market: int, price: int, size: int, method: Method = Method.MARKET) -> int:
        """Close ``size`` of an account, signed as it holds it."""
        buyer, seller = (other, account) if size > 0 else (account, other)
        head = (self.at_ns, 0, 0, market, buyer, seller, price, abs(size), 0, 0, None, Taker.UNKNOWN)
        return self.add(Liquidation(*head, None, None, None, None, None, None, account, method, None, None, None))

    def round(self, loser: int, market: int, size: int | None = None, **stated: Any) -> int:
        fields: dict[str, Any] = dict.fromkeys(
            ("price", "mark", "oracle", "bankruptcy", "policy", "need_cash", "as_of", "cause", "seed")
        )
        fields |= {"pools": (), "price_rule": PriceRule.UNKNOWN} | stated
        opened = AdlRound(self.at_ns, 0, 0, round=self.rounds, loser=loser, market=market, size=size, **fields)
        self.rounds += 1
        return self.add(opened)

    def candidates(self, *accounts: int) -> int:
        listed = tuple(Candidate(account, None, None, None, None) for account in accounts)
        return self.add(AdlCandidates(self.at_ns, 0, 0, self.rounds - 1, 1, 1, listed))

    def close(self, loser: int, winner: int, market: int, price: int, size: int, profit: int | None = None) -> int:
        """Close ``size`` of the winner in the last round, signed as the winner holds it."""
        buyer, seller = (loser, winner) if size > 0 else (winner, loser)
        head = (self.at_ns, 0, 0, market, buyer, seller, price, abs(size), 0, 0, None, Taker.UNKNOWN)
        profits: tuple[Any, Any] = (None, profit) if size > 0 else (profit, None)
        return self.add(AdlClose(*head, None, None, None, None, *profits, self.rounds - 1, winner, None, None, None))


@pytest.fixture
def tale(stage: Callable[..., list[AnyEvent]]) -> Callable[..., Tale]:
    """Return a maker of records that go on from a stage: ``tale(traders, marks)``."""
    return lambda *arguments, **options: Tale(stage(*arguments, **options))
