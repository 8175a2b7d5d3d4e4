from __future__ import annotations

from typing import Any

import pytest
import requests

from mergeq.sandbox import RefusedError, Sandbox
from mergeq.sandbox.git import ZERO
from mergeq.sandbox.records import Method, RequiredCheck, Restrictions
from tests.sandbox.conftest import Query, Rest

NOTHING: dict[str, Any] = {
    "required_status_checks": None,
    "enforce_admins": None,
    "required_pull_request_reviews": None,
    "restrictions": None,
}
EVERYTHING: dict[str, Any] = {
    "required_status_checks": {
        "strict": True,
        "contexts": [],
        "checks": [{"context": "build", "app_id": 15368}, {"context": "lint", "app_id": -1}],
    },
    "enforce_admins": True,
    "required_pull_request_reviews": {
        "required_approving_review_count": 2,
        "dismiss_stale_reviews": True,
        "require_last_push_approval": True,
    },
    "restrictions": {"users": ["ana"], "teams": ["owners"], "apps": ["builder"]},
    "required_linear_history": True,
    "allow_force_pushes": None,
    "allow_deletions": True,
    "required_conversation_resolution": True,
    "lock_branch": False,
}
MAIN = "refs/heads/main"


def tip(sandbox: Sandbox, branch: str = "main") -> str:
    return str(sandbox.world.repo("acme/rocket").git.tip(branch))


def said(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["message"]


def meet_everybody(sandbox: Sandbox) -> None:
    sandbox.world.users.join_team("owners", "ben")
    sandbox.world.users.id_of("ana")
    assert sandbox.world.app("builder").id == 15368


def test_protection_is_put_read_and_lifted(sandbox: Sandbox, rest: Rest) -> None:
    meet_everybody(sandbox)
    before = rest("GET", "/branches/main/protection")

    put = rest("PUT", "/branches/main/protection", **EVERYTHING)
    shown = rest("GET", "/branches/main/protection").json()
    branch = rest("GET", "/branches/main").json()
    lifted = rest("DELETE", "/branches/main/protection")

    assert said(before) == (404, "Branch not protected")
    assert (put.status_code, put.json()) == (200, shown)
    assert shown["required_status_checks"]["checks"] == [
        {"context": "build", "app_id": 15368},
        {"context": "lint", "app_id": None},
    ]
    assert (shown["required_status_checks"]["strict"], shown["enforce_admins"]["enabled"]) == (True, True)
    assert shown["required_pull_request_reviews"]["required_approving_review_count"] == 2
    assert [user["login"] for user in shown["restrictions"]["users"]] == ["ana"]
    assert [team["slug"] for team in shown["restrictions"]["teams"]] == ["owners"]
    assert [app["slug"] for app in shown["restrictions"]["apps"]] == ["builder"]
    assert (shown["required_linear_history"], shown["allow_force_pushes"]) == ({"enabled": True}, {"enabled": False})
    assert branch["protection"]["required_status_checks"] == {
        "enforcement_level": "everyone",
        "contexts": ["build", "lint"],
        "checks": shown["required_status_checks"]["checks"],
    }
    assert (lifted.status_code, rest("GET", "/branches/main").json()["protected"]) == (204, False)


def test_what_is_not_demanded_is_left_out(sandbox: Sandbox, rest: Rest) -> None:
    shown = rest("PUT", "/branches/main/protection", **NOTHING).json()

    assert not shown.keys() & {"required_status_checks", "required_pull_request_reviews", "restrictions"}
    assert shown["enforce_admins"]["enabled"] is False
    assert rest("GET", "/branches/main").json()["protection"]["required_status_checks"]["enforcement_level"] == "off"
    assert sandbox.world.repo("acme/rocket").protections.keys() == {"main"}


def test_protection_is_for_administrators_of_branches_that_exist(sandbox: Sandbox, rest: Rest) -> None:
    assert said(rest("GET", "/branches/nope/protection")) == (404, "Branch not found")

    sandbox.world.users.set_role("mergeq-bot", "write")

    assert said(rest("GET", "/branches/main/protection")) == (404, "Not Found")
    assert said(rest("PUT", "/branches/main/protection", **NOTHING)) == (404, "Not Found")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"restrictions": {"users": ["nobody"], "teams": []}}, "there is no user nobody"),
        ({"restrictions": {"users": [], "teams": ["nobody"]}}, "there is no team nobody"),
        ({"restrictions": {"users": [], "teams": [], "apps": ["nobody"]}}, "there is no app nobody"),
        (
            {"required_pull_request_reviews": {"required_approving_review_count": 7}},
            "required_approving_review_count must be between 0 and 6",
        ),
    ],
)
def test_protection_that_cannot_be_is_refused(rest: Rest, fields: dict[str, Any], words: str) -> None:
    answer = rest("PUT", "/branches/main/protection", **(NOTHING | fields))

    assert (answer.status_code, answer.json()["errors"][0]) == (422, words)


