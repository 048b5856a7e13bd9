"""One ADL round: its opening, whom it listed where its rule needs a list, and what the plan of it does.

The plan is that of ``replay.core.plan``, from the state just before the round. So an audit of what is written here, under the
policy in force, makes the same plan.
"""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from events.errors import MisuseError
from events.model import (
    CANDIDATES_MAX,
    ROUNDING,
    AdlCandidates,
    AdlClose,
    AdlRound,
    AnyEvent,
    Candidate,
    PoolBalance,
    PriceRule,
    Reason,
    Role,
    Taker,
    Transfer,
)
from events.times import NS_PER_SECOND
from replay.core import margin
from replay.core.candidates import gather
from replay.core.engine.inputs import Moment
from replay.core.engine.liquidation import Holding, residual, sides
from replay.core.plan import PlannedCharge, PlannedClose, plan
from replay.core.policy import Base, Order, Policy, Price, Quantity, policy_for
from replay.core.pricing import close_price, target_cash, target_size
from replay.core.spelling import parse_policy
from replay.core.state import Round, State
from replay.core.triggers import evaluated, fund_pools, trigger_gaps, triggered

__all__ = ["adl_round", "draft_round", "holds", "looks_at", "policy_in_force"]

_PRICE_RULES = {
    Base.BANKRUPTCY: PriceRule.BANKRUPTCY,
    Base.MARK: PriceRule.MARK,
    Base.PREVIOUS_MARK: PriceRule.PREVIOUS_MARK,
    Base.ORACLE: PriceRule.ORACLE,
    Base.STATED: PriceRule.UNKNOWN,
    Base.NONE: PriceRule.OTHER,
}
_SEED_BYTES = 8


def policy_in_force(state: State, market: int) -> Policy:
    """Return the policy in force for a market. Raises ``MisuseError`` where there is none."""
    number = policy_for(state, market)
    if number is None:
        symbol = state.markets[market].listed.symbol
        raise MisuseError(f"no ADL policy is in force for {symbol}.", cure="Adopt one first.")
    return parse_policy(state.policies[number])


def looks_at(policy: Policy, quantity: Quantity) -> bool:
    """Return whether a policy's trigger begins by that quantity."""
    return any(condition.quantity is quantity for clause in policy.trigger.start for condition in clause)


def draft_round(state: State, account: int, holding: Holding, policy: Policy, moment: Moment) -> AdlRound:
    """Return the opening of a round about ``account``'s position, with the policy's target and price.

    What a policy leaves to the venue is decided here: the whole position, the whole deficit, the bankruptcy price. The size is
    0 where nothing is to be closed, and then it is no event. What the record lacks stays None, for the plan to name it.
    """
    market, size = holding
    equity = margin.equity(state, account)
    bankruptcy = margin.bankruptcy_price(state, account, market)
    left_to_venue = policy.target.stated
    draft = AdlRound(
        moment.at_ns,
        moment.source,
        moment.row,
        round=len(state.rounds),
        loser=account,
        market=market,
        size=size if left_to_venue and not policy.fill.cash else None,
        price=bankruptcy if policy.price.base is Base.STATED else None,
        price_rule=_price_rule(policy.price),
        mark=state.marks[market] or None,
        oracle=state.oracles[market] or None,
        bankruptcy=bankruptcy,
        policy=policy.policy,
        pools=_balances(state, policy),
        need_cash=max(-(equity or 0), 0) if left_to_venue and policy.fill.cash else None,
        as_of=None,
        cause=None,
        seed=_seed(moment) if policy.key.order is Order.ROTATION else None,
    )
    if policy.fill.cash:
        return replace(draft, need_cash=target_cash(state, draft, policy))
    draft = replace(draft, price=close_price(state, draft, policy).price)
    return replace(draft, size=target_size(state, draft, policy))


