"""Where rows become events: first sights, openings, tallies and quarantine, the same way for every stream."""

import re
from collections.abc import Iterable

import msgspec

from events.model import (
    FIRST_FREE_ACCOUNT,
    RAW_BYTES_MAX,
    ROUNDING,
    AccountOpened,
    AdlRound,
    Basis,
    Contract,
    MarginMode,
    MarketListed,
    MarketStatus,
    Opening,
    OpenPosition,
    PriceRule,
    Quarantined,
    Reason,
    Role,
    Transfer,
)
from events.sources.book import Book
from events.sources.feed import DUPLICATE, QUARANTINED, ROWS_IN, ROWS_USED, SET_ASIDE, Sink
from events.sources.hyperliquid.numbers import PERP_DECIMALS, Noise
from events.sources.hyperliquid.shapes import Address

__all__ = ["CONTINUITY_BROKEN", "CONTINUITY_CHECKED", "PROTOCOL_ROLES", "Desk", "Refused", "is_spot", "raw_parts", "refusal"]

CONTINUITY_CHECKED = "continuity.checked"
CONTINUITY_BROKEN = "continuity.broken"

_DETAIL_CHARS = 500

# Addresses of the protocol's own vaults, as public analyses name them: the liquidators of HLP, its parent and strategies.
PROTOCOL_ROLES = {
    "0x2e3d94f0562703b25c83308a05046ddaf9a8dd14": Role.LIQUIDATOR,
    "0xb0a55f13d22f66e6d495ac98113841b2326e9540": Role.LIQUIDATOR,
    "0xdfc24b077bc1425ad1dea75bcb6f8158e10df303": Role.VAULT,
    "0x010461c14e146ac35fe42271bdc1134ee31c703a": Role.VAULT,
    "0x31ca8395cf837de08b24da3f660e77761dfb974b": Role.VAULT,
}

_UNKNOWN_TYPE = re.compile(r"Invalid value .* at `\$.*\.type`", re.DOTALL)


