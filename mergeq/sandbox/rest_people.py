"""REST endpoints of people: who is asking, organizations, teams, and who may do what in a repository."""

from __future__ import annotations

from flask import Response, jsonify

from mergeq.sandbox.app_shapes import org_shape
from mergeq.sandbox.protection_shapes import team_shape
from mergeq.sandbox.records import Repo
from mergeq.sandbox.refusals import RefusedError, not_found
from mergeq.sandbox.rest import Answer, administrator, body, chosen, endpoint, paged, parameters, the_repo
from mergeq.sandbox.shapes import Json, permissions_of
from mergeq.sandbox.site import actor, caller, shapes, viewer, world
from mergeq.sandbox.users import Role

_PEOPLE = "/repos/<owner>/<repo>/collaborators"
_TEAMS = "/orgs/<org>/teams"
_SINCE = "2020-01-01T00:00:00Z"
_SHORT = {Role.MAINTAIN: Role.WRITE, Role.TRIAGE: Role.READ}
"""How the older of the two fields spells roles it does not know."""
_IN_OLD_WORDS = {Role.READ: "pull", Role.WRITE: "push"}
_RIGHTS = {"pull": "read", "triage": "triage", "push": "write", "maintain": "maintain", "admin": "admin"}
_SENT = {"pull": Role.READ, "push": Role.WRITE} | {role.value: role for role in Role}


def _profile(login: str) -> Json:
    nothing_said = dict.fromkeys(("name", "company", "blog", "location", "email", "hireable", "bio"))
    counts = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
    return shapes().user(login) | nothing_said | counts | {"created_at": _SINCE, "updated_at": _SINCE}


@endpoint("GET", "/user")
def _user() -> Answer:
    parameters()
    return jsonify(_profile(actor()))


@endpoint("GET", "/users/<username>")
def _somebody(username: str) -> Answer:
    parameters()
    if not world().users.knows(username):
        raise not_found()
    return jsonify(_profile(username))


@endpoint("GET", "/user/<int:account_id>")
def _by_number(account_id: int) -> Answer:
    parameters()
    login = world().users.login_by_id(account_id)
    if login is None or "/" in login:
        raise not_found()
    return jsonify(_profile(login))


@endpoint("GET", "/user/orgs")
def _my_orgs() -> Answer:
    parameters()
    shown = shapes()
    return paged(world().users.orgs_of(actor()), lambda org: org_shape(shown, org))


def _membership_shape(org: str, login: str) -> Json:
    role = world().users.members(org).get(login)
    if role is None:
        raise not_found()
    return {
        "url": f"{shapes().api}/orgs/{org}/memberships/{login}",
        "state": "active",
        "role": role,
        "organization_url": f"{shapes().api}/orgs/{org}",
        "user": shapes().user(login),
        "organization": org_shape(shapes(), org.casefold()),
        "permissions": {"can_create_repository": role == "admin"},
    }


@endpoint("GET", "/user/memberships/orgs")
def _my_memberships() -> Answer:
    asked, login = parameters("state"), actor()
    orgs = world().users.orgs_of(login) if asked.get("state", "active") == "active" else ()
    return paged(orgs, lambda org: _membership_shape(org, login))


@endpoint("GET", "/user/memberships/orgs/<org>")
def _my_membership(org: str) -> Answer:
    parameters()
    return jsonify(_membership_shape(org, actor()))


def _repos_of(org: str) -> list[Repo]:
    """The repositories of an organization that the asker sees; raises RefusedError 404 if there is no such one."""
    mine = [repo for repo in world().repos() if repo.owner.casefold() == org.casefold()]
    if any(repo.owner_is_user for repo in mine) or not (mine or world().users.members(org)):
        raise not_found()
    return [repo for repo in mine if caller().sees(repo)]


def _whole_org(org: str) -> Json:
    """An organization as its own page shows it."""
    repos = _repos_of(org)
    return org_shape(shapes(), repos[0].owner if repos else org) | {
        "html_url": f"{shapes().web}/{org}",
        "has_organization_projects": False,
        "has_repository_projects": False,
        "public_repos": sum(not repo.private for repo in repos),
        **dict.fromkeys(("public_gists", "followers", "following"), 0),
        "type": "Organization",
        "created_at": _SINCE,
        "updated_at": _SINCE,
        "archived_at": None,
    }


@endpoint("GET", "/orgs/<org>")
def _organization(org: str) -> Answer:
    parameters()
    return jsonify(_whole_org(org))


@endpoint("GET", "/orgs/<org>/repos")
def _org_repos(org: str) -> Answer:
    parameters()
    return paged(_repos_of(org), shapes().minimal_repo)


def _is_inside(org: str) -> bool:
    """Whether an App, or a member of the organization, asks; raises RefusedError 401, or 404 without one."""
    login = actor()
    _repos_of(org)
    return login.endswith("[bot]") or login in world().users.members(org)


@endpoint("GET", "/orgs/<org>/public_members")
def _public_members(org: str) -> Answer:  # noqa: ARG001
    parameters()
    return paged((), dict)


@endpoint("GET", "/orgs/<org>/public_members/<username>")
def _is_public_member(org: str, username: str) -> Answer:  # noqa: ARG001
    raise not_found()


@endpoint("GET", "/orgs/<org>/members")
def _members(org: str) -> Answer:
    """Nobody here has made their membership public, so that those outside see none."""
    asked, shown, inside = parameters("role", "filter"), shapes(), _is_inside(org)
    role = asked.get("role", "all")
    logins = [login for login, held in sorted(world().users.members(org).items()) if inside and role in ("all", held)]
    return paged(logins, shown.user)


