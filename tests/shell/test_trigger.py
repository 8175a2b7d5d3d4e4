"""`staging.trigger`: CI is told of what is staged, at least once, by a push, an event of the repository or a signed
request; and whoever was not told is not held to be silent.
"""

import hashlib
import hmac
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from mergeq.core.batch import Told
from mergeq.core.history import Outcome
from mergeq.core.marks import Mark
from mergeq.core.pull import Branch
from mergeq.sandbox import CiConfig, CiKind, Sandbox
from mergeq.sandbox.records import Pull
from mergeq.store import held
from tests.conftest import Mergeq
from tests.quirks import Quirk
from tests.shell.quirky import REQUIRED, ready, status_of, warned, work

MAIN = Branch("acme", "rocket", "main")
SECRET = "correct horse battery staple"
ROOT = Path(__file__).parents[2]
BY_DISPATCH = CiConfig(branches=(), dispatches=("mergeq",))


def triggered(trigger: str) -> str:
    return f"{REQUIRED}mergeq: {{queue: {{retest: staging, staging: {{trigger: {trigger}}}}}}}\n"


DISPATCHED = triggered("{kind: repository_dispatch}")


@dataclass
class Receiver:
    """A receiver of events on a port of its own: what came, and what it answers, the last one for ever."""

    port: int = 0
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=lambda: [(202, {})])
    got: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    then: Callable[[dict[str, Any]], None] = lambda _: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/mergeq?token=hidden"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, body in self.got]

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        self.got.append((path, headers, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if 200 <= answer[0] < 300:
            self.then(json.loads(body))
        return answer


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            code, headers = made.take(self.path, dict(self.headers.items()), body)
            if code:
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

        do_GET = do_POST  # noqa: N815 -- as a client that follows would ask

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def listened(github: Sandbox, receiver: Receiver, start_mergeq: Callable[..., Mergeq]) -> Mergeq:
    """mergeq, whose events start the CI of acme/rocket through a receiver."""
    github.world.repo("acme/rocket").ci = BY_DISPATCH
    receiver.then = lambda body: github.world.dispatch(github.world.repo("acme/rocket"), "mergeq", body)
    return start_mergeq(by_events(receiver), secrets={"MERGEQ_SECRET_CI": SECRET})


def by_events(receiver: Receiver) -> str:
    return triggered(f"{{kind: cloudevents, url: '{receiver.url}', secret_env: MERGEQ_SECRET_CI}}")


def behind(github: Sandbox) -> Pull:
    """A pull request that is ready, and whose head does not contain the base: it has to be staged."""
    pull = ready(github)
    github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    github.settle()
    return pull


def outcomes(mergeq: Mergeq) -> list[tuple[str, str]]:
    return [(record.action, record.outcome.value) for record in reversed(mergeq.history())]


@pytest.mark.parametrize("kind", CiKind)
@pytest.mark.parametrize("trigger", ["push", "repository_dispatch", "cloudevents"])
def test_what_is_staged_is_tested_however_ci_is_told_and_however_it_answers(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], receiver: Receiver, trigger: str, kind: CiKind
) -> None:
    repo = github.world.repo("acme/rocket")
    repo.ci = CiConfig(kind=kind) if trigger == "push" else replace(BY_DISPATCH, kind=kind)
    receiver.then = lambda body: github.world.dispatch(repo, "mergeq", body)
    config = by_events(receiver) if trigger == "cloudevents" else triggered(f"{{kind: {trigger}}}")
    mergeq = start_mergeq(config, secrets={"MERGEQ_SECRET_CI": SECRET})
    pull = behind(github)

    mergeq.sweep_and_work()
    github.settle()
    (run,) = mergeq.store.runs(MAIN)
    results = (len(repo.latest_statuses(run.staged_sha)), len(repo.latest_runs(run.staged_sha)))
    work(github, mergeq, 2)

    record = mergeq.history()[0]
    assert results == ((1, 0) if kind is CiKind.STATUS else (0, 1))
    assert pull.merged
    assert record.tested_tree == record.landed_tree == run.trees[-1]
    assert outcomes(mergeq) == [("TRIGGER", "TRIGGERED"), ("MERGE", "LANDED")]
    assert len(receiver.got) == (trigger == "cloudevents")


def test_an_event_says_what_is_to_be_tested_and_who_says_so(
    github: Sandbox, receiver: Receiver, listened: Mergeq
) -> None:
    pulls = [ready(github, "Add wings"), behind(github)]
    listened.sweep_and_work()

    (_, headers, body), *others = receiver.got
    (run, *_) = (one for one in listened.store.runs(MAIN) if len(one.members) == 2)
    assert json.loads(body) == {
        "run": run.id,
        "branch": "acme/rocket:main",
        "repository": "acme/rocket",
        "base_ref": "main",
        "base_sha": github.world.repo("acme/rocket").git.tip("main"),
        "ref": f"refs/heads/{run.ref}",
        "sha": github.world.repo("acme/rocket").git.tip(run.ref),
        "tree": run.trees[-1],
        "pulls": [{"number": one.number, "head_sha": one.head_sha, "method": "merge"} for one in pulls],
    }
    told = {name.lower(): value for name, value in headers.items()}
    assert told["x-hub-signature-256"] == f"sha256={hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}"
    assert {name: value for name, value in told.items() if name.startswith("ce-")} == {
        "ce-specversion": "1.0",
        "ce-type": "mergeq.run.staged",
        "ce-source": "https://mergeq.test/acme/rocket",
        "ce-id": run.id,
        "ce-time": told["ce-time"],
        "ce-subject": "acme/rocket:main",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", told["ce-time"])
    assert told["content-type"] == "application/json"
    assert len(others) <= 1


@pytest.mark.parametrize("code", [500, 503, 429, 0])
def test_what_fails_for_a_moment_is_sent_again_as_the_same_event(
    github: Sandbox, receiver: Receiver, listened: Mergeq, code: int
) -> None:
    receiver.answers = [(code, {}), (code, {}), (202, {})]
    pull = behind(github)

    work(github, listened, 2)

    assert pull.merged
    assert len({(headers["ce-id"], headers["ce-time"], body) for _, headers, body in receiver.got}) == 1
    assert len(receiver.got) == 3


@pytest.mark.parametrize(
    ("answer", "tries", "why"),
    [
        ((403, {}), 1, "answered 403"),
        ((500, {}), 3, "answered 500"),
        ((302, {"Location": "/elsewhere?sign=in"}), 1, "redirects to /elsewhere, which is not followed"),
        ((0, {}), 3, "gave no answer (ConnectionError)"),
    ],
)
def test_ci_that_cannot_be_told_is_not_taken_for_silent_and_is_told_when_it_can(
    github: Sandbox,
    receiver: Receiver,
    listened: Mergeq,
    answer: tuple[int, dict[str, str]],
    tries: int,
    why: str,
) -> None:
    receiver.answers = [answer]
    pull = behind(github)

    with capture_logs() as log:
        listened.sweep_and_work()
    at_first = len(receiver.got)
    listened.sweep_and_work(15)
    before, said = outcomes(listened), status_of(github, pull)
    asked = len(receiver.got)
    receiver.answers = [(202, {})]
    work(github, listened, 7)

    place = receiver.url.partition("?")[0]
    assert (at_first, before) == (tries, [("TRIGGER", "TRIGGERED")])
    assert said.startswith(f"Not mergeable. CI could not be told: {place} {why}")
    assert 4 * tries <= asked <= 12 * tries
    assert pull.merged
    assert outcomes(listened) == [("TRIGGER", "TRIGGERED"), ("MERGE", "LANDED")]
    assert {path for path, _, _ in receiver.got} == {"/hooks/mergeq?token=hidden"}
    assert any(line.startswith(f"CI not told: {place} {why}") for line in warned(log))
    assert "hidden" not in f"{log} {said}"
    assert SECRET not in f"{log}"


def test_ci_that_was_told_and_does_nothing_is_silent(github: Sandbox, receiver: Receiver, listened: Mergeq) -> None:
    receiver.then = lambda _: None
    pull = behind(github)

    work(github, listened, 14)

    triggered, given_up, *again = reversed(listened.history())
    assert (triggered.outcome, given_up.outcome) == (Outcome.TRIGGERED, Outcome.ABANDONED)
    assert (pull.merged, given_up.err) == (False, "ci/test never appeared")
    assert len({body["run"] for body in receiver.bodies}) == len(receiver.got) == 1 + len(again)


def test_a_secret_that_is_not_set_is_named_and_nothing_is_sent_unsigned(
    github: Sandbox, receiver: Receiver, start_mergeq: Callable[..., Mergeq]
) -> None:
    mergeq = start_mergeq(by_events(receiver))
    pull = behind(github)

    work(github, mergeq, 1)

    assert receiver.got == []
    assert status_of(github, pull) == "Not mergeable. CI could not be told: MERGEQ_SECRET_CI is not set"


def test_a_worker_that_dies_after_it_told_ci_tells_it_again_by_the_same_name(
    github: Sandbox, receiver: Receiver, listened: Mergeq
) -> None:
    behind(github)
    mergeq = listened
    mergeq.sweep_and_work()
    (run,) = mergeq.store.runs(MAIN)
    (_, headers, body) = receiver.got[0]
    mergeq.store.mark([Mark(MAIN)], mergeq.services.now())
    with held(mergeq.store, MAIN, mergeq.services.now()) as lease:
        assert lease is not None
        mergeq.store.save_run(lease, replace(run, told=Told()))

    mergeq.sweep_and_work()

    assert [(again["ce-id"], sent) for _, again, sent in receiver.got[1:]] == [(headers["ce-id"], body)]


def test_ci_is_not_told_of_a_ref_before_that_was_pushed(
    github: Sandbox, receiver: Receiver, listened: Mergeq, quirk: Quirk
) -> None:
    """What GitHub said of its creation was lost (D6)."""
    quirk.on("http.5xx", route="POST /repos/{owner}/{repo}/git/refs", after=1)
    pull = behind(github)

    listened.sweep_and_work()
    (run,), sent = listened.store.runs(MAIN), len(receiver.got)
    work(github, listened, 3)

    assert (run.is_pushed, sent) == (False, 0)
    assert (pull.merged, [body["ref"] for body in receiver.bodies]) == (True, [f"refs/heads/{run.ref}"])


@pytest.mark.quirk("Q1")
@pytest.mark.parametrize("switch", ["http.5xx", "http.reset"])
def test_a_dispatch_whose_answer_says_nothing_is_sent_again(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk, switch: str
) -> None:
    github.world.repo("acme/rocket").ci = BY_DISPATCH
    mergeq = start_mergeq(DISPATCHED)
    quirk.on(switch, route="POST /repos/{owner}/{repo}/dispatches")
    pull = behind(github)

    work(github, mergeq, 1)
    said = status_of(github, pull)
    work(github, mergeq, 3)

    assert said.startswith("Not mergeable. CI could not be told: GitHub did not take the dispatch: ")
    assert (pull.merged, quirk.requests("dispatches")) == (True, 2)


def test_a_trigger_that_is_taken_out_of_the_configuration_leaves_nobody_waiting(
    github: Sandbox, receiver: Receiver, listened: Mergeq, tmp_path: Path
) -> None:
    receiver.answers = [(403, {})]
    pull = behind(github)
    listened.sweep_and_work(2)

    (tmp_path / "config.yaml").write_text(triggered("{kind: push}"))
    work(github, listened, 14)

    assert status_of(github, pull) == "Not mergeable. Retesting: ci/test"
    assert "ci/test never appeared" in [record.err for record in listened.history()]


def examples() -> str:
    text = (ROOT / "policies" / "README.md").read_text(encoding="utf-8")
    return text.partition("## Telling CI")[2].partition("\n## ")[0]


def test_the_examples_for_receivers_name_only_what_is_sent(
    github: Sandbox, receiver: Receiver, listened: Mergeq
) -> None:
    """Tekton's `$(body.…)` and `$(header.…)`, and GitHub Actions' `github.event.client_payload`."""
    behind(github)
    listened.sweep_and_work()
    _, headers, body = receiver.got[0]
    sent, text = json.loads(body), examples()

    by_body = re.findall(r"\$\(body\.([\w.]+)\)", text)
    by_header = re.findall(r"\$\(header\.([\w-]+)\)", text)
    by_dispatch = re.findall(r"client_payload\.(\w+)", text)
    assert {"sha", "run", "repository"} <= {*by_body} & {*by_dispatch} | {"repository"}
    assert [name for name in (*by_body, *by_dispatch) if not isinstance(sent.get(name), str)] == []
    assert [name for name in by_header if name.lower() not in {one.lower() for one in headers}] == []
    assert f"'{headers['ce-type']}'" in text
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(sent)
    assert len(sent) <= 10
