"""What GitHub tells of protection that changes: events with the one who did it, audit logs, histories, and who may."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flask
import pytest
import requests

from mergeq.sandbox import Sandbox, WsgiAdapter
from mergeq.sandbox.records import Restrictions
from mergeq.sandbox.users import Role
from tests.sandbox.conftest import Query, Rest
from tests.sandbox.test_switches import switch_on

Payload = Mapping[str, Any]
MAIN = "/branches/main/protection"
BODY: dict[str, Any] = {
    "required_status_checks": {"strict": False, "contexts": ["ci"]},
    "enforce_admins": False,
    "required_pull_request_reviews": None,
    "restrictions": None,
}


@pytest.fixture
def events(sandbox: Sandbox) -> Callable[[], list[tuple[str, Payload]]]:
    """What a hook for everything is sent from here on."""
    sandbox.world.webhooks.session.mount("http://queue.test", WsgiAdapter(flask.Flask("queue")))
    sandbox.world.add_hook("http://queue.test", "")

    def told() -> list[tuple[str, Payload]]:
        sandbox.settle()
        return [(one.event, one.payload) for one in sandbox.world.deliveries]

    return told


def said(events: list[tuple[str, Payload]]) -> list[tuple[str, str, str]]:
    return [(event, payload["action"], payload["sender"]["login"]) for event, payload in events]


RULE = "branch_protection_rule"


def test_rest_tells_of_a_rule_that_is_made_changed_and_lifted(
    rest: Rest, events: Callable[[], list[tuple[str, Payload]]]
) -> None:
    assert rest("PUT", MAIN, **BODY).status_code == 200
    assert rest("POST", f"{MAIN}/required_signatures").status_code == 200
    assert rest("PUT", MAIN, **BODY | {"enforce_admins": True}).status_code == 200
    assert rest("DELETE", MAIN).status_code == 204

    assert said(events()) == [(RULE, action, "mergeq-bot") for action in ("created", "edited", "edited", "deleted")]
    created, signed, enforced, _ = (payload for _, payload in events())
    assert created["rule"]["required_status_checks"] == ["ci"]
    assert signed["changes"] == {"signature_requirement_enforcement_level": {"from": "off"}}
    assert enforced["changes"]["admin_enforced"] == {"from": False}


def test_graphql_tells_the_same_and_names_who_did_it(
    sandbox: Sandbox, query: Query, events: Callable[[], list[tuple[str, Payload]]]
) -> None:
    made = query(
        """mutation($repo: ID!) { createBranchProtectionRule(input: {repositoryId: $repo, pattern: "rel-*"}) {
        branchProtectionRule { id } } }""",
        repo=query('{ repository(owner: "acme", name: "rocket") { id } }')["data"]["repository"]["id"],
    )["data"]["createBranchProtectionRule"]["branchProtectionRule"]["id"]
    query(
        """mutation($rule: ID!) { updateBranchProtectionRule(input: {branchProtectionRuleId: $rule, pattern: "v*",
        requiresLinearHistory: true}) { branchProtectionRule { id } } }""",
        rule=made,
    )
    query(
        """mutation($rule: ID!) { deleteBranchProtectionRule(input: {branchProtectionRuleId: $rule}) {
        clientMutationId } }""",
        rule=made,
    )
    sandbox.world.protect("acme/rocket", "main", ["ci"], by="ana")
    sandbox.world.unprotect("acme/rocket", "main", by="bo")

    actions = ("created", "edited", "deleted", "created", "deleted")
    who = ("mergeq-bot",) * 3 + ("ana", "bo")
    assert said(events()) == [(RULE, action, login) for action, login in zip(actions, who, strict=True)]
    assert [payload["rule"]["name"] for _, payload in events()] == ["rel-*", "v*", "v*", "main", "main"]
    assert events()[1][1]["changes"] == {"linear_history_requirement_enforcement_level": {"from": "off"}}


def test_a_rule_that_is_renamed_keeps_its_age(sandbox: Sandbox) -> None:
    world = sandbox.world
    for pattern in ("a*", "b*"):
        world.protect("acme/rocket", pattern, ["ci"], by="ana")
    world.protect("acme/rocket", "a*", ["other"], by="ana")

    assert list(world.repo("acme/rocket").protections) == ["a*", "b*"]


def test_all_rules_can_go_at_once_with_one_event_that_names_none(
    sandbox: Sandbox, session: requests.Session, events: Callable[[], list[tuple[str, Payload]]]
) -> None:
    """P6.58."""
    for pattern in ("main", "rel-*"):
        sandbox.world.protect("acme/rocket", pattern, ["ci"])

    switch_on(session, "protection.disable", match={"repo": "acme/rocket"}, args={"by": "ana"})

    assert said(events()) == [("branch_protection_configuration", "disabled", "ana")]
    assert sandbox.world.repo("acme/rocket").protections == {}


def test_teams_of_a_repository_say_what_they_may(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    for slug, role in (("core", Role.WRITE), ("docs", Role.READ), ("leads", Role.MAINTAIN)):
        world.users.join_team(f"acme/{slug}", "ana")
        world.repo("acme/rocket").people.team_roles[slug] = role

    told = {team["slug"]: (team["permission"], team["permissions"]["push"]) for team in rest("GET", "/teams").json()}

    assert told == {"core": ("push", True), "docs": ("pull", False), "leads": ("maintain", True)}


def test_installations_of_an_organization_are_for_its_owners(
    sandbox: Sandbox, session: requests.Session, rest: Rest
) -> None:
    world = sandbox.world
    world.install_app(world.register_app("queue", permissions={"contents": "write"}), "acme")
    world.users.set_role("ana", Role.WRITE)

    (one,) = rest("GET", "//orgs/acme/installations").json()["installations"]
    assert (one["app_slug"], one["permissions"]["contents"]) == ("queue", "write")

    session.headers["Authorization"] = f"Bearer {world.users.issue_token('ana')}"
    assert rest("GET", "//orgs/acme/installations").status_code == 404


def test_an_audit_log_is_there_where_the_plan_has_one(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    world.protect("acme/rocket", "main", ["ci"], by="ana")
    path = "//orgs/acme/audit-log?phrase=action:protected_branch%20repo:acme/rocket"

    assert rest("GET", path).status_code == 404
    world.audited = True
    (act,) = rest("GET", path).json()
    assert (act["action"], act["actor"], act["name"]) == ("protected_branch.create", "ana", "main")
    assert rest("GET", f"{path}%20created:>=2100-01-01T00:00:00Z").json() == []


def test_a_ruleset_has_a_history_of_who_changed_it(rest: Rest) -> None:
    made = rest("POST", "/rulesets", name="one", enforcement="active", rules=[]).json()["id"]
    rest("PUT", f"/rulesets/{made}", name="two")

    newest, oldest = rest("GET", f"/rulesets/{made}/history").json()

    assert newest["version_id"] > oldest["version_id"]
    who = rest("GET", f"//user/{newest['actor']['id']}").json()
    assert who["login"] == "mergeq-bot"
    assert rest("GET", "//user/999999").status_code == 404


def test_who_is_let_past_a_ruleset_may_stay_though_github_says_otherwise(
    sandbox: Sandbox, session: requests.Session, rest: Rest
) -> None:
    """P6.54."""
    admins = {"actor_type": "RepositoryRole", "actor_id": 5, "bypass_mode": "always"}
    made = rest("POST", "/rulesets", name="one", enforcement="active", rules=[], bypass_actors=[admins]).json()["id"]
    switch_on(session, "ruleset.keeps_bypass", match={"repo": "acme/rocket"})

    for left in (1, 0):
        assert rest("PUT", f"/rulesets/{made}", bypass_actors=[]).status_code == 200
        assert len(sandbox.world.repo("acme/rocket").rulesets[made].bypass) == left


def test_single_sign_on_turns_a_token_away_that_was_not_authorized_for_it(
    session: requests.Session, rest: Rest, query: Query
) -> None:
    switch_on(session, "auth.saml", match={"repo": "acme/rocket"}, times=2)

    answer = rest("GET", "")
    assert answer.status_code == 403
    assert answer.json()["message"].startswith("Resource protected by organization SAML enforcement.")
    (error,) = query('{ repository(owner: "acme", name: "rocket") { id } }')["errors"]
    assert error["type"] == "FORBIDDEN"
    assert "SAML" in error["message"]


def test_rules_are_shown_to_an_app_that_may_read_them_and_changed_by_one_that_may_write(
    sandbox: Sandbox, session: requests.Session, query: Query
) -> None:
    world = sandbox.world
    world.protect("acme/rocket", "main", restrictions=Restrictions(("ana",), (), ()))
    app = world.register_app("guard", permissions={"administration": "write"})
    installed = world.install_app(app, "acme")
    asked = '{ repository(owner: "acme", name: "rocket") { branchProtectionRules(first: 5) { totalCount } } }'
    for level, shown in (("read", 1), (None, None)):
        permissions = {"metadata": "read"} | ({"administration": level} if level else {})
        token, _ = world.registry.issue(installed, now=world.now(), permissions=permissions)
        session.headers["Authorization"] = f"Bearer {token}"
        found = query(asked)["data"]["repository"]
        assert (found and found["branchProtectionRules"]["totalCount"]) == shown


def test_an_account_lists_what_it_owns(sandbox: Sandbox, query: Query) -> None:
    world = sandbox.world
    world.create_repo("acme/old", files={"a": "a"}, ci=None)
    world.archive("acme/old")
    asked = """query($login: String!, $archived: Boolean) { repositoryOwner(login: $login) {
      repositories(first: 10, isArchived: $archived, ownerAffiliations: [OWNER]) { nodes { name } } } }"""

    def names(**variables: Any) -> list[str]:
        return [one["name"] for one in query(asked, **variables)["data"]["repositoryOwner"]["repositories"]["nodes"]]

    assert names(login="acme") == ["old", "rocket"]
    assert names(login="acme", archived=False) == ["rocket"]


def test_a_team_is_found_by_its_slug(sandbox: Sandbox, query: Query) -> None:
    sandbox.world.users.join_team("acme/core", "ana")

    found = query(
        '{ organization(login: "acme") { core: team(slug: "core") { databaseId } none: team(slug: "x") { id } } }'
    )

    assert found["data"]["organization"]["core"]["databaseId"] == sandbox.world.users.team_id("acme", "core")
    assert found["data"]["organization"]["none"] is None
