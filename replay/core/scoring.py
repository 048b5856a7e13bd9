"""The order of candidates: exact scores, and the sequence that a key makes of them.

Scores are exact fractions and are never divided out. Two ways lead from them to an order, and both use integers alone.

``order_keys`` gives one integer per candidate, ``(numerator << s) // denominator`` with ``s`` at least twice the bits of the
largest denominator: two different fractions with denominators up to D differ by at least 1/D**2, so their keys differ and stand
in the same order, and equal fractions have equal keys.

``in_key_order`` gives the candidates one after another, as a queue is seldom taken to its end. It first uses a short key, the
same with a fixed small ``s``. A rounded quotient never inverts an order, it can only fail to tell two fractions apart. So
candidates with different short keys stand right, and those with the same are ordered by exact keys, by the further measures of
the policy, and at last by account.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from math import gcd
from typing import NamedTuple

from replay.core.candidates import Candidates
from replay.core.policy import Atom, Insolvent, Key, Measure, Order, Ratio

__all__ = [
    "Columns",
    "Terms",
    "atoms_of",
    "in_key_order",
    "key_atoms",
    "order_keys",
    "reduced",
    "scores",
    "terms",
]

# How finely the short key looks at a score: one part in 2**40 of the unit. Only speed depends on it.
_SHORT_BITS = 40

# How much of a queue is sorted at first, one part in so many, and how many entries tell where that part ends, one in so many.
_FIRST_PART = 16
_SAMPLE_STEP = 64

Columns = Callable[[Atom], Sequence[int]]
"""Where measures come from: an atom of every candidate, as ``Candidates.column``."""


class Terms(NamedTuple):
    """A fraction for every candidate, not in lowest terms; every denominator is above zero."""

    numerators: Sequence[int]
    denominators: Sequence[int]


def reduced(numerator: int, denominator: int) -> Ratio:
    """Return a fraction in lowest terms. The denominator is above zero."""
    common = gcd(numerator, denominator)
    return Ratio(numerator // common, denominator // common)


def atoms_of(measure: Measure) -> tuple[Atom, ...]:
    """Return the atoms that a measure looks at."""
    return measure.top, measure.bottom


def key_atoms(key: Key) -> list[Atom]:
    """Return the atoms that a key looks at."""
    measures = [measure for measure in (key.returns, key.leverage) if measure] + [tie.measure for tie in key.ties]
    atoms = [] if key.order is not Order.SCORE else [atom for measure in measures for atom in atoms_of(measure)]
    sorts_equity = key.order is Order.SCORE and key.insolvent is not Insolvent.ALIKE
    return [*atoms, Atom.EQUITY] if sorts_equity or key.insolvent is Insolvent.EXCLUDED else atoms


def terms(measure: Measure, columns: Columns, unit: int, *, least_equity: int | None = None) -> Terms:
    """Return a measure of every candidate.

    ``unit`` is one unit of the currency in money units; ``least_equity`` is what an equity counts as at least, where it does.
    A bottom of 0 counts as one money unit; the sign of a negative bottom goes to the top.
    """
    tops, bottoms = _atom(measure.top, columns, least_equity), _atom(measure.bottom, columns, least_equity)
    if measure.floored:
        bottoms = [max(bottom, unit) for bottom in bottoms]
    elif bottoms and min(bottoms) <= 0:
        tops, bottoms = list(tops), list(bottoms)
        for place in [place for place, bottom in enumerate(bottoms) if bottom <= 0]:
            tops[place], bottoms[place] = (-tops[place], -bottoms[place]) if bottoms[place] else (tops[place], 1)
    over, per = measure.over
    if over:
        tops = [max(top * per - over * bottom, 0) for top, bottom in zip(tops, bottoms, strict=True)]
        bottoms = [bottom * per for bottom in bottoms]
    return Terms(tops, bottoms)


def _atom(atom: Atom, columns: Columns, least_equity: int | None) -> Sequence[int]:
    values = columns(atom)
    if atom is Atom.EQUITY and least_equity is not None:
        return [max(value, least_equity) for value in values]
    return values


class _Product(NamedTuple):
    """The terms of a score: a return ``tops / bottoms`` and a leverage ``times / per``, by candidate."""

    tops: Sequence[int]
    bottoms: Sequence[int]
    times: Sequence[int]
    per: Sequence[int]

    def score(self, place: int) -> tuple[int, int]:
        """Return the score of a candidate as a fraction, its denominator above zero.

        ``r * L`` for a gain, ``r / L`` for a loss. A leverage of 0 counts as one money unit where it divides, and the sign of a
        negative one goes to the top. A return of 0 gives 0 on either branch.
        """
        top, bottom, time, per = self.tops[place], self.bottoms[place], self.times[place], self.per[place]
        if top > 0:
            return top * time, bottom * per
        return (-top if time < 0 else top) * per, bottom * (abs(time) or 1)


def _product(key: Key, returns: Measure, columns: Columns, unit: int) -> _Product:
    """Return the terms of every candidate's score.

    What becomes of equity not above 0 is no matter of theirs, except that it may count as at least 1 or score 0.
    """
    least = unit if key.insolvent is Insolvent.AT_LEAST_ONE else None
    tops, bottoms = terms(returns, columns, unit, least_equity=least)
    if key.insolvent is Insolvent.ZERO:
        tops = [top if equity > 0 else 0 for top, equity in zip(tops, columns(Atom.EQUITY), strict=True)]
    if key.leverage is None:
        ones = [1] * len(tops)
        return _Product(tops, bottoms, ones, ones)
    return _Product(tops, bottoms, *terms(key.leverage, columns, unit, least_equity=least))


def scores(key: Key, columns: Columns, unit: int) -> list[Ratio | None]:
    """Return the score of every candidate in lowest terms.

    None where there is none: the key has no returns, or equity is not above 0 and such candidates stand first or last.
    """
    number = len(columns(Atom.SIZE))
    if key.returns is None:
        return [None] * number
    product = _product(key, key.returns, columns, unit)
    if _apart(key) is None:
        return [reduced(*product.score(place)) for place in range(number)]
    equities = columns(Atom.EQUITY)
    return [reduced(*product.score(place)) if equity > 0 else None for place, equity in enumerate(equities)]


def order_keys(scored: Sequence[Ratio | None], insolvent: Insolvent) -> list[tuple[int, int]]:
    """Return integer keys that stand in the order of ``scored``: a higher key is closed first, equal keys tie.

    None is before all others where insolvent candidates are first, else after them.
    """
    shift = 2 * max((one.denominator for one in scored if one is not None), default=1).bit_length()
    none = (1, 0) if insolvent is Insolvent.FIRST else (-1, 0)
    return [none if one is None else (0, (one.numerator << shift) // one.denominator) for one in scored]


# ---- The sequence


def _apart(key: Key) -> bool | None:
    """Return whether candidates without equity stand before all others, after them, or (None) among them."""
    return {Insolvent.FIRST: True, Insolvent.LAST: False}.get(key.insolvent)


def in_key_order(
    candidates: Candidates, key: Key, unit: int, *, own: frozenset[int] = frozenset(), whole: bool = False
) -> Iterator[int]:
    """Yield the places of the candidates in the order of a key by score, the accounts in ``own`` before all others.

    ``whole`` says that all of them will be asked for.
    """
    if not own:
        yield from _in_order(candidates, key, unit, whole=whole)
        return
    for mine in (True, False):
        part = [place for place, account in enumerate(candidates.accounts) if (account in own) is mine]
        for place in _in_order(candidates.pick(part), key, unit, whole=whole):
            yield part[place]


def _in_order(candidates: Candidates, key: Key, unit: int, *, whole: bool) -> Iterator[int]:
    ties = _Ties(candidates.accounts, key, [terms(tie.measure, candidates.column, unit) for tie in key.ties])
    first = _apart(key)
    equities = [1] * len(candidates) if first is None else candidates.column(Atom.EQUITY)
    poor = [place for place, equity in enumerate(equities) if equity <= 0]
    if first:
        yield from ties.sorted(poor)
    if key.returns is None:
        yield from ties.sorted([place for place, equity in enumerate(equities) if equity > 0])
    else:
        product = _product(key, key.returns, candidates.column, unit)
        times = list(product.times)
        for place in poor:
            times[place] = 1  # they are left out, and must not be the reason to look at all leverages one by one
        yield from _by_score(product._replace(times=times), equities, ties, whole=whole)
    if first is False:
        yield from ties.sorted(poor)


def _by_score(product: _Product, equities: Sequence[int], ties: "_Ties", *, whole: bool) -> Iterator[int]:
    """Yield the places with equity above 0 by score."""
    bits = len(equities).bit_length()
    mask = (1 << bits) - 1
    for keys, places in _short_keys(product, equities):
        for _, same in groupby(_falling(keys, places, bits, whole=whole), key=lambda entry: entry >> bits):
            alike = [entry & mask for entry in same]
            yield from alike if len(alike) == 1 else ties.sorted(alike, product)


def _short_keys(product: _Product, equities: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Yield short keys, and the place that each belongs to.

    With leverage above 0 throughout all gains stand before the rest, which then is only looked at when a queue gets there.
    """
    tops, bottoms, times, per = product
    if min(times, default=1) <= 0:
        places = [place for place, equity in enumerate(equities) if equity > 0]
        yield [(top << _SHORT_BITS) // bottom for top, bottom in map(product.score, places)], places
        return
    yield (
        [
            (top * time << _SHORT_BITS) // (bottom * one)
            for top, bottom, time, one, equity in zip(tops, bottoms, times, per, equities, strict=True)
            if top > 0 and equity > 0
        ],
        [place for place, (top, equity) in enumerate(zip(tops, equities, strict=True)) if top > 0 and equity > 0],
    )
    yield (
        [
            (top * one << _SHORT_BITS) // (bottom * time)
            for top, bottom, time, one, equity in zip(tops, bottoms, times, per, equities, strict=True)
            if top <= 0 and equity > 0
        ],
        [place for place, (top, equity) in enumerate(zip(tops, equities, strict=True)) if top <= 0 and equity > 0],
    )


def _falling(keys: list[int], places: list[int], bits: int, *, whole: bool) -> Iterator[int]:
    """Yield each key with its place below it, in one integer so that comparing is one step, from the highest on.

    Unless all are wanted, at first only those that about one in ``_FIRST_PART`` is among, by a sample.
    """
    sample = sorted(keys[::_SAMPLE_STEP], reverse=True)
    if whole or len(sample) < _FIRST_PART:
        yield from sorted([key << bits | place for key, place in zip(keys, places, strict=True)], reverse=True)
        return
    bound = sample[len(sample) // _FIRST_PART]
    yield from sorted([key << bits | place for key, place in zip(keys, places, strict=True) if key > bound], reverse=True)
    yield from sorted([key << bits | place for key, place in zip(keys, places, strict=True) if key <= bound], reverse=True)


class _Ties(NamedTuple):
    """What orders candidates with equal scores: the further measures of the key, and at last the account."""

    accounts: Sequence[int]
    key: Key
    measured: Sequence[Terms]

    def sorted(self, places: Sequence[int], product: _Product | None = None) -> list[int]:
        """Return places in their exact order: by score where there is one, then by the further measures, then by account."""
        columns = [] if product is None else [_descending([product.score(place) for place in places])]
        for (tops, bottoms), tie in zip(self.measured, self.key.ties, strict=True):
            exact = _descending([(tops[place], bottoms[place]) for place in places])
            columns.append(exact if tie.descending else [-one for one in exact])
        accounts = [self.accounts[place] for place in places]
        columns.append([-account for account in accounts] if self.key.newest_first else accounts)
        return [place for _, place in sorted(zip(zip(*columns, strict=True), places, strict=True))]


def _descending(fractions: Sequence[tuple[int, int]]) -> list[int]:
    """Return integers that stand in the opposite order of the fractions."""
    shift = 2 * max((bottom for _, bottom in fractions), default=1).bit_length()
    return [-((top << shift) // bottom) for top, bottom in fractions]
