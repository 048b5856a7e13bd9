"""How a policy is written: the eight texts of a PolicyAdopted event, read into values and written back.

One spelling only: ``spell(parse_policy(event))`` gives the texts of the event again, and any other text is refused rather than
guessed at. The same texts stand in TOML files. Parts are joined by a comma and a space.

- trigger: conditions joined by `` and ``, clauses by `` or ``, then ``until`` and the clauses of the stop. Conditions are
  ``equity < 0``, ``fund <= 0``, ``drawdown(8h) > 30%``, ``leftover > 0``, ``pnl/pool > 85%`` with any of ``< <= > >=`` and any
  number, and ``settlement``.
- scope: ``opposite``, ``both sides`` or ``accounts``; then any of ``profit > 0`` or ``profit >= 0``, ``own accounts first``,
  ``unhedged``, ``overlapping``, in this order.
- key: a score ``r * L desc, 0 as gain`` (or ``0 as loss``) or ``r desc``, or ``list order``, ``rotated list``, or nothing; what
  becomes of ``equity <= 0``: ``alike``, ``first``, ``last``, ``excluded``, ``scores 0`` or ``at least 1``; further measures
  ``asc`` or ``desc``; at the end ``account asc`` or ``account desc``. A measure is ``profit``, ``profit/notional``,
  ``gain/max(balance, 1)``, ``equity over 0.9``; the atoms are listed in ``policy.Atom``.
- fill: ``queue``, ``level(closed/w)`` with w a product of measures, ``level(exposure/equity)``,
  ``least maximum(closed/equity)``, ``index(size)``. With ``paid`` in place of ``closed``, as in ``queue(paid)``, money moves
  and no contract; then ``cap`` and an atom follow. ``once``: what a cap cuts off is not shared again.
- price: ``bankruptcy``, ``mark``, ``previous-mark``, ``oracle``, ``stated`` or ``none``; then any of ``capped at bankruptcy``,
  ``mark beyond 5%``, ``0.1% to the winner``, in this order.
- target: ``whole position``, ``stated``, ``deficit`` or ``deficit * 1/2``; then ``each at most 20%``, ``round at most 10%``.
- layers: ``book, vault, fund, adl, index, assignment, withdrawals, debt``, each at most once and in any order; ``fund 4`` names
  one fund account. The last of them takes whatever is left: ``adl``, ``index``, ``vault``, ``withdrawals`` or ``debt``.
- rounding: ``lot, price for the loser, remainder largest`` or ``money unit, remainder largest``. A price also falls
  ``for the winner``, ``down``, ``up``, ``nearest``; a remainder also goes to the ``first``.

What does not go together is refused too: see ``contradictions``.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeVar

from events.errors import BadInputError
from events.model import PolicyAdopted
from replay.core.policy import Policy
from replay.core.spelling.closing import (
    read_fill,
    read_layers,
    read_price,
    read_rounding,
    read_target,
    spell_fill,
    spell_layers,
    spell_price,
    spell_rounding,
    spell_target,
)
from replay.core.spelling.contradictions import contradictions
from replay.core.spelling.measures import spell_measure
from replay.core.spelling.ranking import read_key, read_scope, spell_key, spell_scope
from replay.core.spelling.reading import Unknown, spell_ratio
from replay.core.spelling.start import read_trigger, spell_trigger

__all__ = ["PARAMETERS", "Texts", "adopt", "parse_policy", "parse_texts", "spell", "spell_measure", "spell_ratio"]

_Value = TypeVar("_Value")

PARAMETERS = ("trigger", "scope", "key", "fill", "price", "target", "layers", "rounding")
"""The eight parameters, in their order."""

# As long as a text of a PolicyAdopted event may be.
_TEXT_CHARS_MAX = 4_096


class Texts(NamedTuple):
    """The texts of a policy, ready to be adopted. ``rule`` says where the rule is published."""

    name: str
    trigger: str
    scope: str
    key: str
    fill: str
    price: str
    target: str
    layers: str
    rounding: str
    rule: str = ""


def adopt(
    texts: Texts, *, policy: int, at_ns: int, source: int, row: int, by: str = "", markets: tuple[int, ...] | None = None
) -> PolicyAdopted:
    """Return the event by which ``texts`` come into force as the policy of that id, for ``markets`` or for all."""
    return PolicyAdopted(at_ns, source, row, policy=policy, markets=markets, rule_sha256=None, by=by, **texts._asdict())


def parse_policy(event: PolicyAdopted) -> Policy:
    """Return the policy that ``event`` adopts.

    Raises ``BadInputError`` where a text is not known or two do not go together, naming the parameter and what is known.
    """
    texts = Texts(event.name, *(getattr(event, name) for name in PARAMETERS))
    return _parse(texts, event.policy, f"policy {event.policy} ({event.name})")


def parse_texts(texts: Texts, policy: int = 0) -> Policy:
    """Return the policy of that id that ``texts`` spell. Raises ``BadInputError`` as ``parse_policy`` does."""
    return _parse(texts, policy, f"policy {texts.name!r}")


# An engine or an audit reads the policy in force at every step, and it seldom changes.
@lru_cache(maxsize=64)
def _parse(texts: Texts, policy: int, what: str) -> Policy:
    def read(name: str, text: str, reader: Callable[[str], _Value]) -> _Value:
        if len(text) > _TEXT_CHARS_MAX:
            raise _refusal(what, name, f"it is longer than {_TEXT_CHARS_MAX} characters")
        try:
            return reader(text)
        except Unknown as unknown:
            raise _refusal(what, name, unknown.what, unknown.known) from None

    value = Policy(
        policy,
        texts.name,
        read("trigger", texts.trigger, read_trigger),
        read("scope", texts.scope, read_scope),
        read("key", texts.key, read_key),
        read("fill", texts.fill, read_fill),
        read("price", texts.price, read_price),
        read("target", texts.target, read_target),
        read("layers", texts.layers, read_layers),
        read("rounding", texts.rounding, read_rounding),
    )
    for name, spelled in zip(PARAMETERS, spell(value), strict=True):
        if spelled != getattr(texts, name):
            raise _refusal(what, name, f"it is spelled {spelled!r}, not {getattr(texts, name)!r}")
    for name, why in contradictions(value):
        raise _refusal(what, name, why)
    return value


def spell(policy: Policy) -> tuple[str, ...]:
    """Return the eight texts of a policy, in the order of ``PARAMETERS``."""
    return (
        spell_trigger(policy.trigger),
        spell_scope(policy.scope),
        spell_key(policy.key),
        spell_fill(policy.fill),
        spell_price(policy.price),
        spell_target(policy.target),
        spell_layers(policy.layers),
        spell_rounding(policy.rounding),
    )


def _refusal(what: str, parameter: str, why: str, known: str = "") -> BadInputError:
    return BadInputError(
        f"{what}, parameter {parameter}: {why}.",
        cure=f"Known: {known}." if known else "docs/policies.md says how each parameter is written.",
    )
