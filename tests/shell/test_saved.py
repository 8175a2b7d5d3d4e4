"""Saved pull requests and worlds, read as core values."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from mergeq.core.evidence import Evidence
from mergeq.core.pull import Branch, Context, Mergeable, Method, Result
from mergeq.github import saved

MAIN = Branch("acme", "rocket", "main")
HEAD, OTHER, BASE = "a" * 40, "c" * 40, "b" * 40


def node(**changes: Any) -> dict[str, Any]:
    """A pull request as Tide's search returns it."""
    return {
        "number": 7,
        "author": {"login": "ana"},
        "baseRef": {"name": "main", "prefix": "refs/heads/"},
        "headRefName": "patch-7",
        "headRefOid": HEAD,
        "mergeable": "MERGEABLE",
        "mergeStateStatus": "CLEAN",
        "canBeRebased": True,
        "repository": {"name": "rocket", "nameWithOwner": "acme/rocket", "owner": {"login": "acme"}},
        "reviewDecision": "APPROVED",
        "commits": {"nodes": [commit()]},
        "labels": {"nodes": [{"name": "lgtm"}]},
        "milestone": {"title": "v1"},
        "title": "Change 7",
        "updatedAt": "2026-01-09T10:00:00Z",
        **changes,
    }


def commit(oid: str = HEAD, **changes: Any) -> dict[str, Any]:
    statuses = [{"context": "ci/test", "description": "passed", "state": "SUCCESS"}]
    runs = [{}, {"name": "lint", "status": "COMPLETED", "conclusion": "NEUTRAL"}]
    rollup = {"contexts": {"nodes": runs}}
    return {"commit": {"oid": oid, "status": {"contexts": statuses}, "statusCheckRollup": rollup, **changes}}


def document(**changes: Any) -> dict[str, Any]:
    return {
        "refs": {"acme/rocket heads/main": BASE},
        "prs": [{"in_search": True, "pr": node(), "changed_files": ["a.py"]}],
        **changes,
    }


def test_a_saved_pull_request_is_read_as_it_is() -> None:
    read = saved.pull(node())

    assert (str(read), str(read.branch), read.head_sha, read.author) == ("acme/rocket#7", str(MAIN), HEAD, "ana")
    assert (read.labels, read.milestone, read.review_decision) == (("lgtm",), "v1", "APPROVED")
    assert (read.mergeable, read.merge_state, read.can_be_rebased) == (Mergeable.MERGEABLE, "CLEAN", True)


def test_the_contexts_are_those_of_the_head_statuses_first_and_what_is_no_check_run_is_left_out() -> None:
    """T3.17, T3.18, T11.116, T11.125."""
    older = commit(OTHER, status={"contexts": [{"context": "old", "description": "", "state": "FAILURE"}]})
    expected = (
        Context("ci/test", Result.SUCCESS, description="passed"),
        Context("lint", Result.SUCCESS, app="unknown app", conclusion="neutral"),
    )

    for nodes in ([commit(), older], [older, commit()]):
        assert saved.pull(node(commits={"nodes": nodes})).contexts == expected
    assert saved.pull(node(commits={"nodes": [commit(status=None, statusCheckRollup=None)]})).contexts == ()


def test_contexts_of_a_head_that_is_not_among_the_commits_are_unknown_unless_rest_has_them() -> None:
    """T3.17, T11.126, T11.127: REST writes in lower case."""
    lost = node(commits={"nodes": [commit(OTHER)]})
    statuses = {HEAD: [{"context": "unit", "state": "pending", "description": "d"}]}
    runs = {HEAD: [{"name": "lint", "status": "completed", "conclusion": "neutral"}]}
    prs = [{"in_search": True, "pr": lost}]

    assert saved.pull(lost).contexts is None
    (one,) = saved.world(document(prs=prs, combined_status=statuses, check_runs=runs)).situations
    assert one.facts.pulls[0].contexts == (
        Context("unit", Result.PENDING, description="d"),
        Context("lint", Result.SUCCESS, app="unknown app", conclusion="neutral"),
    )


def test_a_deleted_author_and_an_absent_milestone_are_read() -> None:
    read = saved.pull(node(author=None, milestone=None))

    assert (read.author, read.milestone) == ("ghost", None)


