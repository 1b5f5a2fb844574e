"""Jobs as forks of a process that has imported what they need: they end, write and fail as jobs by themselves do."""

import contextlib
import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from persistem.commands import forks
from persistem.commands.parser import name_of, parsed
from persistem.imaging.micrographs import _write, facts
from persistem.store import paths
from persistem.store.stages import STAGES
from persistem.study import Imaging
from support.studies import ROOT
from support.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere libraries do not outlive a fork")

CROPS = "{intensity: {method: window}, crops: {size: 32, stride: 32}}"
DIAGRAMS = "{filtrations: [superlevel]}"
MICROGRAPH = "results/micrographs/0123456789ab/one/df+0.tif"


def job(*arguments, environment=None, folder=None):
    """A job as a rule's shell starts it."""
    return subprocess.run(
        [sys.executable, "-m", "persistem", *map(str, arguments)],
        env=os.environ | (environment or {}),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextlib.contextmanager
def served(*verbs):
    """The environment of jobs while there are servers for these verbs."""
    environment = {}
    servers = forks.start(verbs, environment)
    try:
        for kind in {forks.KIND[verb] for verb in verbs if servers}:
            until((Path(environment[forks.VARIABLE]) / kind).exists)
        yield environment
    finally:
        for server in servers:
            server.stdin.close()
            server.wait(60)


@pytest.fixture
def micrograph(tmp_path):
    pixels = np.random.default_rng(1).normal(1, 0.1, (64, 64)).astype(np.float32)
    _write(tmp_path / MICROGRAPH, pixels, facts(Imaging(field=6.4, pixels=64), 0.0))
    return tmp_path / MICROGRAPH


def chain(micrograph, environment):
    """Crops and diagrams of a micrograph, as the two jobs of the workflow make them."""
    folder = micrograph.parents[4]
    crops, diagrams = (folder / f"results/{stage}/0123456789ab/one/{name}" for stage, name in [
        ("crops", "df+0.tif"), ("diagrams", "df+0.parquet")])  # fmt: skip
    said = [
        job("crops", MICROGRAPH, crops, "--protocol", CROPS, environment=environment, folder=folder),
        job("diagrams", crops, diagrams, "--protocol", DIAGRAMS, environment=environment, folder=folder),
    ]
    assert [(each.returncode, each.stdout, each.stderr) for each in said] == [(0, "", "")] * 2
    return [file.read_bytes() for file in (crops, diagrams)]


def test_a_fork_writes_what_a_job_by_itself_writes(micrograph):
    alone = chain(micrograph, {})
    with served("crops", "diagrams") as environment:
        assert chain(micrograph, environment) == alone
        assert chain(micrograph, environment) == alone


def test_a_fork_is_a_fork_of_the_server(micrograph):
    """What it imports has been imported: its processor's seconds show it, and the table of what it took has them."""
    table = micrograph.parents[4] / paths.benchmark("results/diagrams/0123456789ab/one/df+0.parquet")
    took = []
    with served("crops", "diagrams") as environment:
        for given in ({}, environment):
            chain(micrograph, given)
            took += list(csv.DictReader(table.open(), delimiter="\t"))
    alone, fork = took
    assert {"s", "h:m:s", "max_rss", "cpu_time"} <= fork.keys()
    assert 0 < float(fork["cpu_time"]) < 0.5 * float(alone["cpu_time"])
    assert 20 < float(fork["max_rss"]) < 1.5 * float(alone["max_rss"])


def test_a_fork_fails_as_a_job_by_itself_does(tmp_path):
    jobs = [("crops", "none.tif", "out.tif", "--protocol", CROPS), ("crops", "--nothing"), ("crops",)]
    alone = [job(*arguments, folder=tmp_path) for arguments in jobs]
    with served("crops", "crops") as environment:
        forked = [job(*arguments, environment=environment, folder=tmp_path) for arguments in jobs]
    for one, other in zip(alone, forked, strict=True):
        assert other.returncode == one.returncode != 0
        assert other.stderr == one.stderr != ""
    assert "none.tif" in forked[0].stderr


def test_a_job_whose_server_is_gone_runs_by_itself(micrograph):
    with served("crops", "crops") as environment:
        pass
    assert not Path(environment[forks.VARIABLE]).exists()
    assert chain(micrograph, environment)


def test_one_job_is_not_worth_a_server():
    environment = {}
    assert forks.start(["crops", "micrograph", "heat", "heat"], environment) == [] and environment == {}


def test_every_kind_of_job_that_forks_writes_what_it_took_and_snakemake_does_not():
    """Snakemake would measure the process that waits, and its table would replace the job's own."""
    rules = {rule: stage for stage in STAGES for rule in stage.rules if stage.verbs[0] in forks.KIND}
    text = "\n".join(file.read_text() for file in (ROOT / "workflow/rules").glob("*.smk"))
    blocks = dict(re.findall(r"^ *rule (\w+):\n(.*?)(?=^ *rule |\Z)", text, re.M | re.S))
    assert rules.keys() <= blocks.keys()
    assert [rule for rule in rules if "benchmark:" in blocks[rule]] == []
    declared = [stage.verbs[0] for stage in STAGES if stage.function and stage.verbs[0] in forks.KIND]
    assert [name_of(parsed([verb, "out", "--protocol", "{}"])["verb"]) for verb in declared] == declared != []


def test_a_server_passes_by_settings_of_matplotlib_where_snakemake_runs(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "matplotlibrc")  # who reads it waits
    monkeypatch.chdir(tmp_path)
    arguments = ("figure", "figure-1.json", "--protocol", "{figure: figure-1}")
    with served("figure", "figure") as environment:
        said = job(*arguments, environment=environment, folder=tmp_path)
    assert said.returncode == 1 and "must be given" in said.stderr


@pytest.fixture
def sleeping(monkeypatch, tmp_path):
    """A server whose jobs write where they are and sleep; its environment, and the file that they write."""
    hook = tmp_path / "hook"
    hook.mkdir()
    began = tmp_path / "began"
    (hook / "sitecustomize.py").write_text(
        "import sys, os, time\n"
        "def crop_file(*_):\n"
        f"    open({str(began)!r}, 'w').write(str(os.getpid()))\n"
        "    try:\n        time.sleep(60)\n"
        f"    except KeyboardInterrupt:\n        open({str(began)!r} + '.told', 'w'); raise\n"
        "import types\n"
        "fake = types.ModuleType('persistem.imaging.crops'); fake.crop_file = crop_file\n"
        "sys.modules['persistem.imaging.crops'] = fake\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(hook), prepend=os.pathsep)
    with served("crops", "crops") as environment:
        command = [sys.executable, "-m", "persistem", "crops", "a.tif", "b.tif", "--protocol", CROPS]
        client = subprocess.Popen(command, env=os.environ | environment, stderr=subprocess.PIPE, text=True)
        until(lambda: began.exists() and began.read_text())
        yield client, int(began.read_text())
        with contextlib.suppress(ProcessLookupError):
            client.kill()
        client.wait()


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_fork_ends_with_the_process_that_asked_for_it(sleeping, how, tmp_path):
    client, fork = sleeping
    client.send_signal(how)
    assert client.wait(30) == -how
    until(lambda: not alive(fork))
    assert (tmp_path / "began.told").exists()


def test_the_process_that_asked_ends_as_its_fork_does(sleeping):
    client, fork = sleeping
    os.kill(fork, signal.SIGKILL)
    assert client.wait(30) == -signal.SIGKILL


def test_a_server_that_is_killed_fails_its_jobs_with_a_sentence(sleeping):
    client, fork = sleeping
    server = int(Path(f"/proc/{fork}/stat").read_text().split()[3])
    os.kill(server, signal.SIGKILL)
    os.kill(fork, signal.SIGKILL)
    said = client.communicate(timeout=30)[1]
    assert client.returncode == 1 and said.startswith("persistem: the process that ran this job") and said[-1] == "\n"


def test_servers_end_with_the_process_that_started_them(tmp_path):
    code = (
        "import os, time; from persistem.commands import forks; e = {};"
        "servers = forks.start(['crops'] * 2, e); print(servers[0].pid, flush=True); time.sleep(60)"
    )
    caller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    server = int(caller.stdout.readline())
    time.sleep(0.5)
    caller.kill()
    caller.wait()
    until(lambda: not alive(server))
