"""The open loop: each recorded round alone, from the state as recorded just before it, under other rules.

Nothing is carried from one round to the next but the record itself, so a change that would have prevented a round does not
prevent those after it, and a rule that covers the whole deficit of a loser with several positions at its first round is asked
again at the next. The closed loop has no such effect. Columns: the record; the policy in force, carried out as the audit does;
then each change.

A round under a change. The fund, where its size is changed, is that large in every round: it pays first where its layer comes
before ADL, unless the trigger looks at its drawdown and holds, and what it leaves is the need. To such a trigger the change
itself is a fall or a rise of the fund: what the fund was before stays on record. What the round states of its
size, price or money is the venue's own choice, so another policy has its own target. A rule that goes by a list gets, where the
record has none, all candidates by account and the seed of the round's second, as the engine would give it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from events.errors import BadInputError, MisuseError
from events.model import AccountOpened, AdlRound, AnyEvent
from events.times import NS_PER_SECOND
from replay.audit.rounds import RoundRecord, read_rounds
from replay.core import margin
from replay.core.candidates import gather
from replay.core.missing import MISSING_FUND, MISSING_POLICY, loser_size
from replay.core.plan import plan
from replay.core.policy import LayerKind, Order, Policy, Quantity, policy_for
from replay.core.spelling import parse_texts
from replay.core.state import FundLevel, Round, State
from replay.core.triggers import fund_pools, trigger_gaps, triggered
from replay.whatif.change import UNCHANGED, Change, changed_texts, label_of, texts_of
from replay.whatif.metrics import Value, values_of
from replay.whatif.scene import Act, Figures, Scene, Taken, figures_of, scene_of

__all__ = ["IN_FORCE", "RECORD", "Column", "OpenLoop", "open_loop", "recorded"]

RECORD = "record"
IN_FORCE = "in force"

_SEED_BYTES = 8
_ADL = (LayerKind.ADL, LayerKind.INDEX)

Log: TypeAlias = Callable[[], Iterable[tuple[int, AnyEvent]]]
"""Gives the events of a log from seq 1 on, each time it is called."""


class Column(Struct, frozen=True):
    """What one rule makes of all rounds: its name, the figures by round, and its metrics by id."""

    name: str
    rounds: tuple[Figures, ...]
    metrics: dict[str, Value]


class OpenLoop(Struct, frozen=True):
    """The rounds of a record and the columns beside each other, the record first. ``state`` is the last."""

    state: State
    rounds: tuple[RoundRecord, ...]
    columns: tuple[Column, ...]


def open_loop(log: Log, changes: Sequence[Change] = ()) -> OpenLoop:
    """Return every round of a log as recorded, under the policy in force, and under each change. The log is read twice.

    Raises ``ReducerError`` for an event that cannot be applied, and ``MisuseError`` for a change that the record's policy or
    its fund cannot have.
    """
    return _columns(log, {IN_FORCE: UNCHANGED, **{label_of(change): change for change in changes}})


def recorded(log: Log) -> OpenLoop:
    """Return the record's own column alone."""
    return _columns(log, {})


def _columns(log: Log, changes: dict[str, Change]) -> OpenLoop:
    records = read_rounds(log(), State(), lambda _state, _record: None)
    found: dict[str, list[Figures]] = {name: [] for name in (RECORD, *changes)}
    rules = {name: _Rules(change) for name, change in changes.items()}
    episodes = _Episodes()
    owners = _Owners()

    def began(state: State, record: RoundRecord) -> None:
        whole = records[record.event.round]
        owned = owners.of(state)
        scene = scene_of(state, record.event, *episodes.enter(record.event.loser))
        act = _recorded_act(whole, scene)
        figures = figures_of(state, scene, act, owned)
        found[RECORD].append(figures)
        episodes.leave(record.event.loser, _left(state, scene, figures, whole))
        for name, rule in rules.items():
            found[name].append(figures_of(state, scene, rule.act(state, scene), owned))

    state = State()
    read_rounds(log(), state, began)
    columns = tuple(Column(name, tuple(figures), values_of(figures)) for name, figures in found.items())
    return OpenLoop(state, tuple(records), columns)


# ---- The record


