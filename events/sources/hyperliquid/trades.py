"""Fill rows to trades: pairing the two sides, and what kind of trade they are.

A trade is two rows with one trade id, next to each other: opposite sides, the rest the same. It becomes one event or none:
when one row cannot be accepted, neither is, and the bytes of both are kept. Spot rows are set aside before pairing.

What kind (venue's page on liquidations; ``dir`` and ``liquidation`` of the rows):

- a row with dir "Auto-Deleveraging" is the winner's: AdlClose, in the round of that block, coin and liquidated user. The
  close price is the venue's; ``markPx`` is kept as the mark it states beside it;
- else ``liquidation``: Liquidation, on the market or by the backstop;
- else dir "Settlement", also one-sided, then against ``unobserved``: Settlement, which has no taker;
- else Fill.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple, TypeAlias

from events.errors import NumberError
from events.model import (
    FEES,
    UNOBSERVED,
    AdlClose,
    Fill,
    Liquidation,
    MarketListed,
    Method,
    Settlement,
    Taker,
    VenueId,
)
from events.sources.book import TRADES_WINDOW_NS
from events.sources.hyperliquid import numbers
from events.sources.hyperliquid.desk import Desk, Refused, is_spot
from events.sources.hyperliquid.numbers import Noise
from events.sources.hyperliquid.shapes import FillRow, Forced

__all__ = ["DIRS", "Fault", "Shape", "book_trades", "contradicts"]


class Shape(Enum):
    """How a fill changes a position."""

    OPEN = "away from zero"
    CLOSE = "toward zero, not through"
    FLIP = "through zero"


ADL = "Auto-Deleveraging"
SETTLEMENT = "Settlement"

# Every known dir of a perp fill: the side it belongs to, None for either, and what it does to the position.
DIRS: dict[str, tuple[str | None, Shape]] = {
    "Open Long": ("B", Shape.OPEN),
    "Open Short": ("A", Shape.OPEN),
    "Close Long": ("A", Shape.CLOSE),
    "Close Short": ("B", Shape.CLOSE),
    "Long > Short": ("A", Shape.FLIP),
    "Short > Long": ("B", Shape.FLIP),
    "Liquidated Cross Long": ("A", Shape.CLOSE),
    "Liquidated Cross Short": ("B", Shape.CLOSE),
    "Liquidated Isolated Long": ("A", Shape.CLOSE),
    "Liquidated Isolated Short": ("B", Shape.CLOSE),
    ADL: (None, Shape.CLOSE),
    SETTLEMENT: (None, Shape.CLOSE),
}

_LIQUIDATED = tuple(name for name in DIRS if name.startswith("Liquidated"))
_METHODS = {"market": Method.MARKET, "backstop": Method.BACKSTOP}
_USDC = "USDC"


class Fault(NamedTuple):
    """A row that has no known shape. ``trade`` is its trade id where that much could be read."""

    reason: str
    detail: str
    trade: int | None


class _Side(NamedTuple):
    """One row, read."""

    name: str
    row: FillRow
    start: int
    fee: int
    profit: int


class _Trade(NamedTuple):
    """Its rows, read, by their side: ``B`` and ``A``, of which a settlement may have one only."""

    sides: dict[str, _Side]
    listed: MarketListed
    price: int
    size: int
    noise: list[Noise]


def contradicts(direction: str, side: str, start: int, size: int) -> bool:
    """Tell whether a known dir does not follow from the side, the position before and the size of its fill."""
    named, shape = DIRS[direction]
    # Seen from the side of the fill: positive is a position in the fill's own direction.
    held = start if side == "B" else -start
    if named not in (None, side):
        return True
    match shape:
        case Shape.OPEN:
            return held < 0
        case Shape.CLOSE:
            return held >= 0 or held + size > 0
        case Shape.FLIP:
            return held >= 0 or held + size <= 0


def book_trades(
    desk: Desk,
    rows: Sequence[tuple[str, FillRow] | Fault],
    raw: Callable[[int], bytes],
    line: Callable[[int], int],
) -> None:
    """Emit the trades in ``rows``, in execution order. ``raw`` and ``line`` give a row's bytes and its line by its index."""
    groups: dict[int, list[int]] = {}
    for index, entry in enumerate(rows):
        if isinstance(entry, Fault):
            key = -1 - index if entry.trade is None else entry.trade
        elif is_spot(entry[1].coin):
            desk.set_aside("spot")
            continue
        elif entry[1].tid == 0:
            key = -1 - index
        else:
            key = entry[1].tid
        groups.setdefault(key, []).append(index)
    rounds: dict[tuple[int, int], int] = {}
    for members in groups.values():
        desk.row = line(members[-1])
        try:
            _book_group(desk, members, [rows[index] for index in members], rounds)
        except Refused as refused:
            for index in members:
                desk.row = line(index)
                desk.quarantine(refused.reason, refused.detail, raw(index))


