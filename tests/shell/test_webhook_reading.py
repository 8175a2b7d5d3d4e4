"""What GitHub answers, read: GraphQL nodes."""

from typing import Any

import pytest

from mergeq.core.pull import Blocker, Context, Mergeable, Method, Protection, PullRequest, Result
from mergeq.github import parse

HEAD = "a" * 40


def status_node(**changes: Any) -> dict[str, Any]:
    return {
        "__typename": "StatusContext",
        "context": "ci/test",
        "state": "SUCCESS",
        "description": "passed",
        "targetUrl": "https://ci.test/1",
        "createdAt": "2026-01-02T03:04:05Z",
        **changes,
    }


def check_node(**changes: Any) -> dict[str, Any]:
    return {
        "__typename": "CheckRun",
        "databaseId": 77,
        "name": "build",
        "status": "COMPLETED",
        "conclusion": "SUCCESS",
        "startedAt": "2026-01-02T03:04:05Z",
        "completedAt": None,
        "detailsUrl": "https://ci.test/2",
        "checkSuite": {"app": {"slug": "github-actions"}},
        **changes,
    }


def rollup(*nodes: dict[str, Any], oid: str = HEAD, total: int | None = None) -> dict[str, Any]:
    return {
        "commit": {"oid": oid},
        "contexts": {"totalCount": len(nodes) if total is None else total, "nodes": [*nodes]},
    }


def pull_node(**changes: Any) -> dict[str, Any]:
    return {
        "number": 7,
        "state": "OPEN",
        "isDraft": False,
        "title": "Add an engine",
        "url": "https://github.test/acme/rocket/pull/7",
        "updatedAt": "2026-01-02T03:04:05Z",
        "author": {"login": "ana"},
        "baseRefName": "main",
        "headRefName": "engine",
        "headRefOid": HEAD,
        "mergeable": "MERGEABLE",
        "mergeStateStatus": "CLEAN",
        "canBeRebased": True,
        "reviewDecision": "APPROVED",
        "isInMergeQueue": False,
        "isMergeQueueEnabled": False,
        "autoMergeRequest": None,
        "repository": {"name": "rocket", "owner": {"login": "acme"}},
        "milestone": {"title": "v1"},
        "labels": {"totalCount": 1, "nodes": [{"name": "lgtm"}]},
        "reviews": {
            "nodes": [
                {"author": {"login": "bo"}, "authorAssociation": "MEMBER", "state": "APPROVED", "commit": {"oid": HEAD}}
            ],
        },
        "statusCheckRollup": rollup(status_node()),
        "createdAt": "2026-01-01T03:04:05Z",
        "authorAssociation": "CONTRIBUTOR",
        "isCrossRepository": True,
        "headRepository": {"name": "rocket"},
        "headRef": {"target": {"oid": HEAD}},
        "headRepositoryOwner": {"login": "ana"},
        "maintainerCanModify": False,
        "reviewThreads": {"totalCount": 2, "nodes": [{"isResolved": True}, {"isResolved": False}]},
        "commits": {"totalCount": 3},
        "files": {"totalCount": 1, "nodes": [{"path": "engine.txt"}]},
        "timelineItems": {
            "pageInfo": {"hasPreviousPage": False},
            "nodes": [{"__typename": "LabeledEvent", "createdAt": "2026-01-02T03:04:05Z", "label": {"name": "LGTM"}}],
        },
        **changes,
    }


def read(**changes: Any) -> PullRequest:
    """A pull request that must be readable."""
    found = parse.pull(pull_node(**changes))
    assert found is not None
    return found


def test_a_pull_request_is_read_whole() -> None:
    at = 1767323045.0

    assert read() == PullRequest(
        org="acme",
        repo="rocket",
        number=7,
        base="main",
        head_sha=HEAD,
        head_ref="engine",
        title="Add an engine",
        author="ana",
        labels=("lgtm",),
        contexts=(Context("ci/test", Result.SUCCESS, None, at, 0, "passed", "https://ci.test/1"),),
        milestone="v1",
        is_draft=False,
        is_open=True,
        mergeable=Mergeable.MERGEABLE,
        merge_state="CLEAN",
        can_be_rebased=True,
        review_decision="APPROVED",
        in_merge_queue=False,
        url="https://github.test/acme/rocket/pull/7",
        created_at=at - 86400,
        updated_at=at,
        approvers=("bo",),
        label_times=(("lgtm", at),),
        unresolved_threads=1,
        is_fork=True,
        by_writer=False,
        paths=("engine.txt",),
        steps=3,
        head_owner="ana",
        was_forced=False,
    )


