"""Check the settings that a verb receives, and say in one sentence what is wrong or missing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from persistem.errors import PersistemError
from persistem.store.bounded import read_text
from persistem.store.files import is_file
from persistem.study.values import check_size, from_yaml, numbers


def protocol_of(text: str) -> dict[str, Any]:
    """Settings of a stage: an inline YAML or JSON mapping, or the path of a file that holds one.

    A digest folder's ``stage.yaml`` is such a file; only its settings are taken. In it, and in JSON, text stays text;
    in hand-written YAML 1e-5 is a number.
    """
    if not text.lstrip().startswith("{") or is_file(text):
        try:
            text = read_text(Path(text))
        except OSError as error:
            raise argparse.ArgumentTypeError(f"{text}: {error.strerror}") from error
        except (PersistemError, ValueError) as error:
            raise argparse.ArgumentTypeError(f"{error}") from error
    settings = _exactly(text)
    if settings is None:
        try:
            settings = from_yaml(text)
            if isinstance(settings, dict):
                check_size(settings, "--protocol")
        except PersistemError as error:
            raise argparse.ArgumentTypeError(f"{error}") from error
        if not (isinstance(settings, dict) and "stage" in settings):
            settings = numbers(settings) if isinstance(settings, dict) else settings
    if not isinstance(settings, dict):
        raise argparse.ArgumentTypeError(f"a mapping is expected, not {text.strip()[:60]!r}")
    return settings.get("settings", settings) if "stage" in settings else settings


def _exactly(text: str) -> Any:
    """JSON as the workflow writes it, or None: in it text stays text, even a digest like a number, 3423657709e4."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


class Given(dict[str, Any]):
    """Settings that say which one is missing."""

    def __missing__(self, key: str) -> Any:
        raise PersistemError(f"--protocol: {key} must be given")


def given(settings: Any) -> Any:
    """Settings that say which one is missing, nested ones too."""
    if isinstance(settings, dict):
        return Given({key: given(value) for key, value in settings.items()})
    return [given(value) for value in settings] if isinstance(settings, list) else settings


def require(protocol: dict[str, Any], *keys: str) -> None:
    """Raise PersistemError, naming the key, if one is missing."""
    for key in keys:
        if key not in protocol:
            raise PersistemError(f"--protocol: {key} must be given")


def section(model: type[Any], settings: dict[str, Any]) -> Any:
    """A section of the study with the settings that a stage received; the others take their defaults."""
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            allowed = ", ".join(model.model_fields)
            raise PersistemError(f"--protocol: {key}: no such setting; allowed are {allowed}") from error
        raise PersistemError(f"--protocol: {key} = {problem['input']!r}: {problem['msg']}") from error


def sections(protocol: dict[str, Any], **models: type[Any]) -> dict[str, Any]:
    """Several sections of the study, each with the settings under its name."""
    for key in protocol:
        if key not in models:
            raise PersistemError(f"--protocol: {key}: no such section; allowed are {', '.join(models)}")
    return {key: section(model, protocol.get(key, {})) for key, model in models.items()}
