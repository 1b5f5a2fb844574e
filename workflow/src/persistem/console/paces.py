"""What earlier runs in a folder teach about how long jobs take there: the pace of each stage."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from persistem.errors import PersistemError
from persistem.store.bounded import read_text
from persistem.store.temporary import replacing

#: What a pace may be; anything else was measured while the machine slept, or is not a pace.
LEAST, MOST = 0.01, 100.0


def read(path: Path) -> dict[str, float]:
    """Seconds over expected seconds by stage; nothing where there is no such file, or a broken one."""
    try:
        found = json.loads(read_text(path))
        return {str(stage): float(pace) for stage, pace in found.items() if LEAST <= float(pace) <= MOST}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, PersistemError):
        return {}


def learn(path: Path, paces: dict[str, float]) -> None:
    """Put the paces of a run in the place of those of earlier ones; without a word where the disk is full."""
    with contextlib.suppress(OSError), replacing(path) as part:
        part.write_text(json.dumps(read(path) | paces, indent=1) + "\n")
