"""The rules of the house that a linter does not know: purity of the pure rooms, sizes, one writer."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("events", "ledger", "replay")
FILE_LINES_MAX = 500
# A file with one subject may be longer; each says why here.
LONG_FILES = {"events/model.py": 700}  # every event type stands in one file
FUNCTION_LINES_MAX = 70

# Reading source files is the one impure thing that `events` may do.
READERS = ROOT / "events" / "sources"

IMPURE_MODULES = {
    "asyncio", "datetime", "decimal", "io", "logging", "lmdb", "multiprocessing", "os", "pathlib", "random", "secrets",
    "shutil", "socket", "structlog", "subprocess", "sys", "tempfile", "threading", "time", "uuid",
}  # fmt: skip
IMPURE_NAMES = {"float", "open", "print", "input", "id", "hash", "globals", "breakpoint"}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def pure_files() -> list[Path]:
    return [path for path in sources("events", "replay/core") if READERS not in path.parents]


def impurities(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (f"imports {n.name}" for n in names if n.name.split(".")[0] in IMPURE_MODULES)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in IMPURE_MODULES:
                yield f"imports {module}"
            case ast.Constant(value=float()):
                yield f"holds the float {node.value!r}"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield "divides with /, which makes a float"
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_NAMES:
                yield f"calls {name}()"
            case ast.For(iter=looped) | ast.comprehension(iter=looped) if is_set(looped):
                yield "iterates over a set"


def is_set(node: ast.expr) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub()):
            return is_set(left)
        case _:
            return False


@pytest.mark.parametrize("path", pure_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_pure_rooms_are_pure(path: Path) -> None:
    assert list(impurities(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import time",
        "from os import environ",
        "x = 1.5",
        "y = a / b",
        "open('f')",
        "for x in {1, 2}: pass",
        "[x for x in set(y)]",
    ],
)
def test_the_purity_test_can_fail(code: str) -> None:
    assert list(impurities(ast.parse(code)))


@pytest.mark.parametrize("path", sources(*ROOMS), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONG_FILES.get(path.relative_to(ROOT).as_posix(), FILE_LINES_MAX)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= FUNCTION_LINES_MAX, f"{node.name} has {lines} lines"


def test_one_module_opens_write_transactions() -> None:
    writers = [path for path in sources(*ROOMS) if "begin(write=True" in path.read_text(encoding="utf-8")]
    assert [path.relative_to(ROOT).as_posix() for path in writers] == ["ledger/store.py"]


def test_every_module_says_what_it_is_for() -> None:
    assert [path for path in sources(*ROOMS) if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))] == []


def test_every_public_module_names_its_surface() -> None:
    def surface(path: Path) -> bool:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        defines = any(isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_" for node in tree.body)
        names = {t.id for node in tree.body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)}
        return not defines or "__all__" in names

    assert [path.relative_to(ROOT).as_posix() for path in sources(*ROOMS) if not surface(path)] == []
