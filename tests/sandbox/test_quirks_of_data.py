"""Quirks that need no switch: they stand in what a repository holds, and the sandbox shows them as GitHub does."""

from __future__ import annotations

import pytest

from mergeq.sandbox import Sandbox
from tests.sandbox.conftest import Query, Rest
from tests.sandbox.test_switches import said

_PULL = '{repository(owner: "acme", name: "rocket") { pullRequest(number: 1) { %s }}}'


def test_a_page_holds_a_hundred_labels_or_results_and_counts_them_all(sandbox: Sandbox, query: Query) -> None:
    labels = [f"area/{n}" for n in range(130)]
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"}, labels=labels)
    for n in range(150):
        sandbox.world.set_status("acme/rocket", pull.head_sha, context=f"job/{n}")
    page = "totalCount pageInfo { hasNextPage } nodes { __typename }"
    asked = f"labels(first: 100) {{ {page} }} statusCheckRollup {{ contexts(first: 100) {{ {page} }} }}"

    shown = query(_PULL % asked)["data"]["repository"]["pullRequest"]
    pages = (shown["labels"], shown["statusCheckRollup"]["contexts"])

    assert [(one["totalCount"], len(one["nodes"]), one["pageInfo"]["hasNextPage"]) for one in pages] == [
        (130, 100, True),
        (150, 100, True),
    ]


@pytest.mark.parametrize(
    ("status", "conclusion", "code"),
    [
        ("success", "failure", 405),
        ("failure", "success", 405),
        ("success", "neutral", 200),
        ("success", "skipped", 200),
    ],
)
def test_a_required_name_is_green_when_its_status_and_its_check_are(
    sandbox: Sandbox, rest: Rest, status: str, conclusion: str, code: int
) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    sandbox.world.protect("acme/rocket", "main", required_contexts=["e2e"])
    sandbox.world.set_status("acme/rocket", pull.head_sha, context="e2e", state=status)
    sandbox.world.set_check_run("acme/rocket", pull.head_sha, name="e2e", conclusion=conclusion)

    assert rest("PUT", "/pulls/1/merge").status_code == code


@pytest.mark.parametrize("conclusion", ["stale", "startup_failure", "action_required", "timed_out", "cancelled"])
def test_a_required_check_does_not_pass_by_another_conclusion(sandbox: Sandbox, rest: Rest, conclusion: str) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    sandbox.world.protect("acme/rocket", "main", required_contexts=["e2e"])
    sandbox.world.set_check_run("acme/rocket", pull.head_sha, name="e2e", conclusion=conclusion)

    assert rest("PUT", "/pulls/1/merge").status_code == 405


def test_a_required_context_that_never_reports_is_expected_for_ever(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    sandbox.world.protect("acme/rocket", "main", required_contexts=["dco"])

    assert said(rest("PUT", "/pulls/1/merge")) == (405, 'Required status check "dco" is expected.')


def test_two_pull_requests_may_have_one_head_and_share_its_results(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    world.push("acme/rocket", "next", {"n.txt": "n\n"})
    first = world.open_pull("acme/rocket", title="One", files={"a.txt": "a\n"}, head="feature")
    second = world.open_pull("acme/rocket", title="Two", base="next", head="feature")
    world.set_status("acme/rocket", first.head_sha, context="ci")

    shown = query(_PULL.replace("number: 1", "number: 2") % "headRefOid statusCheckRollup { state }")

    assert shown["data"]["repository"]["pullRequest"] == {
        "headRefOid": first.head_sha,
        "statusCheckRollup": {"state": "SUCCESS"},
    }
    assert second.base_ref == "next"


def test_what_a_branch_has_already_is_merged_into_it_without_a_commit(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.push("acme/rocket", "next", {"n.txt": "n\n"})

    answer = rest("POST", "/merges", base="next", head="main")

    assert (answer.status_code, answer.text) == (204, "")


def test_a_review_decides_nothing_where_none_is_required(sandbox: Sandbox, query: Query) -> None:
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    sandbox.world.review(pull, "ben")

    assert query(_PULL % "reviewDecision")["data"]["repository"]["pullRequest"] == {"reviewDecision": None}


def test_a_list_of_commits_ends_at_250(sandbox: Sandbox, rest: Rest) -> None:
    git = sandbox.world.repo("acme/rocket").git
    tip = git.commit(str(git.tip("main")))
    sha = tip.sha
    for n in range(251):
        sha = git.commit_tree(tip.tree, (sha,), f"Step {n}", author=tip.author, when=sandbox.clock.now() + n)
    sandbox.world.create_ref("acme/rocket", "refs/heads/long", sha)
    pull = sandbox.world.open_pull("acme/rocket", title="Long", head="long")

    pages = [rest("GET", f"/pulls/{pull.number}/commits?per_page=100&page={page}").json() for page in (1, 2, 3, 4)]

    assert [len(page) for page in pages] == [100, 100, 50, 0]
