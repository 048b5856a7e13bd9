"""What is known of a closed account just before its close, and the keys that a policy makes of it.

A record may tell too little to rank anybody. Then a close itself tells something: the equity that the venue claims for its
winner and, where no mark is on record, its price. Measures that use either are counted apart, as they are claims.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from events.model import AdlClose
from replay.core import margin
from replay.core.candidates import Candidates
from replay.core.policy import Atom, Insolvent, Order, Policy, Side
from replay.core.scoring import Columns, key_atoms, order_keys, reduced, scores, terms
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, Position, State
from replay.ordering.kendall import Key as SortKey

__all__ = ["Measured", "claimed", "columns_of", "keys_of", "measure", "measure_account", "wanted_atoms"]


class Measured(Struct, frozen=True):
    """What places one account in a policy's order, as far as the record tells it.

    ``atoms`` are those that the key looks at, None where not known; ``claims`` says whether one of them is from a claim.
    ``own``: it is of the loser's owner, and the scope puts these first. ``listed`` is its place, from 0, in the list that the
    policy goes by; None where that is not on record.
    """

    account: int
    atoms: Mapping[Atom, int | None]
    claims: bool = False
    own: bool = False
    listed: int | None = None

    @property
    def known(self) -> bool:
        """Whether every atom is."""
        return None not in self.atoms.values()


def wanted_atoms(policy: Policy) -> list[Atom]:
    """Return the atoms that the policy's key looks at, each once; a list that the venue recorded needs none."""
    return list(dict.fromkeys(key_atoms(policy.key)))


def measure(state: State, event: AdlClose, policy: Policy, loser: int, listed: Sequence[int]) -> Measured:
    """Return what the record tells of a close's winner, from the state just before the close.

    ``listed`` is the list that the policy goes by, in its order; empty where it has none.
    """
    account = event.winner
    accounts = state.accounts
    own = policy.scope.own_first and accounts[account].owner == accounts[loser].owner
    if policy.key.order is not Order.SCORE:
        return Measured(account, {}, own=own, listed=listed.index(account) if account in listed else None)
    return replace(measure_account(state, event.market, account, policy), own=own)


def measure_account(state: State, market: int, account: int, policy: Policy) -> Measured:
    """Return what the record tells of the measures of an account's score in a market."""
    whole = policy.scope.side is Side.ACCOUNTS
    held = state.positions[market].get(account)
    wanted = wanted_atoms(policy)
    if not whole and (held is None or held.unknown & SIZE_UNKNOWN):
        return Measured(account, {atom: 1 if atom is Atom.ONE else None for atom in wanted})
    one = Candidates(state, market, [account], [], whole=whole)
    return Measured(account, {atom: one.figure(atom, 0) for atom in wanted})


def claimed(state: State, event: AdlClose, measured: Measured) -> Measured:
    """Return the same with what the close claims in place of what the record does not tell.

    The claimed equity is the winner's; without a mark the close's price stands for it.
    """
    lacks = [atom for atom, value in measured.atoms.items() if value is None]
    held = state.positions[event.market].get(event.winner)
    known = {**_at_price(state, event, held), Atom.EQUITY: event.winner_equity_claim} if lacks else {}
    found = {atom: known.get(atom) for atom in lacks}
    claims = any(value is not None for value in found.values())
    return replace(measured, atoms={**measured.atoms, **found}, claims=claims)


def _at_price(state: State, event: AdlClose, held: Position | None) -> dict[Atom, int]:
    """Return the atoms of a position with the close's price as mark; none where its size or entry is not known."""
    if held is None or held.size == 0 or held.unknown & (SIZE_UNKNOWN | ENTRY_UNKNOWN):
        return {}
    value = margin.market_value(state.markets[event.market], held.size, event.price)
    profit = value - held.cost
    bought = held.cost > 0 or (held.cost == 0 and value > 0)
    return {
        Atom.NOTIONAL: abs(value),
        Atom.PROFIT: profit,
        Atom.GAIN: max(profit, 0),
        Atom.SOLD: abs(value if bought else held.cost),
        Atom.BOUGHT: abs(held.cost if bought else value),
    }


def keys_of(policy: Policy, measured: Sequence[Measured], unit: int) -> list[SortKey | None]:
    """Return a key for each of ``measured`` that stands in the policy's order, the highest first; None where it is not known.

    Equal keys are equal in the score and in all further measures: that the policy then goes by account says nothing of the
    rule. ``unit`` is one unit of the currency in money units.
    """
    key = policy.key
    if key.order is not Order.SCORE:
        return [None if one.listed is None else (one.own, -one.listed) for one in measured]
    places = [place for place, one in enumerate(measured) if one.known]
    column = columns_of([measured[place] for place in places])
    parts: list[Sequence[SortKey]] = [[measured[place].own for place in places]]
    if key.returns is not None:
        parts.append(order_keys(scores(key, column, unit), key.insolvent))
    for tie in key.ties:
        ratios = [reduced(*pair) for pair in zip(*terms(tie.measure, column, unit), strict=True)]
        sign = 1 if tie.descending else -1
        parts.append([sign * value for _, value in order_keys(ratios, Insolvent.LAST)])
    keys: list[SortKey | None] = [None] * len(measured)
    for place, *values in zip(places, *parts, strict=True):
        keys[place] = tuple(values)
    return keys


def columns_of(measured: Sequence[Measured]) -> Columns:
    """Return the atoms of accounts as columns. One that the key does not look at is asked for to count the accounts."""
    return lambda atom: [one.atoms.get(atom, 1) or 0 for one in measured]
