"""Speed, as ratios measured in one run: replay against bare reading, durable append against bare LMDB, memory against length.

Every pair is interleaved and repeated; medians are compared. Absolute times are of this machine and are shown only to be
read beside each other. ``python benchmarks/run.py [--events N] [--repeats N] [--output FILE]``
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import chain, islice
from pathlib import Path
from typing import cast

import lmdb
import msgspec

sys.path.insert(0, str(Path(__file__).parent))

from generate import opening_events, stream  # found by the line above; benchmarks is no package

from events.beginning import BEGINNING_EVENTS
from events.codec import encode
from events.model import AnyEvent, Event, LedgerOpened
from ledger.store import create, open_ledger
from replay.fold import replay

ACCOUNTS = 20_000
MARKETS = 50
BATCH = 1_000
APPEND_EVENTS = 100_000
# What the project promises; see README.
REPLAY_RATIO_MAX = 8
APPEND_RATIO_MAX = 4


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def interleaved(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each work, run in turn ``repeats`` times."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            seconds[name].append(timed(work))
    return {name: statistics.median(values) for name, values in seconds.items()}


def build(path: Path, events: int, accounts: int, markets: int) -> int:
    """Write a ledger of ``events`` generated events and return its head."""
    opening = opening_events(accounts, markets)
    create(path, cast("LedgerOpened", opening[0]))
    todo = chain(opening[BEGINNING_EVENTS:], stream(events, accounts, markets))
    with open_ledger(path, write=True) as ledger:
        while batch := list(islice(todo, 10 * BATCH)):
            ledger.append(batch, expected_head=ledger.head)
        return ledger.head


def bare_scan(path: Path) -> int:
    """Read and decode every record with nothing of ours around LMDB and msgspec."""
    decoder: msgspec.msgpack.Decoder[AnyEvent] = msgspec.msgpack.Decoder(AnyEvent)
    environment = lmdb.open(str(path), subdir=False, readonly=True, lock=True, max_dbs=8, lib_version=0)
    try:
        events = environment.open_db(b"events", create=False)
        with environment.begin(db=events) as transaction:
            count = 0
            for raw in transaction.cursor().iternext(keys=False, values=True):
                decoder.decode(raw)
                count += 1
            return count
    finally:
        environment.close()


def our_replay(path: Path) -> None:
    """Replay with the sequential reducer, basis included."""
    with open_ledger(path) as ledger:
        replay(ledger)


def bare_append(folder: Path, records: list[bytes]) -> None:
    """Append ready-made bytes to a bare LMDB file, durable, in batches."""
    path = folder / "bare.lmdb"
    environment = lmdb.open(str(path), subdir=False, map_size=2**32, max_dbs=1, lib_version=0)
    events = environment.open_db(b"events")
    for begin in range(0, len(records), BATCH):
        with environment.begin(write=True) as transaction:
            rows = [((begin + i + 1).to_bytes(8, "big"), raw) for i, raw in enumerate(records[begin : begin + BATCH])]
            transaction.cursor(events).putmulti(rows, append=True)
    environment.close()
    path.unlink()
    path.with_name("bare.lmdb-lock").unlink()


def our_append(folder: Path, opening: list[Event], events: list[Event]) -> None:
    """Append the same events to a ledger, durable, in the same batches."""
    path = folder / "ours.adl"
    create(path, cast("LedgerOpened", opening[0]))
    with open_ledger(path, write=True) as ledger:
        for begin in range(0, len(events), BATCH):
            ledger.append(events[begin : begin + BATCH], expected_head=ledger.head)
    path.unlink()
    path.with_name("ours.adl-lock").unlink()


def anonymous_bytes() -> int:
    """Return this process's resident memory without mapped files, which are the ledger itself in the page cache."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this kernel does not state RssAnon")


def replay_memory(path: Path) -> int:
    """Return the most bytes that a replay of the ledger adds to this process. To be called in a fresh process."""
    before, peak = anonymous_bytes(), 0

    def look(_done: int, _total: int) -> None:
        nonlocal peak
        peak = max(peak, anonymous_bytes())

    with open_ledger(path) as ledger:
        state = replay(ledger, progress=look)
        look(state.seq, state.seq)
    return peak - before


def memory_in_fresh_process(path: Path) -> int:
    """Run ``replay_memory`` in a process of its own."""
    command = [sys.executable, __file__, "--memory-of", str(path)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603  # this very script


def measure(events: int, repeats: int) -> dict[str, object]:
    """Build the ledgers, run every comparison and return the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "bench.adl"
        head = build(path, events, ACCOUNTS, MARKETS)
        size = path.stat().st_size
        reading = interleaved({"bare": lambda: bare_scan(path), "ours": lambda: our_replay(path)}, repeats)

        opening = opening_events(ACCOUNTS, MARKETS)
        appended = [*opening[BEGINNING_EVENTS:], *stream(APPEND_EVENTS, ACCOUNTS, MARKETS)]
        records = [encode(event) for event in appended]
        appending = interleaved(
            {"bare": lambda: bare_append(folder, records), "ours": lambda: our_append(folder, opening, appended)}, repeats
        )

        # Few accounts, so that every position exists early and only the number of events differs.
        lengths = (events // 5, events)
        memory = []
        for length in lengths:
            small = folder / f"small{length}.adl"
            build(small, length, 200, 8)
            memory.append(memory_in_fresh_process(small))
    return {
        "machine": {"python": platform.python_version(), "processor": platform.machine(), "system": platform.system()},
        "repeats": repeats,
        "replay": {
            "events": head,
            "file_bytes_per_event": round(size / head, 1),
            "bare_scan_decode_us": round(reading["bare"] / head * 1e6, 3),
            "replay_us": round(reading["ours"] / head * 1e6, 3),
            "ratio": round(reading["ours"] / reading["bare"], 2),
            "promised": REPLAY_RATIO_MAX,
        },
        "append": {
            "events": len(records),
            "batch": BATCH,
            "bare_lmdb_us": round(appending["bare"] / len(records) * 1e6, 3),
            "append_us": round(appending["ours"] / len(records) * 1e6, 3),
            "ratio": round(appending["ours"] / appending["bare"], 2),
            "promised": APPEND_RATIO_MAX,
        },
        "memory": {
            "events": lengths,
            "replay_bytes": memory,
            "growth_per_event_bytes": round((memory[1] - memory[0]) / (lengths[1] - lengths[0]), 3),
        },
    }


def main() -> None:
    """Parse the arguments, measure, print a table, and keep the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        print(replay_memory(arguments.memory_of))
        return
    figures = measure(arguments.events, arguments.repeats)
    text = json.dumps(figures, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
