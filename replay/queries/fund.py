"""Q06: whether the insurance fund was really empty.

At each round: what the fund held just before, the predicate of the policy in force with the numbers it looks at, and the
balances that the venue stated with the round. A rule may deleverage with money in the fund; then the answer is "no, and it need
not be".
"""

from msgspec import Struct

from events.model import AdlRound, AnyEvent, InsuranceDraw, Role
from replay.core import margin
from replay.core.missing import MISSING_CASH
from replay.core.state import State
from replay.core.triggers import fund_equity
from replay.queries.answers import CLAIM, RECONSTRUCTION, RECORD, Answer, Cell, Ground, Sheet, partly
from replay.queries.rules import conditions, fund_cash, predicate
from replay.queries.scope import Scope, Span
from replay.queries.walk import LACKS_ROUNDS, Fold
from replay.views import cash_text

__all__ = ["FundAtRounds"]

LACKS_FUND = "account with the role of a fund"
_SAYS = {True: "holds", False: "does not hold", None: None}


class _Round(Struct, frozen=True):
    """What a round met."""

    seq: int
    event: AdlRound
    cash: int | None
    equity: int | None
    loser_equity: int | None
    trigger: str | None
    holds: bool | None


class FundAtRounds(Fold):
    """The fund and the trigger just before each round, and the pools that each round states."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span, self._draws = Span(), Span()
        self._rounds: list[_Round] = []
        self._pools: list[tuple[int, int, int, int, int | None]] = []  # seq, round, account, stated, rebuilt
        self._drawn = 0
        self._conditions: list[tuple[Cell, ...]] = []
        self._gaps: set[str] = set()

    def before(self, state: State, event: AnyEvent, seq: int) -> None:
        """Look at the fund before a round, and add up draws."""
        if type(event) is InsuranceDraw and self._scope.covers(seq, event.market, event.account):
            self._draws.add(seq)
            self._drawn += event.cash
        elif type(event) is AdlRound and self._scope.covers(seq, event.market, event.loser):
            self._span.add(seq)
            found = predicate(state, event)
            cash, worth, loser = fund_cash(state), fund_equity(state), margin.equity(state, event.loser)
            self._gaps.update(found.missing)
            self._rounds.append(_Round(seq, event, cash, worth, loser, found.text, found.holds))
            for *terms, holds in conditions(state, event):
                self._conditions.append((event.round, seq, *terms, _SAYS[holds]))
            for pool in event.pools:
                self._pools.append((seq, event.round, pool.account, pool.cash, margin.equity(state, pool.account)))

    def answer(self, state: State) -> Answer:
        """Return how often the fund was empty, and whether the policy asked for that."""
        sheet = Sheet("Q06", state, self._scope)
        if not self._rounds:
            return sheet.lacks("rounds", "the fund at each ADL round", LACKS_ROUNDS)
        self._figures(state, sheet)
        rows: list[tuple[Cell, ...]] = [
            (
                found.event.round,
                found.seq,
                state.markets[found.event.market].listed.symbol,
                *(cash_text(state, amount) for amount in (found.cash, found.equity, found.loser_equity)),
                _SAYS[found.holds],
            )
            for found in self._rounds
        ]
        columns = ("round", "seq", "market", "fund_cash", "fund_equity", "loser_equity", "trigger")
        title = "Just before each round"
        sheet.table("rounds", title, columns, rows, Ground(RECONSTRUCTION, self._span), drop=("fund_equity", "market"))
        evaluated = ("round", "seq", "quantity", "value", "relation", "bound", "condition")
        title = "Each condition of the trigger, by round"
        sheet.table("conditions", title, evaluated, self._conditions, Ground(RECONSTRUCTION, self._span))
        pools = [
            (number, seq, state.accounts[account].name, cash_text(state, stated), cash_text(state, rebuilt))
            for seq, number, account, stated, rebuilt in self._pools
        ]
        stated = ("round", "seq", "pool", "stated", "rebuilt")
        sheet.table("pools", "Pools as stated with the round", stated, pools, Ground(CLAIM, self._span))
        for text in sorted({found.trigger for found in self._rounds if found.trigger is not None}):
            sheet.note(f"Trigger of the policy in force: {text}.")
        return sheet.answer()

    def _figures(self, state: State, sheet: Sheet) -> None:
        rounds, span = self._rounds, self._span
        balances = [found.cash for found in rounds if found.cash is not None]
        no_fund = not any(account.role is Role.FUND for account in state.accounts)
        on = partly(RECORD, span, len(balances), len(rounds), (LACKS_FUND if no_fund else MISSING_CASH,))
        sheet.count("rounds", "ADL rounds", len(rounds), "rounds", Ground(RECORD, span))
        empty = sum(1 for cash in balances if cash <= 0)
        sheet.count("empty", "rounds with no cash in the fund just before", empty, "rounds", on)
        sheet.cash("fund.most", "most cash in the fund just before a round", max(balances, default=0), on)
        sheet.cash("fund.least", "least cash in the fund just before a round", min(balances, default=0), on)
        if self._draws.first:
            sheet.cash("drawn", "insurance draws", self._drawn, Ground(RECORD, self._draws))
        decided = [found.holds for found in rounds if found.holds is not None]
        rebuilt = partly(RECONSTRUCTION, span, len(decided), len(rounds), self._gaps)
        sheet.count("trigger.held", "rounds whose trigger held just before", sum(decided), "rounds", rebuilt)
        broken = len(decided) - sum(decided)
        sheet.count("trigger.not_held", "rounds whose trigger did not hold", broken, "rounds", rebuilt)
        known = [(stated, own) for _, _, _, stated, own in self._pools if own is not None]
        apart = sum(1 for stated, own in known if stated != own)
        # Without a pool there is nothing to compare, which is not the same as no difference.
        lacks = (MISSING_CASH,) if self._pools else ("pool balances stated with the round",)
        said = partly(CLAIM, span, len(known), len(self._pools) or len(rounds), lacks)
        sheet.count("pools.apart", "stated pool balances that differ from the rebuilt equity", apart, "pools", said)
