"""What of a record the venue decided by its rules, so that a closed loop takes it out and lets the engine decide instead.

Forced: insurance draws; ADL rounds with their lists and closes; take-overs and backstop closes; socialised losses, but for what
those who leave pay into a fund; residuals; transfers of a take-over. All else is exogenous: trades, prices, money that comes
and goes, funding, and liquidations on the book.
"""

from typing import Any, TypeAlias

from events.model import (
    FIRST_FREE_ACCOUNT,
    AdlCandidates,
    AdlClose,
    AdlRound,
    AnyEvent,
    Fill,
    Funding,
    InsuranceDraw,
    Liquidation,
    Method,
    Opening,
    Reason,
    Role,
    Settlement,
    Transfer,
)
from replay.core.state import State

__all__ = ["VAULT_METHODS", "Key", "dealt_with", "key_of", "parties_of"]

VAULT_METHODS = (Method.BACKSTOP, Method.TAKEOVER)

Key: TypeAlias = tuple[Any, ...]
"""What makes two forced events the same decision: all but ids of rounds, policies and trades, and what is only claimed."""


def dealt_with(state: State, event: AnyEvent) -> int | None:
    """Return the account that a forced event deals with, None for any other event. ``state`` is as just before it."""
    match event:
        case InsuranceDraw(account=account) | AdlRound(loser=account):
            return account
        case AdlClose():
            return event.seller if event.winner == event.buyer else event.buyer
        case AdlCandidates(round=number):
            return state.rounds[number].event.loser
        case Liquidation(account=account, method=method) if method in VAULT_METHODS:
            return account
        case Transfer():
            return _relieved(state, event)
        case _:
            return None


def _relieved(state: State, event: Transfer) -> int | None:
    match event.reason:
        case Reason.SOCIALISED_LOSS:
            return None if state.accounts[event.payee].role is Role.FUND else event.payee
        case Reason.RESIDUAL:
            return event.payer if event.payer >= FIRST_FREE_ACCOUNT else event.payee
        case Reason.TAKEOVER:
            return event.payer
        case _:
            return None


def key_of(event: AnyEvent) -> Key | None:
    """Return the key of an event of a kind that can be forced, None for any other."""
    rest: Key
    match event:
        case InsuranceDraw():
            rest = (event.fund, event.account, event.cash)
        case AdlRound():
            rest = (event.loser, event.market, event.size, event.price, event.need_cash)
        case AdlCandidates():
            rest = (event.part, event.parts, tuple(one.account for one in event.candidates))
        case AdlClose():
            rest = (event.market, event.buyer, event.seller, event.price, event.size, event.winner)
        case Liquidation():
            rest = (event.market, event.buyer, event.seller, event.price, event.size, event.account, event.method)
        case Transfer():
            rest = (event.payer, event.payee, event.cash, event.reason)
        case _:
            return None
    return (type(event).__name__, event.at_ns, *rest)


def parties_of(event: AnyEvent) -> tuple[int, ...]:
    """Return the accounts whose money or contracts an event moves."""
    match event:
        case Fill() | Liquidation() | AdlClose() | Settlement():
            return (event.buyer, event.seller)
        case Transfer():
            return (event.payer, event.payee)
        case InsuranceDraw():
            return (event.fund, event.account)
        case Opening():
            return (event.account,)
        case Funding():
            return (event.against, *(payment.account for payment in event.payments))
        case _:
            return ()
