"""The verb that tidies the results folder; the first line of its docstring is its help."""

from __future__ import annotations

from pathlib import Path


def unused(root: Path, remove: bool) -> None:
    """list the results that no study refers to, with their sizes, and remove them on request"""
    from persistem.store.unused import report, unused

    print(report(unused(root, remove), remove))
