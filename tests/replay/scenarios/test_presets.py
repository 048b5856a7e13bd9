"""Every shipped scenario, in a small form, under every shipped policy."""

from collections.abc import Iterable
from functools import cache

import pytest
from msgspec.structs import replace

from events.codec import check, encode
from events.model import (
    FIRST_FREE_ACCOUNT,
    AdlRound,
    AnyEvent,
    InsuranceDraw,
    Liquidation,
    Method,
    PolicyAdopted,
    Role,
)
from replay.audit import audit_events
from replay.core import margin
from replay.core.evolve import evolve
from replay.core.invariants import Checker
from replay.core.policy import Base, LayerKind, Policy, Quantity
from replay.core.state import State
from replay.deficits import register
from replay.presets import preset, presets
from replay.scenarios import Scenario, load, play, shipped
from replay.testing.scenarios import scaled

# The small forms, each such that its own policy comes to act.
SMALL = {
    "bleed": scaled(load("bleed")),
    "crash": scaled(load("crash"), fund=15_000),
    "fund-run": scaled(load("fund-run")),
    "oracle-spike": scaled(load("oracle-spike"), users=120, orders=1_500, fund=3_000),
    "squeeze": scaled(load("squeeze")),
}

# Whose trigger never holds in these: settled markets, or no ADL at all.
WITHOUT_ROUNDS = {"dydx-v4-settlement", "paradex", "perennial-v2"}
# Whose vault bears deficits first, and is large enough to do so in some of them.
SPARED_BY_THE_VAULT = {"gmx-v2", "lighter"}

PAIRS = [(name, policy) for name in shipped() for policy in presets()]


@cache
def events_of(name: str, policy: str | None = None) -> tuple[AnyEvent, ...]:
    scenario = SMALL[name]
    return tuple(play(scenario if policy is None else replace(scenario, policy=preset(policy).texts)))


def seqs(events: Iterable[AnyEvent]) -> Iterable[tuple[int, AnyEvent]]:
    return enumerate(events, 1)


def test_every_shipped_scenario_has_a_small_form() -> None:
    assert set(SMALL) == set(shipped())


@pytest.mark.parametrize(("name", "policy"), PAIRS)
def test_a_scenario_holds_under_a_policy(name: str, policy: str) -> None:
    events, rule = events_of(name, policy), preset(policy).policy
    state = replayed(events, rule)
    verdicts = audit_events(seqs(events))
    assert {verdict.verdict for verdict in verdicts} <= {"reproduced"}
    if policy in WITHOUT_ROUNDS:
        assert verdicts == []
    elif policy not in SPARED_BY_THE_VAULT or name == "squeeze":
        assert verdicts
    # What is left of deficits is what accounts owe in the end, and nothing where the rule covers them.
    deficits = register(seqs(events))
    left = {episode.account: episode.left_cash for episode in deficits.episodes if episode.left_cash}
    owed = {number: -equity for number, equity in equities(state).items() if equity < 0}
    assert left.items() <= owed.items()
    # The vault is the one that no forced close need have met: a rule without a layer for it leaves it as it is.
    assert set(owed) - set(left) <= {number for number in owed if state.accounts[number].role is Role.VAULT}
    assert deficits.undecided == ()
    if covers(rule):
        assert not owed
    assert len(deficits.episodes) > 0 or name == "squeeze"


def equities(state: State) -> dict[int, int]:
    return {number: margin.equity(state, number) or 0 for number in range(FIRST_FREE_ACCOUNT, len(state.accounts))}


