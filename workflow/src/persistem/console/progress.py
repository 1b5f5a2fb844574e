"""Which jobs of a run are done, and how long the rest will take."""

from __future__ import annotations

from collections import Counter, defaultdict

from persistem.console.run import Job, Run

#: The part of the work on a cluster that is done before its end is estimated: nobody knows how long jobs will queue.
ENOUGH = 0.05
#: How far what is done may correct what is expected of stages that have not begun.
LEAST, MOST = 0.25, 4.0


class Progress:
    """The jobs of a run by their state. Times are in seconds, of one clock."""

    def __init__(self, run: Run, earlier: dict[str, float], begun: float) -> None:
        """Nothing is done yet; ``earlier`` are the paces of earlier runs, by stage."""
        self.run, self.earlier, self.begun = run, earlier, begun
        self.running: dict[int, float] = {}
        self.done: set[int] = set()
        #: by stage: what finished jobs took and were expected to take, what the unfinished ones are expected to take
        #: of all cores, their number, and the longest
        self._took: dict[str, float] = defaultdict(float)
        self._expected: dict[str, float] = defaultdict(float)
        self._left: dict[str, float] = defaultdict(float)
        self._count = Counter(job.stage for job in run.jobs.values())
        self._longest: dict[str, float] = defaultdict(float)
        for job in run.jobs.values():
            self._left[job.stage] += job.seconds * run.share(job)
            self._longest[job.stage] = max(self._longest[job.stage], job.seconds)
        self._whole = self._work(earlier)

    def start(self, number: int, now: float) -> None:
        """A job starts; on a cluster, it is submitted."""
        self.running[number] = now

    def fail(self, number: int) -> None:
        """A job has ended without its results."""
        self.running.pop(number, None)

    def finish(self, number: int, now: float) -> None:
        """A job has ended with its results."""
        started = self.running.pop(number, None)
        job = self.run.jobs.get(number)
        if job is None or number in self.done:
            return
        self.done.add(number)
        self._count[job.stage] -= 1
        self._left[job.stage] -= job.seconds * self.run.share(job)
        if started is not None and job.seconds > 0:
            self._took[job.stage] += now - started
            self._expected[job.stage] += job.seconds

    def paces(self) -> dict[str, float]:
        """How much longer than expected jobs took, by the stages of which this run has finished jobs."""
        return {stage: self._took[stage] / expected for stage, expected in self._expected.items()}

    def fraction(self) -> float:
        """The part of the work that is done, between 0 and 1."""
        return 1 - self._work(self.earlier) / self._whole if self._whole > 0 else 1.0

    def remaining(self, now: float) -> float | None:
        """The seconds until the end of the run; None where they cannot be told yet."""
        if self.run.cores is None:
            done = self.fraction()
            return (now - self.begun) * (1 - done) / done if done >= ENOUGH else None
        paces = self._estimated()
        rest = self._work(paces)
        longest = max((self._longest[s] * paces[s] for s, waiting in self._waiting().items() if waiting), default=0.0)
        for number, started in self.running.items():
            if job := self.run.jobs.get(number):
                expected = job.seconds * paces[job.stage]
                gone = min(now - started, expected)
                rest -= gone * self.run.share(job)
                longest = max(longest, expected - gone)
        return max(rest, longest, 0.0)

    def stages(self) -> list[str]:
        """The stages that run, the one with the most jobs first."""
        return [stage for stage, _ in Counter(job.stage for job in self._jobs()).most_common()]

    def _jobs(self) -> list[Job]:
        return [self.run.jobs[number] for number in self.running if number in self.run.jobs]

    def _waiting(self) -> Counter[str]:
        """The number of jobs that have not begun, by stage."""
        return self._count - Counter(job.stage for job in self._jobs())

    def _work(self, paces: dict[str, float]) -> float:
        """The seconds that the unfinished jobs take on all cores together."""
        return sum(left * paces.get(stage, 1.0) for stage, left in self._left.items())

    def _estimated(self) -> dict[str, float]:
        """The pace of every stage: this run's, or that of earlier runs as far as this run is like them."""
        took = sum(self._took.values())
        expected = sum(value * self.earlier.get(stage, 1.0) for stage, value in self._expected.items())
        like = min(max(took / expected, LEAST), MOST) if expected > 0 else 1.0
        return {stage: self.earlier.get(stage, 1.0) * like for stage in self._left} | self.paces()
