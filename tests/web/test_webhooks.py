"""The intake as GitHub sees it: which answer each delivery gets, what it is counted as, and what it leaves behind."""

import hashlib
import hmac
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from mergeq.core.marks import Announced, Hint
from mergeq.core.pool import Arrival
from mergeq.core.pull import Branch
from mergeq.processes import EmbeddedRedis
from mergeq.sandbox import ManualClock, Sandbox
from mergeq.web import webhooks
from tests.conftest import CONFIG, READY, Mergeq

MAIN = Branch("acme", "rocket", "main")
REPO = {"repository": {"full_name": "acme/rocket", "id": 1}}
PUSH = {**REPO, "ref": "refs/heads/main", "before": "b" * 40}
OPEN_PULL = {"number": 7, "node_id": "PR_7", "updated_at": "2026-01-02T03:04:05Z", "base": {"ref": "main"}}
LABELED = {**REPO, "action": "labeled", "pull_request": OPEN_PULL}
HEAD, OTHER = "a" * 40, "c" * 40


def send(mergeq: Mergeq, event: str, payload: Any, delivery: str = "guid-1", **headers: str) -> TestResponse:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    secret = headers.pop("secret", "") or mergeq.services.settings.webhook_secrets[0]
    sent = {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        "X-GitHub-Hook-Installation-Target-Type": "organization",
        "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return mergeq.web.post("/webhooks/github", data=body, headers=sent)


def counted(mergeq: Mergeq) -> dict[str, int]:
    """Deliveries by what they were counted as."""
    found = mergeq.store.metrics()
    return {labels["result"]: int(value) for name, labels, value in found if name == "mergeq_webhooks_total"}


@pytest.fixture
def busy(github: Sandbox, mergeq: Mergeq) -> Mergeq:
    """One pull request that lacks a label is known on main."""
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "four\n"}, labels=READY[:1])
    github.settle()
    mergeq.sweep_and_work()
    mergeq.store.unmark(MAIN, mergeq.store.marks(MAIN))
    assert mergeq.store.is_idle()
    return mergeq


def test_what_is_touched_is_marked_and_sent_for_once(mergeq: Mergeq) -> None:
    first, second = send(mergeq, "pull_request", LABELED), send(mergeq, "pull_request", LABELED)

    assert [(one.status_code, one.get_json()["message"]) for one in (first, second)] == [
        (202, "queued"),
        (202, "duplicate"),
    ]
    (marked,) = mergeq.store.marks(MAIN).items()
    assert (marked[0], marked[1].node, marked[1].hints) == ("7", "PR_7", (Hint(Announced.UPDATED, at=1767323045.0),))
    assert len(mergeq.services.queue.job_ids) == 1
    assert counted(mergeq) == {"queued": 1, "duplicate": 1}
    assert mergeq.store.heard() == {"acme": mergeq.services.now()}


@pytest.mark.parametrize(
    ("event", "payload", "headers", "code", "result"),
    [
        pytest.param("push", PUSH, {"secret": "another"}, 401, "bad-signature", id="wrong secret"),
        pytest.param("push", PUSH, {"X_Hub_Signature_256": ""}, 401, "bad-signature", id="unsigned"),
        pytest.param(
            "push", PUSH, {"Content_Type": "application/x-www-form-urlencoded"}, 415, "wrong-type", id="a form"
        ),
        pytest.param("push", b"not json", {}, 400, "not-json", id="garbage"),
        pytest.param("push", b"[" * 100_000, {}, 400, "not-json", id="deep garbage"),
        pytest.param("push", b'{"a": "\xff"}', {}, 400, "not-json", id="no text"),
        pytest.param("push", b'{"a": NaN}', {}, 400, "not-json", id="no number"),
        pytest.param("", PUSH, {}, 400, "no-headers", id="no event"),
        pytest.param("push", PUSH, {"X_GitHub_Delivery": ""}, 400, "no-headers", id="no delivery"),
        pytest.param("push", PUSH, {"X_GitHub_Delivery": "x" * 101}, 400, "no-headers", id="an endless delivery"),
        pytest.param("ping", {"zen": "x"}, {}, 200, "ping", id="ping"),
        pytest.param("star", REPO, {}, 200, "ignored", id="an event that touches nothing"),
        pytest.param("pull_request", {**LABELED, "action": "locked"}, {}, 200, "ignored", id="an idle action"),
        pytest.param("telepathy", REPO, {}, 200, "unknown-event", id="an event of the future"),
        pytest.param(
            "push", {**PUSH, "repository": {"full_name": "other/repo"}}, {}, 200, "unknown-repository", id="not ours"
        ),
        pytest.param("push", ["what"], {}, 200, "unreadable", id="a list"),
        pytest.param("push", {**REPO, "ref": None}, {}, 200, "unreadable", id="no ref"),
        pytest.param("push", {**PUSH, "ref": "refs/heads/mergeq/main-0123"}, {}, 200, "ignored", id="a staging ref"),
    ],
)
def test_every_other_delivery_has_its_own_answer_and_count_and_marks_nothing(
    mergeq: Mergeq, event: str, payload: Any, headers: dict[str, str], code: int, result: str
) -> None:
    answer = send(mergeq, event, payload, **headers)

    assert answer.status_code == code
    assert answer.get_json()["message"]
    assert counted(mergeq) == {result: 1}
    assert mergeq.services.queue.job_ids == []
    assert mergeq.store.is_idle()


