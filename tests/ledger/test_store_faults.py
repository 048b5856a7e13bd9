"""The store against other processes, a failing disk, a wrong or damaged file. Nothing is faked that can be made."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import lmdb
import pytest

from events.errors import AdlError, DamagedError, MisuseError
from events.model import RESERVED_ACCOUNTS, SEMANTICS, LedgerOpened, PriceTick
from ledger.store import create, open_ledger
from ledger.verify import verify

ROOT = Path(__file__).parents[2]
OPENED = LedgerOpened(10, 0, 0, "venue", "USD", 6, SEMANTICS)
RESERVED = 1 + len(RESERVED_ACCOUNTS)
BATCH = 7
NOBODY = 65534

# What a child process begins with. `write` appends batches of BATCH events for ever and says each head once it is durable.
PRELUDE = f"""
import os, resource, signal, sys
from pathlib import Path
from events.errors import *
from events.model import *
from ledger.store import *
path = Path(sys.argv[1])
OPENED = LedgerOpened(10, 0, 0, "venue", "USD", 6, SEMANTICS)

def ticks(count):
    return [PriceTick(1, 0, 0, 0, 1, None)] * count

def write(ledger, batches=10**9, size={BATCH}):
    for _ in range(batches):
        head = ledger.append(ticks(size), expected_head=ledger.head, cursors={{"head": b"%d" % (ledger.head + size)}})
        print(head, flush=True)
"""


def child(code: str, path: Path, *, prefix: tuple[str, ...] = (), **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", PRELUDE + code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def outcome(process: subprocess.Popen[str]) -> list[str]:
    """Return what the child printed, after it ended well."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.split()


def check_whole(path: Path, acknowledged: int) -> int:
    """Check that the log has every acknowledged event and no part of a batch; return its head."""
    with open_ledger(path) as ledger:
        head = ledger.head
        assert head >= acknowledged
        assert (head - RESERVED) % BATCH == 0
        assert ledger.cursors("") == ({"head": b"%d" % head} if head > RESERVED else {})
        assert [seq for seq, _ in ledger.events()] == list(range(1, head + 1))
    assert verify(path).findings == ()
    return head


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.adl"
    create(path, OPENED)
    return path


def test_one_writer_in_all_processes(path: Path) -> None:
    code = """
try:
    open_ledger(path, write=True)
except MisuseError as error:
    print("refused" if "has a writer already" in str(error) else error)
with open_ledger(path) as reader:
    print(reader.head)
"""
    with open_ledger(path, write=True) as writer:
        writer.append([PriceTick(1, 0, 0, 0, 1, None)], expected_head=RESERVED)
        assert outcome(child(code, path)) == ["refused", str(RESERVED + 1)]
    assert outcome(child("with open_ledger(path, write=True) as ledger: write(ledger, 1)", path)) == [str(RESERVED + 1 + BATCH)]


def test_one_writer_in_this_process(path: Path) -> None:
    with open_ledger(path, write=True), pytest.raises(MisuseError, match="has a writer already"):
        open_ledger(path, write=True)
    with open_ledger(path, write=True):
        pass


@pytest.mark.parametrize("write", [False, True])
def test_a_file_is_opened_once_in_a_process_by_any_of_its_names(path: Path, tmp_path: Path, write: bool) -> None:
    other = tmp_path / "other.adl"
    other.hardlink_to(path)
    with open_ledger(path, write=write) as ledger:
        for name in (path, other):
            with pytest.raises(MisuseError, match="already opened"):
                open_ledger(name)
        assert ledger.head == RESERVED
    with open_ledger(other) as ledger:
        assert ledger.head == RESERVED


def test_a_reader_sees_what_a_writer_elsewhere_appends(path: Path) -> None:
    with open_ledger(path) as reader:
        assert reader.head == RESERVED
        outcome(child("with open_ledger(path, write=True) as ledger: write(ledger, 3)", path))
        assert reader.head == RESERVED + 3 * BATCH
        assert len(list(reader.events())) == RESERVED + 3 * BATCH


def test_concurrent_readers_of_a_busy_writer_see_whole_batches(path: Path) -> None:
    look = """
with open_ledger(path) as reader:
    for _ in range(200):
        head = reader.head
        assert (head - 5) % 7 == 0 and [seq for seq, _ in reader.scan(1, head)] == list(range(1, head + 1))
    print(head > 5)
"""
    writer = child("with open_ledger(path, write=True) as ledger: write(ledger)", path)
    assert writer.stdout is not None
    writer.stdout.readline()
    readers = [child(look, path) for _ in range(2)]
    assert [outcome(reader) for reader in readers] == [["True"], ["True"]]
    writer.kill()
    writer.communicate()


