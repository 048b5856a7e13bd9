"""Draw docs/demo.svg: what `adl demo` prints, as a terminal shows it. Run it when the demo's output changes."""

import contextlib
import io
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from replay.cli import main, output

WIDTH = 104
TARGET = Path(__file__).with_name("demo.svg")

# Rich's own frame asks a font server for its font; a picture in a repository must not.
FRAME = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px;
line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: arial; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix" xml:space="preserve">{matrix}</g></g></svg>
"""


def draw() -> None:
    """Run the demo on a recording console and save what it showed."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, highlight=False, emoji=False)
    output.stdout_console = lambda: console
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        if main(["demo"]) != 0:
            sys.exit("the demo is not clean")
    svg = console.export_svg(title="make demo", theme=MONOKAI, code_format=FRAME, unique_id="demo")
    TARGET.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    draw()
