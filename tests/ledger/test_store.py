import errno
import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.codec import decode, encode
from events.errors import EventEncodeError, MisuseError, SequenceError
from events.model import (
    RESERVED_ACCOUNTS,
    SEMANTICS,
    AccountOpened,
    AnyEvent,
    Event,
    LedgerOpened,
    PriceTick,
)
from ledger.layout import CLOCK_STEP
from ledger.store import Ledger, create, log_digest, open_ledger
from replay.testing.strategies import log_events

OPENED = LedgerOpened(10, 0, 0, "venue", "USD", 6, SEMANTICS)
RESERVED = 1 + len(RESERVED_ACCOUNTS)
WRONG = PriceTick(0, 0, 0, 0, -1, None)


def tick(at_ns: int) -> PriceTick:
    return PriceTick(at_ns, 0, 0, 0, 1, None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.adl"
    create(path, OPENED, clock=lambda: 1)
    return path


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with open_ledger(path, write=True, clock=lambda: 2) as ledger:
        yield ledger


def test_a_new_ledger_holds_its_opening_and_the_reserved_accounts(path: Path) -> None:
    with open_ledger(path) as ledger:
        events = list(ledger.events())
    assert events[0] == (1, OPENED)
    assert [(e.account, e.name, e.role) for _, e in events[1:] if isinstance(e, AccountOpened)] == list(RESERVED_ACCOUNTS)
    assert [(e.at_ns, e.source, e.new, e.owner) for _, e in events[1:] if isinstance(e, AccountOpened)] == [
        (10, 0, True, account) for account, _, _ in RESERVED_ACCOUNTS
    ]


def test_making_a_ledger_leaves_one_file(path: Path) -> None:
    assert [made.name for made in path.parent.iterdir()] == ["a.adl"]


def test_a_ledger_is_never_made_over_something(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for taken in (path, tmp_path, tmp_path / "dangling"):
        with pytest.raises(MisuseError, match="at this path already"):
            create(taken, OPENED)
    assert path.read_bytes() == before


def test_a_ledger_needs_a_folder_to_be_in(path: Path, tmp_path: Path) -> None:
    for wrong in (tmp_path / "absent" / "a.adl", path / "a.adl"):
        with pytest.raises(MisuseError):
            create(wrong, OPENED)


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_hard_links_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    # No such file system can be had here without being root.
    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(MisuseError, match=r"a.adl: this file system has no hard links"):
        create(tmp_path / "a.adl", OPENED)
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_of_other_semantics_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="semantics version 2"):
        create(tmp_path / "b.adl", LedgerOpened(0, 0, 0, "v", "USD", 6, 2))
    with pytest.raises(EventEncodeError):
        create(tmp_path / "b.adl", LedgerOpened(0, 0, 0, "", "USD", 6, SEMANTICS))
    assert list(tmp_path.iterdir()) == []


def test_what_is_appended_is_read_back(ledger: Ledger) -> None:
    assert ledger.append([tick(1), tick(2)], expected_head=RESERVED) == RESERVED + 2 == ledger.head
    assert ledger.append([tick(3)], expected_head=RESERVED + 2) == RESERVED + 3
    assert list(ledger.scan(RESERVED + 1)) == [(RESERVED + at, encode(tick(at))) for at in (1, 2, 3)]
    assert list(ledger.events(RESERVED + 2, RESERVED + 2)) == [(RESERVED + 2, tick(2))]
    assert decode(ledger.read(RESERVED + 3)) == tick(3)


def test_it_is_there_after_closing(path: Path) -> None:
    with open_ledger(path, write=True) as ledger:
        ledger.append([tick(1)], expected_head=RESERVED, cursors={"a": b"x"})
    with open_ledger(path) as ledger:
        assert ledger.head == RESERVED + 1
        assert ledger.cursor("a") == b"x"
        assert not ledger.writable


@pytest.mark.parametrize(
    ("events", "error"),
    [
        pytest.param([tick(1), WRONG], EventEncodeError, id="an event that cannot be stored"),
        pytest.param([tick(1), OPENED], MisuseError, id="a second opening"),
    ],
)
def test_a_bad_batch_leaves_nothing(ledger: Ledger, events: list[Event], error: type[Exception]) -> None:
    with pytest.raises(error):
        ledger.append(events, expected_head=RESERVED, cursors={"a": b"x"})
    assert ledger.head == RESERVED
    assert ledger.cursors("") == {}
    assert len(ledger.manifest().runs) == 1
    assert ledger.append([tick(1)], expected_head=RESERVED) == RESERVED + 1


@pytest.mark.parametrize("expected", [0, RESERVED - 1, RESERVED + 1, -1])
@pytest.mark.parametrize("events", [[tick(1)], []])
def test_a_writer_that_is_mistaken_about_the_head_is_refused(ledger: Ledger, expected: int, events: list[Event]) -> None:
    with pytest.raises(SequenceError, match=f"the head is {RESERVED}, not {expected}"):
        ledger.append(events, expected_head=expected)
    with pytest.raises(SequenceError):
        ledger.append(events, expected_head=expected, cursors={"a": b"x"})
    assert ledger.head == RESERVED
    assert ledger.cursor("a") is None


def test_an_empty_batch_writes_nothing(path: Path) -> None:
    before = path.read_bytes()
    with open_ledger(path, write=True) as ledger:
        assert ledger.append([], expected_head=RESERVED) == RESERVED
    assert path.read_bytes() == before


def test_cursors_may_move_without_events(ledger: Ledger) -> None:
    assert ledger.append([], expected_head=RESERVED, cursors={"row": b"9"}) == RESERVED
    assert ledger.cursor("row") == b"9"
    assert len(ledger.manifest().runs) == 1


def test_cursors_keep_their_last_value_and_sort_by_name(ledger: Ledger) -> None:
    ledger.append([], expected_head=RESERVED, cursors={"b/2": b"", "a": b"1", "b/1": b"x", "b/ü": b"y"})
    ledger.append([], expected_head=RESERVED, cursors={"b/1": b"z" * 5000})
    assert list(ledger.cursors("b/").items()) == [("b/1", b"z" * 5000), ("b/2", b""), ("b/ü", b"y")]
    assert list(ledger.cursors("")) == ["a", "b/1", "b/2", "b/ü"]
    assert ledger.cursors("c") == {}
    assert ledger.cursor("b") is None


@pytest.mark.parametrize("name", ["", "x" * 512, "ü" * 256])
def test_a_cursor_needs_a_name_of_some_length(ledger: Ledger, name: str) -> None:
    with pytest.raises(MisuseError, match="name takes 1 to 511 bytes"):
        ledger.append([tick(1)], expected_head=RESERVED, cursors={name: b""})
    with pytest.raises(MisuseError):
        ledger.cursor(name)
    assert ledger.head == RESERVED


def test_a_file_name_that_is_not_unicode_can_name_a_cursor(ledger: Ledger) -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    ledger.append([], expected_head=RESERVED, cursors={name: b"1"})
    assert ledger.cursors("caf") == {name: b"1"}


@pytest.mark.parametrize("seq", [-1, 0, RESERVED + 1, 2**64])
def test_there_is_no_seq_outside_the_log(ledger: Ledger, seq: int) -> None:
    with pytest.raises(MisuseError, match=f"there is no seq {seq}: the log has 1 to {RESERVED}"):
        ledger.read(seq)


@pytest.mark.parametrize(("first", "last"), [(0, None), (-1, 3), (1, RESERVED + 1), (RESERVED + 1, RESERVED + 2)])
def test_a_scan_outside_the_log_is_refused(ledger: Ledger, first: int, last: int | None) -> None:
    with pytest.raises(MisuseError, match="there is no seq"):
        list(ledger.scan(first, last))


def test_a_scan_of_nothing_is_empty(ledger: Ledger) -> None:
    assert list(ledger.scan(RESERVED + 1)) == []
    assert list(ledger.scan(3, 2)) == []
    assert list(ledger.events(2, 0)) == []


def test_a_scan_ends_at_the_head_of_its_first_step(ledger: Ledger) -> None:
    scan = ledger.scan()
    first = next(scan)
    ledger.append([tick(1)], expected_head=RESERVED)
    assert [seq for seq, _ in [first, *scan]] == list(range(1, RESERVED + 1))


def test_scans_may_interleave_and_stop_anywhere(ledger: Ledger) -> None:
    ledger.append([tick(at) for at in range(3000)], expected_head=RESERVED)
    one, other = ledger.scan(), ledger.scan(2000)
    assert next(one)[0] == 1
    assert next(other)[0] == 2000
    ledger.append([tick(1)], expected_head=RESERVED + 3000)
    assert [seq for seq, _ in one] == list(range(2, RESERVED + 3001))
    # The other scan is unfinished, and yet no reader holds a transaction: its slot shows none.
    assert {row.split()[-1] for row in ledger._env.readers().splitlines()[1:]} <= {"-"}
    assert next(other)[0] == 2001


@settings(max_examples=25)
@given(st.data())
def test_any_batching_gives_the_same_log_and_the_same_index(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    events = data.draw(st.lists(log_events(), max_size=12))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=6)))
    folder = tmp_path_factory.mktemp("batching")
    found = []
    for name, edges in (("whole", [0, len(events)]), ("cut", [0, *cuts, len(events)])):
        create(folder / name, OPENED)
        with open_ledger(folder / name, write=True) as ledger:
            for start, end in pairwise(edges):
                ledger.append(events[start:end], expected_head=RESERVED + start)
            assert [event for _, event in ledger.events(RESERVED + 1)] == events
            found.append((log_digest(ledger), ledger.head))
    assert found[0] == found[1]


