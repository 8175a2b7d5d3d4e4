from __future__ import annotations

from typing import Any

import pytest

from mergeq.sandbox import Sandbox
from mergeq.sandbox.ids import node_id
from mergeq.sandbox.records import Pull, Settings
from tests.sandbox.conftest import Query


def act(query: Query, mutation: str, fields: str, **given: Any) -> Any:
    """Carry out ``mutation`` with an input, and ask for ``fields`` of its payload."""
    kind = mutation[0].upper() + mutation[1:]
    answer = query(f"mutation($input: {kind}Input!) {{ {mutation}(input: $input) {{ {fields} }} }}", input=given)
    return answer["data"][mutation] if "errors" not in answer else answer["errors"][0]


@pytest.fixture
def pull(sandbox: Sandbox) -> Pull:
    return sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, author="ana")


@pytest.fixture
def pull_id(query: Query, pull: Pull) -> str:
    found = query(f'{{ repository(owner: "acme", name: "rocket") {{ pullRequest(number: {pull.number}) {{ id }} }} }}')
    return str(found["data"]["repository"]["pullRequest"]["id"])


def test_a_pull_request_is_merged_with_the_guard_and_the_words_of_rest(query: Query, pull: Pull, pull_id: str) -> None:
    stale = act(query, "mergePullRequest", "actor { login }", pullRequestId=pull_id, expectedHeadOid="1" * 40)
    merged = act(
        query,
        "mergePullRequest",
        "actor { login } pullRequest { merged mergeCommit { message } }",
        pullRequestId=pull_id,
        expectedHeadOid=pull.head_sha,
        mergeMethod="SQUASH",
        commitHeadline="A (#1)",
        commitBody="because",
    )
    again = act(query, "mergePullRequest", "actor { login }", pullRequestId=pull_id)

    assert (stale["type"], stale["message"]) == (
        "UNPROCESSABLE",
        "Head branch was modified. Review and try the merge again.",
    )
    assert merged == {
        "actor": {"login": "mergeq-bot"},
        "pullRequest": {"merged": True, "mergeCommit": {"message": "A (#1)\n\nbecause"}},
    }
    assert again["message"] == "Pull Request is not mergeable"


def test_who_may_not_write_is_forbidden_to_change_a_pull_request(
    query: Query, sandbox: Sandbox, pull: Pull, pull_id: str
) -> None:
    sandbox.world.users.set_role("mergeq-bot", "read")

    refused = [
        act(query, name, "clientMutationId", pullRequestId=pull_id) for name in ("mergePullRequest", "closePullRequest")
    ]

    assert {answer["type"] for answer in refused} == {"FORBIDDEN"}
    assert pull.is_open


def test_who_sorts_may_label_but_not_merge(query: Query, sandbox: Sandbox, pull: Pull, pull_id: str) -> None:
    sandbox.world.users.set_role("mergeq-bot", "triage")
    lgtm = node_id("LA", sandbox.world.ensure_label(sandbox.world.repo("acme/rocket"), "lgtm").id)

    act(query, "addLabelsToLabelable", "clientMutationId", labelableId=pull_id, labelIds=[lgtm])
    refused = act(query, "mergePullRequest", "clientMutationId", pullRequestId=pull_id)

    assert (pull.labels, refused["type"], pull.is_open) == (["lgtm"], "FORBIDDEN", True)


def test_auto_merge_waits_for_what_stands_in_the_way(query: Query, sandbox: Sandbox, pull: Pull, pull_id: str) -> None:
    world, repo = sandbox.world, sandbox.world.repo("acme/rocket")
    world.protect("acme/rocket", "main", ["ci/test"])
    asked = {"pullRequestId": pull_id, "mergeMethod": "SQUASH"}
    shown = "pullRequest { autoMergeRequest { mergeMethod enabledBy { login } } }"

    not_allowed = act(query, "enablePullRequestAutoMerge", shown, **asked)
    repo.settings = Settings(allow_auto_merge=True)
    enabled = act(query, "enablePullRequestAutoMerge", shown, **asked)
    sandbox.settle()
    still_open = pull.is_open
    world.set_status("acme/rocket", pull.head_sha, context="ci/test")
    sandbox.settle()

    assert not_allowed["message"] == "Auto merge is not allowed for this repository"
    assert enabled["pullRequest"]["autoMergeRequest"] == {"mergeMethod": "SQUASH", "enabledBy": {"login": "mergeq-bot"}}
    assert (still_open, pull.merged) == (True, True)


