"""Whom the liquidator looks at again, and when, so that it need not visit every account at each tick.

It only spares work: whoever is not looked at is at or above its maintenance margin.
"""

from heapq import heappop, heappush

from events.units import PPM
from replay.core.state import State

__all__ = ["Watch"]


class Watch:
    """When each account must be looked at again.

    ``travelled_ppm`` adds up, tick by tick, the largest move of any market. An account whose equity exceeds its requirement
    by a share f of its gross notional is safe until prices have travelled f / 2: with f at most 1, moves that compound over
    that way take less than 0.65 f, and the rest is enough for a requirement that grows with prices, at rates up to 54%.
    """

    def __init__(self, state: State) -> None:
        self.travelled_ppm = 0
        self._state = state
        self._due_ppm: dict[int, int] = {}
        self._queue: list[tuple[int, int]] = []

    def touch(self, account: int) -> None:
        """Have an account looked at next, as its money or positions changed."""
        self.schedule(account, 0)

    def schedule(self, account: int, safe_ppm: int) -> None:
        """Have an account looked at when prices have travelled ``safe_ppm`` from here."""
        at_ppm = self.travelled_ppm + safe_ppm
        if self._due_ppm.get(account) != at_ppm:
            self._due_ppm[account] = at_ppm
            heappush(self._queue, (at_ppm, account))

    def pop(self) -> int | None:
        """Return the next account to look at, None when all others are safe."""
        while self._queue and self._queue[0][0] <= self.travelled_ppm:
            at_ppm, account = heappop(self._queue)
            if self._due_ppm.get(account) == at_ppm:
                del self._due_ppm[account]
                return account
        return None

    def safe_ppm(self, account: int, maintenance_max_ppm: int) -> int | None:
        """Return how far prices may travel before the account can be at risk; 0 when it may be now, None when it is flat.

        ``maintenance_max_ppm`` is the highest rate of maintenance margin in any market. Markets are linear.
        """
        state, gross, equity = self._state, 0, self._state.cash[account]
        for market, position in state.holdings[account].items():
            if position.size:
                value = position.size * state.marks[market] * state.markets[market].numerator
                equity += value
                gross += abs(value)
        if gross == 0:
            return None if equity >= 0 else 0
        spare = max(equity - -(-gross * maintenance_max_ppm // PPM), 0)
        return min(spare * PPM // gross, PPM) // 2
