"""Whether a stored ledger is what was written, found out without trusting the file.

LMDB has no checksum of its pages: most flipped bits come back as silent wrong data, and some damage kills the process that
reads it. So the file is examined in a process of its own (``ledger.examine``), and its death is one more finding. In order:
the structure of the pages; the format; every record: its key, its bytes, its canonical spelling; the head, the clock index
and the cursors. What the events mean is the reducer's business. Bytes that were replaced by other canonical events are not
found here: keep the log digest elsewhere and compare it.
"""

import mmap
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from events.errors import DamagedError, InternalError, MisuseError
from ledger.examine import COUNTS, Finding, Line
from ledger.lmdbfile import check_file, hold
from ledger.manifest import Manifest

__all__ = ["Finding", "VerifyReport", "verify"]

# Far slower than any disk: only a reader that hangs is stopped.
_SECONDS_AT_LEAST = 60
_BYTES_PER_SECOND = 1_000_000

_POLL_SECONDS = 0.1

# The deaths that LMDB dies of a damaged file.
_CRASHES = {signal.SIGBUS, signal.SIGABRT, signal.SIGSEGV, signal.SIGFPE, signal.SIGILL}


class VerifyReport(msgspec.Struct, frozen=True):
    """What was found. ``findings`` is empty for a ledger that is whole.

    ``events``, ``first_seq``, ``last_seq`` and ``log_digest`` (hex) are of the records that were read; 0 and empty when the
    reader died. Up to ``last_good_seq`` every record was read and is sound in itself. ``manifest`` is None when it could not
    be read.
    """

    path: str
    events: int
    first_seq: int
    last_seq: int
    last_good_seq: int
    log_digest: str
    findings: tuple[Finding, ...]
    manifest: Manifest | None

    @property
    def clean(self) -> bool:
        """True when nothing was found."""
        return not self.findings


def verify(path: Path, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
    """Examine the ledger at ``path`` and report what is wrong with it. Damage never raises and never kills this process.

    ``progress`` is called with the number of records found good and the number of all. A writer is kept out meanwhile.
    Raises ``MisuseError`` when ``path`` is no ledger, is of a newer format or has a writer.
    """
    findings: list[Finding] = []
    try:
        check_file(path)
    except DamagedError as error:
        findings.append(Finding(None, error.message))
    with hold(path, exclusive=False), tempfile.TemporaryFile() as shared, tempfile.TemporaryFile() as out:
        shared.truncate(COUNTS.size)
        with mmap.mmap(shared.fileno(), COUNTS.size) as counts, tempfile.TemporaryFile() as log:
            death = _run(path, shared, out, log, counts, progress)
            good, total = COUNTS.unpack(counts[:])
        out.seek(0)
        # A reader that was killed may leave half a line.
        lines = [msgspec.json.decode(raw, type=Line) for raw in out if raw.endswith(b"\n")]
    for line in lines:
        if line.refusal is not None:
            raise MisuseError(line.refusal, file=str(path))
    findings += [line.finding for line in lines if line.finding is not None]
    if death is not None:
        findings.append(Finding(good + 1 if good < total or not total else None, death))
    totals = next((line.totals for line in lines if line.totals is not None), None)
    return VerifyReport(
        path=str(path),
        events=totals.events if totals else 0,
        first_seq=totals.first_seq if totals else 0,
        last_seq=totals.last_seq if totals else 0,
        last_good_seq=good,
        log_digest=totals.log_digest if totals else "",
        findings=tuple(findings),
        manifest=next((line.manifest for line in lines if line.manifest is not None), None),
    )


def _run(
    path: Path,
    shared: IO[bytes],
    out: IO[bytes],
    log: IO[bytes],
    counts: mmap.mmap,
    progress: Callable[[int, int], None] | None,
) -> str | None:
    """Run the examiner. Return None when it came to its end, or in one sentence how it died of the file."""
    limit = _SECONDS_AT_LEAST + path.stat().st_size // _BYTES_PER_SECOND
    deadline = time.monotonic() + limit
    # -P and an explicit path: the examiner is to be this very program, whatever stands in the working directory.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)}
    command = [sys.executable, "-P", "-m", "ledger.examine", str(path), str(shared.fileno())]
    with subprocess.Popen(  # noqa: S603  (our own interpreter and module)
        command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=environment, pass_fds=[shared.fileno()]
    ) as examiner:
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    examiner.wait(_POLL_SECONDS)
                if progress is not None:
                    progress(*COUNTS.unpack(counts[:]))
                if examiner.returncode is not None:
                    break
                if time.monotonic() > deadline:
                    return f"the reader was stopped, as it had not come to its end in {limit} s."
        finally:
            # Also when the caller's progress raises, or is interrupted.
            examiner.kill()
    if not examiner.returncode:
        return None
    if -examiner.returncode in _CRASHES:
        name = signal.Signals(-examiner.returncode).name
        return f"LMDB died of the file ({name}): its pages are missing or damaged."
    log.seek(0)
    raise InternalError(
        f"the verifier failed with status {examiner.returncode}: {log.read()[-2000:].decode(errors='replace').strip()}",
        file=str(path),
    )
