"""Webhooks: is a delivery from GitHub, and what does it touch? Payloads are hints; facts are always read again."""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mergeq.core import audit
from mergeq.core.marks import Announced, Hint, Mark
from mergeq.core.pool import Arrival
from mergeq.core.pull import Branch
from mergeq.github.parse import seconds

_HEADS = "refs/heads/"
_LARGEST = 10**14  # numbers up to here stay exact on their way through Redis' scripts


@dataclass(frozen=True, slots=True)
class Touched:
    """What one delivery is about: what is to be read again, and nothing that is believed.

    `owner` and `repo` (``ORG/REPO``) say whose event it is, empty where it is nobody's. `head` stands for whatever has
    that commit, which `hint` is about. `scopes` are repositories, or owners, all of whose branches are touched;
    `with_pulls` where all that is on them is. `sweep`: branches that nobody has heard of may have come.
    """

    owner: str = ""
    repo: str = ""
    marks: tuple[Mark, ...] = ()
    head: str = ""
    hint: Hint | None = None
    scopes: tuple[str, ...] = ()
    with_pulls: bool = False
    sweep: bool = False
    arrival: tuple[int, Arrival] | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """What of the configuration tells whether an event matters: our own status context, whose reports change nothing,
    and the label of blockers, empty where there are none.
    """

    context: str
    blocker_label: str = ""


def is_genuine(body: bytes, signature: str, secrets: Iterable[str]) -> bool:
    """Whether the raw bytes were signed with one of the secrets (``X-Hub-Signature-256``), compared in constant
    time.
    """
    given = signature.encode("utf-8", "replace")
    expected = [b"sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode() for secret in secrets]
    return any([hmac.compare_digest(one, given) for one in expected])  # noqa: C419 -- every secret is compared, always


def touched(event: str, payload: Any, watched: Watched) -> Touched | None:
    """What an event may have changed; None when the payload cannot be read. Events that are not among `EVENTS`, and
    those on which nothing depends that is decided or shown, touch nothing ("Webhook events and payloads").
    """
    try:
        where = _whose(payload)
        read = _READERS.get(event)
        return read(where, payload, watched) if read else where
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError):
        return None


def guarded(event: str, payload: Any) -> tuple[str, audit.Announced] | None:
    """The ``ORG`` or ``ORG/REPO`` whose protection may be another now, or may be about others, and by whose doing where
    the event is about a rule; the time is not told. Of a branch that was made its name is told. None for all other
    events (P7.21).
    """
    try:
        if payload.get("action", "") not in _GUARDING.get(event, ()):
            return None
        if (event == "create" and payload["ref_type"] != "branch") or not (scope := _scope(_whose(payload))):
            return None
        rule, ruleset = payload.get("rule") or {}, payload.get("repository_ruleset") or {}
        is_rule = event.startswith(("branch_protection", "repository_ruleset"))
        by = _text((payload.get("sender") or {}).get("login") or "") if is_rule else ""
        made = payload["ref"] if event == "create" else ""
        return scope, audit.Announced(0.0, by, _text(rule.get("name") or ruleset.get("name") or made))
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


_GUARDING: Mapping[str, frozenset[str]] = {
    "branch_protection_rule": frozenset({"created", "edited", "deleted"}),
    "branch_protection_configuration": frozenset({"enabled", "disabled"}),
    "repository_ruleset": frozenset({"created", "edited", "deleted"}),
    "repository": frozenset(
        {"created", "edited", "renamed", "transferred", "archived", "unarchived", "privatized", "publicized"}
    ),
    "create": frozenset({""}),
    "team": frozenset({"edited", "deleted", "added_to_repository", "removed_from_repository"}),
    "team_add": frozenset({""}),
    "member": frozenset({"removed", "edited"}),
    "membership": frozenset({"removed"}),
    "organization": frozenset({"member_removed", "renamed"}),
    "installation_repositories": frozenset({"added", "removed"}),
    "installation": frozenset({"created", "unsuspend", "new_permissions_accepted"}),
}
"""The actions of each event after which protection is looked at, empty where it has none. Who joins a team or an
organization changes no rule; who leaves is taken off the lists that name him.
"""


