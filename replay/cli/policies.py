"""The verb policies: which rules there are, and what one of them says."""

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.markup import escape

from replay.cli.options import AsJson
from replay.cli.output import clip, print_json, print_table, say, say_wrapped, stdout_console
from replay.core.spelling import PARAMETERS
from replay.presets import Preset, explain, explain_lights, load, presets, spell_lights, write_toml

__all__ = ["app", "policies", "show", "view"]

FILL_WIDTH = 27
PRICE_WIDTH = 15

app = App(
    name="policies", help="List the ADL policies that come with this program, or show one of them.", help_format="plaintext"
)


@app.default
def policies(*, json: AsJson = False) -> int:
    """List the ADL policies that come with this program: every venue's rule, research and clearing houses."""
    known = presets()
    if json:
        columns = ("name", "title", "venue", "fill", "price", "trigger")
        print_json({"policies": [{"policy": key} | {c: view(preset)[c] for c in columns} for key, preset in known.items()]})
        return 0
    rows = [
        (key, preset.venue, _head(preset.texts.fill, FILL_WIDTH), _head(preset.texts.price, PRICE_WIDTH), preset.texts.trigger)
        for key, preset in known.items()
    ]
    title = f"Policies ({len(rows)})"
    print_table(title, ("policy", "venue", "fill", "price", "trigger"), rows, cut="trigger", drop=("venue",))
    say("\nOne of them in words: adl policies show NAME\nAs a file to change: adl policies show NAME --toml")
    return 0


def _head(text: str, width: int) -> str:
    """Return the first part of a parameter's text; what follows only bounds it."""
    return clip(text.partition(", ")[0], width)


@app.command
def show(
    name: Annotated[str, Parameter(help="A policy's name, or a TOML file.")],
    /,
    *,
    toml: Annotated[bool, Parameter(negative="", help="Print the policy as a TOML file.")] = False,
    json: AsJson = False,
) -> int:
    """Show a policy: its eight parameters, what they mean, what its source leaves open and what was chosen there."""
    preset = load(name)
    if json:
        print_json({"policy": name, **view(preset), "words": explain(preset), "toml": write_toml(preset)})
    elif toml:
        # Not by rich, which would read brackets as markup.
        stdout_console().file.write(write_toml(preset))
    else:
        _page(preset)
    return 0


def view(preset: Preset) -> dict[str, Any]:
    """Return a preset under stable keys."""
    lights = preset.lights
    return {
        "name": preset.name,
        "title": preset.title,
        "venue": preset.venue,
        **{name: getattr(preset.texts, name) for name in PARAMETERS},
        "rule": preset.texts.rule,
        "source": preset.source,
        "source_date": preset.source_date,
        "in_force_from": preset.in_force_from,
        "in_force_until": preset.in_force_until,
        "lights": {"by": lights.by.value, "count": lights.count, "low": lights.low, "highest_next": lights.highest_next},
        "leaves_open": list(preset.leaves_open),
        "chosen": list(preset.chosen),
    }


def _page(preset: Preset) -> None:
    say(f"[bold]{escape(preset.title)}[/bold]")
    facts = [
        ("venue", preset.venue),
        ("recorded as", preset.name),
        ("rule", preset.texts.rule),
        ("source", preset.source),
        ("dated", preset.source_date),
        ("in force from", preset.in_force_from),
        ("in force until", preset.in_force_until),
    ]
    _lines([(name, text) for name, text in facts if text])
    say("\n[bold]Parameters[/bold]")
    _lines([*((name, getattr(preset.texts, name)) for name in PARAMETERS), ("lights", spell_lights(preset.lights))])
    for title, sentences in (
        ("What they mean", [*explain(preset), explain_lights(preset.lights)]),
        ("What the source leaves open", preset.leaves_open),
        ("What was chosen there", preset.chosen),
    ):
        if sentences:
            say(f"\n[bold]{title}[/bold]")
            _lines([("-", sentence) for sentence in sentences])


def _lines(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and texts in two columns, texts wrapped beside their names. A text without spaces is never broken."""
    margin = max(len(name) for name, _ in rows) + 2
    for name, text in rows:
        say_wrapped(text, first=f"{name:<{margin}}", rest=" " * margin)
