import csv
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from events.model import SEMANTICS, AccountOpened, AnyEvent, LedgerOpened, Liquidation, MarginMode, Role
from ledger.store import create, log_digest, open_ledger
from replay.cli import main
from replay.presets import preset, write_toml
from replay.scenarios import load, play
from replay.testing.scenarios import scaled

Capture = pytest.CaptureFixture[str]
Record = Callable[[Path, Sequence[AnyEvent]], str]
MOVES = "-40%:40%:20%"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory, record: Record) -> str:
    # The record as it was before its first liquidation: everybody is still there.
    calm = list(takewhile(lambda event: not isinstance(event, Liquidation), play(scaled(load("crash"), fund=15_000))))
    return record(tmp_path_factory.mktemp("stress") / "small.adl", calm)


def run(capsys: Capture, *arguments: str, status: int = 0) -> str:
    capsys.readouterr()
    assert main(["stress", *arguments]) == status
    return capsys.readouterr().out


def run_json(capsys: Capture, *arguments: str, status: int = 0) -> Any:
    return json.loads(run(capsys, *arguments, "--json", status=status))


def test_the_keys_and_what_they_say(capsys: Capture, ledger: str) -> None:
    with open_ledger(Path(ledger)) as opened:
        before = (opened.head, log_digest(opened))
    view = run_json(capsys, "--ledger", ledger, "--moves", MOVES)
    with open_ledger(Path(ledger)) as opened:
        assert (opened.head, log_digest(opened)) == before
    assert list(view) == [
        "ledger", "seq", "currency", "moved_markets", "policies", "policy_in_force", "fund", "fund_on_record", "assumed",
        "points",
    ]  # fmt: skip
    assert (view["policy_in_force"], view["fund_on_record"], view["assumed"]) == (True, True, [])
    points = view["points"]
    assert [point["move_percent"] for point in points] == ["-40", "-20", "0", "20", "40"]
    assert list(points[0]) == [
        "move_percent", "accounts_liquidated", "accounts_bankrupt", "deficit", "fund_drawn", "fund_left", "vault_loss",
        "adl_rounds", "adl_notional", "adl_share", "adl_markets", "charged", "winners_hit", "residual_debt", "smallest_fund",
        "smallest_fund_at_least", "fund_avoids_adl", "undecided", "missing",
    ]  # fmt: skip
    assert points[0]["adl_rounds"] > 0
    assert Decimal(points[0]["smallest_fund"]) > Decimal(view["fund"])
    assert sum(Decimal(one["notional"]) for one in points[0]["adl_markets"]) == Decimal(points[0]["adl_notional"])
    for point in points:
        assert Decimal(point["fund_left"]) + Decimal(point["fund_drawn"]) == Decimal(view["fund"])


def test_the_smallest_fund_given_as_the_fund_spares_everybody(capsys: Capture, ledger: str) -> None:
    (point,) = run_json(capsys, "--ledger", ledger, "--moves", "-40%")["points"]
    (spared,) = run_json(capsys, "--ledger", ledger, "--moves", "-40%", "--fund", point["smallest_fund"])["points"]
    assert (spared["adl_rounds"], spared["smallest_fund"]) == (0, point["smallest_fund"])
    unit = Decimal(1).scaleb(-8)
    one_less = f"{Decimal(point['smallest_fund']) - unit:f}"
    (hit,) = run_json(capsys, "--ledger", ledger, "--moves", "-40%", "--fund", one_less)["points"]
    assert hit["adl_rounds"] > 0


def test_the_page(capsys: Capture, ledger: str) -> None:
    page = run(capsys, "--ledger", ledger, "--moves", MOVES)
    lines = page.splitlines()
    assert lines[0].startswith("Stress of ")
    assert "all markets together" in lines[0]
    assert "the worst case for the fund" in page
    assert [line.split()[0] for line in lines if line.lstrip().startswith(("-", "+", "0%"))] == [
        "-40%", "-20%", "0%", "+20%", "+40%",
    ] * 2  # fmt: skip
    chart = lines[next(number for number, line in enumerate(lines) if "full:" in line) :]
    assert any("█" * 28 in line for line in chart)


def test_one_market_another_policy_and_no_fund_that_helps(capsys: Capture, ledger: str) -> None:
    with_all = run_json(capsys, "--ledger", ledger, "--moves", "-40%")
    symbol = with_all["moved_markets"][0]
    alone = run_json(capsys, "--ledger", ledger, "--moves", "-40%", "--market", symbol)
    assert alone["moved_markets"] == [symbol]
    assert alone["points"][0]["accounts_bankrupt"] <= with_all["points"][0]["accounts_bankrupt"]
    other = run_json(capsys, "--ledger", ledger, "--moves", "-40%", "--policy", "hyperliquid")
    assert (other["policies"], other["policy_in_force"]) == (["hyperliquid"], False)
    assert (other["points"][0]["smallest_fund"], other["points"][0]["fund_avoids_adl"]) == (None, False)
    page = run(capsys, "--ledger", ledger, "--moves", "-40%", "--policy", "hyperliquid", "--fund", "5")
    assert "no fund avoids it" in page
    assert "Policy 'hyperliquid' asked for; fund 5 asked for." in page


