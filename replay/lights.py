"""The trader's ADL lights: everybody who stands on one side of a market, in the order in which ADL would close them now.

A place follows from the policy alone, so it is what a plan would take: with N lots to close, exactly those with fewer than N
ahead of them. What only a round brings is not in it: which accounts are the loser's owner's, where these come first, and whom a
close at the round's price would harm, where the scope leaves those out.

Buckets. A venue shows a trader one of ``Lights.count`` equal buckets: of the contracts added up in the order of the queue, or
of the accounts. The percentile is the place of the candidate's last contract, rounded up to the bucket's end. BitMEX's page
(app/autoDeleveragingExamples) does not say how its six percentiles are formed; cumulative contracts in steps of 20% give
them, account ranks do not (adl-rules.md section 3). Binance and Bybit count accounts (sections 4 and 5).

A policy that fills by a level has no queue: all bear a part at once. For it ``parts`` says who would give how much.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from events.errors import MisuseError
from replay.audit.comparing import read_policy
from replay.core import margin
from replay.core.missing import MISSING_MARK, MISSING_POLICY, in_order
from replay.core.policy import FillKind, Policy, Ratio, policy_for
from replay.core.ranking import Field, Ranked, currency_unit, field_of, rank
from replay.core.scoring import reduced
from replay.core.sharing import shared, weights
from replay.core.spelling import PARAMETERS
from replay.core.state import State
from replay.presets import NO_LIGHTS, Lights, LightsBy, Preset, presets

__all__ = ["Part", "Parts", "Place", "Rule", "SideQueue", "lights", "open_interest", "parts", "rule_for"]

ONE_PERCENT = Ratio(1, 100)
_PERCENT = 100


class Rule(Struct, frozen=True):
    """The rule by which a market's queue is read.

    ``policy`` is None where none is in force or its texts cannot be read, and ``missing`` says which. ``name`` is as recorded,
    or as given. ``preset`` is the shipped preset with these very texts, None where there is none: a ledger records a policy,
    not its venue's lights.
    """

    name: str | None
    policy: Policy | None
    lights: Lights = NO_LIGHTS
    preset: str | None = None
    missing: tuple[str, ...] = ()


class Place(Struct, frozen=True, gc=False):
    """A candidate's place in the queue.

    ``reach`` is what can be taken of it: lots, or money where only money moves. ``ahead`` is the reach of all before it.
    ``share`` is the exact place of its last contract, or of the account, in the whole queue; ``percentile`` is 100 times that,
    rounded up to the end of the bucket, exact without buckets. ``light`` is None without lights. All three are None of one
    from whom nothing can be taken.
    """

    ranked: Ranked
    reach: int
    ahead: int
    share: Ratio | None
    percentile: Ratio | None
    light: int | None


class SideQueue(Struct, frozen=True):
    """One side of a market in the order of the queue: ``places`` by rank, ``reach`` of all together.

    With anything ``missing`` nobody has a place.
    """

    places: tuple[Place, ...]
    reach: int
    missing: tuple[str, ...]


class Part(Struct, frozen=True, gc=False):
    """What a level takes of a candidate: ``given`` lots, or money where only money moves.

    ``share`` is its weight over the weight of all, None where the level has no fixed weights.
    """

    account: int
    size: int
    share: Ratio | None
    given: int


class Parts(Struct, frozen=True):
    """What each candidate would give of ``amount``, the largest part first: lots, or money where only money moves."""

    parts: tuple[Part, ...]
    amount: int
    missing: tuple[str, ...]


def rule_for(state: State, market: int, given: Preset | None = None) -> Rule:
    """Return the rule of a market's queue: ``given``, or the policy in force with the lights of the preset that it is."""
    if given is not None:
        return Rule(given.name, given.policy, given.lights)
    number = policy_for(state, market)
    if number is None:
        return Rule(None, None, missing=(MISSING_POLICY,))
    adopted = state.policies[number]
    texts = [getattr(adopted, name) for name in PARAMETERS]
    same = {key: one for key, one in presets().items() if [getattr(one.texts, name) for name in PARAMETERS] == texts}
    # Two venues can have one rule; the name says which, where it is the venue's.
    found = next((key for key, one in same.items() if one.name == adopted.name), next(iter(same), None))
    policy, missing = read_policy(state, number)
    return Rule(adopted.name, policy, NO_LIGHTS if found is None else same[found].lights, found, missing)