def test_a_killed_writer_leaves_whole_batches_and_the_next_one_goes_on(path: Path) -> None:
    for _ in range(3):
        with open_ledger(path) as ledger:
            before = ledger.head
        writer = child("with open_ledger(path, write=True) as ledger: write(ledger)", path)
        assert writer.stdout is not None
        for _ in range(20):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest, _ = writer.communicate()
        acknowledged = max([acknowledged, *map(int, rest.split()[:-1])])
        assert check_whole(path, acknowledged) >= before + 20 * BATCH
    with open_ledger(path, write=True) as ledger:
        head = ledger.head
        ledger.append([PriceTick(1, 0, 0, 0, 1, None)], expected_head=head)
        runs = ledger.manifest().runs
    # The last killed run is closed by the one that came after it, at the seq where it really ended.
    assert [run.status for run in runs] == ["ended", "recovered", "recovered", "recovered", "open"]
    assert all(one.last_seq == other.first_seq - 1 for one, other in pairwise(runs) if one.last_seq is not None)
    assert runs[-2].last_seq == head


def test_a_killed_reader_is_swept_by_the_next_writer(path: Path) -> None:
    code = """
import lmdb
env = lmdb.open(str(path), subdir=False, readonly=True, lib_version=0, max_dbs=9)
txn = env.begin()
print("reading", flush=True)
sys.stdin.readline()
"""
    reader = child(code, path)
    assert reader.stdout is not None
    reader.stdout.readline()
    reader.kill()
    reader.communicate()
    with open_ledger(path, write=True) as ledger:
        assert str(reader.pid) not in ledger._env.readers()


def test_a_ledger_does_not_cross_a_fork(path: Path) -> None:
    code = """
with open_ledger(path, write=True) as ledger:
    child = os.fork()
    if not child:
        refused = 0
        for call in (lambda: ledger.head, lambda: write(ledger, 1), lambda: list(ledger.scan()), ledger.manifest):
            try:
                call()
            except MisuseError as error:
                refused += "before a fork" in str(error)
        ledger.close()
        os._exit(refused)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    # The child's end took neither the lock nor the handle from its parent.
    write(ledger, 1)
    other = os.fork()
    if not other:
        try:
            open_ledger(path, write=True)
        except MisuseError:
            os._exit(0)
        os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]))
"""
    assert outcome(child(code, path)) == ["4", str(RESERVED + BATCH), "0"]
    assert check_whole(path, RESERVED + BATCH) == RESERVED + BATCH


def test_a_child_that_outlives_its_parent_does_not_keep_the_lock_of_a_closed_ledger(path: Path) -> None:
    code = """
ledger = open_ledger(path, write=True)
reading, writing = os.pipe()
child = os.fork()
if not child:
    os.close(writing)
    os.read(reading, 1)
    os._exit(0)
ledger.close()
with open_ledger(path, write=True) as ledger:
    write(ledger, 1)
"""
    assert outcome(child(code, path)) == [str(RESERVED + BATCH)]


def test_the_engine_does_not_depend_on_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "b.adl"
    outcome(child("create(path, OPENED)", path, LMDB_DEFAULT_LIB_VERSION="1"))
    with open_ledger(path) as ledger:
        assert ledger.head == RESERVED
        assert ledger.manifest().engine_version == "0.9"


def test_an_lmdb_without_its_patches_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A build against the system's library cannot be had inside this environment.
    monkeypatch.setattr(lmdb, "version", lambda **_: (0, 9, 36, 0))
    with pytest.raises(MisuseError, match="lacks the patches"):
        open_ledger(path)


# ---- crashes and failing disks, at every system call of three commits ----

STRACE = shutil.which("strace")


def strace(calls: str, effect: str) -> tuple[str, ...]:
    """Return what to put before a command so that one of its system calls fails. Each call of the list has its own count."""
    if STRACE is None:
        pytest.skip("strace is not installed")
    return (STRACE, "-f", "-qq", "-o", os.devnull, "-e", f"trace={calls}", "-e", f"inject={calls}:{effect}")


def every(**calls: int) -> list[tuple[str, int]]:
    return [(name.replace("_", ","), call) for name, times in calls.items() for call in range(1, times + 1)]


