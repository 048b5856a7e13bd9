import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.model import (
    FEES,
    RAW_BYTES_MAX,
    ROUNDING,
    UNOBSERVED,
    AccountOpened,
    AdlClose,
    AdlRound,
    Basis,
    Completeness,
    Fill,
    Liquidation,
    MarketListed,
    Method,
    Opening,
    PriceRule,
    Quarantined,
    Reason,
    Role,
    Settlement,
    SourceOpened,
    Taker,
    Transfer,
)
from events.sources.hyperliquid import HEAD, lines, open_feeds
from events.sources.hyperliquid.fills import block_fills
from events.sources.hyperliquid.lines import Rank, block_items, grouped_items
from events.sources.hyperliquid.trades import DIRS, contradicts
from events.sources.reading import fingerprint

REAL = "hyperliquid/node_fills_by_block_20251027_17.lz4"
BLOCK_MS = 1_761_584_402_387

# A real pair (block 777010856), as users of the venue's archive quote it.
LIQUIDATED = "0xa59f55114ccb120487c4fb5766cb89b123c13563"
MAKER = "0x622450a3048ae44a5c54e2b54c91b082313e1d23"
HASH = "0xce46e3a07a2baa4ecfc0042e503ea8018200fb86152ec920720f8ef3392f8439"
FORCED = {"liquidatedUser": LIQUIDATED, "markPx": "0.15319", "method": "market"}
WLFI_BUY = {
    "coin": "WLFI", "px": "0.15327", "sz": "890.0", "side": "B", "time": BLOCK_MS, "startPosition": "-890.0",
    "dir": "Close Short", "closedPnl": "-11.3475", "hash": HASH, "oid": 214107600128, "crossed": True, "fee": "0.061384",
    "tid": 87867877881544, "liquidation": FORCED, "feeToken": "USDC", "twapId": None,
}  # fmt: skip
WLFI_SELL = {
    **WLFI_BUY, "side": "A", "startPosition": "-121769.0", "dir": "Open Short", "closedPnl": "0.0", "oid": 214107545173,
    "crossed": False, "fee": "0.004637", "cloid": "0x1e182a732d8d2adc188705f1d6883a68",
}  # fmt: skip

# A real ADL close, the winner's side (block 758800641); it lacks twapId. The loser's side is made to fit it.
WINNER = "0xe92d2041199b18f611b137457f3acee8bedb22d3"
HLP = "0x2e3d94f0562703b25c83308a05046ddaf9a8dd14"
AVAX_WIN = {
    "coin": "AVAX", "px": "22.075", "sz": "28.53", "side": "B", "time": 1760130964831, "startPosition": "-28.53",
    "dir": "Auto-Deleveraging", "closedPnl": "194.275035",
    "hash": "0x922ada1583e0175a93a4042d3a6101010100f1fb1ee3362c35f3856842e3f145", "oid": 194018286846, "crossed": True,
    "fee": "0.0", "tid": 771334864158847,
    "liquidation": {"liquidatedUser": HLP, "markPx": "22.025", "method": "backstop"}, "feeToken": "USDC",
}  # fmt: skip
AVAX_LOSE = {
    **AVAX_WIN, "side": "A", "startPosition": "900.0", "dir": "Liquidated Cross Long", "closedPnl": "-1.0", "oid": 5,
    "crossed": False,
}  # fmt: skip

Tape = Any  # the ledger in memory of tests/conftest.py
Row = tuple[str, dict[str, Any]]


def address(number: int) -> str:
    return f"0x{number:040x}"


def pair(trade: int, buyer: int = 1, seller: int = 2, **terms: Any) -> list[Row]:
    """Return an ordinary trade of 2 BTC at 100, from flat to flat."""
    base = {
        "coin": "BTC", "px": "100.5", "sz": "2.0", "time": BLOCK_MS, "startPosition": "0.0", "closedPnl": "0.0", "hash": HASH,
        "oid": 7, "fee": "0.01", "tid": trade, "feeToken": "USDC", "twapId": None,
    }  # fmt: skip
    buy = {**base, "side": "B", "dir": "Open Long", "crossed": True, **terms}
    return [(address(buyer), buy), (address(seller), {**buy, "side": "A", "dir": "Open Short", "crossed": False})]


def changed(row: Row, **terms: Any) -> Row:
    return row[0], {**row[1], **terms}


def block(number: int, rows: list[Row] | list[Any], time: str = "") -> bytes:
    time = time or f"2025-10-27T17:00:{number % 60:02d}.387563798"
    line = {"local_time": time, "block_time": time, "block_number": number, "events": rows}
    return json.dumps(line, separators=(",", ":")).encode()


