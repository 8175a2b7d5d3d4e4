"""One world of a journey: GitHub, Redis, and mergeq between them, driven until nothing is left to do."""

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import redis
import structlog

from mergeq import jobs
from mergeq.bootstrap import Services
from mergeq.processes import EmbeddedRedis
from mergeq.sandbox import Sandbox, WsgiAdapter
from mergeq.web import create_app
from tests.crash.journeys import ASKED_LATER, BRANCH, REPO, Journey, start
from tests.crash.points import End, Part, Plan, Point
from tests.crash.processes import PATIENCE, Nursery, SharedClock, Where, keep_time_of_rq
from tests.crash.protecting import Acts, unfinished, unprotected

_LOOK = threading.Event()
_HOOK = "http://mergeq.test"
_BEATS = (*[60.0] * 30, *[600.0] * 11)  # seconds of virtual time between two beats; more than two hours in all
_SILENT = 3  # beats in a row without anything to do, after which nothing more is expected


@dataclass
class World:
    """GitHub and mergeq on one clock. Where a point ends a part, this part is a process that can be killed; the timer
    and the intake are in this process otherwise.
    """

    journey: Journey
    github: Sandbox
    clock: SharedClock
    services: Services
    intake: Services  # of a changed configuration each part hears by itself
    nursery: Nursery
    servers: "Servers"
    where: Where
    plan: Plan
    acts: Acts = field(init=False)
    before: frozenset[str] = frozenset()
    took: float = 0.0
    _is_new: bool = False
    _alive: dict[Part, int] = field(default_factory=dict)

    @property
    def ends(self) -> Part | None:
        return self.plan.point.kind.part if self.plan.point else None

    @property
    def fired(self) -> bool:
        """Whether what was to end has ended."""
        point = self.plan.point
        return point is not None and self.plan.of(point.kind.part).counter(point.kind.server).fired

    @property
    def without_redis(self) -> bool:
        """Whether Redis is away for a while."""
        return self.plan.point is not None and self.plan.point.kind.end is End.REDIS

    def log(self) -> list[str]:
        """What the processes said."""
        return [line for part in Part for line in _lines(Path(self.where.folder) / f"{part}.log")]

    def listen(self) -> None:
        """Have mergeq told of all that happens from here on."""
        if self.is_apart(Part.WEB):
            url = f"http://127.0.0.1:{self.where.port}"
            self.run(Part.WEB)
        else:
            url = _HOOK
            self.github.world.webhooks.session.mount(_HOOK, WsgiAdapter(create_app(self.intake)))
        self.github.world.add_hook(f"{url}/webhooks/github", self.where.secret)

    def watch(self) -> None:
        """Note what happens from here on, and have happen later what is not mergeq's doing."""
        self.before = frozenset(self.github.world.repo(REPO).git.history(BRANCH))
        self.acts = self.github.world.acts = Acts(self.github.world.repo(REPO), self.services)
        for config in self.journey.configs[1:]:
            self.clock.call_later(ASKED_LATER, partial(self._configure, config))
        for after, act in self.journey.acts:
            self.clock.call_later(after, partial(act, self.github))

    def _configure(self, config: str) -> None:
        new = Path(self.where.folder) / "config.new"
        new.write_text(config)
        new.replace(new.with_suffix(".yaml"))
        self._is_new = True

    def is_apart(self, part: Part) -> bool:
        """Whether a part is a process of its own here: where it is ended, or where its writes are counted."""
        return part is Part.WORKER or self.ends is part or self.plan.point is None

    def go_on(self) -> float:
        """Let time pass until nothing is left to do, and no longer than these beats; how many seconds went by."""
        silent, began = 0, self.clock.now()
        for seconds in _BEATS:
            self._beat(seconds)
            silent = silent + 1 if self._asked(self.is_done) else 0
            if silent == _SILENT:
                break
        self.took = self.clock.now() - began
        return self.took

    @property
    def is_late(self) -> bool:
        """Whether it took longer than it may, though no event was lost."""
        told = not self.without_redis and not (self.plan.point and self.plan.point.kind.part is Part.WEB)
        return told and self.took > self.journey.soon

    def pass_time(self, seconds: float) -> None:
        """Let so much time go by, and then do what is due."""
        self._beat(seconds)
        self._beat(60.0)

    def is_done(self) -> bool:
        """Whether all has landed that is to land, and nothing is left to do."""
        pulls = self.github.world.repo(REPO).pulls
        have_landed = all(any(one in pulls and pulls[one].merged for one in group) for group in self.journey.lands)
        are_protected = not self.journey.rules or not any((*unprotected(self), *unfinished(self)))
        return have_landed and are_protected and self.services.store.is_idle()

    def _beat(self, seconds: float) -> None:
        self._advance(seconds)
        if self.is_apart(Part.TICK):
            had_fired, plan = self.fired, replace(self.plan, new=self._is_new)
            self.nursery.wait(self.nursery.start(Part.TICK, self.where, plan), self._mend)
            self._is_new = self.fired and not had_fired
        else:
            with contextlib.suppress(redis.ConnectionError):
                jobs.tick_once(self.services)
        self._until_idle()
        while self._advance(0.0):
            self._until_idle()

    def _advance(self, seconds: float) -> bool:
        """Let time pass; whether that gave the worker something to do."""
        self.clock.advance(seconds)
        return self._asked(lambda: self.services.queue.count > 0)

    def _asked(self, question: Callable[[], bool]) -> bool:
        """What Redis answers, which may be killed just now."""
        while True:
            self._mend()
            with contextlib.suppress(redis.ConnectionError):
                return question()

    def _until_idle(self) -> None:
        """Wait until the worker waits for jobs and there are none. Raises TimeoutError."""
        for _ in range(int(PATIENCE / 0.003)):
            self._mend()
            if self.servers.is_waited_for(self.services.queue.key):
                return
            _LOOK.wait(0.003)
        raise TimeoutError("the worker does not become idle")

    def _mend(self) -> None:
        """Start again what was killed, as whoever watches over processes does."""
        self.servers.mend()
        for part in Part.WORKER, Part.WEB:
            if part in self._alive and self.nursery.has_ended(self._alive[part]):
                self.run(part)

    def run(self, part: Part) -> None:
        """Start a part."""
        self._alive[part] = self.nursery.start(part, self.where, self.plan)
        while part is Part.WEB:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.where.port), 0.1):
                return
            _LOOK.wait(0.01)

    def close(self) -> None:
        for pid in self._alive.values():
            self.nursery.kill(pid)
        for services in (self.services, self.intake):
            services.github.close()
            services.queue.connection.close()


