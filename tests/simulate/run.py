"""One seed: a world, people in it, mergeq itself, and time; everything in one thread and in an order that the seed
decides.
"""

import json
import random
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import requests
import structlog
from flask.testing import FlaskClient
from rq.exceptions import DuplicateJobError
from rq.queue import Queue
from rq.serializers import JSONSerializer

from mergeq import jobs, operators
from mergeq.bootstrap import QUEUE, Services, services
from mergeq.config import Settings
from mergeq.core.history import HistoryRecord
from mergeq.core.pull import Branch
from mergeq.sandbox import ManualClock, Sandbox, WsgiAdapter, state
from mergeq.sandbox.clock import iso
from mergeq.web import create_app
from tests.simulate.ci import NO_SCRIPT, FickleCi
from tests.simulate.git import QuickGit
from tests.simulate.laws import Broken, Laws
from tests.simulate.people import People
from tests.simulate.plan import Plan, draw

_HERE, _THERE = "http://mergeq.test", "http://github.test"
_QUIET_S = 32 * 3600.0
_FILES = {"README.md": "rocket\n", "f0": "v0\n", "f1": "v0\n", "f2": "v0\n", "f3": "v0\n"}
_WORKERS = 3
_TURNS = 400  # jobs in a row after which something goes round in circles


class Line(Queue):
    """RQ's queue, of which nothing is kept in Redis: what is enqueued waits here."""

    def __init__(self, connection: "redis.Redis", waiting: "deque[tuple[str, Callable[[str], None], str]]") -> None:
        super().__init__(QUEUE, connection=connection, serializer=JSONSerializer)
        self.waiting = waiting

    def enqueue(self, f: Any, *args: Any, **kwargs: Any) -> Any:
        name = str(kwargs.get("job_id", ""))
        if name and any(one == name for one, _, _ in self.waiting):
            raise DuplicateJobError(name)
        self.waiting.append((name, f, args[0]))

    @property
    def count(self) -> int:
        return len(self.waiting)


@dataclass(slots=True)
class Asked:
    """A request of mergeq that GitHub is about to carry out."""

    method: str
    path: str
    body: bytes
    tips: dict[Branch, str]

    @property
    def pushes(self) -> bool:
        """Whether a base is to be moved to a commit."""
        return b"updateRefs" in self.body

    @property
    def merges(self) -> bool:
        """Whether a pull request is to be merged."""
        return self.path.endswith("/merge")

    @property
    def looked_at(self) -> tuple[str, list[int]]:
        """The pull requests at which mergeq looks for the last time before they land, and their repository."""
        if b"query LastLook" not in self.body:
            return "", []
        said = json.loads(self.body)["variables"]
        return f"{said['owner']}/{said['name']}", [value for key, value in said.items() if key.startswith("number")]

    @property
    def is_read(self) -> bool:
        return self.method == "GET" or (self.path.endswith("/graphql") and not self.pushes)


