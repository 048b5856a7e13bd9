import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from events.model import AccountOpened, Fill, MarketListed, Opening, OpenPosition, Quarantined
from events.sources.hyperliquid import HEAD, open_feeds
from events.sources.hyperliquid.snapshots import snapshot_stamp
from events.sources.reading import fingerprint

Tape = Any  # the ledger in memory of tests/conftest.py

ACCOUNTS = "account_value_snapshot_758750000_1760126694218.json"
POSITIONS = "perp_positions_by_market_758750000_1760126694218.json"
AT_NS = 1_760_126_694_218_000_000


def address(number: int) -> str:
    return f"0x{number:040x}"


def account(who: int, value: str, long: str = "0.0", short: str = "0.0") -> str:
    amounts = f'"account_value": {value}, "total_long_notional": {long}, "total_short_notional": {short}'
    return f'{{"user": "{address(who)}", {amounts}}}'


def position(who: int, size: str, entry: str, more: str = "") -> str:
    rest = '"funding_pnl": 0.035389, "is_cross": true, "leverage": 10, "liquidation_price": null, "account_value": 1076.0'
    return f'{{"user": "{address(who)}", "size": {size}, "notional_size": 5.63346, "entry_price": {entry}, {rest}{more}}}'


def market(name: str, *positions: str, count: int | None = None) -> str:
    head = f'"market_name": "{name}", "snapshot_id": "custom_1", "position_count": {len(positions) if count is None else count}'
    return f'{{{head}, "positions": [{", ".join(positions)}]}}'


@pytest.fixture
def ledger(tape: Callable[..., Tape], tmp_path: Path) -> Callable[..., Tape]:
    """Return a function that imports texts as files of these names and returns the ledger."""

    def read(into: Tape = None, **texts: str) -> Tape:
        names = {"accounts": ACCOUNTS, "positions": POSITIONS, "fills": "fills"}
        files = []
        for kind, text in texts.items():
            path = tmp_path / names[kind]
            path.write_text(text)
            files.append(fingerprint(path))
        into = into or tape(HEAD)
        into.read(open_feeds(files))
        return into

    return read


def test_a_snapshot_comes_after_all_of_its_millisecond(ledger: Callable[..., Tape]) -> None:
    """Its stamp is cut to the millisecond, and it is of the end of its block."""
    rows = [
        {
            "coin": "JUP", "px": "0.5", "sz": "3.5", "side": side, "time": AT_NS // 10**6, "startPosition": "0.0",
            "dir": name, "closedPnl": "0.0", "hash": "0x1", "oid": 7, "crossed": side == "B", "fee": "0.0", "tid": 5,
            "feeToken": "USDC",
        }
        for side, name in (("B", "Open Long"), ("A", "Open Short"))
    ]  # fmt: skip
    times = [f"2025-10-10T20:04:54.{fraction}" for fraction in ("218387563", "219000000")]
    blocks = [
        {"local_time": at, "block_time": at, "block_number": number, "events": events}
        for number, (at, events) in enumerate(zip(times, ([[address(1), rows[0]], [address(2), rows[1]]], []), strict=True))
    ]
    positions = array(market("hyperliquid:JUP", position(1, "3.5", "0.5"), position(2, "-3.5", "0.5")))
    found = ledger(positions=positions, accounts=array(account(1, "5.0")), fills="\n".join(map(json.dumps, blocks)))
    kinds = [type(event) for event in found.events if isinstance(event, Fill | Opening)]
    assert kinds == [Fill, Opening, Opening, Opening]
    assert {event.at_ns for event in found.of(Opening)} == {AT_NS}
    assert (found.book.size(4, 0), found.book.size(5, 0)) == (3_500_000, -3_500_000)


def array(*elements: str) -> str:
    return "[\n  " + ",\n  ".join(elements) + "\n]\n"


def test_positions_and_cash_make_the_account_value_again(ledger: Callable[..., Tape]) -> None:
    found = ledger(
        positions=array(market("hyperliquid:JUP", position(1, "-14.0", "0.4716"), position(2, "3.5", "0.40239"))),
        accounts=array(account(1, "1076.000069", "0.0", "5.63346"), account(2, "10.5", "1.408365", "0.0")),
    )
    stated = [(each.account, each.cash, each.positions) for each in found.of(Opening)]
    assert stated == [
        (4, None, (OpenPosition(0, -14_000_000, 4716, 4),)),
        (5, None, (OpenPosition(0, 3_500_000, 40239, 5),)),
        # Cash is the account value without the signed notionals.
        (4, 1_081_633_529_000_000, ()),
        (5, 9_091_635_000_000, ()),
    ]
    assert {each.at_ns for each in found.of(Opening)} == {AT_NS}
    assert [each.row for each in found.of(Opening)] == [1, 1, 1, 2]
    assert [opened.name for opened in found.of(AccountOpened)] == [address(1), address(2)]
    assert [listed.symbol for listed in found.of(MarketListed)] == ["JUP"]
    assert found.state.cash_known[4]


