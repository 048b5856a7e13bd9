"""What `adl query` prints, for people and for machines, of a made-up incident and of the real first wave."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from events.model import AnyEvent
from replay.cli import main
from replay.queries import QUERIES
from replay.scenarios import load, play
from replay.testing.scenarios import scaled

SMALL = scaled(load("crash"), users=120, orders=1_400, fund=20_000)
CLOSES = "hyperliquid/adl_2025-10-10_first_wave.csv"
Capture = pytest.CaptureFixture[str]
Record = Callable[[Path, Sequence[AnyEvent]], str]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory, record: Record) -> str:
    return record(tmp_path_factory.mktemp("query") / "small.adl", list(play(SMALL)))


def run(capsys: Capture, *arguments: str, status: int = 0) -> str:
    capsys.readouterr()
    assert main(["query", *arguments]) == status
    captured = capsys.readouterr()
    return captured.out if status == 0 else captured.err


def run_json(capsys: Capture, *arguments: str) -> Any:
    return json.loads(run(capsys, *arguments, "--json"))


def test_the_questions_are_listed_with_what_answers_them(capsys: Capture) -> None:
    text = run(capsys)
    assert all(f"{one.id}  {one.question}" in text for one in QUERIES)
    assert "adl explain --account A --seq N" in text
    assert "adl query Q07" in text
    listed = run_json(capsys)
    assert [one["id"] for one in listed] == [one.id for one in QUERIES]
    assert all(set(one) == {"id", "question", "command"} for one in listed)


def test_every_query_prints_each_figure_with_its_definition(capsys: Capture, ledger: str) -> None:
    for one in QUERIES:
        text = run(capsys, one.id, "-l", ledger)
        assert text.startswith(f"{one.id}  {one.question}\nseq 1 to ")
        (answer,) = run_json(capsys, one.id, "-l", ledger)["answers"]
        for figure in answer["figures"]:
            line = next(line for line in text.splitlines() if line.startswith(f"{figure['id']} "))
            assert line.endswith(f"{figure['unit']}  {figure['basis']}") or "undecidable" in line
        for table in answer["tables"]:
            assert f"{table['id']}  {table['title']}"[:60] in text


def test_json_has_stable_keys(capsys: Capture, ledger: str) -> None:
    document = run_json(capsys, "q7", "Q13", "-l", ledger)
    assert set(document) == {"ledger", "head", "first_seq", "last_seq", "account", "market", "answers"}
    assert (document["first_seq"], document["last_seq"]) == (1, document["head"])
    assert [answer["id"] for answer in document["answers"]] == ["Q07", "Q13"]
    for answer in document["answers"]:
        assert set(answer) == {"id", "question", "undecidable", "command", "figures", "tables", "notes"}
        assert not answer["undecidable"]
        for figure in answer["figures"]:
            keys = {"id", "label", "value", "unit", "basis", "first_seq", "last_seq", "missing", "left_out"}
            assert set(figure) == keys
        for table in answer["tables"]:
            assert set(table) == {"id", "title", "basis", "first_seq", "last_seq", "rows"}
            assert len({tuple(row) for row in table["rows"]}) == 1


def test_a_window_an_account_and_a_market_narrow_the_question(capsys: Capture, ledger: str) -> None:
    (whole,) = run_json(capsys, "Q02", "-l", ledger)["answers"]
    rows = whole["tables"][0]["rows"]
    first = next(row for row in rows if row["event"] == "ADL close")
    some = run_json(capsys, "Q02", "-l", ledger, "--account", first["account"], "--market", first["market"])["answers"][0]
    kept = [row for row in rows if (row["account"], row["market"]) == (first["account"], first["market"])]
    assert some["tables"][0]["rows"] == kept
    seqs = ("--from", str(rows[3]["seq"]), "--to", str(rows[9]["seq"]))
    assert run_json(capsys, "Q02", "-l", ledger, *seqs)["answers"][0]["tables"][0]["rows"] == rows[3:10]
    at = run_json(capsys, "Q02", "-l", ledger, "--from", rows[5]["at"])
    assert all(row["at"] > rows[5]["at"] for row in at["answers"][0]["tables"][0]["rows"])
    text = run(capsys, "Q02", "-l", ledger, "--account", first["account"])
    assert f", account {first['account']}" in text.splitlines()[1]


def test_the_command_that_explains_a_close_runs(capsys: Capture, ledger: str) -> None:
    (answer,) = run_json(capsys, "Q01", "-l", ledger)["answers"]
    verb = answer["command"].split()
    assert verb[:2] == ["adl", "explain"]
    assert main([*verb[1:], "--ledger", ledger]) == 0
    capsys.readouterr()
    assert f"adl explain --account {verb[3]}" in run(capsys, "Q01", "-l", ledger)


def test_long_tables_say_how_to_get_the_rest(capsys: Capture, ledger: str) -> None:
    text = run(capsys, "Q02", "-l", ledger)
    assert ", 20 of " in text
    assert text.endswith("All rows and columns: the same command with --json\n")


@pytest.mark.parametrize("width", [80, 100])
def test_no_number_is_cut_on_a_narrow_terminal(
    capsys: Capture, ledger: str, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    text = run(capsys, *(one.id for one in QUERIES), "-l", ledger)
    assert "previous mark" in text
    assert "rebuilt bankruptcy  " not in text  # a column that gives way
    assert all("…" not in word or not word[0].isdigit() for word in text.replace("-", " ").split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Q26"], "no query 'Q26'"),
        (["Q07", "--account", "nobody"], "no account 'nobody'"),
        (["Q07", "--from", "9", "--to", "8"], "nothing from seq 9 to seq 8"),
        (["Q24", "--price", "10"], "one market"),
        (["Q24", "--market", "BTC", "--price", "x"], "--price"),
        (["Q24", "--market", "BTC", "--price", "0"], "0 is not above 0"),
        (["Q24", "--market", "BTC", "--price=-3"], "-3 is not above 0"),
        (["Q07", "--to", "yesterday"], "neither a sequence number nor a UTC time"),
    ],
)
def test_misuse_is_status_2(capsys: Capture, ledger: str, arguments: list[str], said: str) -> None:
    assert said in " ".join(run(capsys, *arguments, "-l", ledger, status=2).split())


def test_what_the_first_wave_decides_and_what_not(shared_data: Callable[[str], Path], tmp_path: Path, capsys: Capture) -> None:
    path = str(tmp_path / "wave.adl")
    assert main(["import", "hyperliquid-adl", str(shared_data(CLOSES)), "--ledger", path]) == 0
    document = run_json(capsys, *(one.id for one in QUERIES), "-l", path)
    found = {answer["id"]: {figure["id"][4:]: figure for figure in answer["figures"]} for answer in document["answers"]}
    values = {name: {key: figure["value"] for key, figure in figures.items()} for name, figures in found.items()}
    # What the file holds: sizes, prices, start positions and claimed profits of 401 closes at one time.
    assert (values["Q02"]["closes"], values["Q02"]["tied"], values["Q02"]["times"]) == ("401", "401", "1")
    assert (values["Q13"]["accounts"], values["Q13"]["notional"]) == ("365", "10180775.029964")
    assert (values["Q14"]["losing"], values["Q14"]["claimed"]) == ("0", "0")
    assert (values["Q15"]["full"], values["Q15"]["partial"], values["Q15"]["claim.apart"]) == ("387", "14", "0")
    assert values["Q10"]["own"] == "0"  # the loser is the venue's liquidator, no trader
    # What it does not hold is undecidable, never zero.
    for name, key, missing in (
        ("Q04", "orphaned", "cash of account"),
        ("Q05", "mark.bps", "mark price"),
        ("Q06", "empty", "account with the role of a fund"),
        ("Q06", "trigger.held", "policy"),
        ("Q07", "overshoot.position.net", "position of account"),
        ("Q07", "overshoot.deficit.net", "cash of account"),
        ("Q08", "users.deficit", "cash of account"),
        ("Q10", "taken", "liquidations that the loser took over"),
        ("Q12", "tot.1s", "mark price"),
        ("Q16", "foreign", "position of account"),
        ("Q17", "left_out", "list of candidates of the venue"),
        ("Q18", "lower", "liquidations"),
        ("Q18", "upper", "sources that call themselves complete"),
        ("Q20", "only", "liquidations"),
        ("Q21", "stretches", "cash of account"),
        ("Q22", "round.least", "cash of account"),
        ("Q24", "adl.total", "mark price"),
        ("Q25", "gained", "policy"),
    ):
        assert found[name][key]["value"] is None, name
        assert missing in found[name][key]["missing"], name
    assert values["Q19"]["sources.partial"] == "1"
    assert values["Q19"]["accounts.partial"] == "366"
