"""REST endpoints of classic branch protection: all of it at once, and each of its sections by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import jsonify

from mergeq.sandbox.checks import recent_app
from mergeq.sandbox.protecting import keep, lift, writers_of
from mergeq.sandbox.protection_shapes import (
    admins_shape,
    named_shape,
    protection_shape,
    restrictions_shape,
    reviews_shape,
    signatures_shape,
    status_shape,
)
from mergeq.sandbox.records import NOBODY, Protection, Repo, RequiredCheck, Restrictions, ReviewRule, StatusRule
from mergeq.sandbox.refusals import NotSimulatedError, RefusedError, invalid, refuse_unpaid
from mergeq.sandbox.rest import Answer, administrator, body, content, endpoint, parameters, the_repo
from mergeq.sandbox.shapes import Json
from mergeq.sandbox.site import actor, shapes, world

_PROTECTION = "/repos/<owner>/<repo>/branches/<path:branch>/protection"
_REQUIRED = ("required_status_checks", "enforce_admins", "required_pull_request_reviews", "restrictions")
_SWITCHES = {
    "required_linear_history": "linear_history",
    "allow_force_pushes": "force_pushes",
    "allow_deletions": "deletions",
    "block_creations": "block_creations",
    "required_conversation_resolution": "conversation_resolution",
    "lock_branch": "lock_branch",
    "allow_fork_syncing": "fork_syncing",
}
_STATUS_KEYS = ("strict", "contexts", "checks")
_REVIEW_SWITCHES = {
    "dismiss_stale_reviews": "dismiss_stale",
    "require_last_push_approval": "last_push_approval",
    "require_code_owner_reviews": "code_owners",
}
_REVIEW_KEYS = (
    "required_approving_review_count",
    "dismissal_restrictions",
    "bypass_pull_request_allowances",
    *_REVIEW_SWITCHES,
)
_ACTORS = ("users", "teams", "apps")
_MAX_REVIEWS = 6
_MAX_NAMED = 100
_ANY_APP = -1


@dataclass(frozen=True, slots=True)
class _Protected:
    """A branch and the rule in force on it."""

    repo: Repo
    branch: str
    rule: Protection

    def refuse_pattern(self) -> None:
        """Raises NotSimulatedError for a rule that comes from a pattern."""
        pattern = self.repo.pattern_for(self.branch)
        if pattern != self.branch:
            raise NotSimulatedError(f"changing the protection of {self.branch}, which comes from the pattern {pattern}")

    def save(self, **changes: Any) -> _Protected:
        """Change the rule; raises NotSimulatedError for one that comes from a pattern."""
        self.refuse_pattern()
        rule = replace(self.rule, **changes)
        keep(world(), self.repo, self.branch, rule, actor())
        return replace(self, rule=rule)

    @property
    def status(self) -> StatusRule:
        if self.rule.status is None:
            raise RefusedError(404, "Required status checks not enabled")
        return self.rule.status

    @property
    def reviews(self) -> ReviewRule:
        if self.rule.reviews is None:
            raise RefusedError(404, "Pull request reviews not enabled")
        return self.rule.reviews

    @property
    def restrictions(self) -> Restrictions:
        if self.rule.restrictions is None:
            raise RefusedError(404, "Push restrictions not enabled")
        return self.rule.restrictions


def _branch(owner: str, repo: str, branch: str, *, changes: bool = False) -> Repo:
    """The repository, if the asker is its administrator and the branch exists; raises RefusedError 403 or 404."""
    found = the_repo(owner, repo)
    administrator(found, changes=changes)
    refuse_unpaid(found)
    if found.git.tip(branch) is None:
        raise RefusedError(404, "Branch not found")
    return found


def _protected(owner: str, repo: str, branch: str, *, changes: bool = False) -> _Protected:
    """Raises RefusedError 404 also for a branch without classic protection."""
    found = _branch(owner, repo, branch, changes=changes)
    rule = found.protection_of(branch)
    if rule is None:
        raise RefusedError(404, "Branch not protected")
    return _Protected(found, branch, rule)


@endpoint("GET", _PROTECTION)
def _get(owner: str, repo: str, branch: str) -> Answer:
    at = _protected(owner, repo, branch)
    parameters()
    return jsonify(protection_shape(shapes(), at.repo, branch, at.rule))


@endpoint("DELETE", _PROTECTION)
def _lift(owner: str, repo: str, branch: str) -> Answer:
    at = _protected(owner, repo, branch, changes=True)
    at.refuse_pattern()
    lift(world(), at.repo, branch, actor())
    return "", 204


def _in_sentences(refusal: RefusedError) -> RefusedError:
    """A refusal as this one route words it, whose errors are sentences."""
    sentences = [error if isinstance(error, str) else error["message"] for error in refusal.errors]
    return RefusedError(refusal.status, refusal.message, sentences)


@endpoint("PUT", _PROTECTION)
def _replace(owner: str, repo: str, branch: str) -> Answer:
    """Everything anew, but for what has no place in the body: signatures, and who may force."""
    found = _branch(owner, repo, branch, changes=True)
    fields = body(*_REQUIRED, *_SWITCHES)
    missing = [f'"{name}"' for name in _REQUIRED if name not in fields]
    if missing:
        verb = "wasn't" if len(missing) == 1 else "weren't"
        raise RefusedError(422, f"Invalid request.\n\n{', '.join(missing)} {verb} supplied.")
    before = found.protections.get(branch) or Protection(world().next_id(), creator=actor())
    switches: dict[str, Any] = {ours: bool(fields.get(theirs)) for theirs, ours in _SWITCHES.items()}
    try:
        rule = replace(
            before,
            status=_status_rule(found, fields["required_status_checks"]),
            reviews=_review_rule(found, fields["required_pull_request_reviews"]),
            restrictions=_restrictions(found, fields["restrictions"]),
            enforce_admins=bool(fields["enforce_admins"]),
            **switches,
        )
    except RefusedError as refusal:
        raise _in_sentences(refusal) from refusal
    keep(world(), found, branch, rule, actor())
    return jsonify(protection_shape(shapes(), found, branch, rule))


def _status_rule(found: Repo, sent: Mapping[str, Any] | None, before: StatusRule | None = None) -> StatusRule | None:
    """What is sent, on top of what was; None switches the section off."""
    if sent is None:
        return None
    _only(sent, _STATUS_KEYS)
    checks = {}
    for check in sent.get("checks") or ():
        _only(check, ("context", "app_id"))
        context = check["context"]
        app_id = check.get("app_id") or recent_app(found, context)
        checks[context] = RequiredCheck(context, None if app_id == _ANY_APP else app_id)
    for check in _pinned(found, sent.get("contexts") or ()):
        checks.setdefault(check.context, check)
    keeps = before is not None and "checks" not in sent and "contexts" not in sent
    strict = sent.get("strict", before.strict if before else False)
    return StatusRule(bool(strict), before.checks if before and keeps else tuple(checks.values()))


def _pinned(found: Repo, contexts: Iterable[str]) -> list[RequiredCheck]:
    """Contexts by their names alone, which GitHub pins to who reported them last (Q36)."""
    return [RequiredCheck(context, recent_app(found, context)) for context in contexts]


def _review_rule(found: Repo, sent: Mapping[str, Any] | None, before: ReviewRule | None = None) -> ReviewRule | None:
    """What is sent, on top of what was; None switches the section off."""
    if sent is None:
        return None
    _only(sent, _REVIEW_KEYS)
    rule = before or ReviewRule()
    count = sent.get("required_approving_review_count", rule.count)
    if not isinstance(count, int) or not 0 <= count <= _MAX_REVIEWS:
        raise invalid("ProtectedBranch", f"required_approving_review_count must be between 0 and {_MAX_REVIEWS}")
    changes: dict[str, Any] = {ours: bool(sent[theirs]) for theirs, ours in _REVIEW_SWITCHES.items() if theirs in sent}
    if "dismissal_restrictions" in sent:
        changes["dismissers"] = _restrictions(found, sent["dismissal_restrictions"] or None)
    if "bypass_pull_request_allowances" in sent:
        changes["bypass"] = _restrictions(found, sent["bypass_pull_request_allowances"] or None) or NOBODY
    return replace(rule, count=count, **changes)


def _restrictions(found: Repo, sent: Mapping[str, Any] | None) -> Restrictions | None:
    if sent is None:
        return None
    _only(sent, _ACTORS)
    if found.owner_is_user:
        raise invalid("ProtectedBranch", "Only organization repositories can have users and team restrictions")
    users, teams, apps = (_known(kind, tuple(dict.fromkeys(sent.get(kind) or ()))) for kind in _ACTORS)
    return writers_of(found, Restrictions(users, teams, apps))


def _known(kind: str, named: tuple[str, ...]) -> tuple[str, ...]:
    """Those names, all of which must be somebody; raises RefusedError 422."""
    here = world()
    known: dict[str, Callable[[str], bool]] = {
        "users": here.users.knows,
        "teams": here.users.teams.__contains__,
        "apps": lambda slug: any(app.slug == slug for app in here.apps()),
    }
    unknown = sorted(name for name in named if not known[kind](name))
    if unknown:
        raise invalid("ProtectedBranch", f"there is no {kind[:-1]} {unknown[0]}", kind)
    if len(named) > _MAX_NAMED:
        raise invalid("ProtectedBranch", f"No more than {_MAX_NAMED} {kind} may be named", kind)
    return named


def _only(sent: Mapping[str, Any], known: Iterable[str]) -> None:
    unknown = sorted(sent.keys() - set(known))
    if unknown:
        raise NotSimulatedError(f"field {unknown[0]} of a protected branch")


def _switch(section: str, field: str, shape: Callable[..., Json]) -> None:
    """Routes of a switch by itself: look at it, POST turns it on, DELETE off."""
    path = f"{_PROTECTION}/{section}"

    def look(owner: str, repo: str, branch: str) -> Answer:
        at = _protected(owner, repo, branch)
        parameters()
        return jsonify(shape(shapes(), at.repo, branch, at.rule))

    def turn_on(owner: str, repo: str, branch: str) -> Answer:
        at = _protected(owner, repo, branch, changes=True).save(**{field: True})
        return jsonify(shape(shapes(), at.repo, branch, at.rule))

    def turn_off(owner: str, repo: str, branch: str) -> Answer:
        _protected(owner, repo, branch, changes=True).save(**{field: False})
        return "", 204

    endpoint("GET", path)(look)
    endpoint("POST", path)(turn_on)
    endpoint("DELETE", path)(turn_off)


_switch("enforce_admins", "enforce_admins", admins_shape)
_switch("required_signatures", "signatures", signatures_shape)


@endpoint("GET", f"{_PROTECTION}/required_status_checks")
def _status(owner: str, repo: str, branch: str) -> Answer:
    at = _protected(owner, repo, branch)
    parameters()
    return jsonify(status_shape(shapes(), at.repo, branch, at.status))


@endpoint("PATCH", f"{_PROTECTION}/required_status_checks")
def _edit_status(owner: str, repo: str, branch: str) -> Answer:
    at = _protected(owner, repo, branch, changes=True)
    at = at.save(status=_status_rule(at.repo, body(*_STATUS_KEYS), at.status))
    return jsonify(status_shape(shapes(), at.repo, branch, at.status))


@endpoint("DELETE", f"{_PROTECTION}/required_status_checks")
def _drop_status(owner: str, repo: str, branch: str) -> Answer:
    _protected(owner, repo, branch, changes=True).save(status=None)
    return "", 204


@endpoint("GET", f"{_PROTECTION}/required_status_checks/contexts")
def _contexts(owner: str, repo: str, branch: str) -> Answer:
    at = _protected(owner, repo, branch)
    parameters()
    return jsonify([check.context for check in at.status.checks])


def _change_contexts(method: str, change: Callable[[StatusRule, list[RequiredCheck]], Iterable[RequiredCheck]]) -> None:
    def answer(owner: str, repo: str, branch: str) -> Answer:
        at = _protected(owner, repo, branch, changes=True)
        wanted = change(at.status, _pinned(at.repo, _sent_list("contexts")))
        checks = tuple({check.context: check for check in wanted}.values())
        at.save(status=replace(at.status, checks=checks))
        return jsonify([check.context for check in checks])

    endpoint(method, f"{_PROTECTION}/required_status_checks/contexts")(answer)


_change_contexts("PUT", lambda _rule, sent: sent)
_change_contexts("POST", lambda rule, sent: (*sent, *rule.checks))
_change_contexts("DELETE", lambda rule, sent: [c for c in rule.checks if c.context not in {s.context for s in sent}])


def _sent_list(name: str) -> tuple[str, ...]:
    """A list of texts, sent bare or under a name; raises RefusedError 422."""
    sent = content()
    listed = sent.get(name) if isinstance(sent, dict) else sent
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise RefusedError(422, f'Invalid request.\n\n"{name}" wasn\'t supplied.')
    return tuple(dict.fromkeys(listed))


@endpoint("GET", f"{_PROTECTION}/required_pull_request_reviews")
def _reviews(owner: str, repo: str, branch: str) -> Answer:
    at = _protected(owner, repo, branch)
    parameters()
    return jsonify(reviews_shape(shapes(), at.repo, branch, at.reviews))


@endpoint("PATCH", f"{_PROTECTION}/required_pull_request_reviews")
def _edit_reviews(owner: str, repo: str, branch: str) -> Answer:
    at = _protected(owner, repo, branch, changes=True)
    at = at.save(reviews=_review_rule(at.repo, body(*_REVIEW_KEYS), at.rule.reviews))
    return jsonify(reviews_shape(shapes(), at.repo, branch, at.reviews))


@endpoint("DELETE", f"{_PROTECTION}/required_pull_request_reviews")
def _drop_reviews(owner: str, repo: str, branch: str) -> Answer:
    _protected(owner, repo, branch, changes=True).save(reviews=None)
    return "", 204


@endpoint("GET", f"{_PROTECTION}/restrictions")
def _who_may_push(owner: str, repo: str, branch: str) -> Answer:
    at = _protected(owner, repo, branch)
    parameters()
    return jsonify(restrictions_shape(shapes(), at.repo, branch, at.restrictions))


@endpoint("DELETE", f"{_PROTECTION}/restrictions")
def _let_all_push(owner: str, repo: str, branch: str) -> Answer:
    _protected(owner, repo, branch, changes=True).save(restrictions=None)
    return "", 204


def _pushers(kind: str) -> None:
    """Routes of the users, teams or apps that may push."""
    path = f"{_PROTECTION}/restrictions/{kind}"

    def look(owner: str, repo: str, branch: str) -> Answer:
        at = _protected(owner, repo, branch)
        parameters()
        return jsonify(named_shape(shapes(), at.repo, at.restrictions)[kind])

    def changed(change: Callable[[tuple[str, ...], tuple[str, ...]], Iterable[str]]) -> Callable[..., Answer]:
        def answer(owner: str, repo: str, branch: str) -> Answer:
            at = _protected(owner, repo, branch, changes=True)
            wanted = change(getattr(at.restrictions, kind), _known(kind, _sent_list(kind)))
            at = at.save(restrictions=replace(at.restrictions, **{kind: tuple(dict.fromkeys(wanted))}))
            return jsonify(named_shape(shapes(), at.repo, at.restrictions)[kind])

        return answer

    endpoint("GET", path)(look)
    endpoint("PUT", path)(changed(lambda _before, sent: sent))
    endpoint("POST", path)(changed(lambda before, sent: (*before, *sent)))
    endpoint("DELETE", path)(changed(lambda before, sent: [name for name in before if name not in sent]))


for _kind in _ACTORS:
    _pushers(_kind)
