import json
import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise, product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from events.errors import NumberError
from replay.core.levels import drain, greedy, index_rate, indexed, least_maximum, pro_rata, rotate

HUGE = 10**60


class Case(NamedTuple):
    """Candidates by index: ``weights`` are weights, or equities where they must be above 0; ``starts`` are exposures."""

    starts: list[int]
    weights: list[int]
    caps: list[int]
    unit: tuple[int, int]
    amount: int


@st.composite
def cases(draw: st.DrawFn, *, least: int = 1, weight: int = 20, cap: int = 12, unit: int = 9, most: int = 7) -> Case:
    # Small numbers make ties, huge ones would show a number that is not exact; both are wanted.
    count = draw(st.integers(0, most))

    def many(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=count, max_size=count))

    caps = many(0, cap)
    amount = draw(st.integers(0, sum(caps) + 3))
    money, per = draw(st.integers(1, unit)), draw(st.integers(1, unit))
    return Case(many(0, 5 * weight), many(least, weight), caps, (money, per), amount)


weighted = cases(least=0)
any_size = st.one_of(cases(), cases(weight=HUGE, cap=10**25, unit=10**20))
any_weight = st.one_of(cases(least=0), cases(least=0, weight=HUGE, cap=10**25))


def rounded(real: dict[int, Fraction]) -> dict[int, int]:
    """Round shares by id down, then +1 by the largest remainder, then the lower id."""
    shares = {who: math.floor(share) for who, share in real.items()}
    order = sorted(real, key=lambda who: (shares[who] - real[who], who))
    for who in order[: int(sum(real.values())) - sum(shares.values())]:
        shares[who] += 1
    return shares


def naive_pro_rata(weights: dict[int, int], caps: dict[int, int], amount: int) -> dict[int, Fraction]:
    """Return real shares: fix everybody above the cap, and share the rest again among the others."""
    shares = dict.fromkeys(weights, Fraction(0))
    free = {who for who, weight in weights.items() if weight}
    while free:
        left = amount - sum(shares[who] for who in shares.keys() - free)
        total = sum(weights[who] for who in free)
        shares |= {who: left * Fraction(weights[who], total) for who in free}
        above = {who for who in free if shares[who] > caps[who]}
        if not above:
            break
        shares |= {who: Fraction(caps[who]) for who in above}
        free -= above
    return shares


def columns_pro_rata(case: Case) -> dict[int, Fraction]:
    return naive_pro_rata(dict(enumerate(case.weights)), dict(enumerate(case.caps)), case.amount)


def drained(case: Case, level: Fraction) -> list[Fraction]:
    unit = Fraction(*case.unit)
    columns = zip(case.starts, case.weights, case.caps, strict=True)
    return [min(max((start - level * equity) / unit, Fraction(0)), Fraction(cap)) for start, equity, cap in columns]


def naive_level(case: Case) -> Fraction:
    """Return the level of draining, for an amount that the caps can meet, by the kinks on both sides of it."""
    unit = Fraction(*case.unit)
    columns = list(zip(case.starts, case.weights, case.caps, strict=True))
    kinks = {Fraction(start, equity) for start, equity, _ in columns}
    kinks |= {(start - unit * cap) / equity for start, equity, cap in columns}
    high = min(kink for kink in kinks if sum(drained(case, kink)) <= case.amount)
    low = max(kink for kink in kinks if sum(drained(case, kink)) >= case.amount)
    least, most = sum(drained(case, high)), sum(drained(case, low))
    return high if most == least else high + (low - high) * (case.amount - least) / (most - least)


FILLS: dict[str, Callable[[Case], list[int]]] = {
    "greedy": lambda case: greedy(case.caps, case.amount),
    "pro_rata": lambda case: pro_rata(case.weights, case.caps, case.amount),
    "drain": lambda case: drain(case.starts, case.weights, case.caps, case.unit, case.amount),
    "least_maximum": lambda case: least_maximum(case.weights, case.caps, case.amount),
}
every_fill = pytest.mark.parametrize("fill", FILLS.values(), ids=FILLS.keys())


@every_fill
@given(case=any_size)
def test_the_amount_is_met_as_far_as_caps_reach(fill: Callable[[Case], list[int]], case: Case) -> None:
    shares = fill(case)
    assert all(0 <= share <= cap for share, cap in zip(shares, case.caps, strict=True))
    assert sum(shares) == min(case.amount, sum(case.caps))