def test_cash_without_positions_is_only_taken_from_flat_accounts(ledger: Callable[..., Tape]) -> None:
    found = ledger(accounts=array(account(1, "272726535.490442"), account(2, "10.5", "1.0", "0.0")))
    assert [(each.account, each.cash) for each in found.of(Opening)] == [(4, 272_726_535_490_442 * 10**6)]
    assert found.tallies["set_aside.no-positions"] == 1


def test_positions_alone_leave_cash_unknown(ledger: Callable[..., Tape]) -> None:
    found = ledger(positions=array(market("hyperliquid:BTC", position(1, "null", "null"), position(2, "1.0", "null"))))
    assert [each.positions for each in found.of(Opening)] == [
        (OpenPosition(0, None, None, 0),),
        (OpenPosition(0, 1_000_000, None, 0),),
    ]
    assert found.state.cash_known[4:] == [False, False]
    assert found.book.size(4, 0) is None


def test_floats_are_read_as_text(ledger: Callable[..., Tape]) -> None:
    sizes = position(1, "3197880.8999999999", "28.885000000000002"), position(2, "-1e-05", "1.1e5")
    values = account(1, "33825.05224899998"), account(2, "1.5e3")
    found = ledger(positions=array(market("hyperliquid:BTC", *sizes)), accounts=array(*values))
    first, second, cash, other = found.of(Opening)
    assert first.positions == (OpenPosition(0, 3_197_880_900_000, 28_885_000_000_000_002, 15),)
    assert second.positions == (OpenPosition(0, -10, 110_000, 0),)
    assert (cash.cash, other.cash) == (33_825_052_249 * 10**6, 1500 * 10**12)
    assert found.tallies["residual.snapshot"] == 2


def test_bad_rows_are_quarantined(ledger: Callable[..., Tape]) -> None:
    bad_positions = [
        position(1, "1.0", "2.0", ', "more": 1'),
        position(1, '"x"', "2.0"),
        position(1, "1.0", '"x"'),
        position(1, "1.00000051", "2.0"),
    ]
    bad_markets = [market("@107", position(1, "1.0", "2.0")), '{"market_name": "BTC"}']
    bad_accounts = [account(1, "null"), account(1, "0.000000001"), account(1, "1").replace("user", "who"), "{nonsense}"]
    found = ledger(
        positions=array(market("hyperliquid:BTC", *bad_positions, position(2, "1.0", "2.0")), *bad_markets),
        accounts=array(*bad_accounts, account(2, "1")),
    )
    assert len(found.of(Opening)) == 2
    assert [event.raw.decode() for event in found.of(Quarantined)] == [*bad_positions, *bad_markets, *bad_accounts]
    assert found.tallies["quarantined.number"] == 5
    assert found.tallies["quarantined.shape"] == 2
    assert found.tallies["quarantined.unknown-field"] == 2
    assert found.tallies["quarantined.bad-json"] == 1


def test_counts_are_compared_and_isolated_margin_is_counted(ledger: Callable[..., Tape]) -> None:
    alone = position(1, "1.0", "2.0").replace('"is_cross": true', '"is_cross": false')
    found = ledger(positions=array(market("hyperliquid:BTC", alone, count=7)))
    assert (found.tallies["position_count.differs"], found.tallies["positions.isolated"]) == (1, 1)


def test_one_object_per_line_is_read_too(ledger: Callable[..., Tape]) -> None:
    found = ledger(accounts=f"{account(1, '1')}\n\n{account(2, '2')}\n")
    assert [(each.row, each.cash) for each in found.of(Opening)] == [(1, 10**12), (2, 2 * 10**12)]


def test_a_snapshot_comes_before_the_fills_after_it(ledger: Callable[..., Tape]) -> None:
    base = {
        "coin": "BTC", "px": "100.5", "sz": "2.0", "time": 1_760_126_694_300, "closedPnl": "0.0", "hash": "0x1", "oid": 7,
        "fee": "0.0", "tid": 1, "feeToken": "USDC",
    }  # fmt: skip
    rows = [
        (
            address(1),
            {**base, "side": "B", "dir": "Close Short", "startPosition": "-14.0", "crossed": True, "closedPnl": "-200.0568"},
        ),
        (address(2), {**base, "side": "A", "dir": "Open Short", "startPosition": "0.0", "crossed": False}),
    ]
    found = ledger(
        fills="\n".join(json.dumps(row) for row in rows),
        positions=array(market("hyperliquid:BTC", position(1, "-14.0", "0.4716"))),
    )
    assert found.tallies["continuity.checked"] == 1
    assert [type(event) for event in found.events[-3:]] == [Opening, AccountOpened, Fill]


@pytest.mark.parametrize(
    ("name", "block"),
    [
        (ACCOUNTS, 758_750_000),
        (f"{POSITIONS}.zst", 758_750_000),
        ("account_value_snapshot.json", None),
        ("account_value_snapshot_1_x.json", None),
        ("account_value_snapshot_1_999999999999999.json", None),
    ],
)
def test_block_and_time_stand_in_the_name(name: str, block: int | None) -> None:
    stamp = snapshot_stamp(name)
    assert (stamp and stamp.block) == block
    assert stamp is None or stamp.at_ns == AT_NS
