from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from events.model import Completeness, MarketListed, PriceTick, Quarantined
from events.sources.hyperliquid import HEAD, open_feeds
from events.sources.hyperliquid.contexts import columns
from events.sources.reading import fingerprint

Tape = Any  # the ledger in memory of tests/conftest.py

HEADER = b"time,coin,funding,open_interest,prev_day_px,day_ntl_vlm,premium,oracle_px,mark_px,mid_px,impact_bid_px,impact_ask_px"
# A row of the archive as it is quoted.
POPCAT = b"2025-11-13T00:01:00Z,POPCAT,-0.0003,44122738,0.15002,133328618.73,-0.0019,0.12585,0.12543,0.12545,0.125332,0.125601"


def row(time: str, coin: str, oracle: str = "2.5", mark: str = "2.0") -> bytes:
    return f"{time},{coin},,,,,,{oracle},{mark},,null,".encode()


@pytest.fixture
def ledger(tape: Callable[..., Tape], tmp_path: Path) -> Callable[..., Tape]:
    """Return a function that imports lines as one file and returns the ledger."""

    def read(*lines: bytes) -> Tape:
        path = tmp_path / "asset_ctxs.csv"
        path.write_bytes(b"\n".join(lines) + b"\n")
        found = tape(HEAD)
        feeds = open_feeds([fingerprint(path)])
        assert (feeds[0].granularity_ns, feeds[0].completeness) == (60 * 10**9, Completeness.SAMPLED)
        found.read(feeds)
        return found

    return read


def test_the_quoted_row(ledger: Callable[..., Tape]) -> None:
    found = ledger(HEADER, POPCAT)
    [tick] = found.of(PriceTick)
    assert (tick.at_ns, tick.row, tick.market) == (1_762_992_060_000_000_000, 2, 0)
    assert (tick.mark, tick.oracle) == (125_430, 125_850)
    [listed] = found.of(MarketListed)
    assert (listed.symbol, listed.grid_assumed) == ("POPCAT", True)


def test_both_spellings_of_the_time_and_unknown_columns(ledger: Callable[..., Tape]) -> None:
    found = ledger(
        HEADER,
        row("2025-10-24 20:00:00.000", "BTC", oracle=""),
        row("2025-10-24 20:00:00.000", "ETH", oracle="null"),
        row("2025-10-24T20:01:00Z", "BTC", mark="null"),
        row("2025-10-24T20:01:00Z", "@107"),
        b'2025-10-24T20:01:00Z,"ETH",,,,,,2.5,2.0,,,\r',
    )
    assert [(tick.market, tick.mark, tick.oracle) for tick in found.of(PriceTick)] == [
        (0, 2_000_000, None),
        (1, 2_000_000, None),
        (1, 2_000_000, 2_500_000),
    ]
    assert found.tallies == {"rows_in": 5, "rows_used": 3, "set_aside.no-mark": 1, "set_aside.spot": 1}


@pytest.mark.breaks("time-order")
def test_bad_rows_are_quarantined(ledger: Callable[..., Tape]) -> None:
    bad = [
        row("2025-10-24T20:00:00Z", "BTC", mark="2.1234567"),
        row("2025-10-24T20:00:00Z", "BTC", oracle="2.1234567"),
        row("2025-10-24T20:00:00Z", "BTC", mark="0"),
        row("2025-10-24T20:00:00Z", ""),
        b"2025-10-24T20:00:00Z,BTC",
        row("soon", "BTC"),
        row("9999-01-01T00:00:00Z", "BTC"),
        b"\xff\xfe",
        b'2025-10-24T20:00:00Z,"BTC,,,,,,2.5,2.0,,,',
        row("2025-10-24T19:59:00Z", "BTC"),
    ]
    found = ledger(HEADER, row("2025-10-24T20:00:00Z", "ETH"), *bad, row("2025-10-24T20:00:00Z", "ETH"))
    assert found.tallies == {
        "rows_in": 12,
        "rows_used": 2,
        "quarantined.number": 3,
        "quarantined.shape": 6,
        "quarantined.out-of-order": 1,
    }
    assert [event.raw for event in found.of(Quarantined)] == bad
    assert [event.row for event in found.of(Quarantined)] == list(range(3, 13))
    assert [listed.symbol for listed in found.of(MarketListed)] == ["ETH"]


def test_noise_is_cut_off(ledger: Callable[..., Tape]) -> None:
    found = ledger(HEADER, row("2025-10-24T20:00:00Z", "BTC", "110000.29999999999", "110000.10000000001"))
    [tick] = found.of(PriceTick)
    assert (tick.mark, tick.oracle) == (110_000_100_000, 110_000_300_000)
    assert (found.tallies["residual.mark"], found.tallies["residual.oracle"]) == (1, 1)


@pytest.mark.parametrize("header", [b"time,coin,mark_px", b"time;coin", b"\xff", b"", b"coin,oracle_px,mark_px"])
def test_other_headers_are_not_taken(header: bytes) -> None:
    assert columns(header) is None


def test_columns_are_found_by_name() -> None:
    where = columns(b"mark_px,more,oracle_px,coin,time\r")
    assert where == (4, 3, 2, 0, 5)
