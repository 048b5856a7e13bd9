"""The verb queue: who would be closed next on each side of a market, with the lights of its venue."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.markup import escape

from events.errors import MisuseError
from ledger.store import open_ledger
from replay import views
from replay.cli.options import DEFAULT_LEDGER, AsJson, LedgerPath, seq_of
from replay.cli.output import clip, grouped, print_json, print_table, progress, say
from replay.core import policy as policies
from replay.core.policy import FillKind, Order, Policy, Ratio
from replay.core.spelling import spell, spell_measure
from replay.core.state import State
from replay.explain.views import ratio_view
from replay.fold import replay
from replay.lights import Part, Parts, Place, Rule, SideQueue, lights, parts, rule_for
from replay.presets import Lights, load, spell_lights
from replay.queries.answers import ratio_text

__all__ = ["market_named", "queue"]

Side = Literal["long", "short"]

SHOWN = 15
ALL_OF_THEM = "All of them, exact: the same command with --json"
AROUND = 5  # rows on either side of the account asked about
NAME_WIDTH = 18
SIDES = {"long": 1, "short": -1}
# A policy that does not ask which side one holds.
EVERYBODY = "all"
DIGITS_LEAST, DECIMALS_LEAST, DECIMALS_MAX = 3, 4, 12
PERCENT_DECIMALS = 2


def queue(
    *,
    market: Annotated[str, Parameter(help="The market, by its symbol.")],
    ledger: LedgerPath = DEFAULT_LEDGER,
    at: Annotated[str | None, Parameter(help="A seq or a UTC time; the end of the ledger when left out.")] = None,
    account: Annotated[str | None, Parameter(help="Only this account, with who stands around it.")] = None,
    policy: Annotated[str | None, Parameter(help="Another policy than the one in force: a name, or a TOML file.")] = None,
    side: Annotated[Side | None, Parameter(help="Only this side.")] = None,
    json: AsJson = False,
) -> int:
    """Show the ADL queue of a market: each account's rank, percentile and light, and the score that puts it there.

    Rank 1 is closed first. The percentile is how much of the side's contracts, or accounts, are closed when the account's turn
    ends, rounded up to the step of the venue's lights. A policy that fills by a level has no queue; then it is shown what each
    account would give if 1% of the open interest were closed.
    """
    given = None if policy is None else load(policy)
    with open_ledger(ledger) as opened, progress("replaying") as update:
        state = replay(opened, seq_of(opened, at, default=opened.head), progress=update)
    number = market_named(state, market)
    asked = None if account is None else _account_named(state, account)
    rule = rule_for(state, number, given)
    found = [(name, _side(state, number, sign, rule)) for name, sign in _sides(rule, side)]
    if json:
        print_json({"ledger": str(ledger), **_view(state, number, rule, found, asked, given is not None)})
    else:
        _print(state, number, rule, found, asked, given is not None)
    return 0


def market_named(state: State, symbol: str) -> int:
    """Return the market of that symbol. Raises ``MisuseError`` where there is none."""
    for number, market in enumerate(state.markets):
        if market.listed.symbol == symbol:
            return number
    known = ", ".join(market.listed.symbol for market in state.markets[:SHOWN]) or "none yet"
    raise MisuseError(f"there is no market {symbol!r} at seq {state.seq}.", cure=f"There are: {known}.")


def _account_named(state: State, name: str) -> int:
    for opened in state.accounts:
        if opened.name == name:
            return opened.account
    raise MisuseError(f"there is no account {name!r} at seq {state.seq}.", cure="`adl state` lists the accounts.")


def _sides(rule: Rule, side: Side | None) -> list[tuple[str, int]]:
    if rule.policy is not None and rule.policy.scope.side is not policies.Side.OPPOSITE:
        return [(EVERYBODY, SIDES["long"])]
    return [(name, sign) for name, sign in SIDES.items() if side in {None, name}]


def _side(state: State, market: int, side: int, rule: Rule) -> SideQueue | Parts:
    if rule.policy is None:
        return SideQueue((), 0, rule.missing)
    if rule.policy.fill.kind is FillKind.QUEUE:
        return lights(state, market, side, rule.policy, rule.lights)
    return parts(state, market, side, rule.policy)


# ---- JSON


def _view(
    state: State, market: int, rule: Rule, found: Sequence[tuple[str, SideQueue | Parts]], asked: int | None, other: bool
) -> dict[str, Any]:
    texts = None if rule.policy is None else spell(rule.policy)
    shown, listed = rule.lights, views.market_view(state, market)
    return {
        "seq": state.seq,
        "market": state.markets[market].listed.symbol,
        "mark": views.price_text(state, market, state.marks[market] or None),
        "open_interest": listed["open_interest"],
        "open_interest_at_least": listed["open_interest_at_least"],
        "policy": rule.name,
        "policy_in_force": not other,
        "preset": rule.preset,
        "key": None if texts is None else texts[2],
        "fill": None if texts is None else texts[3],
        "lights": {"by": shown.by.value, "count": shown.count, "low": shown.low, "highest_next": shown.highest_next},
        "account": None if asked is None else state.accounts[asked].name,
        "sides": [_side_view(state, market, rule.policy, name, one, asked) for name, one in found],
    }


def _side_view(
    state: State, market: int, policy: Policy | None, side: str, one: SideQueue | Parts, asked: int | None
) -> dict[str, Any]:
    cash = policy is not None and policy.fill.cash
    head = {"side": side, "unit": "cash" if cash else "size", "missing": list(one.missing)}

    def amount(value: int) -> str | None:
        return views.cash_text(state, value) if cash else views.size_text(state, market, value)

    if isinstance(one, Parts):
        level = [
            {
                "account": state.accounts[part.account].name,
                "size": views.size_text(state, market, part.size),
                "share": ratio_view(part.share),
                "given": amount(part.given),
            }
            for part in one.parts
            if asked in {None, part.account}
        ]
        return head | {"amount": amount(one.amount), "parts": level}
    places = [place for place in one.places if asked in {None, place.ranked.account}]
    candidates = [_place_view(state, market, policy, place) for place in places]
    for row, place in zip(candidates, places, strict=True):
        row |= {"reach": amount(place.reach), "ahead": amount(place.ahead)}
    return head | {"reach": amount(one.reach), "candidates": candidates}


def _place_view(state: State, market: int, policy: Policy | None, place: Place) -> dict[str, Any]:
    row = place.ranked
    ties = () if policy is None else policy.key.ties
    return {
        "rank": row.rank,
        "account": state.accounts[row.account].name,
        "size": views.size_text(state, market, row.size),
        "share": ratio_view(place.share),
        "percentile": ratio_view(place.percentile),
        "light": place.light,
        "score": ratio_view(row.score),
        "return": ratio_view(row.returns),
        "leverage": ratio_view(row.leverage),
        "ties": [
            {"rule": f"{spell_measure(tie.measure)} {'desc' if tie.descending else 'asc'}", "value": ratio_view(value)}
            for tie, value in zip(ties, row.ties, strict=False)
        ],
        "profit": views.cash_text(state, row.profit),
        "entry_notional": views.cash_text(state, row.entry_notional),
        "notional": views.cash_text(state, row.notional),
        "equity": views.cash_text(state, row.equity),
    }


# ---- The page


def _print(
    state: State, market: int, rule: Rule, found: Sequence[tuple[str, SideQueue | Parts]], asked: int | None, other: bool
) -> None:
    symbol = state.markets[market].listed.symbol
    mark = grouped(views.price_text(state, market, state.marks[market] or None) or "not known")
    listed = views.market_view(state, market)
    bound = "" if listed["open_interest"] is not None else "at least "
    interest = f"{bound}{grouped(listed['open_interest_at_least'])}"
    say(f"[bold]{escape(symbol)}[/bold] at seq {state.seq:,}: mark {mark}, open interest {interest}")
    if rule.name is None:
        say("No policy is in force. Name one with --policy; `adl policies` lists them.")
        return
    if rule.policy is None:
        say(f"The policy in force, {escape(repr(rule.name))}, cannot be read: {escape('; '.join(rule.missing))}")
        say("Name one with --policy; `adl policies` lists them.")
        return
    preset = f", which is the preset {rule.preset}" if rule.preset not in {None, rule.name} else ""
    say(f"Policy {escape(repr(rule.name))}, {'asked for; it is not the one in force' if other else f'in force{preset}'}.")
    for line in _words(rule.policy, rule.lights):
        say(escape(line))
    for name, one in found:
        say()
        if one.missing:
            lacks = escape("; ".join(one.missing))
            say(f"[bold]{_holders(name)}[/bold]: undecidable, the record lacks {lacks}.")
        elif isinstance(one, Parts):
            _print_parts(state, market, rule.policy, name, one, asked)
        else:
            _print_queue(state, market, rule, name, one, asked)


def _words(policy: Policy, shown: Lights) -> list[str]:
    """Return how the queue is made, in sentences."""
    texts = spell(policy)
    if policy.fill.kind is not FillKind.QUEUE:
        return [f"It has no queue, as all bear a part at once: {texts[3]}."]
    if policy.key.order is not Order.SCORE:
        return [f"Order: {texts[2]}. The list comes with a round; before it nobody has a place."]
    said = [f"Order: {texts[2]}. Rank 1 is closed first."]
    if policy.scope.own_first:
        said.append("In a round the accounts of the loser's own owner come before all of these.")
    if shown.count:
        return [*said, f"Lights: {spell_lights(shown)}."]
    return [*said, "No lights are known of this rule; the percentile is of the contracts, and exact."]


def _holders(side: str) -> str:
    return "Candidates" if side == EVERYBODY else f"{side.capitalize()}s"


def _print_queue(state: State, market: int, rule: Rule, side: str, one: SideQueue, asked: int | None) -> None:
    places = _around([place.ranked.account for place in one.places], asked)
    if not places:
        _print_nobody(state, side, len(one.places), asked)
        return
    shown = [one.places[place] for place in places]
    rows = [_row(state, market, rule.lights, place, asked) for place in shown]
    columns = ["rank", "account", "size", "percentile", "light", "score", "return", "leverage", "equity"]
    if not rule.lights.count:
        columns.remove("light")
        rows = [(*row[:4], *row[5:]) for row in rows]
    right = [name for name in columns if name not in {"account", "light"}]
    title = f"{_holders(side)} ({len(shown)} of {len(one.places):,})"
    print_table(title, columns, rows, right=right, drop=("equity", "leverage", "return"))
    if len(shown) < len(one.places):
        say(ALL_OF_THEM)
    own = next((place for place in one.places if place.ranked.account == asked), None)
    if own is not None and own.reach and rule.policy is not None and not rule.policy.fill.cash:
        ahead, name = views.size_text(state, market, own.ahead) or "", clip(state.accounts[own.ranked.account].name, NAME_WIDTH)
        say(f"{escape(name)} is closed by a round of more than {grouped(ahead)} contracts.")


def _print_nobody(state: State, side: str, number: int, asked: int | None) -> None:
    who = "" if asked is None else f"{clip(state.accounts[asked].name, NAME_WIDTH)} is none of the "
    say(f"[bold]{_holders(side)}[/bold]: {escape(who)}{number:,} candidates.")


def _around(accounts: Sequence[int], asked: int | None) -> range:
    """Return which places are shown: the first, or those around the account asked about."""
    if asked is None:
        return range(min(SHOWN, len(accounts)))
    if asked not in accounts:
        return range(0)
    place = accounts.index(asked)
    return range(max(place - AROUND, 0), min(place + AROUND + 1, len(accounts)))


def _row(state: State, market: int, shown: Lights, place: Place, asked: int | None) -> tuple[str, ...]:
    row = place.ranked
    equity = views.cash_text(state, row.equity)
    return (
        f"{row.rank:,}",
        _name(state, row.account, asked),
        grouped(views.size_text(state, market, row.size) or ""),
        "none" if place.percentile is None else _percent(place.percentile),
        "-" if place.light is None else f"{place.light} {'█' * place.light if shown.highest_next else ''}".rstrip(),
        _short(row.score),
        _short(row.returns),
        "-" if row.leverage is None else grouped(ratio_text(*row.leverage, PERCENT_DECIMALS)),
        "-" if equity is None else grouped(equity.partition(".")[0]),
    )


def _name(state: State, account: int, asked: int | None) -> str:
    name = clip(state.accounts[account].name, NAME_WIDTH)
    return name if asked is None else f"{'>' if account == asked else ' '} {name}"


def _percent(percent: Ratio) -> str:
    text = ratio_text(*percent, PERCENT_DECIMALS)
    return f"{text.removesuffix('.00')}%"


def _short(value: Ratio | None) -> str:
    """Return a number with as many decimals as show what is in it: scores can be very small."""
    if value is None:
        return "-"
    if value.numerator == 0:
        return "0"
    for decimals in range(DECIMALS_LEAST, DECIMALS_MAX):
        text = ratio_text(*value, decimals)
        if len(text.lstrip("-0.").replace(".", "")) >= DIGITS_LEAST:
            return grouped(text)
    return ratio_text(*value, DECIMALS_MAX)


def _print_parts(state: State, market: int, policy: Policy, side: str, one: Parts, asked: int | None) -> None:
    def amount(value: int) -> str:
        text = views.cash_text(state, value) if policy.fill.cash else views.size_text(state, market, value)
        return grouped(text or "")

    currency = state.opened.currency if state.opened else ""
    chosen = [one.parts[place] for place in _around([part.account for part in one.parts], asked)]
    if not chosen:
        _print_nobody(state, side, len(one.parts), asked)
        return
    what = f"{amount(one.amount)} {currency} are raised" if policy.fill.cash else f"{amount(one.amount)} contracts are closed"
    given = sum(part.given for part in one.parts)
    short = f" All can give {amount(given)} of it." if given < one.amount else ""
    say(f"If 1% of the open interest is to be covered, {what}.{short}")
    rows = [_part_row(state, market, part, amount(part.given), asked) for part in chosen]
    columns = ("account", "size", "weight", f"pays {currency}" if policy.fill.cash else "closed")
    print_table(f"{_holders(side)} ({len(chosen)} of {len(one.parts):,})", columns, rows, right=columns[1:])
    if len(chosen) < len(one.parts):
        say(ALL_OF_THEM)


def _part_row(state: State, market: int, part: Part, given: str, asked: int | None) -> tuple[str, ...]:
    percent = None if part.share is None else Ratio(part.share.numerator * 100, part.share.denominator)
    return (
        _name(state, part.account, asked),
        grouped(views.size_text(state, market, part.size) or ""),
        "-" if percent is None else _percent(percent),
        given,
    )
