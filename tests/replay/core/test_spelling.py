from math import gcd

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.codec import check, encode
from events.errors import BadInputError, EventEncodeError
from replay.core.policy import Insolvent, Policy, Ratio
from replay.core.spelling import PARAMETERS, Texts, adopt, parse_policy, parse_texts, spell, spell_measure, spell_ratio
from replay.core.spelling.contradictions import contradictions
from replay.core.spelling.reading import NUMBER_MAX, read_ratio, read_window, spell_window
from replay.presets import preset
from replay.testing.policies import policies

QUEUE = preset("queue").texts
# What a text can hold that is not plain: digits of other scripts, signs of the grammar, control characters.
HOSTILE = st.sampled_from(
    [*"()/*,<>=% -.0123456789", "٣", "²", "Ⅷ", "½", "\0", "\n", "\u202e", "9" * 5_000, "(" * 500, " or ", " and "]
)


def texts_of(policy: Policy) -> Texts:
    return Texts(policy.name, *spell(policy))


@given(policies())
def test_what_is_spelled_is_read_as_it_was(policy: Policy) -> None:
    assert parse_texts(texts_of(policy)) == policy


@given(policies(), st.integers(0, 2**32 - 1))
def test_a_policy_travels_in_an_event(policy: Policy, number: int) -> None:
    event = adopt(texts_of(policy), policy=number, at_ns=7, source=1, row=2, by="risk desk", markets=(3,))
    assert check(encode(event)) == event
    assert parse_policy(event) == msgspec.structs.replace(policy, policy=number)
    assert (event.at_ns, event.source, event.row, event.by, event.markets) == (7, 1, 2, "risk desk", (3,))


@given(st.data())
def test_whatever_is_read_is_its_own_spelling_and_the_rest_is_refused_by_name(data: st.DataObject) -> None:
    texts = texts_of(data.draw(policies()))
    name = data.draw(st.sampled_from(PARAMETERS))
    text = getattr(texts, name)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 8)))
    other = getattr(texts_of(data.draw(policies())), name)
    piece = data.draw(st.one_of(HOSTILE, st.text(max_size=4), st.sampled_from(other.split(", ")), st.just("")))
    changed = texts._replace(**{name: text[:start] + piece + text[end:]})
    try:
        read = parse_texts(changed)
    except BadInputError as error:
        assert any(f"parameter {parameter}:" in error.message for parameter in PARAMETERS)  # noqa: PT017  half of the law
        assert error.cure  # noqa: PT017  the same
    else:
        assert spell(read) == changed[1:-1]


@given(policies(), policies(), st.sampled_from(PARAMETERS))
def test_of_two_policies_one_parameter_can_be_exchanged_or_contradicts_another(one: Policy, other: Policy, name: str) -> None:
    mixed = msgspec.structs.replace(one, **{name: getattr(other, name)})
    found = list(contradictions(mixed))
    if not found:
        assert parse_texts(texts_of(mixed)) == mixed
        return
    with pytest.raises(BadInputError) as caught:
        parse_texts(texts_of(mixed))
    parameter, why = found[0]
    assert caught.value.message == f"policy 'drawn', parameter {parameter}: {why}."


@given(st.text(max_size=40), st.sampled_from(PARAMETERS))
def test_any_text_at_all_is_read_or_refused(text: str, name: str) -> None:
    changed = QUEUE._replace(**{name: text})
    try:
        assert spell(parse_texts(changed)) == changed[1:-1]
    except BadInputError as error:
        assert f"parameter {name}:" in error.message  # noqa: PT017  either may happen


