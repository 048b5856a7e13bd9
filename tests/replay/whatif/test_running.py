from pathlib import Path

import pytest

from events.errors import MisuseError
from events.model import AnyEvent, LedgerOpened
from ledger.store import create, log_digest, open_ledger
from ledger.verify import verify
from replay.core.policy import Ratio
from replay.presets import preset
from replay.whatif.change import UNCHANGED, Change
from replay.whatif.metrics import METRICS, RESIDUAL
from replay.whatif.running import closed_run


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, evening: list[tuple[int, AnyEvent]]) -> Path:
    path = tmp_path_factory.mktemp("whatif") / "record.adl"
    events = [event for _, event in evening]
    assert isinstance(events[0], LedgerOpened)
    create(path, events[0])
    with open_ledger(path, write=True) as ledger:
        ledger.append(events[ledger.head :], expected_head=ledger.head)
    return path


def test_the_other_ledger_is_whole_and_the_record_untouched(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "other.adl"
    with open_ledger(source) as ledger:
        before = log_digest(ledger)
        run = closed_run(ledger, target, Change(no_adl=True))
        assert log_digest(ledger) == before
    assert verify(target).clean
    with open_ledger(target) as other:
        assert log_digest(other) == run.log_digest
        assert other.head == run.after.state.seq
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    assert run.calibration.whole
    residual = run.after.columns[0].metrics[RESIDUAL].amount
    assert residual == Ratio(run.deficits_after.users.left_cash, 1)
    assert run.deficits_after.users.left_cash > run.deficits_before.users.left_cash == 0


def test_unchanged_every_metric_is_the_same(source: Path, tmp_path: Path) -> None:
    with open_ledger(source) as ledger:
        run = closed_run(ledger, tmp_path / "same.adl", UNCHANGED)
    before, after = run.before.columns[0].metrics, run.after.columns[0].metrics
    assert [before[metric.id] for metric in METRICS] == [after[metric.id] for metric in METRICS]
    assert run.reproduced == run.calibration.recorded == run.tallies.decided


def test_nothing_is_written_over_or_left_half_done(source: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with open_ledger(source) as ledger:
        for target in (source, source.parent / "." / source.name):
            with pytest.raises(MisuseError, match="never written over its record"):
                closed_run(ledger, target, UNCHANGED)
        with pytest.raises(MisuseError, match="at this path already"):
            closed_run(ledger, taken, UNCHANGED)
        with pytest.raises(MisuseError, match="folder of this path"):
            closed_run(ledger, tmp_path / "nowhere" / "a.adl", UNCHANGED)
        with pytest.raises(MisuseError, match="nothing was forced"):
            closed_run(ledger, tmp_path / "late.adl", UNCHANGED, since=ledger.head)
        # The engine finds only on its way that account 7 cannot pay for others.
        policy = preset("queue").texts._replace(layers="book, fund 7, adl")
        with pytest.raises(MisuseError, match="account 7 cannot pay"):
            closed_run(ledger, tmp_path / "bad.adl", Change(policy=policy))
    assert taken.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
