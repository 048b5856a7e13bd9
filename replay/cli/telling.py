"""What demo and simulate share when they tell what happened: money in whole units, and commands to go on with."""

import os
import shutil
import sys
from collections.abc import Sequence

from replay.cli.output import say
from replay.core.state import State

__all__ = ["print_next", "whole_units"]


def whole_units(state: State, cash: int | None) -> str:
    """Return money cut to whole units of the currency, for tables where the cents are noise."""
    if cash is None or state.opened is None:
        return "-"
    unit = 10**state.opened.money_decimals
    return f"{abs(cash) // unit * (-1 if cash < 0 else 1):,}"


def print_next(commands: Sequence[tuple[str, str]]) -> None:
    """Print commands, each a verb with its arguments and what it shows."""
    # In a fresh checkout the command is not on the path; what is printed must work when it is copied.
    adl = "adl" if shutil.which("adl") else os.path.relpath(sys.argv[0])
    say("[bold]Next[/bold]")
    for command, what in commands:
        say(f"  # {what}\n  {adl} {command}")
