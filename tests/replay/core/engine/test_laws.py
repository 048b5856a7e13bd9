"""What holds for every policy that can be written, and for every one that is shipped."""

from collections.abc import Callable
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.errors import MisuseError
from events.model import (
    ROUNDING,
    AdlClose,
    AdlRound,
    AnyEvent,
    Contract,
    InsuranceDraw,
    Liquidation,
    MarketListed,
    Method,
    PolicyAdopted,
    PriceTick,
    Reason,
    Transfer,
)
from replay.core import margin
from replay.core.engine import Bid, Look, Moment, Rules, decide
from replay.core.evolve import evolve
from replay.core.plan import plan
from replay.core.policy import Condition, Layer, LayerKind, Policy, Quantity, Ratio, Relation, Trigger
from replay.core.spelling import Texts, parse_policy, spell
from replay.core.state import State
from replay.core.triggers import triggered
from replay.presets import presets
from replay.testing.policies import policies

FUND, HOUSE, LOSER = 4, 5, 6
RULES = Rules(HOUSE, 4_000)
NO_MONEY = (LayerKind.ASSIGNMENT, LayerKind.WITHDRAWALS, LayerKind.DEBT, LayerKind.BOOK)

Made = tuple[list[Any], list[int], int, Contract]


@st.composite
def venues(draw: st.DrawFn) -> Made:
    """Traders in two markets, the first of them most often insolvent; the marks; the fund."""
    held = st.tuples(st.integers(-60, 60), st.integers(1, 500))
    both = st.fixed_dictionaries({0: held, 1: held})
    others = draw(st.lists(st.tuples(st.integers(0, 10**9), both), min_size=1, max_size=6))
    contract = draw(st.sampled_from(Contract))
    # A lot of an inverse or quanto contract is worth less here, so that there is something to round.
    loser = (draw(st.integers(0, 10**8 if contract is Contract.LINEAR else 10**4)), draw(both))
    marks = draw(st.lists(st.integers(1, 500), min_size=2, max_size=2))
    return [loser, *others], marks, draw(st.one_of(st.just(0), st.integers(1, 10**8))), contract


def texts_of(policy: Policy) -> Texts:
    return Texts(policy.name, *spell(policy))


def reachable(policy: Policy) -> Policy:
    """Return a drawn policy with the one fund that there is."""
    layers: list[Layer] = []
    for layer in policy.layers:
        one = layer if layer.account is None else layer._replace(account=FUND)
        if one not in layers:
            layers.append(one)
    return replace(policy, layers=tuple(layers))


def richer(made: Made) -> Made:
    """Return a venue whose first trader has more, so that it most often has equity."""
    ((cash, held), *others), marks, fund, contract = made
    return [(cash + 10**7, held), *others], marks, fund, contract


def venue_of(stage: Callable[..., list[AnyEvent]], fold: Callable[..., State], made: Made, texts: Texts) -> State:
    """Return the state of a venue with prices before and after, and an oracle."""
    traders, marks, fund, contract = made
    multiplier = {Contract.LINEAR: (1, 0), Contract.INVERSE: (1, 6), Contract.QUANTO: (7, 6)}[contract]
    kind = {"contract": contract, "multiplier": multiplier[0], "multiplier_decimals": multiplier[1]}
    events = [
        replace(event, **kind) if isinstance(event, MarketListed) else event
        for event in stage(traders, marks, fund=fund, preset=texts)
    ]
    adopted = next(place for place, event in enumerate(events) if isinstance(event, PolicyAdopted))
    earlier = [PriceTick(0, 0, 0, market, mark + 1, mark) for market, mark in enumerate(marks)]
    return fold([*events[: adopted + 1], *earlier, *events[adopted + 1 :]])


class Watched:
    """What one settlement did, checked event by event."""

    def __init__(self, state: State) -> None:
        self.touched: set[int] = {LOSER}
        self.opened: AdlRound | None = None
        self.policy: Policy | None = None
        self.planned: list[tuple[int, int, int]] = []
        self.charged: list[tuple[int, int]] = []
        self.kinds: list[LayerKind] = []
        self.seen = state.seq

    def __call__(self, state: State, event: AnyEvent) -> None:
        match event:
            case AdlRound():
                assert (self.planned, self.charged) == ([], [])
                assert event.policy is not None
                self.opened, self.policy = event, parse_policy(state.policies[event.policy])
                assert triggered(state, event, self.policy) is True
                self._plan(state)
                fill = self.policy.fill.kind.name
                self.kinds.append(LayerKind.INDEX if fill == "INDEX" else LayerKind.ADL)
            case AdlClose():
                self._plan(state)
                assert (event.winner, event.size, event.price) == self.planned.pop(0)
                held = state.positions[event.market][event.winner].size
                # Nobody is closed beyond what it holds, and only who holds the other side.
                assert held * state.positions[event.market][LOSER].size < 0
                assert event.size <= abs(held)
                self.touched.add(event.winner)
            case Transfer(reason=Reason.SOCIALISED_LOSS):
                self._plan(state)
                assert (event.payer, event.cash) == self.charged.pop(0)
                self.touched.add(event.payer)
            case Transfer():
                assert event.reason is Reason.RESIDUAL
                self.touched.add(ROUNDING)
            case InsuranceDraw():
                assert 0 < event.cash <= (margin.equity(state, event.fund) or 0)
                assert event.deficit == -(margin.equity(state, LOSER) or 0)
                self.kinds.append(LayerKind.FUND if event.fund == FUND else LayerKind.VAULT)
                self.touched.add(event.fund)
            case Liquidation():
                self.touched |= {event.buyer, event.seller}
                if event.method is Method.TAKEOVER:
                    self.kinds.append(LayerKind.VAULT)

    def _plan(self, state: State) -> None:
        """Make the plan of the round from the state just before its first close, as an audit does."""
        if self.opened is None or self.policy is None:
            return
        if self.policy.key.order.name != "SCORE" and self.opened.round == len(state.rounds):
            return  # the list is on record only when the round has begun
        decided = plan(state, self.opened, self.policy)
        assert decided.missing == ()
        self.planned = [(close.winner, close.size, close.price) for close in decided.closes]
        self.charged = [(charge.payer, charge.cash) for charge in decided.charges]
        self.opened = None