def test_all_four_sections_must_be_spoken_of(rest: Rest) -> None:
    answer = rest("PUT", "/branches/main/protection", enforce_admins=True, restrictions=None)

    words = 'Invalid request.\n\n"required_status_checks", "required_pull_request_reviews" weren\'t supplied.'
    assert said(answer) == (422, words)


@pytest.mark.parametrize(
    "fields",
    [
        {"required_deployments": ["prod"]},
        {"required_pull_request_reviews": {"required_reviewers": ["ana"]}},
        {"restrictions": {"users": [], "teams": [], "roles": []}},
        {"required_status_checks": {"strict": True, "contexts": [], "colour": "green"}},
    ],
)
def test_demands_that_would_mean_nothing_here_are_refused_by_name(rest: Rest, fields: dict[str, Any]) -> None:
    answer = rest("PUT", "/branches/main/protection", **(NOTHING | fields))

    assert answer.status_code == 501
    assert answer.json()["message"].startswith("not simulated: ")


def test_a_context_without_an_app_is_pinned_to_who_reported_it_last(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    for app in ("first", "second"):
        world.set_check_run("acme/rocket", tip(sandbox), name="build", conclusion="success", app=app)
    checks = {"strict": False, "contexts": ["build", "new"]}

    put = rest("PUT", "/branches/main/protection", **(NOTHING | {"required_status_checks": checks})).json()

    assert put["required_status_checks"]["checks"] == [
        {"context": "build", "app_id": world.app("second").id},
        {"context": "new", "app_id": None},
    ]


def test_signatures_are_required_on_a_route_of_their_own_and_survive_a_put(sandbox: Sandbox, rest: Rest) -> None:
    path = "/branches/main/protection/required_signatures"
    missing = rest("GET", path)
    rest("PUT", "/branches/main/protection", **NOTHING)

    required = rest("POST", path).json()
    kept = rest("PUT", "/branches/main/protection", **NOTHING).json()["required_signatures"]
    waived = rest("DELETE", path)

    assert said(missing) == (404, "Branch not protected")
    assert required == kept
    assert (required["enabled"], waived.status_code) == (True, 204)
    assert rest("GET", path).json()["enabled"] is False
    assert sandbox.world.repo("acme/rocket").protections["main"].signatures is False


RULES = """{ repository(owner: "acme", name: "rocket") {
  ref(qualifiedName: "release/1") { branchProtectionRule { pattern } }
  branchProtectionRules(first: 5) { totalCount nodes {
    pattern matchingRefs(first: 5) { nodes { name } }
    requiresStatusChecks requiresStrictStatusChecks requiredStatusCheckContexts
    requiredStatusChecks { context app { slug databaseId } }
    requiresApprovingReviews requiredApprovingReviewCount dismissesStaleReviews requireLastPushApproval
    requiresLinearHistory requiresCommitSignatures requiresConversationResolution
    isAdminEnforced lockBranch allowsForcePushes allowsDeletions restrictsPushes
    pushAllowances(first: 5) { nodes { actor { __typename
      ... on App { slug } ... on User { login } ... on Team { slug } } } } } } } }"""


def test_rules_are_shown_whole_over_graphql(sandbox: Sandbox, rest: Rest, query: Query) -> None:
    world = sandbox.world
    meet_everybody(sandbox)
    for branch in ("release/1", "release/2", "release/x/y"):
        world.create_ref("acme/rocket", f"refs/heads/{branch}", tip(sandbox))
    rest("PUT", "/branches/main/protection", **EVERYTHING)
    world.protect("acme/rocket", "release/*", lock_branch=True, enforce_admins=False)
    world.protect("acme/rocket", "release/2")

    shown = query(RULES)["data"]["repository"]

    main, release, exact = shown["branchProtectionRules"]["nodes"]
    assert shown["ref"]["branchProtectionRule"] == {"pattern": "release/*"}
    assert (release["matchingRefs"]["nodes"], exact["matchingRefs"]["nodes"]) == (
        [{"name": "release/1"}],
        [{"name": "release/2"}],
    )
    assert (release["lockBranch"], release["isAdminEnforced"], release["requiresApprovingReviews"]) == (
        True,
        False,
        False,
    )
    assert release["requiredApprovingReviewCount"] is None
    assert main == {
        "pattern": "main",
        "matchingRefs": {"nodes": [{"name": "main"}]},
        "requiresStatusChecks": True,
        "requiresStrictStatusChecks": True,
        "requiredStatusCheckContexts": ["build", "lint"],
        "requiredStatusChecks": [
            {"context": "build", "app": {"slug": "builder", "databaseId": 15368}},
            {"context": "lint", "app": None},
        ],
        "requiresApprovingReviews": True,
        "requiredApprovingReviewCount": 2,
        "dismissesStaleReviews": True,
        "requireLastPushApproval": True,
        "requiresLinearHistory": True,
        "requiresCommitSignatures": False,
        "requiresConversationResolution": True,
        "isAdminEnforced": True,
        "lockBranch": False,
        "allowsForcePushes": False,
        "allowsDeletions": True,
        "restrictsPushes": True,
        "pushAllowances": {
            "nodes": [
                {"actor": {"__typename": "User", "login": "ana"}},
                {"actor": {"__typename": "Team", "slug": "owners"}},
                {"actor": {"__typename": "App", "slug": "builder"}},
            ]
        },
    }

    world.users.set_role("mergeq-bot", "read")
    assert query(RULES)["data"]["repository"] == {
        "ref": {"branchProtectionRule": None},
        "branchProtectionRules": {"totalCount": 0, "nodes": []},
    }


def test_a_required_context_is_judged_on_the_commit_that_is_pushed(sandbox: Sandbox, rest: Rest, query: Query) -> None:
    world = sandbox.world
    world.protect("acme/rocket", "main", required_contexts=["ci/test"])
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    world.set_status("acme/rocket", pull.head_sha, context="ci/test")
    world.create_ref("acme/rocket", "refs/heads/staging", tip(sandbox))
    staged = rest("POST", "/merges", base="staging", head=pull.head_sha).json()["sha"]
    repo = query('{repository(owner: "acme", name: "rocket") { id }}')["data"]["repository"]["id"]
    update = """mutation($repo: ID!, $oid: GitObjectID!) { updateRefs(input: {repositoryId: $repo,
      refUpdates: [{name: "refs/heads/main", afterOid: $oid}]}) { clientMutationId } }"""
    words = 'Required status check "ci/test" is expected.'

    assert said(rest("PATCH", "/git/refs/heads/main", sha=staged)) == (422, words)
    assert said(rest("POST", "/merges", base="main", head="staging")) == (409, words)
    assert query(update, repo=repo, oid=staged)["errors"][0]["message"] == words

    world.set_status("acme/rocket", staged, context="ci/test")

    assert "errors" not in query(update, repo=repo, oid=staged)
    assert (tip(sandbox), pull.merged) == (staged, True)


def refusal(sandbox: Sandbox, new: str, *, force: bool = False, by: str = "mergeq-bot") -> str:
    with pytest.raises(RefusedError) as refused:
        sandbox.world.update_ref("acme/rocket", MAIN, new, force=force, by=by)
    assert refused.value.status == 422
    return refused.value.message


def a_merge(sandbox: Sandbox, rest: Rest) -> str:
    """A signed merge commit on top of main, on no protected branch."""
    pull = sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    tree = sandbox.world.repo("acme/rocket").git.commit(pull.head_sha).tree
    sha: str = rest("POST", "/git/commits", message="M", tree=tree, parents=[tip(sandbox), pull.head_sha]).json()["sha"]
    return sha


def test_a_protected_branch_is_neither_forced_nor_deleted_unless_that_is_allowed(sandbox: Sandbox) -> None:
    world = sandbox.world
    before = tip(sandbox)
    world.push("acme/rocket", "main", {"a.txt": "a\n"})
    world.protect("acme/rocket", "main", enforce_admins=False)

    assert refusal(sandbox, before) == "Update is not a fast forward"
    assert refusal(sandbox, before, force=True) == "Cannot force-push to a protected branch"
    with pytest.raises(RefusedError, match="422 Cannot delete a protected branch"):
        world.delete_branch("acme/rocket", "main")
    world.protect("acme/rocket", "main", allow_force_pushes=True, allow_deletions=True)
    world.update_ref("acme/rocket", MAIN, before, force=True)
    world.delete_branch("acme/rocket", "main")


def test_pushes_are_restricted_to_whom_the_rule_names(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    world.users.join_team("owners", "ben")
    world.protect("acme/rocket", "main", restrictions=Restrictions(("ana",), ("owners",), ("queue",)))
    commits = [world.push("acme/rocket", "next", {f"{n}.txt": "x\n"}) for n in range(4)]
    words = "You're not authorized to push to this branch."

    assert refusal(sandbox, commits[0], by="zoe").startswith(words)
    assert refusal(sandbox, commits[0], by="queue").startswith(words)
    for sha, by in zip(commits, ("ana", "ben", "queue[bot]", "mergeq-bot"), strict=True):
        world.update_ref("acme/rocket", MAIN, sha, by=by)

    world.users.set_role("mergeq-bot", "write")
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    assert pull.is_open
    assert said(rest("PUT", "/pulls/1/merge"))[1].startswith(words)


def test_a_linear_history_takes_no_merge_commits(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    staged = a_merge(sandbox, rest)
    world.protect("acme/rocket", "main", required_linear_history=True)

    assert refusal(sandbox, staged) == "This branch must not contain merge commits."
    assert said(rest("PUT", "/pulls/1/merge")) == (405, "This branch must not contain merge commits.")
    assert rest("PUT", "/pulls/1/merge", merge_method="squash").status_code == 200


def test_signatures_are_asked_of_every_commit_that_comes_in(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    staged = a_merge(sandbox, rest)
    signed = rest(
        "POST",
        "/git/commits",
        message="S",
        tree=world.repo("acme/rocket").git.commit(staged).tree,
        parents=[tip(sandbox)],
    ).json()["sha"]
    world.protect("acme/rocket", "main", required_signatures=True)
    words = "Commits must have verified signatures."

    assert refusal(sandbox, staged) == words
    assert said(rest("PUT", "/pulls/1/merge")) == (405, words)
    assert said(rest("PUT", "/pulls/1/merge", merge_method="rebase")) == (
        405,
        "Base branch requires signed commits. Rebase merges cannot be automatically signed by GitHub",
    )
    world.update_ref("acme/rocket", MAIN, signed)
    assert rest("PUT", "/pulls/1/merge", merge_method="squash").status_code == 200


def test_a_locked_branch_takes_nothing(sandbox: Sandbox, rest: Rest) -> None:
    staged = a_merge(sandbox, rest)
    sandbox.world.protect("acme/rocket", "main", lock_branch=True)

    assert refusal(sandbox, staged) == "Cannot change this locked branch"
    assert said(rest("PUT", "/pulls/1/merge")) == (405, "Cannot change this locked branch")


def test_required_reviews_leave_only_the_way_by_pull_request(sandbox: Sandbox, rest: Rest) -> None:
    staged = a_merge(sandbox, rest)
    sandbox.world.protect("acme/rocket", "main", required_reviews=0)

    assert refusal(sandbox, staged) == "Changes must be made through a pull request."
    assert rest("PUT", "/pulls/1/merge").status_code == 200
    sandbox.world.protect("acme/rocket", "main", required_reviews=2)
    later = sandbox.world.push("acme/rocket", "next", {"n.txt": "x\n"}, force_onto=tip(sandbox))
    assert refusal(sandbox, later) == "At least 2 approving reviews are required by reviewers with write access."


def test_reviews_of_strangers_do_not_count(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    world.protect("acme/rocket", "main", required_reviews=1)
    world.users.set_role("zoe", "read")
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    look = '{repository(owner: "acme", name: "rocket") { pullRequest(number: 1) { reviewDecision }}}'

    world.review(pull, "zoe")
    assert query(look)["data"]["repository"]["pullRequest"]["reviewDecision"] == "REVIEW_REQUIRED"
    world.review(pull, "ben")
    assert query(look)["data"]["repository"]["pullRequest"]["reviewDecision"] == "APPROVED"


def test_a_push_takes_approvals_away_where_that_is_the_rule(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    world.add_hook("http://127.0.0.1:9/", "x", events=["pull_request_review"])
    world.review(pull, "ben")
    world.protect("acme/rocket", "main", required_reviews=1)
    world.push_to_pull(pull, {"b.txt": "b\n"})
    kept = pull.reviews[0].state
    world.protect("acme/rocket", "main", required_reviews=1, dismiss_stale_reviews=True)

    world.push_to_pull(pull, {"c.txt": "c\n"})
    sandbox.settle()

    assert (kept, pull.reviews[0].state) == ("APPROVED", "DISMISSED")
    assert [delivery.action for delivery in world.deliveries] == ["submitted", "dismissed"]
    assert said(rest("PUT", "/pulls/1/merge"))[0] == 405


def test_the_last_push_needs_somebody_elses_approval(sandbox: Sandbox, rest: Rest, query: Query) -> None:
    world = sandbox.world
    world.protect("acme/rocket", "main", required_reviews=1, require_last_push_approval=True)
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    world.push_to_pull(pull, {"b.txt": "b\n"}, author="ben")
    world.review(pull, "ben")
    look = '{repository(owner: "acme", name: "rocket") { pullRequest(number: 1) { reviewDecision }}}'

    assert query(look)["data"]["repository"]["pullRequest"]["reviewDecision"] == "REVIEW_REQUIRED"
    words = "New changes require approval from someone other than the last pusher."
    assert said(rest("PUT", "/pulls/1/merge")) == (405, words)
    world.review(pull, "cem")
    assert rest("PUT", "/pulls/1/merge").status_code == 200


def test_conversations_must_end_where_that_is_the_rule(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    world.protect("acme/rocket", "main", required_conversation_resolution=True)
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    thread = world.open_thread(pull, "ben")

    words = "A conversation must be resolved before this pull request can be merged."
    assert said(rest("PUT", "/pulls/1/merge")) == (405, words)
    world.resolve_thread(pull, thread)
    assert rest("PUT", "/pulls/1/merge").status_code == 200


def test_a_context_pinned_to_an_app_takes_no_other_word_for_it(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    world.protect("acme/rocket", "main", required_contexts=[RequiredCheck("build", world.app("builder").id)])

    assert said(rest("PUT", "/pulls/1/merge"))[1] == 'Required status check "build" is expected.'
    world.set_status("acme/rocket", pull.head_sha, context="build")
    words = 'Required status check "build" was not set by the expected GitHub app.'
    assert said(rest("PUT", "/pulls/1/merge"))[1] == words
    world.set_check_run("acme/rocket", pull.head_sha, name="build", conclusion="success", app="builder")
    assert rest("PUT", "/pulls/1/merge").status_code == 200


def test_a_strict_branch_takes_only_heads_that_contain_it(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    pull = world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    world.push("acme/rocket", "main", {"b.txt": "b\n"})
    world.protect("acme/rocket", "main", strict=True)

    words = "Head branch is out of date. Review and try the merge again."
    assert said(rest("PUT", "/pulls/1/merge")) == (405, words)
    world.protect("acme/rocket", "main", strict=True, enforce_admins=False)
    assert world.merge_pull(pull, method=Method.MERGE)


def test_administrators_are_bound_only_where_the_rule_says_so(sandbox: Sandbox) -> None:
    world = sandbox.world
    world.protect("acme/rocket", "main", ["x"], required_reviews=1, required_signatures=True, enforce_admins=False)
    pushed = world.push("acme/rocket", "next", {"n.txt": "x\n"})

    assert refusal(sandbox, pushed, by="ana") == (
        'Required status check "x" is expected. '
        "At least 1 approving review is required by reviewers with write access. "
        "Commits must have verified signatures."
    )
    world.update_ref("acme/rocket", MAIN, pushed)
    world.users.set_role("zoe", "admin")
    world.update_ref("acme/rocket", MAIN, world.push("acme/rocket", "next", {"n.txt": "y\n"}), by="zoe")


def test_a_glob_protects_branches_before_they_are_made(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.protect("acme/rocket", "release/*", required_contexts=["x"])

    refused = rest("POST", "/git/refs", ref="refs/heads/release/1", sha=tip(sandbox))
    elsewhere = rest("POST", "/git/refs", ref="refs/heads/release/1/2", sha=tip(sandbox))

    assert said(refused) == (422, 'Required status check "x" is expected.')
    assert elsewhere.status_code == 201
    assert sandbox.world.repo("acme/rocket").git.refs().get("refs/heads/release/1", ZERO) == ZERO
