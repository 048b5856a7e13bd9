"""Importing: the real files, and the same log however often, wherever and however roughly it is stopped."""

import gzip
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.errors import BadInputError, MisuseError
from events.model import SEMANTICS, LedgerOpened, Settlement, SourceClosed, SourceOpened, Taker
from events.sources import hyperliquid, hyperliquid_adl, reading
from events.sources.hyperliquid_adl import Row
from events.times import format_utc
from ledger import importing
from ledger.export import export_events
from ledger.importing import import_files
from ledger.store import create, log_digest, open_ledger
from ledger.totals import ImportReport, Totals
from replay.core.evolve import evolve
from replay.core.state import State

FILLS = "hyperliquid/node_fills_by_block_20251027_17.lz4"
WAVE = "hyperliquid/adl_2025-10-10_first_wave.csv"
START_NS = 1_760_130_964_000_000_000
SMALL_BATCH = 5

Find = Callable[[str], Path]


# Small files of the venue's own shapes.


def fill_row(user: int, block: int, side: str) -> list[object]:
    position = {"B": "Open Long", "A": "Open Short"}[side]
    row = {
        "coin": "ETH" if block % 3 else "BTC", "px": f"{1000 + block}.5", "sz": "0.25", "side": side,
        "time": START_NS // 10**6 + 1000 * block, "startPosition": "0.0", "dir": position, "closedPnl": "0.0",
        "hash": f"0x{block:064x}", "oid": 7, "crossed": side == "B", "fee": "0.01", "tid": 10 + block, "feeToken": "USDC",
        "twapId": None,
    }  # fmt: skip
    return [f"0x{user:040x}", row]


def blocks(path: Path, numbers: range, *, node: str = "") -> Path:
    """Write a file of fills, one block a second, with one trade in each but every fourth."""
    with path.open("w", encoding="utf-8") as file:
        for number in numbers:
            at = format_utc(START_NS + number * 10**9).removesuffix("Z")
            rows = [fill_row(number, number, "B"), fill_row(number + 1, number, "A")] if number % 4 else []
            block = {"local_time": node or at, "block_time": at, "block_number": number, "events": rows}
            file.write(json.dumps(block) + "\n")
    return path


def prices(path: Path, minutes: range) -> Path:
    """Write a file of mark prices, two markets a minute."""
    header = (
        "time,coin,funding,open_interest,prev_day_px,day_ntl_vlm,premium,oracle_px,mark_px,mid_px,impact_bid_px,impact_ask_px"
    )
    rows = [
        f"{format_utc(START_NS + minute * 60 * 10**9, 0)},{coin},0.0,1,1,1,0,{1000 + minute},{1001 + minute},1,1,1"
        for minute in minutes
        for coin in ("BTC", "ETH")
    ]
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def closes(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([",".join(Row.__struct_fields__), *rows]) + "\n", encoding="utf-8")
    return path


def close(winner: int, second: int) -> str:
    at_ms = START_NS // 10**6 + 1000 * second
    return f"0x{winner:040x},ETH,{at_ms},10,2,20,1,-2,9,1,1,2,False,0,1,1,0x{99:040x}"


def three(folder: Path) -> list[Path]:
    return [
        blocks(folder / "hour1", range(1, 40)),
        blocks(folder / "hour2", range(40, 90)),
        prices(folder / "prices.csv", range(3)),
    ]


def digest(path: Path) -> bytes:
    with open_ledger(path) as ledger:
        return log_digest(ledger)


@contextmanager
def room() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH_EVENTS", SMALL_BATCH)


class Stopped(Exception):  # noqa: N818  # what a user's interrupt is
    pass


def stop_after(commits: int) -> Callable[[int, int], None]:
    left = iter(range(commits))

    def progress(done: int, total: int) -> None:
        assert 0 <= done <= total
        if next(left, None) is None:
            raise Stopped

    return progress


# The real files.


