"""The one exception that users see: a sentence that says what, where and what is allowed."""


class PersistemError(Exception):
    """Input or results that cannot be used; the message is complete and is shown without a traceback."""