@given(st.integers(1 - NUMBER_MAX, NUMBER_MAX - 1), st.integers(1, NUMBER_MAX - 1), st.booleans())
def test_numbers_are_spelled_exactly(top: int, bottom: int, percent: bool) -> None:
    common = gcd(top, bottom)
    value = Ratio(top // common, bottom // common)
    assert read_ratio(spell_ratio(value, percent=percent)) == value


@pytest.mark.parametrize(
    ("value", "plain", "percent"),
    [
        (Ratio(0, 1), "0", "0%"),
        (Ratio(-1, 2), "-0.5", "-50%"),
        (Ratio(1, 3), "1/3", "1/3"),
        (Ratio(1, 40), "0.025", "2.5%"),
        (Ratio(10_000, 1), "10000", "1000000%"),
        (Ratio(-5, 7), "-5/7", "-5/7"),
        (Ratio(1, 300), "1/300", "1/300"),
        (Ratio(1, 2**20), "1/1048576", "1/1048576"),
    ],
)
def test_how_numbers_look(value: Ratio, plain: str, percent: str) -> None:
    assert (spell_ratio(value), spell_ratio(value, percent=percent != plain or value == (0, 1))) == (plain, percent)


@given(st.integers(1, NUMBER_MAX - 1))
def test_windows_are_spelled_exactly(window_ns: int) -> None:
    assert read_window(spell_window(window_ns)) == window_ns


@pytest.mark.parametrize(
    ("text", "window_ns"), [("8h", 28_800 * 10**9), ("1d", 86_400 * 10**9), ("90m", 5_400 * 10**9), ("7ns", 7)]
)
def test_how_windows_look(text: str, window_ns: int) -> None:
    assert (spell_window(window_ns), read_window(text)) == (text, window_ns)


KEY = "profit/entry-notional * notional/equity desc, 0 as gain, equity <= 0 last, account asc"
CASH = {"fill": "level(paid/gain), cap gain", "price": "none", "target": "deficit", "rounding": "money unit, remainder largest"}
LEVEL_KEY = "equity <= 0 alike, account asc"


@pytest.mark.parametrize(
    ("changes", "parameter", "says"),
    [
        # One text that is not known.
        ({"trigger": ""}, "trigger", "equity < 0"),
        ({"trigger": "equity < 0 and equity < 0"}, "trigger", "twice"),
        ({"trigger": "equity < 0 or equity < 0"}, "trigger", "twice"),
        ({"trigger": "equity < -0"}, "trigger", "'equity < 0'"),
        ({"trigger": "equity < 0.50"}, "trigger", "'equity < 0.5'"),
        ({"trigger": "equity < ٣"}, "trigger", "is no number"),
        ({"trigger": "equity < 1/0"}, "trigger", "divides by zero"),
        ({"trigger": "equity < 1/"}, "trigger", "is no number"),
        ({"trigger": f"equity < {'9' * 31}"}, "trigger", "below 10**30"),
        ({"trigger": "equity(8h) < 0"}, "trigger", "for drawdown alone"),
        ({"trigger": "drawdown > 30%"}, "trigger", "for drawdown alone"),
        ({"trigger": "drawdown(0h) > 30%"}, "trigger", "a whole number of d, h, m, s or ns"),
        ({"trigger": "drawdown(24h) > 30%"}, "trigger", "drawdown(1d)"),
        ({"trigger": "drawdown(8h) > 0.3"}, "trigger", "drawdown(8h) > 30%"),
        ({"trigger": "settlement < 0"}, "trigger", "settlement alone"),
        ({"trigger": "never until fund > 0"}, "trigger", "is no condition"),
        ({"trigger": "equity < 0 until "}, "trigger", "is no condition"),
        ({"scope": "same"}, "scope", "opposite, both sides, accounts"),
        ({"scope": "opposite, unhedged, profit > 0"}, "scope", "not known here"),
        ({"key": "profit desc, equity <= 0 last"}, "key", "unique id"),
        ({"key": "profit, equity <= 0 last, account asc"}, "key", "ends in ' desc'"),
        ({"key": "profit * notional/equity desc, equity <= 0 last, account asc"}, "key", "0 as gain"),
        ({"key": "account asc"}, "key", "equity <= 0 last"),
        ({"key": "profit/profit desc, equity <= 0 last, account asc"}, "key", "by itself"),
        ({"key": "profit/max(size, 1) desc, equity <= 0 last, account asc"}, "key", "only money"),
        ({"key": "profit over -1 desc, equity <= 0 last, account asc"}, "key", "below 0"),
        ({"key": "equity <= 0 alike, profit, account asc"}, "key", "asc or desc"),
        ({"fill": "level(closed/((size)))"}, "fill", "is not known"),
        ({"fill": "level(closed/(size))"}, "fill", "it is spelled 'level(closed/size)'"),
        ({"fill": "queue, once"}, "fill", "cannot have"),
        ({"fill": "queue, cap gain"}, "fill", "cannot have"),
        ({"price": "last"}, "price", "previous-mark"),
        ({"price": "bankruptcy, mark beyond 0%"}, "price", "is no share"),
        ({"target": "deficit * 0"}, "target", "is no share"),
        ({"target": "all"}, "target", "whole position"),
        ({"layers": ""}, "layers", "book, vault, fund"),
        ({"layers": "fund, fund, adl"}, "layers", "twice"),
        ({"layers": "fund 4294967296, adl"}, "layers", "'fund 4'"),
        ({"layers": "fund 04, adl"}, "layers", "'fund 4, adl'"),
        ({"layers": "vault 4, adl"}, "layers", "'fund 4'"),
        ({"rounding": "lot"}, "rounding", "for the loser"),
        ({"rounding": "tick, remainder largest"}, "rounding", "lot, money unit"),
        ({"trigger": " or ".join(f"equity < -{n}" for n in range(1_000))}, "trigger", "longer than 4096"),
        # Two that do not go together.
        ({"price": "none"}, "price", "contracts need a price"),
        ({"rounding": "money unit, remainder largest"}, "rounding", "contracts round to lots"),
        ({"target": "deficit", "price": "mark"}, "target", "brings in nothing of a deficit"),
        ({"target": "deficit", "price": "mark, 1% to the winner"}, "target", "brings in nothing of a deficit"),
        ({"target": "stated, round at most 10%"}, "target", "has no limit"),
        ({"scope": "accounts"}, "scope", "against the opposite side"),
        ({"scope": "both sides"}, "scope", "against the opposite side"),
        ({"fill": "level(closed/size)"}, "key", "all share at once"),
        ({"fill": "level(closed/size), cap gain", "key": LEVEL_KEY}, "fill", "capped by the position"),
        ({"fill": "level(closed/profit)", "key": LEVEL_KEY}, "fill", "write gain"),
        ({"fill": "level(closed/size)", "key": "rotated list, equity <= 0 alike, account asc"}, "key", "by a queue"),
        ({"fill": "level(closed/size)", "key": LEVEL_KEY, "scope": "opposite, own accounts first"}, "scope", "in a queue only"),
        ({"fill": "level(exposure/equity)", "key": LEVEL_KEY}, "key", "equity <= 0 excluded"),
        ({"fill": "least maximum(closed/equity)", "key": LEVEL_KEY}, "key", "equity <= 0 excluded"),
        ({"fill": "level(closed/equity)", "key": LEVEL_KEY}, "key", "equity <= 0 scores 0"),
        ({"fill": "level(closed/size)", "key": "equity <= 0 last, account asc"}, "key", "first or last"),
        ({"key": "list order, equity <= 0 last, account asc"}, "key", "first or last"),
        ({"key": "list order, equity <= 0 alike, profit desc, account asc"}, "key", "has no ties"),
        ({"key": "list order, equity <= 0 alike, account desc"}, "key", "has no ties"),
        ({"key": KEY.replace("<= 0 last", "<= 0 alike")}, "key", "equity <= 0 last"),
        ({"key": "equity <= 0 alike, notional/equity desc, account asc"}, "key", "equity <= 0 last"),
        ({"key": "profit desc, equity at least 1, account asc"}, "key", "nothing is divided by equity"),
        ({"key": "equity <= 0 scores 0, account asc"}, "key", "no score that could be 0"),
        ({"key": "notional/balance desc, equity <= 0 alike, account asc"}, "key", "max(balance, 1)"),
        ({"key": "notional/profit desc, equity <= 0 alike, account asc"}, "key", "write gain"),
        ({"price": "stated, capped at bankruptcy"}, "price", "cannot be changed"),
        ({"price": "bankruptcy, capped at bankruptcy"}, "price", "its own cap"),
        ({"price": "mark, mark beyond 5%"}, "price", "never away from mark"),
        ({"layers": "fund, fund 4, adl"}, "layers", "no"),
        ({"layers": "adl, fund"}, "layers", "last layer must take whatever is left"),
        ({"layers": "debt, adl"}, "layers", "nothing comes after them"),
        ({"layers": "book, debt"}, "trigger", "'never'"),
        ({"trigger": "never"}, "layers", "has no adl or index layer"),
        ({"layers": "fund, index"}, "layers", "every other fill in the adl layer"),
        ({"rounding": "lot, price for the loser, remainder first"}, "rounding", "proportion to a weight"),
        ({"fill": "level(closed/size), once", "key": LEVEL_KEY, "rounding": "lot, price up, remainder first"},
         "rounding", "shared once"),
        ({**CASH, "key": LEVEL_KEY, "price": "mark"}, "price", "only moves money has none"),
        ({**CASH, "key": LEVEL_KEY, "target": "whole position"}, "target", "not up to a position"),
        ({**CASH, "key": LEVEL_KEY, "target": "deficit, each at most 1%"}, "target", "share of a position"),
        ({**CASH, "key": LEVEL_KEY, "fill": "level(paid/gain)"}, "fill", "up to what each pays"),
        ({**CASH, "key": LEVEL_KEY, "fill": "level(paid/gain), cap profit"}, "fill", "a cap is an amount of money"),
        ({**CASH, "key": LEVEL_KEY, "scope": "opposite, overlapping"}, "scope", "price of a close"),
        ({**CASH, "key": LEVEL_KEY, "scope": "opposite, unhedged"}, "scope", "about contracts"),
        ({**CASH, "key": LEVEL_KEY, "scope": "accounts", "fill": "level(paid/size), cap gain"},
         "scope", "size belongs to a position"),
        ({**CASH, "key": LEVEL_KEY, "scope": "accounts", "fill": "level(paid/gain), cap initial"}, "scope", "initial belongs"),
        ({**CASH, "key": LEVEL_KEY, "scope": "accounts", "fill": "index(size)", "layers": "index"},
         "scope", "paid per contract"),
        ({**CASH, "key": LEVEL_KEY, "fill": "index(size)"}, "layers", "in the index layer"),
    ],
)  # fmt: skip
def test_what_is_refused_and_what_the_refusal_says(changes: dict[str, str], parameter: str, says: str) -> None:
    with pytest.raises(BadInputError) as caught:
        parse_texts(QUEUE._replace(**changes))
    assert f"parameter {parameter}:" in caught.value.message
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        # Contract pro-rata (arXiv 2602.15182) closes as many contracts as the deficit needs.
        {"target": "deficit"},
        {"target": "deficit * 1/3, each at most 20%, round at most 10%"},
        {"target": "deficit", "price": "mark, capped at bankruptcy"},
        {"target": "deficit", "price": "stated"},
        # A cap can lead away from mark, and a band back to it.
        {"price": "mark, capped at bankruptcy, mark beyond 5%"},
        {**CASH, "key": LEVEL_KEY, "target": "stated"},
        {"fill": "least maximum(closed/equity)", "key": "equity <= 0 first, account asc"},
        {"layers": "adl, fund, debt"},
    ],
)
def test_what_goes_together(changes: dict[str, str]) -> None:
    texts = QUEUE._replace(**changes)
    assert spell(parse_texts(texts)) == texts[1:-1]


