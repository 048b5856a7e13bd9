"""What the demo incident is played on: dice, a clock, a state, and a watch on the accounts that may be at risk.

Integers only, and no source of chance but ``splitmix64`` (Steele, Lea, Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014). Each event is applied to the state as it is made, so it is valid where it stands.
"""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush

from msgspec import Struct

from events.model import (
    AccountOpened,
    AnyEvent,
    Fill,
    MarginMode,
    PriceTick,
    Reason,
    Role,
    Taker,
    Transfer,
)
from events.units import PPM
from replay.core.evolve import evolve
from replay.core.state import State

__all__ = ["SOURCE", "Asset", "Dice", "Watch", "World"]

SOURCE = 1
MASK = 2**64 - 1

TAKER_FEE_PPM = 450
MAKER_FEE_PPM = 100
SPREAD_MIN_PPM, SPREAD_MAX_PPM = 10, 300

# In a fall the mark runs ahead of the index: by a sixtieth of the fall, and up to 0.02%.
LEAD_DIVISOR = 60
LEAD_NOISE_PPM = 200


class Asset(Struct, frozen=True):
    """A market: its first mark in price units, how much harder than the average it falls, and its margin rates."""

    symbol: str
    price_decimals: int
    size_decimals: int
    mark: int
    beta_ppm: int
    initial_ppm: int
    maintenance_ppm: int


class Dice:
    """splitmix64: the same numbers from the same seed, everywhere."""

    def __init__(self, seed: int) -> None:
        self._state = seed & MASK

    def draw(self) -> int:
        """Return the next 64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        return mixed ^ (mixed >> 31)

    def below(self, limit: int) -> int:
        """Return an integer from 0 to ``limit`` - 1."""
        return (self.draw() * limit) >> 64

    def between(self, low: int, high: int) -> int:
        """Return an integer from ``low`` to ``high``, both included."""
        return low + self.below(high - low + 1)


class World:
    """The simulation: the state its events add up to, the clock, and who is to be looked at again when.

    ``row`` counts the steps of the simulation; it is the row of every event of the step.
    """

    def __init__(self, seed: int, assets: Sequence[Asset], at_ns: int) -> None:
        self.dice = Dice(seed)
        self.assets = assets
        self.state = State()
        self.watch = Watch(self.state)
        self.at_ns = at_ns
        self.row = 0
        self.trade = 1
        self._noise_ppm = [0] * len(assets)

    def emit(self, event: AnyEvent) -> AnyEvent:
        """Apply an event to the state and hand it on."""
        evolve(self.state, event, self.state.seq + 1)
        return event

    def open_account(self, name: str, role: Role, mode: MarginMode, owner: int | None = None) -> AnyEvent:
        """Open the next account, under an owner or its own."""
        number = len(self.state.accounts)
        owner = number if owner is None else owner
        at = (self.at_ns, SOURCE, self.row)
        return self.emit(AccountOpened(*at, number, name, owner, role, mode, new=True, adl_exempt=None))

    def pay(self, payer: int, payee: int, cash: int, reason: Reason) -> AnyEvent:
        """Move cash between two accounts."""
        self.watch.touch(payer)
        self.watch.touch(payee)
        return self.emit(Transfer(self.at_ns, SOURCE, self.row, payer, payee, cash, reason, None))

    def fill(self, market: int, taker: int, maker: int, size: int) -> AnyEvent:
        """Trade signed ``size`` contracts, as the taker sees it, a little beyond mark at the taker's cost."""
        mark = self.state.marks[market]
        spread = mark * self.dice.between(SPREAD_MIN_PPM, SPREAD_MAX_PPM) // PPM
        buys = size > 0
        price = mark + spread if buys else mark - spread
        worth = abs(size) * price * self.state.markets[market].numerator
        taker_fee, maker_fee = worth * TAKER_FEE_PPM // PPM, worth * MAKER_FEE_PPM // PPM
        event = Fill(
            self.at_ns,
            SOURCE,
            self.row,
            market=market,
            buyer=taker if buys else maker,
            seller=maker if buys else taker,
            price=price,
            size=abs(size),
            buyer_fee=taker_fee if buys else maker_fee,
            seller_fee=maker_fee if buys else taker_fee,
            trade=self.trade,
            taker=Taker.BUYER if buys else Taker.SELLER,
            buyer_order=None,
            seller_order=None,
            buyer_start_claim=None,
            seller_start_claim=None,
            buyer_profit_claim=None,
            seller_profit_claim=None,
        )
        self.trade += 1
        self.watch.touch(taker)
        self.watch.touch(maker)
        return self.emit(event)

    def size(self, account: int, market: int) -> int:
        """Return an account's signed position."""
        position = self.state.positions[market].get(account)
        return position.size if position else 0

    def tick(self, fall_ppm: int, noise_ppm: int) -> Iterator[AnyEvent]:
        """Begin a step: a mark and an oracle price for every market, with the average ``fall_ppm`` below the start."""
        self.row += 1
        largest = 0
        for market, asset in enumerate(self.assets):
            noise = self._noise_ppm[market] * 9 // 10 + self.dice.between(-noise_ppm, noise_ppm)
            self._noise_ppm[market] = noise
            oracle = max(asset.mark * (PPM - fall_ppm * asset.beta_ppm // PPM + noise) // PPM, 1)
            mark = max(oracle - oracle * (fall_ppm // LEAD_DIVISOR + self.dice.below(LEAD_NOISE_PPM)) // PPM, 1)
            before = self.state.marks[market] or mark
            largest = max(largest, abs(mark - before) * PPM // before + 1)
            yield self.emit(PriceTick(self.at_ns, SOURCE, self.row, market, mark, oracle))
        self.watch.travelled_ppm += largest


class Watch:
    """When each account must be looked at again, so that a sweep need not visit all of them at each tick.

    ``travelled_ppm`` adds up, tick by tick, the largest move of any market. An account whose equity exceeds its requirement
    by a share f of its gross notional is safe until prices have travelled about f; a third off leaves room for compounding.
    """

    def __init__(self, state: State) -> None:
        self.travelled_ppm = 0
        self._state = state
        self._due_ppm: dict[int, int] = {}
        self._queue: list[tuple[int, int]] = []

    def touch(self, account: int) -> None:
        """Have an account looked at in the next sweep, as its money or positions changed."""
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
        """Return how far prices may travel before the account can be at risk; 0 when it may be now, None when it is flat."""
        state, gross, equity = self._state, 0, self._state.cash[account]
        for market, book in enumerate(state.positions):
            position = book.get(account)
            if position is not None and position.size:
                value = position.size * state.marks[market] * state.markets[market].numerator
                equity += value
                gross += abs(value)
        if gross == 0:
            return None if equity >= 0 else 0
        spare = max(equity - gross * maintenance_max_ppm // PPM, 0)
        return min(spare * PPM // gross, PPM) * 2 // 3
