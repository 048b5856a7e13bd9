"""An explanation as a plain dict: what ``adl explain --json`` prints and the screen is made from.

Keys are stable. Money, prices and sizes are decimal text, exact fractions are text like ``3/7`` beside their decimals, ids are
names, and what is not known is None.
"""

from collections.abc import Mapping
from typing import Any

from events.times import format_utc
from replay import views
from replay.audit.comparing import Difference
from replay.core.policy import Policy, Quantity, Ratio, Trigger
from replay.core.ranking import Ranked
from replay.core.spelling import spell, spell_measure
from replay.core.spelling.measures import ATOMS
from replay.core.spelling.start import spell_trigger
from replay.core.state import State
from replay.core.triggers import INFINITE, Evaluated
from replay.explain import Comparison, Explanation, Neighbour, Prices, Standing
from replay.explain.shares import Share
from replay.queries.answers import ratio_text

__all__ = ["difference_view", "explanation_view", "ratio_view"]

_BPS = 10_000
_BPS_DECIMALS = 1


def ratio_view(value: Ratio | tuple[int, int] | None) -> dict[str, str] | None:
    """Return an exact number as ``{"exact": "3/7", "decimal": "0.4286"}``, None for None."""
    if value is None or tuple(value) == tuple(INFINITE):
        return None
    top, bottom = value
    return {"exact": f"{top}/{bottom}" if bottom != 1 else str(top), "decimal": ratio_text(top, bottom)}


def difference_view(
    state: State, market: int, difference: Difference, later: Mapping[int, str] | None = None
) -> dict[str, Any]:
    """Return a difference with names for ids and decimal text for amounts. ``later`` names accounts not in ``state``."""

    def spelled(value: int | None) -> str | None:
        if value is None:
            return None
        match difference.unit:
            case "account":
                return state.accounts[value].name if value < len(state.accounts) else (later or {})[value]
            case "policy":
                return state.policies[value].name
            case "size":
                return views.size_text(state, market, value)
            case "cash":
                return views.cash_text(state, value)
            case _:
                return views.price_text(state, market, value)

    return {
        "field": difference.field,
        "unit": difference.unit,
        "seq": difference.seq,
        "close": difference.close,
        "expected": spelled(difference.expected),
        "recorded": spelled(difference.recorded),
    }


class _Spell:
    """The units of one round: lots or, where only money moves, money."""

    def __init__(self, state: State, explained: Explanation) -> None:
        self.state = state
        self.market = explained.record.event.market
        self.rule = explained.decision.rule
        self.later = explained.later
        self.cash = bool(explained.record.charges) or (self.rule is not None and self.rule.fill.cash)

    def amount(self, value: int | None) -> str | None:
        return self.money(value) if self.cash else self.size(value)

    def size(self, value: int | None) -> str | None:
        return views.size_text(self.state, self.market, value)

    def money(self, value: int | None) -> str | None:
        return views.cash_text(self.state, value)

    def price(self, value: int | None) -> str | None:
        return views.price_text(self.state, self.market, value)

    def name(self, account: int) -> str:
        return self.state.accounts[account].name if account < len(self.state.accounts) else self.later[account]


def explanation_view(state: State, explained: Explanation) -> dict[str, Any]:
    """Return the whole explanation."""
    spell_as, record, decision = _Spell(state, explained), explained.record, explained.decision
    event, difference = record.event, explained.difference
    return {
        "round": event.round,
        "seq": record.seq,
        "last_seq": record.last_seq,
        "at": format_utc(event.at_ns),
        "market": state.markets[event.market].listed.symbol,
        "loser": spell_as.name(event.loser),
        "policy": None if decision.policy is None else state.policies[decision.policy].name,
        "verdict": explained.verdict,
        "difference": None if difference is None else difference_view(state, event.market, difference, explained.later),
        "missing": list(decision.missing),
        "trigger": _trigger_view(spell_as, explained),
        "need": _need_view(spell_as, explained),
        "account": None if explained.standing is None else _account_view(spell_as, explained, explained.standing),
        "neighbours": {"id": "Q01.neighbours", "rows": [_row_view(spell_as, one) for one in explained.neighbours]},
        "above": None if explained.comparison is None else _comparison_view(spell_as, explained.comparison),
        "price": _price_view(spell_as, explained),
        "policies": {"id": "Q11.policies", "rows": _policies_view(spell_as, explained)},
        "events": {
            "round": record.seq,
            **{name: getattr(explained.origins, name) for name in explained.origins.__struct_fields__},
        },
    }