LONG = 2 * CLOCK_STEP + 700
TIMES = st.lists(st.integers(-5, 60), min_size=12, max_size=12)


def zigzag(steps: list[int]) -> list[AnyEvent]:
    """Times that rise in leaps and fall back between them."""
    return [tick(20 + number // 200 * 5 + steps[number % len(steps)]) for number in range(LONG - RESERVED)]


def by_hand(times: list[int], at_ns: int) -> int:
    return next((number for number, time in enumerate(times) if time > at_ns), len(times))


@settings(max_examples=15)
@given(TIMES, st.lists(st.integers(1, LONG - 1), min_size=1, max_size=4))
def test_the_clock_index_does_not_depend_on_batches(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], cuts: list[int]
) -> None:
    events, folder = zigzag(steps), tmp_path_factory.mktemp("clock")
    edges = sorted({0, *(cut for cut in cuts if cut < len(events)), len(events)})
    path = folder / "a.adl"
    create(path, OPENED)
    for start, end in pairwise(edges):
        # A new handle each time has to find the running maximum again.
        with open_ledger(path, write=True) as ledger:
            ledger.append(events[start:end], expected_head=RESERVED + start)
    times = [OPENED.at_ns] * RESERVED + [event.at_ns for event in events]
    with open_ledger(path) as ledger:
        with ledger._reading() as txn:
            index = dict(txn.cursor(ledger._tables.clock))
        assert index == {
            seq.to_bytes(8, "big"): max(times[:seq]).to_bytes(8, "big", signed=True) for seq in (CLOCK_STEP, 2 * CLOCK_STEP)
        }
        for at_ns in {*times, min(times) - 1, max(times) + 1}:
            assert ledger.seq_at(at_ns) == by_hand(times, at_ns)


def test_no_event_is_as_early_as_that(ledger: Ledger) -> None:
    assert ledger.seq_at(9) == 0
    assert ledger.seq_at(10) == RESERVED
    assert ledger.seq_at(2**200) == RESERVED


def test_the_digest_covers_lengths_order_and_the_end(ledger: Ledger) -> None:
    ledger.append([tick(1), tick(2)], expected_head=RESERVED)
    digests = [log_digest(ledger, last) for last in range(RESERVED + 3)]
    assert len(set(digests)) == RESERVED + 3
    assert digests[0].hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert log_digest(ledger) == digests[-1]


def calls(ledger: Ledger) -> list[Callable[[], object]]:
    return [
        lambda: ledger.head,
        lambda: ledger.append([tick(1)], expected_head=RESERVED),
        lambda: ledger.append([], expected_head=RESERVED),
        lambda: list(ledger.scan()),
        lambda: list(ledger.events()),
        lambda: ledger.read(1),
        lambda: ledger.cursor("a"),
        lambda: ledger.cursors(""),
        lambda: ledger.seq_at(0),
        ledger.manifest,
        lambda: log_digest(ledger),
    ]


def test_a_closed_ledger_says_so(path: Path) -> None:
    ledger = open_ledger(path, write=True)
    scan = ledger.scan()
    next(scan)
    ledger.close()
    ledger.close()
    for call in calls(ledger):
        with pytest.raises(MisuseError, match="the ledger is closed"):
            call()


def test_a_scan_goes_no_further_than_its_block_after_closing(path: Path) -> None:
    with open_ledger(path, write=True) as ledger:
        ledger.append([tick(at) for at in range(3000)], expected_head=RESERVED)
        scan = ledger.scan()
        next(scan)
    with pytest.raises(MisuseError, match="closed"):
        list(scan)


def test_a_reader_cannot_append(path: Path) -> None:
    with open_ledger(path) as ledger, pytest.raises(MisuseError, match="open for reading only"):
        ledger.append([tick(1)], expected_head=RESERVED)


def test_the_manifest_tells_every_run(path: Path) -> None:
    for clock in (7, 8):
        with open_ledger(path, write=True, clock=lambda: clock) as ledger:  # noqa: B023  (called within this turn)
            head = ledger.head
            ledger.append([tick(1)], expected_head=head)
            ledger.append([tick(1)], expected_head=head + 1)
            assert ledger.manifest().runs[-1].status == "open"
    with open_ledger(path, write=True):
        pass
    with open_ledger(path) as ledger:
        manifest = ledger.manifest()
    assert (manifest.format_version, manifest.engine, manifest.engine_version, manifest.semantics) == (
        1,
        "lmdb",
        "0.9",
        SEMANTICS,
    )
    assert [(run.run, run.first_seq, run.last_seq, run.status, run.started_at_ns) for run in manifest.runs] == [
        (1, 1, RESERVED, "ended", 1),
        (2, RESERVED + 1, RESERVED + 2, "ended", 7),
        (3, RESERVED + 3, RESERVED + 4, "ended", 8),
    ]
    assert all(run.software and run.python.startswith("CPython 3.") and "engine 0.9" in run.lmdb for run in manifest.runs)