@pytest.mark.parametrize(("name", "call"), every(pwrite64=4, writev=4, fdatasync=4))
def test_a_crash_at_any_write_leaves_whole_batches(path: Path, name: str, call: int) -> None:
    code = "with open_ledger(path, write=True) as ledger: write(ledger, 3)"
    writer = child(code, path, prefix=strace(name, f"signal=SIGKILL:when={call}"))
    out, err = writer.communicate(timeout=60)
    assert writer.returncode == -signal.SIGKILL, err
    check_whole(path, max([RESERVED, *map(int, out.split())]))


@pytest.mark.parametrize(("name", "call"), every(pwrite64=2, writev=1, fdatasync=1, link_linkat=1, fsync=1))
def test_a_crash_while_a_ledger_is_made_leaves_it_whole_or_absent(tmp_path: Path, name: str, call: int) -> None:
    path = tmp_path / "b.adl"
    maker = child("create(path, OPENED)", path, prefix=strace(name, f"signal=SIGKILL:when={call}"))
    maker.communicate(timeout=60)
    assert maker.returncode == -signal.SIGKILL
    if not path.exists():
        create(path, OPENED)
    check_whole(path, RESERVED)


FAILING = """
try:
    with open_ledger(path, write=True) as ledger:
        try:
            write(ledger, 3)
        except DiskError:
            try:
                write(ledger, 1)
            except DiskError as error:
                assert "earlier write failed" in str(error)
                print("failed")
except AdlError as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize(("name", "call"), every(pwrite64=3, writev=3, fdatasync=3))
def test_a_failed_write_or_sync_is_final_for_the_handle(path: Path, name: str, error: str, call: int) -> None:
    *heads, last = outcome(child(FAILING, path, prefix=strace(name, f"error={error}:when={call}")))
    assert last == "failed"
    acknowledged = max([RESERVED, *map(int, heads)])
    assert check_whole(path, acknowledged) == acknowledged
    with open_ledger(path, write=True) as ledger:
        assert ledger.append([PriceTick(1, 0, 0, 0, 1, None)], expected_head=ledger.head) == ledger.head


def test_a_limit_on_the_size_of_files_is_a_disk_error(path: Path) -> None:
    code = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({path.stat().st_size + 40_000},) * 2)\n" + FAILING.replace(
        "(ledger, 3)", "(ledger)"
    )
    *heads, last = outcome(child(code, path))
    assert last == "failed"
    assert int(heads[-1]) > RESERVED
    assert check_whole(path, int(heads[-1])) == int(heads[-1])
    assert outcome(child("with open_ledger(path, write=True) as ledger: write(ledger, 2)", path))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, check=False
    ).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_a_disk_error_and_room_heals_it(small_disk: Path) -> None:
    path = small_disk / "a.adl"
    create(path, OPENED)
    (small_disk / "ballast").write_bytes(bytes(60_000))
    *heads, last = outcome(child(FAILING.replace("(ledger, 3)", "(ledger)"), path))
    assert last == "failed"
    assert check_whole(path, int(heads[-1])) == int(heads[-1])
    (small_disk / "ballast").unlink()
    outcome(child("with open_ledger(path, write=True) as ledger: write(ledger, 2)", path))
    assert check_whole(path, int(heads[-1])) == int(heads[-1]) + 2 * BATCH


def test_a_ledger_is_not_half_made_on_a_full_disk(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(250_000))
    with pytest.raises(AdlError) as caught:
        create(small_disk / "a.adl", OPENED)
    assert caught.value.exit_status == 3
    assert [left.name for left in small_disk.iterdir()] == ["ballast"]


# ---- permissions: as nobody, because they do not bind root ----


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


AS_NOBODY = f"""
if os.getuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
def attempt(write):
    try:
        with open_ledger(path, write=write) as ledger:
            print("head", ledger.head, len(list(ledger.scan())))
    except MisuseError as error:
        print("refused", *str(error).split(": ")[1].split()[:2])