def _scope(where: Touched) -> str:
    return where.repo or where.owner


def _whose(payload: Mapping[str, Any]) -> Touched:
    if repository := payload.get("repository"):
        repo = _text(repository["full_name"])
        return Touched(_branch(repo, "-").org, repo)
    if organization := payload.get("organization"):
        return Touched(_text(organization["login"]))
    account = (payload.get("installation") or {}).get("account") or payload.get("account") or {}
    return Touched(_text(account.get("login") or account.get("slug") or ""))


# Pull requests, what is said about them, and where branches are

_IDLE_PULL_ACTIONS = frozenset(
    {
        *("assigned", "unassigned", "review_requested", "review_request_removed", "locked", "unlocked"),
        *("auto_merge_enabled", "auto_merge_disabled"),
    }
)
"""What people do to a pull request on which nothing depends; an action that nobody knows yet may change anything."""


def _pull_request(where: Touched, payload: Any, _watched: Watched) -> Touched:
    action = _text(payload["action"])
    if action in _IDLE_PULL_ACTIONS:
        return where
    mark = _mark_of(where, payload["pull_request"])
    left = Hint(Announced.LEFT, at=mark.hint.at if mark.hint else 0.0)
    marks = [replace(mark, hint=left) if action == "closed" else mark]
    if (changed := payload.get("changes") or {}).get("base"):
        marks.append(replace(mark, branch=_branch(where.repo, changed["base"]["ref"]["from"]), hint=left))
    return replace(where, marks=tuple(marks), arrival=_arrival(action, payload["pull_request"]))


def _arrival(action: str, pull: Any) -> tuple[int, Arrival] | None:
    """The head that has just come to a pull request, by number (D17). Its time is GitHub's own, of the push or the
    opening, to the second.
    """
    if action not in {"opened", "synchronize"}:
        return None
    is_first = action == "opened"
    at = seconds(pull["created_at"] if is_first else pull["updated_at"])
    return _number(pull["number"]), Arrival(_text(pull["head"]["sha"]), at, original=is_first)


def _review(where: Touched, payload: Any, _watched: Watched) -> Touched:
    return replace(where, marks=(_mark_of(where, payload["pull_request"]),))


def _review_comment(where: Touched, payload: Any, watched: Watched) -> Touched:
    """A conversation may begin with a comment, and end with its last one."""
    return where if payload["action"] == "edited" else _review(where, payload, watched)


def _mark_of(where: Touched, pull: Any) -> Mark:
    """A pull request as an event shows it. The API shows it no older than that, or it was asked too early."""
    hint = Hint(Announced.UPDATED, at=seconds(pull["updated_at"])) if pull.get("updated_at") else None
    node = _text(pull.get("node_id") or "")
    return Mark(_branch(where.repo, pull["base"]["ref"]), _number(pull["number"]), node, hint)


def _push(where: Touched, payload: Any, _watched: Watched) -> Touched:
    ref = _text(payload["ref"])
    if not ref.startswith(_HEADS):
        return where
    hint = Hint(Announced.MOVED, name=_text(payload.get("before") or ""))
    return replace(where, marks=(Mark(_branch(where.repo, ref.removeprefix(_HEADS)), hint=hint),))


def _delete(where: Touched, payload: Any, _watched: Watched) -> Touched:
    if payload["ref_type"] != "branch":
        return where
    return replace(where, marks=(Mark(_branch(where.repo, payload["ref"])),))


def _merge_group(where: Touched, payload: Any, _watched: Watched) -> Touched:
    """GitHub's own queue is at work on a branch; what it takes and gives back is said of each pull request."""
    base = _text(payload["merge_group"]["base_ref"]).removeprefix(_HEADS)
    return replace(where, marks=(Mark(_branch(where.repo, base)),))


# Results


def _status(where: Touched, payload: Any, watched: Watched) -> Touched:
    context, sha = _text(payload["context"]), _text(payload["sha"])
    if context.lower() == watched.context.lower():
        return where
    at, ended = seconds(payload.get("created_at")), payload.get("state") != "pending"
    return replace(where, head=sha, hint=Hint(Announced.REPORTED, at=at, name=context, ended=ended))