@pytest.fixture
def ledger(tape: Callable[..., Tape], tmp_path: Path) -> Callable[..., Tape]:
    """Return a function that imports lines as one file and returns the ledger."""

    def read(*lines: bytes, into: Tape = None, name: str = "fills") -> Tape:
        path = tmp_path / name
        path.write_bytes(b"\n".join(lines))
        into = into or tape(HEAD)
        into.read(open_feeds([fingerprint(path)]))
        return into

    return read


def reasons(ledger: Tape) -> dict[str, int]:
    prefix = "quarantined."
    return {name.removeprefix(prefix): count for name, count in ledger.tallies.items() if name.startswith(prefix)}


# ---- The real file


def test_the_real_file_gives_the_numbers_that_were_checked(
    tape: Callable[..., Tape], shared_data: Callable[[str], Path]
) -> None:
    ledger = tape(HEAD)
    ledger.read(open_feeds([fingerprint(shared_data(REAL))]))
    assert ledger.tallies == {
        "rows_in": 4924,
        "rows_used": 4564,
        "set_aside.spot": 360,
        "continuity.checked": 3080,
        "residual.start_position": 27,
    }
    trades = [*ledger.of(Fill), *ledger.of(Liquidation)]
    assert (len(ledger.of(Fill)), len(ledger.of(Liquidation)), len(ledger.of(Opening))) == (2281, 1, 1364)
    assert (len(ledger.of(AccountOpened)), len(ledger.of(MarketListed))) == (682, 155)
    assert ledger.book.market("xyz:XYZ100") is not None
    assert sum(trade.price * trade.size for trade in trades) == 4_927_122_725_223_000_000
    assert sum(trade.buyer_fee + trade.seller_fee for trade in trades) == 1_841_902_804_000_000
    [forced] = ledger.of(Liquidation)
    assert (ledger.book.account_name(forced.account), forced.method, forced.mark) == (LIQUIDATED, Method.MARKET, 153_190)
    roles = Counter(event.role for event in ledger.of(AccountOpened))
    assert roles[Role.VAULT] == 2


def test_reading_may_stop_anywhere_and_go_on(shared_data: Callable[[str], Path]) -> None:
    [feed] = open_feeds([fingerprint(shared_data(REAL))])
    items = list(feed.items(0))
    assert len(items) == 700
    for stop in (1, 350, 699, 700):
        assert list(feed.items(items[stop - 1].row)) == items[stop:]


# ---- One trade, one event


def test_the_quoted_liquidation(ledger: Callable[..., Tape]) -> None:
    found = ledger(block(777_010_856, [(LIQUIDATED, WLFI_BUY), (MAKER, WLFI_SELL)], "2025-10-27T17:00:02.387"))
    [event] = found.of(Liquidation)
    assert (event.at_ns, event.source, event.row) == (BLOCK_MS * 10**6, 1, 1)
    assert (event.market, event.buyer, event.seller, event.account) == (0, 4, 5, 4)
    assert (event.price, event.size, event.mark, event.method) == (153_270, 890_000_000, 153_190, Method.MARKET)
    assert (event.buyer_fee, event.seller_fee) == (61_384_000_000, 4_637_000_000)
    assert (event.trade, event.taker) == (87867877881544, Taker.BUYER)
    assert (event.buyer_order, event.seller_order) == (214107600128, 214107545173)
    assert (event.buyer_start_claim, event.seller_start_claim) == (-890_000_000, -121_769_000_000)
    assert (event.buyer_profit_claim, event.seller_profit_claim) == (-11_347_500_000_000, 0)
    assert (event.equity_claim, event.requirement_claim) == (None, None)
    sizes = [(opening.account, opening.cash, opening.positions[0].size) for opening in found.of(Opening)]
    assert sizes == [(4, None, -890_000_000), (5, None, -121_769_000_000)]
    assert found.book.account(LIQUIDATED) == 4
    [listed] = found.of(MarketListed)
    assert (listed.symbol, listed.price_decimals, listed.size_decimals) == ("WLFI", 6, 6)
    assert (listed.grid_assumed, listed.basis, listed.tiers) == (True, Basis.AVERAGE, ())


def test_a_backstop_takes_over_a_liquidated_position(ledger: Callable[..., Tape]) -> None:
    forced = {**FORCED, "method": "backstop"}
    rows = [
        (LIQUIDATED, {**WLFI_BUY, "dir": "Liquidated Cross Short", "liquidation": forced}),
        (HLP, {**WLFI_SELL, "liquidation": forced}),
    ]
    found = ledger(block(1, rows))
    [event] = found.of(Liquidation)
    assert (event.method, event.account) == (Method.BACKSTOP, 4)
    assert [opened.role for opened in found.of(AccountOpened)] == [Role.USER, Role.LIQUIDATOR]


