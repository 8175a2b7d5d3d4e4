"""``/_sim``: the controls that GitHub does not have; hits, faults, clock, seeds, CI logs, people and Apps."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from flask import Blueprint, Response, jsonify, request

from mergeq.sandbox import acts, installing
from mergeq.sandbox.app_shapes import installation_shape
from mergeq.sandbox.faults import Fault, FaultId
from mergeq.sandbox.oauth import secrets_shape
from mergeq.sandbox.refusals import RefusedError
from mergeq.sandbox.rest import Answer
from mergeq.sandbox.site import shapes, site, world
from mergeq.sandbox.users import BOT, SCOPES, Grant, Role, TokenKind

control = Blueprint("control", __name__, url_prefix="/_sim")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@control.get("/hits")
def _hits() -> Answer:
    return jsonify(site().hits.counts())


@control.get("/faults")
def _faults() -> Answer:
    return jsonify([_shown(fault) for fault in world().faults.listed()])


@control.post("/faults")
def _add_fault() -> Answer:
    asked: dict[str, Any] = request.get_json(force=True)
    unknown = asked.keys() - {"id", "match", "times", "after", "args"}
    match = asked.get("match") or {}
    unknown |= match.keys() - {"repo", "pr", "route"}
    if unknown or asked.get("id") not in set(FaultId):
        what = f"key {min(unknown)}" if unknown else f"fault {asked.get('id')}"
        return jsonify({"message": f"unknown {what}", "known": list(FaultId)}), 422
    fault = world().faults.add(
        asked["id"],
        repo=match.get("repo"),
        pr=match.get("pr"),
        route=match.get("route"),
        times=asked.get("times", 1),
        after=asked.get("after", 0),
        args=asked.get("args"),
    )
    try:
        acts.carry_out(world(), fault)
    except (KeyError, RefusedError) as error:
        return jsonify({"message": f"{fault.id}: {error.args[0]}"}), 422
    return jsonify(_shown(fault)), 201


def _shown(fault: Fault) -> dict[str, Any]:
    return {
        "id": fault.id,
        "match": {"repo": fault.repo, "pr": fault.pr, "route": fault.route},
        "times": fault.times,
        "after": fault.after,
        "args": dict(fault.args),
        "hits": fault.hits,
    }


@control.post("/clock")
def _clock() -> Answer:
    clock = world().clock
    asked = request.get_json(force=True).get("advance", 0)
    span = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", str(asked))
    if span is None:
        return jsonify({"message": f"advance is a number of seconds or like 30s, 5m; not {asked!r}"}), 422
    clock.advance(float(span[1]) * _UNITS[span[2]])
    return jsonify({"now": clock.now()})


@control.post("/seed")
def _seed() -> Answer:
    try:
        site().load(request.get_json(force=True))
    except ValueError as error:
        return jsonify({"message": str(error)}), 422
    return jsonify({"repos": [repo.full_name for repo in world().repos()]}), 201


@control.post("/reset")
def _reset() -> Answer:
    """Forget hits and faults; the world stays."""
    site().hits.clear()
    world().faults.clear()
    return "", 204


@control.get("/ci/<int:number>")
def _ci_log(number: int) -> Answer:
    log = world().ci.logs.get(number)
    if log is None:
        return jsonify({"message": f"run {number} has no log (yet)"}), 404
    return Response(log, mimetype="text/plain")


_PERSON = ("role", "repos", "orgs", "teams")
_TOKEN = ("login", "kind", "scopes", "permissions", "repos", "expires_in")
_INSTALLATION = ("suspended", "permissions", "repos")


def _asked(known: Collection[str]) -> dict[str, Any]:
    """The object sent; raises ValueError naming a key that is not understood."""
    sent: dict[str, Any] = request.get_json(force=True)
    unknown = sorted(sent.keys() - set(known))
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; known are {', '.join(known)}")
    return sent


def _told(act: Callable[[], Answer]) -> Answer:
    """What an act answers, or what it does not understand."""
    with world().lock:
        try:
            return act()
        except (KeyError, TypeError, ValueError) as error:
            return jsonify({"message": str(error)}), 422


@control.post("/people")
def _people() -> Answer:
    """``{default_role, people: {LOGIN: {role, repos: {ORG/REPO: role}, orgs: {ORG: role}, teams: [ORG/SLUG]}}}``.

    Answers with a token for each.
    """

    def act() -> Answer:
        asked, here = _asked(("default_role", "people")), world()
        here.users.default_role = Role(asked.get("default_role", here.users.default_role))
        for login, person in asked.get("people", {}).items():
            unknown = sorted(person.keys() - set(_PERSON))
            if unknown:
                raise ValueError(f"people[{login}]: unknown key {unknown[0]!r}")
            if "role" in person:
                here.users.set_role(login, person["role"])
            for repo, role in person.get("repos", {}).items():
                here.repo(repo).people.invite(login, role)
            for org, role in person.get("orgs", {}).items():
                here.users.join_org(org, login, role)
            for team in person.get("teams", ()):
                here.users.join_team(team, login)
        return jsonify({"tokens": {login: here.users.issue_token(login) for login in asked.get("people", {})}}), 201

    return _told(act)


@control.post("/tokens")
def _tokens() -> Answer:
    """``{login, kind: ghp|github_pat|gho, scopes, permissions, repos: [ORG/REPO], expires_in (seconds)}``."""

    def act() -> Answer:
        asked, here = _asked(_TOKEN), world()
        life_s = asked.get("expires_in")
        grant = Grant(
            asked["login"],
            TokenKind(asked.get("kind", TokenKind.CLASSIC)),
            scopes=tuple(asked.get("scopes", SCOPES)),
            permissions={"metadata": "read", **asked["permissions"]} if "permissions" in asked else None,
            repos=frozenset(here.repo(name).id for name in asked["repos"]) if "repos" in asked else None,
            expires_at=None if life_s is None else here.now() + float(life_s),
        )
        return jsonify({"token": here.users.issue_token(grant.login, grant)}), 201

    return _told(act)


@control.post("/apps")
def _apps() -> Answer:
    """Register an App, as ``World.register_app`` takes it, and install it: ``{ACCOUNT: null|[ORG/REPO]}``.

    Answers with everything only its owner may know.
    """

    def act() -> Answer:
        asked = dict(request.get_json(force=True))
        wanted = asked.pop("installations", {})
        made = world().register_app(**asked)
        installed = {account: world().install_app(made, account, repos).id for account, repos in wanted.items()}
        return jsonify({**secrets_shape(made), "bot": made.bot, "installations": installed}), 201

    return _told(act)


@control.post("/installations/<int:installation_id>")
def _installation(installation_id: int) -> Answer:
    """``{suspended, permissions, repos: [ORG/REPO]}``: what the owner of the account decides."""

    def act() -> Answer:
        asked, here = _asked(_INSTALLATION), world()
        found = here.registry.installation(installation_id)
        if found is None:
            raise ValueError(f"no installation {installation_id}")
        if "suspended" in asked:
            installing.suspend(here, found, BOT, suspended=bool(asked["suspended"]))
        if "permissions" in asked:
            installing.accept(here, found, asked["permissions"], BOT)
        if "repos" in asked:
            installing.choose(here, found, asked["repos"], BOT)
        return jsonify(installation_shape(shapes(), found))

    return _told(act)
