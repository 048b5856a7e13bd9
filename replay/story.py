"""An incident as a person tells it: what the prices did, who was liquidated, what the fund paid, who was closed.

One pass over the log gathers the few facts that matter; a second, over those facts alone, cuts them into equal steps of time.
"""

from collections.abc import Callable
from operator import attrgetter

from msgspec import Struct

from events.model import AdlClose, AdlRound, InsuranceDraw, Liquidation, PriceTick, Role, Transfer
from ledger.store import Ledger
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.state import State

__all__ = ["Step", "Story", "Winner", "tell"]

SECOND_NS = 1_000_000_000
STEPS_WANTED = 16
# Steps of time that people read: seconds, minutes, hours.
STEP_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 86_400)


class Step(Struct, frozen=True):
    """What happened in one step of time. Marks and the fund are as they stood at its end; None before the first is known."""

    at_ns: int
    mark: int | None
    fund_cash: int | None
    liquidations: int
    liquidated_cash: int
    draws: int
    drawn_cash: int
    rounds: int
    closes: int
    closed_cash: int


class Winner(Struct):
    """An account whose positions were closed by ADL: how often, and for how much notional at the close prices."""

    account: int
    closes: int = 0
    closed_cash: int = 0


class Story(Struct):
    """An incident: its steps, the reference market whose mark they show, the fund's low point, and the accounts closed.

    ``winners`` are sorted by notional, largest first, then by account.
    """

    reference: int | None
    step_ns: int
    steps: list[Step]
    fund_first: int | None
    fund_low: int | None
    fund_last: int | None
    liquidations: int
    liquidated_cash: int
    drawn_cash: int
    rounds: int
    closes: int
    closed_cash: int
    winners: list[Winner]


class _Fact(Struct):
    """One thing that happened, or a level that changed. ``cash`` is a notional, an amount, a mark or a balance."""

    kind: str
    at_ns: int
    cash: int


def tell(ledger: Ledger, progress: Callable[[int, int], None] | None = None) -> Story:
    """Return the story of a ledger. The first listed market is the reference. Notional is at the price of each trade."""
    state, facts = State(), []
    winners: dict[int, Winner] = {}
    funds: list[int] = []
    for seq, event in ledger.events():
        evolve(state, event, seq)
        match event:
            case PriceTick(market=0):
                facts.append(_Fact("mark", event.at_ns, event.mark))
            case Liquidation():
                facts.append(_Fact("liquidation", event.at_ns, _notional(state, event)))
            case InsuranceDraw():
                facts.append(_Fact("draw", event.at_ns, event.cash))
            case AdlRound():
                facts.append(_Fact("round", event.at_ns, 0))
            case AdlClose():
                closed = _notional(state, event)
                facts.append(_Fact("close", event.at_ns, closed))
                winner = winners.setdefault(event.winner, Winner(event.winner))
                winner.closes += 1
                winner.closed_cash += closed
            case _:
                pass
        if len(state.accounts) != len(funds):
            funds = [account.role == Role.FUND for account in state.accounts]
        if isinstance(event, InsuranceDraw | Transfer) and _touches_fund(event, funds):
            facts.append(_Fact("fund", event.at_ns, sum(state.cash[i] for i, fund in enumerate(funds) if fund)))
        if progress and seq % 4096 == 0:
            progress(seq, ledger.head)
    return _compose(state, facts, sorted(winners.values(), key=lambda w: (-w.closed_cash, w.account)))


def _notional(state: State, event: Liquidation | AdlClose) -> int:
    return abs(margin.market_value(state.markets[event.market], event.size, event.price))


def _touches_fund(event: InsuranceDraw | Transfer, funds: list[int] | list[bool]) -> bool:
    if isinstance(event, InsuranceDraw):
        return True
    return bool(funds[event.payer] or funds[event.payee])


def _compose(state: State, facts: list[_Fact], winners: list[Winner]) -> Story:
    times = [fact.at_ns for fact in facts if fact.kind in {"liquidation", "close"}]
    balances = [fact.cash for fact in facts if fact.kind == "fund"]
    step_ns = _step_ns(max(times) - min(times)) if times else SECOND_NS
    totals = _sum_up(facts, 0, None, None)
    return Story(
        reference=0 if state.markets else None,
        step_ns=step_ns,
        steps=_steps(facts, min(times), max(times), step_ns) if times else [],
        fund_first=balances[0] if balances else None,
        fund_low=min(balances) if balances else None,
        fund_last=balances[-1] if balances else None,
        liquidations=totals.liquidations,
        liquidated_cash=totals.liquidated_cash,
        drawn_cash=totals.drawn_cash,
        rounds=totals.rounds,
        closes=totals.closes,
        closed_cash=totals.closed_cash,
        winners=winners,
    )


def _step_ns(span_ns: int) -> int:
    for seconds in STEP_SECONDS:
        if span_ns <= STEPS_WANTED * seconds * SECOND_NS:
            return seconds * SECOND_NS
    return STEP_SECONDS[-1] * SECOND_NS


def _steps(facts: list[_Fact], first_ns: int, last_ns: int, step_ns: int) -> list[Step]:
    """Cut the facts into steps from two before the first forced trade to three after the last, and add the end of all."""
    facts = sorted(facts, key=attrgetter("at_ns"))
    begin = first_ns - first_ns % step_ns - 2 * step_ns
    end = min(last_ns + 3 * step_ns, facts[-1].at_ns)
    steps: list[Step] = []
    mark = fund = None
    position = 0
    for edge in range(begin, end + 1, step_ns):
        inside = []
        while position < len(facts) and facts[position].at_ns < edge + step_ns:
            fact = facts[position]
            mark = fact.cash if fact.kind == "mark" else mark
            fund = fact.cash if fact.kind == "fund" else fund
            if fact.at_ns >= edge:
                inside.append(fact)
            position += 1
        steps.append(_sum_up(inside, edge, mark, fund))
    if position < len(facts):
        rest = facts[position:]
        mark = next((fact.cash for fact in reversed(rest) if fact.kind == "mark"), mark)
        fund = next((fact.cash for fact in reversed(rest) if fact.kind == "fund"), fund)
        steps.append(_sum_up([], facts[-1].at_ns, mark, fund))
    return steps


def _sum_up(facts: list[_Fact], at_ns: int, mark: int | None, fund: int | None) -> Step:
    count = dict.fromkeys(("mark", "fund", "liquidation", "draw", "round", "close"), 0)
    cash = dict(count)
    for fact in facts:
        count[fact.kind] += 1
        cash[fact.kind] += fact.cash
    return Step(
        at_ns=at_ns,
        mark=mark,
        fund_cash=fund,
        liquidations=count["liquidation"],
        liquidated_cash=cash["liquidation"],
        draws=count["draw"],
        drawn_cash=cash["draw"],
        rounds=count["round"],
        closes=count["close"],
        closed_cash=cash["close"],
    )
