"""The verb whatif as its users meet it."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from events.model import AdlClose, AnyEvent, LedgerOpened
from ledger.importing import import_files
from ledger.store import create, open_ledger
from replay.cli import main
from replay.presets import preset, write_toml
from replay.scenarios import load, play
from replay.testing.scenarios import scaled
from replay.whatif.metrics import METRICS

SMALL = scaled(load("crash"), users=120, orders=1_400, fund=20_000)
Capture = pytest.CaptureFixture[str]
Record = Callable[[Path, Sequence[AnyEvent]], str]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory, record: Record) -> str:
    return record(tmp_path_factory.mktemp("whatif") / "small.adl", list(play(SMALL)))


def run(capsys: Capture, *arguments: str, status: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert main(list(arguments)) == status
    captured = capsys.readouterr()
    return captured.out, captured.err


def run_json(capsys: Capture, *arguments: str, status: int = 0) -> Any:
    return json.loads(run(capsys, *arguments, "--json", status=status)[0])


def test_open_loop_puts_policies_side_by_side_and_writes_nothing(capsys: Capture, ledger: str, tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.write_text(write_toml(preset("leverage-draining")))
    before = sorted(path.name for path in Path(ledger).parent.iterdir())
    view = run_json(capsys, "whatif", "-l", ledger, "--policy", "bybit", "--policy", str(own), "--no-adl", "--rounds")
    assert sorted(path.name for path in Path(ledger).parent.iterdir()) == before
    assert list(view) == ["ledger", "loop", "rounds", "definitions", "columns", "round_list"]
    names = [column["name"] for column in view["columns"]]
    assert names == ["record", "in force", preset("bybit").name, preset("leverage-draining").name, "no ADL"]
    assert [one["id"] for one in view["definitions"]] == [metric.id for metric in METRICS]
    for column in view["columns"]:
        assert list(column["metrics"]) == [metric.id for metric in METRICS]
    in_force = view["columns"][1]["metrics"]
    assert {one["difference"].strip("0.") for one in in_force.values()} == {""}
    assert "difference" not in view["columns"][0]["metrics"]["M04.tracking"]
    assert set(in_force["M08.gini.value.hit"]) == {"value", "exact", "missing", "difference"}
    assert len(view["round_list"]) == view["rounds"] > 40
    assert list(view["round_list"][0]["columns"]) == names
    assert list(view["round_list"][0]["columns"]["record"]) == [
        "need",
        "value_taken",
        "notional",
        "lots",
        "accounts",
        "missing",
    ]


def test_open_loop_for_people(capsys: Capture, ledger: str) -> None:
    out, _ = run(capsys, "whatif", "-l", ledger, "--policy", "pro-rata", "--fund", "0", "--rounds")
    lines = out.splitlines()
    assert "44 rounds, each alone" in lines[0]
    assert {metric.id for metric in METRICS} <= {line.split(" ")[0] for line in lines}
    assert "Less the record" in out
    assert "Value taken, by round (30 of 44" in out
    assert "undecidable" not in out
    assert "No difference to the record." in run(capsys, "whatif", "-l", ledger)[0]


def test_what_cannot_be_compared_is_not_called_the_same(
    shared_data: Callable[[str], Path], capsys: Capture, ledger: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(write_toml(preset("queue")).replace("book, fund, adl", "book, fund 99999, adl"), encoding="utf-8")
    out, _ = run(capsys, "whatif", "-l", ledger, "--policy", str(path))
    assert "Undecidable, for want of" in out
    assert "No difference to the record." not in out
    wave = tmp_path / "wave.adl"
    import_files(wave, "hyperliquid-adl", [shared_data("hyperliquid/adl_2025-10-10_first_wave.csv")])
    assert "No difference to the record." not in run(capsys, "whatif", "-l", str(wave))[0]


@pytest.mark.parametrize("width", [80, 100])
def test_columns_stand_in_as_many_parts_as_the_screen_needs(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, ledger: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    names = ("pro-rata", "bybit", "hyperliquid", "dydx-v4", "okx")
    out, _ = run(capsys, "whatif", "-l", ledger, *(word for name in names for word in ("--policy", name)))
    plain = [line for line in out.splitlines() if "M0" in line or "M1" in line]
    assert plain
    assert all(len(_without_colours(line).rstrip()) <= width for line in plain)
    assert sum("M11.residual" in line for line in plain) > 1


def _without_colours(line: str) -> str:
    parts = line.split("\x1b[")
    return parts[0] + "".join(part.partition("m")[2] for part in parts[1:])


def test_closed_loop_makes_a_labelled_ledger_that_is_clean(capsys: Capture, ledger: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other.adl")
    view = run_json(capsys, "whatif", "-l", ledger, "--closed", "-o", other, "--policy", "bybit", "--fund", "5000.5")
    label = f"what-if of simulation: {preset('bybit').name}, fund 5000.5"
    assert (view["loop"], view["venue"], view["change"]) == ("closed", label, label.partition(": ")[2])
    assert view["calibration"]["whole"] is True
    assert view["calibration"]["recorded"] == view["taken_out"] == view["calibration"]["reproduced"]
    assert [column["name"] for column in view["columns"]] == ["record", "what-if"]
    state = run_json(capsys, "state", "-l", other)
    assert state["state_root"] == view["state_root"] != view["record_state_root"]
    assert label in run(capsys, "state", "-l", other)[0]
    assert run_json(capsys, "check", "-l", other)["clean"]
    audited = run_json(capsys, "audit", "-l", other)
    assert audited["verdicts"] == {"reproduced": audited["rounds"]}
    run(capsys, "verify", "-l", other)


def test_closed_loop_for_people(capsys: Capture, ledger: str, tmp_path: Path) -> None:
    out, _ = run(capsys, "whatif", "-l", ledger, "--closed", "-o", str(tmp_path / "a.adl"), "--no-adl")
    assert "is a what-if of simulation: no ADL" in out
    counts = re.search(r"the engine decides ([0-9,]+) of ([0-9,]+) forced events as the record has them", out)
    assert counts is not None
    assert counts[1] == counts[2]
    assert "not this venue" not in out
    assert "left " in out
    same, _ = run(capsys, "whatif", "-l", ledger, "--closed", "-o", str(tmp_path / "b.adl"))
    assert "0 accounts end apart from the record" in same


def test_closed_loop_shows_what_the_venue_itself_is_left_with(capsys: Capture, tmp_path: Path, record: Record) -> None:
    path = tmp_path / "squeeze.adl"
    events = list(play(scaled(load("squeeze"), users=200)))
    record(path, events)
    arguments = ("whatif", "-l", str(path), "--closed", "--no-adl", "-o")
    left = run_json(capsys, *arguments, str(tmp_path / "a.adl"))["deficits"]["what-if"]["venue"]["left"]
    assert float(left) > 0
    page = run(capsys, *arguments, str(tmp_path / "b.adl"))[0].partition("Deficits of the venue's own accounts")[2]
    assert f"{int(float(left)):,}" in next(line for line in page.splitlines() if line.startswith("left"))


def test_closed_loop_from_a_seq_or_a_time(capsys: Capture, ledger: str, tmp_path: Path) -> None:
    page = run_json(capsys, "log", "-l", ledger, "--type", "AdlClose", "--limit", "40")
    late = page["events"][-1]
    by_seq = run_json(
        capsys, "whatif", "-l", ledger, "--closed", "-o", str(tmp_path / "a.adl"), "--no-adl", "--from", str(late["seq"])
    )
    assert by_seq["from_seq"] == late["seq"]
    by_time = run_json(
        capsys, "whatif", "-l", ledger, "--closed", "-o", str(tmp_path / "b.adl"), "--no-adl", "--from", "2030-01-01T00:00:00Z"
    )
    assert by_time["from_seq"] == 6
    assert by_time["taken_out"]["AdlRound"] == 44
    with open_ledger(tmp_path / "a.adl") as other:
        assert sum(isinstance(event, AdlClose) for _, event in other.events()) == 39


def test_a_record_that_the_engine_does_not_reproduce_says_so(capsys: Capture, tmp_path: Path, record: Record) -> None:
    events = list(play(SMALL))
    at, close = next((i, e) for i, e in enumerate(events) if isinstance(e, AdlClose))
    other_winner = next(
        e for e in events[at:] if isinstance(e, AdlClose) and e.market == close.market and e.winner != close.winner
    )
    events = [e for e in events if e is not close and e is not other_winner]
    path = tmp_path / "odd.adl"
    record(path, events)
    out, _ = run(capsys, "whatif", "-l", str(path), "--closed", "-o", str(tmp_path / "b.adl"))
    assert "So the engine is not this venue" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--closed"], "belong together"),
        (["-o", "x.adl"], "belong together"),
        (["--from", "7"], "belong together"),
        (["--closed", "-o", "x.adl", "--policy", "bybit", "--policy", "okx"], "one policy"),
        (["--closed", "-o", "x.adl", "--rounds"], "no --rounds"),
        (["--fund", "lots"], "--fund lots"),
        (["--fund", "-1"], "not below zero"),
        (["--policy", "unheard-of"], "there is no policy"),
        (["--policy", "pro-rata", "--price", "mark"], "contracts need a price"),
    ],
)
def test_misuse_does_nothing(capsys: Capture, ledger: str, arguments: list[str], says: str) -> None:
    before = sorted(path.name for path in Path(ledger).parent.iterdir())
    out, err = run(capsys, "whatif", "-l", ledger, *arguments, status=2)
    assert (out, says in err.replace("\n", " ")) == ("", True)
    assert sorted(path.name for path in Path(ledger).parent.iterdir()) == before


def test_the_record_is_never_written_over(capsys: Capture, ledger: str) -> None:
    _, err = run(capsys, "whatif", "-l", ledger, "--closed", "-o", ledger, status=2)
    assert "never written over its record" in err


def test_without_rounds_there_is_nothing_to_ask(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "empty.adl"
    create(path, next(event for event in play(SMALL) if isinstance(event, LedgerOpened)))
    assert run(capsys, "whatif", "-l", str(path))[0] == "The ledger holds no ADL round.\n"
    assert run_json(capsys, "whatif", "-l", str(path))["rounds"] == 0
