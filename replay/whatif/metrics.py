"""What is said of a policy's rounds, each figure with its definition: the table of metrics, and their values from the rounds.

Money is a sum of integers, a ratio is exact; both are rounded when they are shown, once. Where one round lacks an input the
metric is undecidable, and says what is missing; it is never zero for that.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from replay.core.policy import Ratio
from replay.core.scoring import reduced
from replay.core.triggers import INFINITE
from replay.whatif.scene import PAID, Figures, Known
from replay.whatif.shares import gini
from replay.whatif.waves import Overshoot, overshoot

__all__ = ["METRICS", "RESIDUAL", "UNDEFINED", "Metric", "Value", "less", "values_of"]

_NOTHING = "nothing was taken"
_NO_NEED = "a need above 0"

UNDEFINED = (_NOTHING, _NO_NEED, PAID)
"""Why a metric can have no value although the record lacks nothing."""


class Metric(Struct, frozen=True):
    """A metric: its definition id, its unit (``cash``, ``ratio`` or what is counted) and the definition in words."""

    id: str
    unit: str
    text: str


class Value(Struct, frozen=True):
    """A metric's value, exact, ``INFINITE`` for what is unbounded; None where undecidable, and then why."""

    amount: Ratio | None
    missing: tuple[str, ...] = ()


RESIDUAL = "M11.residual"

METRICS = (
    Metric("M01.need.deficit", "cash", "Deficit that the rounds find, counted once: the loser's deficit just before each round "
           "less what the round before left of it. With another fund, less what that would have paid."),
    Metric("M01.need.lots", "cash", "What the losers hold in the rounds' markets just before them, at mark."),
    Metric("M02.rounds", "rounds", "Rounds in which anybody is closed or charged."),
    Metric("M02.closed.notional", "cash", "Contracts closed, at mark."),
    Metric("M02.closed.value", "cash", "Value taken from those who are hit: size times how far the price is from mark against "
           "them, and what they pay in cash. What one gains counts against it."),
    Metric("M03.overshoot.net", "cash", "Value taken less need by deficit: over and under together."),
    Metric("M03.overshoot.gross", "cash", "The same, summed only over the deficits for which more was taken than needed."),
    Metric("M03.lots.net", "cash", "Closed less need by lots, at mark."),
    Metric("M03.lots.gross", "cash", "The same, summed only over the rounds that closed more than the loser held."),
    Metric("M04.tracking", "cash", "Sum of the absolute differences of value taken and need, by deficit."),
    Metric("M04.tracking.lots", "cash", "Sum of the absolute differences of closed and need by lots, by round."),
    Metric("M05.ptsr", "ratio", "Largest unrealised profit that a candidate keeps right after a round, over need by deficit."),
    Metric("M06.pmr", "ratio", "The same, over the largest single deficit."),
    Metric("M07.share.profit", "ratio", "Largest share that one round takes of an account's unrealised profit: of the "
           "position that is closed, of the whole account where it pays."),
    Metric("M07.share.equity", "ratio", "Largest share that one round takes of an account's equity."),
    Metric("M08.gini.value.hit", "ratio", "Gini of value taken, over the accounts hit; who gains counts as 0."),
    Metric("M08.gini.value.candidates", "ratio", "The same, over all who could have been closed in any of the rounds."),
    Metric("M08.gini.lots.hit", "ratio", "Gini of the notional closed, over the accounts hit."),
    Metric("M08.gini.lots.candidates", "ratio", "The same, over all who could have been closed in any of the rounds."),
    Metric("M09.hit.accounts", "accounts", "Accounts closed or charged, each once."),
    Metric("M10.hedges.orphaned", "owners", "Owners of whom a position was closed in whole or part while they still hold, in "
           "any account or market, one of the opposite sign; each once."),
    Metric(RESIDUAL, "cash", "Deficit that is left: need by deficit less value taken, summed over the deficits for which "
           "less was taken than needed. In a closed loop what deficits of users and of the venue have left at the end of the "
           "log."),
)  # fmt: skip
"""The metrics in the order in which they are shown."""


def values_of(rounds: Sequence[Figures]) -> dict[str, Value]:
    """Return every metric of rounds under one policy, by id."""
    missing = _names(one.used for one in rounds)
    waves, money_gaps = _waves(rounds)
    lots, lots_gaps = _lots(rounds)
    untold = tuple(dict.fromkeys(name for one in rounds for name in one.untold))
    values = {
        "M01.need.deficit": _total([one.need for one in rounds]),
        "M01.need.lots": _total([one.need_notional for one in rounds]),
        "M02.rounds": _counted(sum(1 for one in rounds if one.hit), untold),
        "M02.closed.notional": _total([one.notional for one in rounds]),
        "M02.closed.value": _total([one.used for one in rounds]),
        "M03.overshoot.net": _counted(waves.net, money_gaps),
        "M03.overshoot.gross": _counted(waves.gross, money_gaps),
        "M03.lots.net": _counted(lots.net, lots_gaps),
        "M03.lots.gross": _counted(lots.gross, lots_gaps),
        "M04.tracking": _counted(waves.tracking, money_gaps),
        "M04.tracking.lots": _counted(lots.tracking, lots_gaps),
        **_survivors(rounds),
        "M07.share.profit": _largest([one.gain_share for one in rounds]),
        "M07.share.equity": _largest([one.equity_share for one in rounds]),
        **_ginis(rounds, missing),
        "M09.hit.accounts": _counted(len({account for one in rounds for account in one.hit}), untold),
        "M10.hedges.orphaned": _orphans(rounds),
        RESIDUAL: _counted(waves.under, money_gaps),
    }
    return {metric.id: values[metric.id] for metric in METRICS}


