"""The verb explain: why me, why that much, why at that price, on one screen."""

import textwrap
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Annotated, Any

from cyclopts import Parameter
from rich.markup import escape

from events.codec import decode
from events.errors import MisuseError
from ledger.store import Ledger, open_ledger
from replay.cli.options import DEFAULT_LEDGER, AsJson, LedgerPath
from replay.cli.output import clip, grouped, print_json, print_table, progress, say, stdout_console
from replay.explain import explain as make
from replay.explain.situation import round_of, situation
from replay.explain.views import explanation_view
from replay.fold import stored, watched
from replay.presets import presets

__all__ = ["explain"]

NAME_WIDTH = 20
WIDTH_MAX = 100  # lines longer than this are hard to read, whatever the terminal
EXACT_CHARS_MAX = 40
LABEL_WIDTH = 13
NAMES_SHOWN = 2
DROPS = ("leverage", "return", "score")  # columns that may be empty, or give way


def explain(
    *,
    ledger: LedgerPath = DEFAULT_LEDGER,
    account: Annotated[str | None, Parameter(help="The account that asks: why me?")] = None,
    seq: Annotated[int | None, Parameter(help="An event of the round: the close, or the round's beginning.")] = None,
    number: Annotated[int | None, Parameter(name="--round", help="The round, instead of --seq.")] = None,
    above: Annotated[
        str | None, Parameter(name=["--above", "--why-not"], help="Compare with this account: why not that one?")
    ] = None,
    json: AsJson = False,
) -> int:
    """Explain an ADL round: its trigger, the score and rank of an account, its price, and what other policies would have done.

    With --account it answers "why me", else it explains the round. Behind each line stands the id of its definition.
    """
    if (seq is None) is (number is None):
        raise MisuseError("explain needs one round.", cure="Name it by --round N, or by --seq with one of its events.")
    if above is not None and account is None:
        raise MisuseError("--above compares two accounts.", cure="Name the other one with --account.")
    policies = {name: preset.policy for name, preset in presets().items()}
    with open_ledger(ledger) as opened, stored(opened), progress("replaying") as update:
        chosen = _round_at(opened, seq) if number is None and seq is not None else number
        found = situation(watched(opened, update), chosen or 0, account, above)
        view = explanation_view(found.state, make(found, policies))
    if json:
        print_json({"ledger": str(ledger), **view})
    else:
        _print(view)
    return 0


def _round_at(ledger: Ledger, seq: int) -> int:
    number = round_of(decode(ledger.read(seq), seq))
    if number is None:
        raise MisuseError(
            f"seq {seq} is no part of an ADL round.", cure="`adl audit` lists the rounds, `adl log --type AdlClose` the closes."
        )
    return number


# ---- The screen


def _print(view: dict[str, Any]) -> None:
    asked = view["account"]
    where = f"ound {view['round']} ({escape(view['market'])}, loser {escape(_name(view['loser']))}), {_when(view['at'])}"
    say(f"[bold]R{where}[/bold]" if asked is None else f"[bold]{escape(_name(asked['account']))}[/bold] in r{where}")
    _line("Verdict", f"{'' if asked is None else _taken(view, asked) + ' '}{_verdict(view)}")
    _print_trigger(view["trigger"])
    _line("Q01.need", _need(view))
    if asked is not None and not asked["is_loser"]:
        _print_standing(view, asked)
    if view["above"] is not None:
        _print_comparison(view["above"])
    else:
        _print_neighbours(view["neighbours"]["rows"])
    _line("Q05.price", _price(view["price"]))
    if asked is None or not asked["is_loser"]:
        _print_policies(view)
    _line("Seqs", ", ".join(f"{name.replace('_', ' ')} {seq:,}" for name, seq in view["events"].items() if seq is not None))


def _line(label: str, text: str) -> None:
    """Print a labelled paragraph whose further lines hang under its text."""
    width = min(stdout_console().width, WIDTH_MAX) - LABEL_WIDTH
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    say(f"[bold]{label:<{LABEL_WIDTH}}[/bold]{escape(lines[0])}")
    for line in lines[1:]:
        say(f"{'':{LABEL_WIDTH}}{escape(line)}")


def _name(name: str) -> str:
    return clip(name, NAME_WIDTH)


def _when(at: str) -> str:
    """Return a time without the part of a second that it does not have."""
    return f"{at.rstrip('Z').rstrip('0').rstrip('.')}Z" if "." in at else at


def _known(text: str | None) -> str:
    return "not known" if text is None else grouped(text)


def _decimal(value: dict[str, str] | None) -> str:
    return "-" if value is None else grouped(value["decimal"])


def _unit(view: dict[str, Any]) -> str:
    return "" if view["need"]["unit"] == "size" else " in money"


def _held(size: str | None) -> str:
    """Return a position in words, by its side."""
    if size is None:
        return "a position of unknown size"
    return f"{grouped(size.removeprefix('-'))} {'short' if size.startswith('-') else 'long'}" if size != "0" else "no position"