def covers(rule: Policy) -> bool:
    """Return whether a rule pays for every deficit it can meet here.

    Not where debts stay or wait for who leaves, where it acts on something else, where its closes are at a price that need
    not be the bankruptcy price, or where it spares all who have little leverage.
    """
    stays = rule.layers[-1].kind in {LayerKind.DEBT, LayerKind.WITHDRAWALS}
    elsewhere = any(
        one.quantity in {Quantity.SETTLEMENT, Quantity.POOL_FACTOR} for clause in rule.trigger.start for one in clause
    )
    dear = rule.price.base not in {Base.BANKRUPTCY, Base.STATED, Base.NONE} and not rule.price.capped
    spares = any(measure.over.numerator for measure in rule.fill.weight)
    return not (stays or elsewhere or dear or spares or rule.price.band)


def replayed(events: Iterable[AnyEvent], rule: Policy) -> State:
    """Return the state at the end. After every event the books are sound; forced closes are in the order of the waterfall."""
    state = State()
    checker = Checker(state)
    findings = []
    for seq, event in seqs(events):
        assert check(encode(event)) == event
        in_order(state, event, rule)
        checker.before(event)
        evolve(state, event, seq)
        findings += checker.after(event, seq)
    assert findings + list(checker.finish()) == []
    return state


def in_order(state: State, event: AnyEvent, rule: Policy) -> None:
    """Check that nothing earlier in the rule's layers could have acted."""
    kinds = [layer.kind for layer in rule.layers]
    quantities = {one.quantity for clause in rule.trigger.start for one in clause}
    match event:
        case Liquidation(method=Method.MARKET):
            equity, requirement = margin.equity(state, event.account), margin.maintenance(state, event.account)
            assert equity is not None
            assert requirement is not None
            assert 0 <= equity < requirement
        case InsuranceDraw():
            assert event.deficit == -(margin.equity(state, event.account) or 0) > 0
            assert state.cash[event.fund] >= event.cash
            assert LayerKind.FUND in kinds or state.accounts[event.fund].role is not Role.FUND
        case AdlRound():
            equity = margin.equity(state, event.loser)
            assert equity is not None
            assert equity < 0 or quantities & {Quantity.POOL_FACTOR, Quantity.SETTLEMENT}
            act = next(place for place, kind in enumerate(kinds) if kind in {LayerKind.ADL, LayerKind.INDEX})
            if LayerKind.FUND in kinds[:act] and Quantity.DRAWDOWN not in quantities:
                assert sum(state.cash[account.account] for account in state.accounts if account.role is Role.FUND) == 0
        case _:
            pass


@pytest.mark.parametrize("name", shipped())
def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(name: str) -> None:
    first = [encode(event) for event in events_of(name)]
    assert [encode(event) for event in play(SMALL[name])] == first
    assert [encode(event) for event in play(replace(SMALL[name], seed=1))] != first


@pytest.mark.parametrize("name", shipped())
@pytest.mark.parametrize(
    ("made_by", "judged_by"), [("queue", "contract-pro-rata"), ("pro-rata", "queue"), ("hyperliquid", "queue")]
)
def test_another_rule_in_the_place_of_the_record_s_explains_it_no_more(name: str, made_by: str, judged_by: str) -> None:
    texts = preset(judged_by).texts
    others = [
        replace(event, **texts._asdict()) if isinstance(event, PolicyAdopted) else event for event in events_of(name, made_by)
    ]
    verdicts = {verdict.verdict for verdict in audit_events(seqs(others))}
    assert verdicts
    assert verdicts != {"reproduced"}


@pytest.mark.parametrize("name", sorted(set(SMALL) - {"fund-run"}))
def test_a_scenario_comes_to_adl_under_its_own_policy(name: str) -> None:
    assert any(isinstance(event, AdlRound) for event in events_of(name))


def test_scaling_keeps_what_is_not_money_or_time() -> None:
    whole, small = load("squeeze"), SMALL["squeeze"]
    assert isinstance(small, Scenario)
    assert [len(phase.paths) for phase in small.phases] == [len(phase.paths) for phase in whole.phases]
    assert small.policy == whole.policy
    assert sum(phase.seconds for phase in small.phases) * 9 < sum(phase.seconds for phase in whole.phases)