def test_the_real_fills(tmp_path: Path, shared_data: Find) -> None:
    file = shared_data(FILLS)
    report = import_files(tmp_path / "ledger", "hyperliquid", [file])
    assert (report.rows_in, report.rows_used, report.trades) == (4_924, 4_564, 2_282)
    assert report.tallies["set_aside.spot"] == 360
    assert (report.accounts, report.markets, report.openings) == (682, 155, 1_364)
    assert (report.tallies["continuity.checked"], report.tallies.get("continuity.broken", 0)) == (3_080, 0)
    assert (report.volume, report.fees) == ("4927122.725223", "1841.902804")
    assert (report.liquidations, report.events["Liquidation"]) == ({"market": 1}, 1)
    assert report.new_events == report.head - 5
    again = import_files(tmp_path / "ledger", "hyperliquid", [file])
    assert again.new_events == 0
    assert unsaid(again) == unsaid(report)


def unsaid(report: ImportReport) -> dict[str, object]:
    """Return what is the same in the reports of a first and a second import."""
    said = {name: getattr(report, name) for name in report.__struct_fields__ if name not in {"new_events", "sources"}}
    return said | {"tallies by source": [source.tallies for source in report.sources]}


def test_the_real_adl_wave(tmp_path: Path, shared_data: Find) -> None:
    report = import_files(tmp_path / "ledger", "hyperliquid-adl", [shared_data(WAVE)])
    assert (report.events["AdlClose"], report.events["AdlRound"], report.adl_volume) == (401, 14, "10180775.029964")
    assert (report.accounts, report.markets, report.rows_in, report.rows_used) == (366, 14, 401, 401)
    assert import_files(tmp_path / "ledger", "hyperliquid-adl", [shared_data(WAVE)]).new_events == 0


@pytest.mark.parametrize(("kind", "name"), [("hyperliquid", FILLS), ("hyperliquid-adl", WAVE)])
def test_real_imports_reduce_and_come_back_from_their_export(tmp_path: Path, shared_data: Find, kind: str, name: str) -> None:
    import_files(tmp_path / "ledger", kind, [shared_data(name)])
    state, out = State(), BytesIO()
    with open_ledger(tmp_path / "ledger") as ledger:
        for seq, event in ledger.events():
            evolve(state, event, seq)
        export_events(ledger, out)
    (tmp_path / "export").write_bytes(out.getvalue())
    report = import_files(tmp_path / "again", "events", [tmp_path / "export"])
    assert bytes.fromhex(report.digest) == digest(tmp_path / "ledger")
    # The copy knows the source file, too.
    assert import_files(tmp_path / "again", kind, [shared_data(name)]).new_events == 0


def test_a_real_import_killed_at_any_commit_goes_on_to_the_same_log(tmp_path: Path, shared_data: Find) -> None:
    file = shared_data(FILLS)
    whole = import_files(tmp_path / "whole", "hyperliquid", [file])
    assert killed(tmp_path / "cut", "hyperliquid", [file], after=2) == -signal.SIGKILL
    assert killed(tmp_path / "cut", "hyperliquid", [file], after=1) == -signal.SIGKILL
    rest = import_files(tmp_path / "cut", "hyperliquid", [file])
    assert 0 < rest.new_events < whole.new_events
    assert unsaid(rest) == unsaid(whole)


# Stops and orders.

KILLED = """
import os, signal, sys
from pathlib import Path
from ledger import importing

importing.BATCH_EVENTS = int(sys.argv[4])
left = [int(sys.argv[3])]

def progress(done, total):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)

importing.import_files(Path(sys.argv[1]), sys.argv[2], [Path(name) for name in sys.argv[5:]], progress)
"""


def killed(path: Path, kind: str, files: list[Path], *, after: int, batch: int = 1_000) -> int:
    """Import in a process that is killed by SIGKILL right after a commit, and return its exit status."""
    command = [sys.executable, "-c", KILLED, str(path), kind, str(after), str(batch), *map(str, files)]
    return subprocess.run(command, check=False, cwd=Path(__file__).parents[2]).returncode


