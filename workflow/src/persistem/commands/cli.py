"""``persistem <verb>``: every stage of the pipeline, and whole studies, from the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, chdir, nullcontext
from pathlib import Path
from typing import Any

from persistem.commands import forks, maps
from persistem.commands.parser import Verb, name_of, parsed
from persistem.errors import PersistemError, printable
from persistem.store.extras import to_install


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return 0, or 1 after one sentence on standard error."""
    os.environ["PYTHONSAFEPATH"] = "1"  # processes that the verb starts import nothing from the working folder either
    options = parsed(sys.argv[1:] if arguments is None else arguments)
    verb = options.pop("verb")
    _pass_by_matplotlibrc()
    try:
        _check_seals(options)
        with _measured(verb, options):
            verb(**options)
    except PersistemError as error:
        return _fail(error.worded(maps.option))
    except ModuleNotFoundError as error:
        if (sentence := to_install(error.name or "")) is None:
            raise
        return _fail(sentence)
    except OSError as error:
        return _fail(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "))
    return 0


def _pass_by_matplotlibrc() -> None:
    """Import Matplotlib elsewhere if the working folder has settings for it.

    It reads them when it is imported, whatever they are; no variable tells it not to.
    """
    if os.path.lexists("matplotlibrc"):
        with chdir(Path(__file__).parent):
            import matplotlib  # noqa: F401


def _measured(verb: Verb, options: dict[str, Any]) -> AbstractContextManager[None]:
    """Measure what a job takes that Snakemake cannot, as it may be a fork."""
    from persistem.store import usage

    return usage.measured(options["out"]) if name_of(verb) in forks.KIND else nullcontext()


def _check_seals(options: dict[str, Any]) -> None:
    """Set damaged files aside of those that a verb reads: its arguments, and the files that its settings name."""
    from persistem.store import seals
    from persistem.store.paths import files_in

    values = [value for name, value in options.items() if name not in ("out", "root", "docs", "folder")]
    files = [path for value in values for path in (value if isinstance(value, list) else [value])]
    named = files_in(options.get("protocol", {})) if "root" in options else []
    for path in [*(path for path in files if isinstance(path, Path)), *(options["root"] / name for name in named)]:
        seals.check(path)


def _fail(message: str) -> int:
    if _rank() == 0:
        print(f"persistem: {printable(message)}", file=sys.stderr, flush=True)
    return 1


def _rank() -> int:
    """The MPI rank, so that only one rank prints; 0 if MPI was not started."""
    mpi = sys.modules.get("mpi4py.MPI")
    return mpi.COMM_WORLD.rank if mpi else 0