@dataclass(slots=True)
class Simulation:
    """A seed under way. `tale` is what has happened so far, a sentence each."""

    seed: int
    plan: Plan
    github: Sandbox
    clock: ManualClock
    workers: list[Services]
    people: People
    ci: FickleCi
    laws: Laws
    pages: FlaskClient
    dice: random.Random
    waiting: "deque[tuple[str, Callable[[str], None], str]]"
    tale: list[str] = field(default_factory=list)
    records: list[HistoryRecord] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    is_quiet: bool = False
    is_busy: bool = False
    depth: int = 0

    @property
    def services(self) -> Services:
        return self.workers[0]

    def tips(self) -> dict[Branch, str]:
        """Where the bases are."""
        found = {branch: self.github.world.repo(branch.full_repo).git.tip(branch.name) for branch in self.plan.rules}
        return {branch: tip for branch, tip in found.items() if tip}

    def tell(self, sentence: str) -> None:
        """Add to the tale."""
        if sentence:
            self.tale.append(f"{iso(self.clock.now())[5:-1]}  {sentence}")

    def meanwhile(self, asked: Asked) -> None:
        """What others do right before GitHub carries out a request. Nothing is changed between the last look at a pull
        request and the landing that nobody could know of (D23): there, only what the landing itself is guarded against.
        """
        if self.is_quiet or self.is_busy:
            return
        if self.dice.random() < 0.02 and self.depth < 2 and self.waiting:
            self.tell("another worker takes a job")
            self.work_one()
        if asked.is_read:
            repo, numbers = asked.looked_at
            if numbers and self.dice.random() < 0.15:
                self.is_busy = True
                self.tell(self.people.disturb(self.github.world.pull(repo, self.dice.choice(numbers))))
                self.is_busy = False
            elif self.dice.random() < 0.04:
                self.someone()
            elif self.dice.random() < 0.04:
                self.clock.advance(self.dice.uniform(0.1, 8))
        elif (asked.merges or asked.pushes) and self.dice.random() < 0.12:
            self.is_busy = True
            self.tell(f"right then {self.people.act(at_once=True)}")
            self.is_busy = False

    def someone(self) -> None:
        """Somebody does something; what GitHub sends of it is under way."""
        self.is_busy = True
        self.tell(self.people.act())
        self.is_busy = False

    def work_one(self) -> None:
        """A worker takes a job and does it."""
        self.waiting.rotate(-self.dice.randrange(len(self.waiting)))
        _, job, about = self.waiting.popleft()
        worker = self.workers[self.depth]
        jobs._bound.append(worker)
        self.depth += 1
        try:
            job(about)
        finally:
            self.depth -= 1
            jobs._bound.pop()

    def work(self) -> None:
        """Do what is queued, and what comes of that."""
        self.clock.advance(0)
        for _ in range(_TURNS):
            if not self.waiting:
                return
            self.work_one()
            self.clock.advance(0)
        raise Broken("jobs go on for ever without time going by")

    def pass_time(self, seconds: float) -> None:
        """Let time go by, and do what falls due."""
        self.clock.advance(seconds)
        jobs.tick_once(self.services)
        self.work()

    def step(self) -> None:
        """One step of two hundred."""
        luck = self.dice.random()
        if luck < 0.5:
            self.someone()
        elif luck < 0.56:
            self.tell(self.people.moods())
        elif luck < 0.6:
            self.operate()
        if luck < 0.3:
            self.clock.advance(0)
        else:
            self.pass_time(self.dice.choice((1, 5, 20, 60, 60, 120, 300)))
        self.laws.after_step(self.services)

    def operate(self) -> None:
        """An operator lets go on what stands still, or else may pause a branch."""
        halts = list(self.services.store.halts())
        for branch in halts:
            operators.resume(self.services, branch, "olga", "it was looked into")
            self.laws.paused.discard(branch)
            self.tell(f"olga resumes {branch}")
        if not halts and not self.is_quiet and self.dice.random() < 0.4:
            branch = self.dice.choice(list(self.plan.rules))
            operators.pause(self.services, branch, "olga", "a release is made")
            self.laws.paused.add(branch)
            self.tell(f"olga pauses {branch}")

    def fall_quiet(self) -> None:
        """Everybody helps, CI and GitHub are well, and hours go by; then nothing may be left to do."""
        self.tell("from here on everybody helps, and CI and GitHub are well")
        self.is_quiet = self.ci.healthy = True
        self.github.world.faults.clear()
        self.pass_time(60)  # what was done last is told by then, and came before what is done now
        self.people.help()
        for branch in self.plan.rules:
            self.github.world.push(
                branch.full_repo, branch.name, {f"quiet-{branch.name}": "now\n"}, author="maintainer"
            )
        end = self.clock.now() + _QUIET_S
        while self.clock.now() < end:
            soon = end - self.clock.now() > _QUIET_S - 5400
            self.operate()
            self.pass_time(60 if soon else 1800)
            self.laws.after_step(self.services)
        self.laws.at_the_end(self.services, self.pages)


def run(seed: int, steps: int, url: str) -> Simulation:
    """Let a seed run; raises Broken with the law that was broken."""
    with ready(seed, url) as simulation:
        try:
            for _ in range(steps):
                simulation.step()
            simulation.fall_quiet()
            simulation.records = simulation.services.store.history()
        except Broken as broken:
            broken.tale = simulation.tale
            raise
        return simulation