def test_an_import_killed_again_and_again_makes_the_same_log(tmp_path: Path) -> None:
    files = three(tmp_path)
    whole = import_files(tmp_path / "whole", "hyperliquid", files)
    for after in (1, 3, 2, 5):
        assert killed(tmp_path / "cut", "hyperliquid", files, after=after, batch=SMALL_BATCH) == -signal.SIGKILL
    rest = import_files(tmp_path / "cut", "hyperliquid", files)
    assert 0 < rest.new_events < whole.new_events
    assert unsaid(rest) == unsaid(whole)


@pytest.mark.usefixtures("_small_batches")
def test_stopping_after_any_number_of_commits_changes_nothing(tmp_path: Path) -> None:
    files = three(tmp_path)
    whole = import_files(tmp_path / "whole", "hyperliquid", files)
    commits = 0
    while True:
        path = tmp_path / f"cut{commits}"
        try:
            import_files(path, "hyperliquid", files, stop_after(commits))
        except Stopped:
            rest = import_files(path, "hyperliquid", files[::-1])
            assert unsaid(rest) == unsaid(whole)
            commits += 1
        else:
            break
    assert commits > 20


@pytest.mark.usefixtures("_small_batches")
@given(st.lists(st.integers(0, 6), max_size=8), st.permutations(range(3)))
@settings(max_examples=20, deadline=None)
def test_any_series_of_stops_in_any_order_of_files_makes_the_same_log(stops: list[int], order: list[int]) -> None:
    with room() as folder:
        files = three(folder)
        whole = import_files(folder / "whole", "hyperliquid", files)
        given_files = [files[n] for n in order]
        for commits in stops:
            with suppress(Stopped):
                import_files(folder / "cut", "hyperliquid", given_files, stop_after(commits))
        rest = import_files(folder / "cut", "hyperliquid", given_files)
        assert unsaid(rest) == unsaid(whole)


def test_a_ledger_that_was_only_made_is_as_good_as_none(tmp_path: Path) -> None:
    files = three(tmp_path)
    whole = import_files(tmp_path / "whole", "hyperliquid", files)
    create(tmp_path / "made", LedgerOpened(0, 0, 0, "hyperliquid", "USDC", 12, SEMANTICS))
    assert import_files(tmp_path / "made", "hyperliquid", files) == whole


def test_files_of_several_streams_are_merged_by_time(tmp_path: Path) -> None:
    files = three(tmp_path)
    import_files(tmp_path / "ledger", "hyperliquid", files)
    with open_ledger(tmp_path / "ledger") as ledger:
        events = [event for _, event in ledger.events(6)]
    times = [event.at_ns for event in events if event.at_ns]
    assert times == sorted(times)
    opened = [(event.source, event.name) for event in events if isinstance(event, SourceOpened)]
    assert opened == [(1, "prices.csv"), (2, "hour1"), (3, "hour2")]
    # A file is closed where it ends, before later items of others.
    assert [event.source for event in events if isinstance(event, SourceClosed)] == [2, 3, 1]


def test_the_order_of_the_files_means_nothing(tmp_path: Path) -> None:
    files = three(tmp_path)
    one = import_files(tmp_path / "one", "hyperliquid", files)
    other = import_files(tmp_path / "other", "hyperliquid", files[::-1])
    assert one == other


def test_files_may_come_one_after_the_other(tmp_path: Path) -> None:
    first, second, _ = three(tmp_path)
    import_files(tmp_path / "ledger", "hyperliquid", [first])
    report = import_files(tmp_path / "ledger", "hyperliquid", [first, second])
    assert [(source.name, source.new) for source in report.sources] == [("hour1", False), ("hour2", True)]
    assert report.events["SourceOpened"] == 2