def _book_group(
    desk: Desk, members: list[int], entries: list[tuple[str, FillRow] | Fault], rounds: dict[tuple[int, int], int]
) -> None:
    good: list[tuple[str, FillRow]] = []
    for entry in entries:
        if isinstance(entry, Fault):
            raise Refused(entry.reason, entry.detail)
        good.append(entry)
    _, first = good[0]
    remembered = desk.at_ns // TRADES_WINDOW_NS == desk.book.trades_at_ns // TRADES_WINDOW_NS
    if first.tid and remembered and first.tid in desk.book.trades:
        desk.duplicate("trade", len(good))
        return
    if len(good) == 1 and first.dir == SETTLEMENT:
        trade = _read(desk, good)
        _emit_settlement(desk, trade)
    elif len(good) == 1:
        raise Refused("one-sided", f"trade {first.tid} has one side only.")
    elif len(good) > 2:  # noqa: PLR2004 - a trade has two sides
        raise Refused("repeated-trade", f"trade {first.tid} has {len(good)} sides.")
    elif members[1] != members[0] + 1:
        raise Refused("not-adjacent", f"the two sides of trade {first.tid} are not next to each other.")
    else:
        _check_pair(first, good[1][1])
        trade = _read(desk, good)
        _emit(desk, trade, rounds)
    desk.used(len(good))


def _check_pair(first: FillRow, second: FillRow) -> None:
    if first.side == second.side:
        raise Refused("unequal-pair", f"both sides of trade {first.tid} are {first.side}.")
    for field in ("coin", "px", "sz", "time", "hash", "liquidation"):
        if getattr(first, field) != getattr(second, field):
            raise Refused("unequal-pair", f"the two sides of trade {first.tid} differ in {field}.")


def _read(desk: Desk, rows: list[tuple[str, FillRow]]) -> _Trade:
    """Read every number of a trade before anything is emitted."""
    row = rows[0][1]
    for _, each in rows:
        if each.dir not in DIRS:
            raise Refused("unknown-dir", f"the dir {each.dir!r} is not known.")
        if each.fee_token != _USDC:
            raise Refused("fee-token", f"a perp's fee is paid in {each.fee_token!r}.")
    listed = desk.listing(row.coin)
    noise: list[Noise] = []
    try:
        price = numbers.price(row.px, listed.price_decimals, noise)
        size = numbers.size(row.sz, listed.size_decimals, noise)
        sides: dict[str, _Side] = {each.side: _side(name, each, listed, noise) for name, each in rows}
    except NumberError as error:
        raise Refused("number", error.message) from error
    return _Trade(sides, listed, price, size, noise)


def _side(name: str, row: FillRow, listed: MarketListed, noise: list[Noise]) -> _Side:
    start = numbers.start_position(row.start_position, listed.size_decimals, noise)
    fee = numbers.fee(row.fee, noise, FEES)
    profit = numbers.money(row.closed_pnl, noise, "residual.closed_pnl")
    return _Side(name, row, start, fee, profit)


def _begin(desk: Desk, trade: _Trade) -> tuple[int, int, int]:
    """Open accounts, list the market and compare positions. Return the market, buyer and seller."""
    sides = [trade.sides[letter] for letter in "BA" if letter in trade.sides]
    accounts = [desk.account(side.name) for side in sides]
    market = desk.market(trade.listed)
    for account, side in zip(accounts, sides, strict=True):
        if contradicts(side.row.dir, side.row.side, side.start, trade.size):
            desk.sink.count("dir.contradicts")
        # The second claim of a self-trade is about the middle of it, where the ledger has no position to compare.
        if account != accounts[0] or side is sides[0]:
            desk.position(account, market, side.start)
    buyer = accounts[0] if "B" in trade.sides else UNOBSERVED
    return market, buyer, (accounts[-1] if "A" in trade.sides else UNOBSERVED)


def _emit(desk: Desk, trade: _Trade, rounds: dict[tuple[int, int], int]) -> None:
    buyer, seller = trade.sides["B"], trade.sides["A"]
    dirs = (buyer.row.dir, seller.row.dir)
    forced = buyer.row.liquidation
    if ADL in dirs:
        _emit_adl(desk, trade, buyer, seller, rounds)
    elif dirs == (SETTLEMENT, SETTLEMENT):
        _emit_settlement(desk, trade)
    elif SETTLEMENT in dirs:
        raise Refused("unequal-pair", "one side settles and the other does not.")
    elif forced is not None:
        _emit_liquidation(desk, trade, buyer, seller, forced)
    elif any(each in _LIQUIDATED for each in dirs):
        raise Refused("liquidation-missing", "a side is liquidated, and the rows do not say whose liquidation it is.")
    else:
        taker = _taker(buyer.row, seller.row)
        if taker is Taker.UNKNOWN:
            raise Refused("taker", "a trade has exactly one taker.")
        market, buyer_id, seller_id = _begin(desk, trade)
        terms = _terms(trade, buyer, seller, taker)
        desk.sink.emit(Fill(desk.at_ns, desk.source, desk.row, market, buyer_id, seller_id, *terms))
        desk.settle(trade.noise)