@every_fill
@given(case=any_size, data=st.data())
def test_equal_candidates_differ_by_a_lot_at_most_and_the_lower_index_gives_it(
    fill: Callable[[Case], list[int]], case: Case, data: st.DataObject
) -> None:
    assume(len(case.caps) > 1)
    first = data.draw(st.integers(0, len(case.caps) - 2))
    for column in (case.starts, case.weights, case.caps):
        column[-1] = column[first]
    shares = fill(case._replace(amount=min(case.amount, sum(case.caps))))
    assert shares[first] >= shares[-1]
    if fill is not FILLS["greedy"]:
        assert shares[first] - shares[-1] <= 1


@every_fill
@given(case=any_size, factor=st.integers(2, HUGE), other=st.integers(2, HUGE))
def test_units_do_not_matter(fill: Callable[[Case], list[int]], case: Case, factor: int, other: int) -> None:
    # Money in finer units, and equities in units of their own.
    money, per = case.unit
    scaled = case._replace(
        starts=[start * factor for start in case.starts],
        weights=[weight * other for weight in case.weights],
        unit=(money * factor * other, per * other),
    )
    assert fill(scaled) == fill(case)


@pytest.mark.parametrize("fill", [FILLS["greedy"], FILLS["least_maximum"]], ids=["greedy", "least_maximum"])
@given(case=any_size, more=st.integers(1, 5))
def test_more_to_share_lowers_nobody(fill: Callable[[Case], list[int]], case: Case, more: int) -> None:
    after = fill(case._replace(amount=case.amount + more))
    assert all(first <= second for first, second in zip(fill(case), after, strict=True))


@pytest.mark.parametrize("fill", [FILLS["pro_rata"], FILLS["drain"]], ids=["pro_rata", "drain"])
@given(case=any_size, more=st.integers(1, 5))
def test_more_to_share_lowers_nobody_by_more_than_the_rounding(
    fill: Callable[[Case], list[int]], case: Case, more: int
) -> None:
    after = fill(case._replace(amount=case.amount + more))
    assert all(first <= second + 1 for first, second in zip(fill(case), after, strict=True))


def test_largest_remainder_is_not_monotone() -> None:
    # The Alabama paradox: the third loses a lot although there is one more to share.
    assert pro_rata([6, 6, 2], [99, 99, 99], 10) == [4, 4, 2]
    assert pro_rata([6, 6, 2], [99, 99, 99], 11) == [5, 5, 1]


@every_fill
def test_nobody_gives_nothing(fill: Callable[[Case], list[int]]) -> None:
    assert fill(Case([], [], [], (1, 1), 5)) == []


@given(case=any_size, second=st.integers(0, 10**25))
def test_greedy_in_two_rounds_is_one_round(case: Case, second: int) -> None:
    first = greedy(case.caps, case.amount)
    left = [cap - share for cap, share in zip(case.caps, first, strict=True)]
    both = [one + two for one, two in zip(first, greedy(left, second), strict=True)]
    assert both == greedy(case.caps, case.amount + second)


@given(case=any_size)
def test_greedy_leaves_nothing_before_the_last_it_takes(case: Case) -> None:
    shares = greedy(case.caps, case.amount)
    last = max((index for index, share in enumerate(shares) if share), default=0)
    assert shares[:last] == case.caps[:last]


@given(case=any_weight, data=st.data())
def test_pro_rata_is_the_naive_rule_whatever_the_storage(case: Case, data: st.DataObject) -> None:
    stored = data.draw(st.permutations(range(len(case.caps))))
    weights = {who: case.weights[who] for who in stored}
    shares = rounded(naive_pro_rata(weights, {who: case.caps[who] for who in stored}, case.amount))
    assert pro_rata(case.weights, case.caps, case.amount) == [shares[who] for who in range(len(case.caps))]


@given(case=any_weight)
def test_pro_rata_once_cuts_at_the_cap_and_leaves_it_there(case: Case) -> None:
    shares = pro_rata(case.weights, case.caps, case.amount, once=True)
    uncapped = rounded(columns_pro_rata(case._replace(caps=[case.amount] * len(case.caps))))
    assert shares == [min(uncapped[who], cap) for who, cap in enumerate(case.caps)]


@given(case=any_weight)
def test_what_rounding_left_can_go_to_the_first_below_their_cap(case: Case) -> None:
    shares = list(columns_pro_rata(case).values())
    pieces = [math.floor(share) for share in shares]
    below = [who for who, weight in enumerate(case.weights) if weight and pieces[who] < case.caps[who]]
    for who in below[: int(sum(shares)) - sum(pieces)]:
        pieces[who] += 1
    assert pro_rata(case.weights, case.caps, case.amount, first=True) == pieces


