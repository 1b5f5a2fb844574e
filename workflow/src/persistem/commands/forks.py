"""Jobs of a run on this machine as forks of a process that has imported what they need.

A job of the workflow is a process of its own, so that each result can be made again alone. Most of what a short one
takes is imports: abTEM's are 4 s of the processor, and a micrograph 2. So where several jobs of a kind are to run,
Snakemake's main process starts a server for it (``start``), which imports that kind's libraries once. The job that a
shell starts (``python -m persistem micrograph …``) hands the server its arguments, environment, working folder, and
output and error streams, and ends as the fork does that the server makes of itself (``ended_as``). What a job computes
and writes is the same; without a server, as on a cluster, it does so by itself.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import chdir, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import subprocess

#: The folder of the servers' sockets.
VARIABLE = "PERSISTEM_FORKS"
#: The verbs of each kind, and what their jobs import that takes long. Each runs in one process, in one thread.
VERBS = {
    "imaging": ("exit-wave", "micrograph", "varied", "composite"),
    "topology": ("crops", "diagrams", "join-diagrams", "persistence-images", "specimen-diagrams", "descriptors"),
    "figures": ("figure", "state-checks", "inverse"),
}
MODULES = {
    "imaging": ("persistem.imaging.exit_waves", "persistem.study", "abtem", "distributed", "tifffile", "zarr"),
    "topology": (
        *("persistem.imaging.crops", "persistem.study", "persistem.topology.persistence_images", "cv2", "tifffile"),
        *("homcloud.bitmap", "homcloud.histogram", "homcloud.pdgm", "pandas", "pyarrow.parquet"),
    ),
    "figures": (
        *("persistem.report.figures.drawing", "persistem.specimens.state_checks", "persistem.topology.inverse"),
        *("persistem.learning.accuracy", "persistem.study", "homcloud.histogram", "homcloud.pdgm", "pandas"),
        *("matplotlib.pyplot", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_pdf", "scipy.spatial"),
        *("sklearn.linear_model", "sklearn.pipeline", "sklearn.svm", "tifffile"),
    ),
}
KIND = {verb: kind for kind, verbs in VERBS.items() for verb in verbs}
#: Bytes of the length that precedes a request.
LENGTH = 8
#: The process that asked for a job, and what tells of the job's end, by the job's number.
Running = dict[int, tuple[socket.socket, int]]


def start(verbs: Iterable[str], environment: dict[str, str]) -> list[subprocess.Popen[bytes]]:
    """Start a server for each kind of which ``verbs`` has two jobs or more, and say in ``environment`` where they are.

    They end when the caller does, and when their jobs have. On Linux only: elsewhere libraries do not outlive a fork.
    """
    import subprocess  # here, as every job imports this module
    import tempfile

    asked = [KIND[verb] for verb in verbs if verb in KIND]
    kinds = [kind for kind in VERBS if asked.count(kind) > 1]
    if not kinds or sys.platform != "linux":
        return []
    folder = tempfile.mkdtemp(prefix="persistem-")
    environment[VARIABLE] = folder
    # as Snakemake tells jobs of one thread; libraries read it when they are imported
    single = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "GOTO", "OPENBLAS", "MKL", "VECLIB", "NUMEXPR")}
    return [
        subprocess.Popen(
            [sys.executable, "-m", __name__, kind, f"{folder}/{kind}"],
            stdin=subprocess.PIPE,  # never written to; it closes when the caller ends, however it does
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | single,
            start_new_session=True,
        )
        for kind in kinds
    ]


def ended_as(arguments: Sequence[str]) -> int | None:
    """Let a server run a job, and return what it ends with; None where there is no server for it."""
    folder, kind = os.environ.get(VARIABLE), KIND.get(arguments[0]) if arguments else None
    if not folder or not kind:
        return None
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(f"{folder}/{kind}")
    except OSError:  # it has not begun, or was killed
        return None
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the fork is told, by the connection that ends
    request = json.dumps({"arguments": list(arguments), "folder": os.getcwd(), "environment": dict(os.environ)})  # noqa: PTH109
    with suppress(OSError):
        socket.send_fds(server, [len(request).to_bytes(LENGTH)], [1, 2])
        server.sendall(request.encode())
        if answer := server.recv(LENGTH):
            return _end(int(answer))
    print("persistem: the process that ran this job for others too was killed", file=sys.stderr)
    return 1


def _end(status: int) -> int:
    if status < 0:  # by a signal, as this process then
        with suppress(OSError):  # of SIGKILL nothing can be set
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return abs(status)


def serve(kind: str, path: Path) -> None:
    """Run jobs of a kind as forks of this process, until standard input closes and all have ended."""
    running: Running = {}
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(str(path))
        listener.listen(1024)
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                if key.fileobj is listener:
                    _import(kind)
                    _begin(listener, selector, running)
                elif key.fileobj is sys.stdin:
                    selector.unregister(sys.stdin)
                    selector.unregister(listener)
                    with suppress(OSError):  # of the folder: another server's socket is in it
                        path.unlink()
                        path.parent.rmdir()
                elif key.data in running:
                    _attend(key, selector, running)


@cache
def _import(kind: str) -> None:
    """Import what jobs of a kind import, when the first asks."""
    with chdir(Path(__file__).parent):  # Matplotlib would read settings in the folder where Snakemake runs
        for module in ("persistem.commands.cli", "yaml", *MODULES[kind]):
            with suppress(ImportError):  # the job says what is missing
                import_module(module)


def _begin(listener: socket.socket, selector: selectors.BaseSelector, running: Running) -> None:
    """Fork a job from a request, and watch both its end and the process that asked for it."""
    client, _ = listener.accept()
    length, streams, _, _ = socket.recv_fds(client, LENGTH, 2)
    with client.makefile("rb") as file:
        request = file.read(int.from_bytes(length))
    if len(streams) == 2 and request:
        if (job := os.fork()) == 0:
            for other, end in running.values():
                other.close()
                os.close(end)
            selector.close()
            listener.close()
            client.close()
            _become(json.loads(request), streams)
        with suppress(OSError):  # it has ended already
            os.setpgid(job, job)
        end = os.pidfd_open(job)
        running[job] = client, end
        for watched in running[job]:
            selector.register(watched, selectors.EVENT_READ, job)
    else:
        client.close()
    for stream in streams:
        os.close(stream)


def _attend(key: selectors.SelectorKey, selector: selectors.BaseSelector, running: Running) -> None:
    """Say how a job ended, or end the job of a process that was killed."""
    job = key.data
    client, end = running[job]
    if key.fileobj is client:
        selector.unregister(client)
        os.killpg(job, signal.SIGINT)
        return
    del running[job]
    selector.unregister(end)
    os.close(end)
    status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
    with suppress(KeyError):  # the process that asked may have ended before
        selector.unregister(client)
    with client, suppress(OSError):
        client.send(str(status).encode())


def _become(request: Mapping[str, Any], streams: Sequence[int]) -> NoReturn:
    """Be the job that a process asked for, and end with it."""
    from persistem.commands.cli import main

    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, stream in enumerate((os.open(os.devnull, os.O_RDONLY), *streams)):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        code = main(request["arguments"])
    except SystemExit as end:  # of argparse, after a sentence
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