def _check_run(where: Touched, payload: Any, _watched: Watched) -> Touched:
    """The pull requests of a check run are named too: its head may be younger than what is known of them. Those of
    forks are not, and there may be some of other repositories.
    """
    action, run = payload["action"], payload["check_run"]
    if action == "requested_action":
        return where
    head, hint = _text(run["head_sha"]), None
    if action != "rerequested":  # which tells of the run as it was
        ended = run.get("status") == "completed"
        hint = Hint(Announced.REPORTED, name=_text(run["name"]), serial=_number(run["id"]), ended=ended)
    marks = tuple(
        Mark(_branch(where.repo, one["base"]["ref"]), _number(one["number"]), hint=hint)
        for one in run.get("pull_requests") or ()
        if one["head"]["sha"] == head and one["base"]["repo"]["id"] == payload["repository"]["id"]
    )
    return replace(where, head=head, hint=hint, marks=marks)


def _check_suite(where: Touched, payload: Any, _watched: Watched) -> Touched:
    """Said only when all its runs are over; until then each of them speaks for itself."""
    head = _text(payload["check_suite"]["head_sha"])
    return replace(where, head=head) if payload["action"] == "completed" else where


# What concerns every branch of a repository, or of an organization


def _issues(where: Touched, payload: Any, watched: Watched) -> Touched:
    """Blockers: whether an issue is one, is open, and what its title says."""
    action, wanted = payload["action"], watched.blocker_label.lower()
    if action in {"labeled", "unlabeled"}:
        labels = [payload["label"]]
    elif action in {"opened", "edited", "closed", "reopened", "deleted", "transferred"}:
        labels = payload["issue"].get("labels", [{"name": wanted}])  # where it is not told, it may be one
    else:
        return where
    changed = payload.get("changes") if action == "edited" else None
    if not wanted or (changed and "title" not in changed):
        return where
    return _every_branch(where) if wanted in {_text(label["name"]).lower() for label in labels} else where


def _renamed_or_deleted(what: str) -> "_Reader":
    """Labels and milestones, by the name of their names: GitHub announces no change of what carries them."""

    def read(where: Touched, payload: Any, _watched: Watched) -> Touched:
        is_renamed = payload["action"] == "edited" and what in (payload.get("changes") or {})
        return _every_branch(where, with_pulls=True) if is_renamed or payload["action"] == "deleted" else where

    return read


def _repository(where: Touched, payload: Any, _watched: Watched) -> Touched:
    action, changed = _text(payload["action"]), payload.get("changes") or {}
    idle = {"description", "homepage", "topics"}
    if action == "created" or (action == "edited" and changed and idle.issuperset(changed)):
        return where
    org, name = where.repo.split("/")
    if "repository" in changed:
        name = _text(changed["repository"]["name"]["from"])
    if "owner" in changed:
        former = changed["owner"]["from"]
        org = _text((former.get("organization") or former["user"])["login"])
    comes = action in {"renamed", "transferred", "unarchived"}
    return replace(where, scopes=tuple(dict.fromkeys((where.repo, f"{org}/{name}"))), sweep=comes)


def _protection_rule(where: Touched, payload: Any, _watched: Watched) -> Touched:
    """What GitHub says of the reviews of each pull request depends on the rules for reviews."""
    if payload["action"] == "edited":
        return _every_branch(where, with_pulls=any("review" in what for what in payload.get("changes") or {}))
    level = payload["rule"].get("pull_request_reviews_enforcement_level")
    return _every_branch(where, with_pulls=level != "off")


def _ruleset(where: Touched, payload: Any, _watched: Watched) -> Touched:
    """As for classic rules; the event of an organization's ruleset names no repository."""
    ruleset = payload["repository_ruleset"]
    if ruleset.get("target", "branch") != "branch":
        return where
    changed = (payload.get("changes") or {}).get("rules") or {}
    rules = [*ruleset.get("rules", [{"type": "pull_request"}])]
    rules += [
        *changed.get("added", ()),
        *changed.get("deleted", ()),
        *(one["rule"] for one in changed.get("updated", ())),
    ]
    return _every_branch(where, with_pulls=any(rule["type"] == "pull_request" for rule in rules))


