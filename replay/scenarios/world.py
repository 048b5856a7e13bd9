"""The world of a scenario: the state its events add up to, the clock, the prices, and the few things that can happen.

Each event is applied to the state as it is made, so it is valid where it stands. What traders want goes through the engine:
an order or a withdrawal that the venue does not admit is counted, and nothing happens.
"""

from collections.abc import Iterator

from msgspec import Struct

from events.model import FIRST_FREE_ACCOUNT, AccountOpened, AnyEvent, MarginMode, PriceTick, Reason, Role, Taker, Transfer
from events.times import NS_PER_SECOND
from events.units import PPM, PPT
from replay.core.engine import Moment, Order, Rules, Withdrawal, decide
from replay.core.evolve import evolve
from replay.core.state import State
from replay.scenarios.dice import Dice
from replay.scenarios.script import Scenario, Spike
from replay.scenarios.watch import Watch

__all__ = ["SOURCE", "Outcome", "Slot", "World"]

SOURCE = 1

_SPREAD_MIN_PPM, _SPREAD_MAX_PPM = 10, 300

# The mark runs ahead of the index: by a sixtieth of how far prices have moved, and up to 0.02% lower.
_LEAD_DIVISOR = 60
_LEAD_NOISE_PPM = 200


class Outcome(Struct):
    """What a scenario's events do not say: what was asked and refused, and who fell by the mark alone.

    ``only_by_mark``: accounts in the order in which they were first met below their maintenance margin at mark, while they were
    above it at the prices at which people traded.
    """

    orders: int = 0
    orders_refused: int = 0
    withdrawals: int = 0
    withdrawals_refused: int = 0
    only_by_mark: list[int] = []


class Slot(Struct):
    """One account's interest in one market: the signed size it wants to hold."""

    account: int
    market: int
    target: int


