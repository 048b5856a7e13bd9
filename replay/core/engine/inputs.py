"""What the engine is asked and told: the venue's rules beside its ADL policy, the moment, and the three things to decide.

Plain frozen values. Money is in units of the ledger, prices and sizes in those of the market, shares in parts per million.
"""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from events.errors import MisuseError
from events.model import AnyEvent, Role, Taker
from events.units import PPM
from replay.core.state import State

__all__ = ["Bid", "Decision", "Look", "Moment", "Order", "Request", "Rules", "Withdrawal", "check_rules"]

_VAULT_ROLES = (Role.FUND, Role.VAULT, Role.LIQUIDATOR)


class Rules(Struct, frozen=True, gc=False):
    """How a venue liquidates. Which layers bear a deficit, and in which order, is its policy's to say, not here.

    ``vault``: the venue's own account, of the role fund, vault or liquidator. It takes over positions, and is the other side of
    whatever the venue closes at mark. ``slippage_ppm``: how far from mark a liquidation trades on the book.

    ``partial_share_ppm``: of a position whose notional at mark is above ``partial_above_cash`` only this share goes to the book
    at one moment; at later moments within ``cooldown_ns`` of that, all that is left of the account's positions. So on
    Hyperliquid: 20% above 100,000 USDC, and "during this cooldown period [of 30 seconds], all market liquidation orders for
    that user will be for the entire position" (announcement of partial liquidations, and its docs, trading/liquidations).

    ``takeover_ppm``: with equity below this share of the maintenance margin the vault takes over all positions and, as the
    price is the bankruptcy price, the margin that is left with them; 0 for never. Hyperliquid: two thirds, 666,667.
    """

    vault: int
    slippage_ppm: int = 0
    partial_share_ppm: int = PPM
    partial_above_cash: int = 0
    cooldown_ns: int = 0
    takeover_ppm: int = 0


class Moment(Struct, frozen=True, gc=False):
    """The header of the next events, and the next free trade id."""

    at_ns: int
    source: int
    row: int
    trade: int


class Bid(Struct, frozen=True, gc=False):
    """What the book of a market takes from liquidations now: up to ``size`` contracts, of either side, by ``account``."""

    account: int
    size: int


class Look(Struct, frozen=True, gc=False):
    """What is to be done now about ``account``, which may be at risk? ``book`` has a bid by market where there is one."""

    account: int
    book: Mapping[int, Bid] = {}


class Order(Struct, frozen=True, gc=False):
    """A trade that two accounts want. The fields are those of Fill; a negative fee is a rebate."""

    market: int
    buyer: int
    seller: int
    price: int
    size: int
    buyer_fee: int = 0
    seller_fee: int = 0
    taker: Taker = Taker.UNKNOWN


class Withdrawal(Struct, frozen=True, gc=False):
    """An account wants to take ``cash`` out of the venue."""

    account: int
    cash: int


Request = Look | Order | Withdrawal


class Decision(NamedTuple):
    """The events that come next, in order; or none, and why an order or a withdrawal was refused."""

    events: tuple[AnyEvent, ...]
    refusal: str | None = None


def check_rules(state: State, rules: Rules) -> None:
    """Raise ``MisuseError`` where the rules cannot be carried out."""
    if not 0 <= rules.vault < len(state.accounts) or state.accounts[rules.vault].role not in _VAULT_ROLES:
        raise MisuseError(
            f"account {rules.vault} cannot take over positions: it is no fund, vault or liquidator.",
            cure="Open such an account, or name another as the vault.",
        )
    if not 0 <= rules.slippage_ppm < PPM or not 0 < rules.partial_share_ppm <= PPM:
        raise MisuseError("slippage must be below 100%, and a partial liquidation above 0% and at most 100%.")
