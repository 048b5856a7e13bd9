"""The nouns: every event type of a ledger, in one file.

An event is stored as one canonical msgpack array ``[tag, at_ns, source, row, ...fields]`` (``events.codec``). Its key is
its sequence number, which is not part of it. A published tag and its fields are frozen for ever: a change is a new tag.

Units. ``at_ns``: UTC nanoseconds since 1970, as the source gave it, 0 where it gave none; evidence, never order.
``cash`` and every amount of money: 10**-money_decimals of the ledger's currency. ``price``: 10**-price_decimals of the
market. ``size``: 10**-size_decimals of the market; positive in trades, signed (short below zero) in positions. ``*_ppt``:
parts per trillion. Ids of accounts, markets, policies, rounds and sources are dense integers in the order of their first
event: accounts from 0, the first four being reserved; markets, policies and rounds from 0; sources from 1, as source 0
means the ledger itself.

What a venue claims (``*_claim``) is kept to be reconciled. A claim never moves money.

The members of an enumeration are part of the tag: a new member is a new tag. ``OTHER`` and ``UNKNOWN`` stand for what has
no member of its own.
"""

from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, TypeAlias

from msgspec import Meta, Struct

from events.units import INT64_MAX, INT64_MIN, Contract

__all__ = [
    "CANDIDATES_MAX",
    "EVENTS",
    "EVENT_BYTES_MAX",
    "EXTERNAL",
    "FEES",
    "FIRST_FREE_ACCOUNT",
    "PAYMENTS_MAX",
    "RAW_BYTES_MAX",
    "RESERVED_ACCOUNTS",
    "ROUNDING",
    "SEMANTICS",
    "UNOBSERVED",
    "AccountOpened",
    "AdlCandidates",
    "AdlClose",
    "AdlRound",
    "AnyEvent",
    "Basis",
    "Candidate",
    "Completeness",
    "Contract",
    "Corrected",
    "Event",
    "Fill",
    "Funding",
    "InsuranceDraw",
    "LedgerOpened",
    "Liquidation",
    "MarginMode",
    "MarginTier",
    "MarketListed",
    "MarketStatus",
    "Method",
    "OpenPosition",
    "Opening",
    "Payment",
    "PolicyAdopted",
    "PoolBalance",
    "PriceRule",
    "PriceTick",
    "Quarantined",
    "Reason",
    "Role",
    "Settlement",
    "SourceClosed",
    "SourceOpened",
    "StateCommitted",
    "Taker",
    "Tally",
    "Transfer",
    "VenueId",
]

# The meaning of the events: a ledger is replayed only by a reducer of the same version.
SEMANTICS = 1

# An entry of a C2SP tlog-tiles bundle has a 16-bit length, so a larger event could never be proved.
EVENT_BYTES_MAX = 65_535

# Raw bytes one Quarantined event carries; longer input is kept in several parts.
RAW_BYTES_MAX = 32_768

# Payments one Funding event carries, so that it stays under EVENT_BYTES_MAX with the widest amounts.
PAYMENTS_MAX = 1_000

# Candidates one AdlCandidates event carries, for the same reason; those whose scores are long texts take more parts.
CANDIDATES_MAX = 1_000

# Reserved accounts. They are opened like any other, right after LedgerOpened, and have these ids in every ledger.
EXTERNAL = 0  # the world outside the venue: deposits come from it, withdrawals go to it
UNOBSERVED = 1  # the rest of the venue, when the record begins in the middle of its history
FEES = 2  # the venue's trading fees
ROUNDING = 3  # what exact bookkeeping cuts off from a source's own arithmetic
FIRST_FREE_ACCOUNT = 4

