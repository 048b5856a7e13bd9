"""The closed loop: a record carried on under another rule. What the venue forced is taken out, and the engine decides instead.

From the change on. What comes from outside stays as recorded: fills, prices, deposits, withdrawals, top-ups, funding, accounts,
listings, and liquidations on the book, these clipped to the position that is left and dropped when there is none. What was
forced (``forced``) goes, and at its moments the engine is asked about the account that it dealt with. An account whose money or
contracts have parted from the record is also asked about after each tick of a market that it holds, ticks of one time in a row
as one, in account order; the venue's own accounts only at the moments of the record.

The book takes from liquidations what it took on record, and nothing else, so nothing new is liquidated there. How the venue
takes over accounts that still have equity is not in its policy: it does so at the moments at which it did, and beside these by
``Survey.takeover_ppm``. What the record claims of a parted account is left out, as it is about another state; so are
commitments, and openings that state a parted account's levels again. Another size of the fund is a transfer at the change, so
a rule that looks at the fund's drawdown sees it as a fall or a rise.

Every event that was not recorded is of a source of its own, which says so, and comes with the time of the event that led to it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from events.errors import MisuseError
from events.model import (
    EXTERNAL,
    FIRST_FREE_ACCOUNT,
    AdlClose,
    AnyEvent,
    Completeness,
    Corrected,
    Event,
    Fill,
    Funding,
    LedgerOpened,
    Liquidation,
    Opening,
    PolicyAdopted,
    PriceTick,
    Reason,
    Role,
    Settlement,
    SourceClosed,
    SourceOpened,
    StateCommitted,
    Transfer,
)
from events.units import PPM
from replay.core import margin
from replay.core.engine import Look, Moment, Rules, decide
from replay.core.evolve import evolve
from replay.core.policy import policy_for
from replay.core.spelling import Texts, adopt, parse_policy
from replay.core.state import State
from replay.core.triggers import fund_pools
from replay.whatif.change import UNCHANGED, Change, changed_texts, label_of, texts_of
from replay.whatif.forced import Key, dealt_with, key_of, parties_of
from replay.whatif.survey import Survey

__all__ = ["FORMAT", "ClosedLoop", "Tallies"]

FORMAT = "what-if"
"""The format of the source of what the engine decided."""

_NAME_CHARS_MAX = 256
_CLOCK = "Not recorded: decided by the engine, each event at the time of the recorded event that led to it."
_BY = "what-if"
_CLAIMS = ("buyer_start_claim", "seller_start_claim", "buyer_profit_claim", "seller_profit_claim")


_Trade: TypeAlias = Fill | Liquidation | Settlement


class Tallies(Struct):
    """What became of the record: forced events taken out and those decided instead, by type, and what was done to the rest.

    ``decided_keys`` are the keys of what was decided. ``parted`` counts the accounts that end apart from the record.
    """

    removed: Counter[str] = field(default_factory=Counter)
    decided: Counter[str] = field(default_factory=Counter)
    decided_keys: Counter[Key] = field(default_factory=Counter)
    clipped: int = 0
    dropped: int = 0
    restated: int = 0
    parted: int = 0


class ClosedLoop:
    """One run. ``events`` may be read once; ``tallies`` are whole after that. ``origin`` names the record in the source."""

    def __init__(self, log: Iterable[tuple[int, AnyEvent]], known: Survey, change: Change, origin: str) -> None:
        self.tallies = Tallies()
        self.other = State()
        self.record = State()
        self._log = log
        self._known = known
        self._change = change
        self._origin = origin
        self._parted: set[int] = set()
        self._trade = known.trade
        self._source = 0
        self._at_ns = 0
        self._ticked: dict[int, None] = {}
        self._tick_ns = 0

    def events(self) -> Iterator[AnyEvent]:
        """Yield the events of the other ledger, from its LedgerOpened on.

        Raises ``MisuseError`` naming the seq of the record at which the engine lacks something that it needs.
        """
        for seq, event in self._log:
            if seq < self._known.since:
                yield self._emit(self._labelled(event) if isinstance(event, LedgerOpened) else event)
                evolve(self.record, event, seq)
                continue
            if seq == self._known.since:
                yield from self._begin(event)
            if self._ticked and not (isinstance(event, PriceTick) and event.at_ns == self._tick_ns):
                yield from self._after_ticks(seq)
            yield from self._step(event, seq)
        yield from self._after_ticks(self._known.head)
        yield self._emit(SourceClosed(self._at_ns, self._source, 0, rows_in=0, rows_used=0, tallies=()))
        self.tallies.parted = len(self._parted)

    def _emit(self, event: AnyEvent) -> AnyEvent:
        evolve(self.other, event, self.other.seq + 1)
        return event

    # ---- The change

    def _labelled(self, opened: LedgerOpened) -> LedgerOpened:
        return replace(opened, venue=self._label(opened.venue))

    def _label(self, venue: str) -> str:
        return f"what-if of {venue}: {label_of(self._change)}"[:_NAME_CHARS_MAX]

    def _begin(self, event: AnyEvent) -> Iterator[AnyEvent]:
        """Open the source of what is decided, and make the change."""
        venue = self.record.opened.venue if self.record.opened else ""
        self._source, self._at_ns = self.other.sources + 1, event.at_ns
        content = f"{self._origin}\n{self._known.since}\n{label_of(self._change)}\n".encode()
        digest = sha256(content).digest()
        yield self._emit(
            SourceOpened(
                self._at_ns,
                self._source,
                0,
                name=self._label(venue),
                sha256=digest,
                content_sha256=digest,
                content_bytes=len(content),
                format=FORMAT,
                format_version=1,
                granularity_ns=None,
                divergence_ns=None,
                clock=_CLOCK,
                completeness=Completeness.COMPLETE,
            )
        )
        if replace(self._change, fund_cash=None, fund="") != UNCHANGED:
            yield from self._adoptions()
        if self._change.fund_cash is not None:
            yield from self._fund(self._change.fund_cash)

    def _adoptions(self) -> Iterator[AnyEvent]:
        """Adopt the changed policy for all markets; without a new one each policy in force, changed, for its own."""
        if self._change.policy is not None:
            yield self._emit(self._adopted(changed_texts(self._change.policy, self._change), None))
            return
        in_force = {policy_for(self.other, market) for market in range(len(self.other.markets))}
        for number in sorted(number for number in in_force if number is not None):
            adopted = self.other.policies[number]
            yield self._emit(self._adopted(changed_texts(texts_of(adopted), self._change), adopted.markets))

    def _adopted(self, texts: Texts, markets: tuple[int, ...] | None) -> PolicyAdopted:
        number = len(self.other.policies)
        return adopt(texts, policy=number, at_ns=self._at_ns, source=self._source, row=0, by=_BY, markets=markets)

    def _fund(self, cash: int) -> Iterator[AnyEvent]:
        """Bring the fund's pools to ``cash`` together, all of it in the first."""
        number = policy_for(self.other, 0) if self.other.markets else None
        pools = fund_pools(self.other, None if number is None else parse_policy(self.other.policies[number]))
        if not pools:
            raise MisuseError("there is no fund on record whose size could be changed.", cure="Leave --fund out.")
        for place, pool in enumerate(pools):
            level = margin.equity(self.other, pool)
            if level is None:
                raise MisuseError(f"the level of the fund {self.other.accounts[pool].name} is not on record.")
            less = level - (0 if place else cash)
            if less:
                payer, payee, reason = (pool, EXTERNAL, Reason.OTHER) if less > 0 else (EXTERNAL, pool, Reason.TOP_UP)
                yield self._emit(Transfer(self._at_ns, self._source, 0, payer, payee, abs(less), reason, _BY))
                self._compare((pool,))

    # ---- One recorded event

    def _step(self, event: AnyEvent, seq: int) -> Iterator[AnyEvent]:
        account = dealt_with(self.record, event)
        if account is not None:
            took_over = isinstance(event, Liquidation) and (margin.equity(self.record, account) or 0) > 0
            evolve(self.record, event, seq)
            self.tallies.removed[type(event).__name__] += 1
            yield from self._decide(account, event, seq, took_over=took_over)
            self._compare(parties_of(event))
            return
        if isinstance(event, Corrected):
            raise MisuseError(
                "what a correction after the change would be in another run cannot be told.",
                seq=seq,
                cure="Choose a later --from.",
            )
        kept = self._kept(event)
        evolve(self.record, event, seq)
        if kept is not None:
            yield self._emit(kept)
        self._compare(parties_of(event))
        if isinstance(event, PriceTick):
            self._ticked[event.market] = None
            self._tick_ns = event.at_ns

    def _kept(self, event: AnyEvent) -> AnyEvent | None:
        """Return a recorded event as it stands in the other run, None where it does not."""
        kept: AnyEvent | None = event
        match event:
            case StateCommitted():
                kept = None
            case PolicyAdopted():
                kept = None if self._change.policy is not None else self._readopted(event)
            case Opening() if event.account in self._parted:
                self.tallies.restated += 1
                kept = None
            case Liquidation():
                clipped = self._clipped(event)
                kept = None if clipped is None else self._unclaimed(clipped)
            case Fill() | Settlement():
                kept = self._unclaimed(event)
            case Funding():
                parted = self._parted
                payments = tuple(replace(one, size_claim=None) if one.account in parted else one for one in event.payments)
                kept = replace(event, payments=payments)
            case _:
                pass
        shift = event.source >= self._source
        return replace(kept, source=event.source + 1) if kept is not None and shift else kept

    def _readopted(self, event: PolicyAdopted) -> PolicyAdopted:
        """Return a later policy of the record under the change."""
        changed = changed_texts(texts_of(event), self._change)
        number = len(self.other.policies)
        return replace(event, policy=number, **changed._asdict())

    def _clipped(self, event: Liquidation) -> Liquidation | None:
        """Return a liquidation on the book, of no more than the account holds; None where it holds nothing there."""
        held = self.other.positions[event.market].get(event.account)
        size = 0 if held is None else held.size
        left = max(size if event.account == event.seller else -size, 0)
        if left >= event.size or event.account not in self._parted:
            return event
        if not left:
            self.tallies.dropped += 1
            return None
        self.tallies.clipped += 1
        fees = {name: getattr(event, name) * left // event.size for name in ("buyer_fee", "seller_fee")}
        return replace(event, size=left, **fees)

    def _unclaimed(self, event: _Trade) -> _Trade:
        """Return a trade without what is claimed of its sides, where one of them has parted from the record."""
        if event.buyer not in self._parted and event.seller not in self._parted:
            return event
        claims = (*_CLAIMS, "equity_claim", "requirement_claim") if isinstance(event, Liquidation) else _CLAIMS
        return replace(event, **dict.fromkeys(claims))

    # ---- The engine

    def _decide(self, account: int, event: Event, seq: int, *, took_over: bool = False) -> Iterator[AnyEvent]:
        """Yield what the engine decides about an account until nothing is left to do."""
        rules = Rules(self._known.vault, takeover_ppm=PPM if took_over else self._known.takeover_ppm)
        self._at_ns = max(self._at_ns, event.at_ns)
        while True:
            try:
                decision = decide(self.other, Look(account), rules, Moment(self._at_ns, self._source, 0, self._trade))
            except MisuseError as error:
                raise MisuseError(
                    f"at seq {seq} of the record the engine cannot go on: {error.message}", cure=error.cure
                ) from error
            if not decision.events:
                return
            for one in decision.events:
                yield self._emit(one)
                self._trade += isinstance(one, AdlClose | Liquidation)
                self.tallies.decided[type(one).__name__] += 1
                self.tallies.decided_keys[key_of(one) or ()] += 1
                self._compare(parties_of(one))

    def _after_ticks(self, seq: int) -> Iterator[AnyEvent]:
        """Ask about the parted users who hold a market that has ticked."""
        ticked, self._ticked = self._ticked, {}
        tick = PriceTick(self._tick_ns, 0, 0, 0, None, None)
        for account in sorted(self._parted):
            holds = any(position.size and market in ticked for market, position in self.other.holdings[account].items())
            if holds and self.other.accounts[account].role is Role.USER:
                yield from self._decide(account, tick, seq)

    def _compare(self, accounts: Iterable[int]) -> None:
        """Note which of the accounts stand in the other run as they do on record."""
        for account in accounts:
            if account >= FIRST_FREE_ACCOUNT:
                if _level(self.record, account) == _level(self.other, account):
                    self._parted.discard(account)
                else:
                    self._parted.add(account)


def _level(state: State, account: int) -> tuple[int, dict[int, int]]:
    """Return an account's cash and its positions that are not flat."""
    return state.cash[account], {market: one.size for market, one in state.holdings[account].items() if one.size}
