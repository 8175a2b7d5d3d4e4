"""Rulesets made, changed and deleted over GraphQL: kept, told and refused as over REST."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from mergeq.sandbox import Sandbox
from mergeq.sandbox.ids import node_id
from tests.sandbox.conftest import BASE, FILES, Query, Rest
from tests.sandbox.test_mutations import act
from tests.sandbox.test_rulesets import BY_PULL, MAIN, found, no_input, refusal, tip
from tests.sandbox.test_webhooks import Receiver, receiver

__all__ = ("receiver",)

PARTS = "ruleset { id databaseId name enforcement target rules(first: 9) { nodes { type } } }"
MAIN_ONLY = {"refName": {"include": ["~DEFAULT_BRANCH"], "exclude": []}}
REVIEWS = {
    "dismissStaleReviewsOnPush": False,
    "requireCodeOwnerReview": False,
    "requireLastPushApproval": False,
    "requiredApprovingReviewCount": 1,
    "requiredReviewThreadResolution": False,
    "allowedMergeMethods": ["MERGE"],
}
BY_REVIEW: dict[str, Any] = {"type": "PULL_REQUEST", "parameters": {"pullRequest": REVIEWS}}


@pytest.fixture
def repo_id(query: Query) -> str:
    return str(query('{ repository(owner: "acme", name: "rocket") { id } }')["data"]["repository"]["id"])


def create(query: Query, source: str, **given: Any) -> Any:
    whole = {"name": "main", "enforcement": "ACTIVE", "conditions": MAIN_ONLY, "rules": [BY_REVIEW]} | given
    return act(query, "createRepositoryRuleset", PARTS, sourceId=source, **whole)


def test_a_ruleset_made_over_graphql_is_the_one_that_rest_shows(
    sandbox: Sandbox, query: Query, rest: Rest, repo_id: str
) -> None:
    contexts = [{"context": "ci", "integrationId": sandbox.world.app("sandbox-ci").id}]
    checks = {"requiredStatusChecks": contexts, "strictRequiredStatusChecksPolicy": True}
    status = {"type": "REQUIRED_STATUS_CHECKS", "parameters": {"requiredStatusChecks": checks}}
    admins = [{"repositoryRoleDatabaseId": 5, "bypassMode": "PULL_REQUEST"}]

    made = create(query, repo_id, rules=[BY_REVIEW, status, {"type": "DELETION"}], bypassActors=admins)["ruleset"]
    shown = rest("GET", f"/rulesets/{made['databaseId']}").json()

    assert (shown["name"], shown["enforcement"], shown["target"], shown["node_id"]) == (
        *("main", "active", "branch"),
        made["id"],
    )
    assert [rule["type"] for rule in shown["rules"]] == ["pull_request", "required_status_checks", "deletion"]
    assert shown["rules"][0]["parameters"]["allowed_merge_methods"] == ["merge"]
    assert shown["rules"][1]["parameters"] == {
        "required_status_checks": [{"context": "ci", "integration_id": contexts[0]["integrationId"]}],
        "strict_required_status_checks_policy": True,
        "do_not_enforce_on_create": False,
    }
    assert shown["conditions"] == {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}}
    assert shown["bypass_actors"] == [{"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "pull_request"}]


def test_it_is_in_force_until_it_is_changed_or_deleted(sandbox: Sandbox, query: Query, repo_id: str) -> None:
    ahead = sandbox.world.push("acme/rocket", "next", {"a.txt": "a\n"})
    number = create(query, repo_id)["ruleset"]["id"]
    words = refusal(sandbox, ahead)

    act(query, "updateRepositoryRuleset", PARTS, repositoryRulesetId=number, rules=[{"type": "DELETION"}])
    sandbox.world.update_ref("acme/rocket", MAIN, ahead)
    changed = act(query, "updateRepositoryRuleset", PARTS, repositoryRulesetId=number, enforcement="DISABLED")
    gone = act(query, "deleteRepositoryRuleset", "clientMutationId", repositoryRulesetId=number, clientMutationId="x")
    again = act(query, "deleteRepositoryRuleset", "clientMutationId", repositoryRulesetId=number)

    assert words == found(BY_PULL)
    assert tip(sandbox) == ahead
    assert (changed["ruleset"]["enforcement"], changed["ruleset"]["name"]) == ("DISABLED", "main")
    assert changed["ruleset"]["rules"]["nodes"] == [{"type": "DELETION"}]
    assert gone == {"clientMutationId": "x"}
    assert again["type"] == "NOT_FOUND"


def test_the_same_events_are_sent(sandbox: Sandbox, receiver: Receiver, query: Query, repo_id: str) -> None:
    number = create(query, repo_id)["ruleset"]["id"]
    act(query, "updateRepositoryRuleset", PARTS, repositoryRulesetId=number, name="other")
    act(query, "deleteRepositoryRuleset", "clientMutationId", repositoryRulesetId=number)
    sandbox.settle()

    told = [(body["action"], body["repository_ruleset"]["name"]) for _, body in receiver.got]
    assert told == [("created", "main"), ("edited", "other"), ("deleted", "other")]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rules": [{"type": "AUTHORIZATION"}]}, no_input("/rules/0")),
        ({"rules": [{"type": "DELETION", "parameters": {"maxFileSize": {"maxFileSize": 1}}}]}, no_input("/rules/0")),
        ({"rules": [{"type": "PULL_REQUEST"}]}, no_input("/rules/0")),
        ({"rules": [{"type": "MAX_FILE_SIZE", "parameters": {"maxFileSize": {"maxFileSize": 1}}}]}, "Invalid rule"),
        ({"conditions": {"refName": {"include": ["main"], "exclude": []}}}, "Invalid target patterns: 'main'"),
        ({"target": "REPOSITORY"}, no_input("/target")),
        ({"name": "taken"}, "Name must be unique"),
        ({"bypassActors": [{"enterpriseOwner": True, "bypassMode": "ALWAYS"}]}, "not simulated: bypass actor"),
        ({"bypassActors": [{"repositoryRoleDatabaseId": 9, "bypassMode": "ALWAYS"}]}, "Actor RepositoryRole must be"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_rest_would_not_keep_is_refused_in_the_same_words(
    sandbox: Sandbox, query: Query, repo_id: str, given: dict[str, Any], words: str
) -> None:
    sandbox.world.add_ruleset("acme/rocket", "taken", rules=[{"type": "deletion"}])

    refused = create(query, repo_id, **given)

    assert refused["message"].startswith(words)
    assert len(sandbox.world.repo("acme/rocket").rulesets) == 1


def test_an_id_of_something_else_is_no_source_and_no_actor(query: Query, rest: Rest, repo_id: str) -> None:
    user = rest("GET", "//user").json()["node_id"]
    actor = [{"actorId": repo_id, "bypassMode": "ALWAYS"}]

    assert create(query, user)["message"] == "source must be a repository or an organization"
    assert create(query, repo_id, bypassActors=actor)["message"] == "a bypass actor is a team, an App or a user"


def test_actors_are_named_by_their_ids(sandbox: Sandbox, query: Query, rest: Rest, repo_id: str) -> None:
    world = sandbox.world
    world.users.join_team("acme/admins", "ana", "mergeq-bot")
    app = world.register_app("queue").app
    team = rest("GET", "//orgs/acme/teams/admins").json()
    ana = rest("GET", "//users/ana").json()
    ids = [rest("GET", "//apps/queue").json()["node_id"], team["node_id"], ana["node_id"]]
    actors: list[dict[str, Any]] = [{"actorId": one, "bypassMode": "ALWAYS"} for one in ids]
    actors += [{"organizationAdmin": True, "bypassMode": "ALWAYS"}, {"deployKey": True, "bypassMode": "ALWAYS"}]

    made = create(query, repo_id, bypassActors=actors)["ruleset"]

    kept = rest("GET", f"/rulesets/{made['databaseId']}").json()["bypass_actors"]
    assert [(one["actor_type"], one["actor_id"]) for one in kept] == [
        ("Integration", app.id),
        ("Team", team["id"]),
        ("User", ana["id"]),
        ("OrganizationAdmin", 1),
        ("DeployKey", None),
    ]


def test_an_organizations_rulesets_are_for_its_owners(sandbox: Sandbox, query: Query, rest: Rest, repo_id: str) -> None:
    world = sandbox.world
    world.create_repo("acme/other", files=FILES, ci=None)
    world.users.join_org("acme", "mergeq-bot", "admin")
    org = rest("GET", "//orgs/acme").json()["node_id"]
    only = MAIN_ONLY | {"repositoryId": {"repositoryIds": [repo_id]}}

    update = {"type": "UPDATE", "parameters": {"update": {"updateAllowsFetchAndMerge": False}}}

    everywhere = create(query, org, rules=[update])
    made = create(query, org, conditions=only, rules=[update])["ruleset"]
    covered = [bool(rest("GET", f"//repos/acme/{name}/rules/branches/main").json()) for name in ("rocket", "other")]

    assert everywhere["message"] == no_input("/conditions")
    assert covered == [True, False]
    assert rest("GET", f"//orgs/acme/rulesets/{made['databaseId']}").json()["source_type"] == "Organization"
    act(query, "deleteRepositoryRuleset", "clientMutationId", repositoryRulesetId=made["id"])
    assert rest("GET", "//orgs/acme/rulesets").json() == []
    world.users.join_org("acme", "mergeq-bot", "member")
    world.users.set_role("mergeq-bot", "write")
    assert create(query, org, conditions=only)["type"] == "FORBIDDEN"


def test_an_app_needs_the_permission_of_the_level(sandbox: Sandbox, session: requests.Session, repo_id: str) -> None:
    world, made = sandbox.world, {}
    org = node_id("O", world.users.id_of("acme"))
    text = """mutation($input: CreateRepositoryRulesetInput!) {
      createRepositoryRuleset(input: $input) { ruleset { name } } }"""
    for permission in ("administration", "organization_administration", "contents"):
        app = world.register_app(permission.replace("_", "-"), permissions={permission: "write"})
        token, _ = world.registry.issue(world.install_app(app, "acme"), now=world.now())
        for level, source in (("repository", repo_id), ("organization", org)):
            conditions = MAIN_ONLY | ({"repositoryName": {"include": ["~ALL"], "exclude": []}} if source == org else {})
            sent = {"sourceId": source, "name": permission, "enforcement": "ACTIVE", "conditions": conditions}
            answer = session.post(
                f"{BASE}/graphql",
                json={"query": text, "variables": {"input": sent}},
                headers={"Authorization": f"token {token}"},
            ).json()
            made[permission, level] = answer["errors"][0]["type"] if "errors" in answer else "made"

    assert made == {
        ("administration", "repository"): "made",
        ("administration", "organization"): "FORBIDDEN",
        ("organization_administration", "repository"): "FORBIDDEN",
        ("organization_administration", "organization"): "made",
        ("contents", "repository"): "FORBIDDEN",
        ("contents", "organization"): "FORBIDDEN",
    }


def test_only_who_administers_may(sandbox: Sandbox, query: Query, repo_id: str) -> None:
    number = create(query, repo_id)["ruleset"]["id"]
    sandbox.world.users.set_role("mergeq-bot", "maintain")

    refused = [
        create(query, repo_id, name="mine"),
        act(query, "updateRepositoryRuleset", PARTS, repositoryRulesetId=number, name="mine"),
        act(query, "deleteRepositoryRuleset", "clientMutationId", repositoryRulesetId=number),
    ]

    assert [(one["type"], one["message"]) for one in refused] == [
        ("FORBIDDEN", f"mergeq-bot does not have the correct permissions to execute `{verb}RepositoryRuleset`")
        for verb in ("Create", "Update", "Delete")
    ]
