"""`adl explain` as its users meet it: one screen, stable keys, and errors that say what to name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from events.model import AdlClose, AdlRound, AnyEvent, LedgerOpened
from ledger.store import create, open_ledger
from replay.cli import main
from replay.presets import preset

Capture = pytest.CaptureFixture[str]

LOSER = 6
TRADERS = [
    (0, {0: (1_000, 1_000)}),
    (10**8, {0: (-400, 1_150)}),
    (10**8, {0: (-300, 1_300)}),
    (10**9, {0: (-800, 1_100)}),
    (10**9, {0: (-800, 1_000)}),
]
SCREEN = """\
t7 in round 0 (M0, loser t6), 1970-01-01T00:00:00.000000007Z
Verdict      Closed 4 of 4 short, seq 26. Policy 'profit x leverage': the round is reproduced.
Q01.trigger  equity -10 < 0 (yes) and fund 0 <= 0 (yes): it holds.
Q01.need     10 (whole position); 3 accounts gave 10.
Q01.rank     1 of 4 by profit/entry-notional * notional/equity desc, 0 as gain, equity <= 0 last,
             account asc.
Q01.score    profit/entry-notional 0.2174 * notional/equity 3.2727 = 0.7115 = 180/253
rank  account  position  return  leverage   score  taken  Q01.neighbours
   1  t7             -4  0.2174    3.2727  0.7115      4  you
   2  t8             -3  0.3077    2.0769  0.6391      3  below
   3  t9             -8  0.1818    2.7692  0.5035      3  last taken
   4  t10            -8  0.1000    4.0000  0.4000      0  first spared
Q05.price    10 (bankruptcy). In bps, above 0 better for the winner: mark 9 (-1111.1); bankruptcy 10
             (0.0).
