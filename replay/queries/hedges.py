"""Q04: hedge legs that were closed while the other leg stayed, and liquidations after.

Net exposure is the sum of the signed values at mark of all positions of an owner, over all its accounts, gross the sum of their
amounts. A close orphans a hedge where it leaves the owner with a larger net exposure than before, long or short.
"""

from msgspec import Struct

from events.model import AccountOpened, AdlClose, AnyEvent, Liquidation
from replay.core import margin
from replay.core.missing import MISSING_CASH, MISSING_MARK
from replay.core.state import State
from replay.queries.answers import RECONSTRUCTION, Answer, Sheet, partly
from replay.queries.scope import Scope, Span
from replay.queries.walk import LACKS_CLOSES, LACKS_POSITION, Fold, held
from replay.views import cash_text

__all__ = ["Hedges"]


class _Exposure(Struct, frozen=True):
    """Net and gross exposure, in money units."""

    net: int
    gross: int


class _Close(Struct):
    """One ADL close and its owner's exposure before and after. ``liquidated`` is the seq of the next liquidation."""

    seq: int
    owner: int
    market: int
    before: _Exposure | None
    after: _Exposure | None
    liquidated: int | None = None

    @property
    def orphans(self) -> bool:
        """Tell whether the net exposure has grown."""
        return self.before is not None and self.after is not None and abs(self.after.net) > abs(self.before.net)


class Hedges(Fold):
    """Exposure of each winner's owner before and after each close, and the owner's first liquidation after it."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._accounts: dict[int, list[int]] = {}  # by owner
        self._closes: list[_Close] = []
        self._waiting: dict[int, list[_Close]] = {}  # closes whose owner was not liquidated since
        self._before: _Exposure | None = None
        self._lacks: set[str] = set()

    def before(self, state: State, event: AnyEvent, seq: int) -> None:
        """Measure what the owner holds before a close."""
        if type(event) is AdlClose and self._asked(state, event, seq):
            self._before = self._exposure(state, state.accounts[event.winner].owner)

    def after(self, state: State, event: AnyEvent, seq: int) -> None:
        """Measure what the owner holds after a close, or note a liquidation."""
        if type(event) is AccountOpened:
            accounts = self._accounts.setdefault(event.owner, [])
            if event.account not in accounts:
                accounts.append(event.account)
        elif type(event) is AdlClose and self._asked(state, event, seq):
            owner = state.accounts[event.winner].owner
            close = _Close(seq, owner, event.market, self._before, self._exposure(state, owner))
            self._span.add(seq)
            self._closes.append(close)
            self._waiting.setdefault(owner, []).append(close)
        elif type(event) is Liquidation and self._waiting:
            for close in self._waiting.pop(state.accounts[event.account].owner, ()):
                close.liquidated = seq

    def _asked(self, state: State, event: AdlClose, seq: int) -> bool:
        return self._scope.covers(seq, event.market, event.winner, state.accounts[event.winner].owner)

    def _exposure(self, state: State, owner: int) -> _Exposure | None:
        net = gross = 0
        for account in self._accounts[owner]:
            for market in range(len(state.markets)):
                size = held(state, account, market)
                if size is None:
                    self._lacks.add(LACKS_POSITION if state.cash_known[account] else MISSING_CASH)
                    return None
                if size and not state.marks[market]:
                    self._lacks.add(MISSING_MARK)
                    return None
                value = margin.market_value(state.markets[market], size, state.marks[market]) if size else 0
                net += value
                gross += abs(value)
        return _Exposure(net, gross)

    def answer(self, state: State) -> Answer:
        """Return the closes that left a leg, and who was liquidated after."""
        sheet = Sheet("Q04", state, self._scope)
        if not self._closes:
            return sheet.lacks("closes", "closes whose owner's exposure can be measured", LACKS_CLOSES)
        known = [close for close in self._closes if close.before is not None and close.after is not None]
        on = partly(RECONSTRUCTION, self._span, len(known), len(self._closes), self._lacks)
        hedged = sum(1 for close in known if close.before is not None and abs(close.before.net) < close.before.gross)
        orphaned = [close for close in known if close.orphans]
        liquidated = sum(1 for close in orphaned if close.liquidated)
        sheet.count("closes", "ADL closes whose owner's exposure is known before and after", len(known), "closes", on)
        sheet.count("hedged", "of them, the owner held opposite legs before", hedged, "closes", on)
        sheet.count("orphaned", "of them, the owner's net exposure was larger after", len(orphaned), "closes", on)
        sheet.count("orphaned.owners", "owners to whom that happened", len({close.owner for close in orphaned}), "owners", on)
        sheet.count("liquidated", "orphaning closes with a later liquidation of the owner", liquidated, "closes", on)
        columns = ("seq", "owner", "market", "net_before", "net_after", "gross_before", "gross_after", "liquidated_seq")
        rows = [
            (
                close.seq,
                state.accounts[close.owner].name,
                state.markets[close.market].listed.symbol,
                *(None if e is None else cash_text(state, e.net) for e in (close.before, close.after)),
                *(None if e is None else cash_text(state, e.gross) for e in (close.before, close.after)),
                close.liquidated,
            )
            for close in (self._closes if self._scope.account else orphaned)
        ]
        title = "Closes of the account's owner" if self._scope.account else "Closes that left the other leg"
        sheet.table("legs", title, columns, rows, on, drop=("gross_before", "gross_after"))
        sheet.note("Net: sum of the signed values at mark of all positions of the owner's accounts; gross: of their amounts.")
        return sheet.answer()
