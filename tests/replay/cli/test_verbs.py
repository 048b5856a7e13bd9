"""The verbs as their users meet them: what is printed, where, and with which exit status."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from events.model import AdlClose, LedgerOpened
from ledger.store import create, open_ledger
from replay.cli import main
from replay.cli.output import clip, grouped
from replay.scenarios import load, play
from replay.testing.scenarios import scaled

SMALL = scaled(load("crash"), fund=15_000)
Capture = pytest.CaptureFixture[str]


def record(path: Path, *, wrong_close: bool = False) -> None:
    """Record a small incident; with ``wrong_close`` the first ADL close is one unit too small."""
    events = list(play(SMALL))
    assert isinstance(events[0], LedgerOpened)
    if wrong_close:
        index, close = next((i, e) for i, e in enumerate(events) if isinstance(e, AdlClose) and e.size > 1)
        events[index] = replace(close, size=close.size - 1)
    create(path, events[0])
    with open_ledger(path, write=True) as ledger:
        ledger.append(events[ledger.head :], expected_head=ledger.head)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("verbs") / "small.adl"
    record(path)
    return str(path)


def run(capsys: Capture, *arguments: str, status: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert main(list(arguments)) == status
    captured = capsys.readouterr()
    return captured.out, captured.err


def run_json(capsys: Capture, *arguments: str, status: int = 0) -> Any:
    return json.loads(run(capsys, *arguments, "--json", status=status)[0])


def test_numbers_and_names_for_people() -> None:
    assert [grouped(text) for text in ("0", "-1234.5", "999", "1000000.000001", "unknown")] == [
        "0", "-1,234.5", "999", "1,000,000.000001", "unknown",
    ]  # fmt: skip
    assert clip("0x2e3d94f0562703b25c83308a05046ddaf9a8dd14", 11) == "0x2e3…8dd14"
    assert clip("short", 11) == "short"


def test_log_pages_through_everything_once(capsys: Capture, ledger: str) -> None:
    seen, following = [], 1
    while following:
        page = run_json(capsys, "log", "-l", ledger, "--type", "AdlRound", "--from", str(following), "--limit", "7")
        assert len(page["events"]) <= 7
        seen += [event["seq"] for event in page["events"]]
        following = page["next_seq"]
    with open_ledger(Path(ledger)) as opened:
        assert seen == [seq for seq, event in opened.events() if type(event).__name__ == "AdlRound"]
    assert f"--from {seen[1]}" in run(capsys, "log", "-l", ledger, "--type", "AdlRound", "--limit", "1")[0]


def test_log_by_time_takes_up_where_state_by_time_ends(capsys: Capture, ledger: str) -> None:
    at = "2030-01-01T20:06:00Z"
    state = run_json(capsys, "state", "-l", ledger, "--at", at)
    page = run_json(capsys, "log", "-l", ledger, "--from", at, "--limit", "1")
    assert page["events"][0]["seq"] == state["seq"] + 1
    assert page["events"][0]["at"] > at.replace("Z", ".000000000Z")


def test_show_says_what_changed(capsys: Capture, ledger: str) -> None:
    close = run_json(capsys, "log", "-l", ledger, "--type", "AdlClose", "--limit", "1")["events"][0]
    shown = run_json(capsys, "show", str(close["seq"]), "-l", ledger)
    assert shown["event"] == close
    (before,) = [a for a in shown["before"]["accounts"] if a["account"] == close["winner"]]
    (after,) = [a for a in shown["after"]["accounts"] if a["account"] == close["winner"]]
    sign = 1 if close["buyer"] == close["winner"] else -1
    moved = float(after["positions"][0]["size"]) - float(before["positions"][0]["size"])
    assert moved == pytest.approx(sign * float(close["size"]))
    text = run(capsys, "show", str(close["seq"]), "-l", ledger)[0]
    with open_ledger(Path(ledger)) as opened:
        assert opened.read(close["seq"])[:16].hex(" ") in text
    assert "changed" in text


def test_state_at_an_earlier_seq_is_another_state(capsys: Capture, ledger: str) -> None:
    now, then = run_json(capsys, "state", "-l", ledger), run_json(capsys, "state", "-l", ledger, "--at", "500")
    assert (then["seq"], then["state_root"] == now["state_root"]) == (500, False)
    name = now["account_list"][-1]["account"]
    assert run_json(capsys, "state", "-l", ledger, "--account", name)["account"] == name
    held = run_json(capsys, "state", "-l", ledger, "--market", "BTC")["held"]
    assert sum(float(position["size"]) for position in held) == pytest.approx(0, abs=1e-9)


def test_a_sound_record_is_clean_and_check_is_silent(capsys: Capture, ledger: str) -> None:
    assert run(capsys, "check", "-l", ledger) == ("", "")
    assert "whole" in run(capsys, "verify", "-l", ledger)[0]
    audit = run_json(capsys, "audit", "-l", ledger)
    assert audit["clean"]
    assert audit["verdicts"] == {"reproduced": audit["rounds"]}


def test_a_close_that_breaks_the_rule_is_named(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "wrong.adl"
    record(path, wrong_close=True)
    audit = run_json(capsys, "audit", "-l", str(path), status=1)
    first = next(found for found in audit["round_list"] if found["difference"])
    assert first["verdict"] == first["difference"]["field"] == "size"
    close = run_json(capsys, "show", str(first["difference"]["seq"]), "-l", str(path))["event"]
    assert close["size"] == first["difference"]["recorded"]
    assert f"seq {close['seq']}: size of close" in run(capsys, "audit", "-l", str(path), status=1)[0]


def test_export_never_replaces_a_file(capsys: Capture, ledger: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert "events written" in run(capsys, "export", "-l", ledger, "-o", str(out))[0]
    assert "this file exists" in run(capsys, "export", "-l", ledger, "-o", str(out), status=2)[1]
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "nonsense"),
        (["show", "-l", "{ledger}"], "SEQ"),
        (["show", "0", "-l", "{ledger}"], "no seq 0"),
        (["show", "99999999", "-l", "{ledger}"], "no seq 99999999"),
        (["state", "-l", "{ledger}", "--at", "yesterday"], "neither a sequence number nor a UTC time"),
        (["state", "-l", "{ledger}", "--account", "nobody"], "no account 'nobody'"),
        (["state", "-l", "{ledger}", "--market", "X"], "no market 'X'"),
        (["state", "-l", "{ledger}", "--market", "BTC", "--account", "a"], "two different pages"),
        (["log", "-l", "{ledger}", "--limit", "0"], "a page of 0 events"),
        (["log", "-l", "{ledger}", "--type", "Nothing"], "no event type 'Nothing'"),
        (["log", "-l", "{folder}/none.adl"], "no such file"),
        (["check", "no-such-law", "-l", "{ledger}"], "no-such-law"),
        (["import", "nonsense", "x", "-l", "{folder}/new.adl"], "Known formats"),
        (["import", "events", "-l", "{folder}/new.adl"], "nothing to import"),
        (["import", "hyperliquid", "{folder}/absent", "-l", "{folder}/new.adl"], "absent"),
        (["demo", "-l", "{folder}/other.adl"], "another ledger"),
        (["export", "-l", "{ledger}", "--json"], "--output"),
    ],
)
def test_misuse_is_one_error_with_status_2(
    capsys: Capture, ledger: str, tmp_path: Path, arguments: list[str], said: str
) -> None:
    create(tmp_path / "other.adl", LedgerOpened(0, 0, 0, "venue", "USD", 8, 1))
    filled = [argument.format(ledger=ledger, folder=tmp_path) for argument in arguments]
    out, err = run(capsys, *filled, status=2)
    assert said in " ".join(err.split()) or said in out
    assert not (tmp_path / "new.adl").exists()


def test_errors_are_json_for_machines(capsys: Capture, tmp_path: Path) -> None:
    error = run_json(capsys, "log", "-l", str(tmp_path / "none.adl"), status=2)["error"]
    assert error["fault"] == "caller"
    assert error["exit_status"] == 2
    assert set(error) == {"kind", "fault", "message", "cure", "file", "row", "seq", "exit_status"}


def test_a_damaged_ledger_is_status_3(capsys: Capture, ledger: str, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.adl"
    raw = Path(ledger).read_bytes()
    damaged.write_bytes(raw[: len(raw) // 2])
    assert not run_json(capsys, "verify", "-l", str(damaged), status=3)["clean"]
    assert run_json(capsys, "state", "-l", str(damaged), status=3)["error"]["fault"] == "store"


def test_quarantined_rows_are_status_1(capsys: Capture, tmp_path: Path) -> None:
    fills = tmp_path / "fills"
    fills.write_bytes(
        b'{"local_time":"2025-01-01T00:00:00","block_time":"2025-01-01T00:00:00","block_number":1,"events":[["u",{}]]}\n'
    )
    report = run_json(capsys, "import", "hyperliquid", str(fills), "-l", str(tmp_path / "l.adl"), status=1)
    assert (report["quarantined"], report["rows_in"]) == (1, 1)
    (kept,) = run_json(capsys, "log", "-l", str(tmp_path / "l.adl"), "--type", "Quarantined")["events"]
    assert bytes.fromhex(kept["raw"]) in fills.read_bytes()


def test_a_bug_of_ours_is_one_error_with_a_plain_traceback(
    capsys: Capture, ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object, **_options: object) -> None:
        held = "a value of the venue"
        raise RuntimeError(f"no {len(held)}")

    monkeypatch.setattr("replay.cli.look.open_ledger", broken)
    out, err = run(capsys, "state", "-l", ledger, status=3)
    assert out == ""
    assert "Traceback" in err
    assert "please report it" in " ".join(err.split())
    assert "a value of the venue" not in err.replace('held = "a value of the venue"', "")
