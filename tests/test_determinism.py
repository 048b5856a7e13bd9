"""The same events, the same roots: whatever the hash seed, the zone, the locale, the optimiser and the Python version."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILLS = "hyperliquid/node_fills_by_block_20251027_17.lz4"
CLOSES = "hyperliquid/adl_2025-10-10_first_wave.csv"

DEMO_STATE_ROOT = "cae7d33193dd82acc891329f2c594610656dec2b2bd065e8c19aa511775e3a9f"
DEMO_LOG_DIGEST = "80026353769cbdbe52c2b935a5851868dc671aaf21455f927a922ddb05170721"
FILLS_STATE_ROOT = "f981b0efecd47bbb44bf4ce516fbf52d7ac282ee5ac01dd7ade5a37057c53b80"
FILLS_LOG_DIGEST = "9d579c358e12ceb87ac8f584cd8418e4128de8bf17437dcb212aa00d1b53dbde"
CLOSES_STATE_ROOT = "5e4f1db80acbdbce0413ea077b6d4e7d75aeb9256ae494d00fdc0993a506a9c9"
CLOSES_LOG_DIGEST = "131ce097a7cf9d66e548a9977323bfe3a574a450f4507b832450307b056dcdd4"

WORLDS: dict[str, tuple[list[str], dict[str, str]]] = {
    "hash seed 0": ([], {"PYTHONHASHSEED": "0"}),
    "hash seed 1": ([], {"PYTHONHASHSEED": "1"}),
    "hash seed 4242": ([], {"PYTHONHASHSEED": "4242"}),
    "Kolkata": ([], {"TZ": "Asia/Kolkata"}),
    "C locale": ([], {"LC_ALL": "C"}),
    "optimised": (["-O"], {}),
}


def run(python: str, arguments: list[str], folder: Path, flags: list[str], changes: dict[str, str]) -> dict[str, str]:
    """Run ``adl`` in a process of its own and return what it printed as JSON."""
    code = "import sys; from replay.cli import main; sys.exit(main())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **changes}
    command = [python, *flags, "-c", code, *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    document: dict[str, str] = json.loads(done.stdout)
    return document


def check_demo(python: str, folder: Path, flags: list[str], changes: dict[str, str]) -> None:
    demo = run(python, ["demo"], folder, flags, changes)
    assert (demo["state_root"], demo["log_digest"]) == (DEMO_STATE_ROOT, DEMO_LOG_DIGEST)


def check_imports(find: Callable[[str], Path], python: str, folder: Path, flags: list[str], changes: dict[str, str]) -> None:
    for name, source, root, digest in (
        (FILLS, "hyperliquid", FILLS_STATE_ROOT, FILLS_LOG_DIGEST),
        (CLOSES, "hyperliquid-adl", CLOSES_STATE_ROOT, CLOSES_LOG_DIGEST),
    ):
        path = find(name)
        ledger = ["--ledger", f"{source}.adl"]
        assert run(python, ["import", source, str(path), *ledger], folder, flags, changes)["digest"] == digest
        assert run(python, ["state", *ledger], folder, flags, changes)["state_root"] == root


@pytest.mark.parametrize("world", WORLDS)
def test_the_demo_has_one_root_in_every_world(world: str, tmp_path: Path) -> None:
    check_demo(sys.executable, tmp_path, *WORLDS[world])


@pytest.mark.parametrize("world", WORLDS)
def test_the_imports_have_one_root_in_every_world(world: str, tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    check_imports(shared_data, sys.executable, tmp_path, *WORLDS[world])


@pytest.fixture
def other_python(request: pytest.FixtureRequest) -> str:
    """Return the interpreter that ``make pythons`` prepared, or skip."""
    path = ROOT / ".venv" / "others" / request.param / "bin" / "python"
    if not path.exists():
        pytest.skip(f"`make pythons` found no Python {request.param} on this machine")
    return str(path)


@pytest.mark.parametrize("other_python", ["3.12", "3.13"], indirect=True)
def test_the_demo_has_one_root_on_every_python(other_python: str, tmp_path: Path) -> None:
    check_demo(other_python, tmp_path, [], {})


@pytest.mark.parametrize("other_python", ["3.12", "3.13"], indirect=True)
def test_the_imports_have_one_root_on_every_python(
    other_python: str, tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    check_imports(shared_data, other_python, tmp_path, [], {})
