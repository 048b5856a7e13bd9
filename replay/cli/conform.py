"""The verb that compares our rules with other people's numbers: conform."""

import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.markup import escape

from replay.cli.options import AsJson
from replay.cli.output import print_json, print_table, say, stdout_console
from replay.conform import Result, Status
from replay.conform import conform as run_vectors

__all__ = ["conform"]

FINDINGS_STATUS = 1
WRAP_LEAST = 40
NOTHING_RAN = "(nothing)"
COUNTS = ("pass", "fail", "not_applicable", "of")


def conform(
    folder: Annotated[Path, Parameter(name="FOLDER", help="A folder of vector files.")], /, *, json: AsJson = False
) -> int:
    """Recompute the vectors of a folder from what they give and compare. Exit status 1 when one fails."""
    results = run_vectors(folder)
    failed = any(result.status is Status.FAIL for result in results)
    if json:
        print_json(
            {
                "folder": str(folder),
                "clean": not failed,
                **dict(zip(COUNTS, _counts(results), strict=True)),
                "by_file": _tally("file", results, lambda result: result.file),
                "by_kind": _tally("kind", results, lambda result: result.kind),
                "by_through": _tally("through", results, lambda result: result.through),
                "results": [msgspec.to_builtins(result) for result in results],
            }
        )
    else:
        _print_results(results, folder)
    return FINDINGS_STATUS if failed else 0


def _counts(results: Sequence[Result]) -> tuple[int, int, int, int]:
    by_status = Counter(result.status for result in results)
    return by_status[Status.PASS], by_status[Status.FAIL], by_status[Status.NOT_APPLICABLE], len(results)


def _tally(name: str, results: Sequence[Result], of: Callable[[Result], str]) -> list[dict[str, Any]]:
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(of(result), []).append(result)
    return [{name: group, **dict(zip(COUNTS, _counts(groups[group]), strict=True))} for group in sorted(groups)]


def _print_results(results: Sequence[Result], folder: Path) -> None:
    by_file = _tally("file", results, lambda result: result.file)
    by_file.append({"file": "all", **dict(zip(COUNTS, _counts(results), strict=True))})
    _print_counts(f"Vectors of {escape(str(folder))}", "file", by_file)
    say()
    by_through = _tally("through", results, lambda result: result.through or NOTHING_RAN)
    _print_counts("What ran", "through", by_through)
    failures = [result for result in results if result.status is Status.FAIL]
    _print_notes("Failures", [(result, _differences(result)) for result in failures])
    _print_notes("How a source was read", [(result, result.readings) for result in results])
    open_ = [result for result in results if result.status is Status.NOT_APPLICABLE]
    _print_notes("Not applicable", [(result, [result.reason]) for result in open_])
    _print_left_out(results)
    rounded = sum(len(result.precision) for result in results)
    if rounded:
        say()
        _print_wrapped(f"Compared at the precision that the source prints (named by --json): {rounded}")


def _print_counts(title: str, name: str, tally: Sequence[dict[str, Any]]) -> None:
    columns = (name, "pass", "fail", "n/a", "of")
    print_table(title, columns, [[str(value) for value in row.values()] for row in tally], right=columns[1:], cut=name)


def _differences(result: Result) -> list[str]:
    return [f"{part.key}: expected {part.expected}, computed {part.computed}" for part in result.differences]


def _print_notes(title: str, notes: Sequence[tuple[Result, Sequence[str]]]) -> None:
    """Print a heading, and below each vector's name what is said of it; nothing where nothing is."""
    if any(texts for _, texts in notes):
        say(f"\n[bold]{title}[/bold]")
    for result, texts in notes:
        if texts:
            _print_wrapped(f"{result.name} ({result.kind}, {result.file})")
        for text in texts:
            _print_wrapped(text, indent=2)


def _print_left_out(results: Sequence[Result]) -> None:
    left_out = Counter((result.file, key, why) for result in results for key, why in result.not_compared.items())
    if left_out:
        say("\n[bold]Keys that are not compared[/bold]")
    for (file, key, why), count in sorted(left_out.items()):
        _print_wrapped(f"{file}, {key}, in {count} vector{'s' if count != 1 else ''}: {why}")


def _print_wrapped(text: str, indent: int = 0) -> None:
    """Print a text of any length in lines of the terminal's width, broken between words."""
    readable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    for line in textwrap.wrap(readable, max(stdout_console().width - indent, WRAP_LEAST), break_long_words=False):
        say(escape(" " * indent + line))