class World:
    """The state, the clock, and who wants what.

    ``row`` counts the steps of the simulation; it is the row of every event of the step. ``prices`` are those at which people
    trade; a mark is another only while an oracle is off. ``levels_ppm`` are the paths' levels as they are, by market.
    """

    def __init__(self, scenario: Scenario, outcome: Outcome) -> None:
        self.scenario = scenario
        self.outcome = outcome
        self.dice = Dice(scenario.seed)
        self.state = State()
        self.watch = Watch(self.state)
        self.at_ns = scenario.begins_ns
        self.row = 0
        self.trade = 1
        self.vault = FIRST_FREE_ACCOUNT + len(scenario.funds)
        self.first_maker = self.vault + 1
        self.first_user = self.first_maker + scenario.makers.count
        venue = scenario.venue
        self.rules = Rules(
            self.vault,
            slippage_ppm=venue.slippage_ppm,
            partial_share_ppm=venue.partial_share_ppm,
            partial_above_cash=venue.partial_above_cash,
            cooldown_ns=venue.cooldown_seconds * NS_PER_SECOND,
            takeover_ppm=venue.takeover_ppm,
        )
        tiers = [tier for market in scenario.markets for tier in market.tiers]
        self.initial_max_ppm = max(-(-tier.initial_ppt * PPM // PPT) for tier in tiers)
        self.maintenance_max_ppm = max(-(-tier.maintenance_ppt * PPM // PPT) for tier in tiers)
        self.prices = [market.mark for market in scenario.markets]
        self.levels_ppm = [0] * len(self.prices)
        self.slots: list[Slot] = []
        self.slots_of: list[list[Slot]] = [[] for _ in self.prices]
        self._noise_ppm = [0] * len(self.prices)

    def emit(self, event: AnyEvent) -> AnyEvent:
        """Apply an event to the state and hand it on."""
        evolve(self.state, event, self.state.seq + 1)
        return event

    def moment(self) -> Moment:
        """Return the header of the next event and the next trade id."""
        return Moment(self.at_ns, SOURCE, self.row, self.trade)

    def open_account(self, name: str, role: Role, mode: MarginMode, owner: int | None = None) -> AnyEvent:
        """Open the next account, under an owner or its own."""
        number = len(self.state.accounts)
        owner = number if owner is None else owner
        at = (self.at_ns, SOURCE, self.row)
        return self.emit(AccountOpened(*at, number, name, owner, role, mode, new=True, adl_exempt=None))

    def pay(self, payer: int, payee: int, cash: int, reason: Reason) -> Iterator[AnyEvent]:
        """Move cash between two accounts, if there is any to move."""
        if cash:
            self.watch.touch(payer)
            self.watch.touch(payee)
            yield self.emit(Transfer(self.at_ns, SOURCE, self.row, payer, payee, cash, reason, None))

    def withdraw(self, account: int, cash: int) -> Iterator[AnyEvent]:
        """Let an account take money out, if the venue lets it."""
        self.outcome.withdrawals += 1
        decision = decide(self.state, Withdrawal(account, cash), self.rules, self.moment())
        self.outcome.withdrawals_refused += decision.refusal is not None
        for event in decision.events:
            yield self.emit(event)
            self.watch.touch(account)

    def order(self, market: int, taker: int, maker: int, size: int) -> Iterator[AnyEvent]:
        """Trade signed ``size`` contracts, as the taker sees it, a little off the price at its cost, if the venue admits it."""
        price = self.prices[market]
        spread = price * self.dice.between(_SPREAD_MIN_PPM, _SPREAD_MAX_PPM) // PPM
        price = max(price + spread if size > 0 else price - spread, 1)
        worth = abs(size) * price * self.state.markets[market].numerator
        venue = self.scenario.venue
        taker_fee, maker_fee = worth * venue.taker_fee_ppm // PPM, worth * venue.maker_fee_ppm // PPM
        if size > 0:
            order = Order(market, taker, maker, price, size, taker_fee, maker_fee, Taker.BUYER)
        else:
            order = Order(market, maker, taker, price, -size, maker_fee, taker_fee, Taker.SELLER)
        self.outcome.orders += 1
        decision = decide(self.state, order, self.rules, self.moment())
        self.outcome.orders_refused += decision.refusal is not None
        for event in decision.events:
            self.trade += 1
            self.watch.touch(taker)
            self.watch.touch(maker)
            yield self.emit(event)

    def maker(self, market: int) -> int:
        """Return one of the two makers of a market."""
        return self.first_maker + (market + self.dice.below(2)) % self.scenario.makers.count

    def size(self, account: int, market: int) -> int:
        """Return an account's signed position."""
        position = self.state.positions[market].get(account)
        return position.size if position else 0

    def lots(self, market: int, cash: int) -> int:
        """Return how many contracts are worth ``cash`` at mark, cut."""
        return cash // (self.state.marks[market] * self.state.markets[market].numerator)

    def tick(self, noise_ppm: int, spikes: dict[int, Spike]) -> Iterator[AnyEvent]:
        """Begin a step: a mark and an oracle price for every market, around the levels, off where there is a spike."""
        self.row += 1
        largest = 0
        for market, listed in enumerate(self.scenario.markets):
            noise = self._noise_ppm[market] * 9 // 10 + self.dice.between(-noise_ppm, noise_ppm)
            self._noise_ppm[market] = noise
            level = self.levels_ppm[market]
            oracle = max(listed.mark * (PPM + level + noise) // PPM, 1)
            lead = level // _LEAD_DIVISOR - self.dice.below(_LEAD_NOISE_PPM)
            price = self.prices[market] = max(oracle + oracle * lead // PPM, 1)
            mark, spike = price, spikes.get(market)
            if spike is not None:
                oracle, mark = (max(each * (PPM + spike.change_ppm) // PPM, 1) for each in (oracle, price))
                if spike.band_ppm is not None:
                    mark = min(max(mark, price * (PPM - spike.band_ppm) // PPM, 1), price * (PPM + spike.band_ppm) // PPM)
            before = self.state.marks[market] or mark
            largest = max(largest, abs(mark - before) * PPM // before + 1)
            yield self.emit(PriceTick(self.at_ns, SOURCE, self.row, market, mark, oracle))
        self.watch.travelled_ppm += largest
