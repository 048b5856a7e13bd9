"""The engine: ``decide(state, request, rules, moment) -> Decision``, which events come next, given the state they meet.

Pure, and one step at a time. The caller applies the events of a decision with ``evolve``, in order, and asks again, until there
are none. So each price is computed from the state that the close will meet, and the same function runs live and is replayed:

    while (decision := decide(state, Look(account, book), rules, moment)).events:
        for event in decision.events:
            evolve(state, event, state.seq + 1)

What is asked (``inputs``):

- ``Look(account, book)``: what is to be done now about an account, which may be at risk. ``book`` maps a market to its ``Bid``,
  what the book takes from liquidations now; the caller lowers a bid by what a Liquidation of ``Method.MARKET`` took of it. An
  account at or above its maintenance margin is left alone, and so is one about which nothing more can be done at this moment:
  asking ends. Below it the account is liquidated while it has equity (``liquidation``); below zero the layers of the policy in
  force for its largest position bear the deficit (``waterfall``), and what they pay for or leave is closed against the vault.
- ``Order(market, buyer, seller, price, size)``: a trade that two accounts want; a Fill, or a refusal (``gates``).
- ``Withdrawal(account, cash)``: Transfers, or a refusal (``gates``).

``Rules`` are the venue's conduct beside its ADL policy, ``Moment`` the header of the events; each trade of a decision takes the
next trade id from ``moment.trade`` on, so the caller adds as many as there were. ``Decision(events, refusal)``: the refusal is
None or one sentence, and then there are no events.

``MisuseError`` where the record does not tell what a decision needs (an equity, a mark, tiers, an input that the policy looks
at: it is named), where no policy is in force for a market when it is needed, or where the rules name no vault.
"""

from typing import assert_never

from events.errors import MisuseError
from events.model import FIRST_FREE_ACCOUNT, AnyEvent
from replay.core import margin
from replay.core.engine.gates import admit, pay_out
from replay.core.engine.inputs import Bid, Decision, Look, Moment, Order, Request, Rules, Withdrawal, check_rules
from replay.core.engine.liquidation import holdings, liquidate
from replay.core.engine.waterfall import relieve, unwind
from replay.core.state import State

__all__ = ["Bid", "Decision", "Look", "Moment", "Order", "Request", "Rules", "Withdrawal", "decide"]


def decide(state: State, request: Request, rules: Rules, moment: Moment) -> Decision:
    """Return the events of the next step about ``request``. See the module's text."""
    match request:
        case Look():
            return Decision(_look(state, request, rules, moment))
        case Order():
            return admit(state, request, moment)
        case Withdrawal():
            return pay_out(state, request, moment)
        case _:
            assert_never(request)


def _look(state: State, look: Look, rules: Rules, moment: Moment) -> tuple[AnyEvent, ...]:
    account = look.account
    check_rules(state, rules)
    if not 0 <= account < len(state.accounts):
        raise MisuseError(f"account {account} is not open.")
    if account < FIRST_FREE_ACCOUNT:
        return ()
    equity, maintenance = margin.equity(state, account), margin.maintenance(state, account)
    if equity is None or maintenance is None:
        raise MisuseError(
            f"nothing can be decided about account {account}: its cash, a position, a mark or margin tiers are not on record."
        )
    held = holdings(state, account)
    if equity >= maintenance:
        return unwind(state, account, held, rules, moment)
    if equity < 0:
        return relieve(state, account, held, rules, moment)
    return liquidate(state, look, held, rules, moment)
