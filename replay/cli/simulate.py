"""The verb simulate: a scenario run into a new ledger, audited, and told in the small."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, cast

from cyclopts import Parameter
from msgspec import Struct
from msgspec.structs import replace

from events.errors import MisuseError
from events.model import FIRST_FREE_ACCOUNT, AnyEvent, InsuranceDraw, LedgerOpened, PriceTick, Reason, Transfer
from events.times import NS_PER_SECOND
from events.units import PPM
from ledger.store import create, log_digest, open_ledger
from replay import presets, scenarios, views
from replay.audit import RoundVerdict, audit
from replay.cli.options import AsJson
from replay.cli.output import clip, grouped, print_json, print_table, progress, say
from replay.cli.telling import print_next, whole_units
from replay.core.state import State
from replay.deficits import Register, Totals, register
from replay.fold import replay, stored, watched
from replay.scenarios import Outcome, Scenario
from replay.story import Story, tell

__all__ = ["record", "simulate"]

_BATCH_EVENTS = 5_000
_NAME_WIDTH = 24
_FAILED_STATUS = 1


class _Recorded(Struct):
    """What is counted while a scenario is recorded. ``marks`` are first, lowest, highest and last, by market.

    ``socialised_cash`` is what accounts paid of others' losses: in rounds that move money, or as a part of a withdrawal.
    """

    outcome: Outcome
    counts: Counter[str]
    marks: dict[int, list[int]] = {}
    payers: set[int] = set()
    socialised_cash: int = 0


def simulate(
    scenario: Annotated[str | None, Parameter(help="A shipped scenario's name, or a TOML file.")] = None,
    /,
    *,
    ledger: Annotated[Path | None, Parameter(name=["--ledger", "-l"], help="The new ledger file; by default NAME.adl.")] = None,
    policy: Annotated[str | None, Parameter(help="Another ADL policy: a preset's name, or a TOML file.")] = None,
    seed: Annotated[int | None, Parameter(help="Another seed.")] = None,
    list_: Annotated[bool, Parameter(name="--list", negative="", help="List the shipped scenarios.")] = False,
    json: AsJson = False,
) -> int:
    """Run a scenario into a new ledger, audit it, and tell what happened. It is the same on every machine."""
    if list_:
        return _list(json=json)
    if scenario is None:
        raise MisuseError("no scenario is named.", cure=f"There are: {', '.join(scenarios.shipped())}; or name a TOML file.")
    chosen = _chosen(scenario, policy, seed)
    path = Path(f"{Path(scenario).stem}.adl") if ledger is None else ledger
    recorded = record(path, chosen)
    with open_ledger(path) as opened:
        with progress("replaying") as update:
            state = replay(opened, progress=update)
        with progress("auditing") as update:
            verdicts = audit(opened, update)
        with progress("summing up") as update, stored(opened):
            deficits = register(watched(opened, update))
        with progress("telling") as update:
            story = tell(opened, update)
        digest = log_digest(opened).hex()
    kinds = dict(sorted(Counter(verdict.verdict for verdict in verdicts).items()))
    if json:
        facts = {"scenario": scenario, "ledger": str(path), "log_digest": digest, **_told(chosen, recorded, state)}
        story_facts = _story_view(state, story, recorded)
        print_json(
            {**facts, **story_facts, "verdicts": kinds, "deficits": _deficits_view(state, deficits), **views.roots_view(state)}
        )
    else:
        _print(chosen, path, recorded, state, story)
        _print_audit(chosen, state, kinds, deficits)
        say(f"\n[bold]State root[/bold] {views.roots_view(state)['state_root']}\n")
        _print_next(state, path, verdicts)
    return 0 if set(kinds) <= {"reproduced"} else _FAILED_STATUS


def _list(*, json: bool) -> int:
    found = [(name, scenarios.load(name)) for name in scenarios.shipped()]
    if json:
        print_json({"scenarios": [{"scenario": name, "title": each.title, "seed": each.seed} for name, each in found]})
        return 0
    print_table("", ("scenario", "title"), [(name, each.title) for name, each in found], cut="title")
    return 0


def _chosen(name: str, policy: str | None, seed: int | None) -> Scenario:
    """Return the scenario with the policy and the seed that are asked for. Its source's name says what was changed."""
    chosen, changes = scenarios.load(name), []
    if seed is not None:
        if not 0 <= seed < 2**63:
            raise MisuseError(f"{seed} is no seed.", cure="Give a whole number from 0 to 2**63 - 1.")
        chosen = replace(chosen, seed=seed)
        changes.append(f"seed {seed}")
    if policy is not None:
        texts = presets.load(policy).texts
        chosen = replace(chosen, policy=texts)
        changes.append(f"policy {texts.name}")
    return replace(chosen, source=", ".join((chosen.source, *changes))[:256])


