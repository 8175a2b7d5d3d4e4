"""A queue whose CI is imagined and whose decisions are the real core's: how many runs and how much time it takes."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import count, islice
from random import Random

from mergeq.core import conviction
from mergeq.core.action import Land, Stage, Wait
from mergeq.core.batch import Member, Run, RunState
from mergeq.core.conviction import Blame, Conviction
from mergeq.core.decide import decide
from mergeq.core.pool import BranchSettings, Memory, Pool, divide
from mergeq.core.pull import Method, PullRequest, Result
from mergeq.core.strategy import Strategy
from tests.builders import arrivals_of, context, facts, green, insider, staging

LENGTH = 300.0
"""How long a run takes, in seconds."""
PATIENCE = 4 * LENGTH
"""How long what is bad stays open when it was found."""


@dataclass
class Queue:
    """Independent pull requests, each bad with the chance `p`: whatever holds it is red. Any other run is red too with
    the chance `flakes`. There are always `waiting` of them in the pool, until `total` have come.

    Runs take LENGTH, and up to `jitter` of it longer. `confirming` counts the runs that find out nothing but whether a
    suspicion is true: of the base, and of one that was red alone already. `busy` is the time that runs took.
    """

    settings: BranchSettings = field(default_factory=staging)
    p: float = 0.0
    flakes: float = 0.0
    seed: int = 1
    strategy: Strategy | None = None
    waiting: int = 24
    total: int | None = None
    jitter: float = 0.0
    now: float = 0.0
    runs: list[Run] = field(default_factory=list)
    landed: list[int] = field(default_factory=list)
    convicted: dict[str, Conviction] = field(default_factory=dict)
    bad: set[int] = field(default_factory=set)
    started: int = 0
    confirming: int = 0
    busy: float = 0.0

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self._numbers = iter(range(1, self.total + 1)) if self.total is not None else count(1)
        self._queue: dict[int, PullRequest] = {}
        self._ends: dict[str, tuple[float, bool]] = {}
        self._tree = sha256(b"").hexdigest()
        self._fill()

    @property
    def resolved(self) -> int:
        """How many have landed or were convicted."""
        return len(self.landed) + len(self.convicted)

    @property
    def innocent(self) -> set[int]:
        """Who was convicted without being bad."""
        return {int(head, 16) for head in self.convicted} - self.bad

    @property
    def left(self) -> set[int]:
        """Who is good and has not landed."""
        return self._queue.keys() - self.bad

    def turn(self) -> None:
        """Do all there is to do now, then let the next run end; where none is under way, let time pass."""
        while not isinstance(action := self._decided(), Wait):
            if isinstance(action, Land):
                self._land(action)
            else:
                self._stage(action)
        ends = [self._ends[run.id][0] for run in self.runs if run.ended is None and run.contexts is None]
        moments = ends or [*self._moments()]
        assert moments or not self.left, f"stuck: {action.why}"
        self.now = min(moments, default=self.now)
        self.runs = [self._ended(run) for run in self.runs]

    def _moments(self) -> Iterator[float]:
        """When something changes by time alone."""
        yield from (one.until for one in self.convicted.values() if one.until > self.now)

    def _pool(self) -> Pool:
        here = (self._tree, self._tree)
        for head, found in conviction.convictions(self.runs, *here, self.settings, self.now).items():
            known = self.convicted.get(head)
            if found.blame is Blame.ITSELF and not (known and conviction.holds(known, *here, self.now)):
                self.convicted[head] = conviction.again(found, known)
        self._queue = {number: pull for number, pull in self._queue.items() if not self._is_closed(pull)}
        pulls = self._queue.values()
        memory = Memory(
            convictions={
                head: one.reason for head, one in self.convicted.items() if conviction.holds(one, *here, self.now)
            },
            arrivals=arrivals_of(*pulls),
            entered={(pull.number, pull.head_sha): float(pull.number) for pull in pulls},
        )
        return divide(facts(*pulls, base_sha=self._tree, base_tree=self._tree), self.settings, memory, self.now)

    def _is_closed(self, pull: PullRequest) -> bool:
        """The author of what is bad takes it away some time after that was found."""
        found = self.convicted.get(pull.head_sha)
        return pull.number in self.bad and found is not None and self.now >= found.at + PATIENCE

    def _decided(self) -> Stage | Land | Wait:
        self._fill()
        heads = {pull.head_sha for pull in self._queue.values()}
        self.runs = [
            run
            for run in self.runs
            if conviction.is_evidence(run, heads, self._tree, self._tree, self.settings.queue.staging.keep, self.now)
        ]
        decision = decide(self._pool(), self.settings, runs=self.runs, now=self.now, strategy=self.strategy)
        given_up = dict(decision.abandon)
        self.busy += sum(self.now - run.started_at for run in self.runs if run.id in given_up and run.contexts is None)
        self.runs = [run for run in self.runs if run.id not in given_up]
        assert isinstance(decision.action, Stage | Land | Wait)
        return decision.action

    def _stage(self, action: Stage) -> None:
        members = [Member(number, self._queue[number].head_sha, Method.MERGE) for number in action.numbers]
        known = conviction.failures(self.runs, self._tree, self._tree, self.settings, self.now)
        self.started += 1
        self.confirming += not members or (len(members) == 1 and members[0].head_sha in known)
        run = Run(
            id=f"{self.started:06d}",
            base_sha=self._tree,
            base_tree=self._tree,
            members=tuple(members),
            ref="mergeq/x",
            staged_sha=f"{self.started:040x}",
            trees=tuple(self._trees(action.numbers)),
            started_at=self.now,
        )
        is_red = not self.bad.isdisjoint(action.numbers) or self._random.random() < self.flakes
        self._ends[run.id] = (self.now + LENGTH * (1 + self.jitter * self._random.random()), is_red)
        self.runs.append(run)

    def _land(self, action: Land) -> None:
        assert self.bad.isdisjoint(action.numbers), "nothing bad ever lands"
        self.landed += action.numbers
        *_, self._tree = self._trees(action.numbers)
        for number in action.numbers:
            del self._queue[number]

    def _ended(self, run: Run) -> Run:
        end, is_red = self._ends[run.id]
        if run.contexts is not None or self.now < end:
            return run
        self.busy += end - run.started_at
        state, said = (RunState.RED, context("ci/test", Result.FAILURE)) if is_red else (RunState.GREEN, green())
        return replace(run, contexts=(said,), ended=state, ended_at=self.now)

    def _trees(self, numbers: tuple[int, ...]) -> Iterator[str]:
        """What the base holds after each of these: changes are independent, and a tree tells all that it is made of."""
        tree = self._tree
        for number in numbers:
            tree = sha256(f"{tree} {number}".encode()).hexdigest()
            yield tree

    def _fill(self) -> None:
        held = {int(head, 16) for head in self.convicted}
        missing = self.waiting - len(self._queue.keys() - held)
        for number in islice(self._numbers, max(missing, 0)):
            if self._random.random() < self.p:
                self.bad.add(number)
            self._queue[number] = insider(number)
