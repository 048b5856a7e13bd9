"""How well one rule explains the order of a round's closes, where the record may lack what its plan would need.

A fit is a description of the record and never a match: it may rest on claims, it says nothing of those who were spared, and
closes with equal keys stand for nothing.
"""

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from replay.core.policy import Policy
from replay.ordering.kendall import Key, TauRange, count_pairs, tau_range
from replay.ordering.measuring import Measured, keys_of

__all__ = ["OrderFit", "fit_order"]


class OrderFit(Struct, frozen=True):
    """How well ``rule`` explains the recorded order of closes, those of one account in a row as one.

    Over all pairs of the ``scored`` closes: ``concordant`` (the earlier has the higher score), ``discordant``, ``tied``;
    Kendall's tau (a) is concordant less discordant over all pairs. ``left_out`` closes have no score, ``from_claims`` of the
    scored ones have it from a claim. ``first_inversion`` is the seq of the first scored close with a higher score than the
    one before it. ``bounds`` is where the tau of all closes lies, whatever the scores are that are not known.
    """

    rule: str
    scored: int
    left_out: int
    from_claims: int
    concordant: int
    discordant: int
    tied: int
    tau_ppm: int | None
    adjacent: int
    adjacent_in_order: int
    first_inversion: int | None
    bounds: TauRange


def fit_order(policy: Policy, seqs: Sequence[int], measured: Sequence[Measured], unit: int) -> OrderFit:
    """Return the fit of a policy's key to closes in their order. ``unit`` is one unit of the currency in money units."""
    keys = keys_of(policy, measured, unit)
    known = [(seq, key) for seq, key in zip(seqs, keys, strict=True) if key is not None]
    scored = [key for _, key in known]
    pairs = count_pairs(scored)
    inversions = _inversions(known)
    adjacent = max(len(scored) - 1, 0)
    return OrderFit(
        rule=policy.name,
        scored=len(scored),
        left_out=len(keys) - len(scored),
        from_claims=sum(one.claims and key is not None for one, key in zip(measured, keys, strict=True)),
        concordant=pairs.concordant,
        discordant=pairs.discordant,
        tied=pairs.tied,
        tau_ppm=pairs.tau_ppm,
        adjacent=adjacent,
        adjacent_in_order=adjacent - len(inversions),
        first_inversion=inversions[0] if inversions else None,
        bounds=tau_range(keys),
    )


def _inversions(known: Sequence[tuple[int, Key]]) -> list[int]:
    """Return the seqs of the closes that have a higher key than the one before."""
    return [seq for (_, before), (seq, key) in pairwise(known) if key > before]
