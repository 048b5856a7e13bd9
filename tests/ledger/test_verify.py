"""The verifier on whole ledgers, on ledgers changed behind the store's back, and on damaged files."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import msgspec
import pytest

from events.codec import encode
from events.errors import AdlError, DamagedError, InternalError, MisuseError
from events.model import (
    RESERVED_ACCOUNTS,
    SEMANTICS,
    Completeness,
    Event,
    LedgerOpened,
    PriceTick,
    Reason,
    SourceOpened,
    Transfer,
)
from ledger import verify as verifying
from ledger.layout import pack_seq
from ledger.store import create, log_digest, open_ledger
from ledger.verify import Finding, verify

OPENED = LedgerOpened(10, 0, 0, "venue", "USD", 6, SEMANTICS)
SOURCE = SourceOpened(11, 1, 0, "fills", bytes(32), bytes(32), 9, "test", 1, 1, None, "", Completeness.UNKNOWN)
RESERVED = 1 + len(RESERVED_ACCOUNTS)
HEAD = 3000

Change = Callable[[Any, dict[str, Any]], None]


def transfers() -> list[Event]:
    return [
        Transfer(100 + seq, 1, seq, 0, 1, seq * 10**12, Reason.DEPOSIT, "reference") for seq in range(RESERVED + 2, HEAD + 1)
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "a.adl"
    create(path, OPENED)
    events = [SOURCE, *transfers()]
    with open_ledger(path, write=True) as ledger:
        for start in range(0, len(events), 500):
            ledger.append(events[start : start + 500], expected_head=RESERVED + start, cursors={"row": b"%d" % start})
    return path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copy(whole, tmp_path / "a.adl"))


def meddle(path: Path, change: Change) -> None:
    """Change tables as any LMDB program could."""
    with lmdb.open(str(path), subdir=False, lib_version=0, max_dbs=9, map_size=1 << 30) as env:
        tables = {name: env.open_db(name.encode()) for name in ("events", "meta", "cursors", "clock")}
        with env.begin(write=True) as txn:
            change(txn, tables)


def test_a_whole_ledger_is_clean(whole: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = verify(whole, lambda done, of: seen.append((done, of)))
    with open_ledger(whole) as ledger:
        assert report.log_digest == log_digest(ledger).hex()
        assert report.manifest == ledger.manifest()
    assert report.clean
    assert report.findings == ()
    assert (report.events, report.first_seq, report.last_seq, report.last_good_seq) == (HEAD, 1, HEAD, HEAD)
    assert seen[-1] == (HEAD, HEAD)


def test_a_new_ledger_is_clean(tmp_path: Path) -> None:
    create(tmp_path / "a.adl", OPENED)
    report = verify(tmp_path / "a.adl")
    assert (report.findings, report.events) == ((), RESERVED)


def test_verifying_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    verify(path)
    assert path.read_bytes() == before
    assert [left.name for left in path.parent.iterdir()] == ["a.adl"]


def test_a_reader_in_this_process_does_not_matter_and_a_writer_does(path: Path) -> None:
    with open_ledger(path):
        assert verify(path).clean
    with open_ledger(path, write=True), pytest.raises(MisuseError, match="being written"):
        verify(path)


def replace(seq: int, raw: bytes) -> Change:
    return lambda txn, tables: txn.put(pack_seq(seq), raw, db=tables["events"])


def drop(table: str, key: bytes) -> Change:
    return lambda txn, tables: txn.delete(key, db=tables[table])


def put(table: str, key: bytes, value: bytes) -> Change:
    return lambda txn, tables: txn.put(key, value, db=tables[table])


def swap(one: int, other: int) -> Change:
    def change(txn: Any, tables: dict[str, Any]) -> None:
        first, second = (txn.get(pack_seq(seq), db=tables["events"]) for seq in (one, other))
        txn.put(pack_seq(one), second, db=tables["events"])
        txn.put(pack_seq(other), first, db=tables["events"])

    return change


def move(seq: int, to: int) -> Change:
    def change(txn: Any, tables: dict[str, Any]) -> None:
        txn.put(pack_seq(to), txn.pop(pack_seq(seq), db=tables["events"]), db=tables["events"])

    return change


def copy(table: str, key: bytes, to: bytes) -> Change:
    return lambda txn, tables: txn.put(to, txn.get(key, db=tables[table]), db=tables[table])


TICK = PriceTick(50, 0, 0, 0, 1, None)


@pytest.mark.parametrize(
    ("change", "seq", "says"),
    [
        pytest.param(drop("events", pack_seq(700)), 700, "the record is missing", id="a record removed"),
        pytest.param(drop("events", pack_seq(1)), 1, "the record is missing", id="the first record removed"),
        pytest.param(
            drop("events", pack_seq(HEAD)), HEAD - 1, f"the log ends here, its head says {HEAD}", id="the last removed"
        ),
        pytest.param(
            put("events", pack_seq(HEAD + 1), encode(TICK)), HEAD + 1, f"its head says {HEAD}", id="one added at the end"
        ),
        pytest.param(
            put("events", pack_seq(HEAD + 3), encode(TICK)), HEAD + 1, "seq 3001 to 3002 are missing", id="one far off"
        ),
        pytest.param(put("events", pack_seq(9) + b"x", b""), 10, "under the key 000000000000000978", id="an odd key"),
        pytest.param(put("events", pack_seq(0), encode(TICK)), 1, "under the key 0000000000000000", id="the key 0"),
        pytest.param(replace(9, b""), 9, "not an event", id="no bytes"),
        pytest.param(replace(9, encode(TICK) + b"\0"), 9, "not an event", id="trailing bytes"),
        pytest.param(replace(9, b"\xdc\x00\x07" + encode(TICK)[1:]), 9, "not the canonical spelling", id="another spelling"),
        pytest.param(replace(9, bytes(70_000)), 9, "70,000 bytes is over the limit", id="too long"),
        pytest.param(replace(9, encode(OPENED)), 9, "opened a second time", id="opened twice"),
        pytest.param(replace(1, encode(TICK)), 1, "does not open the ledger", id="never opened"),
        pytest.param(
            replace(9, encode(PriceTick(50, 2, 0, 0, 1, None))), 9, "names source 2, and 1 were opened", id="no source"
        ),
        pytest.param(swap(6, 7), 6, "names source 1, and 0 were opened", id="a source after its first fact"),
        pytest.param(put("meta", b"head", pack_seq(HEAD - 1)), HEAD, "its head says 2999", id="a head too low"),
        pytest.param(drop("meta", b"head"), HEAD, "its head is missing", id="no head"),
        pytest.param(
            put("clock", pack_seq(1024), bytes(8)), 1024, "up to here is 1124, and the clock index says 0", id="a time"
        ),
        pytest.param(drop("clock", pack_seq(2048)), 2048, "no entry for this seq", id="no time"),
        pytest.param(put("clock", pack_seq(3072), bytes(8)), None, "belongs to no seq", id="a time too many"),
        pytest.param(move(HEAD, HEAD | 1 << 63), HEAD, f"seq {HEAD} to ", id="the last key damaged, to the highest"),
        pytest.param(move(HEAD, 4096), HEAD, f"seq {HEAD} to 4095 are missing", id="the last key damaged"),
        pytest.param(move(2048, HEAD + 1), 2048, "the record is missing", id="an indexed key damaged"),
        pytest.param(put("meta", b"zzz", b"x"), None, "a key that is not known: b'zzz'", id="a key too many"),
        pytest.param(copy("meta", b"run/00000001", b"run/00000009"), None, "run 1 in the place of run 3", id="a run too many"),
        pytest.param(put("cursors", b"\xff", b""), None, "a name that is not text", id="a cursor's name"),
        pytest.param(put("meta", b"run/00000002", b"{}"), None, "the manifest cannot be read", id="a run"),
        pytest.param(put("meta", b"ledger", b"{"), None, "the manifest cannot be read", id="the header"),
        pytest.param(put("meta", b"ledger", b'{"format_version":0}'), None, "never was", id="a format before the first"),
    ],
)
def test_what_was_changed_behind_the_store_is_found(path: Path, change: Change, seq: int | None, says: str) -> None:
    meddle(path, change)
    report = verify(path)
    assert not report.clean
    assert report.findings[0].seq == seq
    assert says in report.findings[0].what
    if seq is not None and "clock index" not in says and "head" not in says and "no entry" not in says:
        assert report.last_good_seq == seq - 1


def test_a_table_that_is_not_known_is_found(path: Path) -> None:
    with lmdb.open(str(path), subdir=False, lib_version=0, max_dbs=9, map_size=1 << 30) as env:
        env.open_db(b"extra")
    assert verify(path).findings == (Finding(None, "the file has a table that is not known: b'extra'."),)


def test_a_manifest_that_cannot_be_read_hides_nothing_else(path: Path) -> None:
    meddle(path, put("meta", b"ledger", b"{"))
    meddle(path, replace(700, b""))
    report = verify(path)
    assert [finding.seq for finding in report.findings] == [700, None]
    assert (report.events, report.manifest) == (HEAD, None)


def test_a_replaced_event_shows_in_the_digest(path: Path) -> None:
    before = verify(path).log_digest
    meddle(path, replace(2999, encode(PriceTick(50, 1, 0, 0, 1, None))))
    after = verify(path)
    # Well-formed in itself, so nothing is wrong with it; that it is another log, the digest says.
    assert after.clean
    assert after.log_digest != before


def test_every_fault_is_listed_up_to_a_limit(path: Path) -> None:
    def change(txn: Any, tables: dict[str, Any]) -> None:
        for seq in range(6, 1500):
            txn.put(pack_seq(seq), b"", db=tables["events"])

    meddle(path, change)
    report = verify(path)
    assert [finding.seq for finding in report.findings[:1000]] == list(range(6, 1006))
    assert len(report.findings) == 1001
    assert report.findings[-1].what == "494 further findings are not listed."
    assert report.events == HEAD


@pytest.mark.parametrize("change", [drop("events", pack_seq(700)), drop("events", pack_seq(HEAD - 1)), replace(700, b"")])
def test_reading_stops_at_the_same_seq_as_verifying(path: Path, change: Change) -> None:
    meddle(path, change)
    good = verify(path).last_good_seq
    with open_ledger(path) as ledger:
        seqs: list[int] = []
        with pytest.raises(DamagedError) as caught:
            seqs.extend(seq for seq, _ in ledger.events())
    assert caught.value.seq == good + 1
    assert seqs == list(range(1, good + 1))


@pytest.mark.parametrize("seq", [1, 700])
def test_a_missing_record_cannot_be_read(path: Path, seq: int) -> None:
    meddle(path, drop("events", pack_seq(seq)))
    with open_ledger(path) as ledger:
        with pytest.raises(DamagedError, match=f"seq {seq}: the record is missing"):
            ledger.read(seq)
        assert ledger.read(seq + 1)


def test_a_cursor_whose_name_is_no_text_is_damage(path: Path) -> None:
    meddle(path, put("cursors", b"\xff", b""))
    with open_ledger(path) as ledger, pytest.raises(DamagedError, match="not text"):
        ledger.cursors("")


def test_a_ledger_whose_parts_disagree_is_not_opened(path: Path) -> None:
    meddle(path, put("meta", b"head", pack_seq(HEAD + 1)))
    for write in (False, True):
        with pytest.raises(DamagedError, match="the log ends at 3000, its head says 3001"):
            open_ledger(path, write=write)


@pytest.mark.parametrize("keep", [100, 4096, 8192, 40_000, 160_000, -4096, -1])
def test_a_truncated_file_is_found_and_kills_nobody(path: Path, keep: int) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[:keep])
    report = verify(path)
    assert "truncated" in report.findings[0].what
    # The last pages of the file may be free ones, which nothing needs.
    assert report.last_good_seq < HEAD or keep < 0
    assert report.findings[-1].seq is None or report.findings[-1].seq == report.last_good_seq + 1


def places(raw: bytes) -> list[int]:
    """Places over the whole file: some in each page, and the first bytes of every page, where its structure stands."""
    chance = random.Random(17)  # noqa: S311  (a fixed choice of places)
    pages = range(0, len(raw), 4096)
    return [page + chance.randrange(16) for page in pages] + [page + chance.randrange(16, 4096) for page in pages]


def test_a_flipped_bit_is_found_or_changes_nothing(whole: Path, path: Path) -> None:
    raw = whole.read_bytes()
    clean = verify(whole)
    chosen = places(raw)
    for place in chosen[:: max(1, len(chosen) // 24)]:
        flipped = bytearray(raw)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            report = verify(path)
        except MisuseError:
            continue  # its head or header now says that it is something else
        assert report.findings or report.log_digest != clean.log_digest or same_log(path, whole), f"byte {place}"


def same_log(one: Path, other: Path) -> bool:
    with open_ledger(one) as changed, open_ledger(other) as kept:
        return list(changed.scan()) == list(kept.scan())


@pytest.mark.parametrize("seq", [6, 7, 1500, HEAD])
def test_a_flipped_bit_inside_a_record_is_named(whole: Path, path: Path, seq: int) -> None:
    raw = bytearray(whole.read_bytes())
    with open_ledger(whole) as ledger:
        record = ledger.read(seq)
    # Old pages keep copies that are no longer part of the log.
    at = raw.find(record)
    while at >= 0:
        raw[at + 1] ^= 0x80  # the tag
        at = raw.find(record, at + 1)
    path.write_bytes(raw)
    report = verify(path)
    assert report.findings[0].seq == seq
    assert report.last_good_seq == seq - 1


@pytest.mark.parametrize("fill", [b"\0", b"\xff"])
def test_an_overwritten_page_is_found_and_kills_nobody(whole: Path, path: Path, fill: bytes) -> None:
    raw = whole.read_bytes()
    pages = len(raw) // 4096
    for page in range(2, pages, max(1, pages // 8)):
        path.write_bytes(raw[: page * 4096] + fill * 4096 + raw[(page + 1) * 4096 :])
        report = verify(path)
        assert report.findings or report.log_digest == verify(whole).log_digest, f"page {page}"


def test_a_page_in_the_wrong_place_is_found(whole: Path, path: Path) -> None:
    raw = whole.read_bytes()
    pages = len(raw) // 4096
    source = raw[20 * 4096 : 21 * 4096]
    for page in range(2, pages, max(1, pages // 6)):
        if page != 20:
            path.write_bytes(raw[: page * 4096] + source + raw[(page + 1) * 4096 :])
            report = verify(path)
            assert report.findings or report.log_digest == verify(whole).log_digest, f"page {page}"


def test_a_verifier_that_fails_is_our_own_fault(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A program that fails at once stands for any bug in the examiner.
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(InternalError, match="the verifier failed with status 1"):
        verify(path)


def test_a_verifier_that_hangs_is_stopped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A file on which LMDB never ends is not known; so the examiner is stopped from outside, at once.
    monkeypatch.setattr(verifying, "_SECONDS_AT_LEAST", 0)
    monkeypatch.setattr(verifying, "_BYTES_PER_SECOND", 1 << 60)
    stopped: list[int] = []
    popen = subprocess.Popen

    def held(*args: Any, **kwargs: Any) -> Any:
        examiner = popen(*args, **kwargs)
        os.kill(examiner.pid, signal.SIGSTOP)
        stopped.append(examiner.pid)
        return examiner

    monkeypatch.setattr(subprocess, "Popen", held)
    report = verify(path)
    assert report.findings[-1] == Finding(1, "the reader was stopped, as it had not come to its end in 0 s.")
    with pytest.raises(ProcessLookupError):
        os.kill(stopped[0], 0)


def test_an_interrupted_verification_leaves_no_process(path: Path) -> None:
    def interrupt(_done: int, _of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(path, interrupt)
    with open_ledger(path, write=True) as ledger:
        assert ledger.head == HEAD


def test_the_examiner_is_this_program_whatever_stands_in_the_working_directory(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for trap in ("ledger", "events", "lmdb"):
        (tmp_path / trap).mkdir()
        (tmp_path / trap / "__init__.py").write_text("raise SystemExit('trapped')")
    monkeypatch.chdir(tmp_path)
    assert verify(path).clean


def test_a_report_can_be_written_as_json(whole: Path) -> None:
    report = verify(whole)
    assert msgspec.json.decode(msgspec.json.encode(report), type=verifying.VerifyReport) == report


def test_errors_of_verifying_have_the_exit_status_of_their_fault(tmp_path: Path) -> None:
    with pytest.raises(AdlError) as caught:
        verify(tmp_path / "absent")
    assert caught.value.exit_status == 2
