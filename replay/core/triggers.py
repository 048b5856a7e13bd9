"""Whether there is an ADL round at all: a policy's trigger, condition by condition, with what each of them looked at.

A condition that the record does not decide is undecided, never false: a clause is false as soon as one condition is, and the
trigger holds as soon as one clause does; else it is undecided where any part of it is.

A trigger with a stop outlasts its start. It holds where a start clause holds now; and where the last round of that market
before this one was of the same policy, and no stop clause has held since: not at any level of the fund on record since then,
as it began or just before the next, when older levels have left the window, and not now. Of the time between only the fund's
levels are on record, so a stop clause that looks at anything else is decided there only if its other conditions are.

The fund's drawdown is ``1 - level / peak``: ``level`` the balance of the policy's pools together as it is now, ``peak`` its
highest in the window that ends at the round's time, the level in force when the window begins among them. A balance is cash and
what the positions cost, so to take one over at any price is no fall: marks do not move it. Where the peak is not above 0 all
is lost: the drawdown is 1. (Bybit, OKX, Bitget: adl-rules.md sections 5, 6 and 13.)
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

from msgspec import Struct

from events.model import FIRST_FREE_ACCOUNT, AdlRound, MarketStatus, Role
from replay.core import margin
from replay.core.missing import (
    MISSING_CANDIDATES,
    MISSING_ENTRY,
    MISSING_FUND,
    MISSING_LOSER,
    MISSING_MARK,
    MISSING_ROUNDS,
    MISSING_STATUS,
    equity_gaps,
    in_order,
    loser_size,
)
from replay.core.policy import Condition, LayerKind, Policy, Quantity, Ratio, Relation
from replay.core.scoring import reduced
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, FundLevel, State

__all__ = ["INFINITE", "Evaluated", "evaluated", "fund_drawdown", "fund_equity", "fund_pools", "trigger_gaps", "triggered"]

INFINITE = Ratio(1, 0)
"""The profit of the winners' side over a pool that is empty: above every bound."""

_SEQ, _AT = attrgetter("seq"), attrgetter("at_ns")


class Evaluated(Struct, frozen=True, gc=False):
    """A condition with what it looked at. ``clause`` counts the clauses from 0, those of the stop again from 0.

    ``left`` is exact and in the unit of the bound: currency, lots or a share; 1 for a market that is being settled and 0 for
    another. None where the record does not tell it, and ``holds`` is None then.
    """

    stop: bool
    clause: int
    condition: Condition
    left: Ratio | None
    holds: bool | None


class _Step(NamedTuple):
    """The balance of all pools together from one event on, until the next step."""

    seq: int
    at_ns: int
    cash: int


def triggered(state: State, round: AdlRound, policy: Policy) -> bool | None:  # noqa: A002  the field's own word
    """Return whether the policy's trigger holds for the round's loser; None where the record does not decide it.

    ``state`` is as it was just before the round; ``round`` may be a draft of one that has not begun. Of it only the loser, the
    market, the time, the size where the loser's own is not known, and its id count: rounds with lower ids came before.
    """
    starts = _any(_clause(state, round, policy, clause) for clause in policy.trigger.start)
    if starts or not policy.trigger.stop:
        return starts
    return _any([starts, _goes_on(state, round, policy)])


def trigger_gaps(state: State, round: AdlRound, policy: Policy) -> list[str]:  # noqa: A002  as above
    """Name why the record does not decide the policy's trigger; nothing where each of its conditions is known."""
    gaps: list[str] = []
    for one in evaluated(state, round, policy):
        if one.holds is None:
            gaps += _gaps(state, round, one.condition)
    before = _round_before(state, round)
    if policy.trigger.stop and before is not None and before.policy is None:
        gaps.append(MISSING_ROUNDS)
    return list(in_order(gaps))