def test_the_quoted_adl_close(ledger: Callable[..., Tape]) -> None:
    found = ledger(block(758_800_641, [(WINNER, AVAX_WIN), (HLP, AVAX_LOSE)], "2025-10-10T21:16:04.831874687"))
    [begun], [close] = found.of(AdlRound), found.of(AdlClose)
    assert begun.at_ns == close.at_ns == 1_760_130_964_831_874_687
    assert (begun.round, begun.loser, begun.market, begun.size) == (0, 5, 0, None)
    assert (begun.price, begun.price_rule, begun.mark) == (22_075_000, PriceRule.PREVIOUS_MARK, 22_025_000)
    assert (begun.oracle, begun.bankruptcy, begun.policy, begun.pools) == (None, None, None, ())
    assert (begun.need_cash, begun.as_of, begun.cause, begun.seed) == (None, None, None, None)
    assert (close.round, close.winner, close.buyer, close.seller) == (0, 4, 4, 5)
    assert (close.price, close.size, close.trade) == (22_075_000, 28_530_000, 771334864158847)
    assert (close.taker, close.buyer_order, close.seller_order) == (Taker.BUYER, 194018286846, 5)
    assert (close.buyer_start_claim, close.buyer_profit_claim) == (-28_530_000, 194_275_035_000_000)
    assert (close.seller_start_claim, close.seller_profit_claim) == (900_000_000, -1_000_000_000_000)
    assert (close.mark, close.winner_equity_claim, close.rank_claim) == (22_025_000, None, None)
    assert found.book.account(HLP) == 5


@pytest.mark.breaks("continuity")
def test_a_round_is_of_one_block_coin_and_loser(ledger: Callable[..., Tape]) -> None:
    def close(trade: int, winner: int, loser: int, coin: str = "AVAX") -> list[Row]:
        forced = {"liquidatedUser": address(loser), "markPx": "22.025", "method": "backstop"}
        terms = {"tid": trade, "coin": coin, "liquidation": forced}
        return [(address(winner), {**AVAX_WIN, **terms}), (address(loser), {**AVAX_LOSE, **terms})]

    first = [*close(1, 1, 9), *close(2, 2, 9), *close(3, 3, 8), *close(4, 4, 9, "SOL")]
    found = ledger(block(1, first), block(2, close(5, 5, 9)))
    assert [close.round for close in found.of(AdlClose)] == [0, 0, 1, 2, 3]
    assert [round_.round for round_ in found.of(AdlRound)] == [0, 1, 2, 3]


def test_the_seller_may_be_the_winner_and_come_first(ledger: Callable[..., Tape]) -> None:
    forced = {"liquidatedUser": HLP, "markPx": "22", "method": "backstop"}
    terms = {"dir": "Auto-Deleveraging", "startPosition": "28.53", "liquidation": forced}
    rows = [
        (WINNER, {**AVAX_LOSE, **terms}),
        (HLP, {**AVAX_WIN, "dir": "Liquidated Isolated Short", "liquidation": forced}),
    ]
    found = ledger(block(1, rows))
    [close] = found.of(AdlClose)
    assert found.book.account_name(close.winner) == WINNER
    assert close.seller == close.winner
    assert close.seller_start_claim == 28_530_000


@pytest.mark.parametrize("swapped", [False, True])
def test_an_ordinary_trade_in_either_order(ledger: Callable[..., Tape], swapped: bool) -> None:
    rows = pair(5)
    found = ledger(block(2, rows[::-1] if swapped else rows))
    [event] = found.of(Fill)
    names = [found.book.account_name(each) for each in (event.buyer, event.seller)]
    assert names == [address(1), address(2)]
    assert (event.price, event.size, event.taker) == (100_500_000, 2_000_000, Taker.BUYER)
    assert found.of(Opening) == []
    assert found.tallies == {"rows_in": 2, "rows_used": 2}


def test_optional_keys_are_known(ledger: Callable[..., Tape]) -> None:
    keys: dict[str, Any] = {"builder": address(9), "builderFee": "0.001", "deployerFee": "0.001", "cloid": "0x01", "twapId": 4}
    assert ledger(block(2, pair(1, **keys))).tallies == {"rows_in": 2, "rows_used": 2}


@pytest.mark.breaks("continuity")
def test_an_address_is_one_account_in_any_case(ledger: Callable[..., Tape]) -> None:
    upper = "0x" + "AB" * 20
    rows = pair(1)
    found = ledger(block(1, [(upper, rows[0][1]), rows[1]]), block(2, [(upper.lower(), pair(2)[0][1]), pair(2)[1]]))
    assert [opened.name for opened in found.of(AccountOpened)] == [upper.lower(), address(2)]