def test_a_refusal_names_the_policy_of_an_event() -> None:
    event = adopt(QUEUE._replace(price="last"), policy=3, at_ns=0, source=0, row=0)
    with pytest.raises(BadInputError, match=r"policy 3 \(profit x leverage\), parameter price: 'last' is not known"):
        parse_policy(event)


def test_no_text_that_is_read_is_longer_than_an_event_holds() -> None:
    bounds = [f"equity < -{10**28 + n}" for n in range(200)]
    longest = max((" or ".join(bounds[:n]) for n in range(1, 200)), key=lambda text: (len(text) <= 4_096, len(text)))
    event = adopt(QUEUE._replace(trigger=longest), policy=0, at_ns=0, source=0, row=0)
    assert parse_policy(check(encode(event))) == parse_texts(QUEUE._replace(trigger=longest))  # type: ignore[arg-type]  # it is one
    with pytest.raises(EventEncodeError):
        encode(adopt(QUEUE._replace(trigger="x" * 4_097), policy=0, at_ns=0, source=0, row=0))


def test_a_measure_is_spelled_as_in_a_key() -> None:
    key = parse_texts(QUEUE).key
    assert key.returns is not None
    assert key.leverage is not None
    assert (spell_measure(key.returns), spell_measure(key.leverage)) == ("profit/entry-notional", "notional/equity")
    assert key.insolvent is Insolvent.LAST
