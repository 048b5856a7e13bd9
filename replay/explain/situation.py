"""One ADL round as it stood: the state just before it, what is on record of it, and where its inputs come from."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from events.errors import MisuseError
from events.model import (
    AccountOpened,
    AdlCandidates,
    AdlClose,
    AdlRound,
    AnyEvent,
    Fill,
    Funding,
    InsuranceDraw,
    Liquidation,
    Opening,
    PolicyAdopted,
    PriceTick,
    Settlement,
    Transfer,
)
from replay.audit.rounds import RoundRecord, add_part, charged_round
from replay.core.evolve import evolve
from replay.core.policy import policy_for
from replay.core.state import State

__all__ = ["Origins", "Situation", "round_of", "situation"]


class Origins(Struct):
    """The seqs of the last events before a round that say an input of it; None where nothing says it.

    ``position`` and ``cash`` are of the account asked about, ``loser_position`` and ``loser_cash`` of the round's loser: the
    last event that changed them.
    """

    policy: int | None = None
    mark: int | None = None
    oracle: int | None = None
    fund: int | None = None
    position: int | None = None
    cash: int | None = None
    loser_position: int | None = None
    loser_cash: int | None = None


class Situation(Struct):
    """A round's ``record`` with the ``state`` just before its first close.

    ``account`` is the one asked about, ``above`` the one it is compared with, each if any. ``later`` names accounts that were
    first opened after the round began, as sources may tell of an account when they first need it. The positions before the
    record's closes are not in it.
    """

    state: State
    record: RoundRecord
    account: int | None
    above: int | None
    origins: Origins
    later: dict[int, str] = {}


def round_of(event: AnyEvent) -> int | None:
    """Return the round that an event is part of, None for an event of no round."""
    if isinstance(event, AdlRound | AdlCandidates | AdlClose):
        return event.round
    return charged_round(event) if isinstance(event, Transfer) else None


def situation(
    events: Iterable[tuple[int, AnyEvent]], number: int, name: str | None = None, above: str | None = None
) -> Situation:
    """Return the situation of round ``number`` in ``events``, a log from seq 1 on, with the accounts of these names, if any.

    Raises ``MisuseError`` for a round or an account that is not there, and ``ReducerError`` for an event that cannot be
    applied.
    """
    state, tracker = State(), _Tracker()
    record: RoundRecord | None = None
    later: dict[int, str] = {}
    listing = True  # whether the candidates of the round may still follow
    for seq, event in events:
        if record is None:
            evolve(state, event, seq)
            tracker.see(event, seq)
            if isinstance(event, AdlRound) and event.round == number:
                record = RoundRecord(seq, event)
            continue
        listing = listing and isinstance(event, AdlCandidates) and event.round == number
        if listing:
            evolve(state, event, seq)
        elif isinstance(event, AccountOpened):
            later.setdefault(event.account, event.name)
        else:
            add_part(record, event, seq)
    if record is None:
        last = len(state.rounds) - 1
        cure = f"The rounds are 0 to {last}." if state.rounds else "The ledger holds no ADL round."
        raise MisuseError(f"there is no ADL round {number}.", cure=cure)
    account, other = (None if one is None else _account(state, later, one) for one in (name, above))
    return Situation(state, record, account, other, tracker.origins(state, record.event, account), later)


def _account(state: State, later: Mapping[int, str], name: str) -> int:
    names = {opened.account: opened.name for opened in state.accounts}
    for account, other in {**later, **names}.items():
        if other == name:
            return account
    raise MisuseError(f"there is no account {name!r}.", cure="`adl state` lists the accounts.")


class _Tracker:
    """Where inputs come from: the last ticks of each market, and the last changes of accounts."""

    def __init__(self) -> None:
        self._marks: dict[int, int] = {}
        self._oracles: dict[int, int] = {}
        self._policies: dict[int, int] = {}
        self._cash: dict[int, int] = {}
        self._positions: dict[tuple[int, int], int] = {}

    def see(self, event: AnyEvent, seq: int) -> None:
        """Look at an event that was applied."""
        if isinstance(event, PriceTick):
            if event.mark is not None:
                self._marks[event.market] = seq
            if event.oracle is not None:
                self._oracles[event.market] = seq
        elif isinstance(event, PolicyAdopted):
            self._policies[event.policy] = seq
        else:
            accounts, markets = _moved(event)
            for account in accounts:
                self._cash[account] = seq
                for market in markets:
                    self._positions[account, market] = seq

    def origins(self, state: State, opened: AdlRound, account: int | None) -> Origins:
        """Return where the inputs of a round come from."""
        market, number = opened.market, policy_for(state, opened.market)
        pools = [levels[-1].seq for levels in state.fund_levels.values() if levels]
        return Origins(
            policy=None if number is None else self._policies[number],
            mark=self._marks.get(market),
            oracle=self._oracles.get(market),
            fund=max(pools, default=None),
            position=None if account is None else self._positions.get((account, market)),
            cash=None if account is None else self._cash.get(account),
            loser_position=self._positions.get((opened.loser, market)),
            loser_cash=self._cash.get(opened.loser),
        )


def _moved(event: AnyEvent) -> tuple[Sequence[int], Sequence[int]]:
    """Return the accounts whose money an event moves or states, and the markets in which it does so to their positions."""
    match event:
        case Fill() | Liquidation() | AdlClose() | Settlement():
            return (event.buyer, event.seller), (event.market,)
        case Transfer():
            return (event.payer, event.payee), ()
        case InsuranceDraw():
            return (event.fund, event.account), ()
        case Funding():
            return [payment.account for payment in event.payments], ()
        case Opening():
            return (event.account,), [position.market for position in event.positions]
        case _:
            return (), ()