def evaluated(state: State, round: AdlRound, policy: Policy) -> list[Evaluated]:  # noqa: A002  as above
    """Return every condition of the trigger's start, then of its stop, with its left side as it is now."""
    found = []
    for stop, clauses in ((False, policy.trigger.start), (True, policy.trigger.stop)):
        for number, clause in enumerate(clauses):
            for condition in clause:
                left = _left(state, round, policy, condition)
                found.append(Evaluated(stop, number, condition, left, _holds(condition, left)))
    return found


# ---- Three-valued logic


def _any(holds: Iterable[bool | None]) -> bool | None:
    known = list(holds)
    return True if True in known else None if None in known else False


def _all(holds: Iterable[bool | None]) -> bool | None:
    known = list(holds)
    return False if False in known else None if None in known else True


def _clause(state: State, opened: AdlRound, policy: Policy, clause: Sequence[Condition]) -> bool | None:
    return _all(_holds(condition, _left(state, opened, policy, condition)) for condition in clause)


def _holds(condition: Condition, left: Ratio | None) -> bool | None:
    if left is None:
        return None
    one, other = left.numerator * condition.bound.denominator, condition.bound.numerator * left.denominator
    match condition.relation:
        case Relation.BELOW:
            return one < other
        case Relation.AT_MOST:
            return one <= other
        case Relation.ABOVE:
            return one > other
        case Relation.AT_LEAST:
            return one >= other


# ---- What a condition looks at


def _left(state: State, opened: AdlRound, policy: Policy, condition: Condition) -> Ratio | None:
    match condition.quantity:
        case Quantity.EQUITY:
            return _in_currency(state, margin.equity(state, opened.loser))
        case Quantity.FUND:
            return _in_currency(state, fund_equity(state, policy))
        case Quantity.DRAWDOWN:
            return fund_drawdown(state, policy, opened.at_ns, condition.window_ns)
        case Quantity.LEFTOVER:
            size = loser_size(state, opened)
            return None if size is None else Ratio(abs(size), 1)
        case Quantity.POOL_FACTOR:
            return _pool_factor(state, opened)
        case Quantity.SETTLEMENT:
            status = state.markets[opened.market].listed.status
            return None if status is MarketStatus.UNKNOWN else Ratio(int(status is MarketStatus.SETTLEMENT), 1)


def _gaps(state: State, opened: AdlRound, condition: Condition) -> list[str]:
    match condition.quantity:
        case Quantity.EQUITY:
            return equity_gaps(state, opened.loser)
        case Quantity.FUND | Quantity.DRAWDOWN:
            return [MISSING_FUND]
        case Quantity.LEFTOVER:
            return [MISSING_LOSER]
        case Quantity.POOL_FACTOR:
            gaps = [] if _vaults(state) is not None else [MISSING_FUND]
            return gaps + _profit(state, opened)[1]
        case Quantity.SETTLEMENT:
            return [MISSING_STATUS]


def _in_currency(state: State, cash: int | None) -> Ratio | None:
    return None if cash is None else reduced(cash, 10 ** (state.opened.money_decimals if state.opened else 0))


def _pool_factor(state: State, opened: AdlRound) -> Ratio | None:
    """Return the net profit of the other side over what the vaults hold without their own (GMX v2's ``pnlToPoolFactor``)."""
    pool, (profit, gaps) = _vaults(state), _profit(state, opened)
    if pool is None or gaps:
        return None
    if pool > 0:
        return reduced(profit, pool)
    return INFINITE if profit > 0 else Ratio(0, 1)


def _vaults(state: State) -> int | None:
    """Return the balance of all vaults together: a pool without the traders' profit. None where the record does not tell it."""
    return _sum_of(margin.balance, state, [one.account for one in state.accounts if one.role is Role.VAULT])