def record(path: Path, scenario: Scenario) -> _Recorded:
    """Record a scenario in a new ledger at ``path``. Where it fails, no ledger is left.

    Raises ``MisuseError`` where a file stands there, and what ``play`` and ``Ledger.append`` raise.
    """
    recorded = _Recorded(Outcome(), Counter())
    events = scenarios.play(scenario, recorded.outcome)
    create(path, cast("LedgerOpened", next(events)))
    try:
        with open_ledger(path, write=True) as ledger, progress("recording") as update:
            # The reserved accounts were made with the ledger.
            todo = _counted(islice(events, ledger.head - 1, None), recorded)
            seconds = sum(phase.seconds for phase in scenario.phases)
            while batch := list(islice(todo, _BATCH_EVENTS)):
                ledger.append(batch, expected_head=ledger.head)
                update((batch[-1].at_ns - scenario.begins_ns) // NS_PER_SECOND, seconds)
    except BaseException:
        for file in (path, path.with_name(f"{path.name}-lock")):
            file.unlink(missing_ok=True)
        raise
    return recorded


def _counted(events: Iterator[AnyEvent], recorded: _Recorded) -> Iterator[AnyEvent]:
    for event in events:
        recorded.counts[type(event).__name__] += 1
        if isinstance(event, PriceTick) and event.mark is not None:
            marks = recorded.marks.setdefault(event.market, [event.mark] * 4)
            marks[1:] = min(marks[1], event.mark), max(marks[2], event.mark), event.mark
        elif isinstance(event, Transfer) and event.reason is Reason.SOCIALISED_LOSS:
            recorded.payers.add(event.payer)
            recorded.socialised_cash += event.cash
        yield event


# ---- For machines


def _told(chosen: Scenario, recorded: _Recorded, state: State) -> dict[str, Any]:
    outcome = recorded.outcome
    return {
        "title": chosen.title,
        "source": chosen.source,
        "seed": chosen.seed,
        "policy": chosen.policy.name,
        "events": state.seq,
        "accounts": len(state.accounts) - FIRST_FREE_ACCOUNT,
        "markets": [
            {
                "market": market.listed.symbol,
                **{
                    name: views.price_text(state, number, mark)
                    for name, mark in zip(("first", "lowest", "highest", "last"), recorded.marks[number], strict=True)
                },
            }
            for number, market in enumerate(state.markets)
        ],
        "orders": outcome.orders,
        "orders_refused": outcome.orders_refused,
        "withdrawals": outcome.withdrawals,
        "withdrawals_refused": outcome.withdrawals_refused,
        "below_by_mark_alone": [state.accounts[account].name for account in outcome.only_by_mark],
    }


def _story_view(state: State, story: Story, recorded: _Recorded) -> dict[str, Any]:
    return {
        "liquidations": story.liquidations,
        "liquidated": views.cash_text(state, story.liquidated_cash),
        "fund": {
            "first": views.cash_text(state, story.fund_first),
            "lowest": views.cash_text(state, story.fund_low),
            "last": views.cash_text(state, story.fund_last),
            "drawn": views.cash_text(state, story.drawn_cash),
        },
        "draws": recorded.counts[InsuranceDraw.__name__],
        "adl_rounds": story.rounds,
        "adl_closes": story.closes,
        "adl_closed": views.cash_text(state, story.closed_cash),
        "adl_accounts": len(story.winners),
        "socialised": views.cash_text(state, recorded.socialised_cash),
        "socialised_accounts": len(recorded.payers),
    }


def _deficits_view(state: State, found: Register) -> dict[str, Any]:
    def view(totals: Totals) -> dict[str, Any]:
        return {
            "episodes": totals.episodes,
            "accounts": totals.accounts,
            "opened": views.cash_text(state, totals.opened_cash),
            "moved": views.cash_text(state, totals.moved_cash),
            "covered": {layer.value: views.cash_text(state, cash) for layer, cash in totals.covered.items()},
            "left": views.cash_text(state, totals.left_cash),
        }

    return {"users": view(found.users), "venue": view(found.venue)}


# ---- For people


def _print(chosen: Scenario, path: Path, recorded: _Recorded, state: State, story: Story) -> None:
    outcome, seconds = recorded.outcome, sum(phase.seconds for phase in chosen.phases)
    currency = chosen.currency
    accounts = len(state.accounts) - FIRST_FREE_ACCOUNT
    say(f"[bold]{chosen.title}[/bold]")
    say(f"Made up and deterministic: {chosen.source}\n")
    _print_marks(state, recorded.marks)
    say(f"\n Recorded      {state.seq:,} events of {accounts:,} accounts in {seconds // 60:,} minutes; {path}")
    say(f" Orders        {outcome.orders:,}, of these {outcome.orders_refused:,} refused")
    say(f" Withdrawals   {outcome.withdrawals:,}, of these {outcome.withdrawals_refused:,} refused")
    if outcome.only_by_mark:
        say(f" By the mark   {_accounts(len(outcome.only_by_mark))} below margin at mark alone, not at the prices of trades")
    say(f" Liquidations  {story.liquidations:,} of {whole_units(state, story.liquidated_cash)} {currency}")
    draws = recorded.counts[InsuranceDraw.__name__]
    first, low, last = (whole_units(state, cash) for cash in (story.fund_first, story.fund_low, story.fund_last))
    drawn, closed = whole_units(state, story.drawn_cash), whole_units(state, story.closed_cash)
    say(f" Fund          {first} at first, lowest {low}, {last} at last; {draws:,} draws of {drawn}")
    with_whom = _accounts(len(story.winners))
    say(f" ADL           {story.rounds:,} rounds, {story.closes:,} closes of {closed} {currency} with {with_whom}")
    if recorded.payers:
        paid = whole_units(state, recorded.socialised_cash)
        say(f" Socialised    {paid} {currency} of others' losses, paid by {_accounts(len(recorded.payers))}")


def _accounts(count: int) -> str:
    return f"{count:,} account{'' if count == 1 else 's'}"


def _print_marks(state: State, marks: Mapping[int, Sequence[int]]) -> None:
    rows = [
        (
            state.markets[number].listed.symbol,
            *(grouped(views.price_text(state, number, mark) or "-") for mark in of_market),
            _change(of_market[1], of_market[0]),
            _change(of_market[2], of_market[0]),
        )
        for number, of_market in sorted(marks.items())
    ]
    columns = ("market", "first mark", "lowest", "highest", "last", "fell by", "rose by")
    print_table("", columns, rows, right=columns[1:], drop=("last",))


def _change(mark: int, first: int) -> str:
    """Return a move from the first mark in percent with one digit, cut."""
    tenths = abs(mark - first) * PPM // first // 1_000
    return f"{tenths // 10:,}.{tenths % 10}%"


def _print_audit(chosen: Scenario, state: State, kinds: Mapping[str, int], deficits: Register) -> None:
    rounds = sum(kinds.values())
    found = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items()) or "there was no round to judge"
    good = set(kinds) <= {"reproduced"}
    of = f" of {rounds:,} rounds" if rounds else ""
    say(f" Audit         [{'green' if good else 'red'}]{found}[/]{of} under the policy {chosen.policy.name}")
    for name, totals in (("Deficits", deficits.users), ("Venue's own", deficits.venue)):
        if totals.episodes:
            bore = [f"{layer.value} {whole_units(state, cash)}" for layer, cash in totals.covered.items() if cash]
            sums = f"{whole_units(state, totals.deficit_cash)} {chosen.currency} of {_accounts(totals.accounts)}"
            say(f" {name:<13} {sums}: {', '.join((*bore, f'left {whole_units(state, totals.left_cash)}'))}")


def _print_next(state: State, path: Path, verdicts: Sequence[RoundVerdict]) -> None:
    commands = [(f"audit --ledger {path}", "every ADL round with its verdict")]
    if verdicts:
        largest = max(verdicts, key=lambda verdict: (verdict.facts.notional, -verdict.round))
        commands.append((f"show {largest.seq} --ledger {path}", "the largest round"))
        loser = clip(state.accounts[largest.loser].name, _NAME_WIDTH)
        commands.append(
            (f'state --ledger {path} --account "{loser}" --at {largest.seq - 1}', "its bankrupt account, just before")
        )
    commands.append(("policies", "other policies to run this under: adl simulate ... --policy NAME"))
    print_next(commands)
