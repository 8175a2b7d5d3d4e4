"""The harness: a sandbox GitHub over HTTP, a real Redis, and mergeq between them on the sandbox's virtual clock."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from mergeq import jobs
from mergeq.bootstrap import Services, services
from mergeq.config import Settings
from mergeq.core.history import HistoryRecord
from mergeq.core.pull import Branch
from mergeq.processes import EmbeddedRedis
from mergeq.sandbox import ManualClock, Sandbox, graph_endpoint
from mergeq.sandbox.app import flask_app
from mergeq.sandbox.webhooks import Webhooks
from mergeq.web import create_app
from tests.published import KIT, Witness
from tests.quirks import Quirk

CONFIG = """
tide:
  blocker_label: tide/merge-blocker
  queries:
    - orgs: [acme]
      labels: [lgtm, approved]
      missingLabels: [do-not-merge/hold]
  squash_label: tide/squash
  rebase_label: tide/rebase
  merge_method:
    acme/launchpad: rebase
"""
READY = ("lgtm", "approved")
FILES = {"README.md": "# Rocket\n", "ci.sh": "! grep -q BROKEN *.txt\n", "engine.txt": "one engine\n"}


@pytest.fixture(scope="session")
def witness() -> Iterator[Witness | None]:
    """Whoever holds all that sandboxes of this process say against GitHub's own descriptions."""
    if not KIT.exists():
        yield None
        return
    seeing, send = Witness(), Webhooks.send

    def witnessed(hooks: Webhooks, event: str, repo: str, payload: Mapping[str, Any], pr: int | None) -> None:
        seeing.hook(event, payload)
        send(hooks, event, repo, payload, pr)

    flask_app().after_request(seeing.answer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_endpoint, "execute", seeing.execute)
        patch.setattr(Webhooks, "send", witnessed)
        yield seeing


@pytest.fixture(autouse=True)
def _as_github_describes_itself(witness: Witness | None) -> Iterator[None]:
    """Fail the test in which the sandbox said what GitHub would not say, or mergeq asked what it does not know."""
    yield
    if witness is not None:
        said, witness.deviations = witness.deviations, []
        assert said == []


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def clean_redis(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as connection:
        connection.flushall()
        yield connection


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def github(clock: ManualClock, tmp_path: Path) -> Iterator[Sandbox]:
    """A GitHub with one empty-handed repository, acme/rocket, whose CI runs `ci.sh`."""
    with Sandbox(tmp_path / "github", clock=clock) as sandbox:
        sandbox.serve()
        sandbox.world.create_repo("acme/rocket", files=FILES)
        yield sandbox


@pytest.fixture
def quirk(request: pytest.FixtureRequest, github: Sandbox) -> Iterator[Quirk]:
    """The quirk of GitHub that a test is marked with."""
    made = Quirk(github)
    yield made
    request.node.user_properties.append(("hits", made.hits))
    made.check()


class Mergeq:
    """mergeq on the sandbox's clock: a real store, a real RQ worker, one job at a time."""

    def __init__(self, services: Services, clock: ManualClock) -> None:
        self.services = services
        self.store = services.store
        self._clock = clock

    @cached_property
    def web(self) -> FlaskClient:
        """A client of its pages and webhooks, which most tests do without."""
        return create_app(self.services).test_client()

    def sweep_and_work(self, minutes: int = 1) -> None:
        """Let `minutes` sweeps begin and do all that they bring."""
        for _ in range(minutes):
            self._clock.advance(60)
            jobs.tick_once(self.services)
            self.work()

    def work(self) -> None:
        """Do everything that is queued."""
        jobs.work_off(self.services)

    def history(self, branch: str = "acme/rocket:main") -> list[HistoryRecord]:
        return self.store.history(branch=Branch.parse(branch))


@pytest.fixture
def start_mergeq(
    github: Sandbox,
    clock: ManualClock,
    clean_redis: "redis.Redis",  # noqa: ARG001 -- every test begins with an empty Redis
    redis_url: str,
    tmp_path: Path,
) -> Iterator[Callable[..., Mergeq]]:
    """Start mergeq with a configuration, CONFIG unless another is given."""
    started: list[Mergeq] = []

    def start(config: str = CONFIG, **changes: object) -> Mergeq:
        file = tmp_path / "config.yaml"
        file.write_text(config)
        settings = Settings(
            github_token=github.token,
            github_api_url=f"{github.url}/api/v3",
            redis_url=redis_url,
            state_dir=tmp_path,
            config_paths=(file,),
            public_url="https://mergeq.test",
            webhook_secrets=(github.webhook_secret,),
        )
        made = Mergeq(services(replace(settings, **changes), now=clock.now, sleep=clock.advance), clock)  # type: ignore[arg-type]
        made.store.found(clock.now())
        started.append(made)
        return made

    yield start
    for one in started:
        one.services.github.close()
        one.services.queue.connection.close()


@pytest.fixture
def mergeq(start_mergeq: Callable[..., Mergeq]) -> Mergeq:
    return start_mergeq()