"""


def test_a_read_only_folder_can_be_read_and_not_written(open_folder: Path) -> None:
    path = open_folder / "a.adl"
    create(path, OPENED)
    open_folder.chmod(0o555)
    code = AS_NOBODY + "attempt(False)\nattempt(True)\nattempt(False)"
    read = ["head", str(RESERVED), str(RESERVED)]
    out = outcome(child(code, path))
    assert out[:3] == out[-3:] == read
    assert out[3] == "refused"
    assert [made.name for made in open_folder.iterdir()] == ["a.adl"]
    open_folder.chmod(0o755)


def test_a_writer_keeps_a_reader_out_that_cannot_lock(open_folder: Path) -> None:
    path = open_folder / "a.adl"
    create(path, OPENED)
    with open_ledger(path, write=True):
        path.with_name("a.adl-lock").chmod(0o000)
        assert outcome(child(AS_NOBODY + "attempt(False)", path)) == ["refused", "this", "ledger"]


def test_a_reader_that_cannot_lock_keeps_a_writer_out(open_folder: Path) -> None:
    path = open_folder / "a.adl"
    create(path, OPENED)
    with open_ledger(path):
        path.with_name("a.adl-lock").chmod(0o000)
    reader = child(AS_NOBODY + "with open_ledger(path):\n    print('open', flush=True)\n    sys.stdin.read()", path)
    assert reader.stdout is not None
    assert reader.stdout.readline() == "open\n"
    path.with_name("a.adl-lock").chmod(0o600)
    with pytest.raises(MisuseError, match="read without LMDB's lock file"):
        open_ledger(path, write=True)
    assert outcome(reader) == []
    with open_ledger(path, write=True):
        pass


def test_a_file_without_permission_is_the_callers_fault(open_folder: Path) -> None:
    path = open_folder / "a.adl"
    create(path, OPENED)
    path.chmod(0o000)
    assert outcome(child(AS_NOBODY + "attempt(False)\nattempt(True)", path)) == ["refused", "Permission", "denied."] * 2


# ---- wrong and damaged files ----


def newer(path: Path) -> None:
    with (
        lmdb.open(str(path), subdir=False, lib_version=0, max_dbs=9) as env,
        env.begin(db=env.open_db(b"meta"), write=True) as txn,
    ):
        raw = txn.get(b"ledger")
        assert raw is not None
        txn.put(b"ledger", raw.replace(b'"format_version":1', b'"format_version":2,"something_new":[]'))


def other_lmdb(path: Path) -> None:
    path.unlink()
    with lmdb.open(str(path), subdir=False, lib_version=0, max_dbs=9) as env:
        env.open_db(b"events")


def other_engine(path: Path) -> None:
    path.unlink()
    lmdb.open(str(path), subdir=False, lib_version=1).close()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(newer, "format 2, and this program knows formats up to 1", id="newer format"),
        pytest.param(other_lmdb, "an LMDB file, but not a ledger", id="other LMDB file"),
        pytest.param(other_engine, "newer LMDB engine", id="other engine"),
        pytest.param(folder, "a directory, not a ledger", id="folder"),
        pytest.param(fifo, "not a regular file", id="pipe"),
        pytest.param(lambda path: path.unlink(), "no such file", id="absent"),
        pytest.param(lambda path: path.write_bytes(b""), "not a ledger", id="empty"),
        pytest.param(lambda path: path.write_bytes(b"{}\n" * 9000), "not a ledger", id="text"),
    ],
)
def test_what_is_no_ledger_of_ours_is_refused(path: Path, change: object, says: str, write: bool) -> None:
    assert callable(change)
    change(path)
    for attempt in (lambda: open_ledger(path, write=write), lambda: verify(path)):
        with pytest.raises(MisuseError, match=says):
            attempt()
    assert not list(path.parent.glob("*-lock")) or change in {newer, other_lmdb, other_engine}


@pytest.fixture(scope="module")
def long_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "a.adl"
    create(path, OPENED)
    with open_ledger(path, write=True) as ledger:
        for batch in range(3):
            ledger.append([PriceTick(at, 0, 0, 0, 1, None) for at in range(1000)], expected_head=RESERVED + batch * 1000)
    return path


@pytest.mark.parametrize("keep", [100, 4096, 4200, 8192, 20_000, -8192, -4096, -1])
def test_a_truncated_file_is_damaged_and_kills_nobody(long_ledger: Path, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.adl"
    raw = long_ledger.read_bytes()
    path.write_bytes(raw[:keep])
    for write in (False, True):
        with pytest.raises(DamagedError, match="truncated"):
            open_ledger(path, write=write)
    # A refused attempt leaves no lock behind.
    path.write_bytes(raw)
    with open_ledger(path, write=True) as ledger:
        assert ledger.head == RESERVED + 3000


@pytest.mark.parametrize("page", [0, 1])
def test_a_broken_meta_page_is_damage(long_ledger: Path, tmp_path: Path, page: int) -> None:
    path = tmp_path / "cut.adl"
    raw = bytearray(long_ledger.read_bytes())
    raw[page * 4096 : page * 4096 + 64] = bytes(64)
    path.write_bytes(raw)
    with pytest.raises(DamagedError, match="page is damaged"):
        open_ledger(path)