class _Episodes:
    """Which deficit a round belongs to, and what the round before left of it."""

    def __init__(self) -> None:
        self._count = 0
        self._running: dict[int, tuple[int, int | None]] = {}

    def enter(self, loser: int) -> tuple[int, int | None]:
        """Return the number of the loser's deficit, and what of it has been counted; None where that is not known."""
        if loser not in self._running:
            self._running[loser] = (self._count, 0)
            self._count += 1
        return self._running[loser]

    def leave(self, loser: int, left: int | None) -> None:
        """Note what a round left; with nothing left the deficit is over."""
        number, _ = self._running.pop(loser)
        if left != 0:
            self._running[loser] = (number, left)


class _Owners:
    """The accounts of each owner, by ascending account."""

    def __init__(self) -> None:
        self._seen: Sequence[AccountOpened] = ()
        self._owned: dict[int, list[int]] = {}

    def of(self, state: State) -> dict[int, list[int]]:
        """Return them as of a state; owners never change."""
        for opened in state.accounts[sum(map(len, self._owned.values())) :]:
            self._owned.setdefault(opened.owner, []).append(opened.account)
        return self._owned


def _recorded_act(record: RoundRecord, scene: Scene) -> Act:
    closes = [Taken(close.event.winner, close.event.size, close.event.price, 0) for close in record.closes]
    charges = [Taken(charge.payer, 0, 0, charge.cash) for charge in record.charges]
    if record.closes:
        first = record.closes[0].event
        return Act((*closes, *charges), first.winner == first.buyer)
    return Act(tuple(charges), _long(scene), paid=bool(charges))


def _long(scene: Scene) -> bool | None:
    size = scene.size.amount or scene.event.size
    return size > 0 if size else None


def _left(state: State, scene: Scene, figures: Figures, record: RoundRecord) -> int | None:
    """Return the deficit that the record leaves after a round."""
    equity, used = margin.equity(state, scene.event.loser), figures.used.amount
    if equity is None or used is None:
        return None
    fees = sum(e.seller_fee if e.winner == e.buyer else e.buyer_fee for e in (close.event for close in record.closes))
    return max(-(equity + used - fees), 0)


# ---- A rule


