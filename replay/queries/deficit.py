"""Q08: the deficit, counted once. The deficit register says what an episode and a layer are."""

from collections.abc import Iterable

from events.model import AnyEvent
from replay.core.missing import MISSING_CASH
from replay.core.state import State
from replay.deficits import Layer, Register, Totals, register
from replay.queries.answers import RECONSTRUCTION, Answer, Ground, Sheet, partly
from replay.queries.scope import Scope, Span
from replay.queries.walk import Fold
from replay.views import cash_text

__all__ = ["Deficits"]


class Deficits(Fold):
    """The register of the record up to the window's end; episodes of the window are those that begin in it."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._register: Register | None = None

    def read(self, events: Iterable[tuple[int, AnyEvent]]) -> None:
        """Make the register from the same events in a pass of its own."""
        self._register = register(events)

    def answer(self, state: State) -> Answer:
        """Return the deficit of users and of the venue's own accounts, by layer."""
        sheet = Sheet("Q08", state, self._scope)
        found = self._register
        if found is None or (not found.episodes and found.undecided):
            return sheet.lacks("users.deficit", "deficit, each episode counted once", MISSING_CASH)
        if self._scope.first == 1 and self._scope.account is None:
            on = self._ground(found, None, len(found.episodes))
            self._totals(sheet, "users", "users", found.users, on)
            self._totals(sheet, "venue", "the venue's own accounts", found.venue, on)
        episodes = [e for e in found.episodes if self._scope.covers(e.first_seq, None, e.account)]
        span = Span()
        for episode in episodes:
            span.add(episode.first_seq)
            span.last = max(span.last, episode.last_seq)
        on = self._ground(found, span, len(episodes))
        total = sum(episode.opened_cash + episode.moved_cash for episode in episodes)
        sheet.cash("episodes.deficit", "deficit of the episodes that begin in the window", total, on)
        layers = [layer for layer in Layer if any(episode.covered[layer] for episode in episodes)]
        rows = [
            (
                e.first_seq,
                e.last_seq,
                state.accounts[e.account].name,
                e.role.name.lower(),
                cash_text(state, e.opened_cash + e.moved_cash),
                *(cash_text(state, e.covered[layer]) for layer in layers),
                cash_text(state, e.left_cash),
            )
            for e in episodes
        ]
        columns = ("seq", "last_seq", "account", "role", "deficit", *layers, "left")
        title = "Deficit episodes and who bore them"
        sheet.table("episodes", title, columns, rows, on, drop=("role", "last_seq"))
        return sheet.answer()

    @staticmethod
    def _ground(found: Register, span: Span | None, episodes: int) -> Ground:
        return partly(RECONSTRUCTION, span, episodes, episodes + len(found.undecided), (MISSING_CASH,))

    @staticmethod
    def _totals(sheet: Sheet, name: str, what: str, totals: Totals, on: Ground) -> None:
        sheet.cash(f"{name}.deficit", f"deficit of {what}, each episode counted once", totals.deficit_cash, on)
        sheet.count(f"{name}.episodes", f"episodes of {what}", totals.episodes, "episodes", on)
        sheet.count(f"{name}.accounts", "accounts with one or more of them", totals.accounts, "accounts", on)
        for layer, cash in totals.covered.items():
            if cash:
                sheet.cash(f"{name}.covered.{layer}", f"of it borne by {layer}", cash, on)
        sheet.cash(f"{name}.left", "of it open at the end", totals.left_cash, on)