def books(state: State) -> list[tuple[int, dict[int, int]]]:
    return [(cash, {m: p.size for m, p in state.holdings[number].items()}) for number, cash in enumerate(state.cash)]


def settle_and_check(state: State, settle: Callable[..., list[AnyEvent]]) -> Watched:
    before, watched = books(state), Watched(state)
    equity = margin.equity(state, LOSER)
    assert equity is not None
    settle(state, LOSER, RULES, before=watched)
    assert (watched.planned, watched.charged) == ([], [])
    after = margin.equity(state, LOSER)
    assert after is not None
    flat = not any(position.size for position in state.holdings[LOSER].values())
    if equity < 0:
        # A position that is worth less than a money unit can need no margin at all.
        assert flat or after > 0 or (after, margin.maintenance(state, LOSER)) == (0, 0)
    for number, (was, now) in enumerate(zip(before, books(state), strict=True)):
        assert was == now or number in watched.touched
    return watched


@given(made=venues(), drawn=policies())
def test_any_policy_ends_in_order(stage: Any, fold: Any, settle: Any, made: Made, drawn: Policy) -> None:
    state = venue_of(stage, fold, made, texts_of(reachable(drawn)))
    try:
        settle_and_check(state, settle)
    except MisuseError:
        assume(False)  # a policy may look at what there is not, such as a vault


@given(made=venues(), name=st.sampled_from(sorted(presets())))
def test_every_preset_ends_in_order(stage: Any, fold: Any, settle: Any, made: Made, name: str) -> None:
    settle_and_check(venue_of(stage, fold, made, presets()[name].texts), settle)


EQUITY_BELOW_ZERO = Trigger(((Condition(Quantity.EQUITY, Relation.BELOW, Ratio(0, 1)),),))


@given(made=venues(), drawn=policies())
def test_layers_act_in_the_order_of_the_record(stage: Any, fold: Any, settle: Any, made: Made, drawn: Policy) -> None:
    # With this trigger every layer can act from the beginning, so a later one never comes before an earlier one is done.
    policy = reachable(replace(drawn, trigger=EQUITY_BELOW_ZERO) if drawn.trigger.start else drawn)
    state = venue_of(stage, fold, made, texts_of(policy))
    try:
        watched = settle_and_check(state, settle)
    except MisuseError:
        assume(False)
    kinds = [layer.kind for layer in policy.layers if layer.kind not in NO_MONEY]
    sharing = [place for place, kind in enumerate(kinds) if kind is not LayerKind.VAULT]
    if LayerKind.VAULT in kinds and sharing and kinds.index(LayerKind.VAULT) < sharing[-1]:
        kinds.remove(LayerKind.VAULT)
        kinds += [LayerKind.VAULT] if policy.layers[-1].kind not in NO_MONEY else []
    places = [kinds.index(kind) for kind in watched.kinds]
    assert places == sorted(places)


@given(made=venues(), drawn=policies(), depth=st.integers(0, 100))
def test_a_liquidation_on_the_book_never_makes_a_deficit(
    stage: Any, fold: Any, settle: Any, made: Made, drawn: Policy, depth: int
) -> None:
    state = venue_of(stage, fold, richer(made), texts_of(reachable(drawn)))
    equity = margin.equity(state, LOSER)
    assume(equity is not None and equity > 0)
    events = settle(state, LOSER, RULES, {market: Bid(7, depth) for market in range(2)})
    assert {type(event) for event in events} <= {Liquidation}
    after = margin.equity(state, LOSER)
    assert after is not None
    assert after >= 0


@given(
    made=venues(),
    share_ppm=st.integers(1, 999_999),
    cooldown_ns=st.integers(2, 100),
    depths=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    waits=st.lists(st.integers(0, 60), min_size=5, max_size=5),
)
def test_the_rest_goes_to_the_book_within_the_cooldown_only(
    stage: Any, fold: Any, made: Made, share_ppm: int, cooldown_ns: int, depths: list[int], waits: list[int]
) -> None:
    state = venue_of(stage, fold, richer(made), presets()["queue"].texts)
    assume((margin.equity(state, LOSER) or 0) > 0)
    rules = Rules(HOUSE, 0, share_ppm, 0, cooldown_ns)
    now = 100
    sent: dict[int, int] = {}
    for depth, wait in zip(depths, waits, strict=False):
        now += wait
        for _ in range(4):
            book = {market: Bid(7, depth) for market in range(2)}
            events = decide(state, Look(LOSER, book), rules, Moment(now, 0, 0, 1)).events
            for event in events:
                if isinstance(event, Liquidation) and event.method is Method.MARKET:
                    whole = abs(state.positions[event.market][LOSER].size)
                    last = sent.get(event.market)
                    assert last != now
                    if not any(0 < now - at < cooldown_ns for at in sent.values()):
                        assert (event.size - 1) * 1_000_000 < whole * share_ppm
                    sent[event.market] = now
                evolve(state, event, state.seq + 1)
