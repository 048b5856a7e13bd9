"""The verb stress: what ADL a jump of prices would bring, and the smallest fund that would spare it, over a grid of jumps."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
from cyclopts import Parameter
from msgspec import Struct
from rich.markup import escape

from events.errors import MisuseError, NumberError
from events.model import FIRST_FREE_ACCOUNT
from events.units import format_units, parse_units
from ledger.store import open_ledger
from replay import views
from replay.cli.options import DEFAULT_LEDGER, AsJson, LedgerPath, seq_of
from replay.cli.output import print_json, print_table, progress, say
from replay.cli.queue import market_named
from replay.cli.record import write_new
from replay.core.policy import policy_for
from replay.core.state import State
from replay.explain.views import ratio_view
from replay.fold import replay
from replay.presets import load
from replay.queries.answers import ratio_text
from replay.stress import StressPoint, StressTest, stress
from replay.stress.jumps import PERCENT_DECIMALS

__all__ = ["stress_verb"]

DEFAULT_MOVES = "-50%:50%:5%"
POINTS_MAX = 1_001

BAR_WIDTH = 28
EIGHTHS = " ▏▎▍▌▋▊▉"
NO_FUND = "no fund"


class _Asked(Struct, frozen=True):
    """What was asked: where, and under what. ``policies`` are the names of those that decide."""

    ledger: str
    state: State
    market: int | None
    policies: tuple[str, ...]
    other_policy: bool
    other_fund: bool


def stress_verb(
    *,
    ledger: LedgerPath = DEFAULT_LEDGER,
    at: Annotated[str | None, Parameter(help="A seq or a UTC time; the end of the ledger when left out.")] = None,
    moves: Annotated[
        str, Parameter(allow_leading_hyphen=True, help="Jumps of the marks: FROM:TO:STEP in percent, or a list with commas.")
    ] = DEFAULT_MOVES,
    market: Annotated[str | None, Parameter(help="Move this market only; else all markets move together.")] = None,
    policy: Annotated[str | None, Parameter(help="Another policy for all markets: a name, or a TOML file.")] = None,
    fund: Annotated[str | None, Parameter(help="Another balance of the insurance fund, as an amount of money.")] = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], help="A new data file, .csv or .json.")] = None,
    json: AsJson = False,
) -> int:
    """Let prices jump, and show whom the engine would close, what the fund would pay, and the smallest fund that avoids ADL.

    Every jump begins at the same point of the record. Nobody trades on the way and the book takes nothing, which is the worst
    case for the fund. The ledger is not changed.
    """
    grid = _moves(moves)
    if output is not None and output.suffix not in {".csv", ".json"}:
        raise MisuseError("a data file is .csv or .json.", file=str(output), cure="Name a file that ends so.")
    if output is not None and output.exists():
        raise MisuseError("this file exists.", file=str(output), cure="Name another file, or remove it first.")
    given = None if policy is None else load(policy).texts
    with open_ledger(ledger) as opened, progress("replaying") as update:
        state = replay(opened, seq_of(opened, at, default=opened.head), progress=update)
    number = None if market is None else market_named(state, market)
    with progress("stressing") as update:
        found = stress(
            state,
            grid,
            markets=None if number is None else (number,),
            policy=given,
            fund_cash=None if fund is None else _cash(state, fund),
            progress=update,
        )
    in_force = [policy_for(state, one) for one in range(len(state.markets))]
    names = (
        [given.name] if given is not None else [state.policies[one].name for one in dict.fromkeys(in_force) if one is not None]
    )
    asked = _Asked(str(ledger), state, number, tuple(names), given is not None, fund is not None)
    view = _view(asked, found)
    if output is not None:
        write_new(output, lambda out: _write(out, output.suffix, asked, view))
    if json:
        print_json(view)
    else:
        _print(asked, found, output)
    return 0


def _moves(text: str) -> list[int]:
    """Return the jumps that a text names, in ppm."""
    cure = f"Write FROM:TO:STEP as in {DEFAULT_MOVES}, or a list as in -10%,-5%,5%."
    parts = text.split(":")
    if len(parts) not in {1, 3}:
        raise MisuseError(f"--moves {text}: this is no grid.", cure=cure)
    try:
        named = [
            parse_units(one.strip().removesuffix("%").removeprefix("+"), PERCENT_DECIMALS) for one in ",".join(parts).split(",")
        ]
    except NumberError as error:
        raise MisuseError(f"--moves {text}: {error.message}", cure=cure) from error
    if len(parts) == 1:
        moves = list(dict.fromkeys(named))
    elif len(named) == len(parts) and named[2] > 0 and named[0] <= named[1]:
        first, last, step = named
        moves = list(range(first, last + 1, step)) if (last - first) // step < POINTS_MAX else []
    else:
        raise MisuseError(f"--moves {text}: the step leads nowhere.", cure=cure)
    if not 0 < len(moves) <= POINTS_MAX:
        raise MisuseError(f"--moves {text}: more than {POINTS_MAX:,} points.", cure="Take a larger step.")
    return moves


def _cash(state: State, text: str) -> int:
    try:
        cash = parse_units(text, state.opened.money_decimals if state.opened else 0)
    except NumberError as error:
        raise MisuseError(f"--fund {text}: {error.message}", cure="Write an amount like 250000 or 250000.50.") from error
    if cash < 0:
        raise MisuseError(f"--fund {text}: a fund is not below zero.", cure="Write an amount like 250000 or 0.")
    return cash


# ---- Data


def _view(asked: _Asked, found: StressTest) -> dict[str, Any]:
    state = asked.state
    moved = range(len(state.markets)) if asked.market is None else (asked.market,)
    return {
        "ledger": asked.ledger,
        "seq": state.seq,
        "currency": _currency(state),
        "moved_markets": [state.markets[market].listed.symbol for market in moved],
        "policies": list(asked.policies),
        "policy_in_force": not asked.other_policy,
        "fund": views.cash_text(state, found.fund),
        "fund_on_record": not asked.other_fund,
        "assumed": list(found.assumed),
        "points": [_point_view(state, point) for point in found.points],
    }


def _point_view(state: State, point: StressPoint) -> dict[str, Any]:
    one = point.outcome
    return {
        "move_percent": format_units(point.move_ppm, PERCENT_DECIMALS),
        "accounts_liquidated": one.liquidated,
        "accounts_bankrupt": one.bankrupt,
        "deficit": views.cash_text(state, one.deficit),
        "fund_drawn": views.cash_text(state, one.drawn),
        "fund_left": views.cash_text(state, one.fund_left),
        "vault_loss": views.cash_text(state, one.vault_loss),
        "adl_rounds": one.rounds,
        "adl_notional": views.cash_text(state, one.closed_notional),
        "adl_share": ratio_view((one.closed_notional, one.interest)) if one.interest else None,
        "adl_markets": [
            {
                "market": state.markets[closed.market].listed.symbol,
                "size": views.size_text(state, closed.market, closed.lots),
                "notional": views.cash_text(state, closed.notional),
            }
            for closed in one.closed
        ],
        "charged": views.cash_text(state, one.charged),
        "winners_hit": one.hit,
        "residual_debt": views.cash_text(state, one.debt),
        "smallest_fund": views.cash_text(state, None if one.undecided else point.smallest_fund),
        "smallest_fund_at_least": views.cash_text(state, point.smallest_fund),
        "fund_avoids_adl": None if one.undecided and point.smallest_fund is not None else point.smallest_fund is not None,
        "undecided": one.undecided,
        "missing": list(one.missing),
    }


_MONEY = (
    "deficit",
    "fund_drawn",
    "fund_left",
    "vault_loss",
    "adl_notional",
    "charged",
    "residual_debt",
    "smallest_fund",
    "smallest_fund_at_least",
)


def _write(out: BinaryIO, suffix: str, asked: _Asked, view: dict[str, Any]) -> int:
    """Write the points as a data file, and return how many there are."""
    if suffix == ".json":
        out.write(msgspec.json.format(msgspec.json.encode(view), indent=2) + b"\n")
        return len(view["points"])
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    symbols = [market.listed.symbol for market in asked.state.markets]
    plain = [name for name in view["points"][0] if name not in {"adl_share", "adl_markets", "missing"}]
    header = [f"{name}_{view['currency']}" if name in _MONEY else name for name in plain]
    lines.writerow([*header, "adl_share", *(f"adl_size_{symbol}" for symbol in symbols)])
    for point in view["points"]:
        sizes = {closed["market"]: closed["size"] for closed in point["adl_markets"]}
        share = point["adl_share"]
        lines.writerow(
            [
                *(_cell(point[name]) for name in plain),
                "" if share is None else share["decimal"],
                *(sizes.get(symbol, "0") for symbol in symbols),
            ]
        )
    out.write(text.getvalue().encode())
    return len(view["points"])


def _cell(value: str | int | None) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


# ---- The page


def _print(asked: _Asked, found: StressTest, output: Path | None) -> None:
    state, points = asked.state, found.points
    what = "all markets together" if asked.market is None else state.markets[asked.market].listed.symbol
    say(f"[bold]Stress[/bold] of {escape(asked.ledger)} at seq {state.seq:,}: a jump of {escape(what)}")
    said = "asked for" if asked.other_policy else "in force"
    fund = "not on record" if found.fund is None else _whole(state, found.fund)
    say(f"Policy {escape(', '.join(map(repr, asked.policies)))} {said}; fund {fund}{' asked for' if asked.other_fund else ''}.")
    say("Nobody trades on the way and the book takes nothing: the worst case for the fund.")
    say(f"Money in whole {escape(_currency(state))}, cut; the smallest fund is rounded up.")
    for line in found.assumed:
        say(escape(line))
    _print_undecided(state, points)
    say()
    _print_points(state, points)
    say()
    _print_chart(state, points)
    if any(point.smallest_fund is None for point in points):
        say(f"\n{NO_FUND}: ADL does not wait for the fund under this policy, so no fund avoids it.")
    if output is not None:
        say(f"\n{len(points):,} points written to {escape(str(output))}")


def _print_points(state: State, points: Sequence[StressPoint]) -> None:
    columns = ["move", "below MM", "bankrupt", "deficit", "drawn", "ADL closed", "of OI", "hit", "smallest fund"]
    rows = [_row(state, point) for point in points]
    extra = {
        "vault loss": [_whole(state, point.outcome.vault_loss) for point in points],
        "charged": [_whole(state, point.outcome.charged) for point in points],
        "debt": [_whole(state, point.outcome.debt) for point in points],
    }
    for name, cells in extra.items():
        if any(cell not in {"0", "-"} for cell in cells):
            columns.insert(-1, name)
            rows = [[*row[:-1], cell, row[-1]] for row, cell in zip(rows, cells, strict=True)]
    drop = [name for name in ("below MM", "vault loss", "of OI", "hit", "bankrupt") if name in columns]
    print_table("", columns, rows, right=columns, drop=drop)


def _row(state: State, point: StressPoint) -> list[str]:
    one = point.outcome
    share = ratio_text(one.closed_notional * 100, one.interest, 1) if one.interest else "-"
    return [
        _move(point),
        f"{one.liquidated:,}",
        f"{one.bankrupt:,}",
        _whole(state, one.deficit),
        _whole(state, one.drawn),
        _whole(state, one.closed_notional),
        f"{share}%" if one.closed_notional else "",
        f"{one.hit:,}" if one.hit else "",
        _fund(state, point),
    ]


def _fund(state: State, point: StressPoint) -> str:
    if point.smallest_fund is None:
        return NO_FUND
    return f"{'>= ' if point.outcome.undecided else ''}{_whole(state, _up(state, point.smallest_fund))}"


def _print_chart(state: State, points: Sequence[StressPoint]) -> None:
    volumes = [point.outcome.closed_notional or point.outcome.charged for point in points]
    funds = [point.smallest_fund or 0 for point in points]
    rows = [
        (_move(point), _bar(volume, max(volumes)), NO_FUND if point.smallest_fund is None else _bar(fund, max(funds)))
        for point, volume, fund in zip(points, volumes, funds, strict=True)
    ]
    names = [
        f"{name}, full: {_whole(state, _up(state, max(amounts)))}" if max(amounts) else f"{name}: none"
        for name, amounts in (("ADL", volumes), ("smallest fund", funds))
    ]
    print_table("", ("move", *names), rows, right=("move",))


def _bar(amount: int, largest: int) -> str:
    """Return a bar in eighths of a character; what is not zero shows at least one."""
    if amount <= 0:
        return ""
    whole, eighths = divmod(max(amount * BAR_WIDTH * 8 // largest, 1), 8)
    return ("█" * whole + EIGHTHS[eighths]).rstrip()


def _print_undecided(state: State, points: Sequence[StressPoint]) -> None:
    most = max(point.outcome.undecided for point in points)
    if most:
        of = len(state.accounts) - FIRST_FREE_ACCOUNT
        say(f"[yellow]Undecidable for {most:,} of {of:,} accounts, which are left out[/yellow]: inputs are missing.")
    for reason in dict.fromkeys(reason for point in points for reason in point.outcome.missing):
        say(f"  {escape(reason)}")


def _move(point: StressPoint) -> str:
    text = format_units(point.move_ppm, PERCENT_DECIMALS)
    return f"{'+' if point.move_ppm > 0 else ''}{text}%"


def _currency(state: State) -> str:
    return state.opened.currency if state.opened else ""


def _unit(state: State) -> int:
    unit: int = 10 ** (state.opened.money_decimals if state.opened else 0)
    return unit


def _up(state: State, cash: int) -> int:
    """Return money rounded up to a whole unit of the currency."""
    unit = _unit(state)
    return -(-cash // unit) * unit


def _whole(state: State, cash: int | None) -> str:
    """Return money cut to whole units of the currency; less than one is said to be so, as it is not nothing."""
    if cash is None:
        return "-"
    whole = f"{abs(cash) // _unit(state):,}"
    return "<1" if cash and whole == "0" else f"-{whole}" if cash < 0 else whole
