from __future__ import annotations

from typing import Any

import pytest
import requests

from mergeq.sandbox import Sandbox
from tests.sandbox.conftest import BASE, Query, Rest

HEAD_MODIFIED = "Head branch was modified. Review and try the merge again."
BASE_MODIFIED = "Base branch was modified. Review and try the merge again."


def switch_on(session: requests.Session, name: str, **more: Any) -> None:
    answer = session.post(f"{BASE}/_sim/faults", json={"id": name, **more})
    assert answer.status_code == 201, answer.text


def hits(session: requests.Session) -> list[int]:
    return [fault["hits"] for fault in session.get(f"{BASE}/_sim/faults").json()]


def test_a_merge_may_land_and_yet_answer_with_an_error_page(
    sandbox: Sandbox, session: requests.Session, rest: Rest
) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    switch_on(session, "merge.lie_merged", match={"repo": "acme/rocket", "pr": 1}, args={"code": 504})

    answer = rest("PUT", "/pulls/1/merge")

    assert answer.status_code == 504
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "nginx" in answer.text
    assert pull.merged
    assert hits(session) == [1]


def test_a_merge_may_fail_without_landing(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    switch_on(session, "merge.5xx_nop")

    assert rest("PUT", "/pulls/1/merge").status_code == 502
    assert pull.is_open
    assert rest("PUT", "/pulls/1/merge").status_code == 200


def test_base_was_modified_may_be_said_for_a_while(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    switch_on(session, "merge.base_modified", times=2, after=1, match={"pr": 1})
    sandbox.world.protect("acme/rocket", "main", required_contexts=["x"])

    first = rest("PUT", "/pulls/1/merge").json()["message"]
    sandbox.world.unprotect("acme/rocket", "main")
    said = [rest("PUT", "/pulls/1/merge").json()["message"] for _ in range(3)]

    assert first == 'Required status check "x" is expected.'
    assert said == [BASE_MODIFIED, BASE_MODIFIED, "Pull Request successfully merged"]


def test_the_head_may_move_just_before(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    seen = pull.head_sha
    switch_on(session, "merge.head_push")

    answer = rest("PUT", "/pulls/1/merge", sha=seen)

    assert (answer.status_code, answer.json()["message"]) == (409, HEAD_MODIFIED)
    assert pull.head_sha != seen


def test_the_base_may_move_just_before_and_the_merge_goes_through(
    sandbox: Sandbox, session: requests.Session, rest: Rest
) -> None:
    git = sandbox.world.repo("acme/rocket").git
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    before = git.tip("main")
    switch_on(session, "merge.race_push", args={"files": {"raced.txt": "x\n"}})

    landed = git.commit(rest("PUT", "/pulls/1/merge").json()["sha"])

    assert landed.parents[0] != before
    assert git.commit(landed.parents[0]).parents == (before,)
    assert git.files_at(landed.sha, ["raced.txt", "a.txt"]).keys() == {"raced.txt", "a.txt"}


def test_the_base_may_move_just_before_and_the_merge_be_refused(
    sandbox: Sandbox, session: requests.Session, rest: Rest
) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    switch_on(session, "merge.race_push", args={"refuse": True})

    answer = rest("PUT", "/pulls/1/merge")

    assert (answer.status_code, answer.json()["message"]) == (405, BASE_MODIFIED)
    assert pull.is_open


def test_graphql_may_answer_with_an_error_page(session: requests.Session, query: Query) -> None:
    switch_on(session, "graphql.5xx", args={"code": 503})

    answer = session.post(f"{BASE}/graphql", json={"query": "{viewer{login}}"})

    assert (answer.status_code, "503 Service Unavailable" in answer.text) == (503, True)
    assert query("{viewer{login}}")["data"]


def test_posting_a_status_may_fail(sandbox: Sandbox, session: requests.Session, rest: Rest) -> None:
    tip = sandbox.world.repo("acme/rocket").git.tip("main")
    switch_on(session, "status.5xx", match={"repo": "acme/rocket"})

    assert rest("POST", f"/statuses/{tip}", state="success").status_code == 502
    assert rest("POST", f"/statuses/{tip}", state="success").status_code == 201


def test_a_webhook_may_get_lost(sandbox: Sandbox, session: requests.Session) -> None:
    sandbox.world.add_hook("http://127.0.0.1:9/", "x", events=["push"])
    switch_on(session, "hook.drop")
    sandbox.world.push("acme/rocket", "main", {"a.txt": "a\n"})
    sandbox.settle()

    assert [(d.status_code, d.error) for d in sandbox.world.deliveries] == [(None, "dropped by a fault")]


def test_faults_that_do_not_match_leave_everything_alone(
    sandbox: Sandbox, session: requests.Session, rest: Rest
) -> None:
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    switch_on(session, "merge.5xx_nop", match={"pr": 2})
    switch_on(session, "merge.5xx_nop", match={"repo": "acme/other"})

    assert rest("PUT", "/pulls/1/merge").status_code == 200
    assert hits(session) == [0, 0]


def test_a_fault_nobody_knows_is_refused(session: requests.Session) -> None:
    unknown = session.post(f"{BASE}/_sim/faults", json={"id": "merge.explode"})
    misspelt = session.post(f"{BASE}/_sim/faults", json={"id": "merge.5xx_nop", "mach": {}})

    assert (unknown.status_code, unknown.json()["message"]) == (422, "unknown fault merge.explode")
    assert (misspelt.status_code, misspelt.json()["message"]) == (422, "unknown key mach")


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_a_merge_may_land_another_tree_than_it_should(
    sandbox: Sandbox, session: requests.Session, rest: Rest, method: str
) -> None:
    git = sandbox.world.repo("acme/rocket").git
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"lib/a.txt": "a\n"})
    before = str(git.tip("main"))
    switch_on(session, "merge.wrong_tree", match={"pr": 1})

    landed = git.commit(rest("PUT", "/pulls/1/merge", merge_method=method).json()["sha"])

    assert (landed.parents[0], git.tip("main"), pull.merge_commit_sha) == (before, landed.sha, landed.sha)
    assert [entry.path for entry in git.entries(landed.tree)] == ["README.md", "engine.py", "lib", "stranger.txt"]
    git.git("fsck", "--strict")


def test_moving_a_ref_may_be_refused_without_a_reason(
    sandbox: Sandbox, session: requests.Session, rest: Rest, query: Query
) -> None:
    tip = sandbox.world.repo("acme/rocket").git.tip("main")
    repo = query('{repository(owner: "acme", name: "rocket") { id }}')["data"]["repository"]["id"]
    update = """mutation($repo: ID!, $oid: GitObjectID!) { updateRefs(input: {repositoryId: $repo,
      refUpdates: [{name: "refs/heads/x", afterOid: $oid}]}) { clientMutationId } }"""
    switch_on(session, "refs.opaque422", match={"repo": "acme/rocket"}, times=3)

    made = rest("POST", "/git/refs", ref="refs/heads/x", sha=tip)
    moved = rest("PATCH", "/git/refs/heads/main", sha=tip)
    both = query(update, repo=repo, oid=tip)["errors"][0]

    words = "Reference update failed"
    assert [(answer.status_code, answer.json()["message"]) for answer in (made, moved)] == [(422, words)] * 2
    assert (both["type"], both["message"]) == ("UNPROCESSABLE", words)
    assert rest("POST", "/git/refs", ref="refs/heads/x", sha=tip).status_code == 201
