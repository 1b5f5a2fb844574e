"""The only way into a study: read it and check it. Whatever is wrong with it comes as one message."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from persistem.errors import PersistemError
from persistem.store.bounded import read_text
from persistem.study import Study
from persistem.study.checks import check_combinations
from persistem.study.values import check_size, from_yaml, numbers

#: Most problems in one message, and characters of a value in it.
MOST_PROBLEMS, LONGEST = 20, 300


def load_study(path: Path) -> Study:
    """The study in a YAML file; unless it states a name, it is named after the file.

    Raises PersistemError if the file is not a valid study.
    """
    path = Path(path)
    try:
        text = read_text(path)
    except OSError as error:
        raise PersistemError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise PersistemError(f"{path}: not valid YAML: {error}") from error
    try:
        settings = from_yaml(text.removeprefix("\ufeff"))
    except PersistemError as error:
        raise PersistemError(f"{path}: {error}") from error
    if settings is None:
        settings = {}
    if not isinstance(settings, dict):
        raise PersistemError(f"{path}: a study is a mapping of keys to values, not {type(settings).__name__}")
    return make_study(settings, path)


def make_study(settings: Mapping[str, Any], file: Path | None = None) -> Study:
    """The study in a mapping, as YAML reads it; ``file`` names it in messages and gives the default name."""
    check_size(settings, str(file) if file is not None else "study")
    named = numbers(dict(settings))
    if file is not None:
        named.setdefault("name", Path(file).stem)
    try:
        study = Study.model_validate(named)
    except ValidationError as error:
        raise PersistemError(explain(error, file)) from error
    try:
        check_combinations(study)
    except (PersistemError, ValueError, ArithmeticError) as error:
        where = file if file is not None else "study"
        raise PersistemError("\n".join(f"{where}: {line}" for line in str(error).splitlines())) from error
    return study


def explain(error: ValidationError, file: Path | None) -> str:
    """Every problem of a study in one message: file, key, value, and what is allowed."""
    lines = []
    problems = error.errors()
    for problem in problems[:MOST_PROBLEMS]:
        # discriminators and dict keys appear in the location as they are; list positions become [k]
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            lines.append(f"{key}: no such key; allowed are {_siblings(problem['loc'])}")
        elif problem["type"] == "missing":
            lines.append(f"{key}: must be given")
        elif key:
            lines.append(
                f"{key} = {_short(problem['input'])}: {message[0].lower() + message[1:]}{_about(problem['loc'])}"
            )
        else:
            lines.append(message)
    if len(problems) > MOST_PROBLEMS:
        lines.append(f"and {len(problems) - MOST_PROBLEMS} more")
    where = f"{file}" if file is not None else "study"
    return "\n".join(f"{where}: {line}" for line in lines)


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python writes
        text = f"{type(value).__name__} of very many digits"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _siblings(location: tuple[int | str, ...]) -> str:
    """The keys that are allowed in place of an unknown one."""
    return ", ".join(_section(location[:-1]).get("properties", {})) or "none"


def _about(location: tuple[int | str, ...]) -> str:
    """Unit and meaning of the setting at a location, for the end of a message."""
    try:
        about = _section(location)
    except KeyError:
        return ""
    unit = f" in {about['unit']}" if about.get("unit") else ""
    return f" ({about['description']}{unit})" if "description" in about else ""


@cache
def _schema() -> dict[str, Any]:
    return Study.model_json_schema()


def _section(location: tuple[int | str, ...]) -> dict[str, Any]:
    """The part of the JSON schema that describes a location."""
    schema = _schema()
    here: dict[str, Any] = schema
    for part in location:
        here = _resolve(here, schema, part)
        if "properties" in here and part in here["properties"]:
            here = {**here["properties"][part]}
        elif isinstance(part, int):
            here = here.get("items") or (here.get("prefixItems") or [{}])[0]
        elif isinstance(here.get("additionalProperties"), dict):
            here = here["additionalProperties"]
    resolved = _resolve(here, schema, "")
    return {**resolved, **here}


def _resolve(here: dict[str, Any], schema: dict[str, Any], part: int | str) -> dict[str, Any]:
    """Follow a reference; in a union, take the member that the location's discriminator names."""
    if "$ref" in here:
        return _resolve(schema["$defs"][here["$ref"].rsplit("/", 1)[1]], schema, part)
    for option in here.get("oneOf", []) + here.get("anyOf", []):
        resolved = _resolve(option, schema, part)
        if (
            part in resolved.get("properties", {})
            or resolved.get("properties", {}).get("method", {}).get("const") == part
        ):
            return resolved
    return here
