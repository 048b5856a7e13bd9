"""Funding and ledger updates: ``misc_events_by_block``.

A row is one funding delta, or one other event. Funding of one market at one rate is one Funding event, or several of
``PAYMENTS_MAX``, against ``unobserved``: the other side is the rest of the venue. The amounts are the venue's, above zero
where received; they are not recomputed.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from events import model
from events.errors import NumberError
from events.model import EXTERNAL, FEES, PAYMENTS_MAX, UNOBSERVED, Payment, Role
from events.sources.book import Book
from events.sources.feed import Item, Sink
from events.sources.hyperliquid import numbers
from events.sources.hyperliquid.desk import Desk, Refused, is_spot, refusal
from events.sources.hyperliquid.lines import Rank, block_items, decode_block, event_time
from events.sources.hyperliquid.movements import MOVEMENTS, SET_ASIDE_KINDS, Leg, Party
from events.sources.hyperliquid.numbers import Noise
from events.sources.hyperliquid.shapes import (
    UNREADABLE,
    AccountClassTransfer,
    Funding,
    FundingDelta,
    LedgerUpdate,
    MiscEvent,
    PerpDexClassTransfer,
    Send,
)
from events.sources.reading import Fingerprint, read_lines

__all__ = ["misc_events", "misc_rows"]

_event: "msgspec.json.Decoder[MiscEvent]" = msgspec.json.Decoder(MiscEvent)
_funding: "msgspec.json.Decoder[Funding]" = msgspec.json.Decoder(Funding)
_delta: "msgspec.json.Decoder[FundingDelta]" = msgspec.json.Decoder(FundingDelta)
_update: "msgspec.json.Decoder[LedgerUpdate]" = msgspec.json.Decoder(LedgerUpdate)

# Kinds of event that are not about the perp ledger, by the tally they are counted in.
_OTHER_KINDS = {
    "CDeposit": "staking",
    "CWithdrawal": "staking",
    "Delegation": "staking",
    "ValidatorRewards": "staking",
    "GossipPriorityAuctionRestart": "notice",
}

_NO_HASH = re.compile(r"0x0*")
_USDC = "USDC"
_SPOT = "spot"


class _Paid(NamedTuple):
    """One leg of a movement, read. A party is the id of a reserved account, or an address."""

    payer: int | str
    payee: int | str
    leg: Leg
    cash: int


def misc_rows(file: Fingerprint, after_row: int) -> Iterator[Item]:
    """Yield the blocks of a ``misc_events_by_block`` file."""
    return block_items(read_lines(file), after_row, Rank.MISC)


def misc_events(item: Item, source: int, book: Book, sink: Sink) -> None:
    """Emit the funding and transfers of one block."""
    row, line = item.lines[0]
    desk = Desk(source, book, sink, item.at_ns, row)
    try:
        block = decode_block(line)
    except UNREADABLE as error:
        desk.quarantine(*refusal(error), line)
        return
    try:
        event_time(block.block_time)
    except NumberError as error:
        desk.quarantine("time", error.message, line, max(1, len(block.events)))
        return
    overlaps = item.at_ns <= book.cash_at_ns and book.cash_source not in (0, source)
    if item.late or (block.events and overlaps):
        reason = "out-of-order" if item.late else "overlap"
        desk.quarantine(reason, "this block does not come after those on record.", line, max(1, len(block.events)))
        return
    for raw in block.events:
        _misc_event(desk, bytes(raw))


def _misc_event(desk: Desk, raw: bytes) -> None:
    try:
        event = _event.decode(raw)
        kind, body = _inner(event)
        if kind == "Funding":
            _book_funding(desk, _funding.decode(body).deltas)
        elif kind == "LedgerUpdate":
            _book_update(desk, event.hash, _update.decode(body))
        else:
            desk.set_aside(_OTHER_KINDS[kind])
    except UNREADABLE as error:
        desk.quarantine(*refusal(error), raw)
    except NumberError as error:
        desk.quarantine("number", error.message, raw)
    except Refused as refused:
        desk.quarantine(refused.reason, refused.detail, raw)


def _inner(event: MiscEvent) -> tuple[str, Raw]:
    """Return the kind of an event and its body."""
    if len(event.inner) != 1:
        raise Refused("shape", f"an event has one kind, this one has {len(event.inner)}.")
    [(kind, body)] = event.inner.items()
    if kind not in ("Funding", "LedgerUpdate", *_OTHER_KINDS):
        raise Refused("unknown-type", f"the kind of event {kind[:64]!r} is not known.")
    return kind, body


# ---- Funding


class _Group(NamedTuple):
    """Funding of one market at one rate: who is paid what on which position, in the order of the source."""

    rate_ppt: int
    paid: list[tuple[str, int, int]]


def _book_funding(desk: Desk, deltas: list[Raw]) -> None:
    groups: dict[tuple[str, str], _Group] = {}
    noise: list[Noise] = []
    for raw in deltas:
        try:
            delta = _delta.decode(raw)
            if is_spot(delta.coin):
                desk.set_aside("spot")
                continue
            here: list[Noise] = []
            cash = numbers.money(delta.funding_amount, here, "residual.funding", UNOBSERVED, -1)
            held = numbers.start_position(delta.szi, desk.listing(delta.coin).size_decimals, here, "residual.szi")
            key = (delta.coin, delta.funding_rate)
            if key not in groups:
                rate_ppt = numbers.rate(delta.funding_rate, here)
                groups[key] = _Group(rate_ppt, [])
        except UNREADABLE as error:
            desk.quarantine(*refusal(error), bytes(raw))
        except NumberError as error:
            desk.quarantine("number", error.message, bytes(raw))
        else:
            groups[key].paid.append((delta.user, cash, held))
            noise.extend(here)
    for (coin, _), group in groups.items():
        market = desk.market(desk.listing(coin))
        for start in range(0, len(group.paid), PAYMENTS_MAX):
            part = group.paid[start : start + PAYMENTS_MAX]
            payments = tuple(Payment(desk.account(user), cash, held) for user, cash, held in part)
            desk.sink.emit(model.Funding(desk.at_ns, desk.source, desk.row, market, group.rate_ppt, UNOBSERVED, payments))
            desk.used(len(part))
    desk.settle(noise)


# ---- Ledger updates


def _book_update(desk: Desk, transaction: str, update: LedgerUpdate) -> None:
    delta = update.delta
    aside = SET_ASIDE_KINDS.get(type(delta)) or _token_aside(delta)
    if aside is not None:
        desk.set_aside(aside)
        return
    noise: list[Noise] = []
    paid = [_read_leg(leg, update, noise) for leg in _turned(delta)]
    moving = [each for each in paid if each.cash and each.payer != each.payee]
    if not moving and any(each.cash for each in paid):
        desk.set_aside("same-account")
        return
    reference = None if _NO_HASH.fullmatch(transaction) else transaction
    for each in moving:
        accounts = [_account(desk, party, side) for party, side in ((each.payer, each.leg.payer), (each.payee, each.leg.payee))]
        desk.transfer(accounts[0], accounts[1], each.cash, each.leg.reason, reference)
    desk.settle(noise)
    desk.used()


def _token_aside(delta: Any) -> str | None:
    """Name the tally of an update that moves another token, or USDC between spot accounts only."""
    match delta:
        case Send(token=token, source_dex=source, destination_dex=destination):
            return _SPOT if token != _USDC or (source == _SPOT and destination == _SPOT) else None
        case PerpDexClassTransfer(token=token):
            return _SPOT if token != _USDC else None
        case _:
            return None


def _turned(delta: Any) -> tuple[Leg, ...]:
    """Return the legs of an update, with the direction and the ends that it states."""
    legs = MOVEMENTS[type(delta)]
    match delta:
        case AccountClassTransfer(to_perp=False) | PerpDexClassTransfer(to_perp=False):
            return tuple(leg._replace(payer=leg.payee, payee=leg.payer) for leg in legs)
        case Send():
            return _send_legs(delta, *legs)
        case _:
            return legs


def _send_legs(delta: Send, sent: Leg, fee: Leg) -> tuple[Leg, ...]:
    if delta.source_dex == _SPOT:
        # The fee is the spot account's too.
        return (sent._replace(payer=Party.EXTERNAL, reason=model.Reason.CLASS),)
    if delta.destination_dex == _SPOT:
        sent = sent._replace(payee=Party.EXTERNAL, reason=model.Reason.CLASS)
    if delta.fee_token not in ("", _USDC) and numbers.money(delta.fee, [], ""):
        raise Refused("fee-token", f"a fee of the perp ledger is paid in {delta.fee_token[:64]!r}.")
    return (sent, fee)


def _read_leg(leg: Leg, update: LedgerUpdate, noise: list[Noise]) -> _Paid:
    payer, payee = _party(leg.payer, update), _party(leg.payee, update)
    text = getattr(update.delta, leg.amount)
    tied = next((party for party in (payer, payee) if isinstance(party, int)), None)
    cash = numbers.money(text, noise, f"residual.{leg.reason.name.lower()}", tied, -1 if tied == payer else 1)
    if cash < 0:
        raise Refused("negative", f"{leg.amount} is {text}, and amounts have no sign.")
    return _Paid(payer, payee, leg, cash)


def _party(party: Party, update: LedgerUpdate) -> int | str:
    match party:
        case Party.EXTERNAL:
            return EXTERNAL
        case Party.FEES:
            return FEES
        case Party.UNOBSERVED:
            return UNOBSERVED
        case Party.DESTINATION | Party.VAULT:
            named: str = getattr(update.delta, party.name.lower())
            return named.lower()
        case Party.USER:
            return _user(update)


def _user(update: LedgerUpdate) -> str:
    """Return the account an update is about: as it names it, or else the only one of its users that is not its vault."""
    named: str | None = getattr(update.delta, "user", None)
    if named is not None:
        return named.lower()
    vault = getattr(update.delta, "vault", "").lower()
    users = list(dict.fromkeys(user.lower() for user in update.users if user.lower() != vault))
    if len(users) != 1:
        raise Refused("parties", f"the update is about one account and lists {len(users)}.")
    return users[0]


def _account(desk: Desk, party: int | str, side: Party) -> int:
    if isinstance(party, int):
        return party
    return desk.account(party, Role.VAULT if side is Party.VAULT else Role.USER)