def test_auto_merge_is_refused_where_nothing_stands_in_the_way_and_can_be_taken_back(
    query: Query, sandbox: Sandbox, pull: Pull, pull_id: str
) -> None:
    world = sandbox.world
    world.repo("acme/rocket").settings = Settings(allow_auto_merge=True)

    clean = act(query, "enablePullRequestAutoMerge", "clientMutationId", pullRequestId=pull_id)
    world.protect("acme/rocket", "main", required_reviews=1)
    act(query, "enablePullRequestAutoMerge", "clientMutationId", pullRequestId=pull_id)
    act(query, "disablePullRequestAutoMerge", "clientMutationId", pullRequestId=pull_id)
    world.review(pull, "ben")
    sandbox.settle()
    nothing = act(query, "disablePullRequestAutoMerge", "clientMutationId", pullRequestId=pull_id)

    assert clean["message"] == "Pull request is in clean status"
    assert pull.is_open
    assert nothing["type"] == "UNPROCESSABLE"


def test_there_is_no_merge_queue_to_put_anything_into(query: Query, pull_id: str) -> None:
    put = act(query, "enqueuePullRequest", "clientMutationId", pullRequestId=pull_id)
    taken = act(query, "dequeuePullRequest", "clientMutationId", id=pull_id)

    assert (put["type"], taken["type"]) == ("UNPROCESSABLE", "UNPROCESSABLE")


def test_a_pull_request_is_opened_edited_drafted_and_closed(query: Query, sandbox: Sandbox, pull_id: str) -> None:
    world = sandbox.world
    world.push("acme/rocket", "idea", {"idea.txt": "idea\n"})
    repo_id = query('{ repository(owner: "acme", name: "rocket") { id } }')["data"]["repository"]["id"]

    opened = act(
        query,
        "createPullRequest",
        "pullRequest { number isDraft headRefName }",
        repositoryId=repo_id,
        baseRefName="main",
        headRefName="idea",
        title="Idea",
        draft=True,
    )
    ready = act(query, "convertPullRequestToDraft", "pullRequest { isDraft }", pullRequestId=pull_id)
    edited = act(
        query, "updatePullRequest", "pullRequest { title body state }", pullRequestId=pull_id, title="B", body="b"
    )
    closed = act(query, "closePullRequest", "pullRequest { state closed }", pullRequestId=pull_id)
    reopened = act(query, "reopenPullRequest", "pullRequest { state }", pullRequestId=pull_id)
    marked = act(query, "markPullRequestReadyForReview", "pullRequest { isDraft }", pullRequestId=pull_id)

    assert opened == {"pullRequest": {"number": 2, "isDraft": True, "headRefName": "idea"}}
    assert ready == {"pullRequest": {"isDraft": True}}
    assert edited == {"pullRequest": {"title": "B", "body": "b", "state": "OPEN"}}
    assert closed == {"pullRequest": {"state": "CLOSED", "closed": True}}
    assert reopened == {"pullRequest": {"state": "OPEN"}}
    assert marked == {"pullRequest": {"isDraft": False}}


