"""The candidates of a round in the order of a policy's key, and what each can give."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct

from events.model import AdlRound
from replay.core.candidates import Candidates, by_profit, gather, solvent, unhedged
from replay.core.levels import rotate
from replay.core.missing import MISSING_CANDIDATES, MISSING_SEED, in_order
from replay.core.policy import Atom, FillKind, Insolvent, Order, Policy, ProfitFilter, Ratio
from replay.core.pricing import share_of
from replay.core.scoring import Terms, atoms_of, in_key_order, key_atoms, reduced, scores, terms
from replay.core.state import State

__all__ = ["Field", "Ranked", "Ranking", "currency_unit", "field_of", "listed_for", "places_in_order", "rank"]

# What a ranking shows of a candidate whatever the policy looks at.
_SHOWN = (Atom.PROFIT, Atom.ENTRY_NOTIONAL, Atom.NOTIONAL, Atom.EQUITY)


class Ranked(Struct, frozen=True, gc=False):
    """A candidate in its place, with all that explains it. ``rank`` counts from 1; amounts are in money units.

    ``size`` is its signed position in the market, ``lots`` how much of it can be closed. ``profit``, ``entry_notional`` and
    ``notional`` are of that position, or of the whole account where the scope is accounts; ``equity`` is the account's. Each is
    None where the record does not tell it and the policy does not ask. ``returns`` and ``leverage`` are the terms of the score,
    exact; ``score`` is None where the key has none, or where equity is not above 0 and such candidates stand first or last,
    and then there is no leverage either. ``ties`` are the further measures of the key, in its order.
    """

    rank: int
    account: int
    size: int
    lots: int
    profit: int | None
    entry_notional: int | None
    notional: int | None
    equity: int | None
    returns: Ratio | None
    leverage: Ratio | None
    score: Ratio | None
    ties: tuple[Ratio, ...]


class Ranking(NamedTuple):
    """The candidates of a market in their order, and the inputs that are missing. With any, none are ranked."""

    ranked: tuple[Ranked, ...]
    missing: tuple[str, ...]


class Field(NamedTuple):
    """The candidates of a round within the scope's limits, how many lots each can give, and what is missing to say so.

    With anything missing there are no lots.
    """

    candidates: Candidates
    lots: list[int]
    missing: list[str]


def rank(
    state: State, market: int, side: int, policy: Policy, *, without: int | None = None, among: Sequence[int] | None = None
) -> Ranking:
    """Rank the candidates that hold ``side`` (1 long, -1 short) of ``market`` under ``policy``, leaving out ``without``.

    ``without`` is the loser, whose owner's other accounts can come first. ``among`` is the list of a venue that says whom it
    ranked, in its order, rotated already where the policy has it so (``listed_for``); without one, roles and exemptions say who
    is a candidate. A policy that only shares ranks by its key too, which then is mostly the account.
    """
    field = field_of(state, market, side, policy, without, among)
    if field.missing:
        return Ranking((), in_order(field.missing))
    return Ranking(tuple(_ranked(state, field, policy, without, among)), ())


def field_of(state: State, market: int, side: int, policy: Policy, without: int | None, among: Sequence[int] | None) -> Field:
    """Return the candidates within the scope's limits; for a level fill by ascending account."""
    candidates = gather(state, market, side, policy.scope, without=without, among=among)
    missing = candidates.unseen + candidates.gaps(_atoms(policy))
    if policy.key.order is not Order.SCORE and among is None:
        missing.append(MISSING_CANDIDATES)
    if missing:
        return Field(candidates, [], missing)
    candidates = by_profit(candidates, policy.scope.profit)
    if policy.key.insolvent is Insolvent.EXCLUDED:
        candidates = solvent(candidates)
    if policy.fill.kind is not FillKind.QUEUE:
        candidates = candidates.ascending()
    lots = candidates.column(Atom.SIZE)
    if policy.scope.unhedged:
        lots = unhedged(candidates, without)
        missing += candidates.unseen
    if policy.target.each is not None:
        lots = [min(lot, share_of(abs(size), policy.target.each)) for lot, size in zip(lots, candidates.sizes, strict=True)]
    return Field(candidates, [] if missing else lots, missing)


