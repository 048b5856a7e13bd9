"""A small ledger made of what a vector gives: real events, folded by the reducer, on which a preset is carried out.

Every event is stored and read back before it is applied, so a vector whose numbers no ledger can hold is not applicable. Sizes
and amounts are exact. The price grid is as fine as integers allow: a price that a vector states is on it, and one that a plan
computes is off by less than one step.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple, TypeVar

from events.beginning import beginning
from events.codec import decode, encode
from events.errors import BadInputError
from events.model import (
    SEMANTICS,
    AccountOpened,
    AdlCandidates,
    AdlClose,
    AdlRound,
    AnyEvent,
    Basis,
    Candidate,
    LedgerOpened,
    MarginMode,
    MarginTier,
    MarketListed,
    MarketStatus,
    Opening,
    OpenPosition,
    PriceRule,
    PriceTick,
    Role,
    Taker,
)
from events.units import PPT, Contract
from replay.conform.given import InapplicableError
from replay.core import margin
from replay.core.bankruptcy import Direction, divide
from replay.core.evolve import evolve
from replay.core.plan import Plan, PlannedClose, plan
from replay.core.policy import Policy, Ratio
from replay.core.spelling import Texts, adopt, parse_policy
from replay.core.state import State
from replay.core.triggers import Evaluated, evaluated, triggered

__all__ = ["Held", "Listed", "Party", "Stage", "fraction"]

_T = TypeVar("_T")

MONEY_DECIMALS_MOST = 18
# So that every price, a bankruptcy price among them, is an int64.
PRICE_MOST = 10**17
GRID = "these numbers do not fit the grid of a ledger"


class Held(NamedTuple):
    """A position: signed size and average entry, None where it is not given."""

    size: Fraction
    entry: Fraction | None = None


class Party(NamedTuple):
    """An account as it stands: its cash, as if every contract had been bought outright, and its positions by market."""

    cash: Fraction
    held: Mapping[str, Held] = {}
    role: Role = Role.USER


class Listed(NamedTuple):
    """A market: its mark, which is the oracle price too, and its margin rates."""

    mark: Fraction
    contract: Contract = Contract.LINEAR
    initial: Fraction = Fraction(0)
    maintenance: Fraction = Fraction(0)
    status: MarketStatus = MarketStatus.TRADING


def fraction(ratio: Ratio) -> Fraction:
    """Return a ratio of the core as a Fraction."""
    return Fraction(ratio.numerator, ratio.denominator)


def _decimals(values: Iterable[Fraction]) -> int:
    """Return how many decimals the values need; more than a ledger has where one does not end."""
    for decimals in range(MONEY_DECIMALS_MOST + 1):
        values = [value for value in values if (value * 10**decimals).denominator != 1]
        if not values:
            return decimals
    return MONEY_DECIMALS_MOST + 1


def _holdable(make: Callable[[], _T]) -> _T:
    try:
        return make()
    except BadInputError as error:
        raise InapplicableError(f"{GRID}: {error.message}") from error


class Stage:
    """A ledger of these markets and parties under these policies, of which the first is policy 0.

    Accounts stand in the order given, so a later one has a higher id. ``losers`` are those whose bankruptcy price is asked for:
    the price grid has room for it. ``money_decimals`` is given where rounding to the money unit is a part of the rule.
    """

    def __init__(
        self,
        markets: Mapping[str, Listed],
        parties: Mapping[str, Party],
        policies: Sequence[Texts],
        losers: Collection[str] = (),
        money_decimals: int | None = None,
    ) -> None:
        self.state = State()
        self.names: list[str] = []
        self._markets = list(markets)
        sizes = {name: _decimals(party.held[name].size for party in parties.values() if name in party.held) for name in markets}
        money = MONEY_DECIMALS_MOST if money_decimals is None else money_decimals
        room = {name: money - sizes[name] if market.contract is Contract.LINEAR else money for name, market in markets.items()}
        prices = {name: _price_decimals(name, markets, room[name], parties, losers) for name in markets}
        self.apply(*beginning(LedgerOpened(0, 0, 0, "vector", "unit", money, SEMANTICS)))
        self._first = len(self.state.accounts)
        for number, (name, market) in enumerate(markets.items()):
            self._list(number, market, prices[name], sizes[name])
        for number, texts in enumerate(policies):
            self.apply(adopt(texts, policy=number, at_ns=0, source=0, row=0))
        for name, party in parties.items():
            self._open(name, party)

    def apply(self, *events: AnyEvent) -> None:
        """Store each event as bytes, read it back and fold it."""
        for event in events:
            _holdable(lambda event=event: evolve(self.state, decode(encode(event)), self.state.seq + 1))  # type: ignore[misc]

    def _list(self, number: int, market: Listed, price_decimals: int, size_decimals: int) -> None:
        rates = [rate * PPT for rate in (market.initial, market.maintenance)]
        if any(rate.denominator != 1 for rate in rates):
            raise InapplicableError(GRID)
        tier = MarginTier(0, int(rates[0]), int(rates[1]))
        self.apply(
            MarketListed(
                0,
                0,
                0,
                market=number,
                symbol=str(number),
                contract=market.contract,
                price_decimals=price_decimals,
                size_decimals=size_decimals,
                multiplier=1,
                multiplier_decimals=0,
                price_tick=1,
                size_lot=1,
                basis=Basis.AVERAGE,
                grid_assumed=False,
                tiers=(tier,),
                position_limit=None,
                status=market.status,
            )
        )
        mark = int(market.mark * 10**price_decimals)
        self.apply(PriceTick(0, 0, 0, number, mark, mark))

    def _open(self, name: str, party: Party) -> None:
        account = len(self.state.accounts)
        self.names.append(name)
        opened = AccountOpened(
            0, 0, 0, account, str(account), account, party.role, MarginMode.UNKNOWN, new=True, adl_exempt=None
        )
        held = tuple(self._opening(market, position) for market, position in party.held.items())
        self.apply(opened, Opening(0, 0, 0, account, self.units(party.cash), held))

    def _opening(self, market: str, held: Held) -> OpenPosition:
        number, entry, decimals = self.market(market), None, 0
        if held.entry is not None:
            decimals = _decimals([held.entry])
            entry = int(held.entry * 10**decimals)
        if decimals > MONEY_DECIMALS_MOST:
            raise InapplicableError(GRID)
        return OpenPosition(number, self.lots(market, held.size), entry, decimals)

    # ---- Names and units

    def account(self, name: str) -> int:
        """Return an account's id."""
        return self._first + self.names.index(name)

    def name(self, account: int) -> str:
        """Return the name of an account."""
        return self.names[account - self._first]

    def market(self, name: str) -> int:
        """Return a market's id."""
        return self._markets.index(name)

    def policy(self, number: int = 0) -> Policy:
        """Return a policy as it is read from its event."""
        return parse_policy(self.state.policies[number])

    def rounding(self) -> Direction:
        """Return which way policy 0 rounds prices."""
        direction = self.policy().rounding.price
        if direction is None:
            raise InapplicableError("the preset has no price")
        return direction

    @property
    def _per_unit(self) -> int:
        per_unit: int = 10 ** (self.state.opened.money_decimals if self.state.opened else 0)
        return per_unit

    def units(self, amount: Fraction) -> int:
        """Return an amount in money units. One that is finer is not applicable."""
        units = amount * self._per_unit
        if units.denominator != 1:
            raise InapplicableError(GRID)
        return int(units)

    def money(self, units: int | None) -> Fraction:
        """Return money units as an amount."""
        if units is None:
            raise InapplicableError("the small ledger does not tell an amount")
        return Fraction(units, self._per_unit)

    def lots(self, market: str, size: Fraction) -> int:
        """Return a size in lots."""
        lots = size * 10 ** self.state.markets[self.market(market)].listed.size_decimals
        if lots.denominator != 1:
            raise InapplicableError(GRID)
        return int(lots)

    def size(self, market: str, lots: int) -> Fraction:
        """Return lots as a size."""
        return Fraction(lots, 10 ** self.state.markets[self.market(market)].listed.size_decimals)

    def price(self, market: str, units: int) -> Fraction:
        """Return price units as a price."""
        return units * self.step(market)

    def step(self, market: str) -> Fraction:
        """Return one step of the price grid."""
        return Fraction(1, 10 ** self.state.markets[self.market(market)].listed.price_decimals)

    # ---- What stands there

    def cash(self, name: str) -> Fraction:
        """Return an account's cash."""
        return self.money(self.state.cash[self.account(name)])

    def equity(self, name: str) -> Fraction:
        """Return an account's equity."""
        return self.money(margin.equity(self.state, self.account(name)))

    def held(self, name: str, market: str) -> Fraction:
        """Return an account's signed size."""
        position = self.state.positions[self.market(market)].get(self.account(name))
        return Fraction(0) if position is None else self.size(market, position.size)

    def bankruptcy_price(self, name: str, market: str, exact: Fraction) -> Fraction:
        """Return ``exact`` where the ledger has it, rounded for the account that is closed, as its bankruptcy price.

        Where the ledger has another price or none, return that, on its grid: it is the one that a plan uses.
        """
        found = margin.bankruptcy_price(self.state, self.account(name), self.market(market))
        if found is None:
            raise InapplicableError("the small ledger has no bankruptcy price")
        return self.unrounded(market, found, exact, long=self.held(name, market) > 0)

    def unrounded(self, market: str, units: int, exact: Fraction, *, long: bool) -> Fraction:
        """Return ``exact`` where a price of a close, rounded for a loser on that side, is it on the grid; else that price."""
        price, step = self.price(market, units), self.step(market)
        off = price - exact if long else exact - price
        return exact if 0 <= off < step else price

    # ---- Rounds

    def draft(self, loser: str, market: str, *, size: Fraction | None = None, need: Fraction | None = None) -> AdlRound:
        """Return the next round, which is not begun by this, under policy 0. ``size`` is the signed position to be closed."""
        return AdlRound(
            0,
            0,
            0,
            round=len(self.state.rounds),
            loser=self.account(loser),
            market=self.market(market),
            size=None if size is None else self.lots(market, size),
            price=None,
            price_rule=PriceRule.UNKNOWN,
            mark=None,
            oracle=None,
            bankruptcy=None,
            policy=0,
            pools=(),
            need_cash=None if need is None else self.units(need),
            as_of=None,
            cause=None,
            seed=b"\0",
        )

    def begin(self, opened: AdlRound, listed: Sequence[str] | None = None) -> None:
        """Record that the round begins, with the venue's list of candidates where there is one."""
        self.apply(opened)
        if listed is not None:
            rows = tuple(Candidate(self.account(name), None, None, None, None) for name in listed)
            self.apply(AdlCandidates(0, 0, 0, opened.round, 1, 1, rows))

    def holds(self, opened: AdlRound, policy: Policy) -> bool:
        """Return whether a policy's trigger holds for a round."""
        held = triggered(self.state, opened, policy)
        if held is None:
            raise InapplicableError("the small ledger does not decide the trigger")
        return held

    def conditions(self, opened: AdlRound, policy: Policy) -> list[Evaluated]:
        """Return the conditions of the trigger's start, each with what it looked at."""
        return [one for one in evaluated(self.state, opened, policy) if not one.stop]

    def plan(self, opened: AdlRound, policy: Policy) -> Plan:
        """Return the plan of a round that has begun. One that misses an input is not applicable."""
        made = _holdable(lambda: plan(self.state, opened, policy))
        if made.missing:
            raise InapplicableError(f"the plan misses {', '.join(made.missing)}")
        return made

    def close(self, opened: AdlRound, close: PlannedClose) -> Fraction:
        """Record a close of a plan and return what it brings in for the loser: below zero for the purchase of a short."""
        held = self.state.positions[opened.market][opened.loser].size
        buyer, seller = (close.winner, opened.loser) if held > 0 else (opened.loser, close.winner)
        before = self.state.cash[opened.loser]
        self.apply(
            AdlClose(
                0,
                0,
                0,
                market=opened.market,
                buyer=buyer,
                seller=seller,
                price=close.price,
                size=close.size,
                buyer_fee=0,
                seller_fee=0,
                trade=None,
                taker=Taker.UNKNOWN,
                buyer_order=None,
                seller_order=None,
                buyer_start_claim=None,
                seller_start_claim=None,
                buyer_profit_claim=None,
                seller_profit_claim=None,
                round=opened.round,
                winner=close.winner,
                mark=None,
                winner_equity_claim=None,
                rank_claim=close.rank,
            )
        )
        return self.money(self.state.cash[opened.loser] - before)

    def whole(self, market: str, lots: int, cash: Fraction, direction: Direction) -> int:
        """Return what a close brings in for the loser in whole units, from what it brings in at its price on the grid.

        ``lots`` is signed as the position. That price is off by less than a step, by the policy's ``direction``; the whole
        amount is rounded in the same direction, from an amount that such a price explains: a whole one where there is one.
        """
        slack = abs(self.size(market, lots)) * self.step(market)
        if slack >= 1:
            raise InapplicableError(GRID)
        if direction is Direction.NEAREST:
            return divide(cash.numerator, cash.denominator, direction)
        # A higher price brings in more for a long, and less for a short.
        more = direction is Direction.LOSER or direction is (Direction.UP if lots > 0 else Direction.DOWN)
        return floor(cash - slack) + 1 if more else ceil(cash + slack) - 1


def _price_decimals(
    name: str, markets: Mapping[str, Listed], most: int, parties: Mapping[str, Party], losers: Collection[str]
) -> int:
    """Return the decimals of a market's prices: all that fit, ``most`` at most, and at least those of its mark."""
    market = markets[name]
    if market.mark <= 0:
        raise InapplicableError(f"the price of {name} is not above zero")
    highest = market.mark
    for loser in losers:
        held = parties[loser].held.get(name)
        if held is not None and held.size:
            highest = max(highest, market.mark + _reach(parties[loser], markets) / abs(held.size))
    fitting = [decimals for decimals in range(most + 1) if highest * 10**decimals < PRICE_MOST]
    if not fitting or _decimals([market.mark]) > fitting[-1]:
        raise InapplicableError(GRID)
    return fitting[-1]


def _reach(party: Party, markets: Mapping[str, Listed]) -> Fraction:
    """Return what an account's equity cannot exceed, with or without its sign."""
    return abs(party.cash) + sum((abs(held.size) * markets[name].mark for name, held in party.held.items()), Fraction(0))