def test_a_pull_request_with_more_labels_than_were_sent_is_not_judged() -> None:
    """Q33: the label that forbids may be among the rest."""
    assert parse.pull(pull_node(labels={"totalCount": 130, "nodes": [{"name": f"l{i}"} for i in range(100)]})) is None


@pytest.mark.parametrize("field", sorted(pull_node()))
def test_a_pull_request_that_lacks_a_field_is_not_judged(field: str) -> None:
    """Q3: partial data."""
    node = pull_node()
    del node[field]

    assert parse.pull(node) is None


@pytest.mark.parametrize("field", ["labels", "reviews", "repository"])
def test_a_pull_request_with_an_unreadable_part_is_not_judged(field: str) -> None:
    assert parse.pull(pull_node(**{field: None})) is None


def test_a_label_that_could_not_be_read_makes_the_pull_request_unreadable() -> None:
    assert parse.pull(pull_node(labels={"totalCount": 2, "nodes": [{"name": "lgtm"}, None]})) is None


def test_a_context_that_could_not_be_read_makes_the_pull_request_unreadable() -> None:
    node = rollup(status_node())
    node["contexts"]["nodes"].append(None)
    node["contexts"]["totalCount"] = 2

    assert parse.pull(pull_node(statusCheckRollup=node)) is None


def test_a_deleted_author_is_the_ghost() -> None:
    """Q32."""
    assert read(author=None).author == "ghost"


def test_a_pull_request_without_milestone_has_none() -> None:
    assert read(milestone=None).milestone is None


@pytest.mark.parametrize("state", ["CLOSED", "MERGED", "SOMETHING_NEW"])
def test_a_pull_request_in_any_other_state_is_not_open(state: str) -> None:
    """T12.4."""
    assert not read(state=state).is_open


def test_whoever_told_github_to_merge_by_itself_is_read() -> None:
    assert read(autoMergeRequest={"enabledBy": {"login": "ana"}}).auto_merge_by == "ana"


@pytest.mark.parametrize("field", ["isInMergeQueue", "isMergeQueueEnabled"])
def test_github_s_own_merge_queue_is_seen(field: str) -> None:
    """T12.30."""
    assert read(**{field: True}).in_merge_queue


def test_words_that_github_may_add_do_not_break_the_reading() -> None:
    found = read(mergeable="PERHAPS", mergeStateStatus="HALF_CLEAN", reviewDecision="MAYBE")

    assert (found.mergeable, found.merge_state, found.review_decision) == (Mergeable.UNKNOWN, "HALF_CLEAN", "MAYBE")


def test_approvals_count_for_this_head_alone_and_once_each() -> None:
    """D17."""

    def review(login: str | None, oid: str | None, role: str = "MEMBER") -> dict[str, Any]:
        return {
            "author": login and {"login": login},
            "authorAssociation": role,
            "state": "APPROVED",
            "commit": oid and {"oid": oid},
        }

    nodes = [review("bo", HEAD), review("cy", "b" * 40), review("bo", HEAD), review("di", None), review(None, HEAD)]
    nodes.append(review("eve", HEAD, "CONTRIBUTOR"))

    assert read(reviews={"nodes": nodes}).approvers == ("bo", "ghost")


def test_what_could_not_be_read_in_full_counts_against_the_pull_request() -> None:
    """D8, D17, D21."""
    earlier = {"pageInfo": {"hasPreviousPage": True}, "nodes": []}

    assert read(files={"totalCount": 101, "nodes": [{"path": "a"}]}).paths is None
    assert read(files=None).paths is None
    assert read(reviewThreads={"totalCount": 101, "nodes": []}).unresolved_threads == 101
    assert read(timelineItems=earlier).was_forced is True
    assert read(timelineItems={**earlier, "pageInfo": {"hasPreviousPage": False}}).was_forced is False


