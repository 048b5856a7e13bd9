"""Verbs that judge: verify, check, audit."""

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from ledger.store import open_ledger
from ledger.verify import VerifyReport
from ledger.verify import verify as examine
from replay import audit as auditing
from replay.cli.options import DEFAULT_LEDGER, AsJson, LedgerPath
from replay.cli.output import clip, grouped, print_json, print_table, progress, say, say_wrapped
from replay.cli.rounds import print_rounds, round_view, summary_view
from replay.core.laws import LAWS
from replay.core.state import State
from replay.fold import check as check_laws
from replay.fold import replay
from replay.views import finding_view

__all__ = ["audit", "check", "verify"]

FINDINGS_STATUS = 1
DAMAGED_STATUS = 3

# Findings kept for the answer; beyond these only their number is told.
FINDINGS_SHOWN = 1_000
ROWS_SHOWN = 40
NAME_WIDTH = 13
LAW_ID_WIDTH = 3


def verify(*, ledger: LedgerPath = DEFAULT_LEDGER, json: AsJson = False) -> int:
    """Check that the stored bytes are a whole ledger: pages, order, canonical form, manifest. Exit status 3 if not."""
    with progress("verifying") as update:
        report = examine(ledger, update)
    if json:
        print_json({"ledger": str(ledger), "clean": report.clean, **msgspec.to_builtins(report)})
    else:
        _print_verified(report, ledger)
    return 0 if report.clean else DAMAGED_STATUS


def _print_verified(report: VerifyReport, ledger: Path) -> None:
    verdict = "[green]whole[/green]" if report.clean else "[red]damaged[/red]"
    say(f"[bold]{ledger}[/bold] is {verdict}: {report.events:,} events, seq {report.first_seq:,} to {report.last_seq:,}")
    say(f"Log digest {report.log_digest or 'unknown'}")
    if report.manifest:
        runs = report.manifest.runs
        say(
            f"Format {report.manifest.format_version}, {report.manifest.engine} {report.manifest.engine_version}, "
            f"semantics {report.manifest.semantics}, written in {len(runs)} run{'s' if len(runs) != 1 else ''}"
        )
    if report.clean:
        say("An event replaced by another shows in the log digest alone: compare it with one that is kept elsewhere.")
    else:
        say(f"Every record up to seq {report.last_good_seq:,} is sound in itself.\n")
        rows = [(str(finding.seq or ""), finding.what) for finding in report.findings[:ROWS_SHOWN]]
        print_table(f"Findings ({len(rows)} of {len(report.findings)})", ("seq", "what"), rows, right=("seq",), cut="what")


def check(
    *names: str,
    ledger: LedgerPath = DEFAULT_LEDGER,
    every: Annotated[bool, Parameter(name="--list", negative="", help="List the invariants and stop.")] = False,
    json: AsJson = False,
) -> int:
    """Replay the ledger and check the invariants after every event. Silent and 0 when all hold, 1 when one is broken.

    Parameters
    ----------
    names
        Invariants to check; all when left out.
    """
    if every:
        _list_laws(as_json=json)
        return 0
    with open_ledger(ledger) as opened, progress("checking") as update:
        counts: Counter[str] = Counter()
        state = State()
        found = check_laws(opened, names, state=state, progress=update, evaluations=counts)
        shown = list(islice(found, FINDINGS_SHOWN))
        broken = Counter(finding.law for finding in shown)
        for finding in found:
            broken[finding.law] += 1
        events = opened.head
    views = [finding_view(state, finding) for finding in shown]
    if json:
        print_json(
            {
                "ledger": str(ledger),
                "clean": not broken,
                "events": events,
                "evaluations": {name: counts[name] for name in list(names) or [law.name for law in LAWS]},
                "broken": dict(sorted(broken.items())),
                "findings": views,
            }
        )
    elif broken:
        columns = ("invariant", "seq", "account", "market", "what", "expected", "found")
        rows = [tuple(_cell(view, column) for column in columns) for view in views[:ROWS_SHOWN]]
        title = f"Findings ({len(rows)} of {broken.total():,})"
        print_table(title, columns, rows, right=("seq", "expected", "found"), cut="what", drop=("market", "account"))
        say("\n" + ", ".join(f"{name}: {count:,}" for name, count in sorted(broken.items())))
    return FINDINGS_STATUS if broken else 0


