"""Q17: accounts that were exempt, or left out.

Left out is who holds the other side of a round, is not its loser, and does not stand in the venue's own list of candidates.
Where the venue gives no list, that is not decidable; then the table shows the holders whom the record states as exempt or as
its own.
"""

from msgspec import Struct

from events.model import FIRST_FREE_ACCOUNT, AdlCandidates, AdlClose, AdlRound, AnyEvent, Role
from replay.core.state import SIZE_UNKNOWN, State
from replay.queries.answers import CLAIM, RECORD, Answer, Cell, Ground, Sheet, partly
from replay.queries.scope import Scope, Span
from replay.queries.walk import LACKS_ROUNDS, Fold, held

__all__ = ["Exemptions"]

_STATED = {True: "exempt", False: "not exempt", None: None}


class _Holder(Struct):
    """An account that held the other side of rounds and was left out, or is exempt or the venue's own."""

    left_out: int = 0
    opposite: int = 0
    first_seq: int = 0
    last_seq: int = 0


class Exemptions(Fold):
    """Opposite holders of each round against its list of candidates."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._pending: tuple[AdlRound, int] | None = None
        self._rounds = self._listed = self._unsure = 0
        self._closed_exempt = 0
        self._holders: dict[int, _Holder] = {}

    def before(self, state: State, event: AnyEvent, seq: int) -> None:
        """Compare a round with its candidates when all of them are on record, that is at the first event that is none."""
        if self._pending is not None and not (type(event) is AdlCandidates and event.round == self._pending[0].round):
            self._compare(state, event)
            self._pending = None
        if type(event) is AdlRound and self._scope.covers(seq, event.market):
            self._pending = event, seq
        elif type(event) is AdlClose and self._scope.covers(seq, event.market, event.winner):
            self._closed_exempt += state.accounts[event.winner].adl_exempt is True

    def _compare(self, state: State, event: AnyEvent | None) -> None:
        opened, seq = self._pending or (None, 0)
        if opened is None:
            return
        self._span.add(seq)
        self._rounds += 1
        size = opened.size or held(state, opened.loser, opened.market)
        if not size and type(event) is AdlClose and event.round == opened.round:
            size = -1 if event.winner == event.seller else 1
        if not size:
            self._unsure += 1
            return
        found = state.rounds[opened.round]
        listed = frozenset(found.candidates) if found.parts and found.part == found.parts else None
        self._listed += listed is not None
        book = state.positions[opened.market]
        self._unsure += state.partial[opened.market] or any(p.unknown & SIZE_UNKNOWN for p in book.values())
        for account, position in book.items():
            if position.unknown & SIZE_UNKNOWN or position.size * size >= 0 or account == opened.loser:
                continue
            if account < FIRST_FREE_ACCOUNT or (self._scope.account and account != self._scope.account_id):
                continue
            who = state.accounts[account]
            missed = listed is not None and account not in listed
            if missed or who.adl_exempt is True or who.role is not Role.USER:
                holder = self._holders.setdefault(account, _Holder(first_seq=seq))
                holder.opposite += 1
                holder.left_out += missed
                holder.last_seq = seq

    def answer(self, state: State) -> Answer:
        """Return who held the other side and was no candidate."""
        if self._pending is not None:
            self._compare(state, None)
        sheet = Sheet("Q17", state, self._scope)
        if not self._rounds:
            return sheet.lacks("left_out", "holders of the other side who were no candidates", LACKS_ROUNDS)
        on = Ground(RECORD, self._span)
        sheet.count("rounds", "ADL rounds", self._rounds, "rounds", on)
        sheet.count("listed", "rounds whose list of candidates is on record", self._listed, "rounds", on)
        left_out = sum(1 for holder in self._holders.values() if holder.left_out)
        listed = partly(RECORD, self._span, self._listed, self._rounds, ("list of candidates of the venue",))
        sheet.count("left_out", "accounts on the other side that were not listed", left_out, "accounts", listed)
        stated = [account for account in state.accounts if account.adl_exempt is not None]
        exempt = sum(1 for account in stated if account.adl_exempt)
        said = partly(CLAIM, None, len(stated), len(state.accounts), ("whether accounts are exempt, as the venue states it",))
        sheet.count("exempt", "accounts that the venue states as exempt", exempt, "accounts", said)
        sheet.count("exempt.closed", "ADL closes of accounts stated as exempt", self._closed_exempt, "closes", said)
        own = sum(1 for account in self._holders if state.accounts[account].role is not Role.USER)
        seen = partly(RECORD, self._span, self._rounds - self._unsure, self._rounds, ("all holders of the market",))
        sheet.count("venue", "the venue's own accounts seen on the other side", own, "accounts", seen)
        rows: list[tuple[Cell, ...]] = [
            (
                state.accounts[account].name,
                state.accounts[account].role.name.lower(),
                _STATED[state.accounts[account].adl_exempt],
                holder.opposite,
                holder.left_out if self._listed else None,
                holder.first_seq,
                holder.last_seq,
            )
            for account, holder in sorted(self._holders.items())
        ]
        columns = ("account", "role", "stated", "rounds", "left_out", "seq", "last_seq")
        title = "Holders of the other side: left out, exempt, or the venue's own"
        sheet.table("holders", title, columns, rows, on)
        return sheet.answer()
