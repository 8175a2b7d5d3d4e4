"""A queue that never ends, decided by the real core, its CI imagined: how many runs and how much time it takes."""

from dataclasses import dataclass, field, replace
from hashlib import sha1
from random import Random

from mergeq.core.action import Land, Stage, Wait
from mergeq.core.batch import Member, Run, RunState
from mergeq.core.conviction import convictions
from mergeq.core.decide import decide
from mergeq.core.pool import BranchSettings, Memory, Pool, divide
from mergeq.core.pull import Method, PullRequest, Result
from mergeq.core.reason import Reason
from mergeq.core.strategy import Strategy
from tests.builders import arrivals_of, context, facts, green, insider

LENGTH = 1.0  # how long a run takes: the unit of time


@dataclass
class Queue:
    """Independent pull requests, each bad with the chance `p`, whose tests never lie."""

    settings: BranchSettings
    p: float
    seed: int = 1
    strategy: Strategy | None = None
    waiting: int = 40
    now: float = 0.0
    runs: list[Run] = field(default_factory=list)
    landed: list[int] = field(default_factory=list)
    convicted: dict[str, Reason] = field(default_factory=dict)
    started: int = 0
    confirming: int = 0
    busy: float = 0.0

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self._bad: dict[int, bool] = {}
        self._queue: list[PullRequest] = []
        self._last = 0
        self._fill()

    @property
    def resolved(self) -> int:
        """How many have landed or were convicted."""
        return len(self.landed) + len(self.convicted)

    @property
    def tree(self) -> str:
        return self._tree_after(())

    def turn(self) -> None:
        """Do all there is to do now, then let the next run end."""
        while not isinstance(action := self._decided(), Wait):
            if isinstance(action, Land):
                self._land(action)
            elif isinstance(action, Stage):
                self._stage(action)
            else:
                raise AssertionError(action)
        ends = [run.started_at + LENGTH for run in self.runs if run.ended is None and run.contexts is None]
        assert ends, f"stuck: {action}"
        self.now = min(ends)
        self.runs = [self._ended(run) for run in self.runs]

    def _pool(self) -> Pool:
        told = convictions(self.runs, self.tree, self.tree, self.settings, self.now)
        for head, reason in told.items():
            assert self._bad[int(head, 16)], "nobody is convicted who is not bad"
            self.convicted.setdefault(head, reason)
        memory = Memory(
            convictions=self.convicted,
            arrivals=arrivals_of(*self._queue),
            entered={(pull.number, pull.head_sha): float(pull.number) for pull in self._queue},
        )
        gathered = facts(*self._queue, base_sha=self.tree, base_tree=self.tree)
        return divide(gathered, self.settings, memory, self.now)

    def _decided(self) -> Stage | Land | Wait:
        decision = decide(self._pool(), self.settings, runs=self.runs, now=self.now, strategy=self.strategy)
        given_up = dict(decision.abandon)
        for run in self.runs:
            if run.id in given_up and run.contexts is None:
                self.busy += self.now - run.started_at
        kept = [run for run in self.runs if run.id not in given_up or run.contexts is not None]
        self.runs = [replace(run, ended=RunState.GREEN) if run.id in given_up else run for run in kept]
        assert isinstance(decision.action, Stage | Land | Wait)
        return decision.action

    def _stage(self, action: Stage) -> None:
        chosen = [next(pull for pull in self._queue if pull.number == number) for number in action.numbers]
        self.started += 1
        if not chosen or "sure" in action.why:
            self.confirming += 1
        self.runs.append(
            Run(
                id=f"{self.started:06d}",
                base_sha=self.tree,
                base_tree=self.tree,
                members=tuple(Member(pull.number, pull.head_sha, Method.MERGE) for pull in chosen),
                ref="mergeq/x",
                staged_sha=f"{self.started:040x}",
                trees=tuple(self._tree_after(action.numbers[: n + 1]) for n in range(len(chosen))),
                started_at=self.now,
            )
        )

    def _land(self, action: Land) -> None:
        assert not any(self._bad[number] for number in action.numbers), "nothing bad ever lands"
        self.landed += action.numbers
        self._queue = [pull for pull in self._queue if pull.number not in action.numbers]
        self._fill()

    def _ended(self, run: Run) -> Run:
        if run.contexts is not None or self.now < run.started_at + LENGTH:
            return run
        self.busy += LENGTH
        is_bad = any(self._bad[member.number] for member in run.members)
        if is_bad:
            said = (context("ci/test", Result.FAILURE),)
            return replace(run, contexts=said, ended=RunState.RED, ended_at=self.now, why="ci/test failed")
        return replace(run, contexts=(green(),))

    def _tree_after(self, numbers: tuple[int, ...]) -> str:
        return sha1(repr((*self.landed, *numbers)).encode()).hexdigest()

    def _fill(self) -> None:
        out = {int(head, 16) for head in self.convicted}
        while sum(pull.number not in out for pull in self._queue) < self.waiting:
            self._last += 1
            self._bad[self._last] = self._random.random() < self.p
            self._queue.append(insider(self._last))