def test_what_rounding_left_can_go_to_the_first_before_the_caps_cut() -> None:
    assert pro_rata([1, 0, 5, 5], [9, 9, 9, 9], 4, once=True, first=True) == [1, 0, 2, 1]
    assert pro_rata([1, 0, 5, 5], [0, 9, 9, 9], 4, once=True, first=True) == [0, 0, 2, 1]
    assert pro_rata([1, 0, 5, 5], [9, 9, 9, 9], 4, once=True) == [0, 0, 2, 2]


@given(case=any_weight)
def test_without_weight_nothing_is_given(case: Case) -> None:
    for once in (False, True):
        shares = pro_rata(case.weights, case.caps, case.amount, once=once)
        assert all(weight or not share for weight, share in zip(case.weights, shares, strict=True))
        assert not any(pro_rata([0] * len(case.caps), case.caps, case.amount, once=once))


@st.composite
def split(draw: st.DrawFn) -> tuple[Case, Case, int]:
    """Return candidates, the same with one split in two halves, and which. Its cap is split in proportion to its weight.

    The halves need not stand together: the second account is the newest, so it has the highest id.
    """
    case = draw(weighted.filter(lambda case: bool(case.caps)))
    who = draw(st.integers(0, len(case.caps) - 1))
    weight, cap = draw(st.integers(1, 5)), draw(st.integers(0, 5))
    mine, other = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    case.weights[who], case.caps[who] = weight * (mine + other), cap * (mine + other)
    halves = case._replace(weights=[*case.weights, weight * other], caps=[*case.caps, cap * other])
    halves.weights[who], halves.caps[who] = weight * mine, cap * mine
    return case, halves, who


@given(split())
def test_splitting_an_account_moves_at_most_one_lot_of_pro_rata(pair: tuple[Case, Case, int]) -> None:
    # One lot is the true bound. Where the halves' remainders sum to less than one, as many pieces are left as before, and no
    # half has a larger remainder than the whole: if the whole got no +1, neither half does. Else one piece more is left, and
    # each half has a larger remainder than the whole: if the whole got +1 both do, which makes up for the lower floors.
    case, halves, who = pair
    whole = pro_rata(case.weights, case.caps, case.amount)
    parted = pro_rata(halves.weights, halves.caps, halves.amount)
    assert abs(parted[who] + parted[-1] - whole[who]) <= 1
    assert all(abs(parted[other] - whole[other]) <= 1 for other in range(len(whole)) if other != who)


@given(split())
def test_splitting_an_account_moves_no_real_share_of_pro_rata(pair: tuple[Case, Case, int]) -> None:
    # Lots so fine that every real share is a whole number of them.
    case, halves, who = pair
    fine = math.lcm(*range(1, sum(case.weights) + 1))
    whole = pro_rata(case.weights, [cap * fine for cap in case.caps], case.amount * fine)
    *parted, last = pro_rata(halves.weights, [cap * fine for cap in halves.caps], case.amount * fine)
    parted[who] += last
    assert parted == whole


def test_a_split_can_move_one_lot() -> None:
    assert pro_rata([2, 2], [9, 9], 1) == [1, 0]
    assert pro_rata([1, 2, 1], [9, 9, 9], 1) == [0, 1, 0]


@given(case=any_size, data=st.data())
def test_drain_rounds_the_real_shares_at_the_level_whatever_the_storage(case: Case, data: st.DataObject) -> None:
    assume(0 < case.amount < sum(case.caps))
    real = drained(case, naive_level(case))
    assert sum(real) == case.amount
    stored = data.draw(st.permutations(range(len(case.caps))))
    shares = rounded({who: real[who] for who in stored})
    assert FILLS["drain"](case) == [shares[who] for who in range(len(case.caps))]


@given(case=any_size)
def test_drain_ends_within_one_lot_of_the_level(case: Case) -> None:
    assume(0 < case.amount < sum(case.caps))
    level, unit = naive_level(case), Fraction(*case.unit)
    for start, equity, cap, share in zip(case.starts, case.weights, case.caps, FILLS["drain"](case), strict=True):
        beyond = start - share * unit - level * equity
        if share < cap:
            assert beyond < unit
        if share:
            assert beyond > -unit


