"""Which events a reader asked for: by type, account, market and range of the log."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from events.errors import MisuseError
from events.model import EVENTS, AnyEvent, Event
from events.sources.book import Book
from events.sources.interchange import Unit, fields_of, write_line
from ledger.store import Ledger
from replay.fold import Progress, watched

__all__ = ["accounts_of", "event_view", "kinds_named", "markets_of", "select"]

_spellings = cache(fields_of)  # by reflection, and asked for at every event
_KINDS = {kind.__name__: kind for kind in EVENTS.values()}


def _mentions(value: msgspec.Struct, unit: Unit) -> Iterator[int]:
    for field in _spellings(type(value)):
        item = getattr(value, field.name)
        if item is None:
            continue
        items = item if field.many else (item,)
        if field.unit is unit:
            yield from items
        elif field.part:
            for part in items:
                yield from _mentions(part, unit)


def accounts_of(event: Event) -> list[int]:
    """Return the ids of all accounts that an event names, sorted, each once."""
    return sorted(set(_mentions(event, Unit.ACCOUNT)))


def markets_of(event: Event) -> list[int]:
    """Return the ids of all markets that an event names, sorted, each once."""
    return sorted(set(_mentions(event, Unit.MARKET)))


def kinds_named(names: list[str] | None) -> frozenset[type[Event]] | None:
    """Return the event types of these names, None for no names. Raises ``MisuseError`` for an unknown one."""
    if not names:
        return None
    unknown = [name for name in names if name not in _KINDS]
    if unknown:
        raise MisuseError(f"there is no event type {unknown[0]!r}.", cure=f"The types are {', '.join(_KINDS)}.")
    return frozenset(_KINDS[name] for name in names)


def event_view(seq: int, event: Event, book: Book) -> dict[str, Any]:
    """Return an event as the interchange format spells it: names for ids, decimal text for amounts."""
    view: dict[str, Any] = msgspec.json.decode(write_line(seq, event, book))
    return view


def select(
    ledger: Ledger,
    *,
    kinds: frozenset[type[Event]] | None = None,
    account: str | None = None,
    market: str | None = None,
    first: int = 1,
    last: int | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[int, AnyEvent, Book]]:
    """Yield ``(seq, event, book)`` of the events asked for, in order. The book has observed all before the event.

    Raises ``MisuseError`` when an account or market of that name does not occur in the ledger up to ``last``.
    """
    book = Book()
    end = ledger.head if last is None else last
    for seq, event in watched(ledger, progress, 1, end):
        if seq >= first and (kinds is None or type(event) in kinds) and _names(event, book, account, market):
            yield seq, event, book
        book.observe(event)
    if account is not None and book.account(account) is None:
        raise MisuseError(f"there is no account {account!r} up to seq {end}.", cure="`adl state` lists the accounts.")
    if market is not None and book.market(market) is None:
        raise MisuseError(f"there is no market {market!r} up to seq {end}.", cure="`adl state` lists the markets.")


def _names(event: AnyEvent, book: Book, account: str | None, market: str | None) -> bool:
    """Tell whether the event names the account and the market asked for. The event that opens one names it, too."""
    if account is not None and getattr(event, "name", None) != account:
        number = book.account(account)
        if number is None or number not in accounts_of(event):
            return False
    if market is not None and getattr(event, "symbol", None) != market:
        number = book.market(market)
        if number is None or number not in markets_of(event):
            return False
    return True
