"""What an import reports: what is in the ledger, and what became of every row that was read.

All of it is counted from the events themselves, so importing the same files again reports the same totals.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from events.errors import InternalError
from events.model import (
    EVENTS,
    FIRST_FREE_ACCOUNT,
    AdlClose,
    Contract,
    Event,
    Fill,
    LedgerOpened,
    Liquidation,
    MarketListed,
    Opening,
    Settlement,
    SourceClosed,
    SourceOpened,
)
from events.sources.book import Book
from events.units import format_units, notional, scale

__all__ = ["ImportReport", "SourceReport", "Totals"]


class SourceReport(msgspec.Struct, frozen=True):
    """One source file: ``source`` is its id, ``new`` whether this import read any of it.

    ``rows_in`` = ``rows_used`` + the tallies that begin with ``set_aside.``, ``quarantined.`` or ``duplicate.``.
    """

    source: int
    name: str
    content_sha256: str
    new: bool
    rows_in: int
    rows_used: int
    tallies: dict[str, int]


class ImportReport(msgspec.Struct, frozen=True):
    """What an import did and what the ledger then holds. Amounts are decimal text in ``currency``.

    ``new_events`` counts what this import stored; ``sources`` are the files given, ``rows_*`` and ``tallies`` their sums;
    ``duplicates`` are files given twice. All the rest is about the whole ledger: ``digest`` is the SHA-256 of the log in hex
    (``store.log_digest``), ``events`` counts by type, ``accounts`` leaves out the reserved ones, ``trades`` are fills and
    liquidations, ``volume`` the sum of price * size over them, one-sided, ``adl_volume`` that over ADL closes, ``fees`` what
    both sides of all trades paid, rebates taken off.
    """

    format: str
    venue: str
    currency: str
    new_events: int
    head: int
    digest: str
    events: dict[str, int]
    accounts: int
    markets: int
    openings: int
    trades: int
    liquidations: dict[str, int]
    volume: str
    adl_volume: str
    fees: str
    rows_in: int
    rows_used: int
    tallies: dict[str, int]
    sources: tuple[SourceReport, ...]
    duplicates: tuple[str, ...]


class Totals:
    """A book and running totals of one ledger. ``observe`` takes every event, in order."""

    def __init__(self) -> None:
        self.book = Book()
        self.opened: dict[int, SourceOpened] = {}
        self.closed: dict[int, SourceClosed] = {}
        self._events = dict.fromkeys(EVENTS.values(), 0)
        self._liquidations: dict[str, int] = {}
        self._volume = 0
        self._adl_volume = 0
        self._fees = 0
        self._scales: dict[int, tuple[Contract, int, int]] = {}
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            Fill: self._trade,
            Liquidation: self._trade,
            AdlClose: self._adl,
            Settlement: self._settlement,
            MarketListed: self._market,
            SourceOpened: self._source_opened,
            SourceClosed: self._source_closed,
        }

    @property
    def ledger(self) -> LedgerOpened:
        """Return the first event of the ledger."""
        if self.book.opened is None:
            raise InternalError("a ledger was read that does not begin with LedgerOpened.")
        return self.book.opened

    def observe(self, event: Event) -> None:
        """Take in one event."""
        self.book.observe(event)
        self._events[type(event)] += 1
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _notional(self, event: Fill | Liquidation | AdlClose) -> int:
        contract, numerator, denominator = self._scales[event.market]
        # A take-over below zero has no volume to speak of under an inverse contract, which has no value there.
        if contract is Contract.INVERSE and event.price <= 0:
            return 0
        return abs(notional(contract, event.size, event.price, numerator, denominator))

    def _trade(self, event: Fill | Liquidation) -> None:
        self._volume += self._notional(event)
        self._fees += event.buyer_fee + event.seller_fee
        if type(event) is Liquidation:
            method = event.method.name.lower()
            self._liquidations[method] = self._liquidations.get(method, 0) + 1

    def _adl(self, event: AdlClose) -> None:
        self._adl_volume += self._notional(event)
        self._fees += event.buyer_fee + event.seller_fee

    def _settlement(self, event: Settlement) -> None:
        self._fees += event.buyer_fee + event.seller_fee

    def _market(self, event: MarketListed) -> None:
        self._scales[event.market] = (
            event.contract,
            *scale(
                event.contract,
                event.price_decimals,
                event.size_decimals,
                event.multiplier,
                event.multiplier_decimals,
                self.ledger.money_decimals,
            ),
        )

    def _source_opened(self, event: SourceOpened) -> None:
        self.opened[event.source] = event

    def _source_closed(self, event: SourceClosed) -> None:
        self.closed[event.source] = event

    def report(
        self,
        *,
        kind: str,
        new_events: int,
        head: int,
        digest: bytes,
        sources: tuple[SourceReport, ...],
        duplicates: Iterable[str],
    ) -> ImportReport:
        """Return the report of an import of format ``kind``."""
        money = self.ledger.money_decimals
        return ImportReport(
            format=kind,
            venue=self.ledger.venue,
            currency=self.ledger.currency,
            new_events=new_events,
            head=head,
            digest=digest.hex(),
            events={event.__name__: count for event, count in self._events.items() if count},
            accounts=self.book.next_account - FIRST_FREE_ACCOUNT,
            markets=self.book.next_market,
            openings=self._events[Opening],
            trades=self._events[Fill] + self._events[Liquidation],
            liquidations=dict(sorted(self._liquidations.items())),
            volume=format_units(self._volume, money),
            adl_volume=format_units(self._adl_volume, money),
            fees=format_units(self._fees, money),
            rows_in=sum(source.rows_in for source in sources),
            rows_used=sum(source.rows_used for source in sources),
            tallies=_combined(sources),
            sources=sources,
            duplicates=tuple(duplicates),
        )


def _combined(sources: Iterable[SourceReport]) -> dict[str, int]:
    """Return the sums of the tallies of several sources, sorted by name."""
    sums: dict[str, int] = {}
    for source in sources:
        for name, count in source.tallies.items():
            sums[name] = sums.get(name, 0) + count
    return dict(sorted(sums.items()))
