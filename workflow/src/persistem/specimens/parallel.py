"""``python -m persistem.specimens.parallel VERB …``: run a verb on MPI ranks, like ``python -m mpi4py -m persistem``.

If a rank dies while MPI starts, the others would wait for it for ever. So would mpiexec (MPICH 5.0.2): its process
manager reads the end of the dead rank's connection again and again.
"""

from __future__ import annotations

import os
import sys

# as in persistem.__main__
if not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 (pathlib would come from there)
    del sys.path[0]

import signal
from typing import Any

#: Longest time for MPI to start on all ranks, s; an idle machine needs less than one.
PATIENCE = 300


def world() -> Any:
    """MPI's world communicator."""
    import mpi4py

    mpi4py.rc.threads = False  # ranks have one thread each; MPI's locks for more would slow every message
    from mpi4py import MPI

    return MPI.COMM_WORLD


def main() -> None:
    """Start MPI, or end by SIGALRM after ``PATIENCE``; then run the verb. An error on one rank aborts all."""
    signal.alarm(PATIENCE)
    world().Barrier()
    signal.alarm(0)
    from mpi4py import run

    sys.argv[1:1] = ["-m", "persistem"]
    run.main()


if __name__ == "__main__":
    main()
