"""What an importer must remember of a ledger, rebuilt by observing the ledger's own events.

Law: two books that observed the same events in the same order are equal. So an import goes on after a stop with a book made
from the ledger alone, and nothing is kept beside it. A book holds names, sizes and positions in time; it does no accounting.
"""

from msgspec import Struct

from events.model import (
    FIRST_FREE_ACCOUNT,
    AccountOpened,
    AdlClose,
    AdlRound,
    Event,
    Fill,
    Funding,
    LedgerOpened,
    Liquidation,
    MarketListed,
    Opening,
    PolicyAdopted,
    Reason,
    Settlement,
    SourceClosed,
    SourceOpened,
    Transfer,
)
from events.units import INT64_MIN

__all__ = ["TRADES_WINDOW_NS", "Book"]

# Trade ids are remembered for the coarsest clock of a source of trades.
TRADES_WINDOW_NS = 1_000_000

_MARKET_BITS = 32  # ids are below 2**32


class Book(Struct):
    """The memory of an importer. Only ``observe`` changes it.

    ``next_*`` are the ids that the next new account, market, policy, round and source get. ``sources`` gives a source's
    id by the SHA-256 of its content, ``closed`` the ids of those that were read to their end. ``round_markets`` is by round.

    ``latest_ns`` is the latest time that an event states; 0 states none. ``trades_at_ns`` is the latest time of a trade (of
    any kind), ``trades_source`` the source that told it, and ``trades`` the ids of the trades in that time's millisecond,
    as far as they have one: some sources tell the same trades by a clock that is cut to that. ``cash_at_ns`` and
    ``cash_source`` are the same for funding and for transfers other than of residuals. By these a source that overlaps an
    earlier one is noticed. Before the first, the times are ``INT64_MIN`` and the rest is 0 and empty.
    """

    opened: LedgerOpened | None = None
    sources: dict[bytes, int] = {}  # msgspec copies an empty default for each instance
    closed: set[int] = set()
    names: list[str] = []
    account_ids: dict[str, int] = {}
    listings: list[MarketListed] = []
    market_ids: dict[str, int] = {}
    sizes: dict[int, int] = {}
    next_policy: int = 0
    round_markets: list[int] = []
    next_source: int = 1
    latest_ns: int = INT64_MIN
    trades_at_ns: int = INT64_MIN
    trades_source: int = 0
    trades: set[int | str] = set()
    cash_at_ns: int = INT64_MIN
    cash_source: int = 0

    @property
    def next_account(self) -> int:
        """Return the id of the next account."""
        return len(self.names)

    @property
    def next_market(self) -> int:
        """Return the id of the next market."""
        return len(self.listings)

    @property
    def next_round(self) -> int:
        """Return the id of the next round."""
        return len(self.round_markets)

    def account(self, name: str) -> int | None:
        """Return the id of the account of that name, None where no account has it."""
        return self.account_ids.get(name)

    def account_name(self, account: int) -> str:
        """Return the name of an account that is open."""
        return self.names[account]

    def market(self, symbol: str) -> int | None:
        """Return the id of the market of that symbol, None where it is not listed."""
        return self.market_ids.get(symbol)

    def listed(self, market: int) -> MarketListed:
        """Return the latest listing of a market."""
        return self.listings[market]

    def round_market(self, number: int) -> int:
        """Return the market of a round that has begun."""
        return self.round_markets[number]

    def size(self, account: int, market: int) -> int | None:
        """Return the signed position as the ledger has it, None where it was never seen or was stated as unknown."""
        return self.sizes.get(account << _MARKET_BITS | market)

    def observe(self, event: Event) -> None:
        """Take in one event of the ledger. To be called for every event, in order, also for those just emitted."""
        if event.at_ns > self.latest_ns and event.at_ns:
            self.latest_ns = event.at_ns
        match event:
            case Fill() | Liquidation() | AdlClose() | Settlement():
                self._trade(event)
            case Transfer() | Funding():
                residual = type(event) is Transfer and event.reason is Reason.RESIDUAL
                if event.at_ns >= self.cash_at_ns and not residual:
                    self.cash_at_ns, self.cash_source = event.at_ns, event.source
            case Opening():
                self._opening(event)
            case AccountOpened():
                self._account(event)
            case MarketListed():
                self._market(event)
            case _:
                self._administration(event)

    def _trade(self, event: Fill | Liquidation | AdlClose | Settlement) -> None:
        for account, change in ((event.buyer, event.size), (event.seller, -event.size)):
            # The reserved accounts stand for many parties, so a claim about one party is never compared with them.
            if account >= FIRST_FREE_ACCOUNT:
                key = account << _MARKET_BITS | event.market
                self.sizes[key] = self.sizes.get(key, 0) + change
        window, latest = event.at_ns // TRADES_WINDOW_NS, self.trades_at_ns // TRADES_WINDOW_NS
        if window > latest:
            self.trades = set()
        if event.at_ns >= self.trades_at_ns:
            self.trades_at_ns, self.trades_source = event.at_ns, event.source
        if event.trade is not None and window >= latest:
            self.trades.add(event.trade)

    def _opening(self, event: Opening) -> None:
        for position in event.positions:
            key = event.account << _MARKET_BITS | position.market
            if position.size is None:
                self.sizes.pop(key, None)
            else:
                self.sizes[key] = position.size

    def _account(self, event: AccountOpened) -> None:
        if event.account == len(self.names):
            self.names.append(event.name)
        else:
            self.account_ids.pop(self.names[event.account], None)
            self.names[event.account] = event.name
        self.account_ids[event.name] = event.account

    def _market(self, event: MarketListed) -> None:
        if event.market == len(self.listings):
            self.listings.append(event)
        else:
            self.market_ids.pop(self.listings[event.market].symbol, None)
            self.listings[event.market] = event
        self.market_ids[event.symbol] = event.market

    def _administration(self, event: Event) -> None:
        match event:
            case LedgerOpened():
                self.opened = event
            case SourceOpened():
                self.sources[event.content_sha256] = self.next_source
                self.next_source += 1
            case SourceClosed():
                self.closed.add(event.source)
            case PolicyAdopted():
                self.next_policy = event.policy + 1
            case AdlRound():
                self.round_markets.append(event.market)
            case _:
                pass