def _taker(buyer: FillRow, seller: FillRow) -> Taker:
    if buyer.crossed == seller.crossed:
        return Taker.UNKNOWN
    return Taker.BUYER if buyer.crossed else Taker.SELLER


_Terms: TypeAlias = tuple[int, int, int, int, VenueId, Taker, VenueId, VenueId, int | None, int | None, int | None, int | None]


def _terms(trade: _Trade, buyer: _Side | None, seller: _Side | None, taker: Taker) -> _Terms:
    """Return the fields that all trades share, from the price on. A side that is not there claims nothing."""
    return (
        trade.price,
        trade.size,
        buyer.fee if buyer else 0,
        seller.fee if seller else 0,
        next((side.row.tid for side in trade.sides.values()), 0) or None,
        taker,
        (buyer.row.oid or None) if buyer else None,
        (seller.row.oid or None) if seller else None,
        buyer.start if buyer else None,
        seller.start if seller else None,
        buyer.profit if buyer else None,
        seller.profit if seller else None,
    )


def _mark(trade: _Trade, forced: Forced) -> int:
    try:
        return numbers.price(forced.mark_px, trade.listed.price_decimals, trade.noise, "residual.mark")
    except NumberError as error:
        raise Refused("number", error.message) from error


def _emit_liquidation(desk: Desk, trade: _Trade, buyer: _Side, seller: _Side, forced: Forced) -> None:
    method = _METHODS.get(forced.method)
    if method is None:
        raise Refused("unknown-method", f"the liquidation method {forced.method!r} is not known.")
    user = forced.liquidated_user.lower()
    if user not in (buyer.name.lower(), seller.name.lower()):
        raise Refused("liquidated-user", f"{user} is no side of its liquidation.")
    mark = _mark(trade, forced)
    market, buyer_id, seller_id = _begin(desk, trade)
    account = buyer_id if user == buyer.name.lower() else seller_id
    desk.sink.emit(
        Liquidation(
            desk.at_ns,
            desk.source,
            desk.row,
            market,
            buyer_id,
            seller_id,
            *_terms(trade, buyer, seller, _taker(buyer.row, seller.row)),
            account,
            method,
            mark,
            None,
            None,
        )
    )
    desk.settle(trade.noise)


def _emit_adl(desk: Desk, trade: _Trade, buyer: _Side, seller: _Side, rounds: dict[tuple[int, int], int]) -> None:
    winner, loser = (buyer, seller) if buyer.row.dir == ADL else (seller, buyer)
    forced = winner.row.liquidation
    if loser.row.dir == ADL or winner.name.lower() == loser.name.lower():
        raise Refused("two-winners", "both sides are closed as winners of one auto-deleveraging.")
    if forced is None:
        raise Refused("liquidation-missing", "an auto-deleveraging does not say whose position it closes.")
    if forced.liquidated_user.lower() != loser.name.lower():
        raise Refused("liquidated-user", f"{forced.liquidated_user} is not the other side of its auto-deleveraging.")
    mark = _mark(trade, forced)
    market, buyer_id, seller_id = _begin(desk, trade)
    winner_id, loser_id = (buyer_id, seller_id) if winner is buyer else (seller_id, buyer_id)
    number = rounds.get((market, loser_id))
    if number is None:
        number = rounds[market, loser_id] = desk.begin_round(loser_id, market, trade.price, mark)
    terms = _terms(trade, buyer, seller, _taker(buyer.row, seller.row))
    head = (desk.at_ns, desk.source, desk.row, market, buyer_id, seller_id, *terms)
    desk.sink.emit(AdlClose(*head, number, winner_id, mark, None, None))
    desk.settle(trade.noise)


def _emit_settlement(desk: Desk, trade: _Trade) -> None:
    buyer, seller = trade.sides.get("B"), trade.sides.get("A")
    market, buyer_id, seller_id = _begin(desk, trade)
    terms = _terms(trade, buyer, seller, Taker.UNKNOWN)
    desk.sink.emit(Settlement(desk.at_ns, desk.source, desk.row, market, buyer_id, seller_id, *terms))
    desk.settle(trade.noise)
