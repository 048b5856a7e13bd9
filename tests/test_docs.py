"""The documentation is under test: its commands run and print what it shows; it names every verb, option, key and figure."""

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from types import ModuleType

import pytest

from events import model
from events.model import EVENTS
from ledger.store import open_ledger
from replay.cli import app, main
from replay.core import policy as policy_values
from replay.core.missing import MISSING_INPUTS
from replay.core.spelling import PARAMETERS
from replay.fold import watched
from replay.queries import QUERIES, ask
from replay.queries.scope import Scope
from replay.whatif.metrics import METRICS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CLI_PAGES = [ROOT / "docs" / "cli.md", ROOT / "docs" / "rules.md"]
QUERIES_PAGE = ROOT / "docs" / "queries.md"
POLICIES_PAGE = ROOT / "docs" / "policies.md"
VERBS = [
    "audit", "check", "conform", "demo", "explain", "export", "fit", "import", "log", "policies", "query", "queue", "show",
    "simulate", "state", "stress", "verify", "whatif",
]  # fmt: skip

# Objects whose keys are data: names, event types, layers, definition ids. What stands under them has stable keys again.
# The items of a list are named with brackets.
DATA_KEYS = {
    "audit": {"verdicts"},
    "check": {"evaluations", "broken"},
    "conform": {"not_compared"},
    "explain": {"known"},
    "import": {"events", "liquidations", "tallies"},
    "query": {"rows[]"},
    "simulate": {"covered", "verdicts"},
    "whatif": {"columns", "covered", "deficits", "decided", "metrics", "recorded", "reproduced", "taken_out", "the_same"},
}
# Whose keys are described elsewhere: the fields of events in docs/events.md, accounts and markets under adl state.
ELSEWHERE = {"log": {"events"}, "show": {"event", "before", "after"}}


