"""Where a run is shown: a bar at the foot of a terminal; elsewhere a line now and then."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, TextIO

from persistem.console import text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from persistem.console.progress import Progress

#: Without a terminal: so many lines in a run, one whenever that part of the work is done, but so many seconds apart.
LINES, PAUSE = 20, 10.0
#: The bar's width, in characters.
WIDTH = 30


class Screen:
    """The stream that a run is shown on, with or without a bar."""

    def __init__(self, stream: TextIO, colour: bool = True) -> None:
        self.stream, self.colour = stream, colour
        self.progress: Progress | None = None
        self.console: Console | None = None
        self.live: Live | None = None
        self.last, self.next = 0.0, 1

    def start(self, progress: Progress) -> None:
        """Begin to show the progress of a run."""
        self.progress, self.last = progress, time.time()
        if not self.stream.isatty() or os.environ.get("TERM") == "dumb":
            return
        # only here: every job on a cluster loads this module
        from rich.console import Console
        from rich.live import Live

        self.console = Console(file=self.stream, no_color=not self.colour, highlight=False, markup=False, emoji=False)
        self.live = Live(console=self.console, get_renderable=self._bar, refresh_per_second=2, transient=True)
        self.live.start(refresh=True)
        self.console.show_cursor(True)  # a killed process would leave the terminal without one

    def advance(self) -> None:
        """Show that a job has ended."""
        if self.progress and not self.live:
            now, reached = time.time(), int(LINES * self.progress.fraction() + 1e-6)
            if reached >= self.next and now - self.last >= PAUSE:
                self.last, self.next = now, reached + 1
                self.show(f"{text.duration(now - self.progress.begun)}  {self._state(now)}")

    def show(self, said: str) -> None:
        """Show a text, above the bar where there is one."""
        if not said:
            return
        if self.live and self.console:
            self.console.print(said, soft_wrap=True)
        else:
            print(said, file=self.stream, flush=True)

    def stop(self) -> None:
        """Take the bar away."""
        live, self.live, self.progress = self.live, None, None
        if live:
            live.stop()

    def _bar(self) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        if self.progress is None:
            return Text()
        row = Table.grid(padding=(0, 1))
        row.add_column(width=WIDTH)
        row.add_column(no_wrap=True, overflow="ellipsis")
        bar = ProgressBar(1.0, self.progress.fraction(), width=WIDTH, complete_style="cyan", finished_style="cyan")
        row.add_row(bar, Text(self._state(time.time())))
        return row

    def _state(self, now: float) -> str:
        """Jobs done and in all, what runs, the time left."""
        assert self.progress is not None
        left = self.progress.remaining(now)
        parts = [
            f"{len(self.progress.done):,} of {text.count(len(self.progress.run.jobs), 'job')}",
            text.some(self.progress.stages()),
            f"about {text.duration(left)} left" if left is not None else "",
        ]
        return ", ".join(part for part in parts if part)
