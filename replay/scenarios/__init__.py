"""Scenarios: made-up venues on made-up evenings, from one TOML file each, the same events on every machine.

Nothing of them is a record of any real venue or day. The events are all that happens: every forced close is what
``replay.core.engine`` decided from the state that the events before it add up to, and every order and withdrawal is one that it
admitted. docs/scenarios.md says how a file is written.
"""

from importlib import resources
from pathlib import Path

from events.errors import MisuseError
from replay.scenarios.play import play
from replay.scenarios.script import Scenario
from replay.scenarios.toml import read_scenario
from replay.scenarios.world import Outcome

__all__ = ["Outcome", "Scenario", "load", "play", "shipped"]

_SUFFIX = ".toml"


def shipped() -> tuple[str, ...]:
    """Return the names of the shipped scenarios, in alphabetical order."""
    files = [file.name for file in resources.files(__name__).iterdir()]
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in files if name.endswith(_SUFFIX)))


def load(name_or_path: str | Path) -> Scenario:
    """Return a shipped scenario by its name, or the one in the TOML file at a path.

    Raises ``MisuseError`` for a name that is not known or a file that cannot be read, and ``BadInputError`` as
    ``read_scenario``.
    """
    if isinstance(name_or_path, Path) or name_or_path.endswith(_SUFFIX):
        path = Path(name_or_path)
        try:
            content = path.read_bytes()
        except OSError as error:
            cure = "Check the path of the scenario's file."
            raise MisuseError(f"{error.strerror or error}.", cure=cure, file=str(path)) from error
        return read_scenario(content, path.name, str(path))
    if name_or_path not in shipped():
        cure = f"There are: {', '.join(shipped())}. A file of your own ends in {_SUFFIX}."
        raise MisuseError(f"there is no scenario {name_or_path!r}.", cure=cure)
    file = f"{name_or_path}{_SUFFIX}"
    return read_scenario((resources.files(__name__) / file).read_bytes(), file, file)