def _cell(view: dict[str, Any], column: str) -> str:
    value = view["law" if column == "invariant" else column]
    match column:
        case "expected" | "found":
            return grouped(str(value))
        case "account":
            return clip(value or "", NAME_WIDTH)
        case _:
            return "" if value is None else str(value)


def _list_laws(*, as_json: bool) -> None:
    if as_json:
        print_json([{"name": law.name, "id": law.id, "text": law.text, "tier": law.tier} for law in LAWS])
    else:
        say("[bold]Invariants[/bold]")
        wide = max(len(law.name) for law in LAWS)
        for law in LAWS:
            say_wrapped(law.text, first=f"{law.name:<{wide}}  {law.id:<{LAW_ID_WIDTH}}  ", rest=" " * (wide + LAW_ID_WIDTH + 4))


def audit(*, ledger: LedgerPath = DEFAULT_LEDGER, json: AsJson = False) -> int:
    """Compare every ADL round with the policy in force, close by close.

    A round is reproduced, or differs in its trigger, winner, order, size or price, or is undecidable because the record lacks
    inputs, which are named. Exit status 1 when a round differs.
    """
    with open_ledger(ledger) as opened:
        with progress("auditing") as update:
            verdicts = auditing.audit(opened, update)
        with progress("naming") as update:
            state = replay(opened, progress=update)
    differs = any(verdict.difference is not None for verdict in verdicts)
    summary = summary_view(state, verdicts)
    if json:
        rounds = [round_view(state, verdict) for verdict in verdicts]
        print_json({"ledger": str(ledger), "clean": not differs, **summary, "round_list": rounds})
    elif not verdicts:
        say("The ledger holds no ADL round.")
    else:
        _print_audit(state, verdicts, summary)
    return FINDINGS_STATUS if differs else 0


def _print_audit(state: State, verdicts: list[auditing.RoundVerdict], summary: dict[str, Any]) -> None:
    print_rounds(state, verdicts, "ADL rounds against the policy in force")
    say()
    kinds = ", ".join(f"{count} {name}" for name, count in summary["verdicts"].items())
    say(f"[bold]Verdicts[/bold]: {kinds}, of {summary['rounds']} rounds")
    rounds = f"{summary['rounds_with_closes']} rounds with closes"
    say("\n[bold]Whatever the policy was[/bold]")
    say(f"  {summary['rounds_with_all_but_last_in_full']} of {rounds} close all winners but the last in full")
    closes, winners = f"{summary['closes']:,} closes", f"of {summary['winners']:,} accounts"
    say(f"  {closes} {winners}: {summary['closed_in_full']:,} in full, {summary['closed_in_part']:,} in part")
    say(f"  {summary['rounds_with_one_price']} of {rounds} have one price")
    say(f"  {summary['flips']} flips, {summary['over_closes']} over-closes, {summary['not_known']} closes of unknown positions")
    say(f"  notional {grouped(summary['notional'])}")
    if summary["charges"]:
        say(f"  {summary['charges']:,} charges of rounds that move only money: {grouped(summary['charged'])}")
    if summary["missing"]:
        say("\n[bold]Undecidable, because the record lacks[/bold]")
        for name in summary["missing"]:
            say(f"  {name}")
    fits = [verdict.fit for verdict in verdicts if verdict.fit is not None]
    if fits:
        neighbours, ordered = sum(fit.adjacent for fit in fits), sum(fit.adjacent_in_order for fit in fits)
        say(f"\n[bold]How well {fits[0].rule} explains the order[/bold] (from claims; never a match)")
        say(f"  {ordered:,} of {neighbours:,} neighbours stand in the order of their scores; tau by round is in the table")