def _atoms(policy: Policy) -> list[Atom]:
    """Return the atoms of candidates that a policy looks at."""
    atoms = key_atoms(policy.key) + [atom for measure in policy.fill.weight for atom in atoms_of(measure)]
    if policy.scope.profit is not ProfitFilter.ANY:
        atoms.append(Atom.PROFIT)
    if policy.fill.cap is not None:
        atoms.append(policy.fill.cap)
    if policy.fill.kind in {FillKind.DRAIN, FillKind.LEAST_MAXIMUM}:
        atoms.append(Atom.EQUITY)
    if policy.fill.kind is FillKind.DRAIN:
        atoms.append(Atom.EXPOSURE)
    if policy.scope.overlapping:
        atoms += [Atom.EQUITY, Atom.MAINTENANCE]
    return list(dict.fromkeys(atoms))


def places_in_order(
    state: State,
    candidates: Candidates,
    policy: Policy,
    without: int | None,
    listed: Sequence[int] | None,
    *,
    whole: bool = False,
) -> Iterator[int]:
    """Yield the places of the candidates in the order of the policy's key. ``whole`` says that all will be asked for."""
    own = _own(state, policy, without, candidates.accounts)
    if policy.key.order is Order.SCORE or listed is None:
        return in_key_order(candidates, policy.key, currency_unit(state), own=own, whole=whole)
    at = {account: place for place, account in enumerate(listed)}
    accounts = candidates.accounts
    return iter(sorted(range(len(accounts)), key=lambda place: (accounts[place] not in own, at[accounts[place]])))


def _own(state: State, policy: Policy, loser: int | None, accounts: Sequence[int]) -> frozenset[int]:
    """Return which of the accounts are the loser's owner's, where the scope has these come before all others; else none."""
    if loser is None or not policy.scope.own_first:
        return frozenset()
    owner = state.accounts[loser].owner
    return frozenset(account for account in accounts if state.accounts[account].owner == owner)


def listed_for(state: State, opened: AdlRound, policy: Policy | None) -> tuple[list[int] | None, list[str]]:
    """Return the candidates that the venue lists for a round, in the order of the key, None where it lists none.

    And what is missing: where the record holds only the first parts of the list, the list; where it is rotated, the seed. The
    list begins at the seed, an unsigned big-endian integer, modulo its length (dYdX v4).
    """
    begun = state.rounds[opened.round] if opened.round < len(state.rounds) else None
    if begun is None or not begun.parts:
        return None, []
    missing = [MISSING_CANDIDATES] if begun.part < begun.parts else []
    listed = begun.candidates
    if policy is not None and policy.key.order is Order.ROTATION:
        if opened.seed is None:
            missing.append(MISSING_SEED)
        else:
            listed = [listed[place] for place in rotate(int.from_bytes(opened.seed, "big"), len(listed))]
    return list(dict.fromkeys(listed)), missing


def currency_unit(state: State) -> int:
    """Return one unit of the ledger's currency, in money units."""
    unit: int = 10 ** (state.opened.money_decimals if state.opened else 0)
    return unit


def _ranked(state: State, field: Field, policy: Policy, without: int | None, among: Sequence[int] | None) -> Iterator[Ranked]:
    places = list(places_in_order(state, field.candidates, policy, without, among, whole=True))
    key, candidates = policy.key, field.candidates.pick(places)
    lots = [field.lots[place] for place in places]
    unit = currency_unit(state)
    least = unit if key.insolvent is Insolvent.AT_LEAST_ONE else None
    scored = scores(key, candidates.column, unit)
    measures = [key.returns, key.leverage] if key.order is Order.SCORE else [None, None]
    returns, leverage = (
        [None] * len(places) if measure is None else _ratios(terms(measure, candidates.column, unit, least_equity=least))
        for measure in measures
    )
    ties = [terms(tie.measure, candidates.column, unit) for tie in key.ties] if key.order is Order.SCORE else []
    profits, entries, notionals, equities = (_figures(candidates, atom) for atom in _SHOWN)
    for place, account in enumerate(candidates.accounts):
        yield Ranked(
            place + 1,
            account,
            candidates.sizes[place],
            lots[place],
            profits[place],
            entries[place],
            notionals[place],
            equities[place],
            returns[place],
            None if scored[place] is None else leverage[place],
            scored[place],
            tuple(reduced(tie.numerators[place], tie.denominators[place]) for tie in ties),
        )


def _figures(candidates: Candidates, atom: Atom) -> list[int | None]:
    return [candidates.figure(atom, place) for place in range(len(candidates))]


def _ratios(found: Terms) -> Sequence[Ratio | None]:
    return [reduced(*pair) for pair in zip(*found, strict=True)]
