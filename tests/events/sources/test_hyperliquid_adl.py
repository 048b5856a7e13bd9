"""ADL closes, one per row: what becomes of good rows, of broken rows, and of rows in an odd order."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from events.codec import encode
from events.errors import BadInputError
from events.model import (
    RESERVED_ACCOUNTS,
    AccountOpened,
    AdlClose,
    AdlRound,
    Basis,
    Event,
    MarginMode,
    MarketListed,
    Opening,
    OpenPosition,
    PriceRule,
    Quarantined,
    Role,
    Taker,
)
from events.sources.book import Book
from events.sources.hyperliquid_adl import ROUND_ROWS_MAX, Row, open_feeds
from events.sources.reading import fingerprint

HLP_LIQUIDATOR = "0x2e3d94f0562703b25c83308a05046ddaf9a8dd14"
MS = 1_760_130_964_831
COLUMNS = Row.__struct_fields__


def user(number: int) -> str:
    return f"0x{number:040x}"


def row(**changes: str) -> str:
    """Return the first row of the real file, changed. The side columns are what the close columns say."""
    cells = {
        "user": user(1), "coin": "AVAX", "time": str(MS), "adl_price": "22.075", "adl_size": "28.53",
        "closed_pnl": "194.275035", "position_size": "-28.53", "entry_price": "28.885",
        "account_value_realtime": "33825.05224899998",
        "total_unrealized_pnl": "392.65839000000005", "total_equity": "34217.710638999975", "is_negative_equity": "False",
        "leverage_realtime": "0.0186", "position_unrealized_pnl": "194.28930000000008", "pnl_percent": "30.8",
        "liquidated_user": HLP_LIQUIDATOR,
    } | changes  # fmt: skip
    cells.setdefault("adl_notional", repr(float(cells["adl_price"]) * float(cells["adl_size"])))
    return ",".join(cells[name] for name in COLUMNS)


class Desk:
    """A sink, and what reading a file into it gave."""

    def __init__(self) -> None:
        self.book = Book()
        for number, name, role in RESERVED_ACCOUNTS:
            self.book.observe(AccountOpened(0, 0, 0, number, name, number, role, MarginMode.UNKNOWN, True, None))
        self.events: list[Event] = []
        self.tallies: Counter[str] = Counter()

    def emit(self, event: Event) -> None:
        encode(event)
        self.events.append(event)
        self.book.observe(event)

    def count(self, name: str, by: int = 1) -> None:
        self.tallies[name] += by

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if type(event) is kind]


def read(path: Path, after: int = 0, desk: Desk | None = None) -> Desk:
    desk = desk or Desk()
    (feed,) = open_feeds([fingerprint(path)])
    for item in feed.items(after):
        feed.translate(item, 1, desk.book, desk)
    assert desk.tallies["rows_in"] == desk.tallies["rows_used"] + sum(
        count for name, count in desk.tallies.items() if name.startswith("quarantined.")
    )
    return desk


def written(folder: Path, *rows: str, header: str = ",".join(COLUMNS)) -> Path:
    path = folder / "adl.csv"
    path.write_text("".join(f"{line}\n" for line in (header, *rows)), encoding="utf-8")
    return path


def test_the_first_wave(shared_data: Callable[[str], Path]) -> None:
    desk = read(shared_data("hyperliquid/adl_2025-10-10_first_wave.csv"))
    closes = [event for event in desk.events if isinstance(event, AdlClose)]
    rounds = [event for event in desk.events if isinstance(event, AdlRound)]
    assert (len(closes), len(rounds), len({close.winner for close in closes})) == (401, 14, 365)
    assert sum(close.price * close.size for close in closes) == 10_180_775_029964 * 10**6
    assert [event.round for event in rounds] == list(range(14))
    assert len(desk.of(Opening)) == 401 + 14
    assert desk.tallies == Counter(
        {"rows_in": 401, "rows_used": 401, "rounded.total_equity": 15, "residual.total_equity": 243, "residual.closed_pnl": 4}
    )
    assert {event.at_ns for event in desk.events} == {MS * 10**6}
    (protocol,) = (event for event in desk.events if isinstance(event, AccountOpened) and event.role is not Role.USER)
    assert (protocol.name, protocol.role, protocol.new) == (HLP_LIQUIDATOR, Role.LIQUIDATOR, False)


def test_what_a_row_becomes(tmp_path: Path) -> None:
    desk = read(written(tmp_path, row()))
    kinds = [MarketListed, AccountOpened, Opening, AdlRound, AccountOpened, Opening, AdlClose]
    assert [type(event) for event in desk.events] == kinds
    listed, _, unknown, begun, _, opening, close = desk.events
    assert isinstance(listed, MarketListed)
    assert (listed.price_decimals, listed.size_decimals, listed.grid_assumed, listed.basis) == (6, 6, True, Basis.AVERAGE)
    assert isinstance(unknown, Opening)
    assert unknown.positions == (OpenPosition(0, None, None, 0),)
    assert isinstance(opening, Opening)
    assert (opening.cash, opening.positions) == (None, (OpenPosition(0, -28_530_000, 28_885, 3),))
    assert isinstance(begun, AdlRound)
    assert (begun.loser, begun.size, begun.price, begun.price_rule) == (
        unknown.account,
        None,
        22_075_000,
        PriceRule.PREVIOUS_MARK,
    )
    assert close == AdlClose(
        at_ns=MS * 10**6,
        source=1,
        row=2,
        market=0,
        buyer=opening.account,
        seller=unknown.account,
        price=22_075_000,
        size=28_530_000,
        buyer_fee=0,
        seller_fee=0,
        trade=None,
        taker=Taker.UNKNOWN,
        buyer_order=None,
        seller_order=None,
        buyer_start_claim=-28_530_000,
        seller_start_claim=None,
        buyer_profit_claim=194_275035 * 10**6,
        seller_profit_claim=None,
        round=0,
        winner=opening.account,
        mark=None,
        winner_equity_claim=34217_710639 * 10**6,
        rank_claim=None,
    )


def test_a_long_winner_sells(tmp_path: Path) -> None:
    close = read(written(tmp_path, row(position_size="100"))).events[-1]
    assert isinstance(close, AdlClose)
    assert (close.seller, close.seller_start_claim, close.buyer_start_claim) == (close.winner, 100_000_000, None)
    assert (close.seller_profit_claim, close.buyer_profit_claim) == (194_275035 * 10**6, None)


def test_a_close_of_more_than_the_position_is_recorded_as_it_is(tmp_path: Path) -> None:
    desk = read(written(tmp_path, row(position_size="-1")))
    assert desk.tallies["rows_used"] == 1


def test_a_claimed_equity_is_rounded_and_counted(tmp_path: Path) -> None:
    desk = read(written(tmp_path, row(total_equity="0.20846299999493567")))
    close = desk.events[-1]
    assert isinstance(close, AdlClose)
    assert close.winner_equity_claim == 208463 * 10**6
    assert desk.tallies["rounded.total_equity"] == 1


def test_a_position_on_the_books_is_compared(tmp_path: Path) -> None:
    rest = row(position_size="-71.47", time=str(MS + 1), adl_size="71.47")
    odd = row(position_size="-5", time=str(MS + 2), adl_size="5")
    desk = read(written(tmp_path, row(position_size="-100"), rest, odd))
    assert {name: n for name, n in desk.tallies.items() if name.startswith("continuity")} == {
        "continuity.checked": 1,
        "continuity.broken": 1,
    }
    # One for the loser, one at first sight, one where the books differ.
    assert len(desk.of(Opening)) == 3


def test_rows_of_one_time_market_and_loser_are_a_round(tmp_path: Path) -> None:
    rows = [
        row(user=user(1)),
        row(user=user(2)),
        row(user=user(3), coin="LTC"),
        row(user=user(4)),
        row(user=user(5), liquidated_user=user(99)),
        row(user=user(6), liquidated_user=user(99), time=str(MS + 1)),
        row(user=user(7), liquidated_user=user(99), time=str(MS + 1), closed_pnl="x"),
        row(user=user(8), liquidated_user=user(99), time=str(MS + 1)),
    ]
    desk = read(written(tmp_path, *rows))
    assert Counter(close.round for close in desk.events if isinstance(close, AdlClose)) == {0: 2, 1: 1, 2: 1, 3: 1, 4: 2}
    losers = [event.loser for event in desk.events if isinstance(event, AdlRound)]
    assert [desk.book.account_name(loser) for loser in losers] == [HLP_LIQUIDATOR] * 3 + [user(99)] * 2


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(user="0x12"), "shape"),
        (row(coin=""), "shape"),
        (row(time="1e3"), "shape"),
        (row(time="9" * 16), "shape"),
        (row(liquidated_user=user(1)), "one-party"),
        (row() + ",more", "shape"),
        ('"' + row(), "bad-csv"),
        (row(adl_price="22.0750001"), "number"),
        (row(adl_price="-22.075"), "number"),
        (row(adl_size="0"), "number"),
        (row(adl_size="28.5300001"), "number"),
        (row(position_size="-28.5300001"), "number"),
        (row(position_size="0"), "no-position"),
        (row(closed_pnl="NaN", adl_notional="629.79975"), "number"),
        (row(total_equity=""), "number"),
        (row(total_equity="1e40"), "number"),
        (row(total_equity="200000000000000000000000000.00000000001"), "number"),
        (row(entry_price="none"), "number"),
        (row(adl_notional="629.7997501"), "notional"),
    ],
)
def test_a_broken_row_is_kept_as_it_is(tmp_path: Path, bad: str, reason: str) -> None:
    desk = read(written(tmp_path, row(), bad, row(user=user(2))))
    (kept,) = desk.of(Quarantined)
    assert isinstance(kept, Quarantined)
    assert (kept.raw, kept.reason, kept.row) == (bad.encode(), reason, 3)
    assert desk.tallies[f"quarantined.{reason}"] == 1
    assert len(desk.of(AdlClose)) == 2
    assert len(desk.of(AdlRound)) == 1


def test_a_round_without_a_good_row_is_no_round(tmp_path: Path) -> None:
    desk = read(written(tmp_path, row(adl_price="0"), row(adl_price="1e99")))
    assert {type(event) for event in desk.events} == {Quarantined}


def test_a_row_from_the_past_is_kept_apart(tmp_path: Path) -> None:
    desk = read(written(tmp_path, row(), row(user=user(2), time=str(MS - 1)), row(user=user(3))))
    assert desk.tallies == Counter({"rows_in": 3, "rows_used": 2, "quarantined.out-of-order": 1, "residual.total_equity": 2})


def test_closes_that_another_source_told_are_not_told_again(tmp_path: Path) -> None:
    desk = read(written(tmp_path, row(time=str(MS + 1))))
    desk.book.trades_source = 2
    again = read(written(tmp_path, row()), desk=desk)
    assert again.tallies["quarantined.overlap"] == 1


def test_any_order_of_columns_is_read(tmp_path: Path) -> None:
    turned = ",".join(reversed(COLUMNS))
    back = [",".join(reversed(row(user=user(n)).split(","))) for n in (1, 2)]
    expected = read(written(tmp_path, row(user=user(1)), row(user=user(2)))).events
    assert read(written(tmp_path, *back, header=turned)).events == expected


def test_line_ends_of_other_systems_and_blank_lines_mean_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, row(), row(user=user(2)))
    expected = read(path).events
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert read(path).events == expected


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (",".join([*COLUMNS, "rank", "score"]), "unknown rank, score"),
        (",".join(COLUMNS[1:]), "missing user"),
        (",".join([*COLUMNS, "user"]), "double user"),
        ("", "missing user, coin"),
    ],
)
def test_a_header_that_is_not_known_is_refused(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        read(written(tmp_path, row(), header=header))


def test_reading_may_begin_after_any_item(tmp_path: Path) -> None:
    rows = [
        row(), "junk", row(coin="LTC"), row(coin="LTC", user=user(2)), row(time=str(MS - 1)), "", "junk", row(time=str(MS + 1))
    ]  # fmt: skip
    for first in (rows, ["junk", *rows]):
        (feed,) = open_feeds([fingerprint(written(tmp_path, *first))])
        items = list(feed.items(0))
        assert [item.key for item in items] == sorted(item.key for item in items)
        for done, item in enumerate(items, 1):
            assert list(feed.items(item.row)) == items[done:]


def test_a_round_without_end_is_refused(tmp_path: Path) -> None:
    (feed,) = open_feeds([fingerprint(written(tmp_path, row(), *["junk"] * ROUND_ROWS_MAX))])
    with pytest.raises(BadInputError, match="round has more than 100,000 rows"):
        list(feed.items(0))
