"""Kill a small study again and again, and damage its files: in the end everything is as if nothing had happened.

Each round starts `snakemake`, waits for a random time and then does one of FAULTS, at random. When the study is
finished, and files that were lost or damaged after the last that reads them are asked for by name, all results must
be, byte for byte, those of an undisturbed run; then it begins anew. No round may lose a segment of molecular dynamics
that was finished before (a damaged restart file may cost one), and nothing that is printed may be a traceback of this
package.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from measure import ROOT, SNAKEMAKE

sys.path.insert(0, str(ROOT / "workflow/src"))
import contextlib

from persistem.store import seals
from persistem.store.temporary import TEMPORARY

STUDY = {
    "name": "soak",
    "material": {"repetitions": [6, 6, 4]},
    "md": {
        "series": [{"temperatures": [6000], "seeds": [1, 2]}],
        "steps": 1000,
        "segment_steps": 100,
        "thermo_every": 20,
        "temperature_tolerance": 0.9,
        "ranks": 2,
        "rt": {"steps": 500},
    },
    "imaging": {"field": 12.5, "thickness": 10.0, "pixels": 128, "margin": 1.0, "defoci": [-100, 0]},
    "crops": {"size": 64, "stride": 64},
    "features": {"paper": {}},
    "learning": {"repetitions": 3},
}
#: What says how long something took, which process did it, or what was set aside.
RECORDS = ("logs", "benchmarks", ".runs", ".contents")


def kill_snakemake(run: subprocess.Popen[bytes]) -> None:
    """SIGKILL of snakemake alone; its jobs go on without it."""
    run.kill()


def lose_power(run: subprocess.Popen[bytes]) -> None:
    """SIGKILL of everything at once."""
    for pid in [run.pid, *below(run.pid)]:
        send(pid, signal.SIGKILL)


def kill_job(run: subprocess.Popen[bytes]) -> None:
    """SIGKILL of a job, as by a kernel that is out of memory."""
    send(one_of(run, "-m persistem"), signal.SIGKILL)


def kill_rank(run: subprocess.Popen[bytes]) -> None:
    """SIGKILL of one MPI rank of a job."""
    send(one_of(run, "persistem.specimens.parallel"), signal.SIGKILL)


def end_job(run: subprocess.Popen[bytes]) -> None:
    """SIGTERM of a job, as by a time limit."""
    send(one_of(run, "-m persistem"), signal.SIGTERM)


def end_snakemake(run: subprocess.Popen[bytes]) -> None:
    """SIGTERM of snakemake, as at the end of an allocation."""
    run.terminate()


def interrupt(run: subprocess.Popen[bytes]) -> None:
    """SIGINT, as by Ctrl-C."""
    run.send_signal(signal.SIGINT)


def damage(run: subprocess.Popen[bytes]) -> None:
    """SIGKILL of everything, and a file of a stage that is damaged."""
    lose_power(run)
    run.wait()
    files = [p for p in Path("results").glob("*/*/**/*") if p.is_file() and seals.read(p) and p.suffix != ".yaml"]
    # a second of the few files that a trajectory goes on from, before anybody noticed the first, would cost all of it
    files = [p for p in files if p.parent.name != "segments" or all(map(seals.intact, p.parent.glob("[0-9]*")))]
    if files:
        path = random.choice(files)
        content = bytearray(path.read_bytes())
        kind = random.choice(("flipped", "truncated", "emptied"))
        if kind == "flipped" and content:
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        path.write_bytes({"truncated": content[: len(content) // 2], "emptied": b""}.get(kind, content))
        print(f"  {kind}: {path}")


FAULTS = (kill_snakemake, lose_power, kill_job, kill_rank, end_job, end_snakemake, interrupt, damage)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=120, help="faults (120)")
    parser.add_argument("--seed", type=int, default=1, help="of what happens when (1)")
    parser.add_argument("--longest", type=float, default=20.0, help="longest wait before a fault, s (20)")
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        for name in ("reference", "soaked"):
            Path(name).mkdir()
            Path(name, "soak.yaml").write_text(json.dumps(STUDY))
        os.chdir("reference")
        if start().wait():
            raise SystemExit(Path("log").read_text()[-4000:])
        expected = contents()
        os.chdir("../soaked")
        done, finished = Counter[str](), 0
        while sum(done.values()) < options.rounds:
            fault = random.choice(FAULTS)
            before = segments()
            over = round_of(fault, random.uniform(0.5, options.longest))
            done[fault.__name__] += not over
            after = segments()
            allowed = 2 if fault is damage else 0
            lost = {name: (k, after.get(name, 0)) for name, k in before.items() if after.get(name, 0) < k - allowed}
            if lost:
                raise SystemExit(f"segments that were finished are lost (before, after): {lost}")
            if over:
                finished += 1
                compare(expected)
                subprocess.run(["rm", "-rf", "results", ".snakemake"], check=True)
            print(
                f"round {sum(done.values())} of {options.rounds}: {'finished' if over else fault.__doc__}", flush=True
            )
        while start().wait():
            print("  once more")
        compare(expected)
        finished += 1
    print(f"{sum(done.values())} faults, {finished} studies finished, every result as in an undisturbed run")
    for name, count in sorted(done.items()):
        print(f"  {count:4d} {name}")


def start(*targets: str) -> subprocess.Popen[bytes]:
    """Snakemake in this folder, as a user calls it: for the study, or for some files."""
    options = ["--cores", "2", "--configfile", "soak.yaml", "--nocolor"]
    command = [*SNAKEMAKE, *targets, "--snakefile", ROOT / "Snakefile", *options]
    with open("log", "wb") as log:
        return subprocess.Popen(list(map(str, command)), stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def round_of(fault: object, wait: float) -> bool:
    """Start, wait, and let a fault happen; whether the study was finished before it did."""
    run = start()
    try:
        over = run.wait(wait) == 0
    except subprocess.TimeoutExpired:
        print(f"  {fault.__name__} after {wait:.1f} s", flush=True)  # type: ignore[attr-defined]
        fault(run)  # type: ignore[operator]
        try:
            run.wait(120)
        except subprocess.TimeoutExpired:
            raise SystemExit(f"snakemake did not end: {Path('log').read_text()[-4000:]}") from None
        over = False
    text = Path("log").read_text()
    ours = [log for log in Path("results/logs").rglob("*.log") if "Traceback" in log.read_text(errors="replace")]
    if ours:
        raise SystemExit(f"a traceback: {ours[0]}: {ours[0].read_text()[-4000:]}")
    # Ctrl-C while Python still imports is Python's to say
    if "Traceback" in text and "persistem/" in text and "KeyboardInterrupt" not in text:
        raise SystemExit(f"a traceback: {text[-4000:]}")
    return over


def segments() -> dict[str, int]:
    """The last segment of each trajectory whose restart file and thermo table are whole."""
    found: dict[str, int] = {}
    for restart in Path("results").glob("specimens/*/*/segments/*.restart"):
        if all(seals.read(path) and seals.intact(path) for path in (restart, restart.with_suffix(".csv"))):
            name = str(restart.parent)
            found[name] = max(found.get(name, 0), int(restart.stem))
    return found


def contents() -> dict[str, str]:
    """Every result by its path, by hash."""
    return {
        str(path): seals.sha256(path)
        for path in sorted(Path("results").rglob("*"))
        if path.is_file()
        and path.parts[1] not in RECORDS
        and path.name != seals.STAMP
        and "segments" not in path.parts  # what a run goes on from; damaged there, it is noticed when one does
        and not any(TEMPORARY.fullmatch(part) or part.endswith(".damaged") for part in path.parts)
    }


def compare(expected: dict[str, str]) -> None:
    """Wait for what a killed run left running, and compare every result with the undisturbed run's."""
    with open("results/soak/index.csv") as table:
        names = [line.split(",")[1].strip() for line in table][1:]
    for path in [path for path in map(Path, seals.every(Path())) if path.exists() and not seals.intact(path)]:
        # nothing read it since it was damaged
        seals.set_aside(path)
        if "segments" not in path.parts and path.suffix != ".yaml":
            names.append(str(path))
    if start(*names).wait():
        raise SystemExit(Path("log").read_text()[-4000:])
    for _ in range(600):
        if not [pid for pid in processes() if f" {Path.cwd()}" in f" {folder(pid)}"]:
            break
        time.sleep(0.1)
    found = contents()
    wrong = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
    if wrong:
        raise SystemExit(f"{len(wrong)} results differ from an undisturbed run's: {sorted(wrong)[:10]}")


def processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and int(path.name) != os.getpid()]


def folder(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return ""


def below(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have."""
    children: dict[int, list[int]] = {}
    for other in processes():
        try:
            parent = int(Path(f"/proc/{other}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(other)
    found = list(children.get(pid, []))
    for child in found:
        found += children.get(child, [])
    return found


def one_of(run: subprocess.Popen[bytes], command: str) -> int:
    """A process of a job, at random; snakemake itself where no job runs."""
    jobs = []
    for pid in below(run.pid):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if command in line and "python" in line.split(" ", 1)[0]:
            jobs.append(pid)
    return random.choice(jobs) if jobs else run.pid


def send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    main()
