"""What a listing makes: a market with its scale, what of it may change later, and what makes no sense."""

from events.errors import ReducerError
from events.model import Basis, Contract, MarketListed
from events.units import scale
from replay.core.state import Market

__all__ = ["check_tiers", "market_of", "relisted"]

_LINEAR = Contract.LINEAR


def market_of(listed: MarketListed, money_decimals: int, seq: int | None = None) -> Market:
    """Return the market that a listing makes, with the scale of ``units.notional``.

    Raises ``ReducerError`` when a linear contract's values would not be whole money units, and for a basis that its contract
    does not have.
    """
    if listed.basis is Basis.AVERAGE_TRUNCATED and listed.contract is not _LINEAR:
        raise ReducerError("a truncated entry is defined for linear contracts only.", rule="listing", seq=seq)
    numerator, denominator = scale(
        listed.contract,
        listed.price_decimals,
        listed.size_decimals,
        listed.multiplier,
        listed.multiplier_decimals,
        money_decimals,
    )
    if listed.contract is _LINEAR and denominator != 1:
        raise ReducerError(
            f"{listed.symbol} has more decimals of price, size and multiplier together than the ledger's money has.",
            rule="listing",
            seq=seq,
        )
    return Market(listed, numerator, denominator, listed.contract is _LINEAR)


def relisted(market: Market, listed: MarketListed, seq: int | None = None) -> Market:
    """Return a market as it is after another listing. Raises ``ReducerError`` when its numbers would mean another thing."""
    if _identity(listed) != _identity(market.listed):
        raise ReducerError(f"{market.listed.symbol} cannot change what its numbers mean.", rule="listing", seq=seq)
    return Market(listed, market.numerator, market.denominator, market.linear)


def _identity(listed: MarketListed) -> tuple[str, int, int, int, int, int, int]:
    grid = (listed.price_decimals, listed.size_decimals, listed.multiplier, listed.multiplier_decimals)
    return (listed.symbol, listed.contract, listed.basis, *grid)


def check_tiers(listed: MarketListed, seq: int | None = None) -> None:
    """Raise ``ReducerError`` when margin tiers do not begin at 0 and rise, or ask for less at first than to maintain."""
    floor = -1
    for tier in listed.tiers:
        if tier.floor_cash <= floor or (floor < 0 and tier.floor_cash != 0):
            raise ReducerError("margin tiers begin at 0 and rise.", rule="listing", seq=seq)
        if tier.initial_ppt < tier.maintenance_ppt:
            raise ReducerError("initial margin is not below maintenance margin.", rule="listing", seq=seq)
        floor = tier.floor_cash
