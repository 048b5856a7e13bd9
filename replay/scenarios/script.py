"""What a scenario says, as plain frozen values: the venue, its people, its evening and what is done to it.

Money (``*_cash``) is in money units, prices and sizes in those of the market, shares in parts per million; times (``at_s``,
``seconds``) in seconds, from the beginning where nothing else is said. Levels of a price path are changes of the first price.
"""

from enum import StrEnum

from msgspec import Struct

from events.model import MarginTier, Role
from replay.core.spelling import Texts

__all__ = [
    "ALL_MARKETS",
    "Action",
    "Fund",
    "Makers",
    "Market",
    "Mood",
    "Phase",
    "Scenario",
    "Spike",
    "TopUp",
    "Users",
    "Vault",
    "Venue",
    "Whale",
    "Withdrawals",
]

ALL_MARKETS = "all"
"""The path that every market without one of its own follows, by its beta."""


class Mood(StrEnum):
    """What traders do in a phase.

    ``calm``: they move towards the positions they want, then trade around them. ``panic``: three in ten of those against whom
    prices have moved in this phase sell out in part, and one in twelve of the others takes profit. ``wary``: as calm, but
    whoever has little room brings the risk down.
    """

    CALM = "calm"
    PANIC = "panic"
    WARY = "wary"


class Market(Struct, frozen=True):
    """A linear market. ``mark`` is its first; ``weight`` how often traders choose it.

    ``depth_cash`` is the notional that its book takes from liquidations per second.
    """

    symbol: str
    price_decimals: int
    size_decimals: int
    mark: int
    beta_ppm: int
    tiers: tuple[MarginTier, ...]
    depth_cash: int
    weight: int
    position_limit: int | None


class Users(Struct, frozen=True):
    """The traders: ``count`` accounts, isolated ones included.

    An owner's wealth is drawn evenly from ``wealth_cash`` and doubled up to ``doublings`` times, (short, long). Its cross
    account wants 1 to ``markets_max`` positions, together with a leverage from ``leverage``. ``isolated_ppm`` of the owners
    have an isolated account too, with a quarter of the wealth and a leverage from ``isolated_leverage``.
    """

    count: int
    wealth_cash: tuple[int, int]
    doublings: tuple[int, int]
    long_ppm: int
    markets_max: int
    leverage: tuple[int, int]
    isolated_ppm: int
    isolated_leverage: tuple[int, int]


class Makers(Struct, frozen=True):
    """The market makers, two for each market in turn."""

    count: int
    cash: int


class Fund(Struct, frozen=True):
    """A pool of the insurance fund and what it begins with."""

    name: str
    cash: int


class Vault(Struct, frozen=True):
    """The venue's own account that takes over positions."""

    name: str
    role: Role
    cash: int


class Venue(Struct, frozen=True):
    """How the venue trades and liquidates; see ``replay.core.engine.Rules``. ``funding_seconds`` is 0 where none is paid."""

    taker_fee_ppm: int
    maker_fee_ppm: int
    slippage_ppm: int
    partial_share_ppm: int
    partial_above_cash: int
    cooldown_seconds: int
    takeover_ppm: int
    funding_rate_ppt: int
    funding_seconds: int


class Phase(Struct, frozen=True):
    """A part of the evening. ``paths`` are (market, ((second of the phase, level in ppm), ...)).

    Every ``step_seconds`` there is a tick of each market and ``trades`` traders come; every ``look_seconds`` the liquidator
    looks. ``gap_seconds`` above 1: the path moves in gaps so far apart. Every minute ``visitors`` deposit and as many of those
    without positions leave, and the vault sells ``vault_sells_ppm`` of what it holds.
    """

    name: str
    seconds: int
    step_seconds: int
    gap_seconds: int
    look_seconds: int
    noise_ppm: int
    mood: Mood
    trades: int
    depth: int
    visitors: int
    vault_sells_ppm: int
    paths: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]


class TopUp(Struct, frozen=True):
    """The venue pays into a fund, named by its place in the list."""

    at_s: int
    fund: int
    cash: int


class Withdrawals(Struct, frozen=True):
    """A wave of withdrawals: in ``seconds``, ``users_ppm`` of the traders close their positions and ask for ``share_ppm``.

    Of their money, that is, free of margin. Who is refused asks again, after all others.
    """

    at_s: int
    seconds: int
    users_ppm: int
    share_ppm: int


class Whale(Struct, frozen=True):
    """One account with a deposit of ``margin_cash`` opens a position of ``notional_cash`` against the makers."""

    at_s: int
    name: str
    market: int
    long: bool
    notional_cash: int
    margin_cash: int


class Spike(Struct, frozen=True):
    """For ``seconds`` a market's oracle price is off by ``change_ppm``, and mark follows it.

    ``band_ppm``: mark stays so near to the price at which people trade; None where it follows all the way.
    """

    at_s: int
    seconds: int
    market: int
    change_ppm: int
    band_ppm: int | None


Action = TopUp | Withdrawals | Whale | Spike


class Scenario(Struct, frozen=True):
    """A scenario. ``source`` names what it was read from, ``content`` is that, byte for byte; actions are sorted by time."""

    source: str
    content: bytes
    title: str
    seed: int
    begins_ns: int
    currency: str
    money_decimals: int
    markets: tuple[Market, ...]
    users: Users
    makers: Makers
    funds: tuple[Fund, ...]
    vault: Vault
    venue: Venue
    policy: Texts
    phases: tuple[Phase, ...]
    actions: tuple[Action, ...]
