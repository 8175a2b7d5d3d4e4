"""Deliveries as GitHub makes them, to real processes: twice, out of order, in floods, under another secret, never, and
while Redis is away. Whatever happens to them, what was ready lands once.
"""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from mergeq.processes import EmbeddedRedis
from mergeq.store import DELIVERIES
from tests.bench import intake
from tests.journeys.test_processes_together import eventually, running, sandbox

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("deliveries")]

SECRET = intake.SECRET
CONFIG = """
tide:
  sync_period: 1h
  queries:
    - orgs: [acme]
      labels: [lgtm, approved]
"""
FILES = {"ci.sh": "true\n", "engine.txt": "one\n"}
LABELED = {
    "action": "labeled",
    "repository": {"full_name": "acme/rocket", "id": 1},
    "pull_request": {"number": 1, "base": {"ref": "main"}},
}
TITLES = ("Twice", "Late", "Flood", "Lost", "Away")


@dataclass(frozen=True, slots=True)
class GitHub:
    """The sandbox, as somebody with curl has it."""

    where: dict[str, str]

    def ask(self, method: str, path: str, **json: Any) -> Any:
        url = path if path.startswith("http") else f"{self.where['api']}/repos/acme/rocket{path}"
        headers = {"Authorization": f"token {self.where['token']}"}
        answer = requests.request(method, url, json=json or None, headers=headers, timeout=60)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def switch(self, fault: str, **args: Any) -> None:
        self.ask("POST", f"{self.where['control']}/reset")
        body = {"id": fault, "match": {"repo": "acme/rocket"}, "times": 5, "args": args}
        self.ask("POST", f"{self.where['control']}/faults", **body)

    def approve(self, title: str) -> None:
        self.ask("POST", f"/issues/{TITLES.index(title) + 1}/labels", labels=["lgtm"])
        self.ask("POST", f"/issues/{TITLES.index(title) + 1}/labels", labels=["approved"])

    def has_landed(self, title: str) -> bool:
        return bool(self.ask("GET", f"/pulls/{TITLES.index(title) + 1}")["merged"])

    def listen(self, page: str, secret: str = SECRET) -> int:
        """Have every event of the repository come to mergeq."""
        config = {"url": f"{page}/webhooks/github", "secret": secret, "content_type": "json"}
        return int(self.ask("POST", "/hooks", name="web", events=["*"], config=config)["id"])


@dataclass(frozen=True, slots=True)
class Mergeq:
    page: str
    redis: "redis.Redis"

    @property
    def port(self) -> int:
        return int(self.page.rsplit(":", 1)[1])

    def counted(self, result: str) -> float:
        text = requests.get(f"{self.page}/metrics", timeout=60).text
        name = f'mergeq_webhooks_total{{result="{result}"}} '
        return next((float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name)), 0.0)

    def landings(self, title: str) -> int:
        history = requests.get(f"{self.page}/api/history", timeout=60).json()["records"]
        return sum(target["title"] == title for record in history for target in record["target"])


def send(page: str, delivery: str, payload: Any, secret: str = SECRET, event: str = "star") -> int:
    """Deliver something by hand; the status of the answer."""
    body = json.dumps(payload).encode()
    headers = {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        "Content-Type": "application/json",
    }
    return requests.post(f"{page}/webhooks/github", data=body, headers=headers, timeout=60).status_code


@contextmanager
def seeded(folder: Path) -> Iterator[GitHub]:
    seed = folder / "seed.json"
    rocket = {"nameWithOwner": "acme/rocket"}
    prs = [{"pr": {"repository": rocket, "title": title}, "files": {f"{title}.txt": "x\n"}} for title in TITLES]
    seed.write_text(json.dumps({"repos": {"acme/rocket": {"files": FILES}}, "prs": prs}))
    with sandbox("--seed", str(seed)) as where:
        yield GitHub(where)


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHub]:
    with seeded(tmp_path_factory.mktemp("seed")) as made:
        yield made


@pytest.fixture
def quiet_github(tmp_path: Path) -> Iterator[GitHub]:
    """One at which no other mergeq is at work."""
    with seeded(tmp_path) as made:
        yield made


def environment(github: GitHub, folder: Path, redis_url: str, **more: str) -> dict[str, str]:
    (folder / "config.yaml").write_text(CONFIG)
    return {
        "GITHUB_TOKEN": github.where["token"],
        "GITHUB_API_URL": github.where["api"],
        "MERGEQ_STATE_DIR": str(folder),
        "MERGEQ_REDIS_URL": redis_url,
        "MERGEQ_CONFIG": str(folder / "config.yaml"),
        "MERGEQ_WEBHOOK_SECRET": SECRET,
        **more,
    }


@pytest.fixture(scope="module")
def mergeq(github: GitHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mergeq]:
    """mergeq that has swept once, is told of everything, and would sweep again after an hour."""
    folder = tmp_path_factory.mktemp("mergeq")
    with EmbeddedRedis(folder / "redis") as server, redis.Redis.from_url(server.url) as connection:
        env = environment(github, folder, server.url, MERGEQ_LISTEN="127.0.0.1:0")
        with running("run", **env) as child:
            assert child.stderr is not None
            page = child.stderr.readline().split()[1].removesuffix("/tide")
            made = Mergeq(page, connection)
            last = f"{page}/pr/acme/rocket/{len(TITLES)}.json"
            assert eventually(lambda: _status(last) == 200)
            github.listen(page)
            yield made


