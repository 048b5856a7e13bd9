"""What no event may break: every rule of the reducer by name, and the checks that only the state can make.

Nothing here changes a state. Each check raises ``ReducerError`` with the rule's name and the event's seq; ``evolve`` asks them
all before it changes anything. What is asked by one handler alone stands in that handler.
"""

from events.errors import ReducerError
from events.model import (
    FIRST_FREE_ACCOUNT,
    RESERVED_ACCOUNTS,
    SEMANTICS,
    UNOBSERVED,
    AccountOpened,
    AdlRound,
    AnyEvent,
    LedgerOpened,
    Role,
)
from replay.core.state import State

__all__ = [
    "BEGINNING",
    "RULES",
    "check_account",
    "check_account_opened",
    "check_adl_round",
    "check_beginning",
    "check_market",
    "check_payer",
    "check_round",
    "check_semantics",
    "check_side",
]

# Every rule that an event can break, as ``ReducerError.rule`` names it.
RULES = {
    "sequence": "An event is applied right after the one before it.",
    "beginning": "A ledger begins with LedgerOpened, once, and then opens its reserved accounts in order.",
    "semantics": "A reducer applies only what was recorded for its own semantics version.",
    "source": "A source has the next free id, is opened before its rows and closed once, after them.",
    "account": "An account is opened before it is used; ids are dense; its name and owner never change.",
    "role": "Reserved accounts keep their roles, nobody else is external or unobserved; funds, vaults, liquidators pay draws.",
    "market": "A market is listed before it is used; ids are dense.",
    "listing": "A listing's symbol, contract, decimals, multiplier and basis never change; its tiers and grid make sense.",
    "policy": "Policies have dense ids and are adopted before they are used.",
    "round": "Rounds have dense ids; a close belongs to the loser and market of its round; it lists candidates once, in order.",
    "parties": "A movement has two different parties; a trade names which side it is about; reserved accounts do not trade.",
    "amount": "A transfer or draw moves more than nothing; a round has something to close.",
    "opening": "An opening states each market once, never for a reserved account.",
    "price": "A tick states a price; an inverse contract has no value at a price that is not positive.",
    "reference": "A correction or commitment refers to what came before it; a part is one of its parts.",
}

# LedgerOpened and the reserved accounts take these first seqs.
BEGINNING = 1 + FIRST_FREE_ACCOUNT
_RESERVED_ROLES = {account: role for account, _, role in RESERVED_ACCOUNTS}
_LONE_ROLES = (Role.EXTERNAL, Role.UNOBSERVED)
_PAYING_ROLES = (Role.FUND, Role.VAULT, Role.LIQUIDATOR)


def check_beginning(event: AnyEvent, seq: int) -> None:
    """Refuse what a ledger cannot begin with at this seq, one of the first ``BEGINNING``."""
    if type(event) is not LedgerOpened if seq == 1 else type(event) is not AccountOpened or event.account != seq - 2:
        raise ReducerError(f"a ledger cannot begin with {type(event).__name__} here.", rule="beginning", seq=seq)


def check_account(state: State, account: int, seq: int) -> None:
    """Refuse an account that is not open."""
    if account >= len(state.accounts):
        raise ReducerError(f"account {account} is not open.", rule="account", seq=seq)


def check_market(state: State, market: int, seq: int) -> None:
    """Refuse a market that is not listed."""
    if market >= len(state.markets):
        raise ReducerError(f"market {market} is not listed.", rule="market", seq=seq)


def check_semantics(semantics: int, seq: int) -> None:
    """Refuse what was recorded for another semantics version."""
    if semantics != SEMANTICS:
        raise ReducerError(f"this is of semantics {semantics}, the reducer of {SEMANTICS}.", rule="semantics", seq=seq)


def check_side(account: int, seq: int) -> None:
    """Refuse a reserved account as the side of a trade; ``unobserved`` may be one."""
    if account < FIRST_FREE_ACCOUNT and account != UNOBSERVED:
        name = _RESERVED_ROLES[account].name.lower()
        raise ReducerError(f"the reserved account {name} cannot trade.", rule="parties", seq=seq)


def check_round(state: State, number: int, seq: int) -> None:
    """Refuse a round that has not begun."""
    if number >= len(state.rounds):
        raise ReducerError(f"round {number} has not begun.", rule="round", seq=seq)


def check_payer(state: State, account: int, seq: int) -> None:
    """Refuse a payer of an insurance draw that is not open, or is no fund, vault or liquidator."""
    check_account(state, account, seq)
    if state.accounts[account].role not in _PAYING_ROLES:
        raise ReducerError(f"account {account} is no fund, vault or liquidator.", rule="role", seq=seq)


def check_account_opened(state: State, event: AccountOpened, seq: int) -> None:
    """Refuse an account whose id or owner skips one, whose role is not its to have, or that is another than it was."""
    account, known = event.account, len(state.accounts)
    if account > known or event.owner > known or (event.owner == known and account != known):
        raise ReducerError(
            f"account {account} or its owner {event.owner} skips an id; {known} is next.", rule="account", seq=seq
        )
    reserved = _RESERVED_ROLES.get(account)
    if event.role != reserved if reserved is not None else event.role in _LONE_ROLES:
        raise ReducerError(f"account {account} cannot have the role {event.role.name}.", rule="role", seq=seq)
    if account == known:
        if reserved is not None and not event.new:
            raise ReducerError("a reserved account comes into being with the ledger.", rule="account", seq=seq)
        return
    before = state.accounts[account]
    if event.name != before.name or event.new:
        raise ReducerError(f"account {account} is open already, under this or another name.", rule="account", seq=seq)
    if event.owner != before.owner:
        raise ReducerError(f"account {account} cannot pass to another owner.", rule="account", seq=seq)


def check_adl_round(state: State, event: AdlRound, seq: int) -> None:
    """Refuse a round that is not the next, has nothing to close, or names what is not on record before it."""
    if event.round != len(state.rounds):
        raise ReducerError(f"round {event.round} is not the next, {len(state.rounds)}.", rule="round", seq=seq)
    check_account(state, event.loser, seq)
    check_market(state, event.market, seq)
    if event.loser < FIRST_FREE_ACCOUNT:
        raise ReducerError("a round closes no position of a reserved account.", rule="parties", seq=seq)
    if event.size == 0:
        raise ReducerError("a round has something to close.", rule="amount", seq=seq)
    if event.policy is not None and event.policy >= len(state.policies):
        raise ReducerError(f"policy {event.policy} is not adopted.", rule="policy", seq=seq)
    for pool in event.pools:
        check_account(state, pool.account, seq)
    for before in (event.as_of, event.cause):
        if before is not None and before >= seq:
            raise ReducerError(f"seq {before} is not before the round it is the ground of.", rule="reference", seq=seq)
