"""Every shipped preset: sound, complete, described, and just as it was published.

``tests/golden/presets.json`` holds the texts of all of them, so that a change is seen. Where one is meant, write it again:

    PYTHONPATH=. python tests/replay/presets/test_presets.py
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from events.codec import check, encode
from events.errors import BadInputError, MisuseError
from events.model import AdlCandidates, AdlRound, AnyEvent, Candidate, PriceRule, PriceTick
from replay.core.evolve import evolve
from replay.core.plan import plan
from replay.core.policy import LayerKind, Order
from replay.core.spelling import PARAMETERS, Texts, adopt, parse_policy, parse_texts, spell
from replay.core.state import State
from replay.presets import Preset, explain, explain_lights, load, preset, presets, read_toml, spell_lights, write_toml

Stage = Callable[..., list[AnyEvent]]

GOLDEN = Path(__file__).parents[2] / "golden" / "presets.json"
NAMES = tuple(presets())
VENUES = {
    "hyperliquid", "dydx-v4", "dydx-v1", "bitmex", "binance-old", "binance-2025", "bybit", "okx", "bitget", "kucoin", "kraken",
    "drift-v2", "gmx-v2", "paradex", "lighter", "extended", "ethereal", "metaflux", "percolator", "mango-v4", "perennial-v2",
    "coincatch",
}  # fmt: skip
RESEARCH = {
    "queue", "pro-rata", "capped-pro-rata", "rap", "rap-over", "contract-pro-rata", "min-max", "leverage-draining",
    "mirror-descent",
}  # fmt: skip
CCP = {"vmgh", "tear-up"}


def golden_view(found: Preset) -> dict[str, str]:
    return {
        "name": found.name,
        **{name: getattr(found.texts, name) for name in PARAMETERS},
        "lights": spell_lights(found.lights),
    }


def test_the_texts_of_all_presets_are_those_on_file() -> None:
    assert {name: golden_view(found) for name, found in presets().items()} == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_all_venues_and_families_are_there() -> None:
    assert set(NAMES) >= VENUES | RESEARCH | CCP
    assert list(NAMES) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_one_policy_in_one_spelling(name: str) -> None:
    found = preset(name)
    assert spell(found.policy) == found.texts[1:-1]
    assert parse_texts(found.texts) == found.policy
    event = adopt(found.texts, policy=0, at_ns=0, source=0, row=0)
    assert check(encode(event)) == event
    assert parse_policy(event) == found.policy
    assert read_toml(write_toml(found)) == found


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_says_where_it_comes_from_and_what_was_chosen(name: str) -> None:
    found = preset(name)
    assert found.title
    assert found.venue
    assert found.source
    assert found.source_date
    assert found.texts.rule.startswith("https://")
    assert found.leaves_open
    assert found.chosen
    for sentence in (*found.leaves_open, *found.chosen):
        assert sentence[0].isupper() or sentence[0].isdigit()
        assert sentence.endswith(".")
    assert found.name == {"queue": "profit x leverage"}.get(name, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_has_words_that_are_sentences(name: str) -> None:
    found = preset(name)
    words = explain(found)
    assert words == explain(found.policy)
    assert len(words) >= 2
    for sentence in (*words, explain_lights(found.lights)):
        assert sentence[0].isupper() or sentence[0].isdigit()
        assert sentence[-1] in ".:"
        assert "{" not in sentence


@pytest.mark.parametrize("name", NAMES)
def test_the_last_layer_of_a_preset_takes_whatever_is_left(name: str) -> None:
    last = preset(name).policy.layers[-1].kind
    assert last in {LayerKind.ADL, LayerKind.INDEX, LayerKind.VAULT, LayerKind.WITHDRAWALS, LayerKind.DEBT}


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_can_be_planned_where_the_record_is_complete(name: str, stage: Stage) -> None:
    found = preset(name)
    # A long that has lost more than it had, against three shorts of different leverage.
    traders = [(50_000_000, {0: (100, 1_000)}), (400_000_000, {0: (-40, 1_050)}), (90_000_000, {0: (-50, 990)})]
    events = stage([*traders, (900_000_000, {0: (-60, 950)})], [980], preset=found.texts)
    size, rule = (50 if found.policy.target.stated else None), PriceRule.UNKNOWN
    opened = AdlRound(5, 0, 0, 0, 6, 0, size, None, rule, None, None, None, 0, (), None, None, None, b"\x07")
    events += [PriceTick(4, 0, 0, 0, 900, 900), opened]
    if found.policy.key.order is not Order.SCORE:
        events.append(
            AdlCandidates(5, 0, 0, 0, 1, 1, tuple(Candidate(account, None, None, None, None) for account in (8, 9, 7)))
        )
    state = State()
    for seq, event in enumerate(events, 1):
        evolve(state, event, seq)
    done = plan(state, opened, found.policy)
    assert done.missing == ()
    assert done.charges or done.closes


@pytest.mark.parametrize("wrong", ["", "Queue", "queue ", "../queue", "words", "__init__", "queue.TOML", "q/ueue"])
def test_an_unknown_name_is_answered_with_those_that_are_known(wrong: str) -> None:
    with pytest.raises(MisuseError, match=r"bitmex, bybit, .*ends in \.toml"):
        load(wrong)


def test_a_file_is_loaded_where_a_name_is(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(write_toml(preset("bybit")).replace("8h", "4h"), encoding="utf-8")
    for name in (str(mine), mine):
        assert load(name).texts == preset("bybit").texts._replace(trigger=preset("bybit").texts.trigger.replace("8h", "4h"))
    assert load("bybit") == preset("bybit")
    with pytest.raises(MisuseError, match=r"nowhere\.toml: No such file"):
        load(tmp_path / "nowhere.toml")
    mine.write_text("name = 'half'\n", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"mine\.toml: the key title is missing"):
        load(str(mine))


def test_the_golden_file_would_notice_a_change() -> None:
    changed = preset("queue").texts._replace(price="mark")
    assert isinstance(changed, Texts)
    stored = json.loads(GOLDEN.read_text(encoding="utf-8"))["queue"]
    assert changed.price != stored["price"]


if __name__ == "__main__":
    document = {name: golden_view(found) for name, found in presets().items()}
    GOLDEN.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
