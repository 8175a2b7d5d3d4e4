"""REST endpoints of classic branch protection: reading, replacing and lifting it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from flask import jsonify

from mergeq.sandbox.protection_shapes import protection_shape, signatures_shape
from mergeq.sandbox.records import Protection, Repo, RequiredCheck, Restrictions, ReviewRule, StatusRule
from mergeq.sandbox.refusals import NotSimulatedError, RefusedError, archived, invalid, not_found
from mergeq.sandbox.rest import Answer, body, endpoint, parameters, the_repo
from mergeq.sandbox.site import actor, shapes, world

_PROTECTION = "/repos/<owner>/<repo>/branches/<path:branch>/protection"
_REQUIRED = ("required_status_checks", "enforce_admins", "required_pull_request_reviews", "restrictions")
_SWITCHES = {
    "required_linear_history": "linear_history",
    "allow_force_pushes": "force_pushes",
    "allow_deletions": "deletions",
    "required_conversation_resolution": "conversation_resolution",
    "lock_branch": "lock_branch",
}
_OFF_ONLY = ("block_creations", "allow_fork_syncing")
_REVIEW_KEYS = (
    "required_approving_review_count",
    "dismiss_stale_reviews",
    "require_last_push_approval",
    "require_code_owner_reviews",
    "dismissal_restrictions",
    "bypass_pull_request_allowances",
)
_MAX_REVIEWS = 6
_ANY_APP = -1


def _branch(owner: str, repo: str, branch: str, *, changes: bool = False) -> Repo:
    """The repository, if the asker is its administrator and the branch exists; raises RefusedError 403 or 404."""
    found = the_repo(owner, repo)
    if not world().users.is_admin(actor()):
        raise not_found()
    if changes and found.archived:
        raise archived()
    if found.git.tip(branch) is None:
        raise RefusedError(404, "Branch not found")
    return found


def _rule(found: Repo, branch: str) -> Protection:
    rule = found.protection_of(branch)
    if rule is None:
        raise RefusedError(404, "Branch not protected")
    return rule


@endpoint("GET", _PROTECTION)
def _get(owner: str, repo: str, branch: str) -> Answer:
    found = _branch(owner, repo, branch)
    parameters()
    return jsonify(protection_shape(shapes(), found, branch, _rule(found, branch)))


@endpoint("DELETE", _PROTECTION)
def _lift(owner: str, repo: str, branch: str) -> Answer:
    found = _branch(owner, repo, branch, changes=True)
    _rule(found, branch)
    _refuse_glob(found, branch)
    world().unprotect(found, branch)
    return "", 204


@endpoint("PUT", _PROTECTION)
def _replace(owner: str, repo: str, branch: str) -> Answer:
    """Everything anew, required signatures excepted: those have a route of their own."""
    found = _branch(owner, repo, branch, changes=True)
    fields = body(*_REQUIRED, *_SWITCHES, *_OFF_ONLY)
    missing = [f'"{name}"' for name in _REQUIRED if name not in fields]
    if missing:
        verb = "wasn't" if len(missing) == 1 else "weren't"
        raise RefusedError(422, f"Invalid request.\n\n{', '.join(missing)} {verb} supplied.")
    for name in _OFF_ONLY:
        if fields.get(name):
            raise NotSimulatedError(f"{name} of a protected branch")
    before = found.protections.get(branch)
    rule = Protection(
        id=before.id if before else world().next_id(),
        status=_status_rule(found, fields["required_status_checks"]),
        reviews=_review_rule(fields["required_pull_request_reviews"]),
        restrictions=_restrictions(found, fields["restrictions"]),
        enforce_admins=bool(fields["enforce_admins"]),
        signatures=before.signatures if before else False,
        **{ours: bool(fields.get(theirs)) for theirs, ours in _SWITCHES.items()},
    )
    found.protections[branch] = rule
    return jsonify(protection_shape(shapes(), found, branch, rule))


def _status_rule(found: Repo, sent: Mapping[str, Any] | None) -> StatusRule | None:
    if sent is None:
        return None
    _only(sent, ("strict", "contexts", "checks"))
    checks = {}
    for check in sent.get("checks") or ():
        _only(check, ("context", "app_id"))
        context = check["context"]
        app_id = check.get("app_id") or _recent_app(found, context)
        checks[context] = RequiredCheck(context, None if app_id == _ANY_APP else app_id)
    for context in sent.get("contexts") or ():
        checks.setdefault(context, RequiredCheck(context, _recent_app(found, context)))
    return StatusRule(bool(sent.get("strict")), tuple(checks.values()))


def _recent_app(found: Repo, context: str) -> int | None:
    """The app that reported this name last: GitHub pins a check to it unless told otherwise."""
    name = context.casefold()
    suites = (suite for suites in found.suites.values() for suite in suites)
    runs = [run for suite in suites for run in suite.runs if run.name.casefold() == name]
    return max(runs, key=lambda run: run.id).suite.app.id if runs else None


def _review_rule(sent: Mapping[str, Any] | None) -> ReviewRule | None:
    if sent is None:
        return None
    _only(sent, _REVIEW_KEYS)
    if sent.get("require_code_owner_reviews") or sent.get("dismissal_restrictions"):
        raise NotSimulatedError("reviews by code owners, and who may dismiss them")
    if any((sent.get("bypass_pull_request_allowances") or {}).values()):
        raise NotSimulatedError("bypass_pull_request_allowances")
    count = sent.get("required_approving_review_count", 1)
    if not isinstance(count, int) or not 0 <= count <= _MAX_REVIEWS:
        raise invalid("ProtectedBranch", f"required_approving_review_count must be between 0 and {_MAX_REVIEWS}")
    return ReviewRule(
        count,
        dismiss_stale=bool(sent.get("dismiss_stale_reviews")),
        last_push_approval=bool(sent.get("require_last_push_approval")),
    )


def _restrictions(found: Repo, sent: Mapping[str, Any] | None) -> Restrictions | None:
    if sent is None:
        return None
    _only(sent, ("users", "teams", "apps"))
    if found.owner_is_user:
        raise invalid("ProtectedBranch", "Only organization repositories can have users and team restrictions")
    here = world()
    users, teams, apps = (tuple(sent.get(kind) or ()) for kind in ("users", "teams", "apps"))
    _known("user", users, filter(here.users.knows, users))
    _known("team", teams, here.users.teams)
    _known("app", apps, (app.slug for app in here.apps()))
    return Restrictions(users, teams, apps)


def _known(kind: str, named: Iterable[str], known: Iterable[str]) -> None:
    unknown = sorted(set(named) - set(known))
    if unknown:
        raise invalid("ProtectedBranch", f"there is no {kind} {unknown[0]}", f"{kind}s")


def _only(sent: Mapping[str, Any], known: Iterable[str]) -> None:
    unknown = sorted(sent.keys() - set(known))
    if unknown:
        raise NotSimulatedError(f"field {unknown[0]} of a protected branch")


@endpoint("GET", f"{_PROTECTION}/required_signatures")
def _signatures(owner: str, repo: str, branch: str) -> Answer:
    found = _branch(owner, repo, branch)
    parameters()
    return jsonify(signatures_shape(shapes(), found, branch, _rule(found, branch)))


@endpoint("POST", f"{_PROTECTION}/required_signatures")
def _require_signatures(owner: str, repo: str, branch: str) -> Answer:
    found = _branch(owner, repo, branch, changes=True)
    rule = _set_signatures(found, branch, required=True)
    return jsonify(signatures_shape(shapes(), found, branch, rule))


@endpoint("DELETE", f"{_PROTECTION}/required_signatures")
def _waive_signatures(owner: str, repo: str, branch: str) -> Answer:
    found = _branch(owner, repo, branch, changes=True)
    _set_signatures(found, branch, required=False)
    return "", 204


def _set_signatures(found: Repo, branch: str, *, required: bool) -> Protection:
    _rule(found, branch)
    _refuse_glob(found, branch)
    rule = replace(found.protections[branch], signatures=required)
    found.protections[branch] = rule
    return rule


def _refuse_glob(found: Repo, branch: str) -> None:
    pattern = found.pattern_for(branch)
    if pattern != branch:
        raise NotSimulatedError(f"changing the protection of {branch}, which comes from the pattern {pattern}")
