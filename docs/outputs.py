"""Write what commands print into the pages of docs and the README. Run it when an output changes.

In a block of commands, the lines after a command are what it prints on a terminal of 100 columns. A line ``...`` stands for
what is left out: as many lines before and after it as the page has are kept. A command without lines is only run. Between the
two comments about presets stands the table of those that are shipped.
"""

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from replay.cli import main
from replay.presets import presets

__all__ = ["PRESETS", "TERMINAL", "pages", "prepare", "preset_table", "refreshed"]

ROOT = Path(__file__).parents[1]
TERMINAL = {"TTY_COMPATIBLE": "1", "TERM": "dumb", "COLUMNS": "100", "LINES": "50"}
LEFT_OUT = "..."
PRESETS = re.compile(r"(?<=^<!-- presets -->\n)(.*?)(?=^<!-- end of presets -->)", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"(?<=^```console\n)(.*?)(?=^```)", re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    """Return the pages whose commands run, each alone."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def prepare(folder: Path, demo: Path) -> None:
    """Put what the pages work on into ``folder``: the demo ledger, and the files of docs there and, for the README, in docs."""
    shutil.copyfile(demo, folder / "demo.adl")
    unread = shutil.ignore_patterns("*.md", "*.py", "*.svg", "__pycache__")
    for copy in (folder, folder / "docs"):
        shutil.copytree(ROOT / "docs", copy, ignore=unread, dirs_exist_ok=True)


def preset_table() -> str:
    """Return the table of the shipped presets as docs/policies.md has it."""
    shown = ("trigger", "key", "fill", "price", "layers")
    lines = [f"| name | venue | {' | '.join(shown)} |", "| --- " * (len(shown) + 2) + "|"]
    for name, found in presets().items():
        texts = [getattr(found.texts, parameter) for parameter in shown]
        lines.append(f"| `{name}` | {found.venue} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def refreshed(text: str, run: Callable[[str], str]) -> str:
    """Return a page with its outputs as ``run`` gives them, command by command."""
    return BLOCK.sub(lambda block: _block(block[0].splitlines(), run), text)


def _block(lines: list[str], run: Callable[[str], str]) -> str:
    begins = [at for at, line in enumerate(lines) if line.startswith("$ adl ")]
    parts = lines[: begins[0]] if begins else lines
    for begin, end in pairwise([*begins, len(lines)]):
        parts += [lines[begin], *_output(lines[begin + 1 : end], run(lines[begin].removeprefix("$ ")))]
    return "".join(f"{line}\n" for line in parts)


def _output(shown: list[str], printed: str) -> list[str]:
    lines = [line.rstrip() for line in printed.rstrip("\n").splitlines()]
    if not shown:
        return []
    if LEFT_OUT not in shown:
        return lines
    head = shown.index(LEFT_OUT)
    tail = len(shown) - head - 1
    return [*lines[:head], LEFT_OUT, *lines[len(lines) - tail :]]


def _run(command: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = main(shlex.split(command)[1:])
    if status != 0:
        sys.exit(f"{command}: exit status {status}")
    return printed.getvalue()


def _refresh() -> None:
    os.environ |= TERMINAL
    with tempfile.TemporaryDirectory() as place:
        demo = Path(place) / "demo.adl"
        with contextlib.redirect_stdout(io.StringIO()):
            main(["demo", "--ledger", str(demo)])
        for page in pages():
            folder = Path(place) / page.stem
            folder.mkdir()
            prepare(folder, demo)
            with contextlib.chdir(folder):
                text = PRESETS.sub(lambda _: preset_table(), page.read_text(encoding="utf-8"))
                page.write_text(refreshed(text, _run), encoding="utf-8")


if __name__ == "__main__":
    _refresh()
