"""`adl fit` as its users meet it: a ranking, what it rests on, and what it does not prove."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from events.model import AnyEvent
from ledger.importing import import_files
from replay.cli import main
from replay.fit import NOT_PROVEN
from replay.presets import preset, write_toml
from replay.scenarios import load, play
from replay.testing.scenarios import scaled

SMALL = scaled(load("crash"), fund=15_000)
Capture = pytest.CaptureFixture[str]
Record = Callable[[Path, Sequence[AnyEvent]], str]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory, record: Record) -> str:
    return record(tmp_path_factory.mktemp("fit") / "small.adl", list(play(SMALL)))


def run(capsys: Capture, *arguments: str, status: int = 0) -> str:
    capsys.readouterr()
    assert main(["fit", *arguments]) == status
    return capsys.readouterr().out


def run_json(capsys: Capture, *arguments: str) -> Any:
    return json.loads(run(capsys, *arguments, "--json"))


def test_the_true_rule_is_first_and_its_limits_are_said(capsys: Capture, ledger: str) -> None:
    told = run_json(capsys, "-l", ledger)
    places = {one["preset"]: one["place"] for one in told["fits"]}
    assert places["queue"] == 1 < places["bitget"]
    assert all(one["is_a_match"] is False for one in told["fits"])
    assert told["not_proven"] == list(NOT_PROVEN)
    out = run(capsys, "-l", ledger)
    (line,) = [line for line in out.splitlines() if line.split()[1:2] == ["queue"]]
    rounds = str(told["rounds"])
    assert line.split() == ["1", "queue", "100.00%", rounds, rounds, "1.00", "1.00", "1.00"]
    assert all(sentence in " ".join(out.split()) for sentence in NOT_PROVEN)


def test_one_round_and_a_policy_of_ones_own(capsys: Capture, ledger: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(write_toml(preset("bitget")), encoding="utf-8")
    told = run_json(capsys, "-l", ledger, "--round", "2", "--policy", str(path))
    assert told["rounds"] == 1
    fits = {one["preset"]: one for one in told["fits"]}
    own, shipped = fits["own.toml"], fits["bitget"]
    assert {**own, "preset": "", "place": 0} == {**shipped, "preset": "", "place": 0}
    assert [one["round"] for one in own["round_list"]] == [2]
    assert set(own["round_list"][0]["order"]) >= {"tau_ppm", "tau_low_ppm", "tau_high_ppm", "first_inversion", "from_claims"}
    assert "round 2" in run(capsys, "-l", ledger, "--round", "2")
    for none in ("9999", "-1"):
        error = json.loads(run(capsys, "-l", ledger, "--round", none, "--json", status=2))["error"]
        assert error["message"] == f"there is no ADL round {none}."


def test_a_real_record_is_fitted_from_claims(shared_data: Callable[[str], Path], capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "wave.adl"
    import_files(path, "hyperliquid-adl", [shared_data("hyperliquid/adl_2025-10-10_first_wave.csv")])
    told = run_json(capsys, "-l", str(path))
    fits = {one["preset"]: one for one in told["fits"]}
    assert {one["decidable"] for one in fits.values()} == {0}
    queue = fits["queue"]
    assert (queue["scored"], queue["from_claims"], queue["exact_ppm"]) == (401, 401, None)
    # No rule that can be told explains the order: none comes near a tau of 1.
    assert max(one["tau_ppm"] or 0 for one in fits.values()) < 500_000
    assert "Scores of up to 401 closes rest on claims" in run(capsys, "-l", str(path))
