"""Q18 and Q20: whether liquidations were under-reported, and who was liquidated only because of the mark.

Q18. What is recorded as a liquidation is a lower bound. Any other trade that closes a position might have been one, so the
upper bound adds what ordinary fills closed: per fill, the larger of what its two sides closed. Beside them stands the change of
open interest, split by the kind of trade that made it, where every holder is known.

Q20. Just before the first of a run of liquidations of an account, its equity and its requirement are taken at the mark prices
and again at the oracle prices, all of them. Take-overs that end an ADL round are no decisions of their own and are left out.
"""

from msgspec import Struct
from msgspec.structs import replace

from events.model import UNOBSERVED, AdlClose, AnyEvent, Completeness, Fill, Liquidation, Method, Opening, Settlement
from replay.core import margin
from replay.core.missing import MISSING_ORACLE
from replay.core.state import State
from replay.queries.answers import RECONSTRUCTION, RECORD, Answer, Cell, Ground, Sheet, partly
from replay.queries.scope import Scope, Span
from replay.queries.walk import LACKS_LIQUIDATIONS, Fold, held, margin_gaps, notional
from replay.views import cash_text, size_text

__all__ = ["OnlyByMark", "Reported"]


class _Market(Struct):
    """Sizes in one market. ``*_interest`` are changes of open interest by what made them; ``unknown`` says they lack some."""

    liquidated: int = 0
    adl: int = 0
    closed: int = 0
    fills_interest: int = 0
    liquidations_interest: int = 0
    adl_interest: int = 0
    unknown: bool = False


def _interest(before: int, quantity: int) -> int:
    """Return what a trade of signed ``quantity`` adds to a holder's part of open interest, the longs."""
    return max(before + quantity, 0) - max(before, 0)


def _closed(before: int | None, quantity: int) -> int:
    """Return how much of a position a trade closed, all of it where the position is not known."""
    if before is None:
        return abs(quantity)
    return min(abs(before), abs(quantity)) if before * quantity < 0 else 0


