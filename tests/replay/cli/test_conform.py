"""``adl conform`` as its users meet it: tables, JSON and exit status."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replay.cli import main

Capture = pytest.CaptureFixture[str]
VALIDITY = {"params": {"old_net_collateral": "4", "old_maintenance": "2", "new_net_collateral": "2", "new_maintenance": "1"}}


def vector(name: str, kind: str, given: Any, expect: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "given": given, "expect": expect}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a pass, a fail, two that are not applicable, a reading and a key that is not compared."""
    okx = {"reserve_now": "1", "reserve_8h_average": "400000"}
    rule = "8h average minus 30% or 50K, whichever is higher (as paraphrased)"
    files = {
        "dydx_v4": [
            vector("good [1]", "validity", VALIDITY, {"valid": True}),
            vector("bad [2]", "validity", VALIDITY, {"valid": False}),
            vector("odd", "horoscope", {}, {}),
            vector("cut", "validity", {}, {"valid": True}),
        ],
        "okx": [vector("read", "trigger", {"params": {**okx, "rule": rule}}, {"threshold_stated": "280000"})],
        "bybit": [vector("prose", "trigger", {"params": {"balance": "0"}}, {"triggered": True, "stops_when": "balance > 0"})],
        "kucoin": [
            vector(
                "rounded",
                "rank",
                {
                    "positions": [{"account": "a", "side": "long", "size": "1", "entry": "3"}],
                    "prices": {"mark": "4"},
                    "params": {"contract": "linear"},
                },
                {"position_return_pct": "33.3"},
            )
        ],
    }
    for venue, vectors in files.items():
        (tmp_path / f"{venue}.json").write_text(json.dumps({"venue": venue, "vectors": vectors}), encoding="utf-8")
    return tmp_path


def run(capsys: Capture, *arguments: str, status: int) -> str:
    capsys.readouterr()
    assert main(["conform", *arguments]) == status
    return capsys.readouterr().out


def test_people_see_counts_failures_readings_and_reasons(capsys: Capture, folder: Path) -> None:
    lines = run(capsys, str(folder), status=1).splitlines()
    assert lines[0] == f"Vectors of {folder}"
    assert [line.split() for line in lines[1:7]] == [
        ["file", "pass", "fail", "n/a", "of"], ["bybit.json", "1", "0", "0", "1"], ["dydx_v4.json", "1", "1", "2", "4"],
        ["kucoin.json", "1", "0", "0", "1"], ["okx.json", "1", "0", "0", "1"], ["all", "4", "1", "2", "7"],
    ]  # fmt: skip
    assert lines[7:10] == ["", "What ran", f"{'through':<21}  pass  fail  n/a  of"]
    assert [line.rsplit(maxsplit=4) for line in lines[10:15]] == [
        ["(nothing)", "0", "0", "2", "2"], ["core: valid update", "1", "1", "0", "2"],
        ["preset bybit: trigger", "1", "0", "0", "1"], ["preset kucoin: key", "1", "0", "0", "1"],
        ["preset okx: trigger", "1", "0", "0", "1"],
    ]  # fmt: skip
    text = "\n".join(lines[15:])
    assert "bad [2] (validity, dydx_v4.json)\n  valid: expected false, computed true\n" in text
    assert "larger deduction" in text
    assert "odd (horoscope, dydx_v4.json)\n  unknown kind 'horoscope'" in text
    assert "cut (validity, dydx_v4.json)\n  given.params has no old_net_collateral" in text
    assert "bybit.json, stops_when, in 1 vector: " in text
    assert lines[-1].endswith("(named by --json): 1")
    assert "good" not in text


def test_machines_get_every_result(capsys: Capture, folder: Path) -> None:
    document = json.loads(run(capsys, str(folder), "--json", status=1))
    assert list(document) == [
        "folder",
        "clean",
        "pass",
        "fail",
        "not_applicable",
        "of",
        "by_file",
        "by_kind",
        "by_through",
        "results",
    ]
    assert [document[key] for key in ("clean", "pass", "fail", "not_applicable", "of")] == [False, 4, 1, 2, 7]
    assert {row["kind"]: row["of"] for row in document["by_kind"]} == {"horoscope": 1, "rank": 1, "trigger": 2, "validity": 3}
    assert document["by_file"][1] == {"file": "dydx_v4.json", "pass": 1, "fail": 1, "not_applicable": 2, "of": 4}
    assert {row["through"]: row["of"] for row in document["by_through"]} == {
        "": 2, "core: valid update": 2, "preset bybit: trigger": 1, "preset kucoin: key": 1, "preset okx: trigger": 1,
    }  # fmt: skip
    bad = next(row for row in document["results"] if row["name"] == "bad [2]")
    assert bad == {
        "file": "dydx_v4.json", "name": "bad [2]", "kind": "validity", "status": "fail", "reason": "", "compared": ["valid"],
        "differences": [{"key": "valid", "expected": "false", "computed": "true"}], "readings": [], "precision": [],
        "not_compared": {}, "through": "core: valid update",
    }  # fmt: skip
    prose = next(row for row in document["results"] if row["name"] == "prose")
    assert (prose["compared"], list(prose["not_compared"])) == (["triggered"], ["stops_when"])
    rounded = next(row for row in document["results"] if row["name"] == "rounded")
    assert "1 decimal" in rounded["precision"][0]


def test_what_passes_is_clean(capsys: Capture, folder: Path) -> None:
    (folder / "dydx_v4.json").unlink()
    assert json.loads(run(capsys, str(folder), "--json", status=0))["clean"] is True
    assert "Failures" not in run(capsys, str(folder), status=0)


@pytest.mark.parametrize("text", ["{", '{"venue": "okx", "vectors": [{"name": "n"}]}'])
def test_a_malformed_file_stops_everything_and_is_named(capsys: Capture, folder: Path, text: str) -> None:
    (folder / "okx.json").write_text(text, encoding="utf-8")
    error = json.loads(run(capsys, str(folder), "--json", status=2))["error"]
    assert (error["kind"], error["fault"], error["file"]) == ("BadInputError", "input", str(folder / "okx.json"))


def test_no_folder_is_misuse(capsys: Capture, tmp_path: Path) -> None:
    assert json.loads(run(capsys, str(tmp_path / "none"), "--json", status=2))["error"]["kind"] == "MisuseError"


def test_the_shared_vectors_are_clean(capsys: Capture, shared_data: Callable[[str], Path]) -> None:
    document = json.loads(run(capsys, str(shared_data("vectors")), "--json", status=0))
    assert [document[key] for key in ("clean", "pass", "fail", "not_applicable", "of")] == [True, 158, 0, 3, 161]


def test_what_a_file_says_cannot_steer_a_terminal(capsys: Capture, tmp_path: Path) -> None:
    text = json.dumps({"venue": "okx", "vectors": [vector("\x1b[31mred", "horoscope", {}, {})]})
    (tmp_path / "okx.json").write_text(text, encoding="utf-8")
    page = run(capsys, str(tmp_path), status=0)
    assert "\x1b" not in page
    assert "\N{REPLACEMENT CHARACTER}[31mred (horoscope, okx.json)" in page
