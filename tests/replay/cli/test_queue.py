import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from events.model import AnyEvent
from replay.cli import main
from replay.presets import preset
from replay.presets.toml import write_toml
from replay.scenarios import load, play
from replay.testing.scenarios import scaled

Capture = pytest.CaptureFixture[str]
Record = Callable[[Path, Sequence[AnyEvent]], str]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory, record: Record) -> str:
    return record(tmp_path_factory.mktemp("queue") / "small.adl", list(play(scaled(load("crash"), fund=15_000))))


def run(capsys: Capture, *arguments: str, status: int = 0) -> str:
    capsys.readouterr()
    assert main(["queue", *arguments]) == status
    return capsys.readouterr().out


def run_json(capsys: Capture, *arguments: str, status: int = 0) -> Any:
    return json.loads(run(capsys, *arguments, "--json", status=status))


def market_of(capsys: Capture, ledger: str) -> str:
    capsys.readouterr()
    assert main(["state", "--ledger", ledger, "--json"]) == 0
    markets = json.loads(capsys.readouterr().out)["market_list"]
    return str(max(markets, key=lambda one: one["positions"])["market"])


def test_the_keys_and_what_they_say(capsys: Capture, ledger: str) -> None:
    market = market_of(capsys, ledger)
    view = run_json(capsys, "--ledger", ledger, "--market", market, "--policy", "bitmex")
    assert list(view) == [
        "ledger", "seq", "market", "mark", "open_interest", "open_interest_at_least", "policy", "policy_in_force", "preset",
        "key", "fill", "lights", "account", "sides",
    ]  # fmt: skip
    assert (view["policy"], view["policy_in_force"], view["preset"]) == ("bitmex", False, None)
    assert view["lights"] == {"by": "contracts", "count": 5, "low": 1, "highest_next": True}
    assert [side["side"] for side in view["sides"]] == ["long", "short"]
    for side in view["sides"]:
        assert list(side) == ["side", "unit", "missing", "reach", "candidates"]
        rows = side["candidates"]
        assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
        assert list(rows[0]) == [
            "rank", "account", "size", "share", "percentile", "light", "score", "return", "leverage", "ties", "profit",
            "entry_notional", "notional", "equity", "reach", "ahead",
        ]  # fmt: skip
        assert rows[0]["ahead"] == "0"
        assert rows[-1]["percentile"] == {"exact": "100", "decimal": "100.0000"}
        assert {row["light"] for row in rows} <= {1, 2, 3, 4, 5}


def test_the_page_in_force_and_one_account(capsys: Capture, ledger: str) -> None:
    market = market_of(capsys, ledger)
    view = run_json(capsys, "--ledger", ledger, "--market", market, "--side", "long")
    assert (view["policy_in_force"], view["preset"]) == (True, "queue")
    rows = view["sides"][0]["candidates"]
    page = run(capsys, "--ledger", ledger, "--market", market)
    assert "in force, which is the preset queue" in page
    assert "No lights are known of this rule" in page
    assert rows[0]["account"] in page
    last = rows[-1]
    page = run(capsys, "--ledger", ledger, "--market", market, "--account", last["account"], "--policy", "binance-2025")
    assert f"> {last['account']}" in page
    assert "asked for; it is not the one in force" in page
    assert "5 by account rank, numbered from 0, highest next" in page
    assert "none of the" in page  # the other side
    (only,) = run_json(capsys, "--ledger", ledger, "--market", market, "--account", last["account"])["sides"][0]["candidates"]
    assert only == last
    assert f"is closed by a round of more than {float(last['ahead']):,}" in run(
        capsys, "--ledger", ledger, "--market", market, "--account", last["account"]
    )


def test_a_level_shows_what_each_would_give(capsys: Capture, ledger: str) -> None:
    market = market_of(capsys, ledger)
    view = run_json(capsys, "--ledger", ledger, "--market", market, "--policy", "tear-up", "--side", "short")
    (side,) = view["sides"]
    assert list(side) == ["side", "unit", "missing", "amount", "parts"]
    assert list(side["parts"][0]) == ["account", "size", "share", "given"]
    page = run(capsys, "--ledger", ledger, "--market", market, "--policy", "tear-up")
    assert "It has no queue, as all bear a part at once: level(closed/size)." in page
    assert "If 1% of the open interest is to be covered" in page
    everybody = run_json(capsys, "--ledger", ledger, "--market", market, "--policy", "pro-rata", "--side", "short")
    assert [(one["side"], one["unit"]) for one in everybody["sides"]] == [("all", "cash")]
    assert "Candidates (" in run(capsys, "--ledger", ledger, "--market", market, "--policy", "pro-rata")


def test_what_cannot_be_told_is_said(capsys: Capture, ledger: str) -> None:
    market = market_of(capsys, ledger)
    page = run(capsys, "--ledger", ledger, "--market", market, "--policy", "dydx-v4")
    assert "The list comes with a round" in page
    assert "undecidable, the record lacks candidate list: record incomplete." in page
    view = run_json(capsys, "--ledger", ledger, "--market", market, "--policy", "dydx-v4")
    assert [(side["missing"], side["candidates"]) for side in view["sides"]] == [
        (["candidate list: record incomplete"], [])
    ] * 2


def test_before_a_policy_is_adopted(capsys: Capture, ledger: str) -> None:
    capsys.readouterr()
    assert main(["log", "--ledger", ledger, "--type", "PolicyAdopted", "--json"]) == 0
    adopted = json.loads(capsys.readouterr().out)["events"][0]["seq"]
    market = market_of(capsys, ledger)
    before = run_json(capsys, "--ledger", ledger, "--market", market, "--at", str(adopted - 1))
    assert (before["policy"], before["sides"][0]["missing"]) == (None, ["policy"])
    assert "No policy is in force." in run(capsys, "--ledger", ledger, "--market", market, "--at", str(adopted - 1))


def test_a_policy_from_a_file_and_brackets_are_text(capsys: Capture, ledger: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(write_toml(preset("bybit")).replace('name = "bybit"', 'name = "[red]mine"'), encoding="utf-8")
    page = run(capsys, "--ledger", ledger, "--market", market_of(capsys, ledger), "--policy", str(path))
    assert "Policy '[red]mine', asked for" in page


def test_misuse(capsys: Capture, ledger: str) -> None:
    market = market_of(capsys, ledger)
    assert "there is no market" in run_json(capsys, "--ledger", ledger, "--market", "NONE", status=2)["error"]["message"]
    early = run_json(capsys, "--ledger", ledger, "--market", market, "--at", "3", status=2)
    assert early["error"]["cure"] == "There are: none yet."
    wrong = run_json(capsys, "--ledger", ledger, "--market", market, "--account", "nobody", status=2)
    assert "there is no account" in wrong["error"]["message"]
    assert (
        "no policy" in run_json(capsys, "--ledger", ledger, "--market", market, "--policy", "x", status=2)["error"]["message"]
    )
