"""The verb whatif: the same rounds under another rule, each alone or the whole record carried on."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from msgspec.structs import replace
from rich.markup import escape

from events.errors import MisuseError, NumberError
from events.model import AnyEvent
from events.units import parse_units
from ledger.store import Ledger, open_ledger
from replay import views
from replay.cli.options import DEFAULT_LEDGER, AsJson, LedgerPath, seq_of
from replay.cli.output import clip, grouped, print_json, print_table, progress, say, stdout_console
from replay.core.state import State
from replay.deficits import Totals
from replay.fold import Progress, stored, watched
from replay.presets import load
from replay.whatif.change import Change, PriceSource, label_of
from replay.whatif.metrics import METRICS, UNDEFINED, Metric, Value, less
from replay.whatif.open_loop import RECORD, Column, OpenLoop, open_loop
from replay.whatif.running import ClosedRun, closed_run
from replay.whatif.views import UNBOUNDED, column_view, definitions_view, register_view, rounds_view, value_text

__all__ = ["whatif"]

ROUNDS_SHOWN = 30
HEAD_WIDTH = 18
GAP = 2
SHOWN_DECIMALS = 3
UNDECIDABLE, UNDEFINED_CELL = "undecidable", "-"
AFTER = "what-if"


def whatif(
    *,
    ledger: LedgerPath = DEFAULT_LEDGER,
    policy: Annotated[
        tuple[str, ...], Parameter(negative="", help="Another policy: a preset by name, or a TOML file. May be repeated.")
    ] = (),
    fund: Annotated[str | None, Parameter(help="Another level of the fund, as an amount of money.")] = None,
    price: Annotated[PriceSource | None, Parameter(help="Another source of the close price.")] = None,
    no_adl: Annotated[bool, Parameter(negative="", help="No ADL at all: nobody is closed, the deficit stays.")] = False,
    rounds: Annotated[bool, Parameter(negative="", help="Also show each round.")] = False,
    closed: Annotated[bool, Parameter(negative="", help="Carry the record on, into a new ledger.")] = False,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], help="The new ledger of a closed loop.")] = None,
    since: Annotated[
        str | None,
        Parameter(name="--from", help="Where the change is made: seq, or UTC time. Default: the first forced event."),
    ] = None,
    json: AsJson = False,
) -> int:
    """Ask what another policy, fund or price would have done, and print each metric beside the record's.

    Without --closed each round stands alone, from the state as recorded just before it, and nothing is written. With --closed
    the record is carried on from the change in a new ledger, which says what it is: what came from outside stays, what the
    venue forced is decided anew.
    """
    if closed is not (output is not None) or (since is not None and not closed):
        raise MisuseError("--closed, --output and --from belong together.", cure="Write --closed --output OTHER.adl.")
    if closed and (len(policy) > 1 or rounds):
        raise MisuseError("a closed loop has one policy, and no --rounds.", cure="Run it once for each policy; see adl audit.")
    with open_ledger(ledger) as opened:
        fund_cash = None if fund is None else _cash(opened, fund)
        base = Change(fund_cash=fund_cash, fund=fund or "", price=price)
        texts = [load(name).texts for name in policy]
        with progress("replaying") as update:
            if output is not None:
                change = Change(texts[0] if texts else None, fund_cash, fund or "", price, no_adl)
                first = None if since is None else _first(opened, since)
                run = closed_run(opened, output, change, since=first, progress=update)
            else:
                changes = [Change(one, fund_cash, fund or "", price) for one in texts]
                changes += [base] if not texts and base != Change() else []
                changes += [Change(None, fund_cash, fund or "", None, no_adl=True)] if no_adl else []
                loop = _open(opened, changes, update)
    if output is None:
        _show_open(ledger, loop, rounds=rounds, as_json=json)
    else:
        _show_closed(ledger, output, change, run, as_json=json)
    return 0


def _cash(ledger: Ledger, text: str) -> int:
    _, opened = next(ledger.events(1, 1))
    try:
        cash = parse_units(text, getattr(opened, "money_decimals", 0))
    except NumberError as error:
        raise MisuseError(f"--fund {text}: {error.message}", cure="Write an amount like 250000 or 250000.50.") from error
    if cash < 0:
        raise MisuseError(f"--fund {text}: a fund is not below zero.", cure="Write an amount like 250000 or 0.")
    return cash


def _first(ledger: Ledger, point: str) -> int:
    """Return the seq at which a change is made: the one named, or the first after a time."""
    seq = seq_of(ledger, point, default=1)
    return max(seq if point.isdigit() else seq + 1, 1)


def _open(ledger: Ledger, changes: Sequence[Change], update: Progress) -> OpenLoop:
    def log() -> Iterator[tuple[int, AnyEvent]]:
        return watched(ledger, update)

    with stored(ledger):
        return open_loop(log, changes)


# ---- Open loop


def _show_open(ledger: Path, loop: OpenLoop, *, rounds: bool, as_json: bool) -> None:
    state, (record, *others) = loop.state, loop.columns
    if as_json:
        listed = {"round_list": rounds_view(loop)} if rounds else {}
        columns = [column_view(state, record, None), *(column_view(state, column, record) for column in others)]
        definitions = definitions_view(_currency(state))
        print_json(
            {"ledger": str(ledger), "loop": "open", "rounds": len(loop.rounds), "definitions": definitions, "columns": columns}
            | listed
        )
        return
    if not loop.rounds:
        say("The ledger holds no ADL round.")
        return
    count = f"{len(loop.rounds)} rounds, each alone, as recorded just before it"
    _print_metrics(state, loop.columns, f"What if: {count}; money in {_currency(state)}")
    _print_differences(state, record, others)
    if rounds:
        _print_rounds(loop)
    _print_missing(loop.columns)
    _print_names(loop.columns)


def _currency(state: State) -> str:
    return state.opened.currency if state.opened else ""


def _cell(state: State, metric: Metric, value: Value) -> str:
    """Return a value for people: money in whole units, ratios to three digits."""
    text = value_text(state, metric, value, SHOWN_DECIMALS)
    if text is None:
        return UNDEFINED_CELL if all(name in UNDEFINED for name in value.missing) else UNDECIDABLE
    whole = text.partition(".")[0] if metric.unit == "cash" else text
    return text if text == UNBOUNDED else grouped("0" if whole == "-0" else whole)


def _print_metrics(state: State, columns: Sequence[Column], title: str) -> None:
    rows = [(one.id, *(_cell(state, one, column.metrics[one.id]) for column in columns)) for one in METRICS]
    names = [clip(column.name, HEAD_WIDTH) for column in columns]
    _print_blocks(title, ["metric", *names], rows, right=names, first=1)


def _print_differences(state: State, record: Column, others: Sequence[Column]) -> None:
    """Print, of what differs from the record, by how much."""
    rows = []
    for metric in METRICS:
        differences = [less(column.metrics[metric.id], record.metrics[metric.id]) for column in others]
        if any(one.amount is not None and one.amount.numerator for one in differences):
            rows.append((metric.id, *(_cell(state, metric, one) for one in differences)))
    say()
    if rows:
        names = [clip(column.name, HEAD_WIDTH) for column in others]
        _print_blocks("Less the record", ["metric", *names], rows, right=names, first=1)
    elif _comparable(record, others):
        say("No difference to the record.")


def _comparable(record: Column, others: Sequence[Column]) -> bool:
    """Return whether all metrics of all columns are known or have no value: only then equal is what they are."""
    values = [value for column in (record, *others) for value in column.metrics.values()]
    return bool(others) and all(name in UNDEFINED for value in values for name in value.missing)


def _print_blocks(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str], first: int
) -> None:
    """Print a table of numbers, as many columns at a time as the screen is wide; the ``first`` stand in each part."""
    widths = [max(len(text) for text in (name, *(row[i] for row in rows))) for i, name in enumerate(columns)]
    room = stdout_console().width - sum(widths[:first]) - GAP * (first - 1)
    parts: list[list[int]] = [[]]
    for place in range(first, len(columns)):
        if parts[-1] and sum(widths[i] + GAP for i in [*parts[-1], place]) > room:
            parts.append([])
        parts[-1].append(place)
    for number, part in enumerate(parts):
        chosen = [*range(first), *part]
        if number:
            say()
        heads = [columns[i] for i in chosen]
        print_table("" if number else title, heads, [[row[i] for i in chosen] for row in rows], right=right)


def _print_rounds(loop: OpenLoop) -> None:
    state = loop.state
    largest = sorted(range(len(loop.rounds)), key=lambda i: (-(loop.columns[0].rounds[i].need.amount or 0), i))[:ROUNDS_SHOWN]
    rows = [
        (
            str(loop.rounds[i].event.round),
            state.markets[loop.rounds[i].event.market].listed.symbol,
            _money(state, loop.columns[0].rounds[i].need.amount),
            *(_money(state, column.rounds[i].used.amount) for column in loop.columns),
        )
        for i in largest
    ]
    say()
    title = f"Value taken, by round ({len(rows)} of {len(loop.rounds)}, the largest needs first)"
    heads = ["round", "market", "need", *(clip(column.name, HEAD_WIDTH) for column in loop.columns)]
    _print_blocks(title, heads, rows, right=[head for head in heads if head != "market"], first=3)


def _money(state: State, cash: int | None) -> str:
    text = views.cash_text(state, cash)
    if text is None:
        return UNDECIDABLE
    whole = text.partition(".")[0]
    return grouped("0" if whole == "-0" else whole)


def _print_missing(columns: Sequence[Column]) -> None:
    lacks = {
        column.name: dict.fromkeys(one for value in column.metrics.values() for one in value.missing if one not in UNDEFINED)
        for column in columns
    }
    if any(lacks.values()):
        say("\n[bold]Undecidable, for want of[/bold]")
        for name, missing in lacks.items():
            if missing:
                say(escape(f"  {name}: {', '.join(missing)}"))


def _print_names(columns: Sequence[Column]) -> None:
    for column in columns:
        if len(column.name) > HEAD_WIDTH:
            say(escape(f"{clip(column.name, HEAD_WIDTH)} is {column.name}"))


# ---- Closed loop


def _show_closed(ledger: Path, output: Path, change: Change, run: ClosedRun, *, as_json: bool) -> None:
    before, after = run.before.columns[0], run.after.columns[0]
    if as_json:
        print_json(_closed_view(ledger, output, change, run))
        return
    state = run.after.state
    say(f"[bold]{escape(str(output))}[/bold] is a {escape(state.opened.venue if state.opened else '')}")
    say(f"From seq {run.known.since:,} on; {state.seq:,} events; state root {views.roots_view(state)['state_root']}")
    _print_calibration(run)
    say()
    title = f"The rounds of the record and of the what-if; money in {_currency(state)}"
    heads = ["metric", RECORD, AFTER, "difference"]
    rows = []
    for one in METRICS:
        values = [before.metrics[one.id], after.metrics[one.id]]
        rows.append((one.id, *(_cell(state, one, value) for value in (*values, less(values[1], values[0])))))
    _print_blocks(title, heads, rows, right=heads[1:], first=1)
    _print_missing([before, replace(after, name=AFTER)])
    say()
    _print_course(run)


def _print_calibration(run: ClosedRun) -> None:
    recorded, reproduced = run.calibration.recorded.total(), run.calibration.reproduced.total()
    say(f"Calibration: unchanged, the engine decides {reproduced:,} of {recorded:,} forced events as the record has them")
    if not run.calibration.whole:
        say("[yellow]So the engine is not this venue: hold the what-if against its run, not against the record.[/yellow]")


def _print_course(run: ClosedRun) -> None:
    state, tallies = run.after.state, run.tallies
    kinds = sorted({*tallies.removed, *tallies.decided})
    rows: list[tuple[str, ...]] = [
        (kind, f"{tallies.removed[kind]:,}", f"{tallies.decided[kind]:,}", f"{run.reproduced[kind]:,}") for kind in kinds
    ]
    print_table("Forced events", ("type", "taken out", "decided", "the same"), rows, right=("taken out", "decided", "the same"))
    say()
    registers = (run.deficits_before, run.deficits_after)
    _print_deficits(state, "users", [one.users for one in registers])
    if any(one.venue.episodes for one in registers):
        say()
        _print_deficits(state, "the venue's own accounts", [one.venue for one in registers])
    say(f"\n{tallies.parted:,} accounts end apart from the record")
    if tallies.clipped or tallies.dropped:
        say(f"Liquidations on the book: {tallies.clipped:,} clipped to what was left, {tallies.dropped:,} dropped")
    if tallies.restated:
        say(f"Openings that stated the level of a parted account again, left out: {tallies.restated:,}")


def _print_deficits(state: State, whose: str, pairs: Sequence[Totals]) -> None:
    """Print the deficits of the record beside those of the what-if, and who bore them."""
    rows = [("deficit", *(_money(state, totals.deficit_cash) for totals in pairs))]
    rows += [
        (f"covered by {layer}", *(_money(state, totals.covered[layer]) for totals in pairs))
        for layer in pairs[0].covered
        if any(totals.covered[layer] for totals in pairs)
    ]
    rows.append(("left", *(_money(state, totals.left_cash) for totals in pairs)))
    print_table(f"Deficits of {whose}, in {_currency(state)}", ("", RECORD, AFTER), rows, right=(RECORD, AFTER))


def _closed_view(ledger: Path, output: Path, change: Change, run: ClosedRun) -> dict[str, Any]:
    state, tallies, known = run.after.state, run.tallies, run.known
    before, after = run.before.columns[0], run.after.columns[0]
    columns = [column_view(run.before.state, before, None), column_view(state, after, before)]
    return {
        "ledger": str(ledger),
        "loop": "closed",
        "what_if": str(output),
        "venue": state.opened.venue if state.opened else None,
        "change": label_of(change),
        "from_seq": known.since,
        "events": state.seq,
        "log_digest": run.log_digest.hex(),
        **views.roots_view(state),
        "record_state_root": views.roots_view(run.before.state)["state_root"],
        "vault": state.accounts[known.vault].name,
        "takeover_ppm": known.takeover_ppm,
        "calibration": {
            "whole": run.calibration.whole,
            "recorded": dict(sorted(run.calibration.recorded.items())),
            "reproduced": dict(sorted(run.calibration.reproduced.items())),
            "accounts_apart": run.calibration.parted,
        },
        "taken_out": dict(sorted(tallies.removed.items())),
        "decided": dict(sorted(tallies.decided.items())),
        "the_same": dict(sorted(run.reproduced.items())),
        "liquidations_clipped": tallies.clipped,
        "liquidations_dropped": tallies.dropped,
        "openings_left_out": tallies.restated,
        "accounts_apart": tallies.parted,
        "deficits": {RECORD: register_view(state, run.deficits_before), AFTER: register_view(state, run.deficits_after)},
        "definitions": definitions_view(_currency(state)),
        "columns": [columns[0], columns[1] | {"name": AFTER}],
    }
