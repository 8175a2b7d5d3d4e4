"""Classic protection and rulesets over GraphQL: everything of both in one request, and the mutations of the first."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from mergeq.sandbox import Sandbox
from mergeq.sandbox.records import RequiredCheck, Restrictions
from tests.sandbox.conftest import Query, Rest
from tests.sandbox.test_rulesets import ADMINS, PULL_REQUEST, QUEUE, checks

EVERYTHING = """
fragment A on BranchActorAllowanceActor { __typename ... on App {id slug databaseId} ... on Team {id combinedSlug}
  ... on User {id login} }
fragment P on PushAllowanceActor { __typename ... on App {slug} ... on Team {combinedSlug} ... on User {login} }
fragment D on ReviewDismissalAllowanceActor { __typename ... on App {slug} ... on Team {combinedSlug}
  ... on User {login} }
query Protection($owner: String!, $name: String!) { repository(owner: $owner, name: $name) { id
  branchProtectionRules(first: 20) { totalCount pageInfo {hasNextPage endCursor} nodes {
    id databaseId pattern creator {login}
    isAdminEnforced allowsForcePushes allowsDeletions blocksCreations lockBranch lockAllowsFetchAndMerge
    requiresLinearHistory requiresCommitSignatures requiresConversationResolution
    requiresStatusChecks requiresStrictStatusChecks requiredStatusChecks {context app {databaseId slug}}
    requiresApprovingReviews requiredApprovingReviewCount requiresCodeOwnerReviews dismissesStaleReviews
    requireLastPushApproval restrictsReviewDismissals restrictsPushes
    requiresDeployments requiredDeploymentEnvironments
    pushAllowances(first: 50) {totalCount nodes {actor {...P}}}
    reviewDismissalAllowances(first: 50) {totalCount nodes {actor {...D}}}
    bypassPullRequestAllowances(first: 50) {totalCount nodes {actor {...A}}}
    bypassForcePushAllowances(first: 50) {totalCount nodes {actor {...A}}}
    branchProtectionRuleConflicts(first: 5) {nodes {conflictingBranchProtectionRule {pattern} ref {name}}}
    matchingRefs(first: 50) {totalCount nodes {name prefix}} } }
  rulesets(first: 20, includeParents: true, targets: [BRANCH]) { totalCount nodes {
    id databaseId name target enforcement createdAt updatedAt
    source {__typename ... on Repository {nameWithOwner} ... on Organization {login} ... on Enterprise {slug}}
    conditions {refName {include exclude} repositoryName {include exclude protected}}
    bypassActors(first: 50) {nodes {bypassMode deployKey enterpriseOwner organizationAdmin
      repositoryRoleName repositoryRoleDatabaseId actor {__typename ... on App {slug} ... on Team {combinedSlug}}}}
    rules(first: 50) {nodes {id type parameters {__typename
      ... on PullRequestParameters {requiredApprovingReviewCount dismissStaleReviewsOnPush requireCodeOwnerReview
        requireLastPushApproval requiredReviewThreadResolution allowedMergeMethods}
      ... on RequiredStatusChecksParameters {strictRequiredStatusChecksPolicy doNotEnforceOnCreate
        requiredStatusChecks {context integrationId}}
      ... on MergeQueueParameters {mergeMethod groupingStrategy maxEntriesToBuild}
      ... on UpdateParameters {updateAllowsFetchAndMerge}
      ... on CommitMessagePatternParameters {operator pattern negate}
      ... on RequiredDeploymentsParameters {requiredDeploymentEnvironments}}}} } }
  ref(qualifiedName: "main") { rules(first: 30, orderBy: {field: TYPE, direction: ASC}) {
    nodes {type repositoryRuleset {databaseId name}} } } } }"""


def everything(query: Query) -> Any:
    answer = query(EVERYTHING, owner="acme", name="rocket")
    assert "errors" not in answer, answer
    return answer["data"]["repository"]


def tip(sandbox: Sandbox, branch: str = "main") -> str:
    return str(sandbox.world.repo("acme/rocket").git.tip(branch))


def test_all_of_protection_is_read_in_one_request(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    number = world.app("queue").id
    queue = {"actor_id": number, "actor_type": "Integration", "bypass_mode": "pull_request"}
    pattern = {"type": "commit_message_pattern", "parameters": {"operator": "contains", "pattern": "Add"}}
    rules = [
        PULL_REQUEST,
        checks({"context": "ci", "integration_id": number}),
        QUEUE,
        {"type": "update"},
        pattern,
    ]
    own = world.add_ruleset("acme/rocket", "own", rules=rules, bypass=[ADMINS, queue], include=["refs/heads/main"])
    parent = world.add_ruleset("acme", "parent", rules=[{"type": "deletion"}], include=["~ALL"], enforcement="active")
    world.add_ruleset("acme/rocket", "tags", rules=[], target="tag", include=["~ALL"])
    world.protect("acme/rocket", "ma*", lock_branch=True)
    world.protect("acme/rocket", "main", [RequiredCheck("ci", number)], required_reviews=1)

    shown = everything(query)

    wild, exact = shown["branchProtectionRules"]["nodes"]
    assert (wild["matchingRefs"]["totalCount"], exact["matchingRefs"]["nodes"]) == (
        0,
        [{"name": "main", "prefix": "refs/heads/"}],
    )
    assert exact["branchProtectionRuleConflicts"]["nodes"] == [
        {"conflictingBranchProtectionRule": {"pattern": "ma*"}, "ref": {"name": "main"}}
    ]
    assert exact["requiredStatusChecks"] == [{"context": "ci", "app": {"databaseId": number, "slug": "queue"}}]
    mine, theirs = shown["rulesets"]["nodes"]
    assert (mine["source"], theirs["source"]) == (
        {"__typename": "Repository", "nameWithOwner": "acme/rocket"},
        {"__typename": "Organization", "login": "acme"},
    )
    assert theirs["conditions"]["repositoryName"] == {"include": ["~ALL"], "exclude": [], "protected": False}
    assert [
        (actor["bypassMode"], actor["repositoryRoleName"], actor["actor"]) for actor in mine["bypassActors"]["nodes"]
    ] == [
        ("ALWAYS", "admin", None),
        ("PULL_REQUEST", None, {"__typename": "App", "slug": "queue"}),
    ]
    assert [rule["parameters"] for rule in mine["rules"]["nodes"]] == [
        {
            "__typename": "PullRequestParameters",
            "requiredApprovingReviewCount": 0,
            "dismissStaleReviewsOnPush": False,
            "requireCodeOwnerReview": False,
            "requireLastPushApproval": False,
            "requiredReviewThreadResolution": False,
            "allowedMergeMethods": ["MERGE", "SQUASH", "REBASE"],
        },
        {
            "__typename": "RequiredStatusChecksParameters",
            "strictRequiredStatusChecksPolicy": False,
            "doNotEnforceOnCreate": False,
            "requiredStatusChecks": [{"context": "ci", "integrationId": number}],
        },
        {
            "__typename": "MergeQueueParameters",
            "mergeMethod": "MERGE",
            "groupingStrategy": "ALLGREEN",
            "maxEntriesToBuild": 5,
        },
        {"__typename": "UpdateParameters", "updateAllowsFetchAndMerge": False},
        {"__typename": "CommitMessagePatternParameters", "operator": "contains", "pattern": "Add", "negate": False},
    ]
    in_force = shown["ref"]["rules"]["nodes"]
    assert [rule["type"] for rule in in_force] == sorted(rule["type"] for rule in in_force)
    assert {rule["repositoryRuleset"]["databaseId"] for rule in in_force} == {own.id, parent.id}


def test_who_is_no_administrator_is_not_told_who_passes(sandbox: Sandbox, query: Query) -> None:
    number = sandbox.world.add_ruleset("acme/rocket", rules=[{"type": "deletion"}], bypass=[ADMINS]).id
    sandbox.world.users.set_role("mergeq-bot", "write")
    look = """query($n: Int!) { repository(owner: "acme", name: "rocket") { ruleset(databaseId: $n) {
      name bypassActors(first: 5) {totalCount}
      rules(first: 5, type: DELETION) {nodes {type parameters {__typename}}} } } }"""

    assert query(look, n=number)["data"]["repository"]["ruleset"] == {
        "name": "rules",
        "bypassActors": None,
        "rules": {"nodes": [{"type": "DELETION", "parameters": None}]},
    }


CREATE = """mutation($input: CreateBranchProtectionRuleInput!) { createBranchProtectionRule(input: $input) {
  clientMutationId branchProtectionRule {id pattern} } }"""
UPDATE = """mutation($input: UpdateBranchProtectionRuleInput!) { updateBranchProtectionRule(input: $input) {
  branchProtectionRule {id pattern} } }"""
DELETE = """mutation($input: DeleteBranchProtectionRuleInput!) { deleteBranchProtectionRule(input: $input) {
  clientMutationId } }"""


def test_a_rule_is_made_for_a_pattern_changed_and_lifted(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    builder = world.app("builder").id
    world.users.join_team("owners", "ben")
    everybody = Restrictions(("ana",), ("owners",), ("builder",))
    world.users.id_of("ana")
    world.protect("acme/rocket", "elsewhere", restrictions=everybody)
    world.protect("acme/rocket", "other", restrictions=everybody)
    ids = actor_ids(query)
    repo = everything(query)["id"]
    sent: dict[str, Any] = {
        "clientMutationId": "one",
        "repositoryId": repo,
        "pattern": "release/*",
        "isAdminEnforced": True,
        "requiresStatusChecks": True,
        "requiresStrictStatusChecks": True,
        "requiredStatusChecks": [
            {"context": "ci", "appId": ids[2]},
            {"context": "dco", "appId": "any"},
            {"context": "new"},
        ],
        "requiresApprovingReviews": True,
        "requiredApprovingReviewCount": 2,
        "requiresCodeOwnerReviews": True,
        "restrictsReviewDismissals": True,
        "reviewDismissalActorIds": [ids[0]],
        "bypassPullRequestActorIds": [ids[1]],
        "restrictsPushes": True,
        "pushActorIds": ids,
        "blocksCreations": True,
        "bypassForcePushActorIds": [ids[2]],
        "lockBranch": False,
    }

    made = query(CREATE, input=sent)["data"]["createBranchProtectionRule"]
    rule = world.repo("acme/rocket").protections["release/*"]
    identifier = made["branchProtectionRule"]["id"]

    assert made["clientMutationId"] == "one"
    assert rule.checks == (RequiredCheck("ci", builder), RequiredCheck("dco"), RequiredCheck("new"))
    assert (rule.restrictions, rule.forcers, rule.creator) == (everybody, Restrictions(apps=("builder",)), "mergeq-bot")
    assert rule.reviews is not None
    assert (rule.reviews.count, rule.reviews.code_owners, rule.reviews.dismissers, rule.reviews.bypass) == (
        2,
        True,
        Restrictions(users=("ana",)),
        Restrictions(teams=("owners",)),
    )
    changes = {
        "branchProtectionRuleId": identifier,
        "pattern": "rel/*",
        "requiresStatusChecks": False,
        "lockBranch": True,
    }
    renamed = query(UPDATE, input=changes)["data"]["updateBranchProtectionRule"]["branchProtectionRule"]
    after = world.repo("acme/rocket").protections["rel/*"]
    assert renamed == {"id": identifier, "pattern": "rel/*"}
    assert (after.status, after.lock_branch, after.reviews, after.restrictions) == (None, True, rule.reviews, everybody)
    query(DELETE, input={"branchProtectionRuleId": identifier})
    assert list(world.repo("acme/rocket").protections) == ["elsewhere", "other"]


def test_reviews_that_nobody_may_dismiss_are_told_from_those_that_everybody_may(query: Query) -> None:
    sent = {"repositoryId": everything(query)["id"], "requiresApprovingReviews": True}

    query(CREATE, input={**sent, "pattern": "next"})
    query(CREATE, input={**sent, "pattern": "old", "restrictsReviewDismissals": True, "reviewDismissalActorIds": []})

    rules = everything(query)["branchProtectionRules"]["nodes"]
    told = {rule["pattern"]: rule["restrictsReviewDismissals"] for rule in rules}
    assert (told["next"], told["old"]) == (False, True)


def actor_ids(query: Query) -> list[str]:
    """Of ana, of the owners, and of the builder, as a rule that names them shows them."""
    look = """{ repository(owner: "acme", name: "rocket") { branchProtectionRules(first: 1) { nodes {
      pushAllowances(first: 5) { nodes { actor { ... on User {id} ... on Team {id} ... on App {id} } } } } } } }"""
    (rule,) = query(look)["data"]["repository"]["branchProtectionRules"]["nodes"]
    return [node["actor"]["id"] for node in rule["pushAllowances"]["nodes"]]


def test_a_name_is_protected_once_and_by_administrators(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    world.protect("acme/rocket", "main")
    world.protect("acme/rocket", "next")
    shown = everything(query)
    sent = {"repositoryId": shown["id"], "pattern": "main"}
    change = {"branchProtectionRuleId": shown["branchProtectionRules"]["nodes"][1]["id"], "pattern": "main"}

    assert query(CREATE, input=sent)["errors"][0]["message"] == "Name already protected: main"
    assert query(UPDATE, input=change)["errors"][0]["message"] == "Name already protected: main"
    world.users.set_role("mergeq-bot", "write")
    (refused,) = query(CREATE, input=sent | {"pattern": "x"})["errors"]
    words = "mergeq-bot does not have the correct permissions to execute `CreateBranchProtectionRule`"
    assert (refused["type"], refused["message"]) == ("FORBIDDEN", words)


COMMIT = """mutation($input: CreateCommitOnBranchInput!) { createCommitOnBranch(input: $input) {
  commit {oid message} ref {name target {oid}} } }"""


def commit_input(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    return {
        "branch": {"repositoryNameWithOwner": "acme/rocket", "branchName": "main"},
        "expectedHeadOid": tip(sandbox),
        "message": {"headline": "Rewrite", "body": "all of it"},
        "fileChanges": {
            "additions": [{"path": "lib/a.txt", "contents": base64.b64encode(b"a\n").decode()}],
            "deletions": [{"path": "engine.py"}],
        },
    } | more


def test_a_commit_is_made_on_a_branch_and_signed(sandbox: Sandbox, query: Query) -> None:
    git = sandbox.world.repo("acme/rocket").git
    sandbox.world.protect("acme/rocket", "main", required_signatures=True, required_linear_history=True)
    before = tip(sandbox)

    made = query(COMMIT, input=commit_input(sandbox))["data"]["createCommitOnBranch"]

    sha = tip(sandbox)
    assert made == {
        "commit": {"oid": sha, "message": "Rewrite\n\nall of it"},
        "ref": {"name": "main", "target": {"oid": sha}},
    }
    assert (git.commit(sha).parents, git.commit(sha).is_verified) == ((before,), True)
    assert git.text_at(sha, "lib/a.txt") == "a\n"
    assert git.text_at(sha, "engine.py") is None


@pytest.mark.parametrize("layer", ["classic", "ruleset"])
def test_a_commit_is_not_made_on_a_branch_that_has_moved_or_is_ruled(
    sandbox: Sandbox, rest: Rest, query: Query, layer: str
) -> None:
    stale = commit_input(sandbox)
    sandbox.world.push("acme/rocket", "main", {"b.txt": "b\n"})
    if layer == "classic":
        sandbox.world.protect("acme/rocket", "main", required_contexts=["ci"])
    else:
        sandbox.world.add_ruleset("acme/rocket", rules=[checks("ci")])

    moved = query(COMMIT, input=stale)["errors"][0]["message"]
    ruled = query(COMMIT, input=commit_input(sandbox))["errors"][0]["message"]

    seen = stale["expectedHeadOid"]
    assert moved == f'Expected branch to point to "{seen}" but it did not. Pull and try again.'
    assert 'Required status check "ci" is expected.' in ruled
    assert rest("GET", "/git/matching-refs/pull/").json() == []
