"""The verb fit: how well each known rule explains a record."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from events.errors import MisuseError
from ledger.store import open_ledger
from replay import fit as fitting
from replay.cli.options import DEFAULT_LEDGER, AsJson, LedgerPath
from replay.cli.output import clip, print_json, print_table, progress, say, say_wrapped
from replay.core.policy import Policy
from replay.core.state import State
from replay.fold import stored, watched
from replay.presets import load, presets

__all__ = ["fit"]

PPM_PER_PERCENT = 10_000
NAME_WIDTH = 20
MISSING_SHOWN = 6


def fit(
    *,
    ledger: LedgerPath = DEFAULT_LEDGER,
    number: Annotated[int | None, Parameter(name="--round", help="Only this round.")] = None,
    policy: Annotated[Path | None, Parameter(help="A policy of your own, as a TOML file, beside the presets.")] = None,
    json: AsJson = False,
) -> int:
    """Rank every preset by how well it explains the ADL rounds of a ledger, and say what that does not prove.

    By the share of closes with the planned account and size at their place, then by rounds reproduced, then by Kendall's tau.
    """
    policies: dict[str, Policy] = {name: preset.policy for name, preset in presets().items()}
    if policy is not None:
        policies[policy.name] = load(policy).policy
    with open_ledger(ledger) as opened, stored(opened), progress("fitting") as update:
        state, fits = fitting.fit_events(watched(opened, update), policies, only=number)
    if number is not None and not 0 <= number < len(state.rounds):
        raise MisuseError(f"there is no ADL round {number}.", cure=_rounds_known(state))
    if json:
        views = [_fit_view(state, one) for one in fits]
        rounds = fits[0].rounds if fits else 0
        print_json({"ledger": str(ledger), "rounds": rounds, "fits": views, "not_proven": list(fitting.NOT_PROVEN)})
    elif not fits or not fits[0].rounds:
        say("There is no ADL round to fit.")
    else:
        _print(fits, number)
    return 0


def _rounds_known(state: State) -> str:
    return f"The rounds are 0 to {len(state.rounds) - 1}." if state.rounds else "The ledger holds no ADL round."


def _fit_view(state: State, one: fitting.PresetFit) -> dict[str, Any]:
    """Return one preset's fit; ``is_a_match`` is False whatever the shares are."""
    view: dict[str, Any] = msgspec.to_builtins(one)
    rounds = view.pop("round_list")
    for shown, fitted in zip(rounds, one.round_list, strict=True):
        order = fitted.order
        event = state.rounds[fitted.round].event
        shown["market"] = state.markets[event.market].listed.symbol
        shown["loser"] = state.accounts[event.loser].name
        if order is not None:
            shown["order"].pop("bounds")
            shown["order"] |= {"tau_low_ppm": order.bounds.low_ppm, "tau_high_ppm": order.bounds.high_ppm}
    return {**view, "is_a_match": False, "round_list": rounds}


def _print(fits: list[fitting.PresetFit], number: int | None) -> None:
    rounds = fits[0].rounds
    title = f"Presets by how well they explain {'round ' + str(number) if number is not None else f'{rounds:,} rounds'}"
    columns = ("place", "preset", "exact", "reproduced", "decidable", "tau", "tau at least", "at most", "first inversion")
    rows = [
        (
            str(one.place),
            clip(one.preset, NAME_WIDTH),
            "-" if one.exact_ppm is None else f"{_decimal(one.exact_ppm // 100, 2)}%",
            f"{one.reproduced:,}",
            f"{one.decidable:,}",
            *("-" if value is None else _decimal(value // PPM_PER_PERCENT, 2) for value in _taus(one)),
            "" if one.first_inversion is None else f"{one.first_inversion:,}",
        )
        for one in fits
    ]
    right = tuple(column for column in columns if column != "preset")
    print_table(title, columns, rows, right=right, drop=("at most", "tau at least", "first inversion"))
    closes, claims = fits[0].parts, max(one.from_claims for one in fits)
    say(f"\nOver {closes:,} closes and charges; a level has no order, and so no tau.")
    if claims:
        say(f"Scores of up to {claims:,} closes rest on claims of the venue: an equity, or the close's price as mark.")
    missing = sorted({name for one in fits for name in one.missing})
    if missing:
        shown = "; ".join(missing[:MISSING_SHOWN])
        say_wrapped(f"Not every preset is decidable, because the record lacks: {shown}")
    say("\n[bold]What this does not prove[/bold]")
    for sentence in fitting.NOT_PROVEN:
        say_wrapped(sentence, first="  ", rest="  ")


def _taus(one: fitting.PresetFit) -> tuple[int | None, int | None, int | None]:
    return one.tau_ppm, one.tau_low_ppm, one.tau_high_ppm


def _decimal(value: int, digits: int) -> str:
    """Return a count of hundredths as decimal text, cut toward the lower."""
    whole, rest = divmod(abs(value), 10**digits)
    return f"{'-' if value < 0 else ''}{whole}.{rest:0{digits}}"
