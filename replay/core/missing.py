"""What a decision can lack: the inputs that a record may not hold, each by the name under which it is reported.

An input that the record does not hold is named, never assumed. One that a policy does not look at is not missing.
"""

from collections.abc import Iterable

from events.model import AdlRound
from replay.core import margin
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, State

__all__ = [
    "MISSING_BANKRUPTCY",
    "MISSING_CANDIDATES",
    "MISSING_CASH",
    "MISSING_ENTRY",
    "MISSING_FUND",
    "MISSING_INPUTS",
    "MISSING_LOSER",
    "MISSING_MARK",
    "MISSING_NEED",
    "MISSING_ORACLE",
    "MISSING_POLICY",
    "MISSING_PREVIOUS_MARK",
    "MISSING_ROUNDS",
    "MISSING_SEED",
    "MISSING_STATED_PRICE",
    "MISSING_STATUS",
    "MISSING_TIERS",
    "account_gaps",
    "equity_gaps",
    "in_order",
    "loser_size",
    "margin_gaps",
]

# In the order in which a person would look for it.
MISSING_POLICY = "policy"
MISSING_LOSER = "loser's position"
MISSING_NEED = "need of the round"
MISSING_CANDIDATES = "candidate list: record incomplete"
MISSING_SEED = "seed of the round"
MISSING_CASH = "cash of account"
MISSING_FUND = "fund balance"
MISSING_ENTRY = "entry price"
MISSING_MARK = "mark price"
MISSING_PREVIOUS_MARK = "previous mark price"
MISSING_ORACLE = "oracle price"
MISSING_STATED_PRICE = "price of the round"
MISSING_TIERS = "margin tiers"
# No gap in the record: several positions share a margin of zero, or no positive price of an inverse contract is low enough.
MISSING_BANKRUPTCY = "bankruptcy price: there is none"
MISSING_STATUS = "market status"
MISSING_ROUNDS = "policy of the round before"
MISSING_INPUTS = (
    MISSING_POLICY,
    MISSING_LOSER,
    MISSING_NEED,
    MISSING_CANDIDATES,
    MISSING_SEED,
    MISSING_CASH,
    MISSING_FUND,
    MISSING_ENTRY,
    MISSING_MARK,
    MISSING_PREVIOUS_MARK,
    MISSING_ORACLE,
    MISSING_STATED_PRICE,
    MISSING_TIERS,
    MISSING_BANKRUPTCY,
    MISSING_STATUS,
    MISSING_ROUNDS,
)


def in_order(missing: Iterable[str]) -> tuple[str, ...]:
    """Return the names of missing inputs, each once, in the order of ``MISSING_INPUTS``."""
    names = list(missing)
    return tuple(name for name in MISSING_INPUTS if name in names)


def equity_gaps(state: State, account: int) -> list[str]:
    """Name why an account's equity is undecidable; nothing where it is known."""
    if margin.equity(state, account) is not None:
        return []
    if not state.cash_known[account]:
        return [MISSING_CASH]
    held = state.holdings[account].values()
    return [MISSING_CANDIDATES if any(position.unknown & SIZE_UNKNOWN for position in held) else MISSING_MARK]


def account_gaps(state: State, account: int) -> list[str]:
    """Name why a sum over an account's positions is undecidable: a position never seen, a size, an entry or a mark."""
    held = state.holdings[account].values()
    gaps = [] if state.cash_known[account] else [MISSING_CASH]
    if any(position.unknown & SIZE_UNKNOWN for position in held):
        gaps.append(MISSING_CANDIDATES)
    if any(position.unknown & ENTRY_UNKNOWN for position in held):
        gaps.append(MISSING_ENTRY)
    return gaps or [MISSING_MARK]


def margin_gaps(state: State, account: int) -> list[str]:
    """Name why an account's margin requirement is undecidable; nothing where it is known."""
    if margin.maintenance(state, account) is not None:
        return []
    held = state.holdings[account]
    gaps = [] if state.cash_known[account] or len(held) == len(state.markets) else [MISSING_CASH]
    if any(position.unknown & SIZE_UNKNOWN for position in held.values()):
        gaps.append(MISSING_CANDIDATES)
    if any(position.size and not state.marks[market] for market, position in held.items()):
        gaps.append(MISSING_MARK)
    return gaps or [MISSING_TIERS]


def loser_size(state: State, round: AdlRound) -> int | None:  # noqa: A002  the field's own word
    """Return the loser's signed position in the round's market, None where the record does not show it."""
    position = state.positions[round.market].get(round.loser)
    if position is None:
        return 0 if state.cash_known[round.loser] else None
    return None if position.unknown & SIZE_UNKNOWN else position.size
