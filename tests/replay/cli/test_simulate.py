"""The verb simulate as its users meet it."""

import json
import re
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from events.model import PolicyAdopted, SourceOpened
from ledger.store import open_ledger
from replay.cli import main
from replay.presets import preset, write_toml
from replay.scenarios import load, shipped

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: Capture, *arguments: str, status: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert main(["simulate", *arguments]) == status
    captured = capsys.readouterr()
    return captured.out, captured.err


def run_json(capsys: Capture, *arguments: str, status: int = 0) -> Any:
    return json.loads(run(capsys, *arguments, "--json", status=status)[0])


def small(folder: Path, name: str = "squeeze", **changes: str) -> str:
    """Write a shipped scenario that ends soon, with some texts replaced, and return its path."""
    text = (resources.files("replay.scenarios") / f"{name}.toml").read_text()
    for old, new in {"count = 400": "count = 40", "trades = 25": "trades = 4", **changes}.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "own.toml").write_text(text)
    return "own.toml"


def test_the_shipped_scenarios_are_listed_with_one_line_each(capsys: Capture) -> None:
    lines = run(capsys, "--list")[0].splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(shipped())
    assert run_json(capsys, "--list") == {
        "scenarios": [{"scenario": name, "title": load(name).title, "seed": load(name).seed} for name in shipped()]
    }


def test_a_shipped_scenario_is_told(capsys: Capture) -> None:
    out, err = run(capsys, "oracle-spike")
    assert err == ""
    assert re.search(r"By the mark   [1-9][0-9]* accounts below margin at mark alone", out)
    assert re.search(r"([1-9][0-9]*) reproduced of \1 rounds under the policy bitmex", out)
    assert re.search(r"Deficits      [0-9,]+ USD of [0-9]+ accounts: fund 150,000, adl [0-9,]+, left 0", out)
    assert " audit --ledger oracle-spike.adl" in out
    assert max(len(line) for line in out.splitlines() if not line.startswith("  ")) <= 100
    capsys.readouterr()
    assert main(["audit", "--ledger", "oracle-spike.adl", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["verdicts"]) == ["reproduced"]


def test_the_ledger_names_what_made_it(capsys: Capture, folder: Path) -> None:
    own = small(folder)
    (folder / "rule.toml").write_text(write_toml(preset("kraken")))
    told = run_json(capsys, own, "--ledger", "l.adl", "--seed", "9", "--policy", "rule.toml")
    assert told["source"] == "own.toml, seed 9, policy kraken"
    assert (told["scenario"], told["ledger"], told["seed"], told["policy"]) == (own, "l.adl", 9, "kraken")
    with open_ledger(Path("l.adl")) as ledger:
        events = [event for _, event in ledger.events()]
    (source,) = [event for event in events if isinstance(event, SourceOpened)]
    content = (folder / own).read_bytes()
    assert (source.name, source.sha256, source.content_bytes) == (told["source"], sha256(content).digest(), len(content))
    (adopted,) = [event for event in events if isinstance(event, PolicyAdopted)]
    assert adopted.name == "kraken"
    assert told["events"] == len(events)


def test_the_same_call_gives_the_same_log_and_another_seed_another(capsys: Capture, folder: Path) -> None:
    own = small(folder)
    digests = [
        run_json(capsys, own, "--ledger", f"{number}.adl", *more)["log_digest"]
        for number, more in enumerate(([], [], ["--seed", "3"]))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_what_is_told_is_what_the_record_says(capsys: Capture, folder: Path) -> None:
    told = run_json(capsys, small(folder), "--policy", "pro-rata")
    assert told["adl_closes"] == 0
    assert told["verdicts"] == {"reproduced": told["adl_rounds"]}
    assert told["socialised_accounts"] > 0
    venue = told["deficits"]["venue"]
    assert float(venue["covered"]["index"]) > 0
    assert [market["market"] for market in told["markets"]] == ["BTC", "ETH", "JELLY"]
    jelly = told["markets"][2]
    assert float(jelly["highest"]) > 4 * float(jelly["first"])


def test_an_existing_file_is_refused_and_kept(capsys: Capture, folder: Path) -> None:
    (folder / "l.adl").write_text("mine")
    _, err = run(capsys, "oracle-spike", "--ledger", "l.adl", status=2)
    assert "something is at this path already" in err
    assert (folder / "l.adl").read_text() == "mine"


def test_a_run_that_fails_leaves_no_ledger(capsys: Capture, folder: Path) -> None:
    own = small(folder, **{'name = "liquidator vault"': 'name = "liquidator vault"\nrole = "liquidator"'})
    _, err = run(capsys, own, "--policy", "gmx-v2", status=2)
    assert "missing" in err
    assert [path.name for path in folder.iterdir()] == ["own.toml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no scenario is named"),
        (["flood"], "there is no scenario 'flood'"),
        (["absent.toml"], "absent.toml: No such file or directory"),
        (["squeeze", "--policy", "best"], "there is no policy 'best'"),
        (["squeeze", "--seed", "-1"], "-1 is no seed"),
    ],
)
def test_misuse_is_said_and_nothing_is_left(capsys: Capture, folder: Path, arguments: list[str], said: str) -> None:
    out, err = run(capsys, *arguments, status=2)
    assert said in err
    assert out == ""
    assert list(folder.iterdir()) == []


def test_a_wrong_key_is_named_with_its_file(capsys: Capture, folder: Path) -> None:
    own = small(folder, **{'mark = "0.0095"': "mark = 0.0095"})
    _, err = run(capsys, own, status=2)
    assert "own.toml: the key markets[3].mark holds the float 0.0095" in err
