"""What each kind of ledger update moves, as data.

A ledger update carries an unsigned amount; the sign depends on the party. So a movement is written down here as payer and
payee, once per kind. Sources: the venue's page on the info endpoint, github:nktkas/hyperliquid
``userNonFundingLedgerUpdates``, and, for the fee of a withdrawal, recorded answers (``usdc`` 4.0 and ``fee`` 1.0 for a
withdrawal of 5).

The perp ledger ends at the spot accounts, at staking and at the bridge: what comes from or goes there comes from or goes to
``external``. All perp dexes of an address are one account here, as the fills name no dex but by the coin.
"""

from enum import Enum
from typing import NamedTuple

from msgspec import Struct

from events.model import Reason
from events.sources.hyperliquid import shapes

__all__ = ["MOVEMENTS", "SET_ASIDE_KINDS", "Leg", "Party"]


class Party(Enum):
    """Who pays or is paid."""

    USER = "the account the update is about"
    DESTINATION = "the account it names as destination"
    VAULT = "the vault it names"
    EXTERNAL = "outside the perp ledger"
    FEES = "the venue"
    UNOBSERVED = "an account it does not name"


class Leg(NamedTuple):
    """One movement: ``amount`` names the field that holds it."""

    payer: Party
    payee: Party
    amount: str
    reason: Reason


_FEE = Leg(Party.USER, Party.FEES, "fee", Reason.FEE)

# ``Send`` and the class transfers are written for one direction; ``misc`` turns them by the dexes and ``to_perp``.
MOVEMENTS: dict[type[Struct], tuple[Leg, ...]] = {
    shapes.Deposit: (Leg(Party.EXTERNAL, Party.USER, "usdc", Reason.DEPOSIT),),
    shapes.Withdraw: (Leg(Party.USER, Party.EXTERNAL, "usdc", Reason.WITHDRAWAL), _FEE),
    shapes.AccountClassTransfer: (Leg(Party.EXTERNAL, Party.USER, "usdc", Reason.CLASS),),
    shapes.PerpDexClassTransfer: (Leg(Party.EXTERNAL, Party.USER, "amount", Reason.CLASS),),
    shapes.InternalTransfer: (Leg(Party.USER, Party.DESTINATION, "usdc", Reason.INTERNAL), _FEE),
    shapes.SubAccountTransfer: (Leg(Party.USER, Party.DESTINATION, "usdc", Reason.INTERNAL),),
    shapes.Send: (Leg(Party.USER, Party.DESTINATION, "amount", Reason.INTERNAL), _FEE),
    shapes.VaultCreate: (Leg(Party.USER, Party.VAULT, "usdc", Reason.VAULT), _FEE),
    shapes.VaultDeposit: (Leg(Party.USER, Party.VAULT, "usdc", Reason.VAULT),),
    shapes.VaultDistribution: (Leg(Party.VAULT, Party.USER, "usdc", Reason.VAULT),),
    # The leader's part leaves the vault here and reaches the leader by an update of its own, which names no vault.
    shapes.VaultWithdraw: (
        Leg(Party.VAULT, Party.USER, "net_withdrawn_usd", Reason.VAULT),
        Leg(Party.VAULT, Party.UNOBSERVED, "commission", Reason.VAULT),
    ),
    shapes.VaultLeaderCommission: (Leg(Party.UNOBSERVED, Party.USER, "usdc", Reason.VAULT),),
}

# Known kinds that move no cash of the perp ledger, by the tally they are counted in.
SET_ASIDE_KINDS: dict[type[Struct], str] = {
    shapes.LiquidationNotice: "notice",
    shapes.SpotTransfer: "spot",
    shapes.SpotGenesis: "spot",
    shapes.RewardsClaim: "spot",
    shapes.AccountActivationGas: "spot",
    shapes.DeployGasAuction: "spot",
    shapes.GossipPriorityGasAuction: "spot",
    shapes.BorrowLend: "spot",
    shapes.CStakingTransfer: "staking",
}