@pytest.mark.breaks("continuity")
def test_settlements_are_paired_or_against_the_rest_of_the_venue(ledger: Callable[..., Tape]) -> None:
    terms: dict[str, Any] = {"dir": "Settlement", "fee": "0.0", "crossed": False}
    two = [changed(row, **terms) for row in pair(1, startPosition="-2.0")]
    two[1] = changed(two[1], startPosition="2.0", side="A")
    alone = changed(two[0], tid=0)
    found = ledger(block(1, [*two, alone, changed(two[1], tid=0), changed(two[1], tid=8)]))
    sides = [(event.buyer, event.seller) for event in found.of(Settlement)]
    assert sides == [(4, 5), (4, UNOBSERVED), (UNOBSERVED, 5), (UNOBSERVED, 5)]
    claims = [(event.buyer_start_claim, event.seller_start_claim) for event in found.of(Settlement)]
    assert claims[:3] == [(-2_000_000, 2_000_000), (-2_000_000, None), (None, 2_000_000)]
    ids = [(event.trade, event.taker, event.buyer_order, event.seller_order) for event in found.of(Settlement)]
    assert ids == [
        (1, Taker.UNKNOWN, 7, 7),
        (None, Taker.UNKNOWN, 7, None),
        (None, Taker.UNKNOWN, None, 7),
        (8, Taker.UNKNOWN, None, 7),
    ]


def test_a_fee_of_a_settlement_is_booked(ledger: Callable[..., Tape]) -> None:
    found = ledger(block(1, [changed(row, dir="Settlement") for row in pair(1)]))
    [event] = found.of(Settlement)
    assert (event.buyer_fee, event.seller_fee) == (10**10, 10**10)
    assert found.state.cash[FEES] == 2 * 10**10


def test_an_order_of_0_is_none(ledger: Callable[..., Tape]) -> None:
    first, second = pair(1)
    [event] = ledger(block(1, [changed(first, oid=0), second])).of(Fill)
    assert (event.buyer_order, event.seller_order) == (None, 7)


def test_a_trade_with_oneself_is_a_trade(ledger: Callable[..., Tape]) -> None:
    rows = pair(1, 1, 1)
    rows[1] = changed(rows[1], startPosition="2.0", dir="Close Long")
    found = ledger(block(2, rows))
    assert len(found.of(Fill)) == 1
    assert found.tallies == {"rows_in": 2, "rows_used": 2}
    assert found.book.size(4, 0) == 0


# ---- Positions: openings and continuity


@pytest.mark.breaks("continuity")
def test_positions_are_opened_checked_and_stated_again(ledger: Callable[..., Tape]) -> None:
    second = pair(2)
    second[0] = changed(second[0], startPosition="2.0")
    second[1] = changed(second[1], startPosition="-2.5")
    found = ledger(block(1, pair(1)), block(2, second))
    assert (found.tallies["continuity.checked"], found.tallies["continuity.broken"]) == (1, 1)
    [opening] = found.of(Opening)
    assert (opening.account, opening.positions[0].size, opening.positions[0].entry) == (5, -2_500_000, None)
    assert (found.book.size(4, 0), found.book.size(5, 0)) == (4_000_000, -4_500_000)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("-1177978.6000000001", -1_177_978_600_000),
        ("3197880.8999999999", 3_197_880_900_000),
        ("0.1000000004", 100_000),
        ("1e-17", 0),
        ("-5.551115123125783e-17", 0),
    ],
)
def test_float_noise_in_positions_is_cut_off_and_counted(ledger: Callable[..., Tape], text: str, size: int) -> None:
    rows = pair(1)
    found = ledger(block(1, [changed(rows[0], startPosition=text), rows[1]]))
    [event] = found.of(Fill)
    assert event.buyer_start_claim == size
    assert found.tallies["residual.start_position"] == 1


def test_float_noise_in_a_fee_is_booked_between_fees_and_rounding(ledger: Callable[..., Tape]) -> None:
    rows = pair(1, fee="12.300000000000001")
    rows[1] = changed(rows[1], fee="2703997.4499999998")
    found = ledger(block(1, rows))
    assert found.tallies["residual.fee"] == 2
    [event] = found.of(Fill)
    assert (event.buyer_fee, event.seller_fee) == (12_300_000_000_000, 2_703_997_450_000_000_000)
    # The first residual is finer than the ledger's money, so it is counted and not booked.
    [residual] = found.of(Transfer)
    assert (residual.payer, residual.cash, residual.reason) == (2, 200, Reason.RESIDUAL)
    assert residual.payee == ROUNDING


@given(st.sampled_from(sorted(DIRS)), st.sampled_from("AB"), st.integers(-9, 9), st.integers(1, 9))
def test_a_dir_is_a_function_of_side_start_and_size(direction: str, side: str, start: int, size: int) -> None:
    end = start + size if side == "B" else start - size
    long, short = direction.endswith("Long"), direction.endswith("Short")
    if direction in ("Open Long", "Open Short"):
        fits = side == ("B" if long else "A") and (start >= 0 if long else start <= 0)
    elif " > " in direction:
        fits = (start > 0 > end) if short else (start < 0 < end)
    elif direction.startswith(("Close", "Liquidated")):
        fits = (start > 0 and 0 <= end < start) if long else (start < 0 and start < end <= 0)
    else:
        fits = start * end >= 0 and abs(end) < abs(start)
    assert contradicts(direction, side, start, size) is not fits


