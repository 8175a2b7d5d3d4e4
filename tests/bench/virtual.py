"""mergeq between the sandbox and a real Redis on the sandbox's virtual clock, webhooks delivered; what that costs."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from mergeq import jobs
from mergeq.bootstrap import Services, services
from mergeq.config import Settings
from mergeq.processes import EmbeddedRedis
from mergeq.sandbox import ManualClock, Sandbox, WsgiAdapter
from mergeq.sandbox.records import Pull
from mergeq.web import create_app
from tests.bench.organization import OURS, Kind, found
from tests.conftest import CONFIG

HOOK = "http://mergeq.test"
STATUS = "POST /repos/{owner}/{repo}/statuses/{sha}"
_BEAT = 60.0  # seconds of virtual time between two beats of the timer


@dataclass(frozen=True, slots=True)
class Cost:
    """What GitHub counted: GraphQL points, and how often each route and document was asked for."""

    points: int
    hits: Counter[str]

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.points - other.points, self.hits - other.hits)

    @property
    def statuses(self) -> int:
        """Status writes, which are counted apart."""
        return self.hits[STATUS]

    @property
    def graphql(self) -> int:
        """GraphQL requests."""
        return sum(count for name, count in self.hits.items() if name.startswith("graphql:"))

    @property
    def rest(self) -> int:
        """REST calls but for status writes."""
        return self.hits.total() - self.graphql - self.statuses

    def __str__(self) -> str:
        parts = ", ".join(f"{count} {_short(name)}" for name, count in self.hits.most_common())
        calls = f"{self.graphql} queries, {self.rest} REST calls, {self.statuses} statuses"
        return f"{self.points} points in {calls} ({parts})"


def _short(name: str) -> str:
    return name.removeprefix("graphql:").replace("/repos/{owner}/{repo}", "")


@dataclass(frozen=True, slots=True)
class Queue:
    """mergeq, in this process."""

    services: Services
    github: Sandbox
    clock: ManualClock

    def listen(self) -> None:
        """Take the webhooks of everything that happens from here on."""
        self.github.world.webhooks.session.mount(HOOK, WsgiAdapter(create_app(self.services)))
        self.github.world.add_hook(f"{HOOK}/webhooks/github", self.github.webhook_secret)

    def pass_time(self, seconds: float) -> None:
        """Let virtual time go by, and do all that falls due."""
        end = self.clock.now() + seconds
        while (left := end - self.clock.now()) > 0:
            self.clock.advance(min(left, _BEAT))
            jobs.tick_once(self.services)
            self.work()

    def work(self) -> None:
        """Do what is queued, and what the webhooks of that bring, until nothing is left."""
        self.github.settle()
        while self.services.queue.count:
            jobs.work_off(self.services)
            self.github.settle()

    def cost(self) -> Cost:
        """All that was asked of GitHub so far."""
        return Cost(self.github.rates.taken["graphql"], Counter(self.github.hits))

    def fall_silent(self, pull: Pull) -> None:
        """Let somebody label a pull request, so that webhooks are seen to work, and then hours pass until one goes by
        in which nothing is written to GitHub, ten at most.
        """
        self.github.world.add_label(pull, "area/bench")
        for _ in range(10):
            before = self.cost()
            self.pass_time(3600)
            if not (self.cost() - before).statuses:
                return


@contextmanager
def github_and_clock() -> Iterator[tuple[Sandbox, ManualClock]]:
    """A sandbox on a clock of its own, behind a port."""
    clock = ManualClock()
    with Sandbox(clock=clock) as github:
        github.serve()
        yield github, clock


def told(kinds: Sequence[Kind]) -> list[Kind]:
    """The kinds as they are where mergeq has been before: each with the status that it gets."""
    with github_and_clock() as (github, clock):
        pulls = found(github, 1, len(kinds), kinds)
        with queue(github, clock, CONFIG) as queued:
            queued.pass_time(120)
        statuses = [github.world.repo(pull.repo).latest_statuses(pull.head_sha) for pull in pulls]
    ours = [next(one for one in some if one.context == OURS) for some in statuses]
    return [replace(kind, told=(one.state.value, one.description or "")) for kind, one in zip(kinds, ours, strict=True)]


@contextmanager
def queue(github: Sandbox, clock: ManualClock, config: str) -> Iterator[Queue]:
    """mergeq with a configuration and nothing in its Redis, told of all that happens from here on."""
    with TemporaryDirectory(prefix="mergeq-bench-") as folder, EmbeddedRedis(Path(folder) / "redis") as server:
        file = Path(folder) / "config.yaml"
        file.write_text(config)
        settings = Settings(
            github_token=github.token,
            github_api_url=f"{github.url}/api/v3",
            redis_url=server.url,
            state_dir=Path(folder),
            config_paths=(file,),
            public_url=HOOK,
            webhook_secrets=(github.webhook_secret,),
        )
        made = services(settings, now=clock.now, sleep=clock.advance)
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        made.store.found(clock.now())  # or the statuses that are there would be an earlier store's
        queued = Queue(made, github, clock)
        queued.listen()
        try:
            yield queued
        finally:
            made.github.close()
            made.queue.connection.close()
