"""The verb query: the questions that people ask after an incident, each figure with its definition."""

from pathlib import Path
from shlex import quote
from textwrap import wrap
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape

from events.errors import MisuseError
from ledger.store import Ledger, open_ledger
from replay.cli.options import DEFAULT_LEDGER, AsJson, LedgerPath, seq_of
from replay.cli.output import clip, grouped, print_json, print_table, progress, say, stdout_console
from replay.fold import stored, watched
from replay.queries import QUERIES, Query, ask, named
from replay.queries.answers import Answer, Cell, Figure, Table, answer_view
from replay.queries.scope import Scope

__all__ = ["query"]

ROWS_SHOWN = 20
NAME_WIDTH = 20
# Columns of names, which may be long addresses.
_NAMES = ("account", "loser", "name", "owner", "pool", "trader")
TEXT_WIDTH_MAX = 120


def query(
    *names: str,
    ledger: LedgerPath = DEFAULT_LEDGER,
    account: Annotated[str | None, Parameter(help="Only what concerns this account.")] = None,
    market: Annotated[str | None, Parameter(help="Only this market.")] = None,
    first: Annotated[str | None, Parameter(name="--from", help="First seq, or events after this UTC time.")] = None,
    last: Annotated[
        str | None, Parameter(name="--to", help="Last seq, or UTC time: the record is read as if it ended there.")
    ] = None,
    price: Annotated[str | None, Parameter(help="Reference price of Q24, for the market named.")] = None,
    json: AsJson = False,
) -> int:
    """Answer named questions about a ledger; without a name, list them.

    Every figure has its definition id, its unit, the seqs that it was computed from, and its ground: record, claim of the
    venue, or reconstruction. What the record does not decide is undecidable, and says what is missing.

    Parameters
    ----------
    names
        Ids of queries, as Q07.
    """
    if not names:
        _list(as_json=json)
        return 0
    chosen = [named(name) for name in names]
    with open_ledger(ledger) as opened, stored(opened):
        scope = _scope(opened, account, market, first, last, price)
        with progress("reading") as update:
            answers = ask(lambda: watched(opened, update, 1, scope.last), chosen, scope)
        head = opened.head
    if json:
        views = [
            {"id": one.id, "question": one.question, **answer_view(answer)} for one, answer in zip(chosen, answers, strict=True)
        ]
        window = {"first_seq": scope.first, "last_seq": scope.last}
        print_json({"ledger": str(ledger), "head": head, **window, "account": account, "market": market, "answers": views})
        return 0
    for number, (one, answer) in enumerate(zip(chosen, answers, strict=True)):
        if number:
            say()
        _print(one, answer, ledger, scope)
    return 0


def _scope(
    ledger: Ledger, account: str | None, market: str | None, first: str | None, last: str | None, price: str | None
) -> Scope:
    end = seq_of(ledger, last, default=ledger.head)
    by_seq = first is None or (first.isascii() and first.isdigit())
    begin = max(seq_of(ledger, first, default=1), 1) if by_seq else seq_of(ledger, first, default=0) + 1
    if begin > end:
        raise MisuseError(f"there is nothing from seq {begin} to seq {end}.", cure="Give --from a point before --to.")
    return Scope(begin, end, account=account, market=market, price=price)


def _list(*, as_json: bool) -> None:
    if as_json:
        print_json([{"id": one.id, "question": one.question, "command": _command(one)} for one in QUERIES])
        return
    rows = [(one.id, one.question, _command(one)) for one in QUERIES]
    print_table("Questions", ("id", "question", "answered by"), rows, cut="question")
    say("\nA figure of an answer has a definition id, which begins with that of its question.")


def _command(one: Query) -> str:
    return one.verb or f"adl query {one.id}"


def _print(one: Query, answer: Answer, ledger: Path, scope: Scope) -> None:
    say(f"[bold]{one.id}  {escape(one.question)}[/bold]")
    said = [f"seq {scope.first:,} to {scope.last:,} of {ledger}"]
    said += [f"{kind} {name}" for kind, name in (("account", scope.account), ("market", scope.market)) if name]
    say(escape(", ".join(said)))
    say()
    _print_figures(answer.figures)
    for table in answer.tables:
        say()
        _print_table(table)
    if answer.notes:
        say()
    for note in answer.notes:
        _print_text(note, 0)
    if answer.command is not None:
        say(f"\nTo see why: [bold]{escape(answer.command)} --ledger {escape(quote(str(ledger)))}[/bold]")
    elif one.verb is not None:
        say(f"\nAnswered by: [bold]{escape(one.verb)}[/bold]")


def _print_figures(figures: tuple[Figure, ...]) -> None:
    values = [f"{grouped(figure.value)} {figure.unit}" if figure.value is not None else "undecidable" for figure in figures]
    wide = max(len(figure.id) for figure in figures)
    room = max(len(value) for value in values)
    for figure, value in zip(figures, values, strict=True):
        style = "bold" if figure.value is not None else "yellow"
        say(f"{figure.id:<{wide}}  [{style}]{escape(f'{value:>{room}}')}[/{style}]  {figure.basis}")
        _print_text(f"{figure.label}; seq {figure.first_seq:,} to {figure.last_seq:,}", 4)
        if figure.missing:
            left = f"{figure.left_out:,} left out, " if figure.value is not None and figure.left_out else ""
            _print_text(f"{left}missing: {', '.join(figure.missing)}", 4)


def _print_text(text: str, indent: int) -> None:
    for line in wrap(text, min(stdout_console().width, TEXT_WIDTH_MAX) - indent):
        say(escape(" " * indent + line))


def _print_table(table: Table) -> None:
    shown = table.rows[:ROWS_SHOWN]
    more = f", {len(shown)} of {len(table.rows):,} rows" if len(shown) < len(table.rows) else ""
    _print_text(f"{table.id}  {table.title} ({table.basis}, seq {table.first_seq:,} to {table.last_seq:,}{more})", 0)
    columns = [column.removesuffix("_bps").replace("_", " ") for column in table.columns]
    rows = [[_cell(value, column in _NAMES) for column, value in zip(table.columns, row, strict=True)] for row in shown]
    right = [name for name, cells in zip(columns, zip(*shown, strict=True), strict=True) if all(map(_is_number, cells))]
    # What does not fit goes as a whole, the last columns first, as a cut number is a wrong one.
    drop = [columns[table.columns.index(column)] for column in table.drop]
    print_table("", columns, rows, right=right, drop=[*drop, *(name for name in columns[:1:-1] if name not in drop)])
    if more:
        say("All rows and columns: the same command with --json")


def _is_number(value: Cell) -> bool:
    return not isinstance(value, str) or value.lstrip("-").replace(".", "", 1).isdigit()


def _cell(value: Cell, is_name: bool) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return clip(value, NAME_WIDTH) if is_name else grouped(value)