def test_a_dir_that_contradicts_is_counted_and_not_believed(ledger: Callable[..., Tape]) -> None:
    rows = pair(1)
    found = ledger(block(1, [changed(rows[0], dir="Close Short"), rows[1]]))
    assert found.tallies["dir.contradicts"] == 1
    assert len(found.of(Fill)) == 1


# ---- What is set aside


def test_spot_is_set_aside(ledger: Callable[..., Tape]) -> None:
    rows = [changed(row, coin="@193", dir="Buy", feeToken="HYPE") for row in pair(1)]
    dust = changed(rows[0], coin="PURR/USDC", dir="Spot Dust Conversion", tid=0)
    found = ledger(block(2, [*rows, dust, *pair(2)]))
    assert found.tallies == {"rows_in": 5, "rows_used": 2, "set_aside.spot": 3}


# ---- What is quarantined


def faulty(**second: Any) -> list[Row]:
    rows = pair(1)
    return [rows[0], changed(rows[1], **second)]


BAD_PAIRS: dict[str, tuple[str, list[Any]]] = {
    "dir": ("unknown-dir", faulty(dir="Open Sideways")),
    "key": ("unknown-field", faulty(newKey=1)),
    "liquidation key": ("unknown-field", faulty(liquidation={**FORCED, "newKey": 1})),
    "type": ("shape", faulty(oid="7")),
    "address": ("shape", [pair(1)[0], ("0x12", pair(1)[1][1])]),
    "missing": ("shape", [pair(1)[0], (address(2), {"tid": 1})]),
    "sides": ("unequal-pair", [pair(1)[0], pair(1)[0]]),
    "price": ("unequal-pair", faulty(px="100.6")),
    "size": ("unequal-pair", faulty(sz="2.1")),
    "coin": ("unequal-pair", faulty(coin="ETH")),
    "hash": ("unequal-pair", faulty(hash="0x1")),
    "liquidation": ("unequal-pair", faulty(liquidation=FORCED)),
    "one side": ("one-sided", [pair(1)[0]]),
    "no trade id": ("one-sided", [changed(pair(1)[0], tid=0)]),
    "three sides": ("repeated-trade", [*pair(1), pair(1)[0]]),
    "apart": ("not-adjacent", [pair(1)[0], *pair(2), pair(1)[1]]),
    "off the price grid": ("number", pair(1, px="100.1234567")),
    "off the size grid": ("number", pair(1, sz="0.1234567")),
    "off the position grid": ("number", pair(1, startPosition="0.00000051")),
    "zero": ("number", pair(1, sz="0.0")),
    "negative": ("number", pair(1, px="-1")),
    "no number": ("number", pair(1, fee="free")),
    "out of range": ("number", pair(1, px="99999999999999")),
    "huge profit": ("number", pair(1, closedPnl="9" * 60)),
    "fee token": ("fee-token", faulty(feeToken="USDE")),
    "two takers": ("taker", faulty(crossed=True)),
    "no taker": ("taker", pair(1, crossed=False)),
    "liquidated without a liquidation": ("liquidation-missing", pair(1, dir="Liquidated Cross Short")),
    "method": ("unknown-method", pair(1, liquidation={"liquidatedUser": address(1), "markPx": "1", "method": "new"})),
    "a third user": ("liquidated-user", pair(1, liquidation=FORCED)),
    "mark": ("number", pair(1, liquidation={"liquidatedUser": address(1), "markPx": "?", "method": "market"})),
    "two winners": ("two-winners", [changed(row, dir="Auto-Deleveraging") for row in pair(1)]),
    "adl without a liquidation": ("liquidation-missing", pair(1, dir="Auto-Deleveraging")),
    "adl of another": ("liquidated-user", pair(1, dir="Auto-Deleveraging", liquidation=FORCED)),
    "half a settlement": ("unequal-pair", faulty(dir="Settlement")),
}


@pytest.mark.parametrize("name", BAD_PAIRS)
def test_a_trade_is_quarantined_whole_and_costs_no_other(ledger: Callable[..., Tape], name: str) -> None:
    reason, rows = BAD_PAIRS[name]
    found = ledger(block(1, [*pair(91, 11, 12), *rows, *pair(92, 13, 14)]))
    inner = 2 if name == "apart" else 0
    assert reasons(found) == {reason: len(rows) - inner}
    assert len(found.of(Fill)) == 2 + inner // 2
    kept = [json.loads(event.raw) for event in found.of(Quarantined)]
    assert kept == [json.loads(json.dumps(row)) for row in rows if row[1].get("tid") != 2]
    assert {(event.reason, event.part, event.parts, event.row) for event in found.of(Quarantined)} == {(reason, 1, 1, 1)}
    # Nobody is opened for a trade that is not booked.
    assert found.book.next_account == 4 + 4 + inner