def test_a_saved_world_has_facts_for_each_branch() -> None:
    release = node(number=8, baseRef={"name": "release-1", "prefix": "refs/heads/"})
    prs = [*document()["prs"], {"in_search": False, "pr": release}]
    refs = {"acme/rocket heads/main": BASE, "acme/rocket heads/release-1": OTHER}
    where = {"name": "rocket", "owner": {"login": "acme"}}
    issues = [{"number": 5, "title": "no branch:main", "url": "", "repository": where}]
    issues += [{"number": 6, "title": "elsewhere", "url": "", "repository": {**where, "name": "other"}}]
    repos = {"acme/rocket": {"allow_merge_commit": False, "allow_squash_merge": True}}
    world = saved.world(document(prs=prs, refs=refs, repos=repos, blocker_issues=issues))

    main, other = (one.facts for one in world.situations)
    assert (main.branch, main.base_sha, other.base_sha) == (MAIN, BASE, OTHER)
    assert (main.pulls[0].paths, other.pulls[0].paths) == (("a.py",), None)
    assert [(one.number, one.branches) for one in main.blockers] == [(5, ("main",))]
    assert main.repository.allowed_methods == {Method.SQUASH}
    assert [pull.was_found for one in world.situations for pull in one.facts.pulls] == [True, False]


@pytest.mark.parametrize(("apps_auth", "org", "unread"), [(True, "acme", True), (True, "x", False), (False, "x", True)])
def test_a_failed_search_for_blockers_leaves_a_gap(*, apps_auth: bool, org: str, unread: bool) -> None:
    """T7.3: an App searches org by org, a token everywhere at once."""
    (one,) = saved.world(document(apps_auth=apps_auth, blockers_error_orgs=[org])).situations

    assert bool(one.facts.partial) is unread


def test_evidence_is_a_row_for_a_job() -> None:
    """T0.5."""
    row = {"branch": str(MAIN), "base_sha": BASE, "context": "e2e", "state": "pending"}
    single = {**row, "pulls": [{"number": 7, "sha": HEAD}], "reporter": "tide", "url": "https://ci/1"}
    batch = {**row, "pulls": [{"number": 7, "sha": HEAD}, {"number": 8, "sha": OTHER}]}

    (one,) = saved.world(document(evidence=[single, batch, {**single, "batch": True}])).situations
    assert one.rows == (
        Evidence(MAIN, BASE, ((7, HEAD),), "e2e", Result.PENDING, reporter="tide", url="https://ci/1"),
        Evidence(MAIN, BASE, ((7, HEAD), (8, OTHER)), "e2e", Result.PENDING, is_batch=True),
        Evidence(MAIN, BASE, ((7, HEAD),), "e2e", Result.PENDING, is_batch=True, reporter="tide", url="https://ci/1"),
    )


def test_what_conflicts_in_a_saved_world_does_not_merge() -> None:
    world = saved.world(document(git_conflicts_with_base=["d"], git_conflict_pairs=[["e", "f"]]))

    assert world.merges((), "e")
    assert world.merges(("e", "x"), "y")
    assert not world.merges((), "d")
    assert not world.merges(("x", "e"), "f")
    assert not world.merges(("f",), "e")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda world: world.pop("prs"), "'prs' is missing"),
        (lambda world: world["prs"][0]["pr"].pop("title"), "prs[0]: not as a saved world has it: 'title' is missing"),
        (lambda world: world["prs"][0]["pr"].update(labels=[]), "prs[0]: not as a saved world has it"),
        (lambda world: world.update(refs={}), "'acme/rocket heads/main' is missing"),
        (lambda world: world.update(evidence=[{"branch": "main", "pulls": []}]), "evidence: not as"),
        (lambda world: world.update(git_conflict_pairs=[7]), "git_conflict_pairs: not as"),
    ],
)
def test_a_malformed_world_says_where(spoil: Callable[[dict[str, Any]], object], said: str) -> None:
    spoil(broken := deepcopy(document()))

    with pytest.raises(saved.Malformed) as error:
        saved.world(broken)
    assert said in str(error.value)


def test_a_malformed_pull_request_says_what_it_lacks() -> None:
    with pytest.raises(saved.Malformed, match="'title' is missing"):
        saved.pull({key: value for key, value in node().items() if key != "title"})
