"""What a closed loop must know of a record before it begins: where its first forced event is, and how its venue liquidates."""

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from events.beginning import BEGINNING_EVENTS
from events.errors import MisuseError
from events.model import AnyEvent, Liquidation, Role
from events.units import PPM
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.state import State
from replay.whatif.forced import Key, dealt_with, key_of

__all__ = ["Survey", "survey"]


class Survey(Struct, frozen=True):
    """``since`` is where the change is made: as asked for, else the first forced event. ``forced`` are the keys from there on.

    ``vault`` is who takes over positions. ``takeover_ppm`` is the largest share of its maintenance margin that an account still
    had when it was taken over, rounded up: the record shows no more of where the venue's own bound is. ``trade`` is above every
    trade id of the record that is a number. ``head`` is the last seq.
    """

    since: int
    forced: Counter[Key]
    vault: int
    takeover_ppm: int
    trade: int
    head: int


def survey(events: Iterable[tuple[int, AnyEvent]], since: int | None) -> Survey:
    """Read a log through. Raises ``MisuseError`` where no forced event is at or after ``since``, or nobody can take over."""
    state = State()
    keys: Counter[Key] = Counter()
    vaults: Counter[int] = Counter()
    first: int | None = None
    takeover = trade = seq = 0
    for seq, event in events:
        number = getattr(event, "trade", None)
        trade = max(trade, number) if isinstance(number, int) else trade
        account = dealt_with(state, event)
        if account is not None and isinstance(event, Liquidation):
            vaults[event.seller if account == event.buyer else event.buyer] += 1
            takeover = max(takeover, _left_ppm(state, account))
        if account is not None and seq >= (since or 1):
            first = seq if first is None else first
            keys[key_of(event) or ()] += 1
        evolve(state, event, seq)
    if first is None:
        where = "in this record" if since is None else f"from seq {since} on"
        raise MisuseError(
            f"nothing was forced on anybody {where}, so there is nothing to decide anew.",
            cure="" if since is None else "Choose an earlier --from.",
        )
    # The ledger's own beginning is none of the change's business.
    start = first if since is None else max(since, BEGINNING_EVENTS + 1)
    return Survey(start, keys, _vault(state, vaults), takeover, trade + 1, seq)


def _left_ppm(state: State, account: int) -> int:
    """Return the equity of an account in parts per million of its maintenance margin, plus one; 0 where it is not above 0."""
    equity, maintenance = margin.equity(state, account), margin.maintenance(state, account)
    if equity is None or not maintenance or equity <= 0:
        return 0
    return min(equity * PPM // maintenance + 1, PPM)


def _vault(state: State, seen: Counter[int]) -> int:
    """Return who took over most positions, by id among equals; where nobody did, who could."""
    able = [
        opened.account for role in (Role.LIQUIDATOR, Role.VAULT, Role.FUND) for opened in state.accounts if opened.role is role
    ]
    found = sorted(((-count, account) for account, count in seen.items() if account in able))
    if not found and not able:
        raise MisuseError("no fund, vault or liquidator is on record, and the engine needs one to take over positions.")
    return found[0][1] if found else able[0]