def _taken(view: dict[str, Any], asked: dict[str, Any]) -> str:
    if asked["is_loser"]:
        return "This is the loser of the round, whose position is closed against the others."
    verb = "closed" if view["need"]["unit"] == "size" else "charged"
    if asked["seqs"]:
        seqs = ", ".join(f"{seq:,}" for seq in asked["seqs"])
        text = f"{verb.capitalize()} {grouped(asked['taken'])}{_unit(view)} of {_held(asked['size'])}, seq {seqs}"
    else:
        text = f"Not {verb} in this round; it held {_held(asked['size'])}"
    if asked["planned"] is not None and asked["planned"] != asked["taken"]:
        text += f"; the policy gives {grouped(asked['planned'])}"
    return f"{text}."


def _verdict(view: dict[str, Any]) -> str:
    policy = "No policy is in force" if view["policy"] is None else f"Policy {view['policy']!r}"
    difference = view["difference"]
    if difference is not None:
        sides = f"expected {difference['expected'] or 'none'}, recorded {difference['recorded'] or 'none'}"
        return f"{policy}: the {difference['field']} differs at seq {difference['seq']:,}, {sides}."
    if view["missing"]:
        return f"{policy}: undecidable, the record lacks {'; '.join(view['missing'])}."
    return f"{policy}: the round is {view['verdict']}."


def _print_trigger(trigger: dict[str, Any]) -> None:
    if trigger["rule"] is None:
        _line("Q01.trigger", f"not known. The loser's equity was {_known(trigger['loser_equity'])}.")
        return
    told = {True: "it holds", False: "it does not hold", None: "the record does not decide it"}[trigger["holds"]]
    start = _clauses(one for one in trigger["conditions"] if not one["stop"])
    stop = _clauses(one for one in trigger["conditions"] if one["stop"])
    _line("Q01.trigger", f"{start or 'never'}{f' until {stop}' if stop else ''}: {told}.")


def _clauses(conditions: Iterable[dict[str, Any]]) -> str:
    """Return conditions as the policy spells them, each with what it looked at and whether it holds."""
    clauses: dict[int, list[str]] = {}
    for one in conditions:
        quantity, _, bound = one["condition"].partition(" ")
        truth = {True: "yes", False: "no", None: "?"}[one["holds"]]
        clauses.setdefault(one["clause"], []).append(f"{quantity} {_known(one['value'])} {bound}".rstrip() + f" ({truth})")
    return " or ".join(" and ".join(parts) for parts in clauses.values())


def _need(view: dict[str, Any]) -> str:
    need = view["need"]
    stated = need["stated"] if need["stated"] is not None else need["target"]
    gave = f"{need['accounts']:,} account{'s' if need['accounts'] != 1 else ''} gave {_known(need['taken'])}{_unit(view)}"
    return f"{_known(stated)}{_unit(view)} ({need['rule'] or 'no rule'}); {gave}."


def _print_standing(view: dict[str, Any], asked: dict[str, Any]) -> None:
    rank, score, share, listed = asked["rank"], asked["score"], asked["share"], asked["list"]
    if listed is not None:
        seed = "" if listed["seed"] is None else f", begun at the seed {listed['seed']}"
        _line(
            "Q01.rank",
            f"{listed['place']:,} of {listed['of']:,} in the recorded list{seed}; there it is {listed['as_recorded']:,}.",
        )
    elif share is not None:
        _line("Q01.share", _share(view, share))
    elif rank["place"] is not None:
        _line("Q01.rank", f"{rank['place']:,} of {rank['of']:,} by {rank['rule']}.")
    elif rank["missing"]:
        lacks = "" if rank["missing"] == view["missing"] else f", as the record lacks {'; '.join(rank['missing'])}"
        _line("Q01.rank", f"not known{lacks}.")
    else:
        _line("Q01.rank", f"none: it is not among the {rank['of'] or 0:,} candidates of this round.")
    if score is not None and score["score"] is not None and share is None and listed is None:
        _line("Q01.score", _score(score))
    claims = [f"{name} {grouped(str(value))}" for name, value in asked["claims"].items() if value is not None]
    if rank["place"] is None and (asked["known"] or claims):
        known = [f"{name} {_known(value)}" for name, value in (asked["known"] or {}).items() if name != "1"]
        said = f"; the venue claims {', '.join(claims)}" if claims else ""
        _line("Known", f"{', '.join(known) or 'nothing of its score'}{said}.")


def _score(score: dict[str, Any]) -> str:
    text = f"{score['return_rule']} {_decimal(score['return'])}"
    if score["leverage"] is not None:
        by = "/" if score["score"]["decimal"].startswith("-") else "*"
        text += f" {by} {score['leverage_rule']} {_decimal(score['leverage'])}"
    exact = score["score"]["exact"]
    return f"{text} = {_decimal(score['score'])}{f' = {exact}' if len(exact) <= EXACT_CHARS_MAX else ''}"


