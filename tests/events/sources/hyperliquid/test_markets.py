import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from events.errors import BadInputError
from events.model import Basis, MarginTier, MarketListed, MarketStatus, PriceTick, Quarantined
from events.sources.hyperliquid import HEAD, markets, open_feeds
from events.sources.hyperliquid.markets import is_meta
from events.sources.hyperliquid.shapes import TIERS_MAX
from events.sources.reading import fingerprint

Tape = Any  # the ledger in memory of tests/conftest.py
MILLE = 10**9  # a thousandth, in parts per trillion

BTC = {"szDecimals": 5, "name": "BTC", "maxLeverage": 40, "marginTableId": 56}
OLD = {"szDecimals": 1, "name": "MATIC", "maxLeverage": 20, "marginTableId": 20, "isDelisted": True, "somethingNew": 1}
TABLES = [
    [50, {"description": "", "marginTiers": [{"lowerBound": "0.0", "maxLeverage": 50}]}],
    [
        56,
        {
            "description": "tiered 40x",
            "marginTiers": [
                {"lowerBound": "0.0", "maxLeverage": 40},
                {"lowerBound": "150000000.0", "maxLeverage": 20},
            ],
        },
    ],
]
CONTEXTS = b"time,coin,oracle_px,mark_px\n2025-10-24T20:00:00Z,BTC,2,2.25\n2025-10-24T20:00:00Z,ETH,2,2.25\n"


@pytest.fixture
def ledger(tape: Callable[..., Tape], tmp_path: Path) -> Callable[..., Tape]:
    """Return a function that imports a meta file, and other bytes beside it, and returns the ledger."""

    def read(meta: Any, *others: bytes, into: Tape = None) -> Tape:
        files = []
        raw = meta if isinstance(meta, bytes) else json.dumps(meta, indent=1).encode()
        for number, content in enumerate((*others, raw) if raw else others):
            path = tmp_path / f"f{number}"
            path.write_bytes(content)
            files.append(fingerprint(path))
        into = into or tape(HEAD)
        into.read(open_feeds(files))
        return into

    return read


def test_a_listing_gives_grid_and_margin(ledger: Callable[..., Tape]) -> None:
    found = ledger({"universe": [BTC, OLD], "marginTables": TABLES, "collateralToken": 0})
    first, second = found.of(MarketListed)
    assert (first.symbol, first.price_decimals, first.size_decimals) == ("BTC", 1, 5)
    assert (first.grid_assumed, first.basis, first.at_ns) == (False, Basis.AVERAGE_TRUNCATED, 0)
    assert (first.price_tick, first.size_lot) == (1, 1)
    assert (first.status, second.status) == (MarketStatus.UNKNOWN, MarketStatus.DELISTED)
    # 1/40 and half of it, then 1/20 and half of it above 150 million.
    assert first.tiers == (MarginTier(0, 25 * MILLE, 12_500_000_000), MarginTier(150_000_000 * 10**12, 50 * MILLE, 25 * MILLE))
    # A table that is not there: one tier by the maximum leverage.
    assert (second.symbol, second.price_decimals, second.size_decimals) == ("MATIC", 5, 1)
    assert second.tiers == (MarginTier(0, 50 * MILLE, 25 * MILLE),)
    assert found.tallies == {"rows_in": 2, "rows_used": 2}


def test_rates_are_rounded_half_to_even(ledger: Callable[..., Tape]) -> None:
    found = ledger({"universe": [{"name": "A", "szDecimals": 0, "maxLeverage": 3}]})
    assert found.of(MarketListed)[0].tiers == (MarginTier(0, 333_333_333_333, 166_666_666_667),)


def test_listings_come_before_everything_else(ledger: Callable[..., Tape]) -> None:
    found = ledger({"universe": [BTC]}, CONTEXTS)
    assert [(each.symbol, each.price_decimals, each.grid_assumed) for each in found.of(MarketListed)] == [
        ("BTC", 1, False),
        ("ETH", 6, True),
    ]
    # 2.25 is not on BTC's price grid of one decimal.
    assert [tick.market for tick in found.of(PriceTick)] == [1]
    assert found.tallies["quarantined.number"] == 1


