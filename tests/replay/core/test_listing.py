import pytest
from msgspec.structs import replace

from events.errors import ReducerError
from events.model import Basis, Contract, MarginTier, MarketListed, MarketStatus
from replay.core.listing import check_tiers, market_of, relisted

TRUNCATED = Basis.AVERAGE_TRUNCATED


def listing(
    contract: Contract = Contract.LINEAR,
    price: int = 2,
    size: int = 3,
    multiplier: int = 1,
    multiplier_decimals: int = 0,
    basis: Basis = Basis.AVERAGE,
) -> MarketListed:
    grid = (contract, price, size, multiplier, multiplier_decimals, 1, 1)
    return MarketListed(0, 0, 0, 0, "M", *grid, basis, False, (), None, MarketStatus.UNKNOWN)


@pytest.mark.parametrize(
    ("contract", "decimals", "multiplier", "scale"),
    [
        (Contract.LINEAR, (2, 3, 0), 1, (10**3, 1)),
        (Contract.LINEAR, (4, 4, 0), 5, (5, 1)),
        (Contract.QUANTO, (2, 0, 10), 7, (7, 10**4)),
        (Contract.INVERSE, (1, 0, 0), 100, (100 * 10**9, 1)),
        (Contract.INVERSE, (0, 3, 9), 1, (1, 10**4)),
    ],
)
def test_the_scale_of_a_market(
    contract: Contract, decimals: tuple[int, int, int], multiplier: int, scale: tuple[int, int]
) -> None:
    price, size, mult = decimals
    made = market_of(listing(contract, price, size, multiplier, mult), 8)
    assert (made.numerator, made.denominator) == scale
    assert made.linear is (contract is Contract.LINEAR)


@pytest.mark.parametrize("listed", [listing(Contract.LINEAR, 4, 4, 1, 1), listing(Contract.QUANTO, basis=TRUNCATED)])
def test_what_makes_no_market(listed: MarketListed) -> None:
    with pytest.raises(ReducerError) as refused:
        market_of(listed, 8, 7)
    assert (refused.value.rule, refused.value.seq) == ("listing", 7)


def test_a_market_listed_again_keeps_its_scale() -> None:
    market = market_of(listing(), 8)
    again = replace(market.listed, size_lot=7, status=MarketStatus.HALTED)
    assert relisted(market, again) == replace(market, listed=again)
    with pytest.raises(ReducerError, match="cannot change what its numbers mean"):
        relisted(market, replace(again, basis=TRUNCATED))


@pytest.mark.parametrize("tiers", [((1, 2, 1),), ((0, 2, 1), (0, 2, 1)), ((0, 2, 1), (5, 1, 2)), ((-1, 2, 1),)])
def test_tiers_that_make_no_sense(tiers: tuple[tuple[int, int, int], ...]) -> None:
    check_tiers(replace(listing(), tiers=(MarginTier(0, 2, 1), MarginTier(5, 1, 1))))
    with pytest.raises(ReducerError):
        check_tiers(replace(listing(), tiers=tuple(MarginTier(*tier) for tier in tiers)))
