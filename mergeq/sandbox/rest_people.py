"""REST endpoints of people: users, organizations, teams, and who may do what in a repository."""

from __future__ import annotations

from flask import jsonify

from mergeq.sandbox.protection_shapes import team_shape
from mergeq.sandbox.records import Repo
from mergeq.sandbox.refusals import not_found
from mergeq.sandbox.rest import Answer, endpoint, paged, parameters, the_repo
from mergeq.sandbox.shapes import Json, Shapes
from mergeq.sandbox.site import actor, shapes, world

_REPO = "/repos/<owner>/<repo>"
_ORG = "/orgs/<org>"
_TEAM = f"{_ORG}/teams/<team_slug>"
_SINCE = "2020-01-01T00:00:00Z"


def account_shape(shown: Shapes, login: str) -> Json:
    """A user as its own page shows it; nobody here has said anything of themselves."""
    nothing_said = dict.fromkeys(("name", "company", "blog", "location", "email", "hireable", "bio"))
    counts = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
    return shown.user(login) | nothing_said | counts | {"created_at": _SINCE, "updated_at": _SINCE}


@endpoint("GET", "/user")
def _user() -> Answer:
    parameters()
    return jsonify(account_shape(shapes(), actor()))


@endpoint("GET", "/users/<username>")
def _somebody(username: str) -> Answer:
    parameters()
    return jsonify(account_shape(shapes(), _known(username)))


def _known(username: str) -> str:
    if not world().users.knows(username):
        raise not_found()
    return username


def _repos_of(org: str) -> list[Repo]:
    """The repositories of an organization; raises RefusedError 404 if there is none of that name."""
    found = [r for r in world().repos() if r.owner.casefold() == org.casefold() and not r.owner_is_user]
    if not found:
        raise not_found()
    return found


@endpoint("GET", _ORG)
def _organization(org: str) -> Answer:
    parameters()
    repos, shown = _repos_of(org), shapes()
    return jsonify(_whole_org(shown, repos[0].owner, len(repos)))


def _whole_org(shown: Shapes, org: str, repos: int) -> Json:
    return org_shape(shown, org) | {
        "html_url": f"{shown.web}/{org}",
        "has_organization_projects": False,
        "has_repository_projects": False,
        "public_repos": repos,
        **dict.fromkeys(("public_gists", "followers", "following"), 0),
        "type": "Organization",
        "created_at": _SINCE,
        "updated_at": _SINCE,
        "archived_at": None,
    }


def org_shape(shown: Shapes, org: str) -> Json:
    """An organization as it stands inside of other things."""
    user = shown.user(org, "Organization")
    url = f"{shown.api}/orgs/{org}"
    return {
        **{key: user[key] for key in ("login", "id", "node_id", "avatar_url")},
        "url": url,
        "repos_url": f"{url}/repos",
        "events_url": f"{url}/events",
        "hooks_url": f"{url}/hooks",
        "issues_url": f"{url}/issues",
        "members_url": f"{url}/members{{/member}}",
        "public_members_url": f"{url}/public_members{{/member}}",
        "description": None,
    }


@endpoint("GET", f"{_ORG}/repos")
def _org_repos(org: str) -> Answer:
    parameters()
    shown = shapes()
    return paged(_repos_of(org), shown.minimal_repo)


@endpoint("GET", f"{_ORG}/members")
def _members(org: str) -> Answer:
    """Everybody who may write: roles are the same in every repository."""
    parameters()
    _repos_of(org)
    return paged(world().users.writers(), shapes().user)


@endpoint("GET", f"{_ORG}/members/<username>")
def _is_member(org: str, username: str) -> Answer:
    parameters()
    _repos_of(org)
    if username not in world().users.writers():
        raise not_found()
    return "", 204


@endpoint("GET", f"{_ORG}/teams")
def _teams(org: str) -> Answer:
    parameters()
    owner, shown = _repos_of(org)[0].owner, shapes()
    return paged(sorted(world().users.teams), lambda slug: team_shape(shown, owner, slug))


@endpoint("GET", _TEAM)
def _team(org: str, team_slug: str) -> Answer:
    parameters()
    members, shown = _members_of(org, team_slug), shapes()
    repos = _repos_of(org)
    owner = repos[0].owner
    organization = _whole_org(shown, owner, len(repos))
    counts = {"members_count": len(members), "repos_count": 0, "created_at": _SINCE, "updated_at": _SINCE}
    return jsonify(team_shape(shown, owner, team_slug) | counts | {"organization": organization})


def _members_of(org: str, slug: str) -> list[str]:
    _repos_of(org)
    if slug not in world().users.teams:
        raise not_found()
    return sorted(world().users.teams[slug])


@endpoint("GET", f"{_TEAM}/members")
def _team_members(org: str, team_slug: str) -> Answer:
    parameters()
    return paged(_members_of(org, team_slug), shapes().user)


@endpoint("GET", f"{_TEAM}/memberships/<username>")
def _membership(org: str, team_slug: str, username: str) -> Answer:
    parameters()
    if username not in _members_of(org, team_slug):
        raise not_found()
    url = f"{shapes().api}/orgs/{org}/teams/{team_slug}/memberships/{username}"
    return jsonify({"role": "member", "state": "active", "url": url})


@endpoint("GET", f"{_REPO}/collaborators")
def _collaborators(owner: str, repo: str) -> Answer:
    the_repo(owner, repo)
    parameters()
    return paged(world().users.writers(), _collaborator)


@endpoint("GET", f"{_REPO}/collaborators/<username>")
def _is_collaborator(owner: str, repo: str, username: str) -> Answer:
    the_repo(owner, repo)
    parameters()
    if username not in world().users.writers():
        raise not_found()
    return "", 204


@endpoint("GET", f"{_REPO}/collaborators/<username>/permission")
def _permission(owner: str, repo: str, username: str) -> Answer:
    the_repo(owner, repo)
    parameters()
    role = world().users.role_of(_known(username))
    return jsonify({"permission": role, "role_name": role, "user": _collaborator(username)})


def _collaborator(login: str) -> Json:
    users = world().users
    permissions = {
        **dict.fromkeys(("admin", "maintain"), users.is_admin(login)),
        **dict.fromkeys(("push", "triage"), users.may_write(login)),
        "pull": True,
    }
    return shapes().user(login) | {"permissions": permissions, "role_name": users.role_of(login)}
