"""What is asked about, and from which events a figure was computed."""

from msgspec import Struct

from events.errors import MisuseError
from events.model import AccountOpened, AnyEvent, MarketListed

__all__ = ["Scope", "Span"]


class Scope:
    """What was asked about: seqs ``first`` to ``last``, an account, a market, a price; None for all or none.

    Names are those of the ledger; their ids are known from the event that gives them.
    """

    def __init__(
        self, first: int, last: int, *, account: str | None = None, market: str | None = None, price: str | None = None
    ) -> None:
        self.first, self.last = first, last
        self.account, self.market, self.price = account, market, price
        self.account_id: int | None = None
        self.market_id: int | None = None

    def observe(self, event: AnyEvent) -> None:
        """Learn the id of the account or the market asked about."""
        if type(event) is AccountOpened and event.name == self.account:
            self.account_id = event.account
        elif type(event) is MarketListed and event.symbol == self.market:
            self.market_id = event.market

    def covers(self, seq: int, market: int | None = None, *accounts: int) -> bool:
        """Tell whether an event is asked about: by its seq, and by market and accounts where these are given."""
        return (
            self.first <= seq <= self.last
            and (self.market is None or market is None or market == self.market_id)
            and (self.account is None or not accounts or self.account_id in accounts)
        )

    def check(self) -> None:
        """Raise ``MisuseError`` where the record up to the window's end has no such account or market."""
        for kind, name, found in (("account", self.account, self.account_id), ("market", self.market, self.market_id)):
            if name is not None and found is None:
                raise MisuseError(f"there is no {kind} {name!r} up to seq {self.last}.", cure=f"`adl state` lists the {kind}s.")


class Span(Struct):
    """The first and the last seq that went into a figure; 0 while there is none."""

    first: int = 0
    last: int = 0

    def add(self, seq: int) -> None:
        """Take in an event. Seqs come in ascending order, or at least never before the first."""
        self.first = self.first or seq
        self.last = max(self.last, seq)