class Reported(Fold):
    """Q18: bounds of what was liquidated, by market, and the change of open interest."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._markets: dict[int, _Market] = {}
        self._liquidated = self._closed = 0  # at trade prices

    def before(self, state: State, event: AnyEvent, seq: int) -> None:
        """Look at a trade and what its sides hold before it."""
        if type(event) is Opening and self._scope.covers(seq):
            for stated in event.positions:
                self._markets.setdefault(stated.market, _Market()).unknown = True
        if not isinstance(event, Fill | Liquidation | AdlClose | Settlement) or not self._scope.covers(seq, event.market):
            return
        found = self._markets.setdefault(event.market, _Market())
        sides = [(a, held(state, a, event.market), q) for a, q in ((event.buyer, event.size), (event.seller, -event.size))]
        found.unknown |= any(before is None or account == UNOBSERVED for account, before, _ in sides)
        interest = sum(_interest(before, quantity) for _, before, quantity in sides if before is not None)
        if isinstance(event, Liquidation):
            self._span.add(seq)
            self._liquidated += notional(state, event)
            found.liquidated += event.size
            found.liquidations_interest += interest
        elif isinstance(event, AdlClose):
            found.adl += event.size
            found.adl_interest += interest
        else:
            closed = max(_closed(before, quantity) for _, before, quantity in sides)
            found.closed += closed
            self._closed += abs(margin.market_value(state.markets[event.market], closed, event.price))
            found.fills_interest += interest

    def answer(self, state: State) -> Answer:
        """Return the bounds in money at the last mark, and by market in contracts."""
        sheet = Sheet("Q18", state, self._scope)
        if not self._markets:
            return sheet.lacks("lower", "liquidations on record", "trades")
        markets = sorted(self._markets.items())
        # A record that may lack rows says neither that there was no liquidation nor how many there can have been.
        complete = all(source is Completeness.COMPLETE for source in state.completeness)
        on = partly(RECORD, self._span, int(complete or bool(self._span.first)), 1, (LACKS_LIQUIDATIONS,))
        sheet.cash("lower", "liquidations on record, at trade prices", self._liquidated, on)
        on = partly(RECONSTRUCTION, None, int(complete), 1, ("sources that call themselves complete",))
        sheet.cash("upper", "the same and all closing by other fills", self._liquidated + self._closed, on)
        whole = sum(1 for market, found in markets if not found.unknown and not state.partial[market])
        sheet.count("whole", "markets whose open interest is known throughout", whole, "markets", Ground(RECORD))
        columns = ("market", "liquidated", "upper_bound", "oi_change", "oi_liquidations", "oi_adl", "oi_fills")
        rows = [self._row(state, market, found, complete=complete) for market, found in markets]
        title = "Contracts by market: liquidated, and the change of open interest by what made it"
        drop = ("oi_fills", "oi_adl")
        sheet.table("markets", title, columns, rows, Ground(RECONSTRUCTION), drop=drop)
        sheet.note("Open interest that a venue publishes is in no event, so what it implies cannot be set against these.")
        return sheet.answer()

    @staticmethod
    def _row(state: State, market: int, found: _Market, *, complete: bool) -> tuple[Cell, ...]:
        sizes: tuple[int | None, ...] = (found.liquidations_interest, found.adl_interest, found.fills_interest)
        total: int | None = found.liquidations_interest + found.adl_interest + found.fills_interest
        if found.unknown or state.partial[market]:
            sizes, total = (None, None, None), None
        liquidated = found.liquidated if complete or found.liquidated else None
        cells = (liquidated, found.liquidated + found.closed if complete else None, total, *sizes)
        return state.markets[market].listed.symbol, *(size_text(state, market, size) for size in cells)


class OnlyByMark(Fold):
    """Q20: liquidations that the oracle prices would not have asked for."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._last: tuple[int, int] = (0, 0)  # the seq and account of the last liquidation
        self._runs = self._decided = self._healthy = 0
        self._only: dict[int, None] = {}
        self._only_runs = self._only_notional = 0
        self._counts = False
        self._gaps: set[str] = set()
        self._rows: list[tuple[Cell, ...]] = []

    def before(self, state: State, event: AnyEvent, seq: int) -> None:
        """Judge the first liquidation of a run at both prices, and add up the run."""
        if type(event) is not Liquidation:
            return
        begins = self._last != (seq - 1, event.account)
        self._last = seq, event.account
        if not self._scope.covers(seq, event.market, event.account) or event.method is Method.TAKEOVER:
            return
        self._span.add(seq)
        if begins:
            self._counts = self._judge(state, event, seq)
        if self._counts:
            self._only_notional += notional(state, event)

    def _judge(self, state: State, event: Liquidation, seq: int) -> bool:
        """Return whether the account is liquidated only because of the mark."""
        self._runs += 1
        account = event.account
        elsewhere = replace(state, marks=state.oracles)
        worth, need = margin.equity(state, account), margin.maintenance(state, account)
        other_worth, other_need = margin.equity(elsewhere, account), margin.maintenance(elsewhere, account)
        if worth is None or need is None:
            self._gaps.update(margin_gaps(state, account, tiers=True))
            return False
        if other_worth is None or other_need is None:
            self._gaps.add(MISSING_ORACLE)
            return False
        self._decided += 1
        self._healthy += worth >= need
        if worth >= need or other_worth < other_need:
            return False
        self._only[account] = None
        self._only_runs += 1
        amounts = (worth, need, other_worth, other_need)
        symbol = state.markets[event.market].listed.symbol
        self._rows.append((seq, state.accounts[account].name, symbol, *(cash_text(state, amount) for amount in amounts)))
        return True

    def answer(self, state: State) -> Answer:
        """Return the accounts that were below their requirement at mark and not at the oracle price."""
        sheet = Sheet("Q20", state, self._scope)
        if not self._runs:
            return sheet.lacks("only", "liquidations that only the mark explains", LACKS_LIQUIDATIONS)
        on = partly(RECONSTRUCTION, self._span, self._decided, self._runs, self._gaps)
        sheet.count("decisions", "runs of liquidations of one account", self._runs, "runs", Ground(RECORD, self._span))
        sheet.count("healthy", "of them of an account that met its requirement at mark", self._healthy, "runs", on)
        sheet.count("only", "of them only because of the mark", self._only_runs, "runs", on)
        sheet.count("only.accounts", "accounts to whom that happened", len(self._only), "accounts", on)
        sheet.cash("only.notional", "notional of these runs, at trade prices", self._only_notional, on)
        columns = ("seq", "account", "market", "equity", "requirement", "oracle_equity", "oracle_requirement")
        title = "Below the requirement at mark, not at the oracle price"
        sheet.table("runs", title, columns, self._rows, on, drop=("market", "oracle_requirement", "requirement"))
        return sheet.answer()
