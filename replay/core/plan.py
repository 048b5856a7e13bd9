"""The plan of an ADL round: who is closed, in which order, by how much and at what price, under a policy.

Pure. One function serves the audit, the engine and whatever else asks what a rule would have done. Scores are exact
fractions. They are ordered by an integer key, ``(numerator << s) // denominator`` with ``s`` at least twice the bits of the
largest denominator: two different fractions with denominators up to D differ by at least 1/D**2, so their keys differ and
stand in the same order, and equal fractions have equal keys. Ties go by account id.

An input that the record does not hold is named, never assumed. With any input missing there is no plan.

Who is a candidate. Where the record holds the venue's own list of the round (AdlCandidates), these accounts and no others.
Else every account that the venue states as not exempt, whatever its role, and where it states nothing every user account; but
then the record must show who holds the market: it does not where ``State.partial`` says so, nor where such an account has a
position of unknown size or, with its cash unknown, none on record at all. That the sizes on record sum to zero proves nothing.
Only accounts that hold the other side are closed; never the loser, never a reserved account.
"""

from collections.abc import Collection, Sequence
from math import gcd
from typing import NamedTuple

from msgspec import Struct

from events.model import FIRST_FREE_ACCOUNT, AdlRound, Role
from replay.core import margin
from replay.core.policy import ClosePrice, Condition, Insolvent, Policy, ReturnOn
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, State

__all__ = [
    "MISSING_CANDIDATES",
    "MISSING_CASH",
    "MISSING_ENTRY",
    "MISSING_FUND",
    "MISSING_INPUTS",
    "MISSING_LOSER",
    "MISSING_MARK",
    "MISSING_POLICY",
    "MISSING_PREVIOUS_MARK",
    "MISSING_STATED_PRICE",
    "MISSING_TIERS",
    "Plan",
    "PlannedClose",
    "Quote",
    "Ranked",
    "Ranking",
    "Score",
    "close_price",
    "fill_queue",
    "fund_equity",
    "in_order",
    "loser_size",
    "order_keys",
    "plan",
    "rank",
    "score",
    "trigger_gaps",
    "triggered",
]

# Looked up once: a member of an enum is slow to reach in Python 3.11.
_USER = Role.USER

# What a plan can lack, in the order in which a person would look for it.
MISSING_POLICY = "policy"
MISSING_LOSER = "loser's position"
MISSING_CANDIDATES = "candidate list: record incomplete"
MISSING_CASH = "cash of account"
MISSING_FUND = "fund balance"
MISSING_ENTRY = "entry price"
MISSING_MARK = "mark price"
MISSING_PREVIOUS_MARK = "previous mark price"
MISSING_STATED_PRICE = "price of the round"
MISSING_TIERS = "margin tiers"
MISSING_INPUTS = (
    MISSING_POLICY,
    MISSING_LOSER,
    MISSING_CANDIDATES,
    MISSING_CASH,
    MISSING_FUND,
    MISSING_ENTRY,
    MISSING_MARK,
    MISSING_PREVIOUS_MARK,
    MISSING_STATED_PRICE,
    MISSING_TIERS,
)


class Score(NamedTuple):
    """An exact score in lowest terms; ``denominator`` is above zero. Not to be compared as a tuple: see ``order_keys``."""

    numerator: int
    denominator: int


class Ranked(Struct, frozen=True, gc=False):
    """A candidate in its place. ``rank`` counts from 1; ``size`` is its signed position; amounts are in money units.

    ``score`` is None where equity is not above 0, as there is no leverage then.
    """

    rank: int
    account: int
    size: int
    profit: int
    entry_notional: int
    notional: int
    equity: int
    score: Score | None


class _Measures(NamedTuple):
    """What is measured of a candidate, in the order of the fields of ``Ranked``."""

    account: int
    size: int
    profit: int
    entry_notional: int
    notional: int
    equity: int


