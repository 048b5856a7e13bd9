"""What the command prints of the real files: the figures that were checked independently of this project."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from events.sources.reading import read_lines
from replay.cli import main

FILLS = "hyperliquid/node_fills_by_block_20251027_17.lz4"
CLOSES = "hyperliquid/adl_2025-10-10_first_wave.csv"


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path, status: int = 0) -> Any:
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_an_hour_of_fills(shared_data: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, ledger = shared_data(FILLS), tmp_path / "l.adl"
    first = run(capsys, "import", "hyperliquid", path, "--ledger", ledger)
    assert (first["rows_in"], first["rows_used"], first["quarantined"]) == (4_924, 4_564, 0)
    assert first["tallies"]["set_aside.spot"] == 360
    assert (first["trades"], first["accounts"], first["markets"], first["openings"]) == (2_282, 682, 155, 1_364)
    assert first["tallies"]["continuity.checked"] == 3_080
    assert first["tallies"].get("continuity.broken", 0) == 0
    assert (first["volume"], first["fees"]) == ("4927122.725223", "1841.902804")
    assert first["liquidations"] == {"market": 1}
    root = run(capsys, "state", "--ledger", ledger)["state_root"]

    second = run(capsys, "import", "hyperliquid", path, "--ledger", ledger)
    assert second["new_events"] == 0
    assert {**second, "new_events": first["new_events"], "sources": first["sources"]} == first
    assert run(capsys, "state", "--ledger", ledger)["state_root"] == root

    (liquidation,) = run(capsys, "log", "--type", "Liquidation", "--ledger", ledger)["events"]
    assert (liquidation["market"], liquidation["mark"], liquidation["method"]) == ("WLFI", "0.15319", "market")
    assert run(capsys, "verify", "--ledger", ledger)["clean"]
    assert run(capsys, "check", "--ledger", ledger)["findings"] == []
    assert main(["check", "--ledger", str(ledger)]) == 0
    assert capsys.readouterr() == ("", "")


def test_an_hour_cut_in_two_has_the_same_state(
    shared_data: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line for _, line in read_lines(shared_data(FILLS))]
    for name, part in (("whole", lines), ("first", lines[:350]), ("second", lines[350:])):
        (tmp_path / name).write_bytes(b"\n".join(part) + b"\n")
    run(capsys, "import", "hyperliquid", tmp_path / "whole", "--ledger", tmp_path / "whole.adl")
    for name in ("first", "second"):
        run(capsys, "import", "hyperliquid", tmp_path / name, "--ledger", tmp_path / "halves.adl")
    run(capsys, "import", "hyperliquid", tmp_path / "second", tmp_path / "first", "--ledger", tmp_path / "both.adl")
    whole, halves, both = (run(capsys, "state", "--ledger", tmp_path / f"{name}.adl") for name in ("whole", "halves", "both"))
    assert whole["state_root"] == halves["state_root"] == both["state_root"]
    digests = [run(capsys, "verify", "--ledger", tmp_path / f"{name}.adl")["log_digest"] for name in ("halves", "both")]
    assert digests[0] == digests[1]


def test_the_first_wave_of_closes(
    shared_data: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = tmp_path / "l.adl"
    report = run(capsys, "import", "hyperliquid-adl", shared_data(CLOSES), "--ledger", ledger)
    assert (report["events"]["AdlClose"], report["events"]["AdlRound"]) == (401, 14)
    assert report["adl_volume"] == "10180775.029964"
    # The file's entries are third parties' reconstructions: 28 of its closes claim another profit than they give.
    check = run(capsys, "check", "--ledger", ledger, status=1)
    assert check["broken"] == {"closed-profit": 28}
    assert check["evaluations"]["closed-profit"] == 401
    assert check["findings"][0]["account"].startswith("0x")

    audit = run(capsys, "audit", "--ledger", ledger)
    assert (audit["rounds"], audit["closes"], audit["winners"]) == (14, 401, 365)
    assert (audit["closed_in_full"], audit["closed_in_part"]) == (387, 14)
    assert (audit["rounds_with_all_but_last_in_full"], audit["rounds_with_one_price"]) == (14, 14)
    assert (audit["flips"], audit["over_closes"], audit["not_known"]) == (0, 0, 0)
    assert audit["verdicts"] == {"undecidable": 14}
    assert {"policy", "cash of account", "candidate list: record incomplete"} <= set(audit["missing"])
    for found in audit["round_list"]:
        assert found["missing"]
        assert not found["profit_x_leverage"]["is_a_match"]
        assert found["profit_x_leverage"]["scored"] == found["facts"]["closes"]