@contextmanager
def ready(seed: int, url: str) -> Iterator[Simulation]:
    """A seed before its first step; `url` is a Redis whose database is emptied."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="mergeq-simulate-", dir=fast_folder())))
        with redis.Redis.from_url(url) as connection:
            connection.flushall()
        random.seed(seed)
        names = random.Random(f"names {seed}")
        waiting: deque[tuple[str, Callable[[str], None], str]] = deque()
        patch.setattr(secrets, "token_hex", lambda count=32: f"{names.getrandbits(8 * count):0{2 * count}x}")
        patch.setattr(state, "GitRepo", QuickGit)
        patch.setattr(jobs, "_HASTE", float("inf"))
        patch.setattr("mergeq.bootstrap._queue", lambda connection: Line(connection, waiting))
        clock, plan = ManualClock(), draw(seed)
        github = stack.enter_context(Sandbox(folder, clock=clock))
        github.world.url, github.rates.limit = _THERE, 1_000_000
        github.world.ci = ci = FickleCi(github.world, plan.checks, f"ci {seed}")
        _populate(github, plan)
        (folder / "config.yaml").write_text(plan.config)
        settings = Settings(
            github_token=github.token,
            github_api_url=f"{_THERE}/api/v3",
            redis_url=url,
            state_dir=folder,
            config_paths=(folder / "config.yaml",),
            public_url=_HERE,
            webhook_secrets=(github.webhook_secret,),
        )
        workers = [services(settings, now=clock.now, sleep=clock.advance) for _ in range(_WORKERS)]
        for worker in workers:
            stack.callback(worker.github.close)
            stack.callback(worker.queue.connection.close)
        app, laws = create_app(workers[0]), Laws(github, plan, ci)
        structlog.configure(processors=[laws.heed])
        people, dice = People(github.world, ci, plan, f"people {seed}"), random.Random(f"steps {seed}")
        simulation = Simulation(seed, plan, github, clock, workers, people, ci, laws, app.test_client(), dice, waiting)
        laws.tell, laws.asked = simulation.tell, simulation.asked
        patch.setattr(requests.adapters.HTTPAdapter, "send", _between(simulation, WsgiAdapter(app)))
        patch.setattr(QuickGit, "watch", staticmethod(laws.before_move))
        if plan.listens:
            github.world.add_hook(f"{_HERE}/webhooks/github", github.webhook_secret)
        yield simulation


def _between(simulation: Simulation, mergeq: WsgiAdapter) -> Callable[..., requests.Response]:
    """How requests go both ways in this process: to mergeq what GitHub delivers, and to GitHub all else."""
    github = WsgiAdapter(simulation.github.app)

    def send(_adapter: object, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        url = urlsplit(request.url or "")
        if url.hostname != urlsplit(_THERE).hostname:
            return mergeq.send(request, timeout=options.get("timeout"))
        body = request.body.encode() if isinstance(request.body, str) else bytes(request.body or b"")
        asked = Asked(request.method or "GET", url.path, body, simulation.tips())
        simulation.meanwhile(asked)
        simulation.asked.append(asked)
        try:
            return github.send(request, timeout=options.get("timeout"))
        finally:
            simulation.asked.pop()

    return send


def _populate(github: Sandbox, plan: Plan) -> None:
    world = github.world
    for login in ("ana", "ben", "eve", "maintainer"):
        world.users.set_role(login, "write")
    for repo in plan.checks:
        names = plan.names(repo)
        world.create_repo(repo, files=_FILES, branches={name: {} for name in names if name != "main"}, ci=NO_SCRIPT)
    for branch in plan.protected:
        rules = plan.rules[branch]
        contexts = ["lint"] if "lint" in rules.head else []
        reviews = 1 if rules.reviewed else None
        world.protect(branch.full_repo, branch.name, contexts, reviews, enforce_admins=False)


def fast_folder() -> str | None:
    """Where files are kept in memory, if there is such a place."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
