"""What a job took, as Snakemake's benchmark tables have it.

Snakemake measures what descends from a job's shell. A job that is a fork of another process (``commands.forks``) does
not, so jobs of those verbs say it themselves.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from persistem.store import paths
from persistem.store.temporary import replacing


@contextmanager
def measured(out: Path) -> Iterator[None]:
    """Write the seconds, the processor's seconds and the largest memory (MB) of a block that makes a stage's file.

    The table is ``results/benchmarks/<stage>/<digest>/….tsv``; files elsewhere get none.
    """
    began = time.monotonic()
    yield
    if paths.sealed(out) is None:
        return
    wall = time.monotonic() - began
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    row = {
        "s": f"{wall:.4f}",
        "h:m:s": str(timedelta(seconds=int(wall))),
        "max_rss": f"{max(each.ru_maxrss for each in used) / 1024:.2f}",
        "cpu_time": f"{sum(each.ru_utime + each.ru_stime for each in used):.2f}",
    }
    table = Path(paths.benchmark(str(out)))
    with replacing(table) as part:
        part.write_text("\t".join(row) + "\n" + "\t".join(row.values()) + "\n")