class _Candidates(NamedTuple):
    """Candidates by ascending account, complete unless inputs are missing."""

    found: list[_Measures]
    missing: list[str]


class Ranking(NamedTuple):
    """The candidates of one side of a market, best score first, and the inputs that are missing. With any, none are ranked."""

    ranked: tuple[Ranked, ...]
    missing: tuple[str, ...]


class Quote(NamedTuple):
    """The price of a round, or the inputs that are missing to say it."""

    price: int | None
    missing: tuple[str, ...]


class PlannedClose(Struct, frozen=True, gc=False):
    """One close of a plan: ``size`` contracts of ``winner`` at ``price``."""

    winner: int
    size: int
    price: int
    rank: int
    score: Score | None


class Plan(Struct, frozen=True, gc=False):
    """The closes of a round in order, what is missing to say them, and how much no candidate could take."""

    closes: tuple[PlannedClose, ...]
    missing: tuple[str, ...]
    remaining: int


def plan(state: State, round: AdlRound, policy: Policy | None) -> Plan:  # noqa: A002  the field's own word
    """Return the plan of ``round`` under ``policy``, from ``state`` as it was just before the round.

    What is to be closed is the size that the round states or, where it states none, the loser's whole position, as that is
    the policy's target. A missing input gives no closes; it is named in ``missing``, in the order of ``MISSING_INPUTS``.
    """
    size = round.size if round.size is not None else loser_size(state, round)
    if policy is None or size is None:
        return Plan((), _gaps(state, round, size, policy), abs(size or 0))
    if size == 0:
        return Plan((), (), 0)
    ranking = rank(state, round.market, -1 if size > 0 else 1, policy, without=round.loser, among=_listed(state, round))
    quote = close_price(state, round, policy)
    missing = in_order([*_list_gaps(state, round), *ranking.missing, *quote.missing])
    if missing or quote.price is None:
        return Plan((), missing, abs(size))
    return fill_queue(ranking.ranked, abs(size), quote.price)


def _gaps(state: State, round: AdlRound, size: int | None, policy: Policy | None) -> tuple[str, ...]:  # noqa: A002  as above
    """Name what a plan lacks whose policy or size is not known; without a size, candidates may be on either side."""
    missing = [*_list_gaps(state, round), *([MISSING_LOSER] if size is None else [])]
    missing += [MISSING_POLICY] if policy is None else close_price(state, round, policy).missing
    for side in (1, -1):
        if not size or size * side < 0:
            missing += _candidates(state, round.market, side, round.loser, _listed(state, round)).missing
    return in_order([*missing, *_equity_gaps(state, round.loser)])


def _listed(state: State, round: AdlRound) -> frozenset[int] | None:  # noqa: A002  as above
    """Return the candidates that the venue lists for a round, None where it lists none."""
    opened = state.rounds[round.round] if round.round < len(state.rounds) else None
    return frozenset(opened.candidates) if opened is not None and opened.parts else None


def _list_gaps(state: State, round: AdlRound) -> list[str]:  # noqa: A002  as above
    """Name the venue's own list of candidates where the record holds only the first parts of it."""
    opened = state.rounds[round.round] if round.round < len(state.rounds) else None
    return [MISSING_CANDIDATES] if opened is not None and opened.part < opened.parts else []


def fill_queue(ranked: Sequence[Ranked], need: int, price: int) -> Plan:
    """Close ``need`` contracts against the candidates in their order, each by min(what remains, its position)."""
    closes = []
    remaining = need
    for candidate in ranked:
        if remaining == 0:
            break
        size = min(remaining, abs(candidate.size))
        closes.append(PlannedClose(candidate.account, size, price, candidate.rank, candidate.score))
        remaining -= size
    return Plan(tuple(closes), (), remaining)