def _share(view: dict[str, Any], share: dict[str, Any]) -> str:
    given, amount, cap = (grouped(share[name]) for name in ("given", "amount", "cap"))
    text = f"{given} of {amount}{_unit(view)} by {share['rule']} among {share['candidates']:,}"
    if share["weight"] is not None:
        text += f"; weight {share['weight']['decimal']} of all"
    if share["remainder_place"] is not None:
        text += f", {share['remainder_place']:,} in line for the {share['pieces_left']:,} that rounding left"
    if share["after"] is not None:
        text += f"; leverage {_decimal(share['before'])} before, {_decimal(share['after'])} after"
    return f"{text}; at most {cap}."


def _print_neighbours(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    columns = ("rank", "account", "position", "return", "leverage", "score", "taken", "Q01.neighbours")
    cells = [
        (
            f"{row['rank']:,}",
            _name(row["account"]),
            grouped(row["size"]),
            _decimal(row["return"]),
            _decimal(row["leverage"]),
            _decimal(row["score"]),
            grouped(row["taken"]),
            row["label"],
        )
        for row in rows
    ]
    keep = [at for at, name in enumerate(columns) if name not in DROPS or any(row[at] != "-" for row in cells)]
    names = [columns[at] for at in keep]
    right = [name for name in names if name not in {"account", "Q01.neighbours"}]
    print_table(
        "", names, [[row[at] for at in keep] for row in cells], right=right, drop=[one for one in DROPS if one in names]
    )


def _print_comparison(compared: dict[str, Any]) -> None:
    one, other = (_name(compared[who]) for who in ("account", "other"))
    left, right = ("no candidate" if rank is None else f"rank {rank:,}" for rank in compared["ranks"])
    first = compared["first_difference"]
    text = f"{one} ({left}) beside {other} ({right}, taken {grouped(compared['other_taken'])})"
    _line("Q01.above", f"{text}{'' if first is None else f': they differ first in {first}'}.")
    ahead = {"account": one, "other": other, None: ""}
    rows = [(term["measure"], _value(term["account"]), _value(term["other"]), "") for term in compared["terms"]]
    rows += [
        (step["measure"], _value(step["account"]), _value(step["other"]), ahead[step["ahead"]]) for step in compared["steps"]
    ]
    if rows:
        print_table("", ("measure", one, f"{other} ", "ahead"), rows, right=(one, f"{other} "))


def _value(value: dict[str, str] | None) -> str:
    if value is None:
        return "none"
    return grouped(value["decimal"] if "/" in value["exact"] else value["exact"])


def _price(price: dict[str, Any]) -> str:
    if price["rule"] == "none":
        return "none: only money moves."
    paid = "no closes" if price["low"] is None else grouped(price["low"])
    paid += "" if price["low"] == price["high"] else f" to {grouped(price['high'])}"
    if price["rule"] is not None:
        as_planned = price["low"] == price["high"] == price["planned"]
        paid += f" ({price['rule']})" if as_planned else f", by the policy {_known(price['planned'])} ({price['rule']})"
    references = [
        f"{one['name'].replace('_', ' ')} {grouped(one['price'])}" + ("" if one["bps"] is None else f" ({one['bps']})")
        for one in price["references"]
    ]
    label = "In bps, above 0 better for the winner" if any(one["bps"] for one in price["references"]) else "References"
    return f"{paid}. {label}: {'; '.join(references) or 'none on record'}."


def _print_policies(view: dict[str, Any]) -> None:
    """Print what each preset would have taken, presets of one outcome together, the most first."""
    rows = sorted(view["policies"]["rows"], key=lambda row: row["preset"])
    plans = [row for row in rows if not row["missing"] and row["trigger_holds"] is not False]
    paid = [row for row in plans if row["cash"] != "0"]
    closed: dict[Decimal, list[str]] = {}
    for row in plans:
        if row["cash"] == "0":
            closed.setdefault(Decimal(row["size"]), []).append(row["preset"])
    groups = [(grouped(f"{size:f}") if size else "nothing", closed[size]) for size in sorted(closed, reverse=True)]
    if paid:
        sums = sorted((row["cash"] for row in paid), key=Decimal)
        span = grouped(sums[0]) if sums[0] == sums[-1] else f"{grouped(sums[0])} to {grouped(sums[-1])}"
        groups.append((f"{span} in money", [row["preset"] for row in paid]))
    groups.append(("no ADL", _names(rows, plans, missing=False)))
    groups.append(("cannot be told", _names(rows, plans, missing=True)))
    text = "; ".join(f"{outcome} by {_first(names)}" for outcome, names in groups if names)
    _line("Q11.policies", f"Other rules would have taken{'' if view['account'] is None else ' of this account'}: {text}.")


def _first(names: Sequence[str]) -> str:
    """Return the first of some names and how many more there are; all of them are in the JSON document."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:NAMES_SHOWN])} and {more} more"


def _names(rows: list[dict[str, Any]], plans: list[dict[str, Any]], *, missing: bool) -> list[str]:
    return [row["preset"] for row in rows if row not in plans and bool(row["missing"]) is missing]
