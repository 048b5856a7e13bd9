import json
from pathlib import Path
from typing import Any

import pytest

from replay.cli import main
from replay.core.spelling import PARAMETERS
from replay.presets import explain, preset, presets, read_toml, write_toml

Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, *arguments: str, status: int = 0) -> str:
    capsys.readouterr()
    assert main(["policies", *arguments]) == status
    return capsys.readouterr().out


def run_json(capsys: Capture, *arguments: str, status: int = 0) -> Any:
    return json.loads(run(capsys, *arguments, "--json", status=status))


def test_the_list_names_every_policy_once(capsys: Capture) -> None:
    listed = run_json(capsys)["policies"]
    assert [one["policy"] for one in listed] == list(presets())
    assert list(listed[0]) == ["policy", "name", "title", "venue", "fill", "price", "trigger"]
    page = run(capsys)
    for name, found in presets().items():
        line = next(line for line in page.splitlines() if line.startswith(f"{name} "))
        assert found.venue in line
        assert found.texts.trigger in line


def test_a_page_says_all_that_is_known_of_a_policy(capsys: Capture) -> None:
    found = preset("bybit")
    page = " ".join(run(capsys, "show", "bybit").split())
    for text in (found.title, found.source, found.source_date, found.texts.rule, *found.texts[1:-1], *found.leaves_open):
        assert text in page
    for text in (*found.chosen, *explain(found)):
        assert text in page


@pytest.mark.parametrize("name", list(presets()))
def test_the_toml_of_a_policy_is_the_policy(capsys: Capture, name: str, tmp_path: Path) -> None:
    written = run(capsys, "show", name, "--toml")
    assert read_toml(written) == preset(name)
    path = tmp_path / "mine.toml"
    path.write_text(written, encoding="utf-8")
    mine, shipped = run_json(capsys, "show", str(path)), run_json(capsys, "show", name)
    assert {**mine, "policy": name} == shipped


def test_the_keys_of_one_policy(capsys: Capture) -> None:
    shown = run_json(capsys, "show", "binance-2025")
    assert list(shown) == [
        "policy", "name", "title", "venue", *PARAMETERS, "rule", "source", "source_date", "in_force_from", "in_force_until",
        "lights", "leaves_open", "chosen", "words", "toml",
    ]  # fmt: skip
    assert shown["lights"] == {"by": "accounts", "count": 5, "low": 0, "highest_next": True}
    assert shown["in_force_from"] == "2025-09"
    assert shown["words"] == explain(preset("binance-2025"))


def test_brackets_in_a_file_are_text_and_not_markup(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(write_toml(preset("queue")).replace("Ranked queue", "[red]Ranked[/red] queue"), encoding="utf-8")
    assert "[red]Ranked[/red] queue" in run(capsys, "show", str(path))


def test_an_unknown_policy_is_misuse(capsys: Capture) -> None:
    error = run_json(capsys, "show", "nobody", status=2)["error"]
    assert error["kind"] == "MisuseError"
    assert "nobody" in error["message"]
    assert "bitmex" in error["cure"]