@given(case=cases(most=4, cap=4))
def test_no_allocation_has_a_lower_largest_leverage_by_more_than_one_lot(case: Case) -> None:
    unit = Fraction(*case.unit)

    def largest(shares: tuple[int, ...]) -> Fraction:
        columns = zip(case.starts, shares, case.weights, strict=True)
        return max((start - share * unit) / equity for start, share, equity in columns)

    assume(case.caps and case.amount <= sum(case.caps))
    choices = product(*(range(cap + 1) for cap in case.caps))
    best = min(largest(shares) for shares in choices if sum(shares) == case.amount)
    assert largest(tuple(FILLS["drain"](case))) < best + unit / min(case.weights)


def test_drain_takes_from_the_most_levered_until_equal() -> None:
    # Leverages 10, 8 and 2 on an equity of 100 at 50 a lot: 4 lots bring the first to 8, then it is one each.
    assert drain([1000, 800, 200], [100, 100, 100], [20, 16, 4], (50, 1), 4) == [4, 0, 0]
    assert drain([1000, 800, 200], [100, 100, 100], [20, 16, 4], (50, 1), 10) == [7, 3, 0]
    # Where the first may give 5 at most, the second gives the rest.
    assert drain([1000, 800, 200], [100, 100, 100], [5, 16, 4], (50, 1), 10) == [5, 5, 0]
    # A lot of 1/3: equal leverages, and a tie of remainders goes to the lower index.
    assert drain([2, 2], [1, 1], [6, 6], (1, 3), 5) == [3, 2]
    # All is to be closed, although the caps are worth more than the exposures: the level falls below zero.
    assert drain([9, 9], [1, 1], [2, 2], (5, 1), 4) == [2, 2]


@given(case=cases(most=4, cap=4))
def test_no_allocation_has_a_lower_largest_ratio(case: Case) -> None:
    assume(case.caps and case.amount <= sum(case.caps))

    def largest(shares: tuple[int, ...]) -> Fraction:
        return max(Fraction(share, equity) for share, equity in zip(shares, case.weights, strict=True))

    choices = product(*(range(cap + 1) for cap in case.caps))
    best = min(largest(shares) for shares in choices if sum(shares) == case.amount)
    assert largest(tuple(FILLS["least_maximum"](case))) == best


@given(case=cases(), data=st.data())
def test_least_maximum_gives_lots_in_the_order_of_their_ratio(case: Case, data: st.DataObject) -> None:
    stored = data.draw(st.permutations(range(len(case.caps))))
    lots = sorted((Fraction(lot, case.weights[who]), who) for who in stored for lot in range(1, case.caps[who] + 1))
    givers = [who for _, who in lots[: case.amount]]
    assert FILLS["least_maximum"](case) == [givers.count(who) for who in range(len(case.caps))]


def test_least_maximum_can_give_one_account_several_of_the_last_lots() -> None:
    # At the real level of 1/3 the first has 3 lots and nobody else one, and the next ratios, 4/10 and 5/10, are its own.
    assert least_maximum([10, 1, 1, 1, 1, 1], [9] * 6, 5) == [5, 0, 0, 0, 0, 0]
    # With a cap of 4 it gives one of them, and then all others tie.
    assert least_maximum([10, 1, 1, 1, 1, 1], [4, 9, 9, 9, 9, 9], 5) == [4, 1, 0, 0, 0, 0]
    assert least_maximum([3, 3, 1], [9, 9, 9], 1) == [1, 0, 0]


@given(loss=st.integers(-HUGE, HUGE), sizes=st.lists(st.integers(-(10**18), 10**18)), scale=st.integers(1, 10**12))
def test_an_index_covers_the_loss_and_takes_no_more_than_its_rounding(loss: int, sizes: list[int], scale: int) -> None:
    base = sum(map(abs, sizes))
    assume(base)
    rate = index_rate(loss, base, scale)
    assert rate == math.ceil(Fraction(abs(loss) * scale, base))
    pays = indexed(sizes, rate, scale)
    assert all(pay == math.ceil(Fraction(abs(size) * rate, scale)) for pay, size in zip(pays, sizes, strict=True))
    assert 0 <= sum(pays) - abs(loss) < Fraction(base, scale) + len(sizes)


@given(start=st.integers(-HUGE, HUGE), count=st.integers(1, 30))
def test_rotation_walks_once_around_the_list(start: int, count: int) -> None:
    order = rotate(start, count)
    assert sorted(order) == list(range(count))
    assert all((there - here) % count == 1 % count for here, there in pairwise(order))
    assert (order[0] - start) % count == 0


