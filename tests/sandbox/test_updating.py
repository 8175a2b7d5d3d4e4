from __future__ import annotations

import pytest
import requests

from mergeq.sandbox import ManualClock, Sandbox
from mergeq.sandbox.git_objects import GITHUB
from mergeq.sandbox.records import Pull
from tests.sandbox.conftest import Query, Rest

UPDATE = """mutation Update($pull: ID!, $head: GitObjectID, $method: PullRequestBranchUpdateMethod) {
  updatePullRequestBranch(input: {pullRequestId: $pull, expectedHeadOid: $head, updateMethod: $method}) {
    pullRequest { number headRefOid } } }"""
LOOK = '{ repository(owner: "acme", name: "rocket") { pullRequest(number: 1) { id } } }'


def behind(sandbox: Sandbox, fork: str | None = None) -> Pull:
    """A pull request of two commits whose base has moved on."""
    steps = [{"a.txt": "a\n"}, {"b.txt": "b\n"}]
    pull = sandbox.world.open_pull("acme/rocket", title="Add", commits=steps, fork=fork)
    sandbox.world.push("acme/rocket", "main", {"c.txt": "c\n"})
    return pull


def let_pass(sandbox: Sandbox, seconds: float) -> None:
    assert isinstance(sandbox.clock, ManualClock)
    sandbox.clock.advance(seconds)


def said(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["message"]


@pytest.mark.parametrize("fork", [None, "ana"])
def test_a_branch_is_brought_up_to_date_a_little_later(sandbox: Sandbox, rest: Rest, fork: str | None) -> None:
    world = sandbox.world
    pull = behind(sandbox, fork)
    seen, base = pull.head_sha, world.repo("acme/rocket").git.tip("main")
    world.add_hook("http://127.0.0.1:9/", "x", events=["pull_request"])

    answer = rest("PUT", "/pulls/1/update-branch", expected_head_sha=seen)
    at_once = pull.head_sha
    let_pass(sandbox, world.update_delay)

    made = world.repo("acme/rocket").git.commit(pull.head_sha)
    assert said(answer) == (202, "Updating pull request branch.")
    assert (at_once, world.repo(pull.head_repo).git.tip(pull.head_ref)) == (seen, pull.head_sha)
    assert (made.parents, made.message) == ((seen, base), f"Merge branch 'main' into {pull.head_ref}")
    assert (made.author.name, made.committer, made.is_verified) == ("mergeq-bot", GITHUB, True)
    assert pull.last_pusher == "mergeq-bot"
    assert [(d.action, d.payload["before"]) for d in world.deliveries] == [("synchronize", seen)]


def test_a_branch_may_be_rebased_over_graphql(sandbox: Sandbox, query: Query) -> None:
    git = sandbox.world.repo("acme/rocket").git
    pull = behind(sandbox)
    base = str(git.tip("main"))
    identifier = query(LOOK)["data"]["repository"]["pullRequest"]["id"]

    answer = query(UPDATE, pull=identifier, head=pull.head_sha, method="REBASE")
    let_pass(sandbox, 1)

    assert answer["data"]["updatePullRequestBranch"]["pullRequest"]["number"] == 1
    commits = git.commits([sha for sha, _ in git.new_commits(base, pull.head_sha)])
    assert [info.message for info in commits] == ["Add (1 of 2)", "Add (2 of 2)"]
    assert (commits[0].parents, commits[0].author.name) == ((base,), "ana")
    assert [event.kind for event in pull.timeline] == ["HeadRefForcePushedEvent"]


def test_an_update_is_refused_in_the_words_of_github(sandbox: Sandbox, rest: Rest, query: Query) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Change", files={"engine.py": "ana\n"})
    words = "expected head sha didn\u2019t match current head ref."

    assert said(rest("PUT", "/pulls/1/update-branch", expected_head_sha="1" * 40)) == (422, words)
    assert said(rest("PUT", "/pulls/1/update-branch")) == (422, "There are no new commits on the base branch.")
    world.push("acme/rocket", "main", {"engine.py": "ben\n"})
    assert said(rest("PUT", "/pulls/1/update-branch")) == (422, "merge conflict between base and head")
    identifier = query(LOOK)["data"]["repository"]["pullRequest"]["id"]
    for method in ("MERGE", "REBASE"):
        refused = query(UPDATE, pull=identifier, method=method)["errors"][0]
        assert (refused["type"], refused["message"]) == ("UNPROCESSABLE", "merge conflict between base and head")
    assert pull.is_open


def test_a_fork_is_updated_only_by_whom_its_owner_lets_in(sandbox: Sandbox, rest: Rest, query: Query) -> None:
    pull = behind(sandbox, "zoe")
    pull.maintainer_can_modify = False
    words = "user doesn't have permission to update head repository."

    assert said(rest("PUT", "/pulls/1/update-branch")) == (403, words)
    identifier = query(LOOK)["data"]["repository"]["pullRequest"]["id"]
    assert query(UPDATE, pull=identifier)["errors"][0]["type"] == "FORBIDDEN"


def test_an_update_that_comes_too_late_does_nothing(sandbox: Sandbox, rest: Rest) -> None:
    pull = behind(sandbox)
    assert rest("PUT", "/pulls/1/update-branch").status_code == 202
    pushed = sandbox.world.push_to_pull(pull, {"d.txt": "d\n"})

    let_pass(sandbox, 1)

    assert pull.head_sha == pushed


def test_a_head_that_is_protected_is_not_updated(sandbox: Sandbox, rest: Rest) -> None:
    pull = behind(sandbox)
    sandbox.world.protect("acme/rocket", pull.head_ref, lock_branch=True)

    assert said(rest("PUT", "/pulls/1/update-branch")) == (422, "Cannot change this locked branch")
