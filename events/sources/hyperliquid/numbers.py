"""From the venue's text to integers on the ledger's grids, with what binary floats left behind.

The venue computes with doubles and prints decimals, so a number may be a few units in the last place off its grid
(``-1177978.6000000001``). It is put on the grid; what was cut off is remembered as ``Noise``, counted, and booked where it
is money that a reserved account gives or takes.
"""

from typing import NamedTuple

from events.errors import NumberError
from events.units import INT64_MAX, INT64_MIN, div_half_even, parse_units, quantise

__all__ = [
    "MONEY_DECIMALS",
    "PERP_DECIMALS",
    "RATE_DECIMALS",
    "Noise",
    "bound",
    "entry_price",
    "fee",
    "in_range",
    "money",
    "price",
    "rate",
    "size",
    "start_position",
]

# A perp's price decimals and size decimals add up to 6 (the venue's page on tick and lot size).
PERP_DECIMALS = 6

# Of the ledger. Where the venue's own split of the 6 is not on record, both grids have 6, and notionals still are exact.
MONEY_DECIMALS = 2 * PERP_DECIMALS

# USDC has 6 decimals in the perp ledger and 8 in the spot ledger, from where some amounts come.
_USDC_DECIMALS = (6, 8)

RATE_DECIMALS = 12
_ENTRY_DECIMALS_MAX = 18

# A position that a double added up from larger ones keeps their absolute error. Seen in the venue's files: up to 8e-10.
_DRIFT_DECIMALS = 9
_EXACT_DECIMALS = 64

_WIDE_MAX = 2**127 - 1


class Noise(NamedTuple):
    """What was cut off one number. ``account`` takes ``cash`` of it (gives, below zero), None where no money is booked."""

    name: str
    account: int | None = None
    cash: int = 0


def in_range(value: int, text: str) -> int:
    """Return an amount of money that an event can hold, read from ``text``. Raises ``NumberError``."""
    return _fits(value, text, -_WIDE_MAX, _WIDE_MAX)


def _fits(value: int, text: str, low: int = INT64_MIN, high: int = INT64_MAX) -> int:
    if not low <= value <= high:
        raise NumberError(f"{text!r} is out of range.")
    return value


def _on_grid(text: str, decimals: int, name: str, noise: list[Noise]) -> int:
    found = quantise(text, decimals)
    if found.residual:
        noise.append(Noise(name))
    return found.value


def price(text: str, decimals: int, noise: list[Noise], name: str = "residual.price") -> int:
    """Return a price, above zero, on a grid of ``decimals``. Raises ``NumberError``."""
    return _fits(_on_grid(text, decimals, name, noise), text, 1)


def size(text: str, decimals: int, noise: list[Noise]) -> int:
    """Return a size, above zero, on a grid of ``decimals``. Raises ``NumberError``."""
    return _fits(_on_grid(text, decimals, "residual.size", noise), text, 1)


def start_position(text: str, decimals: int, noise: list[Noise], name: str = "residual.start_position") -> int:
    """Return a signed position on a grid of ``decimals``, cutting off up to 1e-9 of drift. Raises ``NumberError``."""
    try:
        return _fits(_on_grid(text, decimals, name, noise), text)
    except NumberError:
        exact = quantise(text, _EXACT_DECIMALS).value
        unit = 10 ** (_EXACT_DECIMALS - decimals)
        grid = div_half_even(exact, unit)
        if abs(exact - grid * unit) > 10 ** (_EXACT_DECIMALS - _DRIFT_DECIMALS):
            raise
        noise.append(Noise(name))
        return _fits(grid, text)


def money(text: str, noise: list[Noise], name: str, account: int | None = None, sign: int = 1) -> int:
    """Return an amount in the ledger's money units.

    ``account`` is a reserved account that takes (``sign`` 1) or gives (-1) the amount: the residual is booked to it, so that
    it ties to the source's own text, while the user's account stays on the venue's grid. Raises ``NumberError``.
    """
    for decimals in _USDC_DECIMALS:
        try:
            found = quantise(text, decimals)
        except NumberError:
            if decimals == _USDC_DECIMALS[-1]:
                raise
            continue
        break
    if found.residual:
        finer = MONEY_DECIMALS - found.residual_decimals
        exact = account is not None and finer >= 0
        noise.append(Noise(name, account if exact else None, sign * found.residual * 10**finer if exact else 0))
    return in_range(found.value * 10 ** (MONEY_DECIMALS - decimals), text)


def fee(text: str, noise: list[Noise], account: int) -> int:
    """Return a trading fee in money units, below zero for a rebate, tied to ``account``. Raises ``NumberError``."""
    return _fits(money(text, noise, "residual.fee", account), text)


def rate(text: str, noise: list[Noise]) -> int:
    """Return a funding rate in parts per trillion. Raises ``NumberError``."""
    return _fits(_on_grid(text, RATE_DECIMALS, "residual.rate", noise), text)


def entry_price(text: str) -> tuple[int, int]:
    """Return an average entry price as ``(value, decimals)``, with all its digits as far as 64 bits and 18 decimals go."""
    exact = quantise(text, _EXACT_DECIMALS).value
    decimals = 0
    while decimals < _ENTRY_DECIMALS_MAX and exact % 10 ** (_EXACT_DECIMALS - decimals):
        decimals += 1
    while True:
        value = div_half_even(exact, 10 ** (_EXACT_DECIMALS - decimals))
        if INT64_MIN <= value <= INT64_MAX:
            return value, decimals
        if decimals == 0:
            raise NumberError(f"{text!r} is out of range.")
        decimals -= 1


def bound(text: str) -> int:
    """Return a margin tier's floor in money units. Raises ``NumberError``."""
    return _fits(parse_units(text, MONEY_DECIMALS), text, 0, _WIDE_MAX)
