"""The deficit register: what accounts lost beyond their own money, each deficit counted once, and who bore it.

An account's deficit is ``max(0, -equity)`` at the state's mark prices. It is looked at over an *episode*: from the first
forced relief or forced close that meets it, or makes it, until equity is back at 0 or above. A deficit that is seen again and
again while it lasts is one deficit: a published reconstruction of 10 October 2025 summed one account's in nine of sixteen
snapshots.

Every event of an episode changes the deficit by what it was before less what it is after. Relief and forced closes book that to
a layer; whatever else changes it, such as marks, funding or the account's own trades and payments, is ``moved``. So, exactly,

    opened_cash + moved_cash = covered + left_cash

in each episode and in every sum of episodes, and both sides are the deficit, counted once. What relief brings beyond equity 0
covers no deficit; it is kept apart as ``over_cash``. Layers:

- ``fund``, ``vault``: insurance draws for the account, by the role of who pays;
- ``adl``: ADL closes that it is the loser of: what the winners gave up against mark;
- ``vault`` too: take-overs and backstop closes of its positions;
- ``book``: closes on the market, below 0 where slippage made the deficit larger;
- ``index``: socialised loss that others paid to it; ``rounding``: residuals;
- ``other``: any other transfer to it, and forced closes whose method is not stated.

Where a forced close takes an account from a sound equity through 0, the episode opens with the deficit that this close left,
and the close itself books nothing. What the venue's own accounts lose contains what they took over from others, so their
episodes are summed apart. Reserved accounts have no deficit, and where equity is not known none can be told: such accounts are
named.
"""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from events.model import (
    FIRST_FREE_ACCOUNT,
    AdlClose,
    AnyEvent,
    Fill,
    Funding,
    InsuranceDraw,
    Liquidation,
    Method,
    Opening,
    PriceTick,
    Reason,
    Role,
    Settlement,
    Transfer,
)
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.state import State

__all__ = ["Episode", "Layer", "Register", "Totals", "register"]


class Layer(StrEnum):
    """Who bore a part of a deficit. See the module's text."""

    FUND = "fund"
    VAULT = "vault"
    ADL = "adl"
    BOOK = "book"
    INDEX = "index"
    ROUNDING = "rounding"
    OTHER = "other"


_LAYER_OF_METHOD = {
    Method.MARKET: Layer.BOOK,
    Method.BACKSTOP: Layer.VAULT,
    Method.TAKEOVER: Layer.VAULT,
    Method.UNKNOWN: Layer.OTHER,
}
_LAYER_OF_REASON = {Reason.SOCIALISED_LOSS: Layer.INDEX, Reason.RESIDUAL: Layer.ROUNDING}

# Transfers that are relief whatever the account did, so that they can begin an episode. Its own deposit cannot.
_RELIEF = (Reason.SOCIALISED_LOSS, Reason.RESIDUAL, Reason.TOP_UP, Reason.COMPENSATION)


class Episode(Struct, frozen=True):
    """One deficit of one account, from ``first_seq`` to ``last_seq``, the last event that changed it. Amounts are money units.

    ``role`` is the account's at the beginning. ``covered`` has every layer, in the order of ``Layer``. ``left_cash`` is 0 in an
    episode that has ended; at the end of the log it is what is open. ``over_cash`` is what the relief that ended it brought
    beyond equity 0. ``known`` is false where the equity had ceased to be known by the end of the log: then ``left_cash`` is
    what was known last.
    """

    account: int
    role: Role
    first_seq: int
    last_seq: int
    opened_cash: int
    moved_cash: int
    covered: dict[Layer, int]
    left_cash: int
    over_cash: int
    known: bool


class Totals(Struct, frozen=True):
    """Sums over episodes. ``deficit_cash`` = ``opened_cash`` + ``moved_cash``: the deficit, counted once."""

    episodes: int
    accounts: int
    deficit_cash: int
    opened_cash: int
    moved_cash: int
    covered: dict[Layer, int]
    left_cash: int
    over_cash: int


class Register(Struct, frozen=True):
    """The episodes of a log in the order of their beginnings, and their sums: of users, and of the venue's own accounts.

    ``undecided`` are the accounts, sorted, that had forced relief or a forced close outside an episode while their equity was
    not known just before or just after it: what they have of deficits is not in the register. ``closed`` says whether no
    deficit is left open.
    """

    episodes: tuple[Episode, ...]
    users: Totals
    venue: Totals
    undecided: tuple[int, ...]

    @property
    def closed(self) -> bool:
        """Whether every episode has nothing left."""
        return all(episode.left_cash == 0 for episode in self.episodes)


class _Open(Struct):
    """An episode that is not over. ``left`` is the deficit as last known."""

    account: int
    role: Role
    first_seq: int
    last_seq: int
    opened: int
    left: int
    covered: dict[Layer, int]
    moved: int = 0
    over: int = 0
    known: bool = True


