from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from mergeq.sandbox import Sandbox
from mergeq.sandbox.users import Role
from tests.sandbox.conftest import BASE, FILES

HIDDEN = (404, "Not Found")

As = Callable[..., requests.Response]


@pytest.fixture
def as_(sandbox: Sandbox, session: requests.Session) -> As:
    """``as_("zoe", "GET", "/user")``; None as the login signs nobody in."""
    tokens: dict[str, str] = {}

    def ask(login: str | None, method: str, path: str, **json: Any) -> requests.Response:
        headers: dict[str, Any] = {"Authorization": None}
        if login is not None:
            token = tokens.setdefault(login, sandbox.world.users.issue_token(login))
            headers = {"Authorization": f"token {token}"}
        return session.request(method, BASE + path, json=json or None, headers=headers)

    return ask


def said(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["message"]


@pytest.mark.parametrize(
    ("role", "labels", "merges", "reads_protection", "edits"),
    [
        (Role.READ, 403, 403, 404, 403),
        (Role.TRIAGE, 200, 403, 404, 403),
        (Role.WRITE, 200, 200, 404, 403),
        (Role.MAINTAIN, 200, 200, 404, 403),
        (Role.ADMIN, 200, 200, 200, 200),
    ],
)
def test_a_role_in_a_repository_says_what_may_be_done_there(
    sandbox: Sandbox, as_: As, role: Role, labels: int, merges: int, reads_protection: int, edits: int
) -> None:
    world = sandbox.world
    world.repo("acme/rocket").people.invite("zoe", role)
    world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
    world.create_ref("acme/rocket", "refs/heads/other", str(world.repo("acme/rocket").git.tip("main")))
    world.protect("acme/rocket", "other", ["x"])
    base = "/repos/acme/rocket"

    assert as_("zoe", "GET", f"{base}/pulls").status_code == 200
    assert as_("zoe", "POST", f"{base}/issues/1/labels", labels=["lgtm"]).status_code == labels
    assert as_("zoe", "PUT", f"{base}/pulls/1/merge").status_code == merges
    assert as_("zoe", "GET", f"{base}/branches/other/protection").status_code == reads_protection
    assert as_("zoe", "PATCH", base, allow_rebase_merge=False).status_code == edits


def test_routes_for_administrators_hide_or_say_so_as_githubs_do(sandbox: Sandbox, as_: As) -> None:
    sandbox.world.users.issue_token("zoe")
    base = "/repos/acme/rocket"

    assert said(as_("zoe", "GET", f"{base}/branches/main/protection")) == HIDDEN
    assert said(as_("zoe", "GET", f"{base}/hooks")) == HIDDEN
    assert said(as_("zoe", "PATCH", base, archived=True)) == (403, "Must have admin rights to Repository.")
    assert said(as_(None, "PATCH", base, archived=True)) == (401, "Requires authentication")


def test_a_private_repository_is_there_only_for_those_who_were_let_in(sandbox: Sandbox, as_: As) -> None:
    world = sandbox.world
    hidden = world.create_repo("acme/secret", files=FILES, ci=None, private=True)
    hidden.people.invite("zoe", "triage")
    world.users.join_org("acme", "ben")
    world.users.join_org("acme", "oda", "admin")
    base = "/repos/acme/secret"
    query = '{repository(owner: "acme", name: "secret") { viewerPermission }}'

    def through_graphql(login: str) -> Any:
        return (as_(login, "POST", "/graphql", query=query).json()["data"]["repository"] or {}).get("viewerPermission")

    statuses = {login: as_(login, "GET", base).status_code for login in (None, "eve", "zoe", "ben", "oda")}

    assert statuses == {None: 404, "eve": 404, "zoe": 200, "ben": 200, "oda": 200}
    assert [through_graphql(login) for login in ("eve", "zoe", "ben", "oda")] == [None, "TRIAGE", "READ", "ADMIN"]
    assert as_("zoe", "GET", base).json()["permissions"] == {
        "admin": False,
        "maintain": False,
        "push": False,
        "triage": True,
        "pull": True,
    }
    assert said(as_("eve", "PUT", f"{base}/pulls/1/merge")) == HIDDEN


def test_search_finds_nothing_in_what_is_hidden(sandbox: Sandbox, as_: As) -> None:
    world = sandbox.world
    hidden = world.create_repo("acme/secret", files=FILES, ci=None, private=True)
    hidden.people.invite("zoe", "read")
    world.open_pull("acme/secret", title="Add", files={"a.txt": "a\n"}, author="zoe")
    query = '{search(type: ISSUE, first: 5, query: "is:pr repo:acme/secret") { issueCount }}'

    counts = [
        as_(who, "POST", "/graphql", query=query).json()["data"]["search"]["issueCount"] for who in ("eve", "zoe")
    ]

    assert counts == [0, 1]


def test_permissions_are_told_in_four_words_and_by_role(sandbox: Sandbox, as_: As) -> None:
    people = sandbox.world.repo("acme/rocket").people
    for role in Role:
        people.invite(role.value, role)
    path = "/repos/acme/rocket/collaborators/{}/permission"

    def told(login: str) -> tuple[str, str]:
        body = as_("admin", "GET", path.format(login)).json()
        assert body["user"]["login"] == login
        return body["permission"], body["role_name"]

    assert {role: told(role) for role in Role} == {
        "read": ("read", "read"),
        "triage": ("read", "triage"),
        "write": ("write", "write"),
        "maintain": ("write", "maintain"),
        "admin": ("admin", "admin"),
    }
    assert said(as_("admin", "GET", path.format("nobody"))) == (404, "nobody is not a user")
    assert said(as_("read", "GET", path.format("admin"))) == (
        403,
        "Must have push access to view collaborator permission.",
    )


def test_collaborators_are_invited_listed_and_dismissed(sandbox: Sandbox, as_: As) -> None:
    sandbox.world.create_repo("acme/secret", files=FILES, ci=None, private=True)
    base = "/repos/acme/secret/collaborators"
    bot = "mergeq-bot"

    invited = as_(bot, "PUT", f"{base}/zoe", permission="maintain").status_code
    listed = {one["login"]: one["role_name"] for one in as_(bot, "GET", base).json()}
    inside = as_(bot, "GET", f"{base}/zoe").status_code
    dismissed = as_(bot, "DELETE", f"{base}/zoe").status_code

    assert (invited, listed, inside, dismissed) == (204, {bot: "admin", "zoe": "maintain"}, 204, 204)
    assert as_(bot, "GET", f"{base}/zoe").status_code == 404
    assert said(as_("zoe", "GET", base)) == HIDDEN


def test_organizations_and_teams_are_seen_from_inside(sandbox: Sandbox, as_: As) -> None:
    users = sandbox.world.users
    users.join_org("acme", "oda", "admin")
    users.join_team("acme/owners", "oda", "ben")
    users.join_org("other", "eve")

    def names(login: str, path: str, key: str) -> list[str]:
        return [one[key] for one in as_(login, "GET", path).json()]

    def status(login: str, path: str) -> int:
        return as_(login, "GET", path).status_code

    membership = as_("ben", "GET", "/user/memberships/orgs/acme").json()
    assert names("ben", "/user/orgs", "login") == ["acme"]
    assert (membership["state"], membership["role"], membership["organization"]["login"]) == (
        "active",
        "member",
        "acme",
    )
    assert [one["role"] for one in as_("oda", "GET", "/user/memberships/orgs?state=active").json()] == ["admin"]
    assert names("ben", "/orgs/acme/members", "login") == ["ben", "oda"]
    assert names("ben", "/orgs/acme/members?role=admin", "login") == ["oda"]
    assert names("ben", "/orgs/acme/teams", "slug") == ["owners"]
    assert names("ben", "/orgs/acme/teams/owners/members", "login") == ["ben", "oda"]
    assert as_("ben", "GET", "/orgs/acme/teams/owners/memberships/oda").json()["role"] == "maintainer"
    assert status("ben", "/orgs/acme/members/oda") == 204
    assert status("ben", "/orgs/acme/teams/owners/memberships/eve") == 404
    assert status("eve", "/orgs/acme/teams/owners/memberships/ben") == 404
    assert status("eve", "/user/memberships/orgs/acme") == 404
    assert names("eve", "/orgs/acme/members", "login") == []
    assert names("eve", "/orgs/acme/repos", "name") == ["rocket"]
    assert as_("eve", "GET", "/orgs/acme").json()["public_repos"] == 1
    assert [status("eve", f"/orgs/{tail}") for tail in ("nowhere", "nowhere/repos")] == [404, 404]
    assert [status("eve", f"/orgs/acme{tail}") for tail in ("/members/ben", "/teams")] == [404, 404]
    assert said(as_("eve", "GET", "/orgs/acme/memberships/ben")) == (
        403,
        "You must be a member of acme to see membership information for ben.",
    )


def test_a_team_of_another_organization_opens_no_branch(sandbox: Sandbox) -> None:
    users = sandbox.world.users
    users.join_team("other/owners", "eve")

    assert "owners" not in sandbox.world.repo("acme/rocket").people.teams


def test_a_fine_grained_token_does_what_it_was_given_where_it_was_given(
    sandbox: Sandbox, session: requests.Session
) -> None:
    world = sandbox.world
    world.create_repo("acme/other", files=FILES, ci=None)
    asked = {"login": "ana", "kind": "github_pat", "permissions": {"issues": "write"}, "repos": ["acme/rocket"]}
    token = session.post(f"{BASE}/_sim/tokens", json=asked).json()["token"]
    session.headers["Authorization"] = f"Bearer {token}"
    tip = world.repo("acme/rocket").git.tip("main")

    def post(repo: str, path: str, **json: Any) -> requests.Response:
        return session.post(f"{BASE}/repos/{repo}{path}", json=json)

    refused = post("acme/rocket", f"/statuses/{tip}", state="success")

    assert token.startswith("github_pat_")
    assert post("acme/rocket", "/issues", title="Freeze").status_code == 201
    assert said(post("acme/other", "/issues", title="x")) == (403, "Resource not accessible by personal access token")
    assert said(refused) == (403, "Resource not accessible by personal access token")
    assert refused.headers["X-Accepted-GitHub-Permissions"] == "statuses=write"


def test_tokens_that_end_and_wrong_wishes_for_tokens(sandbox: Sandbox, session: requests.Session) -> None:
    made = session.post(f"{BASE}/_sim/tokens", json={"login": "ana", "expires_in": 60}).json()["token"]
    wrong = session.post(f"{BASE}/_sim/tokens", json={"login": "ana", "kind": "magic"})
    session.headers["Authorization"] = f"Bearer {made}"
    seen = [session.get(f"{BASE}/user").status_code]
    sandbox.clock.advance(60)
    seen.append(session.get(f"{BASE}/user").status_code)

    assert (seen, wrong.status_code) == ([200, 401], 422)


def test_classic_tokens_tell_their_scopes(rest: Callable[..., requests.Response]) -> None:
    headers = rest("GET", "").headers

    assert headers["X-OAuth-Scopes"] == "read:org, repo, workflow"
    assert "X-Accepted-GitHub-Permissions" not in headers


def test_people_are_planted_over_http(sandbox: Sandbox, session: requests.Session) -> None:
    asked = {
        "default_role": "read",
        "people": {"zoe": {"repos": {"acme/rocket": "maintain"}, "orgs": {"acme": "admin"}, "teams": ["acme/owners"]}},
    }
    made = session.post(f"{BASE}/_sim/people", json=asked)
    wrong = session.post(f"{BASE}/_sim/people", json={"people": {"zoe": {"roles": []}}})
    users, people = sandbox.world.users, sandbox.world.repo("acme/rocket").people

    assert (made.status_code, wrong.status_code) == (201, 422)
    assert session.get(f"{BASE}/user", headers={"Authorization": f"token {made.json()['tokens']['zoe']}"}).ok
    assert (people.role_of("anybody"), people.role_of("zoe"), users.teams["owners"]) == (Role.READ, Role.ADMIN, {"zoe"})
