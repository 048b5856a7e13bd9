"""Adequacy of the insurance fund: a grid of price jumps, what ADL each would bring, and the smallest fund that would spare it.

What happens at one jump is in ``replay.stress.jumps``; here is the grid, and the search.

The smallest fund is the least balance, before the jump, with which the engine begins no ADL round. It is exact: at that balance
there is none, and with one money unit less there is one. The search begins at what an unlimited fund would have paid or lost,
which mostly is the answer (for a drawdown, at the fund of which that is the share that starts ADL), and goes on in doubling
steps. Where even an unlimited fund does not keep the policy from
a round, no fund avoids it. Of several funds that the policies name, each has at most what it would pay, the first first.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache

from msgspec import Struct

from replay.core import margin
from replay.core.policy import Policy, Quantity
from replay.core.spelling import Texts
from replay.core.state import State
from replay.stress.jumps import Jump, Outcome, begins_round, jump, run, venue

__all__ = ["StressPoint", "StressTest", "smallest_fund", "stress"]

# More than all money that a ledger can hold.
_UNLIMITED = 10**60


class StressPoint(Struct, frozen=True):
    """One point of the grid. ``smallest_fund`` is None where no fund avoids ADL.

    Where the outcome leaves accounts out as undecided, it is the smallest fund for the others, and what is needed is at least
    that.
    """

    move_ppm: int
    outcome: Outcome
    smallest_fund: int | None


class StressTest(Struct, frozen=True):
    """A grid and what it began from: the balance of the ``fund``, None where it is not on record, and what was ``assumed``."""

    points: tuple[StressPoint, ...]
    fund: int | None
    assumed: tuple[str, ...]


def stress(
    state: State,
    moves_ppm: Sequence[int],
    *,
    markets: Collection[int] | None = None,
    policy: Texts | None = None,
    fund_cash: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> StressTest:
    """Return what happens at each of ``moves_ppm``, jumps of the marks of ``markets``, by default of all, from ``state`` each.

    ``policy`` replaces that of every market, ``fund_cash`` the balance of the fund. ``progress`` is called with the number of
    points done and of all. Raises ``MisuseError`` as ``jumps.venue`` and ``jumps.jump`` do.
    """
    begun = venue(state, policy, fund_cash)
    points = []
    for done, move_ppm in enumerate(moves_ppm, 1):
        jumped = jump(begun, move_ppm, markets)
        outcome, _ = run(jumped)
        points.append(StressPoint(move_ppm, outcome, smallest_fund(jumped)))
        if progress is not None:
            progress(done, len(moves_ppm))
    balances = [margin.equity(begun.state, fund) for fund in begun.funds]
    known = [balance for balance in balances if balance is not None]
    return StressTest(tuple(points), sum(known) if len(known) == len(balances) else None, begun.assumed)


def smallest_fund(jumped: Jump) -> int | None:
    """Return the least balance of the fund before the jump with which no ADL round begins; None where none avoids it."""
    funds = jumped.venue.funds
    outcome, after = run(jumped, dict.fromkeys(funds, _UNLIMITED))
    if outcome.rounds:
        return None
    # A fund that holds contracts loses by the jump, too.
    needs = {fund: max(_UNLIMITED - (margin.equity(after, fund) or 0), 0) for fund in funds}

    @cache
    def spared(cash: int) -> bool:
        return not begins_round(jumped, _levels(needs, cash))

    if spared(0):
        return 0
    need = sum(needs.values())
    return _least(spared, need if spared(need) else _spread(jumped.venue.policies, need))


def _spread(policies: Sequence[Policy], need: int) -> int:
    """Return about how large a fund is of which ``need`` is too small a share to start ADL by its drawdown."""
    bounds = [
        condition.bound
        for policy in policies
        for clause in policy.trigger.start
        for condition in clause
        if condition.quantity is Quantity.DRAWDOWN and condition.bound.numerator > 0
    ]
    return max([need, *(-(-need * bound.denominator // bound.numerator) for bound in bounds)])


def _levels(needs: Mapping[int, int], cash: int) -> dict[int, int]:
    """Return the balance of each fund where all have ``cash`` together: each what it needs, the first the rest."""
    levels = {}
    for fund, need in needs.items():
        levels[fund] = min(need, cash)
        cash -= levels[fund]
    levels[next(iter(needs))] += cash
    return levels


def _least(holds: Callable[[int], bool], guess: int) -> int:
    """Return the least number from 0 on for which ``holds`` is true, where it is true of all above and of some number."""
    step, high = 1, guess
    if holds(guess):
        low = guess - 1
        while low >= 0 and holds(low):
            high, low, step = low, low - step, 2 * step
        low = max(low, -1)
    else:
        low, high = guess, guess + 1
        while not holds(high):
            low, high, step = high, high + 2 * step, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
