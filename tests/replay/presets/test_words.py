from enum import IntEnum
from typing import get_args, get_type_hints

import pytest
from hypothesis import given

from replay.core import policy as values
from replay.core.policy import Atom, FillKind, Insolvent, LayerKind, Order, Policy, Ratio
from replay.core.spelling import Texts, parse_texts
from replay.presets import LightsBy, explain, explain_lights, preset
from replay.presets.words import WORDS
from replay.testing.policies import policies

QUEUE = preset("queue").texts
STRUCTS = (
    values.Condition, values.Scope, values.Measure, values.Key, values.Fill, values.Price, values.Rounding, values.Layer,
)  # fmt: skip
KINDS = {type(next(iter(words))): words for words in WORDS}


def test_every_member_of_every_enumeration_has_words() -> None:
    enumerations = {
        kind
        for struct in STRUCTS
        for hint in get_type_hints(struct).values()
        for kind in (hint, *get_args(hint))
        if isinstance(kind, type) and issubclass(kind, IntEnum)
    }  # fmt: skip
    assert set(KINDS) == enumerations | {LightsBy}
    for kind, words in KINDS.items():
        assert set(words) == set(kind)
        assert all(words.values())


@given(policies())
def test_every_policy_is_explained_in_sentences(policy: Policy) -> None:
    words = explain(policy)
    assert words
    for sentence in words:
        assert sentence[0].isupper() or sentence[0].isdigit()
        assert sentence[-1] in ".:"
        assert "  " not in sentence
        assert "{" not in sentence
    assert len(set(words)) == len(words)


@given(policies())
def test_what_a_policy_does_is_said(policy: Policy) -> None:
    said = " ".join(explain(policy))
    assert ("ADL starts when" in said) is bool(policy.trigger.start)
    assert ("It then goes on until" in said) is bool(policy.trigger.stop)
    assert "A loss is borne by" in said
    assert ("Of each withdrawal" in said) is (policy.layers[-1].kind is LayerKind.WITHDRAWALS)
    if policy.trigger.start:
        assert ("no contract moves" in said) is policy.fill.cash
        assert ("comes before all others" in said or "come before all others" in said) is policy.scope.own_first
        assert ("is left out" in said and "less safe" in said) is policy.scope.overlapping
        assert ("from the place that its seed gives" in said) is (policy.key.order is Order.ROTATION)
        alike = policy.fill.kind is not FillKind.QUEUE and policy.key.insolvent is not Insolvent.FIRST
        assert ("No candidate stands before another" in said) is alike
        assert ("against mark" in said) is (policy.target.deficit is not None and not policy.fill.cash)
        measure, times = policy.key.returns, policy.key.leverage
        if measure is not None and times is not None and measure.top is Atom.PROFIT:
            assert ("a loss is divided" in said) is (measure.over == Ratio(0, 1))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"key": "profit/notional * notional/equity desc, 0 as gain, equity <= 0 last, account asc"},
         ("Candidates stand by profit over notional times notional over equity, highest first; "
          "a loss is divided by the leverage instead.")),
        ({}, "Equal ones go by lower account number."),
        ({"trigger": "fund <= 0 or drawdown(8h) > 30% until drawdown(8h) < 25%"},
         ("ADL starts when the fund is at most 0, or when the fund's fall from its highest level of the last 8h "
          "is above 30% of that level.")),
        ({"trigger": "pnl/pool > 85% and settlement"},
         ("ADL starts when the net profit of the winners' side is above 85% of the vault without it "
          "and the market is being settled.")),
        ({"trigger": "leftover > 0"}, "ADL starts when what is left of the loser's position is above 0."),
        ({"scope": "opposite, profit > 0"},
         "Candidates are the holders of the other side of the market, if they have a profit."),
        ({"key": "gain/max(balance, 1) * maintenance/equity desc, 0 as gain, equity <= 0 scores 0, account asc"},
         "Candidates stand by gain over wallet balance (at least 1) times maintenance margin over equity, highest first."),
        ({"key": "notional/equity desc, equity <= 0 last, profit desc, balance asc, account desc"},
         "Equal ones go by higher profit, then lower wallet balance, then higher account number."),
        ({"key": "equity <= 0 alike, account asc"}, "Candidates stand by lower account number."),
        ({"price": "mark, capped at bankruptcy"},
         "Where the bankruptcy price is better for the loser, that is used instead."),
        ({"price": "bankruptcy, mark beyond 5%"}, "Where this is more than 5% away from the mark price, mark is used."),
        ({"price": "mark, 0.1% to the winner"}, "It is moved by 0.1% in the winner's favour."),
        ({"target": "whole position, each at most 20%, round at most 10%"}, "Nobody gives more than 20% of a position."),
        ({"layers": "book, fund 4, adl, debt"},
         "A loss is borne by the order book, then fund account 4, then ADL, then nobody: the loser's account stays below 0."),
        ({"key": "equity <= 0 alike, account asc", "fill": "level(closed/size), once"},
         "What somebody cannot bear of its part is not shared again."),
        ({"trigger": "never", "layers": "debt"}, "ADL never starts."),
        ({"layers": "fund, adl, withdrawals"},
         "Of each withdrawal the fund keeps the share of uncovered deficits in the sum of them and all wallet balances."),
        ({"target": "deficit * 1/3"},
         "1/3 of the loser's deficit is to be covered: contracts are closed until the loser gains that much against mark."),
        ({"scope": "opposite, overlapping"},
         "Whom a close at this price would leave short of initial margin and less safe than before is left out."),
        ({"key": "profit/notional over 0.1 * notional/equity desc, 0 as gain, equity <= 0 last, account asc"},
         ("Candidates stand by the part of profit over notional above 0.1 times notional over equity, highest first.")),
        ({"key": "equity <= 0 first, account asc", "fill": "least maximum(closed/equity)"},
         "Candidates without equity are closed first, all they hold."),
        ({"key": "equity <= 0 alike, account asc", "fill": "level(paid/gain), cap initial", "price": "none",
          "target": "deficit", "rounding": "money unit, remainder largest"},
         "All pay at once, in proportion to gain, each at most the position's initial margin; no contract moves."),
    ],
)  # fmt: skip
def test_how_it_reads(changes: dict[str, str], sentence: str) -> None:
    assert sentence in explain(parse_texts(QUEUE._replace(**changes)))


def test_what_is_never_done_is_not_explained() -> None:
    assert explain(parse_texts(Texts("x", *QUEUE[1:])._replace(trigger="never", layers="book, debt"))) == [
        "ADL never starts.",
        "A loss is borne by the order book, then nobody: the loser's account stays below 0.",
    ]


def test_lights_in_words() -> None:
    assert explain_lights(preset("bitmex").lights) == (
        "The venue shows 5 lights, each an equal part of the contracts in the order of closing. "
        "They are numbered 1 to 5, and 5 is closed first."
    )
    assert explain_lights(preset("hyperliquid").lights) == "No lights of the venue are known."