def outputs() -> ModuleType:
    """Return docs/outputs.py, which no package holds."""
    spec = importlib.util.spec_from_file_location("outputs", ROOT / "docs" / "outputs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def section(verb: str) -> str:
    text = "".join(page.read_text(encoding="utf-8") for page in CLI_PAGES)
    found = re.findall(rf"^## adl {verb}\b.*?(?=^## |^# |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, f"neither docs/cli.md nor docs/rules.md has a section for adl {verb}"
    return "".join(found)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    assert main(["demo", "--ledger", str(folder / "demo.adl"), "--json"]) == 0
    return folder


@pytest.mark.xdist_group("docs")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_runs_and_prints_what_is_shown(
    page: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = outputs()
    assert page in script.pages()
    script.prepare(tmp_path, workplace / "demo.adl")
    for name, value in script.TERMINAL.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    keys: dict[str, set[str]] = {}

    def run(command: str) -> str:
        capsys.readouterr()
        assert main(shlex.split(command)[1:]) == 0, command
        printed: str = capsys.readouterr().out
        if "--json" in command:
            verb = shlex.split(command)[1]
            keys[verb] = keys.get(verb, set()) | check_keys(verb, json.loads(printed))
        return printed

    text = page.read_text(encoding="utf-8")
    assert script.refreshed(text, run).splitlines() == text.splitlines(), "python docs/outputs.py writes it anew"
    if page in CLI_PAGES:
        for verb, found in keys.items():
            assert tabled_in(section(verb)) <= found, f"keys that adl {verb} --json does not have"


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


def keys_of(document: object, without: set[str], data: set[str], name: str = "") -> Iterator[str]:
    """Yield every key of a document, at any depth, but for those that are data."""
    if isinstance(document, list):
        for item in document:
            yield from keys_of(item, without, data, f"{name}[]")
    elif isinstance(document, dict):
        for key, value in document.items():
            if name not in data:
                yield key
            if key not in without:
                yield from keys_of(value, without, data, "" if name in data else key)


def check_keys(verb: str, document: object) -> set[str]:
    """Check that the page names every key of a document, and return the keys."""
    found = set(keys_of(document, ELSEWHERE.get(verb, set()), DATA_KEYS.get(verb, set())))
    unnamed = found - named_in(section(verb))
    assert not unnamed, f"adl {verb} --json has keys that its section does not name: {sorted(unnamed)}"
    return found


def named_in(text: str) -> set[str]:
    return {part for name in re.findall(r"`([a-z0-9_.]+)`", text) for part in name.split(".")}


def tabled_in(text: str) -> set[str]:
    """Return the keys in the first column of the tables of keys."""
    tables = re.findall(r"^\| key \| meaning \|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return {key for table in tables for row in table.splitlines() for key in named_in(row.split("|")[1])}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_option_is_documented(verb: str) -> None:
    text = section(verb)
    general = CLI_PAGES[0].read_text(encoding="utf-8").split("## Exit status")[0]
    commands = [app[verb], *(app[verb][name] for name in app[verb] if not name.startswith("-"))]
    for command in commands:
        for argument in command.assemble_argument_collection(parse_docstring=True):
            for name in argument.names:
                if name.startswith("--") and not name.startswith("--no-"):
                    assert re.search(rf"`{name}[` ]", text) or name in general, f"{name} of adl {verb} is not documented"


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


# ---- Figures and presets


FIGURE = r"Q\d\d\.[\w.]+"


def rows_of(text: str, first: str) -> list[list[str]]:
    """Return the cells of every table row whose first cell is of that pattern, in backticks."""
    rows = re.findall(rf"^\| (`{first}` \|.*)\|$", text, re.MULTILINE)
    return [[cell.strip().strip("`") for cell in row.split("|")] for row in rows]


def pattern_of(name: str) -> re.Pattern[str]:
    """Return what a documented id stands for: a word in capitals after its question is any of several."""
    question, _, rest = name.partition(".")
    return re.compile(re.escape(question) + r"\." + re.sub(r"[A-Z]+", r"[a-z0-9.]+", re.escape(rest)))


def query_sections() -> dict[str, str]:
    text = QUERIES_PAGE.read_text(encoding="utf-8")
    return {found[1]: found[0] for found in re.finditer(r"^## (Q\d\d)\b.*?(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)}


def tables_of(text: str) -> dict[str, list[str]]:
    """Return the columns of each table that a section lists, by id."""
    listed = re.findall(rf"^- `({FIGURE})`: (.*?)(?=^- |^$|\Z)", text, re.DOTALL | re.MULTILINE)
    return {name: re.findall(r"`([\w.]+)`", columns) for name, columns in listed}


@pytest.mark.xdist_group("docs")
def test_every_figure_of_the_queries_is_documented_and_no_other(workplace: Path) -> None:
    with open_ledger(workplace / "demo.adl") as ledger:
        answers = ask(lambda: watched(ledger, lambda _done, _total: None), QUERIES, Scope(1, ledger.head))
    sections = query_sections()
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "replay" / "queries").glob("*.py"))
    assert list(sections) == [query.id for query in QUERIES]
    for query, answer in zip(QUERIES, answers, strict=True):
        text = sections[query.id]
        assert text.splitlines()[0] == f"## {query.id} {query.question}"
        assert f"`{query.verb or f'adl query {query.id}'}`" in text
        rows = {row[0]: row for row in rows_of(text, FIGURE)}
        matched = {figure.id: [name for name in rows if pattern_of(name).fullmatch(figure.id)] for figure in answer.figures}
        assert all(len(names) == 1 for names in matched.values()), matched
        assert set(rows) == {names[0] for names in matched.values()}
        for figure in answer.figures:
            _, unit, basis, _ = rows[matched[figure.id][0]]
            assert (unit, basis) == (figure.unit.replace("USD", "money"), figure.basis), figure.id
        tables = tables_of(text)
        for table in answer.tables:
            assert [column for column in tables[table.id] if column in table.columns] == list(table.columns), table.id
        for name in tables.keys() - {table.id for table in answer.tables}:
            assert f'sheet.table("{name.partition(".")[2]}"' in sources, f"{name} is no table of a query"


def test_every_metric_of_the_what_if_is_documented_and_no_other() -> None:
    text = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    rows = rows_of(text, r"M\d\d\.[\w.]+")
    assert [row[:2] for row in rows] == [[metric.id, metric.unit.replace("cash", "money")] for metric in METRICS]


def test_the_table_of_policies_is_that_of_the_presets() -> None:
    script = outputs()
    (block,) = script.PRESETS.findall(POLICIES_PAGE.read_text(encoding="utf-8"))
    assert block == script.preset_table()


def test_every_member_of_a_policy_and_every_missing_input_is_documented() -> None:
    text = POLICIES_PAGE.read_text(encoding="utf-8")
    kinds = [kind for kind in vars(policy_values).values() if isinstance(kind, type) and issubclass(kind, IntEnum)]
    members = [f"{kind.__name__}.{member.name}" for kind in kinds if kind is not IntEnum for member in kind]
    for name in (*PARAMETERS, *members, *MISSING_INPUTS):
        assert f"`{name}`" in text, f"{name} is not in docs/policies.md"
