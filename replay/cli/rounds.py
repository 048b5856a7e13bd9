"""ADL rounds as tables and as JSON: shared by audit and demo."""

from typing import Any

from events.times import format_utc
from replay import views
from replay.audit import Difference, Facts, Fit, RoundVerdict
from replay.cli.output import clip, grouped, print_table, say
from replay.core.state import State

__all__ = ["print_rounds", "round_view", "summary_view"]

NAME_WIDTH = 16
PPM_PER_PERCENT = 10_000


def summary_view(state: State, verdicts: list[RoundVerdict]) -> dict[str, Any]:
    """Return what holds of all rounds together: verdicts by kind, and the facts that need no policy."""
    kinds: dict[str, int] = {}
    for verdict in verdicts:
        kinds[verdict.verdict] = kinds.get(verdict.verdict, 0) + 1
    facts = [verdict.facts for verdict in verdicts]
    return {
        "rounds": len(verdicts),
        "verdicts": dict(sorted(kinds.items())),
        "closes": sum(fact.closes for fact in facts),
        "winners": len({winner for fact in facts for winner in fact.winners}),
        "closed_in_full": sum(fact.full for fact in facts),
        "closed_in_part": sum(fact.partial for fact in facts),
        "over_closes": sum(fact.over_closes for fact in facts),
        "flips": sum(fact.flips for fact in facts),
        "not_known": sum(fact.unknown for fact in facts),
        "rounds_with_all_but_last_in_full": sum(1 for fact in facts if fact.all_but_last_full),
        "rounds_with_one_price": sum(1 for fact in facts if fact.prices == 1),
        "notional": views.cash_text(state, sum(fact.notional for fact in facts)),
        "missing": sorted({name for verdict in verdicts for name in verdict.missing}),
    }


def round_view(state: State, verdict: RoundVerdict) -> dict[str, Any]:
    """Return one round with names for ids and decimal text for amounts."""
    market = verdict.market
    return {
        "round": verdict.round,
        "seq": verdict.seq,
        "last_seq": verdict.last_seq,
        "at": format_utc(verdict.at_ns),
        "market": state.markets[market].listed.symbol,
        "loser": state.accounts[verdict.loser].name,
        "policy": None if verdict.policy is None else state.policies[verdict.policy].name,
        "verdict": verdict.verdict,
        "difference": None if verdict.difference is None else _difference_view(state, market, verdict.difference),
        "missing": list(verdict.missing),
        "loser_size": views.size_text(state, market, verdict.loser_size),
        "loser_equity": views.cash_text(state, verdict.loser_equity),
        "fund": views.cash_text(state, verdict.fund),
        "expected_price": views.price_text(state, market, verdict.expected_price),
        "facts": _facts_view(state, market, verdict.facts),
        "profit_x_leverage": None if verdict.fit is None else _fit_view(verdict.fit),
    }


def _difference_view(state: State, market: int, difference: Difference) -> dict[str, Any]:
    def spelled(value: int | None) -> str | None:
        match difference.field:
            case "winner" | "order":
                return None if value is None else state.accounts[value].name
            case "size":
                return views.size_text(state, market, value)
            case "policy":
                return None if value is None else state.policies[value].name
            case _:
                return views.price_text(state, market, value)

    return {
        "field": difference.field,
        "seq": difference.seq,
        "close": difference.close,
        "expected": spelled(difference.expected),
        "recorded": spelled(difference.recorded),
    }


def _facts_view(state: State, market: int, facts: Facts) -> dict[str, Any]:
    return {
        "closes": facts.closes,
        "winners": len(facts.winners),
        "closed_in_full": facts.full,
        "closed_in_part": facts.partial,
        "over_closes": facts.over_closes,
        "flips": facts.flips,
        "not_known": facts.unknown,
        "all_but_last_in_full": facts.all_but_last_full,
        "prices": facts.prices,
        "size": views.size_text(state, market, facts.size),
        "notional": views.cash_text(state, facts.notional),
    }


def _fit_view(fit: Fit) -> dict[str, Any]:
    return {
        "rule": fit.rule,
        "is_a_match": False,  # an explanation from claims is never one
        "scored": fit.scored,
        "left_out": fit.left_out,
        "pairs_in_order": fit.concordant,
        "pairs_against": fit.discordant,
        "pairs_tied": fit.tied,
        "kendall_tau_ppm": fit.tau_ppm,
        "neighbours": fit.adjacent,
        "neighbours_in_order": fit.adjacent_in_order,
        "first_inversion_seq": fit.first_inversion,
    }


def print_rounds(state: State, verdicts: list[RoundVerdict], title: str) -> None:
    """Print a table of rounds, one line each, and under it every difference in words."""
    rows = [
        (
            str(verdict.round),
            f"{verdict.seq:,}",
            format_utc(verdict.at_ns, 3)[11:-1],
            state.markets[verdict.market].listed.symbol,
            clip(state.accounts[verdict.loser].name, NAME_WIDTH),
            grouped(views.size_text(state, verdict.market, verdict.facts.size) or "-"),
            str(verdict.facts.closes),
            str(verdict.facts.full),
            "" if verdict.fit is None or verdict.fit.tau_ppm is None else _percent(verdict.fit.tau_ppm),
            verdict.verdict if verdict.difference is None else f"{verdict.verdict} differs",
        )
        for verdict in verdicts
    ]
    fits = any(verdict.fit for verdict in verdicts)
    columns = ("round", "seq", "time (UTC)", "market", "loser", "size closed", "closes", "in full", "tau", "verdict")
    keep = [index for index, name in enumerate(columns) if fits or name != "tau"]
    right = ("round", "seq", "size closed", "closes", "in full", "tau")
    kept = [columns[i] for i in keep]
    print_table(title, kept, [[row[i] for i in keep] for row in rows], right=right, drop=("time (UTC)", "in full"))
    for verdict in verdicts:
        if verdict.difference is not None:
            view = _difference_view(state, verdict.market, verdict.difference)
            say(f"  round {verdict.round}, seq {view['seq']}: {_in_words(view)}")


def _in_words(view: dict[str, Any]) -> str:
    if view["field"] == "trigger":
        return "the policy's trigger did not hold when the round began"
    where = "the round" if view["close"] is None else f"close {view['close']}"
    return (
        f"{view['field']} of {where}: the rule gives {view['expected'] or 'none'}, the record has {view['recorded'] or 'none'}"
    )


def _percent(ppm: int) -> str:
    """Return parts per million as a fraction of one with two digits, cut."""
    cents = abs(ppm) // PPM_PER_PERCENT
    return f"{'-' if ppm < 0 else ''}{cents // 100}.{cents % 100:02d}"
