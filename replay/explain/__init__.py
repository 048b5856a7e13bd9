"""The explanation of an ADL round, and of one account in it: why me, how much, at which price, and what else could have been.

Everything comes from the functions that plan and audit (``replay.core``), from the state just before the round; nothing is
computed twice in another way. What the record does not tell is None, and what is missing is named.

Definitions, by the id that is printed beside a figure:

- ``Q01.trigger``: each condition of the policy's trigger with what it looked at.
- ``Q01.rank``: the account's place among all candidates of the round in the order of the policy's key, from 1.
- ``Q01.score``: return and leverage of the account and the score they make, exact.
- ``Q01.share``: under a level, what the account's weight is of all weights, and what that makes of the amount.
- ``Q01.neighbours``: who stood before and behind, the last one taken and the first one spared, by the record.
- ``Q01.above``: the first measure in which two accounts differ, in the order of the key.
- ``Q01.need``: how much was to be closed or paid, and how much was.
- ``Q05.price``: the closes' price beside the references, in bps, above zero better for the winner.
- ``Q11.policies``: what each preset would have taken of the account (of all accounts, where none is asked about) with the same
  need, from the same state, at its own price.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from events.errors import MisuseError
from events.model import AdlRound
from replay.audit.comparing import Decision, Difference, decide, first_difference, lacking, read_policy
from replay.audit.rounds import RoundRecord
from replay.core import margin
from replay.core.missing import in_order, loser_size
from replay.core.plan import Plan
from replay.core.policy import FillKind, Order, Policy, Side, policy_for
from replay.core.ranking import Ranked, Ranking, listed_for, rank
from replay.core.spelling import spell_measure
from replay.core.state import SIZE_UNKNOWN, State
from replay.core.triggers import Evaluated, evaluated, fund_equity
from replay.explain.shares import Share, share_of_account
from replay.explain.situation import Origins, Situation
from replay.ordering.measuring import Measured, measure_account

__all__ = ["Alternative", "Comparison", "Explanation", "Listed", "Neighbour", "Prices", "Standing", "Step", "explain"]


class Prices(Struct, frozen=True):
    """What the closes cost beside the references.

    ``low`` and ``high`` are recorded, of the account's closes where one is asked about, ``planned`` is the policy's; None where
    there is none or it is not known.
    """

    planned: int | None
    low: int | None
    high: int | None
    mark: int | None
    previous_mark: int | None
    oracle: int | None
    bankruptcy: int | None


class Listed(Struct, frozen=True):
    """A place in a list that the venue recorded.

    ``place`` of ``length``, from 1, is in the order in which the rule goes through it, ``as_recorded`` in the list itself.
    """

    place: int
    length: int
    as_recorded: int
    seed: bytes | None


class Neighbour(Struct, frozen=True):
    """A candidate beside the account asked about, with what the record took of it (lots, or money) and the plan."""

    label: str
    row: Ranked
    taken: int
    planned: int


class Standing(Struct, frozen=True):
    """The account asked about in the round. ``size`` is its signed position, None where not known.

    ``taken`` is what the record took of it, ``planned`` what the policy would, in lots or, where only money moves, in money;
    None where there is no plan. ``seqs`` are its closes or charges. ``row`` is None where candidates cannot be ranked, or it is
    none of them; ``known`` is then what is known of what its score would need, None where it held nothing to score. The claims
    are what the venue says with its first close.
    """

    account: int
    is_loser: bool
    size: int | None
    equity: int | None
    taken: int
    planned: int | None
    seqs: tuple[int, ...]
    row: Ranked | None
    share: Share | None
    listed: Listed | None
    known: Measured | None
    equity_claim: int | None
    rank_claim: int | None
    size_claim: int | None


class Step(Struct, frozen=True):
    """One measure of a key for two accounts, as exact fractions or None where it has none.

    ``ahead`` is 1 where it puts the first account before the other, -1 where behind it, 0 where they are equal.
    """

    measure: str
    one: tuple[int, int] | None
    other: tuple[int, int] | None
    ahead: int


class Comparison(Struct, frozen=True):
    """Why ``account`` stands where it does beside ``other``: the measures of the key up to the first that differs."""

    account: int
    other: int
    steps: tuple[Step, ...]
    account_row: Ranked | None
    other_row: Ranked | None
    other_taken: int


class Alternative(Struct, frozen=True):
    """What a preset would have done: ``size`` lots and ``cash`` of the account, or of all where none is asked about.

    ``accounts`` is how many it would have closed or charged. ``holds`` says whether its trigger would have held. With anything
    ``missing`` it makes no plan.
    """

    preset: str
    size: int
    cash: int
    price: int | None
    accounts: int
    holds: bool | None
    missing: tuple[str, ...]


class Explanation(Struct, frozen=True):
    """All of it. ``verdict`` is the audit's for the round; amounts are in the units of the ledger.

    ``later`` names accounts that the state does not know yet.
    """

    record: RoundRecord
    decision: Decision
    verdict: str
    difference: Difference | None
    trigger: tuple[Evaluated, ...]
    loser_equity: int | None
    fund: int | None
    ranking: Ranking
    accounts_taken: int
    amount_taken: int
    prices: Prices
    standing: Standing | None
    neighbours: tuple[Neighbour, ...]
    comparison: Comparison | None
    alternatives: tuple[Alternative, ...]
    origins: Origins
    later: Mapping[int, str]


def explain(found: Situation, presets: Mapping[str, Policy]) -> Explanation:
    """Return the explanation of a round and, where one is asked about, of an account in it.

    Raises ``MisuseError`` where there is nothing to compare two accounts by: no policy that can be read is in force.
    """
    state, record, event = found.state, found.record, found.record.event
    number = policy_for(state, event.market)
    rule, unread = (None, ()) if number is None else read_policy(state, number)
    decision = decide(state, event, number, rule, unread)
    difference = first_difference(record, decision)
    verdict = difference.field if difference else "undecidable" if decision.missing else "reproduced"
    ranking = Ranking((), decision.missing) if rule is None else _rank(state, event, rule)
    taken = _taken(record)
    standing = None if found.account is None else _standing(found, found.account, decision, ranking, taken)
    return Explanation(
        record=record,
        decision=decision,
        verdict="open" if verdict == "reproduced" and not record.over and lacking(record, decision) else verdict,
        difference=difference,
        trigger=() if rule is None else tuple(evaluated(state, event, rule)),
        loser_equity=margin.equity(state, event.loser),
        fund=fund_equity(state, rule),
        ranking=ranking,
        accounts_taken=len(taken),
        amount_taken=sum(taken.values()),
        prices=_prices(state, record, decision, found.account),
        standing=standing,
        neighbours=_neighbours(decision, ranking, taken, standing),
        comparison=_comparison(found, decision, ranking, taken),
        alternatives=tuple(_alternative(found, name, replace(policy, policy=number or 0)) for name, policy in presets.items()),
        origins=found.origins,
        later=found.later,
    )


def _rank(state: State, event: AdlRound, rule: Policy) -> Ranking:
    size = event.size or loser_size(state, event)
    listed, missing = listed_for(state, event, rule)
    if missing:
        return Ranking((), in_order(missing))
    return rank(state, event.market, -1 if (size or 0) > 0 else 1, rule, without=event.loser, among=listed)


def _taken(record: RoundRecord) -> dict[int, int]:
    """Return what the record took of each account: lots or, where only money moved, money."""
    taken: dict[int, int] = {}
    for close in record.closes:
        taken[close.event.winner] = taken.get(close.event.winner, 0) + close.event.size
    for charge in record.charges:
        taken[charge.payer] = taken.get(charge.payer, 0) + charge.cash
    return taken


def _given(planned: Plan) -> dict[int, int]:
    closes = {close.winner: close.size for close in planned.closes}
    return {**closes, **{charge.payer: charge.cash for charge in planned.charges}}


# ---- The account asked about


def _standing(found: Situation, account: int, decision: Decision, ranking: Ranking, taken: Mapping[int, int]) -> Standing:
    state, record = found.state, found.record
    event, rule = record.event, decision.rule
    row = next((one for one in ranking.ranked if one.account == account), None)
    mine = [close for close in record.closes if close.event.winner == account]
    claim = mine[0].event if mine else None
    seen = account < len(state.accounts)
    start = None if claim is None else claim.buyer_start_claim if claim.buyer == account else claim.seller_start_claim
    level = rule is not None and rule.fill.kind is not FillKind.QUEUE
    size = _size(state, event.market, account) if seen else None
    unscored = rule is not None and row is None and seen and (size != 0 or rule.scope.side is Side.ACCOUNTS)
    return Standing(
        account=account,
        is_loser=account == event.loser,
        size=size,
        equity=margin.equity(state, account) if seen else None,
        taken=taken.get(account, 0),
        planned=None if rule is None or decision.missing else _given(decision.plan).get(account, 0),
        seqs=(*(close.seq for close in mine), *(charge.seq for charge in record.charges if charge.payer == account)),
        row=row,
        share=share_of_account(state, event, decision, account) if rule is not None and level and row else None,
        listed=None if rule is None else _listed(state, event, rule, account),
        known=measure_account(state, event.market, account, rule) if rule is not None and unscored else None,
        equity_claim=None if claim is None else claim.winner_equity_claim,
        rank_claim=None if claim is None else claim.rank_claim,
        size_claim=start,
    )


def _size(state: State, market: int, account: int) -> int | None:
    held = state.positions[market].get(account)
    if held is None:
        return 0 if state.cash_known[account] else None
    return None if held.unknown & SIZE_UNKNOWN else held.size


def _listed(state: State, event: AdlRound, rule: Policy, account: int) -> Listed | None:
    if rule.key.order is Order.SCORE:
        return None
    listed, missing = listed_for(state, event, rule)
    recorded = list(dict.fromkeys(state.rounds[event.round].candidates))
    if missing or not listed or account not in listed:
        return None
    return Listed(listed.index(account) + 1, len(listed), recorded.index(account) + 1, event.seed)


def _neighbours(
    decision: Decision, ranking: Ranking, taken: Mapping[int, int], standing: Standing | None
) -> tuple[Neighbour, ...]:
    """Return the one above and the one below the account, the last one taken and the first one spared, by place.

    For the round as a whole the first two candidates stand in place of the account's neighbours.
    """
    ranked = ranking.ranked
    if not ranked:
        return ()
    labels: dict[int, list[str]] = {}
    if standing is None:
        labels[0] = ["first"]
    elif standing.row is not None:
        at = standing.row.rank - 1
        labels = {at - 1: ["above"], at: ["you"], at + 1: ["below"]}
    places = [place for place, one in enumerate(ranked) if one.account in taken]
    spared = next((place for place, one in enumerate(ranked) if one.account not in taken and one.lots), None)
    for label, place in (("last taken", places[-1] if places else None), ("first spared", spared)):
        if place is not None:
            labels.setdefault(place, []).append(label)
    given = _given(decision.plan)
    return tuple(
        Neighbour(
            ", ".join(labels[place]), ranked[place], taken.get(ranked[place].account, 0), given.get(ranked[place].account, 0)
        )
        for place in sorted(labels)
        if 0 <= place < len(ranked)
    )


# ---- Two accounts beside each other


def _comparison(found: Situation, decision: Decision, ranking: Ranking, taken: Mapping[int, int]) -> Comparison | None:
    if found.above is None or found.account is None:
        return None
    if decision.rule is None:
        raise MisuseError("two accounts cannot be compared: no policy that can be read is in force for this market.")
    rows = {one.account: one for one in ranking.ranked}
    one, other = rows.get(found.account), rows.get(found.above)
    steps = () if one is None or other is None else _steps(found.state, found.record.event, decision.rule, one, other)
    return Comparison(found.account, found.above, steps, one, other, taken.get(found.above, 0))


def _steps(state: State, event: AdlRound, rule: Policy, one: Ranked, other: Ranked) -> tuple[Step, ...]:
    """Return the measures of the key up to the first that differs. ``ahead`` is 1 where the first account comes first."""
    steps = []
    for name, left, right, highest in _measures(state, event, rule, one, other):
        ahead = 0
        if (left is None) is not (right is None):
            ahead = 1 if one.rank < other.rank else -1
        elif left is not None and right is not None:
            above = left[0] * right[1] - right[0] * left[1]
            ahead = 0 if above == 0 else 1 if (above > 0) is highest else -1
        steps.append(Step(name, left, right, ahead))
        if ahead:
            break
    return tuple(steps)


_Exact = tuple[int, int] | None


def _measures(
    state: State, event: AdlRound, rule: Policy, one: Ranked, other: Ranked
) -> list[tuple[str, _Exact, _Exact, bool]]:
    """Return every measure of a key: its name, both values, and whether the highest comes first."""
    found: list[tuple[str, _Exact, _Exact, bool]] = []
    owner = state.accounts[event.loser].owner
    if rule.scope.own_first:
        own = [(int(state.accounts[row.account].owner == owner), 1) for row in (one, other)]
        found.append(("of the loser's owner", own[0], own[1], True))
    if rule.key.order is not Order.SCORE:
        found.append(("place in the list", (one.rank, 1), (other.rank, 1), False))
        return found
    if rule.key.returns is not None:
        found.append(("score", one.score, other.score, True))
    ties = zip(rule.key.ties, one.ties, other.ties, strict=True)
    found += [(spell_measure(tie.measure), left, right, tie.descending) for tie, left, right in ties]
    found.append(("account id", (one.account, 1), (other.account, 1), rule.key.newest_first))
    return found


# ---- Prices and other policies


def _prices(state: State, record: RoundRecord, decision: Decision, account: int | None) -> Prices:
    market = record.event.market
    closes = [close.event for close in record.closes if account in (None, record.event.loser, close.event.winner)]
    prices = [close.price for close in closes]
    return Prices(
        planned=decision.price,
        low=min(prices, default=None),
        high=max(prices, default=None),
        mark=state.marks[market] or record.event.mark,
        previous_mark=state.previous_marks[market] or None,
        oracle=state.oracles[market] or record.event.oracle,
        bankruptcy=margin.bankruptcy_price(state, record.event.loser, market),
    )


def _alternative(found: Situation, name: str, policy: Policy) -> Alternative:
    account, event = found.account, found.record.event
    decision = decide(found.state, event, event.policy, policy)
    made = decision.plan
    closes = [close for close in made.closes if account is None or close.winner == account]
    charges = [charge for charge in made.charges if account is None or charge.payer == account]
    return Alternative(
        preset=name,
        size=sum(close.size for close in closes),
        cash=sum(charge.cash for charge in charges),
        price=decision.price,
        accounts=len(_given(made)),
        holds=decision.holds,
        missing=made.missing,
    )
