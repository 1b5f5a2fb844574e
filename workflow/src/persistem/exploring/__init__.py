"""Micrographs without labels: what looks alike on them, which is not yet a state."""

from persistem.exploring.explore import Exploration, explore
from persistem.exploring.files import write

__all__ = ["Exploration", "explore", "write"]