def test_a_data_file(capsys: Capture, ledger: str, tmp_path: Path) -> None:
    table, document = tmp_path / "data.csv", tmp_path / "data.json"
    view = run_json(capsys, "--ledger", ledger, "--moves", MOVES, "-o", str(table))
    assert "5 points written" in run(capsys, "--ledger", ledger, "--moves", MOVES, "-o", str(document))
    assert json.loads(document.read_text(encoding="utf-8")) == view
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    currency = view["currency"]
    assert list(rows[0])[:6] == [
        "move_percent", "accounts_liquidated", "accounts_bankrupt", f"deficit_{currency}", f"fund_drawn_{currency}",
        f"fund_left_{currency}",
    ]  # fmt: skip
    for row, point in zip(rows, view["points"], strict=True):
        assert row["move_percent"] == point["move_percent"]
        assert row[f"smallest_fund_{currency}"] == point["smallest_fund"]
        assert row["fund_avoids_adl"] == "true"
        for closed in point["adl_markets"]:
            assert row[f"adl_size_{closed['market']}"] == closed["size"]
    before = table.read_bytes()
    for path in (table, tmp_path / "data.txt"):
        error = run_json(capsys, "--ledger", ledger, "--moves", "0%", "-o", str(path), status=2)["error"]
        assert error["file"] == str(path)
    assert table.read_bytes() == before


def test_what_the_record_does_not_tell_has_no_value(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "partial.adl"
    known = AccountOpened(0, 0, 0, 4, "known", 4, Role.USER, MarginMode.CROSS, True, None)
    create(path, LedgerOpened(0, 0, 0, "venue", "USD", 8, SEMANTICS))
    with open_ledger(path, write=True) as opened:
        users = [known, replace(known, account=5, name="unknown", owner=5, new=False)]
        opened.append(users, expected_head=opened.head)
    (point,) = run_json(capsys, "--ledger", str(path), "--moves", "5%")["points"]
    assert (point["undecided"], point["smallest_fund"], point["smallest_fund_at_least"]) == (1, None, "0")
    assert point["fund_avoids_adl"] is None
    page = run(capsys, "--ledger", str(path), "--moves", "5%")
    assert "Undecidable for 1 of 2 accounts" in page
    assert ">= 0" in page
    assert "an empty one is assumed" in page


@pytest.mark.parametrize(
    ("text", "moves"),
    [
        ("-10%:10%:10%", ["-10", "0", "10"]),
        ("-1:1.5:1", ["-1", "0", "1"]),
        ("5%,+2.5%,-0.0001%,5%", ["5", "2.5", "-0.0001"]),
        ("0%", ["0"]),
    ],
)
def test_grids(capsys: Capture, ledger: str, text: str, moves: list[str]) -> None:
    view = run_json(capsys, "--ledger", ledger, "--moves", text)
    assert [point["move_percent"] for point in view["points"]] == moves


@pytest.mark.parametrize("text", ["", "x", "1:2", "1:2:0", "1:2:-1", "2:1:1", "0:100:0.01", "1,2:3:4", "-100%", "0.00001%"])
def test_what_is_no_grid(capsys: Capture, ledger: str, text: str) -> None:
    assert run_json(capsys, "--ledger", ledger, "--moves", text, status=2)["error"]["kind"] == "MisuseError"


@pytest.mark.parametrize("text", ["-1", "much", "1.000000001"])
def test_what_is_no_fund(capsys: Capture, ledger: str, text: str) -> None:
    error = run_json(capsys, "--ledger", ledger, "--moves", "0%", f"--fund={text}", status=2)["error"]
    assert "--fund" in error["message"]


def test_a_market_that_is_not_there(capsys: Capture, ledger: str) -> None:
    assert "there is no market" in run_json(capsys, "--ledger", ledger, "--market", "NONE", status=2)["error"]["message"]


def test_a_move_out_of_range_is_named_in_percent(capsys: Capture, ledger: str) -> None:
    message = run_json(capsys, "--ledger", ledger, "--moves", "-100.5%", status=2)["error"]["message"]
    assert message == "a move of -100.5% is out of range."


def test_before_the_ledger_has_its_own_accounts_there_is_nothing_to_stress(capsys: Capture, ledger: str) -> None:
    for seq in range(1, 5):
        assert "nothing to stress" in run_json(capsys, "--ledger", ledger, "--at", str(seq), status=2)["error"]["message"]
    assert run_json(capsys, "--ledger", ledger, "--at", "5", "--moves", "0%")["points"][0]["adl_rounds"] == 0


def test_a_policy_that_names_a_fund_nobody_opened_is_undecided(capsys: Capture, ledger: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(write_toml(preset("bybit")).replace("book, fund, adl", "fund 99999, adl"), encoding="utf-8")
    (point,) = run_json(capsys, "--ledger", ledger, "--moves", "-40%", "--policy", str(path))["points"]
    assert point["undecided"] > 0
    assert all("missing fund balance" in one for one in point["missing"])
    assert (point["smallest_fund"], point["fund_avoids_adl"]) == (None, None)
