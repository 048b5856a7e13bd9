"""Q13: how many accounts were hit, and how unequally.

The measure is the notional closed, at the prices of the closes, by account and by owner. Over those hit, n of them with amounts
x in ascending order: Gini = 2 * sum(i * x_i) / (n * sum(x)) - (n + 1) / n. Nobody who was not hit is in it.
"""

from collections import Counter

from events.model import AdlClose, AnyEvent
from replay.core.state import State
from replay.queries.answers import RECORD, Answer, Ground, Sheet, ratio_text
from replay.queries.scope import Scope, Span
from replay.queries.walk import LACKS_CLOSES, Fold, notional
from replay.views import cash_text
from replay.whatif.shares import gini

__all__ = ["Inequality", "lorenz"]

TOPS = (1, 10, 100)
DECILES = 10
LARGEST_SHOWN = 50


def lorenz(amounts: list[int]) -> list[tuple[int, int]]:
    """Return (how many, their sum) of the smallest tenth of the amounts, of the smallest two tenths, and so on to all."""
    ordered = sorted(amounts)
    points = []
    for tenth in range(1, DECILES + 1):
        count = -(-len(ordered) * tenth // DECILES)
        points.append((count, sum(ordered[:count])))
    return points


class Inequality(Fold):
    """What was closed of whom."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._closed: Counter[int] = Counter()
        self._closes: Counter[int] = Counter()

    def after(self, state: State, event: AnyEvent, seq: int) -> None:
        """Take in a close."""
        if type(event) is AdlClose and self._scope.covers(seq, event.market):
            self._span.add(seq)
            self._closed[event.winner] += notional(state, event)
            self._closes[event.winner] += 1

    def answer(self, state: State) -> Answer:
        """Return how many were hit, shares, Gini and Lorenz points, by account and by owner."""
        sheet = Sheet("Q13", state, self._scope)
        if not self._closed.total():
            return sheet.lacks("accounts", "accounts hit by ADL", LACKS_CLOSES)
        on = Ground(RECORD, self._span)
        owners: Counter[int] = Counter()
        for account, cash in self._closed.items():
            owners[state.accounts[account].owner] += cash
        sheet.cash("notional", "notional closed, at the prices of the closes", self._closed.total(), on)
        for name, closed in (("accounts", self._closed), ("owners", owners)):
            amounts = sorted(closed.values(), reverse=True)
            total = sum(amounts)
            sheet.count(name, f"{name} hit by ADL", len(amounts), name, on)
            for top in TOPS:
                if top <= len(amounts):
                    label = f"share of the {top} largest" if top > 1 else "share of the largest"
                    sheet.ratio(f"{name}.top{top}", f"{label} in the notional", sum(amounts[:top]), total, on)
            if spread := gini(amounts):
                sheet.ratio(f"{name}.gini", f"Gini of the notional over the {name} hit", *spread, on)
            rows = [
                (count, ratio_text(count, len(amounts)), ratio_text(part, total), cash_text(state, part))
                for count, part in lorenz(amounts)
            ]
            columns = ("smallest", f"share_of_{name}", "share_of_notional", "notional")
            title = f"Lorenz points by {name[:-1]}: the smallest together"
            sheet.table(f"lorenz.{name}", title, columns, rows, on)
        order = sorted(self._closed, key=lambda account: (-self._closed[account], account))
        rows_of_accounts = [
            (
                state.accounts[a].name,
                self._closes[a],
                cash_text(state, self._closed[a]),
                ratio_text(self._closed[a], self._closed.total()),
            )
            for a in order[:LARGEST_SHOWN]
        ]
        columns_of_accounts = ("account", "closes", "notional", "share")
        title = f"The {len(rows_of_accounts)} largest"
        sheet.table("largest", title, columns_of_accounts, rows_of_accounts, on)
        return sheet.answer()