class _Rules:
    """The policies in force under one change. Each is changed and read once."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._read: dict[int | None, Policy | str] = {}

    def act(self, state: State, scene: Scene) -> Act:
        """Return what the rule does in a scene, from the state just before it."""
        if self._change.no_adl and self._change.fund_cash is None:
            return Act((), _long(scene))  # whatever the policy is
        rule = self._rule(state, policy_for(state, scene.event.market))
        if isinstance(rule, str):
            return Act((), _long(scene), (rule,))
        if self._change == UNCHANGED:
            return _act(state, scene.event, rule, scene, 0)
        opened = _restated(state, scene.event, rule)
        state, drawn = _refunded(state, opened, rule, self._change.fund_cash)
        if isinstance(drawn, str):
            return Act((), _long(scene), (drawn,))
        state, opened = _with_list(state, opened, rule)
        return _act(state, opened, rule, scene, drawn)

    def _rule(self, state: State, number: int | None) -> Policy | str:
        """Return the policy of that id under the change, or what is missing to say it."""
        if number not in self._read:
            self._read[number] = self._changed(state, number)
        return self._read[number]

    def _changed(self, state: State, number: int | None) -> Policy | str:
        if self._change.policy is not None:
            return parse_texts(changed_texts(self._change.policy, self._change), number or 0)
        if number is None:
            return MISSING_POLICY
        try:
            return parse_texts(changed_texts(texts_of(state.policies[number]), self._change), number)
        except BadInputError as error:
            return f"policy: {error.message}"


def _act(state: State, opened: AdlRound, rule: Policy, scene: Scene, drawn: int) -> Act:
    holds = triggered(state, opened, rule)
    if holds is None:
        return Act((), _long(scene), tuple(trigger_gaps(state, opened, rule)), drawn, rule.fill.cash)
    if not holds:
        return Act((), _long(scene), (), drawn, rule.fill.cash)
    planned = plan(state, opened, rule)
    closes = [Taken(close.winner, close.size, close.price, 0) for close in planned.closes]
    charges = [Taken(charge.payer, 0, 0, charge.cash) for charge in planned.charges]
    return Act((*closes, *charges), _long(scene), planned.missing, drawn, rule.fill.cash)


def _restated(state: State, event: AdlRound, rule: Policy) -> AdlRound:
    """Return the round as another policy would open it: what the venue stated of its size and need was its own choice.

    What that policy leaves to the venue is what the venue stated, else the whole position and the whole deficit.
    """
    opened = replace(event, policy=rule.policy)
    if not rule.target.stated:
        return replace(opened, size=None, need_cash=None)
    if rule.fill.cash and event.need_cash is None:
        equity = margin.equity(state, event.loser)
        return opened if equity is None else replace(opened, need_cash=max(-equity, 0))
    return replace(opened, size=loser_size(state, event)) if event.size is None else opened


def _with_list(state: State, opened: AdlRound, rule: Policy) -> tuple[State, AdlRound]:
    """Give a rule that goes by a list what the engine would give it, where the record has no list."""
    size = loser_size(state, opened) or opened.size
    if rule.key.order is Order.SCORE or not size or state.rounds[opened.round].parts:
        return state, opened
    found = gather(state, opened.market, -1 if size > 0 else 1, rule.scope, without=opened.loser)
    if found.unseen:
        return state, opened
    listed = Round(opened, state.rounds[opened.round].seq, candidates=sorted(found.accounts), part=1, parts=1)
    seed = opened.seed or (opened.at_ns // NS_PER_SECOND).to_bytes(_SEED_BYTES, "big", signed=True)
    rounds = [*state.rounds[: opened.round], listed, *state.rounds[opened.round + 1 :]]
    return replace(state, rounds=rounds), replace(opened, seed=seed)


# ---- A fund of another size


def _refunded(state: State, opened: AdlRound, rule: Policy, cash: int | None) -> tuple[State, int | str]:
    """Return the state with a fund of ``cash`` that has paid what it would have, and how much that was.

    A text instead names what is missing to say it.
    """
    if cash is None:
        return state, 0
    state = _with_fund(state, fund_pools(state, rule), cash)
    equity = margin.equity(state, opened.loser)
    kinds = [layer.kind for layer in rule.layers]
    spares = any(one.quantity is Quantity.DRAWDOWN for clause in rule.trigger.start for one in clause)
    acts = next((place for place, kind in enumerate(kinds) if kind in _ADL), len(kinds))
    if LayerKind.FUND not in kinds[:acts] or cash <= 0 or (spares and triggered(state, opened, rule)):
        return state, 0
    if equity is None:
        return state, MISSING_FUND
    paid = min(cash, max(-equity, 0))
    return _with_fund(_paid(state, opened.loser, paid), fund_pools(state, rule), cash - paid), paid


def _paid(state: State, loser: int, cash: int) -> State:
    balances = state.cash.copy()
    balances[loser] += cash
    return replace(state, cash=balances)


def _with_fund(state: State, pools: Sequence[int], cash: int) -> State:
    """Return the state with ``cash`` as the equity of the fund's pools together: all of it in the first of them.

    Raises ``MisuseError`` where there is no pool, or one holds what cannot be valued.
    """
    pools = [pool for pool in pools if pool < len(state.accounts)]
    balances, known, levels = state.cash.copy(), state.cash_known.copy(), dict(state.fund_levels)
    for place, pool in enumerate(pools):
        known[pool] = True
        balances[pool] = 0
        worth = margin.equity(replace(state, cash=balances, cash_known=known), pool)
        if worth is None:
            raise MisuseError(f"the fund {state.accounts[pool].name} holds positions whose value is not known.")
        balances[pool] = (0 if place else cash) - worth
        before, paid = levels.get(pool, []), sum(position.cost for position in state.holdings[pool].values())
        at_ns = max([state.rounds[-1].event.at_ns, *(level.at_ns for level in before[-1:])])
        levels[pool] = [*before, FundLevel(state.seq, at_ns, balances[pool] + paid)]
    if not pools:
        raise MisuseError("there is no fund on record whose size could be changed.", cure="Leave --fund out.")
    return replace(state, cash=balances, cash_known=known, fund_levels=levels)
