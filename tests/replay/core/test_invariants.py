"""The laws: a sound record breaks none, each one can be broken, and a state tampered with is found."""

from collections.abc import Callable

import pytest
from hypothesis import given
from msgspec.structs import replace

from events.errors import MisuseError
from events.model import (
    FEES,
    SEMANTICS,
    AccountOpened,
    AdlClose,
    AdlRound,
    AnyEvent,
    Basis,
    Completeness,
    Contract,
    Fill,
    InsuranceDraw,
    Liquidation,
    MarginMode,
    MarginTier,
    MarketListed,
    MarketStatus,
    Method,
    Opening,
    OpenPosition,
    PoolBalance,
    PriceRule,
    PriceTick,
    Reason,
    Role,
    Settlement,
    SourceClosed,
    SourceOpened,
    StateCommitted,
    Taker,
    Tally,
    Transfer,
)
from replay.core import invariants
from replay.core.evolve import evolve
from replay.core.invariants import LAWS, Checker, Finding
from replay.core.root import basis_root, money_root
from replay.core.state import Position, State
from replay.testing.streams import beginning, records

FUND, LOSER, WINNER, LATE = 4, 5, 6, 7
BOOKS = {law.name for law in LAWS if law.tier == "books"}
HEAD = (0, 0, 0)
UNSAID = (None, None, None, None, None, None)  # orders and claims of a trade


def listing(maintenance_ppt: int = 5 * 10**10) -> MarketListed:
    tiers = (MarginTier(0, 10**11, maintenance_ppt),)
    return MarketListed(
        *HEAD, 0, "BTC", Contract.LINEAR, 2, 3, 1, 0, 1, 1, Basis.AVERAGE, False, tiers, None, MarketStatus.TRADING
    )


def start() -> list[AnyEvent]:
    roles = ((FUND, Role.FUND, True), (LOSER, Role.USER, True), (WINNER, Role.USER, True), (LATE, Role.USER, False))
    accounts = [AccountOpened(*HEAD, a, f"a{a}", a, role, MarginMode.CROSS, new, None) for a, role, new in roles]
    return [*beginning(), *accounts, listing()]


def fill(buyer: int, seller: int, price: int, size: int) -> Fill:
    return Fill(*HEAD, 0, buyer, seller, price, size, 2, -1, 0, Taker.BUYER, *UNSAID)


# LOSER is long 10 at 100, WINNER short.
TRADE = fill(LOSER, WINNER, 100, 10)


def forced(size: int, buyer: int = WINNER, seller: int = LOSER) -> Liquidation:
    trade = (*HEAD, 0, buyer, seller, 90, size, 0, 0, 0, Taker.UNKNOWN, *UNSAID)
    return Liquidation(*trade, LOSER, Method.MARKET, None, None, None)


def adl_round(price: int | None = None, size: int | None = 10) -> AdlRound:
    return AdlRound(*HEAD, 0, LOSER, 0, size, price, PriceRule.MARK, None, None, None, None, (), None, None, None, None)


def adl_close(size: int = 5, price: int = 90, winner: int = WINNER) -> AdlClose:
    sides = (0, winner, LOSER, price, size)
    return AdlClose(*HEAD, *sides, 0, 0, 0, Taker.UNKNOWN, *UNSAID, 0, winner, None, None, None)


def run(*events: AnyEvent, names: tuple[str, ...] = ()) -> list[Finding]:
    return checked([*start(), *events], names)


def checked(events: list[AnyEvent], names: tuple[str, ...] = ()) -> list[Finding]:
    state = State()
    checker = Checker(state, names)
    findings = []
    for seq, event in enumerate(events, 1):
        checker.before(event)
        evolve(state, event, seq)
        findings += checker.after(event, seq)
    return findings + checker.finish()


def source(*tallies: Tally, rows_in: int = 10) -> tuple[AnyEvent, AnyEvent]:
    digest = b"\0" * 32
    opened = SourceOpened(0, 1, 0, "f", digest, digest, 1, "test", 1, 1, None, "", Completeness.COMPLETE)
    return opened, SourceClosed(0, 1, 0, rows_in, 5, tallies)


