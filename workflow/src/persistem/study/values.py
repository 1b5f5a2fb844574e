"""Give values from YAML and the command line the types that a study needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

EXPONENTIAL = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def numbers(value: Any) -> Any:
    """Settings with 1e-5 as a number: YAML 1.1 wants a point, 1.0e-5, and reads other forms as text."""
    if isinstance(value, Mapping):
        return {key: numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [numbers(item) for item in value]
    return float(value) if isinstance(value, str) and EXPONENTIAL.fullmatch(value) else value


def typed(value: Any) -> Any:
    """Settings given as text, e.g. on a command line, with the types that YAML gives them."""
    if isinstance(value, Mapping):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return yaml.safe_load(value) if isinstance(value, str) else value
