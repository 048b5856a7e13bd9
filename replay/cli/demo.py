"""The verb demo: an ADL incident from nothing, recorded, verified, replayed, audited and told."""

import time
from collections.abc import Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast

from events.beginning import BEGINNING_EVENTS
from events.errors import MisuseError
from events.model import FIRST_FREE_ACCOUNT, LedgerOpened, Role
from events.times import format_utc
from events.units import PPM
from ledger.store import create, log_digest, open_ledger
from ledger.verify import verify
from replay import views
from replay.audit import RoundVerdict, audit
from replay.cli.options import AsJson, LedgerPath
from replay.cli.output import clip, grouped, print_json, print_table, progress, say
from replay.cli.rounds import print_rounds
from replay.cli.telling import print_next, whole_units
from replay.core.state import State
from replay.fold import check, replay
from replay.scenarios import load, play
from replay.story import Step, Story, tell

__all__ = ["demo", "record_incident"]

DEMO_LEDGER = Path("demo.adl")
DEMO_SCENARIO = "crash"
BATCH_EVENTS = 5_000
# Events of the incident, for the progress bar only.
ABOUT_EVENTS = 200_000

BAR_WIDTH = 10
WINNERS_SHOWN = 8
ROUNDS_SHOWN = 8
NAME_WIDTH = 18
FAILED_STATUS = 1


def record_incident(path: Path) -> int:
    """Record the demo incident at ``path`` and return the number of events stored now.

    A recording that was stopped goes on where it stopped. Raises ``MisuseError`` when another ledger stands there.
    """
    events = play(load(DEMO_SCENARIO))
    # The source is the scenario itself, so these name what the ledger is of.
    begun = list(islice(events, BEGINNING_EVENTS + 1))
    if not path.exists():
        create(path, cast("LedgerOpened", begun[0]))
    with open_ledger(path, write=True) as ledger, progress("recording") as update:
        before = ledger.head
        if [event for _, event in ledger.events(1, min(before, len(begun)))] != begun[:before]:
            raise MisuseError("this is another ledger than the demo's.", file=str(path), cure="Give --ledger a new name.")
        todo = islice(chain(begun, events), before, None)
        while batch := list(islice(todo, BATCH_EVENTS)):
            ledger.append(batch, expected_head=ledger.head)
            update(ledger.head, max(ABOUT_EVENTS, ledger.head))
        return ledger.head - before


def demo(*, ledger: LedgerPath = DEMO_LEDGER, json: AsJson = False) -> int:
    """Record an ADL incident, verify it, replay it, audit it, and tell what happened. It is the same on every machine."""
    clock = _Clock()
    new = record_incident(ledger)
    clock.note("recorded")
    with progress("verifying") as update:
        verified = verify(ledger, update)
    with open_ledger(ledger) as opened:
        clock.note("verified")
        with progress("replaying") as update:
            state = replay(opened, progress=update)
        clock.note("replayed")
        with progress("checking") as update:
            findings = sum(1 for _ in check(opened, progress=update))
        clock.note("checked")
        with progress("auditing") as update:
            verdicts = audit(opened, update)
        with progress("telling") as update:
            story = tell(opened, update)
        digest = log_digest(opened).hex()
    reproduced = sum(1 for verdict in verdicts if verdict.verdict == "reproduced")
    facts = {
        "ledger": str(ledger),
        "events": state.seq,
        "new_events": new,
        "accounts": len(state.accounts) - FIRST_FREE_ACCOUNT,
        "traders": sum(1 for account in state.accounts if account.role == Role.USER and account.owner == account.account),
        "markets": len(state.markets),
        "verified": verified.clean,
        "log_digest": digest,
        "check_findings": findings,
        "adl_rounds": len(verdicts),
        "adl_rounds_reproduced": reproduced,
        **views.roots_view(state),
    }
    if json:
        print_json(facts | {"story": story_view(state, story)})
    else:
        _print_steps(facts, clock, ledger)
        _print_timeline(state, story)
        largest = sorted(verdicts, key=lambda verdict: (-verdict.facts.notional, verdict.round))[:ROUNDS_SHOWN]
        print_rounds(state, largest, f"Largest ADL rounds ({len(largest)} of {len(verdicts)})")
        say()
        _print_winners(state, story)
        say(f"[bold]State root[/bold] {facts['state_root']}")
        say("Whoever replays this log gets these 32 bytes, or the log or the reducer differs.\n")
        _print_next(state, ledger, largest)
    return 0 if verified.clean and not findings and reproduced == len(verdicts) else FAILED_STATUS


