"""The documentation is under test: its commands run, and it names every verb, option, key and event type there is."""

import json
import re
import shlex
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest

from events import model
from events.model import EVENTS
from replay.cli import app, main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CLI_PAGE = ROOT / "docs" / "cli.md"
VERBS = ["audit", "check", "demo", "export", "import", "log", "show", "state", "verify"]


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ adl ")]


def section(verb: str) -> str:
    text = CLI_PAGE.read_text(encoding="utf-8")
    found = re.search(rf"^## adl {verb}\b.*?(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, f"docs/cli.md has no section for adl {verb}"
    return found[0]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    assert main(["demo", "--ledger", str(folder / "demo.adl"), "--json"]) == 0
    return folder


@pytest.mark.xdist_group("docs")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_runs(
    page: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "demo.adl").write_bytes((workplace / "demo.adl").read_bytes())
    for example in (ROOT / "docs").glob("*.jsonl"):
        (tmp_path / example.name).write_bytes(example.read_bytes())
    monkeypatch.chdir(tmp_path)
    for command in commands(page):
        capsys.readouterr()
        assert main(shlex.split(command)[1:]) == 0, command
        if "--json" in command and "--list" not in command:
            verb = shlex.split(command)[1]
            check_keys(verb, json.loads(capsys.readouterr().out))


@pytest.mark.xdist_group("docs")
def test_the_python_of_the_readme_runs(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    (block,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102  # our own page
    root, rounds = capsys.readouterr().out.splitlines()
    assert root in (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.fullmatch(r"[1-9][0-9]* rounds reproduced", rounds)


def check_keys(verb: str, document: dict[str, Any]) -> None:
    named = set(re.findall(r"`([a-z_]+)`", section(verb)))
    assert set(document) <= named, f"adl {verb} --json has keys that docs/cli.md does not name"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_option_is_documented(verb: str) -> None:
    text = section(verb)
    general = CLI_PAGE.read_text(encoding="utf-8").split("## Exit status")[0]
    for argument in app[verb].assemble_argument_collection(parse_docstring=True):
        for name in argument.names:
            if name.startswith("--") and not name.startswith("--no-"):
                assert name in text or name in general, f"{name} of adl {verb} is not in docs/cli.md"


def test_the_list_of_verbs_is_whole() -> None:
    assert sorted(name for name in app if not name.startswith("-")) == VERBS


def test_every_event_type_is_documented() -> None:
    text = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    for tag, event in EVENTS.items():
        found = re.search(rf"^\| {tag} \| `{event.__name__}` \| (.*) \|$", text, re.MULTILINE)
        assert found, f"docs/events.md has no row for tag {tag}, {event.__name__}"
        own = event.__struct_fields__[3:]
        assert re.findall(r"`(\w+)`", found[1]) == list(own), f"the fields of {event.__name__} in docs/events.md"


def test_every_word_and_part_of_the_interchange_format_is_documented() -> None:
    text = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))
    for name, kind in vars(model).items():
        if not isinstance(kind, type) or kind in {IntEnum, model.Part}:
            continue
        if issubclass(kind, IntEnum):
            assert re.findall(r"`(\w+)`", rows[name]) == [word.name.lower() for word in kind], name
        elif issubclass(kind, model.Part):
            assert re.findall(r"`(\w+)`", rows[name]) == list(kind.__struct_fields__), name


def test_the_example_exchange_is_an_incident_that_follows_its_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example, ledger, again = ROOT / "docs" / "exchange.jsonl", str(tmp_path / "l.adl"), tmp_path / "again.jsonl"
    assert main(["import", "events", str(example), "--ledger", ledger]) == 0
    assert main(["export", "--ledger", ledger, "--output", str(again)]) == 0
    assert again.read_bytes() == example.read_bytes()
    capsys.readouterr()
    assert main(["audit", "--ledger", ledger, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdicts"] == {"reproduced": 1}


def test_no_page_names_a_machine() -> None:
    for page in PAGES:
        assert not re.search(r"(^|[^\w.])/(root|home|work)/", page.read_text(encoding="utf-8")), page
