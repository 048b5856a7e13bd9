"""The ADL policy: the eight text parameters of a PolicyAdopted event, read into a value.

A venue's rule is a value, not a class. The text is what is recorded; ``parse_policy`` gives it meaning, and refuses what it
does not know rather than guess. Known here is the ranked queue:

- trigger: ``equity < 0``, ``fund <= 0``, each once, joined by `` and ``. Equity is the loser's, the fund all accounts of that
  role.
- scope: ``opposite``. Accounts that hold the other side of the market, whatever their profit: those the venue states as not
  exempt, and where it states nothing the user accounts; never the loser.
- key: ``<return> * notional/equity desc, equity <= 0 <first|last>, account asc``, where the return is
  ``profit/entry-notional`` or ``profit/notional``. The star is the signed product that nearly every venue uses:
  ``r * L`` for ``r >= 0`` and ``r / L`` for ``r < 0``, so that leverage moves a gain up and a loss down. At ``r = 0`` both
  branches are 0, so the choice that venues leave open does not exist. Where equity is not above 0 there is no leverage;
  such candidates stand before or after all others, in the order of their ids. The key always ends in a unique id.
- fill: ``queue``. Each candidate in turn is closed by min(what remains, its position).
- price: ``bankruptcy``, ``mark``, ``previous-mark`` or ``stated`` (what the round says).
- target: ``whole position``. layers: ``fund, adl``. rounding: ``lot``.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple, TypeVar

from msgspec import Struct

from events.errors import BadInputError
from events.model import PolicyAdopted
from replay.core.state import State

__all__ = [
    "PROFIT_TIMES_LEVERAGE",
    "ClosePrice",
    "Condition",
    "Insolvent",
    "Policy",
    "Preset",
    "ReturnOn",
    "adopt",
    "parse_policy",
    "policy_for",
]

_Known = TypeVar("_Known")


class Condition(IntEnum):
    """One condition of a trigger."""

    EQUITY_BELOW_ZERO = 1
    FUND_EMPTY = 2


class ReturnOn(IntEnum):
    """What a candidate's unrealised profit is set against: its notional at the average entry, or at mark."""

    ENTRY_NOTIONAL = 1
    NOTIONAL = 2


class Insolvent(IntEnum):
    """Where candidates stand whose equity is not above 0."""

    FIRST = 1
    LAST = 2


class ClosePrice(IntEnum):
    """The rule for the price of every close of a round."""

    BANKRUPTCY = 1
    MARK = 2
    PREVIOUS_MARK = 3
    STATED = 4


class Policy(Struct, frozen=True, gc=False):
    """A policy that can be carried out. Scope, fill, target, layers and rounding have one known value each."""

    policy: int
    name: str
    trigger: tuple[Condition, ...]
    return_on: ReturnOn
    insolvent: Insolvent
    price: ClosePrice


class Preset(NamedTuple):
    """A named rule as text, ready to be adopted. ``rule`` says where it is published."""

    name: str
    trigger: str
    scope: str
    key: str
    fill: str
    price: str
    target: str
    layers: str
    rounding: str
    rule: str


# The published formula says nothing of candidates without equity, nor of ties. Both are our choice, and so are recorded in
# the key: last, because a candidate that cannot pay only hands the deficit on; then by account.
PROFIT_TIMES_LEVERAGE = Preset(
    name="profit x leverage",
    trigger="equity < 0 and fund <= 0",
    scope="opposite",
    key="profit/entry-notional * notional/equity desc, equity <= 0 last, account asc",
    fill="queue",
    price="bankruptcy",
    target="whole position",
    layers="fund, adl",
    rounding="lot",
    rule="https://support.bitmex.com/hc/en-gb/articles/18589621443357",
)

_TRIGGERS = {"equity < 0": Condition.EQUITY_BELOW_ZERO, "fund <= 0": Condition.FUND_EMPTY}
_RETURNS = {
    "profit/entry-notional * notional/equity desc": ReturnOn.ENTRY_NOTIONAL,
    "profit/notional * notional/equity desc": ReturnOn.NOTIONAL,
}
_INSOLVENT = {"equity <= 0 first": Insolvent.FIRST, "equity <= 0 last": Insolvent.LAST}
_TIE_BREAK = "account asc"
_PRICES = {
    "bankruptcy": ClosePrice.BANKRUPTCY,
    "mark": ClosePrice.MARK,
    "previous-mark": ClosePrice.PREVIOUS_MARK,
    "stated": ClosePrice.STATED,
}
_ONLY = {"scope": "opposite", "fill": "queue", "target": "whole position", "layers": "fund, adl", "rounding": "lot"}


def adopt(
    preset: Preset, *, policy: int, at_ns: int, source: int, row: int, by: str = "", markets: tuple[int, ...] | None = None
) -> PolicyAdopted:
    """Return the event by which ``preset`` comes into force as the policy of that id, for ``markets`` or for all."""
    return PolicyAdopted(
        at_ns,
        source,
        row,
        policy=policy,
        name=preset.name,
        markets=markets,
        trigger=preset.trigger,
        scope=preset.scope,
        key=preset.key,
        fill=preset.fill,
        price=preset.price,
        target=preset.target,
        layers=preset.layers,
        rounding=preset.rounding,
        rule=preset.rule,
        rule_sha256=None,
        by=by,
    )


def policy_for(state: State, market: int) -> int | None:
    """Return the policy in force for ``market``: the last adopted that is for it or for all markets; None for none."""
    for event in reversed(state.policies):
        if event.markets is None or market in event.markets:
            return event.policy
    return None


def parse_policy(event: PolicyAdopted) -> Policy:
    """Return the policy that ``event`` adopts.

    Raises ``BadInputError`` where a parameter's text is not known, naming the parameter and what is known.
    """
    for parameter, known in _ONLY.items():
        _look_up(event, parameter, getattr(event, parameter), {known: None})
    conditions = event.trigger.split(" and ")
    if len(set(conditions)) != len(conditions):
        raise _unknown(event, "trigger", "it states a condition twice", _TRIGGERS)
    return_on, insolvent = _key(event)
    return Policy(
        policy=event.policy,
        name=event.name,
        trigger=tuple(_look_up(event, "trigger", part, _TRIGGERS) for part in conditions),
        return_on=return_on,
        insolvent=insolvent,
        price=_look_up(event, "price", event.price, _PRICES),
    )


def _key(event: PolicyAdopted) -> tuple[ReturnOn, Insolvent]:
    score, *rest = event.key.split(", ")
    return_on = _look_up(event, "key", score, _RETURNS)
    if not rest:
        raise _unknown(event, "key", "it does not say where candidates without equity stand", _INSOLVENT)
    insolvent = _look_up(event, "key", rest[0], _INSOLVENT)
    if rest[1:] != [_TIE_BREAK]:
        raise _unknown(event, "key", "it does not end in the one tie-break", (_TIE_BREAK,))
    return return_on, insolvent


def _look_up(event: PolicyAdopted, parameter: str, text: str, known: Mapping[str, _Known]) -> _Known:
    if text not in known:
        raise _unknown(event, parameter, f"{text!r} is not known", known)
    return known[text]


def _unknown(event: PolicyAdopted, parameter: str, what: str, known: Mapping[str, object] | tuple[str, ...]) -> BadInputError:
    return BadInputError(
        f"policy {event.policy} ({event.name}), parameter {parameter}: {what}.",
        cure=f"Known: {'; '.join(known)}.",
    )
