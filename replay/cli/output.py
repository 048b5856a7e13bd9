"""What people and machines see: tables and JSON on stdout, progress and errors on stderr."""

import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from events.errors import AdlError

__all__ = ["clip", "grouped", "print_error", "print_json", "print_table", "progress", "say", "say_wrapped", "stdout_console"]

# A bar for work that ends at once is noise.
SHOW_AFTER_S = 1.0

PIPE_WIDTH = 4_096
PROSE_WIDTH = 100  # longer lines of prose are hard to read, whatever the terminal
GAP = 2  # between columns
CUT_LEAST = 20  # what a column that gives way keeps at least


class _Out(Console):
    def on_broken_pipe(self) -> None:
        """Let the caller see that the reader of our output has gone; rich would exit with the status of findings."""
        raise BrokenPipeError


def stdout_console() -> Console:
    """Return a console on stdout as it is now. What is not a terminal has no width, so nothing is cut for it."""
    console = _Out(highlight=False, emoji=False)
    return console if console.is_terminal else _Out(highlight=False, emoji=False, width=PIPE_WIDTH)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout, keys in the order given."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def say(text: str = "") -> None:
    """Print a line for people; rich markup is understood."""
    stdout_console().print(text, soft_wrap=True)


def say_wrapped(text: str, *, first: str = "", rest: str = "") -> None:
    """Print plain text in lines of the terminal's width, broken between words; ``first`` and ``rest`` begin the lines."""
    width = min(stdout_console().width, PROSE_WIDTH)
    options: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    for line in textwrap.wrap(text, width, initial_indent=first, subsequent_indent=rest, **options):
        say(escape(line))


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    cut: str | None = None,
    drop: Sequence[str] = (),
) -> None:
    """Print a table whose numbers are never cut, as a cut number is a wrong one.

    Columns named in ``right`` are numbers and stand right. Where the terminal is too narrow, the columns in ``drop`` are left
    out, one by one, and then the text column ``cut`` is shortened; what is still too wide is left to the terminal to wrap.
    """
    if title:
        # Not the table's own title, which would be wrapped to the table's width.
        say(f"[bold]{title}[/bold]")
    console = stdout_console()
    widths = {i: max(len(text) for text in (name, *(row[i] for row in rows))) for i, name in enumerate(columns)}
    for name in drop:
        if sum(widths.values()) + GAP * (len(widths) - 1) > console.width:
            widths.pop(columns.index(name))
    over = sum(widths.values()) + GAP * (len(widths) - 1) - console.width
    if cut is not None and over > 0:
        widths[columns.index(cut)] = max(widths[columns.index(cut)] - over, CUT_LEAST)
    table = Table(header_style="bold cyan", box=None, pad_edge=False)
    for i, width in widths.items():
        side: JustifyMethod = "right" if columns[i] in right else "left"
        table.add_column(columns[i], justify=side, no_wrap=True, width=width, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(row[i]) for i in widths))
    natural = sum(widths.values()) + GAP * len(widths)
    layout: dict[str, Any] = {"width": max(console.width, natural), "crop": False, "no_wrap": True, "overflow": "ignore"}
    if console.is_terminal:
        console.print(table, **layout)
        return
    with console.capture() as captured:
        console.print(table, **layout)
    console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def grouped(text: str) -> str:
    """Return decimal text with thousands separators: ``4927122.725223`` as ``4,927,122.725223``."""
    whole, dot, fraction = text.partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    return f"{sign}{int(digits):,}{dot}{fraction}" if digits.isdigit() else text


def clip(text: str, width: int) -> str:
    """Return ``text`` cut to ``width`` characters in the middle, so that both ends of an id stay readable."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:>9,.0f}/s", style="progress.data.speed")


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function ``(done, total)`` that shows a bar on stderr with rate and time left, once the work takes over a second.

    Nothing is shown where stderr is not a terminal.
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description:<10}"), BarColumn(), TextColumn("{task.completed:,.0f}/{task.total:,.0f}"), _Rate(),
        TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    task = bar.add_task(label, total=None)
    began = time.monotonic()
    live = False

    def update(done: int, total: int) -> None:
        nonlocal live
        # Before the bar is shown for the first time, as it cannot be drawn without a total.
        bar.update(task, completed=done, total=total)
        if not live and time.monotonic() - began > SHOW_AFTER_S:
            bar.start()
            live = True

    try:
        yield update
    finally:
        if live:
            bar.stop()


def print_error(error: AdlError, *, as_json: bool) -> None:
    """Print an error: on stderr for people, as ``{"error": ...}`` on stdout for machines."""
    if as_json:
        print_json({"error": error_view(error)})
        return
    console = Console(stderr=True, highlight=False, emoji=False)
    console.print(Text.assemble(("error: ", "bold red"), str(error)), soft_wrap=True)


def error_view(error: AdlError) -> Mapping[str, Any]:
    """Return the stable keys of an error."""
    return {
        "kind": type(error).__name__,
        "fault": error.fault,
        "message": error.message,
        "cure": error.cure,
        "file": error.file,
        "row": error.row,
        "seq": error.seq,
        "exit_status": error.exit_status,
    }
