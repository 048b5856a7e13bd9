"""Q01, Q03 and Q11: questions that another verb answers, and what that verb would find on record."""

from shlex import quote

from events.model import AdlClose, AdlRound, AnyEvent
from replay.core.missing import MISSING_POLICY
from replay.core.state import State
from replay.queries.answers import RECORD, Answer, Ground, Sheet
from replay.queries.scope import Scope, Span
from replay.queries.walk import LACKS_CLOSES, LACKS_ROUNDS, Fold

__all__ = ["Counterfactuals", "QueueFollowed", "WhyMe"]


class WhyMe(Fold):
    """Q01: the closes of an account, and the command that explains the first of them."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._closes = 0
        self._first: AdlClose | None = None

    def after(self, _state: State, event: AnyEvent, seq: int) -> None:
        """Count the closes."""
        if type(event) is AdlClose and self._scope.covers(seq, event.market, event.winner):
            self._first = self._first or event
            self._closes += 1
            self._span.add(seq)

    def answer(self, state: State) -> Answer:
        """Return how many closes there are to explain."""
        sheet = Sheet("Q01", state, self._scope)
        if self._first is None:
            return sheet.lacks("closes", "closes to explain", LACKS_CLOSES)
        sheet.count(
            "closes", "ADL closes of the account asked about, or of all", self._closes, "closes", Ground(RECORD, self._span)
        )
        name = state.accounts[self._first.winner].name
        return sheet.answer(f"adl explain --account {quote(name)} --seq {self._span.first}")


class QueueFollowed(Fold):
    """Q03: what there is to audit: rounds, policies, lists of candidates and claimed ranks."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._rounds = self._closes = self._ranks = 0

    def after(self, _state: State, event: AnyEvent, seq: int) -> None:
        """Count rounds, closes and claims."""
        if type(event) is AdlRound and self._scope.covers(seq, event.market):
            self._rounds += 1
            self._span.add(seq)
        elif type(event) is AdlClose and self._scope.covers(seq, event.market, event.winner):
            self._closes += 1
            self._ranks += event.rank_claim is not None
            self._span.add(seq)

    def answer(self, state: State) -> Answer:
        """Return what the audit would compare."""
        sheet = Sheet("Q03", state, self._scope)
        if not self._rounds:
            return sheet.lacks("rounds", "rounds to compare with the policy in force", LACKS_ROUNDS)
        sheet.count("rounds", "rounds to compare with the policy in force", self._rounds, "rounds", Ground(RECORD, self._span))
        sheet.count("closes", "closes to compare", self._closes, "closes", Ground(RECORD, self._span))
        listed = sum(1 for found in state.rounds if found.parts)
        sheet.count("listed", "rounds with a list of candidates, of the whole record", listed, "rounds", Ground(RECORD))
        sheet.count("ranked", "closes with a claimed rank", self._ranks, "closes", Ground(RECORD, self._span))
        on = Ground(RECORD, None, () if state.policies else (MISSING_POLICY,), blind=not state.policies)
        sheet.count("policies", "policies adopted", len(state.policies), "policies", on)
        return sheet.answer("adl audit" if state.policies else "adl fit")


class Counterfactuals(Fold):
    """Q11: the rounds that another policy could be run on."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._rounds = 0

    def after(self, _state: State, event: AnyEvent, seq: int) -> None:
        """Count the rounds."""
        if type(event) is AdlRound and self._scope.covers(seq, event.market):
            self._rounds += 1
            self._span.add(seq)

    def answer(self, state: State) -> Answer:
        """Return how many rounds there are to run again."""
        sheet = Sheet("Q11", state, self._scope)
        if not self._rounds:
            return sheet.lacks("rounds", "rounds to run under another policy", LACKS_ROUNDS)
        sheet.count("rounds", "rounds to run under another policy", self._rounds, "rounds", Ground(RECORD, self._span))
        return sheet.answer("adl whatif --policy NAME")
