"""The one exception that users see: a sentence that says what, where and what is allowed."""

from __future__ import annotations

from collections.abc import Callable


class Setting(str):
    """The name of a setting in a message. Each face words it: ``pixel_size`` in Python, ``--pixel-size`` in a shell."""

    __slots__ = ()


class PersistemError(Exception):
    """Input or results that cannot be used; the message is complete and is shown without a traceback.

    It is given whole, or in parts, of which some are a ``Setting``: ("give ", Setting("voltage"), " (kV)").
    """

    def __str__(self) -> str:
        return self.worded(str)

    def worded(self, name: Callable[[str], str]) -> str:
        """The message with each setting as ``name`` words it."""
        return printable("".join(name(part) if isinstance(part, Setting) else str(part) for part in self.args))


def printable(text: str) -> str:
    """Text that a terminal shows and does not act on: a name in it may hold anything, e.g. escape sequences."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
