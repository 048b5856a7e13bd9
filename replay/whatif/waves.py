"""Needed and used, wave by wave: overshoot gross and net, and tracking.

A wave is what is decided together, here the rounds of one deficit. Its use is held against its own need: an excess in one wave
is no cover for a shortfall in another, and a total that adds both signs hides both. (Fifth column of the research table on
10 October 2025, adl-rules.md section 18; arXiv:2602.15182 calls ``tracking`` the sum of absolute errors.)
"""

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Overshoot", "overshoot"]


class Overshoot(NamedTuple):
    """Sums over waves, in one unit. ``net`` = ``gross`` - ``under`` and ``tracking`` = ``gross`` + ``under``, always."""

    needed: int
    used: int
    gross: int
    under: int

    @property
    def net(self) -> int:
        """Used less needed, over all waves."""
        return self.used - self.needed

    @property
    def tracking(self) -> int:
        """The sum of the absolute errors of the waves."""
        return self.gross + self.under


def overshoot(waves: Iterable[tuple[int, int]]) -> Overshoot:
    """Return the sums over waves of (needed, used)."""
    needed = used = gross = under = 0
    for need, use in waves:
        needed += need
        used += use
        gross += max(use - need, 0)
        under += max(need - use, 0)
    return Overshoot(needed, used, gross, under)
