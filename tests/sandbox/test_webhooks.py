from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from mergeq.sandbox import Sandbox, WsgiAdapter, webhooks
from tests.sandbox.conftest import Rest
from tests.sandbox.test_faults import switch_on

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


def test_an_event_may_come_twice_under_one_number(
    sandbox: Sandbox, session: requests.Session, receiver: Receiver
) -> None:
    switch_on(session, "hook.dup", args={"n": 2})
    sandbox.world.push("acme/rocket", "main", {"a.txt": "a\n"})
    sandbox.settle()

    assert receiver.names() == ["push"] * 3
    assert len({delivery.guid for delivery in sandbox.world.deliveries}) == 1


def test_an_event_may_come_after_later_ones(sandbox: Sandbox, session: requests.Session, receiver: Receiver) -> None:
    switch_on(session, "hook.shuffle", args={"window": 3})
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, fork="ana")
    sandbox.world.add_label(pull, "lgtm")
    sandbox.settle()
    early = receiver.names()
    sandbox.clock.advance(3)

    assert (early, receiver.names()) == (["pull_request.labeled"], ["pull_request.labeled", "pull_request.opened"])


def test_an_event_may_come_late_on_real_time_too(
    served: Sandbox, port: tuple[int, list[tuple[dict[str, str], bytes]]]
) -> None:
    number, got = port
    served.world.add_hook(f"http://127.0.0.1:{number}/hook", "s3cret", events=["pull_request"])
    served.world.faults.add("hook.shuffle", args={"window": 0.01})
    served.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})

    assert served.settle()
    assert len(got) == 1


@pytest.mark.parametrize("args", [{}, {"missing": True}, {"form": True}], ids=["wrong", "missing", "form"])
def test_a_signature_may_be_wrong_missing_or_of_a_form(
    served: Sandbox, port: tuple[int, list[tuple[dict[str, str], bytes]]], args: dict[str, bool]
) -> None:
    number, got = port
    served.world.add_hook(f"http://127.0.0.1:{number}/hook", "s3cret", events=["push"])
    served.world.faults.add("hook.badsig", args=args)
    served.world.push("acme/rocket", "main", {"a.txt": "a\n"})
    assert served.settle()

    ((headers, body),) = got
    right = "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    sent = headers.get("X-Hub-Signature-256")
    assert (sent == right, sent is None) == (bool(args.get("form")), bool(args.get("missing")))
    assert body.startswith(b"payload=%7B") == bool(args.get("form"))
    assert ("form" in headers["Content-Type"]) == bool(args.get("form"))


def test_an_event_that_is_too_big_is_not_sent_at_all(
    sandbox: Sandbox, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "MAX_PAYLOAD", 100)
    sandbox.world.push("acme/rocket", "main", {"a.txt": "a\n"})
    sandbox.settle()

    assert (receiver.got, sandbox.world.deliveries) == ([], [])


def test_deliveries_of_a_repositorys_hook_are_listed_and_repeated(
    sandbox: Sandbox, rest: Rest, session: requests.Session
) -> None:
    receiver = Receiver()
    sandbox.world.webhooks.session.mount("http://queue.test", WsgiAdapter(receiver))
    hook = rest("POST", "/hooks", name="web", events=["push"], config={"url": HOOK, "secret": "x"}).json()
    sandbox.settle()
    switch_on(session, "hook.drop")
    for number in range(3):
        sandbox.world.push("acme/rocket", "main", {"n.txt": f"{number}\n"})
        sandbox.settle()
    path = f"/hooks/{hook['id']}/deliveries"

    lost = rest("GET", f"{path}?status=failure").json()
    again = rest("POST", f"{path}/{lost[0]['id']}/attempts")
    sandbox.settle()
    repeated = rest("GET", f"{path}?redelivery=true").json()

    assert ([one["status_code"] for one in lost], again.status_code) == ([0], 202)
    assert [(one["guid"], one["status"]) for one in repeated] == [(lost[0]["guid"], "OK")]
    assert rest("GET", f"{path}/{lost[0]['id']}").json()["request"]["payload"]["ref"] == "refs/heads/main"
    assert rest("GET", f"{path}?cursor=x").status_code == 400
    assert [rest("GET", f"/hooks/99{tail}").status_code for tail in ("/deliveries", "/deliveries/1")] == [404, 404]


def test_a_new_hook_is_pinged_again_when_asked_and_hears_nothing_once_removed(sandbox: Sandbox, rest: Rest) -> None:
    receiver = Receiver()
    sandbox.world.webhooks.session.mount("http://queue.test", WsgiAdapter(receiver))
    hook = rest("POST", "/hooks", name="web", config={"url": HOOK, "secret": "x"}).json()["id"]
    again = rest("POST", f"/hooks/{hook}/pings")
    sandbox.settle()
    shown = rest("GET", f"/hooks/{hook}").json()

    gone = rest("DELETE", f"/hooks/{hook}")
    sandbox.world.push("acme/rocket", "main", {"a.txt": "a\n"})
    sandbox.settle()

    assert (again.status_code, receiver.names()) == (204, ["ping", "ping"])
    assert {body["hook_id"] for _, body in receiver.got} == {hook} == {shown["id"]}
    assert (gone.status_code, rest("GET", f"/hooks/{hook}").status_code) == (204, 404)


def test_a_dispatch_is_told_with_its_payload(sandbox: Sandbox, receiver: Receiver, rest: Rest) -> None:
    answer = rest("POST", "/dispatches", event_type="mergeq", client_payload={"ref": "main"})
    sandbox.settle()

    ((event, body),) = receiver.got
    assert (answer.status_code, event, body["action"], body["branch"]) == (204, "repository_dispatch", "mergeq", "main")
    assert body["client_payload"] == {"ref": "main"}
