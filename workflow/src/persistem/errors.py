"""The one exception that users see: a sentence that says what, where and what is allowed."""


class PersistemError(Exception):
    """Input or results that cannot be used; the message is complete and is shown without a traceback."""

    def __str__(self) -> str:
        return printable(super().__str__())


def printable(text: str) -> str:
    """Text that a terminal shows and does not act on: a name in it may hold anything, e.g. escape sequences."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
