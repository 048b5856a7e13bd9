"""State roots: 32 bytes that two replays of the same facts share on every machine.

A root is SHA-256 over a domain line and then msgpack values in a fixed order, one after the other. To compute it elsewhere:

- A row is a msgpack array in its shortest spelling: integers, booleans, UTF-8 strings, byte strings, nil and arrays only.
  An enum is its integer. An integer outside int64 is a byte string: big-endian two's complement, the shortest that holds
  it, at least 9 bytes.
- A section is the number of its rows, as a msgpack integer, and then its rows.
- "The facts" of an event are its fields in the order of ``events.model`` without tag, at_ns, source and row, and of AdlRound
  without as_of and cause, which are sequence numbers. A value inside an event is an array of its own fields, a tuple an array
  of its items.

``money_root`` = SHA-256 of ``adl-ledger/money-root/v1`` and a line feed, then the sections

1. ledger: the facts of LedgerOpened, if there is one;
2. accounts, by id: ``[owner, role, margin, adl_exempt, cash, cash_known]``;
3. markets, by id: the facts of the latest MarketListed, then ``mark, previous_mark, oracle``, each 0 where not known, then
   ``partial``;
4. positions, by market and account, where the size is not 0, or not known, or the account's cash is not known:
   ``[market, account, size, size_unknown]``; with size_unknown, the size is the change since the record began;
5. policies, by id: the facts of PolicyAdopted;
6. rounds, by id: the facts of AdlRound, then the size closed so far, the number of closes, the candidates listed so far as an
   array of account ids, and the last ``part`` and the ``parts`` of that list, both 0 where there is none.

``basis_root`` = SHA-256 of ``adl-ledger/basis-root/v1`` and a line feed, then one section: ``[market, account, cost, realised,
unknown]`` by market and account, for every position where one of the last three is not 0.

A flat position has a row where cash is not known because there it says something: without it the position is not known, and
the next trade makes another state. Where cash is known, no row means flat. So states with equal roots have equal futures.

``state_root`` = SHA-256 of ``adl-ledger/state-root/v1`` and a line feed, then the money root and the basis root.

What is not in them, so that the same facts from files cut in another way give the same root: sequence numbers, sources and
rows, times, and how many inputs were quarantined. Nor are account names, so a ledger whose names are withheld has the same
roots. The log's own Merkle root covers all of these.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import msgpack

from events.codec import wide_bytes
from events.model import Event
from events.units import INT64_MAX, INT64_MIN
from replay.core.state import SIZE_UNKNOWN, State

__all__ = ["basis_root", "money_root", "state_root"]

_MONEY = b"adl-ledger/money-root/v1\n"
_BASIS = b"adl-ledger/basis-root/v1\n"
_STATE = b"adl-ledger/state-root/v1\n"
# What is not a fact of an event but says where it stands in files and in the log.
_PLACE_FIELDS = frozenset(("at_ns", "source", "row", "as_of", "cause"))

# Rows hashed at a time: enough to make hashing cheap, few enough to keep memory flat.
_ROWS = 1_024

_encode = msgpack.Encoder().encode


def money_root(state: State) -> bytes:
    """Return the root of the money state: what follows from the events by sums alone."""
    return _digest(
        _MONEY,
        [_facts(state.opened)] if state.opened else [],
        _accounts(state),
        _markets(state),
        _positions(state),
        [_facts(policy) for policy in state.policies],
        _rounds(state),
    )


def basis_root(state: State) -> bytes:
    """Return the root of the basis: entry costs and realised profit, by each market's convention."""
    return _digest(_BASIS, _bases(state))


def state_root(state: State) -> bytes:
    """Return the root of the whole state."""
    return sha256(_STATE + money_root(state) + basis_root(state)).digest()


def _accounts(state: State) -> Iterator[list[Any]]:
    for account, cash, known in zip(state.accounts, state.cash, state.cash_known, strict=True):
        yield [account.owner, account.role, account.margin, account.adl_exempt, _integer(cash), known]


def _markets(state: State) -> Iterator[list[Any]]:
    prices = zip(state.markets, state.marks, state.previous_marks, state.oracles, state.partial, strict=True)
    for market, mark, previous, oracle, partial in prices:
        yield [*_facts(market.listed), mark, previous, oracle, partial]


def _positions(state: State) -> Iterator[list[Any]]:
    for market, book in enumerate(state.positions):
        for account in sorted(book):
            position = book[account]
            size_unknown = position.unknown & SIZE_UNKNOWN != 0
            if position.size or size_unknown or not state.cash_known[account]:
                yield [market, account, _integer(position.size), size_unknown]


def _rounds(state: State) -> Iterator[list[Any]]:
    for opened in state.rounds:
        yield [*_facts(opened.event), _integer(opened.closed), opened.closes, opened.candidates, opened.part, opened.parts]


def _bases(state: State) -> Iterator[list[Any]]:
    for market, book in enumerate(state.positions):
        for account in sorted(book):
            position = book[account]
            if position.cost or position.realised or position.unknown:
                yield [market, account, _integer(position.cost), _integer(position.realised), position.unknown]


def _integer(value: int) -> int | bytes:
    return value if INT64_MIN <= value <= INT64_MAX else wide_bytes(value)


def _facts(event: Event) -> list[Any]:
    return [_plain(getattr(event, name)) for name in event.__struct_fields__ if name not in _PLACE_FIELDS]


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return [_plain(getattr(value, name)) for name in value.__struct_fields__]
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return _integer(int(value))
    return value


def _digest(domain: bytes, *sections: Iterable[list[Any]]) -> bytes:
    digest = sha256(domain)
    for section in sections:
        rows = [_encode(row) for row in section]
        digest.update(_encode(len(rows)))
        for first in range(0, len(rows), _ROWS):
            digest.update(b"".join(rows[first : first + _ROWS]))
    return digest.digest()