def test_more_than_github_sends_is_not_read(mergeq: Mergeq, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MAX_PAYLOAD", 100)

    answer = send(mergeq, "push", b"x" * 101)

    assert (answer.status_code, counted(mergeq)) == (413, {"too-large": 1})


def test_as_much_as_github_sends_is_read(mergeq: Mergeq) -> None:
    """Q69."""
    assert send(mergeq, "star", json.dumps({**REPO, "x": "x" * 24_000_000}).encode()).status_code == 200


def test_without_a_secret_no_webhook_is_believed(start_mergeq: Callable[..., Mergeq]) -> None:
    mergeq = start_mergeq(webhook_secrets=())

    assert send(mergeq, "push", PUSH, secret="any").status_code == 503
    assert counted(mergeq) == {"no-secret": 1}


def test_the_previous_secret_still_counts(start_mergeq: Callable[..., Mergeq]) -> None:
    mergeq = start_mergeq(webhook_secrets=("new", "old"))

    assert send(mergeq, "pull_request", LABELED, secret="old").status_code == 202


def test_ours_and_strangers_are_heard_of_whatever_they_say(mergeq: Mergeq) -> None:
    send(mergeq, "telepathy", {"organization": {"login": "hooli"}}, "1")
    send(mergeq, "ping", {"repository": {"full_name": "umbrella/rocket"}}, "2")
    send(mergeq, "pull_request", LABELED, "3", secret="another")

    assert set(mergeq.store.heard()) == {"hooli", "umbrella"}


@pytest.mark.parametrize(
    ("kind", "scope"),
    [("organization", "acme"), ("integration", "acme"), ("repository", "acme/rocket"), ("", "acme/rocket")],
)
def test_the_webhook_of_one_repository_says_nothing_of_others(mergeq: Mergeq, kind: str, scope: str) -> None:
    send(mergeq, "ping", REPO, X_GitHub_Hook_Installation_Target_Type=kind)

    assert set(mergeq.store.heard()) == {scope}


def test_a_push_marks_a_branch_on_which_something_is_open_and_no_other(busy: Mergeq) -> None:
    known = send(busy, "push", PUSH, "1")
    unknown = send(busy, "push", {**PUSH, "ref": "refs/heads/feature"}, "2")

    assert (known.status_code, unknown.status_code) == (202, 200)
    assert {field: one.hints for field, one in busy.store.marks(MAIN).items()} == {
        "tip": (Hint(Announced.MOVED, name="b" * 40),)
    }
    assert busy.store.marks(Branch("acme", "rocket", "feature")) == {}


def test_a_push_marks_a_branch_that_is_about_to_be_looked_at(mergeq: Mergeq) -> None:
    """What was read of it may be older than the push."""
    send(mergeq, "pull_request", LABELED, "1")
    marked = send(mergeq, "push", PUSH, "2")
    mergeq.store.claim(MAIN, mergeq.services.now())
    worked_on = send(mergeq, "push", PUSH, "3")

    assert (marked.status_code, worked_on.status_code) == (202, 202)
    assert set(mergeq.store.marks(MAIN)) == {"7", "tip"}


def test_a_result_marks_what_has_that_head_and_our_own_does_not(busy: Mergeq, github: Sandbox) -> None:
    head = github.world.pull("acme/rocket", 1).head_sha
    report = {**REPO, "sha": head, "context": "e2e", "state": "success", "created_at": "2026-01-02T03:04:05Z"}

    ours = send(busy, "status", {**report, "context": "tide"}, "1")
    strange = send(busy, "status", {**report, "sha": OTHER}, "2")
    theirs = send(busy, "status", report, "3")

    assert (ours.status_code, strange.status_code, theirs.status_code) == (200, 200, 202)
    assert {field: one.hints for field, one in busy.store.marks(MAIN).items()} == {
        "1": (Hint(Announced.REPORTED, at=1767323045.0, name="e2e", ended=True),)
    }


def test_a_pull_request_that_is_both_named_and_found_by_its_head_is_marked_once(busy: Mergeq, github: Sandbox) -> None:
    head = github.world.pull("acme/rocket", 1).head_sha
    named = {"number": 1, "base": {"ref": "main", "repo": {"id": 1}}, "head": {"sha": head}}
    run = {"id": 70, "name": "e2e", "status": "completed", "head_sha": head, "pull_requests": [named]}

    send(busy, "check_run", {**REPO, "action": "completed", "check_run": run})

    (marked,) = busy.store.marks(MAIN).values()
    assert marked.hints == (Hint(Announced.REPORTED, name="e2e", serial=70, ended=True),)


def test_a_blocker_marks_the_branches_that_are_known_and_a_renamed_label_all_that_is_on_them(busy: Mergeq) -> None:
    blocker = {**REPO, "action": "closed", "issue": {"labels": [{"name": "Tide/merge-blocker"}]}}

    send(busy, "issues", blocker, "1")
    by_blocker = set(busy.store.marks(MAIN))
    send(busy, "label", {**REPO, "action": "deleted"}, "2")

    assert (by_blocker, set(busy.store.marks(MAIN))) == ({"tip"}, {"tip", "all"})


@pytest.mark.parametrize("scope", [{"organization": {"login": "acme"}}, REPO])
def test_what_concerns_an_organization_marks_all_its_branches(busy: Mergeq, scope: dict[str, Any]) -> None:
    rules = {"action": "edited", "repository_ruleset": {"rules": []}}

    assert send(busy, "repository_ruleset", {**scope, **rules}).status_code == 202
    assert set(busy.store.marks(MAIN)) == {"tip"}


def test_where_the_app_comes_to_a_sweep_is_due_at_once(busy: Mergeq) -> None:
    assert busy.store.swept()

    answer = send(busy, "installation", {"action": "created", "installation": {"account": {"login": "hooli"}}})

    assert answer.status_code == 202
    assert busy.store.swept() == {}


def test_more_branches_than_can_be_sent_for_at_once_are_left_to_the_tick(
    busy: Mergeq, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mergeq.jobs._AT_ONCE", 0)

    answer = send(busy, "label", {**REPO, "action": "deleted"})

    assert (answer.status_code, busy.services.queue.job_ids) == (202, [])
    assert busy.store.overdue(busy.services.now() + 10, 5) == [MAIN]


def arrived(action: str, head: str, at: str) -> dict[str, Any]:
    pull = {**OPEN_PULL, "head": {"sha": head}, "created_at": at, "updated_at": at}
    return {**REPO, "action": action, "pull_request": pull}


def test_a_head_that_is_known_to_have_come_keeps_its_time_whatever_comes_later_or_late(mergeq: Mergeq) -> None:
    """D17, Q68: neither a repetition nor an older push that is announced after a newer one says when a head came."""
    send(mergeq, "pull_request", arrived("opened", HEAD, "2026-01-01T00:00:01Z"), "1")
    first = mergeq.store.arrivals("acme/rocket")
    send(mergeq, "pull_request", arrived("synchronize", OTHER, "2026-01-01T00:00:09Z"), "2")
    send(mergeq, "pull_request", arrived("synchronize", OTHER, "2026-01-01T00:00:20Z"), "3")
    send(mergeq, "pull_request", arrived("synchronize", HEAD, "2026-01-01T00:00:05Z"), "4")

    assert first == {7: Arrival(HEAD, 1767225601.0, original=True)}
    assert mergeq.store.arrivals("acme/rocket") == {7: Arrival(OTHER, 1767225609.0)}


def test_deliveries_in_any_order_leave_the_same_to_be_read(mergeq: Mergeq) -> None:
    """Q68."""
    events = [("pull_request", LABELED), ("pull_request", {**LABELED, "action": "closed"}), ("push", PUSH)]
    for number, (event, payload) in enumerate(events):
        send(mergeq, event, payload, f"a{number}")
    forwards = set(mergeq.store.marks(MAIN))
    mergeq.store.unmark(MAIN, mergeq.store.marks(MAIN))
    for number, (event, payload) in enumerate(reversed(events)):
        send(mergeq, event, payload, f"b{number}")

    assert forwards == set(mergeq.store.marks(MAIN)) == {"7", "tip"}


def test_an_invalid_configuration_on_disk_stops_no_delivery_and_is_looked_for_once_a_second(
    mergeq: Mergeq, tmp_path: Path, clock: ManualClock
) -> None:
    send(mergeq, "pull_request", LABELED, "1")
    file = tmp_path / "config.yaml"
    (tmp_path / "new").write_text(CONFIG.replace("[acme]", "[hooli]"))
    (tmp_path / "new").replace(file)

    within = send(mergeq, "pull_request", LABELED, "2").get_json()
    clock.advance(1)
    after = send(mergeq, "pull_request", LABELED, "3").get_json()

    assert (within["message"], after["message"]) == ("queued", "unknown-repository")


def test_what_an_answer_may_wait_for_redis_in_all_is_two_seconds(mergeq: Mergeq) -> None:
    """Connecting, a password, a database, and the one command; whatever is slower is away."""
    allowed = mergeq.services.in_haste().queue.connection.connection_pool.connection_kwargs

    assert allowed["socket_connect_timeout"] + 3 * allowed["socket_timeout"] <= 2
    assert allowed["retry"].get_retries() == 0


@contextmanager
def stopped(server: EmbeddedRedis) -> Iterator[None]:
    """A Redis that takes connections and says nothing."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_when_redis_is_away_github_is_told_to_come_again(start_mergeq: Callable[..., Mergeq], tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "away") as server:
        mergeq = start_mergeq(redis_url=server.url)

    with capture_logs() as log:
        genuine, false = send(mergeq, "push", PUSH), send(mergeq, "push", PUSH, secret="another")
        wide = send(mergeq, "label", {**REPO, "action": "deleted"})

    assert (genuine.status_code, false.status_code, wide.status_code) == (503, 401, 503)
    assert genuine.get_json() == {"message": "Redis does not answer; deliver it again later"}
    assert sorted((line["event"], line["error"]) for line in log) == [
        ("webhook not counted", "ConnectionError"),
        ("webhook not taken", "ConnectionError"),
        ("webhook not taken", "ConnectionError"),
    ]
    assert not any("exc_info" in line for line in log)


def test_a_redis_that_says_nothing_is_not_waited_for_and_the_delivery_can_come_again(
    start_mergeq: Callable[..., Mergeq], tmp_path: Path
) -> None:
    with EmbeddedRedis(tmp_path / "slow") as server:
        mergeq = start_mergeq(redis_url=server.url)
        send(mergeq, "ping", REPO, "0")
        with stopped(server):
            codes = [send(mergeq, "pull_request", LABELED, "1").status_code for _ in range(2)]
        again = send(mergeq, "pull_request", LABELED, "1")

        assert codes == [503, 503]
        assert again.status_code == 202
        assert "7" in mergeq.store.marks(MAIN)


def test_whatever_else_goes_wrong_is_said_in_a_sentence_and_logged(
    mergeq: Mergeq, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mergeq.services.followed, "_in_force", None)

    with capture_logs() as log:
        answer = send(mergeq, "push", PUSH)

    assert answer.status_code == 503
    assert answer.get_json() == {"message": "mergeq could not answer; its log says why. Deliver it again later"}
    assert [(line["event"], line["error"]) for line in log] == [("webhook failed", "AttributeError")]


def test_nobody_reads_where_github_delivers(mergeq: Mergeq) -> None:
    answer = mergeq.web.get("/webhooks/github")

    assert (answer.status_code, answer.get_json()) == (405, {"message": "GitHub delivers here, by POST"})


def test_what_was_marked_is_taken_even_if_it_could_not_be_sent_for(mergeq: Mergeq) -> None:
    mergeq.services.queue.connection.set("rq:queues", "not a set")  # RQ cannot note its queue

    answer = send(mergeq, "pull_request", LABELED)

    assert (answer.status_code, mergeq.services.queue.job_ids) == (202, [])
    assert mergeq.store.overdue(mergeq.services.now() + 10, 5) == [MAIN]