def test_a_row_whose_trade_cannot_be_read_leaves_its_other_side_alone(ledger: Callable[..., Tape]) -> None:
    rows: list[Any] = [pair(1)[0], [address(2), {"tid": "x"}], "nonsense"]
    assert reasons(ledger(block(1, rows))) == {"one-sided": 1, "shape": 2}


BAD_LINES = {
    "bad-json": b'{"local_time":"x","block_time":"2025-10-27T17:00:03","block_number":3,"events":[',
    "unknown-field": block(3, []).replace(b'"events"', b'"more":1,"events"'),
    "shape": b'{"block_number":3,"block_time":"2025-10-27T17:00:03","events":7,"local_time":""}',
    "time": block(3, pair(3), "9999-01-01T00:00:00"),
}


@pytest.mark.parametrize("reason", BAD_LINES)
@pytest.mark.breaks("continuity")
def test_a_line_that_is_no_block_is_quarantined(ledger: Callable[..., Tape], reason: str) -> None:
    found = ledger(block(2, pair(1)), b"", BAD_LINES[reason], b"  ", block(4, pair(2)))
    assert reasons(found) == {reason: 2 if reason == "time" else 1}
    [event] = found.of(Quarantined)
    assert (event.raw, event.row) == (BAD_LINES[reason], 3)
    assert len(found.of(Fill)) == 2


@pytest.mark.parametrize(
    ("number", "time"),
    [
        (5, "2025-10-27T17:00:05.1"),
        (4, "2025-10-27T17:00:06"),
        (6, "2025-10-27T17:00:05"),
        pytest.param(6, "2025-10-27T17:00:04.9", marks=pytest.mark.breaks("time-order")),
    ],
)
@pytest.mark.breaks("continuity")
def test_a_block_that_does_not_come_after_the_last_is_quarantined(ledger: Callable[..., Tape], number: int, time: str) -> None:
    late = block(number, pair(2), time)
    found = ledger(block(5, pair(1), "2025-10-27T17:00:05"), late, block(7, pair(3)))
    assert reasons(found) == {"out-of-order": 2}
    assert [event.raw for event in found.of(Quarantined)] == [late]
    assert len(found.of(Fill)) == 2


FAR = "2255-01-01T00:00:00"


@pytest.mark.parametrize("bad", [block(10**17, pair(9), "2025-10-27T17:00:05"), block(5, pair(9), FAR), block(6, pair(9), FAR)])
@pytest.mark.parametrize("before", [[], [block(4, pair(1))]])
@pytest.mark.breaks("continuity")
def test_a_stamp_far_ahead_costs_its_own_line(ledger: Callable[..., Tape], bad: bytes, before: list[bytes]) -> None:
    found = ledger(*before, bad, block(6, pair(2)), block(7, pair(3)), block(8, pair(4)))
    assert [event.trade for event in found.of(Fill)] == [1, 2, 3, 4][1 - len(before) :]
    assert reasons(found) == {"out-of-order": 2}
    [kept] = found.of(Quarantined)
    # Its time is not believed, so that nothing is measured by it.
    assert (kept.raw, kept.at_ns) == (bad, 0)
    assert found.book.latest_ns == found.of(Fill)[-1].at_ns


def test_a_stamp_far_ahead_near_the_end_is_noticed_too() -> None:
    rows = enumerate([block(1, []), block(2, [], FAR), block(3, [])], 1)
    assert [item.late for item in block_items(rows, 0, Rank.FILLS)] == [False, True, False]


@given(st.lists(st.tuples(st.integers(-3, 9), st.integers(-3, 9)), max_size=12), st.integers(0, 12))
def test_blocks_do_not_depend_on_where_reading_begins(stamps: list[tuple[int, int]], after: int) -> None:
    rows = [
        (row, block(max(0, number), [], f"2025-10-27T17:00:{second:02d}" if second >= 0 else "no time"))
        for row, (number, second) in enumerate(stamps, 1)
    ]
    items = list(block_items(rows, 0, Rank.FILLS))
    assert [item.lines for item in items] == [(row,) for row in rows]
    assert [item.key for item in items] == sorted(item.key for item in items)
    assert list(block_items(rows, after, Rank.FILLS)) == items[after:]


@pytest.mark.breaks("continuity")
def test_a_row_with_another_time_than_its_block_is_counted(ledger: Callable[..., Tape]) -> None:
    found = ledger(block(2, [*pair(1), *(changed(row, time=BLOCK_MS + 1) for row in pair(2))]))
    assert found.tallies == {"rows_in": 4, "rows_used": 4, "time.differs": 2, "continuity.broken": 2}
    assert {event.at_ns for event in found.of(Fill)} == {1_761_584_402_387_563_798}