def test_a_forced_push_is_remembered() -> None:
    events = {"pageInfo": {"hasPreviousPage": False}, "nodes": [{"__typename": "HeadRefForcePushedEvent"}]}

    assert read(timelineItems=events).was_forced is True


# Contexts


def test_a_head_on_which_nothing_reported_has_no_contexts() -> None:
    assert read(statusCheckRollup=None).contexts == ()
    assert read(statusCheckRollup=rollup()).contexts == ()


def test_contexts_of_another_commit_are_not_taken_for_those_of_the_head() -> None:
    """Q23."""
    assert read(statusCheckRollup=rollup(status_node(), oid="b" * 40)).contexts is None


def test_more_contexts_than_were_sent_are_unreadable() -> None:
    """Q34: a failure may be among the rest."""
    nodes = [status_node(context=f"ci/{i}") for i in range(100)]

    assert read(statusCheckRollup=rollup(*nodes, total=150)).contexts is None


def result(node: dict[str, Any]) -> Result:
    found = parse.contexts(rollup(node), HEAD)
    assert found is not None
    return found[0].result


@pytest.mark.parametrize(
    ("state", "expected_result"),
    [
        ("SUCCESS", Result.SUCCESS),
        ("PENDING", Result.PENDING),
        ("FAILURE", Result.FAILURE),
        ("ERROR", Result.ERROR),
        ("EXPECTED", Result.EXPECTED),
        ("SOMETHING_NEW", Result.ERROR),
    ],
)
def test_a_status_says_what_its_state_says_and_an_unknown_state_is_not_green(
    state: str, expected_result: Result
) -> None:
    assert result(status_node(state=state)) is expected_result


@pytest.mark.parametrize("conclusion", ["SUCCESS", "NEUTRAL", "SKIPPED"])
def test_a_completed_check_run_passes_by_these_conclusions(conclusion: str) -> None:
    """T3.19, T11.118."""
    assert result(check_node(conclusion=conclusion)) is Result.SUCCESS


@pytest.mark.parametrize(
    "conclusion",
    ["FAILURE", "CANCELLED", "TIMED_OUT", "ACTION_REQUIRED", "STALE", "STARTUP_FAILURE", "SOMETHING_NEW", "", None],
)
def test_a_completed_check_run_fails_by_every_other_conclusion(conclusion: str | None) -> None:
    """T3.19, T11.119."""
    assert result(check_node(conclusion=conclusion)) is Result.FAILURE


@pytest.mark.parametrize("status", ["QUEUED", "IN_PROGRESS", "WAITING", "PENDING", "REQUESTED", "SOMETHING_NEW", None])
@pytest.mark.parametrize("conclusion", [None, "SUCCESS"])
def test_a_check_run_that_is_not_completed_is_pending(status: str | None, conclusion: str | None) -> None:
    """T3.19, T11.117, T11.132."""
    assert result(check_node(status=status, conclusion=conclusion)) is Result.PENDING


def test_a_check_run_is_read_with_its_app_and_its_place_in_time() -> None:
    """D18."""
    assert parse.contexts(rollup(check_node()), HEAD) == (
        Context("build", Result.SUCCESS, "github-actions", 1767323045.0, 77, "", "https://ci.test/2", "success"),
    )


@pytest.mark.parametrize(
    "changes",
    [{"checkSuite": None}, {"checkSuite": {"app": None}}, {"checkSuite": {"app": {"slug": None}}}],
    ids=["no suite", "no app", "no slug"],
)
def test_a_check_run_of_an_unknown_app_is_still_a_check_run(changes: dict[str, Any]) -> None:
    found = parse.contexts(rollup(check_node(**changes)), HEAD)

    assert found is not None
    assert found[0].app is not None


def test_a_check_run_may_lack_what_is_only_for_show() -> None:
    found = parse.contexts(rollup(check_node(startedAt=None, databaseId=None, detailsUrl=None)), HEAD)

    assert found == (Context("build", Result.SUCCESS, "github-actions", conclusion="success"),)


def test_a_status_may_lack_what_is_only_for_show() -> None:
    found = parse.contexts(rollup(status_node(description=None, targetUrl=None)), HEAD)

    assert found == (Context("ci/test", Result.SUCCESS, at=1767323045.0),)