class Servers:
    """The Redis of all worlds, one after another, started again on its data when it was killed."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._redis = folder, EmbeddedRedis(folder)

    def __enter__(self) -> "Servers":
        self._redis.__enter__()
        self._connection = redis.Redis.from_url(self.url)
        return self

    def __exit__(self, *_: object) -> None:
        self._redis.__exit__(None, None, None)

    @property
    def url(self) -> str:
        return self._redis.url

    @property
    def pid(self) -> int:
        assert self._redis.pid is not None
        return self._redis.pid

    def mend(self) -> None:
        """See that it runs."""
        if (child := self._redis._child) is not None and child.poll() is not None:
            self._redis.__exit__(None, None, None)
            self._redis.__enter__()

    def is_waited_for(self, queue: str) -> bool:
        """Whether a queue is empty and a worker waits for what comes there."""
        try:
            with self._connection.pipeline() as asked:
                asked.llen(queue)
                asked.info("clients")
                waiting, clients = asked.execute()
        except redis.ConnectionError:
            return False
        return not waiting and bool(clients["blocked_clients"])

    def empty(self) -> None:
        self._connection.flushall()


@contextmanager
def world(journey: Journey, point: Point | None, nursery: Nursery, servers: Servers, *, wrong: bool) -> Iterator[World]:
    """A fresh world of a journey, in which something ends at `point`, of a `wrong` mergeq where that is asked for."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="mergeq-crash-", ignore_cleanup_errors=True)))
        servers.empty()
        clock = SharedClock(folder / "time")
        github = stack.enter_context(Sandbox(folder / "github", clock=clock))
        url = github.serve()
        (folder / "config.yaml").write_text(journey.configs[0])
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        where = Where(str(folder), url, github.token, github.webhook_secret, servers.url, port)
        services, intake = where.services(), where.services()
        services.store.found(clock.now())
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        keep_time_of_rq(clock.now)
        plan = Plan(str(folder), Part.WORKER, point, servers.pid, wrong)
        made = World(journey, github, clock, services, intake, nursery, servers, where, plan)
        stack.callback(made.close)
        made.listen()
        made.run(Part.WORKER)
        start(github, journey)
        made.watch()
        github.settle()
        yield made


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
