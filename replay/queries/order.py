"""Q02: the order in which accounts were closed: by seq, never by time, as a block of a venue has one time for all it holds."""

from events.model import AdlClose, AnyEvent, Liquidation
from events.times import format_utc
from replay.core.state import State
from replay.queries.answers import RECORD, Answer, Cell, Ground, Sheet
from replay.queries.scope import Scope, Span
from replay.queries.walk import LACKS_CLOSES, LACKS_LIQUIDATIONS, Fold
from replay.views import price_text, size_text

__all__ = ["Order"]


class Order(Fold):
    """Forced closes in the order of the record, and how many of them their times could not have put in order."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._rows: list[tuple[Cell, ...]] = []
        self._by_time: dict[int, tuple[int, int]] = {}  # how many liquidations and ADL closes state one time
        self._latest_ns = 0
        self._back = 0

    def after(self, state: State, event: AnyEvent, seq: int) -> None:
        """Take in a forced close."""
        if not isinstance(event, Liquidation | AdlClose):
            return
        account = event.winner if isinstance(event, AdlClose) else event.account
        if not self._scope.covers(seq, event.market, account):
            return
        self._span.add(seq)
        liquidations, closes = self._by_time.get(event.at_ns, (0, 0))
        adl = isinstance(event, AdlClose)
        self._by_time[event.at_ns] = (liquidations + (not adl), closes + adl)
        self._back += event.at_ns < self._latest_ns
        self._latest_ns = max(self._latest_ns, event.at_ns)
        self._rows.append(
            (
                seq,
                format_utc(event.at_ns) if event.at_ns else None,
                "ADL close" if adl else f"liquidation ({event.method.name.lower()})" if isinstance(event, Liquidation) else "",
                event.round if isinstance(event, AdlClose) else None,
                state.markets[event.market].listed.symbol,
                state.accounts[account].name,
                size_text(state, event.market, event.size),
                price_text(state, event.market, event.price),
            )
        )

    def answer(self, state: State) -> Answer:
        """Return the order and its ties."""
        sheet = Sheet("Q02", state, self._scope)
        if not self._rows:
            return sheet.lacks("closes", "forced closes in the order of the record", LACKS_CLOSES, LACKS_LIQUIDATIONS)
        counts = list(self._by_time.values())
        tied = sum(liquidations + closes for liquidations, closes in counts if liquidations + closes > 1)
        on = Ground(RECORD, self._span)
        sheet.count("liquidations", "liquidations, in the order of the record", sum(n for n, _ in counts), "events", on)
        sheet.count("closes", "ADL closes, in the order of the record", sum(n for _, n in counts), "events", on)
        sheet.count("times", "different times that they state", len(counts), "times", on)
        sheet.count("tied", "of them share their time with another, so time cannot order them", tied, "events", on)
        sheet.count("tied.most", "most that share one time", max(sum(pair) for pair in counts), "events", on)
        mixed = sum(1 for liquidations, closes in counts if liquidations and closes)
        sheet.count("tied.mixed", "times shared by liquidations and ADL closes", mixed, "times", on)
        sheet.count("time.back", "of them state a time before that of an earlier one", self._back, "events", on)
        columns = ("seq", "at", "event", "round", "market", "account", "size", "price")
        sheet.table("order", "Forced closes by seq", columns, self._rows, on, drop=("at", "round", "price"))
        return sheet.answer()
