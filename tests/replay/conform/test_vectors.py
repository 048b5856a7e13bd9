"""Reading a folder of vectors, and what is said of files that are none."""

import json
from pathlib import Path
from typing import Any

import pytest

from events.errors import BadInputError, MisuseError
from replay.conform.vectors import DEPTH_MOST, read_folder

GOOD = {"name": "n", "kind": "rank", "given": {}, "expect": {}}


def write(folder: Path, text: str, name: str = "v.json") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_files_come_by_name_and_vectors_in_their_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        rows = [{**GOOD, "name": f"{name}{number}", "note": "for people"} for number in (2, 1)]
        write(tmp_path, json.dumps({"venue": name, "units": "u", "vectors": rows}), f"{name}.json")
    write(tmp_path, "no vectors", "README.md")
    assert [(v.file, v.venue, v.name) for v in read_folder(tmp_path)] == [
        ("a.json", "a", "a2"), ("a.json", "a", "a1"), ("b.json", "b", "b2"), ("b.json", "b", "b1"),
    ]  # fmt: skip


def test_a_number_with_a_point_stays_the_text_it_was_written_as(tmp_path: Path) -> None:
    write(tmp_path, '{"venue": "v", "vectors": [{"name": "n", "kind": "k", "given": {"x": 0.10}, "expect": {"y": 7}}]}')
    (vector,) = read_folder(tmp_path)
    assert (vector.given, vector.expect) == ({"x": "0.10"}, {"y": 7})


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '{"venue": "v"}', '{"vectors": []}', '{"venue": 1, "vectors": []}', "\xff", "[" * 100_000],
    ids=["empty", "cut", "list", "number", "no vectors", "no venue", "venue", "bytes", "deep"],
)
def test_a_malformed_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "v.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInputError) as error:
        read_folder(tmp_path)
    assert error.value.file == str(tmp_path / "v.json")


@pytest.mark.parametrize("field", ["given", "expect"])
def test_a_vector_that_is_nested_too_deep_is_named(tmp_path: Path, field: str) -> None:
    for depth, fits in ((DEPTH_MOST, True), (DEPTH_MOST + 1, False), (700, False)):
        write(tmp_path, json.dumps({"venue": "v", "vectors": [GOOD, {**GOOD, field: {}}]}))
        text = (tmp_path / "v.json").read_text(encoding="utf-8")
        head, _, tail = text.rpartition(f'"{field}": {{}}')
        write(tmp_path, f'{head}"{field}": {{"a": {"[" * (depth - 1)}7{"]" * (depth - 1)}}}{tail}')
        if fits:
            assert len(read_folder(tmp_path)) == 2
        else:
            with pytest.raises(BadInputError, match="vector n: nested deeper than 32") as error:
                read_folder(tmp_path)
            assert error.value.row == 2


@pytest.mark.parametrize("field", ["name", "kind", "given", "expect"])
@pytest.mark.parametrize("value", [None, 7, []])
def test_a_vector_without_its_fields_is_named(tmp_path: Path, field: str, value: Any) -> None:
    for row in ({**GOOD, field: value}, {key: inner for key, inner in GOOD.items() if key != field}):
        write(tmp_path, json.dumps({"venue": "v", "vectors": [GOOD, row]}))
        with pytest.raises(BadInputError, match=r"n:|without a name") as error:
            read_folder(tmp_path)
        assert (error.value.file, error.value.row) == (str(tmp_path / "v.json"), 2)


def test_a_vector_that_is_no_object_is_named(tmp_path: Path) -> None:
    write(tmp_path, '{"venue": "v", "vectors": ["n"]}')
    with pytest.raises(BadInputError, match="a vector without a name"):
        read_folder(tmp_path)


def test_a_folder_without_vectors_is_misuse(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none", write(tmp_path, "x", "file.txt") / "file.txt"):
        with pytest.raises(MisuseError):
            read_folder(folder)
