"""The laws: a sound record breaks none, each one can be broken, and a state tampered with is found."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
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
from ledger.importing import import_files
from ledger.store import open_ledger
from replay.core import invariants
from replay.core.evolve import evolve
from replay.core.invariants import LAWS, Checker, Finding
from replay.core.root import basis_root, money_root
from replay.core.state import Position, State
from replay.fold import check
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


def commitment(money: bytes, basis: bytes) -> StateCommitted:
    return StateCommitted(*HEAD, len(start()), money, basis, SEMANTICS)


def at_start() -> State:
    state = State()
    for seq, event in enumerate(start(), 1):
        evolve(state, event, seq)
    return state


START_ROOT = money_root(at_start()).hex()
RATES = "initial > maintenance > 0"

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

ON_FLAT_LOSER = (TRADE, forced(10), adl_round(size=None), adl_close(2))

# The law, the events that break it, and of the finding: expected, found, account, market, unit.
BROKEN: list[tuple[str, tuple[AnyEvent, ...], int | str, int | str, int | None, int | None, str]] = [
    ("no-flip", (TRADE, forced(11)), 0, -1, LOSER, 0, "size"),
    ("no-flip", (TRADE, adl_round(size=11), adl_close(11)), 0, 1, WINNER, 0, "size"),
    ("no-over-close", (TRADE, forced(11)), 10, 11, LOSER, 0, "size"),
    ("no-over-close", (TRADE, forced(1, LOSER, WINNER)), 0, 1, LOSER, 0, "size"),
    ("no-over-close", (TRADE, adl_round(), adl_close(2, winner=FUND)), 0, 2, FUND, 0, "size"),
    # What claims to start from flat has nothing to close.
    ("no-over-close", (replace(forced(1), seller=LATE, account=LATE, seller_start_claim=0),), 0, 1, LATE, 0, "size"),
    ("round-side-and-size", (TRADE, adl_round(size=-10)), 10, -10, LOSER, 0, "size"),
    ("round-side-and-size", (TRADE, adl_round(size=11)), 10, 11, LOSER, 0, "size"),
    ("round-side-and-size", (adl_round(size=1),), 0, 1, LOSER, 0, "size"),
    ("round-claims", (*IN_DEBT, replace(adl_round(), mark=91, at_ns=5)), 90, 91, LOSER, 0, "price"),
    ("round-claims", (*IN_DEBT, replace(adl_round(), bankruptcy=81)), 80, 81, LOSER, 0, "price"),
    (
        "round-claims",
        (*IN_DEBT, replace(adl_round(), pools=(PoolBalance(FUND, -200_104),))),
        *(-200_002, -200_104, FUND, 0, "cash"),
    ),
    ("liquidation-claims", (*IN_DEBT, owed(100_101, 45_000)), 100_000, 100_101, LOSER, 0, "cash"),
    ("liquidation-claims", (*IN_DEBT, owed(100_000, 45_101)), 45_000, 45_101, LOSER, 0, "cash"),
    ("opposite-sides", (TRADE, adl_round(), adl_close(2, winner=FUND)), "short", 0, FUND, 0, "size"),
    (
        "opposite-sides",
        (TRADE, fill(FUND, WINNER, 100, 5), adl_round(), adl_close(2, winner=FUND)),
        *("short", 5, FUND, 0, "size"),
    ),
    # The loser's position is not known, but the round says which side it closes.
    ("opposite-sides", (late(None, None), TRADE, LATE_ROUND, LATE_CLOSE), "long", -10, WINNER, 0, "size"),
    ("opposite-sides", ON_FLAT_LOSER, "not flat", 0, LOSER, 0, "size"),
    (
        "open-interest-kept",
        (TRADE, fill(FUND, WINNER, 100, 5), adl_round(), adl_close(12, winner=FUND)),
        *(15, 17, None, 0, "size"),
    ),
    ("one-price", (TRADE, adl_round(), adl_close(price=90), adl_close(price=91)), 90, 91, WINNER, 0, "price"),
    ("one-price", (TRADE, adl_round(price=89), adl_close(price=90)), 89, 90, WINNER, 0, "price"),
    ("within-need", (TRADE, adl_round(size=-8), adl_close(5), adl_close(5)), 8, 10, LOSER, 0, "size"),
    ("within-deficit", (InsuranceDraw(*HEAD, FUND, LOSER, 5, 4, 0, None, None),), 4, 5, LOSER, 0, "cash"),
    ("start-position", claims(seller_start_claim=11), 10, 11, LOSER, 0, "size"),
    ("start-position", (replace(fill(LOSER, WINNER, 1, 1), buyer_start_claim=1),), 0, 1, LOSER, 0, "size"),
    ("continuity", (late(50, 7), late(50, 8)), 7, 8, LATE, 0, "size"),
    ("continuity", (late(50, 7), late(51, 7)), 50, 51, LATE, None, "cash"),
    ("closed-profit", claims(seller_profit_claim=120_000 + 4 * 1_000 + 101), 120_000, 124_101, LOSER, 0, "cash"),
    ("closed-profit", (TRADE, replace(TRADE, buyer_profit_claim=101)), 0, 101, LOSER, 0, "cash"),
    ("closed-profit", (TRADE, adl_round(), replace(adl_close(), seller_profit_claim=1)), -50_000, 1, LOSER, 0, "cash"),
    ("rows-accounted", source(Tally("set_aside.x", 4)), 10, 9, None, None, "count"),
    ("time-order", (source()[0], *(PriceTick(at, 1, 0, 0, 1, None) for at in (5, 6, 5))), 6, 5, None, None, "time"),
    ("margin-rates", (listing(0),), RATES, "initial 0.1, maintenance 0", None, 0, "text"),
    ("margin-rates", (listing(10**11),), RATES, "initial 0.1, maintenance 0.1", None, 0, "text"),
    ("commitment", (commitment(b"\0" * 32, b"\0" * 32),), START_ROOT, "00" * 32, None, None, "text"),
]


@pytest.mark.parametrize(
    ("law", "events", "expected", "found", "account", "market", "unit"),
    BROKEN,
    ids=[f"{row[0]}{i}" for i, row in enumerate(BROKEN)],
)
def test_each_law_can_be_broken(
    law: str,
    events: tuple[AnyEvent, ...],
    expected: int | str,
    found: int | str,
    account: int | None,
    market: int | None,
    unit: str,
) -> None:
    findings = run(*events, names=(law,))
    assert findings
    assert {finding.law for finding in findings} == {law}
    first = findings[0]
    assert first.seq == len(start()) + len(events)
    assert (first.expected, first.found, first.account, first.market, first.unit) == (expected, found, account, market, unit)


def test_what_is_said_of_a_broken_law_names_no_id() -> None:
    """It is the thing, what ``expected`` is, and what ``found`` is; ids and amounts stand beside it."""
    for law, events, *_ in BROKEN:
        for finding in run(*events, names=(law,)):
            thing, both = finding.what.replace("tier 1", "a tier").split(": ")
            assert not any(letter.isdigit() for letter in thing + both)
            assert ", and " in both


def test_a_round_that_closes_too_much_is_found_once() -> None:
    findings = run(TRADE, adl_round(size=8), *[adl_close(size) for size in (5, 3, 1, 1)], names=("within-need",))
    assert [(finding.seq - len(start()), finding.found) for finding in findings] == [(5, 9)]


@given(
    entry=st.integers(10**4, 10**9),
    digits=st.integers(5, 9),
    closed=st.integers(1, 10**6),
    price=st.integers(1, 10**9),
    side=st.sampled_from([1, -1]),
    further=st.integers(1, 10**9),
)
def test_profits_on_an_assumed_grid_are_right_to_five_digits_of_the_entry(
    entry: int, digits: int, closed: int, price: int, side: int, further: int
) -> None:
    """The venue rounds its entry to a step that is not on record; a price of five digits has at least 10**4 of them."""
    step = 10 ** max(len(str(entry)) - digits, 0)
    profit = side * closed * (price - entry)
    slack = max(closed * entry // 10**4, closed) + 100

    def findings(claim: int, *, assumed: bool) -> list[Finding]:
        market = replace(listing(), price_decimals=5, grid_assumed=assumed)
        traders = (LOSER, WINNER) if side > 0 else (WINNER, LOSER)
        claimed = {"seller_profit_claim" if side > 0 else "buyer_profit_claim": claim}
        opened, ended = fill(*traders, entry, closed), replace(fill(*traders[::-1], price, closed), **claimed)
        return checked([*start()[:-1], market, opened, ended], ("closed-profit",))

    assert findings(profit + side * closed * (entry % step), assumed=True) == []
    assert findings(profit + slack, assumed=True) == []
    assert [finding.found for finding in findings(profit - slack - further, assumed=True)] == [profit - slack - further]
    listed = closed + 100
    assert findings(profit - listed, assumed=False) == []
    assert [finding.expected for finding in findings(profit + listed + further, assumed=False)] == [profit]


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
    for law, events, *_ in BROKEN:
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
    state = at_start()
    true = commitment(money_root(state), basis_root(state))
    assert run(true) == []
    (finding,) = run(replace(true, basis_root=true.money_root))
    assert finding.what == "basis root: of the books, and as committed"
    assert (finding.expected, finding.found) == (true.basis_root.hex(), true.money_root.hex())


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


# ---- The real record


def test_entries_of_the_first_wave_that_contradict_its_profits_are_found(
    shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    """The profits are the venue's, the entries third parties' reconstructions: 28 of 401 are not those of the profits."""
    path, state, counts = tmp_path / "wave.adl", State(), Counter[str]()
    import_files(path, "hyperliquid-adl", [shared_data("hyperliquid/adl_2025-10-10_first_wave.csv")])
    with open_ledger(path) as ledger:
        findings = list(check(ledger, state=state, evaluations=counts))
    assert {finding.law for finding in findings} == {"closed-profit"}
    assert (len(findings), counts["closed-profit"]) == (28, 401)
    told = [(state.markets[f.market].listed.symbol, f.expected, f.found) for f in findings if f.market is not None]
    # In 10**-12 USDC: 3,274 ADA from 0.79848 at 0.63296, and 8,157.6 WLD from 1.2509 at 0.89082.
    assert ("ADA", 541_912_480_000_000, 177_850_228_000_000) in told
    assert ("WLD", 2_937_388_608_000_000, 2_166_495_408_000_000) in told
