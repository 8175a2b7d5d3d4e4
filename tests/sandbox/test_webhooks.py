from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mergeq.sandbox import Sandbox, WsgiAdapter
from tests.sandbox.conftest import Rest

HOOK = "http://queue.test/hook"


class Receiver:
    """A WSGI application that keeps what it is sent."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        self.got.append((environ["HTTP_X_GITHUB_EVENT"], json.loads(body)))
        start_response("202 Accepted", [])
        return [b""]

    def names(self) -> list[str]:
        return [f"{event}.{body['action']}" if "action" in body else event for event, body in self.got]


@pytest.fixture
def receiver(sandbox: Sandbox) -> Receiver:
    made = Receiver()
    sandbox.world.webhooks.session.mount("http://queue.test", WsgiAdapter(made))
    sandbox.world.add_hook(HOOK, "s3cret")
    return made


@pytest.fixture
def port() -> Iterator[tuple[int, list[tuple[dict[str, str], bytes]]]]:
    got: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port, got
        server.shutdown()
        thread.join()


def test_a_real_receiver_gets_signed_events_in_order(
    served: Sandbox, port: tuple[int, list[tuple[dict[str, str], bytes]]]
) -> None:
    number, got = port
    served.world.add_hook(f"http://127.0.0.1:{number}/hook", "s3cret", events=["pull_request"])
    pull = served.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, labels=["lgtm"])
    served.world.merge_pull(pull)

    assert served.settle()

    assert [json.loads(body)["action"] for _, body in got] == ["opened", "labeled", "closed"]
    for headers, body in got:
        digest = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
        assert headers["X-Hub-Signature-256"] == f"sha256={digest}"
        assert headers["X-GitHub-Event"] == "pull_request"
        assert headers["User-Agent"].startswith("GitHub-Hookshot/")
        assert headers["Content-Type"] == "application/json"
    assert len({headers["X-GitHub-Delivery"] for headers, _ in got}) == 3
    assert [d.status_code for d in served.world.deliveries] == [204, 204, 204]


def test_nothing_is_delivered_before_a_manual_clock_lets_it(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.world.push("acme/rocket", "main", {"a.txt": "a\n"})

    assert receiver.got == []
    assert sandbox.settle()
    assert receiver.names() == ["push"]


def test_the_life_of_a_pull_request_is_told(sandbox: Sandbox, receiver: Receiver) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, draft=True)
    opened_at = pull.head_sha
    world.set_draft(pull, False)
    world.set_draft(pull, True)
    world.set_draft(pull, False)
    world.add_label(pull, "lgtm")
    world.remove_label(pull, "lgtm")
    world.edit_title(pull, "Add a")
    world.push_to_pull(pull, {"a.txt": "b\n"})
    world.review(pull, "ben")
    world.close_pull(pull)
    world.reopen_pull(pull)
    world.merge_pull(pull)
    sandbox.settle()

    assert receiver.names() == [
        "create",
        "push",
        "pull_request.opened",
        "pull_request.ready_for_review",
        "pull_request.converted_to_draft",
        "pull_request.ready_for_review",
        "pull_request.labeled",
        "pull_request.unlabeled",
        "pull_request.edited",
        "push",
        "pull_request.synchronize",
        "pull_request_review.submitted",
        "pull_request.closed",
        "pull_request.reopened",
        "pull_request.closed",
        "push",
    ]
    bodies = {name: body for name, (_, body) in zip(receiver.names(), receiver.got, strict=True)}
    synchronize = bodies["pull_request.synchronize"]
    assert (synchronize["before"], synchronize["after"]) == (opened_at, pull.head_sha)
    assert synchronize["pull_request"]["head"]["sha"] == pull.head_sha
    assert bodies["pull_request.edited"]["changes"] == {"title": {"from": "Add"}}
    assert bodies["pull_request.labeled"]["label"]["name"] == "lgtm"
    assert bodies["pull_request_review.submitted"]["review"]["state"] == "approved"
    merged = bodies["pull_request.closed"]["pull_request"]
    assert (merged["merged"], merged["merge_commit_sha"]) == (True, pull.merge_commit_sha)
    assert bodies["push"]["after"] == pull.merge_commit_sha
    assert bodies["push"]["ref"] == "refs/heads/main"
    assert bodies["push"]["repository"]["full_name"] == "acme/rocket"
    assert bodies["push"]["sender"]["login"] == "mergeq-bot"


def test_statuses_checks_and_issues_are_told(sandbox: Sandbox, receiver: Receiver) -> None:
    world = sandbox.world
    tip = str(world.repo("acme/rocket").git.tip("main"))
    world.set_status("acme/rocket", tip, context="ci", state="pending", description="running")
    world.set_check_run("acme/rocket", tip, name="lint", status="in_progress")
    world.set_check_run("acme/rocket", tip, name="lint", conclusion="success")
    issue = world.open_issue("acme/rocket", "Freeze", labels=["blocker"])
    world.close_issue(issue)
    sandbox.settle()

    assert receiver.names() == [
        "status",
        "check_run.created",
        "check_run.completed",
        "check_suite.completed",
        "issues.opened",
        "issues.labeled",
        "issues.closed",
    ]
    status = receiver.got[0][1]
    assert (status["sha"], status["context"], status["state"], status["name"]) == (tip, "ci", "pending", "acme/rocket")
    assert [branch["name"] for branch in status["branches"]] == ["main"]
    check = receiver.got[2][1]["check_run"]
    assert (check["head_sha"], check["conclusion"], check["app"]["slug"]) == (tip, "success", "sandbox-ci")


def test_check_runs_of_a_fork_name_no_pull_request(sandbox: Sandbox, receiver: Receiver) -> None:
    world = sandbox.world
    own = world.open_pull("acme/rocket", title="Own", files={"a.txt": "a\n"})
    forked = world.open_pull("acme/rocket", title="Forked", files={"b.txt": "b\n"}, fork="ana")
    sandbox.settle()
    receiver.got.clear()

    for pull in (own, forked):
        world.set_check_run("acme/rocket", pull.head_sha, name="ci", status="queued")
    sandbox.settle()

    named = [body["check_run"]["pull_requests"] for _, body in receiver.got]
    assert [[pull["number"] for pull in pulls] for pulls in named] == [[1], []]


def test_pushes_to_forks_reach_only_hooks_of_the_fork(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.world.open_pull("acme/rocket", title="Forked", files={"b.txt": "b\n"}, fork="ana")
    sandbox.settle()

    assert receiver.names() == ["pull_request.opened"]


def test_hooks_get_what_they_asked_for_and_no_more(sandbox: Sandbox, rest: Rest) -> None:
    receiver = Receiver()
    sandbox.world.webhooks.session.mount("http://queue.test", WsgiAdapter(receiver))
    sandbox.world.create_repo("acme/other", files={"a": "a\n"}, ci=None)
    made = rest("POST", "/hooks", name="web", events=["push"], config={"url": HOOK, "secret": "x"})

    sandbox.world.push("acme/rocket", "new", {"a.txt": "a\n"})
    sandbox.world.push("acme/other", "new", {"a.txt": "a\n"})
    sandbox.settle()

    assert made.status_code == 201
    assert [(event, body["repository"]["full_name"]) for event, body in receiver.got] == [
        ("ping", "acme/rocket"),
        ("push", "acme/rocket"),
    ]
    assert rest("GET", "/hooks").json()[0]["config"]["url"] == HOOK


def test_an_unreachable_receiver_is_noted_and_not_tried_again(sandbox: Sandbox) -> None:
    sandbox.world.add_hook("http://127.0.0.1:9/", "x", events=["push"])
    sandbox.world.push("acme/rocket", "main", {"a.txt": "a\n"})

    sandbox.settle()
    sandbox.settle()

    (delivery,) = sandbox.world.deliveries
    assert (delivery.event, delivery.status_code) == ("push", None)
    assert delivery.error


def test_a_new_hook_is_pinged_and_what_it_was_sent_can_be_sent_again(sandbox: Sandbox, rest: Rest) -> None:
    receiver = Receiver()
    sandbox.world.webhooks.session.mount("http://queue.test", WsgiAdapter(receiver))
    hook = rest("POST", "/hooks", name="web", config={"url": HOOK, "secret": "x"}).json()["id"]
    sandbox.settle()
    (made,) = rest("GET", f"/hooks/{hook}/deliveries").json()

    again = rest("POST", f"/hooks/{hook}/deliveries/{made['id']}/attempts")
    sandbox.settle()
    newest, oldest = rest("GET", f"/hooks/{hook}/deliveries").json()
    whole = rest("GET", f"/hooks/{hook}/deliveries/{newest['id']}").json()

    assert receiver.names() == ["ping", "ping"]
    assert again.status_code == 202
    assert (newest["guid"], newest["redelivery"], oldest["redelivery"]) == (made["guid"], True, False)
    assert whole["request"]["payload"]["hook_id"] == hook
    assert whole["request"]["headers"]["X-GitHub-Delivery"] == made["guid"]
    assert rest("DELETE", f"/hooks/{hook}").status_code == 204
    assert rest("GET", f"/hooks/{hook}").status_code == 404


def test_an_event_may_come_twice_under_one_guid(sandbox: Sandbox, receiver: Receiver) -> None:
    fault = sandbox.world.faults.add("hook.dup", args={"n": 2})

    sandbox.world.open_issue("acme/rocket", "Freeze")
    sandbox.settle()

    assert (receiver.names(), fault.hits) == (["issues.opened"] * 3, 1)
    assert len({delivery.guid for delivery in sandbox.world.deliveries}) == 1


def test_events_may_come_in_another_order(sandbox: Sandbox, receiver: Receiver) -> None:
    fault = sandbox.world.faults.add("hook.shuffle", times=None, args={"window": 60})

    for title in "abcdefgh":
        sandbox.world.open_issue("acme/rocket", title)
    sandbox.clock.advance(60.0)

    titles = "".join(body["issue"]["title"] for _, body in receiver.got)
    assert (sorted(titles), fault.hits) == (list("abcdefgh"), 8)
    assert titles != "abcdefgh"


def test_what_is_too_large_is_never_delivered(
    sandbox: Sandbox, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mergeq.sandbox.webhooks.MAX_PAYLOAD", 20_000)

    sandbox.world.open_issue("acme/rocket", "Long", body="x" * 20_000)
    sandbox.world.open_issue("acme/rocket", "Short")
    sandbox.settle()

    assert [body["issue"]["title"] for _, body in receiver.got] == ["Short"]
    assert len(sandbox.world.deliveries) == 1


def test_a_dispatch_is_told_with_its_payload(sandbox: Sandbox, receiver: Receiver, rest: Rest) -> None:
    answer = rest("POST", "/dispatches", event_type="mergeq", client_payload={"ref": "main"})
    sandbox.settle()

    ((event, body),) = receiver.got
    assert (answer.status_code, event, body["action"], body["branch"]) == (204, "repository_dispatch", "mergeq", "main")
    assert body["client_payload"] == {"ref": "main"}