def test_a_listed_market_keeps_its_decimals(ledger: Callable[..., Tape]) -> None:
    found = ledger(b"", CONTEXTS)
    meta = {"universe": [BTC, {"name": "ETH", "szDecimals": 6, "maxLeverage": 40}]}
    ledger(meta, into=found)
    listed = found.of(MarketListed)[-1]
    assert found.book.listed(0).tiers == (MarginTier(0, 25 * MILLE, 12_500_000_000),)
    assert (listed.price_decimals, listed.size_decimals, listed.grid_assumed) == (6, 6, True)
    assert found.tallies["grid.kept"] == 1
    ledger({**meta, "again": 1}, into=found)
    assert len(found.of(MarketListed)) == 4
    assert found.tallies["duplicate.market"] == 2


def test_a_status_that_changes_is_listed_again(ledger: Callable[..., Tape]) -> None:
    found = ledger({"universe": [{**BTC, "isDelisted": False}]})
    for number, delisted in enumerate((True, True)):
        ledger({"universe": [{**BTC, "isDelisted": delisted}], "again": number}, into=found)
    assert [listed.status for listed in found.of(MarketListed)] == [MarketStatus.TRADING, MarketStatus.DELISTED]
    assert found.tallies["duplicate.market"] == 1


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"name": "A", "szDecimals": 7, "maxLeverage": 3}, "shape"),
        ({"name": "A", "szDecimals": 2, "maxLeverage": 0}, "shape"),
        ({"name": "A", "szDecimals": "2", "maxLeverage": 3}, "shape"),
        ({"szDecimals": 2, "maxLeverage": 3}, "shape"),
    ],
)
def test_a_bad_entry_is_quarantined_alone(ledger: Callable[..., Tape], entry: dict[str, Any], reason: str) -> None:
    found = ledger({"universe": [BTC, entry]})
    assert len(found.of(MarketListed)) == 1
    [event] = found.of(Quarantined)
    assert (json.loads(event.raw), event.reason) == (entry, reason)


@pytest.mark.parametrize("floors", [["1.0"], ["0", "0"], ["0", "5", "4"], ["0", "-1"], ["x"], []])
def test_margin_tables_make_sense_or_nothing_is_listed(ledger: Callable[..., Tape], floors: list[str]) -> None:
    tiers = [{"lowerBound": floor, "maxLeverage": 5} for floor in floors]
    found = ledger({"universe": [BTC], "marginTables": [[1, {"marginTiers": tiers}]]})
    assert found.of(MarketListed) == []
    assert found.tallies == {"rows_in": 1, "quarantined.number": 1}


@pytest.mark.parametrize("count", [TIERS_MAX, TIERS_MAX + 1])
def test_a_margin_table_has_room_in_an_event_or_nothing_is_listed(ledger: Callable[..., Tape], count: int) -> None:
    tiers = [{"lowerBound": str(10**25 + number if number else 0), "maxLeverage": 5} for number in range(count)]
    asset = {**BTC, "name": "é" * 256, "marginTableId": 1}
    found = ledger({"universe": [asset], "marginTables": [[1, {"marginTiers": tiers}]]})
    assert len(found.of(MarketListed)) == (count == TIERS_MAX)
    assert found.tallies == {"rows_in": 1, ("rows_used" if count == TIERS_MAX else "quarantined.shape"): 1}


def test_a_broken_answer_is_quarantined(ledger: Callable[..., Tape]) -> None:
    found = ledger(json.dumps({"universe": [BTC]}).encode()[:-1])
    assert found.tallies == {"rows_in": 1, "quarantined.bad-json": 1}


def test_markets_in_another_currency_are_set_aside(ledger: Callable[..., Tape]) -> None:
    found = ledger({"universe": [BTC], "collateralToken": 235})
    assert found.tallies == {"rows_in": 1, "set_aside.collateral": 1}


def test_an_answer_is_told_by_its_keys() -> None:
    assert is_meta(json.dumps({"marginTables": TABLES, "universe": [BTC]}).encode())
    assert not is_meta(b'[{"universe":[{"szDecimals":1}]}]')
    assert not is_meta(b'{"universe":[{"tokens":1}]}')


def test_an_answer_is_read_once_and_not_without_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "meta"
    path.write_text(json.dumps({"universe": [BTC]}))
    [feed] = open_feeds([fingerprint(path)])
    assert len(list(feed.items(0))) == 1
    assert list(feed.items(1)) == []
    monkeypatch.setattr(markets, "_BYTES_MAX", 10)
    with pytest.raises(BadInputError, match="not over 10 bytes"):
        list(feed.items(0))
