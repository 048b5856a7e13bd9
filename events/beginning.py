"""How every ledger begins: LedgerOpened, then its reserved accounts."""

from events.model import RESERVED_ACCOUNTS, AccountOpened, AnyEvent, LedgerOpened, MarginMode

__all__ = ["BEGINNING_EVENTS", "beginning"]

BEGINNING_EVENTS = 1 + len(RESERVED_ACCOUNTS)


def beginning(opened: LedgerOpened) -> list[AnyEvent]:
    """Return ``opened`` and the events that open the reserved accounts: seq 1 to ``BEGINNING_EVENTS`` of every ledger."""
    return [
        opened,
        *(
            AccountOpened(opened.at_ns, 0, 0, account, name, account, role, MarginMode.UNKNOWN, new=True, adl_exempt=None)
            for account, name, role in RESERVED_ACCOUNTS
        ),
    ]