def test_long_bytes_are_kept_in_parts(ledger: Callable[..., Tape]) -> None:
    line = b"{" + b"x" * (2 * RAW_BYTES_MAX)
    found = ledger(block(1, pair(1)), line)
    parts = found.of(Quarantined)
    assert [(event.part, event.parts, len(event.raw)) for event in parts] == [
        (1, 3, RAW_BYTES_MAX),
        (2, 3, RAW_BYTES_MAX),
        (3, 3, 1),
    ]
    assert b"".join(event.raw for event in parts) == line
    assert found.tallies["quarantined.bad-json"] == 1


@pytest.mark.breaks("continuity")
def test_a_source_that_overlaps_another_books_nothing_twice(ledger: Callable[..., Tape]) -> None:
    found = ledger(block(1, pair(1)), block(2, pair(2)))
    ledger(block(1, pair(1)), block(2, [*pair(2), *pair(3)]), block(3, pair(4)), into=found, name="again")
    assert [event.trade for event in found.of(Fill)] == [1, 2, 3, 4]
    assert reasons(found) == {"overlap": 2}
    assert found.tallies["duplicate.trade"] == 2


# ---- The clock


def test_keys_of_a_line_may_stand_in_any_order(ledger: Callable[..., Tape]) -> None:
    line = json.loads(block(9, pair(1)))
    turned = json.dumps(dict(reversed(line.items()))).encode()
    assert ledger(block(8, []), turned).of(Fill)[0].at_ns == 1_761_584_409_387_563_798


@given(st.integers(0, 999_999_999))
def test_a_block_time_has_up_to_nine_digits(fraction: int) -> None:
    digits = f"{fraction:09d}".rstrip("0")
    stamp = f"2025-10-27T17:00:02{'.' if digits else ''}{digits}"
    [item] = block_items([(1, block(1, [], stamp))], 0, Rank.FILLS)
    assert item.at_ns == 1_761_584_402_000_000_000 + fraction


# ---- The older form


def flat(rows: list[Row]) -> list[bytes]:
    return [json.dumps(row, separators=(",", ":")).encode() for row in rows]


@pytest.mark.breaks("continuity")
def test_older_files_have_one_fill_per_line(ledger: Callable[..., Tape]) -> None:
    later = [changed(row, time=BLOCK_MS + 5) for row in pair(3)]
    found = ledger(*flat([*pair(1), *pair(2, 3, 4)]), b"", *flat(later))
    assert [(event.trade, event.row, event.at_ns) for event in found.of(Fill)] == [
        (1, 2, BLOCK_MS * 10**6),
        (2, 4, BLOCK_MS * 10**6),
        (3, 7, (BLOCK_MS + 5) * 10**6),
    ]


@pytest.mark.breaks("continuity")
def test_in_older_files_a_bad_line_costs_its_own_trade(ledger: Callable[..., Tape]) -> None:
    first, second, third = flat(pair(1)), flat(pair(2, 3, 4)), flat([changed(row, time=BLOCK_MS + 5) for row in pair(3)])
    half = second[1].replace(b'"fee"', b'"fees"')
    found = ledger(*first, second[0], half, b"[nonsense", *third)
    assert [event.trade for event in found.of(Fill)] == [1, 3]
    assert reasons(found) == {"unknown-field": 2, "bad-json": 1}
    assert [(event.row, event.raw) for event in found.of(Quarantined)] == [(3, second[0]), (4, half), (5, b"[nonsense")]


def test_in_older_files_a_line_states_a_time_that_an_event_can_hold(ledger: Callable[..., Tape]) -> None:
    far = flat([changed(row, time=2**63 - 1) for row in pair(2)])
    found = ledger(*flat(pair(1)), *far)
    assert reasons(found) == {"time": 2}
    assert len(found.of(Fill)) == 1


LINE = block(1, [*pair(1), (LIQUIDATED, WLFI_BUY), (MAKER, WLFI_SELL), (WINNER, AVAX_WIN), (HLP, AVAX_LOSE)])
SOURCE = SourceOpened(0, 1, 0, "f", b"a" * 32, b"b" * 32, 9, "hyperliquid", 1, 1, None, "", Completeness.COMPLETE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(LINE)), st.integers(0, 9), st.binary(max_size=4) | st.sampled_from([b'"', b"}", b"-", b"9" * 20]))
def test_whatever_a_line_holds_its_rows_are_accounted_for(tape: Callable[..., Tape], at: int, cut: int, spliced: bytes) -> None:
    found = tape(HEAD)
    found.emit(SOURCE)
    line = LINE[:at] + spliced + LINE[at + cut :]
    for item in block_items([(1, line)], 0, Rank.FILLS):
        block_fills(item, 1, found.book, found)
    found.read([])
    assert found.tallies["rows_in"] >= 1


