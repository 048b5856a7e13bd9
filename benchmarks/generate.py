"""A deterministic stream of valid events of any length, with the mix of a busy venue, for benchmarks only.

The mix is that of performance notes on venue data: 70 % fills, 27 % ticks, 2 % transfers, 1 % liquidations. Activity is
heavy-tailed over accounts, as it is on venues.
"""

from collections.abc import Iterator

from events.beginning import beginning
from events.model import (
    FIRST_FREE_ACCOUNT,
    SEMANTICS,
    AccountOpened,
    Basis,
    Contract,
    Event,
    Fill,
    LedgerOpened,
    Liquidation,
    MarginMode,
    MarginTier,
    MarketListed,
    MarketStatus,
    Method,
    PriceTick,
    Reason,
    Role,
    Taker,
    Transfer,
)

__all__ = ["opening_events", "stream"]

MASK = 2**64 - 1
START_NS = 1_893_456_000_000_000_000  # 2030-01-01
STEP_NS = 5_000_000
TENTH = 10

# Percent of events that are not fills, cumulated: the rest are.
TICKS = 27
TRANSFERS = 29
LIQUIDATIONS = 30


def _splitmix(state: int) -> Iterator[int]:
    """Yield 64-bit numbers of SplitMix64 (Steele, Lea, Flood 2014)."""
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        yield mixed ^ (mixed >> 31)


def opening_events(accounts: int, markets: int) -> list[Event]:
    """Return the events that open the ledger, ``accounts`` user accounts and ``markets`` linear markets."""
    head: list[Event] = list(beginning(LedgerOpened(START_NS, 0, 0, "bench", "USD", 8, SEMANTICS)))
    head += [
        AccountOpened(START_NS, 0, 0, i, f"0x{i:040x}", i, Role.USER, MarginMode.CROSS, True, None)
        for i in range(FIRST_FREE_ACCOUNT, FIRST_FREE_ACCOUNT + accounts)
    ]
    tiers = (MarginTier(0, 10**11, 5 * 10**10),)
    head += [
        MarketListed(
            START_NS,
            0,
            0,
            i,
            f"M{i}",
            Contract.LINEAR,
            4,
            4,
            1,
            0,
            1,
            1,
            Basis.AVERAGE,
            False,
            tiers,
            None,
            MarketStatus.TRADING,
        )
        for i in range(markets)
    ]
    return head


def stream(events: int, accounts: int, markets: int, seed: int = 7) -> Iterator[Event]:
    """Yield ``events`` events after ``opening_events``."""
    numbers = _splitmix(seed)
    price = [1_000_000 + 10_000 * market for market in range(markets)]

    def account(market: int) -> int:
        # The product of three uniform numbers crowds the low ids as venues do: 5 % of accounts make 43 % of the sides of trades
        # and 10 % make 60 %; of 4,564 sides in 81 s of Hyperliquid's mainnet (27 Oct 2025) they made 46 % and 59 %. And an
        # account trades in one tenth of the markets, so that accounts hold a few positions each.
        crowded = next(numbers) % accounts
        for _ in range(2):
            crowded = crowded * (next(numbers) % accounts) // accounts
        return FIRST_FREE_ACCOUNT + crowded - crowded % TENTH + market % TENTH

    for index in range(events):
        at_ns = START_NS + index * STEP_NS
        draw = next(numbers) % 100
        market = next(numbers) % markets
        size = 1 + next(numbers) % 1_000_000
        buyer, seller = account(market), account(market)
        if draw < TICKS:
            price[market] = max(100_000, price[market] + next(numbers) % 2_001 - 1_000)
            yield PriceTick(at_ns, 0, 0, market, price[market], price[market] + next(numbers) % 201 - 100)
        elif draw < TRANSFERS:
            yield Transfer(at_ns, 0, 0, 0, buyer, size * 1_000_000, Reason.DEPOSIT, None)
        elif draw < LIQUIDATIONS:
            yield Liquidation(
                at_ns, 0, 0, market, buyer, seller, price[market], size, 0, 0, index, Taker.UNKNOWN,
                None, None, None, None, None, None, seller, Method.MARKET, price[market], None, None,
            )  # fmt: skip
        else:
            fee = size * price[market] // 5_000
            yield Fill(
                at_ns, 0, 0, market, buyer, seller, price[market], size, fee, -(fee // 3), index, Taker.BUYER,
                None, None, None, None, None, None,
            )  # fmt: skip
