"""ADL rounds as tables and as JSON: shared by audit and demo."""

from typing import Any

from events.times import format_utc
from replay import views
from replay.audit import RoundVerdict
from replay.audit.bounds import Bounds
from replay.audit.facts import Facts
from replay.cli.output import clip, grouped, print_table, say
from replay.core.state import State
from replay.explain.views import difference_view
from replay.ordering.agreement import OrderFit
from replay.queries.answers import ratio_text

__all__ = ["print_rounds", "round_view", "summary_view"]

NAME_WIDTH = 16
PPM_PER_PERCENT = 10_000
BPS, BPS_DECIMALS = 10_000, 1
BOUNDS_SHOWN = 10


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
        "rounds_with_closes": sum(1 for fact in facts if fact.closes),
        "rounds_with_all_but_last_in_full": sum(1 for fact in facts if fact.closes and fact.all_but_last_full),
        "rounds_with_one_price": sum(1 for fact in facts if fact.prices == 1),
        "notional": views.cash_text(state, sum(fact.notional for fact in facts)),
        "charges": sum(fact.charges for fact in facts),
        "charged": views.cash_text(state, sum(fact.charged for fact in facts)),
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
        "difference": None if verdict.difference is None else difference_view(state, market, verdict.difference),
        "missing": list(verdict.missing),
        "loser_size": views.size_text(state, market, verdict.loser_size),
        "loser_equity": views.cash_text(state, verdict.loser_equity),
        "fund": views.cash_text(state, verdict.fund),
        "expected_price": views.price_text(state, market, verdict.expected_price),
        "facts": _facts_view(state, market, verdict.facts),
        "profit_x_leverage": None if verdict.fit is None else _fit_view(verdict.fit),
        "bounds": None if verdict.bounds is None else _bounds_view(state, market, verdict.bounds, verdict.facts),
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
        "charges": facts.charges,
        "charged": views.cash_text(state, facts.charged),
    }


def _fit_view(fit: OrderFit) -> dict[str, Any]:
    return {
        "rule": fit.rule,
        "is_a_match": False,  # an explanation from claims is never one
        "scored": fit.scored,
        "left_out": fit.left_out,
        "from_claims": fit.from_claims,
        "pairs_in_order": fit.concordant,
        "pairs_against": fit.discordant,
        "pairs_tied": fit.tied,
        "kendall_tau_ppm": fit.tau_ppm,
        "neighbours": fit.adjacent,
        "neighbours_in_order": fit.adjacent_in_order,
        "first_inversion_seq": fit.first_inversion,
        "kendall_tau_low_ppm": fit.bounds.low_ppm,
        "kendall_tau_high_ppm": fit.bounds.high_ppm,
    }


def _bounds_view(state: State, market: int, bounds: Bounds, facts: Facts) -> dict[str, Any]:
    """Return what an undecidable round still decides. ``*_bps`` are of mark, above zero where the price is above it."""
    spell = (
        views.cash_text(state, bounds.need_at_least) if facts.charges else views.size_text(state, market, bounds.need_at_least)
    )
    prices = {"low": bounds.price_low, "high": bounds.price_high}
    return {
        "need_at_least": spell,
        "need_unit": "cash" if facts.charges else "size",
        **{f"price_{end}": views.price_text(state, market, price) for end, price in prices.items()},
        "mark": views.price_text(state, market, bounds.mark),
        **{f"price_{end}_bps": _bps(price, bounds.mark) for end, price in prices.items()},
        "rule": bounds.rule,
        "scored": bounds.scored,
        "left_out": bounds.left_out,
        "kendall_tau_low_ppm": None if bounds.tau is None else bounds.tau.low_ppm,
        "kendall_tau_high_ppm": None if bounds.tau is None else bounds.tau.high_ppm,
        "equity": [
            {
                "account": state.accounts[one.account].name,
                "seq": one.seq,
                "at_least": views.cash_text(state, one.at_least),
                "at_most": views.cash_text(state, one.at_most),
            }
            for one in bounds.equity
        ],
    }


def _bps(price: int | None, mark: int | None) -> str | None:
    return None if price is None or not mark else ratio_text((price - mark) * BPS, mark, BPS_DECIMALS)


def print_rounds(state: State, verdicts: list[RoundVerdict], title: str) -> None:
    """Print a table of rounds, one line each, and under it every difference in words."""
    rows = [
        (
            str(verdict.round),
            f"{verdict.seq:,}",
            format_utc(verdict.at_ns, 3)[11:-1],
            state.markets[verdict.market].listed.symbol,
            clip(state.accounts[verdict.loser].name, NAME_WIDTH),
            _amount(state, verdict),
            str(verdict.facts.closes + verdict.facts.charges),
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
            view = difference_view(state, verdict.market, verdict.difference)
            say(f"  round {verdict.round}, seq {view['seq']}: {_in_words(view)}")
    _print_bounds(state, verdicts)


def _amount(state: State, verdict: RoundVerdict) -> str:
    """Return how much a round took: contracts or, where only money moved, money in the ledger's currency."""
    if not verdict.facts.charges:
        return grouped(views.size_text(state, verdict.market, verdict.facts.size) or "-")
    currency = state.opened.currency if state.opened else ""
    return f"{grouped(views.cash_text(state, verdict.facts.charged) or '-')} {currency}"


def _print_bounds(state: State, verdicts: list[RoundVerdict]) -> None:
    """Print a line for each undecidable round that has something: what it decides nevertheless."""
    found = [verdict for verdict in verdicts if verdict.bounds is not None and verdict.last_seq != verdict.seq]
    if not found:
        return
    say("\n[bold]What undecidable rounds decide nevertheless[/bold]")
    for verdict in found[:BOUNDS_SHOWN]:
        if verdict.bounds is not None:
            view = _bounds_view(state, verdict.market, verdict.bounds, verdict.facts)
            say(f"  round {verdict.round}: {'; '.join(_bounds_in_words(view))}")
    if len(found) > BOUNDS_SHOWN:
        say(f"  ... and {len(found) - BOUNDS_SHOWN:,} more rounds, in --json")


def _bounds_in_words(view: dict[str, Any]) -> list[str]:
    words = [f"need at least {grouped(view['need_at_least'])}{' in money' if view['need_unit'] == 'cash' else ''}"]
    if view["price_low"] is not None:
        low, high = grouped(view["price_low"]), grouped(view["price_high"])
        text = f"price {low}" if low == high else f"prices {low} to {high}"
        bps = [view[f"price_{end}_bps"] for end in ("low", "high")]
        words.append(text if bps[0] is None else f"{text}, {' to '.join(dict.fromkeys(bps))} bps from mark")
    if view["kendall_tau_low_ppm"] is not None:
        low, high = _percent(view["kendall_tau_low_ppm"]), _percent(view["kendall_tau_high_ppm"])
        words.append(f"tau {low} to {high} ({view['scored']} of {view['scored'] + view['left_out']} scored)")
    if view["equity"]:
        words.append(f"equity bounded for {len(view['equity'])} accounts")
    return words


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