def shifted(*shifts: int) -> list[list[bytes]]:
    """Return the lines of one trade for each time."""
    return [flat([changed(row, time=BLOCK_MS + shift) for row in pair(9 + shift)]) for shift in shifts]


@pytest.mark.breaks("continuity", "time-order")
def test_in_older_files_lines_out_of_order_are_quarantined(ledger: Callable[..., Tape]) -> None:
    before, at, after = shifted(-1, 0, 1)
    found = ledger(*at, *before, *at, *after)
    assert [event.trade for event in found.of(Fill)] == [9, 10]
    assert reasons(found) == {"out-of-order": 4}
    assert [event.row for event in found.of(Quarantined)] == [3, 4, 5, 6]


@pytest.mark.breaks("continuity")
def test_in_older_files_a_time_far_ahead_costs_its_own_lines(ledger: Callable[..., Tape]) -> None:
    one, two, three, far = shifted(1, 2, 3, 10**10)
    found = ledger(*far, *one, *two, *three)
    assert [event.trade for event in found.of(Fill)] == [10, 11, 12]
    assert reasons(found) == {"out-of-order": 2}
    # Also in the midst of the lines of one time.
    more = flat([changed(row, time=BLOCK_MS + 1) for row in pair(7, 3, 4)])
    found = ledger(*one, *far, *more, *two, *three)
    assert [event.trade for event in found.of(Fill)] == [10, 7, 11, 12]
    assert reasons(found) == {"out-of-order": 2}


def test_the_same_trades_by_a_finer_clock_are_noticed(ledger: Callable[..., Tape]) -> None:
    found = ledger(*flat(pair(1)))
    again = block(2, [*pair(1), *pair(2, 3, 4)])
    ledger(again, block(3, pair(3, 5, 6)), into=found, name="by block")
    assert [event.trade for event in found.of(Fill)] == [1, 2, 3]
    assert found.tallies["duplicate.trade"] == 2
    coarse = ledger(again)
    ledger(*flat(pair(1)), *flat(pair(2, 3, 4)), into=coarse, name="lines")
    assert [event.trade for event in coarse.of(Fill)] == [1, 2]
    assert coarse.tallies["duplicate.trade"] == 4


def test_trades_before_1970_are_not_told_twice(ledger: Callable[..., Tape]) -> None:
    old = block(2, pair(1), "1969-12-31T23:59:58.5")
    found = ledger(old)
    ledger(old, block(3, []), into=found, name="again")
    assert len(found.of(Fill)) == 1
    assert found.tallies["duplicate.trade"] == 2


def test_a_split_never_parts_a_trade(ledger: Callable[..., Tape], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "GROUP_LINES_MAX", 3)
    found = ledger(*flat([row for number in range(1, 6) for row in pair(number, 2 * number, 2 * number + 1)]))
    assert [event.trade for event in found.of(Fill)] == [1, 2, 3, 4, 5]
    assert found.tallies == {"rows_in": 10, "rows_used": 10}


@pytest.mark.breaks("continuity")
def test_in_older_files_another_source_is_noticed(ledger: Callable[..., Tape]) -> None:
    late = flat([changed(row, time=BLOCK_MS + 1) for row in pair(2)])
    found = ledger(*flat(pair(1)), *late)
    ledger(*flat(pair(1)), *late, into=found, name="again")
    assert len(found.of(Fill)) == 2
    assert reasons(found) == {"overlap": 2}
    assert found.tallies["duplicate.trade"] == 2


@given(st.lists(st.tuples(st.sampled_from([None, 1, 2, 3, 4]), st.booleans()), max_size=12), st.integers(0, 12))
def test_groups_do_not_depend_on_where_reading_begins(spec: list[tuple[int | None, bool]], after: int) -> None:
    def stamp(line: bytes) -> int | None:
        return int(line) if line.isdigit() else None

    rows = [(row, b" " if blank else str(at).encode()) for row, (at, blank) in enumerate(spec, 1)]
    for again in (False, True):
        items = list(grouped_items(rows, 0, Rank.FILLS, stamp, again=again))
        assert [row for item in items for row in item.lines] == [row for row in rows if row[1].strip()]
        assert [item.key for item in items] == sorted(item.key for item in items)
        assert list(grouped_items(rows, after, Rank.FILLS, stamp, again=again)) == [item for item in items if item.row > after]
        kept = [item.at_ns for item in items if not item.late and item.at_ns]
        assert kept == sorted(kept)


def test_a_run_over_the_limit_is_split_and_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "GROUP_LINES_MAX", 2)
    rows = [(row, b"7") for row in range(1, 6)]
    items = list(grouped_items(rows, 0, Rank.FILLS, lambda _: 7, again=False))
    assert [(len(item.lines), item.late) for item in items] == [(2, False), (2, False), (1, False)]
