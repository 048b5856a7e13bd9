"""Verbs that make and copy records: import, export."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import msgspec
from cyclopts import Parameter

from events.errors import AdlError, DiskError, MisuseError
from events.sources.feed import DUPLICATE, QUARANTINED, SET_ASIDE
from ledger.export import export_events
from ledger.importing import FORMATS, import_files
from ledger.store import open_ledger
from ledger.totals import ImportReport
from replay.cli.options import DEFAULT_LEDGER, AsJson, LedgerPath
from replay.cli.output import grouped, print_json, print_table, progress, say
from replay.fold import guard, stored

__all__ = ["export", "import_", "write_new"]

FINDINGS_STATUS = 1


def import_(source: str, /, *files: Path, ledger: LedgerPath = DEFAULT_LEDGER, json: AsJson = False) -> int:
    """Import venue files into a ledger, making it when it is not there.

    Importing the same files again adds nothing; an import that was stopped goes on where it stopped. Exit status 1 means
    that some rows were quarantined: `adl log --type Quarantined` shows them.

    Parameters
    ----------
    source
        The format of the files: hyperliquid, hyperliquid-adl or events.
    files
        Source files, plain, .gz, .lz4 or .zst. Their order does not matter.
    """
    if source not in FORMATS:
        raise MisuseError(f"the format {source!r} is not known.", cure=f"Known formats are {', '.join(FORMATS)}.")
    with progress("importing") as update:
        report = import_files(ledger, source, files, update, guard())
    quarantined = sum(count for name, count in report.tallies.items() if name.startswith(QUARANTINED))
    if json:
        print_json({"ledger": str(ledger), **msgspec.to_builtins(report), "quarantined": quarantined})
    else:
        _print_report(report, ledger)
    return FINDINGS_STATUS if quarantined else 0


def _print_report(report: ImportReport, ledger: Path) -> None:
    say(
        f"[bold]{ledger}[/bold]: {report.new_events:,} new events, {report.head:,} in all ({report.venue}, {report.currency})\n"
    )
    for name in report.duplicates:
        say(f"{name} was given twice; it counts once.")
    if report.sources:
        files = [
            (source.name, "read" if source.new else "known already", f"{source.rows_in:,}", f"{source.rows_used:,}")
            for source in report.sources
        ]
        print_table("Files", ("file", "", "rows in", "rows used"), files, right=("rows in", "rows used"))
        say()
    apart = [(name, f"{n:,}") for name, n in report.tallies.items() if name.startswith((SET_ASIDE, QUARANTINED, DUPLICATE))]
    other = [(name, f"{n:,}") for name, n in report.tallies.items() if not name.startswith((SET_ASIDE, QUARANTINED, DUPLICATE))]
    if apart:
        print_table("Rows not used", ("reason", "rows"), apart, right=("rows",))
        say()
    if other:
        print_table("Counted on the way", ("what", "count"), other, right=("count",))
        say()
    liquidations = ", ".join(f"{count:,} {method}" for method, count in report.liquidations.items()) or "0"
    rows = [
        ("trades", f"{report.trades:,}"),
        ("of them liquidations", liquidations),
        ("ADL closes", f"{report.events.get('AdlClose', 0):,}"),
        ("accounts", f"{report.accounts:,}"),
        ("markets", f"{report.markets:,}"),
        ("openings", f"{report.openings:,}"),
        ("volume", grouped(report.volume)),
        ("ADL volume", grouped(report.adl_volume)),
        ("fees", grouped(report.fees)),
    ]
    print_table("The ledger now", ("what", "amount"), rows, right=("amount",))
    say(f"\nLog digest {report.digest}")


def export(
    *,
    ledger: LedgerPath = DEFAULT_LEDGER,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], help="A new file; stdout when left out.")] = None,
    kind: Annotated[
        Literal["events"], Parameter(name="--format", help="The interchange format: one JSON object per line.")
    ] = "events",
    json: AsJson = False,
) -> int:
    """Write the whole ledger in the interchange format. Importing it again gives the same ledger, byte for byte."""
    if json and output is None:
        raise MisuseError("--json and the export both want stdout.", cure="Name a file with --output.")
    with open_ledger(ledger) as opened, stored(opened), progress("exporting") as update:
        if output is None:
            export_events(opened, sys.stdout.buffer, progress=update)
            sys.stdout.buffer.flush()
            return 0
        count = write_new(output, lambda out: export_events(opened, out, progress=update))
    if json:
        print_json({"ledger": str(ledger), "format": kind, "output": str(output), "events": count})
    else:
        say(f"{count:,} events written to {output}")
    return 0


def _unwritable(error: OSError, output: Path) -> AdlError:
    """Return whose fault it is that a file could not be written: a wrong path is the caller's, anything else the disk's."""
    said = f"this file cannot be written: {error.strerror}."
    if isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError | IsADirectoryError):
        return MisuseError(said, file=str(output), cure="Nothing was kept. Check the folder and its permissions.")
    return DiskError(said, file=str(output), cure="Nothing was kept. Free some space and run the same command again.")


def write_new(output: Path, write: Callable[[BinaryIO], int]) -> int:
    """Write a file that is there whole or not at all, and never replaces another."""
    if output.exists():
        raise MisuseError("this file exists.", file=str(output), cure="Name another file, or remove it first.")
    part = output.with_name(output.name + ".part")
    try:
        with part.open("wb") as out:
            count = write(out)
            out.flush()
            os.fsync(out.fileno())
        part.rename(output)
    except OSError as error:
        raise _unwritable(error, output) from error
    finally:
        part.unlink(missing_ok=True)
    return count
