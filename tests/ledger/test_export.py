"""Export and back: the same events, byte for byte, however often and wherever the import is stopped."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.errors import BadInputError, MisuseError, ReducerError
from events.model import (
    FIRST_FREE_ACCOUNT,
    SEMANTICS,
    AccountOpened,
    Basis,
    Contract,
    Event,
    Fill,
    LedgerOpened,
    MarginMode,
    MarketListed,
    MarketStatus,
    Quarantined,
    Reason,
    Role,
    Taker,
    Transfer,
)
from ledger.export import export_events
from ledger.importing import import_files
from ledger.store import BATCH_EVENTS, create, log_digest, open_ledger
from ledger.totals import ImportReport

GOLDEN = Path(__file__).parents[1] / "golden" / "interchange.jsonl"
OPENED = LedgerOpened(7, 0, 0, "venue", "USD", 8, SEMANTICS)
BEGINNING: list[Event] = [
    AccountOpened(8, 0, 0, 4, "alice", 4, Role.USER, MarginMode.CROSS, True, None),
    AccountOpened(8, 0, 0, 5, "böb", 4, Role.USER, MarginMode.ISOLATED, False, True),
    MarketListed(8, 0, 0, 0, "BTC", Contract.LINEAR, 2, 4, 1, 0, 1, 1, Basis.AVERAGE, False, (), None, MarketStatus.TRADING),
]

accounts = st.integers(0, FIRST_FREE_ACCOUNT + 1)
times = st.integers(0, 2**62)
wide = st.integers(-(2**100), 2**100)
small = st.integers(-9, 9)
amounts = st.integers(1, 2**63 - 1)
none, zero = st.none(), st.just(0)
ids = none | st.integers(0, 2**63 - 1) | st.text("aß\n", min_size=1)
transfers = st.builds(
    Transfer, times, zero, zero, accounts, accounts, wide, st.sampled_from(Reason), none | st.text("aß\n", min_size=1)
)
fills = st.builds(
    Fill, times, zero, zero, zero, accounts, accounts, amounts, amounts, small, small, ids, st.sampled_from(Taker), ids, ids,
    none | small, none, none | wide, none,
)  # fmt: skip
oddities = st.builds(
    Quarantined, times, zero, zero, st.just("odd"), st.text(max_size=9), st.just(1), st.just(1), st.binary(max_size=9)
)
tails = st.lists(transfers | fills | oddities, max_size=30)


def ledger_of(path: Path, events: list[Event]) -> Path:
    create(path, OPENED)
    with open_ledger(path, write=True) as ledger:
        ledger.append(events, expected_head=ledger.head)
    return path


def exported(path: Path, last: int | None = None) -> bytes:
    out = BytesIO()
    with open_ledger(path) as ledger:
        count = export_events(ledger, out, last=last)
    assert count == out.getvalue().count(b"\n")
    return out.getvalue()


def cut(lines: bytes) -> list[bytes]:
    """Cut into lines as the format does: at line feeds only."""
    return [line + b"\n" for line in lines.split(b"\n")[:-1]]


def digest(path: Path) -> bytes:
    with open_ledger(path) as ledger:
        return log_digest(ledger)


def restored(path: Path, lines: bytes) -> ImportReport:
    file = path.with_suffix(".jsonl")
    file.write_bytes(lines)
    return import_files(path, "events", [file])


def many(count: int) -> list[Event]:
    return [*BEGINNING, *[Transfer(9, 0, 0, 0, 4, n, Reason.DEPOSIT, None) for n in range(1, count + 1)]]


@contextmanager
def room() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


@given(tails, st.data())
@settings(max_examples=25, deadline=None)
def test_a_ledger_and_the_ledger_made_from_its_export_are_equal(tail: list[Event], data: st.DataObject) -> None:
    with room() as folder:
        first = ledger_of(folder / "first", [*BEGINNING, *tail])
        lines = exported(first)
        second = folder / "second"
        # Any prefix of an export may come first; what follows goes on after it.
        prefix = data.draw(st.integers(5, 8 + len(tail)))
        restored(second, b"".join(cut(lines)[:prefix]))
        report = restored(second, lines)
        assert report.new_events == 8 + len(tail) - prefix
        assert exported(second) == lines
        assert digest(second) == digest(first) == bytes.fromhex(report.digest)
        assert restored(second, lines).new_events == 0


def test_the_golden_file_makes_a_ledger_whose_export_it_is(tmp_path: Path) -> None:
    report = import_files(tmp_path / "ledger", "events", [GOLDEN])
    assert (report.new_events, report.head, report.trades, report.openings) == (26, 31, 2, 2)
    assert exported(tmp_path / "ledger") == GOLDEN.read_bytes()


def test_an_export_may_end_anywhere_and_come_compressed(tmp_path: Path) -> None:
    whole = ledger_of(tmp_path / "whole", many(20))
    file = tmp_path / "export.gz"
    file.write_bytes(gzip.compress(exported(whole, last=12)))
    assert import_files(tmp_path / "part", "events", [file]).head == 12
    assert exported(tmp_path / "part") == exported(whole, last=12)


def test_a_shorter_file_adds_nothing(tmp_path: Path) -> None:
    whole = ledger_of(tmp_path / "whole", many(20))
    report = restored(whole, exported(whole, last=12))
    assert (report.new_events, report.head, report.rows_in) == (0, 28, 12)
    assert report.events["Transfer"] == 20


def test_a_wrong_row_anywhere_leaves_nothing_and_a_mended_file_makes_the_ledger(tmp_path: Path) -> None:
    whole = ledger_of(tmp_path / "whole", many(2 * BATCH_EVENTS + 500))
    lines = cut(exported(whole))
    bad = [*lines]
    bad[2_400] = bad[2_400].replace(b'"payee":"alice"', b'"payee":"nobody"')
    with pytest.raises(BadInputError, match=r"row 2401.*nobody"):
        restored(tmp_path / "again", b"".join(bad))
    assert not (tmp_path / "again").exists()
    assert restored(tmp_path / "again", b"".join(lines)).new_events == len(lines) - 5
    assert digest(tmp_path / "again") == digest(whole)


def test_another_ledger_is_refused_at_the_first_seq_that_differs(tmp_path: Path) -> None:
    one = ledger_of(tmp_path / "one", many(20))
    other = ledger_of(tmp_path / "other", [*many(9), Transfer(9, 0, 0, 0, 5, 10, Reason.DEPOSIT, None)])
    before = digest(other)
    with pytest.raises(MisuseError, match="differ from seq 18 on"):
        restored(other, exported(one))
    assert digest(other) == before


@pytest.mark.parametrize("row", [1, 2, 5])
def test_a_file_that_does_not_begin_as_a_ledger_leaves_none(tmp_path: Path, row: int) -> None:
    lines = cut(exported(ledger_of(tmp_path / "whole", many(1))))
    with pytest.raises(BadInputError, match=f"row {row}"):
        restored(tmp_path / "new", b"".join([*lines[: row - 1], lines[-1].replace(b'"seq":9', b'"seq":%d' % row)]))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:0], "begins with LedgerOpened"),
        (lambda lines: lines[:3], "reserved account 'fees'"),
        (lambda lines: [*lines[:6], *lines[7:]], "row 7: seq 8 stands where seq 7 belongs"),
        (lambda lines: [*lines, lines[-1]], "row 10: seq 9 stands"),
        (lambda lines: [*lines, lines[0].replace(b'"seq":1,', b'"seq":10,')], "row 10: a ledger is opened once"),
    ],
)
def test_a_file_whose_rows_are_not_one_ledger_is_refused(tmp_path: Path, change: object, said: str) -> None:
    assert callable(change)
    lines = cut(exported(ledger_of(tmp_path / "whole", many(1))))
    with pytest.raises(BadInputError, match=said):
        restored(tmp_path / "new", b"".join(change(lines)))


def test_other_spellings_make_the_same_ledger(tmp_path: Path) -> None:
    whole = ledger_of(tmp_path / "whole", many(5))
    loose = [json.dumps(json.loads(line), sort_keys=True).encode() + b"\r\n" for line in cut(exported(whole))]
    restored(tmp_path / "again", b"".join(loose))
    assert digest(tmp_path / "again") == digest(whole)


def test_an_export_is_one_file(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="one file"):
        import_files(tmp_path / "ledger", "events", [GOLDEN, GOLDEN])
    assert list(tmp_path.iterdir()) == []


def test_a_guard_refuses_an_event_that_cannot_follow_and_nothing_is_stored(tmp_path: Path) -> None:
    lines = cut(exported(ledger_of(tmp_path / "whole", many(20))))

    def guard(_event: object, seq: int) -> None:
        if seq == 17:
            raise ReducerError("no such round.", rule="round", seq=seq)

    (tmp_path / "lines").write_bytes(b"".join(lines))
    with pytest.raises(BadInputError, match=r"lines, row 17: this event cannot follow those before it: no such round"):
        import_files(tmp_path / "new", "events", [tmp_path / "lines"], guard=guard)
    assert not (tmp_path / "new").exists()
