"""The quirks of searching, of checks and of older servers, each switched on by its name and seen to happen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import requests

from mergeq.sandbox import Sandbox
from mergeq.sandbox.records import Pull
from mergeq.sandbox.refusals import RefusedError
from tests.sandbox.conftest import BASE, Query, Rest
from tests.sandbox.test_switches import do, hits, let_pass, switch_on

_SEARCH = """query($q: String!, $after: String) { search(type: ISSUE, first: 2, query: $q, after: $after) {
  issueCount pageInfo { endCursor } nodes { ... on PullRequest { number } } } }"""


@pytest.fixture
def pull(sandbox: Sandbox) -> Pull:
    return sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, head="feature")


def shown(query: Query, fields: str) -> Any:
    return query(f'{{repository(owner: "acme", name: "rocket") {{ pullRequest(number: 1) {{ {fields} }}}}}}')["data"][
        "repository"
    ]["pullRequest"]


def found(query: Query, text: str, after: str | None = None) -> list[int]:
    return [node["number"] for node in query(_SEARCH, q=text, after=after)["data"]["search"]["nodes"]]


def test_a_pull_request_may_not_be_found_yet(sandbox: Sandbox, session: requests.Session, query: Query) -> None:
    switch_on(session, "read.not_yet", args={"ms": 2000}, times=None)
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    listed = '{repository(owner: "acme", name: "rocket") { pullRequests(first: 5) { nodes { number }}}}'

    missing = query('{repository(owner: "acme", name: "rocket") { pullRequest(number: 1) { number }}}')
    nodes = query(listed)["data"]["repository"]["pullRequests"]["nodes"]
    let_pass(sandbox, 2)

    assert (missing["errors"][0]["type"], nodes, hits(session)) == ("NOT_FOUND", [], [2])
    assert shown(query, "number") == {"number": 1}


def test_the_head_may_be_anywhere_among_the_commits(
    sandbox: Sandbox, session: requests.Session, rest: Rest, query: Query, pull: Pull
) -> None:
    head = sandbox.world.push_to_pull(pull, {"b.txt": "b\n"})
    switch_on(session, "commits.shuffle", match={"pr": 1}, times=2)

    last = shown(query, "commits(last: 1) { nodes { commit { oid }}}")["commits"]["nodes"][0]["commit"]["oid"]
    listed = [commit["sha"] for commit in rest("GET", "/pulls/1/commits").json()]

    assert (last != head, listed[0], pull.head_sha, hits(session)) == (True, head, head, [2])


@pytest.mark.parametrize("text", ["is:pr repo:acme/rocket repo:acme/other", "is:pr repo:acme/rocket" + " is:open" * 30])
def test_search_finds_nothing_where_it_is_asked_for_too_much(
    session: requests.Session, query: Query, pull: Pull, text: str
) -> None:
    switch_on(session, "search.strict_2025", times=None)

    assert (found(query, text), hits(session)) == ([], [1])
    assert (found(query, "is:pr repo:acme/rocket"), hits(session)) == ([pull.number], [1])


def test_several_repositories_were_once_any_of_them(session: requests.Session, query: Query, pull: Pull) -> None:
    two = "is:pr repo:acme/rocket repo:acme/other"
    now = found(query, two)
    switch_on(session, "search.legacy_or")

    assert (now, found(query, two), hits(session)) == ([], [pull.number], [1])


def test_search_may_show_fewer_than_it_counts(sandbox: Sandbox, session: requests.Session, query: Query) -> None:
    for n in range(3):
        sandbox.world.open_pull("acme/rocket", title=f"{n}", files={f"{n}.txt": "a\n"})
    switch_on(session, "search.cap", args={"n": 1})

    page = query(_SEARCH, q="is:pr repo:acme/rocket")["data"]["search"]

    assert (page["issueCount"], len(page["nodes"]), hits(session)) == (3, 1, [1])


def test_hits_may_move_from_page_to_page(sandbox: Sandbox, session: requests.Session, query: Query) -> None:
    for n in range(4):
        sandbox.world.open_pull("acme/rocket", title=f"{n}", files={f"{n}.txt": "a\n"})
    switch_on(session, "search.shift")

    first = query(_SEARCH, q="is:pr repo:acme/rocket")["data"]["search"]
    second = found(query, "is:pr repo:acme/rocket", first["pageInfo"]["endCursor"])

    assert ([node["number"] for node in first["nodes"]], second, hits(session)) == ([4, 3], [1, 4], [1])


def test_a_superseded_run_stays_in_its_suite(sandbox: Sandbox, session: requests.Session, pull: Pull) -> None:
    do(session, "checks.superseded", pr=1)

    runs = sandbox.world.repo("acme/rocket").latest_runs(pull.head_sha)

    assert [(run.name, run.conclusion, run.suite.app.slug) for run in runs] == [
        ("e2e", "failure", "sandbox-ci"),
        ("e2e", "success", "sandbox-ci"),
    ]
    assert runs[0].suite is not runs[1].suite


def test_two_apps_may_use_one_name(sandbox: Sandbox, session: requests.Session, pull: Pull) -> None:
    do(session, "checks.same_name", pr=1)

    runs = sandbox.world.repo("acme/rocket").latest_runs(pull.head_sha)

    assert {(run.suite.app.slug, run.conclusion) for run in runs} == {
        ("sandbox-ci", "success"),
        ("other-ci", "failure"),
    }


def test_a_green_status_may_turn_red_again(sandbox: Sandbox, session: requests.Session, pull: Pull) -> None:
    repo = sandbox.world.repo("acme/rocket")
    sandbox.world.set_status(repo, pull.head_sha, context="ci/test", state="success")
    switch_on(session, "checks.flip", match={"repo": "acme/rocket", "pr": 1}, args={"at": 5000})
    before = (repo.latest_statuses(pull.head_sha)[0].state, hits(session))
    let_pass(sandbox, 5)

    assert before == ("success", [0])
    assert (repo.latest_statuses(pull.head_sha)[0].state, hits(session)) == ("failure", [1])


def test_a_locked_conversation_takes_statuses_but_no_comments_of_readers(
    sandbox: Sandbox, session: requests.Session, rest: Rest, query: Query, pull: Pull
) -> None:
    do(session, "pr.lock", pr=1)

    sandbox.world.users.set_role("zoe", "read")
    with pytest.raises(RefusedError, match="locked"):
        sandbox.world.comment(pull, "hi", by="zoe")
    assert rest("POST", f"/statuses/{pull.head_sha}", state="success").status_code == 201
    assert (rest("GET", "/pulls/1").json()["locked"], shown(query, "locked")) == (True, {"locked": True})


def test_github_may_be_asked_to_merge_when_it_can(
    sandbox: Sandbox, session: requests.Session, query: Query, pull: Pull
) -> None:
    repo = sandbox.world.repo("acme/rocket")
    repo.settings = replace(repo.settings, allow_auto_merge=True)
    sandbox.world.protect("acme/rocket", "main", required_contexts=["ci"])
    do(session, "pr.auto_merge", pr=1, by="zoe", method="squash")
    also = shown(query, "autoMergeRequest { mergeMethod enabledBy { login } }")["autoMergeRequest"]
    waited = pull.is_open
    sandbox.world.set_status("acme/rocket", pull.head_sha, context="ci", state="success")
    let_pass(sandbox, 60)

    assert also == {"mergeMethod": "SQUASH", "enabledBy": {"login": "zoe"}}
    assert (waited, pull.merged, pull.merged_by) == (True, True, "zoe")


def test_a_label_may_be_taken_off_in_three_ways(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, labels=("x", "y", "z"))
    answers = [rest("DELETE", "/issues/1/labels/x")]
    for code, label in ((204, "y"), (404, "z")):
        switch_on(session, "labels.remove", args={"code": code})
        answers.append(rest("DELETE", f"/issues/1/labels/{label}"))

    assert [answer.status_code for answer in answers] == [200, 204, 404]
    assert answers[0].json() != []
    assert answers[2].json()["message"] == "Label does not exist"
    assert (pull.labels, hits(session)) == ([], [1, 1])


def test_an_older_server_knows_less_and_tells_no_limits(session: requests.Session, query: Query, pull: Pull) -> None:
    assert pull.is_open
    with_limits = session.get(f"{BASE}/repos/acme/rocket").headers
    switch_on(session, "profile.ghes", times=None)
    look = '{repository(owner: "acme", name: "rocket") { pullRequest(number: 1) { number mergeStateStatus }}}'

    error = query(look)["errors"][0]
    fields = query('{ __type(name: "PullRequest") { fields { name } } }')["data"]["__type"]["fields"]

    assert "'mergeStateStatus' on type 'PullRequest'" in error["message"]
    assert {"name": "mergeable"} in fields
    assert {"name": "mergeStateStatus"} not in fields
    assert "X-RateLimit-Remaining" in with_limits
    assert "X-RateLimit-Remaining" not in session.get(f"{BASE}/repos/acme/rocket").headers
    assert hits(session)[0] > 0


def test_fields_may_say_what_no_schema_knows(session: requests.Session, query: Query, pull: Pull) -> None:
    assert pull.is_open
    switch_on(session, "schema.future", args={"field": "mergeStateStatus"})

    assert [shown(query, "mergeStateStatus")["mergeStateStatus"] for _ in range(2)] == ["PHASE_OF_THE_MOON", "CLEAN"]
    assert hits(session) == [1]