def lights(state: State, market: int, side: int, policy: Policy, lights: Lights = NO_LIGHTS) -> SideQueue:
    """Return the queue of those who hold ``side`` (1 long, -1 short) of a market under a policy, with the lights of its venue.

    Raises ``MisuseError`` for a policy without a queue: see ``parts``.
    """
    if policy.fill.kind is not FillKind.QUEUE:
        raise MisuseError(f"the policy {policy.name!r} has no queue.", cure="It fills by a level: ask for the parts.")
    ranking = rank(state, market, side, policy)
    if ranking.missing:
        return SideQueue((), 0, ranking.missing)
    reach = _reach(state, market, side, policy, ranking.ranked)
    return SideQueue(tuple(_places(ranking.ranked, reach, lights)), sum(reach), ())


def _reach(state: State, market: int, side: int, policy: Policy, ranked: Sequence[Ranked]) -> list[int]:
    if not policy.fill.cash:
        return [one.lots for one in ranked]
    field = field_of(state, market, side, policy, None, None)
    caps = dict(zip(field.candidates.accounts, _cash_caps(policy, field, 0), strict=True))
    return [caps[one.account] for one in ranked]


def _cash_caps(policy: Policy, field: Field, without: int) -> list[int]:
    if policy.fill.cap is None:
        return [without] * len(field.candidates)
    return [max(cap, 0) for cap in field.candidates.column(policy.fill.cap)]


def _places(ranked: Sequence[Ranked], reach: Sequence[int], lights: Lights) -> list[Place]:
    counts = [min(one, 1) for one in reach] if lights.by is LightsBy.ACCOUNTS else reach
    whole, passed, ahead = sum(counts), 0, 0
    places = []
    for one, lots, count in zip(ranked, reach, counts, strict=True):
        if lots == 0:
            places.append(Place(one, 0, ahead, None, None, None))
            continue
        passed += count
        places.append(Place(one, lots, ahead, reduced(passed, whole), *_shown(passed, whole, lights)))
        ahead += lots
    return places


def _shown(passed: int, whole: int, lights: Lights) -> tuple[Ratio, int | None]:
    """Return the percentile and the light of the place where ``passed`` of ``whole`` ends."""
    if not lights.count:
        return reduced(_PERCENT * passed, whole), None
    bucket = -(-passed * lights.count // whole)
    light = lights.high - (bucket - 1) if lights.highest_next else lights.low + bucket - 1
    return reduced(_PERCENT * bucket, lights.count), light


def open_interest(state: State, market: int) -> int:
    """Return the open interest on record, in lots: of both sides the larger, as an incomplete record may show one only."""
    sizes = [position.size for position in state.positions[market].values()]
    return max(sum(size for size in sizes if size > 0), -sum(size for size in sizes if size < 0))


def parts(state: State, market: int, side: int, policy: Policy, closed: Ratio = ONE_PERCENT) -> Parts:
    """Return what each on ``side`` would give if that share of the open interest were closed by a level.

    Contracts are closed as they are, rounded up to a lot. Where only money moves, what the share is worth at mark is raised,
    whichever side holds it. Raises ``MisuseError`` for a policy with a queue.
    """
    if policy.fill.kind is FillKind.QUEUE:
        raise MisuseError(f"the policy {policy.name!r} fills by a queue.", cure="Ask for its lights.")
    field = field_of(state, market, side, policy, None, None)
    mark, lots = state.marks[market], -(-open_interest(state, market) * closed.numerator // closed.denominator)
    missing = [*field.missing, *([] if mark or not policy.fill.cash else [MISSING_MARK])]
    if missing:
        return Parts((), 0, in_order(missing))
    amount = abs(margin.market_value(state.markets[market], lots, mark)) if policy.fill.cash else lots
    caps = _cash_caps(policy, field, amount) if policy.fill.cash else field.lots
    given = shared(policy, field.candidates, field.lots, caps, amount, currency_unit(state))
    by_weight = _weights(state, policy, field)
    whole = sum(by_weight.values())
    found = [
        Part(account, size, reduced(by_weight[account], whole) if whole else None, one)
        for account, size, one in zip(field.candidates.accounts, field.candidates.sizes, given, strict=True)
    ]
    return Parts(tuple(sorted(found, key=lambda part: (-part.given, part.account))), amount, ())


def _weights(state: State, policy: Policy, field: Field) -> Mapping[int, int]:
    """Return the weight of each candidate by account: 0 for all where the level has no fixed weights."""
    if policy.fill.kind is FillKind.SHARE:
        found = weights(policy, field.candidates.column, currency_unit(state))
    elif policy.fill.kind is FillKind.INDEX:
        found = field.lots
    else:
        found = [0] * len(field.candidates)
    return dict(zip(field.candidates.accounts, found, strict=True))
