"""The named queries: the questions people ask after an ADL incident, each with a definition and one way to compute it.

The 25 questions are those that traders, analysts and journalists put to venues in public after incidents. Each is a fold over
the log, so several that are asked together share one pass. A figure's id begins with the id of its question.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from events.errors import MisuseError
from events.model import AnyEvent
from replay.queries.answers import Answer
from replay.queries.causes import Causes
from replay.queries.closes import Losing, Parts
from replay.queries.compensation import Compensation
from replay.queries.deficit import Deficits
from replay.queries.exemptions import Exemptions
from replay.queries.fund import FundAtRounds
from replay.queries.gaming import Gaming
from replay.queries.gaps import Gaps
from replay.queries.hedges import Hedges
from replay.queries.inequality import Inequality
from replay.queries.isolation import Isolation
from replay.queries.liquidations import OnlyByMark, Reported
from replay.queries.markouts import Markouts
from replay.queries.order import Order
from replay.queries.overshoot import Overshoot
from replay.queries.pointers import Counterfactuals, QueueFollowed, WhyMe
from replay.queries.prices import Prices
from replay.queries.scope import Scope
from replay.queries.statements import Daily, ProtocolProfit
from replay.queries.timing import Timing
from replay.queries.untriggered import Untriggered
from replay.queries.walk import Fold, walk

__all__ = ["QUERIES", "Events", "Query", "ask", "named"]

Events: TypeAlias = Iterable[tuple[int, AnyEvent]]


class Query(NamedTuple):
    """One question. ``verb`` is the command that answers it where another verb does, and says more than the query."""

    id: str
    question: str
    fold: Callable[[Scope], Fold]
    verb: str | None = None


QUERIES = (
    Query("Q01", "Why me? Why was my position chosen?", WhyMe, "adl explain --account A --seq N"),
    Query("Q02", "In what order were we closed?", Order),
    Query("Q03", "Was the published queue followed?", QueueFollowed, "adl audit, adl fit"),
    Query("Q04", "Was my hedge leg closed and the other left, and was I liquidated after?", Hedges),
    Query("Q05", "At what price, against mark, oracle and bankruptcy price?", Prices),
    Query("Q06", "Was the insurance fund really exhausted?", FundAtRounds),
    Query("Q07", "How much was over-closed relative to the deficit?", Overshoot),
    Query("Q08", "What was the deficit, counted once?", Deficits),
    Query("Q09", "Did the venue or its vault profit?", ProtocolProfit),
    Query("Q10", "Who was the bankrupt account behind my close?", Causes),
    Query("Q11", "What would another policy have done?", Counterfactuals, "adl whatif --policy NAME"),
    Query("Q12", "Did ADL help or hurt me afterwards?", Markouts),
    Query("Q13", "How many accounts were hit, and how unequally?", Inequality),
    Query("Q14", "Were losing positions deleveraged?", Losing),
    Query("Q15", "Were positions closed in part or in full?", Parts),
    Query("Q16", "Was ADL isolated per market?", Isolation),
    Query("Q17", "Were some accounts exempt?", Exemptions),
    Query("Q18", "Did the venue under-report liquidations?", Reported),
    Query("Q19", "What was lost or unprocessed during the outage?", Gaps),
    Query("Q20", "Was the mark wrong, and who was liquidated only because of it?", OnlyByMark),
    Query("Q21", "Why was ADL not triggered?", Untriggered),
    Query("Q22", "How fast was each step? Could I have reacted?", Timing),
    Query("Q23", "Do totals tie to an independent source?", Daily),
    Query("Q24", "What compensation follows from a reference price?", Compensation),
    Query("Q25", "Could someone have gamed it by splitting an account?", Gaming),
)
_BY_ID = {query.id: query for query in QUERIES}


def named(name: str) -> Query:
    """Return the query of that id: ``Q07``, also ``q7`` or ``7``. Raises ``MisuseError`` for one that there is not."""
    digits = name.upper().removeprefix("Q")
    found = _BY_ID.get(f"Q{digits:0>2}")
    if found is None:
        raise MisuseError(f"there is no query {name!r}.", cure="`adl query` lists them, from Q01 to Q25.")
    return found


def ask(read: Callable[[], Events], queries: Sequence[Query], scope: Scope) -> list[Answer]:
    """Return the answers to ``queries`` about the log that ``read`` gives, from seq 1 to the end of the scope's window.

    One pass for all; only the deficit register takes one of its own. Raises ``ReducerError`` for an event that cannot be
    applied, and ``MisuseError`` for an account, a market or a price that the scope cannot have.
    """
    folds = [query.fold(scope) for query in queries]
    state = walk(read(), folds, scope)
    for fold in folds:
        if isinstance(fold, Deficits):
            fold.read(read())
    return [fold.answer(state) for fold in folds]
