import msgspec
import pytest

from events.codec import check, encode
from events.errors import BadInputError
from replay.core.policy import (
    PROFIT_TIMES_LEVERAGE,
    ClosePrice,
    Condition,
    Insolvent,
    Policy,
    ReturnOn,
    adopt,
    parse_policy,
    policy_for,
)
from replay.core.state import State

ADOPTED = adopt(PROFIT_TIMES_LEVERAGE, policy=3, at_ns=7, source=1, row=2, by="risk desk")


def test_the_preset_is_read_as_it_is_meant() -> None:
    assert parse_policy(ADOPTED) == Policy(
        policy=3,
        name="profit x leverage",
        trigger=(Condition.EQUITY_BELOW_ZERO, Condition.FUND_EMPTY),
        return_on=ReturnOn.ENTRY_NOTIONAL,
        insolvent=Insolvent.LAST,
        price=ClosePrice.BANKRUPTCY,
    )


def test_an_adopted_preset_is_a_storable_event_with_every_parameter_of_it() -> None:
    assert check(encode(ADOPTED)) == ADOPTED
    assert (ADOPTED.policy, ADOPTED.at_ns, ADOPTED.source, ADOPTED.row, ADOPTED.by) == (3, 7, 1, 2, "risk desk")
    assert {name: getattr(ADOPTED, name) for name in PROFIT_TIMES_LEVERAGE._fields} == PROFIT_TIMES_LEVERAGE._asdict()


@pytest.mark.parametrize(
    ("parameter", "text", "field", "value"),
    [
        ("trigger", "equity < 0", "trigger", (Condition.EQUITY_BELOW_ZERO,)),
        ("trigger", "fund <= 0", "trigger", (Condition.FUND_EMPTY,)),
        ("price", "mark", "price", ClosePrice.MARK),
        ("price", "previous-mark", "price", ClosePrice.PREVIOUS_MARK),
        ("price", "stated", "price", ClosePrice.STATED),
        ("key", "profit/notional * notional/equity desc, equity <= 0 first, account asc", "return_on", ReturnOn.NOTIONAL),
        ("key", "profit/notional * notional/equity desc, equity <= 0 first, account asc", "insolvent", Insolvent.FIRST),
    ],
)
def test_what_else_is_known(parameter: str, text: str, field: str, value: object) -> None:
    assert getattr(parse_policy(msgspec.structs.replace(ADOPTED, **{parameter: text})), field) == value


@pytest.mark.parametrize(
    ("parameter", "text", "known"),
    [
        ("trigger", "equity < 0 or fund <= 0", "equity < 0; fund <= 0"),
        ("trigger", "", "equity < 0; fund <= 0"),
        ("trigger", "equity < 0 and fund <= 0 and equity < 0", "equity < 0; fund <= 0"),
        ("scope", "same", "opposite"),
        ("key", "profit desc, equity <= 0 last, account asc", "profit/entry-notional * notional/equity desc"),
        ("key", "profit/notional * notional/equity desc", "equity <= 0 first; equity <= 0 last"),
        ("key", "profit/notional * notional/equity desc, account asc", "equity <= 0 first; equity <= 0 last"),
        ("key", "profit/notional * notional/equity desc, equity <= 0 last", "account asc"),
        ("key", "profit/notional * notional/equity desc, equity <= 0 last, account desc", "account asc"),
        ("fill", "level(contracts)", "queue"),
        ("price", "oracle", "bankruptcy; mark; previous-mark; stated"),
        ("target", "deficit", "whole position"),
        ("layers", "adl, fund", "fund, adl"),
        ("rounding", "quote", "lot"),
    ],
)
def test_unknown_text_names_the_parameter_and_what_is_known(parameter: str, text: str, known: str) -> None:
    with pytest.raises(BadInputError) as caught:
        parse_policy(msgspec.structs.replace(ADOPTED, **{parameter: text}))
    assert f"policy 3 (profit x leverage), parameter {parameter}:" in str(caught.value)
    assert known in str(caught.value)


def test_in_force_for_a_market_is_the_last_policy_that_is_for_it() -> None:
    markets = (None, (1, 2), (2,), None, (1,))
    adopted = [adopt(PROFIT_TIMES_LEVERAGE, policy=n, at_ns=0, source=0, row=0, markets=m) for n, m in enumerate(markets)]
    in_force = [[policy_for(State(policies=adopted[:count]), market) for market in range(3)] for count in range(6)]
    assert in_force == [[None] * 3, [0, 0, 0], [0, 1, 1], [0, 1, 2], [3, 3, 3], [3, 4, 3]]