class Refused(Exception):  # noqa: N818 - not an error: the way out of reading a row that is to be quarantined
    """That rows are not understood or cannot be accepted: what ``Desk.quarantine`` says of them."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def is_spot(coin: str) -> bool:
    """Tell a spot pair (``@193``, ``PURR/USDC``) from a perp."""
    return coin.startswith("@") or "/" in coin


def refusal(error: Exception) -> tuple[str, str]:
    """Return the reason and detail of input that raised one of ``shapes.UNREADABLE``."""
    detail = str(error)[:_DETAIL_CHARS]
    if not isinstance(error, msgspec.ValidationError):
        return "bad-json", detail
    if "unknown field" in detail:
        return "unknown-field", detail
    return ("unknown-type" if _UNKNOWN_TYPE.search(detail) else "shape"), detail


def raw_parts(raw: bytes) -> list[bytes]:
    """Split quarantined bytes so that each part fits into one event."""
    return [raw[start : start + RAW_BYTES_MAX] for start in range(0, len(raw), RAW_BYTES_MAX)] or [b""]


class Desk:
    """One item's way into the ledger. ``row`` is set by the stream as it goes from line to line."""

    __slots__ = ("at_ns", "book", "row", "sink", "source")

    def __init__(self, source: int, book: Book, sink: Sink, at_ns: int, row: int) -> None:
        self.source = source
        self.book = book
        self.sink = sink
        self.at_ns = at_ns
        self.row = row

    def used(self, rows: int = 1) -> None:
        """Count rows that became events."""
        self.sink.count(ROWS_IN, rows)
        self.sink.count(ROWS_USED, rows)

    def set_aside(self, reason: str, rows: int = 1) -> None:
        """Count rows that are understood and are no business of a perp ledger."""
        self.sink.count(ROWS_IN, rows)
        self.sink.count(SET_ASIDE + reason, rows)

    def duplicate(self, reason: str, rows: int = 1) -> None:
        """Count rows that say what the ledger has already."""
        self.sink.count(ROWS_IN, rows)
        self.sink.count(DUPLICATE + reason, rows)

    def quarantine(self, reason: str, detail: str, raw: bytes, rows: int = 1) -> None:
        """Keep the bytes of rows that are not understood or cannot be accepted."""
        self.sink.count(ROWS_IN, rows)
        self.sink.count(QUARANTINED + reason, rows)
        parts = raw_parts(raw)
        for number, part in enumerate(parts, 1):
            event = Quarantined(self.at_ns, self.source, self.row, reason, detail[:_DETAIL_CHARS], number, len(parts), part)
            self.sink.emit(event)

    def account(self, address: Address, role: Role = Role.USER) -> int:
        """Return the account of an address, opened at first sight with the role the venue is known to give it."""
        name = address.lower()
        known = self.book.account(name)
        if known is not None:
            return known
        account = self.book.next_account
        role = PROTOCOL_ROLES.get(name, role)
        at = (self.at_ns, self.source, self.row)
        mode = MarginMode.UNKNOWN
        self.sink.emit(AccountOpened(*at, account, name, account, role, mode, new=False, adl_exempt=None))
        return account

    def listing(self, coin: str) -> MarketListed:
        """Return the listing of a coin: the ledger's, or the one it will get at first sight, not yet emitted.

        The grid is then assumed: 6 decimals of price and 6 of size. The venue's own split of 6 is not in the fills, and this
        rule gives the same listing whatever else a file holds.
        """
        known = self.book.market(coin)
        if known is not None:
            return self.book.listed(known)
        return MarketListed(
            self.at_ns,
            self.source,
            self.row,
            self.book.next_market,
            coin,
            Contract.LINEAR,
            PERP_DECIMALS,
            PERP_DECIMALS,
            1,
            0,
            price_tick=1,
            size_lot=1,
            basis=Basis.AVERAGE,
            grid_assumed=True,
            tiers=(),
            position_limit=None,
            status=MarketStatus.UNKNOWN,
        )

    def market(self, listed: MarketListed) -> int:
        """Return the market of a listing, and list it where it is not."""
        if listed.market == self.book.next_market:
            self.sink.emit(listed)
        return listed.market

    def position(self, account: int, market: int, start: int) -> None:
        """Compare a claimed position with the ledger's, and state it where the ledger has none or another."""
        known = self.book.size(account, market)
        if known == start:
            self.sink.count(CONTINUITY_CHECKED)
            return
        if known is None and start == 0:
            return
        if known is not None:
            self.sink.count(CONTINUITY_BROKEN)
        stated = (OpenPosition(market, start, None, 0),)
        self.sink.emit(Opening(self.at_ns, self.source, self.row, account, None, stated))

    def transfer(self, payer: int, payee: int, cash: int, reason: Reason, reference: str | None = None) -> None:
        """Move cash; nothing where nothing moves."""
        if cash:
            self.sink.emit(Transfer(self.at_ns, self.source, self.row, payer, payee, cash, reason, reference))

    def begin_round(self, loser: int, market: int, price: int, mark: int | None) -> int:
        """Emit an AdlRound with the little that the venue publishes of its decisions, and return its number."""
        number = self.book.next_round
        self.sink.emit(
            AdlRound(
                self.at_ns,
                self.source,
                self.row,
                round=number,
                loser=loser,
                market=market,
                size=None,
                price=price,
                price_rule=PriceRule.PREVIOUS_MARK,
                mark=mark,
                oracle=None,
                bankruptcy=None,
                policy=None,
                pools=(),
                need_cash=None,
                as_of=None,
                cause=None,
                seed=None,
            )
        )
        return number

    def settle(self, noise: Iterable[Noise]) -> None:
        """Count what was cut off numbers, and book what of it is money between a reserved account and rounding."""
        for name, account, cash in noise:
            self.sink.count(name)
            if account is not None and account < FIRST_FREE_ACCOUNT:
                payer, payee = (ROUNDING, account) if cash > 0 else (account, ROUNDING)
                self.transfer(payer, payee, abs(cash), Reason.RESIDUAL)
