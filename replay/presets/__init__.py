"""Every venue's ADL rule as data: one TOML file each in this folder, read into a ``Preset``.

The facts are restated from the sources that each file names. Where a source is silent, the file says so in ``leaves_open`` and
what was put in its place in ``chosen``: a policy that cannot be carried out explains nothing.
"""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path

from events.errors import MisuseError
from replay.presets.toml import read_toml, spell_lights, write_toml
from replay.presets.values import NO_LIGHTS, Lights, LightsBy, Preset
from replay.presets.words import explain, explain_lights

__all__ = [
    "NO_LIGHTS",
    "Lights",
    "LightsBy",
    "Preset",
    "explain",
    "explain_lights",
    "load",
    "preset",
    "presets",
    "read_toml",
    "spell_lights",
    "write_toml",
]

_SUFFIX = ".toml"


def presets() -> Mapping[str, Preset]:
    """Return all shipped presets by the name under which they are loaded, in alphabetical order."""
    return {name: preset(name) for name in _names()}


@cache
def preset(name: str) -> Preset:
    """Return a shipped preset. Raises ``MisuseError`` for a name that is not known."""
    if name not in _names():
        cure = f"There are: {', '.join(_names())}. A file of your own ends in {_SUFFIX}."
        raise MisuseError(f"there is no policy {name!r}.", cure=cure)
    return read_toml((resources.files(__name__) / f"{name}{_SUFFIX}").read_text(encoding="utf-8"))


def load(name_or_path: str | Path) -> Preset:
    """Return a shipped preset by its name, or the one in the TOML file at a path.

    Raises ``MisuseError`` for a name that is not known or a file that cannot be read, and ``BadInputError`` as ``read_toml``.
    """
    if isinstance(name_or_path, Path) or name_or_path.endswith(_SUFFIX):
        return read_toml(Path(name_or_path))
    return preset(name_or_path)


@cache
def _names() -> tuple[str, ...]:
    files = [file.name for file in resources.files(__name__).iterdir()]
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in files if name.endswith(_SUFFIX)))
