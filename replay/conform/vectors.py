"""Reading a folder of vectors: files of ``{venue, vectors: [{name, kind, given, expect}]}``.

Whatever else a file or a vector holds (units, licence, source, check, note) is for people and not read. Numbers are decimal
text; a JSON number with a point is taken as the text it was written as, so nothing is ever a float.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from events.errors import BadInputError, MisuseError

__all__ = ["DEPTH_MOST", "Vector", "read_folder"]

Object = Mapping[str, object]
FORMAT = "A file is {venue, vectors}, a vector {name, kind, given, expect}."
# Deeper than any vector needs, and shallow enough to be walked by recursion.
DEPTH_MOST = 32


class Vector(Struct, frozen=True):
    """One vector. Only the runner sees all of it; a solver sees ``given`` alone."""

    file: str
    venue: str
    name: str
    kind: str
    given: Object
    expect: Object


class _Row(Struct):
    name: str
    kind: str
    given: dict[str, object]
    expect: dict[str, object]


class _File(Struct):
    venue: str
    vectors: list[object]


_FILE = msgspec.json.Decoder(_File, float_hook=str)


def read_folder(folder: Path) -> list[Vector]:
    """Return the vectors of every ``*.json`` in ``folder``, files by name, vectors in their order.

    Raises ``MisuseError`` where there is no such folder or no such file, ``BadInputError`` for a file not in the format.
    """
    if not folder.is_dir():
        raise MisuseError(f"{folder} is not a folder.", cure="Name a folder of vector files.")
    files = sorted(folder.glob("*.json"))
    if not files:
        raise MisuseError(f"{folder} holds no *.json.", cure="Name a folder of vector files.")
    return [vector for file in files for vector in _read_file(file)]


def _read_file(path: Path) -> list[Vector]:
    try:
        file = _FILE.decode(path.read_bytes())
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadInputError(f"not a file of vectors: {error}.", cure=FORMAT, file=str(path)) from error
    return [_read_vector(path, number, file.venue, row) for number, row in enumerate(file.vectors, 1)]


def _read_vector(path: Path, number: int, venue: str, row: object) -> Vector:
    try:
        fields = msgspec.convert(row, _Row)
    except msgspec.ValidationError as error:
        name = row.get("name") if isinstance(row, Mapping) else None
        what = f"vector {name}" if isinstance(name, str) else "a vector without a name"
        raise BadInputError(f"{what}: {error}.", cure=FORMAT, file=str(path), row=number) from error
    if _depth([fields.given, fields.expect]) > DEPTH_MOST:
        what = f"vector {fields.name}: nested deeper than {DEPTH_MOST}"
        raise BadInputError(f"{what}.", cure="Write given and expect flatter.", file=str(path), row=number)
    return Vector(path.name, venue, fields.name, fields.kind, fields.given, fields.expect)


def _depth(values: list[object]) -> int:
    """Return how many objects and lists stand inside of each other, counted without recursion and no further than needed."""
    depth = 0
    while values and depth <= DEPTH_MOST:
        inner = [list(value.values()) if isinstance(value, dict) else value for value in values]
        values = [one for value in inner if isinstance(value, list) for one in value]
        depth += bool(values)
    return depth