Id: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Natural: TypeAlias = Annotated[int, Meta(ge=0, le=INT64_MAX)]
Positive: TypeAlias = Annotated[int, Meta(ge=1, le=INT64_MAX)]
Int64: TypeAlias = Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)]
Rate: TypeAlias = Annotated[int, Meta(ge=0, le=10**15)]
Decimals: TypeAlias = Annotated[int, Meta(ge=0, le=18)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
Text: TypeAlias = Annotated[str, Meta(max_length=4_096)]
Short: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Sha256: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
Raw: TypeAlias = Annotated[bytes, Meta(max_length=RAW_BYTES_MAX)]
Seed: TypeAlias = Annotated[bytes, Meta(max_length=64)]

# A venue's own id of a trade or an order, a number or a text as the venue has it; None where it gives none.
VenueId: TypeAlias = Natural | Short | None

# An amount that can outgrow 64 bits. In Python it is always an int; on the wire a value outside int64 is the shortest
# big-endian two's complement bytes, of at most 16. The codec converts both ways, so only it sees the bytes.
if TYPE_CHECKING:
    Wide: TypeAlias = int
else:
    Wide: TypeAlias = Int64 | Annotated[bytes, Meta(min_length=9, max_length=16)]


class Role(IntEnum):
    """What an account is for. A role holds from the AccountOpened event that states it."""

    USER = 0
    EXTERNAL = 1
    UNOBSERVED = 2
    FEES = 3
    ROUNDING = 4
    FUND = 5
    VAULT = 6
    LIQUIDATOR = 7


RESERVED_ACCOUNTS = (
    (EXTERNAL, "external", Role.EXTERNAL),
    (UNOBSERVED, "unobserved", Role.UNOBSERVED),
    (FEES, "fees", Role.FEES),
    (ROUNDING, "rounding", Role.ROUNDING),
)


class MarginMode(IntEnum):
    """How an account's positions share its money. An isolated position is an account of its own under the same owner."""

    UNKNOWN = 0
    CROSS = 1
    ISOLATED = 2


class Completeness(IntEnum):
    """Whether a source holds every fact of its stream, only some, or does not say."""

    UNKNOWN = 0
    COMPLETE = 1
    SAMPLED = 2


class Basis(IntEnum):
    """The convention by which a market keeps entry prices.

    ``AVERAGE``: a close releases cost pro rata; what does not divide stays with the position.
    ``AVERAGE_TRUNCATED``: the same, but realised profit is counted from the average entry cut to the price grid.
    """

    AVERAGE = 1
    AVERAGE_TRUNCATED = 2


class MarketStatus(IntEnum):
    """What can be done in a market, as its venue states it: trade, only close, nothing for now, settle; or it is gone."""

    UNKNOWN = 0
    TRADING = 1
    CLOSE_ONLY = 2
    HALTED = 3
    SETTLEMENT = 4
    DELISTED = 5


class Taker(IntEnum):
    """Which side of a trade took liquidity."""

    UNKNOWN = 0
    BUYER = 1
    SELLER = 2


class Reason(IntEnum):
    """Why cash moved from one account to another."""

    OTHER = 0
    DEPOSIT = 1
    WITHDRAWAL = 2
    INTERNAL = 3
    CLASS = 4
    VAULT = 5
    FEE = 6
    REWARD = 7
    TOP_UP = 8
    SOCIALISED_LOSS = 9
    MARGIN = 10
    TAKEOVER = 11
    RESIDUAL = 12
    LENDING = 13
    STAKING = 14
    COMPENSATION = 15
    LIQUIDATION_FEE = 16


class Method(IntEnum):
    """How a liquidated position was closed: on the market, by the backstop vault, or taken over by another account."""

    UNKNOWN = 0
    MARKET = 1
    BACKSTOP = 2
    TAKEOVER = 3


class PriceRule(IntEnum):
    """The rule that a round's close price follows."""

    UNKNOWN = 0
    BANKRUPTCY = 1
    MARK = 2
    PREVIOUS_MARK = 3
    ORACLE = 4
    CAPPED_MARK = 5
    REFERENCE_SPREAD = 6
    OTHER = 7


class Event(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The header of every event: ``at_ns``, ``source`` and ``row`` (1-based line of the source file, 0 for none)."""

    at_ns: Int64
    source: Id
    row: Natural


class Part(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A value inside an event."""


class LedgerOpened(Event, frozen=True, tag=1):
    """A ledger begins. Always seq 1, and only there."""

    venue: Name
    currency: Name
    money_decimals: Annotated[int, Meta(ge=6, le=18)]
    semantics: Positive


class SourceOpened(Event, frozen=True, tag=2):
    """A source file begins. ``sha256`` is of the file as given, ``content_sha256`` of its decompressed bytes.

    ``granularity_ns`` is the finest step of the source's clock, ``divergence_ns`` its greatest stated divergence from UTC (as
    in RTS 25), each None where not stated; ``clock`` says where the time was stamped. ``format`` names the importer,
    ``format_version`` its version.
    """

    name: Name
    sha256: Sha256
    content_sha256: Sha256
    content_bytes: Natural
    format: Name
    format_version: Positive
    granularity_ns: Natural | None
    divergence_ns: Natural | None
    clock: Text
    completeness: Completeness


class Tally(Part, frozen=True):
    """One counted thing of a source."""

    name: Name
    count: Natural


class SourceClosed(Event, frozen=True, tag=3):
    """A source file was read to its end. ``tallies`` account for its rows, sorted by name.

    ``rows_in`` = ``rows_used`` + the tallies whose names begin with ``set_aside.``, ``quarantined.`` or ``duplicate.``.
    """

    rows_in: Natural
    rows_used: Natural
    tallies: tuple[Tally, ...]


class AccountOpened(Event, frozen=True, tag=4):
    """An account is opened, or an open one gets another role, margin mode or exemption. It alone holds an account's name.

    ``owner`` is an account id, its own for an account that stands alone; name and owner never change. ``new`` is true when
    the account comes into being here, without money or positions; false when it existed before the record, so that its cash
    is unknown until an Opening states it. ``adl_exempt`` says whether the venue leaves the account out of ADL, None where it
    is not stated.
    """

    account: Id
    name: Name
    owner: Id
    role: Role
    margin: MarginMode
    new: bool
    adl_exempt: bool | None


class MarginTier(Part, frozen=True):
    """Margin rates for the part of a position's notional from ``floor_cash`` to the next tier's floor."""

    floor_cash: Wide
    initial_ppt: Rate
    maintenance_ppt: Rate


class MarketListed(Event, frozen=True, tag=5):
    """A market is listed, or a listed one changes from here on: its tick, lot, tiers, limit, status or ``grid_assumed``.

    A contract is worth ``multiplier`` * 10**-multiplier_decimals of the underlying (linear), of the currency per price
    unit (quanto), or of the quote currency (inverse). ``tiers`` are sorted by floor, the first at 0; empty means unknown.
    ``price_tick`` and ``size_lot`` are the steps of an order in units of the grids, 1 where only the grid is known.
    ``grid_assumed`` is true when the decimals come from a general rule and not from the venue's own listing.
    """

    market: Id
    symbol: Name
    contract: Contract
    price_decimals: Decimals
    size_decimals: Decimals
    multiplier: Positive
    multiplier_decimals: Decimals
    price_tick: Positive
    size_lot: Positive
    basis: Basis
    grid_assumed: bool
    tiers: tuple[MarginTier, ...]
    position_limit: Positive | None
    status: MarketStatus


class PolicyAdopted(Event, frozen=True, tag=6):
    """An ADL policy in force from here on, as data: the eight parameters of a venue's rule, each in its text form.

    ``markets`` are those that it is for, None for all. In force for a market is the last policy adopted that is for it.

    ``rule`` says where the published rule stands and ``rule_sha256`` what its text was; empty and None where the rule is
    not a published text. ``by`` names who decided, for staff overrides.
    """

    policy: Id
    name: Name
    markets: tuple[Id, ...] | None
    trigger: Text
    scope: Text
    key: Text
    fill: Text
    price: Text
    target: Text
    layers: Text
    rounding: Text
    rule: Text
    rule_sha256: Sha256 | None
    by: Text


class OpenPosition(Part, frozen=True):
    """A position as first seen. ``size`` and ``entry`` are None where the source does not say.

    ``entry`` is an average entry price in 10**-entry_decimals, as venues print more decimals there than in prices.
    """

    market: Id
    size: Int64 | None
    entry: Int64 | None
    entry_decimals: Decimals


class Opening(Event, frozen=True, tag=7):
    """An account's cash and positions when the record of them begins, booked against ``unobserved``.

    They are stated levels, not changes. ``cash`` is None where the source does not say; a position not listed is not
    touched. Stating a level again is a re-observation after a gap.
    """

    account: Id
    cash: Wide | None
    positions: tuple[OpenPosition, ...]


class Transfer(Event, frozen=True, tag=8):
    """Cash moves from ``payer`` to ``payee``. ``reference`` is the venue's id of the movement, or empty."""

    payer: Id
    payee: Id
    cash: Wide
    reason: Reason
    reference: Name | None


class PriceTick(Event, frozen=True, tag=9):
    """The mark price of a market, its oracle (index) price, or both. None leaves the price as it is."""

    market: Id
    mark: Positive | None
    oracle: Positive | None


class Fill(Event, frozen=True, tag=10):
    """One trade: both sides, one price. A negative fee is a rebate. The trade and its orders have the venue's ids.

    ``*_start_claim``: signed position before the trade; ``*_profit_claim``: realised profit, as the venue states them.
    """

    market: Id
    buyer: Id
    seller: Id
    price: Positive
    size: Positive
    buyer_fee: Int64
    seller_fee: Int64
    trade: VenueId
    taker: Taker
    buyer_order: VenueId
    seller_order: VenueId
    buyer_start_claim: Int64 | None
    seller_start_claim: Int64 | None
    buyer_profit_claim: Wide | None
    seller_profit_claim: Wide | None


class Payment(Part, frozen=True):
    """Cash to (above zero) or from (below zero) an account. ``size_claim`` is the position it was paid on, as claimed."""

    account: Id
    cash: Wide
    size_claim: Int64 | None


class Funding(Event, frozen=True, tag=11):
    """Funding of one market. The sum of the payments comes from ``against``, so that money balances."""

    market: Id
    rate_ppt: Int64 | None
    against: Id
    payments: Annotated[tuple[Payment, ...], Meta(max_length=PAYMENTS_MAX)]


class Liquidation(Event, frozen=True, tag=12):
    """A trade that closes a liquidated account's position. ``account`` is the buyer or the seller.

    The fields of the trade are those of Fill. ``mark`` is the mark price the venue states; ``equity_claim`` and
    ``requirement_claim`` the account's equity and maintenance requirement at that point, as claimed. A take-over at the
    bankruptcy price may have a price at or below zero.
    """

    market: Id
    buyer: Id
    seller: Id
    price: Int64
    size: Positive
    buyer_fee: Int64
    seller_fee: Int64
    trade: VenueId
    taker: Taker
    buyer_order: VenueId
    seller_order: VenueId
    buyer_start_claim: Int64 | None
    seller_start_claim: Int64 | None
    buyer_profit_claim: Wide | None
    seller_profit_claim: Wide | None
    account: Id
    method: Method
    mark: Positive | None
    equity_claim: Wide | None
    requirement_claim: Wide | None


class InsuranceDraw(Event, frozen=True, tag=13):
    """The fund pays ``cash`` to ``account``. ``deficit`` is what was uncovered just before this draw.

    So a second draw for the same loss states the rest, never the whole again; what no draw covers falls to others.
    ``market`` and ``round`` are what it is drawn for, ``reference`` the venue's id of the movement, each where stated.
    """

    fund: Id
    account: Id
    cash: Wide
    deficit: Wide | None
    market: Id | None
    round: Id | None
    reference: Name | None


class PoolBalance(Part, frozen=True):
    """A pool's balance as the venue used it in a decision."""

    account: Id
    cash: Wide


class AdlRound(Event, frozen=True, tag=14):
    """An ADL decision begins: the position of ``loser`` in ``market`` is to be closed against others.

    ``size`` is the signed position of the loser that is to be closed, ``need_cash`` a target stated in money, each None where
    the venue does not publish the need. ``policy`` is None where no policy is on record. ``as_of`` is the seq of the state
    that the venue says it decided on, ``cause`` the seq of the liquidation or round that led to this one, ``seed`` what a
    rule that draws lots draws from. Whom the venue ranked is in the AdlCandidates events of the round.
    """

    round: Id
    loser: Id
    market: Id
    size: Int64 | None
    price: Int64 | None
    price_rule: PriceRule
    mark: Positive | None
    oracle: Positive | None
    bankruptcy: Int64 | None
    policy: Id | None
    pools: tuple[PoolBalance, ...]
    need_cash: Wide | None
    as_of: Natural | None
    cause: Natural | None
    seed: Seed | None


class AdlClose(Event, frozen=True, tag=15):
    """One winner's position is closed, in whole or in part, against the round's loser. ``winner`` is buyer or seller.

    The fields of the trade are those of Fill. ``mark`` is the mark price the venue states with this close. ``rank_claim``
    counts from 1; ``winner_equity_claim`` is the winner's account value just before the close, as claimed.
    """

    market: Id
    buyer: Id
    seller: Id
    price: Int64
    size: Positive
    buyer_fee: Int64
    seller_fee: Int64
    trade: VenueId
    taker: Taker
    buyer_order: VenueId
    seller_order: VenueId
    buyer_start_claim: Int64 | None
    seller_start_claim: Int64 | None
    buyer_profit_claim: Wide | None
    seller_profit_claim: Wide | None
    round: Id
    winner: Id
    mark: Positive | None
    winner_equity_claim: Wide | None
    rank_claim: Positive | None


class Settlement(Event, frozen=True, tag=16):
    """A market is settled: positions are closed at a price the venue set, outside the book. The fields are those of Fill."""

    market: Id
    buyer: Id
    seller: Id
    price: Int64
    size: Positive
    buyer_fee: Int64
    seller_fee: Int64
    trade: VenueId
    taker: Taker
    buyer_order: VenueId
    seller_order: VenueId
    buyer_start_claim: Int64 | None
    seller_start_claim: Int64 | None
    buyer_profit_claim: Wide | None
    seller_profit_claim: Wide | None


class Quarantined(Event, frozen=True, tag=17):
    """Input that the importer does not know or cannot accept: its raw bytes, in ``parts`` parts, ``part`` from 1."""

    reason: Name
    detail: Text
    part: Positive
    parts: Positive
    raw: Raw


class Corrected(Event, frozen=True, tag=18):
    """A correction of the event at ``corrects``. Its bytes stay; the ``effects`` events that follow this one are its effect."""

    corrects: Positive
    why: Text
    by: Text
    effects: Natural


class StateCommitted(Event, frozen=True, tag=19):
    """The state after ``upto`` events has these roots under ``semantics``."""

    upto: Natural
    money_root: Sha256
    basis_root: Sha256
    semantics: Positive


class Candidate(Part, frozen=True):
    """An account that the venue ranked, with what it claims of it: position, equity, entry on the price grid, score as text."""

    account: Id
    size_claim: Int64 | None
    equity_claim: Wide | None
    entry_claim: Int64 | None
    score_claim: Short | None


class AdlCandidates(Event, frozen=True, tag=20):
    """Whom the venue ranked for a round, in its order, in ``parts`` events, ``part`` from 1."""

    round: Id
    part: Positive
    parts: Positive
    candidates: Annotated[tuple[Candidate, ...], Meta(max_length=CANDIDATES_MAX)]


AnyEvent: TypeAlias = (
    LedgerOpened
    | SourceOpened
    | SourceClosed
    | AccountOpened
    | MarketListed
    | PolicyAdopted
    | Opening
    | Transfer
    | PriceTick
    | Fill
    | Funding
    | Liquidation
    | InsuranceDraw
    | AdlRound
    | AdlClose
    | Settlement
    | Quarantined
    | Corrected
    | StateCommitted
    | AdlCandidates
)

# Every event type by its tag: the table that the codec, the docs and the tests are made from.
EVENTS: dict[int, type[Event]] = {
    1: LedgerOpened,
    2: SourceOpened,
    3: SourceClosed,
    4: AccountOpened,
    5: MarketListed,
    6: PolicyAdopted,
    7: Opening,
    8: Transfer,
    9: PriceTick,
    10: Fill,
    11: Funding,
    12: Liquidation,
    13: InsuranceDraw,
    14: AdlRound,
    15: AdlClose,
    16: Settlement,
    17: Quarantined,
    18: Corrected,
    19: StateCommitted,
    20: AdlCandidates,
}
