import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.model import (
    EXTERNAL,
    FEES,
    PAYMENTS_MAX,
    ROUNDING,
    UNOBSERVED,
    AccountOpened,
    Completeness,
    Funding,
    MarketListed,
    Quarantined,
    Reason,
    Role,
    SourceOpened,
    Transfer,
)
from events.sources.hyperliquid import HEAD, open_feeds
from events.sources.hyperliquid.lines import Rank, block_items
from events.sources.hyperliquid.misc import misc_events
from events.sources.hyperliquid.movements import MOVEMENTS, SET_ASIDE_KINDS
from events.sources.hyperliquid.shapes import LedgerUpdate
from events.sources.reading import fingerprint

Tape = Any  # the ledger in memory of tests/conftest.py

TIME = "2026-06-11T01:00:00.039772125"
AT_NS = 1_781_139_600_039_772_125
NO_HASH = "0x" + "0" * 64
HASH = "0x7fe9" + "1" * 60

# Two funding deltas as a public reader of the archive quotes them.
REAL_FUNDING = {
    "Funding": {
        "deltas": [
            {
                "user": "0x00000000000dfd47d200dc26e4e5c79b7e6de984",
                "coin": "ZEC",
                "funding_amount": "9.330246",
                "szi": "280.0",
                "funding_rate": "-0.0000810249",
            },
            {
                "user": "0x00000000002f3d928030df28cb15b27b56888b9b",
                "coin": "HYPE",
                "funding_amount": "4.506878",
                "szi": "-2744.84",
                "funding_rate": "0.0000308526",
            },
        ]
    }
}


def address(number: int) -> str:
    return f"0x{number:040x}"


SOURCE = SourceOpened(0, 1, 0, "f", b"a" * 32, b"b" * 32, 9, "hyperliquid", 1, 1, None, "", Completeness.COMPLETE)
A, B, VAULT = address(1), address(2), address(3)
UNIT = 10**12


def event(inner: dict[str, Any], transaction: str = HASH) -> dict[str, Any]:
    return {"time": TIME, "hash": transaction, "inner": inner}


def update(delta: dict[str, Any], *users: str) -> dict[str, Any]:
    return event({"LedgerUpdate": {"users": list(users or (A,)), "delta": delta}})


def block(events: list[Any], number: int = 1_030_773_830, time: str = TIME) -> bytes:
    return json.dumps({"local_time": time, "block_time": time, "block_number": number, "events": events}).encode()


@pytest.fixture
def ledger(tape: Callable[..., Tape], tmp_path: Path) -> Callable[..., Tape]:
    """Return a function that imports lines as one file and returns the ledger."""

    def read(*lines: bytes, into: Tape = None, name: str = "misc") -> Tape:
        path = tmp_path / name
        path.write_bytes(b"\n".join(lines))
        into = into or tape(HEAD)
        into.read(open_feeds([fingerprint(path)]))
        return into

    return read


def moves(found: Tape) -> list[tuple[str, str, int, Reason]]:
    name = found.book.account_name
    return [(name(each.payer), name(each.payee), each.cash, each.reason) for each in found.of(Transfer)]


# ---- Funding


def test_the_quoted_funding(ledger: Callable[..., Tape]) -> None:
    found = ledger(block([event(REAL_FUNDING, NO_HASH)]))
    first, second = found.of(Funding)
    assert (first.at_ns, first.row, first.market, first.against) == (AT_NS, 1, 0, UNOBSERVED)
    assert (first.rate_ppt, second.rate_ppt) == (-81_024_900, 30_852_600)
    assert [(each.account, each.cash) for each in first.payments] == [(4, 9_330_246_000_000)]
    assert [(each.account, each.cash) for each in second.payments] == [(5, 4_506_878_000_000)]
    assert [listed.symbol for listed in found.of(MarketListed)] == ["ZEC", "HYPE"]
    assert found.tallies == {"rows_in": 2, "rows_used": 2}