def test_files_that_follow_each_other_make_one_log_whether_they_come_together_or_not(tmp_path: Path) -> None:
    first, second, _ = three(tmp_path)
    import_files(tmp_path / "one", "hyperliquid", [second, first])
    import_files(tmp_path / "other", "hyperliquid", [first])
    import_files(tmp_path / "other", "hyperliquid", [second])
    assert digest(tmp_path / "one") == digest(tmp_path / "other")


@pytest.mark.usefixtures("_small_batches")
def test_a_file_that_begins_with_junk_still_comes_after_the_file_that_it_follows(tmp_path: Path) -> None:
    first, second, _ = three(tmp_path)
    second.write_bytes(b"{cut\n" * 3 + second.read_bytes())
    together = import_files(tmp_path / "together", "hyperliquid", [second, first])
    import_files(tmp_path / "turns", "hyperliquid", [first])
    assert import_files(tmp_path / "turns", "hyperliquid", [second]).digest == together.digest
    for commits in range(1, 200):
        path = tmp_path / f"cut{commits}"
        try:
            import_files(path, "hyperliquid", [first, second], stop_after(commits))
        except Stopped:
            assert import_files(path, "hyperliquid", [second, first]).digest == together.digest
        else:
            break
    else:
        pytest.fail("the import never ended by itself")


def test_a_recompressed_or_renamed_copy_is_the_same_file(tmp_path: Path) -> None:
    file = blocks(tmp_path / "hour1", range(1, 40))
    first = import_files(tmp_path / "ledger", "hyperliquid", [file])
    copy = tmp_path / "copy.gz"
    copy.write_bytes(gzip.compress(file.read_bytes()))
    report = import_files(tmp_path / "ledger", "hyperliquid", [copy])
    assert (report.new_events, report.digest) == (0, first.digest)


def test_a_file_given_twice_counts_once(tmp_path: Path) -> None:
    file = blocks(tmp_path / "hour1", range(1, 40))
    copy = tmp_path / "same"
    copy.write_bytes(file.read_bytes())
    report = import_files(tmp_path / "ledger", "hyperliquid", [copy, file])
    assert (report.duplicates, [source.name for source in report.sources]) == (("same",), ["hour1"])
    assert report.trades == 30


def test_an_empty_file_is_opened_and_closed(tmp_path: Path) -> None:
    report = import_files(tmp_path / "ledger", "hyperliquid-adl", [closes(tmp_path / "none.csv")])
    assert (report.new_events, report.events["SourceClosed"], report.rows_in) == (2, 1, 0)


def test_broken_rows_are_counted_and_kept(tmp_path: Path) -> None:
    file = closes(tmp_path / "adl.csv", close(1, 1), "broken", close(2, 1))
    report = import_files(tmp_path / "ledger", "hyperliquid-adl", [file])
    assert (report.rows_in, report.rows_used, report.tallies["quarantined.shape"], report.events["Quarantined"]) == (3, 2, 1, 1)


# What is refused, and leaves everything as it was.


def test_a_truncated_file_leaves_no_ledger(tmp_path: Path, shared_data: Find) -> None:
    cut = tmp_path / "cut.lz4"
    cut.write_bytes(shared_data(FILLS).read_bytes()[:-1_000])
    with pytest.raises(BadInputError, match="ends too early"):
        import_files(tmp_path / "ledger", "hyperliquid", [cut])
    assert list(tmp_path.iterdir()) == [cut]


def test_a_truncated_file_among_good_ones_leaves_a_ledger_as_it_was(tmp_path: Path) -> None:
    first, second, _ = three(tmp_path)
    before = import_files(tmp_path / "ledger", "hyperliquid", [first]).digest
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(blocks(tmp_path / "hour3", range(90, 99)).read_bytes())[:-9])
    with pytest.raises(BadInputError, match="ends too early"):
        import_files(tmp_path / "ledger", "hyperliquid", [second, cut])
    assert digest(tmp_path / "ledger").hex() == before