def _balances(state: State, policy: Policy) -> tuple[PoolBalance, ...]:
    """Return what the fund's pools have; one that is not on record, or whose equity is not known, is left out."""
    # A policy names its pools by number, and may name one that no event has opened.
    balances = [(fund, margin.equity(state, fund)) for fund in fund_pools(state, policy) if fund < len(state.accounts)]
    return tuple(PoolBalance(fund, balance) for fund, balance in balances if balance is not None)


def _price_rule(price: Price) -> PriceRule:
    if price.to_winner is not None:
        return PriceRule.REFERENCE_SPREAD
    return PriceRule.CAPPED_MARK if price.capped and price.base is Base.MARK else _PRICE_RULES[price.base]


def _seed(moment: Moment) -> bytes:
    return (moment.at_ns // NS_PER_SECOND).to_bytes(_SEED_BYTES, "big", signed=True)


def holds(state: State, opened: AdlRound, policy: Policy) -> bool:
    """Return whether the policy's trigger holds for a round. Raises ``MisuseError`` naming what the record lacks to tell."""
    holding = triggered(state, opened, policy)
    if holding is None:
        raise _undecided(opened, trigger_gaps(state, opened, policy))
    return holding


def _undecided(opened: AdlRound, missing: Sequence[str]) -> MisuseError:
    return MisuseError(f"no ADL plan can be made for account {opened.loser}: missing {', '.join(missing)}.")


def adl_round(state: State, opened: AdlRound, holding: Holding, policy: Policy, moment: Moment) -> tuple[AnyEvent, ...]:
    """Return the events of a round: its opening, its list, its closes or charges. None where nobody can bear anything."""
    if opened.size == 0 or opened.need_cash == 0 or _has_no_price(opened, policy):
        return ()
    events: list[AnyEvent] = [opened]
    if policy.key.order is not Order.SCORE:
        listed = _candidates(state, opened, holding, policy)
        if not listed:
            return ()
        events += _listing(opened, listed)
        accounts = [candidate.account for candidate in listed]
        # The state as the plan will be asked of it, with the list on record.
        state = replace(state, rounds=[*state.rounds, Round(opened, state.seq + 1, candidates=accounts, part=1, parts=1)])
    decided = plan(state, opened, policy)
    if decided.missing:
        raise _undecided(opened, decided.missing)
    if decided.closes and policy.target.stated and looks_at(policy, Quantity.POOL_FACTOR):
        lots = _lots_until_stop(state, opened, policy, decided.closes)
        opened = replace(opened, size=lots if holding[1] > 0 else -lots)
        events[0], decided = opened, plan(state, opened, policy)
    if decided.closes:
        closes = list(_closes(state, opened, holding, decided.closes, moment))
        return (*events, *closes, *_after_closes(state, opened, closes, policy, moment))
    if decided.charges:
        return (*events, *_charges(state, opened, decided.charges, moment))
    return ()


def _has_no_price(opened: AdlRound, policy: Policy) -> bool:
    """Return whether the policy needs a bankruptcy price that there is not.

    It is no gap in the record: no positive price of an inverse contract brings in enough, or positions share a margin of zero.
    """
    needed = policy.price.capped or policy.price.base in {Base.BANKRUPTCY, Base.STATED}
    return needed and opened.bankruptcy is None


def _lots_until_stop(state: State, opened: AdlRound, policy: Policy, closes: Sequence[PlannedClose]) -> int:
    """Return of how many lots the closes bring the other side's profit over the pool down to where the trigger stops.

    The venue chooses the size, and must neither stop short nor go further (GMX v2: ``PnlOvercorrected``). A profit x that is
    paid out leaves both: (profit - x) / (pool - x) is to be the bound. All of them where the policy has no such stop.
    """
    conditions = [one for one in evaluated(state, opened, policy) if one.condition.quantity is Quantity.POOL_FACTOR]
    bound = next((one.condition.bound for one in conditions if one.stop), None)
    pool = sum(margin.balance(state, one.account) or 0 for one in state.accounts if one.role is Role.VAULT)
    lots, factor = 0, conditions[0].left
    if bound is None or factor is None or pool <= 0 or bound.numerator >= bound.denominator:
        return sum(close.size for close in closes)
    top = pool * (factor.numerator * bound.denominator - bound.numerator * factor.denominator)
    wanted = -(-top // (factor.denominator * (bound.denominator - bound.numerator)))
    for close in closes:
        size = abs(state.positions[opened.market][close.winner].size)
        profit = margin.unrealised(state, close.winner, opened.market) or 0
        if profit > 0 and profit * close.size >= wanted * size:
            return lots + max(-(-wanted * size // profit), 1)
        lots += close.size
        wanted -= profit * close.size // size
    return lots


def _candidates(state: State, opened: AdlRound, holding: Holding, policy: Policy) -> list[Candidate]:
    """Return all candidates by ascending account: the list of a rule that goes by a list."""
    found = gather(state, opened.market, -1 if holding[1] > 0 else 1, policy.scope, without=opened.loser)
    if found.unseen:
        raise _undecided(opened, found.unseen)
    sizes = dict(zip(found.accounts, found.sizes, strict=True))
    return [Candidate(account, sizes[account], None, None, None) for account in sorted(sizes)]


def _listing(opened: AdlRound, listed: Sequence[Candidate]) -> Iterator[AdlCandidates]:
    at = (opened.at_ns, opened.source, opened.row)
    parts = -(-len(listed) // CANDIDATES_MAX)
    for part in range(parts):
        some = tuple(listed[part * CANDIDATES_MAX : (part + 1) * CANDIDATES_MAX])
        yield AdlCandidates(*at, opened.round, part + 1, parts, some)


def _closes(
    state: State, opened: AdlRound, holding: Holding, planned: Sequence[PlannedClose], moment: Moment
) -> Iterator[AdlClose]:
    """Yield the planned closes with what each side holds just before."""
    size = held = holding[1]
    for number, close in enumerate(planned):
        buyer, seller = sides(opened.loser, close.winner, size)
        start = {opened.loser: held, close.winner: state.positions[opened.market][close.winner].size}
        yield AdlClose(
            moment.at_ns,
            moment.source,
            moment.row,
            market=opened.market,
            buyer=buyer,
            seller=seller,
            price=close.price,
            size=close.size,
            buyer_fee=0,
            seller_fee=0,
            trade=moment.trade + number,
            taker=Taker.UNKNOWN,
            buyer_order=None,
            seller_order=None,
            buyer_start_claim=start[buyer],
            seller_start_claim=start[seller],
            buyer_profit_claim=None,
            seller_profit_claim=None,
            round=opened.round,
            winner=close.winner,
            mark=opened.mark,
            winner_equity_claim=margin.equity(state, close.winner),
            rank_claim=close.rank,
        )
        held += close.size if size < 0 else -close.size


def _after_closes(state: State, opened: AdlRound, closes: Sequence[AdlClose], policy: Policy, moment: Moment) -> list[AnyEvent]:
    """Return the transfer of what rounding left, where the closes were at the bankruptcy price."""
    if policy.price.base is not Base.BANKRUPTCY or policy.price.to_winner is not None:
        return []
    return residual(state, opened.loser, closes, moment)


def _charges(state: State, opened: AdlRound, charges: Sequence[PlannedCharge], moment: Moment) -> list[AnyEvent]:
    """Return the payments to the loser; what they bring beyond its deficit, by rounding up, goes to ``ROUNDING``."""
    at = (moment.at_ns, moment.source, moment.row)
    events: list[AnyEvent] = [
        Transfer(*at, charge.payer, opened.loser, charge.cash, Reason.SOCIALISED_LOSS, f"round {opened.round}")
        for charge in charges
    ]
    over = (margin.equity(state, opened.loser) or 0) + sum(charge.cash for charge in charges)
    if over > 0:
        events.append(Transfer(*at, opened.loser, ROUNDING, over, Reason.RESIDUAL, None))
    return events