def rank(
    state: State, market: int, side: int, policy: Policy, *, without: int | None = None, among: Collection[int] | None = None
) -> Ranking:
    """Rank the candidates that hold ``side`` (1 long, -1 short) of ``market`` under ``policy``, leaving out ``without``.

    ``among`` is the list of a venue that says whom it ranked; without one, roles and exemptions say who is a candidate.
    Accounts of the loser's owner are candidates like any other.
    """
    candidates = _candidates(state, market, side, without, among)
    if candidates.missing:
        return Ranking((), in_order(candidates.missing))
    found = candidates.found
    scores = [score(policy, one.profit, one.entry_notional, one.notional, one.equity) for one in found]
    keys = order_keys(scores, policy)
    # Candidates stand by ascending id and the sort is stable, so ties go by id.
    order = sorted(range(len(found)), key=lambda index: keys[index], reverse=True)
    return Ranking(tuple(Ranked(place, *found[index], scores[index]) for place, index in enumerate(order, 1)), ())


def _candidates(state: State, market: int, side: int, without: int | None, among: Collection[int] | None) -> _Candidates:
    missing = _market_gaps(state, market, without, among)
    found: list[_Measures] = []
    for account, position in sorted(state.positions[market].items()):
        if position.size * side <= 0 or account == without or not _eligible(state, account, among):
            continue
        equity = margin.equity(state, account)
        if position.unknown & ENTRY_UNKNOWN:
            missing.append(MISSING_ENTRY)
        if equity is None:
            missing += _equity_gaps(state, account)
        elif not missing:
            value = margin.market_value(state.markets[market], position.size, state.marks[market])
            profit = value - position.cost
            found.append(_Measures(account, position.size, profit, abs(position.cost), abs(value), equity))
    return _Candidates(found, missing)


def _eligible(state: State, account: int, among: Collection[int] | None) -> bool:
    """Return whether an account can be a candidate, whatever it holds."""
    if account < FIRST_FREE_ACCOUNT:
        return False
    if among is not None:
        return account in among
    opened = state.accounts[account]
    return opened.role is _USER if opened.adl_exempt is None else not opened.adl_exempt


