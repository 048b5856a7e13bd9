"""The shapes of Hyperliquid's records, as strict structs: a key or a type that is not listed here is not accepted.

Numbers stay text: an amount is put on its grid by ``numbers``, never by way of a float. Sources: the files themselves, and
for the kinds of ledger updates github:nktkas/hyperliquid, ``userNonFundingLedgerUpdates``. The API's ``meta`` alone is read
leniently: the venue adds display fields to it, and only the fields named here mean anything to a ledger.
"""

from typing import Annotated, Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from events.units import INT64_MAX

__all__ = [
    "UNREADABLE",
    "AccountClassTransfer",
    "AccountValue",
    "Address",
    "Asset",
    "Block",
    "Deposit",
    "FillRow",
    "Forced",
    "Funding",
    "FundingDelta",
    "InternalTransfer",
    "LedgerUpdate",
    "MarketPositions",
    "Meta_",
    "MiscEvent",
    "Peek",
    "PerpDexClassTransfer",
    "Send",
    "SnapshotPosition",
    "SubAccountTransfer",
    "Tier",
    "VaultCreate",
    "VaultDeposit",
    "VaultDistribution",
    "VaultLeaderCommission",
    "VaultWithdraw",
    "Withdraw",
]

Natural: TypeAlias = Annotated[int, Meta(ge=0, le=INT64_MAX)]
Coin: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
Address: TypeAlias = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{40}\Z")]
Hash: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]

# What decoding raises for bytes that are not of the shape asked for: hostile input comes in three unrelated types.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_Row = TypeVar("_Row")