"""
KEYS = [
    "ledger", "round", "seq", "last_seq", "at", "market", "loser", "policy", "verdict", "difference", "missing", "trigger",
    "need", "account", "neighbours", "above", "price", "policies", "events",
]  # fmt: skip


@pytest.fixture(scope="module")
def ledgers(
    stage: Callable[..., list[AnyEvent]], settle: Callable[..., list[AnyEvent]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """Return a function that records the round of ``TRADERS`` under a preset and gives the path of the ledger."""

    def make(name: str) -> str:
        path = tmp_path_factory.mktemp("explain") / f"{name}.adl"
        events = settle(stage(TRADERS, [900], preset=preset(name).texts), LOSER)
        assert isinstance(events[0], LedgerOpened)
        create(path, events[0])
        with open_ledger(path, write=True) as opened:
            opened.append(events[opened.head :], expected_head=opened.head)
        return str(path)

    return make


@pytest.fixture(scope="module")
def ledger(ledgers: Callable[[str], str]) -> str:
    return ledgers("queue")


def run(capsys: Capture, ledger: str, *arguments: str, status: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert main(["explain", "-l", ledger, *arguments]) == status
    captured = capsys.readouterr()
    return captured.out, captured.err


def run_json(capsys: Capture, ledger: str, *arguments: str) -> Any:
    return json.loads(run(capsys, ledger, *arguments, "--json")[0])


def test_why_me_is_one_screen(capsys: Capture, ledger: str) -> None:
    out = run(capsys, ledger, "--account", "t7", "--seq", "25")[0]
    # The line of other rules grows with the presets, so only its beginning is held fast.
    told, _, rest = out.partition("Q11.policies ")
    assert told == SCREEN
    assert rest.startswith("Other rules would have taken of this account: 4 by ")
    assert "\nSeqs         round 25, policy 7, mark 24, " in rest
    assert len(out.splitlines()) <= 24
    assert max(map(len, out.splitlines())) <= 100


def test_any_event_of_the_round_will_do(capsys: Capture, ledger: str) -> None:
    by_close = run_json(capsys, ledger, "--account", "t8", "--seq", "27")
    assert by_close == run_json(capsys, ledger, "--account", "t8", "--seq", "25")
    assert by_close == run_json(capsys, ledger, "--account", "t8", "--round", "0")


def test_the_keys_are_stable_and_the_numbers_exact(capsys: Capture, ledger: str) -> None:
    told = run_json(capsys, ledger, "--account", "t8", "--round", "0", "--above", "t7")
    assert list(told) == KEYS
    account = told["account"]
    assert (account["taken"], account["planned"], account["rank"]["place"], account["rank"]["of"]) == ("3", "3", 2, 4)
    assert account["score"]["score"] == {"exact": "108/169", "decimal": "0.6391"}
    assert [one["id"] for one in (told["trigger"], told["need"], account["rank"], account["score"])] == [
        "Q01.trigger", "Q01.need", "Q01.rank", "Q01.score",
    ]  # fmt: skip
    above = told["above"]
    assert (above["first_difference"], above["ranks"], above["other_taken"]) == ("score", [2, 1], "4")
    assert [term["measure"] for term in above["terms"]] == ["profit/entry-notional", "notional/equity"]
    assert {row["preset"] for row in told["policies"]["rows"]} > {"queue", "dydx-v4", "pro-rata"}
    with open_ledger(Path(ledger)) as opened:
        kinds = dict(opened.events())
    assert isinstance(kinds[told["events"]["round"]], AdlRound)
    assert all(isinstance(kinds[seq], AdlClose) for seq in account["seqs"])


def test_a_round_is_explained_without_an_account(capsys: Capture, ledger: str) -> None:
    told = run_json(capsys, ledger, "--round", "0")
    assert (told["account"], told["above"], told["verdict"]) == (None, None, "reproduced")
    assert [row["label"] for row in told["neighbours"]["rows"]] == ["first", "last taken", "first spared"]
    assert run(capsys, ledger, "--round", "0")[0].startswith("Round 0 (M0, loser t6)")


def test_who_was_not_closed_is_told_where_it_stood(capsys: Capture, ledger: str) -> None:
    out = run(capsys, ledger, "--account", "t10", "--seq", "26")[0]
    assert "Not closed in this round; it held 8 short." in out
    assert "Q01.rank     4 of 4 by" in out
    out = run(capsys, ledger, "--account", "fund", "--seq", "26")[0]
    assert "Q01.rank     none: it is not among the 4 candidates of this round." in out
    assert "This is the loser of the round" in run(capsys, ledger, "--account", "t6", "--seq", "26")[0]


def test_why_not_another_prints_both_terms(capsys: Capture, ledger: str) -> None:
    out = run(capsys, ledger, "--account", "t8", "--round", "0", "--why-not", "t7")[0]
    assert "they differ first in score." in " ".join(out.split())
    row = next(line for line in out.splitlines() if line.startswith("score "))
    assert row.split() == ["score", "0.6391", "0.7115", "t7"]


@pytest.mark.parametrize(
    ("name", "account", "line"),
    [
        ("dydx-v4", "t7", "Q01.rank     1 of 4 in the recorded list, begun at the seed 0000000000000000; there it is 1."),
        (
            "pro-rata",
            "t7",
            "Q01.share    2.17391304 of 10 in money by level(paid/gain), cap gain among 4; weight 0.2174 of all,",
        ),
        ("pro-rata", "t7", "Q05.price    none: only money moves."),
        ("leverage-draining", "t7", "leverage 3.2727 before, "),
        ("drift-v2", "t10", "Q01.need     10 in money (deficit); 4 accounts gave "),
    ],
)
def test_levels_lists_and_charges_have_their_own_lines(
    capsys: Capture, ledgers: Callable[[str], str], name: str, account: str, line: str
) -> None:
    assert line in run(capsys, ledgers(name), "--account", account, "--round", "0")[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "explain needs one round"),
        (("--round", "0", "--seq", "5"), "explain needs one round"),
        (("--round", "0", "--above", "t7"), "--above compares two accounts"),
        (("--seq", "3"), "seq 3 is no part of an ADL round"),
        (("--round", "99999"), "there is no ADL round 99999"),
        (("--round", "0", "--account", "nobody"), "there is no account 'nobody'"),
    ],
)
def test_what_cannot_be_explained_is_misuse(capsys: Capture, ledger: str, arguments: tuple[str, ...], said: str) -> None:
    assert said in run(capsys, ledger, *arguments, status=2)[1]