def _profit(state: State, opened: AdlRound) -> tuple[int, list[str]]:
    """Return what those on the other side of the loser's position have won in all, and what is missing to say it."""
    size, mark = loser_size(state, opened) or opened.size, state.marks[opened.market]
    if size is None:
        return 0, [MISSING_LOSER]
    gaps = [] if mark else [MISSING_MARK]
    if state.partial[opened.market]:
        gaps.append(MISSING_CANDIDATES)
    total = 0
    for account, position in state.positions[opened.market].items():
        if account < FIRST_FREE_ACCOUNT or account == opened.loser:
            continue
        if position.unknown & SIZE_UNKNOWN:
            gaps.append(MISSING_CANDIDATES)
        elif position.size * size < 0 and position.unknown & ENTRY_UNKNOWN:
            gaps.append(MISSING_ENTRY)
        elif position.size * size < 0 and mark:
            total += margin.market_value(state.markets[opened.market], position.size, mark) - position.cost
    return total, gaps


# ---- The fund


def fund_pools(state: State, policy: Policy | None = None) -> list[int]:
    """Return the accounts that are the fund: those that the policy's fund layers name, else all of that role; by id."""
    layers = [] if policy is None else [layer for layer in policy.layers if layer.kind is LayerKind.FUND]
    if layers and all(layer.account is not None for layer in layers):
        return sorted({layer.account for layer in layers if layer.account is not None})
    # Every fund has its levels there, so not every account needs to be looked at.
    return [account for account in sorted(state.fund_levels) if state.accounts[account].role is Role.FUND]


def fund_equity(state: State, policy: Policy | None = None) -> int | None:
    """Return the equity of the fund's pools together; None where the record has none, or does not tell one's equity."""
    return _sum_of(margin.equity, state, fund_pools(state, policy))


def _sum_of(amount: Callable[[State, int], int | None], state: State, pools: Sequence[int]) -> int | None:
    """Return an amount of all pools together; None where there is none, or one's is not on record."""
    total = None
    for account in pools:
        cash = amount(state, account) if account < len(state.accounts) else None
        if cash is None:
            return None
        total = cash + (total or 0)
    return total


def fund_drawdown(state: State, policy: Policy, at_ns: int, window_ns: int) -> Ratio | None:
    """Return how far the pools are below their highest level in the window that ends at ``at_ns``, as a share of that level.

    None where the record has no pool, or no level of one of them.
    """
    pools = fund_pools(state, policy)
    histories = _histories(state, pools)
    level = _sum_of(margin.balance, state, pools)
    if not histories or level is None:
        return None
    now = max(at_ns, *(history[-1].at_ns for history in histories))
    return _below(level, max(level, *(step.cash for step in _steps(histories, now - window_ns))))


def _below(level: int, peak: int) -> Ratio:
    return Ratio(1, 1) if peak <= 0 else reduced(peak - level, peak)


def _drawdowns(steps: Sequence[_Step], since: int, window_ns: int) -> list[Ratio]:
    """Return the drawdown at each step after the event at ``since``, from the highest level in the window that ends there.

    One pass. A level is in the window where the next one came after the window began.
    """
    found = []
    highest: deque[int] = deque()  # steps that may still be the highest, their levels falling
    begin = 0
    for number, step in enumerate(steps):
        while highest and steps[highest[-1]].cash <= step.cash:
            highest.pop()
        highest.append(number)
        while begin < number and steps[begin + 1].at_ns <= step.at_ns - window_ns:
            begin += 1
        while highest[0] < begin:
            highest.popleft()
        if step.seq > since:
            found.append(_below(step.cash, steps[highest[0]].cash))
    return found


def _histories(state: State, pools: Sequence[int]) -> list[list[FundLevel]]:
    """Return the levels of each pool, oldest first; none where one has none."""
    histories = [state.fund_levels.get(pool, []) for pool in pools]
    return histories if all(histories) else []


