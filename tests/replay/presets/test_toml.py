import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import BadInputError, MisuseError
from replay.core.policy import Policy
from replay.core.spelling import Texts, spell
from replay.presets import NO_LIGHTS, Lights, LightsBy, Preset, preset, read_toml, spell_lights, write_toml
from replay.testing.policies import policies

QUEUE = write_toml(preset("queue"))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
DATES = st.sampled_from(["", "2025", "2025-09", "2025-09-27"])
LIGHTS = st.just(NO_LIGHTS) | st.builds(
    Lights,
    st.sampled_from([LightsBy.CONTRACTS, LightsBy.ACCOUNTS]),
    st.integers(1, 99),
    st.integers(0, 1),
    st.booleans(),
)


@given(policies(), TEXTS, st.lists(TEXTS, max_size=3), st.tuples(DATES, DATES, DATES), LIGHTS)
def test_what_is_written_is_read_as_it_was(
    policy: Policy, text: str, many: list[str], dates: tuple[str, str, str], lights: Lights
) -> None:
    texts = Texts(text, *spell(policy))._replace(rule=text)
    policy = msgspec.structs.replace(policy, name=text)
    seen, first, last = dates
    written = Preset(text, text, texts, policy, text, seen, first, last, lights, tuple(many), tuple(reversed(many)))
    assert read_toml(write_toml(written)) == written


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.integers(0, len(QUEUE)), st.integers(0, 20))
def test_whatever_stands_in_a_file_is_read_or_refused(piece: str, start: int, cut: int) -> None:
    text = QUEUE[:start] + piece + QUEUE[start + cut :]
    try:
        assert read_toml(write_toml(read_toml(text))) == read_toml(text)
    except BadInputError as error:
        assert error.cure  # noqa: PT017  either may happen


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('venue = "research"\n', "", "the key venue is missing or empty"),
        ('fill = "queue"\n', "", "the key fill is missing or empty"),
        ('fill = "queue"', 'fill = ""', "the key fill is missing or empty"),
        ('fill = "queue"', 'fill = "queue"\nfee = "0"', "the key 'fee' is not known"),
        ('fill = "queue"', "fill = 3", "the key fill is not a text"),
        ('fill = "queue"', 'fill = ["queue"]', "the key fill is not a text"),
        ('fill = "queue"', 'fill = "heap"', "parameter fill: 'heap' is not known. Known: queue"),
        ('fill = "queue"', 'fill = "queue', "this is no TOML"),
        ('fill = "queue"', 'fill = "queue"\nfill = "queue"', "this is no TOML"),
        ('price = "bankruptcy"', 'price = "none"', "contracts need a price"),
        ('source_date = "2026-11-22"', 'source_date = "2026-13"', "which is no date"),
        ('source_date = "2026-11-22"', 'source_date = "yesterday"', "which is no date"),
        ('source_date = "2026-11-22"', "source_date = 2026-11-22", "the key source_date is not a text"),
        ('lights = "none"', 'lights = "5"', "which is not known. Known: none"),
        ('lights = "none"', 'lights = "5 by weight, numbered from 1, highest next"', "which is not known"),
        ('lights = "none"', 'lights = "\u0665 by account rank, numbered from 1, highest next"', "which is not known"),
        ("chosen = [", "chosen = [3,", "the key chosen is not a list of sentences"),
        ("chosen = [", 'chosen = ["",', "the key chosen is not a list of sentences"),
        ('name = "profit x leverage"', f'name = "{"x" * 257}"', "the key name is longer than 256 characters"),
        ('rule = "', f'rule = "{"x" * 4_097}', "the key rule is longer than 4096 characters"),
        ('name = "profit x leverage"', f"name = {'[' * 2_000}", "this is n"),
    ],
)
def test_a_wrong_file_is_refused_by_file_and_key(old: str, new: str, says: str, tmp_path: Path) -> None:
    assert old in QUEUE
    path = tmp_path / "mine.toml"
    path.write_text(QUEUE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadInputError) as caught:
        read_toml(path)
    assert says in str(caught.value)
    assert caught.value.file == str(path)


def test_what_may_be_left_out_may_be_left_out() -> None:
    needed = ("name", "title", "venue", "trigger", "scope", "key", "fill", "price", "target", "layers", "rounding")
    short = read_toml("".join(f"{line}\n" for line in QUEUE.splitlines() if line.partition(" ")[0] in needed))
    assert (short.texts._replace(rule=""), short.policy) == (preset("queue").texts._replace(rule=""), preset("queue").policy)
    assert (short.source, short.source_date, short.leaves_open, short.chosen, short.lights) == ("", "", (), (), NO_LIGHTS)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="Check the path"):
        read_toml(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(BadInputError, match=r"latin\.toml: this is no text in UTF-8"):
        read_toml(tmp_path / "latin.toml")


def test_a_written_file_is_toml_with_the_parameters_as_they_are_recorded() -> None:
    values = tomllib.loads(write_toml(preset("bitmex")))
    assert values["key"] == preset("bitmex").texts.key
    assert values["lights"] == "5 by cumulative contracts, numbered from 1, highest next"
    assert "in_force_from" not in values


def test_lights_have_numbers() -> None:
    lights = preset("binance-2025").lights
    assert (lights.by, lights.count, lights.low, lights.high, lights.highest_next) == ("accounts", 5, 0, 4, True)
    assert spell_lights(Lights(LightsBy.CONTRACTS, 4, 1, highest_next=False)) == (
        "4 by cumulative contracts, numbered from 1, lowest next"
    )
