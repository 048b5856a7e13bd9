"""A preset as a TOML file: flat keys, one text or one list of sentences each.

Needed are ``name``, ``title``, ``venue`` and the eight parameters, spelled as in a PolicyAdopted event: see
``replay.core.spelling``. The rest may be left out: ``rule`` (the address of the published rule), ``source``,
``source_date``, ``in_force_from``, ``in_force_until``, ``lights``, ``leaves_open`` and ``chosen``. Lights are ``none`` or, for
example, ``5 by cumulative contracts, numbered from 1, highest next``; they also go ``by account rank`` and ``lowest next``.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from events.errors import BadInputError, MisuseError
from replay.core.spelling import PARAMETERS, Texts, parse_texts
from replay.presets.values import NO_LIGHTS, Lights, LightsBy, Preset

__all__ = ["read_toml", "spell_lights", "write_toml"]

_NEEDED = ("name", "title", "venue", *PARAMETERS)
_DATES = ("source_date", "in_force_from", "in_force_until")
_LISTS = ("leaves_open", "chosen")
_KEYS = (*_NEEDED, "rule", "source", *_DATES, "lights", *_LISTS)

# What a PolicyAdopted event can hold.
_NAME_CHARS_MAX = 256
_TEXT_CHARS_MAX = 4_096

_DATE = re.compile(r"[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?", re.ASCII)
_LIGHTS = re.compile(r"([1-9][0-9]?) by ([a-z ]+), numbered from ([01]), (highest|lowest) next", re.ASCII)
_BY = {LightsBy.CONTRACTS: "cumulative contracts", LightsBy.ACCOUNTS: "account rank"}


def read_toml(source: str | Path) -> Preset:
    """Return the preset in a TOML text, or in the file at a path.

    Raises ``BadInputError`` for what is no TOML, a key that is not known or is missing, and a value that is none of its key,
    naming the file and the key; ``MisuseError`` for a file that cannot be read.
    """
    if isinstance(source, str):
        return _preset(source, None)
    try:
        return _preset(source.read_text(encoding="utf-8"), str(source))
    except UnicodeDecodeError:
        raise BadInputError("this is no text in UTF-8.", cure="Write the policy as a TOML file.", file=str(source)) from None
    except OSError as error:
        raise MisuseError(
            f"{error.strerror or error}.", cure="Check the path of the policy's file.", file=str(source)
        ) from error


def _preset(text: str, file: str | None) -> Preset:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInputError(
            f"this is no TOML: {error}.", cure="`adl policies show queue --toml` prints one.", file=file
        ) from None
    except RecursionError:
        raise BadInputError("this is nested too deep for a policy.", cure="A policy has flat keys.", file=file) from None
    _check_keys(values, file)
    texts = Texts(**{name: values.get(name, "") for name in Texts._fields})
    for name, most in (("name", _NAME_CHARS_MAX), ("rule", _TEXT_CHARS_MAX)):
        if len(values.get(name, "")) > most:
            raise BadInputError(f"the key {name} is longer than {most} characters.", cure="Shorten it.", file=file)
    try:
        policy = parse_texts(texts)
    except BadInputError as error:
        raise BadInputError(error.message, cure=error.cure, file=file) from None
    lights = _lights(values.get("lights", "none"), file)
    described: dict[str, Any] = {name: values.get(name, "") for name in ("source", *_DATES)}
    described |= {name: tuple(values.get(name, ())) for name in _LISTS}
    return Preset(values["title"], values["venue"], texts, policy, lights=lights, **described)


def _check_keys(values: Mapping[str, Any], file: str | None) -> None:
    for name in values:
        if name not in _KEYS:
            raise BadInputError(f"the key {name!r} is not known.", cure=f"Known: {', '.join(_KEYS)}.", file=file)
    for name in _NEEDED:
        if not values.get(name):
            raise BadInputError(f"the key {name} is missing or empty.", cure=f"Needed: {', '.join(_NEEDED)}.", file=file)
    for name, value in values.items():
        one = isinstance(value, list) and all(isinstance(part, str) and part for part in value)
        if not (one if name in _LISTS else isinstance(value, str)):
            kind = "a list of sentences" if name in _LISTS else "a text"
            raise BadInputError(f"the key {name} is not {kind}.", cure=f'Write {kind} in double quotes, as in "…".', file=file)
        if name in _DATES and value and not _DATE.fullmatch(value):
            cure = "Write it as YYYY-MM-DD, YYYY-MM or YYYY."
            raise BadInputError(f"the key {name} holds {value!r}, which is no date.", cure=cure, file=file)


def _lights(text: str, file: str | None) -> Lights:
    if text == LightsBy.NONE:
        return NO_LIGHTS
    match = _LIGHTS.fullmatch(text)
    by = next((by for by, spelled in _BY.items() if match and match[2] == spelled), None)
    if match is None or by is None:
        cure = "Known: none, or as in '5 by account rank, numbered from 1, highest next', also by cumulative contracts."
        raise BadInputError(f"the key lights holds {text!r}, which is not known.", cure=cure, file=file)
    return Lights(by, int(match[1]), int(match[3]), match[4] == "highest")


def spell_lights(lights: Lights) -> str:
    """Return lights as text."""
    if lights.by is LightsBy.NONE:
        return LightsBy.NONE.value
    end = "highest" if lights.highest_next else "lowest"
    return f"{lights.count} by {_BY[lights.by]}, numbered from {lights.low}, {end} next"


def write_toml(preset: Preset) -> str:
    """Return the TOML text of a preset: ``read_toml`` gives the same preset again."""
    values: dict[str, str] = {"name": preset.name, "title": preset.title, "venue": preset.venue}
    values |= {name: getattr(preset.texts, name) for name in PARAMETERS}
    values |= {"rule": preset.texts.rule, "source": preset.source}
    values |= {name: getattr(preset, name) for name in _DATES}
    values["lights"] = spell_lights(preset.lights)
    lines = [f"{name} = {_quoted(value)}" for name, value in values.items() if value]
    for name in _LISTS:
        sentences = getattr(preset, name)
        if sentences:
            lines += [f"{name} = [", *(f"    {_quoted(sentence)}," for sentence in sentences), "]"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return a TOML string. Its escapes are those of JSON, which leaves only the character 127 as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
