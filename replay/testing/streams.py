"""Hypothesis strategies for whole records: events that a reducer applies from the first to the last.

``records()`` gives lists of events that begin a ledger and go on with anything that can happen: partial histories, unknown
cash, self-trades, flips, take-overs below zero, rounds whose closes go too far. Each list is valid for ``replay.core.evolve``.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from hypothesis import strategies as st
from msgspec import Struct

from events.beginning import beginning as begin
from events.model import (
    FIRST_FREE_ACCOUNT,
    SEMANTICS,
    AccountOpened,
    AdlCandidates,
    AdlClose,
    AdlRound,
    AnyEvent,
    Basis,
    Candidate,
    Completeness,
    Contract,
    Corrected,
    Fill,
    Funding,
    InsuranceDraw,
    LedgerOpened,
    Liquidation,
    MarginMode,
    MarginTier,
    MarketListed,
    MarketStatus,
    Method,
    Opening,
    OpenPosition,
    Payment,
    PolicyAdopted,
    PoolBalance,
    PriceRule,
    PriceTick,
    Quarantined,
    Reason,
    Role,
    Settlement,
    SourceClosed,
    SourceOpened,
    Taker,
    Tally,
    Transfer,
    VenueId,
)
from events.units import PPT

__all__ = ["beginning", "records"]

MONEY_DECIMALS = 8
TIERS = (
    (),
    (MarginTier(0, PPT // 5, PPT // 10),),
    (MarginTier(0, PPT // 10, PPT // 20), MarginTier(10**9, PPT // 2, PPT // 4)),
)

_Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]
_Head: TypeAlias = tuple[int, int, int]


class _World(Struct):
    """What the record has so far. Account 4 is the fund; the users come after it. ``listed`` are rounds with candidates."""

    accounts: list[AccountOpened] = []
    markets: list[MarketListed] = []
    rounds: list[AdlRound] = []
    listed: set[int] = set()
    open_sources: list[int] = []
    sources: int = 0
    policies: int = 0
    seq: int = 0


def beginning(money_decimals: int = MONEY_DECIMALS) -> list[AnyEvent]:
    """Return the events that every ledger begins with, for a ledger of these decimals."""
    return begin(LedgerOpened(0, 0, 0, "venue", "USD", money_decimals, SEMANTICS))


def _market(draw: _Draw, number: int) -> MarketListed:
    contract = draw(st.sampled_from(Contract))
    basis = draw(st.sampled_from(Basis)) if contract is Contract.LINEAR else Basis.AVERAGE
    multiplier_decimals = draw(st.integers(0, 2)) if contract is Contract.LINEAR else draw(st.integers(0, 9))
    return MarketListed(
        0, 0, 0, number, f"M{number}", contract, draw(st.integers(0, 3)), draw(st.integers(0, 3)),
        draw(st.integers(1, 20)), multiplier_decimals, draw(st.integers(1, 5)), draw(st.integers(1, 5)), basis,
        draw(st.booleans()), draw(st.sampled_from(TIERS)), None, draw(st.sampled_from(MarketStatus)),
    )  # fmt: skip


def _account(world: _World) -> st.SearchStrategy[int]:
    return st.integers(0, len(world.accounts) - 1)


def _user(world: _World) -> st.SearchStrategy[int]:
    return st.integers(FIRST_FREE_ACCOUNT, len(world.accounts) - 1)


def _trade(draw: _Draw, world: _World, *, forced: bool) -> tuple[int, int, int, int, int]:
    market = draw(st.integers(0, len(world.markets) - 1))
    low = -50 if forced and world.markets[market].contract is not Contract.INVERSE else 1
    return market, draw(_user(world)), draw(_user(world)), draw(st.integers(low, 1_000)), draw(st.integers(1, 30))


_FEE = st.integers(-5, 5)
_Terms: TypeAlias = tuple[int, int, VenueId, Taker, None, None, int | None, int | None, None, None]
_START = st.none() | st.integers(-30, 30)


def _terms(draw: _Draw, world: _World) -> _Terms:
    """Return the fields of a trade from its fees on."""
    trade = draw(st.sampled_from((world.seq, f"t{world.seq}", None)))
    return draw(_FEE), draw(_FEE), trade, draw(st.sampled_from(Taker)), None, None, draw(_START), draw(_START), None, None


def _fill(draw: _Draw, world: _World, head: _Head) -> AnyEvent:
    sides = _trade(draw, world, forced=False)
    trade = (*head, *sides, *_terms(draw, world))
    return Fill(*trade)


def _liquidation(draw: _Draw, world: _World, head: _Head) -> AnyEvent:
    sides = _trade(draw, world, forced=True)
    account, method = sides[draw(st.sampled_from((1, 2)))], draw(st.sampled_from(Method))
    trade = (*head, *sides, *_terms(draw, world))
    return Liquidation(*trade, account, method, None, None, None)


def _settlement(draw: _Draw, world: _World, head: _Head) -> AnyEvent:
    trade = (*head, *_trade(draw, world, forced=True), *_terms(draw, world))
    return Settlement(*trade)


def _round(draw: _Draw, world: _World, head: _Head) -> AnyEvent:
    market, loser, _, price, size = _trade(draw, world, forced=True)
    need, stated = draw(st.sampled_from((None, size, -size))), draw(st.sampled_from((None, price)))
    policy = world.policies - 1 if world.policies else None
    pools = (PoolBalance(FIRST_FREE_ACCOUNT, draw(st.integers(-(10**25), 10**25))),)
    need_cash, cause = draw(st.none() | st.integers(-(10**25), 10**25)), draw(st.none() | st.just(world.seq - 1))
    facts = (*head, len(world.rounds), loser, market, need, stated, PriceRule.MARK)
    opened = AdlRound(*facts, None, None, None, policy, pools, need_cash, None, cause, b"seed")
    world.rounds.append(opened)
    return opened


def _close(draw: _Draw, world: _World, head: _Head) -> AnyEvent:
    opened = world.rounds[-1]
    winner = draw(_user(world).filter(lambda account: account != opened.loser))
    buyer, seller = draw(st.sampled_from(((winner, opened.loser), (opened.loser, winner))))
    price = draw(st.integers(1, 1_000)) if opened.price is None else opened.price
    sides = (opened.market, buyer, seller, price, draw(st.integers(1, 30)))
    trade = (*head, *sides, *_terms(draw, world))
    return AdlClose(*trade, opened.round, winner, None, None, None)


def _candidates(draw: _Draw, world: _World, head: _Head) -> AnyEvent:
    opened = world.rounds[-1]
    world.listed.add(opened.round)
    accounts = draw(st.lists(_user(world), unique=True))
    return AdlCandidates(*head, opened.round, 1, 1, tuple(Candidate(account, None, None, None, None) for account in accounts))


def _opening(draw: _Draw, world: _World, head: _Head) -> AnyEvent:
    markets = draw(st.lists(st.integers(0, len(world.markets) - 1), unique=True))
    size, entry = st.none() | st.integers(-50, 50), st.none() | st.integers(1, 10**6)
    positions = tuple(OpenPosition(market, draw(size), draw(entry), draw(st.integers(0, 6))) for market in markets)
    return Opening(*head, draw(_user(world)), draw(st.none() | st.integers(-(10**25), 10**25)), positions)


def _transfer(draw: _Draw, world: _World, head: _Head) -> AnyEvent:
    payer = draw(_account(world))
    payee = draw(_account(world).filter(lambda account: account != payer))
    return Transfer(*head, payer, payee, draw(st.integers(1, 10**22)), draw(st.sampled_from(Reason)), None)


def _funding(draw: _Draw, world: _World, head: _Head) -> AnyEvent:
    payments = draw(st.lists(st.builds(Payment, _account(world), st.integers(-(10**6), 10**6), _START), max_size=4))
    return Funding(*head, draw(st.integers(0, len(world.markets) - 1)), None, draw(_account(world)), tuple(payments))


def _draw_fund(draw: _Draw, world: _World, head: _Head) -> AnyEvent:
    account = draw(st.integers(FIRST_FREE_ACCOUNT + 1, len(world.accounts) - 1))
    deficit, market = draw(st.none() | st.integers(0, 10**6)), draw(st.none() | st.integers(0, len(world.markets) - 1))
    number = draw(st.none() | st.integers(0, len(world.rounds) - 1)) if world.rounds else None
    return InsuranceDraw(*head, FIRST_FREE_ACCOUNT, account, draw(st.integers(1, 10**6)), deficit, market, number, None)


def _tick(draw: _Draw, world: _World, head: _Head) -> AnyEvent:
    market = draw(st.integers(0, len(world.markets) - 1))
    price = st.integers(1, 1_000)
    mark, oracle = draw(st.one_of(st.tuples(price, st.none() | price), st.tuples(st.none(), price)))
    return PriceTick(*head, market, mark, oracle)


def _policy(draw: _Draw, world: _World, head: _Head) -> AnyEvent:
    world.policies += 1
    markets = draw(st.none() | st.lists(st.integers(0, len(world.markets) - 1), unique=True).map(tuple))
    return PolicyAdopted(*head, world.policies - 1, "policy", markets, "", "", "", "", "", "", "", "", "", None, "")


def _source(draw: _Draw, world: _World, head: _Head) -> AnyEvent:
    world.sources += 1
    world.open_sources.append(world.sources)
    content = bytes([world.sources % 256]) * 32
    facts = (f"file{world.sources}", content, content, 1, "test", 1, None, None, "", draw(st.sampled_from(Completeness)))
    return SourceOpened(head[0], world.sources, 0, *facts)


def _relisting(draw: _Draw, world: _World, head: _Head) -> AnyEvent:
    old = world.markets[draw(st.integers(0, len(world.markets) - 1))]
    grid = (old.price_decimals, old.size_decimals, old.multiplier, old.multiplier_decimals)
    steps = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    limits = (draw(st.sampled_from(TIERS)), draw(st.none() | st.integers(1, 100)), draw(st.sampled_from(MarketStatus)))
    return MarketListed(*head, old.market, old.symbol, old.contract, *grid, *steps, old.basis, False, *limits)


def _reopening(draw: _Draw, world: _World, head: _Head) -> AnyEvent:
    old = world.accounts[draw(st.integers(FIRST_FREE_ACCOUNT + 1, len(world.accounts) - 1))]
    role = draw(st.sampled_from((Role.USER, Role.VAULT, Role.LIQUIDATOR)))
    mode, exempt = draw(st.sampled_from(MarginMode)), draw(st.none() | st.booleans())
    return AccountOpened(*head, old.account, old.name, old.owner, role, mode, False, exempt)


def _about(draw: _Draw, world: _World, head: _Head) -> AnyEvent:
    if world.open_sources and draw(st.booleans()):
        return SourceClosed(head[0], world.open_sources.pop(), 0, 3, 2, (Tally("set_aside.other", 1),))
    if draw(st.booleans()):
        return Corrected(*head, world.seq - 1, "why", "by", 0)
    return Quarantined(*head, "unknown", "", draw(st.integers(1, 2)), 2, b"raw")


_MOVES = (
    *(_fill,) * 6, *(_close,) * 4, _candidates, _liquidation, _settlement, _round, _opening, _transfer, _funding, _draw_fund,
    _tick, _policy, _source, _relisting, _reopening, _about,
)  # fmt: skip


@st.composite
def records(draw: _Draw, max_events: int = 25) -> list[AnyEvent]:
    """Give a whole record: a beginning, a fund and three to five users, one to three markets, and what happens to them."""
    events, world = beginning(), _World()
    world.accounts.extend(event for event in events if isinstance(event, AccountOpened))
    for number in range(FIRST_FREE_ACCOUNT, FIRST_FREE_ACCOUNT + 1 + draw(st.integers(3, 5))):
        role = Role.FUND if number == FIRST_FREE_ACCOUNT else Role.USER
        new = role is Role.FUND or draw(st.booleans())
        world.accounts.append(AccountOpened(0, 0, 0, number, f"a{number}", number, role, MarginMode.CROSS, new, None))
    world.markets.extend(_market(draw, number) for number in range(draw(st.integers(1, 3))))
    events += [*world.accounts[FIRST_FREE_ACCOUNT:], *world.markets]
    for _ in range(draw(st.integers(0, max_events))):
        world.seq = len(events) + 1
        move = draw(st.sampled_from(_MOVES))
        if move in (_close, _candidates) and not world.rounds:
            move = _round
        if move is _candidates and len(world.rounds) - 1 in world.listed:
            move = _close
        events.append(move(draw, world, (world.seq, draw(st.sampled_from([0, *world.open_sources])), 0)))
    return events
