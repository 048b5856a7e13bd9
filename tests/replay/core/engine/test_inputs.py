from typing import Any

import pytest

from events.errors import MisuseError
from events.model import EXTERNAL, FEES
from replay.core.engine import Look, Moment, Order, Rules, Withdrawal, decide

MOMENT = Moment(5, 0, 0, 1)


@pytest.mark.parametrize(
    ("rules", "what"),
    [
        (Rules(6), "account 6 cannot take over positions"),
        (Rules(99), "account 99 cannot take over positions"),
        (Rules(5, slippage_ppm=1_000_000), "slippage must be below 100%"),
        (Rules(5, partial_share_ppm=0), "a partial liquidation above 0%"),
    ],
)
def test_rules_that_cannot_be_carried_out_are_refused(stage: Any, fold: Any, rules: Rules, what: str) -> None:
    with pytest.raises(MisuseError, match=what):
        decide(fold(stage([(1, {})], [900])), Look(6), rules, MOMENT)


@pytest.mark.parametrize("asked", [Look(7), Withdrawal(7, 1), Order(0, 6, 7, 1, 1), Order(1, 6, 5, 1, 1)])
def test_who_or_what_is_not_there_is_misuse(stage: Any, fold: Any, asked: Any) -> None:
    with pytest.raises(MisuseError, match=r"not open|not listed"):
        decide(fold(stage([(1, {})], [900])), asked, Rules(5), MOMENT)


def test_a_reserved_account_is_never_at_risk(stage: Any, fold: Any) -> None:
    state = fold(stage([(1, {})], [900]))
    assert [decide(state, Look(account), Rules(5), MOMENT).events for account in (EXTERNAL, FEES)] == [(), ()]


def test_what_the_record_does_not_tell_is_misuse(stage: Any, fold: Any) -> None:
    without_mark = fold(stage([(0, {0: (10, 1_000)})], [900])[:-1])
    for asked in (Look(6), Withdrawal(6, 1), Order(0, 6, 5, 1, 1)):
        with pytest.raises(MisuseError, match="nothing can be decided about account 6"):
            decide(without_mark, asked, Rules(5), MOMENT)