def register(events: Iterable[tuple[int, AnyEvent]]) -> Register:
    """Return the deficit register of ``events``, which are a log from seq 1 on.

    Raises ``ReducerError`` for an event that cannot be applied.
    """
    state = State()
    episodes: list[_Open] = []
    running: dict[int, _Open] = {}
    undecided: dict[int, None] = {}
    for seq, event in events:
        account, layer = _relief(state, event)
        before = None if account is None or account in running else margin.equity(state, account)
        begins = account is not None and account not in running and _can_begin(event)
        evolve(state, event, seq)
        if account is not None and begins:
            after = margin.equity(state, account)
            opened = _opened(before, after)
            if opened:
                covered = dict.fromkeys(Layer, 0)
                running[account] = _Open(account, state.accounts[account].role, seq, seq, opened, opened, covered)
                episodes.append(running[account])
            elif before is None or after is None:
                undecided[account] = None
        for touched in _touched(state, event, running):
            episode = running[touched]
            _book(episode, margin.equity(state, touched), layer if touched == account else None, seq)
            if episode.known and episode.left == 0:
                del running[touched]
    return _conclude(episodes, tuple(sorted(undecided)))


def _relief(state: State, event: AnyEvent) -> tuple[int | None, Layer | None]:
    """Return the account that an event relieves or closes by force, and the layer, or two times None."""
    layer: Layer | None = None
    match event:
        case InsuranceDraw(account=account):
            # Who pays is checked by ``evolve``, right after.
            payer = state.accounts[event.fund].role if event.fund < len(state.accounts) else Role.FUND
            layer = Layer.FUND if payer is Role.FUND else Layer.VAULT
        case AdlClose():
            account, layer = event.seller if event.winner == event.buyer else event.buyer, Layer.ADL
        case Liquidation(account=account):
            layer = _LAYER_OF_METHOD[event.method]
        case Transfer(payee=account):
            layer = _LAYER_OF_REASON.get(event.reason, Layer.OTHER)
        case _:
            return None, None
    return (account, layer) if FIRST_FREE_ACCOUNT <= account < len(state.accounts) else (None, None)


def _can_begin(event: AnyEvent) -> bool:
    return not isinstance(event, Transfer) or event.reason in _RELIEF


def _opened(before: int | None, after: int | None) -> int:
    """Return the deficit that an episode begins with, 0 where none begins."""
    if before is not None and before < 0:
        return -before
    return -after if before is not None and after is not None and after < 0 else 0


def _touched(state: State, event: AnyEvent, running: dict[int, _Open]) -> list[int]:
    """Return the accounts of running episodes whose equity an event may have changed."""
    if not running:
        return []
    accounts: tuple[int, ...] = ()
    match event:
        case PriceTick(market=market):
            return [account for account in running if market in state.holdings[account]]
        case Fill() | Liquidation() | AdlClose() | Settlement():
            accounts = (event.buyer, event.seller)
        case Transfer():
            accounts = (event.payer, event.payee)
        case InsuranceDraw():
            accounts = (event.fund, event.account)
        case Opening():
            accounts = (event.account,)
        case Funding():
            accounts = (event.against, *(payment.account for payment in event.payments))
        case _:
            pass
    return [account for account in dict.fromkeys(accounts) if account in running]


def _book(episode: _Open, equity: int | None, layer: Layer | None, seq: int) -> None:
    """Book what an event changed of a deficit: to ``layer``, or as moved where it is None."""
    if equity is None:
        episode.known = False
        return
    if not episode.known:
        # What happened while equity was not known cannot be told apart.
        layer, episode.known = None, True
    left = max(0, -equity)
    if left == episode.left and equity <= 0:
        return
    if layer is None:
        episode.moved += left - episode.left
    else:
        episode.covered[layer] += episode.left - left
        episode.over = max(0, equity)
    episode.left, episode.last_seq = left, seq


def _conclude(episodes: list[_Open], undecided: tuple[int, ...]) -> Register:
    done = tuple(
        Episode(e.account, e.role, e.first_seq, e.last_seq, e.opened, e.moved, e.covered, e.left, e.over, e.known)
        for e in episodes
    )
    users = [episode for episode in done if episode.role is Role.USER]
    venue = [episode for episode in done if episode.role is not Role.USER]
    return Register(done, _totals(users), _totals(venue), undecided)


def _totals(episodes: list[Episode]) -> Totals:
    opened, moved = sum(episode.opened_cash for episode in episodes), sum(episode.moved_cash for episode in episodes)
    return Totals(
        episodes=len(episodes),
        accounts=len({episode.account for episode in episodes}),
        deficit_cash=opened + moved,
        opened_cash=opened,
        moved_cash=moved,
        covered={layer: sum(episode.covered[layer] for episode in episodes) for layer in Layer},
        left_cash=sum(episode.left_cash for episode in episodes),
        over_cash=sum(episode.over_cash for episode in episodes),
    )
