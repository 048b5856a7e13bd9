"""What the events add up to: plain data, no behaviour.

Rules. ``evolve`` is the only code that changes a State. Every amount is an integer in the units of ``events.model``. Dicts
are keyed by integers and never iterated where the order could reach a result without being sorted first.

Money is linear: ``cash`` and ``size`` are plain sums over events, as if every contract had been bought outright, so cash is
often below zero. ``cost`` and ``realised`` are the basis: a convention kept beside the money, path-dependent, never part of
it.
"""

from typing import NamedTuple

from msgspec import Struct, field

from events.model import AccountOpened, AdlRound, Completeness, LedgerOpened, MarketListed, PolicyAdopted

__all__ = ["ENTRY_UNKNOWN", "PROFIT_UNKNOWN", "SIZE_UNKNOWN", "FundLevel", "Market", "Position", "Round", "State"]

# What is not known of a position. Whatever depends on an unknown is undecidable, never zero.
SIZE_UNKNOWN = 1  # the record began without saying how large the position was
ENTRY_UNKNOWN = 2  # the cost of what is held now is not on record
PROFIT_UNKNOWN = 4  # some of the realised profit was made from an unknown entry


class Market(Struct, frozen=True, gc=False):
    """A listed market. ``numerator / denominator`` scales price unit * size unit to money units; see ``units.notional``.

    ``linear`` says again what the listing says, as every trade asks for it.
    """

    listed: MarketListed
    numerator: int
    denominator: int
    linear: bool


class Position(Struct, gc=False):
    """One account's holding in one market. ``size`` is signed; ``cost`` is what it cost, as cash paid.

    With ``SIZE_UNKNOWN`` the size is the change since the record began, and the entry is unknown too. With
    ``ENTRY_UNKNOWN`` the cost is kept at 0 and means nothing. A position known to be flat has cost 0 and a known entry.
    """

    size: int = 0
    cost: int = 0
    realised: int = 0
    unknown: int = 0


class Round(Struct, gc=False):
    """An ADL round so far: its opening event, that event's seq, and how much its closes have closed.

    ``candidates`` are the accounts that the venue ranked, in its order, from the first ``part`` of ``parts`` AdlCandidates
    events: whole where the two are equal, and not stated at all where both are 0.
    """

    event: AdlRound
    seq: int
    closed: int = 0
    closes: int = 0
    candidates: list[int] = []
    part: int = 0
    parts: int = 0


class FundLevel(NamedTuple):
    """The wallet balance of a fund after the event at ``seq``: its cash, and what it paid for the positions it holds.

    ``at_ns`` is the time that the source gave the event, or that of the level before where the clock went back.
    """

    seq: int
    at_ns: int
    cash: int


class State(Struct):
    """The whole state after ``seq`` events. Lists are indexed by id; ``positions[market][account]``.

    ``cash_known[account]`` is false while the account's cash is only the change since the record began. ``marks`` and
    ``oracles`` hold 0 where no price is known; ``previous_marks`` the mark before the last tick that stated one, 0 where
    there is none. ``partial[market]`` is true once a position of the market was first seen in a source that does not call
    itself complete, or by a trade of an account whose cash was not known and whose position no Opening had stated: then the
    market may have holders that the record does not show. All of these are in the money root.

    ``completeness`` is by source id; at 0 stands the ledger itself, which is complete. ``open_sources`` are the sources whose
    events may come now; the ledger always is one. These are in no root, nor are ``role_since[account]``, the seq from which
    the account has its role, and ``quarantined``, which counts inputs and not their parts.

    The rest is derived for those who ask, and in no root either. ``holdings[account][market]`` are the very positions of
    ``positions[market][account]``, by account. ``fund_levels[account]`` are the levels of a fund's balance in the order of seq,
    for rules that look at its drawdown: when the account becomes a fund, after each Transfer, InsuranceDraw or Funding that
    changes its cash while it is one, and after each Opening that states its cash. Trades are not among them, as they exchange
    cash for contracts; what they realised is in the next level. Nor is a level while the balance is not known.
    ``liquidated[account, market]`` is the time that the source gave the account's last Liquidation on the market
    (``Method.MARKET``) there, for venues that wait between two.
    """

    seq: int = 0
    opened: LedgerOpened | None = None
    sources: int = 0
    completeness: list[Completeness] = field(default_factory=lambda: [Completeness.COMPLETE])
    open_sources: set[int] = field(default_factory=lambda: {0})
    accounts: list[AccountOpened] = []  # msgspec copies an empty list for each instance
    role_since: list[int] = []
    cash: list[int] = []
    cash_known: list[bool] = []
    markets: list[Market] = []
    marks: list[int] = []
    previous_marks: list[int] = []
    oracles: list[int] = []
    partial: list[bool] = []
    positions: list[dict[int, Position]] = []
    policies: list[PolicyAdopted] = []
    rounds: list[Round] = []
    quarantined: int = 0
    holdings: list[dict[int, Position]] = []
    fund_levels: dict[int, list[FundLevel]] = {}
    liquidated: dict[tuple[int, int], int] = {}