def deltas(*rows: tuple[int, str, str, str]) -> dict[str, Any]:
    return event(
        {
            "Funding": {
                "deltas": [
                    {"user": address(who), "coin": coin, "funding_amount": amount, "szi": "1", "funding_rate": rate}
                    for who, coin, amount, rate in rows
                ]
            }
        }
    )


def test_funding_is_told_by_market_and_rate(ledger: Callable[..., Tape]) -> None:
    rows = [(1, "BTC", "-1.5", "0.00001"), (2, "ETH", "2", "0.1"), (3, "BTC", "0.25", "0.00001"), (4, "BTC", "1", "0.2")]
    found = ledger(block([deltas(*rows), deltas((1, "@5", "1", "0"))]))
    told = [(each.market, each.rate_ppt, [payment.cash for payment in each.payments]) for each in found.of(Funding)]
    assert told == [
        (0, 10_000_000, [-3 * UNIT // 2, UNIT // 4]),
        (1, 100_000_000_000, [2 * UNIT]),
        (0, 200_000_000_000, [UNIT]),
    ]
    assert {payment.size_claim for each in found.of(Funding) for payment in each.payments} == {10**6}
    assert found.state.cash[UNOBSERVED] == -(2 * UNIT + 3 * UNIT // 4 - UNIT)
    assert found.tallies["set_aside.spot"] == 1


def test_much_funding_is_told_in_parts(ledger: Callable[..., Tape]) -> None:
    rows = [(who, "BTC", "0.000001", "0.1") for who in range(1, 2 * PAYMENTS_MAX + 2)]
    found = ledger(block([deltas(*rows)]))
    assert [len(each.payments) for each in found.of(Funding)] == [PAYMENTS_MAX, PAYMENTS_MAX, 1]
    assert found.tallies == {"rows_in": 2001, "rows_used": 2001}


def test_a_bad_delta_is_quarantined_alone(ledger: Callable[..., Tape]) -> None:
    funding = deltas((1, "BTC", "1", "0.1"), (2, "BTC", "1.123456789", "0.1"), (3, "ETH", "1", "x"), (4, "BTC", "1", "0.1"))
    funding["inner"]["Funding"]["deltas"].insert(1, {**REAL_FUNDING["Funding"]["deltas"][0], "nSamples": 3})
    found = ledger(block([funding]))
    [told] = found.of(Funding)
    assert [payment.cash for payment in told.payments] == [UNIT, UNIT]
    assert found.tallies["quarantined.number"] == 2
    assert found.tallies["quarantined.unknown-field"] == 1
    assert json.loads(found.of(Quarantined)[0].raw)["nSamples"] == 3
    assert [listed.symbol for listed in found.of(MarketListed)] == ["BTC"]


def test_noise_in_funding_is_booked_against_the_rest_of_the_venue(ledger: Callable[..., Tape]) -> None:
    found = ledger(block([deltas((1, "BTC", "2703997.4500000002", "0.1"))]))
    [residual] = found.of(Transfer)
    # Unobserved pays 2703997.45 to the account and 0.0000000002 to rounding: as much as the source says.
    assert (residual.payer, residual.payee, residual.cash) == (UNOBSERVED, ROUNDING, 200)
    assert found.state.cash[4] == 2_703_997_450_000 * 10**6


# ---- Ledger updates: what pays whom

SEND = {
    "type": "send", "user": A, "destination": B, "sourceDex": "", "destinationDex": "", "token": "USDC", "amount": "5.0",
    "usdcValue": "5.0", "fee": "0.0", "nativeTokenFee": "0.0", "nonce": 1784288317818, "feeToken": "",
}  # fmt: skip
WITHDRAWN = {
    "type": "vaultWithdraw", "vault": VAULT, "user": A, "requestedUsd": "10.0", "commission": "1.0", "closingCost": "0.5",
    "basis": "4.0", "netWithdrawnUsd": "8.5",
}  # fmt: skip

CASES: dict[str, tuple[dict[str, Any], list[tuple[str, str, str, Reason]]]] = {
    "deposit": ({"type": "deposit", "usdc": "9.5"}, [("external", A, "9.5", Reason.DEPOSIT)]),
    "withdraw": (
        {"type": "withdraw", "usdc": "4.0", "nonce": 1, "fee": "1.0"},
        [(A, "external", "4", Reason.WITHDRAWAL), (A, "fees", "1", Reason.FEE)],
    ),
    "to perp": ({"type": "accountClassTransfer", "usdc": "12.0", "toPerp": True}, [("external", A, "12", Reason.CLASS)]),
    "to spot": ({"type": "accountClassTransfer", "usdc": "12.0", "toPerp": False}, [(A, "external", "12", Reason.CLASS)]),
    "to dex": (
        {"type": "perpDexClassTransfer", "amount": "3", "token": "USDC", "dex": "xyz", "toPerp": True},
        [("external", A, "3", Reason.CLASS)],
    ),
    "from dex": (
        {"type": "perpDexClassTransfer", "amount": "3", "token": "USDC", "dex": "xyz", "toPerp": False},
        [(A, "external", "3", Reason.CLASS)],
    ),
    "internal": (
        {"type": "internalTransfer", "usdc": "7.0", "user": A, "destination": B, "fee": "1.0"},
        [(A, B, "7", Reason.INTERNAL), (A, "fees", "1", Reason.FEE)],
    ),
    "sub-account": (
        {"type": "subAccountTransfer", "usdc": "7.0", "user": A, "destination": B},
        [(A, B, "7", Reason.INTERNAL)],
    ),
    "send": (SEND, [(A, B, "5", Reason.INTERNAL)]),
    "send with fee": (
        {**SEND, "fee": "1.0", "feeToken": "USDC"},
        [(A, B, "5", Reason.INTERNAL), (A, "fees", "1", Reason.FEE)],
    ),
    "send to spot": ({**SEND, "destinationDex": "spot"}, [(A, "external", "5", Reason.CLASS)]),
    "send from spot": ({**SEND, "sourceDex": "spot", "fee": "1.0"}, [("external", B, "5", Reason.CLASS)]),
    "send to one's own spot": ({**SEND, "destination": A, "destinationDex": "spot"}, [(A, "external", "5", Reason.CLASS)]),
    "vault create": (
        {"type": "vaultCreate", "vault": VAULT, "usdc": "100.0", "fee": "10.0"},
        [(A, VAULT, "100", Reason.VAULT), (A, "fees", "10", Reason.FEE)],
    ),
    "vault deposit": ({"type": "vaultDeposit", "vault": VAULT, "usdc": "2.0"}, [(A, VAULT, "2", Reason.VAULT)]),
    "vault withdraw": (WITHDRAWN, [(VAULT, A, "8.5", Reason.VAULT), (VAULT, "unobserved", "1", Reason.VAULT)]),
    "vault distribution": ({"type": "vaultDistribution", "vault": VAULT, "usdc": "2.0"}, [(VAULT, A, "2", Reason.VAULT)]),
    "leader commission": (
        {"type": "vaultLeaderCommission", "user": A, "usdc": "1.0"},
        [("unobserved", A, "1", Reason.VAULT)],
    ),
    "eight decimals": ({"type": "deposit", "usdc": "0.12345678"}, [("external", A, "0.12345678", Reason.DEPOSIT)]),
    "nothing": ({"type": "deposit", "usdc": "0.0"}, []),
}


@pytest.mark.parametrize("name", CASES)
def test_a_delta_moves_cash_from_its_payer_to_its_payee(ledger: Callable[..., Tape], name: str) -> None:
    delta, want = CASES[name]
    users = (A, VAULT) if "vault" in delta else (A, B) if "destination" in delta else (A,)
    found = ledger(block([update(delta, *users)]))
    cash = [
        (payer, payee, int(amount.replace(".", "").ljust(len(amount.partition(".")[0]) + 12, "0")), reason)
        for payer, payee, amount, reason in want
    ]
    assert moves(found) == cash
    assert {each.reference for each in found.of(Transfer)} <= {HASH}
    assert found.tallies == {"rows_in": 1, "rows_used": 1}


def test_vaults_are_opened_as_vaults(ledger: Callable[..., Tape]) -> None:
    found = ledger(block([update(CASES["vault deposit"][0], VAULT, A)]))
    assert [(opened.name, opened.role) for opened in found.of(AccountOpened)] == [(A, Role.USER), (VAULT, Role.VAULT)]


def test_system_events_have_no_reference(ledger: Callable[..., Tape]) -> None:
    quiet = {**update(CASES["deposit"][0]), "hash": NO_HASH}
    assert [each.reference for each in ledger(block([quiet])).of(Transfer)] == [None]


@pytest.mark.parametrize(
    ("delta", "reserved", "payer", "payee"),
    [
        ({"type": "deposit", "usdc": "2703997.4500000002"}, EXTERNAL, EXTERNAL, ROUNDING),
        ({"type": "withdraw", "usdc": "2703997.4500000002", "fee": "0"}, EXTERNAL, ROUNDING, EXTERNAL),
        ({"type": "withdraw", "usdc": "1", "fee": "2703997.4500000002"}, FEES, ROUNDING, FEES),
    ],
)
def test_the_raw_amount_ties_to_the_reserved_account(
    ledger: Callable[..., Tape], delta: dict[str, Any], reserved: int, payer: int, payee: int
) -> None:
    found = ledger(block([update(delta)]))
    residual = found.of(Transfer)[-1]
    assert (residual.payer, residual.payee, residual.cash, residual.reason) == (payer, payee, 200, Reason.RESIDUAL)
    assert abs(found.state.cash[reserved]) == 2_703_997_450_000_000_200
    assert found.state.cash[4] % 10**6 == 0


ASIDE: dict[str, tuple[str, dict[str, Any]]] = {
    "token": ("spot", {**SEND, "token": "HYPE"}),
    "spot to spot": ("spot", {**SEND, "sourceDex": "spot", "destinationDex": "spot"}),
    "dex to dex": ("same-account", {**SEND, "destination": A, "destinationDex": "xyz"}),
    "dex token": ("spot", {"type": "perpDexClassTransfer", "amount": "3", "token": "USDH", "dex": "a", "toPerp": True}),
    "liquidation": (
        "notice",
        {
            "type": "liquidation",
            "liquidatedNtlPos": "36657.0",
            "accountValue": "365.89",
            "leverageType": "Isolated",
            "liquidatedPositions": [{"coin": "ETH", "szi": "22.5"}],
        },
    ),
    "rewards": ("spot", {"type": "rewardsClaim", "amount": "1.5", "token": "USDC"}),
    "spot transfer": ("spot", {"type": "spotTransfer", "token": "HYPE", "amount": "1", "user": A, "destination": B}),
    "genesis": ("spot", {"type": "spotGenesis", "token": "HYPE", "amount": "1"}),
    "lend": ("spot", {"type": "borrowLend", "token": "USDC", "operation": "supply", "amount": "1", "interestAmount": "0"}),
    "staking": ("staking", {"type": "cStakingTransfer", "token": "HYPE", "amount": "1", "isDeposit": True}),
    "gas": ("spot", {"type": "accountActivationGas", "amount": "1", "token": "USDC"}),
}


@pytest.mark.parametrize("name", ASIDE)
def test_what_moves_no_perp_cash_is_set_aside(ledger: Callable[..., Tape], name: str) -> None:
    tally, delta = ASIDE[name]
    found = ledger(block([update(delta)]))
    assert moves(found) == []
    assert found.tallies == {"rows_in": 1, f"set_aside.{tally}": 1}


def test_every_known_delta_is_a_movement_or_set_aside() -> None:
    known = set(LedgerUpdate.__annotations__["delta"].__args__)
    assert known == {*MOVEMENTS, *SET_ASIDE_KINDS}
    assert not {*MOVEMENTS} & {*SET_ASIDE_KINDS}


@pytest.mark.parametrize(
    ("inner", "tally"),
    [
        ({"CDeposit": {"user": A, "amount": "1"}}, "staking"),
        ({"CWithdrawal": {"user": A, "amount": "11.38254596", "is_finalized": False}}, "staking"),
        ({"Delegation": {"user": A, "validator": B, "amount": "1", "is_undelegate": True}}, "staking"),
        ({"ValidatorRewards": {"validator_to_reward": [[A, "1"]]}}, "staking"),
        ({"GossipPriorityAuctionRestart": {"slot_id": 1, "previous_winner": None, "end_gas": None}}, "notice"),
    ],
)
def test_other_kinds_of_event_are_set_aside(ledger: Callable[..., Tape], inner: dict[str, Any], tally: str) -> None:
    assert ledger(block([event(inner)])).tallies == {"rows_in": 1, f"set_aside.{tally}": 1}


# ---- What is quarantined

BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "kind": ("unknown-type", event({"NewKind": {}})),
    "two kinds": ("shape", event({"CDeposit": {}, "CWithdrawal": {}})),
    "no kind": ("shape", event({})),
    "delta type": ("unknown-type", update({"type": "hip9Movement", "usdc": "1"})),
    "delta key": ("unknown-field", update({"type": "deposit", "usdc": "1", "more": 1})),
    "missing": ("shape", update({"type": "withdraw", "usdc": "1"})),
    "event key": ("unknown-field", {**update({"type": "deposit", "usdc": "1"}), "more": 1}),
    "two users": ("parties", update({"type": "deposit", "usdc": "1"}, A, B)),
    "no user": ("parties", event({"LedgerUpdate": {"users": [], "delta": {"type": "deposit", "usdc": "1"}}})),
    "negative": ("negative", update({"type": "withdraw", "usdc": "-2", "fee": "1"})),
    "number": ("number", update({"type": "deposit", "usdc": "lots"})),
    "off the grid": ("number", update({"type": "deposit", "usdc": "0.123456789"})),
    "fee token": ("fee-token", update({**SEND, "fee": "1.0", "feeToken": "HYPE"})),
    "address": ("shape", update({"type": "deposit", "usdc": "1"}, "0x12")),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_event_is_quarantined_and_costs_no_other(ledger: Callable[..., Tape], name: str) -> None:
    reason, bad = BAD[name]
    good = update({"type": "deposit", "usdc": "1"})
    found = ledger(block([good, bad, good]))
    assert found.tallies == {"rows_in": 3, "rows_used": 2, f"quarantined.{reason}": 1}
    [kept] = found.of(Quarantined)
    assert (json.loads(kept.raw), kept.reason) == (bad, reason)
    assert [opened.name for opened in found.of(AccountOpened)] == [A]


def test_bad_and_late_blocks_are_quarantined_whole(ledger: Callable[..., Tape]) -> None:
    good = update({"type": "deposit", "usdc": "1"})
    late = block([good, good], 4)
    far = block([good, good], 6, "9999-01-01T00:00:00")
    found = ledger(block([good], 5), late, block([good], 7), b'{"block_number":', far)
    assert {name: count for name, count in found.tallies.items() if "." in name} == {
        "quarantined.out-of-order": 3,
        "quarantined.bad-json": 1,
        "quarantined.time": 2,
    }


def test_another_source_books_nothing_twice(ledger: Callable[..., Tape]) -> None:
    good = update({"type": "deposit", "usdc": "1"})
    found = ledger(block([good]))
    later = block([good], 1_030_773_831, "2026-06-11T01:00:01")
    ledger(block([good]), block([]), later, into=found, name="again")
    assert len(moves(found)) == 2
    assert found.tallies["quarantined.overlap"] == 1


LINE = block([event(REAL_FUNDING), update({"type": "deposit", "usdc": "1"}), update(SEND, A, B), event({"Delegation": {}})])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(LINE)), st.integers(0, 9), st.binary(max_size=4) | st.sampled_from([b'"', b"}", b"-", b"9" * 20]))
def test_whatever_a_line_holds_its_rows_are_accounted_for(tape: Callable[..., Tape], at: int, cut: int, spliced: bytes) -> None:
    found = tape(HEAD)
    found.emit(SOURCE)
    line = LINE[:at] + spliced + LINE[at + cut :]
    for item in block_items([(1, line)], 0, Rank.MISC):
        misc_events(item, 1, found.book, found)
    found.read([])
    assert found.tallies["rows_in"] >= 1
