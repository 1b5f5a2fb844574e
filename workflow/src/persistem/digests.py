"""Digests: the identity of whatever determines a result."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any


def digest_of(stage: str, version: int, settings: dict[str, Any], inputs: list[str]) -> str:
    """Twelve hexadecimal digits over a stage's name, version, settings and the digests of its inputs."""
    identity = {"stage": stage, "version": version, "settings": settings, "inputs": inputs}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


@cache
def content(path: Path) -> str:
    """SHA-256 of a file: a user's own file is known by what is in it, not by where it lies."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