def less(one: Value, other: Value) -> Value:
    """Return the difference of two values; undecidable where one of them is, or where an unbounded one is compared."""
    if one.amount is None or other.amount is None:
        return Value(None, tuple(dict.fromkeys((*one.missing, *other.missing))))
    if INFINITE in (one.amount, other.amount):
        return Value(None, ("a bound",))
    (top, bottom), (to, below) = one.amount, other.amount
    return Value(reduced(top * below - to * bottom, bottom * below))


def _names(parts: Iterable[Known]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in parts if part.amount is None for name in part.missing))


def _counted(amount: int, missing: tuple[str, ...]) -> Value:
    return Value(None, missing) if missing else Value(Ratio(amount, 1))


def _total(parts: Sequence[Known]) -> Value:
    return _counted(sum(part.amount or 0 for part in parts), _names(parts))


def _waves(rounds: Sequence[Figures]) -> tuple[Overshoot, tuple[str, ...]]:
    """Return need by deficit against value taken; a wave is the rounds of one deficit."""
    missing = _names([*(one.need for one in rounds), *(one.used for one in rounds)])
    waves: dict[int, tuple[int, int]] = {}
    for one in rounds:
        need, used = waves.get(one.episode, (0, 0))
        waves[one.episode] = (need + (one.need.amount or 0), used + (one.used.amount or 0))
    return overshoot(waves.values()), missing


def _lots(rounds: Sequence[Figures]) -> tuple[Overshoot, tuple[str, ...]]:
    missing = _names([*(one.need_notional for one in rounds), *(one.notional for one in rounds)])
    return overshoot((one.need_notional.amount or 0, one.notional.amount or 0) for one in rounds), missing


def _survivors(rounds: Sequence[Figures]) -> dict[str, Value]:
    needs = _total([one.need for one in rounds])
    single: dict[int, int] = {}
    for one in rounds:
        single[one.episode] = single.get(one.episode, 0) + (one.need.amount or 0)
    missing = tuple(dict.fromkeys((*_names(one.survivor for one in rounds), *needs.missing)))
    kept = max((one.survivor.amount or 0 for one in rounds), default=0)
    total, largest = (needs.amount or Ratio(0, 1)).numerator, max(single.values(), default=0)
    return {
        name: Value(None, missing) if missing else Value(reduced(kept, over)) if over > 0 else Value(None, (_NO_NEED,))
        for name, over in (("M05.ptsr", total), ("M06.pmr", largest))
    }


def _largest(shares: Sequence[tuple[Ratio | None, tuple[str, ...]]]) -> Value:
    missing = tuple(dict.fromkeys(name for _, names in shares for name in names))
    if missing:
        return Value(None, missing)
    largest: Ratio | None = None
    for share, _ in shares:
        if share is not None and (largest is None or _above(share, largest)):
            largest = share
    return Value(None, (_NOTHING,)) if largest is None else Value(largest)


def _above(one: Ratio, other: Ratio) -> bool:
    return one.numerator * other.denominator > other.numerator * one.denominator


def _hit(rounds: Sequence[Figures]) -> dict[int, tuple[int, int]]:
    """Return what each account bore in all rounds: value, none below 0 in a round, and notional."""
    borne: dict[int, tuple[int, int]] = {}
    for one in rounds:
        for account, (value, notional) in one.burdens.items():
            before = borne.get(account, (0, 0))
            borne[account] = (before[0] + max(value, 0), before[1] + notional)
    return borne


def _ginis(rounds: Sequence[Figures], missing: tuple[str, ...]) -> dict[str, Value]:
    borne = _hit(rounds)
    unseen = tuple(dict.fromkeys((*missing, *(name for one in rounds for name in one.unseen))))
    others = len({account for one in rounds for account in one.candidates} - borne.keys())
    values = {}
    for name, part in (("value", 0), ("lots", 1)):
        burdens = [one[part] for one in borne.values()]
        values[f"M08.gini.{name}.hit"] = _gini(burdens, missing)
        values[f"M08.gini.{name}.candidates"] = _gini([*burdens, *[0] * others], unseen)
    return values


def _gini(burdens: Sequence[int], missing: tuple[str, ...]) -> Value:
    if missing:
        return Value(None, missing)
    found = gini(burdens)
    return Value(None, (_NOTHING,)) if found is None else Value(found)


def _orphans(rounds: Sequence[Figures]) -> Value:
    owners = {owner for one in rounds for owner in one.orphaned}
    return _counted(len(owners), tuple(dict.fromkeys(name for one in rounds for name in one.orphan_gaps)))