def test_labels_comments_reviews_and_threads_are_changed_by_id(
    query: Query, sandbox: Sandbox, pull: Pull, pull_id: str
) -> None:
    world = sandbox.world
    world.ensure_label(world.repo("acme/rocket"), "lgtm")
    world.open_thread(pull, "ben")
    found = query(
        """{ repository(owner: "acme", name: "rocket") { label(name: "LGTM") { id }
             pullRequest(number: 1) { reviewThreads(first: 9) { nodes { id } } } } }"""
    )["data"]["repository"]
    label, thread = found["label"]["id"], found["pullRequest"]["reviewThreads"]["nodes"][0]["id"]
    listed = "labelable { labels(first: 9) { nodes { name } } }"

    added = act(query, "addLabelsToLabelable", listed, labelableId=pull_id, labelIds=[label])
    removed = act(query, "removeLabelsFromLabelable", listed, labelableId=pull_id, labelIds=[label])
    unknown = act(query, "addLabelsToLabelable", listed, labelableId=pull_id, labelIds=["LA_nope"])
    said = act(query, "addComment", "commentEdge { node { body author { login } } }", subjectId=pull_id, body="hi")
    given = act(query, "addPullRequestReview", "pullRequestReview { state }", pullRequestId=pull_id, event="APPROVE")
    settled = act(query, "resolveReviewThread", "thread { isResolved resolvedBy { login } }", threadId=thread)
    taken_up = act(query, "unresolveReviewThread", "thread { isResolved }", threadId=thread)

    assert added == {"labelable": {"labels": {"nodes": [{"name": "lgtm"}]}}}
    assert removed == {"labelable": {"labels": {"nodes": []}}}
    assert unknown["type"] == "NOT_FOUND"
    assert said["commentEdge"]["node"] == {"body": "hi", "author": {"login": "mergeq-bot"}}
    assert given == {"pullRequestReview": {"state": "APPROVED"}}
    assert settled == {"thread": {"isResolved": True, "resolvedBy": {"login": "mergeq-bot"}}}
    assert taken_up == {"thread": {"isResolved": False}}


def test_branches_are_merged_and_refs_moved(query: Query, sandbox: Sandbox, pull: Pull) -> None:
    world = sandbox.world
    world.create_ref("acme/rocket", "refs/heads/scratch", pull.base_sha)
    found = query(
        '{ repository(owner: "acme", name: "rocket") { id ref(qualifiedName: "refs/heads/scratch") { id } } }'
    )["data"]["repository"]

    merged = act(
        query,
        "mergeBranch",
        "mergeCommit { parents(first: 2) { totalCount } }",
        repositoryId=found["id"],
        base="scratch",
        head=pull.head_sha,
    )
    nothing = act(
        query, "mergeBranch", "mergeCommit { oid }", repositoryId=found["id"], base="scratch", head=pull.head_sha
    )
    back = act(query, "updateRef", "ref { target { oid } }", refId=found["ref"]["id"], oid=pull.base_sha)
    forced = act(query, "updateRef", "ref { target { oid } }", refId=found["ref"]["id"], oid=pull.base_sha, force=True)

    assert merged == {"mergeCommit": {"parents": {"totalCount": 2}}}
    assert nothing == {"mergeCommit": None}
    assert (back["type"], back["message"]) == ("UNPROCESSABLE", "Update is not a fast forward")
    assert forced == {"ref": {"target": {"oid": pull.base_sha}}}


def test_issues_are_opened_closed_and_reopened(query: Query) -> None:
    repo_id = query('{ repository(owner: "acme", name: "rocket") { id } }')["data"]["repository"]["id"]

    opened = act(query, "createIssue", "issue { id title state }", repositoryId=repo_id, title="Freeze")
    issue = opened["issue"]["id"]
    closed = act(query, "closeIssue", "issue { state stateReason }", issueId=issue)
    reopened = act(query, "reopenIssue", "issue { state stateReason }", issueId=issue)

    assert (opened["issue"]["title"], opened["issue"]["state"]) == ("Freeze", "OPEN")
    assert closed == {"issue": {"state": "CLOSED", "stateReason": "COMPLETED"}}
    assert reopened == {"issue": {"state": "OPEN", "stateReason": None}}
