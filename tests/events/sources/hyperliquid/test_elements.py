import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import BadInputError
from events.sources.hyperliquid import elements
from events.sources.hyperliquid.elements import read_elements

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(['"', "\\", '\\"', "{", "]", '[{"']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=4), JSON, max_size=4), max_size=6)


@given(OBJECTS, st.sampled_from([None, 1]), st.booleans(), st.integers(1, 9))
def test_every_array_is_split_into_its_elements(
    objects: list[dict[str, Any]], indent: int | None, escaped: bool, step: int
) -> None:
    raw = json.dumps(objects, indent=indent, ensure_ascii=escaped).encode()
    splitter = elements.Splitter(Path("x"))
    found = [each for start in range(0, len(raw), step) for each in splitter.feed(raw[start : start + step])]
    splitter.end()
    assert [json.loads(each) for each in found] == objects


@pytest.mark.parametrize("text", ['[{"a":1},\n {"b":"]"}]', '\n[{"a":1},{"b":"]"}]\n\n', '{"a":1}\n\n{"b":"]"}'])
def test_a_file_is_read_from_any_row_on(tmp_path: Path, text: str) -> None:
    path = tmp_path / "f"
    path.write_text(text)
    rows = list(read_elements(path))
    assert [(row, json.loads(each)) for row, each in rows] == [(1, {"a": 1}), (2, {"b": "]"})]
    assert list(read_elements(path, 1)) == rows[1:]


@pytest.mark.parametrize("text", ["[]", " [ ] ", "", "\n"])
def test_nothing_has_no_elements(tmp_path: Path, text: str) -> None:
    path = tmp_path / "f"
    path.write_text(text)
    assert list(read_elements(path)) == []


@pytest.mark.parametrize(
    "text",
    [
        "[",
        '[{"a":1}',
        '[{"a":1},',
        '[{"a":1},]',
        '[{"a":1} {"b":1}]',
        '[,{"a":1}]',
        "[1,2]",
        '[{"a":1},2]',
        "[[1]]",
        '[{"a":1}}',
        '[{"a":1}]]',
        '[{"a":1}] more',
        '[{"a":1}][{"b":1}]',
        '["text"]',
        '[{"a',
    ],
)
def test_what_is_no_array_of_objects_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "f"
    path.write_text(text)
    with pytest.raises(BadInputError, match="not one array of objects"):
        list(read_elements(path))


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    monkeypatch.setattr(elements, "_STRING_BYTES_MAX", 1000)
    path.write_text('[{"a":"' + "x" * 2_000_000 + '"}]')
    with pytest.raises(BadInputError, match="a string does not end"):
        list(read_elements(path))
    monkeypatch.setattr(elements, "LINE_BYTES_MAX", 1000)
    path.write_text('[{"a":[' + "1," * 1_000_000 + "1]}]")
    with pytest.raises(BadInputError, match="over 1,000 bytes"):
        list(read_elements(path))
