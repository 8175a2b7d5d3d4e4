"""REST endpoints of GitHub Apps: themselves, their installations and tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from flask import jsonify, request

from mergeq.sandbox import installing
from mergeq.sandbox.app_shapes import installation_shape, token_shape
from mergeq.sandbox.apps import MAX_REPOSITORIES, TOKEN_LIFE_S, Installation
from mergeq.sandbox.gate import registration, server_time
from mergeq.sandbox.refusals import RefusedError, not_found
from mergeq.sandbox.rest import (
    Answer,
    body,
    endpoint,
    paged,
    parameters,
)
from mergeq.sandbox.site import actor, caller, shapes, token_of, viewer, world
from mergeq.sandbox.users import LEVELS, TokenKind

_INSTALLATION = "/app/installations/<int:installation_id>"


@endpoint("GET", "/app")
def _app() -> Answer:
    parameters()
    mine = registration()
    count = len(world().registry.installations(mine.app.id))
    return jsonify({**shapes().app(mine.app), "installations_count": count})


@endpoint("GET", "/apps/<app_slug>")
def _app_by_slug(app_slug: str) -> Answer:
    """Any that has ever reported something, be it registered here or not."""
    parameters()
    found = next((app for app in world().apps() if app.slug == app_slug), None)
    registered = world().registry.by_slug(app_slug)
    if found is None or (registered is not None and registered.oauth):
        raise not_found()
    return jsonify(shapes().app(found))


@endpoint("GET", "/app/installations")
def _installations() -> Answer:
    parameters("since", "outdated")
    shown = shapes()
    return paged(world().registry.installations(registration().app.id), lambda one: installation_shape(shown, one))


def _mine(installation: Installation | None) -> Installation:
    """The installation, if it is of the App that asks; raises RefusedError 404."""
    if installation is None or installation.registration is not registration():
        raise not_found()
    return installation


@endpoint("GET", _INSTALLATION)
def _installation(installation_id: int) -> Answer:
    parameters()
    return jsonify(installation_shape(shapes(), _mine(world().registry.installation(installation_id))))


@endpoint("DELETE", _INSTALLATION)
def _uninstall(installation_id: int) -> Answer:
    found = _mine(world().registry.installation(installation_id))
    installing.uninstall(world(), found, found.registration.bot)
    return "", 204


@endpoint("PUT", f"{_INSTALLATION}/suspended")
def _suspend(installation_id: int) -> Answer:
    found = _mine(world().registry.installation(installation_id))
    installing.suspend(world(), found, found.registration.bot)
    return "", 204


@endpoint("DELETE", f"{_INSTALLATION}/suspended")
def _unsuspend(installation_id: int) -> Answer:
    found = _mine(world().registry.installation(installation_id))
    installing.suspend(world(), found, found.registration.bot, suspended=False)
    return "", 204


@endpoint("GET", "/repos/<owner>/<repo>/installation")
def _on_repo(owner: str, repo: str) -> Answer:
    parameters()
    found = world().find_repo(f"{owner}/{repo}")
    installed = None if found is None else world().registry.on_repo(registration().app.id, found)
    return jsonify(installation_shape(shapes(), _mine(installed)))


@endpoint("GET", "/orgs/<org>/installation")
def _at_org(org: str) -> Answer:
    parameters()
    return jsonify(installation_shape(shapes(), _mine(world().registry.at_account(registration().app.id, org))))


@endpoint("GET", "/orgs/<org>/installations")
def _installations_at(org: str) -> Answer:
    """Those of all Apps, for the organization's owners and Apps that may administer it."""
    parameters()
    actor()
    if not caller().owns(org):
        raise not_found()
    here = [one for one in world().registry.installations() if one.account.casefold() == org.casefold()]
    shown = shapes()
    return paged(here, lambda one: installation_shape(shown, one), "installations")


@endpoint("GET", "/users/<username>/installation")
def _at_user(username: str) -> Answer:
    parameters()
    return jsonify(installation_shape(shapes(), _mine(world().registry.at_account(registration().app.id, username))))


@endpoint("POST", f"{_INSTALLATION}/access_tokens")
def _issue(installation_id: int) -> Answer:
    found = _mine(world().registry.installation(installation_id))
    if found.suspended_at is not None:
        raise RefusedError(403, "This installation has been suspended")
    fields = body("repositories", "repository_ids", "permissions")
    repos = _narrowed_to(found, fields.get("repositories"), fields.get("repository_ids"))
    permissions = _allowed(found, fields.get("permissions"))
    token, grant = world().registry.issue(found, now=world().now(), repos=repos, permissions=permissions)
    ahead = server_time() - world().now()
    told = replace(grant, expires_at=world().now() + TOKEN_LIFE_S + ahead)
    return jsonify(token_shape(shapes(), token, told)), 201


def _narrowed_to(
    installation: Installation, names: Sequence[str] | None, ids: Sequence[int] | None
) -> list[int] | None:
    """The ids of the repositories a token is asked for; None if for all the installation has."""
    if names is None and ids is None:
        return None
    if len(names or ids or ()) > MAX_REPOSITORIES:
        raise RefusedError(422, f"There are more than {MAX_REPOSITORIES} repositories in this request.")
    covered = installing.covered(world(), installation)
    by_name = {repo.name.casefold(): repo.id for repo in covered}
    wanted = [by_name.get(name.casefold()) for name in names or ()]
    wanted += [number if number in by_name.values() else None for number in ids or ()]
    if None in wanted:
        raise RefusedError(
            422,
            "There is at least one repository that does not exist or is not accessible to the parent installation.",
        )
    return [number for number in wanted if number is not None]


def _allowed(installation: Installation, asked: Mapping[str, str] | None) -> Mapping[str, str] | None:
    held = installation.permissions
    for name, level in (asked or {}).items():
        if level not in LEVELS or LEVELS.index(level) > LEVELS.index(held.get(name, "read")) or name not in held:
            raise RefusedError(422, "The permissions requested are not granted to this installation.")
    return {"metadata": "read", **asked} if asked else None


@endpoint("GET", "/installation/repositories")
def _repositories() -> Answer:
    parameters()
    actor()
    who = caller()
    if not who.is_integration:
        how = "You must authenticate with an installation access token"
        raise RefusedError(403, f"{how} in order to list repositories for an installation.")
    mine = tuple(repo for repo in world().repos() if who.covers(repo))
    shown, login = shapes(), viewer()
    grant = who.grant
    selection = "all" if grant is None or grant.repos is None else "selected"
    return paged(mine, lambda repo: shown.repo(repo, login), "repositories", repository_selection=selection)


@endpoint("DELETE", "/installation/token")
def _give_back() -> Answer:
    """A token is worth nothing after it has said so itself."""
    grant, token = caller().grant, token_of(request)
    if grant is None or token is None or grant.kind is not TokenKind.INSTALLATION:
        raise RefusedError(401, "Requires authentication")
    world().users.revoke(token)
    return "", 204