class _Clock:
    """What each step took, in words."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self.took: dict[str, str] = {}

    def note(self, step: str) -> None:
        """End a step."""
        now = time.perf_counter()
        self.took[step] = f"{step} in {now - self._last:.1f} s"
        self._last = now


def _print_steps(facts: Mapping[str, Any], clock: _Clock, ledger: Path) -> None:
    who = f"{facts['accounts']:,} accounts of {facts['traders']:,} traders, {facts['markets']} markets"
    size_mb = ledger.stat().st_size / 1e6
    did = clock.took["recorded"] if facts["new_events"] else "already recorded"
    reproduced, rounds = facts["adl_rounds_reproduced"], facts["adl_rounds"]
    balanced = "contracts and cash sum to zero after every event"
    say("[bold]An ADL incident, made up and deterministic[/bold]\n")
    say(f" 1 Record   {facts['events']:,} events: {who}; {size_mb:.1f} MB, {did}")
    say(f" 2 Verify   {_word(facts['verified'])}: every record in its place and in its one spelling")
    say(f" 3 Replay   {_word(not facts['check_findings'])}: {balanced}; {clock.took['replayed']}, {clock.took['checked']}")
    say(f" 4 Audit    {_word(reproduced == rounds)}: {reproduced} of {rounds} ADL rounds follow the rule in force exactly\n")


def _word(good: bool) -> str:
    return "[green]clean[/green]" if good else "[red]findings[/red]"


def story_view(state: State, story: Story) -> dict[str, Any]:
    """Return a story with decimal text for its amounts."""

    def step_view(step: Step) -> dict[str, Any]:
        return {
            "at": format_utc(step.at_ns),
            "mark": views.price_text(state, story.reference, step.mark) if story.reference is not None else None,
            "all_markets_ppm": step.index_ppm,
            "fund": views.cash_text(state, step.fund_cash),
            "liquidations": step.liquidations,
            "liquidated": views.cash_text(state, step.liquidated_cash),
            "drawn": views.cash_text(state, step.drawn_cash),
            "adl_rounds": step.rounds,
            "adl_closes": step.closes,
            "adl_closed": views.cash_text(state, step.closed_cash),
        }

    return {
        "reference_market": state.markets[story.reference].listed.symbol if story.reference is not None else None,
        "step_ns": story.step_ns,
        "steps": [step_view(step) for step in story.steps],
        "fund": {
            "first": views.cash_text(state, story.fund_first),
            "lowest": views.cash_text(state, story.fund_low),
            "last": views.cash_text(state, story.fund_last),
            "drawn": views.cash_text(state, story.drawn_cash),
        },
        "liquidations": story.liquidations,
        "liquidated": views.cash_text(state, story.liquidated_cash),
        "adl_closes": story.closes,
        "adl_closed": views.cash_text(state, story.closed_cash),
        "winners": [
            {
                "account": state.accounts[winner.account].name,
                "closes": winner.closes,
                "closed": views.cash_text(state, winner.closed_cash),
            }
            for winner in story.winners
        ],
    }


def _change(index_ppm: int | None) -> str:
    """Return how far the markets have moved on average since the record began, in percent with one digit, cut."""
    if index_ppm is None:
        return "-"
    change = index_ppm - PPM
    tenths = abs(change) // 1_000
    sign = "" if not tenths else "-" if change < 0 else "+"
    return f"{sign}{tenths // 10}.{tenths % 10}%"


def _bar(amount: int, largest: int) -> str:
    """Return a bar; what is not zero shows at least a sliver."""
    if not amount or not largest:
        return ""
    return "█" * (amount * BAR_WIDTH // largest) or "▏"


def _print_timeline(state: State, story: Story) -> None:
    symbol = state.markets[story.reference].listed.symbol if story.reference is not None else ""
    largest = max((step.liquidated_cash + step.closed_cash for step in story.steps), default=0)
    rows = [
        (
            format_utc(step.at_ns, 0)[11:19],
            grouped(views.price_text(state, story.reference or 0, step.mark) or "-"),
            _change(step.index_ppm),
            whole_units(state, step.fund_cash),
            f"{step.liquidations:,}" if step.liquidations else "",
            whole_units(state, step.liquidated_cash) if step.liquidations else "",
            f"{step.rounds:,}" if step.rounds else "",
            whole_units(state, step.closed_cash) if step.closes else "",
            _bar(step.liquidated_cash + step.closed_cash, largest),
        )
        for step in story.steps
    ]
    currency = state.opened.currency if state.opened else ""
    columns = ("time", f"{symbol} mark", "markets", "fund", "liquidations", "liquidated", "rounds", "ADL closed", "forced")
    day = format_utc(story.steps[0].at_ns, 0)[:10] if story.steps else ""
    print_table(
        f"What happened, {day} UTC, amounts in {currency}", columns, rows, right=columns[1:8], drop=("liquidations", "rounds")
    )
    first, drawn, lowest, last = (
        whole_units(state, cash) for cash in (story.fund_first, story.drawn_cash, story.fund_low, story.fund_last)
    )
    say(f"\nInsurance fund: {first} before, {drawn} drawn, lowest {lowest}, {last} at the end of the record\n")


def _print_winners(state: State, story: Story) -> None:
    rows = [
        (
            clip(state.accounts[winner.account].name, NAME_WIDTH),
            state.accounts[winner.account].margin.name.lower(),
            str(winner.closes),
            whole_units(state, winner.closed_cash),
        )
        for winner in story.winners[:WINNERS_SHOWN]
    ]
    title = f"Who was closed ({len(rows)} of {len(story.winners)} accounts, {whole_units(state, story.closed_cash)} in all)"
    print_table(title, ("account", "margin", "closes", "notional"), rows, right=("closes", "notional"))
    say()


def _print_next(state: State, ledger: Path, verdicts: list[RoundVerdict]) -> None:
    commands = [(f"audit --ledger {ledger}", "every ADL round with its verdict")]
    if verdicts:
        chosen = verdicts[0]
        loser = state.accounts[chosen.loser].name
        commands += [
            (f"explain --round {chosen.round} --ledger {ledger}", "why these accounts and not others, in the largest round"),
            (f"show {chosen.seq} --ledger {ledger}", "that round as recorded: its fields, its bytes, before and after"),
            (f"state --ledger {ledger} --account {loser} --at {chosen.seq - 1}", "its bankrupt account, just before"),
        ]
    commands.append(("simulate --list", "other incidents: a squeeze, a slow bleed, a run on the fund, an oracle spike"))
    print_next(commands)
