"""Published bytes of every event type, kept for ever in ``tests/golden/events.json``.

A published tag and its fields are frozen: when one of these tests fails for an event that was published, the change is
wrong, not the file. Only to add examples of a new tag, write the file again from ``EXAMPLES``:

    PYTHONPATH=. python tests/events/test_golden.py
"""

import json
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.codec import check, encode
from events.model import (
    EVENTS,
    AccountOpened,
    AdlCandidates,
    AdlClose,
    AdlRound,
    AnyEvent,
    Basis,
    Candidate,
    Completeness,
    Contract,
    Corrected,
    Fill,
    Funding,
    InsuranceDraw,
    LedgerOpened,
    Liquidation,
    MarginMode,
    MarginTier,
    MarketListed,
    MarketStatus,
    Method,
    Opening,
    OpenPosition,
    Payment,
    PolicyAdopted,
    PoolBalance,
    PriceRule,
    PriceTick,
    Quarantined,
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
from events.units import INT64_MAX, INT64_MIN

GOLDEN = Path(__file__).parents[1] / "golden" / "events.json"
AT = 1_760_130_976_123_456_789

EXAMPLES: dict[str, AnyEvent] = {
    "LedgerOpened": LedgerOpened(AT, 0, 0, "hyperliquid", "USDC", 8, 1),
    "SourceOpened": SourceOpened(
        AT, 1, 0, "fills.jsonl.lz4", bytes(range(32)), bytes(range(32, 64)), 123_456_789, "hyperliquid-fills", 1, 1_000_000,
        100_000, "block time", Completeness.COMPLETE,
    ),
    "SourceOpened, clock unknown": SourceOpened(
        0, 2, 0, "meta.json", bytes(32), bytes(32), 0, "hyperliquid", 1, None, None, "", Completeness.UNKNOWN
    ),
    "SourceClosed": SourceClosed(AT, 1, 10, 10, 7, (Tally("quarantined.unknown", 1), Tally("set_aside.spot", 2))),
    "SourceClosed, nothing counted": SourceClosed(0, 1, 0, 0, 0, ()),
    "AccountOpened": AccountOpened(
        AT, 1, 3, 4, "0x00000000000000000000000000000000000000a1", 4, Role.USER, MarginMode.CROSS, new=False, adl_exempt=None
    ),
    "AccountOpened, not ASCII": AccountOpened(
        AT, 0, 0, 5, "Käufer ☂ 帳", 4, Role.VAULT, MarginMode.ISOLATED, new=True, adl_exempt=True
    ),
    "MarketListed": MarketListed(
        AT, 0, 0, 0, "BTC", Contract.LINEAR, 1, 5, 1, 0, 5, 10, Basis.AVERAGE, False,
        (MarginTier(0, 25 * 10**9, 12_500 * 10**6), MarginTier(15 * 10**15, 10**15, 333_333_333_333)), 10**12,
        MarketStatus.TRADING,
    ),
    "MarketListed, unknown tiers": MarketListed(
        AT, 0, 0, 1, "XBTUSD", Contract.INVERSE, 1, 0, 1, 0, 1, 1, Basis.AVERAGE_TRUNCATED, True, (), None,
        MarketStatus.UNKNOWN,
    ),
    "PolicyAdopted": PolicyAdopted(
        AT, 0, 0, 0, "queue", None, "equity<0", "market", "profit*leverage desc, account asc", "whole", "bankruptcy", "deficit",
        "fund, adl", "down", "https://example.invalid/adl", bytes(32), "",
    ),
    "PolicyAdopted, by staff": PolicyAdopted(
        AT, 0, 0, 1, "override", (0, 2), "", "", "", "", "", "", "", "", "", None, "risk desk"
    ),
    "Opening": Opening(AT, 1, 5, 4, -1_234_567_890, (OpenPosition(0, -500, 1_220_000, 2), OpenPosition(1, None, None, 0))),
    "Opening, cash unknown": Opening(AT, 1, 5, 4, None, ()),
    "Opening, wide cash": Opening(AT, 1, 5, 4, INT64_MAX + 1, ()),
    "Transfer": Transfer(AT, 1, 6, 0, 4, 100_000_000, Reason.DEPOSIT, "0xfeed"),
    "Transfer, widest below zero": Transfer(AT, 1, 6, 4, 0, -(2**127), Reason.WITHDRAWAL, None),
    "Transfer, widest": Transfer(AT, 1, 6, 4, 0, 2**127 - 1, Reason.TAKEOVER, None),
    "Transfer, just wide": Transfer(AT, 1, 6, 4, 0, INT64_MIN - 1, Reason.RESIDUAL, None),
    "PriceTick": PriceTick(AT, 1, 7, 0, 1_219_995, 1_220_010),
    "PriceTick, no oracle": PriceTick(-1, 1, 7, 0, 1, None),
    "PriceTick, no mark": PriceTick(-1, 1, 7, 0, None, 1),
    "Fill": Fill(
        AT, 1, 8, 0, 4, 5, 1_220_000, 250, 4_575, -305, 987_654_321, Taker.BUYER, 11, "b-12", 0, -1_000, 0, -98_765
    ),
    "Fill, nothing claimed": Fill(
        AT, 0, 0, 0, 4, 5, 1, 1, 0, 0, None, Taker.UNKNOWN, None, None, None, None, None, None
    ),
    "Funding": Funding(AT, 1, 9, 0, 12_500_000, 1, (Payment(4, -77, 250), Payment(5, 76, -250))),
    "Funding, rate unknown": Funding(AT, 1, 9, 0, None, 1, (Payment(4, 2**70, None),)),
    "Liquidation": Liquidation(
        AT, 1, 10, 0, 6, 4, 1_180_000, 250, 0, 0, "1", Taker.SELLER, 13, 14, 0, 250, 0, -2_000_000, 4, Method.BACKSTOP,
        1_181_000, 5_000, 6_000,
    ),
    "Liquidation, below zero": Liquidation(
        AT, 0, 0, 0, 6, 4, -5, 1, 0, 0, 0, Taker.UNKNOWN, None, None, None, None, None, None, 4, Method.TAKEOVER, None, None,
        None,
    ),
    "InsuranceDraw": InsuranceDraw(AT, 0, 0, 6, 4, 1_000, 1_500, 0, 0, "0xfeed"),
    "InsuranceDraw, little known": InsuranceDraw(AT, 0, 0, 6, 4, 1_000, None, None, None, None),
    "AdlRound": AdlRound(
        AT, 0, 0, 0, 4, 0, 250, 1_175_000, PriceRule.BANKRUPTCY, 1_180_000, 1_180_500, 1_175_000, 0, (PoolBalance(6, -20),),
        2**64, 17, 18, b"\x00seed",
    ),
    "AdlRound, little known": AdlRound(
        AT, 1, 11, 0, 4, 0, None, None, PriceRule.UNKNOWN, None, None, None, None, (), None, None, None, None
    ),
    "AdlClose": AdlClose(
        AT, 1, 12, 0, 5, 4, 1_175_000, 250, 0, 0, 77, Taker.BUYER, 15, 16, -250, 250, 11_250_000, -11_250_000, 0, 5, 1_180_000,
        2**64, 1,
    ),
    "AdlClose, nothing claimed": AdlClose(
        AT, 0, 0, 0, 5, 4, 1_175_000, 250, 0, 0, None, Taker.UNKNOWN, None, None, None, None, None, None, 0, 5, None, None, None
    ),
    "Settlement": Settlement(AT, 1, 13, 0, 5, 4, 0, 250, 3, 0, 78, Taker.UNKNOWN, None, "s", -250, 250, 1, -1),
    "Quarantined": Quarantined(AT, 1, 14, "unknown_kind", "no such kind: 'x'", 1, 1, b'{"kind": "x"}\xff\x00'),
    "Corrected": Corrected(AT, 0, 0, 12, "the venue withdrew this close", "venue notice", 2),
    "StateCommitted": StateCommitted(AT, 0, 0, 99, bytes(range(32)), bytes(range(64, 96)), 1),
    "AdlCandidates": AdlCandidates(
        AT, 0, 0, 0, 1, 2, (Candidate(5, -250, 2**64, 1_300_000, "1.0625"), Candidate(7, None, None, None, None))
    ),
    "AdlCandidates, none": AdlCandidates(AT, 0, 0, 0, 2, 2, ()),
}  # fmt: skip


def readable(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {field: readable(getattr(value, field)) for field in value.__struct_fields__}
    if isinstance(value, tuple):
        return [readable(part) for part in value]
    if isinstance(value, bytes):
        return value.hex()
    return value.name if isinstance(value, Enum) else value


def entry(name: str, event: AnyEvent) -> dict[str, Any]:
    return {"name": name, "type": type(event).__name__, "hex": encode(event).hex(), "fields": readable(event)}


def golden() -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in json.loads(GOLDEN.read_text(encoding="utf-8"))}


def test_every_event_type_has_golden_bytes() -> None:
    assert {one["type"] for one in golden().values()} == {kind.__name__ for kind in EVENTS.values()}


def test_no_golden_example_is_lost_or_new() -> None:
    assert list(golden()) == list(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_published_bytes_are_frozen(name: str) -> None:
    assert entry(name, EXAMPLES[name]) == golden()[name]


@pytest.mark.parametrize("name", EXAMPLES)
def test_published_bytes_still_read(name: str) -> None:
    kept = golden()[name]
    event = check(bytes.fromhex(kept["hex"]))
    assert type(event).__name__ == kept["type"]
    assert readable(event) == kept["fields"]


if __name__ == "__main__":
    made = [entry(name, event) for name, event in EXAMPLES.items()]
    GOLDEN.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