def _steps(histories: Sequence[Sequence[FundLevel]], begin_ns: int) -> list[_Step]:
    """Return the balance of all pools together that was in force at ``begin_ns``, and after each event since that changed it.

    It begins when each pool has a level. Times never go back here: a time before that of an earlier step counts as that.
    """
    # The first event after the beginning: what each pool had just before it was in force.
    later = [bisect_right(history, begin_ns, key=_AT) for history in histories]
    first = min((history[at].seq for history, at in zip(histories, later, strict=True) if at < len(history)), default=None)
    places = [len(h) if first is None else bisect_left(h, first, key=_SEQ) for h in histories]
    before = [history[at - 1] if at else None for history, at in zip(histories, places, strict=True)]
    now = [None if level is None else level.cash for level in before]
    old = [level for level in before if level is not None]
    seq, latest = max((level.seq for level in old), default=0), max((level.at_ns for level in old), default=begin_ns)
    unknown, total = len(now) - len(old), sum(level.cash for level in old)
    steps = [] if unknown else [_Step(seq, latest, total)]
    changes = [(number, level) for number, (h, at) in enumerate(zip(histories, places, strict=True)) for level in h[at:]]
    for number, level in sorted(changes, key=lambda change: change[1].seq):
        had = now[number]
        unknown -= had is None
        total += level.cash - (had or 0)
        now[number] = level.cash
        latest = max(latest, level.at_ns)
        if unknown == 0:
            if steps and steps[-1].seq == level.seq:
                steps.pop()
            steps.append(_Step(level.seq, latest, total))
    return steps


# ---- Going on until the stop


def _round_before(state: State, opened: AdlRound) -> AdlRound | None:
    """Return the last round of the market before this one."""
    for number in range(min(opened.round, len(state.rounds)) - 1, -1, -1):
        if state.rounds[number].event.market == opened.market:
            return state.rounds[number].event
    return None


def _goes_on(state: State, opened: AdlRound, policy: Policy) -> bool | None:
    """Return whether an earlier round began under this policy, and no stop clause has held since."""
    before = _round_before(state, opened)
    if before is None or (before.policy is not None and before.policy != policy.policy):
        return False
    since = state.rounds[before.round].seq
    stopped = [_clause(state, opened, policy, clause) for clause in policy.trigger.stop]
    steps = _steps_since(state, policy, since)
    for clause in policy.trigger.stop:
        held = [_history(state, condition, steps, since) for condition in clause]
        stopped += [_all(at_once) for at_once in zip(*held, strict=True)]
    ended = _any(stopped)
    return _all([True if before.policy is not None else None, None if ended is None else not ended])


def _steps_since(state: State, policy: Policy, since: int) -> list[_Step]:
    """Return the steps of the fund after the event at ``since``, each as it began and as it was just before the next.

    Before them those that a drawdown of the stop looks back to.
    """
    histories = _histories(state, fund_pools(state, policy))
    if not histories:
        return []
    window_ns = max(condition.window_ns for clause in policy.trigger.stop for condition in clause)
    places = [bisect_right(history, since, key=_SEQ) for history in histories]
    then = max(history[max(at - 1, 0)].at_ns for history, at in zip(histories, places, strict=True))
    steps = _steps(histories, then - window_ns)
    lasting = []
    for step, after in pairwise(steps):
        lasting.append(step)
        if after.seq > since:
            lasting.append(_Step(after.seq, max(step.at_ns, after.at_ns - 1), step.cash))
    return [*lasting, *steps[-1:]]


def _history(state: State, condition: Condition, steps: Sequence[_Step], since: int) -> list[bool | None]:
    """Return whether a condition held at each step after ``since``. Of that time only the fund's level is on record."""
    after = [step for step in steps if step.seq > since]
    if condition.quantity is Quantity.FUND:
        return [_holds(condition, _in_currency(state, step.cash)) for step in after]
    if condition.quantity is Quantity.DRAWDOWN:
        return [_holds(condition, down) for down in _drawdowns(steps, since, condition.window_ns)]
    return [None] * len(after)