def _trigger_view(spell_as: _Spell, explained: Explanation) -> dict[str, Any]:
    rule = explained.decision.rule
    return {
        "id": "Q01.trigger",
        "rule": None if rule is None else spell(rule)[0],
        "holds": explained.decision.holds,
        "conditions": [_condition_view(spell_as, one) for one in explained.trigger],
        "loser_equity": spell_as.money(explained.loser_equity),
        "fund": spell_as.money(explained.fund),
    }


def _condition_view(spell_as: _Spell, one: Evaluated) -> dict[str, Any]:
    return {
        "condition": spell_trigger(Trigger(((one.condition,),))),
        "stop": one.stop,
        "clause": one.clause,
        "value": _left_text(spell_as, one),
        "holds": one.holds,
    }


def _left_text(spell_as: _Spell, one: Evaluated) -> str | None:
    if one.left is None:
        return None
    if one.left == INFINITE:
        return "infinite"
    quantity, unit = one.condition.quantity, 10 ** (spell_as.state.opened.money_decimals if spell_as.state.opened else 0)
    if quantity in {Quantity.EQUITY, Quantity.FUND}:
        return spell_as.money(one.left.numerator * unit // one.left.denominator)
    if quantity is Quantity.LEFTOVER:
        return spell_as.size(one.left.numerator)
    if quantity is Quantity.SETTLEMENT:
        return "settling" if one.left.numerator else "not settling"
    return f"{ratio_text(one.left.numerator * 100, one.left.denominator, 2)}%"


def _need_view(spell_as: _Spell, explained: Explanation) -> dict[str, Any]:
    event, decision = explained.record.event, explained.decision
    rule = decision.rule
    return {
        "id": "Q01.need",
        "unit": "cash" if spell_as.cash else "size",
        "rule": None if rule is None else spell(rule)[5],
        "target": spell_as.amount(decision.target),
        "stated": spell_as.amount(event.need_cash if spell_as.cash else event.size),
        "loser_size": spell_as.size(decision.loser_size),
        "taken": spell_as.amount(explained.amount_taken),
        "accounts": explained.accounts_taken,
        "remaining": spell_as.amount(decision.plan.uncovered if spell_as.cash else decision.plan.remaining),
    }


def _account_view(spell_as: _Spell, explained: Explanation, standing: Standing) -> dict[str, Any]:
    row, rule = standing.row, explained.decision.rule
    return {
        "account": spell_as.name(standing.account),
        "is_loser": standing.is_loser,
        "size": spell_as.size(standing.size),
        "equity": spell_as.money(standing.equity),
        "taken": spell_as.amount(standing.taken),
        "planned": spell_as.amount(standing.planned),
        "seqs": list(standing.seqs),
        "rank": {
            "id": "Q01.rank",
            "rule": None if rule is None else spell(rule)[2],
            "place": None if row is None else row.rank,
            "of": len(explained.ranking.ranked) or None,
            "missing": list(explained.ranking.missing),
        },
        "score": None if row is None or rule is None else _score_view(spell_as, row, rule),
        "share": None if standing.share is None or rule is None else _share_view(spell_as, standing.share, rule),
        "list": None
        if standing.listed is None
        else {
            "place": standing.listed.place,
            "of": standing.listed.length,
            "as_recorded": standing.listed.as_recorded,
            "seed": None if standing.listed.seed is None else standing.listed.seed.hex(),
        },
        "known": {ATOMS[atom]: _atom_text(spell_as, ATOMS[atom], value) for atom, value in standing.known.atoms.items()}
        if standing.known
        else None,
        "claims": {
            "equity": spell_as.money(standing.equity_claim),
            "rank": standing.rank_claim,
            "size": spell_as.size(standing.size_claim),
        },
    }


def _atom_text(spell_as: _Spell, name: str, value: int | None) -> str | None:
    if name == "size":
        return spell_as.size(value)
    return str(value) if name == "1" else spell_as.money(value)


def _score_view(spell_as: _Spell, row: Ranked, rule: Policy) -> dict[str, Any]:
    key = rule.key
    return {
        "id": "Q01.score",
        "return_rule": None if key.returns is None else spell_measure(key.returns),
        "return": ratio_view(row.returns),
        "leverage_rule": None if key.leverage is None else spell_measure(key.leverage),
        "leverage": ratio_view(row.leverage),
        "score": ratio_view(row.score),
        "ties": [
            {"rule": f"{spell_measure(tie.measure)} {'desc' if tie.descending else 'asc'}", "value": ratio_view(value)}
            for tie, value in zip(key.ties, row.ties, strict=False)
        ],
        "profit": spell_as.money(row.profit),
        "entry_notional": spell_as.money(row.entry_notional),
        "notional": spell_as.money(row.notional),
        "equity": spell_as.money(row.equity),
    }


def _share_view(spell_as: _Spell, share: Share, rule: Policy) -> dict[str, Any]:
    return {
        "id": "Q01.share",
        "rule": spell(rule)[3],
        "candidates": share.candidates,
        "amount": spell_as.amount(share.amount),
        "weight": None if share.weight is None or not share.weights else ratio_view((share.weight, share.weights)),
        "real": ratio_view(share.real),
        "cap": spell_as.amount(share.cap),
        "given": spell_as.amount(share.given),
        "remainder_place": share.remainder_place,
        "pieces_left": share.pieces,
        "before": ratio_view(share.before),
        "after": ratio_view(share.after),
    }


def _row_view(spell_as: _Spell, one: Neighbour) -> dict[str, Any]:
    row = one.row
    return {
        "label": one.label,
        "rank": row.rank,
        "account": spell_as.name(row.account),
        "size": spell_as.size(row.size),
        "return": ratio_view(row.returns),
        "leverage": ratio_view(row.leverage),
        "score": ratio_view(row.score),
        "taken": spell_as.amount(one.taken),
        "planned": spell_as.amount(one.planned),
    }


def _comparison_view(spell_as: _Spell, compared: Comparison) -> dict[str, Any]:
    rows = (compared.account_row, compared.other_row)
    key = None if spell_as.rule is None else spell_as.rule.key
    terms = [(key.returns, "returns"), (key.leverage, "leverage")] if key else []
    return {
        "id": "Q01.above",
        "account": spell_as.name(compared.account),
        "other": spell_as.name(compared.other),
        "ranks": [None if row is None else row.rank for row in rows],
        "other_taken": spell_as.amount(compared.other_taken),
        "terms": [
            {
                "measure": spell_measure(measure),
                "account": ratio_view(getattr(compared.account_row, name, None)),
                "other": ratio_view(getattr(compared.other_row, name, None)),
            }
            for measure, name in terms
            if measure is not None
        ],
        "steps": [
            {
                "measure": step.measure,
                "account": ratio_view(step.one),
                "other": ratio_view(step.other),
                "ahead": {1: "account", 0: None, -1: "other"}[step.ahead],
            }
            for step in compared.steps
        ],
        "first_difference": compared.steps[-1].measure if compared.steps and compared.steps[-1].ahead else None,
    }


def _price_view(spell_as: _Spell, explained: Explanation) -> dict[str, Any]:
    prices, rule = explained.prices, explained.decision.rule
    return {
        "id": "Q05.price",
        "rule": None if rule is None else spell(rule)[4],
        "planned": spell_as.price(prices.planned),
        "low": spell_as.price(prices.low),
        "high": spell_as.price(prices.high),
        "references": [
            {"name": name, "price": spell_as.price(value), "bps": _bps(explained, prices, value)}
            for name in ("mark", "previous_mark", "oracle", "bankruptcy")
            if (value := getattr(prices, name)) is not None
        ],
    }


def _bps(explained: Explanation, prices: Prices, reference: int) -> str | None:
    """Return how much better for the winner than at the reference, where all closes have one price."""
    if prices.low is None or prices.low != prices.high or reference == 0:
        return None
    close = explained.record.closes[0].event
    side = 1 if close.winner == close.seller else -1
    return ratio_text(side * (prices.low - reference) * _BPS, abs(reference), _BPS_DECIMALS)


def _policies_view(spell_as: _Spell, explained: Explanation) -> list[dict[str, Any]]:
    return [
        {
            "preset": one.preset,
            "size": None if one.missing else spell_as.size(one.size),
            "cash": None if one.missing else spell_as.money(one.cash),
            "price": spell_as.price(one.price),
            "accounts": None if one.missing else one.accounts,
            "trigger_holds": one.holds,
            "missing": list(one.missing),
        }
        for one in explained.alternatives
    ]