def _protection_switched(where: Touched, _payload: Any, _watched: Watched) -> Touched:
    return _every_branch(where, with_pulls=True)


def _every_branch(where: Touched, *, with_pulls: bool = False) -> Touched:
    if not (scope := _scope(where)):
        raise ValueError("an event of a repository or an organization names neither")
    return replace(where, scopes=(scope,), with_pulls=with_pulls)


def _installation(where: Touched, payload: Any, _watched: Watched) -> Touched:
    gone = payload["action"] in {"deleted", "suspend"}
    return _every_branch(where) if gone else replace(where, sweep=True)


def _installation_repositories(where: Touched, payload: Any, _watched: Watched) -> Touched:
    gone = tuple(_text(one["full_name"]) for one in payload.get("repositories_removed") or ())
    return replace(where, scopes=gone, sweep=bool(payload.get("repositories_added")))


def _owner(where: Touched, payload: Any, _watched: Watched) -> Touched:
    """An owner's other events are about people; whose approval counts is looked at right before a landing, and else
    at the next sweep.
    """
    if payload["action"] != "renamed":
        return where
    return replace(where, scopes=(_text(payload["changes"]["login"]["from"]),), sweep=True)


_Reader = Callable[[Touched, Any, Watched], Touched]
_READERS: Mapping[str, _Reader] = {
    "pull_request": _pull_request,
    "pull_request_review": _review,
    "pull_request_review_thread": _review,
    "pull_request_review_comment": _review_comment,
    "push": _push,
    "delete": _delete,
    "merge_group": _merge_group,
    "status": _status,
    "check_run": _check_run,
    "check_suite": _check_suite,
    "issues": _issues,
    "label": _renamed_or_deleted("name"),
    "milestone": _renamed_or_deleted("title"),
    "repository": _repository,
    "branch_protection_rule": _protection_rule,
    "branch_protection_configuration": _protection_switched,
    "repository_ruleset": _ruleset,
    "installation": _installation,
    "installation_repositories": _installation_repositories,
    "installation_target": _owner,
    "organization": _owner,
}

EVENTS: frozenset[str] = frozenset(_READERS) | {
    *("code_scanning_alert", "commit_comment", "create", "custom_property", "custom_property_values"),
    *("dependabot_alert", "deploy_key", "deployment", "deployment_protection_rule", "deployment_review"),
    *("deployment_status", "discussion", "discussion_comment", "fork", "github_app_authorization", "gollum"),
    *("issue_comment", "issue_dependencies", "marketplace_purchase", "member", "membership", "meta", "org_block"),
    *("package", "page_build", "personal_access_token_request", "ping", "project", "project_card", "project_column"),
    *("projects_v2", "projects_v2_item", "projects_v2_status_update", "public", "registry_package", "release"),
    *("repository_advisory", "repository_dispatch", "repository_import", "repository_vulnerability_alert"),
    *("secret_scanning_alert", "secret_scanning_alert_location", "secret_scanning_scan", "security_advisory"),
    *("security_and_analysis", "sponsorship", "star", "sub_issues", "team", "team_add", "watch"),
    *("workflow_dispatch", "workflow_job", "workflow_run"),
}
"""Every event that GitHub documents: those that are read, and those on which nothing depends."""


def _branch(repo: str, name: Any) -> Branch:
    """Raises ValueError for what is no name."""
    return Branch.parse(f"{repo}:{_text(name)}")


def _text(value: Any) -> str:
    """A text that can be written down. Raises TypeError or ValueError for anything else."""
    if not isinstance(value, str):
        raise TypeError(value)
    value.encode()
    return value


def _number(value: Any) -> int:
    """A number of GitHub's. Raises TypeError or ValueError for anything else."""
    if not isinstance(value, int):
        raise TypeError(value)
    if not 0 < value < _LARGEST:
        raise ValueError(value)
    return value
