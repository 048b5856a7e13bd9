"""A round as it meets a policy, and what the policy's acts do there: the figures of one round under one policy.

The scene is the same for all policies: the state just before the round, its mark, its need, and who could be closed. An act is
what one of them does in it, or what the record says was done.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from events.model import AdlRound
from replay.core import margin
from replay.core.candidates import gather
from replay.core.missing import MISSING_CANDIDATES, MISSING_LOSER, MISSING_MARK, equity_gaps, in_order, loser_size
from replay.core.policy import Atom, Ratio, Scope, Side
from replay.core.state import SIZE_UNKNOWN, State
from replay.whatif.shares import largest_share

__all__ = ["PAID", "Act", "Figures", "Known", "Scene", "Taken", "figures_of", "scene_of"]

_OPPOSITE = Scope(Side.OPPOSITE)
PAID = "contracts: this rule moves money"
"""Why there is no need by lots."""

_LEFT = "deficit that the round before left"


class Known(NamedTuple):
    """An amount, or None and the names of what is missing to say it."""

    amount: int | None
    missing: tuple[str, ...] = ()


class Taken(NamedTuple):
    """What one account gives in a round: ``lots`` of contracts at ``price``, or ``cash`` where only money moves."""

    account: int
    lots: int
    price: int
    cash: int


class Act(Struct, frozen=True):
    """What is done in a round. With anything ``missing`` it cannot be told and nothing is taken.

    ``long`` says on which side the loser is, None where it is not known. ``drawn`` is what a fund of another size would have
    paid before, in money units. ``paid`` says that the rule moves money and no contracts.
    """

    taken: tuple[Taken, ...]
    long: bool | None
    missing: tuple[str, ...] = ()
    drawn: int = 0
    paid: bool = False


class Scene(Struct, frozen=True):
    """A round just before its first close. Money in money units; ``size`` is the loser's signed position.

    ``need`` is the deficit that the round finds new: the loser's deficit less what the round before left of it. ``episode``
    counts such deficits: all rounds of one loser until one leaves none. ``gains`` are of the ``candidates``: the positive
    part of the unrealised profit of the position.
    """

    event: AdlRound
    episode: int
    size: Known
    mark: Known
    need: Known
    candidates: tuple[int, ...]
    gains: Mapping[int, int | None]
    unseen: tuple[str, ...]


class Figures(Struct, frozen=True):
    """What one act did. Money in money units, ``notional`` at mark.

    ``hit`` are the accounts, sorted, of an act that can be told; ``untold`` names what is missing to tell it. ``burdens`` is by
    account: value given up and notional, empty where the mark is missing. ``survivor`` is the largest gain that a candidate
    keeps. ``orphaned`` are owners, sorted.
    """

    episode: int
    market: int
    need: Known
    need_notional: Known
    used: Known
    notional: Known
    lots: Known
    hit: tuple[int, ...]
    untold: tuple[str, ...]
    burdens: Mapping[int, tuple[int, int]]
    candidates: tuple[int, ...]
    unseen: tuple[str, ...]
    survivor: Known
    gain_share: tuple[Ratio | None, tuple[str, ...]]
    equity_share: tuple[Ratio | None, tuple[str, ...]]
    orphaned: tuple[int, ...]
    orphan_gaps: tuple[str, ...]


def scene_of(state: State, event: AdlRound, episode: int, left: int | None) -> Scene:
    """Return the scene of a round, from the state just before it. ``left`` is what the round before left of the deficit."""
    held = loser_size(state, event)
    size = held or event.size
    mark = state.marks[event.market]
    listed = state.rounds[event.round].candidates if event.round < len(state.rounds) else []
    unseen: list[str] = []
    found: dict[int, int | None] = {}
    for side in (1, -1):
        if size is None or size * side < 0:
            side_of = gather(state, event.market, side, _OPPOSITE, without=event.loser, among=listed or None)
            unseen += side_of.unseen
            for place, account in enumerate(side_of.accounts):
                found[account] = side_of.figure(Atom.GAIN, place)
    if size is None:
        unseen.append(MISSING_LOSER)
    return Scene(
        event=event,
        episode=episode,
        size=Known(None, (MISSING_LOSER,)) if held is None else Known(held),
        mark=Known(mark) if mark else Known(None, (MISSING_MARK,)),
        need=_need(state, event.loser, left),
        candidates=tuple(sorted(found)),
        gains=found,
        unseen=in_order(unseen),
    )


def _need(state: State, loser: int, left: int | None) -> Known:
    equity = margin.equity(state, loser)
    if equity is None:
        return Known(None, tuple(equity_gaps(state, loser)))
    return Known(None, (_LEFT,)) if left is None else Known(max(-equity, 0) - left)


def figures_of(state: State, scene: Scene, act: Act, owned: Mapping[int, Sequence[int]]) -> Figures:
    """Return what an act did in a scene. ``owned`` are the accounts of each owner; ``state`` is as just before the round."""
    lacks = act.missing
    moved = [one for one in act.taken if one.lots]
    if moved and not lacks:
        lacks = (*scene.mark.missing, *((MISSING_LOSER,) if act.long is None else ()))
    burdens = {} if lacks else _burdens(state, scene, act)
    used = Known(None, lacks) if lacks else Known(sum(value for value, _ in burdens.values()))
    orphaned, gaps = ([], []) if act.missing else _orphaned(state, scene, act, owned)
    return Figures(
        episode=scene.episode,
        market=scene.event.market,
        need=_need_left(scene.need, act.drawn),
        need_notional=Known(None, (PAID,)) if act.paid else _need_notional(state, scene),
        used=used,
        notional=Known(None, lacks) if lacks else Known(sum(notional for _, notional in burdens.values())),
        lots=Known(None, act.missing) if act.missing else Known(sum(one.lots for one in moved)),
        hit=tuple(sorted({one.account for one in act.taken})),
        untold=act.missing,
        burdens=burdens,
        candidates=scene.candidates,
        unseen=scene.unseen,
        survivor=_survivor(scene, burdens, lacks),
        gain_share=_share(burdens, _gains(state, scene, act), lacks),
        equity_share=_share(burdens, {one.account: _equity(state, one.account) for one in act.taken}, lacks),
        orphaned=tuple(sorted(orphaned)),
        orphan_gaps=tuple(dict.fromkeys([*act.missing, *gaps])),
    )


def _need_left(need: Known, drawn: int) -> Known:
    return need if need.amount is None or not drawn else Known(max(need.amount - drawn, 0))


def _need_notional(state: State, scene: Scene) -> Known:
    size, mark = scene.size.amount, scene.mark.amount
    if size is None or mark is None:
        return Known(None, in_order([*scene.size.missing, *scene.mark.missing]))
    return Known(abs(margin.market_value(state.markets[scene.event.market], size, mark)))


def _burdens(state: State, scene: Scene, act: Act) -> dict[int, tuple[int, int]]:
    """Return by account what it gave up against mark or paid, and the notional at mark that it was closed."""
    market = state.markets[scene.event.market]
    given: dict[int, tuple[int, int]] = {}
    for one in act.taken:
        value, notional = given.get(one.account, (0, 0))
        value += one.cash
        if one.lots and scene.mark.amount is not None:
            sold = one.lots if act.long else -one.lots
            at_mark = margin.market_value(market, sold, scene.mark.amount)
            value += margin.market_value(market, sold, one.price) - at_mark
            notional += abs(at_mark)
        given[one.account] = (value, notional)
    return given


def _equity(state: State, account: int) -> int | None:
    # An account that is opened only with its close, after its round began, is not in the state before that.
    return margin.equity(state, account) if account < len(state.accounts) else None


def _gains(state: State, scene: Scene, act: Act) -> dict[int, int | None]:
    """Return the unrealised profit of those who are hit: of the position closed, of all positions of one who pays."""
    found: dict[int, int | None] = {}
    for one in act.taken:
        if one.account >= len(state.accounts):
            found[one.account] = None
        elif one.cash:
            found[one.account] = margin.profit(state, one.account)
        else:
            found[one.account] = margin.unrealised(state, one.account, scene.event.market)
    return found


def _survivor(scene: Scene, burdens: Mapping[int, tuple[int, int]], lacks: tuple[str, ...]) -> Known:
    missing = [*lacks, *scene.unseen]
    if None in scene.gains.values():
        missing.append("profit of a candidate")
    if missing:
        return Known(None, tuple(dict.fromkeys(missing)))
    kept = [(gain or 0) - max(burdens.get(account, (0, 0))[0], 0) for account, gain in scene.gains.items()]
    return Known(max(0, *kept) if kept else 0)


def _share(
    burdens: Mapping[int, tuple[int, int]], capacities: Mapping[int, int | None], lacks: tuple[str, ...]
) -> tuple[Ratio | None, tuple[str, ...]]:
    if lacks:
        return None, lacks
    parts = []
    for account, (value, _) in burdens.items():
        capacity = capacities[account]
        if capacity is None and value > 0:
            return None, ("profit or equity of an account that was hit",)
        parts.append((value, capacity or 0))
    return largest_share(parts), ()


def _orphaned(state: State, scene: Scene, act: Act, owned: Mapping[int, Sequence[int]]) -> tuple[list[int], list[str]]:
    """Return the owners of whom a leg was closed while another of opposite sign stays, and what is missing to say so."""
    found: list[int] = []
    gaps: list[str] = []
    moved = [one for one in act.taken if one.lots]
    closed = sum(one.lots for one in moved)
    known = [one.account for one in moved if one.account < len(state.accounts)]
    if len(known) < len(moved):
        gaps.append(MISSING_CANDIDATES)
    for owner in sorted({state.accounts[account].owner for account in known}):
        stays = _loser_side(state, scene, act, owned[owner], closed)
        if stays:
            found.append(owner)
        elif stays is None:
            gaps.append(MISSING_CANDIDATES)
    return found, gaps


def _loser_side(state: State, scene: Scene, act: Act, accounts: Sequence[int], closed: int) -> bool | None:
    """Return whether one of the accounts still holds, anywhere, a position of the loser's sign, opposite to the winners'."""
    if act.long is None:
        return None
    undecided = False
    for account in accounts:
        held = state.holdings[account]
        undecided |= not state.cash_known[account] and len(held) < len(state.markets)
        for market, position in held.items():
            if position.unknown & SIZE_UNKNOWN:
                undecided = True
                continue
            left = position.size if act.long else -position.size
            if account == scene.event.loser and market == scene.event.market:
                left -= closed
            if left > 0:
                return True
    return None if undecided else False