def score(policy: Policy, profit: int, entry_notional: int, notional: int, equity: int) -> Score | None:
    """Return ``r * L`` for a gain and ``r / L`` for a loss, with r the policy's return and L = notional / equity.

    None where equity is not above 0. A notional of 0 (a position that cost nothing, or is worth less than one money unit)
    counts as one money unit, so that there is always a score.
    """
    if equity <= 0:
        return None
    notional = max(notional, 1)
    base = max(entry_notional, 1) if policy.return_on is ReturnOn.ENTRY_NOTIONAL else notional
    if profit >= 0:
        numerator, denominator = profit * notional, base * equity
    else:
        numerator, denominator = profit * equity, base * notional
    common = gcd(numerator, denominator)
    return Score(numerator // common, denominator // common)


def order_keys(scores: Sequence[Score | None], policy: Policy) -> list[tuple[int, int]]:
    """Return integer keys that stand in the order of ``scores`` under ``policy``: a higher key is closed first."""
    shift = 2 * max((points.denominator for points in scores if points is not None), default=1).bit_length()
    insolvent = (1, 0) if policy.insolvent is Insolvent.FIRST else (-1, 0)
    return [insolvent if points is None else (0, (points.numerator << shift) // points.denominator) for points in scores]


def close_price(state: State, round: AdlRound, policy: Policy) -> Quote:  # noqa: A002  the field's own word
    """Return the price of the round's closes by the policy's rule, from ``state`` as it was just before the round."""
    match policy.price:
        case ClosePrice.BANKRUPTCY:
            position = state.positions[round.market].get(round.loser)
            if position is None or position.size == 0 or position.unknown & SIZE_UNKNOWN:
                return Quote(None, (MISSING_LOSER,))
            price = margin.bankruptcy_price(state, round.loser, round.market)
            if price is not None:
                return Quote(price, ())
            return Quote(None, tuple(_equity_gaps(state, round.loser)) or (MISSING_TIERS,))
        case ClosePrice.MARK:
            mark = state.marks[round.market]
            return Quote(mark, ()) if mark else Quote(None, (MISSING_MARK,))
        case ClosePrice.PREVIOUS_MARK:
            before = state.previous_marks[round.market]
            return Quote(before, ()) if before else Quote(None, (MISSING_PREVIOUS_MARK,))
        case ClosePrice.STATED:
            return Quote(round.price, () if round.price is not None else (MISSING_STATED_PRICE,))


def triggered(state: State, loser: int, policy: Policy) -> bool | None:
    """Return whether the policy's trigger holds for ``loser``; None where the record does not decide it."""
    holds: list[bool | None] = []
    for condition in policy.trigger:
        if condition is Condition.EQUITY_BELOW_ZERO:
            equity = margin.equity(state, loser)
            holds.append(None if equity is None else equity < 0)
        else:
            fund = fund_equity(state)
            holds.append(None if fund is None else fund <= 0)
    if False in holds:
        return False
    return None if None in holds else True


def trigger_gaps(state: State, loser: int, policy: Policy) -> list[str]:
    """Name why the record does not decide the policy's trigger; nothing where each of its conditions is known."""
    gaps = _equity_gaps(state, loser) if Condition.EQUITY_BELOW_ZERO in policy.trigger else []
    lacks_fund = Condition.FUND_EMPTY in policy.trigger and fund_equity(state) is None
    return [*gaps, MISSING_FUND] if lacks_fund else gaps


def fund_equity(state: State) -> int | None:
    """Return the equity of all fund accounts together; None where the record has none, or does not tell one's equity."""
    total = None
    for account in state.accounts:
        if account.role is Role.FUND:
            equity = margin.equity(state, account.account)
            if equity is None:
                return None
            total = equity + (total or 0)
    return total


def _market_gaps(state: State, market: int, without: int | None, among: Collection[int] | None) -> list[str]:
    """Name what a market lacks for any ranking: its mark, or holders that the record does not show."""
    gaps = [] if state.marks[market] else [MISSING_MARK]
    if (among is None and state.partial[market]) or _has_unknown_holders(state, market, without, among):
        gaps.append(MISSING_CANDIDATES)
    return gaps


def _has_unknown_holders(state: State, market: int, without: int | None, among: Collection[int] | None) -> bool:
    """Return whether an account that can be a candidate may hold ``market`` with a size that is not on record."""
    held = state.positions[market]
    unknown = [account for account, position in held.items() if position.unknown & SIZE_UNKNOWN]
    if not all(state.cash_known):  # the common case is a record that knows all cash, and many accounts
        unknown += [account for account, known in enumerate(state.cash_known) if not known and account not in held]
    return any(account != without and _eligible(state, account, among) for account in unknown)


def _equity_gaps(state: State, account: int) -> list[str]:
    """Name why an account's equity is undecidable; nothing where it is known."""
    if margin.equity(state, account) is not None:
        return []
    if not state.cash_known[account]:
        return [MISSING_CASH]
    held = [positions[account] for positions in state.positions if account in positions]
    return [MISSING_CANDIDATES if any(position.unknown & SIZE_UNKNOWN for position in held) else MISSING_MARK]


def loser_size(state: State, round: AdlRound) -> int | None:  # noqa: A002  the field's own word
    """Return the loser's signed position in the round's market, None where the record does not show it."""
    position = state.positions[round.market].get(round.loser)
    if position is None:
        return 0 if state.cash_known[round.loser] else None
    return None if position.unknown & SIZE_UNKNOWN else position.size


def in_order(missing: Sequence[str]) -> tuple[str, ...]:
    """Return the names of missing inputs, each once, in the order of ``MISSING_INPUTS``."""
    return tuple(name for name in MISSING_INPUTS if name in missing)