def claims(**fields: int) -> tuple[AnyEvent, AnyEvent]:
    """Close 4 of 10, bought at 1.00, at 1.30; the seller is LOSER, its profit 4 * 0.001 * 0.30, that is 120,000."""
    return TRADE, replace(fill(WINNER, LOSER, 130, 4), **fields)


def late(cash: int | None, size: int | None) -> Opening:
    return Opening(*HEAD, LATE, cash, (OpenPosition(0, size, None, 0),))


# LOSER is long 10 from 1.00, and its equity 0.10 * 0.01 at a mark of 0.90.
IN_DEBT = (TRADE, Transfer(*HEAD, FUND, LOSER, 200_002, Reason.OTHER, None), PriceTick(5, 0, 0, 0, 90, None))


def owed(equity: int, requirement: int) -> Liquidation:
    return replace(forced(2), equity_claim=equity, requirement_claim=requirement, mark=90)


SOUND: dict[str, tuple[AnyEvent, ...]] = {
    "everything": (
        TRADE,
        PriceTick(*HEAD, 0, 90, None),
        forced(2),
        adl_round(90, 8),
        adl_close(3),
        adl_close(5),
        InsuranceDraw(*HEAD, FUND, LOSER, 5, 5, 0, 0, None),
        InsuranceDraw(*HEAD, FUND, LOSER, 5, None, None, None, None),
        Transfer(*HEAD, 0, FUND, 5, Reason.TOP_UP, None),
        Settlement(*HEAD, 0, WINNER, LATE, 90, 3, 1, 1, 0, Taker.UNKNOWN, *UNSAID),
    ),
    "self-trades": (TRADE, replace(fill(LOSER, LOSER, 100, 5), buyer_start_claim=10, seller_start_claim=15)),
    "true start positions": claims(buyer_start_claim=-10, seller_start_claim=10),
    "true profits": claims(buyer_profit_claim=-120_000, seller_profit_claim=120_000),
    "a claim within a price step": claims(seller_profit_claim=120_000 + 4 * 1_000 + 100),
    "no profit on what was opened": (TRADE, replace(TRADE, buyer_profit_claim=0, seller_profit_claim=0)),
    "a flip's profit": (TRADE, replace(fill(WINNER, LOSER, 130, 14), seller_profit_claim=300_000)),
    "claims on what is not known": (replace(fill(LATE, LOSER, 130, 4), buyer_start_claim=99, buyer_profit_claim=99),),
    "forced closes of what is not known": (
        fill(LOSER, WINNER, 100, 200),
        replace(forced(5), seller=LATE, account=LATE),
        adl_round(size=None),
        adl_close(99, winner=LATE),
    ),
    "a round of what is not known": (replace(adl_round(size=-99), loser=LATE),),
    "true claims of a round": (
        *IN_DEBT,
        replace(adl_round(), mark=90, bankruptcy=80, pools=(PoolBalance(FUND, -200_050),), at_ns=5),
    ),
    "a mark of another time": (*IN_DEBT, replace(adl_round(), mark=91, bankruptcy=99, at_ns=6)),
    "a mark that is not on record": (TRADE, replace(adl_round(), mark=91)),
    "pools that hold more than cash, or nobody knows what": (
        fill(FUND, WINNER, 100, 1),
        TRADE,
        replace(adl_round(), pools=(PoolBalance(FUND, 5), PoolBalance(LATE, 5))),
    ),
    "true claims of a liquidation": (*IN_DEBT, owed(100_100, 45_001)),
    "claims at a mark that is not on record": (*IN_DEBT, replace(owed(7, 7), mark=91)),
    "claims of an account that is not on record": (
        TRADE,
        fill(LATE, WINNER, 100, 5),
        replace(owed(7, 7), seller=LATE, account=LATE),
    ),
    "profits on a grid that is assumed": (replace(listing(), grid_assumed=True), *claims(seller_profit_claim=0)),
    "levels stated twice": (late(50, 7), late(50, 7), late(None, None), late(50, 9)),
    "a level of a known account, first seen": (Opening(*HEAD, LATE, 1, ()), late(1, 5)),
    "rows": source(Tally("duplicate.x", 1), Tally("quarantined.x", 1), Tally("set_aside.x", 3), Tally("other", 9)),
    "time stands still": (source()[0], *(PriceTick(at, 1, 0, 0, 1, None) for at in (5, 5, 0, 6))),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_record_breaks_no_law(name: str) -> None:
    assert run(*SOUND[name]) == []


LATE_ROUND = replace(adl_round(size=-10), loser=LATE)
LATE_CLOSE = replace(adl_close(2), buyer=LATE, seller=WINNER)

BROKEN: list[tuple[str, tuple[AnyEvent, ...], str, str]] = [
    ("no-flip", (TRADE, forced(11)), "the same side, or none", "-1"),
    ("no-flip", (TRADE, adl_round(size=11), adl_close(11)), "the same side, or none", "1"),
    ("no-over-close", (TRADE, forced(11)), "at most 10", "11"),
    ("no-over-close", (TRADE, forced(1, LOSER, WINNER)), "at most 0", "1"),
    ("no-over-close", (TRADE, adl_round(), adl_close(2, winner=FUND)), "at most 0", "2"),
    # What claims to start from flat has nothing to close.
    ("no-over-close", (replace(forced(1), seller=LATE, account=LATE, seller_start_claim=0),), "at most 0", "1"),
    ("round-side-and-size", (TRADE, adl_round(size=-10)), "of its 10, at most", "-10"),
    ("round-side-and-size", (TRADE, adl_round(size=11)), "of its 10, at most", "11"),
    ("round-side-and-size", (adl_round(size=1),), "of its 0, at most", "1"),
    ("round-claims", (*IN_DEBT, replace(adl_round(), mark=91, at_ns=5)), "90", "91"),
    ("round-claims", (*IN_DEBT, replace(adl_round(), bankruptcy=81)), "80", "81"),
    ("round-claims", (*IN_DEBT, replace(adl_round(), pools=(PoolBalance(FUND, -200_104),))), "-200002", "-200104"),
    ("liquidation-claims", (*IN_DEBT, owed(100_101, 45_000)), "100000", "100101"),
    ("liquidation-claims", (*IN_DEBT, owed(100_000, 45_101)), "45000", "45101"),
    ("opposite-sides", (TRADE, adl_round(), adl_close(2, winner=FUND)), "the opposite side", "0"),
    ("opposite-sides", (TRADE, fill(FUND, WINNER, 100, 5), adl_round(), adl_close(2, winner=FUND)), "the opposite side", "5"),
    # The loser's position is not known, but the round says which side it closes.
    ("opposite-sides", (late(None, None), TRADE, LATE_ROUND, LATE_CLOSE), "the opposite side", "-10"),
    ("open-interest-kept", (TRADE, fill(FUND, WINNER, 100, 5), adl_round(), adl_close(12, winner=FUND)), "at most 15", "17"),
    ("one-price", (TRADE, adl_round(), adl_close(price=90), adl_close(price=91)), "90", "91"),
    ("one-price", (TRADE, adl_round(price=89), adl_close(price=90)), "89", "90"),
    ("within-need", (TRADE, adl_round(size=-8), adl_close(5), adl_close(5)), "at most 8", "10"),
    ("within-deficit", (InsuranceDraw(*HEAD, FUND, LOSER, 5, 4, None, None, None),), "at most the deficit 4", "5"),
    ("start-position", claims(seller_start_claim=11), "10", "11"),
    ("start-position", (replace(fill(LOSER, WINNER, 1, 1), buyer_start_claim=1),), "0", "1"),
    ("continuity", (late(50, 7), late(50, 8)), "7", "8"),
    ("continuity", (late(50, 7), late(51, 7)), "50", "51"),
    ("closed-profit", claims(seller_profit_claim=120_000 + 4 * 1_000 + 101), "120000, give or take 4100", "124101"),
    ("closed-profit", (TRADE, replace(TRADE, buyer_profit_claim=101)), "0, give or take 100", "101"),
    ("closed-profit", (TRADE, adl_round(), replace(adl_close(), seller_profit_claim=1)), "-50000, give or take 5100", "1"),
    ("rows-accounted", source(Tally("set_aside.x", 4)), "10", "9"),
    ("time-order", (source()[0], *(PriceTick(at, 1, 0, 0, 1, None) for at in (5, 6, 5))), "at least 6", "5"),
    ("margin-rates", (listing(0),), "initial > maintenance > 0", "100000000000 and 0 parts per trillion"),
    ("margin-rates", (listing(10**11),), "initial > maintenance > 0", "100000000000 and 100000000000 parts per trillion"),
    ("commitment", (StateCommitted(*HEAD, len(start()), b"\0" * 32, b"\0" * 32, SEMANTICS),), "00" * 32, ""),
]


@pytest.mark.parametrize(("law", "events", "expected", "found"), BROKEN, ids=[f"{row[0]}{i}" for i, row in enumerate(BROKEN)])
def test_each_law_can_be_broken(law: str, events: tuple[AnyEvent, ...], expected: str, found: str) -> None:
    findings = run(*events, names=(law,))
    assert findings
    assert {finding.law for finding in findings} == {law}
    assert findings[0].seq == len(start()) + len(events)
    assert findings[0].expected == expected
    assert findings[0].found.endswith(found)


def test_a_round_that_closes_too_much_is_found_once() -> None:
    findings = run(TRADE, adl_round(size=8), *[adl_close(size) for size in (5, 3, 1, 1)], names=("within-need",))
    assert [(finding.seq - len(start()), finding.found) for finding in findings] == [(5, "9")]


def test_profits_are_held_against_a_grid_that_the_venue_lists() -> None:
    claim = claims(seller_profit_claim=0)
    assert {finding.law for finding in run(*claim)} == {"closed-profit"}
    assert run(replace(listing(), grid_assumed=True), *claim) == []


def test_what_a_law_had_no_occasion_for_can_be_told() -> None:
    state = State()
    checker = Checker(state)
    assert set(checker.evaluations) == {law.name for law in LAWS}
    assert set(checker.evaluations.values()) == {0}
    for seq, event in enumerate([*start(), TRADE, forced(2), adl_round(size=8), adl_close(3)], 1):
        checker.before(event)
        evolve(state, event, seq)
        checker.after(event, seq)
    checker.finish()
    counts = checker.evaluations
    assert (counts["fees-booked"], counts["no-flip"], counts["round-side-and-size"], counts["open-interest"]) == (3, 3, 1, 1)
    # Three trades, and once everything.
    assert (counts["size-conserved"], counts["cash-conserved"]) == (4, 4)
    assert counts["margin-rates"] == 1
    silent = ("closed-profit", "start-position", "continuity", "round-claims", "liquidation-claims", "commitment", "time-order")
    assert [counts[name] for name in silent] == [0] * len(silent)
    assert set(Checker(State(), ["no-flip"]).evaluations) == {"no-flip"}


def test_every_law_is_evaluated_in_a_record_that_breaks_it() -> None:
    for law, events, _, _ in BROKEN:
        state = State()
        checker = Checker(state, [law])
        for seq, event in enumerate([*start(), *events], 1):
            checker.before(event)
            evolve(state, event, seq)
            findings = checker.after(event, seq)
        assert 0 < len(findings) <= checker.evaluations[law] * 2  # a commitment has two roots


def test_the_texts_say_when_a_law_is_taken_over_everything() -> None:
    told = {law.name for law in LAWS if f"every {invariants.FULL_EVERY:,} events and at the end" in law.text}
    assert told == {"open-interest", "third-parties"}


def test_a_true_commitment_is_kept() -> None:
    state = State()
    for seq, event in enumerate(start(), 1):
        evolve(state, event, seq)
    true = StateCommitted(*HEAD, state.seq, money_root(state), basis_root(state), SEMANTICS)
    assert run(true) == []
    assert [f.what for f in run(replace(true, basis_root=true.money_root))] == [f"basis root after {state.seq} events"]


@given(records())
def test_no_record_breaks_the_books(events: list[AnyEvent]) -> None:
    assert [finding for finding in checked(events) if finding.law in BOOKS] == []


# ---- States that were tampered with


def steal(state: State) -> None:
    state.cash[WINNER] += 5
    state.cash[FUND] -= 5


def vanish(state: State) -> None:
    state.cash[WINNER] += 5


def swap(state: State) -> None:
    book = state.positions[0]
    book[WINNER], book[LOSER] = book[LOSER], book[WINNER]


def grow(state: State) -> None:
    state.positions[0][WINNER].size += 3


def haunt(state: State) -> None:
    state.positions[0][FUND] = Position(cost=5)


@pytest.mark.parametrize(
    ("tamper", "laws"),
    [
        (steal, {"third-parties"}),
        (vanish, {"cash-conserved", "third-parties"}),
        (swap, {"third-parties"}),
        (grow, {"size-conserved", "third-parties", "open-interest"}),
        (haunt, {"flat-costs-nothing"}),
    ],
)
def test_what_no_event_did_is_found_over_everything(tamper: Callable[[State], None], laws: set[str]) -> None:
    state = State()
    for seq, event in enumerate([*start(), TRADE], 1):
        evolve(state, event, seq)
    checker = Checker(state)
    assert checker.finish() == []
    tamper(state)
    assert {finding.law for finding in checker.finish()} == laws


@pytest.mark.parametrize(
    ("tamper", "laws"),
    [
        (vanish, {"cash-conserved"}),
        (grow, {"size-conserved"}),
        (lambda state: state.cash.__setitem__(FEES, 9), {"cash-conserved", "fees-booked"}),
        (lambda state: state.positions[0].__setitem__(LOSER, Position(cost=5)), {"size-conserved", "flat-costs-nothing"}),
    ],
)
def test_what_a_faulty_reducer_does_is_found_at_once(tamper: Callable[[State], None], laws: set[str]) -> None:
    state = State()
    checker = Checker(state)
    for seq, event in enumerate([*start(), TRADE], 1):
        checker.before(event)
        evolve(state, event, seq)
        if event is TRADE:
            tamper(state)
        findings = checker.after(event, seq)
    assert {finding.law for finding in findings} == laws


def test_everything_is_summed_at_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invariants, "FULL_EVERY", len(start()) + 2)
    state = State()
    checker = Checker(state)
    findings = []
    for seq, event in enumerate([*start(), TRADE, TRADE], 1):
        if seq == len(start()) + 2:
            steal(state)
        checker.before(event)
        evolve(state, event, seq)
        findings.append(checker.after(event, seq))
    assert [[finding.law for finding in found] for found in findings[-2:]] == [[], ["third-parties"]]


# ---- Which laws


def test_only_the_laws_named_are_checked() -> None:
    events = (TRADE, forced(11))
    assert {finding.law for finding in run(*events)} == {"no-flip", "no-over-close"}
    assert {finding.law for finding in run(*events, names=("no-flip",))} == {"no-flip"}


def test_an_unknown_name_is_misuse() -> None:
    with pytest.raises(MisuseError, match="no invariant is called 'gravity'"):
        Checker(State(), ["no-flip", "gravity"])


def test_laws_have_names_ids_and_texts_of_their_own() -> None:
    for field in ("name", "id", "text"):
        assert len({getattr(law, field) for law in LAWS}) == len(LAWS)
    assert {law.tier for law in LAWS} == {"books", "record"}


def test_every_law_of_the_record_is_broken_in_a_test() -> None:
    assert {law.name for law in LAWS if law.tier == "record"} <= {row[0] for row in BROKEN}
