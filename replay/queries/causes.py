"""Q10: the bankrupt account behind a close.

A round's loser is often no trader but the account that took a liquidated position over. The chain goes from the close to its
round, to the round's loser and, where the loser is one of the venue's own accounts, to the liquidations by which it came to the
position since it last held none there. A cause that the round states comes first.
"""

from collections import Counter

from msgspec import Struct

from events.model import AdlClose, AdlRound, AnyEvent, Fill, Liquidation, Role, Settlement
from replay.core.state import State
from replay.queries.answers import CLAIM, RECONSTRUCTION, RECORD, Answer, Cell, Ground, Sheet, partly
from replay.queries.scope import Scope, Span
from replay.queries.walk import LACKS_ROUNDS, Fold, held
from replay.views import size_text

__all__ = ["Causes"]

_OWN = "own position"
_STATED = "stated"
_TAKEN = "taken over"


class _Taken(Struct, frozen=True):
    """A liquidated position, or a part of it, that another account took over."""

    seq: int
    trader: int
    size: int


class _Round(Struct):
    """A round and who is behind it. ``link`` says how that is known, None where it is not."""

    seq: int
    event: AdlRound
    link: str | None
    behind: tuple[_Taken, ...]
    first_close: int | None = None
    closes: int = 0


class Causes(Fold):
    """The rounds, each with the traders behind its loser's position."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._taken: dict[tuple[int, int], list[_Taken]] = {}  # by who took over, and market
        self._liquidated: dict[int, _Taken] = {}  # by seq
        self._rounds: dict[int, _Round] = {}  # by round
        self._round_at: dict[int, int] = {}  # round by seq

    def after(self, state: State, event: AnyEvent, seq: int) -> None:
        """Follow positions that are taken over, rounds, and their closes."""
        match event:
            case Liquidation():
                self._take(state, event, seq)
            case AdlRound():
                self._round_at[seq] = event.round
                self._rounds[event.round] = self._begin(state, event, seq)
            case AdlClose():
                if self._scope.covers(seq, event.market, event.winner):
                    found = self._rounds[event.round]
                    found.first_close = found.first_close or seq
                    found.closes += 1
                    self._span.add(max(found.seq, self._scope.first))
                    self._span.add(seq)
            case _:
                pass
        if self._taken and isinstance(event, Fill | Liquidation | AdlClose | Settlement):
            for account in (event.buyer, event.seller):
                if (account, event.market) in self._taken and held(state, account, event.market) == 0:
                    del self._taken[account, event.market]

    def _take(self, state: State, event: Liquidation, seq: int) -> None:
        other = event.seller if event.account == event.buyer else event.buyer
        taken = _Taken(seq, event.account, event.size)
        self._liquidated[seq] = taken
        if state.accounts[other].role in {Role.LIQUIDATOR, Role.VAULT, Role.FUND}:
            self._taken.setdefault((other, event.market), []).append(taken)

    def _begin(self, state: State, event: AdlRound, seq: int) -> _Round:
        if event.cause is not None:
            found = self._stated(event.cause)
            if found is not None:
                return _Round(seq, event, _STATED, found)
        if state.accounts[event.loser].role is Role.USER:
            return _Round(seq, event, _OWN, (_Taken(seq, event.loser, abs(event.size or 0)),))
        taken = self._taken.get((event.loser, event.market), [])
        return _Round(seq, event, _TAKEN if taken else None, tuple(taken))

    def _stated(self, cause: int) -> tuple[_Taken, ...] | None:
        """Return who is behind a stated cause: a liquidation's account, or who is behind the round that it names."""
        if cause in self._liquidated:
            return (self._liquidated[cause],)
        number = self._round_at.get(cause)
        return None if number is None else self._rounds[number].behind

    def answer(self, state: State) -> Answer:
        """Return the chains of the rounds that closed the account asked about, or of all."""
        sheet = Sheet("Q10", state, self._scope)
        rounds = [found for found in self._rounds.values() if found.first_close is not None]
        if not rounds:
            return sheet.lacks("rounds", "ADL rounds and who is behind them", LACKS_ROUNDS)
        known = [found for found in rounds if found.link is not None]
        lacks = ("liquidations that the loser took over",)
        sheet.count("rounds", "rounds that closed somebody", len(rounds), "rounds", Ground(RECORD, self._span))
        links = Counter(found.link for found in rounds)
        on = partly(RECONSTRUCTION, self._span, len(known), len(rounds), lacks)
        label = "the loser is a trader with its own position"
        sheet.count("own", label, links[_OWN], "rounds", Ground(RECORD, self._span))
        sheet.count("stated", "the round states its cause", links[_STATED], "rounds", Ground(CLAIM, self._span))
        sheet.count("taken", "the loser took the position over from others", links[_TAKEN], "rounds", on)
        traders = {taken.trader for found in known for taken in found.behind}
        sheet.count("traders", "different traders behind them", len(traders), "accounts", on)
        columns = ("close_seq", "round_seq", "round", "loser", "link", "cause_seq", "trader", "size")
        rows = [row for found in rounds for row in self._rows(state, found)]
        title = "From close to round to loser to trader"
        drop = ("round", "size", "round_seq")
        sheet.table("chains", title, columns, rows, on, drop=drop)
        return sheet.answer()

    @staticmethod
    def _rows(state: State, found: _Round) -> list[tuple[Cell, ...]]:
        head = (found.first_close, found.seq, found.event.round, state.accounts[found.event.loser].name, found.link)
        if not found.behind:
            return [(*head, None, None, None)]
        return [
            (*head, t.seq, state.accounts[t.trader].name, size_text(state, found.event.market, t.size or None))
            for t in found.behind
        ]