class Wire(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", gc=False):
    """A record whose keys are in camel case."""


class Node(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A record whose keys are in snake case: what the node adds around the API's records."""


class Block(Node, Generic[_Row], frozen=True):
    """One line of a by-block file. ``block_time`` is ISO 8601 in UTC without a zone, with up to nine digits."""

    local_time: str
    block_time: str
    block_number: Natural
    events: list[_Row]


class Forced(Wire, frozen=True):
    """That a fill belongs to a liquidation. ``method`` is ``market`` or ``backstop``."""

    liquidated_user: Address
    mark_px: str
    method: str


class FillRow(Wire, frozen=True):
    """One side of a trade. ``start_position`` is signed, before the trade; ``fee`` includes the builder's and deployer's.

    Where a row has a key twice, the last one counts, as in all records here.
    """

    coin: Coin
    px: str
    sz: str
    side: Literal["A", "B"]
    time: Natural
    start_position: str
    dir: str
    closed_pnl: str
    hash: Hash
    oid: Natural
    crossed: bool
    fee: str
    tid: Natural
    fee_token: str
    twap_id: Natural | None = None
    cloid: str | None = None
    builder_fee: str | None = None
    builder: str | None = None
    deployer_fee: str | None = None
    liquidation: Forced | None = None


class Peek(Struct, frozen=True, gc=False):
    """What may still be read of a fill that is not accepted: enough to keep the other side of its trade with it."""

    tid: Natural | None = None


class MiscEvent(Node, frozen=True):
    """One event of a misc block. ``inner`` is an object of one key, the kind of event."""

    time: str
    hash: Hash
    inner: dict[str, Raw]


class Funding(Node, frozen=True):
    """The body of a Funding event."""

    deltas: list[Raw]


class FundingDelta(Node, frozen=True):
    """One account's funding on its position ``szi`` in one market. ``funding_amount`` above zero was received."""

    user: Address
    coin: Coin
    funding_amount: str
    szi: str
    funding_rate: str


class Deposit(Wire, frozen=True, tag_field="type", tag="deposit"):
    """From the bridge."""

    usdc: str


class Withdraw(Wire, frozen=True, tag_field="type", tag="withdraw"):
    """To the bridge. ``usdc`` is what arrives; the account pays ``usdc`` + ``fee``."""

    usdc: str
    fee: str
    nonce: Natural | None = None


class AccountClassTransfer(Wire, frozen=True, tag_field="type", tag="accountClassTransfer"):
    """Between one's own spot and perp accounts."""

    usdc: str
    to_perp: bool


class PerpDexClassTransfer(Wire, frozen=True, tag_field="type", tag="perpDexClassTransfer"):
    """Between one's own spot account and the perp account of a HIP-3 dex."""

    amount: str
    token: str
    dex: str
    to_perp: bool


class InternalTransfer(Wire, frozen=True, tag_field="type", tag="internalTransfer"):
    """Between two perp accounts. The sender pays ``usdc`` + ``fee``."""

    usdc: str
    user: Address
    destination: Address
    fee: str


class SubAccountTransfer(Wire, frozen=True, tag_field="type", tag="subAccountTransfer"):
    """Between an account and its sub-account, either way."""

    usdc: str
    user: Address
    destination: Address


class Send(Wire, frozen=True, tag_field="type", tag="send"):
    """Between any two accounts. A dex is ``spot``, empty for the venue's own perps, or the name of a HIP-3 dex."""

    user: Address
    destination: Address
    source_dex: str
    destination_dex: str
    token: str
    amount: str
    usdc_value: str = "0"
    fee: str = "0"
    native_token_fee: str = "0"  # noqa: S105 - an amount, not a secret
    nonce: Natural | None = None
    fee_token: str = ""


class VaultCreate(Wire, frozen=True, tag_field="type", tag="vaultCreate"):
    """The leader's first deposit, and the fee for creating the vault."""

    vault: Address
    usdc: str
    fee: str = "0"


class VaultDeposit(Wire, frozen=True, tag_field="type", tag="vaultDeposit"):
    """From a depositor to a vault."""

    vault: Address
    usdc: str


class VaultWithdraw(Wire, frozen=True, tag_field="type", tag="vaultWithdraw"):
    """From a vault to a depositor: ``net_withdrawn_usd``. The leader's ``commission`` leaves the vault too."""

    vault: Address
    user: Address
    requested_usd: str
    commission: str
    closing_cost: str
    basis: str
    net_withdrawn_usd: str


class VaultDistribution(Wire, frozen=True, tag_field="type", tag="vaultDistribution"):
    """From a closing vault to a depositor."""

    vault: Address
    usdc: str


class VaultLeaderCommission(Wire, frozen=True, tag_field="type", tag="vaultLeaderCommission"):
    """To a vault's leader, out of a withdrawal. The vault is not named."""

    user: Address
    usdc: str


class LiquidationNotice(Wire, frozen=True, tag_field="type", tag="liquidation"):
    """A notice: the fills of a liquidation are what moves money."""

    liquidated_ntl_pos: str
    account_value: str
    leverage_type: str
    liquidated_positions: list[Raw]


class SpotTransfer(Wire, frozen=True, tag_field="type", tag="spotTransfer"):
    """Between spot accounts."""

    token: str
    amount: str
    user: Address
    destination: Address
    usdc_value: str = "0"
    fee: str = "0"
    native_token_fee: str = "0"  # noqa: S105 - an amount, not a secret
    nonce: Natural | None = None
    fee_token: str = ""


class SpotGenesis(Wire, frozen=True, tag_field="type", tag="spotGenesis"):
    """First distribution of a spot token."""

    token: str
    amount: str


class RewardsClaim(Wire, frozen=True, tag_field="type", tag="rewardsClaim"):
    """Claimed rewards: "reflected in your spot balance" (the venue's page on referrals)."""

    amount: str
    token: str = "USDC"  # noqa: S105 - a coin, not a secret


class AccountActivationGas(Wire, frozen=True, tag_field="type", tag="accountActivationGas"):
    """Paid from the spot account."""

    amount: str
    token: str


class DeployGasAuction(Wire, frozen=True, tag_field="type", tag="deployGasAuction"):
    """Paid from the spot account."""

    token: str
    amount: str


class GossipPriorityGasAuction(Wire, frozen=True, tag_field="type", tag="gossipPriorityGasAuction"):
    """Paid from the spot account."""

    token: str
    amount: str


class BorrowLend(Wire, frozen=True, tag_field="type", tag="borrowLend"):
    """Lending of spot tokens."""

    token: str
    operation: str
    amount: str
    interest_amount: str = "0"


class CStakingTransfer(Wire, frozen=True, tag_field="type", tag="cStakingTransfer"):
    """Between the spot and staking accounts."""

    token: str
    amount: str
    is_deposit: bool


class LedgerUpdate(Node, frozen=True):
    """The body of a LedgerUpdate event: the accounts it touches, and one unsigned delta."""

    users: list[Address]
    delta: (
        Deposit
        | Withdraw
        | AccountClassTransfer
        | PerpDexClassTransfer
        | InternalTransfer
        | SubAccountTransfer
        | Send
        | VaultCreate
        | VaultDeposit
        | VaultWithdraw
        | VaultDistribution
        | VaultLeaderCommission
        | LiquidationNotice
        | SpotTransfer
        | SpotGenesis
        | RewardsClaim
        | AccountActivationGas
        | DeployGasAuction
        | GossipPriorityGasAuction
        | BorrowLend
        | CStakingTransfer
    )


class AccountValue(Node, frozen=True):
    """One account of a clearing-house snapshot. Numbers are JSON floats, kept as their text."""

    user: Address
    account_value: Raw
    total_long_notional: Raw
    total_short_notional: Raw


class MarketPositions(Node, frozen=True):
    """One market of a clearing-house snapshot. ``market_name`` is ``hyperliquid:BTC``."""

    market_name: Coin
    snapshot_id: Raw
    position_count: Natural
    positions: list[Raw]


class SnapshotPosition(Node, frozen=True):
    """One position of a clearing-house snapshot. Numbers are JSON floats, kept as their text."""

    user: Address
    size: Raw
    entry_price: Raw
    notional_size: Raw = Raw()
    funding_pnl: Raw = Raw()
    is_cross: bool | None = None
    leverage: Raw = Raw()
    liquidation_price: Raw = Raw()
    account_value: Raw = Raw()


class Tier(Struct, frozen=True, rename="camel", gc=False):
    """One tier of a margin table, from ``lower_bound`` USDC of notional on."""

    lower_bound: str
    max_leverage: Annotated[int, Meta(ge=1, le=1_000)]


# The venue has a few. So many always fit into one event.
TIERS_MAX = 100


class MarginTable(Struct, frozen=True, rename="camel", gc=False):
    """The tiers that several markets share."""

    margin_tiers: Annotated[list[Tier], Meta(max_length=TIERS_MAX)]


class Asset(Struct, frozen=True, rename="camel", gc=False):
    """One market of the API's ``meta``."""

    name: Coin
    sz_decimals: Annotated[int, Meta(ge=0, le=6)]
    max_leverage: Annotated[int, Meta(ge=1, le=1_000)]
    margin_table_id: int | None = None
    is_delisted: bool | None = None


class Meta_(Struct, frozen=True, rename="camel", gc=False):  # noqa: N801 - the venue's name, and msgspec has a Meta
    """The API's answer to ``meta``. ``collateral_token`` 0 is USDC."""

    universe: list[Raw]
    margin_tables: list[tuple[int, MarginTable]] = []
    collateral_token: int = 0
