"""The logger of this workflow for Snakemake, `--logger persistem`, which `profiles/default` asks for.

It prints what Snakemake prints itself, until the Snakefile gives it a ``persistem.console`` to show the run with. It
imports nothing of the package: Snakemake loads it before the Snakefile says where the package is, and in every job.
"""

from __future__ import annotations

import sys
from logging import LogRecord
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase


class LogHandler(LogHandlerBase):
    """Gives records to a console, or prints them as Snakemake does."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        from snakemake.logging import ColorizingTextHandler

        settings = self.common_settings
        self.stream = sys.stdout if settings.stdout else sys.stderr
        self.plain = ColorizingTextHandler(nocolor=settings.nocolor, stream=self.stream)
        self.console: Any = None

    def emit(self, record: LogRecord) -> None:
        """Show a record, in Snakemake's thread for logging."""
        if self.console is None:
            self.plain.formatter = self.formatter
            self.plain.emit(record)
            return
        try:
            self.console.emit(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """End the console; called more than once."""
        console, self.console = self.console, None
        if console is not None:
            console.close()
        super().close()