@pytest.mark.parametrize(
    ("kind", "said"), [("binance", "known formats are hyperliquid, hyperliquid-adl, events"), ("", "is not known")]
)
def test_an_unknown_format_is_refused(tmp_path: Path, kind: str, said: str) -> None:
    with pytest.raises(MisuseError, match=f"(?i){said}"):
        import_files(tmp_path / "ledger", kind, [blocks(tmp_path / "hour1", range(1, 9))])
    assert not (tmp_path / "ledger").exists()


@pytest.mark.parametrize("kind", importing.FORMATS)
def test_nothing_to_import_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(MisuseError, match="nothing to import"):
        import_files(tmp_path / "ledger", kind, [])
    with pytest.raises(MisuseError, match="cannot be opened"):
        import_files(tmp_path / "ledger", kind, [tmp_path / "absent"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("late", [range(1, 10), range(40, 50), range(39, 50)])
def test_a_late_or_overlapping_file_is_refused(tmp_path: Path, late: range) -> None:
    held = blocks(tmp_path / "held", range(10, 41))
    late_file = blocks(tmp_path / "late", late, node="2025-10-10T00:00:00")
    before = import_files(tmp_path / "ledger", "hyperliquid", [held]).digest
    with pytest.raises(MisuseError, match=r"late: this file begins at .* but held of the same stream"):
        import_files(tmp_path / "ledger", "hyperliquid", [late_file])
    assert digest(tmp_path / "ledger").hex() == before


def snapshot(path: Path, at_ns: int) -> Path:
    """Write a snapshot of one position."""
    path = path / f"perp_positions_by_market_1_{at_ns // 10**6}.json"
    position = {"user": f"0x{77:040x}", "size": 1.5, "entry_price": 100.0}
    market = {"market_name": "hyperliquid:BTC", "snapshot_id": 1, "position_count": 1, "positions": [position]}
    path.write_text(json.dumps([market]), encoding="utf-8")
    return path


def transfers(path: Path, numbers: range) -> Path:
    """Write a file of ledger updates, one block a second, with one deposit in each."""
    with path.open("w", encoding="utf-8") as file:
        for number in numbers:
            at = format_utc(START_NS + number * 10**9).removesuffix("Z")
            update = {"LedgerUpdate": {"users": [f"0x{number:040x}"], "delta": {"type": "deposit", "usdc": "5.0"}}}
            event = {"time": at, "hash": "0x1", "inner": update}
            block = {"local_time": at, "block_time": at, "block_number": number, "events": [event]}
            file.write(json.dumps(block) + "\n")
    return path


def exported(ledger_path: Path, path: Path) -> Path:
    with open_ledger(ledger_path) as ledger, path.open("wb") as out:
        export_events(ledger, out)
    return path


@pytest.mark.parametrize("copied", [False, True])
def test_a_file_of_another_stream_from_before_the_end_of_the_ledger_is_refused(tmp_path: Path, copied: bool) -> None:
    path = tmp_path / "ledger"
    import_files(path, "hyperliquid", [blocks(tmp_path / "hour1", range(10, 200))])
    if copied:
        # A copy knows its sources, and no streams.
        import_files(tmp_path / "copy", "events", [exported(path, tmp_path / "export")])
        path = tmp_path / "copy"
    before = digest(path)
    early = [
        snapshot(tmp_path, START_NS + 100 * 10**9),
        prices(tmp_path / "prices.csv", range(3)),
        transfers(tmp_path / "misc", range(198, 250)),
        blocks(tmp_path / "again", range(10, 200), node="elsewhere"),
        blocks(tmp_path / "overlap", range(198, 250)),
    ]
    for file in early:
        with pytest.raises(MisuseError, match=r"begins at .* and events have one order. Import the files of one period"):
            import_files(path, "hyperliquid", [file])
    assert digest(path) == before
    meta = tmp_path / "meta"
    meta.write_text(json.dumps({"universe": [{"name": "SOL", "szDecimals": 2, "maxLeverage": 20}]}), encoding="utf-8")
    # The same time is no fault, and a listing states none.
    for file in (meta, transfers(tmp_path / "tie", range(199, 250)), snapshot(tmp_path, START_NS + 249 * 10**9)):
        assert import_files(path, "hyperliquid", [file]).new_events > 0


def test_files_of_one_period_are_imported_together(tmp_path: Path) -> None:
    files = [
        blocks(tmp_path / "hour1", range(10, 200)),
        snapshot(tmp_path, START_NS + 100 * 10**9),
        prices(tmp_path / "prices.csv", range(3)),
        transfers(tmp_path / "misc", range(1, 250)),
    ]
    assert import_files(tmp_path / "ledger", "hyperliquid", files).events["SourceClosed"] == 4


def lines(path: Path, at_ms: int, number: int) -> Path:
    """Write a file of single fills: one trade, at a time that is cut to the millisecond."""
    rows = [fill_row(user, number, side) for user, side in ((1, "B"), (2, "A"))]
    for _, row in rows:
        row["time"] = at_ms  # type: ignore[index]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("coarse_first", [False, True])
@pytest.mark.parametrize("together", [False, True])
def test_two_clocks_of_one_stream_are_compared_by_the_coarser(tmp_path: Path, coarse_first: bool, together: bool) -> None:
    at_ns = START_NS + 831_874_687
    at = format_utc(at_ns).removesuffix("Z")
    fine = tmp_path / "fine"
    rows = [fill_row(1, 1, "B"), fill_row(2, 1, "A")]
    fine.write_text(json.dumps({"local_time": at, "block_time": at, "block_number": 1, "events": rows}), encoding="utf-8")
    coarse = lines(tmp_path / "coarse", at_ns // 10**6, 1)
    files = [coarse, fine] if coarse_first else [fine, coarse]
    if together:
        with pytest.raises(MisuseError, match="of the same stream, fills"):
            import_files(tmp_path / "ledger", "hyperliquid", files)
        assert not (tmp_path / "ledger").exists()
        return
    import_files(tmp_path / "ledger", "hyperliquid", files[:1])
    with pytest.raises(MisuseError, match="of the same stream, fills"):
        import_files(tmp_path / "ledger", "hyperliquid", files[1:])
    later = lines(tmp_path / "later", at_ns // 10**6 + 1, 2)
    assert import_files(tmp_path / "ledger", "hyperliquid", [later]).trades == 2


def test_a_stamp_far_ahead_does_not_end_a_stream(tmp_path: Path) -> None:
    first = blocks(tmp_path / "hour1", range(1, 40))
    good = first.read_text(encoding="utf-8").splitlines()
    far = good[20].replace("2025-10-10", "2225-10-10")
    first.write_text("\n".join([*good[:20], far, *good[21:]]), encoding="utf-8")
    report = import_files(tmp_path / "ledger", "hyperliquid", [first])
    assert report.tallies["quarantined.out-of-order"] == 2
    assert import_files(tmp_path / "ledger", "hyperliquid", [blocks(tmp_path / "hour2", range(40, 60))]).new_events > 0


# Files that change while they are read, and rows that cannot be stored.


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "cut by a byte": lambda content: content[:-1],
    "another row": lambda content: content.replace(b'"tid": 191', b'"tid": 999'),
    "another spelling": lambda content: content[:-2] + b" }",
}


@pytest.mark.usefixtures("_small_batches")
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_stops_the_import_and_the_right_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, begun: bool
) -> None:
    monkeypatch.setattr(reading, "_BLOCK_BYTES", 4096)
    file, path = blocks(tmp_path / "hour1", range(1, 200)), tmp_path / "ledger"
    content = file.read_bytes()
    whole = import_files(tmp_path / "whole", "hyperliquid", [file])
    if begun:
        with pytest.raises(Stopped):
            import_files(path, "hyperliquid", [file], stop_after(2))
    calls = iter(range(2))

    def spoil(*_: int) -> None:
        # First with nothing read; then after a commit.
        if next(calls, None) == 1:
            file.write_bytes(CHANGES[change](content))

    with pytest.raises(BadInputError, match=r"hour1: this file changed while it was read. Give the file back as it was"):
        import_files(path, "hyperliquid", [file], spoil)
    with open_ledger(path) as ledger:
        assert ledger.head > 10
        assert not any(isinstance(event, SourceClosed) for _, event in ledger.events())
    file.write_bytes(content)
    rest = import_files(path, "hyperliquid", [file])
    assert 0 < rest.new_events < whole.new_events
    assert unsaid(rest) == unsaid(whole)


@pytest.mark.usefixtures("_small_batches")
def test_a_file_that_grows_gives_what_was_there(tmp_path: Path) -> None:
    file = blocks(tmp_path / "hour1", range(1, 40))
    whole = import_files(tmp_path / "whole", "hyperliquid", [file])
    content, more = file.read_bytes(), blocks(tmp_path / "more", range(40, 60)).read_bytes()

    def grow(*_: int) -> None:
        file.write_bytes(content + more)

    assert import_files(tmp_path / "ledger", "hyperliquid", [file], grow).digest == whole.digest


def test_a_file_that_changes_before_anything_is_stored_leaves_no_ledger(tmp_path: Path) -> None:
    file = blocks(tmp_path / "hour1", range(1, 40))

    def spoil(*_: int) -> None:
        file.write_bytes(b"x")

    with pytest.raises(BadInputError, match="changed while it was read"):
        import_files(tmp_path / "ledger", "hyperliquid", [file], spoil)
    assert not (tmp_path / "ledger").exists()


def test_an_event_that_cannot_be_stored_names_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # No adapter makes such an event; so one is told not to look.
    monkeypatch.setattr(hyperliquid_adl, "in_range", lambda value, _: value)
    bad = close(2, 1).replace(",2,False", ",1e40,False")
    file = closes(tmp_path / "adl.csv", close(1, 1), bad, close(3, 1))
    with pytest.raises(BadInputError, match=r"adl.csv, row 3: AdlClose cannot be stored") as found:
        import_files(tmp_path / "ledger", "hyperliquid-adl", [file])
    assert found.value.exit_status == 2


def test_progress_begins_with_what_there_is_to_read(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    file = blocks(tmp_path / "hour1", range(1, 40))
    import_files(tmp_path / "ledger", "hyperliquid", [file], lambda *now: seen.append(now))
    assert (seen[0], seen[-1]) == ((0, 39), (39, 39))


def test_files_that_overlap_each_other_are_refused(tmp_path: Path) -> None:
    files = [blocks(tmp_path / "one", range(1, 41)), blocks(tmp_path / "two", range(40, 60))]
    with pytest.raises(MisuseError, match=r"two: this file begins at .* but one of the same stream"):
        import_files(tmp_path / "ledger", "hyperliquid", files[::-1])
    assert not (tmp_path / "ledger").exists()


def test_closes_cannot_come_on_top_of_the_fills_that_hold_them(tmp_path: Path) -> None:
    import_files(tmp_path / "ledger", "hyperliquid", [blocks(tmp_path / "hour1", range(1, 40))])
    with pytest.raises(MisuseError, match="same stream"):
        import_files(tmp_path / "ledger", "hyperliquid-adl", [closes(tmp_path / "adl.csv", close(1, 20))])


@pytest.mark.usefixtures("_small_batches")
def test_an_unfinished_import_comes_first(tmp_path: Path) -> None:
    first, second, third = three(tmp_path)
    with pytest.raises(Stopped):
        import_files(tmp_path / "ledger", "hyperliquid", [first, third], stop_after(3))
    before = digest(tmp_path / "ledger")
    for others in ([first], [second], [third, second]):
        with pytest.raises(MisuseError, match=r"import of prices.csv, hour1 was not finished"):
            import_files(tmp_path / "ledger", "hyperliquid", others)
    with pytest.raises(MisuseError, match="was not finished"):
        import_files(tmp_path / "ledger", "hyperliquid-adl", [closes(tmp_path / "adl.csv", close(1, 99))])
    assert digest(tmp_path / "ledger") == before
    import_files(tmp_path / "ledger", "hyperliquid", [third, first])
    assert import_files(tmp_path / "ledger", "hyperliquid", [first, third]).new_events == 0
    later = blocks(tmp_path / "later", range(120, 130))
    assert import_files(tmp_path / "ledger", "hyperliquid", [later]).new_events > 0


@pytest.mark.usefixtures("_small_batches")
def test_an_import_is_finished_by_the_version_that_began_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = blocks(tmp_path / "hour1", range(1, 40))
    with pytest.raises(Stopped):
        import_files(tmp_path / "ledger", "hyperliquid", [file], stop_after(3))
    with monkeypatch.context() as newer:
        newer.setattr(hyperliquid, "FORMAT_VERSION", 2)
        with pytest.raises(MisuseError, match=r"begun as hyperliquid version 1, and this is hyperliquid version 2. Finish it"):
            import_files(tmp_path / "ledger", "hyperliquid", [file])
    assert import_files(tmp_path / "ledger", "hyperliquid", [file]).new_events > 0


@pytest.mark.usefixtures("_small_batches")
def test_a_copy_of_an_unfinished_import_cannot_go_on(tmp_path: Path) -> None:
    file = blocks(tmp_path / "hour1", range(1, 40))
    with pytest.raises(Stopped):
        import_files(tmp_path / "ledger", "hyperliquid", [file], stop_after(3))
    with open_ledger(tmp_path / "ledger") as ledger, (tmp_path / "export").open("wb") as out:
        export_events(ledger, out)
    import_files(tmp_path / "copy", "events", [tmp_path / "export"])
    with pytest.raises(MisuseError, match="made from an export of a ledger whose import of hour1 was not finished"):
        import_files(tmp_path / "copy", "hyperliquid", [file])


@pytest.mark.parametrize("head", [("okx", "USDC", 12), ("hyperliquid", "USDT", 12), ("hyperliquid", "USDC", 8)])
def test_a_ledger_of_another_venue_or_money_is_refused(tmp_path: Path, head: tuple[str, str, int]) -> None:
    create(tmp_path / "ledger", LedgerOpened(0, 0, 0, *head, SEMANTICS))
    with pytest.raises(MisuseError, match=f"this ledger is of {head[0]} in {head[1]} with {head[2]} decimals"):
        import_files(tmp_path / "ledger", "hyperliquid", [blocks(tmp_path / "hour1", range(1, 9))])
    with open_ledger(tmp_path / "ledger") as ledger:
        assert ledger.head == 5


def test_a_path_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    file = blocks(tmp_path / "hour1", range(1, 9))
    with pytest.raises(MisuseError, match="not a ledger"):
        import_files(file, "hyperliquid", [file])


def test_fees_of_settlements_are_fees_and_their_size_is_no_volume() -> None:
    totals = Totals()
    totals.observe(LedgerOpened(0, 0, 0, "v", "USD", 8, SEMANTICS))
    trade = (0, 5, 4, 100, 7, 3, -1, None, Taker.UNKNOWN, None, None, None, None, None, None)
    totals.observe(Settlement(0, 0, 0, *trade))
    report = totals.report(kind="x", new_events=0, head=2, digest=b"", sources=(), duplicates=())
    assert (report.trades, report.volume, report.fees) == (0, "0", "0.00000002")