def test_rotation_of_an_empty_list_is_empty() -> None:
    assert rotate(7, 0) == []


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: greedy([1, -2], 1), "a cap of -2 (index 1) is below 0."),
        (lambda: greedy([1], -1), "an amount to share of -1 (index 0) is below 0."),
        (lambda: pro_rata([-1], [1], 1), "a weight of -1 (index 0) is below 0."),
        (lambda: pro_rata([1], [1], -1, once=True), "an amount to share of -1 (index 0) is below 0."),
        (lambda: drain([1], [0], [1], (1, 1), 1), "an equity of 0 (index 0) is below 1."),
        (lambda: drain([1], [1], [1], (1, 0), 1), "a unit of 0 (index 1) is below 1."),
        (lambda: least_maximum([1, -3], [1, 1], 1), "an equity of -3 (index 1) is below 1."),
        (lambda: index_rate(5, 1, 0), "a scale of 0 (index 0) is below 1."),
        (lambda: index_rate(-5, 0, 1), "a loss of 5 cannot be spread over a base of 0: nobody is left to pay."),
        (lambda: indexed([1], 1, 0), "a scale of 0 (index 0) is below 1."),
        (lambda: rotate(0, -1), "a length of -1 (index 0) is below 0."),
    ],
)
def test_what_cannot_be_shared_is_refused(call: Callable[[], object], says: str) -> None:
    with pytest.raises(NumberError) as caught:
        call()
    assert caught.value.message == says
    assert caught.value.cure


def vectors(path: Path) -> dict[str, Any]:
    return {vector["name"]: vector for vector in json.loads(path.read_text())["vectors"]}


def test_pro_rata_shares_as_percolator_does() -> None:
    # github:HaidarIDK/PERColator@10aae1b, tests/unit_tests.rs: a haircut of unwarmed profit, which is weight and cap at once.
    for profits, loss, haircuts in [([100, 200, 300], 250, [42, 83, 125]), ([100] * 3, 7, [3, 2, 2]), ([100], 150, [100])]:
        assert pro_rata(profits, profits, loss) == haircuts


def test_every_percolator_vector_is_reproduced(shared_data: Callable[[str], Path]) -> None:
    found = vectors(shared_data("vectors/percolator.json"))
    allocations = [vector for vector in found.values() if vector["kind"] == "allocation"]
    assert allocations
    for vector in allocations:
        params, expect = vector["given"]["params"], vector["expect"]
        profits = [int(account["unwarmed_positive_pnl"]) for account in vector["given"]["accounts"]]
        paid = int(params["insurance"]) - int(expect["insurance_after"])
        haircuts = pro_rata(profits, profits, int(params["loss"]) - paid)
        assert haircuts == [int(haircut) for haircut in expect["haircuts"]], vector["name"]
        assert int(params["loss"]) - paid - sum(haircuts) == int(expect["uncovered"]), vector["name"]


def test_the_papers_queue_and_pro_rata_are_reproduced(shared_data: Callable[[str], Path]) -> None:
    # arXiv 2512.01112v3: profits of 8, 4 and 0.5, a budget of 7.5, in tenths.
    found = vectors(shared_data("vectors/research.json"))

    def tenths(texts: list[str]) -> list[int]:
        return [int(Fraction(text) * 10) for text in texts]

    by_profit, queue = found["research/pro_rata_half"], found["research/queue_half"]
    caps = [max(profit, 0) for profit in tenths([account["pnl"] for account in by_profit["given"]["accounts"]])]
    assert pro_rata(caps, caps, 75) == tenths(by_profit["expect"]["seized"])
    order = [int(who) - 1 for who in queue["given"]["params"]["queue_order"]]
    seized = dict(zip(order, greedy([caps[who] for who in order], 75), strict=True))
    assert [seized.get(who, 0) for who in range(len(caps))] == tenths(queue["expect"]["seized"])


def test_the_index_of_drift_is_reproduced() -> None:
    # github:drift-labs/protocol-v2@0ae3e3b1d, math/liquidation/tests.rs: a loss of 100 over 7 long and 4 short. Three
    # decimals are appended to its rate after the rounding: 9,090,910,000.
    rate = index_rate(-100_000_000, 11_000_000_000, 10**9)
    assert rate == 9_090_910
    assert sum(indexed([7_000_000_000, -4_000_000_000], rate, 10**9)) == 100_000_010