@endpoint("GET", "/orgs/<org>/members/<username>")
def _is_member(org: str, username: str) -> Answer:
    parameters()
    if not _is_inside(org):
        where = f"{shapes().api}/orgs/{org}/public_members/{username}"
        return Response(status=302, headers={"Location": where})
    if username not in world().users.members(org):
        raise not_found()
    return "", 204


@endpoint("GET", "/orgs/<org>/memberships/<username>")
def _membership(org: str, username: str) -> Answer:
    parameters()
    if not _is_inside(org):
        raise RefusedError(403, f"You must be a member of {org} to see membership information for {username}.")
    return jsonify(_membership_shape(org, username))


def _team(org: str, slug: str) -> set[str]:
    """The members of a team; raises RefusedError 404 if there is none, or none that the asker may know of."""
    if not _is_inside(org) or slug not in world().users.teams_of_org(org):
        raise not_found()
    return world().users.teams[slug]


@endpoint("GET", _TEAMS)
def _teams(org: str) -> Answer:
    parameters()
    if not _is_inside(org):
        raise not_found()
    shown = shapes()
    return paged(world().users.teams_of_org(org), lambda slug: team_shape(shown, org, slug))


@endpoint("GET", "/repos/<owner>/<repo>/teams")
def _teams_of_repo(owner: str, repo: str) -> Answer:
    """With what each may do there, in the words of old and one by one."""
    found, shown = the_repo(owner, repo), shapes()
    administrator(found)
    parameters()

    def shape(slug: str) -> Json:
        role = found.people.team_role(slug)
        held = {sent: role.reaches(Role(name)) for sent, name in _RIGHTS.items()}
        return {**team_shape(shown, found.owner, slug, _IN_OLD_WORDS.get(role, role)), "permissions": held}

    return paged(() if found.owner_is_user else world().users.teams_of_org(found.owner), shape)


@endpoint("GET", f"{_TEAMS}/<team_slug>")
def _one_team(org: str, team_slug: str) -> Answer:
    parameters()
    counts = {"members_count": len(_team(org, team_slug)), "repos_count": 0, "created_at": _SINCE, "updated_at": _SINCE}
    return jsonify({**team_shape(shapes(), org, team_slug), **counts, "organization": _whole_org(org)})


@endpoint("GET", f"{_TEAMS}/<team_slug>/members")
def _team_members(org: str, team_slug: str) -> Answer:
    parameters("role")
    return paged(sorted(_team(org, team_slug)), shapes().user)


@endpoint("GET", f"{_TEAMS}/<team_slug>/memberships/<username>")
def _team_membership(org: str, team_slug: str, username: str) -> Answer:
    parameters()
    if username not in _team(org, team_slug):
        raise not_found()
    url = f"{team_shape(shapes(), org, team_slug)['url']}/memberships/{username}"
    role = "maintainer" if world().users.members(org).get(username) == "admin" else "member"
    return jsonify({"url": url, "role": role, "state": "active"})


def _collaborator_shape(repo: Repo, login: str) -> Json:
    role = repo.people.role_of(login)
    return {**shapes().user(login), "permissions": permissions_of(repo, login), "role_name": role or "none"}


def _insider(owner: str, repo: str) -> Repo:
    """The repository, for somebody who may push to it; raises RefusedError 401, 403 or 404."""
    found = the_repo(owner, repo)
    if not actor().endswith("[bot]") and not found.people.may_write(actor()):
        raise RefusedError(403, "Must have push access to view repository collaborators.")
    return found


@endpoint("GET", _PEOPLE)
def _collaborators(owner: str, repo: str) -> Answer:
    found = _insider(owner, repo)
    parameters("affiliation", "permission")
    return paged(found.people.collaborators(), lambda login: _collaborator_shape(found, login))


@endpoint("GET", f"{_PEOPLE}/<username>")
def _is_collaborator(owner: str, repo: str, username: str) -> Answer:
    found = _insider(owner, repo)
    parameters()
    if not world().users.knows(username) or found.people.role_of(username) is None:
        raise not_found()
    return "", 204


@endpoint("PUT", f"{_PEOPLE}/<username>")
def _invite(owner: str, repo: str, username: str) -> Answer:
    """Without an invitation that would have to be accepted: as in an organization whose members know each other."""
    found = the_repo(owner, repo)
    administrator(found, changes=True)
    asked = chosen(body("permission").get("permission", "push"), tuple(_SENT), "Repository", "permission")
    found.people.invite(username, _SENT[asked])
    return "", 204


@endpoint("DELETE", f"{_PEOPLE}/<username>")
def _dismiss(owner: str, repo: str, username: str) -> Answer:
    found = the_repo(owner, repo)
    administrator(found, changes=True)
    found.people.dismiss(username)
    return "", 204


@endpoint("GET", f"{_PEOPLE}/<username>/permission")
def _permission(owner: str, repo: str, username: str) -> Answer:
    """In the four words of old, and by the name of the role."""
    found = the_repo(owner, repo)
    parameters()
    login = viewer()
    if login is None or not (login.endswith("[bot]") or found.people.may_write(login)):
        raise (
            RefusedError(401, "Requires authentication")
            if login is None
            else RefusedError(403, "Must have push access to view collaborator permission.")
        )
    if not world().users.knows(username):
        raise RefusedError(404, f"{username} is not a user")
    role = found.people.role_of(username)
    return jsonify(
        {
            "permission": "none" if role is None else _SHORT.get(role, role),
            "role_name": role or "none",
            "user": _collaborator_shape(found, username),
        }
    )
