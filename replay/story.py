"""An incident as a person tells it: what the prices did, who was liquidated, what the fund paid, who was closed.

One pass over the log gathers the few facts that matter; a second, over those facts alone, cuts them into equal steps of time.
Facts stand in the order of the log, whatever times they state. The story's clock is the latest time stated so far: it does not
follow a time that goes back, nor an event that states none. What comes before the first stated time stands at that one.
"""

from collections.abc import Mapping

from msgspec import Struct

from events.model import (
    AccountOpened,
    AdlClose,
    AdlRound,
    Funding,
    InsuranceDraw,
    Liquidation,
    PriceTick,
    Role,
    Transfer,
)
from events.times import NS_PER_SECOND
from events.units import PPM
from ledger.store import Ledger
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.state import State
from replay.fold import Progress, stored, watched

__all__ = ["Step", "Story", "Winner", "tell"]

STEPS_WANTED = 16
# Steps of time that people read: seconds, minutes, hours. Beyond these, whole days.
STEP_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 86_400)


class Step(Struct, frozen=True):
    """What happened in one step of time. Marks and the fund are as they stood at its end; None before the first is known.

    ``index_ppm`` is the mean over all markets with a mark of mark / first mark, taken when the reference market ticks.
    """

    at_ns: int
    mark: int | None
    index_ppm: int | None
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

    There are no steps where no forced trade happened or no event states a time. The fund is the cash of all accounts that have
    that role at the time, as payments leave it; where it was not known, its change since the record began. ``winners`` are
    sorted by notional, largest first, then by account.
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


def tell(ledger: Ledger, progress: Progress | None = None) -> Story:
    """Return the story of a ledger. The first listed market is the reference. Notional is at the price of each trade."""
    state, facts = State(), []
    winners: dict[int, Winner] = {}
    funds: list[int] = []
    fund = clock = 0
    index = _Index()
    for seq, event in watched(ledger, progress):
        with stored(ledger):
            evolve(state, event, seq)
        clock = max(clock, event.at_ns)
        match event:
            case PriceTick(mark=int(mark)):
                index.tick(event.market, mark)
                if event.market == 0:
                    facts += [_Fact("mark", clock, mark), _Fact("index", clock, index.level_ppm())]
            case Liquidation():
                facts.append(_Fact("liquidation", clock, _notional(state, event)))
            case InsuranceDraw():
                facts.append(_Fact("draw", clock, event.cash))
            case AdlRound():
                facts.append(_Fact("round", clock, 0))
            case AdlClose():
                closed = _notional(state, event)
                facts.append(_Fact("close", clock, closed))
                winner = winners.setdefault(event.winner, Winner(event.winner))
                winner.closes += 1
                winner.closed_cash += closed
            case AccountOpened():
                _follow_role(funds, event)
            case _:
                pass
        if isinstance(event, InsuranceDraw | Transfer | Funding | AccountOpened):
            balance = sum(state.cash[account] for account in funds)
            if balance != fund:
                fund = balance
                facts.append(_Fact("fund", clock, balance))
    return _compose(state, facts, sorted(winners.values(), key=lambda w: (-w.closed_cash, w.account)))


class _Index:
    """How far prices have moved since the record began, over all markets alike."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._ratio_ppm: dict[int, int] = {}
        self._sum_ppm = 0

    def tick(self, market: int, mark: int) -> None:
        """Take in a mark."""
        ratio_ppm = mark * PPM // self._first.setdefault(market, mark)
        self._sum_ppm += ratio_ppm - self._ratio_ppm.get(market, 0)
        self._ratio_ppm[market] = ratio_ppm

    def level_ppm(self) -> int:
        """Return the mean, in parts per million of where it began."""
        return self._sum_ppm // len(self._ratio_ppm)


def _follow_role(funds: list[int], event: AccountOpened) -> None:
    """Keep the list of funds when an account is opened or gets another role."""
    if (event.account in funds) is not (event.role is Role.FUND):
        (funds.append if event.role is Role.FUND else funds.remove)(event.account)


def _notional(state: State, event: Liquidation | AdlClose) -> int:
    return abs(margin.market_value(state.markets[event.market], event.size, event.price))


def _compose(state: State, facts: list[_Fact], winners: list[Winner]) -> Story:
    begun = next((fact.at_ns for fact in facts if fact.at_ns), 0)
    for fact in facts:
        fact.at_ns = fact.at_ns or begun
    times = [fact.at_ns for fact in facts if begun and fact.kind in {"liquidation", "close"}]
    balances = [fact.cash for fact in facts if fact.kind == "fund"]
    step_ns = _step_ns(max(times) - min(times)) if times else NS_PER_SECOND
    totals = _sum_up(facts, 0, {})
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
        if span_ns <= STEPS_WANTED * seconds * NS_PER_SECOND:
            return seconds * NS_PER_SECOND
    day = STEP_SECONDS[-1] * NS_PER_SECOND
    return -(-span_ns // (STEPS_WANTED * day)) * day


def _steps(facts: list[_Fact], first_ns: int, last_ns: int, step_ns: int) -> list[Step]:
    """Cut the facts into steps from two before the first forced trade to three after the last, and add the end of all."""
    begin = first_ns - first_ns % step_ns - 2 * step_ns
    end = min(last_ns + 3 * step_ns, facts[-1].at_ns)
    steps: list[Step] = []
    levels: dict[str, int] = {}
    position = 0
    for edge in range(begin, end + 1, step_ns):
        inside = []
        while position < len(facts) and facts[position].at_ns < edge + step_ns:
            fact = facts[position]
            levels[fact.kind] = fact.cash
            if fact.at_ns >= edge:
                inside.append(fact)
            position += 1
        steps.append(_sum_up(inside, edge, levels))
    if position < len(facts):
        levels |= {fact.kind: fact.cash for fact in facts[position:]}
        steps.append(_sum_up([], facts[-1].at_ns, levels))
    return steps


def _sum_up(facts: list[_Fact], at_ns: int, levels: Mapping[str, int]) -> Step:
    """Count the facts of one step. ``levels`` holds the last value of each kind; only marks and the fund are levels."""
    count = dict.fromkeys(("mark", "index", "fund", "liquidation", "draw", "round", "close"), 0)
    cash = dict(count)
    for fact in facts:
        count[fact.kind] += 1
        cash[fact.kind] += fact.cash
    return Step(
        at_ns=at_ns,
        mark=levels.get("mark"),
        index_ppm=levels.get("index"),
        fund_cash=levels.get("fund"),
        liquidations=count["liquidation"],
        liquidated_cash=cash["liquidation"],
        draws=count["draw"],
        drawn_cash=cash["draw"],
        rounds=count["round"],
        closes=count["close"],
        closed_cash=cash["close"],
    )