@pytest.mark.parametrize("name", ["", None])
def test_a_check_run_without_a_name_is_ignored(name: str | None) -> None:
    """T3.19, T11.116."""
    assert parse.contexts(rollup(check_node(name=name)), HEAD) == ()


def test_a_status_and_a_check_run_of_one_name_both_stay() -> None:
    """T3.18."""
    found = parse.contexts(rollup(status_node(context="ci"), check_node(name="ci", conclusion="FAILURE")), HEAD)

    assert found is not None
    assert [(one.app, one.result) for one in found] == [(None, Result.SUCCESS), ("github-actions", Result.FAILURE)]


# Repositories and blockers


def repository_node(*rules: dict[str, Any]) -> dict[str, Any]:
    return {
        "mergeCommitAllowed": True,
        "squashMergeAllowed": False,
        "rebaseMergeAllowed": True,
        "isArchived": True,
        "mergeCommitTitle": "PR_TITLE",
        "mergeCommitMessage": "BLANK",
        "squashMergeCommitTitle": "PR_TITLE",
        "squashMergeCommitMessage": "PR_BODY",
        "ref": {"rules": {"totalCount": len(rules), "nodes": list(rules)}, "branchProtectionRule": None},
    }


def test_the_settings_of_a_repository_are_read() -> None:
    found = parse.repository(repository_node())

    assert found.allowed_methods == {Method.MERGE, Method.REBASE}
    assert found.is_archived
    assert (found.merge_title, found.merge_message) == ("PR_TITLE", "BLANK")
    assert (found.squash_title, found.squash_message) == ("PR_TITLE", "PR_BODY")


def test_the_merge_methods_are_those_that_every_ruleset_allows() -> None:
    rules = [{"type": "PULL_REQUEST", "parameters": {"allowedMergeMethods": ["REBASE", "SQUASH"]}}]

    assert parse.repository(repository_node(*rules)).allowed_methods == {Method.REBASE}


def test_rules_that_could_not_all_be_read_are_not_taken_for_all() -> None:
    """D8."""
    node = repository_node({"type": "DELETION", "parameters": None})

    assert parse.protection(node, {}, "") == Protection()
    assert parse.protection({"ref": {**node["ref"], "rules": None}}, {}, "") is None
    assert parse.protection({"ref": {**node["ref"], "rules": {"totalCount": 2, "nodes": [None, None]}}}, {}, "") is None
    assert parse.protection({"ref": {**node["ref"], "rules": {"totalCount": 200, "nodes": []}}}, {}, "") is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("LOCK_BRANCH", Protection(is_locked=True)),
        ("REQUIRED_SIGNATURES", Protection(signatures=True)),
        ("NON_FAST_FORWARD", Protection()),
        ("UPDATE", Protection(no_updates=True)),
        ("MERGE_QUEUE", Protection(by_pull=True)),
        ("CODE_SCANNING", Protection(unjudged=("code scanning",))),
        ("A_RULE_THAT_IS_NOT_KNOWN_YET", Protection(unjudged=("a rule that is not known yet",))),
    ],
)
def test_a_rule_is_judged_here_left_to_github_or_awaited(kind: str, expected: Protection) -> None:
    assert parse.protection(repository_node({"type": kind, "parameters": None}), {}, "") == expected


ISSUE = {"number": 5, "title": "Outage branch:main", "url": "https://github.test/5"}


def test_blockers_are_read_with_the_branches_they_name() -> None:
    assert parse.blockers({"issues": {"totalCount": 1, "nodes": [ISSUE]}}) == (
        Blocker(5, "Outage ", "https://github.test/5", ("main",)),
    )


def test_where_blockers_were_not_asked_for_there_are_none() -> None:
    assert parse.blockers({}) == ()


@pytest.mark.parametrize(
    "issues",
    [
        pytest.param(None, id="unreadable"),
        pytest.param({"totalCount": 2, "nodes": [ISSUE]}, id="more than were sent"),
        pytest.param({"totalCount": 1, "nodes": [None]}, id="one unreadable"),
    ],
)
def test_blockers_that_could_not_all_be_read_are_unknown(issues: object) -> None:
    """D11: the absence of a freeze must be certain."""
    assert parse.blockers({"issues": issues}) is None