def _status(url: str) -> int:
    try:
        return requests.get(url, timeout=60).status_code
    except requests.RequestException:
        return 0


def test_events_that_come_twice_land_a_pull_request_once(github: GitHub, mergeq: Mergeq) -> None:
    github.switch("hook.dup", n=2)
    github.approve("Twice")

    assert eventually(lambda: github.has_landed("Twice"))
    assert eventually(lambda: mergeq.counted("duplicate") >= 4)
    assert eventually(lambda: mergeq.landings("Twice")) == 1


def test_events_that_come_in_another_order_end_the_same(github: GitHub, mergeq: Mergeq) -> None:
    github.switch("hook.shuffle", window=1)
    github.approve("Late")

    assert eventually(lambda: github.has_landed("Late"))
    assert eventually(lambda: mergeq.landings("Late")) == 1


def test_in_a_flood_nothing_is_lost_and_what_matters_is_acted_on(github: GitHub, mergeq: Mergeq) -> None:
    told: list[Any] = []
    flood = threading.Thread(target=lambda: told.append(intake.send(mergeq.port, 1, 1500, 0)), daemon=True)
    flood.start()
    github.approve("Flood")

    assert eventually(lambda: github.has_landed("Flood"))
    flood.join()
    (sent,) = told
    assert sent.refused == 0
    assert set(sent.names) <= kept(mergeq.redis)


def test_what_was_lost_on_its_way_is_made_up_for_by_the_sweep(github: GitHub, mergeq: Mergeq) -> None:
    github.switch("hook.drop")
    github.approve("Lost")
    assert not github.has_landed("Lost")

    installed = {"action": "created", "installation": {"account": {"login": "acme"}}}
    assert send(mergeq.page, "installed", installed, event="installation") == 202

    assert eventually(lambda: github.has_landed("Lost"))
    assert eventually(lambda: mergeq.landings("Lost")) == 1


def kept(connection: "redis.Redis") -> set[str]:
    found: Any = connection.zrange(DELIVERIES, 0, -1)
    return {name.decode() for name in found}


@contextmanager
def web(env: dict[str, str], listen: str, **secrets: str) -> Iterator[str]:
    """The web processes alone, once they answer."""
    with running("web", **{**env, "MERGEQ_LISTEN": listen, **secrets}):
        page = f"http://{listen}"
        assert eventually(lambda: _status(f"{page}/healthz") == 200)
        yield page


@pytest.fixture
def listen() -> str:
    return f"127.0.0.1:{intake.free_port()}"


def test_while_the_secret_is_changed_no_delivery_is_refused(
    github: GitHub, tmp_path: Path, redis_url: str, listen: str
) -> None:
    env = environment(github, tmp_path, redis_url)
    answers = []
    for now, before in (("new secret", "old secret"), ("new secret", "")):
        with web(env, listen, MERGEQ_WEBHOOK_SECRET=now, MERGEQ_WEBHOOK_SECRET_PREVIOUS=before) as page:
            answers.append([send(page, f"{now}{before}{one}", {}, secret=one) for one in ("old secret", "new secret")])

    assert answers == [[200, 200], [401, 200]]


def test_while_redis_starts_again_nothing_is_lost_that_was_taken_and_what_was_not_lands_later(
    quiet_github: GitHub, tmp_path: Path, listen: str
) -> None:
    server = EmbeddedRedis(tmp_path / "redis")
    answers: dict[str, int] = {}
    stopping = threading.Event()

    def load(page: str) -> None:
        number = 0
        while not stopping.is_set():
            number += 1
            answers[f"load-{number}"] = send(page, f"load-{number}", LABELED, event="pull_request")

    env = environment(quiet_github, tmp_path, server.url)
    with ExitStack() as up:
        up.enter_context(server)
        with web(env, listen) as page:
            hook = quiet_github.listen(page)
            sender = threading.Thread(target=load, args=(page,), daemon=True)
            sender.start()
            assert eventually(lambda: list(answers.values()).count(202) > 20)
            up.close()
            assert eventually(lambda: 503 in answers.values())
            quiet_github.approve("Away")
            failed = f"/hooks/{hook}/deliveries?status=failure"
            assert eventually(lambda: {one["status_code"] for one in quiet_github.ask("GET", failed)} >= {503})
            up.enter_context(server)
            was = len(answers)
            assert eventually(lambda: list(answers.values())[was:].count(202) > 20)
            stopping.set()
            sender.join()
            missed = [name for name, code in answers.items() if code == 503]
            again = {send(page, name, LABELED, event="pull_request") for name in missed}

            assert set(answers.values()) == {202, 503}
            assert again == {202}
            with redis.Redis.from_url(server.url) as connection:
                assert set(answers) <= kept(connection)
            with running("worker", **env), running("tick", **env):
                assert eventually(lambda: quiet_github.has_landed("Away"))
